SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE a (x integer) SERVER kafka OPTIONS (topic 'a.b.a', on_error 'Skip');
CREATE FOREIGN TABLE b (x integer) SERVER kafka OPTIONS (topic 'a.b.b', on_error 'skip', on_error 'stop');
CREATE FOREIGN TABLE c (x integer) SERVER kafka OPTIONS (topic 'a.b.c', on_error '');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM a;
