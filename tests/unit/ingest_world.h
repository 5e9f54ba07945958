/*
 * ingest_world.h - ingest without Kafka: messages made by hand go through the real decoder, order
 * and writer into a real ring, whose other end the test reads.
 *
 * One server, one table ("t", topic "s.public.t"), one partition.
 */
#ifndef INGEST_WORLD_H
#define INGEST_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/stage.h"
#include "ingest/source.h"
#include "ingest/writer.h"

struct world {
	struct stage stage; /* as for `check`: what ends the process is said on standard output */
	struct pipeline pipeline;
	struct server server;
	struct table *table;
	struct source source;
	struct writer writer;
	struct ring in; /* reduce's end */
	int64_t now_ms;
	struct order_action action; /* the last one: WAIT */
	const char *key;            /* of each message; NULL: none */
	bool tombstone;
	int64_t later_ms;        /* how long after 1700000000000 each message is written to Kafka */
	char message[96 * 1024]; /* borrowed by the event that is offered */
};

/* `durable`: the next offset of a position that is to be replayed up to; 0: none. */
void world_open(struct world *, const char *columns, size_t ring_bytes, int64_t durable);
void world_close(struct world *);

/* A Debezium message of transaction `sequence` in world->message; rows are JSON or "null". */
void world_write(struct world *, uint64_t sequence, char op, const char *before, const char *after);

/* Offer world->message, or the text (NULL: a tombstone), and do what order says until it waits. False: poison. */
bool world_take(struct world *, int64_t offset);
bool world_take_text(struct world *, int64_t offset, const char *text);

/* Of the record that world->message is. */
uint64_t world_hash(const struct world *);

/* Nothing more in the log, for longer than autocommit_duration_ms. */
void world_silence(struct world *, int64_t end);

/*
 * What is in the ring now, as lines "ADD 1 abc", "END", "CUT", ...; values as PostgreSQL's text. A
 * letter is "BAD OFFSET PARTITION SOURCE_MS KEY/BYTES VALUE/BYTES", what it holds and how long it was.
 */
const char *world_read(struct world *);

/* Fails the test unless body() ends the process with this code, saying all these words. */
void world_ends(void (*body)(struct world *), struct world *, int code, const char *const *words);

#endif
