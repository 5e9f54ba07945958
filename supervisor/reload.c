/* reload.c - check, then swap: never half a pipeline. */
#include "supervisor/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "supervisor/parse.h"
#include "supervisor/spawn.h"

/* NULL, or a heap sentence that says what cannot be changed while running. */
static char *
reload_obstacle(const struct pipeline *old, const struct pipeline *new)
{
	if (strcmp(old->name, new->name) != 0)
		return xasprintf(
		    "the pipeline's name was \"%s\": another name is another pipeline, "
		    "which is started by its own `tallyd run`",
		    old->name);
	if (old->ring_bytes != new->ring_bytes)
		return xasprintf("ring_bytes was %zu: stop tallyd and start it again to change it",
				 old->ring_bytes);
	char *difference = pipeline_difference(old, new);
	if (difference) {
		char *text =
		    xasprintf("%s: tables and views cannot change under a running pipeline; "
			      "give the changed one a new name (SET pipeline) and target "
			      "tables of its own",
			      difference);
		free(difference);
		return text;
	}
	bool same = old->server_count == new->server_count;
	for (unsigned i = 0; same && i < old->server_count; i++)
		same = strcmp(old->servers[i].name, new->servers[i].name) == 0;
	return same ? NULL
		    : xasprintf(
			  "the servers are others: their number, names and order belong to the "
			  "pipeline; give the changed one a new name (SET pipeline) and "
			  "target tables of its own");
}

int
reload_read(const struct pipeline *running, struct source *source, struct pipeline **pipeline,
	    FILE *errors)
{
	int code = source_read(source, running->file, errors);
	if (code != 0)
		return code;
	*pipeline = parse_pipeline(source, errors);
	if (!*pipeline) {
		source_free(source);
		return EXIT_CONFIG;
	}
	char *obstacle = reload_obstacle(running, *pipeline);
	if (obstacle)
		source_report(source, errors, "error", NULL, obstacle);
	if (!obstacle)
		return 0;
	free(obstacle);
	pipeline_free(*pipeline);
	*pipeline = NULL;
	source_free(source);
	return EXIT_CONFIG;
}

static void
reload_drop(struct reload *r)
{
	if (r->pidfd >= 0)
		close(r->pidfd);
	if (r->output >= 0)
		close(r->output);
	if (r->pipeline) {
		pipeline_free(r->pipeline);
		source_free(&r->source);
	}
	*r = (struct reload){.pidfd = -1, .output = -1};
}

int
reload_begin(struct reload *r, const struct pipeline *running, FILE *errors)
{
	struct spawn x = {.path = "/proc/self/exe",
			  .argv = {"tallyd", "check", "--", running->file, NULL}};
	*r = (struct reload){.pidfd = -1, .output = -1};
	int code = reload_read(running, &r->source, &r->pipeline, errors);
	if (code != 0)
		return code;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	r->output = memfd_create("tallyd-reload", MFD_CLOEXEC);
	const int fds[] = {null, null, r->output};
	memcpy(x.fds, fds, sizeof fds);
	x.fd_count = 3;
	if (null >= 0 && r->output >= 0)
		r->pid = spawn_process(&x, &r->pidfd);
	if (null >= 0)
		close(null);
	if (r->pid > 0)
		return 0;
	fprintf(errors, "%s: the check cannot be started: %s\n", running->file, strerror(errno));
	reload_drop(r);
	return EXIT_TEMPORARY;
}

/* Copy what the check has said. */
static void
reload_copy(const struct reload *r, FILE *errors)
{
	char buf[4096];
	off_t at = 0;
	for (ssize_t n; (n = pread(r->output, buf, sizeof buf, at)) > 0; at += n)
		fwrite(buf, 1, (size_t)n, errors);
}

int
reload_end(struct reload *r, struct source *source, struct pipeline **pipeline, FILE *errors)
{
	siginfo_t info = {0};
	while (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	int code = info.si_code == CLD_EXITED ? info.si_status : EXIT_INTERNAL;
	if (code == 0) {
		*source = r->source;
		*pipeline = r->pipeline;
		r->pipeline = NULL;
	} else {
		reload_copy(r, errors);
		if (info.si_code != CLD_EXITED)
			fprintf(errors, "%s: the check was ended by signal %d\n", r->pipeline->file,
				info.si_status);
	}
	reload_drop(r);
	return code;
}

void
reload_cancel(struct reload *r)
{
	siginfo_t info;
	if (r->pid <= 0)
		return;
	kill(r->pid, SIGKILL);
	while (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	reload_drop(r);
}
