#!/bin/sh
# Starts Garage as process 1.
set -eu
umask 077
trap 'exit 143' INT TERM

# Folders of our own: the volume's root may belong to another user.
meta=/data/garage/meta
mkdir -p "$meta" /data/garage/data

# The node's key is made before anything is stored, in two writes that a kill can come between. The second file is the
# second half of the first; a key that is not whole was never used, and neither was a layout that names it.
bytes() {
    if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi
}
if [ "$(bytes "$meta/node_key")" -ne 64 ]; then
    rm -f "$meta/node_key" "$meta/node_key.pub" "$meta/cluster_layout"
elif [ "$(bytes "$meta/node_key.pub")" -ne 32 ]; then
    tail -c 32 "$meta/node_key" >"$meta/node_key.pub"
fi

# How blocks are spread over disks follows from there being one. The file that says so is compared with a mark beside the
# blocks, and when a power failure takes one of the two Garage would not start.
rm -f "$meta/data_layout"

# The layout of one node is made when there is none; an existing one stays.
NO_COLOR=1 exec garage -c /etc/portico/engine/garage.toml server --single-node
