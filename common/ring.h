/*
 * ring.h - one-writer, one-reader byte ring in shared memory.
 *
 * Owns: the layout of a ring memfd and its two doorbells. Knows nothing of what the bytes mean.
 * Processes: exactly one producer and one consumer, in different processes or threads; a new one
 *     may attach only after the old one was reaped.
 * Ordering: each side writes only its own ring_side; `pos` is stored with release and loaded by
 *     the other side with acquire; all else is private.
 * Failure: a side may die at any instruction; nothing needs repair. Bytes past the producer's pos
 *     were never visible, and its pos and its resume token are published by one store (I1).
 * Trust: every length read from the ring is checked against the mapping (I2); a ring that breaks
 *     the rules makes ring_next() fail with EBADMSG, never a wild read.
 *
 * The data pages are mapped twice in a row, so a record is always contiguous. Positions are
 * free-running 64-bit byte counts, multiples of 8; bit 0 of the published word selects which of
 * the two token areas belongs to it.
 */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_TOKEN_MAX (256u * 1024) /* bytes of one resume token */
#define RING_BYTES_MIN (64u * 1024)
#define RING_BYTES_MAX (1u << 30)

enum ring_end {
	RING_PRODUCER,
	RING_CONSUMER,
};

/* The three descriptors of a ring, as the supervisor hands them to a stage. */
struct ring_fds {
	int memory;    /* sealed memfd */
	int data_bell; /* eventfd, written by the producer */
	int room_bell; /* eventfd, written by the consumer */
};

struct ring_record {
	const uint8_t *data; /* payload, borrowed until ring_commit() */
	uint32_t len;
	uint16_t kind;
	uint16_t flags;
};

struct ring_header; /* the shared part, private to ring.c */

struct ring { /* a handle: private to one process */
	struct ring_header *header;
	uint8_t *data;
	uint64_t capacity;
	uint64_t pos;       /* our own position, perhaps ahead of the published one */
	uint64_t committed; /* what we published last */
	uint64_t other;     /* the other side's position when we last looked */
	enum ring_end end;
	unsigned slot; /* token area published last */
	struct ring_fds fds;
};

/*
 * Make a ring of `capacity` bytes (a power of two from RING_BYTES_MIN to RING_BYTES_MAX) and its
 * doorbells. The memfd is sealed against resizing. Returns 0, or -1 with errno.
 */
int ring_create(struct ring_fds *, size_t capacity);
void ring_close_fds(struct ring_fds *);

/*
 * Attach one end, with the memory of the whole ring (of 4 MiB of a larger one). The handle starts at the last
 * committed position of that end. Returns 0, or -1 with errno (EBADMSG: not a ring of this version).
 */
int ring_attach(struct ring *, const struct ring_fds *, enum ring_end);
void ring_detach(struct ring *);

/* The token that this end committed last: its length, copied into buf (RING_TOKEN_MAX bytes). */
size_t ring_token(const struct ring *, void *buf, size_t size);

/*
 * Producer. Room for one record of up to `max` payload bytes, 8-aligned, valid until
 * ring_append(). Returns NULL with errno EAGAIN (full: commit, then wait for room) or
 * EMSGSIZE (max > ring_record_max()). Never blocks.
 */
uint8_t *ring_reserve(struct ring *, size_t max);
size_t ring_record_max(const struct ring *); /* half the capacity, less the header */

/* Producer. Append the record just reserved, `len` bytes of it; visible at the next commit. */
void ring_append(struct ring *, size_t len, uint16_t kind, uint16_t flags);

/* Producer. Forget what was appended since the last commit. */
void ring_rollback(struct ring *);

/*
 * Consumer. The next record, which moves the private position only: its room is given back by
 * ring_commit(). Returns 1, 0 when there is none yet, -1 with errno EBADMSG when the producer
 * broke the layout.
 */
int ring_next(struct ring *, struct ring_record *);

/* Consumer. Go back to the last committed position: what was read will be read again. */
void ring_rewind(struct ring *);

/*
 * Publish our position and the token that belongs to it by one release store, and ring the other
 * side's bell if it sleeps. Producer: makes the appended records visible. Consumer: gives back
 * the room of what was read. len <= RING_TOKEN_MAX. A commit with nothing new still publishes
 * the token.
 */
void ring_commit(struct ring *, const void *token, size_t len);

/*
 * Before sleeping: announce it and look again. Returns true when there is still nothing to do (no
 * data for a consumer; less than `room` free bytes for a producer): then poll ring_fd() for
 * POLLIN, and call ring_awake() afterwards. Returns false when there is something.
 */
bool ring_sleep(struct ring *, size_t room);
void ring_awake(struct ring *);
int ring_fd(const struct ring *);

/* Bytes appended or read but not yet committed, and bytes between the two committed positions. */
size_t ring_pending(const struct ring *);
size_t ring_used(struct ring *);

/* Ring both bells of a ring without attaching: after a restart a signal may have been lost. */
void ring_wake_both(const struct ring_fds *);

#endif
