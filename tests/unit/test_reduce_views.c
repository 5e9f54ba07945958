/* Views that come and go, are filled and rebuilt, and what a start makes of the target's views. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/image.h"
#include "common/log.h"
#include "common/stage.h"
#include "reduce/core.h"
#include "tests/unit/reduce_model.h"
#include "tests/unit/reduce_sim.h"

#define KEYED_ROWS 40

struct seen {                          /* of one batch */
	unsigned views[SIM_VIEWS + 1]; /* 1 + step of its VIEW record; 0: none */
	uint64_t live[SIM_VIEWS + 1];
	unsigned rows[SIM_VIEWS + 1];
	unsigned batches, records;
};

/* Keyless views first, so that a keyed one can come behind all others. */
static struct pipeline *
pipeline_new(unsigned view_count)
{
	struct pipeline *pipeline = model_pipeline();

	for (unsigned i = 0; i < MODEL_SHAPES; i++) {
		struct view view = pipeline->views[i];
		pipeline->views[i] = pipeline->views[i + MODEL_SHAPES];
		pipeline->views[i + MODEL_SHAPES] = view;
	}
	pipeline->view_count = view_count;
	return pipeline;
}

static void
pipeline_end(struct pipeline *pipeline)
{
	pipeline->view_count = SIM_VIEWS;
	model_pipeline_free(pipeline);
}

static void
case_open(struct sim *s, unsigned view_count)
{
	reduce_sim_init(s, 1);
	core_free(s->core);
	model_pipeline_free(s->pipeline);
	s->pipeline = pipeline_new(view_count);
	s->core = core_new(s->pipeline);
}

static void
case_close(struct sim *s)
{
	s->pipeline->view_count = SIM_VIEWS;
	reduce_sim_fini(s);
}

static void
put_rows(struct sim *s, unsigned table, enum record_kind end)
{
	struct model_random random = {7 + table};
	struct model_row row;

	for (int64_t id = 0; id < KEYED_ROWS; id++) {
		model_row_random(&random, id, &row);
		reduce_sim_put_change(&s->source[table].ring, table,
				      table == 0 ? CHANGE_UPSERT : CHANGE_ADD, false, row.values,
				      MODEL_COLUMNS);
	}
	reduce_sim_put_end(&s->source[table].ring, end, table, 1);
}

/* Absorb 40 rows of each table, and go live at batch `durable`. */
static void
case_live(struct sim *s, uint64_t durable)
{
	s->durable = durable;
	for (unsigned i = 0; i < SIM_SERVERS; i++) {
		put_rows(s, i, RECORD_CUT);
		reduce_sim_take(s, i);
	}
	cr_assert(core_is_live(s->core));
}

static struct seen
emit(struct sim *s)
{
	struct seen seen = {.batches = 0};
	struct ring_record record;
	const uint8_t *row;
	enum view_step step;
	uint16_t view;
	uint64_t rows;
	size_t len;
	int diff;

	cr_assert_eq(core_emit(s->core, &s->out, s->durable, s->now_ms), CORE_DONE);
	ring_commit(&s->out, NULL, 0);
	while (ring_next(&s->reader, &record) > 0) {
		seen.records++;
		if (record.kind == RECORD_VIEW) {
			cr_assert(batch_get_view(&record, &view, &step, &rows));
			cr_assert_eq(seen.views[view], 0);
			seen.views[view] = 1 + step;
			seen.live[view] = rows;
		} else if (record.kind == RECORD_ROW) {
			cr_assert(batch_get_row(&record, &view, &diff, &row, &len));
			cr_assert_eq(diff, 1);
			seen.rows[view]++;
		}
		seen.batches += record.kind == RECORD_BATCH;
	}
	ring_commit(&s->reader, NULL, 0);
	s->durable = core_counters(s->core).batch;
	return seen;
}

