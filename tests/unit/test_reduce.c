#include <criterion/criterion.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/position.h"
#include "common/stage.h"
#include "reduce/core.h"
#include "tests/unit/reduce_model.h"

enum {
	SERVERS = 2,
	ROWS_MAX = 64,
	QUEUE = 64,
	EXPECTED = 4,
};

static const uint8_t no_entries[1];

struct state { /* of one server's table after a transaction */
	struct model_row rows[ROWS_MAX];
	unsigned count;
	int64_t next; /* offset: says which transaction it is */
};

struct source { /* one ingest: writes transactions at random, record by record */
	struct ring ring;
	struct state now, before;  /* before: the snapshot that is open */
	struct state queue[QUEUE]; /* after each transaction that stands in the ring */
	unsigned head, tail;
	unsigned left; /* records of the open transaction */
	bool open, snapshot, cut;
	int64_t transactions, cut_after;
};

struct sim {
	struct pipeline *pipeline;
	struct core *core;
	struct source source[SERVERS];
	struct ring in[SERVERS], out, reader;
	struct ring_fds in_fds[SERVERS], out_fds;
	struct state committed[SERVERS];          /* what the core has absorbed whole */
	struct state expected[EXPECTED][SERVERS]; /* at each batch, by its number */
	struct model_fold fold[2 * MODEL_SHAPES];
	struct model_random random;
	uint64_t seed, durable, read, rows, full;
	int64_t now_ms, closed_ms;
	bool clean_stop, closing; /* closing: no new transactions */
};

static void
rings_open(struct ring_fds *fds, struct ring *producer, struct ring *consumer)
{
	cr_assert_eq(ring_create(fds, RING_BYTES_MIN), 0);
	cr_assert_eq(ring_attach(producer, fds, RING_PRODUCER), 0);
	cr_assert_eq(ring_attach(consumer, fds, RING_CONSUMER), 0);
}

static void
sim_init(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->seed = s->random.state = seed;
	s->pipeline = model_pipeline();
	s->core = core_new(s->pipeline);
	s->now_ms = 1000000;
	s->closed_ms = INT64_MIN / 2;
	for (unsigned i = 0; i < SERVERS; i++)
		rings_open(&s->in_fds[i], &s->source[i].ring, &s->in[i]);
	rings_open(&s->out_fds, &s->out, &s->reader);
}

static void
sim_fini(struct sim *s)
{
	for (unsigned i = 0; i < SERVERS; i++) {
		ring_detach(&s->source[i].ring);
		ring_detach(&s->in[i]);
		ring_close_fds(&s->in_fds[i]);
	}
	ring_detach(&s->out);
	ring_detach(&s->reader);
	ring_close_fds(&s->out_fds);
	for (unsigned i = 0; i < 2 * MODEL_SHAPES; i++)
		model_fold_free(&s->fold[i]);
	core_free(s->core);
	model_pipeline_free(s->pipeline);
}

static unsigned
state_find(const struct state *state, int64_t id)
{
	unsigned i = 0;

	while (i < state->count && state->rows[i].values[MODEL_ID].i != id)
		i++;
	return i;
}

static void
put_change(struct ring *ring, unsigned table, enum change_kind kind, bool snapshot,
	   const struct value *values, unsigned count)
{
	struct change change = {
	    .table = (uint16_t)table,
	    .kind = kind,
	    .snapshot = snapshot,
	    .values = values,
	    .count = count,
	};

	cr_assert_eq(batch_put_change(ring, &change), 0, "the test's ring is too small");
}

static void
put_end(struct ring *ring, enum record_kind kind, unsigned table, int64_t next)
{
	struct partition_position at = {.table = (uint16_t)table, .next = next};
	uint8_t entries[256];
	struct pack pack;

	pack_init(&pack, entries, sizeof(entries));
	position_pack_partition(&pack, &at);
	cr_assert_eq(batch_put_end(ring, kind, 1700000000000 + next, entries, pack_len(&pack)), 0);
}

