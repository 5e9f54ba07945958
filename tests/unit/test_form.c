/*
 * What is read by the form of an earlier message (ingest/form.h) must be what the scanner reads. That
 * every capture, damaged in every way, is judged alike by both is shown by tests/mutations and the fuzz
 * target; here, when a form is used and when not.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"
#include "tests/unit/truth.h"

struct reader {
	struct table *table;
	struct decoder *decoder;
	struct event event;
	char error[512], value[4096];
};

static struct reader
reader_new(const char *columns)
{
	struct table *t = truth_declare(columns);

	return (struct reader){.table = t, .decoder = decoder_new(t)};
}

static void
reader_end(struct reader *r)
{
	decoder_free(r->decoder);
	truth_free_table(r->table);
}

static int
reader_read(struct reader *r, const char *key, const char *value)
{
	snprintf(r->value, sizeof(r->value), "%s", value);
	return decoder_read(r->decoder, key, key ? strlen(key) : 0, r->value, strlen(r->value),
			    &r->event, r->error, sizeof(r->error));
}

/* How a message was read that must be right. */
static bool
reader_by_form(struct reader *r, const char *key, const char *value)
{
	uint64_t before = decoder_by_form(r->decoder);

	cr_assert_eq(reader_read(r, key, value), 0, "%s", r->error);
	return decoder_by_form(r->decoder) > before;
}

static char *
message(const char *before, const char *after, char op, unsigned n)
{
	return xasprintf(
	    "{\"before\":%s,\"after\":%s,\"source\":{\"version\":\"3.7.0.Final\","
	    "\"ts_ms\":%u,\"snapshot\":\"false\",\"sequence\":\"[\\\"%u\\\",\\\"%u\\\"]\","
	    "\"txId\":%u,\"lsn\":%u,\"xmin\":null},\"transaction\":null,\"op\":\"%c\","
	    "\"ts_ms\":%u}",
	    before, after, n, n + 1, n + 2, n + 3, n + 4, op, n + 5);
}

static bool
read_row(struct reader *r, const char *key, const char *before, const char *after, char op,
	 unsigned n)
{
	char *value = message(before, after, op, n);
	bool by_form = reader_by_form(r, key, value);

	cr_assert_eq(r->event.op, op);
	cr_assert_eq(r->event.place.source_ms, n);
	cr_assert_eq(r->event.place.sequence, n + 1);
	cr_assert_eq(r->event.place.xid, n + 3);
	cr_assert_eq(r->event.place.lsn, n + 4);
	cr_assert(r->event.place.has_lsn && r->event.place.has_sequence);
	free(value);
	return by_form;
}

Test(form, the_second_message_is_read_by_the_form_of_the_first)
{
	struct reader r = reader_new("a:integer b:text");

	cr_assert(!read_row(&r, NULL, "null", "{\"a\":1,\"b\":\"x\"}", 'c', 10));
	cr_assert(read_row(&r, NULL, "null", "{\"a\":-22,\"b\":\"y\\nz\"}", 'c', 2000000));
	cr_assert_eq(r.event.after[0].i, -22);
	cr_assert(r.event.after[1].len == 3 && memcmp(r.event.after[1].s, "y\nz", 3) == 0);
	cr_assert(read_row(&r, NULL, "null", "{\"a\":null,\"b\":null}", 'r', 3));
	cr_assert(r.event.after[0].kind == VALUE_NULL && r.event.after[1].kind == VALUE_NULL);
	cr_assert_eq(decoder_by_scan(r.decoder), 1);
	reader_end(&r);
}

Test(form, columns_that_nobody_declared_may_change)
{
	struct reader r = reader_new("a:integer");

	cr_assert(!read_row(&r, NULL, "null", "{\"z\":\"one\",\"a\":1,\"y\":{\"q\":[1]}}", 'c', 1));
	cr_assert(read_row(&r, NULL, "null", "{\"z\":2,\"a\":7,\"y\":\"}\"}", 'c', 2));
	cr_assert_eq(r.event.after[0].i, 7);
	reader_end(&r);
}

