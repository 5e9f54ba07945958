/*
 * batch.h - the records that travel in the rings.
 *
 *   ingest -> reduce   CHANGE..., SNAPSHOT, then END after a whole source transaction; CUT once
 *                      when a replay has reached the durable position; BAD: a message for the
 *                      dead-letter table, within its transaction
 *   reduce -> egress   VIEW..., ROW... view by view, BAD..., CHECKPOINT..., then BATCH: one batch
 *                      is one commit in the target
 *
 * Writers put one record into the ring (visible at ring_commit()); they return 0, or -1 with errno
 * EAGAIN (no room now: commit, wait, call again) or EMSGSIZE (never fits: "SET ring_bytes").
 * Readers check everything (I2) and return false for a record that is not well formed: the caller
 * treats that as a corrupt peer. Slices they give borrow the ring until ring_commit().
 */
#ifndef BATCH_H
#define BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring.h"
#include "common/stamps.h"
#include "common/value.h"

enum record_kind {
	RECORD_CHANGE = 1,
	RECORD_SNAPSHOT,
	RECORD_END,
	RECORD_CUT,
	RECORD_BAD,
	RECORD_ROW,
	RECORD_BATCH,
	RECORD_CHECKPOINT,
	RECORD_VIEW,
};

enum change_kind {
	CHANGE_UPSERT,   /* keyed table: values are all declared columns */
	CHANGE_DELETE,   /* keyed table: values are the key columns, in key order */
	CHANGE_ADD,      /* keyless table: one row more */
	CHANGE_SUBTRACT, /* keyless table: one row less */
	CHANGE_TRUNCATE, /* all rows are gone: no values */
};

struct change {
	uint16_t table;
	enum change_kind kind;
	bool snapshot;     /* read by a snapshot: belongs to its open attempt */
	int32_t partition; /* where its message stands */
	int64_t offset;
	const struct value *values; /* writer */
	unsigned count;             /* writer */
	const uint8_t
	    *row; /* reader: for row_unpack(); once it has read it, fit to be kept as it is */
	size_t row_len;
};

int batch_put_change(struct ring *, const struct change *);

/* The most bytes of the ring that a CHANGE with these values can need. */
size_t batch_change_bound(const struct value *values, unsigned count);
bool batch_get_change(const struct ring_record *, struct change *);

/* Pack values as one msgpack array, and read such an array (exactly `count` values) back. */
void row_pack(struct pack *, const struct value *values, unsigned count);
bool row_unpack(const uint8_t *row, size_t len, const enum type *types, unsigned count,
		struct value *values);

/* The same of a row that row_unpack() has read before: text and digits are not checked again. */
bool row_unpack_kept(const uint8_t *row, size_t len, const enum type *types, unsigned count,
		     struct value *values);

struct letter { /* a message that could not be used, for the dead-letter table */
	uint16_t table;
	int32_t partition;
	int64_t offset;
	int64_t source_ms;          /* ms since 1970, 0: not known */
	const uint8_t *key, *value; /* NULL: null, or left out. What stands here of them ... */
	uint32_t key_len, value_len;
	int64_t key_bytes, value_bytes; /* ... and how long they were; -1: null */
	const char *reason;
	uint32_t reason_len;
};

int batch_put_letter(struct ring *, const struct letter *);
bool batch_get_letter(const struct ring_record *, struct letter *);

/* The payload alone, to be kept and put later as it is; and the most bytes that it can need. */
void letter_pack(struct pack *, const struct letter *);
size_t letter_bound(const struct letter *);

/* How many bytes of a message's value a letter holds at most; of the key an eighth of that. */
#define LETTER_VALUE_MAX ((size_t)1 << 20)
size_t letter_value_most(size_t ring_bytes);
int batch_put_packed_letter(struct ring *, const uint8_t *, size_t len);

enum snapshot_phase {
	SNAPSHOT_BEGIN,   /* a new attempt; an open one is discarded */
	SNAPSHOT_END,     /* the table now is what this attempt read, and nothing else */
	SNAPSHOT_ABANDON, /* the attempt will not end: what it has not read stays as it is */
};

int batch_put_snapshot(struct ring *, uint16_t table, enum snapshot_phase);
bool batch_get_snapshot(const struct ring_record *, uint16_t *table, enum snapshot_phase *);

/*
 * END and CUT carry position entries (position.h) that have changed since the last one; the
 * first END or the CUT of a life of ingest carries all of them. source_ms: source time of the
 * newest event, ms since 1970, 0 when unknown. stamps: when its events were written to Kafka, as far as
 * their latency is to be measured.
 */
int batch_put_end(struct ring *, enum record_kind, int64_t source_ms, const struct stamps *,
		  const uint8_t *entries, size_t len);
bool batch_get_end(const struct ring_record *, int64_t *source_ms, struct stamps *,
		   const uint8_t **entries, size_t *len);

/* One row of a view: diff is -1 or +1; values in the order of view->outputs. */
int batch_put_row(struct ring *, uint16_t view, int diff, const uint8_t *row, size_t len);
bool batch_get_row(const struct ring_record *, uint16_t *view, int *diff, const uint8_t **row,
		   size_t *len);

enum view_step {
	VIEW_FILL,    /* the target does not know it: the ROWs of this batch are all of it */
	VIEW_REBUILD, /* likewise, but its table has rows: only the difference is to be written */
	VIEW_DROP,    /* it is in the pipeline no more: the target is to forget it, not its table */
	VIEW_LIVE,    /* `rows` of it are shown: the target should fold to so many */
};

/* Before the ROWs of a batch. `rows` is meant for VIEW_LIVE only. */
int batch_put_view(struct ring *, uint16_t view, enum view_step, uint64_t rows);
bool batch_get_view(const struct ring_record *, uint16_t *view, enum view_step *, uint64_t *rows);

enum checkpoint_step {
	CHECKPOINT_PART,   /* store `data` as part `part` of checkpoint `number` */
	CHECKPOINT_FLIP,   /* from this commit on `number` is the checkpoint: it has `part` parts,
			    * state and position (`data`, JSON) of batch `batch` */
	CHECKPOINT_FORGET, /* delete part `part` of checkpoint `number` */
};

struct checkpoint {
	enum checkpoint_step step;
	uint64_t number; /* 1, 2, ... */
	uint32_t part;   /* from 0 */
	uint64_t batch;  /* FLIP */
	const uint8_t *data;
	size_t len;
};

/* After the ROWs of a batch. */
int batch_put_checkpoint(struct ring *, const struct checkpoint *);
bool batch_get_checkpoint(const struct ring_record *, struct checkpoint *);

struct batch {                /* closes the records before it */
	uint64_t number;      /* durable batch + 1, + 2, ... */
	uint64_t rows;        /* how many ROWs it has: checked by the reader */
	uint64_t letters;     /* how many BADs, likewise */
	int64_t source_ms;    /* as in END */
	bool clean_stop;      /* the last one before reduce ends */
	const char *position; /* JSON text, all servers */
	uint32_t position_len;
	struct stamps stamps; /* of the events that it makes visible */
};

int batch_put_batch(struct ring *, const struct batch *);
bool batch_get_batch(const struct ring_record *, struct batch *);

#endif
