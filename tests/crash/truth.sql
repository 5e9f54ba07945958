-- truth.sql - the oracle: what was true after each transaction of the source, for verify.sql. Included when
-- there are `clock`, of one row (1, 0), and `state`: a row (view, row) for each row of each view.
--
-- Each transaction of a load ends by note(), which raises the row of `clock`: who holds that row's lock
-- commits before anybody else raises it, so `n` numbers the transactions in commit order. Under the
-- lock it notes what PostgreSQL itself answers to all views at that moment: `truth`. As a sum of
-- hashes over the rows of all answers; the same sum over the target's rows, each times its diff, is
-- the fold of the target.
CREATE TABLE truth (n bigint PRIMARY KEY, h numeric NOT NULL);
INSERT INTO truth SELECT 0, sum(hashtextextended(view || row, 0)::numeric) FROM state;

CREATE FUNCTION note() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	this bigint;
BEGIN
	UPDATE clock SET n = n + 1 WHERE id = 1 RETURNING n INTO this;
	INSERT INTO truth SELECT this, sum(hashtextextended(view || row, 0)::numeric) FROM state;
END $$;
