#include "reduce/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"
#include "common/value.h"
#include "reduce/group.h"
#include "reduce/rows.h"

#define PART_BYTES_MAX  (256u << 10)
#define PARTS_A_RING    8    /* a part is at most this fraction of the ring */
#define PARTS_A_SEGMENT 4    /* a segment is to have about so many parts */
#define ROUND           1024 /* checkpoints after which each segment was copied, whatever changes */

void
checkpoints_init(struct checkpoints *c, size_t ring_bytes, void (*beat)(void *), void *arg)
{
	size_t part_max = ring_bytes / PARTS_A_RING;

	*c = (struct checkpoints){
	    .part_max = part_max < PART_BYTES_MAX ? part_max : PART_BYTES_MAX,
	    .beat = beat,
	    .beat_arg = arg,
	};
	sink_init(&c->sink, c->part_max);
}

void
checkpoints_fini(struct checkpoints *c)
{
	for (unsigned i = 0; i < c->count; i++)
		source_fini(&c->sources[i]);
	sink_fini(&c->sink);
	free(c->sources);
	free(c->position);
	free(c->order);
	free(c->forget.list);
	free(c->later.list);
}

void
part_ranges_add(struct part_ranges *ranges, uint64_t number, uint32_t first, uint32_t parts)
{
	if (ranges->count == ranges->room) {
		ranges->room = ranges->room > 0 ? ranges->room * 2 : 16;
		ranges->list = xreallocarray(ranges->list, ranges->room, sizeof(*ranges->list));
	}
	ranges->list[ranges->count++] =
	    (struct part_range){.number = number, .first = first, .parts = parts};
}

static uint64_t
hash_text(const char *text, uint64_t seed)
{
	return text != NULL ? value_hash_bytes(text, strlen(text), seed) : seed + 1;
}

/* By names, which outlive a renumbering of types. */
static uint64_t
hash_column(const struct column *column, uint64_t layout)
{
	char *type = column_type_name(column);

	layout = hash_text(type, hash_text(column->name, layout));
	free(type);
	for (unsigned i = 0; column->enumeration != NULL && i < column->enumeration->label_count;
	     i++)
		layout = hash_text(column->enumeration->labels[i], layout);
	return layout;
}

/* All that the meaning of a table's rows depends on: columns, key, and where they came from. */
uint64_t
checkpoint_table_layout(const struct table *table)
{
	uint64_t layout = hash_text(table->topic, table->key_count);

	for (unsigned i = 0; i < table->column_count; i++)
		layout = hash_column(&table->columns[i], layout);
	return value_hash_bytes(table->key, table->key_count * sizeof(*table->key), layout);
}

uint64_t
checkpoint_view_layout(const struct view *view, const struct table *table)
{
	uint64_t layout = hash_text(view->plan, checkpoint_table_layout(table));

	layout = value_hash_bytes(view->group, view->group_count * sizeof(*view->group), layout);
	for (unsigned i = 0; i < view->output_count; i++) {
		const int64_t words[2] = {view->outputs[i].kind, view->outputs[i].column};
		layout = value_hash_bytes(words, sizeof(words), layout);
	}
	return layout;
}

static struct source *
source_add(struct checkpoints *c, enum source_kind kind, const char *name, uint64_t layout)
{
	if (c->count == c->room) {
		c->room = c->room > 0 ? c->room * 2 : 8;
		c->sources = xreallocarray(c->sources, c->room, sizeof(*c->sources));
	}
	source_init(&c->sources[c->count], kind, name, strlen(name), layout);
	return &c->sources[c->count++];
}

void
checkpoints_add_rows(struct checkpoints *c, const struct table *table, struct rows *rows)
{
	source_add(c, SOURCE_TABLE, table->name, checkpoint_table_layout(table))->rows = rows;
}

void
checkpoints_add_groups(struct checkpoints *c, const struct view *view, const struct table *table,
		       struct groups *groups)
{
	char *name = view_name(view);

	source_add(c, SOURCE_VIEW, name, checkpoint_view_layout(view, table))->groups = groups;
	free(name);
}

void
checkpoints_drop(struct checkpoints *c, const struct groups *groups)
{
	for (unsigned i = 0; i < c->count; i++)
		if (c->sources[i].groups == groups)
			c->sources[i].groups = NULL;
}

