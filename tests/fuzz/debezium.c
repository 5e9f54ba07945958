/*
 * debezium.c - the decoder on any bytes. Input: one byte for the table's declaration, then messages
 * with 0x1e between them, each a key and a value with 0x1f between them (no 0x1f: no key; nothing:
 * null). All but the last warm the decoder that the last one is given to.
 *
 * An event's values keep what value.h promises, and nothing that only some operations have stands in
 * others; a refusal is one line of text. A fresh decoder, the same once more, and the warmed one
 * say the very same.
 */
#include "ingest/debezium.h"
#include "common/array.h"
#include "common/batch.h"
#include "common/decimal.h"
#include "common/json.h"
#include "common/pack.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/truth.h"

#define ROW_BYTES   (1u << 20)
#define ERROR_BYTES 512

#define OTHERS                                                                                     \
	"c_bigint:bigint c_num204:numeric(20,4) c_num50:numeric(5,0) c_num:numeric "               \
	"c_bool:boolean "                                                                          \
	"c_text:text c_toast:text c_ts:timestamp c_tstz:timestamptz c_json:text"

/* A column of each type, and an array of each. */
#define TYPES                                                                                      \
	"id:integer:key c_small:smallint c_int:integer c_big:bigint c_num:numeric "                \
	"c_num204:numeric(20,4) c_num50:numeric(5,0) c_real:real c_double:double "                 \
	"c_money:money c_bool:boolean c_text:text c_varchar:varchar(10) c_char:char(6) "           \
	"c_bytea:bytea c_uuid:uuid c_date:date c_time:time c_time3:time(3) "                       \
	"c_ts:timestamp c_ts3:timestamp(3) c_ts0:timestamp(0) c_tstz:timestamptz "                 \
	"c_tstz3:timestamptz(3) c_interval:interval c_json:json c_jsonb:jsonb "                    \
	"c_inet:inet c_enum:enum(sad,ok,happy)"
#define ARRAYS                                                                                     \
	"id:integer:key a_small:smallint[] a_int:integer[] a_big:bigint[] "                        \
	"a_num:numeric[] a_num2:numeric(10,2)[] a_real:real[] a_double:double[] "                  \
	"a_bool:boolean[] a_text:text[] a_varchar:varchar(10)[] a_char:char(6)[] "                 \
	"a_bytea:bytea[] a_uuid:uuid[] a_date:date[] a_time:time[] a_time3:time(3)[] "             \
	"a_ts:timestamp[] a_ts3:timestamp(3)[] a_tstz:timestamptz[] a_json:json[] "                \
	"a_jsonb:jsonb[] a_inet:inet[] a_enum:enum(sad,ok,happy)[]"

static const char *const declarations[] = {
    "value:integer:notnull",
    "id:integer:key value:integer",
    "id:integer value:integer",
    "id:integer:key " OTHERS,
    "id:integer " OTHERS,
    "c_text:text:key c_num204:numeric(20,4):key c_tstz:timestamptz:key c_bool:boolean",
    TYPES,
    ARRAYS,
};

#define DECLARATIONS (sizeof(declarations) / sizeof(declarations[0]))

static struct table *tables[DECLARATIONS];

struct piece {
	char *s; /* NULL: null */
	size_t len;
};

struct parcel {
	struct piece key, value;
};

struct said { /* all that one call said */
	uint8_t *bytes;
	size_t len;
	char error[ERROR_BYTES];
	int result;
};

static struct piece
piece_of(const uint8_t *bytes, size_t len)
{
	return (struct piece){len > 0 ? fuzz_copy(bytes, len) : NULL, len};
}

static struct parcel
parcel_of(const uint8_t *bytes, size_t len)
{
	const uint8_t *middle = len > 0 ? memchr(bytes, 0x1f, len) : NULL;

	if (middle == NULL)
		return (struct parcel){.value = piece_of(bytes, len)};
	size_t key = (size_t)(middle - bytes);
	return (struct parcel){piece_of(bytes, key), piece_of(middle + 1, len - key - 1)};
}

static void
parcel_free(struct parcel *p)
{
	free(p->key.s);
	free(p->value.s);
}

/* --- what must be true of a value, a row, a sentence --- */

