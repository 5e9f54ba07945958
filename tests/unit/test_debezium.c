#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"
#include "tests/unit/capture.h"
#include "tests/unit/truth.h"

/* What every event has in its source, beside what a test says. */
#define WANTED      "\"lsn\":7,\"txId\":8,\"ts_ms\":9,\"snapshot\":\"false\""
#define SOME_SOURCE "\"source\":{" WANTED "}"

/* One message for one table, decoded from blocks of their own, so that ASan sees an overrun. */
struct attempt {
	struct table *table;
	struct decoder *decoder;
	char *key, *value;
	struct event event;
	int result;
	char error[512];
};

static char *
attempt_copy(const char *text, size_t len)
{
	char *copy = text ? xcalloc(len ? len : 1, 1) : NULL;

	if (text)
		memcpy(copy, text, len);
	return copy;
}

static void
attempt_read(struct attempt *a, const char *key, size_t key_len, const char *value, size_t len)
{
	free(a->key);
	free(a->value);
	a->key = attempt_copy(key, key_len);
	a->value = attempt_copy(value, len);
	a->error[0] = '\0';
	a->result = decoder_read(a->decoder, a->key, key_len, a->value, len, &a->event, a->error,
				 sizeof(a->error));
}

static struct attempt
attempt_new(const char *columns)
{
	struct table *t = truth_declare(columns);

	return (struct attempt){.table = t, .decoder = decoder_new(t)};
}

static struct attempt
attempt_once(const char *columns, const char *key, const char *value)
{
	struct attempt a = attempt_new(columns);

	attempt_read(&a, key, key ? strlen(key) : 0, value, value ? strlen(value) : 0);
	return a;
}

static void
attempt_end(struct attempt *a)
{
	decoder_free(a->decoder);
	truth_free_table(a->table);
	free(a->key);
	free(a->value);
}

static void
check_refused(const char *columns, const char *key, const char *value, const char *part)
{
	struct attempt a = attempt_once(columns, key, value);

	cr_assert_eq(a.result, -1, "%s was accepted", value);
	cr_assert_not_null(strstr(a.error, part), "%s gives: %s", value, a.error);
	attempt_end(&a);
}

/* A bare "c" message with this "after" gives this line. */
static void
check_row(const char *columns, const char *row, const char *expected)
{
	char *value = xasprintf("{\"before\":null,\"after\":%s," SOME_SOURCE ",\"op\":\"c\"}", row);
	struct attempt a = attempt_once(columns, NULL, value);

	cr_assert_eq(a.result, 0, "%s: %s", row, a.error);
	char *line = truth_line(a.table, a.event.after);
	cr_assert_str_eq(line, expected, "%s gives %s", row, line);
	free(line);
	free(value);
	attempt_end(&a);
}

static void
check_row_refused(const char *columns, const char *row, const char *part)
{
	char *value = xasprintf("{\"before\":null,\"after\":%s," SOME_SOURCE ",\"op\":\"c\"}", row);

	check_refused(columns, NULL, value, part);
	free(value);
}

Test(debezium, integers_are_held_to_their_type)
{
	check_row("a:integer b:bigint", "{\"a\":2147483647,\"b\":-9223372036854775808,\"x\":[{}]}",
		  "2147483647\t-9223372036854775808\t");
	check_row("a:integer", "{\"a\":null}", "\\N\t");
	check_row_refused("a:integer", "{\"a\":2147483648}", "\"a\" is declared integer");
	check_row_refused("a:integer", "{\"a\":-2147483649}", "\"a\" is declared integer");
	check_row_refused("a:bigint", "{\"a\":9223372036854775808}", "\"a\" is declared bigint");
	check_row_refused("a:bigint", "{\"a\":1.0}", "has 1.0");
	check_row_refused("a:bigint", "{\"a\":\"1\"}", "has \"1\"");
	check_row_refused("a:integer", "{\"a\":true}", "has true");
	check_row_refused("a:boolean", "{\"a\":1}", "\"a\" is declared boolean");
	check_row_refused("a:text", "{\"a\":{\"b\":1}}", "has {\"b\":1}");
	check_row_refused("a:integer:notnull", "{\"a\":null}", "NOT NULL");
	check_row_refused("a:integer", "{\"a\":1,\"a\":2}", "twice");
}

