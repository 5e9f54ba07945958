#!/bin/sh
# update_db.sh - a slow load for the worked example: COUNT inserts, one each INTERVAL seconds.
# Where to is said by libpq's own variables: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE.
set -eu

COUNT=${COUNT:-1000}
INTERVAL=${INTERVAL:-0.5}
case $COUNT in
'' | *[!0-9]*)
	echo "update_db: COUNT must be a whole number, not '$COUNT'" >&2
	exit 64
	;;
esac
export PGHOST="${PGHOST:-localhost}" PGUSER="${PGUSER:-user}" PGPASSWORD="${PGPASSWORD:-password}"
export PGDATABASE="${PGDATABASE:-values_db}"

inserts()
{
	i=1
	while [ "$i" -le "$COUNT" ]; do
		echo "INSERT INTO \"values\" VALUES ($i);"
		i=$((i + 1))
		sleep "$INTERVAL"
	done
}

echo "update_db: $COUNT inserts, one each $INTERVAL s, into $PGDATABASE on $PGHOST" >&2
inserts | psql -X -q -v ON_ERROR_STOP=1
echo "update_db: done" >&2
