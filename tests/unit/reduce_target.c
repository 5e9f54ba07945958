/*
 * reduce_target.c - the fake target of reduce_sim.h: parts, flips and what egress hands over.
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "common/image.h"
#include "common/log.h"
#include "tests/unit/reduce_sim.h"

static size_t
target_find(const struct sim_target *t, uint64_t number, uint32_t part)
{
	size_t i = 0;

	while (i < t->count && (t->parts[i].number != number || t->parts[i].part != part))
		i++;
	return i;
}

static void
target_store(struct sim_target *t, struct sim_effect *effect)
{
	const struct checkpoint *record = &effect->record;

	cr_assert_eq(target_find(t, record->number, record->part), t->count, "stored twice");
	cr_assert_gt(record->number, t->number);
	if (t->count == t->room) {
		t->room = t->room > 0 ? t->room * 2 : 64;
		t->parts = xreallocarray(t->parts, t->room, sizeof(*t->parts));
	}
	t->parts[t->count++] = (struct sim_part){
	    .number = record->number,
	    .part = record->part,
	    .bytes = effect->bytes,
	    .len = record->len,
	};
	t->part_bytes += record->len;
	effect->bytes = NULL;
}

static void
target_flip(struct sim_target *t, const struct sim_effect *effect)
{
	const struct checkpoint *record = &effect->record;
	size_t parts = 0;

	for (size_t i = 0; i < t->count; i++)
		parts += t->parts[i].number == record->number;
	cr_assert_eq(parts, record->part, "a flip without all of its parts");
	cr_assert_leq(record->batch, effect->batch);
	t->number = record->number;
	t->batch = record->batch;
	free(t->position);
	t->position = xstrndup((const char *)effect->bytes, record->len);
	t->flips++;
}

static void
target_apply(struct sim_target *t, struct sim_effect *effect)
{
	const struct checkpoint *record = &effect->record;
	size_t i;

	if (record->step == CHECKPOINT_PART) {
		target_store(t, effect);
	} else if (record->step == CHECKPOINT_FLIP) {
		target_flip(t, effect);
	} else {
		i = target_find(t, record->number, record->part);
		cr_assert_lt(i, t->count, "a part is deleted that is not there");
		t->parts[i].forgotten = true;
		t->forgets++;
	}
	free(effect->bytes);
}

void
reduce_sim_target_commit(struct sim_target *t, uint64_t durable, bool death)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->effect_count; i++) {
		if (t->effects[i].batch <= durable)
			target_apply(t, &t->effects[i]);
		else if (death)
			free(t->effects[i].bytes);
		else
			t->effects[kept++] = t->effects[i];
	}
	t->effect_count = kept;
}

void
reduce_sim_target_note(struct sim_target *t, uint64_t batch, const struct checkpoint *record)
{
	if (t->effect_count == t->effect_room) {
		t->effect_room = t->effect_room > 0 ? t->effect_room * 2 : 64;
		t->effects = xreallocarray(t->effects, t->effect_room, sizeof(*t->effects));
	}
	struct sim_effect *effect = &t->effects[t->effect_count++];
	*effect = (struct sim_effect){.batch = batch, .record = *record};
	effect->bytes = xcalloc(1, record->len + 1);
	if (record->len > 0)
		memcpy(effect->bytes, record->data, record->len);
}

void
reduce_sim_target_sweep(struct sim *s)
{
	struct sim_target *t = &s->target;
	size_t kept = 0;
	bool late = model_random(&s->random, 2) == 0;

	for (size_t i = 0; i < t->count; i++) {
		bool gone = t->parts[i].number > t->number || (t->parts[i].forgotten && !late);
		if (gone)
			free(t->parts[i].bytes);
		else
			t->parts[kept++] = t->parts[i];
	}
	t->count = kept;
}

void
reduce_sim_image_fill(const struct sim *s, int fd)
{
	const struct sim_target *t = &s->target;
	struct image_record record = {.kind = IMAGE_VIEW};

	for (unsigned i = 0; i < s->pipeline->view_count; i++) {
		record.number = i;
		if (t->known[i])
			cr_assert_eq(image_put(fd, &record), 0);
	}
	if (t->number > 0) {
		record = (struct image_record){
		    .kind = IMAGE_CHECKPOINT,
		    .number = t->number,
		    .batch = t->batch,
		    .data = t->position,
		    .len = strlen(t->position),
		};
		cr_assert_eq(image_put(fd, &record), 0);
	}
	for (size_t i = 0; i < t->count; i++) {
		record = (struct image_record){
		    .kind = IMAGE_PART,
		    .number = t->parts[i].number,
		    .part = t->parts[i].part,
		    .data = t->parts[i].bytes,
		    .len = t->parts[i].len,
		};
		cr_assert_eq(image_put(fd, &record), 0);
	}
	cr_assert_eq(image_seal(fd), 0);
}

void
reduce_sim_target_fini(struct sim_target *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->parts[i].bytes);
	for (size_t i = 0; i < t->effect_count; i++)
		free(t->effects[i].bytes);
	for (unsigned i = 0; i < SIM_EXPECTED; i++)
		free(t->batch_position[i]);
	free(t->parts);
	free(t->effects);
	free(t->position);
}
