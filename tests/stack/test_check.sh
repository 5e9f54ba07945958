# check does all that a start checks, changes nothing, and says what each server's mode promises;
# warnings name the columns that could not hold the result exactly.
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE ints (sum integer, n smallint, time bigint, diff smallint)'
stack_topic "$NAME.one" 1
stack_topic "$NAME.four" 4
stack_topic "$NAME.transaction" 1
cat >"$WORK/pipeline.sql" <<END
SET pipeline = '$NAME';
CREATE SERVER lone FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" '$BOOTSTRAP');
CREATE SERVER many FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" '$BOOTSTRAP');
CREATE SERVER whole FOREIGN DATA WRAPPER debezium
  OPTIONS ("bootstrap.servers" '$BOOTSTRAP', transaction_topic '$NAME.transaction');
CREATE FOREIGN TABLE a (value integer NOT NULL) SERVER lone OPTIONS (topic '$NAME.one');
CREATE FOREIGN TABLE b (value bigint) SERVER many OPTIONS (topic '$NAME.four');
CREATE FOREIGN TABLE c (value bigint) SERVER whole OPTIONS (topic '$NAME.missing');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '$PGHOST', port '$PGPORT',
  dbname '$PGDATABASE', "user" '$PGUSER', password '$PGPASSWORD');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM a;
CREATE MATERIALIZED VIEW ints AS SELECT sum(value) AS sum, count(*) AS n FROM b;
END
output=$("$BIN/tallyd" check "$WORK/pipeline.sql" 2>&1)
is 'a good file passes' $? 0
contains 'sequence mode is derived' "$output" 'usually whole'
contains 'metadata mode is derived' "$output" 'whole transactions'
contains 'none is derived' "$output" 'each event is a transaction'
contains 'a missing topic is named' "$output" "$NAME.missing"
contains 'REAL is warned about by name' "$output" sum_table
contains 'integer is warned about by name' "$output" integer
is 'nothing was made in the target' "$(sql "SELECT count(*) FROM pg_namespace WHERE nspname = 'tallyd'")" 0
grep -q "$PGPASSWORD" <<<"${output//password/}" && not_ok 'no secret is shown' || ok 'no secret is shown'

output=$(PGPORT=1 "$BIN/tallyd" check --offline "$WORK/pipeline.sql" 2>&1)
is 'offline it needs no server' $? 0
sed -i "s/port '$PGPORT'/port '1'/" "$WORK/pipeline.sql"
output=$(timeout 20 "$BIN/tallyd" check "$WORK/pipeline.sql" 2>&1)
is 'a database that is away: 69' $? 69
contains 'and it is named' "$output" "$PGHOST"
