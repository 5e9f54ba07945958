/*
 * stream.h - one binary COPY into the target at a time, handed over in pieces.
 *
 * Calls return 0, or -1 when the connection is to be opened anew: what was said is said.
 */
#ifndef EGRESS_STREAM_H
#define EGRESS_STREAM_H

#include <stdbool.h>

#include "egress/encode.h"

struct target;

struct stream { /* zero-initialised but for the target, which is borrowed */
	struct target *target;
	bool open;
	char what[200];              /* for messages: "copy into public.totals" */
	struct encode_buffer buffer; /* rows to be handed over: whoever streams appends to it */
};

/* The connection is gone, or a new one: nothing is open. */
void stream_reset(struct stream *);
void stream_free(struct stream *);

/* As target_break(). */
int stream_break(struct stream *);

/* Begin `COPY into FROM STDIN`; `into` is a table with its column list. Nothing may be open. */
int stream_open(struct stream *, const char *into);

/* Hand what was appended to the kernel; all of it, or when there is a good deal of it. */
int stream_flush(struct stream *);
bool stream_is_full(const struct stream *);

/* End the COPY that is open, if any: only now the server says what it thinks of the rows. */
int stream_close(struct stream *);

#endif
