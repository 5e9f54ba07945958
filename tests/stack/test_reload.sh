# HUP and `tallyd reload`: what a changed file costs, and that it comes into force; one that cannot be
# taken leaves the old one running and says why. USR1 logs the status.
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
await 20 log_has tallyd "pipeline.sql:" && ok 'a broken file is refused, with its line' ||
    not_ok 'a broken file is refused, with its line'
pipeline <<<"$body CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM \"values\";"
kill -HUP "$tallyd"
await 20 log_has tallyd 'reload --replay' && ok 'a view over a keyless table needs a replay' ||
    not_ok 'a view over a keyless table needs a replay'
pipeline "transaction_topic '$NAME.transaction', \"no.such.property\" '1'" <<<"$body"
kill -HUP "$tallyd"
await 20 log_has tallyd no.such.property && ok 'an unknown property is refused by name' ||
    not_ok 'an unknown property is refused by name'
# Servers are asked too: what would not start is not swapped in.
refused() # TEXT STATUS WORD
{
	local output status
	if (($2 == 69)); then
		output=$(timeout 60 "$BIN/tallyd" reload "$WORK/pipeline.sql" 2>&1)
		status=$?
	else
		asked reload "$WORK/pipeline.sql"
	fi
	is "$1: reload answers $2" "$status" "$2"
	contains "$1: it says why" "$output" "$3"
	await 20 log_has tallyd "$3" && ok "$1: so does the log" || not_ok "$1: so does the log"
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

reload() # [OPTION...]: what it answers in $output, its code in $status
{
	asked reload "$@" "$WORK/pipeline.sql"
}

# Each kind of change, and its line in a dry run.
dry_run() # TEXT STATUS LINE
{
	reload --dry-run
	is "dry run, $1: the answer's code" "$status" "$2"
	contains "dry run, $1" "$output" "$3"
}
pipeline <<<"$body"
dry_run 'nothing' 0 'no change'
pipeline <<<"SET commit_interval_ms = 500; $body"
dry_run 'an interval' 0 'live: commit_interval_ms is 500'
pipeline <<<"SET autocommit_duration_ms = 200; $body"
dry_run 'a duration' 0 'restart of ingest: autocommit_duration_ms is 200'
pipeline "transaction_topic '$NAME.transaction', \"client.id\" 'me'" <<<"$body"
dry_run 'an option of Kafka' 0 'restart of ingest: server "kafka" has another "client.id"'
pipeline <<<"$body"
sed -i "s/password '$PGPASSWORD'/&, application_name 'me'/" "$WORK/pipeline.sql"
dry_run 'an option of the target' 0 'restart of egress: server "target" has another "application_name"'
pipeline <<<"${body/sum(value)/max(value)}"
dry_run 'another SELECT' 78 'refused: view "sum_table" has another SELECT: `tallyd rebuild'
pipeline <<<"$body CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM \"values\";"
dry_run 'a view over a keyless table' 78 'replay: view "other" is new over table "values"'
is 'a dry run changes nothing' "$(pids)" "$before"

pipeline <<<"SET commit_interval_ms = 500; $body"
kill -HUP "$tallyd"
await 20 log_has tallyd 'commit_interval_ms is 500' && ok 'a good file is taken' || not_ok 'a good file is taken'
is 'an interval stops nobody' "$(pids)" "$before"
sql 'INSERT INTO "values" VALUES (4)'
comes_equal 'with the new file' sum_table sum "$sum"
# Batches that are closed so long after each other: no more of them than fit in here, whatever stalls.
since=$(sql 'SELECT max(time) FROM sum_table')
began=$(stack_now_ms)
for i in {1..20}; do
	sql "INSERT INTO \"values\" VALUES ($i)"
done
comes_equal 'with the new interval' sum_table sum "$sum"
took=$(($(stack_now_ms) - began))
commits=$(sql "SELECT count(DISTINCT time) FROM sum_table WHERE time > $since")
((commits > 0 && commits <= took / 500 + 1)) && ok "the new commit interval counts ($commits commits in $took ms)" ||
    not_ok "the new commit interval counts: $commits commits in $took ms"
# One stage starts again, and the others go on.
pipeline <<<"SET commit_interval_ms = 0; SET autocommit_duration_ms = 200; $body"
reload
is "another duration: it is taken: $output" "$status" 0
read -r egress reduce ingest <<<"$(pids)"
is 'another duration: egress and reduce go on' "$egress $reduce" "${before% *}"
[[ $ingest != "${before##* }" ]] && ok 'another duration: ingest is another' ||
    not_ok 'another duration: ingest is another'
sql 'INSERT INTO "values" VALUES (5)'
comes_equal 'with another ingest' sum_table sum "$sum"
before=$(pids)
pipeline <<<"SET autocommit_duration_ms = 200; $body"
sed -i "s/password '$PGPASSWORD'/&, application_name 'me'/" "$WORK/pipeline.sql"
reload
is "another option of the target: it is taken: $output" "$status" 0
read -r egress reduce ingest <<<"$(pids)"
is 'another option of the target: reduce and ingest go on' "$reduce $ingest" "${before#* }"
[[ $egress != "${before%% *}" ]] && ok 'another option of the target: egress is another' ||
    not_ok 'another option of the target: egress is another'
sql 'INSERT INTO "values" VALUES (6)'
comes_equal 'with another egress' sum_table sum "$sum"
is 'no full recovery was needed' "$("$BIN/tallyd" status --json "$NAME" | sed 's/.*"recoveries":\([0-9]*\).*/\1/')" 0

kill -USR1 "$tallyd"
await 20 grep -q 'event=status' "$WORK/tallyd.log" && ok 'USR1 logs the status' || not_ok 'USR1 logs the status'
obeys sum_table '' sum

tallyd_stop
[[ -n $(stack_started_at "$tallyd") ]] && not_ok 'TERM ends it' || ok 'TERM ends it'
"$BIN/tallyd" run "$WORK/pipeline.sql" >"$WORK/int.log" 2>&1 &
int=$!
tallyds+=("$int")
await 20 log_has int event=reduce.live
kill -INT "$int"
wait "$int"
is 'INT drains and exits 0' $? 0
