/* daemon.c - the effects behind the tables, and the loop that feeds them. */
#include "supervisor/daemon.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/image.h"
#include "common/pipeline.h"
#include "supervisor/daemon_state.h"
#include "supervisor/environment.h"
#include "supervisor/parse.h"
#include "supervisor/spawn.h"

#define DAEMON_FDS_MAX (2 + 2 * BOARD_STAGES_MAX + CONTROL_FDS_MAX)

/* Standing by for a shorter time may mean that a session of ours has not ended yet. */
#define STANDBY_MS 5000

/* How often it is looked whether a recovery has come to its end: at first, and later. */
#define SETTLE_MS       10
#define SETTLE_LATER_MS 200
#define SETTLE_SOON_MS  5000

static struct board_stage *
daemon_words(const struct daemon *d, const struct proc *p)
{
	return &d->board->stage[p->slot];
}

/* --- effects: struct supervise_ops --- */

static unsigned
daemon_give_ring(struct spawn *x, unsigned n, const struct ring_fds *r)
{
	x->fds[n++] = r->memory;
	x->fds[n++] = r->data_bell;
	x->fds[n++] = r->room_bell;
	return n;
}

/* The rings of a stage in the order of stage.h: its output, then its inputs. */
static void
daemon_give_rings(const struct daemon *d, const struct proc *p, struct spawn *x)
{
	unsigned n = STAGE_FD_RINGS;
	x->fds[STAGE_FD_IMAGE] = p->role == ROLE_INGEST ? -1 : d->image;
	if (p->role == ROLE_INGEST)
		n = daemon_give_ring(x, n, &d->in[p->server]);
	else
		n = daemon_give_ring(x, n, &d->out);
	if (p->role == ROLE_REDUCE)
		for (unsigned i = 0; i < d->pipeline->server_count; i++)
			n = daemon_give_ring(x, n, &d->in[i]);
	x->fd_count = n;
}

/* What the predecessor left; it was reaped, so nobody else writes there now. */
static void
daemon_reset_words(const struct daemon *d, const struct proc *p)
{
	struct board_stage *b = daemon_words(d, p);
	memset(b->words, 0, sizeof b->words);
	board_set_state(b, STAGE_BOOT, "");
	atomic_store(&b->starts, p->starts);
}

/* `fds`: up to the section. */
static pid_t
daemon_exec(struct daemon *d, const struct proc *p, bool held, const char *path, const int *fds,
	    int *pidfd)
{
	char slot[32], server[32];
	struct spawn x = {.path = path, .environment = environment_for(p->role)};
	unsigned n = 0;
	snprintf(slot, sizeof slot, "--slot=%u", p->slot);
	snprintf(server, sizeof server, "--server=%u", p->server);
	x.argv[n++] = path;
	x.argv[n++] = "run";
	x.argv[n++] = slot;
	if (p->role == ROLE_INGEST)
		x.argv[n++] = server;
	if (held)
		x.argv[n++] = "--held";
	memcpy(x.fds, fds, (STAGE_FD_SECTION + 1) * sizeof *fds);
	daemon_give_rings(d, p, &x);
	pid_t pid = spawn_process(&x, pidfd);
	int saved = errno;
	free(x.environment);
	errno = saved;
	return pid;
}

pid_t
daemon_launch(struct daemon *d, const struct proc *p, bool held, struct child *child)
{
	char path[SPAWN_PATH_MAX];
	int control[2] = {-1, -1};
	pid_t pid = -1;
	bool found = spawn_locate(p->role, path);
	int saved = errno, section = spawn_section(d->pipeline, p->role, p->server);
	if (found && section >= 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) == 0) {
		const int fds[] = {d->null_fd, STDOUT_FILENO, STDERR_FILENO,
				   control[1], d->board_fd,   section};
		pid = daemon_exec(d, p, held, path, fds, &child->pidfd);
	}
	if (found)
		saved = errno;
	if (section >= 0)
		close(section);
	if (control[1] >= 0)
		close(control[1]);
	if (pid < 0 && control[0] >= 0)
		close(control[0]);
	if (pid >= 0)
		child->control = control[0];
	else if (!held)
		log_error("stage.spawn", "%s cannot be started: %s: %s", p->name, path,
			  strerror(saved));
	return pid;
}

