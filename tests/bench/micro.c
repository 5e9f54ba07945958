/*
 * micro.c - runs the microbenchmarks of micro_parts.c and micro_chains.c.
 *
 *   bench-micro [--repeat N] [--divide N] [CASE...]
 *
 * For each case (default: all) a line with tabs between: name, unit, items of a repetition, then ns an
 * item: median, least, most of N repetitions (5). --divide: so many times fewer items.
 */
#include "tests/bench/micro.h"

#include <bsd/stdlib.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEAT_MAX 1000

static clockid_t clock_used;
static int64_t spent_ns;
static bool warming;

_Noreturn void
micro_die(const char *what)
{
	fprintf(stderr, "bench-micro: %s\n", what);
	exit(1);
}

static int64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(clock_used, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Never inlined: callgrind knows it by its name. */
__attribute__((noinline)) static void
micro_counted(void (*work)(void *), void *arg)
{
	work(arg);
}

void
micro_collect(void (*work)(void *), void *arg)
{
	if (warming) {
		work(arg);
		return;
	}
	int64_t from = now_ns();
	micro_counted(work, arg);
	spent_ns += now_ns() - from;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
run_case(const struct micro_case *c, unsigned repeat, unsigned divide)
{
	static double ns[REPEAT_MAX];
	unsigned count = c->count / divide > 0 ? c->count / divide : 1;

	clock_used = c->wall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
	c->open();
	warming = true;
	c->run(count);
	warming = false;
	for (unsigned i = 0; i < repeat; i++) {
		spent_ns = 0;
		c->run(count);
		ns[i] = (double)spent_ns / count;
	}
	c->close();
	qsort(ns, repeat, sizeof(*ns), compare);
	printf("%s\t%s\t%u\t%.1f\t%.1f\t%.1f\n", c->name, c->unit, count, ns[repeat / 2], ns[0],
	       ns[repeat - 1]);
	fflush(stdout);
}

static bool
wanted(const struct micro_case *c, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], c->name) == 0)
			return true;
	return count == 0;
}

static unsigned
number(const char *text)
{
	const char *error;
	long long n = strtonum(text, 1, REPEAT_MAX, &error);

	if (error != NULL)
		micro_die("a number from 1 to 1000 is needed");
	return (unsigned)n;
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
	    {"repeat", 1, NULL, 'r'}, {"divide", 1, NULL, 'd'}, {NULL, 0, NULL, 0}};
	const struct micro_case *const sets[] = {micro_parts, micro_chains};
	unsigned repeat = 5, divide = 1, found = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'r')
			repeat = number(optarg);
		else if (option == 'd')
			divide = number(optarg);
		else
			return 64;
	}
	for (unsigned s = 0; s < 2; s++)
		for (const struct micro_case *c = sets[s]; c->name != NULL; c++)
			if (wanted(c, argv + optind, argc - optind)) {
				run_case(c, repeat, divide);
				found++;
			}
	if (found == 0)
		micro_die("no such case");
	return 0;
}
