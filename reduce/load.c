/*
 * load.c - the state from the parts of a stored checkpoint (checkpoint.h).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/image.h"
#include "common/log.h"
#include "common/pack.h"
#include "reduce/checkpoint.h"
#include "reduce/group.h"
#include "reduce/rows.h"

struct loaded_part {
	uint64_t number;
	uint32_t part;
	bool fine; /* not damaged, and of a whole section */
	struct part_view view;
};

struct load {
	struct checkpoints *c;
	uint64_t number;
	struct loaded_part *parts;
	size_t count, room;
	size_t damaged;       /* index of the first damaged one; SIZE_MAX: none */
	struct source *known; /* sources of the manifest, in the file or not */
	unsigned known_count;
	uint64_t needed_parts, needed_digest; /* as the manifest says */
	uint8_t *carry;                       /* parts of which one ends in mid-entry, as one */
	size_t carry_room;
	char *reason;
	size_t reason_size;
};

__attribute__((format(printf, 2, 3))) static bool
refuse(struct load *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(l->reason, l->reason_size, fmt, ap);
	va_end(ap);
	return false;
}

static void
load_beat(const struct load *l)
{
	if (l->c->beat != NULL)
		l->c->beat(l->c->beat_arg);
}

static void
parts_collect(struct load *l, struct image *image)
{
	struct image_record record;

	l->damaged = SIZE_MAX;
	image_rewind(image);
	while (image_next(image, &record) > 0) {
		if (record.kind != IMAGE_PART || record.number > l->number)
			continue;
		if (l->count == l->room) {
			l->room = l->room > 0 ? l->room * 2 : 64;
			l->parts = xreallocarray(l->parts, l->room, sizeof(*l->parts));
		}
		struct loaded_part *part = &l->parts[l->count];
		part->number = record.number;
		part->part = record.part;
		part->fine = part_read(record.data, record.len, &part->view);
		if (!part->fine && l->damaged == SIZE_MAX)
			l->damaged = l->count;
		if (++l->count % 64 == 0)
			load_beat(l);
	}
}

static bool
same_section(const struct loaded_part *a, const struct loaded_part *b)
{
	const struct section_id *x = &a->view.id, *y = &b->view.id;

	return b->fine && b->number == a->number && b->part == a->part + 1 &&
	       b->view.sequence == a->view.sequence + 1 && x->kind == y->kind &&
	       x->source == y->source && x->bits == y->bits && x->segment == y->segment &&
	       x->layout == y->layout && x->name_len == y->name_len &&
	       memcmp(x->name, y->name, x->name_len) == 0;
}

/* How many parts the section that begins here has; 0: it is not whole. */
static size_t
section_length(const struct load *l, size_t at)
{
	size_t n = 1;

	if (!l->parts[at].fine || l->parts[at].view.sequence != 0)
		return 0;
	while ((l->parts[at + n - 1].view.flags & PART_LAST) == 0) {
		if (at + n == l->count || !same_section(&l->parts[at + n - 1], &l->parts[at + n]))
			return 0;
		n++;
	}
	return n;
}

/* The entries of a section of small parts, or of parts joined by an entry that is cut, as one. */
static const uint8_t *
parts_join(struct load *l, size_t at, size_t n, size_t *len)
{
	*len = l->parts[at].view.len;
	if (n == 1)
		return l->parts[at].view.entries;
	for (size_t i = 1; i < n; i++)
		*len += l->parts[at + i].view.len;
	if (*len > l->carry_room) {
		l->carry = xreallocarray(l->carry, 1, *len);
		l->carry_room = *len;
	}
	size_t done = 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(l->carry + done, l->parts[at + i].view.entries, l->parts[at + i].view.len);
		done += l->parts[at + i].view.len;
	}
	return l->carry;
}

static bool
manifest_read(struct load *l, size_t at, size_t n)
{
	struct unpack u;
	size_t len;
	const uint8_t *bytes = parts_join(l, at, n, &len);

	unpack_init(&u, bytes, len);
	l->known_count = unpack_array(&u) / 3;
	l->known = xcalloc(l->known_count + 1, sizeof(*l->known));
	for (unsigned i = 0; i < l->known_count; i++) {
		uint64_t kind = unpack_uint(&u);
		uint32_t name_len;
		const char *name = unpack_str(&u, &name_len);
		source_init(&l->known[i], (enum source_kind)kind, name, name_len, unpack_uint(&u));
	}
	l->needed_parts = unpack_uint(&u);
	l->needed_digest = unpack_uint(&u);
	l->c->manifest = (struct stored){
	    .kind = PART_MANIFEST,
	    .number = l->number,
	    .first = l->parts[at].part,
	    .parts = (uint32_t)n,
	};
	return !u.bad && u.at == u.end;
}

