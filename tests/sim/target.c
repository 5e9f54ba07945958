/*
 * target.c - the fake target: commits by compare-and-set, remembers every state it ever had, and
 * the fake egress before it, which does what egress.c does between ring and COMMIT.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/position.h"
#include "tests/sim/sim.h"

void
target_position(struct world *w, const struct commit *c, unsigned server,
		struct partition_position **at, unsigned *count, struct transaction_position *tx)
{
	const char *error;
	if (position_parse(c->position, c->len, w->pipeline, server, at, count, tx, &error) != 0)
		sim_fail(FAILURE_STATE, "the position cannot be read: %s: %.*s", error, (int)c->len,
			 c->position);
}

/* --- rows --- */

bool
target_apply_row(struct shown *s, unsigned view, int diff, const uint8_t *row, size_t len)
{
	static const enum type types[] = {TYPE_INTEGER, TYPE_BIGINT, TYPE_BIGINT, TYPE_INTEGER,
					  TYPE_INTEGER};
	struct value v[5];
	unsigned grouped = view % 2 == 0, group = 0;
	if (view >= SIM_VIEWS || !row_unpack(row, len, types + !grouped, 4 + grouped, v))
		return false;
	if (grouped)
		group = v[0].kind == VALUE_NULL ? SIM_GROUPS - 1 : (unsigned)v[0].i;
	if (group >= SIM_GROUPS)
		return false;
	int32_t now[5] = {1}, *at = s->at[view][group];
	for (unsigned i = 0; i < 4; i++)
		now[1 + i] = (int32_t)v[grouped + i].i;
	if (diff > 0) {
		if (at[0] != 0)
			return false;
		memcpy(at, now, sizeof(now));
		return true;
	}
	if (memcmp(at, now, sizeof(now)) != 0)
		return false;
	memset(at, 0, sizeof(now));
	return true;
}

/* --- what must be true of a commit --- */

static void
check_state(struct world *w, const struct commit *c, unsigned server)
{
	struct partition_position *at;
	struct transaction_position tx;
	struct contents contents;
	struct shown shown = {0};
	int64_t next[SIM_LOGS] = {0};
	unsigned count;
	target_position(w, c, server, &at, &count, &tx);
	for (unsigned i = 0; i < count && i < SIM_LOGS; i++)
		next[i] = at[i].next;
	free(at);
	kafka_state_at(&w->kafka[server], next, &contents);
	for (unsigned t = 0; t < SIM_TABLES; t++) {
		if ((w->plan.server[server].tables >> t & 1) == 0)
			continue;
		/* Rows that left, and whose coming was lost: nothing is promised of their extremes. */
		if (t == 1 && w->kafka[server].torn && state_owes(&contents))
			continue;
		state_show(&contents, t, &shown);
		if (state_same(&shown, &c->shown, t))
			continue;
		if (w->trace) {
			printf("  shown:\n");
			state_print(&c->shown);
			printf("  by the position:\n");
			state_print(&shown);
		}
		sim_fail(FAILURE_STATE, "batch %" PRIu64 ": table %u is not what the position says",
			 w->target.batch, t);
	}
}

bool
target_shows(const struct world *w, const struct commit *c, unsigned server, unsigned prefix)
{
	bool same = true;
	for (unsigned t = 0; t < SIM_TABLES; t++)
		if (w->plan.server[server].tables >> t & 1)
			same &= state_same(&w->kafka[server].prefix_shown[prefix], &c->shown, t);
	return same;
}

static bool
prefix_is_promised(const struct world *w, unsigned server)
{
	const struct plan_server *s = &w->plan.server[server];
	return !w->plan.slow && !s->old && s->mode != ORDER_NONE && !w->kafka[server].torn;
}

static void
check_prefix(struct world *w, struct commit *c, unsigned server)
{
	const struct kafka_fake *k = &w->kafka[server];
	while (c->prefix[server] < k->prefixes && !target_shows(w, c, server, c->prefix[server]))
		c->prefix[server]++;
	if (c->prefix[server] < k->prefixes)
		return;
	if (w->trace)
		state_print(&c->shown);
	sim_fail(FAILURE_PREFIX,
		 "batch %" PRIu64 ": server %u is not at the end of a transaction after %u",
		 w->target.batch, server, w->target.at[w->target.batch - 1].prefix[server]);
}

