#include "reduce/rows.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"
#include "reduce/hash.h"

struct row {
	struct hash_entry link; /* len: bytes of the row */
	TAILQ_ENTRY(row) dirty_link;
	uint32_t attempt;
	uint32_t room; /* bytes allocated for the row */
	bool dirty;    /* on the dirty list */
	uint8_t bytes[];
};

TAILQ_HEAD(row_list, row);

struct rows {
	const struct table *table;
	enum type *types;
	int *key_place;     /* of each column: its place in the key, or -1 */
	unsigned key_reach; /* columns up to the last key column */
	struct hash hash;
	struct row_list dirty;
	size_t dirty_count;
	uint32_t attempt;
	bool attempt_open;
};

struct rows *
rows_new(const struct table *table)
{
	struct rows *rows = xcalloc(1, sizeof(*rows));

	rows->table = table;
	rows->types = xcalloc(table->column_count, sizeof(*rows->types));
	rows->key_place = xcalloc(table->column_count, sizeof(*rows->key_place));
	for (unsigned i = 0; i < table->column_count; i++) {
		rows->types[i] = table->columns[i].type;
		rows->key_place[i] = -1;
	}
	for (unsigned i = 0; i < table->key_count; i++) {
		rows->key_place[table->key[i]] = (int)i;
		if (table->key[i] >= rows->key_reach)
			rows->key_reach = table->key[i] + 1;
	}
	hash_init(&rows->hash);
	TAILQ_INIT(&rows->dirty);
	return rows;
}

void
rows_free(struct rows *rows)
{
	struct hash_entry *entry, *next;
	size_t bucket = 0;

	if (rows == NULL)
		return;
	for (entry = hash_walk(&rows->hash, &bucket, NULL); entry != NULL; entry = next) {
		next = hash_walk(&rows->hash, &bucket, entry);
		free(entry);
	}
	hash_fini(&rows->hash);
	free(rows->types);
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
	INVARIANT(
	    row_unpack(row->bytes, row->link.len, rows->types, rows->table->column_count, values));
}

static void
row_mark_dirty(struct rows *rows, struct row *row)
{
	if (row->dirty)
		return;
	row->dirty = true;
	TAILQ_INSERT_TAIL(&rows->dirty, row, dirty_link);
	rows->dirty_count++;
}

static void
row_unmark_dirty(struct rows *rows, struct row *row)
{
	if (!row->dirty)
		return;
	row->dirty = false;
	TAILQ_REMOVE(&rows->dirty, row, dirty_link);
	rows->dirty_count--;
}

/* A block for `len` bytes: a new row, or `old` grown and perhaps moved. */
static struct row *
row_resize(struct rows *rows, struct row *old, uint32_t hash, size_t len)
{
	/* Up to the allocator's own step, so that a row that grows by little stays in place. */
	size_t size = (offsetof(struct row, bytes) + len + 8 + 15) / 16 * 16 - 8;
	struct row *row;

	if (old != NULL) {
		/* Its neighbours on the list point to it: it leaves the list before it moves. */
		row_unmark_dirty(rows, old);
		hash_remove(&rows->hash, &old->link);
	}
	row = xreallocarray(old, 1, size);
	row->room = (uint32_t)(size - offsetof(struct row, bytes));
	row->dirty = false;
	row->link.hash = hash;
	hash_insert(&rows->hash, &row->link);
	return row;
}

void
rows_put(struct rows *rows, struct row *old, uint32_t hash, const uint8_t *bytes, size_t len)
{
	struct row *row = old;

	if (row == NULL || row->room < len)
		row = row_resize(rows, row, hash, len);
	memcpy(row->bytes, bytes, len);
	row->link.len = (uint32_t)len;
	row->attempt = rows->attempt;
	row_mark_dirty(rows, row);
}

void
rows_keep(struct rows *rows, struct row *row)
{
	row->attempt = rows->attempt;
}

void
rows_remove(struct rows *rows, struct row *row)
{
	row_unmark_dirty(rows, row);
	hash_remove(&rows->hash, &row->link);
	free(row);
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
rows_stale(const struct rows *rows, struct rows_cursor *cursor)
{
	struct row *row;

	if (!cursor->started)
		cursor->next = (struct row *)hash_walk(&rows->hash, &cursor->bucket, NULL);
	cursor->started = true;
	do {
		row = cursor->next;
		if (row == NULL)
			return NULL;
		cursor->next = (struct row *)hash_walk(&rows->hash, &cursor->bucket, &row->link);
	} while (row->attempt == rows->attempt);
	return row;
}
