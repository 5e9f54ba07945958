/*
 * order.c - struct order, driven by the bytes of an input, in one of two ways.
 *
 * A world: a source and a connector that dies (tests/unit/order_world.h), where the input decides
 * what else is left to chance. All is applied, once, and each END stands behind its events.
 *
 * Anything: events that no connector would send, in any mode. Offsets grow, nothing at or below the
 * watermark is applied, snapshots begin before they end, a token taken at any step goes on as if
 * nothing had been, and what is refused has a code and a reason.
 */
#include "ingest/order.h"
#include "common/pack.h"
#include "common/ring.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/order_world.h"

#define PARTITIONS_MAX 4
#define CALLS_MAX      400
#define STEPS_MAX      1000

static void
run_world(const uint8_t *data, size_t size)
{
	static struct world w;
	struct sim s;
	struct choices c = {data, data + size};
	uint8_t seed = choose_byte(&c), how = choose_byte(&c);

	sim_choose(c.at, (size_t)(c.end - c.at));
	world_make_of(&w, &s, seed, (enum snapshots)(how % 3), 100);
	s.reload = how & 4;
	s.eager = how & 8;
	s.puts_off = how & 16;
	struct order_action last = sim_run(&s, 10000);
	world_check(&w, &s, &last);
	FUZZ_CHECK(w.ended);
	sim_fini(&s);
	sim_choose(NULL, 0);
}

/* --- anything --- */

struct lane {         /* one partition, as its caller sees it */
	int64_t next; /* of the log */
	bool offered; /* a head lies with order */
	bool
	    anew; /* a snapshot has begun: perhaps of another life of the source, whose LSNs are less */
	struct event_place head;
};

struct drive {
	struct choices *choices;
	struct order *order;
	enum order_mode mode;
	struct lane lanes[PARTITIONS_MAX];
	int count;
	int64_t tx_next, now_ms;
	bool snapshot[PARTITIONS_MAX]; /* by table: open */
	bool refused, puts_off;
};

static void
drive_start(struct drive *d)
{
	d->mode = (enum order_mode)(choose_byte(d->choices) % 3);
	d->count = d->mode == ORDER_SEQUENCE ? 1 : 1 + choose_byte(d->choices) % PARTITIONS_MAX;
	d->order = order_new(d->mode, 100);
	uint8_t shape = choose_byte(d->choices);
	for (int i = 0; i < d->count; i++) {
		struct partition_position from = {.table = (uint16_t)(shape & 1 ? i : 0),
						  .partition = i};
		struct partition_position durable = from;
		durable.next = choose_byte(d->choices) % 8;
		FUZZ_CHECK(order_add_partition(d->order, &from, shape & 2 ? &durable : NULL) == i);
		if (shape & 4)
			order_set_keyless(d->order, i);
	}
	d->puts_off = shape & 8;
	if (d->mode == ORDER_METADATA) {
		struct transaction_position from = {.set = true};
		order_set_transaction(d->order, &from);
	}
}

static struct event_place
choose_place(struct choices *c, int64_t offset)
{
	uint8_t flags = choose_byte(c), kind = choose_byte(c);

	return (struct event_place){
	    .kind = kind % 16 == 0   ? EVENT_TOMBSTONE
		    : kind % 16 == 1 ? EVENT_NOTHING
		    : kind % 16 == 2 ? EVENT_UNREADABLE
				     : EVENT_CHANGE,
	    .snapshot = kind & 128 ? (enum snapshot_mark)((kind >> 4) % 7) : SNAPSHOT_FALSE,
	    .truncate = kind % 16 == 3 && !(kind & 128),
	    .has_sequence = flags & 1,
	    .has_sequences = flags & 2,
	    .has_lsn = (flags & 12) != 0,
	    .sequence = choose_byte(c),
	    .lsn = choose_byte(c),
	    .xid = flags >> 6,
	    .order = flags & 16 ? choose_byte(c) % 8 : 0,
	    .source_ms = flags & 32 ? choose_byte(c) : 0,
	    .offset = offset,
	    .hash = 1 + (uint64_t)offset,
	};
}

