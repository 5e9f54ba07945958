/*
 * columns_test.c - results and their columns: which types are refused or warned about at a start,
 * what is proposed, which values stop the pipeline, and what a rebuild takes for different.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

static char *labels[] = {TEXT("sad"), TEXT("it's ok")};
static struct enumeration mood = {
    .name = TEXT("Moods.mood"), .labels = labels, .label_count = LENGTH(labels)};
static struct enumeration *enumerations[] = {&mood};

#define COLUMNS_MAX 32

struct fit {            /* results of a type, and the target's column */
	enum type type; /* TYPE_ARRAY: of texts */
	int precision, scale;
	const char *target, *text; /* what is said; NULL: nothing */
};

static struct column source_columns[COLUMNS_MAX];
static struct output outputs[COLUMNS_MAX];
static char names[COLUMNS_MAX][8];
static struct table source_table = {.name = TEXT("source"),
				    .source = TEXT("public.source"),
				    .topic = TEXT("p.public.source"),
				    .columns = source_columns};
static struct view only_view = {
    .name = TEXT("one"), .outputs = outputs, .plan = TEXT("SELECT c"), .place = {2, 1}};

/* A view of columns c0, c1, ..., and its table, unless a target is NULL. */
static struct pipeline
pipeline_fits(const struct fit *fits, unsigned count)
{
	struct pipeline p = pipeline_totals(1);
	bool table = true;

	harness_sql("DROP TABLE IF EXISTS one; DROP TYPE IF EXISTS half; DROP SCHEMA IF EXISTS"
		    " \"Moods\" CASCADE; CREATE SCHEMA \"Moods\"; CREATE TYPE \"Moods\".mood AS"
		    " ENUM ('it''s ok', 'sad'); CREATE TYPE half AS ENUM ('sad');"
		    " CREATE TABLE one (\"time\" bigint, diff integer)");
	for (unsigned i = 0; i < count; i++) {
		enum type type = fits[i].type;

		snprintf(names[i], sizeof(names[i]), "c%u", i);
		source_columns[i] =
		    (struct column){.name = names[i],
				    .type = type,
				    .element = type == TYPE_ARRAY ? TYPE_TEXT : type,
				    .enumeration = type == TYPE_ENUM ? &mood : NULL,
				    .precision = fits[i].precision,
				    .scale = fits[i].scale};
		outputs[i] = (struct output){.name = names[i],
					     .kind = OUTPUT_GROUP,
					     .column = i,
					     .type = type,
					     .scale = fits[i].scale,
					     .place = {3, 1}};
		table = table && fits[i].target != NULL;
		if (table)
			harness_sql("ALTER TABLE one ADD %s %s", names[i], fits[i].target);
	}
	if (!table)
		harness_sql("DROP TABLE one");
	source_table.column_count = only_view.output_count = count;
	only_view.rebuild = false;
	p.tables = &source_table;
	p.views = &only_view;
	p.enumerations = enumerations;
	p.enumeration_count = 1;
	return p;
}

static struct pipeline
pipeline_one(enum type type, const char *target)
{
	const struct fit fit = {type, -1, -1, target, NULL};

	return pipeline_fits(&fit, 1);
}

/* `check` says of each column what it should, and of the others nothing. */
static void
expect_fits(const struct fit *fits, unsigned count, int code)
{
	struct pipeline p = pipeline_fits(fits, count);
	struct harness h;
	int found;

	harness_open(&h, &p);
	found = harness_check(&h, NULL);
	EXPECT(found == code, "exit %d; see %s", found, h.log);
	for (unsigned i = 0; i < count; i++) {
		char text[200];

		snprintf(text, sizeof(text), "column c%u of public.one is %s", i,
			 fits[i].text != NULL ? fits[i].text : "");
		EXPECT(harness_logged(&h, text) == (fits[i].text != NULL), "%s into %s: %s; see %s",
		       type_name(fits[i].type), fits[i].target, text, h.log);
	}
	harness_close(&h);
}