/* How many rows a view shows of the rows that put_rows() puts. */
static unsigned
shown_of(const struct sim *s, unsigned view)
{
	const struct view *v = &s->pipeline->views[view];
	struct model_random random = {7 + v->table};
	struct model_row rows[KEYED_ROWS];
	unsigned shown;

	for (int64_t id = 0; id < KEYED_ROWS; id++)
		model_row_random(&random, id, &rows[id]);
	struct model_bytes *bytes =
	    model_view(v, &s->pipeline->tables[v->table], rows, KEYED_ROWS, &shown);
	model_rows_free(bytes, shown);
	return shown;
}

static void
load_views(struct sim *s, const bool *known)
{
	struct image_record record = {.kind = IMAGE_VIEW};
	struct image image;
	int fd = image_create();

	for (unsigned i = 0; i < s->pipeline->view_count; i++) {
		record.number = i;
		if (known[i])
			cr_assert_eq(image_put(fd, &record), 0);
	}
	cr_assert_eq(image_seal(fd), 0);
	cr_assert_eq(image_open(&image, fd), 0);
	cr_assert_eq(core_load(s->core, &image), CORE_OK);
	image_close(&image);
	close(fd);
}

Test(views, at_a_first_start_all_are_filled_with_the_first_commit)
{
	static struct sim s;
	static const bool none[SIM_VIEWS];

	case_open(&s, SIM_VIEWS);
	load_views(&s, none);
	case_live(&s, 0);
	struct seen seen = emit(&s);
	for (unsigned i = 0; i < SIM_VIEWS; i++) {
		cr_assert_eq(seen.views[i], 1 + VIEW_FILL);
		cr_assert_eq(seen.rows[i], shown_of(&s, i));
	}
	cr_assert_gt(core_counters(s.core).checkpoints, 0, "the first commit carries none");
	case_close(&s);
}

/* What the target knows is not shown again; what it does not know is shown whole, and at once. */
Test(views, after_a_replay_only_unknown_ones_are_shown)
{
	static struct sim s;
	bool known[SIM_VIEWS];

	case_open(&s, SIM_VIEWS);
	memset(known, true, sizeof(known));
	known[1] = known[6] = false;
	s.pipeline->views[3].rebuild = true;
	load_views(&s, known);
	case_live(&s, 9);
	cr_assert(core_due(s.core, 9, s.now_ms));
	struct seen seen = emit(&s);
	cr_assert_eq(seen.batches, 1);
	for (unsigned i = 0; i < SIM_VIEWS; i++) {
		bool whole = !known[i] || i == 3;
		cr_assert_eq(seen.views[i], 1u + (i == 3     ? VIEW_REBUILD
						  : known[i] ? VIEW_LIVE
							     : VIEW_FILL));
		cr_assert_eq(seen.rows[i], whole ? shown_of(&s, i) : 0);
		cr_assert_eq(seen.live[i], whole ? 0 : shown_of(&s, i));
	}
	case_close(&s);
}

/* LIVE is said once, and at once, though nothing is shown: an edited table is found when idle too. */
Test(views, what_is_known_is_said_at_once)
{
	static struct sim s;
	bool known[SIM_VIEWS];

	case_open(&s, SIM_VIEWS);
	memset(known, true, sizeof(known));
	load_views(&s, known);
	case_live(&s, 9);
	cr_assert(core_due(s.core, 9, s.now_ms));
	struct seen seen = emit(&s);
	cr_assert_eq(seen.batches, 1);
	for (unsigned i = 0; i < SIM_VIEWS; i++) {
		cr_assert_eq(seen.views[i], 1u + VIEW_LIVE);
		cr_assert_eq(seen.rows[i], 0);
	}
	case_close(&s);
}

