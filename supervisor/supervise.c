/* supervise.c - the tables: state x event for one process, and the phases of all of them. */
#include "supervisor/supervise.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define READY_MS 30000
#define HANG_MS  60000
#define STOP_MS  10000

/* Samples of the heartbeat: often enough that an age in `status` means something. */
#define BEAT_SAMPLE_MS 1000

static void supervise_bury(struct supervise *, struct proc *);
static void supervise_advance(struct supervise *);

const char *
proc_state_name(const struct proc *p)
{
	static const char *const names[PROC_STATES] = {
	    [PROC_STOPPED] = "stopped",   [PROC_STARTING] = "starting", [PROC_READY] = "ready",
	    [PROC_STOPPING] = "stopping", [PROC_BACKOFF] = "backoff",   [PROC_FAILED] = "failed",
	};
	return p->state == PROC_STARTING && p->standby ? "standby" : names[p->state];
}

const char *
supervise_phase_name(enum supervise_phase phase)
{
	static const char *const names[] = {
	    [PHASE_BOOT] = "recovering", [PHASE_RUN] = "running",   [PHASE_CLEAR] = "clearing",
	    [PHASE_DRAIN] = "draining",  [PHASE_KILL] = "stopping", [PHASE_DONE] = "stopped",
	};
	return names[phase];
}

static bool
proc_alive(const struct proc *p)
{
	return p->pid != 0;
}

/* A process, or one that will be started at its deadline. */
static bool
proc_busy(const struct proc *p)
{
	return proc_alive(p) || p->state == PROC_BACKOFF;
}

bool
supervise_stopping(const struct supervise *s)
{
	return s->phase == PHASE_DRAIN || s->phase == PHASE_KILL || s->phase == PHASE_DONE;
}

struct proc *
supervise_find(struct supervise *s, pid_t pid)
{
	for (unsigned i = 0; i < s->count; i++)
		if (pid > 0 && s->procs[i].pid == pid)
			return &s->procs[i];
	return NULL;
}

/* How long to wait before the successor of p, which has just died, may start. */
static int64_t
proc_next_backoff(struct supervise *s, struct proc *p)
{
	int64_t ready_for = p->ready_ms ? s->now_ms - p->ready_ms : 0;
	if (ready_for >= s->long_ms)
		p->backoff_ms = 0;
	if (p->ready_ms && p->backoff_ms == 0) {
		/* The first early death is forgiven, but remembered: the next one waits. */
		p->backoff_ms = ready_for >= s->long_ms ? 0 : BACKOFF_BASE_MS;
		return 0;
	}
	int64_t before = p->backoff_ms > BACKOFF_BASE_MS ? p->backoff_ms : BACKOFF_BASE_MS;
	uint32_t span = (uint32_t)(3 * before - BACKOFF_BASE_MS + 1);
	int64_t wait = BACKOFF_BASE_MS + (int64_t)s->ops->random(s->context, span);
	p->backoff_ms = wait < s->backoff_cap_ms ? wait : s->backoff_cap_ms;
	return p->backoff_ms;
}

static void
proc_wait(struct supervise *s, struct proc *p, int64_t wait_ms)
{
	p->state = PROC_BACKOFF;
	p->deadline_ms = s->now_ms + wait_ms;
	log_info("stage.backoff", "%s is started again in %lld ms", p->name, (long long)wait_ms);
}

static void
proc_ignore(struct supervise *s, struct proc *p)
{
	(void)s;
	(void)p;
}

static void
proc_start(struct supervise *s, struct proc *p)
{
	p->standby = false;
	p->killed = p->replaced = false;
	p->ready_ms = 0;
	p->started_ms = s->now_ms;
	p->starts++;
	p->beat = s->ops->heartbeat(s->context, p);
	p->beat_ms = s->now_ms;
	pid_t pid = s->ops->spawn(s->context, p, s->phase == PHASE_RUN);
	if (pid < 0) {
		p->pid = 0;
		proc_wait(s, p, proc_next_backoff(s, p));
		return;
	}
	p->pid = pid;
	p->state = PROC_STARTING;
	p->deadline_ms = s->now_ms + s->ready_ms;
	s->ops->wake(s->context, p);
}

