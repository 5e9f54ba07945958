SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS (
	"bootstrap.servers" 'kafka:9092', "group.id" 'a', "group.id" 'b', start 'latest', start 'latest',
	transaction_topic 'a', transaction_topic 'b');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'a', host 'b');
