/*
 * source.h - one Debezium server as a set of partitions, and the way from a Kafka message to an
 * event that is offered to order. origin.h opens it.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/debezium.h"
#include "ingest/flow.h"
#include "ingest/kafka.h"
#include "ingest/order.h"

struct stage;

struct record_check { /* the record at this offset must have this hash; -1: nothing to check */
	int64_t offset;
	uint64_t hash;
};

/*
 * What a record's hash is made of, kept until the hash is asked for: most records are followed by another one
 * before a position is told, and to hash costs more than to copy.
 */
#define SOURCE_HASHED 256 /* bytes, the last ones, of key and of value */

struct record_tail {
	bool due; /* order has not been told its hash */
	int64_t timestamp_ms;
	size_t key_len, value_len; /* of all of it */
	char key[SOURCE_HASHED], value[SOURCE_HASHED];
};

struct partition { /* same numbers as in order and as queues of kafka */
	uint16_t table;
	int32_t partition;
	struct decoder *decoder;
	struct event event; /* of the head, while it is offered */
	bool offered;
	bool seen_sequences;         /* an event with source.sequence was seen in this life */
	struct record_check before;  /* the record before the first that is offered */
	struct record_check durable; /* the record before the target's position */
	struct record_tail tail[2];  /* of the record offered last, and of the one before */
	unsigned newest;             /* which is which */
	unsigned next_due;           /* the next in source->due; 0: none */
	bool listed;                 /* in source->due */
	size_t message_bytes;        /* of the head */
	int64_t timestamp_ms;        /* when it was written to Kafka, likewise; -1: not known */
	/* A head that cannot be read, of a table whose on_error is not to stop. */
	struct kafka_message bad;
	char reason[512];
};

struct poison { /* a message that cannot be read: nothing after it is */
	bool set;
	int queue; /* number of the partition; source->count: the transaction topic */
	int64_t offset;
	bool same; /* it belongs to the open transaction of its partition */
	char text[1024];
};

struct source {
	struct stage *stage;
	const struct server *server;
	struct kafka *kafka;
	struct order *order;
	enum order_mode mode;
	struct partition *partitions;
	unsigned count;
	unsigned due; /* from 1: the first partition whose hash order wants; 0: none */
	/* The transaction topic is queue `count`. It may not exist yet: nobody waits for it. */
	bool transaction_exists;
	struct record_check transaction_check; /* the record before the first that is offered */
	bool proven;                           /* see source_prove() */
	struct poison poison;
	struct flow flow; /* all that the connector writes */
	bool followed;    /* behind the message offered last, the next one is at hand */
	int64_t doubt_ms; /* when to look next whether the source goes on, if order doubts it */
	uint64_t backlog; /* kafka_backlog() of a millisecond ago at most */
	uint64_t events, bytes; /* taken in this life, told to the board by the writer */
};

/*
 * The mode of a server: the one place that derives it, for run and for check. `partitions`: of all
 * its tables. A server in ORDER_SEQUENCE whose events have no source.sequence (Debezium before
 * 1.5) is found out at its first event, and goes on in ORDER_NONE.
 */
enum order_mode source_mode(const struct server *, int partitions);

/* "whole transactions: ..." Static. */
const char *source_promise(enum order_mode);
const char *source_mode_name(enum order_mode);

/*
 * Whether all that is there is known to be the log that the position was made from: until then nothing
 * may be said to reduce, nor fetched. Never blocks. Ends the process when it is another.
 */
bool source_prove(struct source *);

/*
 * Offer what order wants from partition p, from the transaction topic, or from all. Never blocks, but where
 * order doubts that the source goes on: then for 0.2 s at most, each two seconds.
 * Returns how many were offered. A message that cannot be read sets `poison` where the table's
 * on_error is to stop; within a replay it ends the process, for nothing of what comes before it can be
 * shown anew. Elsewhere what can be used of it is offered (decoder_salvage()).
 */
unsigned source_fetch(struct source *, unsigned p, int64_t now_ms);
unsigned source_fetch_transactions(struct source *, int64_t now_ms);
unsigned source_fetch_all(struct source *, int64_t now_ms);

/* The head of p was applied or dropped: its bytes are gone after this. */
void source_taken(struct source *, unsigned p);

/* The part of that which has to do with order alone, for who has no Kafka. */
void source_passed(struct source *, unsigned p);

/* The topic of queue p. */
const char *source_topic(const struct source *, unsigned p);

/*
 * Offer one message of partition p, or of the transaction topic, that order wants; the partition's
 * event borrows it until source_taken(). False when it cannot be read: then `poison` is set.
 */
bool source_offer(struct source *, unsigned p, const struct kafka_message *);
bool source_offer_transaction(struct source *, const struct kafka_message *);

/* Order learns the hashes of the records that were taken last: before its position or its token is packed. */
void source_settle(struct source *);

/* Of a whole record; never 0. It is kept in the target: never change how it is made. */
uint64_t source_hash(const struct kafka_message *);

/*
 * The record before the position that the target holds, and the one before the checkpoint's, must be
 * those that were read then: ends the process when this record stands there and is another.
 */
void source_check_hash(struct source *, unsigned queue, int64_t offset, uint64_t hash);

/* "To start anew: ..." with the commands, when history is lost. Static. */
const char *source_start_anew(const struct source *);

/* Free all that is in it. */
void source_close(struct source *);

/* Ends the process with what kafka_failure() says, if it says something. */
void source_check_failure(struct source *);

#endif
