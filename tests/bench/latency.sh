#!/usr/bin/env bash
#
# latency.sh - from one event produced to its sum visible in PostgreSQL, by a poller and by tallyd's
# own histogram, beside a bare COMMIT of one row on the same server. fsync is on.
#
#   ROUNDS=5 DURATION=10 WARM=60 tests/bench/latency.sh      QUICK=1: once, 3 s each
#
# Writes build/bench/latency.md. All windows of one mode are one tallyd's, so its histogram is
# subtracted, not begun anew.
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-$(by_size 5 1)}
DURATION=${DURATION:-$(by_size 10 3)}
FILL=${FILL:-$(by_size 100000 20000)} # rows that the checkpoints are made of
# Java compiles what is hot for half a minute and more, on the processors that all share.
WARM=${WARM:-$(by_size 60 1)}
WARM_RATE=$(by_size 5000 1000)

latency_end()
{
	[[ -z $tallyd ]] || kill -KILL "$tallyd" 2>/dev/null || true
	stack_down
}

# As a production server would be: with fsync, and else as PostgreSQL comes.
latency_servers()
{
	local end=$((SECONDS + 30))
	stack_up "$(mktemp -d "${TMPDIR:-/tmp}/tallyd-latency.XXXXXX")" pg kafka
	stack_superuser -c 'ALTER SYSTEM SET fsync = on' -c 'SELECT pg_reload_conf()' >/dev/null
	stack_database values_db
	until [[ $(stack_psql -c 'SHOW fsync') == on ]]; do
		((SECONDS < end)) || exit 1
		sleep 0.1
	done
	stack_psql -c 'CREATE TABLE bare (n bigint)'
	mkdir -m 700 "$STACK/run"
	export RUNTIME_DIRECTORY=$STACK/run
}

latency_running()
{
	"$BIN/tallyd" status "$1" --json 2>/dev/null | grep -q '"role":"ingest","state":"ready","says":"running"'
}

# latency_start MODE: a tallyd that reads a topic of its own.
latency_start()
{
	local option='' end=$((SECONDS + 30))
	[[ $1 != metadata ]] || option=", transaction_topic '$1.transaction'"
	stack_topic "$1.values"
	stack_topic "$1.transaction"
	stack_psql -c 'DROP TABLE IF EXISTS sum_table' \
	    -c 'CREATE TABLE sum_table (sum bigint, time bigint, diff integer)' \
	    -c 'CREATE INDEX ON sum_table (time DESC, diff DESC)'
	cat >"$STACK/$1.sql" <<-END
		SET pipeline = '$1';
		SET checkpoint_interval_ms = 1000;
		CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
		  OPTIONS ("bootstrap.servers" '$BOOTSTRAP'$option);
		CREATE FOREIGN TABLE "values" (id integer PRIMARY KEY, value integer NOT NULL)
		  SERVER kafka OPTIONS (topic '$1.values', "table" 'public.values');
		CREATE SERVER target FOREIGN DATA WRAPPER postgres
		  OPTIONS (host '$PGHOST', port '$PGPORT', dbname '$PGDATABASE', "user" '$PGUSER',
		    password '$PGPASSWORD');
		CREATE MATERIALIZED VIEW sum_table WITH (output = changes)
		  AS SELECT sum(value) AS sum FROM "values";
	END
	"$BIN/tallyd" run "$STACK/$1.sql" >"$STACK/$1.log" 2>&1 </dev/null &
	tallyd=$!
	until latency_running "$1"; do
		if ((SECONDS >= end)) || ! kill -0 "$tallyd" 2>/dev/null; then
			cat "$STACK/$1.log" >&2
			exit 1
		fi
		sleep 0.05
	done
}

