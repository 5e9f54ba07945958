/*
 * store.c - checkpoints as the fake target keeps them, in every state that it ever had, and the image
 * that a full recovery gets of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/image.h"
#include "common/log.h"
#include "tests/sim/sim.h"

#define ALWAYS UINT64_MAX

static bool
part_is_there(const struct stored_part *p, uint64_t batch)
{
	return p->born <= batch && batch < p->gone;
}

void
store_clear(struct store *s)
{
	for (unsigned i = 0; i < s->count; i++)
		free(s->part[i].data);
	s->count = 0;
}

/* The target is set back: what came later never was. */
void
store_rewind(struct store *s, uint64_t batch)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < s->count; i++) {
		struct stored_part *p = &s->part[i];
		if (p->born > batch) {
			free(p->data);
			continue;
		}
		if (p->gone > batch)
			p->gone = ALWAYS;
		s->part[kept++] = *p;
	}
	s->count = kept;
}

static struct stored_part *
store_find(struct store *s, uint64_t batch, uint64_t number, uint32_t part)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->part[i].number == number && s->part[i].part == part &&
		    part_is_there(&s->part[i], batch))
			return &s->part[i];
	return NULL;
}

static void
store_part(struct store *s, uint64_t batch, const struct checkpoint *c)
{
	if (store_find(s, batch, c->number, c->part) != NULL)
		sim_fail(FAILURE_STORE, "part %" PRIu32 " of checkpoint %" PRIu64 " twice", c->part,
			 c->number);
	if (s->count == s->room) {
		s->room = s->room * 2 + 64;
		s->part = xreallocarray(s->part, s->room, sizeof(*s->part));
	}
	struct stored_part *p = &s->part[s->count++];
	*p = (struct stored_part){
	    .number = c->number, .part = c->part, .born = batch, .gone = ALWAYS, .len = c->len};
	p->data = xcalloc(c->len + 1, 1);
	memcpy(p->data, c->data, c->len);
}

static void
store_flip(struct world *w, uint64_t batch, const struct checkpoint *c)
{
	struct commit *at = &w->target.at[batch];
	const struct commit *of = &w->target.at[c->batch];
	unsigned parts = 0;
	for (unsigned i = 0; i < w->target.store.count; i++)
		parts += w->target.store.part[i].number == c->number &&
			 part_is_there(&w->target.store.part[i], batch);
	if (parts != c->part)
		sim_fail(FAILURE_STORE, "checkpoint %" PRIu64 " has %u parts, not %" PRIu32,
			 c->number, parts, c->part);
	if (c->batch > batch || c->number <= at->checkpoint || c->len != of->len ||
	    memcmp(c->data, of->position, of->len) != 0)
		sim_fail(FAILURE_STORE,
			 "checkpoint %" PRIu64 " is not of the position of batch %" PRIu64,
			 c->number, c->batch);
	at->checkpoint = c->number;
	at->checkpoint_batch = c->batch;
	w->totals.checkpoints++;
}

void
store_apply(struct world *w, uint64_t batch, const struct checkpoint *c)
{
	struct store *s = &w->target.store;
	struct stored_part *p;
	switch (c->step) {
	case CHECKPOINT_PART:
		store_part(s, batch, c);
		break;
	case CHECKPOINT_FLIP:
		store_flip(w, batch, c);
		break;
	case CHECKPOINT_FORGET:
		p = store_find(s, batch, c->number, c->part);
		if (p != NULL)
			p->gone = batch;
		break;
	}
}

/* A take-over of a full recovery: an unfinished checkpoint is deleted. */
void
store_take_over(struct target *t)
{
	struct store *s = &t->store;
	unsigned kept = 0;
	for (unsigned i = 0; i < s->count; i++) {
		struct stored_part *p = &s->part[i];
		if (part_is_there(p, t->batch) && p->number > t->at[t->batch].checkpoint)
			free(p->data);
		else
			s->part[kept++] = *p;
	}
	s->count = kept;
}

static int
part_compare(const void *a, const void *b)
{
	const struct stored_part *p = a, *q = b;
	if (p->number != q->number)
		return p->number < q->number ? -1 : 1;
	return (p->part > q->part) - (p->part < q->part);
}

static void
put(int fd, const struct image_record *record)
{
	if (image_put(fd, record) != 0)
		sim_fail(FAILURE_CRASH, "the image: %s", strerror(errno));
}

static void
image_fill(const struct target *t, int fd, bool stored)
{
	const struct commit *c = &t->at[t->batch], *of = &t->at[c->checkpoint_batch];
	for (unsigned i = 0; i < SIM_VIEWS; i++)
		if (c->known >> i & 1)
			put(fd, &(struct image_record){.kind = IMAGE_VIEW, .number = i});
	if (c->checkpoint > 0 && stored)
		put(fd, &(struct image_record){.kind = IMAGE_CHECKPOINT,
					       .number = c->checkpoint,
					       .batch = c->checkpoint_batch,
					       .data = of->position,
					       .len = of->len});
	for (unsigned i = 0; i < t->store.count; i++) {
		const struct stored_part *p = &t->store.part[i];
		if (part_is_there(p, t->batch) && p->number <= c->checkpoint && stored)
			put(fd, &(struct image_record){.kind = IMAGE_PART,
						       .number = p->number,
						       .part = p->part,
						       .data = p->data,
						       .len = p->len});
	}
}

/* `stored` false: as if there were no checkpoint. */
void
store_load(struct world *w, struct core *core, bool stored)
{
	struct store *s = &w->target.store;
	struct image image;
	int fd = image_create();
	/* Its order is (number, part), whenever each was written. */
	if (s->count > 1)
		qsort(s->part, s->count, sizeof(*s->part), part_compare);
	if (fd != -1)
		image_fill(&w->target, fd, stored);
	if (fd == -1 || image_seal(fd) != 0 || image_open(&image, fd) != 0)
		sim_fail(FAILURE_CRASH, "the image: %s", strerror(errno));
	if (core_load(core, &image) == CORE_FAILED)
		sim_fail(FAILURE_REFUSED, "core: %s", core_error(core)->text);
	if (core_refusal(core) != NULL)
		sim_fail(FAILURE_STORE, "the checkpoint is not used: %s", core_refusal(core));
	image_close(&image);
	close(fd);
}
