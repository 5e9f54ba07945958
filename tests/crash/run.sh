#!/usr/bin/env bash
#
# run.sh - tallyd under random deaths, on servers of its own: what is in the target is what would be there
# without them, and every state that it ever showed was true.
#
#   KILLS=200     how many       CONTROL=25   of them for the control run, which must fail
#   SEED=N        of the load and of the order of victims (printed)
#   WORKERS=3 PAUSE=0.02         sessions that load the source; seconds between two transactions of one
#
# The source and the target are two PostgreSQL servers. Victims: the stages, the supervisor, egress's
# session, Kafka Connect (also in mid-transaction), the broker, either PostgreSQL. Each death waits
# until the one before it was survived (a transaction made later is in the target), some do not wait.
# After a failure build/crash has the logs and a dump of the target with all that it was held against.
# How the truth is known: truth.sql; how the target is held against it: verify.sql.
NAME=crash
. "$(dirname "$0")/../stack/lib.sh"
NAME=crash

KILLS=${KILLS:-200}
CONTROL=${CONTROL:-25}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
WORKERS=${WORKERS:-3}
PAUSE=${PAUSE:-0.02}
target=$WORK/target
here=$ROOT/tests/crash
loads=()
export TALLYD_READY_LONG_MS=1 # a death is no reason to wait: here it is expected

crash_end()
{
	touch "$WORK/stop"
	((failed == 0)) || crash_keep
	[[ ! -f $target/stack ]] || at_target stack_down
	finish
}

