SET pipeline = 'test';
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'kafka:9092');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
CREATE TYPE mood AS ENUM ('sad', 'it''s', 'happy');
CREATE TYPE "Shop"."Size" AS ENUM ('S', 'M');
CREATE FOREIGN TABLE t (
	a smallint, b real, c double precision, d money, e varchar, f varchar(10) COLLATE "C", g char, h char(7),
	i bytea, j uuid, k date, l time, m time(3), n timestamp(0), o timestamptz(3), p interval, q json, r jsonb,
	s inet, t mood, u "Shop"."Size", v integer[], w numeric(8,2)[], x mood[] NOT NULL, y varchar(3)[], z timestamptz[],
	PRIMARY KEY (j, t))
  SERVER kafka OPTIONS (topic 'p.public.t');
CREATE MATERIALIZED VIEW everything AS
  SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, r, s, t, u, v, w, x, y, z, count(*), count(q) AS documents
  FROM t GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25;
CREATE MATERIALIZED VIEW sums AS
  SELECT sum(a) AS sa, avg(a) AS aa, sum(b) AS sb, avg(b) AS ab, sum(c) AS sc, avg(c) AS ac, sum(d) AS sd FROM t;
CREATE MATERIALIZED VIEW extremes AS
  SELECT min(a) AS a, max(b) AS b, min(c) AS c, max(d) AS d, min(f) AS f, max(k) AS k, min(l) AS l, max(o) AS o,
    min(p) AS p, max(s) AS s, min(t) AS t FROM t;
CREATE MATERIALIZED VIEW chosen AS
  SELECT count(*) FROM t
  WHERE (a > 1.5 OR a = 3) AND b <> 'NaN' AND c < 1e300 AND c > '-Infinity' AND d >= '-12.50' AND e = 'x' AND f < 'y'
    AND h = 'pad  ' AND i = '\x00fF' AND j <> 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' AND k BETWEEN '2026-01-01' AND 'infinity'
    AND l < '24:00:00' AND m >= '09:30:00.5' AND n = '2026-01-01' AND p > '1 mon -1 days 02:03:04.5' AND q IS NOT NULL
    AND r = '{"b": 1.50, "a": [1, "\u0041"]}' AND s IN ('10.0.0.0/8', '::1') AND t > 'sad' AND t <> 'it''s'::mood
    AND u IN ('S', 'M'::"Shop"."Size") AND v IS NOT NULL AND a < b;
