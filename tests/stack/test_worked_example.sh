# The worked example, with the very files of compose/: the exact sum, by both of its queries.
. "$(dirname "$0")/lib.sh"
own_stack pg kafka connect
export PGDATABASE=values_db
stack_database values_db
stack_connector postgres public.values >/dev/null
tallyd_start tallyd compose/pipeline.sql

COUNT=1000 INTERVAL=0 compose/postgres/update_db.sh >/dev/null 2>&1
comes_equal 'after 1,000 inserts' sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
is 'the current sum by time and diff' \
    "$(sql 'SELECT sum FROM sum_table ORDER BY time DESC, diff DESC LIMIT 1')" \
    "$(sql 'SELECT sum(value)::real FROM "values"')"

sql 'UPDATE "values" SET value = value + 1 WHERE value % 3 = 0'
sql 'DELETE FROM "values" WHERE value % 5 = 0'
comes_equal 'after UPDATE and DELETE' sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
sql 'DELETE FROM "values"'
comes_equal 'when the table is empty' sum_table sum \
    'SELECT sum(value)::real AS sum FROM "values" HAVING count(*) > 0'
sql 'INSERT INTO "values" VALUES (-7), (8)'
comes_equal 'when it fills again' sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
obeys sum_table '' sum

# After a silence `time` is the moment of the commit, not an older one.
sleep 2
before=$(stack_now_ms)
sql 'INSERT INTO "values" VALUES (100)'
comes_equal 'after a silence' sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
time=$(sql 'SELECT max(time) FROM sum_table')
((time >= before && time <= $(stack_now_ms))) && ok 'time is when it was committed' ||
    not_ok "time is when it was committed: $time is not between $before and $(stack_now_ms)"

"$BIN/tallyd" status compose/pipeline.sql >"$WORK/status.txt"
is 'status answers' $? 0
contains 'status names the pipeline' "$(cat "$WORK/status.txt")" sum_of_values
contains 'status tells of latencies' "$(cat "$WORK/status.txt")" "$(printf '\nlatency: p50 ')"
tallyd_stop
contains 'it says that it stopped' "$(tail -n 3 "$WORK/tallyd.log")" level=info
