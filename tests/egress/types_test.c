/*
 * types_test.c - values of every type into columns of every type that takes them, by both ways:
 * each must be what PostgreSQL's own cast makes of the value's text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

static const struct {
	const char *column; /* its type in the target */
	enum type type;
} every_type[] = {
    {"smallint", TYPE_INTEGER},
    {"integer", TYPE_INTEGER},
    {"bigint", TYPE_BIGINT},
    {"real", TYPE_BIGINT},
    {"double precision", TYPE_BIGINT},
    {"numeric", TYPE_BIGINT},
    {"numeric", TYPE_NUMERIC},
    {"numeric(30,3)", TYPE_NUMERIC},
    {"real", TYPE_NUMERIC},
    {"double precision", TYPE_NUMERIC},
    {"bigint", TYPE_NUMERIC},
    {"text", TYPE_TEXT},
    {"varchar(9)", TYPE_TEXT},
    {"boolean", TYPE_BOOLEAN},
    {"timestamp", TYPE_TIMESTAMP},
    {"timestamptz", TYPE_TIMESTAMPTZ},
    {"timestamp(3)", TYPE_TIMESTAMP},
};
#define EVERY LENGTH(every_type)

/* Integers, decimals and texts that have been trouble to somebody. */
static const char *const decimals[] = {"0",
				       "0.0",
				       "0.000",
				       "1",
				       "-1",
				       "12.30",
				       "-0.5",
				       "0.5",
				       "1.5",
				       "2.5",
				       "-2.5",
				       "10000",
				       "9999",
				       "99999999",
				       "0.0001",
				       "0.00001",
				       "123456789012345.678901",
				       "-98765432109876.54321",
				       "1000000000000",
				       "16777217",
				       "9007199254740993",
				       "0.1",
				       "100.00",
				       "3.14159265358979323846",
				       "9223372036854775",
				       "-40000000.00004"};
static const char *const texts[] = {"",           "a",         "{}",        "NULL",
				    "\\N",        "a,b",       "\"x\"",     "\xc3\xa4\xe2\x82\xac",
				    "tab\tnew\n", "nine char", "blank    ", "'"};
static const int64_t integers[] = {0, 1, -1, 32767, -32768, 99, -9999, 10000};
static const int64_t bigs[] = {0,         1,         -1,
			       INT64_MAX, INT64_MIN, INT64_C(9007199254740993),
			       16777217,  -16777217, INT64_C(10000000000000000),
			       99999999};
static const int64_t times[] = {0,
				INT64_MAX,
				INT64_MIN,
				INT64_C(946684800000000),
				-1,
				INT64_C(1795000000123456),
				INT64_C(-62135596800000001),
				INT64_C(1795000000123500)};

static struct value
every_value(unsigned column, unsigned n)
{
	enum type type = every_type[column].type;
	struct value v = {.kind = VALUE_NULL};

	if ((n + column) % 17 == 0)
		return v;
	switch (type) {
	case TYPE_INTEGER:
		return (struct value){.kind = VALUE_INT, .i = integers[n % LENGTH(integers)]};
	case TYPE_BIGINT:
		return (struct value){.kind = VALUE_INT, .i = bigs[n % LENGTH(bigs)]};
	case TYPE_NUMERIC:
		v.s = decimals[n % LENGTH(decimals)];
		v.kind = VALUE_DECIMAL;
		break;
	case TYPE_TEXT:
		v.s = texts[n % LENGTH(texts)];
		v.kind = VALUE_TEXT;
		break;
	case TYPE_BOOLEAN:
		return (struct value){.kind = VALUE_BOOL, .i = n % 2};
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return (struct value){.kind = VALUE_INT, .i = times[n % LENGTH(times)]};
	}
	v.len = (uint32_t)strlen(v.s);
	return v;
}

/* What PostgreSQL itself makes of the text of the value, cast from the result's type. */
static void
print_every_literal(FILE *f, unsigned column, unsigned n)
{
	struct value v = every_value(column, n);
	char text[128], *quoted = NULL;
	size_t size;

	if (v.kind == VALUE_NULL) {
		fprintf(f, "NULL");
		return;
	}
	value_print(every_type[column].type, &v, text, sizeof(text));
	FILE *q = open_memstream(&quoted, &size);
	for (const char *s = text; *s != '\0'; s++)
		fprintf(q, *s == '\'' ? "''" : "%c", *s);
	fclose(q);
	fprintf(f, "('%s'::%s)::%s", quoted, type_name(every_type[column].type),
		every_type[column].column);
	free(quoted);
}

