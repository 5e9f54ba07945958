/*
 * aggregate.h - what a group knows of one argument column: everything can be taken back.
 *
 * The number of values that are not NULL, their exact sum, and the ordered multiset of them; only
 * what the view's outputs need is kept. Counts in the multiset may be negative meanwhile (one
 * partition is ahead of another): min and max look only at positive ones. Sums and multisets do
 * not depend on the order in which values came, so a replay gives the same bits.
 */
#ifndef AGGREGATE_H
#define AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/decimal.h"
#include "common/pipeline.h"
#include "common/value.h"

enum {
	AGGREGATE_SUM = 1,   /* sum, avg, and the display scale of a numeric */
	AGGREGATE_ORDER = 2, /* min, max */
};

__extension__ typedef __int128 aggregate_integer;

struct aggregate_node;

struct aggregate { /* all zero: empty */
	union {
		aggregate_integer integer;   /* integer, bigint */
		struct decimal_sum *decimal; /* numeric; NULL until the first value */
	};
	int64_t count;              /* of values that are not NULL */
	struct aggregate_node *top; /* root of the multiset */
};

/* Add (diff 1) or take away (diff -1) one value, which is not NULL. `needs` as above. */
void aggregate_add(struct aggregate *, unsigned needs, const struct value *, int diff);

bool aggregate_is_empty(const struct aggregate *, unsigned needs, enum type);
void aggregate_clear(struct aggregate *, unsigned needs, enum type);

#define AGGREGATE_TEXT_MAX DECIMAL_TEXT_MAX

/*
 * The result of one output over this column of type `type`; decimals are written to text
 * (AGGREGATE_TEXT_MAX bytes), texts borrow the aggregate.
 * Returns NULL, or a static sentence when the result is out of its type's range.
 */
const char *aggregate_result(const struct aggregate *, enum output_kind, enum type, char *text,
			     struct value *result);

#endif
