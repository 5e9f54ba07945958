#include "common/position.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"

enum entry_kind {
	ENTRY_PARTITION,
	ENTRY_TRANSACTION,
};

#define ENTRY_PARTITION_FIELDS   13
#define ENTRY_PARTITION_NO_XID   12 /* before the transaction was part of it */
#define ENTRY_PARTITION_SHORT    10 /* and before snapshots were */
#define ENTRY_TRANSACTION_FIELDS 5

static int
uint64_compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int
watermark_compare(const struct watermark *a, const struct watermark *b)
{
	int order = a->set - b->set;
	if (order != 0 || !a->set)
		return order;
	order = a->has_sequence - b->has_sequence;
	if (order == 0 && a->has_sequence)
		order = uint64_compare(a->sequence, b->sequence);
	if (order == 0)
		order = uint64_compare(a->lsn, b->lsn);
	if (order == 0)
		order = uint64_compare(a->ordinal, b->ordinal);
	return order;
}

/* --- msgpack entries --- */

static void
watermark_pack(struct pack *p, const struct watermark *w)
{
	if (!w->set) {
		pack_nil(p);
		return;
	}
	pack_array(p, 3);
	if (w->has_sequence)
		pack_uint(p, w->sequence);
	else
		pack_nil(p);
	pack_uint(p, w->lsn);
	pack_uint(p, w->ordinal);
}

static void
watermark_unpack(struct unpack *u, struct watermark *w)
{
	memset(w, 0, sizeof(*w));
	if (unpack_nil(u))
		return;
	if (unpack_array(u) != 3) {
		u->bad = true;
		return;
	}
	w->set = true;
	w->has_sequence = !unpack_nil(u);
	if (w->has_sequence)
		w->sequence = unpack_uint(u);
	w->lsn = unpack_uint(u);
	w->ordinal = unpack_uint(u);
}

static void
snapshot_pack(struct pack *p, const struct snapshot_place *at)
{
	if (!at->set) {
		pack_nil(p);
		return;
	}
	pack_array(p, 3);
	pack_uint(p, at->lsn);
	pack_uint(p, at->xid);
	pack_bool(p, at->marked);
}

static void
snapshot_unpack(struct unpack *u, struct snapshot_place *at)
{
	memset(at, 0, sizeof(*at));
	if (unpack_nil(u))
		return;
	if (unpack_array(u) != 3) {
		u->bad = true;
		return;
	}
	at->set = true;
	at->lsn = unpack_uint(u);
	at->xid = unpack_uint(u);
	at->marked = unpack_bool(u);
}

void
position_pack_partition(struct pack *p, const struct partition_position *at)
{
	pack_array(p, ENTRY_PARTITION_FIELDS);
	pack_uint(p, ENTRY_PARTITION);
	pack_uint(p, at->table);
	pack_int(p, at->partition);
	pack_int(p, at->start);
	pack_int(p, at->next);
	pack_uint(p, at->hash);
	watermark_pack(p, &at->mark);
	watermark_pack(p, &at->seen);
	pack_int(p, at->seen_order);
	pack_int(p, at->mark_ms);
	watermark_pack(p, &at->before);
	snapshot_pack(p, &at->closed);
	pack_uint(p, at->mark_xid);
}

void
position_pack_transaction(struct pack *p, const struct transaction_position *at)
{
	pack_array(p, ENTRY_TRANSACTION_FIELDS);
	pack_uint(p, ENTRY_TRANSACTION);
	pack_int(p, at->start);
	pack_int(p, at->next);
	pack_uint(p, at->hash);
	pack_uint(p, at->last);
}

static bool
partition_has_fields(uint32_t fields)
{
	return fields == ENTRY_PARTITION_FIELDS || fields == ENTRY_PARTITION_NO_XID ||
	       fields == ENTRY_PARTITION_SHORT;
}

