/*
 * counts.h - the values of one column in one group, where value_rank() tells them whole: a multiset of ranks, and
 * changes of it that wait.
 *
 * A large multiset lies anywhere in memory, and to change one count of it takes more time than all else that is done
 * for a row. So its changes are written in a row, and made together, in ascending order, when there are some for each of its
 * pages: a page is then read once for several (the idea of Arge's buffer tree, 1995). The least and the greatest rank are
 * known without that, as long as nothing that waits takes away at that rank or beyond it.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "reduce/multiset.h"

/* All zero: empty. Where changes wait, an odd number: one more than the address of what has them and the multiset. */
struct counts {
	union {
		struct multiset set; /* small: nothing waits */
		uintptr_t waiting;
	};
};

/* Add to the count of a rank, which may be negative meanwhile. */
void counts_add(struct counts *, int64_t rank, int64_t diff);

/* The least rank with a positive count, or the greatest; false: there is none. */
bool counts_extreme(struct counts *, bool last, int64_t *rank);

/* Whether all counts are 0. */
bool counts_are_none(struct counts *);

void counts_clear(struct counts *);

/*
 * Let what counts_add() will look at come into the processor's cache: first what counts_fetch() looks at itself, and that
 * when it has come.
 */
void counts_fetch_first(const struct counts *);
void counts_fetch(const struct counts *);

#endif
