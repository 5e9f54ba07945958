SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS (
	"bootstrap.servers" 'kafka:9092', "sasl.username" 'visible', "sasl.password" 'hidden',
	"ssl.key.password" 'hidden', "ssl.key.pem" 'hidden', "ssl.key.location" '/visible',
	"sasl.oauthbearer.client.secret" 'hidden', "sasl.password_file" '/visible');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (
	password_file '/visible', dbname 'postgres://user:hidden@host/db', passfile '/visible');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t;
