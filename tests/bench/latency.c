/*
 * latency.c - how long from an event produced to its sum visible in PostgreSQL.
 *
 *   latency run --brokers H:P --topic T [--transaction-topic T] [--rate N] [--seconds N] [--fill N]
 *               [--poll-us N] [--bare N] [--consumer] [--schema] [--status COMMAND]
 *   latency bare [--rate N] [--seconds N]
 *
 * run: single-row transactions at a rate, as Debezium writes them (BEGIN, event, END; without a transaction
 * topic only the event), by a producer that does not linger. Each event has the value 1, so the sum is how
 * many events it includes. A thread asks PostgreSQL (libpq's environment says where) for the newest row of
 * sum_table, every --poll-us while an event is not visible, and notes for each event when a sum that
 * includes it was first seen. --fill: so many rows before, as fast as they go. --bare: in between, whenever
 * all is visible and so many events have passed, one INSERT of one row. --status: prints
 * tallyd's status as JSON; asked before and after, so that tallyd's own histogram tells of the same events.
 * --schema: messages with the schema block, of a table without a key (produce_shape.h).
 *
 * A poll may be late on a busy machine, so the last look before, which did not show the event yet, is noted too.
 *
 * --consumer: not PostgreSQL is looked at: an event is seen when a consumer has it and, if there is a transaction
 * topic, the END of its transaction. That is Kafka's part of what tallyd takes.
 *
 * bare: nothing but such INSERTs, each a COMMIT, at a rate.
 *
 * Prints NAME=VALUE words; times in microseconds. From the message's timestamp: seen_*; from the moment
 * at which it was handed to the producer, which is up to 1 ms later: sent_*; tallyd's own: own_*. early_*: from the
 * timestamp to the last look that did not show it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/latency.h"
#include "common/log.h"
#include "tests/bench/produce_shape.h"
#include "tests/bench/tool.h"

#define WARM_EVENTS 200
#define WAIT_US     30000000 /* after the last event */
#define BARE_MAX    100000

static struct {
	const char *brokers, *topic, *transaction_topic, *status;
	long long rate, seconds, fill, poll_us, bare;
	bool consumer;
	bool schema;
} options = {.rate = 100, .seconds = 10, .poll_us = 200};

static struct {
	int64_t *sent_us, *seen_us; /* of each event of the window */
	int64_t *early_us;          /* when it was not visible yet */
	int64_t before, count;      /* the sum before it, and how many events it has */
	_Atomic int64_t sent, seen; /* sums */
	_Atomic bool open, over;    /* events are noted; no more come */
	sem_t news;                 /* something was sent */
	int64_t polls, polled_us;
	int64_t *bare_us;
	int64_t bares;
} window;

static rd_kafka_t *producer;
static rd_kafka_topic_t *topic, *transaction_topic;
static _Atomic int64_t failed;

static void
pause_us(int64_t us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	if (us > 0)
		nanosleep(&t, NULL);
}

static void *
allocate(int64_t count)
{
	void *p = calloc((size_t)count + 1, sizeof(int64_t));

	if (p == NULL)
		die("memory", strerror(errno));
	return p;
}

/* ---- figures --------------------------------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t
percentile(const int64_t *sorted, int64_t count, int permille)
{
	int64_t rank = (count * permille + 999) / 1000;

	return count > 0 ? sorted[rank > 0 ? rank - 1 : 0] : 0;
}

static void
print_times(const char *name, int64_t *us, int64_t count)
{
	qsort(us, (size_t)count, sizeof(*us), by_value);
	printf(" %s_p50=%" PRId64 " %s_p90=%" PRId64 " %s_p99=%" PRId64 " %s_max=%" PRId64, name,
	       percentile(us, count, 500), name, percentile(us, count, 900), name,
	       percentile(us, count, 990), name, percentile(us, count, 1000));
}

/* ---- tallyd's own ---------------------------------------------------------------------------- */

struct status {
	struct latency_copy latency;
	uint64_t checkpoints, commits;
};

