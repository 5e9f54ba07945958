/*
 * expr.h - the WHERE condition of a view, with SQL's three truth values.
 */
#ifndef EXPR_H
#define EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/value.h"

struct pack;
struct table;
struct unpack;

enum truth {
	TRUTH_FALSE,
	TRUTH_TRUE,
	TRUTH_UNKNOWN,
};

enum expr_op {
	EXPR_AND, /* over `args` */
	EXPR_OR,
	EXPR_NOT,
	EXPR_EQ, /* args[0] op args[1], each EXPR_COLUMN or EXPR_CONSTANT */
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_IN,      /* args[0] is a column, the rest constants (NULL among them allowed) */
	EXPR_IS_NULL, /* args[0] is a column */
	EXPR_IS_NOT_NULL,
	EXPR_COLUMN, /* as a condition: a boolean column */
	EXPR_CONSTANT,
};

#define EXPR_DEPTH_MAX 64
#define EXPR_ARGS_MAX  65535u /* of one node */

struct expr {
	enum expr_op op;
	unsigned column;    /* EXPR_COLUMN */
	enum type type;     /* EXPR_CONSTANT */
	struct value value; /* EXPR_CONSTANT; text owned by the expr */
	struct expr *args;
	unsigned arg_count;
};

/* The caller owns an expr in its own memory or by expr_new(); free drops the tree below too. */
struct expr *expr_new(enum expr_op, unsigned arg_count);
void expr_free(struct expr *);

/* The same for a node in the caller's memory, such as one of `args`: fini leaves it empty. */
void expr_init(struct expr *, enum expr_op, unsigned arg_count);
void expr_fini(struct expr *);

/* Set the value of a constant: its bytes are copied. */
void expr_constant(struct expr *, const struct value *);

/* Evaluate over the declared columns of one row. Allocates nothing, cannot fail. */
enum truth expr_eval(const struct expr *, const struct value *row);

void expr_pack(const struct expr *, struct pack *);

/* Checks depth, column numbers and types against the table. NULL when malformed. */
struct expr *expr_unpack(struct unpack *, const struct table *);

/* Canonical SQL text (fully parenthesised). Heap. */
char *expr_print(const struct expr *, const struct table *);

#endif
