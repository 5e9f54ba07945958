#include "egress/commit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/dead_letter.h"
#include "egress/postgres.h"
#include "egress/store.h"
#include "egress/stream.h"
#include "egress/target.h"
#include "egress/views.h"

#define STATEMENTS 16
#define NO_VIEW    UINT_MAX
#define PARTS      (UINT_MAX - 1) /* as a view that is copied: parts of the checkpoint */
#define LETTERS    (UINT_MAX - 2)

/* The parameters that every commit has; the columns of the views come after them. */
enum {
	PARAM_BATCH,
	PARAM_TIME,
	PARAM_POSITION,
	PARAM_NAME,
	PARAM_EPOCH,
	PARAMS,
	PARAM_CHECKPOINT = PARAMS, /* of a flip, which has no columns */
	PARAM_CHECKPOINT_BATCH,
	PARAM_CHECKPOINT_POSITION,
	PARAM_CHECKPOINT_PARTS,
	PARAMS_FLIP,
};

/* I4. The division makes the transaction fail when no row was matched. */
#define COMPARE_AND_SET_WITH(set, condition)                                                       \
	"WITH u AS (UPDATE tallyd.pipeline SET batch = $1::bigint, \"time\" = $2::bigint,"         \
	" position = coalesce($3::text::jsonb, position)," set                                     \
	" updated = pg_catalog.clock_timestamp()"                                                  \
	" WHERE name = $4::text AND epoch = $5::bigint AND batch = $1::bigint - 1"                 \
	" AND \"time\" < $2::bigint" condition " RETURNING 1)"
#define COMPARE_AND_SET COMPARE_AND_SET_WITH("", "")
#define COMPARED        " SELECT 1 / count(*) FROM u"

/* I8. A checkpoint counts from the commit on that finds all of its parts. */
#define COMPARE_AND_FLIP                                                                           \
	COMPARE_AND_SET_WITH(" checkpoint = $6::bigint, checkpoint_batch = $7::bigint,"            \
			     " checkpoint_position = $8::text::jsonb,",                            \
			     " AND $9::bigint = (SELECT count(*) FROM tallyd.checkpoint c"         \
			     " WHERE c.pipeline = $4::text AND c.number = $6::bigint)")

struct commit_view {
	const struct view *view;
	const struct target_table *table;
	enum type *types;              /* of the outputs */
	struct encode_buffer *columns; /* gathered: one array for each output, and diff */
	uint32_t rows;                 /* gathered */
};

struct statement {    /* a commit of a certain set of views, kept for the next one */
	uint8_t *set; /* a byte for each view */
	char *sql;
	char name[16];
	bool prepared; /* in the present connection */
	uint64_t used; /* number of the use: 0 is a free slot */
};

struct commit {
	struct target *target;
	struct commit_view *views;
	unsigned view_count;
	struct value *values; /* of one row; as many as the widest view has */
	uint64_t number, time, rows, letters;
	bool streaming;
	unsigned copying; /* view whose COPY is open, LETTERS, PARTS, or NO_VIEW */
	struct stream stream;
	struct store *store;
	struct views *known; /* what the batch says of views */
	struct statement statements[STATEMENTS];
	uint64_t uses;
	uint8_t *set; /* scratch: views of this batch */
	const char **param_values;
	int *param_lengths, *param_formats;
	char number_text[24], time_text[24], epoch_text[24];
};

#ifdef TALLYD_FAULTS
bool
commit_splits(void)
{
	return getenv("TALLYD_SPLIT_POSITION") != NULL;
}
#endif

