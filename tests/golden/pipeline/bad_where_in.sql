SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t WHERE a IN (b);
CREATE MATERIALIZED VIEW v2 AS SELECT count(*) FROM t WHERE 1 IN (1);
CREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM t WHERE a IN (1 + 1);
CREATE MATERIALIZED VIEW v4 AS SELECT count(*) FROM t WHERE a IN (1, 'x');
CREATE MATERIALIZED VIEW v5 AS SELECT count(*) FROM t WHERE lower(s) IN ('a');
