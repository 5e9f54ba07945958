/*
 * parse_where.c - the condition of a view: from the parser's tree to struct expr.
 *
 * Literals become values of the column's type here, so that nothing is converted for an event. A
 * column stands left of a literal, AND inside AND and OR inside OR are made flat, BETWEEN becomes
 * two comparisons: conditions that are written differently but alike have one canonical text.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/expr.h"
#include "common/log.h"
#include "common/scalar.h"
#include "supervisor/parse_tree.h"

#define CONDITIONS_SUPPORTED                                                                       \
	"a condition compares columns, literals and expressions (= <> < <= > >=, IN, BETWEEN, IS " \
	"NULL), joined by AND, OR and NOT"

/* A condition at the deepest level may still be NOT IN: two levels more. */
#define CONDITION_DEPTH_MAX (EXPR_DEPTH_MAX - SCALAR_DEPTH_MAX - 2)

struct where {
	struct parse *p;
	const struct scope *scope;
	struct column expression; /* what is known of one, see column_of() */
};

static bool where_condition(struct where *, const PgQuery__Node *, unsigned depth, struct expr *);

/* --- columns --- */

bool
parse_orderable(struct parse *p, const struct column *column, int location, const char *what)
{
	if (!type_has_order(column->type))
		return parse_error(p, location,
				   "%s orders column \"%s\", and the order of type %s is not "
				   "supported: it is carried, counted and grouped by",
				   what, column->name, type_name(column->type));
	if (!type_is_text(column->type) || column->collate_c)
		return true;
	if (column->place.line == 0)
		return parse_error(p, location,
				   "%s orders the text %s, whose collation is not known: only a "
				   "column declared COLLATE \"C\" can be ordered",
				   what, column->name);
	return parse_error(
	    p, location,
	    "%s orders the text column \"%s\", whose collation is not known: declare it "
	    "COLLATE \"C\" if that is its order",
	    what, column->name);
}

/* Do the qualifiers before the column's name mean the table? */
static bool
is_qualifier(const struct scope *scope, const PgQuery__ColumnRef *ref)
{
	const char *name, *schema;

	if (ref->n_fields == 1)
		return true;
	name = parse_string(ref->fields[ref->n_fields - 2]);
	if (name == NULL || strcmp(name, scope->alias) != 0 || ref->n_fields > 3)
		return false;
	if (ref->n_fields == 2)
		return true;
	schema = parse_string(ref->fields[0]);
	return schema != NULL && scope->schema != NULL && strcmp(schema, scope->schema) == 0;
}

bool
parse_column(struct parse *p, const struct scope *scope, const PgQuery__ColumnRef *ref,
	     unsigned *column)
{
	const char *name = parse_string(ref->fields[ref->n_fields - 1]);

	if (name == NULL)
		return parse_error(p, ref->location, "* is not supported: name the columns");
	if (!is_qualifier(scope, ref))
		return parse_error(p, ref->location,
				   "column \"%s\" is qualified with something else than \"%s\"",
				   name, scope->alias);
	for (unsigned i = 0; i < scope->table->column_count; i++)
		if (strcmp(scope->table->columns[i].name, name) == 0) {
			*column = i;
			return true;
		}
	return parse_error(p, ref->location, "table \"%s\" has no column \"%s\"",
			   scope->table->name, name);
}

static bool
is_column(const PgQuery__Node *node)
{
	return node->node_case == PG_QUERY__NODE__NODE_COLUMN_REF;
}

static bool
where_column(struct where *w, const PgQuery__Node *node, struct expr *out)
{
	unsigned column;

	if (!parse_column(w->p, w->scope, node->column_ref, &column))
		return false;
	expr_init(out, EXPR_COLUMN, 0);
	out->column = column;
	return true;
}

/* A literal, perhaps with a cast. */
static bool
is_literal(const PgQuery__Node *node)
{
	return node->node_case == PG_QUERY__NODE__NODE_A_CONST ||
	       (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
		node->type_cast->arg->node_case == PG_QUERY__NODE__NODE_A_CONST);
}