struct commit *
commit_new(struct target *t)
{
	const struct pipeline *p = t->stage->pipeline;
	struct commit *c = xcalloc(1, sizeof(*c));
	unsigned widest = 0;
	size_t params = PARAMS_FLIP;

	c->target = c->stream.target = t;
	c->store = store_new(t);
	c->known = views_new(t);
	c->view_count = p->view_count;
	c->views = xcalloc(p->view_count + 1, sizeof(*c->views));
	for (unsigned i = 0; i < p->view_count; i++) {
		const struct view *v = &p->views[i];
		struct commit_view *cv = &c->views[i];

		cv->view = v;
		cv->table = &t->tables[i];
		cv->types = xcalloc(v->output_count + 1, sizeof(*cv->types));
		cv->columns = xcalloc(v->output_count + 1, sizeof(*cv->columns));
		for (unsigned o = 0; o < v->output_count; o++)
			cv->types[o] = v->outputs[o].type;
		widest = v->output_count > widest ? v->output_count : widest;
		params += v->output_count + 1;
	}
	c->values = xcalloc(widest + 1, sizeof(*c->values));
	c->set = xcalloc(p->view_count + 1, 1);
	c->param_values = xcalloc(params, sizeof(*c->param_values));
	c->param_lengths = xcalloc(params, sizeof(*c->param_lengths));
	c->param_formats = xcalloc(params, sizeof(*c->param_formats));
	c->copying = NO_VIEW;
	return c;
}

void
commit_free(struct commit *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->view_count; i++) {
		for (unsigned o = 0; o <= c->views[i].view->output_count; o++)
			encode_free(&c->views[i].columns[o]);
		free(c->views[i].columns);
		free(c->views[i].types);
	}
	for (unsigned i = 0; i < STATEMENTS; i++) {
		free(c->statements[i].set);
		free(c->statements[i].sql);
	}
	stream_free(&c->stream);
	store_free(c->store);
	views_free(c->known);
	free(c->views);
	free(c->values);
	free(c->set);
	free(c->param_values);
	free(c->param_lengths);
	free(c->param_formats);
	free(c);
}

void
commit_connected(struct commit *c)
{
	for (unsigned i = 0; i < STATEMENTS; i++)
		c->statements[i].prepared = false;
	c->streaming = false;
}

static void
commit_forget(struct commit *c)
{
	for (unsigned i = 0; i < c->view_count; i++)
		c->views[i].rows = 0;
	c->rows = c->letters = 0;
	c->copying = NO_VIEW;
	store_begin(c->store);
	views_restart(c->known);
	stream_reset(&c->stream);
}

void
commit_begin(struct commit *c, uint64_t number, int64_t time_ms)
{
	uint64_t now = time_ms > 0 ? (uint64_t)time_ms : 0;

	commit_forget(c);
	views_begin(c->known);
	c->number = number;
	c->time = now > c->target->time ? now : c->target->time + 1; /* I6 */
	c->streaming = false;
}

int
commit_skip(struct commit *c, uint64_t number, bool *filled)
{
	if (c->number == number)
		commit_forget(c);
	else
		commit_begin(c, number, 0);
	c->streaming = false;
	return views_filled(c->known, filled);
}

uint64_t
commit_rows(const struct commit *c)
{
	return c->rows;
}

uint64_t
commit_letters(const struct commit *c)
{
	return c->letters;
}

bool
commit_streams(const struct commit *c)
{
	return c->streaming;
}

static int
commit_failed(struct commit *c, const char *what)
{
	return target_failed(c->target, what);
}

static void
commit_refuse_value(struct commit *c, const struct commit_view *cv, unsigned output,
		    enum encode_result why)
{
	const struct output *o = &cv->view->outputs[output];
	const struct encode_column *column = &cv->table->encode[output];
	char text[64];

	encode_describe(&c->values[output], text, sizeof(text));
	char *name = inspect_identifier(o->name);
	if (why == ENCODE_TOO_LONG)
		stage_fail(c->target->stage, EXIT_DATA, "target.value",
			   "view %s: \"%s\" is longer than column %s of %s, varchar(%u), takes:"
			   " ALTER TABLE %s ALTER COLUMN %s TYPE text",
			   cv->view->name, text, name, cv->table->name, column->limit,
			   cv->table->name, name);
	stage_fail(c->target->stage, EXIT_DATA, "target.value",
		   "view %s: %s is out of range of column %s of %s, %s:"
		   " ALTER TABLE %s ALTER COLUMN %s TYPE %s",
		   cv->view->name, text, name, cv->table->name, encode_type_name(column->type),
		   cv->table->name, name, type_name(o->type));
}

