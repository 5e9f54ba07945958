/* The life inside a child: each test forks one, with the descriptors that the supervisor gives. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/stage.h"

#define SLOT 3

static struct board *board;
static int board_fd, supervisor_end, stage_end, section_fd;

static int
make_section(bool sealed)
{
	static uint8_t bytes[65536];
	struct pack k;
	struct server servers[2] = {{.name = (char[]){"one"}}, {.name = (char[]){"two"}}};
	struct pipeline p = {.file = (char[]){"some.sql"},
			     .name = (char[]){"some"},
			     .autocommit_duration_ms = 100,
			     .checkpoint_interval_ms = 10000,
			     .ring_bytes = RING_BYTES_MIN,
			     .servers = servers,
			     .server_count = 2,
			     .target_name = (char[]){"target"}};
	pack_init(&k, bytes, sizeof bytes);
	pipeline_pack(&p, SECTION_REDUCE, 0, &k);
	int fd = memfd_create("section", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(fd, bytes, pack_len(&k)), (ssize_t)pack_len(&k));
	if (sealed)
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
	return fd;
}

static void
set_up(void)
{
	int pair[2];
	board_fd = board_create(&board);
	cr_assert_geq(board_fd, 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	supervisor_end = pair[0];
	stage_end = pair[1];
	section_fd = make_section(true);
}

TestSuite(stage, .init = set_up, .timeout = 20);

/* Put the descriptors of stage.h in place, those of the rings too: eventfds will do. */
static void
place_fds(int out)
{
	int fds[32] = {-1, -1, -1, stage_end, board_fd, section_fd}, high[32];
	for (int i = 3; i < 32; i++)
		high[i] = fcntl(i < 6 ? fds[i] : board_fd, F_DUPFD, 100);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	int null = open("/dev/null", O_WRONLY);
	dup2(null, STDERR_FILENO);
	for (int i = 3; i < 32; i++)
		dup2(high[i], i);
	closefrom(32);
}

typedef void stage_body(struct stage *);

static pid_t
start(enum stage_role role, char **argv, int out, stage_body *body)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid > 0) {
		close(stage_end);
		stage_end = -1;
		return pid;
	}
	static struct stage s;
	place_fds(out);
	stage_open(&s, role, argc, argv);
	body(&s);
	_exit(0);
}

#define ARGV(...)                                                                                  \
	(char *[])                                                                                 \
	{                                                                                          \
		(char[]){"tallyd-test"}, __VA_ARGS__, NULL                                         \
	}
#define RUN_REDUCE ARGV((char[]){"run"}, (char[]){"--slot=3"})

