#include "egress/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/postgres.h"

#define EMPTY "give the pipeline a new name (SET pipeline) and each of its views an empty table"

/* The row of a view in tallyd.view, as a condition to paste. Heap. */
static char *
plan_where(const struct pipeline *p, const char *view)
{
	char *pipeline = inspect_literal(p->name), *name = inspect_literal(view);
	char *where = xasprintf("WHERE pipeline = %s AND view = %s", pipeline, name);

	free(pipeline);
	free(name);
	return where;
}

static bool
plan_compare(struct stage *s, struct postgres *pg, int row, const struct view *v,
	     const struct target_table *table)
{
	const char *plan = postgres_get(pg, row, 1), *target = postgres_get(pg, row, 2);

	/* A rebuild leaves in the table what is asked for, whatever it was. */
	if (v->rebuild)
		return true;
	if (strcmp(plan, v->plan) != 0) {
		char *rebuild = pipeline_command(s->pipeline, "rebuild", v);

		stage_report(
		    s, LOG_ERROR, &v->place,
		    "view %s has changed: the rows in %s are those of `%s`, the file now says `%s`;"
		    " %s writes the difference into it; or put back what the file said before",
		    v->name, table->name, plan, v->plan, rebuild);
		free(rebuild);
		return false;
	}
	if (strcmp(target, table->name) != 0) {
		char *set = inspect_literal(table->name);
		char *where = plan_where(s->pipeline, postgres_get(pg, row, 0));

		stage_report(
		    s, LOG_ERROR, &v->place,
		    "view %s has written into %s so far, and would now write into %s: set the"
		    " search_path back or name the schema; after ALTER TABLE ... RENAME:"
		    " UPDATE tallyd.view SET target = %s %s",
		    v->name, target, table->name, set, where);
		free(set);
		free(where);
		return false;
	}
	return true;
}

/* The view of the pipeline with this name in tallyd.view, or -1: it is not, or no more. */
static int
plan_find(const struct pipeline *p, const char *name)
{
	int found = -1;

	for (unsigned i = 0; i < p->view_count && found < 0; i++) {
		char *own = inspect_view_name(&p->views[i]);

		if (strcmp(own, name) == 0 && !p->views[i].dropped)
			found = (int)i;
		free(own);
	}
	return found;
}

bool
plan_check_distinct(struct stage *s, const struct target_table *tables)
{
	const struct pipeline *p = s->pipeline;
	bool ok = true;

	for (unsigned i = 0; i < p->view_count; i++) {
		for (unsigned j = 0; j < i; j++) {
			char *one, *other;

			if (tables[i].oid == 0 || tables[i].oid != tables[j].oid)
				continue;
			one = inspect_view_name(&p->views[j]);
			other = inspect_view_name(&p->views[i]);
			stage_report(
			    s, LOG_ERROR, &p->views[i].place,
			    "views %s and %s both write into %s: each needs a table of its own",
			    one, other, tables[i].name);
			free(one);
			free(other);
			ok = false;
		}
	}
	return ok;
}

static bool
plan_has_server(const struct pipeline *p, const char *name)
{
	for (unsigned i = 0; i < p->server_count; i++)
		if (strcmp(p->servers[i].name, name) == 0)
			return true;
	return false;
}

static void
plan_refuse_no_position(struct stage *s, uint64_t batch)
{
	char *drop = pipeline_command(s->pipeline, "drop", NULL);
	char *rebuild = pipeline_command(s->pipeline, "rebuild", NULL);

	stage_report(s, LOG_ERROR, NULL,
		     "the position of pipeline \"%s\" is gone from tallyd.pipeline, though batch"
		     " %" PRIu64 " was committed, so nobody knows what is counted already: put it"
		     " back from a backup; or %s, option start 'earliest' for the server, and"
		     " %s, which reads history from its start",
		     s->pipeline->name, batch, drop, rebuild);
	free(drop);
	free(rebuild);
}

/*
 * A position is kept by the servers' names. One that lacks a server of the file would make a first
 * start of it, over rows that are counted already.
 */
static enum inspect_result
plan_check_servers(struct stage *s, struct postgres *pg, uint64_t batch)
{
	const struct pipeline *p = s->pipeline;
	const char *values[1] = {p->name};
	struct postgres_params params = {.count = 1, .values = values};
	bool ok = true;

	if (batch == 0)
		return INSPECT_OK;
	if (postgres_query(pg,
			   "SELECT k FROM tallyd.pipeline, jsonb_object_keys(CASE"
			   " jsonb_typeof(position) WHEN 'object' THEN position END) AS k"
			   " WHERE name = $1 ORDER BY k",
			   &params) < 0)
		return INSPECT_LOST;
	if (postgres_rows(pg) == 0) {
		plan_refuse_no_position(s, batch);
		return INSPECT_REFUSED;
	}
	for (int row = 0; row < postgres_rows(pg); row++) {
		if (plan_has_server(p, postgres_get(pg, row, 0)))
			continue;
		stage_report(s, LOG_ERROR, NULL,
			     "pipeline \"%s\" has read from a server \"%s\" that the file has no"
			     " more: give the server its old name back, or " EMPTY,
			     p->name, postgres_get(pg, row, 0));
		ok = false;
	}
	for (unsigned i = 0; i < p->server_count; i++) {
		bool there = false;

		for (int row = 0; row < postgres_rows(pg); row++)
			there = there || strcmp(postgres_get(pg, row, 0), p->servers[i].name) == 0;
		if (there)
			continue;
		stage_report(s, LOG_ERROR, &p->servers[i].place,
			     "server \"%s\" is new, but pipeline \"%s\" has been running without"
			     " it: give the server its old name back, or " EMPTY,
			     p->servers[i].name, p->name);
		ok = false;
	}
	return ok ? INSPECT_OK : INSPECT_REFUSED;
}

