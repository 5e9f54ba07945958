# A tallyd whose host stands still with a commit begun: one that stands by elsewhere takes over within
# the time that the README states, and the stopped one, when it goes on, writes nothing: its next
# word is refused, it begins anew and stands by. At each place of a commit where it may stand: inside
# COPY, after the compare-and-set with the transaction open, before and after the one statement. And a
# holder that is killed, or stopped by its user, is followed at once.
. "$(dirname "$0")/lib.sh"
BIN=$ROOT/build/fault
own_database
names=(copy begun small large sent locked gone usurped)
captured=()
for name in "${names[@]}"; do
	captured+=("public.items_$name")
	sql "CREATE TABLE items_$name (id integer PRIMARY KEY, k text);
	    INSERT INTO items_$name SELECT i, i % 5 FROM generate_series(-10, -1) i;
	    CREATE TABLE by_k_$name (k text, n bigint, time bigint, diff integer)"
done
stack_connector "$NAME" "${captured[@]}" >/dev/null || not_ok 'connector'

# ---- each with a pipeline of its own, all at the same time -----------------------------------

next=0
load() # ROWS [WIDTH]
{
	sql "INSERT INTO items_$me SELECT $next + i, rpad('k' || ($next + i) % 3000, ${2-1}, 'x')
	    FROM generate_series(1, $1) i"
	next=$((next + $1))
}
load_small() { load 10; }
load_large() { load 2000 200; }
load_locked() # the statement waits in the server when its sender is stopped
{
	sql "BEGIN; LOCK TABLE by_k_$me; SELECT pg_sleep(3); COMMIT" >/dev/null &
	await 20 locked || not_ok "$me: its table is locked"
	load 10
}
locked()
{
	[[ $(sql "SELECT count(*) FROM pg_locks WHERE relation = 'by_k_$me'::regclass AND granted
	    AND mode = 'AccessExclusiveLock'") == 1 ]]
}

owner()
{
	sql "SELECT owner FROM tallyd.pipeline WHERE name = '${NAME}_$me'"
}

equal() # TEXT
{
	comes_equal "$me: $1" "by_k_$me" k,n "SELECT k, count(*) AS n FROM items_$me GROUP BY k"
}

# host NAME [RULE]: a tallyd in a runtime folder of its own, its pid in $tallyd.
host()
{
	mkdir -m 700 "$WORK/run_$1"
	RUNTIME_DIRECTORY=$WORK/run_$1 TALLYD_FAULT=${2-} TALLYD_FAULT_ONCE=$WORK/once tallyd_start "$1"
}

open_pair() # [RULE]: one that holds the pipeline, one that stands by
{
	local ring=262144
	WORK=$WORK/$me
	# COPY hands on what it has when the batch fills half the ring, which comes 10 KiB after its own piece is full.
	[[ ${1-} != egress.in_copy:* ]] || ring=1048576
	mkdir -m 700 "$WORK"
	pipeline <<-END
		SET ring_bytes = $ring;
		CREATE FOREIGN TABLE items_$me (id integer PRIMARY KEY, k text)
		  SERVER kafka OPTIONS (topic '$NAME.public.items_$me');
		CREATE MATERIALIZED VIEW by_k_$me AS SELECT k, count(*) AS n FROM items_$me GROUP BY k;
	END
	sed -i "s/^SET pipeline = .*/SET pipeline = '${NAME}_$me';/" "$WORK/pipeline.sql"
	# The rule is for what comes after the snapshot.
	host warm
	equal 'the first rows'
	tallyd_stop
	host first "${1-}"
	first=$tallyd
	await 20 log_has first event=recovery.done || not_ok "$me: the first is ready"
	host second
	second=$tallyd
	await 20 log_has second event=stage.standby || not_ok "$me: the second stands by"
	# What one loads moves the others' position too, which is saved after ten seconds: by a commit, and the
	# rule would be for that one, before the second stands by. So all load when all are there.
	touch "$counts/opened_$me"
	await 60 all_opened || not_ok "$me: all pairs are there"
}

all_opened()
{
	local opened=("$counts"/opened_*)
	((${#opened[@]} == ${#names[@]}))
}

# fence NAME RULE LOAD
fence()
{
	local rule=$2 first second tree since took owner
	me=$1
	open_pair "$rule"
	$3
	await 20 test -e "$WORK/once.$(tr : . <<<"$rule")" ||
	    not_ok "$me: $rule happens; held by $(owner), the first says $(tail -n 2 "$WORK/first.log")"
	tree="$first $(cat "/proc/$first/task/$first/children")"
	kill -STOP $tree
	since=$(stack_now_ms)
	await 30 log_has second event=target.taken || not_ok "$me: the second takes over"
	took=$(($(stack_now_ms) - since))
	((took < 20000)) && ok "$me: taken over after $took ms" || not_ok "$me: taken over after $took ms"
	load_small
	equal 'the second'
	owner=$(owner)
	kill -CONT $tree
	load_small
	await 20 log_has first event=recovery.full && ok "$me: the first begins anew" ||
	    not_ok "$me: the first begins anew"
	await 20 log_has first event=stage.standby && ok "$me: and stands by" || not_ok "$me: and stands by"
	equal 'the second goes on'
	is "$me: the first has not taken over again" "$(owner)" "$owner"
	is "$me: nor written" "$(grep -c event=target.taken "$WORK/first.log")" 1
	tallyd_stop TERM "$second"
	load_small
	equal 'the first again, now that the second is gone'
	obeys "by_k_$me" k n
	tallyd_stop TERM "$first"
}

# A holder that is gone is followed at once. A machine may stand still for longer than that, but hardly
# each time: one of three must be fast.
gone()
{
	local first second since took standby=second follower
	me=gone
	open_pair
	for follower in third fourth ''; do
		since=$(stack_now_ms)
		kill -KILL "$first"
		await 10 log_has "$standby" event=target.taken || not_ok "killed: the $standby takes over"
		took=$(($(stack_now_ms) - since))
		((took >= 3000)) && [[ -n $follower ]] || break
		echo "killed: taken over after $took ms; once more"
		await 20 log_has "$standby" event=recovery.done || not_ok "killed: the $standby is ready"
		first=$second standby=$follower
		host "$standby"
		second=$tallyd
		await 20 log_has "$standby" event=stage.standby || not_ok "killed: the $standby stands by"
	done
	((took < 3000)) && ok "killed: taken over after $took ms" || not_ok "killed: taken over after $took ms"
	load_small
	equal 'the second, after a kill'
	obeys "by_k_$me" k n
	tallyd_stop TERM "$second"
}

# The epoch alone: the session lives and holds the lock, and yet another has taken over. In the one
# statement and in COPY.
usurped()
{
	local load before
	me=usurped
	open_pair
	tallyd_stop KILL "$second"
	for load in load_small load_large; do
		before=$(grep -c event=target.fenced "$WORK/first.log")
		sql "UPDATE tallyd.pipeline SET epoch = epoch + 1, owner = 'another' WHERE name = '${NAME}_$me'"
		$load
		await 20 eval '(($(grep -c event=target.fenced "$WORK/first.log") > before))' &&
		    ok "$me: $load is refused" || not_ok "$me: $load is refused"
		equal "$load, after a recovery"
	done
	obeys "by_k_$me" k n
	tallyd_stop TERM "$first"
}

# beside COMMAND...: in a process of its own, its counts in a file.
workers=0
beside()
{
	local number=$((++workers))
	(
		trap - EXIT
		passed=0 failed=0
		"$@"
		((failed == 0)) || tail -n 30 "$WORK"/*.log
		echo "$passed $failed" >"$counts/count$number"
	) >"$WORK/out$number" 2>&1 &
}

counts=$WORK
beside fence copy egress.in_copy:1:stop load_large
beside fence begun egress.copying:1:stop load_large
beside fence large egress.before_commit:1:stop load_large
beside fence small egress.before_commit:1:stop load_small
beside fence sent egress.commit_sent:1:stop load_small
beside fence locked egress.commit_sent:1:stop load_locked
beside gone
beside usurped
wait
for ((i = 1; i <= workers; i++)); do
	cat "$WORK/out$i"
	read -r p f <"$WORK/count$i" || { not_ok "worker $i ends"; p=0 f=0; }
	passed=$((passed + p)) failed=$((failed + f))
done
contains 'inside COPY the second ends what stands still' "$(cat "$WORK"/copy/second.log)" event=target.stalled
