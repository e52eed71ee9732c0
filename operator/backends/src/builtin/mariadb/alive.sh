#!/bin/sh
# Alive when it answers, even if only that it refuses the login. A replica that cannot follow any more is not: its next
# start copies from the primary again.
run=/run/mysqld
[ -e "$run/copying" ] && exit 0
MYSQL_PWD=$(cat /etc/portico/credentials/root-password)
export MYSQL_PWD
client="--no-defaults --socket=$run/mysqld.sock --user=root --connect-timeout=3"
if [ "${PORTICO_ROLE:-primary}" = replica ]; then
    # shellcheck disable=SC2086 # several options
    state=$(mariadb $client --batch --execute='SHOW REPLICA STATUS\G' 2>/dev/null)
    # What the primary says when it has thrown away what the replica needs (1236), and what a replica says whose rows
    # or tables are not those of its primary.
    for problem in IO_Errno:.1236 SQL_Errno:.1007 SQL_Errno:.1008 SQL_Errno:.1032 SQL_Errno:.1050 SQL_Errno:.1051 \
        SQL_Errno:.1062 SQL_Errno:.1146 SQL_Errno:.1396; do
        if echo "$state" | grep -q "^ *Last_$problem\$"; then
            touch /data/mariadb.stale
            exit 1
        fi
    done
fi
# shellcheck disable=SC2086 # several options
mariadb-admin $client --silent ping
