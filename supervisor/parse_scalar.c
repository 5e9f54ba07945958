/*
 * parse_scalar.c - values computed from a row: from the parser's tree to struct expr.
 *
 * Types are PostgreSQL's. A string or NULL without a cast takes the type of what it stands beside.
 * What reads no column is computed here, so that a mistake in it has its place in the file.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr.h"
#include "common/log.h"
#include "common/scalar.h"
#include "supervisor/parse_tree.h"

#define SCALARS_SUPPORTED                                                                          \
	"an expression is made of columns and literals by + - * / %, CAST, COALESCE, NULLIF and "  \
	"abs"
#define ARGUMENTS_MAX 64

struct scalar {
	struct parse *p;
	const struct scope *scope;
};

struct operand {
	struct expr *out;
	int location;
	bool unknown; /* a constant without a type of its own */
};

static bool scalar_node(struct scalar *, const PgQuery__Node *, unsigned depth, struct operand *);

const char *
parse_unsupported_name(const PgQuery__Node *node)
{
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_SUB_LINK:
		return "a subquery is";
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return "a function is";
	case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
		return "IS TRUE, IS FALSE and IS UNKNOWN are";
	case PG_QUERY__NODE__NODE_CASE_EXPR:
		return "CASE is";
	default:
		return "this expression is";
	}
}

static enum type
type_of(const struct scalar *s, const struct expr *e)
{
	enum type type = TYPE_TEXT;

	(void)expr_type(e, s->scope->table, &type);
	return type;
}

/* --- constants --- */

static void
constant_string(struct expr *out, const char *text)
{
	struct value v = {.kind = VALUE_TEXT, .len = (uint32_t)strlen(text), .s = text};

	expr_init(out, EXPR_CONSTANT, 0);
	out->type = TYPE_TEXT;
	expr_constant(out, &v);
}

/* The first of integer, bigint and numeric that it is, as in PostgreSQL. */
static bool
constant_number(struct scalar *s, const char *text, struct operand *o)
{
	static const enum type types[] = {TYPE_INTEGER, TYPE_BIGINT, TYPE_NUMERIC};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (parse_constant(&(struct column){.type = types[i]}, text, o->out))
			return true;
	return parse_error(s->p, o->location, "this number is no value of type numeric");
}

static bool
scalar_constant(struct scalar *s, const PgQuery__AConst *c, struct operand *o)
{
	char digits[16];

	expr_init(o->out, EXPR_CONSTANT, 0);
	o->out->type = TYPE_TEXT;
	o->unknown = c->isnull;
	if (c->isnull)
		return true;
	switch (c->val_case) {
	case PG_QUERY__A__CONST__VAL_IVAL:
		(void)snprintf(digits, sizeof(digits), "%" PRId32, c->ival->ival);
		return constant_number(s, digits, o);
	case PG_QUERY__A__CONST__VAL_FVAL:
		return constant_number(s, c->fval->fval, o);
	case PG_QUERY__A__CONST__VAL_SVAL:
		o->unknown = true;
		constant_string(o->out, c->sval->sval);
		return true;
	case PG_QUERY__A__CONST__VAL_BOOLVAL:
		return parse_constant(&(struct column){.type = TYPE_BOOLEAN},
				      c->boolval->boolval ? "t" : "f", o->out);
	default:
		return parse_error(s->p, o->location, "this literal is not supported: %s",
				   SCALARS_SUPPORTED);
	}
}

/* Give a constant without a type this one. */
static bool
adapt(struct scalar *s, struct operand *o, enum type type)
{
	struct expr text = *o->out;
	bool good;

	if (!o->unknown)
		return true;
	o->unknown = false;
	if (text.value.kind == VALUE_NULL) {
		o->out->type = type;
		return true;
	}
	if (type == TYPE_ENUM || type == TYPE_ARRAY)
		return parse_error(s->p, o->location, "expressions of type %s are not supported",
				   type_name(type));
	if (!parse_constant(&(struct column){.type = type}, text.value.s, o->out))
		return parse_error(s->p, o->location, "this literal is no value of type %s",
				   type_name(type));
	good = type != TYPE_TIMESTAMPTZ || parse_zone(s->p, text.value.s, o->location);
	expr_fini(&text);
	return good;
}

/* Compute what reads no column. */
static bool
fold(struct scalar *s, struct expr *e, int location)
{
	struct scalar_room room;
	struct expr constant;
	struct value v;
	bool good;

	for (unsigned i = 0; i < e->arg_count; i++)
		if (e->args[i].op != EXPR_CONSTANT)
			return true;
	scalar_room_init(&room, s->scope->table);
	good = scalar_eval(e, NULL, &room, &v);
	if (good) {
		expr_init(&constant, EXPR_CONSTANT, 0);
		constant.type = e->type;
		expr_constant(&constant, &v);
		expr_fini(e);
		*e = constant;
	} else {
		parse_error(s->p, location, "%s", room.problem);
	}
	scalar_room_fini(&room);
	return good;
}

