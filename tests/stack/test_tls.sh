# TLS and SASL, to Kafka and to PostgreSQL, with real servers. A certificate, host, password or mechanism
# that is wrong is refused with 77 by check and by run, in one line that says what to look at and no
# secret; a server that is away, or whose handshake is cut anywhere, never is.
# limit: 600 s
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.sh"
own_stack pg kafka
own_database
tls_certificates
tls_kafka bob bobs-word
tls_user alice alices-word
tls_postgres
stack_topic "$NAME.values"

number=0
value() # an event
{
	number=$((number + 1))
	printf '{"before":null,"after":{"value":1},"source":{"ts_ms":1,"snapshot":"false","sequence":"[null,\\"%d\\"]","lsn":%d},"op":"c"}\n' "$number" "$number" |
	    stack_produce "$NAME.values"
}

kafka_options() # MECHANISM USER PASSWORD [HOST] [PORT]
{
	echo "\"bootstrap.servers\" '${4:-localhost}:${5:-$sasl_port}', \"security.protocol\" 'sasl_ssl',
	    \"ssl.ca.location\" '$tls/ca.pem', \"sasl.mechanism\" '$1', \"sasl.username\" '$2', \"sasl.password\" '$3'"
}
postgres_options() # [HOST] [PASSWORD] [PORT]
{
	echo "host '${1:-localhost}', port '${3:-$PGPORT}', password '${2:-$PGPASSWORD}', dbname '$PGDATABASE',
	    \"user\" '$PGUSER', sslmode 'verify-full', sslrootcert '$tls/ca.pem'"
}
kafka=$(kafka_options SCRAM-SHA-512 alice alices-word)
postgres=$(postgres_options)

# file [KAFKA] [POSTGRES]
file()
{
	cat >"$WORK/pipeline.sql" <<-END
		SET pipeline = '$NAME';
		CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS (${1:-$kafka});
		CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (${2:-$postgres});
		CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.values');
		CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM t;
	END
}

# ---- what is right ---------------------------------------------------------------------------

value
for mechanism in SCRAM-SHA-512 PLAIN; do
	[[ $mechanism != PLAIN ]] || kafka=$(kafka_options PLAIN bob bobs-word)
	file
	asked check "$WORK/pipeline.sql"
	is "$mechanism, verify-full: check" "$status" 0
	contains "$mechanism, verify-full: check says" "$output" ', encrypted'
	tallyd_start "$mechanism"
	value
	comes_equal "$mechanism, verify-full" sum_table sum "SELECT $number::real"
	is "$mechanism: the session is encrypted" "$(sql "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity
	    USING (pid) WHERE application_name = 'tallyd/$NAME'")" t
	tallyd_stop
done

# ---- an outage is no refusal -----------------------------------------------------------------

# On from here with PLAIN. Servers are killed under it, and refuse nobody for it.
tallyd_start outage
await 20 log_has outage event=reduce.live || not_ok 'it runs'
for _ in 1 2; do
	stack_kill kafka
	sleep 1
	stack_start kafka
	stack_kill pg
	stack_start pg
done
value
comes_equal 'Kafka and PostgreSQL killed twice' sum_table sum "SELECT $number::real"
tallyd_stop

# cut SERVER PORT LAST: every handshake ends a little later than the one before it.
cut()
{
	local text="$1: a handshake cut after every 100 bytes, to $3"
	stack_choose_port
	"$ROOT/build/fault/cut-after" "$port" "$2" 100 "$3" >"$WORK/cuts" 2>"$WORK/cut-after.log" &
	tallyds+=($!)
	disown
	await 10 eval '! stack_port_free "$port"' || not_ok 'the proxy listens'
	case $1 in
	Kafka) file "$(kafka_options PLAIN bob bobs-word localhost "$port"), \"reconnect.backoff.ms\" '5', \"reconnect.backoff.max.ms\" '5'" ;;
	PostgreSQL) file '' "$(postgres_options localhost "$PGPASSWORD" "$port")" ;;
	esac
	tallyd_start "cut-$1"
	value
	if await 60 same_answer sum_table sum "SELECT $number::real"; then
		ok "$text: it goes on"
	else
		not_ok "$text: it goes on; $(tail -n 3 "$WORK/cut-$1.log")"
	fi
	(($(wc -l <"$WORK/cuts") > $3 / 100)) && ok "$text: all were cut" || not_ok "$text: all were cut, not $(wc -l <"$WORK/cuts")"
	tallyd_stop
}
cut Kafka "$sasl_port" 3000
cut PostgreSQL "$PGPORT" 4000

# ---- what is wrong ---------------------------------------------------------------------------

