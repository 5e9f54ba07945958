#include <criterion/criterion.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/value.h"

static FILE *
table_open(const char *path)
{
	FILE *file = fopen(path, "r");

	cr_assert_not_null(file, "%s is missing: run the tests from the project's folder", path);
	return file;
}

static bool
parse(enum type type, const char *text, struct value *v)
{
	static char buf[256];

	return value_parse(type, text, strlen(text), buf, sizeof(buf), v);
}

static const char *
reprint(enum type type, const char *text)
{
	static char printed[256];
	struct value v;

	if (!parse(type, text, &v))
		return "refused";
	cr_assert_eq(value_print(type, &v, printed, sizeof(printed)), strlen(printed));
	return printed;
}

Test(value, timestamps_print_as_in_postgresql)
{
	FILE *file = table_open("tests/data/postgres/timestamp.tsv");
	char line[256], printed[64];
	unsigned checked = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		char *rest = line, *us, *plain;
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		us = strsep(&rest, "\t");
		plain = strsep(&rest, "\t");
		struct value v = {.kind = VALUE_INT, .i = strtoll(us, NULL, 10)}, back;
		value_print(TYPE_TIMESTAMP, &v, printed, sizeof(printed));
		cr_assert_str_eq(printed, plain);
		value_print(TYPE_TIMESTAMPTZ, &v, printed, sizeof(printed));
		cr_assert_str_eq(printed, rest);
		cr_assert(parse(TYPE_TIMESTAMPTZ, rest, &back), "%s", rest);
		cr_assert_eq(back.i, v.i, "%s", rest);
		checked++;
	}
	fclose(file);
	/* A damaged checkpoint may hold any integer; UBSan looks. */
	struct value first = {.kind = VALUE_INT, .i = INT64_MIN + 1};
	cr_assert_gt(value_print(TYPE_TIMESTAMP, &first, printed, sizeof(printed)), 0);
	cr_assert_geq(checked, 200);
}

Test(value, timestamp_literals_are_read_as_postgresql_reads_them)
{
	FILE *file = table_open("tests/data/postgres/timestamp_input.tsv");
	char line[256];
	unsigned checked = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		char *rest = line;
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		const char *literal = strsep(&rest, "\t"), *plain = strsep(&rest, "\t");
		cr_assert_str_eq(reprint(TYPE_TIMESTAMP, literal), plain, "%s", literal);
		cr_assert_str_eq(reprint(TYPE_TIMESTAMPTZ, literal), rest, "%s", literal);
		checked++;
	}
	fclose(file);
	cr_assert_eq(checked, 19);
}

Test(value, dates_beyond_the_common_era)
{
	cr_assert_str_eq(reprint(TYPE_TIMESTAMP, "-0043-03-15T00:00:00Z"),
			 "0044-03-15 00:00:00 BC");
	cr_assert_str_eq(reprint(TYPE_TIMESTAMPTZ, "+12026-01-02T03:04:05Z"),
			 "12026-01-02 03:04:05+00");
	cr_assert_str_eq(reprint(TYPE_TIMESTAMP, "0044-03-15 BC"), "0044-03-15 00:00:00 BC");
}

