/* hold.c - stages that are started before their turn. */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "supervisor/daemon_state.h"

#define HOLD_END_MS 1000

void
hold_others(struct daemon *d)
{
	for (unsigned i = 0; i < d->supervise.count; i++) {
		struct held *h = &d->held[i];
		if (i == SLOT_EGRESS || h->pid > 0)
			continue;
		pid_t pid = daemon_launch(d, &d->supervise.procs[i], true, &h->child);
		h->pid = pid > 0 ? pid : 0;
	}
}

static void
hold_forget(struct held *h)
{
	close(h->child.pidfd);
	close(h->child.control);
	*h = (struct held){.pid = 0};
}

/* One that dies after this look dies as any stage that was just started. */
pid_t
hold_take(struct daemon *d, const struct proc *p, struct child *child)
{
	static const char byte = CONTROL_TURN;
	struct held *h = &d->held[p->slot];
	struct pollfd end = {.fd = h->child.pidfd, .events = POLLIN};
	pid_t pid = h->pid;
	if (pid == 0)
		return -1;
	if (poll(&end, 1, 0) != 0 ||
	    send(h->child.control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
		log_info("stage.held", "%s pid=%d has died before its turn: another is started",
			 p->name, (int)pid);
		hold_drop(d);
		return -1;
	}
	*child = h->child;
	*h = (struct held){.pid = 0};
	return pid;
}

void
hold_drop(struct daemon *d)
{
	int64_t deadline_ms = clock_monotonic_ms() + HOLD_END_MS;
	for (unsigned i = 0; i < BOARD_STAGES_MAX; i++)
		if (d->held[i].pid > 0)
			pidfd_send_signal(d->held[i].child.pidfd, SIGKILL, NULL, 0);
	for (unsigned i = 0; i < BOARD_STAGES_MAX; i++) {
		struct held *h = &d->held[i];
		struct pollfd end = {.fd = h->child.pidfd, .events = POLLIN};
		siginfo_t info;
		if (h->pid == 0)
			continue;
		/* The loop reaps what is slower. */
		int64_t left_ms = deadline_ms - clock_monotonic_ms();
		if (poll(&end, 1, left_ms > 0 ? (int)left_ms : 0) > 0)
			waitid(P_PIDFD, (id_t)h->child.pidfd, &info, WEXITED | WNOHANG);
		hold_forget(h);
	}
}
