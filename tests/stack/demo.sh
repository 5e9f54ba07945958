#!/usr/bin/env bash
#
# demo.sh - the worked example on real servers: a sum in PostgreSQL follows the changes of another
# table through Debezium, Kafka and tallyd, survives a killed stage, and ends exactly right.
#
#   ROWS=40  INTERVAL=0.1 (s)  STAGE=ingest|reduce|egress (default: random)  KEEP=1 (leave it running)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/stack/stack.sh

ROWS=${ROWS:-40}
INTERVAL=${INTERVAL:-0.1}
KEEP=${KEEP:-}
stages=(ingest reduce egress)
STAGE=${STAGE:-${stages[RANDOM % 3]}}
TALLYD=${TALLYD:-$PWD/build/release/tallyd}

tallyd=''        # pid
expected=0       # what the sum must become, by our own arithmetic
waiting_sums=()  # changes not seen in the target yet: the sum that each makes ...
waiting_since=() # ... when its commit returned, in us ...
waiting_text=()  # ... and what it was
delays=()        # us, of the changes seen
shown=''         # the newest row of the target: time|sum
killed=''        # pid of the killed stage until its successor's first row is seen
killed_at=0      # us

say()
{
	progress_end
	printf '%s\n' "$*"
}

die()
{
	say "demo: $*" >&2
	if [[ -f $STACK/tallyd.log ]]; then
		echo "The end of tallyd's log:" >&2
		tail -n 8 "$STACK/tallyd.log" >&2
	fi
	exit 1
}

check_arguments()
{
	[[ $ROWS =~ ^[1-9][0-9]{0,5}$ ]] || die "ROWS must be a whole number from 1, not '$ROWS'"
	[[ $INTERVAL =~ ^[0-9]*\.?[0-9]+$ ]] || die "INTERVAL must be seconds, not '$INTERVAL'"
	[[ " ${stages[*]} " == *" $STAGE "* ]] || die "STAGE must be one of ${stages[*]}, not '$STAGE'"
	[[ -x $TALLYD ]] || die "$TALLYD is missing: run make"
}

clean_up()
{
	if [[ -n $tallyd ]] && kill -TERM "$tallyd" 2>/dev/null; then
		wait "$tallyd" || true
	fi
	stack_down
}

# ---- SQL, over one connection that stays open -------------------------------------------------

sql_open()
{
	coproc SQL { exec "$stack_pgbin/psql" -X -q -A -t -v ON_ERROR_STOP=1 2>&1; }
	sql_in=${SQL[1]} sql_out=${SQL[0]}
}

# sql STATEMENT: its answer in $answer.
sql()
{
	local line
	answer=''
	printf '%s;\n\\echo .\n' "$1" >&"$sql_in"
	while IFS= read -r line <&"$sql_out" || die "psql has ended: $answer"; do
		[[ $line != . ]] || return 0
		answer+=${answer:+$'\n'}$line
	done
}

now_us()
{
	now=${EPOCHREALTIME/[.,]/}
}

# ---- the stages -------------------------------------------------------------------------------

# The pid of a stage: the child of tallyd that runs that file.
stage_pid()
{
	local pid
	for pid in $(<"/proc/$tallyd/task/$tallyd/children"); do
		if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == tallyd-"$1" ]]; then
			echo "$pid"
			return
		fi
	done
}

tallyd_start()
{
	mkdir -m 700 "$STACK/run"
	RUNTIME_DIRECTORY=$STACK/run setsid "$TALLYD" run compose/pipeline.sql \
	    >"$STACK/tallyd.log" 2>&1 </dev/null &
	tallyd=$!
	[[ -z $KEEP ]] || disown "$tallyd"
}

tallyd_check()
{
	[[ -n $(stack_started_at "$tallyd") ]] || die 'tallyd has ended'
}

stage_kill()
{
	killed=$(stage_pid "$STAGE")
	[[ -n $killed ]] || die "no $STAGE stage is running"
	now_us
	killed_at=$now
	kill -KILL "$killed"
	say "  --- kill -KILL $killed: the $STAGE stage ---"
}

# The first row after the kill is there: who made it, and when?
stage_survived()
{
	local successor=''
	while successor=$(stage_pid "$STAGE"); [[ -z $successor || $successor == "$killed" ]]; do
		tallyd_check
		sleep 0.01
	done
	say "  --- $STAGE was pid $killed, is pid $successor;" \
	    "$(((now - killed_at) / 1000)) ms from the kill to the next committed row ---"
	killed=''
}

# ---- changes and what becomes of them ---------------------------------------------------------

# change TEXT STATEMENT ADDED
change()
{
	sql "$2"
	[[ -z $answer ]] || die "$2: $answer"
	now_us
	expected=$((expected + $3))
	waiting_sums+=("$expected")
	waiting_since+=("$now")
	waiting_text+=("$1")
}