/* The column of an operand, or what is like one: valid until the next call for an expression. */
static const struct column *
column_of(struct where *w, const struct expr *e)
{
	if (e->op == EXPR_COLUMN)
		return &w->scope->table->columns[e->column];
	free(w->expression.name);
	scalar_column(e, w->scope->table, &w->expression);
	return &w->expression;
}

/* A column or an expression that reads one. */
static bool
where_operand(struct where *w, const PgQuery__Node *node, struct expr *out)
{
	return is_column(node) ? where_column(w, node, out)
			       : parse_scalar(w->p, w->scope, node, out);
}

/* --- literals --- */

enum literal_kind {
	LITERAL_NULL,
	LITERAL_NUMBER,
	LITERAL_STRING,
	LITERAL_BOOLEAN,
};

struct literal {
	enum literal_kind kind;
	const char *text;
	char digits[16]; /* text of a small integer */
	bool cast;
	struct column as; /* what it is cast to: the members of the type */
	int location;
};

static bool
literal_constant(const PgQuery__AConst *c, struct literal *out)
{
	out->location = c->location;
	out->kind = LITERAL_NUMBER;
	if (c->isnull) {
		out->kind = LITERAL_NULL;
		return true;
	}
	switch (c->val_case) {
	case PG_QUERY__A__CONST__VAL_IVAL:
		snprintf(out->digits, sizeof(out->digits), "%" PRId32, c->ival->ival);
		out->text = out->digits;
		return true;
	case PG_QUERY__A__CONST__VAL_FVAL:
		out->text = c->fval->fval;
		return true;
	case PG_QUERY__A__CONST__VAL_SVAL:
		out->kind = LITERAL_STRING;
		out->text = c->sval->sval;
		return true;
	case PG_QUERY__A__CONST__VAL_BOOLVAL:
		out->kind = LITERAL_BOOLEAN;
		out->text = c->boolval->boolval ? "t" : "f";
		return true;
	default:
		return false;
	}
}

/* Literals that a cast to the type may start from, without changing their value. */
static bool
is_castable(const struct literal *literal, enum type type)
{
	if (literal->kind == LITERAL_NUMBER)
		return type_is_number(type);
	if (literal->kind == LITERAL_BOOLEAN)
		return type == TYPE_BOOLEAN;
	return true;
}

static bool
where_literal(struct where *w, const PgQuery__Node *node, struct literal *out)
{
	const PgQuery__TypeCast *cast;

	*out = (struct literal){.location = parse_location(node)};
	if (node->node_case == PG_QUERY__NODE__NODE_A_CONST && literal_constant(node->a_const, out))
		return true;
	if (node->node_case != PG_QUERY__NODE__NODE_TYPE_CAST)
		return parse_error(w->p, out->location, "this expression is not supported here: %s",
				   CONDITIONS_SUPPORTED);
	cast = node->type_cast;
	if (cast->arg->node_case != PG_QUERY__NODE__NODE_A_CONST ||
	    !literal_constant(cast->arg->a_const, out))
		return parse_error(w->p, cast->location,
				   "only a literal can be cast; a column has its declared type");
	if (!parse_type(w->p, cast->type_name, &out->as))
		return false;
	if (cast->type_name->n_typmods > 0)
		return parse_error(
		    w->p, cast->type_name->location,
		    "a cast with a precision is not supported: write the literal as it is meant");
	out->cast = true;
	if (!is_castable(out, out->as.type))
		return parse_error(w->p, out->location, "this literal cannot be cast to %s",
				   type_name(out->as.type));
	return true;
}

