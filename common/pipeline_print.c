/*
 * pipeline_print.c - a pipeline as canonical SQL text, which parses to the same pipeline again.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/expr.h"
#include "common/log.h"
#include "common/pipeline.h"

/* --- SQL text --- */

/* PostgreSQL's keywords, without the unreserved ones: quote_ident() quotes the same ones. */
static bool
is_keyword(const char *name)
{
	static const char keywords[] =
	    " all analyse analyze and any array as asc asymmetric authorization between "
	    "bigint binary bit boolean both case cast char character check coalesce "
	    "collate collation column concurrently constraint create cross "
	    "current_catalog current_date current_role current_schema current_time "
	    "current_timestamp current_user dec decimal default deferrable desc distinct "
	    "do else end except exists extract false fetch float for foreign freeze from "
	    "full grant greatest group grouping having ilike in initially inner inout "
	    "int integer intersect interval into is isnull join lateral leading least "
	    "left like limit localtime localtimestamp national natural nchar none "
	    "normalize not notnull null nullif numeric offset on only or order out outer "
	    "overlaps overlay placing position precision primary real references "
	    "returning right row select session_user setof similar smallint some "
	    "substring symmetric table tablesample then time timestamp to trailing treat "
	    "trim true union unique user using values varchar variadic verbose when "
	    "where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest "
	    "xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable ";
	size_t len = strlen(name);

	for (const char *at = keywords; (at = strstr(at, name)) != NULL; at++)
		if (at[-1] == ' ' && at[len] == ' ')
			return true;
	return false;
}

static bool
is_plain_identifier(const char *name)
{
	if (!(islower((unsigned char)name[0]) || name[0] == '_'))
		return false;
	for (const char *s = name; *s != '\0'; s++)
		if (!(islower((unsigned char)*s) || isdigit((unsigned char)*s) || *s == '_'))
			return false;
	return !is_keyword(name);
}

void
sql_identifier(FILE *out, const char *name)
{
	if (is_plain_identifier(name)) {
		fputs(name, out);
		return;
	}
	fputc('"', out);
	for (const char *s = name; *s != '\0'; s++) {
		if (*s == '"')
			fputc('"', out);
		fputc(*s, out);
	}
	fputc('"', out);
}

void
sql_string(FILE *out, const char *text, size_t len)
{
	fputc('\'', out);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\'')
			fputc('\'', out);
		fputc(text[i], out);
	}
	fputc('\'', out);
}

void
sql_view_name(FILE *out, const struct view *view)
{
	if (view->schema != NULL) {
		sql_identifier(out, view->schema);
		fputc('.', out);
	}
	sql_identifier(out, view->name);
}

/* --- commands --- */

char *
view_name(const struct view *view)
{
	return view->schema != NULL ? xasprintf("%s.%s", view->schema, view->name)
				    : xstrdup(view->name);
}

/* A word for a shell, quoted where it must be. */
static void
print_word(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "._-/+:@";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (const char *c = word; *c != '\0'; c++)
		fputs(*c == '\'' ? "'\\''" : (char[2]){*c, '\0'}, out);
	fputc('\'', out);
}

char *
pipeline_command(const struct pipeline *p, const char *verb, const struct view *view)
{
	char *command = NULL, *name;
	size_t len;
	FILE *out = xmemstream(&command, &len);

	fprintf(out, "`tallyd %s ", verb);
	print_word(out, p->file != NULL ? p->file : "FILE");
	if (view != NULL) {
		name = view_name(view);
		fputc(' ', out);
		print_word(out, name);
		free(name);
	}
	fputc('`', out);
	fclose(out);
	return command;
}

/* A table's name: "schema.name" is two identifiers. */
void
sql_qualified(FILE *out, const char *name)
{
	const char *dot = strchr(name, '.');

	if (dot != NULL) {
		char *schema = xstrndup(name, (size_t)(dot - name));

		sql_identifier(out, schema);
		fputc('.', out);
		free(schema);
		name = dot + 1;
	}
	sql_identifier(out, name);
}

