/*
 * reload.h - a pipeline file that has changed under a running tallyd: read it, say what the change
 * costs, and check it whole, before anything is done about it.
 */
#ifndef RELOAD_H
#define RELOAD_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "supervisor/difference.h"
#include "supervisor/parse.h"

struct pipeline;

#define RELOAD_VIEW_MAX 256

struct reload_wish {
	bool replay;                /* may read the whole history again, and shall */
	bool dry_run;               /* only say what would be done */
	bool rebuild;               /* bring tables to what their views say */
	char view[RELOAD_VIEW_MAX]; /* rebuild: this one; empty: all */
};

/* "reload [replay] [dry-run]" or "rebuild [VIEW]", as it comes over the control socket. */
bool reload_parse_wish(struct reload_wish *, const char *request);

/*
 * Mark the view that is to be rebuilt, "name" or "schema.name"; empty: all. Returns 0, or EXIT_USAGE
 * after saying that there is none, or more than one.
 */
int reload_mark(struct pipeline *, const char *view, FILE *errors);

/*
 * The whole check of a reload: read and parse the file of the running pipeline again, compare it
 * with what is in force, then `tallyd check` of it as a process of its own, for that asks servers
 * and may take its time, while the stages must be looked after.
 */
struct reload {
	pid_t pid; /* 0: none is under way */
	int pidfd, output;
	struct reload_wish wish;
	struct source source; /* what was read */
	struct pipeline *pipeline;
	struct differences differences;
};

/*
 * The part that asks nobody. `running` is what the stages work by, `file` what its file said last.
 * Returns 0, or an exit code after writing the reasons: then only reload_drop() is due.
 */
int reload_read(struct reload *, const struct reload_wish *, const struct pipeline *running,
		const struct pipeline *file, FILE *errors);

/* Begin. Returns 0, else an exit code after writing the reasons: nothing is under way then. */
int reload_begin(struct reload *, const struct reload_wish *, const struct pipeline *running,
		 const struct pipeline *file, FILE *errors);

/*
 * reload.pidfd is readable: the check has ended. Returns 0, else an exit code after writing what the
 * check said. Nothing is under way any more; the caller takes what it needs, then drops the rest.
 */
int reload_end(struct reload *, FILE *errors);

/* Give up what is under way, if anything is, and all that is left. */
void reload_drop(struct reload *);

#endif
