#!/bin/sh
# Alive when it answers, even if only that it is unavailable.
exec garage -c /etc/portico/engine/garage.toml status >/dev/null
