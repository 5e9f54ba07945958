# Views come and go under load: filled from the kept rows in one batch, while the others do not stop;
# dropped, its table stands still; added again, it needs an empty table. Over a keyless table: a replay.
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE account (id integer PRIMARY KEY, branch integer NOT NULL, balance bigint NOT NULL);
    ALTER TABLE account REPLICA IDENTITY FULL;
    INSERT INTO account SELECT i, i % 7, 1000 FROM generate_series(1, 2000) i;
    CREATE TABLE entry (amount bigint NOT NULL);
    INSERT INTO entry SELECT i FROM generate_series(1, 1000) i;
    CREATE TABLE total (n bigint, total numeric, time bigint, diff integer);
    CREATE TABLE by_branch (branch integer, n bigint, total numeric, time bigint, diff integer);
    CREATE TABLE entries (total numeric, time bigint, diff integer);
    CREATE TABLE entry_count (n bigint, time bigint, diff integer)'
stack_connector "$NAME" public.account public.entry >/dev/null || not_ok 'connector'

tables="CREATE FOREIGN TABLE account (id integer PRIMARY KEY, branch integer NOT NULL, balance bigint NOT NULL)
    SERVER kafka OPTIONS (topic '$NAME.public.account');
CREATE FOREIGN TABLE entry (amount bigint NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.entry');
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(balance) AS total FROM account;
CREATE MATERIALIZED VIEW entries AS SELECT sum(amount) AS total FROM entry;"
by_branch='CREATE MATERIALIZED VIEW by_branch AS SELECT branch, count(*) AS n, sum(balance) AS total
    FROM account GROUP BY branch;'
entry_count='CREATE MATERIALIZED VIEW entry_count AS SELECT count(*) AS n FROM entry;'
total='SELECT count(*) AS n, sum(balance) AS total FROM account'
branches='SELECT branch, count(*) AS n, sum(balance) AS total FROM account GROUP BY branch'

pipeline <<<"$tables"
tallyd_start
comes_equal 'at first' total n,total "$total"
comes_equal 'at first' entries total 'SELECT sum(amount) AS total FROM entry'

reload() # [OPTION...]: what it answers in $output, its code in $status
{
	asked reload "$@" "$WORK/pipeline.sql"
}

pids()
{
	echo "$(stage_pid egress) $(stage_pid reduce) $(stage_pid ingest)"
}

# Money moves between branches, and comes from nowhere: the total rises in each transaction. So many of them,
# or more: until $WORK/enough is there.
load()
{
	local i
	for ((i = 0; ; i++)); do
		((i < $1)) || [[ ! -e $WORK/enough ]] || break
		echo "BEGIN; UPDATE account SET balance = balance + 1 + $i % 5 WHERE id = $((RANDOM % 2000 + 1));
		    UPDATE account SET branch = (branch + 1) % 7 WHERE id = $((RANDOM % 2000 + 1)); COMMIT;
		    SELECT pg_sleep(0.005);"
	done | stack_psql -f - >/dev/null
}
load 1500 &
loader=$!
sleep 2
before=$(pids)
pipeline <<<"$tables $by_branch"
reload --dry-run
is 'a new view over a keyed table is live' "$output" 'live: view "by_branch" is new: filled from the kept rows of "account"'
reload
is "it is taken: $output" "$status" 0
is 'reduce and ingest go on' "$(pids | cut -d' ' -f2-)" "$(cut -d' ' -f2- <<<"$before")"
shown_with()
{
	(($(count_commits by_branch) > 10))
}
await 20 shown_with || not_ok 'the new view is shown with its load'
pipeline <<<"$tables"
reload
touch "$WORK/enough"
is "the view is dropped under load: $output" "$status" 0
await 10 eval '[[ $(sql "SELECT count(*) FROM tallyd.view WHERE view = '"'by_branch'"'") == 0 ]]' &&
    ok 'its row in tallyd.view is gone' || not_ok 'its row in tallyd.view is gone'
rows=$(sql 'SELECT count(*) FROM by_branch')
wait "$loader"
comes_equal 'after the load' total n,total "$total"
is 'the table of a dropped view stands still' "$(sql 'SELECT count(*) FROM by_branch')" "$rows"
is 'reduce and ingest have never stopped' "$(pids | cut -d' ' -f2-)" "$(cut -d' ' -f2- <<<"$before")"
# Both views are written by the same commits: from the first batch of the new one they say the same.
wrong=$(sql "SELECT count(*) FROM (SELECT DISTINCT time FROM by_branch) t WHERE
    (SELECT (sum(n * diff), sum(total * diff))::text FROM by_branch b WHERE b.time <= t.time) IS DISTINCT FROM
    (SELECT (sum(n * diff), sum(total * diff))::text FROM total a WHERE a.time <= t.time)")
is 'at each of its times the new view has the total of the old one' "$wrong" 0
times=$(count_commits by_branch)
((times > 10)) && ok "in $times commits" || not_ok "only $times commits: nothing is shown by that"
first=$(sql 'SELECT count(DISTINCT branch) FROM by_branch WHERE time = (SELECT min(time) FROM by_branch)')
is 'its first batch has all groups' "$first" 7
gap=$(sql 'SELECT max(gap) FROM (SELECT time - lag(time) OVER (ORDER BY time) AS gap FROM
    (SELECT DISTINCT time FROM total WHERE time >= (SELECT min(time) - 1000 FROM by_branch)) t) g')
((gap < 3000)) && ok "the other view's commits went on: longest gap $gap ms" ||
    not_ok "the other view's commits went on: longest gap $gap ms"

# Added again.
pipeline <<<"$tables $by_branch"
reload
is "added again, it needs an empty table: $output" "$status" 78
contains 'and the reason says which' "$output" by_branch
is 'nobody has stopped for that' "$(pids | cut -d' ' -f2-)" "$(cut -d' ' -f2- <<<"$before")"
sql 'DELETE FROM by_branch'
reload
is "with an empty one it is taken: $output" "$status" 0
sql 'UPDATE account SET balance = balance + 1, branch = 3 WHERE id <= 100'
comes_equal 'added again' by_branch branch,n,total "$branches"
stage_kill reduce
sql 'UPDATE account SET branch = 4 WHERE id <= 50'
comes_equal 'after a recovery with the new file' by_branch branch,n,total "$branches"

# The target refuses the rows of a new view, which no check can see before: the old file is back.
sql 'CREATE TABLE few (branch integer, n bigint CHECK (n < 0), time bigint, diff integer)'
few='CREATE MATERIALIZED VIEW few AS SELECT branch, count(*) AS n FROM account GROUP BY branch;'
pipeline <<<"$tables $by_branch $few"
reload
is "a view whose rows the target refuses: $output" "$((status != 0))" 1
contains 'the answer says why' "$output" few
sql 'UPDATE account SET branch = 5 WHERE id <= 20'
comes_equal 'after that' by_branch branch,n,total "$branches"
comes_equal 'after that' total n,total "$total"
is 'its table is empty, and nothing is known of it' \
    "$(sql "SELECT (SELECT count(*) FROM few), (SELECT count(*) FROM tallyd.view WHERE view LIKE '%few')")" '0|0'
kill -0 "$tallyd" && ok 'the same tallyd runs' || not_ok 'the same tallyd runs'

# Something comes into the table between the check and the take-over of the new egress.
sql 'ALTER TABLE few DROP CONSTRAINT few_n_check'
before=$(pids)
{ echo "BEGIN; SELECT 1 FROM tallyd.pipeline WHERE name = '$NAME' FOR UPDATE;"
    until [[ $(stage_pid egress) != "${before%% *}" && -n $(stage_pid egress) ]]; do
        echo 'SELECT pg_sleep(0.05);'
        sleep 0.1
    done
    echo "INSERT INTO few VALUES (1, 1, 1, 1); COMMIT;"; } | stack_psql -f - >/dev/null &
holder=$!
held()
{
	! sql "SELECT 1 FROM tallyd.pipeline WHERE name = '$NAME' FOR UPDATE NOWAIT" >/dev/null 2>&1
}
await 20 held || not_ok 'its row is held'
reload
wait "$holder"
is "egress refuses what the check allowed: $output" "$status" 78
log_has tallyd 'public.few has rows' && ok 'the log says why' || not_ok 'the log says why'
is 'reduce and ingest have not noticed' "$(pids | cut -d' ' -f2-)" "$(cut -d' ' -f2- <<<"$before")"
sql 'UPDATE account SET branch = 6 WHERE id <= 20'
comes_equal 'with the old section again' by_branch branch,n,total "$branches"

# Over a keyless table.
pipeline <<<"$tables $by_branch $entry_count"
reload
is 'a new view over a keyless table is refused' "$status" 78
contains 'with the command that does it' "$output" "tallyd reload --replay $WORK/pipeline.sql"
reload --replay
is "which does it: $output" "$status" 0
contains 'and says how long output stood still' "$output" 'output stood still for '
sql 'INSERT INTO entry VALUES (7), (8)'
comes_equal 'after the replay' entry_count n 'SELECT count(*) AS n FROM entry'
comes_equal 'after the replay' entries total 'SELECT sum(amount) AS total FROM entry'
comes_equal 'after the replay' by_branch branch,n,total "$branches"
status=$("$BIN/tallyd" status "$NAME")
contains 'status knows why' "$status" 'recovery: the pipeline file was read again, took '
tallyd_stop
tallyd_start again
sql 'INSERT INTO entry VALUES (9)'
comes_equal 'after a stop and a start' entry_count n 'SELECT count(*) AS n FROM entry'
for view in 'total||n,total' 'by_branch|branch|n,total' 'entries||total' 'entry_count||n'; do
	IFS='|' read -r table group values <<<"$view"
	obeys "$table" "$group" "$values"
done
tallyd_stop
