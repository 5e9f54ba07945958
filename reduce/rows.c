#include "reduce/rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/fetch.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"
#include "reduce/book.h"
#include "reduce/mark.h"
#include "reduce/part.h"

struct row {
	struct hash_entry link; /* len: bytes of the row */
	uint32_t slot;          /* on the dirty list */
	uint32_t attempt;
	uint32_t room; /* bytes allocated for the row */
	uint8_t mark;  /* enum mark; a tombstone is in no bucket */
	uint8_t bytes[];
};

#define AHEAD 16 /* rows that are fetched into the cache before their turn: they lie anywhere */

struct rows {
	const struct table *table;
	enum type *types, *key_types;
	struct value *values, *key; /* scratch: one row, one key */
	int *key_place;             /* of each column: its place in the key, or -1 */
	unsigned key_reach;         /* columns up to the last key column */
	struct hash hash;
	struct row **dirty; /* oldest change first; NULL: the row has left the list */
	size_t slots, slots_room;
	size_t dirty_count, dirty_bytes, live_bytes;
	uint32_t attempt;
	bool attempt_open;
};

struct rows *
rows_new(const struct table *table)
{
	struct rows *rows = xcalloc(1, sizeof(*rows));

	rows->table = table;
	rows->types = xcalloc(table->column_count, sizeof(*rows->types));
	rows->key_types = xcalloc(table->key_count, sizeof(*rows->key_types));
	rows->values = xcalloc(table->column_count, sizeof(*rows->values));
	rows->key = xcalloc(table->key_count, sizeof(*rows->key));
	rows->key_place = xcalloc(table->column_count, sizeof(*rows->key_place));
	for (unsigned i = 0; i < table->column_count; i++) {
		rows->types[i] = table->columns[i].type;
		rows->key_place[i] = -1;
	}
	for (unsigned i = 0; i < table->key_count; i++) {
		rows->key_place[table->key[i]] = (int)i;
		rows->key_types[i] = rows->types[table->key[i]];
		if (table->key[i] >= rows->key_reach)
			rows->key_reach = table->key[i] + 1;
	}
	hash_init(&rows->hash);
	return rows;
}

/* Take a row off the dirty list. */
static void
row_clean(struct rows *rows, struct row *row)
{
	if (row->mark == MARK_CLEAN)
		return;
	rows->dirty[row->slot] = NULL;
	rows->dirty_count--;
	rows->dirty_bytes -= row->link.len;
	row->mark = MARK_CLEAN;
}

/* The list from its start to its end, then it is empty. */
static void
rows_take_dirty(struct rows *rows, struct part_sink *sink)
{
	for (size_t i = 0; i < rows->slots; i++) {
		struct row *row = rows->dirty[i];
		if (i + AHEAD < rows->slots && rows->dirty[i + AHEAD] != NULL)
			fetch_lines(rows->dirty[i + AHEAD], 2);
		if (row == NULL)
			continue;
		if (sink != NULL)
			sink_put(sink, row->bytes, row->link.len);
		bool dead = row->mark == MARK_DEAD;
		row_clean(rows, row);
		if (dead)
			free(row);
	}
	rows->slots = 0;
}

void
rows_clear_dirty(struct rows *rows)
{
	rows_take_dirty(rows, NULL);
}

void
rows_write_delta(struct rows *rows, struct part_sink *sink)
{
	rows_take_dirty(rows, sink);
}

void
rows_free(struct rows *rows)
{
	struct hash_entry *entry, *next;
	struct hash_walk walk = {0};

	if (rows == NULL)
		return;
	rows_clear_dirty(rows);
	for (entry = hash_walk(&rows->hash, &walk, NULL); entry != NULL; entry = next) {
		next = hash_walk(&rows->hash, &walk, entry);
		free(entry);
	}
	hash_fini(&rows->hash);
	free(rows->dirty);
	free(rows->types);
	free(rows->key_types);
	free(rows->values);
	free(rows->key);
	free(rows->key_place);
	free(rows);
}

