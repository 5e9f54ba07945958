/*
 * main.c - mutations [ROUNDS [SEED]]: messages of every capture in tests/data, damaged in every way
 * that mutations.h names, and given to the decoder: as its first message and behind a good one.
 *
 * What it says of each must be one of
 *   refused   -1 and one clear sentence;
 *   right     of harmless damage and of what is no good JSON any more (then it lies where nobody
 *             looks): the very result of the whole message. Of what is good JSON: the very result
 *             of that JSON as yajl writes it again, with nothing missing that the result is made of.
 * Everything else is wrong. ROUNDS (3) is how often each message is damaged in each way. Prints its
 * counts and ends with a line "N passed, N failed": one for each capture.
 */
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/pack.h"
#include "ingest/debezium.h"
#include "tests/mutations/mutations.h"
#include "tests/unit/capture.h"
#include "tests/unit/truth.h"

#define SAMPLES       24
#define LOOKED_AT     2000 /* messages at the beginning of a capture, from which samples are taken */
#define RESULT_BYTES  (1u << 18)
#define INPUT_SECONDS 20 /* one that takes longer hangs */
#define SHOWN         5

struct subject {
	char *path;
	char *columns; /* NULL: of a transaction topic */
	struct connector connector;
};

struct sample {
	struct text key, value;
	bool has_key;
};

struct result {
	int code;
	char error[512];
	uint8_t *bytes;
	size_t len;
};

struct count {
	uint64_t inputs, right, refused, wrong;
};

#define INPUTS_LEAST 20000

struct trial { /* one damaged message */
	struct subject *subject;
	struct table *table;
	const struct sample *whole, *damaged;
	const struct result *expected; /* of the whole one */
	enum damage damage;
	const char *verdict; /* why it is wrong */
};

/* --- results --- */

static void
result_row(struct result *r, const struct value *values, unsigned count)
{
	struct pack p;

	pack_init(&p, r->bytes + r->len, RESULT_BYTES - r->len);
	row_pack(&p, values, count);
	if (p.overflow)
		abort();
	r->len += pack_len(&p);
}

static void
result_number(struct result *r, uint64_t n)
{
	memcpy(r->bytes + r->len, &n, sizeof(n));
	r->len += sizeof(n);
}

