#include "ingest/room.h"

#include <stdalign.h>
#include <stdlib.h>

#include "common/log.h"

#define ROOM_BLOCK 4096 /* the smallest */

struct room_block {
	struct room_block *older;
	size_t size, used;
	alignas(max_align_t) char bytes[];
};

static void
room_add(struct room *r, size_t size)
{
	struct room_block *block = xcalloc(1, sizeof(*block) + size);

	*block = (struct room_block){.older = r->newest, .size = size};
	r->newest = block;
	r->total += size;
}

void *
room_reserve(struct room *r, size_t size)
{
	struct room_block *block = r->newest;

	if (!block || block->size - block->used < size) {
		room_add(r, size > ROOM_BLOCK ? size : ROOM_BLOCK);
		block = r->newest;
	}
	return block->bytes + block->used;
}

void
room_keep(struct room *r, size_t used)
{
	size_t align = alignof(max_align_t), whole = (used + align - 1) / align * align;
	struct room_block *block = r->newest;

	block->used += whole < block->size - block->used ? whole : block->size - block->used;
}

void
room_free(struct room *r)
{
	while (r->newest) {
		struct room_block *block = r->newest;
		r->newest = block->older;
		free(block);
	}
	r->total = 0;
}

void
room_clear(struct room *r)
{
	size_t total = r->total;

	if (r->newest && r->newest->older) {
		room_free(r);
		room_add(r, total);
	}
	if (r->newest)
		r->newest->used = 0;
}
