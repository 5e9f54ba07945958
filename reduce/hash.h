/*
 * hash.h - an intrusive hash table that grows by one bucket at a time.
 *
 * Knows only the 32-bit hash of its entries; the owner compares keys while it walks a chain:
 *     for (e = hash_chain(h, hash); e != NULL; e = e->next) if (e->hash == hash && ...)
 * Growing never stops the world (linear hashing), whatever the number of entries. The table owns
 * its buckets only, never the entries. It does not shrink. Buckets lie in segments that malloc(3) takes from
 * its heap, which is of huge pages (supervisor/environment.c); what it maps by itself and then moves is not.
 */
#ifndef HASH_H
#define HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_entry { /* the first member of the owner's structure */
	struct hash_entry *next;
	uint32_t hash;
	uint32_t len; /* for the owner's use */
};

struct hash {
	struct hash_entry ***segments;
	size_t count;   /* entries */
	size_t buckets; /* in use */
	size_t room;    /* buckets allocated */
	size_t mask;    /* of the level: at least buckets - 1, less than twice that */
};

void hash_init(struct hash *);
void hash_fini(struct hash *);

/* Into the cache: the bucket, its first entry, and the one behind that if the first has another hash. */
void hash_fetch(const struct hash *, uint32_t hash);
void hash_fetch_first(const struct hash *, uint32_t hash);
void hash_fetch_second(const struct hash *, uint32_t hash);
struct hash_entry *hash_chain(const struct hash *, uint32_t hash);
void hash_insert(struct hash *, struct hash_entry *);
void hash_remove(struct hash *, struct hash_entry *);

/* An entry was moved by realloc(): `old` is only compared, never read. */
void hash_moved(struct hash *, const struct hash_entry *old, struct hash_entry *now);

/* A walk through the entries of one segment: those whose hash ends in the `bits` bits of `segment`. All, if 0. */
struct hash_walk {
	uint32_t segment;
	unsigned bits;
	bool started;
	size_t bucket, stride; /* where it is; the buckets between may hold none */
};

/*
 * The next entry, or NULL: `walk` starts as {.segment = ...} or {0} and `previous` at NULL. Nothing may be inserted
 * meanwhile; to remove what was given, fetch its successor first.
 */
struct hash_entry *hash_walk(const struct hash *, struct hash_walk *walk,
			     struct hash_entry *previous);

static inline uint32_t
hash_segment_of(uint32_t hash, unsigned bits)
{
	return hash & ((UINT32_C(1) << bits) - 1);
}

/* Fold a 64-bit hash. */
uint32_t hash_fold(uint64_t);

#endif
