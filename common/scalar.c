/*
 * scalar.c - the arithmetic, the casts and the errors of PostgreSQL (int.c, float.c, numeric.c).
 */
#include "common/scalar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/log.h"
#include "common/pipeline.h"

#define BLOCK_MIN  4096
#define SHOWN_MAX  60 /* bytes of a text that could not be cast */
#define TYPES_MAX  64
#define PRINT_ROOM 64

struct scalar_block {
	struct scalar_block *next; /* older and full */
	size_t size;
	char bytes[];
};

/* --- room --- */

void
scalar_room_init(struct scalar_room *room, const struct table *table)
{
	*room = (struct scalar_room){.table = table};
}

void
scalar_room_fini(struct scalar_room *room)
{
	while (room->block != NULL) {
		struct scalar_block *next = room->block->next;

		free(room->block);
		room->block = next;
	}
	room->used = 0;
}

static void
room_block(struct scalar_room *room, size_t size)
{
	struct scalar_block *block = xcalloc(1, sizeof(*block) + size);

	block->size = size;
	block->next = room->block;
	room->block = block;
	room->used = 0;
}

void
scalar_room_reset(struct scalar_room *room)
{
	size_t size = 0;

	room->problem = NULL;
	room->used = 0;
	if (room->block == NULL || room->block->next == NULL)
		return;
	for (const struct scalar_block *b = room->block; b != NULL; b = b->next)
		size += b->size;
	scalar_room_fini(room);
	room_block(room, size);
}

/* So many bytes, of which the first ones are then kept by room_keep(). */
static char *
room_take(struct scalar_room *room, size_t size)
{
	if (room->block == NULL || room->block->size - room->used < size)
		room_block(room, size > BLOCK_MIN ? size : BLOCK_MIN);
	return room->block->bytes + room->used;
}

static void
room_keep(struct scalar_room *room, size_t size)
{
	room->used += size;
}

static bool
fail(struct scalar_room *room, const char *problem)
{
	room->problem = problem;
	return false;
}

static bool
fail_range(struct scalar_room *room, enum type type)
{
	(void)snprintf(room->message, sizeof(room->message), "%s out of range", type_name(type));
	return fail(room, room->message);
}

static bool
fail_cast(struct scalar_room *room, const struct value *text, enum type type)
{
	int shown = text->len > SHOWN_MAX ? SHOWN_MAX : (int)text->len;

	while (shown < (int)text->len && shown > 0 && (text->s[shown] & 0xc0) == 0x80)
		shown--;
	(void)snprintf(room->message, sizeof(room->message), "\"%.*s%s\" is no value of type %s",
		       shown, text->s, shown < (int)text->len ? "..." : "", type_name(type));
	return fail(room, room->message);
}

/* --- types --- */

static bool
is_integer(enum type type)
{
	return type_is_integer(type);
}

static enum type
larger_type(enum type a, enum type b)
{
	return a > b ? a : b;
}

/* Of + - * / and %: with a float it is double precision, unless both are real. */
static bool
arithmetic_result(enum expr_op op, enum type a, enum type b, enum type *result)
{
	if (!type_is_number(a) || !type_is_number(b))
		return false;
	*result = larger_type(a, b);
	if (!type_is_float(*result))
		return true;
	if (a != b)
		*result = TYPE_DOUBLE;
	return op != EXPR_MODULO;
}

/* NULLIF(a, b) has the type that a has in a = b. */
static bool
nullif_result(enum type a, enum type b, enum type *result)
{
	*result = a;
	if (!type_is_number(a) || !type_is_number(b))
		return a != TYPE_ENUM && a != TYPE_ARRAY && type_is_comparable(a, b) &&
		       type_has_equality(a);
	if (type_is_float(a) || (is_integer(a) && is_integer(b)))
		return true;
	*result = type_is_float(b) ? TYPE_DOUBLE : TYPE_NUMERIC;
	return true;
}

/* The common type: of numbers the one that all others become without a cast. */
static bool
coalesce_result(const enum type *types, unsigned count, enum type *result)
{
	*result = types[0];
	for (unsigned i = 0; i < count; i++) {
		if (types[i] == TYPE_ENUM || types[i] == TYPE_ARRAY)
			return false;
		if (type_is_number(types[i]) && type_is_number(*result))
			*result = larger_type(types[i], *result);
		else if (types[i] != *result)
			return false;
	}
	return true;
}

