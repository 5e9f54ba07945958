#include "tests/bench/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/batch.h"
#include "common/board.h"
#include "common/log.h"
#include "egress/commit.h"
#include "egress/encode.h"
#include "reduce/core.h"
#include "reduce/lookout.h"

#define TIME_MS 1700000000000

static _Noreturn void
chain_die(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(EXIT_INTERNAL);
}

int64_t
chain_cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- ingest -------------------------------------------------------------------------------- */

static void
ingest_open(struct chain *c)
{
	const struct server *server = &c->pipeline->servers[0];
	struct partition_position from = {0};
	struct source *s = &c->source;

	*s = (struct source){.stage = &c->stage, .server = server, .count = 1};
	s->mode = source_mode(server, 1);
	s->order = order_new(s->mode, c->pipeline->autocommit_duration_ms);
	order_add_partition(s->order, &from, NULL);
	s->partitions = xcalloc(1, sizeof(*s->partitions));
	s->partitions[0].decoder = decoder_new(&c->pipeline->tables[0]);
	s->partitions[0].before.offset = s->partitions[0].durable.offset = -1;
	(void)writer_open(&c->writer, &c->stage);
	writer_start(&c->writer, s);
}

/* As ingest.c does, until order waits. */
static void
ingest_run(struct chain *c)
{
	struct order_action action;

	for (;;) {
		order_step(c->source.order, c->now_ms, &action);
		if (action.step == ORDER_WAIT)
			return;
		if (action.step == ORDER_REFUSE)
			chain_die("order", action.reason);
		writer_act(&c->writer, &action);
		order_done(c->source.order);
		if (action.step == ORDER_APPLY || action.step == ORDER_DROP)
			source_passed(&c->source, 0);
		writer_done(&c->writer);
	}
}

static void
ingest_take(struct chain *c, const struct kafka_message *m)
{
	ingest_run(c);
	if (!source_offer(&c->source, 0, m))
		chain_die("message", c->source.poison.text);
	ingest_run(c);
	c->offset = m->offset + 1;
}

/* Nothing more in the log, for so long that the open transaction is taken to be whole. */
static void
ingest_finish(struct chain *c)
{
	ingest_run(c);
	for (int i = 0; i < 2; i++) {
		order_idle(c->source.order, 0, c->offset, c->now_ms);
		ingest_run(c);
		c->now_ms += c->pipeline->autocommit_duration_ms + 1;
	}
	order_idle(c->source.order, 0, c->offset, c->now_ms);
	ingest_run(c);
	writer_commit(&c->writer);
}

/* ---- reduce -------------------------------------------------------------------------------- */

static void
reduce_absorb(struct chain *c)
{
	struct ring_record record;
	struct lookout lookout;
	const struct core_hint *hint;

	lookout_begin(&lookout, c->core, 0, &c->reader);
	for (hint = lookout_advance(&lookout); ring_next(&c->reader, &record) > 0;
	     hint = lookout_advance(&lookout)) {
		enum core_result result = core_take(c->core, 0, &record, hint, 0);
		if (result == CORE_CUT)
			result = core_live(c->core, 0);
		if (result == CORE_FAILED)
			chain_die("reduce", core_error(c->core)->text);
	}
	ring_commit(&c->reader, NULL, 0);
}

/* ---- egress -------------------------------------------------------------------------------- */

/* A column for each output that takes its results as they are. */
static void
egress_column(const struct output *o, struct encode_column *column)
{
	column->source = o->type;
	switch (o->type) {
	case TYPE_INTEGER:
		column->type = ENCODE_INT4;
		break;
	case TYPE_BIGINT:
		column->type = ENCODE_INT8;
		break;
	case TYPE_NUMERIC:
		column->type = ENCODE_NUMERIC;
		break;
	default:
		chain_die(o->name, "no column for its type");
	}
	column->oid = encode_oid(column->type);
}

static void
egress_open(struct chain *c)
{
	const struct view *v = &c->pipeline->views[0];
	struct target_table *t = xcalloc(1, sizeof(*t));

	t->outputs = v->output_count;
	t->encode = xcalloc(v->output_count, sizeof(*t->encode));
	t->diff = ENCODE_INT2;
	for (unsigned i = 0; i < v->output_count; i++)
		egress_column(&v->outputs[i], &t->encode[i]);
	c->target = (struct target){.stage = &c->stage, .tables = t};
	c->commit = commit_new(&c->target);
	commit_begin(c->commit, 1, TIME_MS);
}

