SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE other AS ENUM ('sad', 'ok', 'happy');
CREATE FOREIGN TABLE t (
	b bytea, u uuid, f boolean, j json, jb jsonb, a integer[], i interval, m money, t varchar(10), c char(5),
	e mood, o other, n inet, d date, r real)
  SERVER kafka OPTIONS (topic 'p.public.t');
CREATE FOREIGN TABLE k1 (j jsonb PRIMARY KEY, x json) SERVER kafka OPTIONS (topic 'p.public.k1');
CREATE FOREIGN TABLE k2 (x json PRIMARY KEY) SERVER kafka OPTIONS (topic 'p.public.k2');
CREATE FOREIGN TABLE k3 (x text[] PRIMARY KEY) SERVER kafka OPTIONS (topic 'p.public.k3');
