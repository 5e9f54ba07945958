#include "ingest/origin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "ingest/kafka_config.h"
#include "ingest/origin_state.h"
#include "ingest/source.h"

#define ORIGIN_LOOKUP_MS 500
#define ORIGIN_PAUSE_MS  100
#define ORIGIN_GLANCE_MS 200 /* a lookup while events may be waiting */

/* A check has only its report, and says itself what is no warning. */
void
origin_say(const struct origin *o, enum log_level level, const char *event, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!o->stage->check)
		log_line(level, event, "%s", text);
	else if (level == LOG_WARN)
		stage_report(o->stage, LOG_WARN, &o->source->server->place, "%s", text);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void
origin_pause(struct origin *o, int timeout_ms)
{
	struct pollfd fd = {.fd = kafka_fd(o->source->kafka), .events = POLLIN};
	stage_poll(o->stage, &fd, 1, timeout_ms);
	kafka_serve(o->source->kafka);
	source_check_failure(o->source);
	if (o->deadline_ms != 0 && clock_monotonic_ms() >= o->deadline_ms)
		stage_fail(o->stage, EXIT_UNAVAILABLE, "kafka.check",
			   "Kafka does not answer in time: %s", kafka_trouble(o->source->kafka));
	if (!o->stage->stopping)
		return;
	log_info("ingest.stopped", "asked to stop while waiting");
	exit(EXIT_OK);
}

static void
origin_wait(struct origin *o, enum kafka_result why, const char *topic)
{
	char note[sizeof(o->stage->self->note)];
	source_check_failure(o->source);
	if (why == KAFKA_MISSING)
		snprintf(note, sizeof(note), "waiting for topic %s to be created", topic);
	else
		snprintf(note, sizeof(note), "waiting for Kafka at %s",
			 kafka_trouble(o->source->kafka));
	if (!o->stage->check)
		stage_waiting(o->stage, note);
	o->waited = true;
	origin_pause(o, ORIGIN_PAUSE_MS);
}

static int
origin_wait_topic(struct origin *o, const char *topic)
{
	for (;;) {
		int count;
		enum kafka_result r =
		    kafka_topic_partitions(o->source->kafka, topic, ORIGIN_LOOKUP_MS, &count);
		stage_beat(o->stage);
		if (r == KAFKA_OK)
			return count;
		origin_wait(o, r, topic);
	}
}

void
origin_wait_limits(struct origin *o, const char *topic, int32_t partition, int64_t *low,
		   int64_t *high)
{
	for (;;) {
		enum kafka_result r = kafka_topic_limits(o->source->kafka, topic, partition,
							 ORIGIN_LOOKUP_MS, low, high);
		stage_beat(o->stage);
		if (r == KAFKA_OK)
			return;
		origin_wait(o, r, topic);
	}
}

/*
 * All -1 when the group may not be used: its offsets are for lag tools, and nothing depends on them
 * unless the user says so.
 */
static void
origin_wait_group(struct origin *o, int64_t *offsets, unsigned count)
{
	for (;;) {
		enum kafka_result r =
		    kafka_group_offsets(o->source->kafka, ORIGIN_LOOKUP_MS, offsets, count);
		stage_beat(o->stage);
		if (r == KAFKA_OK)
			return;
		if (r == KAFKA_DENIED && kafka_failure(o->source->kafka, NULL) == 0) {
			if (o->source->server->start == START_COMMITTED)
				stage_fail(o->stage, EXIT_DENIED, "ingest.group",
					   "option start is 'committed', but group %s may not be "
					   "used: grant READ on it",
					   kafka_group(o->source->kafka));
			origin_say(o, LOG_WARN, "ingest.group",
				   "group %s may not be used, lag tools will show nothing: %s",
				   kafka_group(o->source->kafka), kafka_trouble(o->source->kafka));
			return;
		}
		origin_wait(o, r, "");
	}
}

/* ---- partitions ---------------------------------------------------------------------------- */

