/*
 * produce.c - write Debezium-shaped messages to a topic, as fast as the broker takes them or at a
 * rate, with rising lsn and sequence. What is written follows from the options alone, but for times.
 *
 *   produce --brokers H:P --topic T [--shape values|orders] [--schema on|off] [--count N]
 *           [--first N] [--keys N] [--groups N] [--deletes PERCENT] [--per-transaction N]
 *           [--transaction-topic T] [--rate N] [--partitions N] [--rows FILE]
 *           [--second-topic T] [--second-rows FILE] [--set NAME=VALUE]...
 *
 * values: one integer column, insert only, no key. orders: PRIMARY KEY order_id; without --keys each
 * event is a new row, whose key is the event's number. With it, the first --keys events insert, each further one
 * takes some row: an update, or in --deletes of a hundred cases a delete, with its tombstone; if the row is
 * gone an insert. Rows lie in --groups groups (customer_id), and updates move them. Every second event
 * goes to table payments when there is a --second-topic. Equal keys have the same partition.
 *
 * --first: go on with the same history at that event (1). --rows: what both tables hold at the end, as CSV.
 * --set: a property of librdkafka's producer.
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

#include "tests/bench/produce_shape.h"
#include "tests/bench/tool.h"

static struct {
	const char *brokers, *transaction_topic;
	bool orders;
	long long count, first, keys, deletes, per_transaction, rate, partitions;
	struct shape_settings shape;
} options = {
    .brokers = "127.0.0.1:9092",
    .count = 1000000,
    .first = 1,
    .per_transaction = 1,
    .partitions = 1,
    .shape = {.schema = true, .groups = 1000},
};

struct table {
	enum shape shape;
	const char *topic_name, *rows_file;
	rd_kafka_topic_t *topic;
	uint32_t *written; /* by key: the event that wrote the row, 0: there is none */
};

static struct table tables[2] = {{.topic_name = "postgres.public.values"}};
static int table_count = 1;
static rd_kafka_conf_t *conf;
static rd_kafka_topic_t *transaction_topic;
static long long failed, messages, bytes; /* the latter two: in the tables' topics */

static long long
wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- what happens in the source ------------------------------------------------------------- */

/* The change that is the event of this number; what the table holds follows it. */
static struct shape_change
next_change(struct table *t, long long number)
{
	long long turn = table_count == 1 ? number : (number + 1) / 2;
	struct shape_change c = {.shape = t->shape, .op = 'c', .key = turn, .number = number};
	if (t->written == NULL)
		return c;
	unsigned long long chance = shape_mix(~(unsigned long long)number);
	if (turn <= options.keys)
		c.key = turn % options.keys;
	else
		c.key = (long long)(chance % (unsigned long long)options.keys);
	if (t->written[c.key] != 0)
		c.op = (long long)(chance >> 40) % 100 < options.deletes ? 'd' : 'u';
	t->written[c.key] = c.op == 'd' ? 0 : (uint32_t)number;
	return c;
}

static struct table *
table_of(long long number)
{
	return &tables[table_count == 1 || number % 2 == 1 ? 0 : 1];
}

static void
open_table(struct table *t)
{
	if (options.keys == 0 || t->shape == SHAPE_VALUES)
		return;
	t->written = calloc((size_t)options.keys, sizeof(*t->written));
	if (t->written == NULL)
		die(t->topic_name, "out of memory");
}

static void
write_rows(const struct table *t)
{
	char line[SHAPE_KEY_MAX];
	if (t->rows_file == NULL)
		return;
	FILE *f = fopen(t->rows_file, "w");
	if (f == NULL)
		die(t->rows_file, strerror(errno));
	for (long long key = 0; t->written != NULL && key < options.keys; key++) {
		if (t->written[key] == 0)
			continue;
		shape_csv(line, t->shape, key, t->written[key]);
		fputs(line, f);
	}
	for (long long n = 1; t->written == NULL && n < options.first + options.count; n++) {
		if (table_of(n) != t)
			continue;
		shape_csv(line, t->shape, table_count == 1 ? n : (n + 1) / 2, n);
		fputs(line, f);
	}
	if (fclose(f) != 0)
		die(t->rows_file, strerror(errno));
}

