#!/bin/sh
# Alive when the node answers, even if only that it is starting.
. /etc/portico/engine/env.sh
ask -a 'erlang node' >/dev/null
