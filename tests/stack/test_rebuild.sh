# `tallyd rebuild`: somebody has edited or truncated a target table, or a view has another SELECT: the
# difference is written in one commit, by a running tallyd or without one.
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE item (id integer PRIMARY KEY, kind integer NOT NULL, price bigint NOT NULL);
    ALTER TABLE item REPLICA IDENTITY FULL;
    INSERT INTO item SELECT i, i % 5, i FROM generate_series(1, 500) i;
    CREATE TABLE entry (amount bigint NOT NULL);
    INSERT INTO entry SELECT i FROM generate_series(1, 100) i;
    CREATE TABLE by_kind (kind integer, n bigint, price numeric, time bigint, diff integer);
    CREATE TABLE entries (total numeric, time bigint, diff integer)'
stack_connector "$NAME" public.item public.entry >/dev/null || not_ok 'connector'
file() # [WHERE of by_kind]
{
	pipeline <<-END
		CREATE FOREIGN TABLE item (id integer PRIMARY KEY, kind integer NOT NULL, price bigint NOT NULL)
		    SERVER kafka OPTIONS (topic '$NAME.public.item');
		CREATE FOREIGN TABLE entry (amount bigint NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.entry');
		CREATE MATERIALIZED VIEW by_kind AS SELECT kind, count(*) AS n, sum(price) AS price
		    FROM item ${1-} GROUP BY kind;
		CREATE MATERIALIZED VIEW entries AS SELECT sum(amount) AS total FROM entry;
	END
}
kinds='SELECT kind, count(*) AS n, sum(price) AS price FROM item GROUP BY kind'
total='SELECT sum(amount) AS total FROM entry'

rebuild() # [VIEW]: what it says in $output, its code in $status
{
	asked rebuild "$WORK/pipeline.sql" "$@"
}

both_equal() # TEXT
{
	comes_equal "$1" by_kind kind,n,price "$kinds"
	comes_equal "$1" entries total "$total"
}

file
tallyd_start
both_equal 'at first'

# While one runs.
reduce=$(stage_pid reduce)
sql 'DELETE FROM by_kind WHERE kind = 2; UPDATE by_kind SET price = price + 1 WHERE kind = 3'
rebuild by_kind
is "an edited table, while running: $output" "$status" 0
contains 'it says what was written' "$output" 'view by_kind is rebuilt: 3 rows written'
contains 'and how long output stood still' "$output" 'output stood still for '
both_equal 'after the edit'
sql 'TRUNCATE by_kind; TRUNCATE entries'
rebuild
is "truncated tables, while running: $output" "$status" 0
contains 'it says what was written' "$output" 'all views are rebuilt: 6 rows written'
both_equal 'after the truncation'
[[ $(stage_pid reduce) != "$reduce" ]] && ok 'by a full recovery' || not_ok 'by a full recovery'
rebuild
is 'nothing is to be written when nothing is wrong' "$status" 0
contains 'and it says so' "$output" ': 0 rows written'
rows=$(sql 'SELECT count(*) FROM by_kind')
stage_kill reduce
await 20 log_has tallyd event=recovery.settled
sql 'UPDATE item SET price = price + 1 WHERE kind = 1'
both_equal 'a later recovery'
is 'rebuilds nothing: two rows for one group' "$(($(sql 'SELECT count(*) FROM by_kind') - rows))" 2

# Another SELECT.
file 'WHERE price <= 400'
kinds='SELECT kind, count(*) AS n, sum(price) AS price FROM item WHERE price <= 400 GROUP BY kind'
asked reload "$WORK/pipeline.sql"
is 'another SELECT: a reload refuses it' "$status" 78
contains 'with the command' "$output" "tallyd rebuild $WORK/pipeline.sql by_kind"
rebuild entries
is 'a rebuild of another view too' "$status" 78
rebuild by_kind
is "the rebuild does it: $output" "$status" 0
both_equal 'with another SELECT'
sql 'UPDATE item SET price = 1000 WHERE id = 7; INSERT INTO entry VALUES (1)'
both_equal 'and it goes on'
rebuild no_such_view
is 'a view that is not there' "$status" 64
contains 'it names those that are' "$output" by_kind
tallyd_stop

# While none runs.
sql 'DELETE FROM by_kind WHERE kind = 4'
tallyd_run_to_end 30
is 'an edited table is noticed at the start, though nothing changes' "$status" 78
sql 'INSERT INTO entry VALUES (2)'
contains 'with the command' "$(cat "$WORK/ended.log")" "tallyd rebuild $WORK/pipeline.sql by_kind"
rebuild by_kind
is "the rebuild does it alone: $output" "$status" 0
contains 'it says what was written' "$output" ': 1 row written'
file
kinds='SELECT kind, count(*) AS n, sum(price) AS price FROM item GROUP BY kind'
tallyd_run_to_end 30
is 'another SELECT is refused at the start' "$status" 78
rebuild by_kind
is "the rebuild does it alone: $output" "$status" 0
tallyd_start again
# The tables are right before it holds the pipeline: only an event of its own shows that it does.
sql 'INSERT INTO entry VALUES (3)'
both_equal 'after a start'
mkdir -m 700 "$WORK/run2"
output=$(RUNTIME_DIRECTORY=$WORK/run2 timeout 60 "$BIN/tallyd" rebuild "$WORK/pipeline.sql" 2>&1)
is 'while another host holds the pipeline it ends' $? 75
contains 'and says why' "$output" 'another tallyd holds the pipeline'
sql 'INSERT INTO entry VALUES (4)'
both_equal 'that one goes on'
tallyd_stop
obeys entries '' total