# refused TEXT STATUS WORD...: by run and by check, with one line of an error that has each word.
refused()
{
	local text=$1 wanted=$2 word output
	shift 2
	tallyd_run_to_end 15
	is "$text: run ends with $wanted" "$status" "$wanted"
	is "$text: run says why once" "$(grep -E 'level=error stage=(ingest|egress)|: error: ' "$WORK/ended.log" | grep -c -e "$1")" 1
	asked check "$WORK/pipeline.sql"
	is "$text: check ends with $wanted" "$status" "$wanted"
	is "$text: check says why once" "$(grep -c ': error: ' <<<"$output")" 1
	for word in "$@"; do
		contains "$text: run says" "$(grep -e level=error -e ': error: ' "$WORK/ended.log")" "$word"
		contains "$text: check says" "$(grep ': error: ' <<<"$output")" "$word"
	done
	cat "$WORK/ended.log" - <<<"$output" >>"$WORK/said"
}
file "${kafka/ca.pem/other-ca.pem}"
refused 'Kafka, another CA' 77 "localhost:$sasl_port" ssl.ca.location 'signed by nobody'
file "$(kafka_options PLAIN bob bobs-word 127.0.0.1)"
refused 'Kafka, another host' 77 "127.0.0.1:$sasl_port" bootstrap.servers 'another host'
file "$(kafka_options PLAIN bob a-wrong-word)"
refused 'Kafka, a wrong password, PLAIN' 77 sasl.password 'Invalid username or password'
file "$(kafka_options SCRAM-SHA-512 alice a-wrong-word)"
refused 'Kafka, a wrong password, SCRAM' 77 sasl.password 'invalid credentials'
file "$(kafka_options SCRAM-SHA-256 alice alices-word)"
refused 'Kafka, another mechanism' 77 sasl.mechanism SCRAM-SHA-512,PLAIN
file '' "${postgres/ca.pem/other-ca.pem}"
refused 'PostgreSQL, another CA' 77 "localhost:$PGPORT" sslrootcert 'certificate verify failed'
file '' "$(postgres_options 127.0.0.1)"
refused 'PostgreSQL, another host' 77 "127.0.0.1:$PGPORT" 'does not match host name'
file '' "$(postgres_options localhost a-wrong-word)"
refused 'PostgreSQL, a wrong password' 77 "localhost:$PGPORT" 'password authentication failed'
# What is wrong with the file or its own files is 78.
file "${kafka/ca.pem/no-ca.pem}"
refused 'Kafka, no such CA' 78 ssl.ca.location no-ca.pem 'No such file'
file "$kafka, \"ssl.key.location\" '$tls/client.key', \"ssl.certificate.location\" '$tls/client.pem', \"ssl.key.password\" 'a-wrong-word'"
refused 'Kafka, a wrong password of a key' 78 ssl.key.password
file '' "${postgres/ca.pem/no-ca.pem}"
refused 'PostgreSQL, no such CA' 78 sslrootcert no-ca.pem
file '' "$postgres, sslcert '$tls/client.pem', sslkey '$tls/client.key', sslpassword 'a-wrong-word'"
refused 'PostgreSQL, a wrong password of a key' 78 sslpassword
file '' "${postgres/dbname \'$PGDATABASE\'/dbname \'postgres://$PGUSER:a-wrong-word@localhost/$PGDATABASE\'}"
refused 'PostgreSQL, a connection string' 78 dbname 'connection string'
grep -e a-wrong-word -e bobs-word -e alices-word "$WORK/said" && not_ok 'no secret is shown' || ok 'no secret is shown'

# TLS to a listener without, and the reverse, may be a server that is not ready: waited for, with a hint.
file "$(kafka_options PLAIN bob bobs-word localhost "${BOOTSTRAP##*:}")"
output=$(timeout 60 "$BIN/tallyd" check "$WORK/pipeline.sql" 2>&1)
is 'TLS to a listener without TLS: check' $? 69
contains 'TLS to a listener without TLS: check says' "$output" security.protocol
file "\"bootstrap.servers\" 'localhost:$sasl_port'"
output=$(timeout 60 "$BIN/tallyd" check "$WORK/pipeline.sql" 2>&1)
is 'no TLS to a listener with TLS: check' $? 69
contains 'no TLS to a listener with TLS: check says' "$output" security.protocol

# One who was accepted before is refused only when it goes on.
file "$(kafka_options SCRAM-SHA-512 alice alices-word)"
tallyd_start rotated
await 20 log_has rotated event=reduce.live || not_ok 'it runs'
tls_user alice another-word
began=$SECONDS
stack_restart kafka
await 40 eval '[[ -z $(stack_started_at "$tallyd") ]]' && ok 'a password that was changed: it ends' || not_ok 'a password that was changed: it ends'
((SECONDS - began > 8)) && ok 'not at once' || not_ok "not at once, but after $((SECONDS - began)) s"
contains 'and says so' "$(grep stops "$WORK/rotated.log")" 'exit code 77'
contains 'and why' "$(grep level=error "$WORK/rotated.log")" 'sasl.password'
