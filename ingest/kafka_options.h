/*
 * kafka_options.h - a server's options as a configuration of librdkafka: the user's, our defaults, and
 * those that the design rests on.
 */
#ifndef KAFKA_OPTIONS_H
#define KAFKA_OPTIONS_H

#include "common/pipeline.h"

struct rd_kafka_conf_s;
struct stage;

/* The stage's server; and one of its options, NULL when it is not given. */
const struct server *kafka_server(const struct stage *);
const struct option *kafka_option(const struct stage *, const char *name);

/*
 * A configuration (rd_kafka_conf_t) with everything in it, the caller's; NULL when something was
 * refused, which is all reported. Reads password files. `partitions`: that will be read, 0 for lookups only.
 */
struct rd_kafka_conf_s *kafka_configure(struct stage *, unsigned partitions);

#endif
