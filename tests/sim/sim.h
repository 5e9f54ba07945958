/*
 * sim.h - tallyd's heart in one process: the real order, writer, rings and core between a fake
 * Kafka and a fake target, under a fake clock, with faults.
 *
 * A seed makes a plan: what the source does (transactions, snapshots, deaths of its connector) and
 * what happens to tallyd, step by step. Nothing else is random, so a seed is replayed bit for bit;
 * and any part of a plan can be left out, so a failing one can be shrunk.
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/stage.h"
#include "ingest/order.h"
#include "ingest/source.h"
#include "ingest/writer.h"
#include "reduce/core.h"

enum {
	SIM_SERVERS = 2,
	SIM_TABLES = 2, /* 0 keyed, 1 keyless */
	SIM_VIEWS = 4,  /* two of each table */
	SIM_IDS = 6,
	SIM_GROUPS = 3, /* the last one is NULL */
	SIM_VALUES = 8,
	SIM_LOGS = 4, /* partitions of one server */
	SIM_ENTRIES = 640,
	SIM_ITEMS = 24,
	SIM_STEPS = 160,
	SIM_UNITS = 512,
	SIM_TXNS = 64,
	SIM_ATTEMPTS = 32,
	SIM_COMMITS = 512,
	SIM_POSITION = 4096,
	SIM_EFFECTS = 256,
	SIM_LETTERS = 1024,
};

/* --- plan.c: what a seed says --- */

enum item_kind { /* what the source and its connector do */
		 ITEM_TRANSACTION,
		 ITEM_SNAPSHOT, /* again, by a new life of the connector */
		 ITEM_KILL,     /* the connector, which goes on from its last flush */
};

enum step_kind {             /* what tallyd does, and what is done to it */
		 STEP_ROUND, /* a bit of everything below, down to EGRESS */
		 STEP_APPEAR,
		 STEP_INGEST,
		 STEP_PUBLISH,
		 STEP_REDUCE,
		 STEP_EMIT,
		 STEP_EGRESS,
		 STEP_TIME,
		 STEP_QUIET,       /* all that was sent is visible, then a long time passes */
		 STEP_JUMP,        /* a long time passes */
		 STEP_KILL_INGEST, /* faults from here on */
		 STEP_KILL_REDUCE,
		 STEP_KILL_EGRESS,
		 STEP_LOST_ANSWER, /* of a COMMIT that happened, or did not */
		 STEP_REWIND,      /* the target is set back to an older commit */
		 STEP_SHADOW,      /* what would a full recovery find now? */
		 STEP_KINDS,
};

struct plan_part {
	unsigned kind;
	bool dropped;
	uint64_t raw; /* all that is random in it */
};

struct plan_server {
	enum order_mode mode;
	bool old;         /* Debezium 3.4: counts anew in each life */
	bool starts_bare; /* no snapshot first */
	unsigned tables;  /* bit set */
	unsigned partitions[SIM_TABLES];
	unsigned count;
	struct plan_part item[SIM_ITEMS];
};

struct plan {
	uint64_t seed;
	bool slow; /* events may come later than any silence tallyd waits for */
	int64_t autocommit_ms, commit_interval_ms, checkpoint_interval_ms;
	size_t out_bytes; /* of the ring to egress */
	unsigned servers;
	struct plan_server server[SIM_SERVERS];
	unsigned steps;
	struct plan_part step[SIM_STEPS];
};

uint64_t sim_mix(uint64_t *state);
uint64_t sim_random(uint64_t *state, uint64_t below);

void plan_make(struct plan *, uint64_t seed);
unsigned plan_parts(const struct plan *);
struct plan_part *plan_part(struct plan *, unsigned);
const char *plan_step_name(unsigned kind);
void plan_print(const struct plan *);

/* --- state.c: tables, and what views show of them --- */

struct contents {
	struct {
		bool is;
		uint8_t group, value;
	} row[SIM_IDS];                      /* keyed */
	int16_t bag[SIM_GROUPS][SIM_VALUES]; /* keyless */
};

struct shown { /* [..][0]: whether the row is there; then count, sum, min, max */
	int32_t at[SIM_VIEWS][SIM_GROUPS][5];
};