latency_stop()
{
	kill -TERM "$tallyd"
	wait "$tallyd" || { cat "$STACK"/*.log >&2; exit 1; }
	tallyd=''
}

latency_seconds()
{
	if [[ $1 == warm ]]; then echo "$WARM"; else echo "$DURATION"; fi
}

# latency_window NAME MODE RATE [OPTION...]: a round, as a line in $STACK/NAME; `warm` is for nothing.
latency_window()
{
	local name=$1 mode=$2 rate=$3 transactions=()
	shift 3
	[[ $mode != metadata ]] || transactions=(--transaction-topic "$mode.transaction")
	echo "latency: $name" >&2
	"$BIN/bench-latency" run --brokers "$BOOTSTRAP" --topic "$mode.values" "${transactions[@]}" \
	    --rate "$rate" --seconds "$(latency_seconds "$name")" "$@" >>"$STACK/$name"
	tail -n 1 "$STACK/$name" >&2
}

# What tallyd says of a window.
latency_status()
{
	echo "$BIN/tallyd status $1 --json"
}

# latency_consumer RATE: what of it is Kafka's: topics that a bare consumer reads, while tallyd has nothing to do.
latency_consumer()
{
	latency_window "consumer-$1" metadata "$1" --topic consumer.values \
	    --transaction-topic consumer.transaction --consumer
}

latency_bare()
{
	"$BIN/bench-latency" bare --rate 100 --seconds "$([[ -n $QUICK ]] && echo 1 || echo 3)" \
	    >>"$STACK/before"
}

# ---- the page --------------------------------------------------------------------------------

# values NAME FIELD: one a round, in microseconds.
values()
{
	sed -n "s/.*\\b$2=\\([0-9]*\\).*/\\1/p" "$STACK/$1"
}

# median NAME FIELD
median()
{
	values "$1" "$2" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] + 0 }'
}

# milliseconds NAME FIELD: the median, and the spread where there was more than one round.
milliseconds()
{
	values "$1" "$2" | sort -n | awk '{ v[NR] = $1 / 1000 } END {
		printf "%.2f ms", v[int((NR + 1) / 2)]
		if (NR > 1)
			printf " (%.2f to %.2f)", v[1], v[NR]
	}'
}

# row WHAT NAME FIELD [LIMIT_US TEXT]: a line of the table.
row()
{
	local reached='' goal=${5-}
	[[ -z ${4-} ]] || reached=$((($(median "$2" "$3") < $4)) && echo yes || echo no)
	printf '| %s | %s | %s | %s |\n' "$1" "$(milliseconds "$2" "$3")" "$goal" "$reached"
}

# figures WHAT NAME: two lines of the second table.
figures()
{
	local who field
	for who in seen own; do
		printf '| %s | %s |' "$1" "$([[ $who == seen ]] && echo poller || echo histogram)"
		for field in p50 p90 p99 max; do
			printf ' %s |' "$(milliseconds "$2" "${who}_$field")"
		done
		echo
	done
}

# agree NAME: does tallyd's histogram lie between the last look that did not show an event and the one that did?
# A bucket's width (1/32) and a millisecond for the waking up of egress beside it.
agree()
{
	local name=$1 field early seen own reached=yes figures=''
	for field in p50 p90 p99; do
		early=$(median "$name" "early_$field") seen=$(median "$name" "seen_$field")
		own=$(median "$name" "own_$field")
		((own + 1000 >= early && own <= seen + seen / 32 + 1000)) || reached=no
		figures+="${figures:+, }$field $(awk -v own="$own" -v early="$early" -v seen="$seen" \
		    'BEGIN { printf "%.2f in %.2f to %.2f ms", own / 1000, early / 1000, seen / 1000 }')"
	done
	[[ $(median "$name" own_count) == $(median "$name" events) ]] || reached=no
	printf '| %s: histogram and poller | %s; %s of %s events counted | agree | %s |\n' \
	    "$(title "$name")" "$figures" "$(median "$name" own_count)" "$(median "$name" events)" "$reached"
}

