#include "tests/egress/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/string.h>

#include "common/batch.h"
#include "common/image.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"

#define ROOM_MS 20000

unsigned harness_passed, harness_failed;

static unsigned lives; /* for names and owners */

static _Noreturn void
harness_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

void
harness_expect(const char *file, int line, bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok) {
		harness_passed++;
		return;
	}
	harness_failed++;
	fprintf(stderr, "%s:%d: FAILED: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void
harness_open(struct harness *h, struct pipeline *p)
{
	memset(h, 0, sizeof(*h));
	h->pipeline = p;
	h->control = -1;
	h->next = 1;
	if ((h->image = image_create()) < 0)
		harness_die("image");
	if ((h->board_fd = board_create(&h->board)) < 0)
		harness_die("board");
	snprintf(h->board->owner, sizeof(h->board->owner), "test/%d/%u", (int)getpid(), ++lives);
	snprintf(h->log, sizeof(h->log), "%s/egress-%u.log", getenv("EGRESS_FOLDER"), lives);
	if (ring_create(&h->ring_fds, p->ring_bytes) < 0 ||
	    ring_attach(&h->ring, &h->ring_fds, RING_PRODUCER) < 0)
		harness_die("ring");
}

void
harness_kill(struct harness *h)
{
	if (h->pid > 0) {
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
	}
	h->pid = 0;
	if (h->control >= 0)
		close(h->control);
	h->control = -1;
}

void
harness_close(struct harness *h)
{
	harness_kill(h);
	ring_detach(&h->ring);
	ring_close_fds(&h->ring_fds);
	munmap(h->board, sizeof(*h->board));
	close(h->board_fd);
	close(h->image);
}

static int
harness_section(const struct pipeline *p)
{
	static uint8_t bytes[256 * 1024];
	struct pack pack;
	int fd = memfd_create("section", MFD_ALLOW_SEALING);

	pack_init(&pack, bytes, sizeof(bytes));
	pipeline_pack(p, SECTION_EGRESS, 0, &pack);
	if (fd < 0 || pack.overflow ||
	    write(fd, bytes, pack_len(&pack)) != (ssize_t)pack_len(&pack) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		harness_die("section");
	return fd;
}

/* In the child: the descriptors where stage.h says, all above them closed, and exec. */
static _Noreturn void
harness_exec(struct harness *h, int control, int section, int out, const char *const *args)
{
	int from[] = {control,
		      h->board_fd,
		      section,
		      h->image,
		      h->ring_fds.memory,
		      h->ring_fds.data_bell,
		      h->ring_fds.room_bell};
	enum { COUNT = sizeof(from) / sizeof(from[0]) };

	/* First out of the way, or one would close the other. */
	for (int i = 0; i < COUNT; i++)
		from[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD, 100);
	dup2(out, 1);
	dup2(out, 2);
	for (int i = 0; i < COUNT; i++) {
		close(3 + i);
		if (from[i] >= 0)
			dup2(from[i], 3 + i);
	}
	closefrom(3 + COUNT);
	execv(args[0], (char *const *)(uintptr_t)args);
	_exit(127);
}

static void
harness_fork(struct harness *h, int control, const char *const *args, const char *faults)
{
	int section = harness_section(h->pipeline);
	int out = open(h->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (out < 0)
		harness_die(h->log);
	h->pid = fork();
	if (h->pid < 0)
		harness_die("fork");
	if (h->pid == 0) {
		if (faults != NULL)
			setenv("TALLYD_FAULT", faults, 1);
		else
			unsetenv("TALLYD_FAULT");
		harness_exec(h, control, section, out, args);
	}
	close(section);
	close(out);
}

void
harness_start(struct harness *h, bool alone, const char *faults)
{
	const char *args[] = {getenv("EGRESS"), "run", "--slot=1", NULL};
	int pair[2];

	harness_kill(h);
	if (!alone) {
		close(h->image);
		if ((h->image = image_create()) < 0)
			harness_die("image");
	}
	h->said[0] = '\0';
	atomic_store(&h->board->alone, alone ? 1 : 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		harness_die("socketpair");
	harness_fork(h, pair[1], args, faults);
	close(pair[1]);
	h->control = pair[0];
}

static bool
harness_alive(struct harness *h)
{
	siginfo_t info = {0};

	return h->pid > 0 && (waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
			      info.si_pid == 0);
}

static void
harness_listen(struct harness *h, int timeout_ms)
{
	struct pollfd fd = {.fd = h->control, .events = POLLIN};
	size_t n = strlen(h->said);
	char c;

	if (poll(&fd, 1, timeout_ms) > 0 && recv(h->control, &c, 1, MSG_DONTWAIT) == 1 &&
	    n + 1 < sizeof(h->said) && strchr(h->said, c) == NULL) {
		h->said[n] = c;
		h->said[n + 1] = '\0';
	}
}

bool
harness_hear(struct harness *h, char c, int timeout_ms)
{
	int64_t until = clock_monotonic_ms() + timeout_ms;

	while (strchr(h->said, c) == NULL) {
		if (clock_monotonic_ms() >= until || !harness_alive(h))
			return false;
		harness_listen(h, 5);
	}
	return true;
}

/* Alive, or replaced as a supervisor would do it. */
static bool
harness_going(struct harness *h)
{
	if (harness_alive(h))
		return true;
	if (h->pid > 0)
		harness_exit(h, 0);
	if (!h->restart || h->code == EXIT_RECOVER)
		return false;
	harness_start(h, true, NULL);
	return true;
}

bool
harness_durable(struct harness *h, uint64_t batch, int timeout_ms)
{
	int64_t until = clock_monotonic_ms() + timeout_ms;

	while (board_durable_batch(h->board) < batch) {
		if (clock_monotonic_ms() >= until || !harness_going(h))
			return board_durable_batch(h->board) >= batch;
		harness_listen(h, 0);
		usleep(50);
	}
	return true;
}

int
harness_exit(struct harness *h, int timeout_ms)
{
	int64_t until = clock_monotonic_ms() + timeout_ms;
	int status = 0;

	while (harness_alive(h) && clock_monotonic_ms() < until)
		harness_listen(h, 5);
	if (h->pid <= 0 || waitpid(h->pid, &status, WNOHANG) != h->pid)
		return -1000;
	h->pid = 0;
	h->code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	return h->code;
}

void
harness_stop(struct harness *h)
{
	char stop = CONTROL_STOP;

	if (send(h->control, &stop, 1, MSG_NOSIGNAL) != 1)
		fprintf(stderr, "stop: %s\n", strerror(errno));
}

/* Give egress what is written so far, and wait until it has made room. */
static bool
harness_wait_room(struct harness *h)
{
	int64_t until = clock_monotonic_ms() + ROOM_MS;

	ring_commit(&h->ring, NULL, 0);
	while (ring_sleep(&h->ring, h->ring.capacity / 4)) {
		struct pollfd fd = {.fd = ring_fd(&h->ring), .events = POLLIN};

		poll(&fd, 1, 20);
		ring_awake(&h->ring);
		if (clock_monotonic_ms() > until || !harness_going(h))
			return false;
	}
	return true;
}

bool
harness_row(struct harness *h, uint16_t view, int diff, const struct value *v, unsigned count)
{
	uint8_t row[16 * 1024];
	struct pack pack;

	pack_init(&pack, row, sizeof(row));
	row_pack(&pack, v, count);
	while (batch_put_row(&h->ring, view, diff, row, pack_len(&pack)) < 0) {
		if (errno != EAGAIN)
			harness_die("row");
		if (!harness_wait_room(h))
			return false;
	}
	h->rows++;
	return true;
}

bool
harness_view(struct harness *h, uint16_t view, enum view_step step, uint64_t rows)
{
	while (batch_put_view(&h->ring, view, step, rows) < 0)
		if (errno != EAGAIN || !harness_wait_room(h))
			return false;
	return true;
}

bool
harness_checkpoint(struct harness *h, const struct checkpoint *c)
{
	while (batch_put_checkpoint(&h->ring, c) < 0) {
		if (errno != EAGAIN)
			harness_die("checkpoint");
		if (!harness_wait_room(h))
			return false;
	}
	return true;
}

bool
harness_letter(struct harness *h, const struct letter *l)
{
	while (batch_put_letter(&h->ring, l) < 0) {
		if (errno != EAGAIN)
			harness_die("letter");
		if (!harness_wait_room(h))
			return false;
	}
	h->letters++;
	return true;
}

bool
harness_end_batch(struct harness *h)
{
	char position[64];
	struct batch b = {.number = h->next,
			  .rows = h->rows,
			  .letters = h->letters,
			  .source_ms = clock_wall_ms()};

	b.position_len = (uint32_t)snprintf(
	    position, sizeof(position), "{\"kafka\": {\"batch\": %lu}}", (unsigned long)h->next);
	b.position = position;
	while (batch_put_batch(&h->ring, &b) < 0)
		if (errno != EAGAIN || !harness_wait_room(h))
			return false;
	ring_commit(&h->ring, NULL, 0);
	h->next++;
	h->rows = h->letters = 0;
	return true;
}

bool
harness_logged(const struct harness *h, const char *text)
{
	char line[8192];
	bool found = false;
	FILE *f = fopen(h->log, "re");

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return found;
}

int
harness_check(struct harness *h, const char *option)
{
	const char *args[] = {getenv("EGRESS"), "check", option, NULL};
	int code;

	harness_kill(h);
	if (truncate(h->log, 0) < 0 && errno != ENOENT)
		harness_die(h->log);
	harness_fork(h, -1, args, NULL);
	code = harness_exit(h, 20000);
	harness_kill(h);
	return code;
}

const char *
harness_sql(const char *fmt, ...)
{
	static char answer[64 * 1024];
	char *sql = NULL, command[1024];
	size_t n = 0;
	va_list ap;
	FILE *f;
	char path[512];

	va_start(ap, fmt);
	if (vasprintf(&sql, fmt, ap) < 0)
		harness_die("sql");
	va_end(ap);
	snprintf(path, sizeof(path), "%s/query.sql", getenv("EGRESS_FOLDER"));
	if ((f = fopen(path, "we")) == NULL)
		harness_die(path);
	fputs(sql, f);
	fclose(f);
	free(sql);
	snprintf(
	    command, sizeof(command),
	    "PGOPTIONS='-c client_min_messages=warning' psql -qAtX -v ON_ERROR_STOP=1 -f %s 2>&1",
	    path);
	if ((f = popen(command, "r")) == NULL)
		harness_die("psql");
	n = fread(answer, 1, sizeof(answer) - 1, f);
	pclose(f);
	answer[n] = '\0';
	if (n > 0 && answer[n - 1] == '\n')
		answer[n - 1] = '\0';
	return answer;
}
