# The bank: whatever its transactions look like, the target shows only states after whole ones. Two
# tables, of one partition and of four; transfers, also between the two; large transactions; silence.
#   BANK_ROWS=1000000   rows of the largest one
# limit: 600 s
. "$(dirname "$0")/lib.sh"
BANK_ROWS=${BANK_ROWS:-1000000}

# ---- what is silent: a pipeline of its own, and a minute passes meanwhile ---------------------

idle=bank_idle
idle_start()
{
	local NAME=$idle PGDATABASE=$idle WORK=$WORK/idle
	mkdir -p "$WORK"
	stack_database "$idle"
	stack_connector "$idle" public.values >/dev/null || not_ok 'the silent connector'
	sql 'INSERT INTO "values" VALUES (1)'
	pipeline <<-END
		CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$idle.public.values');
		CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
	END
	tallyd_start tallyd
	await 30 idle_shows 1 || not_ok 'the silent one starts'
	idle_since=$SECONDS
}

idle_shows()
{
	[[ $(PGDATABASE=$idle sql "$(live sum_table sum)") == "$1" ]]
}

idle_end()
{
	local PGDATABASE=$idle since
	while ((SECONDS - idle_since < 60)); do
		sleep 0.2
	done
	since=$(stack_now_ms)
	sql 'INSERT INTO "values" VALUES (2)'
	await 5 idle_shows 3 && ok "after $((SECONDS - idle_since)) s of silence a row is shown" ||
	    not_ok 'after 60 s of silence a row is shown within 5 s'
	echo "silence: shown $(($(stack_now_ms) - since)) ms after psql was called"
	curl -s --max-time 5 -o /dev/null -X DELETE "$CONNECT_URL/connectors/$idle"
}

# ---- the bank --------------------------------------------------------------------------------

bank_start()
{
	local table
	own_database
	stack_psql -f tests/stack/bank.sql || not_ok 'the bank is made'
	stack_topic "$NAME.public.savings" 4
	CONNECTOR_OPTIONS=$'value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false' \
	    stack_connector "$NAME" public.{clock,giro,savings} >/dev/null || not_ok 'the connector'
	{
		cat <<-END
			SET autocommit_duration_ms = 1000; -- the snapshot of a table of four partitions ends by silence
			CREATE FOREIGN TABLE clock (id integer PRIMARY KEY, n bigint NOT NULL)
			  SERVER kafka OPTIONS (topic '$NAME.public.clock');
			CREATE MATERIALIZED VIEW tick AS SELECT sum(n) AS n FROM clock;
		END
		for table in giro savings; do
			cat <<-END
				CREATE FOREIGN TABLE $table (id integer PRIMARY KEY, branch integer NOT NULL, balance bigint NOT NULL)
				  SERVER kafka OPTIONS (topic '$NAME.public.$table');
				CREATE MATERIALIZED VIEW ${table}_total AS SELECT sum(balance) AS total, count(*) AS n FROM $table;
				CREATE MATERIALIZED VIEW ${table}_branch AS SELECT branch, count(*) AS n, sum(balance) AS total,
				  min(balance) AS lowest, max(balance) AS highest FROM $table GROUP BY branch;
			END
		done
	} | pipeline
	# And a connector that stalled in it for longer than that would be one that has ended it.
	await 60 savings_come || not_ok 'the snapshot comes'
	tallyd_start
	sql "SELECT note()" >/dev/null
	shown 30 || not_ok 'the bank is shown'
}

savings_come()
{
	local topic=$NAME.public.savings
	kcat -q -Q -b "$BOOTSTRAP" -t "$topic:0:-1" -t "$topic:1:-1" -t "$topic:2:-1" -t "$topic:3:-1" 2>/dev/null |
	    awk '{ rows += $NF } END { exit rows < 60 }'
}

# shown SECONDS: all that was made until now.
shown()
{
	await "$1" same_answer tick n 'SELECT n::numeric FROM clock'
}

# one TEXT SECONDS SQL: as one transaction.
one()
{
	local since
	since=$(stack_now_ms)
	sql "$3; SELECT note()" >/dev/null || not_ok "$1: it is made"
	shown "$2" && ok "$1: shown" || not_ok "$1: shown within $2 s"
	echo "$1: $(($(stack_now_ms) - since)) ms"
}

# memory STAGE: the most that it ever had, in KiB.
memory()
{
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(stage_pid "$1")/status"
}

idle_start
bank_start
sql 'CALL reader()' &
reader=$!
load_all() # TRANSACTIONS of each of three sessions
{
	local worker loads=()
	for worker in 0 1 2; do
		sql "CALL load($worker, $1)" &
		loads+=($!)
	done
	wait "${loads[@]}"
}
load_all 400
shown 30 && ok 'after 1,200 transactions of three sessions' || not_ok 'after 1,200 transactions of three sessions'
# A connector that stood still has brought them all at once, in a few commits: then there are more to come.
for _ in 1 2 3 4 5; do
	(($(count_commits tick) <= 60)) || break
	load_all 100
	shown 30 || not_ok 'after more transactions of three sessions'
done
# These hold nothing of the money: changed they sum up to 0.
one '10,000 rows are made' 30 'INSERT INTO giro SELECT 1000000 + i, i % 10, 0 FROM generate_series(1, 10000) i'
one '10,000 rows are changed' 30 'UPDATE giro SET balance = (branch - 4) * 5 + branch % 2 * -5 WHERE id > 1000000'
one '10,000 rows are gone' 30 'DELETE FROM giro WHERE id > 1000000'
# What the broker keeps back for ingest has been there once already.
ingest=$(memory ingest) egress=$(memory egress)
one "$BANK_ROWS rows in one transaction" 240 \
    "INSERT INTO savings SELECT 1000000 + i, i % 10, 0 FROM generate_series(1, $BANK_ROWS) i"
for stage in ingest egress; do
	after=$(memory "$stage")
	echo "memory: $stage ${!stage} KiB before, $after KiB after"
	((after - ${!stage} < 65536)) && ok "$stage needs no more memory for that" ||
	    not_ok "$stage needs no more memory for that: $((after - ${!stage})) KiB"
done
is "$BANK_ROWS rows have one time" "$(sql "SELECT count(*) FROM savings_total WHERE n > 5000 AND n < $BANK_ROWS")" 0
sql 'INSERT INTO stop VALUES (true)'
wait "$reader"
IFS='|' read -r readings broken <<<"$(sql 'SELECT * FROM readings')"
is "a reader never sees a broken total (${readings:-0} readings)" "${broken:-none}" 0

stack_psql -v details=1 -f tests/crash/verify.sql >"$WORK/verify.log"
IFS='|' read -r commits outputs never_true disorder repeated lost doubled <"$WORK/verify.log"
echo "outputs=$outputs never_true=$never_true prefixes_monotone=$( ((disorder == 0)) && echo yes || echo no)"
is 'never_true' "$never_true" 0
is 'prefixes are monotone' "$disorder" 0
is 'nothing repeated, lost or doubled' "$repeated $lost $doubled" '0 0 0'
((commits > 50)) && ok "in $commits commits" || not_ok "only $commits commits: nothing is shown by that"
tallyd_stop
idle_end