Test(value, what_is_no_value_is_refused)
{
	static const struct {
		enum type type;
		const char *text;
	} bad[] = {
	    {TYPE_INTEGER, ""},
	    {TYPE_INTEGER, "-"},
	    {TYPE_INTEGER, "2147483648"},
	    {TYPE_INTEGER, "-2147483649"},
	    {TYPE_INTEGER, "1.0"},
	    {TYPE_INTEGER, "1x"},
	    {TYPE_BIGINT, "9223372036854775808"},
	    {TYPE_BIGINT, "-9223372036854775809"},
	    {TYPE_NUMERIC, "NaN0"},
	    {TYPE_SMALLINT, "32768"},
	    {TYPE_REAL, "1e39"},
	    {TYPE_DOUBLE, "1e309"},
	    {TYPE_MONEY, "1.005"},
	    {TYPE_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"},
	    {TYPE_BYTEA, "\\x0"},
	    {TYPE_DATE, "2026-02-30"},
	    {TYPE_TIME, "24:00:01"},
	    {TYPE_INET, "10.0.0.256"},
	    {TYPE_INTERVAL, "1 parsec"},
	    {TYPE_JSON, "{"},
	    {TYPE_JSONB, "{1}"},
	    {TYPE_NUMERIC, "1.2.3"},
	    {TYPE_BOOLEAN, "o"},
	    {TYPE_BOOLEAN, ""},
	    {TYPE_BOOLEAN, "truely"},
	    {TYPE_BOOLEAN, "2"},
	    {TYPE_TIMESTAMP, "2026-02-29"},
	    {TYPE_TIMESTAMP, "2026-13-01"},
	    {TYPE_TIMESTAMP, "2026-00-01"},
	    {TYPE_TIMESTAMP, "2026-01-00"},
	    {TYPE_TIMESTAMP, "1900-02-29"},
	    {TYPE_TIMESTAMP, "2026-01-01 25:00:00"},
	    {TYPE_TIMESTAMP, "2026-01-01 24:00:01"},
	    {TYPE_TIMESTAMP, "2026-01-01 00:60:00"},
	    {TYPE_TIMESTAMP, "2026-01-01 00:00:61"},
	    {TYPE_TIMESTAMP, "2026-01-01 00:00:00."},
	    {TYPE_TIMESTAMP, "2026-01-01 00:00:00 x"},
	    {TYPE_TIMESTAMP, "2026-01-01x00:00:00"},
	    {TYPE_TIMESTAMPTZ, "2026-01-01 00:00:00+"},
	    {TYPE_TIMESTAMPTZ, "2026-01-01 00:00:00+99"},
	    {TYPE_TIMESTAMP, "999999-01-01"},
	    {TYPE_TIMESTAMP, "294276-12-31 23:59:59.999999"}, /* ends in 294247 here */
	    {TYPE_TIMESTAMP, "now"},
	};
	struct value v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(parse(bad[i].type, bad[i].text, &v), "%s \"%s\"",
			      type_name(bad[i].type), bad[i].text);
	cr_assert_not(value_parse(TYPE_TEXT, "a\0b", 3, (char[8]){0}, 8, &v), "a NUL byte");
	cr_assert_not(value_parse(TYPE_TEXT, "abc", 3, (char[2]){0}, 2, &v), "a small buffer");
}

Test(value, literals_of_the_simple_types)
{
	cr_assert_str_eq(reprint(TYPE_INTEGER, " -2147483648 "), "-2147483648");
	cr_assert_str_eq(reprint(TYPE_INTEGER, "+7"), "7");
	cr_assert_str_eq(reprint(TYPE_BIGINT, "-9223372036854775808"), "-9223372036854775808");
	cr_assert_str_eq(reprint(TYPE_BIGINT, "9223372036854775807"), "9223372036854775807");
	cr_assert_str_eq(reprint(TYPE_NUMERIC, "1.50e1"), "15.0");
	cr_assert_str_eq(reprint(TYPE_BOOLEAN, "TRUE"), "t");
	cr_assert_str_eq(reprint(TYPE_BOOLEAN, "of"), "f");
	cr_assert_str_eq(reprint(TYPE_BOOLEAN, "on"), "t");
	cr_assert_str_eq(reprint(TYPE_BOOLEAN, "y"), "t");
	cr_assert_str_eq(reprint(TYPE_TEXT, " kept as it is "), " kept as it is ");
}

static struct value
text_value(const char *s)
{
	return (struct value){.kind = VALUE_TEXT, .len = (uint32_t)strlen(s), .s = s};
}

static struct value
decimal_value(const char *s)
{
	return (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)strlen(s), .s = s};
}

Test(value, text_is_ordered_by_bytes)
{
	static const char *const rising[] = {"", "A", "Z", "a", "aa", "ab", "b", "\xc3\xa4"};

	for (size_t i = 0; i < sizeof(rising) / sizeof(rising[0]); i++)
		for (size_t k = 0; k < sizeof(rising) / sizeof(rising[0]); k++) {
			struct value a = text_value(rising[i]), b = text_value(rising[k]);
			int order = value_compare(&a, &b);
			cr_assert_eq((order > 0) - (order < 0), (i > k) - (i < k));
			cr_assert_eq(value_hash(&a, 1) == value_hash(&b, 1), i == k);
		}
}

Test(value, integers_and_numerics_are_compared_by_value)
{
	struct value seven = {.kind = VALUE_INT, .i = 7}, more = decimal_value("7.000000001");
	struct value same = decimal_value("7.00"), least = {.kind = VALUE_INT, .i = INT64_MIN};
	struct value below = decimal_value("-9223372036854775808.5");

	cr_assert_lt(value_compare(&seven, &more), 0);
	cr_assert_gt(value_compare(&more, &seven), 0);
	cr_assert_eq(value_compare(&seven, &same), 0);
	cr_assert_gt(value_compare(&least, &below), 0);
}

