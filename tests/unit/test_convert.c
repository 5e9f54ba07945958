/* The table of message types, and how bare JSON is read by the server's options. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/convert.h"
#include "ingest/debezium.h"
#include "tests/unit/truth.h"

static void
print_declared(FILE *out, uint32_t fits)
{
	const char *before = "";

	for (unsigned type = 0; type < TYPE_COUNT; type++) {
		if (!(fits & UINT32_C(1) << type))
			continue;
		fprintf(out, "%s%s", before, type_name((enum type)type));
		before = ", ";
	}
	fputs(fits == 0 ? "none: do not declare it" : "", out);
}

/* The table as README.md has it: rows that fit the same types are one. Heap. */
static char *
print_table(void)
{
	size_t count, len;
	const struct message_type *types = convert_message_types(&count);
	char *text;
	FILE *out = xmemstream(&text, &len);

	fputs("| in the message | declared |\n|---|---|\n", out);
	for (size_t i = 0; i < count; i++) {
		bool first = i == 0 || types[i - 1].fits != types[i].fits;
		fprintf(out, "%s`%s`", first ? "| " : ", ", types[i].name);
		if (i + 1 < count && types[i + 1].fits == types[i].fits)
			continue;
		fputs(" | ", out);
		print_declared(out, types[i].fits);
		fputs(" |\n", out);
	}
	fclose(out);
	return text;
}

Test(convert, the_table_in_the_readme_is_the_one_in_the_code)
{
	char *table = print_table(), *readme = NULL;
	size_t size = 0;
	FILE *in = fopen("README.md", "re");

	cr_assert_not_null(in);
	cr_assert_gt(getdelim(&readme, &size, '\0', in), 0);
	fclose(in);
	const char *at = strstr(readme, "| in the message | declared |\n");
	cr_assert_not_null(at, "README.md has no table of message types; it is:\n%s", table);
	cr_assert(strncmp(at, table, strlen(table)) == 0 && strncmp(at + strlen(table), "| ", 2),
		  "the table in README.md is not that of ingest/convert_table.c:\n%s", table);
	free(table);
	free(readme);
}

/* Every declared type is in the table, and every row can be found by its name. */
Test(convert, the_table_is_whole)
{
	size_t count;
	const struct message_type *types = convert_message_types(&count);
	uint32_t all = 0;

	for (size_t i = 0; i < count; i++) {
		struct slice name = {types[i].name, strlen(types[i].name)}, none = {"", 0};
		bool plain = !memchr(name.s, '.', name.len);
		cr_assert_eq(convert_message_type(plain ? none : name, plain ? name : none),
			     &types[i], "%s", types[i].name);
		all |= types[i].fits;
	}
	cr_assert_eq(all, (UINT32_C(1) << TYPE_COUNT) - 1);
}

/* A row of one column in bare JSON, read with these options: its line, or the reason. Heap. */
static char *
read_row(const char *columns, const char *options, const char *row)
{
	struct table *t = truth_declare(columns);
	struct decoder *d = decoder_new(t);
	struct connector connector = {0};
	char *copy = xstrdup(options), *rest = copy, error[512];
	struct event ev;

	for (char *word = strsep(&rest, " "); word && *word; word = strsep(&rest, " ")) {
		char *name = strsep(&word, "=");
		enum connector_option option = connector_option_find(name);
		if (strcmp(name, CONNECTOR_UNAVAILABLE) == 0) {
			connector.unavailable = word;
			continue;
		}
		cr_assert_lt(option, CONNECTOR_OPTIONS, "%s", name);
		connector.mode[option] = connector_mode_find(option, word);
		cr_assert_gt(connector.mode[option], 0, "%s", word);
	}
	decoder_follow(d, &connector);
	char *value = xasprintf("{\"after\":%s,\"source\":{\"lsn\":7,\"txId\":8,\"ts_ms\":9,"
				"\"snapshot\":\"false\"},\"op\":\"u\"}",
				row);
	bool keyed = t->key_count > 0;
	int result = decoder_read(d, keyed ? "{\"k\":1}" : NULL, keyed ? 7 : 0, value,
				  strlen(value), &ev, error, sizeof(error));
	char *line = NULL;
	if (result != 0)
		line = xstrdup(error);
	else if (ev.after[t->column_count - 1].kind == VALUE_UNCHANGED)
		line = xstrdup("unchanged");
	else
		line = truth_line(t, ev.after);
	decoder_free(d);
	truth_free_table(t);
	free(copy);
	free(value);
	return line;
}

