#include "egress/views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/plan.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define CHECK_BYTES   67108864 /* larger tables are not looked at: a start must not wait for it */
#define CHECK_TIMEOUT "'3s'"

struct views_step {
	bool said, staged;
	enum view_step step;
	uint64_t rows;
	uint64_t rebuilt; /* rows that its rebuild has written */
};

struct views {
	struct target *target;
	struct views_step *steps; /* as pipeline->views */
};

struct views *
views_new(struct target *t)
{
	struct views *vs = xcalloc(1, sizeof(*vs));

	vs->target = t;
	vs->steps = xcalloc(t->stage->pipeline->view_count + 1, sizeof(*vs->steps));
	return vs;
}

void
views_free(struct views *vs)
{
	if (vs == NULL)
		return;
	free(vs->steps);
	free(vs);
}

void
views_begin(struct views *vs)
{
	memset(vs->steps, 0, vs->target->stage->pipeline->view_count * sizeof(*vs->steps));
}

void
views_restart(struct views *vs)
{
	for (unsigned i = 0; i < vs->target->stage->pipeline->view_count; i++)
		vs->steps[i].staged = false;
}

uint64_t
views_rebuilt(const struct views *vs)
{
	uint64_t rows = 0;

	for (unsigned i = 0; i < vs->target->stage->pipeline->view_count; i++)
		rows += vs->steps[i].rebuilt;
	return rows;
}

bool
views_take(struct views *vs, uint16_t view, enum view_step step, uint64_t rows)
{
	const struct pipeline *p = vs->target->stage->pipeline;
	struct views_step *s;

	if (view >= p->view_count)
		return false;
	s = &vs->steps[view];
	if (s->said && s->step != step)
		return false;
	if (p->views[view].dropped && step != VIEW_DROP)
		return true;
	s->said = true;
	s->step = step;
	s->rows = rows;
	return true;
}

static bool
views_has(const struct views *vs, unsigned view, enum view_step step)
{
	return vs->steps[view].said && vs->steps[view].step == step;
}

bool
views_fill_any(const struct views *vs)
{
	for (unsigned i = 0; i < vs->target->stage->pipeline->view_count; i++)
		if (views_has(vs, i, VIEW_FILL) || views_has(vs, i, VIEW_REBUILD))
			return true;
	return false;
}

bool
views_write(const struct views *vs)
{
	for (unsigned i = 0; i < vs->target->stage->pipeline->view_count; i++)
		if (views_has(vs, i, VIEW_DROP))
			return true;
	return views_fill_any(vs);
}

int
views_filled(struct views *vs, bool *filled)
{
	struct target *t = vs->target;
	char batch[24];
	const char *values[2] = {t->stage->pipeline->name, batch};
	struct postgres_params params = {.count = 2, .values = values};

	snprintf(batch, sizeof(batch), "%" PRIu64, t->batch);
	if (postgres_query(t->pg,
			   "SELECT EXISTS (SELECT FROM tallyd.view WHERE pipeline = $1"
			   " AND filled = $2::bigint)",
			   &params) < 0)
		return target_failed(t, "look for views that were filled");
	*filled = postgres_get(t->pg, 0, 0)[0] == 't';
	return 0;
}

/* --- the fold of a table ---------------------------------------------------------------------- */

/*
 * Types whose equal values may look different (1.0 and 1.00, 0 and -0, 1 month and 30 days): a row
 * is what it looks like.
 */
static bool
views_has_looks(const struct encode_column *column)
{
	switch (column->type) {
	case ENCODE_NUMERIC:
	case ENCODE_FLOAT4:
	case ENCODE_FLOAT8:
	case ENCODE_INTERVAL:
	case ENCODE_JSONB:
		return true;
	default:
		return false;
	}
}

/*
 * "key AS c0, name COLLATE "C" AS c1, ": the outputs under names that cannot clash. Byte by byte:
 * a collation may hold two texts for equal, and is slower.
 */
static void
views_print_outputs(FILE *f, const struct view *v, const struct target_table *t)
{
	for (unsigned o = 0; o < v->output_count; o++) {
		sql_identifier(f, v->outputs[o].name);
		fprintf(f, "%s AS c%u, ", encode_is_text(t->encode[o].type) ? " COLLATE \"C\"" : "",
			o);
	}
}