static struct commit_view *
commit_unpack(struct commit *c, uint16_t view, const uint8_t *row, size_t len)
{
	struct commit_view *cv;

	if (view >= c->view_count)
		return NULL;
	cv = &c->views[view];
	return row_unpack(row, len, cv->types, cv->view->output_count, c->values) ? cv : NULL;
}

bool
commit_gather(struct commit *c, uint16_t view, int diff, const uint8_t *row, size_t len)
{
	struct commit_view *cv = commit_unpack(c, view, row, len);
	unsigned n;

	if (cv == NULL)
		return false;
	if (cv->view->dropped) {
		c->rows++;
		return true;
	}
	n = cv->view->output_count;
	if (cv->rows == 0) {
		for (unsigned o = 0; o < n; o++)
			encode_array_begin(&cv->columns[o], cv->table->encode[o].type);
		encode_array_begin(&cv->columns[n], ENCODE_INT2);
	}
	for (unsigned o = 0; o < n; o++) {
		enum encode_result result =
		    encode_value(&cv->columns[o], &cv->table->encode[o], &c->values[o]);

		if (result != ENCODE_OK)
			commit_refuse_value(c, cv, o, result);
	}
	encode_integer(&cv->columns[n], ENCODE_INT2, diff);
	cv->rows++;
	c->rows++;
	return true;
}

/* --- streaming ----------------------------------------------------------------------------- */

int
commit_stream_begin(struct commit *c)
{
	commit_forget(c);
	c->streaming = true;
	if (FAULT("egress.before_insert"))
		return stream_break(&c->stream);
	if (postgres_script(c->target->pg, "BEGIN") < 0)
		return commit_failed(c, "begin");
	return FAULT("egress.begun") ? stream_break(&c->stream) : 0;
}

int
commit_stream_flush(struct commit *c)
{
	return stream_flush(&c->stream);
}

static char *
commit_into(struct commit *c, unsigned what)
{
	if (what == PARTS)
		return xstrdup(STORE_INTO);
	return what == LETTERS ? xstrdup(DEAD_LETTER_INTO) : views_into(c->known, what);
}

/* One after the other: the COPY before is closed by the next. */
static int
commit_copy_open(struct commit *c, unsigned what)
{
	char *into;
	int done;

	if (c->copying == what)
		return 0;
	c->copying = NO_VIEW;
	if (stream_close(&c->stream) < 0)
		return -1;
	into = commit_into(c, what);
	if (into == NULL)
		return -1;
	done = stream_open(&c->stream, into);
	free(into);
	if (done == 0)
		c->copying = what;
	return done;
}

bool
commit_stream(struct commit *c, uint16_t view, int diff, const uint8_t *row, size_t len,
	      int *result)
{
	struct commit_view *cv = commit_unpack(c, view, row, len);
	unsigned n;

	*result = 0;
	if (cv == NULL)
		return false;
	if (cv->view->dropped) {
		c->rows++;
		return true;
	}
	n = cv->view->output_count;
	if ((*result = commit_copy_open(c, view)) < 0)
		return true;
	encode_int16(&c->stream.buffer, (int16_t)(n + 2));
	for (unsigned o = 0; o < n; o++) {
		enum encode_result encoded =
		    encode_value(&c->stream.buffer, &cv->table->encode[o], &c->values[o]);

		if (encoded != ENCODE_OK)
			commit_refuse_value(c, cv, o, encoded);
	}
	encode_integer(&c->stream.buffer, ENCODE_INT8, (int64_t)c->time);
	encode_integer(&c->stream.buffer, cv->table->diff, diff);
	c->rows++;
	if (stream_is_full(&c->stream))
		*result =
		    FAULT("egress.in_copy") ? stream_break(&c->stream) : stream_flush(&c->stream);
	return true;
}

