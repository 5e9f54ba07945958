/*
 * Messages without a place: the END of the transaction that they belonged to counts them, and must
 * not wait for them; and they must not close one early that is only late.
 */
#include <criterion/criterion.h>

#include "common/pack.h"
#include "common/ring.h"
#include "tests/unit/order_case.h"

static enum order_step
pass(struct order *o, int64_t offset)
{
	return order_case_offer(
	    o, (struct event_place){.kind = EVENT_UNREADABLE, .offset = offset, .hash = 5});
}

/* The transaction topic's messages of one transaction, whose END counts `count` events of table 0. */
static void
end(struct order *o, uint64_t lsn, int64_t offset, uint64_t count)
{
	struct transaction_event e = {.status = TRANSACTION_BEGIN,
				      .xid = lsn,
				      .lsn = lsn,
				      .has_lsn = true,
				      .offset = offset,
				      .hash = 5};

	order_offer_transaction(o, &e);
	e.status = TRANSACTION_END;
	e.offset++;
	e.has_counts = true;
	e.count[0] = count;
	order_offer_transaction(o, &e);
}

static struct event_place
member(uint64_t sequence, uint64_t xid, int64_t offset, int64_t order)
{
	struct event_place e = place(sequence, sequence + 1, offset);

	e.xid = xid;
	e.order = order;
	return e;
}

static enum order_step
silent(struct order *o, int64_t end_offset, int64_t now_ms)
{
	order_idle(o, 0, end_offset, now_ms);
	return order_case_step(o, now_ms);
}

Test(order_unread, alone_it_is_closed_at_once)
{
	static const enum order_mode modes[] = {ORDER_NONE, ORDER_SEQUENCE, ORDER_METADATA};

	for (unsigned i = 0; i < 3; i++) {
		struct order *o = order_of(modes[i], 1);
		cr_assert_eq(pass(o, 0), ORDER_DROP);
		cr_assert_not(order_whole(o));
		cr_assert_eq(order_case_step(o, 0), ORDER_END, "mode %u", i);
		cr_assert(order_whole(o));
		cr_assert_eq(order_partition(o, 0)->next, 1);
		order_free(o);
	}
}

/* With nothing else known of it, silence for five seconds ends what is short of just as many. */
Test(order_unread, an_end_that_counts_it_does_not_hang)
{
	struct order *o = order_of(ORDER_METADATA, 1);

	end(o, 100, 0, 2);
	cr_assert_eq(order_case_offer(o, member(50, 100, 0, 1)), ORDER_APPLY);
	cr_assert_eq(pass(o, 1), ORDER_DROP);
	cr_assert_eq(silent(o, 2, 100), ORDER_WAIT);
	cr_assert_eq(silent(o, 2, 5000), ORDER_WAIT);
	cr_assert_eq(silent(o, 2, 5100), ORDER_END);
	cr_assert_eq(order_counters(o)->gaps, 0);
	order_free(o);
}

Test(order_unread, one_that_lacks_more_waits_as_ever)
{
	struct order *o = order_of(ORDER_METADATA, 1);

	end(o, 100, 0, 3);
	cr_assert_eq(order_case_offer(o, member(50, 100, 0, 1)), ORDER_APPLY);
	cr_assert_eq(pass(o, 1), ORDER_DROP);
	cr_assert_eq(silent(o, 2, 100), ORDER_WAIT);
	cr_assert_eq(silent(o, 2, 60000), ORDER_WAIT);
	order_free(o);
}

/* Garbage that no END counts: the transaction behind it is whole when its counts say so, no sooner. */
Test(order_unread, it_closes_nothing_early)
{
	struct order *o = order_of(ORDER_METADATA, 1);

	cr_assert_eq(pass(o, 0), ORDER_DROP);
	cr_assert_eq(order_case_step(o, 0), ORDER_END);
	end(o, 100, 0, 2);
	cr_assert_eq(order_case_offer(o, member(50, 100, 1, 1)), ORDER_APPLY);
	cr_assert_eq(silent(o, 2, 100), ORDER_WAIT);
	struct event_place last = member(50, 100, 2, 2);
	order_offer(o, 0, &last);
	cr_assert_eq(order_case_step(o, 200), ORDER_APPLY);
	cr_assert_eq(order_case_step(o, 200), ORDER_END);
	cr_assert_eq(order_counters(o)->late, 0);
	/* And is forgotten with it: the next one waits for all that it counts. */
	end(o, 200, 2, 2);
	struct event_place next = member(150, 200, 3, 1);
	order_offer(o, 0, &next);
	cr_assert_eq(order_case_step(o, 300), ORDER_APPLY);
	cr_assert_eq(silent(o, 4, 400), ORDER_WAIT);
	cr_assert_eq(silent(o, 4, 20000), ORDER_WAIT);
	order_free(o);
}

Test(order_unread, a_successor_knows_of_it)
{
	static uint8_t token[RING_TOKEN_MAX];
	struct order *o = order_of(ORDER_METADATA, 1), *next = order_new(ORDER_METADATA, 100);
	struct pack pack;

	end(o, 100, 0, 2);
	cr_assert_eq(order_case_offer(o, member(50, 100, 0, 1)), ORDER_APPLY);
	cr_assert_eq(pass(o, 1), ORDER_DROP);
	pack_init(&pack, token, sizeof(token));
	order_save(o, &pack);
	order_free(o);
	cr_assert(order_load(next, token, pack_len(&pack)));
	end(next, 100, 0, 2);
	cr_assert_eq(silent(next, 2, 100), ORDER_WAIT);
	cr_assert_eq(silent(next, 2, 5200), ORDER_END);
	order_free(next);
}
