#include "ingest/kafka.h"

#include <bsd/string.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/fetch.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/stage.h"
#include "ingest/kafka_options.h"
#include "ingest/trouble.h"

#define KAFKA_BATCH_MESSAGES 256u
#define KAFKA_AHEAD          768u /* bytes of a message; what follows is read in a row */

_Static_assert(KAFKA_TAIL(1) == RD_KAFKA_OFFSET_TAIL(1), "a number of librdkafka's");

struct queue {
	char *topic;
	int32_t partition;
	int64_t offset; /* where to start; then the next one to be taken */
	rd_kafka_queue_t *queue;
	rd_kafka_message_t **batch; /* taken from librdkafka, not yet by the caller */
	unsigned at, count;
	size_t drained_bytes, drained; /* taken since it was found empty: it never held more */
	bool at_end;
	int64_t end; /* while at_end */
};

struct kafka {
	struct stage *stage;
	rd_kafka_t *rk;
	rd_kafka_queue_t *main;
	rd_kafka_queue_t *group; /* only tells why the group may not be used; NULL: no group.id */
	bool group_denied;
	struct queue *queues;
	unsigned count;
	unsigned batch_max;
	int fd;
	bool away;
	struct trouble trouble;
	int failure;
	char failure_text[1024];
	atomic_int certificate; /* what OpenSSL last had against one */
	bool committing;
	rd_kafka_resp_err_t commit_error; /* said last */
	/* Versions before 2.2 need to be woken when a full queue was drained: kafka_nudge(). */
	bool nudge, nudge_due;
	size_t bound_bytes, bound; /* of a queue: from there on it is full */
	int64_t nudged_ms;
	char *username, *password;
};

__attribute__((format(printf, 3, 4))) static void
kafka_fail(struct kafka *k, int code, const char *fmt, ...)
{
	va_list ap;
	if (k->failure != 0)
		return;
	k->failure = code;
	va_start(ap, fmt);
	vsnprintf(k->failure_text, sizeof(k->failure_text), fmt, ap);
	va_end(ap);
}

int
kafka_failure(const struct kafka *k, const char **text)
{
	if (text != NULL)
		*text = k->failure_text;
	return k->failure;
}

const char *
kafka_trouble(const struct kafka *k)
{
	return k->trouble.text;
}

bool
kafka_is_away(const struct kafka *k)
{
	return k->away;
}

/* ---- callbacks: run inside kafka_serve() and the lookups ----------------------------------- */

/*
 * Runs in librdkafka's threads, for each certificate of a chain. OpenSSL has judged it; its error is
 * only noted here, for librdkafka's own message does not tell another host from another CA.
 */
static int
kafka_on_certificate(rd_kafka_t *rk, const char *name, int32_t id, int *error, int depth,
		     const char *der, size_t size, char *text, size_t text_size, void *opaque)
{
	struct kafka *k = opaque;
	(void)rk, (void)name, (void)id, (void)depth, (void)der, (void)size;
	if (*error == 0)
		return 1;
	atomic_store(&k->certificate, *error);
	snprintf(text, text_size, "error %d", *error);
	return 0;
}

static void
kafka_on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
	struct kafka *k = opaque;
	char text[512];
	rd_kafka_resp_err_t err = (rd_kafka_resp_err_t)error;
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		err = rd_kafka_fatal_error(rk, text, sizeof(text));
	log_debug("kafka.error", "%s: %s", rd_kafka_err2name(err), reason);
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		k->away = true;
		return;
	}
	bool about_login = err == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
			   err == RD_KAFKA_RESP_ERR__SSL ||
			   err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
	int code = trouble_judge(&k->trouble, reason, about_login, atomic_load(&k->certificate),
				 clock_monotonic_ms());
	if (code != 0)
		kafka_fail(k, code, "%s of server \"%s\"", k->trouble.verdict,
			   kafka_server(k->stage)->name);
}

/* Connection faults arrive by kafka_on_error() as well, and are said once, by the one who waits. */
static void
kafka_on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	bool twice = strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
		     strcmp(facility, "SSLCERTVRFY") == 0;
	log_line(level <= 4 && !twice ? LOG_INFO : LOG_DEBUG, "kafka.log", "%s: %s", facility,
		 text);
}

/* ---- life ---------------------------------------------------------------------------------- */

/*
 * OpenSSL takes its tables down in an exit handler while librdkafka's threads still use them. This
 * handler was registered later, so it runs before.
 */
