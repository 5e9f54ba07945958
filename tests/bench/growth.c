/*
 * growth.c - whether costs grow with what is kept, or only with what is done.
 *
 *   bench-growth event ROWS GROUPS EVENTS      CPU time of an event, through the code of all stages
 *   bench-growth commit GROUPS TOUCHED         CPU time of reduce to emit a batch of TOUCHED groups
 *   bench-growth checkpoint ROWS DIRTY         CPU time of reduce to make a checkpoint
 *
 * Of a keyed table of ROWS rows (commit: two in each group), with count, sum, min and max in GROUPS groups.
 * Prints one line, with tabs between:
 *   event       rows, groups that there are, ns of an event: in ingest, in reduce, both; µs of a
 *               changed group when its batch is emitted and encoded
 *   commit      groups that there are, groups touched, µs of a batch
 *   checkpoint  rows, changed rows, ms of a checkpoint, ms of its pause, KB written
 * Medians; of checkpoints the mean, for what is written beside the changes comes in turns.
 */
#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/stage.h"
#include "reduce/lookout.h"
#include "tests/bench/chain.h"
#include "tests/bench/messages.h"
#include "tests/bench/reduce_bench.h"

#define FILL              10000 /* messages made at a time */
#define BATCH             20000 /* events in a measured batch */
#define BATCHES           64    /* at most */
#define COMMITS           21
#define COMMITS_MAX       401 /* of a few groups, for a slow millisecond is nobody's median then */
#define COMMITS_GROUPS    200000
#define BURST             1000
#define CHECKPOINTS       16
#define CHECKPOINT_GROUPS 1000
#define CHECKPOINT_MS     10000

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "bench-growth: %s\n", what);
	exit(1);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *list, unsigned count)
{
	qsort(list, count, sizeof(*list), compare);
	return list[count / 2];
}

/* ---- an event ------------------------------------------------------------------------------ */

static void
take(struct chain *c, struct messages *m, uint64_t count, bool batch)
{
	while (count > 0) {
		unsigned now = count > FILL ? FILL : (unsigned)count;
		chain_take(c, messages_make(m, now), now);
		count -= now;
	}
	if (batch)
		chain_batch(c);
}

static void
event(unsigned rows, unsigned groups, unsigned events)
{
	static double ingest[BATCHES], reduce[BATCHES], both[BATCHES], shown[BATCHES];
	static struct chain c;
	const struct messages_plan plan = {
	    .orders = true, .keys = rows, .groups = groups, .per_transaction = 10};
	struct messages *m = messages_new(&plan);
	unsigned batches = events / BATCH;

	batches = batches < 1 ? 1 : batches > BATCHES ? BATCHES : batches;
	chain_open(&c, chain_orders_sql);
	take(&c, m, rows, true);
	take(&c, m, BATCH, true);
	for (unsigned i = 0; i < batches; i++) {
		uint64_t before = c.rows;
		memset(c.spent_ns, 0, sizeof(c.spent_ns));
		take(&c, m, BATCH, true);
		ingest[i] = (double)c.spent_ns[CHAIN_INGEST] / BATCH;
		reduce[i] = (double)c.spent_ns[CHAIN_REDUCE] / BATCH;
		both[i] = ingest[i] + reduce[i];
		shown[i] = (double)(c.spent_ns[CHAIN_EMIT] + c.spent_ns[CHAIN_ENCODE]) * 2 /
			   (double)(c.rows - before) / 1e3;
	}
	struct core_counters counters = core_counters(c.core);
	printf("%" PRIu64 "\t%" PRIu64 "\t%.0f\t%.0f\t%.0f\t%.3f\n", counters.rows, counters.groups,
	       median(ingest, batches), median(reduce, batches), median(both, batches),
	       median(shown, batches));
	chain_close(&c);
	messages_free(m);
}

/* ---- reduce alone -------------------------------------------------------------------------- */

static struct reduce_bench bench;
static int64_t now_ms, begun_ns, pause_ns;
static uint64_t chance = 1, written;
static unsigned asked;

/* The core asks before and after it copies. */
static int64_t
clock_us(void *arg)
{
	int64_t now = bench_cpu_ns();

	(void)arg;
	if (asked++ % 2 == 0)
		begun_ns = now;
	else
		pause_ns += now - begun_ns;
	return now / 1000;
}

static void
absorb(enum record_kind end)
{
	struct ring_record record;

	const struct core_hint *hint;
	struct lookout lookout;

	reduce_bench_put_end(&bench, end);
	lookout_begin(&lookout, bench.core, 0, &bench.reader);
	for (hint = lookout_advance(&lookout); ring_next(&bench.reader, &record) > 0;
	     hint = lookout_advance(&lookout)) {
		enum core_result result = core_take(bench.core, 0, &record, hint, now_ms);
		if (result == CORE_FAILED ||
		    (result == CORE_CUT && core_live(bench.core, 0) == CORE_FAILED))
			die("reduce has failed");
	}
	ring_commit(&bench.reader, NULL, 0);
}