static void
check(const char *column, const char *options, const char *value, const char *expected)
{
	char *columns = xasprintf("k:integer:key a:%s", column);
	char *row = xasprintf("{\"k\":1,\"a\":%s}", value);
	char *line = read_row(columns, options, row);
	const char *found = strncmp(line, "1\t", 2) == 0 ? line + 2 : line;
	size_t len = strlen(expected);

	if (strcmp(expected, "unchanged") == 0 || line == found)
		cr_assert_not_null(strstr(found, expected), "%s as %s (%s): %s", value, column,
				   options, found);
	else
		cr_assert(strncmp(found, expected, len) == 0 && strcmp(found + len, "\t") == 0,
			  "%s as %s (%s): %s", value, column, options, found);
	free(columns);
	free(row);
	free(line);
}

#define TIME    "time.precision.mode="
#define DECIMAL "decimal.handling.mode="
#define BINARY  "binary.handling.mode="

Test(convert, the_unit_of_times_by_precision_and_mode)
{
	check("time", "", "45296123456", "12:34:56.123456");
	check("time(3)", "", "45296123", "12:34:56.123");
	check("time(3)", TIME "adaptive_time_microseconds", "45296123000", "12:34:56.123");
	check("time", TIME "connect", "45296123", "12:34:56.123");
	check("time", TIME "nanoseconds", "45296123456000", "12:34:56.123456");
	check("time", TIME "nanoseconds", "45296123456001", "has 45296123456001");
	check("time", TIME "isostring", "\"12:34:56.5Z\"", "12:34:56.5");
	check("time", "", "86400000000", "24:00:00");
	check("time", "", "86400000001", "declared time without");
	check("time", "", "-1", "declared time without");
	check("time", "", "\"24:00:00\"", "24:00:00");
	check("time", "", "\"24:00:01\"", "declared time without");
	check("time", "", "{\"hour\":12,\"minute\":3,\"second\":4,\"nanos\":5000,\"precision\":6}",
	      "12:03:04.000005");
	check("time", "", "{\"hour\":12,\"minute\":60,\"second\":4,\"nanos\":0}", "declared time");
	check("time(1)", TIME "microseconds", "1200000", "00:00:01.2");
	check("time(1)", TIME "microseconds", "1210000", "declared time(1)");
	check("timestamp", "", "1674131696123456", "2023-01-19 12:34:56.123456");
	check("timestamp(3)", "", "1674131696123", "2023-01-19 12:34:56.123");
	check("timestamp(3)", TIME "microseconds", "1674131696123000", "2023-01-19 12:34:56.123");
	check("timestamp(0)", "", "1674131696123", "declared timestamp(0)");
	check("timestamp", TIME "connect", "1674131696123", "2023-01-19 12:34:56.123");
	check("timestamp", TIME "nanoseconds", "9223372036854775807", "infinity");
	check("timestamp", TIME "connect", "9223372036825200000", "infinity");
	check("timestamp", "", "-9223372036854775808", "-infinity");
	check("timestamp", "", "-9223372036853775810", "declared timestamp"); /* overflowed */
	check("timestamp", "", "\"+292278994-08-16T23:00:00Z\"", "infinity");
	check("timestamptz", "", "\"-292275055-05-16T23:00:00Z\"", "-infinity");
	check("timestamptz", "", "\"-4713-11-24T00:00:00Z\"", "4714-11-24 00:00:00+00 BC");
	check("timestamptz", "", "\"-4713-11-23T23:59:59Z\"", "declared timestamp");
	check("timestamptz", "",
	      "{\"year\":2023,\"month\":1,\"day\":19,\"hour\":10,\"minute\":0,\"second\":0,"
	      "\"nanos\":0,\"offsetSeconds\":3600,\"zoneId\":\"+01\",\"specialValue\":null}",
	      "2023-01-19 09:00:00+00");
	check("timestamp", "", "{\"year\":null,\"specialValue\":\"NEGATIVE_INFINITY\"}",
	      "-infinity");
}

Test(convert, dates)
{
	check("date", "", "-1", "1969-12-31");
	check("date", "", "-735160", "0044-03-15 BC");
	check("date", "", "\"2023-01-19Z\"", "2023-01-19");
	check("date", "", "\"2023-02-29Z\"", "declared date");
	check("date", "", "{\"year\":-43,\"month\":3,\"day\":15,\"specialValue\":null}",
	      "0044-03-15 BC");
	check("date", "", "{\"year\":2023,\"month\":2}", "declared date");
	check("date", "", "2145042905", "5874897-12-31");
	check("date", "", "2145042906", "declared date");
	check("date", "", "-2440588", "4714-11-24 BC");
	check("date", "", "-2440589", "declared date");
	/* What the connector makes of infinite dates: of rows in a snapshot, and of a stream. */
	check("date", "", "-622191234", "infinity");
	check("date", "", "2146033979", "infinity");
	check("date", "", "-625821272", "-infinity");
	check("date", "", "-2147472691", "-infinity");
	check("date", "", "\"+292269055-12-02Z\"", "-infinity");
	check("date", "", "\"+5877611-06-21Z\"", "infinity");
	check("date", "", "\"+5877611-07-21Z\"", "declared date");
}

