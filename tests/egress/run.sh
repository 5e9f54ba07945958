#!/bin/sh
# Run the egress tests against a throwaway PostgreSQL: tests/egress/run.sh [BUILD [TEST...]]
# Needs BUILD/tallyd-egress (compiled with fault points) and BUILD/egress-test.
set -eu

build=$(cd "${1:-$(dirname "$0")/../../build/fault}" && pwd)
[ $# = 0 ] || shift
cd /
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v postgres)")
folder=$(mktemp -d "${TMPDIR:-/tmp}/tallyd-egress-XXXXXX")
data=$folder/data
as_postgres=

cleanup() {
	trap - EXIT INT TERM
	$as_postgres "$bin/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || :
	if [ -n "${KEEP:-}" ]; then echo "kept: $folder"; else rm -rf "$folder"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# PostgreSQL refuses to be run by root.
if [ "$(id -u)" = 0 ]; then
	as_postgres="setpriv --reuid=postgres --regid=postgres --init-groups"
	chown postgres "$folder"
	chmod 755 "$folder"
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null ||
    shuf -i 20000-32000 -n 1)
$as_postgres "$bin/initdb" -D "$data" -A trust -U tester --no-sync -E UTF8 --locale=C >/dev/null
cat >>"$data/postgresql.conf" <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
fsync = off
log_line_prefix = '%m [%p] %a '
CONF
sed -i 's/^host  *all  *all  *127.*/host all locked 127.0.0.1\/32 scram-sha-256\n&/' "$data/pg_hba.conf"
$as_postgres "$bin/pg_ctl" -D "$data" -l "$folder/server.log" -w start >/dev/null

export PGHOST=127.0.0.1 PGPORT="$port" PGUSER=tester PGDATABASE=postgres
export EGRESS="$build/tallyd-egress" EGRESS_FOLDER="$folder"
export PG_CTL="$as_postgres $bin/pg_ctl -D $data -l $folder/server.log -w"
unset PGPASSWORD
"$build/egress-test" "$@"
