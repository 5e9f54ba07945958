# Connect killed amid the first transaction after a snapshot: of no commit before it its offset knows, so it
# takes the row where it was for one, and what it sends again has another `sequence`. It counts once, with
# transaction metadata and without.
. "$(dirname "$0")/lib.sh"
own_stack
own_database
sql "CREATE TABLE many (grp integer NOT NULL, amount bigint NOT NULL);
    ALTER TABLE many REPLICA IDENTITY FULL;
    INSERT INTO many VALUES (0, 1)"
stack_connector "$NAME" public.many >/dev/null || not_ok 'connector'

# start_mode MODE OPTIONS: a tallyd over the same topics; its pid in $tallyd.
start_mode()
{
	sql "CREATE TABLE by_grp_$1 (grp integer, total numeric, n bigint, time bigint, diff integer)"
	pipeline "$2" <<-END
		CREATE FOREIGN TABLE many (grp integer NOT NULL, amount bigint NOT NULL)
		  SERVER kafka OPTIONS (topic '$NAME.public.many');
		CREATE MATERIALIZED VIEW by_grp_$1 AS SELECT grp, sum(amount) AS total, count(*) AS n FROM many GROUP BY grp;
	END
	sed "s/SET pipeline = '$NAME'/SET pipeline = '$1'/" "$WORK/pipeline.sql" >"$WORK/$1.sql"
	tallyd_start "$1" "$WORK/$1.sql"
}
answers() # TEXT
{
	for mode in whole plain; do
		comes_equal "$1, $mode" "by_grp_$mode" grp,total,n 'SELECT grp, sum(amount), count(*) FROM many GROUP BY grp' 60
	done
}

flushed_amid()
{
	kcat -q -C -e -o beginning -b "$BOOTSTRAP" -t connect_offsets 2>/dev/null | grep -v '^$' | tail -n 1 |
	    grep '"messageType":"INSERT"' | grep -qv lsn_commit
}
with_sequence() # PATTERN: how many events have one that begins so
{
	kcat -q -C -e -o beginning -b "$BOOTSTRAP" -t "$NAME.public.many" 2>/dev/null | grep -c "\"sequence\":\"\[$1"
}

start_mode whole "transaction_topic '$NAME.transaction'"
whole=$tallyd
start_mode plain ''
answers 'the snapshot'
connector_settles

start=$(topic_end "$NAME.public.many")
sql 'INSERT INTO many SELECT i % 7, i FROM generate_series(1, 60000) i'
# For its offset to be flushed amid it, twice a second.
await 30 grown "$NAME.public.many" 6000 || not_ok 'the transaction arrives'
await 30 flushed_amid && ok 'the offset is flushed amid it' || not_ok 'the offset is flushed amid it'
stack_kill connect
stack_restart connect || not_ok 'Connect comes back'
answers 'killed amid its first transaction'
first=$(with_sequence null) all=$(with_sequence '')
((first > 6000 && first < all && all > 60001)) && ok "$first of $all messages are the first transaction's, the others have another sequence" ||
    not_ok "nothing was sent again with another sequence: $first of $all"
for mode in whole plain; do
	obeys "by_grp_$mode" grp total,n
done
tallyd_stop
tallyd_stop TERM "$whole"
