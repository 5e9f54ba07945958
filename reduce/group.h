/*
 * group.h - the groups of one view: GROUP BY key -> what the outputs are computed from.
 *
 * A view without GROUP BY has one group with an empty key, which is shown while it has rows. Each
 * group remembers the very bytes of its row as last shown, so that a retraction equals the
 * insertion before it. Groups that have changed since they were shown stand once on the touched
 * list, in the order of their first change.
 */
#ifndef GROUP_H
#define GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pipeline.h"

struct group;
struct groups;

struct groups *groups_new(const struct view *, const struct table *); /* borrows both */
void groups_free(struct groups *);
size_t groups_count(const struct groups *);

/* Add (diff 1) or take away (diff -1) one row of the table, if the view's WHERE holds for it. */
void groups_apply(struct groups *, const struct value *row, int diff);

/* The group touched first, or NULL. It stays first until groups_settle(). */
struct group *groups_touched(const struct groups *);

/*
 * The row of a group as it is now: packed in a buffer of `groups` that the next call uses again,
 * or an empty slice when it has no rows.
 * Returns NULL, or a heap sentence that the caller frees when a result is out of range.
 */
char *groups_render(struct groups *, const struct group *, const uint8_t **row, size_t *len);

/* The row as shown last; empty when none is. */
const uint8_t *group_shown(const struct group *, size_t *len);

/*
 * From now on `row` (what groups_render() gave) is what is shown of the first touched group, and
 * it is touched no more. Frees the group if nothing is left in it.
 */
void groups_settle(struct groups *, const uint8_t *row, size_t len);

/*
 * Replace the content of all groups by that of `fresh`, which is left empty. What is shown stays,
 * and every group of either side is touched.
 */
void groups_replace(struct groups *, struct groups *fresh);

#endif
