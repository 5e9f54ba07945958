/*
 * reduce_model.h - a pipeline built by hand, and what its views should show, computed anew from a
 * list of rows: the tests of the reduce stage hold its running sums against it.
 */
#ifndef REDUCE_MODEL_H
#define REDUCE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pipeline.h"
#include "common/value.h"

enum model_column { /* of both tables, "keyed" (index 0) and "keyless" (index 1) */
		    MODEL_ID,
		    MODEL_STATUS, /* text */
		    MODEL_AMOUNT, /* numeric without a scale */
		    MODEL_QTY,    /* integer */
		    MODEL_BIG,    /* bigint */
		    MODEL_FLAG,   /* boolean */
		    MODEL_PRICE,  /* numeric(20,2) */
		    MODEL_RATIO,  /* double precision */
		    MODEL_SPAN,   /* interval */
		    MODEL_NOTE,   /* jsonb */
		    MODEL_SMALL,  /* smallint, and so on */
		    MODEL_REAL,
		    MODEL_MONEY,
		    MODEL_LETTERS, /* varchar */
		    MODEL_PADDED,  /* char */
		    MODEL_BINARY,  /* bytea */
		    MODEL_UUID,
		    MODEL_DATE,
		    MODEL_TIME,
		    MODEL_STAMP, /* timestamp */
		    MODEL_ZONED, /* timestamptz */
		    MODEL_TEXT,  /* json */
		    MODEL_INET,
		    MODEL_MOOD, /* enum */
		    MODEL_LIST, /* integer[] */
		    MODEL_COLUMNS
};

/* Eight views over each table; view i and i + 8 have one shape. */
#define MODEL_SHAPES 9

struct pipeline *model_pipeline(void); /* two servers, two tables; heap */
void model_pipeline_free(struct pipeline *);

/* Repeatable numbers: seed first, then less than `below`. */
struct model_random {
	uint64_t state;
};
uint64_t model_random(struct model_random *, uint64_t below);

struct model_row {
	struct value values[MODEL_COLUMNS]; /* texts are static */
};

/* A random row; few distinct values, NULLs among them. `id` goes into MODEL_ID. */
void model_row_random(struct model_random *, int64_t id, struct model_row *);
bool model_row_equal(const struct model_row *, const struct model_row *);

struct model_bytes {
	uint8_t *bytes;
	size_t len;
};

/*
 * The packed rows that a view shows of these rows, in any order. Heap; free with
 * model_rows_free().
 */
struct model_bytes *model_view(const struct view *, const struct table *,
			       const struct model_row *rows, unsigned count, unsigned *shown);
void model_rows_free(struct model_bytes *, unsigned count);

/* Rows of a view as folded from diffs. */
struct model_fold {
	struct model_bytes *rows;
	unsigned count, room;
};

/* False when a -1 names a row that is not live, or a +1 one that is. */
bool model_fold_apply(struct model_fold *, int diff, const uint8_t *row, size_t len);
bool model_fold_equals(const struct model_fold *, const struct model_bytes *, unsigned count);
void model_fold_free(struct model_fold *);

#endif
