/*
 * engine.c - the real order, writer and core, called as ingest.c, origin.c and reduce.c call them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/position.h"
#include "ingest/debezium.h"
#include "reduce/lookout.h"
#include "tests/sim/sim.h"

static void
rings_open(struct ring_fds *fds, struct ring *producer, struct ring *consumer)
{
	if (ring_create(fds, RING_BYTES_MIN) != 0 ||
	    ring_attach(producer, fds, RING_PRODUCER) != 0 ||
	    ring_attach(consumer, fds, RING_CONSUMER) != 0)
		sim_fail(FAILURE_CRASH, "no ring: %s", strerror(errno));
}

/* A decoder is there to be asked how often it met a schema: never, for events come decoded. */
static struct decoder *
idle_decoder(void)
{
	static struct decoder *decoder;
	static struct plan plan = {.servers = 1};
	if (decoder == NULL)
		decoder = decoder_new(&state_pipeline(&plan)->tables[0]);
	return decoder;
}

void
engine_init(struct engine *e, struct board *board)
{
	struct ring_fds fds;
	memset(e, 0, sizeof(*e));
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		struct ingest_fake *in = &e->ingest[i];
		in->stage = (struct stage){.role = ROLE_INGEST, .check = true, .server = i};
		in->stage.board = board;
		in->stage.self = &board->stage[2 + i];
		rings_open(&in->stage.out, &in->writer.ring, &in->in);
		in->writer.stage = &in->stage;
		in->writer.token = xcalloc(1, RING_TOKEN_MAX);
		in->writer.entries = xcalloc(1, RING_TOKEN_MAX);
		/* Nothing is logged. */
		in->writer.bad = (struct log_burst){INT64_MAX / 2, UINT_MAX, 0};
		for (unsigned l = 0; l < SIM_LOGS; l++)
			in->partitions[l].decoder = idle_decoder();
	}
	rings_open(&fds, &e->out, &e->reader);
}

void
engine_free(struct engine *e)
{
	core_free(e->core);
	e->core = NULL;
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		order_free(e->ingest[i].source.order);
		e->ingest[i].source.order = NULL;
		free(e->ingest[i].writer.told_decoders);
		e->ingest[i].writer.told_decoders = NULL;
	}
}

/* A new ring costs more than all else here: an emptied one is as good. */
static void
ring_renew(struct ring *producer, struct ring *consumer)
{
	struct ring_record record;
	ring_rollback(producer);
	ring_commit(producer, NULL, 0);
	ring_rewind(consumer);
	while (ring_next(consumer, &record) > 0)
		;
	ring_commit(consumer, NULL, 0);
	/* The producer looks again at what is free, for its capacity may be another from here on. */
	(void)ring_used(producer);
}

/* --- ingest --- */

static void
ingest_count(struct world *w, const struct order *o)
{
	const struct order_counters *c = order_counters(o);
	w->totals.repeats += c->repeats;
	w->totals.torn += c->torn;
	w->totals.late += c->late;
	w->totals.gaps += c->gaps;
}

static void
ingest_begin(struct world *w, struct ingest_fake *in, unsigned server, struct order *order)
{
	struct source *s = &in->source;
	if (s->order != NULL)
		ingest_count(w, s->order);
	order_free(s->order);
	in->stage.pipeline = w->pipeline;
	*s = (struct source){.stage = &in->stage,
			     .server = &w->pipeline->servers[server],
			     .order = order,
			     .mode = w->plan.server[server].mode,
			     .partitions = in->partitions,
			     .count = w->kafka[server].logs};
	for (unsigned l = 0; l < s->count; l++) {
		in->partitions[l].table = w->kafka[server].log[l].table;
		in->partitions[l].partition = w->kafka[server].log[l].partition;
		in->partitions[l].offered = false;
		in->seen[l] = (unsigned)order_partition(order, (int)l)->next;
	}
	in->tx_seen = (unsigned)order_transaction(order)->next;
	in->writer.told_all = false;
	in->writer.records = 0;
	in->writer.source_ms = 0;
	free(in->writer.told_decoders);
	writer_start(&in->writer, s);
}

static const struct partition_position *
entry_find(const struct partition_position *list, unsigned count, const struct log *log)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i].table == log->table && list[i].partition == log->partition)
			return &list[i];
	return NULL;
}

/* From `origin`, or the start of history, up to the position in the target. */
static struct order *
ingest_origin(struct world *w, const struct engine *e, unsigned server, const struct commit *commit)
{
	struct kafka_fake *k = &w->kafka[server];
	struct partition_position *known = NULL, *from = NULL;
	struct transaction_position tx = {.set = true}, unused;
	unsigned count = 0, from_count = 0;
	struct order *o = order_new(w->plan.server[server].mode, w->plan.autocommit_ms);
	if (commit->len > 0)
		target_position(w, commit, server, &known, &count, &tx);
	if (e->origin.len > 0)
		target_position(w, &e->origin, server, &from, &from_count, &unused);
	if (commit->len > 0 && count != k->logs)
		sim_fail(FAILURE_STATE, "the position knows %u of %u partitions", count, k->logs);
	for (unsigned l = 0; l < k->logs; l++) {
		struct partition_position start = {.table = k->log[l].table,
						   .partition = k->log[l].partition};
		const struct partition_position *at = entry_find(from, from_count, &k->log[l]);
		order_add_partition(o, at != NULL ? at : &start,
				    entry_find(known, count, &k->log[l]));
		if (k->log[l].table == 1)
			order_set_keyless(o, (int)l);
	}
	if (w->plan.server[server].mode == ORDER_METADATA)
		order_set_transaction(o, &tx);
	free(known);
	free(from);
	return o;
}

