/*
 * Broken messages: cuts, doubled and lost pieces, flipped bytes of real ones. The decoder must
 * refuse with a sentence or accept, and never read outside the message (each stands in a heap
 * block of its own size, so ASan sees it).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"
#include "tests/unit/capture.h"
#include "tests/unit/truth.h"

#define SAMPLES 24
#define ROUNDS  6000
#define MIX     UINT64_C(0x9E3779B97F4A7C15)

static uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += MIX;

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

struct text {
	char *s;
	size_t len;
};

static struct text
text_copy(const char *s, size_t len)
{
	struct text t = {.s = xcalloc(len ? len : 1, 1), .len = len};

	if (len > 0)
		memcpy(t.s, s, len);
	return t;
}

/* s with [from, from + n) replaced by m bytes of `with`. */
static struct text
text_splice(struct text s, size_t from, size_t n, const char *with, size_t m)
{
	struct text t = {.len = s.len - n + m};

	t.s = xcalloc(t.len ? t.len : 1, 1);
	memcpy(t.s, s.s, from);
	if (m > 0)
		memcpy(t.s + from, with, m);
	memcpy(t.s + from + m, s.s + from + n, s.len - from - n);
	return t;
}

static struct text
text_mutate(struct text s, uint64_t *state)
{
	static const char sharp[] = "{}[]\",:\\0-eu\x80\xFF\n=";
	size_t at = s.len ? random_next(state) % s.len : 0;
	size_t n = s.len ? random_next(state) % (s.len - at < 40 ? s.len - at : 40) : 0;
	char byte = sharp[random_next(state) % (sizeof(sharp) - 1)];

	switch (s.len ? random_next(state) % 6 : 0) {
	case 0:
		return text_copy(s.s, at);
	case 1:
		return text_splice(s, at, n, NULL, 0);
	case 2:
		return text_splice(s, at, 0, s.s + at, n);
	case 3:
		return text_splice(s, at, 1, &byte, 1);
	case 4:
		byte = (char)random_next(state);
		return text_splice(s, at, 1, &byte, 1);
	default:
		return text_splice(s, at, 0, &byte, 1);
	}
}

struct sample {
	struct text key, value;
};

/* Every step-th message that has a value. */
static size_t
samples_read(const char *path, size_t step, struct sample *samples)
{
	struct capture *c = capture_open(path);
	struct message m;
	size_t count = 0, seen = 0;

	while (count < SAMPLES && capture_next(c, &m))
		if (m.value && seen++ % step == 0)
			samples[count++] = (struct sample){text_copy(m.key, m.key ? m.key_len : 0),
							   text_copy(m.value, m.value_len)};
	capture_close(c);
	return count;
}

/* Reads each byte of what may be used; whether there is something. */
static bool
touch(const struct table *t, const struct event *ev)
{
	uint64_t hash = 0;

	cr_assert(ev->bad);
	cr_assert(ev->place.kind == EVENT_CHANGE ||
		  !(ev->has_key || ev->has_before || ev->has_after));
	for (unsigned i = 0; i < t->column_count; i++) {
		if (ev->has_before)
			hash = value_hash(&ev->before[i], hash);
		if (ev->has_after)
			hash = value_hash(&ev->after[i], hash);
	}
	for (unsigned i = 0; ev->has_key && i < t->key_count; i++)
		hash = value_hash(&ev->key[i], hash);
	return hash != 0;
}

/* How many that were refused had something that may be used. */
static size_t
mutate_capture(const char *path, const char *columns, size_t step)
{
	struct sample samples[SAMPLES] = {{{0}, {0}}};
	size_t count = samples_read(path, step, samples), refused = 0, salvaged = 0;
	struct table *t = truth_declare(columns);
	struct decoder *d = decoder_new(t);
	struct transaction_event transaction;
	struct pipeline pipeline = {.tables = t, .table_count = 1};
	struct event ev;

	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t state = round * 7919;
		char error[256] = "";
		struct sample s = samples[random_next(&state) % count];
		struct text value = text_mutate(s.value, &state), key = text_mutate(s.key, &state);
		/* Two broken in a row would seldom meet the schema kept by a good one. */
		if (round % 2 == 0)
			decoder_read(d, s.key.s, s.key.len, s.value.s, s.value.len, &ev, error,
				     sizeof(error));
		error[0] = '\0';
		if (decoder_read(d, key.s, key.len, value.s, value.len, &ev, error,
				 sizeof(error)) != 0) {
			refused++;
			cr_assert_gt(strlen(error), 10, "%s, round %lu: no sentence", path,
				     (unsigned long)round);
			if (decoder_salvage(d, key.s, key.len, value.s, value.len, &ev))
				salvaged += touch(t, &ev);
		}
		transaction_read(&pipeline, 0, value.s, value.len, &transaction, error,
				 sizeof(error));
		free(value.s);
		free(key.s);
	}
	cr_assert_gt(refused, ROUNDS / 4);
	for (size_t i = 0; i < count; i++) {
		free(samples[i].key.s);
		free(samples[i].value.s);
	}
	decoder_free(d);
	truth_free_table(t);
	return salvaged;
}

#define TYPES                                                                                      \
	"id:integer:key c_bigint:bigint c_num204:numeric(20,4) c_num50:numeric(5,0) "              \
	"c_num:numeric c_bool:boolean c_text:text c_ts:timestamp c_tstz:timestamptz c_json:text"

Test(mutations, values_with_the_schema_block)
{
	mutate_capture("tests/data/values-insert/schema.jsonl.zst", "value:integer:notnull", 1);
}

Test(mutations, keyed_values_as_bare_json)
{
	cr_assert_gt(
	    mutate_capture("tests/data/restart/kill.jsonl.zst", "id:integer:key value:integer", 50),
	    0);
}

Test(mutations, types_with_the_schema_block)
{
	mutate_capture("tests/data/types/ty1.types.jsonl.zst", TYPES, 2);
}

Test(mutations, types_as_bare_json)
{
	mutate_capture("tests/data/types/ty4.types_full.jsonl.zst", TYPES, 2);
}

Test(mutations, transactions)
{
	mutate_capture("tests/data/values-mixed/transaction.jsonl.zst", "id:integer:key", 3);
}
