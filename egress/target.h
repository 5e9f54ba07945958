/*
 * target.h - the session with the target: connect, stand by, take over, and let go.
 *
 * Owns the connection and what the target's row in tallyd.pipeline said at the take-over. The
 * session holds an advisory lock, so that a second tallyd stands by; the epoch in the row, not
 * the lock, is what makes a writer safe (I3, I4).
 */
#ifndef EGRESS_TARGET_H
#define EGRESS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "egress/inspect.h"

struct option;
struct postgres;
struct stage;

#define TARGET_PING_MS 3000 /* an idle session is ended by the server after 10 s */

struct target {
	struct stage *stage;
	struct postgres *pg;
	struct target_table *tables;        /* as pipeline->views; filled by the first take-over */
	char **keywords, **values;          /* for libpq, NULL-terminated; hold secrets */
	const struct option *password_file; /* NULL: none */
	char instance[128]; /* names the supervisor above us: host, pid, its start */
	char lock[24];      /* number of the advisory lock, from the pipeline's name */
	bool taken;         /* this process, or the one it replaces alone, has taken over */
	int backend;        /* pid in the server */
	uint64_t epoch, batch, time; /* as of the take-over; batch and time move with commits */
	char *position;              /* as of the take-over; NULL: none yet */
};

enum target_step {
	TARGET_DONE,
	TARGET_AGAIN, /* said why; close the connection and begin anew */
	TARGET_STOP,  /* asked to stop while waiting */
};

/*
 * Take the options out of the pipeline. Reports unknown ones with their place and returns false
 * when there were any. The stage is borrowed.
 */
bool target_init(struct target *, struct stage *);
void target_fini(struct target *);

/* The role that will log in, as far as can be said without the server. Heap. */
char *target_user(const struct target *);

/*
 * Connect, wait for the lock, create the schema, check the tables, take over; all of it again and
 * again until it is done. Returns 0, or -1 when asked to stop. Ends the process when waiting
 * cannot help: 77, 78, or EXIT_RECOVER when another has written since.
 */
int target_open(struct target *);

/* Parts of it that `check` uses too. connect: password and options, one try. */
int target_connect(struct target *, int timeout_ms); /* enum postgres_connection */
int target_try_lock(struct target *);                /* one try: 1 got it, 0 not, -1 failed */
char *target_holder(struct target *); /* who has the lock, for a message; NULL: nobody. Heap. */

/*
 * A statement failed. Ends the process (65, 77, 78) when trying again cannot help; else says what
 * is waited for, closes the connection and returns -1.
 */
int target_failed(struct target *, const char *what);

/* A fault point asks for the error path: as if the connection had broken here. Returns -1. */
int target_break(struct target *);

/* While idle: keep the session alive, and see that it still is the same. 0, or -1 as above. */
int target_ping(struct target *);

/* Stop: give up the lock and the connection. */
void target_release(struct target *);

/* Wait, with heartbeat; returns early when asked to stop. */
void target_sleep(struct target *, int ms);

#endif
