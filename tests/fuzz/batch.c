/*
 * batch.c - records of a corrupt peer: any payload as any kind of record. What a reader accepts,
 * written again and read again, means the same; rows, positions and sums inside them too. Input: the
 * kind, a count and that many column types, then the payload.
 */
#include "common/batch.h"
#include "common/decimal.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/position.h"
#include "tests/fuzz/fuzz.h"

#define COLUMNS_MAX 16
#define ROOM        (1u << 16)

enum { KIND_SUM = 15 }; /* not a record: an exact sum in a checkpoint */

struct channel {
	struct ring_fds fds;
	struct ring producer, consumer;
	bool open;
};

static struct channel channel;
static struct pipeline pipeline;

/* Two servers, three topics, a name that JSON must escape. */
static void
pipeline_make(void)
{
	static struct server servers[2];
	static struct table tables[3];

	servers[0] = (struct server){.name = xstrdup("one"), .transaction_topic = xstrdup("p.t")};
	servers[1] = (struct server){.name = xstrdup("two")};
	for (unsigned i = 0; i < 3; i++)
		tables[i] = (struct table){.name = xasprintf("t%u", i),
					   .source = xasprintf("s.t%u", i),
					   .topic = xasprintf("p\"\\.s.t%u", i),
					   .server = i / 2};
	pipeline = (struct pipeline){
	    .servers = servers, .server_count = 2, .tables = tables, .table_count = 3};
}

static struct ring *
channel_open(void)
{
	if (!channel.open) {
		FUZZ_CHECK(ring_create(&channel.fds, 1u << 20) == 0);
		FUZZ_CHECK(ring_attach(&channel.producer, &channel.fds, RING_PRODUCER) == 0);
		FUZZ_CHECK(ring_attach(&channel.consumer, &channel.fds, RING_CONSUMER) == 0);
		channel.open = true;
	}
	ring_commit(&channel.consumer, NULL, 0);
	return &channel.producer;
}

/* The record just put, as the other side reads it. */
static struct ring_record
channel_read(int put, enum record_kind kind)
{
	struct ring_record record;

	FUZZ_CHECK(put == 0);
	ring_commit(&channel.producer, NULL, 0);
	FUZZ_CHECK(ring_next(&channel.consumer, &record) == 1);
	FUZZ_CHECK(record.kind == kind);
	return record;
}

/* --- rows, positions, sums --- */

struct row {
	struct value values[COLUMNS_MAX];
	unsigned count;
};

static bool
row_read(const uint8_t *bytes, size_t len, const enum type *types, struct row *row)
{
	struct unpack u;

	unpack_init(&u, bytes, len);
	row->count = unpack_array(&u);
	return !u.bad && row->count <= COLUMNS_MAX &&
	       row_unpack(bytes, len, types, row->count, row->values);
}

static void
check_values(const struct row *row)
{
	for (unsigned i = 0; i < row->count; i++) {
		const struct value *v = &row->values[i];
		char text[DECIMAL_TEXT_MAX + 1];
		if (v->kind == VALUE_DECIMAL) {
			size_t len = decimal_canonical(v->s, v->len, text, sizeof(text));
			FUZZ_CHECK(len == v->len && memcmp(text, v->s, len) == 0);
		}
	}
}

static void
same_row(const struct row *a, const struct row *b)
{
	static uint8_t bytes[2][ROOM];
	struct pack p[2];
	const struct row *rows[2] = {a, b};

	for (unsigned i = 0; i < 2; i++) {
		pack_init(&p[i], bytes[i], ROOM);
		row_pack(&p[i], rows[i]->values, rows[i]->count);
		FUZZ_CHECK(!p[i].overflow);
	}
	FUZZ_CHECK(pack_len(&p[0]) == pack_len(&p[1]));
	FUZZ_CHECK(memcmp(bytes[0], bytes[1], pack_len(&p[0])) == 0);
}

static void
check_position(const struct position *p)
{
	struct position *again = position_new(&pipeline);
	size_t len = position_print(p, NULL, 0);
	char *text = xcalloc(len + 1, 1), *text_again = xcalloc(len + 1, 1);
	const char *error = NULL;

	FUZZ_CHECK(position_print(p, text, len + 1) == len);
	FUZZ_CHECK(position_load(again, text, len, &error) == 0);
	FUZZ_CHECK(position_print(again, text_again, len + 1) == len);
	FUZZ_CHECK(strcmp(text, text_again) == 0);
	for (unsigned server = 0; server < pipeline.server_count; server++) {
		struct partition_position *partitions = NULL;
		struct transaction_position transaction;
		unsigned count;
		FUZZ_CHECK(position_parse(text, len, &pipeline, server, &partitions, &count,
					  &transaction, &error) == 0);
		free(partitions);
	}
	position_free(again);
	free(text);
	free(text_again);
}

