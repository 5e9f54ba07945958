#include "common/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/stage.h"

#define RING_MAGIC   UINT64_C(0x474e4952594c4c54) /* "TLLYRING" */
#define RING_VERSION 1u

enum {
	PAGE = 4096,
	RECORD_ALIGN = 8,
	FILLED_MAX = 4 << 20,
};

/*
 * Which side writes what: `pos`, `asleep` and the token areas of side[x] are written by side x
 * only. `pos` is the one word that publishes: bytes (or room) and token together.
 */
struct ring_side {
	alignas(128) _Atomic uint64_t pos; /* byte position | token area in bit 0 */
	alignas(64) _Atomic uint32_t asleep;
	uint32_t token_len[2];
};

struct ring_header {
	uint64_t magic;
	uint32_t version, header_size;
	uint64_t capacity;
	struct ring_side side[2];
	alignas(PAGE) uint8_t token[2][2][RING_TOKEN_MAX];
};

struct ring_head { /* before each payload */
	uint32_t len;
	uint16_t kind, flags;
};

_Static_assert(offsetof(struct ring_header, side) == 128, "shared layout");
_Static_assert(offsetof(struct ring_header, token) == PAGE, "shared layout");
_Static_assert(sizeof(struct ring_header) == PAGE + 4 * RING_TOKEN_MAX, "shared layout");
_Static_assert(sizeof(struct ring_head) == 8, "shared layout");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");

static size_t
record_size(size_t payload)
{
	return (sizeof(struct ring_head) + payload + RECORD_ALIGN - 1) &
	       ~(size_t)(RECORD_ALIGN - 1);
}

void
ring_close_fds(struct ring_fds *fds)
{
	int *all[] = {&fds->memory, &fds->data_bell, &fds->room_bell};

	for (unsigned i = 0; i < 3; i++) {
		if (*all[i] != -1)
			close(*all[i]);
		*all[i] = -1;
	}
}

static int
ring_format(int fd, size_t capacity)
{
	struct ring_header *h;

	if (ftruncate(fd, (off_t)(sizeof(*h) + capacity)) == -1)
		return -1;
	h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return -1;
	h->version = RING_VERSION;
	h->header_size = (uint32_t)sizeof(*h);
	h->capacity = capacity;
	h->magic = RING_MAGIC;
	munmap(h, sizeof(*h));
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int
ring_create(struct ring_fds *fds, size_t capacity)
{
	int saved;

	*fds = (struct ring_fds){-1, -1, -1};
	if (capacity < RING_BYTES_MIN || capacity > RING_BYTES_MAX ||
	    (capacity & (capacity - 1)) != 0) {
		errno = EINVAL;
		return -1;
	}
	fds->memory = memfd_create("tallyd-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds->data_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds->room_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fds->memory == -1 || fds->data_bell == -1 || fds->room_bell == -1 ||
	    ring_format(fds->memory, capacity) == -1) {
		saved = errno;
		ring_close_fds(fds);
		errno = saved;
		return -1;
	}
	return 0;
}

/* Map header and data, the data twice in a row, into one reservation of address space. */
static int
ring_map(struct ring *r, uint64_t capacity)
{
	size_t total = sizeof(struct ring_header) + 2 * (size_t)capacity;
	int prot = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED;
	uint8_t *base = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return -1;
	r->header = (struct ring_header *)(void *)base;
	r->data = base + sizeof(struct ring_header);
	r->capacity = capacity;
	if (mmap(base, sizeof(struct ring_header) + capacity, prot, fixed, r->fds.memory, 0) ==
		MAP_FAILED ||
	    mmap(r->data + capacity, capacity, prot, fixed, r->fds.memory,
		 (off_t)sizeof(struct ring_header)) == MAP_FAILED) {
		munmap(base, total);
		return -1;
	}
	return 0;
}

/*
 * Each lap of a ring writes all of it, so its memory is taken at once: a process has from the start what it will have after a
 * day, and no record waits for a page. A larger ring is for rare large rows, and has the rest when they come. A kernel
 * before 5.14 does not know the call.
 */
static int
ring_fill(const struct ring *r)
{
	size_t len = r->capacity < FILLED_MAX ? (size_t)r->capacity : FILLED_MAX;

	return madvise(r->data, len, MADV_POPULATE_WRITE) == 0 || errno == EINVAL ? 0 : -1;
}

static uint64_t
ring_other_pos(const struct ring *r)
{
	/* Acquire: pairs with the release store in ring_commit() of the other side. */
	return atomic_load_explicit(&r->header->side[!r->end].pos, memory_order_acquire) &
	       ~UINT64_C(1);
}

int
ring_attach(struct ring *r, const struct ring_fds *fds, enum ring_end end)
{
	struct ring_header *h;
	struct stat st;
	uint64_t word, capacity;
	bool good;

	*r = (struct ring){.fds = *fds, .end = end};
	if (fstat(fds->memory, &st) == -1)
		return -1;
	if ((size_t)st.st_size < sizeof(*h) + RING_BYTES_MIN) {
		errno = EBADMSG;
		return -1;
	}
	h = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds->memory, 0);
	if (h == MAP_FAILED)
		return -1;
	capacity = h->capacity;
	good = h->magic == RING_MAGIC && h->version == RING_VERSION &&
	       h->header_size == sizeof(*h) && (size_t)st.st_size == sizeof(*h) + capacity;
	munmap(h, PAGE);
	if (!good) {
		errno = EBADMSG;
		return -1;
	}
	if (FAULT("ring.attach")) {
		errno = ENOMEM;
		return -1;
	}
	if (ring_map(r, capacity) == -1)
		return -1;
	if (ring_fill(r) == -1) {
		ring_detach(r);
		return -1;
	}
	/* Relaxed: our own word, written by a predecessor that was reaped before we started. */
	word = atomic_load_explicit(&r->header->side[end].pos, memory_order_relaxed);
	r->pos = r->committed = word & ~UINT64_C(1);
	r->slot = (unsigned)(word & 1);
	r->other = ring_other_pos(r);
	return 0;
}

