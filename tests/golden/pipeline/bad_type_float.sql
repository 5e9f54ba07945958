SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t1 (a real) SERVER kafka OPTIONS (topic 'p.public.t1');
CREATE FOREIGN TABLE t2 (a double precision) SERVER kafka OPTIONS (topic 'p.public.t2');
CREATE FOREIGN TABLE t3 (a float) SERVER kafka OPTIONS (topic 'p.public.t3');
CREATE FOREIGN TABLE t4 (a float8) SERVER kafka OPTIONS (topic 'p.public.t4');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t1;
