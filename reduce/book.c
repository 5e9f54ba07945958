#include "reduce/book.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/value.h"
#include "reduce/hash.h"

void
source_init(struct source *s, enum source_kind kind, const char *name, size_t len, uint64_t layout)
{
	*s = (struct source){
	    .kind = kind,
	    .name = xstrndup(name, len),
	    .layout = layout,
	    .newest = xcalloc(1, sizeof(uint64_t)),
	};
}

void
source_fini(struct source *s)
{
	free(s->name);
	free(s->newest);
	free(s->sections);
}

void
source_clear(struct source *s, unsigned bits)
{
	free(s->newest);
	s->newest = xcalloc((size_t)1 << bits, sizeof(*s->newest));
	s->bits = bits;
	s->count = 0;
	s->credit = 0;
	s->needed_bytes = s->needed_parts = 0;
}

void
source_grow(struct source *s, unsigned bits)
{
	for (; s->bits < bits; s->bits++) {
		size_t half = (size_t)1 << s->bits;
		s->newest = xreallocarray(s->newest, half * 2, sizeof(*s->newest));
		memcpy(s->newest + half, s->newest, half * sizeof(*s->newest));
	}
}

struct stored *
source_note(struct source *s, const struct stored *section)
{
	if (s->count == s->room) {
		s->room = s->room > 0 ? s->room * 2 : 8;
		s->sections = xreallocarray(s->sections, s->room, sizeof(*s->sections));
	}
	s->sections[s->count] = *section;
	s->sections[s->count].needed = true;
	if (section->kind == PART_FULL) {
		source_grow(s, section->bits);
		for (size_t i = section->segment; i >> s->bits == 0;
		     i += (size_t)1 << section->bits)
			if (s->newest[i] < section->number)
				s->newest[i] = section->number;
	}
	return &s->sections[s->count++];
}

static uint64_t
source_least(const struct source *s)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i >> s->bits == 0; i++)
		if (s->newest[i] < least)
			least = s->newest[i];
	return least;
}

static bool
full_is_needed(const struct source *s, const struct stored *full)
{
	for (size_t i = full->segment; i >> s->bits == 0; i += (size_t)1 << full->bits)
		if (s->newest[i] == full->number)
			return true;
	return false;
}

void
source_refresh(struct source *s)
{
	uint64_t least = source_least(s);

	s->needed_bytes = s->needed_parts = 0;
	for (unsigned i = 0; i < s->count; i++) {
		struct stored *section = &s->sections[i];
		section->needed = section->kind == PART_DELTA ? section->number > least
							      : full_is_needed(s, section);
		if (!section->needed)
			continue;
		s->needed_bytes += section->bytes;
		s->needed_parts += section->parts;
	}
}

void
source_prune(struct source *s, void (*gone)(void *arg, const struct stored *), void *arg)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->count; i++) {
		if (s->sections[i].needed)
			s->sections[kept++] = s->sections[i];
		else if (gone != NULL)
			gone(arg, &s->sections[i]);
	}
	s->count = kept;
}

uint32_t
source_oldest(const struct source *s)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i >> s->bits == 0; i++)
		if (s->newest[i] < s->newest[oldest])
			oldest = i;
	return oldest;
}

bool
source_is_covered(const struct source *s)
{
	return source_least(s) > 0;
}

bool
filter_wants(const struct segment_filter *filter, uint32_t hash)
{
	const struct source *s = filter->source;
	uint64_t newest = s->newest[hash_segment_of(hash, s->bits)];

	return filter->kind == PART_FULL ? newest == filter->number : newest < filter->number;
}

uint64_t
part_digest(uint64_t number, uint32_t part, uint64_t checksum)
{
	const uint64_t words[3] = {number, part, checksum};

	return value_hash_bytes(words, sizeof(words), 1);
}
