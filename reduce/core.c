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
#include "common/stage.h"
#include "reduce/core_state.h"

enum core_result
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

enum core_result
core_corrupt(struct core *core, unsigned input, const char *what)
{
	return core_fail(
	    core, EXIT_RECOVER, "reduce.corrupt",
	    "ingest of server \"%s\" sent %s: everything is started anew from the target",
	    core->pipeline->servers[input].name, what);
}

void
core_list_views(struct core *core, unsigned index)
{
	struct core_table *t = &core->tables[index];

	free(t->views);
	t->views = xcalloc(core->pipeline->view_count + 1, sizeof(*t->views));
	t->view_count = 0;
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (core->pipeline->views[i].table == index && !core->pipeline->views[i].dropped)
			t->views[t->view_count++] = i;
}

static void
core_table_init(struct core *core, unsigned index)
{
	const struct table *table = &core->pipeline->tables[index];
	struct core_table *t = &core->tables[index];

	t->table = table;
	t->types = xcalloc(table->column_count + 1, sizeof(*t->types));
	t->key_types = xcalloc(table->key_count + 1, sizeof(*t->key_types));
	t->before = xcalloc(table->column_count + 1, sizeof(*t->before));
	t->after = xcalloc(table->column_count + 1, sizeof(*t->after));
	t->key = xcalloc(table->key_count + 1, sizeof(*t->key));
	for (unsigned i = 0; i < table->column_count; i++)
		t->types[i] = table->columns[i].type;
	for (unsigned i = 0; i < table->key_count; i++)
		t->key_types[i] = t->types[table->key[i]];
	core_list_views(core, index);
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
}

static void
core_beat(void *arg)
{
	const struct core *core = arg;

	if (core->hooks.beat != NULL)
		core->hooks.beat(core->hooks.arg);
}

/* Rows, groups and what is known of checkpoints, all empty. */
void
core_open_state(struct core *core)
{
	const struct pipeline *pipeline = core->pipeline;

	checkpoints_init(&core->checkpoints, pipeline->ring_bytes, core_beat, core);
	for (unsigned i = 0; i < pipeline->table_count; i++) {
		if (pipeline->tables[i].key_count == 0)
			continue;
		core->tables[i].rows = rows_new(&pipeline->tables[i]);
		checkpoints_add_rows(&core->checkpoints, &pipeline->tables[i],
				     core->tables[i].rows);
	}
	for (unsigned i = 0; i < pipeline->view_count; i++) {
		const struct view *view = &pipeline->views[i];
		const struct table *table = &pipeline->tables[view->table];
		if (view->dropped)
			continue;
		core->views[i].groups = groups_new(view, table);
		if (table->key_count == 0)
			checkpoints_add_groups(&core->checkpoints, view, table,
					       core->views[i].groups);
	}
}

void
core_close_state(struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->table_count; i++) {
		rows_free(core->tables[i].rows);
		core->tables[i].rows = NULL;
	}
	for (unsigned i = 0; i < core->pipeline->view_count; i++) {
		groups_free(core->views[i].groups);
		groups_free(core->views[i].fresh);
		core->views[i].groups = core->views[i].fresh = NULL;
	}
	checkpoints_fini(&core->checkpoints);
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
		core_table_init(core, i);
	for (unsigned i = 0; i < pipeline->view_count; i++)
		core->views[i].known = true;
	core_open_state(core);
	letters_init(&core->letters);
	core->position = position_new(pipeline);
	core->position_text = xcalloc(1, BOARD_POSITION_MAX);
	return core;
}

void
core_set_hooks(struct core *core, const struct core_hooks *hooks)
{
	core->hooks = *hooks;
}

void
core_free(struct core *core)
{
	if (core == NULL)
		return;
	core_close_state(core);
	letters_clear(&core->letters);
	for (unsigned i = 0; i < core->pipeline->table_count; i++)
		core_table_fini(&core->tables[i]);
	position_free(core->position);
	free(core->tables);
	free(core->views);
	free(core->cut);
	free(core->origin);
	free(core->origin_text);
	free(core->position_text);
	free(core->scratch);
	free(core);
}

bool
core_wants(const struct core *core, unsigned input)
{
	if (core->emitting || core->finishing)
		return false;
	if (core->open != NO_INPUT)
		return core->open == input;
	/* They are due: first they must go. */
	if (core->letters.bytes >= LETTERS_BYTES)
		return false;
	return core->live || !core->cut[input];
}

