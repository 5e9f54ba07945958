#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/pack.h"
#include "reduce/group.h"
#include "tests/unit/reduce_model.h"

#define ROWS_MAX 400

struct world {
	struct pipeline *pipeline;
	const struct view *view;
	const struct table *table;
	struct groups *groups;
	struct model_fold fold;
	struct model_row rows[ROWS_MAX];
	unsigned count;
	struct model_random random;
	uint64_t seed;
};

/* A row comes or goes. */
static void
apply_row(struct groups *groups, const struct value *row, int diff)
{
	char error[160];
	const struct value *computed = groups_compute(groups, row, error, sizeof(error));

	cr_assert_not_null(computed, "%s", error);
	groups_apply(groups, computed, diff);
}

static void
world_init(struct world *w, unsigned view, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->pipeline = model_pipeline();
	w->view = &w->pipeline->views[view];
	w->table = &w->pipeline->tables[w->view->table];
	w->groups = groups_new(w->view, w->table);
	w->random.state = w->seed = seed;
}

static void
world_fini(struct world *w)
{
	groups_free(w->groups);
	model_fold_free(&w->fold);
	model_pipeline_free(w->pipeline);
}

static void
world_add(struct world *w, struct groups *groups)
{
	struct model_row *row = &w->rows[w->count++];

	model_row_random(&w->random, (int64_t)w->count, row);
	apply_row(groups, row->values, 1);
}

static void
world_remove(struct world *w)
{
	unsigned i = (unsigned)model_random(&w->random, w->count);

	apply_row(w->groups, w->rows[i].values, -1);
	w->rows[i] = w->rows[--w->count];
}

/* Show all that is touched and fold it, as a batch would. */
static void
world_show(struct world *w)
{
	struct group *group;

	while ((group = groups_touched(w->groups)) != NULL) {
		size_t len, shown_len;
		const uint8_t *row, *shown = group_shown(group, &shown_len);
		char *problem = groups_render(w->groups, group, &row, &len);
		cr_assert_null(problem, "%s", problem);
		if (len != shown_len || memcmp(row, shown_len > 0 ? shown : row, len) != 0) {
			if (shown_len > 0)
				cr_assert(model_fold_apply(&w->fold, -1, shown, shown_len));
			if (len > 0)
				cr_assert(model_fold_apply(&w->fold, 1, row, len));
		}
		groups_settle(w->groups, row, len);
	}
}

static void
world_check(const struct world *w, const char *when, int step)
{
	unsigned shown;
	struct model_bytes *rows = model_view(w->view, w->table, w->rows, w->count, &shown);

	cr_assert(model_fold_equals(&w->fold, rows, shown),
		  "view %s, seed %" PRIu64 ", %s, step %d: %u rows shown, %u expected",
		  w->view->name, w->seed, when, step, w->fold.count, shown);
	cr_assert_eq(groups_count(w->groups), shown, "a group without rows was kept");
	model_rows_free(rows, shown);
}

/* Rows come and go at random; now and then what is shown is compared with a recompute. */
static void
random_walk(unsigned view, uint64_t seed)
{
	static struct world w;

	world_init(&w, view, seed);
	for (int step = 0; step < 1500; step++) {
		/* Swings between full and empty, so that groups empty and come again. */
		unsigned wish = step / 250 % 2 == 0 ? 70 : 30;
		if (w.count == 0 || (w.count < 120 && model_random(&w.random, 100) < wish))
			world_add(&w, w.groups);
		else
			world_remove(&w);
		if (model_random(&w.random, 12) == 0) {
			world_show(&w);
			world_check(&w, "walk", step);
		}
	}
	while (w.count > 0)
		world_remove(&w);
	world_show(&w);
	world_check(&w, "emptied", 0);
	cr_assert_eq(w.fold.count, 0);
	world_fini(&w);
}

Test(group, random_diffs_without_group_by)
{
	for (uint64_t seed = 1; seed <= 5; seed++)
		random_walk(0, seed);
}

Test(group, random_diffs_by_text_over_numerics)
{
	for (uint64_t seed = 11; seed <= 15; seed++)
		random_walk(1, seed);
}

Test(group, random_diffs_by_numerics_of_mixed_scale)
{
	for (uint64_t seed = 21; seed <= 25; seed++)
		random_walk(2, seed);
}

Test(group, random_diffs_with_where_and_nulls_in_the_key)
{
	for (uint64_t seed = 31; seed <= 35; seed++)
		random_walk(3, seed);
}

