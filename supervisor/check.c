/* check.c - run `tallyd-STAGE check` for each stage and render what it says. */
#include "supervisor/check.h"

#include <bsd/stdlib.h>
#include <ctype.h>
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
#include "supervisor/environment.h"
#include "supervisor/parse.h"
#include "supervisor/spawn.h"

#define CHECK_OFFLINE_MS 15000
#define CHECK_ONLINE_MS  60000
#define CHECK_DROP_MS    600000 /* a large checkpoint takes its time to go */
#define CHECK_TEXT_MAX   (1u << 20)

struct check { /* one stage's check, while it runs */
	enum stage_role role;
	unsigned server;
	pid_t pid; /* -1: could not be started */
	int pidfd, output;
	bool script;     /* what it says is for the user as it is, no lines of a report */
	bool complained; /* said an error */
	char *position;  /* of the target, as egress said it; heap, NULL: none */
	char *text;      /* what it has said so far; heap */
	size_t len, size;
	int code, signal_number;
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

/* `option` may be NULL; position_fd -1: not known. */
static bool
check_spawn(struct check *c, const struct pipeline *pipeline, const char *option, int position_fd,
	    const char *path)
{
	char server[32];
	unsigned n = 0;
	int output[2];
	struct spawn x = {
	    .path = path, .fd_count = STAGE_FD_RINGS + 1, .environment = environment_for(c->role)};
	snprintf(server, sizeof server, "--server=%u", c->server);
	x.argv[n++] = path;
	x.argv[n++] = "check";
	if (option)
		x.argv[n++] = option;
	if (c->role == ROLE_INGEST)
		x.argv[n++] = server;
	int section = spawn_section(pipeline, c->role, c->server);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (section >= 0 && null >= 0 && pipe2(output, O_CLOEXEC) == 0) {
		const int fds[] = {null,    output[1], STDERR_FILENO, -1, -1,
				   section, -1,        position_fd};
		_Static_assert(sizeof fds / sizeof *fds == STAGE_FD_RINGS + 1, "see stage.h");
		memcpy(x.fds, fds, sizeof fds);
		c->pid = spawn_process(&x, &c->pidfd);
		close(output[1]);
		if (c->pid > 0)
			c->output = output[0];
		else
			close(output[0]);
	}
	int saved = errno;
	free(x.environment);
	if (section >= 0)
		close(section);
	if (null >= 0)
		close(null);
	errno = saved;
	return c->pid > 0;
}

static void
check_start(struct check *c, enum stage_role role, unsigned server, const struct pipeline *pipeline,
	    const char *option, int position_fd, const struct check_report *r)
{
	char path[SPAWN_PATH_MAX];
	*c = (struct check){.role = role, .server = server, .pid = -1, .pidfd = -1, .output = -1};
	if (!spawn_locate(role, path))
		check_refuse(r, "cannot find the program %s, nor one beside tallyd", path);
	else if (!check_spawn(c, pipeline, option, position_fd, path))
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
check_reap(struct check *c, bool in_time)
{
	siginfo_t info = {0};
	if (!in_time)
		kill(c->pid, SIGKILL);
	while (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	c->signal_number = info.si_code != CLD_EXITED ? info.si_status : 0;
	c->code = !in_time ? EXIT_UNAVAILABLE : c->signal_number ? EXIT_INTERNAL : info.si_status;
}

/* An end that the stage itself did not explain. */
static void
check_explain(const struct check *c, bool in_time, const struct check_report *r)
{
	const char *name = spawn_role_name(c->role);
	if (!in_time)
		check_refuse(r, "the check of tallyd-%s did not come to an end", name);
	else if (c->signal_number)
		check_refuse(r, "the check of tallyd-%s was ended by signal %d", name,
			     c->signal_number);
	else if (c->code && !c->complained)
		check_refuse(r, "the check of tallyd-%s ended with exit code %d", name, c->code);
}

static bool
check_take_number(char **line, uint32_t *number)
{
	const char *field = strsep(line, "\t"), *error = NULL;
	if (!field || !isdigit((unsigned char)*field))
		return false;
	*number = (uint32_t)strtonum(field, 0, UINT32_MAX, &error);
	return !error;
}

bool
check_render(const struct check_report *r, char *line, bool *complained)
{
	static const char *const levels[] = {"error", "warning", "info"};
	const char *level = NULL, *said = strsep(&line, "\t");
	struct place place;
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcmp(said, levels[i]) == 0)
			level = levels[i];
	if (!level || !check_take_number(&line, &place.line) ||
	    !check_take_number(&line, &place.column) || !line)
		return false;
	log_defuse(line); /* what a server or a message said may be in it */
	*complained = *complained || level == levels[0];
	if (level != levels[2])
		source_report(r->source, r->errors, level, &place, line);
	else if (r->infos && place.line)
		fprintf(r->infos, "%s:%u:%u: %s\n", r->source->path, place.line, place.column,
			line);
	else if (r->infos)
		fprintf(r->infos, "%s\n", line);
	return true;
}

/* A line of egress that is for the other stages: where the pipeline stands in the target. */
static bool
check_take_position(struct check *c, const char *line)
{
	static const char start[] = "position\t0\t0\t";
	if (c->role != ROLE_EGRESS || strncmp(line, start, sizeof start - 1) != 0)
		return false;
	free(c->position);
	c->position = xstrdup(line + sizeof start - 1);
	return true;
}

static void
check_render_all(struct check *c, const struct check_report *r)
{
	char *rest = c->text, *line;
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *whole = xstrdup(line);
		if (*line && !check_take_position(c, line) &&
		    !check_render(r, line, &c->complained)) {
			log_defuse(whole);
			check_refuse(r, "%s said: %s", spawn_role_name(c->role), whole);
		}
		free(whole);
	}
}

/* Its text stays with the caller, who frees it. */
static void
check_finish(struct check *c, int64_t deadline_ms, const struct check_report *r)
{
	bool in_time = check_listen(c, deadline_ms);
	if (c->text)
		c->text[c->len] = '\0';
	check_reap(c, in_time);
	close(c->output);
	close(c->pidfd);
	/* A script is not for us to render; what was wrong with it is. */
	if (c->text && (!c->script || c->code != 0))
		check_render_all(c, r);
	check_explain(c, in_time, r);
}

/* EXIT_CONFIG first: it is what its author can mend at once. */
int
check_worse(int worst, int code)
{
	return code && (worst == 0 || code == EXIT_CONFIG) ? code : worst;
}

int
check_ddl(const struct source *source, const struct pipeline *pipeline, FILE *errors, FILE *out)
{
	const struct check_report r = {source, errors, NULL};
	struct check c;
	check_start(&c, ROLE_EGRESS, 0, pipeline, "--ddl", -1, &r);
	c.script = true;
	if (c.pid > 0)
		check_finish(&c, clock_monotonic_ms() + CHECK_OFFLINE_MS, &r);
	if (c.code == 0 && c.text)
		fputs(c.text, out);
	free(c.text);
	return c.code;
}

static int
check_end(struct check *c, int worst, int64_t deadline_ms, const struct check_report *r)
{
	if (c->pid > 0)
		check_finish(c, deadline_ms, r);
	free(c->text);
	c->text = NULL;
	return check_worse(worst, c->code);
}

int
check_drop(const struct source *source, const struct pipeline *pipeline, FILE *errors, FILE *out)
{
	const struct check_report r = {source, errors, out};
	struct check c;
	check_start(&c, ROLE_EGRESS, 0, pipeline, "--drop", -1, &r);
	return check_end(&c, 0, clock_monotonic_ms() + CHECK_DROP_MS, &r);
}

/*
 * What the check of an ingest is to know of the target: the position that a start would find, or
 * nothing, which is a first start. Each has one of its own, for an offset is shared. -1: not known.
 */
static int
check_give_position(const struct check *egress)
{
	const char *position = egress->position ? egress->position : "";
	if (egress->code != 0)
		return -1;
	return spawn_sealed_memfd("tallyd-position", position, strlen(position));
}

/* `egress`: its check, which has ended; NULL: offline. Returns how many. */
static unsigned
check_start_ingests(struct check *ingests, const struct pipeline *pipeline, const char *option,
		    const struct check *egress, const struct check_report *r)
{
	unsigned n = 0;
	for (; n < pipeline->server_count && n + 2 < BOARD_STAGES_MAX; n++) {
		int position_fd = egress != NULL ? check_give_position(egress) : -1;
		check_start(&ingests[n], ROLE_INGEST, n, pipeline, option, position_fd, r);
		if (position_fd >= 0)
			close(position_fd);
	}
	return n;
}

int
check_stages(const struct source *source, const struct pipeline *pipeline, bool offline,
	     FILE *errors, FILE *infos)
{
	const struct check_report r = {source, errors, infos};
	const char *option = offline ? "--offline" : NULL;
	const int64_t limit_ms = offline ? CHECK_OFFLINE_MS : CHECK_ONLINE_MS;
	const int64_t since_ms = clock_monotonic_ms();
	struct check egress, reduce, ingests[BOARD_STAGES_MAX];
	unsigned n = 0;
	int worst = 0;
	check_start(&egress, ROLE_EGRESS, 0, pipeline, option, -1, &r);
	check_start(&reduce, ROLE_REDUCE, 0, pipeline, option, -1, &r);
	if (offline) /* nobody waits for a position */
		n = check_start_ingests(ingests, pipeline, option, NULL, &r);
	worst = check_end(&egress, worst, since_ms + limit_ms / 2, &r);
	worst = check_end(&reduce, worst, since_ms + limit_ms / 2, &r);
	if (!offline)
		n = check_start_ingests(ingests, pipeline, option, &egress, &r);
	free(egress.position);
	for (unsigned i = 0; i < n; i++)
		worst = check_end(&ingests[i], worst, since_ms + limit_ms, &r);
	return worst;
}
