SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE a (x integer) SERVER kafak OPTIONS (topic 'a.b.c');
CREATE FOREIGN TABLE b (x integer) SERVER target OPTIONS (topic 'a.b.d');