Test(debezium, decimals_as_bare_json)
{
	check_row("a:numeric(10,2)", "{\"a\":\"926.33\"}", "926.33\t");
	check_row("a:numeric(10,2)", "{\"a\":\"BNI=\"}", "12.34\t");
	check_row("a:numeric(10,2)", "{\"a\":\"1234\"}", "-26588.24\t"); /* base64: no point */
	check_row("a:numeric(10,2)", "{\"a\":926.3}", "926.30\t");
	check_row("a:numeric(10,2)", "{\"a\":1.0E3}", "1000.00\t");
	check_row("a:numeric", "{\"a\":{\"scale\":3,\"value\":\"AeJA\"}}", "123.456\t");
	check_row("a:numeric", "{\"a\":\"1234\"}", "1234\t");
	check_row("a:numeric", "{\"a\":\"-0.0010\"}", "-0.0010\t");
	check_row("a:numeric(5,0)", "{\"a\":\"1234\"}", "1234\t"); /* as base64 it has 7 digits */
	check_row("a:numeric(9,0)", "{\"a\":\"12345\"}", "12345\t");
	check_row("a:numeric(9,0)", "{\"a\":\"-123\"}", "-123\t");
	check_row("a:numeric(9,0)", "{\"a\":\"Kg==\"}", "42\t");
	check_row("a:numeric(9,0)", "{\"a\":\"0123\"}", "-2925129\t");
	check_row_refused("a:numeric(9,0)", "{\"a\":\"1234\"}", "schemas.enable=true");
	check_row_refused("a:numeric", "{\"a\":\"BNI=\"}", "declare numeric(p,s)");
	check_row_refused("a:numeric(4,2)", "{\"a\":\"123.00\"}", "numeric(4,2)");
	check_row_refused("a:numeric(9,2)", "{\"a\":\"1.234\"}", "cannot hold 1.234 exactly");
	check_row("a:numeric", "{\"a\":\"NaN\"}", "NaN\t");
	check_row("a:numeric(9,2)", "{\"a\":\"NAN\"}", "NaN\t");
	check_row_refused("a:numeric(9,2)", "{\"a\":\"BN=I\"}", "\"a\" is declared numeric");
	check_row_refused("a:numeric(9,2)", "{\"a\":\"B\"}", "\"a\" is declared numeric");
	check_row_refused("a:numeric", "{\"a\":{\"scale\":3}}", "without the scale and value");
	check_row_refused("a:numeric", "{\"a\":1e999999999}", "\"a\" is declared numeric");
}

Test(debezium, timestamps_as_bare_json)
{
	check_row("a:timestamp", "{\"a\":1674131696123456}", "2023-01-19 12:34:56.123456\t");
	check_row("a:timestamp", "{\"a\":9223372036825200000}", "infinity\t");
	check_row("a:timestamp", "{\"a\":-9223372036832400000}", "-infinity\t");
	check_row("a:timestamptz", "{\"a\":\"2023-01-19T10:34:56.5Z\"}",
		  "2023-01-19 10:34:56.5+00\t");
	check_row("a:timestamptz", "{\"a\":\"2023-01-19T10:34:56+05:30\"}",
		  "2023-01-19 05:04:56+00\t");
	check_row("a:timestamptz", "{\"a\":\"2023-01-19T10:34:56-05\"}",
		  "2023-01-19 15:34:56+00\t");
	check_row("a:timestamptz", "{\"a\":\"infinity\"}", "infinity\t");
	check_row("a:timestamptz", "{\"a\":\"0000-12-30T00:00:00Z\"}",
		  "0001-12-30 00:00:00+00 BC\t");
	check_row("a:timestamp", "{\"a\":\"2024-02-29T23:59:59.000001Z\"}",
		  "2024-02-29 23:59:59.000001\t");
	check_row_refused("a:timestamptz", "{\"a\":1674131696123456}", "declared timestamp with");
	check_row_refused("a:timestamptz", "{\"a\":\"2023-02-29T00:00:00Z\"}", "2023-02-29");
	check_row_refused("a:timestamptz", "{\"a\":\"2023-02-28 00:00:00Z\"}", "2023-02-28");
	check_row_refused("a:timestamptz", "{\"a\":\"2023-02-28T00:00:00.0000001Z\"}", "0000001Z");
	check_row_refused("a:timestamptz", "{\"a\":\"2023-02-28T24:00:00Z\"}", "T24");
	check_row_refused("a:timestamptz", "{\"a\":\"2023-02-28T00:00:00+24:00\"}", "+24");
	check_row_refused("a:timestamptz", "{\"a\":\"2023-02-28T00:00:00+01:60\"}", ":60");
	check_row_refused("a:timestamptz", "{\"a\":\"\"}", "\"a\" is declared");
	check_row_refused("a:timestamp", "{\"a\":1.5}", "1.5");
	check_row("a:timestamp", "{\"a\":9223372036854775806}", "294247-01-10 04:00:54.775806\t");
	check_row("a:timestamp", "{\"a\":-210866803200000000}", "4714-11-24 00:00:00 BC\t");
	check_row_refused("a:timestamp", "{\"a\":-210866803200000001}", "-2108668");
	check_row_refused("a:timestamptz", "{\"a\":\"294277-01-01T00:00:00Z\"}", "294277");
}

