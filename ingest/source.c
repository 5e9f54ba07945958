#include "ingest/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/stage.h"

#define SOURCE_ASK_MS   200  /* for an answer of the broker */
#define SOURCE_DOUBT_MS 2000 /* between two looks at whether the source goes on */
#define SOURCE_MARKS    64u  /* messages of the transaction topic that are looked at in a row */

enum order_mode
source_mode(const struct server *server, int partitions)
{
	if (server->transaction_topic != NULL)
		return ORDER_METADATA;
	return partitions == 1 ? ORDER_SEQUENCE : ORDER_NONE;
}

const char *
source_mode_name(enum order_mode mode)
{
	switch (mode) {
	case ORDER_METADATA:
		return "metadata";
	case ORDER_SEQUENCE:
		return "sequence";
	case ORDER_NONE:
		break;
	}
	return "none";
}

const char *
source_promise(enum order_mode mode)
{
	switch (mode) {
	case ORDER_METADATA:
		return "whole transactions: the transaction topic says where each one ends";
	case ORDER_SEQUENCE:
		return "usually whole transactions: one ends where the next begins, or after "
		       "autocommit_duration_ms of silence; a transaction_topic makes it sure";
	case ORDER_NONE:
		break;
	}
	return "each event is a transaction of its own: several partitions (or Debezium before "
	       "1.5) without a transaction_topic";
}

const char *
source_topic(const struct source *s, unsigned p)
{
	if (p >= s->count)
		return s->server->transaction_topic;
	return s->stage->pipeline->tables[s->partitions[p].table].topic;
}

void
source_check_failure(struct source *s)
{
	const char *text;
	int code = kafka_failure(s->kafka, &text);
	if (code != 0)
		stage_fail(s->stage, (enum exit_code)code, "kafka.failed", "%s", text);
}

void
source_close(struct source *s)
{
	for (unsigned p = 0; p < s->count; p++)
		decoder_free(s->partitions[p].decoder);
	free(s->partitions);
	order_free(s->order);
	kafka_free(s->kafka);
	*s = (struct source){.count = 0};
}

/* ---- from a message to an event ------------------------------------------------------------ */

static uint64_t
hash_mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
	return h ^ (h >> 32);
}

static size_t
tail_size(size_t len)
{
	return len < SOURCE_HASHED ? len : SOURCE_HASHED;
}

static uint64_t
hash_tail(uint64_t h, const char *tail, size_t size)
{
	uint64_t word = 0;
	for (; size >= sizeof(word); tail += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, tail, sizeof(word));
		h = hash_mix(h, word);
	}
	word = 0;
	if (size > 0)
		memcpy(&word, tail, size);
	return hash_mix(h, word);
}

/* In steps of known sizes: what gcc makes of a size up to SOURCE_HASHED costs more than the hash. NULL has length 0. */
static void
tail_copy(char *tail, const char *bytes, size_t len)
{
	size_t size = tail_size(len);
	if (size == 0)
		return;
	bytes += len - size;
	for (; size >= 64; tail += 64, bytes += 64, size -= 64)
		memcpy(tail, bytes, 64);
	for (; size >= 8; tail += 8, bytes += 8, size -= 8)
		memcpy(tail, bytes, 8);
	for (; size > 0; size--)
		*tail++ = *bytes++;
}

static void
tail_keep(struct record_tail *r, const struct kafka_message *m)
{
	r->timestamp_ms = m->timestamp_ms;
	r->key_len = m->key_len;
	r->value_len = m->value_len;
	tail_copy(r->key, m->key, m->key_len);
	tail_copy(r->value, m->value, m->value_len);
}

/*
 * Only of the end: there an envelope differs from its neighbours. Positions in targets hold these hashes: they
 * must stay what they are.
 */
static uint64_t
tail_hash(const struct record_tail *r)
{
	uint64_t h = hash_mix(0, (uint64_t)r->timestamp_ms);
	h = hash_mix(h, r->key_len);
	h = hash_mix(h, r->value_len);
	h = hash_tail(h, r->key, tail_size(r->key_len));
	h = hash_tail(h, r->value, tail_size(r->value_len));
	return h != 0 ? h : 1;
}

uint64_t
source_hash(const struct kafka_message *m)
{
	struct record_tail tail;
	tail_keep(&tail, m);
	return tail_hash(&tail);
}