/* Is this kind of literal, or the type that it is cast to, comparable with a column's type? */
static bool
is_comparable(const struct literal *literal, const struct column *column)
{
	if (!type_is_comparable(column->type, column->type))
		return false;
	if (literal->cast)
		return type_is_comparable(literal->as.type, column->type) &&
		       literal->as.enumeration == column->enumeration;
	switch (literal->kind) {
	case LITERAL_NUMBER:
		return type_is_number(column->type);
	case LITERAL_BOOLEAN:
		return column->type == TYPE_BOOLEAN;
	default:
		return true;
	}
}

bool
parse_constant(const struct column *column, const char *text, struct expr *out)
{
	size_t len = strlen(text), size = len + DECIMAL_TEXT_MAX;
	char *buf = xcalloc(1, size);
	struct value v = {0};
	bool good = column_parse(column, text, len, buf, size, &v);

	if (good) {
		out->op = EXPR_CONSTANT;
		out->type = column->type;
		expr_constant(out, &v);
	}
	free(buf);
	return good;
}

static bool
constant_of(enum type type, const char *text, struct expr *out)
{
	return parse_constant(&(struct column){.type = type}, text, out);
}

/*
 * A number compared with an integer column need not be one: the smallest type that holds it. With
 * a float it is compared as double precision, as in PostgreSQL.
 */
static bool
constant_number(enum type type, const struct literal *literal, struct expr *out)
{
	const char *text = literal->text;

	if (literal->cast && type_is_float(literal->as.type))
		return constant_of(literal->as.type, text, out);
	if (type_is_float(type))
		return constant_of(TYPE_DOUBLE, text, out);
	if (type < TYPE_BIGINT && constant_of(TYPE_INTEGER, text, out))
		return true;
	if (type != TYPE_NUMERIC && constant_of(TYPE_BIGINT, text, out))
		return true;
	return constant_of(TYPE_NUMERIC, text, out);
}

/* Of a text that is a timestamptz: does it name its zone, or need none? */
static bool
names_zone(const char *text)
{
	const char *time = strchr(text, ':');

	if (strpbrk(text, "0123456789") == NULL) /* infinity */
		return true;
	return time != NULL && strpbrk(time, "+-Zz") != NULL;
}

bool
parse_zone(struct parse *p, const char *text, int location)
{
	if (names_zone(text))
		return true;
	return parse_error(p, location,
			   "a timestamptz without a zone is another instant in each session of "
			   "PostgreSQL: write time and zone, '2026-01-31 12:00:00+00'");
}

static bool
where_constant(struct where *w, const PgQuery__Node *node, const struct column *column,
	       struct expr *out)
{
	struct literal literal;
	struct expr scratch = {0};
	bool good;

	expr_init(out, EXPR_CONSTANT, 0);
	out->type = column->type;
	if (!where_literal(w, node, &literal))
		return false;
	if (!is_comparable(&literal, column))
		return parse_error(
		    w->p, literal.location,
		    "column \"%s\" has type %s and cannot be compared with this literal",
		    column->name, type_name(column->type));
	if (literal.kind == LITERAL_NULL)
		return true;
	if (literal.cast) {
		good = parse_constant(&literal.as, literal.text, &scratch);
		expr_fini(&scratch);
		if (!good)
			return parse_error(w->p, literal.location,
					   "this literal is no value of type %s",
					   type_name(literal.as.type));
	}
	if (type_is_number(column->type) && (literal.kind == LITERAL_NUMBER || literal.cast))
		good = constant_number(column->type, &literal, out);
	else
		good = parse_constant(column, literal.text, out);
	if (!good)
		return parse_error(w->p, literal.location,
				   "this literal is no value of type %s, which column \"%s\" has",
				   type_name(column->type), column->name);
	return column->type != TYPE_TIMESTAMPTZ || parse_zone(w->p, literal.text, literal.location);
}

/* --- comparisons --- */

enum { /* places in the table */
       OPERATOR_LT = 2,
       OPERATOR_LE,
       OPERATOR_GT,
       OPERATOR_GE,
};

