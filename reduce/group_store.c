/*
 * group_store.c - groups as entries of a checkpoint (group.h), written and read.
 */
#include <stdlib.h>

#include "common/log.h"
#include "common/pack.h"
#include "reduce/group_state.h"
#include "reduce/mark.h"
#include "reduce/part.h"

size_t
groups_dirty_count(const struct groups *groups)
{
	return groups->dirty_count;
}

size_t
groups_dirty_bytes(const struct groups *groups)
{
	return groups->dirty_bytes;
}

size_t
groups_live_bytes(const struct groups *groups)
{
	size_t each = 8 + 16 * (size_t)groups->argument_count;

	return groups->hash.count * each + groups->key_bytes + groups->node_bytes;
}

/* The scratch buffer for an entry; again and larger after an overflow. */
static void
entry_begin(struct groups *groups, struct pack *pack)
{
	if (pack->overflow) {
		groups->row = xreallocarray(groups->row, groups->row_room, 2);
		groups->row_room *= 2;
	}
	pack_init(pack, groups->row, groups->row_room);
}

static void
key_write(struct groups *groups, const struct group *group, bool gone, struct part_sink *sink)
{
	struct pack pack = {.overflow = false};

	do {
		entry_begin(groups, &pack);
		pack_array(&pack, gone ? 1 : 2);
		pack_bin(&pack, group_key(groups, group), group->link.len);
		if (gone)
			continue;
		pack_array(&pack, 1 + 2 * groups->argument_count);
		pack_int(&pack, group->rows);
		for (unsigned i = 0; i < groups->argument_count; i++)
			aggregate_pack(&group->aggregate[i], groups->arguments[i].needs,
				       groups->arguments[i].type, &pack);
	} while (pack.overflow);
	sink_put(sink, groups->row, pack_len(&pack));
}

static void
node_write(struct groups *groups, const struct multiset_node *node, unsigned argument,
	   struct part_sink *sink)
{
	struct pack pack = {.overflow = false};

	do {
		entry_begin(groups, &pack);
		aggregate_node_pack(node, argument, &pack);
	} while (pack.overflow);
	sink_put(sink, groups->row, pack_len(&pack));
}

static void
group_write(struct groups *groups, const struct group *group, struct part_sink *sink)
{
	key_write(groups, group, false, sink);
	for (unsigned i = 0; i < groups->argument_count; i++) {
		struct multiset_path path;
		for (const struct multiset_node *node =
			 multiset_first(&group->aggregate[i].order, &path);
		     node != NULL; node = multiset_next(&path))
			node_write(groups, node, i, sink);
	}
}

static void
group_write_changes(struct groups *groups, struct group *group, struct part_sink *sink)
{
	const struct multiset_node *node;
	unsigned argument;

	key_write(groups, group, false, sink);
	while ((node = aggregate_change(&group->changes, &argument)) != NULL) {
		node_write(groups, node, argument, sink);
		aggregate_change_done(&group->changes);
	}
}

void
groups_write_delta(struct groups *groups, struct part_sink *sink)
{
	struct group *group;

	while ((group = TAILQ_FIRST(&groups->dirty)) != NULL) {
		if (group->mark == MARK_DEAD || group->mark == MARK_RESET)
			key_write(groups, group, true, sink);
		if (group->mark == MARK_CHANGED)
			group_write_changes(groups, group, sink);
		else if (group->mark != MARK_DEAD)
			group_write(groups, group, sink);
		group_clean(groups, group);
	}
}

void
groups_write_segment(struct groups *groups, unsigned bits, uint32_t segment, struct part_sink *sink)
{
	struct hash_walk walk = {.segment = segment, .bits = bits};
	struct hash_entry *entry = NULL;

	while ((entry = hash_walk(&groups->hash, &walk, entry)) != NULL)
		group_write(groups, (struct group *)entry, sink);
}

/* Only a key's bytes are compared and shown: they must be the values that they should be. */
static bool
key_is_valid(struct groups *groups, const uint8_t *key, size_t len)
{
	struct unpack unpack;

	unpack_init(&unpack, key, len);
	for (unsigned i = 0; i < groups->view->group_count; i++)
		value_unpack(&unpack, groups->key_types[i], &groups->key_values[i]);
	return !unpack.bad && unpack.at == unpack.end;
}

static void
load_gone(struct groups *groups, const uint8_t *key, size_t len, uint32_t hash)
{
	struct group *group = group_find(groups, key, len, hash);

	if (group != NULL) {
		group_leave(groups, group);
		group_free(groups, group);
	}
	groups->loading = NULL;
}

static bool
load_group(struct groups *groups, uint32_t fields, struct unpack *u,
	   const struct segment_filter *filter)
{
	uint32_t len;
	const uint8_t *key = unpack_bin(u, &len);

	if (u->bad || !key_is_valid(groups, key, len))
		return false;
	uint32_t hash = group_hash(key, len);
	groups->loading = NULL;
	if (!filter_wants(filter, hash)) {
		if (fields == 2)
			unpack_skip(u);
		return !u->bad;
	}
	if (fields == 1) {
		load_gone(groups, key, len, hash);
		return true;
	}
	struct group *group = group_find(groups, key, len, hash);
	if (group == NULL)
		group = group_new(groups, key, len, hash);
	groups->loading = group;
	if (unpack_array(u) != 1 + 2 * groups->argument_count)
		return false;
	group->rows = unpack_int(u);
	for (unsigned i = 0; i < groups->argument_count; i++)
		if (!aggregate_unpack(&group->aggregate[i], groups->arguments[i].needs,
				      groups->arguments[i].type, u))
			return false;
	return !u->bad;
}

static bool
load_node(struct groups *groups, struct unpack *u)
{
	uint64_t argument = unpack_uint(u);
	struct value value;

	if (u->bad || argument >= groups->argument_count ||
	    (groups->arguments[argument].needs & AGGREGATE_ORDER) == 0)
		return false;
	value_unpack(u, groups->arguments[argument].type, &value);
	int64_t count = unpack_int(u);
	if (u->bad || value.kind == VALUE_NULL || value.kind == VALUE_UNCHANGED)
		return false;
	if (groups->loading == NULL)
		return true;
	int grown = aggregate_set(&groups->loading->aggregate[argument], &value, count);
	groups->node_bytes += (size_t)grown * group_value_size(&value);
	return true;
}

bool
groups_load(struct groups *groups, const uint8_t *entries, size_t len,
	    const struct segment_filter *filter, bool *first, uint64_t *taken)
{
	struct unpack unpack;

	if (*first)
		groups->loading = NULL;
	*first = false;
	unpack_init(&unpack, entries, len);
	while (unpack.at < unpack.end) {
		uint32_t fields = unpack_array(&unpack);
		bool fine = fields == 3 ? load_node(groups, &unpack)
					: (fields == 1 || fields == 2) &&
					      load_group(groups, fields, &unpack, filter);
		if (!fine || unpack.bad)
			return false;
		*taken += groups->loading != NULL;
	}
	return true;
}

void
groups_load_end(struct groups *groups)
{
	struct hash_entry *entry;
	struct hash_walk walk = {0};

	groups->loading = NULL;
	for (entry = hash_walk(&groups->hash, &walk, NULL); entry != NULL;
	     entry = hash_walk(&groups->hash, &walk, entry))
		group_touch(groups, (struct group *)entry);
}
