# Two tallyds on one pipeline: one stands by, says whom it waits for, and takes over when the first
# one is killed; a second on the same host and runtime folder is refused.
. "$(dirname "$0")/lib.sh"
own_database
stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
pipeline <<'END'
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic 'standby.public.values');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END
sum='SELECT sum(value)::real AS sum FROM "values"'
tallyd_start first
first=$tallyd
sql 'INSERT INTO "values" VALUES (1), (2)'
comes_equal 'the first' sum_table sum "$sum"

tallyd_run_to_end 20 "$WORK/pipeline.sql" refused
is 'a second one in the same runtime folder ends at once' "$((status != 0 && status != 124))" 1
contains 'and says why' "$(cat "$WORK/refused.log")" "$first"

mkdir -m 700 "$WORK/run2"
RUNTIME_DIRECTORY=$WORK/run2 "$BIN/tallyd" run "$WORK/pipeline.sql" >"$WORK/second.log" 2>&1 </dev/null &
second=$!
tallyds+=("$second")
disown "$second"
await 20 grep -qi standby "$WORK/second.log" && ok 'the second stands by' || not_ok 'the second stands by'
await 20 eval '[[ -z $(stage_pid ingest "$second") ]]' && ok 'with no process that reads from Kafka' ||
    not_ok 'with no process that reads from Kafka'
sql 'INSERT INTO "values" VALUES (3)'
comes_equal 'the first goes on' sum_table sum "$sum"
status=$(RUNTIME_DIRECTORY=$WORK/run2 "$BIN/tallyd" status)
contains 'status says standby' "$status" standby
kill -KILL "$first"
sql 'INSERT INTO "values" VALUES (4)'
comes_equal 'the second has taken over' sum_table sum "$sum"
tallyd_start third # stands by now
sleep 1
sql 'DELETE FROM "values" WHERE value = 1'
comes_equal 'a third one changes nothing' sum_table sum "$sum"
tallyd_stop TERM "$second"
sql 'INSERT INTO "values" VALUES (40)'
comes_equal 'the third takes over from a clean stop' sum_table sum "$sum"
obeys sum_table '' sum
tallyd_stop
