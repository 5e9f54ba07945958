#include "egress/encode.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/log.h"

#define EPOCH_SHIFT           INT64_C(946684800000000)     /* microseconds from 1970 to 2000 */
#define TIMESTAMP_MIN         INT64_C(-211813488000000000) /* 4713 BC, from 2000 */
#define TIMESTAMP_END         INT64_C(9223371331200000000) /* year 294277, from 2000 */
#define NUMERIC_SIGN          0x4000
#define NUMERIC_DIGITS        131072 /* before the point */
#define NUMERIC_SCALE         16383
#define ARRAY_COUNT_AT        12
#define ENCODE_FLOAT_TEXT_MAX (DECIMAL_TEXT_MAX + 8)

static const struct {
	uint32_t oid;
	const char *name;
} encode_types[] = {
    [ENCODE_INT2] = {21, "smallint"},
    [ENCODE_INT4] = {23, "integer"},
    [ENCODE_INT8] = {20, "bigint"},
    [ENCODE_FLOAT4] = {700, "real"},
    [ENCODE_FLOAT8] = {701, "double precision"},
    [ENCODE_NUMERIC] = {1700, "numeric"},
    [ENCODE_TEXT] = {25, "text"},
    [ENCODE_VARCHAR] = {1043, "character varying"},
    [ENCODE_BOOL] = {16, "boolean"},
    [ENCODE_TIMESTAMP] = {1114, "timestamp without time zone"},
    [ENCODE_TIMESTAMPTZ] = {1184, "timestamp with time zone"},
};
_Static_assert(sizeof(encode_types) / sizeof(encode_types[0]) == ENCODE_TYPE_COUNT, "every type");

bool
encode_type_of(uint32_t oid, enum encode_type *type)
{
	for (unsigned i = 0; i < ENCODE_TYPE_COUNT; i++) {
		if (encode_types[i].oid == oid) {
			*type = (enum encode_type)i;
			return true;
		}
	}
	return false;
}

uint32_t
encode_oid(enum encode_type type)
{
	return encode_types[type].oid;
}

const char *
encode_type_name(enum encode_type type)
{
	return encode_types[type].name;
}

bool
encode_accepts(enum encode_type target, enum type source)
{
	switch (source) {
	case TYPE_INTEGER:
	case TYPE_BIGINT:
	case TYPE_NUMERIC:
		return target <= ENCODE_NUMERIC;
	case TYPE_TEXT:
		return target == ENCODE_TEXT || target == ENCODE_VARCHAR;
	case TYPE_BOOLEAN:
		return target == ENCODE_BOOL;
	case TYPE_TIMESTAMP:
		return target == ENCODE_TIMESTAMP;
	case TYPE_TIMESTAMPTZ:
		return target == ENCODE_TIMESTAMPTZ;
	default:
		return false;
	}
}

void
encode_clear(struct encode_buffer *b)
{
	b->len = 0;
}

void
encode_free(struct encode_buffer *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

/* Room for n more bytes; grows by doubling, so a batch settles it once for all. */
static uint8_t *
encode_room(struct encode_buffer *b, size_t n)
{
	while (b->size - b->len < n) {
		b->size = b->size == 0 ? 1024 : b->size * 2;
		b->data = xreallocarray(b->data, b->size, 1);
	}
	return b->data + b->len;
}

void
encode_bytes(struct encode_buffer *b, const void *data, size_t n)
{
	memcpy(encode_room(b, n), data, n);
	b->len += n;
}

void
encode_int16(struct encode_buffer *b, int16_t v)
{
	uint16_t be = htobe16((uint16_t)v);

	encode_bytes(b, &be, sizeof(be));
}

void
encode_int32(struct encode_buffer *b, int32_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	encode_bytes(b, &be, sizeof(be));
}

static void
encode_int64(struct encode_buffer *b, int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);

	encode_bytes(b, &be, sizeof(be));
}

