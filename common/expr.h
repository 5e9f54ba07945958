/*
 * expr.h - expressions of a view: conditions with SQL's three truth values, and values (scalar.h).
 */
#ifndef EXPR_H
#define EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/value.h"

struct pack;
struct scalar_room;
struct table;
struct unpack;

enum truth {
	TRUTH_FALSE,
	TRUTH_TRUE,
	TRUTH_UNKNOWN,
	TRUTH_FAILED, /* an operand could not be evaluated */
};

enum expr_op {
	EXPR_AND, /* over `args` */
	EXPR_OR,
	EXPR_NOT,
	EXPR_EQ, /* args[0] op args[1], each an operand: a column, a constant or a value */
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_IN, /* args[0] is a column or value, the rest constants (NULL among them allowed) */
	EXPR_IS_NULL, /* args[0] is a column or value */
	EXPR_IS_NOT_NULL,
	EXPR_COLUMN, /* as a condition: a boolean column */
	EXPR_CONSTANT,
	EXPR_ADD, /* from here on values of type `type`; as a condition: of type boolean */
	EXPR_SUBTRACT,
	EXPR_MULTIPLY,
	EXPR_DIVIDE,
	EXPR_MODULO,
	EXPR_NEGATE,
	EXPR_ABS,
	EXPR_CAST,
	EXPR_COALESCE,
	EXPR_NULLIF,
};
#define EXPR_OP_COUNT (EXPR_NULLIF + 1)

#define EXPR_DEPTH_MAX   128
#define SCALAR_DEPTH_MAX 64     /* of a value, in a condition or not */
#define EXPR_ARGS_MAX    65535u /* of one node */

struct expr {
	enum expr_op op;
	unsigned column;      /* EXPR_COLUMN */
	enum type type;       /* EXPR_CONSTANT and values */
	int precision, scale; /* EXPR_CAST to numeric(p,s); precision 0: none */
	struct value value;   /* EXPR_CONSTANT; text owned by the expr */
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

static inline bool
expr_is_value(const struct expr *e)
{
	return e->op >= EXPR_ADD;
}

/* The type of an operand; false: it is a condition. */
bool expr_type(const struct expr *, const struct table *, enum type *);

/*
 * Evaluate a condition over the declared columns of one row, AND and OR from left to right until the
 * result is known. TRUTH_FAILED: room->problem says why. Without values in it `room` may be NULL.
 */
enum truth expr_eval(const struct expr *, const struct value *row, struct scalar_room *room);

void expr_pack(const struct expr *, struct pack *);

/* Checks depth, column numbers and types against the table. NULL when malformed. */
struct expr *expr_unpack(struct unpack *, const struct table *);

/* The same for a value instead of a condition. */
struct expr *expr_unpack_value(struct unpack *, const struct table *);

/* Canonical SQL text (fully parenthesised). Heap. */
char *expr_print(const struct expr *, const struct table *);

#endif
