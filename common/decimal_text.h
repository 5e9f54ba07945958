/*
 * decimal_text.h - the inside of decimals' canonical text, shared by decimal*.c only.
 */
#ifndef DECIMAL_TEXT_H
#define DECIMAL_TEXT_H

#include <string.h>

#include "common/decimal.h"

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

/* The part before the point as an integer; false when 64 bits do not hold it. */
bool decimal_whole(const struct parts *, int64_t *out);

#endif