static void
check_commit(struct world *w, struct commit *c)
{
	for (unsigned i = 0; i < w->plan.servers; i++) {
		check_state(w, c, i);
		if (prefix_is_promised(w, i))
			check_prefix(w, c, i);
	}
	for (size_t i = 0; i < sizeof(c->shown); i++)
		w->digest = (w->digest ^ ((const uint8_t *)&c->shown)[i]) * 0x100000001b3u;
	for (size_t i = 0; i < c->len; i++)
		w->digest = (w->digest ^ (uint8_t)c->position[i]) * 0x100000001b3u;
}

/* --- egress --- */

/* The one statement of a commit. False: no row was matched, so nothing happened. */
static bool
target_commit(struct world *w, const struct batch *b)
{
	struct target *t = &w->target;
	const struct commit *last = &t->at[t->batch];
	uint64_t wall = (uint64_t)w->now_ms + 5 * (w->step % 3); /* a clock that steps back */
	uint64_t time = wall > last->time ? wall : last->time + 1;
	if (t->epoch != w->egress.epoch || b->number != t->batch + 1)
		return false;
	if (t->batch + 1 == SIM_COMMITS || b->position_len >= SIM_POSITION)
		sim_fail(FAILURE_BATCH, "more commits, or a longer position, than there is room");
	struct commit *c = &t->at[++t->batch];
	c->time = time;
	c->owner = last->owner;
	c->shown = w->egress.shown;
	memcpy(c->prefix, last->prefix, sizeof(c->prefix));
	c->known = last->known | w->egress.filled;
	c->checkpoint = last->checkpoint;
	c->checkpoint_batch = last->checkpoint_batch;
	c->len = b->position_len;
	memcpy(c->position, b->position, b->position_len);
	t->owner = c->owner = w->owner;
	w->totals.commits++;
	for (unsigned i = 0; i < w->egress.effects; i++)
		store_apply(w, b->number, &w->egress.effect[i]);
	if (w->trace)
		printf("  commit %" PRIu64 " (%" PRIu64 " rows) %.*s\n", b->number, b->rows,
		       (int)c->len, c->position);
	letters_commit(w, c, b->number);
	check_commit(w, c);
	return true;
}

static void
egress_done(struct world *w, uint64_t batch)
{
	ring_commit(&w->engine.reader, &batch, sizeof(batch));
}

static void
egress_publish(struct world *w)
{
	const struct commit *c = &w->target.at[w->target.batch];
	board_publish(w->board, w->target.batch, c->time, c->position, c->len);
}

void
target_take_over(struct world *w, bool full)
{
	struct target *t = &w->target;
	struct egress_fake *e = &w->egress;
	uint64_t done = t->batch;
	ring_rewind(&w->engine.reader);
	if (full)
		ring_commit(&w->engine.reader, &done, sizeof(done));
	(void)ring_token(&w->engine.reader, &done, sizeof(done));
	if (!full && (t->owner != w->owner || t->batch < board_durable_batch(w->board))) {
		world_recover(w);
		return;
	}
	t->owner = w->owner;
	e->epoch = ++t->epoch;
	e->skip = t->batch;
	e->next = done + 1;
	e->connected = true;
	e->rows = e->effects = e->letters = e->filled = 0;
	e->shown = t->at[t->batch].shown;
	egress_publish(w);
}

void
target_rewind(struct world *w, uint64_t batches)
{
	struct target *t = &w->target;
	t->batch -= batches < t->batch ? batches : t->batch;
	t->owner = t->at[t->batch].owner;
	store_rewind(&t->store, t->batch);
	letters_forget(t, t->batch);
	t->epoch -= t->epoch > 1; /* comes back too */
	w->egress.connected = false;
}

/* A batch is whole. Returns false when egress does not live on. */
static bool
egress_batch(struct world *w, const struct batch *b, enum death death)
{
	struct egress_fake *e = &w->egress;
	if (b->number != e->next)
		sim_fail(FAILURE_BATCH, "batch %" PRIu64 " where %" PRIu64 " should be", b->number,
			 e->next);
	if (b->number > e->skip) {
		if (b->letters != e->letters)
			sim_fail(FAILURE_BATCH, "batch %" PRIu64 " says %" PRIu64 " letters of %u",
				 b->number, b->letters, e->letters);
		if (b->rows != e->rows)
			sim_fail(FAILURE_BATCH,
				 "batch %" PRIu64 " says %" PRIu64 " rows of %" PRIu64, b->number,
				 b->rows, e->rows);
		if (death == DEATH_BEFORE_COMMIT || death == DEATH_ANSWER_LOST_UNDONE)
			return false;
		if (!target_commit(w, b))
			sim_fail(FAILURE_BATCH, "batch %" PRIu64 " after batch %" PRIu64, b->number,
				 w->target.batch);
		w->totals.rows += b->rows;
		if (death == DEATH_AFTER_COMMIT || death == DEATH_ANSWER_LOST)
			return false;
		egress_publish(w);
		if (death == DEATH_AFTER_PUBLISH)
			return false;
	}
	e->rows = e->effects = e->letters = e->filled = 0;
	e->next++;
	egress_done(w, b->number);
	return true;
}