/* The head is the newest; what was taken last is the other one. */
static void
source_keep_tail(struct partition *part, const struct kafka_message *m, bool due)
{
	part->newest ^= 1;
	struct record_tail *tail = &part->tail[part->newest];
	tail->due = due;
	if (due)
		tail_keep(tail, m);
}

void
source_passed(struct source *s, unsigned p)
{
	struct partition *part = &s->partitions[p];
	part->offered = false;
	if (part->listed || !part->tail[part->newest].due)
		return;
	part->listed = true;
	part->next_due = s->due;
	s->due = p + 1;
}

void
source_settle(struct source *s)
{
	for (; s->due != 0; s->due = s->partitions[s->due - 1].next_due) {
		unsigned p = s->due - 1;
		struct partition *part = &s->partitions[p];
		struct record_tail *taken = &part->tail[part->newest ^ part->offered];
		if (taken->due)
			order_say_hash(s->order, (int)p, tail_hash(taken));
		taken->due = part->listed = false;
	}
}

/*
 * Whether a message that cannot be decoded carries the sequence of what was applied last, by its
 * bytes alone: then that transaction is not whole, and is not shown.
 */
static bool
source_same_sequence(const struct kafka_message *m, const struct watermark *before)
{
	static const char name[] = "\"sequence\":\"[\\\"";
	char text[32];
	if (!before->has_sequence || m->value == NULL)
		return false;
	const char *at = memmem(m->value, m->value_len, name, sizeof(name) - 1);
	int len = snprintf(text, sizeof(text), "%llu\\\"", (unsigned long long)before->sequence);
	if (at == NULL)
		return false;
	at += sizeof(name) - 1;
	return (size_t)(m->value + m->value_len - at) >= (size_t)len &&
	       memcmp(at, text, (size_t)len) == 0;
}

static const struct table *
source_table(const struct source *s, unsigned p)
{
	return &s->stage->pipeline->tables[s->partitions[p].table];
}

/* usable: an on_error of its table could let the pipeline go on. */
static void
source_poison(struct source *s, unsigned queue, const struct kafka_message *m, const char *reason,
	      bool usable)
{
	s->poison = (struct poison){.set = true, .queue = (int)queue, .offset = m->offset};
	if (queue < s->count)
		s->poison.same =
		    source_same_sequence(m, &order_partition(s->order, (int)queue)->mark);
	char *advice =
	    usable ? pipeline_go_on(s->stage->pipeline, source_table(s, queue)) : xstrdup("");
	snprintf(s->poison.text, sizeof(s->poison.text), "%s [%d] offset %lld: %s%s%s",
		 source_topic(s, queue), queue < s->count ? s->partitions[queue].partition : 0,
		 (long long)m->offset, reason, advice[0] != '\0' ? "; " : "", advice);
	free(advice);
	if (queue < s->count && order_is_history(s->order, (int)queue, m->offset))
		stage_fail(s->stage, EXIT_DATA, "ingest.malformed", "%s", s->poison.text);
	log_warn("ingest.malformed", "%s; finishing what came before it", s->poison.text);
}

const char *
source_start_anew(const struct source *s)
{
	static char *text;
	char *drop = pipeline_command(s->stage->pipeline, "drop", NULL);
	char *run = pipeline_command(s->stage->pipeline, "run", NULL);
	free(text);
	text = xasprintf(
	    "To start anew: %s; empty the target tables; let Debezium take a new snapshot "
	    "into new topics (delete the old ones); give server \"%s\" the option start "
	    "'earliest', for the group has offsets; %s",
	    drop, s->server->name, run);
	free(drop);
	free(run);
	return text;
}

static void
source_check_record(struct source *s, unsigned queue, struct record_check *check, int64_t offset,
		    uint64_t hash)
{
	if (offset < check->offset)
		return;
	if (offset == check->offset && hash != check->hash)
		stage_fail(s->stage, EXIT_CONFIG, "ingest.history",
			   "%s [%d] offset %lld is not the record that the target's position was "
			   "made from: the topic was created anew. Bring the old topic back. %s",
			   source_topic(s, queue),
			   queue < s->count ? s->partitions[queue].partition : 0, (long long)offset,
			   source_start_anew(s));
	check->offset = -1; /* or compaction has removed it */
}

