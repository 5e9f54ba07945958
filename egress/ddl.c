#include "egress/ddl.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "egress/postgres.h"

/*
 * One row for each pipeline, updated by every commit: the low fillfactor keeps the update on its
 * page (HOT), where the next one prunes it, so it neither bloats nor needs an index entry.
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
    "    updated timestamptz\n"
    ") WITH (fillfactor = 10);\n"
    "CREATE TABLE IF NOT EXISTS tallyd.view (\n"
    "    pipeline text NOT NULL REFERENCES tallyd.pipeline ON DELETE CASCADE,\n"
    "    view text NOT NULL,\n"
    "    plan text NOT NULL,\n"
    "    target text NOT NULL,\n"
    "    created timestamptz NOT NULL DEFAULT now(),\n"
    "    PRIMARY KEY (pipeline, view)\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS tallyd.checkpoint (\n"
    "    pipeline text NOT NULL REFERENCES tallyd.pipeline ON DELETE CASCADE,\n"
    "    number bigint NOT NULL,\n"
    "    part integer NOT NULL,\n"
    "    data bytea NOT NULL,\n"
    "    PRIMARY KEY (pipeline, number, part)\n"
    ");\n"
    "CREATE OR REPLACE VIEW tallyd.status AS\n"
    "    SELECT p.name, p.batch, p.\"time\", p.updated,\n"
    "        a.pid IS NOT NULL AS running, p.instance, p.epoch, p.owner, p.started,\n"
    "        (SELECT count(*) FROM tallyd.view v WHERE v.pipeline = p.name) AS views,\n"
    "        p.checkpoint, p.position\n"
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

bool
ddl_present(struct postgres *pg, int *error)
{
	const char *all;

	/* From the catalog, for to_regclass() fails on a schema that may not be used. */
	*error = postgres_query(
	    pg,
	    "SELECT count(*) = 4 FROM pg_catalog.pg_class c"
	    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tallyd'"
	    " AND c.relname IN ('pipeline', 'view', 'checkpoint', 'status')",
	    NULL);
	all = *error == 0 ? postgres_get(pg, 0, 0) : NULL;
	return all != NULL && strcmp(all, "t") == 0;
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
ddl_hint(const struct postgres *pg)
{
	return xasprintf("let the owner of the database run what `tallyd check --ddl FILE` prints,"
			 " or: CREATE SCHEMA IF NOT EXISTS tallyd AUTHORIZATION %s;",
			 postgres_role(pg));
}
