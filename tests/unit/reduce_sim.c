#include "tests/unit/reduce_sim.h"

#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/image.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/position.h"
#include "reduce/lookout.h"

static void
rings_open(struct ring_fds *fds, struct ring *producer, struct ring *consumer)
{
	cr_assert_eq(ring_create(fds, RING_BYTES_MIN), 0);
	cr_assert_eq(ring_attach(producer, fds, RING_PRODUCER), 0);
	cr_assert_eq(ring_attach(consumer, fds, RING_CONSUMER), 0);
}

static void
rings_close(struct ring_fds *fds, struct ring *producer, struct ring *consumer)
{
	ring_detach(producer);
	ring_detach(consumer);
	ring_close_fds(fds);
}

static void
states_push(struct sim_source *source)
{
	if (source->state_count == source->state_room) {
		source->state_room = source->state_room > 0 ? source->state_room * 2 : 64;
		source->states =
		    xreallocarray(source->states, source->state_room, sizeof(*source->states));
	}
	source->states[source->state_count++] = source->now;
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
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		struct sim_source *source = &s->source[i];
		rings_open(&s->in_fds[i], &source->ring, &s->in[i]);
		rings_open(&source->pen_fds, &source->pen, &source->log_reader);
		states_push(source);
	}
	rings_open(&s->out_fds, &s->out, &s->reader);
}

void
reduce_sim_fini(struct sim *s)
{
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		struct sim_source *source = &s->source[i];
		rings_close(&s->in_fds[i], &source->ring, &s->in[i]);
		rings_close(&source->pen_fds, &source->pen, &source->log_reader);
		for (size_t k = 0; k < source->log_count; k++)
			free(source->log[k].bytes);
		free(source->log);
		free(source->states);
	}
	rings_close(&s->out_fds, &s->out, &s->reader);
	for (unsigned i = 0; i < SIM_VIEWS; i++)
		model_fold_free(&s->fold[i]);
	reduce_sim_target_fini(&s->target);
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
	struct stamps stamps = {.count = 0};
	uint8_t entries[256];
	struct pack pack;

	stamps_add(&stamps, 1700000000000 + next);
	pack_init(&pack, entries, sizeof(entries));
	position_pack_partition(&pack, &at);
	cr_assert_eq(
	    batch_put_end(ring, kind, 1700000000000 + next, &stamps, entries, pack_len(&pack)), 0);
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
		reduce_sim_put_change(&source->pen, 0, CHANGE_DELETE, false, row.values, 1);
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
	reduce_sim_put_change(&source->pen, 0, CHANGE_UPSERT, source->snapshot, sent.values,
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
		reduce_sim_put_change(&source->pen, 1, CHANGE_SUBTRACT, false, now->rows[i].values,
				      MODEL_COLUMNS);
		now->rows[i] = now->rows[--now->count];
	} else if (now->count < SIM_ROWS_MAX) {
		model_row_random(&s->random, 1, &now->rows[i]);
		reduce_sim_put_change(&source->pen, 1, CHANGE_ADD, source->snapshot,
				      now->rows[i].values, MODEL_COLUMNS);
		now->count++;
	}
}

/* It is older than an open snapshot, so what that has read stays. */
static void
truncate_change(struct sim_source *source, unsigned server)
{
	reduce_sim_put_change(&source->pen, server, CHANGE_TRUNCATE, false, NULL, 0);
	if (source->snapshot)
		source->before.count = 0;
	else
		source->now.count = 0;
}

/* What was there before the snapshot, with what it has read of a keyed table. */
static void
snapshot_merge(struct sim_source *source, unsigned server)
{
	struct sim_state *before = &source->before;

	for (unsigned i = 0; server == 0 && i < source->now.count; i++) {
		unsigned at = state_find(before, source->now.rows[i].values[MODEL_ID].i);
		before->rows[at] = source->now.rows[i];
		before->count += at == before->count;
	}
}

static void
snapshot_begin(struct sim_source *source, unsigned server)
{
	/* What the snapshot reads is all there is; rows unread are gone. */
	if (!source->snapshot)
		source->before = source->now;
	else
		snapshot_merge(source, server);
	source->now.count = 0;
	source->snapshot = true;
	cr_assert_eq(batch_put_snapshot(&source->pen, (uint16_t)server, SNAPSHOT_BEGIN), 0);
}

