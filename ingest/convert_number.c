/*
 * convert_number.c - integers, numeric, money and floating point.
 */
#include <string.h>

#include "common/decimal.h"
#include "common/glance.h"
#include "ingest/convert_part.h"

#define NUMBER_ROOM 1200 /* the longest decimal with the zeros of a declared scale */
_Static_assert(NUMBER_ROOM > DECIMAL_TEXT_MAX, "any decimal");

static int64_t
convert_least(const struct column *column)
{
	return column->type == TYPE_SMALLINT  ? INT16_MIN
	       : column->type == TYPE_INTEGER ? INT32_MIN
					      : INT64_MIN;
}

bool
convert_whole(const struct column *column, uint64_t n, struct value *v)
{
	/* -1 - least is the greatest. */
	if (!type_is_integer(column->type) || n > (uint64_t)(-1 - convert_least(column)))
		return false;
	*v = (struct value){.kind = VALUE_INT, .i = (int64_t)n};
	return true;
}

bool
convert_short_integer(struct json *j, const struct column *column, struct value *v)
{
	struct json at = *j;
	uint64_t n;

	if (!json_short(&at, &n) || !convert_whole(column, n, v))
		return false;
	*j = at;
	return true;
}

static bool
convert_integer(struct convert *c, const struct column *column, struct slice number,
		struct value *v)
{
	int64_t least = convert_least(column);
	int64_t i;

	if (!slice_int64(number, &i) || i < least || i > -1 - least)
		return convert_mismatch(c, column, number);
	*v = (struct value){.kind = VALUE_INT, .i = i};
	return true;
}

/* --- numeric --- */

/*
 * Give a canonical decimal exactly the declared scale, as PostgreSQL's numeric(p,s) has it. Returns
 * its length, or 0 when digits would be lost.
 */
static size_t
fit_decimal(char *text, size_t len, size_t size, const struct column *column)
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

/* A canonical decimal of `len` bytes stands in the reserved room; 0: it is none. */
static bool
keep_decimal(struct convert *c, const struct column *column, char *text, size_t len,
	     struct slice found, struct value *v)
{
	char excerpt[EXCERPT_SIZE];
	size_t fit = len;

	if (len == 0)
		return convert_mismatch(c, column, found);
	if (!decimal_is_special(text, len))
		fit = fit_decimal(text, len, NUMBER_ROOM, column);
	else if (column->precision >= 0 && text[0] != 'N')
		fit = 0; /* numeric(p,s) takes NaN, but no infinity */
	if (fit == 0)
		return convert_fail(c,
				    "column \"%s\" is declared numeric(%d,%d), which cannot hold "
				    "%s exactly: declare it "
				    "as in the source",
				    column->name, column->precision, column->scale,
				    convert_excerpt((struct slice){text, len}, excerpt));
	room_keep(c->room, fit);
	*v = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)fit, .s = text};
	return true;
}

static bool
convert_decimal_text(struct convert *c, const struct column *column, struct slice s,
		     struct value *v)
{
	char *text = room_reserve(c->room, NUMBER_ROOM);
	size_t len = decimal_canonical(s.s, s.len, text, NUMBER_ROOM);

	return keep_decimal(c, column, text, len, s, v);
}

/* Canonical text of a base64 integer into `text`, of NUMBER_ROOM bytes; 0: it is none. */
static size_t
read_unscaled(struct slice base64, int scale, char *text)
{
	uint8_t bytes[NUMBER_ROOM];
	size_t len;

	if (base64.len == 0 || base64.len > sizeof(bytes) ||
	    !convert_base64(base64, false, bytes, &len))
		return 0;
	return decimal_from_bytes(bytes, len, scale, text, NUMBER_ROOM);
}

static bool
convert_decimal_bytes(struct convert *c, const struct column *column, struct slice base64,
		      int scale, struct value *v)
{
	char *text = room_reserve(c->room, NUMBER_ROOM);

	return keep_decimal(c, column, text, read_unscaled(base64, scale, text), base64, v);
}

bool
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
is_whole(struct slice s, int precision)
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
	if (!is_whole(s, column->precision))
		return convert_decimal_bytes(c, column, s, 0, v);
	char *text = room_reserve(c->room, NUMBER_ROOM);
	size_t len = read_unscaled(s, 0, text);
	if (len > 0 && fit_decimal(text, len, NUMBER_ROOM, column) > 0)
		return convert_fail(
		    c,
		    "column \"%s\": \"%.*s\" may be a number or base64 of one: give the server the "
		    "option \"%s\" as the connector has it, or set "
		    "value.converter.schemas.enable=true",
		    column->name, (int)s.len, s.s, connector_option_name(CONNECTOR_DECIMAL));
	return convert_decimal_text(c, column, s, v);
}

static bool
convert_numeric_bare(struct convert *c, const struct column *column, struct slice s,
		     struct value *v)
{
	if (column->precision < 0) {
		char *text = room_reserve(c->room, NUMBER_ROOM);
		size_t len = decimal_canonical(s.s, s.len, text, NUMBER_ROOM);
		if (len == 0)
			return convert_fail(c,
					    "column \"%s\" is no decimal number: declare "
					    "numeric(p,s) as in the source, "
					    "or set decimal.handling.mode=string",
					    column->name);
		return keep_decimal(c, column, text, len, s, v);
	}
	if (column->scale <= 0)
		return convert_whole_bare(c, column, s, v);
	if (memchr(s.s, '.', s.len))
		return convert_decimal_text(c, column, s, v);
	return convert_decimal_bytes(c, column, s, column->scale, v);
}