static void
views_print_names(FILE *f, const struct view *v)
{
	for (unsigned o = 0; o < v->output_count; o++)
		fprintf(f, "%sc%u", o > 0 ? ", " : "", o);
}

static void
views_print_looks(FILE *f, const struct view *v, const struct target_table *t)
{
	for (unsigned o = 0; o < v->output_count; o++)
		if (views_has_looks(&t->encode[o]))
			fprintf(f, ", c%u::text", o);
}

/* --- rebuild ---------------------------------------------------------------------------------- */

static int
views_failed(struct views *vs, const char *what, unsigned view)
{
	char text[200];

	snprintf(text, sizeof(text), "%s %s", what, vs->target->tables[view].name);
	return target_failed(vs->target, text);
}

/* Of the batch that is being committed. */
static int
views_note(struct views *vs, unsigned view, const char *adopted)
{
	struct target *t = vs->target;
	char batch[24];

	snprintf(batch, sizeof(batch), "%" PRIu64, t->batch + 1);
	if (plan_note(t->stage, t->pg, &t->stage->pipeline->views[view], &t->tables[view], adopted,
		      batch) < 0)
		return views_failed(vs, "note in tallyd.view the plan of", view);
	return 0;
}

static int
views_stage(struct views *vs, unsigned view)
{
	const struct target_table *t = &vs->target->tables[view];
	char *sql;
	int done;

	if (vs->steps[view].staged)
		return 0;
	sql = xasprintf("CREATE TEMPORARY TABLE tallyd_rebuild_%u ON COMMIT DROP AS"
			" SELECT %s FROM %s WITH NO DATA",
			view, t->columns, t->name);
	done = postgres_query(vs->target->pg, sql, NULL);
	free(sql);
	if (done < 0)
		return views_failed(vs, "make a temporary table to rebuild", view);
	vs->steps[view].staged = true;
	return 0;
}

char *
views_into(struct views *vs, unsigned view)
{
	const struct target_table *t = &vs->target->tables[view];

	if (!views_has(vs, view, VIEW_REBUILD))
		return xasprintf("%s (%s)", t->name, t->columns);
	if (views_stage(vs, view) < 0)
		return NULL;
	return xasprintf("pg_temp.tallyd_rebuild_%u (%s)", view, t->columns);
}

/* What should be there less what is there, a row for each copy that is missing or too many. */
static char *
views_print_difference(const struct view *v, const struct target_table *t, unsigned view)
{
	char *sql = NULL;
	size_t size;
	FILE *f = xmemstream(&sql, &size);

	fprintf(f, "INSERT INTO %s (%s) SELECT ", t->name, t->columns);
	views_print_names(f, v);
	fputs(", $1::bigint, sign(n)::integer FROM (SELECT ", f);
	views_print_names(f, v);
	fputs(", sum(d) AS n FROM (SELECT ", f);
	views_print_outputs(f, v, t);
	fprintf(f, "diff::bigint AS d FROM pg_temp.tallyd_rebuild_%u UNION ALL SELECT ", view);
	views_print_outputs(f, v, t);
	fprintf(f, "-(diff::bigint) FROM %s) AS both_of_them GROUP BY ", t->name);
	views_print_names(f, v);
	views_print_looks(f, v, t);
	fputs(" HAVING sum(d) <> 0) AS difference, generate_series(1, abs(n)::bigint)"
	      " ORDER BY sign(n)",
	      f);
	fclose(f);
	return sql;
}

static int
views_rebuild(struct views *vs, unsigned view, const char *time)
{
	struct target *t = vs->target;
	const struct view *v = &t->stage->pipeline->views[view];
	struct postgres_params params = {.count = 1, .values = &time};
	const char *written;
	char *sql;
	int done;

	if (views_stage(vs, view) < 0)
		return -1;
	if (FAULT("egress.rebuild"))
		return target_break(t);
	sql = views_print_difference(v, &t->tables[view], view);
	done = postgres_query(t->pg, sql, &params);
	free(sql);
	if (done < 0)
		return views_failed(vs, "rebuild", view);
	written = strrchr(postgres_tag(t->pg), ' ');
	vs->steps[view].rebuilt = written != NULL ? strtoull(written + 1, NULL, 10) : 0;
	log_info("view.rebuilt", "view %s: %s rows written into %s, which now says what it should",
		 v->name, written != NULL ? written + 1 : "?", t->tables[view].name);
	return views_note(vs, view, "false");
}

