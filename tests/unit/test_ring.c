#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ring.h"

static struct ring_fds fds;
static struct ring producer, consumer;

static void
setup(void)
{
	cr_assert_eq(ring_create(&fds, RING_BYTES_MIN), 0);
	cr_assert_eq(ring_attach(&producer, &fds, RING_PRODUCER), 0);
	cr_assert_eq(ring_attach(&consumer, &fds, RING_CONSUMER), 0);
}

static void
teardown(void)
{
	ring_detach(&producer);
	ring_detach(&consumer);
	ring_close_fds(&fds);
}

TestSuite(ring, .init = setup, .fini = teardown);

static void
put(size_t len, uint8_t fill, uint16_t kind)
{
	uint8_t *room = ring_reserve(&producer, len);

	cr_assert_not_null(room, "no room for %zu bytes", len);
	memset(room, fill, len);
	ring_append(&producer, len, kind, 0);
}

static void
expect(size_t len, uint8_t fill, uint16_t kind)
{
	struct ring_record r;

	cr_assert_eq(ring_next(&consumer, &r), 1);
	cr_assert_eq(r.len, len);
	cr_assert_eq(r.kind, kind);
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(r.data[i], fill, "byte %zu of %zu", i, len);
}

/* Neither a first lap nor a day makes a process larger. */
Test(ring, has_its_memory_from_the_start)
{
	unsigned char there[RING_BYTES_MIN / 4096];

	cr_assert_eq(mincore(producer.data, RING_BYTES_MIN, there), 0);
	for (unsigned i = 0; i < sizeof(there); i++)
		cr_assert(there[i] & 1, "page %u", i);
}

Test(ring, nothing_is_visible_before_the_commit)
{
	struct ring_record r;

	put(10, 1, 7);
	cr_assert_eq(ring_next(&consumer, &r), 0);
	ring_commit(&producer, NULL, 0);
	expect(10, 1, 7);
	cr_assert_eq(ring_next(&consumer, &r), 0);
}

Test(ring, rollback_forgets)
{
	struct ring_record r;

	put(10, 1, 7);
	ring_rollback(&producer);
	ring_commit(&producer, NULL, 0);
	cr_assert_eq(ring_next(&consumer, &r), 0);
}

Test(ring, refuses_wrong_sizes)
{
	struct ring_fds other;

	cr_assert_eq(ring_create(&other, RING_BYTES_MIN + 1), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(ring_create(&other, RING_BYTES_MIN / 2), -1);
	cr_assert_null(ring_reserve(&producer, ring_record_max(&producer) + 1));
	cr_assert_eq(errno, EMSGSIZE);
	cr_assert_not_null(ring_reserve(&producer, ring_record_max(&producer)));
}

Test(ring, full_until_the_consumer_commits)
{
	unsigned n = 0;

	while (ring_reserve(&producer, 1000) != NULL) {
		put(1000, (uint8_t)n, 1);
		n++;
	}
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(n, RING_BYTES_MIN / 1008);
	ring_commit(&producer, NULL, 0);
	expect(1000, 0, 1);
	cr_assert_null(ring_reserve(&producer, 1000), "reading alone gives nothing back");
	ring_commit(&consumer, NULL, 0);
	cr_assert_not_null(ring_reserve(&producer, 1000));
}

/* Every alignment of a record against the end of the ring, and a commit at every boundary. */
Test(ring, wraps_at_every_boundary)
{
	for (size_t len = 0; len < 600; len++) {
		size_t size = (len * 37) % 3000;

		put(size, (uint8_t)len, (uint16_t)len);
		put(len, (uint8_t)~len, (uint16_t)(len + 1));
		ring_commit(&producer, NULL, 0);
		expect(size, (uint8_t)len, (uint16_t)len);
		expect(len, (uint8_t)~len, (uint16_t)(len + 1));
		ring_commit(&consumer, NULL, 0);
	}
	cr_assert_gt(producer.pos, 4 * RING_BYTES_MIN, "the test must wrap");
}

Test(ring, rewind_reads_again)
{
	put(8, 1, 1);
	put(8, 2, 2);
	ring_commit(&producer, NULL, 0);
	expect(8, 1, 1);
	ring_commit(&consumer, NULL, 0);
	expect(8, 2, 2);
	ring_rewind(&consumer);
	expect(8, 2, 2);
}

/* A successor of either side sees the last commit and the token that belongs to it, never more. */
Test(ring, successor_gets_position_and_token_together)
{
	char token[32], got[32];

	for (int i = 0; i < 50; i++) {
		snprintf(token, sizeof(token), "token-%d", i);
		put(100, (uint8_t)i, 1);
		ring_commit(&producer, token, strlen(token) + 1);
		put(100, 99, 1); /* dies before this commit */
		memcpy(ring_reserve(&producer, 50), "half", 4);
		ring_detach(&producer);
		cr_assert_eq(ring_attach(&producer, &fds, RING_PRODUCER), 0);
		cr_assert_eq(ring_token(&producer, got, sizeof(got)), strlen(token) + 1);
		cr_assert_str_eq(got, token);

		expect(100, (uint8_t)i, 1);
		ring_detach(&consumer); /* dies before it gives the room back */
		cr_assert_eq(ring_attach(&consumer, &fds, RING_CONSUMER), 0);
		expect(100, (uint8_t)i, 1);
		ring_commit(&consumer, &i, sizeof(i));
		ring_detach(&consumer);
		cr_assert_eq(ring_attach(&consumer, &fds, RING_CONSUMER), 0);
		cr_assert_eq(ring_token(&consumer, got, sizeof(got)), sizeof(i));
		cr_assert_eq(memcmp(got, &i, sizeof(i)), 0);
	}
}

Test(ring, largest_token_survives)
{
	static uint8_t token[RING_TOKEN_MAX], got[RING_TOKEN_MAX];

	memset(token, 0xa5, sizeof(token));
	ring_commit(&producer, token, sizeof(token));
	cr_assert_eq(ring_token(&producer, got, sizeof(got)), sizeof(token));
	cr_assert_eq(memcmp(token, got, sizeof(token)), 0);
}

/* A corrupt peer: whatever length or position it writes, an error and no wild read (I2). */
Test(ring, corrupt_lengths_are_refused)
{
	struct ring_record r;
	const uint32_t lengths[] = {17, 4000, RING_BYTES_MIN, UINT32_MAX, UINT32_MAX - 7};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		teardown();
		setup();
		put(16, 1, 1);
		memcpy(producer.data, &lengths[i], sizeof(lengths[i]));
		ring_commit(&producer, NULL, 0);
		cr_assert_eq(ring_next(&consumer, &r), -1, "length %u", lengths[i]);
		cr_assert_eq(errno, EBADMSG);
	}
}

