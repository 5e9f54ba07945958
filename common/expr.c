/*
 * expr.c - conditions: three-valued evaluation, packing, printing. Trees are at most
 * EXPR_DEPTH_MAX deep, which both makers of them (parse_where.c, expr_unpack) enforce.
 */
#include "common/expr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/scalar.h"

void
expr_init(struct expr *e, enum expr_op op, unsigned arg_count)
{
	*e = (struct expr){.op = op, .arg_count = arg_count};
	if (arg_count > 0)
		e->args = xcalloc(arg_count, sizeof(*e->args));
}

void
expr_fini(struct expr *e)
{
	for (unsigned i = 0; i < e->arg_count; i++)
		expr_fini(&e->args[i]);
	free(e->args);
	if (value_has_bytes(&e->value))
		free((void *)(uintptr_t)e->value.s);
	*e = (struct expr){0};
}

struct expr *
expr_new(enum expr_op op, unsigned arg_count)
{
	struct expr *e = xcalloc(1, sizeof(*e));

	expr_init(e, op, arg_count);
	return e;
}

void
expr_free(struct expr *e)
{
	if (e == NULL)
		return;
	expr_fini(e);
	free(e);
}

void
expr_constant(struct expr *e, const struct value *v)
{
	e->value = *v;
	if (!value_has_bytes(v))
		return;
	char *bytes = xcalloc(1, (size_t)v->len + 1);
	memcpy(bytes, v->s, v->len);
	e->value.s = bytes;
}

/* --- evaluation --- */

static bool
is_unknown(const struct value *v)
{
	return v->kind == VALUE_NULL || v->kind == VALUE_UNCHANGED;
}

/* False when it cannot be evaluated. */
static bool
expr_operand(const struct expr *e, const struct value *row, struct scalar_room *room,
	     struct value *out)
{
	if (expr_is_value(e))
		return scalar_eval(e, row, room, out);
	*out = e->op == EXPR_COLUMN ? row[e->column] : e->value;
	return true;
}

static enum truth
truth_of(const struct value *v)
{
	if (is_unknown(v))
		return TRUTH_UNKNOWN;
	return v->i != 0 ? TRUTH_TRUE : TRUTH_FALSE;
}

static enum truth
truth_not(enum truth t)
{
	return t > TRUTH_TRUE ? t : t == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
}

static enum truth
eval_compare(const struct expr *e, const struct value *row, struct scalar_room *room)
{
	struct value a, b;
	int order;
	bool result;

	if (!expr_operand(&e->args[0], row, room, &a) || !expr_operand(&e->args[1], row, room, &b))
		return TRUTH_FAILED;
	if (is_unknown(&a) || is_unknown(&b))
		return TRUTH_UNKNOWN;
	order = value_compare(&a, &b);
	switch (e->op) {
	case EXPR_EQ:
		result = order == 0;
		break;
	case EXPR_NE:
		result = order != 0;
		break;
	case EXPR_LT:
		result = order < 0;
		break;
	case EXPR_LE:
		result = order <= 0;
		break;
	case EXPR_GT:
		result = order > 0;
		break;
	default:
		result = order >= 0;
		break;
	}
	return result ? TRUTH_TRUE : TRUTH_FALSE;
}

static enum truth
eval_in(const struct expr *e, const struct value *row, struct scalar_room *room)
{
	enum truth result = TRUTH_FALSE;
	struct value a;

	if (!expr_operand(&e->args[0], row, room, &a))
		return TRUTH_FAILED;
	if (is_unknown(&a))
		return TRUTH_UNKNOWN;
	for (unsigned i = 1; i < e->arg_count; i++) {
		if (is_unknown(&e->args[i].value))
			result = TRUTH_UNKNOWN;
		else if (value_compare(&a, &e->args[i].value) == 0)
			return TRUTH_TRUE;
	}
	return result;
}

/* AND and OR: the deciding value wins at once, UNKNOWN wins over the neutral one. */
static enum truth
eval_list(const struct expr *e, const struct value *row, struct scalar_room *room,
	  enum truth deciding)
{
	enum truth result = truth_not(deciding);

	for (unsigned i = 0; i < e->arg_count; i++) {
		enum truth t = expr_eval(&e->args[i], row, room);

		if (t == deciding || t == TRUTH_FAILED)
			return t;
		if (t == TRUTH_UNKNOWN)
			result = TRUTH_UNKNOWN;
	}
	return result;
}