void
engine_kill_ingest(struct world *w, struct engine *e, unsigned server)
{
	struct ingest_fake *in = &e->ingest[server];
	struct order *order;
	ring_rollback(&in->writer.ring);
	size_t len = ring_token(&in->writer.ring, in->writer.token, RING_TOKEN_MAX);
	if (len > 0) {
		order = order_new(w->plan.server[server].mode, w->plan.autocommit_ms);
		if (!order_load(order, in->writer.token, len))
			sim_fail(FAILURE_REFUSED, "the resume token is not taken");
	} else {
		order = ingest_origin(w, e, server, &w->target.at[board_durable_batch(w->board)]);
	}
	ingest_begin(w, in, server, order);
}

static void
event_load(struct ingest_fake *in, unsigned l, const struct entry *e, unsigned table)
{
	struct event *event = &in->partitions[l].event;
	struct value *v = in->values[l];
	uint8_t groups[] = {e->old_group, e->group}, values[] = {e->old_value, e->value};
	for (unsigned i = 0; i < 2; i++) {
		v[3 * i] = (struct value){.kind = VALUE_INT, .i = e->id};
		v[3 * i + 1] = (struct value){
		    .kind = groups[i] == SIM_GROUPS - 1 ? VALUE_NULL : VALUE_INT, .i = groups[i]};
		v[3 * i + 2] = (struct value){.kind = VALUE_INT, .i = values[i]};
	}
	if (e->unchanged)
		v[5] = (struct value){.kind = VALUE_UNCHANGED};
	v[6] = v[0];
	*event = (struct event){.place = e->place, .op = e->op};
	event->bad = letter_is_due(e, table);
	event->has_key = event->bad && table == 0 && e->op == 'd';
	in->partitions[l].bad = (struct kafka_message){.offset = e->place.offset};
	event->has_before = table == 1 && (e->op == 'u' || e->op == 'd');
	event->has_after = e->op != 'd' && e->op != 't' && e->op != 0; /* keyed: no UPDATE is bad */
	event->before = v;
	event->after = v + 3;
	event->key = v + 6;
}

/* raw 0: nothing is left out; else some partitions are not looked at, some ends not reported. */
static bool
ingest_fetch(struct world *w, struct ingest_fake *in, unsigned server, unsigned l, uint64_t raw)
{
	struct log *log = &w->kafka[server].log[l];
	if (in->partitions[l].offered || !order_wants(in->source.order, (int)l))
		return false;
	if (in->seen[l] < log->visible) {
		const struct entry *e = &log->at[in->seen[l]++];
		event_load(in, l, e, log->table);
		in->partitions[l].offered = true;
		order_offer(in->source.order, (int)l, &e->place);
		return true;
	}
	if ((raw >> (8 + l) & 1) == 0)
		order_idle(in->source.order, (int)l, log->visible, w->now_ms);
	return false;
}

/* What was sent before a snapshot's end is not behind what was sent after it: see `epoch`. */
static bool
next_is_older(struct world *w, struct ingest_fake *in, unsigned server, unsigned l)
{
	const struct kafka_fake *k = &w->kafka[server];
	const struct log *log = &k->log[l];
	unsigned newest = k->tx_visible > 0 ? k->tx_epoch[k->tx_visible - 1] : 0;
	if (in->seen[l] >= log->visible)
		return false;
	for (unsigned i = 0; i < k->logs; i++)
		if (k->log[i].visible > 0 && k->log[i].at[k->log[i].visible - 1].epoch > newest)
			newest = k->log[i].at[k->log[i].visible - 1].epoch;
	return log->at[in->seen[l]].epoch < newest;
}

static bool
ingest_fetch_all(struct world *w, struct ingest_fake *in, unsigned server, uint64_t raw)
{
	struct kafka_fake *k = &w->kafka[server];
	struct order *o = in->source.order;
	bool moved = false;
	if ((raw & 3) < 2 && w->plan.server[server].mode == ORDER_METADATA &&
	    order_wants_transaction(o)) {
		moved = in->tx_seen < k->tx_visible;
		if (moved)
			order_offer_transaction(o, &k->tx[in->tx_seen++]);
		else
			order_idle_transaction(o, k->tx_visible, w->now_ms);
	}
	if (order_doubts(o, w->now_ms))
		order_more_transactions(o, k->tx_visible + w->beyond, w->now_ms);
	for (unsigned l = 0; l < k->logs; l++)
		if ((raw >> (2 * l + 16) & 3) < 2 || next_is_older(w, in, server, l))
			moved |= ingest_fetch(w, in, server, l, raw);
	return moved;
}

