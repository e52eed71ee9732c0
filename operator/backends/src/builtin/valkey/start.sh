#!/bin/sh
# Starts Valkey (or Redis) as process 1.
set -eu
umask 077
trap 'exit 143' INT TERM

# A folder of our own: the volume's root may belong to another user.
mkdir -p /data/valkey

# The list of users lies in memory, like the mounted password. `app` may do everything with keys and channels; commands
# that administer, stall or empty the server are not for it.
cat >/run/portico/users.acl <<ACL
user default off resetchannels -@all
user app on >$(cat /etc/portico/credentials/password) ~* &* +@all -@admin -@dangerous +info
ACL

server=valkey-server
command -v "$server" >/dev/null || server=redis-server
exec "$server" /etc/portico/engine/valkey.conf
