-- env HOST=db.example
-- env EMPTY=
-- env QUOTE=it's ${HOST}
SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (
	host '${HOST}', port '${PORT:-5433}', dbname '${EMPTY:-fallback}', application_name '${EMPTY}',
	"user" 'a${HOST}b${HOST}', options '${QUOTE}', sslmode '$${HOST} $5 $$ ${EMPTY:-}');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t;
