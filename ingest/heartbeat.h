/*
 * heartbeat.h - the connector's heartbeat topic, read from its end for one thing: that there is something new.
 *
 * It has a Kafka client of its own, so that nothing about the topic can touch the data: not there, not allowed,
 * created anew, damaged. Nothing of it is remembered; what was missed is not needed.
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include <stdint.h>

struct flow;
struct kafka;
struct stage;

struct heartbeat {
	struct stage *stage;
	const char *topic;   /* NULL: none is given, and nothing is done */
	struct kafka *kafka; /* NULL: not at the moment */
	int64_t retry_ms;    /* when the next is made (monotonic) */
	unsigned tail;       /* how many before the end it begins with */
	char said[512];      /* what was wrong last */
};

/* Connects to nothing yet. The stage is borrowed. */
void heartbeat_open(struct heartbeat *, struct stage *);

/*
 * Take what has come; returns how many. Never blocks, but for tearing down a client that has failed; a fault is
 * one warning, and is tried again every 10 s.
 */
unsigned heartbeat_read(struct heartbeat *, struct flow *, int64_t now_ms);

#endif
