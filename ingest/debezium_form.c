/*
 * debezium_form.c - the quick way through a message whose form is known (form.h).
 *
 * What is written as most are is read here at a glance, without a scanner; each of these functions gives
 * what decoder_take_slot() would give, or NULL, and then that is asked.
 */
#include "ingest/debezium_state.h"

#include "common/glance.h"
#include "ingest/place.h"

/* A whole number that is all of a value. */
static inline const char *
slot_number(const char *s, const char *end, uint64_t *n)
{
	const char *after = glance_number(s, end, n);

	return after != NULL && glance_ends(after, end) ? after : NULL;
}

static inline bool
slot_is(const char *s, const char *end, const char *word, size_t len)
{
	return (size_t)(end - s) > len && memcmp(s, word, len) == 0;
}

/* A value that nobody wants; most numbers have as many digits as in the message before. */
static inline const char *
slot_skip(struct slot *slot, const char *s, const char *end)
{
	if (*s == '"') {
		const char *quote = glance_quote(s + 1, end);
		return quote != NULL ? quote + 1 : NULL;
	}
	const char *after = glance_digits(s, end, slot->digits);
	if (after == NULL) {
		after = digits_end(s, end);
		slot->digits = (size_t)(after - s);
	}
	if (after == s)
		return slot_is(s, end, "null", 4) || slot_is(s, end, "true", 4) ? s + 4 : NULL;
	return glance_ends(after, end) ? after : NULL;
}

static inline const char *
slot_column(struct decoder *d, unsigned i, const struct fields *f, const char *s, const char *end)
{
	const struct column *column = f->columns[i];
	struct value *v = &f->values[i];
	uint64_t n;

	if (*s >= '0' && *s <= '9') {
		const char *after = slot_number(s, end, &n);
		return after != NULL && convert_whole(column, n, v) ? after : NULL;
	}
	if (*s != '"')
		return NULL;
	const char *quote = glance_text(s + 1, end);
	if (quote == NULL)
		return NULL;
	const struct slice text = {s + 1, (size_t)(quote - s - 1)};
	return convert_plain(&d->convert, column, &f->schema.shapes[i], text, v) ? quote + 1 : NULL;
}

static inline const char *
slot_op(const char *s, const char *end, struct envelope *e)
{
	if (end - s < 3 || s[0] != '"' || s[2] != '"' || !decoder_is_change(s[1]))
		return NULL;
	e->op = s[1];
	return s + 3;
}

static inline const char *
slot_time(const char *s, const char *end, int64_t *time_ms)
{
	uint64_t n;
	const char *after = slot_number(s, end, &n);

	if (after != NULL)
		*time_ms = (int64_t)n;
	return after;
}

/* What stands at s, at a glance: behind it. NULL: decoder_take_slot() is to be asked. */
static inline const char *
slot_glance(struct decoder *d, struct slot *slot, const struct fields *f, const char *s,
	    const char *end, struct envelope *e, struct event_place *p)
{
	const char *after;

	if (s == end)
		return NULL;
	switch (slot->kind) {
	case SLOT_SKIP:
		return slot_skip(slot, s, end);
	case SLOT_COLUMN:
		return slot_column(d, slot->index, f, s, end);
	case SLOT_BEFORE:
		return slot_is(s, end, "null", 4) ? s + 4 : NULL;
	case SLOT_OP:
		return slot_op(s, end, e);
	case SLOT_TIME:
		return slot_time(s, end, &e->time_ms);
	case SLOT_LSN:
		after = slot_number(s, end, &p->lsn);
		p->has_lsn = after != NULL;
		return after;
	case SLOT_XID:
		return slot_number(s, end, &p->xid);
	case SLOT_SOURCE_MS:
		return slot_time(s, end, &p->source_ms);
	case SLOT_SNAPSHOT:
		if (!slot_is(s, end, "\"false\"", 7))
			return NULL;
		p->snapshot = SNAPSHOT_FALSE;
		return s + 7;
	case SLOT_SEQUENCE:
		return place_glance_sequence(s, end, p);
	case SLOT_ORDER:
		return slot_time(s, end, &p->order);
	case SLOT_VERSION:
		break;
	}
	return NULL;
}

/* As the scanner's way reads it: behind it. NULL: the form is none of this message. */
static const char *
slot_scan(struct decoder *d, const struct slot *slot, struct fields *f, struct slice text,
	  const char *s, struct envelope *e, struct event_place *p)
{
	struct json j;

	json_init(&j, text.s, text.len);
	j.at = s;
	j.depth = slot->depth;
	j.arrays = slot->arrays;
	return !d->convert.failed && decoder_take_slot(d, slot, f, &j, e, p) && j.error == NULL
		   ? j.at
		   : NULL;
}

static bool
decoder_replay(struct decoder *d, const struct form *form, struct fields *f, struct slice text,
	       struct envelope *e, struct event_place *p)
{
	const char *bytes = form->bytes, *at = text.s, *end = text.s + text.len, *after;
	struct slot *last = form->slots + form->count;

	for (struct slot *slot = form->slots; slot < last; slot++) {
		if ((at = form_pass(at, end, bytes, slot->before)) == NULL)
			return false;
		bytes += slot->before;
		if ((after = slot_glance(d, slot, f, at, end, e, p)) == NULL &&
		    (after = slot_scan(d, slot, f, text, at, e, p)) == NULL)
			return false;
		at = after;
	}
	return form_pass(at, end, bytes, (size_t)(form->bytes + form->bytes_len - bytes)) == end;
}

bool
decoder_try_forms(struct decoder *d, struct forms *forms, struct fields *f, struct slice text,
		  struct envelope *e, struct event_place *p)
{
	const size_t text_used = d->convert.text_used;
	const struct form *form;

	forms_begin(forms, f->schema.generation);
	while ((form = forms_next(forms)) != NULL) {
		if (decoder_replay(d, form, f, text, e, p)) {
			e->has_source = true;
			e->has_after = e->read_after = form->has_after;
			f->schema.skipped += f->schema.len > 0;
			forms_found(forms);
			return true;
		}
		*e = (struct envelope){0};
		*p = (struct event_place){0};
		d->convert.failed = false;
		d->convert.text_used = text_used;
	}
	forms_study(forms, text);
	return false;
}
