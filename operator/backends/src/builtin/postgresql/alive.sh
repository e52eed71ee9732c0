#!/bin/sh
# Alive when it answers, even if only to say that it is still starting (1).
pg_isready -q -h 127.0.0.1 -t 3
[ $? -le 1 ]
