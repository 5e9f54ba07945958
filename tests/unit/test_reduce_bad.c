/* Rows that cannot be used, and letters: what the core makes of them, by the table's on_error. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/stage.h"
#include "reduce/letters.h"
#include "tests/unit/reduce_model.h"
#include "tests/unit/reduce_sim.h"

static const uint8_t no_entries[1];
static const struct stamps no_stamps;
static char warned[1024];
static unsigned warnings;

static void
note_warning(void *arg, const char *event, const char *text)
{
	(void)arg;
	warnings++;
	(void)snprintf(warned, sizeof(warned), "%s %s", event, text);
}

static void
start(struct sim *s, enum on_error on_error)
{
	const struct core_hooks hooks = {.warn = note_warning};

	reduce_sim_init(s, 1);
	warnings = 0;
	core_set_hooks(s->core, &hooks);
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		s->pipeline->tables[i].on_error = on_error;
		free(s->pipeline->tables[i].topic);
		s->pipeline->tables[i].topic = xasprintf("topic%u", i);
		s->pipeline->tables[i].place.line = 3;
	}
}

static void
go_live(struct sim *s)
{
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		cr_assert_eq(
		    batch_put_end(&s->source[i].ring, RECORD_CUT, 0, &no_stamps, no_entries, 0), 0);
		reduce_sim_take(s, i);
	}
	cr_assert(core_is_live(s->core));
}

static void
put_letter(struct sim *s, unsigned input, int64_t offset, uint32_t bytes)
{
	static uint8_t value[16384];
	struct letter letter = {
	    .table = (uint16_t)input,
	    .partition = 1,
	    .offset = offset,
	    .key_bytes = -1,
	    .value = value,
	    .value_len = bytes,
	    .value_bytes = bytes,
	    .reason = "because",
	    .reason_len = 7,
	};

	cr_assert_eq(batch_put_letter(&s->source[input].ring, &letter), 0);
}

static void
end(struct sim *s, unsigned input, int64_t next)
{
	reduce_sim_put_end(&s->source[input].ring, RECORD_END, input, next);
	reduce_sim_take(s, input);
}

struct seen {
	unsigned rows, batches, letters;
	int64_t first, last; /* offsets of the letters */
	char value[512], reason[256], key[64];
	struct batch batch;
};

static void
see_letter(struct seen *seen, const struct ring_record *record)
{
	struct letter l;

	cr_assert_eq(seen->batches, 0, "a letter behind its batch");
	cr_assert(batch_get_letter(record, &l));
	if (seen->letters++ == 0)
		seen->first = l.offset;
	seen->last = l.offset;
	(void)snprintf(seen->value, sizeof(seen->value), "%.*s", (int)l.value_len,
		       l.value != NULL ? (const char *)l.value : "");
	(void)snprintf(seen->key, sizeof(seen->key), "%.*s", (int)l.key_len,
		       l.key != NULL ? (const char *)l.key : "");
	(void)snprintf(seen->reason, sizeof(seen->reason), "%.*s", (int)l.reason_len, l.reason);
}

/* One batch, if one is due. */
static struct seen
emit(struct sim *s)
{
	struct seen seen = {.rows = 0};
	struct ring_record record;

	while (core_due(s->core, s->durable, s->now_ms) && seen.batches == 0) {
		enum core_result result = core_emit(s->core, &s->out, s->durable, s->now_ms);
		cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
		ring_commit(&s->out, NULL, 0);
		while (ring_next(&s->reader, &record) > 0) {
			seen.rows += record.kind == RECORD_ROW;
			if (record.kind == RECORD_BAD)
				see_letter(&seen, &record);
			if (record.kind != RECORD_BATCH)
				continue;
			cr_assert(batch_get_batch(&record, &seen.batch));
			seen.batches++;
		}
		ring_commit(&s->reader, NULL, 0);
	}
	if (seen.batches > 0) {
		cr_assert_eq(seen.batch.letters, seen.letters);
		s->durable = seen.batch.number;
	}
	return seen;
}

Test(reduce_bad, letters_are_a_batch_of_their_own)
{
	static struct sim s;

	start(&s, ON_ERROR_DEAD_LETTER);
	go_live(&s);
	put_letter(&s, 1, 5, 3);
	put_letter(&s, 1, 6, 3);
	reduce_sim_take(&s, 1);
	cr_assert_not(core_due(s.core, 0, s.now_ms), "before its transaction is whole");
	end(&s, 1, 7);
	struct seen seen = emit(&s);
	cr_assert_eq(seen.letters, 2);
	cr_assert(seen.first == 5 && seen.last == 6);
	cr_assert_eq(seen.rows, 0);
	cr_assert_eq(reduce_sim_position_next(&s, &seen.batch, 1), 7);
	cr_assert_eq(emit(&s).letters, 0);
	cr_assert(core_is_settled(s.core, s.durable));
	reduce_sim_fini(&s);
}

