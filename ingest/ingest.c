/*
 * ingest.c - the stage that reads one Kafka server: its loop, and its side of `tallyd check`.
 *
 * One turn of the loop: fetch what order wants, do what order says, and sleep only when it says
 * WAIT and nothing new has come. Everything that takes its time is done while asleep: offsets for
 * Kafka, a look at a server that is away, topics that grow.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "ingest/heartbeat.h"
#include "ingest/kafka.h"
#include "ingest/order.h"
#include "ingest/origin.h"
#include "ingest/sample.h"
#include "ingest/source.h"
#include "ingest/writer.h"

#define INGEST_STEPS      256   /* between two looks at all partitions */
#define INGEST_OFFSETS_MS 1000  /* between two commits of offsets to Kafka */
#define INGEST_PROBE_MS   500   /* between two looks for what is away */
#define INGEST_STOPPED_MS 2000  /* a turn that takes longer was not ours */
#define INGEST_GROWTH_MS  60000 /* between two looks for new partitions */
#define INGEST_FINISH_MS  2000  /* how long an open transaction may take at the end */
#define INGEST_PROBE_FOR  200
#define INGEST_CHECK_FOR  5000
#define INGEST_GAP_MS     1000 /* between two lines about losses */
#define INGEST_CAUGHT_UP  256  /* messages: a backlog that is none */
#define INGEST_SWELLS     4096 /* and one that comes in large fetches, if it is only a burst */

struct ingest {
	struct stage *stage;
	struct source source;
	struct writer writer;
	struct heartbeat heartbeat;
	int64_t now_ms;
	int64_t polled_ms; /* when the control socket was looked at, but for sleeps */
	int64_t finish_ms; /* stopping or poisoned: the latest end; 0: neither */
	int64_t offsets_ms, probe_ms, growth_ms; /* when each is due */
	uint64_t offsets_batch;                  /* whose position Kafka was told */
	int64_t gap_ms;                          /* when the next may be told */
	unsigned gaps_untold;
	bool away;                     /* and that was said */
	bool swollen;                  /* it had much to read, and has kept what that took */
	struct board_durable *durable; /* room for a copy */
	int64_t *offsets;
};

/* ---- check --------------------------------------------------------------------------------- */

static void
check_stop_on_failure(struct stage *stage, const struct kafka *k)
{
	const char *text;
	int code = kafka_failure(k, &text);
	if (code == 0)
		return;
	stage_report(stage, LOG_ERROR, &stage->pipeline->servers[stage->server].place, "%s", text);
	exit(code);
}

/* The partitions of a topic; 0 when it is missing. Ends the process when there is no answer. */
static int
check_topic(struct stage *stage, struct kafka *k, const char *topic, int64_t deadline_ms)
{
	const struct server *server = &stage->pipeline->servers[stage->server];
	for (;;) {
		int count;
		enum kafka_result r = kafka_topic_partitions(k, topic, INGEST_PROBE_FOR, &count);
		kafka_serve(k);
		check_stop_on_failure(stage, k);
		if (r == KAFKA_OK)
			return count;
		if (r == KAFKA_MISSING)
			return 0;
		if (clock_monotonic_ms() < deadline_ms)
			continue;
		stage_report(stage, LOG_ERROR, &server->place, "Kafka cannot be reached: %s",
			     kafka_trouble(k));
		exit(EXIT_UNAVAILABLE);
	}
}

static void
check_transactions(struct stage *stage, struct kafka *k, int64_t deadline_ms)
{
	const struct server *server = &stage->pipeline->servers[stage->server];
	if (server->transaction_topic == NULL)
		return;
	int count = check_topic(stage, k, server->transaction_topic, deadline_ms);
	if (count == 0)
		stage_report(stage, LOG_WARN, &server->transaction_place,
			     "topic %s does not exist yet: Debezium creates it with its first "
			     "transaction when provide.transaction.metadata=true",
			     server->transaction_topic);
	if (count == 1 && sample_transaction_lsns(stage, deadline_ms) != SAMPLE_NO)
		return;
	if (count == 1)
		stage_report(stage, LOG_ERROR, &server->transaction_place,
			     "the messages in %s have no LSN: Debezium 2 or newer is needed for "
			     "it; take transaction_topic out of the pipeline file",
			     server->transaction_topic);
	else if (count > 1)
		stage_report(stage, LOG_ERROR, &server->transaction_place,
			     "transaction_topic %s has %d partitions: it must have exactly one",
			     server->transaction_topic, count);
	if (count > 0)
		exit(EXIT_CONFIG);
}

