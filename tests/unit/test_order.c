#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/ring.h"
#include "common/stage.h"
#include "tests/unit/order_case.h"
#include "tests/unit/order_world.h"

static void
all_is_applied_once(enum snapshots snapshots, uint64_t seeds)
{
	static struct world w;
	struct sim s;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		world_make(&w, &s, seed, snapshots);
		s.reload = seed % 3 == 0;
		s.puts_off = seed % 2;
		struct order_action a = sim_run(&s, 10000);
		world_check(&w, &s, &a);
		cr_assert(w.ended, "seed %" PRIu64, seed);
		sim_fini(&s);
	}
}

Test(order, killed_connectors_lose_and_double_nothing)
{
	all_is_applied_once(SNAPSHOTS_NONE, 400);
}

Test(order, second_snapshot_replaces)
{
	all_is_applied_once(SNAPSHOTS_AGAIN, 300);
}

Test(order, blocking_snapshot_amid_repeats)
{
	all_is_applied_once(SNAPSHOTS_BLOCKING, 300);
}

/* The state at D is the same when it is reached again from the start, and so is what follows. */
Test(order, replays_come_to_the_same_state)
{
	static struct world first, second;
	struct sim s;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		world_make(&first, &s, seed, seed % 3);
		first.stop_at = 1 + seed * 31 % 100;
		s.random = seed;
		sim_run(&s, 10000);
		sim_fini(&s);
		if (first.ends < first.stop_at)
			continue;
		world_make(&second, &s, seed, seed % 3);
		s.random = seed + 1000;
		s.durable = first.at;
		s.durable_tx = &first.at_tx;
		s.reload = seed % 2;
		s.puts_off = seed % 4 < 2;
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
			world_make(&w, &s, seed, seed % 3);
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
	cr_assert_eq(order_case_offer(o, place(10, 11, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, place(10, 12, 1)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, place(20, 21, 2)), ORDER_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	order_idle(o, 0, 3, 99);
	cr_assert_eq(order_case_step(o, 99), ORDER_WAIT);
	order_idle(o, 0, 3, 100);
	cr_assert_eq(order_case_step(o, 100), ORDER_END);
	cr_assert(order_whole(o));
	order_free(o);
}

Test(order, none_closes_each_event)
{
	struct order *o = order_of(ORDER_NONE, 1);
	struct event_place e = place(0, 50, 0);
	e.has_sequences = false; /* 1.4: LSNs of overlapping transactions do not rise */
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	e.lsn = 40;
	e.offset = 1;
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	order_free(o);
}

Test(order, offsets_must_grow)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(order_case_offer(o, place(10, 11, 5)), ORDER_APPLY);
	struct event_place e = place(10, 12, 5);
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_INTERNAL, "offsets must only grow");
}

Test(order, another_source_is_refused)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(order_case_offer(o, place(1000, 1001, 0)), ORDER_APPLY);
	struct event_place e = place(500, 501, 1);
	cr_assert_eq(order_case_offer(o, e), ORDER_DROP); /* as old as it says: a repeat */
	e.offset = 2;
	e.source_ms = 5000;
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_CONFIG, "another source");
}

/* An event of the first transaction after a snapshot, before which there was no commit. */
static struct event_place
of_the_first(uint64_t sequence, uint64_t lsn, int64_t offset)
{
	struct event_place e = place(sequence, lsn, offset);
	e.xid = 7;
	e.source_ms = 150;
	return e;
}

/* Killed amid it, the connector takes where it was for a commit. */
Test(order, the_first_transaction_sent_again)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	cr_assert_eq(order_case_offer(o, of_the_first(0, 110, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, of_the_first(0, 120, 1)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, of_the_first(109, 110, 2)), ORDER_DROP);
	cr_assert_eq(order_case_offer(o, of_the_first(109, 120, 3)), ORDER_DROP);
	/* Nor does the transaction end there. */
	cr_assert_eq(order_case_offer(o, of_the_first(109, 130, 4)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, of_the_first(115, 120, 5)), ORDER_DROP);
	cr_assert_eq(order_case_offer(o, place(140, 141, 6)), ORDER_END);
	cr_assert_eq(order_counters(o)->repeats, 3);
	order_free(o);
}

