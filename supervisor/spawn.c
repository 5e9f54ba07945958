/* spawn.c - how a stage becomes a process. */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"

#define SECTION_BYTES_FIRST (64u * 1024)
#define SECTION_BYTES_MAX   (64u * 1024 * 1024)

#define EXIT_NO_EXEC 127

const char *
spawn_role_name(enum stage_role role)
{
	static const char *const names[] = {
	    [ROLE_EGRESS] = "egress",
	    [ROLE_REDUCE] = "reduce",
	    [ROLE_INGEST] = "ingest",
	};
	return names[role];
}

bool
spawn_locate(enum stage_role role, char *path)
{
	char self[SPAWN_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		int len =
		    snprintf(path, SPAWN_PATH_MAX, "%s/tallyd-%s", self, spawn_role_name(role));
		if (len > 0 && len < SPAWN_PATH_MAX && access(path, X_OK) == 0)
			return true;
	}
	snprintf(path, SPAWN_PATH_MAX, "%s/tallyd-%s", TALLYD_LIBEXECDIR, spawn_role_name(role));
	return access(path, X_OK) == 0;
}

uint8_t *
spawn_pack(const struct pipeline *pipeline, enum section section, unsigned server, size_t *len,
	   size_t *size)
{
	for (*size = SECTION_BYTES_FIRST; *size <= SECTION_BYTES_MAX; *size *= 2) {
		uint8_t *buf = xcalloc(1, *size);
		struct pack k;
		pack_init(&k, buf, *size);
		pipeline_pack(pipeline, section, server, &k);
		*len = pack_len(&k);
		if (!k.overflow)
			return buf;
		explicit_bzero(buf, *size);
		free(buf);
	}
	errno = EMSGSIZE;
	return NULL;
}

int
spawn_sealed_memfd(const char *name, const void *buf, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	if (write(fd, buf, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0 &&
	    fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
spawn_section(const struct pipeline *pipeline, enum stage_role role, unsigned server)
{
	static const enum section sections[] = {
	    [ROLE_EGRESS] = SECTION_EGRESS,
	    [ROLE_REDUCE] = SECTION_REDUCE,
	    [ROLE_INGEST] = SECTION_INGEST,
	};
	size_t len, size;
	uint8_t *buf = spawn_pack(pipeline, sections[role], server, &len, &size);
	if (!buf)
		return -1;
	int fd = spawn_sealed_memfd("tallyd-section", buf, len);
	int saved = errno;
	explicit_bzero(buf, size);
	free(buf);
	errno = saved;
	return fd;
}

/*
 * Put fds[i] at i. All are first copied above the range, so that no one is overwritten before it
 * is used; dup2() of a copy also drops close-on-exec.
 */
static bool
spawn_place_fds(const struct spawn *x)
{
	int copy[SPAWN_FDS_MAX];
	for (unsigned i = 0; i < x->fd_count; i++) {
		copy[i] = -1;
		if (x->fds[i] < 0)
			continue;
		copy[i] = fcntl(x->fds[i], F_DUPFD_CLOEXEC, SPAWN_FDS_MAX);
		if (copy[i] < 0)
			return false;
	}
	for (unsigned i = 0; i < x->fd_count; i++) {
		if (copy[i] < 0)
			close((int)i);
		else if (dup2(copy[i], (int)i) < 0)
			return false;
	}
	closefrom((int)x->fd_count);
	return true;
}

_Noreturn static void
spawn_child(const struct spawn *x, pid_t parent)
{
	sigset_t none;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before the line above */
		_exit(EXIT_TEMPORARY);
	signal(SIGPIPE, SIG_DFL);
	if (spawn_place_fds(x)) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* execve() takes the strings as not const for history's sake and changes none. */
		char *argv[sizeof x->argv / sizeof *x->argv];
		memcpy(argv, x->argv, sizeof argv);
		execve(x->path, argv, x->environment ? x->environment : environ);
	}
	log_error("stage.exec", "%s: %s", x->path, strerror(errno));
	_exit(EXIT_NO_EXEC);
}

pid_t
spawn_process(const struct spawn *x, int *pidfd)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		spawn_child(x, parent);
	if (pid < 0)
		return -1;
	*pidfd = pidfd_open(pid, 0); /* close-on-exec always */
	if (*pidfd >= 0)
		return pid;
	int saved = errno;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	errno = saved;
	return -1;
}
