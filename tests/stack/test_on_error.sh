# A bad message, by each table's on_error: it stops, and the line says which option lets it go on; it is
# skipped; it becomes a row of tallyd.dead_letter, once, whatever dies. The views then are PostgreSQL's own
# answer over the rows that can be read: here those whose n fits numeric(4,2), which is what is declared.
# Real events, of a keyed and of a keyless table; and garbage put into a topic by kcat.
. "$(dirname "$0")/lib.sh"
own_database
BIN=$ROOT/build/fault # for the rows that a view is made to refuse; nothing else is faulty
sql 'CREATE TABLE things (id integer PRIMARY KEY, grp text, n numeric(12,2));
    CREATE TABLE loose (id integer, grp text, n numeric(12,2));
    ALTER TABLE loose REPLICA IDENTITY FULL;
    CREATE TABLE by_thing (grp text, rows bigint, total numeric, high numeric, time bigint, diff integer);
    CREATE TABLE by_loose (LIKE by_thing);
    CREATE TABLE ids (ids bigint, time bigint, diff integer)'
sql "INSERT INTO things SELECT i, 'g' || i % 3, i FROM generate_series(1, 20) i;
    INSERT INTO loose SELECT i, 'g' || i % 3, i FROM generate_series(1, 20) i"
stack_connector "$NAME" public.things public.loose >/dev/null || not_ok 'connector'

declare_all() # OPTION: the pipeline file
{
	pipeline <<-END
		SET ring_bytes = 65536;
		CREATE FOREIGN TABLE things (id integer PRIMARY KEY, grp text, n numeric(4,2))
		  SERVER kafka OPTIONS (topic '$NAME.public.things'$1);
		CREATE FOREIGN TABLE loose (id integer, grp text, n numeric(4,2))
		  SERVER kafka OPTIONS (topic '$NAME.public.loose'$1);
		CREATE MATERIALIZED VIEW by_thing AS SELECT grp, count(*) AS rows, sum(n) AS total, max(n) AS high
		  FROM things GROUP BY grp;
		CREATE MATERIALIZED VIEW by_loose AS SELECT grp, count(*) AS rows, sum(n) AS total, max(n) AS high
		  FROM loose GROUP BY grp;
		CREATE MATERIALIZED VIEW ids AS SELECT sum(id) AS ids FROM things;
	END
}

good='n IS NULL OR abs(n) < 100'
compare() # TEXT [CONDITION]: the second one only for what by_thing holds
{
	local table
	for table in thing loose; do
		comes_equal "$1" "by_$table" grp,rows,total,high "SELECT grp, count(*) AS rows, sum(n) AS total,
		    max(n) AS high FROM ${table/thing/things} WHERE ($good)
		    $([[ $table == loose ]] || echo "${2-}") GROUP BY grp"
	done
	comes_equal "$1" ids ids "SELECT sum(id) AS ids FROM things WHERE $good HAVING count(*) > 0"
}

counter() # STAGE NAME: of `tallyd status`, 0 if it is not shown
{
	local found
	found=$("$BIN/tallyd" status "$WORK/pipeline.sql" | grep "^$1: " | grep -o " $2=[0-9]*")
	echo "${found#*=}"
}

counts() # TEXT STAGE NAME NUMBER
{
	await 20 eval "[[ \$(counter $2 $3) == $4 ]]" && ok "$1" || not_ok "$1: got '$(counter "$2" "$3")', wanted $4"
}

# ---- stop ------------------------------------------------------------------------------------

declare_all ''
tallyd_start
compare 'at first'
sql "INSERT INTO things VALUES (100, 'g0', 1.5)"
compare 'before the bad one'
sql "INSERT INTO things VALUES (101, 'g0', 123.45)"
await 20 log_has tallyd 'level=error.*event=ingest.malformed' || not_ok 'it stops'
await 20 eval '! kill -0 $tallyd 2>/dev/null' || not_ok 'tallyd ends'
line=$(grep level=error "$WORK/tallyd.log" | grep ingest.malformed | head -n 1)
contains 'the line says where' "$line" "$NAME.public.things [0] offset 21: "
contains 'and what lets it go on' "$line" "on_error 'skip' (or 'dead_letter') in the OPTIONS of CREATE FOREIGN TABLE things, $WORK/pipeline.sql:8"
tallyd_run_to_end 30
is 'another start stops at the same message, with 65' "$status" 65

# ---- skip ------------------------------------------------------------------------------------

declare_all ", on_error 'skip'"
tallyd_start
counts 'it is counted' ingest bad_skipped 1
sql "INSERT INTO things VALUES (102, 'g0', 2.5)"
compare 'skip: behind the bad one'
log_has tallyd "event=ingest.bad_message.*$NAME.public.things \[0\] offset 21: .*on_error is 'skip'" &&
    ok 'and logged with its place' || not_ok 'and logged with its place'