static enum inspect_result
plan_check_views(struct stage *s, struct postgres *pg, struct target_table *tables)
{
	const struct pipeline *p = s->pipeline;
	const char *values[1] = {p->name};
	struct postgres_params params = {.count = 1, .values = values};
	bool ok = true;

	if (postgres_query(
		pg, "SELECT view, plan, target FROM tallyd.view WHERE pipeline = $1 ORDER BY view",
		&params) < 0)
		return INSPECT_LOST;
	for (int row = 0; row < postgres_rows(pg); row++) {
		int i = plan_find(p, postgres_get(pg, row, 0));

		if (i >= 0) {
			tables[i].known = true;
			ok = plan_compare(s, pg, row, &p->views[i], &tables[i]) && ok;
		} else if (s->check) {
			stage_report(s, LOG_INFO, NULL,
				     "view %s is in the file no more: its table %s will be left as"
				     " it is",
				     postgres_get(pg, row, 0), postgres_get(pg, row, 2));
		}
	}
	return ok ? INSPECT_OK : INSPECT_REFUSED;
}

enum inspect_result
plan_check(struct stage *s, struct postgres *pg, struct target_table *tables, uint64_t batch)
{
	enum inspect_result views, servers;

	for (unsigned i = 0; i < s->pipeline->view_count; i++)
		tables[i].known = false;
	/* Nothing was written yet: what an earlier start, perhaps a refused one, noted binds nobody. */
	if (batch == 0)
		return INSPECT_OK;
	views = plan_check_views(s, pg, tables);
	if (views == INSPECT_LOST)
		return views;
	servers = plan_check_servers(s, pg, batch);
	return servers != INSPECT_OK ? servers : views;
}

static enum inspect_result
plan_truncate(struct stage *s, struct postgres *pg, const struct view *v,
	      const struct target_table *t, bool change)
{
	char *sql;
	int done;

	if (!t->may_truncate) {
		stage_report(s, LOG_ERROR, &v->place,
			     "existing = truncate needs the privilege: GRANT TRUNCATE ON %s TO %s",
			     t->name, postgres_role(pg));
		return INSPECT_DENIED;
	}
	if (!change)
		return INSPECT_OK;
	sql = xasprintf("TRUNCATE %s", t->name);
	done = postgres_query(pg, sql, NULL);
	free(sql);
	if (done < 0)
		return INSPECT_LOST;
	log_info("target.truncated",
		 "%s: emptied before the first row of its view, as existing = truncate says",
		 t->name);
	return INSPECT_OK;
}

static enum inspect_result
plan_check_readable(struct stage *s, struct postgres *pg, const struct view *v,
		    const struct target_table *t)
{
	if (t->may_read)
		return INSPECT_OK;
	if (v->rebuild)
		stage_report(s, LOG_ERROR, &v->place,
			     "a rebuild must read what is in %s: GRANT SELECT ON %s TO %s", t->name,
			     t->name, postgres_role(pg));
	else
		stage_report(s, LOG_ERROR, &v->place,
			     "a first start must see that %s is empty: GRANT SELECT ON %s TO %s,"
			     " or say existing = adopt in the view's WITH",
			     t->name, t->name, postgres_role(pg));
	return INSPECT_DENIED;
}

static enum inspect_result
plan_check_empty(struct stage *s, struct postgres *pg, const struct view *v,
		 const struct target_table *t, uint64_t batch)
{
	enum inspect_result readable = plan_check_readable(s, pg, v, t);
	char *sql, *rebuild;
	int done;

	if (readable != INSPECT_OK)
		return readable;
	sql = xasprintf("SELECT EXISTS (SELECT FROM %s)", t->name);
	done = postgres_query(pg, sql, NULL);
	free(sql);
	if (done < 0)
		return INSPECT_LOST;
	if (postgres_get(pg, 0, 0)[0] != 't')
		return INSPECT_OK;
	/* Before the first batch all views are as new as this one. */
	rebuild = pipeline_command(s->pipeline, "rebuild", batch == 0 ? NULL : v);
	stage_report(
	    s, LOG_ERROR, &v->place,
	    "%s has rows, but %s \"%s\" has never written%s: empty it (TRUNCATE %s); or say in"
	    " the view's WITH existing = truncate, or existing = adopt to leave them; or, if they"
	    " are of this view%s, %s writes the difference",
	    t->name, batch == 0 ? "pipeline" : "this view of pipeline", s->pipeline->name,
	    batch == 0 ? "" : " into it", t->name,
	    batch == 0 ? " and only the pipeline's row in schema tallyd was lost" : "", rebuild);
	free(rebuild);
	return INSPECT_REFUSED;
}

