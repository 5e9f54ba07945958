# What only ingest decides, on real servers: four partitions with transaction metadata while it is
# killed in mid-load; a second snapshot in mid-topic; where a first start begins; and logs whose
# history is gone, compacted, or another one.
. "$(dirname "$0")/lib.sh"
own_database

# ---- hand-made topics --------------------------------------------------------------------------

event() # NUMBER VALUE
{
	printf '{"before":null,"after":{"value":%d},"source":{"version":"3.7.0.Final","connector":"postgresql","name":"s","ts_ms":1700000000000,"snapshot":"false","db":"d","sequence":"[\\"%d\\",\\"%d\\"]","schema":"public","table":"t","txId":%d,"lsn":%d,"xmin":null},"transaction":null,"op":"c","ts_ms":1}\n' \
	    "$2" $((1000 + $1 * 10)) $((1005 + $1 * 10)) "$1" $((1005 + $1 * 10))
}
keyed_event() # NUMBER KEY VALUE: as "key|message"; VALUE '' deletes, and a tombstone follows
{
	local row="{\"id\":$2,\"value\":${3:-0}}" place
	place=$(printf '"source":{"version":"3.7.0.Final","connector":"postgresql","name":"s","ts_ms":1700000000000,"snapshot":"false","db":"d","sequence":"[\\"%d\\",\\"%d\\"]","schema":"public","table":"t","txId":%d,"lsn":%d,"xmin":null},"transaction":null' \
	    $((1000 + $1 * 10)) $((1005 + $1 * 10)) "$1" $((1005 + $1 * 10)))
	if [[ -n $3 ]]; then
		printf '{"id":%d}|{"before":null,"after":%s,%s,"op":"u","ts_ms":1}\n' "$2" "$row" "$place"
	else
		printf '{"id":%d}|{"before":{"id":%d,"value":null},"after":null,%s,"op":"d","ts_ms":1}\n{"id":%d}|\n' \
		    "$2" "$2" "$place" "$2"
	fi
}
# hand NAME TOPIC [OPTIONS] [COLUMNS]: a pipeline and a view NAME over a hand-made topic.
hand()
{
	sql "CREATE TABLE IF NOT EXISTS $1 (sum bigint, time bigint, diff integer)"
	pipeline "${3-}" <<-END
		CREATE FOREIGN TABLE t (${4:-value integer NOT NULL}) SERVER kafka OPTIONS (topic '$2');
		CREATE MATERIALIZED VIEW $1 AS SELECT sum(value) AS sum FROM t;
	END
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$1'/" "$WORK/pipeline.sql"
}
sum_is() # NAME SUM
{
	[[ $(sql "$(live "$1" sum)" 2>/dev/null) == "$2" ]]
}
comes() # TEXT NAME SUM
{
	await 20 sum_is "$2" "$3" && ok "$1: the sum is $3" ||
	    not_ok "$1: the sum is $(sql "$(live "$2" sum)"), not $3"
}
refused() # TEXT WORD...
{
	local text=$1 word
	shift
	tallyd_run_to_end 20
	is "$text: ends with 78" "$status" 78
	for word in "$@"; do
		contains "$text: the line says" "$(grep level=error "$WORK/ended.log")" "$word"
	done
}

# Compacted in the background by the broker, which looks every 15 s; used at the end.
compacted=$NAME.compacted
stack_java org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" --create --topic "$compacted" \
    --config cleanup.policy=compact --config segment.bytes=4000 --config min.cleanable.dirty.ratio=0.001 \
    --config delete.retention.ms=0
"${stack_command[@]}" >/dev/null || not_ok 'a compacted topic'
{
	keyed_event 1 3 1000
	for i in {2..100}; do
		keyed_event "$i" $((i % 2 + 1)) "$i"
	done
	keyed_event 101 3 ''
	for i in {102..130}; do
		keyed_event "$i" 4 "$i"
	done
} | stack_produce "$compacted" -K '|' -Z -X batch.size=2000 || not_ok 'all of it is produced' # a batch must fit a segment

# ---- four partitions, killed in mid-load -------------------------------------------------------

sql "CREATE TABLE keyed (id integer PRIMARY KEY, balance bigint NOT NULL);
    CREATE TABLE keyless (id integer, balance bigint NOT NULL); ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO keyed SELECT i, 1000 FROM generate_series(1, 20) i; INSERT INTO keyless SELECT * FROM keyed"
