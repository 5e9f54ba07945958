# The answer to a commit is cut: a proxy before PostgreSQL ends the connection before the server has
# seen the commit, then after each byte of its answer, from none to all of them. For the one statement of
# a small batch, and for COMMIT after COPY. Nothing is lost and nothing is there twice.
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE items (id integer PRIMARY KEY, k text);
    CREATE TABLE by_k (k text, n bigint, time bigint, diff integer);
    INSERT INTO items SELECT i, i % 5 FROM generate_series(-10, -1) i'
stack_connector "$NAME" public.items >/dev/null || not_ok 'connector'
answer='SELECT k, count(*) AS n FROM items GROUP BY k'
stack_choose_port
PGPORT=$port pipeline <<END
CREATE FOREIGN TABLE items (id integer PRIMARY KEY, k text)
  SERVER kafka OPTIONS (topic '$NAME.public.items');
CREATE MATERIALIZED VIEW by_k AS SELECT k, count(*) AS n FROM items GROUP BY k;
END
setpriv --pdeathsig KILL "$ROOT/build/fault/cut-proxy" "$port" "$PGPORT" >"$WORK/cuts" 2>"$WORK/proxy.log" &
proxy=$!
tallyds+=("$proxy")
disown "$proxy"
await 10 eval '! stack_port_free "$port"' || not_ok 'the proxy listens'
tallyd_start
# What is loaded from here on is streamed, and measured: the snapshot is not.
comes_equal 'the snapshot' by_k k,n "$answer"

next=0
small() # several commits of one statement
{
	local i
	for i in 1 2 3 4 5 6; do
		echo "INSERT INTO items SELECT $next + i, i % 5 FROM generate_series(1, 5) i;"
		echo 'SELECT pg_sleep(0.01);'
		next=$((next + 5))
	done | stack_psql >/dev/null
	next=$((next + 30))
}

large() # one commit by COPY
{
	sql "INSERT INTO items SELECT $next + i, 'k' || ($next + i) FROM generate_series(1, 600) i"
	next=$((next + 600))
}

# cut KIND LOAD: until each cut was made.
cut()
{
	local kind=$1 length cuts end=$((SECONDS + 120 * PATIENCE)) before=0
	until grep -qx "$kind done" "$WORK/cuts"; do
		((SECONDS < end)) || { not_ok "$kind: all cuts were made"; break; }
		before=$(grep -c "^$kind" "$WORK/cuts")
		$2
		await 2 eval '(($(grep -c "^$kind" "$WORK/cuts") > before))'
	done
	length=$(sed -n "s/^$kind [0-9]* \\([0-9]*\\)\$/\\1/p" "$WORK/cuts" | tail -n 1)
	cuts=$(grep -cE "^$kind -?[0-9]+ " "$WORK/cuts")
	is "$kind: $cuts cuts, one before the commit and one after each of 0 to $length bytes" \
	    "$(sed -n "s/^$kind \\(-*[0-9]*\\) .*/\\1/p" "$WORK/cuts" | tr '\n' ' ')" \
	    "$(seq -s ' ' -1 "${length:-0}") "
	comes_equal "$kind" by_k k,n "$answer"
	obeys by_k k n
}
cut statement small
cut copy large
known=$(grep -c event=batch.known "$WORK/tallyd.log")
((known > 50)) && ok "$known commits were found in the target" || not_ok "$known commits were found in the target"
# Found there or answered: its events are in the histogram, once. The snapshot's ten rows are not. Rows are
# seen in the target before egress has the answer, and measures.
measured()
{
	"$BIN/tallyd" status "$NAME" --json | sed 's/.*"latency":{"count":\([0-9]*\).*/\1/'
}
loaded=$(sql 'SELECT count(*) FROM items WHERE id > 0')
await 10 eval '[[ $(measured) == "$loaded" ]]'
is 'the latency of each event was measured once' "$(measured)" "$loaded"
# What was refused or asked for twice would be said.
is 'no stage has died' "$(grep -c event=stage.death "$WORK/tallyd.log")" 0
