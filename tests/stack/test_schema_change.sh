# The source's tables change in mid-stream, by real ALTER TABLEs: a new column is ignored; one that is used and
# vanishes, gets another name, another type, or NULLs that it was declared not to have stops the pipeline with
# exit code 65 at a position, all before it committed; with a file that fits both, it goes on exactly: by a
# replay of the whole history, and where a column that a view reads is declared anew by `tallyd rebuild`.
# limit: 400 s
. "$(dirname "$0")/lib.sh"
own_database

sql "CREATE TABLE keyed (id integer PRIMARY KEY, grp integer NOT NULL, amount integer NOT NULL, other integer, word text);
    CREATE TABLE keyless (grp integer NOT NULL, amount integer NOT NULL, other integer, word text);
    ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO keyed SELECT i, i % 3, i, i, 'w' || i FROM generate_series(1, 30) i;
    INSERT INTO keyless SELECT grp, amount, other, word FROM keyed"
views=(keyed keyless)
for view in "${views[@]}"; do
	sql "CREATE TABLE amount_$view (grp integer, n bigint, total numeric, time bigint, diff integer);
	    CREATE TABLE other_$view (grp integer, other numeric, time bigint, diff integer)"
done
# file AMOUNT [OTHER]: the pipeline, with that declaration of column amount, and view other_* if OTHER is given.
file()
{
	local view
	for view in "${views[@]}"; do
		cat <<-END
			CREATE FOREIGN TABLE $view ($([[ $view == keyless ]] || echo 'id integer PRIMARY KEY,') grp integer NOT NULL,
			  amount $1${2:+, $2}) SERVER kafka OPTIONS (topic '$NAME.public.$view');
			CREATE MATERIALIZED VIEW amount_$view AS SELECT grp, count(*) AS n, sum(amount) AS total FROM $view GROUP BY grp;
		END
		[[ -z ${2-} ]] ||
			echo "CREATE MATERIALIZED VIEW other_$view AS SELECT grp, sum(other) AS other FROM $view GROUP BY grp;"
	done | pipeline
}
answers() # TEXT
{
	local view
	for view in "${views[@]}"; do
		comes_equal "$1" "amount_$view" grp,n,total "SELECT grp, count(*), sum(amount) FROM $view GROUP BY grp" 60
	done
}
# stops TEXT CODE TOPIC WORD...: the running tallyd ends, and says so at a position; what was before is shown.
number=0
start()
{
	number=$((number + 1))
	tallyd_start "run$number"
}
# anew: the views read a column that is declared anew.
anew()
{
	timeout 60 "$BIN/tallyd" rebuild "$WORK/pipeline.sql" >"$WORK/rebuild$number.log" 2>&1 </dev/null
	is "$1: the views are rebuilt" $? 0
	start
	answers "$1"
}
ended()
{
	[[ -z $(stack_started_at "$tallyd") ]]
}
stops()
{
	local text=$1 topic=$NAME.public.$2 word line
	shift 2
	await 60 ended && ok "$text: tallyd stops" || { not_ok "$text: tallyd stops"; exit 1; }
	line=$(grep 'level=error.*event=end' "$WORK/run$number.log")
	for word in 'exit code 65' "$topic [0] offset " "$@"; do
		contains "$text: says" "$line" "$word"
	done
	is "$text: all before it is committed" "$(sql "SELECT sum(total) FROM ($(live "amount_$table" total)) x")" "$before"
}
# alter TABLE SQL: the last change before it is marked, and waited for.
alter()
{
	table=$1
	await 60 same_answer "amount_$1" grp,n,total "SELECT grp, count(*), sum(amount) FROM $1 GROUP BY grp" ||
	    { not_ok "$2: the changes before it are shown"; exit 1; }
	before=$(sql "SELECT sum(amount) FROM $1")
	stack_psql <<<"$2" >/dev/null || not_ok "$2"
}

stack_connector "$NAME" public.keyed public.keyless >/dev/null || not_ok 'connector'
file 'integer NOT NULL' 'other integer'
start
answers 'the snapshot'

alter keyed "ALTER TABLE keyed ADD COLUMN more integer NOT NULL DEFAULT 7; INSERT INTO keyed VALUES (101, 1, 1, 1, 'x', 8);
    ALTER TABLE keyless ADD COLUMN more integer; INSERT INTO keyless VALUES (1, 1, 1, 'x', 8);
    ALTER TABLE keyed DROP COLUMN word; ALTER TABLE keyless DROP COLUMN word;
    UPDATE keyed SET amount = amount + 1; UPDATE keyless SET amount = amount + 1"
answers 'a new column, and one that is not used and goes'

# ---- a column vanishes -------------------------------------------------------------------------

alter keyed 'ALTER TABLE keyed DROP COLUMN other; UPDATE keyed SET amount = amount + 10 WHERE id = 1'
stops 'a column that is used vanishes' keyed 'has no column \"other\" of table \"keyed\"' 'it has: id, grp, amount, more' 'take it and its views out'
start
stops 'and again, for nothing has changed' keyed 'has no column \"other\"'
alter keyless 'ALTER TABLE keyless DROP COLUMN other; UPDATE keyless SET amount = amount + 10 WHERE grp = 1'
file 'integer NOT NULL'
start
answers 'with a file without it'

# ---- a column changes its type -----------------------------------------------------------------

alter keyless 'ALTER TABLE keyless ALTER COLUMN amount TYPE bigint; UPDATE keyless SET amount = amount + 5000000000 WHERE grp = 2'
stops 'integer becomes bigint' keyless '\"amount\" is declared integer, but the message has 5000000'
file 'bigint NOT NULL'
sql 'UPDATE keyed SET amount = amount + 1'
anew 'declared as bigint'
alter keyed 'ALTER TABLE keyed ALTER COLUMN amount TYPE numeric(12,2); UPDATE keyed SET amount = amount + 0.25 WHERE grp = 2'
stops 'bigint becomes numeric' keyed 'column \"amount\"'
file 'numeric(12,2) NOT NULL'
anew 'declared as numeric'

# ---- NULLs that were not there -----------------------------------------------------------------

alter keyed 'ALTER TABLE keyed ALTER COLUMN amount DROP NOT NULL; UPDATE keyed SET amount = NULL WHERE id = 4'
stops 'NULL in a column declared NOT NULL' keyed '\"amount\" is declared NOT NULL'
file 'numeric(12,2)'
anew 'declared without it'

# ---- another name ------------------------------------------------------------------------------

alter keyless 'ALTER TABLE keyless RENAME COLUMN amount TO sum; UPDATE keyless SET sum = sum + 1'
stops 'a column gets another name' keyless 'has no column \"amount\"' 'it has: grp, sum, more'
sql 'ALTER TABLE keyless RENAME COLUMN sum TO amount; UPDATE keyless SET amount = amount + 1'
for view in "${views[@]}"; do
	obeys "amount_$view" grp n,total
done
