#!/usr/bin/env bash
#
# memory.sh - how much memory all of tallyd's processes have, as their proportional set sizes summed.
#
#   ROWS=1000000 UPDATES=10000000 UPDATED_KEYS=100000 SETTLE=12 tests/bench/memory.sh
#
# values: the most that was seen while ROWS events are caught up with, sampled every 0.1 s. A row, a group: from two
# pipelines of which one has ten times the rows, or a group for each row instead of 1,000, what the second has more, divided by
# what it holds more; each when all is committed, as the median over SETTLE seconds, so that a checkpoint is among them.
# Updates: one tallyd over UPDATED_KEYS rows, after a tenth of the UPDATES and after all.
. "$(dirname "$0")/lib.sh"

ROWS=${ROWS:-$(by_size 1000000 50000)}
UPDATES=${UPDATES:-$(by_size 10000000 100000)}
SETTLE=${SETTLE:-$(by_size 12 1)}
UPDATED_KEYS=${UPDATED_KEYS:-$(by_size 100000 10000)}
select_orders='SELECT customer_id, count(*) AS n, sum(price) AS total, min(price) AS lowest, max(price) AS highest FROM'
columns_orders=customer_id,n,total,lowest,highest
select_sums='SELECT customer_id, count(*) AS n, sum(price) AS total FROM'
columns_sums=customer_id,n,total

forget() # TOPIC: room on the disk; it takes a JVM
{
	[[ -n $QUICK ]] || stack_topic_delete "$1"
}

# settled: PSS in kB, when all is committed.
settled()
{
	local end=$(($(stack_now_ms) + SETTLE * 1000))
	while (($(stack_now_ms) < end)); do
		bench_pss
		sleep 0.2
	done | median
}

values_pipeline()
{
	sql 'CREATE TABLE by_values (sum bigint, time bigint, diff integer)'
	bench_pipeline values <<-END
		CREATE FOREIGN TABLE "values" (value integer NOT NULL)
		  SERVER kafka OPTIONS (topic 'postgres.public.values');
		CREATE MATERIALIZED VIEW by_values AS SELECT sum(value) AS sum FROM "values";
	END
}

measure_values()
{
	local waiting most
	bench_produce --topic postgres.public.values --count "$ROWS"
	values_pipeline
	bench_start
	bench_until "$ROWS" &
	waiting=$!
	most=$(bench_peak "$waiting")
	wait "$waiting"
	same_answer by_values sum "SELECT sum(i) AS sum FROM generate_series(1, $ROWS) i"
	bench_stop
	forget postgres.public.values
	bench_goal "values, $ROWS events: most PSS of all processes, MiB" "$(calculate "$most / 1024" '%.1f')" '< 40' "$most < 40 * 1024"
}

# source TOPIC COUNT OPTION...: produced, and in table source with the rows at the end.
source_produce()
{
	local topic=$1 count=$2
	shift 2
	bench_produce --topic "$topic" --shape orders --schema off --count "$count" --rows "$STACK/bench/rows.csv" "$@"
	sql "DROP TABLE IF EXISTS source;
	    CREATE TABLE source (order_id integer, customer_id integer, qty integer, price numeric(10,2), status text)"
	sql "\\copy source FROM '$STACK/bench/rows.csv' CSV"
}

# orders_begin NAME TOPIC orders|sums
orders_begin()
{
	local select=select_$3
	sql "CREATE TABLE by_$1 (customer_id integer, n bigint, total numeric, lowest numeric, highest numeric,
	    time bigint, diff integer)"
	bench_pipeline "$1" <<-END
		CREATE FOREIGN TABLE orders (order_id integer PRIMARY KEY, customer_id integer NOT NULL,
		  price numeric(10,2) NOT NULL) SERVER kafka OPTIONS (topic '$2');
		CREATE MATERIALIZED VIEW by_$1 AS ${!select} orders GROUP BY customer_id;
	END
	bench_start
}

# orders_settle NAME COUNT orders|sums: in $pss what it has then.
orders_settle()
{
	local select=select_$3 columns=columns_$3
	bench_until "$2"
	pss=$(settled)
	same_answer "by_$1" "${!columns}" "${!select} source GROUP BY customer_id"
	bench_note "$1: $pss kB; at last $(bench_pss_each)"
}

orders_pss() # NAME TOPIC COUNT orders|sums
{
	orders_begin "$1" "$2" "$4"
	orders_settle "$1" "$3" "$4"
	bench_stop
}

# What the columns of a row are in PostgreSQL, without its header.
row_bytes()
{
	sql 'SELECT avg(pg_column_size(order_id) + pg_column_size(customer_id) + pg_column_size(price)) FROM source'
}

measure_rows_and_groups()
{
	local few=$((ROWS / 10)) many=$ROWS few_sums few_orders many_sums many_orders own groups
	source_produce rows.public.orders "$few" --keys "$many"
	orders_pss few_sums rows.public.orders "$few" sums && few_sums=$pss
	orders_pss few_orders rows.public.orders "$few" orders && few_orders=$pss
	source_produce rows.public.orders $((many - few)) --keys "$many" --first $((few + 1))
	orders_pss many_sums rows.public.orders "$many" sums && many_sums=$pss
	orders_pss many_orders rows.public.orders "$many" orders && many_orders=$pss
	own=$(row_bytes)
	groups=$(sql 'SELECT count(DISTINCT customer_id) FROM source')
	forget rows.public.orders
	slope "a keyed row beside its columns, bytes, of the orders view" "$few_orders" "$many_orders" $((many - few)) "$own" 200
	slope '— of a view without min and max' "$few_sums" "$many_sums" $((many - few)) "$own" ''
	source_produce groups.public.orders "$many" --keys "$many" --groups "$many"
	orders_pss groups groups.public.orders "$many" orders
	groups=$(($(sql 'SELECT count(DISTINCT customer_id) FROM source') - groups))
	forget groups.public.orders
	slope "a group with min and max, bytes, over the same $many rows" "$many_orders" "$pss" "$groups" 0 300
}

# slope WHAT KB_OF_FEW KB_OF_MANY MORE OWN GOAL
slope()
{
	local each
	each=$(calculate "($3 - $2) * 1024 / $4 - $5" '%.0f')
	bench_goal "$1" "$each" "${6:+≤ $6}" "${6:+$each <= $6}"
}

measure_updates()
{
	local early change early_count=$((UPDATED_KEYS + UPDATES / 10))
	source_produce updates.public.orders "$early_count" --keys "$UPDATED_KEYS"
	orders_begin updates updates.public.orders orders
	orders_settle updates "$early_count" orders
	early=$pss
	source_produce updates.public.orders $((UPDATES - UPDATES / 10)) --keys "$UPDATED_KEYS" --first $((early_count + 1))
	orders_settle updates $((UPDATED_KEYS + UPDATES)) orders
	bench_stop
	change=$(calculate "($pss - $early) / $early * 100" '%.1f')
	bench_goal "PSS after $UPDATES updates of $UPDATED_KEYS rows, of that after $((UPDATES / 10)), %" \
	    "$change ($(calculate "$early / 1024" '%.1f') to $(calculate "$pss / 1024" '%.1f') MiB)" 'within 2' "$change <= 2 && $change >= -2"
}

bench_begin pg kafka
bench_section 'Memory'
measure_values
measure_rows_and_groups
measure_updates
