# faults.sh - for the tests test_fault_*.sh: a death at every fault point of every process, from a poll of
# Kafka to the offsets given back to it, at the first three hits, by SIGKILL, by SIGSTOP until the
# stage is judged hung, and by an error where the call can fail. The list of points is what the sources
# hold; one that was never hit fails.
#
# Several workers side by side, each with tables, topics and a pipeline of its own. A worker starts
# tallyd with all of its rules, each of which happens once, and goes on with load, cut connections,
# stops and first starts until all have happened. Again and again it lets the load rest: then the
# fold of each output is PostgreSQL's own answer, and at no time was there a total that never was.
#
# A test calls open_workers NAME..., start_worker for each, and close_workers PATTERN.
. "$(dirname "$0")/lib.sh"
BIN=$ROOT/build/fault
# A second: on a busy machine the start of a process alone takes half of that.
export TALLYD_HANG_MS=1000 TALLYD_BACKOFF_MS=100
limit=${LIMIT:-330} # seconds that a worker may take for its rules; more while they happen, if seldom

# ---- the points ------------------------------------------------------------------------------

# STAGE/POINT HIT: what cannot be, and why. A hit stands for itself and all beyond.
cannot='
ingest/ingest.origin 2  once in the life of a process, as all up to the next blank line
ingest/ingest.held 2
ingest/ingest.discovered 2
ingest/ingest.assign 2
ingest/ingest.assigned 2
ingest/ingest.load 2
ingest/order.load 2
ingest/ingest.before_cut 2
ingest/ingest.stopping 2
reduce/reduce.held 2
reduce/reduce.ready 2
reduce/reduce.load 2
reduce/reduce.cut 2
reduce/reduce.live 2
reduce/reduce.draining 2
reduce/reduce.drained 2
egress/egress.release 2

ingest/ring.attach 2  one ring
egress/ring.attach 2  one ring
reduce/ring.attach 3  two rings: one in, one out
ingest/board.before_publish 1  only egress publishes
reduce/board.before_publish 1  only egress publishes
'

# Steps of views that come, go and are rebuilt, and of checkpoints, in both stages.
views='(egress/egress\.(drop|fill|rebuild)|reduce/reduce\.views)$'
checkpoint='(egress/egress\.(before_flip|after_flip|copy_out|forget|part)|reduce/reduce\.(checkpoint|flip|forget|part|load))$'

# points: STAGE/POINT, one a line; `tallyd` is the supervisor.
points()
{
	local file stage stages
	for file in common/*.c ingest/*.c reduce/*.c egress/*.c supervisor/*.c; do
		case $file in
		common/*) stages='ingest reduce egress' ;;
		supervisor/*) stages=tallyd ;;
		*) stages=${file%%/*} ;;
		esac
		for stage in $stages; do
			grep 'FAULT(' "$file" | grep -oE '"[a-z]+\.[a-z_]+"' | tr -d '"' | sed "s|^|$stage/|"
		done
	done | sort -u
}

can_fail() # POINT: somewhere its value is looked at
{
	grep -hE "FAULT\(.*\"$1\"" {common,ingest,reduce,egress,supervisor}/*.c | grep -qv '(void)FAULT'
}

possible() # STAGE/POINT HIT
{
	local first
	first=$(awk -v point="$1" '$1 == point { print $2 }' <<<"$cannot")
	[[ -z $first ]] || (($2 < first))
}

# rules ACTIONS: for the points on standard input.
rules()
{
	local point hit action
	while read -r point; do
		for hit in 1 2 3; do
			possible "$point" $hit || continue
			for action in $1; do
				[[ $action != error ]] || can_fail "${point#*/}" || continue
				echo "$point:$hit:$action"
			done
		done
	done
}

# ---- a worker --------------------------------------------------------------------------------

