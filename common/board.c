#include "common/board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "common/fault.h"
#include "common/log.h"

#define BOARD_MAGIC   UINT64_C(0x4452414f424c4c54) /* "TLLBOARD" */
#define BOARD_VERSION 4u

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");
_Static_assert(sizeof(struct board_stage) % 128 == 0, "stages must not share cache lines");

static const char *const counter_names[] = {
    [COUNTER_EVENTS] = "events",
    [COUNTER_BYTES] = "bytes",
    [COUNTER_CHANGES] = "changes",
    [COUNTER_TRANSACTIONS] = "transactions",
    [COUNTER_REPEATS] = "source_repeats",
    [COUNTER_LATE] = "late_events",
    [COUNTER_TORN] = "transaction_torn",
    [COUNTER_GAPS] = "source_gap",
    [COUNTER_SNAPSHOTS] = "snapshots",
    [COUNTER_TOMBSTONES] = "tombstones",
    [COUNTER_SCHEMA_SKIPPED] = "schema_skipped",
    [COUNTER_BY_FORM] = "by_form",
    [COUNTER_BY_SCAN] = "by_scan",
    [COUNTER_BEHIND] = "behind",
    [COUNTER_ROWS] = "rows",
    [COUNTER_GROUPS] = "groups",
    [COUNTER_BATCHES] = "batches",
    [COUNTER_OUTPUT] = "output_rows",
    [COUNTER_COMMITS] = "commits",
    [COUNTER_COPIES] = "copies",
    [COUNTER_TAKEOVERS] = "takeovers",
    [COUNTER_LAG_MS] = "lag_ms",
    [COUNTER_SOURCE_MS] = "source_ms",
    [COUNTER_WRITTEN_MS] = "written_ms",
    [COUNTER_HEARTBEATS] = "heartbeats",
    [COUNTER_SILENT] = "silent",
    [COUNTER_CHECKPOINTS] = "checkpoints",
    [COUNTER_CHECKPOINT_BYTES] = "checkpoint_bytes",
    [COUNTER_CHECKPOINT_US] = "checkpoint_us",
    [COUNTER_LOADED] = "loaded",
    [COUNTER_REBUILT] = "rebuilt_rows",
    [COUNTER_SKIPPED] = "bad_skipped",
    [COUNTER_LETTERS] = "dead_letters",
    [COUNTER_EVALUATIONS] = "evaluation_errors",
};
_Static_assert(sizeof(counter_names) / sizeof(counter_names[0]) == COUNTER_MAX, "every counter");

const char *
board_counter_name(enum board_counter c)
{
	return counter_names[c];
}

