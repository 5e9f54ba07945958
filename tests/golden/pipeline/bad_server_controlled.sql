SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS (
	"bootstrap.servers" 'kafka:9092',
	"enable.auto.commit" 'true',
	"enable.auto.offset.store" 'true',
	"auto.offset.reset" 'earliest',
	"enable.partition.eof" 'false');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (
	client_encoding 'LATIN1', replication 'database');
