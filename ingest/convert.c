#include "ingest/convert.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/decimal.h"

/* PostgreSQL's infinities, as the connector writes them in microseconds. */
#define INFINITY_USEC       INT64_C(9223372036825200000)
#define MINUS_INFINITY_USEC INT64_C(-9223372036832400000)

/* PostgreSQL's first timestamp, in 4714 BC; its last one is beyond 64 bits from 1970. */
#define TIMESTAMP_MIN INT64_C(-210866803200000000)

#define DAY_SECONDS INT64_C(86400)

static const char unavailable[] = "__debezium_unavailable_value";

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
convert_fits(enum type type, enum shape_kind kind)
{
	if (kind == SHAPE_UNKNOWN)
		return true;
	switch (type) {
	case TYPE_INTEGER:
	case TYPE_BIGINT:
		return kind == SHAPE_INTEGER;
	case TYPE_NUMERIC:
		return kind == SHAPE_INTEGER || kind == SHAPE_FLOAT || kind == SHAPE_STRING ||
		       kind == SHAPE_DECIMAL || kind == SHAPE_VARIABLE;
	case TYPE_TEXT:
		return kind == SHAPE_STRING;
	case TYPE_BOOLEAN:
		return kind == SHAPE_BOOLEAN;
	case TYPE_TIMESTAMP:
		return kind == SHAPE_MILLISECONDS || kind == SHAPE_MICROSECONDS ||
		       kind == SHAPE_NANOSECONDS || kind == SHAPE_ISO_LOCAL;
	case TYPE_TIMESTAMPTZ:
		return kind == SHAPE_ISO_ZONED;
	default:
		return false;
	}
}

static bool
convert_mismatch(struct convert *c, const struct column *column, struct slice found)
{
	char excerpt[EXCERPT_SIZE];

	return convert_fail(
	    c, "column \"%s\" is declared %s, but the message has %s: declare it as in the source",
	    column->name, type_name(column->type), convert_excerpt(found, excerpt));
}

/* A value of a kind that the type does not have. */
static bool
convert_mismatch_next(struct convert *c, struct json *j, const struct column *column)
{
	struct slice found = json_span(j);

	return !j->error && convert_mismatch(c, column, found);
}

static bool
convert_string(struct convert *c, struct json *j, struct slice *s)
{
	*s = json_string(j, c->room + c->used, c->size - c->used);
	if (j->error)
		return false;
	if (s->s == c->room + c->used)
		c->used += s->len;
	return true;
}

static bool
convert_integer(struct convert *c, struct json *j, const struct column *column, struct value *v)
{
	if (json_peek(j) != JSON_NUMBER)
		return convert_mismatch_next(c, j, column);
	struct slice number = json_number(j);
	if (j->error)
		return false;
	if (!slice_int64(number, &v->i))
		return convert_mismatch(c, column, number);
	if (column->type == TYPE_INTEGER && (v->i < INT32_MIN || v->i > INT32_MAX))
		return convert_mismatch(c, column, number);
	v->kind = VALUE_INT;
	return true;
}

static bool
convert_text(struct convert *c, struct json *j, const struct column *column, struct value *v)
{
	struct slice s;

	if (json_peek(j) != JSON_STRING)
		return convert_mismatch_next(c, j, column);
	if (!convert_string(c, j, &s))
		return false;
	if (memchr(s.s, '\0', s.len))
		return convert_fail(c,
				    "column \"%s\" holds a NUL character, which PostgreSQL's text "
				    "cannot hold",
				    column->name);
	if (s.len > UINT32_MAX)
		return convert_fail(c, "column \"%s\" is longer than 4 GiB", column->name);
	v->kind = slice_is(s, unavailable) ? VALUE_UNCHANGED : VALUE_TEXT;
	v->s = s.s;
	v->len = (uint32_t)s.len;
	return true;
}

static bool
convert_boolean(struct convert *c, struct json *j, const struct column *column, struct value *v)
{
	enum json_kind kind = json_peek(j);

	if (kind != JSON_TRUE && kind != JSON_FALSE)
		return convert_mismatch_next(c, j, column);
	v->kind = VALUE_BOOL;
	v->i = json_bool(j);
	return !j->error;
}

/*
 * Give a canonical decimal exactly the declared scale, as PostgreSQL's numeric(p,s) has it. Returns
 * its length, or 0 when digits would be lost.
 */
