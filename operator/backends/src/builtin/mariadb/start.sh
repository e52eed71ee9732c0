#!/bin/sh
# Starts MariaDB as process 1, with further options for the server as arguments. On an empty volume it makes the data
# folder first: a new one on the primary, a copy of the primary's databases on a replica.
#
# Safe to be killed at any point: the data folder is made under another name and renamed when it is complete, and all
# that comes after is repeated at every start.
set -eu
umask 077
trap 'exit 143' INT TERM

# Debian keeps the server where root alone looks.
PATH=$PATH:/usr/sbin

config=/etc/portico/engine
secrets=/etc/portico/credentials
tls=/etc/portico/tls
run=/run/portico
# A folder of our own: the volume's root may belong to another user.
data=/data/mariadb
unfinished=/data/mariadb.unfinished
temporary=/data/mariadb.tmp
# Room that is given back to a volume that is full, so that the server can start and somebody can delete something.
reserve=/data/mariadb.reserve
reserve_kib=65536
# Written by alive.sh when only a new copy can mend a replica: `outdated` or `foreign`.
useless=/data/mariadb.useless
# The copy of databases that the primary no longer has. It may be the last one, so it is kept.
aside=/data/mariadb.aside
role=${PORTICO_ROLE:-primary}
# The server takes options from this file only.
settings=$run/my.cnf
statements=$run/init.sql

log() {
    echo "portico: $*" >&2
}

