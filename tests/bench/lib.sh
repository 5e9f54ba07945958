# lib.sh - for the parts of the bench: servers, tallyd on them, what it used, and a section of the results.
#
# A part is a script tests/bench/PART.sh that sources this file and calls bench_begin first. It writes its section
# of the results to build/bench/PART.md by bench_section, bench_goal and bench_text; a missed goal is a line there. It fails
# only when it could not measure, or when tallyd's answer is not PostgreSQL's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
QUICK=${QUICK-}
# Kafka with all compilers of the JVM, and the heap that its own script gives it (a small one is collected once
# a second), but a collector that needs no processor of its own. The compilers take half a minute of a processor's time.
if [[ -z $QUICK ]]; then
	STACK_JAVA=${STACK_JAVA:--XX:+UseSerialGC -Xms1g -Xmx1g}
fi
. tests/stack/stack.sh

BIN=${BIN:-build/release}
BENCH=build/bench
part=$(basename "$0" .sh)
section=$BENCH/$part.md
tallyd='' # its pid
name=''   # of its pipeline
ticks=$(getconf CLK_TCK)

# by_size NORMAL QUICK: what the size of this run asks for.
by_size()
{
	if [[ -n $QUICK ]]; then echo "$2"; else echo "$1"; fi
}

bench_note()
{
	echo "$part: $*" >&2
}

bench_end()
{
	[[ -z $tallyd ]] || kill -KILL "$tallyd" 2>/dev/null || true
	stack_down
}

# bench_begin SERVER...: a stack of this part's own, a database, an empty folder $STACK/bench. PostgreSQL
# waits for its disk, as it would where it matters.
bench_begin()
{
	mkdir -p "$BENCH"
	rm -f "$section"
	stack_trap bench_end
	stack_up "$(mktemp -d "${TMPDIR:-/tmp}/tallyd-bench.XXXXXX")" "$@"
	mkdir -m 700 "$STACK/run" "$STACK/bench"
	export RUNTIME_DIRECTORY=$STACK/run
	if [[ " $* " == *' pg '* ]]; then
		export PGDATABASE=bench
		stack_database bench
		stack_superuser -c 'ALTER SYSTEM SET fsync = on' -c "ALTER SYSTEM SET max_wal_size = '8GB'" \
		    -c 'SELECT pg_reload_conf()' >/dev/null
	fi
}

# Without the notices of what was not there to be dropped.
sql()
{
	PGOPTIONS='-c client_min_messages=warning' stack_psql -c "$1"
}

# bench_produce OPTION...: of tests/bench/produce.c. What it wrote is on the disk before anything is measured.
bench_produce()
{
	"$BIN/bench-produce" --brokers "$BOOTSTRAP" "$@" >"$STACK/bench/produce.log"
	sync
}

# ---- tallyd ------------------------------------------------------------------------------------

# bench_pipeline NAME [OPTION]: standard input with both servers before it, as pipeline NAME. OPTION is
# one of server kafka.
bench_pipeline()
{
	name=$1
	{
		cat <<-END
			SET pipeline = '$1';
			CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
			  OPTIONS ("bootstrap.servers" '$BOOTSTRAP'${2:+, $2});
			CREATE SERVER target FOREIGN DATA WRAPPER postgres
			  OPTIONS (host '$PGHOST', port '$PGPORT', dbname '$PGDATABASE', "user" '$PGUSER',
			    password '$PGPASSWORD');
		END
		cat
	} >"$STACK/bench/$1.sql"
}

# TALLYD_CORE: only root would see the memory of processes without it.
bench_start()
{
	started=$EPOCHREALTIME
	TALLYD_CORE=1 "$BIN/tallyd" run "$STACK/bench/$name.sql" >"$STACK/bench/$name.log" 2>&1 </dev/null &
	tallyd=$!
}

bench_fail()
{
	bench_note "$*"
	tail -n 20 "$STACK/bench/$name.log" >&2
	exit 1
}

