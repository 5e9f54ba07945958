/*
 * lookout.h - reads ahead of what is absorbed, so that rows are in the cache when their turn comes: rows lie
 * anywhere in memory, and a ring says early which ones are next.
 */
#ifndef LOOKOUT_H
#define LOOKOUT_H

#include "common/ring.h"
#include "reduce/core.h"

#define LOOKOUT_FAR  8 /* records from there to here: their buckets are being fetched */
#define LOOKOUT_NEAR 4 /* and their rows */
#define LOOKOUT_NEXT 2 /* and those that share a bucket with another that comes first */

struct lookout {
	struct core *core; /* NULL: no table keeps rows, there is nothing to fetch */
	unsigned input;
	struct ring ring; /* with a position of its own, of which nobody else knows */
	struct core_hint hint[LOOKOUT_FAR];
	unsigned taken, seen; /* records */
};

/* From here on, of this consumer's end of a ring. Good until its next ring_commit() or ring_rewind(). */
void lookout_begin(struct lookout *, struct core *, unsigned input, const struct ring *);

/* The next record of the ring is about to be taken: what is known of it, for core_take(), or NULL. */
const struct core_hint *lookout_advance(struct lookout *);

#endif