/* What was made goes to the log. */
static void
source_log(struct sim_source *source)
{
	struct ring_record record;

	ring_commit(&source->pen, NULL, 0);
	while (ring_next(&source->log_reader, &record) > 0) {
		if (source->log_count == source->log_room) {
			source->log_room = source->log_room > 0 ? source->log_room * 2 : 1024;
			source->log =
			    xreallocarray(source->log, source->log_room, sizeof(*source->log));
		}
		struct sim_record *entry = &source->log[source->log_count++];
		*entry = (struct sim_record){
		    .bytes = xcalloc(1, record.len), .len = record.len, .kind = record.kind};
		memcpy(entry->bytes, record.data, record.len);
	}
	ring_commit(&source->log_reader, NULL, 0);
}

static void
source_end(struct sim *s, struct sim_source *source, unsigned server)
{
	enum snapshot_phase phase =
	    model_random(&s->random, 3) > 0 ? SNAPSHOT_END : SNAPSHOT_ABANDON;

	if (source->snapshot)
		cr_assert_eq(batch_put_snapshot(&source->pen, (uint16_t)server, phase), 0);
	if (source->snapshot && phase == SNAPSHOT_ABANDON) {
		snapshot_merge(source, server);
		source->before.next = source->now.next;
		source->now = source->before;
	}
	source->open = source->snapshot = false;
	source->now.next++;
	reduce_sim_put_end(&source->pen, RECORD_END, server, source->now.next);
	states_push(source);
}

/* Debezium: write one record or two. */
static void
source_write(struct sim *s, unsigned server)
{
	struct sim_source *source = &s->source[server];

	if (!source->open) {
		if (s->closing || source->log_count - source->fed > 200)
			return;
		source->open = true;
		source->left = 1 + (unsigned)model_random(&s->random, 8);
		if (model_random(&s->random, 12) == 0)
			snapshot_begin(source, server);
	} else if (source->left == 0) {
		source_end(s, source, server);
	} else {
		source->left--;
		if (source->snapshot && model_random(&s->random, 15) == 0)
			snapshot_begin(source, server); /* starts over */
		else if (model_random(&s->random, 60) == 0)
			truncate_change(source, server);
		else if (server == 0)
			keyed_change(s, source);
		else
			keyless_change(s, source);
	}
	source_log(source);
}

/* Ingest: read one record of the log; now and then make records visible, also in mid-transaction. */
static void
source_feed(struct sim *s, unsigned server)
{
	struct sim_source *source = &s->source[server];

	if (ring_used(&source->ring) + ring_pending(&source->ring) > RING_BYTES_MIN / 2)
		return;
	if (!source->fed_open && !source->cut && source->fed_ends >= source->cut_after) {
		source->cut = true;
		reduce_sim_put_end(&source->ring, RECORD_CUT, server, source->fed_ends);
	} else if (source->fed < source->log_count) {
		const struct sim_record *record = &source->log[source->fed++];
		uint8_t *room = ring_reserve(&source->ring, record->len);
		cr_assert_not_null(room);
		memcpy(room, record->bytes, record->len);
		ring_append(&source->ring, record->len, record->kind, 0);
		source->fed_open = record->kind != RECORD_END;
		source->fed_ends += record->kind == RECORD_END;
	}
	if (model_random(&s->random, 3) > 0)
		ring_commit(&source->ring, NULL, 0);
}