Test(reduce_bad, letters_of_a_replay_were_written_before)
{
	static struct sim s;

	start(&s, ON_ERROR_DEAD_LETTER);
	put_letter(&s, 1, 5, 3);
	end(&s, 1, 6);
	go_live(&s);
	cr_assert_eq(emit(&s).letters, 0);
	put_letter(&s, 1, 6, 3);
	end(&s, 1, 7);
	struct seen seen = emit(&s);
	cr_assert_eq(seen.letters, 1);
	cr_assert_eq(seen.first, 6);
	reduce_sim_fini(&s);
}

Test(reduce_bad, more_letters_than_the_ring_takes)
{
	static struct sim s;

	start(&s, ON_ERROR_DEAD_LETTER);
	go_live(&s);
	for (int64_t i = 0; i < 100; i++) {
		put_letter(&s, 1, i, 5000);
		reduce_sim_take(&s, 1);
	}
	end(&s, 1, 100);
	struct seen seen = emit(&s);
	cr_assert_eq(seen.letters, 100);
	cr_assert(seen.first == 0 && seen.last == 99);
	reduce_sim_fini(&s);
}

/* Beyond 64 MiB they keep their place and reason. */
Test(reduce_bad, memory_is_bounded)
{
	static struct sim s;
	struct letters letters;
	static uint8_t value[1024 * 1024];
	struct letter letter = {.value = value,
				.value_len = sizeof(value),
				.value_bytes = sizeof(value),
				.reason = "",
				.key_bytes = -1};

	letters_init(&letters);
	for (unsigned i = 0; i < 1000; i++)
		letters_add(&letters, &letter);
	cr_assert_lt(letters.bytes, LETTERS_BYTES + 2 * sizeof(value));
	letters_clear(&letters);
	cr_assert_eq(letters.bytes, 0);

	start(&s, ON_ERROR_DEAD_LETTER);
	go_live(&s);
	for (int64_t i = 0; i < 5000; i++) {
		put_letter(&s, 1, i, 16000);
		reduce_sim_take(&s, 1);
	}
	end(&s, 1, 5000);
	cr_assert_not(core_wants(s.core, 0), "first they must go");
	cr_assert_eq(emit(&s).letters, 5000);
	cr_assert(core_wants(s.core, 0));
	reduce_sim_fini(&s);
}

/* An update of key 7 that leaves a column out, at partition 2 offset 41. */
static enum core_result
take_unchanged(struct sim *s)
{
	struct value values[MODEL_COLUMNS] = {
	    [MODEL_ID] = {.kind = VALUE_INT, .i = 7},
	    [MODEL_STATUS] = {.kind = VALUE_UNCHANGED},
	    [MODEL_FLAG] = {.kind = VALUE_BOOL, .i = 1},
	    [MODEL_PRICE] = {.kind = VALUE_DECIMAL, .len = 4, .s = "1.50"},
	};
	struct change change = {.table = 0,
				.kind = CHANGE_UPSERT,
				.partition = 2,
				.offset = 41,
				.values = values,
				.count = MODEL_COLUMNS};
	struct ring_record record;

	cr_assert_eq(batch_put_change(&s->source[0].ring, &change), 0);
	ring_commit(&s->source[0].ring, NULL, 0);
	cr_assert_eq(ring_next(&s->in[0], &record), 1);
	enum core_result result = core_take(s->core, 0, &record, NULL, s->now_ms);
	ring_commit(&s->in[0], NULL, 0);
	return result;
}

Test(reduce_bad, a_value_that_nobody_has_stops_at_its_place)
{
	static struct sim s;

	start(&s, ON_ERROR_STOP);
	go_live(&s);
	cr_assert_eq(take_unchanged(&s), CORE_FAILED);
	const struct core_error *error = core_error(s.core);
	cr_assert_eq(error->code, EXIT_DATA);
	cr_assert(strstr(error->text, "topic0 [2] offset 41: ") != NULL, "%s", error->text);
	cr_assert(strstr(error->text, "FOREIGN TABLE keyed, model.sql:3") != NULL, "%s",
		  error->text);
	reduce_sim_fini(&s);
}

Test(reduce_bad, a_value_that_nobody_has_is_skipped)
{
	static struct sim s;

	start(&s, ON_ERROR_SKIP);
	go_live(&s);
	cr_assert_eq(take_unchanged(&s), CORE_OK);
	end(&s, 0, 42);
	cr_assert_eq(core_counters(s.core).skipped, 1);
	cr_assert_eq(core_counters(s.core).rows, 0);
	cr_assert_eq(warnings, 1);
	cr_assert(strstr(warned, "reduce.bad_row topic0 [2] offset 41: ") == warned, "%s", warned);
	cr_assert_eq(emit(&s).letters, 0);
	reduce_sim_fini(&s);
}