Test(form, each_kind_of_change_has_one)
{
	struct reader r = reader_new("a:integer:key b:integer");
	const char *key = "{\"a\":5}";

	for (unsigned n = 1; n < 6; n++) {
		bool known = n > 1;
		cr_assert_eq(read_row(&r, key, "null", "{\"a\":5,\"b\":1}", 'c', n), known);
		cr_assert_eq(read_row(&r, key, "{\"a\":5,\"b\":0}", "{\"a\":5,\"b\":2}", 'u', n),
			     true);
		cr_assert_eq(read_row(&r, key, "{\"a\":5,\"b\":0}", "null", 'd', n), known);
		cr_assert(!r.event.has_after && r.event.key[0].i == 5);
	}
	reader_end(&r);
}

Test(form, a_keyless_tables_old_row_is_read)
{
	struct reader r = reader_new("a:integer b:integer");

	cr_assert(!read_row(&r, NULL, "{\"a\":5,\"b\":1}", "{\"a\":5,\"b\":2}", 'u', 1));
	cr_assert(read_row(&r, NULL, "{\"a\":6,\"b\":3}", "{\"a\":7,\"b\":4}", 'u', 2));
	cr_assert(r.event.has_before && r.event.has_after);
	cr_assert(r.event.before[0].i == 6 && r.event.before[1].i == 3);
	cr_assert(r.event.after[0].i == 7 && r.event.after[1].i == 4);
	reader_end(&r);
}

/* Each is refused just as by a decoder that has read nothing yet. */
Test(form, what_is_wrong_is_refused_with_the_same_sentence)
{
	static const char *const values[] = {
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":null,\"snapshot\":"
	    "\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":null},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":null}",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"x\"}",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}}",
	    "{\"before\":null,\"after\":{\"a\":12x},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":012},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":2147483648},\"source\":{\"ts_ms\":1,\"snapshot\":"
	    "\"false\",\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":1e1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"",
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"never\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	    "{\"before\":null,\"after\":{\"a\":\"1\"},\"source\":{\"ts_ms\":\"1\",\"snapshot\":"
	    "\"false\",\"txId\":1,\"lsn\":2},\"op\":\"c\"}",
	};
	static const char good[] =
	    "{\"before\":null,\"after\":{\"a\":1},\"source\":{\"ts_ms\":1,\"snapshot\":\"false\","
	    "\"txId\":1,\"lsn\":2},\"op\":\"c\"}";

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct reader warm = reader_new("a:integer"), fresh = reader_new("a:integer");
		cr_assert(!reader_by_form(&warm, NULL, good));
		int result = reader_read(&warm, NULL, values[i]);
		cr_assert_eq(reader_read(&fresh, NULL, values[i]), result);
		cr_assert_str_eq(warm.error, fresh.error);
		cr_assert(result != 0, "%s", values[i]);
		cr_assert(reader_by_form(&warm, NULL, good), "and the form stays");
		reader_end(&warm);
		reader_end(&fresh);
	}
}

/* Values as they may stand in a slot. */
static const char *const written[] = {
    "0",
    "7",
    "00",
    "07",
    "-0",
    "-7",
    "12",
    "1234567",
    "12345678",
    "123456789",
    "1234567890123",
    "12345678901234567",
    "123456789012345678",
    "1234567890123456789",
    "12345678901234567890",
    "1.5",
    "1e3",
    "1E3",
    "12345678.5",
    "1234567890123.5",
    "12345678e1",
    "1 ",
    "12345678 ",
    "null",
    "nul",
    "nullx",
    "true",
    "truth",
    "false",
    "{}",
    "[1,2]",
    "\"\"",
    "\"x\"",
    "\"12.34\"",
    "\"0.10\"",
    "\"00.10\"",
    "\"01.10\"",
    "\".10\"",
    "\"1.1\"",
    "\"1.100\"",
    "\"1234.56\"",
    "\"12345.67\"",
    "\"-1.10\"",
    "\"-0.00\"",
    "\"+1.10\"",
    "\"1.1x\"",
    "\"1x.10\"",
    "\"NaN\"",
    "\"1e1.00\"",
    "\"AQ==\"",
    "\"1234\"",
    "\"a long text of more than eight\"",
    "\"with \\\" quotes \\\\\"",
    "\"with \\u00e9 escapes\"",
    "\"caf\xc3\xa9 and more of it\"",
    "\"broken \xc3 utf-8 text\"",
    "\"a\ttab in it, raw\"",
    "\"no end",
};