# Look once. A commit of tallyd may hold several changes: the newest of them with the sum that is
# shown, and all before it, have arrived.
look()
{
	local i seen=-1
	sql 'SELECT "time", sum::numeric FROM sum_table ORDER BY "time" DESC, diff DESC LIMIT 1'
	[[ -n $answer && $answer != "$shown" ]] || return 0
	now_us
	shown=$answer
	[[ -z $killed ]] || stage_survived
	for i in "${!waiting_sums[@]}"; do
		[[ ${waiting_sums[i]} != "${shown#*|}" ]] || seen=$i
	done
	for ((i = 0; i <= seen; i++)); do
		delays+=($((now - waiting_since[i])))
		say "$(printf '  %-22s sum %8s   seen after %s' "${waiting_text[i]}" \
		    "${waiting_sums[i]}" "$(milliseconds "${delays[-1]}")")"
	done
	waiting_sums=("${waiting_sums[@]:seen + 1}")
	waiting_since=("${waiting_since[@]:seen + 1}")
	waiting_text=("${waiting_text[@]:seen + 1}")
}

milliseconds()
{
	printf '%d.%d ms' $(($1 / 1000)) $(($1 / 100 % 10))
}

# watch US: look again and again for that long.
watch()
{
	local end
	now_us
	end=$((now + $1))
	while ((now < end)); do
		look
		sleep 0.002
		now_us
	done
}

# Until everything is seen; 90 s are more than the slowest restart takes, on the slowest machine.
watch_all()
{
	local end=$((SECONDS + 90))
	while ((${#waiting_sums[@]} > 0)) || [[ -n $killed ]]; do
		((SECONDS < end)) || die "the sum ${waiting_sums[-1]-} did not appear within 90 s"
		tallyd_check
		progress "$1"
		look
		sleep 0.002
	done
	progress_end
}

run_inserts()
{
	local i value interval due
	interval=$(printf '%.0f' "${INTERVAL}e6")
	now_us
	due=$now
	for ((i = 2; i <= ROWS; i++)); do
		if ((i == ROWS / 2 + 1)); then
			watch_all 'waiting for the sum to catch up'
			stage_kill
			now_us
			due=$now
		fi
		value=$((RANDOM % 100 + 1))
		change "INSERT $value" "INSERT INTO \"values\" VALUES ($value)" "$value"
		due=$((due + interval))
		now_us
		watch $((due > now ? due - now : 0))
	done
	watch_all 'waiting for the sum to catch up'
}

# The table has no key: the first row as it lies is as good as any.
run_update_and_delete()
{
	local value first='ctid = (SELECT ctid FROM "values" LIMIT 1)'
	sql 'SELECT value FROM "values" LIMIT 1'
	value=$answer
	change "UPDATE $value to 1000" "UPDATE \"values\" SET value = 1000 WHERE $first" \
	    $((1000 - value))
	watch_all 'waiting for the UPDATE'
	sql 'SELECT value FROM "values" LIMIT 1'
	value=$answer
	change "DELETE $value" "DELETE FROM \"values\" WHERE $first" $((-value))
	watch_all 'waiting for the DELETE'
}

# ---- the end ----------------------------------------------------------------------------------

live='SELECT sum::numeric FROM sum_table GROUP BY sum HAVING sum(diff) > 0'

compare()
{
	local end=$((SECONDS + 30)) wanted
	sql 'SELECT sum(value) FROM "values"'
	wanted=$answer
	while sql "$live"; [[ $answer != "$wanted" ]]; do
		((SECONDS < end)) || die "PostgreSQL says $wanted, the target has '$answer'"
		progress 'comparing'
		sleep 0.05
	done
	say
	say "SELECT sum(value) FROM \"values\"    $wanted"
	say "the live row of sum_table          $answer   equal"
}

summary()
{
	local sorted
	mapfile -t sorted < <(printf '%s\n' "${delays[@]}" | sort -n)
	sql 'SELECT count(DISTINCT "time") FROM sum_table'
	say "${#sorted[@]} changes in $answer commits; from commit to visible:" \
	    "median $(milliseconds "${sorted[${#sorted[@]} / 2]}")," \
	    "longest $(milliseconds "${sorted[-1]}")"
}

keep_running()
{
	trap - EXIT
	cat <<-END

		Left running in $STACK. To try:

		  . $STACK/env
		  psql -c 'INSERT INTO "values" VALUES (42)'
		  psql -c 'SELECT * FROM sum_table ORDER BY time DESC, diff DESC LIMIT 4'
		  RUNTIME_DIRECTORY=$STACK/run $TALLYD status compose/pipeline.sql
		  tail -f $STACK/tallyd.log

		To end it:

		  kill $tallyd; tests/stack/stack.sh down $STACK
	END
}

main()
{
	check_arguments
	stack_trap clean_up
	say 'Starting PostgreSQL, Kafka and Kafka Connect with Debezium'
	[[ -z $KEEP ]] || STACK_TETHER=''
	stack_up "$(mktemp -d "${TMPDIR:-/tmp}/tallyd-demo.XXXXXX")"
	stack_database "$PGDATABASE"
	progress 'registering the connector'
	CONNECTOR_OPTIONS=poll.interval.ms=1 stack_connector postgres public.values >/dev/null
	say 'Starting tallyd'
	tallyd_start
	sql_open
	change 'INSERT 1' 'INSERT INTO "values" VALUES (1)' 1
	watch_all 'waiting for the first row'
	say "Inserts into \"values\", one each $INTERVAL s, and the newest row of sum_table:"
	run_inserts
	run_update_and_delete
	compare
	summary
	[[ -z $KEEP ]] || keep_running
}

main
