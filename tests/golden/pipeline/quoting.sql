SET pipeline = 'test';
CREATE SERVER "k ""1""" FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" 'a:1');
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (dbname 'it''s', "user" E'tab\there');
CREATE FOREIGN TABLE "Ta ble" ("select" integer, "Größe" bigint, größe text) SERVER "k ""1""" OPTIONS (topic 'a.b.c');
CREATE MATERIALIZED VIEW "ünïcode" AS SELECT "select", sum("Größe") FROM "Ta ble" WHERE größe = 'ß' GROUP BY "select";
