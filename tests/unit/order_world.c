#include "tests/unit/order_world.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

#include "common/pack.h"

static struct unit *
world_add(struct world *w, int kind)
{
	struct unit *u = &w->units[w->count++];
	*u = (struct unit){.txn = w->txns};
	u->kind = (unsigned)kind;
	return u;
}

static void
world_snapshot(struct world *w, struct sim *s)
{
	unsigned rows = 1 + (unsigned)sim_random(s, 12);
	w->lsn += 100;
	memset(w->rows_expected, 0, sizeof(w->rows_expected));
	for (unsigned i = 0; i < rows; i++) {
		struct unit *u = world_add(w, UNIT_ROW);
		u->log = (unsigned)sim_random(s, s->partitions);
		u->lsn = w->lsn;
		u->mark = i + 1 == rows ? SNAPSHOT_LAST : i == 0 ? SNAPSHOT_FIRST : SNAPSHOT_TRUE;
		w->rows_expected[u->log]++;
	}
	w->lsn += 50;
}

static void
world_events(struct world *w, struct sim *s, uint64_t *lsn, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct unit *u = world_add(w, UNIT_EVENT);
		u->log = (unsigned)sim_random(s, s->partitions);
		u->lsn = *lsn;
		u->order = i + 1;
		u->run_goes_on = i + 1 < count && sim_random(s, 2) == 0;
		if (!u->run_goes_on)
			*lsn += 1 + sim_random(s, 3);
	}
}

/* Two transactions whose rows overlap by LSN: the second was begun first. */
static void
world_transaction(struct world *w, struct sim *s, uint64_t *previous, bool *has_previous)
{
	unsigned first = w->count, events = 1 + (unsigned)sim_random(s, 5);
	uint64_t lsn = w->lsn - (*has_previous && sim_random(s, 3) == 0 ? 3 : 0);
	world_add(w, UNIT_BEGIN);
	world_events(w, s, &lsn, events);
	w->lsn = (lsn > w->lsn ? lsn : w->lsn) + 8;
	struct unit *end = world_add(w, UNIT_END);
	for (unsigned i = first; i < w->count; i++) {
		w->units[i].has_sequence = *has_previous;
		w->units[i].sequence = *previous;
		w->units[i].commit = w->lsn;
	}
	end->events = events;
	w->events[w->txns] = w->left[w->txns] = events;
	w->txns++;
	*previous = w->lsn;
	*has_previous = true;
}

static void
send_tx(struct sim *s, const struct unit *u, enum transaction_status status, uint64_t count)
{
	struct transaction_event e = {.status = status,
				      .xid = 1000 + u->txn,
				      .lsn = u->commit,
				      .has_lsn = true,
				      .has_counts = true};
	e.count[0] = count;
	sim_add_transaction(s, &e);
}

static void
send_event(struct sim *s, const struct unit *u, size_t id, int64_t order)
{
	const struct world *w = s->context;
	bool resumed = w->resumed != 0 && u->kind == UNIT_EVENT && !u->has_sequence;
	struct event_place e = {.kind = EVENT_CHANGE,
				.snapshot = u->mark,
				.has_sequence = u->has_sequence || resumed,
				.has_sequences = true,
				.has_lsn = true,
				.sequence = resumed ? w->resumed : u->sequence,
				.lsn = u->lsn,
				.xid = 1000 + u->txn,
				.order = order,
				.source_ms = (int64_t)u->commit};
	sim_add(s, u->log, &e, id);
}

static void
rows_are_sent(struct world *w, const struct sim *s)
{
	for (unsigned log = 0; log < s->partitions && !w->rows_sent; log++)
		w->rows_kept[log] = s->logs[log].count;
	w->rows_sent = true;
}

