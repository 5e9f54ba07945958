/*
 * truth.h - folds changes to a table's final rows, and reads the true ones from a CSV file.
 *
 * A table is declared as "order_id:integer:key price:numeric(10,2) note:text:notnull tags:text[]
 * mood:enum(sad,ok)". Rows are
 * compared as lines of PostgreSQL's text forms between tabs, NULL as \N. What cannot be read or
 * folded aborts the test with one line.
 */
#ifndef TRUTH_H
#define TRUTH_H

#include <stddef.h>

#include "common/connector.h"
#include "common/pipeline.h"

struct event;

/* A table named t, source public.t. The caller frees it with truth_free_table(). */
struct table *truth_declare(const char *columns);
void truth_free_table(struct table *);

/* One row as a line; heap, the caller frees it. */
char *truth_line(const struct table *, const struct value *values);

struct lines { /* sorted, each on the heap */
	char **line;
	size_t count;
};

void lines_free(struct lines *);

/* The declared columns of a CSV file with a header, as COPY writes it with NULL '\N'. */
struct lines truth_read(const char *path, const struct table *);

/* What a keyed table keeps, or the bag that a keyless one is, after all events applied. */
struct fold;
struct fold *fold_new(const struct table *);
void fold_apply(struct fold *, const struct event *);
void fold_clear(struct fold *);          /* TRUNCATE */
struct lines fold_finish(struct fold *); /* and frees the fold */

/* A connector's settings of "name=mode name=mode", which is cut up; aborts on a misspelt one. */
struct connector truth_connector(char *text);

#endif
