/*
 * reload.h - a pipeline file that has changed under a running tallyd: check it whole, or keep the old.
 */
#ifndef RELOAD_H
#define RELOAD_H

#include <stdio.h>

struct pipeline;
struct source;

/*
 * Read the running pipeline's file again, parse it, compare it with the running one and let each
 * stage check its side offline. Returns 0, and what the caller then owns in *source and *pipeline;
 * else an exit code, after writing the reasons. Blocks as check_stages() does.
 */
int reload_read(const struct pipeline *running, struct source *source, struct pipeline **pipeline,
		FILE *errors);

#endif
