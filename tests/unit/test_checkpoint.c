#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/image.h"
#include "common/log.h"
#include "common/pack.h"
#include "reduce/checkpoint.h"
#include "reduce/group.h"
#include "reduce/rows.h"
#include "tests/unit/reduce_model.h"

#define RING_SMALL 4096 /* parts of 512 bytes, segments of about 2 KiB */
#define KEYS       2000

struct kept { /* what a target would have */
	uint64_t number;
	uint32_t part;
	uint8_t *bytes;
	size_t len, entries;
};

struct world {
	struct pipeline *pipeline;
	struct rows *rows;                   /* of table 0 */
	struct groups *groups[MODEL_SHAPES]; /* of table 1 */
	struct checkpoints c;
	struct kept *kept;
	size_t count, room;
	uint64_t batch, stored, most_stored, written;
	struct model_random random;
	struct model_row model[KEYS]; /* rows of table 0 by key; MODEL_ID is NULL: not there */
	struct model_row list[200];   /* rows of table 1 */
	unsigned list_count;
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
state_open(struct world *w)
{
	checkpoints_init(&w->c, RING_SMALL, NULL, NULL);
	w->rows = rows_new(&w->pipeline->tables[0]);
	checkpoints_add_rows(&w->c, &w->pipeline->tables[0], w->rows);
	for (unsigned i = 0; i < MODEL_SHAPES; i++) {
		const struct view *view = &w->pipeline->views[MODEL_SHAPES + i];
		w->groups[i] = groups_new(view, &w->pipeline->tables[1]);
		checkpoints_add_groups(&w->c, view, &w->pipeline->tables[1], w->groups[i]);
	}
}

static void
state_close(struct world *w)
{
	checkpoints_fini(&w->c);
	rows_free(w->rows);
	for (unsigned i = 0; i < MODEL_SHAPES; i++)
		groups_free(w->groups[i]);
}

static void
world_init(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->random.state = seed;
	w->pipeline = model_pipeline();
	state_open(w);
}

static void
world_fini(struct world *w)
{
	state_close(w);
	for (size_t i = 0; i < w->count; i++)
		free(w->kept[i].bytes);
	free(w->kept);
	model_pipeline_free(w->pipeline);
}

/* Bytes without heads and manifests, which weigh much in parts as small as these. */
static size_t
entries_of(const uint8_t *bytes, size_t len)
{
	struct part_view view;

	cr_assert(part_read(bytes, len, &view));
	return view.id.kind == PART_MANIFEST ? 0 : view.len;
}

static void
keep(struct world *w, const struct checkpoint *record)
{
	if (w->count == w->room) {
		w->room = w->room > 0 ? w->room * 2 : 64;
		w->kept = xreallocarray(w->kept, w->room, sizeof(*w->kept));
	}
	struct kept *kept = &w->kept[w->count++];
	*kept = (struct kept){.number = record->number, .part = record->part, .len = record->len};
	kept->bytes = xcalloc(1, record->len);
	memcpy(kept->bytes, record->data, record->len);
	kept->entries = entries_of(record->data, record->len);
	w->stored += kept->entries;
	w->written += kept->entries;
	w->most_stored = w->stored > w->most_stored ? w->stored : w->most_stored;
}

static void
unkeep(struct world *w, size_t i)
{
	w->stored -= w->kept[i].entries;
	free(w->kept[i].bytes);
	memmove(&w->kept[i], &w->kept[i + 1], (w->count - i - 1) * sizeof(*w->kept));
	w->count--;
}

/* One checkpoint, whole: begun, stored, flipped, and what it made obsolete deleted. */
static void
checkpoint(struct world *w)
{
	struct checkpoint record;
	uint32_t parts = 0;

	checkpoints_begin(&w->c, ++w->batch, "{}", 2);
	while (checkpoints_next(&w->c, &record)) {
		if (record.step == CHECKPOINT_PART) {
			cr_assert_eq(record.part, parts++);
			cr_assert_leq(record.len, RING_SMALL / 8);
			keep(w, &record);
		} else {
			cr_assert_eq(record.part, parts);
			cr_assert_eq(record.batch, w->batch);
		}
		checkpoints_put(&w->c, w->batch);
	}
	checkpoints_acknowledge(&w->c, w->batch);
	while (checkpoints_forget(&w->c, &record)) {
		size_t i = 0;
		while (w->kept[i].number != record.number || w->kept[i].part != record.part)
			cr_assert_lt(++i, w->count);
		unkeep(w, i);
		checkpoints_forgotten(&w->c);
	}
	cr_assert_eq(checkpoints_dirty(&w->c), 0);
}

/* A new state from what is kept; `reason` is of 200 bytes. */
static bool
load(struct world *w, char *reason)
{
	uint64_t number = w->c.number;
	struct image image;
	int fd = image_create();

	for (size_t i = 0; i < w->count; i++) {
		struct image_record record = {.kind = IMAGE_PART,
					      .number = w->kept[i].number,
					      .part = w->kept[i].part,
					      .data = w->kept[i].bytes,
					      .len = w->kept[i].len};
		cr_assert_eq(image_put(fd, &record), 0);
	}
	cr_assert_eq(image_seal(fd), 0);
	cr_assert_eq(image_open(&image, fd), 0);
	state_close(w);
	state_open(w);
	bool loaded = checkpoints_load(&w->c, &image, number, reason, 200);
	if (!loaded)
		checkpoints_refuse(&w->c, &image, number);
	image_close(&image);
	close(fd);
	return loaded;
}

/* --- rows of the keyed table --- */

static size_t
row_bytes_of(const struct model_row *row, uint8_t *bytes, size_t size)
{
	struct pack pack;

	pack_init(&pack, bytes, size);
	row_pack(&pack, row->values, MODEL_COLUMNS);
	return pack_len(&pack);
}

static void
row_put(struct world *w, unsigned key)
{
	struct value id = {.kind = VALUE_INT, .i = key};
	uint32_t hash = rows_hash(w->rows, &id);
	uint8_t bytes[512];

	model_row_random(&w->random, key, &w->model[key]);
	size_t len = row_bytes_of(&w->model[key], bytes, sizeof(bytes));
	rows_put(w->rows, rows_find(w->rows, &id, hash), hash, bytes, len);
}

static void
row_remove(struct world *w, unsigned key)
{
	struct value id = {.kind = VALUE_INT, .i = key};
	struct row *row = rows_find(w->rows, &id, rows_hash(w->rows, &id));

	if (row != NULL)
		rows_remove(w->rows, row);
	memset(&w->model[key], 0, sizeof(w->model[key]));
}

static void
rows_check(const struct world *w, const char *when)
{
	size_t count = 0;

	for (unsigned key = 0; key < KEYS; key++) {
		struct value id = {.kind = VALUE_INT, .i = key};
		struct row *row = rows_find(w->rows, &id, rows_hash(w->rows, &id));
		bool there = w->model[key].values[MODEL_ID].kind != VALUE_NULL;
		cr_assert_eq(row != NULL, there, "%s: key %u", when, key);
		if (row == NULL)
			continue;
		uint8_t bytes[512];
		size_t len, expected = row_bytes_of(&w->model[key], bytes, sizeof(bytes));
		const uint8_t *kept = row_bytes(row, &len);
		cr_assert_eq(len, expected);
		cr_assert_arr_eq(kept, bytes, len);
		count++;
	}
	cr_assert_eq(rows_count(w->rows), count, "%s", when);
}

/* --- groups of the keyless table --- */

static void
list_apply(struct world *w, const struct model_row *row, int diff)
{
	for (unsigned i = 0; i < MODEL_SHAPES; i++)
		apply_row(w->groups[i], row->values, diff);
}

static void
list_step(struct world *w)
{
	bool add = w->list_count == 0 || (w->list_count < 200 && model_random(&w->random, 9) < 5);
	unsigned i = add ? w->list_count++ : (unsigned)model_random(&w->random, w->list_count);

	if (add)
		model_row_random(&w->random, 1, &w->list[i]);
	list_apply(w, &w->list[i], add ? 1 : -1);
	if (!add)
		w->list[i] = w->list[--w->list_count];
}

/* A batch would show all that is touched. */
static void
groups_show(struct groups *groups, struct model_fold *fold)
{
	struct group *group;
	const uint8_t *row;
	size_t len;

	while ((group = groups_touched(groups)) != NULL) {
		cr_assert_null(groups_render(groups, group, &row, &len));
		if (fold != NULL && len > 0)
			cr_assert(model_fold_apply(fold, 1, row, len));
		groups_settle(groups, row, len);
	}
}

static void
groups_check(struct world *w, const char *when)
{
	for (unsigned i = 0; i < MODEL_SHAPES; i++) {
		struct model_fold fold = {.count = 0};
		unsigned shown;
		struct model_bytes *rows =
		    model_view(&w->pipeline->views[MODEL_SHAPES + i], &w->pipeline->tables[1],
			       w->list, w->list_count, &shown);
		groups_show(w->groups[i], &fold);
		cr_assert(model_fold_equals(&fold, rows, shown), "%s: view %u: %u rows, not %u",
			  when, i, fold.count, shown);
		cr_assert_eq(groups_count(w->groups[i]), shown, "%s: view %u", when, i);
		model_rows_free(rows, shown);
		model_fold_free(&fold);
	}
}

static void
show_all(struct world *w)
{
	for (unsigned i = 0; i < MODEL_SHAPES; i++)
		groups_show(w->groups[i], NULL);
}

/* --- what must hold --- */

/* Rows come, change and go; a start finds them as they were. S grows and shrinks with them. */
Test(checkpoint, rows_are_loaded_as_they_were)
{
	static struct world w;
	char reason[200];
	unsigned most_bits = 0;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		world_init(&w, seed);
		for (int round = 0; round < 200; round++) {
			unsigned wish = round < 50 ? 80 : round < 80 ? 50 : 1;
			for (unsigned i = 0; i < 60; i++) {
				unsigned key = (unsigned)model_random(&w.random, KEYS);
				if (model_random(&w.random, 100) < wish)
					row_put(&w, key);
				else
					row_remove(&w, key);
			}
			checkpoint(&w);
			most_bits =
			    w.c.sources[0].bits > most_bits ? w.c.sources[0].bits : most_bits;
			if (round % 7 == 0) {
				cr_assert(load(&w, reason), "%s", reason);
				rows_check(&w, "after a start");
			}
		}
		cr_assert_lt(w.c.sources[0].bits, most_bits, "segments were not joined again");
		world_fini(&w);
	}
	cr_assert_geq(most_bits, 3);
}

