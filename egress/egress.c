/* egress.c - the stage's loop: batches out of the ring, each one commit in the target. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/ring.h"
#include "common/stage.h"
#include "egress/check.h"
#include "egress/commit.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define SMALL_ROWS   500          /* more than this, or more bytes, go by COPY */
#define SMALL_BYTES  (64u * 1024) /* of the ring */
#define BEAT_ROWS    4096
#define RETRY_MAX_MS 1000

enum egress_step {
	EGRESS_DONE,
	EGRESS_AGAIN, /* the connection is to be opened anew */
	EGRESS_STOP,  /* asked to stop, and nothing whole is left */
};

struct egress {
	struct stage stage;
	struct target target;
	struct commit *commit; /* made once the tables are known */
	struct ring ring;
	uint64_t done; /* last batch whose room was given back: what the token says */
};

/* The token of the ring: the last batch done, in 8 bytes. */
static void
egress_commit_ring(struct egress *e, uint64_t batch)
{
	e->done = batch;
	ring_commit(&e->ring, &e->done, sizeof(e->done));
}

_Noreturn static void
egress_corrupt(struct egress *e, const char *what)
{
	stage_fail(&e->stage, EXIT_RECOVER, "ring.corrupt",
		   "the ring from reduce does not hold what it should after batch %" PRIu64 ": %s",
		   e->done, what);
}

/*
 * After a take-over: does the target stand where the ring and the board say? (I5) A batch whose
 * COMMIT was not answered is either there, then its rows are passed over, or not, then they are
 * read again. Anything else means that the target went back or that rows are lost.
 */
static void
egress_settle(struct egress *e)
{
	struct stage *s = &e->stage;
	struct target *t = &e->target;
	uint64_t durable = board_durable_batch(s->board);
	uint64_t released = atomic_load(&s->board->released), token;
	bool has_token = ring_token(&e->ring, &token, sizeof(token)) == sizeof(token);
	size_t len = t->position != NULL ? strlen(t->position) : 0;

	if (!has_token)
		token = t->batch;
	if (t->batch < durable || t->batch < released || t->batch < token ||
	    t->batch > token + (t->taken ? 1 : 0))
		stage_fail(s, EXIT_RECOVER, "target.moved",
			   "the target stands at batch %" PRIu64 ", but %" PRIu64
			   " was committed and %" PRIu64 " begun: %s",
			   t->batch, durable > token ? durable : token,
			   released > token ? released : token,
			   t->batch < durable ? "the target went back"
					      : "its rows are no longer in the ring");
	if (len > BOARD_POSITION_MAX)
		stage_fail(s, EXIT_CONFIG, "target.position",
			   "the position in tallyd.pipeline is"
			   " too long");
	(void)FAULT("egress.before_settle");
	egress_commit_ring(e, token);
	board_publish(s->board, t->batch, t->time, t->position, len);
	(void)FAULT("egress.in_settle");
	atomic_store(&s->board->released, 0);
	t->taken = true;
	log_info("target.taken",
		 "pipeline \"%s\": batch %" PRIu64 ", epoch %" PRIu64 ", PostgreSQL at %s",
		 s->pipeline->name, t->batch, t->epoch, postgres_where(t->pg));
}

static int
egress_wait(struct egress *e)
{
	struct pollfd fds[2] = {{.fd = ring_fd(&e->ring), .events = POLLIN},
				{.fd = postgres_fd(e->target.pg), .events = POLLIN}};
	int64_t idle = clock_monotonic_ms() - postgres_used_ms(e->target.pg);
	int64_t left = TARGET_PING_MS - idle;
	bool streams = commit_streams(e->commit);

	if (left <= 0 && !streams)
		return target_ping(&e->target);
	if (!ring_sleep(&e->ring, 0))
		return 0;
	stage_poll(&e->stage, fds, 2, streams ? -1 : (int)left);
	ring_awake(&e->ring);
	if (fds[1].revents != 0 && postgres_input(e->target.pg) < 0)
		return target_failed(&e->target, "idle");
	return 0;
}