const char *
stage_state_name(enum stage_state state)
{
	static const char *const names[] = {
	    [STAGE_BOOT] = "boot",     [STAGE_WAITING] = "waiting", [STAGE_STANDBY] = "standby",
	    [STAGE_REPLAY] = "replay", [STAGE_RUNNING] = "running", [STAGE_DRAINING] = "draining",
	};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static struct board *
board_map(int fd)
{
	void *p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int
board_create(struct board **out)
{
	int fd = memfd_create("tallyd-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct board *b = NULL;
	int saved;

	if (fd == -1)
		return -1;
	if (ftruncate(fd, (off_t)sizeof(*b)) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1 ||
	    (b = board_map(fd)) == NULL) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	b->version = BOARD_VERSION;
	b->started_ms = clock_wall_ms();
	b->size = (uint32_t)sizeof(*b);
	b->magic = BOARD_MAGIC;
	*out = b;
	return fd;
}

struct board *
board_attach(int memfd)
{
	struct stat st;
	struct board *b;

	if (fstat(memfd, &st) == -1)
		return NULL;
	if ((size_t)st.st_size != sizeof(*b)) {
		errno = EBADMSG;
		return NULL;
	}
	if ((b = board_map(memfd)) == NULL)
		return NULL;
	if (b->magic != BOARD_MAGIC || b->version != BOARD_VERSION || b->size != sizeof(*b)) {
		munmap(b, sizeof(*b));
		errno = EBADMSG;
		return NULL;
	}
	return b;
}

/* No atomics: its reader is started after its writer has said READY. */
void
board_set_origin(struct board *b, const char *position, size_t len)
{
	b->origin.len = (uint32_t)len;
	if (len > 0)
		memcpy(b->origin.position, position, len);
}

const struct board_origin *
board_origin(const struct board *b)
{
	return &b->origin;
}

void
board_clear(struct board *b)
{
	atomic_store_explicit(&b->released, 0, memory_order_relaxed);
	atomic_store_explicit(&b->measured, 0, memory_order_relaxed);
	b->origin.len = 0;
	atomic_store_explicit(&b->durable, 0, memory_order_release);
}

/*
 * `durable` counts publications; its low bit names the slot that holds the newest one, and 0 means
 * none. The writer fills the other slot first, so a reader sees a torn copy only when two
 * publications happen during its copy: it then finds the word changed and copies again.
 */
void
board_publish(struct board *b, uint64_t batch, uint64_t time, const char *position, size_t len)
{
	uint64_t next = atomic_load_explicit(&b->durable, memory_order_relaxed) + 1;
	struct board_durable *d = &b->slot[next & 1];

	if (len > BOARD_POSITION_MAX)
		len = 0; /* callers check; a cut position must never be shown */
	d->batch = batch;
	d->time = time;
	d->len = (uint32_t)len;
	if (len > 0)
		memcpy(d->position, position, len);
	(void)FAULT("board.before_publish");
	/* Release: pairs with the acquire in board_durable(). */
	atomic_store_explicit(&b->durable, next, memory_order_release);
}

bool
board_durable(const struct board *b, struct board_durable *copy)
{
	uint64_t word, again;

	do {
		/* Acquire: pairs with the release in board_publish(). */
		word = atomic_load_explicit(&b->durable, memory_order_acquire);
		if (word == 0)
			return false;
		copy->batch = b->slot[word & 1].batch;
		copy->time = b->slot[word & 1].time;
		copy->len = b->slot[word & 1].len;
		if (copy->len > BOARD_POSITION_MAX)
			copy->len = 0;
		memcpy(copy->position, b->slot[word & 1].position, copy->len);
		atomic_thread_fence(memory_order_acquire);
		again = atomic_load_explicit(&b->durable, memory_order_relaxed);
	} while (again != word);
	return true;
}

uint64_t
board_durable_batch(const struct board *b)
{
	uint64_t word, batch;

	do {
		/* Acquire: pairs with the release in board_publish(). */
		word = atomic_load_explicit(&b->durable, memory_order_acquire);
		if (word == 0)
			return 0;
		batch = b->slot[word & 1].batch;
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&b->durable, memory_order_relaxed) != word);
	return batch;
}

void
board_set_state(struct board_stage *s, enum stage_state state, const char *note)
{
	if (note == NULL)
		note = "";
	strlcpy(s->note, note, sizeof(s->note));
	atomic_store_explicit(&s->note_len, (uint32_t)strnlen(s->note, sizeof(s->note)),
			      memory_order_release);
	atomic_store_explicit(&s->state, (uint32_t)state, memory_order_release);
}

/* Each counter has one writer, so a load and a store are enough: no locked instruction. */
void
board_count(struct board_stage *s, enum board_counter c, uint64_t add)
{
	uint64_t v = atomic_load_explicit(&s->counter[c], memory_order_relaxed);

	atomic_store_explicit(&s->counter[c], v + add, memory_order_relaxed);
}

void
board_gauge(struct board_stage *s, enum board_counter c, uint64_t value)
{
	atomic_store_explicit(&s->counter[c], value, memory_order_relaxed);
}

uint64_t
board_counter(const struct board_stage *s, enum board_counter c)
{
	return atomic_load_explicit(&s->counter[c], memory_order_relaxed);
}

bool
board_is_behind(const struct board *b)
{
	for (unsigned i = 0; i < BOARD_STAGES_MAX; i++)
		if (board_counter(&b->stage[i], COUNTER_BEHIND) > 0)
			return true;
	return false;
}
