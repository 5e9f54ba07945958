#include "egress/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "egress/ddl.h"
#include "egress/plan.h"
#include "egress/pooler.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define CHECK_CONNECT_MS 5000
#define CHECK_MS         10000

struct check {
	struct stage *stage;
	struct target target;
	enum exit_code worst;
};

static void
check_note(struct check *c, enum exit_code code)
{
	/* What is wrong with the file is said before what is wrong with a privilege. */
	if (c->worst == EXIT_OK || code == EXIT_CONFIG)
		c->worst = code;
}

static void
check_result(struct check *c, enum inspect_result result)
{
	if (result == INSPECT_REFUSED || result == INSPECT_MISSING)
		check_note(c, EXIT_CONFIG);
	else if (result == INSPECT_DENIED)
		check_note(c, EXIT_DENIED);
	else if (result == INSPECT_LOST)
		stage_fail(c->stage, EXIT_UNAVAILABLE, "target.check", "PostgreSQL at %s: %s",
			   postgres_where(c->target.pg), postgres_error(c->target.pg));
}

static bool
check_connect(struct check *c)
{
	const struct place *place = &c->stage->pipeline->target_place;
	struct postgres *pg = c->target.pg;
	enum postgres_connection how =
	    (enum postgres_connection)target_connect(&c->target, CHECK_CONNECT_MS);
	int version = postgres_version(pg);

	if (how != POSTGRES_CONNECTED) {
		stage_report(c->stage, LOG_ERROR, place, "PostgreSQL at %s %s: %s",
			     postgres_where(pg),
			     how == POSTGRES_AWAY      ? "cannot be reached"
			     : how == POSTGRES_REFUSED ? "refuses the login"
						       : "cannot be asked",
			     postgres_error(pg));
		check_note(c, how == POSTGRES_AWAY      ? EXIT_UNAVAILABLE
			      : how == POSTGRES_REFUSED ? EXIT_DENIED
							: EXIT_CONFIG);
		return false;
	}
	if (!c->stage->drop)
		stage_report(c->stage, LOG_INFO, place,
			     "target: PostgreSQL %d.%d at %s, database \"%s\", user \"%s\"%s",
			     version / 10000, version % 10000, postgres_where(pg),
			     postgres_database(pg), postgres_user(pg),
			     postgres_uses_ssl(pg) ? ", encrypted" : "");
	if (version >= 120000 && !pooler_shares_sessions(&c->target))
		return true;
	stage_report(c->stage, LOG_ERROR, place, "%s",
		     version < 120000 ? "PostgreSQL 12 is the oldest that tallyd knows"
				      : "a connection pooler in transaction mode cannot keep the"
					" lock of the pipeline: connect to the server itself, or"
					" set the pooler to session mode");
	check_note(c, EXIT_CONFIG);
	return false;
}

static void
check_tables(struct check *c)
{
	const struct pipeline *p = c->stage->pipeline;

	for (unsigned i = 0; i < p->view_count; i++) {
		enum inspect_result result =
		    inspect_view(c->stage, c->target.pg, &p->views[i], false, &c->target.tables[i]);

		if (result == INSPECT_MISSING) {
			char *create = inspect_suggest(&p->views[i]);
			char *name = inspect_view_name(&p->views[i]);

			stage_report(c->stage, LOG_ERROR, &p->views[i].place,
				     "no table %s in database \"%s\": %s", name,
				     postgres_database(c->target.pg), create);
			free(name);
			free(create);
		}
		check_result(c, result);
	}
	if (!plan_check_distinct(c->stage, c->target.tables))
		check_note(c, EXIT_CONFIG);
}

#define CHECK_SCHEMA_PRESENT                                                                       \
	"SELECT has_schema_privilege('tallyd', 'USAGE') AND"                                       \
	" (SELECT bool_and(has_table_privilege(c.oid, p)) FROM"                                    \
	" pg_catalog.pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE',"                       \
	" 'DELETE']) p WHERE c.relnamespace = 'tallyd'::regnamespace"                              \
	" AND c.relname IN ('pipeline', 'view', 'checkpoint'))"