/* By a client of its own: a run takes the topic as it is, and goes on without it. */
static void
check_heartbeats(struct stage *stage)
{
	const struct server *server = &stage->pipeline->servers[stage->server];
	const char *topic = server->heartbeat_topic, *text;
	int count;
	struct kafka *k = topic != NULL ? kafka_new(stage, 0) : NULL;
	if (k == NULL)
		return;
	enum kafka_result r = kafka_topic_partitions(k, topic, INGEST_CHECK_FOR, &count);
	if (kafka_failure(k, &text) != 0)
		stage_report(stage, LOG_WARN, &server->heartbeat_place,
			     "the heartbeats cannot be read: %s", text);
	else if (r == KAFKA_MISSING)
		stage_report(stage, LOG_WARN, &server->heartbeat_place,
			     "topic %s does not exist yet: Debezium creates it with its first "
			     "heartbeat when heartbeat.interval.ms is set",
			     topic);
	else if (r == KAFKA_OK && count > 1)
		stage_report(stage, LOG_WARN, &server->heartbeat_place,
			     "heartbeat_topic %s has %d partitions: only the first is read, so "
			     "silence may be told where there is none",
			     topic, count);
	kafka_free(k);
}

/* How many partitions there are; a missing topic, noted in *missing, counts as one at least. */
static int
check_tables(struct stage *stage, struct kafka *k, int64_t deadline_ms, bool *missing)
{
	const struct pipeline *p = stage->pipeline;
	int total = 0;
	*missing = false;
	for (unsigned i = 0; i < p->table_count; i++) {
		const struct table *t = &p->tables[i];
		if (t->server != stage->server)
			continue;
		int count = check_topic(stage, k, t->topic, deadline_ms);
		if (count == 0) {
			*missing = true;
			stage_report(stage, LOG_WARN, &t->topic_place,
				     "topic %s does not exist yet: tallyd will wait for it",
				     t->topic);
			total++;
			continue;
		}
		stage_report(stage, LOG_INFO, &t->topic_place, "topic %s: %d partition%s", t->topic,
			     count, count == 1 ? "" : "s");
		total += count;
	}
	return total;
}

/* What a run would find out at the first event: see source_check_sequences(). */
static enum order_mode
check_sequences(struct stage *stage)
{
	const struct pipeline *p = stage->pipeline;
	for (unsigned i = 0; i < p->table_count; i++)
		if (p->tables[i].server == stage->server &&
		    sample_sequences(stage, i, clock_monotonic_ms() + INGEST_CHECK_FOR) ==
			SAMPLE_NO)
			return ORDER_NONE;
	return ORDER_SEQUENCE;
}

static void
check_mode(struct stage *stage, int partitions, bool known)
{
	const struct server *server = &stage->pipeline->servers[stage->server];
	if (!known && server->transaction_topic == NULL) {
		stage_report(stage, LOG_INFO, &server->place,
			     "server %s: transaction mode: decided by the number of partitions",
			     server->name);
		return;
	}
	enum order_mode mode = source_mode(server, partitions);
	if (mode == ORDER_SEQUENCE)
		mode = check_sequences(stage);
	stage_report(stage, LOG_INFO, &server->place, "server %s: transaction mode %s: %s",
		     server->name, source_mode_name(mode), source_promise(mode));
}

/*
 * What the supervisor knows of the target's position: NULL when the target could not be asked, ""
 * when it has none; after a tab that of its checkpoint, if it has one. Heap. To be called before
 * anything else is opened: the descriptor may be closed.
 */
static char *
check_take_position(struct stage *stage)
{
	struct stat st;
	if (fstat(STAGE_FD_RINGS, &st) != 0)
		return NULL;
	char *position = xcalloc((size_t)st.st_size + 1, 1);
	if (pread(STAGE_FD_RINGS, position, (size_t)st.st_size, 0) != st.st_size)
		stage_fail(stage, EXIT_INTERNAL, "ingest.check", "the position cannot be read: %s",
			   strerror(errno));
	close(STAGE_FD_RINGS);
	return position;
}