static uint64_t
egress_counter(const char *text, const char *name)
{
	char member[64];
	const char *at = strstr(text, "\"name\":\"egress\"");

	snprintf(member, sizeof(member), "\"%s\":", name);
	at = at != NULL ? strstr(at, member) : NULL;
	if (at == NULL)
		die(name, "is not in the status");
	return strtoull(at + strlen(member), NULL, 10);
}

static void
read_buckets(const char *text, struct latency_copy *copy)
{
	const char *at = strstr(text, "\"max_ms\":"), *list = strstr(text, "\"buckets_us\":[");
	uint64_t end, count;
	int used;

	if (at == NULL || list == NULL)
		die("status", "has no latency");
	copy->max_us = (uint64_t)(strtod(at + strlen("\"max_ms\":"), NULL) * 1000 + 0.5);
	for (list = strchr(list, '[') + 1;
	     sscanf(list, "[%" SCNu64 ",%" SCNu64 "]%n", &end, &count, &used) == 2; list++) {
		copy->bucket[latency_bucket(end)] = count;
		copy->count += count;
		list += used;
		if (*list != ',')
			break;
	}
}

static void
read_status(struct status *status)
{
	static char text[1 << 20];
	FILE *f;
	size_t len;

	*status = (struct status){.checkpoints = 0};
	if (options.status == NULL)
		return;
	fflush(stdout);
	f = popen(options.status, "r");
	if (f == NULL)
		die(options.status, strerror(errno));
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	if (pclose(f) != 0)
		die(options.status, "failed");
	read_buckets(text, &status->latency);
	status->checkpoints = egress_counter(text, "checkpoints");
	status->commits = egress_counter(text, "commits");
}

