/*
 * pipeline.c - a checked pipeline: its memory and its packed sections.
 *
 * A section is one msgpack array; each struct in it is an array of its fields, each list an array
 * of structs. A reader takes nothing for granted: every count and index is checked.
 */
#include "common/pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/expr.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/ring.h"
#include "common/scalar.h"

#define PIPELINE_VERSION  6
#define PIPELINE_LIST_MAX 65535u

/* --- memory --- */

static void
options_free(struct option *options, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		free(options[i].name);
		if (options[i].value != NULL)
			explicit_bzero(options[i].value, strlen(options[i].value));
		free(options[i].value);
	}
	free(options);
}

static void
server_fini(struct server *server)
{
	free(server->name);
	free(server->transaction_topic);
	free(server->heartbeat_topic);
	free(server->connector.unavailable);
	options_free(server->options, server->option_count);
}

static void
enumeration_free(struct enumeration *e)
{
	if (e == NULL)
		return;
	free(e->name);
	for (unsigned i = 0; i < e->label_count; i++)
		free(e->labels[i]);
	free(e->labels);
	free(e);
}

static void
table_fini(struct table *table)
{
	free(table->name);
	free(table->source);
	free(table->topic);
	free(table->key);
	for (unsigned i = 0; i < table->column_count; i++)
		free(table->columns[i].name);
	free(table->columns);
}

static void
view_fini(struct view *view)
{
	free(view->schema);
	free(view->name);
	free(view->group);
	free(view->plan);
	expr_free(view->where);
	for (unsigned i = 0; i < view->computed_count; i++) {
		expr_free(view->computed[i].expr);
		free(view->computed[i].column.name);
	}
	free(view->computed);
	for (unsigned i = 0; i < view->output_count; i++)
		free(view->outputs[i].name);
	free(view->outputs);
}

void
pipeline_free(struct pipeline *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->server_count; i++)
		server_fini(&p->servers[i]);
	for (unsigned i = 0; i < p->table_count; i++)
		table_fini(&p->tables[i]);
	for (unsigned i = 0; i < p->view_count; i++)
		view_fini(&p->views[i]);
	for (unsigned i = 0; i < p->enumeration_count; i++)
		enumeration_free(p->enumerations[i]);
	free(p->enumerations);
	options_free(p->target, p->target_count);
	free(p->servers);
	free(p->tables);
	free(p->views);
	free(p->file);
	free(p->name);
	free(p->target_name);
	free(p);
}

/* --- computed columns --- */

const struct column *
view_column(const struct view *view, const struct table *table, unsigned column)
{
	return column < table->column_count ? &table->columns[column]
					    : &view->computed[column - table->column_count].column;
}

unsigned
view_compute(struct view *view, const struct table *table, struct expr *expr)
{
	struct computed *computed;

	view->computed =
	    xreallocarray(view->computed, view->computed_count + 1, sizeof(*view->computed));
	computed = &view->computed[view->computed_count++];
	computed->expr = expr;
	scalar_column(expr, table, &computed->column);
	return table->column_count + view->computed_count - 1;
}

/* --- packing --- */

static void
put_place(struct pack *out, struct place place)
{
	pack_array(out, 2);
	pack_uint(out, place.line);
	pack_uint(out, place.column);
}

static void
put_options(struct pack *out, const struct option *options, unsigned count)
{
	pack_array(out, count);
	for (unsigned i = 0; i < count; i++) {
		pack_array(out, 3);
		pack_cstr(out, options[i].name);
		pack_cstr(out, options[i].value);
		put_place(out, options[i].place);
	}
}

static void
put_indices(struct pack *out, const unsigned *indices, unsigned count)
{
	pack_array(out, count);
	for (unsigned i = 0; i < count; i++)
		pack_uint(out, indices[i]);
}

static void
put_server(struct pack *out, const struct server *server, bool with_options)
{
	pack_array(out, 10 + CONNECTOR_OPTIONS);
	pack_cstr(out, server->name);
	put_options(out, server->options, with_options ? server->option_count : 0);
	pack_cstr(out, server->transaction_topic);
	pack_cstr(out, server->heartbeat_topic);
	pack_int(out, server->silence_warning_ms);
	pack_uint(out, server->start);
	pack_cstr(out, server->connector.unavailable);
	for (unsigned i = 0; i < CONNECTOR_OPTIONS; i++)
		pack_uint(out, server->connector.mode[i]);
	put_place(out, server->place);
	put_place(out, server->transaction_place);
	put_place(out, server->heartbeat_place);
}

