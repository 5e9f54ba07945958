-- env PGPASSWORD=hunter2
SET pipeline = 'sum_of_values';                -- required: its identity in the target; renaming the file changes nothing
SET autocommit_duration_ms = 100;              -- the longest a change may wait for the end of its transaction to be known
SET commit_interval_ms = 0;                    -- the shortest time between two commits: raise it for fewer rows
CREATE SERVER kafka FOREIGN DATA WRAPPER debezium
  OPTIONS ("bootstrap.servers" 'kafka:9092', "security.protocol" 'plaintext', "group.id" '0',
           "session.timeout.ms" '6000',        -- any librdkafka property, by its own name
           transaction_topic 'postgres.transaction');
CREATE FOREIGN TABLE "values" (value integer NOT NULL)     -- columns, types, PRIMARY KEY
  SERVER kafka OPTIONS (topic 'postgres.public.values');
CREATE SERVER target FOREIGN DATA WRAPPER postgres          -- exactly one target; two targets are two pipelines
  OPTIONS (host 'postgres', port '5432', dbname 'values_db', "user" 'user', password '${PGPASSWORD}');  -- any libpq keyword
CREATE MATERIALIZED VIEW sum_table WITH (output = changes)
  AS SELECT sum(value) AS sum FROM "values";
