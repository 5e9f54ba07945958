#include "egress/encode.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/decimal.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"

#define EPOCH_SHIFT      INT64_C(946684800000000)     /* microseconds from 1970 to 2000 */
#define TIMESTAMP_MIN    INT64_C(-211813488000000000) /* 4713 BC, from 2000 */
#define TIMESTAMP_END    INT64_C(9223371331200000000) /* year 294277, from 2000 */
#define DATE_SHIFT       10957                        /* days from 1970 to 2000 */
#define DATE_MIN         -2451545                     /* 4713 BC, from 2000 */
#define DATE_END         2145031949                   /* year 5874898, from 2000 */
#define INET_FAMILY      2                            /* of IPv4, and the next one of IPv6 */
#define JSONB_VERSION    1
#define UUID_TEXT        37
#define NUMERIC_SIGN     0x4000
#define NUMERIC_NAN      0xc000
#define NUMERIC_INFINITY 0xd000 /* since PostgreSQL 14 */
#define NUMERIC_MINUS    0xf000
#define NUMERIC_DIGITS   131072 /* before the point */
#define NUMERIC_SCALE    16383
#define ARRAY_COUNT_AT   12
#define DESCRIBE_BYTES   40

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
    [ENCODE_MONEY] = {790, "money"},
    [ENCODE_TEXT] = {25, "text"},
    [ENCODE_VARCHAR] = {1043, "character varying"},
    [ENCODE_CHAR] = {1042, "character"},
    [ENCODE_BYTEA] = {17, "bytea"},
    [ENCODE_UUID] = {2950, "uuid"},
    [ENCODE_BOOL] = {16, "boolean"},
    [ENCODE_DATE] = {1082, "date"},
    [ENCODE_TIME] = {1083, "time without time zone"},
    [ENCODE_TIMESTAMP] = {1114, "timestamp without time zone"},
    [ENCODE_TIMESTAMPTZ] = {1184, "timestamp with time zone"},
    [ENCODE_INTERVAL] = {1186, "interval"},
    [ENCODE_JSONB] = {3802, "jsonb"},
    [ENCODE_INET] = {869, "inet"},
    [ENCODE_ENUM] = {0, "enum"},
};
_Static_assert(sizeof(encode_types) / sizeof(encode_types[0]) == ENCODE_TYPE_COUNT, "every type");