Test(debezium, text_keeps_its_bytes)
{
	check_row("a:text b:text", "{\"a\":\"x\\u00e9\\n\",\"b\":\"\"}", "x\xC3\xA9\n\t\t");
	check_row_refused("a:text", "{\"a\":\"x\\u0000\"}", "NUL");
	check_row_refused("a:text", "{\"a\":\"\xFF\"}", "not UTF-8");
	check_row_refused("a:text", "{\"a\":1}", "\"a\" is declared text");
}

/* The schema block of one column, and a payload with it. */
static char *
wrap(const char *type, const char *row)
{
	return xasprintf(
	    "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"struct\",\"fields\":"
	    "[{%s,\"field\":\"a\"}],\"field\":\"after\"}]},\"payload\":{\"after\":%s,"
	    "" SOME_SOURCE ",\"op\":\"c\"}}",
	    type, row);
}

static void
check_wrapped(const char *columns, const char *type, const char *row, const char *expected)
{
	char *value = wrap(type, row);
	struct attempt a = attempt_once(columns, NULL, value);

	cr_assert_eq(a.result, 0, "%s: %s", row, a.error);
	char *line = truth_line(a.table, a.event.after);
	cr_assert_str_eq(line, expected, "%s gives %s", row, line);
	free(line);
	free(value);
	attempt_end(&a);
}

static void
check_wrapped_refused(const char *columns, const char *type, const char *row, const char *part)
{
	char *value = wrap(type, row);

	check_refused(columns, NULL, value, part);
	free(value);
}

#define DECIMAL(scale)                                                                             \
	"\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\","                   \
	"\"parameters\":{\"scale\":\"" scale "\"}"
#define INT64(name)  "\"type\":\"int64\",\"name\":\"" name "\""
#define STRING(name) "\"type\":\"string\",\"name\":\"" name "\""

Test(debezium, the_schema_block_says_how_values_are_written)
{
	check_wrapped("a:numeric", DECIMAL("2"), "{\"a\":\"BNI=\"}", "12.34\t");
	check_wrapped("a:numeric(9,0)", DECIMAL("0"), "{\"a\":\"1234\"}", "-2658824\t");
	check_wrapped("a:numeric(9,0)", "\"type\":\"string\"", "{\"a\":\"1234\"}", "1234\t");
	check_wrapped("a:numeric(9,2)", "\"type\":\"double\"", "{\"a\":12.5}", "12.50\t");
	check_wrapped("a:timestamp", INT64("io.debezium.time.Timestamp"), "{\"a\":1795493930840}",
		      "2026-11-24 04:18:50.84\t");
	check_wrapped("a:timestamp", INT64("org.apache.kafka.connect.data.Timestamp"), "{\"a\":-1}",
		      "1969-12-31 23:59:59.999\t");
	check_wrapped("a:timestamp", INT64("io.debezium.time.MicroTimestamp"), "{\"a\":-1}",
		      "1969-12-31 23:59:59.999999\t");
	check_wrapped("a:timestamp", INT64("io.debezium.time.NanoTimestamp"), "{\"a\":-1000}",
		      "1969-12-31 23:59:59.999999\t");
	check_wrapped("a:timestamp", INT64("io.debezium.time.Timestamp"),
		      "{\"a\":9223372036825200}", "infinity\t");
	check_wrapped("a:timestamp", STRING("io.debezium.time.IsoTimestamp"),
		      "{\"a\":\"2026-11-24T04:18:50Z\"}", "2026-11-24 04:18:50\t");
	check_wrapped("a:text", STRING("io.debezium.data.Json"), "{\"a\":\"{}\"}", "{}\t");
	check_wrapped_refused("a:timestamp", INT64("io.debezium.time.NanoTimestamp"),
			      "{\"a\":1001}", "1001");
	check_wrapped_refused("a:timestamp", INT64("io.debezium.time.Timestamp"),
			      "{\"a\":9223372036854776}", "9223372036854776");
	check_wrapped_refused("a:boolean", "\"type\":\"int16\"", "{\"a\":true}", "int16");
	check_wrapped_refused("a:integer", DECIMAL("2"), "{\"a\":\"BNI=\"}",
			      "connect.data.Decimal");
	check_wrapped_refused("a:integer", INT64("io.debezium.time.Date"), "{\"a\":1}", "Date");
	check_wrapped_refused("a:timestamp", STRING("io.debezium.time.ZonedTimestamp"),
			      "{\"a\":\"2026-11-24T04:18:50Z\"}", "ZonedTimestamp");
	check_wrapped_refused("a:text", "\"type\":\"bytes\"", "{\"a\":\"AAA=\"}", "bytes");
	check_wrapped_refused("a:numeric", DECIMAL("x"), "{\"a\":\"BNI=\"}", "without a scale");
	check_wrapped("a:numeric", "\"type\":\"double\"", "{\"a\":\"Infinity\"}", "Infinity\t");
}

