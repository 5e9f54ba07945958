# Topics as they can be: partitions that are added while tallyd runs, with the real connector writing to them; logs
# with aborted transactions and gaps in their offsets, at their end too; messages that only move the
# position, and one that is unknown; a compacted topic of a table without key, which is refused.
# limit: 400 s
. "$(dirname "$0")/lib.sh"
own_database

kafka_tool() # CLASS ARGUMENT...
{
	local class=$1
	shift
	stack_java "$class" --bootstrap-server "$BOOTSTRAP" "$@"
	"${stack_command[@]}" >/dev/null || not_ok "$class $*"
}

# ---- partitions added in mid-load --------------------------------------------------------------

sql "CREATE TABLE keyed (id integer PRIMARY KEY, grp integer NOT NULL, amount bigint NOT NULL);
    CREATE TABLE keyless (grp integer NOT NULL, amount bigint NOT NULL); ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO keyed SELECT i, i % 5, 100 FROM generate_series(1, 100) i; INSERT INTO keyless SELECT grp, amount FROM keyed"
views=(keyed keyless)
for view in "${views[@]}"; do
	sql "CREATE TABLE by_grp_$view (grp integer, n bigint, total numeric, time bigint, diff integer);
	    CREATE TABLE total_$view (n bigint, total numeric, time bigint, diff integer)"
