#include "ingest/kafka_config.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

static enum kafka_result
config_judge(rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return KAFKA_OK;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		return KAFKA_MISSING;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		return KAFKA_AWAY;
	default:
		return KAFKA_DENIED;
	}
}

static bool
config_is_compacted(const rd_kafka_ConfigResource_t *resource)
{
	size_t count;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
	for (size_t i = 0; i < count; i++) {
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") == 0)
			return value != NULL && strstr(value, "compact") != NULL;
	}
	return false;
}

static enum kafka_result
config_read(rd_kafka_event_t *event, bool *compacted)
{
	size_t count;
	if (event == NULL)
		return KAFKA_AWAY;
	if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return config_judge(rd_kafka_event_error(event));
	const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
	    rd_kafka_event_DescribeConfigs_result(event), &count);
	if (count != 1)
		return KAFKA_DENIED;
	*compacted = config_is_compacted(resources[0]);
	return config_judge(rd_kafka_ConfigResource_error(resources[0]));
}

enum kafka_result
kafka_topic_is_compacted(struct kafka *k, const char *topic, int timeout_ms, bool *compacted)
{
	rd_kafka_t *rk = kafka_handle(k);
	rd_kafka_ConfigResource_t *resource =
	    rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	*compacted = false;
	rd_kafka_DescribeConfigs(rk, &resource, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
	enum kafka_result result = config_read(event, compacted);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_ConfigResource_destroy(resource);
	return result;
}
