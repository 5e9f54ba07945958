/*
 * world.c - a plan run from its beginning to its end, and past it until all is quiet.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/position.h"
#include "tests/sim/sim.h"

#define LONG_MS     31000 /* more than any silence that tallyd waits for */
#define SAVE_MS     (CORE_SAVE_MS + 1000)
#define QUIET_TURNS 2000

void
trace_action(const struct world *w, const struct ingest_fake *in, const struct order_action *a)
{
	static const char *const names[] = {
	    "wait", "apply", "drop",  "SNAPSHOT BEGIN", "SNAPSHOT END", "SNAPSHOT ABANDON",
	    "END",  "CUT",   "refuse"};
	printf("  %" PRId64 " ingest %u: %s", w->now_ms, in->stage.server, names[a->step]);
	if (a->step == ORDER_APPLY || a->step == ORDER_DROP)
		printf("%s t%u[%d] offset %" PRId64, a->repeat ? " (repeat)" : "",
		       in->partitions[a->partition].table, in->partitions[a->partition].partition,
		       in->partitions[a->partition].event.place.offset);
	printf("%s%s\n", a->reason[0] != '\0' ? ": " : "", a->reason);
}

void
world_init(struct world *w)
{
	w->board = xcalloc(1, sizeof(*w->board));
	engine_init(&w->engine, w->board);
	engine_init(&w->shadow, w->board);
}

static uint64_t
world_durable(const struct world *w)
{
	return board_durable_batch(w->board);
}

void
world_recover(struct world *w)
{
	w->totals.recoveries++;
	w->owner++;
	board_clear(w->board);
	store_take_over(&w->target);
	engine_start(w, &w->engine, true);
	target_take_over(w, true);
}

/* --- what would a recovery find? --- */

static void
shadow_read(struct engine *e, struct shown *shown)
{
	struct ring_record record;
	const uint8_t *row;
	uint16_t view;
	size_t len;
	int diff;
	while (ring_next(&e->reader, &record) > 0) {
		if (record.kind != RECORD_ROW)
			continue;
		if (!batch_get_row(&record, &view, &diff, &row, &len) || diff != 1 ||
		    !target_apply_row(shown, view, diff, row, len))
			sim_fail(FAILURE_REPLAY, "a row of view %u with diff %d after a replay",
				 view, diff);
	}
	ring_commit(&e->reader, NULL, 0);
}

/* Replayed as a first start would, memory is shown as a whole: it must be what the target shows. */
static void
world_shadow(struct world *w, bool stored)
{
	const struct commit *c = &w->target.at[w->target.batch];
	struct engine *e = &w->shadow;
	struct shown shown = {0};
	bool moved = true;
	if (c->len == 0)
		return;
	w->totals.shadows++;
	engine_start(w, e, stored);
	while (moved && !core_is_live(e->core)) {
		moved = false;
		for (unsigned i = 0; i < w->plan.servers; i++) {
			if (order_is_replaying(e->ingest[i].source.order))
				moved |= engine_ingest(w, e, i, 1, 0);
			engine_publish(e, i);
		}
		moved |= engine_reduce(w, e, SIM_UNITS, 0, true);
	}
	if (!core_is_live(e->core))
		sim_fail(FAILURE_REPLAY, "a replay does not come to batch %" PRIu64,
			 w->target.batch);
	core_finish(e->core);
	while (engine_emit(w, e, 0))
		shadow_read(e, &shown);
	if (memcmp(&shown, &c->shown, sizeof(shown)) == 0)
		return;
	if (w->trace) {
		printf("  the target shows:\n");
		state_print(&c->shown);
		printf("  a replay finds:\n");
		state_print(&shown);
	}
	sim_fail(FAILURE_REPLAY, "a replay comes to another state than batch %" PRIu64,
		 w->target.batch);
}

/* --- steps --- */

/* The epoch of the next message of a log that cannot be seen yet. */
static unsigned
log_epoch(const struct kafka_fake *k, unsigned l)
{
	if (l == k->logs)
		return k->tx_visible < k->tx_count ? k->tx_epoch[k->tx_visible] : UINT32_MAX;
	const struct log *log = &k->log[l];
	return log->visible < log->count ? log->at[log->visible].epoch : UINT32_MAX;
}

static void
log_appear(struct kafka_fake *k, unsigned l, unsigned more)
{
	unsigned *visible = l < k->logs ? &k->log[l].visible : &k->tx_visible;
	unsigned epoch = UINT32_MAX;
	for (unsigned i = 0; i <= k->logs; i++)
		if (log_epoch(k, i) < epoch)
			epoch = log_epoch(k, i);
	for (; more > 0 && log_epoch(k, l) <= epoch && epoch != UINT32_MAX; more--)
		++*visible;
}

