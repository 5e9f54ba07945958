#include "reduce/core.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/position.h"
#include "common/stage.h"
#include "reduce/group.h"
#include "reduce/rows.h"

#define NO_INPUT        UINT32_MAX
#define RECORD_HEAD_MAX 128 /* of a record, beside what it carries */

struct core_table {
	const struct table *table;
	enum type *types, *key_types;
	struct value *before, *after, *key; /* room for one row each, and one key */
	struct rows *rows;                  /* keyed tables only */
	bool attempt_open;                  /* keyless: a snapshot builds fresh groups */
	unsigned *views;                    /* which views read this table */
	unsigned view_count;
};

struct core_view {
	struct groups *groups;
	struct groups *fresh; /* of an open snapshot attempt, keyless tables only */
};

struct core {
	const struct pipeline *pipeline;
	struct core_table *tables;
	struct core_view *views;
	bool *cut; /* of each input: its CUT has come */
	unsigned cuts;
	unsigned open; /* the input whose transaction is open, or NO_INPUT */
	bool live, finishing, finished;

	struct position *position;
	bool position_changed;
	int64_t position_changed_ms;
	int64_t source_ms;
	char *position_text; /* BOARD_POSITION_MAX bytes */
	size_t position_len;

	bool emitting;
	unsigned emit_view;
	bool emit_retracted; /* the -1 of the first touched group is out */
	uint64_t emit_rows;
	bool closed_once;
	int64_t closed_ms;

	uint8_t *scratch; /* a row whose unchanged columns were filled in */
	size_t scratch_room;
	struct core_counters counters;
	struct core_error error;
};

__attribute__((format(printf, 4, 5))) static enum core_result
core_fail(struct core *core, int code, const char *event, const char *fmt, ...)
{
	va_list ap;

	core->error.code = code;
	core->error.event = event;
	va_start(ap, fmt);
	(void)vsnprintf(core->error.text, sizeof(core->error.text), fmt, ap);
	va_end(ap);
	return CORE_FAILED;
}

static enum core_result
core_corrupt(struct core *core, unsigned input, const char *what)
{
	return core_fail(
	    core, EXIT_RECOVER, "reduce.corrupt",
	    "ingest of server \"%s\" sent %s: everything is started anew from the target",
	    core->pipeline->servers[input].name, what);
}

static void
core_table_init(struct core_table *t, const struct pipeline *pipeline, unsigned index)
{
	const struct table *table = &pipeline->tables[index];

	t->table = table;
	t->types = xcalloc(table->column_count + 1, sizeof(*t->types));
	t->key_types = xcalloc(table->key_count + 1, sizeof(*t->key_types));
	t->before = xcalloc(table->column_count + 1, sizeof(*t->before));
	t->after = xcalloc(table->column_count + 1, sizeof(*t->after));
	t->key = xcalloc(table->key_count + 1, sizeof(*t->key));
	t->views = xcalloc(pipeline->view_count + 1, sizeof(*t->views));
	for (unsigned i = 0; i < table->column_count; i++)
		t->types[i] = table->columns[i].type;
	for (unsigned i = 0; i < table->key_count; i++)
		t->key_types[i] = t->types[table->key[i]];
	for (unsigned i = 0; i < pipeline->view_count; i++)
		if (pipeline->views[i].table == index)
			t->views[t->view_count++] = i;
	if (table->key_count > 0)
		t->rows = rows_new(table);
}

static void
core_table_fini(struct core_table *t)
{
	free(t->types);
	free(t->key_types);
	free(t->before);
	free(t->after);
	free(t->key);
	free(t->views);
	rows_free(t->rows);
}

struct core *
core_new(const struct pipeline *pipeline)
{
	struct core *core = xcalloc(1, sizeof(*core));

	core->pipeline = pipeline;
	core->open = NO_INPUT;
	core->tables = xcalloc(pipeline->table_count + 1, sizeof(*core->tables));
	core->views = xcalloc(pipeline->view_count + 1, sizeof(*core->views));
	core->cut = xcalloc(pipeline->server_count + 1, sizeof(*core->cut));
	for (unsigned i = 0; i < pipeline->table_count; i++)
		core_table_init(&core->tables[i], pipeline, i);
	for (unsigned i = 0; i < pipeline->view_count; i++)
		core->views[i].groups =
		    groups_new(&pipeline->views[i], &pipeline->tables[pipeline->views[i].table]);
	core->position = position_new(pipeline);
	core->position_text = xcalloc(1, BOARD_POSITION_MAX);
	return core;
}