void
encode_integer(struct encode_buffer *b, enum encode_type type, int64_t v)
{
	if (type == ENCODE_INT2) {
		encode_int32(b, 2);
		encode_int16(b, (int16_t)v);
	} else if (type == ENCODE_INT4) {
		encode_int32(b, 4);
		encode_int32(b, (int32_t)v);
	} else {
		encode_int32(b, 8);
		encode_int64(b, v);
	}
}

static enum encode_result
encode_checked_integer(struct encode_buffer *b, enum encode_type type, int64_t v)
{
	if ((type == ENCODE_INT2 && (v < INT16_MIN || v > INT16_MAX)) ||
	    (type == ENCODE_INT4 && (v < INT32_MIN || v > INT32_MAX)))
		return ENCODE_RANGE;
	encode_integer(b, type, v);
	return ENCODE_OK;
}

/* The nearest integer of a canonical decimal, ties away from zero, as PostgreSQL's cast gives. */
static bool
encode_round(const char *s, size_t len, int64_t *out)
{
	bool negative = len > 0 && s[0] == '-';
	uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
	uint64_t n = 0;
	size_t i = negative ? 1 : 0;

	for (; i < len && s[i] != '.'; i++) {
		uint64_t digit = (uint64_t)(s[i] - '0');

		if (n > (limit - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (i + 1 < len && s[i + 1] >= '5' && ++n > limit)
		return false;
	*out = negative ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

/* strtod() and strtof() are correctly rounded in glibc; going through double would round twice. */
static enum encode_result
encode_float(struct encode_buffer *b, enum encode_type type, const char *s, size_t len)
{
	char text[ENCODE_FLOAT_TEXT_MAX];
	union {
		float f;
		uint32_t u;
	} f4;
	union {
		double d;
		uint64_t u;
	} f8;

	if (len >= sizeof(text))
		return ENCODE_RANGE;
	memcpy(text, s, len);
	text[len] = '\0';
	if (type == ENCODE_FLOAT4) {
		f4.f = strtof(text, NULL);
		if (isinf(f4.f))
			return ENCODE_RANGE;
		encode_int32(b, 4);
		encode_int32(b, (int32_t)f4.u);
		return ENCODE_OK;
	}
	f8.d = strtod(text, NULL);
	if (isinf(f8.d))
		return ENCODE_RANGE;
	encode_int32(b, 8);
	encode_int64(b, (int64_t)f8.u);
	return ENCODE_OK;
}

/*
 * numeric in groups of four decimal digits, counted from the point. `whole` and `scale` are the
 * digits before and after it; weight is the power of 10000 of the first group sent.
 */
static enum encode_result
encode_numeric(struct encode_buffer *b, const char *s, size_t len)
{
	bool negative = len > 0 && s[0] == '-';
	const char *digits = s + (negative ? 1 : 0);
	const char *point = memchr(s, '.', len);
	size_t whole = (size_t)((point != NULL ? point : s + len) - digits);
	size_t scale = point != NULL ? len - 1 - (size_t)(point - s) : 0;
	size_t before = (whole + 3) / 4, groups = before + (scale + 3) / 4;
	size_t first = 0, start = b->len, sent = 0;

	if (whole > NUMERIC_DIGITS || scale > NUMERIC_SCALE)
		return ENCODE_RANGE;
	encode_room(b, 12 + groups * 2);
	b->len += 12;
	for (size_t g = 0; g < groups; g++) {
		/* Column of its first digit: 0 is the first before the point, whole the first after. */
		long at = g < before ? (long)whole - (long)(before - g) * 4
				     : (long)(whole + (g - before) * 4);
		int16_t value = 0;

		for (long i = at; i < at + 4; i++) {
			bool inside = i >= 0 && i < (long)(whole + scale);
			char c = !inside ? '0' : i < (long)whole ? digits[i] : digits[i + 1];

			value = (int16_t)(value * 10 + (c - '0'));
		}
		if (value == 0 && sent == 0) {
			first = g + 1;
			continue;
		}
		encode_int16(b, value);
		sent++;
	}
	size_t end = b->len;
	b->len = start;
	encode_int32(b, (int32_t)(end - start - 4));
	encode_int16(b, (int16_t)sent);
	encode_int16(b, (int16_t)(sent == 0 ? 0 : (long)before - 1 - (long)first));
	encode_int16(b, sent != 0 && negative ? NUMERIC_SIGN : 0);
	encode_int16(b, (int16_t)scale);
	b->len = end;
	return ENCODE_OK;
}

static enum encode_result
encode_number(struct encode_buffer *b, enum encode_type type, const char *s, size_t len)
{
	int64_t v;

	if (type == ENCODE_NUMERIC)
		return encode_numeric(b, s, len);
	if (type == ENCODE_FLOAT4 || type == ENCODE_FLOAT8)
		return encode_float(b, type, s, len);
	if (!encode_round(s, len, &v))
		return ENCODE_RANGE;
	return encode_checked_integer(b, type, v);
}

/* varchar(n) takes more than n characters only if the rest is blanks, which it drops. */
static bool
encode_too_long(const char *s, size_t len, unsigned limit)
{
	size_t characters = 0;

	if (limit == 0 || len <= limit)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (((uint8_t)s[i] & 0xc0) != 0x80)
			characters++;
		if (characters > limit && s[i] != ' ')
			return true;
	}
	return false;
}

static enum encode_result
encode_time(struct encode_buffer *b, int64_t unix_us)
{
	int64_t v = unix_us;

	if (v != INT64_MIN && v != INT64_MAX) {
		if (v < INT64_MIN + EPOCH_SHIFT)
			return ENCODE_RANGE;
		v -= EPOCH_SHIFT;
		if (v < TIMESTAMP_MIN || v >= TIMESTAMP_END)
			return ENCODE_RANGE;
	}
	encode_integer(b, ENCODE_INT8, v);
	return ENCODE_OK;
}

static enum encode_result
encode_int_value(struct encode_buffer *b, enum encode_type type, int64_t v)
{
	char text[24];

	if (type == ENCODE_TIMESTAMP || type == ENCODE_TIMESTAMPTZ)
		return encode_time(b, v);
	if (type <= ENCODE_INT8)
		return encode_checked_integer(b, type, v);
	return encode_number(b, type, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, v));
}

enum encode_result
encode_value(struct encode_buffer *b, const struct encode_column *column, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		encode_int32(b, -1);
		return ENCODE_OK;
	case VALUE_INT:
		return encode_int_value(b, column->type, v->i);
	case VALUE_DECIMAL:
		return encode_number(b, column->type, v->s, v->len);
	case VALUE_BOOL:
		encode_int32(b, 1);
		encode_bytes(b, v->i != 0 ? "\1" : "\0", 1);
		return ENCODE_OK;
	case VALUE_TEXT:
		if (encode_too_long(v->s, v->len, column->limit))
			return ENCODE_TOO_LONG;
		encode_int32(b, (int32_t)v->len);
		encode_bytes(b, v->s, v->len);
		return ENCODE_OK;
	default:
		return ENCODE_RANGE;
	}
}

void
encode_array_begin(struct encode_buffer *b, enum encode_type type)
{
	encode_clear(b);
	encode_int32(b, 1); /* dimensions */
	encode_int32(b, 1); /* there may be NULLs */
	encode_int32(b, (int32_t)encode_oid(type));
	encode_int32(b, 0); /* count, see encode_array_end() */
	encode_int32(b, 1); /* lower bound */
}

void
encode_array_end(struct encode_buffer *b, uint32_t count)
{
	uint32_t be = htobe32(count);

	memcpy(b->data + ARRAY_COUNT_AT, &be, sizeof(be));
}

const char *
encode_describe(const struct value *v, char *buf, size_t size)
{
	switch (v->kind) {
	case VALUE_INT:
		snprintf(buf, size, "%" PRId64, v->i);
		break;
	case VALUE_DECIMAL:
	case VALUE_TEXT:
		snprintf(buf, size, "%.*s%s", v->len > 40 ? 40 : (int)v->len, v->s,
			 v->len > 40 ? "..." : "");
		break;
	case VALUE_BOOL:
		snprintf(buf, size, "%s", v->i != 0 ? "true" : "false");
		break;
	default:
		snprintf(buf, size, "NULL");
		break;
	}
	return buf;
}
