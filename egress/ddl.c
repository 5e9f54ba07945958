#include "egress/ddl.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "egress/postgres.h"

/*
 * One row for each pipeline, updated by every commit: the low fillfactor keeps the update on its
 * page (HOT), where the next one prunes it, so it neither bloats nor needs an index entry. Parts of
 * checkpoints come and go by the megabyte: compressing them would cost more CPU than all else that
 * a commit does, and what is deleted must be found soon, or the table grows. What the first version
 * did not have stands in an ALTER of its own, harmless where it is there already. Letters have no key
 * and outlive their pipeline: they are for people to read and to delete.
 */
#define CREATE_SCHEMA "CREATE SCHEMA IF NOT EXISTS tallyd;\n"
static const char ddl[] = CREATE_SCHEMA
    "CREATE TABLE IF NOT EXISTS tallyd.pipeline (\n"
    "    name text PRIMARY KEY,\n"
    "    epoch bigint NOT NULL DEFAULT 0,\n"
    "    owner text NOT NULL DEFAULT '',\n"
    "    instance text NOT NULL DEFAULT '',\n"
    "    backend integer,\n"
    "    backend_start timestamptz,\n"
    "    batch bigint NOT NULL DEFAULT 0,\n"
    "    \"time\" bigint NOT NULL DEFAULT 0,\n"
    "    position jsonb,\n"
    "    checkpoint bigint,\n"
    "    created timestamptz NOT NULL DEFAULT now(),\n"
    "    started timestamptz,\n"
    "    updated timestamptz,\n"
    "    checkpoint_batch bigint,\n"
    "    checkpoint_position jsonb\n"
    ") WITH (fillfactor = 10);\n"
    "ALTER TABLE tallyd.pipeline ADD COLUMN IF NOT EXISTS checkpoint_batch bigint,\n"
    "    ADD COLUMN IF NOT EXISTS checkpoint_position jsonb;\n"
    "CREATE TABLE IF NOT EXISTS tallyd.view (\n"
    "    pipeline text NOT NULL REFERENCES tallyd.pipeline ON DELETE CASCADE,\n"
    "    view text NOT NULL,\n"
    "    plan text NOT NULL,\n"
    "    target text NOT NULL,\n"
    "    created timestamptz NOT NULL DEFAULT now(),\n"
    "    adopted boolean,\n"
    "    filled bigint,\n"
    "    PRIMARY KEY (pipeline, view)\n"
    ");\n"
    "ALTER TABLE tallyd.view ADD COLUMN IF NOT EXISTS adopted boolean,\n"
    "    ADD COLUMN IF NOT EXISTS filled bigint;\n"
    "CREATE TABLE IF NOT EXISTS tallyd.checkpoint (\n"
    "    pipeline text NOT NULL REFERENCES tallyd.pipeline ON DELETE CASCADE,\n"
    "    number bigint NOT NULL,\n"
    "    part integer NOT NULL,\n"
    "    data bytea NOT NULL,\n"
    "    PRIMARY KEY (pipeline, number, part)\n"
    ");\n"
    "ALTER TABLE tallyd.checkpoint ALTER COLUMN data SET STORAGE EXTERNAL;\n"
    "ALTER TABLE tallyd.checkpoint SET (autovacuum_vacuum_threshold = 64,\n"
    "    autovacuum_vacuum_scale_factor = 0.1, autovacuum_analyze_threshold = 1000,\n"
    "    toast.autovacuum_vacuum_threshold = 4096, toast.autovacuum_vacuum_scale_factor = 0.1);\n"
    "CREATE TABLE IF NOT EXISTS tallyd.dead_letter (\n"
    "    pipeline text NOT NULL,\n"
    "    topic text NOT NULL,\n"
    "    partition integer NOT NULL,\n"
    "    \"offset\" bigint NOT NULL,\n"
    "    key bytea,\n"
    "    value bytea,\n"
    "    reason text NOT NULL,\n"
    "    \"time\" bigint NOT NULL,\n"
    "    source_time bigint,\n"
    "    key_bytes bigint,\n"
    "    value_bytes bigint\n"
    ");\n"
    "CREATE OR REPLACE VIEW tallyd.status AS\n"
    "    SELECT p.name, p.batch, p.\"time\", p.updated,\n"
    "        a.pid IS NOT NULL AS running, p.instance, p.epoch, p.owner, p.started,\n"
    "        (SELECT count(*) FROM tallyd.view v WHERE v.pipeline = p.name) AS views,\n"
    "        p.checkpoint, p.position, p.checkpoint_batch\n"
    "    FROM tallyd.pipeline p LEFT JOIN pg_catalog.pg_stat_activity a\n"
    "        ON a.pid = p.backend AND a.backend_start IS NOT DISTINCT FROM p.backend_start;\n";

