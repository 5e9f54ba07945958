/* The histogram of latencies, and the list of timestamps that it is filled from. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/latency.h"
#include "common/pack.h"
#include "common/stamps.h"

TestSuite(latency, .timeout = 30);
TestSuite(stamps, .timeout = 30);

static struct latency histogram;
static struct latency_copy copy, earlier;

/* Every bucket begins where the one before ended, and none is wider than 1/32 of where it begins. */
Test(latency, buckets_are_gapless_and_narrow)
{
	uint64_t begin = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t end = latency_bucket_end(i);
		cr_assert_eq(latency_bucket(begin), i, "begin of %u", i);
		cr_assert_eq(latency_bucket(end), i, "end of %u", i);
		cr_assert_leq((end - begin) * 32, begin, "width of %u", i);
		begin = end + 1;
	}
	cr_assert_eq(begin, UINT64_C(1) << LATENCY_BITS);
	cr_assert_eq(latency_bucket(begin), LATENCY_BUCKETS - 1);
	cr_assert_eq(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Against the sorted values themselves: the bucket of the value of that rank. */
Test(latency, percentiles_are_exact_to_the_bucket)
{
	static const unsigned permilles[] = {0, 1, 500, 900, 990, 999, 1000};
	static uint64_t values[5000];
	unsigned seed = 7;

	for (unsigned n = 1; n <= 5000; n = n < 40 ? n + 1 : n * 5) {
		histogram = (struct latency){0};
		for (unsigned i = 0; i < n; i++) {
			values[i] = (uint64_t)rand_r(&seed) >> rand_r(&seed) % 31;
			latency_add(&histogram, (int64_t)values[i], 1);
		}
		qsort(values, n, sizeof(values[0]), by_value);
		latency_read(&histogram, &copy);
		cr_assert_eq(copy.count, n);
		cr_assert_eq(copy.max_us, values[n - 1]);
		for (size_t p = 0; p < sizeof(permilles) / sizeof(permilles[0]); p++) {
			unsigned rank = (n * permilles[p] + 999) / 1000;
			uint64_t value = values[rank > 0 ? rank - 1 : 0];
			uint64_t end = latency_bucket_end(latency_bucket(value));
			cr_assert_eq(latency_percentile_us(&copy, permilles[p]),
				     end < copy.max_us ? end : copy.max_us, "%u of %u",
				     permilles[p], n);
		}
	}
}

Test(latency, what_cannot_be_is_kept_in_bounds)
{
	latency_read(&histogram, &copy);
	cr_assert_eq(latency_percentile_us(&copy, 500), 0);
	latency_add(&histogram, -5000, 3); /* the broker's clock is ahead */
	latency_read(&histogram, &copy);
	cr_assert_eq(copy.bucket[0], 3);
	cr_assert_eq(copy.max_us, 0);
	latency_add(&histogram, INT64_MAX, 5);
	latency_read(&histogram, &copy);
	cr_assert_eq(copy.bucket[LATENCY_BUCKETS - 1], 5);
	cr_assert_eq(copy.count, 8);
	cr_assert_eq(latency_percentile_us(&copy, 990), INT64_MAX);
	latency_subtract(&copy, &copy);
	cr_assert_eq(copy.count, 0);
	cr_assert_eq(copy.max_us, 0);
}

Test(latency, two_copies_subtracted_are_the_time_between)
{
	latency_add(&histogram, 100, 10);
	latency_add(&histogram, 90000, 1);
	latency_read(&histogram, &earlier);
	latency_add(&histogram, 3000, 4);
	latency_add(&histogram, 100, 1);
	latency_read(&histogram, &copy);
	latency_subtract(&copy, &earlier);
	cr_assert_eq(copy.count, 5);
	cr_assert_eq(copy.bucket[latency_bucket(100)], 1);
	cr_assert_eq(copy.max_us, latency_bucket_end(latency_bucket(3000)));
	cr_assert_eq(latency_percentile_us(&copy, 200), latency_bucket_end(latency_bucket(100)));
	cr_assert_eq(latency_percentile_us(&copy, 201), copy.max_us);
	latency_add(&histogram, 123456, 1);
	latency_read(&histogram, &copy);
	latency_subtract(&copy, &earlier);
	cr_assert_eq(copy.max_us, 123456);
}

/* --- stamps --- */

static void
are_in_order(const struct stamps *s)
{
	cr_assert_leq(s->count, STAMPS_MAX);
	for (unsigned i = 0; i < s->count; i++) {
		cr_assert_leq(s->at[i].oldest_ms, s->at[i].newest_ms);
		cr_assert(i == 0 || s->at[i - 1].newest_ms < s->at[i].oldest_ms);
	}
}

Test(stamps, events_of_one_millisecond_are_one)
{
	struct stamps s = {.count = 0};

	for (int i = 0; i < 300; i++)
		stamps_add(&s, 1000 + i / 100);
	stamps_add(&s, 1001);
	stamps_add(&s, 999);
	cr_assert_eq(s.count, 4);
	cr_assert_eq(s.at[0].oldest_ms, 999);
	cr_assert_eq(s.at[2].events, 101);
	cr_assert_eq(stamps_events(&s), 302);
	are_in_order(&s);
}

Test(stamps, what_no_clock_shows_is_left_out)
{
	struct stamps s = {.count = 0};

	stamps_add(&s, -1);
	stamps_add(&s, INT64_MAX);
	stamps_put(&s, &(struct stamp){5, 5, 0});
	cr_assert_eq(s.count, 0);
}

/*
 * Whatever comes, in any order: no event is lost, none counts as newer than it is, and none as older by more
 * than a sixteenth of the span. Told by the number of events that count as written at or before each moment.
 */
Test(stamps, a_full_list_is_pessimistic_within_its_bound)
{
	static int64_t written[4000];
	unsigned seed = 11;

	for (int round = 0; round < 300; round++) {
		unsigned n = 1 + (unsigned)rand_r(&seed) % 4000;
		int64_t span = 1 + rand_r(&seed) % (round % 3 == 0 ? 40 : 100000), low = INT64_MAX,
			high = 0;
		struct stamps s = {.count = 0}, half = {.count = 0};
		for (unsigned i = 0; i < n; i++) {
			written[i] = 1700000000000 +
				     (round % 2 ? rand_r(&seed) % span : (int64_t)i * span / n);
			low = written[i] < low ? written[i] : low;
			high = written[i] > high ? written[i] : high;
			/* Half of them one by one, half by way of another list. */
			stamps_add(i % 8 < 4 ? &s : &half, written[i]);
			if (i % 8 == 7 || i + 1 == n) {
				stamps_merge(&s, &half);
				half.count = 0;
			}
		}
		are_in_order(&s);
		cr_assert_eq(stamps_events(&s), n);
		for (unsigned i = 0; i < s.count; i++) {
			uint64_t true_events = 0, events = 0;
			for (unsigned j = 0; j < n; j++)
				true_events += written[j] <= s.at[i].newest_ms;
			for (unsigned j = 0; j <= i; j++)
				events += s.at[j].events;
			cr_assert_eq(events, true_events);
			cr_assert_leq(s.at[i].newest_ms - s.at[i].oldest_ms, (high - low) / 16);
		}
	}
}

/* Two crowds far apart stay apart. */
Test(stamps, the_narrowest_neighbours_become_one)
{
	struct stamps s = {.count = 0};

	for (int i = 0; i < 1000; i++)
		stamps_add(&s, 5 * i);
	stamps_add(&s, 1700000000000);
	for (int i = 0; i < 1000; i++)
		stamps_add(&s, 5001 + 5 * i);
	cr_assert_eq(s.at[s.count - 1].oldest_ms, 1700000000000);
	cr_assert_eq(s.at[s.count - 1].events, 1);
	are_in_order(&s);
}

Test(stamps, malformed_lists_are_refused)
{
	static const int64_t lists[][7] = {
	    {3, 5, 1, 1},                /* is good */
	    {3, 5, 1, 0},                /* no events */
	    {3, 5, -1, 1},               /* ends before it begins */
	    {3, -1, 0, 1},               /* before 1970 */
	    {3, INT64_MAX, 0, 1},        /* in no number of microseconds */
	    {3, 5, INT64_MAX / 1000, 1}, /* likewise */
	    {2, 5, 1},                   /* not whole */
	    {6, 5, 1, 1, 6, 0, 1},       /* overlap */
	};
	uint8_t buffer[256];
	struct pack pack;
	struct unpack u;
	struct stamps s;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		pack_init(&pack, buffer, sizeof(buffer));
		pack_array(&pack, (uint32_t)lists[i][0]);
		for (int64_t n = 1; n <= lists[i][0]; n++)
			pack_int(&pack, lists[i][n]);
		unpack_init(&u, buffer, pack_len(&pack));
		cr_assert_eq(stamps_unpack(&u, &s), i == 0, "list %zu", i);
	}
}
