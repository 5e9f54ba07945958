#include "tests/unit/order_case.h"

#include <criterion/criterion.h>

struct event_place
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

struct order *
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

enum order_step
order_case_step(struct order *o, int64_t now_ms)
{
	struct order_action a;

	order_step(o, now_ms, &a);
	order_done(o);
	return a.step;
}

enum order_step
order_case_offer(struct order *o, struct event_place e)
{
	order_offer(o, 0, &e);
	return order_case_step(o, 0);
}
