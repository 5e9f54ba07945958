# A tallyd whose host stands still: the target ends its session, another one takes over, and when it
# wakes up it writes nothing more and stands by. And a single stage that stands still is ended and
# replaced.
. "$(dirname "$0")/lib.sh"
own_database
stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
pipeline <<END
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.values');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END
sum='SELECT sum(value)::real AS sum FROM "values"'
tallyd_start first
first=$tallyd
sql 'INSERT INTO "values" VALUES (1), (2)'
comes_equal 'the first' sum_table sum "$sum"
mkdir -m 700 "$WORK/run2"
export RUNTIME_DIRECTORY=$WORK/run2
tallyd_start second
second=$tallyd
await 10 log_has second event=stage.standby && ok 'the second stands by' || not_ok 'the second stands by'

owner()
{
	sql "SELECT owner FROM tallyd.pipeline WHERE name = '$NAME'"
}

tree="$first $(cat "/proc/$first/task/$first/children")"
since=$(stack_now_ms)
kill -STOP $tree
sql 'INSERT INTO "values" VALUES (4)'
await 20 log_has second event=target.taken && ok 'the second has taken over within 20 s' ||
    not_ok 'the second has taken over within 20 s'
echo "taken over after $(($(stack_now_ms) - since)) ms"
comes_equal 'the second' sum_table sum "$sum"
owner=$(owner)
kill -CONT $tree
sql 'INSERT INTO "values" VALUES (8)'
await 10 log_has first event=recovery.full && ok 'the first begins anew' || not_ok 'the first begins anew'
await 10 log_has first event=stage.standby && ok 'and stands by' || not_ok 'and stands by'
comes_equal 'the second goes on' sum_table sum "$sum"
is 'the first has not taken over again' "$(owner)" "$owner"
is 'nor written' "$(grep -c event=target.taken "$WORK/first.log")" 1
# Whoever stands by may be faster than the successor of a stage.
tallyd_stop TERM "$first"
# With so little patience a machine that stalls is enough to end a stage: so not while somebody stood by.
tallyd_stop TERM "$second"
TALLYD_HANG_MS=2000 tallyd_start third
third=$tallyd
await 20 log_has third event=recovery.done || not_ok 'the third runs'

for stage in egress reduce ingest; do
	old=$(stage_pid "$stage" "$third")
	since=$(stack_now_ms)
	kill -STOP "$old"
	sql 'INSERT INTO "values" VALUES (16)'
	comes_equal "$stage stood still" sum_table sum "$sum" 20
	echo "the row is there after $(($(stack_now_ms) - since)) ms"
	if await 10 grep -q "event=stage.hang.*$stage pid=$old" "$WORK/third.log" &&
	    await 5 test ! -d "/proc/$old"; then
		ok "$stage was taken for hanging, and ended"
	else
		not_ok "$stage was taken for hanging, and ended"
	fi
done
obeys sum_table '' sum
tallyd_stop TERM "$third"
