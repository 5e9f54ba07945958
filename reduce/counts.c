#include "reduce/counts.h"

#include <stdlib.h>
#include <string.h>

#include "common/fetch.h"
#include "common/log.h"

#define FOR_A_LEAF 10 /* changes that wait, at most: less than half of what a leaf has in memory */
#ifdef TALLYD_FAULTS  /* tests are small */
#define WAITING_MAX 256
#else
#define WAITING_MAX 4096 /* to make so many takes about half a millisecond */
#endif
#define TURNS 8 /* rooms differ: groups that grow alike are not all to be full at the same time */

#define DIGIT_BITS  8
#define DIGITS      (1u << DIGIT_BITS)
#define SORTED_HERE 32 /* so few are sorted by insertion */

struct span { /* of ranks; least > greatest: none */
	int64_t least, greatest;
};

static const struct span no_span = {.least = INT64_MAX, .greatest = INT64_MIN};

struct counts_waiting {
	struct multiset set;
	unsigned count, room;
	/* Of the multiset without these changes, once it was asked for: the least and the greatest. */
	bool known;
	struct multiset_extreme extreme[2];
	struct span added, taken;
	struct multiset_change change[];
};

static void
span_take(struct span *span, int64_t rank)
{
	if (rank < span->least)
		span->least = rank;
	if (rank > span->greatest)
		span->greatest = rank;
}

/* ---- in order ------------------------------------------------------------------------------ */

static void
sort_by_insertion(struct multiset_change *changes, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		struct multiset_change change = changes[i];
		unsigned at = i;
		for (; at > 0 && changes[at - 1].rank > change.rank; at--)
			changes[at] = changes[at - 1];
		changes[at] = change;
	}
}

static inline unsigned
digit_of(int64_t rank, int64_t least, unsigned shift)
{
	return (unsigned)(((uint64_t)rank - (uint64_t)least) >> shift) & (DIGITS - 1);
}

/* By one digit of what a rank is above the least; equal ones stay as they are. */
static void
sort_by_digit(const struct multiset_change *from, struct multiset_change *to, unsigned count,
	      int64_t least, unsigned shift)
{
	unsigned place[DIGITS] = {0}, next = 0;

	for (unsigned i = 0; i < count; i++)
		place[digit_of(from[i].rank, least, shift)]++;
	for (unsigned i = 0; i < DIGITS; i++) {
		unsigned here = place[i];
		place[i] = next;
		next += here;
	}
	for (unsigned i = 0; i < count; i++)
		to[place[digit_of(from[i].rank, least, shift)]++] = from[i];
}

/*
 * A radix sort from the last digit on (Knuth, "The Art of Computer Programming", 5.2.5), as wide as the ranks lie
 * apart. Returns where they are then: there, or in the other room of the same size.
 */
static struct multiset_change *
sort_changes(struct multiset_change *changes, struct multiset_change *other, unsigned count,
	     struct span span)
{
	uint64_t width = (uint64_t)span.greatest - (uint64_t)span.least;

	if (count <= SORTED_HERE) {
		sort_by_insertion(changes, count);
		return changes;
	}
	for (unsigned shift = 0; shift < 64 && width >> shift > 0; shift += DIGIT_BITS) {
		struct multiset_change *sorted = other;
		sort_by_digit(changes, sorted, count, span.least, shift);
		other = changes;
		changes = sorted;
	}
	return changes;
}

/* Changes of one rank become one, and what cancels out is none. Returns how many are left. */
static unsigned
join_equal(struct multiset_change *changes, unsigned count)
{
	unsigned left = 0;

	for (unsigned i = 0; i < count; i++) {
		if (left > 0 && changes[left - 1].rank == changes[i].rank)
			changes[left - 1].diff += changes[i].diff;
		else
			changes[left++] = changes[i];
		if (changes[left - 1].diff == 0)
			left--;
	}
	return left;
}

/* ---- changes that wait --------------------------------------------------------------------- */

/* NULL: the multiset is small. */
static struct counts_waiting *
counts_waiting(const struct counts *c)
{
	return c->waiting % 2 != 0 ? (struct counts_waiting *)(c->waiting - 1) : NULL;
}

