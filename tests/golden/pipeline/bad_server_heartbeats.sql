SET pipeline = 'test';
CREATE SERVER a FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092', heartbeat_topic 'a b');
CREATE SERVER b FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092',
	heartbeat_topic 'h', heartbeat_topic 'h');
CREATE SERVER c FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092',
	transaction_topic 'h', heartbeat_topic 'h');
CREATE SERVER d FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092', silence_warning_ms '1000');
CREATE SERVER e FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092',
	heartbeat_topic 'h', silence_warning_ms '1 min');
CREATE SERVER f FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092',
	heartbeat_topic 'h', silence_warning_ms '86400001');
CREATE SERVER g FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092',
	heartbeat_topic 'h', silence_warning_ms '5', silence_warning_ms '6');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
