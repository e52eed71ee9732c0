#!/bin/sh
# Ready when the application's user can log in and ask.
PGPASSWORD=$(cat /etc/portico/credentials/password)
PGCONNECT_TIMEOUT=3
export PGPASSWORD PGCONNECT_TIMEOUT
exec psql --no-psqlrc -h 127.0.0.1 -U app -d app -Atqc 'SELECT 1' >/dev/null
