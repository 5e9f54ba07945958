/*
 * decimal_text.c - canonical text: read from what others write, compared, hashed.
 */
#include <stdint.h>
#include <string.h>

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

size_t
decimal_canonical(const char *text, size_t len, char *buf, size_t size)
{
	struct number number;

	if (len > INT32_MAX || !number_read(&number, text, len))
		return 0;
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
	int order;

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

	while (parts.fraction_len > 0 && parts.fraction[parts.fraction_len - 1] == '0')
		parts.fraction_len--;
	if (parts.fraction_len > 0)
		return value_hash_bytes(text, (size_t)(parts.fraction - text) + parts.fraction_len,
					seed);
	if (decimal_whole(&parts, &whole.i))
		return value_hash(&whole, seed);
	return value_hash_bytes(text, (size_t)parts.negative + parts.whole_len, seed);
}

int
decimal_scale(const char *text, size_t len)
{
	return (int)decimal_split(text, len).fraction_len;
}
