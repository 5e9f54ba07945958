# Deaths of egress and ingest while history is replayed: before and after CUT, one alone, both, one
# that has just replaced another. They are replaced alone, and every end is PostgreSQL's answer.
# History is what came after the one checkpoint, and stays that: tallyd is killed each time.
. "$(dirname "$0")/lib.sh"
BIN=$ROOT/build/fault
own_database
sql 'CREATE TABLE items (id integer PRIMARY KEY, k integer);
    CREATE TABLE by_k (k integer, n bigint, time bigint, diff integer);
    INSERT INTO items SELECT i, i % 7 FROM generate_series(1, 50) i;
    INSERT INTO "values" VALUES (1), (2)'
stack_connector "$NAME" public.items public.values >/dev/null || not_ok 'connector'
# A small ring, so that history does not fit, nor does a batch of many groups. Two servers: history
# ends when both have sent CUT.
pipeline <<END
SET ring_bytes = 65536;
SET checkpoint_interval_ms = 3600000;
CREATE FOREIGN TABLE items (id integer PRIMARY KEY, k integer)
  SERVER kafka OPTIONS (topic '$NAME.public.items');
CREATE SERVER other FOREIGN DATA WRAPPER debezium
  OPTIONS ("bootstrap.servers" '$BOOTSTRAP', transaction_topic '$NAME.transaction');
CREATE FOREIGN TABLE "values" (value integer NOT NULL)
  SERVER other OPTIONS (topic '$NAME.public.values');
CREATE MATERIALIZED VIEW by_k AS SELECT k, count(*) AS n FROM items GROUP BY k;
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END

all_equal()
{
	same_answer by_k k,n 'SELECT k, count(*) AS n FROM items GROUP BY k' &&
	    same_answer sum_table sum 'SELECT sum(value)::real AS sum FROM "values"'
}

# pids STAGE: all of them, one a line.
pids()
{
	local pid
	for pid in $(cat "/proc/$tallyd/task/$tallyd/children" 2>/dev/null); do
		[[ $(cat "/proc/$pid/comm" 2>/dev/null) != tallyd-"$1" ]] || echo "$pid"
	done
}

# stopped STAGE: one of its processes that a fault has stopped.
stopped()
{
	local pid
	for pid in $(pids "$1"); do
		! grep -qs '^State:[[:space:]]*T' "/proc/$pid/status" || { echo "$pid"; return; }
	done
	return 1
}

# replaced STAGE OLD...: all of these have successors that are ready, and nobody else is new.
replaced()
{
	local stage=$1 new pid
	shift
	new=$(pids "$stage")
	(($(wc -w <<<"$new") == $(wc -w <<<"${before[$stage]}"))) || return 1
	for pid; do
		! grep -qx "$pid" <<<"$new" || return 1
	done
	for pid in $new; do
		grep -qx "$pid" <<<"${before[$stage]}" ||
		    grep -q "event=stage.ready.* pid=$pid " "$WORK/$run.log" || return 1
	done
}

# begin RUN RULE...: start with these faults, each of which happens once.
begin()
{
	run=$1
	shift
	export TALLYD_FAULT TALLYD_FAULT_ONCE=$WORK/$run
	TALLYD_FAULT=$(IFS=,; echo "$*")
	tallyd_start "$run"
}

# end: the answer is right.
end()
{
	await 25 all_equal && ok "$run: equal" || not_ok "$run: equal"
	tallyd_stop KILL
}

has_checkpoint()
{
	[[ $(sql "SELECT checkpoint IS NOT NULL FROM tallyd.pipeline WHERE name = '$NAME'" 2>/dev/null) == t ]]
}

next=50
load() # [GROUPS]: small commits, and one of so many groups
{
	local i
	for i in {1..4}; do
		sql "INSERT INTO items SELECT $next + i, i % 7 FROM generate_series(1, 20) i;
		    UPDATE \"values\" SET value = value + 1 WHERE value = $i;
		    INSERT INTO \"values\" VALUES ($i)"
		next=$((next + 20))
	done
	sql "INSERT INTO items SELECT $next + i, $next + i FROM generate_series(1, ${1-400}) i"
	next=$((next + ${1-400}))
}

