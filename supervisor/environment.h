/*
 * environment.h - which variables a stage inherits: none that holds another one's secret.
 *
 * What the pipeline file takes from the environment, ${NAME}, is in the stage's section already,
 * in the one that may see it. libpq's own variables, PG..., are for egress alone.
 */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include "common/stage.h"

/*
 * The variable's value, borrowed; NULL: not set. From now on no stage inherits it, whatever a later
 * pipeline file names, unless programs themselves need one of that name (PATH, HOME, TZ, ...).
 */
const char *environment_take(const char *name);

/* For execve(): heap, to be freed; its strings are borrowed from the environment. */
char **environment_for(enum stage_role);

#endif
