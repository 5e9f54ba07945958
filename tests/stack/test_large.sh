# Large and hostile messages: of several MiB, in a column that is skipped and in one that is used; larger than
# a row or a fetch may be; nested without end; with bytes that would break a log line.
. "$(dirname "$0")/lib.sh"
own_stack pg kafka
own_database
echo 'message.max.bytes=20000000' >>"$STACK/kafka.properties"
stack_restart kafka || not_ok 'a broker that takes messages of 20 MB'

number=0
event() # VALUE [MORE]: an event with column v, and others
{
	number=$((number + 1))
	printf '{"before":null,"after":{"v":%s%s},"source":{"ts_ms":1,"snapshot":"false","sequence":"[null,\\"%d\\"]","lsn":%d},"op":"c"}\n' \
	    "$1" "${2-}" "$number" "$number"
}
text() # BYTES
{
	head -c "$1" /dev/zero | tr '\0' x
}
# topic NAME: made of the lines of standard input
topic()
{
	stack_topic "$1"
	stack_produce "$1" -X message.max.bytes=20000000
}
table() # NAME TYPE
{
	sql "CREATE TABLE $1 (n $2, time bigint, diff integer)"
}
# declare_view NAME TYPE AGGREGATE [OPTIONS]: a pipeline, a view and a topic of that name
declare_view()
{
	pipeline "start 'earliest'${4+, $4}" <<-END
		CREATE FOREIGN TABLE t (v $2) SERVER kafka OPTIONS (topic '$NAME.$1');
		CREATE MATERIALIZED VIEW $1 AS SELECT $3 AS n FROM t;
	END
	sed -i "s/^SET pipeline = .*/SET pipeline = '$1';/" "$WORK/pipeline.sql"
}

# ---- size ------------------------------------------------------------------------------------

table skipped bigint
{
	event 1
	event 2 ",\"big\":\"$(text 5000000)\""
	event 4
} | topic "$NAME.skipped"
declare_view skipped integer 'sum(v)'
tallyd_start skipped
comes_equal '5 MB in a column that is skipped' skipped n 'SELECT 7::bigint'
tallyd_stop

table used bigint
sql 'CREATE TABLE longest (k text, n bigint, time bigint, diff integer)'
{
	event '"a"'
	event "\"$(text 1900000)\""
	event "\"$(text 5000000)\""
	event '"b"'
} | topic "$NAME.used"
declared="CREATE FOREIGN TABLE t (v text) SERVER kafka OPTIONS (topic '$NAME.used');
    CREATE MATERIALIZED VIEW longest AS SELECT v AS k, count(*) AS n FROM t GROUP BY v;"
pipeline "start 'earliest'" <<<"$declared"
tallyd_run_to_end 30
is 'a row larger than half a ring: ends with 65' "$status" 65
for word in 'used \[0\] offset 2: ' 'about 50000' 'SET ring_bytes'; do
	grep level=error "$WORK/ended.log" | grep -q "$word" && ok "and says $word" || not_ok "and says $word: $(tail -n 3 "$WORK/ended.log")"
done
pipeline "start 'earliest'" <<<"SET ring_bytes = 16777216; $declared"
tallyd_start used
comes_equal 'with a larger ring' longest 'k,n' \
    "SELECT k, 1::bigint AS n FROM (VALUES ('a'), ('b'), (repeat('x', 1900000)), (repeat('x', 5000000))) v (k)"
tallyd_stop

# The limits of a fetch: librdkafka would try for ever.
sql "TRUNCATE skipped; DELETE FROM tallyd.pipeline"
declare_view skipped integer 'sum(v)' \
    "\"receive.message.max.bytes\" '1100000', \"fetch.max.bytes\" '1000000', \"message.max.bytes\" '1000000'"
tallyd_run_to_end 30
is 'a message larger than receive.message.max.bytes: ends with 78' "$status" 78
contains 'and says so' "$(grep level=error "$WORK/ended.log")" 'a message is larger than receive.message.max.bytes'

# ---- nesting, bytes --------------------------------------------------------------------------

deep() # N: arrays in arrays
{
	printf '%*s' "$1" '' | tr ' ' '['
	printf '%*s' "$1" '' | tr ' ' ']'
}
# bad NAME TYPE TEXT WORD...: topic NAME from standard input; the second of its messages is refused with 65.
bad()
{
	local name=$1 type=$2 text=$3 word json
	shift 3
	table "$name" bigint
	topic "$NAME.$name"
	declare_view "$name" "$type" 'count(v)'
	tallyd_run_to_end 30 '' "$name"
	is "$text: ends with 65" "$status" 65
	for word in "$name [0] offset 1: " "$@"; do
		contains "$text: says" "$(grep level=error "$WORK/$name.log")" "$word"
	done
	is "$text: what came before is there" "$(sql "$(live "$name" n)")" 1
	json=$WORK/$name.json.log
	TALLYD_LOG_FORMAT=json tallyd_run_to_end 30 '' "$name.json"
	is "$text: each line of the log is JSON" \
	    "$(json_lines "$json")" "$(wc -l <"$json")"
	is "$text: each line of the log is logfmt" \
	    "$(grep -cvE '^ts=[^ ]+ level=[a-z]+ stage=[a-z/]+ event=[a-z_.]+ msg="([^"\\]|\\.)*"$' "$WORK/$name.log")" 0
	LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]' "$WORK/$name.log" "$json" && not_ok "$text: no control character" || ok "$text: no control character"
	iconv -f utf-8 -t utf-8 "$WORK/$name.log" "$json" >/dev/null && ok "$text: the log is UTF-8" || not_ok "$text: the log is UTF-8"
}
json_lines() # FILE: how many of its lines PostgreSQL reads as JSON with a message
{
	sql 'CREATE TABLE IF NOT EXISTS lines (line json); TRUNCATE lines'
	sql "COPY lines FROM STDIN WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')" <"$1"
	sql "SELECT count(line->>'msg') FROM lines"
}

bad deep integer '70 arrays in a column that is skipped' nested < <(event 1; event 2 ",\"other\":$(deep 70)")
bad deep_used integer '70 arrays in a column that is used' nested < <(event 1; event "$(deep 70)")
table shallow bigint
{ event 1; event 2 ",\"other\":$(deep 50)"; event '"x"'; } | topic "$NAME.shallow"
declare_view shallow integer 'sum(v)'
tallyd_run_to_end 30 '' shallow
is '50 arrays in a column that is skipped are skipped' "$(sql "$(live shallow n)")" 3
bad latin text 'text that is no UTF-8' UTF-8 < <(event '"a"'; event "\"$(printf '\xff\xfe')\"")
nasty='\x1b[2J\x1b]0;title\x07 \xff\xfe" level=error msg="forged\x7f\xe2\x80\xa8\xe2\x80\xae\xc2\x9b2J \\'
bad garbage integer 'a message of nasty bytes' JSON < <(event 1; printf "$nasty\n")
bad forged integer 'a value of nasty characters' 'u202e' < <(event 1; event "\"$(printf '\xe2\x80\xae\xe2\x80\xa8\xc2\x9b')7\"")
