SET pipeline = 'test';
CREATE SERVER one FOREIGN DATA WRAPPER debezium OPTIONS (
	"metadata.broker.list" 'a:1', start 'committed');
CREATE SERVER "Two" FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'b:2', start 'latest');
CREATE SERVER three FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'c:3', start 'earliest');
CREATE SERVER target FOREIGN DATA WRAPPER postgres;
CREATE FOREIGN TABLE x (a integer) SERVER one OPTIONS (topic 'p.s.x');
CREATE FOREIGN TABLE y (a integer) SERVER "Two" OPTIONS (topic 'p.s.x');
CREATE FOREIGN TABLE z (a integer) SERVER three OPTIONS (topic 'z', "table" 's.z');
CREATE MATERIALIZED VIEW v AS SELECT sum(a) FROM x;
CREATE MATERIALIZED VIEW w AS SELECT sum(a) FROM z;