static int
status_of(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
wait_for_stop(struct stage *s)
{
	while (!s->stopping)
		if (stage_poll(s, NULL, 0, 60000) != 0) /* its own socket is not counted */
			_exit(99);
}

static void
nothing(struct stage *s)
{
	(void)s;
}

/* --- arguments --- */

static void
check_reduce(struct stage *s)
{
	bool good = s->role == ROLE_REDUCE && !s->check && s->ins == 2 && s->out.memory == 7 &&
		    s->out.data_bell == 8 && s->out.room_bell == 9 && s->in[0].memory == 10 &&
		    s->in[1].memory == 13 && s->in[1].room_bell == 15 &&
		    strcmp(s->pipeline->name, "some") == 0;
	_exit(good ? 21 : 22);
}

Test(stage, reduce_gets_its_rings)
{
	cr_assert_eq(status_of(start(ROLE_REDUCE, RUN_REDUCE, -1, check_reduce)), 21);
}

static void
check_egress(struct stage *s)
{
	_exit(s->ins == 1 && s->in[0].memory == 7 && s->in[0].room_bell == 9 ? 21 : 22);
}

Test(stage, egress_gets_its_ring)
{
	cr_assert_eq(status_of(start(ROLE_EGRESS, RUN_REDUCE, -1, check_egress)), 21);
}

static void
check_ingest(struct stage *s)
{
	_exit(s->ins == 0 && s->out.memory == 7 && s->server == 1 ? 21 : 22);
}

Test(stage, ingest_gets_its_server)
{
	char **argv = ARGV((char[]){"run"}, (char[]){"--slot=3"}, (char[]){"--server=1"});
	cr_assert_eq(status_of(start(ROLE_INGEST, argv, -1, check_ingest)), 21);
}

Test(stage, refuses_what_it_does_not_know)
{
	static const struct {
		enum stage_role role;
		const char *first, *second, *third;
	} wrong[] = {
	    {ROLE_REDUCE, NULL, NULL, NULL},
	    {ROLE_REDUCE, "walk", "--slot=3", NULL},
	    {ROLE_REDUCE, "run", NULL, NULL},
	    {ROLE_REDUCE, "run", "--slot=x", NULL},
	    {ROLE_REDUCE, "run", "--slot=18", NULL},
	    {ROLE_REDUCE, "run", "--slot=-1", NULL},
	    {ROLE_REDUCE, "run", "--slot=3", "--loud"},
	    {ROLE_REDUCE, "run", "--slot=3", "--offline"},
	    {ROLE_INGEST, "run", "--slot=3", NULL},
	    {ROLE_INGEST, "run", "--slot=3", "--server=2"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const char *words[] = {"tallyd-test", wrong[i].first, wrong[i].second,
				       wrong[i].third, NULL};
		char *argv[5];
		set_up();
		memcpy(argv, words, sizeof argv);
		cr_assert_eq(status_of(start(wrong[i].role, argv, -1, nothing)), EXIT_USAGE,
			     "case %zu", i);
	}
}

Test(stage, refuses_a_section_that_could_change)
{
	section_fd = make_section(false);
	cr_assert_eq(status_of(start(ROLE_REDUCE, RUN_REDUCE, -1, nothing)), EXIT_USAGE);
}

Test(stage, refuses_bytes_that_are_no_section)
{
	section_fd = memfd_create("section", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(section_fd, "rubbish", 7), 7);
	fcntl(section_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK);
	cr_assert_eq(status_of(start(ROLE_REDUCE, RUN_REDUCE, -1, nothing)), EXIT_USAGE);
}

/* --- the control socket --- */

static char
hear(void)
{
	char byte = 0;
	cr_assert_eq(recv(supervisor_end, &byte, 1, 0), 1);
	return byte;
}

static void
say_all(struct stage *s)
{
	stage_waiting(s, "waiting for a");
	stage_waiting(s, "waiting for b"); /* within the same second: not told */
	stage_standby(s, "held by another");
	stage_standby(s, "held by another");
	stage_ready(s);
	stage_ready(s);
	wait_for_stop(s);
	_exit(33);
}

static void
say_after_turn(struct stage *s)
{
	atomic_store(&s->self->state, s->held ? STAGE_STANDBY : STAGE_REPLAY);
	stage_wait_turn(s);
	stage_ready(s);
	_exit(s->held ? 34 : 33);
}

Test(stage, one_that_is_held_waits_for_its_turn)
{
	char **argv = ARGV((char[]){"run"}, (char[]){"--slot=3"}, (char[]){"--held"});
	char byte = CONTROL_TURN;
	pid_t pid = start(ROLE_REDUCE, argv, -1, say_after_turn);
	while (atomic_load(&board->stage[SLOT].state) == STAGE_BOOT)
		poll(NULL, 0, 1);
	poll(NULL, 0, 20);
	cr_assert_eq(recv(supervisor_end, &byte, 1, MSG_DONTWAIT), -1);
	cr_assert_eq(atomic_load(&board->stage[SLOT].state), STAGE_STANDBY);
	cr_assert_eq(send(supervisor_end, &byte, 1, 0), 1);
	cr_assert_eq(hear(), CONTROL_READY);
	cr_assert_eq(status_of(pid), 33);
}

Test(stage, one_that_is_not_held_waits_for_nothing)
{
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, say_after_turn);
	cr_assert_eq(hear(), CONTROL_READY);
	cr_assert_eq(status_of(pid), 33);
}

Test(stage, tells_each_thing_once_and_stops_when_asked)
{
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, say_all);
	cr_assert_eq(hear(), CONTROL_WAITING);
	cr_assert_eq(hear(), CONTROL_STANDBY);
	cr_assert_eq(hear(), CONTROL_READY);
	cr_assert_eq(atomic_load(&board->stage[SLOT].state), STAGE_RUNNING);
	char stop = CONTROL_STOP;
	cr_assert_eq(send(supervisor_end, &stop, 1, 0), 1);
	cr_assert_eq(status_of(pid), 33);
	cr_assert_eq(recv(supervisor_end, &stop, 1, 0), 0); /* nothing more was said */
}

static void
replay(struct stage *s)
{
	board_set_state(s->self, STAGE_REPLAY, "up to D");
	stage_ready(s);
	wait_for_stop(s);
}

Test(stage, ready_does_not_hide_a_replay)
{
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, replay);
	cr_assert_eq(hear(), CONTROL_READY);
	cr_assert_eq(atomic_load(&board->stage[SLOT].state), STAGE_REPLAY);
	close(supervisor_end);
	status_of(pid);
}

Test(stage, ends_with_the_supervisor)
{
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, wait_for_stop);
	close(supervisor_end);
	cr_assert_eq(status_of(pid), EXIT_TEMPORARY);
}

static void
ready_then_wait(struct stage *s)
{
	stage_ready(s);
	wait_for_stop(s);
}

Test(stage, takes_no_notice_of_signals_to_the_group)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE};
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, ready_then_wait);
	cr_assert_eq(hear(), CONTROL_READY);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		kill(pid, signals[i]);
	char stop = CONTROL_STOP;
	cr_assert_eq(send(supervisor_end, &stop, 1, 0), 1);
	cr_assert_eq(status_of(pid), 0);
}