bench_stop()
{
	kill -TERM "$tallyd"
	wait "$tallyd" || bench_fail 'tallyd did not end well'
	tallyd=''
}

# bench_until COUNT [SECONDS]: wait until tallyd has committed what so many messages of its tables' topics say, and no
# commit has come for half a second. What is measured of the end is read later, from the rows; so this may be idle. Of
# the last messages some may be tombstones, which no commit waits for: 64 may lack, and the answer is compared.
# It is one session that looks, in the server: to start psql each time would take a tenth of what is measured.
bench_until()
{
	local looking
	sql "DO \$\$
	DECLARE state text; last text; quiet integer := 0;
	BEGIN
	    FOR i IN 1..${2:-600} * 10 LOOP
	        COMMIT;
	        PERFORM pg_sleep(0.1);
	        CONTINUE WHEN to_regclass('tallyd.pipeline') IS NULL;
	        SELECT batch || ' ' || (SELECT coalesce(sum(p::bigint), 0) FROM
	            jsonb_path_query(position, '\$.*.partitions[*].next') AS p)
	            FROM tallyd.pipeline WHERE name = '$name' AND batch > 0 INTO state;
	        IF state = last AND split_part(state, ' ', 2)::bigint >= $1 - 64 THEN
	            quiet := quiet + 1;
	        ELSE
	            quiet := 0;
	        END IF;
	        EXIT WHEN quiet >= 5;
	        last := state;
	    END LOOP;
	    ASSERT quiet >= 5, 'only ' || coalesce(state, 'nothing') || ' (batch, messages) in ${2:-600} s';
	END \$\$" &
	looking=$!
	while kill -0 "$looking" 2>/dev/null; do
		kill -0 "$tallyd" 2>/dev/null || bench_fail 'tallyd has ended'
		sleep 0.2
	done
	wait "$looking" || bench_fail 'it was not committed'
}

# The moment at which tallyd said that all stages are ready, in seconds since 1970.
ready_at()
{
	date -d "$(sed -n '/event=recovery.done/{s/^ts=\([^ ]*\) .*/\1/p;q}' "$STACK/bench/$name.log")" +%s.%N
}

bench_pids()
{
	echo "$tallyd" $(cat "/proc/$tallyd/task/$tallyd/children" 2>/dev/null)
}

# Proportional set size of all processes, kB: shared pages are counted once. bench_pss_each: of each, in words.
bench_pss()
{
	local pid
	for pid in $(bench_pids); do
		cat "/proc/$pid/smaps_rollup" 2>/dev/null || true
	done | awk '/^Pss:/ { sum += $2 } END { print sum + 0 }'
}

# bench_peak PID: the most of it until that process has ended.
bench_peak()
{
	local most=0 now
	while kill -0 "$1" 2>/dev/null; do
		now=$(bench_pss)
		((now <= most)) || most=$now
		sleep 0.1
	done
	echo "$most"
}

bench_pss_each()
{
	local pid
	for pid in $(bench_pids); do
		echo "$(<"/proc/$pid/comm") $(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")"
	done 2>/dev/null | paste -sd, | sed 's/,/, /g'
}

# CPU seconds of all processes so far, with those that have ended.
bench_cpu()
{
	{
		sed 's/.*) //' "/proc/$tallyd/stat" | awk '{ print $12 + $13 + $14 + $15 }'
		for pid in $(bench_pids); do
			[[ $pid == "$tallyd" ]] || sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'
		done
	} | awk -v ticks="$ticks" '{ sum += $1 } END { printf "%.2f\n", sum / ticks }'
}

