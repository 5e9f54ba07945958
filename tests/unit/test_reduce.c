#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/stage.h"
#include "reduce/core.h"
#include "tests/unit/reduce_model.h"
#include "tests/unit/reduce_sim.h"

static const uint8_t no_entries[1];
static const struct stamps no_stamps;

Test(reduce, random_transactions_from_a_first_start)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		reduce_sim_run(seed, 0, 0, seed % 2 == 0, false);
}

Test(reduce, random_transactions_after_a_replay)
{
	for (uint64_t seed = 101; seed <= 108; seed++)
		reduce_sim_run(seed, 41, 0, seed % 2 == 0, false);
}

Test(reduce, random_transactions_with_a_commit_interval)
{
	for (uint64_t seed = 201; seed <= 203; seed++)
		reduce_sim_run(seed, 0, 200, true, false);
}

Test(reduce, random_deaths_of_everything, .timeout = 300)
{
	for (uint64_t seed = 301; seed <= 330; seed++)
		reduce_sim_run(seed, seed % 5 == 0 ? 41 : 0, seed % 4 == 0 ? 150 : 0, true, true);
}

/* --- single cases --- */

static void
case_init(struct sim *s)
{
	reduce_sim_init(s, 1);
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		cr_assert_eq(
		    batch_put_end(&s->source[i].ring, RECORD_CUT, 0, &no_stamps, no_entries, 0), 0);
		reduce_sim_take(s, i);
	}
	cr_assert(core_is_live(s->core));
}

static void
put_row(struct sim *s, enum change_kind kind, const char *status, int64_t qty)
{
	struct value values[MODEL_COLUMNS] = {
	    [MODEL_STATUS] = {.kind = VALUE_TEXT, .len = (uint32_t)strlen(status), .s = status},
	    [MODEL_QTY] = {.kind = VALUE_INT, .i = qty},
	};

	reduce_sim_put_change(&s->source[1].ring, 1, kind, false, values, MODEL_COLUMNS);
}

static void
emit_all(struct sim *s)
{
	while (core_due(s->core, s->durable, s->now_ms)) {
		enum core_result result = core_emit(s->core, &s->out, s->durable, s->now_ms);
		cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
		ring_commit(&s->out, NULL, 0);
		s->full += result == CORE_FULL;
	}
}

/* Rows and batches. */
static unsigned
out_records(struct sim *s, struct batch *last)
{
	struct ring_record record;
	unsigned n = 0;

	for (; ring_next(&s->reader, &record) > 0;) {
		n += record.kind == RECORD_BATCH || record.kind == RECORD_ROW;
		if (record.kind == RECORD_BATCH)
			cr_assert(batch_get_batch(&record, last));
	}
	ring_commit(&s->reader, NULL, 0);
	return n;
}

Test(reduce, a_batch_may_be_larger_than_the_ring)
{
	static struct sim s;
	static char names[3000][64];
	struct ring_record record;
	const uint8_t *row;
	uint64_t plus = 0, minus = 0, rows = 0;
	uint16_t view;
	size_t len;
	int diff;

	case_init(&s);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3000; i++) {
			(void)snprintf(names[i], sizeof(names[i]),
				       "a status of fifty letters %024d", i);
			if (ring_used(&s.source[1].ring) + ring_pending(&s.source[1].ring) > 32768)
				reduce_sim_take(&s, 1);
			put_row(&s, CHANGE_ADD, names[i], i % 100);
		}
		reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, round + 1);
		reduce_sim_take(&s, 1);
		for (bool done = false; !done;) {
			cr_assert(core_due(s.core, s.durable, s.now_ms));
			enum core_result result = core_emit(s.core, &s.out, s.durable, s.now_ms);
			ring_commit(&s.out, NULL, 0);
			done = result == CORE_DONE;
			s.full += result == CORE_FULL;
			cr_assert_eq(core_wants(s.core, 1), done, "absorbed in mid-batch");
			while (ring_next(&s.reader, &record) > 0) {
				if (record.kind != RECORD_ROW)
					continue;
				cr_assert(batch_get_row(&record, &view, &diff, &row, &len));
				plus += diff > 0;
				minus += diff < 0;
				cr_assert(view != MODEL_SHAPES + 1 ||
					  model_fold_apply(&s.fold[1], diff, row, len));
			}
			ring_commit(&s.reader, NULL, 0);
		}
		s.durable++;
	}
	rows = core_counters(s.core).output;
	cr_assert_eq(s.fold[1].count, 3000);
	cr_assert_eq(plus + minus, rows);
	cr_assert_gt(minus, 2990);
	cr_assert_gt(s.full, 10, "the ring was never full");
	cr_assert_eq(core_counters(s.core).batches, 2);
	reduce_sim_fini(&s);
}