void
source_check_hash(struct source *s, unsigned queue, int64_t offset, uint64_t hash)
{
	if (queue == s->count) {
		source_check_record(s, queue, &s->transaction_check, offset, hash);
		return;
	}
	source_check_record(s, queue, &s->partitions[queue].before, offset, hash);
	source_check_record(s, queue, &s->partitions[queue].durable, offset, hash);
}

/* Debezium before 1.5 has no source.sequence: silence would be the only end of a transaction. */
static void
source_check_sequences(struct source *s, struct partition *part)
{
	static uint8_t token[RING_TOKEN_MAX];
	struct pack pack;
	if (part->seen_sequences || part->event.place.kind != EVENT_CHANGE)
		return;
	part->seen_sequences = true;
	if (s->mode != ORDER_SEQUENCE || part->event.place.has_sequences)
		return;
	log_warn("ingest.mode",
		 "server %s: its events have no source.sequence (Debezium before 1.5): %s",
		 s->server->name, source_promise(ORDER_NONE));
	pack_init(&pack, token, sizeof(token));
	source_settle(s);
	order_save(s->order, &pack);
	struct order *order = order_new(ORDER_NONE, s->stage->pipeline->autocommit_duration_ms);
	if (pack.overflow || !order_load(order, token, pack_len(&pack)))
		stage_fail(s->stage, EXIT_RECOVER, "ingest.mode",
			   "the open transaction cannot be carried into mode none");
	order_free(s->order);
	s->order = order;
	s->mode = ORDER_NONE;
}

/* A message that cannot be read: whether the pipeline goes on behind it. */
static bool
source_salvage(struct source *s, unsigned p, const struct kafka_message *m, struct event *event)
{
	struct partition *part = &s->partitions[p];
	bool usable =
	    decoder_salvage(part->decoder, m->key, m->key_len, m->value, m->value_len, event);
	part->bad = *m;
	if (usable && source_table(s, p)->on_error != ON_ERROR_STOP)
		return true;
	source_poison(s, p, m, part->reason, usable);
	return false;
}

/* Returns false, and sets poison, when the message cannot be read and nobody is to go on. */
static bool
source_decode(struct source *s, unsigned p, const struct kafka_message *m, uint64_t hash)
{
	struct partition *part = &s->partitions[p];
	struct event event;
	if (decoder_read(part->decoder, m->key, m->key_len, m->value, m->value_len, &event,
			 part->reason, sizeof(part->reason)) != 0 &&
	    !source_salvage(s, p, m, &event))
		return false;
	event.place.offset = m->offset;
	event.place.hash = hash;
	part->event = event;
	part->message_bytes = m->key_len + m->value_len;
	part->timestamp_ms = m->timestamp_ms;
	return true;
}

bool
source_offer(struct source *s, unsigned p, const struct kafka_message *m)
{
	struct partition *part = &s->partitions[p];
	/* A replay holds records against the position as they come. */
	bool checked = part->durable.offset >= 0 || order_is_replaying(s->order);
	uint64_t hash = checked ? source_hash(m) : 0;
	flow_saw(&s->flow, m->timestamp_ms);
	s->followed = m->followed;
	if (part->durable.offset >= 0) /* first: a message of another topic may be anything */
		source_check_record(s, p, &part->durable, m->offset, hash);
	if (!source_decode(s, p, m, hash))
		return false;
	source_check_sequences(s, part);
	source_keep_tail(part, m, !checked);
	order_offer(s->order, (int)p, &part->event.place);
	(void)FAULT("ingest.offered");
	part->offered = true;
	return true;
}

/*
 * Fetching begins one record before the first that is wanted, where it is there still (compaction
 * may have removed it): it tells whether this is the log that the position was made from.
 */
static bool
source_prove_queue(struct source *s, unsigned queue, struct record_check *before)
{
	struct kafka_message m;
	int64_t end;
	enum kafka_next next = kafka_peek(s->kafka, queue, &m, &end);
	if (next == KAFKA_NOTHING)
		return false;
	if (next == KAFKA_MESSAGE && m.offset == before->offset) {
		source_check_hash(s, queue, m.offset, source_hash(&m));
		(void)FAULT("ingest.record_before");
		kafka_take(s->kafka, queue);
	}
	before->offset = -1;
	return true;
}