/* ---- to the broker -------------------------------------------------------------------------- */

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk, (void)opaque;
	if (m->err && failed++ == 0)
		fprintf(stderr, "produce: %s\n", rd_kafka_err2str(m->err));
}

/* A key_len below 0: no key. No value: a tombstone. */
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
send_mark(rd_kafka_t *rk, const struct shape_place *p, bool end)
{
	char key[SHAPE_KEY_MAX], value[SHAPE_KEY_MAX];
	if (transaction_topic == NULL)
		return;
	int key_len = shape_mark_key(key, p);
	send_message(rk, transaction_topic, key, key_len, value, shape_mark(value, p, end));
}

static void
send_event(rd_kafka_t *rk, long long number, struct shape_place *p)
{
	static char value[SHAPE_MESSAGE_MAX], key[SHAPE_KEY_MAX];
	struct table *t = table_of(number);
	struct shape_change c = next_change(t, number);
	p->total_order++;
	p->order[t->shape]++;
	int key_len = shape_key(key, &c), len = shape_value(value, &c, p);
	send_message(rk, t->topic, key, key_len, value, len);
	bytes += len;
	messages++;
	if (c.op == 'd') {
		send_message(rk, t->topic, key, key_len, NULL, 0);
		messages++;
	}
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

/* Each event has room for 4 KiB of log, so runs that go on with one another's history never meet. */
static void
produce(rd_kafka_t *rk)
{
	unsigned long long at = 26969776 + (unsigned long long)options.first * 4096;
	struct shape_place p = {
	    .xid = 800 + (unsigned long long)options.first, .lsn = at, .sequence = at};
	long long begin_us = wall_us();
	for (long long i = 0; i < options.count; i++) {
		keep_rate(rk, begin_us, i);
		if (i % 1024 == 0 || options.rate != 0)
			p.now_ms = wall_us() / 1000;
		p.lsn += 72;
		if (p.total_order == 0)
			send_mark(rk, &p, false);
		send_event(rk, options.first + i, &p);
		if (p.total_order < options.per_transaction && i + 1 < options.count)
			continue;
		p.lsn += 48;
		send_mark(rk, &p, true);
		p.sequence = p.lsn;
		p.total_order = 0;
		memset(p.order, 0, sizeof(p.order));
		p.xid++;
	}
	while (rd_kafka_outq_len(rk) > 0)
		rd_kafka_flush(rk, 1000);
	double seconds = (double)(wall_us() - begin_us) / 1e6;
	printf("produced %lld events of about %lld bytes as %lld messages in %.1f s: %.0f/s\n",
	       options.count, options.count > 0 ? bytes / options.count : 0, messages, seconds,
	       (double)options.count / seconds);
}

static rd_kafka_t *
connect_broker(void)
{
	char error[256];
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (rk == NULL)
		die("librdkafka", error);
	return rk;
}

/* Make a topic, or be content with the one that is there. Keys choose partitions as in Java. */
static rd_kafka_topic_t *
open_topic(rd_kafka_t *rk, const char *name, int partitions)
{
	char error[256];
	rd_kafka_topic_conf_t *topic_conf = rd_kafka_topic_conf_new();
	rd_kafka_NewTopic_t *wanted =
	    rd_kafka_NewTopic_new(name, partitions, 1, error, sizeof(error));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	if (wanted == NULL)
		die(name, error);
	if (rd_kafka_topic_conf_set(topic_conf, "partitioner", "murmur2_random", error,
				    sizeof(error)))
		die("partitioner", error);
	rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
	if (event == NULL || rd_kafka_event_error(event))
		die(name, event ? rd_kafka_event_error_string(event) : "no answer");
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(wanted);
	rd_kafka_queue_destroy(queue);
	return rd_kafka_topic_new(rk, name, topic_conf);
}

/* ---- options -------------------------------------------------------------------------------- */

static void
set(const char *name, const char *value)
{
	char error[256];
	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)))
		die(name, error);
}

