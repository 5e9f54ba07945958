/*
 * produce.c - write Debezium-shaped messages to a topic, as fast as the broker takes them or at a
 * rate: byte for byte what the PostgreSQL connector sends, with rising lsn and sequence.
 *
 *   produce --brokers H:P --topic T [--shape values|orders] [--schema on|off] [--count N]
 *           [--first N] [--keys N] [--per-transaction N] [--transaction-topic T] [--rate N]
 *           [--partitions N] [--templates DIR]
 *
 * values: one integer column, insert only, no key. orders: 13 columns with PRIMARY KEY order_id;
 * row i has key i modulo --keys (default: all different), and a key seen before is an update.
 */
#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_MAX (16 * 1024)
#define SCHEMA_MAX  (8 * 1024)

static struct {
	const char *brokers, *topic, *transaction_topic, *templates;
	bool orders, schema;
	long long count, first, keys, per_transaction, rate, partitions;
} options = {
    .brokers = "127.0.0.1:9092",
    .topic = "postgres.public.values",
    .templates = "tests/bench",
    .schema = true,
    .count = 1000000,
    .first = 1,
    .per_transaction = 1,
    .partitions = 1,
};

static char schema[SCHEMA_MAX], key_schema[512];
static rd_kafka_topic_t *topic, *transaction_topic;
static long long failed;

struct place { /* where the source's log stands */
	unsigned long long xid, lsn, sequence;
	long long in_transaction;
	long long now_ms;
};

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "produce: %s: %s\n", what, why);
	exit(1);
}

static long long
wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
read_schema(void)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s.schema.json", options.templates,
		 options.orders ? "orders" : "values");
	FILE *f = fopen(path, "r");
	if (f == NULL)
		die(path, strerror(errno));
	if (fgets(schema, sizeof(schema), f) == NULL)
		die(path, "is empty");
	fclose(f);
	schema[strcspn(schema, "\n")] = '\0';
	snprintf(key_schema, sizeof(key_schema),
		 "{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,"
		 "\"field\":\"order_id\"}],\"optional\":false,"
		 "\"name\":\"postgres.public.orders.Key\"}");
}

static int
print_row(char *buf, size_t size, long long i)
{
	static const char *const products[] = {"Chair", "Kettle", "Mug", "Lamp", "Desk", "Pen"};
	static const char *const categories[] = {"home", "office", "garden", "kitchen"};
	static const char *const states[] = {"new", "paid", "shipped", "done"};
	if (!options.orders)
		return snprintf(buf, size, "{\"value\":%lld}", i);
	return snprintf(buf, size,
			"{\"order_id\":%lld,\"customer_id\":%lld,\"product\":\"%s\","
			"\"category\":\"%s\",\"qty\":%lld,\"price\":\"%lld.%02lld\","
			"\"discount\":null,\"status\":\"%s\",\"shipping_address\":\"%lld Main St, "
			"Town %lld\",\"note\":\"call before\\ndelivery\",\"priority\":%lld,"
			"\"express\":%s,\"created_at\":\"2026-11-24T04:18:50.%06lldZ\"}",
			options.keys ? i % options.keys : i, i * 7 % 1000, products[i % 6],
			categories[i / 3 % 4], i % 20 + 1, i * 31 % 1000, i * 17 % 100,
			states[i / 5 % 4], i % 1000, i % 97, i % 5, i % 2 ? "true" : "false",
			i % 1000000);
}

static int
print_transaction(char *buf, size_t size, const struct place *p)
{
	if (options.transaction_topic == NULL)
		return snprintf(buf, size, "null");
	return snprintf(
	    buf, size, "{\"id\":\"%llu:%llu\",\"total_order\":%lld,\"data_collection_order\":%lld}",
	    p->xid, p->lsn, p->in_transaction, p->in_transaction);
}