/* kafka_new()'s result; ends the process when it was none. */
static struct kafka *
origin_accepted(struct stage *stage, struct kafka *kafka)
{
	if (kafka == NULL)
		stage_fail(stage, EXIT_CONFIG, "kafka.options",
			   "the options of server \"%s\" are refused",
			   stage->pipeline->servers[stage->server].name);
	return kafka;
}

/* A first guess of how many partitions there are: one for each topic. */
static unsigned
origin_guess(const struct stage *stage)
{
	const struct pipeline *p = stage->pipeline;
	unsigned guess = p->servers[stage->server].transaction_topic != NULL ? 1 : 0;
	for (unsigned i = 0; i < p->table_count; i++)
		guess += p->tables[i].server == stage->server ? 1 : 0;
	return guess;
}

static void
origin_add_partition(struct source *s, uint16_t table, int32_t partition)
{
	s->partitions = xreallocarray(s->partitions, s->count + 1, sizeof(*s->partitions));
	s->partitions[s->count++] = (struct partition){
	    .table = table,
	    .partition = partition,
	    .decoder = decoder_new(&s->stage->pipeline->tables[table]),
	    .before.offset = -1,
	    .durable.offset = -1,
	};
	decoder_follow(s->partitions[s->count - 1].decoder, &s->server->connector);
}

/* Queues get the numbers of their partitions; the transaction topic's is the one after them. */
static void
origin_add_queues(struct source *s)
{
	bool transactions = s->mode == ORDER_METADATA;
	if (s->count + transactions > origin_guess(s->stage)) {
		kafka_free(s->kafka);
		s->kafka = origin_accepted(s->stage, kafka_new(s->stage, s->count + transactions));
	}
	for (unsigned i = 0; i < s->count; i++)
		kafka_add(s->kafka, source_topic(s, i), s->partitions[i].partition);
	if (transactions)
		kafka_add(s->kafka, s->server->transaction_topic, 0);
}

/*
 * A row that is compacted away would never have been: with a key, the newest one is enough. But the END of
 * its transaction would be waited for.
 */
static void
origin_check_compaction(struct origin *o, const struct table *t)
{
	enum kafka_result r;
	bool compacted;
	while ((r = kafka_topic_is_compacted(o->source->kafka, t->topic, ORIGIN_LOOKUP_MS,
					     &compacted)) == KAFKA_AWAY)
		origin_wait(o, r, t->topic);
	if (!compacted)
		return;
	if (t->key_count > 0) {
		stage_report(o->stage, LOG_ERROR, &t->topic_place,
			     "topic %s is compacted (cleanup.policy): the transaction topic counts "
			     "events that are gone; take the option transaction_topic out, or set "
			     "cleanup.policy=delete and let Debezium snapshot again",
			     t->topic);
		stage_fail(o->stage, EXIT_CONFIG, "ingest.compacted",
			   "topic %s is compacted, and its server has a transaction_topic",
			   t->topic);
	}
	stage_report(
	    o->stage, LOG_ERROR, &t->topic_place,
	    "topic %s is compacted (cleanup.policy): of a table without PRIMARY KEY that loses "
	    "rows; set cleanup.policy=delete and let Debezium snapshot again, or declare the "
	    "PRIMARY KEY",
	    t->topic);
	stage_fail(
	    o->stage, EXIT_CONFIG, "ingest.compacted",
	    "table \"%s\" declares no PRIMARY KEY, but its topic %s is compacted: rows are lost",
	    t->name, t->topic);
}

static void
origin_check_truncate(struct stage *stage, const struct table *t, int count)
{
	static const char why[] = "which of their rows came before a TRUNCATE is not known";
	if (count == 1)
		return;
	if (t->truncate == TRUNCATE_IF_ORDERED && stage->check)
		stage_report(stage, LOG_INFO, &t->topic_place,
			     "topic %s has %d partitions: %s, so one would stop the pipeline",
			     t->topic, count, why);
	if (t->truncate != TRUNCATE_FOLLOW)
		return;
	stage_report(stage, LOG_ERROR, &t->truncate_place,
		     "topic %s has %d partitions: %s; it must have exactly one, or the option "
		     "truncate must go",
		     t->topic, count, why);
	stage_fail(stage, EXIT_CONFIG, "ingest.truncate",
		   "table \"%s\" has truncate 'follow', but topic %s has %d partitions: %s",
		   t->name, t->topic, count, why);
}