for kind in keyed keyless; do
	sql "CREATE TABLE total_$kind (total numeric, time bigint, diff integer);
	    CREATE TABLE by_id_$kind (id integer, balance numeric, n bigint, time bigint, diff integer)"
done
partitioned='topic.creation.default.partitions=4
topic.creation.default.replication.factor=1
topic.creation.groups=one
topic.creation.one.include=.*transaction
topic.creation.one.partitions=1'
CONNECTOR_OPTIONS=$partitioned stack_connector "$NAME" public.keyed public.keyless >/dev/null || not_ok 'connector'
{
	for kind in keyed keyless; do
		key=''
		[[ $kind == keyless ]] || key='PRIMARY KEY'
		cat <<-END
			CREATE FOREIGN TABLE $kind (id integer $key, balance bigint NOT NULL)
			    SERVER kafka OPTIONS (topic '$NAME.public.$kind');
			CREATE MATERIALIZED VIEW total_$kind AS SELECT sum(balance) AS total FROM $kind;
			CREATE MATERIALIZED VIEW by_id_$kind AS SELECT id, sum(balance) AS balance, count(*) AS n
			    FROM $kind GROUP BY id;
		END
	done
} | pipeline
cp "$WORK/pipeline.sql" "$WORK/bank.sql"
tallyd_start bank
answers() # TEXT
{
	local kind
	for kind in keyed keyless; do
		comes_equal "$1" "by_id_$kind" id,balance,n "SELECT id, sum(balance), count(*) FROM $kind GROUP BY id"
	done
}
answers 'the first snapshot'
contains 'in mode metadata over eight partitions' "$(cat "$WORK/bank.log")" '8 partitions, mode metadata'
is 'the topic has four' "$(kcat -q -L -b "$BOOTSTRAP" -t "$NAME.public.keyless" | grep -c 'partition [0-3],')" 4

for ((i = 1; i <= 1500; i++)); do
	a=$((RANDOM % 20 + 1)) b=$((RANDOM % 20 + 1))
	for kind in keyed keyless; do
		echo "UPDATE $kind SET balance = balance - $i WHERE id = $a; UPDATE $kind SET balance = balance + $i WHERE id = $b;"
	done | (echo 'BEGIN;'; cat; echo 'COMMIT; SELECT pg_sleep(0.003);')
done >"$WORK/load.sql"
load_amid_kills "$WORK/load.sql" 1.5
answers 'after 1,500 transfers'
for kind in keyed keyless; do
	is "$kind: the total was the same in every commit" "$(sql "SELECT count(*) FROM total_$kind")" 1
	wrong=$(sql "SELECT count(*) FROM (SELECT time, sum(sum(balance * diff)) OVER (ORDER BY time) AS total
	    FROM by_id_$kind GROUP BY time) t WHERE total <> 20000")
	is "$kind: folded at every time, so were the groups" "$wrong" 0
	obeys "by_id_$kind" id balance,n
done
is 'one transaction of the source is one time in both tables' "$(sql "SELECT count(*) FROM
    (SELECT DISTINCT time FROM by_id_keyed EXCEPT SELECT DISTINCT time FROM by_id_keyless) x")" 0

# ---- a second snapshot in mid-topic ------------------------------------------------------------

connector_forget
# What no connector saw: only a snapshot that replaces the table can tell.
sql "DELETE FROM keyed WHERE id > 15; DELETE FROM keyless WHERE id > 15;
    INSERT INTO keyed VALUES (100, 7); INSERT INTO keyless VALUES (100, 7), (100, 8), (1, 1)"
CONNECTOR_OPTIONS="$partitioned
snapshot.mode=always" stack_connector "$NAME" public.keyed public.keyless >/dev/null || not_ok 'connector'
answers 'the second snapshot'
sql "UPDATE keyed SET balance = balance + 1; UPDATE keyless SET balance = balance + 1; DELETE FROM keyed WHERE id = 2"
answers 'changes after it'
tallyd_stop
tallyd_start bank "$WORK/bank.sql"
sql "UPDATE keyed SET balance = balance - 1; DELETE FROM keyless WHERE id = 100"
answers 'recovered over both'
for kind in keyed keyless; do
	obeys "by_id_$kind" id balance,n
done
tallyd_stop
connector_call DELETE ''

# ---- where a first start begins ----------------------------------------------------------------

