#!/bin/sh
# Alive while the data is made, copied or recovered before the start, and then when it answers, even if only to say that
# it is still starting (1).
[ ! -e /run/postgresql/preparing ] || exit 0
pg_isready -q -h 127.0.0.1 -U portico_admin -d postgres -t 3
[ $? -le 1 ]
