/* status.c - status as a table for people, and as JSON. */
#include "supervisor/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "common/pipeline.h"

void
tally_add(struct tally *t, const struct obituary *o)
{
	t->last[t->total++ % TALLY_DEATHS] = *o;
}

void
death_print(const struct death *d, char *buf, size_t size)
{
	const char *name = d->signalled ? sigabbrev_np(d->status) : NULL;
	if (d->signalled)
		snprintf(buf, size, "signal %d (%s)%s", d->status, name ? name : "?",
			 d->core ? ", core dumped" : "");
	else
		snprintf(buf, size, "exit code %d", d->status);
}

void
status_copy_text(char *to, size_t size, const char *from, size_t len)
{
	size_t n = 0;
	for (; n + 1 < size && n < len && from[n]; n++)
		to[n] = from[n];
	to[n] = '\0';
	log_defuse(to);
}

static void
status_note(const struct board_stage *b, char *buf, size_t size)
{
	uint32_t len = atomic_load(&b->note_len);
	status_copy_text(buf, size, b->note, len < sizeof b->note ? len : sizeof b->note);
}

/* "3.2s", "4m12s", "5h03m", "12d04h" */
static const char *
status_span(int64_t ms, char *buf, size_t size)
{
	int64_t s = ms / 1000;
	if (ms < 0)
		snprintf(buf, size, "-");
	else if (s < 60)
		snprintf(buf, size, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
	else if (s < 3600)
		snprintf(buf, size, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
	return buf;
}

/* NULL when the target's position is not known yet. Heap. */
static struct board_durable *
status_durable(const struct status *st)
{
	struct board_durable *d = xcalloc(1, sizeof *d);
	if (board_durable(st->board, d))
		return d;
	free(d);
	return NULL;
}

static int64_t
status_age(const struct status *st, const struct proc *p)
{
	return p->pid ? st->now_ms - p->started_ms : -1;
}

/* The partitions of one server's position; 0 when it is not as it should be. */
static unsigned
status_partitions(struct json *j)
{
	unsigned count = 0;
	struct slice key;
	if (!json_enter(j, JSON_OBJECT))
		return 0;
	while (json_key(j, &key)) {
		if (!slice_is(key, "partitions") || !json_enter(j, JSON_ARRAY)) {
			json_skip(j);
			continue;
		}
		for (; json_element(j); count++)
			json_skip(j);
	}
	return j->error ? 0 : count;
}

/* How much was read of: the position in full has hundreds of bytes for each partition. */
static void
status_print_position(const struct board_durable *d, FILE *out)
{
	struct json j;
	struct slice key;
	const char *before = "position: ";
	json_init(&j, d->position, d->len);
	if (!json_enter(&j, JSON_OBJECT))
		return;
	while (json_key(&j, &key)) {
		char name[256];
		status_copy_text(name, sizeof name, key.s, key.len);
		unsigned count = status_partitions(&j);
		fprintf(out, "%s%s %u partition%s", before, name, count, count == 1 ? "" : "s");
		before = ", ";
	}
	if (*before == ',')
		fputs(" (status --json has all of it)\n", out);
}

static void
status_print_durable(const struct status *st, FILE *out)
{
	char when[CLOCK_TEXT], age[32];
	struct board_durable *d = status_durable(st);
	if (!d) {
		fprintf(out, "durable: not known yet\n");
	} else if (d->batch == 0) {
		fprintf(out, "durable: nothing committed yet\n");
	} else {
		fprintf(out, "durable: batch %" PRIu64 ", time %" PRIu64 " (%s), %s ago\n",
			d->batch, d->time, clock_print((int64_t)d->time, when),
			status_span(clock_wall_ms() - (int64_t)d->time, age, sizeof age));
		status_print_position(d, out);
	}
	free(d);
}

/* What the last full recovery was, and what it cost. */
static void
status_print_recovery(const struct status *st, FILE *out)
{
	const struct supervise *s = st->supervise;
	uint64_t loaded = board_counter(&st->board->stage[SLOT_REDUCE], COUNTER_LOADED);
	char span[32];
	fprintf(out, "recovery: %s", *s->reason ? s->reason : "the start");
	if (!s->settled)
		fprintf(out, ", under way for %s",
			status_span(st->now_ms - s->recovery_ms, span, sizeof span));
	else
		fprintf(out, ", took %" PRId64 " ms", s->pause_ms);
	if (s->procs[SLOT_REDUCE].state != PROC_READY)
		fputc('\n', out);
	else if (board_origin(st->board)->len > 0)
		fprintf(out, ", %" PRIu64 " entries from the checkpoint\n", loaded);
	else
		fputs(", from the start of history\n", out);
}

static const unsigned latency_permilles[] = {500, 900, 990};
#define LATENCY_PERMILLES (sizeof latency_permilles / sizeof latency_permilles[0])

static void
status_print_us(FILE *out, uint64_t us)
{
	fprintf(out, "%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
}

/* From the timestamp of a message to the answer to the COMMIT that shows it. */
static void
status_print_latency(const struct status *st, FILE *out)
{
	struct latency_copy copy;
	latency_read(&st->board->latency, &copy);
	if (copy.count == 0) {
		fputs("latency: nothing to measure yet\n", out);
		return;
	}
	fputs("latency: ", out);
	for (unsigned i = 0; i < LATENCY_PERMILLES; i++) {
		fprintf(out, "p%u ", latency_permilles[i] / 10);
		status_print_us(out, latency_percentile_us(&copy, latency_permilles[i]));
		fputs(" ms, ", out);
	}
	fputs("max ", out);
	status_print_us(out, copy.max_us);
	fprintf(out, " ms of %" PRIu64 " event%s\n", copy.count, copy.count == 1 ? "" : "s");
}

/* -1: nothing has come yet. The clocks of two machines may differ. */
static int64_t
status_source_age(uint64_t written_ms)
{
	int64_t age_ms = clock_wall_ms() - (int64_t)written_ms;
	return written_ms == 0 ? -1 : age_ms < 0 ? 0 : age_ms;
}

/* Whether the connector still writes: a table without changes does not tell. */
static void
status_print_source(const struct status *st, const struct proc *p, FILE *out)
{
	const struct server *server = &st->pipeline->servers[p->server];
	const struct board_stage *b = &st->board->stage[p->slot];
	uint64_t written_ms = board_counter(b, COUNTER_WRITTEN_MS);
	char when[CLOCK_TEXT], age[32];
	fprintf(out, "source %s: ", server->name);
	if (written_ms == 0)
		fputs("nothing has come yet", out);
	else
		fprintf(out, "newest %s %s ago (%s)",
			server->heartbeat_topic ? "heartbeat or event" : "event",
			status_span(status_source_age(written_ms), age, sizeof age),
			clock_print((int64_t)written_ms, when));
	if (board_counter(b, COUNTER_SILENT))
		fputs(", silent for too long: look at its connector", out);
	if (!server->heartbeat_topic)
		fputs("; no heartbeat_topic, so silence says nothing", out);
	else if (board_counter(b, COUNTER_HEARTBEATS) == 0)
		fprintf(out, "; no heartbeat in topic %s so far", server->heartbeat_topic);
	fputc('\n', out);
}

static void
status_print_stage(const struct status *st, const struct proc *p, FILE *out)
{
	const struct board_stage *b = &st->board->stage[p->slot];
	char note[sizeof b->note + 1], up[32], beat[32];
	status_note(b, note, sizeof note);
	fprintf(out, "%-20s %-9s %-9s %8d %7u %8s %8s  %s\n", p->name, proc_state_name(p),
		p->pid ? stage_state_name(atomic_load(&b->state)) : "-", (int)p->pid, p->starts,
		status_span(status_age(st, p), up, sizeof up),
		status_span(p->pid ? st->now_ms - p->beat_ms : -1, beat, sizeof beat),
		p->pid ? note : "");
}

static void
status_print_counters(const struct status *st, const struct proc *p, FILE *out)
{
	const struct board_stage *b = &st->board->stage[p->slot];
	bool any = false;
	for (enum board_counter c = 0; c < COUNTER_MAX; c++) {
		uint64_t value = board_counter(b, c);
		if (value == 0)
			continue;
		if (!any)
			fprintf(out, "%s:", p->name);
		any = true;
		fprintf(out, " %s=%" PRIu64, board_counter_name(c), value);
	}
	if (any)
		fputc('\n', out);
}

static unsigned
tally_count(const struct tally *t)
{
	return t->total < TALLY_DEATHS ? (unsigned)t->total : TALLY_DEATHS;
}

/* i = 0 is the newest. */
static const struct obituary *
tally_get(const struct tally *t, unsigned i)
{
	return &t->last[(t->total - 1 - i) % TALLY_DEATHS];
}

static void
status_print_deaths(const struct tally *t, FILE *out)
{
	if (t->total)
		fprintf(out, "\ndeaths: %" PRIu64 ", newest first\n", t->total);
	for (unsigned i = 0; i < tally_count(t); i++) {
		const struct obituary *o = tally_get(t, i);
		char when[CLOCK_TEXT], how[64], up[32];
		death_print(&o->death, how, sizeof how);
		fprintf(out, "%s %s pid %d: %s after %s%s%s\n", clock_print(o->wall_ms, when),
			o->name, (int)o->pid, how, status_span(o->uptime_ms, up, sizeof up),
			*o->words ? ": " : "", o->words);
	}
}

void
status_print(const struct status *st, FILE *out)
{
	const struct supervise *s = st->supervise;
	char up[32];
	fprintf(
	    out,
	    "pipeline %s (%s): %s, pid %d, up %s, %u full recover%s after a trouble or reload\n",
	    st->pipeline->name, st->pipeline->file, supervise_phase_name(s->phase), (int)getpid(),
	    status_span(st->now_ms - st->started_ms, up, sizeof up), s->recoveries,
	    s->recoveries == 1 ? "y" : "ies");
	status_print_durable(st, out);
	status_print_recovery(st, out);
	status_print_latency(st, out);
	for (unsigned i = SLOT_INGEST; i < s->count; i++)
		status_print_source(st, &s->procs[i], out);
	fprintf(out, "\n%-20s %-9s %-9s %8s %7s %8s %8s  %s\n", "stage", "state", "says", "pid",
		"starts", "uptime", "beat", "note");
	for (unsigned i = 0; i < s->count; i++)
		status_print_stage(st, &s->procs[i], out);
	fputc('\n', out);
	for (unsigned i = 0; i < s->count; i++)
		status_print_counters(st, &s->procs[i], out);
	status_print_deaths(st->tally, out);
}

static void
json_put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < ' ' || *c == 0x7f)
			fprintf(out, "\\u%04x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void
json_put_member(FILE *out, const char *key, const char *text)
{
	fprintf(out, "\"%s\":", key);
	json_put_string(out, text);
	fputc(',', out);
}

/* Another process wrote it: what is no JSON must not spoil the whole answer. */
static void
json_put_position(FILE *out, const struct board_durable *d)
{
	struct json j;
	json_init(&j, d->position, d->len);
	json_skip(&j);
	if (d->len > 0 && json_end(&j))
		fwrite(d->position, 1, d->len, out);
	else
		fputs("null", out);
}

static void
status_json_durable(const struct status *st, FILE *out)
{
	struct board_durable *d = status_durable(st);
	fputs("\"durable\":", out);
	if (!d) {
		fputs("null", out);
		return;
	}
	fprintf(out, "{\"batch\":%" PRIu64 ",\"time\":%" PRIu64 ",\"age_ms\":", d->batch, d->time);
	if (d->batch == 0) /* nothing that could have an age */
		fputs("null", out);
	else
		fprintf(out, "%" PRId64, clock_wall_ms() - (int64_t)d->time);
	fputs(",\"position\":", out);
	json_put_position(out, d);
	fputc('}', out);
	free(d);
}

static void
status_json_recovery(const struct status *st, FILE *out)
{
	const struct supervise *s = st->supervise;
	const char *origin = s->procs[SLOT_REDUCE].state != PROC_READY ? "unknown"
			     : board_origin(st->board)->len > 0        ? "checkpoint"
								       : "history";
	fputs("\"recovery\":{", out);
	json_put_member(out, "reason", *s->reason ? s->reason : "start");
	json_put_member(out, "origin", origin);
	fputs("\"pause_ms\":", out);
	if (s->settled)
		fprintf(out, "%" PRId64 "},", s->pause_ms);
	else
		fputs("null},", out);
}

/* Buckets: [the largest microsecond that falls into it, how many events did], those that are not empty. */
static void
status_json_latency(const struct status *st, FILE *out)
{
	struct latency_copy copy;
	const char *before = "";
	latency_read(&st->board->latency, &copy);
	fprintf(out, "\"latency\":{\"count\":%" PRIu64, copy.count);
	for (unsigned i = 0; i < LATENCY_PERMILLES; i++) {
		fprintf(out, ",\"p%u_ms\":", latency_permilles[i] / 10);
		status_print_us(out, latency_percentile_us(&copy, latency_permilles[i]));
	}
	fputs(",\"max_ms\":", out);
	status_print_us(out, copy.max_us);
	fputs(",\"buckets_us\":[", out);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		if (copy.bucket[i] == 0)
			continue;
		fprintf(out, "%s[%" PRIu64 ",%" PRIu64 "]", before, latency_bucket_end(i),
			copy.bucket[i]);
		before = ",";
	}
	fputs("]},", out);
}

static void
status_json_source(const struct status *st, const struct proc *p, FILE *out)
{
	const struct server *server = &st->pipeline->servers[p->server];
	const struct board_stage *b = &st->board->stage[p->slot];
	uint64_t written_ms = board_counter(b, COUNTER_WRITTEN_MS);
	fputc('{', out);
	json_put_member(out, "name", server->name);
	fputs("\"heartbeat_topic\":", out);
	if (server->heartbeat_topic)
		json_put_string(out, server->heartbeat_topic);
	else
		fputs("null", out);
	fprintf(out, ",\"heartbeats\":%" PRIu64 ",\"written_ms\":%" PRIu64 ",\"age_ms\":",
		board_counter(b, COUNTER_HEARTBEATS), written_ms);
	if (written_ms > 0)
		fprintf(out, "%" PRId64, status_source_age(written_ms));
	else
		fputs("null", out);
	fprintf(out, ",\"silent\":%s}", board_counter(b, COUNTER_SILENT) ? "true" : "false");
}

static void
status_json_stage(const struct status *st, const struct proc *p, FILE *out)
{
	const struct board_stage *b = &st->board->stage[p->slot];
	char note[sizeof b->note + 1];
	status_note(b, note, sizeof note);
	fputc('{', out);
	json_put_member(out, "name", p->name);
	json_put_member(out, "role",
			p->slot == SLOT_EGRESS   ? "egress"
			: p->slot == SLOT_REDUCE ? "reduce"
						 : "ingest");
	json_put_member(out, "state", proc_state_name(p));
	json_put_member(out, "says", p->pid ? stage_state_name(atomic_load(&b->state)) : "");
	json_put_member(out, "note", p->pid ? note : "");
	fprintf(out,
		"\"slot\":%u,\"pid\":%d,\"starts\":%u,\"uptime_ms\":%" PRId64
		",\"heartbeat_age_ms\":%" PRId64 ",\"counters\":{",
		p->slot, (int)p->pid, p->starts, status_age(st, p),
		p->pid ? st->now_ms - p->beat_ms : -1);
	for (enum board_counter c = 0; c < COUNTER_MAX; c++)
		fprintf(out, "%s\"%s\":%" PRIu64, c ? "," : "", board_counter_name(c),
			board_counter(b, c));
	fputs("}}", out);
}

static void
status_json_death(const struct obituary *o, FILE *out)
{
	char when[CLOCK_TEXT], how[64];
	death_print(&o->death, how, sizeof how);
	fputc('{', out);
	json_put_member(out, "time", clock_print(o->wall_ms, when));
	json_put_member(out, "name", o->name);
	json_put_member(out, "how", how);
	json_put_member(out, "words", o->words);
	fprintf(out, "\"pid\":%d,\"%s\":%d,\"core\":%s,\"uptime_ms\":%" PRId64 "}", (int)o->pid,
		o->death.signalled ? "signal" : "exit_code", o->death.status,
		o->death.core ? "true" : "false", o->uptime_ms);
}

void
status_print_json(const struct status *st, FILE *out)
{
	const struct supervise *s = st->supervise;
	char owner[sizeof st->board->owner + 1];
	status_copy_text(owner, sizeof owner, st->board->owner, sizeof st->board->owner);
	fputc('{', out);
	json_put_member(out, "pipeline", st->pipeline->name);
	json_put_member(out, "file", st->pipeline->file);
	json_put_member(out, "version", TALLYD_VERSION);
	json_put_member(out, "phase", supervise_phase_name(s->phase));
	json_put_member(out, "owner", owner);
	fprintf(out, "\"pid\":%d,\"uptime_ms\":%" PRId64 ",\"recoveries\":%u,", (int)getpid(),
		st->now_ms - st->started_ms, s->recoveries);
	status_json_recovery(st, out);
	status_json_latency(st, out);
	status_json_durable(st, out);
	fputs(",\"sources\":[", out);
	for (unsigned i = SLOT_INGEST; i < s->count; i++) {
		fputs(i > SLOT_INGEST ? "," : "", out);
		status_json_source(st, &s->procs[i], out);
	}
	fputs("],\"stages\":[", out);
	for (unsigned i = 0; i < s->count; i++) {
		fputs(i ? "," : "", out);
		status_json_stage(st, &s->procs[i], out);
	}
	fprintf(out, "],\"death_count\":%" PRIu64 ",\"deaths\":[", st->tally->total);
	for (unsigned i = 0; i < tally_count(st->tally); i++) {
		fputs(i ? "," : "", out);
		status_json_death(tally_get(st->tally, i), out);
	}
	fputs("]}\n", out);
}
