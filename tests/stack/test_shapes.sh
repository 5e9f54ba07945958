# Every shape in which the connector sends its messages: the schema block on and off, for key and for value, of
# keyed and keyless tables, under default replica identity and FULL; with key updates, transactions of many
# rows and such as overlap, TOASTed values that do not change, TRUNCATE, logical messages and heartbeats.
# Four connectors send the same changes, and one pipeline of four servers folds each of them to
# PostgreSQL's own answer. What cannot be known is refused: old rows that the connector makes up, and
# TOASTed values without a kept row.
# limit: 600 s
. "$(dirname "$0")/lib.sh"
own_database

shapes=(bare value key whole)
sql "CREATE TABLE keyed (id integer PRIMARY KEY, n integer NOT NULL, note text, big text);
    CREATE TABLE keyed_full (LIKE keyed INCLUDING ALL); ALTER TABLE keyed_full REPLICA IDENTITY FULL;
    CREATE TABLE keyless (n integer NOT NULL, note text, big text); ALTER TABLE keyless REPLICA IDENTITY FULL;
    CREATE TABLE appended (n integer NOT NULL, note text, big text);
    CREATE TABLE made_up (id integer PRIMARY KEY, n integer NOT NULL);
    CREATE TABLE indexed (a integer NOT NULL, n integer NOT NULL); CREATE UNIQUE INDEX by_a ON indexed (a);
    ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_a"
tables=(keyed keyed_full keyless appended)
for table in "${tables[@]}"; do
	sql "ALTER TABLE $table ALTER big SET STORAGE EXTERNAL"
done
sql "INSERT INTO keyed SELECT i, i, 'n' || i % 4, repeat(i % 3 || 'x', 3000) FROM generate_series(1, 40) i;
    INSERT INTO keyed_full SELECT * FROM keyed; INSERT INTO keyless SELECT n, note, big FROM keyed;
    INSERT INTO appended SELECT * FROM keyless"

shape() # NAME: connector options
{
	local key=false value=false
	[[ $1 != key && $1 != whole ]] || key=true
	[[ $1 != value && $1 != whole ]] || value=true
	cat <<-END
		skipped.operations=none
		key.converter=org.apache.kafka.connect.json.JsonConverter
		key.converter.schemas.enable=$key
		value.converter=org.apache.kafka.connect.json.JsonConverter
		value.converter.schemas.enable=$value
		snapshot.mode=${2:-initial}
	END
}
for shape in "${shapes[@]}"; do
	CONNECTOR_OPTIONS=$(shape "$shape") stack_connector "${NAME}_$shape" "${tables[@]/#/public.}" >/dev/null ||
	    not_ok "connector $shape"
done
columns() # TABLE
{
	echo "$([[ $1 != keyed* ]] || echo 'id integer PRIMARY KEY,') n integer NOT NULL, note text, big text"
}
folded=note,n,highest,big
answer='SELECT note, count(*) AS n, max(n) AS highest, min(big) AS big FROM TABLE GROUP BY note'
{
	echo "SET pipeline = '$NAME'; SET checkpoint_interval_ms = 500;"
	for shape in "${shapes[@]}"; do
		echo "CREATE SERVER $shape FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" '$BOOTSTRAP',
		    \"group.id\" '$NAME.$shape', transaction_topic '${NAME}_$shape.transaction');"
		for table in "${tables[@]}"; do
			sql "CREATE TABLE view_${shape}_$table (note text, n bigint, highest integer, big text, time bigint, diff integer)" >&2
			sed 's/\(, big text\)/\1 COLLATE "C"/' <<-END
				CREATE FOREIGN TABLE ${shape}_$table ($(columns "$table")) SERVER $shape
				  OPTIONS (topic '${NAME}_$shape.public.$table');
			END
			echo "CREATE MATERIALIZED VIEW view_${shape}_$table AS ${answer/TABLE/${shape}_$table};"
		done
	done
	echo "CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '$PGHOST', port '$PGPORT', dbname '$PGDATABASE',
	    \"user\" '$PGUSER', password '$PGPASSWORD');"
} >"$WORK/pipeline.sql"
for shape in "${shapes[@]}"; do
	sed "s/^SET pipeline.*/SET pipeline = '${NAME}_$shape';/" "$WORK/pipeline.sql" >"$WORK/$shape.sql"
done
tallyd_start

answers() # TEXT
{
	local shape table
	for shape in "${shapes[@]}"; do
		for table in "${tables[@]}"; do
			comes_equal "$1" "view_${shape}_$table" "$folded" "${answer//TABLE/$table}" 150
		done
	done
}
answers 'the snapshot'

