/*
 * value_text.c - values as text: read as PostgreSQL's input functions do, written as its output
 * functions do.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/calendar.h"
#include "common/decimal.h"
#include "common/inet.h"
#include "common/interval.h"
#include "common/json.h"
#include "common/jsonb.h"
#include "common/value.h"

/* --- reading --- */

static bool
parse_int(enum type type, const char *text, size_t len, struct value *v)
{
	bool negative = len > 0 && text[0] == '-';
	size_t i = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
	int64_t value = 0;

	if (i == len)
		return false;
	for (; i < len; i++) {
		int digit = text[i] - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, digit, &value))
			return false;
	}
	/* Summed up below zero, for INT64_MIN has no positive twin. */
	if (!negative && __builtin_mul_overflow(value, -1, &value))
		return false;
	if (type == TYPE_INTEGER && (value < INT32_MIN || value > INT32_MAX))
		return false;
	if (type == TYPE_SMALLINT && (value < INT16_MIN || value > INT16_MAX))
		return false;
	*v = (struct value){.kind = VALUE_INT, .i = value};
	return true;
}

static bool
parse_bool(const char *text, size_t len, struct value *v)
{
	static const struct {
		const char *word;
		size_t least; /* shortest prefix that is unique */
		bool value;
	} words[] = {
	    {"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
	    {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (len < words[i].least || len > strlen(words[i].word) ||
		    strncasecmp(text, words[i].word, len) != 0)
			continue;
		*v = (struct value){.kind = VALUE_BOOL, .i = words[i].value};
		return true;
	}
	return false;
}

struct scan {
	const char *at, *end;
};

static bool
scan_char(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* Takes `least` to `most` digits. */
static bool
scan_digits(struct scan *s, int least, int most, int64_t *out)
{
	int n = 0;

	*out = 0;
	for (; n < most && s->at < s->end && *s->at >= '0' && *s->at <= '9'; n++)
		*out = *out * 10 + (*s->at++ - '0');
	return n >= least;
}

static bool
scan_date(struct scan *s, int64_t *days)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t year, month, day;
	bool negative = scan_char(s, '-');

	if (!negative)
		(void)scan_char(s, '+');
	if (!scan_digits(s, 4, 7, &year) || !scan_char(s, '-') || !scan_digits(s, 1, 2, &month) ||
	    !scan_char(s, '-') || !scan_digits(s, 1, 2, &day))
		return false;
	size_t left = (size_t)(s->end - s->at);
	if (left >= 3 && strncasecmp(s->end - 3, " BC", 3) == 0) {
		year = 1 - year;
		s->end -= 3;
	}
	if (negative)
		year = -year;
	if (month < 1 || month > 12 || day < 1)
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (day > lengths[month - 1] + (month == 2 && leap))
		return false;
	*days = calendar_days(year, (int)month, (int)day);
	return true;
}

/* A fraction of a second, rounded to microseconds. */
static bool
scan_fraction(struct scan *s, int64_t *us)
{
	int64_t digits, rest;
	const char *start = s->at;

	if (!scan_digits(s, 1, 6, &digits))
		return false;
	for (long n = s->at - start; n < 6; n++)
		digits *= 10;
	bool up = s->at < s->end && *s->at >= '5' && *s->at <= '9';
	(void)scan_digits(s, 0, 12, &rest);
	*us = digits + up;
	return true;
}

static bool
scan_time(struct scan *s, int64_t *us)
{
	int64_t hour, minute, second = 0, fraction = 0;

	if (!scan_digits(s, 1, 2, &hour) || !scan_char(s, ':') || !scan_digits(s, 2, 2, &minute))
		return false;
	if (scan_char(s, ':')) {
		if (!scan_digits(s, 2, 2, &second))
			return false;
		if (scan_char(s, '.') && !scan_fraction(s, &fraction))
			return false;
	}
	*us = ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction;
	return hour <= 24 && minute <= 59 && second <= 60 && *us <= DAY_US;
}

/* "Z", "+01", "-03:30", "+0530", "+00:00:00"; nothing means UTC. */
static bool
scan_zone(struct scan *s, int64_t *us)
{
	int64_t hours, minutes = 0, seconds = 0;

	*us = 0;
	(void)scan_char(s, ' ');
	if (s->at == s->end || scan_char(s, 'Z') || scan_char(s, 'z'))
		return true;
	bool negative = *s->at == '-';
	if (!negative && *s->at != '+')
		return false;
	s->at++;
	if (!scan_digits(s, 1, 2, &hours))
		return false;
	if (s->at < s->end && *s->at != ' ') {
		(void)scan_char(s, ':');
		if (!scan_digits(s, 2, 2, &minutes))
			return false;
		if (scan_char(s, ':') && !scan_digits(s, 2, 2, &seconds))
			return false;
	}
	*us = ((hours * 60 + minutes) * 60 + seconds) * SECOND_US;
	if (negative)
		*us = -*us;
	return hours <= 15 && minutes <= 59 && seconds <= 59;
}

static bool
text_is(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

static bool
parse_infinity(const char *text, size_t len, struct value *v)
{
	*v = (struct value){.kind = VALUE_INT, .i = INT64_MAX};
	if (text_is(text, len, "infinity") || text_is(text, len, "+infinity"))
		return true;
	v->i = INT64_MIN;
	return text_is(text, len, "-infinity");
}

static bool
parse_date(const char *text, size_t len, struct value *v)
{
	struct scan s = {.at = text, .end = text + len};

	if (parse_infinity(text, len, v))
		return true;
	return scan_date(&s, &v->i) && s.at == s.end && v->i >= INT32_MIN && v->i <= INT32_MAX;
}

static bool
parse_time(const char *text, size_t len, struct value *v)
{
	struct scan s = {.at = text, .end = text + len};

	*v = (struct value){.kind = VALUE_INT};
	return scan_time(&s, &v->i) && s.at == s.end;
}

static bool
parse_timestamp(enum type type, const char *text, size_t len, struct value *v)
{
	struct scan s = {.at = text, .end = text + len};
	int64_t days, us = 0, zone = 0;

	if (parse_infinity(text, len, v))
		return true;
	if (!scan_date(&s, &days))
		return false;
	if (s.at < s.end) {
		if (*s.at != ' ' && *s.at != 'T' && *s.at != 't')
			return false;
		s.at++;
		if (!scan_time(&s, &us) || !scan_zone(&s, &zone) || s.at != s.end)
			return false;
	}
	/* As in PostgreSQL, a zone is read over where the type has none. */
	us -= type == TYPE_TIMESTAMPTZ ? zone : 0;
	return !__builtin_mul_overflow(days, DAY_US, &v->i) &&
	       !__builtin_add_overflow(v->i, us, &v->i) && v->i != INT64_MAX && v->i != INT64_MIN;
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
parse_text(const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	if (len > size || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(buf, text, len);
	*v = (struct value){.kind = VALUE_TEXT, .len = (uint32_t)len, .s = buf};
	return true;
}

/* "$1,234.50", "-1234.5", "($1)" are PostgreSQL's; those without grouping are enough for a literal. */
static bool
parse_money(const char *text, size_t len, struct value *v)
{
	char plain[DECIMAL_TEXT_MAX + 1] = "-";
	bool negative = len > 0 && text[0] == '-';
	size_t from = negative;

	from += from < len && text[from] == '$';
	if (from == len || ((text[from] < '0' || text[from] > '9') && text[from] != '.'))
		return false;
	size_t n = decimal_canonical(text + from, len - from, plain + 1, sizeof(plain) - 1);
	*v = (struct value){.kind = VALUE_INT};
	return n > 0 && decimal_to_int(negative ? plain : plain + 1, n + negative, 2, &v->i);
}

static bool
parse_float(enum type type, const char *text, size_t len, struct value *v)
{
	char canonical[DECIMAL_TEXT_MAX + 1];
	size_t n = decimal_canonical(text, len, canonical, sizeof(canonical));

	if (n == 0)
		return false;
	*v = (struct value){.kind = VALUE_FLOAT, .d = decimal_to_double(canonical, n)};
	if (type == TYPE_REAL)
		v->d = (double)decimal_to_float(canonical, n);
	if (v->d == 0 && text[0] == '-')
		v->d = -0.0;
	return !isinf(v->d) || memchr(canonical, 'y', n) != NULL;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Pairs of hexadecimal digits; bytes written, or SIZE_MAX. */
static size_t
parse_hex(const char *text, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	if (len % 2 != 0 || len / 2 > size)
		return SIZE_MAX;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return SIZE_MAX;
		buf[n++] = (char)(high << 4 | low);
	}
	return n;
}

/* PostgreSQL's hex form; the older escape form is not needed. */
static bool
parse_bytea(const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	if (len < 2 || text[0] != '\\' || text[1] != 'x')
		return false;
	size_t n = parse_hex(text + 2, len - 2, buf, size);
	*v = (struct value){.kind = VALUE_BYTES, .len = (uint32_t)n, .s = buf};
	return n <= UINT32_MAX;
}

/* 32 digits, with braces or with a hyphen after any group of four, as uuid_in() has it. */
static bool
parse_uuid(const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	char digits[32];
	size_t n = 0, i = 0;
	bool braces = len > 1 && text[0] == '{' && text[len - 1] == '}';

	for (i = braces, len -= braces; i < len && n < sizeof(digits); i++) {
		if (text[i] == '-' && n > 0 && n % 4 == 0 && text[i - 1] != '-')
			continue;
		digits[n++] = text[i];
	}
	*v = (struct value){.kind = VALUE_BYTES, .len = 16, .s = buf};
	return n == sizeof(digits) && i == len && size >= 16 &&
	       parse_hex(digits, n, buf, size) == 16;
}

static bool
parse_json(const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	struct json j;

	json_init(&j, text, len);
	json_skip(&j);
	return json_end(&j) && parse_text(text, len, buf, size, v);
}

/* A value in bytes of its own. */
static bool
keep_bytes(enum value_kind kind, const void *bytes, size_t len, char *buf, size_t size,
	   struct value *v)
{
	if (len == 0 || len > size)
		return false;
	memcpy(buf, bytes, len);
	*v = (struct value){.kind = kind, .len = (uint32_t)len, .s = buf};
	return true;
}

static bool
parse_structured(enum type type, const char *text, size_t len, char *buf, size_t size,
		 struct value *v)
{
	uint8_t bytes[INTERVAL_BYTES > INET_BYTES_MAX ? INTERVAL_BYTES : INET_BYTES_MAX];
	struct interval interval;

	switch (type) {
	case TYPE_BYTEA:
		return parse_bytea(text, len, buf, size, v);
	case TYPE_UUID:
		return parse_uuid(text, len, buf, size, v);
	case TYPE_JSON:
		return parse_json(text, len, buf, size, v);
	case TYPE_JSONB:
		len = jsonb_canonical(text, len, buf, size);
		*v = (struct value){.kind = VALUE_TEXT, .len = (uint32_t)len, .s = buf};
		return len > 0 && len < size;
	case TYPE_INET:
		return keep_bytes(VALUE_INET, bytes, inet_parse(text, len, bytes), buf, size, v);
	case TYPE_INTERVAL:
		if (!interval_parse(text, len, &interval))
			return false;
		interval_store(&interval, bytes);
		return keep_bytes(VALUE_INTERVAL, bytes, INTERVAL_BYTES, buf, size, v);
	default:
		return false;
	}
}

static bool
parse_char(const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return parse_text(text, len, buf, size, v);
}

bool
value_parse(enum type type, const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	if (type == TYPE_TEXT || type == TYPE_VARCHAR)
		return parse_text(text, len, buf, size, v);
	if (type == TYPE_CHAR)
		return parse_char(text, len, buf, size, v);
	for (; len > 0 && is_space(text[0]); len--)
		text++;
	while (len > 0 && is_space(text[len - 1]))
		len--;
	switch (type) {
	case TYPE_SMALLINT:
	case TYPE_INTEGER:
	case TYPE_BIGINT:
		return parse_int(type, text, len, v);
	case TYPE_NUMERIC:
		len = decimal_canonical(text, len, buf, size);
		*v = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = buf};
		return len > 0;
	case TYPE_REAL:
	case TYPE_DOUBLE:
		return parse_float(type, text, len, v);
	case TYPE_MONEY:
		return parse_money(text, len, v);
	case TYPE_BOOLEAN:
		return parse_bool(text, len, v);
	case TYPE_DATE:
		return parse_date(text, len, v);
	case TYPE_TIME:
		return parse_time(text, len, v);
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return parse_timestamp(type, text, len, v);
	default:
		return parse_structured(type, text, len, buf, size, v);
	}
}

/* --- writing --- */

/* ".5" of microseconds within a second, without zeros at the end; "" of none. */
static const char *
print_fraction(int64_t us, char fraction[16])
{
	fraction[0] = '\0';
	if (us == 0)
		return fraction;
	(void)snprintf(fraction, 16, ".%06d", (int)us);
	for (size_t n = 6; fraction[n] == '0'; n--)
		fraction[n] = '\0';
	return fraction;
}

static size_t
print_time(int64_t us, char *buf, size_t size)
{
	char fraction[16];
	int seconds = (int)(us / SECOND_US);

	return (size_t)snprintf(buf, size, "%02d:%02d:%02d%s", seconds / 3600, seconds / 60 % 60,
				seconds % 60, print_fraction(us % SECOND_US, fraction));
}

static size_t
print_date(int64_t days, char *buf, size_t size)
{
	int64_t year;
	int month, day;

	if (days == INT64_MAX || days == INT64_MIN)
		return (size_t)snprintf(buf, size, days > 0 ? "infinity" : "-infinity");
	calendar_civil(days, &year, &month, &day);
	return (size_t)snprintf(buf, size, "%04" PRId64 "-%02d-%02d%s", year <= 0 ? 1 - year : year,
				month, day, year <= 0 ? " BC" : "");
}

static size_t
print_timestamp(enum type type, int64_t us, char *buf, size_t size)
{
	char time[32];
	int64_t year;
	int month, day;

	if (us == INT64_MAX || us == INT64_MIN)
		return print_date(us, buf, size);
	int64_t days = us / DAY_US - (us % DAY_US < 0);
	calendar_civil(days, &year, &month, &day);
	int64_t rest = us % DAY_US + (us % DAY_US < 0 ? DAY_US : 0);
	(void)print_time(rest, time, sizeof(time));
	return (size_t)snprintf(buf, size, "%04" PRId64 "-%02d-%02d %s%s%s",
				year <= 0 ? 1 - year : year, month, day, time,
				type == TYPE_TIMESTAMPTZ ? "+00" : "", year <= 0 ? " BC" : "");
}

/* Whether "d.ddde-dd" is this number itself, not only near it. */
static bool
is_exactly(const char *text, long double number)
{
	char exact[80];
	const char *e = strchr(text, 'e');
	size_t digits = (size_t)(e - text);

	(void)snprintf(exact, sizeof(exact), "%.60Le", number);
	const char *rest = exact + digits, *end = strchr(exact, 'e');
	if (memcmp(exact, text, digits) != 0 || strcmp(end, e) != 0)
		return false;
	rest += strspn(rest, ".0");
	return rest == end;
}

/* As in PostgreSQL, a text half-way between two floats is not taken for one of them. */
static bool
reads_back(const char *text, double d, bool single)
{
	double found = single ? (double)strtof(text, NULL) : strtod(text, NULL);

	if (found < d || found > d)
		return false;
	for (int up = 0; up <= 1; up++) {
		double to = up ? (double)INFINITY : (double)-INFINITY;
		double next = single ? (double)nextafterf((float)d, (float)to) : nextafter(d, to);

		if (is_exactly(text, ((long double)d + (long double)next) / 2))
			return false;
	}
	return true;
}

/* One more in the last place of "d.ddde-dd"; false when all are nines. */
static bool
digits_increment(char *text)
{
	char *at = strchr(text, 'e');

	while (at-- > text) {
		if (*at >= '0' && *at < '9') {
			++*at;
			return true;
		}
		if (*at == '9')
			*at = '0';
	}
	return false;
}

/*
 * The fewest digits that read back as d, as "d.ddde-dd". All of 15 digits (a float: 6) survive, unless the
 * number is too small to have so many: then one may do. Above a power of two there is more room than
 * below, so the next text may do where the nearest does not.
 */
static void
float_digits(double d, bool single, char buf[FLOAT_TEXT_MAX])
{
	int most = single ? 9 : 17, digits = single ? FLT_DIG : DBL_DIG;

	if (fabs(d) < (single ? (double)FLT_MIN : DBL_MIN))
		digits = 1;
	for (;; digits++) {
		(void)snprintf(buf, FLOAT_TEXT_MAX, "%.*e", digits - 1, d);
		if (digits >= most || reads_back(buf, d, single))
			return;
		if (digits_increment(buf) && reads_back(buf, d, single))
			return;
	}
}

/* PostgreSQL writes an exponent outside of -4 to 14, of a float outside of -4 to 5. */
size_t
float_print(double d, bool single, char buf[FLOAT_TEXT_MAX])
{
	char digits[FLOAT_TEXT_MAX];

	if (isnan(d) || isinf(d))
		return (size_t)snprintf(buf, FLOAT_TEXT_MAX,
					isnan(d) ? "NaN"
					: d > 0  ? "Infinity"
						 : "-Infinity");
	float_digits(d, single, digits);
	char *e = strchr(digits, 'e'), *end = e;
	int exponent = atoi(e + 1), wanted;
	while (end[-1] == '0' && memchr(digits, '.', (size_t)(end - digits)) != NULL)
		end--;
	end -= end[-1] == '.';
	if (exponent < -4 || exponent >= (single ? 6 : 15))
		return (size_t)snprintf(buf, FLOAT_TEXT_MAX, "%.*s%s", (int)(end - digits), digits,
					e);
	wanted = (int)(end - digits) - 1 - (digits[0] == '-');
	wanted = wanted > 0 ? wanted - 1 - exponent : -exponent;
	return (size_t)snprintf(buf, FLOAT_TEXT_MAX, "%.*f", wanted > 0 ? wanted : 0,
				strtod(digits, NULL));
}

static size_t
print_int(enum type type, int64_t i, char *buf, size_t size)
{
	uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;

	switch (type) {
	case TYPE_DATE:
		return print_date(i, buf, size);
	case TYPE_TIME:
		return print_time(i, buf, size);
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return print_timestamp(type, i, buf, size);
	case TYPE_MONEY:
		return (size_t)snprintf(buf, size, "%s%" PRIu64 ".%02d", i < 0 ? "-" : "",
					magnitude / 100, (int)(magnitude % 100));
	default:
		return (size_t)snprintf(buf, size, "%" PRId64, i);
	}
}

static size_t
print_bytes(enum type type, const struct value *v, char *buf, size_t size)
{
	bool uuid = type == TYPE_UUID;
	size_t need = uuid ? 36 : 2 + (size_t)v->len * 2, at = 0;

	if (need >= size)
		return need;
	if (!uuid)
		at = (size_t)snprintf(buf, size, "\\x");
	for (uint32_t i = 0; i < v->len; i++) {
		if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
			buf[at++] = '-';
		at += (size_t)snprintf(buf + at, 3, "%02x", (unsigned char)v->s[i]);
	}
	buf[at] = '\0';
	return at;
}

static size_t
print_text(const struct value *v, char *buf, size_t size)
{
	if (v->len < size) {
		memcpy(buf, v->s, v->len);
		buf[v->len] = '\0';
	}
	return v->len;
}

size_t
value_print(enum type type, const struct value *v, char *buf, size_t size)
{
	struct interval interval;
	char text[FLOAT_TEXT_MAX];

	switch (v->kind) {
	case VALUE_INT:
		return print_int(type, v->i, buf, size);
	case VALUE_BOOL:
		return (size_t)snprintf(buf, size, v->i != 0 ? "t" : "f");
	case VALUE_FLOAT:
		(void)float_print(v->d, type == TYPE_REAL, text);
		return (size_t)snprintf(buf, size, "%s", text);
	case VALUE_DECIMAL:
	case VALUE_TEXT:
		return print_text(v, buf, size);
	case VALUE_BYTES:
		return print_bytes(type, v, buf, size);
	case VALUE_INET:
		return inet_print((const uint8_t *)v->s, buf, size);
	case VALUE_INTERVAL:
		interval_load(&interval, (const uint8_t *)v->s);
		return interval_print(&interval, buf, size);
	case VALUE_ARRAY:
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		break;
	}
	if (size > 0)
		buf[0] = '\0';
	return 0;
}