static enum truth
eval_null(const struct expr *e, const struct value *row, struct scalar_room *room)
{
	struct value v;

	if (!expr_operand(&e->args[0], row, room, &v))
		return TRUTH_FAILED;
	return is_unknown(&v) == (e->op == EXPR_IS_NULL) ? TRUTH_TRUE : TRUTH_FALSE;
}

enum truth
expr_eval(const struct expr *e, const struct value *row, struct scalar_room *room)
{
	struct value v;

	switch (e->op) {
	case EXPR_AND:
		return eval_list(e, row, room, TRUTH_FALSE);
	case EXPR_OR:
		return eval_list(e, row, room, TRUTH_TRUE);
	case EXPR_NOT:
		return truth_not(expr_eval(&e->args[0], row, room));
	case EXPR_IN:
		return eval_in(e, row, room);
	case EXPR_IS_NULL:
	case EXPR_IS_NOT_NULL:
		return eval_null(e, row, room);
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_GT:
	case EXPR_GE:
		return eval_compare(e, row, room);
	default:
		return expr_operand(e, row, room, &v) ? truth_of(&v) : TRUTH_FAILED;
	}
}

/* --- packing: [op, column], [op, type, value], [op, [args]] or [op, [args], type, precision, scale] --- */

void
expr_pack(const struct expr *e, struct pack *p)
{
	if (e->op == EXPR_COLUMN) {
		pack_array(p, 2);
		pack_uint(p, e->op);
		pack_uint(p, e->column);
	} else if (e->op == EXPR_CONSTANT) {
		pack_array(p, 3);
		pack_uint(p, e->op);
		pack_uint(p, e->type);
		value_pack(p, &e->value);
	} else {
		pack_array(p, expr_is_value(e) ? 5 : 2);
		pack_uint(p, e->op);
		pack_array(p, e->arg_count);
		for (unsigned i = 0; i < e->arg_count; i++)
			expr_pack(&e->args[i], p);
		if (!expr_is_value(e))
			return;
		pack_uint(p, e->type);
		pack_uint(p, (unsigned)e->precision);
		pack_uint(p, (unsigned)e->scale);
	}
}

bool
expr_type(const struct expr *e, const struct table *table, enum type *type)
{
	if (e->op < EXPR_COLUMN)
		return false;
	*type = e->op == EXPR_COLUMN ? table->columns[e->column].type : e->type;
	return true;
}

static bool
is_comparable(const struct expr *a, const struct expr *b, const struct table *table)
{
	enum type ta, tb;

	return expr_type(a, table, &ta) && expr_type(b, table, &tb) && type_is_comparable(ta, tb);
}

/* What a condition may be about. */
static bool
is_operand(const struct expr *e)
{
	return e->op == EXPR_COLUMN || expr_is_value(e);
}

/* Do the arguments suit the operator? */
static bool
expr_is_sound(const struct expr *e, const struct table *table)
{
	switch (e->op) {
	case EXPR_AND:
	case EXPR_OR:
	case EXPR_NOT:
		for (unsigned i = 0; i < e->arg_count; i++) {
			enum type type;

			if (expr_type(&e->args[i], table, &type) && type != TYPE_BOOLEAN)
				return false;
		}
		return e->op == EXPR_NOT ? e->arg_count == 1 : e->arg_count >= 1;
	case EXPR_IN:
		if (e->arg_count < 2 || !is_operand(&e->args[0]))
			return false;
		for (unsigned i = 1; i < e->arg_count; i++)
			if (e->args[i].op != EXPR_CONSTANT ||
			    !is_comparable(&e->args[0], &e->args[i], table))
				return false;
		return true;
	case EXPR_IS_NULL:
	case EXPR_IS_NOT_NULL:
		return e->arg_count == 1 && is_operand(&e->args[0]);
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_GT:
	case EXPR_GE:
		return e->arg_count == 2 && is_comparable(&e->args[0], &e->args[1], table);
	default:
		return scalar_is_sound(e, table);
	}
}

static void
unpack_constant(struct expr *e, struct unpack *u)
{
	uint64_t type = unpack_uint(u);
	struct value v = {0};

	if (type >= TYPE_COUNT) {
		u->bad = true;
		return;
	}
	e->type = (enum type)type;
	value_unpack(u, e->type, &v);
	if (u->bad)
		return;
	expr_constant(e, &v);
}

static void unpack_node(struct expr *, struct unpack *, const struct table *, unsigned depth);