static void
world_appear(struct world *w, uint64_t raw)
{
	for (unsigned s = 0; s < w->plan.servers; s++) {
		for (unsigned l = 0; l <= w->kafka[s].logs; l++) {
			unsigned more = (unsigned)sim_random(&raw, 9);
			log_appear(&w->kafka[s], l, more > 6 ? 0 : more);
		}
	}
}

static void
world_appear_all(struct world *w)
{
	for (unsigned s = 0; s < w->plan.servers; s++) {
		struct kafka_fake *k = &w->kafka[s];
		for (unsigned l = 0; l < k->logs; l++)
			k->log[l].visible = k->log[l].count;
		k->tx_visible = k->tx_count;
	}
}

/* All that ingest can do now; reduce makes room. */
static bool
world_settle(struct world *w)
{
	bool moved = false, any = true;
	for (unsigned turn = 0; any && turn < QUIET_TURNS; turn++) {
		any = false;
		for (unsigned i = 0; i < w->plan.servers; i++) {
			any |= engine_ingest(w, &w->engine, i, 64, 0);
			engine_publish(&w->engine, i);
		}
		any |= engine_reduce(w, &w->engine, SIM_UNITS, world_durable(w), false);
		any |= engine_emit(w, &w->engine, world_durable(w));
		any |= target_read(w, 64);
		moved |= any;
	}
	if (any)
		sim_fail(FAILURE_HANG, "it never comes to rest");
	return moved;
}

static void
world_jump(struct world *w, int64_t ms)
{
	w->now_ms += ms;
	for (unsigned i = 0; i < w->plan.servers; i++)
		while (engine_ingest(w, &w->engine, i, 64, 0))
			;
}

static void
world_round(struct world *w, uint64_t raw)
{
	world_appear(w, sim_mix(&raw));
	for (unsigned i = 0; i < w->plan.servers; i++)
		(void)engine_ingest(w, &w->engine, i, 1 + (unsigned)sim_random(&raw, 30),
				    sim_mix(&raw));
	if (sim_random(&raw, 4) > 0)
		engine_publish(&w->engine, (unsigned)sim_random(&raw, w->plan.servers));
	(void)engine_reduce(w, &w->engine, 1 + (unsigned)sim_random(&raw, 30), world_durable(w),
			    false);
	if (sim_random(&raw, 2) > 0)
		(void)engine_emit(w, &w->engine, world_durable(w));
	if (sim_random(&raw, 2) > 0)
		(void)target_read(w, (unsigned)sim_random(&raw, 20));
	w->now_ms += (int64_t)sim_random(&raw, 4);
}

static void
world_fault(struct world *w, unsigned kind, uint64_t raw)
{
	static const enum death deaths[] = {DEATH_NONE, DEATH_BEFORE_COMMIT, DEATH_AFTER_COMMIT,
					    DEATH_AFTER_PUBLISH};
	switch (kind) {
	case STEP_KILL_INGEST:
		engine_kill_ingest(w, &w->engine, (unsigned)(raw % w->plan.servers));
		break;
	case STEP_KILL_REDUCE:
		world_recover(w);
		break;
	case STEP_KILL_EGRESS:
		target_die(w, deaths[raw % 4]);
		break;
	case STEP_LOST_ANSWER:
		target_die(w, raw & 1 ? DEATH_ANSWER_LOST : DEATH_ANSWER_LOST_UNDONE);
		break;
	case STEP_REWIND:
		target_rewind(w, 1 + sim_random(&raw, 6));
		break;
	default:
		world_shadow(w, raw & 1);
		break;
	}
}

static void
world_step(struct world *w, unsigned kind, uint64_t raw)
{
	unsigned server = (unsigned)sim_random(&raw, w->plan.servers);
	switch (kind) {
	case STEP_ROUND:
		world_round(w, raw);
		break;
	case STEP_APPEAR:
		world_appear(w, raw);
		break;
	case STEP_INGEST:
		(void)engine_ingest(w, &w->engine, server, 1 + (unsigned)sim_random(&raw, 12), raw);
		break;
	case STEP_PUBLISH:
		engine_publish(&w->engine, server);
		break;
	case STEP_REDUCE:
		(void)engine_reduce(w, &w->engine, 1 + (unsigned)sim_random(&raw, 12),
				    world_durable(w), raw & 1);
		break;
	case STEP_EMIT:
		(void)engine_emit(w, &w->engine, world_durable(w));
		break;
	case STEP_EGRESS:
		(void)target_read(w, 1 + (unsigned)sim_random(&raw, 20));
		break;
	case STEP_TIME:
		w->now_ms += (int64_t)sim_random(&raw, w->plan.slow ? 80 : 20);
		break;
	case STEP_QUIET:
		world_appear_all(w);
		(void)world_settle(w);
		world_jump(w, SAVE_MS);
		break;
	case STEP_JUMP:
		world_jump(w, (int64_t)sim_random(&raw, 40000));
		break;
	default:
		w->totals.faults[kind]++;
		world_fault(w, kind, raw);
		break;
	}
}

