/*
 * test_expr.c - conditions: three-valued logic against a table of truth, packing, printing.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/scalar.h"

static struct column columns[] = {
    {.name = (char[]){"i"}, .type = TYPE_INTEGER, .precision = -1, .scale = -1},
    {.name = (char[]){"n"}, .type = TYPE_NUMERIC, .precision = -1, .scale = -1},
    {.name = (char[]){"t"}, .type = TYPE_TEXT, .precision = -1, .scale = -1},
    {.name = (char[]){"b"}, .type = TYPE_BOOLEAN, .precision = -1, .scale = -1},
    {.name = (char[]){"select"}, .type = TYPE_TIMESTAMPTZ, .precision = -1, .scale = -1},
};
static const struct table table = {.columns = columns, .column_count = 5};

static void
set_column(struct expr *e, unsigned column)
{
	expr_init(e, EXPR_COLUMN, 0);
	e->column = column;
}

static void
set_int(struct expr *e, enum type type, int64_t i)
{
	expr_init(e, EXPR_CONSTANT, 0);
	e->type = type;
	e->value = (struct value){.kind = type == TYPE_BOOLEAN ? VALUE_BOOL : VALUE_INT, .i = i};
}

static void
set_string(struct expr *e, enum type type, const char *s)
{
	expr_init(e, EXPR_CONSTANT, 0);
	e->type = type;
	e->value = (struct value){.kind = type == TYPE_TEXT ? VALUE_TEXT : VALUE_DECIMAL,
				  .len = (uint32_t)strlen(s),
				  .s = xstrdup(s)};
}

static void
set_null(struct expr *e, enum type type)
{
	expr_init(e, EXPR_CONSTANT, 0);
	e->type = type;
}

static struct expr *
compare_int(enum expr_op op, unsigned column, int64_t i)
{
	struct expr *e = expr_new(op, 2);

	set_column(&e->args[0], column);
	set_int(&e->args[1], TYPE_INTEGER, i);
	return e;
}

static struct value
value_int(int64_t i)
{
	return (struct value){.kind = VALUE_INT, .i = i};
}

static struct value
value_bool(bool b)
{
	return (struct value){.kind = VALUE_BOOL, .i = b};
}

static struct value
value_string(enum value_kind kind, const char *s)
{
	return (struct value){.kind = kind, .len = (uint32_t)strlen(s), .s = s};
}

/* A constant of each truth value, as a condition. */
static void
set_truth(struct expr *e, enum truth t)
{
	if (t == TRUTH_UNKNOWN)
		set_null(e, TYPE_BOOLEAN);
	else
		set_int(e, TYPE_BOOLEAN, t == TRUTH_TRUE);
}

Test(expr, logic_follows_the_tables_of_three_values)
{
	static const enum truth and[3][3] = {
	    [TRUTH_FALSE] = {TRUTH_FALSE, TRUTH_FALSE, TRUTH_FALSE},
	    [TRUTH_TRUE] = {TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN},
	    [TRUTH_UNKNOWN] = {TRUTH_FALSE, TRUTH_UNKNOWN, TRUTH_UNKNOWN},
	};
	static const enum truth or [3][3] = {
	    [TRUTH_FALSE] = {TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN},
	    [TRUTH_TRUE] = {TRUTH_TRUE, TRUTH_TRUE, TRUTH_TRUE},
	    [TRUTH_UNKNOWN] = {TRUTH_UNKNOWN, TRUTH_TRUE, TRUTH_UNKNOWN},
	};
	static const enum truth not [3] = {TRUTH_TRUE, TRUTH_FALSE, TRUTH_UNKNOWN};

	for (unsigned a = 0; a < 3; a++) {
		struct expr *e = expr_new(EXPR_NOT, 1);

		set_truth(&e->args[0], (enum truth)a);
		cr_assert_eq(expr_eval(e, NULL, NULL), not [a], "NOT %u", a);
		expr_free(e);
		for (unsigned b = 0; b < 3; b++) {
			e = expr_new(EXPR_AND, 2);
			set_truth(&e->args[0], (enum truth)a);
			set_truth(&e->args[1], (enum truth)b);
			cr_assert_eq(expr_eval(e, NULL, NULL), and[a][b], "%u AND %u", a, b);
			e->op = EXPR_OR;
			cr_assert_eq(expr_eval(e, NULL, NULL), or [a][b], "%u OR %u", a, b);
			expr_free(e);
		}
	}
}