# A password as a quoted SQL string.
quoted() {
    printf "'%s'" "$(sed "s/[\\\\']/\\\\&/g" "$secrets/$1")"
}

# What the spec sets counts more than what is set here.
write_settings() {
    cat "$config/mariadb.cnf" "$config/parameters.cnf" >"$settings"
    if [ "$role" = replica ]; then
        # Every server of a group has a number of its own; pods of a StatefulSet have one in their names.
        number=$(uname -n | sed -n 's/^.*-\([0-9]\{1,6\}\)$/\1/p')
        cat "$config/replica.cnf" >>"$settings"
        echo "server_id = $((2 + ${number:-0}))" >>"$settings"
    else
        echo "server_id = 1" >>"$settings"
    fi
}

# The first number of all transactions in the log of this data, so that no replica takes the log of other data for it.
write_domain() {
    echo "gtid_domain_id = $(cat "$data/portico_domain")" >>"$settings"
}

# Statements that the server runs before it opens its port. In memory, like the mounted passwords, and for nobody else
# to read. Not for the binary log: each server does this for itself.
#
# portico_admin makes users and databases and gives away rights on them, for which it has to have these itself. Rights
# on single databases count instead of those on all, so the server's own tables are not among them: that is against
# mistakes, for who makes users can in the end become any. PROCESS and CONNECTION ADMIN are for seeing and ending the
# sessions of others, RELOAD for FLUSH SSL, SLAVE MONITOR for replicas.
write_statements() {
    cat >"$statements" <<SQL
SET SESSION sql_log_bin = 0;
ALTER USER root@localhost IDENTIFIED VIA mysql_native_password USING PASSWORD($(quoted root-password));
CREATE USER IF NOT EXISTS portico_admin@'%' ACCOUNT LOCK;
ALTER USER portico_admin@'%' IDENTIFIED BY $(quoted admin-password) REQUIRE SSL ACCOUNT UNLOCK;
GRANT CREATE USER, PROCESS, RELOAD, CONNECTION ADMIN, SLAVE MONITOR ON *.* TO portico_admin@'%';
GRANT ALL PRIVILEGES ON \`%\`.* TO portico_admin@'%' WITH GRANT OPTION;
GRANT SHOW VIEW ON mysql.* TO portico_admin@'%';
GRANT SHOW VIEW ON sys.* TO portico_admin@'%';
CREATE USER IF NOT EXISTS portico_replica@'%' ACCOUNT LOCK;
ALTER USER portico_replica@'%' IDENTIFIED BY $(quoted replication-password) REQUIRE SSL ACCOUNT UNLOCK;
GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT, SHOW VIEW, TRIGGER, EVENT, SHOW CREATE ROUTINE ON *.*
  TO portico_replica@'%';
SQL
}

write_following() {
    # Only the history that was copied: whatever another one makes would replace what is here.
    cat >>"$statements" <<SQL
CHANGE MASTER TO MASTER_HOST = '$PORTICO_PRIMARY', MASTER_PORT = 3306, MASTER_USER = 'portico_replica',
  MASTER_PASSWORD = $(quoted replication-password), MASTER_SSL = 1, MASTER_SSL_CA = '$tls/ca.crt',
  MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_CONNECT_RETRY = 2, MASTER_HEARTBEAT_PERIOD = 5,
  MASTER_USE_GTID = slave_pos, DO_DOMAIN_IDS = ($(cat "$data/portico_domain"));
START SLAVE;
SQL
}

# Runs a client program with options, as root over the socket.
as_root() {
    program=$1
    shift
    MYSQL_PWD=$(cat "$secrets/root-password") "$program" --no-defaults --socket="$run/mariadb.sock" --user=root "$@"
}

# Starts a server for this script alone on the data folder $1. Five minutes are for its recovery.
begin_private() {
    mariadbd --defaults-file="$settings" --datadir="$1" --skip-networking --init-file="$statements" &
    server=$!
    left=600
    until as_root mariadb-admin --connect-timeout=2 status >/dev/null 2>&1; do
        left=$((left - 1))
        if [ "$left" -eq 0 ] || ! kill -0 "$server" 2>/dev/null; then
            log "the server did not start on $1: its messages are above"
            exit 1
        fi
        sleep 0.5
    done
}

end_private() {
    kill "$server"
    wait "$server"
}

# The names of time zones come along where the image has them.
install_data() {
    rm -rf "$unfinished"
    zones=$temporary/zones.sql
    echo 'USE mysql;' >"$zones"
    mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo >>"$zones" 2>/dev/null || echo 'USE mysql;' >"$zones"
    # root gets a password that nobody has until the statements above give it the right one.
    if ! said=$(mariadb-install-db --defaults-file="$settings" --datadir="$unfinished" --skip-log-bin \
        --auth-root-authentication-method=socket --auth-root-socket-user=root --skip-test-db --cross-bootstrap \
        --extra-file="$zones" 2>&1); then
        log "the data folder cannot be made: $said"
        exit 1
    fi
}

finish_data() {
    rm -f "$zones"
    sync
    mv "$unfinished" "$data"
}

# A dump of the primary with options. Six hours are for the largest of small sites.
dump() {
    MYSQL_PWD=$(cat "$secrets/replication-password") timeout 21600 mariadb-dump --no-defaults \
        --host="$PORTICO_PRIMARY" --port=3306 --user=portico_replica --ssl-ca="$tls/ca.crt" --ssl-verify-server-cert \
        --single-transaction --max-allowed-packet=1G "$@"
}

# Everything but the server's own tables, with the position in the primary's log that it belongs to; then the users.
# Whoever is made between the two comes twice, which does no harm. The last line says that nothing broke off.
dump_primary() {
    dump --all-databases --ignore-database=mysql --ignore-database=sys --master-data=1 --gtid \
        --routines --triggers --events --hex-blob &&
        dump --system=users --insert-ignore && echo 'SELECT "complete";'
}

primary_domain() {
    MYSQL_PWD=$(cat "$secrets/replication-password") mariadb --no-defaults --host="$PORTICO_PRIMARY" --port=3306 \
        --user=portico_replica --ssl-ca="$tls/ca.crt" --ssl-verify-server-cert --connect-timeout=5 --batch \
        --skip-column-names --execute='SELECT @@global.gtid_domain_id'
}

# Five minutes, then the container ends and shows that it fails. The primary may still be starting.
await_primary() {
    attempts=100
    until domain=$(primary_domain); do
        attempts=$((attempts - 1))
        [ "$attempts" -gt 0 ] || exit 1
        sleep 3
    done
}

# Under another name first: half a data folder must never look like a whole one.
discard() {
    rm -rf "$unfinished"
    mv "$data" "$unfinished"
    rm -rf "$unfinished"
}

discard_useless() {
    if [ "$(cat "$useless")" = foreign ] && [ ! -e "$aside" ]; then
        mv "$data" "$aside"
        log "the primary does not have the history of this copy, which is kept in $aside"
    else
        log "the primary no longer has the log that this copy needs, or its rows are others"
        discard
    fi
}

copy_primary() {
    log "copying from $PORTICO_PRIMARY"
    await_primary
    install_data
    printf '%s' "$domain" >"$unfinished/portico_domain"
    begin_private "$unfinished"
    # The status of a pipe is that of its last command: what counts is what that has read.
    if [ "$(dump_primary | as_root mariadb --max-allowed-packet=1G --batch --skip-column-names)" != complete ]; then
        log "no copy of $PORTICO_PRIMARY: see above; the next start tries again"
        exit 1
    fi
    end_private
    finish_data
}

# Major and minor number of a version in standard input, as one number.
series() {
    sed 's/^[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/;q' | (
        read -r major minor
        echo $((major * 1000 + minor))
    )
}

same_series() {
    have=$(series <"$data/mariadb_upgrade_info")
    image=$(mariadbd --version | sed 's/^.*Ver *//' | series)
    [ "$have" -eq "$image" ]
}

# Data of an older series of the same major version is brought up to date. That of another major version is left alone:
# there is no way back, so somebody has to want it.
check_version() {
    same_series && return
    version=$(cat "$data/mariadb_upgrade_info")
    if [ "$have" -gt "$image" ] || [ $((have / 1000)) -ne $((image / 1000)) ]; then
        log "the volume holds data of version $version, the image has $(mariadbd --version | sed 's/ (.*//'): use an" \
            "image of that version, or dump the data with it and restore it into a new instance"
        exit 1
    fi
    log "bringing data of version $version up to date"
    begin_private "$data"
    as_root mariadb-upgrade --silent
    end_private
}

# Only the first megabytes of a volume are worth nothing to anybody; in a full one they are what lets the server start.
keep_reserve() {
    free=$(df --output=avail -k /data | sed -n '2s/ *//p')
    if [ "$free" -lt $((reserve_kib / 2)) ]; then
        log "the volume is full: giving back a reserve of $((reserve_kib / 1024)) MiB; delete something or let it grow"
        rm -f "$reserve"
    elif [ ! -e "$reserve" ] && [ "$free" -gt $((reserve_kib * 8)) ]; then
        head -c $((reserve_kib * 1024)) /dev/zero >"$reserve" || rm -f "$reserve"
    fi
}

prepare_primary() {
    if [ ! -e "$data" ]; then
        log "making a new data folder"
        install_data
        head -c 1000 /dev/urandom | LC_ALL=C tr -cd 1-9 | head -c 9 >"$unfinished/portico_domain"
        finish_data
    fi
    if [ -s "$data/master.info" ]; then
        log "the volume holds a copy for reading, not the data of a primary: give this instance its own volume back"
        exit 1
    fi
    write_domain
    check_version
}

prepare_replica() {
    if [ -e "$data" ] && [ -e "$useless" ]; then
        discard_useless
    elif [ -e "$data" ] && ! same_series; then
        log "the copy is of another version"
        discard
    fi
    rm -f "$useless"
    [ -e "$data" ] || copy_primary
    write_following
}

# alive.sh has patience as long as this is there.
: >"$run/preparing"
rm -rf "$temporary"
keep_reserve
mkdir -p "$temporary"
write_settings
write_statements
if [ "$role" = replica ]; then
    prepare_replica
else
    prepare_primary
fi
cat "$tls/tls.crt" >"$run/tls.seen"
log "starting"
rm -f "$run/preparing"
exec mariadbd --defaults-file="$settings" --init-file="$statements" "$@"