/* The next checkpoint is due by then, and may not be begun over one that waits. */
Test(reduce, a_flip_may_become_durable_in_mid_batch)
{
	static struct sim s;
	struct ring_record record;
	struct batch last = {.number = 0};
	char name[64];

	case_init(&s);
	put_row(&s, CHANGE_ADD, "one", 1);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 1);
	reduce_sim_take(&s, 1);
	emit_all(&s);
	cr_assert_gt(out_records(&s, &last), 0);
	cr_assert_eq(core_counters(s.core).checkpoints, 1);
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "a status of fifty letters %024d", i);
		if (ring_used(&s.source[1].ring) + ring_pending(&s.source[1].ring) > 32768)
			reduce_sim_take(&s, 1);
		put_row(&s, CHANGE_ADD, name, i % 100);
	}
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 2);
	reduce_sim_take(&s, 1);
	s.now_ms += 3600000;
	cr_assert_eq(core_emit(s.core, &s.out, s.durable, s.now_ms), CORE_FULL);
	s.durable = last.number;
	while (core_emitting(s.core)) {
		ring_commit(&s.out, NULL, 0);
		while (ring_next(&s.reader, &record) > 0)
			;
		ring_commit(&s.reader, NULL, 0);
		cr_assert_neq(core_emit(s.core, &s.out, s.durable, s.now_ms), CORE_FAILED);
	}
	cr_assert_eq(core_counters(s.core).checkpoints, 2);
	reduce_sim_fini(&s);
}

/* Of one row each; what may be shown of them is. */
static void
put_transactions(struct sim *s, int count)
{
	for (int i = 0; i < count; i++) {
		put_row(s, CHANGE_ADD, "x", i);
		reduce_sim_put_end(&s->source[1].ring, RECORD_END, 1, i + 1);
		reduce_sim_take(s, 1);
		emit_all(s);
	}
}

/* What is put meanwhile is shown together, once that one is acknowledged. */
Test(reduce, one_batch_is_under_way)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	put_transactions(&s, 5);
	cr_assert_eq(core_counters(s.core).batches, 1);
	cr_assert_eq(core_deadline(s.core, s.durable), INT64_MAX);
	s.durable = 1;
	emit_all(&s);
	cr_assert_eq(core_counters(s.core).batches, 2);
	(void)out_records(&s, &batch);
	cr_assert_eq(batch.number, 2);
	cr_assert_eq(batch.source_ms, 1700000000005);
	cr_assert_eq(reduce_sim_position_next(&s, &batch, 1), 5);
	reduce_sim_fini(&s);
}

Test(reduce, at_most_two_batches_are_under_way_when_ingest_is_behind)
{
	static struct sim s;

	case_init(&s);
	core_set_behind(s.core, true);
	for (int i = 0; i < 5; i++) {
		put_transactions(&s, 1);
		s.now_ms += CORE_GATHER_MS;
	}
	cr_assert_eq(core_counters(s.core).batches, 2);
	cr_assert_eq(core_deadline(s.core, s.durable), INT64_MAX);
	core_set_behind(s.core, false);
	s.durable = 1;
	cr_assert_not(core_due(s.core, s.durable, s.now_ms));
	s.durable = 2;
	cr_assert(core_due(s.core, s.durable, s.now_ms));
	reduce_sim_fini(&s);
}

/* They gather as the rows do; what shows nothing, or is shown by nobody, is no latency. */
Test(reduce, a_batch_knows_when_its_events_were_written)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	put_transactions(&s, 5);
	s.durable = 1;
	(void)out_records(&s, &batch);
	emit_all(&s);
	(void)out_records(&s, &batch);
	cr_assert_eq(batch.number, 2);
	cr_assert_eq(batch.stamps.count, 4);
	cr_assert_eq(stamps_events(&batch.stamps), 4);
	cr_assert_eq(batch.stamps.at[0].oldest_ms, 1700000000002);
	s.durable = 2;
	/* A transaction without rows of ours, then one whose rows take each other back. */
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 6);
	reduce_sim_take(&s, 1);
	emit_all(&s);
	put_row(&s, CHANGE_ADD, "y", 1);
	put_row(&s, CHANGE_SUBTRACT, "y", 1);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 7);
	reduce_sim_take(&s, 1);
	emit_all(&s);
	put_row(&s, CHANGE_ADD, "x", 9);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 8);
	reduce_sim_take(&s, 1);
	emit_all(&s);
	(void)out_records(&s, &batch);
	cr_assert_eq(batch.stamps.count, 1);
	cr_assert_eq(batch.stamps.at[0].oldest_ms, 1700000000008);
	reduce_sim_fini(&s);
}

