#include "ingest/convert.h"

#include <md5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/convert_part.h"

#define PARSED_MAX 64 /* bytes of a parsed uuid, address or interval */

bool
convert_fail(struct convert *c, const char *fmt, ...)
{
	va_list args;

	if (c->failed)
		return false;
	c->failed = true;
	va_start(args, fmt);
	int len = vsnprintf(c->error, c->error_size, fmt, args);
	va_end(args);
	if (len > 0 && (size_t)len >= c->error_size && c->error_size > 0)
		c->error[json_trim(c->error, c->error_size - 1)] = '\0';
	return false;
}

const char *
convert_excerpt(struct slice s, char buf[EXCERPT_SIZE])
{
	size_t len = s.len < 60 ? s.len : 57;
	size_t at = 0;

	while (at < len) {
		const unsigned char *c = (const unsigned char *)s.s + at;
		size_t n = *c < 0x80 ? 0 : json_sequence(c, s.len - at);
		if (at + n > len)
			break; /* cut between two characters, not inside one */
		bool control = n > 0 ? c[0] == 0xC2 && c[1] < 0xA0 : *c < ' ' || *c > '~';
		size_t end = at + (n > 0 ? n : 1);
		for (; at < end; at++)
			buf[at] = control ? '?' : s.s[at];
	}
	memcpy(buf + at, s.len < 60 ? "" : "...", s.len < 60 ? 1 : 4);
	return buf;
}

bool
convert_mismatch(struct convert *c, const struct column *column, struct slice found)
{
	char excerpt[EXCERPT_SIZE], *type = column_type_name(column);

	convert_fail(
	    c, "column \"%s\" is declared %s, but the message has %s: declare it as in the source",
	    column->name, type, convert_excerpt(found, excerpt));
	free(type);
	return false;
}

bool
convert_mismatch_next(struct convert *c, struct json *j, const struct column *column)
{
	struct slice found = json_span(j);

	return !j->error && convert_mismatch(c, column, found);
}

bool
convert_string(struct convert *c, struct json *j, struct slice *s)
{
	*s = json_string(j, c->text + c->text_used, c->text_size - c->text_used);
	if (j->error)
		return false;
	if (s->s == c->text + c->text_used)
		c->text_used += s->len;
	return true;
}

bool
convert_parse(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	char *buf = room_reserve(c->room, PARSED_MAX);

	if (!value_parse(column->type, s.s, s.len, buf, PARSED_MAX, v))
		return convert_mismatch(c, column, s);
	room_keep(c->room, value_has_bytes(v) ? v->len : 0);
	return true;
}

/* --- how a column is written --- */

void
unavailable_init(struct unavailable *u, const char *text)
{
	MD5_CTX md5;

	*u = (struct unavailable){.text = text, .len = strlen(text)};
	/* The connector makes a name-based UUID (version 3) of it. */
	MD5Init(&md5);
	MD5Update(&md5, (const uint8_t *)text, u->len);
	MD5Final(u->uuid, &md5);
	u->uuid[6] = (uint8_t)((u->uuid[6] & 0x0F) | 0x30);
	u->uuid[8] = (uint8_t)((u->uuid[8] & 0x3F) | 0x80);
}

/* The unit of a number for a time or a timestamp. */
static enum shape_kind
bare_unit(const struct column *column, enum time_mode mode)
{
	bool fine = column->precision < 0 || column->precision > 3;

	switch (mode) {
	case TIME_CONNECT:
		return SHAPE_MILLISECONDS;
	case TIME_MICROSECONDS:
		return SHAPE_MICROSECONDS;
	case TIME_NANOSECONDS:
		return SHAPE_NANOSECONDS;
	case TIME_ADAPTIVE_MICROSECONDS:
		return fine || column_scalar(column) == TYPE_TIME ? SHAPE_MICROSECONDS
								  : SHAPE_MILLISECONDS;
	default:
		return fine ? SHAPE_MICROSECONDS : SHAPE_MILLISECONDS;
	}
}

static enum shape_kind
bare_decimal(const struct column *column, enum decimal_mode mode)
{
	if (mode == DECIMAL_STRING)
		return SHAPE_STRING;
	if (mode == DECIMAL_DOUBLE)
		return SHAPE_FLOAT;
	if (mode != DECIMAL_PRECISE)
		return SHAPE_UNKNOWN;
	if (column_scalar(column) == TYPE_NUMERIC && column->precision < 0)
		return SHAPE_VARIABLE;
	return SHAPE_DECIMAL;
}

static enum shape_kind
bare_kind(const struct column *column, const struct connector *connector)
{
	switch (column_scalar(column)) {
	case TYPE_NUMERIC:
	case TYPE_MONEY:
		return bare_decimal(column, (enum decimal_mode)connector->mode[CONNECTOR_DECIMAL]);
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
		return bare_unit(column, (enum time_mode)connector->mode[CONNECTOR_TIME]);
	case TYPE_INTERVAL:
		return SHAPE_MICROSECONDS;
	default:
		return SHAPE_UNKNOWN;
	}
}