/*
 * Not where our text is not PostgreSQL's: of money it is the locale's, of jsonb and of what is in arrays we
 * keep what is equal only. What value_parse() reads of bytea is half of what PostgreSQL reads.
 */
static bool
is_castable(enum type from, enum type to)
{
	if (type_is_number(to) && type_is_number(from))
		return true;
	if (to == TYPE_TEXT || to == TYPE_VARCHAR)
		return from != TYPE_MONEY && from != TYPE_JSONB && from != TYPE_ARRAY;
	return type_is_text(from) && to != TYPE_CHAR && to != TYPE_ENUM && to != TYPE_ARRAY &&
	       to != TYPE_BYTEA && to != TYPE_MONEY;
}

bool
scalar_result(enum expr_op op, const enum type *types, unsigned count, enum type *result)
{
	switch (op) {
	case EXPR_ADD:
	case EXPR_SUBTRACT:
	case EXPR_MULTIPLY:
	case EXPR_DIVIDE:
	case EXPR_MODULO:
		return count == 2 && arithmetic_result(op, types[0], types[1], result);
	case EXPR_NEGATE:
	case EXPR_ABS:
		*result = count > 0 ? types[0] : TYPE_TEXT;
		return count == 1 && type_is_number(types[0]);
	case EXPR_CAST:
		return count == 1 && is_castable(types[0], *result);
	case EXPR_COALESCE:
		return count > 0 && coalesce_result(types, count, result);
	case EXPR_NULLIF:
		return count == 2 && nullif_result(types[0], types[1], result);
	default:
		return false;
	}
}

bool
scalar_is_sound(const struct expr *e, const struct table *table)
{
	enum type types[TYPES_MAX], result = e->type;

	if (e->arg_count > TYPES_MAX ||
	    (e->precision > 0 && (e->op != EXPR_CAST || e->type != TYPE_NUMERIC)))
		return false;
	for (unsigned i = 0; i < e->arg_count; i++)
		if (!expr_type(&e->args[i], table, &types[i]))
			return false;
	return scalar_result(e->op, types, e->arg_count, &result) && result == e->type;
}

void
scalar_column(const struct expr *e, const struct table *table, struct column *column)
{
	*column = (struct column){
	    .name = expr_print(e, table),
	    .type = e->type,
	    .element = e->type,
	    .precision = e->precision > 0 ? e->precision : -1,
	    .scale = e->precision > 0 ? e->scale : -1,
	};
}

/* --- conversions --- */

static bool
put_int(struct scalar_room *room, enum type type, int64_t i, struct value *out)
{
	bool fits = type == TYPE_SMALLINT  ? i >= INT16_MIN && i <= INT16_MAX
		    : type == TYPE_INTEGER ? i >= INT32_MIN && i <= INT32_MAX
					   : true;

	*out = (struct value){.kind = VALUE_INT, .i = i};
	return fits || fail_range(room, type);
}

static bool
double_to_int(struct scalar_room *room, enum type type, double d, struct value *out)
{
	double whole = rint(d);

	if (isnan(whole) || whole < -0x1p63 || whole >= 0x1p63)
		return fail_range(room, type);
	return put_int(room, type, (int64_t)whole, out);
}

static bool
decimal_to_integer(struct scalar_room *room, enum type type, const struct value *v,
		   struct value *out)
{
	char whole[DECIMAL_TEXT_MAX];
	size_t len;
	int64_t i;

	if (decimal_is_special(v->s, v->len)) {
		(void)snprintf(room->message, sizeof(room->message), "cannot convert %s to %s",
			       v->s[v->len - 1] == 'N' ? "NaN" : "infinity", type_name(type));
		return fail(room, room->message);
	}
	if (decimal_round(v->s, v->len, 0, whole, &len) != NULL ||
	    !decimal_to_int(whole, len, 0, &i))
		return fail_range(room, type);
	return put_int(room, type, i, out);
}

static bool
to_integer(struct scalar_room *room, enum type type, const struct value *v, struct value *out)
{
	if (v->kind == VALUE_INT)
		return put_int(room, type, v->i, out);
	if (v->kind == VALUE_FLOAT)
		return double_to_int(room, type, v->d, out);
	return decimal_to_integer(room, type, v, out);
}