Test(reduce, the_timer_closes_what_the_interval_held_back)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	s.pipeline->commit_interval_ms = 500;
	for (int i = 0; i < 2; i++) {
		put_row(&s, CHANGE_ADD, "x", i);
		reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, i + 1);
		reduce_sim_take(&s, 1);
		emit_all(&s);
		s.now_ms += 10;
	}
	cr_assert_eq(core_counters(s.core).batches, 1);
	s.durable = 1;
	cr_assert_eq(core_deadline(s.core, s.durable), s.now_ms - 20 + 500);
	s.now_ms += 479;
	cr_assert_not(core_due(s.core, s.durable, s.now_ms));
	s.now_ms += 1;
	emit_all(&s);
	(void)out_records(&s, &batch);
	cr_assert_eq(batch.number, 2);
	reduce_sim_fini(&s);
}

/* I7: a position without rows causes no commit of its own, but it is not older than 10 s. */
Test(reduce, a_position_without_rows_waits)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 7);
	reduce_sim_take(&s, 1);
	int64_t changed_ms = s.now_ms;
	cr_assert_eq(core_deadline(s.core, s.durable), changed_ms + CORE_SAVE_MS);
	s.now_ms += 6000;
	/* A change that leaves the row as it was gives no row either. */
	put_row(&s, CHANGE_ADD, "x", 1);
	put_row(&s, CHANGE_SUBTRACT, "x", 1);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 8);
	reduce_sim_take(&s, 1);
	emit_all(&s);
	cr_assert_eq(out_records(&s, &batch), 0);
	cr_assert_eq(core_deadline(s.core, s.durable), changed_ms + CORE_SAVE_MS);
	s.now_ms = changed_ms + CORE_SAVE_MS;
	emit_all(&s);
	cr_assert_eq(out_records(&s, &batch), 1);
	cr_assert_eq(batch.rows, 0);
	cr_assert_eq(reduce_sim_position_next(&s, &batch, 1), 8);
	cr_assert_eq(core_deadline(s.core, s.durable), INT64_MAX);
	reduce_sim_fini(&s);
}

Test(reduce, a_clean_stop_saves_the_position_and_says_so)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 3);
	reduce_sim_take(&s, 1);
	cr_assert_not(core_due(s.core, s.durable, s.now_ms));
	core_finish(s.core);
	emit_all(&s);
	cr_assert_eq(out_records(&s, &batch), 1);
	cr_assert(batch.clean_stop);
	cr_assert_not(core_wants(s.core, 1), "the last batch was not the last");
	cr_assert_not(core_is_settled(s.core, 0));
	cr_assert(core_is_settled(s.core, 1));
	reduce_sim_fini(&s);
}

/* Flips in what was put; the offset that the last one stands for. */
static unsigned
out_flips(struct sim *s, int64_t *next)
{
	struct ring_record record;
	struct checkpoint checkpoint;
	unsigned n = 0;

	while (ring_next(&s->reader, &record) > 0) {
		if (record.kind != RECORD_CHECKPOINT ||
		    !batch_get_checkpoint(&record, &checkpoint) ||
		    checkpoint.step != CHECKPOINT_FLIP)
			continue;
		struct batch batch = {.position = (const char *)checkpoint.data,
				      .position_len = (uint32_t)checkpoint.len};
		*next = reduce_sim_position_next(s, &batch, 1);
		n++;
	}
	ring_commit(&s->reader, NULL, 0);
	return n;
}

