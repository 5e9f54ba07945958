/*
 * core_emit.c - when a batch is due, and what stands in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/fault.h"
#include "common/stage.h"
#include "reduce/core_state.h"

#define RECORD_HEAD_MAX 128 /* of a record, beside what it carries */
#define PARTS_A_BATCH   4   /* parts are at most this fraction of the ring in one batch */
#define SLOW_MS         100 /* with a commit interval from this on, parts do not hold up rows */

void
core_finish(struct core *core)
{
	core->finishing = true;
}

static bool
core_touched(const struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (core->views[i].groups != NULL && groups_touched(core->views[i].groups) != NULL)
			return true;
	return false;
}

static bool
letters_wait(const struct core *core)
{
	size_t len;

	return letters_first(&core->letters, &len) != NULL;
}

bool
core_has_news(const struct core *core)
{
	return core_touched(core) || letters_wait(core);
}

static bool
checkpoint_is_possible(const struct core *core, uint64_t durable)
{
	const struct checkpoints *c = &core->checkpoints;

	if (c->phase != CHECKPOINTS_IDLE &&
	    (c->phase != CHECKPOINTS_WAIT || durable < c->flip_batch))
		return false;
	for (unsigned i = 0; i < core->pipeline->table_count; i++)
		if (core->tables[i].attempt_open)
			return false;
	return true;
}

/* When the next checkpoint is due; INT64_MAX: not by time. */
static int64_t
checkpoint_due_ms(const struct core *core, uint64_t durable)
{
	const struct checkpoints *c = &core->checkpoints;
	bool none = c->number == 0 || (c->phase == CHECKPOINTS_IDLE && !c->stored);
	int64_t wait = core->pipeline->checkpoint_interval_ms;

	if (!checkpoint_is_possible(core, durable) ||
	    (!core->checkpoint_moved && !(none && core->counters.batch > 0) &&
	     checkpoints_dirty(c) == 0))
		return INT64_MAX;
	if (core->finishing)
		return INT64_MIN;
	if (core->checkpoint_first)
		return INT64_MAX;
	if ((none || core->checkpoint_changes >= CORE_SOON_CHANGES) && wait > CORE_SOON_MS)
		wait = CORE_SOON_MS;
	return core->checkpoint_begun_ms + wait;
}

/* Something of a checkpoint is to be put, whatever else there is. */
static bool
checkpoint_is_unfinished(const struct core *core, uint64_t durable)
{
	const struct checkpoints *c = &core->checkpoints;
	bool flipped = c->phase == CHECKPOINTS_WAIT && durable >= c->flip_batch;
	struct checkpoint record;

	if (c->phase == CHECKPOINTS_PARTS || c->phase == CHECKPOINTS_FLIP)
		return true;
	/* Old parts are no reason to wait for at a stop: the next start finds them again. */
	return !core->finishing &&
	       (checkpoints_forget(c, &record) || (flipped && c->later.count > 0));
}

void
core_set_behind(struct core *core, bool behind)
{
	core->behind = behind;
}

/* The shortest time between two batches. */
static int64_t
core_interval_ms(const struct core *core)
{
	int64_t interval_ms = core->pipeline->commit_interval_ms;

	return core->behind && interval_ms < CORE_GATHER_MS ? CORE_GATHER_MS : interval_ms;
}

/*
 * How many batches may be under way. While it keeps up, one that is closed while another is committed only makes
 * its events wait for two commits, and those after it for a third. At the end nothing comes after.
 */
static uint64_t
core_unacknowledged_max(const struct core *core)
{
	return core->behind || core->finishing ? CORE_UNACKNOWLEDGED : 1;
}

