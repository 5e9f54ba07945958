# TRUNCATE by the real connector (skipped.operations=none): of a keyed and of a keyless table, alone, in the midst
# of a transaction and of two tables at once, with kills of Connect, ingest and reduce around it; each commit is
# a state that PostgreSQL had. Over two partitions: refused at the start where it is to be followed, and
# where it is met otherwise.
# limit: 400 s
. "$(dirname "$0")/lib.sh"
own_stack
own_database

sql "CREATE TABLE keyed (id integer PRIMARY KEY, grp integer NOT NULL, amount bigint NOT NULL);
    CREATE TABLE keyless (grp integer NOT NULL, amount bigint NOT NULL); ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO keyed SELECT i, i % 5, i FROM generate_series(1, 5000) i; INSERT INTO keyless SELECT grp, amount FROM keyed"
views=(keyed keyless)
for view in "${views[@]}"; do
	sql "CREATE TABLE all_$view (n bigint, total numeric, time bigint, diff integer);
	    CREATE TABLE by_grp_$view (grp integer, n bigint, total numeric, highest bigint, time bigint, diff integer)"
done
tables() # [MORE OPTIONS]
{
	local view
	for view in "${views[@]}"; do
		cat <<-END
			CREATE FOREIGN TABLE $view ($([[ $view == keyless ]] || echo 'id integer PRIMARY KEY,') grp integer NOT NULL,
			  amount bigint NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.$view'${1-});
			CREATE MATERIALIZED VIEW all_$view AS SELECT count(*) AS n, sum(amount) AS total FROM $view;
			CREATE MATERIALIZED VIEW by_grp_$view AS SELECT grp, count(*) AS n, sum(amount) AS total,
			  max(amount) AS highest FROM $view GROUP BY grp;
		END
	done
}
tables ", truncate 'follow'" | pipeline
cp "$WORK/pipeline.sql" "$WORK/follow.sql"
answers() # TEXT
{
	local view
	for view in "${views[@]}"; do
		comes_equal "$1" "by_grp_$view" grp,n,total,highest \
		    "SELECT grp, count(*), sum(amount), max(amount) FROM $view GROUP BY grp" 60
		comes_equal "$1" "all_$view" n,total "SELECT count(*), sum(amount) FROM $view HAVING count(*) > 0"
	done
}
connector()
{
	CONNECTOR_OPTIONS="skipped.operations=none${1-}" stack_connector "$NAME" public.keyed public.keyless >/dev/null ||
	    not_ok 'connector'
	connector_settles
}
connector
tallyd_start
answers 'the snapshot'

# ---- one partition -----------------------------------------------------------------------------

sql 'TRUNCATE keyed'
answers 'a keyed table'
is 'all of it goes in one commit' "$(sql "SELECT count(DISTINCT time) FROM by_grp_keyed WHERE diff = -1")" 1
sql 'TRUNCATE keyless'
answers 'a keyless table'
is 'all of it goes in one commit, too' "$(sql "SELECT count(DISTINCT time) FROM by_grp_keyless WHERE diff = -1")" 1
commits=$(count_commits by_grp_keyed)
sql "BEGIN; INSERT INTO keyed SELECT i, i % 3, i FROM generate_series(1, 1000) i; INSERT INTO keyless SELECT grp, amount FROM keyed;
    UPDATE keyed SET amount = amount + 1; TRUNCATE keyed, keyless; INSERT INTO keyed VALUES (7, 1, 70), (8, 2, 80);
    INSERT INTO keyless SELECT grp, amount FROM keyed; UPDATE keyless SET amount = 71 WHERE grp = 1; COMMIT"
answers 'in the midst of a transaction'
is 'which is one commit' $(($(count_commits by_grp_keyed) - commits)) 1
sql 'BEGIN; TRUNCATE keyed, keyless; ROLLBACK'
sql 'UPDATE keyed SET amount = amount + 1'
answers 'one that was rolled back'

# The states that PostgreSQL had, by the sum over a marker: what is shown must be one of them, in order.
for i in {1..150}; do
	echo "BEGIN; INSERT INTO keyed SELECT i, i % 5, $i FROM generate_series(1, 20) i ON CONFLICT (id) DO UPDATE SET amount = $i;
	    INSERT INTO keyless SELECT i % 5, $i FROM generate_series(1, 20) i; COMMIT;"
	((i % 3)) || echo "BEGIN; TRUNCATE keyed, keyless; INSERT INTO keyed VALUES (1000, 9, $i); INSERT INTO keyless VALUES (9, $i); COMMIT;"
	((i % 7)) || echo 'TRUNCATE keyless; TRUNCATE keyed;'
	echo 'SELECT pg_sleep(0.03);'
done >"$WORK/load.sql"
stack_psql -f "$WORK/load.sql" >/dev/null &
load=$!
sleep 1
stack_kill connect
stack_restart connect || not_ok 'Connect comes back'
stage_kill reduce
sleep 0.5
stage_kill ingest
wait "$load"
answers 'a load of them, with Connect, reduce and ingest killed'
stage_kill reduce
answers 'replayed'
wrong=$(sql "SELECT count(*) FROM (SELECT sum(sum(n * diff)) OVER (ORDER BY time) AS n, sum(sum(total * diff)) OVER (ORDER BY time)
    AS total FROM all_keyed GROUP BY time) t WHERE NOT coalesce(n = 0 OR n IN (1, 2, 20, 21, 5000), true)")
is 'in each commit the keyed table has as many rows as it had after some transaction' "$wrong" 0
for view in "${views[@]}"; do
	obeys "by_grp_$view" grp n,total,highest
	obeys "all_$view" '' n,total
done
tallyd_stop
tallyd_start again
sql "TRUNCATE keyed, keyless; INSERT INTO keyed VALUES (1, 1, 1); INSERT INTO keyless VALUES (1, 1)"
answers 'after a stop'
tallyd_stop
"$BIN/tallyd" run --replay "$WORK/pipeline.sql" >"$WORK/replay.log" 2>&1 </dev/null &
tallyd=$!
tallyds+=("$tallyd")
disown "$tallyd"
await 60 log_has replay 'reduce.live' || not_ok 'a replay of everything comes to its end'
sql 'INSERT INTO keyless VALUES (1, 2)'
answers 'after a replay of everything'
tallyd_stop

# ---- refused -----------------------------------------------------------------------------------

tables ", truncate 'refuse'" | pipeline
sql 'TRUNCATE keyless'
tallyd_run_to_end 30
is "truncate 'refuse': ends with 65" "$status" 65
contains "truncate 'refuse': says where and what" "$(grep level=error "$WORK/ended.log")" "$NAME.public.keyless [0] offset "
contains "truncate 'refuse': says what to do" "$(grep level=error "$WORK/ended.log")" 'take the option out'
tables | pipeline
tallyd_start default
answers 'without the option it goes on'

# Two partitions of a topic: noticed when it starts.
tallyd_stop
topic_grow "$NAME.public.keyless" 2
asked check "$WORK/pipeline.sql"
contains 'check says that one would stop it' "$output" "topic $NAME.public.keyless has 2 partitions: which of"
asked check "$WORK/follow.sql"
is "check of truncate 'follow': ends with 78" "$status" 78
contains "check of truncate 'follow' has a caret" "$output" '^'
tallyd_run_to_end 30 "$WORK/follow.sql"
is "truncate 'follow' over two partitions: ends with 78" "$status" 78
contains "truncate 'follow' over two partitions: says why" "$(grep level=error "$WORK/ended.log")" \
    'which of their rows came before a TRUNCATE is not known'
tallyd_start default
sql 'INSERT INTO keyless SELECT 5, i FROM generate_series(1, 50) i; INSERT INTO keyed VALUES (70, 70, 70)'
answers 'two partitions without a TRUNCATE'
tallyd_stop
"$BIN/tallyd" run --replay "$WORK/pipeline.sql" >"$WORK/replay2.log" 2>&1 </dev/null &
tallyd=$!
tallyds+=("$tallyd")
disown "$tallyd"
await 60 log_has replay2 'reduce.live' || not_ok 'those in history are replayed'
answers 'replayed, with those of one partition in its history'
before=$(sql "$(live all_keyless n,total)")
sql 'TRUNCATE keyless'
ended()
{
	[[ -z $(stack_started_at "$tallyd") ]]
}
await 30 ended && ok 'one over two partitions: tallyd stops' || not_ok 'one over two partitions: tallyd stops'
contains 'and says where' "$(grep level=error "$WORK/replay2.log")" "$NAME.public.keyless ["
contains 'and why' "$(grep level=error "$WORK/replay2.log")" 'is a TRUNCATE: its topic has 2 partitions'
is 'what was shown stays' "$(sql "$(live all_keyless n,total)")" "$before"
