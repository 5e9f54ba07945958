/*
 * stamps.h - when the messages of some events were written to Kafka: a short list of (time, events).
 *
 * It travels beside the events, from ingest through reduce to egress, which turns it into latencies
 * once their commit is answered (latency.h). Events of one millisecond are one stamp, so a lone
 * event, and all of a batch that gathered for up to STAMPS_MAX ms, are exact. When there are more, the two
 * neighbours become one that are the narrowest together, and all in it count as the oldest: what
 * comes out is never less than the truth, and more by at most a sixteenth of the time that all
 * stamps span.
 */
#ifndef STAMPS_H
#define STAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack;
struct unpack;

#define STAMPS_MAX 32

struct stamp {
	int64_t oldest_ms, newest_ms; /* since 1970 */
	uint64_t events;
};

struct stamps { /* all zero: empty. In rising order, no two of them overlap */
	unsigned count;
	struct stamp at[STAMPS_MAX + 1]; /* the last one is room to work in */
};

/* Add a stamp; one that no clock can have shown (below 0, or beyond 290,000 years) is left out. */
void stamps_put(struct stamps *, const struct stamp *);

/* One event more. Events come in about the order in which they were written: mostly a compare. */
static inline void
stamps_add(struct stamps *s, int64_t ms)
{
	struct stamp *last = &s->at[s->count > 0 ? s->count - 1 : 0];

	if (s->count > 0 && ms >= last->oldest_ms && ms <= last->newest_ms)
		last->events++;
	else
		stamps_put(s, &(struct stamp){ms, ms, 1});
}

void stamps_merge(struct stamps *into, const struct stamps *from);

/* How many events in all. */
uint64_t stamps_events(const struct stamps *);

/* An array of [oldest_ms, newest_ms - oldest_ms, events, ...]. The reader trusts nothing: false if malformed. */
void stamps_pack(struct pack *, const struct stamps *);
size_t stamps_bound(const struct stamps *); /* the most bytes that it takes */
bool stamps_unpack(struct unpack *, struct stamps *);

#endif
