/*
 * core.h - records in, records out: what the reduce stage does, without clock, I/O or threads.
 *
 * Time (ms of a clock that never steps) and the durable batch are handed in, so it can be
 * simulated. It absorbs CHANGE, SNAPSHOT, BAD, END and CUT of several input rings, keeps rows and
 * groups, and closes batches:
 *
 *     while core_wants(input): core_take(record)     a ring with an open transaction is read on
 *     core_due()?  then core_emit() until CORE_DONE  nothing is absorbed meanwhile
 *
 * Until every input has sent its CUT nothing is shown; an input that has sent it waits for the
 * others, for what comes after it is new. The rings' commits are the caller's.
 *
 * A row that a view cannot compute is not in that view (group.h), and what becomes of the pipeline is
 * for the table's on_error to say. Until all are live nothing is told of such rows, nor of messages
 * that come as BAD: it was told before. Afterwards letters go with the batch of their transaction.
 *
 * Checkpoints of its state go beside the batches (checkpoint.h): a batch may be due for no other
 * reason than that one is unfinished. core_load() begins from what the target has stored.
 */
#ifndef CORE_H
#define CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/batch.h"
#include "common/pipeline.h"
#include "common/ring.h"

#define CORE_SAVE_MS        10000  /* a position without rows is saved at the latest after this */
#define CORE_UNACKNOWLEDGED 2      /* so many batches may be under way; while it keeps up: one */
#define CORE_FORGETS        64     /* parts deleted in one batch */
#define CORE_SOON_CHANGES   250000 /* absorbed since the last checkpoint: the next one is due ... */
#define CORE_SOON_MS        1000   /* ... but not within this after it */

struct core;
struct image;

/* Borrows the pipeline. Input i carries the tables of server i. */
struct core *core_new(const struct pipeline *);
void core_free(struct core *);

/*
 * Optional: `beat` is called now and then in long work; `clock_us` (microseconds, never steps back)
 * only measures how long the copying for a checkpoint takes; `warn` is to log a row that was not used.
 */
struct core_hooks {
	void (*beat)(void *arg);
	int64_t (*clock_us)(void *arg);
	void (*warn)(void *arg, const char *event, const char *text);
	void *arg;
};

void core_set_hooks(struct core *, const struct core_hooks *);

/*
 * Whether tables and views fit together, as the supervisor should have made sure.
 * Returns NULL, or a heap sentence that the caller frees, with its place.
 */
char *core_check(const struct pipeline *, struct place *);

enum core_result {
	CORE_OK,     /* a record was absorbed */
	CORE_END,    /* the same, and it ended a transaction */
	CORE_CUT,    /* the same, and it was the last CUT: call core_live() */
	CORE_DONE,   /* core_emit(): finished */
	CORE_FULL,   /* core_emit(): no room in the ring; commit, wait, call again */
	CORE_FAILED, /* cannot go on: see core_error() */
};

/*
 * Once, before anything is taken: which views the target knows, and the state that it has stored.
 * core_origin() then is the position to replay from, JSON text, or of length 0: the start of
 * history; core_refusal() says why a checkpoint that is there was not used, or is NULL. Without
 * core_load() the target knows all views, and there is no checkpoint. CORE_OK or CORE_FAILED.
 */
enum core_result core_load(struct core *, struct image *);
const char *core_origin(const struct core *, size_t *len);
const char *core_refusal(const struct core *);

/* Whether a record of this input may be taken now. */
bool core_wants(const struct core *, unsigned input);

/*
 * A record that will be taken soon, and later twice what core_look_ahead() has said of it, when it is nearer (`next`:
 * the second time): what it needs is fetched into the cache. What was read of it then, core_take() need not read again.
 */
struct core_hint {
	const struct rows *rows; /* NULL: none */
	uint32_t hash;           /* of its key in them */
	struct change change;
};
bool core_keeps_rows(const struct core *);
void core_look_ahead(struct core *, unsigned input, const struct ring_record *, struct core_hint *);
void core_fetch(const struct core_hint *, bool next);

/* Take one record, which is not kept. The hint is of the same record and has rows, or is NULL. */
enum core_result core_take(struct core *, unsigned input, const struct ring_record *,
			   const struct core_hint *, int64_t now_ms);

/*
 * After CORE_CUT: memory is the state of batch `durable`, so nothing needs to be shown of the views
 * that the target knows, and the next batch is durable + 1. It shows all of the others, and of those
 * that are to be rebuilt. Returns CORE_OK or CORE_FAILED.
 */
enum core_result core_live(struct core *, uint64_t durable);

/*
 * Between batches, and while no transaction is open: go on with a pipeline of the same servers and
 * tables, whose views are the old ones at their index, perhaps dropped, and new ones behind them.
 * A new view over a keyed table is filled from the kept rows (a pause) and is shown by the next
 * batch, which is due at once, as is one that says what was dropped. The old pipeline is borrowed no
 * more. CORE_FAILED: it cannot be done without a replay (see core_error()), or a new view cannot
 * compute a kept row: the core is then good for core_free() only.
 */
enum core_result core_views(struct core *, const struct pipeline *);
bool core_is_live(const struct core *);

/* Memory stands at a transaction's end. */
bool core_is_whole(const struct core *);

/*
 * No more input: what is whole is shown without waiting for the commit interval, then stored, so
 * that a start replays nothing. The last batch says clean_stop.
 */
void core_finish(struct core *);

/*
 * Whether much input waits to be read: then batches are gathered for CORE_GATHER_MS at least, for
 * each costs the target a row or two for each touched group, and one is made while another is committed.
 * Nobody waits for the newest of them.
 */
#define CORE_GATHER_MS 40
void core_set_behind(struct core *, bool behind);

/* Whether a batch must be begun now, or gone on with. */
bool core_due(const struct core *, uint64_t durable, int64_t now_ms);

/* When core_due() becomes true by time alone; INT64_MAX: not by time. */
int64_t core_deadline(const struct core *, uint64_t durable);

/*
 * Put rows, parts of a checkpoint and then BATCH into the ring, from where it stopped. Appends only:
 * the caller commits. A batch whose rows are all unchanged is not written, unless its position must
 * be saved or a checkpoint needs it.
 */
enum core_result core_emit(struct core *, struct ring *out, uint64_t durable, int64_t now_ms);
bool core_emitting(const struct core *);

/* What core_emit() begins with: make the changes of groups that were kept for then (pending.h). */
void core_apply_pending(struct core *);

/* Nothing more will be shown or stored, and all that was is in the target. */
bool core_is_settled(const struct core *, uint64_t durable);

struct core_counters {
	uint64_t changes, transactions, batches, output;
	uint64_t absent;           /* deletes of keys that were not there */
	uint64_t evaluations;      /* rows that a view could not compute */
	uint64_t skipped, letters; /* rows that were not used, by on_error */
	uint64_t rows, groups;
	uint64_t batch;            /* number of the newest batch that was closed */
	uint64_t checkpoints;      /* begun */
	uint64_t checkpoint_bytes; /* of the parts put into the ring */
	uint64_t checkpoint_us;    /* the longest copying of one */
	uint64_t loaded;           /* entries taken from the stored checkpoint */
	uint64_t live_bytes;       /* what the state would have as a checkpoint, about */
	uint64_t stored_bytes;     /* parts that are needed to load it, about */
};

struct core_counters core_counters(const struct core *);

/* After CORE_FAILED: exit code, stable event name and one sentence. Borrowed. */
struct core_error {
	int code;
	const char *event;
	char text[1200];
};

const struct core_error *core_error(const struct core *);

#endif
