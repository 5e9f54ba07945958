/*
 * decimal_text.c - canonical text: read from what others write, compared, hashed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/decimal_text.h"
#include "common/value.h"

struct number { /* a number as it is written: n digits, `point` of them before the point */
	bool negative;
	const char *digits; /* perhaps with one '.' among them */
	const char *dot;    /* NULL: none */
	long n, point;
	long first; /* index of the first digit that is not 0, n for zero */
};

static char
number_digit(const struct number *number, long i)
{
	if (i < 0 || i >= number->n)
		return '0';
	const char *at = number->digits + i;
	return number->dot != NULL && at >= number->dot ? at[1] : at[0];
}

/* Reads "e-12" from [at, end); the exponent is clamped, for a large one never fits anyway. */
static bool
number_exponent(const char *at, const char *end, long *exponent)
{
	bool negative = false;

	*exponent = 0;
	if (at == end)
		return true;
	if (*at != 'e' && *at != 'E')
		return false;
	at++;
	if (at < end && (*at == '-' || *at == '+'))
		negative = *at++ == '-';
	if (at == end)
		return false;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return false;
		if (*exponent < 100000000)
			*exponent = *exponent * 10 + (*at - '0');
	}
	if (negative)
		*exponent = -*exponent;
	return true;
}

static bool
number_read(struct number *number, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	long exponent;

	*number = (struct number){0};
	if (at < end && (*at == '-' || *at == '+'))
		number->negative = *at++ == '-';
	number->digits = at;
	while (at < end && (is_digit(*at) || (*at == '.' && number->dot == NULL))) {
		if (*at == '.')
			number->dot = at;
		else
			number->n++;
		at++;
	}
	if (number->n == 0 || !number_exponent(at, end, &exponent))
		return false;
	number->point = number->dot != NULL ? number->dot - number->digits : number->n;
	number->point += exponent;
	while (number->first < number->n && number_digit(number, number->first) == '0')
		number->first++;
	return true;
}

/* Class of a canonical text in PostgreSQL's order: -1, 1 and 2 are special. */
static int
decimal_class(const char *text, size_t len)
{
	char last = len > 0 ? text[len - 1] : '0';

	if (last == 'N')
		return 2;
	return last != 'y' ? 0 : text[0] == '-' ? -1 : 1;
}

bool
decimal_is_special(const char *text, size_t len)
{
	return decimal_class(text, len) != 0;
}

/* The special value that a text names; NULL: none. */
static const char *
special_read(const char *text, size_t len)
{
	bool minus = len > 0 && text[0] == '-';
	size_t sign = minus || (len > 0 && text[0] == '+');

	if (len == 3 && strncasecmp(text, "nan", 3) == 0)
		return "NaN";
	text += sign;
	len -= sign;
	if ((len == 3 && strncasecmp(text, "inf", 3) == 0) ||
	    (len == 8 && strncasecmp(text, "infinity", 8) == 0))
		return minus ? "-Infinity" : "Infinity";
	return NULL;
}

static size_t
special_canonical(const char *text, size_t len, char *buf, size_t size)
{
	const char *special = special_read(text, len);
	size_t need = special != NULL ? strlen(special) : 0;

	if (need == 0 || need > size)
		return 0;
	memcpy(buf, special, need);
	if (need < size)
		buf[need] = '\0';
	return need;
}

size_t
decimal_canonical(const char *text, size_t len, char *buf, size_t size)
{
	struct number number;

	if (len > INT32_MAX)
		return 0;
	if (!number_read(&number, text, len))
		return special_canonical(text, len, buf, size);
	bool zero = number.first == number.n;
	long whole = !zero && number.point > number.first ? number.point - number.first : 0;
	long scale = number.n > number.point ? number.n - number.point : 0;
	size_t need = (size_t)((number.negative && !zero) + (whole > 0 ? whole : 1) +
			       (scale > 0 ? scale + 1 : 0));
	if (whole + scale > DECIMAL_DIGITS_MAX || need > size)
		return 0;
	char *at = buf;
	if (number.negative && !zero)
		*at++ = '-';
	if (whole == 0)
		*at++ = '0';
	for (long i = 0; i < whole; i++)
		*at++ = number_digit(&number, number.first + i);
	if (scale > 0)
		*at++ = '.';
	for (long i = number.n - scale; i < number.n; i++)
		*at++ = number_digit(&number, i);
	if (need < size)
		*at = '\0';
	return need;
}