static enum egress_step
egress_next(struct egress *e, struct ring_record *record)
{
	for (;;) {
		int got = ring_next(&e->ring, record);

		if (got > 0)
			return EGRESS_DONE;
		if (got < 0)
			egress_corrupt(e, "a record of impossible length");
		if (e->stage.stopping)
			return EGRESS_STOP;
		if (egress_wait(e) < 0)
			return EGRESS_AGAIN;
	}
}

static void
egress_note_view(struct egress *e, const struct ring_record *record)
{
	enum view_step step;
	uint16_t view;
	uint64_t rows;

	if (!batch_get_view(record, &view, &step, &rows) ||
	    !commit_view(e->commit, view, step, rows))
		egress_corrupt(e, "a malformed record of a view");
}

/* How long its events took, once the target is known to have them. A predecessor may have told it. */
static void
egress_measure(struct egress *e, const struct batch *b)
{
	struct board *board = e->stage.board;
	int64_t now_us = clock_wall_us();

	if (b->number <= atomic_load_explicit(&board->measured, memory_order_relaxed))
		return;
	atomic_store_explicit(&board->measured, b->number, memory_order_relaxed);
	for (unsigned i = 0; i < b->stamps.count; i++)
		latency_add(&board->latency, now_us - b->stamps.at[i].oldest_ms * 1000,
			    b->stamps.at[i].events);
}

/* A batch that the target has already: give its room back, bit by bit if it is a large one. */
static enum egress_step
egress_skip(struct egress *e)
{
	uint64_t records = 0;
	struct ring_record record;
	struct batch b;
	bool filled;

	if (commit_skip(e->commit, e->done + 1, &filled) < 0)
		return EGRESS_AGAIN;
	for (;;) {
		enum egress_step step = egress_next(e, &record);

		if (step != EGRESS_DONE)
			return step;
		(void)FAULT("egress.skip");
		if (record.kind == RECORD_BATCH)
			break;
		if (record.kind == RECORD_VIEW)
			egress_note_view(e, &record);
		else if (record.kind != RECORD_ROW && record.kind != RECORD_CHECKPOINT &&
			 record.kind != RECORD_BAD)
			egress_corrupt(e, "a record of a kind that does not belong here");
		if (++records % BEAT_ROWS == 0)
			stage_poll(&e->stage, NULL, 0, 0);
		if (ring_pending(&e->ring) > e->ring.capacity / 4)
			egress_commit_ring(e, e->done);
	}
	if (!batch_get_batch(&record, &b) || b.number != e->done + 1)
		egress_corrupt(e, "a batch out of turn");
	egress_measure(e, &b);
	if (filled)
		stage_filled(&e->stage);
	if (commit_check(e->commit) < 0)
		return EGRESS_AGAIN;
	egress_commit_ring(e, b.number);
	log_info("batch.known", "batch %" PRIu64 " was committed before the connection was lost",
		 b.number);
	return EGRESS_DONE;
}

/*
 * A batch of over half the ring: reduce could not finish writing it. From here on its rows exist
 * only in the open transaction, and the board says so.
 */
static enum egress_step
egress_release(struct egress *e)
{
	size_t pending = ring_pending(&e->ring);
	bool released = atomic_load(&e->stage.board->released) != 0;

	if (pending <= e->ring.capacity / (released ? 4 : 2))
		return EGRESS_DONE;
	if (commit_stream_flush(e->commit) < 0)
		return EGRESS_AGAIN;
	atomic_store(&e->stage.board->released, e->done + 1);
	if (FAULT("egress.before_release"))
		return EGRESS_AGAIN;
	egress_commit_ring(e, e->done);
	(void)FAULT("egress.after_release");
	return EGRESS_DONE;
}

/* Not to be gathered: once more from its first record, into COPY. */
static enum egress_step
egress_stream(struct egress *e)
{
	ring_rewind(&e->ring);
	return commit_stream_begin(e->commit) < 0 ? EGRESS_AGAIN : EGRESS_DONE;
}

