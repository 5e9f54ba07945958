/*
 * store.h - the checkpoint records of one batch: parts stored, parts forgotten, the flip.
 *
 * All of it is in the transaction of the batch that it stands beside. The flip itself is a part of
 * the compare-and-set (commit.c), which matches no row unless all parts are there. Calls return 0,
 * or -1 when the connection is to be opened anew.
 */
#ifndef EGRESS_STORE_H
#define EGRESS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checkpoint;
struct stream;
struct target;
struct store;

#define STORE_INTO "tallyd.checkpoint (pipeline, number, part, data)" /* of the stream of parts */

/* Borrows the target. */
struct store *store_new(struct target *);
void store_free(struct store *);

/* A new batch, or the same one from its first record on. */
void store_begin(struct store *);

/* PART: one row more into the stream, which is open on STORE_INTO. */
void store_put(struct store *, struct stream *, const struct checkpoint *);

/* FORGET and FLIP are noted. False: malformed. */
bool store_note(struct store *, const struct checkpoint *);

/* Delete what is to be forgotten. */
int store_forget(struct store *);

struct store_flip { /* what a flip says, as text for parameters */
	char number[24], batch[24], parts[24];
	const void *position;
	size_t position_len;
};

/* NULL when the batch has none. */
const struct store_flip *store_flip(const struct store *);

/*
 * The compare-and-set of a flip matched no row, the transaction is rolled back, and the row is as
 * it should be: ends the process if parts of it are missing.
 */
int store_check_parts(struct store *);

#endif
