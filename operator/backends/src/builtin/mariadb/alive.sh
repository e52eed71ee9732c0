#!/bin/sh
# Alive while the data is made or copied before the start, and then when it answers, even if only that it refuses the
# login. A replica that cannot go on is not: its next start copies from the primary again.
run=/run/portico
[ ! -e "$run/preparing" ] || exit 0
MYSQL_PWD=$(cat /etc/portico/credentials/root-password)
export MYSQL_PWD

state() {
    mariadb --no-defaults --socket="$run/mariadb.sock" --user=root --connect-timeout=3 --batch \
        --execute='SHOW REPLICA STATUS\G' 2>/dev/null
}

# Why the copy is useless, if it is. The primary has another history when it says so (1236), or when transactions come
# whose first number is not the one of the copy. Otherwise, 1236 means that its log begins after the replica's position,
# and the other numbers are what a replica stops with whose tables or rows are not those of its primary.
verdict() {
    ours=$(cat /data/mariadb/portico_domain)
    state | sed -n -e "/^ *Gtid_IO_Pos:/{s/$ours-[0-9-]*//;s/.*[0-9].*/foreign/p}" \
        -e 's/^ *Last_IO_Error: .*error 1236 .*not in the master.*/foreign/p' \
        -e 's/^ *Last_IO_Errno: 1236$/outdated/p' \
        -e 's/^ *Last_SQL_Errno: \(1007\|1008\|1032\|1050\|1051\|1062\|1146\|1396\)$/outdated/p'
}

if [ "${PORTICO_ROLE:-primary}" = replica ]; then
    case $(verdict) in
        *foreign*) echo foreign >/data/mariadb.useless && exit 1 ;;
        *outdated*) echo outdated >/data/mariadb.useless && exit 1 ;;
    esac
fi
mariadb-admin --no-defaults --socket="$run/mariadb.sock" --user=root --connect-timeout=3 ping >/dev/null
