/* The tables of the supervisor, with a fake clock and fake children. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/supervise.h"

#define FAKE_SERVERS 2
#define FAKE_STAGES  (SLOT_INGEST + FAKE_SERVERS)

static const char *const fake_names[FAKE_STAGES] = {"egress", "reduce", "ingest/a", "ingest/b"};

struct fake { /* what the supervisor asked for, one word each, and what it is shown */
	char said[4096];
	pid_t next_pid;
	pid_t alive[FAKE_STAGES];
	uint64_t beat[FAKE_STAGES];
	bool excused[FAKE_STAGES];
	bool spawn_fails, renew_fails;
	bool was_alone, revert_alone;
	unsigned renewals, kills;
	uint32_t random;    /* the next answer */
	const char *broken; /* a rule that was broken */
};

static void
fake_say(struct fake *f, const char *verb, const struct proc *p)
{
	size_t len = strlen(f->said);
	snprintf(f->said + len, sizeof f->said - len, "%s%s%s%s", len ? " " : "", verb,
		 p ? ":" : "", p ? p->name : "");
}

static pid_t
fake_spawn(void *context, const struct proc *p, bool alone)
{
	struct fake *f = context;
	if (f->alive[p->slot])
		f->broken = "a successor was started before its predecessor was reaped";
	f->was_alone = alone;
	fake_say(f, f->spawn_fails ? "nospawn" : alone ? "alone" : "spawn", p);
	if (f->spawn_fails)
		return -1;
	f->alive[p->slot] = ++f->next_pid;
	return f->next_pid;
}

static void
fake_kill(void *context, const struct proc *p, int signal_number)
{
	struct fake *f = context;
	f->kills++;
	if (!f->alive[p->slot])
		f->broken = "a process that is not there was killed";
	fake_say(f, signal_number == SIGKILL ? "kill" : "abort", p);
}

static void
fake_ask_stop(void *context, const struct proc *p)
{
	fake_say(context, p->replaced ? "leave" : "ask", p);
}

static bool
fake_revert(void *context, const struct proc *p)
{
	struct fake *f = context;
	fake_say(f, "revert", p);
	return f->revert_alone;
}

static bool
fake_renew(void *context)
{
	struct fake *f = context;
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		if (f->alive[i])
			f->broken = "rings were renewed under a living process";
	f->renewals++;
	fake_say(f, "renew", NULL);
	return !f->renew_fails;
}

static void
fake_wake(void *context, const struct proc *p)
{
	(void)context;
	(void)p;
}

static uint64_t
fake_heartbeat(void *context, const struct proc *p)
{
	return ((struct fake *)context)->beat[p->slot];
}

static bool
fake_excused(void *context, const struct proc *p)
{
	return ((struct fake *)context)->excused[p->slot];
}

static uint32_t
fake_random(void *context, uint32_t bound)
{
	struct fake *f = context;
	return f->random < bound ? f->random : bound - 1;
}

static const struct supervise_ops fake_ops = {fake_spawn,     fake_kill,    fake_ask_stop,
					      fake_revert,    fake_renew,   fake_wake,
					      fake_heartbeat, fake_excused, fake_random};

static struct fake fake;
static struct supervise sup;
static int64_t now;

#define EGRESS (&sup.procs[SLOT_EGRESS])
#define REDUCE (&sup.procs[SLOT_REDUCE])
#define FIRST  (&sup.procs[SLOT_INGEST])
#define SECOND (&sup.procs[SLOT_INGEST + 1])

static void
quiet(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	close(null);
	memset(&fake, 0, sizeof fake);
	now = 1000000;
	supervise_init(&sup, &fake_ops, &fake, FAKE_SERVERS, fake_names);
}

TestSuite(supervise, .init = quiet, .timeout = 30);

static void
event(struct proc *p, enum proc_event e)
{
	supervise_event(&sup, p, e, now);
}

static void
dies(struct proc *p, bool signalled, int status)
{
	fake.alive[p->slot] = 0;
	p->death = (struct death){.signalled = signalled, .status = status};
	event(p, EVENT_EXITED);
}

