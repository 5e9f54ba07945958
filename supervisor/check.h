/*
 * check.h - let each stage check its own side of a pipeline, before anything is started.
 *
 * `tallyd-STAGE check` gets its section, and says on standard output what it found, one line each:
 * level, line, column, text, separated by tabs. Here these lines become messages about the file. One
 * of egress is not for the user: "position", which is handed on to the checks of the ingests.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdio.h>

struct pipeline;
struct source;

struct check_report { /* where messages go; all borrowed */
	const struct source *source;
	FILE *errors, *infos; /* infos NULL: nowhere */
};

/*
 * Run all checks; `offline`: without any server. First those of egress and reduce, then side by
 * side those of the ingests, which then know where a start would begin. Errors and warnings go to
 * `errors`, what the stages promise to `infos` (NULL: nowhere). Returns 0 or the exit code to leave
 * with: EXIT_CONFIG before all others, else that of the first stage that is not content. Blocks
 * until all have answered: at most 15 s offline, 60 s otherwise.
 */
int check_stages(const struct source *, const struct pipeline *, bool offline, FILE *errors,
		 FILE *infos);

/*
 * The script that prepares the target for the role of the pipeline file, by `tallyd-egress check
 * --ddl`; no server is asked. Returns 0 after writing it to `out`, or an exit code. Blocks at most
 * 15 s.
 */
int check_ddl(const struct source *, const struct pipeline *, FILE *errors, FILE *out);

/*
 * Remove all that the target knows of the pipeline, by `tallyd-egress check --drop`; what it says
 * goes to `out`. Returns 0 or an exit code: EXIT_TEMPORARY when another tallyd holds it. Blocks at most
 * ten minutes.
 */
int check_drop(const struct source *, const struct pipeline *, FILE *errors, FILE *out);

/*
 * One such line, which is taken apart, as a message; control characters are shown as question
 * marks. Sets *complained when it is an error. False: no such line, and nothing was written.
 */
bool check_render(const struct check_report *, char *line, bool *complained);

/* The exit code of several checks: what `worst` becomes with one more. */
int check_worse(int worst, int code);

#endif
