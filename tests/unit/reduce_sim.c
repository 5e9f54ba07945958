#include "tests/unit/reduce_sim.h"

#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/pack.h"
#include "common/position.h"

static void
rings_open(struct ring_fds *fds, struct ring *producer, struct ring *consumer)
{
	cr_assert_eq(ring_create(fds, RING_BYTES_MIN), 0);
	cr_assert_eq(ring_attach(producer, fds, RING_PRODUCER), 0);
	cr_assert_eq(ring_attach(consumer, fds, RING_CONSUMER), 0);
}

void
reduce_sim_init(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->seed = s->random.state = seed;
	s->pipeline = model_pipeline();
	s->core = core_new(s->pipeline);
	s->now_ms = 1000000;
	s->closed_ms = INT64_MIN / 2;
	for (unsigned i = 0; i < SIM_SERVERS; i++)
		rings_open(&s->in_fds[i], &s->source[i].ring, &s->in[i]);
	rings_open(&s->out_fds, &s->out, &s->reader);
}

void
reduce_sim_fini(struct sim *s)
{
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
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
state_find(const struct sim_state *state, int64_t id)
{
	unsigned i = 0;

	while (i < state->count && state->rows[i].values[MODEL_ID].i != id)
		i++;
	return i;
}

void
reduce_sim_put_change(struct ring *ring, unsigned table, enum change_kind kind, bool snapshot,
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

void
reduce_sim_put_end(struct ring *ring, enum record_kind kind, unsigned table, int64_t next)
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
keyed_change(struct sim *s, struct sim_source *source)
{
	struct sim_state *now = &source->now;
	struct model_row row;

	model_row_random(&s->random, (int64_t)model_random(&s->random, SIM_ROWS_MAX - 4), &row);
	/* A snapshot finds most rows as they were. */
	if (source->snapshot && source->before.count > 0 && model_random(&s->random, 4) > 0)
		row = source->before.rows[model_random(&s->random, source->before.count)];
	unsigned i = state_find(now, row.values[MODEL_ID].i);
	if (!source->snapshot && model_random(&s->random, 3) == 0) {
		reduce_sim_put_change(&source->ring, 0, CHANGE_DELETE, false, row.values, 1);
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
	reduce_sim_put_change(&source->ring, 0, CHANGE_UPSERT, source->snapshot, sent.values,
			      MODEL_COLUMNS);
	now->rows[i] = row;
	now->count += i == now->count;
}

static void
keyless_change(struct sim *s, struct sim_source *source)
{
	struct sim_state *now = &source->now;
	unsigned i = now->count;

	if (!source->snapshot && now->count > 0 && model_random(&s->random, 5) < 2) {
		i = (unsigned)model_random(&s->random, now->count);
		reduce_sim_put_change(&source->ring, 1, CHANGE_SUBTRACT, false, now->rows[i].values,
				      MODEL_COLUMNS);
		now->rows[i] = now->rows[--now->count];
	} else if (now->count < SIM_ROWS_MAX) {
		model_row_random(&s->random, 1, &now->rows[i]);
		reduce_sim_put_change(&source->ring, 1, CHANGE_ADD, source->snapshot,
				      now->rows[i].values, MODEL_COLUMNS);
		now->count++;
	}
}

static void
snapshot_begin(struct sim_source *source, unsigned server)
{
	/* What the snapshot reads is all there is; rows unread are gone. */
	if (!source->snapshot)
		source->before = source->now;
	source->now.count = 0;
	source->snapshot = true;
	cr_assert_eq(batch_put_snapshot(&source->ring, (uint16_t)server, SNAPSHOT_BEGIN), 0);
}

static void
source_end(struct sim_source *source, unsigned server, enum record_kind kind)
{
	if (source->snapshot)
		cr_assert_eq(batch_put_snapshot(&source->ring, (uint16_t)server, SNAPSHOT_END), 0);
	source->open = source->snapshot = false;
	source->now.next++;
	reduce_sim_put_end(&source->ring, kind, server, source->now.next);
	source->queue[source->tail++ % SIM_QUEUE] = source->now;
	source->transactions++;
}

/* Write one record or two; now and then make them visible, also in mid-transaction. */
static void
source_step(struct sim *s, unsigned server)
{
	struct sim_source *source = &s->source[server];

	if (source->tail - source->head == SIM_QUEUE ||
	    ring_used(&source->ring) > RING_BYTES_MIN / 2)
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
reduce_sim_view(const struct sim *s, unsigned view, const struct sim_state *states, unsigned *shown)
{
	const struct view *v = &s->pipeline->views[view];
	const struct sim_state *state = &states[v->table];

	return model_view(v, &s->pipeline->tables[v->table], state->rows, state->count, shown);
}

static void
reduce_sim_check(const struct sim *s, const struct sim_state *states, const char *when)
{
	for (unsigned i = 0; i < s->pipeline->view_count; i++) {
		unsigned shown;
		struct model_bytes *rows = reduce_sim_view(s, i, states, &shown);
		cr_assert(model_fold_equals(&s->fold[i], rows, shown),
			  "view %u, %s, batch %" PRIu64 ", seed %" PRIu64
			  ": %u rows shown, %u expected",
			  i, when, s->read, s->seed, s->fold[i].count, shown);
		model_rows_free(rows, shown);
	}
}

/* Memory stands at batch `durable`: the target shows just that. */
static void
reduce_sim_go_live(struct sim *s)
{
	cr_assert_eq(core_live(s->core, s->durable), CORE_OK);
	s->read = s->durable;
	for (unsigned i = 0; s->durable > 0 && i < s->pipeline->view_count; i++) {
		unsigned shown;
		struct model_bytes *rows = reduce_sim_view(s, i, s->committed, &shown);
		for (unsigned k = 0; k < shown; k++)
			cr_assert(model_fold_apply(&s->fold[i], 1, rows[k].bytes, rows[k].len));
		model_rows_free(rows, shown);
	}
}

static void
reduce_sim_absorb(struct sim *s, unsigned input)
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
	struct sim_source *source = &s->source[input];
	s->committed[input] = source->queue[source->head++ % SIM_QUEUE];
	if (result == CORE_CUT)
		reduce_sim_go_live(s);
}

int64_t
reduce_sim_position_next(const struct sim *s, const struct batch *batch, unsigned server)
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
reduce_sim_read_batch(struct sim *s, const struct batch *batch)
{
	const struct sim_state *expected = s->expected[batch->number % SIM_EXPECTED];

	cr_assert_eq(batch->number, s->read + 1);
	cr_assert_eq(batch->rows, s->rows);
	cr_assert_leq(batch->number - s->durable, CORE_UNACKNOWLEDGED);
	s->read = batch->number;
	s->rows = 0;
	s->clean_stop = batch->clean_stop;
	for (unsigned i = 0; i < SIM_SERVERS; i++)
		cr_assert_eq(reduce_sim_position_next(s, batch, i), expected[i].next);
	reduce_sim_check(s, expected, "at a batch");
}

/* Egress: read up to `max` records. */
static void
reduce_sim_read(struct sim *s, unsigned max)
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
			reduce_sim_read_batch(s, &batch);
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
reduce_sim_emit(struct sim *s)
{
	uint64_t before = core_counters(s->core).batch;

	if (!core_due(s->core, s->durable, s->now_ms))
		return;
	enum core_result result = core_emit(s->core, &s->out, s->durable, s->now_ms);
	cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
	s->full += result == CORE_FULL;
	cr_assert_eq(core_emitting(s->core), result == CORE_FULL);
	if (core_counters(s->core).batch > before) {
		memcpy(s->expected[(before + 1) % SIM_EXPECTED], s->committed,
		       sizeof(s->committed));
		cr_assert_geq(s->now_ms - s->closed_ms, s->pipeline->commit_interval_ms);
		s->closed_ms = s->now_ms;
	}
	ring_commit(&s->out, NULL, 0);
}

static void
reduce_sim_step(struct sim *s, bool sources)
{
	switch (model_random(&s->random, 8)) {
	case 0:
	case 1:
		if (sources)
			source_step(s, (unsigned)model_random(&s->random, SIM_SERVERS));
		break;
	case 2:
	case 3:
		reduce_sim_absorb(s, (unsigned)model_random(&s->random, SIM_SERVERS));
		break;
	case 4:
		reduce_sim_emit(s);
		break;
	case 5:
		reduce_sim_read(s, (unsigned)model_random(&s->random, 40));
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
reduce_sim_stop(struct sim *s, bool whole)
{
	s->closing = true;
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		while (whole && (s->source[i].open || !s->source[i].cut))
			reduce_sim_step(s, true);
		ring_commit(&s->source[i].ring, NULL, 0);
	}
	for (int i = 0; i < 12000; i++)
		reduce_sim_step(s, false);
	for (unsigned i = 0; whole && i < SIM_SERVERS; i++)
		cr_assert_eq(s->committed[i].next, s->source[i].now.next);
	core_finish(s->core);
	for (int i = 0; i < 2000 && !core_is_settled(s->core, s->durable); i++)
		reduce_sim_step(s, false);
	cr_assert(core_is_settled(s->core, s->durable));
	cr_assert_eq(core_counters(s->core).batch, s->durable);
	if (whole)
		reduce_sim_check(s, s->committed, "at the end");
}

void
reduce_sim_run(uint64_t seed, uint64_t durable, int64_t interval_ms, bool whole)
{
	static struct sim s;

	reduce_sim_init(&s, seed);
	s.durable = s.read = durable;
	s.pipeline->commit_interval_ms = interval_ms;
	for (unsigned i = 0; durable > 0 && i < SIM_SERVERS; i++)
		s.source[i].cut_after = (int64_t)model_random(&s.random, 40);
	for (int i = 0; i < 15000; i++)
		reduce_sim_step(&s, true);
	cr_assert(core_is_live(s.core));
	cr_assert_gt(core_counters(s.core).batches, interval_ms > 0 ? 20 : 60,
		     "only %" PRIu64 " batches, seed %" PRIu64, core_counters(s.core).batches,
		     seed);
	reduce_sim_stop(&s, whole);
	reduce_sim_fini(&s);
}