static void
test_refused_types(void)
{
	static const struct fit fits[] = {
	    {TYPE_ENUM, -1, -1, "integer", "integer, but its results are \"Moods\".mood: ALTER"},
	    {TYPE_TEXT, -1, -1, "half", "half, but its results are text: ALTER"},
	    {TYPE_ARRAY, -1, -1, "text", "text, but its results are text[]: ALTER"},
	    {TYPE_TEXT, -1, -1, "text[]", "text[], but its results are text: ALTER"},
	    {TYPE_ARRAY, -1, -1, "integer[]", "integer[], but its results are text[]: ALTER"},
	    {TYPE_JSONB, -1, -1, "json", "json, but its results are jsonb: ALTER"},
	    {TYPE_DATE, -1, -1, "timestamp", "timestamp without time zone, but its results are"},
	    {TYPE_DOUBLE, -1, -1, "bigint", "bigint, but its results are double precision: ALTER"},
	    {TYPE_CHAR, 3, -1, "bytea", "bytea, but its results are character(3): ALTER"},
	    {TYPE_INET, -1, -1, "cidr", "cidr, but its results are inet: ALTER"},
	};
	struct pipeline p;

	expect_fits(fits, LENGTH(fits), EXIT_CONFIG);
	p = pipeline_one(TYPE_ENUM, "half");
	expect_refusal(&p, EXIT_CONFIG,
		       "half, which has no label 'it''s ok': ALTER TYPE half ADD VALUE 'it''s ok'");
}

static void
test_warnings(void)
{
	static const struct fit fits[] = {
	    {TYPE_DOUBLE, -1, -1, "real",
	     "real, its results are double precision: exact only in 6 digits"},
	    {TYPE_REAL, -1, -1, "real", NULL},
	    {TYPE_REAL, -1, -1, "double precision", NULL},
	    {TYPE_DOUBLE, -1, -1, "numeric", NULL},
	    {TYPE_DOUBLE, -1, -1, "numeric(10,2)",
	     "numeric(10,2), its results are double precision: digits after the point may be"},
	    {TYPE_NUMERIC, 10, 2, "numeric(10,2)", NULL},
	    {TYPE_NUMERIC, 10, 2, "numeric(9,2)",
	     "numeric(9,2), its results are numeric: a larger result stops"},
	    {TYPE_NUMERIC, 10, 3, "numeric(12,2)",
	     "numeric(12,2), its results are numeric: digits after the point may be"},
	    {TYPE_MONEY, -1, -1, "numeric(19,2)", NULL},
	    {TYPE_MONEY, -1, -1, "numeric(18,2)",
	     "numeric(18,2), its results are money: a larger result stops"},
	    {TYPE_MONEY, -1, -1, "money", NULL},
	    {TYPE_SMALLINT, -1, -1, "real", NULL},
	    {TYPE_INTEGER, -1, -1, "smallint",
	     "smallint, its results are integer: a larger result stops"},
	    {TYPE_CHAR, 3, -1, "char(3)", NULL},
	    {TYPE_CHAR, -1, -1, "varchar(1)", NULL},
	    {TYPE_CHAR, 4, -1, "char(3)",
	     "character(3), its results are character(4): a longer text stops"},
	    {TYPE_VARCHAR, 3, -1, "varchar(3)", NULL},
	    {TYPE_VARCHAR, 3, -1, "char(3)",
	     "character(3), its results are character varying: blanks at the end are not kept;"},
	    {TYPE_ENUM, -1, -1, "varchar(7)", NULL},
	    {TYPE_ENUM, -1, -1, "varchar(6)",
	     "character varying(6), its results are \"Moods\".mood: a longer text stops"},
	    {TYPE_UUID, -1, -1, "varchar(36)", NULL},
	    {TYPE_UUID, -1, -1, "varchar(35)",
	     "character varying(35), its results are uuid: a longer text stops"},
	    {TYPE_TIME, 2, -1, "time(2)", NULL},
	    {TYPE_TIME, -1, -1, "time(2)",
	     "time(2) without time zone, its results are time without time zone: fractions"},
	    {TYPE_INTERVAL, -1, -1, "interval(6)", NULL},
	    {TYPE_INTERVAL, -1, -1, "interval day to second",
	     "interval day to second, its results are interval: parts of it are cut off"},
	};

	expect_fits(fits, LENGTH(fits), EXIT_OK);
}

/* A type that is there already is not made once more. */
static void
test_proposal(void)
{
	struct pipeline p = pipeline_one(TYPE_ENUM, NULL);
	struct harness h;
	const char *said;

	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_CONFIG, "no table; see %s", h.log);
	EXPECT(!harness_logged(&h, "CREATE TYPE"), "the type is there; see %s", h.log);
	harness_sql("DROP TYPE \"Moods\".mood");
	EXPECT(harness_check(&h, NULL) == EXIT_CONFIG, "no table; see %s", h.log);
	EXPECT(harness_logged(&h, "CREATE TYPE \"Moods\".mood AS ENUM ('sad', 'it''s ok');"
				  " CREATE TABLE one (c0 \"Moods\".mood, "),
	       "both; see %s", h.log);
	harness_sql("\\! sed -n 's/.*\\(CREATE TYPE.*\\)/\\1;/p' %s > %s.sql", h.log, h.log);
	said = harness_sql("\\i %s.sql", h.log);
	EXPECT(*said == '\0', "psql takes it: %s", said);
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "and it fits; see %s", h.log);
	harness_close(&h);
}

