SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t1 (a integer, a integer) SERVER kafka OPTIONS (topic 'p.public.t1');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t1;