static void
partition_unpack_fields(struct unpack *u, uint32_t fields, struct partition_position *at)
{
	memset(at, 0, sizeof(*at));
	uint64_t table = unpack_uint(u);
	int64_t partition = unpack_int(u);
	if (table > UINT16_MAX || partition < 0 || partition > INT32_MAX)
		u->bad = true;
	at->table = (uint16_t)table;
	at->partition = (int32_t)partition;
	at->start = unpack_int(u);
	at->next = unpack_int(u);
	if (at->start < 0 || at->next < at->start)
		u->bad = true;
	at->hash = unpack_uint(u);
	watermark_unpack(u, &at->mark);
	watermark_unpack(u, &at->seen);
	at->seen_order = unpack_int(u);
	at->mark_ms = unpack_int(u);
	if (fields == ENTRY_PARTITION_SHORT)
		return;
	watermark_unpack(u, &at->before);
	snapshot_unpack(u, &at->closed);
	if (fields == ENTRY_PARTITION_FIELDS)
		at->mark_xid = unpack_uint(u);
}

bool
position_unpack_partition(struct unpack *u, struct partition_position *at)
{
	uint32_t fields = unpack_array(u);
	if (!partition_has_fields(fields) || unpack_uint(u) != ENTRY_PARTITION)
		u->bad = true;
	partition_unpack_fields(u, fields, at);
	return !u->bad;
}

static void
transaction_unpack_fields(struct unpack *u, struct transaction_position *at)
{
	at->set = true;
	at->start = unpack_int(u);
	at->next = unpack_int(u);
	at->hash = unpack_uint(u);
	at->last = unpack_uint(u);
	if (at->start < 0 || at->next < at->start)
		u->bad = true;
}

bool
position_unpack_transaction(struct unpack *u, struct transaction_position *at)
{
	if (unpack_array(u) != ENTRY_TRANSACTION_FIELDS || unpack_uint(u) != ENTRY_TRANSACTION)
		u->bad = true;
	transaction_unpack_fields(u, at);
	return !u->bad;
}

/* --- the whole position of a pipeline --- */

struct server_position {
	struct partition_position *at; /* sorted by table, then partition */
	unsigned count, room;
	struct transaction_position transaction;
};

struct position {
	const struct pipeline *pipeline;
	struct server_position *servers;
};

struct position *
position_new(const struct pipeline *pipeline)
{
	struct position *p = xcalloc(1, sizeof(*p));
	p->pipeline = pipeline;
	p->servers =
	    xcalloc(pipeline->server_count ? pipeline->server_count : 1, sizeof(*p->servers));
	return p;
}

void
position_free(struct position *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->pipeline->server_count; i++)
		free(p->servers[i].at);
	free(p->servers);
	free(p);
}

static int
partition_compare(const struct partition_position *a, const struct partition_position *b)
{
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return (a->partition > b->partition) - (a->partition < b->partition);
}

static void
server_put(struct server_position *s, const struct partition_position *at)
{
	unsigned low = 0, high = s->count;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = partition_compare(&s->at[middle], at);
		if (order == 0) {
			s->at[middle] = *at;
			return;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 8;
		s->at = xreallocarray(s->at, s->room, sizeof(*s->at));
	}
	memmove(&s->at[low + 1], &s->at[low], (s->count - low) * sizeof(*s->at));
	s->at[low] = *at;
	s->count++;
}

static bool
position_apply_one(struct position *p, unsigned server, struct unpack *u)
{
	uint32_t fields = unpack_array(u);
	uint64_t kind = unpack_uint(u);
	if (u->bad)
		return false;
	if (kind == ENTRY_TRANSACTION && fields == ENTRY_TRANSACTION_FIELDS) {
		struct transaction_position at;
		transaction_unpack_fields(u, &at);
		if (!u->bad)
			p->servers[server].transaction = at;
		return !u->bad;
	}
	if (kind != ENTRY_PARTITION || !partition_has_fields(fields))
		return false;
	struct partition_position at;
	partition_unpack_fields(u, fields, &at);
	if (u->bad || at.table >= p->pipeline->table_count ||
	    p->pipeline->tables[at.table].server != server)
		return false;
	server_put(&p->servers[server], &at);
	return true;
}

bool
position_apply(struct position *p, unsigned server, const uint8_t *entries, size_t len)
{
	struct unpack u;
	if (server >= p->pipeline->server_count)
		return false;
	unpack_init(&u, entries, len);
	while (u.at < u.end)
		if (!position_apply_one(p, server, &u))
			return false;
	return true;
}

/* --- JSON out --- */

struct text {
	char *buf;
	size_t size, len; /* len runs on when buf is full */
};

static void
text_add(struct text *t, const char *s, size_t len)
{
	if (t->len < t->size) {
		size_t room = t->size - t->len;
		memcpy(t->buf + t->len, s, len < room ? len : room);
	}
	t->len += len;
}

