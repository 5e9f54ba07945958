/* The messages of a connector's transaction topic: see debezium.h. */
#include <string.h>

#include "ingest/debezium.h"
#include "ingest/envelope.h"

/* "xid:lsn", or "xid" alone (Debezium 1.4). */
static void
transaction_read_id(struct json *j, struct transaction_event *t)
{
	struct slice id = json_string(j, NULL, 0);

	if (j->error)
		return;
	const char *colon = memchr(id.s, ':', id.len);
	struct slice xid = {id.s, colon ? (size_t)(colon - id.s) : id.len};
	struct slice lsn = {colon ? colon + 1 : NULL, colon ? id.len - xid.len - 1 : 0};
	t->has_lsn = colon != NULL;
	if (!slice_uint64(xid, &t->xid) || (colon && !slice_uint64(lsn, &t->lsn)))
		j->error = "the id of a transaction is not as Debezium writes it";
}

static void
transaction_count(const struct pipeline *p, unsigned server, struct slice name, uint64_t count,
		  struct transaction_event *t)
{
	for (unsigned i = 0; i < p->table_count; i++) {
		if (p->tables[i].server != server || !slice_is(name, p->tables[i].source))
			continue;
		if (i < TRANSACTION_TABLES_MAX)
			t->count[i] = count;
		else
			t->has_counts = false;
	}
}

static void
transaction_read_counts(const struct pipeline *p, unsigned server, struct json *j,
			struct transaction_event *t)
{
	struct slice key;

	t->has_counts = true;
	json_enter(j, JSON_ARRAY);
	while (json_element(j)) {
		char buf[512];
		struct slice name = {"", 0};
		uint64_t count = 0;
		json_enter(j, JSON_OBJECT);
		while (json_key(j, &key)) {
			if (KEY_IS(key, "data_collection"))
				name = json_string(j, buf, sizeof(buf));
			else if (KEY_IS(key, "event_count"))
				envelope_uint(j, &count);
			else
				envelope_skip(j, key);
		}
		if (!j->error)
			transaction_count(p, server, name, count, t);
	}
}

static void
transaction_read_status(struct json *j, struct transaction_event *t)
{
	char buf[64];
	struct slice status = json_string(j, buf, sizeof(buf));

	if (j->error)
		return;
	if (slice_is(status, "BEGIN"))
		t->status = TRANSACTION_BEGIN;
	else if (slice_is(status, "END"))
		t->status = TRANSACTION_END;
}

/* False when there is no status: then it is no transaction message, or a damaged one. */
static bool
transaction_read_members(const struct pipeline *p, unsigned server, struct json *j,
			 struct transaction_event *t)
{
	uint64_t total = 0;
	bool counted = false, has_total = false, has_status = false;
	struct slice key;

	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (KEY_IS(key, "status")) {
			transaction_read_status(j, t);
			has_status = true;
		} else if (KEY_IS(key, "id")) {
			transaction_read_id(j, t);
		} else if (KEY_IS(key, "event_count")) {
			has_total = envelope_uint(j, &total);
		} else if (KEY_IS(key, "ts_ms")) {
			envelope_int(j, &t->source_ms);
		} else if (KEY_IS(key, "data_collections") && !json_null(j)) {
			counted = true;
			transaction_read_counts(p, server, j, t);
		} else if (!KEY_IS(key, "data_collections")) {
			envelope_skip(j, key);
		}
	}
	if (!counted)
		t->has_counts = has_total && total == 0;
	return has_status || j->error;
}

int
transaction_read(const struct pipeline *p, unsigned server, const char *value, size_t len,
		 struct transaction_event *t, char *error, size_t error_size)
{
	struct convert c = {.error = error, .error_size = error_size};
	struct json j;
	bool wrapped;

	*t = (struct transaction_event){.status = TRANSACTION_NOTHING};
	if (!value)
		return 0;
	if (!envelope_sniff(&c, "transaction message", value, len))
		return -1;
	bool ok = envelope_open(NULL, &c, &j, value, len, &wrapped);
	bool is_null = ok && wrapped && json_null(&j);
	if (ok && !is_null && !transaction_read_members(p, server, &j, t))
		ok = convert_fail(&c, "the transaction message has no status");
	if (!ok || !envelope_close(&j, wrapped)) {
		envelope_malformed(&c, &j);
		return -1;
	}
	if (!is_null && t->xid == 0) {
		convert_fail(&c, "the transaction message has no id");
		return -1;
	}
	return 0;
}