struct pipeline *state_pipeline(const struct plan *); /* heap: pipeline_free() */
void state_show(const struct contents *, unsigned table, struct shown *);
bool state_owes(const struct contents *); /* keyless rows that are less than none */
bool state_same(const struct shown *, const struct shown *, unsigned table);
void state_print(const struct shown *);

/* --- kafka.c: the source, its connector and the logs they have written --- */

struct entry {
	struct event_place place;
	char op; /* 0: a tombstone, or garbage */
	bool unchanged;
	uint8_t id, group, value, old_group, old_value;
	uint16_t unit;
	int attempt; /* of a snapshot, -1: streamed */
	unsigned sent, epoch;
};

struct log {
	uint16_t table;
	int32_t partition;
	unsigned count, visible;
	struct entry at[SIM_ENTRIES];
};

struct attempt { /* of a snapshot, all rows of it */
	unsigned rows[SIM_TABLES], rows_sent[SIM_TABLES];
	int last[SIM_LOGS]; /* index of its last row; -1: none */
	unsigned begun;     /* `sent` of the first row */
	struct contents contents;
};

struct kafka_fake {
	unsigned logs;
	struct log log[SIM_LOGS];
	unsigned tx_count, tx_visible;
	struct transaction_event tx[SIM_ENTRIES];
	unsigned attempts;
	struct attempt attempt[SIM_ATTEMPTS];
	unsigned prefixes; /* states after whole transactions */
	struct contents prefix[SIM_TXNS];
	struct shown prefix_shown[SIM_TXNS];
	unsigned sent, kills, snapshots;
	bool torn;      /* ends of transactions are nowhere but in a snapshot */
	unsigned epoch; /* grows behind each snapshot: what follows it is not seen before it */
	unsigned tx_epoch[SIM_ENTRIES];
};

void kafka_make(struct kafka_fake *, const struct plan *, unsigned server);

/* What the logs say up to these offsets: each event counts once. */
void kafka_state_at(const struct kafka_fake *, const int64_t *next, struct contents *);
void kafka_print(const struct kafka_fake *);

/* --- world.c, target.c: a run --- */

struct commit { /* the target after a batch */
	uint64_t time, owner;
	unsigned prefix[SIM_SERVERS]; /* which whole prefix it shows */
	struct shown shown;
	unsigned known;                        /* views, a bit set */
	uint64_t checkpoint, checkpoint_batch; /* 0: none */
	size_t len;
	char position[SIM_POSITION];
};

struct stored_part {
	uint64_t number;
	uint32_t part;
	uint64_t born, gone; /* there from one batch until another */
	uint8_t *data;
	size_t len;
};

struct store {
	struct stored_part *part;
	unsigned count, room;
};

struct sim_letter {
	uint16_t table;
	int32_t partition;
	int64_t offset;
	uint64_t batch;
};

struct target {
	uint64_t batch, epoch, owner;
	unsigned letters;
	struct sim_letter letter[SIM_LETTERS];
	struct commit at[SIM_COMMITS]; /* [batch]; [0]: empty */
	struct store store;
};

struct ingest_fake {
	struct stage stage;
	struct source source;
	struct partition partitions[SIM_LOGS];
	struct writer writer;
	struct value values[SIM_LOGS][7];
	unsigned seen[SIM_LOGS], tx_seen;
	struct ring in; /* reduce's end */
};

struct engine { /* ingest and reduce, and the rings around them */
	struct ingest_fake ingest[SIM_SERVERS];
	struct core *core;
	struct commit origin; /* len 0: the start of history */
	struct ring out, reader;
	unsigned turn;
};

struct egress_fake {
	uint64_t epoch;
	uint64_t next; /* batch to be read */
	uint64_t skip; /* batches up to here are there already */
	bool connected;
	struct shown shown; /* with the rows gathered */
	uint64_t rows;
	unsigned filled; /* views, a bit set */
	unsigned letters;
	struct sim_letter letter[SIM_EFFECTS]; /* of the batch that is read */
	unsigned effects;
	struct checkpoint effect[SIM_EFFECTS]; /* of the batch that is read; they borrow the ring */
};

