/*
 * reduce_checkpoint.c - what checkpoints cost the reduce stage: its pause, bytes written against
 * bytes changed, bytes stored against the state, and how long a start takes to load it.
 *
 * A keyed table (default 5,000,000 rows, 50,000 of them changed between two checkpoints), summed
 * and counted in 1,000 groups. Parts go through a real ring and are kept like the target keeps them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/image.h"
#include "common/log.h"
#include "common/stage.h"
#include "tests/bench/reduce_bench.h"

#define GROUPS 1000
#define BURST  1000

struct part {
	uint64_t number;
	uint32_t part;
	uint8_t *bytes;
	size_t len;
};

struct bench {
	struct reduce_bench reduce;
	uint64_t random;
	int64_t now_ms;
	struct part *parts; /* what the target has */
	size_t count, room;
	uint64_t stored, most_stored, written, number, flipped;
	char *position;
	int64_t begun_us, pause_us; /* of the newest checkpoint */
	unsigned asked;
};

static int64_t
cpu_us(void)
{
	return bench_cpu_ns() / 1000;
}

/* The core asks before and after it copies. */
static int64_t
clock_us(void *arg)
{
	struct bench *b = arg;
	int64_t now = cpu_us();

	if (b->asked++ % 2 == 0)
		b->begun_us = now;
	else
		b->pause_us = now - b->begun_us;
	return now;
}

static void
bench_open(struct bench *b)
{
	const struct core_hooks hooks = {.clock_us = clock_us, .arg = b};
	struct reduce_bench *r = &b->reduce;

	reduce_bench_init(r, 4, true);
	r->columns[3].type = TYPE_TEXT;
	r->pipeline.checkpoint_interval_ms = 10000;
	reduce_bench_output(r, OUTPUT_GROUP, 1);
	reduce_bench_output(r, OUTPUT_COUNT_ROWS, 0);
	reduce_bench_output(r, OUTPUT_SUM, 2);
	reduce_bench_begin(r);
	core_set_hooks(r->core, &hooks);
}

static void
bench_close(struct bench *b)
{
	reduce_bench_end(&b->reduce);
	for (size_t i = 0; i < b->count; i++)
		free(b->parts[i].bytes);
	free(b->parts);
	free(b->position);
}

/* --- the target --- */

static void
target_part(struct bench *b, const struct checkpoint *c)
{
	if (b->count == b->room) {
		b->room = b->room > 0 ? b->room * 2 : 1024;
		b->parts = xreallocarray(b->parts, b->room, sizeof(*b->parts));
	}
	b->parts[b->count] = (struct part){
	    .number = c->number, .part = c->part, .bytes = xcalloc(1, c->len), .len = c->len};
	memcpy(b->parts[b->count++].bytes, c->data, c->len);
	b->stored += c->len;
	b->written += c->len;
	if (b->stored > b->most_stored)
		b->most_stored = b->stored;
}

static void
target_forget(struct bench *b, const struct checkpoint *c)
{
	size_t i = 0;

	while (b->parts[i].number != c->number || b->parts[i].part != c->part)
		i++;
	b->stored -= b->parts[i].len;
	free(b->parts[i].bytes);
	memmove(&b->parts[i], &b->parts[i + 1], (b->count - i - 1) * sizeof(*b->parts));
	b->count--;
}

static void
target_read(struct bench *b)
{
	struct ring_record record;
	struct checkpoint c;

	while (ring_next(&b->reduce.sink, &record) > 0) {
		if (record.kind != RECORD_CHECKPOINT || !batch_get_checkpoint(&record, &c))
			continue;
		if (c.step == CHECKPOINT_PART) {
			target_part(b, &c);
		} else if (c.step == CHECKPOINT_FORGET) {
			target_forget(b, &c);
		} else {
			free(b->position);
			b->position = xstrndup((const char *)c.data, c.len);
			b->number = c.number;
			b->flipped = c.batch;
		}
	}
	ring_commit(&b->reduce.sink, NULL, 0);
}

/* --- the source --- */

static void
bench_absorb(struct bench *b, enum record_kind end)
{
	struct reduce_bench *r = &b->reduce;
	struct ring_record record;

	reduce_bench_put_end(r, end);
	while (ring_next(&r->reader, &record) > 0) {
		enum core_result result = core_take(r->core, 0, &record, NULL, b->now_ms);
		if (result == CORE_FAILED ||
		    (result == CORE_CUT && core_live(r->core, r->batch) == CORE_FAILED))
			exit(EXIT_INTERNAL);
	}
	ring_commit(&r->reader, NULL, 0);
}

