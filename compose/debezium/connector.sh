#!/usr/bin/env bash
#
# connector.sh - register Debezium's PostgreSQL connector with Kafka Connect, and wait until it
# streams. Idempotent; waits for servers that are not up yet; needs only bash and curl.
#
#   CONNECT_URL        Kafka Connect's REST interface        http://connect:8083
#   CONNECTOR          its name, and topic prefix, slot and publication   postgres
#   TABLES             tables to capture, comma separated    public.values
#   PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE   the source, as the connector sees it
#   CONNECTOR_OPTIONS  more options or other values: lines of name=value
#   WAIT               seconds to try                        120
set -euo pipefail

CONNECT_URL=${CONNECT_URL:-http://connect:8083}
CONNECTOR=${CONNECTOR:-postgres}
WAIT=${WAIT:-120}

options()
{
	local slot=${CONNECTOR//[^a-z0-9_]/_}

	cat <<-END
		connector.class=io.debezium.connector.postgresql.PostgresConnector
		tasks.max=1
		database.hostname=${PGHOST:-postgres}
		database.port=${PGPORT:-5432}
		database.user=${PGUSER:-user}
		database.password=${PGPASSWORD:-password}
		database.dbname=${PGDATABASE:-values_db}
		topic.prefix=$CONNECTOR
		table.include.list=${TABLES:-public.values}
		plugin.name=pgoutput
		slot.name=$slot
		publication.name=$slot
		publication.autocreate.mode=filtered
		provide.transaction.metadata=true
		heartbeat.interval.ms=1000
		poll.interval.ms=1
		slot.retry.delay.ms=500
		retriable.restart.connector.wait.ms=500
		${CONNECTOR_OPTIONS:-}
	END
}

# Lines of name=value to one JSON object; of two lines with one name the later counts.
options_json()
{
	local -A value=()
	local line name separator='' text

	while IFS= read -r line; do
		[[ $line == *=* ]] || continue
		value[${line%%=*}]=${line#*=}
	done
	printf '{'
	for name in "${!value[@]}"; do
		text=${value[$name]//\\/\\\\}
		printf '%s"%s":"%s"' "$separator" "$name" "${text//\"/\\\"}"
		separator=,
	done
	printf '}'
}

# request METHOD PATH [BODY]: the answer in $answer, its status in $status (000: no answer). The body
# goes through a pipe: it holds the password, and arguments can be seen by others.
request()
{
	local body=()
	[[ -z ${3-} ]] || body=(--data-binary @-)
	answer=$(curl -s --max-time 30 -X "$1" -H 'Content-Type: application/json' \
	    -w '\n%{http_code}' "${body[@]}" "$CONNECT_URL$2" <<<"${3-}") || true
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
}

# What went wrong, in $problem, in one line, without the configuration (it holds the password).
note_problem()
{
	problem=${answer:-no answer from $CONNECT_URL}
	problem=${problem//\\[nt]/ }
	problem=${problem//\\\"/\'}
	if [[ $problem =~ \"(message|trace)\":\"([^\"]*) ]]; then
		problem=${BASH_REMATCH[2]}
	fi
	problem=${problem:0:400}
}

register()
{
	request PUT "/connectors/$CONNECTOR/config" "$configuration"
	[[ $status == 20[01] ]] || { note_problem; return 1; }
}

# A failed one (the table may not exist yet) is asked to try again.
running()
{
	request GET "/connectors/$CONNECTOR/status"
	if [[ $answer == *'"state":"FAILED"'* ]]; then
		note_problem
		request POST "/connectors/$CONNECTOR/restart?includeTasks=true&onlyFailed=true"
		sleep 0.5
		return 1
	fi
	[[ $answer == *'"state":"RUNNING"'*'"tasks":['*'"state":"RUNNING"'* ]]
}

# A problem is told when it has lasted: while servers start, some are normal.
until_done()
{
	local said=''
	until "$1"; do
		if ((SECONDS >= WAIT)); then
			echo "connector $CONNECTOR: gave up after $WAIT s: $problem" >&2
			exit 1
		fi
		if [[ $problem != "$said" && $SECONDS -ge 5 ]]; then
			echo "connector $CONNECTOR: waiting: $problem" >&2
			said=$problem
		fi
		sleep 0.1
	done
}

configuration=$(options | options_json)
answer='' status='' problem='it is not running'
until_done register
until_done running
echo "connector $CONNECTOR: running"
