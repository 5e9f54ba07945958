#include "common/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/decimal.h"
#include "common/pack.h"

#define EXT_UNCHANGED 1 /* msgpack extension type: a column that Debezium did not send */

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)

__extension__ typedef unsigned __int128 uint128;

const char *
type_name(enum type type)
{
	switch (type) {
	case TYPE_INTEGER:
		return "integer";
	case TYPE_BIGINT:
		return "bigint";
	case TYPE_NUMERIC:
		return "numeric";
	case TYPE_TEXT:
		return "text";
	case TYPE_BOOLEAN:
		return "boolean";
	case TYPE_TIMESTAMP:
		return "timestamp without time zone";
	case TYPE_TIMESTAMPTZ:
		return "timestamp with time zone";
	}
	return "unknown";
}

bool
type_is_number(enum type type)
{
	return type == TYPE_INTEGER || type == TYPE_BIGINT || type == TYPE_NUMERIC;
}

static int
value_compare_text(const struct value *a, const struct value *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	int order = common > 0 ? memcmp(a->s, b->s, common) : 0;

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* An integer as decimal text in buf (at least 24 bytes); a decimal as it is. */
static struct value
value_as_decimal(const struct value *v, char *buf, size_t size)
{
	if (v->kind == VALUE_DECIMAL)
		return *v;
	int len = snprintf(buf, size, "%" PRId64, v->i);
	return (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = buf};
}

int
value_compare(const struct value *a, const struct value *b)
{
	char abuf[24], bbuf[24];

	if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT)
		return value_compare_text(a, b);
	if (a->kind != VALUE_DECIMAL && b->kind != VALUE_DECIMAL)
		return (a->i > b->i) - (a->i < b->i);
	struct value x = value_as_decimal(a, abuf, sizeof(abuf));
	struct value y = value_as_decimal(b, bbuf, sizeof(bbuf));
	return decimal_compare(x.s, x.len, y.s, y.len);
}

static uint64_t
hash_mix(uint64_t a, uint64_t b)
{
	uint128 product = (uint128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash_word(uint64_t word, uint64_t seed)
{
	return hash_mix(seed ^ word ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db));
}

uint64_t
value_hash_bytes(const void *bytes, size_t len, uint64_t seed)
{
	const uint8_t *at = bytes;
	size_t left = len;
	uint64_t word, hash = seed;

	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = hash_word(word, hash);
	}
	word = 0;
	if (left > 0)
		memcpy(&word, at, left);
	hash = hash_word(word, hash);
	return hash_mix(hash ^ len, UINT64_C(0x8ebc6af09c88c6e3));
}

uint64_t
value_hash(const struct value *v, uint64_t seed)
{
	switch (v->kind) {
	case VALUE_INT:
	case VALUE_BOOL:
		return hash_mix(hash_word((uint64_t)v->i, seed), UINT64_C(0x589965cc75374cc3));
	case VALUE_DECIMAL:
		return decimal_hash(v->s, v->len, seed);
	case VALUE_TEXT:
		return value_hash_bytes(v->s, v->len, seed);
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		break;
	}
	return hash_word((uint64_t)v->kind + 1, ~seed);
}

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

