#!/bin/sh
# Starts PostgreSQL as process 1. On an empty volume it makes the data folder first, or copies it from the primary.
#
# Safe to be killed at any point: the data folder is made under another name and renamed when it is complete, and all
# that comes after is repeated at every start.
set -eu
umask 077
trap 'exit 143' INT TERM
# shellcheck source-path=SCRIPTDIR source=shared.sh
. /etc/portico/engine/shared.sh

unfinished=/data/postgresql.unfinished
# The copy of a database that the primary no longer is. It may be the last one, so it is kept.
aside=/data/postgresql.aside

log() {
    echo "portico: $*" >&2
}

# A password as a quoted SQL string.
quoted() {
    printf "'%s'" "$(sed "s/'/''/g" "$secrets/$1")"
}

# Runs SQL from standard input, one statement a line, without opening a port. The first error ends it. A failing
# statement is never logged, because it may hold a password.
single() {
    postgres --single -D "$data" -c config_file="$config/postgresql.conf" -c hba_file="$config/pg_hba.conf" \
        -c exit_on_error=on -c log_min_error_statement=panic -c log_checkpoints=off postgres >/dev/null
}

# What is in the folder is on the disk already, by those who made it.
complete() {
    sync "$unfinished"
    mv "$unfinished" "$data"
    sync /data
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
    complete
}

# The operator's role may make roles and databases, and own and drop what it made. Its statements are not logged.
make_roles() {
    single <<SQL
DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''portico_admin'') THEN CREATE ROLE portico_admin; END IF; END'
DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''portico_replica'') THEN CREATE ROLE portico_replica; END IF; END'
ALTER ROLE postgres PASSWORD $(quoted superuser-password)
ALTER ROLE portico_admin NOSUPERUSER LOGIN CREATEROLE CREATEDB NOREPLICATION PASSWORD $(quoted admin-password)
ALTER ROLE portico_replica NOSUPERUSER LOGIN REPLICATION PASSWORD $(quoted replication-password)
ALTER ROLE portico_admin SET createrole_self_grant TO 'set, inherit'
ALTER ROLE portico_admin SET log_statement TO 'none'
ALTER ROLE portico_admin SET log_min_error_statement TO 'panic'
ALTER ROLE portico_admin SET log_min_duration_statement TO -1
GRANT pg_signal_backend, pg_read_all_stats TO portico_admin
GRANT EXECUTE ON FUNCTION pg_reload_conf(), pg_ls_waldir() TO portico_admin
GRANT CONNECT ON DATABASE postgres TO portico_admin
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC
SQL
}

# Whether the image runs the version that made the data.
same_version() {
    have=$(cat "$data/PG_VERSION")
    program=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "$have" = "$program" ]
}

prepare_primary() {
    [ -e "$data" ] || make_data
    if [ -e "$data/standby.signal" ]; then
        log "the volume holds a copy for reading, not the data of a primary: give this instance its own volume back"
        exit 1
    fi
    if ! same_version; then
        log "the volume holds data of version $have, the image has version $program: use an image of version $have," \
            "or dump the data with it and restore it into a new instance"
        exit 1
    fi
    make_roles
}

write_passfile() {
    for user in admin:admin replica:replication; do
        password=$(sed 's/[\\:]/\\&/g' "$secrets/${user#*:}-password")
        printf '*:*:*:portico_%s:%s\n' "${user%:*}" "$password"
    done >"$passfile.new"
    mv "$passfile.new" "$passfile"
}

control() {
    LC_ALL=C pg_controldata "$data" | sed -n "s/^$1: *//p"
}

# Under another name first: half a data folder must never look like a whole one.
discard() {
    rm -rf "$unfinished"
    mv "$data" "$unfinished"
    rm -rf "$unfinished"
}

foreign() {
    [ ! -e "$data/standby.signal" ] || ! same_version || [ "$(followable \
        "$(control 'Database system identifier')" "$(control "Latest checkpoint's TimeLineID")")" = foreign ]
}

# A copy that the primary has outrun is worth nothing, one with another history may be the last of its data.
discard_if_useless() {
    if [ -e "$outdated" ]; then
        log "the primary no longer has the log that this copy needs"
        discard
    elif foreign; then
        log "the primary does not have the history of this copy"
        if [ -e "$aside" ]; then
            discard
        else
            mv "$data" "$aside"
            log "the old copy is kept in $aside"
        fi
    fi
}

# Five minutes, then the container ends and shows that it fails. The primary may still be starting.
copy() {
    log "copying from $PORTICO_PRIMARY"
    attempts=100
    rm -rf "$unfinished"
    until pg_basebackup -D "$unfinished" -d "$(primary portico_replica)" --checkpoint=fast --wal-method=stream \
        --no-manifest --no-password; do
        rm -rf "$unfinished"
        attempts=$((attempts - 1))
        [ "$attempts" -gt 0 ] || exit 1
        sleep 3
    done
    : >"$unfinished/standby.signal"
    sync "$unfinished/standby.signal"
    complete
}

prepare_replica() {
    write_passfile
    [ ! -e "$data" ] || discard_if_useless
    [ -e "$data" ] || copy
}

# A copy must allow at least as much as the primary did when it wrote the log that is still to be replayed.
no_less_than_before() {
    before=$(control "$1 setting")
    now=$(postgres -C "$1" -D "$data" -c config_file="$config/postgresql.conf")
    [ "$now" -ge "$before" ] || printf '%s' "-c $1=$before"
}

# PostgreSQL takes a key of root's that its group may read, or one of its own that nobody else may.
key_is_usable() {
    case "$(stat -L -c '%u %a' "$tls/tls.key")" in
        '0 400' | '0 440' | '0 600' | '0 640') true ;;
        *) false ;;
    esac
}

: >"$run/preparing"
set -- -D "$data" -c config_file="$config/postgresql.conf" -c hba_file="$config/pg_hba.conf"
if [ "${PORTICO_ROLE-primary}" = primary ]; then
    prepare_primary
else
    prepare_replica
    set -- "$@" -c primary_conninfo="$(primary portico_replica)"
    for setting in max_connections max_worker_processes max_wal_senders; do
        # shellcheck disable=SC2046 # nothing or two words
        set -- "$@" $(no_less_than_before "$setting")
    done
fi
rm -f "$run/tls.key" "$run/tls.seen"
if ! key_is_usable; then
    cp "$tls/tls.key" "$run/tls.key"
    chmod 0600 "$run/tls.key"
    set -- "$@" -c ssl_key_file="$run/tls.key"
fi
cat "$tls/tls.crt" >"$run/tls.seen"
log "starting"
rm -f "$run/preparing"
exec postgres "$@"
