#include "egress/inspect.h"

#include <bsd/stdlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/postgres.h"

struct inspect { /* one inspection */
	struct stage *stage;
	struct postgres *pg;
	const struct view *view;
	struct target_table *table;
	bool quiet, refused, denied;
};

/* Columns of the catalog query, see inspect_columns(). */
enum {
	COLUMN_NAME,
	COLUMN_BASE,
	COLUMN_TYPE,
	COLUMN_TYPMOD,
	COLUMN_NOT_NULL,
	COLUMN_DEFAULT,
	COLUMN_GENERATED,
	COLUMN_INSERT,
	COLUMN_QUOTED,
};

static bool
inspect_true(const struct postgres *pg, int row, int column)
{
	const char *text = postgres_get(pg, row, column);

	return text != NULL && text[0] == 't';
}

static int
inspect_number(const struct postgres *pg, int row, int column)
{
	const char *text = postgres_get(pg, row, column);

	return text == NULL ? -1 : (int)strtonum(text, -1, INT32_MAX, NULL);
}

/* Names and texts in what is suggested: whoever reads it, pastes it. */
char *
inspect_identifier(const char *name)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	sql_identifier(out, name);
	fclose(out);
	return text;
}

char *
inspect_literal(const char *s)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	sql_string(out, s, strlen(s));
	fclose(out);
	return text;
}

char *
inspect_view_name(const struct view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	sql_view_name(out, v);
	fclose(out);
	return text;
}

char *
inspect_suggest(const struct view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	fputs("CREATE TABLE ", out);
	sql_view_name(out, v);
	fputs(" (", out);
	for (unsigned i = 0; i < v->output_count; i++) {
		sql_identifier(out, v->outputs[i].name);
		fprintf(out, " %s, ", type_name(v->outputs[i].type));
	}
	fputs("\"time\" bigint NOT NULL, diff smallint NOT NULL)", out);
	fclose(out);
	return text;
}

/* Reports what makes it no table to write into. */
static enum inspect_result
inspect_find(struct inspect *in, char oid[16])
{
	static const char sql[] =
	    "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind,"
	    " c.relpersistence, row_security_active(c.oid),"
	    " EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid"
	    " AND r.ev_type = '3'),"
	    " has_schema_privilege(n.oid, 'USAGE'),"
	    " has_any_column_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'TRUNCATE'),"
	    " quote_ident(n.nspname)"
	    " FROM pg_catalog.pg_class c"
	    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = $2"
	    " AND (n.nspname = $1 OR ($1 IS NULL AND pg_catalog.pg_table_is_visible(c.oid)))";
	const char *values[2] = {in->view->schema, in->view->name};
	struct postgres_params params = {.count = 2, .values = values};
	const struct place *place = &in->view->place;
	struct postgres *pg = in->pg;
	const char *kind;

	if (postgres_query(pg, sql, &params) < 0)
		return INSPECT_LOST;
	if (postgres_rows(pg) == 0)
		return INSPECT_MISSING;
	snprintf(oid, 16, "%s", postgres_get(pg, 0, 0));
	in->table->oid = (uint32_t)strtoul(oid, NULL, 10);
	in->table->name = xstrdup(postgres_get(pg, 0, 1));
	kind = postgres_get(pg, 0, 2);
	in->table->may_read = inspect_true(pg, 0, 7);
	in->table->may_truncate = inspect_true(pg, 0, 8);
	if (kind[0] != 'r' && kind[0] != 'p') {
		stage_report(
		    in->stage, LOG_ERROR, place,
		    "%s is no table: a view's rows go into a plain or partitioned table; %s",
		    in->table->name,
		    kind[0] == 'f' ? "a foreign table cannot take part in the"
				     " transaction that makes them exact"
				   : "give the view another name");
		return INSPECT_REFUSED;
	}
	if (inspect_true(pg, 0, 4) || inspect_true(pg, 0, 5)) {
		stage_report(in->stage, LOG_ERROR, place, "%s has %s, which COPY does not pass",
			     in->table->name,
			     inspect_true(pg, 0, 4) ? "row level security that binds this user"
						    : "a rule ON INSERT");
		in->refused = true;
	}
	if (!inspect_true(pg, 0, 6)) {
		stage_report(in->stage, LOG_ERROR, place,
			     "no access to schema %s: GRANT USAGE ON SCHEMA %s TO %s",
			     postgres_get(pg, 0, 9), postgres_get(pg, 0, 9), postgres_role(pg));
		in->denied = true;
	}
	if (postgres_get(pg, 0, 3)[0] != 'p' && !in->quiet)
		stage_report(
		    in->stage, LOG_WARN, place,
		    "%s is not permanent: after a crash of the server its rows are gone, and"
		    " tallyd would not know: ALTER TABLE %s SET LOGGED",
		    in->table->name, in->table->name);
	return INSPECT_OK;
}