/* One life of the connector: from a unit to another. Counts as that life counts. */
static void
connector_live(struct world *w, struct sim *s, unsigned from, unsigned to)
{
	uint64_t sent = 0;
	const struct unit *first = &w->units[from];
	/* Amid a transaction before which no commit came. */
	w->resumed = 0;
	if (from > 0 && first->kind == UNIT_EVENT && !first->has_sequence)
		w->resumed = first[-1].kind == UNIT_EVENT ? first[-1].lsn : first->lsn - 1;
	for (unsigned i = from; i < to; i++) {
		const struct unit *u = &w->units[i];
		if (i == w->rows_end && i > 0)
			rows_are_sent(w, s);
		for (unsigned log = 0; log < s->partitions; log++)
			w->seen_at[i][log] = s->logs[log].count;
		w->seen_at[i][LOGS] = s->tx_count;
		if (w->rows_sent && u->kind == UNIT_ROW)
			continue;
		if (w->old && i == from && (u->kind == UNIT_EVENT || u->kind == UNIT_END))
			send_tx(s, u, TRANSACTION_BEGIN, 0);
		if (u->kind == UNIT_BEGIN) {
			send_tx(s, u, TRANSACTION_BEGIN, 0);
			sent = 0;
		} else if (u->kind == UNIT_END) {
			send_tx(s, u, TRANSACTION_END, w->old ? sent : u->events);
		} else {
			sent++;
			send_event(s, u, i,
				   u->kind == UNIT_ROW ? 0
				   : w->old            ? (int64_t)sent
						       : u->order);
		}
	}
}

/* Killed: of what was sent after the last flush the end of each log may be lost. */
static void
connector_lose(struct world *w, struct sim *s, unsigned flushed)
{
	for (unsigned log = 0; log < s->partitions; log++) {
		size_t kept = w->seen_at[flushed][log];
		if (w->rows_sent && kept < w->rows_kept[log])
			kept = w->rows_kept[log];
		s->logs[log].count = kept + sim_random(s, s->logs[log].count - kept + 1);
	}
	size_t kept = w->seen_at[flushed][LOGS];
	s->tx_count = kept + sim_random(s, s->tx_count - kept + 1);
}

/* A snapshot that was not finished is read again as a whole; at its end all is flushed. */
static unsigned
snapshot_anew(struct world *w, unsigned unit, unsigned killed)
{
	for (unsigned i = unit; i <= killed; i++)
		if (w->units[i].kind != UNIT_ROW)
			return i;
	while (unit > 0 && w->units[unit - 1].kind == UNIT_ROW)
		unit--;
	for (unsigned i = unit; w->units[i].kind == UNIT_ROW; i++)
		w->units[i].lsn++;
	return unit;
}

static void
connector_run(struct world *w, struct sim *s, unsigned from)
{
	for (unsigned lives = (unsigned)sim_random(s, 6); lives > 0; lives--) {
		unsigned to = from + 1 + (unsigned)sim_random(s, 60);
		if (to > w->stale && to <= w->rows_end)
			to = w->rows_end + 1;
		if (to >= w->count)
			break;
		connector_live(w, s, from, to);
		unsigned flushed = from + (unsigned)sim_random(s, to - from);
		while (w->old && flushed > from && w->units[flushed - 1].run_goes_on)
			flushed--;
		if (w->rows_end > 0 && w->units[flushed].kind == UNIT_ROW)
			flushed = w->stale;
		else if (w->units[flushed].kind == UNIT_ROW)
			flushed = snapshot_anew(w, flushed, to - 1);
		connector_lose(w, s, flushed);
		from = flushed;
	}
	connector_live(w, s, from, w->count);
}

/* --- what must be true --- */

static void
world_apply(struct world *w, const struct order_action *a, struct unit *u, size_t id)
{
	cr_assert(!a->snapshot || u->kind == UNIT_ROW, "seed %" PRIu64, w->seed);
	if (!a->snapshot && u->kind == UNIT_ROW)
		return; /* of an attempt that was overtaken: gone at the end of the newer one */
	w->between += (id + 1) * 0x9e3779b97f4a7c15u;
	w->applied += (id + 1) * 0x9e3779b97f4a7c15u;
	if (u->kind == UNIT_ROW) {
		w->read += (id + 1) * 0x9e3779b97f4a7c15u;
		w->rows[u->log]++;
		return;
	}
	cr_assert_not(u->applied, "seed %" PRIu64 ": unit %zu twice", w->seed, id);
	u->applied = true;
	if (id < w->stale) {
		cr_assert_not(w->ended, "seed %" PRIu64 ": unit %zu after its snapshot", w->seed,
			      id);
		return;
	}
	cr_assert(w->ended, "seed %" PRIu64 ": unit %zu too early", w->seed, id);
	w->open += w->left[u->txn] == w->events[u->txn];
	if (--w->left[u->txn] == 0) {
		w->open--;
		w->whole++;
	}
}

