/*
 * letters_test.c - messages for tallyd.dead_letter: written with their batch, once, whatever dies, and
 * byte for byte; and the table that they need.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

static struct table letter_table; /* as the harness's, but for the option */

static struct pipeline
pipeline_letters(void)
{
	struct pipeline p = pipeline_totals(1);

	letter_table = p.tables[0];
	letter_table.on_error = ON_ERROR_DEAD_LETTER;
	p.tables = &letter_table;
	return p;
}

/* So many letters of the next batch, at offsets 1000 times its number and up. */
static bool
put_letters(struct harness *h, unsigned count, uint32_t bytes)
{
	static uint8_t value[16384];

	for (unsigned i = 0; i < count; i++) {
		struct letter l = {
		    .partition = 3,
		    .offset = (int64_t)(h->next * 1000 + i),
		    .source_ms = 1700000000000,
		    .key = (const uint8_t *)"key",
		    .key_len = 3,
		    .key_bytes = 3,
		    .value = value,
		    .value_len = bytes,
		    .value_bytes = 50000,
		    .reason = "why",
		    .reason_len = 3,
		};
		if (!harness_letter(h, &l))
			return false;
	}
	return true;
}

static const char *
found_letters(const struct harness *h)
{
	return harness_sql(
	    "SELECT count(*), count(DISTINCT \"offset\"), min(\"offset\"), max(\"offset\"),"
	    " count(DISTINCT \"time\") FROM tallyd.dead_letter WHERE pipeline = '%s'",
	    h->pipeline->name);
}

/* Beside few rows, beside many, beside none; and with a time that is the commit's. */
void
test_letters(void)
{
	static const unsigned rows[] = {2, 3, 600, 4};
	struct pipeline p = pipeline_letters();
	struct harness h;

	open_ready(&h, &p);
	EXPECT(feed(&h, 2), "feed");
	EXPECT(feed_rows(&h, 3) && put_letters(&h, 2, 5) && harness_end_batch(&h), "few");
	EXPECT(feed_rows(&h, 600) && put_letters(&h, 1, 5) && harness_end_batch(&h), "many");
	EXPECT(feed(&h, 4), "feed");
	expect_durable(&h, 4);
	expect_batches("letters", rows, LENGTH(rows));
	EXPECT(put_letters(&h, 1, 5) && harness_end_batch(&h), "none");
	expect_durable(&h, 5);
	EXPECT(strcmp(found_letters(&h), "4|4|2000|5000|3") == 0, "%s; see %s", found_letters(&h),
	       h.log);
	EXPECT(
	    strcmp(harness_sql("SELECT count(*) FROM tallyd.dead_letter d WHERE pipeline = '%s'"
			       " AND \"offset\" < 5000 AND NOT EXISTS (SELECT FROM totals t WHERE"
			       " t.\"time\" = d.\"time\" AND key = \"offset\" / 1000)",
			       p.name),
		   "0") == 0,
	    "they have the time of their batch");
	EXPECT(board_counter(&h.board->stage[1], COUNTER_LETTERS) == 4, "counted");
	harness_close(&h);
}

void
test_letter_bytes(void)
{
	static const char reason[] = "says \xff\xc3\xa4 and \xc3";
	struct pipeline p = pipeline_letters();
	struct harness h;
	const struct letter letters[] = {
	    {.offset = INT64_MAX,
	     .key = (const uint8_t *)"",
	     .key_bytes = 0,
	     .value = (const uint8_t *)"\0\xff\1",
	     .value_len = 3,
	     .value_bytes = 70000,
	     .reason = reason,
	     .reason_len = sizeof(reason) - 1},
	    {.offset = 1, .key_bytes = -1, .value_bytes = -1, .reason = "", .reason_len = 0},
	};

	open_ready(&h, &p);
	EXPECT(harness_letter(&h, &letters[0]) && harness_letter(&h, &letters[1]) &&
		   harness_end_batch(&h),
	       "letters");
	expect_durable(&h, 1);
	const char *found = harness_sql(
	    "SELECT topic, partition, \"offset\", key, value, reason, source_time, key_bytes,"
	    " value_bytes FROM tallyd.dead_letter WHERE pipeline = '%s' ORDER BY \"offset\" DESC",
	    p.name);
	char *expected =
	    xasprintf("%s|0|9223372036854775807|\\x|\\x00ff01|says ?\xc3\xa4 and ?||0|70000\n"
		      "%s|0|1|||||| ",
		      letter_table.topic, letter_table.topic);
	expected[strlen(expected) - 1] = '\0';
	EXPECT(strcmp(found, expected) == 0, "%s and not %s; see %s", found, expected, h.log);
	free(expected);
	harness_close(&h);
}