/* A change of the keyed table: new rows, updates with columns left out, deletes, also of nothing. */
static void
keyed_change(struct sim *s, struct source *source)
{
	struct state *now = &source->now;
	struct model_row row;

	model_row_random(&s->random, (int64_t)model_random(&s->random, ROWS_MAX - 4), &row);
	/* A snapshot finds most rows as they were. */
	if (source->snapshot && source->before.count > 0 && model_random(&s->random, 4) > 0)
		row = source->before.rows[model_random(&s->random, source->before.count)];
	unsigned i = state_find(now, row.values[MODEL_ID].i);
	if (!source->snapshot && model_random(&s->random, 3) == 0) {
		put_change(&source->ring, 0, CHANGE_DELETE, false, row.values, 1);
		if (i < now->count)
			now->rows[i] = now->rows[--now->count];
		return;
	}
	struct model_row sent = row;
	for (unsigned c = 1; i < now->count && !source->snapshot && c < MODEL_COLUMNS; c++) {
		if (model_random(&s->random, 4) > 0)
			continue;
		row.values[c] = now->rows[i].values[c];
		sent.values[c] = (struct value){.kind = VALUE_UNCHANGED};
	}
	put_change(&source->ring, 0, CHANGE_UPSERT, source->snapshot, sent.values, MODEL_COLUMNS);
	now->rows[i] = row;
	now->count += i == now->count;
}

static void
keyless_change(struct sim *s, struct source *source)
{
	struct state *now = &source->now;
	unsigned i = now->count;

	if (!source->snapshot && now->count > 0 && model_random(&s->random, 5) < 2) {
		i = (unsigned)model_random(&s->random, now->count);
		put_change(&source->ring, 1, CHANGE_SUBTRACT, false, now->rows[i].values,
			   MODEL_COLUMNS);
		now->rows[i] = now->rows[--now->count];
	} else if (now->count < ROWS_MAX) {
		model_row_random(&s->random, 1, &now->rows[i]);
		put_change(&source->ring, 1, CHANGE_ADD, source->snapshot, now->rows[i].values,
			   MODEL_COLUMNS);
		now->count++;
	}
}

static void
snapshot_begin(struct source *source, unsigned server)
{
	/* What the snapshot reads is all there is; rows unread are gone. */
	if (!source->snapshot)
		source->before = source->now;
	source->now.count = 0;
	source->snapshot = true;
	cr_assert_eq(batch_put_snapshot(&source->ring, (uint16_t)server, SNAPSHOT_BEGIN), 0);
}

static void
source_end(struct source *source, unsigned server, enum record_kind kind)
{
	if (source->snapshot)
		cr_assert_eq(batch_put_snapshot(&source->ring, (uint16_t)server, SNAPSHOT_END), 0);
	source->open = source->snapshot = false;
	source->now.next++;
	put_end(&source->ring, kind, server, source->now.next);
	source->queue[source->tail++ % QUEUE] = source->now;
	source->transactions++;
}

/* Write one record or two; now and then make them visible, also in mid-transaction. */
static void
source_step(struct sim *s, unsigned server)
{
	struct source *source = &s->source[server];

	if (source->tail - source->head == QUEUE || ring_used(&source->ring) > RING_BYTES_MIN / 2)
		return;
	if (!source->open && !source->cut && source->transactions >= source->cut_after) {
		source->cut = true;
		source_end(source, server, RECORD_CUT);
	} else if (!source->open) {
		if (s->closing)
			return;
		source->open = true;
		source->left = 1 + (unsigned)model_random(&s->random, 8);
		if (model_random(&s->random, 12) == 0)
			snapshot_begin(source, server);
	} else if (source->left == 0) {
		source_end(source, server, RECORD_END);
	} else {
		source->left--;
		if (source->snapshot && model_random(&s->random, 15) == 0)
			snapshot_begin(source, server); /* starts over */
		else if (server == 0)
			keyed_change(s, source);
		else
			keyless_change(s, source);
	}
	if (model_random(&s->random, 3) > 0)
		ring_commit(&source->ring, NULL, 0);
}

static struct model_bytes *
sim_view(const struct sim *s, unsigned view, const struct state *states, unsigned *shown)
{
	const struct view *v = &s->pipeline->views[view];
	const struct state *state = &states[v->table];

	return model_view(v, &s->pipeline->tables[v->table], state->rows, state->count, shown);
}

static void
sim_check(const struct sim *s, const struct state *states, const char *when)
{
	for (unsigned i = 0; i < s->pipeline->view_count; i++) {
		unsigned shown;
		struct model_bytes *rows = sim_view(s, i, states, &shown);
		cr_assert(model_fold_equals(&s->fold[i], rows, shown),
			  "view %u, %s, batch %" PRIu64 ", seed %" PRIu64
			  ": %u rows shown, %u expected",
			  i, when, s->read, s->seed, s->fold[i].count, shown);
		model_rows_free(rows, shown);
	}
}

