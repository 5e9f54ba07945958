/*
 * cut_after.c - before a server: cuts connections in the middle of a handshake, each a little later.
 *
 *   cut-after LISTEN_PORT SERVER_PORT STEP LAST
 *
 * Both on 127.0.0.1. The nth connection (from 0) ends after n * STEP bytes of the server, every other
 * one by a reset; those that would end beyond LAST bytes pass. Prints "cut BYTES" for each cut.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bsd/stdlib.h>

static struct sockaddr_in
address(const char *port)
{
	const char *error;
	struct sockaddr_in a = {.sin_family = AF_INET};
	a.sin_port = htons((uint16_t)strtonum(port, 1, 65535, &error));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int
server(const char *port)
{
	struct sockaddr_in a = address(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* False at the end of the connection. */
static bool
pass(int from, int to, long long limit)
{
	char buf[65536];
	size_t room = limit >= 0 && limit < (long long)sizeof(buf) ? (size_t)limit : sizeof(buf);
	ssize_t n = read(from, buf, room);
	for (ssize_t at = 0, w; at < n; at += w)
		if ((w = write(to, buf + at, (size_t)(n - at))) <= 0)
			return false;
	return n > 0;
}

/* limit -1: never cut. */
static void
serve(int client, const char *port, long long limit, bool reset)
{
	struct linger at_once = {.l_onoff = 1};
	long long seen = 0;
	int s = server(port);
	while (s >= 0 && (limit < 0 || seen < limit)) {
		struct pollfd fds[] = {{.fd = client, .events = POLLIN},
				       {.fd = s, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0)
			break;
		if (fds[0].revents && !pass(client, s, -1))
			break;
		if (!fds[1].revents)
			continue;
		/* Byte by byte, so that not more is passed on than is to be. */
		if (!pass(s, client, limit < 0 ? -1 : 1))
			break;
		seen++;
	}
	if (limit >= 0 && seen >= limit) {
		printf("cut %lld\n", limit);
		fflush(stdout);
		if (reset)
			setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
}

int
main(int argc, char **argv)
{
	const char *error;
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	if (argc != 5)
		return 64;
	struct sockaddr_in a = address(argv[1]);
	long long step = strtonum(argv[3], 1, 65536, &error);
	long long last = strtonum(argv[4], 0, 65536, &error), limit = 0;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 16) < 0) {
		perror("cut-after");
		return 1;
	}
	for (int n = 0;; n++, limit += step) {
		int client = accept(listener, NULL, NULL);
		if (client < 0)
			continue;
		if (fork() == 0) {
			close(listener);
			serve(client, argv[2], limit <= last ? limit : -1, n % 2);
			_exit(0);
		}
		close(client);
	}
}