Test(ring, corrupt_positions_are_refused)
{
	struct ring_record r;
	const uint64_t jumps[] = {RING_BYTES_MIN + 8, UINT64_C(1) << 40, (uint64_t)-64};

	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		teardown();
		setup();
		put(16, 1, 1);
		producer.pos += jumps[i];
		ring_commit(&producer, NULL, 0);
		cr_assert_eq(ring_next(&consumer, &r), -1, "jump %zu", i);
		cr_assert_eq(errno, EBADMSG);
	}
}

Test(ring, foreign_memory_is_not_a_ring)
{
	struct ring_fds foreign = fds;
	struct ring r;

	foreign.memory = memfd_create("foreign", MFD_CLOEXEC);
	cr_assert_eq(ring_attach(&r, &foreign, RING_PRODUCER), -1);
	cr_assert_eq(errno, EBADMSG);
	cr_assert_eq(ftruncate(foreign.memory, 4 << 20), 0);
	cr_assert_eq(ring_attach(&r, &foreign, RING_PRODUCER), -1);
	cr_assert_eq(errno, EBADMSG);
	close(foreign.memory);
}

Test(ring, sleeper_is_woken_by_a_commit)
{
	struct pollfd p = {.fd = ring_fd(&consumer), .events = POLLIN};

	cr_assert(ring_sleep(&consumer, 0));
	cr_assert_eq(poll(&p, 1, 0), 0);
	put(8, 1, 1);
	ring_commit(&producer, NULL, 0);
	cr_assert_eq(poll(&p, 1, 0), 1);
	ring_awake(&consumer);
	cr_assert_eq(poll(&p, 1, 0), 0, "the bell was taken");
	cr_assert_not(ring_sleep(&consumer, 0), "there is something to read");
}

Test(ring, producer_sleeps_for_room)
{
	struct pollfd p = {.fd = ring_fd(&producer), .events = POLLIN};

	while (ring_reserve(&producer, 1000) != NULL)
		put(1000, 0, 1);
	ring_commit(&producer, NULL, 0);
	cr_assert(ring_sleep(&producer, 1008));
	expect(1000, 0, 1);
	ring_commit(&consumer, NULL, 0);
	cr_assert_eq(poll(&p, 1, 0), 1);
	ring_awake(&producer);
	cr_assert_not(ring_sleep(&producer, 1008));
}

Test(ring, used_and_pending_count_bytes)
{
	put(8, 1, 1);
	cr_assert_eq(ring_pending(&producer), 16);
	cr_assert_eq(ring_used(&consumer), 0);
	ring_commit(&producer, NULL, 0);
	cr_assert_eq(ring_pending(&producer), 0);
	cr_assert_eq(ring_used(&consumer), 16);
	cr_assert_eq(ring_used(&producer), 16);
}