static void
source_step(struct sim *s, unsigned server)
{
	source_write(s, server);
	source_feed(s, server);
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
	for (unsigned i = 0; i < s->pipeline->view_count; i++) {
		unsigned shown;
		model_fold_free(&s->fold[i]);
		if (s->durable == 0 || !s->target.known[i])
			continue;
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
	enum core_result result = core_take(s->core, input, &record, NULL, s->now_ms);
	cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
	ring_commit(&s->in[input], NULL, 0);
	if (result == CORE_OK) {
		cr_assert_not(core_is_whole(s->core));
		cr_assert_not(core_wants(s->core, !input), "a ring in mid-transaction was left");
		return;
	}
	struct sim_source *source = &s->source[input];
	if (record.kind == RECORD_END)
		source->absorbed++;
	s->committed[input] = source->states[source->absorbed];
	if (result == CORE_CUT)
		reduce_sim_go_live(s);
}

void
reduce_sim_take(struct sim *s, unsigned input)
{
	struct ring_record record;
	struct lookout lookout;

	ring_commit(&s->source[input].ring, NULL, 0);
	lookout_begin(&lookout, s->core, input, &s->in[input]);
	while (core_wants(s->core, input) && ring_next(&s->in[input], &record) > 0) {
		const struct core_hint *hint = lookout_advance(&lookout);
		enum core_result result = core_take(s->core, input, &record, hint, s->now_ms);
		cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
		if (result == CORE_CUT)
			cr_assert_eq(core_live(s->core, s->durable), CORE_OK);
	}
	ring_commit(&s->in[input], NULL, 0);
}

static int64_t
position_next(const struct sim *s, const char *json, size_t len, unsigned server)
{
	struct partition_position *partitions;
	struct transaction_position transaction;
	const char *error;
	unsigned count;
	int64_t next = -1;

	cr_assert_eq(position_parse(json, len, s->pipeline, server, &partitions, &count,
				    &transaction, &error),
		     0, "%s", error);
	if (count == 1)
		next = partitions[0].next;
	free(partitions);
	return next;
}

int64_t
reduce_sim_position_next(const struct sim *s, const struct batch *batch, unsigned server)
{
	return position_next(s, batch->position, batch->position_len, server);
}

/* Ingest begins at a position: after so many transactions. */
static void
source_seek(struct sim_source *source, int64_t transactions, int64_t cut_after)
{
	source->fed = 0;
	source->fed_ends = source->absorbed = transactions;
	for (int64_t ends = 0; ends < transactions; source->fed++)
		ends += source->log[source->fed].kind == RECORD_END;
	source->fed_open = source->cut = false;
	source->cut_after = cut_after;
}

/* Break or lose one stored part that is not forgotten. */
static bool
target_damage(struct sim *s)
{
	struct sim_target *t = &s->target;

	if (!s->damage || t->number == 0 || t->count == 0 || model_random(&s->random, 3) > 0)
		return false;
	size_t i = model_random(&s->random, t->count);
	if (t->parts[i].forgotten)
		return false;
	if (model_random(&s->random, 2) == 0) {
		t->parts[i].bytes[model_random(&s->random, t->parts[i].len)] ^= 1;
		return true;
	}
	free(t->parts[i].bytes);
	t->parts[i] = t->parts[t->count - 1];
	t->count--;
	return false; /* perhaps one that was about to be forgotten */
}

static void
core_reload(struct sim *s)
{
	struct image image;
	int fd = image_create();

	reduce_sim_image_fill(s, fd);
	cr_assert_eq(image_open(&image, fd), 0);
	core_free(s->core);
	s->core = core_new(s->pipeline);
	cr_assert_eq(core_load(s->core, &image), CORE_OK, "%s", core_error(s->core)->text);
	image_close(&image);
	close(fd);
}

void
reduce_sim_recover(struct sim *s)
{
	const char *durable = s->target.batch_position[s->durable % SIM_EXPECTED];
	size_t len;

	reduce_sim_target_commit(&s->target, s->durable, true);
	reduce_sim_target_sweep(s);
	bool damaged = target_damage(s);
	for (unsigned i = 0; i < SIM_VIEWS; i++)
		s->target.known[i] = s->target.known[i] && s->target.known_batch[i] <= s->durable;
	/* It may have been told to forget a view: then all of that is shown anew. */
	for (unsigned i = 0; i < SIM_VIEWS; i++)
		s->target.known[i] = s->target.known[i] && model_random(&s->random, 8) > 0;
	core_reload(s);
	s->recoveries++;
	const char *origin = core_origin(s->core, &len);
	s->loads += len > 0;
	s->refusals += core_refusal(s->core) != NULL;
	cr_assert(len > 0 || core_refusal(s->core) != NULL || s->target.number == 0);
	cr_assert(s->damage || core_refusal(s->core) == NULL, "seed %" PRIu64 ": %s", s->seed,
		  core_refusal(s->core));
	if (!damaged && len > 0)
		cr_assert_str_eq(origin, s->target.position);
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		int64_t cut_after = s->source[i].cut_after, from = 0;
		if (durable != NULL)
			cut_after = position_next(s, durable, strlen(durable), i);
		if (len > 0)
			from = position_next(s, origin, len, i);
		from = from > 0 ? from : 0;
		cut_after = cut_after > 0 ? cut_after : 0;
		cr_assert_leq(from, cut_after, "the checkpoint is ahead of the target");
		s->replayed += (uint64_t)(cut_after - from);
		rings_close(&s->in_fds[i], &s->source[i].ring, &s->in[i]);
		rings_open(&s->in_fds[i], &s->source[i].ring, &s->in[i]);
		source_seek(&s->source[i], from, cut_after);
		s->committed[i] = s->source[i].states[from];
	}
	rings_close(&s->out_fds, &s->out, &s->reader);
	rings_open(&s->out_fds, &s->out, &s->reader);
	s->read = s->durable;
	s->rows = 0;
}