/* Nor is it new after a snapshot that came behind it. */
Test(order, the_first_transaction_again_behind_a_snapshot)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place row = place(0, 200, 2);
	row.snapshot = SNAPSHOT_LAST;
	cr_assert_eq(order_case_offer(o, of_the_first(0, 110, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, of_the_first(0, 120, 1)), ORDER_APPLY);
	order_offer(o, 0, &row);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_SNAPSHOT_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	cr_assert_eq(order_case_offer(o, of_the_first(109, 110, 3)), ORDER_DROP);
	order_free(o);
}

/* Nor where the position is of an earlier version, which did not note the transaction: a replay finds it. */
Test(order, the_first_transaction_again_after_a_replay)
{
	struct order *o = order_new(ORDER_SEQUENCE, 100);
	struct partition_position from = {0}, durable = {.next = 2, .mark_ms = 150};
	durable.mark = durable.seen = (struct watermark){.set = true, .lsn = 120, .ordinal = 1};
	order_add_partition(o, &from, &durable);
	cr_assert_eq(order_case_offer(o, of_the_first(0, 110, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, of_the_first(0, 120, 1)), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_CUT);
	cr_assert_eq(order_case_offer(o, of_the_first(109, 110, 2)), ORDER_DROP);
	order_free(o);
}

/* A restored database may come to the same transaction number, but at another time. */
Test(order, another_source_with_the_same_transaction)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = of_the_first(50, 120, 1);
	cr_assert_eq(order_case_offer(o, of_the_first(100, 110, 0)), ORDER_APPLY);
	e.source_ms = 5000;
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_CONFIG, "another source");
}

Test(order, tombstones_open_nothing)
{
	struct order *o = order_of(ORDER_NONE, 1);
	struct event_place e = {.kind = EVENT_TOMBSTONE};
	cr_assert_eq(order_case_offer(o, e), ORDER_DROP);
	cr_assert(order_whole(o));
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	order_idle(o, 0, 1, 100);
	cr_assert_eq(order_case_step(o, 100), ORDER_END); /* tells the position, once */
	order_idle(o, 0, 1, 300);
	cr_assert_eq(order_case_step(o, 300), ORDER_WAIT);
	cr_assert_eq(order_counters(o)->tombstones, 1);
	order_free(o);
}

Test(order, incremental_rows_need_a_key)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = {
	    .kind = EVENT_CHANGE, .snapshot = SNAPSHOT_INCREMENTAL, .has_sequences = true};
	cr_assert_eq(order_case_offer(o, place(10, 11, 0)), ORDER_APPLY);
	e.offset = 1;
	cr_assert_eq(order_case_offer(o, e), ORDER_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	order_set_keyless(o, 0);
	e.offset = 2;
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_DATA, "incremental snapshot");
}

static struct event_place
truncate_at(uint64_t lsn, int64_t offset)
{
	struct event_place e = place(lsn, lsn + 1, offset);
	e.truncate = true;
	return e;
}

Test(order, a_truncate_needs_one_partition)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct partition_position first = {0}, second = {.partition = 1},
				  durable = {.next = 2, .hash = 0};
	struct event_place e = truncate_at(10, 0);
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	cr_assert_eq(order_case_offer(o, place(20, 21, 1)), ORDER_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	e.offset = 2; /* again, by a connector that has restarted */
	cr_assert_eq(order_case_offer(o, e), ORDER_DROP);
	order_free(o);
	o = order_of(ORDER_NONE, 2);
	order_offer(o, 0, &(struct event_place){.kind = EVENT_CHANGE, .truncate = true});
	check_refuses(o, EXIT_DATA, "2 partitions");
	o = order_new(ORDER_NONE, 100); /* its topic had one when this was followed */
	order_add_partition(o, &first, &durable);
	order_add_partition(o, &second, NULL);
	cr_assert_eq(order_case_offer(o, truncate_at(10, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, place(20, 21, 1)), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_CUT);
	e = truncate_at(30, 2);
	order_offer(o, 0, &e);
	check_refuses(o, EXIT_DATA, "offset 2 is a TRUNCATE");
}

Test(order, snapshot_without_end_mark_closes_by_silence)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = place(0, 10, 0);
	e.snapshot = SNAPSHOT_TRUE;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	order_idle(o, 0, 1, 4999);
	cr_assert_eq(order_case_step(o, 4999), ORDER_WAIT);
	order_idle(o, 0, 1, 5000);
	cr_assert_eq(order_case_step(o, 5000), ORDER_SNAPSHOT_END);
	cr_assert_eq(order_case_step(o, 5000), ORDER_END);
	const struct watermark *mark = &order_partition(o, 0)->mark;
	cr_assert(mark->set && !mark->has_sequence && mark->lsn == 10 && mark->ordinal == 0);
	/* A row that was there later still belongs to it; one with a first mark does not. */
	e = place(0, 10, 1);
	e.snapshot = SNAPSHOT_TRUE;
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 5000), ORDER_END);
	e.offset = 2;
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_BEGIN);
	order_free(o);
}