void
ring_detach(struct ring *r)
{
	if (r->header != NULL)
		munmap(r->header, sizeof(struct ring_header) + 2 * r->capacity);
	r->header = NULL;
}

size_t
ring_token(const struct ring *r, void *buf, size_t size)
{
	size_t len = r->header->side[r->end].token_len[r->slot];

	if (len > RING_TOKEN_MAX || len > size)
		return 0;
	memcpy(buf, r->header->token[r->end][r->slot], len);
	return len;
}

size_t
ring_record_max(const struct ring *r)
{
	return r->capacity / 2 - sizeof(struct ring_head);
}

static uint64_t
ring_room(struct ring *r, uint64_t wanted)
{
	if (r->capacity - (r->pos - r->other) < wanted)
		r->other = ring_other_pos(r);
	return r->capacity - (r->pos - r->other);
}

uint8_t *
ring_reserve(struct ring *r, size_t max)
{
	if (max > ring_record_max(r)) {
		errno = EMSGSIZE;
		return NULL;
	}
	if (ring_room(r, record_size(max)) < record_size(max)) {
		errno = EAGAIN;
		return NULL;
	}
	return r->data + (r->pos & (r->capacity - 1)) + sizeof(struct ring_head);
}

void
ring_append(struct ring *r, size_t len, uint16_t kind, uint16_t flags)
{
	struct ring_head head = {(uint32_t)len, kind, flags};

	INVARIANT(len <= ring_record_max(r));
	memcpy(r->data + (r->pos & (r->capacity - 1)), &head, sizeof(head));
	r->pos += record_size(len);
}

void
ring_rollback(struct ring *r)
{
	r->pos = r->committed;
}

int
ring_next(struct ring *r, struct ring_record *record)
{
	struct ring_head head;
	const uint8_t *at;
	uint64_t available = r->other - r->pos;

	if (available == 0) {
		r->other = ring_other_pos(r);
		available = r->other - r->pos;
		if (available == 0)
			return 0;
	}
	at = r->data + (r->pos & (r->capacity - 1));
	/* The other side is not trusted: neither its position nor any length it wrote. */
	if (available > r->capacity || available % RECORD_ALIGN != 0) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(&head, at, sizeof(head));
	if (head.len > ring_record_max(r) || record_size(head.len) > available) {
		errno = EBADMSG;
		return -1;
	}
	*record = (struct ring_record){at + sizeof(head), head.len, head.kind, head.flags};
	r->pos += record_size(head.len);
	return 1;
}

void
ring_rewind(struct ring *r)
{
	r->pos = r->committed;
}

static void
bell_ring(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	/* A full counter (EAGAIN) means that the bell rings already. */
	do
		n = write(fd, &one, sizeof(one));
	while (n == -1 && errno == EINTR);
}

void
ring_commit(struct ring *r, const void *token, size_t len)
{
	struct ring_side *own = &r->header->side[r->end], *other = &r->header->side[!r->end];
	unsigned next = !r->slot;

	INVARIANT(len <= RING_TOKEN_MAX);
	if (len > 0)
		memcpy(r->header->token[r->end][next], token, len);
	own->token_len[next] = (uint32_t)len;
	(void)FAULT("ring.before_commit");
	/* Release: pairs with the acquire in ring_other_pos(); publishes bytes, room and token. */
	atomic_store_explicit(&own->pos, r->pos | next, memory_order_release);
	(void)FAULT("ring.after_commit");
	r->slot = next;
	r->committed = r->pos;
	/* Full fence: pairs with the one in ring_sleep(); one of us must see the other's word. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&other->asleep, memory_order_relaxed) != 0)
		bell_ring(r->end == RING_PRODUCER ? r->fds.data_bell : r->fds.room_bell);
}

bool
ring_sleep(struct ring *r, size_t room)
{
	struct ring_side *own = &r->header->side[r->end];
	bool idle;

	atomic_store_explicit(&own->asleep, 1, memory_order_relaxed);
	/* Full fence: pairs with the one in ring_commit() of the other side. */
	atomic_thread_fence(memory_order_seq_cst);
	r->other = ring_other_pos(r);
	if (r->end == RING_CONSUMER)
		idle = r->other == r->pos;
	else
		idle = r->capacity - (r->pos - r->other) < room;
	if (!idle)
		atomic_store_explicit(&own->asleep, 0, memory_order_relaxed);
	return idle;
}

void
ring_awake(struct ring *r)
{
	uint64_t count;

	atomic_store_explicit(&r->header->side[r->end].asleep, 0, memory_order_relaxed);
	while (read(ring_fd(r), &count, sizeof(count)) == -1 && errno == EINTR)
		;
}

int
ring_fd(const struct ring *r)
{
	return r->end == RING_CONSUMER ? r->fds.data_bell : r->fds.room_bell;
}

size_t
ring_pending(const struct ring *r)
{
	return (size_t)(r->pos - r->committed);
}

size_t
ring_used(struct ring *r)
{
	uint64_t used;

	r->other = ring_other_pos(r);
	used = r->end == RING_PRODUCER ? r->committed - r->other : r->other - r->committed;
	return used <= r->capacity ? (size_t)used : 0;
}

void
ring_wake_both(const struct ring_fds *fds)
{
	bell_ring(fds->data_bell);
	bell_ring(fds->room_bell);
}
