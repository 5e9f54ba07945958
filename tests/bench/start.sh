#!/usr/bin/env bash
#
# start.sh - from the exec of tallyd until all of its stages are ready, with the servers up and no state.
#
#   STARTS=20 tests/bench/start.sh
#
# Before each start everything that tallyd keeps in the target is dropped. Ready is what its log says then
# (recovery.done): it reads from Kafka and may write to PostgreSQL.
. "$(dirname "$0")/lib.sh"

STARTS=${STARTS:-$(by_size 20 5)}
EVENTS=1000

start_pipeline() # NAME
{
	sql 'DROP SCHEMA IF EXISTS tallyd CASCADE; DROP TABLE IF EXISTS by_values;
	    CREATE TABLE by_values (sum bigint, time bigint, diff integer)'
	bench_pipeline "$1" <<-END
		CREATE FOREIGN TABLE "values" (value integer NOT NULL)
		  SERVER kafka OPTIONS (topic 'postgres.public.values');
		CREATE MATERIALIZED VIEW by_values AS SELECT sum(value) AS sum FROM "values";
	END
}

start_once() # NUMBER
{
	local number first last gap ready
	start_pipeline "start_$1"
	bench_start
	bench_until "$EVENTS"
	ready=$(ready_at)
	IFS='|' read -r number first last gap _ < <(commits by_values)
	calculate "($ready - $started) * 1000" '%.1f' >>"$STACK/bench/ready"
	calculate "($first - $started) * 1000" '%.1f' >>"$STACK/bench/first"
	bench_stop
}

bench_begin pg kafka
bench_produce --topic postgres.public.values --count "$EVENTS"
# A broker makes its topic of groups' offsets when the first of all groups asks for it: that takes it most of a second, once.
start_once first
alone_ms=$(<"$STACK/bench/ready")
rm "$STACK/bench/ready" "$STACK/bench/first"
for ((i = 0; i < STARTS; i++)); do
	start_once "$i"
done
bench_section "Start: $STARTS starts without state"
median_ms=$(median <"$STACK/bench/ready")
late_ms=$(quantile 0.99 <"$STACK/bench/ready")
bench_goal 'exec to ready, median, ms' "$(spread %.0f <"$STACK/bench/ready")" '< 100' "$median_ms < 100"
bench_goal '— p99' "$late_ms" '< 100' "$late_ms < 100"
bench_goal '— of the very first group that a new broker sees, ms' "$alone_ms" ''
bench_goal '— exec to the first committed row' "$(spread %.0f <"$STACK/bench/first")" ''