Test(value, records_give_back_what_was_packed)
{
	static const enum type types[] = {TYPE_INTEGER, TYPE_BIGINT,  TYPE_NUMERIC,
					  TYPE_TEXT,    TYPE_BOOLEAN, TYPE_TIMESTAMPTZ,
					  TYPE_TEXT,    TYPE_NUMERIC};
	struct value in[] = {
	    {.kind = VALUE_INT, .i = INT32_MIN},
	    {.kind = VALUE_INT, .i = INT64_MIN},
	    decimal_value("-0.00120"),
	    text_value("gr\xc3\xbc\xc3\x9f"),
	    {.kind = VALUE_BOOL, .i = 1},
	    {.kind = VALUE_INT, .i = INT64_MAX},
	    {.kind = VALUE_NULL},
	    {.kind = VALUE_UNCHANGED},
	};
	uint8_t bytes[256];
	struct pack pack;
	struct unpack unpack;

	pack_init(&pack, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		value_pack(&pack, &in[i]);
	unpack_init(&unpack, bytes, pack_len(&pack));
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		struct value out;
		value_unpack(&unpack, types[i], &out);
		cr_assert_eq(out.kind, in[i].kind);
		if (value_has_bytes(&in[i]))
			cr_assert(out.len == in[i].len && memcmp(out.s, in[i].s, out.len) == 0);
		else if (in[i].kind == VALUE_INT || in[i].kind == VALUE_BOOL)
			cr_assert_eq(out.i, in[i].i);
	}
	cr_assert_not(unpack.bad);
	cr_assert_eq(unpack.at, unpack.end);
}

static bool
unpacks(const struct value *v, enum type type)
{
	uint8_t bytes[256];
	struct pack pack;
	struct unpack unpack;
	struct value out;

	pack_init(&pack, bytes, sizeof(bytes));
	value_pack(&pack, v);
	unpack_init(&unpack, bytes, pack_len(&pack));
	value_unpack(&unpack, type, &out);
	return !unpack.bad;
}

Test(value, a_value_of_another_type_marks_the_record_bad)
{
	static const char *const bad[] = {"",   "-",   "-0", "-0.00", "01",  "1.",
					  ".5", "1e5", "+1", "1 ",    "abc", "1.2.3"};
	struct value number = {.kind = VALUE_INT, .i = INT64_C(1) << 40}, text = text_value("x");
	struct value yes = {.kind = VALUE_BOOL, .i = 1};

	cr_assert(unpacks(&number, TYPE_BIGINT));
	cr_assert_not(unpacks(&number, TYPE_INTEGER));
	cr_assert_not(unpacks(&number, TYPE_TEXT));
	cr_assert_not(unpacks(&number, TYPE_BOOLEAN));
	cr_assert_not(unpacks(&text, TYPE_TIMESTAMP));
	cr_assert_not(unpacks(&yes, TYPE_BIGINT));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct value v = decimal_value(bad[i]);
		cr_assert_not(unpacks(&v, TYPE_NUMERIC), "\"%s\"", bad[i]);
	}
}

static struct value
parsed(enum type type, const char *text, char buf[64])
{
	struct value v;

	cr_assert(value_parse(type, text, strlen(text), buf, 64, &v), "%s \"%s\"", type_name(type),
		  text);
	return v;
}

