SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE "a.b" (x integer) SERVER kafka OPTIONS (topic 'a.b.c');
CREATE FOREIGN TABLE x.y.z (x integer) SERVER kafka OPTIONS (topic 'a.b.d');
