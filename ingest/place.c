#include "ingest/place.h"

#include "common/glance.h"
#include "ingest/envelope.h"

const char *
place_glance_sequence(const char *s, const char *end, struct event_place *p)
{
	static const char open[] = "\"[\\\"", middle[] = "\\\",\\\"", close[] = "\\\"]\"";
	uint64_t first, second;

	if ((s = form_pass(s, end, open, sizeof(open) - 1)) == NULL ||
	    (s = glance_number(s, end, &first)) == NULL ||
	    (s = form_pass(s, end, middle, sizeof(middle) - 1)) == NULL ||
	    (s = glance_number(s, end, &second)) == NULL ||
	    (s = form_pass(s, end, close, sizeof(close) - 1)) == NULL)
		return NULL;
	p->has_sequences = p->has_sequence = true;
	p->sequence = first;
	return s;
}

/* source.sequence: a string that holds a JSON array of strings or nulls. */
static void
place_read_sequence(struct json *j, struct event_place *p)
{
	char buf[128];
	struct json inside;

	const char *after = j->error ? NULL : place_glance_sequence(j->at, j->end, p);

	if (after != NULL) {
		j->at = after;
		j->first = false;
		return;
	}
	if (json_null(j))
		return;
	struct slice text = json_string(j, buf, sizeof(buf));
	if (j->error)
		return;
	p->has_sequences = true;
	json_init(&inside, text.s, text.len);
	json_enter(&inside, JSON_ARRAY);
	if (json_element(&inside) && !json_null(&inside)) {
		struct slice first = json_string(&inside, NULL, 0);
		p->has_sequence = slice_uint64(first, &p->sequence);
		if (!p->has_sequence)
			inside.error = "";
	}
	if (inside.error)
		j->error = "source.sequence is not as Debezium writes it";
}

static void
place_read_snapshot(struct json *j, struct event_place *p)
{
	static const char *const names[] = {
	    [SNAPSHOT_FALSE] = "false",
	    [SNAPSHOT_TRUE] = "true",
	    [SNAPSHOT_FIRST] = "first",
	    [SNAPSHOT_FIRST_IN_COLLECTION] = "first_in_data_collection",
	    [SNAPSHOT_LAST_IN_COLLECTION] = "last_in_data_collection",
	    [SNAPSHOT_LAST] = "last",
	    [SNAPSHOT_INCREMENTAL] = "incremental",
	};

	if (json_null(j))
		return;
	if (json_peek(j) != JSON_STRING) {
		p->snapshot = json_bool(j) ? SNAPSHOT_TRUE : SNAPSHOT_FALSE;
		return;
	}
	struct slice word = json_string(j, NULL, 0);
	for (unsigned i = 0; !j->error && i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_is(word, names[i])) {
			p->snapshot = (enum snapshot_mark)i;
			return;
		}
	}
	if (!j->error)
		j->error = "source.snapshot is a word that this version does not know";
}

/* Whether Debezium of that version writes source.sequence; of no version, perhaps not. */
static bool
place_has_sequence(struct json *j)
{
	if (json_peek(j) != JSON_STRING) {
		json_skip(j);
		return false;
	}
	struct slice version = json_string(j, NULL, 0);
	if (version.len < 4 || version.s[0] == '0')
		return false;
	return version.s[0] != '1' || version.s[2] >= '5' || version.s[3] != '.';
}

/* Events look the same in all else when one of these is not there. */
static const char *
place_missing(bool lsn, bool time, bool snapshot, bool sequence)
{
	if (!lsn)
		return "lsn";
	if (!time)
		return "ts_ms";
	if (!snapshot)
		return "snapshot";
	return sequence ? NULL : "sequence";
}

static enum slot_kind
place_source_slot(struct slice key)
{
	if (KEY_IS(key, "lsn"))
		return SLOT_LSN;
	if (KEY_IS(key, "txId"))
		return SLOT_XID;
	if (KEY_IS(key, "ts_ms"))
		return SLOT_SOURCE_MS;
	if (KEY_IS(key, "snapshot"))
		return SLOT_SNAPSHOT;
	if (KEY_IS(key, "sequence"))
		return SLOT_SEQUENCE;
	if (KEY_IS(key, "version"))
		return SLOT_VERSION;
	return SLOT_SKIP;
}

bool
place_take(struct json *j, enum slot_kind slot, struct event_place *p)
{
	switch (slot) {
	case SLOT_LSN:
		p->has_lsn = envelope_uint(j, &p->lsn);
		return true;
	case SLOT_XID:
		envelope_uint(j, &p->xid);
		return true;
	case SLOT_SOURCE_MS:
		return envelope_int(j, &p->source_ms);
	case SLOT_SNAPSHOT:
		place_read_snapshot(j, p);
		return true;
	case SLOT_SEQUENCE:
		place_read_sequence(j, p);
		return true;
	case SLOT_VERSION:
		return place_has_sequence(j);
	case SLOT_ORDER:
		envelope_int(j, &p->order);
		return true;
	default:
		json_skip(j);
		return true;
	}
}

/* What nobody wants names the connector and the table, but for times: its bytes do not change. */
static bool
place_is_constant(enum slot_kind slot, struct json *j)
{
	return slot == SLOT_VERSION || (slot == SLOT_SKIP && json_peek(j) != JSON_NUMBER);
}

const char *
place_read_source(struct json *j, struct event_place *p, struct lesson *lesson)
{
	bool lsn = false, time = false, snapshot = false, sequence = false;
	bool sequenced = false, there;
	struct slice key;

	if (json_null(j))
		return NULL;
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		enum slot_kind slot = place_source_slot(key);
		if (slot == SLOT_SKIP)
			envelope_check_name(j, key);
		struct lesson *noted = place_is_constant(slot, j) ? NULL : lesson;
		lesson_slot(noted, slot, 0, j);
		there = place_take(j, slot, p);
		lesson_slot_end(noted, j);
		lsn = lsn || slot == SLOT_LSN;
		snapshot = snapshot || slot == SLOT_SNAPSHOT;
		sequence = sequence || slot == SLOT_SEQUENCE;
		if (slot == SLOT_SOURCE_MS)
			time = there;
		if (slot == SLOT_VERSION)
			sequenced = there;
	}
	return place_missing(lsn, time, snapshot, sequence || !sequenced);
}

void
place_read_transaction(struct json *j, struct event_place *p, struct lesson *lesson)
{
	struct slice key;

	if (json_null(j))
		return;
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		bool order = KEY_IS(key, "data_collection_order");
		if (!order)
			envelope_check_name(j, key);
		lesson_slot(lesson, order ? SLOT_ORDER : SLOT_SKIP, 0, j);
		place_take(j, order ? SLOT_ORDER : SLOT_SKIP, p);
		lesson_slot_end(lesson, j);
	}
}
