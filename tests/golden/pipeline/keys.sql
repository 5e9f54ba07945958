SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t1 (id bigint PRIMARY KEY) SERVER kafka OPTIONS (topic 'p.public.t1');
CREATE FOREIGN TABLE t2 (a text, b integer NOT NULL, "PRIMARY" text, PRIMARY KEY (b, a))
	SERVER kafka OPTIONS (topic 'p.public.t2');
CREATE FOREIGN TABLE sales.t3 (PRIMARY KEY ("Order Id"), "Order Id" bigint)
	SERVER kafka OPTIONS (topic 'p.sales.t3');
CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM sales.t3;
CREATE MATERIALIZED VIEW w AS SELECT sales.t3."Order Id", count(*) FROM sales.t3 GROUP BY t3."Order Id";