Test(expr, compares_an_integer_with_each_operator)
{
	static const struct {
		enum expr_op op;
		bool less, equal, greater;
	} rows[] = {
	    {EXPR_EQ, false, true, false}, {EXPR_NE, true, false, true},
	    {EXPR_LT, true, false, false}, {EXPR_LE, true, true, false},
	    {EXPR_GT, false, false, true}, {EXPR_GE, false, true, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct expr *e = compare_int(rows[i].op, 0, 5);
		struct value v = value_int(4);

		cr_assert_eq(expr_eval(e, &v, NULL), (enum truth)rows[i].less, "op %u less",
			     rows[i].op);
		v.i = 5;
		cr_assert_eq(expr_eval(e, &v, NULL), (enum truth)rows[i].equal, "op %u equal",
			     rows[i].op);
		v.i = 6;
		cr_assert_eq(expr_eval(e, &v, NULL), (enum truth)rows[i].greater, "op %u greater",
			     rows[i].op);
		v = (struct value){.kind = VALUE_NULL};
		cr_assert_eq(expr_eval(e, &v, NULL), TRUTH_UNKNOWN, "op %u NULL", rows[i].op);
		expr_free(e);
	}
}

Test(expr, compares_integers_and_numerics_by_value)
{
	struct value row[2] = {value_int(2), value_string(VALUE_DECIMAL, "2.00")};
	struct expr *e = expr_new(EXPR_EQ, 2);

	set_column(&e->args[0], 0);
	set_column(&e->args[1], 1);
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_TRUE);
	row[1] = value_string(VALUE_DECIMAL, "2.01");
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_FALSE);
	expr_free(e);

	e = expr_new(EXPR_GT, 2);
	set_column(&e->args[0], 0);
	set_string(&e->args[1], TYPE_NUMERIC, "1.5");
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_TRUE);
	row[0].i = 1;
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_FALSE);
	expr_free(e);
}

Test(expr, in_knows_null_on_either_side)
{
	struct value row[3] = {0};
	struct expr *e = expr_new(EXPR_IN, 3);

	set_column(&e->args[0], 2);
	set_string(&e->args[1], TYPE_TEXT, "a");
	set_null(&e->args[2], TYPE_TEXT);
	row[2] = value_string(VALUE_TEXT, "a");
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_TRUE);
	row[2] = value_string(VALUE_TEXT, "b");
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_UNKNOWN, "b may equal the NULL");
	row[2] = (struct value){.kind = VALUE_NULL};
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_UNKNOWN);
	expr_fini(&e->args[2]);
	set_string(&e->args[2], TYPE_TEXT, "c");
	row[2] = value_string(VALUE_TEXT, "b");
	cr_assert_eq(expr_eval(e, row, NULL), TRUTH_FALSE);
	expr_free(e);
}

Test(expr, null_tests_and_boolean_columns)
{
	struct value row[4] = {[3] = {.kind = VALUE_NULL}};
	struct expr *is = expr_new(EXPR_IS_NULL, 1), *not = expr_new(EXPR_IS_NOT_NULL, 1);
	struct expr *column = expr_new(EXPR_COLUMN, 0);

	set_column(&is->args[0], 3);
	set_column(&not ->args[0], 3);
	column->column = 3;
	cr_assert_eq(expr_eval(is, row, NULL), TRUTH_TRUE);
	cr_assert_eq(expr_eval(not, row, NULL), TRUTH_FALSE);
	cr_assert_eq(expr_eval(column, row, NULL), TRUTH_UNKNOWN);
	row[3] = value_bool(false);
	cr_assert_eq(expr_eval(is, row, NULL), TRUTH_FALSE);
	cr_assert_eq(expr_eval(not, row, NULL), TRUTH_TRUE);
	cr_assert_eq(expr_eval(column, row, NULL), TRUTH_FALSE);
	row[3] = value_bool(true);
	cr_assert_eq(expr_eval(column, row, NULL), TRUTH_TRUE);
	expr_free(is);
	expr_free(not );
	expr_free(column);
}

/* (i > 5 AND NOT (t IN ('it''s', NULL))) OR "select" IS NULL OR n = 1.50 OR b */
static struct expr *
big_expr(void)
{
	struct expr *e = expr_new(EXPR_OR, 4), *in;

	expr_init(&e->args[0], EXPR_AND, 2);
	expr_init(&e->args[0].args[0], EXPR_GT, 2);
	set_column(&e->args[0].args[0].args[0], 0);
	set_int(&e->args[0].args[0].args[1], TYPE_INTEGER, 5);
	expr_init(&e->args[0].args[1], EXPR_NOT, 1);
	in = &e->args[0].args[1].args[0];
	expr_init(in, EXPR_IN, 3);
	set_column(&in->args[0], 2);
	set_string(&in->args[1], TYPE_TEXT, "it's");
	set_null(&in->args[2], TYPE_TEXT);
	expr_init(&e->args[1], EXPR_IS_NULL, 1);
	set_column(&e->args[1].args[0], 4);
	expr_init(&e->args[2], EXPR_EQ, 2);
	set_column(&e->args[2].args[0], 1);
	set_string(&e->args[2].args[1], TYPE_NUMERIC, "1.50");
	set_column(&e->args[3], 3);
	return e;
}

