#!/usr/bin/env bash
#
# peers.sh - the worked example in Pathway (peers.py) beside tallyd, in turns, from the same topics.
#
#   ROWS=300000 ROUNDS=3 DURATION=10 tests/bench/peers.sh
#
# On request only: make bench-peers. Pathway comes from PyPI (tests/setup.sh peers). It runs as it comes: one worker, no
# persistence, the 100 ms of the worked example between its commits; for latency also 1 ms.
#
# Rates go from exec to PostgreSQL's commit of the last row, and without the start: tallyd's from ready, Pathway's from
# the call of pw.run(). Memory is sampled in runs of its own, for looking takes CPU time. tallyd's answer must be right, else
# the bench fails; whether Pathway's was is a line of the results.
. "$(dirname "$0")/lib.sh"

ROWS=${ROWS:-$(by_size 300000 20000)}
ROUNDS=${ROUNDS:-$(by_size 3 1)}
DURATION=${DURATION:-$(by_size 10 2)}
RATE=100
PYTHON=build/peers/bin/python
runs=0

if [[ ! -x $PYTHON ]] || ! version=$("$PYTHON" -c 'import pathway; print(pathway.__version__)' 2>"$BENCH.error"); then
	bench_note "no Pathway that runs in ${PYTHON%/bin/python}; 'tests/setup.sh peers' installs it" \
	    "$(tail -n 1 "$BENCH.error" 2>/dev/null || true)"
	exit 1
fi
rm -f "$BENCH.error"

# ---- the two -----------------------------------------------------------------------------------

# begin WHO TOPIC [OPTION]: over an empty sum_table. WHO is tallyd, or pathway_ and its milliseconds; OPTION is one of
# tallyd's server kafka. What lib.sh measures and ends is then that one.
begin()
{
	runs=$((runs + 1))
	sql 'DROP TABLE IF EXISTS sum_table;
	    CREATE TABLE sum_table (sum bigint, time bigint, diff integer);
	    CREATE INDEX ON sum_table (time DESC, diff DESC)'
	if [[ $1 == tallyd ]]; then
		bench_pipeline "peers_$runs" "${3-}" <<-END
			CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$2');
			CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
		END
		bench_start
	else
		name=peers_$runs
		started=$EPOCHREALTIME
		"$PYTHON" tests/bench/peers.py "$2" "${1#*_}" >"$STACK/bench/$name.log" 2>&1 </dev/null &
		tallyd=$!
	fi
}

end() # WHO
{
	if [[ $1 == tallyd ]]; then
		bench_stop
	else
		kill -TERM "$tallyd"
		wait "$tallyd" 2>/dev/null || true
		tallyd=''
	fi
}

