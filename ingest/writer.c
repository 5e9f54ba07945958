#include "ingest/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/position.h"
#include "common/stage.h"
#include "ingest/source.h"

#define WRITER_RECORDS   1024u
#define WRITER_BYTES     (128u * 1024)
#define WRITER_BEHIND_MS 100 /* so long without a rest, and much: behind; without a record: not */
#define WRITER_GATHER_MS 5   /* behind: nobody waits for the newest record */
#define WRITER_RECORD    96u /* all of a record but its values */

/* Messages: to read them takes as long as a batch is gathered. Where tests kill stages, loads are small. */
#ifdef TALLYD_FAULTS
#define WRITER_BACKLOG 16u
#else
#define WRITER_BACKLOG 16384u
#endif

/* ---- life ---------------------------------------------------------------------------------- */

size_t
writer_open(struct writer *w, struct stage *stage)
{
	*w = (struct writer){.stage = stage};
	board_gauge(stage->self, COUNTER_BEHIND, false); /* a predecessor's */
	if (ring_attach(&w->ring, &stage->out, RING_PRODUCER) != 0)
		stage_fail(stage, EXIT_RECOVER, "ingest.ring", "cannot attach the ring: %s",
			   strerror(errno));
	w->token = xcalloc(1, RING_TOKEN_MAX);
	w->entries = xcalloc(1, RING_TOKEN_MAX);
	return ring_token(&w->ring, w->token, RING_TOKEN_MAX);
}

void
writer_start(struct writer *w, struct source *source)
{
	w->source = source;
	w->told = *order_counters(source->order);
	w->told_decoders = xcalloc(source->count, sizeof(*w->told_decoders));
}

void
writer_close(struct writer *w)
{
	free(w->token);
	free(w->entries);
	free(w->told_decoders);
	ring_detach(&w->ring);
	*w = (struct writer){.stage = NULL};
}

/* ---- commit -------------------------------------------------------------------------------- */

static void
writer_tell(struct writer *w, enum board_counter counter, uint64_t now, uint64_t *told)
{
	if (now > *told)
		board_count(w->stage->self, counter, now - *told);
	*told = now;
}

static void
writer_count(struct writer *w)
{
	struct source *s = w->source;
	const struct order_counters *c = order_counters(s->order);
	writer_tell(w, COUNTER_EVENTS, s->events, &w->told_events);
	writer_tell(w, COUNTER_BYTES, s->bytes, &w->told_bytes);
	writer_tell(w, COUNTER_REPEATS, c->repeats, &w->told.repeats);
	writer_tell(w, COUNTER_LATE, c->late, &w->told.late);
	writer_tell(w, COUNTER_TORN, c->torn, &w->told.torn);
	writer_tell(w, COUNTER_GAPS, c->gaps, &w->told.gaps);
	writer_tell(w, COUNTER_SNAPSHOTS, c->snapshots, &w->told.snapshots);
	writer_tell(w, COUNTER_TOMBSTONES, c->tombstones, &w->told.tombstones);
	writer_tell(w, COUNTER_TRANSACTIONS, c->transactions, &w->told.transactions);
	for (unsigned p = 0; p < s->count; p++) {
		const struct decoder *d = s->partitions[p].decoder;
		struct told_decoder *told = &w->told_decoders[p];
		writer_tell(w, COUNTER_SCHEMA_SKIPPED, decoder_schemas_skipped(d), &told->schemas);
		writer_tell(w, COUNTER_BY_FORM, decoder_by_form(d), &told->by_form);
		writer_tell(w, COUNTER_BY_SCAN, decoder_by_scan(d), &told->by_scan);
	}
	board_count(w->stage->self, COUNTER_CHANGES, w->changes);
	board_count(w->stage->self, COUNTER_SKIPPED, w->skipped);
	board_count(w->stage->self, COUNTER_LETTERS, w->letters);
	w->changes = w->skipped = w->letters = 0;
	if (w->source_ms > 0)
		board_gauge(w->stage->self, COUNTER_SOURCE_MS, (uint64_t)w->source_ms);
}

void
writer_commit(struct writer *w)
{
	struct pack token;
	if (w->records == 0)
		return;
	pack_init(&token, w->token, RING_TOKEN_MAX);
	source_settle(w->source);
	order_save(w->source->order, &token);
	if (token.overflow)
		stage_fail(w->stage, EXIT_CONFIG, "ingest.token",
			   "server \"%s\" has too many partitions: their resume token does not fit "
			   "%u bytes",
			   w->source->server->name, RING_TOKEN_MAX);
	(void)FAULT("ingest.before_commit");
	ring_commit(&w->ring, w->token, pack_len(&token));
	(void)FAULT("ingest.after_commit");
	w->records = 0;
	w->closes = false;
	writer_count(w);
}

