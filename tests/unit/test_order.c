#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/ring.h"
#include "common/stage.h"
#include "tests/unit/order_sim.h"

/*
 * A source and a connector that is killed at random, invented from a seed: it sends again from its
 * last flush, tails that were not acknowledged are lost, runs of rows share one LSN, transactions
 * overlap. Old connectors (3.4) count anew when they resume inside a transaction.
 */

#define UNITS 600
#define LOGS  5

struct unit { /* what a connector sends, in its order */
	enum { UNIT_BEGIN, UNIT_EVENT, UNIT_END, UNIT_ROW } kind;
	unsigned txn, log, events;
	uint64_t sequence, lsn, commit;
	bool has_sequence, run_goes_on; /* the next event has the same LSN */
	int64_t order;
	enum snapshot_mark mark;
	bool applied;
};

struct world {
	struct unit units[UNITS];
	unsigned count, streaming; /* first unit after the snapshot */
	unsigned stale;            /* first unit of the life that counts */
	unsigned txns, events[UNITS], left[UNITS], open, whole, newest;
	uint64_t lsn;
	bool old, final, ended;
	unsigned rows[LOGS], rows_expected[LOGS];
	uint64_t trace; /* hash of what was applied between ENDs, in any order */
	uint64_t between;
	uint64_t seed;
	const struct world *replay_of;   /* until CUT */
	uint64_t read;                   /* the same of the open attempt */
	uint64_t ends, stop_at, applied; /* applied: hash of all that stands */
	struct partition_position at[LOGS];
	struct transaction_position at_tx;
	size_t seen_at[UNITS + 1][LOGS + 1]; /* lengths of all logs before a unit was sent */
};

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
	struct event_place e = {.kind = EVENT_CHANGE,
				.snapshot = u->mark,
				.has_sequence = u->has_sequence,
				.has_sequences = true,
				.has_lsn = true,
				.sequence = u->sequence,
				.lsn = u->lsn,
				.xid = 1000 + u->txn,
				.order = order,
				.source_ms = (int64_t)u->commit};
	sim_add(s, u->log, &e, id);
}

/* One life of the connector: from a unit to another. Counts as that life counts. */
static void
connector_live(struct world *w, struct sim *s, unsigned from, unsigned to)
{
	uint64_t sent = 0;
	for (unsigned i = from; i < to; i++) {
		const struct unit *u = &w->units[i];
		for (unsigned log = 0; log < s->partitions; log++)
			w->seen_at[i][log] = s->logs[log].count;
		w->seen_at[i][LOGS] = s->tx_count;
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
		if (to >= w->count)
			break;
		connector_live(w, s, from, to);
		unsigned flushed = from + (unsigned)sim_random(s, to - from);
		while (w->old && flushed > from && w->units[flushed - 1].run_goes_on)
			flushed--;
		if (w->units[flushed].kind == UNIT_ROW)
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
	cr_assert_eq(a->snapshot, u->kind == UNIT_ROW, "seed %" PRIu64, w->seed);
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

static void
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

/* The same world again for the same seed; what is random in its delivery comes from `delivery`. */
static void
world_make(struct world *w, struct sim *s, uint64_t seed, bool snapshot_again)
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
	while (w->count < (snapshot_again ? 60 : UNITS - 20))
		world_transaction(w, s, &previous, &has_previous);
	if (!snapshot_again) {
		connector_run(w, s, 0);
		return;
	}
	/* Killed before its first flush: all is sent, then a snapshot holds it, then new life. */
	connector_live(w, s, 0, w->count);
	w->stale = w->count;
	has_previous = false;
	world_snapshot(w, s);
	while (w->count < UNITS - 20)
		world_transaction(w, s, &previous, &has_previous);
	connector_run(w, s, w->stale);
}

Test(order, killed_connectors_lose_and_double_nothing)
{
	static struct world w;
	struct sim s;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		world_make(&w, &s, seed, false);
		s.reload = seed % 3 == 0;
		struct order_action a = sim_run(&s, 10000);
		world_check(&w, &s, &a);
		cr_assert(w.ended);
		sim_fini(&s);
	}
}

Test(order, second_snapshot_replaces)
{
	static struct world w;
	struct sim s;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		world_make(&w, &s, seed, true);
		s.reload = seed % 3 == 0;
		struct order_action a = sim_run(&s, 10000);
		world_check(&w, &s, &a);
		cr_assert(w.ended, "seed %" PRIu64, seed);
		sim_fini(&s);
	}
}

