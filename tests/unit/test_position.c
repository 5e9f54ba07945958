#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/position.h"

static char kafka[] = "ka\"fka", other[] = "other";
static char one[] = "server.public.one", two[] = "server.public.two", three[] = "x.three";
static struct server servers[] = {{.name = kafka}, {.name = other}};
static struct table tables[] = {
    {.topic = one, .server = 0}, {.topic = two, .server = 0}, {.topic = three, .server = 1}};
static const struct pipeline pipeline = {
    .servers = servers, .server_count = 2, .tables = tables, .table_count = 3};

static const struct partition_position sample = {
    .table = 1,
    .partition = 3,
    .start = 2,
    .next = 4711,
    .hash = 0xfedcba9876543210,
    .mark = {true, true, UINT64_MAX, 26940700, 7},
    .seen = {true, false, 0, 26940000, 0},
    .seen_order = 12,
    .mark_ms = 1795493405886,
    .mark_xid = UINT64_MAX,
};

static struct watermark
mark(bool has_sequence, uint64_t sequence, uint64_t lsn, uint64_t ordinal)
{
	return (struct watermark){true, has_sequence, sequence, lsn, ordinal};
}

Test(position, watermarks_in_order)
{
	const struct watermark rising[] = {{0},
					   mark(false, 9, 5, 0),
					   mark(false, 0, 5, 1),
					   mark(false, 0, 6, 0),
					   mark(true, 0, 0, 0),
					   mark(true, 1, 0, 0),
					   mark(true, 1, 2, 0),
					   mark(true, 1, 2, 1),
					   mark(true, UINT64_MAX, 0, 0)};
	const int count = sizeof(rising) / sizeof(rising[0]);
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++) {
			int order = watermark_compare(&rising[i], &rising[j]);
			cr_assert_eq((order > 0) - (order < 0), (i > j) - (i < j), "%d, %d", i, j);
		}
}

static size_t
print_sample(char *text, size_t size)
{
	static uint8_t entries[4096];
	struct partition_position p = sample;
	struct transaction_position t = {true, 1, 12, 0x9f, 26990864};
	struct position *position = position_new(&pipeline);
	struct pack pack;
	pack_init(&pack, entries, sizeof(entries));
	p.next = 5; /* overtaken by the entry after it */
	position_pack_partition(&pack, &p);
	position_pack_partition(&pack, &sample);
	p.partition = 0;
	position_pack_partition(&pack, &p);
	position_pack_transaction(&pack, &t);
	cr_assert(position_apply(position, 0, entries, pack_len(&pack)));
	size_t len = position_print(position, text, size);
	position_free(position);
	return len;
}

static int
parse(const char *text, unsigned server, struct partition_position **p, unsigned *count,
      struct transaction_position *t)
{
	const char *error;
	*p = NULL;
	return position_parse(text, strlen(text), &pipeline, server, p, count, t, &error);
}

static void
check_sample(const char *text)
{
	struct partition_position *p;
	struct transaction_position t;
	unsigned count;
	cr_assert_eq(parse(text, 0, &p, &count, &t), 0, "%s", text);
	cr_assert_eq(count, 2);
	cr_assert_eq(p[0].partition, 0);
	cr_assert_eq(p[1].table, sample.table);
	cr_assert_eq(p[1].partition, sample.partition);
	cr_assert_eq(p[1].start, sample.start);
	cr_assert_eq(p[1].next, sample.next);
	cr_assert_eq(p[1].hash, sample.hash);
	cr_assert_eq(watermark_compare(&p[1].mark, &sample.mark), 0);
	cr_assert_eq(watermark_compare(&p[1].seen, &sample.seen), 0);
	cr_assert_eq(p[1].seen_order, sample.seen_order);
	cr_assert_eq(p[1].mark_ms, sample.mark_ms);
	cr_assert_eq(p[1].mark_xid, sample.mark_xid);
	cr_assert(t.set && t.start == 1 && t.next == 12 && t.hash == 0x9f && t.last == 26990864);
	free(p);
}

Test(position, printed_and_read_back)
{
	struct partition_position *p;
	struct transaction_position t;
	char text[4096];
	unsigned count;
	size_t len = print_sample(text, sizeof(text));
	cr_assert_eq(strlen(text), len);
	check_sample(text);
	cr_assert_eq(parse(text, 1, &p, &count, &t), 0);
	cr_assert(count == 0 && !t.set);
	free(p);
}

