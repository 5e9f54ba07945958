SET pipeline = 'test';
CREATE SERVER usual FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'a:1',
	heartbeat_topic '__debezium-heartbeat.p', transaction_topic 'p.transaction', silence_warning_ms '60000');
CREATE SERVER sooner FOREIGN DATA WRAPPER debezium OPTIONS (
	"bootstrap.servers" 'b:2', silence_warning_ms '5000', heartbeat_topic '__debezium-heartbeat.q', start 'latest');
CREATE SERVER never FOREIGN DATA WRAPPER debezium OPTIONS (
	"bootstrap.servers" 'c:3', heartbeat_topic '__debezium-heartbeat.r', silence_warning_ms '0');
CREATE SERVER target FOREIGN DATA WRAPPER postgres;
CREATE FOREIGN TABLE x (a integer) SERVER usual OPTIONS (topic 'p.s.x');
CREATE FOREIGN TABLE y (a integer) SERVER sooner OPTIONS (topic 'p.s.x');
CREATE FOREIGN TABLE z (a integer) SERVER never OPTIONS (topic 'z', "table" 's.z');
CREATE MATERIALIZED VIEW v AS SELECT sum(a) FROM x;
CREATE MATERIALIZED VIEW w AS SELECT sum(a) FROM y;
CREATE MATERIALIZED VIEW u AS SELECT sum(a) FROM z;
