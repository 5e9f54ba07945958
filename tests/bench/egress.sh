#!/usr/bin/env bash
#
# egress.sh - how many rows of views a second tallyd-egress commits, here and 10 ms away.
#
#   ROWS=2000000 ROUNDS=5 BATCHES='2000 20000 100000' tests/bench/egress.sh
#
# The real tallyd-egress on a real PostgreSQL that waits for its disk; its ring is filled as fast as it takes
# it, each batch half −1, half +1, and no more than two batches under way, as reduce does. Beside
# the goals, which are for batches of 20,000 rows: other sizes of batches, and a view with less in it.
# 10 ms are a proxy of our own, 5 ms each way (delay_proxy.c), for what it costs itself see the line
# with no delay. For scale: what psql copies into the same table by the same binary COPY, without tallyd.
. "$(dirname "$0")/lib.sh"

ROWS=${ROWS:-$(by_size 2000000 200000)}
ROUNDS=${ROUNDS:-$(by_size 5 1)}
BATCHES=${BATCHES:-$(by_size '2000 20000 100000' '20000')}
batch=20000
half_us=5000
proxy=''

egress_end()
{
	[[ -z $proxy ]] || kill "$proxy" 2>/dev/null || true
	bench_end
}

# through_proxy MICROSECONDS: sets $port and $proxy; each way takes so long.
through_proxy()
{
	stack_choose_port
	setpriv --pdeathsig KILL "$BIN/delay-proxy" "$port" "$PGPORT" "$1" &
	proxy=$!
	while stack_port_free "$port"; do sleep 0.02; done
}

proxy_end()
{
	kill "$proxy"
	wait "$proxy" 2>/dev/null || true
	proxy=''
}

# egress_pipeline wide|narrow PORT: a new one on an empty table.
egress_pipeline()
{
	local select
	case $1 in
	wide)
		select='customer_id, count(*) AS n, sum(price) AS total, min(price) AS lowest, max(price) AS highest'
		sql 'DROP TABLE IF EXISTS target; CREATE TABLE target (customer_id integer, n bigint, total numeric,
		    lowest numeric, highest numeric, time bigint, diff integer)'
		;;
	narrow)
		select='customer_id, count(*) AS n'
		sql 'DROP TABLE IF EXISTS target; CREATE TABLE target (customer_id integer, n bigint, time bigint, diff integer)'
		;;
	esac 2>/dev/null
	runs=$((${runs-0} + 1))
	cat >"$STACK/bench/egress.sql" <<-END
		SET pipeline = 'egress$runs';
		CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" '127.0.0.1:9');
		CREATE FOREIGN TABLE orders (order_id integer PRIMARY KEY, customer_id integer NOT NULL,
		  price numeric(10,2) NOT NULL) SERVER kafka OPTIONS (topic 'postgres.public.orders');
		CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '$PGHOST', port '$2', dbname '$PGDATABASE',
		  "user" '$PGUSER', password '$PGPASSWORD');
		CREATE MATERIALIZED VIEW target AS SELECT $select FROM orders GROUP BY customer_id;
	END
}

# egress_rounds KIND PORT ROWS-A-BATCH ROWS: rates and CPU times, a line a round, in two files.
egress_rounds()
{
	local round got missing
	: >"$STACK/bench/rates" >"$STACK/bench/cpu"
	for ((round = 0; round < ROUNDS; round++)); do
		egress_pipeline "$1" "$2"
		got=$(EGRESS=$PWD/$BIN/tallyd-egress EGRESS_FOLDER=$STACK/bench \
		    "$BIN/bench-egress" "$STACK/bench/egress.sql" "$4" "$3")
		cut -f 1 <<<"$got" >>"$STACK/bench/rates"
		cut -f 2 <<<"$got" >>"$STACK/bench/cpu"
		missing=$(sql "SELECT (greatest($4 / $3, 1) + 1) * $3 - count(*) FROM target")
		[[ $missing == 0 ]] || { bench_note "$missing rows are missing in the target"; exit 1; }
	done
}

# egress_line WHAT GOAL [LEAST]: of the rounds before.
egress_line()
{
	bench_goal "$1" "$(spread '%.0f' <"$STACK/bench/rates") rows/s, egress $(median <"$STACK/bench/cpu") µs CPU a row" \
	    "$2" "${3:+$(median <"$STACK/bench/rates") >= $3}"
}

# The same rows, made by PostgreSQL itself and read by its own COPY: nothing of ours is in it.
copy_alone()
{
	local round from
	egress_pipeline wide "$PGPORT"
	sql "COPY (SELECT i, i::bigint, (i * 7 % 1000) + 0.25, (i % 90) + 0.5, (i % 1000) + 0.75, 1700000000000,
	    CASE i % 2 WHEN 0 THEN -1 ELSE 1 END FROM generate_series(1, $ROWS) AS i)
	    TO STDOUT (FORMAT binary)" >"$STACK/bench/copy"
	: >"$STACK/bench/rates"
	for ((round = 0; round < ROUNDS; round++)); do
		sql 'TRUNCATE target'
		from=$(stack_now_ms)
		sql 'COPY target FROM STDIN (FORMAT binary)' <"$STACK/bench/copy"
		calculate "$ROWS * 1000 / ($(stack_now_ms) - $from)" '%.0f' >>"$STACK/bench/rates"
	done
	bench_goal "one binary COPY by psql, no tallyd" "$(spread '%.0f' <"$STACK/bench/rates") rows/s" ''
}

bench_begin pg
stack_trap egress_end
bench_section "Egress, $ROWS rows"
egress_rounds wide "$PGPORT" "$batch" "$ROWS"
egress_line "local, $batch rows a commit" '>= 400,000 rows/s' 400000
through_proxy "$half_us"
egress_rounds wide "$port" "$batch" "$ROWS"
egress_line "10 ms of round trip, $batch rows a commit" '>= 100,000 rows/s' 100000
for size in $BATCHES; do
	((size != batch)) || continue
	egress_rounds wide "$port" "$size" $((ROWS < size * 50 ? ROWS : size * 50))
	egress_line "10 ms of round trip, $size rows a commit" ''
	egress_rounds wide "$PGPORT" "$size" "$ROWS"
	egress_line "local, $size rows a commit" ''
done
proxy_end
through_proxy 0
egress_rounds wide "$port" "$batch" "$ROWS"
egress_line "the proxy without delay, $batch rows a commit" ''
egress_rounds narrow "$PGPORT" "$batch" "$ROWS"
egress_line "local, a view of two columns, $batch rows a commit" ''
copy_alone
bench_text <<-END
	Rows have seven columns, three of them numeric, but for the view of two columns, which has four. PostgreSQL
	waits for its disk at each commit. CPU time of egress includes its start.
END
