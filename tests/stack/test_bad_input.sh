# Bad input gets one clear line and loses nothing: files, options, credentials, target tables,
# messages.
. "$(dirname "$0")/lib.sh"
own_database
table='CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '"'$NAME.values'"');'
view='CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";'
stack_topic "$NAME.values" 1

# refused TEXT STATUS WORD...: `run` and `check` both end with that status, naming each word.
refused()
{
	local text=$1 wanted=$2 word output
	shift 2
	tallyd_run_to_end 15
	is "$text: run ends with $wanted" "$status" "$wanted"
	asked check "$WORK/pipeline.sql"
	is "$text: check ends with $wanted" "$status" "$wanted"
	for word in "$@"; do
		contains "$text: run says" "$(cat "$WORK/ended.log")" "$word"
		contains "$text: check says" "$output" "$word"
	done
}

pipeline '' <<<"$table $view SELEC 1;"
refused 'invalid SQL' 78 "pipeline.sql:" 'SELEC'
pipeline "\"fetch.wait.max.mss\" '10'" <<<"$table $view"
refused 'an unknown librdkafka property' 78 "pipeline.sql:3:" 'fetch.wait.max.mss'
pipeline '' <<<"$table $view"
sed -i "s/OPTIONS (host/OPTIONS (no_such_keyword '1', host/" "$WORK/pipeline.sql"
refused 'an unknown libpq keyword' 78 "pipeline.sql:5:" 'no_such_keyword'
pipeline "\"client.id\" '\${NOT_SET_AT_ALL}'" <<<"$table $view"
refused 'an unset variable' 78 "pipeline.sql:3:" 'NOT_SET_AT_ALL'
pipeline '' <<<"$table $view"
sed -i "s/password '$PGPASSWORD'/password 'wrong-secret'/" "$WORK/pipeline.sql"
refused 'a wrong password' 77 'password authentication failed'
grep -q wrong-secret "$WORK/ended.log" && not_ok 'the password is not shown' || ok 'the password is not shown'
pipeline '' <<<"$table CREATE MATERIALIZED VIEW no_table AS SELECT sum(value) AS sum FROM \"values\";"
tallyd_start waits # it may be made later: run waits, and says how to make it
await 20 log_has waits 'CREATE TABLE no_table' && ok 'a missing target table: run says' ||
    not_ok "a missing target table: run says $(cat "$WORK/waits.log")"
sleep 2
[[ -n $(stack_started_at "$tallyd") ]] && ok 'a missing target table: run waits' ||
    not_ok 'a missing target table: run waits'
tallyd_stop
asked check "$WORK/pipeline.sql"
is 'a missing target table: check ends with 78' "$status" 78
contains 'a missing target table: check says' "$output" 'CREATE TABLE no_table'
pipeline '' <<<"$table CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS total FROM \"values\";"
refused 'a missing target column' 78 total sum_table
sql 'CREATE TABLE wrong_type (sum date, time bigint, diff integer);
    CREATE TABLE not_null (sum bigint, time bigint, diff integer, other integer NOT NULL);
    CREATE TABLE forbidden (sum bigint, time bigint, diff integer); REVOKE ALL ON forbidden FROM CURRENT_USER'
pipeline '' <<<"$table CREATE MATERIALIZED VIEW wrong_type AS SELECT sum(value) AS sum FROM \"values\";"
refused 'a target column of a wrong type' 78 wrong_type date
pipeline '' <<<"$table CREATE MATERIALIZED VIEW not_null AS SELECT sum(value) AS sum FROM \"values\";"
refused 'another column that must be filled' 78 not_null other
pipeline '' <<<"$table CREATE MATERIALIZED VIEW forbidden AS SELECT sum(value) AS sum FROM \"values\";"
refused 'a table that may not be written' 77 forbidden INSERT
sql 'INSERT INTO sum_table VALUES (1, 1, 1)'
pipeline '' <<<"$table $view"
refused 'rows that are there already at a first start' 78 sum_table adopt truncate
sql 'DELETE FROM sum_table'

