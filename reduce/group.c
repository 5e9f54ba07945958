#include "reduce/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/expr.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"
#include "reduce/group_state.h"
#include "reduce/mark.h"

#define SCRATCH_MIN 256
static unsigned
argument_add(struct groups *groups, unsigned column, unsigned needs)
{
	unsigned i = 0;

	while (i < groups->argument_count && groups->arguments[i].column != column)
		i++;
	if (i == groups->argument_count) {
		groups->arguments[i] = (struct argument){
		    .column = column,
		    .type = view_column(groups->view, groups->table, column)->type,
		};
		groups->argument_count++;
	}
	groups->arguments[i].needs |= needs;
	return i;
}

static unsigned
output_needs(enum output_kind kind)
{
	if (kind == OUTPUT_MIN || kind == OUTPUT_MAX)
		return AGGREGATE_ORDER;
	return kind == OUTPUT_SUM || kind == OUTPUT_AVG ? AGGREGATE_SUM : 0;
}

/*
 * What a group shows of its key, where equal values are not the same, must not depend on the order of
 * arrival: of numerics without a declared scale the largest scale among its rows, for which the
 * sum's book of scales is kept; of intervals the one with the most months.
 */
static unsigned
group_column_needs(const struct column *column)
{
	if (column->type == TYPE_NUMERIC && column->scale < 0)
		return AGGREGATE_SUM;
	return column->type == TYPE_INTERVAL ? AGGREGATE_ORDER : 0;
}

/* What is computed of a numeric may have another scale than it is said to have. */
static bool
argument_is_ranked(const struct groups *groups, const struct argument *argument)
{
	const struct column *column = view_column(groups->view, groups->table, argument->column);

	return (argument->needs & AGGREGATE_ORDER) != 0 && column_has_whole_ranks(column) &&
	       (argument->column < groups->table->column_count || column->type != TYPE_NUMERIC);
}

static void
groups_plan(struct groups *groups)
{
	const struct view *view = groups->view;

	for (unsigned i = 0; i < view->output_count; i++) {
		const struct output *output = &view->outputs[i];
		unsigned needs = output_needs(output->kind);
		groups->output_argument[i] = groups->output_key[i] = NOWHERE;
		if (output->kind == OUTPUT_GROUP) {
			for (unsigned k = 0; k < view->group_count; k++)
				if (view->group[k] == output->column)
					groups->output_key[i] = k;
			INVARIANT(groups->output_key[i] != NOWHERE);
			needs =
			    group_column_needs(view_column(view, groups->table, output->column));
			if (needs == 0)
				continue;
		} else if (output->kind == OUTPUT_COUNT_ROWS) {
			continue;
		}
		groups->output_argument[i] = argument_add(groups, output->column, needs);
	}
	/* What a checkpoint stores of a multiset is noted at its nodes. */
	for (unsigned i = 0; i < groups->argument_count && !groups->tracked; i++)
		if (argument_is_ranked(groups, &groups->arguments[i]))
			groups->arguments[i].needs |= AGGREGATE_RANKS;
}

struct groups *
groups_new(const struct view *view, const struct table *table)
{
	struct groups *groups = xcalloc(1, sizeof(*groups));

	groups->view = view;
	groups->table = table;
	groups->arguments = xcalloc(view->output_count + 1, sizeof(*groups->arguments));
	groups->output_argument = xcalloc(view->output_count + 1, sizeof(unsigned));
	groups->output_key = xcalloc(view->output_count + 1, sizeof(unsigned));
	groups->key_types = xcalloc(view->group_count + 1, sizeof(*groups->key_types));
	groups->key_values = xcalloc(view->group_count + 1, sizeof(*groups->key_values));
	for (unsigned i = 0; i < view->group_count; i++)
		groups->key_types[i] = view_column(view, table, view->group[i])->type;
	groups->extended =
	    xcalloc(table->column_count + view->computed_count + 1, sizeof(*groups->extended));
	scalar_room_init(&groups->room, table);
	groups->key_room = groups->row_room = SCRATCH_MIN;
	groups->key = xcalloc(1, groups->key_room);
	groups->row = xcalloc(1, groups->row_room);
	groups->tracked = table->key_count == 0;
	groups_plan(groups);
	hash_init(&groups->hash);
	TAILQ_INIT(&groups->dirty);
	return groups;
}

