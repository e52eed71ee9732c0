#!/bin/sh
# Ready when every partition can be read and written.
exec garage -c /etc/portico/engine/garage.toml health >/dev/null
