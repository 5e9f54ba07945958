/*
 * ring.c - both ends of a ring whose memory somebody else writes: sizes, positions, token lengths
 * and records are an input's, before the ends attach and between their calls. Whatever stands
 * there, no end hands out a byte beyond its mapping, and only a ring of the right size is taken.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ring.h"
#include "tests/fuzz/fuzz.h"

#define HEADER_BYTES (4096 + 4 * (size_t)RING_TOKEN_MAX)
#define CALLS_MAX    64

static volatile uint8_t sink;

struct attack {
	struct choices *choices;
	struct ring_fds fds;
	uint8_t *memory;
	size_t size;
	struct ring ring[2];
	bool attached[2];
};

static void
touch(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink = bytes[i];
}

/* Eight bytes: among the control words, where a side stands, or anywhere. */
static void
attack_write(struct attack *a)
{
	uint8_t what = choose_byte(a->choices);
	uint64_t word = choose_bytes(a->choices, 8);
	size_t at;

	if (what < 128) {
		at = (size_t)what * 4;
	} else if (what < 192 && a->size > HEADER_BYTES) {
		uint64_t pos;
		memcpy(&pos, a->memory + 128 + 128 * (what & 1), sizeof(pos));
		at = HEADER_BYTES + ((pos & ~UINT64_C(7)) & (RING_BYTES_MIN - 1));
	} else {
		at = HEADER_BYTES + (size_t)choose_bytes(a->choices, 2);
	}
	if (at + sizeof(word) <= a->size)
		memcpy(a->memory + at, &word, sizeof(word));
}

static void
check_inside(const struct ring *r, const uint8_t *bytes, size_t len)
{
	FUZZ_CHECK(bytes >= r->data && len <= 2 * r->capacity);
	FUZZ_CHECK(bytes + len <= r->data + 2 * r->capacity);
}

static void
consumer_call(struct ring *r, uint8_t what)
{
	struct ring_record record;

	switch (what % 4) {
	case 0:
		ring_rewind(r);
		break;
	case 1:
		ring_commit(r, "token", 5);
		break;
	default:
		if (ring_next(r, &record) == 1) {
			check_inside(r, record.data, record.len);
			touch(record.data, record.len);
		}
	}
}

static void
producer_call(struct ring *r, uint8_t what, size_t len)
{
	uint8_t *room;

	switch (what % 4) {
	case 0:
		ring_rollback(r);
		break;
	case 1:
		ring_commit(r, &len, sizeof(len));
		break;
	default:
		room = ring_reserve(r, len);
		if (room == NULL) {
			FUZZ_CHECK(errno == EAGAIN || errno == EMSGSIZE);
			break;
		}
		FUZZ_CHECK(len <= ring_record_max(r));
		check_inside(r, room, len);
		memset(room, 'x', len);
		ring_append(r, len, 1, 0);
	}
}

static void
check_token(const struct ring *r)
{
	static uint8_t *few, *most;

	if (few == NULL) {
		few = xcalloc(10, 1);
		most = xcalloc(RING_TOKEN_MAX, 1);
	}
	FUZZ_CHECK(ring_token(r, few, 10) <= 10);
	size_t len = ring_token(r, most, RING_TOKEN_MAX);
	FUZZ_CHECK(len <= RING_TOKEN_MAX);
	touch(most, len);
}

static void
attack_call(struct attack *a)
{
	uint8_t what = choose_byte(a->choices);
	enum ring_end end = what & 1 ? RING_PRODUCER : RING_CONSUMER;
	struct ring *r = &a->ring[end];

	if (what & 2)
		attack_write(a);
	if (!a->attached[end])
		return;
	if (what % 64 < 8)
		check_token(r);
	FUZZ_CHECK(ring_used(r) <= r->capacity);
	if (what % 64 >= 56 && ring_sleep(r, 100))
		ring_awake(r);
	if (end == RING_CONSUMER)
		consumer_call(r, what >> 2);
	else
		producer_call(r, what >> 2, (size_t)choose_bytes(a->choices, 2));
}

/* A ring of ours, or memory of any size. */
static void
attack_open(struct attack *a)
{
	uint8_t what = choose_byte(a->choices);

	FUZZ_CHECK(ring_create(&a->fds, RING_BYTES_MIN) == 0);
	a->size = HEADER_BYTES + RING_BYTES_MIN;
	a->memory = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fds.memory, 0);
	FUZZ_CHECK(a->memory != MAP_FAILED);
	if (what >= 32)
		return;
	size_t size = what < 16 ? HEADER_BYTES + 4096 * (size_t)choose_byte(a->choices)
				: (size_t)choose_bytes(a->choices, 3);
	int memory = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_CHECK(memory != -1 && size > 0 ? ftruncate(memory, (off_t)size) == 0 : memory != -1);
	if (size > 0)
		FUZZ_CHECK(pwrite(memory, a->memory, size < 64 ? size : 64, 0) > 0);
	munmap(a->memory, a->size);
	close(a->fds.memory);
	a->fds.memory = memory;
	a->size = size;
	if (size > 0) {
		a->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
		FUZZ_CHECK(a->memory != MAP_FAILED);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices choices = {data, data + size};
	struct attack a = {.choices = &choices};

	attack_open(&a);
	for (unsigned writes = choose_byte(&choices) % 16; writes > 0; writes--)
		attack_write(&a);
	for (int end = 0; end < 2; end++) {
		a.attached[end] = ring_attach(&a.ring[end], &a.fds, (enum ring_end)end) == 0;
		FUZZ_CHECK(a.attached[end] || errno != 0);
		FUZZ_CHECK(!a.attached[end] || HEADER_BYTES + a.ring[end].capacity == a.size);
	}
	for (unsigned calls = 0; calls < CALLS_MAX && choices.at < choices.end; calls++)
		attack_call(&a);
	for (int end = 0; end < 2; end++)
		if (a.attached[end])
			ring_detach(&a.ring[end]);
	if (a.size > 0)
		munmap(a.memory, a.size);
	ring_close_fds(&a.fds);
	return 0;
}