static void
proc_exited(struct supervise *s, struct proc *p)
{
	p->pid = 0;
	p->state = PROC_STOPPED;
	p->standby = false;
	p->deadline_ms = DEADLINE_NEVER;
	supervise_bury(s, p);
}

static void
proc_ready(struct supervise *s, struct proc *p)
{
	p->state = PROC_READY;
	p->standby = false;
	p->ready_ms = s->now_ms;
	p->deadline_ms = DEADLINE_NEVER;
	log_info("stage.ready", "%s pid=%d is ready after %lld ms", p->name, (int)p->pid,
		 (long long)(s->now_ms - p->started_ms));
	s->ops->wake(s->context, p);
	supervise_advance(s);
}

static void
proc_standby(struct supervise *s, struct proc *p)
{
	(void)s;
	p->standby = true;
	p->deadline_ms = DEADLINE_NEVER;
}

static void
proc_waiting(struct supervise *s, struct proc *p)
{
	p->standby = false;
	p->deadline_ms = s->now_ms + s->ready_ms;
}

static void
proc_end(struct supervise *s, struct proc *p)
{
	p->state = PROC_STOPPING;
	p->killed = true;
	/* SIGKILL cannot fail, but a process in the kernel may be slow to die: ask again. */
	p->deadline_ms = s->now_ms + s->stop_ms;
	s->ops->kill(s->context, p, SIGKILL);
}

static void
proc_late(struct supervise *s, struct proc *p)
{
	if (s->ops->excused(s->context, p)) {
		proc_waiting(s, p);
		return;
	}
	log_error("stage.late", "%s pid=%d was not ready within %lld ms: killed", p->name,
		  (int)p->pid, (long long)s->ready_ms);
	proc_end(s, p);
}

static void
proc_overdue(struct supervise *s, struct proc *p)
{
	log_warn("stage.overdue", "%s pid=%d did not end in time: killed", p->name, (int)p->pid);
	proc_end(s, p);
}

static void
proc_hang(struct supervise *s, struct proc *p)
{
	log_error("stage.hang", "%s pid=%d has not moved for %lld ms: aborted", p->name,
		  (int)p->pid, (long long)(s->now_ms - p->beat_ms));
	p->state = PROC_STOPPING;
	p->deadline_ms = s->now_ms + s->abort_ms;
	s->ops->kill(s->context, p, SIGABRT);
}

static void
proc_ask(struct supervise *s, struct proc *p)
{
	p->state = PROC_STOPPING;
	p->deadline_ms = s->now_ms + s->stop_ms;
	s->ops->ask_stop(s->context, p);
}

static void
proc_replace(struct supervise *s, struct proc *p)
{
	p->replaced = true;
	proc_ask(s, p);
}

static void
proc_cancel(struct supervise *s, struct proc *p)
{
	(void)s;
	p->state = PROC_STOPPED;
	p->deadline_ms = DEADLINE_NEVER;
}

/*
 * A stage that is not ready has nothing to finish, so STOP ends it. READY in STOPPING is late
 * news. What cannot happen (an exit without a process) is ignored, not trusted.
 */
