/*
 * board.h - the words that all processes of one pipeline can see.
 *
 * One memfd, made by the supervisor. Every word has exactly one writing process, named beside it.
 * The durable position is the only thing that moves from right to left: egress publishes it after
 * each commit, ingest reads it (offsets for Kafka, and D of a recovery), reduce reads its batch.
 * The origin is said once in each full recovery: the position of the state that reduce has loaded.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/latency.h"

#define BOARD_STAGES_MAX   18 /* reduce, egress and up to 16 ingests */
#define BOARD_POSITION_MAX (256u * 1024)
#define BOARD_WORDS_MAX    512

/* Counters of a stage, each written by that stage only. Labels stand in board.c. */
enum board_counter {
	COUNTER_EVENTS,         /* ingest: messages taken from table topics */
	COUNTER_BYTES,          /* ingest: their bytes */
	COUNTER_CHANGES,        /* ingest: CHANGE records written; reduce: absorbed */
	COUNTER_TRANSACTIONS,   /* ingest: ENDs written */
	COUNTER_REPEATS,        /* ingest: source_repeats, events at or below the watermark */
	COUNTER_LATE,           /* ingest: events applied with a later transaction than theirs */
	COUNTER_TORN,           /* ingest: transaction_torn */
	COUNTER_GAPS,           /* ingest: source_gap, ENDs whose counts never came */
	COUNTER_SNAPSHOTS,      /* ingest: snapshots closed */
	COUNTER_TOMBSTONES,     /* ingest */
	COUNTER_SCHEMA_SKIPPED, /* ingest: schema blocks recognised by their bytes */
	COUNTER_BY_FORM,        /* ingest: messages read by the form of one before */
	COUNTER_BY_SCAN,        /* ingest: messages that had to be scanned */
	COUNTER_BEHIND,         /* ingest: 1 while it has more to read than it can at once */
	COUNTER_ROWS,           /* reduce: rows kept now */
	COUNTER_GROUPS,         /* reduce: groups alive now, all views */
	COUNTER_BATCHES,        /* reduce: batches closed */
	COUNTER_OUTPUT,         /* reduce: BATCH rows; egress: rows committed */
	COUNTER_COMMITS,        /* egress */
	COUNTER_COPIES,         /* egress: commits that used COPY */
	COUNTER_TAKEOVERS,      /* egress */
	COUNTER_LAG_MS,      /* egress: commit time minus source time of the newest event in it */
	COUNTER_SOURCE_MS,   /* ingest: source time (ms since 1970) of the newest event */
	COUNTER_WRITTEN_MS,  /* ingest: when the connector's newest record was written to Kafka */
	COUNTER_HEARTBEATS,  /* ingest: heartbeats read */
	COUNTER_SILENT,      /* ingest: 1 while the connector is silent for too long */
	COUNTER_CHECKPOINTS, /* egress: flips committed */
	COUNTER_CHECKPOINT_BYTES, /* reduce: bytes of all parts handed to egress */
	COUNTER_CHECKPOINT_US,    /* reduce: the longest copying of one, microseconds */
	COUNTER_LOADED,           /* reduce: entries loaded from the checkpoint */
	COUNTER_REBUILT,          /* egress: rows that rebuilds have written */
	COUNTER_SKIPPED,          /* ingest, reduce: messages skipped by on_error 'skip' */
	COUNTER_LETTERS,          /* ingest, reduce: sent to tallyd.dead_letter; egress: written */
	COUNTER_EVALUATIONS, /* reduce: rows that a view could not evaluate, in skipped ones too */
	COUNTER_MAX
};

enum stage_state { /* as the stage itself says; the supervisor keeps its own view */
		   STAGE_BOOT,
		   STAGE_WAITING, /* for a server, a topic, a table: `note` says for what */
		   STAGE_STANDBY, /* egress: another tallyd holds the pipeline */
		   STAGE_REPLAY,  /* absorbing history up to the durable position */
		   STAGE_RUNNING,
		   STAGE_DRAINING,
};

struct board_stage { /* writer: the stage, but for `pid` and `starts` (supervisor) */
	alignas(128) _Atomic uint64_t heartbeat; /* grows while the stage's loop turns */
	_Atomic uint32_t state;
	_Atomic uint32_t note_len;
	char note[240]; /* what it waits for; read by status, may be torn, never trusted */
	_Atomic uint64_t counter[COUNTER_MAX];
	char words[BOARD_WORDS_MAX]; /* last words: NUL-terminated, read after the death */
	_Atomic int32_t pid;
	_Atomic uint32_t starts;
};

struct board_durable {
	uint64_t batch, time;
	uint32_t len;                      /* 0: the target has no position yet */
	char position[BOARD_POSITION_MAX]; /* JSON text, see position.h */
};

struct board_origin {
	uint32_t len; /* 0: the start of history */
	char position[BOARD_POSITION_MAX];
};

struct board {
	uint64_t magic;
	uint32_t version, size;
	int64_t started_ms;      /* supervisor: when the board was made, by the wall clock */
	char owner[64];          /* supervisor: drawn anew in every full recovery */
	_Atomic uint32_t alone;  /* supervisor: the next egress replaces a dead one, alone */
	_Atomic uint32_t stages; /* supervisor */
	alignas(128) _Atomic uint64_t
	    released; /* egress: batch whose room it freed before COMMIT, else 0 */
	alignas(
	    128) _Atomic uint64_t durable; /* egress: sequence of the published slot (low bit) */
	struct board_durable slot[2];
	struct board_origin origin; /* reduce: written once before it is ready */
	_Atomic uint64_t measured;  /* egress: the last batch that is in `latency` */
	struct latency latency;     /* egress: from a message's timestamp to its COMMIT's answer */
	struct board_stage stage[BOARD_STAGES_MAX];
};

/* Supervisor: a new board. Returns the memfd, and the mapping in *out; -1 with errno. */
int board_create(struct board **out);

/* Stage: map it. NULL with errno (EBADMSG: another version). */
struct board *board_attach(int memfd);

/*
 * Supervisor: forget durable position, origin, released and measured batch (before a full recovery).
 * Latencies and counters stay.
 */
void board_clear(struct board *);

/* Egress: publish the durable position; len <= BOARD_POSITION_MAX. */
void board_publish(struct board *, uint64_t batch, uint64_t time, const char *position, size_t len);

/*
 * Anyone: copy the newest durable position; *copy is caller's memory (it is large: heap or
 * static). Returns false when nothing was published since board_clear(). Never blocks for long:
 * retries while the writer overtakes it.
 */
bool board_durable(const struct board *, struct board_durable *copy);

/*
 * Reduce, before it says READY in a full recovery: history is to be read from this position on (JSON
 * text, len <= BOARD_POSITION_MAX; 0: from its start). Ingest, started after that: borrow it.
 */
void board_set_origin(struct board *, const char *position, size_t len);
const struct board_origin *board_origin(const struct board *);

/* Anyone: the durable batch alone, 0 when none. */
uint64_t board_durable_batch(const struct board *);

/* Stage: its own words. */
void board_set_state(struct board_stage *, enum stage_state, const char *note);
void board_count(struct board_stage *, enum board_counter, uint64_t add);
void board_gauge(struct board_stage *, enum board_counter, uint64_t value);
uint64_t board_counter(const struct board_stage *, enum board_counter);

/* Anyone: whether some ingest is behind. */
bool board_is_behind(const struct board *);

const char *board_counter_name(enum board_counter); /* "source_repeats", ... */
const char *stage_state_name(enum stage_state);

#endif