static int
print_value(char *buf, size_t size, long long i, const struct place *p)
{
	char row[1024], transaction[128];
	bool update = options.orders && options.keys && i - options.first >= options.keys;
	print_row(row, sizeof(row), i);
	print_transaction(transaction, sizeof(transaction), p);
	int n = options.schema ? snprintf(buf, size, "{\"schema\":%s,\"payload\":", schema) : 0;
	n += snprintf(buf + n, size - (size_t)n,
		      "{\"before\":null,\"after\":%s,\"source\":{\"version\":\"3.7.0.Final\","
		      "\"connector\":\"postgresql\",\"name\":\"postgres\",\"ts_ms\":%lld,"
		      "\"snapshot\":\"false\",\"db\":\"values_db\",\"sequence\":\"[\\\"%llu\\\","
		      "\\\"%llu\\\"]\",\"ts_us\":%lld406,\"ts_ns\":%lld406000,"
		      "\"schema\":\"public\",\"table\":\"%s\",\"txId\":%llu,\"lsn\":%llu,"
		      "\"xmin\":null},\"transaction\":%s,\"op\":\"%s\",\"ts_ms\":%lld,"
		      "\"ts_us\":%lld748,\"ts_ns\":%lld748813}%s",
		      row, p->now_ms, p->sequence, p->lsn, p->now_ms, p->now_ms,
		      options.orders ? "orders" : "values", p->xid, p->lsn, transaction,
		      update ? "u" : "c", p->now_ms, p->now_ms, p->now_ms,
		      options.schema ? "}" : "");
	return n;
}

static int
print_key(char *buf, size_t size, long long i)
{
	long long id = options.keys ? i % options.keys : i;
	if (!options.orders)
		return -1;
	if (!options.schema)
		return snprintf(buf, size, "{\"order_id\":%lld}", id);
	return snprintf(buf, size, "{\"schema\":%s,\"payload\":{\"order_id\":%lld}}", key_schema,
			id);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk, (void)opaque;
	if (m->err && failed++ == 0)
		fprintf(stderr, "produce: %s\n", rd_kafka_err2str(m->err));
}

/* A key_len below 0: no key. */
static void
send_message(rd_kafka_t *rk, rd_kafka_topic_t *to, const char *key, int key_len, char *value,
	     int value_len)
{
	while (rd_kafka_produce(to, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value,
				(size_t)value_len, key_len < 0 ? NULL : key,
				key_len < 0 ? 0 : (size_t)key_len, NULL) != 0) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die(rd_kafka_topic_name(to), rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(rk, 10);
	}
}

static void
send_mark(rd_kafka_t *rk, const struct place *p, bool end)
{
	char key[64], value[512], counts[160] = "";
	if (transaction_topic == NULL)
		return;
	int key_len = snprintf(key, sizeof(key), "{\"id\":\"%llu:%llu\"}", p->xid, p->lsn);
	if (end)
		snprintf(counts, sizeof(counts),
			 "\"event_count\":%lld,\"data_collections\":[{\"data_collection\":"
			 "\"public.%s\",\"event_count\":%lld}]",
			 p->in_transaction, options.orders ? "orders" : "values",
			 p->in_transaction);
	int n = snprintf(
	    value, sizeof(value), "{\"status\":\"%s\",\"id\":\"%llu:%llu\",%s,\"ts_ms\":%lld}",
	    end ? "END" : "BEGIN", p->xid, p->lsn,
	    end ? counts : "\"event_count\":null,\"data_collections\":null", p->now_ms);
	send_message(rk, transaction_topic, key, key_len, value, n);
}

static void
keep_rate(rd_kafka_t *rk, long long begin_us, long long done)
{
	if (options.rate == 0)
		return;
	long long due = begin_us + done * 1000000 / options.rate;
	rd_kafka_poll(rk, 0);
	while (wall_us() < due) {
		struct timespec pause = {0, 200000};
		nanosleep(&pause, NULL);
	}
}

static void
produce(rd_kafka_t *rk)
{
	static char value[MESSAGE_MAX];
	char key[1024];
	unsigned long long at = 26969776 + (unsigned long long)options.first * 4096;
	struct place p = {.xid = 800 + (unsigned long long)options.first, .sequence = at};
	long long begin_us = wall_us();
	p.lsn = at;
	for (long long i = 0; i < options.count; i++) {
		keep_rate(rk, begin_us, i);
		if (i % 1024 == 0 || options.rate != 0)
			p.now_ms = wall_us() / 1000;
		p.lsn += 72;
		if (p.in_transaction++ == 0)
			send_mark(rk, &p, false);
		int key_len = print_key(key, sizeof(key), options.first + i);
		int n = print_value(value, sizeof(value), options.first + i, &p);
		send_message(rk, topic, key, key_len, value, n);
		if (p.in_transaction < options.per_transaction && i + 1 < options.count)
			continue;
		p.lsn += 48;
		send_mark(rk, &p, true);
		p.sequence = p.lsn;
		p.in_transaction = 0;
		p.xid++;
	}
	while (rd_kafka_outq_len(rk) > 0)
		rd_kafka_flush(rk, 1000);
	double seconds = (double)(wall_us() - begin_us) / 1e6;
	printf("produced %lld messages of about %zu bytes in %.1f s: %.0f/s\n", options.count,
	       strlen(value), seconds, (double)options.count / seconds);
}