# Messages. Each in a pipeline of its own: two good events, the bad one, one more behind it.
event() # NUMBER COLUMN VALUE
{
	printf '{"before":null,"after":{"%s":%s},"source":{"version":"3.7.0.Final","connector":"postgresql","name":"bad","ts_ms":1700000000000,"snapshot":"false","db":"d","sequence":"[\\"%d\\",\\"%d\\"]","schema":"public","table":"values","txId":%d,"lsn":%d,"xmin":null},"transaction":null,"op":"c","ts_ms":1}\n' \
	    "$2" "$3" $((1000 + $1 * 10)) $((1005 + $1 * 10)) "$1" $((1005 + $1 * 10))
}
bad_message() # NAME TEXT BAD WORD...
{
	local name=$1 text=$2 bad=$3 word
	shift 3
	sql "CREATE TABLE $name (sum bigint, time bigint, diff integer)"
	stack_topic "$NAME.$name" 1
	{ event 1 value 10; event 2 value 20; } | stack_produce "$NAME.$name"
	printf "$bad" | stack_produce "$NAME.$name" -D '\x1e'
	event 4 value 40 | stack_produce "$NAME.$name"
	pipeline '' <<-END
		CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.$name');
		CREATE MATERIALIZED VIEW $name AS SELECT sum(value) AS sum FROM t;
	END
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$name'/" "$WORK/pipeline.sql"
	tallyd_run_to_end 30
	is "$text: ends with 65" "$status" 65
	for word in "$NAME.$name" 2 "$@"; do
		contains "$text: the line says" "$(grep level=error "$WORK/ended.log")" "$word"
	done
	is "$text: all before it is committed, nothing behind it" "$(sql "$(live "$name" sum)")" 30
	tallyd_run_to_end 30
	is "$text: so it is after another start" "$status $(sql "$(live "$name" sum)")" '65 30'
}
bad_message cut 'malformed JSON' '{"before":null,"after":{"val'
bad_message garbage 'no JSON at all' 'hello world' JSON
bad_message avro 'Avro' '\000\000\000\000\007\002\004binary' Avro
bad_message other 'a message for other columns' "$(event 3 other 30 | tr -d '\n')" value
bad_message range 'a number out of range' "$(event 3 value 3000000000 | tr -d '\n')" value
bad_message kind 'text for a number' "$(event 3 value '"thirty"' | tr -d '\n')" value

# The declared key must be the message key.
sql 'CREATE TABLE wrong_key (n bigint, time bigint, diff integer)'
stack_topic "$NAME.wrong_key" 1
echo "{\"id\":1}|$(event 1 value 10)" | stack_produce "$NAME.wrong_key" -K '|'
pipeline '' <<END
CREATE FOREIGN TABLE t (value integer PRIMARY KEY) SERVER kafka OPTIONS (topic '$NAME.wrong_key');
CREATE MATERIALIZED VIEW wrong_key AS SELECT count(*) AS n FROM t;
END
sed -i "s/SET pipeline = '$NAME'/SET pipeline = 'wrong_key'/" "$WORK/pipeline.sql"
tallyd_run_to_end 30
is 'another message key: ends with 65 or 78' "$((status == 65 || status == 78))" 1
contains 'and says which' "$(cat "$WORK/ended.log")" 'PRIMARY KEY'

# A first start that was refused binds nobody: the corrected file runs, with another view. (Ingest
# refuses it, for a transaction topic has one partition; egress has noted the view by then.)
sql 'CREATE TABLE mended (total bigint, time bigint, diff integer)'
stack_topic "$NAME.mended" 2
first_start() # OPTION SELECT
{
	pipeline "$1" <<-END
		CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.cut');
		CREATE MATERIALIZED VIEW mended AS SELECT $2 AS total FROM t;
	END
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = 'mended'/" "$WORK/pipeline.sql"
	tallyd_run_to_end 20
}
first_start "transaction_topic '$NAME.mended'" 'count(*)'
is 'a transaction topic of two partitions: refused' "$status" 78
is 'and the view was noted' "$(sql "SELECT count(*) FROM tallyd.view WHERE pipeline = 'mended'")" 1
first_start '' 'sum(value)'
is 'another view may run after that' "$status $(sql "$(live mended total)")" '65 30'
