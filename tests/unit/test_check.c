/* What stages say in a check; which new files a running tallyd refuses; and its signals. */
#include <bsd/string.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "supervisor/check.h"
#include "supervisor/daemon.h"
#include "supervisor/parse.h"
#include "supervisor/reload.h"

static char folder[64], path[96], log_path[96];

static void
set_up(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	close(null);
	strlcpy(folder, "/tmp/tallyd-test-XXXXXX", sizeof folder);
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/p.sql", folder);
	snprintf(log_path, sizeof log_path, "%s/log", folder);
	setenv("RUNTIME_DIRECTORY", folder, 1);
}

static void
tear_down(void)
{
	unlink(path);
	unlink(log_path);
	char lock[128];
	snprintf(lock, sizeof lock, "%s/check.lock", folder);
	unlink(lock);
	rmdir(folder);
}

TestSuite(check, .init = set_up, .fini = tear_down, .timeout = 20);

/* ---- lines of a stage --------------------------------------------------------------------- */

/* What becomes of a line: errors, then `|`, then infos; NULL when it is refused. */
static const char *
render(const char *line, bool *complained)
{
	static char all[4096];
	char copy[2048], *texts[2] = {NULL, NULL};
	size_t len;
	struct source source = {.path = (char *)(uintptr_t) "f.sql",
				.text = (char *)(uintptr_t) "one\ntwo 2",
				.len = 9};
	struct check_report r = {.source = &source};
	r.errors = open_memstream(&texts[0], &len);
	r.infos = open_memstream(&texts[1], &len);
	strlcpy(copy, line, sizeof copy);
	*complained = false;
	bool taken = check_render(&r, copy, complained);
	fclose(r.errors);
	fclose(r.infos);
	snprintf(all, sizeof all, "%s|%s", texts[0], texts[1]);
	free(texts[0]);
	free(texts[1]);
	cr_assert(taken || strcmp(all, "|") == 0, "refused, but printed: %s", all);
	return taken ? all : NULL;
}

Test(check, a_stages_lines_become_messages)
{
	bool complained;
	cr_assert_str_eq(render("error\t2\t5\tno 2", &complained),
			 "f.sql:2:5: error: no 2\ntwo 2\n    ^\n|");
	cr_assert(complained);
	cr_assert_str_eq(render("warning\t0\t0\tbeware", &complained), "f.sql: warning: beware\n|");
	cr_assert_not(complained);
	cr_assert_str_eq(render("info\t1\t1\tone", &complained), "|f.sql:1:1: one\n");
	cr_assert_str_eq(render("info\t0\t0\tall", &complained), "|all\n");
	cr_assert_str_eq(render("info\t0\t0\t", &complained), "|\n");
	/* A place that the file does not have: the message stays. */
	cr_assert_str_eq(render("error\t4294967295\t4294967295\tfar", &complained),
			 "f.sql:4294967295:4294967295: error: far\n|");
}

Test(check, hostile_text_stays_text)
{
	bool complained;
	cr_assert_str_eq(render("info\t0\t0\ta\x1b[2Jb\tc\rd\x7f%s%n", &complained),
			 "|a?[2Jb?c?d?%s%n\n");
	cr_assert_str_eq(render("error\t0\t0\t\xc3\xa4 \x1b]0;title\x07", &complained),
			 "f.sql: error: \xc3\xa4 ?]0;title?\n|");
}

Test(check, what_is_no_line_is_refused)
{
	static const char *const lines[] = {
	    "",
	    "error",
	    "error\t1",
	    "error\t1\t1",
	    "errors\t1\t1\ttext",
	    "fatal\t1\t1\ttext",
	    "\t1\t1\ttext",
	    "error\t\t1\ttext",
	    "error\t-1\t1\ttext",
	    "error\t+1\t1\ttext",
	    "error\t 1\t1\ttext",
	    "error\t1x\t1\ttext",
	    "error\t1\t4294967296\ttext",
	    "error\t1\t99999999999999999999\ttext",
	    "CREATE TABLE x (y\tint)",
	};
	bool complained;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		cr_assert_null(render(lines[i], &complained), "'%s' was taken", lines[i]);
		cr_assert_not(complained);
	}
}

