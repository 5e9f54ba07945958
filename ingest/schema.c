#include "ingest/schema.h"

#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/log.h"
#include "ingest/envelope.h"

/* What one member of "fields" says; slices borrow the message and are empty when absent. */
struct schema_field {
	struct slice field, type, name, fields;
	char plain[KEY_ROOM]; /* of a field whose name has escapes */
	int64_t scale;
};

void
schema_init(struct schema *s, const struct column *const *columns, unsigned count, const char *row)
{
	*s = (struct schema){.columns = columns, .count = count, .row = row};
	s->shapes = xcalloc(count ? count : 1, sizeof(*s->shapes));
}

void
schema_fini(struct schema *s)
{
	free(s->shapes);
	free(s->bytes);
	*s = (struct schema){0};
}

void
schema_forget(struct schema *s)
{
	if (s->len == 0)
		return;
	s->len = 0;
	memset(s->shapes, 0, s->count * sizeof(*s->shapes));
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
		if (!slice_is(key, "scale"))
			json_skip(j);
		else if (!slice_int64(schema_word(j), &f->scale))
			f->scale = INT64_MAX;
	}
}

static void
schema_read_field(struct json *j, struct schema_field *f)
{
	struct slice key;

	f->field = f->type = f->name = f->fields = (struct slice){NULL, 0};
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
		else if (slice_is(key, "parameters"))
			schema_read_parameters(j, f);
		else
			envelope_skip(j, key);
	}
}

static enum shape_kind
schema_named_kind(struct slice name)
{
	static const struct {
		const char *name;
		enum shape_kind kind;
	} named[] = {
	    {"org.apache.kafka.connect.data.Decimal", SHAPE_DECIMAL},
	    {"io.debezium.data.VariableScaleDecimal", SHAPE_VARIABLE},
	    {"org.apache.kafka.connect.data.Timestamp", SHAPE_MILLISECONDS},
	    {"io.debezium.time.Timestamp", SHAPE_MILLISECONDS},
	    {"io.debezium.time.MicroTimestamp", SHAPE_MICROSECONDS},
	    {"io.debezium.time.NanoTimestamp", SHAPE_NANOSECONDS},
	    {"io.debezium.time.IsoTimestamp", SHAPE_ISO_LOCAL},
	    {"io.debezium.time.ZonedTimestamp", SHAPE_ISO_ZONED},
	};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (slice_is(name, named[i].name))
			return named[i].kind;
	return SHAPE_UNKNOWN;
}

static bool
schema_starts(struct slice s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && memcmp(s.s, prefix, len) == 0;
}

static enum shape_kind
schema_kind(const struct schema_field *f)
{
	enum shape_kind kind = schema_named_kind(f->name);

	if (kind != SHAPE_UNKNOWN)
		return kind;
	if (schema_starts(f->name, "io.debezium.time.") ||
	    schema_starts(f->name, "org.apache.kafka.connect.data."))
		return SHAPE_OTHER; /* dates, times and intervals look like plain numbers */
	if (slice_is(f->type, "int8") || slice_is(f->type, "int16") || slice_is(f->type, "int32") ||
	    slice_is(f->type, "int64"))
		return SHAPE_INTEGER;
	if (slice_is(f->type, "float") || slice_is(f->type, "double"))
		return SHAPE_FLOAT;
	if (slice_is(f->type, "boolean"))
		return SHAPE_BOOLEAN;
	return slice_is(f->type, "string") ? SHAPE_STRING : SHAPE_OTHER;
}

static bool
schema_note_column(struct schema *s, struct convert *c, unsigned i, const struct schema_field *f)
{
	const struct column *column = s->columns[i];
	struct shape shape = {.kind = schema_kind(f)};
	char excerpt[EXCERPT_SIZE];

	if (!convert_fits(column->type, shape.kind))
		return convert_fail(c,
				    "column \"%s\" is declared %s, but the message's schema says "
				    "%s: declare it as in "
				    "the source",
				    column->name, type_name(column->type),
				    convert_excerpt(f->name.len > 0 ? f->name : f->type, excerpt));
	if (shape.kind == SHAPE_DECIMAL) {
		if (f->scale > DECIMAL_TEXT_MAX || f->scale < -DECIMAL_TEXT_MAX)
			return convert_fail(
			    c, "column \"%s\" is a Decimal without a scale in the message's schema",
			    column->name);
		shape.scale = (int)f->scale;
	}
	s->shapes[i] = shape;
	return true;
}

/* Always false. Every text that is read here is a part of the message. */
static bool
schema_malformed(const struct schema *s, struct convert *c, const struct json *j)
{
	return convert_fail(c, "the message's schema is malformed at byte %zu: %s",
			    (size_t)(j->at - s->message), j->error);
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
	if (row.s && !schema_read_columns(s, c, row)) {
		memset(s->shapes, 0, s->count * sizeof(*s->shapes));
		return false;
	}
	schema_keep(s, block);
	return true;
}