crash_keep()
{
	mkdir -p build/crash
	cp "$WORK"/*.log "$WORK"/kills "$WORK"/verdict "$WORK"/stack/*.log build/crash 2>/dev/null
	at_target "$stack_pgbin/pg_dump" -f build/crash/target.sql 2>/dev/null
	echo "# kept: build/crash"
}

# ---- the servers, the source and its load ----------------------------------------------------

crash_servers()
{
	own_stack
	database=crash interval=500
	at_target stack_up "$target" pg || { not_ok 'the target starts'; exit 1; }
	at_target stack_database crash
	own_database
	stack_psql -f "$here/source.sql" || { not_ok 'the source is made'; exit 1; }
	stack_topic crash.public.parts 4
	load_start
	CONNECTOR_OPTIONS=$'value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false' \
	    stack_connector crash public.{clock,accounts,ledger,parts} >/dev/null ||
	    { not_ok 'the connector'; exit 1; }
	# It streams: the snapshot is in Kafka, and a connector that stalls has not ended it by silence.
	await 60 streamed || not_ok 'the connector streams'
}

streamed()
{
	(($(topic_end crash.transaction) > 0)) 2>/dev/null
}

load_worker() # NUMBER: a session at a time, until it is told to stop, whatever happens to the server
{
	local life=0 seed
	while [[ ! -e $WORK/stop ]]; do
		life=$((life + 1))
		seed=$(((SEED * 31 + $1 * 1009 + life * 7919) % 100003))
		stack_psql -c "CALL load($1, $seed / 100003.0, $PAUSE)" >>"$WORK/load.log" 2>&1 || sleep 0.05
	done
}

load_start()
{
	local w
	rm -f "$WORK/stop"
	sql 'DELETE FROM load_stop'
	loads=()
	for ((w = 0; w < WORKERS; w++)); do
		load_worker "$w" &
		loads+=($!)
	done
}

load_stop()
{
	touch "$WORK/stop"
	until sql 'INSERT INTO load_stop VALUES (true)' 2>/dev/null; do
		sleep 0.1
	done
	wait "${loads[@]}"
}

# made: the last transaction of the source, in $made.
made()
{
	until made=$(sql 'SELECT n FROM clock' 2>/dev/null) && [[ -n $made ]]; do
		sleep 0.05
	done
}

# ---- tallyd ----------------------------------------------------------------------------------

crash_pipeline() # its name is that of the database in the target
{
	echo "$CANARY_FILE" >"$WORK/canary.secret"
	{
		cat <<-END
			SET pipeline = '$database';
			SET checkpoint_interval_ms = $interval;
			SET autocommit_duration_ms = 1000; -- the snapshot of a table of four partitions ends by silence
			CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
			  OPTIONS ("bootstrap.servers" '$BOOTSTRAP', $canaries_kafka, "sasl.password_file" '$WORK/canary.secret', transaction_topic 'crash.transaction');
			CREATE SERVER target FOREIGN DATA WRAPPER postgres
			  OPTIONS ($(at_target eval 'echo "host '\''$PGHOST'\'', port '\''$PGPORT'\'', \"user\" '\''$PGUSER'\'',
			      password '\''$PGPASSWORD'\'', dbname '\''$PGDATABASE'\''"'), $canaries_postgres);
		END
		truth_tables
	} >"$WORK/pipeline.sql"
	at_target stack_psql -f "$here/target.sql"
}

crash_start() # tallyd, again
{
	"$BIN/tallyd" run "$WORK/pipeline.sql" >>"$WORK/$database.log" 2>&1 </dev/null &
	tallyd=$!
	tallyds+=("$tallyd")
	disown "$tallyd"
}

alive()
{
	[[ -n $(stack_started_at "$tallyd") ]]
}

# shown N SECONDS: transaction N of the source is in the target.
shown()
{
	local end=$((SECONDS + $2 * PATIENCE)) last
	while ((SECONDS <= end)); do
		last=$(at_target sql "SELECT shown($1, 2)" 2>/dev/null)
		[[ -z $last ]] || ((last < $1)) || return 0
		alive || { not_ok "$database: tallyd runs on"; return 1; }
		connector_mend
	done
	not_ok "$database: after $(($2 * PATIENCE)) s transaction $1 is not in the target, but ${last:-nothing}"
	return 1
}

# A task that has failed is started again, as an operator would.
connector_mend()
{
	local status
	status=$(curl -s --max-time 2 "$CONNECT_URL/connectors/crash/status") || return 0
	[[ $status == *'"FAILED"'* ]] || return 0
	echo "connector: ${status:0:600}" >>"$WORK/connector.log"
	curl -s --max-time 5 -o /dev/null -X POST \
	    "$CONNECT_URL/connectors/crash/restart?includeTasks=true&onlyFailed=true"
}

# ---- deaths ----------------------------------------------------------------------------------

# deck N VICTIM SHARE ...: N victims in $deck, by their shares, shuffled.
deck()
{
	local n=$1 total=0 i j swap
	local -a pairs=("${@:2}")
	deck=()
	for ((i = 1; i < ${#pairs[@]}; i += 2)); do
		total=$((total + pairs[i]))
	done
	for ((i = 0; i < ${#pairs[@]}; i += 2)); do
		for ((j = 0; j < (pairs[i + 1] * n + total / 2) / total; j++)); do
			deck+=("${pairs[i]}")
		done
	done
	while ((${#deck[@]} < n)); do
		deck+=("${pairs[0]}")
	done
	for ((i = ${#deck[@]} - 1; i > 0; i--)); do
		j=$((RANDOM % (i + 1))) swap=${deck[i]} deck[i]=${deck[j]} deck[j]=$swap
	done
	deck=("${deck[@]:0:n}")
}

# strike VICTIM: when, in $at. Of a server it is when it was gone: until then it goes on.
strike()
{
	local pid='' _
	case $1 in
	ingest | reduce | egress)
		for _ in {1..1500}; do
			pid=$(stage_pid "$1")
			[[ -z $pid ]] || break
			alive || { not_ok "$database: tallyd runs on"; return 1; }
			sleep 0.02
		done
		[[ -n $pid ]] || { not_ok "$database: there is a $1 stage to kill"; return 1; }
		at=$EPOCHREALTIME
		kill -KILL "$pid" 2>/dev/null
		;;
	supervisor)
		at=$EPOCHREALTIME
		kill -KILL "$tallyd"
		crash_start
		;;
	session)
		at=$(at_target sql "SELECT extract(epoch FROM clock_timestamp()) FROM
		    (SELECT pg_terminate_backend(backend) FROM tallyd.pipeline OFFSET 0) t" 2>/dev/null)
		at=${at:-$EPOCHREALTIME} # the target may be away
		;;
	connect | connect_mid)
		[[ $1 == connect ]] || { sql 'SELECT change_many(200, 1500); SELECT note()' >/dev/null 2>&1; }
		stack_kill connect
		at=$EPOCHREALTIME
		stack_launch connect
		;;
	broker)
		stack_kill kafka
		at=$EPOCHREALTIME
		stack_launch kafka
		;;
	source)
		stack_kill pg QUIT
		at=$EPOCHREALTIME
		stack_start pg
		;;
	target)
		at_target stack_kill pg QUIT
		at=$EPOCHREALTIME
		at_target stack_start pg
		;;
	esac
}

# deaths: of all in the deck.
deaths()
{
	local i victim alone again=0 at streaming since=$SECONDS
	for ((i = 0; i < ${#deck[@]}; i++)); do
		victim=${deck[i]}
		# Does the source's log flow at this moment, as far as is known?
		streaming=$((again == 0))
		strike "$victim" || return 1
		# One in eight is followed by the next at once, or nearly so.
		alone=t
		((again == 0)) || alone=f
		again=$((RANDOM % 8 == 0))
		((again == 0)) || alone=f
		echo "$at,$victim,$alone,$streaming" >>"$WORK/kills"
		if ((again)); then
			sleep "0.0$((RANDOM % 90 + 10))"
		else
			made
			shown $((made + 1)) 90 || return 1
			sleep "0.$((RANDOM % 300 + 100))"
		fi
		(((i + 1) % 20)) || echo "# $database: $((i + 1)) kills, $((SECONDS - since)) s, $made transactions"
	done
	made
	shown $((made + 1)) 90
}

# ---- the verdict -----------------------------------------------------------------------------

# verdict: commits outputs never_true disorder repeated lost doubled, as an array.
verdict()
{
	local details=()
	at_target sql 'CREATE TABLE IF NOT EXISTS truth (n bigint, h numeric, committed timestamptz);
	    CREATE TABLE final (view text, row text);
	    CREATE TABLE kills (at numeric, victim text, alone boolean, streaming integer)'
	sql 'COPY (SELECT n, h, pg_xact_commit_timestamp(xmin) FROM truth) TO STDOUT' |
	    at_target sql 'COPY truth FROM STDIN'
	sql 'COPY (SELECT view, row FROM state) TO STDOUT' | at_target sql 'COPY final FROM STDIN'
	at_target sql 'COPY kills FROM STDIN (FORMAT csv)' <"$WORK/kills"
	[[ -z ${1-} ]] || details=(-v details=1)
	at_target stack_psql "${details[@]}" -f "$here/verify.sql" >"$WORK/verdict"
	IFS='|' read -ra verdict <"$WORK/verdict"
}

summary()
{
	printf '%s: kills=%d streaming=%d commits=%d outputs=%d never_true=%d disorder=%d repeated=%d lost=%d doubled=%d\n' \
	    "$database" "$(wc -l <"$WORK/kills")" "$(grep -c ',1$' "$WORK/kills")" "${verdict[@]}"
	# Connect was away for longer than ingest waits for the rest of a transaction.
	grep -h event=ingest.incomplete "$WORK/$database.log"
}

recoveries()
{
	local victim count p50 p99 slowest
	while IFS='|' read -r victim count p50 p99 slowest; do
		printf 'recovery: %-12s kills=%d p50=%d p99=%d max=%d ms\n' "$victim" "$count" "$p50" "$p99" "$slowest"
	done < <(at_target stack_psql -f "$here/recovery.sql")
}

crash_run()
{
	rm -f "$WORK/kills"
	crash_pipeline
	crash_start
	made
	shown "$made" 60 || return 1
	deaths || return 1
	load_stop
	made
	shown "$made" 60 || return 1
	tallyd_stop
}

stack_trap crash_end
RANDOM=$((SEED % 32768))
echo "# SEED=$SEED KILLS=$KILLS"
crash_servers

deck "$KILLS" ingest 26 reduce 20 egress 26 supervisor 8 session 9 target 3 connect 2 connect_mid 2 source 2 broker 2
crash_run || exit
verdict details
summary
recoveries
is 'at every time the target shows a state that was true' "${verdict[2]}" 0
is 'and each of them later than the one before' "${verdict[3]}" 0
is 'no (group, time, diff) twice' "${verdict[4]}" 0
is 'nothing is lost' "${verdict[5]}" 0
is 'nothing is doubled' "${verdict[6]}" 0
((failed == 0)) || tail -n +2 "$WORK/verdict"
((verdict[0] > KILLS)) && ok "in ${verdict[0]} commits" || not_ok "only ${verdict[0]} commits"

# The control: the same with the position in a transaction of its own. If that is not seen, nothing is.
# tallyd itself must not see it first: so no checkpoints, whose parts cannot be written twice, and no full
# recovery, which looks at the target and refuses to go on (target.edited).
((CONTROL > 0)) || exit
database=control interval=3600000
at_target stack_database control
BIN=$ROOT/build/fault
export TALLYD_SPLIT_POSITION=1
load_start
deck "$CONTROL" egress 1
crash_run || exit
verdict
summary
((verdict[5] + verdict[6] > 0)) && ok 'control: a position of its own loses or doubles, and it is seen' ||
    not_ok 'control: a position of its own loses or doubles, and it is seen'
