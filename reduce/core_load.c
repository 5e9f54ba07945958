/*
 * core_load.c - the state that the target has stored, and views that come and go.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/image.h"
#include "common/log.h"
#include "common/stage.h"
#include "reduce/core_state.h"

/* Of a kept row: where its message stands is forgotten. */
static enum core_result
build_refused(struct core *core, unsigned view, const char *reason)
{
	const struct core_table *t = &core->tables[core->pipeline->views[view].table];

	if (t->table->on_error != ON_ERROR_STOP)
		return CORE_OK;
	char *key = core_print_row(t->table, t->before, true);
	char *advice = pipeline_go_on(core->pipeline, t->table);
	(void)core_fail(core, EXIT_DATA, "reduce.evaluation",
			"view \"%s\": the row of table \"%s\" with the key %.300s: %s; %s",
			core->pipeline->views[view].name, t->table->name, key, reason, advice);
	free(key);
	free(advice);
	return CORE_FAILED;
}

/* Of a view that is only loaded it was told when the row came. */
static void
build_tell(struct core *core, unsigned view, uint64_t refused, const char *reason)
{
	char text[500];

	if (refused == 0 || (!core->live && !core_view_is_fresh(core, view)))
		return;
	core->counters.evaluations += refused;
	(void)snprintf(text, sizeof(text),
		       "view \"%s\" begins without %" PRIu64 " kept rows, the last one for: %s",
		       core->pipeline->views[view].name, refused, reason);
	if (core->hooks.warn != NULL)
		core->hooks.warn(core->hooks.arg, "reduce.evaluation", text);
}

enum core_result
core_build_view(struct core *core, unsigned view)
{
	struct core_table *t = &core->tables[core->pipeline->views[view].table];
	struct groups *groups = core->views[view].groups;
	struct rows_cursor cursor = {.next = NULL};
	struct row *row;
	uint64_t n = 0, refused = 0;
	char error[300];

	while ((row = rows_next(t->rows, &cursor)) != NULL) {
		rows_read(t->rows, row, t->before);
		const struct value *computed =
		    groups_compute(groups, t->before, error, sizeof(error));
		if (computed != NULL)
			groups_apply(groups, computed, 1);
		else if (build_refused(core, view, error) == CORE_FAILED)
			return CORE_FAILED;
		else
			refused++;
		if (++n % BEAT_ROWS == 0 && core->hooks.beat != NULL)
			core->hooks.beat(core->hooks.arg);
	}
	build_tell(core, view, refused, error);
	return CORE_OK;
}

/* --- loading --- */

static enum core_result
image_is_broken(struct core *core)
{
	return core_fail(core, EXIT_RECOVER, "reduce.image",
			 "what egress handed over is not well formed: everything is started anew "
			 "from the target");
}

/* Which views the target knows; the CHECKPOINT record, whose number is 0 when there is none. */
static bool
image_survey(struct core *core, struct image *image, struct image_record *checkpoint)
{
	struct image_record record;
	int n;

	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		core->views[i].known = false;
	image_rewind(image);
	while ((n = image_next(image, &record)) > 0) {
		if (record.kind == IMAGE_CHECKPOINT) {
			*checkpoint = record;
		} else if (record.kind == IMAGE_VIEW) {
			if (record.number >= core->pipeline->view_count)
				return false;
			core->views[record.number].known = true;
		}
	}
	return n == 0;
}

static bool
load_position(struct core *core, const struct image_record *checkpoint)
{
	const char *error;

	if (position_load(core->position, checkpoint->data, checkpoint->len, &error) == 0)
		return true;
	(void)snprintf(core->refusal, sizeof(core->refusal), "its position cannot be read: %s",
		       error);
	return false;
}

/* False when there is an error. */
static bool
load_views(struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (core->views[i].groups != NULL &&
		    core->pipeline->tables[core->pipeline->views[i].table].key_count > 0 &&
		    core_build_view(core, i) == CORE_FAILED)
			return false;
	return true;
}

