#include "ingest/heartbeat.h"

#include <bsd/string.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "ingest/flow.h"
#include "ingest/kafka.h"

#define HEARTBEAT_RETRY_MS 10000
#define HEARTBEAT_TAIL     16   /* the last ones may be marks of Kafka's own transactions */
#define HEARTBEAT_TURN     4096 /* in one go, at most */

void
heartbeat_open(struct heartbeat *h, struct stage *stage)
{
	*h = (struct heartbeat){
	    .stage = stage,
	    .topic = stage->pipeline->servers[stage->server].heartbeat_topic,
	    .tail = HEARTBEAT_TAIL,
	};
}

static void
heartbeat_connect(struct heartbeat *h)
{
	h->kafka = kafka_new(h->stage, 0);
	if (h->kafka == NULL)
		return;
	kafka_start_at(h->kafka, kafka_add(h->kafka, h->topic, 0), KAFKA_TAIL(h->tail));
	(void)kafka_assign(h->kafka); /* when it fails, the next look finds out */
}

/* Retention, or a topic that is younger than the last look: whatever it is, the end is there. */
static void
heartbeat_fail(struct heartbeat *h, const char *text, int64_t now_ms)
{
	if (h->tail == 0 && strcmp(text, h->said) != 0) {
		log_warn("heartbeat.failed",
			 "the heartbeats of server %s cannot be read, tried again every %d s: %s",
			 h->stage->pipeline->servers[h->stage->server].name,
			 HEARTBEAT_RETRY_MS / 1000, text);
		strlcpy(h->said, text, sizeof(h->said));
	}
	h->retry_ms = h->tail == 0 ? now_ms + HEARTBEAT_RETRY_MS : now_ms;
	h->tail = 0;
	kafka_free(h->kafka);
	h->kafka = NULL;
}

unsigned
heartbeat_read(struct heartbeat *h, struct flow *flow, int64_t now_ms)
{
	struct kafka_message m;
	const char *text;
	unsigned count = 0;
	int64_t end;
	if (h->topic == NULL || (h->kafka == NULL && now_ms < h->retry_ms))
		return 0;
	if (h->kafka == NULL)
		heartbeat_connect(h);
	if (h->kafka == NULL) {
		h->retry_ms = now_ms + HEARTBEAT_RETRY_MS;
		return 0;
	}
	kafka_serve(h->kafka);
	while (count < HEARTBEAT_TURN && kafka_peek(h->kafka, 0, &m, &end) == KAFKA_MESSAGE) {
		flow_saw(flow, m.timestamp_ms);
		h->said[0] = '\0';
		count++;
		kafka_take(h->kafka, 0);
	}
	if (kafka_failure(h->kafka, &text) != 0)
		heartbeat_fail(h, text, now_ms);
	return count;
}