/* --- fill and drop ------------------------------------------------------------------------------ */

/* Were there rows when the view began? Those of this commit are of `time`. Not to know is yes. */
static int
views_adopted(struct views *vs, unsigned view, const char *time, const char **adopted)
{
	const struct target_table *t = &vs->target->tables[view];
	struct postgres_params params = {.count = 1, .values = &time};
	char *sql;
	int done;

	*adopted = "false";
	if (vs->target->stage->pipeline->views[view].existing != EXISTING_ADOPT)
		return 0;
	*adopted = "true";
	if (!t->may_read)
		return 0;
	sql = xasprintf("SELECT EXISTS (SELECT FROM %s WHERE \"time\" IS DISTINCT FROM $1::bigint)",
			t->name);
	done = postgres_query(vs->target->pg, sql, &params);
	free(sql);
	if (done < 0)
		return views_failed(vs, "look for earlier rows in", view);
	*adopted = postgres_get(vs->target->pg, 0, 0)[0] == 't' ? "true" : "false";
	return 0;
}

static int
views_fill(struct views *vs, unsigned view, const char *time)
{
	struct target *t = vs->target;
	const char *adopted;

	if (views_adopted(vs, view, time, &adopted) < 0)
		return -1;
	if (FAULT("egress.fill"))
		return target_break(t);
	return views_note(vs, view, adopted);
}

static int
views_drop(struct views *vs, unsigned view)
{
	struct target *t = vs->target;

	if (FAULT("egress.drop"))
		return target_break(t);
	return plan_drop(t->stage, t->pg, &t->stage->pipeline->views[view]) < 0
		   ? target_failed(t, "delete a view from tallyd.view")
		   : 0;
}

int
views_finish(struct views *vs, uint64_t time)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, time);
	for (unsigned i = 0; i < vs->target->stage->pipeline->view_count; i++) {
		int done = 0;

		if (views_has(vs, i, VIEW_FILL))
			done = views_fill(vs, i, text);
		else if (views_has(vs, i, VIEW_REBUILD))
			done = views_rebuild(vs, i, text);
		else if (views_has(vs, i, VIEW_DROP))
			done = views_drop(vs, i);
		if (done < 0)
			return -1;
	}
	return 0;
}

/* --- live: is the table what was written? ------------------------------------------------------- */

/* Different results are different in the table, whatever its column's length or precision. */
static bool
views_is_lossless(const struct encode_column *column)
{
	switch (column->type) {
	case ENCODE_INT2:
	case ENCODE_INT4:
	case ENCODE_INT8:
		return column->source != TYPE_NUMERIC;
	case ENCODE_CHAR:
		return column->source == TYPE_CHAR;
	case ENCODE_VARCHAR:
		return column->limit == 0;
	case ENCODE_TEXT:
	case ENCODE_BYTEA:
	case ENCODE_UUID:
	case ENCODE_BOOL:
	case ENCODE_DATE:
	case ENCODE_INET:
	case ENCODE_ENUM:
		return true;
	default:
		return false;
	}
}

/*
 * True when no two groups of the view can have one and the same row: all columns of its key are
 * among the outputs, in columns that lose nothing.
 */
static bool
views_is_distinct(const struct view *v, const struct target_table *t)
{
	for (unsigned g = 0; g < v->group_count; g++) {
		bool found = false;

		for (unsigned o = 0; o < v->output_count; o++)
			found = found || (v->outputs[o].kind == OUTPUT_GROUP &&
					  v->outputs[o].column == v->group[g] &&
					  views_is_lossless(&t->encode[o]));
		if (!found)
			return false;
	}
	return true;
}

