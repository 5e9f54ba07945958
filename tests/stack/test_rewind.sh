# The target goes back in time: restored from a backup (of this run of tallyd, of an earlier one, of before it
# ever ran; while it runs, and while it does not), failed over to a standby that lagged, crashed with
# synchronous_commit = off. Each time a full recovery follows by itself, exact; then a clean stop and start
# replays nothing. How the truth is known: tests/crash/truth.sql; how it is held against: verify.sql.
# limit: 400 s
. "$(dirname "$0")/lib.sh"
crash=$ROOT/tests/crash
database=$NAME
target=$WORK/first # the folder of the server that is the target now
loads=() life=0 run=0

rewind_end()
{
	local server
	sql 'INSERT INTO load_stop VALUES (true)' 2>/dev/null
	for server in first second; do
		target=$WORK/$server
		((failed == 0)) || tail -n 15 "$target/pg.log" 2>/dev/null
		[[ ! -f $target/stack ]] || at_target stack_down
	done
	finish
}
stack_trap rewind_end

# ---- the source and its load -----------------------------------------------------------------

load_start()
{
	local w
	sql 'DELETE FROM load_stop'
	loads=()
	for w in 0 1; do
		life=$((life + 1))
		sql "CALL load($w, 0.$life, 0.02)" &
		loads+=($!)
	done
}

load_stop()
{
	sql 'INSERT INTO load_stop VALUES (true)'
	wait "${loads[@]}"
}

# shown [MORE]: what the source has made until now, and so many transactions more, are in the target.
shown()
{
	local n last='' end=$((SECONDS + 60 * PATIENCE))
	n=$(($(sql 'SELECT n FROM clock') + ${1:-0}))
	while ((SECONDS < end)); do
		last=$(at_target sql "SELECT shown($n, 2)" 2>/dev/null)
		[[ -z $last ]] || ((last < n)) || return 0
		sleep 0.05
	done
	not_ok "transaction $n is shown: ${last:-nothing} is"
	exit 1
}

# ---- the target's server ---------------------------------------------------------------------

as_postgres() # COMMAND...
{
	local as=()
	((EUID != 0)) || as=(setpriv --reuid=postgres --regid=postgres --init-groups)
	(cd "$target/pg" && PGUSER=postgres PGPASSWORD=postgres "${as[@]}" "$@")
}

backup() # NAME [OPTION...]: a copy of the running target, beside its data
{
	at_target as_postgres "$stack_pgbin/pg_basebackup" -D "$target/pg/$1" -c fast --no-sync "${@:2}" ||
	    { not_ok "the backup $1 is made"; exit 1; }
}

restore() # NAME: the target ends hard; the copy goes in its place
{
	at_target stack_kill pg QUIT
	rm -rf "$target/pg/lost"
	mv "$target/pg/data" "$target/pg/lost"
	cp -a "$1" "$target/pg/data"
	at_target eval 'echo "port = $PGPORT"' >>"$target/pg/data/postgresql.conf"
}

target_start()
{
	at_target stack_start pg || { not_ok 'the target starts again'; exit 1; }
}

# ---- tallyd ----------------------------------------------------------------------------------

rewind_pipeline() # PORT[,PORT]
{
	local hosts=127.0.0.1
	[[ $1 != *,* ]] || hosts=127.0.0.1,127.0.0.1
	{
		cat <<-END
			SET pipeline = '$NAME';
			SET checkpoint_interval_ms = 300;
			CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
			  OPTIONS ("bootstrap.servers" '$BOOTSTRAP', "group.id" '$NAME', transaction_topic '$NAME.transaction');
			CREATE SERVER target FOREIGN DATA WRAPPER postgres
			  OPTIONS (host '$hosts', port '$1', dbname '$NAME', "user" '$PGUSER', password '$PGPASSWORD');
		END
		truth_tables
	} >"$WORK/pipeline.sql"
}

rewind_start() # its log in $log
{
	run=$((run + 1)) log=run$run
	tallyd_start "$log"
}

