/* reload.c - what a changed file would mean, and whether it can be: nothing is changed here. */
#include "supervisor/reload.h"

#include <bsd/string.h>
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

bool
reload_parse_wish(struct reload_wish *w, const char *request)
{
	*w = (struct reload_wish){0};
	if (strncmp(request, "rebuild", 7) == 0 && (request[7] == ' ' || request[7] == '\0')) {
		const char *view = request[7] ? request + 8 : "";
		w->rebuild = true;
		return strlcpy(w->view, view, sizeof w->view) < sizeof w->view;
	}
	if (strncmp(request, "reload", 6) != 0)
		return false;
	for (request += 6; *request; request += strcspn(request + 1, " ") + 1) {
		size_t len = strcspn(request + 1, " ");
		if (len == 6 && strncmp(request, " replay", 7) == 0)
			w->replay = true;
		else if (len == 7 && strncmp(request, " dry-run", 8) == 0)
			w->dry_run = true;
		else
			return false;
	}
	return true;
}

/* "name", or "schema.name" */
static bool
view_is(const struct view *v, const char *given)
{
	size_t len = v->schema ? strlen(v->schema) : 0;
	if (strcmp(v->name, given) == 0)
		return true;
	return v->schema && strncmp(given, v->schema, len) == 0 && given[len] == '.' &&
	       strcmp(given + len + 1, v->name) == 0;
}

int
reload_mark(struct pipeline *p, const char *view, FILE *errors)
{
	unsigned found = 0;
	for (unsigned i = 0; i < p->view_count; i++) {
		p->views[i].rebuild = *view == '\0' || view_is(&p->views[i], view);
		found += p->views[i].rebuild;
	}
	if (*view == '\0' || found == 1)
		return 0;
	if (found == 0)
		fprintf(errors, "%s has no view \"%s\"; its views are:", p->file, view);
	else
		fprintf(errors,
			"%s has several views \"%s\": name the schema too; its views are:", p->file,
			view);
	for (unsigned i = 0; i < p->view_count; i++) {
		char *name = view_name(&p->views[i]);
		fprintf(errors, " %s", name);
		free(name);
	}
	fputc('\n', errors);
	return EXIT_USAGE;
}

/* Every change that is not to be made, with the reason. */
static void
reload_refuse(const struct reload *r, FILE *errors)
{
	char *replay = pipeline_command(r->pipeline, "reload --replay", NULL);
	for (unsigned i = 0; i < r->differences.count; i++) {
		const struct difference *x = &r->differences.list[i];
		char *text = NULL;
		if (x->effect == EFFECT_REFUSED)
			text = xstrdup(x->text);
		else if (x->effect == EFFECT_REPLAY && !r->wish.replay && !r->wish.rebuild)
			text = xasprintf("%s, and nothing is shown meanwhile: %s does it", x->text,
					 replay);
		if (text)
			source_report(&r->source, errors, "error", NULL, text);
		free(text);
	}
	free(replay);
}

int
reload_read(struct reload *r, const struct reload_wish *wish, const struct pipeline *running,
	    const struct pipeline *file, FILE *errors)
{
	*r = (struct reload){.pidfd = -1, .output = -1, .wish = *wish};
	int code = source_read(&r->source, running->file, errors);
	if (code != 0)
		return code;
	r->pipeline = parse_pipeline(&r->source, errors);
	if (!r->pipeline)
		return EXIT_CONFIG;
	if (wish->rebuild && (code = reload_mark(r->pipeline, wish->view, errors)) != 0)
		return code;
	differences_find(&r->differences, running, file, r->pipeline);
	bool never = differences_have(&r->differences, EFFECT_REFUSED);
	bool refused = never || (differences_have(&r->differences, EFFECT_REPLAY) &&
				 !wish->replay && !wish->rebuild);
	if (refused && wish->dry_run)
		differences_print(&r->differences, r->pipeline, errors);
	if (refused && wish->dry_run && !never) {
		char *replay = pipeline_command(running, "reload --replay", NULL);
		fprintf(errors, "%s does it\n", replay);
		free(replay);
	}
	if (refused && !wish->dry_run)
		reload_refuse(r, errors);
	return refused ? EXIT_CONFIG : 0;
}

static void
reload_close(struct reload *r)
{
	if (r->pidfd >= 0)
		close(r->pidfd);
	if (r->output >= 0)
		close(r->output);
	r->pidfd = r->output = -1;
	r->pid = 0;
}

static bool
reload_spawn(struct reload *r)
{
	char rebuild[RELOAD_VIEW_MAX + 16];
	struct spawn x = {.path = "/proc/self/exe", .argv = {"tallyd", "check"}, .fd_count = 3};
	unsigned n = 2;
	snprintf(rebuild, sizeof rebuild, "--rebuild=%s", r->wish.view);
	if (r->wish.replay)
		x.argv[n++] = "--replay";
	if (r->wish.rebuild)
		x.argv[n++] = rebuild;
	x.argv[n++] = "--";
	x.argv[n++] = r->pipeline->file;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	r->output = memfd_create("tallyd-reload", MFD_CLOEXEC);
	const int fds[] = {null, null, r->output};
	memcpy(x.fds, fds, sizeof fds);
	pid_t pid = null >= 0 && r->output >= 0 ? spawn_process(&x, &r->pidfd) : -1;
	if (null >= 0)
		close(null);
	r->pid = pid > 0 ? pid : 0;
	return pid > 0;
}

int
reload_begin(struct reload *r, const struct reload_wish *wish, const struct pipeline *running,
	     const struct pipeline *file, FILE *errors)
{
	int code = reload_read(r, wish, running, file, errors);
	if (code == 0 && !reload_spawn(r)) {
		fprintf(errors, "%s: the check cannot be started: %s\n", running->file,
			strerror(errno));
		code = EXIT_TEMPORARY;
	}
	if (code != 0)
		reload_drop(r);
	return code;
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
reload_end(struct reload *r, FILE *errors)
{
	siginfo_t info = {0};
	while (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	int code = info.si_code == CLD_EXITED ? info.si_status : EXIT_INTERNAL;
	if (r->wish.dry_run)
		differences_print(&r->differences, r->pipeline, errors);
	if (code != 0)
		reload_copy(r, errors);
	if (info.si_code != CLD_EXITED)
		fprintf(errors, "%s: the check was ended by signal %d\n", r->pipeline->file,
			info.si_status);
	reload_close(r);
	return code;
}

void
reload_drop(struct reload *r)
{
	siginfo_t info;
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		while (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
	}
	reload_close(r);
	differences_free(&r->differences);
	pipeline_free(r->pipeline);
	source_free(&r->source);
	r->pipeline = NULL;
}
