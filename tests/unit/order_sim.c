#include "tests/unit/order_sim.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/ring.h"

void
sim_init(struct sim *s, enum order_mode mode, unsigned partitions)
{
	memset(s, 0, sizeof(*s));
	s->mode = mode;
	s->autocommit_ms = 100;
	s->partitions = partitions;
	s->logs = xcalloc(partitions, sizeof(*s->logs));
	s->random = 1;
}

void
sim_fini(struct sim *s)
{
	for (unsigned i = 0; i < s->partitions; i++)
		free(s->logs[i].at);
	free(s->logs);
	free(s->tx);
	order_free(s->order);
}

static const uint8_t *chosen, *chosen_end;

void
sim_choose(const uint8_t *bytes, size_t len)
{
	chosen = bytes;
	chosen_end = len > 0 ? bytes + len : bytes;
}

uint64_t
sim_random(struct sim *s, uint64_t below)
{
	if (chosen < chosen_end && below <= UINT8_MAX)
		return *chosen++ % below;
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (s->random >> 33) % below;
}

void
sim_add(struct sim *s, unsigned partition, const struct event_place *place, size_t id)
{
	struct sim_log *log = &s->logs[partition];
	if (log->count == log->room) {
		log->room = log->room ? log->room * 2 : 64;
		log->at = xreallocarray(log->at, log->room, sizeof(*log->at));
	}
	struct sim_event *e = &log->at[log->count];
	e->place = *place;
	e->place.offset = (int64_t)log->count++;
	e->place.hash = 1 + (uint64_t)e->place.offset * 31 + partition;
	e->id = id;
}

void
sim_add_transaction(struct sim *s, const struct transaction_event *e)
{
	if (s->tx_count == s->tx_room) {
		s->tx_room = s->tx_room ? s->tx_room * 2 : 64;
		s->tx = xreallocarray(s->tx, s->tx_room, sizeof(*s->tx));
	}
	s->tx[s->tx_count] = *e;
	s->tx[s->tx_count].offset = (int64_t)s->tx_count;
	s->tx[s->tx_count].hash = 7 + s->tx_count;
	s->tx_count++;
}

static void
sim_start(struct sim *s)
{
	struct transaction_position none = {.set = true};
	s->order = order_new(s->mode, s->autocommit_ms);
	for (unsigned i = 0; i < s->partitions; i++) {
		struct partition_position from = {.table = s->logs[i].table,
						  .partition = (int32_t)i};
		if (s->from != NULL)
			from = s->from[i];
		order_add_partition(s->order, &from, s->durable ? &s->durable[i] : NULL);
		if (s->keyless)
			order_set_keyless(s->order, (int)i);
	}
	order_set_transaction(s->order, s->durable_tx ? s->durable_tx : &none);
}

static void
sim_seek(struct sim *s)
{
	for (unsigned i = 0; i < s->partitions; i++)
		s->logs[i].seen = (size_t)order_partition(s->order, (int)i)->next;
	s->tx_seen = (size_t)order_transaction(s->order)->next;
}

static void
sim_count(struct sim *s)
{
	const struct order_counters *c = order_counters(s->order);
	s->counters.repeats += c->repeats;
	s->counters.late += c->late;
	s->counters.torn += c->torn;
	s->counters.gaps += c->gaps;
	s->counters.snapshots += c->snapshots;
	s->counters.tombstones += c->tombstones;
	s->counters.transactions += c->transactions;
}

static void
sim_reload(struct sim *s)
{
	static uint8_t token[RING_TOKEN_MAX], again[RING_TOKEN_MAX];
	struct pack p, q;
	struct order *order = order_new(s->mode, s->autocommit_ms);
	pack_init(&p, token, sizeof(token));
	order_save(s->order, &p);
	cr_assert_not(p.overflow);
	cr_assert(order_load(order, token, pack_len(&p)), "a token of ours is not taken");
	cr_assert_eq(order_is_replaying(order), order_is_replaying(s->order));
	pack_init(&q, again, sizeof(again));
	order_save(order, &q);
	cr_assert_eq(pack_len(&p), pack_len(&q));
	cr_assert_eq(memcmp(token, again, pack_len(&p)), 0, "saved, loaded, saved: not the same");
	sim_count(s);
	order_free(s->order);
	s->order = order;
	sim_seek(s);
}

static bool
sim_appear(struct sim *s, size_t *visible, size_t count)
{
	size_t left = count - *visible;
	if (left > 0)
		*visible += s->eager ? left : sim_random(s, left < 9 ? left + 1 : 9);
	return *visible < count;
}

static bool
sim_fetch(struct sim *s)
{
	bool more = false;
	for (unsigned i = 0; i < s->partitions; i++) {
		struct sim_log *log = &s->logs[i];
		if (s->eager || sim_random(s, s->partitions + 1) > 0)
			more |= sim_appear(s, &log->visible, log->count);
		more |= log->visible < log->count;
		if (!order_wants(s->order, (int)i))
			continue;
		if (log->seen < log->visible)
			order_offer(s->order, (int)i, &log->at[log->seen++].place);
		else if (log->seen == log->count)
			order_idle(s->order, (int)i, (int64_t)log->count, s->now_ms);
	}
	if (s->eager || sim_random(s, 3) == 0)
		sim_appear(s, &s->tx_visible, s->tx_count);
	while (order_wants_transaction(s->order) && s->tx_seen < s->tx_visible)
		order_offer_transaction(s->order, &s->tx[s->tx_seen++]);
	if (order_wants_transaction(s->order) && s->tx_seen == s->tx_count)
		order_idle_transaction(s->order, (int64_t)s->tx_count, s->now_ms);
	return more || s->tx_visible < s->tx_count;
}

/* Decide and do until order waits. Returns whether anything was done. */
static bool
sim_act(struct sim *s, struct order_action *action)
{
	bool moved = false;
	for (; !s->stop; moved = true) {
		struct order_action same;
		order_step(s->order, s->now_ms, action);
		order_step(s->order, s->now_ms, &same);
		cr_assert_eq(action->step, same.step, "asked again it answers something else");
		cr_assert_eq(action->partition, same.partition);
		if (action->step == ORDER_WAIT && order_settle(s->order))
			continue;
		if (action->step == ORDER_WAIT || action->step == ORDER_REFUSE)
			return moved;
		if (action->step == ORDER_END && s->puts_off && sim_random(s, 3) > 0 &&
		    order_put_off(s->order)) {
			if (s->reload)
				sim_reload(s);
			continue;
		}
		struct sim_log *log = &s->logs[action->partition < 0 ? 0 : action->partition];
		s->act(s, action, action->partition < 0 ? NULL : &log->at[log->seen - 1]);
		order_done(s->order);
		if (s->reload)
			sim_reload(s);
		if (action->partition >= 0 && order_wants(s->order, action->partition) &&
		    log->seen < log->visible)
			order_offer(s->order, action->partition, &log->at[log->seen++].place);
		if (s->eager) /* all heads are there before each step, reloaded or not */
			return true;
	}
	return moved;
}

struct order_action
sim_run(struct sim *s, int64_t quiet_ms)
{
	struct order_action action = {0};
	int64_t quiet_since = 0;
	if (s->order == NULL)
		sim_start(s);
	sim_seek(s);
	s->stop = false;
	for (bool more = true; more || s->now_ms - quiet_since < quiet_ms;) {
		more = sim_fetch(s);
		if (sim_act(s, &action) || more)
			quiet_since = s->now_ms;
		if (action.step == ORDER_REFUSE || s->stop)
			break;
		s->now_ms += more ? 1 : 7;
	}
	sim_count(s);
	return action;
}
