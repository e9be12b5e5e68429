#!/bin/sh
# A cluster of its own for each trial, which trusts whoever comes. PostgreSQL refuses to run as root.
set -e
data=$1 host=$2 port=$3
PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
as=
if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid postgres --regid postgres --clear-groups"
fi
mkdir -m 700 "$data"
[ -z "$as" ] || chown postgres: "$data"
$as initdb --pgdata "$data" --username postgres --auth trust --no-sync --no-instructions > /dev/null
# Each attempt comes from an address of its own.
echo "host all all 127.0.0.0/8 trust" >> "$data/pg_hba.conf"
exec $as postgres -D "$data" -p "$port" -c listen_addresses="$host" -c unix_socket_directories= -c fsync=off \
    -c max_connections=200