static void
unpack_args(struct expr *e, struct unpack *u, const struct table *table, unsigned depth)
{
	uint32_t count = unpack_array(u);

	if (count > EXPR_ARGS_MAX)
		u->bad = true;
	if (u->bad)
		return;
	expr_init(e, e->op, count);
	for (uint32_t i = 0; i < count && !u->bad; i++)
		unpack_node(&e->args[i], u, table, depth + 1);
	if (expr_is_value(e)) {
		uint64_t type = unpack_uint(u), precision = unpack_uint(u), scale = unpack_uint(u);

		if (type >= TYPE_COUNT || precision > DECIMAL_DIGITS_MAX ||
		    scale > DECIMAL_DIGITS_MAX)
			u->bad = true;
		e->type = u->bad ? TYPE_TEXT : (enum type)type;
		e->precision = (int)precision;
		e->scale = (int)scale;
	}
	if (!u->bad && !expr_is_sound(e, table))
		u->bad = true;
}

static void
unpack_node(struct expr *e, struct unpack *u, const struct table *table, unsigned depth)
{
	uint32_t fields = unpack_array(u);
	uint64_t op = unpack_uint(u);

	if (depth >= EXPR_DEPTH_MAX || op >= EXPR_OP_COUNT ||
	    fields != (op == EXPR_CONSTANT ? 3u
		       : op >= EXPR_ADD    ? 5u
					   : 2u))
		u->bad = true;
	if (u->bad)
		return;
	e->op = (enum expr_op)op;
	if (e->op == EXPR_CONSTANT) {
		unpack_constant(e, u);
	} else if (e->op == EXPR_COLUMN) {
		uint64_t column = unpack_uint(u);

		if (column >= table->column_count)
			u->bad = true;
		else
			e->column = (unsigned)column;
	} else {
		unpack_args(e, u, table, depth);
	}
}

struct expr *
expr_unpack(struct unpack *u, const struct table *table)
{
	struct expr *e = expr_new(EXPR_AND, 0);
	enum type type;

	unpack_node(e, u, table, 0);
	if (!u->bad && expr_type(e, table, &type) && type != TYPE_BOOLEAN)
		u->bad = true;
	if (u->bad) {
		expr_free(e);
		return NULL;
	}
	return e;
}

struct expr *
expr_unpack_value(struct unpack *u, const struct table *table)
{
	struct expr *e = expr_new(EXPR_AND, 0);

	unpack_node(e, u, table, 0);
	if (!u->bad && !expr_is_value(e))
		u->bad = true;
	if (u->bad) {
		expr_free(e);
		return NULL;
	}
	return e;
}

/* --- printing --- */

/* Compared with a column, whose labels an enum's value needs; NULL: a condition by itself. */
static void
print_constant(FILE *out, const struct expr *e, const struct column *column)
{
	char local[64], *text = local;
	size_t len;

	if (e->value.kind == VALUE_NULL) {
		fputs("NULL", out);
		return;
	}
	if (e->value.kind == VALUE_BOOL) {
		fputs(e->value.i != 0 ? "true" : "false", out);
		return;
	}
	if (e->type == TYPE_ENUM && column != NULL) {
		const char *label = enumeration_label(column->enumeration, &e->value);
		sql_string(out, label, strlen(label));
		return;
	}
	len = value_print(e->type, &e->value, local, sizeof(local));
	if (len >= sizeof(local)) {
		text = xcalloc(1, len + 1);
		len = value_print(e->type, &e->value, text, len + 1);
	}
	if (type_is_number(e->type) && strpbrk(text, "nN") == NULL)
		fwrite(text, 1, len, out);
	else
		sql_string(out, text, len);
	if (text != local)
		free(text);
}

/* A constant among values: its type shows, for the result's depends on it. */
static void
print_typed(FILE *out, const struct expr *e)
{
	enum type natural = TYPE_NUMERIC;
	char text[32];

	if (e->value.kind == VALUE_INT && type_is_integer(e->type))
		natural =
		    e->value.i >= INT32_MIN && e->value.i <= INT32_MAX ? TYPE_INTEGER : TYPE_BIGINT;
	/* What has no point and fits an integer would be one. */
	if (e->value.kind == VALUE_DECIMAL && decimal_scale(e->value.s, e->value.len) == 0)
		natural = TYPE_TEXT;
	if (e->value.kind != VALUE_NULL && e->type == natural) {
		print_constant(out, e, NULL);
		return;
	}
	fputs("CAST(", out);
	if (type_is_number(e->type) && e->value.kind != VALUE_NULL) {
		size_t len = value_print(e->type, &e->value, text, sizeof(text));
		if (len < sizeof(text))
			sql_string(out, text, len);
		else
			fprintf(out, "'%.*s'", (int)e->value.len, e->value.s);
	} else if (e->value.kind == VALUE_BOOL) {
		fputs(e->value.i != 0 ? "'t'" : "'f'", out);
	} else {
		print_constant(out, e, NULL);
	}
	fprintf(out, " AS %s)", type_name(e->type));
}

