/*
 * micro_parts.c - the ring, reduce's groups, and the encoder.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/stage.h"
#include "egress/encode.h"
#include "tests/bench/micro.h"
#include "tests/bench/reduce_bench.h"

#define RING_BYTES  (4u << 20)
#define RECORD      56  /* payload, about that of a CHANGE of four columns */
#define COMMIT      256 /* records, as ingest's writer does */
#define BURST       1000
#define KEYS        100000
#define GROUPS      1000
#define ENCODE_ROWS 1000

/* ---- ring ---------------------------------------------------------------------------------- */

static struct ring_fds fds;
static struct ring producer, consumer;

static void
ring_open(void)
{
	if (ring_create(&fds, RING_BYTES) != 0 || ring_attach(&producer, &fds, RING_PRODUCER) != 0)
		micro_die("the ring cannot be made");
}

static void
ring_end(void)
{
	ring_detach(&producer);
	ring_close_fds(&fds);
}

static void
sleep_at(struct ring *r, size_t room)
{
	if (ring_sleep(r, room)) {
		struct pollfd fd = {.fd = ring_fd(r), .events = POLLIN};
		(void)poll(&fd, 1, -1);
		ring_awake(r);
	}
}

static void
put_one(uint64_t i)
{
	uint8_t *room;

	while ((room = ring_reserve(&producer, RECORD)) == NULL) {
		if (errno != EAGAIN)
			micro_die("the ring refuses a record");
		ring_commit(&producer, NULL, 0);
		sleep_at(&producer, RING_BYTES / 4);
	}
	memset(room, (int)(i & 0xff), RECORD);
	ring_append(&producer, RECORD, 1, 0);
	if (i % COMMIT == COMMIT - 1)
		ring_commit(&producer, NULL, 0);
}

static uint64_t
take_all(void)
{
	struct ring_record record;
	uint64_t taken = 0, sum = 0;
	volatile uint64_t sink;

	while (ring_next(&consumer, &record) > 0) {
		sum += record.data[0] + record.data[record.len - 1];
		taken++;
	}
	sink = sum;
	(void)sink;
	ring_commit(&consumer, NULL, 0);
	return taken;
}

static _Noreturn void
consume(unsigned count)
{
	uint64_t taken = 0;

	while ((taken += take_all()) < count)
		sleep_at(&consumer, 0);
	_exit(0);
}

/* The producer's side, until the consumer has taken all. */
static void
through_ring(void *arg)
{
	unsigned count = *(unsigned *)arg;
	int status;

	for (unsigned i = 0; i < count; i++)
		put_one(i);
	ring_commit(&producer, NULL, 0);
	if (wait(&status) < 0 || status != 0)
		micro_die("the consumer has died");
}

/* As the stages are: two processes. */
static void
run_ring(unsigned count)
{
	if (ring_attach(&consumer, &fds, RING_CONSUMER) != 0)
		micro_die("the ring cannot be attached");
	pid_t pid = fork();
	if (pid < 0)
		micro_die("fork");
	if (pid == 0)
		consume(count);
	micro_collect(through_ring, &count);
	ring_detach(&consumer);
}

static void
both_sides(void *arg)
{
	unsigned count = *(unsigned *)arg;

	for (unsigned i = 0; i < count; i++) {
		put_one(i);
		if (i % COMMIT == COMMIT - 1)
			(void)take_all();
	}
	ring_commit(&producer, NULL, 0);
	(void)take_all();
}

/* Both sides in turn: what the instructions are, without any waiting. */
static void
run_ring_alone(unsigned count)
{
	if (ring_attach(&consumer, &fds, RING_CONSUMER) != 0)
		micro_die("the ring cannot be attached");
	micro_collect(both_sides, &count);
	ring_detach(&consumer);
}

/* ---- groups -------------------------------------------------------------------------------- */

static struct reduce_bench reduce;
static uint64_t chance;

static void
absorb(void *arg)
{
	struct ring_record record;

	(void)arg;
	while (ring_next(&reduce.reader, &record) > 0)
		if (core_take(reduce.core, 0, &record, NULL, 0) == CORE_CUT)
			(void)core_live(reduce.core, 0);
	ring_commit(&reduce.reader, NULL, 0);
}

/* A batch, so that the next events touch their groups anew. */
static void
emit(void)
{
	struct ring_record record;

	while (core_due(reduce.core, reduce.batch, 0)) {
		if (core_emit(reduce.core, &reduce.out, reduce.batch, 0) == CORE_FAILED)
			micro_die("reduce has failed");
		ring_commit(&reduce.out, NULL, 0);
		while (ring_next(&reduce.sink, &record) > 0)
			continue;
		ring_commit(&reduce.sink, NULL, 0);
		reduce.batch = core_counters(reduce.core).batch;
	}
}

