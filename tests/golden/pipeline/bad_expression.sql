SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz, r real, d double precision, m money, j json, mo interval, l integer[])
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT sum(a || 'x') FROM t;
CREATE MATERIALIZED VIEW v2 AS SELECT sum(s + 1) FROM t;
CREATE MATERIALIZED VIEW v3 AS SELECT sum(a % d) FROM t;
CREATE MATERIALIZED VIEW v4 AS SELECT sum(a / 0 + 1 / 0) FROM t;
CREATE MATERIALIZED VIEW v5 AS SELECT sum(a + 'x') FROM t;
CREATE MATERIALIZED VIEW v6 AS SELECT sum(a + 'x'::integer) FROM t;
CREATE MATERIALIZED VIEW v7 AS SELECT sum(a::date) FROM t;
CREATE MATERIALIZED VIEW v8 AS SELECT count(m::text) FROM t;
CREATE MATERIALIZED VIEW v9 AS SELECT count(s::varchar(3)) FROM t;
CREATE MATERIALIZED VIEW v10 AS SELECT count(s::integer[]) FROM t;
CREATE MATERIALIZED VIEW v11 AS SELECT max(a::text) FROM t;
CREATE MATERIALIZED VIEW v12 AS SELECT a + 1, count(*) FROM t GROUP BY a + 1;
CREATE MATERIALIZED VIEW v13 AS SELECT a + 1 AS x, count(*) FROM t GROUP BY a;
CREATE MATERIALIZED VIEW v14 AS SELECT count(*) FROM t GROUP BY s::json;
CREATE MATERIALIZED VIEW v15 AS SELECT sum(coalesce(a, s)) FROM t;
CREATE MATERIALIZED VIEW v16 AS SELECT sum(coalesce(NULL, '5')) FROM t;
CREATE MATERIALIZED VIEW v17 AS SELECT sum(1 + 2) FROM t;
CREATE MATERIALIZED VIEW v18 AS SELECT sum(nope + 2) FROM t;
CREATE MATERIALIZED VIEW v19 AS SELECT sum(+ a), sum(sqrt(a)) FROM t;
CREATE MATERIALIZED VIEW v20 AS SELECT sum(abs(DISTINCT a)) FROM t;
CREATE MATERIALIZED VIEW v21 AS SELECT sum(1::smallint / 70000::smallint) FROM t;
CREATE MATERIALIZED VIEW v22 AS SELECT avg(m / 2) FROM t;
CREATE MATERIALIZED VIEW v23 AS SELECT count(*) FROM t WHERE a + 1 = s;
CREATE MATERIALIZED VIEW v24 AS SELECT count(*) FROM t WHERE a + 1 = 'x';
CREATE MATERIALIZED VIEW v25 AS SELECT count(*) FROM t WHERE 1 + 1 = 2;
CREATE MATERIALIZED VIEW v26 AS SELECT count(*) FROM t WHERE a::text < 'x';
CREATE MATERIALIZED VIEW v27 AS SELECT count(*) FROM t WHERE a::text;
CREATE MATERIALIZED VIEW v28 AS SELECT count(*) FROM t WHERE a + 1 IN (1, 'x');
CREATE MATERIALIZED VIEW v29 AS SELECT count(*) FROM t WHERE s::timestamptz > '2026-01-01 12:00';
CREATE MATERIALIZED VIEW v30 AS SELECT count(*) FROM t WHERE ts - tz = ts;
CREATE MATERIALIZED VIEW v31 AS SELECT sum(a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a) FROM t;
