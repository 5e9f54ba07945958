-- bank.sql - source and target of test_bank.sh: money moves between the accounts of two tables, and the
-- total of both is 120,000 in every transaction. How the truth is noted: tests/crash/truth.sql.
CREATE TABLE clock (id integer PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE giro (id integer PRIMARY KEY, branch integer NOT NULL, balance bigint NOT NULL);
CREATE TABLE savings (LIKE giro INCLUDING ALL);
CREATE SEQUENCE ids START 1000;
INSERT INTO clock VALUES (1, 0);
INSERT INTO giro SELECT i, i % 10, 1000 FROM generate_series(0, 59) i;
INSERT INTO savings SELECT * FROM giro;

CREATE TABLE giro_total (total numeric, n bigint, time bigint, diff integer);
CREATE TABLE savings_total (LIKE giro_total);
CREATE TABLE giro_branch (branch integer, n bigint, total numeric, lowest bigint, highest bigint,
    time bigint, diff integer);
CREATE TABLE savings_branch (LIKE giro_branch);
CREATE TABLE tick (n numeric, time bigint, diff integer);

CREATE VIEW state AS
    SELECT 'giro_total' AS view, row(sum(balance), count(*))::text AS row FROM giro
    UNION ALL SELECT 'savings_total', row(sum(balance), count(*))::text FROM savings
    UNION ALL SELECT 'giro_branch', row(branch, count(*), sum(balance), min(balance), max(balance))::text
      FROM giro GROUP BY branch
    UNION ALL SELECT 'savings_branch', row(branch, count(*), sum(balance), min(balance), max(balance))::text
      FROM savings GROUP BY branch
    UNION ALL SELECT 'tick', row(sum(n))::text FROM clock;
CREATE VIEW final AS SELECT * FROM state;
\ir ../crash/truth.sql
CREATE VIEW outputs AS
    SELECT 'giro_total' AS view, NULL AS key, row(total, n)::text AS row, time, diff FROM giro_total
    UNION ALL SELECT 'savings_total', NULL, row(total, n)::text, time, diff FROM savings_total
    UNION ALL SELECT 'giro_branch', branch::text, row(branch, n, total, lowest, highest)::text, time, diff
      FROM giro_branch
    UNION ALL SELECT 'savings_branch', branch::text, row(branch, n, total, lowest, highest)::text, time, diff
      FROM savings_branch
    UNION ALL SELECT 'tick', NULL, row(n)::text, time, diff FROM tick;

-- The accounts of worker w of 3 are its own, so that transactions overlap and never deadlock.
CREATE FUNCTION pick(tab text, w integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	picked integer;
BEGIN
	EXECUTE format('SELECT id FROM %I WHERE id %% 3 = $1 ORDER BY random() LIMIT 1', tab) INTO picked USING w;
	RETURN picked;
END $$;

CREATE FUNCTION transfer(a text, b text, w integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	amount bigint := random() * 200;
BEGIN
	EXECUTE format('UPDATE %I SET balance = balance - $2 WHERE id = $1', a) USING pick(a, w), amount;
	PERFORM pg_sleep(random() * 0.01); -- others begin and end meanwhile
	EXECUTE format('UPDATE %I SET balance = balance + $2 WHERE id = $1', b) USING pick(b, w), amount;
END $$;

-- The richest or the poorest closes its account; another gets the money. And a new one is opened.
CREATE FUNCTION closing(tab text, w integer, extreme text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	money bigint;
BEGIN
	EXECUTE format('DELETE FROM %I WHERE id = (SELECT id FROM %I WHERE id %% 3 = $1 ORDER BY balance %s LIMIT 1)
	    RETURNING balance', tab, tab, extreme) INTO money USING w;
	EXECUTE format('UPDATE %I SET balance = balance + $2 WHERE id = $1', tab) USING pick(tab, w), money;
	EXECUTE format('INSERT INTO %I VALUES (nextval(''ids'') * 3 + $1, (random() * 9)::integer, 0)', tab) USING w;
END $$;

CREATE PROCEDURE load(w integer, transactions integer) LANGUAGE plpgsql AS $$
DECLARE
	kind double precision;
	tab text;
	other text;
BEGIN
	PERFORM setseed(w / 10.0);
	FOR i IN 1 .. transactions LOOP
		kind := random();
		tab := (array['giro', 'savings'])[1 + i % 2];
		other := (array['giro', 'savings'])[1 + (random() * 2)::integer % 2];
		IF kind < 0.6 THEN
			PERFORM transfer(tab, other, w);
		ELSIF kind < 0.7 THEN
			PERFORM closing(tab, w, 'DESC');
		ELSIF kind < 0.8 THEN
			PERFORM closing(tab, w, 'ASC');
		ELSIF kind < 0.9 THEN -- to another branch
			EXECUTE format('UPDATE %I SET branch = (branch + 1) %% 10 WHERE id = $1', tab) USING pick(tab, w);
		ELSE -- changes nothing
			EXECUTE format('UPDATE %I SET balance = balance WHERE id %% 3 = $1', tab) USING w;
		END IF;
		PERFORM note();
		COMMIT;
	END LOOP;
END $$;

-- Reads the target again and again, in REPEATABLE READ, table after table, until told to stop: how often,
-- and how often the total was not the bank's.
CREATE TABLE readings (readings bigint, broken bigint);
CREATE TABLE stop (stopped boolean);
CREATE PROCEDURE reader() LANGUAGE plpgsql AS $$
DECLARE
	giro numeric;
	savings numeric;
	branches numeric;
	readings bigint := 0;
	broken bigint := 0;
BEGIN
	COMMIT;
	LOOP
		SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
		SELECT sum(total * diff) INTO giro FROM giro_total;
		PERFORM pg_sleep(random() * 0.02); -- commits come in between
		SELECT sum(total * diff) INTO savings FROM savings_total;
		SELECT sum(total * diff) INTO branches FROM (SELECT total, diff FROM giro_branch
		    UNION ALL SELECT total, diff FROM savings_branch) b;
		readings := readings + 1;
		IF giro + savings <> 120000 OR branches <> 120000 THEN
			broken := broken + 1;
		END IF;
		EXIT WHEN EXISTS (SELECT FROM stop);
		COMMIT;
	END LOOP;
	INSERT INTO readings VALUES (readings, broken);
END $$;
