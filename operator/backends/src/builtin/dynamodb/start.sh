#!/bin/sh
# Starts DynamoDB Local as process 1.
set -eu
umask 077
trap 'exit 143' INT TERM

# A folder of our own: the volume's root may belong to another user.
mkdir -p /data/dynamodb

home=/home/dynamodblocal
if [ ! -f "$home/DynamoDBLocal.jar" ]; then
    echo "there is no $home/DynamoDBLocal.jar: use an image of DynamoDB Local" >&2
    exit 1
fi
# It unpacks a library of SQLite at each start, and leaves it there when it is killed.
unpacked=/tmp/dynamodb
rm -rf "$unpacked"
mkdir "$unpacked"

# One database for all keys and regions: whoever reaches the port sees every table.
exec java @/etc/portico/engine/java.options "-Djava.io.tmpdir=$unpacked" \
    "-Djava.library.path=$home/DynamoDBLocal_lib" \
    -cp "$home/DynamoDBLocal.jar:$home/DynamoDBLocal_lib/*" software.amazon.dynamodb.services.local.main.ServerRunner \
    -port 8000 -sharedDb -dbPath /data/dynamodb -disableTelemetry
