/*
 * multiset.h - the distinct values of one column in one group, in order, each with a signed count.
 *
 * A B+ tree (Comer, "The Ubiquitous B-Tree", 1979) whose pages hold ranks (value_rank()) beside each
 * other: a search reads a few lines of memory, and looks at a value itself only where ranks are equal.
 * The first page grows with what it holds, for most groups are small; one that has become nearly empty is
 * joined with a neighbour. A node stays where it is in memory until it is removed.
 */
#ifndef MULTISET_H
#define MULTISET_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/value.h"

struct multiset_page;

struct multiset { /* all zero: empty */
	struct multiset_page *root;
};

struct multiset_node { /* one distinct value */
	int64_t count;
	LIST_ENTRY(multiset_node) change_link; /* the caller's, as are argument and mark */
	uint32_t len;
	uint8_t kind; /* enum value_kind */
	uint8_t mark;
	uint16_t argument;
	char bytes[]; /* of the value; of a number its 8 */
};

/* The value of a node, which borrows it. */
struct value multiset_value(const struct multiset_node *);

/* The node of a value that is not NULL, by value_compare_exact(); NULL: there is none. */
struct multiset_node *multiset_find(const struct multiset *, const struct value *);

/* The same; one with count 0 is made of a copy when there is none, and *made says so. */
struct multiset_node *multiset_get(struct multiset *, const struct value *, bool *made);

/* Take a node out. It is the caller's then, to be freed by free(). */
void multiset_remove(struct multiset *, struct multiset_node *);

/* Free all of them. */
void multiset_clear(struct multiset *);

/*
 * The other kind, of values that value_rank() tells whole: there are no nodes, the counts stand beside the ranks.
 * A multiset is of one kind all its life: what speaks of nodes is not for this one. counts.h uses it.
 *
 * multiset_count() adds to the count of a rank. multiset_count_sorted() does so for many, in ascending order: a page
 * is looked for once for all that it holds, and comes into the processor's cache before its turn.
 */
struct multiset_change {
	int64_t rank, diff;
};

void multiset_count(struct multiset *, int64_t rank, int64_t diff);
void multiset_count_sorted(struct multiset *, const struct multiset_change *, unsigned count);
void multiset_clear_counts(struct multiset *);

/* The least rank with a positive count, or the greatest. */
struct multiset_extreme {
	bool found;
	bool passed; /* counts that are not positive lie before it, or there are only such */
	int64_t rank;
};

struct multiset_extreme multiset_extreme(const struct multiset *, bool last);

/* Pages that hold counts, counted up to about `most`; 0: there are too few to count them. */
unsigned multiset_leaves(const struct multiset *, unsigned most);

/* Let what multiset_count() will look at come into the processor's cache: of a multiset with too few pages to count. */
void multiset_fetch(const struct multiset *);

/* Deeper than any: two neighbours hold a dozen each, on average, at least. */
#define MULTISET_DEPTH_MAX 24

struct multiset_path {
	unsigned depth;
	struct {
		struct multiset_page *page;
		unsigned at;
	} step[MULTISET_DEPTH_MAX];
};

/* The least value, or the greatest; and the one behind it, or before it. NULL: no more. */
struct multiset_node *multiset_first(const struct multiset *, struct multiset_path *);
struct multiset_node *multiset_last(const struct multiset *, struct multiset_path *);
struct multiset_node *multiset_next(struct multiset_path *);
struct multiset_node *multiset_previous(struct multiset_path *);

#endif