static void
drive_offer(struct drive *d, int lane)
{
	struct lane *l = &d->lanes[lane];

	if (l->offered || !order_wants(d->order, lane))
		return;
	l->next += choose_byte(d->choices) % 16 == 0;
	l->head = choose_place(d->choices, l->next++);
	l->offered = true;
	order_offer(d->order, lane, &l->head);
}

static void
drive_offer_transaction(struct drive *d)
{
	uint8_t flags = choose_byte(d->choices);
	struct transaction_event t = {.status = (enum transaction_status)(flags % 3),
				      .xid = flags >> 6,
				      .lsn = choose_byte(d->choices),
				      .has_lsn = flags & 4,
				      .has_counts = flags & 8,
				      .offset = d->tx_next,
				      .hash = 7,
				      .source_ms = flags & 16};

	if (d->mode != ORDER_METADATA || !order_wants_transaction(d->order))
		return;
	for (unsigned i = 0; i < PARTITIONS_MAX; i++)
		t.count[i] = choose_byte(d->choices) % 4;
	d->tx_next++;
	order_offer_transaction(d->order, &t);
}

/* As if ingest had died here: heads are fetched again. */
static void
drive_reload(struct drive *d)
{
	static uint8_t token[RING_TOKEN_MAX], again[RING_TOKEN_MAX];
	struct order *order = order_new(d->mode, 100);
	struct pack p, q;

	pack_init(&p, token, sizeof(token));
	order_save(d->order, &p);
	FUZZ_CHECK(!p.overflow && order_load(order, token, pack_len(&p)));
	pack_init(&q, again, sizeof(again));
	order_save(order, &q);
	FUZZ_CHECK(pack_len(&p) == pack_len(&q) && memcmp(token, again, pack_len(&p)) == 0);
	FUZZ_CHECK(order_is_replaying(order) == order_is_replaying(d->order));
	order_free(d->order);
	d->order = order;
	for (int i = 0; i < d->count; i++)
		if (d->lanes[i].offered)
			order_offer(d->order, i, &d->lanes[i].head);
}

static void
check_head(struct drive *d, const struct order_action *a)
{
	struct lane *l = &d->lanes[a->partition];

	FUZZ_CHECK(a->partition >= 0 && a->partition < d->count && l->offered);
	struct partition_position before = *order_partition(d->order, a->partition);
	FUZZ_CHECK(l->head.offset >= before.next);
	order_done(d->order);
	const struct partition_position *after = order_partition(d->order, a->partition);
	FUZZ_CHECK(after->next == l->head.offset + 1);
	l->offered = false;
	if (a->step == ORDER_DROP)
		return;
	FUZZ_CHECK(l->head.kind == EVENT_CHANGE && !a->repeat);
	FUZZ_CHECK(!a->snapshot || d->snapshot[after->table]);
	/* Debezium 1.4 gives nothing that rises; and what was begun before a snapshot may end after it. */
	if (l->head.snapshot != SNAPSHOT_FALSE) {
		l->anew = true;
		return;
	}
	/* A mark with a sequence and one without are of two connectors: which is later, nothing tells. */
	if (l->head.has_sequences && before.mark.ordinal > 0 && !l->anew &&
	    before.mark.has_sequence == after->mark.has_sequence)
		FUZZ_CHECK(watermark_compare(&after->mark, &before.mark) > 0);
	l->anew = false;
}

static void
check_position(struct drive *d)
{
	static uint8_t bytes[RING_TOKEN_MAX];
	struct partition_position partition;
	struct transaction_position transaction;
	struct pack p;
	struct unpack u;

	pack_init(&p, bytes, sizeof(bytes));
	order_pack_position(d->order, false, &p);
	FUZZ_CHECK(!p.overflow);
	unpack_init(&u, bytes, pack_len(&p));
	for (int i = 0; u.at < u.end; i++) {
		struct unpack saved = u;
		FUZZ_CHECK(i <= d->count);
		if (position_unpack_partition(&u, &partition))
			continue;
		u = saved;
		FUZZ_CHECK(position_unpack_transaction(&u, &transaction));
	}
	order_done(d->order);
}

