/*
 * parse.h - the pipeline file: from SQL text to a checked pipeline, and complaints about it.
 *
 * The grammar is PostgreSQL's, read by PostgreSQL's own parser (libpg_query); what of it a
 * pipeline file may use is decided here, and everything else is refused with its place and a
 * sentence that says what is supported instead. Only the supervisor links this.
 *
 * Secrets: a string that stands behind an option whose name or content looks secret
 * (option_is_secret() in common/pipeline.h) is never shown, neither in the source line under an
 * error nor in the parser's own message; it is printed as '***'.
 *
 * Nothing here blocks for longer than reading one file. Not thread-safe (libpg_query is not).
 */
#ifndef PARSE_H
#define PARSE_H

#include <stddef.h>
#include <stdio.h>

struct pipeline;
struct place;

#define SOURCE_BYTES_MAX (1u << 20) /* a pipeline file larger than this is refused */

/* A pipeline file in memory. A test may fill one in by itself; source_free() needs heap members. */
struct source {
	char *path; /* as given on the command line */
	char *text; /* NUL-terminated UTF-8 without a byte order mark or other NUL bytes */
	size_t len;
};

/*
 * Read a pipeline file. Returns 0, or after printing one line the exit code: EXIT_DENIED when it
 * may not be read, EXIT_CONFIG when it is missing, no regular file or pipe, too large, or not
 * UTF-8 text. On failure *source is empty and needs no source_free().
 */
int source_read(struct source *source, const char *path, FILE *errors);

/* Free the members; the struct is empty afterwards. Accepts an empty one. */
void source_free(struct source *source);

/*
 * Parse and check the whole file. Statements may stand in any order. Returns a pipeline that the
 * caller frees with pipeline_free(), or NULL after printing every fault that does not follow from
 * an earlier one (faults of SET and CREATE SERVER first, then of tables, then of views).
 *
 * Inside option values, after parsing, ${NAME} is replaced by the environment variable NAME and
 * ${NAME:-default} by NAME or, when that is unset or empty, by the default; a variable that is not
 * set is an error. $${ stands for ${ itself; any other dollar sign stands for itself.
 */
struct pipeline *parse_pipeline(const struct source *source, FILE *errors);

/*
 * Print `path:line:column: level: message`, then the source line and a line with a caret below
 * the column. Columns count characters, not bytes; tabs and carets stay aligned; secrets are
 * hidden. With `place` NULL or line 0 only `path: level: message` is printed.
 */
void source_report(const struct source *source, FILE *errors, const char *level,
		   const struct place *place, const char *message);

#endif