Test(check, the_worst_code_is_the_one_to_mend_first)
{
	static const int codes[] = {0, EXIT_UNAVAILABLE, EXIT_INTERNAL, EXIT_DENIED, EXIT_CONFIG};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		cr_assert_eq(check_worse(codes[i], 0), codes[i]);
		cr_assert_eq(check_worse(0, codes[i]), codes[i]);
		cr_assert_eq(check_worse(codes[i], EXIT_CONFIG), EXIT_CONFIG);
		cr_assert_eq(check_worse(EXIT_CONFIG, codes[i]), EXIT_CONFIG);
	}
	cr_assert_eq(check_worse(EXIT_DENIED, EXIT_UNAVAILABLE), EXIT_DENIED);
	cr_assert_eq(check_worse(EXIT_UNAVAILABLE, EXIT_DENIED), EXIT_UNAVAILABLE);
}

/* ---- reload ------------------------------------------------------------------------------- */

#define SERVER                                                                                     \
	"CREATE SERVER kafka FOREIGN DATA WRAPPER debezium"                                        \
	" OPTIONS (\"bootstrap.servers\" '127.0.0.1:1');"
#define TABLE                                                                                      \
	"CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic 'a.b.t');"
#define TARGET                                                                                     \
	"CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '127.0.0.1', port '1');"
#define VIEW "CREATE MATERIALIZED VIEW v AS SELECT sum(value) AS sum FROM t;"
#define NAME "SET pipeline = 'check';"

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "we");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static struct pipeline *
read_file(struct source *source, const char *text)
{
	write_file(text);
	cr_assert_eq(source_read(source, path, stderr), 0);
	struct pipeline *p = parse_pipeline(source, stderr);
	cr_assert_not_null(p);
	return p;
}

/* What a reload says of a file (NULL: there is none); its code in *code. Heap. */
static char *
read_again(const char *text, const char *request, int *code)
{
	struct source running_source;
	struct pipeline *running = read_file(&running_source, NAME SERVER TABLE TARGET VIEW);
	struct reload reload;
	struct reload_wish wish;
	char *said = NULL;
	size_t len;
	FILE *errors = open_memstream(&said, &len);
	cr_assert(reload_parse_wish(&wish, request));
	unlink(path);
	if (text)
		write_file(text);
	*code = reload_read(&reload, &wish, running, running, errors);
	fclose(errors);
	reload_drop(&reload);
	pipeline_free(running);
	source_free(&running_source);
	return said;
}

Test(check, a_reload_says_what_it_refuses)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
	    {NULL, "p.sql"},
	    {"SELECT", "p.sql"},
	    {NAME SERVER TABLE TARGET VIEW "CREATE VIEW;", "p.sql:1:"},
	    {"SET pipeline = 'other';" SERVER TABLE TARGET VIEW, "name was \"check\""},
	    {NAME "SET ring_bytes = 65536;" SERVER TABLE TARGET VIEW,
	     "ring_bytes was 4194304; stop tallyd"},
	    {NAME SERVER TABLE TARGET
	     "CREATE MATERIALIZED VIEW v AS SELECT max(value) AS sum FROM t;",
	     "view \"v\" has another SELECT: `tallyd rebuild "},
	    {NAME SERVER TABLE TARGET VIEW
	     "CREATE MATERIALIZED VIEW w AS SELECT count(*) AS n FROM t;",
	     "`tallyd reload --replay "},
	    {NAME SERVER "CREATE FOREIGN TABLE t (value integer NOT NULL, more integer) SERVER "
			 "kafka OPTIONS (topic 'a.b.t');" TARGET VIEW,
	     "`tallyd reload --replay "},
	    {NAME SERVER TABLE "CREATE FOREIGN TABLE u (value integer) SERVER kafka OPTIONS (topic "
			       "'a.b.u');" TARGET VIEW,
	     "table \"u\" is new"},
	    {NAME SERVER TABLE TARGET VIEW
	     "CREATE SERVER more FOREIGN DATA WRAPPER debezium"
	     " OPTIONS (\"bootstrap.servers\" '127.0.0.1:1');"
	     "CREATE FOREIGN TABLE u (value integer) SERVER more OPTIONS (topic 'a.b.u');",
	     "the servers are others"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int code;
		char *said = read_again(cases[i].text, "reload", &code);
		cr_assert_eq(code, EXIT_CONFIG, "%s: %d", cases[i].text, code);
		cr_assert_not_null(strstr(said, cases[i].reason), "%s: %s", cases[i].text, said);
		free(said);
	}
}

#define OTHER                                                                                      \
	NAME SERVER TABLE TARGET "CREATE MATERIALIZED VIEW v AS SELECT max(value) AS sum FROM t;"
