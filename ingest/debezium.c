#include "ingest/debezium_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "ingest/envelope.h"
#include "ingest/place.h"

static void
fields_init(struct fields *f, unsigned count, const char *row)
{
	size_t room = count ? count : 1;

	f->count = count;
	f->columns = xcalloc(room, sizeof(const struct column *));
	f->values = xcalloc(room, sizeof(*f->values));
	f->seen = xcalloc(room, sizeof(*f->seen));
	schema_init(&f->schema, f->columns, count, row);
}

static void
fields_fini(struct fields *f)
{
	schema_fini(&f->schema);
	free(f->columns);
	free(f->values);
	free(f->seen);
}

struct decoder *
decoder_new(const struct table *table)
{
	struct decoder *d = xcalloc(1, sizeof(*d));

	d->table = table;
	fields_init(&d->row, table->column_count, "after");
	fields_init(&d->key, table->key_count, NULL);
	for (unsigned i = 0; i < table->column_count; i++)
		d->row.columns[i] = &table->columns[i];
	for (unsigned i = 0; i < table->key_count; i++)
		d->key.columns[i] = &table->columns[table->key[i]];
	d->before = xcalloc(table->column_count ? table->column_count : 1, sizeof(*d->before));
	decoder_follow(d, &(struct connector){0});
	return d;
}

void
decoder_follow(struct decoder *d, const struct connector *connector)
{
	schema_follow(&d->row.schema, connector);
	schema_follow(&d->key.schema, connector);
	unavailable_init(&d->unavailable, connector->unavailable ? connector->unavailable
								 : CONNECTOR_UNAVAILABLE_DEFAULT);
}

void
decoder_free(struct decoder *d)
{
	if (!d)
		return;
	fields_fini(&d->row);
	fields_fini(&d->key);
	forms_free(&d->row_forms);
	forms_free(&d->key_forms);
	free(d->before);
	room_free(&d->room);
	free(d->text);
	free(d);
}

uint64_t
decoder_schemas_skipped(const struct decoder *d)
{
	return d->row.schema.skipped + d->key.schema.skipped;
}

uint64_t
decoder_by_form(const struct decoder *d)
{
	return d->row_forms.found;
}

uint64_t
decoder_by_scan(const struct decoder *d)
{
	return d->row_forms.messages - d->row_forms.found;
}

/* Begin a message of so many bytes: the room for all that it may hold grows with the largest. */
static void
decoder_begin(struct decoder *d, size_t bytes, char *error, size_t error_size)
{
	room_clear(&d->room);
	if (d->text_size < bytes) {
		d->text = xreallocarray(d->text, bytes, 1);
		d->text_size = bytes;
	}
	d->convert = (struct convert){
	    .unavailable = &d->unavailable,
	    .room = &d->room,
	    .text = d->text,
	    .text_size = d->text_size,
	    .error = error,
	    .error_size = error_size,
	};
}

static void
decoder_list_columns(const struct fields *f, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < f->count && used < size; i++) {
		int n = snprintf(buf + used, size - used, "%s%s", i > 0 ? ", " : "",
				 f->columns[i]->name);
		used += n > 0 ? (size_t)n : 0;
	}
}

static unsigned
fields_find(const struct fields *f, struct slice name, unsigned guess)
{
	for (unsigned n = 0; n < f->count; n++, guess++) {
		if (guess >= f->count)
			guess = 0;
		if (slice_is(name, f->columns[guess]->name))
			return guess;
	}
	return f->count;
}

/*
 * Read the object that comes next. *found counts the wanted columns, *strangers the others.
 */
static bool
fields_read(struct fields *f, struct lesson *lesson, struct convert *c, struct json *j,
	    struct value *values, unsigned *found, unsigned *strangers)
{
	char plain[KEY_ROOM];
	struct slice name;
	unsigned guess = 0;

