#include "reduce/pending.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/fetch.h"
#include "common/log.h"
#include "common/stage.h"
#include "reduce/group_state.h"

#define ROWS_AHEAD  16 /* a power of two: rows that wait for their group */
#define ROWS_NEAR   8  /* and how many behind it one's group begins to come */
#define ROWS_NEXT   12 /* and one that shares a bucket with another, which comes first */
#define WINDOW      24 /* changes that are made together */
#define GROUPS_FAR  12 /* groups that are fetched before their turn, and then what they point to */
#define GROUPS_NEAR 6

/* Fewer groups lie in the cache anyway; and the changes are to be in it still: half a megabyte, and what sorts them. */
#ifdef TALLYD_FAULTS /* tests are small */
#define MANY_GROUPS   4u
#define PENDING_FIRST 16u
#define PENDING_MAX   64u
#else
#define MANY_GROUPS   4096u
#define PENDING_FIRST 1024u
#define PENDING_MAX   (32u * 1024)
#endif
_Static_assert(PENDING_MAX <= UINT16_MAX,
	       "a change knows its group by number, and is known by number");

void
pending_free(struct pending *p)
{
	free(p->changes);
	free(p->order);
	free(p->groups);
	free(p->rows);
	*p = (struct pending){.count = 0};
}

/* Changes of one group or of several that are made together. */
struct window {
	struct pending_change *change[WINDOW];
	struct group *group[WINDOW];
	unsigned count;
};

/* What they will look at comes at the same time. */
static void
window_fetch(const struct window *w)
{
	const struct counts *before = NULL;

	for (unsigned i = 0; i < w->count; i++) {
		const struct counts *counts =
		    &w->group[i]->aggregate[w->change[i]->argument].counts;
		if (counts != before)
			counts_fetch(counts);
		before = counts;
	}
}

static void
window_apply(const struct groups *groups, struct window *w)
{
	window_fetch(w);
	for (unsigned i = 0; i < w->count; i++) {
		const struct pending_change *c = w->change[i];
		const struct argument *argument = &groups->arguments[c->argument];
		aggregate_add_rank(&w->group[i]->aggregate[c->argument], argument->needs,
				   argument->type, c->rank, c->diff);
	}
	w->count = 0;
}

/* The changes sorted by their groups, those of each in the order in which they came: places counted off. */
static void
pending_sort(struct pending *p)
{
	uint32_t start = 0;

	for (uint32_t i = 0; i < p->group_count; i++) {
		p->groups[i].end = start;
		start += p->groups[i].count;
	}
	for (uint32_t i = 0; i < p->count; i++)
		p->order[p->groups[p->changes[i].place].end++] = (uint16_t)i;
}

/* Of a group whose changes come before long. */
static void
pending_fetch(const struct pending *p, uint32_t turn)
{
	const struct group *group;

	if (turn + GROUPS_FAR < p->group_count) {
		group = p->groups[turn + GROUPS_FAR].group;
		fetch_line(group);
		fetch_line(group->aggregate);
	}
	if (turn + GROUPS_NEAR < p->group_count) {
		const struct pending_group *near = &p->groups[turn + GROUPS_NEAR];
		const struct pending_change *last = &p->changes[p->order[near->end - 1]];
		counts_fetch_first(&near->group->aggregate[last->argument].counts);
	}
}

static void
pending_apply_all(struct groups *groups)
{
	struct pending *p = &groups->pending;
	struct window window = {.count = 0};
	uint32_t at = 0;

	if (p->count == 0)
		return;
	pending_sort(p);
	for (uint32_t i = 0; i < p->group_count; i++) {
		struct group *group = p->groups[i].group;
		pending_fetch(p, i);
		group->pending = 0;
		for (; at < p->groups[i].end; at++) {
			window.group[window.count] = group;
			window.change[window.count++] = &p->changes[p->order[at]];
			if (window.count == WINDOW)
				window_apply(groups, &window);
		}
	}
	window_apply(groups, &window);
	p->count = p->group_count = 0;
}