static rd_kafka_t *
connect_broker(void)
{
	static const char *const properties[][2] = {
	    {"linger.ms", "5"},
	    {"batch.num.messages", "10000"},
	    {"queue.buffering.max.messages", "200000"},
	    {"enable.idempotence", "true"},
	};
	char error[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (rd_kafka_conf_set(conf, "bootstrap.servers", options.brokers, error, sizeof(error)))
		die("bootstrap.servers", error);
	for (size_t i = 0; i < sizeof(properties) / sizeof(*properties); i++)
		if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error,
				      sizeof(error)))
			die(properties[i][0], error);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (rk == NULL)
		die("librdkafka", error);
	return rk;
}

/* Make a topic, or be content with the one that is there. */
static rd_kafka_topic_t *
open_topic(rd_kafka_t *rk, const char *name, int partitions)
{
	char error[256];
	rd_kafka_NewTopic_t *wanted =
	    rd_kafka_NewTopic_new(name, partitions, 1, error, sizeof(error));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	if (wanted == NULL)
		die(name, error);
	rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
	if (event == NULL || rd_kafka_event_error(event))
		die(name, event ? rd_kafka_event_error_string(event) : "no answer");
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(wanted);
	rd_kafka_queue_destroy(queue);
	return rd_kafka_topic_new(rk, name, NULL);
}

static long long
number(const char *text)
{
	const char *error;
	long long n = strtonum(text, 0, INT64_MAX / 4096, &error);
	if (error != NULL)
		die(text, error);
	return n;
}

static const struct option option_names[] = {
    {"brokers", 1, NULL, 'b'},
    {"topic", 1, NULL, 't'},
    {"shape", 1, NULL, 's'},
    {"schema", 1, NULL, 'S'},
    {"count", 1, NULL, 'n'},
    {"first", 1, NULL, 'f'},
    {"partitions", 1, NULL, 'P'},
    {"keys", 1, NULL, 'k'},
    {"per-transaction", 1, NULL, 'p'},
    {"rate", 1, NULL, 'r'},
    {"transaction-topic", 1, NULL, 'T'},
    {"templates", 1, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

static void
read_options(int argc, char **argv)
{
	int c;
	while ((c = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
		switch (c) {
		case 'b':
			options.brokers = optarg;
			break;
		case 't':
			options.topic = optarg;
			break;
		case 'T':
			options.transaction_topic = optarg;
			break;
		case 'd':
			options.templates = optarg;
			break;
		case 's':
			options.orders = strcmp(optarg, "orders") == 0;
			break;
		case 'S':
			options.schema = strcmp(optarg, "on") == 0;
			break;
		case 'n':
			options.count = number(optarg);
			break;
		case 'f':
			options.first = number(optarg);
			break;
		case 'k':
			options.keys = number(optarg);
			break;
		case 'p':
			options.per_transaction = number(optarg);
			break;
		case 'P':
			options.partitions = number(optarg);
			break;
		case 'r':
			options.rate = number(optarg);
			break;
		default:
			exit(64);
		}
	}
}

int
main(int argc, char **argv)
{
	read_options(argc, argv);
	if (options.schema)
		read_schema();
	rd_kafka_t *rk = connect_broker();
	topic = open_topic(rk, options.topic, (int)options.partitions);
	if (options.transaction_topic != NULL)
		transaction_topic = open_topic(rk, options.transaction_topic, 1);
	produce(rk);
	rd_kafka_topic_destroy(topic);
	if (transaction_topic != NULL)
		rd_kafka_topic_destroy(transaction_topic);
	rd_kafka_destroy(rk);
	return failed == 0 ? 0 : 1;
}