size_t
rows_count(const struct rows *rows)
{
	return rows->hash.count;
}

size_t
rows_dirty_count(const struct rows *rows)
{
	return rows->dirty_count;
}

size_t
rows_dirty_bytes(const struct rows *rows)
{
	return rows->dirty_bytes;
}

size_t
rows_live_bytes(const struct rows *rows)
{
	return rows->live_bytes;
}

void
rows_rebind(struct rows *rows, const struct table *table)
{
	rows->table = table;
}

size_t
rows_overhead(void)
{
	return offsetof(struct row, bytes) + sizeof(struct hash_entry *);
}

uint32_t
rows_hash(const struct rows *rows, const struct value *key)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < rows->table->key_count; i++)
		hash = value_hash(&key[i], hash);
	return hash_fold(hash);
}

bool
rows_hash_packed(const struct rows *rows, const uint8_t *bytes, size_t len, bool whole,
		 uint32_t *hash)
{
	unsigned reach = whole ? rows->key_reach : rows->table->key_count;
	struct unpack unpack;

	unpack_init(&unpack, bytes, len);
	(void)unpack_array(&unpack);
	for (unsigned i = 0; i < reach; i++) {
		int place = whole ? rows->key_place[i] : (int)i;
		if (place < 0)
			unpack_skip(&unpack);
		else
			value_unpack(&unpack, rows->key_types[place], &rows->key[place]);
	}
	*hash = rows_hash(rows, rows->key);
	return !unpack.bad;
}

static bool
value_equals(const struct value *a, const struct value *b)
{
	if (a->kind == VALUE_NULL || b->kind == VALUE_NULL)
		return a->kind == b->kind;
	return value_compare(a, b) == 0;
}

static bool
row_has_key(const struct rows *rows, const struct row *row, const struct value *key)
{
	struct unpack unpack;

	unpack_init(&unpack, row->bytes, row->link.len);
	unpack.kept = true;
	(void)unpack_array(&unpack);
	for (unsigned i = 0; i < rows->key_reach; i++) {
		struct value value;
		if (rows->key_place[i] < 0) {
			unpack_skip(&unpack);
			continue;
		}
		value_unpack(&unpack, rows->types[i], &value);
		if (!value_equals(&value, &key[rows->key_place[i]]))
			return false;
	}
	return !unpack.bad;
}

void
rows_fetch_bucket(const struct rows *rows, uint32_t hash)
{
	hash_fetch(&rows->hash, hash);
}

void
rows_fetch_row(const struct rows *rows, uint32_t hash)
{
	hash_fetch_first(&rows->hash, hash);
}

void
rows_fetch_next(const struct rows *rows, uint32_t hash)
{
	hash_fetch_second(&rows->hash, hash);
}

struct row *
rows_find(const struct rows *rows, const struct value *key, uint32_t hash)
{
	struct hash_entry *entry = hash_chain(&rows->hash, hash);

	for (; entry != NULL; entry = entry->next) {
		struct row *row = (struct row *)entry;
		if (entry->hash == hash && row_has_key(rows, row, key))
			return row;
	}
	return NULL;
}

const uint8_t *
row_bytes(const struct row *row, size_t *len)
{
	*len = row->link.len;
	return row->bytes;
}

void
rows_read(const struct rows *rows, const struct row *row, struct value *values)
{
	INVARIANT(row_unpack_kept(row->bytes, row->link.len, rows->types, rows->table->column_count,
				  values));
}

/* Room for one more: where rows have left the list, or else more. */
static void
slots_grow(struct rows *rows)
{
	size_t kept = 0;

	if (rows->dirty_count >= rows->slots_room / 2) {
		rows->slots_room = rows->slots_room > 0 ? rows->slots_room * 2 : 64;
		rows->dirty = xreallocarray(rows->dirty, rows->slots_room, sizeof(*rows->dirty));
		return;
	}
	for (size_t i = 0; i < rows->slots; i++) {
		if (rows->dirty[i] == NULL)
			continue;
		rows->dirty[i]->slot = (uint32_t)kept;
		rows->dirty[kept++] = rows->dirty[i];
	}
	rows->slots = kept;
}

