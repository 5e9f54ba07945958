/*
 * daemon_state.h - what the two halves of the daemon share: daemon.c, the effects and the loop, and
 * swap.c, a new pipeline file that comes into force. Nobody else includes this.
 */
#ifndef DAEMON_STATE_H
#define DAEMON_STATE_H

#include "common/log.h"
#include "common/ring.h"
#include "supervisor/control.h"
#include "supervisor/daemon.h"
#include "supervisor/reload.h"
#include "supervisor/status.h"
#include "supervisor/supervise.h"

struct child { /* -1: none */
	int pidfd, control;
};

struct held {      /* started, but without a turn: see hold.c */
	pid_t pid; /* 0: none */
	struct child child;
};

enum swap_step {
	SWAP_NONE,
	SWAP_CHECK,   /* the new file is being checked */
	SWAP_EGRESS,  /* egress starts again by the new file */
	SWAP_REDUCE,  /* reduce was sent its new section */
	SWAP_FILL,    /* new views are being filled */
	SWAP_INGESTS, /* those that have other options start again */
	SWAP_RECOVER, /* a full recovery by the new file */
};

struct swap {
	enum swap_step step;
	struct reload reload;
	struct pipeline *old, *old_next; /* while the new one is on trial */
	unsigned given;                  /* stages that were started by the new one */
	unsigned starts[BOARD_STAGES_MAX];
	int64_t deadline_ms; /* of the step */
	uint64_t rebuilt;    /* the counter before */
};

struct daemon {
	enum daemon_mode mode;
	struct pipeline *pipeline; /* what stages are started by */
	/* The file as it is, when `pipeline` is a merge with older ones: the next full recovery's. */
	struct pipeline *next;
	char *names[BOARD_STAGES_MAX]; /* of the stages, by slot; heap */
	struct supervise supervise;
	struct board *board;
	int board_fd, null_fd, signal_fd;
	struct ring_fds out;                  /* reduce -> egress */
	struct ring_fds in[BOARD_STAGES_MAX]; /* ingest i -> reduce */
	bool has_rings;
	int image; /* see image.h; -1: given away, or none */
	struct child children[BOARD_STAGES_MAX];
	struct held held[BOARD_STAGES_MAX]; /* by slot */
	struct control control;
	struct swap swap;
	struct tally tally;
	bool filled; /* what was to be filled or rebuilt is committed */
	int64_t started_ms;
	int64_t standby_ms;              /* since when egress stands by; 0: it does not */
	char why[BOARD_WORDS_MAX + 128]; /* of the stage that stopped the daemon; else empty */
};

/*
 * daemon.c: a process for p, with its descriptors in *child; `held`: it waits for its turn. -1: errno.
 */
pid_t daemon_launch(struct daemon *, const struct proc *, bool held, struct child *);

/*
 * hold.c. In a full recovery a stage's turn comes when the one before is ready. What it does until then
 * needs none of that: exec, its libraries. So all start at once and are held.
 * Only the process itself is held, not what the tables know of it: for them it starts at its turn.
 *
 * hold_others: for all but egress, if it can be; else it is started at its turn.
 * hold_take: it is p's turn. Returns the pid, with the descriptors in *child, or -1: none is held.
 * hold_drop: none is needed any more, or not soon. Waits until they have ended, for a second at most.
 */
void hold_others(struct daemon *);
pid_t hold_take(struct daemon *, const struct proc *, struct child *);
void hold_drop(struct daemon *);

/* daemon.c: each line of a text becomes a log line; with a prefix only those that have it. */
void daemon_log_text(enum log_level, const char *event, const char *text, const char *prefix);

/* daemon.c: egress has stood by for so long that this is no passing state. */
bool daemon_stands_by(const struct daemon *, int64_t now_ms);

/*
 * swap.c. A request of a client (or of HUP): returns CONTROL_LATER, when it is told what came of it
 * later, or an exit code after writing why not.
 */
int swap_request(struct daemon *, const char *request, FILE *answer);

/* The check of the new file has ended. */
void swap_checked(struct daemon *);

/* Something has happened: take the next step, if its time has come. */
void swap_turn(struct daemon *, int64_t now_ms);
void swap_taken(struct daemon *, const struct proc *); /* CONTROL_TAKEN */
int64_t swap_deadline(const struct daemon *);

/* Before a full recovery: all are reaped, so the file as it is can take the place of a merge. */
void swap_renew(struct daemon *);

/* See struct supervise_ops. */
bool swap_revert(struct daemon *, const struct proc *);

void swap_close(struct daemon *);

#endif
