/*
 * fetch.h - lines of memory that are looked at soon, fetched into the processor's cache meanwhile.
 *
 * gcc 12 takes a loop or a function with nothing but __builtin_prefetch() for one that does nothing, and leaves it out:
 * hence the empty asm. An address may be anything, NULL too.
 */
#ifndef FETCH_H
#define FETCH_H

#include <stdint.h>

#define FETCH_LINE 64u /* bytes */

static inline void
fetch_line(const void *line)
{
	__builtin_prefetch(line);
	__asm__ volatile("" : : "r"(line));
}

/* The line of an address, and the ones behind it. */
static inline void
fetch_lines(const void *start, unsigned lines)
{
	for (unsigned i = 0; i < lines; i++)
		fetch_line((const void *)((uintptr_t)start + i * FETCH_LINE));
}

#endif
