SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092', transaction_topic 'p.transaction');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE a (x integer) SERVER kafka OPTIONS (topic 'p.transaction');
CREATE FOREIGN TABLE b (x integer) SERVER kafka OPTIONS (topic 'p.s.t');
CREATE FOREIGN TABLE c (x integer) SERVER kafka OPTIONS (topic 'q.s.t');