	*found = *strangers = 0;
	f->stamp++;
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &name)) {
		unsigned i = fields_find(f, json_plain(name, plain, sizeof(plain)), guess);
		if (i == f->count) {
			(*strangers)++;
			lesson_slot(lesson, SLOT_SKIP, 0, j);
			json_skip(j);
			lesson_slot_end(lesson, j);
			continue;
		}
		if (f->seen[i] == f->stamp)
			return convert_fail(c, "the message has column \"%s\" twice",
					    f->columns[i]->name);
		f->seen[i] = f->stamp;
		if (f->schema.len > 0 && f->schema.shapes[i].kind == SHAPE_UNKNOWN)
			return convert_fail(c, "the message's schema lacks its column \"%s\"",
					    f->columns[i]->name);
		lesson_slot(lesson, SLOT_COLUMN, i, j);
		if (!convert_value(c, j, f->columns[i], &f->schema.shapes[i], &values[i]))
			return j->error && envelope_malformed(c, j);
		lesson_slot_end(lesson, j);
		guess = i + 1;
		(*found)++;
	}
	return !j->error || envelope_malformed(c, j);
}

static bool
decoder_read_row(struct decoder *d, struct json *j, struct value *values)
{
	struct fields *f = &d->row;
	struct json start = *j;
	unsigned found, strangers;
	char names[256];

	if (!fields_read(f, forms_lesson(&d->row_forms), &d->convert, j, values, &found,
			 &strangers))
		return false;
	if (found == f->count)
		return true;
	unsigned i = 0;
	while (f->seen[i] == f->stamp)
		i++;
	envelope_list_members(start, names, sizeof(names));
	return convert_fail(&d->convert,
			    "the message has no column \"%s\" of table \"%s\"; it has: %s. Where "
			    "the source has dropped "
			    "or renamed it, take it and its views out of the pipeline file",
			    f->columns[i]->name, d->table->name, names);
}

static bool
decoder_read_key(struct decoder *d, struct json *j)
{
	struct fields *f = &d->key;
	struct json start = *j;
	unsigned found, strangers;
	char names[160], declared[160];

	d->convert.unavailable = NULL; /* a key is always sent, whatever its text */
	if (!fields_read(f, forms_lesson(&d->key_forms), &d->convert, j, f->values, &found,
			 &strangers))
		return false;
	if (found < f->count || strangers > 0) {
		envelope_list_members(start, names, sizeof(names));
		decoder_list_columns(f, declared, sizeof(declared));
		return convert_fail(&d->convert,
				    "the message key is (%s) but table \"%s\" declares PRIMARY KEY "
				    "(%s): declare the "
				    "columns of the message key",
				    names, d->table->name, declared);
	}
	for (unsigned i = 0; i < f->count; i++)
		if (f->values[i].kind == VALUE_NULL)
			return convert_fail(&d->convert, "the message key has a null \"%s\"",
					    f->columns[i]->name);
	return true;
}

/* False when the message is refused. *read: all of the row is there. */
static bool
decoder_try_row(struct decoder *d, struct json *j, struct value *values, bool *read)
{
	struct json start = *j;

	*read = decoder_read_row(d, j, values);
	if (*read || !d->salvaging)
		return *read;
	d->convert.failed = false;
	*j = start;
	json_skip(j);
	return true;
}

static bool
debezium_read_op(struct convert *c, struct json *j, struct envelope *e)
{
	char excerpt[EXCERPT_SIZE];

	if (json_null(j))
		return true;
	struct slice op = json_string(j, NULL, 0);
	if (j->error)
		return true;
	if (op.len != 1)
		return convert_fail(c, "the message's op \"%s\" is unknown",
				    convert_excerpt(op, excerpt));
	e->op = op.s[0];
	return true;
}

/*
 * The row of "before". Of a keyed table it is never used. Of a keyless one only a whole row counts:
 * a NULL in a NOT NULL column shows that it holds no more than a replica identity.
 */
