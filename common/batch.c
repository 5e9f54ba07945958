#include "common/batch.h"

#include <errno.h>

#include "common/pack.h"

enum {
	HEAD_MAX = 64,  /* everything in a record but values, entries and position */
	VALUE_HEAD = 9, /* the largest head that one value needs */
};

void
row_pack(struct pack *p, const struct value *values, unsigned count)
{
	pack_array(p, count);
	for (unsigned i = 0; i < count; i++)
		value_pack(p, &values[i]);
}

static bool
row_read(struct unpack *u, const enum type *types, unsigned count, struct value *values)
{
	if (unpack_array(u) != count)
		return false;
	for (unsigned i = 0; i < count; i++)
		value_unpack(u, types[i], &values[i]);
	return !u->bad && u->at == u->end;
}

bool
row_unpack(const uint8_t *row, size_t len, const enum type *types, unsigned count,
	   struct value *values)
{
	struct unpack u;

	unpack_init(&u, row, len);
	return row_read(&u, types, count, values);
}

bool
row_unpack_kept(const uint8_t *row, size_t len, const enum type *types, unsigned count,
		struct value *values)
{
	struct unpack u;

	unpack_init(&u, row, len);
	u.kept = true;
	return row_read(&u, types, count, values);
}

size_t
batch_change_bound(const struct value *values, unsigned count)
{
	size_t bound = HEAD_MAX + VALUE_HEAD;

	for (unsigned i = 0; i < count; i++) {
		bound += VALUE_HEAD;
		if (value_has_bytes(&values[i]))
			bound += values[i].len;
	}
	return bound;
}

/* Reserve, and start packing in place. */
static int
record_open(struct ring *r, struct pack *p, size_t max)
{
	uint8_t *room = ring_reserve(r, max);

	if (room == NULL)
		return -1;
	pack_init(p, room, max);
	return 0;
}

static int
record_close(struct ring *r, const struct pack *p, enum record_kind kind)
{
	if (p->overflow) {
		errno = EMSGSIZE;
		return -1;
	}
	ring_append(r, pack_len(p), (uint16_t)kind, 0);
	return 0;
}

/* Open a record for reading: an array of exactly `fields`. */
static bool
record_read(const struct ring_record *record, struct unpack *u, uint32_t fields)
{
	unpack_init(u, record->data, record->len);
	return unpack_array(u) == fields;
}

static bool
record_whole(const struct unpack *u)
{
	return !u->bad && u->at == u->end;
}

/* CHANGE: [table, kind, snapshot, partition, offset, [values...]] */
int
batch_put_change(struct ring *r, const struct change *c)
{
	struct pack p;

	if (record_open(r, &p, batch_change_bound(c->values, c->count)) == -1)
		return -1;
	pack_array(&p, 6);
	pack_uint(&p, c->table);
	pack_uint(&p, c->kind);
	pack_bool(&p, c->snapshot);
	pack_int(&p, c->partition);
	pack_int(&p, c->offset);
	row_pack(&p, c->values, c->count);
	return record_close(r, &p, RECORD_CHANGE);
}

bool
batch_get_change(const struct ring_record *record, struct change *c)
{
	struct unpack u;
	uint64_t table, kind;
	int64_t partition;

	if (!record_read(record, &u, 6))
		return false;
	table = unpack_uint(&u);
	kind = unpack_uint(&u);
	c->snapshot = unpack_bool(&u);
	partition = unpack_int(&u);
	c->offset = unpack_int(&u);
	c->row = u.at; /* whoever reads the row, checks it */
	c->row_len = (size_t)(u.end - u.at);
	c->table = (uint16_t)table;
	c->kind = (enum change_kind)kind;
	c->partition = (int32_t)partition;
	c->values = NULL;
	c->count = 0;
	if (kind == CHANGE_TRUNCATE && (unpack_array(&u) != 0 || u.at != u.end))
		return false;
	return !u.bad && c->row_len > 0 && table <= UINT16_MAX && kind <= CHANGE_TRUNCATE &&
	       partition >= 0 && partition <= INT32_MAX;
}

size_t
letter_value_most(size_t ring_bytes)
{
	return ring_bytes / 8 < LETTER_VALUE_MAX ? ring_bytes / 8 : LETTER_VALUE_MAX;
}

size_t
letter_bound(const struct letter *l)
{
	return 2 * HEAD_MAX + (size_t)l->key_len + l->value_len + l->reason_len;
}

