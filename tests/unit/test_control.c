/* The runtime folder, the lock and the socket, from both sides; and what status says. */
#include <bsd/string.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "supervisor/control.h"
#include "supervisor/status.h"

static char folder[64];
static struct control control;

static void
set_up(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	close(null);
	strlcpy(folder, "/tmp/tallyd-test-XXXXXX", sizeof folder);
	cr_assert_not_null(mkdtemp(folder));
	setenv("RUNTIME_DIRECTORY", folder, 1);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static void
tear_down(void)
{
	nftw(folder, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

TestSuite(control, .init = set_up, .fini = tear_down, .timeout = 20);

static int
answer(void *context, const char *request, FILE *out)
{
	const char *big = context;
	fprintf(out, "you said %s\n%s", request, big ? big : "");
	return strcmp(request, "status") == 0 ? 0 : EXIT_CONFIG;
}

/* Serve until the child that asks has ended; its exit status. */
static int
serve_child(pid_t pid, void *context)
{
	int status;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct pollfd fds[CONTROL_FDS_MAX];
		unsigned n = control_poll_fds(&control, fds);
		poll(fds, n, 10);
		control_serve(&control, fds, n, answer, context, clock_monotonic_ms());
	}
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Ask from a child; what it got stands in `text`. */
static int
ask(const char *which, const char *request, void *context, char *text, size_t size)
{
	FILE *out = tmpfile();
	cr_assert_not_null(out);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		int code = control_ask(which, request, 10, out);
		fflush(out);
		_exit(code);
	}
	int code = serve_child(pid, context);
	rewind(out);
	text[fread(text, 1, size - 1, out)] = '\0';
	fclose(out);
	return code;
}

Test(control, answers_by_name_by_file_and_alone)
{
	char text[256], file[128];
	snprintf(file, sizeof file, "%s/some.sql", folder);
	close(creat(file, 0600));
	cr_assert_eq(control_open(&control, "some name/with.odd bytes", file), 0);
	cr_assert_eq(ask(NULL, "status", NULL, text, sizeof text), 0);
	cr_assert_str_eq(text, "you said status\n");
	cr_assert_eq(ask("some name/with.odd bytes", "status", NULL, text, sizeof text), 0);
	cr_assert_eq(ask(file, "reload", NULL, text, sizeof text), EXIT_CONFIG);
	cr_assert_str_eq(text, "you said reload\n");
	cr_assert_eq(ask("another", "status", NULL, text, sizeof text), EXIT_UNAVAILABLE);
	control_close(&control);
	cr_assert_eq(ask(NULL, "status", NULL, text, sizeof text), EXIT_UNAVAILABLE);
}

Test(control, answers_more_than_a_socket_holds)
{
	const size_t size = 3u << 20;
	char *big = xcalloc(1, size), *text = xcalloc(1, size + 64);
	memset(big, 'x', size - 1);
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	cr_assert_eq(ask("p", "status", big, text, size + 64), 0);
	cr_assert_eq(strlen(text), size - 1 + strlen("you said status\n"));
	control_close(&control);
	free(big);
	free(text);
}

Test(control, several_are_not_guessed_from)
{
	struct control other;
	char text[256];
	cr_assert_eq(control_open(&control, "a", "a.sql"), 0);
	cr_assert_eq(control_open(&other, "b", "b.sql"), 0);
	cr_assert_eq(ask(NULL, "status", NULL, text, sizeof text), EXIT_USAGE);
	cr_assert_eq(ask("a", "status", NULL, text, sizeof text), 0);
	control_close(&other);
	cr_assert_eq(ask(NULL, "status", NULL, text, sizeof text), 0);
	control_close(&control);
}

Test(control, only_one_holds_a_pipeline)
{
	struct control second;
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	cr_assert_eq(control_open(&second, "p", "p.sql"), EXIT_TEMPORARY);
	control_close(&second);
	char text[256];
	cr_assert_eq(ask("p", "status", NULL, text, sizeof text), 0, "the refused one broke it");
	control_close(&control);
	cr_assert_eq(control_open(&second, "p", "p.sql"), 0);
	control_close(&second);
}

Test(control, a_socket_left_behind_is_replaced)
{
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	close(control.listen_fd); /* as SIGKILL would: the file stays */
	close(control.lock_fd);
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	char text[256];
	cr_assert_eq(ask("p", "status", NULL, text, sizeof text), 0);
	control_close(&control);
}

Test(control, folder_is_closed_to_others)
{
	static const mode_t open_to_others[] = {0777, 01777, 0770, 0702};
	struct stat st;
	for (size_t i = 0; i < sizeof open_to_others / sizeof *open_to_others; i++) {
		chmod(folder, open_to_others[i]);
		cr_assert_eq(control_open(&control, "p", "p.sql"), EXIT_DENIED);
		cr_assert_eq(stat(folder, &st), 0);
		cr_assert_eq(st.st_mode & 07777, open_to_others[i], "it is not for us to close");
		control_close(&control);
	}
	chmod(folder, 0755); /* as systemd makes it */
	umask(0);
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	cr_assert_eq(stat(control.socket_path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600, "nobody else may ask");
	control_close(&control);
	char link[128];
	snprintf(link, sizeof link, "%s/link", folder);
	cr_assert_eq(symlink(folder, link), 0);
	setenv("RUNTIME_DIRECTORY", link, 1);
	cr_assert_eq(control_open(&control, "p", "p.sql"), EXIT_DENIED);
	control_close(&control);
}

Test(control, long_names_stay_apart_and_long_folders_are_refused)
{
	struct control second;
	char name[200], path[200];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	cr_assert_eq(control_open(&control, name, "p.sql"), 0);
	name[150] = 'm';
	cr_assert_eq(control_open(&second, name, "p.sql"), 0);
	control_close(&second);
	control_close(&control);
	snprintf(path, sizeof path, "%s/%.120s", folder, name);
	setenv("RUNTIME_DIRECTORY", path, 1);
	cr_assert_eq(control_open(&control, "p", "p.sql"), EXIT_CONFIG);
	control_close(&control);
}

static int
connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strlcpy(address.sun_path, control.socket_path, sizeof address.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void
serve_once(int64_t now_ms)
{
	struct pollfd fds[CONTROL_FDS_MAX];
	unsigned n = control_poll_fds(&control, fds);
	poll(fds, n, 10);
	control_serve(&control, fds, n, answer, NULL, now_ms);
}

Test(control, rude_clients_are_dropped)
{
	char byte, line[400];
	int64_t now = clock_monotonic_ms();
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	int silent = connect_raw(), endless = connect_raw();
	memset(line, 'x', sizeof line);
	cr_assert_eq(write(endless, line, sizeof line), (ssize_t)sizeof line);
	for (int i = 0; i < 4; i++)
		serve_once(now);
	cr_assert_leq(read(endless, &byte, 1), 0);
	cr_assert_lt(control_deadline(&control), INT64_MAX);
	serve_once(control_deadline(&control));
	cr_assert_eq(read(silent, &byte, 1), 0);
	cr_assert_eq(control_deadline(&control), INT64_MAX);
	control_close(&control);
}

Test(control, no_more_clients_than_there_is_room_for)
{
	char byte;
	int fds[CONTROL_CLIENTS_MAX + 1];
	int64_t now = clock_monotonic_ms();
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	for (unsigned i = 0; i <= CONTROL_CLIENTS_MAX; i++) {
		fds[i] = connect_raw();
		serve_once(now);
	}
	cr_assert_eq(read(fds[CONTROL_CLIENTS_MAX], &byte, 1), 0);
	cr_assert_eq(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1); /* still served */
	control_close(&control);
}

/* Waits for an answer that comes later, and is not dropped for it. */
static int
later(void *context, const char *request, FILE *out)
{
	(void)context;
	(void)request;
	(void)out;
	return CONTROL_LATER;
}

static void
serve_later(void)
{
	struct pollfd fds[CONTROL_FDS_MAX];
	unsigned n = control_poll_fds(&control, fds);
	poll(fds, n, 10);
	control_serve(&control, fds, n, later, NULL, clock_monotonic_ms());
}

Test(control, a_later_answer_is_waited_for_without_end)
{
	char text[64];
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	int one = connect_raw(), other = connect_raw();
	cr_assert_eq(write(one, "rebuild\n", 8), 8);
	cr_assert_eq(write(other, "rebuild\n", 8), 8);
	for (int i = 0; i < 4; i++)
		serve_later();
	cr_assert_eq(control_deadline(&control), INT64_MAX);
	close(other); /* it has lost patience: its place is free again */
	serve_later();
	cr_assert_lt(control.clients[1].fd, 0);
	cr_assert_eq(recv(one, text, 1, MSG_DONTWAIT), -1);
	control_answer_waiting(&control, 3, "done\n");
	for (int i = 0; i < 4; i++)
		serve_later();
	text[read(one, text, sizeof text - 1)] = '\0';
	cr_assert_str_eq(text, "3\ndone\n");
	control_close(&control);
}

Test(control, is_running_says_nothing_and_disturbs_nobody)
{
	cr_assert_not(control_is_running("p"));
	cr_assert_eq(control_open(&control, "p", "p.sql"), 0);
	cr_assert(control_is_running("p"));
	cr_assert_not(control_is_running("q"));
	serve_once(clock_monotonic_ms());
	serve_once(clock_monotonic_ms());
	cr_assert_eq(control_deadline(&control), INT64_MAX);
	control_close(&control);
}

/* --- status --- */

static struct board board;

static char *
print_status(const struct status *st, bool json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	(json ? status_print_json : status_print)(st, out);
	fclose(out);
	return text;
}

static struct status
make_status(struct supervise *s, struct pipeline *p, struct tally *t)
{
	static const struct supervise_ops none;
	static const char *const names[] = {"egress", "reduce", "ingest"};
	static char name[] = "a \"b\"\\", file[] = "p.sql";
	supervise_init(s, &none, NULL, 1, names);
	s->procs[0].pid = 4711;
	s->procs[0].state = PROC_READY;
	static char server_name[] = "kafka";
	static struct server server = {.name = server_name};
	*p = (struct pipeline){.name = name, .file = file, .servers = &server, .server_count = 1};
	struct obituary o = {.wall_ms = 1795560551767, .uptime_ms = 61000, .pid = 12};
	o.death = (struct death){.signalled = true, .status = 11, .core = true};
	strlcpy(o.name, "reduce", sizeof o.name);
	status_copy_text(o.words, sizeof o.words, "said \"no\"\n\x1b[31m", 100);
	tally_add(t, &o);
	return (struct status){s, p, &board, t, 1000, 4000};
}

Test(status, json_is_json_whatever_the_stages_write)
{
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct json j;
	struct status st = make_status(&s, &p, &t);
	memset(board.owner, 'o', sizeof board.owner); /* not NUL-terminated */
	memset(board.stage[0].note, '\n', sizeof board.stage[0].note);
	atomic_store(&board.stage[0].note_len, UINT32_MAX);
	board_publish(&board, 5, 1795560551767, "{broken", 7);
	char *text = print_status(&st, true);
	json_init(&j, text, strlen(text));
	json_skip(&j);
	cr_assert(json_end(&j), "%s", text);
	cr_assert_not_null(strstr(text, "\"position\":null"));
	cr_assert_not_null(strstr(text, "\"signal\":11,\"core\":true"));
	cr_assert_not_null(strstr(text, "said \\\"no\\\"??[31m"));
	free(text);
	board_publish(&board, 6, 1795560551767, "{\"a\": [1]}", 10);
	text = print_status(&st, true);
	cr_assert_not_null(strstr(text, "\"batch\":6,\"time\":1795560551767,"));
	cr_assert_not_null(strstr(text, "\"position\":{\"a\": [1]}"));
	free(text);
}

Test(status, latencies_in_milliseconds_and_as_buckets_that_can_be_subtracted)
{
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct status st = make_status(&s, &p, &t);
	char *text = print_status(&st, false);
	cr_assert_not_null(strstr(text, "\nlatency: nothing to measure yet\n"), "%s", text);
	free(text);
	text = print_status(&st, true);
	cr_assert_not_null(strstr(text, "\"latency\":{\"count\":0,\"p50_ms\":0.000,"), "%s", text);
	free(text);
	latency_add(&board.latency, 7, 1);
	text = print_status(&st, false);
	cr_assert_not_null(strstr(text, "max 0.007 ms of 1 event\n"), "%s", text);
	free(text);
	latency_add(&board.latency, 2500, 97);
	latency_add(&board.latency, 1234567, 2);
	text = print_status(&st, false);
	cr_assert_not_null(strstr(text, "\nlatency: p50 2.559 ms, p90 2.559 ms, p99 1234.567 ms, "
					"max 1234.567 ms of 100 events\n"),
			   "%s", text);
	free(text);
	text = print_status(&st, true);
	cr_assert_not_null(strstr(text,
				  "\"latency\":{\"count\":100,\"p50_ms\":2.559,\"p90_ms\":2.559,"
				  "\"p99_ms\":1234.567,\"max_ms\":1234.567,"
				  "\"buckets_us\":[[7,1],[2559,97],[1245183,2]]},"),
			   "%s", text);
	free(text);
}

Test(status, what_is_durable_in_short)
{
	static const struct {
		uint64_t batch;
		const char *position, *said;
	} cases[] = {
	    {0, "", "\ndurable: nothing committed yet\nrecovery: "},
	    {7,
	     "{\"b\": {\"partitions\": [{\"next\": 1}, {}], \"x\": [1]}, \"c\": {\"partitions\": "
	     "[0]}}",
	     " ago\nposition: b 2 partitions, c 1 partition (status --json has all of it)\n"},
	    {8, "{\"b\": [], \"c\": 7}", " ago\nposition: b 0 partitions"},
	    {9, "[1]", " ago\nrecovery: "},
	    {10, "", " ago\nrecovery: "},
	};
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct status st = make_status(&s, &p, &t);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		board_publish(&board, cases[i].batch, cases[i].batch ? 1795560551767 : 0,
			      cases[i].position, strlen(cases[i].position));
		char *text = print_status(&st, false), *json = print_status(&st, true);
		cr_assert_not_null(strstr(text, cases[i].said), "%zu: %s", i, text);
		cr_assert_eq(strstr(json, "\"age_ms\":null,\"position\"") != NULL,
			     cases[i].batch == 0);
		free(text);
		free(json);
	}
}

Test(status, tells_what_the_last_recovery_was)
{
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct status st = make_status(&s, &p, &t);
	char *text = print_status(&st, false), *json = print_status(&st, true);
	cr_assert_not_null(strstr(text, "\nrecovery: the start, under way for 4.0s\n"), "%s", text);
	cr_assert_not_null(strstr(json, "\"recovery\":{\"reason\":\"start\","
					"\"origin\":\"unknown\",\"pause_ms\":null},"));
	free(text);
	free(json);
	s.procs[SLOT_REDUCE].state = PROC_READY;
	strlcpy(s.reason, "reduce died", sizeof s.reason);
	supervise_settle(&s, 77);
	text = print_status(&st, false);
	cr_assert_not_null(
	    strstr(text, "\nrecovery: reduce died, took 77 ms, from the start of history\n"));
	free(text);
	board_set_origin(&board, "{}", 2);
	board_gauge(&board.stage[SLOT_REDUCE], COUNTER_LOADED, 5);
	text = print_status(&st, false);
	json = print_status(&st, true);
	cr_assert_not_null(strstr(text, "took 77 ms, 5 entries from the checkpoint\n"));
	cr_assert_not_null(strstr(json, "\"origin\":\"checkpoint\",\"pause_ms\":77},"));
	free(text);
	free(json);
}

Test(status, tells_how_old_the_newest_of_each_source_is)
{
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct status st = make_status(&s, &p, &t);
	struct board_stage *b = &board.stage[SLOT_INGEST];
	static char topic[] = "h";
	char *text = print_status(&st, false), *json = print_status(&st, true);
	cr_assert_not_null(strstr(text,
				  "\nsource kafka: nothing has come yet; no heartbeat_topic, so "
				  "silence says nothing\n"),
			   "%s", text);
	cr_assert_not_null(strstr(json,
				  ",\"sources\":[{\"name\":\"kafka\",\"heartbeat_topic\":null,"
				  "\"heartbeats\":0,\"written_ms\":0,\"age_ms\":null,"
				  "\"silent\":false}],\"stages\":"),
			   "%s", json);
	free(text);
	free(json);
	p.servers->heartbeat_topic = topic;
	board_gauge(b, COUNTER_WRITTEN_MS, (uint64_t)clock_wall_ms() + 50000);
	text = print_status(&st, false);
	cr_assert_not_null(strstr(text, "\nsource kafka: newest heartbeat or event 0.0s ago (20"));
	cr_assert_not_null(strstr(text, "Z); no heartbeat in topic h so far\n"));
	free(text);
	board_gauge(b, COUNTER_WRITTEN_MS, (uint64_t)clock_wall_ms() - 65000);
	board_gauge(b, COUNTER_HEARTBEATS, 3);
	board_gauge(b, COUNTER_SILENT, 1);
	text = print_status(&st, false);
	json = print_status(&st, true);
	cr_assert_not_null(strstr(text, " event 1m05s ago (20"), "%s", text);
	cr_assert_not_null(strstr(text, "Z), silent for too long: look at its connector\n"));
	cr_assert_not_null(strstr(json, "\"heartbeat_topic\":\"h\",\"heartbeats\":3,"));
	cr_assert_not_null(strstr(json, ",\"age_ms\":65"), "%s", json);
	cr_assert_not_null(strstr(json, ",\"silent\":true}]"));
	free(text);
	free(json);
	p.servers->heartbeat_topic = NULL;
}

Test(status, text_names_the_death)
{
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct status st = make_status(&s, &p, &t);
	char *text = print_status(&st, false);
	cr_assert_not_null(strstr(text, "durable: not known yet"));
	cr_assert_not_null(
	    strstr(text, "2026-11-24T22:49:11.767Z reduce pid 12: signal 11 (SEGV), core dumped "
			 "after 1m01s: said \"no\"??[31m"));
	free(text);
}

Test(status, tally_keeps_the_last_32_newest_first)
{
	static struct supervise s;
	static struct tally t;
	struct pipeline p;
	struct status st = make_status(&s, &p, &t);
	for (int i = 0; i < 40; i++) {
		struct obituary o = {.pid = 1000 + i};
		strlcpy(o.name, "x", sizeof o.name);
		tally_add(&t, &o);
	}
	char *text = print_status(&st, false);
	cr_assert_not_null(strstr(text, "deaths: 41, newest first"));
	const char *newest = strstr(text, "pid 1039:"), *oldest = strstr(text, "pid 1008:");
	cr_assert(newest && oldest && newest < oldest);
	cr_assert_null(strstr(text, "pid 1007:"));
	free(text);
}
