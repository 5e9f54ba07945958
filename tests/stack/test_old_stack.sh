# The older stack: Kafka with ZooKeeper, Debezium 1.4 with the names that its options had then. It has no LSN in its
# transaction topic and no `sequence`: mode none, and a transaction_topic is refused.
. "$(dirname "$0")/lib.sh"
. tests/stack/older.sh
STACK_JARS=$ROOT/build/jars-1.4.2 STACK_PLUGINS=hybrid_warn
own_stack zookeeper pg kafka connect

file=$WORK/values.sql
sed -z "s/,\n *transaction_topic '[^']*'//" compose/pipeline.sql >"$file"
options='database.server.name=postgres'
older_run none 1.4.2

contains 'run says why each event stands alone' "$(cat "$WORK/values.log")" 'no source.sequence (Debezium before 1.5)'
tallyd_stop
asked check compose/pipeline.sql
contains 'check refuses its transaction topic' "$output" \
    'the messages in postgres.transaction have no LSN: Debezium 2 or newer is needed'
sed "s/'sum_of_values'/'whole'/; s/\"group.id\" '0'/\"group.id\" 'whole'/" compose/pipeline.sql >"$WORK/whole.sql"
sql 'ALTER TABLE sum_table RENAME TO sum_before; CREATE TABLE sum_table (LIKE sum_before)'
tallyd_run_to_end 30 "$WORK/whole.sql" whole
is 'so does run' "$status" 78
contains 'and it says what to do' "$(grep level=error "$WORK/whole.log")" 'take transaction_topic out of the pipeline file'
sed -zi "s/,\n *transaction_topic '[^']*'//" "$WORK/whole.sql"
tallyd_start without "$WORK/whole.sql"
comes_equal 'without it' sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
obeys sum_table '' sum