static void
check_history(struct stage *stage, char *position)
{
	char *checkpoint = strchr(position, '\t');
	if (checkpoint != NULL)
		*checkpoint++ = '\0';
	const struct server *server = &stage->pipeline->servers[stage->server];
	origin_check(stage, position, checkpoint != NULL ? checkpoint : "",
		     clock_monotonic_ms() + INGEST_CHECK_FOR);
	stage_report(stage, LOG_INFO, &server->place, "server %s: %s", server->name,
		     position[0] != '\0' ? "its history goes on where the target is"
					 : "a first start finds its history");
}

static void
check_online(struct stage *stage, char *position)
{
	bool missing;
	struct kafka *k = kafka_new(stage, 1);
	if (k == NULL)
		exit(EXIT_CONFIG);
	int64_t deadline_ms = clock_monotonic_ms() + INGEST_CHECK_FOR;
	int partitions = check_tables(stage, k, deadline_ms, &missing);
	check_transactions(stage, k, deadline_ms);
	check_heartbeats(stage);
	check_mode(stage, partitions, !missing || partitions > 1);
	kafka_free(k);
	if (!missing && position != NULL)
		check_history(stage, position);
}

static int
ingest_check(struct stage *stage)
{
	char *position = check_take_position(stage);
	if (!kafka_check_options(stage))
		return EXIT_CONFIG;
	if (stage->offline)
		check_mode(stage, 0, false);
	else
		check_online(stage, position);
	free(position);
	return EXIT_OK;
}

/* ---- what is done while asleep ------------------------------------------------------------- */

/* Let Kafka know what the target holds; nothing depends on it but lag tools. */
static void
ingest_commit_offsets(struct ingest *in)
{
	struct source *s = &in->source;
	struct partition_position *at;
	struct transaction_position transaction = {.set = false};
	unsigned count;
	const char *error;
	in->offsets_ms = in->now_ms + INGEST_OFFSETS_MS;
	if (kafka_committing(s->kafka) || kafka_is_away(s->kafka) ||
	    board_durable_batch(in->stage->board) == in->offsets_batch ||
	    !board_durable(in->stage->board, in->durable) || in->durable->len == 0)
		return;
	in->offsets_batch = in->durable->batch;
	if (position_parse(in->durable->position, in->durable->len, in->stage->pipeline,
			   in->stage->server, &at, &count, &transaction, &error) != 0) {
		log_warn("ingest.offsets", "the position in the target cannot be read: %s", error);
		return;
	}
	for (unsigned p = 0; p < s->count; p++) {
		in->offsets[p] = -1;
		for (unsigned i = 0; i < count; i++)
			if (at[i].table == s->partitions[p].table &&
			    at[i].partition == s->partitions[p].partition)
				in->offsets[p] = at[i].next;
	}
	free(at);
	in->offsets[s->count] = transaction.set && s->transaction_exists ? transaction.next : -1;
	kafka_commit(s->kafka, in->offsets);
}

static void
ingest_say_running(struct ingest *in)
{
	bool replaying = order_is_replaying(in->source.order);
	board_set_state(in->stage->self, replaying ? STAGE_REPLAY : STAGE_RUNNING, "");
}

static void
ingest_say_away(struct ingest *in)
{
	char note[240];
	snprintf(note, sizeof(note), "waiting for Kafka at %s", kafka_trouble(in->source.kafka));
	in->away = true;
	stage_waiting(in->stage, note);
}

static void
ingest_probe(struct ingest *in)
{
	struct source *s = &in->source;
	in->probe_ms = in->now_ms + INGEST_PROBE_MS;
	if (kafka_is_away(s->kafka) && kafka_probe(s->kafka, INGEST_PROBE_FOR) != KAFKA_OK) {
		ingest_say_away(in);
		return;
	}
	if (in->away) {
		in->away = false;
		log_info("kafka.back", "Kafka is back");
		ingest_say_running(in);
	}
	if (s->mode == ORDER_METADATA && !s->transaction_exists)
		origin_look_for_transactions(s);
}