/* The position as an END would carry it. */
static void
world_end(struct world *w, struct sim *s)
{
	static uint8_t entries[4096];
	struct pack pack;
	struct unpack u;
	if (++w->ends != w->stop_at)
		return;
	pack_init(&pack, entries, sizeof(entries));
	order_pack_position(s->order, true, &pack);
	unpack_init(&u, entries, pack_len(&pack));
	cr_assert(position_unpack_transaction(&u, &w->at_tx));
	for (unsigned i = 0; i < s->partitions; i++)
		cr_assert(position_unpack_partition(&u, &w->at[i]));
	cr_assert(u.at == u.end);
	s->stop = true;
}

static void
world_act(struct sim *s, const struct order_action *a, const struct sim_event *head)
{
	struct world *w = s->context;
	switch (a->step) {
	case ORDER_APPLY:
		world_apply(w, a, &w->units[head->id], head->id);
		break;
	case ORDER_SNAPSHOT_BEGIN:
		memset(w->rows, 0, sizeof(w->rows));
		w->read = 0;
		w->final = head->id >= w->stale;
		break;
	case ORDER_SNAPSHOT_END:
		w->applied = w->read; /* and nothing else */
		/* Of two snapshots the first may end too, before the second begins. */
		w->ended = w->final && memcmp(w->rows, w->rows_expected, sizeof(w->rows)) == 0;
		cr_assert(w->ended || !w->final, "seed %" PRIu64 ": rows of the snapshot", w->seed);
		break;
	case ORDER_END:
		world_end(w, s);
		cr_assert_eq(w->open, 0, "seed %" PRIu64 ": torn at %" PRId64, w->seed, s->now_ms);
		if (w->between != 0) /* others only move the position */
			w->trace = (w->trace ^ w->between) * 0x100000001b3u;
		w->between = 0;
		break;
	case ORDER_CUT:
		cr_assert(w->replay_of == NULL || w->replay_of->applied == w->applied,
			  "seed %" PRIu64 ": another state at D", w->seed);
		w->replay_of = NULL;
		break;
	default:
		break;
	}
}

void
world_check(struct world *w, struct sim *s, const struct order_action *a)
{
	cr_assert_eq(a->step, ORDER_WAIT, "seed %" PRIu64 ": %s", w->seed, a->reason);
	cr_assert(order_whole(s->order), "seed %" PRIu64, w->seed);
	for (unsigned i = w->stale; i < w->count; i++)
		cr_assert(w->units[i].applied || w->units[i].kind != UNIT_EVENT,
			  "seed %" PRIu64 ": unit %u of %u lost", w->seed, i, w->count);
	cr_assert_eq(s->counters.gaps, 0, "seed %" PRIu64, w->seed);
	cr_assert_eq(s->counters.late, 0, "seed %" PRIu64, w->seed);
}

void
world_make(struct world *w, struct sim *s, uint64_t seed, enum snapshots snapshots)
{
	world_make_of(w, s, seed, snapshots, UNITS - 20);
}

void
world_make_of(struct world *w, struct sim *s, uint64_t seed, enum snapshots snapshots,
	      unsigned units)
{
	uint64_t previous = 0;
	bool has_previous = false;
	memset(w, 0, sizeof(*w));
	sim_init(s, ORDER_METADATA, 1 + (unsigned)(seed % 4));
	s->random = seed * 7919 + 3;
	w->seed = seed;
	w->old = seed / 4 % 2;
	w->lsn = 1000;
	s->context = w;
	s->act = world_act;
	world_snapshot(w, s);
	while (w->count < (snapshots != SNAPSHOTS_NONE ? 60 : units))
		world_transaction(w, s, &previous, &has_previous);
	if (snapshots == SNAPSHOTS_NONE) {
		connector_run(w, s, 0);
		return;
	}
	w->stale = w->count;
	/* Killed before its first flush: all is sent, then a snapshot holds it, then new life. */
	if (snapshots == SNAPSHOTS_AGAIN) {
		connector_live(w, s, 0, w->stale);
		has_previous = false;
	}
	world_snapshot(w, s);
	if (snapshots == SNAPSHOTS_BLOCKING)
		w->rows_end = w->count;
	while (w->count < units)
		world_transaction(w, s, &previous, &has_previous);
	if (snapshots == SNAPSHOTS_BLOCKING)
		connector_live(w, s, 0, w->stale - 30);
	connector_run(w, s, w->stale - (snapshots == SNAPSHOTS_BLOCKING ? 30 : 0));
}
