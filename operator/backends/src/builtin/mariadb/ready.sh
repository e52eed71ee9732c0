#!/bin/sh
# Ready when the operator's user can log in over TLS and ask, and a replica applies what it gets. The certificate is not
# checked here: were it out of date, an unready pod could not be reached to renew it. A replica whose primary is away is
# ready, too: it answers with what it has.
#
# Beside that, the server is told of a renewed certificate.
set -u
umask 077
run=/run/portico
tls=/etc/portico/tls
MYSQL_PWD=$(cat /etc/portico/credentials/admin-password)
export MYSQL_PWD

ask() {
    mariadb --no-defaults --protocol=TCP --host=127.0.0.1 --user=portico_admin --connect-timeout=3 \
        --ssl --disable-ssl-verify-server-cert --batch --execute="$1"
}

# What was read before the statement is what counts as seen: a later change is another difference.
renew_certificate() {
    now=$(cat "$tls/tls.crt")
    [ "$now" != "$(cat "$run/tls.seen")" ] || return 0
    ask 'FLUSH NO_WRITE_TO_BINLOG SSL' && printf '%s\n' "$now" >"$run/tls.seen"
}

renew_certificate
if [ "${PORTICO_ROLE:-primary}" = primary ]; then
    ask 'SELECT 1' >/dev/null
    exit
fi
state=$(ask 'SHOW REPLICA STATUS\G') || exit 1
running() {
    echo "$state" | grep -q "^ *Slave_$1_Running: $2\$"
}
running SQL Yes && { running IO Yes || running IO Connecting; }
