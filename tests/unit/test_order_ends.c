#include <criterion/criterion.h>
#include <inttypes.h>

#include "common/pack.h"
#include "common/ring.h"
#include "tests/unit/order_case.h"
#include "tests/unit/order_record.h"
#include "tests/unit/order_world.h"

/*
 * Every END is a place to begin from: an order with nothing but the position that the END carried
 * decides as the one before it went on to decide, whether it goes on there at once or replays up
 * to a later one first.
 */

static const char *const world_names[] = {"kills", "a second snapshot", "a blocking snapshot"};

/* Under AddressSanitizer all is ten times slower, and a few worlds are enough to see wild reads. */
#ifdef __SANITIZE_ADDRESS__
#define SEEDS 3
#else
#define SEEDS 24
#endif

static void
compare_worlds(enum order_mode mode, enum snapshots snapshots, bool eager)
{
	static struct world w;
	struct record whole;
	struct sim s;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		world_make(&w, &s, mode == ORDER_SEQUENCE ? seed * 4 : seed, snapshots);
		s.mode = mode;
		s.eager = eager;
		s.reload = seed % 5 == 0;
		record_run(&whole, &s);
		for (unsigned end = 0; end < whole.count; end += 1 + (unsigned)seed % 7)
			record_compare(&whole, &s, end, end, world_names[snapshots], seed);
		for (unsigned end = 0; end < whole.count; end += 1 + (unsigned)seed % 11)
			record_compare(&whole, &s, end,
				       end + (unsigned)sim_random(&s, whole.count - end),
				       world_names[snapshots], seed);
		record_free(&whole);
		sim_fini(&s);
	}
}

Test(order_ends, of_metadata)
{
	for (unsigned snapshots = 0; snapshots < 3; snapshots++)
		compare_worlds(ORDER_METADATA, snapshots, true);
}

Test(order_ends, of_metadata_at_random)
{
	for (unsigned snapshots = 0; snapshots < 3; snapshots++)
		compare_worlds(ORDER_METADATA, snapshots, false);
}

Test(order_ends, of_sequence)
{
	for (unsigned snapshots = 0; snapshots < 3; snapshots++)
		compare_worlds(ORDER_SEQUENCE, snapshots, true);
}

Test(order_ends, of_none)
{
	for (unsigned snapshots = 0; snapshots < 3; snapshots++)
		compare_worlds(ORDER_NONE, snapshots, true);
}

/* --- single rules: after the END that is due, `o` is replaced by one that begins there --- */

static struct order *
begin_anew(struct order *o, struct order_action *a)
{
	static uint8_t entries[4096];
	struct pack pack;
	struct unpack u;
	order_step(o, 0, a);
	cr_assert_eq(a->step, ORDER_END);
	pack_init(&pack, entries, sizeof(entries));
	order_pack_position(o, true, &pack);
	struct order *next = order_new(ORDER_NONE, 100);
	unpack_init(&u, entries, pack_len(&pack));
	while (u.at < u.end) {
		struct partition_position at;
		cr_assert(position_unpack_partition(&u, &at));
		order_add_partition(next, &at, &at);
	}
	order_free(o);
	order_step(next, 0, a);
	cr_assert_eq(a->step, ORDER_CUT);
	order_done(next);
	return next;
}

static struct event_place
row(enum snapshot_mark mark, uint64_t lsn, uint64_t xid, int64_t offset)
{
	struct event_place e = place(0, lsn, offset);
	e.snapshot = mark;
	e.xid = xid;
	return e;
}

static enum order_step
offered(struct order *o, int partition, struct event_place e, struct order_action *a)
{
	order_offer(o, partition, &e);
	order_step(o, 0, a);
	order_done(o);
	return a->step;
}

static enum order_step
stepped(struct order *o, int64_t now_ms, struct order_action *a)
{
	order_step(o, now_ms, a);
	order_done(o);
	return a->step;
}

/* Two partitions: an attempt of which one row is there, closed by silence. */
static struct order *
closed_by_silence(struct order_action *a, uint64_t xid)
{
	struct order *o = order_of(ORDER_NONE, 2);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_FIRST, 10, xid, 0), a), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(stepped(o, 0, a), ORDER_APPLY);
	order_idle(o, 0, 1, 9000);
	order_idle(o, 1, 0, 9000);
	cr_assert_eq(stepped(o, 9000, a), ORDER_SNAPSHOT_END);
	return o;
}

