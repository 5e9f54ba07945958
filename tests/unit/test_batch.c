#include <criterion/criterion.h>
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/pack.h"

static struct ring_fds fds;
static struct ring producer, consumer;

static void
setup(void)
{
	cr_assert_eq(ring_create(&fds, RING_BYTES_MIN), 0);
	cr_assert_eq(ring_attach(&producer, &fds, RING_PRODUCER), 0);
	cr_assert_eq(ring_attach(&consumer, &fds, RING_CONSUMER), 0);
}

static void
teardown(void)
{
	ring_detach(&producer);
	ring_detach(&consumer);
	ring_close_fds(&fds);
}

TestSuite(batch, .init = setup, .fini = teardown);

static struct ring_record
next(void)
{
	struct ring_record r;

	ring_commit(&producer, NULL, 0);
	cr_assert_eq(ring_next(&consumer, &r), 1);
	return r;
}

static const struct value values[] = {
    {.kind = VALUE_INT, .i = -5000000000},
    {.kind = VALUE_NULL},
    {.kind = VALUE_TEXT, .s = "häuser", .len = 7},
    {.kind = VALUE_DECIMAL, .s = "-12.30", .len = 6},
    {.kind = VALUE_BOOL, .i = 1},
    {.kind = VALUE_UNCHANGED},
};
static const enum type types[] = {TYPE_BIGINT,  TYPE_INTEGER, TYPE_TEXT,
				  TYPE_NUMERIC, TYPE_BOOLEAN, TYPE_TEXT};
#define N (sizeof(values) / sizeof(values[0]))

/* msgpack-c's own unpacker reads what we wrote, field by field. */
Test(batch, change_agrees_with_msgpack_c)
{
	struct change c = {.table = 3,
			   .kind = CHANGE_ADD,
			   .snapshot = true,
			   .partition = 2,
			   .offset = 5000000000,
			   .values = values,
			   .count = N};
	struct ring_record r;
	msgpack_unpacked m;
	size_t off = 0;

	cr_assert_eq(batch_put_change(&producer, &c), 0);
	r = next();
	cr_assert_eq(r.kind, RECORD_CHANGE);
	msgpack_unpacked_init(&m);
	cr_assert_eq(msgpack_unpack_next(&m, (const char *)r.data, r.len, &off),
		     MSGPACK_UNPACK_SUCCESS);
	cr_assert_eq(off, r.len);
	cr_assert_eq(m.data.type, MSGPACK_OBJECT_ARRAY);
	cr_assert_eq(m.data.via.array.size, 6);
	msgpack_object *f = m.data.via.array.ptr;
	cr_assert_eq(f[0].via.u64, 3);
	cr_assert_eq(f[1].via.u64, CHANGE_ADD);
	cr_assert(f[2].via.boolean);
	cr_assert_eq(f[3].via.u64, 2);
	cr_assert_eq(f[4].via.i64, 5000000000);
	cr_assert_eq(f[5].via.array.size, N);
	f = f[5].via.array.ptr;
	cr_assert_eq(f[0].via.i64, -5000000000);
	cr_assert_eq(f[1].type, MSGPACK_OBJECT_NIL);
	cr_assert_eq(memcmp(f[2].via.str.ptr, "häuser", 7), 0);
	cr_assert_eq(memcmp(f[3].via.str.ptr, "-12.30", 6), 0);
	cr_assert_eq(f[4].type, MSGPACK_OBJECT_BOOLEAN);
	cr_assert_eq(f[5].type, MSGPACK_OBJECT_EXT);
	msgpack_unpacked_destroy(&m);
}

Test(batch, change_comes_back)
{
	struct change c = {.table = 9, .kind = CHANGE_DELETE, .values = values, .count = N}, got;
	struct value back[N];
	struct ring_record r;

	cr_assert_eq(batch_put_change(&producer, &c), 0);
	r = next();
	cr_assert(batch_get_change(&r, &got));
	cr_assert_eq(got.table, 9);
	cr_assert_eq(got.kind, CHANGE_DELETE);
	cr_assert_not(got.snapshot);
	cr_assert(row_unpack(got.row, got.row_len, types, N, back));
	for (size_t i = 0; i < N; i++) {
		cr_assert_eq(back[i].kind, values[i].kind, "value %zu", i);
		if (value_has_bytes(&values[i])) {
			cr_assert_eq(back[i].len, values[i].len);
			cr_assert_eq(memcmp(back[i].s, values[i].s, values[i].len), 0);
		} else if (values[i].kind != VALUE_NULL && values[i].kind != VALUE_UNCHANGED) {
			cr_assert_eq(back[i].i, values[i].i);
		}
	}
	cr_assert_not(row_unpack(got.row, got.row_len, types, N - 1, back));
	cr_assert_not(row_unpack(got.row, got.row_len - 1, types, N, back));
}