static void
test_values(void)
{
	static const struct {
		enum type type;
		const char *target;
		struct value value;
		const char *text;
	} cases[] = {
	    {TYPE_NUMERIC,
	     "numeric(10,2)",
	     {.kind = VALUE_DECIMAL, .len = 8, .s = "Infinity"},
	     "numeric holds Infinity only without a precision"},
	    {TYPE_NUMERIC,
	     "bigint",
	     {.kind = VALUE_DECIMAL, .len = 3, .s = "NaN"},
	     "NaN is out of range of column c0 of public.one, bigint:"},
	    {TYPE_DOUBLE,
	     "real",
	     {.kind = VALUE_FLOAT, .d = 1e300},
	     "1e+300 is out of range of column c0 of public.one, real:"},
	    {TYPE_DATE,
	     "date",
	     {.kind = VALUE_INT, .i = INT32_MAX},
	     "PostgreSQL has no date that is"},
	    {TYPE_ENUM, "varchar(6)", {.kind = VALUE_INT, .i = 1}, "is longer than column c0"},
	    {TYPE_ARRAY,
	     "varchar(2)[]",
	     {.kind = VALUE_ARRAY, .len = 5, .s = "\x91\xa3xyz"},
	     "character varying(2)[], takes:"},
	};

	for (unsigned i = 0; i < LENGTH(cases); i++) {
		struct pipeline p = pipeline_one(cases[i].type, cases[i].target);
		struct harness h;

		open_ready(&h, &p);
		EXPECT(harness_row(&h, 0, 1, &cases[i].value, 1), "row");
		harness_end_batch(&h);
		EXPECT(harness_exit(&h, 5000) == EXIT_DATA, "%s; see %s", cases[i].text, h.log);
		EXPECT(harness_logged(&h, cases[i].text), "%s; see %s", cases[i].text, h.log);
		EXPECT(strcmp(harness_sql("SELECT count(*) FROM one"), "0") == 0, "no row");
		harness_close(&h);
	}
}

/* Equal is not the same: what is rebuilt looks as it should. */
static void
test_looks(void)
{
	static const struct {
		enum type type;
		const char *target, *wrong, *right;
	} cases[] = {
	    {TYPE_INTERVAL, "interval", "30 days", "1 mon"},
	    {TYPE_NUMERIC, "numeric", "1.0", "1.00"},
	    {TYPE_DOUBLE, "double precision", "0", "-0"},
	    {TYPE_REAL, "real", "-0", "0"},
	    {TYPE_JSONB, "jsonb", "[1.0]", "[1]"},
	    {TYPE_ENUM, "\"Moods\".mood", "sad", "it''s ok"},
	};

	for (unsigned i = 0; i < LENGTH(cases); i++) {
		struct pipeline p = pipeline_one(cases[i].type, cases[i].target);
		char room[64], right[16];
		const char *found;
		struct harness h;
		struct value v;

		snprintf(right, sizeof(right), "%s",
			 cases[i].type == TYPE_ENUM ? "it's ok" : cases[i].right);
		EXPECT(
		    column_parse(&source_columns[0], right, strlen(right), room, sizeof(room), &v),
		    "%s", right);
		open_ready(&h, &p);
		EXPECT(harness_view(&h, 0, VIEW_FILL, 0) && harness_row(&h, 0, 1, &v, 1), "fill");
		harness_end_batch(&h);
		expect_durable(&h, 1);
		harness_sql("UPDATE one SET c0 = '%s'", cases[i].wrong);
		only_view.rebuild = true;
		start_ready(&h, true);
		EXPECT(harness_view(&h, 0, VIEW_REBUILD, 0) && harness_row(&h, 0, 1, &v, 1), "row");
		harness_end_batch(&h);
		expect_durable(&h, 2);
		EXPECT(harness_logged(&h, "2 rows written"), "%s; see %s", right, h.log);
		found = harness_sql("SELECT c0, sum(diff) FROM (SELECT c0::text, diff FROM one) x"
				    " GROUP BY 1 HAVING sum(diff) <> 0");
		EXPECT(strncmp(found, right, strlen(right)) == 0 &&
			   strcmp(found + strlen(right), "|1") == 0,
		       "%s: %s", right, found);
		harness_close(&h);
	}
}

void
test_columns(void)
{
	test_refused_types();
	test_warnings();
	test_proposal();
	test_values();
	test_looks();
}
