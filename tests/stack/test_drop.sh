# `tallyd drop`: the pipeline is gone from schema tallyd, its target tables stay; not while one runs.
. "$(dirname "$0")/lib.sh"
own_database
stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
pipeline "transaction_topic '$NAME.transaction', \"group.id\" '$NAME'" <<END
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.values');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END
sum='SELECT sum(value)::real AS sum FROM "values"'
drop()
{
	output=$(timeout 60 "$BIN/tallyd" drop "$WORK/pipeline.sql" 2>&1)
	status=$?
}
known()
{
	sql "SELECT (SELECT count(*) FROM tallyd.pipeline WHERE name = '$NAME'),
	    (SELECT count(*) FROM tallyd.view WHERE pipeline = '$NAME'),
	    (SELECT count(*) FROM tallyd.checkpoint WHERE pipeline = '$NAME')"
}
tallyd_start
sql 'INSERT INTO "values" VALUES (1), (2)'
comes_equal 'at first' sum_table sum "$sum"
drop
is 'a running pipeline is not dropped' "$status" 75
contains 'and it says who runs it' "$output" "$tallyd"
mkdir -m 700 "$WORK/run2"
output=$(RUNTIME_DIRECTORY=$WORK/run2 timeout 60 "$BIN/tallyd" drop "$WORK/pipeline.sql" 2>&1)
is 'nor one that another host runs' $? 75
contains 'and it says who runs it' "$output" 'is held by'
sql 'INSERT INTO "values" VALUES (3)'
comes_equal 'it goes on' sum_table sum "$sum"
tallyd_stop
[[ $(known) != '0|0|0' ]] && ok 'the target knows it' || not_ok 'the target knows it'
drop
is "it is dropped: $output" "$status" 0
contains 'it says what is left' "$output" sum_table
is 'the target knows nothing of it' "$(known)" '0|0|0'
is 'its table stays' "$(sql "$(live sum_table sum)")" 6
drop
is 'once more there is nothing to drop' "$status" 78