/* By the form of a message before, as by a decoder that scans it: the same values, or the same sentence. */
static void
read_alike(const char *columns, const char *value_written)
{
	struct reader warm = reader_new(columns), fresh = reader_new(columns);
	char *row = xasprintf("{\"a\":%s,\"b\":\"x\"}", value_written);
	char *good = message("null", "{\"a\":null,\"b\":\"y\"}", 'c', 1000);
	char *value = message("null", row, 'c', 2000);

	cr_assert(!reader_by_form(&warm, NULL, good));
	int result = reader_read(&warm, NULL, value);
	cr_assert_eq(reader_read(&fresh, NULL, value), result, "%s: %s", columns, value_written);
	cr_assert_str_eq(warm.error, fresh.error);
	if (result == 0) {
		char *one = truth_line(warm.table, warm.event.after);
		char *other = truth_line(fresh.table, fresh.event.after);
		cr_assert_str_eq(one, other, "%s: %s", columns, value_written);
		free(one);
		free(other);
	}
	free(row);
	free(good);
	free(value);
	reader_end(&warm);
	reader_end(&fresh);
}

/* In a column of each kind, and in one that nobody declared. */
Test(form, what_is_read_at_a_glance_is_what_the_scanner_reads)
{
	static const char *const columns[] = {
	    "a:integer",      "a:bigint",  "a:smallint", "a:numeric(6,2)", "a:numeric(2,2)",
	    "a:numeric(4,0)", "a:numeric", "a:text",     "a:boolean",      "b:text"};

	for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
		for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
			read_alike(columns[k], written[i]);
}

Test(form, a_null_in_a_message_key_is_refused)
{
	struct reader r = reader_new("a:integer:key b:integer");
	char *value = message("null", "{\"a\":5,\"b\":1}", 'c', 1);

	cr_assert(!reader_by_form(&r, "{\"a\":5}", value));
	cr_assert_neq(reader_read(&r, "{\"a\":null}", value), 0);
	cr_assert_str_eq(r.error, "the message key has a null \"a\"");
	cr_assert(reader_by_form(&r, "{\"a\":6}", value));
	cr_assert_eq(r.event.key[0].i, 6);
	free(value);
	reader_end(&r);
}

/* A form counts only with the schema block that said how its values are written. */
Test(form, another_schema_between_makes_it_void)
{
	static const char wrapped[] =
	    "{\"schema\":{\"fields\":[{\"field\":\"after\",\"fields\":[{\"field\":\"a\",\"type\":"
	    "\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"parameters\":{"
	    "\"scale\":"
	    "\"%d\"}}]}]},\"payload\":{\"after\":{\"a\":\"BNI=\"},\"source\":{\"lsn\":7,\"ts_ms\":"
	    "9,"
	    "\"snapshot\":\"false\"},\"op\":\"c\"}}";
	static const char *const lines[] = {"12.34\t", "1.234\t"};
	struct reader r = reader_new("a:numeric");
	static const int scales[] = {2, 2, 3, 2, 3, 3};
	static const bool by_form[] = {false, true, false, false, false, true};

	for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
		char *value = xasprintf(wrapped, scales[i]);
		cr_assert_eq(reader_by_form(&r, NULL, value), by_form[i], "%zu", i);
		char *line = truth_line(r.table, r.event.after);
		cr_assert_str_eq(line, lines[scales[i] - 2]);
		free(line);
		free(value);
	}
	reader_end(&r);
}

Test(form, messages_without_one_are_not_studied_for_ever)
{
	struct reader r = reader_new("a:integer");

	for (unsigned n = 0; n < 3000; n++) {
		char *row = xasprintf("{\"a\":%u,\"b%u\":1}", n, n);
		cr_assert(!read_row(&r, NULL, "null", row, 'c', n));
		cr_assert_eq(r.event.after[0].i, n);
		free(row);
	}
	for (unsigned n = 0; n < 1100; n++)
		read_row(&r, NULL, "null", "{\"a\":1}", 'c', n);
	cr_assert(read_row(&r, NULL, "null", "{\"a\":1}", 'c', 1), "but now and then");
	reader_end(&r);
}
