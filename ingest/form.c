#include "ingest/form.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/stage.h"

#define FORM_SLOTS_MAX 4096u
#define FORM_BYTES_MAX (64u * 1024)
#define FORMS_IN_VAIN  16   /* then the messages of this table seem to have no form */
#define FORMS_AGAIN    1024 /* messages, before that is tried again */

/* Keep the bytes from the last slot on. */
static size_t
lesson_keep(struct lesson *l, const char *to)
{
	size_t len = (size_t)(to - l->at);
	INVARIANT(to >= l->at);
	if (len > FORM_BYTES_MAX - l->bytes_len) {
		l->failed = true;
		return 0;
	}
	if (l->bytes_room - l->bytes_len < len) {
		l->bytes_room = l->bytes_len + len;
		l->bytes = xreallocarray(l->bytes, l->bytes_room, 1);
	}
	if (len > 0)
		memcpy(l->bytes + l->bytes_len, l->at, len);
	l->bytes_len += len;
	return len;
}

void
lesson_slot(struct lesson *l, enum slot_kind kind, unsigned index, const struct json *j)
{
	if (l == NULL || l->open++ > 0 || l->failed)
		return;
	if (l->count == l->room) {
		l->room = l->room > 0 ? 2 * l->room : 32;
		l->failed = l->room > FORM_SLOTS_MAX;
		l->slots = xreallocarray(l->slots, l->room, sizeof(*l->slots));
	}
	l->slots[l->count++] = (struct slot){
	    .kind = kind,
	    .index = index,
	    .depth = j->depth,
	    .arrays = j->arrays,
	    .before = lesson_keep(l, j->at),
	};
}

void
lesson_slot_end(struct lesson *l, const struct json *j)
{
	if (l == NULL || --l->open > 0)
		return;
	l->at = j->at;
}

struct lesson *
forms_lesson(struct forms *f)
{
	return f->learning ? &f->lesson : NULL;
}

void
forms_begin(struct forms *f, uint64_t generation)
{
	f->messages++;
	f->generation = generation;
	f->next = f->last;
	f->tried = 0;
}

const struct form *
forms_next(struct forms *f)
{
	while (f->tried < FORMS_MAX) {
		const struct form *form = &f->form[f->next];
		f->last = f->next;
		f->next = (f->next + 1) % FORMS_MAX;
		f->tried++;
		if (form->used > 0 && form->generation == f->generation)
			return form;
	}
	return NULL;
}

void
forms_found(struct forms *f)
{
	f->form[f->last].used = f->messages;
	f->found++;
	f->in_vain = 0;
}

void
forms_study(struct forms *f, struct slice text)
{
	struct lesson *l = &f->lesson;

	f->learning = f->in_vain < FORMS_IN_VAIN || f->messages % FORMS_AGAIN == 0;
	l->text = l->at = text.s;
	l->len = text.len;
	l->bytes_len = 0;
	l->count = l->open = 0;
	l->failed = false;
}

void
forms_learn(struct forms *f, uint64_t generation, bool has_after)
{
	struct lesson *l = &f->lesson;
	unsigned oldest = 0;

	if (!f->learning)
		return;
	f->in_vain++;
	lesson_keep(l, l->text + l->len);
	if (l->failed)
		return;
	for (unsigned i = 1; i < FORMS_MAX; i++)
		if (f->form[i].used < f->form[oldest].used)
			oldest = i;
	struct form *form = &f->form[oldest];
	form->slots = xreallocarray(form->slots, l->count + 1u, sizeof(*form->slots));
	form->bytes = xreallocarray(form->bytes, l->bytes_len + 1, 1);
	if (l->count > 0)
		memcpy(form->slots, l->slots, l->count * sizeof(*form->slots));
	if (l->bytes_len > 0)
		memcpy(form->bytes, l->bytes, l->bytes_len);
	form->count = l->count;
	form->bytes_len = l->bytes_len;
	form->generation = generation;
	form->has_after = has_after;
	form->used = f->messages;
	f->last = oldest;
}

void
forms_end(struct forms *f)
{
	f->learning = false;
}

void
forms_free(struct forms *f)
{
	for (unsigned i = 0; i < FORMS_MAX; i++) {
		free(f->form[i].slots);
		free(f->form[i].bytes);
	}
	free(f->lesson.slots);
	free(f->lesson.bytes);
	*f = (struct forms){.last = 0};
}