static int
fraction_compare(const struct parts *a, const struct parts *b)
{
	size_t common = a->fraction_len < b->fraction_len ? a->fraction_len : b->fraction_len;
	int order = common > 0 ? memcmp(a->fraction, b->fraction, common) : 0;

	for (size_t i = common; order == 0 && i < a->fraction_len; i++)
		order = a->fraction[i] != '0';
	for (size_t i = common; order == 0 && i < b->fraction_len; i++)
		order = -(b->fraction[i] != '0');
	return order;
}

int
decimal_compare(const char *atext, size_t alen, const char *btext, size_t blen)
{
	struct parts a = decimal_split(atext, alen), b = decimal_split(btext, blen);
	int aclass = decimal_class(atext, alen), bclass = decimal_class(btext, blen), order;

	if (aclass != 0 || bclass != 0)
		return (aclass > bclass) - (aclass < bclass);
	if (a.negative != b.negative)
		return a.negative ? -1 : 1;
	if (a.whole_len != b.whole_len)
		order = a.whole_len < b.whole_len ? -1 : 1;
	else
		order = memcmp(a.whole, b.whole, a.whole_len);
	if (order == 0)
		order = fraction_compare(&a, &b);
	return a.negative ? -order : order;
}

/* What the last digit of a number counts in a rank, by its scale. */
static const int64_t rank_units[DECIMAL_RANK_SCALE + 1] = {10000, 1000, 100, 10, 1};

int64_t
decimal_rank(const char *text, size_t len)
{
	const char *s = text, *end = text + len;
	bool negative = len > 0 && *s == '-';
	int64_t rank = 0, most = INT64_MAX - 2;
	unsigned digits = 0, scale;

	if (len <= DECIMAL_RANK_DIGITS && decimal_short(text, len, &rank, &scale) &&
	    scale <= DECIMAL_RANK_SCALE)
		return rank * rank_units[scale];
	rank = 0;
	if (decimal_is_special(text, len))
		return *s == 'N' ? INT64_MAX : negative ? INT64_MIN : INT64_MAX - 1;
	for (s += negative; s < end && *s != '.'; s++) {
		if (++digits > DECIMAL_RANK_DIGITS)
			return negative ? -most : most;
		rank = rank * 10 + (*s - '0');
	}
	s += s < end;
	for (int i = 0; i < DECIMAL_RANK_SCALE; i++)
		rank = rank * 10 + (s < end ? *s++ - '0' : 0);
	return negative ? -rank : rank;
}

bool
decimal_rank_is_special(int64_t rank)
{
	return rank == INT64_MAX || rank == INT64_MAX - 1 || rank == INT64_MIN;
}

size_t
decimal_of_rank(int64_t rank, int scale, char text[DECIMAL_RANK_MAX])
{
	char number[DECIMAL_INTEGER_MAX];
	size_t len;

	if (decimal_rank_is_special(rank)) {
		const char *word = rank == INT64_MAX ? "NaN" : rank < 0 ? "-Infinity" : "Infinity";
		len = strlen(word);
		memcpy(text, word, len);
		return len;
	}
	len = decimal_of_rank_sum(rank, scale, number);
	memcpy(text, number, len);
	return len;
}

size_t
decimal_of_rank_sum(decimal_integer sum, int scale, char text[DECIMAL_INTEGER_MAX])
{
	return decimal_of_integer(sum / rank_units[scale], scale, text);
}