/* Of two tables the second one's last row may be there before the first one's rows are. */
Test(order, snapshot_waits_for_the_end_of_each_table)
{
	struct order *o = order_new(ORDER_METADATA, 100);
	struct event_place e = place(0, 10, 0);
	struct order_action a;
	for (uint16_t table = 0; table < 2; table++)
		order_add_partition(o, &(struct partition_position){.table = table}, NULL);
	cr_assert_eq(order_case_step(o, 0), ORDER_CUT);
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	e.offset = 1;
	e.snapshot = SNAPSHOT_TRUE;
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	e.offset = 0;
	e.snapshot = SNAPSHOT_LAST;
	order_offer(o, 1, &e);
	cr_assert_eq(order_case_step(o, 0), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	order_idle(o, 0, 2, 4000);
	order_idle(o, 1, 1, 4000);
	order_step(o, 4000, &a);
	cr_assert_eq(a.step, ORDER_WAIT);
	e.offset = 2;
	e.snapshot = SNAPSHOT_LAST_IN_COLLECTION;
	order_offer(o, 0, &e);
	cr_assert_eq(order_case_step(o, 4000), ORDER_APPLY);
	order_idle(o, 0, 3, 4100);
	order_idle(o, 1, 1, 4100);
	cr_assert_eq(order_case_step(o, 4100), ORDER_SNAPSHOT_END);
	order_free(o);
}

Test(order, snapshot_begins_anew)
{
	struct order *o = order_of(ORDER_SEQUENCE, 1);
	struct event_place e = place(0, 10, 0);
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	e.offset = 1;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	e.offset = 2;
	e.snapshot = SNAPSHOT_TRUE;
	e.lsn = 20;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	e.offset = 3;
	e.snapshot = SNAPSHOT_LAST_IN_COLLECTION;
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_SNAPSHOT_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	/* A transaction that was open meanwhile has older LSNs, and is no repeat. */
	cr_assert_eq(order_case_offer(o, place(0, 15, 4)), ORDER_APPLY);
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
	cr_assert_eq(order_case_offer(o, place(10, 11, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, place(20, 21, 1)), ORDER_APPLY);
	cr_assert_not(order_wants(o, 0));
	cr_assert_eq(order_case_step(o, 0), ORDER_CUT);
	cr_assert(order_whole(o));
	order_free(o);
	o = order_replaying(2, 5); /* the record at D - 1 is compacted away */
	cr_assert_eq(order_case_offer(o, place(10, 11, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_offer(o, place(20, 21, 7)), ORDER_CUT);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
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

/* An event that those ENDs count. */
static struct event_place
member(uint64_t lsn, int64_t offset)
{
	struct event_place e = place(5, lsn, offset);
	e.order = offset + 1;
	e.xid = 7;
	return e;
}

static enum order_step
offer_row(struct order *o, enum snapshot_mark mark, uint64_t lsn, int64_t offset)
{
	struct event_place e = place(0, lsn, offset);
	e.snapshot = mark;
	return order_case_offer(o, e);
}

Test(order, counts_that_never_come_are_a_gap)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	struct order_action a;
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 3);
	order_idle(o, 0, 0, 0);
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	/* A connector that is away is as silent as one that has lost them. */
	cr_assert_not(order_doubts(o, 9999));
	cr_assert(order_doubts(o, 10000));
	order_more_transactions(o, 5, 10000);
	order_more_transactions(o, 5, 900000);
	order_idle(o, 0, 0, 900000);
	cr_assert_eq(order_case_step(o, 900000), ORDER_WAIT);
	/* It goes on with the next transactions, for long: now silence means something. */
	order_more_transactions(o, 7, 1000000);
	order_more_transactions(o, 8, 1029999);
	cr_assert(order_doubts(o, 1029999));
	order_more_transactions(o, 8, 1030000);
	cr_assert(order_doubts(o, 1030000));
	order_more_transactions(o, 9, 1030001);
	cr_assert_not(order_doubts(o, 1030001));
	order_idle(o, 0, 0, 1040000);
	cr_assert_eq(order_case_step(o, 1040000), ORDER_WAIT);
	order_idle(o, 0, 0, 1040001);
	order_step(o, 1040001, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert(a.gap);
	cr_assert_eq(order_gap(o, 0), 3);
	cr_assert_eq(order_gap_end(o)->lsn, 20);
	order_done(o);
	cr_assert_eq(order_counters(o)->gaps, 1);
	/* So is what it had written of the next by then. */
	offer_tx(o, TRANSACTION_BEGIN, 22, 0);
	offer_tx(o, TRANSACTION_END, 24, 1);
	order_step(o, 1040002, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert(a.gap);
	order_done(o);
	/* They come after all: late, but not lost. And what comes next is to be waited for again. */
	struct event_place e = place(5, 15, 0);
	e.order = 1;
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 1040002), ORDER_END);
	cr_assert_eq(order_counters(o)->late, 1);
	offer_tx(o, TRANSACTION_BEGIN, 26, 0);
	offer_tx(o, TRANSACTION_END, 28, 1);
	order_idle(o, 0, 1, 1070000);
	cr_assert_eq(order_case_step(o, 1070000), ORDER_WAIT);
	order_free(o);
}

/*
 * Killed with ENDs written ahead of their rows: what stood in the transaction topic and in other partitions
 * then says nothing of whether the rest will come.
 */
Test(order, what_a_dead_connector_left_is_no_going_on)
{
	struct order *o = order_of(ORDER_METADATA, 2);
	struct event_place beyond = place(20, 25, 0);
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 1);
	order_offer(o, 1, &beyond);
	order_more_transactions(o, 5, 0); /* as it goes on until it dies */
	order_more_transactions(o, 9, 1000);
	for (int64_t ms = 0; ms <= 90000; ms += 5000) {
		order_idle(o, 0, 0, ms);
		cr_assert_eq(order_case_step(o, ms), ORDER_WAIT);
		order_more_transactions(o, 9, ms);
	}
	/* Back, it writes ENDs ahead of the rows again. */
	order_more_transactions(o, 12, 100000);
	order_idle(o, 0, 0, 129000);
	cr_assert_eq(order_case_step(o, 129000), ORDER_WAIT);
	cr_assert_eq(order_case_offer(o, member(15, 0)), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 129000), ORDER_END);
	cr_assert_eq(order_counters(o)->gaps, 0);
	order_free(o);
}

/* A large transaction read slowly: a moment at the log's end, long after END, is not its end. */
Test(order, a_gap_is_silence_not_slowness)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	struct order_action a;
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 3);
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	order_more_transactions(o, 3, 10000);
	order_more_transactions(o, 4, 12000);
	for (int i = 0; i < 2; i++) {
		struct event_place e = member(15 + (uint64_t)i, i);
		int64_t now_ms = (i + 1) * 20000;
		order_idle(o, 0, i, now_ms);
		cr_assert_eq(order_case_step(o, now_ms), ORDER_WAIT);
		order_offer(o, 0, &e);
		cr_assert_eq(order_case_step(o, now_ms), ORDER_APPLY);
	}
	order_more_transactions(o, 5, 50000);
	order_more_transactions(o, 6, 52000);
	order_more_transactions(o, 7, 82000);
	order_idle(o, 0, 2, 91999);
	cr_assert_eq(order_case_step(o, 91999), ORDER_WAIT);
	order_idle(o, 0, 2, 92000);
	order_step(o, 92000, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert(a.gap);
	cr_assert_eq(order_gap(o, 0), 1);
	order_done(o);
	order_free(o);
}

