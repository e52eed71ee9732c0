#!/bin/sh
# Ready when the application's user can log in and is answered.
client=valkey-cli
command -v "$client" >/dev/null || client=redis-cli
# Clients of both names read the password from the environment, which unlike an argument no other process sees.
REDISCLI_AUTH=$(cat /etc/portico/credentials/password)
VALKEYCLI_AUTH=$REDISCLI_AUTH
export REDISCLI_AUTH VALKEYCLI_AUTH
[ "$("$client" -h 127.0.0.1 --user app ping 2>/dev/null)" = PONG ]