static void
egress_read(struct chain *c)
{
	struct ring_record record;
	const uint8_t *row;
	uint16_t view;
	size_t len;
	int diff;

	while (ring_next(&c->sink, &record) > 0) {
		if (record.kind == RECORD_BATCH) {
			c->target.time++;
			commit_begin(c->commit, ++c->batch + 1, TIME_MS);
		} else if (record.kind == RECORD_ROW) {
			if (!batch_get_row(&record, &view, &diff, &row, &len) ||
			    !commit_gather(c->commit, view, diff, row, len))
				chain_die("egress", "a malformed row");
			c->rows++;
		}
	}
	ring_commit(&c->sink, NULL, 0);
}

/* ---- all ----------------------------------------------------------------------------------- */

void
chain_open(struct chain *c, const char *sql)
{
	memset(c, 0, sizeof(*c));
	c->pipeline = chain_parse(sql);
	c->now_ms = 1000;
	c->stage.role = ROLE_INGEST;
	c->stage.check = true;
	c->stage.pipeline = c->pipeline;
	c->stage.board = xcalloc(1, sizeof(*c->stage.board));
	c->stage.self = &c->stage.board->stage[0];
	if (ring_create(&c->stage.out, c->pipeline->ring_bytes) != 0 ||
	    ring_create(&c->out_fds, c->pipeline->ring_bytes) != 0 ||
	    ring_attach(&c->reader, &c->stage.out, RING_CONSUMER) != 0 ||
	    ring_attach(&c->out, &c->out_fds, RING_PRODUCER) != 0 ||
	    ring_attach(&c->sink, &c->out_fds, RING_CONSUMER) != 0)
		chain_die("ring", "cannot be made");
	ingest_open(c);
	c->core = core_new(c->pipeline);
	egress_open(c);
	chain_batch(c); /* CUT: from here on it is live */
	memset(c->spent_ns, 0, sizeof(c->spent_ns));
}

void
chain_close(struct chain *c)
{
	commit_free(c->commit);
	free(c->target.tables->encode);
	free(c->target.tables);
	core_free(c->core);
	ring_detach(&c->reader);
	ring_detach(&c->out);
	ring_detach(&c->sink);
	writer_close(&c->writer);
	decoder_free(c->source.partitions[0].decoder);
	free(c->source.partitions);
	order_free(c->source.order);
	ring_close_fds(&c->stage.out);
	ring_close_fds(&c->out_fds);
	free(c->stage.board);
	pipeline_free(c->pipeline);
}

/* The time since *from is this step's. */
static void
chain_spent(struct chain *c, enum chain_step step, int64_t *from)
{
	int64_t now = chain_cpu_ns();

	c->spent_ns[step] += now - *from;
	*from = now;
}

void
chain_take(struct chain *c, const struct kafka_message *messages, unsigned count)
{
	int64_t from = chain_cpu_ns();

	for (unsigned done = 0; done < count;) {
		unsigned until = count - done > CHAIN_BURST ? done + CHAIN_BURST : count;
		for (; done < until; done++)
			ingest_take(c, &messages[done]);
		writer_commit(&c->writer);
		chain_spent(c, CHAIN_INGEST, &from);
		reduce_absorb(c);
		chain_spent(c, CHAIN_REDUCE, &from);
	}
}

void
chain_batch(struct chain *c)
{
	int64_t from = chain_cpu_ns();

	ingest_finish(c);
	chain_spent(c, CHAIN_INGEST, &from);
	reduce_absorb(c);
	core_apply_pending(c->core);
	chain_spent(c, CHAIN_REDUCE, &from);
	while (core_due(c->core, c->batch, 0)) {
		if (core_emit(c->core, &c->out, c->batch, 0) == CORE_FAILED)
			chain_die("reduce", core_error(c->core)->text);
		ring_commit(&c->out, NULL, 0);
		chain_spent(c, CHAIN_EMIT, &from);
		egress_read(c);
		chain_spent(c, CHAIN_ENCODE, &from);
	}
}