static size_t
convert_fit_decimal(char *text, size_t len, size_t size, const struct column *column)
{
	if (column->precision < 0 || column->scale < 0)
		return len;
	size_t want = (size_t)column->scale, scale = (size_t)decimal_scale(text, len);
	for (; scale > want; scale--, len--)
		if (text[len - 1] != '0')
			return 0;
	if (want == 0 && text[len - 1] == '.')
		len--;
	if (scale < want && size - len < want - scale + 1)
		return 0;
	if (scale == 0 && want > 0)
		text[len++] = '.';
	for (; scale < want; scale++)
		text[len++] = '0';
	size_t digits = len - (text[0] == '-') - (want > 0 ? want + 1 : 0);
	if (digits == 1 && text[text[0] == '-'] == '0')
		digits = 0;
	size_t most =
	    column->precision > column->scale ? (size_t)(column->precision - column->scale) : 0;
	return digits <= most ? len : 0;
}

/* A canonical decimal of `len` bytes stands at the end of the used room; 0: it is none. */
static bool
convert_keep_decimal(struct convert *c, const struct column *column, size_t len, struct slice found,
		     struct value *v)
{
	char *text = c->room + c->used, excerpt[EXCERPT_SIZE];

	if (len == 0)
		return convert_mismatch(c, column, found);
	size_t fit = convert_fit_decimal(text, len, c->size - c->used, column);
	if (fit == 0)
		return convert_fail(c,
				    "column \"%s\" is declared numeric(%d,%d), which cannot hold "
				    "%s exactly: declare it "
				    "as in the source",
				    column->name, column->precision, column->scale,
				    convert_excerpt((struct slice){text, len}, excerpt));
	*v = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)fit, .s = text};
	c->used += fit;
	return true;
}

static bool
convert_decimal_text(struct convert *c, const struct column *column, struct slice s,
		     struct value *v)
{
	size_t len = decimal_canonical(s.s, s.len, c->room + c->used, c->size - c->used);

	return convert_keep_decimal(c, column, len, s, v);
}

static int
convert_base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict base64. Returns the number of bytes, 0 when it is none or does not fit. */
static size_t
convert_base64(struct slice s, uint8_t *out, size_t size)
{
	size_t n = 0, pad = 0;

	if (s.len == 0 || s.len % 4 != 0 || s.len / 4 * 3 > size)
		return 0;
	while (pad < 2 && s.s[s.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < s.len; i += 4) {
		uint32_t word = 0;
		for (size_t k = i; k < i + 4; k++) {
			int digit = k < s.len - pad ? convert_base64_digit(s.s[k]) : 0;
			if (digit < 0)
				return 0;
			word = word << 6 | (uint32_t)digit;
		}
		out[n++] = (uint8_t)(word >> 16);
		out[n++] = (uint8_t)(word >> 8);
		out[n++] = (uint8_t)word;
	}
	return n - pad;
}

static size_t
convert_unscaled(struct convert *c, struct slice base64, int scale)
{
	uint8_t bytes[CONVERT_ROOM];
	size_t len = convert_base64(base64, bytes, sizeof(bytes));

	if (len == 0)
		return 0;
	return decimal_from_bytes(bytes, len, scale, c->room + c->used, c->size - c->used);
}

static bool
convert_decimal_bytes(struct convert *c, const struct column *column, struct slice base64,
		      int scale, struct value *v)
{
	return convert_keep_decimal(c, column, convert_unscaled(c, base64, scale), base64, v);
}

static bool
convert_variable(struct convert *c, struct json *j, const struct column *column, struct value *v)
{
	struct slice key, base64 = {NULL, 0};
	int64_t scale = INT64_MAX;

	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (slice_is(key, "scale")) {
			if (!slice_int64(json_number(j), &scale))
				scale = INT64_MAX;
		} else if (slice_is(key, "value")) {
			convert_string(c, j, &base64);
		} else {
			json_skip(j);
		}
	}
	if (j->error)
		return false;
	if (!base64.s || scale > DECIMAL_TEXT_MAX || scale < -DECIMAL_TEXT_MAX)
		return convert_fail(c,
				    "column \"%s\" is an object without the scale and value of a "
				    "decimal",
				    column->name);
	return convert_decimal_bytes(c, column, base64, (int)scale, v);
}

/* Digits only, as PostgreSQL writes a whole number of at most `precision` digits. */
static bool
convert_is_whole(struct slice s, int precision)
{
	size_t minus = s.len > 0 && s.s[0] == '-', digits = s.len - minus;

	if (digits == 0 || digits > (size_t)precision || (digits > 1 && s.s[minus] == '0'))
		return false;
	for (size_t i = minus; i < s.len; i++)
		if (s.s[i] < '0' || s.s[i] > '9')
			return false;
	return true;
}