Test(reduce_bad, a_value_that_nobody_has_becomes_a_letter)
{
	static struct sim s;

	start(&s, ON_ERROR_DEAD_LETTER);
	go_live(&s);
	cr_assert_eq(take_unchanged(&s), CORE_OK);
	end(&s, 0, 42);
	struct seen seen = emit(&s);
	cr_assert_eq(seen.letters, 1);
	cr_assert_eq(seen.first, 41);
	cr_assert_str_eq(seen.key, "{\"id\": 7}");
	const char *begins = "{\"id\": 7, \"amount\": null, \"qty\": null, \"big\": null, "
			     "\"flag\": true, \"price\": 1.50, \"ratio\": null, ";
	cr_assert_eq(strncmp(seen.value, begins, strlen(begins)), 0, "%s", seen.value);
	cr_assert(strstr(seen.reason, "left out column \"status\"") != NULL);
	cr_assert_eq(core_counters(s.core).letters, 1);
	reduce_sim_fini(&s);
}

#ifdef TALLYD_FAULTS
/* --- rows that one view cannot compute: those with the number 4711, by a test's own rule --- */

static struct value
text(const char *s)
{
	return (struct value){.kind = VALUE_TEXT, .len = (uint32_t)strlen(s), .s = s};
}

static void
put_row(struct sim *s, enum change_kind kind, int64_t id, int64_t qty)
{
	struct value values[MODEL_COLUMNS] = {
	    [MODEL_ID] = {.kind = VALUE_INT, .i = id},
	    [MODEL_STATUS] = text("x"),
	    [MODEL_QTY] = {.kind = VALUE_INT, .i = qty},
	};
	unsigned input = kind == CHANGE_ADD || kind == CHANGE_SUBTRACT;

	reduce_sim_put_change(&s->source[input].ring, input, kind, false, values,
			      kind == CHANGE_DELETE ? 1 : MODEL_COLUMNS);
}

/* The view of each table that is refused such rows; the others take them. */
static void
refuse(const struct sim *s, unsigned view)
{
	char *rule = xasprintf("%s:4711", s->pipeline->views[view].name);

	cr_assert_eq(setenv("TALLYD_REFUSED_ROWS", rule, 1), 0);
	free(rule);
}

Test(reduce_bad, a_row_that_a_view_cannot_compute_is_not_in_it)
{
	for (unsigned input = 0; input < 2; input++) {
		static struct sim s;
		unsigned view = input * MODEL_SHAPES;
		enum change_kind come = input == 0 ? CHANGE_UPSERT : CHANGE_ADD;
		enum change_kind go = input == 0 ? CHANGE_DELETE : CHANGE_SUBTRACT;

		start(&s, ON_ERROR_DEAD_LETTER);
		refuse(&s, view);
		go_live(&s);
		put_row(&s, come, 1, 4711);
		end(&s, input, 1);
		struct seen seen = emit(&s);
		cr_assert_gt(seen.rows, 0, "the other views have it");
		cr_assert_eq(seen.letters, 1);
		cr_assert(strstr(seen.reason, s.pipeline->views[view].name) != NULL, "%s",
			  seen.reason);
		cr_assert_eq(core_counters(s.core).evaluations, 1);
		unsigned others = seen.rows;
		/* Its going takes nothing away where nothing came. */
		put_row(&s, go, 1, 4711);
		end(&s, input, 2);
		seen = emit(&s);
		cr_assert_eq(seen.rows, others);
		cr_assert_eq(seen.letters, 0);
		cr_assert_eq(core_counters(s.core).evaluations, 1);
		cr_assert_eq(core_counters(s.core).groups, 0, "input %u", input);
		reduce_sim_fini(&s);
	}
}

/* The kept row is the whole truth: a later good one comes in, and a bad one goes out, of each view. */
Test(reduce_bad, a_kept_row_comes_and_goes)
{
	static struct sim s;

	start(&s, ON_ERROR_SKIP);
	refuse(&s, 0);
	go_live(&s);
	put_row(&s, CHANGE_UPSERT, 1, 5);
	end(&s, 0, 1);
	unsigned whole = emit(&s).rows;
	put_row(&s, CHANGE_UPSERT, 1, 4711);
	end(&s, 0, 2);
	cr_assert_gt(emit(&s).rows, 0, "it goes out of one view, and changes in others");
	put_row(&s, CHANGE_UPSERT, 1, 6);
	end(&s, 0, 3);
	(void)emit(&s);
	put_row(&s, CHANGE_DELETE, 1, 0);
	end(&s, 0, 4);
	cr_assert_eq(emit(&s).rows, whole);
	cr_assert_eq(core_counters(s.core).groups, 0);
	cr_assert_eq(core_counters(s.core).skipped, 1);
	reduce_sim_fini(&s);
}

Test(reduce_bad, a_row_that_cannot_be_computed_stops_at_its_place)
{
	static struct sim s;
	struct ring_record record;

	start(&s, ON_ERROR_STOP);
	refuse(&s, MODEL_SHAPES);
	go_live(&s);
	put_row(&s, CHANGE_ADD, 1, 4711);
	ring_commit(&s.source[1].ring, NULL, 0);
	cr_assert_eq(ring_next(&s.in[1], &record), 1);
	cr_assert_eq(core_take(s.core, 1, &record, NULL, s.now_ms), CORE_FAILED);
	cr_assert_eq(core_error(s.core)->code, EXIT_DATA);
	cr_assert(strstr(core_error(s.core)->text, "topic1 [0] offset 0: view ") != NULL);
	reduce_sim_fini(&s);
}
#endif
