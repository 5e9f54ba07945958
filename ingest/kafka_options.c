#include "ingest/kafka_options.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"
#include "common/stage.h"
#include "ingest/kafka.h"

#define KAFKA_QUEUES_BYTES  (8u * 1024 * 1024) /* prefetched in all, unless the user says so */
#define KAFKA_FETCH_BYTES   (4096u * 1024)     /* one fetch of one partition, at most */
#define KAFKA_PARTITION_MIN (64u * 1024)

struct property {
	const char *name, *value;
};

/* What the design rests on; the user cannot change these. */
static const struct property kafka_own[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"enable.partition.eof", "true"},
    {"check.crcs", "true"},
    {"log.queue", "true"},
    {"isolation.level", "read_committed"},
};

static const struct property kafka_defaults[] = {
    {"socket.nagle.disable", "true"},     {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "1000"}, {"allow.auto.create.topics", "false"},
    {"fetch.error.backoff.ms", "100"},
};

const struct server *
kafka_server(const struct stage *s)
{
	return &s->pipeline->servers[s->server];
}

const struct option *
kafka_option(const struct stage *s, const char *name)
{
	const struct server *server = kafka_server(s);
	for (unsigned i = 0; i < server->option_count; i++)
		if (strcmp(server->options[i].name, name) == 0)
			return &server->options[i];
	return NULL;
}

/* Defaults are ours: a version of librdkafka that lacks one goes without. */
static void
kafka_set_default(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];
	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		log_debug("kafka.option", "%s", error);
}

__attribute__((format(printf, 3, 4))) static void
kafka_set_default_format(rd_kafka_conf_t *conf, const char *name, const char *fmt, ...)
{
	char value[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	kafka_set_default(conf, name, value);
}

/*
 * How long the broker may keep an empty fetch. The end of a log is known from one, so it is a part
 * of autocommit_duration_ms. And a fetch under way for another partition of the same broker delays
 * the next one by as much: with several partitions it must be short.
 */
static unsigned
kafka_fetch_wait(const struct stage *s, unsigned partitions)
{
	int64_t half = s->pipeline->autocommit_duration_ms / 2;
	if (partitions == 0)
		return 500;
	if (partitions > 1 || half < 10)
		return 10;
	return half < 50 ? (unsigned)half : 50;
}

static void
kafka_set_defaults(rd_kafka_conf_t *conf, const struct stage *s, unsigned partitions)
{
	unsigned each = KAFKA_QUEUES_BYTES / (partitions > 0 ? partitions : 1);
	if (each < KAFKA_PARTITION_MIN)
		each = KAFKA_PARTITION_MIN;
	for (size_t i = 0; i < sizeof(kafka_defaults) / sizeof(*kafka_defaults); i++)
		kafka_set_default(conf, kafka_defaults[i].name, kafka_defaults[i].value);
	kafka_set_default_format(conf, "client.id", "tallyd-%s", s->pipeline->name);
	kafka_set_default_format(conf, "group.id", "%s", s->pipeline->name);
	kafka_set_default_format(conf, "queued.max.messages.kbytes", "%u", each / 1024);
	kafka_set_default_format(conf, "fetch.message.max.bytes", "%u",
				 each < KAFKA_FETCH_BYTES ? each : KAFKA_FETCH_BYTES);
	kafka_set_default(conf, "fetch.queue.backoff.ms", "1");
	kafka_set_default_format(conf, "fetch.wait.max.ms", "%u", kafka_fetch_wait(s, partitions));
}

/* A pipeline file may be checked offline on a machine that lacks what it names. */
static bool
kafka_cannot_read(struct stage *s, const struct option *o)
{
	stage_report(s, s->offline ? LOG_WARN : LOG_ERROR, &o->place, "%s: %s: %s", o->name,
		     o->value, strerror(errno));
	return s->offline;
}

/* librdkafka would call it a "system lib". */
static bool
kafka_check_file(struct stage *s, const struct option *o)
{
	size_t len = strlen(o->name);
	if (strncmp(o->name, "ssl.", 4) != 0 || len < 9 ||
	    strcmp(o->name + len - 9, ".location") != 0 || o->value[0] == '\0' ||
	    strcmp(o->value, "probe") == 0 || access(o->value, R_OK) == 0)
		return true;
	return kafka_cannot_read(s, o);
}

static bool
kafka_set_secret(rd_kafka_conf_t *conf, struct stage *s, const struct option *o)
{
	char secret[SECRET_MAX], error[256];
	if (!secret_read_line(o->value, secret, sizeof(secret)))
		return kafka_cannot_read(s, o);
	bool good = rd_kafka_conf_set(conf, "sasl.password", secret, error, sizeof(error)) ==
		    RD_KAFKA_CONF_OK;
	explicit_bzero(secret, sizeof(secret));
	if (!good)
		stage_report(s, LOG_ERROR, &o->place, "%s: %s", o->name, error);
	return good;
}

static const struct property *
kafka_find_own(const char *name)
{
	for (size_t i = 0; i < sizeof(kafka_own) / sizeof(*kafka_own); i++)
		if (strcmp(kafka_own[i].name, name) == 0)
			return &kafka_own[i];
	return NULL;
}

/* False, and one report, when librdkafka refuses it. Its own text never shows the value whole. */
static bool
kafka_set_option(rd_kafka_conf_t *conf, struct stage *s, const struct option *o)
{
	const struct property *own = kafka_find_own(o->name);
	char error[256];
	if (own != NULL) {
		if (strcasecmp(own->value, o->value) != 0)
			stage_report(s, LOG_WARN, &o->place,
				     "option \"%s\" is set by tallyd itself and ignored here: it "
				     "commits what the target holds, and starts where option "
				     "start says",
				     o->name);
		return true;
	}
	if (strcmp(o->name, "sasl.password_file") == 0)
		return kafka_set_secret(conf, s, o);
	if (!kafka_check_file(s, o))
		return false;
	switch (rd_kafka_conf_set(conf, o->name, o->value, error, sizeof(error))) {
	case RD_KAFKA_CONF_OK:
		return true;
	case RD_KAFKA_CONF_UNKNOWN:
		stage_report(s, LOG_ERROR, &o->place,
			     "librdkafka %s knows no property \"%s\": see its CONFIGURATION.md",
			     rd_kafka_version_str(), o->name);
		return false;
	case RD_KAFKA_CONF_INVALID:
	default:
		stage_report(s, LOG_ERROR, &o->place, "option \"%s\": %s", o->name, error);
		return false;
	}
}

struct rd_kafka_conf_s *
kafka_configure(struct stage *s, unsigned partitions)
{
	const struct server *server = kafka_server(s);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool good = true;
	kafka_set_defaults(conf, s, partitions);
	for (unsigned i = 0; i < server->option_count; i++)
		good = kafka_set_option(conf, s, &server->options[i]) && good;
	for (size_t i = 0; i < sizeof(kafka_own) / sizeof(*kafka_own); i++)
		kafka_set_default(conf, kafka_own[i].name, kafka_own[i].value);
	if (!kafka_option(s, "bootstrap.servers") && !kafka_option(s, "metadata.broker.list")) {
		stage_report(s, LOG_ERROR, &server->place,
			     "server \"%s\" needs option \"bootstrap.servers\" 'host:port'",
			     server->name);
		good = false;
	}
	if (good)
		return conf;
	rd_kafka_conf_destroy(conf);
	return NULL;
}

bool
kafka_check_options(struct stage *s)
{
	rd_kafka_conf_t *conf = kafka_configure(s, 1);
	if (conf == NULL)
		return false;
	rd_kafka_conf_destroy(conf);
	return true;
}
