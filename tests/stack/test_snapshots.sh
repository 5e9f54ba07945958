# Snapshots by the real connector: a first one cut short by a kill of Connect, which then takes it again; blocking
# ones on request, in mid-stream, one of them cut short; an incremental one between the transactions of a
# load, with kills of ingest, and one of a table without a key, which is refused. What only the snapshot
# can tell is changed behind the connector's back: while the publication has no tables.
# limit: 400 s
. "$(dirname "$0")/lib.sh"
own_stack
own_database

rows=60000
sql "CREATE TABLE items (id integer PRIMARY KEY, grp integer NOT NULL, amount bigint NOT NULL);
    CREATE TABLE loose (id integer NOT NULL, grp integer NOT NULL, amount bigint NOT NULL);
    ALTER TABLE loose REPLICA IDENTITY FULL;
    CREATE TABLE debezium_signal (id text PRIMARY KEY, type text NOT NULL, data text);
    INSERT INTO items SELECT i, i % 10, i FROM generate_series(1, $rows) i;
    INSERT INTO loose SELECT * FROM items"
views=(items loose)
for view in "${views[@]}"; do
	sql "CREATE TABLE all_$view (n bigint, total numeric, time bigint, diff integer);
	    CREATE TABLE by_grp_$view (grp integer, n bigint, total numeric, highest bigint, time bigint, diff integer)"
done
for view in "${views[@]}"; do
	cat <<-END
		CREATE FOREIGN TABLE $view (id integer $([[ $view == loose ]] || echo 'PRIMARY KEY'), grp integer NOT NULL,
		  amount bigint NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.$view');
		CREATE MATERIALIZED VIEW all_$view AS SELECT count(*) AS n, sum(amount) AS total FROM $view;
		CREATE MATERIALIZED VIEW by_grp_$view AS SELECT grp, count(*) AS n, sum(amount) AS total,
		  max(amount) AS highest FROM $view GROUP BY grp;
	END
done | pipeline

connector()
{
	CONNECTOR_OPTIONS='signal.data.collection=public.debezium_signal
incremental.snapshot.chunk.size=500' stack_connector "$NAME" public.items public.loose public.debezium_signal
}
answers() # TEXT
{
	local view
	for view in "${views[@]}"; do
		comes_equal "$1" "by_grp_$view" grp,n,total,highest \
		    "SELECT grp, count(*), sum(amount), max(amount) FROM $view GROUP BY grp" 90
		comes_equal "$1" "all_$view" n,total "SELECT count(*), sum(amount) FROM $view"
	done
}
topic=$NAME.public.items
number=0
signal() # SNAPSHOT TABLE [MORE]
{
	number=$((number + 1))
	sql "INSERT INTO debezium_signal VALUES ('$number', 'execute-snapshot',
	    '{\"data-collections\": [\"public.$2\"], \"type\": \"$1\"${3-}}')"
}
unseen() # SQL
{
	sql "ALTER PUBLICATION $NAME DROP TABLE items, loose"
	sql "$1"
	sql "ALTER PUBLICATION $NAME ADD TABLE items, loose"
}
cut_short() # TEXT COUNT: Connect, once so many messages came since $start
{
	await 60 grown "$topic" "$2" || not_ok "$1: it begins"
	stack_kill connect
	(($(topic_end "$topic") < start + rows)) && ok "$1: cut short after $(($(topic_end "$topic") - start)) of $rows rows" ||
	    not_ok "$1: it was over already"
	stack_restart connect || not_ok 'Connect comes back'
}

# ---- the first, cut short ----------------------------------------------------------------------

start=0
tallyd_start
connector >"$WORK/connector.out" 2>&1 &
registration=$!
cut_short 'the first snapshot' 2000
wait "$registration"
connector >/dev/null || not_ok 'connector'
answers 'the first snapshot, taken again'
for view in "${views[@]}"; do
	is "$view: its rows are counted once, and shown at once" \
	    "$(sql "SELECT string_agg(n::text, ' ') FROM all_$view")" $rows
done

# ---- blocking ----------------------------------------------------------------------------------

unseen "DELETE FROM items WHERE id % 7 = 0; UPDATE items SET amount = amount + 5 WHERE id % 3 = 0;
    INSERT INTO items SELECT i, i % 10, i FROM generate_series($rows + 1, $rows + 100) i"
sql 'UPDATE items SET grp = 11 WHERE id = 1; UPDATE loose SET grp = 11 WHERE id = 1'
signal blocking items
answers 'a blocking snapshot replaces the table'
unseen 'DELETE FROM loose WHERE id % 5 = 0; UPDATE loose SET amount = 1 WHERE id % 11 = 0'
signal blocking loose
answers 'and one without a key'
sql 'UPDATE items SET grp = 12 WHERE id = 2; DELETE FROM items WHERE id = 3; DELETE FROM loose WHERE id < 4'
answers 'changes after them'

start=$(topic_end "$topic")
rows=$(sql 'SELECT count(*) FROM items')
signal blocking items
cut_short 'a blocking snapshot' 2000
sql 'UPDATE items SET grp = 13 WHERE id < 10; DELETE FROM items WHERE id = 10; UPDATE loose SET grp = 13 WHERE id < 10'
answers 'changes behind one that was cut short'
signal blocking items
sql 'UPDATE items SET grp = 14 WHERE id < 5; UPDATE loose SET grp = 14 WHERE id < 5'
answers 'another one after it'

# ---- incremental -------------------------------------------------------------------------------

unseen "UPDATE items SET amount = amount + 1 WHERE id % 2 = 0;
    INSERT INTO items SELECT i, i % 10, i FROM generate_series(100001, 101000) i"
for ((i = 1; i <= 600; i++)); do
	id=$((RANDOM * 2 % 60000 + 4))
	echo "BEGIN; UPDATE items SET amount = amount - $i, grp = $((i % 17)) WHERE id = $id;
	    UPDATE items SET amount = amount + $i WHERE id = $((id + 1)); DELETE FROM items WHERE id = $((i * 90));
	    INSERT INTO items VALUES ($((200000 + i)), 3, $i); COMMIT; SELECT pg_sleep(0.005);"
done >"$WORK/load.sql"
start=$(topic_end "$topic")
signal incremental items
load_amid_kills "$WORK/load.sql" 0.7
await 120 grown "$topic" 5000 && ok 'the snapshot goes on beside the load' || not_ok 'the snapshot goes on beside the load'
answers 'an incremental snapshot beside a load'
tallyd_stop
tallyd_start again
sql 'UPDATE items SET amount = amount - 1 WHERE id < 1000'
answers 'recovered over all of them'
for view in "${views[@]}"; do
	obeys "by_grp_$view" grp n,total,highest
	obeys "all_$view" '' n,total
done

before=$(sql "$(live all_loose n,total)")
signal incremental loose ', "surrogate-key": "id"'
ended()
{
	[[ -z $(stack_started_at "$tallyd") ]]
}
await 60 ended && ok 'of a table without a key: tallyd stops' || not_ok 'of a table without a key: tallyd stops'
contains 'and says where and why' "$(grep level=error "$WORK/again.log")" "$NAME.public.loose [0] offset "
contains 'and says why' "$(grep level=error "$WORK/again.log")" 'incremental snapshot'
is 'what was shown stays' "$(sql "$(live all_loose n,total)")" "$before"