/* Room for changes that fits the multiset, when none waits; a small one has none. */
static void
counts_make_room(struct counts *c)
{
	static unsigned turn;
	struct counts_waiting *w = counts_waiting(c);
	struct multiset set = w != NULL ? w->set : c->set;
	unsigned leaves = multiset_leaves(&set, WAITING_MAX / FOR_A_LEAF);
	unsigned room = leaves * FOR_A_LEAF;

	if (leaves == 0) {
		free(w);
		c->set = set;
		return;
	}
	if (room > WAITING_MAX)
		room = WAITING_MAX;
	if (w == NULL || room / 2 > w->room || room < w->room) {
		room -= room / 2 / TURNS * (turn++ % TURNS);
		w = xreallocarray(w, 1, sizeof(*w) + room * sizeof(w->change[0]));
		w->room = room;
		c->waiting = (uintptr_t)w + 1;
	}
	w->set = set;
	w->count = 0;
	w->known = false;
	w->added = w->taken = no_span;
}

static void
counts_settle(struct counts *c)
{
	static struct multiset_change other[WAITING_MAX]; /* reduce has one thread */
	struct counts_waiting *w = counts_waiting(c);
	struct span all = w->added;

	if (w->count == 0)
		return;
	if (w->taken.least <= w->taken.greatest) {
		span_take(&all, w->taken.least);
		span_take(&all, w->taken.greatest);
	}
	struct multiset_change *changes = sort_changes(w->change, other, w->count, all);
	multiset_count_sorted(&w->set, changes, join_equal(changes, w->count));
	counts_make_room(c);
}

void
counts_add(struct counts *c, int64_t rank, int64_t diff)
{
	struct counts_waiting *w = counts_waiting(c);

	if (w == NULL) {
		multiset_count(&c->set, rank, diff);
		if (multiset_leaves(&c->set, 1) > 0)
			counts_make_room(c);
		return;
	}
	span_take(diff > 0 ? &w->added : &w->taken, rank);
	w->change[w->count++] = (struct multiset_change){.rank = rank, .diff = diff};
	if (w->count == w->room)
		counts_settle(c);
}

/*
 * Before the first of what the multiset has and what was added lies nothing positive. There itself something does,
 * unless a change takes it away, or the multiset has a negative count there. False: the changes are to be made first.
 */
static bool
waiting_tell(struct counts_waiting *w, bool last, struct multiset_extreme *extreme)
{
	int64_t added = last ? w->added.greatest : w->added.least;
	bool any = w->added.least <= w->added.greatest;

	if (!w->known)
		for (unsigned i = 0; i < 2; i++)
			w->extreme[i] = multiset_extreme(&w->set, i == 1);
	w->known = true;
	*extreme = w->extreme[last];
	if (w->count == 0)
		return true;
	if (extreme->passed)
		return false;
	if (any && (last ? added > extreme->rank : added < extreme->rank))
		extreme->rank = added;
	return last ? w->taken.greatest < extreme->rank : w->taken.least > extreme->rank;
}

bool
counts_extreme(struct counts *c, bool last, int64_t *rank)
{
	struct counts_waiting *w = counts_waiting(c);
	struct multiset_extreme extreme;

	if (w != NULL && !waiting_tell(w, last, &extreme)) {
		counts_settle(c);
		w = counts_waiting(c);
		if (w != NULL)
			(void)waiting_tell(w, last, &extreme);
	}
	if (w == NULL)
		extreme = multiset_extreme(&c->set, last);
	*rank = extreme.rank;
	return extreme.found;
}

bool
counts_are_none(struct counts *c)
{
	if (counts_waiting(c) != NULL)
		counts_settle(c);
	return c->waiting == 0;
}

void
counts_clear(struct counts *c)
{
	struct counts_waiting *w = counts_waiting(c);

	if (w != NULL)
		c->set = w->set;
	free(w);
	multiset_clear_counts(&c->set);
}

void
counts_fetch_first(const struct counts *c)
{
	fetch_lines((const void *)c->waiting, 3); /* what begins there, be it the root */
}

void
counts_fetch(const struct counts *c)
{
	const struct counts_waiting *w = counts_waiting(c);

	if (w == NULL)
		multiset_fetch(&c->set);
	else
		fetch_line(&w->change[w->count]);
}
