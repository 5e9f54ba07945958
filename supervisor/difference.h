/*
 * difference.h - what a changed pipeline file changes in a running pipeline, and what each change
 * costs.
 */
#ifndef DIFFERENCE_H
#define DIFFERENCE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/board.h"

struct pipeline;

enum effect {                 /* in rising order of what it costs */
	      EFFECT_LIVE,    /* nobody stops but, for views, egress for a moment */
	      EFFECT_EGRESS,  /* egress starts again, alone */
	      EFFECT_INGEST,  /* one ingest starts again, alone */
	      EFFECT_REBUILD, /* a full recovery, which brings the view's table to its new SELECT */
	      EFFECT_REPLAY,  /* a full recovery that reads the whole history again */
	      EFFECT_REFUSED,
};

struct difference {
	enum effect effect;
	unsigned server; /* EFFECT_INGEST: whose */
	char *text;      /* what has changed; refused: and what to do. Heap */
};

struct differences {
	struct difference *list;
	unsigned count;
	bool fills; /* there are new views, or such as are to be rebuilt */
	/* Who must be given a new section. */
	bool egress, reduce, ingests[BOARD_STAGES_MAX];
};

/*
 * Compare a new file with the one that is in force, `file`, and with what runs, which may have more
 * tables (nothing reads them any more). A view of the new file whose `rebuild` is set may have
 * another SELECT. No option's value is ever named.
 */
void differences_find(struct differences *, const struct pipeline *running,
		      const struct pipeline *file, const struct pipeline *new);
void differences_free(struct differences *);

bool differences_have(const struct differences *, enum effect);

/* One line for each: "live: ...", "restart of ingest: ...", "refused: ..."; else "no change". */
void differences_print(const struct differences *, const struct pipeline *, FILE *);

/*
 * The running pipeline with what is live in a new file: tables and old views keep their indices,
 * those that the file no longer has are marked as dropped, new ones stand at the end. Takes over
 * `new`. Options of servers are those of `new`. The caller frees the result.
 */
struct pipeline *differences_merge(const struct pipeline *running, struct pipeline *new);

#endif