static void
origin_find_partitions(struct origin *o)
{
	struct source *s = o->source;
	const struct pipeline *p = o->stage->pipeline;
	for (unsigned t = 0; t < p->table_count; t++) {
		if (p->tables[t].server != o->stage->server)
			continue;
		int count = origin_wait_topic(o, p->tables[t].topic);
		origin_check_truncate(o->stage, &p->tables[t], count);
		if (p->tables[t].key_count == 0 || s->server->transaction_topic != NULL)
			origin_check_compaction(o, &p->tables[t]);
		for (int32_t i = 0; i < count; i++)
			origin_add_partition(s, (uint16_t)t, i);
	}
	s->mode = source_mode(s->server, (int)s->count);
	origin_add_queues(s);
	o->from = xcalloc(s->count, sizeof(*o->from));
	o->check_first = xcalloc(s->count, sizeof(*o->check_first));
	for (unsigned i = 0; i < s->count; i++) {
		o->from[i].table = s->partitions[i].table;
		o->from[i].partition = s->partitions[i].partition;
	}
}

/* ---- the transaction topic ----------------------------------------------------------------- */

static void
origin_check_transaction_partitions(const struct source *s, int count)
{
	if (count == 1)
		return;
	stage_report(s->stage, LOG_ERROR, &s->server->transaction_place,
		     "transaction_topic %s has %d partitions: the ends of transactions have no "
		     "order over several; it must have exactly one",
		     s->server->transaction_topic, count);
	stage_fail(s->stage, EXIT_CONFIG, "ingest.transaction_topic",
		   "transaction_topic %s has %d partitions instead of one",
		   s->server->transaction_topic, count);
}

/* Debezium makes it with its first transaction: snapshots do not wait for that, nor do we. */
static void
origin_find_transactions(struct origin *o)
{
	struct source *s = o->source;
	const char *topic = s->server->transaction_topic;
	int64_t low = 0, high = 0;
	enum kafka_result r;
	int count;
	while ((r = kafka_topic_partitions(s->kafka, topic, ORIGIN_LOOKUP_MS, &count)) ==
	       KAFKA_AWAY)
		origin_wait(o, r, topic);
	source_check_failure(s);
	s->transaction_exists = r == KAFKA_OK;
	if (r == KAFKA_OK) {
		origin_check_transaction_partitions(s, count);
		origin_wait_limits(o, topic, 0, &low, &high);
	} else {
		origin_say(o, LOG_INFO, "ingest.transaction_topic",
			   "waiting for topic %s to be created: Debezium does it with the first "
			   "transaction (provide.transaction.metadata=true)",
			   topic);
	}
	if (!o->transaction.set) {
		o->transaction = (struct transaction_position){.set = true};
		o->transaction.start = s->server->start == START_LATEST ? high : low;
		o->transaction.next = o->transaction.start;
	} else if (o->transaction.next > high) {
		stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
			   "%s ends at offset %lld, before the target's position %lld: it was "
			   "created anew or truncated. Bring it back. %s",
			   topic, (long long)high, (long long)o->transaction.next,
			   source_start_anew(s));
	} else if (o->transaction.next < low) {
		origin_say(o, LOG_WARN, "ingest.history",
			   "%s begins at offset %lld, the target's position is %lld: transactions "
			   "between them are shown together",
			   topic, (long long)low, (long long)o->transaction.next);
		o->transaction.next = low;
	} else if (o->transaction.next > low && o->transaction.hash != 0) {
		s->transaction_check.offset = o->transaction.next - 1;
		s->transaction_check.hash = o->transaction.hash;
	}
}

void
origin_look_for_transactions(struct source *s)
{
	int count;
	if (kafka_topic_partitions(s->kafka, s->server->transaction_topic, ORIGIN_GLANCE_MS,
				   &count) != KAFKA_OK)
		return;
	origin_check_transaction_partitions(s, count);
	s->transaction_exists = true;
	log_info("ingest.transaction_topic", "topic %s is there", s->server->transaction_topic);
}