void
ddl_print(FILE *out, const char *user)
{
	fprintf(out, "BEGIN;\n%sGRANT USAGE ON SCHEMA tallyd TO ", ddl);
	sql_identifier(out, user);
	fputs(";\nGRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tallyd TO ", out);
	sql_identifier(out, user);
	fputs(";\nCOMMIT;\n", out);
}

enum ddl_state
ddl_look(struct postgres *pg, const struct pipeline *p, int *error)
{
	const char *tables, *columns, *letters;

	/* From the catalog, for to_regclass() fails on a schema that may not be used. */
	*error = postgres_query(
	    pg,
	    "SELECT count(DISTINCT c.oid) FILTER (WHERE c.relname <> 'dead_letter'),"
	    " count(a.attname), count(*) FILTER (WHERE c.relname = 'dead_letter')"
	    " FROM pg_catalog.pg_class c"
	    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN"
	    " pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped"
	    " AND (c.relname, a.attname) IN (('pipeline', 'checkpoint_batch'),"
	    " ('pipeline', 'checkpoint_position'), ('view', 'adopted'), ('view', 'filled'),"
	    " ('status', 'checkpoint_batch')) WHERE n.nspname = 'tallyd'"
	    " AND c.relname IN ('pipeline', 'view', 'checkpoint', 'status', 'dead_letter')",
	    NULL);
	tables = *error == 0 ? postgres_get(pg, 0, 0) : NULL;
	columns = *error == 0 ? postgres_get(pg, 0, 1) : NULL;
	letters = *error == 0 ? postgres_get(pg, 0, 2) : NULL;
	if (tables == NULL || columns == NULL || letters == NULL || strcmp(tables, "4") != 0)
		return DDL_ABSENT;
	if (pipeline_has_dead_letters(p) && strcmp(letters, "0") == 0)
		return DDL_EARLIER;
	return strcmp(columns, "5") == 0 ? DDL_PRESENT : DDL_EARLIER;
}

int
ddl_create(struct postgres *pg)
{
	const char *tables = ddl;
	char *all;
	int done;

	if (postgres_query(pg,
			   "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'tallyd'",
			   NULL) < 0)
		return -1;
	/* IF NOT EXISTS asks for the privilege to create it even when it is there. */
	if (strcmp(postgres_get(pg, 0, 0), "1") == 0)
		tables += strlen(CREATE_SCHEMA);
	/* A lock of the transaction: its number is "tallyd" in ASCII. */
	all = xasprintf(
	    "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(127961779698020);\n%sCOMMIT", tables);
	done = postgres_script(pg, all);
	free(all);
	return done;
}

char *
ddl_hint(const struct pipeline *p, const struct postgres *pg, enum ddl_state state)
{
	char *check = pipeline_command(p, "check --ddl", NULL), *hint;

	if (state != DDL_ABSENT)
		hint = xasprintf("let the owner of the tables in schema tallyd run what %s prints",
				 check);
	else
		hint = xasprintf("let the owner of the database run what %s prints, or: CREATE"
				 " SCHEMA IF NOT EXISTS tallyd AUTHORIZATION %s;",
				 check, postgres_role(pg));
	free(check);
	return hint;
}