/* Compare and forget what was asked for since the last time. */
static void
said(const char *expected)
{
	cr_assert_str_eq(fake.said, expected, "asked for \"%s\", not \"%s\"", fake.said, expected);
	fake.said[0] = '\0';
	cr_assert_null(fake.broken, "%s", fake.broken);
}

static void
all_ready(void)
{
	supervise_start(&sup, now);
	event(EGRESS, EVENT_READY);
	event(REDUCE, EVENT_READY);
	event(FIRST, EVENT_READY);
	event(SECOND, EVENT_READY);
	cr_assert_eq(sup.phase, PHASE_RUN);
	fake.said[0] = '\0';
}

static void
everyone_moves(void)
{
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		fake.beat[i]++;
}

/* Let time pass in steps, as the loop would, while all hearts beat. */
static void
pass(int64_t ms)
{
	for (int64_t end = now + ms; now < end;) {
		int64_t next = supervise_deadline(&sup);
		now = next > now && next < end ? next : end;
		everyone_moves();
		supervise_tick(&sup, now);
	}
}

/* --- one process: every cell --- */

static const struct cell { /* all others change nothing and ask for nothing */
	enum proc_state state;
	enum proc_event event;
	enum proc_state next;
	const char *asked;
} cells[] = {
    {PROC_STOPPED, EVENT_START, PROC_STARTING, "alone:egress"},
    {PROC_STARTING, EVENT_EXITED, PROC_BACKOFF, ""},
    {PROC_STARTING, EVENT_READY, PROC_READY, ""},
    {PROC_STARTING, EVENT_TIMEOUT, PROC_STOPPING, "kill:egress"},
    {PROC_STARTING, EVENT_HANG, PROC_STOPPING, "abort:egress"},
    {PROC_STARTING, EVENT_STOP, PROC_STOPPING, "kill:egress"},
    {PROC_STARTING, EVENT_RECOVER, PROC_STOPPING, "kill:egress"},
    {PROC_READY, EVENT_EXITED, PROC_STARTING, "alone:egress"},
    {PROC_READY, EVENT_HANG, PROC_STOPPING, "abort:egress"},
    {PROC_READY, EVENT_STOP, PROC_STOPPING, "ask:egress"},
    {PROC_READY, EVENT_RECOVER, PROC_STOPPING, "kill:egress"},
    {PROC_READY, EVENT_REPLACE, PROC_STOPPING, "leave:egress"},
    {PROC_STOPPING, EVENT_EXITED, PROC_STARTING, "alone:egress"},
    {PROC_STOPPING, EVENT_TIMEOUT, PROC_STOPPING, "kill:egress"},
    {PROC_STOPPING, EVENT_RECOVER, PROC_STOPPING, "kill:egress"},
    {PROC_BACKOFF, EVENT_TIMEOUT, PROC_STARTING, "alone:egress"},
    {PROC_BACKOFF, EVENT_STOP, PROC_STOPPED, ""},
    {PROC_BACKOFF, EVENT_RECOVER, PROC_STOPPED, ""},
};

static struct cell
find_cell(int state, int event)
{
	for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
		if ((int)cells[i].state == state && (int)cells[i].event == event)
			return cells[i];
	return (struct cell){.next = (enum proc_state)state, .asked = ""};
}

static void
force_state(struct proc *p, enum proc_state state)
{
	bool process = state == PROC_STARTING || state == PROC_READY || state == PROC_STOPPING;
	p->state = state;
	p->pid = process ? 4711 : 0;
	p->ready_ms = state == PROC_READY || state == PROC_STOPPING ? now - 60000 : 0;
	fake.alive[p->slot] = p->pid;
}