/* Groups, sums, minima and maxima of a keyless table; groups that end and come again. */
Test(checkpoint, groups_are_loaded_as_they_were)
{
	static struct world w;
	char reason[200];

	for (uint64_t seed = 11; seed <= 16; seed++) {
		world_init(&w, seed);
		for (int round = 0; round < 200; round++) {
			unsigned steps = (unsigned)model_random(&w.random, 30);
			for (unsigned i = 0; i < steps; i++)
				list_step(&w);
			if (round % 50 == 49)
				while (w.list_count > 0)
					list_apply(&w, &w.list[--w.list_count], -1);
			show_all(&w);
			checkpoint(&w);
			if (model_random(&w.random, 4) > 0)
				continue;
			cr_assert(load(&w, reason), "%s", reason);
			groups_check(&w, "after a start");
		}
		world_fini(&w);
	}
}

/* A snapshot puts other groups in the place of those that a checkpoint knows. */
Test(checkpoint, groups_that_were_replaced)
{
	static struct world w;
	char reason[200];

	world_init(&w, 21);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 20; i++)
			list_step(&w);
		show_all(&w);
		checkpoint(&w);
		w.list_count = 0;
		for (unsigned i = 0; i < (unsigned)round % 9; i++)
			model_row_random(&w.random, 1, &w.list[w.list_count++]);
		for (unsigned i = 0; i < MODEL_SHAPES; i++) {
			struct groups *fresh = groups_new(&w.pipeline->views[MODEL_SHAPES + i],
							  &w.pipeline->tables[1]);
			for (unsigned k = 0; k < w.list_count; k++)
				apply_row(fresh, w.list[k].values, 1);
			groups_replace(w.groups[i], fresh);
			groups_free(fresh);
		}
		show_all(&w);
		checkpoint(&w);
		cr_assert(load(&w, reason), "%s", reason);
		groups_check(&w, "after a snapshot and a start");
	}
	world_fini(&w);
}

