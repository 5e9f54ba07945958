#!/usr/bin/env bash
#
# run.sh - how fast, how large: the worked example over a topic that is full already.
#
#   ROWS=1000000 ROUNDS=3 SCHEMA=on TRANSACTIONS=0 tests/bench/run.sh
#
# Writes ROWS inserts to a topic (SCHEMA=off: without the schema block; TRANSACTIONS=N: N rows
# each, with a transaction topic), then in each round reads it once with the raw consumer, the
# ceiling, and once with tallyd from its start until the last row of the view can be seen in
# PostgreSQL. Prints one line a round and the medians.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/stack/stack.sh

ROWS=${ROWS:-1000000}
ROUNDS=${ROUNDS:-3}
SCHEMA=${SCHEMA:-on}
TRANSACTIONS=${TRANSACTIONS:-0}
BIN=${BIN:-build/release}
topic=postgres.public.values
transactions=postgres.transaction
ticks=$(getconf CLK_TCK)
tallyd=''

bench_end()
{
	[[ -z $tallyd ]] || kill -KILL "$tallyd" 2>/dev/null || true
	stack_down
}

bench_fill()
{
	local options=()
	if ((TRANSACTIONS > 0)); then
		options=(--transaction-topic "$transactions" --per-transaction "$TRANSACTIONS")
	fi
	"$BIN/bench-produce" --brokers "$BOOTSTRAP" --topic "$topic" --count "$ROWS" \
	    --schema "$SCHEMA" "${options[@]}"
}

# bench_pipeline NAME: a name and a table of its own for each round.
bench_pipeline()
{
	local option=''
	((TRANSACTIONS == 0)) || option=", transaction_topic '$transactions'"
	stack_psql -c "CREATE TABLE $1 (sum bigint, time bigint, diff integer)"
	cat >"$STACK/$1.sql" <<-END
		SET pipeline = '$1';
		CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
		  OPTIONS ("bootstrap.servers" '$BOOTSTRAP'$option);
		CREATE FOREIGN TABLE "values" (value integer NOT NULL)
		  SERVER kafka OPTIONS (topic '$topic');
		CREATE SERVER target FOREIGN DATA WRAPPER postgres
		  OPTIONS (host '$PGHOST', port '$PGPORT', dbname '$PGDATABASE', "user" '$PGUSER',
		    password '$PGPASSWORD');
		CREATE MATERIALIZED VIEW $1 WITH (output = changes)
		  AS SELECT sum(value) AS sum FROM "values";
	END
}

bench_pids()
{
	echo "$tallyd" $(cat "/proc/$tallyd/task/$tallyd/children" 2>/dev/null)
}

# Proportional set size of all processes, kB: shared pages are counted once. Only
# root would see it of processes without TALLYD_CORE.
bench_pss()
{
	local pid
	for pid in $(bench_pids); do
		cat "/proc/$pid/smaps_rollup" 2>/dev/null || true
	done | awk '/^Pss:/ { sum += $2 } END { print sum + 0 }'
}

# CPU seconds of all processes so far.
bench_cpu()
{
	local pid
	for pid in $(bench_pids); do
		sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null || true
	done | awk -v ticks="$ticks" '{ sum += $12 + $13 } END { printf "%.2f\n", sum / ticks }'
}

# bench_watch NAME: print the moment (ms) at which the last row can be seen.
bench_watch()
{
	stack_psql >/dev/null <<-END
		DO \$\$ BEGIN
		  FOR i IN 1..30000 LOOP
		    PERFORM 1 FROM $1 WHERE diff = 1 AND sum = $ROWS::bigint * ($ROWS + 1) / 2;
		    EXIT WHEN FOUND;
		    PERFORM pg_sleep(0.01);
		  END LOOP;
		END \$\$;
	END
	stack_now_ms
}

# bench_tallyd NAME: sets seconds, rate, cpu, pss, commits.
bench_tallyd()
{
	local begin end peak=0 now watch
	bench_pipeline "$1"
	bench_watch "$1" >"$STACK/$1.seen" &
	watch=$!
	begin=$(stack_now_ms)
	TALLYD_CORE=1 "$BIN/tallyd" run "$STACK/$1.sql" >"$STACK/$1.log" 2>&1 </dev/null &
	tallyd=$!
	while kill -0 "$watch" 2>/dev/null; do
		kill -0 "$tallyd" 2>/dev/null || { cat "$STACK/$1.log" >&2; exit 1; }
		now=$(bench_pss)
		((now <= peak)) || peak=$now
		sleep 0.1
	done
	wait "$watch"
	end=$(<"$STACK/$1.seen")
	cpu=$(bench_cpu)
	pss=$peak
	seconds=$(awk "BEGIN { print ($end - $begin) / 1000 }")
	rate=$(awk "BEGIN { printf \"%.0f\", $ROWS * 1000 / ($end - $begin) }")
	commits=$(stack_psql -c "SELECT count(DISTINCT time) FROM $1")
	kill -TERM "$tallyd"
	wait "$tallyd" || { cat "$STACK/$1.log" >&2; exit 1; }
	tallyd=''
}

bench_median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

bench_round()
{
	local raw ceiling
	raw=$("$BIN/bench-raw" --brokers "$BOOTSTRAP" --topic "$topic")
	ceiling=$(sed 's/.*events_per_second=\([0-9]*\).*/\1/' <<<"$raw")
	bench_tallyd "bench_$1"
	echo "$ceiling" >>"$STACK/ceiling"
	echo "$rate" >>"$STACK/rate"
	awk "BEGIN { print $cpu * 1e6 / $ROWS }" >>"$STACK/cpu"
	echo "$pss" >>"$STACK/pss"
	printf 'round %d: ceiling %d/s; tallyd %d/s in %s s, %s CPU s, peak PSS %d kB, %d commits\n' \
	    "$1" "$ceiling" "$rate" "$seconds" "$cpu" "$pss" "$commits"
}

bench_summary()
{
	local ceiling rate
	ceiling=$(bench_median <"$STACK/ceiling")
	rate=$(bench_median <"$STACK/rate")
	awk "BEGIN { printf \"ceiling %d events/s\ntallyd  %d events/s, %.0f %% of it\n\", \
	    $ceiling, $rate, 100 * $rate / $ceiling }"
	printf 'CPU     %s s per million events, all processes\n' "$(bench_median <"$STACK/cpu")"
	awk "BEGIN { printf \"PSS     %.1f MiB at its peak, all processes\n\", \
	    $(sort -n "$STACK/pss" | tail -n 1) / 1024 }"
}

stack_trap bench_end
stack_up "$(mktemp -d "${TMPDIR:-/tmp}/tallyd-bench.XXXXXX")" pg kafka
export PGDATABASE=values_db
stack_database "$PGDATABASE"
mkdir -m 700 "$STACK/run"
export RUNTIME_DIRECTORY=$STACK/run
bench_fill
for ((round = 1; round <= ROUNDS; round++)); do
	bench_round "$round"
done
bench_summary