/* Memory stands at batch `durable`: the target shows just that. */
static void
sim_go_live(struct sim *s)
{
	cr_assert_eq(core_live(s->core, s->durable), CORE_OK);
	s->read = s->durable;
	for (unsigned i = 0; s->durable > 0 && i < s->pipeline->view_count; i++) {
		unsigned shown;
		struct model_bytes *rows = sim_view(s, i, s->committed, &shown);
		for (unsigned k = 0; k < shown; k++)
			cr_assert(model_fold_apply(&s->fold[i], 1, rows[k].bytes, rows[k].len));
		model_rows_free(rows, shown);
	}
}

static void
sim_absorb(struct sim *s, unsigned input)
{
	struct ring_record record;

	if (!core_wants(s->core, input) || ring_next(&s->in[input], &record) <= 0)
		return;
	enum core_result result = core_take(s->core, input, &record, s->now_ms);
	cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
	ring_commit(&s->in[input], NULL, 0);
	if (result == CORE_OK) {
		cr_assert_not(core_is_whole(s->core));
		cr_assert_not(core_wants(s->core, !input), "a ring in mid-transaction was left");
		return;
	}
	struct source *source = &s->source[input];
	s->committed[input] = source->queue[source->head++ % QUEUE];
	if (result == CORE_CUT)
		sim_go_live(s);
}

static int64_t
position_next(const struct sim *s, const struct batch *batch, unsigned server)
{
	struct partition_position *partitions;
	struct transaction_position transaction;
	const char *error;
	unsigned count;
	int64_t next = -1;

	cr_assert_eq(position_parse(batch->position, batch->position_len, s->pipeline, server,
				    &partitions, &count, &transaction, &error),
		     0, "%s", error);
	if (count == 1)
		next = partitions[0].next;
	free(partitions);
	return next;
}

static void
sim_read_batch(struct sim *s, const struct batch *batch)
{
	const struct state *expected = s->expected[batch->number % EXPECTED];

	cr_assert_eq(batch->number, s->read + 1);
	cr_assert_eq(batch->rows, s->rows);
	cr_assert_leq(batch->number - s->durable, CORE_UNACKNOWLEDGED);
	s->read = batch->number;
	s->rows = 0;
	s->clean_stop = batch->clean_stop;
	for (unsigned i = 0; i < SERVERS; i++)
		cr_assert_eq(position_next(s, batch, i), expected[i].next);
	sim_check(s, expected, "at a batch");
}

/* Egress: read up to `max` records. */
static void
sim_read(struct sim *s, unsigned max)
{
	struct ring_record record;
	struct batch batch;
	const uint8_t *row;
	uint16_t view;
	size_t len;
	int diff;

	while (max-- > 0 && ring_next(&s->reader, &record) > 0) {
		if (record.kind == RECORD_BATCH) {
			cr_assert(batch_get_batch(&record, &batch));
			sim_read_batch(s, &batch);
			continue;
		}
		cr_assert_eq(record.kind, RECORD_ROW);
		cr_assert(batch_get_row(&record, &view, &diff, &row, &len));
		cr_assert(model_fold_apply(&s->fold[view], diff, row, len),
			  "a diff of %d that does not fit what is shown; seed %" PRIu64, diff,
			  s->seed);
		s->rows++;
	}
	ring_commit(&s->reader, NULL, 0);
}

static void
sim_emit(struct sim *s)
{
	uint64_t before = core_counters(s->core).batch;

	if (!core_due(s->core, s->durable, s->now_ms))
		return;
	enum core_result result = core_emit(s->core, &s->out, s->now_ms);
	cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
	s->full += result == CORE_FULL;
	cr_assert_eq(core_emitting(s->core), result == CORE_FULL);
	if (core_counters(s->core).batch > before) {
		memcpy(s->expected[(before + 1) % EXPECTED], s->committed, sizeof(s->committed));
		cr_assert_geq(s->now_ms - s->closed_ms, s->pipeline->commit_interval_ms);
		s->closed_ms = s->now_ms;
	}
	ring_commit(&s->out, NULL, 0);
}