/*
 * Written: twice the changes and the state once in a round of all segments; stored: twice the state,
 * and what the newest one adds until the older parts are deleted.
 */
Test(checkpoint, what_is_written_and_stored_is_bounded)
{
	static const unsigned changes[] = {4, 20, 100, 400, 1200};
	static struct world w;

	for (unsigned n = 0; n < 5; n++) {
		world_init(&w, 31 + n);
		for (unsigned key = 0; key < KEYS; key++)
			row_put(&w, key);
		checkpoint(&w);
		const struct source *s = &w.c.sources[0];
		uint64_t dirty = 0, live = rows_live_bytes(w.rows);
		w.written = 0;
		w.most_stored = w.stored;
		for (unsigned round = 0; round < 256; round++) {
			for (unsigned i = 0; i < changes[n]; i++)
				row_put(&w, (unsigned)model_random(&w.random, KEYS));
			dirty += rows_dirty_bytes(w.rows);
			checkpoint(&w);
			live = rows_live_bytes(w.rows) > live ? rows_live_bytes(w.rows) : live;
		}
		/* A quarter of a round, even if little changes. */
		cr_assert_leq(w.written, 2 * dirty + live / 4 + live / 16 + dirty / live * live / 4,
			      "%u changes: %" PRIu64 " bytes written for %" PRIu64
			      ", state %" PRIu64,
			      changes[n], w.written, dirty, live);
		cr_assert_leq(w.stored, 2 * live + live / 4,
			      "%u changes: %" PRIu64 " stored of %" PRIu64, changes[n], w.stored,
			      live);
		cr_assert_leq(w.most_stored, 3 * live + live / 4);
		cr_assert_gt(s->bits, 3);
		world_fini(&w);
	}
}