static pid_t
daemon_spawn(void *context, const struct proc *p, bool alone)
{
	struct daemon *d = context;
	struct child *child = &d->children[p->slot];
	daemon_reset_words(d, p);
	if (p->role == ROLE_EGRESS)
		atomic_store(&d->board->alone, alone ? 1 : 0);
	if (FAULT("supervisor.spawn")) {
		log_error("stage.spawn", "%s cannot be started", p->name);
		return -1;
	}
	pid_t pid = hold_take(d, p, child);
	if (pid < 0)
		pid = daemon_launch(d, p, false, child);
	if (pid < 0)
		return -1;
	(void)FAULT("supervisor.spawned");
	atomic_store(&daemon_words(d, p)->pid, pid);
	log_info("stage.start", "%s pid=%d start=%u%s", p->name, (int)pid, p->starts,
		 alone ? ", alone" : "");
	if (p->role == ROLE_EGRESS && !alone)
		hold_others(d);
	return pid;
}

static void
daemon_kill(void *context, const struct proc *p, int signal_number)
{
	struct daemon *d = context;
	int pidfd = d->children[p->slot].pidfd;
	if (pidfd >= 0 && pidfd_send_signal(pidfd, signal_number, NULL, 0) < 0 && errno != ESRCH)
		log_warn("stage.kill", "%s pid=%d: %s", p->name, (int)p->pid, strerror(errno));
}

