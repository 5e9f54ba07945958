/*
 * swap.c - a new pipeline file comes into force under a running pipeline.
 *
 * What can is done live: egress is replaced alone, then reduce is sent its new section and new views
 * are filled, then those ingests are replaced that have other options; they work by a merge of the
 * old and the new file, in which indices stay. Everything else, and whatever goes wrong in between,
 * is a full recovery by the new file. Until all is done the old one is kept: a stage that refuses the
 * new one brings it back.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/pipeline.h"
#include "supervisor/daemon_state.h"
#include "supervisor/spawn.h"

#define SWAP_STEP_MS   60000
#define SWAP_FILL_MS   10000
#define SWAP_VIEWS_MAX 4096 /* a merge with more, dropped ones included, is given up */

static const struct pipeline *
swap_file(const struct daemon *d)
{
	return d->next ? d->next : d->pipeline;
}

static struct proc *
swap_proc(struct daemon *d, unsigned slot)
{
	return &d->supervise.procs[slot];
}

/* Whoever asked for it: the log says what came of it, and why. */
static void
swap_tell(struct daemon *d, int code, const char *text)
{
	const char *file = swap_file(d)->file;
	bool dry_run = d->swap.reload.wish.dry_run;
	if (code != 0 && !dry_run) {
		daemon_log_text(LOG_ERROR, "reload.refused", text, file);
		log_error("reload.refused", "the pipeline goes on as it was");
	} else if (!dry_run) {
		daemon_log_text(LOG_INFO, "reload.done", text, NULL);
	}
	control_answer_waiting(&d->control, code, text);
}

static void __attribute__((format(printf, 3, 4)))
swap_tell_line(struct daemon *d, int code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	swap_tell(d, code, text);
}

/* The new file is in force for good. */
static void
swap_trust(struct daemon *d)
{
	struct swap *w = &d->swap;
	if (w->old != d->pipeline)
		pipeline_free(w->old);
	pipeline_free(w->old_next);
	w->old = w->old_next = NULL;
	w->step = SWAP_NONE;
	supervise_trust(&d->supervise);
	reload_drop(&w->reload);
}

/* The old file is in force again. */
static void
swap_restore(struct daemon *d)
{
	struct swap *w = &d->swap;
	pipeline_free(d->next);
	if (d->pipeline != w->old)
		pipeline_free(d->pipeline);
	d->pipeline = w->old;
	d->next = w->old_next;
	w->old = w->old_next = NULL;
	w->step = SWAP_NONE;
	reload_drop(&w->reload);
}

static void
swap_print_rebuilt(struct daemon *d, FILE *out)
{
	uint64_t rows = board_counter(&d->board->stage[SLOT_EGRESS], COUNTER_REBUILT);
	const char *view = d->swap.reload.wish.view;
	fprintf(out, "%s%s%s rebuilt: %llu row%s written", *view ? "view " : "all views", view,
		*view ? " is" : " are", (unsigned long long)(rows - d->swap.rebuilt),
		rows - d->swap.rebuilt == 1 ? "" : "s");
}

static void
swap_done(struct daemon *d)
{
	struct swap *w = &d->swap;
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);
	differences_print(&w->reload.differences, d->pipeline, out);
	if (w->reload.wish.rebuild) {
		swap_print_rebuilt(d, out);
		fputc('\n', out);
	}
	fprintf(out, "%s is in force", d->pipeline->file);
	if (w->step == SWAP_RECOVER)
		fprintf(out, ": output stood still for %lld ms", (long long)d->supervise.pause_ms);
	fputc('\n', out);
	fclose(out);
	swap_tell(d, 0, text);
	free(text);
	swap_trust(d);
}

/* --- the steps --- */

static void
swap_note_starts(struct daemon *d)
{
	for (unsigned i = 0; i < d->supervise.count; i++)
		d->swap.starts[i] = d->supervise.procs[i].starts;
}

/* Its successor works by the new file. */
static bool
swap_is_replaced(struct daemon *d, unsigned slot)
{
	const struct proc *p = swap_proc(d, slot);
	return p->state == PROC_READY && p->starts > d->swap.starts[slot];
}

static void
swap_recover(struct daemon *d, const char *reason)
{
	d->swap.step = SWAP_RECOVER;
	d->swap.deadline_ms = DEADLINE_NEVER;
	supervise_recover(&d->supervise, reason, clock_monotonic_ms());
}

