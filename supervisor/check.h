/*
 * check.h - let each stage check its own side of a pipeline, before anything is started.
 *
 * `tallyd-STAGE check` gets its section, and says on standard output what it found, one line each:
 * level, line, column, text, separated by tabs. Here these lines become messages about the file.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdio.h>

struct pipeline;
struct source;

/*
 * Run all checks side by side; `offline`: without any server. Errors and warnings go to `errors`,
 * what the stages promise to `infos` (NULL: nowhere). Returns 0 or the exit code to leave with:
 * EXIT_CONFIG before all others, else that of the first stage that is not content. Blocks until
 * all have answered: at most 15 s offline, 60 s otherwise.
 */
int check_stages(const struct source *, const struct pipeline *, bool offline, FILE *errors,
		 FILE *infos);

#endif