static void
daemon_ask_stop(void *context, const struct proc *p)
{
	struct daemon *d = context;
	const char byte = p->replaced ? CONTROL_LEAVE : CONTROL_STOP;
	(void)FAULT("supervisor.ask_stop");
	/* Gone already or not listening: its exit or its deadline says so. */
	if (send(d->children[p->slot].control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("stage.stop", "%s: %s", p->name, strerror(errno));
}

static void
daemon_close_rings(struct daemon *d)
{
	if (!d->has_rings)
		return;
	ring_close_fds(&d->out);
	for (unsigned i = 0; i < d->pipeline->server_count; i++)
		ring_close_fds(&d->in[i]);
	d->has_rings = false;
}

static bool
daemon_create_rings(struct daemon *d)
{
	unsigned made = 0;
	if (ring_create(&d->out, d->pipeline->ring_bytes) < 0)
		return false;
	while (made < d->pipeline->server_count &&
	       ring_create(&d->in[made], d->pipeline->ring_bytes) == 0)
		made++;
	d->has_rings = made == d->pipeline->server_count;
	if (d->has_rings)
		return true;
	int saved = errno;
	ring_close_fds(&d->out);
	while (made > 0)
		ring_close_fds(&d->in[--made]);
	errno = saved;
	return false;
}

static void
daemon_close_image(struct daemon *d)
{
	if (d->image >= 0)
		close(d->image);
	d->image = -1;
}

/* Another owner than any before, on any host: what an old one still writes is refused. */
static void
daemon_draw_owner(struct daemon *d)
{
	char host[24] = "";
	gethostname(host, sizeof host - 1);
	memset(d->board->owner, 0, sizeof d->board->owner);
	snprintf(d->board->owner, sizeof d->board->owner, "%s/%d/%08x%08x", *host ? host : "?",
		 (int)getpid(), arc4random(), arc4random());
}

static bool
daemon_renew(void *context)
{
	struct daemon *d = context;
	hold_drop(d);
	daemon_close_rings(d);
	daemon_close_image(d);
	swap_renew(d);
	d->filled = false;
	d->standby_ms = 0;
	d->image = image_create();
	if (d->image < 0 || FAULT("supervisor.renew") || !daemon_create_rings(d)) {
		log_error("recovery.rings", "cannot make the rings (%zu bytes each): %s",
			  d->pipeline->ring_bytes, strerror(errno));
		return false;
	}
	board_clear(d->board);
	daemon_draw_owner(d);
	return true;
}

static void
daemon_wake(void *context, const struct proc *p)
{
	struct daemon *d = context;
	if (p->role != ROLE_INGEST)
		ring_wake_both(&d->out);
	for (unsigned i = 0; i < d->pipeline->server_count; i++)
		if (p->role == ROLE_REDUCE || (p->role == ROLE_INGEST && p->server == i))
			ring_wake_both(&d->in[i]);
}

static uint64_t
daemon_heartbeat(void *context, const struct proc *p)
{
	return atomic_load_explicit(&daemon_words(context, p)->heartbeat, memory_order_relaxed);
}

static bool
daemon_excused(void *context, const struct proc *p)
{
	uint32_t state = atomic_load(&daemon_words(context, p)->state);
	return state == STAGE_WAITING || state == STAGE_STANDBY || state == STAGE_REPLAY;
}

static uint32_t
daemon_random(void *context, uint32_t bound)
{
	(void)context;
	return arc4random_uniform(bound);
}

static bool
daemon_revert(void *context, const struct proc *p)
{
	return swap_revert(context, p);
}

static const struct supervise_ops daemon_ops = {
    .spawn = daemon_spawn,
    .kill = daemon_kill,
    .ask_stop = daemon_ask_stop,
    .revert = daemon_revert,
    .renew = daemon_renew,
    .wake = daemon_wake,
    .heartbeat = daemon_heartbeat,
    .excused = daemon_excused,
    .random = daemon_random,
};

/* --- children --- */

static void
daemon_heard(struct daemon *d, struct proc *p, char byte, int64_t now_ms)
{
	(void)FAULT("supervisor.heard");
	switch (byte) {
	case CONTROL_READY:
		if (p->role == ROLE_EGRESS)
			d->standby_ms = 0;
		supervise_event(&d->supervise, p, EVENT_READY, now_ms);
		return;
	case CONTROL_STANDBY:
		hold_drop(d);
		d->standby_ms = now_ms;
		supervise_event(&d->supervise, p, EVENT_STANDBY, now_ms);
		return;
	case CONTROL_WAITING:
		if (p->role == ROLE_EGRESS)
			hold_drop(d);
		supervise_event(&d->supervise, p, EVENT_WAITING, now_ms);
		return;
	case CONTROL_FILLED:
		d->filled = true;
		return;
	case CONTROL_TAKEN:
		swap_taken(d, p);
		return;
	default:
		log_warn("supervisor.control", "%s has said what no stage says", p->name);
	}
}

static void
daemon_hear(struct daemon *d, struct proc *p, int64_t now_ms)
{
	struct child *c = &d->children[p->slot];
	char byte;
	ssize_t n;
	while ((n = recv(c->control, &byte, 1, MSG_DONTWAIT)) == 1)
		daemon_heard(d, p, byte, now_ms);
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		/* Its end is near; the pidfd tells when. Polling a closed socket would not sleep. */
		close(c->control);
		c->control = -1;
	}
}

bool
daemon_stands_by(const struct daemon *d, int64_t now_ms)
{
	return d->standby_ms != 0 && d->supervise.procs[SLOT_EGRESS].standby &&
	       now_ms - d->standby_ms >= STANDBY_MS;
}

static void
daemon_bury(struct daemon *d, const struct proc *p, const siginfo_t *info, int64_t now_ms)
{
	struct obituary o = {
	    .wall_ms = clock_wall_ms(), .uptime_ms = now_ms - p->started_ms, .pid = p->pid};
	char how[64];
	bool stopping =
	    supervise_stopping(&d->supervise) || p->replaced || d->supervise.phase == PHASE_CLEAR;
	o.death = p->death;
	strlcpy(o.name, p->name, sizeof o.name);
	status_copy_text(o.words, sizeof o.words, daemon_words(d, p)->words, BOARD_WORDS_MAX);
	death_print(&p->death, how, sizeof how);
	bool expected =
	    stopping && (p->killed || (info->si_code == CLD_EXITED && !info->si_status));
	log_line(expected ? LOG_INFO : LOG_WARN, expected ? "stage.end" : "stage.death",
		 "%s pid=%d ended: %s, after %lld ms%s%s", o.name, (int)o.pid, how,
		 (long long)o.uptime_ms, *o.words ? "; last words: " : "", o.words);
	if (!expected)
		tally_add(&d->tally, &o);
	if (death_is_final(&p->death) && !*d->why)
		snprintf(d->why, sizeof d->why, ", for %s refused to go on: %s", o.name,
			 *o.words ? o.words : "see the lines above");
}

/* A successor may start only after this: the dead one is reaped. */
static void
daemon_reap(struct daemon *d, struct proc *p, int64_t now_ms)
{
	struct child *c = &d->children[p->slot];
	siginfo_t info = {0};
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	(void)FAULT("supervisor.reaped");
	if (c->control >= 0)
		daemon_hear(d, p, now_ms); /* READY, then died: in that order */
	close(c->pidfd);
	if (c->control >= 0)
		close(c->control);
	c->pidfd = c->control = -1;
	p->death = (struct death){.signalled = info.si_code != CLD_EXITED,
				  .core = info.si_code == CLD_DUMPED,
				  .status = info.si_status};
	atomic_store(&daemon_words(d, p)->pid, 0);
	daemon_bury(d, p, &info, now_ms);
	supervise_event(&d->supervise, p, EVENT_EXITED, now_ms);
}

/* As PID 1 we inherit orphans. Ours are left to their pidfds, in the same turn of the loop. */
static void
daemon_reap_strangers(struct daemon *d)
{
	siginfo_t info = {0};
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
		if (supervise_find(&d->supervise, info.si_pid) || info.si_pid == d->swap.reload.pid)
			return;
		waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
		info.si_pid = 0;
	}
}