static void
put_enumeration(struct pack *out, const struct enumeration *e)
{
	pack_array(out, 3);
	pack_cstr(out, e->name);
	pack_array(out, e->label_count);
	for (unsigned i = 0; i < e->label_count; i++)
		pack_cstr(out, e->labels[i]);
	put_place(out, e->place);
}

/* Its number, or nil. */
static void
put_enumeration_of(struct pack *out, const struct pipeline *p, const struct column *column)
{
	for (unsigned i = 0; i < p->enumeration_count; i++)
		if (p->enumerations[i] == column->enumeration) {
			pack_uint(out, i);
			return;
		}
	pack_nil(out);
}

static void
put_column(struct pack *out, const struct pipeline *p, const struct column *column)
{
	pack_array(out, 9);
	pack_cstr(out, column->name);
	pack_uint(out, column->type);
	pack_uint(out, column->element);
	put_enumeration_of(out, p, column);
	pack_int(out, column->precision);
	pack_int(out, column->scale);
	pack_bool(out, column->not_null);
	pack_bool(out, column->collate_c);
	put_place(out, column->place);
}

static void
put_table(struct pack *out, const struct pipeline *p, const struct table *table)
{
	pack_array(out, 11);
	pack_cstr(out, table->name);
	pack_cstr(out, table->source);
	pack_cstr(out, table->topic);
	pack_uint(out, table->server);
	pack_array(out, table->column_count);
	for (unsigned i = 0; i < table->column_count; i++)
		put_column(out, p, &table->columns[i]);
	put_indices(out, table->key, table->key_count);
	pack_uint(out, table->on_error);
	put_place(out, table->place);
	put_place(out, table->topic_place);
	pack_uint(out, table->truncate);
	put_place(out, table->truncate_place);
}

static void
put_output(struct pack *out, const struct output *output)
{
	pack_array(out, 6);
	pack_cstr(out, output->name);
	pack_uint(out, output->kind);
	pack_uint(out, output->column);
	pack_uint(out, output->type);
	pack_int(out, output->scale);
	put_place(out, output->place);
}

static void
put_view(struct pack *out, const struct view *view)
{
	pack_array(out, 12);
	pack_cstr(out, view->schema);
	pack_cstr(out, view->name);
	pack_uint(out, view->table);
	pack_array(out, view->computed_count);
	for (unsigned i = 0; i < view->computed_count; i++)
		expr_pack(view->computed[i].expr, out);
	pack_array(out, view->output_count);
	for (unsigned i = 0; i < view->output_count; i++)
		put_output(out, &view->outputs[i]);
	put_indices(out, view->group, view->group_count);
	if (view->where == NULL)
		pack_nil(out);
	else
		expr_pack(view->where, out);
	pack_uint(out, view->existing);
	pack_cstr(out, view->plan);
	pack_bool(out, view->dropped);
	pack_bool(out, view->rebuild);
	put_place(out, view->place);
}

void
pipeline_pack(const struct pipeline *p, enum section section, unsigned server, struct pack *out)
{
	unsigned views = section == SECTION_INGEST ? 0 : p->view_count;

	pack_array(out, 15);
	pack_uint(out, PIPELINE_VERSION);
	pack_cstr(out, p->file);
	pack_cstr(out, p->name);
	pack_int(out, p->autocommit_duration_ms);
	pack_int(out, p->commit_interval_ms);
	pack_int(out, p->checkpoint_interval_ms);
	pack_bool(out, p->replay);
	pack_uint(out, p->ring_bytes);
	pack_array(out, p->server_count);
	for (unsigned i = 0; i < p->server_count; i++)
		put_server(out, &p->servers[i], section == SECTION_INGEST && i == server);
	pack_array(out, p->enumeration_count);
	for (unsigned i = 0; i < p->enumeration_count; i++)
		put_enumeration(out, p->enumerations[i]);
	pack_array(out, p->table_count);
	for (unsigned i = 0; i < p->table_count; i++)
		put_table(out, p, &p->tables[i]);
	pack_cstr(out, p->target_name);
	put_options(out, p->target, section == SECTION_EGRESS ? p->target_count : 0);
	put_place(out, p->target_place);
	pack_array(out, views);
	for (unsigned i = 0; i < views; i++)
		put_view(out, &p->views[i]);
}

/* --- unpacking --- */

/* A struct of exactly so many fields follows. */
static void
take_fields(struct unpack *in, uint32_t fields)
{
	if (unpack_array(in) != fields)
		in->bad = true;
}

