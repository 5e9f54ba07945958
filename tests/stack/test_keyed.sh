# A keyed table with every column type, under default replica identity and under FULL: inserts,
# updates, deletes, key changes, NULLs and truncated-to-empty groups; several views at once, each
# compared with PostgreSQL's own answer to the same SELECT. (Debezium drops the trailing zeros of a
# numeric without a declared scale, so the ratios here have none that count.)
. "$(dirname "$0")/lib.sh"
own_database

columns='id integer PRIMARY KEY, account bigint, amount numeric(12,2), ratio numeric, note text,
    open boolean, made timestamp, seen timestamptz'
for identity in DEFAULT FULL; do
	table=orders_${identity,,}
	sql "CREATE TABLE $table ($columns); ALTER TABLE $table REPLICA IDENTITY $identity"
	sql "CREATE TABLE by_account_$table (account bigint, n bigint, amounts numeric, low numeric,
	        high numeric, mean numeric, time bigint, diff smallint);
	    CREATE TABLE overall_$table (n bigint, noted bigint, ids bigint, accounts numeric,
	        ratios numeric, mean_ratio numeric, first timestamptz, last timestamp, time bigint, diff integer);
	    CREATE TABLE by_note_$table (note text, open boolean, n bigint, id_min integer, id_max integer,
	        id_mean numeric, time bigint, diff integer)"
done
sql "INSERT INTO orders_default SELECT i, i % 5, i * 1.25, (i * 7 + 1) / 7.0, 'note ' || i % 3, i % 2 = 0,
    '2026-01-01'::timestamp + i * interval '1 hour', '2026-01-01'::timestamptz - i * interval '1 day'
    FROM generate_series(1, 500) i" # these come by snapshot

by_account='SELECT account, count(*) AS n, sum(amount) AS amounts, min(amount) AS low,
    max(amount) AS high, avg(amount) AS mean FROM TABLE GROUP BY account'
overall="SELECT count(*) AS n, count(note) AS noted, sum(id) AS ids, sum(account) AS accounts,
    sum(ratio) AS ratios, avg(ratio) AS mean_ratio, min(seen) AS first, max(made) AS last FROM TABLE
    WHERE (amount > 10 OR amount IS NULL) AND NOT (note = 'never')"
by_note="SELECT note, open, count(*) AS n, min(id) AS id_min, max(id) AS id_max, avg(id) AS id_mean
    FROM TABLE WHERE account IN (1, 2, 3) OR account IS NULL OR open GROUP BY note, open"

stack_connector "$NAME" public.orders_default public.orders_full >/dev/null || not_ok 'connector'
{
	for table in orders_default orders_full; do
		cat <<-END
			CREATE FOREIGN TABLE $table (id integer PRIMARY KEY, account bigint,
			    amount numeric(12,2), ratio numeric, note text, open boolean, made timestamp,
			    seen timestamptz) SERVER kafka OPTIONS (topic '$NAME.public.$table');
			CREATE MATERIALIZED VIEW by_account_$table AS ${by_account//TABLE/$table};
			CREATE MATERIALIZED VIEW overall_$table AS ${overall//TABLE/$table};
			CREATE MATERIALIZED VIEW by_note_$table AS ${by_note//TABLE/$table};
		END
	done
} | pipeline
tallyd_start

work()
{
	sql "INSERT INTO $1 SELECT i, nullif(i % 7, 3), nullif(round((random() * 100)::numeric, 2), 50),
	    round((random() * 10)::numeric, i % 9), CASE i % 4 WHEN 0 THEN NULL ELSE 'n' || i % 4 END,
	    CASE i % 3 WHEN 0 THEN NULL ELSE i % 2 = 0 END,
	    CASE i % 5 WHEN 0 THEN 'infinity' ELSE '1999-12-31 23:59:59.999999'::timestamp - i * interval '1 s' END,
	    CASE i % 6 WHEN 0 THEN '-infinity' ELSE now() - i * interval '1 min' END
	    FROM generate_series(1001, 1400) i"
	local i
	for i in {1..40}; do
		sql "BEGIN; UPDATE $1 SET amount = amount + $i, account = (account + 1) % 7 WHERE id % 40 = $i;
		    DELETE FROM $1 WHERE id % 41 = $i AND id % 3 = 0; COMMIT"
	done
	sql "UPDATE $1 SET id = id + 5000 WHERE id % 10 = 4" # the key itself
	sql "UPDATE $1 SET note = NULL, open = NULL, amount = NULL WHERE id % 13 = 0"
	sql "BEGIN; DELETE FROM $1 WHERE account = 2; ROLLBACK"
	sql "BEGIN; DELETE FROM $1 WHERE account = 1;
	    INSERT INTO $1 (id, account, amount) VALUES (-1, 1, -0.01); COMMIT"
	sql "UPDATE $1 SET amount = amount"
}
work orders_full &
work orders_default
wait

compare()
{
	local table
	for table in orders_default orders_full; do
		comes_equal "$1" "by_account_$table" account,n,amounts,low,high,mean "${by_account//TABLE/$table}"
		comes_equal "$1" "overall_$table" n,noted,ids,accounts,ratios,mean_ratio,first,last \
		    "${overall//TABLE/$table} HAVING count(*) > 0"
		comes_equal "$1" "by_note_$table" note,open,n,id_min,id_max,id_mean "${by_note//TABLE/$table}"
	done
}
compare 'after the work'
sql 'DELETE FROM orders_default; DELETE FROM orders_full'
compare 'emptied'
sql "INSERT INTO orders_default (id, account) VALUES (1, NULL); INSERT INTO orders_full (id) VALUES (7)"
compare 'begun again'
for table in orders_default orders_full; do
	obeys "by_account_$table" account n,amounts,low,high,mean
	obeys "overall_$table" '' n,noted,ids,accounts,ratios,mean_ratio,first,last
	obeys "by_note_$table" note,open n,id_min,id_max,id_mean
done
tallyd_stop