__attribute__((format(printf, 2, 3))) static void
text_print(struct text *t, const char *fmt, ...)
{
	char line[128];
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (len > 0)
		text_add(t, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

static void
text_string(struct text *t, const char *s)
{
	text_add(t, "\"", 1);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20)
			text_print(t, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			text_print(t, "\\%c", c);
		else
			text_add(t, s, 1);
	}
	text_add(t, "\"", 1);
}

/* Beyond 2^53 a number may come back rounded from a tool that reads JSON into doubles: LSNs and
 * hashes are strings. */
static void
text_watermark(struct text *t, const char *name, const struct watermark *w)
{
	text_print(t, ",\"%s\":", name);
	if (!w->set) {
		text_print(t, "null");
		return;
	}
	if (w->has_sequence)
		text_print(t, "[\"%" PRIu64 "\",", w->sequence);
	else
		text_print(t, "[null,");
	text_print(t, "\"%" PRIu64 "\",%" PRIu64 "]", w->lsn, w->ordinal);
}

static void
text_partition(struct text *t, const char *topic, const struct partition_position *at)
{
	text_print(t, "{\"topic\":");
	text_string(t, topic);
	text_print(t, ",\"partition\":%" PRId32 ",\"start\":%" PRId64 ",\"next\":%" PRId64,
		   at->partition, at->start, at->next);
	text_print(t, ",\"hash\":\"%016" PRIx64 "\"", at->hash);
	text_watermark(t, "mark", &at->mark);
	text_print(t, ",\"mark_ms\":%" PRId64, at->mark_ms);
	if (at->mark_xid != 0)
		text_print(t, ",\"mark_xid\":\"%" PRIu64 "\"", at->mark_xid);
	text_watermark(t, "seen", &at->seen);
	text_print(t, ",\"seen_order\":%" PRId64, at->seen_order);
	if (at->before.set)
		text_watermark(t, "before", &at->before);
	if (at->closed.set)
		text_print(t, ",\"snapshot\":[\"%" PRIu64 "\",\"%" PRIu64 "\",%s]", at->closed.lsn,
			   at->closed.xid, at->closed.marked ? "true" : "false");
	text_add(t, "}", 1);
}

static void
text_server(struct text *t, const struct pipeline *pipeline, unsigned server,
	    const struct server_position *s)
{
	const struct transaction_position *end = &s->transaction;
	text_string(t, pipeline->servers[server].name);
	text_print(t, ":{");
	if (end->set)
		text_print(t,
			   "\"transaction\":{\"start\":%" PRId64 ",\"next\":%" PRId64
			   ",\"hash\":\"%016" PRIx64 "\",\"last\":\"%" PRIu64 "\"},",
			   end->start, end->next, end->hash, end->last);
	text_print(t, "\"partitions\":[");
	for (unsigned i = 0; i < s->count; i++) {
		if (i > 0)
			text_print(t, ",");
		text_partition(t, pipeline->tables[s->at[i].table].topic, &s->at[i]);
	}
	text_print(t, "]}");
}

size_t
position_print(const struct position *p, char *buf, size_t size)
{
	struct text t = {buf, size, 0};
	text_print(&t, "{");
	for (unsigned i = 0; i < p->pipeline->server_count; i++) {
		if (i > 0)
			text_print(&t, ",");
		text_server(&t, p->pipeline, i, &p->servers[i]);
	}
	text_print(&t, "}");
	if (size > 0)
		buf[t.len < size ? t.len : size - 1] = '\0';
	return t.len;
}

/* --- JSON in --- */

/* Names are compared after their escapes are undone: jsonb may write them in another way. */
static bool
name_is(struct slice raw, char *buf, const char *name)
{
	struct json j;
	json_init(&j, raw.s - 1, raw.len + 2); /* with its quotes */
	struct slice s = json_string(&j, buf, raw.len + 2);
	return j.error == NULL && slice_is(s, name);
}

/* An integer as a number or as a string; sets *fine to false when it is neither. */
static int64_t
parse_int64(struct json *j, int64_t low, bool *fine)
{
	char buf[32];
	int64_t value = 0;
	struct slice s =
	    json_peek(j) == JSON_STRING ? json_string(j, buf, sizeof(buf)) : json_number(j);
	if (!slice_int64(s, &value) || value < low)
		*fine = false;
	return value;
}

static uint64_t
parse_uint64(struct json *j, bool *fine)
{
	char buf[32];
	uint64_t value = 0;
	struct slice s =
	    json_peek(j) == JSON_STRING ? json_string(j, buf, sizeof(buf)) : json_number(j);
	if (!slice_uint64(s, &value))
		*fine = false;
	return value;
}

static uint64_t
parse_hash(struct json *j, bool *fine)
{
	static const char digits[] = "0123456789abcdef";
	char buf[32];
	uint64_t value = 0;
	struct slice s = json_string(j, buf, sizeof(buf));
	if (s.len != 16)
		*fine = false;
	for (size_t i = 0; i < s.len && *fine; i++) {
		const char *digit = memchr(digits, s.s[i], 16);
		if (digit == NULL)
			*fine = false;
		else
			value = value << 4 | (uint64_t)(digit - digits);
	}
	return value;
}

static struct watermark
parse_watermark(struct json *j, bool *fine)
{
	struct watermark w = {0};
	if (json_null(j))
		return w;
	w.set = true;
	if (!json_enter(j, JSON_ARRAY))
		return w;
	unsigned n = 0;
	for (; json_element(j); n++) {
		if (n == 0 && json_null(j))
			continue;
		uint64_t value = parse_uint64(j, fine);
		if (n == 0) {
			w.has_sequence = true;
			w.sequence = value;
		} else if (n == 1) {
			w.lsn = value;
		} else {
			w.ordinal = value;
		}
		if (!*fine)
			return w;
	}
	if (n != 3)
		*fine = false;
	return w;
}

static struct snapshot_place
parse_snapshot(struct json *j, bool *fine)
{
	struct snapshot_place at = {0};
	if (json_null(j))
		return at;
	at.set = true;
	if (!json_enter(j, JSON_ARRAY))
		return at;
	unsigned n = 0;
	for (; *fine && json_element(j); n++) {
		if (n == 0)
			at.lsn = parse_uint64(j, fine);
		else if (n == 1)
			at.xid = parse_uint64(j, fine);
		else
			at.marked = json_bool(j);
	}
	if (n != 3)
		*fine = false;
	return at;
}

static int
table_by_topic(const struct pipeline *pipeline, unsigned server, struct slice raw)
{
	char *buf = xcalloc(raw.len + 2, 1);
	int found = -1;
	for (unsigned i = 0; i < pipeline->table_count && found < 0; i++)
		if (pipeline->tables[i].server == server &&
		    name_is(raw, buf, pipeline->tables[i].topic))
			found = (int)i;
	free(buf);
	return found;
}

enum member { /* those that an entry must have */
	      MEMBER_TOPIC = 1,
	      MEMBER_PARTITION = 2,
	      MEMBER_START = 4,
	      MEMBER_NEXT = 8,
	      MEMBER_ALL = 15,
};

struct parse {
	const struct pipeline *pipeline;
	unsigned server;
	struct server_position out;
	bool fine; /* false: well-formed JSON, but not a position */
};

static unsigned
parse_member(struct parse *x, struct json *j, struct slice key, struct partition_position *at,
	     int *table)
{
	if (slice_is(key, "topic")) {
		struct slice span = json_span(j);
		if (span.len < 2 || span.s[0] != '"')
			x->fine = false;
		else
			*table = table_by_topic(x->pipeline, x->server,
						(struct slice){span.s + 1, span.len - 2});
		return MEMBER_TOPIC;
	}
	if (slice_is(key, "partition")) {
		int64_t partition = parse_int64(j, 0, &x->fine);
		if (partition > INT32_MAX)
			x->fine = false;
		at->partition = (int32_t)partition;
		return MEMBER_PARTITION;
	}
	if (slice_is(key, "start")) {
		at->start = parse_int64(j, 0, &x->fine);
		return MEMBER_START;
	}
	if (slice_is(key, "next")) {
		at->next = parse_int64(j, 0, &x->fine);
		return MEMBER_NEXT;
	}
	if (slice_is(key, "hash"))
		at->hash = parse_hash(j, &x->fine);
	else if (slice_is(key, "mark"))
		at->mark = parse_watermark(j, &x->fine);
	else if (slice_is(key, "seen"))
		at->seen = parse_watermark(j, &x->fine);
	else if (slice_is(key, "before"))
		at->before = parse_watermark(j, &x->fine);
	else if (slice_is(key, "snapshot"))
		at->closed = parse_snapshot(j, &x->fine);
	else if (slice_is(key, "mark_ms"))
		at->mark_ms = parse_int64(j, INT64_MIN, &x->fine);
	else if (slice_is(key, "mark_xid"))
		at->mark_xid = parse_uint64(j, &x->fine);
	else if (slice_is(key, "seen_order"))
		at->seen_order = parse_int64(j, INT64_MIN, &x->fine);
	else
		json_skip(j);
	return 0;
}

static void
parse_partition(struct parse *x, struct json *j)
{
	struct partition_position at = {0};
	struct slice key;
	unsigned members = 0;
	int table = -1;
	if (!json_enter(j, JSON_OBJECT))
		return;
	while (x->fine && json_key(j, &key))
		members |= parse_member(x, j, key, &at, &table);
	if (members != MEMBER_ALL || at.next < at.start)
		x->fine = false;
	if (j->error != NULL || !x->fine || table < 0)
		return;
	at.table = (uint16_t)table;
	server_put(&x->out, &at);
}

static void
parse_transaction(struct parse *x, struct json *j)
{
	struct transaction_position at = {.set = true};
	struct slice key;
	unsigned members = 0;
	if (!json_enter(j, JSON_OBJECT))
		return;
	while (x->fine && json_key(j, &key)) {
		if (slice_is(key, "start")) {
			at.start = parse_int64(j, 0, &x->fine);
			members |= MEMBER_START;
		} else if (slice_is(key, "next")) {
			at.next = parse_int64(j, 0, &x->fine);
			members |= MEMBER_NEXT;
		} else if (slice_is(key, "hash")) {
			at.hash = parse_hash(j, &x->fine);
		} else if (slice_is(key, "last")) {
			at.last = parse_uint64(j, &x->fine);
		} else {
			json_skip(j);
		}
	}
	if (members != (MEMBER_START | MEMBER_NEXT) || at.next < at.start)
		x->fine = false;
	x->out.transaction = at;
}

static void
parse_server(struct parse *x, struct json *j)
{
	struct slice key;
	if (!json_enter(j, JSON_OBJECT))
		return;
	while (x->fine && json_key(j, &key)) {
		if (slice_is(key, "transaction")) {
			parse_transaction(x, j);
		} else if (slice_is(key, "partitions") && json_enter(j, JSON_ARRAY)) {
			while (x->fine && json_element(j))
				parse_partition(x, j);
		} else {
			json_skip(j);
		}
	}
}

static void
parse_servers(struct parse *x, struct json *j, char *buf)
{
	const char *name = x->pipeline->servers[x->server].name;
	struct slice key;
	if (!json_enter(j, JSON_OBJECT))
		return;
	while (x->fine && json_key(j, &key)) {
		if (name_is(key, buf, name))
			parse_server(x, j);
		else
			json_skip(j);
	}
	if (x->fine)
		json_end(j);
}

int
position_parse(const char *json, size_t len, const struct pipeline *pipeline, unsigned server,
	       struct partition_position **partitions, unsigned *count,
	       struct transaction_position *transaction, const char **error)
{
	struct parse x = {.pipeline = pipeline, .server = server, .fine = true};
	struct json j;
	char *buf = xcalloc(len + 2, 1);
	json_init(&j, json, len);
	parse_servers(&x, &j, buf);
	free(buf);
	*error = j.error ? j.error : x.fine ? NULL : "the stored position is not one of tallyd's";
	if (*error != NULL) {
		free(x.out.at);
		return -1;
	}
	*partitions = x.out.at;
	*count = x.out.count;
	*transaction = x.out.transaction;
	return 0;
}

int
position_load(struct position *p, const char *json, size_t len, const char **error)
{
	struct partition_position *partitions;
	struct transaction_position transaction;
	unsigned count;

	for (unsigned server = 0; server < p->pipeline->server_count; server++) {
		if (position_parse(json, len, p->pipeline, server, &partitions, &count,
				   &transaction, error) != 0)
			return -1;
		for (unsigned i = 0; i < count; i++)
			server_put(&p->servers[server], &partitions[i]);
		if (transaction.set)
			p->servers[server].transaction = transaction;
		free(partitions);
	}
	return 0;
}

void
position_rebind(struct position *p, const struct pipeline *pipeline)
{
	p->pipeline = pipeline;
}
