/*
 * status.h - what is told about a running pipeline: from the board and the process table alone.
 */
#ifndef STATUS_H
#define STATUS_H

#include <stdint.h>
#include <stdio.h>

#include "common/board.h"
#include "supervisor/supervise.h"

struct pipeline;

#define TALLY_DEATHS 32

struct obituary {
	int64_t wall_ms; /* since 1970 */
	int64_t uptime_ms;
	char name[64];
	pid_t pid;
	struct death death;
	char words[BOARD_WORDS_MAX]; /* printable; empty when it left none */
};

struct tally { /* the last deaths, all that were not asked for or did not end well */
	struct obituary last[TALLY_DEATHS];
	uint64_t total; /* last[(total - 1) % TALLY_DEATHS] is the newest */
};

struct status { /* all borrowed */
	const struct supervise *supervise;
	const struct pipeline *pipeline;
	const struct board *board;
	const struct tally *tally;
	int64_t started_ms; /* monotonic */
	int64_t now_ms;     /* monotonic */
};

/* Note a death; *obituary is copied. */
void tally_add(struct tally *, const struct obituary *);

/* "signal 9 (KILL)", "exit code 75", ... Always NUL-terminated. */
void death_print(const struct death *, char *buf, size_t size);

/* Copy a text that another process wrote: bounded, and what may not stand in a line becomes '?'. */
void status_copy_text(char *to, size_t size, const char *from, size_t len);

void status_print(const struct status *, FILE *);
void status_print_json(const struct status *, FILE *);

#endif