Test(order_ends, a_late_row_is_known_by_its_snapshot)
{
	struct order_action a;
	for (uint64_t xid = 0; xid < 2; xid++) {
		struct order *o = closed_by_silence(&a, xid);
		o = begin_anew(o, &a);
		for (int partition = 0; partition < 2; partition++) {
			int64_t offset = order_partition(o, partition)->next;
			order_idle(o, 1 - partition, order_partition(o, 1 - partition)->next, 0);
			cr_assert_eq(offered(o, partition, place(20, 21, offset), &a), ORDER_APPLY);
			o = begin_anew(o, &a);
		}
		/* Both watermarks have gone on, and still it is no snapshot of its own. */
		order_idle(o, 0, 2, 0);
		cr_assert_eq(offered(o, 1, row(SNAPSHOT_LAST, 10, xid, 1), &a), ORDER_APPLY);
		cr_assert_not(a.snapshot);
		order_free(o);
	}
}

/* The LSN stands still while nothing is written: the reading transaction tells attempts apart. */
Test(order_ends, attempts_at_one_lsn)
{
	struct order_action a;
	struct order *o = order_of(ORDER_NONE, 2);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_FIRST, 10, 7, 0), &a), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_FIRST, 10, 8, 1), &a), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
	/* The other partition shows what belongs to the first one only now. */
	cr_assert_eq(offered(o, 1, row(SNAPSHOT_TRUE, 10, 7, 0), &a), ORDER_APPLY);
	cr_assert_not(a.snapshot); /* gone at the end, but what is between them may need it */
	cr_assert_eq(offered(o, 1, row(SNAPSHOT_LAST, 10, 8, 1), &a), ORDER_APPLY);
	cr_assert(a.snapshot);
	order_idle(o, 0, 2, 9000);
	order_idle(o, 1, 2, 9000);
	cr_assert_eq(stepped(o, 9000, &a), ORDER_SNAPSHOT_END);
	o = begin_anew(o, &a);
	order_idle(o, 0, 2, 0);
	cr_assert_eq(offered(o, 1, row(SNAPSHOT_TRUE, 10, 7, 2), &a), ORDER_DROP);
	cr_assert_eq(offered(o, 1, row(SNAPSHOT_FIRST, 10, 9, 3), &a), ORDER_SNAPSHOT_BEGIN);
	order_free(o);
}

/* A connector that dies after a blocking snapshot sends again what came before it. */
Test(order_ends, before_a_snapshot_is_before_it)
{
	struct order_action a;
	struct order *o = order_of(ORDER_NONE, 1);
	cr_assert_eq(offered(o, 0, place(100, 101, 0), &a), ORDER_APPLY);
	o = begin_anew(o, &a);
	cr_assert_eq(offered(o, 0, place(100, 101, 1), &a), ORDER_APPLY); /* the next of its run */
	o = begin_anew(o, &a);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_FIRST, 200, 7, 2), &a), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_LAST, 200, 7, 3), &a), ORDER_APPLY);
	cr_assert_eq(stepped(o, 0, &a), ORDER_SNAPSHOT_END);
	o = begin_anew(o, &a);
	cr_assert_eq(offered(o, 0, place(90, 91, 4), &a), ORDER_DROP);
	cr_assert(a.repeat);
	cr_assert_eq(offered(o, 0, place(100, 101, 5), &a), ORDER_DROP);
	cr_assert_eq(offered(o, 0, place(100, 101, 6), &a), ORDER_DROP);
	cr_assert_eq(offered(o, 0, place(100, 101, 7), &a), ORDER_APPLY); /* and goes on in it */
	order_free(o);
}

/*
 * A connector that died in a snapshot it was asked for in mid-stream takes no other: silence ends nothing,
 * and what it streams then ends the attempt; repeats are known as before it.
 */
