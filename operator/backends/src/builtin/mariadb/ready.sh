#!/bin/sh
# Ready when the operator's user can log in over TLS and ask, and a replica follows its primary.
MYSQL_PWD=$(cat /etc/portico/credentials/admin-password)
export MYSQL_PWD
ask() {
    mariadb --no-defaults --protocol=TCP --host=127.0.0.1 --user=portico_admin --connect-timeout=3 \
        --ssl-ca=/etc/portico/tls/ca.crt --ssl-verify-server-cert --batch --execute="$1"
}
if [ "${PORTICO_ROLE:-primary}" = replica ]; then
    state=$(ask 'SHOW REPLICA STATUS\G') || exit 1
    echo "$state" | grep -q '^ *Slave_IO_Running: Yes$' && echo "$state" | grep -q '^ *Slave_SQL_Running: Yes$'
else
    ask 'SELECT 1' >/dev/null
fi