static void
ingest_tell_silence(const struct ingest *in)
{
	const struct server *server = in->source.server;
	int64_t written_ms = in->source.flow.written_ms;
	char since[CLOCK_TEXT] = "this start";
	if (written_ms > 0)
		clock_print(written_ms, since);
	log_warn("source.silent",
		 "server %s: nothing from its connector since %s, and no heartbeat in %s: look at "
		 "its log in Kafka Connect (one that is RUNNING may deliver nothing), and at its "
		 "slot and publication",
		 server->name, since, server->heartbeat_topic);
}

/* For status; one line when the connector falls silent, and one when it writes again. */
static void
ingest_look_at_flow(struct ingest *in)
{
	struct board_stage *self = in->stage->self;
	struct flow *flow = &in->source.flow;
	int64_t before_ms = flow->looked_ms;
	board_count(self, COUNTER_HEARTBEATS, heartbeat_read(&in->heartbeat, flow, in->now_ms));
	if (kafka_is_away(in->source.kafka))
		flow_excuse(flow, in->now_ms);
	/* Where no heartbeat has ever come, silence may be an idle table's. */
	bool heartbeats = board_counter(self, COUNTER_HEARTBEATS) > 0;
	enum flow_news news =
	    flow_look(flow, heartbeats ? in->source.server->silence_warning_ms : 0, in->now_ms);
	board_gauge(self, COUNTER_WRITTEN_MS, (uint64_t)flow->written_ms);
	board_gauge(self, COUNTER_SILENT, flow->silent);
	if (news == FLOW_SILENT)
		ingest_tell_silence(in);
	if (news == FLOW_AGAIN && before_ms > 0)
		log_info("source.flows", "server %s: its connector writes again, after %lld ms",
			 in->source.server->name, (long long)(flow->written_ms - before_ms));
	else if (news == FLOW_AGAIN)
		log_info("source.flows", "server %s: its connector writes",
			 in->source.server->name);
}

/* A predecessor may have said it already. */
static void
ingest_open_flow(struct ingest *in)
{
	const struct board_stage *self = in->stage->self;
	struct flow *flow = &in->source.flow;
	flow->written_ms = flow->looked_ms = (int64_t)board_counter(self, COUNTER_WRITTEN_MS);
	flow->silent = board_counter(self, COUNTER_SILENT) != 0;
	heartbeat_open(&in->heartbeat, in->stage);
}

/* What memory it took to catch up, it does not take to keep up. */
static void
ingest_give_back(struct ingest *in)
{
	if (!in->swollen || in->source.backlog >= INGEST_CAUGHT_UP)
		return;
	in->swollen = false;
	(void)malloc_trim(0);
}

static void
ingest_keep_house(struct ingest *in)
{
	source_check_failure(&in->source);
	if (in->now_ms >= in->offsets_ms)
		ingest_commit_offsets(in);
	if (in->now_ms >= in->probe_ms) {
		ingest_look_at_flow(in);
		ingest_probe(in);
		ingest_give_back(in);
	}
	if (in->now_ms >= in->growth_ms && !in->away) {
		in->growth_ms = in->now_ms + INGEST_GROWTH_MS;
		origin_look_for_partitions(&in->source);
	}
}

/* ---- the end ------------------------------------------------------------------------------- */

_Noreturn static void
ingest_stop(struct ingest *in)
{
	struct source *s = &in->source;
	(void)FAULT("ingest.stopping");
	writer_commit(&in->writer);
	if (s->poison.set)
		stage_fail(in->stage, EXIT_DATA, "ingest.malformed", "%s", s->poison.text);
	ingest_commit_offsets(in);
	for (int i = 0; i < 20 && kafka_committing(s->kafka); i++) {
		struct pollfd fd = {.fd = kafka_fd(s->kafka), .events = POLLIN};
		stage_poll(in->stage, &fd, 1, 50);
		kafka_serve(s->kafka);
	}
	log_info("ingest.stopped", "%s",
		 order_whole(s->order) ? "stopped after a whole transaction"
				       : "stopped inside a transaction");
	exit(EXIT_OK);
}

