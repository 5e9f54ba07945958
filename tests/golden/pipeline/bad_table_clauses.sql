SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE IF NOT EXISTS a (x integer) SERVER kafka OPTIONS (topic 'a.b.c');
CREATE FOREIGN TABLE b (x integer) INHERITS (a) SERVER kafka OPTIONS (topic 'a.b.c');
