#!/bin/sh
# Starts RabbitMQ as process 1.
#
# Safe to be killed at any point: the node makes its data by steps that it repeats, what it forgets is mended, and what
# is written here lies in memory and is made anew at every start.
set -eu
umask 077
trap 'exit 143' INT TERM
. /etc/portico/engine/env.sh

secrets=/etc/portico/credentials

# The content of a file as the inside of a JSON string.
json() {
    sed 's/[\\"]/\\&/g' "$1"
}

# A folder of our own: the volume's root may belong to another user.
mkdir -p /data/rabbitmq
# Both sides of a connection between Erlang programs prove that they know it. Nobody connects from outside the pod.
rm -f "$HOME/.erlang.cookie"
cat "$secrets/erlang-cookie" >"$HOME/.erlang.cookie"
chmod 0400 "$HOME/.erlang.cookie"

# Read by the node before it listens, at every start, so that the password is always the one of the Secret. With this
# file there is no user `guest`.
cat >"$HOME/definitions.json" <<JSON
{"users": [{"name": "portico_admin", "password": "$(json "$secrets/admin-password")", "tags": ["administrator"]}]}
JSON

set --
for folder in quorum coordination; do
    folder=$RABBITMQ_MNESIA_DIR/$folder/$RABBITMQ_NODENAME
    [ ! -e "$folder/names.dets" ] || set -- "$@" "$folder"
done
[ $# -eq 0 ] || escript /etc/portico/engine/names.escript "$@" || echo "portico: the registers stay as they are" >&2

# As many threads as a small broker needs, however many processors the machine has: each costs memory.
threads=$(nproc)
[ "$threads" -le 4 ] || threads=4
# With a name from the beginning the node does not start a second virtual machine to find out whether it is taken.
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S $threads:$threads -sname $RABBITMQ_NODENAME $without_epmd \
-kernel inet_dist_use_interface {$(echo "$node_address" | tr . ,)}"
# Makes the script of the image replace itself by the node, which handles the stop signal itself.
RUNNING_UNDER_SYSTEMD=true
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS RUNNING_UNDER_SYSTEMD
exec rabbitmq-server