/* A string for numeric(p,0) in bare JSON: see convert.h. */
static bool
convert_whole_bare(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	if (!convert_is_whole(s, column->precision))
		return convert_decimal_bytes(c, column, s, 0, v);
	size_t len = convert_unscaled(c, s, 0);
	if (len > 0 && convert_fit_decimal(c->room + c->used, len, c->size - c->used, column) > 0)
		return convert_fail(
		    c,
		    "column \"%s\": \"%.*s\" may be a number or base64 of one: set "
		    "value.converter.schemas.enable=true, or, with decimal.handling.mode=string, "
		    "declare the column numeric without a precision",
		    column->name, (int)s.len, s.s);
	return convert_decimal_text(c, column, s, v);
}

static bool
convert_numeric_bare(struct convert *c, const struct column *column, struct slice s,
		     struct value *v)
{
	if (column->precision < 0) {
		size_t len = decimal_canonical(s.s, s.len, c->room + c->used, c->size - c->used);
		if (len == 0)
			return convert_fail(c,
					    "column \"%s\" is no decimal number: declare "
					    "numeric(p,s) as in the source, "
					    "or set decimal.handling.mode=string",
					    column->name);
		return convert_keep_decimal(c, column, len, s, v);
	}
	if (column->scale <= 0)
		return convert_whole_bare(c, column, s, v);
	if (memchr(s.s, '.', s.len))
		return convert_decimal_text(c, column, s, v);
	return convert_decimal_bytes(c, column, s, column->scale, v);
}

/* NaN and the infinities, as Debezium writes them; all but NaN could be base64. */
static bool
convert_is_no_number(struct slice s, enum shape_kind kind)
{
	if (s.len == 3 && strncasecmp(s.s, "nan", 3) == 0)
		return true;
	if (kind != SHAPE_STRING && kind != SHAPE_FLOAT)
		return false;
	bool minus = s.len > 0 && s.s[0] == '-';
	return s.len - minus == 8 && strncasecmp(s.s + minus, "infinity", 8) == 0;
}