static int
inspect_columns(struct inspect *in, const char *oid)
{
	static const char sql[] =
	    "SELECT a.attname, coalesce(nullif(t.typbasetype, 0), t.oid),"
	    " pg_catalog.format_type(a.atttypid, a.atttypmod),"
	    " CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,"
	    " a.attnotnull OR t.typnotnull,"
	    " a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,"
	    " a.attgenerated <> '' OR a.attidentity = 'a',"
	    " has_column_privilege(a.attrelid, a.attnum, 'INSERT'), quote_ident(a.attname)"
	    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
	    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped"
	    " ORDER BY a.attnum";
	const char *values[1] = {oid};
	struct postgres_params params = {.count = 1, .values = values};

	return postgres_query(in->pg, sql, &params);
}

/* The row of a column of the table, or -1. */
static int
inspect_column(const struct inspect *in, const char *name)
{
	for (int row = 0; row < postgres_rows(in->pg); row++)
		if (strcmp(postgres_get(in->pg, row, COLUMN_NAME), name) == 0)
			return row;
	return -1;
}

static void
inspect_refuse_missing(struct inspect *in, const struct place *place, const char *name,
		       const char *type)
{
	char *quoted = inspect_identifier(name);

	stage_report(in->stage, LOG_ERROR, place,
		     "table %s has no column %s: ALTER TABLE %s ADD COLUMN %s %s", in->table->name,
		     quoted, in->table->name, quoted, type);
	free(quoted);
	in->refused = true;
}

/* Can the result be NULL? The argument's column says so, where this section has its table. */
static bool
inspect_nullable(const struct inspect *in, const struct output *o)
{
	const struct pipeline *p = in->stage->pipeline;
	const struct table *t;

	if (o->kind == OUTPUT_COUNT || o->kind == OUTPUT_COUNT_ROWS)
		return false;
	if (in->view->table >= p->table_count)
		return false;
	t = &p->tables[in->view->table];
	if (o->column >= t->column_count) /* computed */
		return true;
	for (unsigned i = 0; i < t->key_count; i++)
		if (t->key[i] == o->column)
			return false;
	return !t->columns[o->column].not_null;
}

/* numeric(p,s) as format_type() shows it; false for plain numeric. */
static bool
inspect_numeric(int typmod, int *precision, int *scale)
{
	if (typmod < 4)
		return false;
	*precision = ((typmod - 4) >> 16) & 0xffff;
	*scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
	return true;
}

static const char *
inspect_inexact_numeric(const struct output *o, int typmod)
{
	int precision, scale;

	if (!inspect_numeric(typmod, &precision, &scale))
		return NULL;
	if (o->type == TYPE_NUMERIC && (o->scale < 0 || o->scale > scale))
		return "digits after the point may be rounded away";
	if (o->kind == OUTPUT_SUM || precision - scale < (o->type == TYPE_INTEGER ? 10 : 19))
		return "a larger result stops the pipeline";
	return NULL;
}

