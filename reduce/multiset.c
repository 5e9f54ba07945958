#include "reduce/multiset.h"

#include <stdlib.h>
#include <string.h>

#include "common/fetch.h"
#include "common/log.h"
#include "common/stage.h"

/*
 * Slots of a page. With few it is joined with a neighbour, if both are no more than SLOTS_JOIN. A first page grows by
 * SLOTS_STEP, and by two at first, for most groups of many have few values; others are whole, so what comes and goes leaves
 * no holes in memory.
 */
#define SLOTS      32
#define SLOTS_FEW  8
#define SLOTS_JOIN 24
#define SLOTS_STEP 4

/* So few leaves are fetched all, whatever is looked for in them; with more, changes wait (counts.h). */
#ifdef TALLYD_FAULTS /* tests are small */
#define LEAVES_FEW 1
#else
#define LEAVES_FEW 8
#endif

#define AHEAD 32 /* changes whose leaves are fetched together: at most 12 KiB of them */

struct slot {
	int64_t rank; /* of the value; of a page that of its first one */
	union {
		struct multiset_node *node;
		struct multiset_page *page;
		int64_t count; /* where there are no nodes */
	};
};

struct multiset_page {
	uint16_t count, room;
	uint8_t height; /* above the leaves, which have 0 */
	struct slot slot[];
};

struct value
multiset_value(const struct multiset_node *node)
{
	struct value v = {.kind = (enum value_kind)node->kind};

	if (value_has_bytes(&v)) {
		v.len = node->len;
		v.s = node->bytes;
	} else {
		memcpy(&v.i, node->bytes, sizeof(v.i));
	}
	return v;
}

static struct multiset_node *
node_new(const struct value *v)
{
	size_t len = value_has_bytes(v) ? v->len : sizeof(v->i);
	/* Not calloc(3), which glibc does not serve from what its thread has freed just now. */
	struct multiset_node *node =
	    xreallocarray(NULL, 1, offsetof(struct multiset_node, bytes) + len);

	*node = (struct multiset_node){.count = 0};
	node->kind = (uint8_t)v->kind;
	node->len = (uint32_t)len;
	memcpy(node->bytes, value_has_bytes(v) ? v->s : (const char *)&v->i, len);
	return node;
}

static const struct multiset_node *
slot_node(const struct slot *slot, unsigned height)
{
	for (; height > 0; height--)
		slot = slot->page->slot;
	return slot->node;
}

/* How the value of a slot, or the first one below it, stands to v. */
static inline int
slot_compare(const struct slot *slot, unsigned height, int64_t rank, const struct value *v)
{
	if (slot->rank != rank)
		return slot->rank < rank ? -1 : 1;
	if (v->kind == VALUE_INT)
		return 0;
	struct value other = multiset_value(slot_node(slot, height));
	return value_compare_exact(&other, v);
}

/*
 * The first slot that is not before v; *equal: it is v. With branches on purpose: a wrong guess fetches lines on its
 * way, and without guesses a page that is in no cache took a tenth longer.
 */