void
origin_look_for_partitions(struct source *s)
{
	for (unsigned p = 0; p < s->count; p++) {
		int count, known = s->partitions[p].partition + 1;
		if (p + 1 < s->count && s->partitions[p + 1].table == s->partitions[p].table)
			continue;
		if (kafka_topic_partitions(s->kafka, source_topic(s, p), ORIGIN_GLANCE_MS,
					   &count) == KAFKA_OK &&
		    count > known)
			stage_fail(s->stage, EXIT_RECOVER, "ingest.partitions",
				   "topic %s now has %d partitions instead of %d: starting over "
				   "to read them all",
				   source_topic(s, p), count, known);
		stage_beat(s->stage);
	}
}

/* ---- first start --------------------------------------------------------------------------- */

_Noreturn static void
origin_refuse_history(struct origin *o, unsigned p, int64_t low)
{
	const struct source *s = o->source;
	stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
		   "%s [%d] begins at offset %lld and not with a snapshot: what came before is "
		   "gone, so the views would be wrong. Let Debezium make a new snapshot, or set "
		   "option start of server \"%s\" to 'earliest' (all that is left), 'committed' "
		   "(from the offsets of group %s) or 'latest' (only what comes from now on)",
		   source_topic(s, p), s->partitions[p].partition, (long long)low, s->server->name,
		   kafka_group(s->kafka));
}

static void
origin_refuse_group(struct origin *o, const int64_t *offsets)
{
	const struct source *s = o->source;
	for (unsigned p = 0; p < s->count; p++)
		if (offsets[p] >= 0)
			stage_fail(
			    o->stage, EXIT_CONFIG, "ingest.group",
			    "group %s has committed offset %lld of %s [%d], but the target "
			    "holds no position of pipeline %s. Is it the right database? If "
			    "so, set option start of server \"%s\" to 'earliest' (all of the "
			    "log), 'committed' (from those offsets) or 'latest', or set "
			    "another group.id",
			    kafka_group(s->kafka), (long long)offsets[p], source_topic(s, p),
			    s->partitions[p].partition, o->stage->pipeline->name, s->server->name);
}

static int64_t
origin_committed(struct origin *o, unsigned p, const int64_t *offsets, int64_t low)
{
	const struct source *s = o->source;
	if (offsets[p] < 0)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.group",
			   "option start of server \"%s\" is 'committed', but group %s has no "
			   "committed offset of %s [%d]",
			   s->server->name, kafka_group(s->kafka), source_topic(s, p),
			   s->partitions[p].partition);
	if (offsets[p] < low)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
			   "group %s has committed offset %lld of %s [%d], which begins at %lld: "
			   "what is between them is gone. Set option start to 'earliest' or "
			   "'latest'",
			   kafka_group(s->kafka), (long long)offsets[p], source_topic(s, p),
			   s->partitions[p].partition, (long long)low);
	return offsets[p];
}

static void
origin_first_start(struct origin *o)
{
	struct source *s = o->source;
	enum start start = s->server->start;
	int64_t *offsets = xcalloc(s->count + 1, sizeof(*offsets));
	for (unsigned p = 0; p < s->count; p++)
		offsets[p] = -1;
	if (start == START_CHECKED || start == START_COMMITTED)
		origin_wait_group(o, offsets, s->count);
	if (start == START_CHECKED)
		origin_refuse_group(o, offsets);
	for (unsigned p = 0; p < s->count; p++) {
		int64_t low, high, begin;
		origin_wait_limits(o, source_topic(s, p), s->partitions[p].partition, &low, &high);
		begin = start == START_LATEST      ? high
			: start == START_COMMITTED ? origin_committed(o, p, offsets, low)
						   : low;
		if (start == START_CHECKED && low > 0 && low == high)
			origin_refuse_history(o, p, low);
		o->check_first[p] = start == START_CHECKED && low > 0;
		o->from[p].start = o->from[p].next = begin;
	}
	free(offsets);
}

/*
 * Before anything is shown: a log that does not begin at offset 0 must begin with a snapshot. The
 * heads stay where they are.
 */