static bool
source_is_gone(const struct source *s)
{
	return s->rows == NULL && s->groups == NULL;
}

static uint64_t
source_dirty_count(const struct source *s)
{
	if (s->rows != NULL)
		return rows_dirty_count(s->rows);
	return s->groups != NULL ? groups_dirty_count(s->groups) : 0;
}

static uint64_t
source_dirty_bytes(const struct source *s)
{
	return s->rows != NULL ? rows_dirty_bytes(s->rows) : groups_dirty_bytes(s->groups);
}

static uint64_t
source_live_bytes(const struct source *s)
{
	if (s->rows != NULL)
		return rows_live_bytes(s->rows);
	return s->groups != NULL ? groups_live_bytes(s->groups) : 0;
}

uint64_t
checkpoints_dirty(const struct checkpoints *c)
{
	uint64_t dirty = 0;

	for (unsigned i = 0; i < c->count; i++)
		dirty += source_dirty_count(&c->sources[i]);
	return dirty;
}

uint64_t
checkpoints_live_bytes(const struct checkpoints *c)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < c->count; i++)
		bytes += source_live_bytes(&c->sources[i]);
	return bytes;
}

uint64_t
checkpoints_stored_bytes(const struct checkpoints *c)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < c->count; i++)
		bytes += c->sources[i].needed_bytes;
	return bytes;
}

/* --- copying --- */

void
checkpoints_note_gone(void *arg, const struct stored *section)
{
	struct checkpoints *c = arg;

	part_ranges_add(&c->later, section->number, section->first, section->parts);
}

static void
section_begin(struct checkpoints *c, const struct source *s, enum part_kind kind, unsigned bits,
	      uint32_t segment, struct stored *section)
{
	struct section_id id = {
	    .kind = kind,
	    .source = s->kind,
	    .name = s->name,
	    .name_len = strlen(s->name),
	    .layout = s->layout,
	    .bits = bits,
	    .segment = segment,
	};

	*section = (struct stored){
	    .kind = kind,
	    .number = c->number,
	    .first = c->sink.count,
	    .bytes = c->sink.bytes,
	    .bits = bits,
	    .segment = segment,
	};
	sink_begin(&c->sink, &id);
}

/* Returns its bytes. */
static uint64_t
section_end(struct checkpoints *c, struct source *s, struct stored *section)
{
	sink_end(&c->sink);
	section->parts = c->sink.count - section->first;
	section->bytes = c->sink.bytes - section->bytes;
	(void)source_note(s, section);
	if (c->beat != NULL)
		c->beat(c->beat_arg);
	return section->bytes;
}

static uint64_t
write_delta(struct checkpoints *c, struct source *s)
{
	struct stored section;

	section_begin(c, s, PART_DELTA, 0, 0, &section);
	if (s->rows != NULL)
		rows_write_delta(s->rows, &c->sink);
	else
		groups_write_delta(s->groups, &c->sink);
	return section_end(c, s, &section);
}

static uint64_t
write_segment(struct checkpoints *c, struct source *s, uint32_t segment)
{
	struct stored section;

	section_begin(c, s, PART_FULL, s->bits, segment, &section);
	if (s->rows != NULL)
		rows_write_segment(s->rows, s->bits, segment, &c->sink);
	else
		groups_write_segment(s->groups, s->bits, segment, &c->sink);
	return section_end(c, s, &section);
}

/* The fewest segments of at most `size` bytes, as bits. */
static unsigned
bits_for(uint64_t live, uint64_t size)
{
	unsigned bits = 0;

	while (bits < BOOK_BITS_MAX && live >> bits > size)
		bits++;
	return bits;
}

static void
write_whole(struct checkpoints *c, struct source *s, unsigned bits)
{
	for (unsigned i = 0; i < s->count; i++)
		s->sections[i].needed = false;
	source_prune(s, checkpoints_note_gone, c);
	source_clear(s, bits);
	if (s->rows != NULL)
		rows_clear_dirty(s->rows);
	else
		groups_clear_dirty(s->groups);
	for (uint32_t i = 0; i >> bits == 0; i++)
		(void)write_segment(c, s, i);
}