#define MORE NAME SERVER TABLE TARGET VIEW "CREATE MATERIALIZED VIEW w AS SELECT count(*) FROM t;"

Test(check, what_was_asked_for_is_not_refused)
{
	static const struct {
		const char *text, *request;
		int code;
		const char *said;
	} cases[] = {
	    {NAME SERVER TABLE TARGET VIEW, "reload", 0, ""},
	    {MORE, "reload replay", 0, ""},
	    {MORE, "rebuild v", 0, ""},
	    {MORE, "reload dry-run", EXIT_CONFIG, "replay: view \"w\" is new"},
	    {MORE, "reload replay dry-run", 0, ""},
	    {OTHER, "rebuild", 0, ""},
	    {OTHER, "rebuild v", 0, ""},
	    {OTHER, "reload replay", EXIT_CONFIG, "rebuild"},
	    {OTHER, "reload dry-run", EXIT_CONFIG, "refused: view \"v\" has another SELECT"},
	    {OTHER, "rebuild w", EXIT_USAGE, "has no view \"w\"; its views are: v\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int code;
		char *said = read_again(cases[i].text, cases[i].request, &code);
		cr_assert_eq(code, cases[i].code, "%zu: %d: %s", i, code, said);
		cr_assert_not_null(strstr(said, cases[i].said), "%zu: %s", i, said);
		free(said);
	}
}

Test(check, requests_are_read_whole)
{
	struct reload_wish w;
	static const char *const bad[] = {"",          "relo",           "reloads",
					  "reload ",   "reload  replay", "reload replays",
					  "reload re", "rebuilds",       "status"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_not(reload_parse_wish(&w, bad[i]), "%s", bad[i]);
	cr_assert(reload_parse_wish(&w, "reload replay dry-run"));
	cr_assert(w.replay && w.dry_run && !w.rebuild);
	cr_assert(reload_parse_wish(&w, "rebuild an odd \"name"));
	cr_assert(w.rebuild && !w.replay);
	cr_assert_str_eq(w.view, "an odd \"name");
	cr_assert(reload_parse_wish(&w, "rebuild"));
	cr_assert_str_eq(w.view, "");
}

/* ---- a daemon without any server ----------------------------------------------------------- */

static pid_t
start_daemon(void)
{
	struct source source;
	struct pipeline *p = read_file(&source, NAME SERVER TABLE TARGET VIEW);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
		dup2(fd, STDERR_FILENO);
		dup2(fd, STDOUT_FILENO);
		/* Tests that run under nohup(1) are to see the same. */
		signal(SIGHUP, SIG_DFL);
		log_init("supervisor");
		_exit(daemon_run(&source, p, DAEMON_RUN));
	}
	pipeline_free(p);
	source_free(&source);
	return pid;
}

static bool
logged(const char *text)
{
	static char all[1 << 18];
	for (int i = 0; i < 2000; i++) {
		FILE *f = fopen(log_path, "re");
		size_t n = f ? fread(all, 1, sizeof all - 1, f) : 0;
		all[n] = '\0';
		if (f)
			fclose(f);
		if (strstr(all, text))
			return true;
		usleep(10000);
	}
	return false;
}

static int
wait_for(pid_t pid)
{
	int status = -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Its stages wait for servers that are not there (or are themselves not there): it still listens. */
Test(check, a_daemon_hears_its_signals)
{
	pid_t pid = start_daemon();
	cr_assert(logged("egress"), "it starts");
	kill(pid, SIGUSR1);
	cr_assert(logged("event=status"), "USR1 logs the status");
	write_file(NAME SERVER TABLE TARGET VIEW "CREATE VIEW;");
	kill(pid, SIGHUP);
	cr_assert(logged("the pipeline goes on as it was"), "HUP: a broken file is refused");
	cr_assert(logged("p.sql:1:"), "with its place");
	pid_t second = start_daemon();
	cr_assert_eq(wait_for(second), EXIT_TEMPORARY, "a second one is refused");
	kill(pid, SIGTERM);
	cr_assert_eq(wait_for(pid), 0, "TERM ends it");
	cr_assert(logged("tallyd stops with exit code 0"));
	unlink(log_path);
	pid = start_daemon();
	cr_assert(logged("egress"));
	kill(pid, SIGQUIT);
	cr_assert_eq(wait_for(pid), 0, "QUIT ends it");
}