void
core_free(struct core *core)
{
	if (core == NULL)
		return;
	for (unsigned i = 0; i < core->pipeline->table_count; i++)
		core_table_fini(&core->tables[i]);
	for (unsigned i = 0; i < core->pipeline->view_count; i++) {
		groups_free(core->views[i].groups);
		groups_free(core->views[i].fresh);
	}
	position_free(core->position);
	free(core->tables);
	free(core->views);
	free(core->cut);
	free(core->position_text);
	free(core->scratch);
	free(core);
}

static char *
check_output(const struct table *table, const struct view *view, const struct output *output)
{
	bool grouped = false;

	if (output->kind == OUTPUT_COUNT_ROWS)
		return NULL;
	if (output->column >= table->column_count)
		return xasprintf("column \"%s\" reads a column that table \"%s\" does not have",
				 output->name, table->name);
	const struct column *column = &table->columns[output->column];
	if ((output->kind == OUTPUT_SUM || output->kind == OUTPUT_AVG) &&
	    !type_is_number(column->type))
		return xasprintf("column \"%s\": %s has no sum and no average", output->name,
				 type_name(column->type));
	for (unsigned i = 0; i < view->group_count; i++)
		grouped = grouped || view->group[i] == output->column;
	if (output->kind == OUTPUT_GROUP && !grouped)
		return xasprintf("column \"%s\" does not stand in GROUP BY", output->name);
	return NULL;
}

static char *
check_view(const struct pipeline *pipeline, const struct view *view, struct place *place)
{
	*place = view->place;
	if (view->table >= pipeline->table_count)
		return xasprintf("view \"%s\" reads a table that is not there", view->name);
	const struct table *table = &pipeline->tables[view->table];
	for (unsigned i = 0; i < view->group_count; i++)
		if (view->group[i] >= table->column_count)
			return xasprintf("view \"%s\" groups by a column that is not there",
					 view->name);
	for (unsigned i = 0; i < view->output_count; i++) {
		char *problem = check_output(table, view, &view->outputs[i]);
		if (problem != NULL) {
			*place = view->outputs[i].place;
			return problem;
		}
	}
	return NULL;
}

static char *
check_table(const struct pipeline *pipeline, const struct table *table, struct place *place)
{
	*place = table->place;
	if (table->server >= pipeline->server_count)
		return xasprintf("table \"%s\" belongs to a server that is not there", table->name);
	for (unsigned i = 0; i < table->key_count; i++)
		if (table->key[i] >= table->column_count)
			return xasprintf("the key of table \"%s\" names no column", table->name);
	return NULL;
}

char *
core_check(const struct pipeline *pipeline, struct place *place)
{
	char *problem = NULL;

	for (unsigned i = 0; problem == NULL && i < pipeline->table_count; i++)
		problem = check_table(pipeline, &pipeline->tables[i], place);
	for (unsigned i = 0; problem == NULL && i < pipeline->view_count; i++)
		problem = check_view(pipeline, &pipeline->views[i], place);
	return problem;
}

bool
core_wants(const struct core *core, unsigned input)
{
	if (core->emitting || core->finished)
		return false;
	if (core->open != NO_INPUT)
		return core->open == input;
	return core->live || !core->cut[input];
}

static void
views_apply(struct core *core, const struct core_table *t, const struct value *row, int diff)
{
	for (unsigned i = 0; i < t->view_count; i++) {
		struct core_view *view = &core->views[t->views[i]];
		groups_apply(view->fresh != NULL ? view->fresh : view->groups, row, diff);
	}
}

/*
 * Fill the columns that Debezium did not send from the row kept before. Returns the name of one
 * that could not be filled, or NULL; *filled tells whether there was any.
 */
static const char *
row_fill(const struct core_table *t, bool kept, bool *filled)
{
	*filled = false;
	for (unsigned i = 0; i < t->table->column_count; i++) {
		if (t->after[i].kind != VALUE_UNCHANGED)
			continue;
		if (!kept)
			return t->table->columns[i].name;
		t->after[i] = t->before[i];
		*filled = true;
	}
	return NULL;
}

