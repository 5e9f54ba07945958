/*
 * sample.h - what the newest messages of a topic say of the connector that wrote them, for `tallyd check`: a run
 * finds out from the messages themselves.
 *
 * Each opens a client of its own and blocks until it knows, at most until the deadline (on the monotonic clock).
 * What cannot be read or decoded is left to the run to refuse: the answer is then SAMPLE_UNKNOWN.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdint.h>

struct stage;

enum sample {
	SAMPLE_UNKNOWN, /* there is no such message among the last ones */
	SAMPLE_YES,
	SAMPLE_NO,
};

/* Whether the newest change in partition 0 of a table's topic has source.sequence (Debezium 1.5 and newer). */
enum sample sample_sequences(struct stage *, unsigned table, int64_t deadline_ms);

/* Whether the newest END in the server's transaction topic has an LSN (Debezium 2 and newer). */
enum sample sample_transaction_lsns(struct stage *, int64_t deadline_ms);

#endif