Test(stage, its_heart_beats_while_it_waits)
{
	setenv("TALLYD_HANG_MS", "100", 1);
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, ready_then_wait);
	cr_assert_eq(hear(), CONTROL_READY);
	uint64_t first = atomic_load(&board->stage[SLOT].heartbeat);
	int tries = 0;
	while (atomic_load(&board->stage[SLOT].heartbeat) < first + 6 && tries++ < 500)
		usleep(10000);
	cr_assert_lt(tries, 500, "the heart stands still");
	close(supervisor_end);
	status_of(pid);
}

static void
poll_two(struct stage *s)
{
	int rung = eventfd(1, EFD_NONBLOCK), silent = eventfd(0, EFD_NONBLOCK);
	struct pollfd fds[2] = {{.fd = silent, .events = POLLIN}, {.fd = rung, .events = POLLIN}};
	int ready = stage_poll(s, fds, 2, 1000);
	bool good = ready == 1 && !fds[0].revents && fds[1].revents == POLLIN;
	fds[1].events = 0;
	good = good && stage_poll(s, fds, 2, 10) == 0 && !fds[1].revents;
	_exit(good ? 21 : 22);
}

Test(stage, poll_counts_the_callers_descriptors_only)
{
	cr_assert_eq(status_of(start(ROLE_REDUCE, RUN_REDUCE, -1, poll_two)), 21);
}

/* --- ends --- */

static void
fail_now(struct stage *s)
{
	stage_fail(s, EXIT_DATA, "test.fail", "offset %d is not JSON", 4711);
}

Test(stage, leaves_last_words)
{
	cr_assert_eq(status_of(start(ROLE_REDUCE, RUN_REDUCE, -1, fail_now)), EXIT_DATA);
	cr_assert_str_eq(board->stage[SLOT].words, "offset 4711 is not JSON");
}

static void
panic_now(struct stage *s)
{
	INVARIANT(s->check);
}

Test(stage, a_broken_invariant_leaves_words_and_aborts)
{
	cr_assert_eq(status_of(start(ROLE_REDUCE, RUN_REDUCE, -1, panic_now)), -SIGABRT);
	cr_assert_not_null(strstr(board->stage[SLOT].words, "s->check"));
	cr_assert_not_null(strstr(board->stage[SLOT].words, "test_stage.c:"));
}

/* --- check mode --- */

static void
report_all(struct stage *s)
{
	struct place place = {12, 5};
	board_count(s->self, COUNTER_EVENTS, 1); /* goes nowhere, and breaks nothing */
	stage_poll(s, NULL, 0, 0);
	stage_ready(s);
	stage_report(s, LOG_WARN, &place, "a\tb\nc %d", 7);
	stage_report(s, LOG_INFO, NULL, "whole transactions%s", s->offline ? ", offline" : "");
	stage_fail(s, EXIT_CONFIG, "test.fail", "no such property");
}

Test(stage, check_mode_speaks_to_the_supervisor)
{
	char text[512] = "";
	int out[2];
	char **argv = ARGV((char[]){"check"}, (char[]){"--offline"});
	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = start(ROLE_REDUCE, argv, out[1], report_all);
	close(out[1]);
	size_t len = 0;
	for (ssize_t n; (n = read(out[0], text + len, sizeof text - 1 - len)) > 0;)
		len += (size_t)n;
	cr_assert_eq(status_of(pid), EXIT_CONFIG);
	cr_assert_str_eq(text, "warning\t12\t5\ta b c 7\n"
			       "info\t0\t0\twhole transactions, offline\n"
			       "error\t0\t0\tno such property\n");
}

static void
take_a_section(struct stage *s)
{
	stage_ready(s);
	for (int i = 0; i < 200 && s->section < 0; i++)
		stage_poll(s, NULL, 0, 50);
	struct pipeline *p = stage_take_section(s);
	bool good = p != NULL && strcmp(p->name, s->pipeline->name) == 0 && s->section < 0 &&
		    stage_take_section(s) == NULL;
	stage_taken(s);
	_exit(good ? 21 : 22);
}

Test(stage, another_section_comes_with_a_message)
{
	pid_t pid = start(ROLE_REDUCE, RUN_REDUCE, -1, take_a_section);
	char byte = CONTROL_SECTION;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){
	    .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &section_fd, sizeof section_fd);
	cr_assert_eq(sendmsg(supervisor_end, &m, 0), 1);
	cr_assert_eq(recv(supervisor_end, &byte, 1, 0), 1);
	cr_assert_eq(byte, CONTROL_READY);
	cr_assert_eq(recv(supervisor_end, &byte, 1, 0), 1);
	cr_assert_eq(byte, CONTROL_TAKEN);
	cr_assert_eq(status_of(pid), 21);
}
