/* tool.h - what the bench's programs have in common. */
#ifndef TESTS_BENCH_TOOL_H
#define TESTS_BENCH_TOOL_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* One line, and the end. */
_Noreturn static inline void
die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
	exit(1);
}

#endif