static bool
load_state(struct core *core, struct image *image, const struct image_record *checkpoint)
{
	if (core->pipeline->replay) {
		(void)snprintf(core->refusal, sizeof(core->refusal), "a replay was asked for");
		return false;
	}
	if (!checkpoints_load(&core->checkpoints, image, checkpoint->number, core->refusal,
			      sizeof(core->refusal)) ||
	    !load_position(core, checkpoint))
		return false;
	core->origin = xstrndup(checkpoint->data, checkpoint->len);
	if (core_print_position(core))
		core->origin_text = xstrdup(core->position_text);
	return true;
}

enum core_result
core_load(struct core *core, struct image *image)
{
	struct image_record checkpoint = {.number = 0};

	INVARIANT(!core->loaded && !core->live);
	if (!image_survey(core, image, &checkpoint))
		return image_is_broken(core);
	core->loaded = true;
	if (checkpoint.number == 0)
		return CORE_OK;
	if (load_state(core, image, &checkpoint))
		return load_views(core) ? CORE_OK : CORE_FAILED;
	core_close_state(core);
	core_open_state(core);
	position_free(core->position);
	core->position = position_new(core->pipeline);
	checkpoints_refuse(&core->checkpoints, image, checkpoint.number);
	return CORE_OK;
}

const char *
core_origin(const struct core *core, size_t *len)
{
	*len = core->origin != NULL ? strlen(core->origin) : 0;
	return core->origin != NULL ? core->origin : "";
}

const char *
core_refusal(const struct core *core)
{
	return core->refusal[0] != '\0' ? core->refusal : NULL;
}

/* --- going live --- */

/* What the target shows of a view is what memory holds now: settle it without a word. */
static enum core_result
view_forget(struct core *core, struct core_view *view)
{
	struct group *group;
	uint64_t n = 0;

	while ((group = groups_touched(view->groups)) != NULL) {
		const uint8_t *row;
		size_t len;
		char *problem = groups_render(view->groups, group, &row, &len);
		if (problem != NULL) {
			(void)core_fail(core, EXIT_DATA, "reduce.range", "%s", problem);
			free(problem);
			return CORE_FAILED;
		}
		groups_settle(view->groups, row, len);
		if (++n % BEAT_ROWS == 0 && core->hooks.beat != NULL)
			core->hooks.beat(core->hooks.arg);
	}
	return CORE_OK;
}

static void
view_announce(struct core_view *view, enum view_step step)
{
	view->announce = true;
	view->step = step;
}

static enum core_result
view_go_live(struct core *core, unsigned index, uint64_t durable)
{
	struct core_view *view = &core->views[index];
	bool rebuild = core->pipeline->views[index].rebuild;

	if (view->groups == NULL)
		return CORE_OK;
	/* Without a batch in the target there is nothing that it shows: a first start. */
	view->known = view->known && durable > 0;
	if (!view->known || rebuild) {
		core->announce_due = core->announce_due || durable > 0 || rebuild;
		view_announce(view, rebuild ? VIEW_REBUILD : VIEW_FILL);
		return CORE_OK;
	}
	if (view_forget(core, view) == CORE_FAILED)
		return CORE_FAILED;
	/* In a batch at once: a table that was edited is to be found before it is written on. */
	core->announce_due = true;
	view_announce(view, VIEW_LIVE);
	view->shown = groups_shown_count(view->groups);
	return CORE_OK;
}

