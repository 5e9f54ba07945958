# check does all that a start checks, changes nothing, and says what each server's mode promises;
# warnings name the columns that could not hold the result exactly.
. "$(dirname "$0")/lib.sh"
own_database
sql 'CREATE TABLE ints (sum integer, n smallint, time bigint, diff smallint)'
stack_topic "$NAME.one" 1
stack_topic "$NAME.four" 4
stack_topic "$NAME.transaction" 1
cat >"$WORK/pipeline.sql" <<END
SET pipeline = '$NAME';
CREATE SERVER lone FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" '$BOOTSTRAP');
CREATE SERVER many FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" '$BOOTSTRAP');
CREATE SERVER whole FOREIGN DATA WRAPPER debezium
  OPTIONS ("bootstrap.servers" '$BOOTSTRAP', transaction_topic '$NAME.transaction');
CREATE FOREIGN TABLE a (value integer NOT NULL) SERVER lone OPTIONS (topic '$NAME.one');
CREATE FOREIGN TABLE b (value bigint) SERVER many OPTIONS (topic '$NAME.four');
CREATE FOREIGN TABLE c (value bigint) SERVER whole OPTIONS (topic '$NAME.missing');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '$PGHOST', port '$PGPORT',
  dbname '$PGDATABASE', "user" '$PGUSER', password '$PGPASSWORD');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM a;
CREATE MATERIALIZED VIEW ints AS SELECT sum(value) AS sum, count(*) AS n FROM b;
END
asked check "$WORK/pipeline.sql"
is 'a good file passes' "$status" 0
contains 'sequence mode is derived' "$output" 'usually whole'
contains 'metadata mode is derived' "$output" 'whole transactions'
contains 'none is derived' "$output" 'each event is a transaction'
contains 'a missing topic is named' "$output" "$NAME.missing"
contains 'REAL is warned about by name' "$output" sum_table
contains 'integer is warned about by name' "$output" integer
is 'nothing was made in the target' "$(sql "SELECT count(*) FROM pg_namespace WHERE nspname = 'tallyd'")" 0
grep -q "$PGPASSWORD" <<<"${output//password/}" && not_ok 'no secret is shown' || ok 'no secret is shown'

output=$(PGPORT=1 "$BIN/tallyd" check --offline "$WORK/pipeline.sql" 2>&1)
is 'offline it needs no server' $? 0
sed -i "s/port '$PGPORT'/port '1'/" "$WORK/pipeline.sql"
output=$(timeout 60 "$BIN/tallyd" check "$WORK/pipeline.sql" 2>&1)
is 'a database that is away: 69' $? 69
contains 'and it is named' "$output" "$PGHOST"

# Each check of an ingest is told where the pipeline stands in the target, as egress found it: a
# position, none (a first start), or nothing when that is not known. Scripts stand for the stages.
mkdir "$WORK/fake"
cp "$BIN/tallyd" "$WORK/fake/"
printf '#!/bin/sh\ntrue\n' >"$WORK/fake/tallyd-reduce"
cat >"$WORK/fake/tallyd-ingest" <<'END'
#!/bin/sh
[ -e /proc/self/fd/7 ] && said="told [$(cat <&7)]" || said='told nothing'
printf 'info\t0\t0\t%s: %s\n' "$(echo "$@" | grep -o 'server=.')" "$said"
END
# told OPTION LINE CODE: egress says LINE and ends with CODE.
told()
{
	printf "#!/bin/sh\nprintf '%s'\nexit %d\n" "$2" "$3" >"$WORK/fake/tallyd-egress"
	chmod +x "$WORK/fake"/*
	"$WORK/fake/tallyd" check ${1:+"$1"} "$WORK/pipeline.sql" 2>&1
}
output=$(told '' 'position\t0\t0\t{"lone": {}}\n' 0)
contains 'the position is handed on' "$output" 'server=0: told [{"lone": {}}]'
contains 'to each ingest' "$output" 'server=2: told [{"lone": {}}]'
[[ $output == *position* ]] && not_ok 'it is no message' || ok 'it is no message'
contains 'no position: a first start' "$(told '' '' 0)" 'server=1: told []'
contains 'a target that cannot be asked: not known' "$(told '' 'error\t0\t0\tgone\n' 69)" 'server=1: told nothing'
contains 'offline: not known' "$(told --offline '' 0)" 'server=1: told nothing'
