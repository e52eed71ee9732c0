#!/bin/sh
# Starts PostgreSQL as process 1. On an empty volume it makes the data folder first.
#
# Safe to be killed at any point: the data folder is made under another name and renamed when it is complete, and all
# that comes after is repeated at every start.
set -eu
umask 077
trap 'exit 143' INT TERM

config=/etc/portico/engine
secrets=/etc/portico/credentials
# A folder of our own: the volume's root may belong to another user, and PostgreSQL wants 0700.
data=/data/postgresql
unfinished=/data/postgresql.unfinished

log() {
    echo "portico: $*" >&2
}

# A password as a quoted SQL string.
quoted() {
    printf "'%s'" "$(sed "s/'/''/g" "$1")"
}

# Runs SQL from standard input, one statement a line, without opening a port. The first error ends it. A failing
# statement is never logged, because it may hold a password.
single() {
    postgres --single -D "$1" -c config_file="$config/postgresql.conf" -c hba_file="$config/pg_hba.conf" \
        -c exit_on_error=on -c log_min_error_statement=panic -c log_checkpoints=off postgres >/dev/null
}

make_data() {
    log "making a new data folder"
    rm -rf "$unfinished"
    # The same sort order everywhere, whatever locales the image has.
    locale='--locale=C'
    if initdb --help | grep -q -e --builtin-locale; then
        locale="$locale --locale-provider=builtin --builtin-locale=C.UTF-8"
    fi
    # shellcheck disable=SC2086 # several options
    initdb -D "$unfinished" -U postgres --pwfile="$secrets/superuser-password" --auth=scram-sha-256 \
        --encoding=UTF8 $locale --data-checksums --no-instructions >/dev/null
    single "$unfinished" <<SQL
CREATE ROLE app LOGIN
CREATE DATABASE app OWNER app
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC
SQL
    sync
    mv "$unfinished" "$data"
}

check_version() {
    have=$(cat "$data/PG_VERSION")
    program=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    if [ "$have" != "$program" ]; then
        log "the volume holds data of version $have, the image has version $program: use an image of version $have," \
            "or dump the data with it and restore it into a new instance"
        exit 1
    fi
}

[ -e "$data" ] || make_data
check_version
single "$data" <<SQL
ALTER ROLE postgres PASSWORD $(quoted "$secrets/superuser-password")
ALTER ROLE app PASSWORD $(quoted "$secrets/password")
SQL
log "starting"
exec postgres -D "$data" -c config_file="$config/postgresql.conf" -c hba_file="$config/pg_hba.conf"