static void
egress_row(struct world *w, const struct ring_record *record)
{
	struct egress_fake *e = &w->egress;
	const uint8_t *row;
	uint16_t view;
	size_t len;
	int diff;
	if (!batch_get_row(record, &view, &diff, &row, &len))
		sim_fail(FAILURE_BATCH, "a row that is not well formed");
	e->rows++;
	if (e->next > e->skip && !target_apply_row(&e->shown, view, diff, row, len))
		sim_fail(FAILURE_DIFF,
			 "after batch %" PRIu64 ": a row of view %u with diff %d does not fit what "
			 "is shown",
			 w->target.batch, view, diff);
}

static void
egress_view(struct world *w, const struct ring_record *record)
{
	struct egress_fake *e = &w->egress;
	enum view_step step;
	uint64_t rows, shown = 0;
	uint16_t view;
	if (!batch_get_view(record, &view, &step, &rows) || view >= SIM_VIEWS)
		sim_fail(FAILURE_BATCH, "a view that is not well formed");
	bool known = w->target.at[w->target.batch].known >> view & 1;
	for (unsigned g = 0; g < SIM_GROUPS; g++)
		shown += e->shown.at[view][g][0] != 0;
	if (e->next <= e->skip)
		return;
	if (step == VIEW_FILL && known)
		sim_fail(FAILURE_STATE, "view %u is filled, and was known", view);
	if (step == VIEW_LIVE && (!known || rows != shown))
		sim_fail(FAILURE_REPLAY,
			 "view %u has %" PRIu64 " rows after a replay, the target shows %" PRIu64,
			 view, rows, shown);
	if (step == VIEW_FILL)
		e->filled |= 1u << view;
}

static void
egress_checkpoint(struct world *w, const struct ring_record *record)
{
	struct egress_fake *e = &w->egress;
	if (e->effects == SIM_EFFECTS || !batch_get_checkpoint(record, &e->effect[e->effects]))
		sim_fail(FAILURE_BATCH, "a checkpoint record that is not well formed, or too many");
	e->effects++;
}

static bool
egress_take(struct world *w, const struct ring_record *record, enum death death)
{
	struct batch batch;
	if (record->kind == RECORD_ROW) {
		egress_row(w, record);
		return true;
	}
	if (record->kind == RECORD_BAD) {
		letters_take(&w->egress, record);
		return true;
	}
	if (record->kind == RECORD_VIEW || record->kind == RECORD_CHECKPOINT) {
		(record->kind == RECORD_VIEW ? egress_view : egress_checkpoint)(w, record);
		return true;
	}
	if (record->kind != RECORD_BATCH || !batch_get_batch(record, &batch))
		sim_fail(FAILURE_BATCH, "a record of kind %u", record->kind);
	return egress_batch(w, &batch, death);
}

static bool
target_read_until(struct world *w, unsigned records, enum death death, bool *alive)
{
	struct ring_record record;
	bool moved = false;
	*alive = true;
	if (!w->egress.connected) {
		target_take_over(w, false);
		return true;
	}
	for (; records > 0; records--, moved = true) {
		if (ring_next(&w->engine.reader, &record) <= 0)
			break;
		*alive = egress_take(w, &record, death);
		if (!*alive || (death != DEATH_NONE && record.kind == RECORD_BATCH))
			break;
	}
	return moved;
}

bool
target_read(struct world *w, unsigned records)
{
	bool alive;
	return target_read_until(w, records, DEATH_NONE, &alive);
}

/* The session may end unseen by egress: then what it does next fails, and it takes over anew. */
void
target_die(struct world *w, enum death death)
{
	bool alive;
	(void)target_read_until(w, SIM_UNITS, death, &alive);
	target_take_over(w, false);
}
