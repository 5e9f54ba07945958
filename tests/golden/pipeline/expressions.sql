SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE FOREIGN TABLE t (
	id bigint PRIMARY KEY, a integer, b bigint, n numeric(10, 2), s text,
	c text COLLATE "C", f boolean, ts timestamp, tz timestamptz, r real, d double precision, si smallint)
	SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW v AS SELECT a / 10 AS tens, sum(n * b) AS total, avg((a - b)::numeric / nullif(b, 0)) AS ratio,
  sum(-a), max(abs(r * d)), min(a::numeric(12,3)) AS least, count(s::integer)
  FROM t WHERE a + 1 > b * 2 AND s::boolean AND a % 10 IN (1, 2, NULL) AND 5 < n / 3 AND coalesce(f, true)
  AND nullif(s, 'x') IS NOT NULL AND a::text = '5' AND -a BETWEEN -10 AND b AND si + 1 = 2
  GROUP BY a/10, s::date, coalesce(s, 'none');
CREATE MATERIALIZED VIEW w AS SELECT a::text, (a + 0.5)::bigint, coalesce(n, 1e3), s::timestamptz AS when, count(*), sum(a + 3000000000 - '-32768'::smallint + 1.5::real) FROM t
  GROUP BY 1, 2, coalesce(n, 1000.0), "when", 3;
