# tallyd is started before its database, its broker and its topic exist: one clear line for each,
# and it goes on by itself when they come. Then both are restarted under it.
. "$(dirname "$0")/lib.sh"
own_stack pg kafka
stack_database values_db
stack_stop kafka
stack_stop pg
pipeline '' <<'END'
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic 'postgres.public.values');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END
value=0
produce() # VALUE: an insert, as Debezium writes it
{
	value=$((value + 1))
	printf '{"before":null,"after":{"value":%d},"source":{"version":"3.7.0.Final","connector":"postgresql","name":"postgres","ts_ms":%d,"snapshot":"false","db":"values_db","sequence":"[\\"%d\\",\\"%d\\"]","schema":"public","table":"values","txId":%d,"lsn":%d,"xmin":null},"transaction":null,"op":"c","ts_ms":1}\n' \
	    "$1" "$(stack_now_ms)" $((1000 + value * 10)) $((1005 + value * 10)) "$value" $((1005 + value * 10)) |
	    stack_produce postgres.public.values
}
sum_is()
{
	[[ $(sql 'SELECT sum FROM sum_table ORDER BY time DESC, diff DESC LIMIT 1' 2>/dev/null) == "$1" ]]
}
comes() # TEXT SUM
{
	await 40 sum_is "$2" && ok "$1: the sum is $2" || not_ok "$1: the sum becomes $2"
}

tallyd_start
await 20 log_has tallyd 'waiting for PostgreSQL' && ok 'it says that it waits for PostgreSQL' ||
    not_ok 'it says that it waits for PostgreSQL'
sleep 2
lines=$(grep -c 'waiting for PostgreSQL' "$WORK/tallyd.log")
((lines <= 2)) && ok 'in one line' || not_ok "in one line, not $lines"
contains 'status tells it too' "$("$BIN/tallyd" status)" 'waiting for PostgreSQL'
stack_start pg
await 20 log_has tallyd 'waiting for Kafka' && ok 'then that it waits for Kafka' ||
    not_ok 'then that it waits for Kafka'
stack_start kafka
await 30 log_has tallyd 'postgres.public.values' && ok 'then that it waits for the topic' ||
    not_ok 'then that it waits for the topic'
stack_topic postgres.public.values 1
produce 5
comes 'with everything there' 5

outages=$(grep -c 'waiting for Kafka' "$WORK/tallyd.log")
stack_kill kafka
again()
{
	(($(grep -c 'waiting for Kafka' "$WORK/tallyd.log") > outages))
}
await 20 again && ok 'a second outage is told too' || not_ok 'a second outage is told too'
stack_start kafka
produce 7
comes 'after a restart of the broker' 12
stack_restart pg
produce 8
comes 'after a restart of the database' 20
stack_kill pg
sleep 1
produce 9
stack_start pg
comes 'after a crash of the database' 29
is 'tallyd is still the same process' "$(stack_started_at "$tallyd" >/dev/null && echo yes)" yes
obeys sum_table '' sum
tallyd_stop
