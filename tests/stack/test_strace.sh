# Every system call of egress's commit path fails, is late, or is its last: strace lists those of one
# commit, then each of them in turn is given errors, EINTR, a delay, and SIGKILL, in the one statement
# of a small batch and in COPY. After each the output is PostgreSQL's answer.
. "$(dirname "$0")/lib.sh"
export TALLYD_BACKOFF_MS=50 TALLYD_CORE=1
most=6 # of one call in one commit, that many are tried
own_database
for path in statement copy; do
	sql "CREATE TABLE items_$path (id integer PRIMARY KEY, k text);
	    CREATE TABLE by_k_$path (k text, n bigint, time bigint, diff integer);
	    INSERT INTO items_$path SELECT i, i % 5 FROM generate_series(-10, -1) i"
done
stack_connector "$NAME" public.items_statement public.items_copy >/dev/null || not_ok 'connector'

equal()
{
	same_answer "by_k_$path" k,n "SELECT k, count(*) AS n FROM items_$path GROUP BY k"
}

next=0
load_statement()
{
	sql "INSERT INTO items_statement SELECT $next + i, i % 5 FROM generate_series(1, 5) i"
	next=$((next + 5))
}

load_copy() # more than a quarter of the ring
{
	sql "INSERT INTO items_copy SELECT $next + i, rpad('k' || ($next + i), 200, 'x') FROM generate_series(1, 100) i"
	next=$((next + 100))
}

# attached: strace follows egress; or it has ended, for that egress was just about to.
attached()
{
	grep -qsE "^TracerPid:[[:space:]]+$strace\$" "/proc/$egress/status" ||
	    [[ -z $(stack_started_at "$strace") ]]
}

# trace [OPTION...]: strace follows egress, from here to `untrace`, into $WORK/trace.
trace()
{
	local egress='' _
	for _ in 1 2 3 4 5; do
		await 20 eval 'egress=$(stage_pid egress); [[ -n $egress ]]'
		rm -f "$WORK/trace"
		strace -f -qq -o "$WORK/trace" "$@" -p "$egress" 2>"$WORK/strace.log" &
		strace=$!
		await 5 attached
		[[ -z $(stack_started_at "$strace") ]] || return 0
		sleep 0.2
	done
	not_ok "$path: strace may follow egress: $(cat "$WORK/strace.log")"
	return 1
}

untrace()
{
	kill -TERM "$strace" 2>/dev/null
	wait "$strace" 2>/dev/null
}

struck()
{
	grep -qE 'INJECTED|DELAYED|killed by SIGKILL' "$WORK/trace"
}

# inject CALL NUMBER HOW
inject()
{
	local name="$path: $1 $2: $3" _
	trace -e "trace=$1" -e "inject=$1:$3:when=$2" || return
	# Not every commit makes as many calls as the one that was counted: then the next one does.
	for _ in 1 2 3 4; do
		"load_$path"
		! await 2 struck || break
	done
	struck || not_ok "$name: happens"
	untrace
	# libpq tells of a send that failed when it reads, and a socket that is reset can be read from:
	# this one is as well as before.
	[[ $1/$3 != sendto/error=ECONNRESET ]] || sql "SELECT pg_terminate_backend(pid)
	    FROM pg_stat_activity WHERE application_name = 'tallyd/${NAME}_$path'" >/dev/null
	cases=$((cases + 1))
	await 30 equal || not_ok "$name: the output is PostgreSQL's answer"
}

ways() # CALL: what it may be given
{
	echo signal=KILL delay_exit=30000 error=EINTR
	case $1 in
	sendto | recvfrom) echo error=ECONNRESET ;;
	poll) echo error=ENOMEM ;;
	*) echo error=EIO ;;
	esac
}

# every PATH: each system call of such a commit, each time that it is made.
every()
{
	local call times n how cases=0
	path=$1
	WORK=$WORK/$path
	mkdir -m 700 "$WORK" "$WORK/run"
	export RUNTIME_DIRECTORY=$WORK/run
	pipeline <<-END
		SET ring_bytes = 65536;
		SET checkpoint_interval_ms = 600000;
		CREATE FOREIGN TABLE items_$path (id integer PRIMARY KEY, k text)
		  SERVER kafka OPTIONS (topic '$NAME.public.items_$path');
		CREATE MATERIALIZED VIEW by_k_$path AS SELECT k, count(*) AS n FROM items_$path GROUP BY k;
	END
	sed -i "s/^SET pipeline = .*/SET pipeline = '${NAME}_$path';/" "$WORK/pipeline.sql"
	tallyd_start
	"load_$path"
	await 30 equal || not_ok "$path: the first commits"
	"load_$path" # from here on the statement is prepared
	await 30 equal || not_ok "$path: the first commits"
	trace || return
	"load_$path"
	await 20 equal || not_ok "$path: the dry run"
	sleep 0.2
	untrace
	# Without what strace itself makes egress do, and the heap's growth, which few commits need.
	sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$WORK/trace" |
	    grep -vxE 'restart_syscall|rt_sigreturn|brk|mmap|munmap' | sort | uniq -c >"$WORK/calls"
	contains "$path: what a commit calls" "$(cat "$WORK/calls")" sendto
	while read -r times call; do
		for ((n = 1; n <= times && n <= most; n++)); do
			for how in $(ways "$call"); do
				inject "$call" "$n" "$how"
			done
		done
	done <"$WORK/calls"
	((failed > 0)) || ok "$path: $cases faults in $(tr -s ' \n' ' ' <"$WORK/calls"): always PostgreSQL's answer"
	obeys "by_k_$path" k n
	tallyd_stop
}

for path in statement copy; do
	(
		trap - EXIT
		every "$path" >"$WORK/$path.out" 2>&1
		((failed == 0)) || tail -n 40 "$WORK/tallyd.log" >>"${WORK%/*}/$path.out"
		echo "$passed $failed" >"$WORK/count"
		cat "${WORK%/*}/$path.out"
	) &
done
wait
for path in statement copy; do
	read -r p f <"$WORK/$path/count" || { not_ok "$path: to the end"; p=0 f=0; }
	passed=$((passed + p)) failed=$((failed + f))
done
