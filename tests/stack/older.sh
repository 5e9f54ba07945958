# older.sh - the worked example and a keyed table with an older Debezium than the one that all other tests
# run: the exact sums, over a kill of a stage, a stop and a start. Sourced by the tests of such a version, after
# own_stack; $file is the worked example's pipeline file as that version needs it, $views that of the keyed table.
export PGDATABASE=values_db

# older_run MODE VERSION: what `check` must say, and what stands in the messages.
older_run()
{
	stack_database values_db
	sql 'CREATE TABLE accounts (id integer PRIMARY KEY, grp integer, amount numeric(12,2), note text);
	    CREATE TABLE by_grp (grp integer, n bigint, total numeric, lowest numeric, notes bigint, time bigint, diff integer);
	    INSERT INTO "values" SELECT generate_series(1, 200);
	    INSERT INTO accounts SELECT i, i % 7, i * 1.25, nullif(i % 3, 0)::text FROM generate_series(1, 200) i'
	older_pipelines
	CONNECTOR_OPTIONS=$options stack_connector postgres public.values public.accounts >/dev/null ||
	    not_ok 'connector'
	await 30 older_snapshot || not_ok 'the snapshot comes'
	contains "the messages are of $2" "$(kcat -q -C -b "$BOOTSTRAP" -t postgres.public.values -c 1 -o beginning)" \
	    "\"version\":\"$2"
	asked check "$file"
	contains "check says mode $1" "$output" "transaction mode $1: "
	tallyd_start values "$file"
	values=$tallyd
	await 30 older_beats && ok 'its heartbeats are read' || not_ok 'its heartbeats are read'
	tallyd_start accounts "$views"
	older_equal 'the snapshot'

	local load start
	start=$(topic_end postgres.public.accounts)
	older_load 300 "$WORK/killed" &
	load=$!
	await 30 grown postgres.public.accounts 500 || not_ok 'the load arrives'
	stage_kill reduce
	kill -0 "$load" 2>/dev/null && ok 'reduce is killed in mid-load' || not_ok 'the load lasts longer'
	touch "$WORK/killed"
	wait "$load"
	older_equal 'a kill of reduce in mid-load'
	tallyd_stop TERM "$values"
	tallyd_stop
	older_load 30
	tallyd_start values-again "$file"
	tallyd_start accounts-again "$views"
	older_equal 'a stop and a start'
	sql 'DELETE FROM "values"; DELETE FROM accounts WHERE grp = 3'
	older_equal 'all deleted'
	sql 'INSERT INTO "values" VALUES (-7), (8); UPDATE accounts SET id = id + 1000, grp = 3 WHERE grp = 4'
	older_equal 'begun again'
	obeys sum_table '' sum
	obeys by_grp grp n,total,lowest,notes
}

older_snapshot()
{
	(($(topic_end postgres.public.values) == 200 && $(topic_end postgres.public.accounts) == 200)) 2>/dev/null
}

older_beats()
{
	"$BIN/tallyd" status sum_of_values 2>/dev/null | grep -q '^ingest: .* heartbeats=[1-9]'
}

# The file of the keyed table; $file's servers, in the order of the worked example.
older_pipelines()
{
	views=$WORK/accounts.sql
	{
		sed "s/'sum_of_values'/'accounts'/; s/\"group.id\" '0'/\"group.id\" 'accounts'/; /TABLE \"values\"/,/;/d
		    /MATERIALIZED/,\$d" "$file"
		cat <<-'END'
			CREATE FOREIGN TABLE accounts (id integer PRIMARY KEY, grp integer, amount numeric(12,2), note text)
			  SERVER kafka OPTIONS (topic 'postgres.public.accounts');
			CREATE MATERIALIZED VIEW by_grp AS SELECT grp, count(*) AS n, sum(amount) AS total,
			  min(amount) AS lowest, count(note) AS notes FROM accounts GROUP BY grp;
		END
	} >"$views"
}

# older_load COUNT [FILE]: transactions of inserts, updates and deletes in both tables; more of them until
# the file is there.
older_load()
{
	local i
	for ((i = 1; ; i++)); do
		((i <= $1)) || [[ -n ${2-} && ! -e $2 ]] || break
		echo "BEGIN; INSERT INTO \"values\" VALUES ($i), ($((i * 3)));
		    UPDATE \"values\" SET value = value + 1 WHERE value = $((i * 2 % 90));
		    DELETE FROM \"values\" WHERE value = $((i * 3 % 97));
		    UPDATE accounts SET amount = amount - 0.25, note = nullif(note, '2') WHERE id % 40 = $((i % 40));
		    UPDATE accounts SET grp = (grp + 1) % 7 WHERE id % 31 = $((i % 31));
		    DELETE FROM accounts WHERE id = $((i * 5));
		    INSERT INTO accounts VALUES ((SELECT max(id) + 1 FROM accounts), $((i % 7)), $i.5, NULL); COMMIT;
		    SELECT pg_sleep(0.005);"
	done | stack_psql >/dev/null
}

older_equal() # TEXT
{
	comes_equal "$1" sum_table sum 'SELECT sum(value)::real AS sum FROM "values" HAVING count(*) > 0'
	comes_equal "$1" by_grp grp,n,total,lowest,notes 'SELECT grp, count(*), sum(amount), min(amount), count(note)
	    FROM accounts GROUP BY grp'
}