/* Asked to stop, or at a message that cannot be read: finish what is open if that comes soon. */
static void
ingest_finish(struct ingest *in, bool idle)
{
	if (!in->stage->stopping && !in->source.poison.set)
		return;
	if (in->finish_ms == 0) {
		in->finish_ms = in->now_ms + INGEST_FINISH_MS;
		if (in->source.poison.set)
			in->finish_ms += in->stage->pipeline->autocommit_duration_ms;
	}
	bool whole = order_whole(in->source.order);
	if (in->now_ms >= in->finish_ms || (whole && (idle || in->stage->stopping)))
		ingest_stop(in);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void
ingest_refuse(struct ingest *in, const struct order_action *a)
{
	struct source *s = &in->source;
	writer_commit(&in->writer);
	if (a->partition < 0)
		stage_fail(in->stage, (enum exit_code)a->code, "ingest.order", "server \"%s\": %s",
			   s->server->name, a->reason);
	const struct partition *part = &s->partitions[a->partition];
	stage_fail(in->stage, (enum exit_code)a->code, "ingest.order", "%s [%d] offset %lld: %s",
		   source_topic(s, (unsigned)a->partition), part->partition,
		   (long long)part->event.place.offset, a->reason);
}

/* A loss that is not ours, seen: which transaction, and what of it. */
static void
ingest_tell_gap(struct ingest *in)
{
	const struct pipeline *p = in->stage->pipeline;
	const struct transaction_event *end = order_gap_end(in->source.order);
	char text[512];
	size_t len = 0;
	if (in->now_ms < in->gap_ms) {
		in->gaps_untold++;
		return;
	}
	for (unsigned t = 0; t < p->table_count && len < sizeof(text); t++) {
		uint64_t missing = order_gap(in->source.order, (uint16_t)t);
		if (missing > 0)
			len += (size_t)snprintf(
			    text + len, sizeof(text) - len, "%s%llu of %llu events of %s",
			    len > 0 ? ", " : "", (unsigned long long)missing,
			    (unsigned long long)end->count[t], p->tables[t].source);
	}
	log_warn("source.gap",
		 "transaction %llu, committed at LSN %X/%X (%s offset %lld), is missing %s: the "
		 "connector, its topics or a transform lost them; %u more since the line before",
		 (unsigned long long)end->xid, (unsigned)(end->lsn >> 32), (unsigned)end->lsn,
		 in->source.server->transaction_topic, (long long)end->offset, text,
		 in->gaps_untold);
	in->gaps_untold = 0;
	in->gap_ms = in->now_ms + INGEST_GAP_MS;
}

/* What a transaction lacks may lie in partitions that were added: then nothing of it is shown yet. */
static void
ingest_look_for_growth(struct ingest *in)
{
	if (in->growth_ms - in->now_ms > INGEST_GROWTH_MS - INGEST_PROBE_MS)
		return;
	in->growth_ms = in->now_ms + INGEST_GROWTH_MS;
	origin_look_for_partitions(&in->source);
}

static void
ingest_act(struct ingest *in, const struct order_action *a)
{
	struct source *s = &in->source;
	if (a->step == ORDER_REFUSE)
		ingest_refuse(in, a);
	if (a->gap)
		ingest_look_for_growth(in);
	writer_act(&in->writer, a);
	if (a->gap)
		ingest_tell_gap(in);
	else if (a->step == ORDER_SNAPSHOT_ABANDON)
		log_warn(
		    "ingest.snapshot",
		    "a snapshot of table \"%s\" was cut short by the connector's death: the table "
		    "stays what was streamed. Ask for it again if you need it",
		    in->stage->pipeline->tables[a->table].name);
	else if (a->step == ORDER_END && a->reason[0] != '\0')
		log_warn("ingest.incomplete", "%s", a->reason);
	(void)FAULT("ingest.before_done");
	order_done(s->order);
	if (a->step == ORDER_APPLY || a->step == ORDER_DROP)
		source_taken(s, (unsigned)a->partition);
	if (a->step == ORDER_CUT && !in->away)
		ingest_say_running(in);
	writer_done(&in->writer);
}

/* Do what order says for a while. Returns how many steps; fewer than asked for: it waits. */
static unsigned
ingest_step(struct ingest *in, struct order_action *a)
{
	struct source *s = &in->source;
	for (unsigned steps = 0; steps < INGEST_STEPS; steps++) {
		order_step(s->order, in->now_ms, a);
		if (a->step == ORDER_WAIT)
			return steps;
		ingest_act(in, a);
		if (a->partition >= 0)
			source_fetch(s, (unsigned)a->partition, in->now_ms);
		else if (a->step == ORDER_END)
			source_fetch_transactions(s, in->now_ms);
	}
	return INGEST_STEPS;
}

/* Nothing is at hand. */
static void
ingest_rest(struct ingest *in, int64_t deadline_ms)
{
	struct kafka *k = in->source.kafka;
	struct pollfd fd = {.fd = kafka_fd(k), .events = POLLIN};
	int64_t until = in->now_ms + INGEST_PROBE_MS;
	bool gathers = writer_rest(&in->writer, in->now_ms);
	if (!gathers && order_settle(in->source.order))
		return;
	if (gathers || deadline_ms < until)
		until = gathers ? in->now_ms : deadline_ms;
	if (in->finish_ms != 0 && in->finish_ms < until)
		until = in->finish_ms;
	int64_t timeout = until - in->now_ms;
	stage_poll(in->stage, &fd, 1, timeout > 1 ? (int)timeout : 1);
}

/* Without a sleep, and so for long perhaps: the control socket is looked at once a millisecond. */
static void
ingest_go_on(struct ingest *in)
{
	writer_turn(&in->writer, in->now_ms);
	if (in->polled_ms == in->now_ms)
		return;
	in->polled_ms = in->now_ms;
	stage_poll(in->stage, NULL, 0, 0);
}

static void
ingest_look_at_backlog(struct ingest *in)
{
	struct source *s = &in->source;
	s->backlog = kafka_is_away(s->kafka) ? 0 : kafka_backlog(s->kafka);
	in->swollen = in->swollen || in->writer.behind || s->backlog >= INGEST_SWELLS;
}

/* A turn takes at most INGEST_PROBE_MS, so a longer one means that we were stopped. */
static void
ingest_look_at_clock(struct ingest *in)
{
	int64_t now_ms = clock_monotonic_ms();
	if (in->now_ms != 0 && now_ms - in->now_ms > INGEST_STOPPED_MS) {
		order_woke(in->source.order, now_ms);
		flow_excuse(&in->source.flow, now_ms);
	}
	if (now_ms != in->now_ms)
		ingest_look_at_backlog(in);
	in->now_ms = now_ms;
}

_Noreturn static void
ingest_loop(struct ingest *in)
{
	struct order_action action = {.deadline_ms = INT64_MAX};
	for (;;) {
		ingest_look_at_clock(in);
		kafka_serve(in->source.kafka);
		ingest_keep_house(in);
		bool proven = source_prove(&in->source);
		unsigned offered = proven ? source_fetch_all(&in->source, in->now_ms) : 0;
		unsigned steps = proven ? ingest_step(in, &action) : 0;
		bool idle = offered == 0 && steps == 0;
		ingest_finish(in, idle);
		if (idle)
			ingest_rest(in, action.deadline_ms);
		else
			ingest_go_on(in);
	}
}

static void
ingest_run(struct stage *stage)
{
	static struct ingest in;
	in.stage = stage;
	(void)FAULT("ingest.held");
	origin_await_turn(&in.source, stage);
	size_t token_len = writer_open(&in.writer, stage);
	origin_open(&in.source, stage, in.writer.token, token_len);
	writer_start(&in.writer, &in.source);
	in.writer.since_ms = stage->board->started_ms;
	ingest_open_flow(&in);
	in.durable = xcalloc(1, sizeof(*in.durable));
	in.offsets = xcalloc(in.source.count + 1, sizeof(*in.offsets));
	in.growth_ms = clock_monotonic_ms() + INGEST_GROWTH_MS;
	ingest_loop(&in);
}

int
main(int argc, char **argv)
{
	static struct stage stage;
	/*
	 * Fetched buffers pass from librdkafka's threads to ours: more arenas only hold more, and of another than the
	 * first malloc_trim(3) gives nothing back that lies at its end. A fetch takes its buffer from what one
	 * before it gave back, not page for page from the kernel.
	 */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	mallopt(M_TRIM_THRESHOLD, 32 << 20);
	stage_open(&stage, ROLE_INGEST, argc, argv);
	if (stage.check)
		return ingest_check(&stage);
	ingest_run(&stage);
}
