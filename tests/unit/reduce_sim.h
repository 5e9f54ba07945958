/*
 * reduce_sim.h - the core of the reduce stage between two random sources and a reader that checks
 * everything: rings, clock and acknowledgments are the test's.
 */
#ifndef REDUCE_SIM_H
#define REDUCE_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/batch.h"
#include "common/ring.h"
#include "reduce/core.h"
#include "tests/unit/reduce_model.h"

enum {
	SIM_SERVERS = 2,
	SIM_ROWS_MAX = 64,
	SIM_QUEUE = 64,
	SIM_EXPECTED = 4,
};

struct sim_state { /* of one server's table after a transaction */
	struct model_row rows[SIM_ROWS_MAX];
	unsigned count;
	int64_t next; /* offset: says which transaction it is */
};

struct sim_source { /* one ingest: writes transactions at random, record by record */
	struct ring ring;
	struct sim_state now, before;      /* before: the snapshot that is open */
	struct sim_state queue[SIM_QUEUE]; /* after each transaction that stands in the ring */
	unsigned head, tail;
	unsigned left; /* records of the open transaction */
	bool open, snapshot, cut;
	int64_t transactions, cut_after;
};

struct sim {
	struct pipeline *pipeline;
	struct core *core;
	struct sim_source source[SIM_SERVERS];
	struct ring in[SIM_SERVERS], out, reader;
	struct ring_fds in_fds[SIM_SERVERS], out_fds;
	struct sim_state committed[SIM_SERVERS];              /* what the core has absorbed whole */
	struct sim_state expected[SIM_EXPECTED][SIM_SERVERS]; /* at each batch, by its number */
	struct model_fold fold[2 * MODEL_SHAPES];
	struct model_random random;
	uint64_t seed, durable, read, rows, full;
	int64_t now_ms, closed_ms;
	bool clean_stop, closing; /* closing: no new transactions */
};

void reduce_sim_init(struct sim *, uint64_t seed);
void reduce_sim_fini(struct sim *);

void reduce_sim_put_change(struct ring *, unsigned table, enum change_kind, bool snapshot,
			   const struct value *, unsigned count);
void reduce_sim_put_end(struct ring *, enum record_kind, unsigned table, int64_t next);

/* The next offset of the only partition of a server in a batch's position. */
int64_t reduce_sim_position_next(const struct sim *, const struct batch *, unsigned server);

/*
 * Random transactions, snapshots, reads, acknowledgments and time, then a stop: each batch is held
 * against a recompute. durable > 0: after a replay. `whole`: the sources end their transactions.
 */
void reduce_sim_run(uint64_t seed, uint64_t durable, int64_t interval_ms, bool whole);

#endif
