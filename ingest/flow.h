/*
 * flow.h - is the connector silent, or is there only nothing to tell?
 *
 * A table that is idle and a connector that delivers nothing look the same, but for its heartbeats. All that it
 * writes counts: heartbeats, events, transactions; by the time at which it was written to Kafka, which is neither
 * the source's clock nor depends on how far tallyd is behind. Whether silence lasts is told by our own clock
 * alone: clocks that differ are no silence. No clock and no Kafka in here: times are handed in.
 */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct flow {
	int64_t written_ms; /* of the newest record, since 1970; 0: none yet */
	int64_t looked_ms;  /* written_ms as flow_look() found it last */
	int64_t moved_ms;   /* when it was seen to rise (monotonic), or silence began to count */
	bool silent;        /* and that was said */
};

enum flow_news {
	FLOW_NOTHING,
	FLOW_SILENT, /* nothing newer has come for limit_ms: said once */
	FLOW_AGAIN,  /* it flows again */
};

/* A record of the connector: when it was written, in ms since 1970 (-1: not known, counts for nothing). */
void flow_saw(struct flow *, int64_t written_ms);

/* What there is to say now. limit_ms 0: silence is never said. Call it after all that is there was seen. */
enum flow_news flow_look(struct flow *, int64_t limit_ms, int64_t now_ms);

/* Silence up to now was not the connector's: Kafka was away, or we were stopped. */
void flow_excuse(struct flow *, int64_t now_ms);

#endif