static void
set_defaults(void)
{
	conf = rd_kafka_conf_new();
	set("linger.ms", "5");
	set("batch.num.messages", "10000");
	set("queue.buffering.max.messages", "200000");
	set("enable.idempotence", "true");
	set("log_level", "3");
}

static void
set_option(char *text)
{
	char *value = strchr(text, '=');
	if (value == NULL)
		die(text, "is not NAME=VALUE");
	*value = '\0';
	set(text, value + 1);
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
    {"groups", 1, NULL, 'g'},
    {"deletes", 1, NULL, 'd'},
    {"per-transaction", 1, NULL, 'p'},
    {"rate", 1, NULL, 'r'},
    {"rows", 1, NULL, 'R'},
    {"second-topic", 1, NULL, 'u'},
    {"second-rows", 1, NULL, 'U'},
    {"transaction-topic", 1, NULL, 'T'},
    {"set", 1, NULL, 'c'},
    {NULL, 0, NULL, 0},
};

/* Where the number of an option goes; NULL: it takes none. */
static long long *
number_of(int c)
{
	switch (c) {
	case 'n':
		return &options.count;
	case 'f':
		return &options.first;
	case 'k':
		return &options.keys;
	case 'g':
		return &options.shape.groups;
	case 'd':
		return &options.deletes;
	case 'p':
		return &options.per_transaction;
	case 'P':
		return &options.partitions;
	case 'r':
		return &options.rate;
	default:
		return NULL;
	}
}

static void
read_text(int c, char *text)
{
	switch (c) {
	case 'b':
		options.brokers = text;
		break;
	case 't':
		tables[0].topic_name = text;
		break;
	case 'T':
		options.transaction_topic = text;
		break;
	case 's':
		options.orders = strcmp(text, "orders") == 0;
		break;
	case 'S':
		options.shape.schema = strcmp(text, "on") == 0;
		break;
	case 'R':
		tables[0].rows_file = text;
		break;
	case 'u':
		tables[1].topic_name = text;
		table_count = 2;
		break;
	case 'U':
		tables[1].rows_file = text;
		break;
	case 'c':
		set_option(text);
		break;
	default:
		exit(64);
	}
}

static void
read_options(int argc, char **argv)
{
	const char *error = NULL;
	int c;
	while ((c = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
		long long *number = number_of(c);
		if (number == NULL)
			read_text(c, optarg);
		else
			*number = strtonum(optarg, 0, UINT32_MAX, &error);
		if (error != NULL)
			die(optarg, error);
	}
	if (options.shape.groups == 0 || (table_count == 2 && !options.orders))
		die("options", "groups must be above 0, and only orders have a second table");
	options.shape.transactions = options.transaction_topic != NULL;
	tables[0].shape = options.orders ? SHAPE_ORDERS : SHAPE_VALUES;
	tables[1].shape = SHAPE_PAYMENTS;
}

int
main(int argc, char **argv)
{
	set_defaults();
	read_options(argc, argv);
	set("bootstrap.servers", options.brokers);
	shape_init(&options.shape);
	rd_kafka_t *rk = connect_broker();
	for (int i = 0; i < table_count; i++) {
		open_table(&tables[i]);
		tables[i].topic = open_topic(rk, tables[i].topic_name, (int)options.partitions);
	}
	if (options.transaction_topic != NULL)
		transaction_topic = open_topic(rk, options.transaction_topic, 1);
	for (long long n = 1; options.keys > 0 && n < options.first; n++)
		(void)next_change(table_of(n), n);
	produce(rk);
	for (int i = 0; i < table_count; i++) {
		write_rows(&tables[i]);
		free(tables[i].written);
		rd_kafka_topic_destroy(tables[i].topic);
	}
	if (transaction_topic != NULL)
		rd_kafka_topic_destroy(transaction_topic);
	rd_kafka_destroy(rk);
	return failed == 0 ? 0 : 1;
}
