# The bank: each transaction moves money by two updates, so the total is the same in every commit,
# and so is each transaction whole. Keyed and keyless, each stage killed once meanwhile.
. "$(dirname "$0")/lib.sh"
own_database

for kind in keyed keyless; do
	key=''
	[[ $kind == keyless ]] || key='PRIMARY KEY'
	sql "CREATE TABLE $kind (id integer $key, balance bigint NOT NULL);
	    ALTER TABLE $kind REPLICA IDENTITY FULL;
	    INSERT INTO $kind SELECT i, 1000 FROM generate_series(1, 20) i;
	    CREATE TABLE total_$kind (total numeric, n bigint, time bigint, diff integer);
	    CREATE TABLE by_id_$kind (id integer, balance numeric, time bigint, diff integer)"
done
stack_connector "$NAME" public.keyed public.keyless >/dev/null || not_ok 'connector'
{
	for kind in keyed keyless; do
		key=''
		[[ $kind == keyless ]] || key='PRIMARY KEY'
		cat <<-END
			CREATE FOREIGN TABLE $kind (id integer $key, balance bigint NOT NULL)
			    SERVER kafka OPTIONS (topic '$NAME.public.$kind');
			CREATE MATERIALIZED VIEW total_$kind AS SELECT sum(balance) AS total, count(*) AS n FROM $kind;
			CREATE MATERIALIZED VIEW by_id_$kind AS SELECT id, sum(balance) AS balance FROM $kind GROUP BY id;
		END
	done
} | pipeline
tallyd_start
await 30 same_answer total_keyed total,n 'SELECT sum(balance), count(*) FROM keyed' || not_ok 'it starts'

transfers()
{
	local i a b
	for ((i = 0; i < $1; i++)); do
		a=$((RANDOM % 20 + 1)) b=$((RANDOM % 20 + 1))
		echo "BEGIN;"
		for kind in keyed keyless; do
			echo "UPDATE $kind SET balance = balance - $i WHERE id = $a;"
			echo "UPDATE $kind SET balance = balance + $i WHERE id = $b;"
		done
		echo "COMMIT; SELECT pg_sleep(0.004);"
	done | stack_psql -f - >/dev/null
}
transfers 1500 &
load=$!
for stage in ingest reduce egress; do
	sleep 2
	stage_kill "$stage"
done
wait "$load"
for kind in keyed keyless; do
	comes_equal 'after 1,500 transfers' "by_id_$kind" id,balance "SELECT id, balance FROM $kind"
	is "$kind: the total was the same in every commit" \
	    "$(sql "SELECT count(*) FROM total_$kind")" 1
	# The fold of the groups at every time: never a half transaction.
	wrong=$(sql "SELECT count(*) FROM (SELECT time, sum(sum(balance * diff)) OVER (ORDER BY time) AS total
	    FROM by_id_$kind GROUP BY time) t WHERE total <> 20000")
	is "$kind: folded at every time, the groups have that total too" "$wrong" 0
	obeys "by_id_$kind" id balance
done
commits=$(count_commits by_id_keyed)
((commits > 50)) && ok "in $commits commits" || not_ok "only $commits commits: nothing is shown by that"
# Both views of both tables are written by the same commits.
is 'one transaction of the source is one time in all views' "$(sql "SELECT count(*) FROM
    (SELECT DISTINCT time FROM by_id_keyed EXCEPT SELECT DISTINCT time FROM by_id_keyless) x")" 0
tallyd_stop
