-- What a connector's settings say of bare JSON.
SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092',
	"unavailable.value.placeholder" '(unchanged)', "binary.handling.mode" 'base64-url-safe',
	"decimal.handling.mode" 'string', "time.precision.mode" 'adaptive_time_microseconds');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (a integer) SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t;
