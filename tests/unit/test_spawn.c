/* A stage becomes a process: its descriptors, its signals, its end; nothing is left behind. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/spawn.h"

static unsigned
open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	cr_assert_not_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int
run_shell(const char *script, const int *fds, unsigned count)
{
	struct spawn x = {.path = "/bin/sh", .argv = {"sh", "-c", script, NULL}, .fd_count = count};
	siginfo_t info = {0};
	int pidfd;
	memcpy(x.fds, fds, count * sizeof *fds);
	pid_t pid = spawn_process(&x, &pidfd);
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
	return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

Test(spawn, child_has_the_given_descriptors_and_no_other, .timeout = 20)
{
	int pair[2], null = open("/dev/null", O_RDWR); /* deliberately inheritable */
	cr_assert_eq(pipe(pair), 0);
	const int fds[] = {null, pair[1], 2, -1, null, pair[1]};
	/* Built-ins only: a pipeline or a glob would open descriptors of its own. */
	const char *script = "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do "
			     "if [ -e /proc/$$/fd/$n ]; then printf '%s ' $n >&5; fi; done";
	cr_assert_eq(run_shell(script, fds, 6), 0);
	char text[64] = "";
	cr_assert_gt(read(pair[0], text, sizeof text - 1), 0);
	cr_assert_str_eq(text, "0 1 2 4 5 ");
}

Test(spawn, child_has_no_blocked_and_no_ignored_pipe_signal, .timeout = 20)
{
	sigset_t set;
	const int fds[] = {0, 1, 2};
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(run_shell("kill -TERM $$; exit 3", fds, 3), -SIGTERM);
	cr_assert_eq(run_shell("kill -PIPE $$; exit 3", fds, 3), -SIGPIPE);
}

Test(spawn, a_program_that_is_not_there_ends_with_127, .timeout = 20)
{
	struct spawn x = {.path = "/nonexistent", .argv = {"nonexistent", NULL}, .fd_count = 3};
	siginfo_t info = {0};
	int pidfd;
	x.fds[0] = x.fds[1] = x.fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	cr_assert_gt(spawn_process(&x, &pidfd), 0);
	cr_assert_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	cr_assert_eq(info.si_status, 127);
}

Test(spawn, a_thousand_lives_leave_no_descriptor_and_no_zombie, .timeout = 60)
{
	struct spawn x = {.path = "/bin/true", .argv = {"true", NULL}, .fd_count = 3};
	siginfo_t info = {0};
	x.fds[1] = 1;
	x.fds[2] = 2;
	unsigned before = open_fds();
	for (int i = 0; i < 1000; i++) {
		int pidfd;
		cr_assert_gt(spawn_process(&x, &pidfd), 0);
		cr_assert_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
		close(pidfd);
	}
	cr_assert_eq(open_fds(), before);
	cr_assert_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
	cr_assert_eq(errno, ECHILD);
}
