-- verify.sql - the target held against what was true in the source.
--
-- Needs `outputs` (view, key, row, time, diff), all that is in the target; `truth` (n, h) and `final` (view,
-- row) of the source. Prints: commits|outputs|never_true|disorder|repeated|lost|doubled
CREATE INDEX ON truth (h);
CREATE TEMP TABLE o AS SELECT * FROM outputs;

-- The fold at each time, and the true state that it is: none means it never was true.
CREATE TEMP TABLE states AS
    SELECT s.time, t.n FROM (
        SELECT time, sum(sum(diff * hashtextextended(view || row, 0)::numeric)) OVER (ORDER BY time) AS h
          FROM o GROUP BY time) s
    LEFT JOIN truth t USING (h);

-- In each group 0 or 1 row is live at every time.
CREATE TEMP TABLE live AS
    SELECT view, key, time, sum(sum(diff)) OVER (PARTITION BY view, key ORDER BY time) AS rows
      FROM o GROUP BY view, key, time;

-- The end, row by row: less than 0 is lost, more is doubled.
CREATE TEMP TABLE difference AS
    SELECT view, row, sum(count) AS count FROM (
        SELECT view, row, sum(diff) AS count FROM o GROUP BY view, row
        UNION ALL SELECT view, row, -count(*) FROM final GROUP BY view, row) d
    GROUP BY view, row HAVING sum(count) <> 0;

SELECT (SELECT count(*) FROM states),
    (SELECT count(*) FROM o),
    (SELECT count(*) FROM states WHERE n IS NULL),
    (SELECT count(*) FROM (SELECT n, lag(n) OVER (ORDER BY time) AS before FROM states) o WHERE n <= before),
    (SELECT count(*) FROM (SELECT FROM o GROUP BY view, key, time, diff HAVING count(*) > 1) r),
    (SELECT count(*) FROM live WHERE rows < 0) + (SELECT coalesce(sum(-count), 0) FROM difference WHERE count < 0),
    (SELECT count(*) FROM live WHERE rows > 1) + (SELECT coalesce(sum(count), 0) FROM difference WHERE count > 0);
\if :{?details}
	\echo the first times at which the target showed what never was true:
	SELECT time, to_timestamp(time / 1000.0) FROM states WHERE n IS NULL ORDER BY time LIMIT 3;
	\echo what was shown then:
	SELECT * FROM o WHERE time = (SELECT min(time) FROM states WHERE n IS NULL) ORDER BY 1, 2, diff LIMIT 40;
	\echo the end, where it differs:
	SELECT * FROM difference ORDER BY 1, 2 LIMIT 20;
\endif
