#!/usr/bin/env bash
#
# throughput.sh - how fast tallyd catches up with full topics, beside a consumer that does nothing.
#
#   ROWS=1000000 ROUNDS=5 [WORKLOADS='values-schema ...'] tests/bench/throughput.sh
#
# Workloads: values-schema, values-bare, orders-schema, orders-bare: in each round the raw consumer, tallyd, the raw
# consumer again. The raw runs before and after are also the A/A control: what their ratio says of nothing. shop-schema,
# shop-bare: orders and payments in four partitions each; in each round tallyd without the transaction
# topic (each event is a transaction then), with it, and without it again, over the same messages of the same topics.
#
# Time goes from the exec of tallyd to PostgreSQL's commit of the last row. Of values and orders it is in mode sequence,
# where a transaction's end is known by the next one: the topic holds one event more, whose own end takes 100 ms of
# silence, and time ends with the commit before that. The raw consumer's goes from its first message to
# its last. Both rates count change events only; tombstones and transaction marks come on top, for both. After each run
# the answer is compared with PostgreSQL's own over the same rows, else the bench fails.
. "$(dirname "$0")/lib.sh"

ROWS=${ROWS:-$(by_size 1000000 30000)}
ROUNDS=${ROUNDS:-$(by_size 5 1)}
WORKLOADS=${WORKLOADS:-values-schema values-bare orders-schema orders-bare shop-schema shop-bare}
KEYS=$((ROWS / 10 > 0 ? ROWS / 10 : 1))
runs=0

# ---- the workloads -----------------------------------------------------------------------------

# declare_workload KIND PREFIX: its topics, and the views with their columns and PostgreSQL's SELECTs. KIND is values,
# orders or shop.
declare_workload()
{
	marks='' one_more=1
	case $1 in
	values)
		topics=("$2.public.values") views=(by_values)
		;;
	orders)
		topics=("$2.public.orders") views=(by_orders)
		;;
	shop)
		topics=("$2.public.orders" "$2.public.payments") views=(by_orders by_payments) marks=$2.transaction one_more=''
		;;
	esac
	columns_by_values=sum
	columns_by_orders=customer_id,n,total,lowest,highest
	columns_by_payments=$columns_by_orders
	select_by_values='SELECT sum(value) AS sum FROM'
	select_by_orders='SELECT customer_id, count(*) AS n, sum(price) AS total, min(price) AS lowest, max(price) AS highest FROM'
	select_by_payments=${select_by_orders//price/amount}
}

# fill KIND on|off: topics, and tables with the rows that are there at the end.
fill()
{
	local more=()
	case $1 in
	orders) more=(--shape orders --keys "$KEYS" --deletes 10) ;;
	shop) more=(--shape orders --keys "$((KEYS / 2))" --deletes 10 --partitions 4
	    --second-topic "${topics[1]}" --second-rows "$STACK/bench/payments.csv"
	    --transaction-topic "$marks" --per-transaction 10) ;;
	esac
	bench_produce --topic "${topics[0]}" --schema "$2" --count "$((ROWS + ${one_more:-0}))" --rows "$STACK/bench/${1/shop/orders}.csv" "${more[@]}"
	size=$(sed 's/.* of about \([0-9]*\) bytes.*/\1/' "$STACK/bench/produce.log")
	sql "DROP TABLE IF EXISTS source_values, source_orders, source_payments;
	    CREATE TABLE source_values (value integer);
	    CREATE TABLE source_orders (order_id integer, customer_id integer, qty integer, price numeric(10,2), status text);
	    CREATE TABLE source_payments (payment_id integer, customer_id integer, amount numeric(10,2), method text)"
	total=$(sed 's/.* as \([0-9]*\) messages.*/\1/' "$STACK/bench/produce.log")
	local topic
	for topic in "${topics[@]}"; do
		sql "\\copy source_${topic##*.} FROM '$STACK/bench/${topic##*.}.csv' CSV"
	done
}