Test(convert, intervals)
{
	check("interval", "", "\"P1Y2M3DT4H5M6.7S\"", "1 year 2 mons 3 days 04:05:06.7");
	check("interval", "", "\"P0Y-1M-1DT0H0M-0.000001S\"", "-1 mons -1 days -00:00:00.000001");
	check("interval", "", "-1000000", "-00:00:01");
	check("interval", "", "37091106700000", "10303:05:06.7");
	check("interval", "", "9223372036854775807", "interval.handling.mode=string");
	check("interval", "",
	      "{\"years\":1,\"months\":-2,\"days\":3,\"hours\":4,\"minutes\":0,\"seconds\":0,"
	      "\"nanos\":-1000,\"precision\":6}",
	      "10 mons 3 days 03:59:59.999999");
	check("interval", "", "{\"years\":178956971,\"months\":0}", "declared interval");
	check("interval", "", "{\"nanos\":1}", "declared interval");
	check("interval", "", "\"tomorrow\"", "declared interval");
}

Test(convert, numbers)
{
	check("smallint", "", "-32768", "-32768");
	check("smallint", "", "-32769", "declared smallint");
	check("real", "", "1.4E-45", "1e-45");
	check("real", "", "0.123456789012", "declared real");
	check("real", "", "3.5E38", "declared real");
	check("real", "", "\"-Infinity\"", "-Infinity");
	check("real", "", "\"1\"", "declared real");
	check("double", "", "-0.0", "-0");
	check("double", "", "5.0E-324", "5e-324");
	check("double", "", "\"NaN\"", "NaN");
	check("double", "", "true", "declared double precision");
	check("money", "", "\"BNI=\"", "12.34");
	check("money", "", "\"12.34\"", "12.34");
	check("money", "", "\"gAAAAAAAAAA=\"", "-92233720368547758.08");
	check("money", "", "12.3", "12.30");
	check("money", "", "12.345", "declared money");
	check("money", DECIMAL "string", "\"1234\"", "1234.00");
	check("numeric(9,0)", DECIMAL "string", "\"1234\"", "1234");
	check("numeric(9,0)", DECIMAL "precise", "\"1234\"", "-2658824");
	check("numeric(9,0)", "", "\"1234\"", "\"decimal.handling.mode\"");
	check("numeric", DECIMAL "string", "\"POSITIVE_INFINITY\"", "Infinity");
	check("numeric", "", "\"NEGATIVE_INFINITY\"", "-Infinity");
	check("numeric", "", "\"Infinity\"", "Infinity");
	check("numeric(12,4)", "", "\"NAN\"", "NaN");
	check("numeric(12,4)", DECIMAL "double", "\"Infinity\"", "cannot hold Infinity");
	check("numeric(20,4)", "", "\"Infinity\"", "3789829846.9234"); /* base64 */
}