/* PostgreSQL keeps 15 digits of a double precision, 6 of a real. */
static bool
to_decimal(struct scalar_room *room, enum type from, const struct value *v, struct value *out)
{
	char written[FLOAT_TEXT_MAX], *text;
	size_t len;

	*out = *v;
	if (v->kind == VALUE_DECIMAL)
		return true;
	text = room_take(room, DECIMAL_TEXT_MAX);
	if (v->kind == VALUE_INT) {
		len = (size_t)snprintf(text, DECIMAL_TEXT_MAX, "%lld", (long long)v->i);
	} else {
		(void)snprintf(written, sizeof(written), "%.*g", from == TYPE_REAL ? 6 : 15, v->d);
		len = decimal_canonical(written + (isnan(v->d) && written[0] == '-'),
					strlen(written) - (isnan(v->d) && written[0] == '-'), text,
					DECIMAL_TEXT_MAX);
	}
	room_keep(room, len);
	*out = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = text};
	return true;
}

static bool
decimal_is_zero(const struct value *v)
{
	for (uint32_t i = 0; i < v->len; i++)
		if (v->s[i] != '0' && v->s[i] != '.' && v->s[i] != '-')
			return false;
	return true;
}

static bool
to_float(struct scalar_room *room, enum type type, const struct value *v, struct value *out)
{
	double d;

	if (v->kind == VALUE_INT)
		d = type == TYPE_REAL ? (double)(float)v->i : (double)v->i;
	else if (v->kind == VALUE_FLOAT)
		d = type == TYPE_REAL ? (double)(float)v->d : v->d;
	else
		d = type == TYPE_REAL ? (double)decimal_to_float(v->s, v->len)
				      : decimal_to_double(v->s, v->len);
	*out = (struct value){.kind = VALUE_FLOAT, .d = d};
	if (v->kind == VALUE_FLOAT ? isinf(d) && !isinf(v->d)
				   : isinf(d) && !decimal_is_special(v->s, v->len))
		return fail_range(room, type);
	if (d == 0 &&
	    (v->kind == VALUE_FLOAT ? v->d != 0 : v->kind == VALUE_DECIMAL && !decimal_is_zero(v)))
		return fail_range(room, type);
	return true;
}

/* numeric(p,s): rounded to s digits, at most p - s before the point. */
static bool
fit_decimal(struct scalar_room *room, int precision, int scale, struct value *v)
{
	char *text = room_take(room, DECIMAL_TEXT_MAX);
	const char *problem;
	size_t len, whole;

	if (v->s[v->len - 1] == 'N')
		return true;
	if (decimal_is_special(v->s, v->len))
		return fail(room, "numeric field overflow");
	problem = decimal_round(v->s, v->len, scale, text, &len);
	if (problem != NULL)
		return fail(room, problem);
	room_keep(room, len);
	v->s = text;
	v->len = (uint32_t)len;
	whole = len - (size_t)(text[0] == '-') - (scale > 0 ? (size_t)scale + 1 : 0);
	if (whole == 1 && text[text[0] == '-'] == '0')
		whole = 0;
	return (int)whole <= precision - scale || fail(room, "numeric field overflow");
}

static bool
to_number(struct scalar_room *room, enum type from, enum type to, const struct value *v,
	  struct value *out)
{
	if (from == to) {
		*out = *v;
		return true;
	}
	if (is_integer(to))
		return to_integer(room, to, v, out);
	return to == TYPE_NUMERIC ? to_decimal(room, from, v, out) : to_float(room, to, v, out);
}

static bool
to_text(struct scalar_room *room, const struct column *from, const struct value *v,
	struct value *out)
{
	size_t size = PRINT_ROOM, len;
	char *text = room_take(room, size);

	*out = (struct value){.kind = VALUE_TEXT, .len = v->len, .s = v->s};
	if (v->kind == VALUE_TEXT)
		return true;
	if (v->kind == VALUE_BOOL)
		len = (size_t)snprintf(text, size, v->i != 0 ? "true" : "false");
	else
		len = column_print(from, v, text, size);
	if (len + 4 >= size) {
		size = len + 5;
		text = room_take(room, size);
		len = column_print(from, v, text, size);
	}
	/* Unlike the output of an inet, the cast always shows the mask. */
	if (v->kind == VALUE_INET && memchr(text, '/', len) == NULL)
		len += (size_t)snprintf(text + len, size - len, "%s",
					memchr(text, ':', len) != NULL ? "/128" : "/32");
	room_keep(room, len);
	out->s = text;
	out->len = (uint32_t)len;
	return true;
}

/* A zero that is none: 1e-400. */
static bool
is_underflow(const struct value *text, const struct value *v)
{
	if (v->kind != VALUE_FLOAT || v->d != 0)
		return false;
	for (uint32_t i = 0; i < text->len && (text->s[i] | ' ') != 'e'; i++)
		if (text->s[i] >= '1' && text->s[i] <= '9')
			return true;
	return false;
}

