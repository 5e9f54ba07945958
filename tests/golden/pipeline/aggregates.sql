SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*), count(s) AS cs, sum(a), min(a), max(a), avg(a) FROM t;
CREATE MATERIALIZED VIEW v2 AS SELECT sum(b) AS sb, sum(n) sn, avg(b) AS ab, avg(n) AS an FROM t;
CREATE MATERIALIZED VIEW v3 AS SELECT min(c) AS c1, max(c) AS c2, min(ts) AS t1, max(tz) AS t2, min(n) AS n1 FROM t;
CREATE MATERIALIZED VIEW v4 AS SELECT count(f) AS "Count", pg_catalog.max(id) FROM t;
