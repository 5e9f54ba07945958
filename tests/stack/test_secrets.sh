# Five secrets (canaries.sh), all of them needed here: two of Kafka's in options by ${NAME}, one in a file;
# PostgreSQL's password in PGPASSWORD, that of its key in an option. None is in a log, a message, a command
# line, another stage's environment or memory, or a core file.
# limit: 600 s
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tls.sh"
own_stack pg kafka
own_database
tls_certificates
tls_kafka bob "$CANARY_SASL" carol "$CANARY_FILE"
tls_postgres
for topic in one two; do
	stack_topic "$NAME.$topic"
	echo '{"before":null,"after":{"value":7},"source":{"ts_ms":1,"snapshot":"false","sequence":"[null,\"5\"]","lsn":5},"op":"c"}' |
	    stack_produce "$NAME.$topic"
done
echo "$CANARY_FILE" >"$WORK/password"
sql 'CREATE TABLE two (sum bigint, time bigint, diff integer)'
tls_options="\"security.protocol\" 'sasl_ssl', \"ssl.ca.location\" '$tls/ca.pem', \"sasl.mechanism\" 'PLAIN', \"debug\" 'security,conf,broker,feature'"
cat >"$WORK/pipeline.sql" <<END
SET pipeline = '$NAME';
CREATE SERVER bob FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'localhost:$sasl_port', $tls_options,
  "sasl.username" 'bob', "sasl.password" '\${CANARY_SASL}', "ssl.certificate.location" '$tls/client.pem',
  "ssl.key.location" '$tls/client.key', "ssl.key.password" '\${CANARY_KEY}');
CREATE SERVER carol FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'localhost:$sasl_port', $tls_options,
  "sasl.username" 'carol', "sasl.password_file" '$WORK/password');
CREATE FOREIGN TABLE a (value integer NOT NULL) SERVER bob OPTIONS (topic '$NAME.one');
CREATE FOREIGN TABLE b (value integer NOT NULL) SERVER carol OPTIONS (topic '$NAME.two');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'localhost', port '$PGPORT', dbname '$PGDATABASE',
  "user" '$PGUSER', sslmode 'verify-full', sslrootcert '$tls/ca.pem', sslcert '$tls/client.pem',
  sslkey '$tls/user.key', sslpassword '\${CANARY_SSLKEY}');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM a;
CREATE MATERIALIZED VIEW two AS SELECT sum(value) AS sum FROM b;
END
openssl rsa -aes256 -passout "pass:$CANARY_SSLKEY" -in "$tls/plain.key" -out "$tls/user.key" 2>/dev/null
# What the test itself has in its environment is none of tallyd's business.
export -n STACK_PASSWORD CANARY_POSTGRES CANARY_FILE
export TALLYD_LOG_DEBUG=1 TALLYD_BACKOFF_MS=100 TALLYD_READY_LONG_MS=1
stages=(egress reduce ingest/bob ingest/carol)

# ---- whoever is asked, and what is written ---------------------------------------------------

mkdir "$WORK/cores"
# start [LOG]: where a core file would lie, if there were one.
start()
{
	(
		cd "$WORK/cores" && ulimit -c unlimited &&
		    exec "$BIN/tallyd" run "$WORK/pipeline.sql" >>"$WORK/${1:-tallyd}.log" 2>&1 </dev/null
	) &
	tallyd=$!
	tallyds+=("$tallyd")
	disown
	await 30 eval '[[ $("$BIN/tallyd" status "$WORK/pipeline.sql" 2>/dev/null | grep -c "ready *running") == 4 ]]' ||
	    not_ok "all stages run: $(tail -n 3 "$WORK/${1:-tallyd}.log")"
}
pid_of() # STAGE: as status knows it
{
	"$BIN/tallyd" status "$WORK/pipeline.sql" 2>/dev/null | awk -v stage="$1" '$1 == stage { print $4 }'
}
everyone()
{
	echo "$tallyd"
	cat "/proc/$tallyd/task/$tallyd/children"
}
start
comes_equal 'with all five secrets' sum_table sum 'SELECT 7::real'
comes_equal 'with all five secrets' two sum 'SELECT 7::bigint'

