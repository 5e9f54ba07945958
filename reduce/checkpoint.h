/*
 * checkpoint.h - the state of the reduce stage, as parts that are stored in the target.
 *
 * Sources are the rows of keyed tables and the groups of views over keyless ones; groups over keyed
 * tables are built from the rows. checkpoints_begin() copies what is due into a private buffer: of
 * each source its changes, and as many segments in full as those bytes (and 1/1024 of the state) pay
 * for, the oldest copies first; or all of it, when the changes are half of it. So no more than twice
 * the changes and the state once in each round of the segments is written, and about twice the state
 * is stored. The buffer is then handed on part by part, and a FLIP when all are out; the next one
 * may begin when the FLIP is durable, and then the parts that are needed no more may be deleted.
 *
 * The last part of each is the manifest: the sources, and a digest of all parts that are needed.
 */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/batch.h"
#include "common/pipeline.h"
#include "reduce/book.h"
#include "reduce/part.h"

struct image;

struct part_range { /* parts to be deleted */
	uint64_t number;
	uint32_t first, parts;
};

struct part_ranges {
	struct part_range *list;
	size_t count, room;
	size_t taken;      /* ranges done */
	uint32_t taken_of; /* parts done of the next one */
};

enum checkpoints_phase {
	CHECKPOINTS_IDLE,
	CHECKPOINTS_PARTS, /* parts are to be handed on */
	CHECKPOINTS_FLIP,  /* then the flip */
	CHECKPOINTS_WAIT,  /* until the flip is durable */
};

struct checkpoints {
	struct source *sources;
	unsigned count, room;
	size_t part_max;

	enum checkpoints_phase phase;
	uint64_t number; /* of the newest one; 0: there was none */
	bool stored;     /* the newest one that was flipped can be loaded */
	uint64_t batch;  /* whose state it is */
	char *position;  /* JSON text */
	size_t position_len;
	uint64_t flip_batch;
	struct part_sink sink;
	uint32_t handed;       /* parts handed on */
	struct stored **order; /* its sections, in the order of their parts */
	size_t order_count, order_at;
	bool manifest_written;
	struct stored manifest;           /* its parts; parts 0: none */
	struct part_ranges forget, later; /* may be deleted; after the next flip */

	uint64_t bytes;  /* of all parts handed on since it was made */
	uint64_t loaded; /* entries taken from a stored checkpoint */
	void (*beat)(void *arg);
	void *beat_arg;
};

/* ring_bytes bounds a part. `beat`, if not NULL, is called now and then in long work. */
void checkpoints_init(struct checkpoints *, size_t ring_bytes, void (*beat)(void *), void *arg);
void checkpoints_fini(struct checkpoints *);

/* Add a source, which is borrowed; or forget it: it is left out from the next checkpoint on. */
void checkpoints_add_rows(struct checkpoints *, const struct table *, struct rows *);
void checkpoints_add_groups(struct checkpoints *, const struct view *, const struct table *,
			    struct groups *);
void checkpoints_drop(struct checkpoints *, const struct groups *);

/*
 * Fingerprints of all that the meaning of a table's rows, and of a view's groups, depends on.
 */
uint64_t checkpoint_table_layout(const struct table *);
uint64_t checkpoint_view_layout(const struct view *, const struct table *);

/* Entries that have changed since the last one was begun, all sources. */
uint64_t checkpoints_dirty(const struct checkpoints *);

/* Bytes of all sources, and of the parts that are needed or not yet deleted. */
uint64_t checkpoints_live_bytes(const struct checkpoints *);
uint64_t checkpoints_stored_bytes(const struct checkpoints *);

/* Copy the state, which is that of batch `batch`, closed at `position` (JSON text). */
void checkpoints_begin(struct checkpoints *, uint64_t batch, const char *position, size_t len);

/*
 * The next record to be put, PART or FLIP: false when none is. Its data is borrowed until
 * checkpoints_put(), which says that it stands in batch `batch`.
 */
bool checkpoints_next(struct checkpoints *, struct checkpoint *);
void checkpoints_put(struct checkpoints *, uint64_t batch);

/* The same for FORGET. */
bool checkpoints_forget(const struct checkpoints *, struct checkpoint *);
void checkpoints_forgotten(struct checkpoints *);

void checkpoints_acknowledge(struct checkpoints *, uint64_t durable);

/*
 * load.c: fill the sources from an image whose IMAGE_CHECKPOINT has this number; number 0: there is
 * none. Returns true when a checkpoint was loaded. Otherwise `reason` says why it could not be used,
 * and sources may be half filled: the caller makes new ones and calls checkpoints_refuse(), after
 * which all of its parts will be deleted.
 */
bool checkpoints_load(struct checkpoints *, struct image *, uint64_t number, char *reason,
		      size_t size);
void checkpoints_refuse(struct checkpoints *, struct image *, uint64_t number);

/* A section that the next flip makes unneeded; for source_prune(), so the owner comes as void. */
void checkpoints_note_gone(void *checkpoints, const struct stored *);
void part_ranges_add(struct part_ranges *, uint64_t number, uint32_t first, uint32_t parts);

#endif