/* Read on what was emitted: all is acknowledged at once. */
static void
drain(void)
{
	struct ring_record record;
	struct checkpoint part;

	ring_commit(&bench.out, NULL, 0);
	while (ring_next(&bench.sink, &record) > 0)
		if (record.kind == RECORD_CHECKPOINT && batch_get_checkpoint(&record, &part) &&
		    part.step == CHECKPOINT_PART)
			written += part.len;
	ring_commit(&bench.sink, NULL, 0);
	bench.batch = core_counters(bench.core).batch;
}

/* Returns the CPU time of the core alone, in ns. */
static int64_t
emit(void)
{
	int64_t spent = 0;

	while (core_due(bench.core, bench.batch, now_ms)) {
		int64_t from = bench_cpu_ns();
		if (core_emit(bench.core, &bench.out, bench.batch, now_ms) == CORE_FAILED)
			die("reduce has failed");
		spent += bench_cpu_ns() - from;
		drain();
	}
	return spent;
}

static void
put(uint64_t id, unsigned groups)
{
	bench_random(&chance);
	struct value values[3] = {
	    {.kind = VALUE_INT, .i = (int64_t)id},
	    {.kind = VALUE_INT, .i = (int64_t)(id % groups)},
	    {.kind = VALUE_INT, .i = (int64_t)(chance >> 40) % 100000},
	};

	reduce_bench_put(&bench, CHANGE_UPSERT, values);
}

/* `count` rows from the first on, or by chance. */
static void
change(uint64_t rows, unsigned groups, uint64_t count, bool in_turn)
{
	for (uint64_t i = 0; i < count; i++) {
		bench_random(&chance);
		put(in_turn ? i : (chance >> 20) % rows, groups);
		if (i % BURST == BURST - 1 || i == count - 1)
			absorb(RECORD_END);
	}
}

static void
begin(uint64_t rows, unsigned groups)
{
	const struct core_hooks hooks = {.clock_us = clock_us};

	reduce_bench_init(&bench, 3, true);
	bench.pipeline.checkpoint_interval_ms = CHECKPOINT_MS;
	reduce_bench_output(&bench, OUTPUT_GROUP, 1);
	reduce_bench_output(&bench, OUTPUT_COUNT_ROWS, 0);
	reduce_bench_output(&bench, OUTPUT_SUM, 2);
	reduce_bench_output(&bench, OUTPUT_MIN, 2);
	reduce_bench_output(&bench, OUTPUT_MAX, 2);
	reduce_bench_begin(&bench);
	core_set_hooks(bench.core, &hooks);
	absorb(RECORD_CUT);
	now_ms = 1;
	change(rows, groups, rows, true);
	(void)emit(); /* with the checkpoint of all of it */
}

static void
commit(unsigned groups, unsigned touched)
{
	static double us[COMMITS_MAX];
	unsigned commits = COMMITS_GROUPS / touched;

	commits = commits < COMMITS ? COMMITS : commits > COMMITS_MAX ? COMMITS_MAX : commits;
	begin(2 * (uint64_t)groups, groups);
	for (unsigned i = 0; i < commits; i++) {
		change(touched, groups, touched, true);
		us[i] = (double)emit() / 1e3;
	}
	printf("%" PRIu64 "\t%u\t%.1f\n", core_counters(bench.core).groups, touched,
	       median(us, commits));
	reduce_bench_end(&bench);
}

static void
checkpoint(unsigned rows, unsigned dirty)
{
	int64_t spent = 0;

	begin(rows, CHECKPOINT_GROUPS);
	pause_ns = 0;
	written = 0;
	for (unsigned i = 0; i < CHECKPOINTS; i++) {
		change(rows, CHECKPOINT_GROUPS, dirty, false);
		(void)emit();
		now_ms += CHECKPOINT_MS;
		spent += emit();
	}
	printf("%u\t%u\t%.2f\t%.2f\t%.0f\n", rows, dirty, (double)spent / CHECKPOINTS / 1e6,
	       (double)pause_ns / CHECKPOINTS / 1e6, (double)written / CHECKPOINTS / 1e3);
	reduce_bench_end(&bench);
}

int
main(int argc, char **argv)
{
	unsigned numbers[3] = {0};

	for (int i = 0; i < 3 && i + 2 < argc; i++) {
		const char *error;
		numbers[i] = (unsigned)strtonum(argv[i + 2], 1, 100000000, &error);
		if (error != NULL)
			die("a number is needed");
	}
	if (argc == 5 && strcmp(argv[1], "event") == 0)
		event(numbers[0], numbers[1], numbers[2]);
	else if (argc == 4 && strcmp(argv[1], "commit") == 0)
		commit(numbers[0], numbers[1]);
	else if (argc == 4 && strcmp(argv[1], "checkpoint") == 0)
		checkpoint(numbers[0], numbers[1]);
	else
		die("event ROWS GROUPS EVENTS | commit GROUPS TOUCHED | checkpoint ROWS "
		    "DIRTY");
	return 0;
}
