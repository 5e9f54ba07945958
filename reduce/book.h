/*
 * book.h - which parts of checkpoints are stored for one source, and which of them are needed.
 *
 * The entries of a source are divided into segments by the last `bits` bits of their hash. The
 * state of a segment is its newest full copy and the deltas with a greater number (the full copy of
 * checkpoint n holds n's delta already); anything older is not needed, and whether it is still there
 * makes no difference. Both the writer and the loader decide by these rules.
 */
#ifndef BOOK_H
#define BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reduce/part.h"

#define BOOK_BITS_MAX 12

struct groups;
struct rows;

struct stored {
	enum part_kind kind; /* PART_DELTA or PART_FULL */
	uint64_t number;     /* of its checkpoint */
	uint32_t first, parts;
	uint64_t bytes;
	uint64_t digest; /* sum of part_digest() of its parts */
	unsigned bits;   /* PART_FULL */
	uint32_t segment;
	bool needed;
};

struct source {
	enum source_kind kind;
	char *name;
	uint64_t layout;
	struct rows *rows;     /* SOURCE_TABLE: borrowed */
	struct groups *groups; /* SOURCE_VIEW: borrowed; both NULL: it is in the pipeline no more */
	unsigned bits;
	uint64_t *newest; /* of each segment: number of its newest full copy; 0: none */
	int64_t credit;   /* bytes of full copies that may be written beside the deltas */
	struct stored *sections;
	unsigned count, room;
	uint64_t needed_bytes, needed_parts;
};

void source_init(struct source *, enum source_kind, const char *name, size_t len, uint64_t layout);
void source_fini(struct source *);

/* Forget all that is stored, and begin anew with so many segments. */
void source_clear(struct source *, unsigned bits);

/* Divide each segment in two, until there are 2^bits. */
void source_grow(struct source *, unsigned bits);

/* Note a section; a full copy is the newest of its segments. Borrowed until the next one. */
struct stored *source_note(struct source *, const struct stored *);

/* Decide anew which sections are needed; drop the others, telling `gone` (NULL: nobody). */
void source_refresh(struct source *);
void source_prune(struct source *, void (*gone)(void *arg, const struct stored *), void *arg);

/* The segment whose full copy is oldest. */
uint32_t source_oldest(const struct source *);
bool source_is_covered(const struct source *); /* each segment has one */

/* What of a section counts. */
struct segment_filter {
	const struct source *source;
	enum part_kind kind;
	uint64_t number;
};

bool filter_wants(const struct segment_filter *, uint32_t hash);

uint64_t part_digest(uint64_t number, uint32_t part, uint64_t checksum);

#endif
