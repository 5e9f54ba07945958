#include "ingest/place.h"

#include "ingest/envelope.h"

/* source.sequence: a string that holds a JSON array of strings or nulls. */
static void
place_read_sequence(struct json *j, struct event_place *p)
{
	char buf[128];
	struct json inside;

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

const char *
place_read_source(struct json *j, struct event_place *p)
{
	bool lsn = false, time = false, snapshot = false, sequence = false;
	bool sequenced = false;
	struct slice key;

	if (json_null(j))
		return NULL;
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (KEY_IS(key, "lsn")) {
			p->has_lsn = envelope_uint(j, &p->lsn);
			lsn = true;
		} else if (KEY_IS(key, "txId")) {
			envelope_uint(j, &p->xid);
		} else if (KEY_IS(key, "ts_ms")) {
			time = envelope_int(j, &p->source_ms);
		} else if (KEY_IS(key, "snapshot")) {
			place_read_snapshot(j, p);
			snapshot = true;
		} else if (KEY_IS(key, "sequence")) {
			place_read_sequence(j, p);
			sequence = true;
		} else if (KEY_IS(key, "version")) {
			sequenced = place_has_sequence(j);
		} else {
			envelope_skip(j, key);
		}
	}
	return place_missing(lsn, time, snapshot, sequence || !sequenced);
}

void
place_read_transaction(struct json *j, struct event_place *p)
{
	struct slice key;

	if (json_null(j))
		return;
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (KEY_IS(key, "data_collection_order"))
			envelope_int(j, &p->order);
		else
			envelope_skip(j, key);
	}
}
