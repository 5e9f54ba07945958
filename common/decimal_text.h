/*
 * decimal_text.h - the inside of decimals' canonical text, shared by decimal*.c only.
 */
#ifndef DECIMAL_TEXT_H
#define DECIMAL_TEXT_H

#include <string.h>

#include "common/decimal.h"
#include "common/glance.h"

struct parts { /* of a canonical text */
	bool negative;
	const char *whole, *fraction;
	size_t whole_len, fraction_len;
};

static inline struct parts
decimal_split(const char *text, size_t len)
{
	struct parts parts = {.negative = len > 0 && text[0] == '-'};

	if (parts.negative) {
		text++;
		len--;
	}
	const char *point = memchr(text, '.', len);
	parts.whole = text;
	parts.whole_len = point != NULL ? (size_t)(point - text) : len;
	if (point != NULL) {
		parts.fraction = point + 1;
		parts.fraction_len = len - parts.whole_len - 1;
	}
	return parts;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * A number of at most 18 digits, as most are: *digits * 10^-*scale. False when it is longer or special, or not
 * canonical.
 */
static inline bool
decimal_short(const char *text, size_t len, int64_t *digits, unsigned *scale)
{
	static const uint32_t powers[] = {1,      10,      100,      1000,      10000,
					  100000, 1000000, 10000000, 100000000, 1000000000};
	const char *end = text + len, *point, *last;
	bool negative = len > 0 && *text == '-';
	const char *s = text + negative;

	if (end - s > 19)
		return false;
	uint64_t n = digits_number(s, end, &point);
	if (point == s || (*s == '0' && point - s > 1) || point - s > 18)
		return false;
	*scale = 0;
	if (point < end) {
		uint64_t fraction = digits_number(point + 1, end, &last);
		*scale = (unsigned)(end - point - 1);
		if (*point != '.' || last != end || *scale - 1 > 8)
			return false;
		n = n * powers[*scale] + fraction;
	}
	*digits = negative ? -(int64_t)n : (int64_t)n;
	return n > 0 || !negative;
}

/*
 * Write digits * 10^-scale, without those zeros at its end that stand beyond `keep` digits after
 * the point. `digits` has no zero in front; zero itself has no digits. Returns as snprintf does.
 */
size_t decimal_place(bool negative, const char *digits, size_t n, size_t scale, size_t keep,
		     char *buf, size_t size);

/*
 * select_div_scale(): how many digits after the point PostgreSQL gives a / b, both unscaled digits
 * without zeros in front; `least` is the larger of their display scales.
 */
int decimal_quotient_scale(const char *a, size_t an, int a_scale, const char *b, size_t bn,
			   int b_scale, int least);

/* The part before the point as an integer; false when 64 bits do not hold it. */
bool decimal_whole(const struct parts *, int64_t *out);

#endif