bool
commit_letter(struct commit *c, const struct letter *l, int *result)
{
	*result = 0;
	if (l->table >= c->target->stage->pipeline->table_count)
		return false;
	if ((*result = commit_copy_open(c, LETTERS)) < 0)
		return true;
	dead_letter_put(&c->stream, c->target->stage->pipeline, l, c->time);
	c->letters++;
	if (stream_is_full(&c->stream))
		*result = stream_flush(&c->stream);
	return true;
}

bool
commit_checkpoint(struct commit *c, const struct checkpoint *p, int *result)
{
	*result = 0;
	if (p->step != CHECKPOINT_PART)
		return store_note(c->store, p);
	if ((*result = commit_copy_open(c, PARTS)) < 0)
		return true;
	store_put(c->store, &c->stream, p);
	if (FAULT("egress.part"))
		*result = stream_break(&c->stream);
	else if (stream_is_full(&c->stream))
		*result = stream_flush(&c->stream);
	return true;
}

bool
commit_view(struct commit *c, uint16_t view, enum view_step step, uint64_t rows)
{
	return c->rows == 0 && views_take(c->known, view, step, rows);
}

bool
commit_must_stream(const struct commit *c)
{
	return views_write(c->known);
}

uint64_t
commit_rebuilt(const struct commit *c)
{
	return views_rebuilt(c->known);
}

bool
commit_fills(const struct commit *c)
{
	return views_fill_any(c->known);
}

int
commit_check(struct commit *c)
{
	return views_check(c->known, c->target->time);
}

bool
commit_flips(const struct commit *c)
{
	return store_flip(c->store) != NULL;
}

/* --- the statement of a small batch --------------------------------------------------------- */

static void
commit_print_insert(const struct commit *c, FILE *f, unsigned view, int *param)
{
	const struct commit_view *cv = &c->views[view];
	unsigned n = cv->view->output_count;

	fprintf(f, ", i%u AS (INSERT INTO %s (%s) SELECT ", view, cv->table->name,
		cv->table->columns);
	for (unsigned o = 0; o < n; o++)
		fprintf(f, "r.c%u, ", o);
	fprintf(f, "$2::bigint, r.d FROM u, unnest(");
	for (unsigned o = 0; o < n; o++)
		fprintf(f, "$%d::%s[], ", ++*param, encode_type_name(cv->table->encode[o].type));
	fprintf(f, "$%d::smallint[]) WITH ORDINALITY AS r(", ++*param);
	for (unsigned o = 0; o < n; o++)
		fprintf(f, "c%u, ", o);
	/* Each -1 stands before its +1, as in the batch. */
	fprintf(f, "d, o) ORDER BY r.o)");
}

static char *
commit_print_statement(const struct commit *c)
{
	char *sql = NULL;
	size_t size;
	FILE *f = xmemstream(&sql, &size);
	int param = PARAMS;

	fputs(COMPARE_AND_SET, f);
	for (unsigned i = 0; i < c->view_count; i++)
		if (c->set[i] != 0)
			commit_print_insert(c, f, i, &param);
	fputs(COMPARED, f);
	fclose(f);
	return sql;
}