static void
kafka_exit(int status, void *unused)
{
	(void)unused;
	fflush(NULL);
	_exit(status);
}

static bool
kafka_connect(struct kafka *k, rd_kafka_conf_t *conf)
{
	char error[512];
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_error_cb(conf, kafka_on_error);
	rd_kafka_conf_set_log_cb(conf, kafka_on_log);
	rd_kafka_conf_set_ssl_cert_verify_cb(conf, kafka_on_certificate);
	k->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (k->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		stage_report(k->stage, LOG_ERROR, &kafka_server(k->stage)->place,
			     "server \"%s\": %s%s", kafka_server(k->stage)->name, error,
			     strstr(error, "ssl.key") != NULL
				 ? " (is it a key, and ssl.key.password the one that opens it?)"
				 : "");
		return false;
	}
	on_exit(kafka_exit, NULL);
	rd_kafka_set_log_queue(k->rk, NULL);
	return true;
}

static size_t
kafka_number(const rd_kafka_conf_t *conf, const char *name)
{
	char value[32];
	size_t size = sizeof(value);
	return rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK
		   ? strtoull(value, NULL, 10)
		   : 0;
}

static void
kafka_remember_credentials(struct kafka *k, rd_kafka_conf_t *conf)
{
	char value[SECRET_MAX];
	size_t size = sizeof(value);
	k->nudge =
	    rd_kafka_conf_get(conf, "fetch.queue.backoff.ms", NULL, &size) != RD_KAFKA_CONF_OK;
	if (!k->nudge)
		return;
	k->bound_bytes = 1024 * kafka_number(conf, "queued.max.messages.kbytes");
	k->bound = kafka_number(conf, "queued.min.messages");
	size = sizeof(value);
	if (rd_kafka_conf_get(conf, "sasl.username", value, &size) == RD_KAFKA_CONF_OK)
		k->username = xstrdup(value);
	size = sizeof(value);
	if (rd_kafka_conf_get(conf, "sasl.password", value, &size) == RD_KAFKA_CONF_OK)
		k->password = xstrdup(value);
	explicit_bzero(value, sizeof(value));
}

struct kafka *
kafka_new(struct stage *s, unsigned partitions)
{
	static const uint64_t one = 1;
	rd_kafka_conf_t *conf = kafka_configure(s, partitions);
	if (conf == NULL)
		return NULL;
	struct kafka *k = xcalloc(1, sizeof(*k));
	k->stage = s;
	k->batch_max = KAFKA_BATCH_MESSAGES / (partitions > 0 ? partitions : 1);
	if (k->batch_max < 16)
		k->batch_max = 16;
	kafka_remember_credentials(k, conf);
	k->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (k->fd < 0)
		stage_fail(s, EXIT_TEMPORARY, "kafka.start", "eventfd: %s", strerror(errno));
	if (!kafka_connect(k, conf)) {
		kafka_free(k);
		return NULL;
	}
	k->group = rd_kafka_queue_get_consumer(k->rk);
	k->main = rd_kafka_queue_get_main(k->rk);
	rd_kafka_queue_io_event_enable(k->main, k->fd, &one, sizeof(one));
	return k;
}

