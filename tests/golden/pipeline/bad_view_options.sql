SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v1 WITH (output = upsert) AS SELECT count(*) FROM t;
CREATE MATERIALIZED VIEW v2 WITH (output = all) AS SELECT count(*) FROM t;
CREATE MATERIALIZED VIEW v3 WITH (existing = keep) AS SELECT count(*) FROM t;
CREATE MATERIALIZED VIEW v4 WITH (fillfactor = 70) AS SELECT count(*) FROM t;
CREATE MATERIALIZED VIEW v5 WITH (output) AS SELECT count(*) FROM t;
CREATE MATERIALIZED VIEW v6 WITH (existing = adopt, existing = adopt) AS SELECT count(*) FROM t;
