/*
 * rows.h - the kept rows of one keyed table: primary key -> row.
 *
 * A row is kept as the msgpack array that came from ingest, in one block of memory together with
 * its hash, its place on the dirty list and the snapshot attempt that wrote it last. Keys are
 * compared by value, so numeric keys 1.0 and 1.00 are one key, as in PostgreSQL's index.
 *
 * Dirty list: every row that has changed since the last checkpoint, and a tombstone with the key of
 * each that was removed and that the checkpoint knows (mark.h), oldest change first. In a checkpoint
 * a row is its array, a tombstone nil and the array of its key.
 * Attempts: each snapshot of the table is an attempt; rows that a finished one has not written
 * are stale.
 */
#ifndef ROWS_H
#define ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pipeline.h"
#include "reduce/hash.h"

struct part_sink;
struct row;
struct rows;
struct segment_filter;

struct rows *rows_new(const struct table *); /* borrows the table, which has a key */
void rows_free(struct rows *);
size_t rows_count(const struct rows *);
size_t rows_dirty_count(const struct rows *);
size_t rows_dirty_bytes(const struct rows *);          /* of the next delta */
size_t rows_live_bytes(const struct rows *);           /* of all rows in a checkpoint */
void rows_rebind(struct rows *, const struct table *); /* the same table of a newer pipeline */
size_t rows_overhead(void); /* bytes that a row costs beside its own, without the allocator's */

/* Hash of a key: values in key order. */
uint32_t rows_hash(const struct rows *, const struct value *key);

/* The same of a packed row, or of a packed key alone; false when it is malformed. */
bool rows_hash_packed(const struct rows *, const uint8_t *bytes, size_t len, bool whole,
		      uint32_t *hash);

/*
 * Fetch into the cache what rows_find() will look at, each when the one before it is there: the bucket, its
 * first row, and the row behind that if it is another's. Rows lie anywhere in memory, and the next ones are known ahead.
 */
void rows_fetch_bucket(const struct rows *, uint32_t hash);
void rows_fetch_row(const struct rows *, uint32_t hash);
void rows_fetch_next(const struct rows *, uint32_t hash);

/* The row with this key, or NULL. */
struct row *rows_find(const struct rows *, const struct value *key, uint32_t hash);

/* Its bytes, borrowed until the row is put again or removed. */
const uint8_t *row_bytes(const struct row *, size_t *len);

/* Read its values (all columns). They borrow the row as above. */
void rows_read(const struct rows *, const struct row *, struct value *values);

/*
 * Keep a row: `old` is what rows_find() gave for its key, and `bytes` must not borrow it. Marks it
 * dirty and written by the current attempt. Allocates only when a row is new or has grown.
 */
void rows_put(struct rows *, struct row *old, uint32_t hash, const uint8_t *bytes, size_t len);

/* The same, but the open attempt has not read this row: without it, it will be stale. */
void rows_put_streamed(struct rows *, struct row *old, uint32_t hash, const uint8_t *bytes,
		       size_t len);

/* The row was written again with the same bytes. */
void rows_keep(struct rows *, struct row *);

void rows_remove(struct rows *, struct row *);

/* Open a new attempt; whether one is open; close it, which is done after the stale ones are gone. */
void rows_attempt_begin(struct rows *);
bool rows_attempt_open(const struct rows *);
void rows_attempt_end(struct rows *);

/*
 * Walk the rows that the open attempt has not written: `cursor` starts zeroed. The row given last
 * may be removed; nothing else may change meanwhile. NULL at the end.
 */
struct rows_cursor {
	struct row *next;
	struct hash_walk walk;
};

struct row *rows_stale(const struct rows *, struct rows_cursor *);

/* Walk all rows, likewise. */
struct row *rows_next(const struct rows *, struct rows_cursor *);

/* Write the dirty list, or all of a segment; or only forget the list. After it all is clean. */
void rows_write_delta(struct rows *, struct part_sink *);
void rows_write_segment(const struct rows *, unsigned bits, uint32_t segment, struct part_sink *);
void rows_clear_dirty(struct rows *);

/*
 * Take entries of a checkpoint: what comes later replaces what came before, what the filter does
 * not want is passed over. Rows are clean. Counts entries taken; false: they are malformed.
 */
bool rows_load(struct rows *, const uint8_t *entries, size_t len, const struct segment_filter *,
	       uint64_t *taken);

#endif
