/*
 * scalar.h - values computed from a row: + - * / %, casts, COALESCE, NULLIF, abs, as PostgreSQL computes them.
 *
 * An evaluation may fail (division by zero, out of range, a failed cast), always for the same row in
 * the same way. Casts to and from text are those of a session with TimeZone UTC, DateStyle ISO and
 * the defaults otherwise. The trees are struct expr (expr.h).
 */
#ifndef SCALAR_H
#define SCALAR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/expr.h"

struct column;
struct scalar_block;

struct
    scalar_room { /* what results point to; grows to what one row needs, then allocates no more */
	const struct table *table; /* whose rows are evaluated */
	struct scalar_block *block;
	size_t used;
	const char
	    *problem; /* why the last evaluation failed: a sentence, valid until the next one */
	char message[160];
};

void scalar_room_init(struct scalar_room *, const struct table *);
void scalar_room_fini(struct scalar_room *);

/* What was evaluated before is no longer needed. */
void scalar_room_reset(struct scalar_room *);

/*
 * The value of an operand (expr.h) for a row. It borrows the row, the expression and the room, until
 * the room is reset. False: room->problem says why.
 */
bool scalar_eval(const struct expr *, const struct value *row, struct scalar_room *,
		 struct value *out);

/*
 * The type that an operator gives for arguments of these types. False: it is not defined for them.
 * For a cast: may `types[0]` be cast to *result?
 */
bool scalar_result(enum expr_op, const enum type *types, unsigned count, enum type *result);

/* Do the arguments of a value suit its operator and its type? */
bool scalar_is_sound(const struct expr *, const struct table *);

/* What is known of the values of an expression, as of a column; its name is the canonical text. Heap. */
void scalar_column(const struct expr *, const struct table *, struct column *);

#endif