bool
encode_type_of(uint32_t oid, enum encode_type *type)
{
	for (unsigned i = 0; i < ENCODE_ENUM; i++) {
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
encode_is_text(enum encode_type type)
{
	return type == ENCODE_TEXT || type == ENCODE_VARCHAR || type == ENCODE_CHAR;
}

/* A column of the same type, for types that go nowhere else; json goes nowhere. */
static const enum encode_type encode_same[TYPE_COUNT] = {
    [TYPE_BYTEA] = ENCODE_BYTEA,         [TYPE_BOOLEAN] = ENCODE_BOOL,
    [TYPE_DATE] = ENCODE_DATE,           [TYPE_TIME] = ENCODE_TIME,
    [TYPE_TIMESTAMP] = ENCODE_TIMESTAMP, [TYPE_TIMESTAMPTZ] = ENCODE_TIMESTAMPTZ,
    [TYPE_INTERVAL] = ENCODE_INTERVAL,   [TYPE_INET] = ENCODE_INET,
    [TYPE_UUID] = ENCODE_UUID,           [TYPE_JSONB] = ENCODE_JSONB,
    [TYPE_ENUM] = ENCODE_ENUM,
};

bool
encode_accepts(enum encode_type target, enum type source)
{
	switch (source) {
	case TYPE_SMALLINT:
	case TYPE_INTEGER:
	case TYPE_BIGINT:
	case TYPE_NUMERIC:
		return target <= ENCODE_NUMERIC;
	case TYPE_REAL:
	case TYPE_DOUBLE:
		return target == ENCODE_FLOAT4 || target == ENCODE_FLOAT8 ||
		       target == ENCODE_NUMERIC;
	case TYPE_MONEY:
		return target == ENCODE_MONEY || target == ENCODE_NUMERIC;
	case TYPE_TEXT:
	case TYPE_VARCHAR:
	case TYPE_CHAR:
		return encode_is_text(target);
	case TYPE_UUID:
	case TYPE_JSONB:
	case TYPE_ENUM:
		if (target == ENCODE_TEXT || target == ENCODE_VARCHAR)
			return true;
		break;
	case TYPE_JSON:
	case TYPE_ARRAY:
		return false;
	default:
		break;
	}
	return target == encode_same[source];
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

static void
encode_float4(struct encode_buffer *b, float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	encode_int32(b, 4);
	encode_int32(b, (int32_t)bits);
}

static void
encode_float8(struct encode_buffer *b, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	encode_int32(b, 8);
	encode_int64(b, (int64_t)bits);
}

/* Infinite only if the decimal is. */
static enum encode_result
encode_decimal_float(struct encode_buffer *b, enum encode_type type, const char *s, size_t len)
{
	bool special = decimal_is_special(s, len);

	if (len >= DECIMAL_TEXT_MAX)
		return ENCODE_RANGE;
	if (type == ENCODE_FLOAT4) {
		float f = decimal_to_float(s, len);

		if (isinf(f) && !special)
			return ENCODE_RANGE;
		encode_float4(b, f);
		return ENCODE_OK;
	}
	double d = decimal_to_double(s, len);
	if (isinf(d) && !special)
		return ENCODE_RANGE;
	encode_float8(b, d);
	return ENCODE_OK;
}

static enum encode_result
encode_special(struct encode_buffer *b, const struct encode_column *column, const char *s)
{
	unsigned sign = s[0] == 'N' ? NUMERIC_NAN : s[0] == '-' ? NUMERIC_MINUS : NUMERIC_INFINITY;

	if (sign != NUMERIC_NAN && column->finite)
		return ENCODE_RANGE;
	encode_int32(b, 8);
	encode_int16(b, 0);
	encode_int16(b, 0);
	encode_int16(b, (int16_t)(uint16_t)sign);
	encode_int16(b, 0);
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
encode_number(struct encode_buffer *b, const struct encode_column *column, const char *s,
	      size_t len)
{
	int64_t v;

	if (column->type == ENCODE_FLOAT4 || column->type == ENCODE_FLOAT8)
		return encode_decimal_float(b, column->type, s, len);
	if (column->type == ENCODE_NUMERIC)
		return decimal_is_special(s, len) ? encode_special(b, column, s)
						  : encode_numeric(b, s, len);
	if (decimal_is_special(s, len) || !encode_round(s, len, &v))
		return ENCODE_RANGE;
	return encode_checked_integer(b, column->type, v);
}

static enum encode_result
encode_float(struct encode_buffer *b, const struct encode_column *column, double d)
{
	char shortest[FLOAT_TEXT_MAX], text[DECIMAL_TEXT_MAX];
	size_t len;

	if (column->type == ENCODE_FLOAT8) {
		encode_float8(b, d);
		return ENCODE_OK;
	}
	if (column->type == ENCODE_FLOAT4) {
		if (isinf((float)d) && !isinf(d))
			return ENCODE_RANGE;
		encode_float4(b, (float)d);
		return ENCODE_OK;
	}
	len = float_print(d, column->source == TYPE_REAL, shortest);
	len = decimal_canonical(shortest, len, text, sizeof(text));
	return encode_number(b, column, text, len);
}

/* varchar(n) and char(n) take more than n characters only if the rest is blanks, which they drop. */
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
encode_text(struct encode_buffer *b, const struct encode_column *column, const char *s, size_t len)
{
	if (encode_too_long(s, len, column->limit))
		return ENCODE_TOO_LONG;
	encode_int32(b, (int32_t)len + (column->type == ENCODE_JSONB ? 1 : 0));
	if (column->type == ENCODE_JSONB)
		encode_bytes(b, &(uint8_t){JSONB_VERSION}, 1);
	encode_bytes(b, s, len);
	return ENCODE_OK;
}

static enum encode_result
encode_timestamp(struct encode_buffer *b, int64_t unix_us)
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

/* What the infinities are in 32 bits no date is. */
static enum encode_result
encode_date(struct encode_buffer *b, int64_t unix_days)
{
	int64_t v = unix_days == INT64_MIN   ? INT32_MIN
		    : unix_days == INT64_MAX ? INT32_MAX
					     : unix_days - DATE_SHIFT;

	if (unix_days != INT64_MIN && unix_days != INT64_MAX && (v < DATE_MIN || v >= DATE_END))
		return ENCODE_RANGE;
	encode_integer(b, ENCODE_INT4, v);
	return ENCODE_OK;
}

static enum encode_result
encode_label(struct encode_buffer *b, const struct encode_column *column, const struct value *v)
{
	const struct enumeration *e = column->enumeration;
	const char *label;

	if (e == NULL || v->i < 0 || v->i >= (int64_t)e->label_count)
		return ENCODE_CORRUPT;
	label = enumeration_label(e, v);
	return encode_text(b, column, label, strlen(label));
}

static enum encode_result
encode_hundredths(struct encode_buffer *b, const struct encode_column *column, int64_t v)
{
	uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char text[32];
	int len = snprintf(text, sizeof(text), "%s%" PRIu64 ".%02u", v < 0 ? "-" : "",
			   magnitude / 100, (unsigned)(magnitude % 100));

	return encode_number(b, column, text, (size_t)len);
}

static enum encode_result
encode_int_value(struct encode_buffer *b, const struct encode_column *column, const struct value *v)
{
	char text[24];

	switch (column->source) {
	case TYPE_ENUM:
		return encode_label(b, column, v);
	case TYPE_DATE:
		return encode_date(b, v->i);
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return encode_timestamp(b, v->i);
	case TYPE_MONEY:
		if (column->type == ENCODE_MONEY)
			break;
		return encode_hundredths(b, column, v->i);
	case TYPE_TIME:
		break;
	default:
		if (column->type <= ENCODE_INT8)
			return encode_checked_integer(b, column->type, v->i);
		return encode_number(b, column, text,
				     (size_t)snprintf(text, sizeof(text), "%" PRId64, v->i));
	}
	encode_integer(b, ENCODE_INT8, v->i);
	return ENCODE_OK;
}

static enum encode_result
encode_raw(struct encode_buffer *b, const struct encode_column *column, const struct value *v)
{
	char text[UUID_TEXT];

	if (column->source == TYPE_UUID && column->type != ENCODE_UUID)
		return encode_text(b, column, text, value_print(TYPE_UUID, v, text, sizeof(text)));
	encode_int32(b, (int32_t)v->len);
	encode_bytes(b, v->s, v->len);
	return ENCODE_OK;
}

/* Family, bits, whether it is a cidr, length, address. */
static void
encode_inet(struct encode_buffer *b, const struct value *v)
{
	uint8_t head[4] = {v->s[0] == 4 ? INET_FAMILY : INET_FAMILY + 1, (uint8_t)v->s[1], 0,
			   (uint8_t)(v->len - 2)};

	encode_int32(b, (int32_t)(sizeof(head) + v->len - 2));
	encode_bytes(b, head, sizeof(head));
	encode_bytes(b, v->s + 2, v->len - 2);
}

static void
encode_array_head(struct encode_buffer *b, uint32_t oid, uint32_t count)
{
	encode_int32(b, count > 0); /* dimensions */
	encode_int32(b, count > 0); /* there may be NULLs */
	encode_int32(b, (int32_t)oid);
	if (count == 0)
		return;
	encode_int32(b, (int32_t)count);
	encode_int32(b, 1); /* lower bound */
}

static enum encode_result
encode_array(struct encode_buffer *b, const struct encode_column *column, const struct value *array)
{
	struct encode_column element = *column;
	enum encode_result result = ENCODE_OK;
	size_t start = b->len, end;
	struct unpack in;
	uint32_t count = array_open(&in, array);

	element.array = false;
	encode_int32(b, 0); /* length, see below */
	encode_array_head(b, column->oid, count);
	for (uint32_t i = 0; i < count && result == ENCODE_OK; i++) {
		struct value v;

		value_unpack(&in, column->source, &v);
		result = in.bad ? ENCODE_CORRUPT : encode_value(b, &element, &v);
	}
	end = b->len;
	b->len = start;
	if (result != ENCODE_OK)
		return result;
	encode_int32(b, (int32_t)(end - start - 4));
	b->len = end;
	return ENCODE_OK;
}

enum encode_result
encode_value(struct encode_buffer *b, const struct encode_column *column, const struct value *v)
{
	if (v->kind == VALUE_NULL) {
		encode_int32(b, -1);
		return ENCODE_OK;
	}
	if (v->kind != (column->array ? VALUE_ARRAY : type_kind(column->source)))
		return ENCODE_CORRUPT;
	switch (v->kind) {
	case VALUE_INT:
		return encode_int_value(b, column, v);
	case VALUE_FLOAT:
		return encode_float(b, column, v->d);
	case VALUE_DECIMAL:
		return encode_number(b, column, v->s, v->len);
	case VALUE_BOOL:
		encode_int32(b, 1);
		encode_bytes(b, v->i != 0 ? "\1" : "\0", 1);
		return ENCODE_OK;
	case VALUE_TEXT:
		return encode_text(b, column, v->s, v->len);
	case VALUE_BYTES:
	case VALUE_INTERVAL: /* kept as PostgreSQL sends it */
		return encode_raw(b, column, v);
	case VALUE_INET:
		encode_inet(b, v);
		return ENCODE_OK;
	case VALUE_ARRAY:
		return encode_array(b, column, v);
	default:
		return ENCODE_CORRUPT;
	}
}

void
encode_array_begin(struct encode_buffer *b, uint32_t oid)
{
	encode_clear(b);
	encode_array_head(b, oid, 1);
}

void
encode_array_end(struct encode_buffer *b, uint32_t count)
{
	uint32_t be = htobe32(count);

	memcpy(b->data + ARRAY_COUNT_AT, &be, sizeof(be));
}

static size_t
describe_print(const struct encode_column *column, const struct value *v, char *buf, size_t size)
{
	const struct column declared = {.type = column->array ? TYPE_ARRAY : column->source,
					.element = column->source,
					.enumeration = column->enumeration};

	return column_print(&declared, v, buf, size);
}

const char *
encode_describe(const struct encode_column *column, const struct value *v,
		char buf[ENCODE_DESCRIBE_MAX])
{
	size_t len = describe_print(column, v, NULL, 0), cut = DESCRIBE_BYTES;
	char *whole = xcalloc(1, len + 1);

	(void)describe_print(column, v, whole, len + 1);
	while (len > DESCRIBE_BYTES && cut > 0 && ((uint8_t)whole[cut] & 0xc0) == 0x80)
		cut--;
	snprintf(buf, ENCODE_DESCRIBE_MAX, "%.*s%s", (int)cut, whole,
		 len > DESCRIBE_BYTES ? "..." : "");
	free(whole);
	return buf;
}