/* Days since 1970-01-01 of the proleptic Gregorian calendar; year 0 is 1 BC. */
static int64_t
days_from_civil(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void
civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
	int64_t shifted = (5 * of_year + 2) / 153; /* months since March */

	*day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
	*month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	*year = years + era * 400 + (*month <= 2);
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
	if (!scan_digits(s, 4, 6, &year) || !scan_char(s, '-') || !scan_digits(s, 1, 2, &month) ||
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
	*days = days_from_civil(year, (int)month, (int)day);
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
parse_timestamp(enum type type, const char *text, size_t len, struct value *v)
{
	struct scan s = {.at = text, .end = text + len};
	int64_t days, us = 0, zone = 0;

	v->kind = VALUE_INT;
	v->len = 0;
	if (text_is(text, len, "infinity") || text_is(text, len, "+infinity")) {
		v->i = INT64_MAX;
		return true;
	}
	if (text_is(text, len, "-infinity")) {
		v->i = INT64_MIN;
		return true;
	}
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

bool
value_parse(enum type type, const char *text, size_t len, char *buf, size_t size, struct value *v)
{
	if (type == TYPE_TEXT)
		return parse_text(text, len, buf, size, v);
	for (; len > 0 && is_space(text[0]); len--)
		text++;
	while (len > 0 && is_space(text[len - 1]))
		len--;
	switch (type) {
	case TYPE_INTEGER:
	case TYPE_BIGINT:
		return parse_int(type, text, len, v);
	case TYPE_NUMERIC:
		len = decimal_canonical(text, len, buf, size);
		*v = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = buf};
		return len > 0;
	case TYPE_BOOLEAN:
		return parse_bool(text, len, v);
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return parse_timestamp(type, text, len, v);
	case TYPE_TEXT:
		break;
	}
	return false;
}

static size_t
print_timestamp(enum type type, int64_t us, char *buf, size_t size)
{
	const char *zone = type == TYPE_TIMESTAMPTZ ? "+00" : "";
	char fraction[16] = "";
	int64_t year;
	int month, day;

	if (us == INT64_MAX || us == INT64_MIN)
		return (size_t)snprintf(buf, size, us > 0 ? "infinity" : "-infinity");
	int64_t days = us / DAY_US - (us % DAY_US < 0);
	int64_t rest = us % DAY_US + (us % DAY_US < 0 ? DAY_US : 0);
	civil_from_days(days, &year, &month, &day);
	const char *era = year <= 0 ? " BC" : "";
	if (rest % SECOND_US != 0) {
		(void)snprintf(fraction, sizeof(fraction), ".%06d", (int)(rest % SECOND_US));
		for (size_t n = 6; fraction[n] == '0'; n--)
			fraction[n] = '\0';
	}
	int seconds = (int)(rest / SECOND_US);
	return (size_t)snprintf(buf, size, "%04" PRId64 "-%02d-%02d %02d:%02d:%02d%s%s%s",
				year <= 0 ? 1 - year : year, month, day, seconds / 3600,
				seconds / 60 % 60, seconds % 60, fraction, zone, era);
}

size_t
value_print(enum type type, const struct value *v, char *buf, size_t size)
{
	switch (v->kind) {
	case VALUE_INT:
		if (type == TYPE_TIMESTAMP || type == TYPE_TIMESTAMPTZ)
			return print_timestamp(type, v->i, buf, size);
		return (size_t)snprintf(buf, size, "%" PRId64, v->i);
	case VALUE_BOOL:
		return (size_t)snprintf(buf, size, v->i != 0 ? "t" : "f");
	case VALUE_DECIMAL:
	case VALUE_TEXT:
		if (v->len < size) {
			memcpy(buf, v->s, v->len);
			buf[v->len] = '\0';
		}
		return v->len;
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		break;
	}
	if (size > 0)
		buf[0] = '\0';
	return 0;
}

void
value_pack(struct pack *pack, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		pack_nil(pack);
		break;
	case VALUE_INT:
		pack_int(pack, v->i);
		break;
	case VALUE_BOOL:
		pack_bool(pack, v->i != 0);
		break;
	case VALUE_DECIMAL:
	case VALUE_TEXT:
		pack_str(pack, v->s, v->len);
		break;
	case VALUE_UNCHANGED:
		pack_ext(pack, EXT_UNCHANGED, "", 1);
		break;
	}
}

/* Digits of both parts are counted, for later code trusts the limit. */
static bool
decimal_is_canonical(const char *s, uint32_t len)
{
	uint32_t i = len > 0 && s[0] == '-', whole = i, zeros = 0;

	for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		zeros += s[i] == '0';
	if (i == whole || (s[whole] == '0' && i > whole + 1))
		return false;
	uint32_t digits = i - whole;
	if (i < len) {
		if (s[i] != '.' || ++i == len)
			return false;
		for (; i < len && s[i] >= '0' && s[i] <= '9'; i++, digits++)
			zeros += s[i] == '0';
	}
	return i == len && digits <= DECIMAL_DIGITS_MAX && !(s[0] == '-' && zeros == digits);
}

static void
unpack_string(struct unpack *unpack, enum type type, struct value *v)
{
	v->kind = type == TYPE_TEXT ? VALUE_TEXT : VALUE_DECIMAL;
	v->s = unpack_str(unpack, &v->len);
	if (!unpack->bad && type == TYPE_NUMERIC && !decimal_is_canonical(v->s, v->len))
		unpack->bad = true;
}

static void
unpack_unchanged(struct unpack *unpack, struct value *v)
{
	int8_t type = 0;
	uint32_t len;

	(void)unpack_ext(unpack, &type, &len);
	if (type != EXT_UNCHANGED)
		unpack->bad = true;
	v->kind = VALUE_UNCHANGED;
}

void
value_unpack(struct unpack *unpack, enum type type, struct value *v)
{
	enum unpack_kind kind = unpack_peek(unpack);

	*v = (struct value){.kind = VALUE_NULL};
	if (kind == UNPACK_NIL) {
		(void)unpack_nil(unpack);
	} else if (kind == UNPACK_EXT) {
		unpack_unchanged(unpack, v);
	} else if (type == TYPE_TEXT || type == TYPE_NUMERIC) {
		unpack_string(unpack, type, v);
	} else if (type == TYPE_BOOLEAN) {
		v->kind = VALUE_BOOL;
		v->i = unpack_bool(unpack);
	} else {
		v->kind = VALUE_INT;
		v->i = unpack_int(unpack);
		if (type == TYPE_INTEGER && (v->i < INT32_MIN || v->i > INT32_MAX))
			unpack->bad = true;
	}
	if (unpack->bad)
		*v = (struct value){.kind = VALUE_NULL};
}
