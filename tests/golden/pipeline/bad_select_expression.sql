SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v2 AS SELECT count(1) FROM t;
CREATE MATERIALIZED VIEW v3 AS SELECT sum(a) + 1 FROM t;
CREATE MATERIALIZED VIEW v4 AS SELECT 1, count(*) FROM t;
CREATE MATERIALIZED VIEW v5 AS SELECT sum(a)::text FROM t;
CREATE MATERIALIZED VIEW v6 AS SELECT CASE WHEN f THEN 1 END, count(*) FROM t;
CREATE MATERIALIZED VIEW v7 AS SELECT sum(a, b) FROM t;
CREATE MATERIALIZED VIEW v8 AS SELECT count() FROM t;
CREATE MATERIALIZED VIEW v9 AS SELECT sum(*) FROM t;
