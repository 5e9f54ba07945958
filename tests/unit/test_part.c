#include <criterion/criterion.h>

#include <string.h>
#include <sys/mman.h>

#include "reduce/part.h"

#define PART_MAX 1024
#define SPARES   8

static void
section(struct part_sink *sink, uint8_t fill, unsigned entries, size_t len)
{
	const struct section_id id = {
	    .kind = PART_DELTA, .source = SOURCE_TABLE, .name = "t", .name_len = 1, .layout = fill};
	uint8_t entry[PART_MAX];

	memset(entry, fill, len);
	sink_begin(sink, &id);
	for (unsigned i = 0; i < entries; i++)
		sink_put(sink, entry, len);
	sink_end(sink);
}

/* Takes all parts off; their entries are `fill` only. Returns how many bytes of these there were. */
static size_t
read_all(struct part_sink *sink, uint8_t fill)
{
	struct part_view view;
	struct part *part;
	size_t bytes = 0;

	while ((part = STAILQ_FIRST(&sink->parts)) != NULL) {
		(void)part_seal(part);
		cr_assert(part_read(part->bytes, part->len, &view));
		cr_assert_eq(view.id.layout, fill);
		for (size_t i = 0; i < view.len; i++)
			cr_assert_eq(view.entries[i], fill);
		bytes += view.len;
		sink_drop(sink);
	}
	return bytes;
}

static unsigned
spares(const struct part_sink *sink)
{
	const struct part *part;
	unsigned n = 0;

	STAILQ_FOREACH(part, &sink->spare, next)
	{
		n++;
	}
	cr_assert_eq(n, sink->spare_count);
	return n;
}

Test(part, memory_is_used_again_and_nothing_of_what_was_in_it)
{
	struct part_sink sink;

	sink_init(&sink, PART_MAX);
	section(&sink, 'a', 20, PART_MAX - 100);
	cr_assert_eq(sink.count, 20);
	cr_assert_eq(read_all(&sink, 'a'), 20 * (PART_MAX - 100));
	cr_assert_eq(spares(&sink), SPARES, "no more than these are kept");
	sink_clear(&sink);
	cr_assert_eq(sink.count, 0);
	cr_assert_eq(sink.bytes, 0);
	section(&sink, 'b', 3, 10);
	cr_assert_eq(spares(&sink), SPARES - 1);
	cr_assert_eq(read_all(&sink, 'b'), 30);
	cr_assert_eq(spares(&sink), SPARES);
	sink_fini(&sink);
}

/* A checkpoint that is given up in the middle of a section. */
Test(part, an_open_part_is_cleared)
{
	struct part_sink sink;
	const struct section_id id = {.kind = PART_FULL, .source = SOURCE_VIEW, .name = "v"};

	sink_init(&sink, PART_MAX);
	sink_begin(&sink, &id);
	sink_put(&sink, "half", 4);
	sink_clear(&sink);
	cr_assert_eq(spares(&sink), 1);
	section(&sink, 'd', 2, 7);
	cr_assert_eq(read_all(&sink, 'd'), 14);
	sink_fini(&sink);
}

/* Of many, none takes more memory than the pages that were written. */
Test(part, one_with_little_in_it_is_little_memory)
{
	enum { LARGE = 256 << 10, PAGE = 4096 };
	unsigned char there[LARGE / PAGE];
	struct part_sink sink;
	struct part *part;
	unsigned n = 0;

	sink_init(&sink, LARGE);
	for (unsigned i = 0; i < 20; i++)
		section(&sink, 'c', 1, 5);
	STAILQ_FOREACH(part, &sink.parts, next)
	{
		cr_assert_eq(mincore(part, LARGE, there), 0);
		for (unsigned i = 1; i < sizeof(there); i++)
			cr_assert_not(there[i] & 1, "page %u of part %u", i, n);
		n++;
	}
	cr_assert_eq(n, 20);
	sink_fini(&sink);
}