/* Returns false where order cannot go on, and may. */
static bool
ingest_act(struct world *w, struct ingest_fake *in, const struct order_action *a)
{
	if (a->step == ORDER_REFUSE)
		sim_fail(FAILURE_REFUSED, "order: partition %d: %s", a->partition, a->reason);
	writer_act(&in->writer, a);
	if (w->trace)
		trace_action(w, in, a);
	order_done(in->source.order);
	if (a->step == ORDER_APPLY || a->step == ORDER_DROP)
		source_passed(&in->source, (unsigned)a->partition);
	writer_done(&in->writer);
	return true;
}

bool
engine_ingest(struct world *w, struct engine *e, unsigned server, unsigned steps, uint64_t raw)
{
	struct ingest_fake *in = &e->ingest[server];
	struct order_action action;
	if (ring_used(&in->writer.ring) > RING_BYTES_MIN / 2)
		return false;
	bool moved = ingest_fetch_all(w, in, server, raw);
	in->source.followed = raw >> 42 & 1; /* then it puts ENDs off, of a backlog */
	in->source.backlog = raw >> 44 & 1 ? UINT32_MAX : 0;
	for (; steps > 0; steps--, moved = true) {
		order_step(in->source.order, w->now_ms, &action);
		if (action.step == ORDER_WAIT) {
			if ((raw >> 43 & 1) && order_settle(in->source.order))
				continue;
			if ((raw >> 40 & 1) && (raw >> 45 & 1))
				writer_commit(&in->writer);
			else if (raw >> 40 & 1)
				(void)writer_rest(&in->writer, w->now_ms);
			break;
		}
		ingest_act(w, in, &action);
		if (action.partition >= 0 &&
		    ((raw >> 41 & 1) == 0 ||
		     next_is_older(w, in, server, (unsigned)action.partition)))
			ingest_fetch(w, in, server, (unsigned)action.partition, raw);
	}
	return moved;
}

void
engine_publish(struct engine *e, unsigned server)
{
	writer_commit(&e->ingest[server].writer);
}

/* --- reduce --- */

static void
core_check_result(const struct engine *e, enum core_result result)
{
	if (result == CORE_FAILED)
		sim_fail(FAILURE_REFUSED, "core: %s", core_error(e->core)->text);
}

/* `on`: past a transaction's end at which a batch is due. */
bool
engine_reduce(struct world *w, struct engine *e, unsigned records, uint64_t durable, bool on)
{
	struct ring_record record;
	struct lookout lookout;
	for (unsigned i = 0; i < w->plan.servers; i++) {
		unsigned input = (e->turn + i) % w->plan.servers, taken = 0;
		lookout_begin(&lookout, e->core, input, &e->ingest[input].in);
		while (taken < records && core_wants(e->core, input) &&
		       ring_next(&e->ingest[input].in, &record) > 0) {
			const struct core_hint *hint = lookout_advance(&lookout);
			enum core_result result =
			    core_take(e->core, input, &record, hint, w->now_ms);
			taken++;
			core_check_result(e, result);
			if (result == CORE_CUT)
				core_check_result(e, core_live(e->core, durable));
			if (result != CORE_OK && !on && core_due(e->core, durable, w->now_ms))
				break;
		}
		if (taken == 0)
			continue;
		ring_commit(&e->ingest[input].in, NULL, 0);
		e->turn = (input + 1) % w->plan.servers;
		return true;
	}
	return false;
}

bool
engine_emit(struct world *w, struct engine *e, uint64_t durable)
{
	if (!core_due(e->core, durable, w->now_ms))
		return false;
	enum core_result result = core_emit(e->core, &e->out, durable, w->now_ms);
	bool moved = ring_pending(&e->out) > 0;
	ring_commit(&e->out, NULL, 0);
	core_check_result(e, result);
	return moved || result == CORE_DONE;
}

void
engine_start(struct world *w, struct engine *e, bool stored)
{
	const struct commit *commit = &w->target.at[w->target.batch];
	core_free(e->core);
	e->core = core_new(w->pipeline);
	store_load(w, e->core, stored);
	const char *origin = core_origin(e->core, &e->origin.len);
	if (e->origin.len >= SIM_POSITION)
		sim_fail(FAILURE_BATCH, "a longer position than there is room");
	memcpy(e->origin.position, origin, e->origin.len);
	w->totals.loads += e->origin.len > 0;
	e->turn = 0;
	ring_renew(&e->out, &e->reader);
	e->out.capacity = e->reader.capacity = w->plan.out_bytes;
	for (unsigned i = 0; i < w->plan.servers; i++) {
		ring_renew(&e->ingest[i].writer.ring, &e->ingest[i].in);
		ingest_begin(w, &e->ingest[i], i, ingest_origin(w, e, i, commit));
	}
}