static bool
manifest_find(struct load *l)
{
	for (size_t i = l->count; i > 0; i--) {
		const struct loaded_part *part = &l->parts[i - 1];
		if (part->fine && part->number == l->number && part->view.sequence == 0 &&
		    part->view.id.kind == PART_MANIFEST) {
			size_t n = section_length(l, i - 1);
			return n > 0 && manifest_read(l, i - 1, n);
		}
	}
	return false;
}

static struct source *
source_find(struct source *sources, unsigned count, const struct section_id *id)
{
	for (unsigned i = 0; i < count; i++)
		if (sources[i].kind == id->source && strlen(sources[i].name) == id->name_len &&
		    memcmp(sources[i].name, id->name, id->name_len) == 0)
			return &sources[i];
	return NULL;
}

/* Each source of the pipeline must be there as it is now. */
static bool
sources_match(struct load *l)
{
	for (unsigned i = 0; i < l->c->count; i++) {
		struct source *s = &l->c->sources[i];
		const char *what = s->kind == SOURCE_TABLE ? "table" : "view";
		struct section_id id = {
		    .source = s->kind, .name = s->name, .name_len = strlen(s->name)};
		struct source *known = source_find(l->known, l->known_count, &id);
		if (known == NULL)
			return refuse(l, "it has no state of %s \"%s\"", what, s->name);
		if (known->layout != s->layout)
			return refuse(l, "%s \"%s\" was another one when it was written", what,
				      s->name);
		known->rows = s->rows;
		known->groups = s->groups;
	}
	return true;
}

/* Enter all whole sections of known sources; what belongs to none will be deleted. */
static void
sections_note(struct load *l)
{
	size_t n;

	for (size_t i = 0; i<l->count; i += n> 0 ? n : 1) {
		const struct section_id *id = &l->parts[i].view.id;
		n = section_length(l, i);
		if (n == 0 || id->kind == PART_MANIFEST || id->bits > BOOK_BITS_MAX ||
		    id->segment >> id->bits != 0)
			continue;
		struct source *s = source_find(l->known, l->known_count, id);
		if (s == NULL || s->layout != id->layout)
			continue;
		struct stored section = {
		    .kind = id->kind,
		    .number = l->parts[i].number,
		    .first = l->parts[i].part,
		    .parts = (uint32_t)n,
		    .bits = id->bits,
		    .segment = id->segment,
		};
		for (size_t k = i; k < i + n; k++) {
			section.bytes += l->parts[k].view.len;
			section.digest += part_digest(l->parts[k].number, l->parts[k].part,
						      l->parts[k].view.checksum);
		}
		(void)source_note(s, &section);
	}
}

static bool
sections_check(struct load *l)
{
	uint64_t parts = 0, digest = 0;
	bool covered = true;

	for (unsigned i = 0; i < l->known_count; i++) {
		struct source *s = &l->known[i];
		source_refresh(s);
		covered = covered && source_is_covered(s);
		parts += s->needed_parts;
		for (unsigned k = 0; k < s->count; k++)
			if (s->sections[k].needed)
				digest += s->sections[k].digest;
	}
	if (covered && parts == l->needed_parts && digest == l->needed_digest)
		return true;
	if (l->damaged != SIZE_MAX)
		return refuse(l, "part %" PRIu32 " of checkpoint %" PRIu64 " is damaged",
			      l->parts[l->damaged].part, l->parts[l->damaged].number);
	return refuse(l, "%s", "a part of it is missing");
}

/* Entries of one section, part by part. */
static bool
section_load(struct load *l, const struct source *s, size_t at, size_t n)
{
	struct segment_filter filter = {
	    .source = s, .kind = l->parts[at].view.id.kind, .number = l->parts[at].number};
	bool first = true, fine = true;
	size_t joined, len;

	for (size_t i = at; fine && i < at + n; i += joined) {
		for (joined = 1; (l->parts[i + joined - 1].view.flags & PART_CONTINUES) != 0 &&
				 i + joined < at + n;)
			joined++;
		const uint8_t *entries = parts_join(l, i, joined, &len);
		fine = s->rows != NULL
			   ? rows_load(s->rows, entries, len, &filter, &l->c->loaded)
			   : groups_load(s->groups, entries, len, &filter, &first, &l->c->loaded);
		load_beat(l);
	}
	return fine;
}

