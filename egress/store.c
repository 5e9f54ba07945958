#include "egress/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/encode.h"
#include "egress/postgres.h"
#include "egress/stream.h"
#include "egress/target.h"

struct store {
	struct target *target;
	struct encode_buffer numbers, parts; /* to be forgotten: two arrays of one length */
	uint32_t forgets;
	uint64_t number; /* whose parts this batch stores */
	uint64_t stored; /* how many of them */
	uint64_t flip_number, flip_parts;
	struct encode_buffer position; /* the ring's room may be given back before the end */
	bool flips;
	struct store_flip flip;
};

struct store *
store_new(struct target *t)
{
	struct store *s = xcalloc(1, sizeof(*s));

	s->target = t;
	return s;
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	encode_free(&s->numbers);
	encode_free(&s->parts);
	encode_free(&s->position);
	free(s);
}

void
store_begin(struct store *s)
{
	encode_clear(&s->numbers);
	encode_clear(&s->parts);
	encode_clear(&s->position);
	s->forgets = 0;
	s->number = s->stored = 0;
	s->flips = false;
}

void
store_put(struct store *s, struct stream *stream, const struct checkpoint *c)
{
	const char *name = s->target->stage->pipeline->name;
	struct encode_buffer *b = &stream->buffer;

	encode_int16(b, 4);
	encode_int32(b, (int32_t)strlen(name));
	encode_bytes(b, name, strlen(name));
	encode_integer(b, ENCODE_INT8, (int64_t)c->number);
	encode_integer(b, ENCODE_INT4, (int32_t)c->part);
	encode_int32(b, (int32_t)c->len);
	encode_bytes(b, c->data, c->len);
	if (c->number != s->number)
		s->stored = 0;
	s->number = c->number;
	s->stored++;
}

static void
store_note_forget(struct store *s, const struct checkpoint *c)
{
	if (s->forgets++ == 0) {
		encode_array_begin(&s->numbers, encode_oid(ENCODE_INT8));
		encode_array_begin(&s->parts, encode_oid(ENCODE_INT4));
	}
	encode_integer(&s->numbers, ENCODE_INT8, (int64_t)c->number);
	encode_integer(&s->parts, ENCODE_INT4, (int32_t)c->part);
}

bool
store_note(struct store *s, const struct checkpoint *c)
{
	if (c->step == CHECKPOINT_FORGET) {
		store_note_forget(s, c);
		return true;
	}
	if (c->step != CHECKPOINT_FLIP || s->flips || c->len == 0 || c->len > BOARD_POSITION_MAX ||
	    c->batch > INT64_MAX)
		return false;
	s->flips = true;
	s->flip_number = c->number;
	s->flip_parts = c->part;
	encode_bytes(&s->position, c->data, c->len);
	snprintf(s->flip.number, sizeof(s->flip.number), "%" PRIu64, c->number);
	snprintf(s->flip.batch, sizeof(s->flip.batch), "%" PRIu64, c->batch);
	snprintf(s->flip.parts, sizeof(s->flip.parts), "%" PRIu32, c->part);
	s->flip.position = s->position.data;
	s->flip.position_len = c->len;
	return true;
}

const struct store_flip *
store_flip(const struct store *s)
{
	return s->flips ? &s->flip : NULL;
}

int
store_forget(struct store *s)
{
	static const int formats[3] = {0, 1, 1};
	struct postgres_params params = {.count = 3, .formats = formats};

	if (s->forgets == 0)
		return 0;
	if (FAULT("egress.forget"))
		return target_break(s->target);
	encode_array_end(&s->numbers, s->forgets);
	encode_array_end(&s->parts, s->forgets);
	const char *values[3] = {s->target->stage->pipeline->name, (const char *)s->numbers.data,
				 (const char *)s->parts.data};
	const int lengths[3] = {0, (int)s->numbers.len, (int)s->parts.len};
	params.values = values;
	params.lengths = lengths;
	if (postgres_query(
		s->target->pg,
		"DELETE FROM tallyd.checkpoint c USING unnest($2::bigint[], $3::integer[])"
		" AS f(number, part) WHERE c.pipeline = $1 AND c.number = f.number"
		" AND c.part = f.part",
		&params) < 0)
		return target_failed(s->target, "delete parts of old checkpoints");
	return 0;
}

int
store_check_parts(struct store *s)
{
	struct target *t = s->target;
	const char *values[2] = {t->stage->pipeline->name, s->flip.number};
	struct postgres_params params = {.count = 2, .values = values};
	uint64_t there;

	if (!s->flips)
		return 0;
	if (postgres_query(t->pg,
			   "SELECT count(*) FROM tallyd.checkpoint WHERE pipeline = $1"
			   " AND number = $2::bigint",
			   &params) < 0)
		return target_failed(t, "count the parts of the checkpoint");
	there = strtoull(postgres_get(t->pg, 0, 0), NULL, 10);
	/* Those of this batch went with its transaction. */
	if (s->number == s->flip_number)
		there += s->stored;
	if (there == s->flip_parts)
		return 0;
	stage_fail(t->stage, EXIT_RECOVER, "checkpoint.parts",
		   "checkpoint %s of pipeline \"%s\" has %s parts, but tallyd.checkpoint holds"
		   " %" PRIu64 " of them: somebody has edited it; it is not used, the one before"
		   " it stays",
		   s->flip.number, t->stage->pipeline->name, s->flip.parts, there);
}
