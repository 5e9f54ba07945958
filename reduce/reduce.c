/*
 * reduce.c - the reduce stage: one loop between the input rings, the core and the output ring.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/fault.h"
#include "common/image.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/stage.h"
#include "reduce/core.h"
#include "reduce/lookout.h"

#define SLICE_RECORDS 1024 /* absorbed at most before the output is looked at again */
#define DRAIN_MS      8000 /* how long a stop waits for egress */
#define ACK_POLL_MS   250  /* a bound on the wait for an acknowledgment, should a bell be lost */

struct reduce {
	struct stage stage;
	struct pipeline *pipeline; /* a newer one than the stage's, taken while running; or NULL */
	struct core *core;
	struct ring out;
	struct ring in[BOARD_STAGES_MAX];
	uint64_t ends[BOARD_STAGES_MAX]; /* draining: whole transactions still in the ring */
	unsigned ins, turn;
	struct log_burst bad; /* lines on rows that were not used */
	bool keyed;           /* some table keeps rows */
	bool draining;
	int64_t drain_deadline_ms;
};

_Noreturn static void
reduce_fail(struct reduce *r)
{
	const struct core_error *error = core_error(r->core);

	stage_fail(&r->stage, (enum exit_code)error->code, error->event, "%s", error->text);
}

_Noreturn static void
reduce_corrupt(struct reduce *r, unsigned input)
{
	stage_fail(
	    &r->stage, EXIT_RECOVER, "reduce.corrupt",
	    "the ring from server \"%s\" is broken: everything is started anew from the target",
	    r->stage.pipeline->servers[input].name);
}

static void
reduce_beat(void *arg)
{
	struct reduce *r = arg;

	stage_beat(&r->stage);
}

