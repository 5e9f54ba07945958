/*
 * test_scalar.c - values computed from a row: PostgreSQL's own answers, from the text of a pipeline file on,
 * and what the pipeline's bytes may do to them.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/expr.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/scalar.h"
#include "reduce/group.h"
#include "supervisor/parse.h"
#include "tests/unit/answers.h"

#define VALUE_ROOM 2048

/* A pipeline with one table and `select` over it; NULL when it is refused. */
static struct pipeline *
parse_select(const char *columns, const char *select)
{
	struct source source = {.path = xstrdup("test.sql")};
	char *errors = NULL;
	size_t len;
	FILE *out = open_memstream(&errors, &len);

	source.text =
	    xasprintf("SET pipeline = 'test'; CREATE SERVER one FOREIGN DATA WRAPPER debezium "
		      "OPTIONS (\"bootstrap.servers\" 'a:1'); CREATE SERVER target FOREIGN "
		      "DATA WRAPPER postgres; CREATE FOREIGN TABLE t (%s) SERVER one OPTIONS "
		      "(topic 'p.public.t'); CREATE MATERIALIZED VIEW v AS SELECT %s;",
		      columns, select);
	source.len = strlen(source.text);
	struct pipeline *p = parse_pipeline(&source, out);
	fclose(out);
	free(errors);
	source_free(&source);
	return p;
}

/* The packed copy that a stage works with. */
static struct pipeline *
through_bytes(struct pipeline *p)
{
	static uint8_t bytes[65536];
	struct pack pack;
	struct unpack unpack;

	pack_init(&pack, bytes, sizeof(bytes));
	pipeline_pack(p, SECTION_REDUCE, 0, &pack);
	cr_assert_not(pack.overflow);
	unpack_init(&unpack, bytes, pack_len(&pack));
	struct pipeline *copy = pipeline_unpack(&unpack);
	cr_assert_not_null(copy);
	char *one = pipeline_print(p), *two = pipeline_print(copy);
	cr_assert_str_eq(strstr(one, "\nCREATE MAT"), strstr(two, "\nCREATE MAT"));
	free(one);
	free(two);
	pipeline_free(p);
	return copy;
}

static void
read_value(const struct column *column, const char *text, char *buf, struct value *v)
{
	*v = (struct value){.kind = VALUE_NULL};
	if (strcmp(text, "NULL") != 0)
		cr_assert(column_parse(column, text, strlen(text), buf, VALUE_ROOM, v), "%s", text);
}

static void
check_result(const struct column *column, const struct value *v, char **field)
{
	char text[VALUE_ROOM], *got;

	if (v->kind == VALUE_NULL)
		(void)snprintf(text, sizeof(text), "NULL");
	else if (v->kind == VALUE_BOOL)
		(void)snprintf(text, sizeof(text), "%s", v->i != 0 ? "true" : "false");
	else
		cr_assert_lt(column_print(column, v, text, sizeof(text)), sizeof(text));
	got = xasprintf("%s %s", type_name(column->type), text);
	cr_assert_str_eq(got, field[3], "%s of (%s) (%s): %s, not %s", field[2], field[0], field[1],
			 got, field[3]);
	free(got);
}

static unsigned failures;

static void
evaluate(const struct pipeline *p, char **field)
{
	const struct table *table = &p->tables[0];
	const struct view *view = &p->views[0];
	const struct column *column = view_column(view, table, view->outputs[0].column);
	char values[1024], *rest = values, buf[2][VALUE_ROOM];
	struct scalar_room room;
	struct value row[2] = {{.kind = VALUE_NULL}}, v;
	bool good = true;

	(void)snprintf(values, sizeof(values), "%s", field[1]);
	for (unsigned i = 0; i < table->column_count; i++)
		read_value(&table->columns[i], strsep(&rest, "|"), buf[i], &row[i]);
	scalar_room_init(&room, table);
	if (view->computed_count > 0)
		good = scalar_eval(view->computed[0].expr, row, &room, &v);
	else
		v = row[view->outputs[0].column];
	cr_assert_eq(good, field[3][0] != '!', "%s of (%s) (%s) is %s, not %s", field[2], field[0],
		     field[1], good ? "a value" : room.problem, field[3]);
	if (good)
		check_result(column, &v, field);
	else if (strcmp(field[3], "! 22012") == 0)
		cr_assert_str_eq(room.problem, "division by zero");
	failures += !good;
	scalar_room_fini(&room);
}

static void
check_answer(char **field)
{
	char *comma = strchr(field[0], ','), *columns, *select;

	columns = comma == NULL
		      ? xasprintf("x %s", field[0])
		      : xasprintf("x %.*s, y %s", (int)(comma - field[0]), field[0], comma + 1);
	select = xasprintf("count(%s) FROM t", field[2]);
	struct pipeline *p = parse_select(columns, select);
	/* There is no such operator, which is known before any row comes. */
	bool defined = strcmp(field[3], "! 42883") != 0;
	cr_assert_eq(p != NULL, defined, "%s of (%s) is %s", field[2], field[0],
		     p != NULL ? "accepted" : "refused");
	if (p != NULL) {
		p = through_bytes(p);
		evaluate(p, field);
	}
	pipeline_free(p);
	free(columns);
	free(select);
}

Test(scalar, computes_as_postgresql)
{
	failures = 0;
	cr_assert_eq(answers_each("scalar.tsv", 4, check_answer), 4186);
	cr_assert_gt(failures, 500);
}

/* --- what PostgreSQL's limits are not --- */