Test(order_ends, cut_short_in_mid_stream)
{
	struct order_action a;
	struct order *o = order_of(ORDER_NONE, 1);
	cr_assert_eq(offered(o, 0, place(100, 101, 0), &a), ORDER_APPLY);
	o = begin_anew(o, &a);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_FIRST, 200, 7, 1), &a), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
	cr_assert_eq(offered(o, 0, row(SNAPSHOT_TRUE, 200, 7, 2), &a), ORDER_APPLY);
	for (int64_t now_ms = 0; now_ms < 100000; now_ms += 1000) {
		order_idle(o, 0, 3, now_ms);
		cr_assert_eq(stepped(o, now_ms, &a), ORDER_WAIT);
	}
	cr_assert_eq(offered(o, 0, place(90, 91, 3), &a), ORDER_SNAPSHOT_ABANDON);
	cr_assert_eq(stepped(o, 0, &a), ORDER_DROP);
	cr_assert(a.repeat);
	/* Older than the snapshot, so not whole with what that has read. */
	cr_assert_eq(offered(o, 0, place(150, 151, 4), &a), ORDER_APPLY);
	cr_assert_not(order_whole(o));
	cr_assert_eq(stepped(o, 0, &a), ORDER_WAIT);
	cr_assert_eq(offered(o, 0, place(210, 211, 5), &a), ORDER_END);
	cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
	cr_assert_eq(stepped(o, 0, &a), ORDER_END);
	cr_assert(order_whole(o));
	order_free(o);
}

/* The end mark may be in the other partition: it must stream too, or be silent. */
Test(order_ends, cut_short_over_two_partitions)
{
	for (int silent = 0; silent < 2; silent++) {
		struct order_action a;
		struct order *o = order_of(ORDER_NONE, 2);
		order_idle(o, 1, 0, 0);
		cr_assert_eq(offered(o, 0, place(100, 101, 0), &a), ORDER_APPLY);
		o = begin_anew(o, &a);
		cr_assert_eq(offered(o, 0, row(SNAPSHOT_FIRST, 200, 7, 1), &a),
			     ORDER_SNAPSHOT_BEGIN);
		cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
		cr_assert_eq(offered(o, 1, row(SNAPSHOT_TRUE, 200, 7, 0), &a), ORDER_APPLY);
		cr_assert_eq(offered(o, 0, place(210, 211, 2), &a), ORDER_WAIT);
		if (silent == 1) {
			order_idle(o, 1, 1, 4000);
			cr_assert_eq(stepped(o, 4000, &a), ORDER_WAIT);
			order_idle(o, 1, 1, 6000);
			cr_assert_eq(stepped(o, 6000, &a), ORDER_SNAPSHOT_ABANDON);
		} else {
			cr_assert_eq(offered(o, 1, place(220, 221, 1), &a), ORDER_SNAPSHOT_ABANDON);
		}
		order_free(o);
	}
}

/* --- put off --- */

static void
put_off(struct order *o, int64_t offset, struct order_action *a)
{
	cr_assert_eq(offered(o, 0, place(0, 10 + (uint64_t)offset, offset), a), ORDER_APPLY);
	order_step(o, 0, a);
	cr_assert_eq(a->step, ORDER_END);
	cr_assert(order_put_off(o));
	order_done(o);
	cr_assert_eq(stepped(o, 0, a), ORDER_WAIT);
	cr_assert_not(order_whole(o));
}