static void
print_status(struct status *before, struct status *after)
{
	struct latency_copy *own = &after->latency;

	latency_subtract(own, &before->latency);
	printf(" own_count=%" PRIu64 " own_p50=%" PRIu64 " own_p90=%" PRIu64 " own_p99=%" PRIu64
	       " own_max=%" PRIu64 " commits=%" PRIu64 " checkpoints=%" PRIu64,
	       own->count, latency_percentile_us(own, 500), latency_percentile_us(own, 900),
	       latency_percentile_us(own, 990), own->max_us, after->commits - before->commits,
	       after->checkpoints - before->checkpoints);
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static PGconn *
connect_database(const char *name, const char *sql)
{
	PGconn *connection = PQconnectdb("");
	PGresult *result;

	if (PQstatus(connection) != CONNECTION_OK)
		die("PostgreSQL", PQerrorMessage(connection));
	result = PQprepare(connection, name, sql, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die(sql, PQerrorMessage(connection));
	PQclear(result);
	return connection;
}

static PGconn *
connect_bare(void)
{
	return connect_database("bare", "INSERT INTO bare VALUES (1)");
}

static void
bare_commit(PGconn *connection)
{
	int64_t begin_us = clock_wall_us();
	PGresult *result = PQexecPrepared(connection, "bare", 0, NULL, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("INSERT", PQerrorMessage(connection));
	PQclear(result);
	if (window.bares < BARE_MAX)
		window.bare_us[window.bares++] = clock_wall_us() - begin_us;
}

/* The sum that is visible now; 0: none. */
static int64_t
visible_sum(PGconn *connection)
{
	PGresult *result = PQexecPrepared(connection, "newest", 0, NULL, NULL, NULL, 0);
	int64_t sum = 0;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("SELECT", PQerrorMessage(connection));
	if (PQntuples(result) > 0)
		sum = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return sum;
}

static PGconn *
connect_poller(void)
{
	return connect_database("newest", "SELECT sum FROM sum_table WHERE diff = 1 ORDER BY time"
					  " DESC, diff DESC LIMIT 1");
}

static int64_t
first_sum(void)
{
	PGconn *connection = connect_poller();
	int64_t sum = visible_sum(connection);

	PQfinish(connection);
	return sum;
}

/* Note when each event was first seen: at the end of the poll that showed it. */
static void *
poll_sums(void *unused)
{
	PGconn *connection = connect_poller(), *bare = options.bare > 0 ? connect_bare() : NULL;
	int64_t bare_at = 0, looked_us = 0;

	(void)unused;
	prctl(PR_SET_TIMERSLACK, 1000);
	while (!atomic_load(&window.over)) {
		int64_t seen = atomic_load(&window.seen);
		if (seen >= atomic_load(&window.sent)) {
			if (bare != NULL && atomic_load(&window.open) && seen >= bare_at) {
				bare_commit(bare);
				bare_at = seen + options.bare;
				continue;
			}
			sem_wait(&window.news);
			continue;
		}
		int64_t begin_us = clock_wall_us(), sum = visible_sum(connection),
			now_us = clock_wall_us();
		for (int64_t i = seen; atomic_load(&window.open) && i < sum; i++)
			if (i >= window.before && i < window.before + window.count) {
				window.seen_us[i - window.before] = now_us;
				window.early_us[i - window.before] = looked_us;
			}
		looked_us = begin_us;
		if (sum > seen)
			atomic_store(&window.seen, sum);
		else
			pause_us(options.poll_us);
		window.polls++;
		window.polled_us += clock_wall_us() - begin_us;
	}
	PQfinish(connection);
	PQfinish(bare);
	return NULL;
}

/* ---- Kafka ----------------------------------------------------------------------------------- */

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk, (void)opaque;
	if (m->err && atomic_fetch_add(&failed, 1) == 0)
		fprintf(stderr, "latency: %s\n", rd_kafka_err2str(m->err));
}

static rd_kafka_conf_t *
configure(const char *const properties[][2])
{
	char error[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (rd_kafka_conf_set(conf, "bootstrap.servers", options.brokers, error, sizeof(error)))
		die("bootstrap.servers", error);
	for (size_t i = 0; properties[i][0] != NULL; i++)
		if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error,
				      sizeof(error)))
			die(properties[i][0], error);
	return conf;
}

/*
 * No linger, and as the producer of Kafka Connect: one request under way, and what comes meanwhile goes in the
 * next. Java's request holds what there is for both topics, librdkafka's for one partition, so here two are.
 */
static void
connect_broker(void)
{
	static const char *const properties[][2] = {
	    {"linger.ms", "0"},
	    {"acks", "all"},
	    {"max.in.flight.requests.per.connection", "2"},
	    {"socket.nagle.disable", "true"},
	    {NULL, NULL},
	};
	char error[256];
	rd_kafka_conf_t *conf = configure(properties);

	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (producer == NULL)
		die("librdkafka", error);
	topic = rd_kafka_topic_new(producer, options.topic, NULL);
	if (options.transaction_topic != NULL)
		transaction_topic = rd_kafka_topic_new(producer, options.transaction_topic, NULL);
}

static void
send_message(rd_kafka_topic_t *to, const char *key, char *value, int64_t now_us)
{
	size_t key_length = key != NULL ? strlen(key) : 0;
	rd_kafka_resp_err_t err;

	while (
	    (err = rd_kafka_producev(producer, RD_KAFKA_V_RKT(to), RD_KAFKA_V_KEY(key, key_length),
				     RD_KAFKA_V_VALUE(value, strlen(value)),
				     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				     RD_KAFKA_V_TIMESTAMP(now_us / 1000), RD_KAFKA_V_END)) != 0) {
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die(rd_kafka_topic_name(to), rd_kafka_err2str(err));
		rd_kafka_poll(producer, 10);
	}
}

/* Where the source's log stands at transaction n: each takes 256 bytes, commits after 120. */
static unsigned long long
commit_lsn(int64_t n)
{
	return 26969776 + (unsigned long long)n * 256 + 120;
}

static void
send_mark(int64_t n, bool end, int64_t now_us)
{
	char key[64], value[512];
	long long xid = 800 + (long long)n;
	unsigned long long lsn = end ? commit_lsn(n) : commit_lsn(n) - 48;

	if (transaction_topic == NULL)
		return;
	snprintf(key, sizeof(key), "{\"id\":\"%lld:%llu\"}", xid, lsn);
	snprintf(value, sizeof(value), "{\"status\":\"%s\",\"id\":\"%lld:%llu\",%s,\"ts_ms\":%lld}",
		 end ? "END" : "BEGIN", xid, lsn,
		 end ? "\"event_count\":1,\"data_collections\":[{\"data_collection\":"
		       "\"public.values\",\"event_count\":1}]"
		     : "\"event_count\":null,\"data_collections\":null",
		 (long long)(now_us / 1000));
	send_message(transaction_topic, key, value, now_us);
}

/* Row n, with the value 1 and the schema block; it has no key. */
static void
send_described_row(int64_t n, int64_t now_us)
{
	static char value[SHAPE_MESSAGE_MAX];
	struct shape_change change = {SHAPE_VALUES, 'c', 1, 1};
	struct shape_place place = {
	    .xid = 800 + (unsigned long long)n,
	    .lsn = commit_lsn(n) - 48,
	    .sequence = commit_lsn(n - 1),
	    .total_order = 1,
	    .order[SHAPE_VALUES] = 1,
	    .now_ms = now_us / 1000,
	};

	shape_value(value, &change, &place);
	send_message(topic, NULL, value, now_us);
}

/* Row n, with the value 1. */
static void
send_row(int64_t n, int64_t now_us)
{
	char key[64], value[1024], transaction[160] = "null";
	unsigned long long lsn = commit_lsn(n) - 48, xid = 800 + (unsigned long long)n;
	long long ms = now_us / 1000;

	if (transaction_topic != NULL)
		snprintf(transaction, sizeof(transaction),
			 "{\"id\":\"%llu:%llu\",\"total_order\":1,\"data_collection_order\":1}",
			 xid, lsn);
	snprintf(key, sizeof(key), "{\"id\":%lld}", (long long)n);
	snprintf(
	    value, sizeof(value),
	    "{\"before\":null,\"after\":{\"id\":%lld,\"value\":1},\"source\":{\"version\":"
	    "\"3.7.0.Final\",\"connector\":\"postgresql\",\"name\":\"postgres\",\"ts_ms\":%lld,"
	    "\"snapshot\":\"false\",\"db\":\"values_db\",\"sequence\":\"[\\\"%llu\\\",\\\"%llu"
	    "\\\"]\",\"ts_us\":%lld406,\"ts_ns\":%lld406000,\"schema\":\"public\",\"table\":"
	    "\"values\",\"txId\":%llu,\"lsn\":%llu,\"xmin\":null},\"transaction\":%s,\"op\":"
	    "\"c\",\"ts_ms\":%lld,\"ts_us\":%lld748,\"ts_ns\":%lld748813}",
	    (long long)n, ms, commit_lsn(n - 1), lsn, ms, ms, xid, lsn, transaction, ms, ms, ms);
	send_message(topic, key, value, now_us);
}

/* Transaction n: one row. Returns when it was handed to the producer. */
static int64_t
send_event(int64_t n)
{
	send_mark(n, false, clock_wall_us());
	int64_t now_us = clock_wall_us();
	(options.schema ? send_described_row : send_row)(n, now_us);
	send_mark(n, true, clock_wall_us());
	return now_us;
}

/* ---- a bare consumer ------------------------------------------------------------------------- */

static void
add_end(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, const char *name)
{
	int64_t low, high;
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, name, 0, &low, &high, 10000);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		die(name, rd_kafka_err2str(err));
	rd_kafka_topic_partition_list_add(list, name, 0)->offset = high;
}

