#include "ingest/warm.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/fault.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "ingest/kafka.h"

#define WARM_LOOKUP_MS 200 /* by so much a turn may be late when Kafka is slow */

/* Of all topics, with one for that of the transactions; 0: not known. */
static unsigned
warm_count(struct stage *s, struct kafka *k)
{
	const struct pipeline *p = s->pipeline;
	unsigned all = p->servers[s->server].transaction_topic != NULL ? 1 : 0;
	for (unsigned t = 0; t < p->table_count; t++) {
		int count;
		if (p->tables[t].server != s->server)
			continue;
		if (kafka_topic_partitions(k, p->tables[t].topic, WARM_LOOKUP_MS, &count) !=
		    KAFKA_OK)
			return 0;
		all += (unsigned)count;
		/* The turn may come meanwhile: then it is not kept waiting. */
		stage_poll(s, NULL, 0, 0);
		if (!s->held)
			return 0;
	}
	return all;
}

static bool
warm_serve(struct stage *s, struct kafka *k)
{
	struct pollfd fd = {.fd = kafka_fd(k), .events = POLLIN};
	stage_poll(s, &fd, 1, s->held ? -1 : 0);
	kafka_serve(k);
	return kafka_failure(k, NULL) == 0 && !kafka_is_away(k);
}

static const char *
warm_topic(const struct stage *s)
{
	const struct pipeline *p = s->pipeline;
	unsigned t = 0;
	while (t + 1 < p->table_count && p->tables[t].server != s->server)
		t++;
	return p->tables[t].topic;
}

struct kafka *
warm_up(struct stage *s, unsigned *partitions)
{
	if (!s->held)
		return NULL;
	(void)FAULT("ingest.held");
	struct kafka *k = kafka_new(s, *partitions);
	unsigned count = k != NULL ? warm_count(s, k) : 0;
	/* The share of each partition is an option of the client: another one, while there is time. */
	if (count > *partitions) {
		kafka_free(k);
		k = kafka_new(s, count);
		*partitions = count;
		count = k != NULL ? warm_count(s, k) : 0;
	}
	bool good = count > 0;
	if (good && s->held)
		kafka_meet_group(k, warm_topic(s), WARM_LOOKUP_MS);
	while (good && s->held)
		good = warm_serve(s, k);
	good = good && kafka_failure(k, NULL) == 0;
	if (!good) {
		kafka_free(k);
		k = NULL;
	}
	stage_wait_turn(s);
	return k;
}
