/*
 * chain.h - the three stages' own code in one process and one thread, without any server: messages go
 * through decoder, order and writer into a real ring, from there through reduce's core into a
 * second one, and its batches are encoded as egress does for one statement.
 *
 * What is left out: librdkafka, libpq, the sleeping and waking between processes. CPU time is
 * counted for each step. Whatever fails ends the process.
 */
#ifndef TESTS_BENCH_CHAIN_H
#define TESTS_BENCH_CHAIN_H

#include <stdint.h>

#include "common/pipeline.h"
#include "common/ring.h"
#include "common/stage.h"
#include "egress/target.h"
#include "ingest/source.h"
#include "ingest/writer.h"
#include "tests/bench/chain_pipeline.h"

struct commit;
struct core;

enum chain_step {
	CHAIN_INGEST, /* decode, order, write */
	CHAIN_REDUCE, /* take from the ring, rows, groups */
	CHAIN_EMIT,   /* the rows of a batch */
	CHAIN_ENCODE, /* the same in PostgreSQL's binary form */
	CHAIN_STEPS,
};

struct chain {
	struct pipeline *pipeline;
	struct stage stage; /* as for `check`: what would end the stage says why */
	struct source source;
	struct writer writer;
	struct ring reader, out, sink;
	struct ring_fds out_fds;
	struct core *core;
	struct target target;
	struct commit *commit;
	int64_t now_ms, offset; /* of order; the next message's */
	uint64_t batch;         /* the newest that was emitted */
	uint64_t rows;          /* of views, encoded so far */
	int64_t spent_ns[CHAIN_STEPS];
};

/* One table, one partition, one view: see chain_pipeline.h. */
void chain_open(struct chain *, const char *sql);
void chain_close(struct chain *);

/* So many messages as far as reduce's state, CHAIN_BURST at a time. */
#define CHAIN_BURST 1000
void chain_take(struct chain *, const struct kafka_message *, unsigned count);

/* The end of the open transaction, then a batch of all that was touched. */
void chain_batch(struct chain *);

/* CPU time of this process: what else runs on the machine matters less. */
int64_t chain_cpu_ns(void);

#endif