/* A partition that is ahead takes rows away before they come. */
Test(group, order_of_arrival_does_not_matter)
{
	static struct world w;

	for (unsigned view = 0; view < MODEL_SHAPES; view++) {
		world_init(&w, view, 77 + view);
		struct model_row gone[40];
		for (int i = 0; i < 40; i++) {
			model_row_random(&w.random, i, &gone[i]);
			apply_row(w.groups, gone[i].values, -1);
		}
		world_show(&w);
		cr_assert_eq(w.fold.count, 0, "rows below zero are not shown");
		for (int i = 0; i < 60; i++)
			world_add(&w, w.groups);
		for (int i = 39; i >= 0; i--)
			apply_row(w.groups, gone[i].values, 1);
		world_show(&w);
		world_check(&w, "all have come", 0);
		world_fini(&w);
	}
}

Test(group, what_is_left_of_a_sum_waits_for_the_rest)
{
	static struct world w;
	struct model_row five = {0}, seven = {0};

	world_init(&w, 0, 1);
	five.values[MODEL_QTY] = (struct value){.kind = VALUE_INT, .i = 5};
	seven.values[MODEL_QTY] = (struct value){.kind = VALUE_INT, .i = 7};
	apply_row(w.groups, five.values, -1);
	apply_row(w.groups, seven.values, 1);
	world_show(&w); /* no rows, and a sum of 2 that must not be lost */
	cr_assert_eq(w.fold.count, 0);
	apply_row(w.groups, five.values, 1);
	w.rows[w.count++] = seven;
	world_show(&w);
	world_check(&w, "late", 0);
	world_fini(&w);
}

/* A value that was taken away before it came is no minimum and no maximum. */
Test(group, min_and_max_look_at_positive_counts_only)
{
	static struct world w;
	struct model_row row = {0};

	world_init(&w, 0, 1);
	for (int64_t qty = 1; qty <= 9; qty++) {
		row.values[MODEL_QTY] = (struct value){.kind = VALUE_INT, .i = qty};
		apply_row(w.groups, row.values, qty < 3 || qty > 7 ? -1 : 1);
	}
	const uint8_t *bytes;
	size_t len;
	enum type types[] = {TYPE_BIGINT,  TYPE_BIGINT,  TYPE_BIGINT,
			     TYPE_INTEGER, TYPE_INTEGER, TYPE_NUMERIC};
	struct value out[6];
	cr_assert_null(groups_render(w.groups, groups_touched(w.groups), &bytes, &len));
	cr_assert(row_unpack(bytes, len, types, 6, out));
	cr_assert_eq(out[1].i, 1, "5 rows came, 4 are owed");
	cr_assert_eq(out[3].i, 3);
	cr_assert_eq(out[4].i, 7);
	world_fini(&w);
}

Test(group, a_fresh_set_replaces_the_old_one)
{
	static struct world w;

	for (unsigned view = 0; view < MODEL_SHAPES; view++) {
		world_init(&w, view, 500 + view);
		for (int round = 0; round < 6; round++) {
			struct groups *fresh = groups_new(w.view, w.table);
			unsigned count = (unsigned)model_random(&w.random, 60);
			if (round == 5)
				count = 0;
			for (int i = 0; i < 10; i++)
				world_add(&w, w.groups);
			world_show(&w);
			w.count = 0;
			for (unsigned i = 0; i < count; i++)
				world_add(&w, fresh);
			groups_replace(w.groups, fresh);
			cr_assert_eq(groups_count(fresh), 0);
			groups_free(fresh);
			world_show(&w);
			world_check(&w, "replaced", round);
		}
		world_fini(&w);
	}
}

Test(group, an_integer_sum_beyond_bigint_is_an_error)
{
	static struct world w;
	const uint8_t *row;
	size_t len;
	struct model_row big = {0};

	world_init(&w, 0, 1);
	big.values[MODEL_QTY] = (struct value){.kind = VALUE_INT, .i = INT64_MAX};
	apply_row(w.groups, big.values, 1);
	cr_assert_null(groups_render(w.groups, groups_touched(w.groups), &row, &len));
	big.values[MODEL_QTY].i = 1;
	apply_row(w.groups, big.values, 1);
	char *problem = groups_render(w.groups, groups_touched(w.groups), &row, &len);
	cr_assert_not_null(problem);
	cr_assert_not_null(strstr(problem, "\"column_0\" of view \"view_0\" is out of the range"),
			   "%s", problem);
	free(problem);
	world_fini(&w);
}

Test(group, a_long_text_is_shown_whole)
{
	static struct world w;
	static char text[20000];
	struct model_row row = {0};
	const uint8_t *bytes;
	size_t len;

	world_init(&w, 1, 1);
	memset(text, 'x', sizeof(text));
	row.values[MODEL_STATUS] =
	    (struct value){.kind = VALUE_TEXT, .len = sizeof(text), .s = text};
	apply_row(w.groups, row.values, 1);
	cr_assert_null(groups_render(w.groups, groups_touched(w.groups), &bytes, &len));
	cr_assert_gt(len, sizeof(text));
	w.rows[w.count++] = row;
	world_fini(&w);
}
