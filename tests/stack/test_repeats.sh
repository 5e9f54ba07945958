# Connect killed and started again in mid-transaction, with transaction metadata and without: what it
# sends again is dropped, what is torn is put together, and no total is shown that never was. And an
# END whose events never come is named.
# limit: 600 s
. "$(dirname "$0")/lib.sh"
own_stack
own_database

sql "CREATE TABLE keyed (id integer PRIMARY KEY, grp integer NOT NULL, amount bigint NOT NULL);
    CREATE TABLE keyless (grp integer NOT NULL, amount bigint NOT NULL);
    ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO keyed SELECT i, i % 10, 1000 FROM generate_series(1, 200) i;
    INSERT INTO keyless SELECT grp, amount FROM keyed"
for kind in keyed keyless; do
	for mode in whole plain; do
		sql "CREATE TABLE total_${kind}_$mode (total numeric, time bigint, diff integer);
		    CREATE TABLE by_grp_${kind}_$mode (grp integer, total numeric, n bigint, time bigint, diff integer)"
	done
done
# Moved between groups, so that the total of all stands still: many rows a transaction, so that a
# kill falls into one, and several at a time.
sql "CREATE PROCEDURE load(rounds integer, first integer) LANGUAGE plpgsql AS \$\$
    BEGIN
	FOR i IN 1 .. rounds LOOP
	    UPDATE keyed SET amount = amount + CASE WHEN id % 2 = 0 THEN i ELSE -i END
	        WHERE id > first AND id <= first + 100;
	    INSERT INTO keyless SELECT g, a FROM generate_series(0, 9) g, (VALUES (i), (-i)) v(a);
	    COMMIT;
	END LOOP;
    END \$\$"

connector() # NAME METADATA
{
	CONNECTOR_OPTIONS="provide.transaction.metadata=$2" stack_connector "$1" public.keyed public.keyless >/dev/null ||
	    not_ok "connector $1"
	connector_settles "$1"
}
# declare MODE CONNECTOR OPTIONS: tallyd over the topics of a connector.
declare_mode()
{
	local kind
	for kind in keyed keyless; do
		cat <<-END
			CREATE FOREIGN TABLE $kind ($([[ $kind == keyless ]] || echo 'id integer PRIMARY KEY,')
			    grp integer NOT NULL, amount bigint NOT NULL) SERVER kafka OPTIONS (topic '$2.public.$kind');
			CREATE MATERIALIZED VIEW total_${kind}_$1 AS SELECT sum(amount) AS total FROM $kind;
			CREATE MATERIALIZED VIEW by_grp_${kind}_$1 AS SELECT grp, sum(amount) AS total, count(*) AS n
			    FROM $kind GROUP BY grp;
		END
	done | pipeline "$3"
	sed -i "s/SET pipeline = '$NAME'/SET pipeline = '$1'/" "$WORK/pipeline.sql"
	mv "$WORK/pipeline.sql" "$WORK/$1.sql"
}
answers() # TEXT MODE...
{
	local kind mode text=$1
	shift
	for mode; do
		for kind in keyed keyless; do
			comes_equal "$text, $mode" "by_grp_${kind}_$mode" grp,total,n \
			    "SELECT grp, sum(amount), count(*) FROM $kind GROUP BY grp" 240
		done
	done
}
counter() # MODE COUNTER: all stages
{
	"$BIN/tallyd" status --json "$1" 2>/dev/null | grep -o "\"$2\":[0-9]*" |
	    awk -F: '{ sum += $2 } END { print sum + 0 }'
}

connector whole true
connector plain false
declare_mode whole whole "transaction_topic 'whole.transaction'"
declare_mode plain plain ''
tallyd_start whole "$WORK/whole.sql"
whole=$tallyd
tallyd_start plain "$WORK/plain.sql"
answers 'the snapshot' whole plain

# ---- killed in mid-load ------------------------------------------------------------------------

for round in 1 2 3; do
	loads=()
	start=$(topic_end whole.public.keyed)
	for first in 0 100; do
		stack_psql -c "CALL load(100, $first)" >/dev/null &
		loads+=($!)
	done
	await 60 grown whole.public.keyed $((round * 400)) && ok "Connect is killed in mid-transaction, after $(topic_end whole.public.keyed) events" ||
	    not_ok 'the load arrives'
	stack_kill connect
	wait "${loads[@]}"
	stack_restart connect || not_ok 'Connect comes back'