/* The state at D is the same when it is reached again from the start, and so is what follows. */
Test(order, replays_come_to_the_same_state)
{
	static struct world first, second;
	struct sim s;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		world_make(&first, &s, seed, seed % 3 == 0);
		first.stop_at = 1 + seed * 31 % 100;
		s.random = seed;
		sim_run(&s, 10000);
		sim_fini(&s);
		if (first.ends < first.stop_at)
			continue;
		world_make(&second, &s, seed, seed % 3 == 0);
		s.random = seed + 1000;
		s.durable = first.at;
		s.durable_tx = &first.at_tx;
		s.reload = seed % 2;
		second.replay_of = &first;
		struct order_action a = sim_run(&s, 10000);
		world_check(&second, &s, &a);
		cr_assert_null(second.replay_of, "seed %" PRIu64 ": no CUT", seed);
		sim_fini(&s);
	}
}

/* All visible at once: then a reload after each step must change nothing at all. */
Test(order, reload_at_every_step_changes_nothing)
{
	static struct world w;
	struct sim s;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint64_t trace[2];
		for (int reload = 0; reload < 2; reload++) {
			world_make(&w, &s, seed, seed % 2);
			s.eager = true;
			s.reload = reload;
			sim_run(&s, 10000);
			trace[reload] = w.trace;
			sim_fini(&s);
		}
		cr_assert_eq(trace[0], trace[1], "seed %" PRIu64, seed);
	}
}

/* --- single rules --- */

static struct event_place
place(uint64_t sequence, uint64_t lsn, int64_t offset)
{
	return (struct event_place){.kind = EVENT_CHANGE,
				    .has_sequence = sequence > 0,
				    .has_sequences = true,
				    .has_lsn = true,
				    .sequence = sequence,
				    .lsn = lsn,
				    .source_ms = (int64_t)lsn,
				    .offset = offset,
				    .hash = 5};
}

static struct order *
order_of(enum order_mode mode, unsigned partitions)
{
	struct order *o = order_new(mode, 100);
	struct order_action a;
	for (unsigned i = 0; i < partitions; i++) {
		struct partition_position from = {.partition = (int32_t)i};
		order_add_partition(o, &from, NULL);
	}
	order_step(o, 0, &a);
	cr_assert_eq(a.step, ORDER_CUT);
	order_done(o);
	return o;
}

static enum order_step
step_done(struct order *o, int64_t now_ms)
{
	struct order_action a;
	order_step(o, now_ms, &a);
	order_done(o);
	return a.step;
}

static enum order_step
offer(struct order *o, struct event_place e)
{
	order_offer(o, 0, &e);
	return step_done(o, 0);
}

static void
check_refuses(struct order *o, int code, const char *part)
{
	struct order_action a;
	order_step(o, 0, &a);
	cr_assert_eq(a.step, ORDER_REFUSE);
	cr_assert_eq(a.code, code);
	cr_assert_not_null(strstr(a.reason, part), "%s", a.reason);
	order_free(o);
}

Test(order, sequence_closes_by_the_next_or_by_silence)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(offer(o, place(10, 11, 0)), ORDER_APPLY);
	cr_assert_eq(offer(o, place(10, 12, 1)), ORDER_APPLY);
	cr_assert_eq(offer(o, place(20, 21, 2)), ORDER_END);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	order_idle(o, 0, 3, 99);
	cr_assert_eq(step_done(o, 99), ORDER_WAIT);
	order_idle(o, 0, 3, 100);
	cr_assert_eq(step_done(o, 100), ORDER_END);
	cr_assert(order_whole(o));
	order_free(o);
}

Test(order, none_closes_each_event)
{
	struct order *o = order_of(ORDER_NONE, 1);
	struct event_place e = place(0, 50, 0);
	e.has_sequences = false; /* 1.4: LSNs of overlapping transactions do not rise */
	cr_assert_eq(offer(o, e), ORDER_APPLY);
	cr_assert_eq(step_done(o, 0), ORDER_END);
	e.lsn = 40;
	e.offset = 1;
	cr_assert_eq(offer(o, e), ORDER_APPLY);
	cr_assert_eq(step_done(o, 0), ORDER_END);
	order_free(o);
}

