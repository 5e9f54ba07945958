/*
 * messages.h - the messages of produce_shape.h in memory, for what measures without Kafka: the same
 * bytes for the same plan.
 *
 * values: inserts only. orders: first every key is inserted, then keys at random are updated, now
 * and then deleted (with the tombstone behind it) and inserted again.
 */
#ifndef TESTS_BENCH_MESSAGES_H
#define TESTS_BENCH_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "ingest/kafka.h"

enum messages_schema {
	MESSAGES_BARE,   /* no schema block */
	MESSAGES_SCHEMA, /* each value, and each key, has it */
	MESSAGES_MIXED,  /* runs of either: a connector's setting was changed */
};

struct messages_plan {
	bool orders;
	enum messages_schema schema;
	unsigned keys;            /* orders: how many rows there are */
	unsigned groups;          /* orders: how many values customer_id has */
	unsigned per_transaction; /* events in each */
	unsigned delete_every;    /* orders: one update in so many is a delete; 0: none is */
};

struct messages;

/* One at a time: its settings are produce_shape's. Never NULL. */
struct messages *messages_new(const struct messages_plan *);
void messages_free(struct messages *);

/*
 * The next `count` messages, offsets rising from 0 over all calls. Borrowed until the next call. The
 * last one may be a delete whose tombstone is the first of the next call.
 */
const struct kafka_message *messages_make(struct messages *, unsigned count);

#endif
