# shellcheck shell=sh
# What the other scripts need: where things are, and how the server is asked.
# shellcheck disable=SC2034 # used by those who read this file
secrets=/etc/portico/credentials
tls=/etc/portico/tls
# Memory: passwords in it are gone with the pod.
run=/run/portico
# A folder of our own: the volume's root may belong to another user.
data=/data/valkey
users=$data/users.acl
# The volume of a copy has it once the copy was complete.
complete=$data/portico.complete

# The program of that name; images of Redis have other names for them.
program() {
    if command -v "valkey-$1" >/dev/null; then echo "valkey-$1"; else echo "redis-$1"; fi
}

client() {
    timeout 3 "$(program cli)" --tls -p 6379 "$@"
}

# Asks a server as the operator's user. Clients of both names read the password from the environment, which unlike an
# argument no other process sees.
administer() {
    password=$(cat "$secrets/admin-password")
    VALKEYCLI_AUTH=$password REDISCLI_AUTH=$password client --user portico_admin "$@" 2>/dev/null
}

# The server of this pod. Its certificate is not checked here: were it out of date, an unready pod could not be reached
# to renew it.
ask() {
    administer --insecure -h 127.0.0.1 "$@"
}

# Of a list of users (standard input), those that start.sh makes.
own() {
    grep -E '^user (default|portico_admin|portico_replica) '
}

# And those that the operator made.
others() {
    grep -vE '^(user (default|portico_admin|portico_replica) .*)?$' || true
}

# Puts standard input in the place of the list of users, as a whole or not at all.
write_users() {
    cat >"$users.new"
    sync "$users.new"
    mv "$users.new" "$users"
}