#define ARRAY(items) "\"type\":\"array\",\"items\":{" items "}"
#define ENUM(allowed)                                                                              \
	STRING("io.debezium.data.Enum") ",\"parameters\":{\"allowed\":\"" allowed "\"}"

Test(debezium, the_schema_block_of_arrays_labels_and_bytes)
{
	check_wrapped("a:numeric(9,2)[]", ARRAY(DECIMAL("2")), "{\"a\":[\"BNI=\",null]}",
		      "{12.34,NULL}\t");
	check_wrapped("a:time[]", ARRAY(INT64("io.debezium.time.NanoTime")), "{\"a\":[1000]}",
		      "{00:00:00.000001}\t");
	check_wrapped_refused("a:numeric[]", ARRAY(DECIMAL("x")), "{\"a\":[]}", "without a scale");
	check_wrapped_refused("a:time[]", ARRAY(INT64("io.debezium.time.Date")), "{\"a\":[]}",
			      "declared time without time zone[], but the message's schema says "
			      "io.debezium.time.Date");
	check_wrapped_refused("a:integer[]", "\"type\":\"int32\"", "{\"a\":1}", "says int32");
	check_wrapped_refused("a:integer", ARRAY("\"type\":\"int32\""), "{\"a\":[1]}",
			      "says array");
	check_wrapped_refused("a:integer[]", ARRAY(ARRAY("\"type\":\"int32\"")), "{\"a\":[]}",
			      "says array");
	check_wrapped("a:enum(sad,ok)", ENUM("sad,new,ok"), "{\"a\":\"ok\"}", "ok\t");
	check_wrapped_refused("a:enum(sad,ok)", ENUM("sad,new,ok"), "{\"a\":\"new\"}",
			      "'new', which is no label");
	check_wrapped_refused("a:enum(sad,ok)", ENUM("ok,sad"), "{\"a\":\"ok\"}", "another order");
	check_wrapped("a:text", ENUM("ok,sad"), "{\"a\":\"ok\"}", "ok\t");
	check_wrapped("a:bytea", "\"type\":\"bytes\"", "{\"a\":\"AAE=\"}", "\\x0001\t");
	check_wrapped_refused("a:bytea", "\"type\":\"string\"", "{\"a\":\"AAE=\"}",
			      "\"binary.handling.mode\"");
	check_wrapped_refused("a:text",
			      "\"type\":\"struct\",\"name\":\"io.debezium.data.geometry.Point\"",
			      "{\"a\":null}", "geometry.Point");
}

Test(debezium, a_changed_schema_block_is_read_anew)
{
	char *two = wrap(DECIMAL("2"), "{\"a\":\"BNI=\"}"),
	     *three = wrap(DECIMAL("3"), "{\"a\":\"BNI=\"}");
	const char *bare = "{\"after\":{\"a\":\"7\"}," SOME_SOURCE ",\"op\":\"c\"}";
	const char *null =
	    "{\"schema\":null,\"payload\":{\"after\":{\"a\":\"8\"}," SOME_SOURCE ",\"op\":\"c\"}}";
	const char *const values[] = {two, two, three, three, bare, two, null, two};
	const char *const lines[] = {"12.34\t", "12.34\t", "1.234\t", "1.234\t",
				     "7\t",     "12.34\t", "8\t",     "12.34\t"};
	struct attempt a = attempt_new("a:numeric");

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		attempt_read(&a, NULL, 0, values[i], strlen(values[i]));
		cr_assert_eq(a.result, 0, "%s", a.error);
		char *line = truth_line(a.table, a.event.after);
		cr_assert_str_eq(line, lines[i]);
		free(line);
	}
	cr_assert_eq(decoder_schemas_skipped(a.decoder), 2);
	attempt_end(&a);
	free(two);
	free(three);
}

#define AFTER(row)     "{\"before\":null,\"after\":" row "," SOME_SOURCE ",\"op\":\"c\"}"
#define DELETE_OF(row) "{\"before\":" row ",\"after\":null," SOME_SOURCE ",\"op\":\"d\"}"