/* --- operators --- */

static const struct operator_row {
	const char *name;
	enum expr_op op;
} operators[] = {
    {"+", EXPR_ADD},    {"-", EXPR_SUBTRACT}, {"*", EXPR_MULTIPLY},
    {"/", EXPR_DIVIDE}, {"%", EXPR_MODULO},
};

static const struct operator_row *
find_operator(const PgQuery__AExpr *e)
{
	const char *name = e->n_name == 1 ? parse_string(e->name[0]) : NULL;

	for (size_t i = 0; name != NULL && i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strcmp(operators[i].name, name) == 0)
			return &operators[i];
	return NULL;
}

/* "integer" or "integer and text". Heap. */
static char *
type_list(const enum type *types, unsigned count)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	for (unsigned i = 0; i < count; i++)
		fprintf(out, "%s%s", i > 0 ? (i + 1 < count ? ", " : " and ") : "",
			type_name(types[i]));
	fclose(out);
	return text;
}

/* The type that the first operand with one has; false: none has. */
static bool
known_type(const struct scalar *s, const struct operand *operands, unsigned count, enum type *type)
{
	for (unsigned i = 0; i < count; i++)
		if (!operands[i].unknown) {
			*type = type_of(s, operands[i].out);
			return true;
		}
	return false;
}

/* An operator over all these nodes, in `o`, whose result has PostgreSQL's type. */
static bool
scalar_operator(struct scalar *s, enum expr_op op, const char *name, PgQuery__Node *const *nodes,
		size_t count, unsigned depth, struct operand *o)
{
	struct operand operands[ARGUMENTS_MAX];
	enum type types[ARGUMENTS_MAX], known;
	char *list;

	if (count > ARGUMENTS_MAX)
		return parse_error(s->p, o->location, "%s takes at most %d arguments", name,
				   ARGUMENTS_MAX);
	expr_init(o->out, op, (unsigned)count);
	for (unsigned i = 0; i < count; i++) {
		operands[i] = (struct operand){.out = &o->out->args[i]};
		if (!scalar_node(s, nodes[i], depth + 1, &operands[i]))
			return false;
	}
	if (!known_type(s, operands, (unsigned)count, &known))
		return parse_error(s->p, o->location,
				   "the type of these literals is not known: add a cast, "
				   "CAST('...' AS integer)");
	for (unsigned i = 0; i < count; i++) {
		if (!adapt(s, &operands[i], known))
			return false;
		types[i] = type_of(s, &o->out->args[i]);
	}
	if (scalar_result(op, types, (unsigned)count, &o->out->type))
		return fold(s, o->out, o->location);
	list = type_list(types, (unsigned)count);
	parse_error(s->p, o->location, "%s is not supported for %s: %s", name, list,
		    op == EXPR_COALESCE || op == EXPR_NULLIF
			? "its arguments have one type, or are numbers"
			: "it computes with smallint, integer, bigint, numeric, real and double "
			  "precision");
	free(list);
	return false;
}

static bool
scalar_arithmetic(struct scalar *s, const PgQuery__AExpr *e, unsigned depth, struct operand *o)
{
	const struct operator_row *row = find_operator(e);
	PgQuery__Node *both[] = {e->lexpr, e->rexpr};

	if (row == NULL || e->rexpr == NULL)
		return parse_error(s->p, e->location, "this operator is not supported: %s",
				   SCALARS_SUPPORTED);
	if (e->lexpr != NULL)
		return scalar_operator(s, row->op, row->name, both, 2, depth, o);
	if (row->op == EXPR_SUBTRACT)
		return scalar_operator(s, EXPR_NEGATE, "-", &both[1], 1, depth, o);
	return parse_error(s->p, e->location, "this operator is not supported: %s",
			   SCALARS_SUPPORTED);
}

static bool
scalar_expression(struct scalar *s, const PgQuery__AExpr *e, unsigned depth, struct operand *o)
{
	PgQuery__Node *both[] = {e->lexpr, e->rexpr};

	if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP)
		return scalar_arithmetic(s, e, depth, o);
	if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF)
		return scalar_operator(s, EXPR_NULLIF, "NULLIF", both, 2, depth, o);
	return parse_error(s->p, e->location, "this operator is not supported: %s",
			   SCALARS_SUPPORTED);
}

bool
parse_is_scalar_call(const PgQuery__FuncCall *call)
{
	const char *name = parse_string(call->funcname[call->n_funcname - 1]);

	return name != NULL && strcmp(name, "abs") == 0 && call->n_funcname == 1;
}