static void
check_utf8(const char *s, size_t len, bool line)
{
	const unsigned char *at = (const unsigned char *)s;

	for (size_t i = 0; i < len;) {
		size_t n = at[i] < 0x80 ? 1 : json_sequence(at + i, len - i);
		FUZZ_CHECK(n > 0);
		FUZZ_CHECK(at[i] != '\0');
		FUZZ_CHECK(!line || (at[i] >= 0x20 && at[i] != 0x7f));
		FUZZ_CHECK(!line || !(at[i] == 0xc2 && at[i + 1] < 0xa0));
		i += n;
	}
}

static void check_value(const struct column *, const struct value *);

static void
check_array(const struct column *column, const struct value *array)
{
	struct column element = *column;
	struct unpack in;
	uint32_t count = array_open(&in, array);

	element.type = column->element;
	for (uint32_t i = 0; i < count; i++) {
		struct value v;

		value_unpack(&in, element.type, &v);
		FUZZ_CHECK(!in.bad);
		check_value(&element, &v);
	}
}

static void
check_value(const struct column *column, const struct value *v)
{
	char text[DECIMAL_TEXT_MAX + 64];

	if (v->kind == VALUE_NULL || v->kind == VALUE_UNCHANGED)
		return;
	if (v->kind == VALUE_TEXT)
		check_utf8(v->s, v->len, false);
	if (v->kind == VALUE_DECIMAL) {
		size_t len = decimal_canonical(v->s, v->len, text, sizeof(text));
		FUZZ_CHECK(len == v->len && memcmp(text, v->s, len) == 0);
		FUZZ_CHECK(column->scale < 0 || decimal_is_special(v->s, v->len) ||
			   decimal_scale(v->s, v->len) == column->scale);
	}
	if (v->kind == VALUE_ARRAY)
		check_array(column, v);
	FUZZ_CHECK(value_compare(v, v) == 0);
	FUZZ_CHECK(column_print(column, v, text, sizeof(text)) > 0 || v->kind == VALUE_TEXT);
}

/* A row goes through a record and comes out the same. Appends its bytes. */
static void
check_row(const struct table *t, const unsigned *only, unsigned count, const struct value *row,
	  struct said *said)
{
	struct value again[32];
	enum type types[32];
	struct pack p;

	pack_init(&p, said->bytes + said->len, ROW_BYTES - said->len);
	row_pack(&p, row, count);
	FUZZ_CHECK(!p.overflow);
	for (unsigned i = 0; i < count; i++) {
		types[i] = t->columns[only ? only[i] : i].type;
		check_value(&t->columns[only ? only[i] : i], &row[i]);
	}
	FUZZ_CHECK(row_unpack(p.start, pack_len(&p), types, count, again));
	for (unsigned i = 0; i < count; i++) {
		FUZZ_CHECK(again[i].kind == row[i].kind);
		if (row[i].kind == VALUE_NULL || row[i].kind == VALUE_UNCHANGED)
			continue;
		FUZZ_CHECK(value_compare(&again[i], &row[i]) == 0);
		FUZZ_CHECK(value_hash(&again[i], 1) == value_hash(&row[i], 1));
	}
	said->len += pack_len(&p);
}

static void
check_change(const struct table *t, const struct event *ev)
{
	bool keyed = t->key_count > 0;

	FUZZ_CHECK(ev->place.truncate == (ev->op == 't'));
	if (ev->op == 't') {
		FUZZ_CHECK(!ev->has_before && !ev->has_after);
		return;
	}
	FUZZ_CHECK(ev->op != '\0' && strchr("cudr", ev->op) != NULL);
	FUZZ_CHECK(ev->has_after == (ev->op != 'd'));
	FUZZ_CHECK(ev->has_before == (!keyed && (ev->op == 'u' || ev->op == 'd')));
	FUZZ_CHECK(ev->op == 'r' || ev->place.snapshot == SNAPSHOT_FALSE);
	for (unsigned i = 0; i < t->column_count; i++) {
		enum value_kind after = ev->has_after ? ev->after[i].kind : VALUE_BOOL;
		FUZZ_CHECK(after != VALUE_UNCHANGED || (keyed && ev->op == 'u'));
		FUZZ_CHECK(after != VALUE_NULL || !t->columns[i].not_null);
		FUZZ_CHECK(!ev->has_before || ev->before[i].kind != VALUE_UNCHANGED);
	}
	for (unsigned i = 0; i < t->key_count && ev->has_after; i++)
		FUZZ_CHECK(ev->after[t->key[i]].kind != VALUE_UNCHANGED);
}