/*
 * NaN and the infinities as PostgreSQL writes them. The connector has words of its own in mode
 * string (3.7); in mode double they are Java's, of which "Infinity" could be base64.
 */
static struct slice
special_number(const struct column *column, const struct shape *shape, struct slice s)
{
	static const struct {
		const char *word, *number;
	} words[] = {
	    {"NaN", "NaN"},
	    {"NAN", "NaN"},
	    {"POSITIVE_INFINITY", "Infinity"},
	    {"NEGATIVE_INFINITY", "-Infinity"},
	    {"-Infinity", "-Infinity"},
	    {"Infinity", "Infinity"},
	};
	size_t count = sizeof(words) / sizeof(words[0]);

	if (shape->kind == SHAPE_UNKNOWN && column->precision >= 0)
		count--;
	for (size_t i = 0; i < count; i++)
		if (slice_is(s, words[i].word))
			return (struct slice){words[i].number, strlen(words[i].number)};
	return (struct slice){NULL, 0};
}

/*
 * Whether a decimal is written as it is kept: all digits of the declared scale, behind a point, and no more
 * before it than there may be. Most are.
 */
static bool
is_kept_as_written(const struct column *column, struct slice s)
{
	size_t scale = (size_t)column->scale, whole = s.len - scale - 1;

	if (column->scale <= 0 || column->precision <= column->scale || s.len < scale + 2 ||
	    whole > (size_t)column->precision - scale || (whole > 1 && s.s[0] == '0'))
		return false;
	return s.s[whole] == '.' && digits_end(s.s, s.s + whole) == s.s + whole &&
	       digits_end(s.s + whole + 1, s.s + s.len) == s.s + s.len;
}

bool
convert_numeric_string(struct convert *c, const struct column *column, const struct shape *shape,
		       struct slice s, struct value *v)
{
	if (shape->kind == SHAPE_DECIMAL)
		return convert_decimal_bytes(c, column, s, shape->scale, v);
	if (is_kept_as_written(column, s)) {
		*v = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)s.len, .s = s.s};
		return true;
	}
	struct slice special = special_number(column, shape, s);
	if (special.s)
		return convert_decimal_text(c, column, special, v);
	if (shape->kind == SHAPE_UNKNOWN)
		return convert_numeric_bare(c, column, s, v);
	return convert_decimal_text(c, column, s, v);
}

/* --- money --- */

static bool
keep_money(struct convert *c, const struct column *column, const char *text, size_t len,
	   struct slice found, struct value *v)
{
	v->kind = VALUE_INT;
	return (len > 0 && !decimal_is_special(text, len) && decimal_to_int(text, len, 2, &v->i)) ||
	       convert_mismatch(c, column, found);
}

static bool
convert_money(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	char text[NUMBER_ROOM];
	size_t len = decimal_canonical(s.s, s.len, text, sizeof(text));

	return keep_money(c, column, text, len, s, v);
}

/* In mode string it always has a point, which base64 never has. */
bool
convert_money_string(struct convert *c, const struct column *column, const struct shape *shape,
		     struct slice s, struct value *v)
{
	char text[NUMBER_ROOM];
	bool base64 = shape->kind == SHAPE_DECIMAL ||
		      (shape->kind == SHAPE_UNKNOWN && !memchr(s.s, '.', s.len));

	if (!base64)
		return convert_money(c, column, s, v);
	return keep_money(c, column, text, read_unscaled(s, shape->scale, text), s, v);
}

/* --- floating point --- */

/* Digits between the first and the last that is not 0, before the exponent. */
static int
significant_digits(struct slice number)
{
	int digits = 0, zeros = 0;

	for (size_t i = 0; i < number.len && number.s[i] != 'e' && number.s[i] != 'E'; i++) {
		char d = number.s[i];
		if (d == '0')
			zeros += digits > 0;
		if (d < '1' || d > '9')
			continue;
		digits += zeros + 1;
		zeros = 0;
	}
	return digits;
}

/* The text of any real has at most 9 digits that count, of any double precision at most 17. */
static bool
convert_float(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	int most = column->type == TYPE_REAL ? 9 : 17;

	return (significant_digits(s) <= most &&
		value_parse(column->type, s.s, s.len, NULL, 0, v)) ||
	       convert_mismatch(c, column, s);
}

bool
convert_float_string(struct convert *c, const struct column *column, struct slice s,
		     struct value *v)
{
	bool special = slice_is(s, "NaN") || slice_is(s, "Infinity") || slice_is(s, "-Infinity");

	return special ? convert_float(c, column, s, v) : convert_mismatch(c, column, s);
}

bool
convert_number(struct convert *c, const struct column *column, struct slice number, struct value *v)
{
	switch (column->type) {
	case TYPE_NUMERIC:
		return convert_decimal_text(c, column, number, v);
	case TYPE_MONEY:
		return convert_money(c, column, number, v);
	case TYPE_REAL:
	case TYPE_DOUBLE:
		return convert_float(c, column, number, v);
	default:
		return convert_integer(c, column, number, v);
	}
}