bool
source_prove(struct source *s)
{
	if (s->proven)
		return true;
	s->proven = true;
	for (unsigned queue = 0; queue <= s->count; queue++) {
		struct record_check *before =
		    queue < s->count ? &s->partitions[queue].before : &s->transaction_check;
		if (before->offset >= 0 && !source_prove_queue(s, queue, before))
			s->proven = false;
	}
	return s->proven;
}

unsigned
source_fetch(struct source *s, unsigned p, int64_t now_ms)
{
	struct partition *part = &s->partitions[p];
	struct kafka_message m;
	int64_t end;
	if (part->offered || !order_wants(s->order, (int)p))
		return 0;
	if (s->poison.set && s->poison.queue == (int)p) {
		if (!s->poison.same)
			order_idle(s->order, (int)p, s->poison.offset, now_ms);
		return 0;
	}
	switch (kafka_peek(s->kafka, p, &m, &end)) {
	case KAFKA_MESSAGE:
		break;
	case KAFKA_END:
		order_idle(s->order, (int)p, end, now_ms);
		return 0;
	case KAFKA_NOTHING:
	default:
		return 0;
	}
	return source_offer(s, p, &m);
}

void
source_taken(struct source *s, unsigned p)
{
	struct partition *part = &s->partitions[p];
	s->events++;
	s->bytes += part->message_bytes;
	source_passed(s, p);
	kafka_take(s->kafka, p);
	(void)FAULT("ingest.taken");
}

bool
source_offer_transaction(struct source *s, const struct kafka_message *m)
{
	struct transaction_event event;
	char error[512];
	flow_saw(&s->flow, m->timestamp_ms);
	if (transaction_read(s->stage->pipeline, s->stage->server, m->value, m->value_len, &event,
			     error, sizeof(error)) != 0) {
		source_poison(s, s->count, m, error, false);
		return false;
	}
	event.offset = m->offset;
	event.hash = source_hash(m);
	order_offer_transaction(s->order, &event);
	(void)FAULT("ingest.transaction");
	return true;
}

/* What librdkafka has read ahead does not tell: a full queue reads no more, however the topic grows. */
static void
source_look_beyond(struct source *s, int64_t now_ms)
{
	int64_t end;
	if (!order_doubts(s->order, now_ms) || now_ms < s->doubt_ms || kafka_is_away(s->kafka))
		return;
	s->doubt_ms = now_ms + SOURCE_DOUBT_MS;
	stage_beat(s->stage);
	if (kafka_log_end(s->kafka, s->count, SOURCE_ASK_MS, &end) == KAFKA_OK)
		order_more_transactions(s->order, end, now_ms);
	stage_beat(s->stage);
}

static unsigned
source_fetch_transaction(struct source *s, int64_t now_ms)
{
	struct kafka_message m;
	int64_t end;
	if (s->mode != ORDER_METADATA || (s->poison.set && s->poison.queue == (int)s->count))
		return 0;
	if (!order_wants_transaction(s->order)) {
		source_look_beyond(s, now_ms);
		return 0;
	}
	switch (kafka_peek(s->kafka, s->count, &m, &end)) {
	case KAFKA_MESSAGE:
		break;
	case KAFKA_END:
		s->transaction_exists = true;
		order_idle_transaction(s->order, end, now_ms);
		return 0;
	case KAFKA_NOTHING:
	default:
		if (!s->transaction_exists)
			order_idle_transaction(s->order, 0, now_ms);
		return 0;
	}
	s->transaction_exists = true;
	if (!source_offer_transaction(s, &m))
		return 0;
	kafka_take(s->kafka, s->count); /* the event borrows nothing */
	return 1;
}

unsigned
source_fetch_transactions(struct source *s, int64_t now_ms)
{
	unsigned offered = 0;
	while (offered < SOURCE_MARKS && source_fetch_transaction(s, now_ms) > 0)
		offered++;
	return offered;
}

unsigned
source_fetch_all(struct source *s, int64_t now_ms)
{
	unsigned offered = source_fetch_transactions(s, now_ms);
	for (unsigned p = 0; p < s->count; p++)
		offered += source_fetch(s, p, now_ms);
	return offered;
}