static bool
from_text(struct scalar_room *room, enum type to, const struct value *v, struct value *out)
{
	size_t size = (size_t)v->len + DECIMAL_TEXT_MAX;
	char *bytes = room_take(room, size);

	if (!value_parse(to, v->s, v->len, bytes, size, out) || is_underflow(v, out))
		return fail_cast(room, v, to);
	if (value_has_bytes(out) && out->s == bytes)
		room_keep(room, out->len);
	else if (value_has_bytes(out))
		room_keep(room, size);
	return true;
}

/* --- operators --- */

static bool
eval_integers(struct scalar_room *room, const struct expr *e, int64_t a, int64_t b,
	      struct value *out)
{
	bool over = false;
	int64_t i = 0;

	if ((e->op == EXPR_DIVIDE || e->op == EXPR_MODULO) && b == 0)
		return fail(room, "division by zero");
	if (e->op == EXPR_ADD)
		over = __builtin_add_overflow(a, b, &i);
	else if (e->op == EXPR_SUBTRACT)
		over = __builtin_sub_overflow(a, b, &i);
	else if (e->op == EXPR_MULTIPLY)
		over = __builtin_mul_overflow(a, b, &i);
	else if (b == -1) /* the processor traps when the smallest is divided */
		over = e->op == EXPR_DIVIDE && __builtin_sub_overflow(INT64_C(0), a, &i);
	else
		i = e->op == EXPR_DIVIDE ? a / b : a % b;
	if (over)
		return fail_range(room, e->type);
	return put_int(room, e->type, i, out);
}

static const char *
float_problem(enum expr_op op, double a, double b, double d)
{
	bool product = op == EXPR_MULTIPLY || op == EXPR_DIVIDE;

	if (isinf(d) && !isinf(a) && (op == EXPR_DIVIDE || !isinf(b)))
		return "value out of range: overflow";
	if (product && d == 0 && a != 0 && (op == EXPR_DIVIDE ? !isinf(b) : b != 0))
		return "value out of range: underflow";
	return NULL;
}

static bool
eval_floats(struct scalar_room *room, const struct expr *e, double a, double b, struct value *out)
{
	double d;

	if (e->op == EXPR_DIVIDE && b == 0 && !isnan(a))
		return fail(room, "division by zero");
	d = e->op == EXPR_ADD        ? a + b
	    : e->op == EXPR_SUBTRACT ? a - b
	    : e->op == EXPR_MULTIPLY ? a * b
				     : a / b;
	/* Rounded twice it is the float that float arithmetic gives: a double has more than twice its bits. */
	if (e->type == TYPE_REAL)
		d = (double)(float)d;
	*out = (struct value){.kind = VALUE_FLOAT, .d = d};
	room->problem = float_problem(e->op, a, b, d);
	return room->problem == NULL;
}

static bool
eval_decimals(struct scalar_room *room, const struct expr *e, const struct value *a,
	      const struct value *b, struct value *out)
{
	static const char operators[] = {
	    [EXPR_ADD] = '+',    [EXPR_SUBTRACT] = '-', [EXPR_MULTIPLY] = '*',
	    [EXPR_DIVIDE] = '/', [EXPR_MODULO] = '%',
	};
	char *text = room_take(room, DECIMAL_TEXT_MAX);
	size_t len = 0;

	room->problem = decimal_operate(operators[e->op], a->s, a->len, b->s, b->len, text, &len);
	if (room->problem != NULL)
		return false;
	room_keep(room, len);
	*out = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = text};
	return true;
}

static bool
is_null(const struct value *v)
{
	return v->kind == VALUE_NULL || v->kind == VALUE_UNCHANGED;
}

static enum type
argument_type(const struct expr *e, unsigned i, const struct scalar_room *room)
{
	enum type type = TYPE_TEXT;

	(void)expr_type(&e->args[i], room->table, &type);
	return type;
}

/* An argument as a number of the type that the operator computes with. */
static bool
eval_number(const struct expr *e, unsigned i, const struct value *row, struct scalar_room *room,
	    struct value *out)
{
	enum type from = argument_type(e, i, room);
	struct value v;

	if (!scalar_eval(&e->args[i], row, room, &v))
		return false;
	*out = v;
	return is_null(&v) || (is_integer(from) && is_integer(e->type)) ||
	       to_number(room, from, e->type, &v, out);
}