# Room on the disk and in its cache, for the next one; each takes a JVM.
forget()
{
	local topic
	rm -f "$STACK"/bench/*.csv
	[[ -z $QUICK ]] || return 0
	for topic in "${topics[@]}" ${marks:+"$marks"}; do
		stack_topic_delete "$topic"
	done
}

# pipeline NAME [OPTION]: views and their empty tables are made anew.
pipeline()
{
	sql "DROP TABLE IF EXISTS by_values, by_orders, by_payments;
	    CREATE TABLE by_values (sum bigint, time bigint, diff integer);
	    CREATE TABLE by_orders (customer_id integer, n bigint, total numeric, lowest numeric, highest numeric,
	        time bigint, diff integer);
	    CREATE TABLE by_payments (LIKE by_orders)"
	local prefix=${topics[0]%%.*}
	bench_pipeline "$1" "${2-}" < <(only_tables <<-END
			CREATE FOREIGN TABLE "values" (value integer NOT NULL)
			  SERVER kafka OPTIONS (topic '$prefix.public.values');
			CREATE FOREIGN TABLE orders (order_id integer PRIMARY KEY, customer_id integer NOT NULL,
			  price numeric(10,2) NOT NULL) SERVER kafka OPTIONS (topic '$prefix.public.orders');
			CREATE FOREIGN TABLE payments (payment_id integer PRIMARY KEY, customer_id integer NOT NULL,
			  amount numeric(10,2) NOT NULL) SERVER kafka OPTIONS (topic '$prefix.public.payments');
			CREATE MATERIALIZED VIEW by_values AS $select_by_values "values";
			CREATE MATERIALIZED VIEW by_orders AS $select_by_orders orders GROUP BY customer_id;
			CREATE MATERIALIZED VIEW by_payments AS $select_by_payments payments GROUP BY customer_id;
		END
	)
}

# The statements that are of this workload's tables.
only_tables()
{
	local wanted="${topics[*]##*.}"
	tr '\n' ' ' | sed 's/;/;\n/g' | grep -E "(TABLE|FROM) \"?(${wanted// /|})\"?[ ;]"
}

# ---- one run each ------------------------------------------------------------------------------

run_raw() # WORKLOAD a|b
{
	local options=() topic result seconds
	for topic in "${topics[@]}" ${marks:+"$marks"}; do
		options+=(--topic "$topic")
	done
	result=$("$BIN/bench-raw" --brokers "$BOOTSTRAP" "${options[@]}")
	seconds=$(sed 's/.* seconds=\([0-9.]*\).*/\1/' <<<"$result")
	note "$1.raw" "$(calculate "$ROWS / $seconds")"
	note "$1.raw_$2" "$(calculate "$ROWS / $seconds")"
	note "$1.raw_pause" "$(calculate "$(sed 's/.* pause=\([0-9.]*\).*/\1/' <<<"$result") * 1000")"
	note "$1.raw_cpu" "$(sed 's/.* cpu=\([0-9.]*\).*/\1/' <<<"$result")"
}