static void
pack_bytes(struct pack *p, const uint8_t *bytes, uint32_t len)
{
	if (bytes == NULL)
		pack_nil(p);
	else
		pack_bin(p, bytes, len);
}

static const uint8_t *
unpack_bytes(struct unpack *u, uint32_t *len)
{
	*len = 0;
	return unpack_nil(u) ? NULL : unpack_bin(u, len);
}

/* BAD: [table, partition, offset, source_ms, key, key_bytes, value, value_bytes, reason] */
void
letter_pack(struct pack *p, const struct letter *l)
{
	pack_array(p, 9);
	pack_uint(p, l->table);
	pack_int(p, l->partition);
	pack_int(p, l->offset);
	pack_int(p, l->source_ms);
	pack_bytes(p, l->key, l->key_len);
	pack_int(p, l->key_bytes);
	pack_bytes(p, l->value, l->value_len);
	pack_int(p, l->value_bytes);
	pack_str(p, l->reason, l->reason_len);
}

int
batch_put_letter(struct ring *r, const struct letter *l)
{
	struct pack p;

	if (record_open(r, &p, letter_bound(l)) == -1)
		return -1;
	letter_pack(&p, l);
	return record_close(r, &p, RECORD_BAD);
}

int
batch_put_packed_letter(struct ring *r, const uint8_t *bytes, size_t len)
{
	struct pack p;

	if (record_open(r, &p, len) == -1)
		return -1;
	pack_raw(&p, bytes, len);
	return record_close(r, &p, RECORD_BAD);
}

bool
batch_get_letter(const struct ring_record *record, struct letter *l)
{
	struct unpack u;
	uint64_t table;
	int64_t partition;

	if (!record_read(record, &u, 9))
		return false;
	table = unpack_uint(&u);
	partition = unpack_int(&u);
	l->offset = unpack_int(&u);
	l->source_ms = unpack_int(&u);
	l->key = unpack_bytes(&u, &l->key_len);
	l->key_bytes = unpack_int(&u);
	l->value = unpack_bytes(&u, &l->value_len);
	l->value_bytes = unpack_int(&u);
	l->reason = unpack_str(&u, &l->reason_len);
	l->table = (uint16_t)table;
	l->partition = (int32_t)partition;
	return record_whole(&u) && table <= UINT16_MAX && partition >= 0 && partition <= INT32_MAX;
}

/* SNAPSHOT: [table, phase] */
int
batch_put_snapshot(struct ring *r, uint16_t table, enum snapshot_phase phase)
{
	struct pack p;

	if (record_open(r, &p, HEAD_MAX) == -1)
		return -1;
	pack_array(&p, 2);
	pack_uint(&p, table);
	pack_uint(&p, phase);
	return record_close(r, &p, RECORD_SNAPSHOT);
}

bool
batch_get_snapshot(const struct ring_record *record, uint16_t *table, enum snapshot_phase *phase)
{
	struct unpack u;
	uint64_t t, ph;

	if (!record_read(record, &u, 2))
		return false;
	t = unpack_uint(&u);
	ph = unpack_uint(&u);
	*table = (uint16_t)t;
	*phase = (enum snapshot_phase)ph;
	return record_whole(&u) && t <= UINT16_MAX && ph <= SNAPSHOT_ABANDON;
}

/* END and CUT: [source_ms, stamps, bin entries] */
int
batch_put_end(struct ring *r, enum record_kind kind, int64_t source_ms, const struct stamps *stamps,
	      const uint8_t *entries, size_t len)
{
	struct pack p;

	if (record_open(r, &p, HEAD_MAX + stamps_bound(stamps) + len) == -1)
		return -1;
	pack_array(&p, 3);
	pack_int(&p, source_ms);
	stamps_pack(&p, stamps);
	pack_bin(&p, entries, len);
	return record_close(r, &p, kind);
}

bool
batch_get_end(const struct ring_record *record, int64_t *source_ms, struct stamps *stamps,
	      const uint8_t **entries, size_t *len)
{
	struct unpack u;
	uint32_t n;

	if (!record_read(record, &u, 3))
		return false;
	*source_ms = unpack_int(&u);
	if (!stamps_unpack(&u, stamps))
		return false;
	*entries = unpack_bin(&u, &n);
	*len = n;
	return record_whole(&u);
}