struct shape
convert_bare(const struct column *column, const struct connector *connector)
{
	enum shape_kind kind = bare_kind(column, connector);
	unsigned binary = connector->mode[CONNECTOR_BINARY];

	return (struct shape){
	    .kind = column->type == TYPE_ARRAY ? SHAPE_UNKNOWN : kind,
	    .element = kind,
	    .scale = column_scalar(column) == TYPE_MONEY ? 2 : column->scale,
	    .binary = binary > 0 ? (enum binary_mode)binary : BINARY_BYTES,
	};
}

/* --- values --- */

static bool
convert_from_string(struct convert *c, const struct column *column, const struct shape *shape,
		    struct slice s, struct value *v)
{
	switch (column->type) {
	case TYPE_NUMERIC:
		return convert_numeric_string(c, column, shape, s, v);
	case TYPE_MONEY:
		return convert_money_string(c, column, shape, s, v);
	case TYPE_REAL:
	case TYPE_DOUBLE:
		return convert_float_string(c, column, s, v);
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return convert_time_string(c, column, s, v);
	case TYPE_TEXT:
	case TYPE_VARCHAR:
	case TYPE_CHAR:
	case TYPE_JSON:
		return convert_text(c, column, s, v);
	case TYPE_JSONB:
		return convert_jsonb(c, column, s, v);
	case TYPE_BYTEA:
		return convert_bytes(c, column, shape, s, v);
	case TYPE_ENUM:
		return convert_enum(c, column, s, v);
	case TYPE_UUID:
	case TYPE_INET:
	case TYPE_INTERVAL:
		return convert_parse(c, column, s, v);
	default:
		return convert_mismatch(c, column, s);
	}
}

static bool
convert_from_number(struct convert *c, const struct column *column, const struct shape *shape,
		    struct slice number, struct value *v)
{
	switch (column->type) {
	case TYPE_SMALLINT:
	case TYPE_INTEGER:
	case TYPE_BIGINT:
	case TYPE_NUMERIC:
	case TYPE_MONEY:
	case TYPE_REAL:
	case TYPE_DOUBLE:
		return convert_number(c, column, number, v);
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
	case TYPE_INTERVAL:
		return convert_time_number(c, column, shape, number, v);
	default:
		return convert_mismatch(c, column, number);
	}
}

static bool
convert_from_object(struct convert *c, struct json *j, const struct column *column, struct value *v)
{
	switch (column->type) {
	case TYPE_NUMERIC:
		return convert_variable(c, j, column, v);
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
	case TYPE_INTERVAL:
		return convert_structured(c, j, column, v);
	default:
		return convert_mismatch_next(c, j, column);
	}
}

static bool
is_unavailable(const struct unavailable *u, const void *bytes, size_t len)
{
	return u != NULL && len == u->len && memcmp(bytes, u->text, len) == 0;
}

/* Strings that the connector has not encoded, and bytes that it has. */
static bool
convert_unavailable(const struct unavailable *u, const struct column *column, const struct value *v)
{
	if (v->kind != VALUE_BYTES || u == NULL)
		return false;
	if (column->type == TYPE_UUID)
		return memcmp(v->s, u->uuid, sizeof(u->uuid)) == 0;
	return is_unavailable(u, v->s, v->len);
}

/* `seek`: look for what stands for an unchanged value. */
static bool
convert_text_of(struct convert *c, const struct column *column, const struct shape *shape,
		bool seek, struct slice s, struct value *v)
{
	bool unchanged = seek && is_unavailable(c->unavailable, s.s, s.len);

	*v = (struct value){.kind = VALUE_NULL};
	if (!unchanged && !convert_from_string(c, column, shape, s, v))
		return false;
	if (unchanged || (seek && convert_unavailable(c->unavailable, column, v)))
		*v = (struct value){.kind = VALUE_UNCHANGED};
	return true;
}

bool
convert_plain(struct convert *c, const struct column *column, const struct shape *shape,
	      struct slice s, struct value *v)
{
	return !type_is_integer(column->type) && column->type != TYPE_BOOLEAN &&
	       column->type != TYPE_ARRAY && convert_text_of(c, column, shape, true, s, v);
}

bool
convert_scalar(struct convert *c, struct json *j, const struct column *column,
	       const struct shape *shape, bool seek, struct value *v)
{
	enum json_kind kind = json_peek(j);
	struct slice s;

	if (kind == JSON_NUMBER && type_is_integer(column->type) &&
	    convert_short_integer(j, column, v))
		return true;
	*v = (struct value){.kind = VALUE_NULL};
	if (json_null(j))
		return true;
	if (kind == JSON_NUMBER) {
		s = json_number(j);
		return !j->error && convert_from_number(c, column, shape, s, v);
	}
	if (kind == JSON_OBJECT)
		return convert_from_object(c, j, column, v);
	if ((kind == JSON_TRUE || kind == JSON_FALSE) && column->type == TYPE_BOOLEAN) {
		*v = (struct value){.kind = VALUE_BOOL, .i = json_bool(j)};
		return !j->error;
	}
	if (kind != JSON_STRING || type_is_integer(column->type) || column->type == TYPE_BOOLEAN)
		return convert_mismatch_next(c, j, column);
	return convert_string(c, j, &s) && convert_text_of(c, column, shape, seek, s, v);
}

bool
convert_value(struct convert *c, struct json *j, const struct column *column,
	      const struct shape *shape, struct value *v)
{
	if (column->type == TYPE_ARRAY)
		return convert_array(c, j, column, shape, v);
	return convert_scalar(c, j, column, shape, true, v);
}
