/*
 * cut_proxy.c - between egress and PostgreSQL: cuts the connection inside the answer to a commit.
 *
 *   cut-proxy LISTEN_PORT SERVER_PORT
 *
 * Both on 127.0.0.1. Passes on what it gets. Of two kinds of commit, `statement` (one prepared
 * statement of its own transaction, named tallyd_...) and `copy` (COMMIT after a COPY), each one
 * that comes is cut: the first before the server has seen it, the second before the first byte of
 * the answer, the next after one byte, and so on until a whole answer has passed before the cut.
 * The server has always finished, and every other cut is a reset. Prints a line for each,
 * "KIND AFTER LENGTH" (AFTER -1: the server has not seen it), and "KIND done". Later ones pass.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bsd/stdlib.h>

enum {
	PAIRS = 16,
	CHUNK = 65536,
	HEAD = 64,     /* of a message, to know it by */
	ANSWER = 4096, /* the longest answer to a commit */
};

enum kind {
	KIND_NONE = -1,
	KIND_STATEMENT,
	KIND_COPY,
	KINDS,
};

static struct {
	const char *name;
	int next; /* where the next one is cut */
	bool done;
} kinds[KINDS] = {{"statement", -1, false}, {"copy", -1, false}};

struct stream {     /* one direction, taken apart into messages */
	bool typed; /* the startup messages have no type */
	size_t have, left;
	uint8_t head[HEAD];
};

struct pair {
	int client, server; /* -1: free */
	struct stream from_client, from_server;
	bool copied;     /* a COPY has ended since the last commit */
	bool idle;       /* the server is outside any transaction */
	enum kind armed; /* the answer to this one is being kept */
	uint8_t answer[ANSWER];
	size_t answer_len;
};

static struct pair pairs[PAIRS];

static uint32_t
big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
pair_close(struct pair *p, bool reset)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(p->client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(p->client);
	close(p->server);
	p->client = p->server = -1;
}

static bool
send_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* A whole message of the client's. Is it a commit that is to be cut? */
static enum kind
client_message(struct pair *p, const struct stream *s, size_t len)
{
	const char *body = (const char *)s->head + 5;

	if (!s->typed)
		return KIND_NONE;
	if (s->head[0] == 'c')
		p->copied = true;
	/* Bind: the portal's name, which is empty, then the statement's. */
	if (s->head[0] == 'B' && len > 14 && p->idle && strncmp(body + 1, "tallyd_", 7) == 0 &&
	    !kinds[KIND_STATEMENT].done)
		return KIND_STATEMENT;
	if (s->head[0] == 'Q' && len == 12 && memcmp(body, "COMMIT", 7) == 0 && p->copied) {
		p->copied = false;
		return kinds[KIND_COPY].done ? KIND_NONE : KIND_COPY;
	}
	return KIND_NONE;
}

/* Takes bytes of a stream. Returns how many belong to the message at hand; *ended: it is whole. */
static size_t
stream_take(struct stream *s, const uint8_t *data, size_t len, size_t *ended)
{
	size_t prefix = s->typed ? 5 : 4, used = 0;

	*ended = 0;
	while (used < len && s->have < prefix) {
		s->head[s->have++] = data[used++];
		if (s->have == prefix)
			s->left = big_endian(s->head + prefix - 4) - 4;
	}
	if (s->have < prefix)
		return used;
	while (used < len && s->left > 0) {
		if (s->have < HEAD)
			s->head[s->have] = data[used];
		s->have++;
		used++;
		s->left--;
	}
	if (s->left == 0) {
		*ended = s->have;
		s->have = 0;
	}
	return used;
}

/* The first messages: a request for encryption is answered by one byte, then comes the startup. */
static void
client_startup(struct pair *p, size_t len)
{
	if (len > 8)
		p->from_client.typed = true;
}

/* False: the pair is closed. */
static bool
from_client(struct pair *p, const uint8_t *data, size_t len)
{
	size_t ended;

	for (size_t at = 0; at < len;) {
		at += stream_take(&p->from_client, data + at, len - at, &ended);
		if (ended == 0)
			continue;
		enum kind kind = client_message(p, &p->from_client, ended);
		if (!p->from_client.typed)
			client_startup(p, ended);
		if (kind != KIND_NONE) {
			p->armed = kind;
			p->answer_len = 0;
		}
	}
	if (p->armed != KIND_NONE && kinds[p->armed].next < 0) {
		printf("%s -1 0\n", kinds[p->armed].name);
		kinds[p->armed].next = 0;
		pair_close(p, false);
		return false;
	}
	if (send_all(p->server, data, len))
		return true;
	pair_close(p, false);
	return false;
}