static void
origin_check_first(struct origin *o, unsigned p)
{
	struct source *s = o->source;
	struct kafka_message m;
	struct event event;
	char error[512];
	int64_t end;
	while (kafka_peek(s->kafka, p, &m, &end) != KAFKA_MESSAGE)
		origin_pause(o, ORIGIN_PAUSE_MS);
	if (decoder_read(s->partitions[p].decoder, m.key, m.key_len, m.value, m.value_len, &event,
			 error, sizeof(error)) != 0)
		stage_fail(o->stage, EXIT_DATA, "ingest.malformed", "%s [%d] offset %lld: %s",
			   source_topic(s, p), s->partitions[p].partition, (long long)m.offset,
			   error);
	if (event.place.kind != EVENT_CHANGE || event.place.snapshot == SNAPSHOT_FALSE ||
	    event.place.snapshot == SNAPSHOT_INCREMENTAL)
		origin_refuse_history(o, p, m.offset);
}

/* ---- the three ways ------------------------------------------------------------------------ */

static void
origin_assign(struct source *s)
{
	for (unsigned p = 0; p < s->count; p++) {
		int64_t before = s->partitions[p].before.offset;
		kafka_start_at(s->kafka, p,
			       before >= 0 ? before : order_partition(s->order, (int)p)->next);
	}
	if (s->mode == ORDER_METADATA)
		kafka_start_at(s->kafka, s->count,
			       s->transaction_check.offset >= 0
				   ? s->transaction_check.offset
				   : order_transaction(s->order)->next);
	if (kafka_assign(s->kafka) != 0)
		source_check_failure(s);
}

static void
origin_make_order(struct origin *o)
{
	struct source *s = o->source;
	s->order = order_new(s->mode, o->stage->pipeline->autocommit_duration_ms);
	for (unsigned p = 0; p < s->count; p++) {
		int number =
		    order_add_partition(s->order, &o->from[p], o->durable ? &o->durable[p] : NULL);
		if (o->stage->pipeline->tables[o->from[p].table].key_count == 0)
			order_set_keyless(s->order, number);
	}
	if (s->mode == ORDER_METADATA)
		order_set_transaction(s->order, &o->transaction);
}

/* The number of partitions is in the token, and the mode follows from it. */
static void
origin_load(struct source *s, const uint8_t *token, size_t token_len)
{
	int64_t autocommit_ms = s->stage->pipeline->autocommit_duration_ms;
	s->mode = source_mode(s->server, 0);
	for (int attempt = 0; attempt < 2; attempt++) {
		s->order = order_new(s->mode, autocommit_ms);
		if (!order_load(s->order, token, token_len) || FAULT("ingest.load"))
			stage_fail(s->stage, EXIT_RECOVER, "ingest.token",
				   "the resume token is of another version");
		enum order_mode mode = source_mode(s->server, order_partitions(s->order));
		if (mode == s->mode)
			return;
		order_free(s->order);
		s->mode = mode;
	}
}

static void
origin_resume(struct origin *o, const uint8_t *token, size_t token_len)
{
	struct source *s = o->source;
	origin_load(s, token, token_len);
	for (int i = 0; i < order_partitions(s->order); i++) {
		const struct partition_position *at = order_partition(s->order, i);
		if (at->table >= o->stage->pipeline->table_count)
			stage_fail(o->stage, EXIT_RECOVER, "ingest.token",
				   "the resume token names a table that is not there");
		origin_add_partition(s, at->table, at->partition);
	}
	origin_add_queues(s);
	s->transaction_exists = s->mode == ORDER_METADATA && order_transaction(s->order)->next > 0;
	log_info("ingest.resume", "going on from the resume token");
}

static void
origin_discover(struct origin *o, struct slice durable, struct slice checkpoint)
{
	origin_find_partitions(o);
	if (durable.len > 0)
		origin_recover(o, durable, checkpoint);
	else
		origin_first_start(o);
	if (o->source->mode == ORDER_METADATA)
		origin_find_transactions(o);
	origin_make_order(o);
}

