# What a target, a topic or a checkpoint may look like after a disaster: each is told apart, and either
# mended without a word from anybody or refused with 78 and the commands that lead out of it.
# limit: 600 s
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE sums (n bigint, sum bigint, time bigint, diff integer)'

topic=$NAME.log number=0
events() # COUNT: each worth 1, each a transaction
{
	local first=$number
	number=$((number + $1))
	for ((i = first + 1; i <= number; i++)); do
		printf '{"before":null,"after":{"value":1},"source":{"ts_ms":1700000000000,"snapshot":"false","sequence":"[\\"%d\\",\\"%d\\"]","schema":"public","table":"t","txId":%d,"lsn":%d},"op":"c"}\n' \
		    $((1000 + i * 10)) $((1005 + i * 10)) "$i" $((1005 + i * 10))
	done | stack_produce "$topic"
}
remove_before() # OFFSET: of the topic, as retention would
{
	echo "{\"partitions\":[{\"topic\":\"$topic\",\"partition\":0,\"offset\":$1}],\"version\":1}" >"$WORK/delete.json"
	stack_java org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$BOOTSTRAP" \
	    --offset-json-file "$WORK/delete.json"
	"${stack_command[@]}" >/dev/null || not_ok 'records are deleted'
}
# fresh TEXT: another topic and pipeline, an empty target, and 5 events that are shown.
fresh()
{
	text=$1 number=0
	topic=$NAME.${1// /_}
	sql 'TRUNCATE sums'
	pipeline "\"group.id\" '$topic', ${2-start 'earliest'}" <<-END
		SET checkpoint_interval_ms = 3600000;
		CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic '$topic');
		CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n, sum(value) AS sum FROM t;
	END
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$topic'/" "$WORK/pipeline.sql"
	events 5
	tallyd_start
	comes 5
}
sum_is()
{
	[[ $(sql "$(live sums sum)" 2>/dev/null) == "$1" ]]
}
comes() # SUM
{
	await 30 sum_is "$1" && ok "$text: the sum is $1" || not_ok "$text: the sum is $(sql "$(live sums sum)"), not $1"
}
row() # COLUMN
{
	sql "SELECT $1 FROM tallyd.pipeline WHERE name = '$topic'"
}
change() # ASSIGNMENT: of the pipeline's row
{
	sql "UPDATE tallyd.pipeline SET $1 WHERE name = '$topic'"
}
# ahead: position and checkpoint part: the checkpoint holds 5 events, the position 8; all is killed.
ahead()
{
	tallyd_stop # with a checkpoint
	tallyd_start
	events 3
	comes 8
	tallyd_stop KILL
	is "$text: the checkpoint is behind" "$(row "checkpoint_position#>>'{kafka,partitions,0,next}' || ' ' ||
	    (position#>>'{kafka,partitions,0,next}')")" '5 8'
}
goes_on() # SUM: after two more
{
	tallyd_start again
	events 2
	comes "$1"
	tallyd_stop
	obeys sums '' n,sum
}
refused() # WORD...
{
	local word line
	tallyd_run_to_end 30
	is "$text: ends with 78" "$status" 78
	line=$(grep level=error "$WORK/ended.log")
	for word; do
		contains "$text: the line says" "$line" "$word"
	done
}
way_out="tallyd drop $WORK/pipeline.sql"

# ---- history before the position is gone -------------------------------------------------------

fresh 'gone before the checkpoint'
tallyd_stop
remove_before 4
goes_on 7
contains "$text: it says so" "$(cat "$WORK/again.log")" 'reading history from the checkpoint'
remove_before 7 # the record before the position too
goes_on 9

fresh 'gone before a checkpoint that is behind'
ahead
remove_before 5
goes_on 10

fresh 'gone behind the checkpoint'
ahead
remove_before 7
refused "$topic [0] begins at offset 7" 'needs it from offset 5' "$way_out"
remove_before 8
refused "$topic [0] begins at offset 8" 'needs it from offset 5'
is "$text: what was shown stays" "$(sql "$(live sums sum)")" 8

fresh 'gone behind the position'
tallyd_stop
events 3
remove_before 6
refused "$topic [0] begins at offset 6" 'needs it from offset 5' 'was not read yet' "$way_out"

# ---- a checkpoint that is damaged --------------------------------------------------------------

damage()
{
	sql "UPDATE tallyd.checkpoint SET data = set_byte(data, length(data) - 1, 255 - get_byte(data, length(data) - 1))
	    WHERE pipeline = '$topic'"
}
fresh 'damaged'
ahead
damage
goes_on 10
contains "$text: it says so" "$(cat "$WORK/again.log")" 'event=checkpoint.unusable'
contains "$text: and reads all" "$(cat "$WORK/again.log")" 'reading history from its start'
goes_on 12
contains "$text: there is a good one again" "$(cat "$WORK/again.log")" 'reading history from the checkpoint'
damage
remove_before 3
refused "$topic [0] begins at offset 3" 'history began at 0' 'no usable checkpoint' "$way_out"
sql "DELETE FROM tallyd.checkpoint WHERE pipeline = '$topic'"
refused "$topic [0] begins at offset 3" 'no usable checkpoint' "$way_out"

# ---- another topic -----------------------------------------------------------------------------

fresh 'made anew and shorter'
tallyd_stop
stack_topic_delete "$topic"
await 20 topic_gone "$topic" || not_ok "$text: the topic is deleted"
number=100
events 2
refused "$topic [0] ends at offset 2" "position 5" 'created anew' "$way_out"
events 3
text='made anew and as long'
refused "$topic [0] offset 4" 'created anew' "$way_out"
events 3
text='made anew and longer'
refused "$topic [0] offset 4" 'created anew' "$way_out"
is "$text: what was shown stays" "$(sql "$(live sums sum)")" 5

# ---- an edited position ------------------------------------------------------------------------

fresh 'edited'
ahead
sql "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM tallyd.pipeline WHERE name = '$topic'"
put_back()
{
	change "position = (SELECT position FROM kept), checkpoint_position = (SELECT checkpoint_position FROM kept)"
}
text='a position behind its checkpoint'
change "position = checkpoint_position, checkpoint_position = position"
refused 'checkpoint at offset 8' 'position at 5' 'put it back' "$way_out"
put_back
text='a position that is none'
change "position = '{\"kafka\": {\"partitions\": [{\"topic\": \"$topic\", \"partition\": 0, \"start\": 0, \"next\": \"x\"}]}}'"
refused 'position of the pipeline' 'cannot be read' "$way_out"
put_back
text='put back'
goes_on 10

# ---- no position, but offsets ------------------------------------------------------------------

fresh 'no position' ''
await 20 eval '[[ $(group_next "$topic" "$topic") == 5 ]]' || not_ok "$text: the offset is committed"
tallyd_stop
sql "DELETE FROM tallyd.pipeline WHERE name = '$topic'"
refused 'sums' # rows that no pipeline has written
text='no position and no rows'
sql 'TRUNCATE sums'
refused "group $topic has committed offset 5" 'holds no position' earliest committed latest

# ---- the way out -------------------------------------------------------------------------------

sql 'DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (value integer);
    ALTER TABLE numbers REPLICA IDENTITY FULL; INSERT INTO numbers SELECT generate_series(1, 10);
    TRUNCATE sums'
text='the way out' topic=$NAME.public.numbers
pipeline "transaction_topic '$NAME.transaction', \"group.id\" '$NAME.numbers'" <<END
CREATE FOREIGN TABLE t (value integer) SERVER kafka OPTIONS (topic '$topic', "table" 'public.numbers');
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n, sum(value) AS sum FROM t;
END
sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$topic'/" "$WORK/pipeline.sql"
numbers='SELECT count(*) AS n, sum(value) AS sum FROM numbers'
stack_connector "$NAME" public.numbers >/dev/null || not_ok 'connector'
tallyd_start
comes_equal 'at first' sums n,sum "$numbers"
sql 'INSERT INTO numbers VALUES (11); DELETE FROM numbers WHERE value = 5'
comes_equal 'then' sums n,sum "$numbers"
tallyd_stop
connector_forget
for lost in "$topic" "$NAME.transaction"; do
	stack_topic_delete "$lost"
	await 20 topic_gone "$lost" || not_ok "$lost is deleted"
done
sql 'UPDATE numbers SET value = value * 2'
stack_connector "$NAME" public.numbers >/dev/null || not_ok 'connector'
sql 'INSERT INTO numbers VALUES (1000)'
refused 'created anew' "$way_out"
output=$("$BIN/tallyd" drop "$WORK/pipeline.sql" 2>&1)
is "$text: tallyd drop: $output" $? 0
sql 'TRUNCATE sums'
tallyd_start out
comes_equal 'dropped and begun anew' sums n,sum "$numbers"
sql 'DELETE FROM numbers WHERE value < 10'
comes_equal 'and it goes on' sums n,sum "$numbers"
obeys sums '' n,sum
tallyd_stop
