/*
 * origin.h - the start of a life of ingest: where each partition begins.
 *
 * Three ways lead there:
 *     a resume token   ingest alone was replaced: go on where the token says
 *     a position       full recovery: replay each partition from the position of the checkpoint that
 *                      reduce has loaded, or from its start, up to the target's
 *     neither          first start: check that the history is whole, or do as option start says
 */
#ifndef ORIGIN_H
#define ORIGIN_H

#include <stddef.h>
#include <stdint.h>

struct source;
struct stage;

/*
 * Make the source's librdkafka, and return when the stage is not held, or not any more: while it is, librdkafka
 * connects. Ends the process when the options are refused.
 */
void origin_await_turn(struct source *, struct stage *);

/*
 * Fill in a source, which origin_await_turn() has seen: wait for broker, topics and partitions in any order
 * (saying once for what, and heeding a stop), decide where to begin, assign, tell the supervisor READY.
 * token_len 0: none. Ends the process when it cannot go on.
 */
void origin_open(struct source *, struct stage *, const uint8_t *token, size_t token_len);

/*
 * What a start would find, as far as it can be told without reading all history. `position`: the
 * target's, as JSON; "": none, so this would be a first start. `checkpoint`: that of its checkpoint,
 * "" when there is none; whether it can be used only reduce could say. All topics of the tables must be
 * there. Ends the process, having said why, when a start would refuse, or at the deadline (on the
 * monotonic clock).
 */
void origin_check(struct stage *, const char *position, const char *checkpoint,
		  int64_t deadline_ms);

/* Whether an unopened source's transaction topic has come to exist; looks, blocking for 200 ms. */
void origin_look_for_transactions(struct source *);

/*
 * Whether the topics have more partitions than this life began with; looks, blocking for 200 ms
 * each. They can only be read by a full recovery: ends the process with EXIT_RECOVER.
 */
void origin_look_for_partitions(struct source *);

#endif