# ask COMMAND...: tallyd, its answer noted.
ask()
{
	echo "--- $*" >>"$WORK/answers.log"
	timeout 60 "$BIN/tallyd" "$@" >>"$WORK/answers.log" 2>&1
}
ask check "$WORK/pipeline.sql"
is 'check' $? 0
ask explain "$WORK/pipeline.sql"
ask status "$WORK/pipeline.sql"
ask status "$WORK/pipeline.sql" --json
cp "$WORK/pipeline.sql" "$WORK/good.sql"
try() # SED: such a file is checked, reloaded, reloaded dry
{
	sed "$1" "$WORK/good.sql" >"$WORK/pipeline.sql"
	ask check "$WORK/pipeline.sql"
	ask reload "$WORK/pipeline.sql" --dry-run
	ask reload "$WORK/pipeline.sql"
}
try "s/'\${CANARY_SASL}'/'\${CANARY_SASL}x'/"        # a wrong password
try "s/'\${CANARY_SASL}',/'\${CANARY_SASL}' oops,/"   # behind a secret
try "s/'\${CANARY_SSLKEY}'/'$CANARY_SSLKEY/"          # an open quote
try "s/\"ssl.key.password\" '\${CANARY_KEY}'/\"ssl.key.pem\" '\${CANARY_KEY}'/"
try "s/\"ssl.key.password\" '\${CANARY_KEY}'/\"no.such.key\" '\${CANARY_KEY}'/"
try "s/dbname '[a-z]*'/dbname 'postgres:\/\/user:$CANARY_POSTGRES@localhost\/x'/"
try "s/host 'localhost'/host 'password=$CANARY_POSTGRES'/"
PGDATABASE=postgres://user:$CANARY_POSTGRES@localhost/x try "s/dbname '[a-z]*',//"
PGPASSWORD=${CANARY_POSTGRES}x ask check "$WORK/good.sql"
cp "$WORK/good.sql" "$WORK/pipeline.sql"
ask reload "$WORK/pipeline.sql"
kill -USR1 "$tallyd"
ps eww -o pid,args -p "$(everyone | xargs | tr ' ' ,)" >"$WORK/ps.log"
for pid in $(everyone); do
	tr '\0' '\n' <"/proc/$pid/cmdline" >"$WORK/cmdline-$pid.log"
	tr '\0' '\n' <"/proc/$pid/environ" >"$WORK/environ-$pid.log"
	cat "/proc/$pid/comm" >>"$WORK/comm.log"
done
is 'command lines and environments of five processes were looked at' "$(wc -l <"$WORK/comm.log")" 5
contains 'there was much to search: debug lines' "$(cat "$WORK/tallyd.log")" 'level=debug'
contains 'there was much to search: librdkafka, with its own debug lines' "$(cat "$WORK/tallyd.log")" 'kafka.log msg="SASL'
(($(wc -l <"$WORK/answers.log") > 100)) && ok 'there was much to search: answers' || not_ok "only $(wc -l <"$WORK/answers.log") lines of answers"
leaks=$(canaries_in "$WORK")
is 'no secret in logs, answers, command lines, environments' "$leaks" ''
[[ -z $leaks ]] || grep -ahF "${canaries[@]/#/-e}" $leaks | head -5
# The search itself finds.
echo "x${CANARY_FILE}x" >"$WORK/found.log"
is 'what is there is found' "$(canaries_in "$WORK")" "$WORK/found.log"
rm "$WORK/found.log"

# ---- deaths ----------------------------------------------------------------------------------

cores()
{
	ls "$WORK/cores"
}
# strike SIGNAL: every stage, and each is there again afterwards.
strike()
{
	local stage pid
	for stage in "${stages[@]}"; do
		await 30 eval 'pid=$(pid_of "$stage"); [[ -n $pid && $pid != - ]]' || { not_ok "$stage runs"; continue; }
		kill -"$1" "$pid"
		await 30 eval '! kill -0 $pid 2>/dev/null && [[ $("$BIN/tallyd" status "$WORK/pipeline.sql" 2>/dev/null | grep -c "ready *running") == 4 ]]' ||
		    not_ok "$stage is there again"
	done
}
strike SEGV
strike ABRT
kill -SEGV "$tallyd"
await 10 eval '! kill -0 "$tallyd" 2>/dev/null'
is 'nine deaths by SIGSEGV and SIGABRT leave no core file' "$(cores)" ''
contains 'they were such deaths' "$(cat "$WORK/tallyd.log")" 'signal 11 (SEGV)'

# The same with core files: each holds what its stage needs, and nothing else of it.
export TALLYD_CORE=1
pattern=$(cat /proc/sys/kernel/core_pattern)
if [[ $pattern != core* || $pattern == *%* ]]; then
	echo "# core_pattern is '$pattern': memory is not looked at"
	exit
fi
# holds STAGE CANARY...: its core file holds these and no others.
holds()
{
	local stage=$1 pid canary wanted found=''
	shift
	wanted=${*:+$* }
	pid=$(pid_of "$stage")
	kill -ABRT "$pid"
	await 20 eval '! kill -0 $pid 2>/dev/null'
	for canary in "${canaries[@]}"; do
		! grep -qsaF "$canary" "$WORK/cores"/core* || found+="$canary "
	done
	(($(cat "$WORK/cores"/core* 2>/dev/null | wc -c) > 100000)) || not_ok "$stage leaves a core file with TALLYD_CORE"
	is "the memory of $stage" "$found" "$wanted"
	rm -f "$WORK/cores"/core*
	await 30 eval '[[ $("$BIN/tallyd" status "$WORK/pipeline.sql" 2>/dev/null | grep -c "ready *running") == 4 ]]' ||
	    not_ok "$stage is there again"
}
start cores
holds egress "$CANARY_POSTGRES" "$CANARY_SSLKEY"
holds ingest/bob "$CANARY_SASL" "$CANARY_KEY"
holds ingest/carol "$CANARY_FILE"
holds reduce