static const uint8_t *
row_repack(struct core *core, const struct core_table *t, size_t bound, size_t *len)
{
	struct pack pack;

	if (core->scratch_room < bound) {
		core->scratch = xreallocarray(core->scratch, 2, bound);
		core->scratch_room = 2 * bound;
	}
	pack_init(&pack, core->scratch, core->scratch_room);
	row_pack(&pack, t->after, t->table->column_count);
	INVARIANT(!pack.overflow);
	*len = pack_len(&pack);
	return core->scratch;
}

static enum core_result
core_upsert(struct core *core, unsigned input, struct core_table *t, const struct change *change)
{
	const struct table *table = t->table;
	const uint8_t *bytes = change->row, *old_bytes = NULL;
	size_t len = change->row_len, old_len = 0;
	bool filled;

	if (!row_unpack(bytes, len, t->types, table->column_count, t->after))
		return core_corrupt(core, input, "a row that does not fit its table");
	for (unsigned i = 0; i < table->key_count; i++)
		t->key[i] = t->after[table->key[i]];
	uint32_t hash = rows_hash(t->rows, t->key);
	struct row *row = rows_find(t->rows, t->key, hash);
	if (row != NULL) {
		old_bytes = row_bytes(row, &old_len);
		rows_read(t->rows, row, t->before);
	}
	const char *missing = row_fill(t, row != NULL, &filled);
	if (missing != NULL)
		return core_fail(
		    core, EXIT_DATA, "reduce.unchanged",
		    "table \"%s\": an update left out column \"%s\" (a large value that did not "
		    "change), and no earlier row with its key is known: set REPLICA IDENTITY FULL, "
		    "or start from a snapshot",
		    table->name, missing);
	if (filled)
		bytes = row_repack(core, t, len + old_len, &len);
	if (row != NULL && len == old_len && memcmp(bytes, old_bytes, len) == 0) {
		rows_keep(t->rows, row);
		return CORE_OK;
	}
	/* First the new one: a value that stays in its group then never leaves its multiset. */
	views_apply(core, t, t->after, 1);
	if (row != NULL)
		views_apply(core, t, t->before, -1);
	rows_put(t->rows, row, hash, bytes, len);
	return CORE_OK;
}

static void
core_remove(struct core *core, struct core_table *t, struct row *row)
{
	rows_read(t->rows, row, t->before);
	views_apply(core, t, t->before, -1);
	rows_remove(t->rows, row);
}

static enum core_result
core_delete(struct core *core, unsigned input, struct core_table *t, const struct change *change)
{
	if (!row_unpack(change->row, change->row_len, t->key_types, t->table->key_count, t->key))
		return core_corrupt(core, input, "a key that does not fit its table");
	struct row *row = rows_find(t->rows, t->key, rows_hash(t->rows, t->key));
	if (row != NULL)
		core_remove(core, t, row);
	else
		core->counters.absent++;
	return CORE_OK;
}

static enum core_result
core_add(struct core *core, unsigned input, struct core_table *t, const struct change *change,
	 int diff)
{
	const struct table *table = t->table;

	if (!row_unpack(change->row, change->row_len, t->types, table->column_count, t->after))
		return core_corrupt(core, input, "a row that does not fit its table");
	for (unsigned i = 0; i < table->column_count; i++)
		if (t->after[i].kind == VALUE_UNCHANGED)
			return core_fail(
			    core, EXIT_DATA, "reduce.unchanged",
			    "table \"%s\" has no PRIMARY KEY here, and a change left out its "
			    "column \"%s\": declare the key, or set REPLICA IDENTITY FULL",
			    table->name, table->columns[i].name);
	views_apply(core, t, t->after, diff);
	return CORE_OK;
}

/* The table of a record, or NULL when this input may not speak of it. */
static struct core_table *
core_table(struct core *core, unsigned input, uint16_t index)
{
	if (index >= core->pipeline->table_count || core->pipeline->tables[index].server != input)
		return NULL;
	return &core->tables[index];
}