/* Length of a list, 0 when it cannot be right. */
static unsigned
take_count(struct unpack *in)
{
	uint32_t count = unpack_array(in);

	if (count > PIPELINE_LIST_MAX)
		in->bad = true;
	return in->bad ? 0 : count;
}

/* A number below `limit`. */
static unsigned
take_below(struct unpack *in, uint64_t limit)
{
	uint64_t v = unpack_uint(in);

	if (v >= limit)
		in->bad = true;
	return in->bad ? 0 : (unsigned)v;
}

static int
take_small(struct unpack *in)
{
	int64_t v = unpack_int(in);

	if (v < -1 || v > MODIFIER_MAX)
		in->bad = true;
	return in->bad ? -1 : (int)v;
}

/* A string that must be there. */
static char *
take_string(struct unpack *in)
{
	char *s = unpack_strdup(in);

	if (s == NULL)
		in->bad = true;
	return s;
}

static struct place
take_place(struct unpack *in)
{
	struct place place;

	take_fields(in, 2);
	place.line = take_below(in, UINT32_MAX);
	place.column = take_below(in, UINT32_MAX);
	return place;
}

static struct option *
take_options(struct unpack *in, unsigned *count)
{
	struct option *options;

	*count = take_count(in);
	options = xcalloc(*count + 1, sizeof(*options));
	for (unsigned i = 0; i < *count && !in->bad; i++) {
		take_fields(in, 3);
		options[i].name = take_string(in);
		options[i].value = take_string(in);
		options[i].place = take_place(in);
	}
	return options;
}

static unsigned *
take_indices(struct unpack *in, unsigned *count, unsigned limit)
{
	unsigned *indices;

	*count = take_count(in);
	indices = xcalloc(*count + 1, sizeof(*indices));
	for (unsigned i = 0; i < *count && !in->bad; i++)
		indices[i] = take_below(in, limit);
	return indices;
}

static void
take_server(struct unpack *in, struct server *server)
{
	take_fields(in, 10 + CONNECTOR_OPTIONS);
	server->name = take_string(in);
	server->options = take_options(in, &server->option_count);
	server->transaction_topic = unpack_strdup(in);
	server->heartbeat_topic = unpack_strdup(in);
	server->silence_warning_ms = unpack_int(in);
	server->start = (enum start)take_below(in, START_LATEST + 1);
	server->connector.unavailable = unpack_strdup(in);
	for (unsigned i = 0; i < CONNECTOR_OPTIONS; i++)
		server->connector.mode[i] = take_below(in, CONNECTOR_MODES);
	server->place = take_place(in);
	server->transaction_place = take_place(in);
	server->heartbeat_place = take_place(in);
}

static struct enumeration *
take_enumeration(struct unpack *in)
{
	struct enumeration *e = xcalloc(1, sizeof(*e));

	take_fields(in, 3);
	e->name = take_string(in);
	e->label_count = take_count(in);
	e->labels = xcalloc(e->label_count + 1, sizeof(*e->labels));
	for (unsigned i = 0; i < e->label_count && !in->bad; i++)
		e->labels[i] = take_string(in);
	e->place = take_place(in);
	return e;
}

/* Enums and arrays of them have labels, other types have none; only arrays have elements. */
static bool
column_is_sound(const struct column *column)
{
	return (column_scalar(column) == TYPE_ENUM) == (column->enumeration != NULL) &&
	       column_scalar(column) != TYPE_ARRAY;
}

static void
take_column(struct unpack *in, struct column *column, const struct pipeline *p)
{
	take_fields(in, 9);
	column->name = take_string(in);
	column->type = (enum type)take_below(in, TYPE_COUNT);
	column->element = (enum type)take_below(in, TYPE_COUNT);
	if (!unpack_nil(in)) {
		unsigned number = take_below(in, p->enumeration_count);
		column->enumeration = in->bad ? NULL : p->enumerations[number];
	}
	column->precision = take_small(in);
	column->scale = take_small(in);
	column->not_null = unpack_bool(in);
	column->collate_c = unpack_bool(in);
	column->place = take_place(in);
	if (!in->bad && !column_is_sound(column))
		in->bad = true;
}

