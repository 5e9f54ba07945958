# lib.sh - for the stack tests: tallyd on real servers, and what every output must obey.
#
# A test is a script tests/stack/test_NAME.sh that sources this file and calls `ok TEXT` or `not_ok
# TEXT` for each thing it shows; run.sh counts them. It runs alone in a folder of its own ($WORK),
# with a database ($PGDATABASE) and a connector ($NAME) of its own on the shared stack; one that stops servers
# calls own_stack first.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
ROOT=$PWD
. tests/stack/stack.sh
. tests/stack/canaries.sh

NAME=$(basename "$0" .sh)
NAME=${NAME#test_}
BIN=${BIN:-$ROOT/build/release}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/tallyd-test-$NAME.XXXXXX")
chmod 755 "$WORK" # the unprivileged user of PostgreSQL must reach its cluster below
mkdir -m 700 "$WORK/run"
export RUNTIME_DIRECTORY=$WORK/run
passed=0 failed=0
tallyds=() # pids that this test started
own=''     # set when the stack is this test's own

ok()
{
	passed=$((passed + 1))
	echo "ok - $*"
}

not_ok()
{
	failed=$((failed + 1))
	echo "not ok - $*"
}

# is TEXT GOT WANTED
is()
{
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		not_ok "$1: got '$2', wanted '$3'"
	fi
}

# contains TEXT HAYSTACK NEEDLE
contains()
{
	if [[ $2 == *"$3"* ]]; then
		ok "$1"
	else
		not_ok "$1: no '$3' in: $2"
	fi
}

finish()
{
	local pid mine="\b$NAME\b"
	for pid in "${tallyds[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	canaries_stay_hidden
	if ((failed > 0)) || [[ -n ${KEEP_LOGS-} ]]; then
		for log in "$WORK"/*.log; do
			[[ -f $log ]] || continue
			echo "--- $(basename "$log")"
			tail -n 40 "$log"
		done
		[[ -z $own ]] || mine=. # all of its own stack's
		[[ ! -f $STACK/connect.log ]] || grep -E " (WARN|ERROR) .*$mine" "$STACK/connect.log" |
		    grep -vE 'NetworkClient|PgOutputMessageDecoder' | tail -n 3 | sed 's/^/connect: /'
	fi
	if [[ -n $own ]]; then
		stack_down
	elif [[ -n ${CONNECT_URL-} ]]; then
		# It would poll its database for as long as the other tests run.
		curl -s --max-time 5 -o /dev/null -X DELETE "$CONNECT_URL/connectors/$NAME"
	fi
	rm -rf "$WORK"
	echo "$passed passed, $failed failed"
	((failed == 0)) || exit 1
}
stack_trap finish

# own_stack [SERVER...]: a stack of this test's own, so that it may stop its servers.
own_stack()
{
	own=1
	stack_up "$WORK/stack" "$@" || { not_ok 'the stack starts'; exit 1; }
}

# own_database: made with the worked example's tables; psql and tallyd use it from here on.
own_database()
{
	export PGDATABASE=$NAME
	stack_database "$NAME" || { not_ok 'the database is made'; exit 1; }
}

if [[ -n ${SHARED_STACK-} ]]; then
	stack_open "$SHARED_STACK"
fi

sql()
{
	stack_psql -c "$1"
}

# pipeline: standard input with the servers' declarations before it, as $WORK/pipeline.sql.
# Server `kafka` has the transaction topic of this test's connector unless $1 says otherwise.
pipeline()
{
	echo "$CANARY_FILE" >"$WORK/canary.secret"
	cat >"$WORK/pipeline.sql" <<-END
		SET pipeline = '$NAME';
		CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
		  OPTIONS ("bootstrap.servers" '$BOOTSTRAP', $canaries_kafka, "sasl.password_file" '$WORK/canary.secret', ${1-transaction_topic '$NAME.transaction'});
		CREATE SERVER target FOREIGN DATA WRAPPER postgres
		  OPTIONS (host '$PGHOST', port '$PGPORT', dbname '$PGDATABASE', "user" '$PGUSER',
		    password '$PGPASSWORD', $canaries_postgres);
	END
	sed -i 's/, )/)/' "$WORK/pipeline.sql"
	cat >>"$WORK/pipeline.sql"
}

# connector_forget: this test's connector ends with all that it knew, its offsets and its slot.
# (Connect refuses each of these while its worker joins anew, as after a stall.)
connector_forget()
{
	await 20 connector_call PUT /stop && await 20 connector_call DELETE /offsets ||
	    not_ok 'the offsets of the connector are deleted'
	await 20 connector_gone || not_ok 'the connector is deleted'
	await 20 slot_drop || not_ok 'its slot is dropped'
}

connector_gone()
{
	[[ $(curl -s --max-time 20 -o /dev/null -w '%{http_code}' -X DELETE "$CONNECT_URL/connectors/$NAME") == 404 ]]
}

# connector_settles [CONNECTOR]: waits until Kafka has an offset of it past its first snapshot. Until then whatever ends
# its task has the snapshot taken anew, and Debezium 3.7 then reads later than the position that it names: what is
# written between comes in the snapshot and in the stream.
connector_settles()
{
	await 60 connector_settled "${1:-$NAME}" || not_ok "the first snapshot of ${1:-$NAME} is over"
}

connector_settled() # CONNECTOR
{
	local offsets
	offsets=$(curl -sf --max-time 20 "$CONNECT_URL/connectors/$1/offsets") &&
	    [[ $offsets == *'"lsn":'* && $offsets != *'"snapshot"'* ]]
}

connector_call() # METHOD PATH
{
	curl -sf --max-time 20 -X "$1" "$CONNECT_URL/connectors/$NAME$2" >/dev/null
}

slot_drop()
{
	sql "SELECT pg_drop_replication_slot('$NAME')" >/dev/null 2>&1
}

# tallyd_start [LOG] [FILE]: its pid in $tallyd; its log in $WORK/LOG.log.
tallyd_start()
{
	"$BIN/tallyd" run "${2:-$WORK/pipeline.sql}" >"$WORK/${1:-tallyd}.log" 2>&1 </dev/null &
	tallyd=$!
	tallyds+=("$tallyd")
	disown "$tallyd"
}

# tallyd_run_to_end SECONDS [FILE [LOG]]: run it, wait for its end; its status in $status, 124 when it went on.
tallyd_run_to_end()
{
	timeout $(($1 * PATIENCE)) "$BIN/tallyd" run "${2:-$WORK/pipeline.sql}" >"$WORK/${3:-ended}.log" 2>&1 \
	    </dev/null
	status=$?
}

# tallyd_stop [SIGNAL] [PID]: ask it and wait at most a minute.
tallyd_stop()
{
	local pid=${2:-$tallyd} _
	kill -"${1:-TERM}" "$pid" 2>/dev/null || return 0
	for _ in {1..1200}; do
		[[ -n $(stack_started_at "$pid") ]] || return 0
		sleep 0.05
	done
	not_ok "tallyd ends within a minute of ${1:-TERM}"
	kill -KILL "$pid"
}

# stage_pid STAGE [PID]: the child of tallyd that is this stage.
stage_pid()
{
	local pid parent=${2:-$tallyd}
	for pid in $(cat "/proc/$parent/task/$parent/children" 2>/dev/null); do
		# The check before a start is a child too.
		[[ $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") != *' check '* ]] || continue
		if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == tallyd-"$1" ]]; then
			echo "$pid"
			return
		fi
	done
}

# stage_kill STAGE: SIGKILL, and wait for the successor.
stage_kill()
{
	local old new='' _
	for _ in {1..600}; do
		old=$(stage_pid "$1")
		[[ -z $old ]] || break
		sleep 0.05
	done
	[[ -n $old ]] || { not_ok "there is a $1 stage to kill"; return 1; }
	kill -KILL "$old"
	for _ in {1..1200}; do
		new=$(stage_pid "$1")
		[[ -z $new || $new == "$old" ]] || return 0
		sleep 0.05
	done
	not_ok "the $1 stage is started again"
	return 1
}

# await SECONDS COMMAND...: until it succeeds. The seconds are what a quiet machine could need; a test that
# passes does not wait for them, and one on a busy machine is to fail for a reason.
PATIENCE=${PATIENCE:-3}
await()
{
	local end=$((SECONDS + $1 * PATIENCE))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# asked ARGUMENT...: what tallyd says with these in $output, its code in $status. `check`, `reload` and `rebuild` answer 69
# when a server has not answered within five seconds, as one that stalls; where the answer is to be
# another they are asked again.
asked()
{
	local _
	for _ in 1 2 3; do
		output=$(timeout $((60 * PATIENCE)) "$BIN/tallyd" "$@" 2>&1)
		status=$?
		((status == 69)) || return 0
	done
}

log_has()
{
	grep -qs -- "$2" "$WORK/$1.log"
}

# topic_end TOPIC: the offset that its next message will get, of partition 0.
topic_end()
{
	local _
	for _ in {1..3}; do # kcat gives up after five seconds
		kcat -q -Q -b "$BOOTSTRAP" -t "$1:0:-1" 2>/dev/null | grep -o '[0-9]*$' && return
	done
}

# topic_gone TOPIC: the broker itself knows that it is deleted, which may be later than the answer says; what is
# produced before goes into the log that is deleted.
topic_gone()
{
	local topics
	topics=$(kcat -q -L -b "$BOOTSTRAP" 2>/dev/null) && [[ $topics != *"topic \"$1\" "* ]]
}

# topic_grow TOPIC COUNT: so many partitions, and the broker itself knows them.
topic_grow()
{
	stack_java org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" --alter --topic "$1" --partitions "$2"
	"${stack_command[@]}" >/dev/null || not_ok "topic $1 gets $2 partitions"
	await 20 eval 'kcat -q -L -b "$BOOTSTRAP" -t "'"$1"'" 2>/dev/null | grep -q "with '"$2"' partitions"' ||
	    not_ok "topic $1 has $2 partitions"
}

# group_next GROUP TOPIC: the offset that Kafka has of the group.
group_next()
{
	stack_java org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" \
	    --describe --group "$1" --timeout 30000
	"${stack_command[@]}" 2>"$WORK/group.log" | tee -a "$WORK/group.log" | awk -v topic="$2" '$2 == topic { print $4 }'
}

# grown TOPIC COUNT: whether more messages than that have come since it ended at $start.
grown()
{
	local end
	end=$(topic_end "$1")
	((${end:-0} > start + $2))
}

# load_amid_kills FILE SECONDS: run it, and every so often kill ingest: three times before it is over, for where
# a machine needs long for that the last tenth of its transactions waits.
load_amid_kills()
{
	local load hold _
	hold=$(($(wc -l <"$1") * 9 / 10))
	rm -f "$WORK/killed"
	awk -v hold="$hold" -v wait="test -e '$WORK/killed' || test ! -d '$WORK'" '{ print } hold && NR >= hold && /COMMIT/ {
	    fflush(); while (system(wait)) system("sleep 0.1"); hold = 0 }' "$1" | stack_psql >/dev/null &
	load=$!
	for _ in 1 2 3; do
		sleep "$2"
		stage_kill ingest
	done
	kill -0 "$load" 2>/dev/null && ok 'ingest is killed three times in mid-load' || not_ok 'the load lasts longer'
	touch "$WORK/killed"
	wait "$load"
}

# live TABLE COLUMNS: SQL for the rows that are live now, folded by diff.
live()
{
	echo "SELECT $2 FROM $1 GROUP BY $2 HAVING sum(diff) > 0"
}

same_answer()
{
	local difference
	difference=$(sql "SELECT count(*) FROM (
	    (($3) EXCEPT ALL ($(live "$1" "$2"))) UNION ALL (($(live "$1" "$2")) EXCEPT ALL ($3))) x") \
	    2>/dev/null
	[[ $difference == 0 ]]
}

# comes_equal TEXT TABLE COLUMNS SELECT [SECONDS]: the folded target becomes PostgreSQL's own answer.
comes_equal()
{
	if await "${5:-30}" same_answer "$2" "$3" "$4"; then
		ok "$1: $2 equals PostgreSQL's answer"
	else
		not_ok "$1: $2 does not equal PostgreSQL's answer"
		echo "PostgreSQL: $(sql "$4" | head -5 | cut -c1-100 | tr '\n' ' ')"
		echo "tallyd:     $(sql "$(live "$2" "$3")" | head -5 | cut -c1-100 | tr '\n' ' ')"
	fi
}

# obeys TABLE GROUP VALUES: what every output must obey, whatever happened. GROUP may be empty.
#   - one commit, one time; times rise with the commits
#   - in each group +1 and -1 alternate, starting with +1, and each -1 equals the +1 before it
#     (so 0 or 1 row is live at every time)
obeys()
{
	local group=${2:+PARTITION BY $2} same='' column columns wrong
	IFS=, read -ra columns <<<"${2:+$2,}$3"
	for column in "${columns[@]}"; do
		same+=" AND w.$column IS NOT DISTINCT FROM lag_$column"
	done
	wrong=$(sql "SELECT count(*) FROM (SELECT *, lag(diff) OVER g AS lag_diff
	    $(for column in "${columns[@]}"; do echo ", lag($column) OVER g AS lag_$column"; done)
	    FROM $1 WINDOW g AS ($group ORDER BY time, diff)) w
	    WHERE NOT CASE diff WHEN 1 THEN coalesce(lag_diff, -1) = -1
	        WHEN -1 THEN coalesce(lag_diff, 0) = 1 $same ELSE false END")
	is "$1: +1 and -1 alternate in each group, each -1 equals the +1 before it" "$wrong" 0
	wrong=$(sql "SELECT count(*) FROM (SELECT time, count(DISTINCT xmin::text) AS writers,
	    min(xmin::text::bigint) AS writer, lag(min(xmin::text::bigint)) OVER (ORDER BY time) AS before
	    FROM $1 GROUP BY time) t WHERE writers <> 1 OR writer <= before")
	is "$1: one commit, one time, and times rise" "$wrong" 0
}

# count_commits TABLE
count_commits()
{
	sql "SELECT count(DISTINCT time) FROM $1"
}

# ---- a source whose truth is known, and a target that is a server of its own -----------------
# The source: tests/crash/source.sql. The target: stack_up in folder $target, with database $database.

# at_target COMMAND...: with the target's server instead of the source's.
at_target()
{
	local -x PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE=$database BOOTSTRAP CONTROLLER CONNECT_URL
	local STACK=$target
	# shellcheck disable=SC1091
	[[ ! -f $target/env ]] || . "$target/env"
	PGDATABASE=$database
	"$@"
}

# truth_tables: the source's tables, and the views that tests/crash/target.sql has the tables of, as a
# pipeline with server `kafka` declares them.
truth_tables()
{
	local view
	cat <<-END
		CREATE FOREIGN TABLE clock (id integer PRIMARY KEY, n bigint NOT NULL)
		  SERVER kafka OPTIONS (topic '$NAME.public.clock');
		CREATE FOREIGN TABLE accounts (id integer PRIMARY KEY, grp integer, amount integer)
		  SERVER kafka OPTIONS (topic '$NAME.public.accounts');
		CREATE FOREIGN TABLE ledger (grp integer, amount integer NOT NULL)
		  SERVER kafka OPTIONS (topic '$NAME.public.ledger');
		CREATE FOREIGN TABLE parts (id integer PRIMARY KEY, grp text NOT NULL, amount numeric(12,2) NOT NULL)
		  SERVER kafka OPTIONS (topic '$NAME.public.parts');
		CREATE MATERIALIZED VIEW tick AS SELECT sum(n) AS n FROM clock;
	END
	for view in accounts ledger parts; do
		cat <<-END
			CREATE MATERIALIZED VIEW $view AS SELECT grp, count(*) AS n, sum(amount) AS total,
			  min(amount) AS lowest, max(amount) AS highest FROM $view GROUP BY grp;
		END
	done
}