/* With the settings of tallyd's that matter for how soon a message comes. */
static rd_kafka_t *
connect_consumer(void)
{
	static const char *const properties[][2] = {
	    {"group.id", "bench-latency"},         {"enable.auto.commit", "false"},
	    {"isolation.level", "read_committed"}, {"fetch.wait.max.ms", "10"},
	    {"socket.nagle.disable", "true"},      {NULL, NULL},
	};
	char error[256];
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
	rd_kafka_t *rk =
	    rd_kafka_new(RD_KAFKA_CONSUMER, configure(properties), error, sizeof(error));

	if (rk == NULL)
		die("librdkafka", error);
	rd_kafka_poll_set_consumer(rk);
	add_end(rk, list, options.topic);
	if (options.transaction_topic != NULL)
		add_end(rk, list, options.transaction_topic);
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

/* Note when each event was there, and the END of its transaction. */
static void *
consume(void *consumer)
{
	int64_t events = 0, ends = options.transaction_topic == NULL ? INT64_MAX : 0;

	while (!atomic_load(&window.over)) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 100);
		int64_t now_us = clock_wall_us(), seen = atomic_load(&window.seen);

		if (m == NULL)
			continue;
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			if (strcmp(rd_kafka_topic_name(m->rkt), options.topic) == 0)
				events++;
			else
				ends += memmem(m->payload, m->len, "\"END\"", 5) != NULL;
		}
		rd_kafka_message_destroy(m);
		int64_t there = events < ends ? events : ends;
		for (int64_t i = seen; atomic_load(&window.open) && i < there; i++)
			if (i >= window.before && i < window.before + window.count)
				window.seen_us[i - window.before] = now_us;
		atomic_store(&window.seen, there);
	}
	rd_kafka_destroy(consumer);
	return NULL;
}

