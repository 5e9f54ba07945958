# Debezium 2.7 on Kafka as all other tests have it: whole transactions by its transaction topic.
. "$(dirname "$0")/lib.sh"
. tests/stack/older.sh
STACK_JARS=$ROOT/build/jars-2.7.4 STACK_PLUGINS=hybrid_warn
own_stack pg kafka connect

file=compose/pipeline.sql
options=''
older_run metadata 2.7.4
is 'nothing was torn, late or missing' "$("$BIN/tallyd" status sum_of_values |
    grep -oE '(late_events|transaction_torn|source_gap)=[0-9]*')" ''