log=$NAME.log
{ event 1 10; event 2 20; event 3 30; } | stack_produce "$log"
kcat -q -G "$NAME.group" -b "$BOOTSTRAP" -X auto.offset.reset=earliest -c 2 "$log" >/dev/null 2>&1
hand first_grouped "$log" "\"group.id\" '$NAME.group'"
refused 'a group with offsets, a target without a position' "$NAME.group" 2 earliest committed latest
hand first_committed "$log" "\"group.id\" '$NAME.group', start 'committed'"
tallyd_start committed
comes "start 'committed'" first_committed 30
tallyd_stop
hand first_earliest "$log" "start 'earliest'"
cp "$WORK/pipeline.sql" "$WORK/earliest.sql"
tallyd_start earliest
comes "start 'earliest'" first_earliest 60
tallyd_stop
hand first_latest "$log" "start 'latest'"
cp "$WORK/pipeline.sql" "$WORK/latest.sql"
tallyd_start latest
await 20 log_has latest 'mode sequence'
event 4 40 | stack_produce "$log"
comes "start 'latest'" first_latest 40
event 5 50 | stack_produce "$log"
comes 'and on' first_latest 90
tallyd_stop

# ---- history that is gone ----------------------------------------------------------------------

echo "{\"partitions\":[{\"topic\":\"$log\",\"partition\":0,\"offset\":2}],\"version\":1}" >"$WORK/delete.json"
stack_java org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$BOOTSTRAP" \
    --offset-json-file "$WORK/delete.json"
"${stack_command[@]}" >/dev/null || not_ok 'records are deleted'
hand first_checked "$log" ''
refused 'a log that begins in the middle' "$log" 'offset 2' earliest committed latest
cp "$WORK/earliest.sql" "$WORK/pipeline.sql"
tallyd_start kept
comes 'a log cut off behind a checkpoint' first_earliest 150
tallyd_stop
# forget NAME: as if its checkpoint were damaged.
forget()
{
	sql "UPDATE tallyd.pipeline SET checkpoint = NULL, checkpoint_batch = NULL, checkpoint_position = NULL
	    WHERE name = '$1'"
}
forget first_earliest
cp "$WORK/earliest.sql" "$WORK/pipeline.sql"
refused 'a log cut off behind a position' "$log" 'offset 2' 'began at 0'
sum_is first_earliest 150 && ok 'what was shown stays' || not_ok 'what was shown stays'

# anew: the topic is deleted, and the broker knows it: what is produced from here on makes it anew.
anew()
{
	stack_topic_delete "$log"
	await 20 topic_gone "$log" || not_ok "topic $log is deleted"
}
anew
event 1 5 | stack_produce "$log"
refused 'a topic made anew, shorter' "$log" 'offset 1' 'created anew'
for i in {2..6}; do event $i $i; done | stack_produce "$log"
refused 'a topic made anew, longer' "$log [0] offset 4" 'created anew'
anew
{ event 1 5; event 2 6; event 3 7; echo hello; event 5 9; } | stack_produce "$log"
cp "$WORK/latest.sql" "$WORK/pipeline.sql"
refused 'another topic behind a checkpoint' "$log [0] offset 4" 'created anew'
forget first_latest
tallyd_run_to_end 20 # its history begins at offset 3, which it must read again
is 'a message in history that cannot be read: ends with 65' "$status" 65
contains 'and names it' "$(grep level=error "$WORK/ended.log")" "$log [0] offset 3: the message is no JSON"
sum_is first_earliest 150 && ok 'what was shown still stays' || not_ok 'what was shown still stays'

# ---- a compacted topic -------------------------------------------------------------------------

messages()
{
	kcat -q -C -e -b "$BOOTSTRAP" -t "$compacted" -f '%o\n' | wc -l
}
is_compacted()
{
	(($(messages) < 100))
}
await 30 is_compacted && ok "compaction left $(messages) of 131 messages" || not_ok 'the topic is compacted'
hand compacted "$compacted" '' 'id integer PRIMARY KEY, value bigint'
tallyd_start compacted
comes 'a compacted topic' compacted $((100 + 99 + 130))
tallyd_stop
{ keyed_event 131 4 1; keyed_event 132 1 ''; } | stack_produce "$compacted" -K '|' -Z
tallyd_start compacted_again
comes 'recovered, with a delete and a tombstone behind it' compacted $((99 + 1))
obeys compacted '' sum
tallyd_stop