/* Killed before it noted an offset, a connector takes a snapshot instead of sending the rest. */
Test(order, a_snapshot_holds_what_an_end_lacks)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	struct order_action a;
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 3);
	cr_assert_eq(order_case_offer(o, member(15, 0)), ORDER_APPLY);
	order_idle(o, 0, 1, 0);
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	cr_assert_eq(offer_row(o, SNAPSHOT_FIRST, 30, 1), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	cr_assert_eq(offer_row(o, SNAPSHOT_LAST, 30, 2), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 0), ORDER_SNAPSHOT_END);
	order_step(o, 0, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert_not(a.gap);
	order_free(o);
}

/* Nor may it keep the snapshot of one table open where another table goes on behind it. */
Test(order, an_open_snapshot_holds_what_an_end_lacks)
{
	for (uint64_t lsn = 19; lsn <= 30; lsn += 11) {
		struct order *o = order_new(ORDER_METADATA, 100);
		struct partition_position at = {0};
		struct event_place e = place(20, 25, 0);
		order_add_partition(o, &at, NULL);
		at.table = 1;
		order_add_partition(o, &at, NULL);
		cr_assert_eq(order_case_step(o, 0), ORDER_CUT);
		offer_tx(o, TRANSACTION_BEGIN, 10, 0);
		offer_tx(o, TRANSACTION_END, 20, 3);
		order_offer(o, 1, &e);
		order_idle(o, 0, 0, 0);
		cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
		cr_assert_eq(offer_row(o, SNAPSHOT_FIRST, lsn, 0), ORDER_SNAPSHOT_BEGIN);
		cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
		order_idle(o, 0, 1, 0);
		(void)order_case_step(o, 0);
		cr_assert_eq(order_wants_transaction(o), lsn > 20);
		order_free(o);
	}
}