void
groups_apply_pending(struct groups *groups)
{
	pending_find_groups(groups);
	pending_apply_all(groups);
}

/* Room for one more. */
static void
pending_make_room(struct groups *groups)
{
	struct pending *p = &groups->pending;

	if (p->room < PENDING_MAX) {
		p->room = p->room > 0 ? 2 * p->room : PENDING_FIRST;
		p->changes = xreallocarray(p->changes, p->room, sizeof(*p->changes));
		p->order = xreallocarray(p->order, p->room, sizeof(*p->order));
		p->groups = xreallocarray(p->groups, p->room, sizeof(*p->groups));
		return;
	}
	pending_apply_all(groups);
}

void
pending_add(struct groups *groups, struct group *group, unsigned argument, int64_t rank, int diff)
{
	struct pending *p = &groups->pending;

	if (p->count == p->room)
		pending_make_room(groups);
	if (group->pending == 0) {
		p->groups[p->group_count++] = (struct pending_group){.group = group};
		group->pending = (uint16_t)p->group_count;
	}
	const unsigned place = group->pending - 1u;
	p->groups[place].count++;
	p->changes[p->count++] = (struct pending_change){
	    .rank = rank,
	    .place = (uint16_t)place,
	    .argument = (uint16_t)argument,
	    .diff = (int16_t)diff,
	};
}

/* The row that has waited longest has its group by now. */
static void
row_arrive(struct groups *groups)
{
	struct pending *p = &groups->pending;
	const struct pending_row *row = &p->rows[p->row_first];
	struct group *group = group_get(groups, row->key, row->len, row->hash);

	p->row_first = (p->row_first + 1) % ROWS_AHEAD;
	p->row_count--;
	group->rows += row->diff;
	for (unsigned i = 0; i < groups->argument_count; i++)
		if (row->has[i])
			pending_add(groups, group, i, row->rank[i], row->diff);
	group_touch(groups, group);
}

void
pending_find_groups(struct groups *groups)
{
	while (groups->pending.row_count > 0)
		row_arrive(groups);
}

/* Whether its rows may wait: what of a group is to be stored, is noted at once. */
static bool
view_may_wait(const struct groups *groups, size_t key_len)
{
	if (groups->tracked || groups->hash.count < MANY_GROUPS || key_len > PENDING_KEY_MAX ||
	    groups->argument_count > PENDING_ARGUMENTS)
		return false;
	for (unsigned i = 0; i < groups->argument_count; i++)
		if ((groups->arguments[i].needs & AGGREGATE_RANKS) == 0)
			return false;
	return true;
}

/* Of the row that came so many before the next one. */
static uint32_t
row_hash_before(const struct pending *p, unsigned before)
{
	return p->rows[(p->row_first + p->row_count - before) % ROWS_AHEAD].hash;
}

bool
pending_take_row(struct groups *groups, const struct value *values, int diff, size_t key_len)
{
	struct pending *p = &groups->pending;

	if (!view_may_wait(groups, key_len))
		return false;
	if (p->rows == NULL)
		p->rows = xcalloc(ROWS_AHEAD, sizeof(*p->rows));
	if (p->row_count == ROWS_AHEAD)
		row_arrive(groups);
	struct pending_row *row = &p->rows[(p->row_first + p->row_count) % ROWS_AHEAD];
	row->hash = group_hash(groups->key, key_len);
	row->len = (uint8_t)key_len;
	row->diff = (int8_t)diff;
	memcpy(row->key, groups->key, key_len);
	for (unsigned i = 0; i < groups->argument_count; i++) {
		const struct value *v = &values[groups->arguments[i].column];
		row->has[i] = v->kind != VALUE_NULL;
		row->rank[i] = row->has[i] ? value_rank(v) : 0;
	}
	hash_fetch(&groups->hash, row->hash);
	p->row_count++;
	if (p->row_count > ROWS_NEAR)
		hash_fetch_first(&groups->hash, row_hash_before(p, ROWS_NEAR));
	if (p->row_count > ROWS_NEXT)
		hash_fetch_second(&groups->hash, row_hash_before(p, ROWS_NEXT));
	return true;
}