done
sql 'UPDATE keyed SET amount = amount + 1 WHERE id = 1; UPDATE keyed SET amount = amount - 1 WHERE id = 1'
answers 'after three kills' whole plain
for kind in keyed keyless; do
	is "$kind: with metadata no commit shows another total" "$(sql "SELECT count(*) FROM
	    total_${kind}_whole WHERE total NOT IN (200000, 200001)")" 0
	is "$kind: nor do its groups, folded at every time" "$(sql "SELECT count(*) FROM (SELECT time,
	    sum(sum(total * diff)) OVER (ORDER BY time) AS total FROM by_grp_${kind}_whole GROUP BY time) t
	    WHERE total NOT IN (200000, 200001)")" 0
	for mode in whole plain; do
		obeys "by_grp_${kind}_$mode" grp total,n
	done
done
for mode in whole plain; do
	(($(counter $mode source_repeats) > 0)) && ok "$mode: $(counter $mode source_repeats) repeats were dropped" ||
	    not_ok "$mode: repeats are counted"
done
echo "transaction_torn: $(counter whole transaction_torn), source_gap: $(counter whole source_gap)"
is 'Debezium has lost nothing' "$(counter whole source_gap)" 0

# ---- away for long, with ENDs written ahead of their rows ----------------------------------------

# A broker that gets a moment now and again: a request to it holds all that waits for the transaction topic, but
# few rows. So the connector dies with many whole transactions announced, and what it owes comes much later
# than events that are lost are waited for.
slow=$(stack_pid kafka)
touch "$WORK/slow"
while [[ -e $WORK/slow ]]; do
	kill -STOP "$slow"
	sleep 0.1
	kill -CONT "$slow"
	sleep 0.02
done &
lost="$(counter whole source_gap) $(counter whole late_events)"
start=$(topic_end whole.transaction)
rows=$(topic_end whole.public.keyed)
sql 'CALL load(40, 0)' >/dev/null
await 60 grown whole.transaction 78 || not_ok 'the ENDs of the load arrive'
stack_kill connect
rm "$WORK/slow"
wait $!
rows=$(($(topic_end whole.public.keyed) - rows))
((rows < 3900)) && ok "Connect dies with 40 ENDs and $rows of 4000 rows written" || not_ok "ENDs are ahead of rows: $rows"
sleep 50
is 'after 50 s none of it is taken for lost' "$(counter whole source_gap) $(counter whole late_events)" "$lost"
stack_restart connect || not_ok 'Connect comes back'
answers 'after it was away for long' whole plain
is 'nothing was lost, or late' "$(counter whole source_gap) $(counter whole late_events)" "$lost"

# announce TXID COUNT COLLECTIONS: a transaction at $lsn that no table gets anything of.
announce()
{
	printf '%s\n' "{\"status\":\"BEGIN\",\"id\":\"$1:$lsn\",\"ts_ms\":1,\"event_count\":null,\"data_collections\":null}" \
	    "{\"status\":\"END\",\"id\":\"$1:$lsn\",\"ts_ms\":1,\"event_count\":$2,\"data_collections\":[$3]}" |
	    stack_produce whole.transaction
}

# ---- an END whose events never come ------------------------------------------------------------

sleep 1
lsn=$(sql "SELECT (pg_current_wal_lsn() - '0/0')::bigint")
offset=$(topic_end whole.transaction)
announce 4711 3 '{"data_collection":"public.keyed","event_count":1},{"data_collection":"public.keyless","event_count":2}'
# The first has a smaller sequence, so it is shown with it and missed by its own END; the second is
# beyond it in all partitions.
for _ in 1 2; do
	sql 'UPDATE keyed SET amount = amount + 1 WHERE id = 2; INSERT INTO keyless VALUES (3, 5)'
done
answers 'behind it' whole
is 'source_gap counts it' "$(counter whole source_gap)" 2
line=$(grep event=source.gap "$WORK/whole.log" | head -1)
contains 'one line names the transaction' "$line" 'transaction 4711'
contains 'and its LSN' "$line" "LSN $(printf '%X/%X' $((lsn >> 32)) $((lsn & 0xffffffff)))"
contains 'and its place' "$line" "whole.transaction offset $((offset + 1))"
contains 'and what is missing' "$line" '1 of 1 events of public.keyed, 2 of 2 events of public.keyless'
is 'there is one such line a second' "$(grep -c event=source.gap "$WORK/whole.log")" 1

# One table gets nothing any more, so only the transaction topic shows that the source goes on.
lsn=$(sql "SELECT (pg_current_wal_lsn() - '0/0')::bigint")
announce 4712 1 '{"data_collection":"public.keyless","event_count":1}'
goes_on()
{
	sql 'UPDATE keyed SET amount = amount + 1 WHERE id = 3'
	sleep 1
	log_has whole 'transaction 4712'
}
since=$SECONDS
await 60 goes_on && ok "what is missing of a silent table is named after $((SECONDS - since)) s" || not_ok 'the silent table is given up'
((SECONDS - since >= 45)) && ok 'not sooner' || not_ok 'it is given up too soon'
answers 'behind that' whole
tallyd_stop
tallyd_stop TERM "$whole"
