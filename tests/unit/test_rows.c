#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/pack.h"
#include "reduce/rows.h"
#include "tests/unit/reduce_model.h"

#define KEYS 500

struct model { /* what the table should hold */
	bool there;
	unsigned attempt;
	uint8_t bytes[512];
	size_t len;
};

static struct column columns[] = {
    {.name = (char[]){"note"}, .type = TYPE_TEXT},
    {.name = (char[]){"part"}, .type = TYPE_NUMERIC},
    {.name = (char[]){"id"}, .type = TYPE_BIGINT},
};
static unsigned key_columns[] = {2, 1};
static const struct table table = {
    .name = (char[]){"t"},
    .columns = columns,
    .column_count = 3,
    .key = key_columns,
    .key_count = 2,
};

static void
key_make(unsigned k, bool wide, struct value *key)
{
	static const char *const parts[] = {"0", "1", "2.5"}, *const same[] = {"0.00", "1.0",
									       "2.500"};
	const char *part = wide ? same[k % 3] : parts[k % 3];

	key[0] = (struct value){.kind = VALUE_INT, .i = k / 3};
	key[1] = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)strlen(part), .s = part};
}

static struct row *
find(const struct rows *rows, unsigned k, bool wide, uint32_t *hash)
{
	struct value key[2];

	key_make(k, wide, key);
	*hash = rows_hash(rows, key);
	return rows_find(rows, key, *hash);
}

static void
put(struct rows *rows, struct model *model, unsigned k, size_t note)
{
	static char text[400];
	struct value key[2], values[3];
	struct pack pack;
	uint32_t hash;

	memset(text, 'a' + (int)(note % 26), sizeof(text));
	key_make(k, false, key);
	values[0] = (struct value){.kind = VALUE_TEXT, .len = (uint32_t)note, .s = text};
	values[1] = key[1];
	values[2] = key[0];
	pack_init(&pack, model[k].bytes, sizeof(model[k].bytes));
	row_pack(&pack, values, 3);
	model[k].len = pack_len(&pack);
	model[k].there = true;
	struct row *old = find(rows, k, false, &hash);
	rows_put(rows, old, hash, model[k].bytes, model[k].len);
}

static void
check_all(const struct rows *rows, const struct model *model, uint64_t seed)
{
	size_t count = 0;

	for (unsigned k = 0; k < KEYS; k++) {
		uint32_t hash, again;
		struct row *row = find(rows, k, false, &hash);
		cr_assert_eq(row != NULL, model[k].there, "key %u, seed %" PRIu64, k, seed);
		cr_assert_eq(find(rows, k, true, &again), row, "equal keys of another scale");
		cr_assert_eq(hash, again);
		if (row == NULL)
			continue;
		size_t len;
		const uint8_t *bytes = row_bytes(row, &len);
		cr_assert_eq(len, model[k].len);
		cr_assert_arr_eq(bytes, model[k].bytes, len);
		count++;
	}
	cr_assert_eq(rows_count(rows), count);
	cr_assert_eq(rows_dirty_count(rows), count, "each row has changed since no checkpoint");
}

Test(rows, random_puts_and_removals)
{
	static struct model model[KEYS];

	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct model_random random = {seed};
		struct rows *rows = rows_new(&table);
		memset(model, 0, sizeof(model));
		for (int step = 0; step < 8000; step++) {
			unsigned k = (unsigned)model_random(&random, KEYS);
			uint32_t hash;
			if (model_random(&random, 3) > 0) {
				put(rows, model, k, model_random(&random, 400));
			} else {
				struct row *row = find(rows, k, false, &hash);
				if (row != NULL)
					rows_remove(rows, row);
				model[k].there = false;
			}
			if (step % 500 == 0)
				check_all(rows, model, seed);
		}
		check_all(rows, model, seed);
		rows_free(rows);
	}
}

Test(rows, an_attempt_leaves_what_it_has_not_written)
{
	static struct model model[KEYS];
	struct rows *rows = rows_new(&table);
	struct rows_cursor cursor = {.next = NULL};
	struct row *row;
	uint32_t hash;

	for (unsigned k = 0; k < 300; k++)
		put(rows, model, k, 5);
	cr_assert_not(rows_attempt_open(rows));
	rows_attempt_begin(rows);
	for (unsigned k = 0; k < 100; k++)
		put(rows, model, k, 3);
	rows_attempt_begin(rows); /* the first one is discarded */
	cr_assert(rows_attempt_open(rows));
	for (unsigned k = 50; k < 350; k += 2)
		put(rows, model, k, 9);
	for (unsigned k = 51; k < 60; k += 2)
		rows_keep(rows, find(rows, k, false, &hash));
	while ((row = rows_stale(rows, &cursor)) != NULL)
		rows_remove(rows, row);
	rows_attempt_end(rows);
	for (unsigned k = 0; k < KEYS; k++)
		model[k].there = (k >= 50 && k < 350 && k % 2 == 0) || (k > 50 && k < 60);
	check_all(rows, model, 0);
	rows_free(rows);
}

Test(rows, overhead_of_a_row_is_small)
{
	cr_assert_leq(rows_overhead(), 64);
}
