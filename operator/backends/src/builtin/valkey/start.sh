#!/bin/sh
# Starts Valkey (or Redis) as process 1. Safe to be killed at any point: all that it does is repeated at every start.
set -eu
umask 077
trap 'exit 143' INT TERM
# shellcheck source-path=SCRIPTDIR source=shared.sh
. /etc/portico/engine/shared.sh

mkdir -p "$data"
admin=$(cat "$secrets/admin-password")
replica=$(cat "$secrets/replication-password")

# The operator's user administers users, ends their connections, removes their keys and renews the certificate; the
# copies' user copies. Users that the operator made stay.
{
    echo "user default off resetchannels -@all"
    echo "user portico_admin on >$admin resetchannels ~* -@all +ping +info +select +scan +unlink +flushall" \
        "+acl|setuser +acl|deluser +acl|getuser +acl|list +acl|save +acl|load +client|list +client|kill" \
        "+config|set"
    echo "user portico_replica on >$replica resetchannels -@all +ping +psync +replconf"
    [ ! -e "$users" ] || others <"$users"
} | write_users

configuration=/etc/portico/engine/valkey.conf
if [ "${PORTICO_ROLE-primary}" = replica ]; then
    cat >"$run/replica.conf" <<CONF
include $configuration
replicaof $PORTICO_PRIMARY 6379
masteruser portico_replica
masterauth $replica
CONF
    configuration=$run/replica.conf
fi
cat "$tls/tls.crt" "$tls/ca.crt" >"$run/tls.seen"
exec "$(program server)" "$configuration"