static void
try_entries(const uint8_t *entries, size_t len)
{
	struct position *p = position_new(&pipeline);

	if (position_apply(p, 0, entries, len))
		check_position(p);
	position_free(p);
}

static void
try_position(const char *json, size_t len)
{
	struct position *p = position_new(&pipeline);
	char *copy = fuzz_copy(json, len);
	const char *error = NULL;

	if (position_load(p, copy, len, &error) == 0)
		check_position(p);
	else
		FUZZ_CHECK(error != NULL && strlen(error) > 5);
	free(copy);
	position_free(p);
}

static void
try_sum(const uint8_t *payload, size_t len)
{
	static uint8_t bytes[2][ROOM];
	struct unpack u;
	struct pack p[2];

	unpack_init(&u, payload, len);
	struct decimal_sum *sum = decimal_sum_unpack(&u);
	FUZZ_CHECK((sum != NULL) == !u.bad);
	for (unsigned i = 0; i < 2 && sum != NULL; i++) {
		pack_init(&p[i], bytes[i], ROOM);
		decimal_sum_pack(sum, &p[i]);
		size_t need = decimal_sum_print(sum, NULL, 0);
		char *text = xcalloc(need + 1, 1);
		FUZZ_CHECK(decimal_sum_print(sum, text, need + 1) == need);
		free(text);
		decimal_sum_free(sum);
		unpack_init(&u, bytes[i], pack_len(&p[i]));
		sum = p[i].overflow ? NULL : decimal_sum_unpack(&u);
		FUZZ_CHECK(p[i].overflow || sum != NULL);
	}
	if (sum != NULL)
		FUZZ_CHECK(pack_len(&p[0]) == pack_len(&p[1]) &&
			   memcmp(bytes[0], bytes[1], pack_len(&p[0])) == 0);
	decimal_sum_free(sum);
}

/* --- one function for each kind --- */

static void
try_change(const struct ring_record *record, const enum type *types)
{
	struct change c, again;
	struct row row, row_again;

	if (!batch_get_change(record, &c) || !row_read(c.row, c.row_len, types, &row))
		return;
	check_values(&row);
	c.values = row.values;
	c.count = row.count;
	struct ring_record r = channel_read(batch_put_change(channel_open(), &c), RECORD_CHANGE);
	FUZZ_CHECK(batch_get_change(&r, &again));
	FUZZ_CHECK(again.table == c.table && again.kind == c.kind && again.snapshot == c.snapshot);
	FUZZ_CHECK(row_read(again.row, again.row_len, types, &row_again));
	same_row(&row, &row_again);
}

static void
try_row(const struct ring_record *record, const enum type *types)
{
	const uint8_t *bytes, *bytes_again;
	size_t len, len_again;
	uint16_t view, view_again;
	int diff, diff_again;
	struct row row;

	if (!batch_get_row(record, &view, &diff, &bytes, &len))
		return;
	struct ring_record r =
	    channel_read(batch_put_row(channel_open(), view, diff, bytes, len), RECORD_ROW);
	FUZZ_CHECK(batch_get_row(&r, &view_again, &diff_again, &bytes_again, &len_again));
	FUZZ_CHECK(view == view_again && diff == diff_again && (diff == 1 || diff == -1));
	FUZZ_CHECK(len == len_again && memcmp(bytes, bytes_again, len) == 0);
	if (row_read(bytes, len, types, &row))
		check_values(&row);
}

static void
try_snapshot(const struct ring_record *record)
{
	uint16_t table, table_again;
	enum snapshot_phase phase, phase_again;

	if (!batch_get_snapshot(record, &table, &phase))
		return;
	struct ring_record r =
	    channel_read(batch_put_snapshot(channel_open(), table, phase), RECORD_SNAPSHOT);
	FUZZ_CHECK(batch_get_snapshot(&r, &table_again, &phase_again));
	FUZZ_CHECK(table == table_again && phase == phase_again);
}