uint8_t *
group_key(const struct groups *groups, const struct group *group)
{
	return (uint8_t *)(uintptr_t)&group->aggregate[groups->argument_count];
}

static void
group_clear(const struct groups *groups, struct group *group)
{
	aggregate_forget(&group->changes);
	for (unsigned i = 0; i < groups->argument_count; i++)
		aggregate_clear(&group->aggregate[i], groups->arguments[i].needs,
				groups->arguments[i].type);
	group->rows = 0;
}

void
group_free(const struct groups *groups, struct group *group)
{
	group_clear(groups, group);
	free(group->shown);
	free(group);
}

/* Of a group in a checkpoint, beside its values. */
static size_t
group_size(const struct groups *groups, const struct group *group)
{
	return 8 + group->link.len + 16 * (size_t)groups->argument_count;
}

size_t
group_value_size(const struct value *v)
{
	return value_has_bytes(v) ? 5 + (size_t)v->len : 9;
}

static void
group_mark(struct groups *groups, struct group *group, enum mark mark)
{
	if (!groups->tracked)
		return;
	if (group->mark == MARK_CLEAN) {
		TAILQ_INSERT_TAIL(&groups->dirty, group, dirty_link);
		groups->dirty_count++;
		groups->dirty_bytes += group_size(groups, group);
	}
	group->mark = (uint8_t)mark;
}

/* It is as stored from now on; a tombstone goes away. */
void
group_clean(struct groups *groups, struct group *group)
{
	if (group->mark == MARK_CLEAN)
		return;
	TAILQ_REMOVE(&groups->dirty, group, dirty_link);
	groups->dirty_count--;
	if (TAILQ_EMPTY(&groups->dirty))
		groups->dirty_bytes = 0;
	aggregate_forget(&group->changes);
	if (group->mark == MARK_DEAD)
		group_free(groups, group);
	else
		group->mark = MARK_CLEAN;
}

void
groups_clear_dirty(struct groups *groups)
{
	struct group *group;

	while ((group = TAILQ_FIRST(&groups->dirty)) != NULL)
		group_clean(groups, group);
}

void
groups_free(struct groups *groups)
{
	struct hash_entry *entry, *next;
	struct hash_walk walk = {0};

	if (groups == NULL)
		return;
	groups_clear_dirty(groups);
	for (entry = hash_walk(&groups->hash, &walk, NULL); entry != NULL; entry = next) {
		next = hash_walk(&groups->hash, &walk, entry);
		group_free(groups, (struct group *)entry);
	}
	hash_fini(&groups->hash);
	free(groups->arguments);
	free(groups->output_argument);
	free(groups->output_key);
	free(groups->key_types);
	free(groups->key_values);
	free(groups->extended);
	scalar_room_fini(&groups->room);
	pending_free(&groups->pending);
	free(groups->key);
	free(groups->row);
	free(groups);
}

size_t
groups_count(const struct groups *groups)
{
	return groups->hash.count;
}

size_t
groups_shown_count(const struct groups *groups)
{
	return groups->shown_count;
}

void
groups_rebind(struct groups *groups, const struct view *view, const struct table *table)
{
	groups->view = view;
	groups->table = groups->room.table = table;
}

/* Pack the key of a row into the scratch buffer; its length. */
static size_t
key_pack(struct groups *groups, const struct value *row)
{
	const struct view *view = groups->view;
	char normal[VALUE_NORMAL_ROOM];
	struct pack pack;

	if (view->group_count == 0)
		return 0;
	for (;;) {
		pack_init(&pack, groups->key, groups->key_room);
		for (unsigned i = 0; i < view->group_count; i++) {
			struct value value = value_normal(&row[view->group[i]], normal);
			value_pack(&pack, &value);
		}
		if (!pack.overflow)
			return pack_len(&pack);
		groups->key = xreallocarray(groups->key, groups->key_room, 2);
		groups->key_room *= 2;
	}
}

struct group *
group_find(const struct groups *groups, const uint8_t *key, size_t len, uint32_t hash)
{
	struct hash_entry *entry = hash_chain(&groups->hash, hash);

	for (; entry != NULL; entry = entry->next) {
		struct group *group = (struct group *)entry;
		if (entry->hash == hash && entry->len == len &&
		    memcmp(group_key(groups, group), key, len) == 0)
			return group;
	}
	return NULL;
}

