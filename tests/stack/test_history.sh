# Where a start would begin: `check` says what a start says, for a first start and for one from the
# target's position, of which a part may be wrong or missing.
. "$(dirname "$0")/lib.sh"
own_database

number=0
events() # TOPIC COUNT [kcat options...]
{
	local topic=$1 i
	for ((i = 0; i < $2; i++)); do
		number=$((number + 1))
		printf '{"before":null,"after":{"value":1},"source":{"ts_ms":1700000000000,"snapshot":"false","sequence":"[null,\\"%d\\"]","schema":"public","table":"t","txId":%d,"lsn":%d},"op":"c"}\n' \
		    $((1000 + number)) "$number" $((1000 + number))
	done | stack_produce "$topic" "${@:3}"
}
# declare_view TOPIC [OPTIONS] [MORE]: a pipeline over one topic.
declare_view()
{
	pipeline "${2-}" <<-END
		CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic '$1');
		${3-}
		CREATE MATERIALIZED VIEW sums AS SELECT sum(value) AS sum FROM t;
	END
}
# both TEXT STATUS WORD...: check and run end alike, and say why.
both()
{
	local text=$1 wanted=$2 word output
	shift 2
	asked check "$WORK/pipeline.sql"
	is "$text: check" "$status" "$wanted"
	tallyd_run_to_end 20
	is "$text: run" "$status" "$wanted"
	for word in "$@"; do
		contains "$text: check says" "$output" "$word"
		contains "$text: run says" "$(grep level=error "$WORK/ended.log")" "$word"
	done
}
# passes TEXT WORD
passes()
{
	local output
	asked check "$WORK/pipeline.sql"
	is "$1: check" "$status" 0
	contains "$1: check says" "$output" "$2"
}
sum_is()
{
	[[ $(sql "$(live sums sum)") == "$1" ]]
}
runs_to() # TEXT SUM
{
	tallyd_start
	await 20 sum_is "$2" && ok "$1: run comes to $2" || not_ok "$1: run comes to $2"
	tallyd_stop
}

# ---- a first start -----------------------------------------------------------------------------

sql 'CREATE TABLE sums (sum bigint, time bigint, diff integer)'
log=$NAME.log
stack_topic "$log" 3
for partition in 0 1 2; do
	events "$log" 4 -p $partition
done
kcat -q -G "$NAME.group" -b "$BOOTSTRAP" -X auto.offset.reset=earliest -c 12 "$log" >/dev/null 2>&1
declare_view "$log" "\"group.id\" '$NAME.group'"
both 'a group with offsets' 78 "$NAME.group" committed
declare_view "$log" "\"group.id\" '$NAME.group', start 'committed'"
passes "with start 'committed'" 'a first start finds its history'

gone=$NAME.gone
stack_topic "$gone"
events "$gone" 3
echo "{\"partitions\":[{\"topic\":\"$gone\",\"partition\":0,\"offset\":2}],\"version\":1}" >"$WORK/delete.json"
stack_java org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$BOOTSTRAP" \
    --offset-json-file "$WORK/delete.json"
"${stack_command[@]}" >/dev/null || not_ok 'records are deleted'
declare_view "$gone" ''
sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$gone'/" "$WORK/pipeline.sql"
both 'a log that begins in the middle' 78 "$gone" 'offset 2' earliest

declare_view "$log" ''
passes 'a whole log' 'a first start finds its history'
runs_to 'a whole log' 12

# ---- from the target's position ----------------------------------------------------------------

passes 'its position' 'goes on where the target is'
sql "CREATE TABLE kept AS SELECT position FROM tallyd.pipeline WHERE name = '$NAME'"
# position SQL: changed in the target, from what it was at first.
position()
{
	sql "UPDATE tallyd.pipeline SET position = (SELECT $1 FROM kept) WHERE name = '$NAME'"
}
path='{kafka,partitions,1'
position "jsonb_set(position, '$path,next}', '5')"
both "a position behind the topic's end" 78 "$log [1] ends at offset 4"
position "jsonb_set(position, '$path,hash}', position#>'{kafka,partitions,0,hash}')"
both 'another record before the position' 78 "$log [1] offset 3" 'created anew'
position "position #- '$path}'"
both 'a partition is missing between others' 78 "$log [2], but not [1]"
position "jsonb_set(position, '{kafka,partitions}', position#>'{kafka,partitions}' ||
    jsonb_set(position#>'$path}', '{partition}', '7'))"
both 'a partition is there no more' 78 "$log has no partition 7"
position "position - 'kafka'"
both 'nothing of the server' 78 'is gone'
position 'position'
declare_view "$log" '' "CREATE FOREIGN TABLE u (value integer) SERVER kafka OPTIONS (topic '$gone');"
both 'a table more' 78 "nothing of topic $gone"

declare_view "$log" ''
topic_grow "$log" 4
events "$log" 2 -p 3
passes 'a partition more' 'goes on where the target is'
runs_to 'a partition more' 14
obeys sums '' sum

# ---- a transaction topic that does not exist yet ------------------------------------------------

stack_topic "$NAME.young"
for snapshot in first last; do
	printf '{"before":null,"after":{"value":1},"source":{"ts_ms":1700000000000,"snapshot":"%s","sequence":"[null,\\"9\\"]","schema":"public","table":"t","txId":9,"lsn":9},"op":"r"}\n' $snapshot
done | stack_produce "$NAME.young"
sql 'DROP TABLE sums; CREATE TABLE sums (sum bigint, time bigint, diff integer)'
declare_view "$NAME.young" "transaction_topic '$NAME.to_come'"
sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$NAME.young'/" "$WORK/pipeline.sql"
tallyd_start young
await 20 sum_is 2 && ok 'a snapshot does not wait for it' || not_ok 'a snapshot does not wait for it'
sleep 2 # offsets are committed once a second
tallyd_stop
# Only a broker that stalls may be why a commit fails.
is 'no offset of it is committed' "$(grep event=kafka.commit "$WORK/young.log" | grep -vE '[Tt]imed out|transport failure')" ''

# ---- what cannot be asked ----------------------------------------------------------------------

sed -i "s/$BOOTSTRAP/127.0.0.1:9/" "$WORK/pipeline.sql"
output=$(timeout 60 "$BIN/tallyd" check "$WORK/pipeline.sql" 2>&1)
is 'a broker that is away: 69' $? 69
contains 'a broker that is away is named' "$output" 127.0.0.1:9
