#include "egress/handover.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/image.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/encode.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define HEAD_BYTES 19 /* signature, flags, length of an extension that PostgreSQL does not have */

struct handover {
	struct target *target;
	struct encode_buffer bytes; /* of the COPY, not used up yet */
	bool headed, ended;
	uint64_t parts, size;
};

static void
handover_put(struct target *t, const struct image_record *r)
{
	/* Memory, in the end: another try in a while may find some. */
	if (image_put(t->stage->image, r) < 0)
		stage_fail(t->stage, EXIT_TEMPORARY, "image.write",
			   "cannot hand the checkpoint over: %s", strerror(errno));
}

/* Big-endian, `n` bytes. */
static uint64_t
handover_read(const uint8_t *at, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | at[i];
	return v;
}

/*
 * One row of (number, part, data) at the start of the buffer. Returns the bytes used, 0 when it is
 * not whole yet, -1 when it is no such row.
 */
static ssize_t
handover_take_row(struct handover *h)
{
	const uint8_t *at = h->bytes.data;
	const size_t head = 2 + 4 + 8 + 4 + 4 + 4;
	struct image_record r = {.kind = IMAGE_PART};

	if (h->bytes.len < 2)
		return 0;
	if (handover_read(at, 2) == UINT16_MAX) {
		h->ended = true;
		return 2;
	}
	if (handover_read(at, 2) != 3)
		return -1;
	if (h->bytes.len < head)
		return 0;
	r.len = handover_read(at + head - 4, 4);
	if (handover_read(at + 2, 4) != 8 || handover_read(at + 14, 4) != 4 || r.len > INT32_MAX)
		return -1;
	if (h->bytes.len - head < r.len)
		return 0;
	r.number = handover_read(at + 6, 8);
	r.part = (uint32_t)handover_read(at + 18, 4);
	r.data = at + head;
	handover_put(h->target, &r);
	h->parts++;
	h->size += r.len;
	return (ssize_t)(head + r.len);
}

/* What libpq gives is a row each time, but a pooler between may cut the stream elsewhere. */
static int
handover_take(struct handover *h, const void *data, size_t len)
{
	ssize_t used;

	encode_bytes(&h->bytes, data, len);
	while (!h->ended) {
		if (h->headed) {
			used = handover_take_row(h);
		} else {
			used = h->bytes.len < HEAD_BYTES ? 0 : HEAD_BYTES;
			h->headed = used > 0;
		}
		if (used <= 0)
			return (int)used;
		memmove(h->bytes.data, h->bytes.data + used, h->bytes.len - (size_t)used);
		h->bytes.len -= (size_t)used;
	}
	return 0;
}

_Noreturn static void
handover_refuse_parts(struct target *t)
{
	char *ddl = pipeline_command(t->stage->pipeline, "check --ddl", NULL);

	stage_fail(t->stage, EXIT_CONFIG, "checkpoint.table",
		   "tallyd.checkpoint is not as it should be: compare it with what %s prints, and"
		   " mend it",
		   ddl);
}

static int
handover_copy(struct handover *h)
{
	struct target *t = h->target;
	char *name = inspect_literal(t->stage->pipeline->name);
	char *sql = xasprintf("COPY (SELECT number, part, data FROM tallyd.checkpoint WHERE"
			      " pipeline = %s ORDER BY number, part) TO STDOUT (FORMAT binary)",
			      name);
	int got = postgres_copy_out(t->pg, sql);
	const void *data;
	size_t len;

	free(sql);
	free(name);
	while (got == 0 && (got = postgres_copy_get(t->pg, &data, &len)) > 0) {
		if (FAULT("egress.copy_out"))
			return target_break(t);
		if (handover_take(h, data, len) < 0)
			handover_refuse_parts(t);
		got = 0;
	}
	return got;
}

