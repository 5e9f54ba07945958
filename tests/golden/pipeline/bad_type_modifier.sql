SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t1 (a numeric(0)) SERVER kafka OPTIONS (topic 'p.public.t1');
CREATE FOREIGN TABLE t2 (a numeric(1001, 2)) SERVER kafka OPTIONS (topic 'p.public.t2');
CREATE FOREIGN TABLE t3 (a numeric(5, -2)) SERVER kafka OPTIONS (topic 'p.public.t3');
CREATE FOREIGN TABLE t4 (a timestamp(3)) SERVER kafka OPTIONS (topic 'p.public.t4');
CREATE FOREIGN TABLE t5 (a timestamptz(0)) SERVER kafka OPTIONS (topic 'p.public.t5');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t1;