/* ---- the window ------------------------------------------------------------------------------ */

static void
wait_visible(void)
{
	int64_t until_us = clock_wall_us() + WAIT_US;

	while (atomic_load(&window.seen) < atomic_load(&window.sent)) {
		rd_kafka_poll(producer, 0);
		pause_us(1000);
		if (clock_wall_us() > until_us)
			die("sum_table", "does not come to hold all events");
	}
}

/*
 * Events at a rate (0: as fast as they go), until all are visible. The first is due when a millisecond begins, so
 * that up to 1,000 a second a timestamp of whole milliseconds says when the event was sent.
 */
static void
send_events(int64_t count, int64_t rate)
{
	int64_t begin_us = clock_wall_us() / 1000 * 1000 + 1000, n = atomic_load(&window.sent);

	for (int64_t i = 0; i < count; i++) {
		int64_t due_us = rate > 0 ? begin_us + i * 1000000 / rate : 0;
		rd_kafka_poll(producer, 0);
		pause_us(due_us - clock_wall_us());
		/* First the sum, then the event: it must not be visible before it is known. */
		atomic_store(&window.sent, n + i + 1);
		int64_t sent_us = send_event(n + i + 1);
		if (window.sent_us != NULL)
			window.sent_us[i] = sent_us;
		sem_post(&window.news);
	}
	rd_kafka_flush(producer, 10000);
	wait_visible();
}

/* From here on events are noted. The poller looks at nothing of it before an event is sent. */
static void
open_window(void)
{
	window.count = options.rate * options.seconds;
	window.before = atomic_load(&window.seen);
	window.sent_us = allocate(window.count);
	window.polls = window.polled_us = 0;
	window.seen_us = allocate(window.count);
	window.early_us = allocate(window.count);
	atomic_store(&window.open, true);
}

static void
print_window(int64_t took_us)
{
	int64_t *from_stamp = allocate(window.count), *from_send = allocate(window.count);
	int64_t *early = allocate(window.count);

	for (int64_t i = 0; i < window.count; i++) {
		int64_t sent_us = window.sent_us[i], stamp_us = sent_us / 1000 * 1000;
		from_stamp[i] = window.seen_us[i] - stamp_us;
		from_send[i] = window.seen_us[i] - sent_us;
		early[i] = (window.early_us[i] > sent_us ? window.early_us[i] : sent_us) - stamp_us;
	}
	printf("events=%" PRId64 " per_second=%.0f poll=%" PRId64, window.count,
	       (double)window.count * 1e6 / (double)took_us,
	       window.polls > 0 ? window.polled_us / window.polls : 0);
	print_times("seen", from_stamp, window.count);
	print_times("sent", from_send, window.count);
	print_times("early", early, window.count);
	printf(" bares=%" PRId64, window.bares);
	print_times("bare", window.bare_us, window.bares);
	free(from_stamp);
	free(from_send);
	free(early);
}