static void (*const act[PROC_STATES][PROC_EVENTS])(struct supervise *, struct proc *) =
    {
	[PROC_STOPPED] =
	    {
		[EVENT_START] = proc_start,
		[EVENT_EXITED] = proc_ignore,
		[EVENT_READY] = proc_ignore,
		[EVENT_STANDBY] = proc_ignore,
		[EVENT_WAITING] = proc_ignore,
		[EVENT_TIMEOUT] = proc_ignore,
		[EVENT_HANG] = proc_ignore,
		[EVENT_STOP] = proc_ignore,
		[EVENT_RECOVER] = proc_ignore,
		[EVENT_REPLACE] = proc_ignore,
	    },
	[PROC_STARTING] =
	    {
		[EVENT_START] = proc_ignore,
		[EVENT_EXITED] = proc_exited,
		[EVENT_READY] = proc_ready,
		[EVENT_STANDBY] = proc_standby,
		[EVENT_WAITING] = proc_waiting,
		[EVENT_TIMEOUT] = proc_late,
		[EVENT_HANG] = proc_hang,
		[EVENT_STOP] = proc_end,
		[EVENT_RECOVER] = proc_end,
		[EVENT_REPLACE] = proc_ignore,
	    },
	[PROC_READY] =
	    {
		[EVENT_START] = proc_ignore,
		[EVENT_EXITED] = proc_exited,
		[EVENT_READY] = proc_ignore,
		[EVENT_STANDBY] = proc_ignore,
		[EVENT_WAITING] = proc_ignore,
		[EVENT_TIMEOUT] = proc_ignore,
		[EVENT_HANG] = proc_hang,
		[EVENT_STOP] = proc_ask,
		[EVENT_RECOVER] = proc_end,
		[EVENT_REPLACE] = proc_replace,
	    },
	[PROC_STOPPING] =
	    {
		[EVENT_START] = proc_ignore,
		[EVENT_EXITED] = proc_exited,
		[EVENT_READY] = proc_ignore,
		[EVENT_STANDBY] = proc_ignore,
		[EVENT_WAITING] = proc_ignore,
		[EVENT_TIMEOUT] = proc_overdue,
		[EVENT_HANG] = proc_ignore,
		[EVENT_STOP] = proc_ignore,
		[EVENT_RECOVER] = proc_end,
		[EVENT_REPLACE] = proc_ignore,
	    },
	[PROC_BACKOFF] =
	    {
		[EVENT_START] = proc_ignore,
		[EVENT_EXITED] = proc_ignore,
		[EVENT_READY] = proc_ignore,
		[EVENT_STANDBY] = proc_ignore,
		[EVENT_WAITING] = proc_ignore,
		[EVENT_TIMEOUT] = proc_start,
		[EVENT_HANG] = proc_ignore,
		[EVENT_STOP] = proc_cancel,
		[EVENT_RECOVER] = proc_cancel,
		[EVENT_REPLACE] = proc_ignore,
	    },
	[PROC_FAILED] =
	    {
		[EVENT_START] = proc_ignore,
		[EVENT_EXITED] = proc_ignore,
		[EVENT_READY] = proc_ignore,
		[EVENT_STANDBY] = proc_ignore,
		[EVENT_WAITING] = proc_ignore,
		[EVENT_TIMEOUT] = proc_ignore,
		[EVENT_HANG] = proc_ignore,
		[EVENT_STOP] = proc_ignore,
		[EVENT_RECOVER] = proc_ignore,
		[EVENT_REPLACE] = proc_ignore,
	    },
};

void
supervise_init(struct supervise *s, const struct supervise_ops *ops, void *context,
	       unsigned servers, const char *const *names)
{
	memset(s, 0, sizeof *s);
	s->ops = ops;
	s->context = context;
	s->ready_ms = READY_MS;
	s->hang_ms = HANG_MS;
	s->long_ms = READY_LONG_MS;
	s->stop_ms = STOP_MS;
	s->abort_ms = ABORT_MS;
	s->backoff_cap_ms = BACKOFF_CAP_MS;
	s->count = SLOT_INGEST + servers;
	for (unsigned i = 0; i < s->count; i++) {
		struct proc *p = &s->procs[i];
		p->slot = i;
		p->role = i == SLOT_EGRESS   ? ROLE_EGRESS
			  : i == SLOT_REDUCE ? ROLE_REDUCE
					     : ROLE_INGEST;
		p->server = i >= SLOT_INGEST ? i - SLOT_INGEST : 0;
		p->name = names[i];
		p->deadline_ms = DEADLINE_NEVER;
	}
}

