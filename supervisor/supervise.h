/*
 * supervise.h - which stage is started, asked, killed and restarted, and when: tables only.
 *
 * Owns: the table of processes and the table state x event. No clock, no I/O, no system call: time
 * is handed in, and every effect goes through `struct supervise_ops`, so the unit tests run it with
 * a fake clock and fake children.
 *
 * Restarts (design 7): egress or one ingest that dies alone is replaced alone. The death of
 * reduce, any death before all stages were ready once, and the exit code EXIT_RECOVER lead to a
 * full recovery: kill and reap all, renew rings and owner, start egress, then reduce, then the
 * ingests. Exit codes 65, 77 and 78 stop the whole daemon with that code.
 *
 * A new pipeline file is on trial from the moment its first stage starts by it until the caller
 * trusts it: a stage that refuses it by one of these codes does not stop the daemon, but puts the
 * old file back (ops->revert).
 *
 * Back-off: a stage that had been ready for READY_LONG_MS is restarted at once. So is one that
 * had been ready for less, once: a single kill costs milliseconds. Every further early death, and
 * every death before READY, waits for min(cap, random(base, 3 * the wait before)).
 */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/board.h"
#include "common/stage.h"

#define BACKOFF_BASE_MS 100
#define BACKOFF_CAP_MS  30000
#define READY_LONG_MS   10000 /* ready for so long: its next death is taken as a new trouble */
#define ABORT_MS        2000  /* from SIGABRT to SIGKILL */
#define DEADLINE_NEVER  INT64_MAX
#define SLOT_EGRESS     0
#define SLOT_REDUCE     1
#define SLOT_INGEST     2 /* of server 0 */

enum proc_state {
	PROC_STOPPED,  /* no process */
	PROC_STARTING, /* a process that has not said READY */
	PROC_READY,
	PROC_STOPPING, /* asked to stop, aborted or killed: its exit is awaited */
	PROC_BACKOFF,  /* no process; one will be started at the deadline */
	PROC_FAILED,   /* no process, and none will be started */
};
#define PROC_STATES (PROC_FAILED + 1)

enum proc_event {
	EVENT_START,   /* may start: what it depends on is ready */
	EVENT_EXITED,  /* was reaped; proc.death says how */
	EVENT_READY,   /* said so on its control socket */
	EVENT_STANDBY, /* waits for another tallyd: no ready timeout any more */
	EVENT_WAITING, /* waits for a server: the ready timeout begins again */
	EVENT_TIMEOUT, /* proc.deadline_ms has come */
	EVENT_HANG,    /* its heartbeat has stood still for too long */
	EVENT_STOP,    /* finish what is whole, then exit */
	EVENT_RECOVER, /* end at once: a full recovery, or a stop that does not wait */
	EVENT_REPLACE, /* end where it is whole: a successor is started at once, alone */
};
#define PROC_EVENTS (EVENT_REPLACE + 1)

enum supervise_phase {
	PHASE_BOOT, /* a full recovery until all stages were ready once */
	PHASE_RUN,
	PHASE_CLEAR, /* all are killed and reaped, then PHASE_BOOT */
	PHASE_DRAIN, /* ingests, then reduce, then egress stop */
	PHASE_KILL,  /* all are killed and reaped, then PHASE_DONE */
	PHASE_DONE,  /* no process is left: leave with exit_code */
};

struct death {
	bool signalled, core;
	int status; /* exit code, or signal number */
};

struct proc {
	enum stage_role role;
	unsigned slot;    /* on the board, and in supervise.procs */
	unsigned server;  /* ingest: its server */
	const char *name; /* borrowed */
	enum proc_state state;
	bool standby;  /* STARTING, and said STANDBY */
	bool killed;   /* SIGKILL was sent */
	bool replaced; /* STOPPING for EVENT_REPLACE */
	pid_t pid;     /* 0: no process */
	unsigned starts;
	int64_t started_ms;
	int64_t ready_ms; /* 0: was not ready in this life */
	int64_t deadline_ms;
	int64_t backoff_ms; /* the last wait; 0: no recent trouble */
	uint64_t beat;      /* heartbeat seen last */
	int64_t beat_ms;    /* when it was seen to change */
	struct death death; /* of the last one */
};

