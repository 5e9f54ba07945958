/*
 * types_test.c - values of every type into columns of every type that takes them, by both ways:
 * each must be what PostgreSQL makes of the same literal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

#define VALUE_ROOM  512
#define COLUMNS_MAX 80
#define HUGE_DIGITS                                                                                \
	"99999999999999999999999999999999999999999999999999999999999999999999999999999999.0000001"

/* Literals that have been trouble to somebody; NULL ends a list. */
static const char *const smalls[] = {"0",  "1",     "-1",    "32767", "-32768",
				     "99", "-9999", "10000", NULL};
static const char *const integers[] = {"0",  "1",     "-1",         "32767",       "-32768",
				       "99", "-9999", "2147483647", "-2147483648", NULL};
static const char *const bigs[] = {"0",
				   "1",
				   "-1",
				   "9223372036854775807",
				   "-9223372036854775808",
				   "9007199254740993",
				   "16777217",
				   "-16777217",
				   "10000000000000000",
				   "99999999",
				   NULL};
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
				       "-40000000.00004",
				       NULL};
static const char *const specials[] = {"NaN", "0", "-1.50", "12345.6789", NULL};
static const char *const wide[] = {"Infinity",  "-Infinity",      "NaN",
				   HUGE_DIGITS, "-0.00000000012", NULL};
static const char *const reals[] = {"0",     "-0",           "1.5", "0.1",      "-3.4028235e+38",
				    "1e-37", "16777216",     "NaN", "Infinity", "-Infinity",
				    "1e20",  "-0.000123456", NULL};
static const char *const doubles[] = {"0",
				      "-0",
				      "1.5",
				      "0.1",
				      "0.30000000000000004",
				      "-1.7976931348623157e+308",
				      "2.2250738585072014e-308",
				      "9007199254740993",
				      "NaN",
				      "Infinity",
				      "-Infinity",
				      "1e-7",
				      NULL};
static const char *const narrow_doubles[] = {"0.1",       "-0",       "1e38", "NaN",
					     "-Infinity", "16777217", NULL};
static const char *const moneys[] = {
    "0.00", "-0.01", "12.30", "92233720368547758.07", "-92233720368547758.07", NULL};
static const char *const texts[] = {
    "",           "a",         "{}",        "NULL", "\\N", "a,b", "\"x\"", "\xc3\xa4\xe2\x82\xac",
    "tab\tnew\n", "nine char", "blank    ", "'",    NULL};
static const char *const bytes[] = {"\\x", "\\x00", "\\x00ff5c27", "\\xdeadbeef", NULL};
static const char *const uuids[] = {"00000000-0000-0000-0000-000000000000",
				    "ffffffff-ffff-ffff-ffff-ffffffffffff",
				    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL};
static const char *const bools[] = {"t", "f", NULL};
static const char *const dates[] = {
    "1970-01-01",   "2000-01-01", "1999-12-31", "0001-12-31 BC", "4713-11-24 BC",
    "294277-12-31", "infinity",   "-infinity",  "2024-02-29",    NULL};
static const char *const times[] = {"00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.785",
				    NULL};
static const char *const stamps[] = {"1970-01-01 00:00:00",
				     "2000-01-01 00:00:00",
				     "infinity",
				     "-infinity",
				     "1969-12-31 23:59:59.999999",
				     "2026-11-18 10:26:40.123456",
				     "2026-11-18 10:26:40.1235",
				     "0001-12-31 23:59:59.999999 BC",
				     "4713-11-24 00:00:00 BC",
				     "294246-12-31 23:59:59.999999",
				     NULL};
static const char *const zoned[] = {"1970-01-01 00:00:00+00",
				    "infinity",
				    "-infinity",
				    "2026-11-18 10:26:40.123456+02",
				    "4713-11-24 00:00:00+00 BC",
				    "294246-12-31 23:59:59.999999+00",
				    NULL};