static bool
scalar_call(struct scalar *s, const PgQuery__FuncCall *call, unsigned depth, struct operand *o)
{
	const char *name = parse_string(call->funcname[call->n_funcname - 1]);

	if (!parse_is_scalar_call(call))
		return parse_error(s->p, call->location,
				   "function \"%s\" is not supported in an expression: %s",
				   name != NULL ? name : "?", SCALARS_SUPPORTED);
	if (call->n_args != 1 || call->over != NULL || call->agg_filter != NULL ||
	    call->agg_distinct || call->n_agg_order > 0 || call->func_variadic)
		return parse_error(s->p, call->location, "abs takes one argument");
	return scalar_operator(s, EXPR_ABS, "abs", call->args, 1, depth, o);
}

/* --- casts --- */

static bool
scalar_cast(struct scalar *s, const PgQuery__TypeCast *cast, unsigned depth, struct operand *o)
{
	struct column to = {0};
	struct operand arg;
	enum type from;
	bool modified;

	if (!parse_type(s->p, cast->type_name, &to))
		return false;
	modified = cast->type_name->n_typmods > 0;
	if (modified && to.type != TYPE_NUMERIC)
		return parse_error(s->p, cast->type_name->location,
				   "a cast with a length or precision is supported to numeric "
				   "only");
	expr_init(o->out, EXPR_CAST, 1);
	arg = (struct operand){.out = &o->out->args[0]};
	if (!scalar_node(s, cast->arg, depth + 1, &arg))
		return false;
	/* What is no value of the type fails here as it would for each row. */
	if (!adapt(s, &arg, modified ? TYPE_TEXT : to.type))
		return false;
	from = type_of(s, arg.out);
	if (from == to.type && !modified) {
		struct expr inner = *arg.out;

		*arg.out = (struct expr){0};
		expr_fini(o->out);
		*o->out = inner;
		return true;
	}
	o->out->type = to.type;
	if (modified) {
		o->out->precision = to.precision;
		o->out->scale = to.scale;
	}
	if (!scalar_result(EXPR_CAST, &from, 1, &o->out->type))
		return parse_error(s->p, o->location,
				   "a cast from %s to %s is not supported: supported are casts "
				   "between numbers, from text, and to text or varchar",
				   type_name(from), type_name(to.type));
	return fold(s, o->out, o->location);
}

/* --- nodes --- */

static bool
scalar_column_ref(struct scalar *s, const PgQuery__ColumnRef *ref, struct operand *o)
{
	expr_init(o->out, EXPR_COLUMN, 0);
	return parse_column(s->p, s->scope, ref, &o->out->column);
}

static bool
scalar_node(struct scalar *s, const PgQuery__Node *node, unsigned depth, struct operand *o)
{
	o->location = parse_location(node);
	o->unknown = false;
	if (depth >= SCALAR_DEPTH_MAX)
		return parse_error(s->p, o->location, "the expression is nested more than %d deep",
				   SCALAR_DEPTH_MAX);
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_COLUMN_REF:
		return scalar_column_ref(s, node->column_ref, o);
	case PG_QUERY__NODE__NODE_A_CONST:
		return scalar_constant(s, node->a_const, o);
	case PG_QUERY__NODE__NODE_TYPE_CAST:
		return scalar_cast(s, node->type_cast, depth, o);
	case PG_QUERY__NODE__NODE_A_EXPR:
		return scalar_expression(s, node->a_expr, depth, o);
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return scalar_operator(s, EXPR_COALESCE, "COALESCE", node->coalesce_expr->args,
				       node->coalesce_expr->n_args, depth, o);
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return scalar_call(s, node->func_call, depth, o);
	default:
		return parse_error(s->p, o->location, "%s not supported: %s",
				   parse_unsupported_name(node), SCALARS_SUPPORTED);
	}
}

bool
parse_scalar(struct parse *p, const struct scope *scope, const PgQuery__Node *node,
	     struct expr *out)
{
	struct scalar s = {p, scope};
	struct operand o = {.out = out};

	if (!scalar_node(&s, node, 0, &o))
		return false;
	if (out->op == EXPR_CONSTANT)
		return parse_error(p, o.location, "this expression reads no column");
	return true;
}

bool
parse_scalar_pair(struct parse *p, const struct scope *scope, const PgQuery__Node *left,
		  const PgQuery__Node *right, struct expr *pair)
{
	struct scalar s = {p, scope};
	struct operand a = {.out = &pair[0]}, b = {.out = &pair[1]};

	if (!scalar_node(&s, left, 0, &a) || !scalar_node(&s, right, 0, &b))
		return false;
	/* If neither has a type no column is read, which is for the caller to refuse. */
	return adapt(&s, &a, type_of(&s, b.out)) && adapt(&s, &b, type_of(&s, a.out));
}
