/* connect_test.c - how long egress waits for a server that does not answer, and where it goes then. */
#include "tests/egress/types_test.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/stage.h"
#include "tests/egress/harness.h"

enum { CLIENTS = 8 };

struct silent { /* a port where nobody says a word */
	int fd, clients[CLIENTS];
	int port;
};

/* `full`: not even the handshake is answered. */
static void
silent_open(struct silent *s, bool full)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT(bind(s->fd, (struct sockaddr *)&address, len) == 0 && listen(s->fd, 0) == 0 &&
		   getsockname(s->fd, (struct sockaddr *)&address, &len) == 0,
	       "a port");
	s->port = ntohs(address.sin_port);
	for (unsigned i = 0; i < CLIENTS; i++) {
		s->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (full)
			(void)connect(s->clients[i], (struct sockaddr *)&address, len);
	}
}

static void
silent_close(struct silent *s)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		close(s->clients[i]);
	close(s->fd);
}

/* `check` with these ports, all on this host: its exit code, and how long it took. */
static int
check_ports(const char *ports, const char *timeout, int64_t *took_ms)
{
	struct pipeline p = pipeline_totals(1);
	struct option options[8];
	struct harness h;
	unsigned n = p.target_count;
	int code;

	memcpy(options, p.target, n * sizeof(*options));
	options[0].value =
	    strchr(ports, ',') != NULL ? TEXT("127.0.0.1,127.0.0.1") : TEXT("127.0.0.1");
	options[1].value = TEXT(ports);
	options[n++] = (struct option){.name = TEXT("connect_timeout"), .value = TEXT(timeout)};
	p.target = options;
	p.target_count = n;
	harness_open(&h, &p);
	*took_ms = clock_monotonic_ms();
	code = harness_check(&h, NULL);
	*took_ms = clock_monotonic_ms() - *took_ms;
	harness_close(&h);
	return code;
}

void
test_connect_timeout(void)
{
	struct silent silent, full;
	char ports[64];
	int64_t ms;
	int code;

	silent_open(&silent, false);
	silent_open(&full, true);
	snprintf(ports, sizeof(ports), "%d", silent.port);
	code = check_ports(ports, "1", &ms);
	EXPECT(code == EXIT_UNAVAILABLE && ms >= 1000 && ms < 2500,
	       "a silent server, one second: exit %d after %" PRId64 " ms", code, ms);
	code = check_ports(ports, "soon", &ms);
	EXPECT(code == EXIT_CONFIG, "no number: exit %d after %" PRId64 " ms", code, ms);
	snprintf(ports, sizeof(ports), "%d,%s", full.port, getenv("PGPORT"));
	code = check_ports(ports, "1", &ms);
	EXPECT(code == EXIT_OK && ms >= 1000 && ms < 4000,
	       "no answer at all, then the next host: exit %d after %" PRId64 " ms", code, ms);
	silent_close(&full);
	silent_close(&silent);
}