/* The server has answered in full: let the client have so much of it. */
static void
pair_cut(struct pair *p)
{
	enum kind kind = p->armed;
	size_t after = (size_t)kinds[kind].next;

	if (after > p->answer_len)
		after = p->answer_len;
	(void)send_all(p->client, p->answer, after);
	printf("%s %zu %zu\n", kinds[kind].name, after, p->answer_len);
	kinds[kind].next++;
	if (after == p->answer_len) {
		kinds[kind].done = true;
		printf("%s done\n", kinds[kind].name);
	}
	pair_close(p, after % 2 == 1);
}

static void
keep_answer(struct pair *p, const uint8_t *data, size_t len)
{
	if (p->answer_len + len > ANSWER) {
		fprintf(stderr, "cut-proxy: an answer of more than %d bytes\n", ANSWER);
		exit(1);
	}
	memcpy(p->answer + p->answer_len, data, len);
	p->answer_len += len;
}

static void
from_server(struct pair *p, const uint8_t *data, size_t len)
{
	bool ready = false;
	size_t ended;

	/* The one byte before the startup is no message. */
	for (size_t at = 0; p->from_client.typed && at < len;) {
		at += stream_take(&p->from_server, data + at, len - at, &ended);
		if (ended > 0 && p->from_server.head[0] == 'Z') {
			p->idle = p->from_server.head[5] == 'I';
			ready = true;
		}
	}
	if (p->armed == KIND_NONE) {
		if (!send_all(p->client, data, len))
			pair_close(p, false);
		return;
	}
	keep_answer(p, data, len);
	if (ready)
		pair_cut(p);
}

static int
connect_to(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
take_client(int listener, int server_port)
{
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int server = client < 0 ? -1 : connect_to(server_port);

	for (unsigned i = 0; server >= 0 && i < PAIRS; i++) {
		if (pairs[i].client >= 0)
			continue;
		pairs[i] = (struct pair){.client = client, .server = server, .armed = KIND_NONE};
		pairs[i].from_server.typed = true;
		return;
	}
	if (client >= 0)
		close(client);
	if (server >= 0)
		close(server);
}

/* True when there was something, or an end: then the pair is closed. */
static bool
pass(struct pair *p, bool client, short revents)
{
	static uint8_t data[CHUNK];
	ssize_t n;

	if (revents == 0)
		return false;
	n = recv(client ? p->client : p->server, data, sizeof(data), 0);
	if (n < 0 && errno == EINTR)
		return false;
	if (n <= 0) {
		pair_close(p, false);
		return true;
	}
	if (client)
		return !from_client(p, data, (size_t)n);
	from_server(p, data, (size_t)n);
	return true;
}

static int
listen_at(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0) {
		perror("cut-proxy: listen");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	const char *error = NULL;
	int port = argc == 3 ? (int)strtonum(argv[1], 1, 65535, &error) : 0;
	int server_port = argc == 3 && error == NULL ? (int)strtonum(argv[2], 1, 65535, &error) : 0;

	if (argc != 3 || error != NULL) {
		fprintf(stderr, "usage: cut-proxy LISTEN_PORT SERVER_PORT\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < PAIRS; i++)
		pairs[i].client = pairs[i].server = -1;
	int listener = listen_at(port);
	for (;;) {
		struct pollfd fds[1 + 2 * PAIRS];
		fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (unsigned i = 0; i < PAIRS; i++) {
			fds[1 + 2 * i] = (struct pollfd){.fd = pairs[i].client, .events = POLLIN};
			fds[2 + 2 * i] = (struct pollfd){.fd = pairs[i].server, .events = POLLIN};
		}
		if (poll(fds, 1 + 2 * PAIRS, -1) < 0)
			continue;
		for (unsigned i = 0; i < PAIRS; i++)
			/* Only one side at a time: the other's descriptor may be closed by it. */
			if (!pass(&pairs[i], false, fds[2 + 2 * i].revents))
				(void)pass(&pairs[i], true, fds[1 + 2 * i].revents);
		if (fds[0].revents != 0)
			take_client(listener, server_port);
	}
}