static bool
eval_arithmetic(const struct expr *e, const struct value *row, struct scalar_room *room,
		struct value *out)
{
	struct value a, b;

	if (!eval_number(e, 0, row, room, &a) || !eval_number(e, 1, row, room, &b))
		return false;
	*out = (struct value){.kind = VALUE_NULL};
	if (is_null(&a) || is_null(&b))
		return true;
	if (is_integer(e->type))
		return eval_integers(room, e, a.i, b.i, out);
	if (e->type == TYPE_NUMERIC)
		return eval_decimals(room, e, &a, &b, out);
	return eval_floats(room, e, a.d, b.d, out);
}

/* -x, and |x|, which is the same for what is negative. */
static bool
eval_sign(const struct expr *e, const struct value *row, struct scalar_room *room,
	  struct value *out)
{
	struct value v;
	char *text;
	size_t len;

	if (!scalar_eval(&e->args[0], row, room, &v))
		return false;
	*out = v;
	switch (v.kind) {
	case VALUE_INT:
		if (e->op == EXPR_ABS && v.i >= 0)
			return true;
		if (v.i == INT64_MIN)
			return fail_range(room, e->type);
		return put_int(room, e->type, -v.i, out);
	case VALUE_FLOAT:
		out->d = e->op == EXPR_ABS ? fabs(v.d) : -v.d;
		return true;
	case VALUE_DECIMAL:
		if (e->op == EXPR_ABS && v.s[0] != '-')
			return true;
		text = room_take(room, (size_t)v.len + 1);
		decimal_negate(v.s, v.len, text, &len);
		room_keep(room, len);
		out->s = text;
		out->len = (uint32_t)len;
		return true;
	default:
		*out = (struct value){.kind = VALUE_NULL};
		return true;
	}
}

static bool
eval_cast(const struct expr *e, const struct value *row, struct scalar_room *room,
	  struct value *out)
{
	const struct expr *arg = &e->args[0];
	const struct column of = {.type = argument_type(e, 0, room)};
	struct value v;
	bool good;

	if (!scalar_eval(arg, row, room, &v))
		return false;
	*out = (struct value){.kind = VALUE_NULL};
	if (is_null(&v))
		return true;
	if (type_is_text(e->type))
		return to_text(room,
			       arg->op == EXPR_COLUMN ? &room->table->columns[arg->column] : &of,
			       &v, out);
	good = type_is_text(of.type) ? from_text(room, e->type, &v, out)
				     : to_number(room, of.type, e->type, &v, out);
	return good && (e->precision == 0 || fit_decimal(room, e->precision, e->scale, out));
}

static bool
eval_coalesce(const struct expr *e, const struct value *row, struct scalar_room *room,
	      struct value *out)
{
	for (unsigned i = 0; i < e->arg_count; i++) {
		struct value v;

		if (!scalar_eval(&e->args[i], row, room, &v))
			return false;
		*out = v;
		if (is_null(&v))
			continue;
		return !type_is_number(e->type) ||
		       to_number(room, argument_type(e, i, room), e->type, &v, out);
	}
	*out = (struct value){.kind = VALUE_NULL};
	return true;
}

static bool
eval_nullif(const struct expr *e, const struct value *row, struct scalar_room *room,
	    struct value *out)
{
	struct value a, b;

	if (!scalar_eval(&e->args[0], row, room, &a) || !scalar_eval(&e->args[1], row, room, &b))
		return false;
	*out = a;
	if (is_null(&a))
		return true;
	if (!is_null(&b) && value_compare(&a, &b) == 0) {
		*out = (struct value){.kind = VALUE_NULL};
		return true;
	}
	return !type_is_number(e->type) ||
	       to_number(room, argument_type(e, 0, room), e->type, &a, out);
}

bool
scalar_eval(const struct expr *e, const struct value *row, struct scalar_room *room,
	    struct value *out)
{
	switch (e->op) {
	case EXPR_COLUMN:
		*out = row[e->column];
		return true;
	case EXPR_CONSTANT:
		*out = e->value;
		return true;
	case EXPR_NEGATE:
	case EXPR_ABS:
		return eval_sign(e, row, room, out);
	case EXPR_CAST:
		return eval_cast(e, row, room, out);
	case EXPR_COALESCE:
		return eval_coalesce(e, row, room, out);
	case EXPR_NULLIF:
		return eval_nullif(e, row, room, out);
	default:
		return eval_arithmetic(e, row, room, out);
	}
}