run_tallyd() # WORKLOAD [a|b [OPTION]]: the control; of server kafka
{
	local number first last gap ready cpu view columns select source whole
	runs=$((runs + 1))
	pipeline "bench_$runs" "${3-}"
	bench_start
	bench_until "$total"
	cpu=$(bench_cpu)
	IFS='|' read -r number first last gap whole < <(commits "${views[@]}")
	[[ -z $one_more ]] || last=$whole
	for view in "${views[@]}"; do
		columns=columns_$view select=select_$view source=source_${view#by_}
		same_answer "$view" "${!columns}" "${!select} $source$([[ $view == by_values ]] || echo ' GROUP BY customer_id')"
	done
	ready=$(ready_at)
	bench_stop
	note "$1.tallyd" "$(calculate "$ROWS / ($last - $started)")"
	[[ -z ${2-} ]] || note "$1.tallyd_$2" "$(calculate "$ROWS / ($last - $started)")"
	note "$1.ready" "$(calculate "$ROWS / ($last - $ready)")"
	note "$1.cpu" "$cpu"
	note "$1.commits" "$number"
	gap=$(calculate "($first - $ready) * 1000 > $gap ? ($first - $ready) * 1000 : $gap" '%.0f')
	note "$1.gap" "$gap"
	bench_note "$1: $(calculate "$ROWS / ($last - $started)" '%.0f')/s, $cpu s CPU, $number commits, $gap ms at most between them"
}

# ---- what came out -----------------------------------------------------------------------------

goal_gap() # WORKLOAD
{
	bench_goal '— longest time from ready or a commit to the next commit, ms (goal: the longest of all)' \
	    "$(of "$1.gap" spread %.0f)" '≤ 100' "$(of "$1.gap" quantile 1) <= 100"
	bench_goal '— longest pause between two batches of the raw consumer, ms (its own wait for a full one: 5)' "$(of "$1.raw_pause" spread %.0f)" ''
}

report_raw() # WORKLOAD WORDS RATE CPU
{
	local w=$1
	bench_goal "$2: rate, of the raw consumer's" "$(ratio "$w.tallyd" "$w.raw")" "≥ $3" \
	    "$(of "$w.tallyd" median) / $(of "$w.raw" median) >= $3"
	bench_goal "— without the start" "$(ratio "$w.ready" "$w.raw")" ''
	bench_goal "— CPU, of the raw consumer's" "$(ratio "$w.cpu" "$w.raw_cpu")" "≤ $4" \
	    "$(of "$w.cpu" median) / $(of "$w.raw_cpu" median) <= $4"
	goal_gap "$w"
	bench_goal '— control: raw before, of raw after' "$(ratio "$w.raw_a" "$w.raw_b")" ''
	details+=$(detail "$w" "$w")$'\n'
}

report_shop() # WORKLOAD WORDS
{
	local w=$1
	bench_goal "$2: rate, of the same without the transaction topic" "$(ratio "$w.tallyd" "$w-without.tallyd")" '≥ 0.8' \
	    "$(of "$w.tallyd" median) / $(of "$w-without.tallyd" median) >= 0.8"
	bench_goal '— without the start' "$(ratio "$w.ready" "$w-without.ready")" ''
	bench_goal '— CPU, of the same without' "$(ratio "$w.cpu" "$w-without.cpu")" ''
	bench_goal '— rate, of the raw consumer of all three topics' "$(ratio "$w.tallyd" "$w.raw")" ''
	goal_gap "$w"
	bench_goal '— control: without before, of without after' "$(ratio "$w-without.tallyd_a" "$w-without.tallyd_b")" ''
	details+=$(detail "$w" "$w")$'\n'$(detail "$w-without" "$w")$'\n'
}

# detail NAME RAW: absolute figures: of this machine, on this day.
detail()
{
	echo "| $1 | $size | $(of "$2.raw" spread %.0f) | $(of "$1.tallyd" spread %.0f) |" \
	    "$(of "$2.raw_cpu" median | awk -v n="$ROWS" '{ printf "%.2f", $1 * 1e6 / n }') |" \
	    "$(of "$1.cpu" median | awk -v n="$ROWS" '{ printf "%.2f", $1 * 1e6 / n }') | $(of "$1.commits" spread %.0f) |"
}

# ---- all of it ---------------------------------------------------------------------------------

measure() # WORKLOAD
{
	local kind=${1%-*} schema=on round
	[[ $1 == *-schema ]] || schema=off
	declare_workload "$kind" "$1"
	bench_note "$1: filling"
	fill "$kind" "$schema"
	# What is new to the broker's compilers, to the disk's cache and to PostgreSQL's log is so once.
	if [[ -z $QUICK ]]; then
		run_raw warm a
		run_tallyd warm
	fi
	for ((round = 0; round < ROUNDS; round++)); do
		run_raw "$1" a
		if [[ $kind == shop ]]; then
			run_tallyd "$1-without" a
			run_tallyd "$1" '' "transaction_topic '$marks'"
			run_tallyd "$1-without" b
		else
			run_tallyd "$1"
			run_raw "$1" b
		fi
	done
	case $1 in
	values-schema) report_raw "$1" 'values with the schema block' 0.85 2 ;;
	values-bare) report_raw "$1" 'values, bare JSON' 0.6 3 ;;
	orders-schema) report_raw "$1" 'orders with the schema block' 0.7 3 ;;
	orders-bare) report_raw "$1" 'orders, bare JSON' 0.5 4 ;;
	shop-schema) report_shop "$1" 'two tables, four partitions, transactions, with the schema block' ;;
	shop-bare) report_shop "$1" 'two tables, four partitions, transactions, bare JSON' ;;
	esac
	forget
}

bench_begin pg kafka
details=''
bench_section "Throughput: $ROWS events, $ROUNDS rounds"
for workload in $WORKLOADS; do
	measure "$workload"
done
bench_text <<-TEXT
	Ratios are those of medians; in parentheses those of single rounds, least to most. Events/s, and CPU seconds per
	million events:

	| workload | bytes | raw consumer, events/s | tallyd, events/s | raw CPU | tallyd CPU | commits |
	|---|---|---|---|---|---|---|
	${details%$'\n'}

	orders: $KEYS keyed rows in 1,000 groups, inserts, updates and deletes, \`$select_by_orders orders GROUP BY customer_id\`.
	Before the rounds of each workload the raw consumer and tallyd read it once unmeasured, for a broker compiles what it
	runs often, which takes a second processor's time for seconds. After each run every view was equal to PostgreSQL's own
	answer.
	TEXT
