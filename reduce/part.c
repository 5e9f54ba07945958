#include "reduce/part.h"

#include <string.h>
#include <sys/mman.h>

#include "common/log.h"
#include "common/stage.h"
#include "common/value.h"

#define PART_VERSION 0x74630001u /* a newer tallyd that writes other entries raises it */

struct part_head {
	uint64_t checksum; /* of what follows */
	uint64_t layout;
	uint32_t version, segment, sequence, flags;
	uint16_t name_len;
	uint8_t kind, source, bits, spare[3];
};

_Static_assert(sizeof(struct part_head) == 40, "stored as it is");

#define SPARES_MAX 8 /* 2 MiB: as much as most checkpoints are */

void
sink_init(struct part_sink *sink, size_t part_max)
{
	*sink = (struct part_sink){.part_max = part_max};
	STAILQ_INIT(&sink->parts);
	STAILQ_INIT(&sink->spare);
}

static void
part_unmap(const struct part_sink *sink, struct part *part)
{
	INVARIANT(munmap(part, sizeof(*part) + sink->part_max) == 0);
}

/* For another one. */
static void
part_recycle(struct part_sink *sink, struct part *part)
{
	if (sink->spare_count == SPARES_MAX) {
		part_unmap(sink, part);
		return;
	}
	STAILQ_INSERT_HEAD(&sink->spare, part, next);
	sink->spare_count++;
}

/*
 * Mapped, not from the heap: there parts would come and go between what stays, and the heap, which is of huge pages,
 * would grow. Of one with little in it only the pages that were written are memory.
 */
static struct part *
part_new(struct part_sink *sink)
{
	struct part *part = STAILQ_FIRST(&sink->spare);

	if (part == NULL)
		return xmap(sizeof(*part) + sink->part_max);
	STAILQ_REMOVE_HEAD(&sink->spare, next);
	sink->spare_count--;
	return part;
}

void
sink_drop(struct part_sink *sink)
{
	struct part *part = STAILQ_FIRST(&sink->parts);

	STAILQ_REMOVE_HEAD(&sink->parts, next);
	part_recycle(sink, part);
}

void
sink_clear(struct part_sink *sink)
{
	while (!STAILQ_EMPTY(&sink->parts))
		sink_drop(sink);
	if (sink->open != NULL)
		part_recycle(sink, sink->open);
	sink->open = NULL;
	sink->count = 0;
	sink->bytes = 0;
}

void
sink_fini(struct part_sink *sink)
{
	struct part *part;

	sink_clear(sink);
	while ((part = STAILQ_FIRST(&sink->spare)) != NULL) {
		STAILQ_REMOVE_HEAD(&sink->spare, next);
		part_unmap(sink, part);
	}
	sink->spare_count = 0;
}

static void
part_open(struct part_sink *sink)
{
	const struct section_id *id = &sink->id;
	struct part_head head = {
	    .layout = id->layout,
	    .version = PART_VERSION,
	    .segment = id->segment,
	    .sequence = sink->sequence++,
	    .name_len = (uint16_t)id->name_len,
	    .kind = (uint8_t)id->kind,
	    .source = (uint8_t)id->source,
	    .bits = (uint8_t)id->bits,
	};

	INVARIANT(sizeof(head) + id->name_len < sink->part_max && id->name_len <= UINT16_MAX);
	struct part *part = part_new(sink);
	memcpy(part->bytes, &head, sizeof(head));
	memcpy(part->bytes + sizeof(head), id->name, id->name_len);
	part->len = sizeof(head) + id->name_len;
	sink->open = part;
}

static void
part_close(struct part_sink *sink, uint32_t flags)
{
	struct part *part = sink->open;
	struct part_head head;

	memcpy(&head, part->bytes, sizeof(head));
	head.flags = flags;
	memcpy(part->bytes, &head, sizeof(head));
	STAILQ_INSERT_TAIL(&sink->parts, part, next);
	sink->count++;
	sink->bytes += part->len;
	sink->open = NULL;
}

void
sink_begin(struct part_sink *sink, const struct section_id *id)
{
	INVARIANT(sink->open == NULL);
	sink->id = *id;
	sink->sequence = 0;
	part_open(sink);
}

void
sink_put(struct part_sink *sink, const void *entry, size_t len)
{
	const uint8_t *at = entry;
	size_t head = sizeof(struct part_head) + sink->id.name_len;

	if (len > sink->part_max - sink->open->len && sink->open->len > head) {
		part_close(sink, 0);
		part_open(sink);
	}
	while (len > sink->part_max - sink->open->len) {
		size_t n = sink->part_max - sink->open->len;
		memcpy(sink->open->bytes + sink->open->len, at, n);
		sink->open->len += n;
		at += n;
		len -= n;
		part_close(sink, PART_CONTINUES);
		part_open(sink);
	}
	memcpy(sink->open->bytes + sink->open->len, at, len);
	sink->open->len += len;
}

void
sink_end(struct part_sink *sink)
{
	part_close(sink, PART_LAST);
}

uint64_t
part_seal(struct part *part)
{
	const size_t skip = sizeof(uint64_t);
	uint64_t checksum = value_hash_bytes(part->bytes + skip, part->len - skip, PART_VERSION);

	memcpy(part->bytes, &checksum, sizeof(checksum));
	return checksum;
}

bool
part_read(const void *bytes, size_t len, struct part_view *view)
{
	const uint8_t *at = bytes;
	const size_t skip = sizeof(uint64_t);
	struct part_head head;

	if (len < sizeof(head))
		return false;
	memcpy(&head, at, sizeof(head));
	if (head.version != PART_VERSION || head.name_len > len - sizeof(head) ||
	    head.checksum != value_hash_bytes(at + skip, len - skip, PART_VERSION))
		return false;
	*view = (struct part_view){
	    .id =
		{
		    .kind = (enum part_kind)head.kind,
		    .source = (enum source_kind)head.source,
		    .name = (const char *)at + sizeof(head),
		    .name_len = head.name_len,
		    .layout = head.layout,
		    .bits = head.bits,
		    .segment = head.segment,
		},
	    .checksum = head.checksum,
	    .sequence = head.sequence,
	    .flags = head.flags,
	    .entries = at + sizeof(head) + head.name_len,
	    .len = len - sizeof(head) - head.name_len,
	};
	return head.kind >= PART_MANIFEST && head.kind <= PART_FULL &&
	       head.source >= SOURCE_TABLE && head.source <= SOURCE_NONE && head.bits <= 31;
}
