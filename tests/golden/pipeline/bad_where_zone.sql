SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t WHERE tz = '2026-01-02';
CREATE MATERIALIZED VIEW v2 AS SELECT count(*) FROM t WHERE tz < '2026-01-02 03:04:05.6'::timestamptz;
CREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM t WHERE tz IN ('2026-01-02 03:04Z', '2026-01-02T03:04');
CREATE MATERIALIZED VIEW v4 AS SELECT count(*) FROM t WHERE tz = '0044-03-15 12:00 BC';
