#include "ingest/sample.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "ingest/debezium.h"
#include "ingest/kafka.h"

#define SAMPLE_MESSAGES                                                                            \
	16 /* tombstones, heartbeats and control records may be the very last ones */
#define SAMPLE_LOOKUP_MS 500

struct sample_reader {
	struct stage *stage;
	struct decoder *decoder;
	enum sample (*read)(struct sample_reader *, const struct kafka_message *);
};

static enum sample
sample_read_change(struct sample_reader *r, const struct kafka_message *m)
{
	struct event event;
	char error[512];
	if (decoder_read(r->decoder, m->key, m->key_len, m->value, m->value_len, &event, error,
			 sizeof(error)) != 0 ||
	    event.place.kind != EVENT_CHANGE)
		return SAMPLE_UNKNOWN;
	return event.place.has_sequences ? SAMPLE_YES : SAMPLE_NO;
}

static enum sample
sample_read_end(struct sample_reader *r, const struct kafka_message *m)
{
	struct transaction_event event;
	char error[512];
	if (transaction_read(r->stage->pipeline, r->stage->server, m->value, m->value_len, &event,
			     error, sizeof(error)) != 0 ||
	    event.status != TRANSACTION_END)
		return SAMPLE_UNKNOWN;
	return event.has_lsn ? SAMPLE_YES : SAMPLE_NO;
}

/* The newest message that says something; `last` is the offset of the last one there is. */
static enum sample
sample_queue(struct sample_reader *r, struct kafka *k, int64_t last, int64_t deadline_ms)
{
	enum sample answer = SAMPLE_UNKNOWN;
	struct pollfd fd = {.fd = kafka_fd(k), .events = POLLIN};
	while (clock_monotonic_ms() < deadline_ms && kafka_failure(k, NULL) == 0) {
		struct kafka_message m;
		int64_t end;
		kafka_serve(k);
		switch (kafka_peek(k, 0, &m, &end)) {
		case KAFKA_MESSAGE:
			break;
		case KAFKA_END:
			return answer;
		case KAFKA_NOTHING:
		default:
			stage_poll(r->stage, &fd, 1, SAMPLE_LOOKUP_MS);
			continue;
		}
		enum sample said = r->read(r, &m);
		bool done = m.offset >= last;
		if (said != SAMPLE_UNKNOWN)
			answer = said;
		kafka_take(k, 0);
		if (done)
			break;
	}
	return answer;
}

static enum sample
sample_topic(struct sample_reader *r, const char *topic, int64_t deadline_ms)
{
	enum sample answer = SAMPLE_UNKNOWN;
	int64_t low, high;
	struct kafka *k = kafka_new(r->stage, 1);
	if (k == NULL)
		return SAMPLE_UNKNOWN;
	if (kafka_topic_limits(k, topic, 0, SAMPLE_LOOKUP_MS, &low, &high) == KAFKA_OK &&
	    high > low) {
		kafka_start_at(k, kafka_add(k, topic, 0),
			       high - low > SAMPLE_MESSAGES ? high - SAMPLE_MESSAGES : low);
		if (kafka_assign(k) == 0)
			answer = sample_queue(r, k, high - 1, deadline_ms);
	}
	kafka_free(k);
	return answer;
}

enum sample
sample_sequences(struct stage *stage, unsigned table, int64_t deadline_ms)
{
	const struct table *t = &stage->pipeline->tables[table];
	struct sample_reader r = {stage, decoder_new(t), sample_read_change};
	decoder_follow(r.decoder, &stage->pipeline->servers[t->server].connector);
	enum sample answer = sample_topic(&r, t->topic, deadline_ms);
	decoder_free(r.decoder);
	return answer;
}

enum sample
sample_transaction_lsns(struct stage *stage, int64_t deadline_ms)
{
	struct sample_reader r = {stage, NULL, sample_read_end};
	return sample_topic(&r, stage->pipeline->servers[stage->server].transaction_topic,
			    deadline_ms);
}
