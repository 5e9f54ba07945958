/* check.c - run `tallyd-STAGE check` for each stage and render what it says. */
#include "supervisor/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "supervisor/parse.h"
#include "supervisor/spawn.h"

#define CHECK_OFFLINE_MS 15000
#define CHECK_ONLINE_MS  60000
#define CHECK_TEXT_MAX   (1u << 20)

struct check { /* one stage's check, while it runs */
	enum stage_role role;
	unsigned server;
	pid_t pid; /* -1: could not be started */
	int pidfd, output;
	bool complained; /* said an error */
	char *text;      /* what it has said so far; heap */
	size_t len, size;
	int code;
};

struct check_report {
	const struct source *source;
	FILE *errors, *infos;
};

static void __attribute__((format(printf, 2, 3)))
check_refuse(const struct check_report *r, const char *fmt, ...)
{
	char text[SPAWN_PATH_MAX + 256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	source_report(r->source, r->errors, "error", NULL, text);
}

static bool
check_spawn(struct check *c, const struct pipeline *pipeline, bool offline, const char *path)
{
	char server[32];
	unsigned n = 0;
	int output[2];
	struct spawn x = {.path = path, .fd_count = STAGE_FD_SECTION + 1};
	snprintf(server, sizeof server, "--server=%u", c->server);
	x.argv[n++] = path;
	x.argv[n++] = "check";
	if (offline)
		x.argv[n++] = "--offline";
	if (c->role == ROLE_INGEST)
		x.argv[n++] = server;
	int section = spawn_section(pipeline, c->role, c->server);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (section >= 0 && null >= 0 && pipe2(output, O_CLOEXEC) == 0) {
		const int fds[] = {null, output[1], STDERR_FILENO, -1, -1, section};
		memcpy(x.fds, fds, sizeof fds);
		c->pid = spawn_process(&x, &c->pidfd);
		close(output[1]);
		if (c->pid > 0)
			c->output = output[0];
		else
			close(output[0]);
	}
	int saved = errno;
	if (section >= 0)
		close(section);
	if (null >= 0)
		close(null);
	errno = saved;
	return c->pid > 0;
}

static void
check_start(struct check *c, enum stage_role role, unsigned server, const struct pipeline *pipeline,
	    bool offline, const struct check_report *r)
{
	char path[SPAWN_PATH_MAX];
	*c = (struct check){.role = role, .server = server, .pid = -1, .pidfd = -1, .output = -1};
	if (!spawn_locate(role, path))
		check_refuse(r, "cannot find the program %s, nor one beside tallyd", path);
	else if (!check_spawn(c, pipeline, offline, path))
		check_refuse(r, "cannot start %s: %s", path, strerror(errno));
	c->code = c->pid > 0 ? 0 : EXIT_INTERNAL;
}

/* Read until it has said all, or the time is over. */
static bool
check_listen(struct check *c, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd fd = {.fd = c->output, .events = POLLIN};
		int64_t left = deadline_ms - clock_monotonic_ms();
		int ready = poll(&fd, 1, left > 0 ? (int)left : 0);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		if (c->len + 1 >= c->size) {
			c->size = c->size ? 2 * c->size : 4096;
			if (c->size > CHECK_TEXT_MAX)
				return false;
			c->text = xreallocarray(c->text, c->size, 1);
		}
		ssize_t n = read(c->output, c->text + c->len, c->size - c->len - 1);
		if (n <= 0)
			return n == 0;
		c->len += (size_t)n;
	}
}

static void
check_reap(struct check *c, bool in_time, const struct check_report *r)
{
	siginfo_t info = {0};
	char name[32], how[32];
	snprintf(name, sizeof name, "tallyd-%s", spawn_role_name(c->role));
	if (!in_time)
		kill(c->pid, SIGKILL);
	while (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	if (!in_time) {
		c->code = EXIT_UNAVAILABLE;
		check_refuse(r, "the check of %s did not come to an end", name);
	} else if (info.si_code != CLD_EXITED) {
		c->code = EXIT_INTERNAL;
		snprintf(how, sizeof how, "signal %d", info.si_status);
		check_refuse(r, "the check of %s was ended by %s", name, how);
	} else {
		c->code = info.si_status;
		if (c->code && !c->complained)
			check_refuse(r, "the check of %s ended with exit code %d", name, c->code);
	}
}

/* "level<TAB>line<TAB>column<TAB>text" */
static bool
check_render(struct check *c, const struct check_report *r, char *line)
{
	char *level = strsep(&line, "\t"), *row = strsep(&line, "\t"),
	     *column = strsep(&line, "\t"), *end;
	if (!row || !column || !line)
		return false;
	struct place place;
	place.line = (uint32_t)strtoul(row, &end, 10);
	if (*end || end == row)
		return false;
	place.column = (uint32_t)strtoul(column, &end, 10);
	if (*end || end == column)
		return false;
	c->complained = c->complained || strcmp(level, "error") == 0;
	if (strcmp(level, "info") != 0)
		source_report(r->source, r->errors, level, &place, line);
	else if (r->infos && place.line)
		fprintf(r->infos, "%s:%u:%u: %s\n", r->source->path, place.line, place.column,
			line);
	else if (r->infos)
		fprintf(r->infos, "%s\n", line);
	return true;
}

static void
check_finish(struct check *c, int64_t deadline_ms, const struct check_report *r)
{
	bool in_time = check_listen(c, deadline_ms);
	if (c->len > 0) {
		c->text[c->len] = '\0';
		char *rest = c->text, *line;
		while ((line = strsep(&rest, "\n")) != NULL)
			if (*line && !check_render(c, r, line))
				check_refuse(r, "%s said: %s", spawn_role_name(c->role), line);
	}
	check_reap(c, in_time, r);
	close(c->output);
	close(c->pidfd);
	free(c->text);
}

/* EXIT_CONFIG first: it is what its author can mend at once. */
static int
check_worse(int worst, int code)
{
	return worst == 0 || code == EXIT_CONFIG ? code : worst;
}

int
check_stages(const struct source *source, const struct pipeline *pipeline, bool offline,
	     FILE *errors, FILE *infos)
{
	const struct check_report r = {source, errors, infos};
	struct check checks[BOARD_STAGES_MAX];
	unsigned n = 0;
	int worst = 0;
	int64_t deadline_ms = clock_monotonic_ms() + (offline ? CHECK_OFFLINE_MS : CHECK_ONLINE_MS);
	for (unsigned i = 0; i < pipeline->server_count && n + 2 < BOARD_STAGES_MAX; i++)
		check_start(&checks[n++], ROLE_INGEST, i, pipeline, offline, &r);
	check_start(&checks[n++], ROLE_REDUCE, 0, pipeline, offline, &r);
	check_start(&checks[n++], ROLE_EGRESS, 0, pipeline, offline, &r);
	for (unsigned i = 0; i < n; i++) {
		if (checks[i].pid > 0)
			check_finish(&checks[i], deadline_ms, &r);
		worst = checks[i].code ? check_worse(worst, checks[i].code) : worst;
	}
	return worst;
}