/* --- egress --- */

static void
reduce_sim_read_batch(struct sim *s, const struct batch *batch)
{
	const struct sim_state *expected = s->expected[batch->number % SIM_EXPECTED];
	char **position = &s->target.batch_position[batch->number % SIM_EXPECTED];

	cr_assert_eq(batch->number, s->read + 1);
	cr_assert_eq(batch->rows, s->rows);
	cr_assert_leq(batch->number - s->durable, CORE_UNACKNOWLEDGED);
	s->read = batch->number;
	s->rows = 0;
	s->clean_stop = batch->clean_stop;
	free(*position);
	*position = xstrndup(batch->position, batch->position_len);
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		int64_t next = reduce_sim_position_next(s, batch, i);
		cr_assert(next == expected[i].next || (next == -1 && expected[i].next == 0));
	}
	reduce_sim_check(s, expected, "at a batch");
}

static void
reduce_sim_read_view(struct sim *s, const struct ring_record *record)
{
	enum view_step step;
	uint16_t view;
	uint64_t rows;

	cr_assert(batch_get_view(record, &view, &step, &rows));
	cr_assert_eq(s->rows, 0, "rows stand before a VIEW record");
	if (step == VIEW_LIVE)
		cr_assert_eq(rows, s->fold[view].count,
			     "view %u, seed %" PRIu64 ": %" PRIu64 " rows, %u expected", view,
			     s->seed, rows, s->fold[view].count);
	else
		cr_assert_eq(step, VIEW_FILL);
	cr_assert_eq(step == VIEW_LIVE, s->target.known[view]);
	if (!s->target.known[view])
		s->target.known_batch[view] = s->read + 1;
	s->target.known[view] = true;
}

static void
reduce_sim_read_record(struct sim *s, const struct ring_record *record)
{
	struct checkpoint checkpoint;
	struct batch batch;
	const uint8_t *row;
	uint16_t view;
	size_t len;
	int diff;

	switch (record->kind) {
	case RECORD_BATCH:
		cr_assert(batch_get_batch(record, &batch));
		reduce_sim_read_batch(s, &batch);
		return;
	case RECORD_VIEW:
		reduce_sim_read_view(s, record);
		return;
	case RECORD_CHECKPOINT:
		cr_assert(batch_get_checkpoint(record, &checkpoint));
		reduce_sim_target_note(&s->target, s->read + 1, &checkpoint);
		return;
	default:
		cr_assert_eq(record->kind, RECORD_ROW);
		cr_assert(batch_get_row(record, &view, &diff, &row, &len));
		cr_assert(model_fold_apply(&s->fold[view], diff, row, len),
			  "a diff of %d that does not fit what is shown; seed %" PRIu64, diff,
			  s->seed);
		s->rows++;
	}
}

/* Read up to `max` records. */
static void
reduce_sim_read(struct sim *s, unsigned max)
{
	struct ring_record record;

	while (max-- > 0 && ring_next(&s->reader, &record) > 0)
		reduce_sim_read_record(s, &record);
	ring_commit(&s->reader, NULL, 0);
}

