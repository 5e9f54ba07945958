/*
 * aggregate.h - what a group knows of one argument column: everything can be taken back.
 *
 * The number of values that are not NULL, their exact sum, and the ordered multiset of them; only
 * what the view's outputs need is kept. Counts in the multiset may be negative meanwhile (one
 * partition is ahead of another): min and max look only at positive ones. Sums of floats are exact
 * decimals too, rounded when they are shown. Sums and multisets do not depend on the order in which
 * values came, so a replay gives the same bits.
 */
#ifndef AGGREGATE_H
#define AGGREGATE_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/decimal.h"
#include "common/pipeline.h"
#include "common/value.h"
#include "reduce/counts.h"
#include "reduce/multiset.h"

enum {
	AGGREGATE_SUM = 1,   /* sum, avg, and the display scale of a numeric */
	AGGREGATE_ORDER = 2, /* min, max */
	AGGREGATE_RANKS = 4, /* the multiset has no nodes: its ranks are the values */
};

struct pack;
struct unpack;

LIST_HEAD(aggregate_list, multiset_node);

/* Values of a group's multisets that a stored checkpoint has otherwise. Dead ones are in none. */
struct aggregate_changes {
	struct aggregate_list dirty, dead;
};

struct aggregate { /* all zero: empty */
	union {
		/* Of integers and money. With AGGREGATE_RANKS of the ranks, but not of what is no number in a numeric. */
		decimal_integer integer;
		struct decimal_sum *decimal; /* numeric and floats; NULL until the first value */
	};
	int64_t count; /* of values that are not NULL */
	union {        /* them */
		struct multiset order;
		struct counts counts; /* AGGREGATE_RANKS */
	};
};

/*
 * Add (diff 1) or take away (diff -1) one value, which is not NULL. `needs` as above, without AGGREGATE_RANKS. A change of the
 * multiset is noted in `changes`, if given, with the argument's number. Returns by how many distinct
 * values the multiset has grown.
 */
int aggregate_add(struct aggregate *, unsigned needs, enum type, const struct value *, int diff,
		  struct aggregate_changes *changes, unsigned argument);

/* The same with AGGREGATE_RANKS, by the value's rank. */
void aggregate_add_rank(struct aggregate *, unsigned needs, enum type, int64_t rank, int diff);

bool aggregate_is_empty(struct aggregate *, unsigned needs, enum type);
void aggregate_clear(struct aggregate *, unsigned needs, enum type);

/* For a checkpoint: two msgpack values, the count and the sum; false when they are malformed. */
void aggregate_pack(const struct aggregate *, unsigned needs, enum type, struct pack *);
bool aggregate_unpack(struct aggregate *, unsigned needs, enum type, struct unpack *);

/* A value of the multiset as [argument, value, count]; and set the count of one, 0: it goes. */
void aggregate_node_pack(const struct multiset_node *, unsigned argument, struct pack *);
int aggregate_set(struct aggregate *, const struct value *, int64_t count);

/*
 * The first of the noted changes, dead values (of count 0) before others; NULL: none is left. And
 * it, or all of them, are noted no more.
 */
const struct multiset_node *aggregate_change(const struct aggregate_changes *, unsigned *argument);
void aggregate_change_done(struct aggregate_changes *);
void aggregate_forget(struct aggregate_changes *);

#define AGGREGATE_TEXT_MAX DECIMAL_TEXT_MAX

/*
 * The result of one output over this column of type `type`; decimals are written to text
 * (AGGREGATE_TEXT_MAX bytes), texts borrow the aggregate.
 * Returns NULL, or a static sentence when the result is out of its type's range.
 */
const char *aggregate_result(const struct aggregate *, enum output_kind, enum type, char *text,
			     struct value *result);

/* The same with AGGREGATE_RANKS. */
const char *aggregate_result_ranked(struct aggregate *, enum output_kind, const struct column *,
				    char *text, struct value *result);

#endif