static bool
swap_send_section(struct daemon *d)
{
	char byte = CONTROL_SECTION;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof control};
	int section = spawn_section(d->pipeline, ROLE_REDUCE, 0);
	if (section < 0)
		return false;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof section);
	memcpy(CMSG_DATA(c), &section, sizeof section);
	ssize_t n = sendmsg(d->children[SLOT_REDUCE].control, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(section);
	return n == 1;
}

static void
swap_begin_step(struct daemon *d, enum swap_step step, int64_t now_ms)
{
	struct swap *w = &d->swap;
	w->step = step;
	w->deadline_ms = now_ms + SWAP_STEP_MS;
	if (step == SWAP_EGRESS) {
		w->given++;
		supervise_replace(&d->supervise, swap_proc(d, SLOT_EGRESS), now_ms);
	} else if (step == SWAP_REDUCE) {
		w->given++;
		d->filled = false; /* egress may have spoken of an earlier one */
		if (!swap_send_section(d))
			swap_recover(d, "reduce could not be sent its new section");
	} else if (step == SWAP_FILL) {
		w->deadline_ms = DEADLINE_NEVER; /* as long as their rows take */
	} else {
		for (unsigned i = 0; i < d->pipeline->server_count; i++) {
			if (!w->reload.differences.ingests[i])
				continue;
			w->given++;
			supervise_replace(&d->supervise, swap_proc(d, SLOT_INGEST + i), now_ms);
		}
	}
}

/* The step that comes after this one. */
static void
swap_next(struct daemon *d, int64_t now_ms)
{
	const struct differences *x = &d->swap.reload.differences;
	bool ingests = false;
	for (unsigned i = 0; i < d->pipeline->server_count; i++)
		ingests = ingests || x->ingests[i];
	if (d->swap.step < SWAP_EGRESS && x->egress)
		swap_begin_step(d, SWAP_EGRESS, now_ms);
	else if (d->swap.step < SWAP_REDUCE && x->reduce)
		swap_begin_step(d, SWAP_REDUCE, now_ms);
	else if (d->swap.step < SWAP_FILL && x->fills)
		swap_begin_step(d, SWAP_FILL, now_ms);
	else if (d->swap.step < SWAP_INGESTS && ingests)
		swap_begin_step(d, SWAP_INGESTS, now_ms);
	else
		swap_done(d);
}

static bool
swap_ingests_replaced(struct daemon *d)
{
	bool all = true;
	for (unsigned i = 0; i < d->pipeline->server_count; i++)
		all = all && (!d->swap.reload.differences.ingests[i] ||
			      swap_is_replaced(d, SLOT_INGEST + i));
	return all;
}

/* The full recovery is over, and what the new file has to fill is filled. */
static bool
swap_recovered(const struct daemon *d)
{
	const struct supervise *s = &d->supervise;
	const struct reload *r = &d->swap.reload;
	if (s->phase != PHASE_RUN || !s->settled)
		return false;
	if (!r->differences.fills || d->filled)
		return true;
	/* One that was filled live, just before something died, is not filled again. */
	return !r->wish.rebuild &&
	       clock_monotonic_ms() - s->recovery_ms - s->pause_ms >= SWAP_FILL_MS;
}

static bool
swap_step_done(struct daemon *d)
{
	switch (d->swap.step) {
	case SWAP_EGRESS:
		return swap_is_replaced(d, SLOT_EGRESS);
	case SWAP_FILL:
		return d->filled;
	case SWAP_INGESTS:
		return swap_ingests_replaced(d);
	case SWAP_RECOVER:
		return swap_recovered(d);
	case SWAP_REDUCE: /* swap_taken() */
	case SWAP_NONE:
	case SWAP_CHECK:
		break;
	}
	return false;
}

void
swap_taken(struct daemon *d, const struct proc *p)
{
	if (d->swap.step == SWAP_REDUCE && p->role == ROLE_REDUCE)
		swap_next(d, clock_monotonic_ms());
}