enum inspect_result
plan_clear(struct stage *s, struct postgres *pg, const struct target_table *tables, uint64_t batch,
	   bool change)
{
	enum inspect_result all = INSPECT_OK;

	for (unsigned i = 0; i < s->pipeline->view_count; i++) {
		const struct view *v = &s->pipeline->views[i];
		enum inspect_result one = INSPECT_OK;

		if (v->dropped)
			continue;
		if (v->rebuild)
			one = plan_check_readable(s, pg, v, &tables[i]);
		else if (tables[i].known)
			continue;
		else if (v->existing == EXISTING_TRUNCATE)
			one = plan_truncate(s, pg, v, &tables[i], change);
		else if (v->existing == EXISTING_REFUSE)
			one = plan_check_empty(s, pg, v, &tables[i], batch);
		if (one == INSPECT_LOST)
			return one;
		if (one != INSPECT_OK)
			all = one;
	}
	return all;
}

static int
plan_delete(struct stage *s, struct postgres *pg, const char *view)
{
	const char *values[2] = {s->pipeline->name, view};
	struct postgres_params params = {.count = 2, .values = values};

	return postgres_query(pg, "DELETE FROM tallyd.view WHERE pipeline = $1 AND view = $2",
			      &params);
}

int
plan_drop(struct stage *s, struct postgres *pg, const struct view *v)
{
	char *view = inspect_view_name(v);
	int done = plan_delete(s, pg, view);

	free(view);
	return done;
}

/* A view that the file has no more: the target forgets it, and its table stands still. */
static int
plan_forget(struct stage *s, struct postgres *pg, const char *view, const char *target)
{
	if (plan_delete(s, pg, view) < 0)
		return -1;
	log_info("view.forgotten", "view %s is in the file no more: its table %s stays as it is",
		 view, target);
	return 0;
}

static int
plan_forget_gone(struct stage *s, struct postgres *pg)
{
	const char *values[1] = {s->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};
	unsigned gone = 0;
	char **names;
	int done = 0;

	if (postgres_query(pg, "SELECT view, target FROM tallyd.view WHERE pipeline = $1",
			   &params) < 0)
		return -1;
	names = xcalloc((size_t)postgres_rows(pg) * 2 + 1, sizeof(*names));
	for (int row = 0; row < postgres_rows(pg); row++) {
		if (plan_find(s->pipeline, postgres_get(pg, row, 0)) >= 0)
			continue;
		names[gone++] = xstrdup(postgres_get(pg, row, 0));
		names[gone++] = xstrdup(postgres_get(pg, row, 1));
	}
	for (unsigned i = 0; i < gone; i += 2) {
		if (done == 0)
			done = plan_forget(s, pg, names[i], names[i + 1]);
		free(names[i]);
		free(names[i + 1]);
	}
	free(names);
	return done;
}

int
plan_note(struct stage *s, struct postgres *pg, const struct view *v, const struct target_table *t,
	  const char *adopted, const char *filled)
{
	char *view = inspect_view_name(v);
	const char *values[6] = {s->pipeline->name, view, v->plan, t->name, adopted, filled};
	struct postgres_params params = {.count = 6, .values = values};
	int done = postgres_query(
	    pg,
	    "INSERT INTO tallyd.view (pipeline, view, plan, target, adopted, filled)"
	    " VALUES ($1, $2, $3, $4, $5::boolean, $6::bigint) ON CONFLICT (pipeline, view) DO "
	    "UPDATE"
	    " SET plan = excluded.plan, target = excluded.target, created = excluded.created,"
	    " adopted = excluded.adopted, filled = excluded.filled",
	    &params);

	free(view);
	return done;
}

enum inspect_result
plan_settle(struct stage *s, struct postgres *pg, struct target_table *tables, uint64_t batch,
	    bool anew)
{
	enum inspect_result result = plan_check(s, pg, tables, batch);

	if (result == INSPECT_OK)
		result = plan_clear(s, pg, tables, batch, true);
	if (result != INSPECT_OK)
		return result;
	if (plan_forget_gone(s, pg) < 0)
		return INSPECT_LOST;
	for (unsigned i = 0; batch == 0 && anew && i < s->pipeline->view_count; i++)
		if (plan_note(s, pg, &s->pipeline->views[i], &tables[i], NULL, NULL) < 0)
			return INSPECT_LOST;
	return INSPECT_OK;
}