# Rows become bad, good again, are deleted while bad, and move; alone, and several in one transaction.
work() # TABLE
{
	sql "INSERT INTO $1 VALUES (200, 'g1', 200), (201, 'g1', 1), (202, 'g2', 2), (203, 'g2', 300), (204, NULL, NULL)"
	sql "UPDATE $1 SET n = 3.25 WHERE id = 200"
	sql "UPDATE $1 SET n = 1000 + id WHERE id IN (201, 1, 2)"
	sql "UPDATE $1 SET n = n + 1 WHERE id = 201"
	sql "BEGIN; UPDATE $1 SET grp = 'g9' WHERE id IN (201, 202, 203); UPDATE $1 SET n = -n WHERE id < 10; COMMIT"
	sql "DELETE FROM $1 WHERE id IN (2, 203)"
	sql "UPDATE $1 SET n = 4.75 WHERE id = 201"
	sql "BEGIN; DELETE FROM $1 WHERE id = 1; INSERT INTO $1 VALUES (1, 'g0', 7); COMMIT"
	sql "UPDATE $1 SET n = 999 WHERE id = 12"
	sql "UPDATE $1 SET id = id + 500 WHERE id IN (11, 12)"
}
work things
work loose
sql "INSERT INTO things VALUES (250, 'g8', 1); INSERT INTO loose VALUES (250, 'g8', 1)" # comes behind all of it
compare 'skip: rows become bad and good again'
before=$(counter ingest bad_skipped)
((before > 10)) && ok "more were skipped ($before)" || not_ok "more were skipped: $before"

# ---- garbage ---------------------------------------------------------------------------------

garbage()
{
	echo 'no JSON at all'
	echo '{"before":null,"after":{"id":1'
	echo '{"op":"u","before":null,"after":{"id":1,"grp":"g0","n":"123.45"},"source":{}}'
}
garbage | stack_produce "$NAME.public.things"
echo '{"id":1}|garbage with the key of a row' | stack_produce "$NAME.public.things" -K '|'
garbage | stack_produce "$NAME.public.loose"
counts 'garbage is counted too' ingest bad_skipped $((before + 7))
sql "BEGIN; INSERT INTO things VALUES (300, 'g1', 1), (301, 'g1', 2); INSERT INTO loose VALUES (300, 'g1', 1); COMMIT"
compare 'skip: transactions behind garbage'

# ---- dead letters ----------------------------------------------------------------------------

declare_all ", on_error 'dead_letter'"
asked reload "$WORK/pipeline.sql"
contains 'a reload says what it costs' "$output" "restart of ingest: table \"things\" has on_error 'dead_letter'"
contains 'and is in force' "$output" 'is in force'
sql "INSERT INTO things VALUES (400, 'g1', 400.5)"
letters='SELECT count(*) FROM tallyd.dead_letter'
await 20 eval "[[ \$(sql '$letters') == 1 ]]" && ok 'a letter is written' || not_ok 'a letter is written'
is 'with place, key, value, reason and times' "$(sql "SELECT pipeline, topic, partition, \"offset\" > 21,
    convert_from(key, 'UTF8') LIKE '%{\"id\":400}%', convert_from(value, 'UTF8') LIKE '%\"op\":\"c\"%', reason LIKE '%numeric(4,2)%',
    \"time\" > source_time, key_bytes = length(key), value_bytes = length(value) FROM tallyd.dead_letter")" \
    "$NAME|$NAME.public.things|0|t|t|t|t|t|t|t"

load() # bad and good ones, in many small transactions and one large
{
	local i
	for i in {1..60}; do
		echo "INSERT INTO things VALUES (1000 + $i, 'g' || $i % 4, $i), (2000 + $i, 'g1', 5000 + $i);
		    INSERT INTO loose VALUES (1000 + $i, 'g' || $i % 4, $i), (2000 + $i, 'g1', 5000 + $i); SELECT pg_sleep(0.05);"
	done | stack_psql >/dev/null
	sql "INSERT INTO things SELECT i, 'g1', i FROM generate_series(10001, 10500) i"
}
load &
job=$!
for stage in egress ingest egress reduce egress; do
	sleep 0.7
	stage_kill "$stage"
