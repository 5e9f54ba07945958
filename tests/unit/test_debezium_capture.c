/*
 * The decoder on captures of real connectors: what they fold to is the table that was there.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"
#include "tests/unit/capture.h"
#include "tests/unit/truth.h"

#define ORDERS                                                                                     \
	"order_id:integer:key customer_id:integer product:text category:text qty:integer "         \
	"price:numeric(10,2) discount:numeric(5,4) status:text shipping_address:text note:text "   \
	"priority:integer express:boolean created_at:timestamptz attrs:text"
#define TYPES                                                                                      \
	"id:integer:key c_smallint:integer c_integer:integer c_bigint:bigint "                     \
	"c_num204:numeric(20,4) c_num50:numeric(5,0) c_bool:boolean c_text:text c_varchar:text "   \
	"c_char:text c_tstz:timestamptz c_uuid:text c_json:text c_jsonb:text c_enum:text "         \
	"c_citext:text c_def:integer"

/* Decode a whole capture. */
static struct lines
fold_capture(const char *path, const struct table *t, uint64_t *skipped)
{
	struct capture *c = capture_open(path);
	struct decoder *d = decoder_new(t);
	struct fold *f = fold_new(t);
	struct message m;
	struct event ev;
	char error[512];

	while (capture_next(c, &m)) {
		int result = decoder_read(d, m.key, m.key_len, m.value, m.value_len, &ev, error,
					  sizeof(error));
		cr_assert_eq(result, 0, "%s, offset %" PRId64 ": %s", path, m.offset, error);
		if (ev.op == 't')
			fold_clear(f);
		else
			fold_apply(f, &ev);
	}
	if (skipped)
		*skipped = decoder_schemas_skipped(d);
	decoder_free(d);
	capture_close(c);
	return fold_finish(f);
}

/* Forget the row whose line starts like this: the connector itself sent it wrong. */
static void
lines_drop(struct lines *l, const char *prefix)
{
	for (size_t i = 0; i < l->count; i++) {
		if (strncmp(l->line[i], prefix, strlen(prefix)) != 0)
			continue;
		free(l->line[i]);
		memmove(&l->line[i], &l->line[i + 1], (--l->count - i) * sizeof(*l->line));
		return;
	}
	cr_assert_fail("no row starts with %s", prefix);
}

/* `wrong`: prefixes of rows to leave out, ended by NULL. */
static void
check_truth(const char *capture, const char *columns, const char *csv, const char *const *wrong)
{
	struct table *t = truth_declare(columns);
	struct lines found = fold_capture(capture, t, NULL), truth = truth_read(csv, t);

	for (; wrong && *wrong; wrong++) {
		lines_drop(&found, *wrong);
		lines_drop(&truth, *wrong);
	}
	cr_assert_eq(found.count, truth.count, "%zu rows, not %zu", found.count, truth.count);
	cr_assert_gt(truth.count, 0);
	for (size_t i = 0; i < truth.count; i++)
		cr_assert_str_eq(found.line[i], truth.line[i]);
	lines_free(&found);
	lines_free(&truth);
	truth_free_table(t);
}

Test(debezium_capture, values_with_the_schema_block)
{
	check_truth("tests/data/values-insert/schema.jsonl.zst", "value:integer:notnull",
		    "tests/data/values-insert/final.csv", NULL);
}

Test(debezium_capture, values_as_bare_json)
{
	check_truth("tests/data/values-insert/plain.jsonl.zst", "value:integer:notnull",
		    "tests/data/values-insert/final.csv", NULL);
}

Test(debezium_capture, inserts_updates_and_deletes_by_key)
{
	check_truth("tests/data/values-mixed/mixed_default.jsonl.zst",
		    "id:integer:key value:integer",
		    "tests/data/values-mixed/mixed_default.final.csv", NULL);
}

Test(debezium_capture, a_killed_connector_repeats_itself)
{
	check_truth("tests/data/restart/kill.jsonl.zst", "id:integer:key value:integer",
		    "tests/data/restart/kill.final.csv", NULL);
}