static enum egress_step
egress_row(struct egress *e, const struct ring_record *record)
{
	const uint8_t *row;
	uint16_t view;
	size_t len;
	int diff, result;

	if (!batch_get_row(record, &view, &diff, &row, &len))
		egress_corrupt(e, "a malformed row");
	(void)FAULT("egress.row");
	if (!commit_streams(e->commit)) {
		size_t small =
		    e->ring.capacity / 4 < SMALL_BYTES ? e->ring.capacity / 4 : SMALL_BYTES;

		if (commit_rows(e->commit) < SMALL_ROWS && ring_pending(&e->ring) <= small &&
		    !commit_must_copy(e->commit, view) && !commit_splits()) {
			if (!commit_gather(e->commit, view, diff, row, len))
				egress_corrupt(e, "a row that is none of its view");
			return EGRESS_DONE;
		}
		return egress_stream(e);
	}
	if (!commit_stream(e->commit, view, diff, row, len, &result))
		egress_corrupt(e, "a row that is none of its view");
	if (result < 0)
		return EGRESS_AGAIN;
	return egress_release(e);
}

static enum egress_step
egress_view(struct egress *e, const struct ring_record *record)
{
	egress_note_view(e, record);
	if (commit_must_stream(e->commit) && !commit_streams(e->commit))
		return egress_stream(e);
	return EGRESS_DONE;
}

/* They are few: one way into the table is enough. */
static enum egress_step
egress_letter(struct egress *e, const struct ring_record *record)
{
	struct letter letter;
	int result;

	if (!commit_streams(e->commit))
		return egress_stream(e);
	if (!batch_get_letter(record, &letter) || !commit_letter(e->commit, &letter, &result))
		egress_corrupt(e, "a malformed letter");
	if (result < 0)
		return EGRESS_AGAIN;
	return egress_release(e);
}

static enum egress_step
egress_checkpoint(struct egress *e, const struct ring_record *record)
{
	struct checkpoint c;
	int result;

	if (!commit_streams(e->commit))
		return egress_stream(e);
	if (!batch_get_checkpoint(record, &c) || !commit_checkpoint(e->commit, &c, &result))
		egress_corrupt(e, "a malformed record of a checkpoint");
	if (result < 0)
		return EGRESS_AGAIN;
	return egress_release(e);
}

static void
egress_count(struct egress *e, const struct batch *b, bool streamed)
{
	struct board_stage *self = e->stage.self;
	int64_t now = clock_wall_ms();

	board_count(self, COUNTER_COMMITS, 1);
	board_count(self, COUNTER_OUTPUT, b->rows);
	board_count(self, COUNTER_LETTERS, b->letters);
	board_count(self, COUNTER_REBUILT, commit_rebuilt(e->commit));
	if (streamed)
		board_count(self, COUNTER_COPIES, 1);
	if (commit_flips(e->commit))
		board_count(self, COUNTER_CHECKPOINTS, 1);
	if (b->source_ms > 0)
		board_gauge(self, COUNTER_LAG_MS,
			    now > b->source_ms ? (uint64_t)(now - b->source_ms) : 0);
}

static enum egress_step
egress_close_batch(struct egress *e, const struct ring_record *record)
{
	bool streamed = commit_streams(e->commit);
	struct batch b;

	if (!batch_get_batch(record, &b))
		egress_corrupt(e, "a malformed end of a batch");
	if (b.number != e->done + 1 || b.rows != commit_rows(e->commit) ||
	    b.letters != commit_letters(e->commit))
		egress_corrupt(e, "a batch out of turn, or not all of its rows");
	if (b.position_len > BOARD_POSITION_MAX)
		egress_corrupt(e, "a position that is too long");
	if (commit_finish(e->commit, &b) < 0)
		return EGRESS_AGAIN;
	if (FAULT("egress.after_commit"))
		return EGRESS_AGAIN;
	if (commit_flips(e->commit) && FAULT("egress.after_flip"))
		return EGRESS_AGAIN;
	egress_measure(e, &b);
	board_publish(e->stage.board, b.number, e->target.time, b.position, b.position_len);
	egress_count(e, &b, streamed);
	if (FAULT("egress.after_publish"))
		return EGRESS_AGAIN;
	if (commit_fills(e->commit))
		stage_filled(&e->stage);
	/* Only now, so that nobody waits for it; and before the room, so that no death omits it. */
	if (commit_check(e->commit) < 0)
		return EGRESS_AGAIN;
	egress_commit_ring(e, b.number);
	(void)FAULT("egress.after_room");
	atomic_store(&e->stage.board->released, 0);
	return EGRESS_DONE;
}

