-- The worked example's database: psql runs this file as a superuser, once in a fresh container,
-- as often as wanted by hand.   psql [-v database=values_db] -f init-db.sql
\set ON_ERROR_STOP on
\if :{?database}
\else
	\set database values_db
\endif

-- One role for everything in the example. Debezium needs REPLICATION, and a publication of a table
-- may only be made by the table's owner; tallyd needs CREATE in the target for its own schema.
SELECT 'CREATE ROLE "user" LOGIN REPLICATION PASSWORD ''password'''
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'user')
\gexec
SELECT format('CREATE DATABASE %I OWNER "user"', :'database')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec

\connect :"database"
SET ROLE "user";

-- The source. It has no primary key, so UPDATE and DELETE must log the whole old row.
CREATE TABLE IF NOT EXISTS "values" (value integer NOT NULL);
ALTER TABLE "values" REPLICA IDENTITY FULL;

-- The target: one row for each change of the sum. `diff` is +1 when the sum appears at `time`
-- (milliseconds since 1970), -1 when it is taken back.
CREATE TABLE IF NOT EXISTS sum_table (sum REAL, time BIGINT, diff INTEGER);