/* Whether a full copy of the oldest segment would make any delta older than all copies. */
static bool
segment_is_behind(const struct source *s, uint32_t segment)
{
	for (unsigned i = s->count; i > 0; i--)
		if (s->sections[i - 1].kind == PART_DELTA)
			return s->sections[i - 1].number > s->newest[segment];
	return false;
}

/* The segments that the changes pay for; more, should too much be stored. */
static void
write_segments(struct checkpoints *c, struct source *s, uint64_t live)
{
	const uint64_t most = 2 * live + PARTS_A_SEGMENT * c->part_max;
	uint32_t oldest = source_oldest(s), step = (1u << s->bits) / 64 + 1;

	while (s->credit >= (int64_t)(live >> s->bits) && segment_is_behind(s, oldest)) {
		s->credit -= (int64_t)write_segment(c, s, oldest);
		oldest = source_oldest(s);
	}
	/* What nothing asks for is not saved up for one long copying later. */
	if (s->credit > 0 && !segment_is_behind(s, oldest))
		s->credit = 0;
	for (source_refresh(s); s->needed_bytes > most && segment_is_behind(s, oldest);
	     source_refresh(s))
		for (uint32_t i = 0; i < step && segment_is_behind(s, oldest); i++) {
			(void)write_segment(c, s, oldest);
			oldest = source_oldest(s);
		}
}

static void
write_source(struct checkpoints *c, struct source *s)
{
	uint64_t live = source_live_bytes(s), dirty = source_dirty_bytes(s);
	uint64_t count = source_dirty_count(s), size = PARTS_A_SEGMENT * c->part_max;
	unsigned bits = bits_for(live, size);

	if (!source_is_covered(s) || (count > 0 && 2 * dirty >= live) || s->bits > bits + 2) {
		write_whole(c, s, bits);
		source_refresh(s);
		return;
	}
	source_grow(s, bits_for(live, 2 * size));
	if (count > 0)
		s->credit += (int64_t)write_delta(c, s);
	s->credit += (int64_t)(live / ROUND);
	write_segments(c, s, live);
	source_prune(s, checkpoints_note_gone, c);
}

/* Sources that left the pipeline: what is stored of them goes with the next flip. */
static void
sources_prune(struct checkpoints *c)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < c->count; i++) {
		struct source *s = &c->sources[i];
		if (!source_is_gone(s)) {
			c->sources[kept++] = *s;
			continue;
		}
		for (unsigned k = 0; k < s->count; k++)
			checkpoints_note_gone(c, &s->sections[k]);
		source_fini(s);
	}
	c->count = kept;
}

/* Sections in the order of their parts: sources are written one by one. */
static void
order_sections(struct checkpoints *c)
{
	size_t n = 0;

	for (unsigned i = 0; i < c->count; i++)
		n += c->sources[i].count;
	free(c->order);
	c->order = xcalloc(n + 1, sizeof(*c->order));
	c->order_count = c->order_at = 0;
	for (unsigned i = 0; i < c->count; i++)
		for (unsigned k = 0; k < c->sources[i].count; k++)
			if (c->sources[i].sections[k].number == c->number)
				c->order[c->order_count++] = &c->sources[i].sections[k];
}

void
checkpoints_begin(struct checkpoints *c, uint64_t batch, const char *position, size_t len)
{
	INVARIANT(c->phase == CHECKPOINTS_IDLE);
	(void)FAULT("reduce.checkpoint");
	c->number++;
	c->phase = CHECKPOINTS_PARTS;
	c->batch = batch;
	free(c->position);
	c->position = xstrndup(position, len);
	c->position_len = len;
	sink_clear(&c->sink);
	c->handed = 0;
	c->manifest_written = false;
	if (c->manifest.parts > 0)
		checkpoints_note_gone(c, &c->manifest);
	c->manifest.parts = 0;
	sources_prune(c);
	for (unsigned i = 0; i < c->count; i++)
		write_source(c, &c->sources[i]);
	order_sections(c);
}

/* --- handing on --- */