static void
bench_emit(struct bench *b)
{
	struct reduce_bench *r = &b->reduce;

	while (core_due(r->core, r->batch, b->now_ms)) {
		if (core_emit(r->core, &r->out, r->batch, b->now_ms) == CORE_FAILED)
			exit(EXIT_INTERNAL);
		ring_commit(&r->out, NULL, 0);
		target_read(b);
		r->batch = core_counters(r->core).batch;
	}
}

static void
bench_put(struct bench *b, int64_t id)
{
	char note[24];

	bench_random(&b->random);
	int len = snprintf(note, sizeof(note), "note %012" PRIu64, b->random % 1000000000000);
	struct value values[4] = {
	    {.kind = VALUE_INT, .i = id},
	    {.kind = VALUE_INT, .i = id % GROUPS},
	    {.kind = VALUE_INT, .i = (int64_t)(b->random >> 40) % 100000},
	    {.kind = VALUE_TEXT, .len = (uint32_t)len, .s = note},
	};

	reduce_bench_put(&b->reduce, CHANGE_UPSERT, values);
}

static void
bench_change(struct bench *b, long rows, long from, long count)
{
	for (long i = 0; i < count; i++) {
		int64_t id = from + i;
		if (from < 0)
			id = (int64_t)(b->random >> 20) % rows;
		bench_put(b, id);
		if (i % BURST == BURST - 1 || i == count - 1) {
			bench_absorb(b, RECORD_END);
			bench_emit(b);
		}
	}
}

static void
bench_load(struct bench *b)
{
	struct image_record record = {.kind = IMAGE_CHECKPOINT,
				      .number = b->number,
				      .batch = b->flipped,
				      .data = b->position,
				      .len = strlen(b->position)};
	struct image image;
	int fd = image_create();
	int64_t start;

	if (image_put(fd, &record) != 0)
		exit(EXIT_INTERNAL);
	for (size_t i = 0; i < b->count; i++) {
		record = (struct image_record){.kind = IMAGE_PART,
					       .number = b->parts[i].number,
					       .part = b->parts[i].part,
					       .data = b->parts[i].bytes,
					       .len = b->parts[i].len};
		if (image_put(fd, &record) != 0)
			exit(EXIT_INTERNAL);
	}
	core_free(b->reduce.core);
	b->reduce.core = core_new(&b->reduce.pipeline);
	start = cpu_us();
	if (image_seal(fd) != 0 || image_open(&image, fd) != 0 ||
	    core_load(b->reduce.core, &image) != CORE_OK || core_refusal(b->reduce.core) != NULL)
		exit(EXIT_INTERNAL);
	image_close(&image);
	close(fd);
	struct core_counters counters = core_counters(b->reduce.core);
	printf("loaded %" PRIu64 " rows and %" PRIu64 " groups in %" PRId64 " ms of CPU time\n",
	       counters.rows, counters.groups, (cpu_us() - start) / 1000);
}

int
main(int argc, char **argv)
{
	static struct bench b;
	long rows = argc > 1 ? strtol(argv[1], NULL, 10) : 5000000;
	long dirty = argc > 2 ? strtol(argv[2], NULL, 10) : 50000;
	long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 200;
	int64_t longest = 0, sum = 0;

	bench_open(&b);
	b.random = 1;
	bench_absorb(&b, RECORD_CUT);
	b.now_ms = 1;
	bench_change(&b, rows, 0, rows);
	b.now_ms += 10000;
	bench_emit(&b);
	bench_change(&b, rows, -1, 1); /* so that the whole state is stored at the start */
	struct core_counters counters = core_counters(b.reduce.core);
	uint64_t live = counters.live_bytes, written = b.written;
	printf("%ld rows, %.1f MB as a checkpoint, %.1f MB written by now; %ld changed each time\n",
	       rows, (double)live / 1e6, (double)written / 1e6, dirty);
	b.most_stored = b.stored;
	for (long round = 0; round < rounds; round++) {
		bench_change(&b, rows, -1, dirty);
		b.now_ms += 10000;
		bench_emit(&b);
		longest = b.pause_us > longest ? b.pause_us : longest;
		sum += b.pause_us;
	}
	written = b.written - written;
	double changed = (double)live / (double)rows * (double)dirty * (double)rounds;
	printf("%ld checkpoints: the longest pause %.1f ms, on average %.1f ms of CPU time, all of "
	       "the copying included\n",
	       rounds, (double)longest / 1e3, (double)sum / 1e3 / (double)rounds);
	printf("written %.1f MB, changed %.1f MB: %.2f times; stored at most %.2f times the state, "
	       "%.2f times now\n",
	       (double)written / 1e6, changed / 1e6, (double)written / changed,
	       (double)b.most_stored / (double)live, (double)b.stored / (double)live);
	bench_load(&b);
	bench_close(&b);
	return 0;
}
