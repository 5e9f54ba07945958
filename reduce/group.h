/*
 * group.h - the groups of one view: GROUP BY key -> what the outputs are computed from.
 *
 * A view without GROUP BY has one group with an empty key, which is shown while it has rows. Each
 * group remembers the very bytes of its row as last shown, so that a retraction equals the
 * insertion before it. Groups that have changed since they were shown stand once on the touched
 * list, in the order of their first change.
 *
 * The groups of a keyless table are state of their own and are stored in checkpoints; then they also
 * stand on a dirty list (mark.h) while they are not as stored. A section of a checkpoint is a
 * sequence of
 *     [key, [rows, count and sum of each argument...]]    a group
 *     [argument, value, count]...                         values of its multisets; 0: it is gone
 *     [key]                                               a group that is gone, with its values
 */
#ifndef GROUP_H
#define GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pipeline.h"

struct group;
struct groups;
struct part_sink;
struct segment_filter;

struct groups *groups_new(const struct view *, const struct table *); /* borrows both */
void groups_free(struct groups *);
size_t groups_count(const struct groups *);
size_t groups_shown_count(const struct groups *); /* rows that the target shows */
void groups_rebind(struct groups *, const struct view *, const struct table *);

/*
 * What the view computes from a row, to be given to groups_apply(): it borrows the row and `groups`,
 * until the next call. As in PostgreSQL its WHERE is evaluated first, and nothing is computed from
 * a row that it excludes. NULL when an evaluation fails, with a sentence in error[]: then the row
 * contributes nothing to this view, neither when it comes nor when it goes.
 */
const struct value *groups_compute(struct groups *, const struct value *row, char *error,
				   size_t error_size);

/*
 * Add (diff 1) or take away (diff -1) what groups_compute() has just given; does nothing when the
 * view's WHERE excluded it.
 */
void groups_apply(struct groups *, const struct value *computed, int diff);

/* Make the changes that groups_apply() has kept for later (pending.h), as showing their groups would. */
void groups_apply_pending(struct groups *);

/* The group touched first, or NULL. It stays first until groups_settle(). */
struct group *groups_touched(struct groups *);

/*
 * The row of a group as it is now: packed in a buffer of `groups` that the next call uses again,
 * or an empty slice when it has no rows.
 * Returns NULL, or a heap sentence that the caller frees when a result is out of range.
 */
char *groups_render(struct groups *, struct group *, const uint8_t **row, size_t *len);

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

/* --- checkpoints; keyless tables only --- */

size_t groups_dirty_count(const struct groups *);
size_t groups_dirty_bytes(const struct groups *); /* of the next delta, about */
size_t groups_live_bytes(const struct groups *);  /* of everything, about */

/* Write the dirty list, or all of a segment; or only forget the list. After it all is clean. */
void groups_write_delta(struct groups *, struct part_sink *);
void groups_write_segment(struct groups *, unsigned bits, uint32_t segment, struct part_sink *);
void groups_clear_dirty(struct groups *);

/*
 * Take entries of a section, whose parts come in order: what comes later replaces what came before,
 * groups that the filter does not want are passed over. Groups are clean. `*first` is true with the
 * first entries of a section. Counts entries taken; false: they are malformed.
 */
bool groups_load(struct groups *, const uint8_t *entries, size_t len, const struct segment_filter *,
		 bool *first, uint64_t *taken);

/* All is loaded: every group is touched, for nothing is known to be shown. */
void groups_load_end(struct groups *);

#endif
