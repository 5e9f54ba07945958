-- source.sql - the source of `make crash`: tables, a load of random transactions, and the oracle (truth.sql).
CREATE TABLE clock (id integer PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE accounts (id integer PRIMARY KEY, worker integer NOT NULL, grp integer, amount integer);
CREATE TABLE ledger (id integer NOT NULL, worker integer NOT NULL, grp integer, amount integer NOT NULL);
ALTER TABLE ledger REPLICA IDENTITY FULL;
CREATE TABLE parts (id integer PRIMARY KEY, worker integer NOT NULL, grp text NOT NULL,
    amount numeric(12,2) NOT NULL);
CREATE TABLE load_stop (stop boolean);
CREATE SEQUENCE ids;

INSERT INTO clock VALUES (1, 0);
INSERT INTO accounts SELECT nextval('ids'), i % 3, i % 10, i * 7 % 100 FROM generate_series(1, 150) i;
INSERT INTO ledger SELECT nextval('ids'), i % 3, i % 10, i * 7 % 100 FROM generate_series(1, 150) i;
INSERT INTO parts SELECT nextval('ids'), i % 3, 'g' || i % 10, i * 7 % 100 FROM generate_series(1, 150) i;

-- A row for each row of each view.
CREATE VIEW state AS
    SELECT 'accounts' AS view, row(grp, count(*), sum(amount), min(amount), max(amount))::text AS row
      FROM accounts GROUP BY grp
    UNION ALL SELECT 'ledger', row(grp, count(*), sum(amount), min(amount), max(amount))::text
      FROM ledger GROUP BY grp
    UNION ALL SELECT 'parts', row(grp, count(*), sum(amount), min(amount), max(amount))::text
      FROM parts GROUP BY grp
    UNION ALL SELECT 'tick', row(sum(n))::text FROM clock;
\ir truth.sql

-- The rows that a worker may touch are its own, so that transactions overlap and never deadlock.
CREATE FUNCTION pick(tab text, worker integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	picked integer;
BEGIN
	EXECUTE format('SELECT id FROM %I WHERE worker = $1 ORDER BY random() LIMIT 1', tab)
	    INTO picked USING worker;
	RETURN picked;
END $$;

CREATE FUNCTION grp_of(tab text, i integer) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN tab = 'parts' THEN 'g' || i WHEN i < 10 THEN i::text END
$$;

CREATE FUNCTION change(tab text, w integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	kind integer := random() * 100;
	grp text := coalesce(quote_literal(grp_of(tab, (random() * 10)::integer)), 'NULL');
	amount integer := random() * 1000 - 500;
	rows integer;
BEGIN
	EXECUTE format('SELECT count(*) FROM %I WHERE worker = $1', tab) INTO rows USING w;
	IF kind < 25 AND rows < 150 OR rows < 10 THEN
		EXECUTE format('INSERT INTO %I VALUES (nextval(''ids''), $1, %s, $2)', tab, grp) USING w, amount;
	ELSIF kind < 45 THEN
		EXECUTE format('DELETE FROM %I WHERE id = $1', tab) USING pick(tab, w);
	ELSIF kind < 52 THEN -- its greatest and its least one
		EXECUTE format('DELETE FROM %1$I WHERE worker = $1 AND amount IN
		    ((SELECT max(amount) FROM %1$I WHERE worker = $1), (SELECT min(amount) FROM %1$I WHERE worker = $1))',
		    tab) USING w;
	ELSIF kind < 70 THEN
		EXECUTE format('UPDATE %I SET amount = $2 WHERE id = $1', tab) USING pick(tab, w), amount;
	ELSIF kind < 80 THEN -- to another group
		EXECUTE format('UPDATE %I SET grp = %s WHERE id = $1', tab, grp) USING pick(tab, w);
	ELSIF kind < 85 THEN -- changes nothing
		EXECUTE format('UPDATE %I SET amount = amount WHERE id = $1', tab) USING pick(tab, w);
	ELSIF kind < 90 THEN -- another key
		EXECUTE format('UPDATE %I SET id = nextval(''ids'') WHERE id = $1', tab) USING pick(tab, w);
	ELSIF kind < 95 THEN -- between two of its rows
		EXECUTE format('UPDATE %I SET amount = amount - $2 WHERE id = $1', tab) USING pick(tab, w), amount;
		EXECUTE format('UPDATE %I SET amount = amount + $2 WHERE id = $1', tab) USING pick(tab, w), amount;
	ELSE -- what never was
		BEGIN
			EXECUTE format('UPDATE %I SET amount = 77 WHERE worker = $1', tab) USING w;
			RAISE EXCEPTION 'taken back';
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END IF;
END $$;

-- A large one: many rows of a worker that has no others, or all of them gone.
CREATE FUNCTION change_many(w integer, how_many integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM ledger WHERE worker = w) THEN
		DELETE FROM accounts WHERE worker = w;
		DELETE FROM ledger WHERE worker = w;
		DELETE FROM parts WHERE worker = w;
		RETURN;
	END IF;
	INSERT INTO accounts SELECT nextval('ids'), w, i % 10, i FROM generate_series(1, how_many) i;
	INSERT INTO ledger SELECT nextval('ids'), w, i % 10, i FROM generate_series(1, how_many) i;
	INSERT INTO parts SELECT nextval('ids'), w, 'g' || i % 10, i FROM generate_series(1, how_many) i;
END $$;

CREATE PROCEDURE load(w integer, seed double precision, pause double precision) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	WHILE NOT EXISTS (SELECT FROM load_stop) LOOP
		IF random() < 0.005 THEN
			PERFORM change_many(w + 100, (random() * 300)::integer);
		END IF;
		FOR i IN 1 .. 1 + (random() * 4)::integer LOOP
			PERFORM change((array['accounts', 'ledger', 'parts'])[1 + (random() * 3)::integer % 3], w);
		END LOOP;
		PERFORM note();
		COMMIT;
		PERFORM pg_sleep(random() * pause * 2);
	END LOOP;
END $$;