static bool
decoder_read_before(struct decoder *d, struct json *j, struct envelope *e)
{
	if (json_null(j))
		return true;
	e->has_before = true;
	if (d->table->key_count > 0) {
		json_skip(j);
		return true;
	}
	if (!decoder_try_row(d, j, d->before, &e->whole_before))
		return false;
	e->unread_before = !e->whole_before;
	for (unsigned i = 0; e->whole_before && i < d->row.count; i++)
		if (d->before[i].kind == VALUE_NULL && d->row.columns[i]->not_null)
			e->whole_before = false;
	return true;
}

static bool
decoder_read_after(struct decoder *d, struct json *j, struct envelope *e)
{
	if (json_null(j))
		return true;
	e->has_after = true;
	return decoder_try_row(d, j, d->row.values, &e->read_after);
}

static void
debezium_note_member(struct json *j, struct slice key, struct envelope *e, struct lesson *lesson)
{
	bool time = KEY_IS(key, "ts_ms");

	if (time || KEY_IS(key, "ts_us") || KEY_IS(key, "ts_ns"))
		e->members |= MEMBER_TIME;
	else if (KEY_IS(key, "message"))
		e->members |= MEMBER_MESSAGE;
	else if (KEY_IS(key, "databaseName") || KEY_IS(key, "ddl") || KEY_IS(key, "tableChanges"))
		e->members |= MEMBER_SCHEMA_CHANGE;
	else if (key.len > 2 && memcmp(key.s, "__", 2) == 0)
		e->members |= MEMBER_FLATTENED;
	else if (KEY_IS(key, "specversion"))
		e->members |= MEMBER_CLOUD;
	else
		e->members |= MEMBER_OTHER;
	envelope_check_name(j, key);
	lesson_slot(lesson, time ? SLOT_TIME : SLOT_SKIP, 0, j);
	if (time)
		envelope_int(j, &e->time_ms);
	else
		json_skip(j);
	lesson_slot_end(lesson, j);
}

static bool
decoder_read_envelope(struct decoder *d, struct json *j, struct envelope *e, struct event_place *p)
{
	struct lesson *lesson = forms_lesson(&d->row_forms);
	struct slice key;
	bool ok = true;

	json_enter(j, JSON_OBJECT);
	while (ok && json_key(j, &key)) {
		if (KEY_IS(key, "before")) {
			lesson_slot(lesson, SLOT_BEFORE, 0, j);
			ok = decoder_read_before(d, j, e);
			lesson_slot_end(lesson, j);
		} else if (KEY_IS(key, "after")) {
			ok = decoder_read_after(d, j, e);
		} else if (KEY_IS(key, "source")) {
			e->has_source = json_peek(j) == JSON_OBJECT;
			e->missing = place_read_source(j, p, lesson);
		} else if (KEY_IS(key, "transaction")) {
			place_read_transaction(j, p, lesson);
		} else if (KEY_IS(key, "op")) {
			lesson_slot(lesson, SLOT_OP, 0, j);
			ok = debezium_read_op(&d->convert, j, e) || d->salvaging;
			lesson_slot_end(lesson, j);
		} else {
			debezium_note_member(j, key, e, lesson);
		}
	}
	return ok;
}

/* ---- a message: by its form, or scanned ---------------------------------------------------------- */

bool
decoder_take_slot(struct decoder *d, const struct slot *slot, struct fields *f, struct json *j,
		  struct envelope *e, struct event_place *p)
{
	unsigned i = slot->index;

	switch (slot->kind) {
	case SLOT_COLUMN:
		return convert_value(&d->convert, j, f->columns[i], &f->schema.shapes[i],
				     &f->values[i]);
	case SLOT_BEFORE:
		return decoder_read_before(d, j, e);
	case SLOT_OP:
		return debezium_read_op(&d->convert, j, e) && decoder_is_change(e->op);
	case SLOT_TIME:
		envelope_int(j, &e->time_ms);
		return true;
	default:
		return place_take(j, slot->kind, p);
	}
}