Test(supervise, every_cell_of_the_table)
{
	for (int s = 0; s < PROC_STATES; s++)
		for (int e = 0; e < PROC_EVENTS; e++) {
			quiet();
			all_ready();
			force_state(EGRESS, (enum proc_state)s);
			if (e == EVENT_EXITED)
				dies(EGRESS, true, SIGKILL);
			else
				event(EGRESS, (enum proc_event)e);
			struct cell c = find_cell(s, e);
			cr_assert_eq(EGRESS->state, c.next, "state %d event %d: now %d, not %d", s,
				     e, EGRESS->state, c.next);
			cr_assert_str_eq(fake.said, c.asked, "state %d event %d: \"%s\"", s, e,
					 fake.said);
		}
}

/* --- recovery --- */

Test(supervise, starts_sinks_first)
{
	supervise_start(&sup, now);
	said("renew spawn:egress");
	event(EGRESS, EVENT_READY);
	said("spawn:reduce");
	event(REDUCE, EVENT_READY);
	said("spawn:ingest/a spawn:ingest/b");
	event(SECOND, EVENT_READY);
	cr_assert_eq(sup.phase, PHASE_BOOT);
	event(FIRST, EVENT_READY);
	cr_assert_eq(sup.phase, PHASE_RUN);
	said("");
}

Test(supervise, egress_is_replaced_alone)
{
	all_ready();
	pass(20000);
	dies(EGRESS, true, SIGKILL);
	said("alone:egress");
	cr_assert_eq(sup.phase, PHASE_RUN);
	dies(EGRESS, true, SIGSEGV); /* before READY: still alone, but it waits */
	cr_assert_eq(EGRESS->state, PROC_BACKOFF);
	pass(BACKOFF_CAP_MS);
	said("alone:egress");
	cr_assert_eq(fake.renewals, 1);
}

Test(supervise, one_ingest_is_replaced_alone)
{
	all_ready();
	pass(20000);
	dies(SECOND, false, EXIT_TEMPORARY);
	said("alone:ingest/b");
	event(SECOND, EVENT_READY);
	said("");
	cr_assert_eq(fake.renewals, 1);
}

Test(supervise, death_of_reduce_is_a_full_recovery)
{
	all_ready();
	pass(20000);
	dies(REDUCE, true, SIGKILL);
	said("kill:egress kill:ingest/a kill:ingest/b");
	dies(EGRESS, true, SIGKILL);
	dies(FIRST, true, SIGKILL);
	said("");
	dies(SECOND, true, SIGKILL);
	said("renew spawn:egress");
	cr_assert_not(fake.was_alone);
	cr_assert_eq(sup.recoveries, 1);
}

Test(supervise, death_before_all_were_ready_is_a_full_recovery)
{
	supervise_start(&sup, now);
	event(EGRESS, EVENT_READY);
	event(REDUCE, EVENT_READY);
	event(FIRST, EVENT_READY);
	said("renew spawn:egress spawn:reduce spawn:ingest/a spawn:ingest/b");
	dies(FIRST, true, SIGKILL);
	said("kill:egress kill:reduce kill:ingest/b");
	dies(SECOND, true, SIGKILL);
	dies(REDUCE, true, SIGKILL);
	dies(EGRESS, true, SIGKILL);
	said("renew spawn:egress");
}

Test(supervise, exit_76_is_a_full_recovery)
{
	all_ready();
	dies(EGRESS, false, EXIT_RECOVER);
	said("kill:reduce kill:ingest/a kill:ingest/b");
}

Test(supervise, recovery_waits_when_it_is_tried_again_and_again)
{
	fake.random = 50;
	supervise_start(&sup, now);
	said("renew spawn:egress");
	dies(EGRESS, false, EXIT_TEMPORARY); /* never ready: the very first death waits */
	said("renew");
	cr_assert_eq(EGRESS->state, PROC_BACKOFF);
	cr_assert_eq(EGRESS->deadline_ms, now + BACKOFF_BASE_MS + 50);
	pass(BACKOFF_BASE_MS + 49);
	said("");
	pass(1);
	said("spawn:egress");
}

Test(supervise, asked_recovery_starts_at_once)
{
	all_ready();
	supervise_recover(&sup, "test", now);
	said("kill:egress kill:reduce kill:ingest/a kill:ingest/b");
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		dies(&sup.procs[i], true, SIGKILL);
	said("renew spawn:egress");
}