static void
sim_step(struct sim *s, bool sources)
{
	switch (model_random(&s->random, 8)) {
	case 0:
	case 1:
		if (sources)
			source_step(s, (unsigned)model_random(&s->random, SERVERS));
		break;
	case 2:
	case 3:
		sim_absorb(s, (unsigned)model_random(&s->random, SERVERS));
		break;
	case 4:
		sim_emit(s);
		break;
	case 5:
		sim_read(s, (unsigned)model_random(&s->random, 40));
		break;
	case 6:
		if (model_random(&s->random, 2) == 0)
			s->durable = s->read;
		break;
	default:
		s->now_ms += (int64_t)model_random(&s->random, 30);
		break;
	}
}

/* Whole transactions are shown to the last one; of an open one nothing is. */
static void
sim_stop(struct sim *s, bool whole)
{
	s->closing = true;
	for (unsigned i = 0; i < SERVERS; i++) {
		while (whole && (s->source[i].open || !s->source[i].cut))
			sim_step(s, true);
		ring_commit(&s->source[i].ring, NULL, 0);
	}
	for (int i = 0; i < 12000; i++)
		sim_step(s, false);
	for (unsigned i = 0; whole && i < SERVERS; i++)
		cr_assert_eq(s->committed[i].next, s->source[i].now.next);
	core_finish(s->core);
	for (int i = 0; i < 2000 && !core_is_settled(s->core, s->durable); i++)
		sim_step(s, false);
	cr_assert(core_is_settled(s->core, s->durable));
	cr_assert_eq(core_counters(s->core).batch, s->durable);
	if (whole)
		sim_check(s, s->committed, "at the end");
}

static void
sim_run(uint64_t seed, uint64_t durable, int64_t interval_ms, bool whole)
{
	static struct sim s;

	sim_init(&s, seed);
	s.durable = s.read = durable;
	s.pipeline->commit_interval_ms = interval_ms;
	for (unsigned i = 0; durable > 0 && i < SERVERS; i++)
		s.source[i].cut_after = (int64_t)model_random(&s.random, 40);
	for (int i = 0; i < 15000; i++)
		sim_step(&s, true);
	cr_assert(core_is_live(s.core));
	cr_assert_gt(core_counters(s.core).batches, interval_ms > 0 ? 20 : 60,
		     "only %" PRIu64 " batches, seed %" PRIu64, core_counters(s.core).batches,
		     seed);
	sim_stop(&s, whole);
	sim_fini(&s);
}

Test(reduce, random_transactions_from_a_first_start)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		sim_run(seed, 0, 0, seed % 2 == 0);
}

Test(reduce, random_transactions_after_a_replay)
{
	for (uint64_t seed = 101; seed <= 108; seed++)
		sim_run(seed, 41, 0, seed % 2 == 0);
}

Test(reduce, random_transactions_with_a_commit_interval)
{
	for (uint64_t seed = 201; seed <= 203; seed++)
		sim_run(seed, 0, 200, true);
}

/* --- single cases --- */

static void
take_all(struct sim *s, unsigned input)
{
	struct ring_record record;

	ring_commit(&s->source[input].ring, NULL, 0);
	while (core_wants(s->core, input) && ring_next(&s->in[input], &record) > 0) {
		enum core_result result = core_take(s->core, input, &record, s->now_ms);
		cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
		if (result == CORE_CUT)
			cr_assert_eq(core_live(s->core, s->durable), CORE_OK);
	}
	ring_commit(&s->in[input], NULL, 0);
}

static void
case_init(struct sim *s)
{
	sim_init(s, 1);
	for (unsigned i = 0; i < SERVERS; i++) {
		cr_assert_eq(batch_put_end(&s->source[i].ring, RECORD_CUT, 0, no_entries, 0), 0);
		take_all(s, i);
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

	put_change(&s->source[1].ring, 1, kind, false, values, MODEL_COLUMNS);
}

static void
emit_all(struct sim *s)
{
	while (core_due(s->core, s->durable, s->now_ms)) {
		enum core_result result = core_emit(s->core, &s->out, s->now_ms);
		cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
		ring_commit(&s->out, NULL, 0);
		s->full += result == CORE_FULL;
	}
}

static unsigned
out_records(struct sim *s, struct batch *last)
{
	struct ring_record record;
	unsigned n = 0;

	for (; ring_next(&s->reader, &record) > 0; n++)
		if (record.kind == RECORD_BATCH)
			cr_assert(batch_get_batch(&record, last));
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
				take_all(&s, 1);
			put_row(&s, CHANGE_ADD, names[i], i % 100);
		}
		put_end(&s.source[1].ring, RECORD_END, 1, round + 1);
		take_all(&s, 1);
		for (bool done = false; !done;) {
			cr_assert(core_due(s.core, s.durable, s.now_ms));
			enum core_result result = core_emit(s.core, &s.out, s.now_ms);
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
				cr_assert(view != 4 + 1 ||
					  model_fold_apply(&s.fold[1], diff, row, len));
			}
			ring_commit(&s.reader, NULL, 0);
		}
	}
	rows = core_counters(s.core).output;
	cr_assert_eq(s.fold[1].count, 3000);
	cr_assert_eq(plus + minus, rows);
	cr_assert_gt(minus, 2990);
	cr_assert_gt(s.full, 10, "the ring was never full");
	cr_assert_eq(core_counters(s.core).batches, 2);
	sim_fini(&s);
}