/* When a batch may be begun; INT64_MAX: not before something else happens. */
int64_t
core_deadline(const struct core *core, uint64_t durable)
{
	int64_t at = INT64_MAX, earliest = INT64_MIN, due;

	if (core->emitting)
		return INT64_MIN;
	if (!core->live || core->open != NO_INPUT ||
	    (core->counters.batch > durable &&
	     core->counters.batch - durable >= core_unacknowledged_max(core)))
		return INT64_MAX;
	if (core->announce_due)
		return INT64_MIN;
	if (core->closed_once && !core->finishing)
		earliest = core->closed_ms + core_interval_ms(core);
	if (core_has_news(core))
		return earliest;
	if (checkpoint_is_unfinished(core, durable))
		return INT64_MIN;
	if (core->position_changed)
		at = core->finishing ? INT64_MIN : core->position_changed_ms + CORE_SAVE_MS;
	due = checkpoint_due_ms(core, durable);
	at = due < at ? due : at;
	return at > earliest ? at : earliest;
}

bool
core_due(const struct core *core, uint64_t durable, int64_t now_ms)
{
	int64_t at = core_deadline(core, durable);

	return at != INT64_MAX && at <= now_ms;
}

static enum core_result
emit_refused(struct core *core, const char *what, size_t len)
{
	size_t need = core->pipeline->ring_bytes;

	if (errno == EAGAIN)
		return CORE_FULL;
	while (need / 2 <= len + RECORD_HEAD_MAX)
		need *= 2;
	if (need > RING_BYTES_MAX)
		return core_fail(core, EXIT_CONFIG, "reduce.oversize",
				 "%s of %zu bytes is more than the largest ring can carry", what,
				 len);
	return core_fail(
	    core, EXIT_CONFIG, "reduce.oversize",
	    "%s of %zu bytes does not fit half of the ring: raise it by SET ring_bytes = %zu", what,
	    len, need);
}

/* VIEW records stand before all rows: nothing is put before it is known that a batch is needed. */
static enum core_result
emit_announce(struct core *core, struct ring *out)
{
	for (; core->emit_announced < core->pipeline->view_count; core->emit_announced++) {
		const struct core_view *view = &core->views[core->emit_announced];
		if (!view->announce)
			continue;
		if (batch_put_view(out, (uint16_t)core->emit_announced, view->step,
				   view->step == VIEW_LIVE ? view->shown : 0) != 0)
			return emit_refused(core, "a word on a view", 0);
	}
	return CORE_OK;
}