Test(batch, the_other_records_come_back)
{
	struct batch b = {.number = 12,
			  .rows = 3,
			  .letters = 2,
			  .source_ms = 1700000000000,
			  .clean_stop = true,
			  .position = "{\"k\":1}",
			  .position_len = 7,
			  .stamps = {.count = 1, .at = {{5, 9, 3}}}},
		     got;
	const uint8_t *bytes;
	enum snapshot_phase phase;
	struct ring_record r;
	struct stamps stamps = {.count = 0}, stamps_back;
	int64_t source_ms;
	uint16_t id;
	size_t len;
	int diff;

	cr_assert_eq(batch_put_snapshot(&producer, 4, SNAPSHOT_END), 0);
	r = next();
	cr_assert(batch_get_snapshot(&r, &id, &phase));
	cr_assert_eq(id, 4);
	cr_assert_eq(phase, SNAPSHOT_END);

	for (int64_t ms = 0; ms < STAMPS_MAX; ms++)
		stamps_put(&stamps,
			   &(struct stamp){INT64_MAX / 1000 - 2 * ms, INT64_MAX / 1000 - 2 * ms,
					   INT64_MAX / STAMPS_MAX});
	cr_assert_eq(batch_put_end(&producer, RECORD_CUT, -7, &stamps, (const uint8_t *)"abc", 3),
		     0);
	r = next();
	cr_assert_eq(r.kind, RECORD_CUT);
	cr_assert(batch_get_end(&r, &source_ms, &stamps_back, &bytes, &len));
	cr_assert_eq(stamps_back.count, STAMPS_MAX);
	cr_assert_eq(memcmp(stamps.at, stamps_back.at, STAMPS_MAX * sizeof(stamps.at[0])), 0);
	cr_assert_eq(source_ms, -7);
	cr_assert_eq(len, 3);
	cr_assert_eq(memcmp(bytes, "abc", 3), 0);

	cr_assert_eq(batch_put_row(&producer, 2, -1, (const uint8_t *)"\x91\x2a", 2), 0);
	r = next();
	cr_assert(batch_get_row(&r, &id, &diff, &bytes, &len));
	cr_assert_eq(id, 2);
	cr_assert_eq(diff, -1);
	cr_assert_eq(len, 2);

	cr_assert_eq(batch_put_batch(&producer, &b), 0);
	r = next();
	cr_assert(batch_get_batch(&r, &got));
	cr_assert_eq(got.number, 12);
	cr_assert_eq(got.rows, 3);
	cr_assert_eq(got.letters, 2);
	cr_assert_eq(got.source_ms, 1700000000000);
	cr_assert(got.clean_stop);
	cr_assert_eq(got.position_len, 7);
	cr_assert_eq(memcmp(got.position, "{\"k\":1}", 7), 0);
	cr_assert_eq(got.stamps.count, 1);
	cr_assert_eq(memcmp(got.stamps.at, b.stamps.at, sizeof(got.stamps.at[0])), 0);
}

static void
letters_are_equal(const struct letter *a, const struct letter *b)
{
	cr_assert_eq(a->table, b->table);
	cr_assert_eq(a->partition, b->partition);
	cr_assert_eq(a->offset, b->offset);
	cr_assert_eq(a->source_ms, b->source_ms);
	cr_assert_eq(a->key_bytes, b->key_bytes);
	cr_assert_eq(a->value_bytes, b->value_bytes);
	cr_assert_eq(a->key == NULL, b->key == NULL);
	cr_assert_eq(a->value == NULL, b->value == NULL);
	cr_assert_eq(a->key_len, b->key_len);
	cr_assert_eq(a->value_len, b->value_len);
	cr_assert(a->key == NULL || memcmp(a->key, b->key, a->key_len) == 0);
	cr_assert(a->value == NULL || memcmp(a->value, b->value, a->value_len) == 0);
	cr_assert_eq(a->reason_len, b->reason_len);
	cr_assert_eq(memcmp(a->reason, b->reason, a->reason_len), 0);
}

Test(batch, letters_come_back)
{
	static const struct letter letters[] = {
	    {.table = 7,
	     .partition = 3,
	     .offset = INT64_MAX,
	     .source_ms = 1700000000000,
	     .key = (const uint8_t *)"k\0y",
	     .key_len = 3,
	     .key_bytes = 3,
	     .value = (const uint8_t *)"\377\376",
	     .value_len = 2,
	     .value_bytes = 5000000000,
	     .reason = "why",
	     .reason_len = 3},
	    {.key_bytes = -1, .value_bytes = -1, .reason = "", .reason_len = 0},
	    {.key = (const uint8_t *)"",
	     .value = (const uint8_t *)"",
	     .reason = "",
	     .reason_len = 0},
	};
	uint8_t packed[256];
	struct letter got;
	struct pack pack;
	struct ring_record r;

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		cr_assert_eq(batch_put_letter(&producer, &letters[i]), 0);
		r = next();
		cr_assert_eq(r.kind, RECORD_BAD);
		cr_assert_leq(r.len, letter_bound(&letters[i]));
		cr_assert(batch_get_letter(&r, &got));
		letters_are_equal(&got, &letters[i]);
		for (uint32_t cut = 0; cut < r.len; cut++)
			cr_assert_not(batch_get_letter(
			    &(struct ring_record){.data = r.data, .len = cut}, &got));
		pack_init(&pack, packed, sizeof(packed));
		letter_pack(&pack, &letters[i]);
		cr_assert_eq(batch_put_packed_letter(&producer, packed, pack_len(&pack)), 0);
		r = next();
		cr_assert(batch_get_letter(&r, &got));
		letters_are_equal(&got, &letters[i]);
	}
}