/* One batch, from its first record to the room given back. */
static enum egress_step
egress_batch(struct egress *e)
{
	struct ring_record record;
	enum egress_step step;

	if (e->stage.leaving)
		return EGRESS_STOP;
	if (e->done < e->target.batch)
		return egress_skip(e);
	step = egress_next(e, &record);
	if (step != EGRESS_DONE)
		return step;
	/* Only now: the time of a commit is when its rows are there, not when the last one ended. */
	commit_begin(e->commit, e->done + 1, clock_wall_ms());
	for (;; step = egress_next(e, &record)) {
		if (step != EGRESS_DONE)
			return step;
		if (record.kind == RECORD_BATCH)
			return egress_close_batch(e, &record);
		if (record.kind == RECORD_ROW)
			step = egress_row(e, &record);
		else if (record.kind == RECORD_BAD)
			step = egress_letter(e, &record);
		else if (record.kind == RECORD_CHECKPOINT)
			step = egress_checkpoint(e, &record);
		else if (record.kind == RECORD_VIEW)
			step = egress_view(e, &record);
		else
			egress_corrupt(e, "a record of a kind that does not belong here");
		if (step != EGRESS_DONE)
			return step;
	}
}

/* One connection: from the take-over to its end. True: asked to stop. */
static bool
egress_session(struct egress *e)
{
	enum egress_step step;

	if (target_open(&e->target) < 0)
		return true;
	egress_settle(e);
	if (e->commit == NULL)
		e->commit = commit_new(&e->target);
	commit_connected(e->commit);
	board_set_state(e->stage.self, STAGE_RUNNING, "");
	stage_ready(&e->stage);
	while ((step = egress_batch(e)) == EGRESS_DONE)
		;
	if (step == EGRESS_STOP) {
		/* In mid-transaction there is nothing that could be said to the server. */
		if (commit_streams(e->commit))
			postgres_close(e->target.pg);
		target_release(&e->target);
		return true;
	}
	postgres_close(e->target.pg);
	ring_rewind(&e->ring);
	return e->stage.stopping;
}

static void
egress_run(struct egress *e)
{
	int pause = 0;

	e->target.taken = atomic_load(&e->stage.board->alone) != 0;
	for (;;) {
		uint64_t before = e->done;

		if (egress_session(e))
			break;
		/* A connection that comes to nothing is not opened again at once. */
		pause = e->done != before ? 0 : pause == 0 ? 20 : pause * 2;
		if (pause > RETRY_MAX_MS)
			pause = RETRY_MAX_MS;
		target_sleep(&e->target, pause);
	}
	log_info("stage.stopped", "batch %" PRIu64 " is the last one committed", e->done);
}

int
main(int argc, char **argv)
{
	static struct egress e;

	stage_open(&e.stage, ROLE_EGRESS, argc, argv);
	if (e.stage.check)
		return (int)egress_check(&e.stage);
	if (!target_init(&e.target, &e.stage))
		stage_fail(&e.stage, EXIT_CONFIG, "target.options",
			   "the options of the target are not what they should be");
	if (ring_attach(&e.ring, &e.stage.in[0], RING_CONSUMER) < 0)
		stage_fail(&e.stage, EXIT_TEMPORARY, "ring.attach", "cannot use the ring");
	egress_run(&e);
	commit_free(e.commit);
	target_fini(&e.target);
	ring_detach(&e.ring);
	return EXIT_OK;
}