/* Written by one UPDATE each time: if one is there without the others, somebody has edited it. */
static enum inspect_result
handover_refuse(struct target *t, const char *why)
{
	const struct pipeline *p = t->stage->pipeline;
	char *name = inspect_literal(p->name);

	stage_report(t->stage, LOG_ERROR, NULL,
		     "the row of pipeline \"%s\" in tallyd.pipeline was edited: %s; put it back, or"
		     " give the checkpoint up, so that history is read again from its start:"
		     " UPDATE tallyd.pipeline SET checkpoint = NULL, checkpoint_batch = NULL,"
		     " checkpoint_position = NULL WHERE name = %s",
		     p->name, why, name);
	free(name);
	return INSPECT_REFUSED;
}

static enum inspect_result
handover_checkpoint(struct target *t)
{
	const char *values[1] = {t->stage->pipeline->name}, *number, *batch, *position;
	struct postgres_params params = {.count = 1, .values = values};
	struct handover h = {.target = t};
	int done;

	if (postgres_query(t->pg,
			   "SELECT checkpoint, checkpoint_batch, checkpoint_position::text"
			   " FROM tallyd.pipeline WHERE name = $1",
			   &params) < 0)
		return INSPECT_LOST;
	number = postgres_get(t->pg, 0, 0);
	batch = postgres_get(t->pg, 0, 1);
	position = postgres_get(t->pg, 0, 2);
	if (number == NULL && batch == NULL && position == NULL)
		return INSPECT_OK;
	if (number == NULL || batch == NULL || position == NULL)
		return handover_refuse(t, number == NULL ? "it has a checkpoint_batch or a"
							   " checkpoint_position, but no checkpoint"
							 : "it has a checkpoint, but no"
							   " checkpoint_batch or no"
							   " checkpoint_position");
	if (postgres_number(t->pg, 1) > t->batch)
		return handover_refuse(t, "checkpoint_batch is beyond batch");
	handover_put(t, &(struct image_record){.kind = IMAGE_CHECKPOINT,
					       .number = postgres_number(t->pg, 0),
					       .batch = postgres_number(t->pg, 1),
					       .data = position,
					       .len = strlen(position)});
	done = handover_copy(&h);
	encode_free(&h.bytes);
	if (done < 0)
		return INSPECT_LOST;
	log_info("checkpoint.read", "%" PRIu64 " parts, %" PRIu64 " bytes", h.parts, h.size);
	return INSPECT_OK;
}

static void
handover_views(struct target *t)
{
	for (unsigned i = 0; i < t->stage->pipeline->view_count; i++)
		if (t->tables[i].known)
			handover_put(t, &(struct image_record){.kind = IMAGE_VIEW, .number = i});
}

static int
handover_delete_unfinished(struct target *t)
{
	const char *values[1] = {t->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};

	return postgres_query(
	    t->pg,
	    "DELETE FROM tallyd.checkpoint c USING tallyd.pipeline p WHERE p.name = $1"
	    " AND c.pipeline = p.name AND c.number > coalesce(p.checkpoint, 0)",
	    &params);
}

enum inspect_result
handover_write(struct target *t)
{
	enum inspect_result result;
	int fd = t->stage->image;

	if (fd < 0 || image_is_sealed(fd))
		stage_fail(t->stage, EXIT_RECOVER, "image.sealed",
			   "an earlier take-over of this recovery has filled the image already");
	if (image_reset(fd) < 0)
		stage_fail(t->stage, EXIT_TEMPORARY, "image.write", "cannot empty the image: %s",
			   strerror(errno));
	if (handover_delete_unfinished(t) < 0)
		return INSPECT_LOST;
	handover_views(t);
	result = handover_checkpoint(t);
	if (result != INSPECT_OK)
		return result;
	if (FAULT("egress.image")) {
		postgres_close(t->pg);
		return INSPECT_LOST;
	}
	if (image_seal(fd) < 0)
		stage_fail(t->stage, EXIT_TEMPORARY, "image.write", "cannot seal the image: %s",
			   strerror(errno));
	t->taken = true;
	handover_close(t);
	return INSPECT_OK;
}

void
handover_close(struct target *t)
{
	if (t->stage->image >= 0)
		close(t->stage->image);
	t->stage->image = -1;
}
