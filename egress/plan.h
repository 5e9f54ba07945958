/*
 * plan.h - the views that the target knows (tallyd.view), against those of the pipeline file.
 */
#ifndef EGRESS_PLAN_H
#define EGRESS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "egress/inspect.h"

struct pipeline;
struct postgres;
struct stage;
struct view;

/*
 * False when two views have one table, by whatever names: reported at the place of the second.
 * Tables without an oid are passed over.
 */
bool plan_check_distinct(struct stage *, const struct target_table *);

/*
 * Compare, and set `known` of each table: its view has been committed. `batch` is the target's
 * durable one: once it has one, servers may neither change, come nor go, a position must be there,
 * and a view that is known must be what it was, unless it is to be rebuilt; views may come and go.
 * Before, anything goes. Reports each difference with what to do.
 */
enum inspect_result plan_check(struct stage *, struct postgres *, struct target_table *,
			       uint64_t batch);

/*
 * Before a view's first row: its table must be empty, or the view says what to do with rows that
 * are there. After plan_check(), for those that are not known. `change` false only looks (for
 * `check`); true truncates where asked to.
 */
enum inspect_result plan_clear(struct stage *, struct postgres *, const struct target_table *,
			       uint64_t batch, bool change);

/*
 * At a take-over, in its transaction: both of the above, and forget the views that the file has no
 * more. Before the first commit one that takes over `anew` also notes the file's views.
 */
enum inspect_result plan_settle(struct stage *, struct postgres *, struct target_table *,
				uint64_t batch, bool anew);

/*
 * Note a view with what it is now; `adopted` is "true" when its table had rows before, "false", or
 * NULL for not known; `filled` the batch that has all of its rows, NULL: none yet. Or delete it.
 * Returns 0, or -1: see the connection.
 */
int plan_note(struct stage *, struct postgres *, const struct view *, const struct target_table *,
	      const char *adopted, const char *filled);
int plan_drop(struct stage *, struct postgres *, const struct view *);

#endif
