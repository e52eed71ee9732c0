#!/bin/sh
# Ready when the operator's user can log in through TLS and ask. The certificate is not checked here: were it out of
# date, an unready pod could not be reached to renew it.
#
# Beside that, the server is told of a renewed certificate, and a copy that cannot go on is stopped to be made anew.
set -u
umask 077
# shellcheck source-path=SCRIPTDIR source=shared.sh
. /etc/portico/engine/shared.sh

server() {
    sed -n 1p "$data/postmaster.pid"
}

# What was read before the signal is what counts as seen: a later change is another difference.
renew_certificate() {
    now=$(cat "$tls/tls.crt")
    [ "$now" != "$(cat "$run/tls.seen")" ] || return 0
    [ ! -e "$run/tls.key" ] || cp -f "$tls/tls.key" "$run/tls.key"
    kill -HUP "$(server)" && printf '%s\n' "$now" >"$run/tls.seen"
}

ask() {
    PGPASSWORD=$(cat "$secrets/admin-password") PGCONNECT_TIMEOUT=3 psql --no-psqlrc -Atq -F ' ' -c "$1" \
        'host=127.0.0.1 user=portico_admin dbname=postgres sslmode=require'
}

state="SELECT pg_is_in_recovery(), EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
    s.system_identifier, c.timeline_id, coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    FROM pg_control_system() AS s, pg_control_checkpoint() AS c"

# Only a server that answers is sent signals: before, the process with its number may be another one.
if [ "${PORTICO_ROLE-primary}" = primary ]; then
    ask 'SELECT 1' >/dev/null || exit 1
    renew_certificate
    exit 0
fi

said=$(ask "$state") || exit 1
renew_certificate
# shellcheck disable=SC2086 # words
set -- $said
[ "$1" = t ] || exit 1
# One that does not stream is ready, too: it answers with what it has until the primary is back.
[ "$2" = f ] || exit 0
case $(followable "$3" "$4" "${5-}") in
    outdated) : >"$outdated" ;;
    foreign) ;;
    *) exit 0 ;;
esac
# start.sh finds out again, and copies.
kill -INT "$(server)"
exit 1