Test(debezium_capture, orders_with_decimals_as_strings)
{
	check_truth("tests/data/orders-default/orders_default.jsonl.zst", ORDERS,
		    "tests/data/orders-default/final.csv", NULL);
}

/* The connector's snapshot reads a date before Christ by another calendar. */
static const char *const wrong_date[] = {"21\t", NULL};

Test(debezium_capture, types_with_the_schema_block)
{
	static const char *const captures[][2] = {
	    {"tests/data/types/ty1.types.jsonl.zst", "tests/data/types/types.final.csv"},
	    {"tests/data/types/ty1.types_full.jsonl.zst", "tests/data/types/types_full.final.csv"}};

	for (size_t i = 0; i < 2; i++)
		check_truth(captures[i][0], TYPES " c_ts:timestamp c_ts3:timestamp c_ts0:timestamp",
			    captures[i][1], wrong_date);
}

Test(debezium_capture, types_as_bare_json)
{
	static const char *const captures[][2] = {
	    {"tests/data/types/ty4.types.jsonl.zst", "tests/data/types/types.final.csv"},
	    {"tests/data/types/ty4.types_full.jsonl.zst", "tests/data/types/types_full.final.csv"}};

	for (size_t i = 0; i < 2; i++)
		check_truth(captures[i][0], TYPES " c_ts:timestamp", captures[i][1], wrong_date);
}

static void
lines_strip_zeros(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++) {
		char *line = l->line[i];
		size_t len = strlen(line) - 1; /* the tab at its end */
		bool point = strchr(line, '.') != NULL;
		while (point && line[len - 1] == '0')
			len--;
		line[len - (line[len - 1] == '.')] = '\0';
	}
}

/*
 * A numeric without a declared scale: in mode precise the connector strips its trailing zeros, and
 * sends NaN as null.
 */
Test(debezium_capture, decimals_of_variable_scale)
{
	struct table *t = truth_declare("id:integer:key c_num:numeric");
	struct lines truth = truth_read("tests/data/types/types.final.csv", t);
	static const char *const captures[] = {"tests/data/types/ty1.types.jsonl.zst",
					       "tests/data/types/ty4.types.jsonl.zst"};

	lines_strip_zeros(&truth);
	for (size_t c = 0; c < 2; c++) {
		struct lines found = fold_capture(captures[c], t, NULL);
		lines_strip_zeros(&found);
		cr_assert_eq(found.count, truth.count);
		for (size_t i = 0; i < truth.count; i++)
			if (!strstr(truth.line[i], "NaN"))
				cr_assert_str_eq(found.line[i], truth.line[i]);
		lines_free(&found);
	}
	lines_free(&truth);
	truth_free_table(t);
}

Test(debezium_capture, types_as_bare_json_with_decimals_as_strings)
{
	check_truth("tests/data/types/ty2.types.jsonl.zst", TYPES,
		    "tests/data/types/types.final.csv", NULL);
	check_truth("tests/data/types/ty2.types_full.jsonl.zst", TYPES,
		    "tests/data/types/types_full.final.csv", NULL);
}

Test(debezium_capture, three_versions_of_the_envelope)
{
	static const char *const captures[] = {"tests/data/versions/version-1.4.2.kcat.jsonl",
					       "tests/data/versions/version-2.7.4.kcat.jsonl",
					       "tests/data/versions/version-3.4.3.kcat.jsonl"};
	struct table *t = truth_declare("value:integer:notnull");

	for (size_t i = 0; i < 3; i++) { /* 1 and 2 come, 2 becomes 3, 3 goes */
		uint64_t skipped;
		struct lines l = fold_capture(captures[i], t, &skipped);
		cr_assert_eq(skipped, 3);
		cr_assert_eq(l.count, 1);
		cr_assert_str_eq(l.line[0], "1\t");
		lines_free(&l);
	}
	truth_free_table(t);
}