/* However little changes, there are never more deltas to load than checkpoints in a round. */
Test(checkpoint, deltas_do_not_pile_up)
{
	static struct world w;
	unsigned most = 0;

	world_init(&w, 41);
	for (unsigned key = 0; key < KEYS; key++)
		row_put(&w, key);
	checkpoint(&w);
	const struct source *s = &w.c.sources[0];
	for (unsigned i = 0; i < 2500; i++) {
		row_put(&w, i % 7);
		checkpoint(&w);
		most = s->count > most ? s->count : most;
	}
	cr_assert_leq(most, 1024 + (1u << s->bits) + 1);
	world_fini(&w);
}

/* Each part is needed: without it, or with a bit of it turned over, nothing is loaded. */
Test(checkpoint, a_part_that_is_missing_or_damaged_is_noticed)
{
	static struct world w;
	char reason[200];

	world_init(&w, 41);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < (round == 0 ? 600u : 40u); i++)
			row_put(&w, (unsigned)model_random(&w.random, KEYS));
		for (unsigned i = 0; i < 20; i++)
			list_step(&w);
		show_all(&w);
		checkpoint(&w);
	}
	cr_assert_gt(w.count, 40);
	uint64_t number = w.c.number;
	for (size_t i = 0; i < w.count; i++) {
		uint8_t *byte = &w.kept[i].bytes[model_random(&w.random, w.kept[i].len)];
		uint8_t bit = (uint8_t)(1u << model_random(&w.random, 8));
		*byte ^= bit;
		w.c.number = number;
		cr_assert_not(load(&w, reason));
		cr_assert_not_null(strstr(reason, "is damaged"), "part %zu: %s", i, reason);
		*byte ^= bit;
		size_t len = w.kept[i].len;
		w.kept[i].len = 0; /* as good as none, in its place */
		w.kept[i].number += 1000;
		cr_assert_not(load(&w, reason));
		cr_assert_not_null(strstr(reason, "missing"), "part %zu: %s", i, reason);
		w.kept[i].number -= 1000;
		w.kept[i].len = len;
	}
	cr_assert(load(&w, reason), "%s", reason);
	rows_check(&w, "all are back");
	groups_check(&w, "all are back");
	world_fini(&w);
}

