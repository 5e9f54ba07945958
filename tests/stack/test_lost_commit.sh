# The answer to a COMMIT is lost: after the commit took place (the connection is cut behind the sent
# statement), and when egress dies at each step of a commit. Small commits and COPY.
. "$(dirname "$0")/lib.sh"
BIN=$ROOT/build/fault
own_database
sql 'CREATE TABLE items (id integer PRIMARY KEY, k integer);
    CREATE TABLE by_k (k integer, n bigint, time bigint, diff integer)'
stack_connector "$NAME" public.items >/dev/null || not_ok 'connector'
pipeline <<END
SET commit_interval_ms = 20;
CREATE FOREIGN TABLE items (id integer PRIMARY KEY, k integer)
  SERVER kafka OPTIONS (topic '$NAME.public.items');
CREATE MATERIALIZED VIEW by_k AS SELECT k, count(*) AS n FROM items GROUP BY k;
END
answer='SELECT k, count(*) AS n FROM items GROUP BY k'
next=0
load() # small commits, then one of many groups
{
	local i
	for i in {1..6}; do
		sql "INSERT INTO items SELECT $next + i, i % 50 FROM generate_series(1, 20) i"
		next=$((next + 20))
	done
	sql "INSERT INTO items SELECT $next + i, i FROM generate_series(1, 5000) i"
	next=$((next + 5000))
	sql "DELETE FROM items WHERE id % 3 = 0"
}
points=(egress.before_takeover egress.after_takeover egress.before_insert egress.in_copy
    egress.before_check egress.before_commit egress.commit_sent egress.after_commit egress.after_publish)
for point in "${points[@]}"; do
	for action in kill error; do
		[[ $action == kill || $point == egress.commit_sent ]] || continue
		for hit in 1 4; do
			rule=$point:$hit:$action
			export TALLYD_FAULT=$rule TALLYD_FAULT_ONCE=$WORK/$point-$hit-$action
			tallyd_start "$point-$hit-$action"
			load
			await 30 same_answer by_k k,n "$answer" || not_ok "$rule: by_k becomes equal"
			if [[ -e $TALLYD_FAULT_ONCE.$point.$hit.$action ]]; then
				ok "$rule: happened, and by_k is equal"
			elif ((hit == 1)); then
				not_ok "$rule: never happened"
			fi
			tallyd_stop
		done
	done
done
obeys by_k k n