struct group *
group_new(struct groups *groups, const uint8_t *key, size_t len, uint32_t hash)
{
	size_t aggregates = groups->argument_count * sizeof(struct aggregate);
	struct group *group = xcalloc(1, sizeof(*group) + aggregates + len);

	group->link.hash = hash;
	group->link.len = (uint32_t)len;
	memcpy(group_key(groups, group), key, len);
	hash_insert(&groups->hash, &group->link);
	groups->key_bytes += len;
	return group;
}

void
group_leave(struct groups *groups, struct group *group)
{
	hash_remove(&groups->hash, &group->link);
	groups->key_bytes -= group->link.len;
	groups->recent = NULL;
}

uint32_t
group_hash(const uint8_t *key, size_t len)
{
	return hash_fold(value_hash_bytes(key, len, 0));
}

struct group *
group_get(struct groups *groups, const uint8_t *key, size_t len, uint32_t hash)
{
	struct group *group = group_find(groups, key, len, hash);

	if (group == NULL) {
		group = group_new(groups, key, len, hash);
		group_mark(groups, group, MARK_NEW);
	}
	return group;
}

/* A row that changes seldom leaves its group. */
static struct group *
group_again(struct groups *groups, size_t len)
{
	struct group *group = groups->recent;

	if (group == NULL || group->link.len != len ||
	    memcmp(group_key(groups, group), groups->key, len) != 0)
		group = group_get(groups, groups->key, len, group_hash(groups->key, len));
	groups->recent = group;
	return group;
}

void
group_touch(struct groups *groups, struct group *group)
{
	if (group->touched)
		return;
	group->touched = true;
	group->next = NULL;
	if (groups->last != NULL)
		groups->last->next = group;
	else
		groups->first = group;
	groups->last = group;
}

#ifdef TALLYD_FAULTS
/* TALLYD_REFUSED_ROWS=VIEW:NUMBER, only in a build for tests: rows that have it in some column. */
static bool
compute_is_refused(const struct groups *groups, const struct value *row)
{
	const char *refused = getenv("TALLYD_REFUSED_ROWS"), *colon;

	if (refused == NULL || (colon = strchr(refused, ':')) == NULL ||
	    strlen(groups->view->name) != (size_t)(colon - refused) ||
	    strncmp(refused, groups->view->name, (size_t)(colon - refused)) != 0)
		return false;
	for (unsigned i = 0; i < groups->table->column_count; i++)
		if (row[i].kind == VALUE_INT && row[i].i == strtoll(colon + 1, NULL, 10))
			return true;
	return false;
}
#else
#define compute_is_refused(groups, row) false
#endif

/* The row, then each computed value; NULL: room.problem. */
static const struct value *
compute_values(struct groups *groups, const struct value *row)
{
	const struct view *view = groups->view;
	unsigned count = groups->table->column_count;

	if (view->computed_count == 0)
		return row;
	memcpy(groups->extended, row, count * sizeof(*row));
	for (unsigned i = 0; i < view->computed_count; i++)
		if (!scalar_eval(view->computed[i].expr, row, &groups->room,
				 &groups->extended[count + i]))
			return NULL;
	return groups->extended;
}

const struct value *
groups_compute(struct groups *groups, const struct value *row, char *error, size_t error_size)
{
	const struct expr *where = groups->view->where;
	enum truth truth = TRUTH_TRUE;
	const struct value *computed = row;

	if (compute_is_refused(groups, row)) {
		(void)snprintf(error, error_size, "the row is refused by a test");
		return NULL;
	}
	scalar_room_reset(&groups->room);
	if (where != NULL)
		truth = expr_eval(where, row, &groups->room);
	groups->selected = truth == TRUTH_TRUE;
	if (groups->selected)
		computed = compute_values(groups, row);
	if (truth != TRUTH_FAILED && computed != NULL)
		return computed;
	(void)snprintf(error, error_size, "%s", groups->room.problem);
	return NULL;
}