/* The stage that the step waits for. */
static struct proc *
swap_awaited(struct daemon *d)
{
	if (d->swap.step == SWAP_EGRESS)
		return swap_proc(d, SLOT_EGRESS);
	for (unsigned i = 0; i < d->pipeline->server_count; i++)
		if (d->swap.reload.differences.ingests[i] && !swap_is_replaced(d, SLOT_INGEST + i))
			return swap_proc(d, SLOT_INGEST + i);
	return swap_proc(d, SLOT_INGEST);
}

/* A stage does not come: back to the old file. */
static void
swap_late(struct daemon *d, int64_t now_ms)
{
	if (d->swap.step == SWAP_REDUCE) {
		swap_recover(d, "reduce has not taken its new section");
		return;
	}
	struct proc *p = swap_awaited(d);
	const struct board_stage *b = &d->board->stage[p->slot];
	char note[sizeof b->note];
	bool alone = d->swap.given == 1;
	status_copy_text(note, sizeof note, b->note, sizeof b->note);
	swap_tell_line(d, EXIT_UNAVAILABLE, "%s: %s was not ready within %d s%s%s\n",
		       d->pipeline->file, p->name, SWAP_STEP_MS / 1000, *note ? ": " : "", note);
	supervise_trust(&d->supervise);
	swap_restore(d);
	if (alone && p->state == PROC_STARTING)
		supervise_event(&d->supervise, p, EVENT_RECOVER, now_ms);
	if (!alone)
		supervise_recover(&d->supervise, "the new pipeline file was given up", now_ms);
}

void
swap_turn(struct daemon *d, int64_t now_ms)
{
	struct swap *w = &d->swap;
	if (w->step < SWAP_EGRESS)
		return;
	if (supervise_stopping(&d->supervise)) {
		swap_tell_line(d, EXIT_TEMPORARY, "%s: tallyd is stopping\n", d->pipeline->file);
		swap_trust(d);
		return;
	}
	if (w->step != SWAP_RECOVER && d->supervise.phase != PHASE_RUN) {
		w->step = SWAP_RECOVER;
		w->deadline_ms = DEADLINE_NEVER;
	}
	if (swap_step_done(d) && w->step == SWAP_RECOVER)
		swap_done(d);
	else if (swap_step_done(d))
		swap_next(d, now_ms);
	else if (w->step == SWAP_RECOVER && daemon_stands_by(d, now_ms)) {
		swap_tell_line(d, EXIT_TEMPORARY,
			       "%s: another tallyd has taken over meanwhile: this one stands by, "
			       "with the new file\n",
			       d->pipeline->file);
		swap_trust(d);
	} else if (now_ms >= w->deadline_ms)
		swap_late(d, now_ms);
}

int64_t
swap_deadline(const struct daemon *d)
{
	return d->swap.step >= SWAP_EGRESS ? d->swap.deadline_ms : DEADLINE_NEVER;
}

/* --- a stage refuses --- */

void
swap_renew(struct daemon *d)
{
	if (!d->next)
		return;
	if (d->pipeline != d->swap.old)
		pipeline_free(d->pipeline);
	d->pipeline = d->next;
	d->next = NULL;
}

bool
swap_revert(struct daemon *d, const struct proc *p)
{
	char words[BOARD_WORDS_MAX];
	bool alone = d->swap.given == 1 && p->starts > d->swap.starts[p->slot];
	status_copy_text(words, sizeof words, d->board->stage[p->slot].words, BOARD_WORDS_MAX);
	swap_tell_line(d, p->death.status,
		       "%s: %s refused it: %s (its lines in the log say more)\n", d->pipeline->file,
		       p->name, *words ? words : "it left no word");
	swap_restore(d);
	d->why[0] = '\0';
	return alone;
}

/* --- requests --- */

/* Begin with a file that was checked. */
static void
swap_begin_full(struct daemon *d, int64_t now_ms)
{
	struct swap *w = &d->swap;
	w->old = d->pipeline;
	w->old_next = d->next;
	d->next = w->reload.pipeline;
	w->reload.pipeline = NULL;
	d->next->replay =
	    w->reload.wish.replay || differences_have(&w->reload.differences, EFFECT_REPLAY);
	w->step = SWAP_RECOVER;
	w->deadline_ms = DEADLINE_NEVER;
	supervise_try(&d->supervise);
	supervise_recover(&d->supervise, "the pipeline file was read again", now_ms);
}