static bool
convert_numeric(struct convert *c, struct json *j, const struct column *column,
		const struct shape *shape, struct value *v)
{
	enum json_kind kind = json_peek(j);
	struct slice s;

	if (kind == JSON_OBJECT)
		return convert_variable(c, j, column, v);
	if (kind == JSON_NUMBER) {
		s = json_number(j);
		return !j->error && convert_decimal_text(c, column, s, v);
	}
	if (kind != JSON_STRING)
		return convert_mismatch_next(c, j, column);
	if (!convert_string(c, j, &s))
		return false;
	if (convert_is_no_number(s, shape->kind))
		return convert_fail(c,
				    "column \"%s\" is %.*s, which no exact sum can hold: keep such "
				    "values out of the source, or do not declare the column",
				    column->name, (int)s.len, s.s);
	if (shape->kind == SHAPE_DECIMAL)
		return convert_decimal_bytes(c, column, s, shape->scale, v);
	if (shape->kind == SHAPE_UNKNOWN)
		return convert_numeric_bare(c, column, s, v);
	return convert_decimal_text(c, column, s, v);
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t
convert_days(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Exactly `count` digits, or at least `count` when more may follow. */
static bool
convert_digits(struct slice *s, size_t count, size_t most, int64_t *n)
{
	size_t i = 0;

	for (*n = 0; i < s->len && i < most && s->s[i] >= '0' && s->s[i] <= '9'; i++)
		*n = *n * 10 + (s->s[i] - '0');
	s->s += i;
	s->len -= i;
	return i >= count;
}

static bool
convert_sign(struct slice *s, char c)
{
	if (s->len == 0 || s->s[0] != c)
		return false;
	s->s++;
	s->len--;
	return true;
}

static bool
convert_iso_date(struct slice *s, int64_t *days)
{
	static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool minus = convert_sign(s, '-');
	int64_t year, month, day;

	if (!minus)
		convert_sign(s, '+');
	if (!convert_digits(s, 4, 6, &year) || !convert_sign(s, '-') ||
	    !convert_digits(s, 2, 2, &month) || !convert_sign(s, '-') ||
	    !convert_digits(s, 2, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1])
		return false;
	if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return false;
	*days = convert_days(minus ? -year : year, (int)month, (int)day);
	return true;
}

static bool
convert_iso_fraction(struct slice *s, int64_t *usec)
{
	struct slice from = *s;
	int64_t n;

	*usec = 0;
	if (!convert_sign(s, '.'))
		return true;
	from = *s;
	if (!convert_digits(s, 1, 9, &n))
		return false;
	for (size_t digits = from.len - s->len; digits < 9; digits++)
		n *= 10;
	*usec = n / 1000;
	return n % 1000 == 0;
}

static bool
convert_iso_zone(struct slice *s, int64_t *seconds)
{
	int64_t hours, minutes = 0;

	*seconds = 0;
	if (s->len == 0 || convert_sign(s, 'Z'))
		return true;
	bool minus = convert_sign(s, '-');
	if (!minus && !convert_sign(s, '+'))
		return false;
	if (!convert_digits(s, 2, 2, &hours))
		return false;
	if (s->len > 0 && (!convert_sign(s, ':') || !convert_digits(s, 2, 2, &minutes)))
		return false;
	*seconds = (hours * 60 + minutes) * (minus ? -60 : 60);
	return hours < 24 && minutes < 60;
}

static bool
convert_is_timestamp(int64_t usec)
{
	return usec >= TIMESTAMP_MIN && usec < INT64_MAX;
}

/* ISO 8601 with astronomic years (0000 is 1 BC), as java.time prints it. */
static bool
convert_iso(struct slice s, int64_t *usec)
{
	int64_t days, hour, minute, second = 0, fraction = 0, zone;

	if (slice_is(s, "infinity") || slice_is(s, "-infinity")) {
		*usec = s.s[0] == '-' ? INT64_MIN : INT64_MAX;
		return true;
	}
	if (!convert_iso_date(&s, &days) || !convert_sign(&s, 'T') ||
	    !convert_digits(&s, 2, 2, &hour) || !convert_sign(&s, ':') ||
	    !convert_digits(&s, 2, 2, &minute))
		return false;
	if (convert_sign(&s, ':') &&
	    (!convert_digits(&s, 2, 2, &second) || !convert_iso_fraction(&s, &fraction)))
		return false;
	if (!convert_iso_zone(&s, &zone) || s.len > 0 || hour > 23 || minute > 59 || second > 59)
		return false;
	int64_t seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - zone;
	return !__builtin_mul_overflow(seconds, INT64_C(1000000), usec) &&
	       !__builtin_add_overflow(*usec, fraction, usec) && convert_is_timestamp(*usec);
}

static bool
convert_iso_timestamp(struct convert *c, struct json *j, const struct column *column,
		      struct value *v)
{
	struct slice s;

	if (!convert_string(c, j, &s))
		return false;
	if (!convert_iso(s, &v->i))
		return convert_mismatch(c, column, s);
	v->kind = VALUE_INT;
	return true;
}

static bool
convert_unit(int64_t n, enum shape_kind kind, int64_t *usec)
{
	if (kind == SHAPE_MILLISECONDS) {
		if (n == INFINITY_USEC || n == MINUS_INFINITY_USEC)
			*usec = n;
		else if (__builtin_mul_overflow(n, INT64_C(1000), usec))
			return false;
	} else if (kind == SHAPE_NANOSECONDS) {
		if (n % 1000 != 0)
			return false;
		*usec = n / 1000;
	} else {
		*usec = n;
	}
	if (*usec == INFINITY_USEC)
		*usec = INT64_MAX;
	else if (*usec == MINUS_INFINITY_USEC)
		*usec = INT64_MIN;
	else
		return convert_is_timestamp(*usec);
	return true;
}

static bool
convert_timestamp(struct convert *c, struct json *j, const struct column *column,
		  const struct shape *shape, struct value *v)
{
	enum json_kind kind = json_peek(j);
	int64_t n;

	if (kind == JSON_STRING)
		return convert_iso_timestamp(c, j, column, v);
	if (kind != JSON_NUMBER || column->type == TYPE_TIMESTAMPTZ)
		return convert_mismatch_next(c, j, column);
	struct slice number = json_number(j);
	if (j->error)
		return false;
	if (!slice_int64(number, &n) || !convert_unit(n, shape->kind, &v->i))
		return convert_mismatch(c, column, number);
	v->kind = VALUE_INT;
	return true;
}

bool
convert_value(struct convert *c, struct json *j, const struct column *column,
	      const struct shape *shape, struct value *v)
{
	if (json_null(j)) {
		*v = (struct value){.kind = VALUE_NULL};
		return true;
	}
	switch (column->type) {
	case TYPE_INTEGER:
	case TYPE_BIGINT:
		return convert_integer(c, j, column, v);
	case TYPE_NUMERIC:
		return convert_numeric(c, j, column, shape, v);
	case TYPE_TEXT:
		return convert_text(c, j, column, v);
	case TYPE_BOOLEAN:
		return convert_boolean(c, j, column, v);
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return convert_timestamp(c, j, column, shape, v);
	default:
		return convert_mismatch_next(c, j, column);
	}
}
