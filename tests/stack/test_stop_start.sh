# tallyd is stopped (TERM) and killed (KILL, with all its stages) in the middle of a load, and
# started again: nothing lost, nothing doubled.
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE sums (k integer, s bigint, n bigint, time bigint, diff integer);
    CREATE TABLE items (id serial PRIMARY KEY, k integer, v integer)'
stack_connector "$NAME" public.items public.values >/dev/null || not_ok 'connector'
pipeline <<END
CREATE FOREIGN TABLE items (id integer PRIMARY KEY, k integer, v integer)
  SERVER kafka OPTIONS (topic '$NAME.public.items');
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.values');
CREATE MATERIALIZED VIEW sums AS SELECT k, sum(v) AS s, count(*) AS n FROM items GROUP BY k;
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END
load()
{
	local i
	for i in {1..400}; do
		echo "INSERT INTO items (k, v) SELECT i % 11, i FROM generate_series(1, 10) i;
		    INSERT INTO \"values\" VALUES ($i);
		    DELETE FROM items WHERE id % 9 = 0; UPDATE \"values\" SET value = 0 WHERE value = $i - 5;
		    SELECT pg_sleep(0.02);"
	done | stack_psql -f - >/dev/null
}
load &
for round in 1 2 3; do
	tallyd_start "tallyd-$round"
	await 20 log_has "tallyd-$round" event=reduce.live || not_ok "round $round goes live"
	sleep 1
	if ((round == 2)); then
		kill -KILL "$tallyd"
		await 10 eval '[[ -z $(pgrep -P "$tallyd") ]]'
	else
		tallyd_stop
	fi
done
tallyd_start tallyd-4
wait %1 2>/dev/null
comes_equal 'after two stops and a kill' sums k,s,n 'SELECT k, sum(v) AS s, count(*) AS n FROM items GROUP BY k'
comes_equal 'after two stops and a kill' sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
obeys sums k s,n
obeys sum_table '' sum
tallyd_stop

# A changed table is another pipeline: a start refuses it, and the target keeps what it has.
for change in "s/topic '$NAME.public.items'/topic '$NAME.public.others'/" 's/k integer, v integer/k integer, v bigint/' \
    's/sum(v) AS s/sum(k) AS s/'; do
	sed "$change" "$WORK/pipeline.sql" >"$WORK/changed.sql"
	tallyd_run_to_end 20 "$WORK/changed.sql" changed
	is "$change: refused" "$status" 78
	contains "$change: it says which view" "$(cat "$WORK/changed.log")" 'view sums has changed'
done

# So is a server with another name: its position is kept by the name, and a first start of it would
# count all again.
sed -E 's/(SERVER )kafka/\1broker/' "$WORK/pipeline.sql" >"$WORK/changed.sql"
rows=$(sql 'SELECT count(*) FROM sums')
tallyd_run_to_end 20 "$WORK/changed.sql" renamed
is 'a renamed server: refused' "$status" 78
contains 'a renamed server: it says which' "$(cat "$WORK/renamed.log")" 'server \"kafka\" that the file has no more'
asked check "$WORK/changed.sql"
is 'a renamed server: check refuses it too' "$status" 78
contains 'a renamed server: check says which' "$output" 'server "broker" is new'
sql "UPDATE tallyd.pipeline SET position = NULL WHERE name = '$NAME'"
tallyd_run_to_end 20 "$WORK/pipeline.sql" gone
is 'a position that is gone: refused' "$status" 78
contains 'a position that is gone: it says so' "$(cat "$WORK/gone.log")" 'is gone from tallyd.pipeline'
is 'and nothing was written' "$(sql 'SELECT count(*) FROM sums')" "$rows"