static void
take_table(struct unpack *in, struct table *table, const struct pipeline *p)
{
	take_fields(in, 11);
	table->name = take_string(in);
	table->source = take_string(in);
	table->topic = take_string(in);
	table->server = take_below(in, p->server_count);
	table->column_count = take_count(in);
	table->columns = xcalloc(table->column_count + 1, sizeof(*table->columns));
	for (unsigned i = 0; i < table->column_count && !in->bad; i++)
		take_column(in, &table->columns[i], p);
	table->key = take_indices(in, &table->key_count, table->column_count);
	table->on_error = (enum on_error)take_below(in, ON_ERROR_DEAD_LETTER + 1);
	table->place = take_place(in);
	table->topic_place = take_place(in);
	table->truncate = (enum truncate)take_below(in, TRUNCATE_REFUSE + 1);
	table->truncate_place = take_place(in);
}

static void
take_output(struct unpack *in, struct output *output, unsigned columns)
{
	take_fields(in, 6);
	output->name = take_string(in);
	output->kind = (enum output_kind)take_below(in, OUTPUT_AVG + 1);
	output->column = take_below(in, columns);
	output->type = (enum type)take_below(in, TYPE_COUNT);
	output->scale = take_small(in);
	output->place = take_place(in);
}

static void
take_computed(struct unpack *in, struct view *view, const struct table *table)
{
	unsigned count = take_count(in);

	for (unsigned i = 0; i < count && !in->bad; i++) {
		struct expr *expr = expr_unpack_value(in, table);
		if (expr != NULL)
			(void)view_compute(view, table, expr);
	}
}

static void
take_view(struct unpack *in, struct view *view, const struct pipeline *p)
{
	const struct table *table;
	unsigned columns;

	take_fields(in, 12);
	view->schema = unpack_strdup(in);
	view->name = take_string(in);
	view->table = take_below(in, p->table_count);
	if (in->bad)
		return;
	table = &p->tables[view->table];
	take_computed(in, view, table);
	columns = table->column_count + view->computed_count;
	view->output_count = take_count(in);
	view->outputs = xcalloc(view->output_count + 1, sizeof(*view->outputs));
	for (unsigned i = 0; i < view->output_count && !in->bad; i++)
		take_output(in, &view->outputs[i], columns);
	view->group = take_indices(in, &view->group_count, columns);
	if (!unpack_nil(in) && !in->bad)
		view->where = expr_unpack(in, table);
	view->existing = (enum existing)take_below(in, EXISTING_TRUNCATE + 1);
	view->plan = take_string(in);
	view->dropped = unpack_bool(in);
	view->rebuild = unpack_bool(in);
	view->place = take_place(in);
}

static void
take_lists(struct unpack *in, struct pipeline *p)
{
	p->server_count = take_count(in);
	p->servers = xcalloc(p->server_count + 1, sizeof(*p->servers));
	for (unsigned i = 0; i < p->server_count && !in->bad; i++)
		take_server(in, &p->servers[i]);
	p->enumeration_count = take_count(in);
	p->enumerations = xcalloc(p->enumeration_count + 1, sizeof(*p->enumerations));
	for (unsigned i = 0; i < p->enumeration_count && !in->bad; i++)
		p->enumerations[i] = take_enumeration(in);
	p->table_count = take_count(in);
	p->tables = xcalloc(p->table_count + 1, sizeof(*p->tables));
	for (unsigned i = 0; i < p->table_count && !in->bad; i++)
		take_table(in, &p->tables[i], p);
	p->target_name = unpack_strdup(in);
	p->target = take_options(in, &p->target_count);
	p->target_place = take_place(in);
	p->view_count = take_count(in);
	p->views = xcalloc(p->view_count + 1, sizeof(*p->views));
	for (unsigned i = 0; i < p->view_count && !in->bad; i++)
		take_view(in, &p->views[i], p);
}

struct pipeline *
pipeline_unpack(struct unpack *in)
{
	struct pipeline *p = xcalloc(1, sizeof(*p));

	take_fields(in, 15);
	if (unpack_uint(in) != PIPELINE_VERSION)
		in->bad = true;
	p->file = take_string(in);
	p->name = take_string(in);
	p->autocommit_duration_ms = unpack_int(in);
	p->commit_interval_ms = unpack_int(in);
	p->checkpoint_interval_ms = unpack_int(in);
	p->replay = unpack_bool(in);
	p->ring_bytes = unpack_uint(in);
	if (p->autocommit_duration_ms < 1 || p->commit_interval_ms < 0 ||
	    p->checkpoint_interval_ms < 1 || p->ring_bytes < RING_BYTES_MIN ||
	    p->ring_bytes > RING_BYTES_MAX || (p->ring_bytes & (p->ring_bytes - 1)) != 0)
		in->bad = true;
	take_lists(in, p);
	if (in->bad) {
		pipeline_free(p);
		return NULL;
	}
	return p;
}