Test(order, offsets_must_grow)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(offer(o, place(10, 11, 5)), ORDER_APPLY);
	struct event_place e = place(10, 12, 5);
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_INTERNAL, "offsets must only grow");
}

Test(order, another_source_is_refused)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(offer(o, place(1000, 1001, 0)), ORDER_APPLY);
	struct event_place e = place(500, 501, 1);
	cr_assert_eq(offer(o, e), ORDER_DROP); /* as old as it says: a repeat */
	e.offset = 2;
	e.source_ms = 5000;
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_CONFIG, "another source");
}

Test(order, tombstones_open_nothing)
{
	struct order *o = order_of(ORDER_NONE, 1);
	struct event_place e = {.kind = EVENT_TOMBSTONE};
	cr_assert_eq(offer(o, e), ORDER_DROP);
	cr_assert(order_whole(o));
	cr_assert_eq(step_done(o, 0), ORDER_WAIT);
	order_idle(o, 0, 1, 100);
	cr_assert_eq(step_done(o, 100), ORDER_END); /* tells the position, once */
	order_idle(o, 0, 1, 300);
	cr_assert_eq(step_done(o, 300), ORDER_WAIT);
	cr_assert_eq(order_counters(o)->tombstones, 1);
	order_free(o);
}

Test(order, incremental_rows_need_a_key)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = {
	    .kind = EVENT_CHANGE, .snapshot = SNAPSHOT_INCREMENTAL, .has_sequences = true};
	cr_assert_eq(offer(o, place(10, 11, 0)), ORDER_APPLY);
	e.offset = 1;
	cr_assert_eq(offer(o, e), ORDER_END);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	cr_assert_eq(step_done(o, 0), ORDER_END);
	order_set_keyless(o, 0);
	e.offset = 2;
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_DATA, "incremental snapshot");
}

Test(order, snapshot_without_end_mark_closes_by_silence)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = place(0, 10, 0);
	e.snapshot = SNAPSHOT_TRUE;
	cr_assert_eq(offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	order_idle(o, 0, 1, 4999);
	cr_assert_eq(step_done(o, 4999), ORDER_WAIT);
	order_idle(o, 0, 1, 5000);
	cr_assert_eq(step_done(o, 5000), ORDER_SNAPSHOT_END);
	cr_assert_eq(step_done(o, 5000), ORDER_END);
	const struct watermark *mark = &order_partition(o, 0)->mark;
	cr_assert(mark->set && !mark->has_sequence && mark->lsn == 10 && mark->ordinal == 0);
	/* A row that was there later still belongs to it; one with a first mark does not. */
	e = place(0, 10, 1);
	e.snapshot = SNAPSHOT_TRUE;
	cr_assert_eq(offer(o, e), ORDER_APPLY);
	cr_assert_eq(step_done(o, 5000), ORDER_END);
	e.offset = 2;
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(offer(o, e), ORDER_SNAPSHOT_BEGIN);
	order_free(o);
}

Test(order, snapshot_begins_anew)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = place(0, 10, 0);
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	e.offset = 1;
	cr_assert_eq(offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	e.offset = 2;
	e.snapshot = SNAPSHOT_TRUE;
	e.lsn = 20;
	cr_assert_eq(offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	e.offset = 3;
	e.snapshot = SNAPSHOT_LAST_IN_COLLECTION;
	cr_assert_eq(offer(o, e), ORDER_APPLY);
	cr_assert_eq(step_done(o, 0), ORDER_SNAPSHOT_END);
	cr_assert_eq(step_done(o, 0), ORDER_END);
	/* A transaction that was open meanwhile has older LSNs, and is no repeat. */
	cr_assert_eq(offer(o, place(0, 15, 4)), ORDER_APPLY);
	order_free(o);
}

static struct order *
order_replaying(int64_t next, uint64_t hash)
{
	struct order *o = order_new(ORDER_SEQUENCE, 100);
	struct partition_position from = {0}, durable = {.next = next, .hash = hash};
	order_add_partition(o, &from, &durable);
	return o;
}

Test(order, replay_stops_at_d)
{
	struct order *o = order_replaying(2, 5);
	cr_assert_eq(offer(o, place(10, 11, 0)), ORDER_APPLY);
	cr_assert_eq(offer(o, place(20, 21, 1)), ORDER_APPLY);
	cr_assert_not(order_wants(o, 0));
	cr_assert_eq(step_done(o, 0), ORDER_CUT);
	cr_assert(order_whole(o));
	order_free(o);
	o = order_replaying(2, 5); /* the record at D - 1 is compacted away */
	cr_assert_eq(offer(o, place(10, 11, 0)), ORDER_APPLY);
	cr_assert_eq(offer(o, place(20, 21, 7)), ORDER_CUT);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	order_free(o);
}

Test(order, replay_refuses_another_log)
{
	struct order *o = order_replaying(1, 6);
	struct event_place e = place(10, 11, 0);
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_CONFIG, "recreated");
	o = order_replaying(9, 5);
	order_idle(o, 0, 8, 0);
	check_refuses(o, EXIT_CONFIG, "truncated");
}