/* How often the event that an END lacks is late beside a snapshot that holds it: torn, the END is told before. */
static uint64_t
late_beside_a_snapshot(bool torn)
{
	struct order *o = order_of(ORDER_METADATA, 2);
	struct event_place e = member(15, 0);
	for (int i = 0; i <= torn; i++)
		offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 1);
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	for (int i = 0; i < 2; i++)
		order_idle(o, i, 0, 6000);
	cr_assert_eq(order_case_step(o, 6000), torn ? ORDER_END : ORDER_WAIT);
	cr_assert_eq(offer_row(o, SNAPSHOT_FIRST, 30, 0), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 6000), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 6000), ORDER_WAIT);
	cr_assert(order_wants_transaction(o));
	order_offer(o, 1, &e);
	cr_assert_eq(order_case_step(o, 6000), ORDER_APPLY);
	uint64_t late = order_counters(o)->late;
	order_free(o);
	return late;
}

/* Nobody has seen its transaction without it, but where that was shown before the snapshot. */
Test(order, what_an_open_snapshot_holds_is_not_late)
{
	cr_assert_eq(late_beside_a_snapshot(false), 0);
	cr_assert_eq(late_beside_a_snapshot(true), 1);
}

/* No need of silence where the partition has gone on. */
Test(order, a_gap_before_later_events)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	struct event_place e = place(5, 15, 0);
	struct order_action a;
	e.order = 1;
	e.xid = 7;
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 3);
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	e = place(20, 25, 1);
	order_offer(o, 0, &e);
	order_step(o, 0, &a);
	cr_assert_eq(a.step, ORDER_END);
	cr_assert(a.gap);
	cr_assert_eq(order_gap(o, 0), 2);
	order_done(o);
	cr_assert_eq(order_counters(o)->gaps, 1);
	order_free(o);
}

/* Stopped and continued: what was last known of the log's end is as old as the stop. */
Test(order, silence_begins_anew_after_a_stop)
{
	struct order *o = order_of(ORDER_METADATA, 1);
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_BEGIN, 10, 0);
	offer_tx(o, TRANSACTION_END, 20, 0);
	order_idle(o, 0, 0, 0);
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	order_woke(o, 60000);
	order_idle(o, 0, 0, 60000);
	cr_assert_eq(order_case_step(o, 60000), ORDER_WAIT);
	order_idle(o, 0, 0, 65000);
	cr_assert_eq(order_case_step(o, 65000), ORDER_END);
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
	cr_assert_eq(order_case_step(o, 0), ORDER_WAIT);
	cr_assert_eq(order_case_offer(o, e), ORDER_APPLY);
	order_idle(o, 0, 1, 5000);
	cr_assert_eq(order_case_step(o, 5000), ORDER_END);
	cr_assert_eq(order_counters(o)->torn, 1);
	order_free(o);
}

Test(order, garbage_is_no_token)
{
	static uint8_t token[RING_TOKEN_MAX], copy[RING_TOKEN_MAX];
	static struct world w;
	struct sim s;
	struct pack p;
	world_make(&w, &s, 3, SNAPSHOTS_NONE);
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
	cr_assert_eq(order_case_offer(o, place(1000, 1001, 0)), ORDER_APPLY);
	struct event_place e = place(0, 100, 1);
	e.snapshot = SNAPSHOT_FIRST;
	cr_assert_eq(order_case_offer(o, e), ORDER_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_SNAPSHOT_BEGIN);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	e = place(200, 201, 2);
	e.source_ms = 5000;
	cr_assert_eq(order_case_offer(o, e), ORDER_SNAPSHOT_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	cr_assert_eq(order_case_step(o, 0), ORDER_APPLY);
	order_free(o);
}