static bool
decoder_scan_value(struct decoder *d, struct slice text, bool has_key, struct event *ev)
{
	struct envelope e = {0};
	struct json j;
	bool wrapped;

	if (!envelope_sniff(&d->convert, "message", text.s, text.len))
		return false;
	if (!envelope_open(&d->row.schema, &d->convert, &j, text.s, text.len, &wrapped))
		return envelope_malformed(&d->convert, &j);
	struct json start = j;
	if (j.start != text.s) /* the payload came first, and is scanned from another depth */
		forms_end(&d->row_forms);
	if (wrapped && json_null(&j)) {
		ev->place.kind = EVENT_TOMBSTONE;
		return envelope_close(&j, wrapped) || envelope_malformed(&d->convert, &j);
	}
	if (!decoder_read_envelope(d, &j, &e, &ev->place) || !envelope_close(&j, wrapped))
		return envelope_malformed(&d->convert, &j);
	if (!decoder_judge(d, start, &e, has_key, ev))
		return false;
	if (ev->place.kind == EVENT_CHANGE && !ev->place.truncate)
		forms_learn(&d->row_forms, d->row.schema.generation, e.has_after);
	return true;
}

static bool
decoder_take_value(struct decoder *d, struct slice text, bool has_key, struct event *ev)
{
	struct envelope e = {0};

	if (decoder_try_forms(d, &d->row_forms, &d->row, text, &e, &ev->place))
		return decoder_judge_change(d, &e, has_key, ev);
	bool ok = decoder_scan_value(d, text, has_key, ev);
	forms_end(&d->row_forms);
	return ok;
}

/* False, without a sentence, when the scanner is to say what is wrong. */
static bool
decoder_replay_key(struct decoder *d, struct slice text)
{
	struct envelope e = {0};
	struct event_place p = {0};

	d->convert.unavailable = NULL; /* a key is always sent, whatever its text */
	if (!decoder_try_forms(d, &d->key_forms, &d->key, text, &e, &p))
		return false;
	for (unsigned i = 0; i < d->key.count; i++)
		if (d->key.values[i].kind == VALUE_NULL)
			return false;
	return true;
}

static bool
decoder_scan_key(struct decoder *d, struct slice text)
{
	struct json j;
	bool wrapped;

	if (!envelope_sniff(&d->convert, "message key", text.s, text.len))
		return false;
	if (!envelope_open(&d->key.schema, &d->convert, &j, text.s, text.len, &wrapped))
		return envelope_malformed(&d->convert, &j);
	if (j.start != text.s)
		forms_end(&d->key_forms);
	if (!decoder_read_key(d, &j) || !envelope_close(&j, wrapped))
		return envelope_malformed(&d->convert, &j);
	forms_learn(&d->key_forms, d->key.schema.generation, false);
	return true;
}

/* The key of a keyed table; also fills in key columns that were TOASTed and unchanged. */
static bool
decoder_take_key(struct decoder *d, struct slice text, struct event *ev)
{
	if (!text.s)
		return convert_fail(&d->convert,
				    "the message has no key but table \"%s\" declares a PRIMARY "
				    "KEY: its source table "
				    "needs the PRIMARY KEY too, or the declaration must go",
				    d->table->name);
	bool ok = decoder_replay_key(d, text) || decoder_scan_key(d, text);
	forms_end(&d->key_forms);
	if (!ok)
		return false;
	for (unsigned i = 0; ev->has_after && i < d->key.count; i++) {
		struct value *v = &d->row.values[d->table->key[i]];
		if (v->kind == VALUE_UNCHANGED)
			*v = d->key.values[i];
	}
	return true;
}