const char *
on_error_name(enum on_error on_error)
{
	static const char *const names[] = {
	    [ON_ERROR_STOP] = "stop",
	    [ON_ERROR_SKIP] = "skip",
	    [ON_ERROR_DEAD_LETTER] = "dead_letter",
	};

	return names[on_error];
}

bool
pipeline_has_dead_letters(const struct pipeline *p)
{
	for (unsigned i = 0; i < p->table_count; i++)
		if (p->tables[i].on_error == ON_ERROR_DEAD_LETTER)
			return true;
	return false;
}

char *
pipeline_go_on(const struct pipeline *p, const struct table *table)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	fputs("to go on without it: on_error 'skip' (or 'dead_letter') in the OPTIONS of CREATE "
	      "FOREIGN TABLE ",
	      out);
	sql_qualified(out, table->name);
	fprintf(out, ", %s:%u", p->file != NULL ? p->file : "FILE", table->place.line);
	fclose(out);
	return text;
}

/* --- options --- */

static bool
has_word(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (strncasecmp(text + i, word, n) == 0)
			return true;
	return false;
}

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len >= n && strcasecmp(name + len - n, end) == 0;
}

bool
option_is_secret(const char *name, const char *value, size_t len)
{
	static const char *const words[] = {"pass", "secret", "key", "token", "jaas", "credential"};

	if (has_word(value, len, "password") || has_word(value, len, "passwd") ||
	    (has_word(value, len, "://") && memchr(value, '@', len) != NULL))
		return true;
	if (ends_with(name, "file") || ends_with(name, "location"))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (has_word(name, strlen(name), words[i]))
			return true;
	return false;
}

/* One that is never a secret, whatever words are in it: names of topics and tables, and settings. */
static void
print_setting(FILE *out, const char *before, const char *name, const char *value)
{
	fprintf(out, "%s\n\t", before);
	sql_identifier(out, name);
	fputs(" '", out);
	for (const char *s = value; *s != '\0'; s++) {
		/* What would be read as a variable again. */
		if (s[0] == '$' && s[1] == '{')
			fputc('$', out);
		if (*s == '\'')
			fputc('\'', out);
		fputc(*s, out);
	}
	fputc('\'', out);
}

static void
print_option(FILE *out, const char *before, const char *name, const char *value)
{
	print_setting(out, before, name,
		      option_is_secret(name, value, strlen(value)) ? "***" : value);
}

static void
print_options(FILE *out, const struct option *options, unsigned count, const char *before)
{
	for (unsigned i = 0; i < count; i++) {
		print_option(out, before, options[i].name, options[i].value);
		before = ",";
	}
}

/* --- statements --- */

static void
print_server(FILE *out, const struct server *server)
{
	static const char *const starts[] = {
	    [START_EARLIEST] = "earliest",
	    [START_COMMITTED] = "committed",
	    [START_LATEST] = "latest",
	};
	const char *before = " OPTIONS (";
	char silence[32];

	fputs("\nCREATE SERVER ", out);
	sql_identifier(out, server->name);
	fputs(" FOREIGN DATA WRAPPER debezium", out);
	print_options(out, server->options, server->option_count, before);
	if (server->option_count > 0)
		before = ",";
	if (server->transaction_topic != NULL) {
		print_setting(out, before, "transaction_topic", server->transaction_topic);
		before = ",";
	}
	if (server->heartbeat_topic != NULL) {
		print_setting(out, before, "heartbeat_topic", server->heartbeat_topic);
		before = ",";
	}
	if (server->heartbeat_topic != NULL && server->silence_warning_ms != SILENCE_WARNING_MS) {
		snprintf(silence, sizeof(silence), "%" PRId64, server->silence_warning_ms);
		print_setting(out, before, "silence_warning_ms", silence);
	}
	if (server->start != START_CHECKED) {
		print_setting(out, before, "start", starts[server->start]);
		before = ",";
	}
	for (unsigned i = 0; i < CONNECTOR_OPTIONS; i++) {
		enum connector_option option = (enum connector_option)i;
		const char *mode = connector_mode_name(option, server->connector.mode[i]);
		if (mode != NULL) {
			print_setting(out, before, connector_option_name(option), mode);
			before = ",";
		}
	}
	if (server->connector.unavailable != NULL) {
		print_setting(out, before, CONNECTOR_UNAVAILABLE, server->connector.unavailable);
		before = ",";
	}
	fputs(before[0] == ',' ? "\n);\n" : ";\n", out);
}