Test(supervise, rings_that_cannot_be_made_end_it)
{
	fake.renew_fails = true;
	supervise_start(&sup, now);
	cr_assert_eq(sup.phase, PHASE_DONE);
	cr_assert_eq(sup.exit_code, EXIT_TEMPORARY);
}

/* --- another pipeline file --- */

Test(supervise, a_stage_is_replaced_while_the_others_run)
{
	all_ready();
	supervise_replace(&sup, EGRESS, now); /* long before READY_LONG_MS */
	said("leave:egress");
	dies(EGRESS, false, 0);
	said("alone:egress");
	event(EGRESS, EVENT_READY);
	supervise_replace(&sup, EGRESS, now);
	pass(sup.stop_ms); /* it does not go by itself */
	said("leave:egress kill:egress");
	dies(EGRESS, true, SIGKILL);
	said("alone:egress");
	cr_assert_eq(fake.renewals, 1);
	event(EGRESS, EVENT_READY);
	dies(EGRESS, true, SIGKILL);
	said("alone:egress"); /* the first death of its own is forgiven: no wait was kept */
	event(EGRESS, EVENT_READY);
	supervise_replace(&sup, EGRESS, now);
	dies(EGRESS, false, EXIT_RECOVER);
	said("leave:egress kill:reduce kill:ingest/a kill:ingest/b");
}

Test(supervise, a_refused_file_is_put_back_and_the_stage_starts_alone)
{
	all_ready();
	fake.revert_alone = true;
	supervise_try(&sup);
	supervise_replace(&sup, EGRESS, now);
	dies(EGRESS, false, 0);
	said("leave:egress alone:egress");
	dies(EGRESS, false, EXIT_CONFIG);
	said("revert:egress alone:egress");
	cr_assert_eq(sup.phase, PHASE_RUN);
	cr_assert_eq(sup.exit_code, 0);
	dies(EGRESS, false, EXIT_CONFIG); /* the old file too: no trial any more */
	cr_assert_eq(sup.exit_code, EXIT_CONFIG);
	cr_assert(supervise_stopping(&sup));
}

Test(supervise, a_file_that_others_work_by_is_put_back_by_a_full_recovery)
{
	all_ready();
	supervise_try(&sup);
	dies(FIRST, false, EXIT_CONFIG);
	said("revert:ingest/a kill:egress kill:reduce kill:ingest/b");
	dies(SECOND, false, EXIT_CONFIG); /* says the same of it, before it is killed */
	dies(REDUCE, true, SIGKILL);
	dies(EGRESS, true, SIGKILL);
	said("renew spawn:egress");
	cr_assert_eq(sup.exit_code, 0);
	dies(EGRESS, false, EXIT_CONFIG);
	cr_assert_eq(sup.exit_code, EXIT_CONFIG);
}

Test(supervise, a_file_refused_in_its_recovery_is_put_back)
{
	all_ready();
	supervise_try(&sup);
	supervise_recover(&sup, "test", now);
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		dies(&sup.procs[i], i == 2, i == 2 ? SIGKILL : EXIT_CONFIG);
	said("kill:egress kill:reduce kill:ingest/a kill:ingest/b renew spawn:egress");
	dies(EGRESS, false, EXIT_DENIED);
	said("revert:egress renew spawn:egress");
	supervise_try(&sup);
	supervise_trust(&sup);
	dies(EGRESS, false, EXIT_DENIED);
	cr_assert_eq(sup.exit_code, EXIT_DENIED);
}

Test(supervise, a_pause_lasts_from_the_first_kill_to_the_end_of_the_recovery)
{
	all_ready();
	supervise_settle(&sup, now);
	cr_assert(supervise_is_quiet(&sup));
	pass(20000);
	supervise_recover(&sup, "one", now);
	cr_assert_not(supervise_is_quiet(&sup));
	pass(1000);
	supervise_recover(&sup, "two", now);
	cr_assert_str_eq(sup.reason, "two");
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		dies(&sup.procs[i], true, SIGKILL);
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		event(&sup.procs[i], EVENT_READY);
	cr_assert_eq(sup.phase, PHASE_RUN);
	cr_assert_not(supervise_is_quiet(&sup));
	cr_assert_eq(sup.pause_ms, -1);
	pass(500);
	supervise_settle(&sup, now);
	cr_assert_eq(sup.pause_ms, 1500);
	cr_assert(supervise_is_quiet(&sup));
}