static void
offer_tx(struct order *o, enum transaction_status status, uint64_t lsn, uint64_t count)
{
	struct transaction_event e = {
	    .status = status, .xid = 7, .lsn = lsn, .has_lsn = true, .has_counts = true};
	static int64_t offset;
	e.offset = offset++;
	e.count[0] = count;
	order_offer_transaction(o, &e);
}

Test(order, counts_that_never_come_are_a_gap)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	struct order_action a;
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 3);
	order_idle(o, 0, 0, 0);
	cr_assert_eq(step_done(o, 0), ORDER_WAIT);
	order_idle(o, 0, 0, 29999);
	cr_assert_eq(step_done(o, 29999), ORDER_WAIT);
	order_idle(o, 0, 0, 30000);
	order_step(o, 30000, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert_not_null(strstr(a.reason, "never came"), "%s", a.reason);
	order_done(o);
	cr_assert_eq(order_counters(o)->gaps, 1);
	/* They come after all: late, but not lost. */
	struct event_place e = place(5, 15, 0);
	e.order = 1;
	cr_assert_eq(offer(o, e), ORDER_APPLY);
	cr_assert_eq(step_done(o, 30000), ORDER_END);
	cr_assert_eq(order_counters(o)->late, 1);
	order_free(o);
}

Test(order, torn_counts_are_not_used)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	struct event_place e = place(5, 15, 0);
	e.order = 1;
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 0);
	cr_assert_eq(step_done(o, 0), ORDER_WAIT);
	cr_assert_eq(offer(o, e), ORDER_APPLY);
	order_idle(o, 0, 1, 5000);
	cr_assert_eq(step_done(o, 5000), ORDER_END);
	cr_assert_eq(order_counters(o)->torn, 1);
	order_free(o);
}

Test(order, garbage_is_no_token)
{
	static uint8_t token[RING_TOKEN_MAX], copy[RING_TOKEN_MAX];
	static struct world w;
	struct sim s;
	struct pack p;
	world_make(&w, &s, 3, false);
	sim_run(&s, 10);
	pack_init(&p, token, sizeof(token));
	order_save(s.order, &p);
	size_t len = pack_len(&p);
	for (unsigned i = 0; i < 4000; i++) {
		struct order *o = order_new(ORDER_METADATA, 100);
		struct order_action a;
		memcpy(copy, token, len);
		for (uint64_t n = sim_random(&s, 4); n > 0; n--)
			copy[sim_random(&s, len)] = (uint8_t)sim_random(&s, 256);
		if (order_load(o, copy, len - (i % 3 == 0 ? sim_random(&s, len) : 0)))
			for (int steps = 0; steps < 20; steps++) {
				order_step(o, 0, &a);
				order_done(o);
			}
		order_free(o);
	}
	sim_fini(&s);
}

/* A restored database: its snapshot replaces all, so what streams after it may have lower LSNs. */
Test(order, snapshot_of_a_restored_source)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(offer(o, place(1000, 1001, 0)), ORDER_APPLY);
	struct event_place e = place(0, 100, 1);
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(offer(o, e), ORDER_END);
	cr_assert_eq(step_done(o, 0), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	e = place(200, 201, 2);
	e.source_ms = 5000;
	cr_assert_eq(offer(o, e), ORDER_SNAPSHOT_END);
	cr_assert_eq(step_done(o, 0), ORDER_END);
	cr_assert_eq(step_done(o, 0), ORDER_APPLY);
	order_free(o);
}