static void
writer_say_behind(struct writer *w, bool behind)
{
	if (w->behind != behind)
		board_gauge(w->stage->self, COUNTER_BEHIND, behind);
	w->behind = behind;
}

void
writer_done(struct writer *w)
{
	w->records++;
	w->unrested++;
	if (w->ended || w->records >= WRITER_RECORDS || ring_pending(&w->ring) >= WRITER_BYTES)
		writer_commit(w);
	w->ended = false;
}

void
writer_turn(struct writer *w, int64_t now_ms)
{
	if (now_ms - w->committed_ms < (w->behind ? WRITER_GATHER_MS : 1))
		return;
	if (!w->settling && order_settle(w->source->order)) {
		w->settling = true;
		return;
	}
	w->settling = false;
	w->committed_ms = now_ms;
	/* A burst of a few milliseconds is no backlog: to gather then would only make it one. */
	if (w->unrested >= WRITER_RECORDS && now_ms - w->rested_ms >= WRITER_BEHIND_MS)
		writer_say_behind(w, true);
	writer_commit(w);
}

bool
writer_rest(struct writer *w, int64_t now_ms)
{
	bool behind = w->behind;
	if (w->unrested > 0)
		w->moved_ms = now_ms;
	/* One that does not come for long waits for something else: a transaction's end, a broker. */
	writer_say_behind(w, w->source->backlog >= WRITER_BACKLOG &&
				 now_ms - w->moved_ms < WRITER_BEHIND_MS);
	w->unrested = 0;
	w->rested_ms = now_ms;
	if (w->behind) {
		writer_turn(w, now_ms);
		return true;
	}
	if (w->closes || order_whole(w->source->order))
		writer_commit(w);
	else /* reduce would have to wait for the rest of it, with what is whole */
		writer_count(w);
	if (behind) /* reduce may sleep until it has gathered */
		ring_wake_both(&w->ring.fds);
	return false;
}

/* ---- room ---------------------------------------------------------------------------------- */

/* Commit what is there and wait until `bytes` fit, or a quarter of the ring: not for each record.
 */
static void
writer_wait_room(struct writer *w, size_t bytes)
{
	size_t room = w->ring.capacity / 4;
	if (room < bytes + WRITER_RECORD)
		room = bytes + WRITER_RECORD;
	writer_commit(w);
	(void)FAULT("ingest.wait_room");
	while (ring_sleep(&w->ring, room)) {
		struct pollfd fd = {.fd = ring_fd(&w->ring), .events = POLLIN};
		stage_poll(w->stage, &fd, 1, -1);
		ring_awake(&w->ring);
	}
}

/* What to do about a record that was not taken: wait and return, or end. */
static void
writer_refused(struct writer *w, int partition, size_t bytes)
{
	struct source *s = w->source;
	if (errno == EAGAIN) {
		writer_wait_room(w, bytes);
		return;
	}
	if (partition < 0)
		stage_fail(w->stage, EXIT_CONFIG, "ingest.size",
			   "the position of server \"%s\" does not fit the ring: SET ring_bytes "
			   "larger than %zu",
			   s->server->name, w->stage->pipeline->ring_bytes);
	struct partition *part = &s->partitions[partition];
	stage_fail(w->stage, EXIT_DATA, "ingest.size",
		   "%s [%d] offset %lld: the row of about %zu bytes does not fit the ring: SET "
		   "ring_bytes larger than %zu",
		   source_topic(s, (unsigned)partition), part->partition,
		   (long long)part->event.place.offset, bytes, w->stage->pipeline->ring_bytes);
}

/* ---- changes ------------------------------------------------------------------------------- */

static void
writer_put(struct writer *w, const struct order_action *a, enum change_kind kind,
	   const struct value *values, unsigned count)
{
	struct change c = {
	    .table = w->source->partitions[a->partition].table,
	    .kind = kind,
	    .snapshot = a->snapshot,
	    .partition = w->source->partitions[a->partition].partition,
	    .offset = w->source->partitions[a->partition].event.place.offset,
	    .values = values,
	    .count = count,
	};
	while (batch_put_change(&w->ring, &c) != 0)
		writer_refused(w, a->partition, batch_change_bound(values, count));
	w->changes++;
}

