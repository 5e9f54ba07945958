/*
 * daemon.h - `tallyd run`: one process, one thread, one poll(2).
 *
 * Owns everything that the tables of supervise.h decide about: the board, the rings, the children's
 * descriptors, signals, the control socket. Reads and checks the pipeline file again for a reload.
 */
#ifndef DAEMON_H
#define DAEMON_H

struct pipeline;
struct source;

enum daemon_mode {
	DAEMON_RUN,     /* until it is stopped */
	DAEMON_REBUILD, /* until the views whose `rebuild` is set are rebuilt, see EXIT_TEMPORARY */
};

/*
 * Run a pipeline that was parsed and checked. Takes over both arguments. Returns the exit code. A
 * rebuild ends with EXIT_TEMPORARY, after a sentence, when another tallyd holds the pipeline, and
 * says on standard output what it has written.
 */
int daemon_run(struct source *, struct pipeline *, enum daemon_mode);

#endif