tables()
{
	echo "CREATE TABLE items_$1 (id integer PRIMARY KEY, k text);
	    CREATE TABLE vals_$1 (value integer);
	    ALTER TABLE vals_$1 REPLICA IDENTITY FULL;
	    CREATE TABLE accounts_$1 (id integer PRIMARY KEY, balance bigint);
	    CREATE TABLE by_k_$1 (k text, n bigint, time bigint, diff integer);
	    CREATE TABLE low_$1 (k text, low integer, time bigint, diff integer);
	    CREATE TABLE high_$1 (k text, high integer, time bigint, diff integer);
	    CREATE TABLE all_$1 (n bigint, time bigint, diff integer);
	    CREATE TABLE total_$1 (total bigint, time bigint, diff integer);
	    CREATE TABLE balances_$1 (id integer, balance numeric, time bigint, diff integer);
	    INSERT INTO items_$1 SELECT i, 'k' || i % 7 FROM generate_series(1, 20) i;
	    INSERT INTO vals_$1 SELECT generate_series(1, 5);
	    INSERT INTO accounts_$1 SELECT i, 100 FROM generate_series(1, 10) i;"
}

worker_pipeline() # RING_BYTES
{
	# The group has offsets when the target has no position any more: first_start.
	pipeline "transaction_topic '$NAME.transaction', start 'earliest'" <<-END
		SET ring_bytes = $1;
		SET checkpoint_interval_ms = 200;
		CREATE FOREIGN TABLE items_$me (id integer PRIMARY KEY, k text)
		  SERVER kafka OPTIONS (topic '$NAME.public.items_$me');
		CREATE FOREIGN TABLE vals_$me (value integer) SERVER kafka OPTIONS (topic '$NAME.public.vals_$me');
		CREATE FOREIGN TABLE accounts_$me (id integer PRIMARY KEY, balance bigint)
		  SERVER kafka OPTIONS (topic '$NAME.public.accounts_$me');
		CREATE MATERIALIZED VIEW by_k_$me AS SELECT k, count(*) AS n FROM items_$me GROUP BY k;
		CREATE MATERIALIZED VIEW total_$me AS SELECT sum(value) AS total FROM vals_$me;
		CREATE MATERIALIZED VIEW balances_$me AS
		  SELECT id, sum(balance) AS balance FROM accounts_$me GROUP BY id;
	END
	sed -i "s/^SET pipeline = .*/SET pipeline = '${NAME}_$me';/" "$WORK/pipeline.sql"
}

next=100
load_small() # small commits: inserts, updates of a keyless row, transfers
{
	local i
	for i in 1 2 3 4; do
		echo "INSERT INTO items_$me SELECT $next + i, 'k' || i % 7 FROM generate_series(1, 5) i;
		    UPDATE vals_$me SET value = value + 1 WHERE value % 4 = $i - 1;
		    BEGIN; UPDATE accounts_$me SET balance = balance - $i WHERE id = $i;
		    UPDATE accounts_$me SET balance = balance + $i WHERE id = $i + 5; COMMIT;"
		next=$((next + 5))
	done | stack_psql
	next=$((next + 20))
}

load_large() # commits of more rows than the ring holds: COPY, and room given back before COMMIT
{
	sql "DELETE FROM items_$me WHERE length(k) = 200;
	    INSERT INTO items_$me SELECT $next + i, rpad($next + i || 'g', 200, 'x') FROM generate_series(1, 700) i"
	next=$((next + 700))
}

start()
{
	"$BIN/tallyd" run "$WORK/pipeline.sql" >>"$WORK/tallyd.log" 2>&1 </dev/null &
	tallyd=$!
	tallyds+=("$tallyd")
	disown
}

# state: of the supervisor's process, in $state; X when it is gone. Without a process of its own, for
# it is asked often.
state()
{
	state=X
	{ read -r state <"/proc/$tallyd/stat"; } 2>/dev/null
	state=${state##*) }
	state=${state%% *}
	[[ $state != Z ]] || state=X
}

# tend: whoever is dead or stopped: the supervisor of tallyd is the test's to look after.
tend()
{
	state
	if [[ $state == X ]]; then
		[[ -n $stopping ]] || start
	elif [[ $state == T ]]; then
		sleep 0.5
		kill -CONT "$tallyd"
	fi
}

rest() # TENTHS of a second, tending
{
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 100000))
	while ((${EPOCHREALTIME/[.,]/} < end)); do
		tend
		sleep 0.1
	done
}