/* A start replays nothing, also when the last transactions had no rows of ours. */
Test(reduce, a_clean_stop_stores_a_position_that_has_moved)
{
	static struct sim s;
	int64_t next = 0;

	case_init(&s);
	put_row(&s, CHANGE_ADD, "x", 1);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 1);
	reduce_sim_take(&s, 1);
	emit_all(&s);
	s.durable = core_counters(s.core).batch;
	cr_assert_eq(out_flips(&s, &next), 1);
	cr_assert_eq(next, 1);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 2);
	reduce_sim_take(&s, 1);
	cr_assert_not(core_due(s.core, s.durable, s.now_ms), "its position can wait");
	s.now_ms += CORE_SAVE_MS;
	s.pipeline->checkpoint_interval_ms = 1000000;
	emit_all(&s); /* the position is saved, the checkpoint is older */
	s.durable = core_counters(s.core).batch;
	cr_assert_eq(out_flips(&s, &next), 0);
	core_finish(s.core);
	cr_assert_not(core_is_settled(s.core, s.durable));
	emit_all(&s);
	s.durable = core_counters(s.core).batch;
	cr_assert_eq(out_flips(&s, &next), 1);
	cr_assert_eq(next, 2);
	cr_assert(core_is_settled(s.core, s.durable));
	cr_assert_not(core_due(s.core, s.durable, s.now_ms), "one without a reason");
	reduce_sim_fini(&s);
}

/* Where history began must be known to the target even if nothing ever comes. */
Test(reduce, a_first_start_saves_where_history_begins)
{
	static struct sim s;

	reduce_sim_init(&s, 1);
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		reduce_sim_put_end(&s.source[i].ring, RECORD_CUT, i, 100);
		reduce_sim_take(&s, i);
	}
	cr_assert_eq(core_deadline(s.core, s.durable), s.now_ms + CORE_SAVE_MS);
	reduce_sim_fini(&s);
}

/* An input that is through with its replay waits for the others: what it has next is new. */
Test(reduce, an_input_that_was_cut_waits)
{
	static struct sim s;

	reduce_sim_init(&s, 1);
	s.durable = 9;
	put_row(&s, CHANGE_ADD, "old", 1);
	reduce_sim_put_end(&s.source[1].ring, RECORD_CUT, 1, 1);
	put_row(&s, CHANGE_ADD, "new", 2);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 2);
	reduce_sim_take(&s, 1);
	cr_assert_not(core_wants(s.core, 1));
	cr_assert_eq(core_counters(s.core).changes, 1);
	cr_assert_eq(batch_put_end(&s.source[0].ring, RECORD_CUT, 0, &no_stamps, no_entries, 0), 0);
	reduce_sim_take(&s, 0);
	emit_all(&s);
	cr_assert_eq(core_counters(s.core).output, 0, "history was shown again");
	cr_assert_eq(core_counters(s.core).batch, 10);
	reduce_sim_take(&s, 1);
	cr_assert_eq(core_counters(s.core).changes, 2);
	s.durable = 10;
	emit_all(&s);
	cr_assert_eq(core_counters(s.core).batch, 11);
	reduce_sim_fini(&s);
}

/* --- what must not be absorbed --- */

static void
refused(struct sim *s, unsigned input, int code, const char *words)
{
	struct ring_record record;
	enum core_result result = CORE_OK;

	ring_commit(&s->source[input].ring, NULL, 0);
	while (result != CORE_FAILED && ring_next(&s->in[input], &record) > 0)
		result = core_take(s->core, input, &record, NULL, s->now_ms);
	cr_assert_eq(result, CORE_FAILED);
	cr_assert_eq(core_error(s->core)->code, code, "code %d", core_error(s->core)->code);
	cr_assert_not_null(strstr(core_error(s->core)->text, words), "%s",
			   core_error(s->core)->text);
	reduce_sim_fini(s);
}

static void
put_raw(struct sim *s, uint16_t kind, const void *bytes, size_t len)
{
	uint8_t *room = ring_reserve(&s->source[0].ring, len);

	cr_assert_not_null(room);
	if (len > 0)
		memcpy(room, bytes, len);
	ring_append(&s->source[0].ring, len, kind, 0);
}

