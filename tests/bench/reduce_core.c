/*
 * reduce_core.c - what one event costs in the reduce stage, and what a row and a group weigh.
 *
 * Two pipelines of one table and one view, without any other process: the worked example (a
 * keyless table, one global sum), and sum, count, min and max in 1,000 groups over 100,000 rows
 * kept by key. Records go through a real ring; the clock is the CPU time of core_take() alone.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/stage.h"
#include "tests/bench/reduce_bench.h"

#define ROWS   100000
#define GROUPS 1000
#define EVENTS 2000000
#define BURST  1000

struct bench {
	struct reduce_bench reduce;
	int64_t spent_ns;
};

static size_t
heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void
bench_open(struct bench *b, bool keyed)
{
	struct reduce_bench *r = &b->reduce;

	reduce_bench_init(r, keyed ? 3 : 1, keyed);
	if (keyed) {
		reduce_bench_output(r, OUTPUT_GROUP, 1);
		reduce_bench_output(r, OUTPUT_COUNT_ROWS, 0);
		reduce_bench_output(r, OUTPUT_MIN, 2);
		reduce_bench_output(r, OUTPUT_MAX, 2);
	}
	reduce_bench_output(r, OUTPUT_SUM, keyed ? 2 : 0);
	reduce_bench_begin(r);
}

/* Absorb what is in the ring, then show it. */
static void
bench_absorb(struct bench *b, enum record_kind end)
{
	struct reduce_bench *r = &b->reduce;
	struct ring_record record;

	reduce_bench_put_end(r, end);
	int64_t start = bench_cpu_ns();
	while (ring_next(&r->reader, &record) > 0)
		if (core_take(r->core, 0, &record, NULL, 0) == CORE_CUT)
			(void)core_live(r->core, 0);
	b->spent_ns += bench_cpu_ns() - start;
	ring_commit(&r->reader, NULL, 0);
	while (core_due(r->core, r->batch, 0))
		if (core_emit(r->core, &r->out, r->batch, 0) == CORE_FAILED)
			exit(EXIT_INTERNAL);
	ring_commit(&r->out, NULL, 0);
	while (ring_next(&r->sink, &record) > 0)
		continue;
	ring_commit(&r->sink, NULL, 0);
	r->batch = core_counters(r->core).batch;
}

static void
bench_worked_example(void)
{
	static struct bench b;

	bench_open(&b, false);
	bench_absorb(&b, RECORD_CUT);
	b.spent_ns = 0;
	for (int i = 0; i < EVENTS; i++) {
		struct value value = {.kind = VALUE_INT, .i = i % 1000003};
		reduce_bench_put(&b.reduce, CHANGE_ADD, &value);
		if (i % BURST == BURST - 1)
			bench_absorb(&b, RECORD_END);
	}
	printf("global sum over a keyless table: %.0f ns an event\n", (double)b.spent_ns / EVENTS);
	reduce_bench_end(&b.reduce);
}

static void
bench_keyed(void)
{
	static struct bench b;
	size_t before, rows_bytes;
	uint64_t random = 1;

	bench_open(&b, true);
	bench_absorb(&b, RECORD_CUT);
	before = heap_bytes();
	b.spent_ns = 0;
	for (int i = 0; i < ROWS + EVENTS; i++) {
		bench_random(&random);
		int64_t id = i < ROWS ? i : (int64_t)(random >> 33) % ROWS;
		struct value values[3] = {
		    {.kind = VALUE_INT, .i = id},
		    {.kind = VALUE_INT, .i = id % GROUPS},
		    {.kind = VALUE_INT, .i = (int64_t)(random >> 40) % 100000},
		};
		reduce_bench_put(&b.reduce, CHANGE_UPSERT, values);
		if (i % BURST == BURST - 1)
			bench_absorb(&b, RECORD_END);
		if (i == ROWS - 1) {
			rows_bytes = heap_bytes() - before;
			printf(
			    "%d inserts into %d groups: %.0f ns each; %.0f heap bytes a row, its "
			    "own about 10, groups and multisets of min and max included\n",
			    ROWS, GROUPS, (double)b.spent_ns / ROWS, (double)rows_bytes / ROWS);
			b.spent_ns = 0;
		}
	}
	printf("%d updates of sum, count, min, max: %.0f ns each\n", EVENTS,
	       (double)b.spent_ns / EVENTS);
	reduce_bench_end(&b.reduce);
}

int
main(void)
{
	bench_worked_example();
	bench_keyed();
	return 0;
}