static void print_node(FILE *, const struct expr *, const struct table *);

static void
print_argument(FILE *out, const struct expr *e, const struct table *table)
{
	if (e->op == EXPR_CONSTANT)
		print_typed(out, e);
	else
		print_node(out, e, table);
}

static void
print_value(FILE *out, const struct expr *e, const struct table *table)
{
	static const struct {
		const char *before, *between, *after;
	} forms[] = {
	    [EXPR_ADD] = {"(", " + ", ")"},
	    [EXPR_SUBTRACT] = {"(", " - ", ")"},
	    [EXPR_MULTIPLY] = {"(", " * ", ")"},
	    [EXPR_DIVIDE] = {"(", " / ", ")"},
	    [EXPR_MODULO] = {"(", " % ", ")"},
	    [EXPR_NEGATE] = {"(- ", "", ")"},
	    [EXPR_ABS] = {"abs(", "", ")"},
	    [EXPR_CAST] = {"CAST(", "", ""},
	    [EXPR_COALESCE] = {"COALESCE(", ", ", ")"},
	    [EXPR_NULLIF] = {"NULLIF(", ", ", ")"},
	};

	fputs(forms[e->op].before, out);
	for (unsigned i = 0; i < e->arg_count; i++) {
		fputs(i > 0 ? forms[e->op].between : "", out);
		print_argument(out, &e->args[i], table);
	}
	fputs(forms[e->op].after, out);
	if (e->op != EXPR_CAST)
		return;
	fprintf(out, " AS %s", type_name(e->type));
	if (e->precision > 0)
		fprintf(out, "(%d,%d)", e->precision, e->scale);
	fputc(')', out);
}

static void
print_list(FILE *out, const struct expr *e, unsigned from, const char *between,
	   const struct table *table)
{
	bool named = e->args[0].op == EXPR_COLUMN;

	for (unsigned i = from; i < e->arg_count; i++) {
		if (i > from)
			fputs(between, out);
		if (e->args[i].op == EXPR_CONSTANT && expr_is_value(&e->args[0]))
			print_typed(out, &e->args[i]);
		else if (e->args[i].op == EXPR_CONSTANT)
			print_constant(out, &e->args[i],
				       named ? &table->columns[e->args[0].column] : NULL);
		else
			print_node(out, &e->args[i], table);
	}
}

static void
print_node(FILE *out, const struct expr *e, const struct table *table)
{
	static const char *const between[] = {
	    [EXPR_AND] = " AND ", [EXPR_OR] = " OR ", [EXPR_EQ] = " = ", [EXPR_NE] = " <> ",
	    [EXPR_LT] = " < ",    [EXPR_LE] = " <= ", [EXPR_GT] = " > ", [EXPR_GE] = " >= ",
	};

	if (e->op == EXPR_COLUMN) {
		sql_identifier(out, table->columns[e->column].name);
		return;
	}
	if (e->op == EXPR_CONSTANT) {
		print_constant(out, e, NULL);
		return;
	}
	if (expr_is_value(e)) {
		print_value(out, e, table);
		return;
	}
	fputs(e->op == EXPR_NOT ? "(NOT " : "(", out);
	if (e->op == EXPR_IN) {
		print_node(out, &e->args[0], table);
		fputs(" IN (", out);
		print_list(out, e, 1, ", ", table);
		fputc(')', out);
	} else if (e->op == EXPR_NOT || e->op == EXPR_IS_NULL || e->op == EXPR_IS_NOT_NULL) {
		print_node(out, &e->args[0], table);
	} else {
		print_list(out, e, 0, between[e->op], table);
	}
	if (e->op == EXPR_IS_NULL || e->op == EXPR_IS_NOT_NULL)
		fputs(e->op == EXPR_IS_NULL ? " IS NULL" : " IS NOT NULL", out);
	fputc(')', out);
}

char *
expr_print(const struct expr *e, const struct table *table)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	print_node(out, e, table);
	fclose(out);
	return text;
}