enum core_result
core_live(struct core *core, uint64_t durable)
{
	if (FAULT("reduce.cut"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at CUT");
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (view_go_live(core, i, durable) == CORE_FAILED)
			return CORE_FAILED;
	core->live = true;
	core->counters.batch = durable;
	core->checkpoint_first = durable == 0;
	/* A first start has a position that the target does not know: where history begins. */
	core->position_changed = core->position_changed && durable == 0;
	core->checkpoint_moved = durable == 0
				     ? core->position_changed
				     : core->origin_text == NULL || !core_print_position(core) ||
					   strcmp(core->origin_text, core->position_text) != 0;
	core->source_ms = 0;
	core->stamps.count = 0;
	return CORE_OK;
}

/* --- views that come and go --- */

static enum core_result
views_need_replay(struct core *core, const char *what, const char *name)
{
	return core_fail(core, EXIT_RECOVER, "reduce.views",
			 "%s \"%s\": this change cannot be made without reading history again",
			 what, name);
}

static enum core_result
views_compare(struct core *core, const struct pipeline *now)
{
	const struct pipeline *old = core->pipeline;

	if (now->server_count != old->server_count || now->table_count != old->table_count ||
	    now->view_count < old->view_count)
		return views_need_replay(core, "pipeline", now->name);
	for (unsigned i = 0; i < old->table_count; i++)
		if (now->tables[i].server != old->tables[i].server ||
		    strcmp(now->tables[i].name, old->tables[i].name) != 0 ||
		    checkpoint_table_layout(&now->tables[i]) !=
			checkpoint_table_layout(&old->tables[i]))
			return views_need_replay(core, "table", now->tables[i].name);
	for (unsigned i = 0; i < now->view_count; i++) {
		const struct view *view = &now->views[i];
		const struct table *table = &now->tables[view->table];
		if (i >= old->view_count ? table->key_count == 0 && !view->dropped
					 : old->views[i].table != view->table ||
					       (core->views[i].groups == NULL && !view->dropped) ||
					       checkpoint_view_layout(view, table) !=
						   checkpoint_view_layout(&old->views[i], table))
			return views_need_replay(core, "view", view->name);
	}
	return CORE_OK;
}

static void
view_drop(struct core *core, unsigned index)
{
	struct core_view *view = &core->views[index];

	checkpoints_drop(&core->checkpoints, view->groups);
	groups_free(view->groups);
	groups_free(view->fresh);
	view->groups = view->fresh = NULL;
	view->announce = false;
	if (!view->known)
		return;
	view_announce(view, VIEW_DROP);
	core->announce_due = true;
}

static enum core_result
view_add(struct core *core, unsigned index)
{
	struct core_view *view = &core->views[index];
	const struct view *of = &core->pipeline->views[index];

	*view = (struct core_view){.known = false};
	if (of->dropped)
		return CORE_OK;
	view->groups = groups_new(of, &core->pipeline->tables[of->table]);
	if (core_build_view(core, index) == CORE_FAILED)
		return CORE_FAILED;
	if (!core->live)
		return CORE_OK;
	view_announce(view, VIEW_FILL);
	core->announce_due = true;
	return CORE_OK;
}

enum core_result
core_views(struct core *core, const struct pipeline *now)
{
	unsigned old_count = core->pipeline->view_count;

	INVARIANT(!core->emitting && core->open == NO_INPUT);
	if (FAULT("reduce.views"))
		return core_fail(core, EXIT_RECOVER, "reduce.fault", "fault at new views");
	if (views_compare(core, now) == CORE_FAILED)
		return CORE_FAILED;
	core->pipeline = now;
	core->views = xreallocarray(core->views, now->view_count + 1, sizeof(*core->views));
	position_rebind(core->position, now);
	for (unsigned i = 0; i < now->table_count; i++) {
		core->tables[i].table = &now->tables[i];
		if (core->tables[i].rows != NULL)
			rows_rebind(core->tables[i].rows, &now->tables[i]);
		core_list_views(core, i);
	}
	for (unsigned i = 0; i < now->view_count; i++) {
		const struct view *view = &now->views[i];
		if (i >= old_count) {
			if (view_add(core, i) == CORE_FAILED)
				return CORE_FAILED;
		} else if (view->dropped && core->views[i].groups != NULL) {
			view_drop(core, i);
		} else if (core->views[i].groups != NULL) {
			groups_rebind(core->views[i].groups, view, &now->tables[view->table]);
		}
		if (i < old_count && core->views[i].fresh != NULL)
			groups_rebind(core->views[i].fresh, view, &now->tables[view->table]);
	}
	return CORE_OK;
}