Test(reduce, corrupt_records_mean_a_full_recovery)
{
	static struct sim s;
	struct value values[MODEL_COLUMNS] = {{.kind = VALUE_INT, .i = 1}};

	case_init(&s);
	put_raw(&s, RECORD_CHANGE, "\x91", 1);
	refused(&s, 0, EXIT_RECOVER, "a change that is not well formed");
	case_init(&s);
	put_raw(&s, RECORD_BATCH, "\x90", 1);
	refused(&s, 0, EXIT_RECOVER, "unknown kind");
	case_init(&s);
	put_raw(&s, RECORD_END, "\x92\x00\xc4\x01\x00", 5);
	refused(&s, 0, EXIT_RECOVER, "a position that is not well formed");
	case_init(&s);
	reduce_sim_put_change(&s.source[0].ring, 1, CHANGE_ADD, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_RECOVER, "a change that is not well formed"); /* another server's */
	case_init(&s);
	reduce_sim_put_change(&s.source[0].ring, 0, CHANGE_ADD, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_RECOVER, "a kind that its table cannot have");
	case_init(&s);
	reduce_sim_put_change(&s.source[0].ring, 0, CHANGE_UPSERT, false, values,
			      MODEL_COLUMNS - 1);
	refused(&s, 0, EXIT_RECOVER, "a row that does not fit");
	case_init(&s);
	reduce_sim_put_change(&s.source[0].ring, 0, CHANGE_DELETE, false, values, 2);
	refused(&s, 0, EXIT_RECOVER, "a key that does not fit");
	case_init(&s);
	values[MODEL_ID] = (struct value){.kind = VALUE_BOOL, .i = 1};
	reduce_sim_put_change(&s.source[0].ring, 0, CHANGE_UPSERT, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_RECOVER, "a row that does not fit");
	case_init(&s);
	cr_assert_eq(batch_put_snapshot(&s.source[0].ring, 0, SNAPSHOT_END), 0);
	refused(&s, 0, EXIT_RECOVER, "had not begun");
	case_init(&s);
	cr_assert_eq(batch_put_snapshot(&s.source[0].ring, 0, SNAPSHOT_ABANDON), 0);
	refused(&s, 0, EXIT_RECOVER, "had not begun");
}

Test(reduce, a_column_left_out_needs_an_earlier_row)
{
	static struct sim s;
	struct value values[MODEL_COLUMNS] = {
	    [MODEL_ID] = {.kind = VALUE_INT, .i = 1},
	    [MODEL_STATUS] = {.kind = VALUE_UNCHANGED},
	};

	case_init(&s);
	reduce_sim_put_change(&s.source[0].ring, 0, CHANGE_UPSERT, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_DATA, "left out column \"status\"");
	case_init(&s);
	reduce_sim_put_change(&s.source[1].ring, 1, CHANGE_ADD, false, values, MODEL_COLUMNS);
	refused(&s, 1, EXIT_DATA, "REPLICA IDENTITY FULL");
}

Test(reduce, an_output_row_that_never_fits_names_the_setting)
{
	static struct sim s;
	static char text[20000];
	struct value values[MODEL_COLUMNS] = {
	    [MODEL_STATUS] = {.kind = VALUE_TEXT, .len = sizeof(text), .s = text},
	    [MODEL_QTY] = {.kind = VALUE_INT, .i = 20},
	};

	case_init(&s);
	memset(text, 'x', sizeof(text));
	reduce_sim_put_change(&s.source[1].ring, 1, CHANGE_ADD, false, values, MODEL_COLUMNS);
	reduce_sim_put_end(&s.source[1].ring, RECORD_END, 1, 1);
	reduce_sim_take(&s, 1);
	/* View 7 shows the text twice: more than half of the ring. */
	cr_assert_eq(core_emit(s.core, &s.out, s.durable, s.now_ms), CORE_FAILED);
	cr_assert_eq(core_error(s.core)->code, EXIT_CONFIG);
	cr_assert_not_null(strstr(core_error(s.core)->text, "SET ring_bytes = 131072"), "%s",
			   core_error(s.core)->text);
	reduce_sim_fini(&s);
}

Test(reduce, the_pipeline_is_checked)
{
	struct pipeline *pipeline = model_pipeline();
	struct place place;
	char *problem;

	cr_assert_null(core_check(pipeline, &place));
	pipeline->views[1].outputs[1].column = MODEL_STATUS;
	pipeline->views[1].outputs[1].place.line = 12;
	problem = core_check(pipeline, &place);
	cr_assert_str_eq(problem, "column \"column_1\": text has no sum and no average");
	cr_assert_eq(place.line, 12);
	free(problem);
	pipeline->views[1].outputs[1].column = MODEL_COLUMNS;
	problem = core_check(pipeline, &place);
	cr_assert_not_null(problem);
	free(problem);
	pipeline->views[0].table = 2;
	problem = core_check(pipeline, &place);
	cr_assert_not_null(strstr(problem, "\"view_0\" reads a table that is not there"));
	free(problem);
	model_pipeline_free(pipeline);
}