Test(order_ends, one_tells_of_those_that_were_put_off)
{
	static uint8_t bytes[4096];
	struct partition_position at;
	struct order_action a;
	struct pack pack;
	struct unpack u;
	struct order *o = order_of(ORDER_NONE, 1);
	cr_assert_not(order_settle(o));
	put_off(o, 0, &a);
	put_off(o, 1, &a);
	cr_assert_eq(order_counters(o)->transactions, 2);
	cr_assert(order_settle(o));
	order_step(o, 0, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert_not(order_put_off(o), "it was asked for");
	pack_init(&pack, bytes, sizeof(bytes));
	order_pack_position(o, false, &pack);
	unpack_init(&u, bytes, pack_len(&pack));
	cr_assert(position_unpack_partition(&u, &at));
	cr_assert_eq(at.next, 2);
	order_done(o);
	cr_assert(order_whole(o));
	cr_assert_not(order_settle(o));
	order_free(o);
}

/* A snapshot's mark is no change of theirs, and a successor knows nothing of what was put off. */
Test(order_ends, what_was_put_off_is_told_before_a_snapshot)
{
	static uint8_t token[RING_TOKEN_MAX];
	struct order_action a;
	struct pack pack;
	for (int reload = 0; reload < 2; reload++) {
		struct order *o = order_of(ORDER_NONE, 1);
		put_off(o, 0, &a);
		if (reload) {
			pack_init(&pack, token, sizeof(token));
			order_save(o, &pack);
			order_free(o);
			o = order_new(ORDER_NONE, 100);
			cr_assert(order_load(o, token, pack_len(&pack)));
		}
		struct event_place first = row(SNAPSHOT_FIRST, 20, 7, 1);
		order_offer(o, 0, &first);
		cr_assert_eq(stepped(o, 0, &a), ORDER_END);
		cr_assert_eq(stepped(o, 0, &a), ORDER_SNAPSHOT_BEGIN);
		order_free(o);
	}
}

/* Two tables with a transaction each: the END of the first was put off, that of the second counts one event of either. */
static struct order *
one_owed_and_one_pending(struct order_action *a)
{
	struct order *o = order_new(ORDER_METADATA, 100);
	for (uint16_t table = 0; table < 2; table++)
		order_add_partition(o, &(struct partition_position){.table = table}, NULL);
	cr_assert_eq(stepped(o, 0, a), ORDER_CUT);
	for (uint64_t xid = 1; xid <= 2; xid++) {
		struct transaction_event begin = {
		    .status = TRANSACTION_BEGIN, .xid = xid, .offset = 2 * (int64_t)xid - 2};
		struct transaction_event end = {.status = TRANSACTION_END,
						.xid = xid,
						.offset = 2 * (int64_t)xid - 1,
						.has_lsn = true,
						.lsn = 20 * xid,
						.has_counts = true,
						.count = {1, xid == 2}};
		order_offer_transaction(o, &begin);
		order_offer_transaction(o, &end);
		if (xid == 2)
			break;
		struct event_place e = place(10, 15, 0);
		e.xid = 1;
		cr_assert_eq(offered(o, 0, e, a), ORDER_APPLY);
		order_step(o, 0, a);
		cr_assert_eq(a->step, ORDER_END);
		cr_assert(order_put_off(o));
	}
	return o;
}

/* The connector has lost the rest of a transaction and reads all anew: no END may stand within that. */
Test(order_ends, none_is_told_within_a_snapshot)
{
	struct order_action a;
	struct order *o = one_owed_and_one_pending(&a);
	struct event_place e = place(30, 35, 1);
	e.xid = 2;
	cr_assert_eq(offered(o, 0, e, &a), ORDER_APPLY);
	struct event_place first = row(SNAPSHOT_FIRST, 50, 9, 0),
			   last = row(SNAPSHOT_LAST, 50, 9, 1);
	cr_assert_eq(offered(o, 1, first, &a), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(stepped(o, 0, &a), ORDER_APPLY);
	cr_assert_not(order_settle(o));
	cr_assert_eq(offered(o, 1, last, &a), ORDER_APPLY);
	struct event_place after[] = {place(60, 65, 2), place(61, 70, 2)};
	for (int i = 0; i < 2; i++)
		order_offer(o, i, &after[i]);
	cr_assert_eq(stepped(o, 0, &a), ORDER_SNAPSHOT_END);
	cr_assert_eq(stepped(o, 0, &a), ORDER_END);
	cr_assert(order_whole(o));
	order_free(o);
}

/* Of one whose predecessor has died, too: nothing of the second has come, and may never. */
Test(order_ends, a_successor_tells_what_is_owed)
{
	static uint8_t token[RING_TOKEN_MAX];
	struct order_action a;
	struct pack pack;
	struct order *o = one_owed_and_one_pending(&a), *next = order_new(ORDER_METADATA, 100);
	pack_init(&pack, token, sizeof(token));
	order_save(o, &pack);
	cr_assert(order_load(next, token, pack_len(&pack)));
	cr_assert(order_settle(next));
	cr_assert_eq(stepped(next, 0, &a), ORDER_END);
	cr_assert(order_whole(next));
	order_free(next);
	order_free(o);
}
