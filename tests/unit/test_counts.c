/* Counts of ranks, most changes of which wait, against an array of counts. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

#include "reduce/counts.h"

#define RANKS 6000

struct world {
	struct counts counts;
	int64_t count[RANKS]; /* by number of the rank */
	uint64_t random;
	int64_t step; /* from one rank to the next */
};

static unsigned
world_random(struct world *w, unsigned below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((w->random >> 33) % below);
}

static struct world *
world_new(uint64_t seed, int64_t step)
{
	struct world *w = calloc(1, sizeof(*w));

	cr_assert_not_null(w);
	w->random = seed;
	w->step = step;
	return w;
}

/* The ends of the range are the first and the last. */
static int64_t
world_rank(const struct world *w, unsigned i)
{
	return i == 0 ? INT64_MIN : i == RANKS - 1 ? INT64_MAX : ((int64_t)i - RANKS / 2) * w->step;
}

static void
world_add(struct world *w, unsigned i, int64_t diff)
{
	counts_fetch(&w->counts);
	counts_add(&w->counts, world_rank(w, i), diff);
	w->count[i] += diff;
}

static void
world_check(struct world *w)
{
	unsigned first = 0, last = RANKS;
	int64_t rank;

	while (first < RANKS && w->count[first] <= 0)
		first++;
	while (last > 0 && w->count[last - 1] <= 0)
		last--;
	cr_assert_eq(counts_extreme(&w->counts, false, &rank), first < RANKS);
	cr_assert(first == RANKS || rank == world_rank(w, first), "the first is %u, %jd", first,
		  (intmax_t)rank);
	cr_assert_eq(counts_extreme(&w->counts, true, &rank), last > 0);
	cr_assert(last == 0 || rank == world_rank(w, last - 1), "the last is %u, %jd", last,
		  (intmax_t)rank);
}

/* All that is in it, one by one, from one end. */
static void
world_drain(struct world *w, bool last)
{
	for (unsigned n = 0; n < RANKS; n++) {
		unsigned i = last ? RANKS - 1 - n : n;
		if (w->count[i] < 0)
			world_add(w, i, -w->count[i]);
		for (; w->count[i] > 0; world_add(w, i, -1))
			world_check(w);
	}
	cr_assert(counts_are_none(&w->counts));
	counts_clear(&w->counts);
	free(w);
}

Test(counts, random_ranks_of_any_width_looked_at_seldom_or_often)
{
	static const int64_t steps[] = {1, 1000, INT64_C(1) << 50};
	static const unsigned reaches[] = {1, 40, 300, 1500, RANKS}, looks[] = {1, 30, 4000};

	for (unsigned c = 0; c < 45; c++) {
		struct world *w = world_new(c + 1, steps[c % 3]);
		unsigned reach = reaches[c / 3 % 5], look = looks[c / 15];
		for (unsigned round = 0; round < 6; round++) {
			/* It grows and shrinks in turns, nearly down to nothing. */
			unsigned puts = round % 2 ? 3 : 9;
			for (unsigned n = 0; n < reach * 3; n++) {
				unsigned i = (RANKS - reach) / 2 + world_random(w, reach);
				if (world_random(w, 12) < puts)
					world_add(w, i, 1);
				else if (w->count[i] > 0)
					world_add(w, i, -1);
				if (world_random(w, look) == 0)
					world_check(w);
			}
			world_check(w);
		}
		world_drain(w, c % 2);
	}
}

Test(counts, negative_counts_are_not_shown)
{
	for (unsigned look = 1; look <= 1000; look *= 10) {
		struct world *w = world_new(look, 3);
		for (unsigned n = 0; n < RANKS * 8; n++) {
			/* What is taken away comes later, as of a partition that is behind. */
			world_add(w, world_random(w, RANKS), world_random(w, 2) ? 1 : -1);
			if (world_random(w, look) == 0)
				world_check(w);
		}
		world_drain(w, look == 10);
	}
}

Test(counts, what_comes_at_one_end_and_goes_at_the_other)
{
	for (unsigned way = 0; way < 2; way++) {
		struct world *w = world_new(1, 7);
		for (unsigned n = 0; n < RANKS; n++) {
			world_add(w, way ? RANKS - 1 - n : n, 1);
			if (n >= 2000)
				world_add(w, way ? RANKS - 1 - (n - 2000) : n - 2000, -1);
			if (n % 20 == 0)
				world_check(w);
		}
		world_drain(w, way);
	}
}

Test(counts, all_changes_cancel_out_while_they_wait)
{
	struct world *w = world_new(1, 1);
	int64_t rank;

	for (unsigned i = 0; i < 1000; i++)
		world_add(w, i, 1);
	cr_assert_neq(w->counts.waiting % 2, 0, "they do not wait");
	for (unsigned i = 0; i < 1000; i++)
		world_add(w, i, -1);
	cr_assert_not(counts_extreme(&w->counts, false, &rank));
	cr_assert(counts_are_none(&w->counts));
	world_drain(w, false);
}

Test(counts, what_is_cleared_is_empty)
{
	struct world *w = world_new(1, 1);

	for (unsigned i = 0; i < 1000; i++)
		world_add(w, i, 1);
	counts_clear(&w->counts);
	cr_assert(counts_are_none(&w->counts));
	free(w);
}