/* Effects. `context` is the caller's. None may call back into supervise. */
struct supervise_ops {
	/* Start a process for p; `alone`: it replaces a dead one while the others run on. Returns
	 * its pid, or -1: treated as a death. */
	pid_t (*spawn)(void *context, const struct proc *p, bool alone);
	void (*kill)(void *context, const struct proc *p, int signal_number);
	/* Finish what is whole, then exit; p->replaced: the others run on, and it need not wait. */
	void (*ask_stop)(void *context, const struct proc *p);
	/* p has refused the new pipeline file: the old one is in force again. Returns true when p
	 * alone is to be started by it, false when others have begun to work by the new one. */
	bool (*revert)(void *context, const struct proc *p);
	/* Full recovery: new rings, cleared board, new owner. False: not possible. */
	bool (*renew)(void *context);
	/* Ring the bells of p's rings: a signal of its predecessor may have been lost. */
	void (*wake)(void *context, const struct proc *p);
	uint64_t (*heartbeat)(void *context, const struct proc *p);
	/* True when p says that it works or waits for others: it need not be ready yet. */
	bool (*excused)(void *context, const struct proc *p);
	uint32_t (*random)(void *context, uint32_t bound);
};

enum supervise_trial {
	TRIAL_NONE,
	TRIAL_ON,
	TRIAL_LOST, /* all are cleared because of a refusal: others may say the same of it */
};

struct supervise {
	const struct supervise_ops *ops;
	void *context;
	/* Limits; supervise_init() sets the usual ones. */
	int64_t ready_ms, hang_ms, stop_ms, abort_ms, backoff_cap_ms;
	int64_t long_ms; /* READY_LONG_MS; so too */
	enum supervise_phase phase;
	enum supervise_trial trial;
	int exit_code;
	unsigned recoveries;
	char reason[160]; /* of the last full recovery; empty: the first start */
	bool settled;     /* the last full recovery has come to its end */
	int64_t pause_ms; /* how long it took, or -1 */
	int64_t now_ms;
	int64_t ticked_ms;   /* last supervise_tick() */
	int64_t recovery_ms; /* when this full recovery began */
	int64_t boot_ms;     /* not before this may egress be started */
	struct proc procs[BOARD_STAGES_MAX];
	unsigned count;
};

/* `names`: 2 + servers names in the order of slots, borrowed. Starts nothing. */
void supervise_init(struct supervise *, const struct supervise_ops *, void *context,
		    unsigned servers, const char *const *names);

/* Begin the first full recovery. */
void supervise_start(struct supervise *, int64_t now_ms);

/* Something was seen of one process. EVENT_EXITED: after it was reaped, with proc.death set. */
void supervise_event(struct supervise *, struct proc *, enum proc_event, int64_t now_ms);

/* Deadlines and heartbeats; call it whenever supervise_deadline() has come, or more often. */
void supervise_tick(struct supervise *, int64_t now_ms);
int64_t supervise_deadline(const struct supervise *);

/* A full recovery, for a reason that is logged. Ignored when stopping. */
void supervise_recover(struct supervise *, const char *reason, int64_t now_ms);

/* Replace one ready stage, while the others run on. Ignored when it is not ready. */
void supervise_replace(struct supervise *, struct proc *, int64_t now_ms);

/* A new pipeline file begins to count for stages; it is trusted from now on. */
void supervise_try(struct supervise *);
void supervise_trust(struct supervise *);

/* The full recovery is over: memory is the state of the target again. */
void supervise_settle(struct supervise *, int64_t now_ms);

/* All stages are ready and nothing is under way. */
bool supervise_is_quiet(const struct supervise *);

/* Drain and stop; asked a second time: as supervise_kill(). */
void supervise_stop(struct supervise *, int64_t now_ms);
void supervise_kill(struct supervise *, int64_t now_ms);

/* Exit codes 65, 77 and 78: no restart helps. */
bool death_is_final(const struct death *);

bool supervise_stopping(const struct supervise *);
struct proc *supervise_find(struct supervise *, pid_t);
const char *proc_state_name(const struct proc *);
const char *supervise_phase_name(enum supervise_phase);

#endif