/* --- faults ----------------------------------------------------------------------------------- */

/* Batches with letters, a death in one of them: all are there once, or a full recovery was asked for. */
static void
run_letter_fault(const char *fault, unsigned rows, unsigned letters, uint32_t bytes)
{
	struct pipeline p = pipeline_letters();
	struct harness h;
	char expected[64];
	bool fed = true;

	harness_open(&h, &p);
	harness_start(&h, false, fault);
	EXPECT(harness_hear(&h, 'R', 10000), "%s: ready; see %s", fault, h.log);
	h.restart = true;
	for (unsigned i = 1; i <= 3 && fed; i++)
		fed = feed_rows(&h, rows) && put_letters(&h, letters, bytes) &&
		      harness_end_batch(&h) && harness_durable(&h, i, 10000);
	snprintf(expected, sizeof(expected), "%u|%u|1000|%u|3", 3 * letters, 3 * letters,
		 3000 + letters - 1);
	if (fed)
		EXPECT(strcmp(found_letters(&h), expected) == 0, "%s: %s and not %s; see %s", fault,
		       found_letters(&h), expected, h.log);
	else
		EXPECT(h.code == EXIT_RECOVER && atomic_load(&h.board->released) != 0,
		       "%s: exit %d; see %s", fault, h.code, h.log);
	harness_close(&h);
}

void
test_letter_faults(void)
{
	static const char *const points[] = {"before_insert", "begun",        "copying",
					     "copy_end",      "before_check", "before_commit",
					     "commit_sent",   "after_commit", "after_publish"};
	static const char *const actions[] = {"error", "kill"};
	char fault[64];

	for (unsigned i = 0; i < LENGTH(points); i++)
		for (unsigned a = 0; a < LENGTH(actions); a++) {
			snprintf(fault, sizeof(fault), "egress.%s:2:%s", points[i], actions[a]);
			run_letter_fault(fault, 2, 3, 100);
			if (i % 2 == 0)
				run_letter_fault(fault, 600, 8, 8000);
		}
	run_letter_fault("egress.before_release:1:kill", 2, 20, 8000);
}

/* --- the table -------------------------------------------------------------------------------- */

/* A schema of before is only asked for it by a pipeline that writes letters. */
void
test_letter_table(void)
{
	struct pipeline p = pipeline_letters();
	struct harness h;

	harness_sql("DROP TABLE IF EXISTS tallyd.dead_letter");
	letter_table.on_error = ON_ERROR_SKIP;
	open_ready(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_OK && !harness_logged(&h, "upgraded"),
	       "it needs none; see %s", h.log);
	harness_close(&h);
	letter_table.on_error = ON_ERROR_DEAD_LETTER;
	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_OK &&
		   harness_logged(&h, "schema tallyd will be upgraded at the next start"),
	       "check says so; see %s", h.log);
	start_ready(&h, false);
	EXPECT(harness_logged(&h, "upgraded schema tallyd"), "says so; see %s", h.log);
	EXPECT(put_letters(&h, 1, 5) && harness_end_batch(&h), "a letter");
	expect_durable(&h, 1);
	harness_close(&h);

	/* One that may not make it, nor write it. */
	harness_sql(
	    "DROP TABLE tallyd.dead_letter; DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN;"
	    " GRANT CONNECT ON DATABASE postgres TO poor; GRANT INSERT, SELECT ON totals TO"
	    " poor; GRANT USAGE ON SCHEMA tallyd TO poor; GRANT SELECT, INSERT, UPDATE,"
	    " DELETE ON ALL TABLES IN SCHEMA tallyd TO poor");
	p.target[2].value = TEXT("poor");
	expect_refusal(&p, EXIT_DENIED, "may not upgrade schema tallyd");
	harness_open(&h, &p);
	run_script(&h);
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "allowed then; see %s", h.log);
	harness_sql("REVOKE INSERT ON tallyd.dead_letter FROM poor");
	EXPECT(harness_check(&h, NULL) == EXIT_DENIED, "one privilege less; see %s", h.log);
	letter_table.on_error = ON_ERROR_SKIP;
	harness_close(&h);
	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "which others do not need; see %s", h.log);
	harness_close(&h);
	p.target[2].value = TEXT("tester");
	harness_sql("DROP SCHEMA tallyd CASCADE; DROP OWNED BY poor; DROP ROLE poor");
}