static void
put_change(bool keyed, uint64_t i)
{
	bench_random(&chance);
	int64_t id = i < KEYS ? (int64_t)i : (int64_t)(chance >> 33) % KEYS;
	struct value values[3] = {
	    {.kind = VALUE_INT, .i = id},
	    {.kind = VALUE_INT, .i = id % GROUPS},
	    {.kind = VALUE_INT, .i = (int64_t)(chance >> 40) % 100000},
	};

	reduce_bench_put(&reduce, keyed ? CHANGE_UPSERT : CHANGE_ADD, keyed ? values : values + 2);
}

static void
begin(bool keyed)
{
	reduce_bench_init(&reduce, keyed ? 3 : 1, keyed);
	if (keyed) {
		reduce_bench_output(&reduce, OUTPUT_GROUP, 1);
		reduce_bench_output(&reduce, OUTPUT_COUNT_ROWS, 0);
		reduce_bench_output(&reduce, OUTPUT_MIN, 2);
		reduce_bench_output(&reduce, OUTPUT_MAX, 2);
	}
	reduce_bench_output(&reduce, OUTPUT_SUM, keyed ? 2 : 0);
	reduce_bench_begin(&reduce);
	reduce_bench_put_end(&reduce, RECORD_CUT);
	absorb(NULL);
	chance = 1;
	for (uint64_t i = 0; keyed && i < KEYS; i++) {
		put_change(true, i);
		if (i % BURST == BURST - 1) {
			reduce_bench_put_end(&reduce, RECORD_END);
			absorb(NULL);
		}
	}
	emit();
}

static void
groups_open(void)
{
	begin(false);
}

static void
rows_open(void)
{
	begin(true);
}

static void
run_changes(bool keyed, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		put_change(keyed, KEYS);
		if (i % BURST != BURST - 1)
			continue;
		reduce_bench_put_end(&reduce, RECORD_END);
		micro_collect(absorb, NULL);
		emit();
	}
}

static void
run_groups(unsigned count)
{
	run_changes(false, count);
}

static void
run_rows(unsigned count)
{
	run_changes(true, count);
}

static void
reduce_end(void)
{
	reduce_bench_end(&reduce);
}

/* ---- encoder ------------------------------------------------------------------------------- */

static struct encode_buffer buffer;

static void
encode_rows(void *arg)
{
	static const struct encode_column columns[] = {
	    {.type = ENCODE_INT4, .source = TYPE_INTEGER},
	    {.type = ENCODE_INT8, .source = TYPE_BIGINT},
	    {.type = ENCODE_INT8, .source = TYPE_BIGINT},
	    {.type = ENCODE_NUMERIC, .source = TYPE_NUMERIC},
	    {.type = ENCODE_NUMERIC, .source = TYPE_NUMERIC},
	};
	const struct value values[] = {
	    {.kind = VALUE_INT, .i = 4711},
	    {.kind = VALUE_INT, .i = 99},
	    {.kind = VALUE_INT, .i = 1234567},
	    {.kind = VALUE_DECIMAL, .len = 4, .s = "1.05"},
	    {.kind = VALUE_DECIMAL, .len = 6, .s = "987.65"},
	};
	unsigned count = *(unsigned *)arg;

	for (unsigned i = 0; i < count; i++) {
		if (i % ENCODE_ROWS == 0)
			encode_clear(&buffer);
		encode_int16(&buffer, 7);
		for (unsigned c = 0; c < 5; c++)
			if (encode_value(&buffer, &columns[c], &values[c]) != ENCODE_OK)
				micro_die("a value is not taken");
		encode_integer(&buffer, ENCODE_INT8, INT64_C(1700000000000) + i);
		encode_integer(&buffer, ENCODE_INT2, i % 2 == 0 ? -1 : 1);
	}
}

static void
nothing(void)
{
}

static void
run_encode(unsigned count)
{
	micro_collect(encode_rows, &count);
}

static void
encode_end(void)
{
	encode_free(&buffer);
}

const struct micro_case micro_parts[] = {
    {"ring", "record of 56 bytes, two processes", 2000000, true, ring_open, run_ring, ring_end},
    {"ring-alone", "record, both sides in turn", 2000000, false, ring_open, run_ring_alone,
     ring_end},
    {"group-keyless", "event into one sum", 500000, false, groups_open, run_groups, reduce_end},
    {"group-keyed", "update of a row and sum, count, min, max", 200000, false, rows_open, run_rows,
     reduce_end},
    {"encode", "row of 7 columns, two numeric", 500000, false, nothing, run_encode, encode_end},
    {.name = NULL},
};
