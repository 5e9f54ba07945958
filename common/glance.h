/*
 * glance.h - JSON as most of it is written, read a word of eight bytes at a time: whole numbers of few
 * digits, and text without escapes in ASCII. Each function looks at bytes in [s, end) only, and takes no
 * more than json.c would take there: what it does not know, json.c is to look at.
 */
#ifndef GLANCE_H
#define GLANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BYTES(b) (0x0101010101010101u * (uint64_t)(b))

/* The word of eight bytes, the first in the lowest. */
static inline uint64_t
word_at(const char *s)
{
	uint64_t word;

	memcpy(&word, s, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* A bit in each byte that is b, and perhaps in bytes above one. */
static inline uint64_t
word_where(uint64_t word, unsigned char b)
{
	word ^= BYTES(b);
	return (word - BYTES(1)) & ~word & BYTES(0x80);
}

/* A bit in each byte that is no digit, 0x30 to 0x39. */
static inline uint64_t
word_others(uint64_t word)
{
	uint64_t digits = word ^ BYTES('0'); /* 0 to 9, and nothing else is */

	return (((digits & BYTES(0x7F)) + BYTES(0x76)) | digits) & BYTES(0x80);
}

/*
 * The number of eight digits, the first in the lowest byte: pairs, then fours, then all, each by one
 * multiplication (Daniel Lemire, "Quickly parsing eight digits", 2018).
 */
static inline uint64_t
word_number(uint64_t word)
{
	const uint64_t mask = 0x000000FF000000FF;

	word -= BYTES('0');
	word = word * 10 + (word >> 8);
	return ((word & mask) * 0x000F424000000064 + (word >> 16 & mask) * 0x0000271000000001) >>
	       32;
}

/* Behind the digits that begin at s. */
static inline const char *
digits_end(const char *s, const char *end)
{
	while (end - s >= 8) {
		uint64_t others = word_others(word_at(s));
		if (others != 0)
			return s + __builtin_ctzll(others) / 8;
		s += 8;
	}
	while (s < end && *s >= '0' && *s <= '9')
		s++;
	return s;
}

/* The number whose digits begin at s, and in *after where they end; of more than 19 it is of no use. */
static inline uint64_t
digits_number(const char *s, const char *end, const char **after)
{
	static const uint32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
	uint64_t n = 0;

	while (end - s >= 8) {
		uint64_t word = word_at(s), others = word_others(word);
		if (others == 0) {
			n = n * 100000000 + word_number(word);
			s += 8;
			continue;
		}
		unsigned digits = (unsigned)__builtin_ctzll(others) / 8;
		*after = s + digits;
		if (digits == 0)
			return n;
		/* Zeros before it make it eight. */
		word = word << 8 * (8 - digits) | BYTES('0') >> 8 * digits;
		return n * powers[digits] + word_number(word);
	}
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (unsigned)(*s - '0');
	*after = s;
	return n;
}

/* Whether a value may end before s. */
static inline bool
glance_ends(const char *s, const char *end)
{
	return s < end && (*s == ',' || (*s | 32) == '}');
}

/*
 * Behind the digits at s if there are `len` of them, 8 to 24, and a value ends there; or NULL. Where the
 * next value begins is so foretold by what the last message had here, and not found out.
 */
static inline const char *
glance_digits(const char *s, const char *end, size_t len)
{
	if (len < 8 || len > 24 || (size_t)(end - s) <= len || !glance_ends(s + len, end))
		return NULL;
	uint64_t others = word_others(word_at(s)) | word_others(word_at(s + len - 8));
	if (len > 16)
		others |= word_others(word_at(s + 8));
	return others == 0 ? s + len : NULL;
}

/* The whole number at s, of at most 18 digits and no zero before others; NULL: something else. */
static inline const char *
glance_number(const char *s, const char *end, uint64_t *n)
{
	const char *after;
	uint64_t number = digits_number(s, end, &after);
	size_t len = (size_t)(after - s);

	if (len == 0 || len > 18 || (*s == '0' && len > 1))
		return NULL;
	*n = number;
	return after;
}

/* The quote at or after s, before which there is only ASCII without escapes; NULL: there is more. */
static inline const char *
glance_text(const char *s, const char *end)
{
	for (; end - s >= 8; s += 8) {
		uint64_t word = word_at(s);
		uint64_t stop = word_where(word, '"') | word_where(word, '\\') |
				((word - BYTES(0x20)) & ~word & BYTES(0x80)) | (word & BYTES(0x80));
		if (stop == 0)
			continue;
		s += __builtin_ctzll(stop) / 8;
		return *s == '"' ? s : NULL;
	}
	return NULL;
}

/* The quote that ends the string in which s is, whatever it holds; NULL when it is not soon found. */
static inline const char *
glance_quote(const char *s, const char *end)
{
	while (end - s >= 9) { /* an escape takes a byte more */
		uint64_t word = word_at(s);
		uint64_t stop = word_where(word, '"') | word_where(word, '\\');
		if (stop == 0) {
			s += 8;
			continue;
		}
		s += __builtin_ctzll(stop) / 8;
		if (*s == '"')
			return s;
		s += 2;
	}
	return NULL;
}

#endif