/*
 * "ROWS ODD": how many rows the table folds to, and how many distinct ones have an impossible
 * count. NULL when it is too large or had rows of others, and then it is not read.
 */
static char *
views_print_check(const struct view *v, const struct target_table *t)
{
	char *sql = NULL;
	size_t size;
	FILE *f = xmemstream(&sql, &size);

	fprintf(f,
		"SELECT CASE WHEN NOT adopted AND pg_catalog.pg_relation_size(%" PRIu32 "::oid)"
		" + (SELECT coalesce(sum(pg_catalog.pg_relation_size(relid)), 0)"
		" FROM pg_catalog.pg_partition_tree(%" PRIu32 "::oid::regclass)) <= %d THEN"
		" (SELECT coalesce(sum(n), 0) || ' ' || count(*) FILTER (WHERE n < 0%s)"
		" FROM (SELECT coalesce(sum(diff), 0) AS n FROM (SELECT ",
		t->oid, t->oid, CHECK_BYTES, views_is_distinct(v, t) ? " OR n > 1" : "");
	views_print_outputs(f, v, t);
	fprintf(f, "diff FROM %s WHERE (\"time\" < $3::bigint) IS NOT FALSE) AS shown GROUP BY ",
		t->name);
	views_print_names(f, v);
	fputs(") AS counted) END FROM tallyd.view WHERE pipeline = $1 AND view = $2", f);
	fclose(f);
	return sql;
}

static void
views_compare(struct views *vs, unsigned view)
{
	struct target *t = vs->target;
	const char *found = postgres_get(t->pg, 0, 0);
	char expected[32], also[96] = "", *rebuild;
	int n;

	if (found == NULL)
		return;
	snprintf(expected, sizeof(expected), "%" PRIu64 " 0", vs->steps[view].rows);
	if (strcmp(found, expected) == 0)
		return;
	n = (int)strcspn(found, " ");
	if (strcmp(found + n, " 0") != 0)
		snprintf(also, sizeof(also), ",%s of them more than once or fewer than zero times",
			 found + n);
	rebuild = pipeline_command(t->stage->pipeline, "rebuild", &t->stage->pipeline->views[view]);
	stage_fail(t->stage, EXIT_CONFIG, "target.edited",
		   "%s folds to %.*s rows%s, but %" PRIu64 " were written: it was truncated or"
		   " edited; %s writes the difference into it",
		   t->tables[view].name, n, found, also, vs->steps[view].rows, rebuild);
}

static int
views_check_one(struct views *vs, unsigned view, uint64_t time)
{
	struct target *t = vs->target;
	char text[24], *name = inspect_view_name(&t->stage->pipeline->views[view]);
	const char *values[3] = {t->stage->pipeline->name, name, text};
	struct postgres_params params = {.count = 3, .values = values};
	char *sql = views_print_check(&t->stage->pipeline->views[view], &t->tables[view]);
	int done;

	snprintf(text, sizeof(text), "%" PRIu64, time);
	done = postgres_script(t->pg, "BEGIN; SET LOCAL statement_timeout = " CHECK_TIMEOUT
				      "; SET LOCAL lock_timeout = " CHECK_TIMEOUT);
	if (done == 0)
		done = postgres_query(t->pg, sql, &params);
	free(sql);
	free(name);
	if (done == 0)
		views_compare(vs, view);
	if (done < 0 && !postgres_lost(t->pg) &&
	    (postgres_state_is(t->pg, "57014") || postgres_state_is(t->pg, "55P03"))) {
		log_warn("target.unchecked", "%s: not compared with what was written: %s",
			 t->tables[view].name, postgres_error(t->pg));
		done = 0;
	}
	if (done < 0 || postgres_script(t->pg, "ROLLBACK") < 0)
		return views_failed(vs, "look at", view);
	return 0;
}

int
views_check(struct views *vs, uint64_t time)
{
	for (unsigned i = 0; i < vs->target->stage->pipeline->view_count; i++) {
		if (!views_has(vs, i, VIEW_LIVE) || !vs->target->tables[i].may_read)
			continue;
		if (views_check_one(vs, i, time) < 0)
			return -1;
	}
	return 0;
}