static void
check_action(struct drive *d, const struct order_action *a)
{
	switch (a->step) {
	case ORDER_APPLY:
	case ORDER_DROP:
		check_head(d, a);
		break;
	case ORDER_SNAPSHOT_BEGIN:
		FUZZ_CHECK(a->table < PARTITIONS_MAX);
		d->snapshot[a->table] = true;
		for (int i = 0; i < d->count; i++)
			d->lanes[i].anew |= order_partition(d->order, i)->table == a->table;
		order_done(d->order);
		break;
	case ORDER_SNAPSHOT_END:
	case ORDER_SNAPSHOT_ABANDON:
		FUZZ_CHECK(a->table < PARTITIONS_MAX && d->snapshot[a->table]);
		d->snapshot[a->table] = false;
		order_done(d->order);
		break;
	case ORDER_END:
		for (unsigned i = 0; i < PARTITIONS_MAX; i++)
			FUZZ_CHECK(!d->snapshot[i]);
		if (d->puts_off && order_put_off(d->order)) {
			FUZZ_CHECK(!order_whole(d->order));
			return;
		}
		check_position(d);
		FUZZ_CHECK(order_is_replaying(d->order) || order_whole(d->order));
		break;
	case ORDER_CUT:
		FUZZ_CHECK(order_is_replaying(d->order));
		check_position(d);
		FUZZ_CHECK(!order_is_replaying(d->order));
		break;
	case ORDER_WAIT:
	case ORDER_REFUSE:
		break;
	}
}

/* Decide and do until order waits, which it must within as many steps as there are heads and more. */
static void
drive_steps(struct drive *d)
{
	struct order_action a, same;

	for (unsigned steps = 0;; steps++) {
		FUZZ_CHECK(steps < STEPS_MAX);
		order_step(d->order, d->now_ms, &a);
		order_step(d->order, d->now_ms, &same);
		FUZZ_CHECK(a.step == same.step && a.partition == same.partition &&
			   a.table == same.table && a.snapshot == same.snapshot);
		if (a.step == ORDER_REFUSE) {
			FUZZ_CHECK(a.code != 0 && strlen(a.reason) > 10);
			d->refused = true;
			return;
		}
		if (a.step == ORDER_WAIT) {
			FUZZ_CHECK(a.deadline_ms > d->now_ms);
			return;
		}
		check_action(d, &a);
	}
}

static void
drive_call(struct drive *d)
{
	uint8_t what = choose_byte(d->choices);
	int lane = what / 16 % d->count;

	switch (what % 16) {
	case 8:
		if (order_wants(d->order, lane) && !d->lanes[lane].offered)
			order_idle(d->order, lane, d->lanes[lane].next, d->now_ms);
		break;
	case 9:
	case 10:
	case 11:
		drive_offer_transaction(d);
		break;
	case 12:
		if (d->mode == ORDER_METADATA && order_wants_transaction(d->order))
			order_idle_transaction(d->order, d->tx_next, d->now_ms);
		else if (d->mode == ORDER_METADATA)
			order_more_transactions(d->order, d->tx_next + what / 16, d->now_ms);
		break;
	case 13:
		d->now_ms += 1 << (what / 16);
		break;
	case 14:
		order_woke(d->order, d->now_ms);
		(void)order_settle(d->order);
		break;
	case 15:
		drive_reload(d);
		break;
	default:
		drive_offer(d, lane);
	}
}

static void
run_anything(const uint8_t *data, size_t size)
{
	struct choices c = {data, data + size};
	struct drive d = {.choices = &c};

	drive_start(&d);
	for (unsigned calls = 0; calls < CALLS_MAX && c.at < c.end && !d.refused; calls++) {
		drive_call(&d);
		drive_steps(&d);
	}
	order_free(d.order);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] % 4 == 0)
		run_world(data + 1, size - 1);
	else if (size > 0)
		run_anything(data + 1, size - 1);
	return 0;
}
