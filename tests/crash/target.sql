-- target.sql - the tables that tallyd writes to, and a wait for what it shows.
CREATE TABLE accounts (grp integer, n bigint, total bigint, lowest integer, highest integer,
    time bigint, diff smallint);
CREATE TABLE ledger (LIKE accounts);
CREATE TABLE parts (grp text, n bigint, total numeric, lowest numeric, highest numeric,
    time bigint, diff smallint);
CREATE TABLE tick (n numeric, time bigint, diff smallint);
CREATE INDEX ON tick (n);

CREATE VIEW outputs AS
    SELECT 'accounts' AS view, grp::text AS key, row(grp, n, total, lowest, highest)::text AS row, time, diff
      FROM accounts
    UNION ALL SELECT 'ledger', grp::text, row(grp, n, total, lowest, highest)::text, time, diff FROM ledger
    UNION ALL SELECT 'parts', grp, row(grp, n, total, lowest, highest)::text, time, diff FROM parts
    UNION ALL SELECT 'tick', NULL, row(n)::text, time, diff FROM tick;

-- Until transaction `wanted` of the source is shown, or the time is over. What is shown then.
CREATE FUNCTION shown(wanted bigint, seconds double precision) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	last numeric;
BEGIN
	FOR i IN 1 .. seconds * 100 LOOP
		SELECT max(n) INTO last FROM tick;
		EXIT WHEN last >= wanted;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN last;
END $$;