done
wait "$job"
compare 'dead_letter: amid kills of the stages'
await 30 eval "[[ \$(sql '$letters') == 621 ]]" || not_ok 'all letters come'
is 'each letter is there once' "$(sql "SELECT count(*), count(DISTINCT (topic, \"offset\")) FROM tallyd.dead_letter")" '621|621'
kill -KILL "$tallyd"
sql "INSERT INTO loose VALUES (3000, 'g1', 3000)"
tallyd_start again
await 30 eval "[[ \$(sql '$letters') == 622 ]]" && ok 'tallyd is killed: the next letter comes, and none again' ||
    not_ok "tallyd is killed: $(sql "$letters") letters"
sql "DELETE FROM things WHERE id > 2000; UPDATE loose SET n = 1 WHERE id = 2001; DELETE FROM loose WHERE id > 2001"
compare 'dead_letter: what was never counted goes'
tallyd_stop

# ---- rows that one view cannot compute -------------------------------------------------------

letters=$(sql 'SELECT count(*) FROM tallyd.dead_letter')
export TALLYD_REFUSED_ROWS=by_thing:4711
tallyd_start refused
sql "INSERT INTO things VALUES (4711, 'g1', 1), (4712, 'g1', 2)"
compare 'a row that a view cannot compute' 'AND id <> 4711'
is 'is a letter of that view' "$(sql "SELECT count(*) - $letters, min(reason) FILTER (WHERE reason LIKE 'view%'),
    min(convert_from(value, 'UTF8')) FILTER (WHERE reason LIKE 'view%') FROM tallyd.dead_letter")" \
    '1|view "by_thing": the row is refused by a test|{"id": 4711, "grp": "g1", "n": 1.00}'
counts 'and counted' reduce evaluation_errors 1
sql "UPDATE things SET n = 3 WHERE id = 4711; UPDATE things SET id = 4713 WHERE id = 4711"
compare 'a later good row of it comes in' 'AND id <> 4711'
sql "UPDATE things SET id = 4711 WHERE id = 4712; DELETE FROM things WHERE id = 4713"
compare 'and one that becomes bad goes out' 'AND id <> 4711'
stage_kill reduce
sql "INSERT INTO things VALUES (5000, 'g1', 2)"
compare 'after a recovery too' 'AND id <> 4711'
is 'nothing was written again' "$(sql "SELECT count(*) - $letters FROM tallyd.dead_letter")" 3
tallyd_stop

stops() # TEXT WORDS: with on_error stop
{
	declare_all ''
	tallyd_run_to_end 30
	is "$1: on_error stop ends with 65" "$status" 65
	contains "$1: it says which row" "$(grep level=error "$WORK/ended.log")" "$2"
	contains "$1: and how to go on" "$(grep level=error "$WORK/ended.log")" \
	    "on_error 'skip' (or 'dead_letter') in the OPTIONS of CREATE FOREIGN TABLE things"
}
stops 'a kept row that a view cannot compute' 'with the key {\"id\": 4711}'
declare_all ", on_error 'skip'"
tallyd_start gone
sql "DELETE FROM things WHERE id = 4711"
compare 'the row is gone'
tallyd_stop
sql "INSERT INTO things VALUES (4711, 'g1', 2)"
# Its offset is known when it stands behind what the DELETE has left in the topic.
await 30 eval 'kcat -q -C -e -b "$BOOTSTRAP" -t "$NAME.public.things" -o -1 2>/dev/null | grep -q "\"op\":\"c\""' ||
    not_ok 'the new row is in the topic'
stops 'a new one' "$NAME.public.things [0] offset $(($(topic_end "$NAME.public.things") - 1)): view"

# A view that is added live, and that a kept row is not for: refused or without it, as the option says.
export TALLYD_REFUSED_ROWS=extra:100
sql 'CREATE TABLE extra (rows bigint, time bigint, diff integer)'
extra='CREATE MATERIALIZED VIEW extra AS SELECT count(*) AS rows FROM things;'
tallyd_start extra
compare 'before the new view'
echo "$extra" >>"$WORK/pipeline.sql"
asked reload "$WORK/pipeline.sql"
is 'a new view that cannot compute a kept row: refused' "$status" 65
contains 'with its key' "$output" 'with the key {"id": 100}'
sql "INSERT INTO things VALUES (6000, 'g1', 2)"
compare 'the old file goes on'
declare_all ", on_error 'skip'"
echo "$extra" >>"$WORK/pipeline.sql"
asked reload "$WORK/pipeline.sql"
contains 'with on_error skip it is taken' "$output" 'is in force'
comes_equal 'the new view is without that row' extra rows "SELECT count(*) - 1 AS rows FROM things WHERE $good"
sql "DELETE FROM things WHERE id IN (100, 6000)"
comes_equal 'and that goes as it came' extra rows "SELECT count(*) AS rows FROM things WHERE $good"
unset TALLYD_REFUSED_ROWS
obeys by_thing grp rows,total,high
obeys by_loose grp rows,total,high