static void
check_event(const struct table *t, const struct event *ev, struct said *said)
{
	struct event_place place;

	memset(&place, 0, sizeof(place));
	place.kind = ev->place.kind;
	place.snapshot = ev->place.snapshot;
	place.has_sequence = ev->place.has_sequence;
	place.has_sequences = ev->place.has_sequences;
	place.has_lsn = ev->place.has_lsn;
	place.sequence = ev->place.sequence;
	place.lsn = ev->place.lsn;
	place.xid = ev->place.xid;
	place.order = ev->place.order;
	place.source_ms = ev->place.source_ms;
	memcpy(said->bytes, &place, sizeof(place));
	said->len = sizeof(place);
	said->bytes[said->len++] = (uint8_t)ev->op;
	if (place.kind == EVENT_CHANGE) {
		check_change(t, ev);
		if (ev->has_before)
			check_row(t, NULL, t->column_count, ev->before, said);
		if (ev->has_after)
			check_row(t, NULL, t->column_count, ev->after, said);
	}
	bool key = place.kind != EVENT_NOTHING && !ev->place.truncate;
	for (unsigned i = 0; i < t->key_count && key; i++)
		FUZZ_CHECK(ev->key[i].kind != VALUE_NULL && ev->key[i].kind != VALUE_UNCHANGED);
	if (key)
		check_row(t, t->key, t->key_count, ev->key, said);
}

/* --- calls --- */

static void
decode(struct decoder *d, const struct table *t, const struct parcel *p, struct said *said)
{
	struct event ev;

	said->len = 0;
	memset(said->error, 0, sizeof(said->error));
	said->result = decoder_read(d, p->key.s, p->key.len, p->value.s, p->value.len, &ev,
				    said->error, sizeof(said->error));
	if (said->result == 0) {
		check_event(t, &ev, said);
		FUZZ_CHECK(said->error[0] == '\0');
	} else {
		FUZZ_CHECK(strlen(said->error) > 10);
		check_utf8(said->error, strlen(said->error), true);
	}
}

static void
same(const struct said *a, const struct said *b)
{
	FUZZ_CHECK(a->result == b->result);
	FUZZ_CHECK(strcmp(a->error, b->error) == 0);
	FUZZ_CHECK(a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

static void
read_as_transaction(struct table *t, const struct piece *value)
{
	struct pipeline pipeline = {.tables = t, .table_count = 1};
	struct transaction_event first, second;
	char error[ERROR_BYTES] = "";

	int result =
	    transaction_read(&pipeline, 0, value->s, value->len, &first, error, sizeof(error));
	if (result != 0) {
		FUZZ_CHECK(strlen(error) > 10);
		check_utf8(error, strlen(error), true);
		return;
	}
	FUZZ_CHECK(first.status == TRANSACTION_NOTHING || first.xid > 0);
	FUZZ_CHECK(transaction_read(&pipeline, 0, value->s, value->len, &second, error,
				    sizeof(error)) == 0);
	FUZZ_CHECK(first.status == second.status && first.xid == second.xid &&
		   first.lsn == second.lsn && first.has_lsn == second.has_lsn &&
		   first.has_counts == second.has_counts && first.count[0] == second.count[0] &&
		   first.source_ms == second.source_ms);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[3][ROW_BYTES];
	struct said said[3] = {{.bytes = bytes[0]}, {.bytes = bytes[1]}, {.bytes = bytes[2]}};

	if (size == 0)
		return 0;
	unsigned shape = data[0] % DECLARATIONS;
	if (tables[shape] == NULL)
		tables[shape] = truth_declare(declarations[shape]);
	struct table *t = tables[shape];
	struct decoder *fresh = decoder_new(t), *warm = decoder_new(t);
	const uint8_t *at = data + 1, *end = data + size, *next;
	while (at < end && (next = memchr(at, 0x1e, (size_t)(end - at))) != NULL) {
		struct parcel p = parcel_of(at, (size_t)(next - at));
		decode(warm, t, &p, &said[2]);
		parcel_free(&p);
		at = next + 1;
	}
	struct parcel p = parcel_of(at, (size_t)(end - at));
	decode(fresh, t, &p, &said[0]);
	decode(fresh, t, &p, &said[1]);
	decode(warm, t, &p, &said[2]);
	same(&said[0], &said[1]);
	same(&said[0], &said[2]);
	read_as_transaction(t, &p.value);
	parcel_free(&p);
	decoder_free(fresh);
	decoder_free(warm);
	return 0;
}