/* --- the end --- */

static void
end_check_server(struct world *w, const struct commit *c, unsigned server)
{
	const struct kafka_fake *k = &w->kafka[server];
	struct partition_position *at;
	struct transaction_position tx;
	unsigned count;
	target_position(w, c, server, &at, &count, &tx);
	for (unsigned i = 0; i < count; i++)
		if (at[i].next != k->log[i].count)
			sim_fail(FAILURE_END, "t%u[%d]: the position is %" PRId64 " of %u",
				 at[i].table, at[i].partition, at[i].next, k->log[i].count);
	free(at);
	/* A BEGIN whose END never came is seen again by a successor. */
	while (tx.next < k->tx_count && k->tx[tx.next].status == TRANSACTION_BEGIN)
		tx.next++;
	if (w->plan.server[server].mode == ORDER_METADATA && tx.next != k->tx_count)
		sim_fail(FAILURE_END, "server %u: the transaction topic is at %" PRId64 " of %u",
			 server, tx.next, k->tx_count);
	if (!target_shows(w, c, server, k->prefixes - 1))
		sim_fail(FAILURE_END, "server %u: the target does not show what the source has",
			 server);
}

/* A start after a clean stop replays nothing. */
static void
end_check_checkpoint(struct world *w)
{
	const struct commit *c = &w->target.at[w->target.batch];
	const struct commit *of = &w->target.at[c->checkpoint_batch];
	if (c->len > 0 && (c->checkpoint == 0 || of->len != c->len ||
			   memcmp(of->position, c->position, c->len) != 0))
		sim_fail(FAILURE_END,
			 "after a clean stop the checkpoint is of batch %" PRIu64 " of %" PRIu64,
			 c->checkpoint_batch, w->target.batch);
}

static void
world_end(struct world *w)
{
	world_appear_all(w);
	/* The source goes on, with tables of others: that, and then a silence, shows what will never come. */
	for (int i = 0, quiet = 0; quiet < 6; i++) {
		quiet = world_settle(w) ? 0 : quiet + 1;
		w->beyond++;
		world_jump(w, LONG_MS + w->plan.autocommit_ms);
		if (i > 100)
			sim_fail(FAILURE_HANG, "it never comes to rest");
	}
	for (unsigned i = 0; i < w->plan.servers; i++)
		if (!order_whole(w->engine.ingest[i].source.order))
			sim_fail(FAILURE_END, "server %u: a transaction stays open", i);
	core_finish(w->engine.core);
	(void)world_settle(w);
	if (!core_is_settled(w->engine.core, world_durable(w)))
		sim_fail(FAILURE_END, "reduce is not settled");
	unsigned letters = 0;
	for (unsigned i = 0; i < w->plan.servers; i++) {
		end_check_server(w, &w->target.at[w->target.batch], i);
		letters += letters_check_server(w, i);
	}
	if (letters != w->target.letters)
		sim_fail(FAILURE_END, "%u letters, %u of them on messages", w->target.letters,
			 letters);
	end_check_checkpoint(w);
	world_shadow(w, w->plan.seed % 2);
}

static void
world_begin(struct world *w)
{
	w->now_ms = 1000000;
	w->owner = w->step = 0;
	w->digest = 0xcbf29ce484222325u;
	memset(&w->target.at[0], 0, sizeof(w->target.at[0]));
	w->target.batch = w->target.epoch = w->target.owner = 0;
	w->target.letters = 0;
	store_clear(&w->target.store);
	w->pipeline = state_pipeline(&w->plan);
	for (unsigned i = 0; i < w->plan.servers; i++) {
		kafka_make(&w->kafka[i], &w->plan, i);
		w->totals.connector_kills += w->kafka[i].kills;
		w->totals.snapshots += w->kafka[i].snapshots;
		if (w->trace)
			kafka_print(&w->kafka[i]);
	}
}

void
world_run(struct world *w)
{
	world_begin(w);
	world_recover(w);
	for (; w->step < w->plan.steps; w->step++) {
		const struct plan_part *step = &w->plan.step[w->step];
		if (step->dropped)
			continue;
		if (w->trace)
			printf("step %u: %s\n", w->step, plan_step_name(step->kind));
		world_step(w, step->kind, step->raw);
	}
	if (w->trace)
		printf("the end\n");
	world_end(w);
	engine_free(&w->engine);
	engine_free(&w->shadow);
	pipeline_free(w->pipeline);
	w->pipeline = NULL;
}
