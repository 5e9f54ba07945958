/*
 * scan.h - a cursor over a value's text, for the input functions of interval*.c and inet.c.
 */
#ifndef SCAN_H
#define SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct scan {
	const char *at, *end;
};

/* The next character, or NUL at the end: who uses it refuses texts that hold a NUL. */
static inline char
scan_next(const struct scan *scan)
{
	return scan->at < scan->end ? *scan->at : '\0';
}

static inline bool
scan_is_digit(const struct scan *scan)
{
	return scan_next(scan) >= '0' && scan_next(scan) <= '9';
}

/* Take the next character if it is this one. */
static inline bool
scan_take(struct scan *scan, char c)
{
	bool there = scan->at < scan->end && *scan->at == c;

	scan->at += there;
	return there;
}

/* Take digits, if any. */
static inline void
scan_digits(struct scan *scan)
{
	while (scan_is_digit(scan))
		scan->at++;
}

#endif
