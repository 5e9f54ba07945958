/*
 * reduce_bench.h - the reduce stage without any other process, for what measures it: a core of one table
 * and one view between two real rings, whose other ends are the measurement's.
 */
#ifndef TESTS_BENCH_REDUCE_BENCH_H
#define TESTS_BENCH_REDUCE_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/batch.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/value.h"
#include "reduce/core.h"

struct reduce_bench {
	struct pipeline pipeline;
	struct server server;
	struct table table;
	struct column columns[4];
	unsigned key, group;
	struct view view;
	struct output outputs[5];
	struct ring_fds fds, out_fds;
	struct ring in, reader, out, sink; /* in and sink are ours */
	struct core *core;
	uint64_t batch; /* the newest that was emitted */
};

/*
 * A table of so many integer columns; `keyed`: its first one is the key, its second one the group of the
 * view, else it has neither. What is special may be set, and outputs added, until the core begins.
 */
void reduce_bench_init(struct reduce_bench *, unsigned columns, bool keyed);
void reduce_bench_output(struct reduce_bench *, enum output_kind, unsigned column);
void reduce_bench_begin(struct reduce_bench *);
void reduce_bench_end(struct reduce_bench *);

/* One change; and the end of what was put: the core may read it. They exit when the ring is full. */
void reduce_bench_put(struct reduce_bench *, enum change_kind, const struct value *);
void reduce_bench_put_end(struct reduce_bench *, enum record_kind);

/* CPU time: what else runs on the machine does not matter. */
int64_t bench_cpu_ns(void);

void bench_random(uint64_t *); /* the next number, in place of the last */

#endif