/* May we do with schema tallyd what is to be done: write, add what is missing, create it? */
static const char *const check_schema_sql[] = {
    [DDL_ABSENT] = "SELECT coalesce((SELECT has_schema_privilege(n.oid, 'CREATE')"
		   " FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tallyd'),"
		   " has_database_privilege(pg_catalog.current_database(), 'CREATE'))",
    [DDL_EARLIER] = "SELECT bool_and(pg_has_role(c.relowner, 'USAGE')"
		    " AND has_schema_privilege(n.oid, 'CREATE')) FROM pg_catalog.pg_class c"
		    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		    " WHERE n.nspname = 'tallyd'"
		    " AND c.relname IN ('pipeline', 'view', 'checkpoint', 'status')",
    [DDL_PRESENT] = CHECK_SCHEMA_PRESENT,
};

/* Schema tallyd is there and ours to use, or may be created. False: nothing is in it yet. */
static bool
check_schema(struct check *c)
{
	static const char *const verbs[] = {[DDL_ABSENT] = "create",
					    [DDL_EARLIER] = "upgrade",
					    [DDL_PRESENT] = "write to the tables of"};
	const struct place *place = &c->stage->pipeline->target_place;
	struct postgres *pg = c->target.pg;
	enum ddl_state found;
	const char *sql;
	char *hint;
	int error;

	found = ddl_look(pg, c->stage->pipeline, &error);
	sql = check_schema_sql[found];
	if (found == DDL_PRESENT && pipeline_has_dead_letters(c->stage->pipeline))
		sql =
		    CHECK_SCHEMA_PRESENT " AND has_table_privilege('tallyd.dead_letter', 'INSERT')";
	if (error < 0 || postgres_query(pg, sql, NULL) < 0)
		check_result(c, INSPECT_LOST);
	if (postgres_get(pg, 0, 0)[0] == 't') {
		if (found != DDL_PRESENT)
			stage_report(c->stage, LOG_INFO, place, "schema tallyd will be %s start",
				     found == DDL_ABSENT ? "created at the first"
							 : "upgraded at the next");
		return found != DDL_ABSENT;
	}
	hint = ddl_hint(c->stage->pipeline, pg, found);
	stage_report(c->stage, LOG_ERROR, place, "user \"%s\" may not %s schema tallyd: %s",
		     postgres_user(pg), verbs[found], hint);
	free(hint);
	check_note(c, EXIT_DENIED);
	return false;
}

static void
check_views(struct check *c, bool present)
{
	const char *values[1] = {c->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};
	struct postgres *pg = c->target.pg;
	uint64_t batch = 0;
	char *holder;

	if (present) {
		/* The schema may be older than the column, and stays so until a start. */
		if (postgres_query(pg,
				   "SELECT batch, position::text || coalesce(E'\t' ||"
				   " nullif(to_jsonb(p)->'checkpoint_position', 'null')::text, '')"
				   " FROM tallyd.pipeline p WHERE name = $1",
				   &params) < 0)
			check_result(c, INSPECT_LOST);
		if (postgres_rows(pg) > 0)
			batch = strtoull(postgres_get(pg, 0, 0), NULL, 10);
		/* For the check of ingest, see check.h of the supervisor: jsonb is one line. */
		if (batch > 0 && postgres_get(pg, 0, 1) != NULL)
			printf("position\t0\t0\t%s\n", postgres_get(pg, 0, 1));
		check_result(c, plan_check(c->stage, pg, c->target.tables, batch));
	}
	check_result(c, plan_clear(c->stage, pg, c->target.tables, batch, false));
	holder = target_holder(&c->target);
	if (holder != NULL)
		stage_report(c->stage, LOG_INFO, &c->stage->pipeline->target_place,
			     "pipeline \"%s\" is held by %s: a second tallyd would stand by",
			     c->stage->pipeline->name, holder);
	free(holder);
}