/* What cannot be loaded is told, all of its parts go with the next one, and that can be loaded. */
Test(checkpoint, another_layout_is_not_loaded)
{
	static struct world w;
	char reason[200];

	world_init(&w, 51);
	for (unsigned i = 0; i < 300; i++)
		row_put(&w, i);
	checkpoint(&w);
	w.pipeline->tables[0].columns[MODEL_BIG].type = TYPE_INTEGER;
	cr_assert_not(load(&w, reason));
	cr_assert_str_eq(reason, "table \"keyed\" was another one when it was written");
	w.pipeline->tables[0].columns[MODEL_BIG].type = TYPE_BIGINT;
	free(w.pipeline->views[MODEL_SHAPES].name);
	w.pipeline->views[MODEL_SHAPES].name = xstrdup("renamed");
	cr_assert_not(load(&w, reason));
	cr_assert_str_eq(reason, "it has no state of view \"renamed\"");
	memset(w.model, 0, sizeof(w.model));
	for (unsigned i = 0; i < 30; i++)
		row_put(&w, i);
	checkpoint(&w);
	for (size_t i = 0; i < w.count; i++)
		cr_assert_eq(w.kept[i].number, 2, "old parts are still there");
	cr_assert(load(&w, reason), "%s", reason);
	rows_check(&w, "from the next one");
	world_fini(&w);
}

/* However often a key comes and goes, it has one tombstone and one row. */
Test(checkpoint, a_key_that_comes_and_goes)
{
	static struct world w;
	char reason[200];

	world_init(&w, 61);
	for (unsigned i = 0; i < 100; i++)
		row_put(&w, i);
	checkpoint(&w);
	for (int i = 0; i < 50; i++) {
		row_remove(&w, 7);
		row_put(&w, 7);
		row_put(&w, 500);
		row_remove(&w, 500);
	}
	cr_assert_eq(rows_dirty_count(w.rows), 2);
	row_remove(&w, 7);
	cr_assert_eq(rows_dirty_count(w.rows), 1);
	checkpoint(&w);
	cr_assert(load(&w, reason), "%s", reason);
	rows_check(&w, "after coming and going");
	world_fini(&w);
}

/* An entry larger than a part is cut. */
Test(checkpoint, an_entry_may_be_larger_than_a_part)
{
	static char text[3000];
	static struct world w;
	char reason[200];
	uint8_t bytes[4000], want[4000];
	struct pack pack;
	size_t len;

	world_init(&w, 71);
	memset(text, 'y', sizeof(text));
	for (unsigned i = 0; i < 40; i++) {
		row_put(&w, i);
		struct model_row row = w.model[i];
		if (i % 3 != 0)
			continue;
		row.values[MODEL_STATUS] =
		    (struct value){.kind = VALUE_TEXT, .s = text, .len = (uint32_t)(i * 70)};
		pack_init(&pack, bytes, sizeof(bytes));
		row_pack(&pack, row.values, MODEL_COLUMNS);
		uint32_t hash = rows_hash(w.rows, row.values);
		rows_put(w.rows, rows_find(w.rows, row.values, hash), hash, bytes, pack_len(&pack));
		list_apply(&w, &row, 1);
	}
	show_all(&w);
	checkpoint(&w);
	cr_assert(load(&w, reason), "%s", reason);
	for (unsigned i = 0; i < 40; i += 3) {
		struct model_row row = w.model[i];
		row.values[MODEL_STATUS] =
		    (struct value){.kind = VALUE_TEXT, .s = text, .len = (uint32_t)(i * 70)};
		pack_init(&pack, want, sizeof(want));
		row_pack(&pack, row.values, MODEL_COLUMNS);
		const uint8_t *kept =
		    row_bytes(rows_find(w.rows, row.values, rows_hash(w.rows, row.values)), &len);
		cr_assert_eq(len, pack_len(&pack));
		cr_assert_arr_eq(kept, want, len);
		list_apply(&w, &row, -1);
	}
	show_all(&w);
	for (unsigned i = 0; i < MODEL_SHAPES; i++)
		cr_assert_eq(groups_count(w.groups[i]), 0, "what was loaded cannot be taken back");
	world_fini(&w);
}
