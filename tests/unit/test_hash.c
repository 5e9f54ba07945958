#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/log.h"
#include "reduce/hash.h"

#define ENTRIES 70000u /* several segments, and the list of segments has grown */

struct item {
	struct hash_entry link;
	unsigned number, seen;
};

static struct hash table;

static struct item *
find(uint32_t hash, unsigned number)
{
	for (struct hash_entry *e = hash_chain(&table, hash); e != NULL; e = e->next)
		if (e->hash == hash && ((struct item *)e)->number == number)
			return (struct item *)e;
	return NULL;
}

/* Few have the same hash, and none are alike in their last bits only. */
static uint32_t
hash_of(unsigned number)
{
	return hash_fold((number / 2 + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static struct item *
fill(void)
{
	struct item *items = xcalloc(ENTRIES, sizeof(*items));

	hash_init(&table);
	for (unsigned i = 0; i < ENTRIES; i++) {
		items[i] = (struct item){.link.hash = hash_of(i), .number = i};
		hash_insert(&table, &items[i].link);
	}
	return items;
}

static void
empty(struct item *items)
{
	hash_fini(&table);
	free(items);
}

Test(hash, entries_are_found_however_many_there_are)
{
	struct item *items = fill();

	cr_assert_eq(table.count, ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		cr_assert_eq(find(hash_of(i), i), &items[i], "%u", i);
	for (unsigned i = 0; i < ENTRIES; i += 2)
		hash_remove(&table, &items[i].link);
	cr_assert_eq(table.count, ENTRIES / 2);
	for (unsigned i = 0; i < ENTRIES; i++)
		cr_assert_eq(find(hash_of(i), i), i % 2 == 0 ? NULL : &items[i], "%u", i);
	empty(items);
}

Test(hash, an_entry_that_has_moved_is_found)
{
	struct item *items = fill(), moved = items[ENTRIES - 1];

	hash_moved(&table, &items[ENTRIES - 1].link, &moved.link);
	cr_assert_eq(find(moved.link.hash, ENTRIES - 1), &moved);
	empty(items);
}

Test(hash, a_walk_and_its_segments_meet_each_entry_once)
{
	struct item *items = fill();
	struct hash_entry *e = NULL;
	struct hash_walk all = {0};

	while ((e = hash_walk(&table, &all, e)) != NULL)
		((struct item *)e)->seen++;
	for (uint32_t s = 0; s < 256; s++) {
		struct hash_walk walk = {.segment = s, .bits = 8};
		for (e = NULL; (e = hash_walk(&table, &walk, e)) != NULL;) {
			cr_assert_eq(hash_segment_of(e->hash, 8), s);
			((struct item *)e)->seen++;
		}
	}
	for (unsigned i = 0; i < ENTRIES; i++)
		cr_assert_eq(items[i].seen, 2, "%u", i);
	empty(items);
}