/* The statement for the views in c->set: kept, or in the place of the one not used for longest. */
static struct statement *
commit_find_statement(struct commit *c)
{
	struct statement *oldest = &c->statements[0];

	for (unsigned i = 0; i < STATEMENTS; i++) {
		struct statement *s = &c->statements[i];

		if (s->used != 0 && memcmp(s->set, c->set, c->view_count) == 0)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	if (oldest->prepared) {
		char sql[48];

		snprintf(sql, sizeof(sql), "DEALLOCATE %s", oldest->name);
		/* If it fails the connection is lost, which the statement itself will tell. */
		(void)postgres_script(c->target->pg, sql);
	}
	free(oldest->set);
	free(oldest->sql);
	oldest->set = xcalloc(c->view_count + 1, 1);
	memcpy(oldest->set, c->set, c->view_count);
	oldest->sql = commit_print_statement(c);
	oldest->prepared = false;
	oldest->used = 0;
	snprintf(oldest->name, sizeof(oldest->name), "tallyd_%d", (int)(oldest - c->statements));
	return oldest;
}

static void
commit_set_param(struct commit *c, int i, const void *value, size_t len, int format)
{
	c->param_values[i] = value;
	c->param_lengths[i] = (int)len;
	c->param_formats[i] = format;
}

static void
commit_set_params(struct commit *c, const struct batch *b)
{
	snprintf(c->number_text, sizeof(c->number_text), "%" PRIu64, c->number);
	snprintf(c->time_text, sizeof(c->time_text), "%" PRIu64, c->time);
	snprintf(c->epoch_text, sizeof(c->epoch_text), "%" PRIu64, c->target->epoch);
	commit_set_param(c, PARAM_BATCH, c->number_text, 0, 0);
	commit_set_param(c, PARAM_TIME, c->time_text, 0, 0);
	/* Binary text is the bytes themselves: they need no end mark. */
	commit_set_param(c, PARAM_POSITION, b->position_len > 0 ? b->position : NULL,
			 b->position_len, 1);
	commit_set_param(c, PARAM_NAME, c->target->stage->pipeline->name, 0, 0);
	commit_set_param(c, PARAM_EPOCH, c->epoch_text, 0, 0);
}

static int
commit_set_arrays(struct commit *c)
{
	int param = PARAMS;

	for (unsigned i = 0; i < c->view_count; i++) {
		struct commit_view *cv = &c->views[i];

		c->set[i] = cv->rows > 0;
		for (unsigned o = 0; cv->rows > 0 && o <= cv->view->output_count; o++) {
			encode_array_end(&cv->columns[o], cv->rows);
			commit_set_param(c, param++, cv->columns[o].data, cv->columns[o].len, 1);
		}
	}
	return param;
}

/*
 * The compare-and-set did not match: another has taken over, or, if the row is as it should be,
 * parts of a checkpoint are missing, or it was a division in a trigger of the target.
 */
static int
commit_fenced(struct commit *c)
{
	struct target *t = c->target;
	const char *values[1] = {t->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};
	const char *epoch, *batch;
	char by[160] = "another one";

	if (c->streaming && postgres_script(t->pg, "ROLLBACK") < 0)
		return commit_failed(c, "rollback");
	if (postgres_query(t->pg,
			   "SELECT epoch, batch, instance FROM tallyd.pipeline WHERE name = $1",
			   &params) < 0)
		return commit_failed(c, "read the row of the pipeline");
	epoch = postgres_get(t->pg, 0, 0);
	batch = postgres_get(t->pg, 0, 1);
	if (epoch != NULL && batch != NULL && strtoull(epoch, NULL, 10) == t->epoch &&
	    strtoull(batch, NULL, 10) == c->number - 1) {
		if (store_check_parts(c->store) < 0)
			return -1;
		stage_fail(t->stage, EXIT_DATA, "target.refused",
			   "batch %" PRIu64
			   ": a division by zero in a trigger or a constraint of a target"
			   " table: mend it, then start again",
			   c->number);
	}
	if (epoch != NULL)
		snprintf(by, sizeof(by), "tallyd %s", postgres_get(t->pg, 0, 2));
	stage_fail(t->stage, EXIT_RECOVER, "target.fenced",
		   "batch %" PRIu64
		   " was not written, for pipeline \"%s\" has been taken over by %s",
		   c->number, t->stage->pipeline->name, by);
}

static int
commit_refused(struct commit *c, const char *what)
{
	if (!postgres_lost(c->target->pg) && postgres_state_is(c->target->pg, "22012"))
		return commit_fenced(c);
	return commit_failed(c, what);
}

/* One statement, one round trip; prepared when it comes for the second time. */
static int
commit_send(struct commit *c, const struct batch *b)
{
	struct postgres *pg = c->target->pg;
	struct postgres_params params = {
	    .values = c->param_values, .lengths = c->param_lengths, .formats = c->param_formats};
	struct statement *s;

	commit_set_params(c, b);
	params.count = commit_set_arrays(c);
	s = commit_find_statement(c);
	if (s->used != 0 && !s->prepared) {
		if (postgres_prepare(pg, s->name, s->sql) < 0)
			return commit_failed(c, "prepare the commit");
		s->prepared = true;
		if (FAULT("egress.prepared"))
			return stream_break(&c->stream);
	}
	s->used = ++c->uses;
	if (FAULT("egress.before_commit"))
		return stream_break(&c->stream);
	postgres_committing(pg);
	if ((s->prepared ? postgres_execute(pg, s->name, &params)
			 : postgres_query(pg, s->sql, &params)) < 0)
		return commit_refused(c, "commit");
	return 0;
}

/* Compare and set, and flip when the batch says so. */
static int
commit_compare(struct commit *c, const struct batch *b)
{
	const struct store_flip *flip = store_flip(c->store);
	struct postgres_params params = {.count = PARAMS,
					 .values = c->param_values,
					 .lengths = c->param_lengths,
					 .formats = c->param_formats};

	commit_set_params(c, b);
	if (flip != NULL) {
		if (FAULT("egress.before_flip"))
			return stream_break(&c->stream);
		commit_set_param(c, PARAM_CHECKPOINT, flip->number, 0, 0);
		commit_set_param(c, PARAM_CHECKPOINT_BATCH, flip->batch, 0, 0);
		commit_set_param(c, PARAM_CHECKPOINT_POSITION, flip->position, flip->position_len,
				 1);
		commit_set_param(c, PARAM_CHECKPOINT_PARTS, flip->parts, 0, 0);
		params.count = PARAMS_FLIP;
	}
	if (postgres_query(c->target->pg,
			   flip != NULL ? COMPARE_AND_FLIP COMPARED : COMPARE_AND_SET COMPARED,
			   &params) < 0)
		return commit_refused(c, "commit");
	return 0;
}

static int
commit_stream_close(struct commit *c, const struct batch *b)
{
	struct postgres *pg = c->target->pg;

	c->copying = NO_VIEW;
	if (stream_close(&c->stream) < 0 || views_finish(c->known, c->time) < 0 ||
	    store_forget(c->store) < 0)
		return -1;
	if (FAULT("egress.before_check"))
		return stream_break(&c->stream);
	if (commit_splits() &&
	    postgres_script(pg, "COMMIT; SELECT pg_catalog.pg_sleep(0.003); BEGIN") < 0)
		return commit_failed(c, "commit the rows alone");
	if (commit_compare(c, b) < 0)
		return -1;
	if (FAULT("egress.before_commit"))
		return stream_break(&c->stream);
	postgres_committing(pg);
	if (postgres_script(pg, "COMMIT") < 0)
		return commit_failed(c, "commit");
	if (strcmp(postgres_tag(pg), "COMMIT") != 0)
		/* ROLLBACK: cannot be, but must not count as done. */
		return stream_break(&c->stream);
	return 0;
}

int
commit_finish(struct commit *c, const struct batch *b)
{
	int done;

	if (!c->streaming && FAULT("egress.before_insert"))
		return stream_break(&c->stream);
	done = c->streaming ? commit_stream_close(c, b) : commit_send(c, b);
	if (done == 0) {
		c->target->batch = c->number;
		c->target->time = c->time;
		c->streaming = false;
	}
	return done;
}
