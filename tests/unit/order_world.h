/*
 * order_world.h - a source and a connector that is killed at random, invented from a seed: it sends
 * again from its last flush, tails that were not acknowledged are lost, runs of rows share one LSN,
 * transactions overlap. Old connectors (3.4) count anew when they resume inside a transaction.
 */
#ifndef ORDER_WORLD_H
#define ORDER_WORLD_H

#include "tests/unit/order_sim.h"

#define UNITS 600
#define LOGS  5

struct unit { /* what a connector sends, in its order */
	enum { UNIT_BEGIN, UNIT_EVENT, UNIT_END, UNIT_ROW } kind;
	unsigned txn, log, events;
	uint64_t sequence, lsn, commit;
	bool has_sequence, run_goes_on; /* the next event has the same LSN */
	int64_t order;
	enum snapshot_mark mark;
	bool applied;
};

struct world {
	struct unit units[UNITS];
	unsigned count, streaming; /* first unit after the snapshot */
	unsigned stale;            /* first unit of the life that counts */
	unsigned rows_end;         /* of a snapshot that is read once, whatever dies */
	bool rows_sent;
	size_t rows_kept[LOGS];
	unsigned txns, events[UNITS], left[UNITS], open, whole, newest;
	uint64_t lsn;
	bool old, final, ended;
	unsigned rows[LOGS], rows_expected[LOGS];
	uint64_t trace; /* hash of what was applied between ENDs, in any order */
	uint64_t between;
	uint64_t resumed; /* at: what this life takes for a commit, 0: it knows one */
	uint64_t seed;
	const struct world *replay_of;   /* until CUT */
	uint64_t read;                   /* the same of the open attempt */
	uint64_t ends, stop_at, applied; /* applied: hash of all that stands */
	struct partition_position at[LOGS];
	struct transaction_position at_tx;
	size_t seen_at[UNITS + 1][LOGS + 1]; /* lengths of all logs before a unit was sent */
};

enum snapshots { /* what a world has besides its first one */
		 SNAPSHOTS_NONE,
		 SNAPSHOTS_AGAIN,    /* one of a new life: nothing before it was ever flushed */
		 SNAPSHOTS_BLOCKING, /* one amid the stream: what is before it may be sent again */
};

/* The same world again for the same seed; what is random in its delivery is `s->random`. */
void world_make(struct world *, struct sim *, uint64_t seed, enum snapshots);

/* The same of at least so many units: from 60 to UNITS - 20. */
void world_make_of(struct world *, struct sim *, uint64_t seed, enum snapshots, unsigned units);

/* At the end of a run: all was applied, once. */
void world_check(struct world *, struct sim *, const struct order_action *last);

#endif