static void
origin_start(struct origin *o)
{
	const struct board_origin *from = board_origin(o->stage->board);
	struct board_durable *durable = xcalloc(1, sizeof(*durable));
	if (!board_durable(o->stage->board, durable))
		durable->len = 0;
	(void)FAULT("ingest.origin");
	origin_discover(o, (struct slice){durable->position, durable->len},
			(struct slice){from->position, from->len});
	if (durable->len > 0)
		log_info("ingest.recover", "reading history from %s up to batch %llu",
			 o->checkpoint ? "the checkpoint" : "its start",
			 (unsigned long long)durable->batch);
	free(durable);
}

static void
origin_check_firsts(struct origin *o)
{
	for (unsigned p = 0; o->check_first != NULL && p < o->source->count; p++)
		if (o->check_first[p])
			origin_check_first(o, p);
}

static void
origin_free(struct origin *o)
{
	free(o->from);
	free(o->durable);
	free(o->check_first);
}

void
origin_await_turn(struct source *s, struct stage *stage)
{
	s->kafka = kafka_new(stage, origin_guess(stage));
	if (stage->held && s->kafka != NULL)
		(void)kafka_probe(s->kafka, ORIGIN_GLANCE_MS); /* it connects when it is asked */
	/* The supervisor starts another for one that ends before its turn, and that would say it again. */
	stage_wait_turn(stage);
	(void)origin_accepted(stage, s->kafka);
}

void
origin_open(struct source *s, struct stage *stage, const uint8_t *token, size_t token_len)
{
	struct origin o = {.source = s, .stage = stage};
	*s = (struct source){.kafka = s->kafka,
			     .stage = stage,
			     .server = &stage->pipeline->servers[stage->server],
			     .transaction_check.offset = -1};
	if (token_len > 0)
		origin_resume(&o, token, token_len);
	else
		origin_start(&o);
	(void)FAULT("ingest.discovered");
	origin_assign(s);
	origin_check_firsts(&o);
	(void)FAULT("ingest.assigned");
	log_info("ingest.start", "server %s: %u partition%s, mode %s%s", s->server->name, s->count,
		 s->count == 1 ? "" : "s", source_mode_name(s->mode),
		 o.waited ? ", all that was waited for is there" : "");
	if (order_is_replaying(s->order))
		board_set_state(stage->self, STAGE_REPLAY, "");
	stage_ready(stage);
	origin_free(&o);
}

/* ---- check --------------------------------------------------------------------------------- */

/* The record that the target's position was made from, if it is there still. */
static void
origin_check_record(struct origin *o, unsigned p)
{
	struct source *s = o->source;
	struct kafka_message m;
	enum kafka_next next;
	int64_t end;
	while ((next = kafka_peek(s->kafka, p, &m, &end)) == KAFKA_NOTHING)
		origin_pause(o, ORIGIN_PAUSE_MS);
	if (next == KAFKA_MESSAGE)
		source_check_hash(s, p, m.offset, source_hash(&m));
}

void
origin_check(struct stage *stage, const char *position, const char *checkpoint, int64_t deadline_ms)
{
	struct source s = {.stage = stage,
			   .server = &stage->pipeline->servers[stage->server],
			   .transaction_check.offset = -1};
	struct origin o = {.source = &s, .stage = stage, .deadline_ms = deadline_ms};
	s.kafka = origin_accepted(stage, kafka_new(stage, origin_guess(stage)));
	origin_discover(&o, (struct slice){position, strlen(position)},
			(struct slice){checkpoint, strlen(checkpoint)});
	for (unsigned p = 0; p < s.count; p++) {
		int64_t offset = s.partitions[p].durable.offset;
		kafka_start_at(s.kafka, p, offset >= 0 ? offset : o.from[p].next);
	}
	if (s.mode == ORDER_METADATA)
		kafka_start_at(s.kafka, s.count, o.transaction.next);
	if (kafka_assign(s.kafka) != 0)
		source_check_failure(&s);
	origin_check_firsts(&o);
	for (unsigned p = 0; p < s.count; p++)
		if (s.partitions[p].durable.offset >= 0)
			origin_check_record(&o, p);
	origin_free(&o);
	source_close(&s);
}
