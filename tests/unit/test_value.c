#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pack.h"
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
	    {TYPE_NUMERIC, "NaN"},
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
		if (in[i].kind == VALUE_TEXT || in[i].kind == VALUE_DECIMAL)
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