Test(debezium, the_primary_key_is_the_message_key)
{
	const char *columns = "a:integer:key b:text:key c:integer";
	struct attempt a =
	    attempt_once(columns, "{\"b\":\"x\",\"a\":1}", AFTER("{\"a\":1,\"b\":\"x\",\"c\":2}"));

	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert(a.event.has_after && !a.event.has_before);
	cr_assert(a.event.key[0].kind == VALUE_INT && a.event.key[0].i == 1);
	cr_assert(a.event.key[1].kind == VALUE_TEXT && a.event.key[1].len == 1);
	attempt_end(&a);
	check_refused(columns, "{\"a\":1}", AFTER("{\"a\":1,\"b\":\"x\",\"c\":2}"),
		      "the message key is (a) but table \"t\" declares PRIMARY KEY (a, b)");
	check_refused("a:integer:key", "{\"a\":1,\"b\":2}", AFTER("{\"a\":1}"),
		      "the message key is (a, b) but");
	check_refused("a:integer:key", NULL, AFTER("{\"a\":1}"), "has no key");
	check_refused("a:integer:key", "{\"a\":null}", AFTER("{\"a\":1}"), "null \"a\"");
	check_refused("a:integer:key", "Struct{a=1}", AFTER("{\"a\":1}"),
		      "begins with \"Struct{a=1}\"");
	check_refused("a:integer:key", "{\"a\":1} x", AFTER("{\"a\":1}"),
		      "malformed JSON at byte 8");
	check_refused("a:integer:key", "{\"payload\":{\"a\":1}}", AFTER("{\"a\":1}"), "no schema");
}

Test(debezium, deletes_and_tombstones_carry_the_key)
{
	struct attempt a = attempt_once(
	    "a:integer:key b:integer:notnull",
	    "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"field\":\"a\"}]},"
	    "\"payload\":{\"a\":7}}",
	    DELETE_OF("{\"a\":7,\"b\":0}"));

	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert(a.event.op == 'd' && !a.event.has_before && !a.event.has_after);
	cr_assert_eq(a.event.key[0].i, 7);
	attempt_read(&a, "{\"a\":8}", 7, NULL, 0);
	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert_eq(a.event.place.kind, EVENT_TOMBSTONE);
	cr_assert_eq(a.event.key[0].i, 8);
	const char *null = "{\"schema\":null,\"payload\":null}";
	attempt_read(&a, "{\"a\":8}", 7, null, strlen(null));
	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert_eq(a.event.place.kind, EVENT_TOMBSTONE);
	attempt_end(&a);
}

Test(debezium, a_keyless_table_needs_whole_old_rows)
{
	const char *columns = "a:integer:notnull b:integer";
	struct attempt a =
	    attempt_once(columns, NULL,
			 "{\"before\":{\"a\":1,\"b\":2},\"after\":{\"a\":3,\"b\":null},"
			 "" SOME_SOURCE ",\"op\":\"u\"}");

	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert(a.event.has_before && a.event.has_after);
	cr_assert(a.event.before[1].i == 2 && a.event.after[0].i == 3);
	attempt_end(&a);
	check_refused(columns, NULL,
		      "{\"before\":null,\"after\":{\"a\":1,\"b\":2}," SOME_SOURCE ",\"op\":\"u\"}",
		      "ALTER TABLE public.t REPLICA IDENTITY FULL");
	check_refused(columns, NULL, DELETE_OF("null"), "DELETE on keyless table \"t\" needs");
	check_refused(columns, NULL, DELETE_OF("{\"a\":null,\"b\":2}"), "REPLICA IDENTITY FULL");
	check_refused(columns, "{\"a\":1}", DELETE_OF("{\"a\":1,\"b\":null}"),
		      "declare the PRIMARY KEY");
	check_refused(columns, "{\"a\":1}",
		      "{\"before\":{\"a\":1,\"b\":0},\"after\":{\"a\":1,\"b\":2}," SOME_SOURCE
		      ",\"op\":\"u\"}",
		      "UPDATE on table \"t\", which declares no PRIMARY KEY");
	check_refused(columns, NULL, DELETE_OF("{\"a\":1}"),
		      "no column \"b\" of table \"t\"; it has: a");
}

