#include "reduce/hash.h"

#include <stdlib.h>
#include <string.h>

#include "common/fetch.h"
#include "common/log.h"
#include "common/stage.h"

#define BUCKETS_MIN  8
#define SEGMENT_BITS 13
#define DEPTH        3 /* entries of each chain that a walk fetches into the cache before their turn */
#define AHEAD        8 /* buckets: so far ahead the last of them, and as much further each one before it */
#define LINES        3 /* of an entry that is looked for, with what its owner keeps behind it */
#define LINES_WALK   2 /* of one among all: most rows end in the second */

/* In buckets: 64 KiB, half of what malloc(3) would map by itself. The first one begins smaller. */
#define SEGMENT ((size_t)1 << SEGMENT_BITS)

void
hash_init(struct hash *h)
{
	*h = (struct hash){
	    .segments = xcalloc(1, sizeof(*h->segments)),
	    .buckets = BUCKETS_MIN,
	    .room = BUCKETS_MIN,
	    .mask = BUCKETS_MIN - 1,
	};
	h->segments[0] = xcalloc(BUCKETS_MIN, sizeof(**h->segments));
}

void
hash_fini(struct hash *h)
{
	for (size_t i = 0; i * SEGMENT < h->room; i++)
		free(h->segments[i]);
	free(h->segments);
	*h = (struct hash){.count = 0};
}

static inline struct hash_entry **
hash_bucket(const struct hash *h, size_t index)
{
	return &h->segments[index >> SEGMENT_BITS][index & (SEGMENT - 1)];
}

static size_t
hash_index(const struct hash *h, uint32_t hash)
{
	size_t index = hash & h->mask;

	return index < h->buckets ? index : hash & (h->mask >> 1);
}

static inline void
hash_fetch_entry(const struct hash_entry *entry, unsigned lines)
{
	if (entry != NULL)
		fetch_lines(entry, lines);
}

void
hash_fetch(const struct hash *h, uint32_t hash)
{
	fetch_line(hash_bucket(h, hash_index(h, hash)));
}

struct hash_entry *
hash_chain(const struct hash *h, uint32_t hash)
{
	return *hash_bucket(h, hash_index(h, hash));
}

void
hash_fetch_first(const struct hash *h, uint32_t hash)
{
	hash_fetch_entry(hash_chain(h, hash), LINES);
}

void
hash_fetch_second(const struct hash *h, uint32_t hash)
{
	const struct hash_entry *entry = hash_chain(h, hash);

	if (entry != NULL && entry->hash != hash)
		hash_fetch_entry(entry->next, LINES);
}

static void
hash_grow(struct hash *h)
{
	size_t segments = h->room >> SEGMENT_BITS;

	if (segments == 0) {
		h->room *= 2;
		h->segments[0] = xreallocarray(h->segments[0], h->room, sizeof(**h->segments));
		return;
	}
	if ((segments & (segments - 1)) == 0)
		h->segments = xreallocarray(h->segments, segments * 2, sizeof(*h->segments));
	h->segments[segments] = xreallocarray(NULL, SEGMENT, sizeof(**h->segments));
	h->room += SEGMENT;
}

/* One more bucket: it takes its share of the one that has stood for both. */
static void
hash_split(struct hash *h)
{
	size_t added = h->buckets;

	if (added == h->room)
		hash_grow(h);
	if (added > h->mask)
		h->mask = h->mask * 2 + 1;
	struct hash_entry **bucket = hash_bucket(h, added);
	*bucket = NULL;
	h->buckets++;
	struct hash_entry **at = hash_bucket(h, added - (h->mask + 1) / 2);
	while (*at != NULL) {
		struct hash_entry *entry = *at;
		if ((entry->hash & h->mask) != added) {
			at = &entry->next;
			continue;
		}
		*at = entry->next;
		entry->next = *bucket;
		*bucket = entry;
	}
}

void
hash_insert(struct hash *h, struct hash_entry *entry)
{
	if (h->count >= h->buckets)
		hash_split(h);
	struct hash_entry **bucket = hash_bucket(h, hash_index(h, entry->hash));
	entry->next = *bucket;
	*bucket = entry;
	h->count++;
}

static struct hash_entry **
hash_link(struct hash *h, uint32_t hash, const struct hash_entry *entry)
{
	struct hash_entry **at = hash_bucket(h, hash_index(h, hash));

	while (*at != NULL && *at != entry)
		at = &(*at)->next;
	INVARIANT(*at != NULL);
	return at;
}

void
hash_remove(struct hash *h, struct hash_entry *entry)
{
	*hash_link(h, entry->hash, entry) = entry->next;
	entry->next = NULL;
	h->count--;
}

void
hash_moved(struct hash *h, const struct hash_entry *old, struct hash_entry *now)
{
	if (old != now)
		*hash_link(h, now->hash, old) = now;
}

/* The n-th of a bucket's entries, or NULL: those before it are looked at, so they are in the cache by now. */
static const struct hash_entry *
hash_nth(const struct hash *h, size_t bucket, unsigned n)
{
	const struct hash_entry *entry = *hash_bucket(h, bucket);

	while (n-- > 0 && entry != NULL)
		entry = entry->next;
	return entry;
}

/* What comes before long, from the far to the near: a bucket, the first entry of one, the second, the third. */
static void
hash_fetch_ahead(const struct hash *h, const struct hash_walk *walk)
{
	const size_t step = AHEAD * walk->stride;

	if (walk->bucket + (DEPTH + 1) * step >= h->buckets)
		return;
	fetch_line(hash_bucket(h, walk->bucket + (DEPTH + 1) * step));
	for (unsigned n = 0; n < DEPTH; n++)
		hash_fetch_entry(hash_nth(h, walk->bucket + (DEPTH - n) * step, n), LINES_WALK);
}

/*
 * A bucket holds entries that agree in the bits of the smaller level at least, so with a stride of
 * no more than that, bucket and entry agree in the stride's bits. More segments than that share
 * buckets, and entries are looked at one by one.
 */
struct hash_entry *
hash_walk(const struct hash *h, struct hash_walk *walk, struct hash_entry *previous)
{
	struct hash_entry *entry = previous != NULL ? previous->next : NULL;

	if (!walk->started) {
		size_t least = (h->mask + 1) / 2, segments = (size_t)1 << walk->bits;
		walk->started = true;
		walk->stride = segments < least ? segments : least;
		walk->bucket = walk->segment & (walk->stride - 1);
	}
	for (;;) {
		while (entry != NULL && hash_segment_of(entry->hash, walk->bits) != walk->segment)
			entry = entry->next;
		if (entry != NULL || walk->bucket >= h->buckets)
			return entry;
		hash_fetch_ahead(h, walk);
		entry = *hash_bucket(h, walk->bucket);
		walk->bucket += walk->stride;
	}
}

uint32_t
hash_fold(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32);
}