void
groups_apply(struct groups *groups, const struct value *row, int diff)
{
	if (!groups->selected)
		return;
	size_t len = key_pack(groups, row);
	if (pending_take_row(groups, row, diff, len))
		return;
	struct group *group = group_again(groups, len);
	struct aggregate_changes *changes = NULL;
	if (groups->tracked && group->mark <= MARK_CHANGED && group->mark != MARK_NEW) {
		group_mark(groups, group, MARK_CHANGED);
		changes = &group->changes;
	}
	group->rows += diff;
	for (unsigned i = 0; i < groups->argument_count; i++) {
		const struct argument *argument = &groups->arguments[i];
		const struct value *value = &row[argument->column];
		if (value->kind == VALUE_NULL)
			continue;
		if ((argument->needs & AGGREGATE_RANKS) != 0) {
			pending_add(groups, group, i, value_rank(value), diff);
			continue;
		}
		int grown = aggregate_add(&group->aggregate[i], argument->needs, argument->type,
					  value, diff, changes, i);
		if ((argument->needs & AGGREGATE_ORDER) == 0)
			continue;
		groups->node_bytes += (size_t)grown * group_value_size(value);
		groups->dirty_bytes += groups->tracked ? group_value_size(value) : 0;
	}
	group_touch(groups, group);
}

struct group *
groups_touched(struct groups *groups)
{
	pending_find_groups(groups);
	return groups->first;
}

/* A numeric of the key with `scale` digits after the point; text holds AGGREGATE_TEXT_MAX bytes. */
static void
key_widen(struct value *v, int scale, char *text)
{
	int zeros = scale - decimal_scale(v->s, v->len);

	if (zeros <= 0 || v->len + (size_t)zeros + 1 > AGGREGATE_TEXT_MAX)
		return;
	memcpy(text, v->s, v->len);
	if (memchr(text, '.', v->len) == NULL)
		text[v->len++] = '.';
	memset(text + v->len, '0', (size_t)zeros);
	v->len += (uint32_t)zeros;
	v->s = text;
}

static void
output_key(const struct groups *groups, const struct group *group, unsigned i, char *text,
	   struct value *value)
{
	unsigned argument = groups->output_argument[i];

	*value = groups->key_values[groups->output_key[i]];
	if (value->kind == VALUE_INTERVAL && argument != NOWHERE)
		(void)aggregate_result(&group->aggregate[argument], OUTPUT_MIN, TYPE_INTERVAL, text,
				       value);
	if (value->kind != VALUE_DECIMAL || decimal_is_special(value->s, value->len))
		return;
	if (argument == NOWHERE)
		key_widen(value,
			  view_column(groups->view, groups->table, groups->view->outputs[i].column)
			      ->scale,
			  text);
	else if (group->aggregate[argument].decimal != NULL)
		key_widen(value, decimal_sum_scale(group->aggregate[argument].decimal), text);
}

static const char *
output_result(const struct groups *groups, struct group *group, unsigned i, char *text,
	      struct value *value)
{
	enum output_kind kind = groups->view->outputs[i].kind;
	unsigned place = groups->output_argument[i];
	const struct argument *argument = &groups->arguments[place];
	struct aggregate *aggregate = &group->aggregate[place];

	if ((argument->needs & AGGREGATE_RANKS) == 0)
		return aggregate_result(aggregate, kind, argument->type, text, value);
	return aggregate_result_ranked(aggregate, kind,
				       view_column(groups->view, groups->table, argument->column),
				       text, value);
}

/* Pack one output. Returns NULL or a static sentence. */
static const char *
output_pack(const struct groups *groups, struct group *group, unsigned i, struct pack *pack)
{
	const struct output *output = &groups->view->outputs[i];
	char text[AGGREGATE_TEXT_MAX];
	const char *problem = NULL;
	struct value value;

	if (output->kind == OUTPUT_COUNT_ROWS)
		value = (struct value){.kind = VALUE_INT, .i = group->rows};
	else if (output->kind == OUTPUT_GROUP)
		output_key(groups, group, i, text, &value);
	else
		problem = output_result(groups, group, i, text, &value);
	if (problem == NULL)
		value_pack(pack, &value);
	return problem;
}

static void
key_unpack(struct groups *groups, const struct group *group)
{
	struct unpack unpack;

	unpack_init(&unpack, group_key(groups, group), group->link.len);
	for (unsigned i = 0; i < groups->view->group_count; i++)
		value_unpack(&unpack, groups->key_types[i], &groups->key_values[i]);
	INVARIANT(!unpack.bad);
}

