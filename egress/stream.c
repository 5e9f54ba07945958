#include "egress/stream.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/stage.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define STREAM_BYTES (128u * 1024) /* handed to libpq at a time */

void
stream_reset(struct stream *s)
{
	s->open = false;
	encode_clear(&s->buffer);
}

void
stream_free(struct stream *s)
{
	encode_free(&s->buffer);
}

static int
stream_failed(struct stream *s)
{
	stream_reset(s);
	return target_failed(s->target, s->what);
}

int
stream_break(struct stream *s)
{
	stream_reset(s);
	return target_break(s->target);
}

int
stream_open(struct stream *s, const char *into)
{
	static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"; /* and the array's own 0 */
	char *sql = xasprintf("COPY %s FROM STDIN (FORMAT binary)", into);
	int done;

	INVARIANT(!s->open);
	snprintf(s->what, sizeof(s->what), "copy into %s", into);
	done = postgres_copy_begin(s->target->pg, sql);
	free(sql);
	if (done < 0)
		return stream_failed(s);
	s->open = true;
	encode_clear(&s->buffer);
	encode_bytes(&s->buffer, head, 19);
	return FAULT("egress.copying") ? stream_break(s) : 0;
}

bool
stream_is_full(const struct stream *s)
{
	return s->buffer.len >= STREAM_BYTES;
}

int
stream_flush(struct stream *s)
{
	if (!s->open || s->buffer.len == 0)
		return 0;
	/* A server that takes all at once never makes us wait, so the heartbeat needs this. */
	stage_poll(s->target->stage, NULL, 0, 0);
	if (postgres_copy_put(s->target->pg, s->buffer.data, s->buffer.len) < 0)
		return stream_failed(s);
	encode_clear(&s->buffer);
	return 0;
}

int
stream_close(struct stream *s)
{
	if (!s->open)
		return 0;
	encode_int16(&s->buffer, -1);
	if (stream_flush(s) < 0)
		return -1;
	s->open = false;
	if (FAULT("egress.copy_end"))
		return stream_break(s);
	return postgres_copy_end(s->target->pg) < 0 ? stream_failed(s) : 0;
}