struct totals {
	uint64_t commits, rows, recoveries, faults[STEP_KINDS], shadows, connector_kills, snapshots;
	uint64_t repeats, torn, late, gaps;
	uint64_t checkpoints, loads, letters;
};

struct world {
	struct plan plan;
	struct kafka_fake kafka[SIM_SERVERS];
	struct pipeline *pipeline;
	struct board *board;
	struct engine engine, shadow;
	struct egress_fake egress;
	struct target target;
	uint64_t owner; /* of this full recovery */
	int64_t now_ms;
	unsigned beyond; /* messages of the transaction topics that are of tables nobody follows */
	unsigned step;
	uint64_t digest;
	bool trace;
	struct totals totals;
};

/* Rings and board: once for a process. */
void world_init(struct world *);

/* Run a plan to its end. Does not return where something is wrong. */
void world_run(struct world *);

/* Everything anew from what the target says. */
void world_recover(struct world *);

/* --- engine.c --- */

void engine_init(struct engine *, struct board *);
void engine_free(struct engine *); /* what belongs to one run */

/* As after a full recovery, from what the target says now; `stored`: also from its checkpoint. */
void engine_start(struct world *, struct engine *, bool stored);
void engine_kill_ingest(struct world *, struct engine *, unsigned server);

/* Each does a part of a stage's work and returns whether anything was done. */
bool engine_ingest(struct world *, struct engine *, unsigned server, unsigned steps, uint64_t raw);
void engine_publish(struct engine *, unsigned server);
bool engine_reduce(struct world *, struct engine *, unsigned records, uint64_t durable, bool on);
bool engine_emit(struct world *, struct engine *, uint64_t durable);
void trace_action(const struct world *, const struct ingest_fake *, const struct order_action *);

/* --- target.c --- */

/* Read records of batches. False: nothing was there. */
bool target_read(struct world *, unsigned records);
enum death {
	DEATH_NONE,
	DEATH_BEFORE_COMMIT,
	DEATH_AFTER_COMMIT,
	DEATH_AFTER_PUBLISH,
	DEATH_ANSWER_LOST, /* only the connection */
	DEATH_ANSWER_LOST_UNDONE,
};
void target_die(struct world *, enum death); /* with the next batch, if there is one */
void target_take_over(struct world *, bool full);
void target_rewind(struct world *, uint64_t batches);
bool target_apply_row(struct shown *, unsigned view, int diff, const uint8_t *row, size_t len);
bool target_shows(const struct world *, const struct commit *, unsigned server, unsigned prefix);
void target_position(struct world *, const struct commit *, unsigned server,
		     struct partition_position **, unsigned *count, struct transaction_position *);

/* --- letters.c --- */

bool letter_is_due(const struct entry *, unsigned table);
void letters_take(struct egress_fake *, const struct ring_record *);
void letters_commit(struct world *, const struct commit *, uint64_t batch);
void letters_forget(struct target *, uint64_t batch);                 /* those of later batches */
unsigned letters_check_server(const struct world *, unsigned server); /* how many it has */

/* --- store.c --- */

void store_clear(struct store *);
void store_rewind(struct store *, uint64_t batch);
void store_apply(struct world *, uint64_t batch, const struct checkpoint *);
void store_take_over(struct target *);
void store_load(struct world *, struct core *, bool stored);

/* --- main.c --- */

enum failure { /* shrinking keeps to one kind */
	       FAILURE_NONE,
	       FAILURE_CRASH,
	       FAILURE_HANG,
	       FAILURE_REFUSED, /* order or core cannot go on */
	       FAILURE_DIFF,    /* a -1 that is not the +1 before it */
	       FAILURE_STATE,   /* what is shown is not what the position says */
	       FAILURE_PREFIX,  /* not whole transactions */
	       FAILURE_BATCH,   /* numbers, times */
	       FAILURE_REPLAY,  /* a recovery would come to another state */
	       FAILURE_STORE,   /* of the checkpoint */
	       FAILURE_END,     /* not all applied, or too much */
	       FAILURE_DIGEST,  /* the same seed ran otherwise */
};

_Noreturn void sim_fail(enum failure, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
