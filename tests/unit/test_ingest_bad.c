/*
 * Messages that cannot be read, of tables that go on without them: what comes of them in the ring,
 * with whole messages through the real decoder, order and writer.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/unit/ingest_world.h"

#define KEYED   "id:integer:key n:numeric(4,2)"
#define KEYLESS "id:integer n:numeric(4,2)"
#define GOOD    "{\"id\":1,\"n\":\"1.50\"}"
#define OTHER   "{\"id\":1,\"n\":\"2.50\"}"
#define BAD     "{\"id\":1,\"n\":\"123.50\"}"

TestSuite(ingest_bad, .timeout = 30);

static void
open_world(struct world *w, const char *columns, enum on_error on_error)
{
	world_open(w, columns, RING_BYTES_MIN, 0);
	w->table->on_error = on_error;
	w->key = w->table->key_count > 0 ? "{\"id\":1}" : NULL;
	cr_assert_str_eq(world_read(w), "");
}

static void
take(struct world *w, int64_t offset, uint64_t sequence, char op, const char *before,
     const char *after)
{
	world_write(w, sequence, op, before, after);
	cr_assert(world_take(w, offset), "%s", w->source.poison.text);
}

static void
expect(struct world *w, const char *records)
{
	world_silence(w, 100);
	const char *found = world_read(w);
	cr_assert_str_eq(found, records);
}

static uint64_t
counter(const struct world *w, enum board_counter which)
{
	return board_counter(w->stage.self, which);
}

Test(ingest_bad, the_row_of_a_key_is_taken_out_and_comes_back)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_SKIP);
	take(&w, 0, 10, 'c', "null", GOOD);
	take(&w, 1, 20, 'u', "null", BAD);
	take(&w, 2, 30, 'u', "null", OTHER);
	take(&w, 3, 40, 'd', BAD, "null");
	expect(&w, "CUT\nUPSERT 1 1.50\nEND\nDELETE 1\nEND\nUPSERT 1 2.50\nEND\nDELETE 1\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_SKIPPED), 1);
	cr_assert_eq(counter(&w, COUNTER_LETTERS), 0);
	world_close(&w);
}

Test(ingest_bad, a_key_that_cannot_be_read_changes_nothing)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_SKIP);
	w.key = "{\"id\":\"x\"}";
	take(&w, 0, 10, 'u', "null", OTHER);
	w.key = NULL;
	take(&w, 1, 20, 'd', "null", "null");
	cr_assert(world_take_text(&w, 2, NULL));
	expect(&w, "CUT\nEND\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_SKIPPED), 2, "a tombstone is silent");
	world_close(&w);
}

Test(ingest_bad, halves_of_a_keyless_update_count_for_themselves)
{
	static struct world w;
	open_world(&w, KEYLESS, ON_ERROR_SKIP);
	take(&w, 0, 10, 'c', "null", GOOD);
	take(&w, 1, 20, 'u', GOOD, BAD);
	take(&w, 2, 30, 'u', BAD, OTHER);
	take(&w, 3, 40, 'u', OTHER, BAD);
	take(&w, 4, 50, 'd', BAD, "null");
	take(&w, 5, 60, 'c', "null", BAD);
	expect(&w, "CUT\nADD 1 1.50\nEND\nSUBTRACT 1 1.50\nEND\nADD 1 2.50\nEND\nSUBTRACT 1 "
		   "2.50\nEND\nEND\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_SKIPPED), 5);
	world_close(&w);
}

/* Its old row would stay, and the new one be counted beside it. */
Test(ingest_bad, without_before_nothing_of_an_update_counts)
{
	static struct world w;
	open_world(&w, KEYLESS, ON_ERROR_SKIP);
	take(&w, 0, 10, 'u', "null", OTHER);
	take(&w, 1, 20, 'd', "null", "null");
	w.key = "{\"id\":1}";
	take(&w, 2, 30, 'd', GOOD, "null");
	take(&w, 3, 40, 'u', GOOD, OTHER); /* its old row counts: so the new one must not */
	expect(&w, "CUT\nEND\nEND\nEND\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_SKIPPED), 4);
	world_close(&w);
}

Test(ingest_bad, what_has_no_place_is_passed_over_in_a_transaction_of_its_own)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_SKIP);
	take(&w, 0, 10, 'c', "null", GOOD);
	world_silence(&w, 1);
	cr_assert(world_take_text(&w, 1, "hello"));
	cr_assert(world_take_text(&w, 2, "{\"op\":\"u\",\"after\":{\"id\":1}"));
	cr_assert(world_take_text(&w, 3, "{\"op\":\"u\",\"after\":" BAD ",\"source\":{}}"));
	cr_assert(world_take_text(&w, 4, ""));
	take(&w, 5, 20, 'd', "null", "null");
	expect(&w, "CUT\nUPSERT 1 1.50\nEND\nEND\nEND\nEND\nEND\nDELETE 1\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_SKIPPED), 4);
	cr_assert_eq(order_partition(w.source.order, 0)->next, 6);
	world_close(&w);
}

