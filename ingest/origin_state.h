/*
 * origin_state.h - the inside of a start, shared by origin.c and recovery.c only.
 *
 * origin.c     waiting, partitions, first start, resume token, check
 * recovery.c   from the target's position: where replay begins, and whether history reaches so far
 */
#ifndef ORIGIN_STATE_H
#define ORIGIN_STATE_H

#include "common/json.h"
#include "common/log.h"
#include "common/position.h"

struct source;
struct stage;

struct origin {
	struct source *source;
	struct stage *stage;
	struct partition_position *from;    /* one for each partition */
	struct partition_position *durable; /* likewise; NULL: no recovery */
	struct transaction_position transaction;
	bool checkpoint;   /* reduce has loaded one: what comes before its position is not needed */
	bool *check_first; /* its first record must be a snapshot's */
	bool waited;
	int64_t deadline_ms; /* of a check; 0: a start, which waits for as long as it takes */
};

/* In the log, or in the report of a check. */
void origin_say(const struct origin *, enum log_level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* First offset of a partition, and the one after its last; blocks until the broker says so. */
void origin_wait_limits(struct origin *, const char *topic, int32_t partition, int64_t *low,
			int64_t *high);

/*
 * Fill in `from`, `durable` and `transaction` from the target's position and the checkpoint's (empty:
 * from the start of history), both JSON. Ends the process when history does not reach so far.
 */
void origin_recover(struct origin *, struct slice durable, struct slice checkpoint);

#endif