/* What was read is written and read as it was, and is a list as stamps.h describes it. */
static void
try_stamps(const struct stamps *stamps, const struct stamps *again)
{
	struct stamps merged = {.count = 0};

	FUZZ_CHECK(stamps->count <= STAMPS_MAX && stamps->count == again->count);
	FUZZ_CHECK(memcmp(stamps->at, again->at, stamps->count * sizeof(stamps->at[0])) == 0);
	stamps_merge(&merged, stamps);
	FUZZ_CHECK(merged.count == stamps->count);
	for (unsigned i = 0; i < STAMPS_MAX; i++)
		stamps_add(&merged, (int64_t)i * 1000);
	FUZZ_CHECK(merged.count <= STAMPS_MAX);
	FUZZ_CHECK(stamps_events(&merged) == stamps_events(stamps) + STAMPS_MAX);
}

static void
try_end(const struct ring_record *record, enum record_kind kind)
{
	int64_t source_ms, again_ms;
	const uint8_t *entries, *again;
	struct stamps stamps, stamps_again;
	size_t len, again_len;

	if (!batch_get_end(record, &source_ms, &stamps, &entries, &len))
		return;
	struct ring_record r = channel_read(
	    batch_put_end(channel_open(), kind, source_ms, &stamps, entries, len), kind);
	FUZZ_CHECK(batch_get_end(&r, &again_ms, &stamps_again, &again, &again_len));
	try_stamps(&stamps, &stamps_again);
	FUZZ_CHECK(source_ms == again_ms && len == again_len);
	FUZZ_CHECK(memcmp(entries, again, len) == 0);
	try_entries(entries, len);
}

static void
try_view(const struct ring_record *record)
{
	uint16_t view, view_again;
	enum view_step step, step_again;
	uint64_t rows, rows_again;

	if (!batch_get_view(record, &view, &step, &rows))
		return;
	struct ring_record r =
	    channel_read(batch_put_view(channel_open(), view, step, rows), RECORD_VIEW);
	FUZZ_CHECK(batch_get_view(&r, &view_again, &step_again, &rows_again));
	FUZZ_CHECK(view == view_again && step == step_again && rows == rows_again);
}

static void
try_checkpoint(const struct ring_record *record)
{
	struct checkpoint c, again;

	if (!batch_get_checkpoint(record, &c))
		return;
	struct ring_record r =
	    channel_read(batch_put_checkpoint(channel_open(), &c), RECORD_CHECKPOINT);
	FUZZ_CHECK(batch_get_checkpoint(&r, &again));
	FUZZ_CHECK(c.step == again.step && c.number == again.number && c.part == again.part &&
		   c.batch == again.batch && c.len == again.len &&
		   memcmp(c.data, again.data, c.len) == 0);
}

static void
try_batch(const struct ring_record *record)
{
	struct batch b, again;

	if (!batch_get_batch(record, &b))
		return;
	struct ring_record r = channel_read(batch_put_batch(channel_open(), &b), RECORD_BATCH);
	FUZZ_CHECK(batch_get_batch(&r, &again));
	FUZZ_CHECK(b.number == again.number && b.rows == again.rows &&
		   b.source_ms == again.source_ms && b.clean_stop == again.clean_stop &&
		   b.position_len == again.position_len &&
		   memcmp(b.position, again.position, b.position_len) == 0);
	try_stamps(&b.stamps, &again.stamps);
	try_position(b.position, b.position_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = {data, data + size};
	uint16_t kind = choose_byte(&c) & 15;
	unsigned count = choose_byte(&c) % COLUMNS_MAX;
	enum type types[COLUMNS_MAX] = {0};

	if (size > ROOM / 2)
		return 0;
	if (pipeline.tables == NULL)
		pipeline_make();
	for (unsigned i = 0; i < count; i++)
		types[i] = (enum type)(choose_byte(&c) % TYPE_COUNT);
	uint32_t len = (uint32_t)(c.end - c.at);
	uint8_t *payload = (uint8_t *)fuzz_copy(c.at, len);
	struct ring_record record = {.data = payload, .len = len, .kind = kind};
	switch (kind) {
	case RECORD_CHANGE:
		try_change(&record, types);
		break;
	case RECORD_ROW:
		try_row(&record, types);
		break;
	case RECORD_SNAPSHOT:
		try_snapshot(&record);
		break;
	case RECORD_END:
	case RECORD_CUT:
		try_end(&record, (enum record_kind)kind);
		break;
	case RECORD_VIEW:
		try_view(&record);
		break;
	case RECORD_CHECKPOINT:
		try_checkpoint(&record);
		break;
	case RECORD_BATCH:
		try_batch(&record);
		break;
	case KIND_SUM:
		try_sum(payload, len);
		break;
	default:
		break;
	}
	free(payload);
	return 0;
}