# running: all stages were ready, and no recovery has begun since.
running()
{
	tend
	[[ $(tail -n 300 "$WORK/tallyd.log" | grep -oE 'event=(start|stop|end|recovery\.(full|done)) ' | tail -n 1) == \
	    *done* ]]
}

# stop: when all stages run, for in a boot none is asked to stop, and points of a stop are not hit. On a slow
# machine a boot takes longer than any rest.
stop()
{
	local end stopping=''
	await 4 running
	end=$((SECONDS + 30 * PATIENCE)) stopping=1
	kill -TERM "$tallyd" 2>/dev/null
	while state && [[ $state != X ]]; do
		((SECONDS < end)) || { not_ok "$me: tallyd ends"; kill -KILL "$tallyd"; return; }
		tend
		sleep 0.1
	done
}

# difference TABLE COLUMNS SELECT: SQL for how many rows are not in both.
difference()
{
	echo "(SELECT count(*) FROM ((($3) EXCEPT ALL ($(live "$1" "$2")))
	    UNION ALL (($(live "$1" "$2")) EXCEPT ALL ($3))) x)"
}

all_equal()
{
	tend
	[[ $(sql "SELECT $differences" 2>/dev/null) == 0 ]]
}

# quietly COMMAND...: what it shows is counted only if it fails.
quietly()
{
	local before=$failed passes=$passed text
	"$@" >"$WORK/quiet"
	passed=$passes
	((failed == before)) || cat "$WORK/quiet"
}

obeyed()
{
	obeys "by_k_$me" k n
	obeys "total_$me" '' total
	obeys "balances_$me" id balance
	is "balances_$me: every commit leaves the sum of all balances as it was" \
	    "$(sql "SELECT count(*) FROM (SELECT sum(balance * diff) AS moved, min(time) OVER (ORDER BY time)
	        AS first, time FROM balances_$me GROUP BY time) t WHERE moved <> 0 AND time <> first")" 0
}