/* [sources: kind, name, layout, ...], parts needed, their digest */
static size_t
manifest_pack(const struct checkpoints *c, struct pack *pack)
{
	uint64_t parts = 0, digest = 0;

	for (unsigned i = 0; i < c->count; i++)
		for (unsigned k = 0; k < c->sources[i].count; k++) {
			parts += c->sources[i].sections[k].parts;
			digest += c->sources[i].sections[k].digest;
		}
	pack_array(pack, 3 * c->count);
	for (unsigned i = 0; i < c->count; i++) {
		pack_uint(pack, (uint64_t)c->sources[i].kind);
		pack_cstr(pack, c->sources[i].name);
		pack_uint(pack, c->sources[i].layout);
	}
	pack_uint(pack, parts);
	pack_uint(pack, digest);
	return pack_len(pack);
}

static void
manifest_write(struct checkpoints *c)
{
	const struct source none = {.kind = SOURCE_NONE, .name = (char[]){""}};
	size_t room = 64, len;
	struct pack pack;

	for (unsigned i = 0; i < c->count; i++)
		room += 32 + strlen(c->sources[i].name);
	uint8_t *bytes = xcalloc(1, room);
	pack_init(&pack, bytes, room);
	len = manifest_pack(c, &pack);
	INVARIANT(!pack.overflow);
	section_begin(c, &none, PART_MANIFEST, 0, 0, &c->manifest);
	sink_put(&c->sink, bytes, len);
	sink_end(&c->sink);
	c->manifest.parts = c->sink.count - c->manifest.first;
	c->manifest_written = true;
	free(bytes);
}

bool
checkpoints_next(struct checkpoints *c, struct checkpoint *record)
{
	*record = (struct checkpoint){.number = c->number, .part = c->handed, .batch = c->batch};
	if (c->phase == CHECKPOINTS_PARTS) {
		/* Only now are the checksums of all other parts known. */
		if (STAILQ_EMPTY(&c->sink.parts))
			manifest_write(c);
		struct part *part = STAILQ_FIRST(&c->sink.parts);
		(void)part_seal(part);
		record->step = CHECKPOINT_PART;
		record->data = part->bytes;
		record->len = part->len;
		return true;
	}
	if (c->phase == CHECKPOINTS_FLIP) {
		record->step = CHECKPOINT_FLIP;
		record->data = (const uint8_t *)c->position;
		record->len = c->position_len;
		return true;
	}
	return false;
}

static void
part_put(struct checkpoints *c)
{
	struct part *part = STAILQ_FIRST(&c->sink.parts);
	uint32_t index = c->handed++;

	while (c->order_at < c->order_count &&
	       index >= c->order[c->order_at]->first + c->order[c->order_at]->parts)
		c->order_at++;
	if (c->order_at < c->order_count && index >= c->order[c->order_at]->first)
		c->order[c->order_at]->digest += part_digest(c->number, index, part_seal(part));
	c->bytes += part->len;
	sink_drop(&c->sink);
	if (c->manifest_written && STAILQ_EMPTY(&c->sink.parts))
		c->phase = CHECKPOINTS_FLIP;
}

void
checkpoints_put(struct checkpoints *c, uint64_t batch)
{
	if (c->phase == CHECKPOINTS_PARTS) {
		part_put(c);
		return;
	}
	INVARIANT(c->phase == CHECKPOINTS_FLIP);
	c->phase = CHECKPOINTS_WAIT;
	c->flip_batch = batch;
}

bool
checkpoints_forget(const struct checkpoints *c, struct checkpoint *record)
{
	const struct part_ranges *f = &c->forget;

	if (f->taken == f->count)
		return false;
	*record = (struct checkpoint){
	    .step = CHECKPOINT_FORGET,
	    .number = f->list[f->taken].number,
	    .part = f->list[f->taken].first + f->taken_of,
	};
	return true;
}

void
checkpoints_forgotten(struct checkpoints *c)
{
	struct part_ranges *f = &c->forget;

	if (++f->taken_of < f->list[f->taken].parts)
		return;
	f->taken_of = 0;
	if (++f->taken == f->count)
		f->taken = f->count = 0;
}

void
checkpoints_acknowledge(struct checkpoints *c, uint64_t durable)
{
	if (c->phase != CHECKPOINTS_WAIT || durable < c->flip_batch)
		return;
	c->phase = CHECKPOINTS_IDLE;
	c->stored = true;
	for (size_t i = 0; i < c->later.count; i++)
		part_ranges_add(&c->forget, c->later.list[i].number, c->later.list[i].first,
				c->later.list[i].parts);
	c->later.count = 0;
}