# went_back TEXT: the running tallyd has seen it, and begun anew by itself.
went_back()
{
	local back
	await 20 log_has "$log" 'event=target.moved.*the target went back' && ok "$1: the target is found at an older batch" ||
	    not_ok "$1: the target is found at an older batch"
	await 20 log_has "$log" event=recovery.full && ok "$1: a full recovery follows" ||
	    not_ok "$1: a full recovery follows"
	back=$(grep -o 'target stands at batch .* begun' "$WORK/$log.log" | tail -n 1)
	echo "$1: $back"
}

# ---- the verdict -----------------------------------------------------------------------------

verdict() # TEXT: all that the target has ever shown, held against what was true
{
	local text=$1 commits outputs never_true disorder repeated lost doubled view
	at_target sql 'DROP TABLE IF EXISTS truth, final;
	    CREATE TABLE truth (n bigint, h numeric);
	    CREATE TABLE final (view text, row text)' 2>/dev/null
	sql 'COPY truth TO STDOUT' | at_target sql 'COPY truth FROM STDIN'
	sql 'COPY (SELECT view, row FROM state) TO STDOUT' | at_target sql 'COPY final FROM STDIN'
	at_target stack_psql -v details=1 -f "$crash/verify.sql" >"$WORK/verdict.log"
	IFS='|' read -r commits outputs never_true disorder repeated lost doubled <"$WORK/verdict.log"
	echo "$text: commits=$commits outputs=$outputs"
	is "$text: never true, not in order, repeated, lost, doubled" \
	    "$never_true $disorder $repeated $lost $doubled" '0 0 0 0 0'
	for view in accounts ledger parts; do
		at_target obeys "$view" grp n,total,lowest,highest
	done
	at_target obeys tick '' n
}

# settled TEXT: the load ends, the verdict; then what was written since serves a clean stop and start.
settled()
{
	load_stop
	shown
	verdict "$1"
	tallyd_stop
	rewind_start
	await 20 log_has "$log" event=reduce.live || not_ok "$1: a start after it goes live"
	contains "$1: a clean stop and start replays nothing" "$(grep event=reduce.live "$WORK/$log.log")" ': 0 changes,'
	log_has "$log" event=checkpoint.loaded || not_ok "$1: it has a checkpoint"
	load_start
	shown 1
}

# ---- the servers -----------------------------------------------------------------------------

own_database
stack_psql -f "$crash/source.sql" || not_ok 'the source is made'
at_target stack_up "$target" pg || { not_ok 'the target starts'; exit 1; }
at_target stack_database "$NAME"
# Only for its standby later on, which begins with this setting: so much WAL can be lost at most.
at_target stack_superuser -c "ALTER SYSTEM SET wal_buffers = '16MB'"
load_start
CONNECTOR_OPTIONS=$'value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false' \
    stack_connector "$NAME" public.{clock,accounts,ledger,parts} >/dev/null || { not_ok 'the connector'; exit 1; }
at_target stack_psql -f "$crash/target.sql"
backup blank
rewind_pipeline "$(at_target eval 'echo $PGPORT')"
rewind_start
shown

# ---- from a backup ---------------------------------------------------------------------------

backup old
shown 40
restore "$target/pg/old"
target_start
went_back 'restored from a backup'
shown 1
settled 'restored from a backup'

# Its row says an owner of before the last start of tallyd.
shown 20
restore "$target/pg/old"
target_start
await 20 log_has "$log" event=recovery.full && ok 'from a backup of an earlier run: a full recovery follows' ||
    not_ok 'from a backup of an earlier run: a full recovery follows'
shown 1
settled 'from a backup of an earlier run'

# The offset of the clock's next record, by the target.
target_next()
{
	at_target sql "SELECT p->>'next' FROM tallyd.pipeline, jsonb_array_elements(position->'kafka'->'partitions') p
	    WHERE p->>'topic' = '$NAME.public.clock'"
}

backup older
next=$(target_next)
shown 40
# It is told of what is durable each second, and at the end; but a broker that stalls just then is not waited for.
group_has_gone_on()
{
	group=$(group_next "$NAME" "$NAME.public.clock")
	((${group:-0} > next))
}
await 20 group_has_gone_on
tallyd_stop
restore "$target/pg/older"
target_start
next=$(target_next)
((group > next)) && ok "the group is at offset $group, the restored target at $next" ||
    not_ok "the group is at offset ${group:-none}, the restored target at ${next:-none}"