int
decoder_read(struct decoder *d, const char *key, size_t key_len, const char *value,
	     size_t value_len, struct event *ev, char *error, size_t error_size)
{
	bool ok = true;

	*ev = (struct event){.before = d->before, .after = d->row.values, .key = d->key.values};
	decoder_begin(d, (key ? key_len : 0) + (value ? value_len : 0), error, error_size);
	if (FAULT("ingest.decode"))
		ok = convert_fail(&d->convert, "the message is refused by a fault point");
	else if (value)
		ok = decoder_take_value(d, (struct slice){value, value_len}, key != NULL, ev);
	else
		ev->place.kind = EVENT_TOMBSTONE;
	if (ok && d->table->key_count > 0 && ev->place.kind != EVENT_NOTHING && !ev->place.truncate)
		ok = decoder_take_key(d, (struct slice){key, key_len}, ev);
	if (!ok && ev->place.kind == EVENT_TOMBSTONE) {
		ev->place.kind = EVENT_NOTHING; /* silent, whatever stands in its key */
		error[0] = '\0';
		return 0;
	}
	return ok ? 0 : -1;
}

/* ---- what can be used of a message that was refused -------------------------------------------- */

/* The envelope, tolerantly. False when nothing in it can be relied on. */
static bool
salvage_envelope(struct decoder *d, struct slice text, struct envelope *e, struct event_place *p)
{
	struct json j;
	bool wrapped, schema;

	schema = envelope_open(&d->row.schema, &d->convert, &j, text.s, text.len, &wrapped);
	d->convert.failed = false;
	if (!schema && !envelope_open(NULL, &d->convert, &j, text.s, text.len, &wrapped))
		return false;
	if (json_peek(&j) != JSON_OBJECT || !decoder_read_envelope(d, &j, e, p) ||
	    !envelope_close(&j, wrapped))
		return false;
	/* How the values are written is not known. */
	if (!schema)
		e->whole_before = e->read_after = false;
	/* Nothing else tells a repeat. */
	return e->has_source && !e->missing &&
	       (p->has_lsn || (p->snapshot == SNAPSHOT_INCREMENTAL && e->op == 'r'));
}

/* Which halves of a keyless table's change count. */
static void
salvage_rows(struct decoder *d, const struct envelope *e, bool has_key, struct event *ev)
{
	bool adds = e->op == 'c' || e->op == 'r' || e->op == 'u';
	bool takes = e->op == 'u' || e->op == 'd';
	/* An old row that is not to be trusted was counted: then the new one must not be, too. */
	bool known = !takes || (!has_key && e->unread_before) ||
		     (e->whole_before && decoder_judge_before(d, e, has_key));

	ev->has_before = takes && known && e->whole_before;
	d->convert.failed = false;
	ev->has_after = adds && known && e->read_after && decoder_judge_unchanged(d, e->op);
}

bool
decoder_salvage(struct decoder *d, const char *key, size_t key_len, const char *value,
		size_t value_len, struct event *ev)
{
	struct envelope e = {0};
	char error[256];

	*ev = (struct event){
	    .before = d->before, .after = d->row.values, .key = d->key.values, .bad = true};
	decoder_begin(d, (key ? key_len : 0) + (value ? value_len : 0), error, sizeof(error));
	d->salvaging = true;
	bool placed =
	    value != NULL && salvage_envelope(d, (struct slice){value, value_len}, &e, &ev->place);
	d->salvaging = false;
	d->convert.failed = false;
	if (!placed) {
		ev->place = (struct event_place){.kind = EVENT_UNREADABLE};
		return true;
	}
	ev->place.kind = EVENT_CHANGE;
	ev->op = e.op;
	if (e.op != 'r')
		ev->place.snapshot = SNAPSHOT_FALSE;
	if (d->table->key_count == 0)
		salvage_rows(d, &e, key != NULL, ev);
	else
		ev->has_key = decoder_take_key(d, (struct slice){key, key_len}, ev);
	return e.op != 't';
}