static void
run(void)
{
	static struct status before, after;
	pthread_t poller;
	rd_kafka_t *consumer = options.consumer ? connect_consumer() : NULL;

	shape_init(&(struct shape_settings){
	    .schema = true, .transactions = options.transaction_topic != NULL, .groups = 1});
	connect_broker();
	window.bare_us = allocate(BARE_MAX);
	if (consumer == NULL)
		window.sent = window.seen = first_sum();
	if (sem_init(&window.news, 0, 0) != 0 ||
	    pthread_create(&poller, NULL, consumer != NULL ? consume : poll_sums, consumer) != 0)
		die("thread", strerror(errno));
	prctl(PR_SET_TIMERSLACK, 1000);
	if (options.fill > 0)
		send_events(options.fill, 0);
	send_events(options.rate < WARM_EVENTS ? options.rate : WARM_EVENTS, options.rate);
	read_status(&before);
	open_window();
	int64_t begin_us = clock_wall_us();
	send_events(window.count, options.rate);
	int64_t took_us = window.sent_us[window.count - 1] - begin_us;
	atomic_store(&window.over, true);
	sem_post(&window.news);
	pthread_join(poller, NULL);
	read_status(&after);
	print_window(took_us);
	print_status(&before, &after);
	printf("\n");
	if (atomic_load(&failed) > 0)
		die("events", "were not taken by the broker");
	rd_kafka_topic_destroy(topic);
	if (transaction_topic != NULL)
		rd_kafka_topic_destroy(transaction_topic);
	rd_kafka_destroy(producer);
}

static void
run_bare(void)
{
	PGconn *connection = connect_bare();
	int64_t count = options.rate * options.seconds, begin_us;

	window.bare_us = allocate(BARE_MAX);
	prctl(PR_SET_TIMERSLACK, 1000);
	begin_us = clock_wall_us();
	for (int64_t i = 0; i < count; i++) {
		pause_us(begin_us + i * 1000000 / options.rate - clock_wall_us());
		bare_commit(connection);
	}
	PQfinish(connection);
	printf("bares=%" PRId64, window.bares);
	print_times("bare", window.bare_us, window.bares);
	printf("\n");
}

/* ---- options --------------------------------------------------------------------------------- */

static long long
number(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 0 || n > 100000000)
		die(text, "is no number that is meant here");
	return n;
}

static bool
read_options(int argc, char **argv)
{
	static const struct option names[] = {
	    {"brokers", 1, NULL, 'b'},
	    {"topic", 1, NULL, 't'},
	    {"transaction-topic", 1, NULL, 'T'},
	    {"status", 1, NULL, 's'},
	    {"rate", 1, NULL, 'r'},
	    {"seconds", 1, NULL, 'n'},
	    {"fill", 1, NULL, 'f'},
	    {"poll-us", 1, NULL, 'p'},
	    {"bare", 1, NULL, 'c'},
	    {"consumer", 0, NULL, 'C'},
	    {"schema", 0, NULL, 'S'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
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
		case 's':
			options.status = optarg;
			break;
		case 'r':
			options.rate = number(optarg);
			break;
		case 'n':
			options.seconds = number(optarg);
			break;
		case 'f':
			options.fill = number(optarg);
			break;
		case 'p':
			options.poll_us = number(optarg);
			break;
		case 'c':
			options.bare = number(optarg);
			break;
		case 'C':
			options.consumer = true;
			break;
		case 'S':
			options.schema = true;
			break;
		default:
			return false;
		}
	}
	return options.rate > 0 && options.seconds > 0;
}

int
main(int argc, char **argv)
{
	bool bare = argc > 1 && strcmp(argv[1], "bare") == 0;

	if (argc < 2 || (!bare && strcmp(argv[1], "run") != 0) ||
	    !read_options(argc - 1, argv + 1) ||
	    (!bare && (options.brokers == NULL || options.topic == NULL)))
		return 64;
	if (bare)
		run_bare();
	else
		run();
	return 0;
}
