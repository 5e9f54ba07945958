/* The ordered multiset against a sorted array, by value_compare_exact(). */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reduce/multiset.h"

#define VALUES 6000

struct world {
	struct multiset set;
	struct multiset_node *node[VALUES]; /* by number of the value; NULL: not there */
	unsigned present;
	uint64_t random;
	char text[VALUES][24];
	struct value value[VALUES]; /* in order */
};

static unsigned
world_random(struct world *w, unsigned below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((w->random >> 33) % below);
}

/* Values in order: integers, decimals with scales, or texts that begin alike. */
static struct world *
world_new(enum value_kind kind, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	cr_assert_not_null(w);
	w->random = seed;
	for (int i = 0; i < VALUES; i++) {
		w->value[i] = (struct value){.kind = kind, .i = i * 3 - VALUES};
		if (kind == VALUE_INT)
			continue;
		if (kind == VALUE_DECIMAL)
			snprintf(w->text[i], sizeof(w->text[i]), "%d.%05d%s", i / 200000,
				 i / 2 % 100000, i % 2 ? "0" : "");
		else
			snprintf(w->text[i], sizeof(w->text[i]), "the same %05d", i);
		w->value[i].s = w->text[i];
		w->value[i].len = (uint32_t)strlen(w->text[i]);
	}
	for (int i = 1; i < VALUES; i++)
		cr_assert_lt(value_compare_exact(&w->value[i - 1], &w->value[i]), 0, "%d", i);
	return w;
}

static void
world_put(struct world *w, unsigned i)
{
	bool made;
	struct multiset_node *node = multiset_get(&w->set, &w->value[i], &made);

	cr_assert_eq(made, w->node[i] == NULL, "%u", i);
	cr_assert(w->node[i] == NULL || w->node[i] == node, "%u has moved", i);
	w->present += w->node[i] == NULL;
	w->node[i] = node;
}

static void
world_take(struct world *w, unsigned i)
{
	multiset_remove(&w->set, w->node[i]);
	free(w->node[i]);
	w->node[i] = NULL;
	w->present--;
}

static void
world_check(const struct world *w)
{
	struct multiset_path path;
	const struct multiset_node *node = multiset_first(&w->set, &path);

	for (unsigned i = 0; i < VALUES; i++) {
		if (w->node[i] == NULL)
			continue;
		cr_assert_eq(node, w->node[i], "%u is not next", i);
		struct value v = multiset_value(node);
		cr_assert_eq(value_compare_exact(&v, &w->value[i]), 0);
		node = multiset_next(&path);
	}
	cr_assert_null(node);
	node = multiset_last(&w->set, &path);
	for (unsigned i = VALUES; i-- > 0;) {
		if (w->node[i] == NULL)
			continue;
		cr_assert_eq(node, w->node[i], "%u is not before", i);
		node = multiset_previous(&path);
	}
	cr_assert_null(node);
	cr_assert_eq(w->set.root == NULL, w->present == 0);
	for (unsigned i = 0; i < VALUES; i += 7)
		cr_assert_eq(multiset_find(&w->set, &w->value[i]), w->node[i]);
}

static void
world_free(struct world *w)
{
	multiset_clear(&w->set);
	free(w);
}

static void
check_random(enum value_kind kind)
{
	static const unsigned reaches[] = {1, 3, 40, 300, VALUES};

	for (size_t r = 0; r < sizeof(reaches) / sizeof(reaches[0]); r++) {
		struct world *w = world_new(kind, 17 + r);
		for (unsigned round = 0; round < 8; round++) {
			/* It grows and shrinks in turns. */
			unsigned puts = round % 2 ? 1 : 3;
			for (unsigned n = 0; n < reaches[r] * 3; n++) {
				unsigned i = world_random(w, reaches[r]);
				if (world_random(w, 4) < puts)
					world_put(w, i);
				else if (w->node[i] != NULL)
					world_take(w, i);
			}
			world_check(w);
		}
		for (unsigned i = 0; i < VALUES; i++)
			if (w->node[i] != NULL)
				world_take(w, i);
		world_check(w);
		world_free(w);
	}
}

Test(multiset, random_integers)
{
	check_random(VALUE_INT);
}

Test(multiset, random_decimals_of_several_scales)
{
	check_random(VALUE_DECIMAL);
}

Test(multiset, random_texts_that_begin_alike)
{
	check_random(VALUE_TEXT);
}

Test(multiset, ascending_descending_and_from_both_ends)
{
	for (unsigned way = 0; way < 9; way++) {
		struct world *w = world_new(VALUE_INT, 1);
		for (unsigned n = 0; n < VALUES; n++)
			world_put(w, way % 3 == 0   ? n
				     : way % 3 == 1 ? VALUES - 1 - n
				     : n % 2        ? n / 2
						    : VALUES - 1 - n / 2);
		world_check(w);
		for (unsigned n = 0; n < VALUES; n++) {
			world_take(w, way / 3 == 0   ? n
				      : way / 3 == 1 ? VALUES - 1 - n
				      : n % 2        ? n / 2
						     : VALUES - 1 - n / 2);
			if (n % 500 == 0)
				world_check(w);
		}
		world_check(w);
		world_free(w);
	}
}