/* In mode sequence it does not end the transaction that is open. */
Test(ingest_bad, what_has_no_place_goes_with_the_open_transaction)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_DEAD_LETTER);
	take(&w, 0, 10, 'c', "null", GOOD);
	cr_assert(world_take_text(&w, 1, "hello"));
	world_write(&w, 10, 'u', "null", OTHER);
	char *lsn = strstr(w.message, "\"lsn\":15");
	cr_assert_not_null(lsn);
	lsn[7] = '6';
	cr_assert(world_take(&w, 2));
	expect(&w, "CUT\nUPSERT 1 1.50\nBAD 1 0 0 8/8 5/5\nUPSERT 1 2.50\nEND\n");
	world_close(&w);
}

Test(ingest_bad, a_repeat_is_neither_told_nor_applied)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_DEAD_LETTER);
	take(&w, 0, 10, 'u', "null", BAD);
	take(&w, 1, 20, 'u', "null", GOOD);
	take(&w, 2, 10, 'u', "null", BAD);
	take(&w, 3, 20, 'u', "null", GOOD);
	world_silence(&w, 100);
	const char *found = world_read(&w);
	cr_assert(strncmp(found, "CUT\nBAD 0 0 1700000000000 8/8 ", 30) == 0, "%s", found);
	cr_assert_str_eq(strchr(found + 4, '\n'), "\nDELETE 1\nEND\nUPSERT 1 1.50\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_LETTERS), 1);
	cr_assert_eq(counter(&w, COUNTER_SKIPPED), 0);
	world_close(&w);
}

Test(ingest_bad, a_replay_tells_nothing)
{
	static struct world w;
	world_open(&w, KEYED, RING_BYTES_MIN, 2);
	w.table->on_error = ON_ERROR_DEAD_LETTER;
	w.key = "{\"id\":1}";
	take(&w, 0, 10, 'u', "null", BAD);
	cr_assert(world_take_text(&w, 1, "hello"));
	cr_assert(world_take_text(&w, 2, "hello"));
	expect(&w, "DELETE 1\nCUT\nBAD 2 0 0 8/8 5/5\nEND\n");
	cr_assert_eq(counter(&w, COUNTER_LETTERS), 1);
	world_close(&w);
}

Test(ingest_bad, a_letter_holds_the_beginning_of_a_large_message)
{
	static struct world w;
	char *text = xcalloc(1, 60001);
	memset(text, 'x', 60000);
	open_world(&w, KEYED, ON_ERROR_DEAD_LETTER);
	cr_assert(world_take_text(&w, 0, text));
	expect(&w, "CUT\nBAD 0 0 0 8/8 8192/60000\nEND\n");
	free(text);
	world_close(&w);
}

/* Both under one token, half a ring at most: the row is what counts. */
Test(ingest_bad, a_letter_beside_a_large_row_holds_less)
{
	static struct world w;
	static char before[30000];
	snprintf(before, sizeof(before), "{\"id\":1,\"n\":\"1.50\",\"t\":\"%026000d\"}", 1);
	open_world(&w, KEYLESS " t:text", ON_ERROR_DEAD_LETTER);
	take(&w, 0, 10, 'u', before, "{\"id\":1,\"n\":\"123.50\",\"t\":\"\"}");
	world_silence(&w, 100);
	const char *found = world_read(&w);
	cr_assert_not_null(strstr(found, "\nBAD 0 0 1700000000000 0/-1 4096/263"), "%.100s", found);
	cr_assert_not_null(strstr(found, "\nSUBTRACT 1 1.50 "), "%.200s", found);
	world_close(&w);
}

/* What it emptied would be counted for ever. */
Test(ingest_bad, nobody_goes_on_without_a_truncate)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_SKIP);
	w.table->truncate = TRUNCATE_REFUSE;
	w.key = NULL;
	world_write(&w, 10, 't', "null", "null");
	cr_assert_not(world_take(&w, 0));
	cr_assert(w.source.poison.set);
	cr_assert(strstr(w.source.poison.text, "on_error") == NULL, "%s", w.source.poison.text);
	world_close(&w);
}

Test(ingest_bad, a_stop_names_the_option)
{
	static struct world w;
	open_world(&w, KEYED, ON_ERROR_STOP);
	w.table->place.line = 12;
	world_write(&w, 10, 'u', "null", BAD);
	cr_assert_not(world_take(&w, 0));
	cr_assert(
	    strstr(w.source.poison.text,
		   "; to go on without it: on_error 'skip' (or 'dead_letter') in the OPTIONS of "
		   "CREATE FOREIGN TABLE t, FILE:12") != NULL,
	    "%s", w.source.poison.text);
	world_close(&w);
}
