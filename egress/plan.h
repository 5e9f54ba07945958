/*
 * plan.h - the views that the target knows (tallyd.view), against those of the pipeline file.
 */
#ifndef EGRESS_PLAN_H
#define EGRESS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "egress/inspect.h"

struct postgres;
struct stage;

/*
 * False when two views have one table, by whatever names: reported at the place of the second.
 * Tables without an oid are passed over.
 */
bool plan_check_distinct(struct stage *, const struct target_table *);

/*
 * Compare. `batch` is the target's durable one: once it has one, views and servers may neither
 * change, come nor go, and a position must be there; before, anything goes. Reports each difference
 * with what to do. The name below which the views are kept is the pipeline's.
 */
enum inspect_result plan_check(struct stage *, struct postgres *, const struct target_table *,
			       uint64_t batch);

/*
 * Before anything is written: the tables must be empty, or the view says what to do with rows that
 * are there. `change` false only looks (for `check`); true truncates where asked to.
 */
enum inspect_result plan_clear(struct stage *, struct postgres *, const struct target_table *,
			       bool change);

/*
 * Before the first commit: note the file's views in place of any that an earlier start noted.
 * Returns 0, or -1: see the connection.
 */
int plan_register(struct stage *, struct postgres *, const struct target_table *);

#endif