/* Rows 1..n in the table `expected`, and its twin `every` empty. */
static void
create_every(unsigned rows)
{
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	fprintf(f, "DROP TABLE IF EXISTS every, expected; CREATE TABLE expected (");
	for (unsigned c = 0; c < EVERY; c++)
		fprintf(f, "c%u %s, ", c, every_type[c].column);
	fprintf(f, "diff integer); CREATE TABLE every (LIKE expected, \"time\" bigint);\n");
	for (unsigned n = 1; n <= rows; n++) {
		fprintf(f, "INSERT INTO expected VALUES (");
		for (unsigned c = 0; c < EVERY; c++) {
			print_every_literal(f, c, n);
			fprintf(f, ", ");
		}
		fprintf(f, "%d);\n", n % 2 == 0 ? 1 : -1);
	}
	fclose(f);
	const char *answer = harness_sql("%s", sql);
	EXPECT(answer[0] == '\0', "expected rows: %s", answer);
	free(sql);
}

static void
feed_every(struct harness *h, unsigned rows, unsigned times_over)
{
	struct value v[EVERY];

	for (unsigned i = 0; i < times_over; i++) {
		for (unsigned n = 1; n <= rows; n++) {
			for (unsigned c = 0; c < EVERY; c++)
				v[c] = every_value(c, n);
			EXPECT(harness_row(h, 0, n % 2 == 0 ? 1 : -1, v, EVERY), "row");
		}
	}
	harness_end_batch(h);
}

void
test_types(void)
{
	enum { ROWS = 100 };
	struct output outputs[EVERY];
	char column_names[EVERY][8];
	struct view view = {.name = TEXT("every"),
			    .outputs = outputs,
			    .output_count = EVERY,
			    .plan = TEXT("every")};
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	const char *found;

	for (unsigned c = 0; c < EVERY; c++) {
		snprintf(column_names[c], sizeof(column_names[c]), "c%u", c);
		outputs[c] = (struct output){.name = column_names[c],
					     .kind = OUTPUT_MAX,
					     .type = every_type[c].type,
					     .scale = -1};
	}
	create_every(ROWS);
	p.views = &view;
	p.ring_bytes = 256 * 1024;
	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "ready; see %s", h.log);
	feed_every(&h, ROWS, 1);
	EXPECT(harness_durable(&h, 1, 5000), "one statement; see %s", h.log);
	EXPECT(board_counter(&h.board->stage[1], COUNTER_COPIES) == 0, "no COPY yet");
	feed_every(&h, ROWS, 6);
	EXPECT(harness_durable(&h, 2, 5000), "COPY; see %s", h.log);
	EXPECT(board_counter(&h.board->stage[1], COUNTER_COPIES) == 1, "then COPY");
	for (unsigned c = 0; c < EVERY; c++) {
		found = harness_sql(
		    "SELECT string_agg(w, ' ') FROM (SELECT coalesce(s.v, 'NULL') || '/' || s.n AS "
		    "w"
		    " FROM (SELECT c%u::text AS v, diff, count(*) AS n FROM every GROUP BY 1, 2) "
		    "AS s"
		    " FULL JOIN (SELECT c%u::text AS v, diff, 7 * count(*) AS n FROM expected"
		    " GROUP BY 1, 2) AS e ON s.v IS NOT DISTINCT FROM e.v AND s.diff = e.diff"
		    " AND s.n = e.n WHERE s.n IS NULL OR e.n IS NULL) AS x",
		    c, c);
		EXPECT(found[0] == '\0', "%s into %s: %s", type_name(every_type[c].type),
		       every_type[c].column, found);
	}
	found = harness_sql(
	    "WITH t AS (SELECT row_to_json(e)::jsonb - 'time' AS r, \"time\" = (SELECT"
	    " min(\"time\") FROM every) AS a FROM every e) SELECT count(*) FROM (SELECT r FROM t"
	    " GROUP BY r HAVING count(*) FILTER (WHERE a) * 6 <> count(*) FILTER (WHERE NOT a)) x");
	EXPECT(strcmp(found, "0") == 0, "the two ways differ in %s rows", found);
	harness_close(&h);
}

/* One table by two names; with schema tallyd and without it. */
void
test_same_table(void)
{
	struct pipeline p = pipeline_totals(2);
	struct view views[2];

	memcpy(views, p.views, sizeof(views));
	views[0].existing = views[1].existing = EXISTING_ADOPT;
	views[1].name = views[0].name;
	views[1].schema = TEXT("public");
	p.views = views;
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			harness_sql("DROP SCHEMA IF EXISTS tallyd CASCADE");
		expect_refusal(&p, EXIT_CONFIG,
			       "views totals and public.totals both write into public.totals");
	}
	struct harness h;
	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_CONFIG && harness_logged(&h, "error\t5\t1\tviews"),
	       "at the second one's place; see %s", h.log);
	harness_close(&h);
}
