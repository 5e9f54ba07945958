/*
 * kafka.h - all of librdkafka: one consumer of one Kafka server.
 *
 * Partitions are assigned, never subscribed to: no group membership, no pause, no seek. Each has a
 * queue of its own that is polled only when its next message is wanted, so what a partition may
 * hold in memory is the bound of its queue. One descriptor wakes the caller for all of them.
 *
 * What librdkafka would retry for ever without a word (a wrong password, a wrong CA) is a failure
 * here: after any call look at kafka_failure(). A server that is away is none: kafka_trouble()
 * then holds the sentence.
 */
#ifndef KAFKA_H
#define KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kafka;
struct stage;

/*
 * Check every option of this stage's server, and report each that librdkafka does not take with
 * stage_report(). Connects nowhere. Returns false when one was refused.
 */
bool kafka_check_options(struct stage *);

/*
 * A client for `partitions` partitions in all, among which the memory for prefetched messages is
 * divided; 0: for one that may come late. NULL when an option was refused (reported). Does not block.
 */
struct kafka *kafka_new(struct stage *, unsigned partitions);
void kafka_free(struct kafka *);

/* The exit code and the sentence of what cannot be cured by waiting, or 0. *text is borrowed. */
int kafka_failure(const struct kafka *, const char **text);

/* What is wrong with the connection ("127.0.0.1:9092: Connection refused"); "" when nothing is. */
const char *kafka_trouble(const struct kafka *);

/* True while all brokers are thought to be away; ends when kafka_probe() or a lookup succeeds. */
bool kafka_is_away(const struct kafka *);

enum kafka_result {
	KAFKA_OK,
	KAFKA_AWAY,    /* no answer in time: kafka_trouble() */
	KAFKA_MISSING, /* the topic does not exist (yet) */
	KAFKA_DENIED,  /* kafka_failure() holds the sentence, but for the group: kafka_trouble() */
};

/* Lookups. Each blocks for at most timeout_ms. */
enum kafka_result kafka_probe(struct kafka *, int timeout_ms);
enum kafka_result kafka_topic_partitions(struct kafka *, const char *topic, int timeout_ms,
					 int *count);
/*
 * Oldest offset, and the offset that the next message will get. Before librdkafka 2.3 it blocks for longer while
 * the leader does not answer (its issue 2588); in what runs kafka_log_end() is asked.
 */
enum kafka_result kafka_topic_limits(struct kafka *, const char *topic, int32_t partition,
				     int timeout_ms, int64_t *low, int64_t *high);
/* The offset that the next message of this queue's topic will get. KAFKA_AWAY: not known, and nothing is said. */
enum kafka_result kafka_log_end(struct kafka *, unsigned queue, int timeout_ms, int64_t *end);
/* The group's offsets for queues 0 to count - 1; -1: none. */
enum kafka_result kafka_group_offsets(struct kafka *, int timeout_ms, int64_t *offsets,
				      unsigned count);
const char *kafka_group(const struct kafka *);

/* For kafka_config.c: what librdkafka calls rd_kafka_t. */
struct rd_kafka_s *kafka_handle(const struct kafka *);

/* For kafka_start_at(): so many messages before the end, or fewer. */
#define KAFKA_TAIL(count) (-2000 - (int64_t)(count))

/* Name the partitions to read; returns the queue's number, 0, 1, ... Then where each begins. */
unsigned kafka_add(struct kafka *, const char *topic, int32_t partition);
void kafka_start_at(struct kafka *, unsigned queue, int64_t offset);

/* Once, after the last kafka_add(): start to fetch. Returns 0, or -1: kafka_failure(). */
int kafka_assign(struct kafka *);

struct kafka_message {           /* borrows the queue until kafka_take() */
	const char *key, *value; /* NULL: null in Kafka */
	size_t key_len, value_len;
	int64_t offset, timestamp_ms;
	bool followed; /* the next one is here, too */
};

enum kafka_next {
	KAFKA_MESSAGE,
	KAFKA_END,     /* the log ends here, at *end, now */
	KAFKA_NOTHING, /* on its way, or the server is away */
};

/* The oldest message not taken. Never blocks. `end` is set for KAFKA_END only. */
enum kafka_next kafka_peek(struct kafka *, unsigned queue, struct kafka_message *, int64_t *end);
void kafka_take(struct kafka *, unsigned queue);

/*
 * How many offsets all logs have beyond what was taken, by what the broker said when it was last asked. A partition that is
 * at its end, or was not asked yet, counts nothing. Never blocks.
 */
uint64_t kafka_backlog(const struct kafka *);

/*
 * Readable when a queue that was found empty has something, or when there is something to serve.
 * kafka_serve() resets it and runs librdkafka's callbacks: call it before looking at the queues.
 */
int kafka_fd(const struct kafka *);
void kafka_serve(struct kafka *);

/*
 * Let the group note the next offset of each queue (-1: leave it). Returns at once; does nothing
 * while an earlier commit is under way. kafka_committing() tells whether one is.
 */
void kafka_commit(struct kafka *, const int64_t *next);
bool kafka_committing(const struct kafka *);

#endif