static void
kafka_queue_free(struct queue *q)
{
	while (q->at < q->count)
		rd_kafka_message_destroy(q->batch[q->at++]);
	if (q->queue != NULL) {
		rd_kafka_queue_io_event_enable(q->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(q->queue);
	}
	free(q->batch);
	free(q->topic);
}

void
kafka_free(struct kafka *k)
{
	if (k == NULL)
		return;
	for (unsigned i = 0; i < k->count; i++)
		kafka_queue_free(&k->queues[i]);
	free(k->queues);
	if (k->main != NULL) {
		rd_kafka_queue_io_event_enable(k->main, -1, NULL, 0);
		rd_kafka_queue_destroy(k->main);
	}
	if (k->group != NULL)
		rd_kafka_queue_destroy(k->group);
	if (k->rk != NULL)
		rd_kafka_destroy_flags(k->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	close(k->fd);
	free(k->username);
	if (k->password != NULL)
		explicit_bzero(k->password, strlen(k->password));
	free(k->password);
	free(k);
}

/* ---- lookups ------------------------------------------------------------------------------- */

static enum kafka_result
kafka_answered(struct kafka *k)
{
	k->away = false;
	trouble_clear(&k->trouble);
	return KAFKA_OK;
}

/* Sort an error of a lookup; the callbacks may know more about why there was no answer. */
static enum kafka_result
kafka_unanswered(struct kafka *k, rd_kafka_resp_err_t err, const char *topic)
{
	rd_kafka_poll(k->rk, 0);
	switch (err) {
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		return KAFKA_MISSING;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		kafka_fail(k, EXIT_DENIED,
			   "Kafka does not let us read topic %s: grant READ and DESCRIBE on it",
			   topic);
		return KAFKA_DENIED;
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		strlcpy(k->trouble.text, rd_kafka_err2str(err), TROUBLE_SIZE);
		return KAFKA_DENIED;
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		kafka_fail(k, EXIT_CONFIG, "%s is no valid name of a topic", topic);
		return KAFKA_DENIED;
	default:
		break;
	}
	const struct option *servers = kafka_option(k->stage, "bootstrap.servers");
	if (k->trouble.text[0] == '\0')
		snprintf(k->trouble.text, TROUBLE_SIZE, "%s: %s",
			 servers != NULL ? servers->value : "the brokers", rd_kafka_err2str(err));
	return KAFKA_AWAY;
}

enum kafka_result
kafka_probe(struct kafka *k, int timeout_ms)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(k->rk, 0, NULL, &metadata, timeout_ms);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return kafka_unanswered(k, err, "");
	rd_kafka_metadata_destroy(metadata);
	return kafka_answered(k);
}

enum kafka_result
kafka_topic_partitions(struct kafka *k, const char *topic, int timeout_ms, int *count)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_t *handle = rd_kafka_topic_new(k->rk, topic, NULL);
	*count = 0;
	if (handle == NULL)
		return kafka_unanswered(k, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, topic);
	rd_kafka_resp_err_t err = rd_kafka_metadata(k->rk, 0, handle, &metadata, timeout_ms);
	rd_kafka_topic_destroy(handle);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return kafka_unanswered(k, err, topic);
	err = metadata->topic_cnt > 0 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
	if (metadata->topic_cnt > 0)
		*count = metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);
	kafka_answered(k);
	if (*count > 0)
		return KAFKA_OK;
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? KAFKA_MISSING : kafka_unanswered(k, err, topic);
}

enum kafka_result
kafka_topic_limits(struct kafka *k, const char *topic, int32_t partition, int timeout_ms,
		   int64_t *low, int64_t *high)
{
	rd_kafka_resp_err_t err =
	    rd_kafka_query_watermark_offsets(k->rk, topic, partition, low, high, timeout_ms);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? kafka_answered(k)
						 : kafka_unanswered(k, err, topic);
}

/* By the lookup for times: unlike that for limits it keeps its timeout (librdkafka's issues 2588 and 4878). */
enum kafka_result
kafka_log_end(struct kafka *k, unsigned queue, int timeout_ms, int64_t *end)
{
	const struct queue *q = &k->queues[queue];
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *p =
	    rd_kafka_topic_partition_list_add(list, q->topic, q->partition);
	p->offset = RD_KAFKA_OFFSET_END;
	rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(k->rk, list, timeout_ms);
	*end = p->offset;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = p->err;
	rd_kafka_topic_partition_list_destroy(list);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR && *end >= 0 ? kafka_answered(k) : KAFKA_AWAY;
}

static rd_kafka_topic_partition_list_t *
kafka_list(const struct kafka *k, unsigned count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (unsigned i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, k->queues[i].topic, k->queues[i].partition)
		    ->offset = RD_KAFKA_OFFSET_INVALID;
	return list;
}

/*
 * librdkafka lets a request wait for the group's coordinator in vain, and says once, elsewhere, that
 * it may not be looked up.
 */