/* Of earlier versions: without the transaction, and without snapshots. What is missing is not known. */
Test(position, shorter_entries)
{
	static const struct {
		uint8_t fields, missing;
	} old[] = {{12, 1}, {10, 3}};
	struct partition_position p = sample;
	uint8_t entry[256];
	struct pack pack;
	struct unpack u;

	p.mark_xid = 0;
	for (unsigned i = 0; i < 2; i++) {
		pack_init(&pack, entry, sizeof(entry));
		position_pack_partition(&pack, &p);
		cr_assert_eq(entry[0], 0x90 | 13);
		entry[0] = 0x90 | old[i].fields;
		unpack_init(&u, entry, pack_len(&pack) - old[i].missing);
		struct partition_position at = {.mark_xid = 7, .closed.set = true};
		cr_assert(position_unpack_partition(&u, &at) && u.at == u.end);
		cr_assert_eq(at.mark_ms, sample.mark_ms);
		cr_assert(at.mark_xid == 0 && !at.before.set && !at.closed.set);
	}
	entry[0] = 0x90 | 11;
	unpack_init(&u, entry, pack_len(&pack) - 2);
	cr_assert_not(position_unpack_partition(&u, &p));
}

Test(position, a_short_buffer_says_what_is_needed)
{
	char text[4096], part[50];
	size_t len = print_sample(text, sizeof(text));
	cr_assert_eq(print_sample(part, sizeof(part)), len);
	cr_assert_eq(strlen(part), sizeof(part) - 1);
	cr_assert_eq(strncmp(text, part, sizeof(part) - 1), 0);
}

/* jsonb has its own order of keys and its own spaces; others may write numbers as strings. */
Test(position, any_order_of_keys)
{
	check_sample(
	    "{\"other\": {\"partitions\": []}, \"ka\\\"fka\": {\"later\": [1, {}], \"partitions\": "
	    "[{\"hash\": \"0000000000000000\", \"next\": 5, \"partition\": 0, \"start\": 2, "
	    "\"topic\": \"server.public.two\"}, {\"topic\": \"gone\", \"partition\": 0, \"start\": "
	    "0, \"next\": 1}, {\"mark\": [\"18446744073709551615\", 26940700, \"7\"], \"seen\": "
	    "[null, \"26940000\", 0], \"mark_ms\": 1795493405886, \"seen_order\": \"12\", "
	    "\"mark_xid\": \"18446744073709551615\", "
	    "\"next\": "
	    "\"4711\", \"start\": 2, \"partition\": 3, \"topic\": \"server.public.two\", \"hash\": "
	    "\"fedcba9876543210\"}], \"transaction\": {\"last\": \"26990864\", \"hash\": "
	    "\"000000000000009f\", \"next\": 12, \"start\": 1}}}");
}

Test(position, what_is_no_position)
{
	static const char *const texts[] = {
	    "",
	    "[]",
	    "{\"ka\\\"fka\":1}",
	    "{\"ka\\\"fka\":{\"partitions\":[{}]}}",
	    "{\"ka\\\"fka\":{\"partitions\":[{\"topic\":\"server.public.two\",\"partition\":0,"
	    "\"start\":5,\"next\":4}]}}",
	    "{\"ka\\\"fka\":{\"partitions\":[{\"topic\":\"server.public.two\",\"partition\":0,"
	    "\"start\":-1,\"next\":4}]}}",
	    "{\"ka\\\"fka\":{\"partitions\":[{\"topic\":\"server.public.two\",\"partition\":0,"
	    "\"start\":1.5,\"next\":4}]}}",
	    "{\"ka\\\"fka\":{\"partitions\":[{\"topic\":\"server.public.two\",\"partition\":0,"
	    "\"start\":1,\"next\":4,\"mark\":[1,2]}]}}",
	    "{\"ka\\\"fka\":{\"partitions\":[{\"topic\":\"server.public.two\",\"partition\":0,"
	    "\"start\":1,\"next\":4,\"hash\":\"xyz\"}]}}",
	    "{\"ka\\\"fka\":{\"transaction\":{\"start\":1}}}",
	    "{\"ka\\\"fka\":{}} x",
	};
	struct partition_position *p;
	struct transaction_position t;
	unsigned count;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(parse(texts[i], 0, &p, &count, &t), -1, "%s", texts[i]);
}

static bool
apply_one(unsigned server, const struct partition_position *p, size_t cut)
{
	static uint8_t entries[512];
	struct position *position = position_new(&pipeline);
	struct pack pack;
	pack_init(&pack, entries, sizeof(entries));
	position_pack_partition(&pack, p);
	bool taken = position_apply(position, server, entries, pack_len(&pack) - cut);
	position_free(position);
	return taken;
}

Test(position, malformed_entries_are_refused)
{
	struct partition_position p = sample;
	cr_assert(apply_one(0, &p, 0));
	for (size_t cut = 1; cut < 40; cut++)
		cr_assert_not(apply_one(0, &p, cut), "cut by %zu", cut);
	cr_assert_not(apply_one(1, &p, 0), "a table of another server");
	cr_assert_not(apply_one(2, &p, 0), "no such server");
	p.table = 3;
	cr_assert_not(apply_one(0, &p, 0), "no such table");
	p.table = 1;
	p.next = 1;
	cr_assert_not(apply_one(0, &p, 0), "it ends before it begins");
}
