/*
 * parse_tree.h - what the files parse*.c share: the state of one parse, places, the tree's helpers.
 *
 * Private to supervisor/parse*.c. A `location` is a byte offset in the source, -1 when unknown.
 * Functions that analyse a part of the tree return false after they have printed why.
 */
#ifndef PARSE_TREE_H
#define PARSE_TREE_H

#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/pipeline.h"
#include "supervisor/parse.h"

struct parse {
	const struct source *source;
	FILE *errors;
	struct pipeline *pipeline; /* grows while statements are analysed */
	unsigned error_count;
	unsigned settings; /* one bit for each SET that was seen */
	int statement;     /* location of the statement at hand, -1 outside */
};

/* --- parse_source.c: places and tokens --- */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,   /* identifier or keyword */
	TOKEN_QUOTED, /* "identifier" */
	TOKEN_STRING, /* '...', E'...', $tag$...$tag$ */
	TOKEN_OTHER,  /* a number or one character of anything else */
};

struct token {
	enum token_kind kind;
	size_t start, end; /* byte offsets; quotes belong to it */
};

/* The token at or after `at`; white space and comments are passed over. */
struct token source_token(const struct source *, size_t at);
bool source_token_is(const struct source *, const struct token *, const char *word);

struct place source_place(const struct source *, size_t offset);

/* True when the byte belongs to a string that must not be shown. */
bool source_is_hidden(const struct source *, size_t offset);

/* --- parse.c: errors and the tree --- */

/* Print an error at a location (-1: at the statement's own). Always returns false. */
bool parse_error(struct parse *, int location, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct place parse_place(const struct parse *, int location);

/* Location of the first of the words (separated by blanks) at or after `from`; else `from`. */
int parse_find_word(const struct parse *, int from, const char *words);

/* Location of the n-th token (0 is the first) at or after `from`. */
int parse_find_token(const struct parse *, int from, unsigned n);

/* The text of a String node, else NULL. */
const char *parse_string(const PgQuery__Node *);

/* Where a node stands, or -1. */
int parse_location(const PgQuery__Node *);

/* --- parse_declare.c --- */
bool parse_set(struct parse *, const PgQuery__VariableSetStmt *, int location);
bool parse_server(struct parse *, const PgQuery__CreateForeignServerStmt *, int location);
bool parse_server_uses(struct parse *); /* every server has a table, and there is a target */

/* One option's name and expanded value; *value is the caller's to free. */
bool parse_option(struct parse *, const PgQuery__Node *, const char **name, char **value,
		  int *location);

/* Could this value of an option be the name of a topic? */
bool parse_topic(struct parse *, const char *option, const char *topic, int location);

/* --- parse_table.c --- */
bool parse_table(struct parse *, const PgQuery__CreateForeignTableStmt *, int location);

/* --- parse_type.c --- */
bool parse_enumeration(struct parse *, const PgQuery__CreateEnumStmt *, int location);

/* Type, element, enumeration and modifiers of a column. */
bool parse_type(struct parse *, const PgQuery__TypeName *, struct column *);

/* The built-in type that a name without modifiers means. False when it is not one of ours. */
bool parse_type_name(const PgQuery__TypeName *, enum type *);

/* The name as it was written, for messages: the last part of a qualified one. */
const char *parse_type_spelling(const PgQuery__TypeName *);

/* --- parse_view.c --- */
bool parse_view(struct parse *, const PgQuery__CreateTableAsStmt *, int location);

/* --- parse_where.c --- */

/* The names under which a SELECT's one table can be addressed. */
struct scope {
	const struct table *table;
	const char *schema; /* NULL: none, or hidden by an alias */
	const char *alias;  /* the alias, else the table's own name */
};

/* Column index of a ColumnRef. */
bool parse_column(struct parse *, const struct scope *, const PgQuery__ColumnRef *, unsigned *);

/* The condition of WHERE, on the heap; NULL after printing why. */
struct expr *parse_where(struct parse *, const struct scope *, const PgQuery__Node *);

/* "declare it COLLATE ..." when a text may not be ordered: then prints and returns false. */
bool parse_orderable(struct parse *, const struct column *, int location, const char *what);

/* A text as constant of a column's type; false: it is no value of it. Prints nothing. */
bool parse_constant(const struct column *, const char *text, struct expr *out);

/* Does this timestamptz name its zone? */
bool parse_zone(struct parse *, const char *text, int location);

/* --- parse_scalar.c --- */

/* A column, or a value computed from columns; `out` is the caller's to free even after an error. */
bool parse_scalar(struct parse *, const struct scope *, const PgQuery__Node *, struct expr *out);

/* The two operands of a comparison. Either may turn out to be a constant. */
bool parse_scalar_pair(struct parse *, const struct scope *, const PgQuery__Node *left,
		       const PgQuery__Node *right, struct expr *pair);

/* Is it a function of a row's values, no aggregate? */
bool parse_is_scalar_call(const PgQuery__FuncCall *);

/* "a subquery is", "CASE is": for "... not supported". */
const char *parse_unsupported_name(const PgQuery__Node *);

#endif