export TALLYD_FAULT=''
tallyd_start first
await 20 has_checkpoint || not_ok 'a first checkpoint'
load 3000
await 30 all_equal && ok 'the history is made' || not_ok 'the history is made'
tallyd_stop KILL

# ---- alone -----------------------------------------------------------------------------------

declare -A before
note_pids() # STAGE: what runs, while this one is stopped in mid-replay
{
	local stage
	await 10 stopped "$1" >/dev/null || not_ok "$run: $1 is stopped"
	# A death before all were ready once would be another story: a full recovery.
	await 10 log_has "$run" event=recovery.done || not_ok "$run: all are ready"
	victim=$(stopped "$1")
	for stage in egress reduce ingest; do
		before[$stage]=$(pids "$stage")
	done
}

same_as_before() # STAGE...
{
	local stage
	for stage; do
		is "$run: $stage runs on" "$(pids "$stage")" "${before[$stage]}"
	done
	is "$run: no full recovery" "$(grep -c event=recovery.full "$WORK/$run.log")" 0
}

begin egress_in_replay ingest.before_change:1500:stop
note_pids ingest
kill -KILL ${before[egress]}
await 10 replaced egress ${before[egress]} || not_ok "$run: replaced"
same_as_before reduce ingest
kill -CONT "$victim"
end

begin egress_twice_in_replay ingest.before_change:1500:stop egress.after_takeover:1:kill
once=$WORK/$run.egress.after_takeover.1.kill
: >"$once" # not the first one
note_pids ingest
rm "$once"
kill -KILL ${before[egress]}
await 10 test -e "$once" || not_ok "$run: again before READY"
await 10 replaced egress ${before[egress]} || not_ok "$run: replaced"
same_as_before reduce ingest
kill -CONT "$victim"
load 10
end

# Its first two successors die too, while they read its token. The third goes on in mid-replay, which
# `status` shows, and is stopped there as its predecessor was.
begin ingest_in_replay ingest.before_change:1500:stop ingest.load:1:kill order.load:1:kill
note_pids ingest
once=$WORK/$run.ingest.before_change.1500.stop
rm "$once"
kill -KILL "$victim"
await 10 replaced ingest "$victim" || not_ok "$run: replaced"
await 10 test -e "$once" || not_ok "$run: goes on in the replay"
await 20 stopped ingest >/dev/null || not_ok "$run: is stopped there"
contains "$run: status shows the replay" "$("$BIN/tallyd" status "$NAME" | grep "^ingest.*$(stopped ingest)")" replay
kill -CONT "$(stopped ingest)"
same_as_before egress reduce
end

begin both_in_replay ingest.before_change:1500:stop
note_pids ingest
kill -KILL ${before[egress]} ${before[ingest]}
await 10 replaced egress ${before[egress]} || not_ok "$run: egress is replaced"
await 10 replaced ingest ${before[ingest]} || not_ok "$run: ingest is replaced"
same_as_before reduce
load 10
end

# Both CUTs are in the rings and in the tokens, but reduce has not seen the second.
begin ingest_after_cut reduce.cut:1:stop
note_pids reduce
kill -KILL ${before[ingest]} ${before[egress]}
await 10 replaced ingest ${before[ingest]} || not_ok "$run: ingest is replaced"
await 10 replaced egress ${before[egress]} || not_ok "$run: egress is replaced"
same_as_before reduce
kill -CONT "$victim"
load 10
end

# Ingest fills the ring of a reduce that stands still.
begin ingest_without_room reduce.change:10:stop ingest.wait_room:1:kill
await 10 test -e "$WORK/$run.ingest.wait_room.1.kill" || not_ok "$run: waits for room"
# It may have waited for a reduce that had not come so far; one that a full recovery has replaced never stops.
await 20 eval 'stopped reduce >/dev/null || log_has "$run" event=recovery.full' || not_ok "$run: reduce is stopped"
victim=$(stopped reduce)
[[ -z $victim ]] || kill -CONT "$victim"
end

is 'there was one checkpoint' "$(sql "SELECT checkpoint FROM tallyd.pipeline WHERE name = '$NAME'")" 1
obeys by_k k n
obeys sum_table '' sum
