#include "egress/inspect.h"

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/inexact.h"
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
	COLUMN_SCALAR, /* a domain's type, an array's element */
	COLUMN_ENUM,
	COLUMN_ARRAY,
	COLUMN_OID, /* of what is sent */
	COLUMN_SQL,
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

/* "schema.name" as two identifiers. Heap. */
static char *
inspect_name(const char *name)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	sql_qualified(out, name);
	fclose(out);
	return text;
}

static void
inspect_print_enumeration(FILE *out, const struct enumeration *e, const char *name)
{
	fprintf(out, "CREATE TYPE %s AS ENUM (", name);
	sql_labels(out, e);
	fputs("); ", out);
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

/* The source column whose values the results are; NULL: they are counted or summed up. */
static const struct column *
inspect_declared(const struct pipeline *p, const struct view *v, const struct output *o)
{
	const struct table *t = v->table < p->table_count ? &p->tables[v->table] : NULL;

	if (t == NULL || o->column >= t->column_count || t->columns[o->column].type != o->type)
		return NULL;
	return o->kind == OUTPUT_GROUP || o->kind == OUTPUT_MIN || o->kind == OUTPUT_MAX
		   ? &t->columns[o->column]
		   : NULL;
}

char *
inspect_type(const struct pipeline *p, const struct view *v, const struct output *o)
{
	const struct column *declared = inspect_declared(p, v, o);

	if (declared != NULL &&
	    (o->type == TYPE_CHAR || o->type == TYPE_ENUM || o->type == TYPE_ARRAY))
		return column_type_name(declared);
	return xstrdup(type_name(o->type == TYPE_CHAR ? TYPE_TEXT : o->type));
}

/* CREATE TYPE for each enum that the server does not know, once. */
static void
inspect_suggest_types(const struct pipeline *p, struct postgres *pg, const struct view *v,
		      FILE *out)
{
	for (unsigned i = 0; i < p->enumeration_count; i++) {
		const struct enumeration *e = p->enumerations[i];
		char *name = inspect_name(e->name);
		const char *values[1] = {name};
		struct postgres_params params = {.count = 1, .values = values};
		bool needed = false;

		for (unsigned o = 0; o < v->output_count && !needed; o++) {
			const struct column *declared = inspect_declared(p, v, &v->outputs[o]);

			needed = declared != NULL && declared->enumeration == e;
		}
		if (needed &&
		    postgres_query(pg, "SELECT pg_catalog.to_regtype($1) IS NULL", &params) == 0 &&
		    inspect_true(pg, 0, 0))
			inspect_print_enumeration(out, e, name);
		free(name);
	}
}

char *
inspect_suggest(const struct pipeline *p, struct postgres *pg, const struct view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	inspect_suggest_types(p, pg, v, out);
	fputs("CREATE TABLE ", out);
	sql_view_name(out, v);
	fputs(" (", out);
	for (unsigned i = 0; i < v->output_count; i++) {
		char *type = inspect_type(p, v, &v->outputs[i]);

		sql_identifier(out, v->outputs[i].name);
		fprintf(out, " %s, ", type);
		free(type);
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
	    "SELECT a.attname, s.oid, s.typtype = 'e', e.oid IS NOT NULL, coalesce(e.oid, b.oid),"
	    " pg_catalog.format_type(b.oid, -1),"
	    " pg_catalog.format_type(a.atttypid, a.atttypmod),"
	    " CASE WHEN t.typtype = 'd' THEN t.typtypmod WHEN e.typtype = 'd' THEN e.typtypmod"
	    " ELSE a.atttypmod END,"
	    " a.attnotnull OR t.typnotnull,"
	    " a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,"
	    " a.attgenerated <> '' OR a.attidentity = 'a',"
	    " has_column_privilege(a.attrelid, a.attnum, 'INSERT'), quote_ident(a.attname)"
	    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
	    " JOIN pg_catalog.pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)"
	    " LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND e.typarray = b.oid"
	    " JOIN pg_catalog.pg_type s"
	    " ON s.oid = coalesce(nullif(e.typbasetype, 0), e.oid, b.oid)"
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

static void
inspect_warn_inexact(struct inspect *in, const struct output *o, int row,
		     const struct encode_column *encode)
{
	const struct pipeline *p = in->stage->pipeline;
	const char *loss = inexact_loss(o, inspect_declared(p, in->view, o), encode,
					inspect_number(in->pg, row, COLUMN_TYPMOD));
	const char *column = postgres_get(in->pg, row, COLUMN_QUOTED);
	char *type;

	if (loss == NULL || in->quiet)
		return;
	type = inspect_type(p, in->view, o);
	stage_report(
	    in->stage, LOG_WARN, &o->place,
	    "column %s of %s is %s, its results are %s: %s; ALTER TABLE %s ALTER COLUMN %s TYPE %s"
	    " holds all of them",
	    column, in->table->name, postgres_get(in->pg, row, COLUMN_TYPE), type, loss,
	    in->table->name, column, type);
	free(type);
}

/* How the results get into the column; false: they cannot. */
static bool
inspect_encode(const struct inspect *in, const struct output *o, int row,
	       struct encode_column *encode)
{
	const struct column *declared = inspect_declared(in->stage->pipeline, in->view, o);
	uint32_t scalar = (uint32_t)strtoul(postgres_get(in->pg, row, COLUMN_SCALAR), NULL, 10);
	int typmod = inspect_number(in->pg, row, COLUMN_TYPMOD);

	encode->source = o->type;
	encode->array = o->type == TYPE_ARRAY;
	if (declared != NULL) {
		encode->source = column_scalar(declared);
		encode->enumeration = declared->enumeration;
	}
	if (inspect_true(in->pg, row, COLUMN_ENUM))
		encode->type = ENCODE_ENUM;
	else if (!encode_type_of(scalar, &encode->type))
		return false;
	encode->oid = (uint32_t)strtoul(postgres_get(in->pg, row, COLUMN_OID), NULL, 10);
	encode->sql = xstrdup(postgres_get(in->pg, row, COLUMN_SQL));
	if (encode_is_text(encode->type) && typmod >= 4)
		encode->limit = (unsigned)typmod - 4;
	encode->finite =
	    encode->type == ENCODE_NUMERIC && (typmod >= 4 || postgres_version(in->pg) < 140000);
	return encode->array == inspect_true(in->pg, row, COLUMN_ARRAY) &&
	       encode_accepts(encode->type, encode->source);
}

static void
inspect_refuse_type(struct inspect *in, const struct output *o, int row)
{
	const char *column = postgres_get(in->pg, row, COLUMN_QUOTED);
	char *type = inspect_type(in->stage->pipeline, in->view, o);

	stage_report(in->stage, LOG_ERROR, &o->place,
		     "column %s of %s is %s, but its results are %s:"
		     " ALTER TABLE %s ALTER COLUMN %s TYPE %s",
		     column, in->table->name, postgres_get(in->pg, row, COLUMN_TYPE), type,
		     in->table->name, column, type);
	free(type);
	in->refused = true;
}

static void
inspect_output(struct inspect *in, const struct output *o, struct encode_column *encode)
{
	int row = inspect_column(in, o->name);
	const char *column;

	if (row < 0) {
		char *type = inspect_type(in->stage->pipeline, in->view, o);

		inspect_refuse_missing(in, &o->place, o->name, type);
		free(type);
		return;
	}
	if (!inspect_encode(in, o, row, encode)) {
		inspect_refuse_type(in, o, row);
		return;
	}
	column = postgres_get(in->pg, row, COLUMN_QUOTED);
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
	inspect_warn_inexact(in, o, row, encode);
}

/* The columns "time" and diff. */
static void
inspect_stamp(struct inspect *in, const char *name, bool any_integer, enum encode_type *type)
{
	int row = inspect_column(in, name);
	const char *wanted = any_integer ? "smallint" : "bigint";
	uint32_t oid;
	bool scalar;

	if (row < 0) {
		inspect_refuse_missing(in, &in->view->place, name, wanted);
		return;
	}
	oid = (uint32_t)strtoul(postgres_get(in->pg, row, COLUMN_SCALAR), NULL, 10);
	scalar = !inspect_true(in->pg, row, COLUMN_ARRAY);
	if (scalar && encode_type_of(oid, type) &&
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

/* --- what only the server knows of a type ---------------------------------------------------- */

/* The labels that it does not have can be added; without them a row would stop the pipeline. */
static int
inspect_labels(struct inspect *in, const struct output *o, const struct encode_column *encode)
{
	const struct enumeration *e = encode->enumeration;
	char oid[16], *type;
	const char *values[1] = {oid};
	struct postgres_params params = {.count = 1, .values = values};

	snprintf(oid, sizeof(oid), "%" PRIu32, encode->oid);
	if (postgres_query(
		in->pg,
		"SELECT l.enumlabel, pg_catalog.format_type(s.oid, NULL)"
		" FROM pg_catalog.pg_type t"
		" JOIN pg_catalog.pg_type s ON s.oid = coalesce(nullif(t.typbasetype, 0), t.oid)"
		" JOIN pg_catalog.pg_enum l ON l.enumtypid = s.oid WHERE t.oid = $1::oid",
		&params) < 0)
		return -1;
	type =
	    postgres_rows(in->pg) > 0 ? xstrdup(postgres_get(in->pg, 0, 1)) : xstrdup(encode->sql);
	for (unsigned i = 0; i < e->label_count; i++) {
		bool found = false;

		for (int row = 0; row < postgres_rows(in->pg) && !found; row++)
			found = strcmp(postgres_get(in->pg, row, 0), e->labels[i]) == 0;
		if (found)
			continue;
		char *label = inspect_literal(e->labels[i]);
		char *column = inspect_identifier(o->name);
		stage_report(in->stage, LOG_ERROR, &o->place,
			     "column %s of %s is %s, which has no label %s: ALTER TYPE %s ADD"
			     " VALUE %s",
			     column, in->table->name, type, label, type, label);
		free(column);
		free(label);
		in->refused = true;
	}
	free(type);
	return 0;
}

/* money is an integer whose point lc_monetary sets, for all who read it. */
static int
inspect_money(struct inspect *in, const struct output *o)
{
	char *column;

	if (postgres_query(in->pg,
			   "SELECT pg_catalog.cash_send('1'::money) = '\\x0000000000000064',"
			   " pg_catalog.current_setting('lc_monetary')",
			   NULL) < 0)
		return -1;
	if (inspect_true(in->pg, 0, 0))
		return 0;
	column = inspect_identifier(o->name);
	stage_report(in->stage, LOG_ERROR, &o->place,
		     "column %s of %s is money, which has not 2 digits after the point here"
		     " (lc_monetary is %s): ALTER TABLE %s ALTER COLUMN %s TYPE numeric",
		     column, in->table->name, postgres_get(in->pg, 0, 1), in->table->name, column);
	free(column);
	in->refused = true;
	return 0;
}

static int
inspect_types(struct inspect *in)
{
	for (unsigned i = 0; i < in->view->output_count; i++) {
		const struct output *o = &in->view->outputs[i];
		const struct encode_column *encode = &in->table->encode[i];
		int done = 0;

		if (encode->type == ENCODE_ENUM)
			done = inspect_labels(in, o, encode);
		else if (encode->type == ENCODE_MONEY)
			done = inspect_money(in, o);
		if (done < 0)
			return -1;
	}
	return 0;
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
	table->outputs = view->output_count;
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
	if (inspect_types(&in) < 0)
		return INSPECT_LOST;
	return in.refused ? INSPECT_REFUSED : INSPECT_OK;
}

void
inspect_free(struct target_table *t)
{
	free(t->name);
	free(t->columns);
	for (unsigned i = 0; i < t->outputs; i++)
		free(t->encode[i].sql);
	free(t->encode);
	memset(t, 0, sizeof(*t));
}
