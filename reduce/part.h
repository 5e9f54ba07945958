/*
 * part.h - a checkpoint as a sequence of parts, each small enough for the ring.
 *
 * A section is the whole or the changes of one source (a keyed table's rows, or a keyless table's
 * groups in one view); it begins a new part and goes on in as many as it needs. An entry is cut by
 * a part's end only when it is larger than a part; such parts say that they continue. Each part
 * begins with a head that says where it belongs, and a checksum of the rest. Heads are in the
 * machine's byte order: one of the other order has a version that nobody knows.
 */
#ifndef PART_H
#define PART_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum part_kind {
	PART_MANIFEST = 1, /* which parts are needed to load: the last one of each checkpoint */
	PART_DELTA,        /* entries changed since the checkpoint before, tombstones among them */
	PART_FULL,         /* all entries of one segment */
};

enum source_kind {
	SOURCE_TABLE = 1,
	SOURCE_VIEW,
	SOURCE_NONE, /* the manifest */
};

enum part_flag {
	PART_LAST = 1,      /* of its section */
	PART_CONTINUES = 2, /* its last entry goes on in the next part */
};

struct section_id {
	enum part_kind kind;
	enum source_kind source;
	const char *name; /* of the table or view; may be borrowed for the sink's or part's life */
	size_t name_len;
	uint64_t layout;  /* fingerprint of what its entries look like */
	unsigned bits;    /* PART_FULL: the segment is that of hashes ending in these bits */
	uint32_t segment; /* PART_FULL */
};

struct part { /* one that is not handed on yet */
	STAILQ_ENTRY(part) next;
	size_t len;
	uint8_t bytes[];
};

STAILQ_HEAD(part_list, part);

/* Where sections are written to. */
struct part_sink {
	struct part_list parts; /* closed ones; the consumer drops them one by one */
	uint32_t count;         /* parts closed since sink_init() or sink_clear() */
	uint64_t bytes;         /* of all parts, heads included */
	size_t part_max;
	struct part_list spare; /* dropped ones: new memory costs more than the copying */
	unsigned spare_count;
	struct section_id id; /* of the open section */
	uint32_t sequence;
	struct part *open;
};

void sink_init(struct part_sink *, size_t part_max);
void sink_fini(struct part_sink *);

/* As after sink_init(), but memory is kept. */
void sink_clear(struct part_sink *);

/* The first closed part is no longer needed. */
void sink_drop(struct part_sink *);

void sink_begin(struct part_sink *, const struct section_id *);
void sink_put(struct part_sink *, const void *entry, size_t len);
void sink_end(struct part_sink *);

/* Before a part is handed on: computes its checksum, which stands in it and is returned. */
uint64_t part_seal(struct part *);

struct part_view { /* a part that was read: borrows its bytes */
	struct section_id id;
	uint64_t checksum;
	uint32_t sequence, flags;
	const uint8_t *entries;
	size_t len;
};

/* False when it is damaged or of another version. */
bool part_read(const void *bytes, size_t len, struct part_view *);

#endif
