/*
 * position.h - how far a pipeline has come in Kafka: the one thing that says what the target holds.
 *
 * For each partition: where its history began, the next offset, a hash of the record before it,
 * the watermark of its newest applied event and its transaction, the cursor of the run of events it is in, and the
 * newest snapshot of its table with the watermark before it. Order decides from that alone, wherever
 * it is started. For each server with a transaction topic also that topic's next offset, and C_last,
 * the LSN of the last END taken. Ingest writes it, reduce merges and prints it, egress stores it as
 * jsonb, and ingest reads it back at the next start.
 */
#ifndef POSITION_H
#define POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack;
struct pipeline;
struct unpack;

/*
 * The place of one event in its source's order. Compared by (sequence, lsn, ordinal); no sequence
 * equals no sequence and is less than any. The ordinal counts neighbours with the same pair: rows
 * of one COPY share an LSN.
 */
struct watermark {
	bool set; /* false: before everything */
	bool has_sequence;
	uint64_t sequence, lsn;
	uint64_t ordinal;
};

int watermark_compare(const struct watermark *, const struct watermark *);

/* One attempt of a snapshot: a connector that reads a table anew does it in another transaction. */
struct snapshot_place {
	bool set;
	bool marked; /* its last row said so */
	uint64_t lsn;
	uint64_t xid; /* of the reading transaction, 0: not known */
};

struct partition_position {
	uint16_t table; /* index in the pipeline */
	int32_t partition;
	int64_t start; /* offset at which its history begins */
	int64_t next;
	uint64_t hash;                /* of the record at next - 1; 0: none yet */
	struct watermark mark;        /* newest event applied */
	struct watermark seen;        /* newest event looked at: equals mark but among repeats */
	int64_t seen_order;           /* its data_collection_order, 0 when unknown */
	int64_t mark_ms;              /* source.ts_ms of the newest event applied */
	uint64_t mark_xid;            /* its transaction, 0: not known */
	struct watermark before;      /* mark is a snapshot's end: what mark was before it */
	struct snapshot_place closed; /* the newest whole snapshot of its table */
};

struct transaction_position {
	bool set;
	int64_t start, next; /* of the transaction topic */
	uint64_t hash;
	uint64_t last; /* C_last */
};

/* Ingest: one entry for END and CUT, in msgpack. */
void position_pack_partition(struct pack *, const struct partition_position *);
void position_pack_transaction(struct pack *, const struct transaction_position *);

/*
 * The resume token of ingest holds such entries too. Those of earlier versions, which knew nothing of snapshots or
 * of mark_xid, are taken. False, and the cursor bad, when malformed.
 */
bool position_unpack_partition(struct unpack *, struct partition_position *);
bool position_unpack_transaction(struct unpack *, struct transaction_position *);

/* Reduce: the whole position of a pipeline. */
struct position;
struct position *position_new(const struct pipeline *); /* borrows the pipeline */
void position_free(struct position *);

/* Merge entries of one server. False when they are malformed (a corrupt peer). */
bool position_apply(struct position *, unsigned server, const uint8_t *entries, size_t len);

/*
 * Merge what JSON text says (as position_parse() reads it), of all servers: what it does not speak
 * of keeps its value. Returns 0, or -1 with a static sentence in *error.
 */
int position_load(struct position *, const char *json, size_t len, const char **error);

/* The same position of a pipeline with the same servers and tables, which is borrowed from now. */
void position_rebind(struct position *, const struct pipeline *);

/* JSON text of the whole. Returns its length, or the length needed when that is >= size. */
size_t position_print(const struct position *, char *buf, size_t size);

/*
 * Ingest: read the part of one server back from the JSON text (as PostgreSQL's jsonb prints it).
 * Allocates *partitions (the caller frees); topics that the pipeline no longer has are passed
 * over. Returns 0, or -1 with a static sentence in *error.
 */
int position_parse(const char *json, size_t len, const struct pipeline *, unsigned server,
		   struct partition_position **partitions, unsigned *count,
		   struct transaction_position *, const char **error);

#endif
