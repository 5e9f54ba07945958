#include <criterion/criterion.h>

#include "reduce/lookout.h"
#include "tests/unit/reduce_sim.h"

static void
put_key(struct sim *s, int64_t key)
{
	struct value values[MODEL_COLUMNS] = {
	    [MODEL_ID] = {.kind = VALUE_INT, .i = key},
	    [MODEL_STATUS] = {.kind = VALUE_NULL},
	    [MODEL_FLAG] = {.kind = VALUE_BOOL, .i = 1},
	    [MODEL_PRICE] = {.kind = VALUE_DECIMAL, .len = 4, .s = "1.50"},
	};
	struct change change = {.table = 0,
				.kind = CHANGE_UPSERT,
				.offset = key,
				.values = values,
				.count = MODEL_COLUMNS};

	cr_assert_eq(batch_put_change(&s->source[0].ring, &change), 0);
	ring_commit(&s->source[0].ring, NULL, 0);
}

/* A producer that puts a record between the look ahead and the taking: what is known of the next ones is theirs. */
Test(lookout, what_it_says_is_of_the_record_that_is_taken)
{
	static struct sim s;
	struct lookout lookout;
	struct ring_record record;
	struct change change;
	int64_t put = 0;

	reduce_sim_init(&s, 1);
	for (int64_t key = 0; key < 500; key++) {
		if (key % 40 == 0)
			lookout_begin(&lookout, s.core, 0, &s.in[0]);
		/* From none ahead to more than it looks. */
		for (int64_t ahead = key % 13; put < key + ahead; put++)
			put_key(&s, put);
		const struct core_hint *hint = lookout_advance(&lookout);
		cr_assert_eq(hint != NULL, put > key);
		if (put == key)
			put_key(&s, put++);
		cr_assert_eq(ring_next(&s.in[0], &record), 1);
		cr_assert(batch_get_change(&record, &change));
		cr_assert_eq(change.offset, key);
		if (hint != NULL)
			cr_assert_eq(hint->change.offset, key);
		cr_assert_neq(core_take(s.core, 0, &record, hint, s.now_ms), CORE_FAILED);
		if (key % 40 == 39)
			ring_commit(&s.in[0], NULL, 0);
	}
	cr_assert_eq(core_counters(s.core).rows, 500);
	reduce_sim_fini(&s);
}
