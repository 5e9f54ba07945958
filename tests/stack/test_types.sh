# Every type through the real connector, in several of its modes, with and without the schema block, into
# tables of the same types: what is there equals PostgreSQL's SELECT over the source. Then UPDATEs that do
# not carry what is stored out of line.
. "$(dirname "$0")/lib.sh"
own_database
stack_psql -f tests/stack/types.sql
# The snapshot brings the rows from 1, the stream those from 101; BC only by the stream. With REPLICA IDENTITY
# FULL a table without key, too.
sql "SELECT insert_types(1, false)"
for table in types arrays large; do
	sql "CREATE TABLE ${table}_full (LIKE $table INCLUDING STORAGE);
	    ALTER TABLE ${table}_full REPLICA IDENTITY FULL; INSERT INTO ${table}_full SELECT * FROM $table"
done
# Values that are equal and look different, some of them in one group.
forms='n numeric, iv interval, c char(4), t text, f double precision, r real, jb jsonb, a numeric[], b bytea'
sql "CREATE TABLE forms (id integer PRIMARY KEY, $forms);
    INSERT INTO forms VALUES
	(1, 1.0, '1 mon', 'a', 'a', 0.1, 0.1, '{\"a\": 1.0}', '{1.0,NULL}', '\\x00'),
	(2, 1.00, '30 days', 'a   ', 'B', -0.0, 0.2, '{\"a\": 1.00}', '{1.00,NULL}', '\\x'),
	(3, 1, '29 days 24:00', '', 'ä', 0, 16777216, '{\"a\": 10e-1}', '{1,NULL}', '\\x00'),
	(4, 1.5, '-1 days', 'b', '', 'NaN', 'NaN', '{\"b\": [true]}', '{}', NULL),
	(5, 1.500, '-24:00', 'b', 'z', 'NaN', 'NaN', '{\"b\":[true]}', '{}', NULL),
	(6, NULL, NULL, NULL, NULL, '-Infinity', NULL, NULL, NULL, '\\xff'),
	(7, NULL, NULL, NULL, NULL, 'Infinity', NULL, NULL, NULL, '\\xff'),
	(8, 'NaN', '00:00', ' ', ' ', 1e16, 1e-45, '0', '{NaN}', '\\x0000'),
	(9, 'NaN', '1 day -24:00', '  ', ' ', 1, 1e-45, '-0', '{NaN}', '\\x0000')"
tables=(public.forms public.types public.arrays public.large public.types_full public.arrays_full public.large_full)

# What a mode is: the connector's options; those of them that bare JSON (or bytes as strings) needs in the pipeline file.
declare -A connector=(
	[exact]='value.converter.schemas.enable=true key.converter.schemas.enable=true decimal.handling.mode=string
	    time.precision.mode=microseconds interval.handling.mode=string'
	[bare]='value.converter.schemas.enable=false key.converter.schemas.enable=false'
	[double]='value.converter.schemas.enable=true key.converter.schemas.enable=true decimal.handling.mode=double
	    time.precision.mode=adaptive_time_microseconds binary.handling.mode=base64'
	[connect]='value.converter.schemas.enable=false key.converter.schemas.enable=false decimal.handling.mode=string
	    time.precision.mode=connect binary.handling.mode=hex interval.handling.mode=string'
	[iso]='value.converter.schemas.enable=true key.converter.schemas.enable=false time.precision.mode=isostring
	    binary.handling.mode=base64-url-safe interval.handling.mode=string'
)
declare -A options=(
	[double]="\"binary.handling.mode\" 'base64'"
	[connect]="\"decimal.handling.mode\" 'string', \"time.precision.mode\" 'connect', \"binary.handling.mode\" 'hex'"
	[iso]="\"binary.handling.mode\" 'base64-url-safe'"
)
# What a mode cannot carry: column (table:column, if only there), how it is declared there (. as in the source), and what
# becomes of it (- nothing that can be compared: an unchanged one comes as null, if the identity is not FULL).
finite="CASE WHEN %s NOT IN ('NaN', 'Infinity', '-Infinity') THEN %s END"
declare -A lost=(
	[exact]="large:l_nums . -"
	[bare]="c_num . $finite
c_num204 . nullif(%s, 'NaN')
c_num50 . nullif(%s, 'NaN')
c_interval . make_interval(secs => round((extract(year FROM %s) * 12 + extract(month FROM %s)) * 2629800
    + extract(day FROM %s) * 86400 + extract(hour FROM %s) * 3600 + extract(minute FROM %s) * 60 + extract(second FROM %s), 6)::float8)
large:l_nums . -"
	[double]='c_num . %s::float8::text::numeric
c_num204 numeric %s::float8::text::numeric
c_num50 numeric %s::float8::text::numeric
c_money numeric %s::numeric::float8::text::numeric
c_interval . -
large:l_nums . -
large:l_bytea . -'
	[connect]="c_time . CASE WHEN %s = '24:00' THEN %s ELSE date_trunc('milliseconds', %s)::time END
c_ts . date_trunc('milliseconds', %s)
large:l_nums . -"
	[iso]="c_num . $finite
c_num204 . nullif(%s, 'NaN')
c_num50 . nullif(%s, 'NaN')
c_time . CASE WHEN %s = '24:00' THEN '00:00' ELSE %s END
c_time3 . CASE WHEN %s = '24:00' THEN '00:00' ELSE %s END
large:l_nums . -
large:l_bytea . -"
)
modes=("${!connector[@]}")