# title NAME: of a window, for people.
title()
{
	local mode=${1%-*} rate=${1#*-}
	[[ $mode == sequence ]] && mode='mode sequence' || mode='transaction metadata'
	[[ $rate != 5000 ]] || rate=5,000
	echo "$rate events/s, $mode"
}

page()
{
	local bare limit flips name
	bare=$(median before bare_p50)
	limit=$((bare + 2000))
	flips=$(median metadata-5000 checkpoints)
	cat <<-END
		## Latency

		From the timestamp of a message to a sum that includes it, seen by a poller in PostgreSQL
		$(stack_psql -c 'SHOW server_version') with fsync=$(stack_psql -c 'SHOW fsync') on $(stat -f -c %T "$STACK/pg"); one row a
		transaction, as Debezium writes it, by a producer without linger, with two requests under way: see
		tests/bench/latency.c. Rounds: $ROUNDS, of $DURATION s each;
		median, and from lowest to highest round. A poll comes every $POLL us and takes $(median metadata-100 poll) us with that.
		Message timestamps are whole milliseconds, rounded down: at 5,000/s each figure is up to 1 ms too long, else the
		events are sent when a millisecond begins.
		"Histogram": \`latency\` of \`tallyd status\` for the same events, up to the answer to the COMMIT. The two agree
		when each percentile of the histogram lies between those of the last look that did not show an event and of the one
		that did, but for a bucket's width (3.2 %) and 1 ms in which egress is woken up.

		| what | measured | goal | reached |
		|---|---|---|---|
	END
	row 'bare COMMIT of one row, 100/s, nothing else running: p50' before bare_p50
	row 'the same: p99' before bare_p99
	row 'the same between the events of 100/s: p50' metadata-100 bare_p50
	row "$(title metadata-100): p50" metadata-100 seen_p50 $((limit + 1)) \
	    "≤ $(awk -v us=$limit 'BEGIN { printf "%.2f", us / 1000 }') ms: a bare COMMIT and 2 ms"
	row "$(title metadata-100): p99" metadata-100 seen_p99 10000 '< 10 ms'
	row 'of which until a bare consumer has it: p50' consumer-100 seen_p50
	row 'the same: p99' consumer-100 seen_p99
	row "$(title metadata-5000): p50" metadata-5000 seen_p50 5000 '< 5 ms'
	row "$(title metadata-5000): p99" metadata-5000 seen_p99 25000 '< 25 ms'
	row 'of which until a bare consumer has it: p50' consumer-5000 seen_p50
	row 'the same: p99' consumer-5000 seen_p99
	printf '| checkpoints written meanwhile | %s, in %s commits | some | %s |\n' "$flips" \
	    "$(median metadata-5000 commits)" "$( ((flips > 0)) && echo yes || echo no)"
	for name in $NAMES; do
		[[ $name != sequence-* ]] || row "$(title "$name"): p50" "$name" seen_p50
	done
	for name in $NAMES; do
		agree "$name"
	done
	cat <<-END

		| window | by | p50 | p90 | p99 | max |
		|---|---|---|---|---|---|
	END
	for name in $NAMES; do
		figures "$(title "$name")" "$name"
	done
	cat <<-END

		In mode sequence a transaction ends where the next one begins, or after \`autocommit_duration_ms\`
		(100) of silence: a lone one waits for that.
	END
}

RATES=$([[ -n $QUICK ]] && echo 4 || echo 4 100 5000) # in mode sequence
NAMES="metadata-100 metadata-5000 $(printf 'sequence-%s ' $RATES)"
POLL=${POLL:-200}
stack_trap latency_end
latency_servers
mkdir -p "$BENCH"
latency_bare # servers that have just started are slow, Java's most of all
latency_start metadata
stack_topic consumer.values
stack_topic consumer.transaction
latency_window warm metadata "$WARM_RATE" --fill "$FILL"
rm "$STACK/before"
for ((round = 0; round < ROUNDS; round++)); do
	latency_bare
	latency_window metadata-100 metadata 100 --bare 5 --poll-us "$POLL" --status "$(latency_status metadata)"
	latency_consumer 100
	latency_window metadata-5000 metadata 5000 --poll-us "$POLL" --status "$(latency_status metadata)"
	latency_consumer 5000
done
latency_stop
latency_start sequence
WARM=1
latency_window warm sequence 1000
for ((round = 0; round < ROUNDS; round++)); do
	for rate in $RATES; do
		latency_window "sequence-$rate" sequence "$rate" --poll-us "$POLL" --status "$(latency_status sequence)"
	done
done
latency_stop
page >"$BENCH/latency.md"
cat "$BENCH/latency.md"
