/*
 * kafka_config.h - what the brokers say of how a topic is kept.
 */
#ifndef KAFKA_CONFIG_H
#define KAFKA_CONFIG_H

#include <stdbool.h>

#include "ingest/kafka.h"

/*
 * Whether the topic is compacted. Blocks for at most timeout_ms. KAFKA_DENIED: it may not be asked (the right
 * DescribeConfigs is missing, or the broker is too old), which is no failure.
 */
enum kafka_result kafka_topic_is_compacted(struct kafka *, const char *topic, int timeout_ms,
					   bool *compacted);

#endif