static void
writer_apply_keyed(struct writer *w, const struct order_action *a, const struct table *t,
		   const struct event *e)
{
	if (e->op == 'd') {
		writer_put(w, a, CHANGE_DELETE, e->key, t->key_count);
		return;
	}
	INVARIANT(e->has_after);
	writer_put(w, a, CHANGE_UPSERT, e->after, t->column_count);
}

/*
 * An update is two records that a token must cover together: their room is made sure of before the
 * first is written.
 */
static void
writer_update_keyless(struct writer *w, const struct order_action *a, const struct table *t,
		      const struct event *e)
{
	size_t bytes = batch_change_bound(e->before, t->column_count) +
		       batch_change_bound(e->after, t->column_count);
	while (ring_reserve(&w->ring, bytes) == NULL)
		writer_refused(w, a->partition, bytes);
	writer_put(w, a, CHANGE_SUBTRACT, e->before, t->column_count);
	(void)FAULT("ingest.between_records");
	writer_put(w, a, CHANGE_ADD, e->after, t->column_count);
}

static void
writer_apply_keyless(struct writer *w, const struct order_action *a, const struct table *t,
		     const struct event *e)
{
	INVARIANT(e->op == 'd' || e->has_after);
	INVARIANT(e->has_before || (e->op != 'u' && e->op != 'd'));
	if (e->op == 'd') {
		writer_put(w, a, CHANGE_SUBTRACT, e->before, t->column_count);
		return;
	}
	if (e->op == 'u')
		writer_update_keyless(w, a, t, e);
	else
		writer_put(w, a, CHANGE_ADD, e->after, t->column_count);
}

/* ---- messages that could not be read --------------------------------------------------------- */

/* What a letter holds of the message: a ring may be far smaller than one. */
static struct letter
writer_letter(const struct writer *w, const struct partition *part)
{
	const struct kafka_message *m = &part->bad;
	size_t value = letter_value_most(w->stage->pipeline->ring_bytes), key = value / 8;
	return (struct letter){
	    .table = part->table,
	    .partition = part->partition,
	    .offset = m->offset,
	    .source_ms = part->event.place.source_ms,
	    .key = (const uint8_t *)m->key,
	    .key_len = (uint32_t)(m->key_len < key ? m->key_len : key),
	    .key_bytes = m->key != NULL ? (int64_t)m->key_len : -1,
	    .value = (const uint8_t *)m->value,
	    .value_len = (uint32_t)(m->value_len < value ? m->value_len : value),
	    .value_bytes = m->value != NULL ? (int64_t)m->value_len : -1,
	    .reason = part->reason,
	    .reason_len = (uint32_t)strlen(part->reason),
	};
}

/* One line for each, but not a flood of them. */
static void
writer_tell_bad(struct writer *w, const struct partition *part, const struct table *t)
{
	unsigned untold;
	if (log_burst_allows(&w->bad, &untold))
		log_warn(
		    "ingest.bad_message",
		    "%s [%d] offset %lld: %s; on_error is '%s' (%u more since the line before)",
		    t->topic, part->partition, (long long)part->bad.offset, part->reason,
		    on_error_name(t->on_error), untold);
}

static size_t
writer_bound_bad(const struct table *t, const struct event *e)
{
	size_t bytes = 0;
	if (e->has_key)
		bytes += batch_change_bound(e->key, t->key_count);
	if (e->has_before)
		bytes += batch_change_bound(e->before, t->column_count);
	if (e->has_after)
		bytes += batch_change_bound(e->after, t->column_count);
	return bytes;
}

/*
 * What a bad message has, and a letter about it, all under one token: beside large rows it holds less of the
 * message. In a replay it was told and written before.
 */
static void
writer_apply_bad(struct writer *w, const struct order_action *a)
{
	const struct partition *part = &w->source->partitions[a->partition];
	const struct table *t = &w->stage->pipeline->tables[part->table];
	const struct event *e = &part->event;
	bool told = !order_is_replaying(w->source->order);
	bool writes = told && t->on_error == ON_ERROR_DEAD_LETTER;
	struct letter letter = writer_letter(w, part);
	size_t rows = writer_bound_bad(t, e), bytes = rows + (writes ? letter_bound(&letter) : 0);
	while (bytes > 0 && ring_reserve(&w->ring, bytes) == NULL) {
		if (errno == EMSGSIZE && writes && letter.key_len + letter.value_len > 0) {
			letter.key_len /= 2;
			letter.value_len /= 2;
			bytes = rows + letter_bound(&letter);
			continue;
		}
		writer_refused(w, a->partition, bytes);
	}
	while (writes && batch_put_letter(&w->ring, &letter) != 0)
		writer_refused(w, a->partition, bytes);
	(void)FAULT("ingest.between_records");
	if (e->has_key)
		writer_put(w, a, CHANGE_DELETE, e->key, t->key_count);
	if (e->has_before)
		writer_put(w, a, CHANGE_SUBTRACT, e->before, t->column_count);
	if (e->has_after)
		writer_put(w, a, CHANGE_ADD, e->after, t->column_count);
	if (!told)
		return;
	writer_tell_bad(w, part, t);
	if (writes)
		w->letters++;
	else
		w->skipped++;
}