rewind_start
shown 1
settled 'while tallyd was stopped'

# ---- to a standby that lagged ----------------------------------------------------------------

standby_make() # in the folder $WORK/second
{
	local first second
	mkdir -p "$WORK/second/tmp" "$WORK/second/pg"
	chmod 755 "$WORK/second"
	((EUID != 0)) || chown postgres "$WORK/second/pg"
	: >"$WORK/second/stack"
	(STACK=$WORK/second && stack_choose_ports)
	backup standby -R
	mv "$WORK/first/pg/standby" "$WORK/second/pg/data"
	first=$(at_target eval 'echo $PGPORT')
	target=$WORK/second
	second=$(at_target eval 'echo $PGPORT')
	echo "port = $second" >>"$WORK/second/pg/data/postgresql.conf"
	target_start
	await 20 at_target eval '[[ $(stack_superuser -c "SELECT status FROM pg_stat_wal_receiver") == streaming ]]' &&
	    ok 'the standby streams' || not_ok 'the standby streams'
	target=$WORK/first
	rewind_pipeline "$first,$second"
}

receives_no_more()
{
	[[ $(target=$WORK/second at_target stack_superuser -c 'SELECT count(*) FROM pg_stat_wal_receiver') == 0 ]]
}

standby_make
tallyd_stop
rewind_start
shown 20
target=$WORK/second shown && ok 'it has what the primary has'
# WAL that it had received would be replayed by the promotion: so it is what is received that lags.
target=$WORK/second at_target stack_superuser -c "ALTER SYSTEM SET primary_conninfo = ''" \
    -c 'SELECT pg_reload_conf()' >/dev/null
await 20 receives_no_more || not_ok 'it receives no more'
shown 40
at_target stack_kill pg QUIT
target=$WORK/second
await 20 log_has "$log" 'read-only' && ok 'no primary: it is waited for' || not_ok 'no primary: it is waited for'
at_target stack_superuser -c 'SELECT pg_promote()' >/dev/null
went_back 'failed over'
shown 1
# For the sessions of the next start, which follows.
at_target stack_superuser -c "ALTER DATABASE $NAME SET synchronous_commit = off" \
    -c "ALTER SYSTEM SET wal_writer_delay = '10s'" -c "ALTER SYSTEM SET wal_writer_flush_after = '1GB'" \
    -c 'SELECT pg_reload_conf()' >/dev/null
settled 'failed over'

# ---- a crash with synchronous_commit = off ---------------------------------------------------

for round in 1 2 3; do
	shown 40
	before=$(grep -c event=target.moved "$WORK/$log.log")
	at_target stack_kill pg QUIT
	target_start
	shown 1
	echo "crash $round: $(($(grep -c event=target.moved "$WORK/$log.log") - before)) times back;" \
	    "$(grep -o 'target stands at batch .* begun' "$WORK/$log.log" | tail -n 1)"
done
went_back 'crashed with synchronous_commit = off'
settled 'crashed with synchronous_commit = off'

# ---- from a backup of before the first start -------------------------------------------------

# The target knows nothing of the pipeline any more, but Kafka does: not for tallyd to guess.
restore "$WORK/first/pg/blank"
target_start
await 20 eval '[[ -z $(stack_started_at "$tallyd") ]]'
contains 'from a backup of before the first start: it ends' "$(tail -n 1 "$WORK/$log.log")" \
    "exit code 78, for ingest refused to go on: group $NAME has committed offset"
tallyd_run_to_end 20 "$WORK/pipeline.sql" blank
is 'and does not start' "$status" 78
is 'and has written nothing' "$(at_target sql 'SELECT count(*) FROM outputs')" 0
sed -i "s/transaction_topic/start 'earliest', &/" "$WORK/pipeline.sql"
rewind_start
shown 1
load_stop
shown
verdict "from a backup of before the first start, with start = 'earliest'"
tallyd_stop