static const struct operator_row {
	const char *name;
	enum expr_op op, mirrored;
} operators[] = {
    {"=", EXPR_EQ, EXPR_EQ},
    {"<>", EXPR_NE, EXPR_NE},
    [OPERATOR_LT] = {"<", EXPR_LT, EXPR_GT},
    [OPERATOR_LE] = {"<=", EXPR_LE, EXPR_GE},
    [OPERATOR_GT] = {">", EXPR_GT, EXPR_LT},
    [OPERATOR_GE] = {">=", EXPR_GE, EXPR_LE},
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

static bool
where_columns_comparable(struct where *w, const struct column *a, const struct column *b,
			 int location)
{
	if (type_is_comparable(a->type, b->type) && a->enumeration == b->enumeration)
		return true;
	return parse_error(w->p, location, "columns \"%s\" (%s) and \"%s\" (%s) cannot be compared",
			   a->name, type_name(a->type), b->name, type_name(b->type));
}

/* left op right, where left is a column and right a column or a literal. */
static bool
where_compare_column(struct where *w, enum expr_op op, const PgQuery__Node *left,
		     const PgQuery__Node *right, int location, struct expr *out)
{
	const char *what = "this comparison";
	const struct column *a, *b = NULL;
	bool good;

	expr_init(out, op, 2);
	if (!where_column(w, left, &out->args[0]))
		return false;
	a = column_of(w, &out->args[0]);
	if (is_column(right)) {
		if (!where_column(w, right, &out->args[1]))
			return false;
		b = column_of(w, &out->args[1]);
		good = where_columns_comparable(w, a, b, location);
	} else {
		good = where_constant(w, right, a, &out->args[1]);
	}
	if (!good || op == EXPR_EQ || op == EXPR_NE)
		return good;
	return parse_orderable(w->p, a, location, what) &&
	       (b == NULL || parse_orderable(w->p, b, location, what));
}

static bool
is_orderable(struct where *w, const struct expr *e, int location)
{
	return e->op == EXPR_CONSTANT ||
	       parse_orderable(w->p, column_of(w, e), location, "this comparison");
}

/* The same where one side is an expression; a constant comes to stand on the right. */
static bool
where_compare_scalars(struct where *w, const struct operator_row *row, const PgQuery__Node *left,
		      const PgQuery__Node *right, int location, struct expr *out)
{
	enum type a = TYPE_TEXT, b = TYPE_TEXT;

	expr_init(out, row->op, 2);
	if (!parse_scalar_pair(w->p, w->scope, left, right, out->args))
		return false;
	if (out->args[0].op == EXPR_CONSTANT) {
		struct expr constant = out->args[0];

		out->op = row->mirrored;
		out->args[0] = out->args[1];
		out->args[1] = constant;
	}
	if (out->args[0].op == EXPR_CONSTANT)
		return parse_error(w->p, location, "neither side reads a column: %s",
				   CONDITIONS_SUPPORTED);
	(void)expr_type(&out->args[0], w->scope->table, &a);
	(void)expr_type(&out->args[1], w->scope->table, &b);
	if (!type_is_comparable(a, b))
		return parse_error(w->p, location, "%s and %s cannot be compared", type_name(a),
				   type_name(b));
	return out->op == EXPR_EQ || out->op == EXPR_NE ||
	       (is_orderable(w, &out->args[0], location) &&
		is_orderable(w, &out->args[1], location));
}

static bool
where_compare(struct where *w, const struct operator_row *row, const PgQuery__Node *left,
	      const PgQuery__Node *right, int location, struct expr *out)
{
	if (is_column(left) && (is_column(right) || is_literal(right)))
		return where_compare_column(w, row->op, left, right, location, out);
	if (is_literal(left) && is_column(right))
		return where_compare_column(w, row->mirrored, right, left, location, out);
	return where_compare_scalars(w, row, left, right, location, out);
}

static bool
where_operator(struct where *w, const PgQuery__AExpr *e, struct expr *out)
{
	const struct operator_row *row = find_operator(e);

	if (row == NULL || e->lexpr == NULL || e->rexpr == NULL)
		return parse_error(w->p, e->location, "this operator is not supported: %s",
				   CONDITIONS_SUPPORTED);
	return where_compare(w, row, e->lexpr, e->rexpr, e->location, out);
}

/* The columns and the list of `column IN (...)` and `column BETWEEN a AND b`. */
static bool
where_list_operands(struct where *w, const PgQuery__AExpr *e, const char *what)
{
	if (is_literal(e->lexpr))
		return parse_error(w->p, e->location,
				   "%s needs a column or an expression on its left", what);
	if (e->rexpr->node_case != PG_QUERY__NODE__NODE_LIST)
		return parse_error(w->p, e->location, "%s needs a list of literals", what);
	return true;
}

static bool
where_in(struct where *w, const PgQuery__AExpr *e, struct expr *out)
{
	/* The grammar names the operator: = for IN, <> for NOT IN. */
	bool negated = find_operator(e) != NULL && find_operator(e)->op == EXPR_NE;
	const PgQuery__List *list;
	struct expr *in = out;

	if (!where_list_operands(w, e, "IN"))
		return false;
	list = e->rexpr->list;
	if (list->n_items >= EXPR_ARGS_MAX)
		return parse_error(w->p, e->location, "IN takes at most %u literals",
				   EXPR_ARGS_MAX - 1);
	if (negated) {
		expr_init(out, EXPR_NOT, 1);
		in = &out->args[0];
	}
	expr_init(in, EXPR_IN, (unsigned)list->n_items + 1);
	if (!where_operand(w, e->lexpr, &in->args[0]))
		return false;
	for (size_t i = 0; i < list->n_items; i++) {
		if (is_column(list->items[i]))
			return parse_error(w->p, parse_location(list->items[i]),
					   "IN takes literals only: compare columns with =");
		if (!where_constant(w, list->items[i], column_of(w, &in->args[0]),
				    &in->args[i + 1]))
			return false;
	}
	return true;
}

static bool
where_between(struct where *w, const PgQuery__AExpr *e, struct expr *out)
{
	bool negated = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN;
	const PgQuery__List *list;

	if (!where_list_operands(w, e, "BETWEEN"))
		return false;
	list = e->rexpr->list;
	expr_init(out, negated ? EXPR_OR : EXPR_AND, 2);
	return where_compare(w, &operators[negated ? OPERATOR_LT : OPERATOR_GE], e->lexpr,
			     list->items[0], e->location, &out->args[0]) &&
	       where_compare(w, &operators[negated ? OPERATOR_GT : OPERATOR_LE], e->lexpr,
			     list->items[1], e->location, &out->args[1]);
}

static bool
where_expression(struct where *w, const PgQuery__AExpr *e, struct expr *out)
{
	switch (e->kind) {
	case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
		return where_operator(w, e, out);
	case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
		return where_in(w, e, out);
	case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
		return where_between(w, e, out);
	case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
	case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
	case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
		return parse_error(w->p, e->location, "LIKE and SIMILAR are not supported: %s",
				   CONDITIONS_SUPPORTED);
	case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
		return parse_error(w->p, e->location, "IS DISTINCT FROM is not supported: %s",
				   CONDITIONS_SUPPORTED);
	default:
		return parse_error(w->p, e->location, "this operator is not supported: %s",
				   CONDITIONS_SUPPORTED);
	}
}

/* --- conditions --- */

/* Replace an argument by its own arguments when both are AND, or both are OR. */
static void
flatten(struct expr *e)
{
	unsigned count = 0, n = 0;
	struct expr *args;

	for (unsigned i = 0; i < e->arg_count; i++)
		count += e->args[i].op == e->op ? e->args[i].arg_count : 1;
	args = xcalloc(count + 1, sizeof(*args));
	for (unsigned i = 0; i < e->arg_count; i++) {
		struct expr *arg = &e->args[i];

		if (arg->op != e->op) {
			args[n++] = *arg;
			continue;
		}
		for (unsigned j = 0; j < arg->arg_count; j++)
			args[n++] = arg->args[j];
		free(arg->args);
	}
	free(e->args);
	e->args = args;
	e->arg_count = count;
}

static bool
where_boolean(struct where *w, const PgQuery__BoolExpr *e, unsigned depth, struct expr *out)
{
	enum expr_op op = e->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? EXPR_AND
			  : e->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? EXPR_OR
									   : EXPR_NOT;

	expr_init(out, op, (unsigned)e->n_args);
	for (size_t i = 0; i < e->n_args; i++)
		if (!where_condition(w, e->args[i], depth + 1, &out->args[i]))
			return false;
	if (op != EXPR_NOT)
		flatten(out);
	if (out->arg_count > EXPR_ARGS_MAX)
		return parse_error(w->p, e->location, "more than %u conditions are not supported",
				   EXPR_ARGS_MAX);
	return true;
}

static bool
where_null_test(struct where *w, const PgQuery__NullTest *test, struct expr *out)
{
	expr_init(out,
		  test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL ? EXPR_IS_NULL
									  : EXPR_IS_NOT_NULL,
		  1);
	return where_operand(w, test->arg, &out->args[0]);
}

static bool
where_boolean_operand(struct where *w, const PgQuery__Node *node, struct expr *out)
{
	if (!where_operand(w, node, out))
		return false;
	const struct column *column = column_of(w, out);
	return column->type == TYPE_BOOLEAN ||
	       parse_error(w->p, parse_location(node),
			   "column \"%s\" has type %s; a condition must be boolean", column->name,
			   type_name(column->type));
}

/* true, false or NULL as a whole condition. */
static bool
where_boolean_literal(struct where *w, const PgQuery__Node *node, struct expr *out)
{
	struct literal literal;

	expr_init(out, EXPR_CONSTANT, 0);
	out->type = TYPE_BOOLEAN;
	if (!where_literal(w, node, &literal))
		return false;
	if (literal.kind == LITERAL_NUMBER || (literal.cast && literal.as.type != TYPE_BOOLEAN))
		return parse_error(w->p, literal.location, "a condition must be boolean");
	if (literal.kind != LITERAL_NULL && !constant_of(TYPE_BOOLEAN, literal.text, out))
		return parse_error(w->p, literal.location, "this literal is no boolean");
	return true;
}

static bool
where_condition(struct where *w, const PgQuery__Node *node, unsigned depth, struct expr *out)
{
	if (depth >= CONDITION_DEPTH_MAX)
		return parse_error(w->p, parse_location(node),
				   "the condition is nested more than %d deep",
				   CONDITION_DEPTH_MAX);
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
		return where_boolean(w, node->bool_expr, depth, out);
	case PG_QUERY__NODE__NODE_A_EXPR:
		return where_expression(w, node->a_expr, out);
	case PG_QUERY__NODE__NODE_NULL_TEST:
		return where_null_test(w, node->null_test, out);
	case PG_QUERY__NODE__NODE_A_CONST:
	case PG_QUERY__NODE__NODE_TYPE_CAST:
	case PG_QUERY__NODE__NODE_COLUMN_REF:
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return is_literal(node) ? where_boolean_literal(w, node, out)
					: where_boolean_operand(w, node, out);
	default:
		return parse_error(w->p, parse_location(node), "%s not supported: %s",
				   parse_unsupported_name(node), CONDITIONS_SUPPORTED);
	}
}

struct expr *
parse_where(struct parse *p, const struct scope *scope, const PgQuery__Node *node)
{
	struct where w = {.p = p, .scope = scope};
	struct expr *e = expr_new(EXPR_AND, 0);
	bool good = where_condition(&w, node, 0, e);

	free(w.expression.name);
	if (good)
		return e;
	expr_free(e);
	return NULL;
}