static unsigned
page_search(const struct multiset_page *page, int64_t rank, const struct value *v, bool *equal)
{
	unsigned low = 0, high = page->count;

	*equal = false;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = slot_compare(&page->slot[middle], page->height, rank, v);
		if (order == 0) {
			*equal = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The same; above the leaves v lies in the last page that does not begin behind it. */
static inline unsigned
page_toward(const struct multiset_page *page, int64_t rank, const struct value *v, bool *equal)
{
	unsigned at = page_search(page, rank, v, equal);

	return page->height > 0 && !*equal && at > 0 ? at - 1 : at;
}

/* A search looks at several lines of a page, one after the other: let them come together. */
static inline void
page_fetch(const struct multiset_page *page)
{
	fetch_lines(page, 6);
}

/* The way to v, or to the place where it belongs. True: it is there. */
static bool
set_search(const struct multiset *set, int64_t rank, const struct value *v,
	   struct multiset_path *path)
{
	struct multiset_page *page = set->root;
	bool equal = false;

	path->depth = 0;
	while (page != NULL) {
		page_fetch(page);
		unsigned at = page_toward(page, rank, v, &equal);
		INVARIANT(path->depth < MULTISET_DEPTH_MAX);
		path->step[path->depth].page = page;
		path->step[path->depth++].at = at;
		page = page->height == 0 ? NULL : page->slot[at].page;
	}
	return equal;
}

struct multiset_node *
multiset_find(const struct multiset *set, const struct value *v)
{
	struct multiset_path path;

	if (!set_search(set, value_rank(v), v, &path))
		return NULL;
	const struct multiset_page *leaf = path.step[path.depth - 1].page;
	return leaf->slot[path.step[path.depth - 1].at].node;
}

static struct multiset_page *
page_resize(struct multiset_page *page, unsigned room)
{
	bool made = page == NULL;

	page = xreallocarray(page, 1, sizeof(*page) + room * sizeof(struct slot));
	page->room = (uint16_t)room;
	if (made) {
		page->count = 0;
		page->height = 0;
	}
	return page;
}

/* The page at this depth has moved. */
static void
set_moved(struct multiset *set, struct multiset_path *path, unsigned depth,
	  struct multiset_page *page)
{
	path->step[depth].page = page;
	if (depth == 0)
		set->root = page;
	else
		path->step[depth - 1].page->slot[path->step[depth - 1].at].page = page;
}

/* The first value below a page is another: its rank stands above. */
static void
set_tell_first(struct multiset_path *path, unsigned depth)
{
	while (depth > 0 && path->step[depth].page->count > 0) {
		int64_t rank = path->step[depth].page->slot[0].rank;
		depth--;
		path->step[depth].page->slot[path->step[depth].at].rank = rank;
		if (path->step[depth].at > 0)
			break;
	}
}

static void
page_put(struct multiset_page *page, unsigned at, struct slot slot)
{
	memmove(&page->slot[at + 1], &page->slot[at], (page->count - at) * sizeof(slot));
	page->slot[at] = slot;
	page->count++;
}

static void
page_take(struct multiset_page *page, unsigned at)
{
	page->count--;
	memmove(&page->slot[at], &page->slot[at + 1], (page->count - at) * sizeof(struct slot));
}

/* A root above the one that has become two. */
static void
set_raise(struct multiset *set, struct multiset_path *path)
{
	struct multiset_page *root = page_resize(NULL, SLOTS_STEP);

	INVARIANT(path->depth < MULTISET_DEPTH_MAX);
	root->height = (uint8_t)(set->root->height + 1);
	root->count = 1;
	root->slot[0] = (struct slot){.rank = set->root->slot[0].rank, .page = set->root};
	memmove(&path->step[1], &path->step[0], path->depth * sizeof(path->step[0]));
	path->depth++;
	path->step[0].page = set->root = root;
	path->step[0].at = 0;
}

/* Put a slot where the path leads at this depth; a full page becomes two, from there up. */
static void
set_put(struct multiset *set, struct multiset_path *path, unsigned depth, struct slot slot)
{
	for (;;) {
		struct multiset_page *page = path->step[depth].page;
		unsigned at = path->step[depth].at;
		if (page->count < SLOTS) {
			if (page->count == page->room)
				set_moved(
				    set, path, depth,
				    page_resize(page, page->room + (page->room < SLOTS_STEP + 1u
									? 2u
									: SLOTS_STEP)));
			page_put(path->step[depth].page, at, slot);
			if (at == 0)
				set_tell_first(path, depth);
			return;
		}
		struct multiset_page *right = page_resize(NULL, SLOTS);
		right->height = page->height;
		right->count = SLOTS / 2;
		memcpy(right->slot, &page->slot[SLOTS / 2], SLOTS / 2 * sizeof(slot));
		page->count = SLOTS / 2;
		page_put(at > SLOTS / 2 ? right : page, at > SLOTS / 2 ? at - SLOTS / 2 : at, slot);
		if (at == 0)
			set_tell_first(path, depth);
		if (depth == 0) {
			set_raise(set, path);
			depth++;
		}
		depth--;
		path->step[depth].at++;
		slot = (struct slot){.rank = right->slot[0].rank, .page = right};
	}
}

/* Put a slot where the search for it has led. */
static void
set_insert(struct multiset *set, struct multiset_path *path, struct slot slot)
{
	if (set->root == NULL) {
		set->root = page_resize(NULL, 1);
		path->depth = 1;
		path->step[0].page = set->root;
		path->step[0].at = 0;
	}
	set_put(set, path, path->depth - 1, slot);
}

static struct slot *
path_slot(const struct multiset_path *path)
{
	unsigned last = path->depth - 1;

	return &path->step[last].page->slot[path->step[last].at];
}

struct multiset_node *
multiset_get(struct multiset *set, const struct value *v, bool *made)
{
	int64_t rank = value_rank(v);
	struct multiset_path path;

	*made = !set_search(set, rank, v, &path);
	if (!*made)
		return path_slot(&path)->node;
	struct slot slot = {.rank = rank, .node = node_new(v)};
	set_insert(set, &path, slot);
	return slot.node;
}

/* The slots of the right page go to the left one, and it goes. */
static void
page_join(struct multiset_page *above, unsigned left)
{
	struct multiset_page *to = above->slot[left].page, *from = above->slot[left + 1].page;

	if (to->room < to->count + from->count)
		to = page_resize(to, SLOTS);
	memcpy(&to->slot[to->count], from->slot, from->count * sizeof(struct slot));
	to->count = (uint16_t)(to->count + from->count);
	above->slot[left].page = to;
	free(from);
	page_take(above, left + 1);
}

/* A page has lost a slot: what it is too empty for, from there up. */
static void
set_settle(struct multiset *set, struct multiset_path *path, unsigned depth)
{
	for (; depth > 0; depth--) {
		struct multiset_page *page = path->step[depth].page,
				     *above = path->step[depth - 1].page;
		unsigned at = path->step[depth - 1].at;
		if (page->count == 0) {
			free(page);
			page_take(above, at);
			if (at == 0)
				set_tell_first(path, depth - 1);
			continue;
		}
		if (page->count >= SLOTS_FEW)
			return;
		if (at + 1 < above->count &&
		    page->count + above->slot[at + 1].page->count <= SLOTS_JOIN)
			page_join(above, at);
		else if (at > 0 && page->count + above->slot[at - 1].page->count <= SLOTS_JOIN)
			page_join(above, at - 1);
		else
			return;
	}
	struct multiset_page *root = set->root;
	if (root->count == 0) {
		free(root);
		set->root = NULL;
	} else if (root->count == 1 && root->height > 0) {
		set->root = root->slot[0].page;
		free(root);
	}
}

/* Take out the slot that a search has found. */
static void
set_take(struct multiset *set, struct multiset_path *path)
{
	unsigned last = path->depth - 1;

	page_take(path->step[last].page, path->step[last].at);
	if (path->step[last].at == 0)
		set_tell_first(path, last);
	set_settle(set, path, last);
}

void
multiset_remove(struct multiset *set, struct multiset_node *node)
{
	struct multiset_path path;
	struct value v = multiset_value(node);
	bool found = set_search(set, value_rank(&v), &v, &path);

	INVARIANT(found && path_slot(&path)->node == node);
	set_take(set, &path);
}

static const struct value whole_rank = {.kind = VALUE_INT}; /* equal ranks are equal values */

static unsigned
page_leaves(const struct multiset_page *page, unsigned most)
{
	unsigned leaves = 0;

	if (page->height == 1)
		return page->count;
	for (unsigned i = 0; i < page->count && leaves < most; i++)
		leaves += page_leaves(page->slot[i].page, most - leaves);
	return leaves;
}

unsigned
multiset_leaves(const struct multiset *set, unsigned most)
{
	const struct multiset_page *root = set->root;

	if (root == NULL || root->height == 0 || (root->height == 1 && root->count <= LEAVES_FEW))
		return 0;
	return page_leaves(root, most);
}

void
multiset_fetch(const struct multiset *set)
{
	const struct multiset_page *root = set->root;

	if (root == NULL)
		return;
	if (root->height == 0)
		page_fetch(root);
	else if (root->height == 1)
		for (unsigned i = 0; i < root->count; i++)
			page_fetch(root->slot[i].page);
}

/* Add to the count where a search has led. False: the path's last page is not what it was. */
static bool
path_count(struct multiset *set, struct multiset_path *path, bool found,
	   const struct multiset_change *change)
{
	if (!found) {
		bool room = path->depth > 0 && path->step[path->depth - 1].page->count < SLOTS;
		if (change->diff == 0)
			return true;
		set_insert(set, path, (struct slot){.rank = change->rank, .count = change->diff});
		return room;
	}
	struct slot *slot = path_slot(path);
	slot->count += change->diff;
	if (slot->count != 0)
		return true;
	bool enough = path->step[path->depth - 1].page->count > SLOTS_FEW;
	set_take(set, path);
	return enough;
}

void
multiset_count(struct multiset *set, int64_t rank, int64_t diff)
{
	const struct multiset_change change = {.rank = rank, .diff = diff};
	struct multiset_path path;
	bool found = set_search(set, rank, &whole_rank, &path);

	(void)path_count(set, &path, found, &change);
}

/* The way to the leaf of a rank, where it is not looked for; *upto: the greatest one that belongs to that leaf. */
static void
path_lead(const struct multiset *set, int64_t rank, struct multiset_path *path, int64_t *upto)
{
	struct multiset_page *page = set->root;
	unsigned depth = 0, last = page != NULL ? page->height : 0;
	bool equal;

	INVARIANT(last < MULTISET_DEPTH_MAX);
	*upto = INT64_MAX;
	for (; depth < last; depth++) {
		unsigned at = page_toward(page, rank, &whole_rank, &equal);
		if (at + 1 < page->count)
			*upto = page->slot[at + 1].rank - 1;
		path->step[depth].page = page;
		path->step[depth].at = at;
		page = page->slot[at].page;
	}
	/* The leaf itself is not looked at: it may not have been fetched. */
	path->step[last].page = page;
	path->step[last].at = 0;
	path->depth = page != NULL ? last + 1 : 0;
}

/* The leaves of some changes in ascending order. */
static void
set_fetch(const struct multiset *set, const struct multiset_change *changes, unsigned count)
{
	struct multiset_path path;
	int64_t upto = 0;

	for (unsigned i = 0; i < count; i++) {
		if (i > 0 && changes[i].rank <= upto)
			continue;
		path_lead(set, changes[i].rank, &path, &upto);
		if (path.depth > 0)
			page_fetch(path.step[path.depth - 1].page);
	}
}

void
multiset_count_sorted(struct multiset *set, const struct multiset_change *changes, unsigned count)
{
	struct multiset_path path;
	int64_t upto = 0;
	bool led = false, found = false;

	for (unsigned i = 0; i < count; i++) {
		if (i % AHEAD == 0)
			set_fetch(set, &changes[i], count - i < AHEAD ? count - i : AHEAD);
		if (!led || changes[i].rank > upto)
			path_lead(set, changes[i].rank, &path, &upto);
		if (path.depth > 0) {
			unsigned last = path.depth - 1;
			path.step[last].at =
			    page_search(path.step[last].page, changes[i].rank, &whole_rank, &found);
		}
		led = path_count(set, &path, path.depth > 0 && found, &changes[i]);
	}
}

/* ---- in order ------------------------------------------------------------------------------ */

/* From the last page of the path down to the first value, or the last. */
static struct slot *
path_descend(struct multiset_path *path, struct multiset_page *page, bool last)
{
	for (;;) {
		unsigned at = last ? page->count - 1u : 0;
		path->step[path->depth].page = page;
		path->step[path->depth++].at = at;
		if (page->height == 0)
			return &page->slot[at];
		page = page->slot[at].page;
	}
}

/* The first slot, or the last. NULL: there is none. */
static struct slot *
path_begin(struct multiset_path *path, const struct multiset *set, bool last)
{
	path->depth = 0;
	return set->root != NULL ? path_descend(path, set->root, last) : NULL;
}

static struct multiset_node *
slot_node_or_null(const struct slot *slot)
{
	return slot != NULL ? slot->node : NULL;
}

static struct slot *
path_step(struct multiset_path *path, bool back)
{
	for (; path->depth > 0; path->depth--) {
		struct multiset_page *page = path->step[path->depth - 1].page;
		unsigned *at = &path->step[path->depth - 1].at;
		if (back ? *at == 0 : *at + 1u >= page->count)
			continue;
		*at = back ? *at - 1 : *at + 1;
		if (page->height == 0)
			return &page->slot[*at];
		return path_descend(path, page->slot[*at].page, back);
	}
	return NULL;
}

struct multiset_node *
multiset_first(const struct multiset *set, struct multiset_path *path)
{
	return slot_node_or_null(path_begin(path, set, false));
}

struct multiset_node *
multiset_last(const struct multiset *set, struct multiset_path *path)
{
	return slot_node_or_null(path_begin(path, set, true));
}

struct multiset_node *
multiset_next(struct multiset_path *path)
{
	return slot_node_or_null(path_step(path, false));
}

struct multiset_node *
multiset_previous(struct multiset_path *path)
{
	return slot_node_or_null(path_step(path, true));
}

struct multiset_extreme
multiset_extreme(const struct multiset *set, bool last)
{
	struct multiset_extreme extreme = {.found = false};
	struct multiset_path path;
	const struct slot *slot = path_begin(&path, set, last);

	for (; slot != NULL && slot->count <= 0; slot = path_step(&path, last))
		extreme.passed = true;
	extreme.found = slot != NULL;
	if (slot != NULL)
		extreme.rank = slot->rank;
	return extreme;
}

static void
page_free(struct multiset_page *page, bool nodes)
{
	for (unsigned i = 0; i < page->count; i++) {
		if (page->height > 0)
			page_free(page->slot[i].page, nodes);
		else if (nodes)
			free(page->slot[i].node);
	}
	free(page);
}

static void
set_clear(struct multiset *set, bool nodes)
{
	if (set->root != NULL)
		page_free(set->root, nodes);
	set->root = NULL;
}

void
multiset_clear(struct multiset *set)
{
	set_clear(set, true);
}

void
multiset_clear_counts(struct multiset *set)
{
	set_clear(set, false);
}