# columns TABLE: name and type of each, by lines.
columns()
{
	sql "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
	    WHERE attrelid = '$1'::regclass AND attnum > 0 ORDER BY attnum"
}

# prepare MODE TABLE: in $declared its columns for the pipeline file, in $names those that can be compared, in $truth
# the SELECT list for them.
prepare()
{
	local name type declare what text
	declared='' names='' truth=''
	while IFS='|' read -r name type; do
		read -r _ declare what <<<"$(tr '\n' ' ' <<<"${lost[$1]}" |
		    sed 's/ \(\([a-z]*:\)\?[cl]_[a-z0-9]* [.n]\)/\n\1/g' | grep "^\($2:\)\?$name ")"
		[[ -z $declare || $declare == . ]] || type=$declare
		[[ $type != public.* ]] || type=${type#public.}
		declared+="${declared:+, }$name $type"
		[[ $type != json && ${what%% *} != - ]] || continue
		text=${what:-%s}
		names+=${names:+,}$name
		truth+="${truth:+, }${text//%s/$name} AS $name"
	done < <(columns "$2")
}

# Views over table $2 of server $1, and their tables.
views=''
declare_table() # MODE TABLE [KEY]
{
	local name=$2_$1
	prepare "$1" "$2"
	views+="CREATE FOREIGN TABLE $name ($declared${3:+, PRIMARY KEY ($3)}) SERVER $1
	    OPTIONS (topic '${NAME}_$1.public.$2');
	    CREATE MATERIALIZED VIEW rows_$name AS SELECT $names, count(*) AS copies FROM $name GROUP BY $names;"
	sql "CREATE TABLE rows_$name AS SELECT $truth, 0::bigint AS copies, 0::bigint AS time, 0 AS diff FROM $2 LIMIT 0"
	answers[rows_$name]="$names,copies|SELECT $truth, 1::bigint AS copies FROM $2"
}
declare -A answers

