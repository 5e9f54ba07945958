/*
 * egress_rate.c - how many rows of views the real tallyd-egress commits in a second, fed through its ring as
 * fast as it takes them.
 *
 *   bench-egress PIPELINE ROWS ROWS_A_BATCH
 *
 * The pipeline has one view. As from reduce: for each group that a batch touches its last row as -1 and
 * the new one as +1, and no batch is begun while two are not acknowledged. Timed from the first row to
 * the acknowledgment of the last, after one batch to warm up. Prints, with tabs between: rows a second,
 * microseconds of CPU time of egress for a row. The harness of tests/egress stands in for the
 * supervisor: EGRESS, EGRESS_FOLDER.
 */
#include <bsd/stdlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/log.h"
#include "tests/bench/chain_pipeline.h"
#include "tests/egress/harness.h"

#define WAIT_MS   60000
#define OUTPUTS   16
#define DECIMALS  1000
#define TEXT_SIZE 16

static char decimals[DECIMALS][TEXT_SIZE];

static _Noreturn void
die(const struct harness *h, const char *what)
{
	fprintf(stderr, "bench-egress: %s; its log is %s\n", what, h->log);
	exit(1);
}

static double
seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct value
value_of(enum type type, uint64_t n)
{
	struct value v = {.kind = VALUE_INT, .i = (int64_t)(n % 1000003)};

	if (type == TYPE_NUMERIC) {
		v = (struct value){.kind = VALUE_DECIMAL, .s = decimals[n % DECIMALS]};
		v.len = (uint32_t)strlen(v.s);
	}
	return v;
}

/* The first output is the group. */
static void
put_row(struct harness *h, const struct view *v, int diff, uint64_t group, uint64_t state)
{
	struct value values[OUTPUTS];

	for (unsigned o = 0; o < v->output_count; o++)
		values[o] = value_of(v->outputs[o].type, o == 0 ? group : group * 7 + state + o);
	if (!harness_row(h, 0, diff, values, v->output_count))
		die(h, "egress has ended");
}

static void
put_batch(struct harness *h, const struct view *v, unsigned rows)
{
	uint64_t state = h->next;

	if (h->next > 2 && !harness_durable(h, h->next - 2, WAIT_MS))
		die(h, "a batch is not acknowledged");
	for (unsigned i = 0; i < rows / 2; i++) {
		put_row(h, v, -1, i, state);
		put_row(h, v, 1, i, state + 1);
	}
	if (!harness_end_batch(h))
		die(h, "egress has ended");
}

static unsigned
number(const char *text)
{
	const char *error;
	long long n = strtonum(text, 2, 1000000000, &error);

	if (error != NULL) {
		fprintf(stderr, "bench-egress: %s is %s\n", text, error);
		exit(64);
	}
	return (unsigned)n;
}

static double
measure(struct harness *h, const struct view *v, unsigned batches, unsigned rows)
{
	put_batch(h, v, rows);
	if (!harness_durable(h, 1, WAIT_MS))
		die(h, "the first batch is not acknowledged");
	double from = seconds();
	for (unsigned i = 0; i < batches; i++)
		put_batch(h, v, rows);
	if (!harness_durable(h, h->next - 1, WAIT_MS))
		die(h, "the last batch is not acknowledged");
	return seconds() - from;
}

int
main(int argc, char **argv)
{
	static struct harness h;
	struct rusage used;

	if (argc != 4) {
		fprintf(stderr, "usage: bench-egress PIPELINE ROWS ROWS_A_BATCH\n");
		return 64;
	}
	struct pipeline *p = chain_parse_file(argv[1]);
	unsigned rows = number(argv[3]), batches = number(argv[2]) / rows;
	batches = batches > 0 ? batches : 1;
	for (unsigned i = 0; i < DECIMALS; i++)
		snprintf(decimals[i], sizeof(decimals[i]), "%u.%02u", i * 7 + 1, i % 90 + 10);
	harness_open(&h, p);
	harness_start(&h, false, NULL);
	if (p->view_count != 1 || p->views[0].output_count > OUTPUTS ||
	    !harness_hear(&h, 'R', WAIT_MS))
		die(&h, "egress does not become ready");
	double took = measure(&h, &p->views[0], batches, rows);
	harness_stop(&h);
	if (harness_exit(&h, WAIT_MS) != 0 || getrusage(RUSAGE_CHILDREN, &used) != 0)
		die(&h, "egress does not end well");
	double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
		     (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
	printf("%.0f\t%.3f\n", (double)batches * rows / took, cpu / (double)(batches + 1) / rows);
	harness_close(&h);
	pipeline_free(p);
	return 0;
}