Test(debezium, a_truncate_has_a_place_and_no_row)
{
	static const char *const text = "{\"before\":null,\"after\":null,\"source\":{\"lsn\":7,"
					"\"ts_ms\":9,\"snapshot\":\"last\"},\"op\":\"t\"}";
	static const char *const columns[] = {"a:integer:key", "a:integer"};

	for (unsigned i = 0; i < 2; i++) {
		struct attempt a = attempt_once(columns[i], NULL, text);
		cr_assert_eq(a.result, 0, "%s", a.error);
		cr_assert(a.event.op == 't' && a.event.place.truncate);
		cr_assert(!a.event.has_before && !a.event.has_after);
		cr_assert_eq(a.event.place.kind, EVENT_CHANGE);
		cr_assert_eq(a.event.place.snapshot, SNAPSHOT_FALSE);
		cr_assert(a.event.place.has_lsn && a.event.place.lsn == 7);
		a.table->truncate = TRUNCATE_REFUSE;
		attempt_read(&a, NULL, 0, text, strlen(text));
		cr_assert_eq(a.result, -1);
		cr_assert_not_null(strstr(a.error, "TRUNCATE of public.t, and the option"), "%s",
				   a.error);
		attempt_end(&a);
	}
	check_refused("a:integer", NULL, "{\"after\":null,\"op\":\"t\"}", "no \"source\"");
}

#define UNCHANGED "{\"a\":1,\"b\":\"__debezium_unavailable_value\"}"

Test(debezium, unchanged_toast_is_kept_or_refused)
{
	struct attempt a = attempt_once("a:integer:key b:text", "{\"a\":1}",
					"{\"after\":" UNCHANGED "," SOME_SOURCE ",\"op\":\"u\"}");

	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert_eq(a.event.after[1].kind, VALUE_UNCHANGED);
	attempt_end(&a);
	check_refused("a:integer b:text", NULL,
		      "{\"before\":{\"a\":1,\"b\":\"x\"},\"after\":" UNCHANGED "," SOME_SOURCE
		      ",\"op\":\"u\"}",
		      "column \"b\" was not sent");
	check_refused("a:integer:key b:text", "{\"a\":1}", AFTER(UNCHANGED),
		      "REPLICA IDENTITY FULL");
}

Test(debezium, what_is_no_envelope_is_named)
{
	check_refused("a:integer", NULL, "{\"op\":\"x\"}", "op \"x\" is unknown");
	check_refused("a:integer", NULL, "{\"op\":\"create\"}", "op \"create\" is unknown");
	check_refused("a:integer", NULL, "{" SOME_SOURCE ",\"op\":\"c\"}", "no \"after\"");
	check_refused("a:integer", NULL, "{\"a\":1,\"__deleted\":\"false\"}",
		      "ExtractNewRecordState");
	check_refused("a:integer", NULL, "{\"a\":1,\"b\":2}", "no \"op\" but: a, b");
	check_refused("a:integer", NULL, "{\"id\":\"1\",\"specversion\":\"1.0\"}", "CloudEvent");
	check_refused("a:integer", NULL, "Avro? no", "begins with \"Avro? no\"");
	check_refused("a:integer", NULL, "[1]", "begins with \"[1]\"");
	check_refused("a:integer", NULL, "", "no JSON object");
	check_refused("a:integer", NULL, AFTER("{\"x\":1,\"y\":2}"),
		      "no column \"a\" of table \"t\"; it has: x, y");
	check_refused("a:integer", NULL, AFTER("{\"a\":1}}"), "malformed JSON at byte 31");
	check_refused("a:integer", NULL, AFTER("{\"a\":1}") ",", "something follows");
	check_refused("a:integer", NULL, "{\"schema\":{}}", "no payload");
	check_refused("a:integer", NULL, "{\"schema\":{\"fields\":7},\"payload\":{}}", "schema is");
	struct attempt a = attempt_new("a:integer");
	attempt_read(&a, NULL, 0, "\0\0\0\0\1xyz", 8);
	cr_assert_not_null(strstr(a.error, "Avro"), "%s", a.error);
	attempt_end(&a);
}

static struct event_place
place_of(const char *columns, const char *value)
{
	struct attempt a = attempt_once(columns, NULL, value);

	cr_assert_eq(a.result, 0, "%s: %s", value, a.error);
	attempt_end(&a);
	return a.event.place;
}

#define SOURCE(members) "{\"source\":{" WANTED "," members "},\"after\":{\"a\":1},\"op\":\"r\"}"