# in_topic TABLE: what the events of its topic make of it, each counted once: rows, and the sum of the last column. Of
# rows of snapshots the first of each. Beside what PostgreSQL has, it tells a loss before tallyd from one in it.
in_topic()
{
	sql "SET client_min_messages = warning; DROP TABLE IF EXISTS raw_$me; CREATE TABLE raw_$me (v text)"
	timeout 20 kcat -q -C -e -o beginning -b "$BOOTSTRAP" -t "$NAME.public.$1_$me" -f '%s\n' | grep . |
	    stack_psql -c "COPY raw_$me FROM STDIN (FORMAT csv, QUOTE E'\x02', DELIMITER E'\x01')"
	sql "SELECT coalesce(sum(n), 0) || ' rows, sum ' || coalesce(sum(x), 0) FROM (
	    SELECT DISTINCT p #> '{source,txId}', CASE WHEN p ->> 'op' <> 'r' THEN p #> '{source,lsn}' END, p -> 'before', p -> 'after',
	        (jsonb_typeof(p -> 'after') = 'object')::int - (jsonb_typeof(p -> 'before') = 'object' OR p ->> 'op' IN ('u', 'd'))::int AS n,
	        coalesce((p #>> '{after,value}')::bigint, 0) - coalesce((p #>> '{before,value}')::bigint, 0) AS x
	    FROM (SELECT v::jsonb -> 'payload' AS p FROM raw_$me) r) d"
}

# standing: in one line, how many rows differ in all, what PostgreSQL has and what the topics, where the target
# stands, and what tallyd did last.
standing()
{
	local name stands=''
	for name in items vals accounts; do
		stands+="; $name: $(sql "SELECT count(*) FROM ${name}_$me") rows, in its topic $(in_topic $name 2>&1 | tr '\n' ' ')"
		stands+="up to $(topic_end "$NAME.public.${name}_$me")"
	done
	echo "$(sql "SELECT $differences" 2>&1 | tr '\n' ' ')rows differ, $pending rules to come$stands;" \
	    "sum(value) $(sql "SELECT sum(value) FROM vals_$me");" \
	    "$(grep event=source.gap "$WORK/tallyd.log" | tail -n 1);" \
	    "$(sql "SELECT 'batch ' || batch || ', ' || coalesce(position::text, '') FROM tallyd.pipeline
	        WHERE name = '${NAME}_$me'" 2>&1 | tr '\n' ' ');" \
	    "$(tail -n 1 "$WORK/tallyd.log")"
}

# verify: while rules happen, it takes its time.
verify()
{
	local left='' end=0
	until all_equal; do
		count_pending
		[[ $pending == "$left" ]] || end=$((SECONDS + 30 * PATIENCE))
		left=$pending
		((SECONDS < end)) || { not_ok "$me: the outputs are PostgreSQL's answer: $(standing)"; break; }
		sleep 0.2
	done
	quietly obeyed
	verified=$((verified + 1))
}

first_start()
{
	stop
	sql "DELETE FROM tallyd.pipeline WHERE name = '${NAME}_$me';
	    TRUNCATE by_k_$me, total_$me, balances_$me" 2>/dev/null
	start
}

cut()
{
	sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	    WHERE application_name = 'tallyd/${NAME}_$me'" >/dev/null
}

# count_pending: in $pending, how many of the rules have not happened. Rules that have leave the list.
count_pending()
{
	local rule left=()
	for rule in "${waited[@]}"; do
		happened "$rule" || left+=("$rule")
	done
	waited=("${left[@]}")
	pending=${#waited[@]}
}

happened() # RULE
{
	local name=${1#*/}
	[[ -e $WORK/once.${name//:/.} ]]
}

# worker NAME TURN RING_BYTES ALWAYS: the rules come on standard input; TURN is what it does again
# and again; rules ALWAYS happen in every process.
worker()
{
	local turns=0 end=$((SECONDS + limit)) left='' stopping='' verified=0 began=$SECONDS
	me=$1
	mapfile -t mine
	waited=("${mine[@]}")
	WORK=$WORK/$me
	mkdir -p -m 700 "$WORK" "$WORK/run"
	export RUNTIME_DIRECTORY=$WORK/run TALLYD_FAULT TALLYD_FAULT_ONCE=$WORK/once
	TALLYD_FAULT=$(IFS=,; echo "${mine[*]}")${4:+,$4}
	worker_pipeline "$3"
	# A checkpoint is no silence.
	[[ $2 != turn_idle ]] || sed -i 's/^SET checkpoint_interval_ms.*/SET checkpoint_interval_ms = 3600000;/' "$WORK/pipeline.sql"
	differences=$(
		difference "by_k_$me" k,n "SELECT k, count(*) AS n FROM items_$me GROUP BY k"
		echo +
		difference "total_$me" total "SELECT sum(value) AS total FROM vals_$me"
		echo +
		difference "balances_$me" id,balance "SELECT id, balance FROM accounts_$me"
	)
	start
	while count_pending && ((pending > 0 && SECONDS < end)); do
		[[ $pending == "$left" ]] || ((end > SECONDS + limit / 2)) || end=$((SECONDS + limit / 2))
		left=$pending
		$2
		turns=$((turns + 1))
		((turns % 5 > 0)) || verify
	done
	verify
	for rule in "${mine[@]}"; do
		happened "$rule" && ok "$rule happens" || not_ok "$rule happens"
	done
	stop
	ok "$me: $verified times the outputs were PostgreSQL's answer, and at every time whole"
	echo "$me: ${#mine[@]} rules, $turns turns, $((SECONDS - began)) s," \
	    "$(grep -c event=stage.death "$WORK/tallyd.log") deaths, $(grep -c event=stage.hang "$WORK/tallyd.log") hung"
	echo "$me: CPU $(times | tr '\n' ' ')"
	((failed == 0)) || tail -n 150 "$WORK/tallyd.log"
	echo "$passed $failed" >"$WORK/count"
}

turn_busy()
{
	load_small
	((turns % 2)) || load_large
	rest 6
	case $((turns % 4)) in
	1) cut ;;
	2) stop && start ;;
	3) first_start ;;
	esac
	rest 3
}

turn_recoveries() # the supervisor's own points: full recoveries in one life of it
{
	load_small
	rest 3
	for _ in 1 2; do
		kill -KILL "$(stage_pid reduce)" 2>/dev/null
		rest 6
	done
	((turns % 2)) || { stop && start; }
}

turn_calm() # a process lives for long
{
	load_small
	rest 12
}

turn_copy()
{
	load_large
	rest 4
	((turns % 4)) || cut
}

turn_views() # views come and go by reload
{
	load_small
	cp "$WORK/pipeline.sql" "$WORK/without.sql"
	sql "TRUNCATE low_$me, high_$me, all_$me"
	cat >>"$WORK/pipeline.sql" <<-END
		CREATE MATERIALIZED VIEW low_$me AS SELECT k, min(id) AS low FROM items_$me GROUP BY k;
		CREATE MATERIALIZED VIEW high_$me AS SELECT k, max(id) AS high FROM items_$me GROUP BY k;
		CREATE MATERIALIZED VIEW all_$me AS SELECT count(*) AS n FROM items_$me;
	END
	kill -HUP "$tallyd" 2>/dev/null
	rest 8
	load_small
	rest 3
	mv "$WORK/without.sql" "$WORK/pipeline.sql"
	kill -HUP "$tallyd" 2>/dev/null
	load_small
	rest 5
}

turn_rebuild() # all views, while it runs
{
	load_small
	rest 5
	timeout 10 "$BIN/tallyd" rebuild "$WORK/pipeline.sql" >>"$WORK/rebuild.log" 2>&1
	rest 3
}

turn_idle() # so that there are pings
{
	load_small
	rest 100
}

# ---- for a test ------------------------------------------------------------------------------

workers=()
open_workers() # NAME...
{
	local name captured=()
	own_database
	sql "$(for name; do tables "$name"; done)"
	for name; do
		captured+=("public.items_$name" "public.vals_$name" "public.accounts_$name")
	done
	stack_connector "$NAME" "${captured[@]}" >/dev/null || not_ok 'connector'
	connector_settles
}

start_worker() # NAME TURN RING_BYTES ALWAYS ACTIONS PATTERN [BUT]
{
	[[ -z ${ONLY-} || " $ONLY " == *" $1 "* ]] || return 0
	workers+=("$1")
	(
		trap - EXIT
		passed=0 failed=0
		points | grep -E "$6" | grep -vE "${7:-^$}" | rules "$5" >"$WORK/$1.rules"
		worker "$1" "$2" "$3" "$4" <"$WORK/$1.rules" >"$WORK/$1.out" 2>&1
		cat "${WORK%/*}/$1.out" # in one piece, and although others may be cut short
	) &
}

close_workers() # PATTERN [BUT]: every point of these that can be hit had a worker
{
	local name p f
	wait
	for name in "${workers[@]}"; do
		read -r p f <"$WORK/$name/count" || { not_ok "worker $name ends"; p=0 f=0; }
		passed=$((passed + p)) failed=$((failed + f))
	done
	[[ -z ${ONLY-} ]] || return 0
	is 'every point that can be hit has rules' "$(comm -3 \
	    <(points | grep -E "$1" | grep -vE "${2:-^$}" | while read -r point; do possible "$point" 1 && echo "$point"; done) \
	    <(cat "$WORK"/*.rules | sed 's/:.*//' | sort -u))" ''
}