static void
supervise_act(struct supervise *s, struct proc *p, enum proc_event event)
{
	act[p->state][event](s, p);
}

static void
supervise_all(struct supervise *s, enum proc_event event)
{
	for (unsigned i = 0; i < s->count; i++)
		supervise_act(s, &s->procs[i], event);
}

static bool
supervise_any(const struct supervise *s, bool (*is)(const struct proc *))
{
	for (unsigned i = 0; i < s->count; i++)
		if (is(&s->procs[i]))
			return true;
	return false;
}

/* All are reaped: renew what they shared, and begin with the sink. */
static void
supervise_boot(struct supervise *s)
{
	if (!s->ops->renew(s->context)) {
		s->exit_code = EXIT_TEMPORARY;
		s->phase = PHASE_DONE;
		return;
	}
	s->phase = PHASE_BOOT;
	if (s->trial == TRIAL_LOST)
		s->trial = TRIAL_NONE;
	struct proc *egress = &s->procs[SLOT_EGRESS];
	if (s->boot_ms > s->now_ms)
		proc_wait(s, egress, s->boot_ms - s->now_ms);
	else
		supervise_act(s, egress, EVENT_START);
}

static void
supervise_advance_boot(struct supervise *s)
{
	if (s->procs[SLOT_EGRESS].state != PROC_READY)
		return;
	supervise_act(s, &s->procs[SLOT_REDUCE], EVENT_START);
	if (s->procs[SLOT_REDUCE].state != PROC_READY)
		return;
	bool all = true;
	for (unsigned i = SLOT_INGEST; i < s->count; i++) {
		supervise_act(s, &s->procs[i], EVENT_START);
		all = all && s->procs[i].state == PROC_READY;
	}
	if (!all)
		return;
	s->phase = PHASE_RUN;
	log_info("recovery.done", "all stages are ready after %lld ms",
		 (long long)(s->now_ms - s->recovery_ms));
}

/* Sources first, sinks last: what a stage has written is whole before its reader is asked. */
static void
supervise_advance_drain(struct supervise *s)
{
	static const enum stage_role order[] = {ROLE_INGEST, ROLE_REDUCE, ROLE_EGRESS};
	for (unsigned o = 0; o < sizeof order / sizeof *order; o++) {
		bool busy = false;
		for (unsigned i = 0; i < s->count; i++) {
			struct proc *p = &s->procs[i];
			if (p->role != order[o])
				continue;
			supervise_act(s, p, EVENT_STOP);
			busy = busy || proc_busy(p);
		}
		if (busy)
			return;
	}
	s->phase = PHASE_DONE;
}

/* Take the next step of the phase, if its time has come. */
static void
supervise_advance(struct supervise *s)
{
	switch (s->phase) {
	case PHASE_BOOT:
		supervise_advance_boot(s);
		return;
	case PHASE_CLEAR:
		if (!supervise_any(s, proc_alive))
			supervise_boot(s);
		return;
	case PHASE_DRAIN:
		supervise_advance_drain(s);
		return;
	case PHASE_KILL:
		if (!supervise_any(s, proc_alive))
			s->phase = PHASE_DONE;
		return;
	case PHASE_RUN:
	case PHASE_DONE:
		return;
	}
}

static void
supervise_enter(struct supervise *s, enum supervise_phase phase)
{
	s->phase = phase;
	if (phase == PHASE_CLEAR || phase == PHASE_KILL)
		supervise_all(s, EVENT_RECOVER);
	supervise_advance(s);
}

