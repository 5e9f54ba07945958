/*
 * group_state.h - the inside of group.h, shared by group.c and group_store.c.
 */
#ifndef GROUP_STATE_H
#define GROUP_STATE_H

#include "common/scalar.h"
#include "reduce/aggregate.h"
#include "reduce/book.h"
#include "reduce/group.h"
#include "reduce/hash.h"
#include "reduce/pending.h"

#define NOWHERE UINT32_MAX

struct group {
	struct hash_entry link; /* len: bytes of the key */
	struct group *next;     /* on the touched list */
	int64_t rows;
	uint8_t *shown; /* heap; NULL: nothing is shown */
	uint32_t shown_len;
	uint16_t pending; /* from 1: its place in pending.groups; 0: no change waits */
	bool touched;
	uint8_t mark; /* enum mark */
	TAILQ_ENTRY(group) dirty_link;
	struct aggregate_changes changes; /* of a clean or changed group */
	struct aggregate aggregate[];     /* one for each argument, then the key's bytes */
};

TAILQ_HEAD(group_list, group);

struct argument { /* a column that aggregates need, once for each view */
	unsigned column;
	enum type type;
	unsigned needs;
};

struct groups {
	const struct view *view;
	const struct table *table;
	struct argument *arguments;
	unsigned argument_count;
	unsigned *output_argument; /* of each output: its argument, or NOWHERE */
	unsigned *output_key;      /* of each output: its place in the key, or NOWHERE */
	enum type *key_types;
	struct value *key_values; /* room for one key */
	struct value *extended;   /* a row and what is computed from it */
	struct scalar_room room;
	bool selected; /* WHERE holds for the row that was computed last */
	struct hash hash;
	struct group *recent;       /* the one found last; NULL: it may be gone */
	struct group *first, *last; /* touched */
	struct pending pending;
	uint8_t *key, *row; /* scratch */
	size_t key_room, row_room;
	size_t shown_count;
	bool tracked; /* groups are stored in checkpoints */
	struct group_list dirty;
	size_t dirty_count, dirty_bytes, node_bytes, key_bytes;
	struct group *loading; /* the group that values belong to; NULL: they are not wanted */
};

uint8_t *group_key(const struct groups *, const struct group *);
uint32_t group_hash(const uint8_t *key, size_t len);
struct group *group_find(const struct groups *, const uint8_t *key, size_t len, uint32_t hash);

/* The same, and made if it is not there. */
struct group *group_get(struct groups *, const uint8_t *key, size_t len, uint32_t hash);

/* A group that is not there yet; it is clean. */
struct group *group_new(struct groups *, const uint8_t *key, size_t len, uint32_t hash);

/* Take it out of the table. */
void group_leave(struct groups *, struct group *);

/* It and what it holds; it is in no table and on no list. */
void group_free(const struct groups *, struct group *);

void group_touch(struct groups *, struct group *);

/* It is as stored from now on; a tombstone goes away. */
void group_clean(struct groups *, struct group *);

/* About what a value of a multiset has in a checkpoint. */
size_t group_value_size(const struct value *);

#endif