static bool
kafka_group_is_denied(struct kafka *k)
{
	rd_kafka_message_t *m;
	while (k->group != NULL && (m = rd_kafka_consume_queue(k->group, 0)) != NULL) {
		if (m->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
			k->group_denied = true;
		rd_kafka_message_destroy(m);
	}
	return k->group_denied;
}

enum kafka_result
kafka_group_offsets(struct kafka *k, int timeout_ms, int64_t *offsets, unsigned count)
{
	INVARIANT(count <= k->count);
	rd_kafka_topic_partition_list_t *list = kafka_list(k, count);
	rd_kafka_resp_err_t err = rd_kafka_committed(k->rk, list, timeout_ms);
	for (unsigned i = 0; i < count; i++) {
		const rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_find(
		    list, k->queues[i].topic, k->queues[i].partition);
		offsets[i] = p != NULL && p->offset >= 0 ? p->offset : -1;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return kafka_answered(k);
	if (kafka_group_is_denied(k))
		err = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
	return kafka_unanswered(k, err, "");
}

const char *
kafka_group(const struct kafka *k)
{
	const struct option *o = kafka_option(k->stage, "group.id");
	return o != NULL ? o->value : k->stage->pipeline->name;
}

struct rd_kafka_s *
kafka_handle(const struct kafka *k)
{
	return k->rk;
}

/* ---- reading ------------------------------------------------------------------------------- */

unsigned
kafka_add(struct kafka *k, const char *topic, int32_t partition)
{
	k->queues = xreallocarray(k->queues, k->count + 1, sizeof(*k->queues));
	struct queue *q = &k->queues[k->count];
	*q = (struct queue){.topic = xstrdup(topic), .partition = partition};
	q->batch = xcalloc(k->batch_max, sizeof(rd_kafka_message_t *));
	return k->count++;
}

void
kafka_start_at(struct kafka *k, unsigned queue, int64_t offset)
{
	k->queues[queue].offset = offset;
}

int
kafka_assign(struct kafka *k)
{
	static const uint64_t one = 1;
	rd_kafka_topic_partition_list_t *list = kafka_list(k, k->count);
	for (unsigned i = 0; i < k->count; i++) {
		struct queue *q = &k->queues[i];
		list->elems[i].offset = q->offset;
		q->queue = rd_kafka_queue_get_partition(k->rk, q->topic, q->partition);
		if (q->queue == NULL)
			continue;
		rd_kafka_queue_forward(q->queue, NULL);
		rd_kafka_queue_io_event_enable(q->queue, k->fd, &one, sizeof(one));
	}
	rd_kafka_resp_err_t err = rd_kafka_assign(k->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	for (unsigned i = 0; i < k->count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		if (k->queues[i].queue == NULL)
			err = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && !FAULT("ingest.assign"))
		return 0;
	kafka_fail(k, EXIT_TEMPORARY, "cannot assign the partitions: %s", rd_kafka_err2str(err));
	return -1;
}

/*
 * Before 2.2, librdkafka's broker thread looks only once a second whether a queue that was over
 * its bound has room again, unless something wakes it. Setting the credentials that are set
 * already changes nothing and wakes it; nothing else in its interface does so without a request.
 */
static void
kafka_nudge(struct kafka *k, bool now)
{
	if (!k->nudge || !k->nudge_due)
		return;
	int64_t ms = clock_monotonic_ms();
	if (!now && ms == k->nudged_ms)
		return;
	k->nudged_ms = ms;
	k->nudge_due = false;
	rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(
	    k->rk, k->username != NULL ? k->username : "", k->password != NULL ? k->password : "");
	if (error != NULL)
		rd_kafka_error_destroy(error);
}

static void
kafka_queue_error(struct kafka *k, struct queue *q, const rd_kafka_message_t *m)
{
	switch (m->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		q->at_end = true;
		q->end = m->offset;
		return;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		kafka_fail(k, EXIT_CONFIG,
			   "%s [%d] does not hold the next offset any more: retention removed it, "
			   "or the topic was created anew (%s)",
			   q->topic, q->partition, rd_kafka_message_errstr(m));
		return;
	case RD_KAFKA_RESP_ERR__BAD_MSG:
	case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
	case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
		kafka_fail(k, EXIT_DATA, "%s [%d] offset %lld: the record is damaged: %s", q->topic,
			   q->partition, (long long)m->offset, rd_kafka_message_errstr(m));
		return;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		(void)kafka_unanswered(k, m->err, q->topic);
		return;
	default:
		log_debug("kafka.partition", "%s [%d]: %s", q->topic, q->partition,
			  rd_kafka_message_errstr(m));
		return;
	}
}

/* Only a queue that was full is waited for: to wake all of librdkafka for a lone message costs it time. */
static void
kafka_drained(struct kafka *k, struct queue *q)
{
	q->drained += q->count;
	for (unsigned i = 0; i < q->count; i++)
		q->drained_bytes += q->batch[i]->len + q->batch[i]->key_len;
	if (q->drained_bytes >= k->bound_bytes / 4 || q->drained >= k->bound / 4)
		k->nudge_due = true;
}

/* False when there is nothing more. */
static bool
kafka_fill(struct kafka *k, struct queue *q)
{
	ssize_t n = rd_kafka_consume_batch_queue(q->queue, 0, q->batch, k->batch_max);
	q->at = 0;
	q->count = n > 0 ? (unsigned)n : 0;
	if (q->count > 0) {
		(void)FAULT("ingest.polled");
		kafka_drained(k, q);
	} else {
		q->drained = q->drained_bytes = 0;
	}
	kafka_nudge(k, q->count == 0);
	return q->count > 0;
}

/*
 * The message after the one at hand, and the handle of that after it: librdkafka's thread has written them, so
 * they are in no cache of ours. Returns whether there is one.
 */
static bool
kafka_fetch_next(const struct queue *q)
{
	if (q->at + 2 < q->count)
		fetch_line(q->batch[q->at + 2]);
	if (q->at + 1 >= q->count) /* one may be the log's end */
		return rd_kafka_queue_length(q->queue) > 1;
	const rd_kafka_message_t *next = q->batch[q->at + 1];
	size_t len = next->len < KAFKA_AHEAD ? next->len : KAFKA_AHEAD;
	fetch_lines(next->payload, (unsigned)((len + FETCH_LINE - 1) / FETCH_LINE));
	return next->err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

enum kafka_next
kafka_peek(struct kafka *k, unsigned queue, struct kafka_message *message, int64_t *end)
{
	struct queue *q = &k->queues[queue];
	while (q->at < q->count || kafka_fill(k, q)) {
		const rd_kafka_message_t *m = q->batch[q->at];
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			q->at_end = false;
			bool followed = kafka_fetch_next(q);
			*message = (struct kafka_message){
			    m->key,   m->payload, m->key_len,
			    m->len,   m->offset,  rd_kafka_message_timestamp(m, NULL),
			    followed,
			};
			return KAFKA_MESSAGE;
		}
		kafka_queue_error(k, q, m);
		kafka_take(k, queue);
	}
	if (!q->at_end || k->away)
		return KAFKA_NOTHING;
	*end = q->end;
	return KAFKA_END;
}

void
kafka_take(struct kafka *k, unsigned queue)
{
	struct queue *q = &k->queues[queue];
	INVARIANT(q->at < q->count);
	rd_kafka_message_t *m = q->batch[q->at++];
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		q->offset = m->offset + 1;
	rd_kafka_message_destroy(m);
}

uint64_t
kafka_backlog(const struct kafka *k)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < k->count; i++) {
		const struct queue *q = &k->queues[i];
		int64_t low, high;
		if (q->at_end || q->offset < 0 ||
		    rd_kafka_get_watermark_offsets(k->rk, q->topic, q->partition, &low, &high) !=
			RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		if (high > q->offset)
			sum += (uint64_t)(high - q->offset);
	}
	return sum;
}

int
kafka_fd(const struct kafka *k)
{
	return k->fd;
}

void
kafka_serve(struct kafka *k)
{
	uint64_t count;
	while (read(k->fd, &count, sizeof(count)) == -1 && errno == EINTR)
		;
	rd_kafka_poll(k->rk, 0);
	if (k->away && trouble_is_meant(&k->trouble, clock_monotonic_ms()))
		kafka_fail(k, EXIT_DENIED, "%s of server \"%s\"", k->trouble.verdict,
			   kafka_server(k->stage)->name);
}

/* ---- the group's offsets ------------------------------------------------------------------- */

static void
kafka_on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *offsets,
		void *opaque)
{
	struct kafka *k = opaque;
	(void)rk;
	k->committing = false;
	(void)FAULT("ingest.offsets_done");
	for (int i = 0; offsets != NULL && i < offsets->cnt && err == 0; i++)
		err = offsets->elems[i].err;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != k->commit_error && !k->away)
		log_warn("kafka.commit",
			 "the offsets of group %s cannot be committed, lag tools will show too "
			 "much: %s",
			 kafka_group(k), rd_kafka_err2str(err));
	k->commit_error = err;
}

void
kafka_commit(struct kafka *k, const int64_t *next)
{
	if (k->committing)
		return;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)k->count);
	for (unsigned i = 0; i < k->count; i++)
		if (next[i] >= 0)
			rd_kafka_topic_partition_list_add(list, k->queues[i].topic,
							  k->queues[i].partition)
			    ->offset = next[i];
	if (list->cnt > 0 && !FAULT("ingest.before_offsets") &&
	    rd_kafka_commit_queue(k->rk, list, k->main, kafka_on_commit, k) == 0) {
		k->committing = true;
		(void)FAULT("ingest.offsets_sent");
	}
	rd_kafka_topic_partition_list_destroy(list);
}

bool
kafka_committing(const struct kafka *k)
{
	return k->committing;
}
