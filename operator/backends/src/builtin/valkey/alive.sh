#!/bin/sh
# Alive when it answers, even if only that it is loading or that a password is needed.
client=valkey-cli
command -v "$client" >/dev/null || client=redis-cli
case "$("$client" -h 127.0.0.1 ping 2>&1)" in
    *PONG* | *NOAUTH* | *LOADING* | *NOPERM*) exit 0 ;;
    *) exit 1 ;;
esac