static void
row_mark(struct rows *rows, struct row *row, enum mark mark)
{
	if (rows->slots == rows->slots_room)
		slots_grow(rows);
	row->mark = (uint8_t)mark;
	row->slot = (uint32_t)rows->slots;
	rows->dirty[rows->slots++] = row;
	rows->dirty_count++;
	rows->dirty_bytes += row->link.len;
}

/* Up to the allocator's own step, so that a row that grows by little stays in place. */
static struct row *
row_alloc(struct row *old, size_t len)
{
	size_t size = (offsetof(struct row, bytes) + len + 8 + 15) / 16 * 16 - 8;
	struct row *row = xreallocarray(old, 1, size);

	row->room = (uint32_t)(size - offsetof(struct row, bytes));
	return row;
}

/* Put bytes into a row that is off the dirty list: `old`, grown and perhaps moved, or a new one. */
static struct row *
row_set(struct rows *rows, struct row *old, uint32_t hash, const uint8_t *bytes, size_t len)
{
	struct row *row = old;

	if (old == NULL || old->room < len) {
		if (old != NULL)
			hash_remove(&rows->hash, &old->link);
		row = row_alloc(old, len);
		row->link.hash = hash;
		if (old == NULL)
			row->link.len = 0;
		hash_insert(&rows->hash, &row->link);
	}
	rows->live_bytes += len - row->link.len;
	memcpy(row->bytes, bytes, len);
	row->link.len = (uint32_t)len;
	row->attempt = rows->attempt;
	return row;
}

static struct row *
row_write(struct rows *rows, struct row *old, uint32_t hash, const uint8_t *bytes, size_t len)
{
	enum mark mark = MARK_NEW;

	if (old != NULL && old->room >= len && old->mark != MARK_CLEAN) {
		rows->dirty_bytes += len - old->link.len;
		return row_set(rows, old, hash, bytes, len);
	}
	if (old != NULL) {
		/* The list points to it: it leaves the list before it moves. */
		mark = old->mark == MARK_NEW ? MARK_NEW : MARK_CHANGED;
		row_clean(rows, old);
	}
	struct row *row = row_set(rows, old, hash, bytes, len);
	row_mark(rows, row, mark);
	return row;
}

void
rows_put(struct rows *rows, struct row *old, uint32_t hash, const uint8_t *bytes, size_t len)
{
	(void)row_write(rows, old, hash, bytes, len);
}

void
rows_put_streamed(struct rows *rows, struct row *old, uint32_t hash, const uint8_t *bytes,
		  size_t len)
{
	uint32_t attempt = old != NULL ? old->attempt : rows->attempt - rows->attempt_open;

	row_write(rows, old, hash, bytes, len)->attempt = attempt;
}

void
rows_keep(struct rows *rows, struct row *row)
{
	row->attempt = rows->attempt;
}

/* The spans of the key's columns in a row, in key order; how many bytes they are together. */
static size_t
row_key_spans(const struct rows *rows, const struct row *row, struct value *spans)
{
	struct unpack unpack;
	size_t sum = 0;

	unpack_init(&unpack, row->bytes, row->link.len);
	(void)unpack_array(&unpack);
	for (unsigned i = 0; i < rows->key_reach; i++) {
		size_t len;
		const uint8_t *span = unpack_span(&unpack, &len);
		if (rows->key_place[i] < 0)
			continue;
		spans[rows->key_place[i]] =
		    (struct value){.s = (const char *)span, .len = (uint32_t)len};
		sum += len;
	}
	INVARIANT(!unpack.bad);
	return sum;
}

