# A silent connector is not an idle table: its heartbeats tell. One warning when it has written nothing for
# silence_warning_ms, one line when it writes again, and the age in `tallyd status`; never a word while only the table
# is idle, nor where no heartbeat has ever come. What becomes of the heartbeat topic never touches the data.
# limit: 400 s
. "$(dirname "$0")/lib.sh"
own_stack
own_database
topic=__debezium-heartbeat.$NAME
sum='SELECT sum(value)::real AS sum FROM "values"'
pipeline "transaction_topic '$NAME.transaction', heartbeat_topic '$topic', silence_warning_ms '6000'" <<END
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.values');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END

status()
{
	"$BIN/tallyd" status "$@" "$NAME" 2>/dev/null
}
source_is() # MEMBER: its value in the status of the one source
{
	status --json | sed -n "s/.*\"sources\":\[{[^]]*\"$1\":\([a-z0-9]*\).*/\1/p"
}
said() # EVENT: how often it was logged
{
	grep -c "event=$1 " "$WORK/tallyd.log"
}
has_said() # EVENT TIMES
{
	(($(said "$1") >= $2))
}
heartbeats()
{
	(($(source_is heartbeats) > 0))
}
# Servers may stall for so long that a warning is right: what was said before is counted anew each time, and
# only while heartbeats flow.
flowing()
{
	[[ $(source_is silent) == false ]] && (($(source_is age_ms) < 3000))
}
flows() # TEXT: and $before is how often it was silent until now
{
	await 60 flowing && ok "$1: its newest heartbeat is $(source_is age_ms) ms old" ||
	    not_ok "$1: its newest heartbeat is $(source_is age_ms) ms old"
	before=$(said source.silent)
}
falls_silent() # TEXT
{
	await 30 has_said source.silent $((before + 1)) && ok "$1: one warning" || not_ok "$1: no warning"
	is "$1: status --json says so" "$(source_is silent)" true
	contains "$1: status says so" "$(status)" ', silent for too long: look at its connector'
}
flows_again() # TEXT VALUE
{
	await 60 has_said source.flows $((before + 1)) && ok "$1: one line" || not_ok "$1: no line"
	sql "INSERT INTO \"values\" VALUES ($2)"
	comes_equal "$1" sum_table sum "$sum"
	is "$1: not said more often" "$(grep -o 'event=source\.[a-z]*' "$WORK/tallyd.log" | uniq -d)" ''
	flows "$1"
}
# watched SECONDS: so long nothing is said while heartbeats come, as another reader sees; from the beginning
# again when they paused for half as long as is allowed.
watched()
{
	local end='' newest='' since begun silent paused _
	since=$(stack_now_ms)
	for _ in 1 2 3 4 5; do
		begun=$(stack_now_ms) silent=$(said source.silent) paused=0
		while (($(stack_now_ms) - begun < $1 * 1000)); do
			end=$(topic_end "$topic")
			(($(stack_now_ms) - since < 3000)) || paused=1
			[[ $end == "$newest" ]] || newest=$end since=$(stack_now_ms)
			sleep 0.3
		done
		if (($(said source.silent) == silent)); then
			return 0
		fi
		((paused)) || return 1
	done
	return 1
}

sql 'INSERT INTO "values" VALUES (10)'
CONNECTOR_OPTIONS='heartbeat.interval.ms=0' stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
tallyd_start
comes_equal 'without heartbeats' sum_table sum "$sum"
asked check "$WORK/pipeline.sql"
contains 'check says that the topic is not there' "$output" \
    "topic $topic does not exist yet: Debezium creates it with its first heartbeat"
sleep 9
contains 'status says that no heartbeat has come' "$(status)" "; no heartbeat in topic $topic so far"
is 'an idle table does not warn' "$(said source.silent)" 0

stack_connector "$NAME" public.values >/dev/null
since=$(stack_now_ms)
await 60 heartbeats && ok 'heartbeats come' || not_ok 'heartbeats come'
echo "read $(($(stack_now_ms) - since)) ms after the connector was told to send them"
watched 12 && ok 'an idle table with heartbeats does not warn' || not_ok 'an idle table with heartbeats does not warn'

flows 'before it is paused'
await 20 connector_call PUT /pause || not_ok 'it is paused'
falls_silent 'paused'
contains 'it says which server, since when, and what to look at' "$(grep source.silent "$WORK/tallyd.log")" \
    'server kafka: nothing from its connector since 20'
age=$(source_is age_ms)
stage_kill ingest
sleep 5
older()
{
	then=$(source_is age_ms)
	((then >= age + 4000))
}
await 20 older && ok "the age grows: $age, $then ms" || not_ok "the age grows: $age, $then ms"
is 'not said again by the successor of ingest' "$(said source.silent)" $((before + 1))
await 20 connector_call PUT /resume || not_ok 'it is resumed'
flows_again 'resumed' 1

stack_kill connect
falls_silent 'Connect is killed'
stack_restart connect || not_ok 'Connect comes back'
flows_again 'Connect is back' 2

tallyd_pids=$(stage_pid ingest)
stack_topic_delete "$topic"
sql 'INSERT INTO "values" VALUES (100)'
comes_equal 'the heartbeat topic is deleted' sum_table sum "$sum"
count=$(source_is heartbeats)
more()
{
	(($(source_is heartbeats) > count + 2))
}
await 60 more && ok 'it is read again when it is there again' || not_ok 'it is read again when it is there again'
is 'ingest has not ended for it' "$(stage_pid ingest)" "$tallyd_pids"

flows 'before its publication is lost'
sql "DROP PUBLICATION $NAME; INSERT INTO \"values\" VALUES (1000)"
falls_silent 'the publication is lost'
contains 'while the connector says that it runs' "$(curl -s "$CONNECT_URL/connectors/$NAME/status")" '"state":"RUNNING"'
tallyd_stop
is 'all of it is one life' "$(said recovery.full)" 0
grep -E 'event=(source|heartbeat)\.' "$WORK/tallyd.log"
