/* Secrets stay where they belong: the environment of a stage, its memory, a file's first line. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"
#include "supervisor/environment.h"
#include "supervisor/parse.h"
#include "supervisor/spawn.h"

static bool
inherits(enum stage_role role, const char *variable)
{
	char **all = environment_for(role);
	bool found = false;
	for (char **v = all; *v; v++)
		found |= strcmp(*v, variable) == 0;
	free(all);
	return found;
}

Test(secret, what_a_file_takes_from_the_environment_stays_with_the_supervisor)
{
	setenv("KAFKA_WORD", "one", 1);
	setenv("KAFKA_WORD_2", "two", 1);
	setenv("PG_WORD", "three", 1);
	setenv("HOME", "/somewhere", 1);
	cr_assert_str_eq(environment_take("KAFKA_WORD"), "one");
	cr_assert_str_eq(environment_take("KAFKA_WORD"), "one");
	cr_assert_str_eq(environment_take("PG_WORD"), "three");
	cr_assert_str_eq(environment_take("HOME"), "/somewhere");
	cr_assert_null(environment_take("NOT_SET_AT_ALL"));
	for (enum stage_role role = ROLE_EGRESS; role <= ROLE_INGEST; role++) {
		cr_assert(!inherits(role, "KAFKA_WORD=one"));
		cr_assert(inherits(role, "KAFKA_WORD_2=two"));
		cr_assert(!inherits(role, "PG_WORD=three"));
		cr_assert(inherits(role, "HOME=/somewhere"));
	}
}

Test(secret, the_variables_of_libpq_are_for_egress)
{
	setenv("PGPASSWORD", "word", 1);
	cr_assert_str_eq(environment_take("PGPASSWORD"), "word");
	cr_assert(inherits(ROLE_EGRESS, "PGPASSWORD=word"));
	cr_assert(!inherits(ROLE_REDUCE, "PGPASSWORD=word"));
	cr_assert(!inherits(ROLE_INGEST, "PGPASSWORD=word"));
}

Test(secret, the_parser_takes_variables_so)
{
	static const char text[] =
	    "SET pipeline = 'p'; CREATE SERVER k FOREIGN DATA WRAPPER debezium "
	    "OPTIONS (\"sasl.password\" '${A_WORD}', \"ssl.key.password\" "
	    "'${B_WORD:-none}');";
	struct source source = {
	    .path = (char[]){"p.sql"}, .text = xstrdup(text), .len = strlen(text)};
	FILE *nowhere = fopen("/dev/null", "w");
	setenv("A_WORD", "one", 1);
	setenv("B_WORD", "two", 1);
	cr_assert_null(parse_pipeline(&source, nowhere)); /* it lacks the rest */
	fclose(nowhere);
	cr_assert(!inherits(ROLE_INGEST, "A_WORD=one"));
	cr_assert(!inherits(ROLE_INGEST, "B_WORD=two"));
}

Test(secret, a_process_gets_the_environment_it_is_given, .timeout = 20)
{
	setenv("KAFKA_WORD", "one", 1);
	environment_take("KAFKA_WORD");
	struct spawn x = {.path = "/bin/sh",
			  .argv = {"sh", "-c", "[ -z \"$KAFKA_WORD\" ] && [ -n \"$PATH\" ]", NULL},
			  .environment = environment_for(ROLE_REDUCE),
			  .fds = {0, 1, 2},
			  .fd_count = 3};
	siginfo_t info = {0};
	int pidfd;
	cr_assert_gt(spawn_process(&x, &pidfd), 0);
	cr_assert_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	cr_assert_eq(info.si_code, CLD_EXITED);
	cr_assert_eq(info.si_status, 0);
	free(x.environment);
	close(pidfd);
}

Test(secret, a_sealed_process_leaves_no_core)
{
	unsetenv("TALLYD_CORE");
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 1);
	secret_seal_process();
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
}

Test(secret, unless_it_is_asked_for)
{
	setenv("TALLYD_CORE", "1", 1);
	secret_seal_process();
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 1);
}

/* --- files --- */

static bool
read_back(const char *content, size_t len, char *buf, size_t size)
{
	char path[] = "/tmp/tallyd-secret.XXXXXX";
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, content, len), (ssize_t)len);
	close(fd);
	memset(buf, 'x', size);
	bool good = secret_read_line(path, buf, size);
	int saved = errno;
	unlink(path);
	errno = saved;
	return good;
}

Test(secret, the_first_line_of_a_file)
{
	static const char *const cases[][2] = {
	    {"word", "word"},         {"word\n", "word"},
	    {"word\r\nmore", "word"}, {"", ""},
	    {"\nword", ""},           {" a b \n", " a b "},
	    {"1234567", "1234567"},   {"1234567\n", "1234567"},
	};
	char buf[8];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert(read_back(cases[i][0], strlen(cases[i][0]), buf, sizeof buf), "%zu", i);
		cr_assert_str_eq(buf, cases[i][1], "%zu", i);
	}
	cr_assert(!read_back("12345678", 8, buf, sizeof buf));
	cr_assert_eq(errno, EMSGSIZE);
	cr_assert(!secret_read_line("/nonexistent", buf, sizeof buf));
	cr_assert_eq(errno, ENOENT);
	cr_assert(!secret_read_line("/tmp", buf, sizeof buf));
	cr_assert_eq(errno, EISDIR);
}

Test(secret, a_pipe_may_hand_it_over_in_pieces, .timeout = 20)
{
	char path[64], buf[64];
	int pair[2];
	cr_assert_eq(pipe(pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		for (const char *s = "word\nrest"; *s; s++) {
			(void)!write(pair[1], s, 1);
			usleep(2000);
		}
		_exit(0);
	}
	close(pair[1]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", pair[0]);
	cr_assert(secret_read_line(path, buf, sizeof buf));
	cr_assert_str_eq(buf, "word");
	close(pair[0]);
	waitpid(pid, NULL, 0);
}

Test(secret, passwords_of_connection_strings_are_masked)
{
	static const char *const cases[][2] = {
	    {"could not parse \"postgres://u:pw@h/d\" at all",
	     "could not parse \"postgres://*@h/d\" at all"},
	    {"postgresql://u:p@w@h:1,i:2/d?x=y", "postgresql://*@h:1,i:2/d?x=y"},
	    {"two: a://b:c@d 'e://f:g@h'", "two: a://*@d 'e://*@h'"},
	    {"see https://example.org/page", "see https://example.org/page"},
	    {"host=h password=pw user=u", "host=h password=* user=u"},
	    {"host=h password = 'p w' user=u", "host=h password = * user=u"},
	    {"PASSWORD=pw", "PASSWORD=*"},
	    {"?sslpassword=pw&x=y", "?sslpassword=*&x=y"},
	    {"password authentication failed", "password authentication failed"},
	    {"password=", "password="},
	    {"://@", "://@"},
	    {"", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = xstrdup(cases[i][0]);
		secret_mask(text);
		cr_assert_str_eq(text, cases[i][1], "%zu", i);
		free(text);
	}
}
