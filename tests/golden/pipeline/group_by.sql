SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT s, f, sum(a) FROM t GROUP BY s, f;
CREATE MATERIALIZED VIEW v2 AS SELECT sum(a), s FROM t GROUP BY 2;
CREATE MATERIALIZED VIEW v3 AS SELECT sum(a) FROM t GROUP BY s;
CREATE MATERIALIZED VIEW v4 AS SELECT s AS x, s AS y, count(*) FROM t GROUP BY x, 2, t.s;
CREATE MATERIALIZED VIEW v5 AS SELECT q.tz, count(*) FROM t AS q GROUP BY q.tz, ts;
CREATE MATERIALIZED VIEW v6 AS SELECT s AS a, count(*) FROM t GROUP BY a, s;
