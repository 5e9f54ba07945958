/*
 * control.h - the runtime folder: the lock of a pipeline and the socket that answers about it.
 *
 * The folder is $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/tallyd, else /tmp/tallyd-UID; made
 * with mode 0700 when missing, our own, and refused when others may write to it. NAME.lock holds the
 * pid and the pipeline file of the one who runs pipeline NAME; NAME.sock is his socket. A client
 * sends one line and gets an exit code in decimal, a line break and text until end-of-file.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#define CONTROL_CLIENTS_MAX 8
#define CONTROL_FDS_MAX     (1 + CONTROL_CLIENTS_MAX)
#define CONTROL_PATH_MAX    (sizeof((struct sockaddr_un *)0)->sun_path)

struct control_client {
	int fd; /* -1: free */
	int64_t deadline_ms;
	char request[320];
	size_t have;
	bool waiting; /* its answer comes by control_answer_waiting() */
	char *answer; /* NULL: the request is not whole yet, or waiting */
	size_t answer_len, sent;
};

struct control {
	int lock_fd, listen_fd;
	char socket_path[CONTROL_PATH_MAX];
	struct control_client clients[CONTROL_CLIENTS_MAX];
};

/*
 * Answer one request line by writing to the stream; returns the exit code for the client, or
 * CONTROL_LATER: then the client waits.
 */
#define CONTROL_LATER (-1)
typedef int control_answer(void *context, const char *request, FILE *);

/*
 * Take the lock of the pipeline and listen. Returns 0, or the exit code to leave with, after one
 * log line: EXIT_TEMPORARY when another one runs it here, EXIT_DENIED, EXIT_CONFIG.
 */
int control_open(struct control *, const char *pipeline, const char *file);

/* Stop listening and remove the socket; safe on one that control_open() refused. */
void control_close(struct control *);

/* Fill what is to be polled (at most CONTROL_FDS_MAX); returns how many. */
unsigned control_poll_fds(const struct control *, struct pollfd *);

/* Act on what poll(2) said of them. Never blocks but for what `answer` does. */
void control_serve(struct control *, const struct pollfd *, unsigned count, control_answer *,
		   void *context, int64_t now_ms);

/* The answer for all clients that wait for one. */
void control_answer_waiting(struct control *, int code, const char *text);

/* When a client's time is over; INT64_MAX: none is there. */
int64_t control_deadline(const struct control *);

/*
 * Client: send the request to the tallyd that runs `which` (a pipeline's name or file; NULL: the
 * only one there is) and copy the text of its answer to `out`. Returns the answer's exit code;
 * EXIT_UNAVAILABLE when nobody answers, EXIT_USAGE when it is not clear whom to ask: both with a
 * sentence on standard error. Blocks for at most `limit_s` seconds; 0: for as long as that one
 * lives.
 */
int control_ask(const char *which, const char *request, unsigned limit_s, FILE *out);

/* Whether a tallyd that runs `which` answers here. Says nothing. */
bool control_is_running(const char *which);

#endif
