#include "ingest/schema.h"

#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/log.h"
#include "ingest/envelope.h"

/* What one member of "fields" says; slices borrow the message and are empty when absent. */
struct schema_field {
	struct slice field, type, name, fields, items, allowed;
	char plain[KEY_ROOM]; /* of a field whose name has escapes */
	int64_t scale;
};

void
schema_init(struct schema *s, const struct column *const *columns, unsigned count, const char *row)
{
	*s = (struct schema){.columns = columns, .count = count, .row = row};
	s->shapes = xcalloc(count ? count : 1, sizeof(*s->shapes));
	s->bare = xcalloc(count ? count : 1, sizeof(*s->bare));
}

static void
schema_reset_shapes(struct schema *s)
{
	memcpy(s->shapes, s->bare, s->count * sizeof(*s->shapes));
	s->generation++;
}

void
schema_follow(struct schema *s, const struct connector *connector)
{
	for (unsigned i = 0; i < s->count; i++)
		s->bare[i] = convert_bare(s->columns[i], connector);
	s->len = 0;
	schema_reset_shapes(s);
}

void
schema_fini(struct schema *s)
{
	free(s->shapes);
	free(s->bare);
	free(s->bytes);
	*s = (struct schema){0};
}

void
schema_forget(struct schema *s)
{
	if (s->len == 0)
		return;
	s->len = 0;
	schema_reset_shapes(s);
}

/* A string, raw between its quotes, or nothing. */
static struct slice
schema_word(struct json *j)
{
	if (json_peek(j) == JSON_STRING) {
		struct slice raw = json_span(j);
		return j->error ? raw : (struct slice){raw.s + 1, raw.len - 2};
	}
	json_skip(j);
	return (struct slice){NULL, 0};
}

static void
schema_read_parameters(struct json *j, struct schema_field *f)
{
	struct slice key;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j);
		return;
	}
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (slice_is(key, "allowed"))
			f->allowed = schema_word(j);
		else if (!slice_is(key, "scale"))
			json_skip(j);
		else if (!slice_int64(schema_word(j), &f->scale))
			f->scale = INT64_MAX;
	}
}

static void
schema_read_field(struct json *j, struct schema_field *f)
{
	struct slice key;

	f->field = f->type = f->name = f->fields = f->items = f->allowed = (struct slice){NULL, 0};
	f->scale = INT64_MAX;
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (slice_is(key, "field"))
			f->field = json_plain(schema_word(j), f->plain, sizeof(f->plain));
		else if (slice_is(key, "type"))
			f->type = schema_word(j);
		else if (slice_is(key, "name"))
			f->name = schema_word(j);
		else if (slice_is(key, "fields"))
			f->fields = json_span(j);
		else if (slice_is(key, "items"))
			f->items = json_span(j);
		else if (slice_is(key, "parameters"))
			schema_read_parameters(j, f);
		else
			envelope_skip(j, key);
	}
}

/* Labels of an enum in the source, between commas: they must stand in the declared order. */
static bool
schema_check_labels(struct convert *c, const struct column *column, struct slice allowed)
{
	int last = -1;

	/* The list has no quotes: a comma within a label would be taken for one between two. */
	for (unsigned i = 0; i < column->enumeration->label_count; i++)
		if (strchr(column->enumeration->labels[i], ',') != NULL)
			return true;
	while (allowed.len > 0) {
		const char *comma = memchr(allowed.s, ',', allowed.len);
		size_t len = comma ? (size_t)(comma - allowed.s) : allowed.len;
		int place = enumeration_find(column->enumeration, allowed.s, len);
		if (place >= 0 && place < last)
			return convert_fail(
			    c,
			    "column \"%s\": type %s has its labels in another order "
			    "in the source (%.*s ...): CREATE TYPE must list them "
			    "as the source does, for they are compared by it",
			    column->name, column->enumeration->name, (int)len, allowed.s);
		last = place >= 0 ? place : last;
		allowed.s += len + (comma != NULL);
		allowed.len -= len + (comma != NULL);
	}
	return true;
}

/* Does the message's type fit a type that is no array? Then its details go into the shape. */
static bool
schema_note_type(struct convert *c, const struct column *column, const struct schema_field *f,
		 enum shape_kind *kind, struct shape *shape)
{
	const struct message_type *type = convert_message_type(f->name, f->type);
	enum type scalar = column_scalar(column);
	char excerpt[EXCERPT_SIZE], *declared;