/* --- back-off --- */

static int64_t
wait_after_death(struct proc *p, int64_t ready_for_ms)
{
	event(p, EVENT_READY);
	pass(ready_for_ms);
	dies(p, true, SIGKILL);
	int64_t wait = p->state == PROC_BACKOFF ? p->deadline_ms - now : 0;
	pass(wait);
	cr_assert_eq(p->state, PROC_STARTING);
	return wait;
}

Test(supervise, crash_loop_backs_off_and_a_single_kill_does_not)
{
	all_ready();
	fake.random = UINT32_MAX; /* always the longest wait */
	cr_assert_eq(wait_after_death(FIRST, 1000), 0);
	cr_assert_eq(wait_after_death(FIRST, 1000), 300);
	cr_assert_eq(wait_after_death(FIRST, 1000), 900);
	cr_assert_eq(wait_after_death(FIRST, 1000), 2700);
	cr_assert_eq(wait_after_death(FIRST, 1000), 8100);
	cr_assert_eq(wait_after_death(FIRST, 1000), 24300);
	cr_assert_eq(wait_after_death(FIRST, 1000), BACKOFF_CAP_MS);
	cr_assert_eq(wait_after_death(FIRST, 1000), BACKOFF_CAP_MS);
	cr_assert_eq(wait_after_death(FIRST, READY_LONG_MS), 0);
	cr_assert_eq(wait_after_death(FIRST, 1000), 0);
	fake.random = 0; /* the shortest */
	cr_assert_eq(wait_after_death(FIRST, 1000), BACKOFF_BASE_MS);
	cr_assert_eq(wait_after_death(FIRST, 1000), BACKOFF_BASE_MS);
}

Test(supervise, a_fork_that_fails_is_tried_again)
{
	all_ready();
	pass(20000);
	fake.spawn_fails = true;
	dies(FIRST, true, SIGKILL);
	said("nospawn:ingest/a");
	cr_assert_eq(FIRST->state, PROC_BACKOFF);
	fake.spawn_fails = false;
	pass(BACKOFF_CAP_MS);
	said("alone:ingest/a");
}

/* --- time --- */

Test(supervise, not_ready_in_time_is_killed)
{
	supervise_start(&sup, now);
	fake.said[0] = '\0';
	pass(sup.ready_ms - 1);
	said("");
	pass(1);
	said("kill:egress");
}

Test(supervise, waiting_renews_and_standby_ends_the_ready_timeout)
{
	supervise_start(&sup, now);
	fake.said[0] = '\0';
	pass(20000);
	event(EGRESS, EVENT_WAITING);
	pass(20000);
	said("");
	event(EGRESS, EVENT_STANDBY);
	cr_assert_str_eq(proc_state_name(EGRESS), "standby");
	pass(3600 * 1000);
	said("");
	event(EGRESS, EVENT_READY);
	said("spawn:reduce");
}

Test(supervise, a_replay_need_not_be_ready)
{
	supervise_start(&sup, now);
	fake.said[0] = '\0';
	fake.excused[SLOT_EGRESS] = true;
	pass(3600 * 1000);
	said("");
	fake.excused[SLOT_EGRESS] = false;
	pass(sup.ready_ms);
	said("kill:egress");
}

/* As pass(), but one heart stands still. */
static void
pass_still(int64_t ms, unsigned slot)
{
	for (int64_t end = now + ms; now < end;) {
		int64_t next = supervise_deadline(&sup);
		now = next > now && next < end ? next : end;
		everyone_moves();
		fake.beat[slot] = 0;
		supervise_tick(&sup, now);
	}
}