static const char *
problem_of(const char *columns, const char *expression, const struct value *row)
{
	static char problem[160];
	char *select = xasprintf("count(%s) FROM t", expression);
	struct pipeline *p = parse_select(columns, select);
	struct scalar_room room;
	struct value v;

	cr_assert_not_null(p, "%s", select);
	scalar_room_init(&room, &p->tables[0]);
	bool good = scalar_eval(p->views[0].computed[0].expr, row, &room, &v);
	(void)snprintf(problem, sizeof(problem), "%s", good ? "none" : room.problem);
	scalar_room_fini(&room);
	pipeline_free(p);
	free(select);
	return problem;
}

Test(scalar, says_what_is_wrong)
{
	static char nines[600], long_text[200];
	struct value row[2] = {{.kind = VALUE_DECIMAL, .len = sizeof(nines), .s = nines},
			       {.kind = VALUE_TEXT, .len = sizeof(long_text), .s = long_text}};

	memset(nines, '9', sizeof(nines));
	memset(long_text, 'x', sizeof(long_text));
	memcpy(long_text + 58, "\xe2\x82\xac", 3);
	cr_assert_str_eq(problem_of("x numeric, y text", "x * x", row),
			 "numeric result has more than 1000 digits");
	cr_assert_str_eq(problem_of("x numeric, y text", "x / 1e-500", row),
			 "numeric result has more than 1000 digits");
	cr_assert_str_eq(problem_of("x numeric, y text", "x::double precision", row),
			 "double precision out of range");
	cr_assert_str_eq(problem_of("x numeric, y text", "x::numeric(10,2)", row),
			 "numeric field overflow");
	cr_assert_str_eq(problem_of("x numeric, y text", "x::integer", row),
			 "integer out of range");
	cr_assert_str_eq(problem_of("x numeric, y text", "x + y::integer", row),
			 "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is no "
			 "value of type integer");
	cr_assert_str_eq(problem_of("x numeric, y text", "x - x", row), "none");
}

/* --- a view --- */

static unsigned
selected(struct groups *groups, int64_t a, int64_t b, const char *expected)
{
	struct value row[2] = {{.kind = VALUE_INT, .i = a}, {.kind = VALUE_INT, .i = b}};
	char error[160] = "";
	const struct value *computed = groups_compute(groups, row, error, sizeof(error));

	cr_assert_str_eq(error, expected);
	cr_assert_eq(computed == NULL, expected[0] != '\0');
	if (computed != NULL)
		groups_apply(groups, computed, 1);
	return (unsigned)groups_count(groups);
}

Test(scalar, where_is_evaluated_first_and_from_left_to_right)
{
	struct pipeline *p = parse_select(
	    "a integer, b integer", "sum(a / b) FROM t WHERE b <> 0 OR a > 10 GROUP BY a / b");
	struct groups *groups = groups_new(&p->views[0], &p->tables[0]);

	cr_assert_eq(selected(groups, 7, 0, ""), 0, "WHERE excludes it");
	cr_assert_eq(selected(groups, 7, 2, ""), 1);
	cr_assert_eq(selected(groups, 6, 2, ""), 1, "the same quotient");
	cr_assert_eq(selected(groups, 11, 0, "division by zero"), 1);
	cr_assert_eq(selected(groups, 8, 2, ""), 2);
	groups_free(groups);
	pipeline_free(p);
	p = parse_select("a integer, b integer",
			 "count(*) FROM t WHERE b = 0 OR a / b > 1 OR a * 1000000 > 1 GROUP BY a");
	groups = groups_new(&p->views[0], &p->tables[0]);
	cr_assert_eq(selected(groups, 5, 0, ""), 1, "known before the division");
	cr_assert_eq(selected(groups, 1, 2, ""), 2);
	cr_assert_eq(selected(groups, 2147, 2147, ""), 3);
	cr_assert_eq(selected(groups, 2148, 2148, "integer out of range"), 3);
	groups_free(groups);
	pipeline_free(p);
}

Test(scalar, survives_every_changed_byte)
{
	static uint8_t good[2048], bad[2048];
	struct pipeline *p = parse_select(
	    "x numeric, y text", "count(abs(- coalesce(nullif(x, 5), x / 3, y::numeric(9,2))"
				 " % 7 + 2 * 1.5)) FROM t");
	const struct table *table = &p->tables[0];
	struct value row[2] = {{.kind = VALUE_DECIMAL, .len = 3, .s = "1.5"},
			       {.kind = VALUE_TEXT, .len = 2, .s = "12"}};
	struct scalar_room room;
	struct pack pack;
	struct unpack unpack;
	struct value v;

	pack_init(&pack, good, sizeof(good));
	expr_pack(p->views[0].computed[0].expr, &pack);
	scalar_room_init(&room, table);
	for (size_t i = 0; i < pack_len(&pack); i++)
		for (unsigned b = 0; b < 256; b++) {
			memcpy(bad, good, sizeof(bad));
			bad[i] = (uint8_t)b;
			unpack_init(&unpack, bad, pack_len(&pack));
			struct expr *e = expr_unpack_value(&unpack, table);
			if (e == NULL)
				continue;
			free(expr_print(e, table));
			scalar_room_reset(&room);
			(void)scalar_eval(e, row, &room, &v);
			expr_free(e);
		}
	for (size_t len = 0; len < pack_len(&pack); len++) {
		unpack_init(&unpack, good, len);
		cr_assert_null(expr_unpack_value(&unpack, table));
	}
	scalar_room_fini(&room);
	pipeline_free(p);
}
