/*
 * reduce_core.c - what one event costs in the reduce stage, and what a row and a group weigh.
 *
 * Two pipelines of one table and one view, without any other process: the worked example (a
 * keyless table, one global sum), and sum, count, min and max in 1,000 groups over 100,000 rows
 * kept by key. Records go through a real ring; the clock is the CPU time of core_take() alone.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/stage.h"
#include "reduce/core.h"

#define ROWS   100000
#define GROUPS 1000
#define EVENTS 2000000
#define BURST  1000

struct bench {
	struct pipeline pipeline;
	struct server server;
	struct table table;
	struct column columns[3];
	unsigned key, group;
	struct view view;
	struct output outputs[5];
	struct ring_fds fds, out_fds;
	struct ring in, reader, out, sink;
	struct core *core;
	int64_t spent_ns;
	uint64_t batch;
};

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t
heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void
output_set(struct bench *b, enum output_kind kind, unsigned column)
{
	b->outputs[b->view.output_count++] = (struct output){
	    .name = (char[]){"output"},
	    .kind = kind,
	    .column = column,
	    .scale = -1,
	};
}

static void
bench_open(struct bench *b, bool keyed)
{
	static char names[] = "values", columns[3][8] = {"id", "part", "value"};

	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < 3; i++)
		b->columns[i] = (struct column){.name = columns[i], .scale = -1};
	b->server.name = b->table.name = b->table.topic = b->view.name = names;
	b->table.columns = keyed ? b->columns : &b->columns[2];
	b->table.column_count = keyed ? 3 : 1;
	b->table.key = &b->key;
	b->table.key_count = keyed;
	b->group = 1;
	b->view.group = &b->group;
	b->view.group_count = keyed;
	b->view.outputs = b->outputs;
	if (keyed) {
		output_set(b, OUTPUT_GROUP, 1);
		output_set(b, OUTPUT_COUNT_ROWS, 0);
		output_set(b, OUTPUT_MIN, 2);
		output_set(b, OUTPUT_MAX, 2);
	}
	output_set(b, OUTPUT_SUM, keyed ? 2 : 0);
	b->pipeline = (struct pipeline){
	    .ring_bytes = 4u << 20,
	    .servers = &b->server,
	    .server_count = 1,
	    .tables = &b->table,
	    .table_count = 1,
	    .views = &b->view,
	    .view_count = 1,
	};
	if (ring_create(&b->fds, 4u << 20) != 0 || ring_create(&b->out_fds, 4u << 20) != 0 ||
	    ring_attach(&b->in, &b->fds, RING_PRODUCER) != 0 ||
	    ring_attach(&b->reader, &b->fds, RING_CONSUMER) != 0 ||
	    ring_attach(&b->out, &b->out_fds, RING_PRODUCER) != 0 ||
	    ring_attach(&b->sink, &b->out_fds, RING_CONSUMER) != 0)
		exit(EXIT_INTERNAL);
	b->core = core_new(&b->pipeline);
}

static void
bench_close(struct bench *b)
{
	ring_detach(&b->in);
	ring_detach(&b->reader);
	ring_detach(&b->out);
	ring_detach(&b->sink);
	ring_close_fds(&b->fds);
	ring_close_fds(&b->out_fds);
	core_free(b->core);
}

static void
bench_put(struct bench *b, enum change_kind kind, const struct value *values)
{
	struct change change = {
	    .kind = kind,
	    .values = values,
	    .count = b->table.column_count,
	};

	if (batch_put_change(&b->in, &change) != 0)
		exit(EXIT_INTERNAL);
}

/* Absorb what is in the ring, then show it. */
static void
bench_absorb(struct bench *b, enum record_kind end)
{
	static const uint8_t nothing[1];
	struct ring_record record;

	if (batch_put_end(&b->in, end, 0, nothing, 0) != 0)
		exit(EXIT_INTERNAL);
	ring_commit(&b->in, NULL, 0);
	int64_t start = now_ns();
	while (ring_next(&b->reader, &record) > 0)
		if (core_take(b->core, 0, &record, 0) == CORE_CUT)
			(void)core_live(b->core, 0);
	b->spent_ns += now_ns() - start;
	ring_commit(&b->reader, NULL, 0);
	while (core_due(b->core, b->batch, 0))
		if (core_emit(b->core, &b->out, b->batch, 0) == CORE_FAILED)
			exit(EXIT_INTERNAL);
	ring_commit(&b->out, NULL, 0);
	while (ring_next(&b->sink, &record) > 0)
		continue;
	ring_commit(&b->sink, NULL, 0);
	b->batch = core_counters(b->core).batch;
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
		bench_put(&b, CHANGE_ADD, &value);
		if (i % BURST == BURST - 1)
			bench_absorb(&b, RECORD_END);
	}
	printf("global sum over a keyless table: %.0f ns an event\n", (double)b.spent_ns / EVENTS);
	bench_close(&b);
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
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		int64_t id = i < ROWS ? i : (int64_t)(random >> 33) % ROWS;
		struct value values[3] = {
		    {.kind = VALUE_INT, .i = id},
		    {.kind = VALUE_INT, .i = id % GROUPS},
		    {.kind = VALUE_INT, .i = (int64_t)(random >> 40) % 100000},
		};
		bench_put(&b, CHANGE_UPSERT, values);
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
	bench_close(&b);
}

int
main(void)
{
	bench_worked_example();
	bench_keyed();
	return 0;
}
