/* main.c - the command `tallyd`. */
#include <bsd/unistd.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "supervisor/check.h"
#include "supervisor/control.h"
#include "supervisor/daemon.h"
#include "supervisor/parse.h"

static const char usage_text[] =
    "usage: tallyd run FILE                      run the pipeline until it is stopped\n"
    "       tallyd check FILE [--offline]        do all that a start checks, start nothing\n"
    "       tallyd check FILE --ddl              print what the target's owner is to run, where\n"
    "                                            tallyd may not create schema tallyd itself\n"
    "       tallyd explain FILE                  print the pipeline as tallyd understands it\n"
    "       tallyd status [FILE|NAME] [--json]   ask a running one\n"
    "       tallyd reload [FILE|NAME]            let a running one read its file again\n"
    "       tallyd --version | --help\n"
    "The pipeline file is SQL; see tallyd(1).\n";

struct arguments {
	const char *operand; /* NULL: not given */
	bool json, offline, ddl;
};

static int
main_usage(const char *what, const char *detail)
{
	fprintf(stderr, "tallyd: %s%s%s\n%s", what, detail ? ": " : "", detail ? detail : "",
		usage_text);
	return EXIT_USAGE;
}

static int
main_parse_file(const char *path, struct source *source, struct pipeline **pipeline)
{
	int code = source_read(source, path, stderr);
	if (code != 0)
		return code;
	*pipeline = parse_pipeline(source, stderr);
	if (*pipeline)
		return 0;
	source_free(source);
	return EXIT_CONFIG;
}

static int
main_run(const struct arguments *a)
{
	struct source source;
	struct pipeline *pipeline;
	log_init("supervisor");
	int code = main_parse_file(a->operand, &source, &pipeline);
	if (code != 0)
		return code;
	code = check_stages(&source, pipeline, true, stderr, NULL);
	if (code == 0) {
		setproctitle("-tallyd: supervisor (%s)", pipeline->name);
		return daemon_run(&source, pipeline);
	}
	pipeline_free(pipeline);
	source_free(&source);
	return code;
}

static int
main_check(const struct arguments *a)
{
	struct source source;
	struct pipeline *pipeline;
	log_init("check");
	int code = main_parse_file(a->operand, &source, &pipeline);
	if (code != 0)
		return code;
	code = a->ddl ? check_ddl(&source, pipeline, stderr, stdout)
		      : check_stages(&source, pipeline, a->offline, stderr, stdout);
	if (code == 0 && !a->ddl)
		printf("%s: ok%s\n", pipeline->file,
		       a->offline ? " (offline: no server was asked)" : "");
	pipeline_free(pipeline);
	source_free(&source);
	return code;
}

static int
main_explain(const struct arguments *a)
{
	struct source source;
	struct pipeline *pipeline;
	int code = main_parse_file(a->operand, &source, &pipeline);
	if (code != 0)
		return code;
	char *text = pipeline_print(pipeline);
	fputs(text, stdout);
	free(text);
	pipeline_free(pipeline);
	source_free(&source);
	return 0;
}

static int
main_status(const struct arguments *a)
{
	return control_ask(a->operand, a->json ? "status json" : "status", stdout);
}

static int
main_reload(const struct arguments *a)
{
	return control_ask(a->operand, "reload", stdout);
}

static const struct command {
	const char *name;
	int (*run)(const struct arguments *);
	bool needs_file, json, checks; /* needs FILE; takes --json; takes --offline and --ddl */
} commands[] = {
    {"run", main_run, true, false, false},         {"check", main_check, true, false, true},
    {"explain", main_explain, true, false, false}, {"status", main_status, false, true, false},
    {"reload", main_reload, false, false, false},
};

static int
main_command(const struct command *c, int argc, char **argv)
{
	struct arguments a = {0};
	bool options = true;
	for (int i = 2; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && c->json && strcmp(argv[i], "--json") == 0)
			a.json = true;
		else if (options && c->checks && strcmp(argv[i], "--offline") == 0)
			a.offline = true;
		else if (options && c->checks && strcmp(argv[i], "--ddl") == 0)
			a.ddl = true;
		else if (options && argv[i][0] == '-')
			return main_usage("unknown option", argv[i]);
		else if (a.operand)
			return main_usage("one argument too many", argv[i]);
		else
			a.operand = argv[i];
	}
	if (c->needs_file && !a.operand)
		return main_usage("which pipeline file", c->name);
	return c->run(&a);
}

/* A descriptor below 3 that is closed would be taken by the first file that is opened. */
static void
main_hold_standard_fds(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int
main_flush(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	perror("tallyd: standard output");
	return code ? code : EXIT_TEMPORARY;
}

int
main(int argc, char **argv)
{
	main_hold_standard_fds();
	if (argc < 2)
		return main_usage("what shall be done?", NULL);
	if (strcmp(argv[1], "--version") == 0) {
		printf("tallyd %s\n", TALLYD_VERSION);
		return main_flush(0);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(usage_text, stdout);
		return main_flush(0);
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return main_flush(main_command(&commands[i], argc, argv));
	return main_usage("unknown command", argv[1]);
}
