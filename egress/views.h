/*
 * views.h - the VIEW records of one batch: views that come, go, are rebuilt, or looked at.
 *
 * What changes tallyd.view is in the transaction of the batch. Calls return 0, or -1 when the
 * connection is to be opened anew.
 */
#ifndef EGRESS_VIEWS_H
#define EGRESS_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/batch.h"

struct target;
struct views;

/* Borrows the target, whose tables must be filled. */
struct views *views_new(struct target *);
void views_free(struct views *);

/* A new batch; the same one from its first record on: what was staged is gone. */
void views_begin(struct views *);
void views_restart(struct views *);

/* A record. False: malformed. What is said of a dropped view is passed over, but for DROP. */
bool views_take(struct views *, uint16_t view, enum view_step, uint64_t rows);

bool views_fill_any(const struct views *); /* some are filled or rebuilt */
bool views_write(const struct views *);    /* or dropped */

/* How many rows the rebuilds of this batch have written. */
uint64_t views_rebuilt(const struct views *);

/*
 * Has the batch at which the target stands filled or rebuilt a view? Asked when its records may
 * have left the ring.
 */
int views_filled(struct views *, bool *filled);

/*
 * A view that is rebuilt: its rows go into a temporary table, made by the first call. Returns the
 * table with its column list, for COPY (heap), NULL as -1 above. Any other view: its own table.
 */
char *views_into(struct views *, unsigned view);

/* In the transaction, all rows being there: write differences, and tallyd.view. */
int views_finish(struct views *, uint64_t time);

/*
 * After the commit: do the tables of the views that are LIVE fold to what is shown of them, but
 * for the rows of `time`, that commit's own? Ends the process (78) when one was edited. Looks at
 * small ones only, and for a bounded time.
 */
int views_check(struct views *, uint64_t time);

#endif