Test(convert, texts_and_bytes)
{
	check("varchar(4)", "", "\"\\u017c\\u00f3\\u0142w\"", "żółw");
	check("varchar(4)", "", "\"\\u017c\\u00f3\\u0142wi\"", "cannot hold the 5 characters");
	check("char(3)", "", "\"a    \"", "a");
	check("char", "", "\"ab\"", "cannot hold the 2 characters");
	check("bytea", "", "\"AAH+/w==\"", "\\x0001feff");
	check("bytea", BINARY "base64-url-safe", "\"AAH-_w==\"", "\\x0001feff");
	check("bytea", BINARY "hex", "\"0001feff\"", "\\x0001feff");
	check("bytea", BINARY "hex", "\"0001FEF\"", "binary.handling.mode");
	check("bytea", "", "\"\"", "\\x");
	check("bytea", "", "\"AAH\"", "binary.handling.mode");
	check("uuid", "", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
	      "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
	check("uuid", "", "\"a0eebc99\"", "declared uuid");
	check("inet", "", "\"10.0.0.0/8\"", "10.0.0.0/8");
	check("inet", "", "\"10.0.0\"", "declared inet");
	check("json", "", "\"{\\\"a\\\": 1,  \\\"b\\\":[]}\"", "{\"a\": 1,  \"b\":[]}");
	check("json", "", "\"{\\\"a\\\":\"", "declared json");
	check("jsonb", "", "\"{\\\"b\\\":1.50,\\\"a\\\":[1e3]}\"", "{\"a\": [1000], \"b\": 1.5}");
	check("jsonb", "", "\"[\"", "declared jsonb");
	check("enum(sad,ok,happy)", "", "\"ok\"", "ok");
	check("enum(sad,ok,happy)", "", "\"glad\"", "'glad', which is no label");
	check("enum(sad,ok,happy)", "", "\"ok\\u0000xxxxxxxx\"", "which is no label");
	check("enum(sad,ok,happy)", "", "\"o\"", "which is no label");
}

/* A document that grows two hundred times: the room for it grows too. */
Test(convert, jsonb_may_be_longer_than_its_message)
{
	char value[8192] = "\"[", expected[32768] = "[", *at = value + 2, *to = expected + 1;

	for (int i = 0; i < 20; i++) {
		at += sprintf(at, "%s1e900", i > 0 ? "," : "");
		to += sprintf(to, "%s1", i > 0 ? ", " : "");
		memset(to, '0', 900);
		to += 900;
	}
	strcpy(at, "]\"");
	strcpy(to, "]");
	check("jsonb", "", value, expected);
}

Test(convert, arrays)
{
	check("integer[]", "", "[1,null,-3]", "{1,NULL,-3}");
	check("integer[]", "", "[]", "{}");
	check("integer[]", "", "[1,2147483648]", "declared integer");
	check("integer[]", "", "[[1]]", "more than one dimension");
	check("integer[]", "", "1", "declared integer[]");
	check("text[]", "", "[\"[Ljava.lang.String;@60838dbd\"]", "more than one dimension");
	check("text[]", "", "[\"a\",null,\"\",\"b \\\" c\"]", "{a,NULL,\"\",\"b \\\" c\"}");
	check("numeric(9,2)[]", DECIMAL "string", "[\"1.5\"]", "{1.50}");
	check("numeric[]", DECIMAL "string", "[\"1.50\"]", "{1.5}");
	check("numeric[]", "", "[{\"scale\":1,\"value\":\"Dw==\"}]", "{1.5}");
	check("timestamp(3)[]", "", "[1674131696123]", "{\"2023-01-19 12:34:56.123\"}");
	check("bytea[]", BINARY "hex", "[\"00ff\",\"\"]", "{\"\\\\x00ff\",\"\\\\x\"}");
	check("double[]", "", "[\"NaN\",-0.0]", "{NaN,0}");
	check("interval[]", "", "[\"P1M\"]", "{\"30 days\"}");
	check("enum(a,b)[]", "", "[\"b\",null]", "{b,NULL}");
	check("enum(a,b)[]", "", "[\"c\"]", "no label");
	check("boolean[]", "", "[true,null]", "{t,NULL}");
}

#define UNAVAILABLE "__debezium_unavailable_value"

Test(convert, unchanged_values_in_all_their_forms)
{
	static const char *const texts[] = {"text",  "varchar(3)", "char(3)",     "json",
					    "jsonb", "bytea",      "numeric(4,2)"};
	char bytes[256] = "[", *at = bytes + 1;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check(texts[i], "", "\"" UNAVAILABLE "\"", "unchanged");
	check("bytea", "", "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"", "unchanged");
	check("text[]", "", "[\"" UNAVAILABLE "\"]", "unchanged");
	check("text[]", "", "[\"" UNAVAILABLE "\",\"a\"]", "{" UNAVAILABLE ",a}");
	check("bytea[]", "", "[\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"]", "unchanged");
	check("uuid[]", "", "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]", "unchanged");
	check("text", CONNECTOR_UNAVAILABLE "=?", "\"?\"", "unchanged");
	check("text", CONNECTOR_UNAVAILABLE "=?", "\"" UNAVAILABLE "\"", UNAVAILABLE);
	check("integer[]", CONNECTOR_UNAVAILABLE "=AB", "[65,66]", "unchanged");
	check("integer[]", CONNECTOR_UNAVAILABLE "=AB", "[65,67]", "{65,67}");
	for (const char *c = UNAVAILABLE; *c; c++)
		at += snprintf(at, 8, "%s%d", at == bytes + 1 ? "" : ",", *c);
	strcpy(at, "]");
	check("integer[]", "", bytes, "unchanged");
	check("date[]", "", bytes, "unchanged");
}
