SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t1 (a integer, PRIMARY KEY (b)) SERVER kafka OPTIONS (topic 'p.public.t1');
CREATE FOREIGN TABLE t2 (a integer PRIMARY KEY, b integer PRIMARY KEY) SERVER kafka OPTIONS (topic 'p.public.t2');
CREATE FOREIGN TABLE t3 (a integer, PRIMARY KEY (a, a)) SERVER kafka OPTIONS (topic 'p.public.t3');
CREATE FOREIGN TABLE t4 (a integer PRIMARY KEY, PRIMARY KEY (a)) SERVER kafka OPTIONS (topic 'p.public.t4');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t1;