/* Names whose JSON form has escapes, and a name that looks like the escaped form of another. */
Test(debezium, member_names_may_have_escapes)
{
	const char *value =
	    "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"after\","
	    "\"type\":\"struct\",\"fields\":["
	    "{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\","
	    "\"parameters\":{\"scale\":\"2\"},\"field\":\"q\\\"u\"},"
	    "{\"type\":\"int32\",\"field\":\"\\u00fcn\\u00efcode\"},"
	    "{\"type\":\"int32\",\"field\":\"b\\\\s\"}]}]},"
	    "\"payload\":{\"before\":null,\"after\":{\"q\\\"u\":\"BNI=\","
	    "\"\\u00fcn\\u00efcode\":5,\"b\\\\s\":6},"
	    "" SOME_SOURCE ",\"op\":\"c\"}}";
	struct attempt a =
	    attempt_once("q\"u:numeric(8,2) ünïcode:integer b\\s:integer", NULL, value);

	cr_assert_eq(a.result, 0, "%s", a.error);
	char *line = truth_line(a.table, a.event.after);
	cr_assert_str_eq(line, "12.34\t5\t6\t");
	free(line);
	attempt_end(&a);
	check_row_refused("q\\\"u:integer", "{\"q\\\"u\":1}", "q\\\"u");
	a = attempt_once("k\"d:integer:key", "{\"k\\\"d\":3}",
			 "{\"after\":{\"k\\\"d\":3}," SOME_SOURCE ",\"op\":\"c\"}");
	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert_eq(a.event.key[0].i, 3);
	attempt_end(&a);
}

Test(debezium, excerpts_keep_whole_characters)
{
	check_row_refused("a:integer", "{\"ünïcode\":1}", "ünïcode");
	check_row_refused("a:integer", "{\"a\":\"xyzżółw żółw żółw żółw żółw żółw żółw żółw\"}",
			  "żółw żó...");
	/* Control characters of either kind, and bytes that are no UTF-8. */
	check_row_refused("a:integer", "{\"a\":\"x\xC2\x85y\x1Bz\xC3\"}", "\"x??y?z?\"");
}

Test(debezium, an_event_without_source_is_refused)
{
	check_refused("a:integer", NULL, "{\"op\":\"c\",\"after\":{\"a\":3}}", "no \"source\"");
	check_refused("a:integer", NULL, "{\"source\":null,\"op\":\"c\",\"after\":{\"a\":3}}",
		      "no \"source\"");
}

#define EVENT_OF(source) "{\"source\":{" source "},\"after\":{\"a\":1},\"op\":\"c\"}"

/* Else it would be told from no repeat, or be taken for one of another connector. */
Test(debezium, an_event_with_half_a_source_is_refused)
{
	check_refused("a:integer", NULL, EVENT_OF(""), "no \"lsn\"");
	check_refused("a:integer", NULL,
		      EVENT_OF("\"txId\":8,\"ts_ms\":9,\"snapshot\":\"false\",\"l\x01sn\":7"),
		      "name of a member");
	check_refused("a:integer", NULL,
		      EVENT_OF("\"l\\u0073n\":7,\"txId\":8,\"ts_ms\":9,\"snapshot\":\"false\""),
		      "name of a member");
	check_refused("a:integer", NULL,
		      EVENT_OF("\"lsn\":null,\"txId\":8,\"ts_ms\":9,\"snapshot\":\"false\""),
		      "no \"lsn\"");
	check_refused("a:integer", NULL, EVENT_OF("\"lsn\":7,\"txId\":8,\"snapshot\":\"false\""),
		      "no \"ts_ms\"");
	check_refused("a:integer", NULL, EVENT_OF("\"lsn\":7,\"txId\":8,\"ts_ms\":9"),
		      "no \"snapshot\"");
	check_refused("a:integer", NULL, EVENT_OF(WANTED ",\"version\":\"1.5.0.Final\""),
		      "no \"sequence\"");
	check_refused("a:integer", NULL, EVENT_OF(WANTED ",\"version\":\"1.10.0.Final\""),
		      "no \"sequence\"");
	cr_assert_not(
	    place_of("a:integer", EVENT_OF(WANTED ",\"version\":\"1.4.2.Final\"")).has_sequences);
}

