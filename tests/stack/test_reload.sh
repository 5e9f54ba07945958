# HUP: a good file is swapped in by a full recovery; a broken one, or one that changes tables or
# views, leaves the old one running and says why. USR1 logs the status.
. "$(dirname "$0")/lib.sh"
own_database
stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
body='CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '"'$NAME.public.values'"');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";'
pipeline <<<"$body"
sum='SELECT sum(value)::real AS sum FROM "values"'
tallyd_start
sql 'INSERT INTO "values" VALUES (1), (2)'
comes_equal 'at first' sum_table sum "$sum"

pids()
{
	echo "$(stage_pid egress) $(stage_pid reduce) $(stage_pid ingest)"
}
before=$(pids)
pipeline <<<"$body CREATE VIEW;"
kill -HUP "$tallyd"
await 5 log_has tallyd "pipeline.sql:" && ok 'a broken file is refused, with its line' ||
    not_ok 'a broken file is refused, with its line'
pipeline <<<"$body CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM \"values\";"
kill -HUP "$tallyd"
await 5 log_has tallyd other && ok 'another view is refused by name' ||
    not_ok 'another view is refused by name'
pipeline "transaction_topic '$NAME.transaction', \"no.such.property\" '1'" <<<"$body"
kill -HUP "$tallyd"
await 5 log_has tallyd no.such.property && ok 'an unknown property is refused by name' ||
    not_ok 'an unknown property is refused by name'
# Servers are asked too: what would not start is not swapped in.
refused() # TEXT STATUS WORD
{
	local output status
	output=$(timeout 60 "$BIN/tallyd" reload "$WORK/pipeline.sql" 2>&1)
	status=$?
	is "$1: reload answers $2" "$status" "$2"
	contains "$1: it says why" "$output" "$3"
	await 5 log_has tallyd "$3" && ok "$1: so does the log" || not_ok "$1: so does the log"
}
pipeline <<<"$body"
sed -i "s/password '$PGPASSWORD'/password 'wrong-secret'/" "$WORK/pipeline.sql"
refused 'a wrong password' 77 'password authentication failed'
pipeline <<<"$body"
sed -i "s/dbname '$PGDATABASE'/dbname 'no_such_database'/" "$WORK/pipeline.sql"
refused 'a database that is not there' 69 no_such_database
pipeline <<<"$body"
sed -i "s/$BOOTSTRAP/127.0.0.1:9/" "$WORK/pipeline.sql"
refused 'a broker that is away' 69 127.0.0.1:9
is 'the old stages run on' "$(pids)" "$before"
sql 'INSERT INTO "values" VALUES (3)'
comes_equal 'with the old file' sum_table sum "$sum"

pipeline <<<"SET commit_interval_ms = 500; $body"
kill -HUP "$tallyd"
changed()
{
	local now
	now=$(pids)
	[[ $now != "$before" && $now == *' '?*' '?* ]]
}
await 10 changed && ok 'a good file is swapped in' || not_ok 'a good file is swapped in'
sql 'INSERT INTO "values" VALUES (4)'
comes_equal 'with the new file' sum_table sum "$sum"
before=$(count_commits sum_table)
for i in {1..20}; do
	sql "INSERT INTO \"values\" VALUES ($i)"
done
comes_equal 'with the new interval' sum_table sum "$sum"
commits=$(($(count_commits sum_table) - before))
((commits <= 8)) && ok "the new commit interval counts ($commits commits)" ||
    not_ok "the new commit interval counts: $commits commits"
kill -USR1 "$tallyd"
await 5 grep -q 'event=status' "$WORK/tallyd.log" && ok 'USR1 logs the status' || not_ok 'USR1 logs the status'
obeys sum_table '' sum

tallyd_stop
kill -0 "$tallyd" 2>/dev/null && not_ok 'TERM ends it' || ok 'TERM ends it'
"$BIN/tallyd" run "$WORK/pipeline.sql" >"$WORK/int.log" 2>&1 &
int=$!
tallyds+=("$int")
await 20 log_has int event=reduce.live
kill -INT "$int"
wait "$int"
is 'INT drains and exits 0' $? 0
