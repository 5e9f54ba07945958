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
	SIM_EXPECTED = 4,
	SIM_VIEWS = 2 * MODEL_SHAPES,
};

struct sim_state { /* of one server's table after a transaction */
	struct model_row rows[SIM_ROWS_MAX];
	unsigned count;
	int64_t next; /* offset: says which transaction it is */
};

struct sim_record { /* of the log that ingest reads */
	uint8_t *bytes;
	size_t len;
	uint16_t kind;
};

struct sim_source {                  /* one table's history and its ingest */
	struct ring ring;            /* to the core */
	struct ring pen, log_reader; /* records are made here, then moved to the log */
	struct ring_fds pen_fds;
	struct sim_record *log;
	size_t log_count, log_room;
	struct sim_state *states; /* after each transaction in the log; [0]: before all */
	size_t state_count, state_room;
	struct sim_state now, before; /* before: the snapshot that is open */
	unsigned left;                /* records of the open transaction */
	bool open, snapshot;
	size_t fed;         /* records of the log that ingest has put into the ring */
	int64_t fed_ends;   /* transactions among them */
	int64_t absorbed;   /* transactions that the core has absorbed */
	bool fed_open, cut; /* ingest is in mid-transaction; has put its CUT, which it does ... */
	int64_t cut_after;  /* ... after so many transactions */
};

struct sim_part {
	uint64_t number;
	uint32_t part;
	uint8_t *bytes;
	size_t len;
	bool forgotten;
};

struct sim_effect { /* of a batch that is not durable yet */
	uint64_t batch;
	struct checkpoint record;
	uint8_t *bytes;
};

struct sim_target { /* what the fake target has stored */
	struct sim_part *parts;
	size_t count, room;
	struct sim_effect *effects;
	size_t effect_count, effect_room;
	uint64_t number, batch, begun; /* the newest checkpoint; parts of a newer one: begun */
	char *position;
	char *batch_position[SIM_EXPECTED]; /* at each batch, by its number */
	bool known[SIM_VIEWS];
	uint64_t known_batch[SIM_VIEWS];     /* since which batch */
	uint64_t part_bytes, flips, forgets; /* ever written */
};

struct sim {
	struct pipeline *pipeline;
	struct core *core;
	struct sim_source source[SIM_SERVERS];
	struct sim_target target;
	struct ring in[SIM_SERVERS], out, reader;
	struct ring_fds in_fds[SIM_SERVERS], out_fds;
	struct sim_state committed[SIM_SERVERS];              /* what the core has absorbed whole */
	struct sim_state expected[SIM_EXPECTED][SIM_SERVERS]; /* at each batch, by its number */
	struct model_fold fold[SIM_VIEWS];
	struct model_random random;
	uint64_t seed, durable, read, rows, full;
	uint64_t two; /* times that a batch was made while another was under way */
	uint64_t recoveries, loads, replayed, refusals;
	int64_t now_ms, closed_ms;
	bool behind; /* as ingest says it */
	bool finishing;
	bool clean_stop, closing; /* closing: no new transactions */
	bool damage;              /* stored parts are broken or lost now and then */
};

void reduce_sim_init(struct sim *, uint64_t seed);
void reduce_sim_fini(struct sim *);

/* The fake target: note a record that stands in a batch; it counts when the batch is committed. */
void reduce_sim_target_note(struct sim_target *, uint64_t batch, const struct checkpoint *);

/* Batches up to `durable` are committed; after a death the others are gone. */
void reduce_sim_target_commit(struct sim_target *, uint64_t durable, bool death);

/*
 * What a take-over deletes. A part is deleted when it was forgotten; here perhaps later, which must
 * not matter.
 */
void reduce_sim_target_sweep(struct sim *);
void reduce_sim_target_fini(struct sim_target *);

/* What a take-over hands to reduce. */
void reduce_sim_image_fill(const struct sim *, int fd);

void reduce_sim_put_change(struct ring *, unsigned table, enum change_kind, bool snapshot,
			   const struct value *, unsigned count);
void reduce_sim_put_end(struct ring *, enum record_kind, unsigned table, int64_t next);

/* The core takes what was put, up to where it wants another input first. */
void reduce_sim_take(struct sim *, unsigned input);

/* The next offset of the only partition of a server in a batch's position. */
int64_t reduce_sim_position_next(const struct sim *, const struct batch *, unsigned server);

/*
 * Everything dies: a new core loads what the target has stored at the durable batch, and ingest
 * reads from there.
 */
void reduce_sim_recover(struct sim *);

/*
 * Random transactions, snapshots, reads, acknowledgments and time, then a stop: each batch is held
 * against a recompute. durable > 0: after a replay. `whole`: the sources end their transactions.
 * `deaths`: now and then everything dies; a clean stop then leaves nothing to replay.
 */
void reduce_sim_run(uint64_t seed, uint64_t durable, int64_t interval_ms, bool whole, bool deaths);

#endif