static void
supervise_clear(struct supervise *s, const char *reason, int64_t wait_ms)
{
	log_warn("recovery.full", "%s: all stages start again", reason);
	s->recoveries++;
	snprintf(s->reason, sizeof s->reason, "%s", reason);
	if (s->settled) /* else output has stood still since longer ago */
		s->recovery_ms = s->now_ms;
	s->settled = false;
	s->pause_ms = -1;
	s->boot_ms = s->now_ms + wait_ms;
	supervise_enter(s, PHASE_CLEAR);
}

/* Stop, as gently as it makes sense: without a ready way to the target nothing can be finished. */
static void
supervise_begin_stop(struct supervise *s)
{
	bool way =
	    s->procs[SLOT_EGRESS].state == PROC_READY && s->procs[SLOT_REDUCE].state == PROC_READY;
	supervise_enter(s, way ? PHASE_DRAIN : PHASE_KILL);
}

bool
death_is_final(const struct death *d)
{
	return !d->signalled &&
	       (d->status == EXIT_DATA || d->status == EXIT_DENIED || d->status == EXIT_CONFIG);
}

/* A process that nobody asked to end, or asked to make room for another: what follows for all. */
static void
supervise_succeed(struct supervise *s, struct proc *p)
{
	char reason[128];
	bool asked = !p->death.signalled && p->death.status == EXIT_RECOVER;
	int64_t wait_ms = p->replaced ? 0 : proc_next_backoff(s, p);
	if (s->phase == PHASE_BOOT || p->role == ROLE_REDUCE || asked) {
		snprintf(reason, sizeof reason, "%s %s", p->name,
			 asked                    ? "asked for a full recovery"
			 : s->phase == PHASE_BOOT ? "died before all stages were ready"
						  : "died, and its memory with it");
		supervise_clear(s, reason, wait_ms);
	} else if (wait_ms > 0) {
		proc_wait(s, p, wait_ms);
	} else {
		supervise_act(s, p, EVENT_START);
	}
}

/* A stage has refused the new pipeline file: go on with the old one. */
static void
supervise_revert(struct supervise *s, struct proc *p)
{
	char reason[128];
	bool alone = s->ops->revert(s->context, p) && s->phase == PHASE_RUN;
	s->trial = alone ? TRIAL_NONE : TRIAL_LOST;
	if (alone) {
		supervise_act(s, p, EVENT_START);
		return;
	}
	snprintf(reason, sizeof reason, "%s has refused the new pipeline file", p->name);
	supervise_clear(s, reason, 0);
}

/* One that was asked to end has done so. */
static void
supervise_finish(struct supervise *s, const struct proc *p)
{
	if (s->phase == PHASE_DRAIN && p->role == ROLE_EGRESS)
		supervise_enter(s, PHASE_KILL); /* what is still in the rings has no way any more */
	else
		supervise_advance(s);
}

/* No restart helps. */
static void
supervise_give_up(struct supervise *s, struct proc *p)
{
	p->state = PROC_FAILED;
	if (s->exit_code == 0)
		s->exit_code = p->death.status;
	if (s->phase == PHASE_BOOT || s->phase == PHASE_RUN) {
		supervise_begin_stop(s);
		return;
	}
	if (s->phase == PHASE_CLEAR)
		s->phase = PHASE_KILL;
	supervise_finish(s, p);
}

static void
supervise_bury(struct supervise *s, struct proc *p)
{
	bool running = s->phase == PHASE_BOOT || s->phase == PHASE_RUN;
	bool final = death_is_final(&p->death);
	if (final && running && s->trial == TRIAL_ON)
		supervise_revert(s, p);
	else if (final && (s->phase != PHASE_CLEAR || s->trial == TRIAL_NONE))
		supervise_give_up(s, p);
	else if (running)
		supervise_succeed(s, p);
	else
		supervise_finish(s, p);
}

void
supervise_start(struct supervise *s, int64_t now_ms)
{
	s->now_ms = s->ticked_ms = s->recovery_ms = s->boot_ms = now_ms;
	s->pause_ms = -1;
	s->phase = PHASE_CLEAR;
	supervise_advance(s);
}

