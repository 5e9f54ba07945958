-- The worked example: the sum of one table, kept in another one.
--   tallyd check pipeline.sql      what it understands, and what it promises
--   tallyd run pipeline.sql
-- ${NAME:-default} is taken from the environment; the defaults are the names in compose.yaml.

SET pipeline = 'sum_of_values';        -- its identity in the target; the file's name is free
SET autocommit_duration_ms = 100;      -- the longest a change waits for its transaction's end
SET commit_interval_ms = 0;            -- raise it for fewer rows in the target

CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
  OPTIONS ("bootstrap.servers" '${BOOTSTRAP:-kafka:9092}', -- any property of librdkafka
           "security.protocol" 'plaintext',
           "group.id" '0',
           "session.timeout.ms" '6000',
           transaction_topic 'postgres.transaction',
           heartbeat_topic '__debezium-heartbeat.postgres');

CREATE FOREIGN TABLE "values" (value integer NOT NULL)
  SERVER kafka OPTIONS (topic 'postgres.public.values');

CREATE SERVER target FOREIGN DATA WRAPPER postgres
  OPTIONS (host '${PGHOST:-postgres}', port '${PGPORT:-5432}', -- any keyword of libpq
           dbname '${PGDATABASE:-values_db}',
           "user" '${PGUSER:-user}', password '${PGPASSWORD:-password}');

CREATE MATERIALIZED VIEW sum_table WITH (output = changes)
  AS SELECT sum(value) AS sum FROM "values";
