/*
 * writer.h - what order decided, as records in the ring to reduce.
 *
 * Records become visible by writer_commit(), together with the resume token that stands for just
 * them: it is called only where order's state and the records agree, which is after order_done().
 * A record that finds no room commits what is there and waits for reduce.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/log.h"
#include "common/ring.h"
#include "common/stamps.h"
#include "ingest/order.h"

struct source;
struct stage;

struct writer {
	struct stage *stage;
	struct source *source;
	struct ring ring;
	bool behind;                /* the board says so */
	bool told_all;              /* an END or CUT of this life has carried the whole position */
	bool ended;                 /* an END was written that nothing at hand will follow soon */
	bool closes;                /* an END or CUT is among the records since the last commit */
	bool settling;              /* the commit that is due waits for an END that was put off */
	unsigned records;           /* since the last commit */
	unsigned unrested;          /* since the last writer_rest() */
	int64_t rested_ms;          /* when that was */
	int64_t moved_ms;           /* when the last one was that had records before it */
	int64_t committed_ms;       /* when the last commit was */
	uint64_t changes;           /* since the last commit */
	uint64_t skipped, letters;  /* bad messages, likewise */
	struct log_burst bad;       /* lines on them */
	int64_t source_ms;          /* of the newest event applied */
	int64_t since_ms;           /* the latency of older messages is not measured */
	struct stamps stamps;       /* of the events applied since the last END */
	struct order_counters told; /* to the board */
	uint64_t told_events, told_bytes;
	struct told_decoder {
		uint64_t schemas, by_form, by_scan;
	} * told_decoders;        /* one for each partition */
	uint8_t *token, *entries; /* RING_TOKEN_MAX bytes each */
};

/* Attach the producer's end. The token of a predecessor is copied to w->token. */
size_t writer_open(struct writer *, struct stage *);

/* Once the source is open: what it counted before this life was told by the life before. */
void writer_start(struct writer *, struct source *);

/* Give back what it holds, and its end of the ring. A stage need not: it ends with its process. */
void writer_close(struct writer *);

/*
 * Write what an action asks for, if anything. Blocks while the ring is full, and ends the process
 * when a record is larger than the ring takes.
 */
void writer_act(struct writer *, const struct order_action *);

/* After order_done(): count it, and commit when enough has gathered, or behind an END that nothing at hand follows. */
void writer_done(struct writer *);

/*
 * Between two turns of a loop that finds ever more to read: commit what is there, so that nothing waits for
 * longer than a millisecond (5 while ingest is behind, and a turn more where an END is owed), by the clock now_ms (monotonic).
 */
void writer_turn(struct writer *, int64_t now_ms);

/*
 * Before a sleep: nothing more is at hand. True: the logs have much more (source->backlog), which is on its
 * way; then this is writer_turn(). Else reduce gathers no more for a batch than it has, and all ENDs are
 * committed, but for one that is owed (order_settle()); a transaction that is not whole may stay out of sight.
 */
bool writer_rest(struct writer *, int64_t now_ms);

/* Make all that was written visible, and bring the board's counters up to it. */
void writer_commit(struct writer *);

#endif
