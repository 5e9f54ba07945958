/*
 * stage.h - life inside a child of the supervisor.
 *
 * A stage is started as `tallyd-NAME run ...` or `tallyd-NAME check [--offline]` with fixed
 * descriptors, and does everything in one event loop around stage_poll():
 *
 *   0 null, 1 and 2 the supervisor's, 3 control socket, 4 board, 5 its section of the pipeline,
 *   run: 6 the image (egress, reduce), 7 8 9 its output ring (ingest, reduce), then each input ring
 *   in threes;
 *   check of ingest: 7 a sealed memfd with the position in the target, as JSON; empty: there is
 *   none, a first start; closed: not known.
 *
 * A stage that is started with --held has no turn yet: until CONTROL_TURN it touches neither rings nor
 * image nor what it shares on the board, and tells the supervisor nothing. Whether it lives is all the
 * same until then: if it does not, another is started at its turn.
 *
 * It dies with the supervisor: PR_SET_PDEATHSIG, and end-of-file on the control socket.
 */
#ifndef STAGE_H
#define STAGE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/ring.h"

struct pipeline;
struct place;

/* Exit codes are an API (sysexits.h). 65, 77 and 78 are not restarted: the daemon stops too. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_USAGE = 64,
	EXIT_DATA = 65,        /* a message that cannot be right */
	EXIT_UNAVAILABLE = 69, /* `check` and `status` only: a server is away */
	EXIT_INTERNAL = 70,    /* a broken invariant */
	EXIT_TEMPORARY = 75,   /* restart this stage */
	EXIT_RECOVER = 76,     /* stage to supervisor only: a full recovery is needed */
	EXIT_DENIED = 77,      /* wrong credentials, missing privilege */
	EXIT_CONFIG = 78,      /* the pipeline file and the world do not fit */
};

enum stage_role {
	ROLE_EGRESS,
	ROLE_REDUCE,
	ROLE_INGEST,
};

/* One byte each on the control socket (SOCK_SEQPACKET). */
enum control_message {
	CONTROL_READY = 'R',   /* stage: may be relied on */
	CONTROL_STANDBY = 'S', /* stage: waits for another tallyd; ends the ready timeout */
	CONTROL_WAITING =
	    'W',            /* stage: waits for a server that is away; renews the ready timeout */
	CONTROL_STOP = 'T', /* supervisor: finish what is whole, then exit 0 */
	CONTROL_LEAVE =
	    'L', /* supervisor: the same, but at once where it is whole: a successor comes */
	CONTROL_TURN = 'G',    /* supervisor, to a stage that is held: what it waits for is there */
	CONTROL_SECTION = 'V', /* supervisor, with a descriptor: here is another section */
	CONTROL_TAKEN = 'v',   /* stage: the new section is in force */
	CONTROL_FILLED = 'F',  /* egress: views that were to be filled or rebuilt are committed */
};

enum stage_fd {
	STAGE_FD_CONTROL = 3,
	STAGE_FD_BOARD = 4,
	STAGE_FD_SECTION = 5,
	STAGE_FD_IMAGE = 6,
	STAGE_FD_RINGS = 7,
};

struct stage {
	enum stage_role role;
	bool check, offline; /* `check` mode: no rings, no control socket, no board */
	bool ddl;            /* egress's check: print what the target's owner is to run */
	bool drop;           /* egress's check: no check, the target is to forget the pipeline */
	unsigned server;     /* ingest: which of pipeline->servers it reads */
	struct pipeline *pipeline;
	struct board *board;
	struct board_stage *self;
	struct ring_fds out;
	struct ring_fds in[BOARD_STAGES_MAX];
	unsigned ins;
	int image;     /* see image.h; -1: none (ingest, check) */
	bool stopping; /* CONTROL_STOP has come, or CONTROL_LEAVE */
	bool held;     /* see above; CONTROL_TURN ends it */
	bool leaving;  /* CONTROL_LEAVE: what is still in the rings is for the successor */
	int section;   /* CONTROL_SECTION has brought it: for stage_take_section(); else -1 */
};

/*
 * First thing in a stage's main(): reads the arguments, maps board and section, names the process
 * for the log and in `ps`, sets the death signal, ignores SIGINT, SIGHUP and SIGPIPE (the terminal
 * sends them to the whole group; the supervisor decides). Ends the process with one line when
 * anything is not as it should be.
 */
void stage_open(struct stage *, enum stage_role, int argc, char **argv);

/*
 * poll(2) on fds (n <= 40) and the control socket together, at most timeout_ms (-1: as long as
 * the heartbeat allows). Renews the heartbeat before and after. Sets `stopping` when the
 * supervisor asks to stop; exits at once when the supervisor is gone.
 * Returns poll's count for the caller's fds.
 */
int stage_poll(struct stage *, struct pollfd *fds, unsigned n, int timeout_ms);

/* Return when the stage is not held, or not any more. */
void stage_wait_turn(struct stage *);

/* Renew the heartbeat in a long computation. */
void stage_beat(struct stage *);

/* Tell the supervisor; each at most once in a life, but WAITING as often as wanted. */
void stage_ready(struct stage *);
void stage_standby(struct stage *, const char *note);
void stage_waiting(struct stage *, const char *note);
void stage_filled(struct stage *);

/*
 * The newest section that the supervisor has sent since, NULL when none. The stage's own pipeline
 * stays as it is: the caller adopts what it can, then says so by stage_taken(). Heap, never freed
 * by stage.
 */
struct pipeline *stage_take_section(struct stage *);
void stage_taken(struct stage *);

/*
 * End the process: log one line (event and message), leave the message as last words on the
 * board, exit with the code.
 */
_Noreturn void stage_fail(struct stage *, enum exit_code, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Say something about the pipeline file. In check mode a line on standard output that the
 * supervisor renders with file, line and caret; otherwise a log line that starts with
 * file:line:column. `level` is LOG_ERROR, LOG_WARN or LOG_INFO. `place` may be NULL.
 */
void stage_report(struct stage *, int level, const struct place *place, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A broken invariant or a corrupt peer: last words on the board, then abort(). */
_Noreturn void stage_panic(const char *file, int line, const char *what);
#define INVARIANT(cond) ((cond) ? (void)0 : stage_panic(__FILE__, __LINE__, #cond))

#endif