/* What a column of this type may lose of this output's results; NULL: nothing. */
static const char *
inspect_inexact(const struct output *o, enum encode_type type, int typmod)
{
	switch (type) {
	case ENCODE_FLOAT4:
		return "exact only up to 2^24 (16777216), rounded beyond";
	case ENCODE_FLOAT8:
		if (o->type == TYPE_INTEGER)
			return NULL;
		return "exact only up to 2^53 and in binary fractions, rounded beyond";
	case ENCODE_INT2:
	case ENCODE_INT4:
	case ENCODE_INT8:
		if (o->type == TYPE_NUMERIC && o->scale != 0)
			return "rounded to whole numbers, and a larger result stops the pipeline";
		if (o->type == TYPE_INTEGER && type != ENCODE_INT2)
			return NULL;
		if (o->type == TYPE_BIGINT && type == ENCODE_INT8)
			return NULL;
		return "a larger result stops the pipeline";
	case ENCODE_NUMERIC:
		return inspect_inexact_numeric(o, typmod);
	case ENCODE_VARCHAR:
		return typmod >= 4 ? "a longer text stops the pipeline" : NULL;
	case ENCODE_TIMESTAMP:
	case ENCODE_TIMESTAMPTZ:
		return typmod >= 0 && typmod < 6 ? "fractions of a second are rounded" : NULL;
	case ENCODE_TEXT:
	case ENCODE_BOOL:
		break;
	}
	return NULL;
}

static void
inspect_warn_inexact(struct inspect *in, const struct output *o, int row, enum encode_type type)
{
	const char *loss = inspect_inexact(o, type, inspect_number(in->pg, row, COLUMN_TYPMOD));
	const char *column = postgres_get(in->pg, row, COLUMN_QUOTED);

	if (loss == NULL || in->quiet)
		return;
	stage_report(
	    in->stage, LOG_WARN, &o->place,
	    "column %s of %s is %s, its results are %s: %s; ALTER TABLE %s ALTER COLUMN %s TYPE %s"
	    " holds all of them",
	    column, in->table->name, postgres_get(in->pg, row, COLUMN_TYPE), type_name(o->type),
	    loss, in->table->name, column, type_name(o->type));
}

static void
inspect_output(struct inspect *in, const struct output *o, struct encode_column *encode)
{
	int row = inspect_column(in, o->name), typmod;
	const char *column;

	if (row < 0) {
		inspect_refuse_missing(in, &o->place, o->name, type_name(o->type));
		return;
	}
	column = postgres_get(in->pg, row, COLUMN_QUOTED);
	if (!encode_type_of((uint32_t)strtoul(postgres_get(in->pg, row, COLUMN_BASE), NULL, 10),
			    &encode->type) ||
	    !encode_accepts(encode->type, o->type)) {
		stage_report(in->stage, LOG_ERROR, &o->place,
			     "column %s of %s is %s, but its results are %s:"
			     " ALTER TABLE %s ALTER COLUMN %s TYPE %s",
			     column, in->table->name, postgres_get(in->pg, row, COLUMN_TYPE),
			     type_name(o->type), in->table->name, column, type_name(o->type));
		in->refused = true;
		return;
	}
	typmod = inspect_number(in->pg, row, COLUMN_TYPMOD);
	encode->limit = encode->type == ENCODE_VARCHAR && typmod >= 4 ? (unsigned)typmod - 4 : 0;
	if (inspect_true(in->pg, row, COLUMN_GENERATED)) {
		stage_report(in->stage, LOG_ERROR, &o->place,
			     "column %s of %s is GENERATED ALWAYS: tallyd cannot write it", column,
			     in->table->name);
		in->refused = true;
	}
	if (inspect_true(in->pg, row, COLUMN_NOT_NULL) && inspect_nullable(in, o)) {
		stage_report(
		    in->stage, LOG_ERROR, &o->place,
		    "column %s of %s is NOT NULL, but its results may be NULL, for their source"
		    " column may: ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL, or declare the"
		    " source column NOT NULL",
		    column, in->table->name, in->table->name, column);
		in->refused = true;
	}
	inspect_warn_inexact(in, o, row, encode->type);
}

/* The columns "time" and diff. */
static void
inspect_stamp(struct inspect *in, const char *name, bool any_integer, enum encode_type *type)
{
	int row = inspect_column(in, name);
	const char *wanted = any_integer ? "smallint" : "bigint";
	uint32_t oid;

	if (row < 0) {
		inspect_refuse_missing(in, &in->view->place, name, wanted);
		return;
	}
	oid = (uint32_t)strtoul(postgres_get(in->pg, row, COLUMN_BASE), NULL, 10);
	if (encode_type_of(oid, type) &&
	    (any_integer ? *type <= ENCODE_INT8 : *type == ENCODE_INT8) &&
	    !inspect_true(in->pg, row, COLUMN_GENERATED))
		return;
	stage_report(
	    in->stage, LOG_ERROR, &in->view->place,
	    "column \"%s\" of %s is %s; it must be %s: ALTER TABLE %s ALTER COLUMN \"%s\" TYPE %s",
	    name, in->table->name, postgres_get(in->pg, row, COLUMN_TYPE),
	    any_integer ? "smallint, integer or bigint" : "bigint", in->table->name, name, wanted);
	in->refused = true;
}

