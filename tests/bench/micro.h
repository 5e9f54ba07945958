/*
 * micro.h - one part of the chain at a time, in a loop: what each item costs.
 *
 * A case makes its input outside of what is measured, and hands what is to be measured to
 * micro_collect(), which is also the function that callgrind is told to count in (micro.sh).
 */
#ifndef TESTS_BENCH_MICRO_H
#define TESTS_BENCH_MICRO_H

#include <stdbool.h>
#include <stdint.h>

struct micro_case {
	const char *name, *unit; /* what one item is */
	unsigned count;          /* items of one repetition */
	bool wall;               /* measured by the wall clock, for another process works too */
	void (*open)(void);
	void (*run)(unsigned count); /* once to warm up, then once for each repetition */
	void (*close)(void);
};

/* Calls work(arg), once; counts it unless the case is warming up. */
void micro_collect(void (*work)(void *), void *arg);

_Noreturn void micro_die(const char *what);

extern const struct micro_case micro_parts[], micro_chains[]; /* each ends with a name NULL */

#endif