/* ROW: [view, diff, [values...]] */
int
batch_put_row(struct ring *r, uint16_t view, int diff, const uint8_t *row, size_t len)
{
	struct pack p;

	if (record_open(r, &p, HEAD_MAX + len) == -1)
		return -1;
	pack_array(&p, 3);
	pack_uint(&p, view);
	pack_int(&p, diff);
	pack_raw(&p, row, len);
	return record_close(r, &p, RECORD_ROW);
}

bool
batch_get_row(const struct ring_record *record, uint16_t *view, int *diff, const uint8_t **row,
	      size_t *len)
{
	struct unpack u;
	uint64_t v;
	int64_t d;

	if (!record_read(record, &u, 3))
		return false;
	v = unpack_uint(&u);
	d = unpack_int(&u);
	*row = unpack_span(&u, len);
	*view = (uint16_t)v;
	*diff = (int)d;
	return record_whole(&u) && v <= UINT16_MAX && (d == 1 || d == -1);
}

/* VIEW: [view, step, rows] */
int
batch_put_view(struct ring *r, uint16_t view, enum view_step step, uint64_t rows)
{
	struct pack p;

	if (record_open(r, &p, HEAD_MAX) == -1)
		return -1;
	pack_array(&p, 3);
	pack_uint(&p, view);
	pack_uint(&p, step);
	pack_uint(&p, rows);
	return record_close(r, &p, RECORD_VIEW);
}

bool
batch_get_view(const struct ring_record *record, uint16_t *view, enum view_step *step,
	       uint64_t *rows)
{
	struct unpack u;
	uint64_t v, s;

	if (!record_read(record, &u, 3))
		return false;
	v = unpack_uint(&u);
	s = unpack_uint(&u);
	*rows = unpack_uint(&u);
	*view = (uint16_t)v;
	*step = (enum view_step)s;
	return record_whole(&u) && v <= UINT16_MAX && s <= VIEW_LIVE;
}

/* CHECKPOINT: [step, number, part, batch, bin data] */
int
batch_put_checkpoint(struct ring *r, const struct checkpoint *c)
{
	struct pack p;

	if (record_open(r, &p, HEAD_MAX + c->len) == -1)
		return -1;
	pack_array(&p, 5);
	pack_uint(&p, c->step);
	pack_uint(&p, c->number);
	pack_uint(&p, c->part);
	pack_uint(&p, c->batch);
	pack_bin(&p, c->data, c->len);
	return record_close(r, &p, RECORD_CHECKPOINT);
}

bool
batch_get_checkpoint(const struct ring_record *record, struct checkpoint *c)
{
	struct unpack u;
	uint64_t step, part;
	uint32_t len;

	if (!record_read(record, &u, 5))
		return false;
	step = unpack_uint(&u);
	c->number = unpack_uint(&u);
	part = unpack_uint(&u);
	c->batch = unpack_uint(&u);
	c->data = unpack_bin(&u, &len);
	c->len = len;
	c->step = (enum checkpoint_step)step;
	c->part = (uint32_t)part;
	return record_whole(&u) && step <= CHECKPOINT_FORGET && part <= INT32_MAX &&
	       c->number > 0 && c->number <= INT64_MAX;
}

/* BATCH: [number, rows, letters, source_ms, clean_stop, stamps, str position] */
int
batch_put_batch(struct ring *r, const struct batch *b)
{
	struct pack p;

	if (record_open(r, &p, HEAD_MAX + stamps_bound(&b->stamps) + b->position_len) == -1)
		return -1;
	pack_array(&p, 7);
	pack_uint(&p, b->number);
	pack_uint(&p, b->rows);
	pack_uint(&p, b->letters);
	pack_int(&p, b->source_ms);
	pack_bool(&p, b->clean_stop);
	stamps_pack(&p, &b->stamps);
	pack_str(&p, b->position, b->position_len);
	return record_close(r, &p, RECORD_BATCH);
}

bool
batch_get_batch(const struct ring_record *record, struct batch *b)
{
	struct unpack u;

	if (!record_read(record, &u, 7))
		return false;
	b->number = unpack_uint(&u);
	b->rows = unpack_uint(&u);
	b->letters = unpack_uint(&u);
	b->source_ms = unpack_int(&u);
	b->clean_stop = unpack_bool(&u);
	if (!stamps_unpack(&u, &b->stamps))
		return false;
	b->position = unpack_str(&u, &b->position_len);
	return record_whole(&u);
}