	if (!convert_fits(scalar, type)) {
		declared = column_type_name(column);
		convert_fail(c,
			     "column \"%s\" is declared %s, but the message's schema says "
			     "%s: declare it as in "
			     "the source",
			     column->name, declared,
			     convert_excerpt(f->name.len > 0 ? f->name : f->type, excerpt));
		free(declared);
		return false;
	}
	*kind = type->kind;
	if (type->kind == SHAPE_DECIMAL) {
		if (f->scale > DECIMAL_TEXT_MAX || f->scale < -DECIMAL_TEXT_MAX)
			return convert_fail(
			    c, "column \"%s\" is a Decimal without a scale in the message's schema",
			    column->name);
		shape->scale = (int)f->scale;
	}
	if (scalar == TYPE_BYTEA) {
		if (type->kind == SHAPE_BYTES)
			shape->binary = BINARY_BYTES;
		else if (shape->binary == BINARY_BYTES)
			return convert_fail(c,
					    "column \"%s\" is bytes as a string, and the message "
					    "does not say how they are written: give the server "
					    "the option \"%s\" as the connector has it",
					    column->name, connector_option_name(CONNECTOR_BINARY));
	}
	return scalar != TYPE_ENUM || schema_check_labels(c, column, f->allowed);
}

/* Always false. Every text that is read here is a part of the message. */
static bool
schema_malformed(const struct schema *s, struct convert *c, const struct json *j)
{
	return convert_fail(c, "the message's schema is malformed at byte %zu: %s",
			    (size_t)(j->at - s->message), j->error);
}

static bool
schema_note_array(const struct schema *s, struct convert *c, const struct column *column,
		  const struct schema_field *f, struct shape *shape)
{
	struct schema_field items;
	struct json j;

	json_init(&j, f->items.s, f->items.len);
	schema_read_field(&j, &items);
	if (j.error)
		return schema_malformed(s, c, &j);
	return schema_note_type(c, column, &items, &shape->element, shape);
}

static bool
schema_note_column(struct schema *s, struct convert *c, unsigned i, const struct schema_field *f)
{
	const struct column *column = s->columns[i];
	struct shape shape = s->bare[i];
	bool array = convert_message_type(f->name, f->type)->kind == SHAPE_ARRAY && f->items.s;

	if (column->type == TYPE_ARRAY && array) {
		shape.kind = SHAPE_ARRAY;
		if (!schema_note_array(s, c, column, f, &shape))
			return false;
	} else if (column->type == TYPE_ARRAY || array) {
		char excerpt[EXCERPT_SIZE], *declared = column_type_name(column);
		convert_fail(c,
			     "column \"%s\" is declared %s, but the message's schema says %s: "
			     "declare it as in the source",
			     column->name, declared, convert_excerpt(f->type, excerpt));
		free(declared);
		return false;
	} else if (!schema_note_type(c, column, f, &shape.kind, &shape)) {
		return false;
	}
	s->shapes[i] = shape;
	return true;
}

/* Note the wanted columns among the members of a "fields" array. */
static bool
schema_read_columns(struct schema *s, struct convert *c, struct slice fields)
{
	struct schema_field f;
	struct json j;

	json_init(&j, fields.s, fields.len);
	json_enter(&j, JSON_ARRAY);
	while (json_element(&j)) {
		schema_read_field(&j, &f);
		for (unsigned i = 0; i < s->count && !j.error; i++)
			if (slice_is(f.field, s->columns[i]->name) &&
			    !schema_note_column(s, c, i, &f))
				return false;
	}
	return !j.error || schema_malformed(s, c, &j);
}

/* The "fields" of a row's struct; empty when the block describes something else. */
static bool
schema_find_row(const struct schema *s, struct convert *c, struct slice fields, struct slice *row)
{
	struct schema_field f;
	struct json j;

	*row = s->row ? (struct slice){NULL, 0} : fields;
	if (!s->row || !fields.s)
		return true;
	json_init(&j, fields.s, fields.len);
	json_enter(&j, JSON_ARRAY);
	while (json_element(&j)) {
		schema_read_field(&j, &f);
		if (!j.error && slice_is(f.field, s->row))
			*row = f.fields;
	}
	return !j.error || schema_malformed(s, c, &j);
}

static void
schema_keep(struct schema *s, struct slice block)
{
	if (s->size < block.len) {
		s->size = block.len;
		s->bytes = xreallocarray(s->bytes, s->size, 1);
	}
	memcpy(s->bytes, block.s, block.len);
	s->len = block.len;
}

bool
schema_take(struct schema *s, struct convert *c, struct json *j)
{
	struct schema_field top;

	s->message = j->start;
	if (json_take(j, (struct slice){s->bytes, s->len})) {
		s->skipped++;
		return true;
	}
	schema_forget(s);
	if (json_null(j))
		return true;
	struct slice block = json_span(j);
	if (j->error)
		return false;
	struct json inside;
	json_init(&inside, block.s, block.len);
	schema_read_field(&inside, &top);
	if (!json_end(&inside))
		return schema_malformed(s, c, &inside);
	struct slice row;
	if (!schema_find_row(s, c, top.fields, &row))
		return false;
	s->generation++;
	/* A column that the block does not describe is not read as if there were none. */
	memset(s->shapes, 0, s->count * sizeof(*s->shapes));
	if (row.s && !schema_read_columns(s, c, row)) {
		schema_reset_shapes(s);
		return false;
	}
	schema_keep(s, block);
	return true;
}
