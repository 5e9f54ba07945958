SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t1 (a text COLLATE "de_DE") SERVER kafka OPTIONS (topic 'p.public.t1');
CREATE FOREIGN TABLE t2 (a integer COLLATE "C") SERVER kafka OPTIONS (topic 'p.public.t2');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t1;