Test(expr, prints_canonical_sql)
{
	struct expr *e = big_expr();
	char *text = expr_print(e, &table);

	cr_assert_str_eq(text,
			 "(((i > 5) AND (NOT (t IN ('it''s', NULL)))) OR (\"select\" IS NULL) OR "
			 "(n = 1.50) OR b)");
	free(text);
	expr_free(e);
}

Test(expr, packs_and_unpacks)
{
	static uint8_t buf[1024];
	struct expr *e = big_expr(), *back;
	struct pack p;
	struct unpack u;
	char *a, *b;

	pack_init(&p, buf, sizeof(buf));
	expr_pack(e, &p);
	cr_assert(!p.overflow);
	unpack_init(&u, buf, pack_len(&p));
	back = expr_unpack(&u, &table);
	cr_assert_not_null(back);
	cr_assert_eq(u.at, u.end);
	memset(buf, 0xff, sizeof(buf)); /* it owns its text */
	a = expr_print(e, &table);
	b = expr_print(back, &table);
	cr_assert_str_eq(a, b);
	free(a);
	free(b);
	expr_free(e);
	expr_free(back);
}

static struct expr *
pack_again(const struct expr *e)
{
	static uint8_t buf[4096];
	struct pack p;
	struct unpack u;

	pack_init(&p, buf, sizeof(buf));
	expr_pack(e, &p);
	cr_assert(!p.overflow);
	unpack_init(&u, buf, pack_len(&p));
	return expr_unpack(&u, &table);
}

Test(expr, refuses_what_is_not_sound)
{
	struct expr *e = compare_int(EXPR_EQ, 99, 1);

	cr_assert_null(pack_again(e), "a column that the table does not have");
	e->args[0].column = 2;
	cr_assert_null(pack_again(e), "text compared with an integer");
	e->args[0].column = 1;
	expr_free(e);
	e = expr_new(EXPR_COLUMN, 0);
	cr_assert_null(pack_again(e), "an integer as a condition");
	expr_free(e);
	e = expr_new(EXPR_NOT, 2);
	set_column(&e->args[0], 3);
	set_column(&e->args[1], 3);
	cr_assert_null(pack_again(e), "NOT of two");
	expr_free(e);
	e = expr_new(EXPR_AND, 1);
	set_column(&e->args[0], 0);
	cr_assert_null(pack_again(e), "AND of an integer");
	expr_free(e);
}

Test(expr, refuses_a_tree_that_is_too_deep)
{
	for (unsigned depth = EXPR_DEPTH_MAX - 1; depth <= EXPR_DEPTH_MAX; depth++) {
		struct expr *e = expr_new(EXPR_NOT, 1), *at = e, *back;

		for (unsigned i = 1; i < depth; i++) {
			expr_init(&at->args[0], EXPR_NOT, 1);
			at = &at->args[0];
		}
		set_column(&at->args[0], 3);
		back = pack_again(e);
		cr_assert_eq(back == NULL, depth == EXPR_DEPTH_MAX, "depth %u", depth);
		expr_free(back);
		expr_free(e);
	}
}

Test(expr, survives_every_changed_byte)
{
	static uint8_t good[1024], bad[1024];
	struct expr *e = big_expr();
	struct value row[5] = {value_int(1), value_string(VALUE_DECIMAL, "1.5"),
			       value_string(VALUE_TEXT, "x"), value_bool(true), value_int(0)};
	struct scalar_room room;
	struct pack p;
	struct unpack u;

	scalar_room_init(&room, &table);
	pack_init(&p, good, sizeof(good));
	expr_pack(e, &p);
	expr_free(e);
	for (size_t i = 0; i < pack_len(&p); i++)
		for (unsigned b = 0; b < 256; b++) {
			memcpy(bad, good, sizeof(bad));
			bad[i] = (uint8_t)b;
			unpack_init(&u, bad, pack_len(&p));
			e = expr_unpack(&u, &table);
			if (e != NULL)
				free(expr_print(e, &table));
			if (e != NULL)
				expr_eval(e, row, &room);
			expr_free(e);
		}
	for (size_t len = 0; len < pack_len(&p); len++) {
		unpack_init(&u, good, len);
		cr_assert_null(expr_unpack(&u, &table), "cut to %zu bytes", len);
	}
	scalar_room_fini(&room);
}