# In $answer, the rows that are live, once they are the sum, or have stood for 20 s, with nothing new for half
# a second.
until_sum() # SUM
{
	local state last='' since=$SECONDS quiet=0
	while ((quiet < 5)); do
		kill -0 "$tallyd" 2>/dev/null || bench_fail "$name has ended"
		((SECONDS - since < 120)) || bench_fail "$name commits nothing"
		sleep 0.1
		state=$(sql "SELECT (SELECT count(*) FROM sum_table) || ' ' || string_agg(sum::text, ' ')
		    FROM (SELECT sum FROM sum_table GROUP BY sum HAVING sum(diff) > 0) live")
		if [[ $state != "$last" ]]; then
			since=$SECONDS quiet=0
		elif [[ ${state#* } == "$1" || (-n $state && $((SECONDS - since)) -ge 20) ]]; then
			quiet=$((quiet + 1))
		fi
		last=$state
	done
	answer=${state#* }
}

# The moment from which it does nothing but its work.
running_at() # WHO
{
	if [[ $1 == tallyd ]]; then
		ready_at
	else
		sed -n 's/^run=\([0-9.]*\) .*/\1/p' "$STACK/bench/$name.log"
	fi
}

# ---- runs --------------------------------------------------------------------------------------

judge() # WHO SUM
{
	note "$1.right" "$([[ $answer == "$2" ]] && echo 1 || echo 0)"
	[[ $answer == "$2" || $1 != tallyd ]] || bench_fail "the sum is $2, not $answer"
	[[ $answer == "$2" ]] || bench_note "$1: the sum is $2, not $answer"
}

run_rate() # WHO
{
	local number first last gap cpu begun
	begin "$1" "$topic"
	until_sum "$sum"
	cpu=$(bench_cpu)
	judge "$1" "$sum"
	IFS='|' read -r number first last gap _ < <(commits sum_table)
	note "$1.rate" "$(calculate "$ROWS / ($last - $started)")"
	note "$1.ready" "$(calculate "$ROWS / ($last - $(running_at "$1"))")"
	note "$1.start" "$(calculate "$(running_at "$1") - $started")"
	note "$1.cpu" "$(calculate "$cpu * 1000000 / $ROWS")"
	begun=$(sed -n 's/^run=.* cpu=//p' "$STACK/bench/$name.log")
	note "$1.work_cpu" "$(calculate "($cpu - ${begun:-0}) * 1000000 / $ROWS")"
	note "$1.commits" "$number"
	end "$1"
	bench_note "$1: $(of "$1.rate" tail -n 1)/s, $cpu s CPU, $number commits, $gap ms at most between them"
}

run_memory() # WHO
{
	local most
	begin "$1" "$topic"
	{
		until_sum "$sum"
		echo "$answer" >"$STACK/bench/answer"
	} &
	most=$(bench_peak "$!")
	wait "$!"
	answer=$(<"$STACK/bench/answer")
	judge "$1" "$sum"
	note "$1.pss" "$(calculate "$most / 1024")"
	end "$1"
	bench_note "$1: $(of "$1.pss" tail -n 1) MiB at most"
}

# Each goes on where the one before it stopped: it must have caught up with that before new events come.
run_latency() # WHO
{
	local bench=("$BIN/bench-latency" run --brokers "$BOOTSTRAP" --topic latency.public.values --schema
	    --transaction-topic latency.transaction --rate "$RATE") field
	begin "$1" latency.public.values "transaction_topic 'latency.transaction'"
	((sent == 0)) || until_sum "$sent"
	"${bench[@]}" --seconds 1 >/dev/null
	"${bench[@]}" --seconds "$DURATION" >"$STACK/bench/window"
	sent=$((sent + RATE * (DURATION + 1) + 2 * RATE)) # each window has RATE events before it, for warming up
	until_sum "$sent"
	judge "$1" "$sent"
	for field in p50 p99; do
		note "$1.$field" "$(calculate "$(sed "s/.*\\bseen_$field=\\(-*[0-9]*\\).*/\\1/" "$STACK/bench/window") / 1000")"
	done
	end "$1"
	bench_note "$1: $(of "$1.p50" tail -n 1) ms p50, $(of "$1.p99" tail -n 1) ms p99 at $RATE/s"
}

# ---- the page ----------------------------------------------------------------------------------

# compare WHAT FIGURE FORMAT [WHO]: of the two, what tallyd's is of Pathway's.
compare()
{
	bench_goal "$1" "$(ratio "tallyd.$2" "${4:-pathway_100}.$2" "$3")" ''
}

# line WHAT FIGURE FORMAT
line()
{
	echo "| $1 | $(of "tallyd.$2" spread "$3") | $(of "pathway_100.$2" spread "$3") |" \
	    "$(of "pathway_1.$2" spread "$3" 2>/dev/null || true) |"
}

right() # WHO
{
	of "$1.right" awk '{ n += $1 } END { print n " of " NR }'
}

page()
{
	bench_section "tallyd beside Pathway $version: $ROWS values with the schema block, $ROUNDS rounds"
	compare "rate, of Pathway's" rate %.1f
	compare "— without the starts" ready %.1f
	compare "CPU, of Pathway's" cpu %.3f
	compare "— without Pathway's start" work_cpu %.3f
	compare "most PSS, of Pathway's" pss %.3f
	compare "latency at $RATE/s, p50, of Pathway's at 100 ms" p50 %.2f
	compare "— p99" p99 %.2f
	compare "latency at $RATE/s, p50, of Pathway's at 1 ms" p50 %.2f pathway_1
	compare "— p99" p99 %.2f pathway_1
	bench_text <<-END
		Ratios are tallyd's figure divided by Pathway's, so a rate above 1 and anything else below 1 is for tallyd. Pathway
		$version from PyPI, $("$PYTHON" --version), by \`tests/bench/peers.py\`: one worker, no persistence, and 100 ms or 1 ms as
		\`autocommit_duration_ms\`. A run with a wrong sum says nothing of speed. In these runs tallyd writes position and checkpoint with the rows, and for latency follows the
		transaction topic; Pathway does neither. Absolute figures:

		| | tallyd | Pathway, 100 ms | Pathway, 1 ms |
		|---|---|---|---|
		$(line 'events/s, exec to the last commit' rate %.0f)
		$(line 'events/s without the start' ready %.0f)
		$(line 'start, s' start %.2f)
		$(line 'CPU s per million events' cpu %.2f)
		$(line "— without Pathway's start" work_cpu %.2f)
		$(line 'commits' commits %.0f)
		$(line 'most PSS, MiB' pss %.1f)
		$(line "latency at $RATE/s, p50, ms" p50 %.1f)
		$(line '— p99, ms' p99 %.1f)
		| runs with the right sum | $(right tallyd) | $(right pathway_100) | $(right pathway_1) |
	END
}

topic=postgres.public.values
sum=$((ROWS * (ROWS + 1) / 2))
sent=0
bench_begin pg kafka
stack_topic latency.public.values
stack_topic latency.transaction
bench_produce --topic "$topic" --count "$ROWS"
for ((round = 0; round < ROUNDS; round++)); do
	for who in tallyd pathway_100; do run_rate "$who"; done
	for who in tallyd pathway_100; do run_memory "$who"; done
	for who in tallyd pathway_100 pathway_1; do run_latency "$who"; done
done
page
cat "$section"