static const char *const intervals[] = {"00:00:00",
					"1 mon",
					"30 days",
					"720:00:00",
					"-1 years -2 mons +3 days -04:05:06.789012",
					"178000000 years",
					"-178000000 years",
					"2147483647 days",
					"-2147483648 days",
					"00:00:00.000001",
					NULL};
static const char *const documents[] = {"{}",
					"[]",
					"null",
					"\"a\"",
					"1.5",
					"{\"a\": [1, null, \"\\u00e4\\n\"]}",
					"{\"b\": {\"a\": true}, \"aa\": -0.25}",
					NULL};
static const char *const addresses[] = {
    "0.0.0.0", "10.0.0.1/8",     "255.255.255.255", "192.168.1.0/24",
    "::",      "2001:db8::1/64", "::ffff:1.2.3.4",  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    NULL};
static const char *const labels[] = {"sad", "it's ok", "\xc3\xa4rgerlich", NULL};

/* Elements are separated by '|', '~' is NULL, and "!" is the array without elements. */
static const char *const integer_lists[] = {"!", "1", "1|2|3", "~", "~|-2147483648|~|2147483647",
					    NULL};
static const char *const decimal_lists[] = {"!", "1", "-0.5|~|12345.67", "NaN|0", NULL};
static const char *const text_lists[] = {
    "!", "", "|", "a|b", "NULL|~|null", "\"|\\|{a,b}| x |'|,", "\xc3\xa4\xe2\x82\xac|tab\tnew\n",
    NULL};