# commits TABLE...: a row (number, first, last, longest gap in ms, last but for one that came after such a silence) of the
# commits that wrote into these tables.
# PostgreSQL notes for each transaction when it was committed. Without a transaction topic the end of the very last transaction
# is known only after autocommit_duration_ms of silence: all is caught up then, and what is waited for that is no gap.
commits()
{
	local table union=''
	for table in "$@"; do
		union+="${union:+ UNION }SELECT DISTINCT xmin::text FROM $table"
	done
	sql "SELECT count(*), extract(epoch FROM min(at)), extract(epoch FROM max(at)),
	    coalesce(round(1000 * max(gap) FILTER (WHERE later)), 0),
	    extract(epoch FROM max(at) FILTER (WHERE later OR gap < 0.09))
	    FROM (SELECT at, extract(epoch FROM at - lag(at) OVER (ORDER BY at)) AS gap,
	    lead(at) OVER (ORDER BY at) IS NOT NULL AS later
	    FROM (SELECT pg_xact_commit_timestamp(xmin::xid) AS at FROM ($union) x) c) g"
}

# same_answer TABLE COLUMNS SELECT: what is live in the table is what PostgreSQL's own SELECT says.
same_answer()
{
	local live="SELECT $2 FROM $1 GROUP BY $2 HAVING sum(diff) > 0" difference
	difference=$(sql "SELECT count(*) FROM ((($3) EXCEPT ALL ($live)) UNION ALL (($live) EXCEPT ALL ($3))) x")
	[[ $difference == 0 ]] || bench_fail "$1 is not what PostgreSQL's SELECT says, in $difference rows"
}

# ---- figures -----------------------------------------------------------------------------------

# Of standard input, a number a line.
median()
{
	sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# quantile Q: the smallest that at least this part of them does not exceed.
quantile()
{
	sort -g | awk -v q="$1" '{ v[NR] = $1 } END { i = int(q * NR); print v[i < q * NR ? i + 1 : i] }'
}

# spread FORMAT: "median (least to most)".
spread()
{
	sort -g | awk -v f="$1" '{ v[NR] = $1 } END {
	    printf f " (" f " to " f ")\n", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2, v[1], v[NR] }'
}

# calculate EXPRESSION [FORMAT]
calculate()
{
	awk "BEGIN { printf \"${2:-%.6g}\n\", ($1) }"
}

# note FILE VALUE: a run's figure. of FILE COMMAND...: what the command makes of all of them.
note()
{
	echo "$2" >>"$STACK/bench/$1"
}

of()
{
	local file=$1
	shift
	"$@" <"$STACK/bench/$file"
}

# ratio A B [FORMAT]: of the medians, and from which to which it went in single rounds (B may have more runs in each).
ratio()
{
	local of_medians format=${3:-%.2f}
	of_medians=$(calculate "$(of "$1" median) / $(of "$2" median)" "$format")
	paste "$STACK/bench/$1" <(awk -v each="$(($(wc -l <"$STACK/bench/$2") / $(wc -l <"$STACK/bench/$1")))" \
	    '{ s += $1 } NR % each == 0 { print s / each; s = 0 }' "$STACK/bench/$2") |
	    awk '{ print $1 / $2 }' | sort -g |
	    awk -v m="$of_medians" -v f="$format" '{ v[NR] = $1 } END { printf "%s (" f " to " f ")\n", m, v[1], v[NR] }'
}

# ---- the section -------------------------------------------------------------------------------

# bench_section TITLE: begin it, and its table of goals.
bench_section()
{
	printf '## %s\n\n| what | measured | goal | reached |\n|---|---|---|---|\n' "$1" >"$section"
}

# bench_goal WHAT MEASURED GOAL [CONDITION]: a line of the table; CONDITION is an expression of numbers. Without
# one there is no goal.
bench_goal()
{
	local reached=''
	[[ -z ${4-} ]] || reached=$(awk "BEGIN { print ($4) ? \"yes\" : \"no\" }")
	echo "| $1 | $2 | $3 | $reached |" >>"$section"
	bench_note "$1: $2${3:+ (goal $3${reached:+: $reached})}"
}

# bench_text: standard input, after the table.
bench_text()
{
	{ echo; cat; } >>"$section"
}