# session N: transactions of many rows that overlap with those of the other session, over all tables.
session()
{
	local i table
	for ((i = 1; i <= 25; i++)); do
		echo 'BEGIN;'
		for table in keyed keyed_full; do
			echo "UPDATE $table SET n = n + $i WHERE id % 2 = $1 AND id < 20;
			    INSERT INTO $table SELECT 1000 * ($1 + 1) + $i * 10 + k, k, 'n' || k % 5, NULLIF(repeat('z', 3000 * (k % 2)), '')
			      FROM generate_series(0, 3) k;
			    SELECT pg_sleep(0.002); DELETE FROM $table WHERE id = 1000 * ($1 + 1) + $i * 10 - 9;
			    UPDATE $table SET id = id + 10000 WHERE id = 1000 * ($1 + 1) + $i * 10 + 2;
			    UPDATE $table SET note = note || $1 WHERE id = 20 + $1 + 2 * ($i % 9);"
		done
		echo "INSERT INTO appended SELECT k, 'a' || k % 3, repeat('q', k) FROM generate_series(1, 5) k;
		    INSERT INTO keyless SELECT $1 * 1000 + $i * 10 + k, 's$1', repeat('k', 3000) FROM generate_series(1, 4) k;
		    UPDATE keyless SET note = 'u$1' WHERE n = $1 * 1000 + $i * 10 + 2;
		    DELETE FROM keyless WHERE n = $1 * 1000 + $i * 10 - 7;
		    SELECT pg_logical_emit_message(true, 'test', 'in a transaction'); $( ((i % 7)) && echo COMMIT || echo ROLLBACK);
		    SELECT pg_logical_emit_message(false, 'test', 'outside of one');"
	done
}
for who in 0 1; do
	session $who >"$WORK/session$who.sql"
	stack_psql -f "$WORK/session$who.sql" >/dev/null &
	sessions[who]=$!
done
sleep 1
stage_kill ingest
for who in 0 1; do
	wait "${sessions[who]}" || not_ok "session $who"
done
# The key of a row without a TOASTed value, or with FULL: all of it is sent.
sql "UPDATE keyed SET id = -id WHERE id > 1000 AND big IS NULL; UPDATE keyed_full SET id = -id WHERE id > 1000"
answers 'after the work'
sql "BEGIN; TRUNCATE keyed, keyed_full, keyless; INSERT INTO keyed VALUES (5, 6, 'n7', repeat('after', 1000)), (6, 6, NULL, NULL);
    INSERT INTO keyed_full SELECT * FROM keyed; INSERT INTO keyless SELECT n, note, big FROM keyed; COMMIT"
sql "UPDATE keyed SET n = 8; UPDATE keyed_full SET n = 8; UPDATE keyless SET n = 8"
answers 'after a TRUNCATE, and updates without the TOASTed value'
stage_kill reduce
sql "UPDATE keyed SET n = 9, note = 'end'; UPDATE keyed_full SET n = 9, note = 'end'; UPDATE keyless SET n = 9, note = 'end'"
answers 'carried over from the rows of a checkpoint'
for shape in "${shapes[@]}"; do
	for table in "${tables[@]}"; do
		obeys "view_${shape}_$table" note n,highest,big
	done
done
tallyd_stop
for shape in "${shapes[@]}"; do
	curl -s --max-time 5 -o /dev/null -X DELETE "$CONNECT_URL/connectors/${NAME}_$shape"
done

# ---- refused -----------------------------------------------------------------------------------

# refused TEXT TABLE COLUMNS SQL WORD...: a pipeline of its own, over a connector of each shape for values.
CONNECTOR_OPTIONS=$(shape whole) stack_connector "${NAME}_refused" public.made_up public.indexed public.appended public.keyed >/dev/null ||
    not_ok 'connector'
number=0
refused()
{
	local text=$1 table=$2 columns=$3 word
	number=$((number + 1))
	sql "CREATE TABLE refused_$number (n bigint, time bigint, diff integer)"
	pipeline "transaction_topic '${NAME}_refused.transaction'" <<-END
		CREATE FOREIGN TABLE t ($columns) SERVER kafka OPTIONS (topic '${NAME}_refused.public.$table', "table" 'public.$table');
		CREATE MATERIALIZED VIEW refused_$number AS SELECT count(*) AS n FROM t;
	END
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = '${NAME}_$number'/" "$WORK/pipeline.sql"
	stack_psql <<<"$4" >/dev/null
	shift 4
	tallyd_run_to_end 30
	is "$text: ends with 65" "$status" 65
	for word in "${NAME}_refused.public.$table [0] offset " "$@"; do
		contains "$text: says" "$(grep level=error "$WORK/ended.log")" "$word"
	done
	is "$text: what came before it is shown" "$(sql "$(live refused_$number n)")" "$rows"
}
rows=1
refused 'a keyless declaration of a table with a key, deleted from' made_up 'id integer NOT NULL, n integer NOT NULL' \
    'INSERT INTO made_up VALUES (1, 5); DELETE FROM made_up' 'DELETE on table' 'declare the PRIMARY KEY'
refused 'one whose replica identity is a unique index' indexed 'a integer NOT NULL, n integer NOT NULL' \
    'INSERT INTO indexed VALUES (1, 5); UPDATE indexed SET a = 2' 'DELETE on table' 'declare the PRIMARY KEY'
rows=$(($(sql 'SELECT count(*) FROM appended') + 1))
sql 'ALTER TABLE appended ADD COLUMN id serial PRIMARY KEY'
refused 'a TOASTed value without a kept row' appended 'n integer NOT NULL, note text, big text' \
    "INSERT INTO appended VALUES (1, 'x', repeat('y', 3000)); UPDATE appended SET n = 2 WHERE note = 'x'" \
    'column \"big\" was not sent' 'REPLICA IDENTITY FULL' 'declare its PRIMARY KEY'
