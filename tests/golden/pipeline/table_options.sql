SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE a (x integer) SERVER kafka OPTIONS (truncate 'follow', topic 'a.b.a');
CREATE FOREIGN TABLE b (x integer) SERVER kafka OPTIONS (topic 'short', "table" 'p.b', truncate 'refuse');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM a;