static const char *const short_lists[] = {"!", "abc|~|abc  ", "x", NULL};
static const char *const byte_lists[] = {"!", "\\x00ff5c|~|\\x", NULL};
static const char *const date_lists[] = {"!", "infinity|~|4713-11-24 BC|294277-12-31", NULL};
static const char *const stamp_lists[] = {"2026-11-18 10:26:40.123456|~|infinity", NULL};
static const char *const float_lists[] = {"!", "NaN|~|-Infinity|0.1|1e300", NULL};
static const char *const interval_lists[] = {"-1 days|~|00:00:01.5", NULL};
static const char *const document_lists[] = {"{\"a\": [1, \"x,y\"]}|~|[]", NULL};
static const char *const address_lists[] = {"!", "10.0.0.0/8|~|::1", NULL};
static const char *const uuid_lists[] = {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|~", NULL};
static const char *const bool_lists[] = {"t|~|f", NULL};
static const char *const label_lists[] = {"!", "sad|~|it's ok", NULL};

struct pair { /* values of a source type in a column of the target */
	const char *column;
	enum type type;     /* of the source; of an array's elements */
	const char *source; /* its name in SQL, where it is not type_name() */
	const char *const *literals;
	int precision;
	const char *by; /* a type that the cast goes by */
};

static const struct pair scalars[] = {
    {"smallint", TYPE_SMALLINT, NULL, smalls, -1, NULL},
    {"integer", TYPE_SMALLINT, NULL, smalls, -1, NULL},
    {"real", TYPE_SMALLINT, NULL, smalls, -1, NULL},
    {"numeric", TYPE_SMALLINT, NULL, smalls, -1, NULL},
    {"smallint", TYPE_INTEGER, NULL, smalls, -1, NULL},
    {"integer", TYPE_INTEGER, NULL, integers, -1, NULL},
    {"bigint", TYPE_BIGINT, NULL, bigs, -1, NULL},
    {"real", TYPE_BIGINT, NULL, bigs, -1, NULL},
    {"double precision", TYPE_BIGINT, NULL, bigs, -1, NULL},
    {"numeric", TYPE_BIGINT, NULL, bigs, -1, NULL},
    {"numeric", TYPE_NUMERIC, NULL, decimals, -1, NULL},
    {"numeric", TYPE_NUMERIC, NULL, wide, -1, NULL},
    {"numeric(30,3)", TYPE_NUMERIC, NULL, decimals, -1, NULL},
    {"numeric(30,3)", TYPE_NUMERIC, NULL, specials, -1, NULL},
    {"amount", TYPE_NUMERIC, NULL, specials, -1, NULL},
    {"real", TYPE_NUMERIC, NULL, decimals, -1, NULL},
    {"real", TYPE_NUMERIC, NULL, specials, -1, NULL},
    {"double precision", TYPE_NUMERIC, NULL, decimals, -1, NULL},
    {"double precision", TYPE_NUMERIC, NULL, wide, -1, NULL},
    {"bigint", TYPE_NUMERIC, NULL, decimals, -1, NULL},
    {"real", TYPE_REAL, NULL, reals, -1, NULL},
    {"double precision", TYPE_REAL, NULL, reals, -1, NULL},
    {"numeric", TYPE_REAL, NULL, reals, -1, "text"},
    {"double precision", TYPE_DOUBLE, NULL, doubles, -1, NULL},
    {"real", TYPE_DOUBLE, NULL, narrow_doubles, -1, NULL},
    {"numeric", TYPE_DOUBLE, NULL, doubles, -1, "text"},
    {"money", TYPE_MONEY, NULL, moneys, -1, NULL},
    {"numeric", TYPE_MONEY, NULL, moneys, -1, NULL},
    {"text", TYPE_TEXT, NULL, texts, -1, NULL},
    {"varchar(9)", TYPE_TEXT, NULL, texts, -1, NULL},
    {"char(9)", TYPE_TEXT, NULL, texts, -1, NULL},
    {"varchar", TYPE_VARCHAR, NULL, texts, -1, NULL},
    {"char(12)", TYPE_VARCHAR, NULL, texts, -1, NULL},
    {"char(10)", TYPE_CHAR, "char(10)", texts, 10, NULL},
    {"text", TYPE_CHAR, "char(10)", texts, 10, NULL},
    {"varchar(9)", TYPE_CHAR, "char(10)", texts, 10, NULL},
    {"bytea", TYPE_BYTEA, NULL, bytes, -1, NULL},
    {"uuid", TYPE_UUID, NULL, uuids, -1, NULL},
    {"text", TYPE_UUID, NULL, uuids, -1, NULL},
    {"varchar(36)", TYPE_UUID, NULL, uuids, -1, NULL},
    {"boolean", TYPE_BOOLEAN, NULL, bools, -1, NULL},
    {"date", TYPE_DATE, NULL, dates, -1, NULL},
    {"time", TYPE_TIME, NULL, times, -1, NULL},
    {"time(2)", TYPE_TIME, NULL, times, -1, NULL},
    {"timestamp", TYPE_TIMESTAMP, NULL, stamps, -1, NULL},
    {"timestamp(3)", TYPE_TIMESTAMP, NULL, stamps, -1, NULL},
    {"timestamptz", TYPE_TIMESTAMPTZ, NULL, zoned, -1, NULL},
    {"interval", TYPE_INTERVAL, NULL, intervals, -1, NULL},
    {"interval(2)", TYPE_INTERVAL, NULL, intervals, -1, NULL},
    {"interval year to month", TYPE_INTERVAL, NULL, intervals, -1, NULL},
    {"jsonb", TYPE_JSONB, NULL, documents, -1, NULL},
    {"text", TYPE_JSONB, NULL, documents, -1, NULL},
    {"inet", TYPE_INET, NULL, addresses, -1, NULL},
    {"\"Moods\".mood", TYPE_ENUM, "\"Moods\".mood", labels, -1, NULL},
    {"humour", TYPE_ENUM, "\"Moods\".mood", labels, -1, NULL},
    {"text", TYPE_ENUM, "\"Moods\".mood", labels, -1, NULL},
    {"varchar(10)", TYPE_ENUM, "\"Moods\".mood", labels, -1, NULL},
};
static const struct pair arrays[] = {
    {"integer[]", TYPE_INTEGER, NULL, integer_lists, -1, NULL},
    {"bigint[]", TYPE_INTEGER, NULL, integer_lists, -1, NULL},
    {"numeric[]", TYPE_NUMERIC, NULL, decimal_lists, -1, NULL},
    {"numeric(12,2)[]", TYPE_NUMERIC, NULL, decimal_lists, -1, NULL},
    {"amount[]", TYPE_NUMERIC, NULL, decimal_lists, -1, NULL},
    {"amounts", TYPE_NUMERIC, NULL, decimal_lists, -1, NULL},
    {"text[]", TYPE_TEXT, NULL, text_lists, -1, NULL},
    {"varchar(3)[]", TYPE_TEXT, NULL, short_lists, -1, NULL},
    {"char(3)[]", TYPE_VARCHAR, NULL, short_lists, -1, NULL},
    {"bytea[]", TYPE_BYTEA, NULL, byte_lists, -1, NULL},
    {"date[]", TYPE_DATE, NULL, date_lists, -1, NULL},
    {"timestamp[]", TYPE_TIMESTAMP, NULL, stamp_lists, -1, NULL},
    {"double precision[]", TYPE_DOUBLE, NULL, float_lists, -1, NULL},
    {"interval[]", TYPE_INTERVAL, NULL, interval_lists, -1, NULL},
    {"jsonb[]", TYPE_JSONB, NULL, document_lists, -1, NULL},
    {"inet[]", TYPE_INET, NULL, address_lists, -1, NULL},
    {"uuid[]", TYPE_UUID, NULL, uuid_lists, -1, NULL},
    {"boolean[]", TYPE_BOOLEAN, NULL, bool_lists, -1, NULL},
    {"\"Moods\".mood[]", TYPE_ENUM, "\"Moods\".mood", label_lists, -1, NULL},
    {"humour[]", TYPE_ENUM, "\"Moods\".mood", label_lists, -1, NULL},
    {"text[]", TYPE_ENUM, "\"Moods\".mood", label_lists, -1, NULL},
};

static char *mood_labels[] = {TEXT("it's ok"), TEXT("sad"), TEXT("\xc3\xa4rgerlich")};
static struct enumeration mood = {
    .name = TEXT("Moods.mood"), .labels = mood_labels, .label_count = LENGTH(mood_labels)};

static void
create_types(void)
{
	harness_sql(
	    "DROP SCHEMA IF EXISTS \"Moods\" CASCADE; DROP DOMAIN IF EXISTS amount, amounts,"
	    " humour CASCADE; CREATE SCHEMA \"Moods\"; CREATE TYPE \"Moods\".mood AS ENUM"
	    " ('sad', 'more', 'it''s ok', '\xc3\xa4rgerlich');"
	    " CREATE DOMAIN amount AS numeric(12,2); CREATE DOMAIN amounts AS"
	    " numeric(12,2)[]; CREATE DOMAIN humour AS \"Moods\".mood");
}

struct every { /* a view with a column for each pair, and the table that it reads */
	const struct pair *pairs;
	unsigned count;
	bool arrays;
	const char *name;
	struct column columns[COLUMNS_MAX];
	struct output outputs[COLUMNS_MAX];
	char names[COLUMNS_MAX][8];
	char room[COLUMNS_MAX][VALUE_ROOM];
	struct table table;
	struct view view;
};

static void
every_init(struct every *e, const struct pair *pairs, unsigned count, bool are_arrays)
{
	memset(e, 0, sizeof(*e));
	INVARIANT(count <= COLUMNS_MAX);
	e->pairs = pairs;
	e->count = count;
	e->arrays = are_arrays;
	e->name = are_arrays ? "lists" : "every";
	for (unsigned c = 0; c < count; c++) {
		enum type type = pairs[c].type;

		snprintf(e->names[c], sizeof(e->names[c]), "c%u", c);
		e->columns[c] = (struct column){.name = e->names[c],
						.type = are_arrays ? TYPE_ARRAY : type,
						.element = type,
						.enumeration = type == TYPE_ENUM ? &mood : NULL,
						.precision = pairs[c].precision,
						.scale = -1};
		e->outputs[c] = (struct output){.name = e->names[c],
						.kind = OUTPUT_GROUP,
						.column = c,
						.type = e->columns[c].type,
						.scale = -1};
	}
	e->table = (struct table){.name = TEXT("source"),
				  .source = TEXT("public.source"),
				  .topic = TEXT("p.public.source"),
				  .columns = e->columns,
				  .column_count = count};
	e->view = (struct view){.name = TEXT(e->name),
				.outputs = e->outputs,
				.output_count = count,
				.plan = TEXT(e->name)};
}

/* NULL now and then. */
static const char *
every_literal(const struct every *e, unsigned column, unsigned n)
{
	const char *const *all = e->pairs[column].literals;
	unsigned count = 0;

	while (all[count] != NULL)
		count++;
	return (n + column) % 17 == 0 ? NULL : all[n % count];
}

static struct value
list_value(const struct column *column, const char *list, char *room)
{
	struct column element = *column;
	struct pack out;
	struct value v;
	uint32_t count = strcmp(list, "!") == 0 ? 0 : 1;

	element.type = column->element;
	for (const char *s = list; *s != '\0'; s++)
		count += *s == '|';
	pack_init(&out, room, VALUE_ROOM);
	pack_array(&out, count);
	for (uint32_t i = 0; i < count; i++) {
		size_t len = strcspn(list, "|");
		char buf[VALUE_ROOM];

		v = (struct value){.kind = VALUE_NULL};
		if (len != 1 || list[0] != '~')
			EXPECT(column_parse(&element, list, len, buf, sizeof(buf), &v), "%.*s",
			       (int)len, list);
		value_pack(&out, &v);
		list += len + 1;
	}
	INVARIANT(!out.overflow);
	return (struct value){.kind = VALUE_ARRAY, .len = (uint32_t)pack_len(&out), .s = room};
}

static struct value
every_value(struct every *e, unsigned column, unsigned n)
{
	const char *literal = every_literal(e, column, n);
	struct value v = {.kind = VALUE_NULL};

	if (literal == NULL)
		return v;
	if (e->arrays)
		return list_value(&e->columns[column], literal, e->room[column]);
	EXPECT(column_parse(&e->columns[column], literal, strlen(literal), e->room[column],
			    VALUE_ROOM, &v),
	       "%s: %s", type_name(e->pairs[column].type), literal);
	return v;
}

static void
print_quoted(FILE *f, const char *s, size_t len)
{
	fputc('\'', f);
	for (size_t i = 0; i < len; i++)
		fprintf(f, s[i] == '\'' ? "''" : "%c", s[i]);
	fputc('\'', f);
}

/* What PostgreSQL itself makes of the literal, cast from the result's type. */
static void
print_every_literal(FILE *f, const struct every *e, unsigned column, unsigned n)
{
	const struct pair *pair = &e->pairs[column];
	const char *literal = every_literal(e, column, n), *separator = "";
	const char *source = pair->source != NULL ? pair->source : type_name(pair->type);

	if (literal == NULL) {
		fputs("NULL", f);
		return;
	}
	fprintf(f, "(%s", e->arrays ? "ARRAY[" : "");
	while (strcmp(literal, "!") != 0) {
		size_t len = e->arrays ? strcspn(literal, "|") : strlen(literal);

		fputs(separator, f);
		if (e->arrays && len == 1 && literal[0] == '~')
			fputs("NULL", f);
		else
			print_quoted(f, literal, len);
		separator = ", ";
		if (literal[len] == '\0')
			break;
		literal += len + 1;
	}
	fprintf(f, "%s::%s%s)", e->arrays ? "]" : "", source, e->arrays ? "[]" : "");
	if (pair->by != NULL)
		fprintf(f, "::%s", pair->by);
	fprintf(f, "::%s", pair->column);
}

/* Rows 1..n in the table `expected`, and its twin, the view's, empty. */
static void
create_every(const struct every *e, unsigned rows)
{
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	fprintf(f, "DROP TABLE IF EXISTS %s, expected; CREATE TABLE expected (", e->name);
	for (unsigned c = 0; c < e->count; c++)
		fprintf(f, "c%u %s, ", c, e->pairs[c].column);
	fprintf(f, "diff integer); CREATE TABLE %s (LIKE expected, \"time\" bigint);\n", e->name);
	for (unsigned n = 1; n <= rows; n++) {
		fprintf(f, "INSERT INTO expected VALUES (");
		for (unsigned c = 0; c < e->count; c++) {
			print_every_literal(f, e, c, n);
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
feed_every(struct harness *h, struct every *e, unsigned rows, unsigned times_over)
{
	struct value v[COLUMNS_MAX];

	for (unsigned i = 0; i < times_over; i++) {
		for (unsigned n = 1; n <= rows; n++) {
			for (unsigned c = 0; c < e->count; c++)
				v[c] = every_value(e, c, n);
			EXPECT(harness_row(h, 0, n % 2 == 0 ? 1 : -1, v, e->count), "row");
		}
	}
	harness_end_batch(h);
}

/* Each column has what `expected` has, seven times over, by its text. */
static void
expect_every(const struct every *e)
{
	for (unsigned c = 0; c < e->count; c++) {
		const char *found = harness_sql(
		    "SELECT string_agg(w, ' ') FROM (SELECT coalesce(s.v, 'NULL') || '/' || s.n AS "
		    "w"
		    " FROM (SELECT c%u::text AS v, diff, count(*) AS n FROM %s GROUP BY 1, 2) "
		    "AS s"
		    " FULL JOIN (SELECT c%u::text AS v, diff, 7 * count(*) AS n FROM expected"
		    " GROUP BY 1, 2) AS e ON s.v IS NOT DISTINCT FROM e.v AND s.diff = e.diff"
		    " AND s.n = e.n WHERE s.n IS NULL OR e.n IS NULL) AS x",
		    c, e->name, c);
		EXPECT(found[0] == '\0', "%s into %s: %s", type_name(e->pairs[c].type),
		       e->pairs[c].column, found);
	}
}

static void
run_every(const struct pair *pairs, unsigned count, bool are_arrays)
{
	enum { ROWS = 100 };
	static struct every e;
	static struct enumeration *enumerations[] = {&mood};
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	const char *found;

	every_init(&e, pairs, count, are_arrays);
	create_types();
	create_every(&e, ROWS);
	p.tables = &e.table;
	p.views = &e.view;
	p.enumerations = enumerations;
	p.enumeration_count = 1;
	p.ring_bytes = 1024 * 1024;
	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "ready; see %s", h.log);
	feed_every(&h, &e, ROWS, 1);
	EXPECT(harness_durable(&h, 1, 5000), "first batch; see %s", h.log);
	EXPECT(board_counter(&h.board->stage[1], COUNTER_COPIES) == (are_arrays ? 1 : 0),
	       "one statement, unless there are arrays");
	feed_every(&h, &e, ROWS, 6);
	EXPECT(harness_durable(&h, 2, 5000), "COPY; see %s", h.log);
	EXPECT(board_counter(&h.board->stage[1], COUNTER_COPIES) == (are_arrays ? 2 : 1),
	       "then COPY");
	expect_every(&e);
	found = harness_sql(
	    "WITH t AS (SELECT row_to_json(e)::jsonb - 'time' AS r, \"time\" = (SELECT"
	    " min(\"time\") FROM %s) AS a FROM %s e) SELECT count(*) FROM (SELECT r FROM t"
	    " GROUP BY r HAVING count(*) FILTER (WHERE a) * 6 <> count(*) FILTER (WHERE NOT a)) x",
	    e.name, e.name);
	EXPECT(strcmp(found, "0") == 0, "the two ways differ in %s rows", found);
	harness_close(&h);
}

void
test_types(void)
{
	run_every(scalars, LENGTH(scalars), false);
	run_every(arrays, LENGTH(arrays), true);
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