char *
groups_render(struct groups *groups, struct group *group, const uint8_t **row, size_t *len)
{
	const struct view *view = groups->view;
	struct pack pack;

	groups_apply_pending(groups);
	*row = groups->row;
	*len = 0;
	if (group->rows <= 0)
		return NULL;
	key_unpack(groups, group);
	for (;;) {
		pack_init(&pack, groups->row, groups->row_room);
		pack_array(&pack, view->output_count);
		for (unsigned i = 0; i < view->output_count; i++) {
			const char *problem = output_pack(groups, group, i, &pack);
			if (problem != NULL)
				return xasprintf("column \"%s\" of view \"%s\" %s",
						 view->outputs[i].name, view->name, problem);
		}
		*row = groups->row;
		*len = pack_len(&pack);
		if (!pack.overflow)
			return NULL;
		groups->row = xreallocarray(groups->row, groups->row_room, 2);
		groups->row_room *= 2;
	}
}

const uint8_t *
group_shown(const struct group *group, size_t *len)
{
	*len = group->shown_len;
	return group->shown;
}

/* Counts of rows and values that cancel out are not enough: one partition may be ahead of another,
 * and then what is left of a sum must wait for the rest. */
static bool
group_is_empty(const struct groups *groups, struct group *group)
{
	if (group->rows != 0)
		return false;
	for (unsigned i = 0; i < groups->argument_count; i++)
		if (!aggregate_is_empty(&group->aggregate[i], groups->arguments[i].needs,
					groups->arguments[i].type))
			return false;
	return true;
}

/* Nothing is left in it. If a checkpoint knows it, a tombstone is. */
static void
group_end(struct groups *groups, struct group *group)
{
	bool known = groups->tracked && group->mark != MARK_NEW;

	group_leave(groups, group);
	group_clean(groups, group);
	if (!known) {
		group_free(groups, group);
		return;
	}
	group_clear(groups, group);
	free(group->shown);
	group->shown = NULL;
	group_mark(groups, group, MARK_DEAD);
}

void
groups_settle(struct groups *groups, const uint8_t *row, size_t len)
{
	struct group *group = groups->first;

	INVARIANT(group->pending == 0); /* it was rendered */
	groups->first = group->next;
	if (groups->first == NULL)
		groups->last = NULL;
	group->next = NULL;
	group->touched = false;
	groups->shown_count += (size_t)(len > 0) - (size_t)(group->shown_len > 0);
	if (len == 0 && group_is_empty(groups, group)) {
		group_end(groups, group);
		return;
	}
	if (len != group->shown_len) {
		free(group->shown);
		group->shown = len > 0 ? xreallocarray(NULL, 1, len) : NULL;
		group->shown_len = (uint32_t)len;
	}
	if (len > 0)
		memcpy(group->shown, row, len);
}

static void
groups_adopt(struct groups *groups, const struct groups *fresh, struct group *from)
{
	const uint8_t *key = group_key(fresh, from);
	struct group *to = group_get(groups, key, from->link.len, from->link.hash);

	to->rows = from->rows;
	from->rows = 0;
	for (unsigned i = 0; i < groups->argument_count; i++) {
		to->aggregate[i] = from->aggregate[i];
		from->aggregate[i] = (struct aggregate){.count = 0};
	}
	group_touch(groups, to);
}

void
groups_replace(struct groups *groups, struct groups *fresh)
{
	struct hash_entry *entry, *next;
	struct hash_walk walk = {0};

	groups_apply_pending(groups);
	groups_apply_pending(fresh);
	for (entry = hash_walk(&groups->hash, &walk, NULL); entry != NULL;
	     entry = hash_walk(&groups->hash, &walk, entry)) {
		struct group *group = (struct group *)entry;
		group_clear(groups, group);
		group_mark(groups, group, group->mark == MARK_NEW ? MARK_NEW : MARK_RESET);
		group_touch(groups, group);
	}
	groups->node_bytes = fresh->node_bytes;
	walk = (struct hash_walk){0};
	for (entry = hash_walk(&fresh->hash, &walk, NULL); entry != NULL; entry = next) {
		next = hash_walk(&fresh->hash, &walk, entry);
		groups_adopt(groups, fresh, (struct group *)entry);
		group_free(fresh, (struct group *)entry);
	}
	hash_fini(&fresh->hash);
	hash_init(&fresh->hash);
	fresh->first = fresh->last = fresh->recent = NULL;
	TAILQ_INIT(&fresh->dirty);
	fresh->dirty_count = fresh->dirty_bytes = fresh->node_bytes = fresh->key_bytes = 0;
}