static void
writer_apply(struct writer *w, const struct order_action *a)
{
	const struct partition *part = &w->source->partitions[a->partition];
	const struct table *t = &w->stage->pipeline->tables[part->table];
	const struct event *e = &part->event;
	(void)FAULT("ingest.before_change");
	if (e->bad)
		writer_apply_bad(w, a);
	else if (e->op == 't')
		writer_put(w, a, CHANGE_TRUNCATE, NULL, 0);
	else if (t->key_count > 0)
		writer_apply_keyed(w, a, t, e);
	else
		writer_apply_keyless(w, a, t, e);
	if (e->place.source_ms > w->source_ms)
		w->source_ms = e->place.source_ms;
	if (part->timestamp_ms >= w->since_ms && !a->snapshot)
		stamps_add(&w->stamps, part->timestamp_ms);
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void
writer_snapshot(struct writer *w, const struct order_action *a)
{
	enum snapshot_phase phase = SNAPSHOT_ABANDON;
	if (a->step == ORDER_SNAPSHOT_BEGIN)
		phase = SNAPSHOT_BEGIN;
	else if (a->step == ORDER_SNAPSHOT_END)
		phase = SNAPSHOT_END;
	(void)FAULT(phase == SNAPSHOT_BEGIN ? "ingest.snapshot_begin" : "ingest.snapshot_end");
	while (batch_put_snapshot(&w->ring, a->table, phase) != 0)
		writer_refused(w, -1, WRITER_RECORD);
}

/* The entries are packed once: order takes them as told. */
static void
writer_end(struct writer *w, const struct order_action *a)
{
	struct pack entries;
	bool cut = a->step == ORDER_CUT;
	/* One END tells of all that is at hand: nobody waits for the first of it. */
	if (w->source->backlog >= WRITER_BACKLOG && w->source->followed && w->told_all &&
	    !w->stage->stopping && order_put_off(w->source->order)) {
		(void)FAULT("ingest.put_off");
		return;
	}
	pack_init(&entries, w->entries, RING_TOKEN_MAX);
	source_settle(w->source);
	order_pack_position(w->source->order, cut || !w->told_all, &entries);
	if (entries.overflow)
		stage_fail(w->stage, EXIT_CONFIG, "ingest.position",
			   "server \"%s\" has too many partitions: their position does not fit %u "
			   "bytes",
			   w->source->server->name, RING_TOKEN_MAX);
	/* What a replay brings is in the target: it was measured when it came there. */
	if (cut || order_is_replaying(w->source->order))
		w->stamps.count = 0;
	(void)FAULT(cut ? "ingest.before_cut" : "ingest.before_end");
	while (batch_put_end(&w->ring, cut ? RECORD_CUT : RECORD_END, w->source_ms, &w->stamps,
			     w->entries, pack_len(&entries)) != 0)
		writer_refused(w, -1,
			       pack_len(&entries) + stamps_bound(&w->stamps) + WRITER_RECORD);
	w->told_all = w->closes = true;
	w->stamps.count = 0;
	w->ended = !cut && !w->source->followed;
}

void
writer_act(struct writer *w, const struct order_action *a)
{
	switch (a->step) {
	case ORDER_APPLY:
		writer_apply(w, a);
		break;
	case ORDER_SNAPSHOT_BEGIN:
	case ORDER_SNAPSHOT_END:
	case ORDER_SNAPSHOT_ABANDON:
		writer_snapshot(w, a);
		break;
	case ORDER_END:
	case ORDER_CUT:
		writer_end(w, a);
		break;
	case ORDER_DROP:
		if (w->source->partitions[a->partition].event.place.kind == EVENT_UNREADABLE)
			writer_apply_bad(w, a);
		break;
	case ORDER_REFUSE:
	case ORDER_WAIT:
		break;
	}
}
