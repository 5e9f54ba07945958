# Expressions: in aggregates, GROUP BY and WHERE, over a keyed and a keyless table, against PostgreSQL's own
# SELECT; and rows whose evaluation fails, under on_error skip: the oracle then is the same SELECT over
# the rows that do not fail. With on_error stop the pipeline ends, and says where.
. "$(dirname "$0")/lib.sh"
own_database
columns='id integer PRIMARY KEY, a integer, b bigint, price numeric(12,3), w numeric, n numeric, s text, at timestamp'
sql "CREATE TABLE item ($columns); ALTER TABLE item REPLICA IDENTITY FULL;
    CREATE TABLE loose (LIKE item); ALTER TABLE loose REPLICA IDENTITY FULL;
    CREATE TABLE totals (tens integer, kind text, rows bigint, total numeric, ratio numeric, least numeric,
        widest numeric, time bigint, diff integer);
    CREATE TABLE totals_loose (LIKE totals);
    CREATE TABLE numbers (number integer, rows bigint, total bigint, time bigint, diff integer);
    CREATE TABLE chosen (rows bigint, days bigint, time bigint, diff integer);
    CREATE TABLE share (share numeric, rows bigint, time bigint, diff integer);
    CREATE TABLE parts (id integer PRIMARY KEY, a integer, d double precision);
    CREATE TABLE divided (total bigint, thirds double precision, mean double precision, rows bigint,
        time bigint, diff integer)"

rows() # FROM TO: with NULLs, zeros, and n at every scale
{
	echo "SELECT i, CASE WHEN i % 11 <> 0 THEN i - 40 END, i % 7, (i * 1.237)::numeric(12,3),
	    i * 1.1, CASE WHEN i % 13 <> 0 THEN round(i / 7.0, i % 6) END,
	    (ARRAY['12', ' 7 ', '-3', NULL, '40'])[1 + i % 5], timestamp '2026-11-29' + i * interval '7 hours'
	    FROM generate_series($1, $2) i"
}
sql "INSERT INTO item $(rows 1 150); INSERT INTO loose $(rows 1 150);
    INSERT INTO parts VALUES (100, 3, 0.1), (101, -7, 0.2)"
stack_connector "$NAME" public.item public.loose public.parts >/dev/null || not_ok 'connector'

totals="SELECT a / 10 AS tens, coalesce(s, 'none') AS kind, count(*) AS rows, sum(price * a) AS total,
    avg((a - b)::numeric / nullif(b, 0)) AS ratio, min(abs(n - price)) AS least, max((w::real * 1e20::real)::numeric) AS widest"
numbers='SELECT s::integer AS number, count(*) AS rows, sum(-a % 7 + 3000000000) AS total'
chosen="SELECT count(*) AS rows, count(nullif(at::text, '2026-11-29 07:00:00')) AS days"
share='SELECT (price / a)::numeric(20,4) AS share, count(*) AS rows'
chosen_where="a * 2 + 1 > b AND price / 3 BETWEEN 1 AND w AND (a % 5 IN (1, -2, 3) OR b - 1 = 3)"

declare_all() # OPTION
{
	local table
	for table in item loose; do
		echo "CREATE FOREIGN TABLE $table ($([[ $table == item ]] && echo "$columns" || echo "${columns/ PRIMARY KEY/}"))
		    SERVER kafka OPTIONS (topic '$NAME.public.$table'$1);"
	done >"$WORK/tables"
	pipeline <<-END
		$(cat "$WORK/tables")
		CREATE FOREIGN TABLE parts (id integer PRIMARY KEY, a integer, d double precision)
		  SERVER kafka OPTIONS (topic '$NAME.public.parts', on_error 'dead_letter');
		CREATE MATERIALIZED VIEW divided AS
		  SELECT sum(100 / a) AS total, sum(d / 3) AS thirds, avg(d) AS mean, count(*) AS rows FROM parts;
		CREATE MATERIALIZED VIEW totals AS $totals FROM item GROUP BY a/10, kind;
		CREATE MATERIALIZED VIEW totals_loose AS $totals FROM loose GROUP BY 1, 2;
		CREATE MATERIALIZED VIEW numbers AS $numbers FROM loose GROUP BY s::integer;
		CREATE MATERIALIZED VIEW chosen AS $chosen FROM item WHERE $chosen_where;
		CREATE MATERIALIZED VIEW share AS $share FROM item WHERE a <> 0 GROUP BY share;
	END
}

# CONDITION: of the rows whose evaluation does not fail, in totals, in numbers, in chosen.
compare() # TEXT [CONDITION [CONDITION [CONDITION]]]
{
	local columns=tens,kind,rows,total,ratio,least,widest
	comes_equal "$1" totals "$columns" "$totals FROM item WHERE ${2-true} GROUP BY 1, 2"
	comes_equal "$1" totals_loose "$columns" "$totals FROM loose WHERE ${2-true} GROUP BY 1, 2"
	comes_equal "$1" numbers number,rows,total "$numbers FROM loose WHERE ${3-true} GROUP BY 1"
	comes_equal "$1" chosen rows,days "SELECT * FROM ($chosen FROM (SELECT * FROM item WHERE ${4-true} OFFSET 0) item
	    WHERE $chosen_where) x WHERE rows > 0"
	comes_equal "$1" share share,rows "$share FROM item WHERE CASE WHEN a <> 0 THEN true END GROUP BY 1"
}

