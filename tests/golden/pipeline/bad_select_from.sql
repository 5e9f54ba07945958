SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*);
CREATE MATERIALIZED VIEW v2 AS SELECT count(*) FROM nowhere;
CREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM ONLY t;
CREATE MATERIALIZED VIEW v4 AS SELECT count(*) FROM t AS x(a);
CREATE MATERIALIZED VIEW v5 AS SELECT count(*) FROM generate_series(1, 2);
CREATE MATERIALIZED VIEW v6 AS SELECT count(*) FROM public.t;