static bool
sections_load(struct load *l)
{
	size_t n;

	for (size_t i = 0; i<l->count; i += n> 0 ? n : 1) {
		n = section_length(l, i);
		if (n == 0 || l->parts[i].view.id.kind == PART_MANIFEST)
			continue;
		struct source *s = source_find(l->known, l->known_count, &l->parts[i].view.id);
		if (s == NULL || (s->rows == NULL && s->groups == NULL) ||
		    s->layout != l->parts[i].view.id.layout)
			continue;
		if (!section_load(l, s, i, n))
			return refuse(l,
				      "part %" PRIu32 " of checkpoint %" PRIu64
				      " has entries that %s \"%s\" cannot have",
				      l->parts[i].part, l->parts[i].number,
				      s->kind == SOURCE_TABLE ? "table" : "view", s->name);
	}
	return true;
}

static bool
part_is_needed(struct load *l, const struct loaded_part *part)
{
	if (part->number == l->number && part->part >= l->c->manifest.first &&
	    part->part < l->c->manifest.first + l->c->manifest.parts)
		return true;
	if (!part->fine)
		return false;
	struct source *s = source_find(l->known, l->known_count, &part->view.id);
	for (unsigned k = 0; s != NULL && k < s->count; k++)
		if (s->sections[k].needed && s->sections[k].number == part->number &&
		    part->part >= s->sections[k].first &&
		    part->part < s->sections[k].first + s->sections[k].parts)
			return true;
	return false;
}

/* The books go on as the writer left them. Sources that the file has no more go with the flip. */
static void
books_adopt(struct load *l)
{
	struct checkpoints *c = l->c;

	for (size_t i = 0; i < l->count; i++)
		if (!part_is_needed(l, &l->parts[i]))
			part_ranges_add(&c->forget, l->parts[i].number, l->parts[i].part, 1);
	for (unsigned i = 0; i < l->known_count; i++) {
		struct source *known = &l->known[i];
		struct section_id id = {
		    .source = known->kind, .name = known->name, .name_len = strlen(known->name)};
		struct source *s = source_find(c->sources, c->count, &id);
		for (unsigned k = 0; k < known->count; k++)
			if (s == NULL && known->sections[k].needed)
				checkpoints_note_gone(c, &known->sections[k]);
		if (s == NULL)
			continue;
		struct source old = *s;
		*s = *known;
		*known = old;
		/* What is dropped has been noted above, part by part. */
		source_prune(s, NULL, NULL);
		if (s->groups != NULL)
			groups_load_end(s->groups);
	}
}

static void
load_fini(struct load *l)
{
	for (unsigned i = 0; i < l->known_count; i++)
		source_fini(&l->known[i]);
	free(l->known);
	free(l->parts);
	free(l->carry);
}

bool
checkpoints_load(struct checkpoints *c, struct image *image, uint64_t number, char *reason,
		 size_t size)
{
	struct load l = {.c = c, .number = number, .reason = reason, .reason_size = size};
	bool fine;

	parts_collect(&l, image);
	if (FAULT("reduce.load"))
		fine = refuse(&l, "%s", "a fault was asked for");
	else if (!manifest_find(&l))
		fine = l.damaged == SIZE_MAX
			   ? refuse(&l, "%s", "its last part is missing")
			   : refuse(&l, "part %" PRIu32 " of checkpoint %" PRIu64 " is damaged",
				    l.parts[l.damaged].part, l.parts[l.damaged].number);
	else
		fine = sources_match(&l);
	if (fine) {
		sections_note(&l);
		fine = sections_check(&l) && sections_load(&l);
	}
	if (fine) {
		books_adopt(&l);
		c->number = number;
		c->stored = true;
	}
	load_fini(&l);
	return fine;
}

void
checkpoints_refuse(struct checkpoints *c, struct image *image, uint64_t number)
{
	struct image_record record;

	image_rewind(image);
	while (image_next(image, &record) > 0)
		if (record.kind == IMAGE_PART)
			part_ranges_add(&c->later, record.number, record.part, 1);
	c->manifest.parts = 0; /* it is among them */
	c->number = number;
}
