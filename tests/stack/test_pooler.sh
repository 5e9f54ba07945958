# A connection pooler before PostgreSQL, the real pgbouncer. In transaction and in statement mode,
# where a session's lock and settings would be another's, tallyd says so and stops (78), also when it
# is the pooler's only client and always gets the same backend; in session mode it works, and a second
# tallyd stands by. A pooler that is changed under a running tallyd is seen.
. "$(dirname "$0")/lib.sh"
own_database
sql 'INSERT INTO "values" VALUES (1), (2)'
stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
sum='SELECT sum(value)::real AS sum FROM "values"'
port=$PGPORT
pooler_port=$(
	stack_choose_port
	echo "$port"
)
view()
{
	PGPORT=$pooler_port pipeline <<-END
		CREATE FOREIGN TABLE "values" (value integer NOT NULL)
		  SERVER kafka OPTIONS (topic '$NAME.public.values');
		CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
	END
}
view

# pooler MODE [OPTION...]: a new one in the place of the last.
pooler=''
pooler()
{
	local as=()
	[[ -z $pooler ]] || { kill -KILL "$pooler"; wait "$pooler" 2>/dev/null; }
	echo "\"$PGUSER\" \"$PGPASSWORD\"" >"$WORK/users"
	{
		echo "[databases]"
		echo "* = host=127.0.0.1 port=$port"
		echo "[pgbouncer]"
		printf '%s\n' "listen_addr = 127.0.0.1" "listen_port = $pooler_port" 'unix_socket_dir =' \
		    'auth_type = scram-sha-256' "auth_file = $WORK/users" "pool_mode = $1" "${@:2}"
	} >"$WORK/pgbouncer.ini"
	chmod 644 "$WORK/users" "$WORK/pgbouncer.ini"
	((EUID != 0)) || as=(setpriv --reuid=postgres --regid=postgres --init-groups)
	# The death signal last: a change of user forgets it.
	"${as[@]}" setpriv --pdeathsig KILL pgbouncer -q "$WORK/pgbouncer.ini" >"$WORK/pgbouncer.log" 2>&1 &
	pooler=$!
	# No question: it would take the only backend of a small pool.
	await 10 eval '! stack_port_free "$pooler_port"' || not_ok "$1: pgbouncer runs"
}

# refused WHAT
refused()
{
	local output status
	asked check "$WORK/pipeline.sql"
	is "$1: check" "$status" 78
	contains "$1: check says why" "$output" 'pooler in transaction mode'
	tallyd_run_to_end 15
	is "$1: run" "$status" 78
	contains "$1: run says why" "$(cat "$WORK/ended.log")" 'set the pooler to session mode'
}

for mode in transaction statement; do
	pooler $mode
	refused "$mode mode, alone"
	pooler $mode 'default_pool_size = 1'
	refused "$mode mode, a pool of one"
	pooler $mode 'server_round_robin = 1' 'min_pool_size = 5'
	refused "$mode mode, round robin"
done
locks()
{
	sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
	    (SELECT oid FROM pg_database WHERE datname = current_database())"
}
# A backend whose client has gone may still be ending; one that the pooler keeps stays for ten minutes.
await 20 eval '[[ $(locks) == 0 ]]'
is 'nothing of it is left in the target' "$(locks)" 0

pooler session
asked check "$WORK/pipeline.sql"
is 'session mode: check' "$status" 0
tallyd_start
comes_equal 'session mode' sum_table sum "$sum"
first=$tallyd
mkdir -m 700 "$WORK/run2"
RUNTIME_DIRECTORY=$WORK/run2 tallyd_start second
second=$tallyd
await 30 log_has second event=stage.standby && ok 'session mode: a second one stands by' ||
    not_ok 'session mode: a second one stands by'
kill -KILL "$first"
sql 'INSERT INTO "values" VALUES (4)'
comes_equal 'session mode: the second has taken over' sum_table sum "$sum"
pooler session 'default_pool_size = 1'
sql 'INSERT INTO "values" VALUES (8)'
comes_equal 'session mode, a pool of one' sum_table sum "$sum"
# Several backends lie unused when tallyd comes back.
pooler transaction 'min_pool_size = 3'
await 20 log_has second event=target.pooler && ok 'changed to transaction mode: tallyd stops' ||
    not_ok 'changed to transaction mode: tallyd stops'
await 10 eval '[[ -z $(stack_started_at "$second") ]]' || not_ok 'changed to transaction mode: tallyd ends'
obeys sum_table '' sum