static void
print_target(FILE *out, const struct pipeline *p)
{
	if (p->target_name == NULL)
		return;
	fputs("\nCREATE SERVER ", out);
	sql_identifier(out, p->target_name);
	fputs(" FOREIGN DATA WRAPPER postgres", out);
	print_options(out, p->target, p->target_count, " OPTIONS (");
	fputs(p->target_count > 0 ? "\n);\n" : ";\n", out);
}

static void
print_column(FILE *out, const struct column *column)
{
	char *type = column_type_name(column);

	sql_identifier(out, column->name);
	fprintf(out, " %s", type);
	free(type);
	if (column->collate_c)
		fputs(" COLLATE \"C\"", out);
	if (column->not_null)
		fputs(" NOT NULL", out);
}

void
sql_labels(FILE *out, const struct enumeration *e)
{
	for (unsigned i = 0; i < e->label_count; i++) {
		fputs(i > 0 ? ", " : "", out);
		sql_string(out, e->labels[i], strlen(e->labels[i]));
	}
}

static void
print_enumeration(FILE *out, const struct enumeration *e)
{
	fputs("\nCREATE TYPE ", out);
	sql_qualified(out, e->name);
	fputs(" AS ENUM (", out);
	sql_labels(out, e);
	fputs(");\n", out);
}

static void
print_table(FILE *out, const struct pipeline *p, const struct table *table)
{
	fputs("\nCREATE FOREIGN TABLE ", out);
	sql_qualified(out, table->name);
	fputs(" (", out);
	for (unsigned i = 0; i < table->column_count; i++) {
		fputs(i > 0 ? ",\n\t" : "\n\t", out);
		print_column(out, &table->columns[i]);
	}
	for (unsigned i = 0; i < table->key_count; i++) {
		fputs(i > 0 ? ", " : ",\n\tPRIMARY KEY (", out);
		sql_identifier(out, table->columns[table->key[i]].name);
	}
	fputs(table->key_count > 0 ? ")\n) SERVER " : "\n) SERVER ", out);
	sql_identifier(out, p->servers[table->server].name);
	print_setting(out, " OPTIONS (", "topic", table->topic);
	print_setting(out, ",", "table", table->source);
	if (table->on_error != ON_ERROR_STOP)
		print_setting(out, ",", "on_error", on_error_name(table->on_error));
	if (table->truncate != TRUNCATE_IF_ORDERED)
		print_setting(out, ",", "truncate",
			      table->truncate == TRUNCATE_FOLLOW ? "follow" : "refuse");
	fputs("\n);\n", out);
}

/* --- views --- */

static void
print_view_column(FILE *out, const struct view *view, const struct table *table, unsigned column)
{
	const char *name = view_column(view, table, column)->name;

	if (column < table->column_count)
		sql_identifier(out, name);
	else
		fputs(name, out);
}

static void
print_output(FILE *out, const struct output *output, const struct view *view,
	     const struct table *table)
{
	static const char *const functions[] = {
	    [OUTPUT_COUNT] = "count", [OUTPUT_SUM] = "sum", [OUTPUT_MIN] = "min",
	    [OUTPUT_MAX] = "max",     [OUTPUT_AVG] = "avg",
	};

	if (output->kind == OUTPUT_COUNT_ROWS) {
		fputs("count(*)", out);
	} else if (output->kind == OUTPUT_GROUP) {
		print_view_column(out, view, table, output->column);
	} else {
		fprintf(out, "%s(", functions[output->kind]);
		print_view_column(out, view, table, output->column);
		fputc(')', out);
	}
	fputs(" AS ", out);
	sql_identifier(out, output->name);
}