Test(debezium, the_place_of_an_event)
{
	struct event_place p = place_of(
	    "a:integer",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1795493405886,\"snapshot\":"
	    "\"false\",\"sequence\":\"[\\\"18446744073709551615\\\",\\\"5\\\"]\",\"txId\":4631,"
	    "\"lsn\":9007199254740993,\"xmin\":null},\"transaction\":{\"id\":\"4631:9\","
	    "\"total_order\":4,\"data_collection_order\":3},\"op\":\"c\",\"ts_ms\":1}");

	cr_assert(p.kind == EVENT_CHANGE && p.snapshot == SNAPSHOT_FALSE);
	cr_assert(p.has_sequences && p.has_sequence && p.sequence == UINT64_MAX);
	cr_assert(p.has_lsn && p.lsn == 9007199254740993u);
	cr_assert(p.xid == 4631 && p.order == 3 && p.source_ms == 1795493405886);
	p = place_of("a:integer",
		     SOURCE("\"sequence\":\"[null,\\\"5\\\"]\",\"snapshot\":\"last\""));
	cr_assert(p.has_sequences && !p.has_sequence && p.has_lsn && p.order == 0);
	cr_assert_eq(p.snapshot, SNAPSHOT_LAST);
	p = place_of("a:integer", SOURCE("\"snapshot\":true,\"lsn\":null,\"txId\":null"));
	cr_assert(!p.has_sequences && p.snapshot == SNAPSHOT_TRUE && !p.has_lsn);
	/* What a connector streams after a death in a snapshot. */
	p = place_of("a:integer", "{\"source\":{" WANTED
				  ",\"snapshot\":\"true\"},\"op\":\"c\",\"after\":{\"a\":1}}");
	cr_assert(p.kind == EVENT_CHANGE && p.snapshot == SNAPSHOT_FALSE && p.lsn == 7);
	p = place_of("a:integer", "{\"ts_ms\":77}");
	cr_assert(p.kind == EVENT_NOTHING && p.source_ms == 77);
	check_refused("a:integer", NULL, "{\"after\":{\"a\":1}," SOME_SOURCE ",\"ts_ms\":77}",
		      "no \"op\"");
	p = place_of("a:integer", "{\"op\":\"m\",\"source\":{},\"message\":{\"prefix\":\"p\"}}");
	cr_assert_eq(p.kind, EVENT_NOTHING);
	p = place_of("a:integer", "{\"databaseName\":\"d\",\"ddl\":\"x\"}");
	cr_assert_eq(p.kind, EVENT_NOTHING);
	check_refused("a:integer", NULL, SOURCE("\"sequence\":\"[7]\""), "source.sequence");
	check_refused("a:integer", NULL, SOURCE("\"snapshot\":\"maybe\""), "source.snapshot");
	check_refused("a:integer", NULL, SOURCE("\"lsn\":-1"), "whole number");
}

Test(debezium, a_payload_may_stand_before_its_schema)
{
	struct attempt a = attempt_once(
	    "a:timestamp", NULL,
	    "{\"payload\":{\"after\":{\"a\":1000}," SOME_SOURCE ",\"op\":\"c\"},\"schema\":{"
	    "\"fields\":[{"
	    "\"fields\":"
	    "[{" INT64("io.debezium.time.Timestamp") ",\"field\":\"a\"}],\"field\":\"after\"}]}}");

	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert_eq(a.event.after[0].i, 1000000);
	attempt_end(&a);
}

/* A column that the schema block does not describe could be read in more than one way. */
Test(debezium, a_schema_block_must_describe_each_column)
{
	check_refused(
	    "a:timestamp", NULL,
	    "{\"schema\":{\"fields\":[{\"fields\":[{" INT64(
		"io.debezium.time.Timestamp") ",\"field\":\"aX\"}],\"field\":\"after\"}]},"
					      "\"payload\":{\"after\":{\"a\":1000}," SOME_SOURCE
					      ",\"op\":\"c\"}}",
	    "schema lacks its column \"a\"");
	check_refused("a:integer", NULL,
		      "{\"schema\":{\"fields\":[{\"field\" \"after\"}]},\"payload\":{}}",
		      "schema is malformed at byte 30: ");
}

/* The placeholder of an unchanged value may be a key's own text: keys are always sent. */
Test(debezium, a_key_is_never_unchanged)
{
	struct attempt a = attempt_once(
	    "k:text:key", "{\"k\":\"__debezium_unavailable_value\"}",
	    "{\"after\":{\"k\":\"__debezium_unavailable_value\"}," SOME_SOURCE ",\"op\":\"u\"}");

	cr_assert_eq(a.result, 0, "%s", a.error);
	for (unsigned i = 0; i < 2; i++) {
		const struct value *v = i == 0 ? &a.event.key[0] : &a.event.after[0];
		cr_assert(v->kind == VALUE_TEXT && v->len == 28 &&
			  memcmp(v->s, "__debezium_un", 13) == 0);
	}
	attempt_end(&a);
	a = attempt_once("k:text:key", "{\"k\":\"__debezium_unavailable_value\"}",
			 "{\"after\":{\"k\":\"__debezium_unavailable_value\"}," SOME_SOURCE
			 ",\"op\":\"c\"}");
	cr_assert_eq(a.result, 0, "%s", a.error);
	cr_assert_eq(a.event.after[0].len, 28);
	attempt_end(&a);
}