static bool
inspect_is_ours(const struct inspect *in, const char *column)
{
	for (unsigned i = 0; i < in->view->output_count; i++)
		if (strcmp(in->view->outputs[i].name, column) == 0)
			return true;
	return strcmp(column, "time") == 0 || strcmp(column, "diff") == 0;
}

/* Columns that we do not fill must be able to stay empty; those that we do must be writable. */
static void
inspect_the_rest(struct inspect *in)
{
	bool insert = true;

	for (int row = 0; row < postgres_rows(in->pg); row++) {
		const char *quoted = postgres_get(in->pg, row, COLUMN_QUOTED);

		if (inspect_is_ours(in, postgres_get(in->pg, row, COLUMN_NAME))) {
			insert = insert && inspect_true(in->pg, row, COLUMN_INSERT);
			continue;
		}
		if (!inspect_true(in->pg, row, COLUMN_NOT_NULL) ||
		    inspect_true(in->pg, row, COLUMN_DEFAULT))
			continue;
		stage_report(
		    in->stage, LOG_ERROR, &in->view->place,
		    "column %s of %s is NOT NULL without a default, and the view does not fill it:"
		    " ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL",
		    quoted, in->table->name, in->table->name, quoted);
		in->refused = true;
	}
	if (insert)
		return;
	stage_report(in->stage, LOG_ERROR, &in->view->place,
		     "no permission to insert into %s: GRANT INSERT ON %s TO %s", in->table->name,
		     in->table->name, postgres_role(in->pg));
	in->denied = true;
}

static void
inspect_list(struct inspect *in)
{
	char *list = xstrdup("");

	for (unsigned i = 0; i < in->view->output_count; i++) {
		int row = inspect_column(in, in->view->outputs[i].name);
		char *more = xasprintf("%s%s, ", list, postgres_get(in->pg, row, COLUMN_QUOTED));

		free(list);
		list = more;
	}
	in->table->columns = xasprintf("%s\"time\", diff", list);
	free(list);
}

static void
inspect_names(struct inspect *in)
{
	const struct view *v = in->view;

	for (unsigned i = 0; i < v->output_count; i++) {
		const char *name = v->outputs[i].name;

		if (strcmp(name, "time") != 0 && strcmp(name, "diff") != 0)
			continue;
		stage_report(
		    in->stage, LOG_ERROR, &v->outputs[i].place,
		    "\"%s\" is a column that tallyd fills itself: name the result otherwise", name);
		in->refused = true;
	}
}

enum inspect_result
inspect_view(struct stage *stage, struct postgres *pg, const struct view *view, bool quiet,
	     struct target_table *table)
{
	struct inspect in = {
	    .stage = stage, .pg = pg, .view = view, .table = table, .quiet = quiet};
	enum encode_type time_type;
	enum inspect_result found;
	char oid[16];

	found = inspect_find(&in, oid);
	if (found != INSPECT_OK)
		return found;
	if (inspect_columns(&in, oid) < 0)
		return INSPECT_LOST;
	table->encode = xcalloc(view->output_count + 1, sizeof(*table->encode));
	inspect_names(&in);
	for (unsigned i = 0; i < view->output_count; i++)
		inspect_output(&in, &view->outputs[i], &table->encode[i]);
	inspect_stamp(&in, "time", false, &time_type);
	inspect_stamp(&in, "diff", true, &table->diff);
	inspect_the_rest(&in);
	if (in.refused)
		return INSPECT_REFUSED;
	if (in.denied)
		return INSPECT_DENIED;
	inspect_list(&in);
	return INSPECT_OK;
}

void
inspect_free(struct target_table *t)
{
	free(t->name);
	free(t->columns);
	free(t->encode);
	memset(t, 0, sizeof(*t));
}