Test(reduce, at_most_two_batches_are_under_way)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	for (int i = 0; i < 5; i++) {
		put_row(&s, CHANGE_ADD, "x", i);
		put_end(&s.source[1].ring, RECORD_END, 1, i + 1);
		take_all(&s, 1);
		emit_all(&s);
	}
	cr_assert_eq(core_counters(s.core).batches, 2);
	cr_assert_eq(core_deadline(s.core, s.durable), INT64_MAX);
	s.durable = 1;
	emit_all(&s); /* tested at an acknowledgment: the rest in one batch */
	cr_assert_eq(core_counters(s.core).batches, 3);
	(void)out_records(&s, &batch);
	cr_assert_eq(batch.number, 3);
	cr_assert_eq(batch.source_ms, 1700000000005);
	cr_assert_eq(position_next(&s, &batch, 1), 5);
	sim_fini(&s);
}

Test(reduce, the_timer_closes_what_the_interval_held_back)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	s.pipeline->commit_interval_ms = 500;
	for (int i = 0; i < 2; i++) {
		put_row(&s, CHANGE_ADD, "x", i);
		put_end(&s.source[1].ring, RECORD_END, 1, i + 1);
		take_all(&s, 1);
		emit_all(&s);
		s.now_ms += 10;
	}
	cr_assert_eq(core_counters(s.core).batches, 1);
	cr_assert_eq(core_deadline(s.core, s.durable), s.now_ms - 20 + 500);
	s.now_ms += 479;
	cr_assert_not(core_due(s.core, s.durable, s.now_ms));
	s.now_ms += 1;
	emit_all(&s);
	(void)out_records(&s, &batch);
	cr_assert_eq(batch.number, 2);
	sim_fini(&s);
}

/* I7: a position without rows causes no commit of its own, but it is not older than 10 s. */
Test(reduce, a_position_without_rows_waits)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	put_end(&s.source[1].ring, RECORD_END, 1, 7);
	take_all(&s, 1);
	int64_t changed_ms = s.now_ms;
	cr_assert_eq(core_deadline(s.core, s.durable), changed_ms + CORE_SAVE_MS);
	s.now_ms += 6000;
	/* A change that leaves the row as it was gives no row either. */
	put_row(&s, CHANGE_ADD, "x", 1);
	put_row(&s, CHANGE_SUBTRACT, "x", 1);
	put_end(&s.source[1].ring, RECORD_END, 1, 8);
	take_all(&s, 1);
	emit_all(&s);
	cr_assert_eq(out_records(&s, &batch), 0);
	cr_assert_eq(core_deadline(s.core, s.durable), changed_ms + CORE_SAVE_MS);
	s.now_ms = changed_ms + CORE_SAVE_MS;
	emit_all(&s);
	cr_assert_eq(out_records(&s, &batch), 1);
	cr_assert_eq(batch.rows, 0);
	cr_assert_eq(position_next(&s, &batch, 1), 8);
	cr_assert_eq(core_deadline(s.core, s.durable), INT64_MAX);
	sim_fini(&s);
}

Test(reduce, a_clean_stop_saves_the_position_and_says_so)
{
	static struct sim s;
	struct batch batch;

	case_init(&s);
	put_end(&s.source[1].ring, RECORD_END, 1, 3);
	take_all(&s, 1);
	cr_assert_not(core_due(s.core, s.durable, s.now_ms));
	core_finish(s.core);
	emit_all(&s);
	cr_assert_eq(out_records(&s, &batch), 1);
	cr_assert(batch.clean_stop);
	cr_assert_not(core_wants(s.core, 1), "the last batch was not the last");
	cr_assert_not(core_is_settled(s.core, 0));
	cr_assert(core_is_settled(s.core, 1));
	sim_fini(&s);
}