static void
reduce_sim_emit(struct sim *s)
{
	uint64_t before = core_counters(s->core).batch;
	bool begun = core_emitting(s->core);

	core_set_behind(s->core, s->behind);
	if (!core_due(s->core, s->durable, s->now_ms))
		return;
	cr_assert(begun ||
		  before - s->durable < (s->behind || s->finishing ? CORE_UNACKNOWLEDGED : 1));
	s->two += before > s->durable;
	enum core_result result = core_emit(s->core, &s->out, s->durable, s->now_ms);
	cr_assert_neq(result, CORE_FAILED, "%s", core_error(s->core)->text);
	s->full += result == CORE_FULL;
	cr_assert_eq(core_emitting(s->core), result == CORE_FULL);
	if (core_counters(s->core).batch > before) {
		memcpy(s->expected[(before + 1) % SIM_EXPECTED], s->committed,
		       sizeof(s->committed));
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
		if (model_random(&s->random, 2) == 0) {
			s->durable = s->read;
			reduce_sim_target_commit(&s->target, s->durable, false);
		}
		break;
	default:
		s->now_ms += (int64_t)model_random(&s->random, 30);
		s->behind = model_random(&s->random, 3) == 0;
		break;
	}
}

/* Whole transactions are shown to the last one; of an open one nothing is. */
static void
reduce_sim_stop(struct sim *s, bool whole)
{
	s->closing = true;
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		struct sim_source *source = &s->source[i];
		while (whole && (source->open || !source->cut || source->fed < source->log_count))
			reduce_sim_step(s, true);
		ring_commit(&source->ring, NULL, 0);
	}
	for (int i = 0; i < 12000; i++)
		reduce_sim_step(s, false);
	for (unsigned i = 0; whole && i < SIM_SERVERS; i++)
		cr_assert_eq(s->committed[i].next, s->source[i].now.next);
	core_finish(s->core);
	s->finishing = true;
	for (int i = 0; i < 20000 && !core_is_settled(s->core, s->durable); i++)
		reduce_sim_step(s, false);
	cr_assert(core_is_settled(s->core, s->durable));
	cr_assert_eq(core_counters(s->core).batch, s->durable);
	if (whole)
		reduce_sim_check(s, s->committed, "at the end");
}

/* A start after a clean stop replays nothing, and its state is the one that was. */
static void
reduce_sim_start_again(struct sim *s)
{
	uint64_t replayed = s->replayed;

	s->damage = s->finishing = false;
	reduce_sim_recover(s);
	cr_assert_eq(s->replayed, replayed, "seed %" PRIu64 ": %" PRIu64 " read again", s->seed,
		     s->replayed - replayed);
	memset(s->target.known, 0, sizeof(s->target.known));
	core_reload(s);
	uint64_t read = s->read;
	for (int i = 0; i < 4000; i++)
		reduce_sim_step(s, true);
	cr_assert_gt(s->read, read);
	reduce_sim_check(s, s->committed, "after a clean stop");
}

void
reduce_sim_run(uint64_t seed, uint64_t durable, int64_t interval_ms, bool whole, bool deaths)
{
	static const size_t rings[] = {2048, 4096, RING_BYTES_MIN};
	static struct sim s;

	reduce_sim_init(&s, seed);
	s.durable = s.read = durable;
	s.pipeline->commit_interval_ms = interval_ms;
	if (deaths) {
		s.damage = seed % 3 == 0;
		s.pipeline->checkpoint_interval_ms = 20 + (int64_t)model_random(&s.random, 600);
		s.pipeline->ring_bytes = rings[model_random(&s.random, 3)];
	}
	for (unsigned i = 0; durable > 0 && i < SIM_SERVERS; i++)
		s.source[i].cut_after = (int64_t)model_random(&s.random, 40);
	for (unsigned i = 0; durable > 0 && i < SIM_VIEWS; i++)
		s.target.known[i] = true;
	if (deaths)
		core_reload(&s);
	for (int i = 0; i < 15000; i++) {
		reduce_sim_step(&s, true);
		if (deaths && model_random(&s.random, 700) == 0)
			reduce_sim_recover(&s);
	}
	if (!deaths) {
		cr_assert_gt(core_counters(s.core).batches, interval_ms > 0 ? 20 : 60,
			     "only %" PRIu64 " batches, seed %" PRIu64,
			     core_counters(s.core).batches, seed);
		cr_assert(s.two > 0 || interval_ms > 0,
			  "never two batches under way, seed %" PRIu64, seed);
	}
	reduce_sim_stop(&s, whole);
	if (deaths && whole) {
		cr_assert_gt(s.target.flips, 1, "seed %" PRIu64, seed);
		reduce_sim_start_again(&s);
	}
	reduce_sim_fini(&s);
}
