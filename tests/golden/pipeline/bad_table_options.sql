SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE a (x integer) SERVER kafka;
CREATE FOREIGN TABLE b (x integer) SERVER kafka OPTIONS (topic 'a.b.c', format 'avro');
CREATE FOREIGN TABLE c (x integer) SERVER kafka OPTIONS (topic 'a.b.c', topic 'a.b.d');
CREATE FOREIGN TABLE d (x integer) SERVER kafka OPTIONS (topic '');
CREATE FOREIGN TABLE e (x integer) SERVER kafka OPTIONS (topic 'a b');
CREATE FOREIGN TABLE f (x integer) SERVER kafka OPTIONS (topic 'short');

CREATE FOREIGN TABLE g (x integer) SERVER kafka OPTIONS (topic 'a.b.g', truncate 'ignore');
CREATE FOREIGN TABLE h (x integer) SERVER kafka OPTIONS (topic 'a.b.h', truncate 'follow', truncate 'refuse');