/*
 * A row of this change comes (diff 1) or goes; NULL: it only goes, with a snapshot's end or by a newer
 * one. What was streamed while a snapshot is open is older than it, and not in its fresh groups.
 */
static enum core_result
views_apply(struct core *core, const struct core_table *t, const struct value *row, int diff,
	    const struct change *change)
{
	bool snapshot = change != NULL && change->snapshot;
	char error[300], what[96];

	for (unsigned i = 0; i < t->view_count; i++) {
		struct core_view *view = &core->views[t->views[i]];
		struct groups *groups =
		    snapshot && view->fresh != NULL ? view->fresh : view->groups;
		const struct value *computed = groups_compute(groups, row, error, sizeof(error));
		if (computed != NULL) {
			groups_apply(groups, computed, diff);
			continue;
		}
		/* That it was not added is told already. */
		if (diff < 0)
			continue;
		bool fresh = core_view_is_fresh(core, t->views[i]);
		core->counters.evaluations += core->live || fresh;
		(void)snprintf(what, sizeof(what),
			       "view \"%.63s\": ", core->pipeline->views[t->views[i]].name);
		if (core_bad_row(core, t, change, row, what, error, fresh) == CORE_FAILED)
			return CORE_FAILED;
	}
	return CORE_OK;
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
core_unchanged(struct core *core, const struct core_table *t, const struct change *change,
	       const char *column)
{
	char reason[300];

	(void)snprintf(
	    reason, sizeof(reason),
	    "an update left out column \"%.63s\" (a large value that did not change), and "
	    "no earlier row with its key is known: set REPLICA IDENTITY FULL, or start "
	    "from a snapshot",
	    column);
	return core_bad_row(core, t, change, t->after, "", reason, false);
}

/* Of t->key. */
static uint32_t
key_hash(const struct core_table *t, const struct core_hint *hint)
{
	return hint != NULL ? hint->hash : rows_hash(t->rows, t->key);
}

static enum core_result
core_upsert(struct core *core, unsigned input, struct core_table *t, const struct change *change,
	    const struct core_hint *hint)
{
	const struct table *table = t->table;
	const uint8_t *bytes = change->row, *old_bytes = NULL;
	size_t len = change->row_len, old_len = 0;
	bool filled;

	if (!row_unpack(bytes, len, t->types, table->column_count, t->after))
		return core_corrupt(core, input, "a row that does not fit its table");
	for (unsigned i = 0; i < table->key_count; i++)
		t->key[i] = t->after[table->key[i]];
	uint32_t hash = key_hash(t, hint);
	struct row *row = rows_find(t->rows, t->key, hash);
	if (row != NULL) {
		old_bytes = row_bytes(row, &old_len);
		rows_read(t->rows, row, t->before);
	}
	const char *missing = row_fill(t, row != NULL, &filled);
	if (missing != NULL)
		return core_unchanged(core, t, change, missing);
	if (filled)
		bytes = row_repack(core, t, len + old_len, &len);
	if (row != NULL && len == old_len && memcmp(bytes, old_bytes, len) == 0) {
		if (change->snapshot)
			rows_keep(t->rows, row);
		return CORE_OK;
	}
	/* First the new one: a value that stays in its group then never leaves its multiset. */
	if (views_apply(core, t, t->after, 1, change) == CORE_FAILED)
		return CORE_FAILED;
	if (row != NULL)
		(void)views_apply(core, t, t->before, -1, NULL);
	if (change->snapshot)
		rows_put(t->rows, row, hash, bytes, len);
	else
		rows_put_streamed(t->rows, row, hash, bytes, len);
	return CORE_OK;
}

static void
core_remove(struct core *core, struct core_table *t, struct row *row)
{
	rows_read(t->rows, row, t->before);
	(void)views_apply(core, t, t->before, -1, NULL);
	rows_remove(t->rows, row);
}

static enum core_result
core_delete(struct core *core, unsigned input, struct core_table *t, const struct change *change,
	    const struct core_hint *hint)
{
	if (!row_unpack(change->row, change->row_len, t->key_types, t->table->key_count, t->key))
		return core_corrupt(core, input, "a key that does not fit its table");
	uint32_t hash = key_hash(t, hint);
	struct row *row = rows_find(t->rows, t->key, hash);
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
	return views_apply(core, t, t->after, diff, change);
}

/* All rows, or those that the open attempt has not read; so many that the supervisor must hear of it. */
static void
remove_rows(struct core *core, struct core_table *t, bool stale)
{
	struct rows_cursor cursor = {.next = NULL};
	struct row *row;
	uint64_t n = 0;

	while (t->rows != NULL &&
	       (row = stale ? rows_stale(t->rows, &cursor) : rows_next(t->rows, &cursor)) != NULL) {
		core_remove(core, t, row);
		if (++n % BEAT_ROWS == 0)
			core_beat(core);
	}
}

/*
 * All rows go, but what an open attempt has read: that was after the TRUNCATE, which else would wait
 * for the attempt's end.
 */
static void
core_truncate(struct core *core, struct core_table *t)
{
	remove_rows(core, t, t->attempt_open);
	for (unsigned i = 0; t->rows == NULL && i < t->view_count; i++) {
		unsigned view = t->views[i];
		struct groups *none = groups_new(&core->pipeline->views[view], t->table);
		groups_replace(core->views[view].groups, none);
		groups_free(none);
	}
}

/* The table of a record, or NULL when this input may not speak of it. */
struct core_table *
core_table(struct core *core, unsigned input, uint16_t index)
{
	if (index >= core->pipeline->table_count || core->pipeline->tables[index].server != input)
		return NULL;
	return &core->tables[index];
}

bool
core_keeps_rows(const struct core *core)
{
	for (unsigned i = 0; i < core->pipeline->table_count; i++)
		if (core->tables[i].rows != NULL)
			return true;
	return false;
}

void
core_look_ahead(struct core *core, unsigned input, const struct ring_record *record,
		struct core_hint *hint)
{
	const struct change *change = &hint->change;
	struct core_table *t;

	hint->rows = NULL;
	if (record->kind != RECORD_CHANGE || !batch_get_change(record, &hint->change) ||
	    (t = core_table(core, input, change->table)) == NULL || t->rows == NULL ||
	    !rows_hash_packed(t->rows, change->row, change->row_len, change->kind == CHANGE_UPSERT,
			      &hint->hash))
		return;
	hint->rows = t->rows;
	rows_fetch_bucket(hint->rows, hint->hash);
}

void
core_fetch(const struct core_hint *hint, bool next)
{
	if (hint->rows != NULL && next)
		rows_fetch_next(hint->rows, hint->hash);
	else if (hint->rows != NULL)
		rows_fetch_row(hint->rows, hint->hash);
}

static enum core_result
core_change(struct core *core, unsigned input, const struct ring_record *record,
	    const struct core_hint *hint)
{
	struct change read;
	const struct change *change = hint != NULL ? &hint->change : &read;
	struct core_table *t;

	/* A row ends where its record ends. */
	INVARIANT(hint == NULL || change->row + change->row_len == record->data + record->len);
	if ((hint == NULL && !batch_get_change(record, &read)) ||
	    (t = core_table(core, input, change->table)) == NULL)
		return core_corrupt(core, input, "a change that is not well formed");
	bool keyed = change->kind == CHANGE_UPSERT || change->kind == CHANGE_DELETE;
	if (keyed != (t->rows != NULL) && change->kind != CHANGE_TRUNCATE)
		return core_corrupt(core, input, "a change of a kind that its table cannot have");
	core->counters.changes++;
	core->checkpoint_changes++;
	if (FAULT("reduce.change"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a change");
	switch (change->kind) {
	case CHANGE_UPSERT:
		return core_upsert(core, input, t, change, hint);
	case CHANGE_DELETE:
		return core_delete(core, input, t, change, hint);
	case CHANGE_ADD:
		return core_add(core, input, t, change, 1);
	case CHANGE_SUBTRACT:
		return core_add(core, input, t, change, -1);
	case CHANGE_TRUNCATE:
		core_truncate(core, t);
		return CORE_OK;
	}
	return core_corrupt(core, input, "a change of an unknown kind");
}

/* The open attempt, if there is one, ends, and what is of it alone is dropped. */
static void
snapshot_close(struct core *core, struct core_table *t)
{
	t->attempt_open = false;
	if (t->rows != NULL)
		rows_attempt_end(t->rows);
	for (unsigned i = 0; i < t->view_count; i++) {
		struct core_view *view = &core->views[t->views[i]];
		groups_free(view->fresh);
		view->fresh = NULL;
	}
}

static void
snapshot_begin(struct core *core, struct core_table *t)
{
	snapshot_close(core, t);
	t->attempt_open = true;
	if (t->rows != NULL)
		rows_attempt_begin(t->rows);
	for (unsigned i = 0; t->rows == NULL && i < t->view_count; i++)
		core->views[t->views[i]].fresh =
		    groups_new(&core->pipeline->views[t->views[i]], t->table);
}

static void
snapshot_end(struct core *core, struct core_table *t)
{
	remove_rows(core, t, true);
	for (unsigned i = 0; t->rows == NULL && i < t->view_count; i++) {
		struct core_view *view = &core->views[t->views[i]];
		groups_replace(view->groups, view->fresh);
	}
	snapshot_close(core, t);
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
	if (phase != SNAPSHOT_BEGIN && !t->attempt_open)
		return core_corrupt(core, input, "the end of a snapshot that had not begun");
	if (FAULT("reduce.snapshot"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at a snapshot mark");
	if (phase == SNAPSHOT_BEGIN)
		snapshot_begin(core, t);
	else if (phase == SNAPSHOT_END)
		snapshot_end(core, t);
	else
		snapshot_close(core, t);
	return CORE_OK;
}

static enum core_result
core_end(struct core *core, unsigned input, const struct ring_record *record, int64_t now_ms)
{
	const uint8_t *entries;
	struct stamps stamps;
	int64_t source_ms;
	size_t len;

	if (!batch_get_end(record, &source_ms, &stamps, &entries, &len) ||
	    !position_apply(core->position, input, entries, len))
		return core_corrupt(core, input, "a position that is not well formed");
	if (FAULT("reduce.end"))
		return core_fail(core, EXIT_TEMPORARY, "reduce.fault", "fault at an END");
	if (len > 0 && !core->position_changed) {
		core->position_changed = true;
		core->position_changed_ms = now_ms;
	}
	core->checkpoint_moved = core->checkpoint_moved || len > 0;
	if (source_ms > core->source_ms)
		core->source_ms = source_ms;
	/* Of what touches nothing, no commit is awaited: the next one is another's. */
	if (stamps.count > 0 && core_has_news(core))
		stamps_merge(&core->stamps, &stamps);
	core->open = NO_INPUT;
	core->counters.transactions++;
	if (record->kind != RECORD_CUT || core->cut[input])
		return CORE_END;
	core->cut[input] = true;
	core->cuts++;
	core->checkpoint_begun_ms = now_ms;
	return core->cuts == core->pipeline->server_count ? CORE_CUT : CORE_END;
}

enum core_result
core_take(struct core *core, unsigned input, const struct ring_record *record,
	  const struct core_hint *hint, int64_t now_ms)
{
	INVARIANT(core_wants(core, input));
	switch (record->kind) {
	case RECORD_CHANGE:
		core->open = input;
		return core_change(core, input, record, hint);
	case RECORD_SNAPSHOT:
		core->open = input;
		return core_snapshot(core, input, record);
	case RECORD_BAD:
		core->open = input;
		return core_letter(core, input, record);
	case RECORD_END:
	case RECORD_CUT:
		return core_end(core, input, record, now_ms);
	default:
		return core_corrupt(core, input, "a record of an unknown kind");
	}
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

struct core_counters
core_counters(const struct core *core)
{
	struct core_counters counters = core->counters;

	for (unsigned i = 0; i < core->pipeline->table_count; i++)
		if (core->tables[i].rows != NULL)
			counters.rows += rows_count(core->tables[i].rows);
	for (unsigned i = 0; i < core->pipeline->view_count; i++)
		if (core->views[i].groups != NULL)
			counters.groups += groups_count(core->views[i].groups);
	counters.checkpoint_bytes = core->checkpoints.bytes;
	counters.loaded = core->checkpoints.loaded;
	counters.live_bytes = checkpoints_live_bytes(&core->checkpoints);
	counters.stored_bytes = checkpoints_stored_bytes(&core->checkpoints);
	return counters;
}

const struct core_error *
core_error(const struct core *core)
{
	return &core->error;
}