/* --- signals, status, requests --- */

static void
daemon_status(const struct daemon *d, bool json, FILE *out)
{
	const struct status st = {&d->supervise, d->pipeline,   d->board,
				  &d->tally,     d->started_ms, clock_monotonic_ms()};
	(json ? status_print_json : status_print)(&st, out);
}

/* Source lines and carets under an error are not for the log. */
void
daemon_log_text(enum log_level level, const char *event, const char *text, const char *prefix)
{
	size_t prefix_len = prefix ? strlen(prefix) : 0;
	while (*text) {
		size_t len = strcspn(text, "\n");
		if (len > 0 && (!prefix || strncmp(text, prefix, prefix_len) == 0))
			log_line(level, event, "%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void
daemon_status_logged(const struct daemon *d)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = xmemstream(&text, &len);
	daemon_status(d, false, out);
	fclose(out);
	daemon_log_text(LOG_INFO, "status", text, NULL);
	free(text);
}

static int
daemon_answer(void *context, const char *request, FILE *out)
{
	struct daemon *d = context;
	if (strcmp(request, "status") == 0)
		daemon_status(d, false, out);
	else if (strcmp(request, "status json") == 0)
		daemon_status(d, true, out);
	else
		return swap_request(d, request, out);
	return 0;
}

static void
daemon_hup(struct daemon *d)
{
	FILE *nowhere = fopen("/dev/null", "we"); /* the log says it too */
	if (!nowhere)
		return;
	swap_request(d, "reload", nowhere);
	fclose(nowhere);
}

static void
daemon_signal(struct daemon *d, unsigned number)
{
	int64_t now_ms = clock_monotonic_ms();
	switch (number) {
	case SIGTERM:
	case SIGINT:
		log_info("stop", "%s: %s", sigdescr_np((int)number),
			 supervise_stopping(&d->supervise) ? "again: stopping at once"
							   : "stopping");
		supervise_stop(&d->supervise, now_ms);
		return;
	case SIGQUIT:
		log_info("stop", "%s: stopping at once", sigdescr_np((int)number));
		supervise_kill(&d->supervise, now_ms);
		return;
	case SIGHUP:
		daemon_hup(d);
		return;
	case SIGUSR1:
		daemon_status_logged(d);
		return;
	case SIGCHLD:
	default:
		return;
	}
}

static void
daemon_take_signals(struct daemon *d)
{
	struct signalfd_siginfo info;
	while (read(d->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		daemon_signal(d, info.ssi_signo);
}

static bool
daemon_open_signals(struct daemon *d)
{
	sigset_t set;
	struct sigaction hup;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* ignored, the kernel would reap for us and tell nothing */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	/* nohup: a blocked signal would be delivered even though it is ignored. */
	if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return false;
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd >= 0;
}

/* --- the loop --- */

static int64_t
daemon_settle_deadline(const struct daemon *d, int64_t now_ms)
{
	const struct supervise *s = &d->supervise;
	if (s->phase != PHASE_RUN || s->settled)
		return DEADLINE_NEVER;
	return now_ms + (now_ms - s->recovery_ms < SETTLE_SOON_MS ? SETTLE_MS : SETTLE_LATER_MS);
}

static int
daemon_timeout(const struct daemon *d)
{
	int64_t now_ms = clock_monotonic_ms();
	const int64_t deadlines[] = {
	    supervise_deadline(&d->supervise),
	    control_deadline(&d->control),
	    swap_deadline(d),
	    daemon_settle_deadline(d, now_ms),
	};
	int64_t left = 1000;
	for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++)
		if (deadlines[i] - now_ms < left)
			left = deadlines[i] - now_ms;
	return left < 0 ? 0 : (int)left;
}

/* What was asked for this once is done. */
static void
daemon_clear_wishes(struct daemon *d)
{
	d->pipeline->replay = false;
	for (unsigned i = 0; d->filled && i < d->pipeline->view_count; i++)
		d->pipeline->views[i].rebuild = false;
}

/* `tallyd rebuild` without a running tallyd: it was for this that we were started. */
static void
daemon_end_rebuild(struct daemon *d, int64_t now_ms)
{
	struct supervise *s = &d->supervise;
	if (s->phase == PHASE_RUN && s->settled && d->filled) {
		uint64_t rows = board_counter(&d->board->stage[SLOT_EGRESS], COUNTER_REBUILT);
		printf("%s: rebuilt: %llu row%s written\n", d->pipeline->file,
		       (unsigned long long)rows, rows == 1 ? "" : "s");
		d->mode = DAEMON_RUN;
		supervise_stop(s, now_ms);
	} else if (daemon_stands_by(d, now_ms)) {
		snprintf(d->why, sizeof d->why,
			 ": another tallyd holds the pipeline: run `tallyd rebuild` where it runs, "
			 "or stop it first");
		fprintf(stderr, "%s: nothing is rebuilt%s\n", d->pipeline->file, d->why);
		d->mode = DAEMON_RUN;
		s->exit_code = EXIT_TEMPORARY;
		supervise_kill(s, now_ms);
	}
}

/* What no event tells: read from the board after every turn. */
static void
daemon_watch(struct daemon *d, int64_t now_ms)
{
	struct supervise *s = &d->supervise;
	if (s->phase == PHASE_RUN && !s->settled &&
	    atomic_load(&d->board->stage[SLOT_REDUCE].state) == STAGE_RUNNING) {
		supervise_settle(s, now_ms);
		log_info("recovery.settled", "output goes on %lld ms after it stood still",
			 (long long)s->pause_ms);
	}
	if (s->settled)
		daemon_clear_wishes(d);
	if (d->mode == DAEMON_REBUILD)
		daemon_end_rebuild(d, now_ms);
	swap_turn(d, now_ms);
}

static void
daemon_turn(struct daemon *d)
{
	struct pollfd fds[DAEMON_FDS_MAX];
	struct supervise *s = &d->supervise;
	unsigned n = 0;
	fds[n++] = (struct pollfd){.fd = d->signal_fd, .events = POLLIN};
	for (unsigned i = 0; i < s->count; i++) {
		fds[n++] = (struct pollfd){.fd = d->children[i].pidfd, .events = POLLIN};
		fds[n++] = (struct pollfd){.fd = d->children[i].control, .events = POLLIN};
	}
	unsigned reload = n;
	fds[n++] = (struct pollfd){.fd = d->swap.reload.pidfd, .events = POLLIN};
	unsigned controls = control_poll_fds(&d->control, fds + n);
	if (poll(fds, n + controls, daemon_timeout(d)) < 0 && errno != EINTR)
		log_error("supervisor.poll", "poll: %s", strerror(errno));
	/* A descriptor that was closed and used again meanwhile only costs a look in vain. */
	for (unsigned i = 0; i < s->count; i++) {
		if (fds[2 + 2 * i].revents && d->children[i].control >= 0)
			daemon_hear(d, &s->procs[i], clock_monotonic_ms());
		if (fds[1 + 2 * i].revents && d->children[i].pidfd >= 0)
			daemon_reap(d, &s->procs[i], clock_monotonic_ms());
	}
	if (fds[reload].revents && d->swap.reload.pid > 0)
		swap_checked(d);
	daemon_reap_strangers(d);
	if (fds[0].revents)
		daemon_take_signals(d);
	control_serve(&d->control, fds + n, controls, daemon_answer, d, clock_monotonic_ms());
	supervise_tick(s, clock_monotonic_ms());
	daemon_watch(d, clock_monotonic_ms());
}

static void
daemon_name_stages(struct daemon *d)
{
	const struct pipeline *p = d->pipeline;
	d->names[SLOT_EGRESS] = xstrdup("egress");
	d->names[SLOT_REDUCE] = xstrdup("reduce");
	for (unsigned i = 0; i < p->server_count; i++)
		d->names[SLOT_INGEST + i] = p->server_count > 1
						? xasprintf("ingest/%s", p->servers[i].name)
						: xstrdup("ingest");
}

/* The environment, for tests: a limit as it says, else as it was. */
static int64_t
daemon_limit(const char *name, int64_t usual)
{
	const char *error, *text = getenv(name);
	if (!text)
		return usual;
	long long ms = strtonum(text, 1, INT32_MAX, &error);
	if (!error)
		return ms;
	log_warn("supervisor.env", "%s is %s and is not used", name, error);
	return usual;
}

static void
daemon_limits(struct supervise *s)
{
	s->hang_ms = daemon_limit("TALLYD_HANG_MS", s->hang_ms);
	s->long_ms = daemon_limit("TALLYD_READY_LONG_MS", s->long_ms);
	s->backoff_cap_ms = daemon_limit("TALLYD_BACKOFF_MS", s->backoff_cap_ms);
	if (s->abort_ms > s->hang_ms)
		s->abort_ms = s->hang_ms;
}

static int
daemon_open(struct daemon *d)
{
	int code = control_open(&d->control, d->pipeline->name, d->pipeline->file);
	if (code != 0)
		return code;
	d->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	d->board_fd = board_create(&d->board);
	if (d->null_fd < 0 || d->board_fd < 0 || !daemon_open_signals(d)) {
		log_error("supervisor.start", "cannot set up: %s", strerror(errno));
		return EXIT_TEMPORARY;
	}
	daemon_name_stages(d);
	for (unsigned i = 0; i < BOARD_STAGES_MAX; i++)
		d->children[i] = (struct child){-1, -1};
	supervise_init(&d->supervise, &daemon_ops, d, d->pipeline->server_count,
		       (const char *const *)d->names);
	daemon_limits(&d->supervise);
	atomic_store(&d->board->stages, d->supervise.count);
	return 0;
}

static void
daemon_close(struct daemon *d)
{
	swap_close(d);
	control_close(&d->control);
	hold_drop(d);
	daemon_close_rings(d);
	daemon_close_image(d);
	if (d->board)
		munmap(d->board, sizeof *d->board);
	const int fds[] = {d->board_fd, d->null_fd, d->signal_fd};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	for (unsigned i = 0; i < BOARD_STAGES_MAX; i++)
		free(d->names[i]);
	pipeline_free(d->pipeline);
	pipeline_free(d->next);
}

int
daemon_run(struct source *source, struct pipeline *pipeline, enum daemon_mode mode)
{
	struct daemon *d = xcalloc(1, sizeof *d);
	source_free(source);
	d->mode = mode;
	d->pipeline = pipeline;
	d->board_fd = d->null_fd = d->signal_fd = d->image = -1;
	d->swap.reload.pidfd = d->swap.reload.output = -1;
	d->started_ms = clock_monotonic_ms();
	log_info("start", "tallyd %s runs pipeline \"%s\" of %s as pid %d", TALLYD_VERSION,
		 pipeline->name, pipeline->file, (int)getpid());
	int code = daemon_open(d);
	if (code == 0) {
		supervise_start(&d->supervise, clock_monotonic_ms());
		while (d->supervise.phase != PHASE_DONE)
			daemon_turn(d);
		code = d->supervise.exit_code;
		log_line(code ? LOG_ERROR : LOG_INFO, "end", "tallyd stops with exit code %d%s",
			 code, d->why);
	}
	daemon_close(d);
	free(d);
	return code;
}
