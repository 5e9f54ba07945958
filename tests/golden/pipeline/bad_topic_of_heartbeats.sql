SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092', heartbeat_topic 'h.p');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE a (x integer) SERVER kafka OPTIONS (topic 'h.p');