static void
result_event(struct result *r, const struct table *t, const struct event *ev)
{
	const struct event_place *p = &ev->place;
	const uint64_t numbers[] = {
	    (uint64_t)p->kind,
	    (uint64_t)p->snapshot,
	    p->has_sequence,
	    p->has_sequences,
	    p->has_lsn,
	    p->sequence,
	    p->lsn,
	    p->xid,
	    (uint64_t)p->order,
	    (uint64_t)p->source_ms,
	    (uint64_t)(unsigned char)ev->op,
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		result_number(r, numbers[i]);
	if (p->kind == EVENT_CHANGE && ev->has_before)
		result_row(r, ev->before, t->column_count);
	if (p->kind == EVENT_CHANGE && ev->has_after)
		result_row(r, ev->after, t->column_count);
	if (p->kind != EVENT_NOTHING)
		result_row(r, ev->key, t->key_count);
}

static void
decode(struct decoder *d, const struct table *t, const struct sample *s, struct result *r)
{
	struct event ev;

	r->len = 0;
	r->error[0] = '\0';
	r->code = decoder_read(d, s->has_key ? s->key.s : NULL, s->key.len, s->value.s,
			       s->value.len, &ev, r->error, sizeof(r->error));
	if (r->code == 0)
		result_event(r, t, &ev);
}

static void
decode_transaction(struct table *t, const struct sample *s, struct result *r)
{
	struct pipeline pipeline = {.tables = t, .table_count = 1};
	struct transaction_event e;

	r->len = 0;
	r->error[0] = '\0';
	r->code = transaction_read(&pipeline, 0, s->value.s, s->value.len, &e, r->error,
				   sizeof(r->error));
	const uint64_t numbers[] = {
	    e.status, e.xid, e.lsn, e.has_lsn, e.count[0], e.has_counts, (uint64_t)e.source_ms};
	for (size_t i = 0; r->code == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		result_number(r, numbers[i]);
}

/* By a decoder that has read nothing yet, or the whole message. */
static void
read_sample(const struct trial *trial, const struct sample *s, bool warm, struct result *r)
{
	if (trial->subject->columns == NULL) {
		decode_transaction(trial->table, s, r);
		return;
	}
	struct decoder *d = decoder_new(trial->table);
	decoder_follow(d, &trial->subject->connector);
	if (warm)
		decode(d, trial->table, trial->whole, r);
	decode(d, trial->table, s, r);
	decoder_free(d);
}

static bool
result_is(const struct result *r, const struct result *expected)
{
	return r->code == 0 && expected->code == 0 && r->len == expected->len &&
	       memcmp(r->bytes, expected->bytes, r->len) == 0;
}

/* --- judgement --- */

/* What a result is made of, where the whole message has it. */
static bool
nothing_is_missing(const struct trial *trial, const struct reading *damaged)
{
	static const char *const needed[] = {
	    "op",           "source",          "source.lsn", "source.snapshot",
	    "source.ts_ms", "source.sequence", "status",     "id",
	};
	struct reading whole;
	bool there = true;

	reading_make(&whole, &trial->whole->value);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		there =
		    there && (!reading_has(&whole, needed[i]) || reading_has(damaged, needed[i]));
	reading_free(&whole);
	return there;
}

/* The decoder took it: is that right? */
static bool
judge_taken(struct trial *trial, const struct result *found)
{
	static uint8_t bytes[RESULT_BYTES];
	struct result again = {.bytes = bytes};
	struct reading value, key = {.good = true};
	struct sample plain;
	bool right = false;

	reading_make(&value, &trial->damaged->value);
	if (trial->damaged->has_key)
		reading_make(&key, &trial->damaged->key);
	if (!value.good || !key.good || damage_is_harmless(trial->damage)) {
		right = result_is(found, trial->expected);
		trial->verdict = "another result than that of the whole message";
	} else if (!nothing_is_missing(trial, &value)) {
		trial->verdict = "taken without a member that its result is made of";
	} else {
		plain.value = text_copy(value.plain, value.len);
		plain.has_key = trial->damaged->has_key;
		plain.key = text_copy(key.plain, key.len);
		read_sample(trial, &plain, false, &again);
		right = result_is(found, &again);
		trial->verdict = "another result than that of the same JSON written plainly";
		free(plain.value.s);
		free(plain.key.s);
	}
	reading_free(&value);
	reading_free(&key);
	return right;
}

static bool
judge_refused(struct trial *trial, const struct result *found)
{
	trial->verdict = "harmless, but refused";
	if (damage_is_harmless(trial->damage))
		return false;
	trial->verdict = "the sentence is no clear line";
	if (!sentence_is_clear(found->error))
		return false;
	trial->verdict = "the sentence does not say where";
	return strstr(found->error, "malformed") == NULL ||
	       strstr(found->error, " at byte ") != NULL;
}

static void
trial_show(const struct trial *trial, const struct result *found)
{
	const struct text *value = &trial->damaged->value;
	size_t at = 0;

	while (at < value->len && at < trial->whole->value.len &&
	       value->s[at] == trial->whole->value.s[at])
		at++;
	size_t from = at > 40 ? at - 40 : 0;
	printf("%s: %s: %s\n  at byte %zu of %zu: %.*s\n  said: %d %s\n", trial->subject->path,
	       damage_name(trial->damage), trial->verdict, at, value->len,
	       (int)(value->len - from < 90 ? value->len - from : 90), value->s + from, found->code,
	       found->error);
}

static void
on_alarm(int signal)
{
	static const char line[] = "not ok: the decoder hangs; the capture is the one after the "
				   "last that was printed\n";
	(void)signal;
	(void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
	_exit(1);
}

static void
trial_run(struct trial *trial, bool warm, struct count *count)
{
	static uint8_t bytes[RESULT_BYTES];
	struct result found = {.bytes = bytes};

	alarm(INPUT_SECONDS);
	read_sample(trial, trial->damaged, warm, &found);
	alarm(0);
	bool taken = found.code == 0;
	bool good = taken ? judge_taken(trial, &found) : judge_refused(trial, &found);
	count->inputs++;
	count->right += good && taken;
	count->refused += good && !taken;
	count->wrong += !good;
	if (!good && count->wrong <= SHOWN)
		trial_show(trial, &found);
}

/* --- subjects --- */

static void
sample_free(struct sample *s)
{
	free(s->key.s);
	free(s->value.s);
}

static size_t
samples_read(const char *path, struct sample *samples)
{
	struct capture *c = capture_open(path);
	struct message m;
	size_t count = 0, seen = 0, values = 0;

	while (seen++ < LOOKED_AT && capture_next(c, &m))
		values += m.value != NULL;
	capture_close(c);
	size_t step = values > SAMPLES ? values / SAMPLES : 1;
	c = capture_open(path);
	for (seen = 0; count < SAMPLES && capture_next(c, &m);)
		if (m.value != NULL && seen++ % step == 0)
			samples[count++] = (struct sample){
			    .key = text_copy(m.key, m.key ? m.key_len : 0),
			    .value = text_copy(m.value, m.value_len),
			    .has_key = m.key != NULL,
			};
	capture_close(c);
	return count;
}

/* Mostly the value, sometimes the key. */
static bool
sample_damage(const struct sample *s, enum damage damage, uint64_t *state, struct sample *out)
{
	bool key = s->has_key && s->key.len > 0 && damage != DAMAGE_UNUSED && chance(state, 6) == 0;
	struct text damaged;

	if (!damage_make(damage, key ? &s->key : &s->value, state, &damaged))
		return false;
	*out = (struct sample){
	    .key = key ? damaged : text_copy(s->key.s, s->key.len),
	    .value = key ? text_copy(s->value.s, s->value.len) : damaged,
	    .has_key = s->has_key,
	};
	return true;
}

static void
sample_try(struct trial *trial, unsigned rounds, uint64_t *state, struct count *count)
{
	struct sample damaged;

	for (enum damage damage = 0; damage < DAMAGES; damage++) {
		for (unsigned round = 0; round < rounds; round++) {
			if (!sample_damage(trial->whole, damage, state, &damaged))
				continue;
			trial->damage = damage;
			trial->damaged = &damaged;
			trial_run(trial, chance(state, 2), count);
			sample_free(&damaged);
		}
	}
}

/* False when something was wrong, or the test would not have seen it. */
static bool
subject_run(struct subject *subject, unsigned rounds, uint64_t seed, struct count *total)
{
	static uint8_t bytes[RESULT_BYTES];
	struct sample samples[SAMPLES];
	struct count count = {0};
	size_t whole = 0, found = samples_read(subject->path, samples);
	struct table *table = truth_declare(subject->columns ? subject->columns : "id:integer:key");
	uint64_t state = seed;

	for (size_t i = 0; i < found; i++) {
		struct result expected = {.bytes = bytes};
		struct trial trial = {subject, table, &samples[i], NULL, &expected, 0, NULL};
		read_sample(&trial, &samples[i], false, &expected);
		whole += expected.code == 0;
		if (expected.code == 0)
			sample_try(&trial, rounds, &state, &count);
		sample_free(&samples[i]);
	}
	truth_free_table(table);
	bool passed =
	    count.wrong == 0 && count.right > count.inputs / 20 && count.refused > count.inputs / 4;
	printf("%-50s messages=%zu inputs=%" PRIu64 " right=%" PRIu64 " refused=%" PRIu64
	       " wrong=%" PRIu64 "%s\n",
	       subject->path, whole, count.inputs, count.right, count.refused, count.wrong,
	       passed ? "" : " not ok");
	total->inputs += count.inputs;
	total->right += count.right;
	total->refused += count.refused;
	total->wrong += count.wrong;
	return passed;
}

struct subjects {
	struct subject *at;
	size_t count;
};

static void
subjects_add(struct subjects *s, const char *path, const char *columns, struct connector connector)
{
	s->at = xreallocarray(s->at, s->count + 1, sizeof(*s->at));
	s->at[s->count++] = (struct subject){
	    .path = xstrdup(path),
	    .columns = columns ? xstrdup(columns) : NULL,
	    .connector = connector,
	};
}

static const struct subject *
subjects_find(const struct subjects *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->at[i].path, path) == 0)
			return &s->at[i];
	return NULL;
}

/* The decoder's golden tests say how the table of a capture is declared. */
static void
subjects_add_case(struct subjects *s, const char *path)
{
	FILE *in = fopen(path, "re");
	char *capture = NULL, *columns = NULL, *options = NULL;
	size_t capture_size = 0, columns_size = 0, options_size = 0;

	if (in == NULL || getline(&capture, &capture_size, in) < 0 ||
	    getline(&columns, &columns_size, in) < 0)
		abort();
	capture[strcspn(capture, "\n")] = columns[strcspn(columns, "\n")] = '\0';
	bool given = getline(&options, &options_size, in) > 0;
	if (given)
		options[strcspn(options, "\n")] = '\0';
	subjects_add(s, capture, columns, truth_connector(given ? options : NULL));
	free(options);
	free(capture);
	free(columns);
	fclose(in);
}

/* What no golden test reads: transaction topics, and types_full where its twin is read. */
static bool
subjects_add_rest(struct subjects *s, char *path)
{
	const struct subject *twin = NULL;

	if (subjects_find(s, path) != NULL)
		return true;
	char *full = strstr(path, "types_full");
	if (full != NULL) {
		char *name = xasprintf("%.*stypes%s", (int)(full - path), path, full + 10);
		twin = subjects_find(s, name);
		free(name);
	}
	if (twin == NULL && strstr(path, "transaction") == NULL) {
		printf("not ok %s: tests/golden/changes has no case that declares its table\n",
		       path);
		return false;
	}
	subjects_add(s, path, twin ? twin->columns : NULL,
		     twin ? twin->connector : (struct connector){0});
	return true;
}

static bool
subjects_find_all(struct subjects *s)
{
	glob_t files;
	bool complete = true;

	if (glob("tests/golden/changes/*.case", 0, NULL, &files) != 0)
		return false;
	for (size_t i = 0; i < files.gl_pathc; i++)
		subjects_add_case(s, files.gl_pathv[i]);
	globfree(&files);
	if (glob("tests/data/*/*.jsonl*", 0, NULL, &files) != 0)
		return false;
	for (size_t i = 0; i < files.gl_pathc; i++)
		complete = subjects_add_rest(s, files.gl_pathv[i]) && complete;
	globfree(&files);
	return complete;
}

int
main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct subjects subjects = {0};
	struct count total = {0};
	unsigned passed = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, on_alarm);
	if (!subjects_find_all(&subjects))
		failed++;
	for (size_t i = 0; i < subjects.count; i++) {
		bool good = subject_run(&subjects.at[i], rounds, seed + i, &total);
		passed += good;
		failed += !good;
		free(subjects.at[i].path);
		free(subjects.at[i].columns);
	}
	free(subjects.at);
	if (total.inputs < INPUTS_LEAST) {
		printf("not ok fewer than %d inputs\n", INPUTS_LEAST);
		failed++;
	}
	printf("mutations: inputs=%" PRIu64 " right=%" PRIu64 " refused=%" PRIu64 " wrong=%" PRIu64
	       "\n%u passed, %u failed\n",
	       total.inputs, total.right, total.refused, total.wrong, passed, failed);
	return failed > 0;
}