Test(supervise, a_still_heart_is_aborted_then_killed)
{
	fake.beat[SLOT_REDUCE] = 0;
	all_ready();
	pass_still(sup.hang_ms - 1, SLOT_REDUCE);
	said("");
	pass_still(1000, SLOT_REDUCE);
	said("abort:reduce");
	pass_still(ABORT_MS, SLOT_REDUCE);
	said("kill:reduce");
	dies(REDUCE, true, SIGKILL);
	said("kill:egress kill:ingest/a kill:ingest/b");
}

Test(supervise, our_own_stop_is_nobodys_hang)
{
	all_ready();
	now += 10 * sup.hang_ms; /* one tick after a long sleep: no heart was seen to beat */
	supervise_tick(&sup, now);
	said("");
	pass(1000);
	said("");
}

/* --- stopping --- */

Test(supervise, drains_sources_first)
{
	all_ready();
	supervise_stop(&sup, now);
	said("ask:ingest/a ask:ingest/b");
	dies(SECOND, false, 0);
	said("");
	dies(FIRST, false, 0);
	said("ask:reduce");
	dies(REDUCE, false, 0);
	said("ask:egress");
	dies(EGRESS, false, 0);
	said("");
	cr_assert_eq(sup.phase, PHASE_DONE);
	cr_assert_eq(sup.exit_code, 0);
}

Test(supervise, kills_what_does_not_drain_in_time)
{
	all_ready();
	supervise_stop(&sup, now);
	said("ask:ingest/a ask:ingest/b");
	dies(FIRST, false, 0);
	pass(sup.stop_ms);
	said("kill:ingest/b");
	dies(SECOND, true, SIGKILL);
	said("ask:reduce");
}

Test(supervise, a_second_stop_kills_all)
{
	all_ready();
	supervise_stop(&sup, now);
	fake.said[0] = '\0';
	supervise_stop(&sup, now);
	said("kill:egress kill:reduce kill:ingest/a kill:ingest/b");
	for (unsigned i = 0; i < FAKE_STAGES; i++)
		dies(&sup.procs[i], true, SIGKILL);
	cr_assert_eq(sup.phase, PHASE_DONE);
	cr_assert_eq(sup.exit_code, 0);
}

Test(supervise, without_a_way_to_the_target_it_stops_at_once)
{
	supervise_start(&sup, now);
	event(EGRESS, EVENT_STANDBY);
	fake.said[0] = '\0';
	supervise_stop(&sup, now);
	said("kill:egress");
	dies(EGRESS, true, SIGKILL);
	cr_assert_eq(sup.phase, PHASE_DONE);
}

Test(supervise, stop_in_backoff_ends)
{
	supervise_start(&sup, now);
	dies(EGRESS, false, EXIT_TEMPORARY);
	cr_assert_eq(EGRESS->state, PROC_BACKOFF);
	supervise_stop(&sup, now);
	cr_assert_eq(sup.phase, PHASE_DONE);
}

Test(supervise, egress_lost_while_draining_ends_the_rest)
{
	all_ready();
	supervise_stop(&sup, now);
	fake.said[0] = '\0';
	dies(EGRESS, true, SIGSEGV);
	said("kill:reduce kill:ingest/a kill:ingest/b");
}

Test(supervise, bad_data_drains_the_others_and_stops_with_65)
{
	all_ready();
	dies(FIRST, false, EXIT_DATA);
	said("ask:ingest/b");
	cr_assert_eq(FIRST->state, PROC_FAILED);
	dies(SECOND, false, 0);
	said("ask:reduce");
	dies(REDUCE, false, 0);
	said("ask:egress");
	dies(EGRESS, false, 0);
	cr_assert_eq(sup.phase, PHASE_DONE);
	cr_assert_eq(sup.exit_code, EXIT_DATA);
}

Test(supervise, wrong_credentials_stop_with_77)
{
	supervise_start(&sup, now);
	said("renew spawn:egress");
	dies(EGRESS, false, EXIT_DENIED);
	said("");
	cr_assert_eq(sup.phase, PHASE_DONE);
	cr_assert_eq(sup.exit_code, EXIT_DENIED);
}

