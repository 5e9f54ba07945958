/*
 * harness.h - stands in for the supervisor and for reduce: starts tallyd-egress with its fixed
 * descriptors, feeds its ring by hand, and asks the real PostgreSQL what came of it.
 *
 * Waits are bounded; what fails prints a line and is counted, and the test goes on.
 */
#ifndef TESTS_EGRESS_HARNESS_H
#define TESTS_EGRESS_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/value.h"

struct harness {                   /* one tallyd, as far as egress can see it */
	struct pipeline *pipeline; /* borrowed */
	struct board *board;
	int board_fd, control, image;
	struct ring_fds ring_fds;
	struct ring ring; /* we are the producer */
	pid_t pid;        /* of egress, 0: none */
	char said[16];    /* control bytes heard so far */
	uint64_t next;    /* number of the batch being written */
	uint64_t rows;    /* in it */
	uint64_t letters; /* likewise */
	char log[4096];   /* path of its log */
	bool restart;     /* when it dies: start another, alone, unless it asks for a recovery */
	int code;         /* as harness_exit(), of the last one that ended */
};

/* A new tallyd on this pipeline: board, ring, an owner of its own. Nothing is started. */
void harness_open(struct harness *, struct pipeline *);
void harness_close(struct harness *); /* kills what runs */

/* Start egress; `alone` as the supervisor says it. `faults` is TALLYD_FAULT, or NULL. */
void harness_start(struct harness *, bool alone, const char *faults);
void harness_kill(struct harness *);

/* Wait for a control byte ('R', 'S', 'W'), for the durable batch, for the end. False: too late. */
bool harness_hear(struct harness *, char, int timeout_ms);
bool harness_durable(struct harness *, uint64_t batch, int timeout_ms);
int harness_exit(struct harness *, int timeout_ms); /* exit code, -signal, -1000: too late */
void harness_stop(struct harness *);                /* say CONTROL_STOP */

/* Write one row, or the end of the batch; waits for room. False when egress ended meanwhile. */
bool harness_row(struct harness *, uint16_t view, int diff, const struct value *, unsigned count);
bool harness_end_batch(struct harness *);

/* Likewise the other records of a batch: VIEW before its rows, CHECKPOINT after them. */
bool harness_view(struct harness *, uint16_t view, enum view_step, uint64_t rows);
bool harness_checkpoint(struct harness *, const struct checkpoint *);

bool harness_letter(struct harness *, const struct letter *); /* after the rows */

/* True when the log has this text. */
bool harness_logged(const struct harness *, const char *text);

/*
 * `tallyd-egress check [OPTION]` (NULL: none): exit code; what it printed is all that is in the
 * log file.
 */
int harness_check(struct harness *, const char *option);

/* One answer of psql, as text, newlines kept; static, until the next call. */
const char *harness_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Count and say. */
extern unsigned harness_passed, harness_failed;
void harness_expect(const char *file, int line, bool ok, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define EXPECT(ok, ...) harness_expect(__FILE__, __LINE__, (ok), __VA_ARGS__)

#endif
