/*
 * delay_proxy.c - a far-away PostgreSQL: passes on what it gets, each byte a fixed time after it came.
 *
 *   delay-proxy LISTEN_PORT SERVER_PORT MICROSECONDS
 *
 * Both ports on 127.0.0.1; the time is that of one direction, half of a round trip. It limits no throughput:
 * what is under way waits in a queue, and up to 256 MiB in a direction may. For kernels without netem.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/sys/queue.h>

enum {
	PAIRS = 16,
	CHUNK = 256 * 1024,
};

#define QUEUE_MAX ((size_t)256 << 20)

struct chunk {
	STAILQ_ENTRY(chunk) next;
	int64_t due_ns;
	size_t len, sent; /* len 0: the sender has ended */
	uint8_t data[];
};

struct direction {
	STAILQ_HEAD(, chunk) queue;
	size_t queued;
	bool ended; /* nothing more comes */
	bool done;  /* nor is anything left to be passed on */
};

struct pair {
	int fd[2];                /* client, server; -1: free */
	struct direction from[2]; /* what each of them has said */
};

static struct pair pairs[PAIRS];
static int64_t delay_ns;

static int64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
pair_close(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		struct chunk *c;
		while ((c = STAILQ_FIRST(&p->from[side].queue)) != NULL) {
			STAILQ_REMOVE_HEAD(&p->from[side].queue, next);
			free(c);
		}
		close(p->fd[side]);
		p->fd[side] = -1;
	}
}

/* ---- in ------------------------------------------------------------------------------------ */

static void
direction_add(struct direction *d, const uint8_t *data, size_t len)
{
	struct chunk *c = malloc(sizeof(*c) + len);

	if (c == NULL) {
		fprintf(stderr, "delay-proxy: out of memory\n");
		exit(1);
	}
	c->due_ns = now_ns() + delay_ns;
	c->len = len;
	c->sent = 0;
	if (len > 0)
		memcpy(c->data, data, len);
	STAILQ_INSERT_TAIL(&d->queue, c, next);
	d->queued += len;
	d->ended = len == 0;
}

/* False: the connection is broken. */
static bool
direction_read(struct direction *d, int fd)
{
	static uint8_t data[CHUNK];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	direction_add(d, data, (size_t)n);
	return true;
}

/* ---- out ----------------------------------------------------------------------------------- */

/* Pass on what is due, as far as it is taken. False: the connection is broken. */
static bool
direction_write(struct direction *d, int to, int64_t now)
{
	struct chunk *c;

	while ((c = STAILQ_FIRST(&d->queue)) != NULL && c->due_ns <= now) {
		if (c->len == 0) {
			d->done = true;
			(void)shutdown(to, SHUT_WR);
		}
		while (c->sent < c->len) {
			ssize_t n = send(to, c->data + c->sent, c->len - c->sent,
					 MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return errno == EAGAIN;
			c->sent += (size_t)n;
		}
		d->queued -= c->len;
		STAILQ_REMOVE_HEAD(&d->queue, next);
		free(c);
	}
	return true;
}

static bool
direction_is_due(const struct direction *d, int64_t now)
{
	const struct chunk *c = STAILQ_FIRST(&d->queue);

	return c != NULL && c->due_ns <= now;
}

static int64_t
direction_due(const struct direction *d)
{
	const struct chunk *c = STAILQ_FIRST(&d->queue);

	return c != NULL ? c->due_ns : INT64_MAX;
}

/* ---- connections --------------------------------------------------------------------------- */

static int
open_socket(int port, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_port = htons((uint16_t)port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0) {
		perror("delay-proxy: socket");
		exit(1);
	}
	return fd;
}

static int
listen_at(int port)
{
	struct sockaddr_in address;
	int fd = open_socket(port, &address), on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0) {
		perror("delay-proxy: listen");
		exit(1);
	}
	return fd;
}

static void
take_client(int listener, int server_port)
{
	struct sockaddr_in address;
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
	int server = open_socket(server_port, &address);
	struct pair *p = pairs;

	while (p < pairs + PAIRS && p->fd[0] >= 0)
		p++;
	if (client < 0 || p == pairs + PAIRS ||
	    connect(server, (struct sockaddr *)&address, sizeof(address)) != 0) {
		if (client >= 0)
			close(client);
		close(server);
		return;
	}
	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*p = (struct pair){.fd = {client, server}};
	STAILQ_INIT(&p->from[0].queue);
	STAILQ_INIT(&p->from[1].queue);
}

/* What to wait for of one pair; returns when something of it is due. */
static int64_t
pair_wait(const struct pair *p, struct pollfd fds[2], int64_t now)
{
	int64_t due = INT64_MAX;

	for (int side = 0; side < 2; side++) {
		const struct direction *in = &p->from[side], *out = &p->from[1 - side];
		fds[side] = (struct pollfd){.fd = p->fd[side]};
		if (p->fd[side] < 0)
			continue;
		if (!in->ended && in->queued < QUEUE_MAX)
			fds[side].events |= POLLIN;
		if (direction_is_due(out, now))
			fds[side].events |= POLLOUT; /* it was tried: the socket is full */
		else if (direction_due(out) < due)
			due = direction_due(out);
		if (fds[side].events == 0)
			fds[side].fd = -1;
	}
	return due;
}

static void
pair_serve(struct pair *p, const struct pollfd fds[2])
{
	bool whole = true;
	int64_t now;

	for (int side = 0; side < 2 && whole; side++)
		if ((fds[side].revents & ~POLLOUT) != 0)
			whole = p->from[side].ended ? false
						    : direction_read(&p->from[side], p->fd[side]);
	now = now_ns();
	for (int side = 0; side < 2 && whole; side++)
		whole = direction_write(&p->from[side], p->fd[1 - side], now);
	if (!whole || (p->from[0].done && p->from[1].done))
		pair_close(p);
}

static void
serve(int listener, int server_port)
{
	struct pollfd fds[1 + 2 * PAIRS];
	int64_t now = now_ns(), due = INT64_MAX;
	struct timespec wait = {.tv_sec = 3600};

	fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
	for (int i = 0; i < PAIRS; i++) {
		int64_t at = pair_wait(&pairs[i], &fds[1 + 2 * i], now);
		due = at < due ? at : due;
	}
	if (due != INT64_MAX)
		wait = (struct timespec){.tv_sec = (due - now) / 1000000000,
					 .tv_nsec = (due - now) % 1000000000};
	if (ppoll(fds, 1 + 2 * PAIRS, &wait, NULL) < 0)
		return;
	for (int i = 0; i < PAIRS; i++)
		if (pairs[i].fd[0] >= 0)
			pair_serve(&pairs[i], &fds[1 + 2 * i]);
	if (fds[0].revents != 0)
		take_client(listener, server_port);
}

int
main(int argc, char **argv)
{
	const char *error = NULL;
	long long numbers[3] = {0};

	for (int i = 0; i < 3 && argc == 4 && error == NULL; i++)
		numbers[i] = strtonum(argv[i + 1], i < 2 ? 1 : 0, i < 2 ? 65535 : 10000000, &error);
	if (argc != 4 || error != NULL) {
		fprintf(stderr, "usage: delay-proxy LISTEN_PORT SERVER_PORT MICROSECONDS\n");
		return 64;
	}
	delay_ns = numbers[2] * 1000;
	for (int i = 0; i < PAIRS; i++)
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
	int listener = listen_at((int)numbers[0]);
	for (;;)
		serve(listener, (int)numbers[1]);
}