static bool
swap_begin_live(struct daemon *d, int64_t now_ms)
{
	struct swap *w = &d->swap;
	FILE *nowhere = fopen("/dev/null", "we");
	struct pipeline *again = nowhere ? parse_pipeline(&w->reload.source, nowhere) : NULL;
	if (nowhere)
		fclose(nowhere);
	struct pipeline *merged = again ? differences_merge(d->pipeline, again) : NULL;
	if (!merged)
		return false;
	w->old = d->pipeline;
	w->old_next = d->next;
	d->pipeline = merged;
	d->next = w->reload.pipeline;
	w->reload.pipeline = NULL;
	supervise_try(&d->supervise);
	swap_next(d, now_ms);
	return true;
}

static void
swap_begin(struct daemon *d)
{
	struct swap *w = &d->swap;
	const struct reload *r = &w->reload;
	int64_t now_ms = clock_monotonic_ms();
	if (r->differences.count == 0 && !r->wish.replay && !r->wish.rebuild) {
		swap_done(d);
		return;
	}
	w->given = 0;
	w->rebuilt = board_counter(&d->board->stage[SLOT_EGRESS], COUNTER_REBUILT);
	swap_note_starts(d);
	bool full = r->wish.replay || r->wish.rebuild ||
		    differences_have(&r->differences, EFFECT_REPLAY) ||
		    d->pipeline->view_count + r->pipeline->view_count > SWAP_VIEWS_MAX ||
		    !supervise_is_quiet(&d->supervise);
	if (full || !swap_begin_live(d, now_ms))
		swap_begin_full(d, now_ms);
}

void
swap_checked(struct daemon *d)
{
	struct swap *w = &d->swap;
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);
	int code = reload_end(&w->reload, out);
	if (code == 0 && supervise_stopping(&d->supervise)) {
		code = EXIT_TEMPORARY;
		fprintf(out, "%s: tallyd is stopping, nothing is reloaded\n", swap_file(d)->file);
	}
	if (code == 0 && !w->reload.wish.dry_run) {
		swap_begin(d);
	} else {
		fflush(out);
		swap_tell(d, code, text);
		w->step = SWAP_NONE;
		reload_drop(&w->reload);
	}
	fclose(out);
	free(text);
}

static bool
swap_same_wish(const struct reload_wish *a, const struct reload_wish *b)
{
	return a->replay == b->replay && a->dry_run == b->dry_run && a->rebuild == b->rebuild &&
	       strcmp(a->view, b->view) == 0;
}

/* Not even begun, and nobody else's request is touched. */
static int __attribute__((format(printf, 3, 4)))
swap_refuse(FILE *answer, int code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_warn("reload.refused", "%s", text);
	fprintf(answer, "%s\n", text);
	return code;
}

int
swap_request(struct daemon *d, const char *request, FILE *answer)
{
	struct reload_wish wish;
	struct swap *w = &d->swap;
	const char *file = swap_file(d)->file;
	char *text = NULL;
	size_t len;
	if (!reload_parse_wish(&wish, request))
		return swap_refuse(answer, EXIT_USAGE, "this tallyd does not know \"%s\"", request);
	if (supervise_stopping(&d->supervise))
		return swap_refuse(answer, EXIT_TEMPORARY,
				   "%s: tallyd is stopping, nothing is reloaded", file);
	if (w->step > SWAP_CHECK ||
	    (w->step == SWAP_CHECK && !swap_same_wish(&wish, &w->reload.wish)))
		return swap_refuse(answer, EXIT_TEMPORARY,
				   "%s: another change is under way: ask again later", file);
	FILE *out = xmemstream(&text, &len);
	reload_drop(&w->reload); /* the file may have changed again since it was read */
	int code = reload_begin(&w->reload, &wish, d->pipeline, swap_file(d), out);
	fclose(out);
	w->step = code == 0 ? SWAP_CHECK : SWAP_NONE;
	if (code != 0) {
		/* Those who waited for a check that was dropped get this answer too. */
		swap_tell(d, code, text);
		fputs(text, answer);
	}
	free(text);
	return code != 0 ? code : CONTROL_LATER;
}

void
swap_close(struct daemon *d)
{
	struct swap *w = &d->swap;
	if (w->step >= SWAP_EGRESS)
		swap_trust(d);
	reload_drop(&w->reload);
}