static int64_t
reduce_clock_us(void *arg)
{
	struct timespec t;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
reduce_warn(void *arg, const char *event, const char *text)
{
	struct reduce *r = arg;
	unsigned untold;

	if (log_burst_allows(&r->bad, &untold))
		log_warn(event, "%s (%u more since the line before)", text, untold);
}

/* The state that the target has stored, and from where history is to be read. */
static void
reduce_load(struct reduce *r)
{
	struct stage *s = &r->stage;
	int64_t start_ms = clock_monotonic_ms();
	struct image image;
	size_t len;

	if (image_open(&image, s->image) != 0)
		stage_fail(s, EXIT_RECOVER, "reduce.image",
			   "cannot read what egress handed over: %s", strerror(errno));
	if (core_load(r->core, &image) == CORE_FAILED)
		reduce_fail(r);
	image_close(&image);
	(void)close(s->image);
	s->image = -1;
	const char *origin = core_origin(r->core, &len);
	board_set_origin(s->board, origin, len);
	struct core_counters counters = core_counters(r->core);
	if (core_refusal(r->core) != NULL)
		log_warn("checkpoint.unusable",
			 "the stored checkpoint is not used: %s; history is read from its start",
			 core_refusal(r->core));
	else if (len > 0)
		log_info("checkpoint.loaded",
			 "%" PRIu64 " entries in %" PRId64 " ms: %" PRIu64 " rows, %" PRIu64
			 " groups",
			 counters.loaded, clock_monotonic_ms() - start_ms, counters.rows,
			 counters.groups);
}

static void
reduce_open(struct reduce *r)
{
	struct stage *s = &r->stage;

	r->ins = s->ins;
	if (ring_attach(&r->out, &s->out, RING_PRODUCER) != 0)
		stage_fail(s, EXIT_RECOVER, "reduce.ring", "cannot attach the ring to egress: %s",
			   strerror(errno));
	for (unsigned i = 0; i < r->ins; i++)
		if (ring_attach(&r->in[i], &s->in[i], RING_CONSUMER) != 0)
			stage_fail(s, EXIT_RECOVER, "reduce.ring",
				   "cannot attach the ring from server \"%s\": %s",
				   s->pipeline->servers[i].name, strerror(errno));
	board_set_state(s->self, STAGE_REPLAY, "");
	reduce_load(r);
	stage_ready(s);
	(void)FAULT("reduce.ready");
}

/*
 * Two things are on the board alone, no ring tells of them: whether ingest is behind, and the durable batch.
 * Others write there all the time, so it costs more than to take a record.
 */
static uint64_t
reduce_look(const struct reduce *r)
{
	core_set_behind(r->core, board_is_behind(r->stage.board));
	return board_durable_batch(r->stage.board);
}

static void
reduce_count(struct reduce *r)
{
	struct core_counters counters = core_counters(r->core);
	struct board_stage *self = r->stage.self;

	board_gauge(self, COUNTER_CHANGES, counters.changes);
	board_gauge(self, COUNTER_TRANSACTIONS, counters.transactions);
	board_gauge(self, COUNTER_BATCHES, counters.batches);
	board_gauge(self, COUNTER_OUTPUT, counters.output);
	board_gauge(self, COUNTER_ROWS, counters.rows);
	board_gauge(self, COUNTER_GROUPS, counters.groups);
	board_gauge(self, COUNTER_CHECKPOINT_BYTES, counters.checkpoint_bytes);
	board_gauge(self, COUNTER_CHECKPOINT_US, counters.checkpoint_us);
	board_gauge(self, COUNTER_LOADED, counters.loaded);
	board_gauge(self, COUNTER_SKIPPED, counters.skipped);
	board_gauge(self, COUNTER_LETTERS, counters.letters);
	board_gauge(self, COUNTER_EVALUATIONS, counters.evaluations);
}

static void
reduce_go_live(struct reduce *r)
{
	uint64_t durable = reduce_look(r);
	struct core_counters counters = core_counters(r->core);

	if (core_live(r->core, durable) == CORE_FAILED)
		reduce_fail(r);
	if (!r->stage.stopping)
		board_set_state(r->stage.self, STAGE_RUNNING, "");
	(void)FAULT("reduce.live");
	log_info("reduce.live",
		 "memory is the state of batch %" PRIu64 ": %" PRIu64 " changes, %" PRIu64
		 " rows, %" PRIu64 " groups",
		 durable, counters.changes, counters.rows, counters.groups);
}

static bool
reduce_wants(const struct reduce *r, unsigned input)
{
	return core_wants(r->core, input) && (!r->draining || r->ends[input] > 0);
}

/*
 * Absorb one input up to a transaction's end at which a batch is due, or the slice's end. Returns
 * how many records it took.
 */
static unsigned
reduce_absorb_input(struct reduce *r, unsigned input, int64_t now_ms)
{
	struct ring *ring = &r->in[input];
	struct lookout lookout;
	struct ring_record record;
	uint64_t durable = reduce_look(r);
	unsigned taken = 0;

	lookout_begin(&lookout, r->core, input, ring);
	while (taken < SLICE_RECORDS && reduce_wants(r, input)) {
		const struct core_hint *hint = lookout_advance(&lookout);
		int n = ring_next(ring, &record);
		if (n < 0)
			reduce_corrupt(r, input);
		if (n == 0)
			break;
		taken++;
		enum core_result result = core_take(r->core, input, &record, hint, now_ms);
		if (result == CORE_FAILED)
			reduce_fail(r);
		if (result == CORE_OK)
			continue;
		if (r->draining)
			r->ends[input]--;
		if (result == CORE_CUT)
			reduce_go_live(r);
		if (core_due(r->core, durable, now_ms))
			break;
	}
	if (taken > 0) {
		(void)FAULT("reduce.before_room");
		ring_commit(ring, NULL, 0);
	}
	return taken;
}

static bool
reduce_absorb(struct reduce *r, int64_t now_ms)
{
	for (unsigned i = 0; i < r->ins; i++) {
		unsigned input = (r->turn + i) % r->ins;
		if (!reduce_wants(r, input) || reduce_absorb_input(r, input, now_ms) == 0)
			continue;
		r->turn = (input + 1) % r->ins;
		return true;
	}
	return false;
}

/* Begin a batch that is due, or go on with one. Returns whether anything was done. */
static bool
reduce_emit(struct reduce *r, int64_t now_ms)
{
	if (!core_due(r->core, reduce_look(r), now_ms))
		return false;
	enum core_result result = core_emit(r->core, &r->out, reduce_look(r), now_ms);
	bool moved = ring_pending(&r->out) > 0;
	if (moved) {
		(void)FAULT("reduce.before_commit");
		ring_commit(&r->out, NULL, 0);
		(void)FAULT("reduce.after_commit");
	}
	if (result == CORE_FAILED)
		reduce_fail(r);
	return moved || result == CORE_DONE;
}

/* A reload has brought a newer pipeline: go on with it, where no transaction and no batch is open. */
static void
reduce_take_section(struct reduce *r)
{
	struct stage *s = &r->stage;
	int64_t start_ms = clock_monotonic_ms();

	if (s->section < 0 || r->draining || core_emitting(r->core) || !core_is_whole(r->core))
		return;
	struct pipeline *pipeline = stage_take_section(s);
	if (pipeline == NULL)
		stage_fail(s, EXIT_RECOVER, "reduce.views",
			   "the changed pipeline cannot be read: everything is started anew");
	struct place place;
	char *problem = core_check(pipeline, &place);
	if (problem != NULL)
		stage_fail(s, EXIT_RECOVER, "reduce.views", "%s", problem);
	if (core_views(r->core, pipeline) == CORE_FAILED)
		reduce_fail(r);
	pipeline_free(r->pipeline);
	r->pipeline = pipeline;
	stage_taken(s);
	log_info("reduce.views", "the changed views are in force after a pause of %" PRId64 " ms",
		 clock_monotonic_ms() - start_ms);
}

/* How many transactions an input ring still holds whole. Ingest has ended: they get no more. */
static uint64_t
reduce_count_ends(struct reduce *r, unsigned input)
{
	struct ring_record record;
	uint64_t ends = 0;
	int n;

	while ((n = ring_next(&r->in[input], &record)) > 0)
		ends += record.kind == RECORD_END || record.kind == RECORD_CUT;
	if (n < 0)
		reduce_corrupt(r, input);
	ring_rewind(&r->in[input]);
	return ends;
}

static void
reduce_drain_begin(struct reduce *r, int64_t now_ms)
{
	for (unsigned i = 0; i < r->ins; i++)
		r->ends[i] = reduce_count_ends(r, i);
	r->draining = true;
	(void)FAULT("reduce.draining");
	r->drain_deadline_ms = now_ms + DRAIN_MS;
	board_set_state(r->stage.self, STAGE_DRAINING, "");
}

/* Nothing is left to absorb: close what is whole. Returns true when the stage may end. */
static bool
reduce_drained(struct reduce *r, int64_t now_ms)
{
	if (!core_emitting(r->core))
		core_finish(r->core);
	if (core_is_settled(r->core, reduce_look(r)))
		return true;
	if (now_ms < r->drain_deadline_ms)
		return false;
	log_warn("reduce.drain",
		 "egress has not acknowledged batch %" PRIu64
		 " within %d s: what it leaves is read again at the next start",
		 core_counters(r->core).batch, DRAIN_MS / 1000);
	return true;
}

static int
reduce_timeout(const struct reduce *r, uint64_t durable, int64_t now_ms)
{
	int64_t at = core_deadline(r->core, durable), wait = INT32_MAX;

	if (at != INT64_MAX && !core_emitting(r->core))
		wait = at > now_ms ? at - now_ms : 0;
	if (core_counters(r->core).batch > durable || core_emitting(r->core))
		wait = wait < ACK_POLL_MS ? wait : ACK_POLL_MS;
	if (r->draining)
		wait = wait < ACK_POLL_MS ? wait : ACK_POLL_MS;
	return (int)wait;
}

/*
 * Wait for input, for room or an acknowledgment, or for a deadline. First announce it to all, then
 * look again at what no ring tells: the durable batch.
 */
static void
reduce_sleep(struct reduce *r)
{
	struct pollfd fds[BOARD_STAGES_MAX + 1];
	struct ring *asleep[BOARD_STAGES_MAX + 1];
	unsigned n = 0;
	/* Any commit of egress may be an acknowledgment; a batch that goes on needs real room. */
	size_t room = core_emitting(r->core) ? r->out.capacity / 2 : SIZE_MAX;
	bool idle = ring_sleep(&r->out, room);

	if (idle)
		asleep[n++] = &r->out;
	for (unsigned i = 0; idle && i < r->ins; i++) {
		if (!reduce_wants(r, i))
			continue;
		idle = ring_sleep(&r->in[i], 0);
		if (idle)
			asleep[n++] = &r->in[i];
	}
	int64_t now_ms = clock_monotonic_ms();
	uint64_t durable = reduce_look(r);
	if (idle && (core_emitting(r->core) || !core_due(r->core, durable, now_ms))) {
		for (unsigned i = 0; i < n; i++)
			fds[i] = (struct pollfd){.fd = ring_fd(asleep[i]), .events = POLLIN};
		(void)stage_poll(&r->stage, fds, n, reduce_timeout(r, durable, now_ms));
	}
	for (unsigned i = 0; i < n; i++)
		ring_awake(asleep[i]);
}

static void
reduce_run(struct reduce *r)
{
	unsigned turns = 0;

	for (;;) {
		int64_t now_ms = clock_monotonic_ms();
		reduce_take_section(r);
		bool moved = reduce_emit(r, now_ms);
		moved = reduce_absorb(r, now_ms) || moved;
		/* Under load it never sleeps, so the control socket is looked at now and then. */
		if (moved && ++turns % 64 == 0) {
			reduce_count(r);
			(void)stage_poll(&r->stage, NULL, 0, 0);
		}
		if (r->stage.stopping && !r->draining)
			reduce_drain_begin(r, now_ms);
		if (moved)
			continue;
		reduce_count(r);
		if (r->draining && reduce_drained(r, now_ms))
			return;
		if (!core_due(r->core, reduce_look(r), now_ms) || core_emitting(r->core))
			reduce_sleep(r);
	}
}

int
main(int argc, char **argv)
{
	static struct reduce reduce;
	struct stage *s = &reduce.stage;
	struct place place = {0, 0};

	stage_open(s, ROLE_REDUCE, argc, argv);
	char *problem = core_check(s->pipeline, &place);
	if (problem != NULL) {
		stage_report(s, LOG_ERROR, &place, "%s", problem);
		free(problem);
		exit(EXIT_CONFIG);
	}
	if (s->check)
		return EXIT_OK;
	const struct core_hooks hooks = {
	    .beat = reduce_beat, .clock_us = reduce_clock_us, .warn = reduce_warn, .arg = &reduce};
	reduce.core = core_new(s->pipeline);
	core_set_hooks(reduce.core, &hooks);
	if (s->held)
		(void)FAULT("reduce.held");
	stage_wait_turn(s);
	reduce_open(&reduce);
	reduce_run(&reduce);
	reduce_count(&reduce);
	(void)FAULT("reduce.drained");
	struct core_counters counters = core_counters(reduce.core);
	log_info("reduce.stop",
		 "stopped after batch %" PRIu64 ": %" PRIu64 " changes, %" PRIu64
		 " output rows, %" PRIu64 " deletes of keys that were not there",
		 counters.batch, counters.changes, counters.output, counters.absent);
	core_free(reduce.core);
	pipeline_free(reduce.pipeline);
	pipeline_free(s->pipeline);
	return EXIT_OK;
}