static void
print_select(FILE *out, const struct view *view, const struct table *table, const char *between)
{
	fputs("SELECT ", out);
	for (unsigned i = 0; i < view->output_count; i++) {
		fputs(i > 0 ? ", " : "", out);
		print_output(out, &view->outputs[i], view, table);
	}
	fprintf(out, "%sFROM ", between);
	sql_qualified(out, table->name);
	if (view->where != NULL) {
		char *where = expr_print(view->where, table);

		fprintf(out, "%sWHERE %s", between, where);
		free(where);
	}
	for (unsigned i = 0; i < view->group_count; i++) {
		if (i == 0)
			fprintf(out, "%sGROUP BY ", between);
		else
			fputs(", ", out);
		print_view_column(out, view, table, view->group[i]);
	}
}

/* Which columns a condition reads; its depth was bounded when it was parsed (EXPR_DEPTH_MAX). */
static void
mark_columns(const struct expr *e, bool *used)
{
	if (e->op == EXPR_COLUMN)
		used[e->column] = true;
	for (unsigned i = 0; i < e->arg_count; i++)
		mark_columns(&e->args[i], used);
}

/* What the result depends on beside the SELECT: the topic, the key, and the columns that it reads. */
static void
print_sources(FILE *out, const struct view *view, const struct table *table)
{
	bool *used = xcalloc(table->column_count + 1, sizeof(*used));

	for (unsigned i = 0; i < view->output_count; i++)
		if (view->outputs[i].kind != OUTPUT_COUNT_ROWS &&
		    view->outputs[i].column < table->column_count)
			used[view->outputs[i].column] = true;
	for (unsigned i = 0; i < view->group_count; i++)
		if (view->group[i] < table->column_count)
			used[view->group[i]] = true;
	for (unsigned i = 0; i < view->computed_count; i++)
		mark_columns(view->computed[i].expr, used);
	for (unsigned i = 0; i < table->key_count; i++)
		used[table->key[i]] = true;
	if (view->where != NULL)
		mark_columns(view->where, used);
	fputs(" /* topic ", out);
	sql_string(out, table->topic, strlen(table->topic));
	for (unsigned i = 0; i < table->column_count; i++) {
		if (!used[i])
			continue;
		fputs(", ", out);
		print_column(out, &table->columns[i]);
		if (table->columns[i].enumeration != NULL) {
			fputs(" of ", out);
			sql_labels(out, table->columns[i].enumeration);
		}
	}
	for (unsigned i = 0; i < table->key_count; i++) {
		fputs(i == 0 ? ", key " : ", ", out);
		sql_identifier(out, table->columns[table->key[i]].name);
	}
	fputs(" */", out);
	free(used);
}

char *
pipeline_print_plan(const struct view *view, const struct table *table)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	print_select(out, view, table, " ");
	print_sources(out, view, table);
	fclose(out);
	return text;
}

static void
print_view(FILE *out, const struct pipeline *p, const struct view *view)
{
	static const char *const existing[] = {
	    [EXISTING_REFUSE] = "",
	    [EXISTING_ADOPT] = ", existing = adopt",
	    [EXISTING_TRUNCATE] = ", existing = truncate",
	};

	fputs("\nCREATE MATERIALIZED VIEW ", out);
	sql_view_name(out, view);
	fprintf(out, " WITH (output = changes%s) AS\n\t", existing[view->existing]);
	print_select(out, view, &p->tables[view->table], "\n\t");
	fputs(";\n", out);
}

char *
pipeline_print(const struct pipeline *p)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	fputs("SET pipeline = ", out);
	sql_string(out, p->name, strlen(p->name));
	fprintf(out,
		";\nSET autocommit_duration_ms = %" PRId64 ";\nSET commit_interval_ms = %" PRId64
		";\nSET checkpoint_interval_ms = %" PRId64 ";\nSET ring_bytes = %zu;\n",
		p->autocommit_duration_ms, p->commit_interval_ms, p->checkpoint_interval_ms,
		p->ring_bytes);
	for (unsigned i = 0; i < p->server_count; i++)
		print_server(out, &p->servers[i]);
	print_target(out, p);
	for (unsigned i = 0; i < p->enumeration_count; i++)
		print_enumeration(out, p->enumerations[i]);
	for (unsigned i = 0; i < p->table_count; i++)
		print_table(out, p, &p->tables[i]);
	for (unsigned i = 0; i < p->view_count; i++)
		print_view(out, p, &p->views[i]);
	fclose(out);
	return text;
}