Test(batch, no_room_and_too_large_are_told_apart)
{
	static char text[RING_BYTES_MIN];
	struct value big = {.kind = VALUE_TEXT, .s = text, .len = RING_BYTES_MIN};
	struct change c = {.kind = CHANGE_ADD, .values = &big, .count = 1};

	cr_assert_eq(batch_put_change(&producer, &c), -1);
	cr_assert_eq(errno, EMSGSIZE);
	big.len = 20000;
	while (batch_put_change(&producer, &c) == 0)
		;
	cr_assert_eq(errno, EAGAIN);
}

/* Cut or damaged records of every kind: refused or read, never a wild read (ASan build). */
Test(batch, damaged_records_are_refused)
{
	struct change c = {.table = 1, .kind = CHANGE_UPSERT, .values = values, .count = N}, got;
	struct batch b;
	struct ring_record r, damaged;
	struct value back[N];
	const uint8_t *bytes;
	unsigned seed = 99, refused = 0;
	struct stamps stamps;
	uint8_t *copy;
	int64_t ms;
	uint16_t id;
	size_t len;
	int diff;

	cr_assert_eq(batch_put_change(&producer, &c), 0);
	r = next();
	for (uint32_t cut = 0; cut < r.len; cut++) {
		damaged = r;
		damaged.len = cut;
		cr_assert_not(batch_get_change(&damaged, &got) &&
				  row_unpack(got.row, got.row_len, types, N, back),
			      "cut at %u", cut);
	}
	for (int round = 0; round < 20000; round++) {
		copy = malloc(r.len);
		memcpy(copy, r.data, r.len);
		copy[(unsigned)rand_r(&seed) % r.len] = (uint8_t)rand_r(&seed);
		damaged = (struct ring_record){.data = copy, .len = r.len, .kind = r.kind};
		if (!batch_get_change(&damaged, &got) ||
		    !row_unpack(got.row, got.row_len, types, N, back))
			refused++;
		batch_get_end(&damaged, &ms, &stamps, &bytes, &len);
		batch_get_row(&damaged, &id, &diff, &bytes, &len);
		batch_get_batch(&damaged, &b);
		free(copy);
	}
	cr_assert_gt(refused, 1000);
}

Test(batch, views_and_checkpoints_come_back_as_they_were)
{
	static const uint8_t data[] = "part";
	const struct checkpoint put[] = {
	    {.step = CHECKPOINT_PART, .number = 3, .part = 70000, .data = data, .len = 4},
	    {.step = CHECKPOINT_FLIP,
	     .number = 3,
	     .part = 2,
	     .batch = 1u << 31,
	     .data = data,
	     .len = 4},
	    {.step = CHECKPOINT_FORGET, .number = 1, .part = 0},
	};
	struct ring_record record;
	enum view_step step;
	uint16_t view;
	uint64_t rows;

	cr_assert_eq(batch_put_view(&producer, 65535, VIEW_LIVE, UINT64_MAX), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(batch_put_checkpoint(&producer, &put[i]), 0);
	cr_assert_eq(batch_put_checkpoint(&producer, &(struct checkpoint){.number = 0}), 0);
	ring_commit(&producer, NULL, 0);
	cr_assert_eq(ring_next(&consumer, &record), 1);
	cr_assert_eq(record.kind, RECORD_VIEW);
	cr_assert(batch_get_view(&record, &view, &step, &rows));
	cr_assert(view == 65535 && step == VIEW_LIVE && rows == UINT64_MAX);
	for (unsigned i = 0; i < 3; i++) {
		struct checkpoint got;
		cr_assert_eq(ring_next(&consumer, &record), 1);
		cr_assert_eq(record.kind, RECORD_CHECKPOINT);
		cr_assert_not(batch_get_view(&record, &view, &step, &rows));
		cr_assert(batch_get_checkpoint(&record, &got));
		cr_assert(got.step == put[i].step && got.number == put[i].number &&
			  got.part == put[i].part && got.batch == put[i].batch &&
			  got.len == put[i].len && memcmp(got.data, data, got.len) == 0);
	}
	cr_assert_eq(ring_next(&consumer, &record), 1);
	struct checkpoint none;
	cr_assert_not(batch_get_checkpoint(&record, &none), "checkpoints are counted from 1");
}