static void
check_online(struct check *c)
{
	bool present;

	if (!check_connect(c))
		return;
	postgres_set_deadline(c->target.pg, clock_monotonic_ms() + CHECK_MS);
	check_tables(c);
	present = check_schema(c);
	if (c->worst == EXIT_OK)
		check_views(c, present);
}

/* True when no tallyd works on the pipeline: the lock is ours until the connection ends. */
static bool
drop_lock(struct check *c)
{
	int got = target_try_lock(&c->target);
	char *holder;

	if (got < 0)
		check_result(c, INSPECT_LOST);
	if (got > 0)
		return true;
	holder = target_holder(&c->target);
	stage_report(c->stage, LOG_ERROR, &c->stage->pipeline->target_place,
		     "pipeline \"%s\" is held by %s: stop it, then drop again",
		     c->stage->pipeline->name, holder != NULL ? holder : "another session");
	free(holder);
	check_note(c, EXIT_TEMPORARY);
	return false;
}

static void
drop_failed(struct check *c)
{
	if (!postgres_state_is(c->target.pg, "42501"))
		check_result(c, INSPECT_LOST);
	stage_report(c->stage, LOG_ERROR, &c->stage->pipeline->target_place,
		     "user \"%s\" may not delete from tallyd.pipeline: %s",
		     postgres_user(c->target.pg), postgres_error(c->target.pg));
	check_note(c, EXIT_DENIED);
}

static void
drop_rows(struct check *c)
{
	const char *values[1] = {c->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};
	struct postgres *pg = c->target.pg;
	int error;
	bool there = ddl_look(pg, c->stage->pipeline, &error) != DDL_ABSENT;

	if (error < 0)
		check_result(c, INSPECT_LOST);
	if (there &&
	    postgres_query(
		pg,
		"WITH d AS (DELETE FROM tallyd.pipeline WHERE name = $1 RETURNING batch)"
		" SELECT d.batch, (SELECT count(*) FROM tallyd.checkpoint WHERE pipeline = $1),"
		" (SELECT coalesce(string_agg(target, ', ' ORDER BY view), 'none')"
		" FROM tallyd.view WHERE pipeline = $1) FROM d",
		&params) < 0) {
		drop_failed(c);
		return;
	}
	if (!there || postgres_rows(pg) == 0) {
		stage_report(c->stage, LOG_ERROR, NULL,
			     "database \"%s\" at %s knows no pipeline \"%s\": there is nothing to"
			     " drop",
			     postgres_database(pg), postgres_where(pg), values[0]);
		check_note(c, EXIT_CONFIG);
		return;
	}
	stage_report(
	    c->stage, LOG_INFO, NULL,
	    "removed pipeline \"%s\" at batch %s, with %s parts of checkpoints, from schema"
	    " tallyd in database \"%s\" at %s; left alone: its tables (%s) with all of"
	    " their rows, and the offsets of the consumer group in Kafka",
	    values[0], postgres_get(pg, 0, 0), postgres_get(pg, 0, 1), postgres_database(pg),
	    postgres_where(pg), postgres_get(pg, 0, 2));
}

static void
check_drop(struct check *c)
{
	/* Without a limit from here on: a large checkpoint takes its time to go. */
	if (check_connect(c) && drop_lock(c))
		drop_rows(c);
}

static void
check_print_ddl(const struct check *c)
{
	char *user = target_user(&c->target);

	ddl_print(stdout, user);
	free(user);
}

enum exit_code
egress_check(struct stage *stage)
{
	struct check c = {.stage = stage, .worst = EXIT_OK};

	if (!target_init(&c.target, stage))
		c.worst = EXIT_CONFIG;
	else if (stage->ddl)
		check_print_ddl(&c);
	else if (stage->drop)
		check_drop(&c);
	else if (!stage->offline)
		check_online(&c);
	target_fini(&c.target);
	return c.worst;
}
