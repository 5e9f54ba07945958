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

/*
 * Run a pipeline that was parsed and checked, until it is stopped. Takes over both arguments.
 * Returns the exit code.
 */
int daemon_run(struct source *, struct pipeline *);

#endif