static enum core_result
emit_row(struct core *core, struct ring *out, int diff, const uint8_t *row, size_t len)
{
	enum core_result result = emit_announce(core, out);

	if (result != CORE_OK)
		return result;
	if (FAULT("reduce.row"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a row");
	if (batch_put_row(out, (uint16_t)core->emit_view, diff, row, len) != 0)
		return emit_refused(core, "an output row", len);
	core->emit_rows++;
	core->counters.output++;
	return CORE_OK;
}

/* The first touched group of the view: -1 of what is shown, +1 of what it is now. */
static enum core_result
emit_group(struct core *core, struct groups *groups, struct group *group, struct ring *out)
{
	size_t len, shown_len;
	const uint8_t *row, *shown = group_shown(group, &shown_len);
	enum core_result result = CORE_OK;
	char *problem = groups_render(groups, group, &row, &len);

	if (problem != NULL) {
		(void)core_fail(core, EXIT_DATA, "reduce.range", "%s", problem);
		free(problem);
		return CORE_FAILED;
	}
	if (len != shown_len || (len > 0 && memcmp(row, shown, len) != 0)) {
		if (shown_len > 0 && !core->emit_retracted) {
			result = emit_row(core, out, -1, shown, shown_len);
			if (result != CORE_OK)
				return result;
			core->emit_retracted = true;
		}
		if (len > 0)
			result = emit_row(core, out, 1, row, len);
		if (result != CORE_OK)
			return result;
	}
	core->emit_retracted = false;
	groups_settle(groups, row, len);
	return CORE_OK;
}

static enum core_result
emit_views(struct core *core, struct ring *out)
{
	while (core->emit_view < core->pipeline->view_count) {
		struct groups *groups = core->views[core->emit_view].groups;
		struct group *group = groups != NULL ? groups_touched(groups) : NULL;
		if (group == NULL) {
			core->emit_view++;
			continue;
		}
		enum core_result result = emit_group(core, groups, group, out);
		if (result != CORE_OK)
			return result;
	}
	return CORE_OK;
}

static enum core_result
emit_letters(struct core *core, struct ring *out)
{
	const uint8_t *packed;
	size_t len;

	while ((packed = letters_first(&core->letters, &len)) != NULL) {
		if (batch_put_packed_letter(out, packed, len) != 0)
			return emit_refused(core, "a letter on a message", len);
		letters_done(&core->letters);
		core->emit_letters++;
	}
	return CORE_OK;
}

bool
core_print_position(struct core *core)
{
	core->position_len =
	    position_print(core->position, core->position_text, BOARD_POSITION_MAX);
	return core->position_len < BOARD_POSITION_MAX;
}

/* Memory is the state of the batch that is being closed: copy it, if a checkpoint is due. */
static void
emit_begin_checkpoint(struct core *core, uint64_t durable, int64_t now_ms)
{
	const struct core_hooks *hooks = &core->hooks;

	core->emit_begun = true;
	if (!checkpoint_is_possible(core, durable) ||
	    (!core->checkpoint_first && checkpoint_due_ms(core, durable) > now_ms))
		return;
	int64_t start = hooks->clock_us != NULL ? hooks->clock_us(hooks->arg) : 0;
	checkpoints_begin(&core->checkpoints, core->counters.batch + 1, core->position_text,
			  core->position_len);
	core->checkpoint_first = core->checkpoint_moved = false;
	core->checkpoint_changes = 0;
	core->checkpoint_begun_ms = now_ms;
	core->counters.checkpoints++;
	if (hooks->clock_us == NULL)
		return;
	uint64_t spent = (uint64_t)(hooks->clock_us(hooks->arg) - start);
	if (spent > core->counters.checkpoint_us)
		core->counters.checkpoint_us = spent;
}

/* Parts hold up the rows of the next batches only a little. */
static size_t
emit_parts_room(const struct core *core)
{
	bool urgent = core->pipeline->commit_interval_ms < SLOW_MS && !core->behind;

	if (core->emit_rows > 0 && urgent && !core->finishing)
		return core->checkpoints.part_max;
	return core->pipeline->ring_bytes / PARTS_A_BATCH;
}

static enum core_result
emit_parts(struct core *core, struct ring *out)
{
	struct checkpoints *c = &core->checkpoints;
	struct checkpoint record;

	while (checkpoints_next(c, &record)) {
		bool part = record.step == CHECKPOINT_PART;
		if (part && core->emit_parts_bytes > 0 &&
		    core->emit_parts_bytes + record.len > emit_parts_room(core))
			return CORE_OK;
		if (part ? FAULT("reduce.part") : FAULT("reduce.flip"))
			return core_fail(core, EXIT_TEMPORARY, "reduce.fault",
					 "fault at a checkpoint");
		if (batch_put_checkpoint(out, &record) != 0)
			return emit_refused(core, "a part of a checkpoint", record.len);
		if (part)
			core->emit_parts_bytes += record.len;
		checkpoints_put(c, core->counters.batch + 1);
	}
	return CORE_OK;
}

static enum core_result
emit_forgets(struct core *core, struct ring *out)
{
	struct checkpoints *c = &core->checkpoints;
	struct checkpoint record;

	for (; core->emit_forgets < CORE_FORGETS && checkpoints_forget(c, &record);
	     core->emit_forgets++) {
		if (FAULT("reduce.forget"))
			return core_fail(core, EXIT_TEMPORARY, "reduce.fault",
					 "fault at an old part");
		if (batch_put_checkpoint(out, &record) != 0)
			return emit_refused(core, "a word on a part", 0);
		checkpoints_forgotten(c);
	}
	return CORE_OK;
}

static enum core_result
emit_batch(struct core *core, struct ring *out)
{
	const struct checkpoints *c = &core->checkpoints;
	struct batch batch = {
	    .number = core->counters.batch + 1,
	    .rows = core->emit_rows,
	    .letters = core->emit_letters,
	    .source_ms = core->source_ms,
	    .clean_stop = core->finishing && c->phase != CHECKPOINTS_PARTS &&
			  !core->checkpoint_moved && checkpoints_dirty(c) == 0,
	    .position = core->position_text,
	    .position_len = (uint32_t)core->position_len,
	};

	/* Unchanged rows show nothing. */
	if (batch.rows > 0 || batch.letters > 0)
		batch.stamps = core->stamps;
	if (FAULT("reduce.batch"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a batch");
	if (batch_put_batch(out, &batch) != 0)
		return emit_refused(core, "a position", core->position_len);
	return CORE_OK;
}

/* Rows that are all unchanged need no commit, unless the position has waited long enough (I7). */
static bool
emit_needs_batch(const struct core *core, uint64_t durable, int64_t now_ms)
{
	if (core->emit_rows > 0 || letters_wait(core) || core->announce_due ||
	    checkpoint_is_unfinished(core, durable) || checkpoint_due_ms(core, durable) <= now_ms)
		return true;
	return core->position_changed &&
	       (core->finishing || now_ms - core->position_changed_ms >= CORE_SAVE_MS);
}

/* What stands behind the rows. */
static enum core_result
emit_close(struct core *core, struct ring *out, uint64_t durable, int64_t now_ms)
{
	enum core_result result = emit_announce(core, out);

	if (result != CORE_OK)
		return result;
	if (!core_print_position(core))
		return core_fail(core, EXIT_CONFIG, "reduce.oversize",
				 "the position has %zu bytes, more than %u: the pipeline has too "
				 "many partitions",
				 core->position_len, BOARD_POSITION_MAX);
	result = emit_letters(core, out);
	if (result != CORE_OK)
		return result;
	if (!core->emit_begun)
		emit_begin_checkpoint(core, durable, now_ms);
	result = emit_parts(core, out);
	if (result == CORE_OK)
		result = emit_forgets(core, out);
	return result == CORE_OK ? emit_batch(core, out) : result;
}

void
core_apply_pending(struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (core->views[i].groups != NULL)
			groups_apply_pending(core->views[i].groups);
}

static void
emit_begin(struct core *core)
{
	INVARIANT(core->live && core->open == NO_INPUT);
	core_apply_pending(core);
	core->emitting = true;
	core->emit_view = core->emit_announced = core->emit_forgets = 0;
	core->emit_rows = core->emit_letters = core->emit_parts_bytes = 0;
	core->emit_closing = core->emit_begun = false;
}

static void
emit_closed(struct core *core, int64_t now_ms)
{
	core->counters.batch++;
	core->counters.batches++;
	core->closed_once = true;
	core->closed_ms = now_ms;
	core->position_changed = core->announce_due = false;
	core->source_ms = 0;
	for (unsigned i = 0; i < core->pipeline->view_count; i++) {
		struct core_view *view = &core->views[i];
		view->known = view->known || view->announce;
		view->announce = false;
	}
}

enum core_result
core_emit(struct core *core, struct ring *out, uint64_t durable, int64_t now_ms)
{
	enum core_result result;

	/* Each time: a flip may become durable while a large batch waits for room. */
	checkpoints_acknowledge(&core->checkpoints, durable);
	if (!core->emitting)
		emit_begin(core);
	if (!core->emit_closing) {
		result = emit_views(core, out);
		if (result != CORE_OK)
			return result;
		core->emit_closing = emit_needs_batch(core, durable, now_ms);
	}
	if (core->emit_closing) {
		result = emit_close(core, out, durable, now_ms);
		if (result != CORE_OK)
			return result;
		emit_closed(core, now_ms);
	}
	core->emitting = false;
	core->stamps.count = 0;
	return CORE_DONE;
}

bool
core_emitting(const struct core *core)
{
	return core->emitting;
}

bool
core_is_settled(const struct core *core, uint64_t durable)
{
	bool pending = core->live && core->open == NO_INPUT &&
		       (core_has_news(core) || core->position_changed || core->announce_due ||
			checkpoint_is_unfinished(core, durable) ||
			(core->finishing && checkpoint_due_ms(core, durable) == INT64_MIN));

	return !core->emitting && !pending && core->counters.batch <= durable;
}