void
supervise_event(struct supervise *s, struct proc *p, enum proc_event event, int64_t now_ms)
{
	s->now_ms = now_ms;
	supervise_act(s, p, event);
}

void
supervise_recover(struct supervise *s, const char *reason, int64_t now_ms)
{
	s->now_ms = now_ms;
	if (!supervise_stopping(s))
		supervise_clear(s, reason, 0);
}

void
supervise_replace(struct supervise *s, struct proc *p, int64_t now_ms)
{
	supervise_event(s, p, EVENT_REPLACE, now_ms);
}

void
supervise_try(struct supervise *s)
{
	if (!supervise_stopping(s))
		s->trial = TRIAL_ON;
}

void
supervise_trust(struct supervise *s)
{
	if (s->trial == TRIAL_ON)
		s->trial = TRIAL_NONE;
}

void
supervise_settle(struct supervise *s, int64_t now_ms)
{
	s->settled = true;
	s->pause_ms = now_ms - s->recovery_ms;
}

bool
supervise_is_quiet(const struct supervise *s)
{
	bool quiet = s->phase == PHASE_RUN && s->settled;
	for (unsigned i = 0; i < s->count; i++)
		quiet = quiet && s->procs[i].state == PROC_READY;
	return quiet;
}

void
supervise_stop(struct supervise *s, int64_t now_ms)
{
	s->now_ms = now_ms;
	if (s->phase == PHASE_DRAIN)
		supervise_enter(s, PHASE_KILL);
	else if (!supervise_stopping(s))
		supervise_begin_stop(s);
}

void
supervise_kill(struct supervise *s, int64_t now_ms)
{
	s->now_ms = now_ms;
	if (s->phase != PHASE_DONE)
		supervise_enter(s, PHASE_KILL);
}

static int64_t
supervise_sample_ms(const struct supervise *s)
{
	return s->hang_ms / 4 < BEAT_SAMPLE_MS ? s->hang_ms / 4 : BEAT_SAMPLE_MS;
}

/* We were stopped ourselves (a frozen container, a debugger): nobody else is to blame for it. */
static void
supervise_forgive(struct supervise *s, int64_t gap_ms)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct proc *p = &s->procs[i];
		p->beat_ms = s->now_ms;
		if (p->deadline_ms != DEADLINE_NEVER && p->state != PROC_BACKOFF)
			p->deadline_ms += gap_ms;
	}
}

static void
supervise_check_beat(struct supervise *s, struct proc *p)
{
	if (p->state != PROC_STARTING && p->state != PROC_READY)
		return;
	uint64_t beat = s->ops->heartbeat(s->context, p);
	if (beat != p->beat) {
		p->beat = beat;
		p->beat_ms = s->now_ms;
	} else if (s->now_ms - p->beat_ms >= s->hang_ms) {
		supervise_act(s, p, EVENT_HANG);
	}
}

void
supervise_tick(struct supervise *s, int64_t now_ms)
{
	int64_t gap_ms = now_ms - s->ticked_ms;
	s->now_ms = s->ticked_ms = now_ms;
	if (gap_ms > supervise_sample_ms(s) + s->hang_ms / 2)
		supervise_forgive(s, gap_ms);
	for (unsigned i = 0; i < s->count; i++) {
		struct proc *p = &s->procs[i];
		if (p->deadline_ms <= now_ms)
			supervise_act(s, p, EVENT_TIMEOUT);
		supervise_check_beat(s, p);
	}
}

int64_t
supervise_deadline(const struct supervise *s)
{
	int64_t first = DEADLINE_NEVER;
	for (unsigned i = 0; i < s->count; i++) {
		const struct proc *p = &s->procs[i];
		if (p->deadline_ms < first)
			first = p->deadline_ms;
	}
	if (supervise_any(s, proc_alive) && s->ticked_ms + supervise_sample_ms(s) < first)
		first = s->ticked_ms + supervise_sample_ms(s);
	return first;
}