/* Where history began must be known to the target even if nothing ever comes. */
Test(reduce, a_first_start_saves_where_history_begins)
{
	static struct sim s;

	sim_init(&s, 1);
	for (unsigned i = 0; i < SERVERS; i++) {
		put_end(&s.source[i].ring, RECORD_CUT, i, 100);
		take_all(&s, i);
	}
	cr_assert_eq(core_deadline(s.core, s.durable), s.now_ms + CORE_SAVE_MS);
	sim_fini(&s);
}

/* An input that is through with its replay waits for the others: what it has next is new. */
Test(reduce, an_input_that_was_cut_waits)
{
	static struct sim s;

	sim_init(&s, 1);
	s.durable = 9;
	put_row(&s, CHANGE_ADD, "old", 1);
	put_end(&s.source[1].ring, RECORD_CUT, 1, 1);
	put_row(&s, CHANGE_ADD, "new", 2);
	put_end(&s.source[1].ring, RECORD_END, 1, 2);
	take_all(&s, 1);
	cr_assert_not(core_wants(s.core, 1));
	cr_assert_eq(core_counters(s.core).changes, 1);
	cr_assert_eq(batch_put_end(&s.source[0].ring, RECORD_CUT, 0, no_entries, 0), 0);
	take_all(&s, 0);
	cr_assert_eq(core_deadline(s.core, s.durable), INT64_MAX, "history was shown again");
	take_all(&s, 1);
	cr_assert_eq(core_counters(s.core).changes, 2);
	emit_all(&s);
	cr_assert_eq(core_counters(s.core).batch, 10);
	sim_fini(&s);
}

/* --- what must not be absorbed --- */

static void
refused(struct sim *s, unsigned input, int code, const char *words)
{
	struct ring_record record;
	enum core_result result = CORE_OK;

	ring_commit(&s->source[input].ring, NULL, 0);
	while (result != CORE_FAILED && ring_next(&s->in[input], &record) > 0)
		result = core_take(s->core, input, &record, s->now_ms);
	cr_assert_eq(result, CORE_FAILED);
	cr_assert_eq(core_error(s->core)->code, code, "code %d", core_error(s->core)->code);
	cr_assert_not_null(strstr(core_error(s->core)->text, words), "%s",
			   core_error(s->core)->text);
	sim_fini(s);
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
	put_change(&s.source[0].ring, 1, CHANGE_ADD, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_RECOVER, "a change that is not well formed"); /* another server's */
	case_init(&s);
	put_change(&s.source[0].ring, 0, CHANGE_ADD, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_RECOVER, "a kind that its table cannot have");
	case_init(&s);
	put_change(&s.source[0].ring, 0, CHANGE_UPSERT, false, values, MODEL_COLUMNS - 1);
	refused(&s, 0, EXIT_RECOVER, "a row that does not fit");
	case_init(&s);
	put_change(&s.source[0].ring, 0, CHANGE_DELETE, false, values, 2);
	refused(&s, 0, EXIT_RECOVER, "a key that does not fit");
	case_init(&s);
	values[MODEL_ID] = (struct value){.kind = VALUE_BOOL, .i = 1};
	put_change(&s.source[0].ring, 0, CHANGE_UPSERT, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_RECOVER, "a row that does not fit");
	case_init(&s);
	cr_assert_eq(batch_put_snapshot(&s.source[0].ring, 0, SNAPSHOT_END), 0);
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
	put_change(&s.source[0].ring, 0, CHANGE_UPSERT, false, values, MODEL_COLUMNS);
	refused(&s, 0, EXIT_DATA, "left out column \"status\"");
	case_init(&s);
	put_change(&s.source[1].ring, 1, CHANGE_ADD, false, values, MODEL_COLUMNS);
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
	put_change(&s.source[1].ring, 1, CHANGE_ADD, false, values, MODEL_COLUMNS);
	put_end(&s.source[1].ring, RECORD_END, 1, 1);
	take_all(&s, 1);
	/* View 7 shows the text twice: more than half of the ring. */
	cr_assert_eq(core_emit(s.core, &s.out, s.now_ms), CORE_FAILED);
	cr_assert_eq(core_error(s.core)->code, EXIT_CONFIG);
	cr_assert_not_null(strstr(core_error(s.core)->text, "SET ring_bytes = 131072"), "%s",
			   core_error(s.core)->text);
	sim_fini(&s);
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