Test(views, one_that_is_added_is_filled_from_the_kept_rows)
{
	static struct sim s;

	case_open(&s, SIM_VIEWS - 1);
	case_live(&s, 0);
	(void)emit(&s);
	while (core_due(s.core, s.durable, s.now_ms))
		(void)emit(&s);
	struct pipeline *now = pipeline_new(SIM_VIEWS);
	now->views[2].dropped = now->views[5].dropped = true;
	cr_assert_eq(core_views(s.core, now), CORE_OK, "%s", core_error(s.core)->text);
	pipeline_end(s.pipeline);
	s.pipeline = now;
	cr_assert(core_due(s.core, s.durable, s.now_ms));
	struct seen seen = emit(&s);
	cr_assert_eq(seen.batches, 1);
	for (unsigned i = 0; i < SIM_VIEWS; i++) {
		cr_assert_eq(seen.views[i], i == 2 || i == 5     ? 1 + VIEW_DROP
					    : i == SIM_VIEWS - 1 ? 1 + VIEW_FILL
								 : 0);
		cr_assert_eq(seen.rows[i], i == SIM_VIEWS - 1 ? shown_of(&s, i) : 0);
	}
	/* The others go on, the new one with them. */
	struct value id = {.kind = VALUE_INT, .i = 1};
	for (int i = 0; i < KEYED_ROWS; i++) {
		id.i = i;
		reduce_sim_put_change(&s.source[0].ring, 0, CHANGE_DELETE, false, &id, 1);
	}
	reduce_sim_put_end(&s.source[0].ring, RECORD_END, 0, 2);
	reduce_sim_take(&s, 0);
	cr_assert_eq(core_emit(s.core, &s.out, s.durable, s.now_ms), CORE_DONE);
	cr_assert_eq(core_counters(s.core).rows, 0);
	core_finish(s.core);
	case_close(&s);
}

/* One that comes and goes before any batch leaves no trace. */
Test(views, one_that_never_was_shown_is_not_dropped)
{
	static struct sim s;

	case_open(&s, SIM_VIEWS - 1);
	case_live(&s, 0);
	while (core_due(s.core, s.durable, s.now_ms))
		(void)emit(&s);
	struct pipeline *now = pipeline_new(SIM_VIEWS), *then = pipeline_new(SIM_VIEWS);
	then->views[SIM_VIEWS - 1].dropped = true;
	cr_assert_eq(core_views(s.core, now), CORE_OK);
	cr_assert_eq(core_views(s.core, then), CORE_OK);
	pipeline_end(s.pipeline);
	pipeline_end(now);
	s.pipeline = then;
	struct seen seen = emit(&s);
	cr_assert_eq(seen.views[SIM_VIEWS - 1], 0);
	cr_assert_eq(seen.rows[SIM_VIEWS - 1], 0);
	case_close(&s);
}

Test(views, what_needs_a_replay_is_refused_and_changes_nothing)
{
	static struct sim s;
	struct pipeline *now = pipeline_new(SIM_VIEWS);
	char *last = xasprintf("view \"%s\"", now->views[SIM_VIEWS - 1].name);

	case_open(&s, SIM_VIEWS - 1);
	case_live(&s, 0);
	while (core_due(s.core, s.durable, s.now_ms))
		(void)emit(&s);
	now->views[SIM_VIEWS - 1].table = 1; /* keyless */
	cr_assert_eq(core_views(s.core, now), CORE_FAILED);
	cr_assert_eq(core_error(s.core)->code, EXIT_RECOVER);
	cr_assert_not_null(strstr(core_error(s.core)->text, last), "%s", core_error(s.core)->text);
	free(last);
	now->views[SIM_VIEWS - 1].table = 0;
	now->tables[0].columns[MODEL_BIG].type = TYPE_INTEGER;
	cr_assert_eq(core_views(s.core, now), CORE_FAILED);
	now->tables[0].columns[MODEL_BIG].type = TYPE_BIGINT;
	now->views[1].outputs[1].kind = OUTPUT_COUNT;
	cr_assert_eq(core_views(s.core, now), CORE_FAILED);
	cr_assert_not(core_due(s.core, s.durable, s.now_ms));
	pipeline_end(now);
	case_close(&s);
}