static enum core_result
core_change(struct core *core, unsigned input, const struct ring_record *record)
{
	struct change change;
	struct core_table *t;

	if (!batch_get_change(record, &change) ||
	    (t = core_table(core, input, change.table)) == NULL)
		return core_corrupt(core, input, "a change that is not well formed");
	bool keyed = change.kind == CHANGE_UPSERT || change.kind == CHANGE_DELETE;
	if (keyed != (t->rows != NULL))
		return core_corrupt(core, input, "a change of a kind that its table cannot have");
	core->counters.changes++;
	if (FAULT("reduce.change"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a change");
	switch (change.kind) {
	case CHANGE_UPSERT:
		return core_upsert(core, input, t, &change);
	case CHANGE_DELETE:
		return core_delete(core, input, t, &change);
	case CHANGE_ADD:
		return core_add(core, input, t, &change, 1);
	case CHANGE_SUBTRACT:
		return core_add(core, input, t, &change, -1);
	}
	return core_corrupt(core, input, "a change of an unknown kind");
}

static void
snapshot_begin(struct core *core, struct core_table *t)
{
	t->attempt_open = true;
	if (t->rows != NULL) {
		rows_attempt_begin(t->rows);
		return;
	}
	for (unsigned i = 0; i < t->view_count; i++) {
		struct core_view *view = &core->views[t->views[i]];
		groups_free(view->fresh);
		view->fresh = groups_new(&core->pipeline->views[t->views[i]], t->table);
	}
}

static void
snapshot_end(struct core *core, struct core_table *t)
{
	struct rows_cursor cursor = {.started = false};
	struct row *row;

	t->attempt_open = false;
	if (t->rows != NULL) {
		while ((row = rows_stale(t->rows, &cursor)) != NULL)
			core_remove(core, t, row);
		rows_attempt_end(t->rows);
		return;
	}
	for (unsigned i = 0; i < t->view_count; i++) {
		struct core_view *view = &core->views[t->views[i]];
		groups_replace(view->groups, view->fresh);
		groups_free(view->fresh);
		view->fresh = NULL;
	}
}

static enum core_result
core_snapshot(struct core *core, unsigned input, const struct ring_record *record)
{
	enum snapshot_phase phase;
	struct core_table *t;
	uint16_t index;

	if (!batch_get_snapshot(record, &index, &phase) ||
	    (t = core_table(core, input, index)) == NULL)
		return core_corrupt(core, input, "a snapshot mark that is not well formed");
	if (phase == SNAPSHOT_END && !t->attempt_open)
		return core_corrupt(core, input, "the end of a snapshot that had not begun");
	if (FAULT("reduce.snapshot"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a snapshot mark");
	if (phase == SNAPSHOT_BEGIN)
		snapshot_begin(core, t);
	else
		snapshot_end(core, t);
	return CORE_OK;
}

static enum core_result
core_end(struct core *core, unsigned input, const struct ring_record *record, int64_t now_ms)
{
	const uint8_t *entries;
	int64_t source_ms;
	size_t len;

	if (!batch_get_end(record, &source_ms, &entries, &len) ||
	    !position_apply(core->position, input, entries, len))
		return core_corrupt(core, input, "a position that is not well formed");
	if (FAULT("reduce.end"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at an END");
	if (len > 0 && !core->position_changed) {
		core->position_changed = true;
		core->position_changed_ms = now_ms;
	}
	if (source_ms > core->source_ms)
		core->source_ms = source_ms;
	core->open = NO_INPUT;
	core->counters.transactions++;
	if (record->kind != RECORD_CUT || core->cut[input])
		return CORE_END;
	core->cut[input] = true;
	core->cuts++;
	return core->cuts == core->pipeline->server_count ? CORE_CUT : CORE_END;
}

enum core_result
core_take(struct core *core, unsigned input, const struct ring_record *record, int64_t now_ms)
{
	INVARIANT(core_wants(core, input));
	switch (record->kind) {
	case RECORD_CHANGE:
		core->open = input;
		return core_change(core, input, record);
	case RECORD_SNAPSHOT:
		core->open = input;
		return core_snapshot(core, input, record);
	case RECORD_END:
	case RECORD_CUT:
		return core_end(core, input, record, now_ms);
	default:
		return core_corrupt(core, input, "a record of an unknown kind");
	}
}

/* What the target shows is what memory holds now: settle every touched group without a word. */
static enum core_result
core_forget(struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->view_count; i++) {
		struct groups *groups = core->views[i].groups;
		struct group *group;
		while ((group = groups_touched(groups)) != NULL) {
			const uint8_t *row;
			size_t len;
			char *problem = groups_render(groups, group, &row, &len);
			if (problem != NULL) {
				(void)core_fail(core, EXIT_DATA, "reduce.range", "%s", problem);
				free(problem);
				return CORE_FAILED;
			}
			groups_settle(groups, row, len);
		}
	}
	return CORE_OK;
}

enum core_result
core_live(struct core *core, uint64_t durable)
{
	if (FAULT("reduce.cut"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at CUT");
	/* Without a batch in the target there is nothing that it shows: a first start. */
	if (durable > 0 && core_forget(core) == CORE_FAILED)
		return CORE_FAILED;
	core->live = true;
	core->counters.batch = durable;
	/* A first start has a position that the target does not know: where history begins. */
	core->position_changed = core->position_changed && durable == 0;
	core->source_ms = 0;
	return CORE_OK;
}

bool
core_is_live(const struct core *core)
{
	return core->live;
}

bool
core_is_whole(const struct core *core)
{
	return core->open == NO_INPUT;
}

void
core_finish(struct core *core)
{
	core->finishing = true;
}

static bool
core_touched(const struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (groups_touched(core->views[i].groups) != NULL)
			return true;
	return false;
}

/* When a batch may be begun; INT64_MAX: not before something else happens. */
int64_t
core_deadline(const struct core *core, uint64_t durable)
{
	int64_t at = INT64_MAX, earliest = INT64_MIN;

	if (core->emitting)
		return INT64_MIN;
	if (!core->live || core->finished || core->open != NO_INPUT ||
	    (core->counters.batch > durable &&
	     core->counters.batch - durable >= CORE_UNACKNOWLEDGED))
		return INT64_MAX;
	if (core->closed_once && !core->finishing)
		earliest = core->closed_ms + core->pipeline->commit_interval_ms;
	if (core_touched(core))
		at = earliest;
	else if (core->position_changed)
		at = core->finishing ? INT64_MIN : core->position_changed_ms + CORE_SAVE_MS;
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

static enum core_result
emit_row(struct core *core, struct ring *out, int diff, const uint8_t *row, size_t len)
{
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
		struct group *group = groups_touched(groups);
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
emit_batch(struct core *core, struct ring *out)
{
	core->position_len =
	    position_print(core->position, core->position_text, BOARD_POSITION_MAX);
	if (core->position_len >= BOARD_POSITION_MAX)
		return core_fail(core, EXIT_CONFIG, "reduce.oversize",
				 "the position has %zu bytes, more than %u: the pipeline has too "
				 "many partitions",
				 core->position_len, BOARD_POSITION_MAX);
	struct batch batch = {
	    .number = core->counters.batch + 1,
	    .rows = core->emit_rows,
	    .source_ms = core->source_ms,
	    .clean_stop = core->finishing,
	    .position = core->position_text,
	    .position_len = (uint32_t)core->position_len,
	};
	if (FAULT("reduce.batch"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a batch");
	if (batch_put_batch(out, &batch) != 0)
		return emit_refused(core, "a position", core->position_len);
	return CORE_OK;
}

/* Rows that are all unchanged need no commit, unless the position has waited long enough (I7). */
static bool
emit_needs_batch(const struct core *core, int64_t now_ms)
{
	if (core->emit_rows > 0)
		return true;
	return core->position_changed &&
	       (core->finishing || now_ms - core->position_changed_ms >= CORE_SAVE_MS);
}

enum core_result
core_emit(struct core *core, struct ring *out, int64_t now_ms)
{
	enum core_result result;

	if (!core->emitting) {
		INVARIANT(core->live && core->open == NO_INPUT);
		core->emitting = true;
		core->emit_view = 0;
		core->emit_rows = 0;
	}
	result = emit_views(core, out);
	if (result != CORE_OK)
		return result;
	if (emit_needs_batch(core, now_ms)) {
		result = emit_batch(core, out);
		if (result != CORE_OK)
			return result;
		core->counters.batch++;
		core->counters.batches++;
		core->closed_once = true;
		core->closed_ms = now_ms;
		core->position_changed = false;
		core->source_ms = 0;
	}
	core->emitting = false;
	core->finished = core->finishing;
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
	bool pending = core->live && core->open == NO_INPUT && !core->finished &&
		       (core_touched(core) || core->position_changed);

	return !core->emitting && !pending && core->counters.batch <= durable;
}

struct core_counters
core_counters(const struct core *core)
{
	struct core_counters counters = core->counters;

	for (unsigned i = 0; i < core->pipeline->table_count; i++)
		if (core->tables[i].rows != NULL)
			counters.rows += rows_count(core->tables[i].rows);
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		counters.groups += groups_count(core->views[i].groups);
	return counters;
}

const struct core_error *
core_error(const struct core *core)
{
	return &core->error;
}
