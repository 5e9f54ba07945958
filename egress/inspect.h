/*
 * inspect.h - does a target table fit its view? Asked at a start and by `tallyd check`.
 *
 * Reads the catalog only. Every refusal and warning is reported with its place in the pipeline
 * file, the table, the column, and the statement that would mend it.
 */
#ifndef EGRESS_INSPECT_H
#define EGRESS_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "egress/encode.h"

struct output;
struct pipeline;
struct postgres;
struct stage;
struct view;

struct target_table {  /* zero-initialised is empty */
	uint32_t oid;  /* of pg_class; 0: not found yet */
	char *name;    /* with its schema, quoted for SQL */
	char *columns; /* outputs, "time", diff: the column list of INSERT and COPY */
	struct encode_column *encode; /* in the order of view->outputs */
	unsigned outputs;             /* how many of them */
	enum encode_type diff;        /* of the column diff */
	bool may_read, may_truncate;  /* privileges that only a first start needs */
	bool known; /* its view is in tallyd.view and has been committed: plan.h */
};

enum inspect_result {
	INSPECT_OK,
	INSPECT_MISSING, /* no such table (yet); nothing was reported */
	INSPECT_REFUSED, /* table and view do not fit: exit code 78 */
	INSPECT_DENIED,  /* they do, but a privilege is missing: exit code 77 */
	INSPECT_LOST,    /* a statement failed: see the connection */
};

/*
 * Find and check the table of one view and fill *table. `quiet`: no warnings, only refusals.
 * The caller frees *table whatever the result.
 */
enum inspect_result inspect_view(struct stage *, struct postgres *, const struct view *, bool quiet,
				 struct target_table *table);
void inspect_free(struct target_table *);

/* The SQL type of a column that holds all results of an output. Heap. */
char *inspect_type(const struct pipeline *, const struct view *, const struct output *);

/*
 * A CREATE TABLE that would fit the view, behind CREATE TYPE for each enum that the server does
 * not know. Asks the server for these only; if it does not answer, none are suggested. Heap.
 */
char *inspect_suggest(const struct pipeline *, struct postgres *, const struct view *);

/* As SQL: an identifier, quoted where needed; a string literal. Heap. */
char *inspect_identifier(const char *name);
char *inspect_literal(const char *text);

/*
 * The view's name as tallyd.view and messages give it: as SQL, with its schema when it has one.
 * Heap.
 */
char *inspect_view_name(const struct view *);

#endif
