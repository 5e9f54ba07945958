/* What the writer puts into the ring, and that a resume token always stands for just that. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/position.h"
#include "tests/unit/ingest_world.h"

#define KEYLESS "id:integer note:text"
#define KEYED   "id:integer:key note:text"
#define TOAST   "__debezium_unavailable_value"

TestSuite(ingest_writer, .timeout = 30);

static void
take(struct world *w, int64_t offset, uint64_t sequence, char op, const char *before,
     const char *after)
{
	world_write(w, sequence, op, before, after);
	cr_assert(world_take(w, offset), "%s", w->source.poison.text);
}

static bool
rest(struct world *w, uint64_t backlog, int64_t now_ms)
{
	w->source.backlog = backlog;
	return writer_rest(&w->writer, now_ms);
}

Test(ingest_writer, keyless_changes_are_added_and_subtracted)
{
	static struct world w;
	world_open(&w, KEYLESS, RING_BYTES_MIN, 0);
	take(&w, 0, 10, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	take(&w, 1, 10, 'u', "{\"id\":1,\"note\":\"a\"}", "{\"id\":2,\"note\":null}");
	take(&w, 2, 20, 'd', "{\"id\":2,\"note\":null}", "null");
	world_silence(&w, 3);
	cr_assert_str_eq(world_read(&w), "CUT\nADD 1 a\nSUBTRACT 1 a\nADD 2 -\nEND\n"
					 "SUBTRACT 2 -\nEND\n");
	world_close(&w);
}

Test(ingest_writer, a_keyed_table_needs_no_row_before)
{
	static struct world w;
	world_open(&w, KEYED, RING_BYTES_MIN, 0);
	w.key = "{\"id\":1}";
	take(&w, 0, 10, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	take(&w, 1, 10, 'u', "null", "{\"id\":1,\"note\":\"" TOAST "\"}");
	take(&w, 2, 10, 'd', "null", "null");
	cr_assert(world_take_text(&w, 3, NULL));
	world_silence(&w, 4);
	cr_assert_str_eq(world_read(&w), "CUT\nUPSERT 1 a\nUPSERT 1 -\nDELETE 1\nEND\n");
	cr_assert_eq(order_counters(w.source.order)->tombstones, 1);
	world_close(&w);
}

/* Where more and more is found to read, so that ingest never sleeps. */
Test(ingest_writer, a_record_waits_a_millisecond_at_most)
{
	static struct world w;
	world_open(&w, KEYLESS, RING_BYTES_MIN, 0);
	writer_turn(&w.writer, 1000);
	take(&w, 0, 10, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	writer_turn(&w.writer, 1000);
	cr_assert_str_eq(world_read(&w), "");
	writer_turn(&w.writer, 1001);
	cr_assert_str_eq(world_read(&w), "CUT\nADD 1 a\n");
	world_close(&w);
}

/* Many records in a short while are a burst; without a rest for long they are a backlog. */
Test(ingest_writer, it_is_behind_when_it_does_not_come_to_rest)
{
	static struct world w;
	world_open(&w, KEYLESS, 1024 * 1024, 0);
	cr_assert_not(rest(&w, 0, 1000));
	for (int i = 0; i < 1500; i++)
		take(&w, i, 10 + (uint64_t)i, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	writer_turn(&w.writer, 1050);
	cr_assert_not(board_is_behind(w.stage.board));
	writer_turn(&w.writer, 1101);
	cr_assert(board_is_behind(w.stage.board));
	cr_assert(rest(&w, 20000, 1102));
	cr_assert(board_is_behind(w.stage.board), "the rest of the log is on its way");
	cr_assert(rest(&w, 20000, 1200), "it may take a while");
	cr_assert_not(rest(&w, 20000, 1203), "something holds it up");
	take(&w, 1500, 2000, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	cr_assert(rest(&w, 20000, 1300));
	cr_assert_not(rest(&w, 10, 1301));
	cr_assert_not(board_is_behind(w.stage.board));
	world_close(&w);
}

/* One END for all that is read between two commits, and none of it stays open where nothing more comes. */
Test(ingest_writer, behind_it_puts_ends_off)
{
	static struct world w;
	world_open(&w, KEYLESS, 1024 * 1024, 0);
	take(&w, 0, 10, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	take(&w, 1, 20, 'c', "null", "{\"id\":2,\"note\":\"b\"}");
	cr_assert(rest(&w, 20000, 1000));
	cr_assert_str_eq(world_read(&w), "CUT\nADD 1 a\nEND\nADD 2 b\n");
	w.source.followed = true;
	take(&w, 2, 30, 'c', "null", "{\"id\":3,\"note\":\"c\"}");
	take(&w, 3, 40, 'c', "null", "{\"id\":4,\"note\":\"d\"}");
	writer_turn(&w.writer, 1020);
	cr_assert_str_eq(world_read(&w), "ADD 3 c\nADD 4 d\n", "the fourth may go on");
	cr_assert_eq(order_counters(w.source.order)->transactions, 3, "each of them is counted");
	take(&w, 4, 50, 'c', "null", "{\"id\":5,\"note\":\"e\"}");
	writer_turn(&w.writer, 1031);
	cr_assert_str_eq(world_read(&w), "END\nADD 5 e\n");
	world_silence(&w, 5);
	cr_assert_str_eq(world_read(&w), "END\n", "it was asked for");
	world_close(&w);
}

/* What is whole is seen at a rest, though the next transaction is begun. */
Test(ingest_writer, a_rest_hides_no_end)
{
	static struct world w;
	world_open(&w, KEYLESS, 1024 * 1024, 0);
	take(&w, 0, 10, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	cr_assert_not(rest(&w, 0, 1000));
	cr_assert_str_eq(world_read(&w), "CUT\nADD 1 a\n");
	w.source.followed = true;
	take(&w, 1, 20, 'c', "null", "{\"id\":2,\"note\":\"b\"}");
	w.source.followed = false;
	take(&w, 2, 20, 'c', "null", "{\"id\":3,\"note\":\"c\"}");
	cr_assert_not(rest(&w, 0, 1001));
	cr_assert_str_eq(world_read(&w), "END\nADD 2 b\nADD 3 c\n");
	take(&w, 3, 20, 'c', "null", "{\"id\":4,\"note\":\"d\"}");
	cr_assert_not(rest(&w, 0, 1002));
	cr_assert_str_eq(world_read(&w), "", "nothing of it can be shown");
	world_silence(&w, 4);
	cr_assert_str_eq(world_read(&w), "ADD 4 d\nEND\n");
	world_close(&w);
}

/* The next END or CUT in the ring: its stamps, and the position's entries. */
static struct stamps
next_end(struct world *w, const uint8_t **entries, size_t *len)
{
	struct ring_record record;
	struct stamps stamps;
	int64_t source_ms;
	do
		cr_assert_eq(ring_next(&w->in, &record), 1);
	while (record.kind != RECORD_END && record.kind != RECORD_CUT);
	cr_assert(batch_get_end(&record, &source_ms, &stamps, entries, len));
	return stamps;
}

static struct partition_position
next_position(struct world *w)
{
	struct partition_position at;
	const uint8_t *entries;
	struct unpack u;
	size_t len;
	(void)next_end(w, &entries, &len);
	unpack_init(&u, entries, len);
	cr_assert(position_unpack_partition(&u, &at));
	return at;
}

static struct stamps
next_stamps(struct world *w)
{
	const uint8_t *entries;
	size_t len;
	return next_end(w, &entries, &len);
}

/* Long after it was offered, and with the next one at hand: that is when its transaction ends. */
Test(ingest_writer, a_position_names_the_record_before_it)
{
	static struct world w;
	uint64_t hash[9];
	world_open(&w, KEYED, 1024 * 1024, 0);
	for (int i = 0; i < 9; i++) {
		w.key = i % 3 == 0 ? "{\"id\":1}" : "{\"id\":2}";
		world_write(&w, 10 + (uint64_t)i / 2 * 10, 'c', "null",
			    i % 3 == 0 ? "{\"id\":1,\"note\":\"a\"}" : "{\"id\":2,\"note\":\"b\"}");
		hash[i] = world_hash(&w);
		cr_assert(world_take(&w, i));
	}
	world_silence(&w, 9);
	writer_commit(&w.writer);
	cr_assert_eq(next_position(&w).next, 0, "the CUT");
	for (int i = 1; i <= 8; i += i == 7 ? 1 : 2) {
		struct partition_position at = next_position(&w);
		cr_assert_eq(at.next, i + 1);
		cr_assert_eq(at.hash, hash[i], "at offset %d", i + 1);
	}
	world_close(&w);
}

/* Not what a replay brings again, nor what was there before tallyd was started. */
Test(ingest_writer, an_end_says_when_its_events_were_written)
{
	static struct world w;
	world_open(&w, KEYLESS, RING_BYTES_MIN, 2);
	w.writer.since_ms = 1700000000000;
	take(&w, 0, 10, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	take(&w, 1, 20, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	w.later_ms = -1;
	take(&w, 2, 30, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
	w.later_ms = 7;
	for (int64_t offset = 3; offset < 6; offset++) {
		take(&w, offset, 40, 'c', "null", "{\"id\":1,\"note\":\"a\"}");
		w.later_ms = offset < 4 ? 7 : 9;
	}
	world_silence(&w, 6);
	cr_assert_eq(next_stamps(&w).count, 0, "CUT, behind what was replayed");
	cr_assert_eq(next_stamps(&w).count, 0, "an old message");
	struct stamps stamps = next_stamps(&w);
	cr_assert_eq(stamps.count, 2);
	cr_assert_eq(stamps.at[0].oldest_ms, 1700000000007);
	cr_assert_eq(stamps.at[0].events, 2);
	cr_assert_eq(stamps.at[1].newest_ms, 1700000000009);
	cr_assert_eq(stamps.at[1].events, 1);
	world_close(&w);
}

Test(ingest_writer, a_truncate_has_no_values)
{
	static const char *const columns[] = {KEYLESS, KEYED};
	static struct world w;
	for (unsigned i = 0; i < 2; i++) {
		world_open(&w, columns[i], RING_BYTES_MIN, 0);
		take(&w, 0, 10, 't', "null", "null");
		world_silence(&w, 1);
		cr_assert_str_eq(world_read(&w), "CUT\nTRUNCATE\nEND\n");
		world_close(&w);
	}
}

/* ---- what ends the process ----------------------------------------------------------------- */

static char *
long_row(size_t bytes)
{
	char *text = xcalloc(1, bytes + 64);
	int len = sprintf(text, "{\"id\":1,\"note\":\"");
	memset(text + len, 'x', bytes);
	memcpy(text + (size_t)len + bytes, "\"}", 3);
	return text;
}

static void
a_row_too_large(struct world *w)
{
	take(w, 0, 10, 'c', "null", long_row(RING_BYTES_MIN / 2));
}

static void
two_rows_too_large(struct world *w)
{
	char *row = long_row(RING_BYTES_MIN / 4);
	take(w, 0, 10, 'u', row, row);
}

Test(ingest_writer, a_row_that_never_fits_the_ring_names_the_cure)
{
	static struct world w;
	static const char *const words[] = {
	    "s.public.t [0] offset 0: ", "SET ring_bytes larger than 65536", NULL};
	world_open(&w, KEYLESS, RING_BYTES_MIN, 0);
	world_ends(a_row_too_large, &w, EXIT_DATA, words);
	world_ends(two_rows_too_large, &w, EXIT_DATA, words);
	world_close(&w);
}

Test(ingest_writer, the_largest_row_fits)
{
	static struct world w;
	world_open(&w, KEYLESS, RING_BYTES_MIN, 0);
	char *row = long_row(RING_BYTES_MIN / 2 - 256);
	take(&w, 0, 10, 'c', "null", row);
	world_silence(&w, 1);
	cr_assert_gt(ring_used(&w.in), RING_BYTES_MIN / 2 - 256);
	free(row);
	world_close(&w);
}

/* ---- tokens -------------------------------------------------------------------------------- */

#define EVENTS 3000

struct reader { /* a slow reduce, which looks at each token that it meets */
	struct world *world;
	_Atomic bool done;
	_Atomic uint64_t absorbed;   /* the position that it came to */
	unsigned before[EVENTS + 1]; /* CHANGE records of the events before this offset */
	uint64_t hash[EVENTS + 1];   /* of the record before this offset */
	unsigned seen, looks, inside;
	bool ended; /* the last record was an END or CUT */
	uint8_t token[RING_TOKEN_MAX];
	char error[256];
};

/* The published position with its token: read again when a commit came between. */
static bool
reader_look(struct reader *r, uint64_t *pos, size_t *len)
{
	struct ring a, b;
	bool same = ring_attach(&a, &r->world->stage.out, RING_PRODUCER) == 0;
	if (same)
		*len = ring_token(&a, r->token, sizeof(r->token));
	same = same && ring_attach(&b, &r->world->stage.out, RING_PRODUCER) == 0;
	if (!same)
		return false;
	*pos = a.pos;
	same = a.pos == b.pos && a.slot == b.slot;
	ring_detach(&a);
	ring_detach(&b);
	return same;
}

static void
reader_absorb(struct reader *r, uint64_t until)
{
	struct ring_record record;
	while (r->world->in.pos < until && ring_next(&r->world->in, &record) == 1) {
		r->seen += record.kind == RECORD_CHANGE;
		r->ended = record.kind != RECORD_CHANGE;
	}
}

static void
reader_check(struct reader *r, size_t len)
{
	struct order *o = order_new(ORDER_SEQUENCE, 100);
	if (!order_load(o, r->token, len)) {
		snprintf(r->error, sizeof(r->error), "a token of %zu bytes cannot be read", len);
	} else {
		int64_t next = order_partition(o, 0)->next;
		if (order_partition(o, 0)->hash != r->hash[next])
			snprintf(r->error, sizeof(r->error), "token: the hash at offset %lld",
				 (long long)next);
		if (r->seen != r->before[next] || order_whole(o) != r->ended)
			snprintf(r->error, sizeof(r->error),
				 "token: offset %lld, whole %d; records: %u of %u, ended %d",
				 (long long)next, order_whole(o), r->seen, r->before[next],
				 r->ended);
		r->inside += !order_whole(o);
	}
	r->looks++;
	order_free(o);
}

static void *
reader_run(void *arg)
{
	struct reader *r = arg;
	uint64_t pos = 0;
	size_t len = 0;
	for (;;) {
		bool done = atomic_load(&r->done);
		if (reader_look(r, &pos, &len) && pos > r->world->in.pos) {
			reader_absorb(r, pos);
			reader_check(r, len);
			ring_commit(&r->world->in, NULL, 0);
			atomic_store(&r->absorbed, pos);
		} else if (done && pos == r->world->in.pos) {
			return NULL;
		}
		sched_yield();
	}
}

/* Sizes of all kinds, so that the ring is full at every place of an event. */
static void
write_random_event(struct world *w, struct reader *r, unsigned i, uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	unsigned size = (unsigned)(*random >> 33) % (i % 50 == 0 ? 12000 : 900);
	char op = "cuud"[(*random >> 60) & 3];
	char *row = long_row(size);
	world_write(w, 10 + i / 5, op, op == 'c' ? "null" : row, op == 'd' ? "null" : row);
	free(row);
	r->before[i + 1] = r->before[i] + (op == 'u' ? 2 : 1);
	r->hash[i + 1] = world_hash(w);
}

Test(ingest_writer, a_token_stands_for_just_the_records_before_it)
{
	static struct world w;
	static struct reader r;
	pthread_t thread;
	uint64_t seed = 4711, random = seed;
	world_open(&w, KEYLESS, RING_BYTES_MIN, 0);
	r.world = &w;
	cr_assert_eq(pthread_create(&thread, NULL, reader_run, &r), 0);
	for (unsigned i = 0; i < EVENTS; i++) {
		write_random_event(&w, &r, i, &random);
		cr_assert(world_take(&w, i), "%s", w.source.poison.text);
		if (i % 100 != 42)
			continue;
		/* Whatever the two processors do: it looks at this one, inside a transaction. */
		writer_commit(&w.writer);
		while (atomic_load(&r.absorbed) < w.writer.ring.pos)
			sched_yield();
	}
	world_silence(&w, EVENTS);
	atomic_store(&r.done, true);
	pthread_join(thread, NULL);
	cr_assert_str_empty(r.error, "seed %llu: %s", (unsigned long long)seed, r.error);
	cr_assert_eq(r.seen, r.before[EVENTS]);
	cr_assert(r.ended);
	cr_assert_gt(r.looks, 20);
	cr_assert_gt(r.inside, 5, "no token stood inside a transaction: nothing is shown by this");
	world_close(&w);
}