static void
row_bury(struct rows *rows, const struct row *row)
{
	const unsigned count = rows->table->key_count;
	size_t len = row_key_spans(rows, row, rows->key) + 1 + 5; /* nil, and an array's head */
	struct row *dead = row_alloc(NULL, len);
	struct pack pack;

	pack_init(&pack, dead->bytes, len);
	pack_nil(&pack);
	pack_array(&pack, count);
	for (unsigned i = 0; i < count; i++)
		pack_raw(&pack, rows->key[i].s, rows->key[i].len);
	INVARIANT(!pack.overflow);
	dead->link.len = (uint32_t)pack_len(&pack);
	row_mark(rows, dead, MARK_DEAD);
}

static void
row_drop(struct rows *rows, struct row *row)
{
	row_clean(rows, row);
	rows->live_bytes -= row->link.len;
	hash_remove(&rows->hash, &row->link);
	free(row);
}

void
rows_remove(struct rows *rows, struct row *row)
{
	if (row->mark != MARK_NEW)
		row_bury(rows, row);
	row_drop(rows, row);
}

void
rows_attempt_begin(struct rows *rows)
{
	rows->attempt++;
	rows->attempt_open = true;
}

bool
rows_attempt_open(const struct rows *rows)
{
	return rows->attempt_open;
}

void
rows_attempt_end(struct rows *rows)
{
	rows->attempt_open = false;
}

struct row *
rows_next(const struct rows *rows, struct rows_cursor *cursor)
{
	struct row *row;

	if (!cursor->walk.started)
		cursor->next = (struct row *)hash_walk(&rows->hash, &cursor->walk, NULL);
	row = cursor->next;
	if (row != NULL)
		cursor->next = (struct row *)hash_walk(&rows->hash, &cursor->walk, &row->link);
	return row;
}

struct row *
rows_stale(const struct rows *rows, struct rows_cursor *cursor)
{
	struct row *row;

	do
		row = rows_next(rows, cursor);
	while (row != NULL && row->attempt == rows->attempt);
	return row;
}

void
rows_write_segment(const struct rows *rows, unsigned bits, uint32_t segment, struct part_sink *sink)
{
	struct hash_walk walk = {.segment = segment, .bits = bits};
	struct hash_entry *entry = NULL;

	while ((entry = hash_walk(&rows->hash, &walk, entry)) != NULL)
		sink_put(sink, ((struct row *)entry)->bytes, entry->len);
}

/* A row, whose values are then in rows->values, or a tombstone; its key is in rows->key. */
static bool
entry_read(struct rows *rows, struct unpack *u, bool *dead, const uint8_t **span, size_t *len)
{
	const struct table *table = rows->table;

	*dead = unpack_nil(u);
	*span = unpack_span(u, len);
	if (u->bad)
		return false;
	if (*dead)
		return row_unpack(*span, *len, rows->key_types, table->key_count, rows->key);
	if (!row_unpack(*span, *len, rows->types, table->column_count, rows->values))
		return false;
	for (unsigned i = 0; i < table->key_count; i++)
		rows->key[i] = rows->values[table->key[i]];
	return true;
}

bool
rows_load(struct rows *rows, const uint8_t *entries, size_t len,
	  const struct segment_filter *filter, uint64_t *taken)
{
	struct unpack unpack;
	const uint8_t *span;
	size_t span_len;
	bool dead;

	unpack_init(&unpack, entries, len);
	while (unpack.at < unpack.end) {
		if (!entry_read(rows, &unpack, &dead, &span, &span_len))
			return false;
		uint32_t hash = rows_hash(rows, rows->key);
		if (!filter_wants(filter, hash))
			continue;
		/* What the filter lets pass of a full copy comes first and once. */
		struct row *row =
		    filter->kind == PART_FULL ? NULL : rows_find(rows, rows->key, hash);
		if (!dead)
			row = row_set(rows, row, hash, span, span_len);
		else if (row != NULL)
			row_drop(rows, row);
		if (!dead)
			row->mark = MARK_CLEAN;
		++*taken;
	}
	return true;
}
