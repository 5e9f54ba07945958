SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	a int, b int4, c integer, d bigint, e int8, f numeric, g numeric(5), h numeric(12, 4),
	i decimal(3, 3), j text, k text COLLATE "C" NOT NULL, l boolean NULL, m bool,
	n timestamp, o timestamp(6), p timestamp without time zone, q timestamptz,
	r timestamp(6) with time zone, s pg_catalog.int4)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t;