Test(supervise, configuration_error_while_clearing_is_not_lost)
{
	all_ready();
	dies(REDUCE, true, SIGKILL);
	dies(EGRESS, false, EXIT_CONFIG);
	dies(FIRST, true, SIGKILL);
	dies(SECOND, true, SIGKILL);
	cr_assert_eq(sup.phase, PHASE_DONE);
	cr_assert_eq(sup.exit_code, EXIT_CONFIG);
}

/* --- anything at any time --- */

static uint64_t
random_next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void
random_death(struct proc *p, uint64_t r)
{
	static const int codes[] = {0, EXIT_TEMPORARY, EXIT_RECOVER, EXIT_INTERNAL, 1, EXIT_DATA};
	unsigned pick = (unsigned)(r % 12);
	dies(p, pick >= 6, pick >= 6 ? SIGKILL : codes[r % 1000 ? pick % 5 : pick]);
}

static void
random_step(uint64_t *seed)
{
	uint64_t r = random_next(seed);
	struct proc *p = &sup.procs[r % FAKE_STAGES];
	fake.random = (uint32_t)random_next(seed);
	fake.revert_alone = fake.random % 2;
	switch (r / 7 % 8) {
	case 0:
	case 1:
		if (p->pid)
			event(p, EVENT_READY);
		return;
	case 2:
		if (p->pid)
			event(p, r & 64 ? EVENT_STANDBY : EVENT_WAITING);
		return;
	case 3:
		if (p->pid)
			random_death(p, random_next(seed));
		return;
	case 4:
		pass((int64_t)(r % 50000));
		return;
	case 5:
		if (r % 100 == 0)
			supervise_recover(&sup, "random", now);
		else if (r % 3 == 0)
			supervise_replace(&sup, p, now);
		else if (r % 5 == 0)
			(r % 2 ? supervise_try : supervise_trust)(&sup);
		return;
	case 6:
		if (r % 5000 == 0)
			supervise_stop(&sup, now);
		return;
	default:
		if (p->pid && p->state == PROC_STOPPING)
			dies(p, p->killed, p->killed ? SIGKILL : 0);
		return;
	}
}

static void
check_rules(uint64_t seed)
{
	cr_assert_null(fake.broken, "seed %llu: %s", (unsigned long long)seed, fake.broken);
	for (unsigned i = 0; i < FAKE_STAGES; i++) {
		const struct proc *p = &sup.procs[i];
		cr_assert_eq(p->pid, fake.alive[i], "seed %llu", (unsigned long long)seed);
		bool process = p->state == PROC_STARTING || p->state == PROC_READY ||
			       p->state == PROC_STOPPING;
		cr_assert_eq(process, p->pid != 0, "seed %llu", (unsigned long long)seed);
		cr_assert(sup.phase != PHASE_DONE || !process, "seed %llu",
			  (unsigned long long)seed);
		/* Nothing waits for ever: a process or a wait has a deadline, or it is ready. */
		cr_assert(p->state != PROC_BACKOFF || p->deadline_ms != DEADLINE_NEVER);
		cr_assert(p->state != PROC_STOPPING || p->deadline_ms != DEADLINE_NEVER);
	}
}

Test(supervise, rules_hold_whatever_happens)
{
	for (uint64_t run = 1; run <= 300; run++) {
		quiet();
		uint64_t seed = run * 0x9e3779b97f4a7c15u;
		supervise_start(&sup, now);
		for (int i = 0; i < 400 && sup.phase != PHASE_DONE; i++) {
			random_step(&seed);
			fake.said[0] = '\0';
			check_rules(run);
		}
		supervise_kill(&sup, now);
		for (unsigned i = 0; i < FAKE_STAGES; i++)
			if (sup.procs[i].pid)
				dies(&sup.procs[i], true, SIGKILL);
		cr_assert_eq(sup.phase, PHASE_DONE, "seed %llu", (unsigned long long)run);
		check_rules(run);
	}
}
