/*
 * commit.h - one batch into the target, in one transaction that also moves the pipeline's row.
 *
 * Two ways. A small batch is gathered in memory and becomes one statement: one round trip, and
 * the compare-and-set is a part of it. A large one, and one with letters or parts of a checkpoint, is
 * streamed: BEGIN, binary COPY for each view, for the letters and for the parts, compare-and-set,
 * COMMIT. In both the
 * compare-and-set fails, and with it the transaction, when the row is not as this writer left it
 * (I4).
 *
 * Calls return 0, or -1 when the connection is to be opened anew: what was said is said, and
 * nothing of the batch is known to be committed. They end the process when a value does not fit
 * (65), when a table refuses (65, 77, 78), or when another writer has taken over (EXIT_RECOVER).
 */
#ifndef EGRESS_COMMIT_H
#define EGRESS_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/batch.h"

struct target;
struct commit;

/* Borrows the target, whose tables must be filled. */
struct commit *commit_new(struct target *);
void commit_free(struct commit *);

/* The connection is a new one: what was prepared in the old one is gone. */
void commit_connected(struct commit *);

/*
 * Pass over batch `number`, which the target has: what is known of it stays. *filled: it has filled
 * or rebuilt views, whether its records still say so or not. Returns 0, or -1 as above.
 */
int commit_skip(struct commit *, uint64_t number, bool *filled);

/* Begin batch `number`; forgets what was gathered. `time_ms` is now, since 1970. */
void commit_begin(struct commit *, uint64_t number, int64_t time_ms);

/*
 * A VIEW record, before the rows. False: malformed, or not before them. must_stream: the batch has
 * said something that only a transaction of its own can do. fills: views are filled or rebuilt.
 */
bool commit_view(struct commit *, uint16_t view, enum view_step, uint64_t rows);
bool commit_must_stream(const struct commit *);
bool commit_fills(const struct commit *);
uint64_t commit_rebuilt(const struct commit *); /* rows */

/*
 * One row, as it stands in the ring; of a dropped view none is written. False when it is malformed:
 * a corrupt peer, do not go on. Gathering never waits; streaming, *result is -1 when the connection
 * is to be opened anew.
 */
bool commit_gather(struct commit *, uint16_t view, int diff, const uint8_t *row, size_t len);
bool commit_stream(struct commit *, uint16_t view, int diff, const uint8_t *row, size_t len,
		   int *result);

/*
 * A checkpoint record, after the rows of a batch that is streamed. As commit_stream(). flips: the
 * batch holds a FLIP.
 */
bool commit_checkpoint(struct commit *, const struct checkpoint *, int *result);
bool commit_flips(const struct commit *);

/*
 * A message for tallyd.dead_letter, behind the rows of a batch that is streamed. As commit_stream().
 */
bool commit_letter(struct commit *, const struct letter *, int *result);

/* Since commit_begin() or commit_stream_begin(). */
uint64_t commit_rows(const struct commit *);
uint64_t commit_letters(const struct commit *);

/* Stream from here on: opens the transaction; rows gathered are dropped, give them again. */
int commit_stream_begin(struct commit *);

/* Hand all that was streamed to the kernel: its room in the ring may be freed. */
int commit_stream_flush(struct commit *);

/* Commit what was gathered, or streamed. Moves target->batch and target->time. */
int commit_finish(struct commit *, const struct batch *);
bool commit_streams(const struct commit *); /* a transaction is open, for COPY */

/*
 * The batch is committed: compare the tables of views that it said were live. 0, or -1 as above;
 * ends the process (78) when one was edited.
 */
int commit_check(struct commit *);

/*
 * The mistake that tests/crash must find, only in a build for tests and with TALLYD_SPLIT_POSITION
 * set: every batch is streamed, and the position has a transaction of its own after the rows.
 */
#ifdef TALLYD_FAULTS
bool commit_splits(void);
#else
#define commit_splits() false
#endif

#endif
