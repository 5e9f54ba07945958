/*
 * raw.c - the ceiling: consume topics with librdkafka and do nothing with the messages.
 *
 *   raw --brokers H:P --topic T... [--set NAME=VALUE]...
 *
 * Assigns all partitions at their beginning, takes batches until each has come to the end that
 * the log had at the start, and prints messages, MB, seconds since the first message, the longest
 * pause between two batches, CPU seconds of the whole process and its peak memory in kB.
 *
 * What a consumer must do anyway is set as tallyd has it: checksums, read_committed, the size of a fetch. The rest are the
 * settings that were found the fastest: messages wait in one queue and are taken by the thousand. A --set may say otherwise.
 */
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/bench/tool.h"

#define BATCH      1000
#define WAIT_MS    5 /* how long a batch may wait to be full: the last one of all does */
#define TOPICS_MAX 8

static struct {
	uint64_t messages, bytes;
	int open;
	double seconds, pause; /* the longest between two batches */
} result;

static double
monotonic(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
print_result(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("messages=%llu mb=%.0f seconds=%.3f pause=%.3f cpu=%.3f rss=%ld\n",
	       (unsigned long long)result.messages, (double)result.bytes / 1e6, result.seconds,
	       result.pause,
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	       u.ru_maxrss);
}

static void
assign_topic(rd_kafka_t *rk, const char *topic, rd_kafka_topic_partition_list_t *list)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, handle, &md, 10000);
	if (err || md->topic_cnt != 1 || md->topics[0].partition_cnt == 0)
		die(topic, err ? rd_kafka_err2str(err) : "no such topic");
	for (int i = 0; i < md->topics[0].partition_cnt; i++)
		rd_kafka_topic_partition_list_add(list, topic, i)->offset =
		    RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_metadata_destroy(md);
	rd_kafka_topic_destroy(handle);
}

static void
assign(rd_kafka_t *rk, const char *const *topics, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
	for (int i = 0; i < count; i++)
		assign_topic(rk, topics[i], list);
	result.open = list->cnt;
	rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
	if (err)
		die("assign", rd_kafka_err2str(err));
	rd_kafka_topic_partition_list_destroy(list);
}

/* Time ends with the last message, for an end of partition may be told as much later as a fetch may wait. */
static void
consume(rd_kafka_t *rk)
{
	static rd_kafka_message_t *batch[BATCH];
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
	double begin = 0;
	while (result.open > 0) {
		ssize_t n = rd_kafka_consume_batch_queue(queue, WAIT_MS, batch, BATCH);
		uint64_t before = result.messages;
		if (begin == 0 && n > 0)
			begin = monotonic();
		for (ssize_t i = 0; i < n; i++) {
			if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
				result.open--;
			} else if (batch[i]->err) {
				die("consume", rd_kafka_message_errstr(batch[i]));
			} else {
				result.messages++;
				result.bytes += batch[i]->len + batch[i]->key_len;
			}
			rd_kafka_message_destroy(batch[i]);
		}
		if (result.messages > before) {
			double now = monotonic() - begin, pause = now - result.seconds;
			result.pause = pause > result.pause ? pause : result.pause;
			result.seconds = now;
		}
	}
	rd_kafka_queue_destroy(queue);
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];
	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)))
		die(name, error);
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
	    {"brokers", 1, NULL, 'b'},
	    {"topic", 1, NULL, 't'},
	    {"set", 1, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};
	const char *topics[TOPICS_MAX];
	char error[256], *value;
	int c, count = 0;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "group.id", "raw");
	set(conf, "enable.auto.commit", "false");
	set(conf, "enable.partition.eof", "true");
	set(conf, "check.crcs", "true");
	set(conf, "isolation.level", "read_committed");
	set(conf, "fetch.wait.max.ms", "10");
	set(conf, "fetch.message.max.bytes", "4194304");
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'b') {
			set(conf, "bootstrap.servers", optarg);
		} else if (c == 't' && count < TOPICS_MAX) {
			topics[count++] = optarg;
		} else if (c == 's' && (value = strchr(optarg, '=')) != NULL) {
			*value = '\0';
			set(conf, optarg, value + 1);
		} else {
			return 64;
		}
	}
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (rk == NULL)
		die("librdkafka", error);
	assign(rk, topics, count);
	consume(rk);
	print_result();
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return 0;
}