bool
decimal_whole(const struct parts *parts, int64_t *out)
{
	uint64_t magnitude = 0, limit = (uint64_t)INT64_MAX + parts->negative;

	if (parts->whole_len > 19)
		return false;
	for (size_t i = 0; i < parts->whole_len; i++)
		magnitude = magnitude * 10 + (uint64_t)(parts->whole[i] - '0');
	if (magnitude > limit)
		return false;
	*out = parts->negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

uint64_t
decimal_hash(const char *text, size_t len, uint64_t seed)
{
	struct parts parts = decimal_split(text, len);
	struct value whole = {.kind = VALUE_INT};

	if (decimal_is_special(text, len))
		return value_hash_bytes(text, len, seed);
	while (parts.fraction_len > 0 && parts.fraction[parts.fraction_len - 1] == '0')
		parts.fraction_len--;
	if (parts.fraction_len > 0)
		return value_hash_bytes(text, (size_t)(parts.fraction - text) + parts.fraction_len,
					seed);
	if (decimal_whole(&parts, &whole.i))
		return value_hash(&whole, seed);
	return value_hash_bytes(text, (size_t)parts.negative + parts.whole_len, seed);
}

/* strtod() and strtof() are correctly rounded in glibc; going through double would round twice. */
static const char *
terminated(const char *text, size_t len, char buf[DECIMAL_TEXT_MAX + 1])
{
	if (len > DECIMAL_TEXT_MAX)
		len = DECIMAL_TEXT_MAX;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return buf;
}

double
decimal_to_double(const char *text, size_t len)
{
	char buf[DECIMAL_TEXT_MAX + 1];

	return strtod(terminated(text, len, buf), NULL);
}

float
decimal_to_float(const char *text, size_t len)
{
	char buf[DECIMAL_TEXT_MAX + 1];

	return strtof(terminated(text, len, buf), NULL);
}

bool
decimal_to_int(const char *text, size_t len, int scale, int64_t *out)
{
	char digits[DECIMAL_TEXT_MAX];
	struct parts parts = decimal_split(text, len);

	if (decimal_is_special(text, len) || parts.whole_len + (size_t)scale > sizeof(digits))
		return false;
	memcpy(digits, parts.whole, parts.whole_len);
	for (int i = 0; i < scale; i++)
		digits[parts.whole_len + (size_t)i] =
		    (size_t)i < parts.fraction_len ? parts.fraction[i] : '0';
	for (size_t i = (size_t)scale; i < parts.fraction_len; i++)
		if (parts.fraction[i] != '0')
			return false;
	parts.whole = digits;
	parts.whole_len += (size_t)scale;
	while (parts.whole_len > 1 && parts.whole[0] == '0') {
		parts.whole++;
		parts.whole_len--;
	}
	return decimal_whole(&parts, out);
}

/* Digits of both parts are counted, for later code trusts the limit. */
bool
decimal_is_canonical(const char *s, size_t len)
{
	size_t i = len > 0 && s[0] == '-', whole = i, zeros = 0;
	unsigned scale;
	int64_t small;

	if (decimal_short(s, len, &small, &scale))
		return true;
	const char *special = special_read(s, len);
	if (special != NULL)
		return strlen(special) == len && memcmp(special, s, len) == 0;
	for (; i < len && is_digit(s[i]); i++)
		zeros += s[i] == '0';
	if (i == whole || (s[whole] == '0' && i > whole + 1))
		return false;
	size_t digits = i - whole;
	if (i < len) {
		if (s[i] != '.' || ++i == len)
			return false;
		for (; i < len && is_digit(s[i]); i++, digits++)
			zeros += s[i] == '0';
	}
	return i == len && digits <= DECIMAL_DIGITS_MAX && !(s[0] == '-' && zeros == digits);
}

int
decimal_scale(const char *text, size_t len)
{
	return (int)decimal_split(text, len).fraction_len;
}