pipeline=$WORK/pipeline.sql
for mode in "${modes[@]}"; do
	(CONNECTOR_OPTIONS=$(tr -s ' \t\n' '\n' <<<"key.converter=org.apache.kafka.connect.json.JsonConverter
	    value.converter=org.apache.kafka.connect.json.JsonConverter ${connector[$mode]}")
	export CONNECTOR_OPTIONS
	stack_connector "${NAME}_$mode" "${tables[@]}" >/dev/null) || not_ok "connector $mode" &
done
pipeline '' <<<"CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');"
sed -i '/^CREATE SERVER kafka/,/;$/d' "$pipeline"
for mode in "${modes[@]}"; do
	views+="CREATE SERVER $mode FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" '$BOOTSTRAP',
	    \"group.id\" '${NAME}_$mode', transaction_topic '${NAME}_$mode.transaction' ${options[$mode]:+, ${options[$mode]}});"
	declare_table "$mode" types id
	declare_table "$mode" arrays id
	declare_table "$mode" large id
	declare_table "$mode" types_full
	declare_table "$mode" arrays_full
	declare_table "$mode" large_full
done
# The aggregates that PostgreSQL has for a type; no NaN or infinity in the sums.
numbers='c_small c_int c_big c_num c_num204 c_num50 c_real c_double'
ordered="$numbers c_money c_date c_time c_time3 c_ts c_ts3 c_ts0 c_tstz c_tstz3 c_interval c_inet c_enum"
list=''
for column in $numbers; do
	list+="${list:+, }sum($column) AS sum_$column"
done
extremes=''
for column in $ordered; do
	extremes+="${extremes:+, }min($column) AS min_$column, max($column) AS max_$column, count($column) AS n_$column"
done
for view in "sums:$list:finite" "extremes:$extremes:id > 0"; do
	IFS=: read -r name select where <<<"$view"
	views+="CREATE MATERIALIZED VIEW $name AS SELECT $select FROM types_exact WHERE $where;"
	truth=$select
	[[ $name != sums ]] || truth=$(sed 's/sum(\(c_real\|c_double\))/sum(\1::text::numeric)::float8/g' <<<"$select")
	truth=${truth/sum(c_real::text::numeric)::float8/sum(c_real::text::numeric)::float4}
	sql "CREATE TABLE $name AS SELECT $truth, 0::bigint AS time, 0 AS diff FROM types LIMIT 0"
	answers[$name]="$(grep -oE 'AS [a-z_0-9]+' <<<"$select" | cut -c4- | paste -sd,)|SELECT $truth FROM types WHERE $where"
done
views+="CREATE FOREIGN TABLE forms (id integer PRIMARY KEY, $(sed 's/t text/t text COLLATE "C"/; s/c char(4)/c char(4) COLLATE "C"/' <<<"$forms")) SERVER exact
    OPTIONS (topic '${NAME}_exact.public.forms');"
forms_view() # NAME SELECT TRUTH GROUP
{
	views+="CREATE MATERIALIZED VIEW $1 AS SELECT $2 FROM forms ${4-};"
	sql "CREATE TABLE $1 AS SELECT $3, 0::bigint AS time, 0 AS diff FROM forms ${4-} LIMIT 0"
	answers[$1]="$(grep -oE 'AS [a-z_0-9]+' <<<"$2" | cut -c4- | paste -sd,)|SELECT $3 FROM forms ${4-}"
}
for column in n iv c t f r jb a b; do
	[[ $column != a ]] || continue # NaN in it: the connector sends null for all of it
	form="$column AS value, count(*) AS copies, min(id) AS least"
	forms_view "forms_$column" "$form" "$form" "GROUP BY $column"
done
forms_view forms_a 'a AS value, count(*) AS copies' 'a AS value, count(*) AS copies' 'WHERE id < 6 GROUP BY a'
forms_view forms_all 'sum(f) AS total, avg(f) AS mean, sum(r) AS few, min(t) AS least, max(t) AS most, min(c) AS padded' \
    'sum(f::text::numeric)::float8 AS total, avg(f::text::numeric)::float8 AS mean, sum(r::text::numeric)::float4 AS few,
    min(t COLLATE "C") AS least, max(t COLLATE "C") AS most, min(c COLLATE "C")::text AS padded'
echo "$views" >>"$pipeline"
"$BIN/tallyd" explain "$pipeline" >/dev/null 2>"$WORK/explain.log" || not_ok 'the pipeline file is read'
wait
tallyd_start

equal() # TEXT: all views within 60 s
{
	local name end=$((SECONDS + 60 * PATIENCE)) left
	for name in $(printf '%s\n' "${!answers[@]}" | sort); do
		left=$(((end - SECONDS) / PATIENCE))
		kill -0 "$tallyd" 2>/dev/null || left=0 # it has said why
		comes_equal "$1" "$name" "${answers[$name]%%|*}" "${answers[$name]#*|}" $((left > 0 ? left : 0))
	done
}
equal 'after the snapshot'

sql "SELECT insert_types(101, true);
    INSERT INTO types_full SELECT * FROM types WHERE id > 100;
    INSERT INTO arrays_full SELECT * FROM arrays WHERE id > 100;
    INSERT INTO large_full SELECT * FROM large WHERE id > 100"
sql "UPDATE types SET c_time = '24:00', c_time3 = '24:00' WHERE id = 102;
    UPDATE types_full SET c_time = '24:00', c_time3 = '24:00' WHERE id = 102;
    UPDATE large SET n = n + 1; UPDATE large_full SET n = n + 1; UPDATE large SET l_text = 'short' WHERE id = 1;
    DELETE FROM types WHERE id = 3; DELETE FROM types_full WHERE id = 3; DELETE FROM arrays_full WHERE id = 3;
    UPDATE arrays_full SET a_text = '{x}' WHERE id = 103; DELETE FROM large_full WHERE id = 1"
sql "DELETE FROM forms WHERE id IN (4, 6); UPDATE forms SET n = 1.0000, iv = '720:00', f = f - 1 WHERE id IN (2, 9)"
equal 'after the stream'
# NaN and the infinities go out again; 1e16 + 1 - 1e16; and the same after a replay.
sql "DELETE FROM forms WHERE id IN (5, 7, 8)"
equal 'without NaN and infinities'
stage_kill reduce
sql "UPDATE forms SET jb = '1.50' WHERE id = 1; UPDATE forms SET f = f + 0.1 WHERE id = 2"
equal 'after a replay'
tallyd_stop
for mode in "${modes[@]}"; do
	curl -s --max-time 5 -o /dev/null -X DELETE "$CONNECT_URL/connectors/${NAME}_$mode"
done
