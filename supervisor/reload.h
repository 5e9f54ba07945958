/*
 * reload.h - a pipeline file that has changed under a running tallyd: check it whole, or keep the old.
 */
#ifndef RELOAD_H
#define RELOAD_H

#include <stdio.h>
#include <sys/types.h>

#include "supervisor/parse.h"

struct pipeline;

/*
 * Read the running pipeline's file again, parse it and compare it with the running one. Returns 0,
 * and what the caller then owns in *source and *pipeline; else an exit code, after writing the
 * reasons. No stage and no server is asked.
 */
int reload_read(const struct pipeline *running, struct source *source, struct pipeline **pipeline,
		FILE *errors);

/*
 * The whole check of a reload: reload_read(), then `tallyd check` of the file as a process of its
 * own, for it asks servers and may take its time, while the stages must be looked after.
 */
struct reload {
	pid_t pid; /* 0: none is under way */
	int pidfd, output;
	struct source source;      /* what was read, owned */
	struct pipeline *pipeline; /* owned */
};

/* Begin. Returns 0, else an exit code after writing the reasons: nothing is under way then. */
int reload_begin(struct reload *, const struct pipeline *running, FILE *errors);

/*
 * reload.pidfd is readable: the check has ended. Returns 0, and what the caller then owns in *source
 * and *pipeline; else an exit code, after writing what the check said.
 */
int reload_end(struct reload *, struct source *source, struct pipeline **pipeline, FILE *errors);

/* Give up what is under way, if anything is. */
void reload_cancel(struct reload *);

#endif