/* Each row is in PostgreSQL's order; a '=' before a text says that it equals the one before. */
Test(value, every_type_has_postgresqls_order)
{
	static const struct {
		enum type type;
		const char *texts[10];
	} rows[] = {
	    {TYPE_SMALLINT, {"-32768", "-1", "0", "32767"}},
	    {TYPE_DOUBLE,
	     {"-Infinity", "-1e300", "-0", "=0", "5e-324", "1e300", "Infinity", "NaN", "=nan"}},
	    {TYPE_REAL, {"-3.4e38", "0.1", "0.2", "NaN"}},
	    {TYPE_NUMERIC,
	     {"-Infinity", "-1e10", "1", "=1.000", "1.0001", "Infinity", "NaN", "=nan"}},
	    {TYPE_MONEY, {"-92233720368547758.08", "-0.01", "0", "12.34", "=$12.34"}},
	    {TYPE_DATE, {"-infinity", "0044-03-15 BC", "1969-12-31", "1970-01-01", "infinity"}},
	    {TYPE_TIME, {"00:00", "=00:00:00", "23:59:59.999999", "24:00:00"}},
	    {TYPE_CHAR, {"", "=   ", "a", "=a  ", "b"}},
	    {TYPE_BYTEA, {"\\x", "\\x00", "\\x0001", "\\x01", "=\\x01", "\\xff"}},
	    {TYPE_UUID,
	     {"00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	      "={A0EEBC999C0B4EF8BB6D6BB9BD380A11}", "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
	    {TYPE_INTERVAL,
	     {"-1 year", "00:00:00", "=1 day -24:00:00", "29 days 23:59:59", "30 days", "=1 mon",
	      "=29 days 24:00:00", "1 year"}},
	    {TYPE_INET,
	     {"10.0.0.0/8", "10.0.0.1/8", "10.0.0.1", "=10.0.0.1/32", "192.168.0.1", "::1"}},
	    {TYPE_JSONB, {"{\"a\": 1, \"b\": 2}", "={\"b\":2.0,\"a\":1e0}"}},
	};
	char abuf[64], bbuf[64], anormal[VALUE_NORMAL_ROOM], bnormal[VALUE_NORMAL_ROOM];
	uint8_t apack[128], bpack[128];

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		for (int i = 1; i < 10 && rows[r].texts[i] != NULL; i++) {
			const char *text = rows[r].texts[i];
			bool equal = text[0] == '=';
			const char *before =
			    rows[r].texts[i - 1] + (rows[r].texts[i - 1][0] == '=');
			struct value a = parsed(rows[r].type, before, abuf);
			struct value b = parsed(rows[r].type, text + equal, bbuf);
			struct value x = value_normal(&a, anormal), y = value_normal(&b, bnormal);
			struct pack ap, bp;

			cr_assert(equal ? value_compare(&a, &b) == 0 : value_compare(&a, &b) < 0,
				  "%s %s %s", type_name(rows[r].type), before, text);
			cr_assert(equal ? value_compare(&b, &a) == 0 : value_compare(&b, &a) > 0);
			cr_assert_eq(value_hash(&a, 3) == value_hash(&b, 3), equal, "%s %s", before,
				     text);
			pack_init(&ap, apack, sizeof(apack));
			pack_init(&bp, bpack, sizeof(bpack));
			value_pack(&ap, &x);
			value_pack(&bp, &y);
			cr_assert_eq(pack_len(&ap) == pack_len(&bp) &&
					 memcmp(apack, bpack, pack_len(&ap)) == 0,
				     equal, "%s %s", before, text);
		}
	}
}

Test(value, floats_compare_with_other_numbers_as_doubles)
{
	struct value tenth = {.kind = VALUE_FLOAT, .d = (double)0.1f},
		     decimal = decimal_value("0.1");
	struct value one = {.kind = VALUE_FLOAT, .d = 1}, whole = {.kind = VALUE_INT, .i = 1};

	cr_assert_gt(value_compare(&tenth, &decimal), 0, "as in PostgreSQL");
	cr_assert_eq(value_compare(&one, &whole), 0);
	cr_assert_eq(value_compare(&whole, &one), 0);
}

Test(value, text_of_every_type)
{
	static const struct {
		enum type type;
		const char *text, *printed;
	} rows[] = {
	    {TYPE_REAL, "0.1", "0.1"},
	    {TYPE_REAL, "16777216", "1.6777216e+07"},
	    {TYPE_REAL, "123456", "123456"},
	    {TYPE_REAL, "1e-45", "1e-45"},
	    {TYPE_REAL, "0.00001", "1e-05"},
	    {TYPE_DOUBLE, "100000", "100000"},
	    {TYPE_DOUBLE, "123456789012345.6", "123456789012345.6"},
	    {TYPE_DOUBLE, "1e15", "1e+15"},
	    {TYPE_DOUBLE, "0.0001", "0.0001"},
	    {TYPE_DOUBLE, "0.30000000000000004", "0.30000000000000004"},
	    {TYPE_DOUBLE, "4.94e-324", "5e-324"},
	    {TYPE_DOUBLE, "-0.09094", "-0.09094"},
	    {TYPE_DOUBLE, "2.016332192857273e+100", "2.016332192857273e+100"},
	    {TYPE_DOUBLE, "9.5367431640625e-07", "9.5367431640625e-07"},
	    {TYPE_REAL, "78423584", "7.8423584e+07"},
	    {TYPE_DOUBLE, "-0", "-0"},
	    {TYPE_DOUBLE, "0.1", "0.1"},
	    {TYPE_DOUBLE, "-inf", "-Infinity"},
	    {TYPE_MONEY, "-$12.5", "-12.50"},
	    {TYPE_DATE, "2026-1-2", "2026-01-02"},
	    {TYPE_DATE, "5874897-12-31", "5874897-12-31"},
	    {TYPE_DATE, "0044-03-15 BC", "0044-03-15 BC"},
	    {TYPE_TIME, "4:05", "04:05:00"},
	    {TYPE_TIME, "04:05:06.700", "04:05:06.7"},
	    {TYPE_BYTEA, "\\xDEadbeef", "\\xdeadbeef"},
	    {TYPE_UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
	     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	    {TYPE_INTERVAL, "P1Y2M3DT4H5M6.5S", "1 year 2 mons 3 days 04:05:06.5"},
	    {TYPE_INET, "10.1.2.3/32", "10.1.2.3"},
	    {TYPE_JSONB, "[1.50,{}]", "[1.5, {}]"},
	    {TYPE_JSON, "[1.50,{}]", "[1.50,{}]"},
	    {TYPE_CHAR, "ab   ", "ab"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_str_eq(reprint(rows[i].type, rows[i].text), rows[i].printed);
}

Test(value, arrays_are_carried)
{
	const char *labels[] = {"sad", "it's"};
	struct enumeration moods = {.labels = (char **)(uintptr_t)labels, .label_count = 2};
	struct value elements[] = {
	    text_value("a"),    text_value(""),      text_value("a b"),
	    text_value("NULL"), text_value("q\"\\"), {.kind = VALUE_NULL},
	};
	uint8_t bytes[128];
	char text[128];
	struct pack out;

	pack_init(&out, bytes, sizeof(bytes));
	pack_array(&out, 6);
	for (int i = 0; i < 6; i++)
		value_pack(&out, &elements[i]);
	struct value array = {
	    .kind = VALUE_ARRAY, .s = (const char *)bytes, .len = (uint32_t)pack_len(&out)};
	cr_assert(array_is_valid(bytes, array.len));
	cr_assert_not(array_is_valid(bytes, array.len - 1));
	size_t len = array_print(TYPE_TEXT, NULL, &array, text, sizeof(text));
	cr_assert_str_eq(text, "{a,\"\",\"a b\",\"NULL\",\"q\\\"\\\\\",NULL}");
	cr_assert_eq(array_print(TYPE_TEXT, NULL, &array, text, 5), len);
	pack_init(&out, bytes, sizeof(bytes));
	pack_array(&out, 2);
	pack_int(&out, 1);
	pack_int(&out, 0);
	array.len = (uint32_t)pack_len(&out);
	struct column column = {
	    .type = TYPE_ARRAY, .element = TYPE_ENUM, .enumeration = &moods, .precision = -1};
	(void)column_print(&column, &array, text, sizeof(text));
	cr_assert_str_eq(text, "{it's,sad}");
}

/* A rank may only say what the exact order says. */
Test(value, ranks_never_contradict_the_order)
{
	static const char *const numbers[] = {"-Infinity",
					      "-99999999999999999999.5",
					      "-922337203685477.5808",
					      "-100000000000000",
					      "-12345.67891",
					      "-12345.6789",
					      "-12345.6788",
					      "-1",
					      "-0.5",
					      "-0.00001",
					      "0",
					      "0.00001",
					      "0.0001",
					      "0.1",
					      "0.10",
					      "0.1000",
					      "1",
					      "1.0",
					      "9.99",
					      "10",
					      "99999999999999.9999",
					      "100000000000000",
					      "922337203685477.5807",
					      "99999999999999999999",
					      "Infinity",
					      "NaN"};
	static const char *const texts[] = {
	    "",         "a", "a\x01", "aaaaaaaa", "aaaaaaaab",
	    "aaaaaaab", "b", "\x7f",  "\xc3\xa9", "\xf0\x9f\x98\x80"};
	static const double doubles[] = {-INFINITY, -1e300, -2.5,  -1e-320,  -0.0, 0.0,
					 1e-320,    2.5,    1e300, INFINITY, NAN};
	struct value all[64];
	unsigned bounds[4] = {0}, n = 0;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		all[n++] = (struct value){
		    .kind = VALUE_DECIMAL, .s = numbers[i], .len = (uint32_t)strlen(numbers[i])};
	bounds[1] = n;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		all[n++] = (struct value){
		    .kind = VALUE_TEXT, .s = texts[i], .len = (uint32_t)strlen(texts[i])};
	bounds[2] = n;
	for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
		all[n++] = (struct value){.kind = VALUE_FLOAT, .d = doubles[i]};
	bounds[3] = n;
	for (unsigned kind = 0; kind < 3; kind++) {
		for (unsigned i = bounds[kind]; i < bounds[kind + 1]; i++) {
			for (unsigned j = bounds[kind]; j < i; j++) {
				cr_assert_leq(value_compare_exact(&all[j], &all[i]), 0, "%u %u", j,
					      i);
				cr_assert_leq(value_rank(&all[j]), value_rank(&all[i]), "%u %u", j,
					      i);
			}
		}
	}
	struct value one = {.kind = VALUE_INT, .i = -5};
	cr_assert_eq(value_rank(&one), -5);
}