done
for view in "${views[@]}"; do
	cat <<-END
		CREATE FOREIGN TABLE $view ($([[ $view == keyless ]] || echo 'id integer PRIMARY KEY,') grp integer NOT NULL,
		  amount bigint NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.$view');
		CREATE MATERIALIZED VIEW by_grp_$view AS SELECT grp, count(*) AS n, sum(amount) AS total FROM $view GROUP BY grp;
		CREATE MATERIALIZED VIEW total_$view AS SELECT count(*) AS n, sum(amount) AS total FROM $view;
	END
done | pipeline
CONNECTOR_OPTIONS='producer.override.metadata.max.age.ms=500' stack_connector "$NAME" public.keyed public.keyless >/dev/null ||
    not_ok 'connector'
answers() # TEXT
{
	local view
	for view in "${views[@]}"; do
		comes_equal "$1" "by_grp_$view" grp,n,total "SELECT grp, count(*), sum(amount) FROM $view GROUP BY grp" 120
	done
}
cp "$WORK/pipeline.sql" "$WORK/growing.sql"
tallyd_start growing
growing=$tallyd
answers 'one partition'

# Rows move between groups, and the total stands still.
load() # FIRST LAST
{
	local i
	for ((i = $1; i <= $2; i++)); do
		echo "BEGIN; UPDATE keyed SET amount = amount - $i WHERE id = $((i % 100 + 1)); UPDATE keyed SET amount = amount + $i
		    WHERE id = $((i * 7 % 100 + 1)); INSERT INTO keyless VALUES ($((i % 5)), $i), ($((i % 3)), -$i); COMMIT;"
	done | stack_psql >/dev/null || not_ok 'the load'
}
load 1 100
for view in "${views[@]}"; do
	topic_grow "$NAME.public.$view" 3
done
ends() # PARTITION: of keyed
{
	kcat -q -Q -b "$BOOTSTRAP" -t "$NAME.public.keyed:$1:-1" 2>/dev/null | grep -o '[0-9]*$'
}
writes_to_all()
{
	load 101 150
	(($(ends 1) > 0 && $(ends 2) > 0))
}
await 60 writes_to_all && ok 'the connector writes to the added partitions' || not_ok 'the connector writes to the added partitions'
load 151 250

# ---- aborted transactions, gaps ----------------------------------------------------------------

event() # NUMBER VALUE
{
	printf '{"before":null,"after":{"value":%d},"source":{"version":"3.7.0.Final","connector":"postgresql","name":"s","ts_ms":1700000000000,"snapshot":"false","db":"d","sequence":"[\\"%d\\",\\"%d\\"]","schema":"public","table":"t","txId":%d,"lsn":%d,"xmin":null},"transaction":null,"op":"%s","ts_ms":1}\n' \
	    "$2" $((1000 + $1 * 10)) $((1005 + $1 * 10)) "$1" $((1005 + $1 * 10)) "${3:-c}"
}
hand() # NAME TOPIC [COLUMNS]
{
	sql "CREATE TABLE IF NOT EXISTS $1 (sum bigint, n bigint, time bigint, diff integer)"
	pipeline '' <<-END
		CREATE FOREIGN TABLE t (${3:-value integer NOT NULL}) SERVER kafka OPTIONS (topic '$2', "table" 'public.t');
		CREATE MATERIALIZED VIEW $1 AS SELECT sum(value) AS sum, count(*) AS n FROM t;
	END
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$1'/" "$WORK/pipeline.sql"
}
live_is() # NAME SUM N
{
	[[ $(sql "$(live "$1" sum,n)" 2>/dev/null) == "$2|$3" ]]
}
comes() # TEXT NAME SUM N
{
	await 30 live_is "$2" "$3" "$4" && ok "$1: the sum is $3 of $4 rows" ||
	    not_ok "$1: it is $(sql "$(live "$2" sum,n)"), not $3|$4"
}
transact() # TOPIC: lines of standard input, see tests/stack/transact.c
{
	"$BIN/transact" "$BOOTSTRAP" "$1" || not_ok 'the transactional producer'
}
aborted=$NAME.aborted
{
	event 1 1; event 2 2; echo COMMIT
	event 3 1000; event 4 1000; echo ABORT
	event 3 3; echo COMMIT
	event 4 4000; echo ABORT
} | transact "$aborted"
# The mark of a transaction comes after the answer to its producer.
await 20 eval '[[ $(topic_end "$aborted") == 10 ]]'
is 'rows, aborted rows and marks have offsets of their own' "$(topic_end "$aborted")" 10
hand aborted "$aborted"
tallyd_start aborted
comes 'aborted rows are not counted' aborted 6 3
{ event 5 5; echo COMMIT; event 6 6000; echo ABORT; } | transact "$aborted"
comes 'and none that come later' aborted 11 4
stage_kill reduce
stage_kill ingest
{ event 7 7; echo COMMIT; } | transact "$aborted"
comes 'replayed over the gaps' aborted 18 5
tallyd_stop
{ event 8 8000; echo ABORT; } | transact "$aborted"
tallyd_start aborted
{ event 9 9; echo COMMIT; } | transact "$aborted"
comes 'started again behind a mark' aborted 27 6
obeys aborted '' sum,n
lag_is_gone()
{
	"$BIN/tallyd" status aborted --json 2>/dev/null | grep -q "\"next\": *$(topic_end "$aborted")\|\"next\": *$(($(topic_end "$aborted") - 1))"
}
await 30 lag_is_gone && ok 'the position comes to the end of the log' || not_ok "the position is not at the end: $("$BIN/tallyd" status aborted --json | head -c 600)"
tallyd_stop

# ---- messages that change no row ---------------------------------------------------------------

mixed=$NAME.mixed
{
	event 1 1
	echo '{"op":"m","ts_ms":1,"source":{"sequence":"[null,\"1016\"]","txId":2,"lsn":1016},"transaction":null,"message":{"prefix":"p","content":"aGk="}}'
	echo '{"ts_ms":1700000000000}'
	echo '{"ts_ms":1700000000000,"ts_us":1700000000000000,"ts_ns":1700000000000000000}'
	echo '{"source":{"ts_ms":1},"ts_ms":1,"databaseName":"d","schemaName":"public","ddl":"CREATE TABLE t (value int)","tableChanges":[]}'
	echo '{"schema":{"type":"struct","fields":[]},"payload":{"source":{},"databaseName":"d","ddl":"DROP TABLE t"}}'
	event 2 2
} | stack_produce "$mixed"
hand mixed "$mixed"
tallyd_start mixed
comes 'logical messages, heartbeats and schema changes in a topic of rows' mixed 3 2
event 3 3 x | stack_produce "$mixed"
event 4 4 | stack_produce "$mixed"
ended()
{
	[[ -z $(stack_started_at "$tallyd") ]]
}
await 30 ended && ok 'an unknown op: tallyd stops' || not_ok 'an unknown op: tallyd stops'
contains 'an unknown op: says where and what' "$(grep 'event=end' "$WORK/mixed.log")" \
    "$mixed [0] offset 7: the message's op \\\"x\\\" is unknown"
live_is mixed 3 2 && ok 'an unknown op: nothing behind it is shown' || not_ok 'an unknown op: nothing behind it is shown'

# ---- compacted ---------------------------------------------------------------------------------

compacted=$NAME.compacted
kafka_tool org.apache.kafka.tools.TopicCommand --create --topic "$compacted" --config cleanup.policy=compact,delete
{ event 1 1 | sed 's/^/{"id":1}|/'; event 2 2 | sed 's/^/{"id":2}|/'; } | stack_produce "$compacted" -K '|'
hand compacted "$compacted"
tallyd_run_to_end 30
is 'a compacted topic without a declared key: ends with 78' "$status" 78
contains 'says which and why' "$(grep level=error "$WORK/ended.log")" "its topic $compacted is compacted"
asked check "$WORK/pipeline.sql"
is 'check refuses it too' "$status" 78
contains 'check says what to do' "$output" 'set cleanup.policy=delete'
hand compacted "$compacted" 'id integer PRIMARY KEY, value integer'
sed -i "0,/OPTIONS (\"bootstrap/s//OPTIONS (transaction_topic '$NAME.transaction', \"bootstrap/" "$WORK/pipeline.sql"
asked check "$WORK/pipeline.sql"
is 'with a key and a transaction topic it is refused too' "$status" 78
contains 'for ends of what is gone would be waited for' "$output" 'the transaction topic counts events that are gone'
hand compacted "$compacted"
kafka_tool kafka.admin.ConfigCommand --alter --entity-type topics --entity-name "$compacted" --add-config cleanup.policy=delete
# The broker may answer by the old policy for a moment yet.
await 20 eval 'asked check "$WORK/pipeline.sql"; ((status == 0))' || not_ok "check takes it: $output"
tallyd_start compacted
comes 'kept by time alone it is read' compacted 3 2
tallyd_stop

# ---- the added partitions, in the end ----------------------------------------------------------

tallyd=$growing
await 90 log_has growing 'now has 3 partitions instead of 1' && ok 'the added partitions are noticed' ||
    not_ok 'the added partitions are noticed'
load 251 300
answers 'three partitions'
is 'the total of the keyed table was the same in every commit' "$(sql "SELECT count(*) FROM (SELECT
    sum(sum(total * diff)) OVER (ORDER BY time) AS total FROM by_grp_keyed GROUP BY time) t WHERE total <> 10000")" 0
stage_kill reduce
load 301 320
answers 'recovered over all of them'
for view in "${views[@]}"; do
	obeys "by_grp_$view" grp n,total
	obeys "total_$view" '' n,total
done
tallyd_stop