declare_all ", on_error 'skip'"
tallyd_start
compare 'at first'
for table in item loose; do
	sql "UPDATE $table SET a = a + 3, n = n * 1.10 WHERE id % 4 = 0;
	    UPDATE $table SET b = 0, s = '7' WHERE id % 9 = 1; DELETE FROM $table WHERE id % 17 = 5;
	    INSERT INTO $table $(rows 151 200)"
done
compare 'after changes'

# Rows that fail, in one view each or in several; they come, are changed while bad, become good, and go.
bad() # TABLE
{
	sql "INSERT INTO $1 $(rows 1001 1012)"
	sql "UPDATE $1 SET s = 'twelve' WHERE id IN (1001, 1002, 1003, 20)"
	sql "UPDATE $1 SET s = '99999999999' WHERE id = 1004"
	sql "UPDATE $1 SET w = 1e30 WHERE id IN (1005, 30)"
	sql "UPDATE $1 SET w = 1e19 WHERE id IN (1006, 31, 32)"
	sql "UPDATE $1 SET a = 2147483647 WHERE id = 1007"
	sql "UPDATE $1 SET a = a + 1 WHERE id IN (1001, 1005, 1006)"
	sql "BEGIN; UPDATE $1 SET s = ' 8' WHERE id = 1002; UPDATE $1 SET w = 2 WHERE id IN (31, 1006); COMMIT"
	sql "DELETE FROM $1 WHERE id IN (1003, 32)"
	sql "UPDATE $1 SET w = 1e19 WHERE id IN (33, 34)"
}
bad item
bad loose
wide='w < 1e18'
number="(s IS NULL OR s ~ '^ *-?[0-9]{1,5} *\$')"
where='(a IS NULL OR abs(a::bigint) < 1000000000)'
compare 'rows that fail' "$wide" "$number" "$where"
is 'so it is over the rows that fail' "$(sql "SELECT count(*) > 3 FROM item WHERE NOT ($wide)")" t
log_has tallyd "event=reduce.bad_row.*$NAME.public.loose \[0\] offset [0-9]*: view .*numbers.*twelve.* is no value of type integer; on_error is 'skip'" &&
    ok 'a failed cast is told with its place' || not_ok 'a failed cast is told with its place'
log_has tallyd 'value out of range: overflow' && ok 'an overflow too' || not_ok 'an overflow too'
counted() # in $errors; reduce shows its counters when it rests, and that may be after the commit
{
	errors=$("$BIN/tallyd" status "$WORK/pipeline.sql" | grep '^reduce: ' | grep -o ' evaluation_errors=[0-9]*')
	((${errors##*=} >= 15))
}
await 10 counted && ok "they are counted:$errors" || not_ok "they are counted:$errors"

# Division by zero, dead letters, and floats: sums of what PostgreSQL shows of each.
sql "INSERT INTO parts SELECT i, i % 5 - 2, i / 7.0 FROM generate_series(1, 60) i"
sql "UPDATE parts SET a = 4, d = 'NaN' WHERE id = 2"
sql "UPDATE parts SET a = 0 WHERE id = 3; DELETE FROM parts WHERE id IN (2, 7, 12)"
divided="SELECT sum(100 / a) AS total, sum((d / 3)::text::numeric)::float8 AS thirds,
    avg(d::text::numeric)::float8 AS mean, count(*) AS rows FROM parts WHERE a <> 0"
comes_equal 'division by zero' divided total,thirds,mean,rows "$divided"
letters="SELECT count(*), count(DISTINCT (topic, partition, \"offset\")), min(reason) LIKE '%division by zero%' FROM tallyd.dead_letter"
is 'each row that divides by zero is a dead letter once' "$(sql "$letters")" '13|13|t'
stage_kill reduce
sql "UPDATE item SET b = b + 1 WHERE id < 40; UPDATE loose SET b = b + 1 WHERE id < 40"
compare 'after a recovery' "$wide" "$number" "$where"
comes_equal 'division by zero, after a recovery' divided total,thirds,mean,rows "$divided"
is 'no letter came again' "$(sql "$letters")" '13|13|t'
tallyd_stop

declare_all ''
tallyd_run_to_end 60
is 'on_error stop ends with 65' "$status" 65
contains 'and says which row' "$(grep level=error "$WORK/ended.log")" 'view '
obeys totals tens,kind rows,total,ratio,least,widest
obeys totals_loose tens,kind rows,total,ratio,least,widest
obeys numbers number rows,total
obeys share share rows
