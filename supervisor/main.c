/* main.c - the command `tallyd`. */
#include <bsd/unistd.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/secret.h"
#include "common/stage.h"
#include "supervisor/check.h"
#include "supervisor/control.h"
#include "supervisor/daemon.h"
#include "supervisor/parse.h"
#include "supervisor/reload.h"

#define STATUS_LIMIT_S 10

static const char usage_text[] =
    "usage: tallyd run FILE                      run the pipeline until it is stopped\n"
    "       tallyd run FILE --replay             likewise, but read the whole history again\n"
    "       tallyd check FILE [--offline]        do all that a start checks, start nothing\n"
    "       tallyd check FILE --ddl              print what the target's owner is to run, where\n"
    "                                            tallyd may not create schema tallyd itself\n"
    "       tallyd explain FILE                  print the pipeline as tallyd understands it\n"
    "       tallyd status [FILE|NAME] [--json]   ask a running one\n"
    "       tallyd reload [FILE|NAME]            let a running one read its file again\n"
    "                     [--dry-run]            only say what each change would cost\n"
    "                     [--replay]             read the whole history again, if need be\n"
    "       tallyd rebuild FILE [VIEW]           bring target tables to what the views say\n"
    "       tallyd drop FILE                     remove the pipeline from schema tallyd\n"
    "       tallyd --version | --help\n"
    "The pipeline file is SQL; see tallyd(1).\n";

/* Options, one bit each. */
enum {
	OPTION_JSON = 1,
	OPTION_OFFLINE = 2,
	OPTION_DDL = 4,
	OPTION_REPLAY = 8,
	OPTION_DRY_RUN = 16,
	OPTION_REBUILD = 32, /* of check: a reload's own, with a view or none */
};

struct arguments {
	const char *operand; /* NULL: not given */
	const char *view;    /* rebuild's second operand, or check --rebuild=VIEW; NULL: none */
	unsigned options;
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

/* What the command line asks of a pipeline beside its file. */
static int
main_mark(const struct arguments *a, struct pipeline *pipeline)
{
	pipeline->replay = (a->options & OPTION_REPLAY) != 0;
	if (!(a->options & OPTION_REBUILD))
		return 0;
	return reload_mark(pipeline, a->view ? a->view : "", stderr);
}

static int
main_start(const struct arguments *a, enum daemon_mode mode)
{
	struct source source;
	struct pipeline *pipeline;
	log_init("supervisor");
	int code = main_parse_file(a->operand, &source, &pipeline);
	if (code != 0)
		return code;
	code = main_mark(a, pipeline);
	if (code == 0)
		code = check_stages(&source, pipeline, true, stderr, NULL);
	if (code == 0) {
		setproctitle("-tallyd: supervisor (%s)", pipeline->name);
		return daemon_run(&source, pipeline, mode);
	}
	pipeline_free(pipeline);
	source_free(&source);
	return code;
}

static int
main_run(const struct arguments *a)
{
	return main_start(a, DAEMON_RUN);
}

static int
main_check(const struct arguments *a)
{
	struct source source;
	struct pipeline *pipeline;
	bool ddl = (a->options & OPTION_DDL) != 0, offline = (a->options & OPTION_OFFLINE) != 0;
	log_init("check");
	int code = main_parse_file(a->operand, &source, &pipeline);
	if (code != 0)
		return code;
	code = main_mark(a, pipeline);
	if (code == 0)
		code = ddl ? check_ddl(&source, pipeline, stderr, stdout)
			   : check_stages(&source, pipeline, offline, stderr, stdout);
	if (code == 0 && !ddl)
		printf("%s: ok%s\n", pipeline->file,
		       offline ? " (offline: no server was asked)" : "");
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
	const char *request = a->options & OPTION_JSON ? "status json" : "status";
	return control_ask(a->operand, request, STATUS_LIMIT_S, stdout);
}

static int
main_reload(const struct arguments *a)
{
	char request[64];
	snprintf(request, sizeof request, "reload%s%s", a->options & OPTION_REPLAY ? " replay" : "",
		 a->options & OPTION_DRY_RUN ? " dry-run" : "");
	return control_ask(a->operand, request, 0, stdout);
}

/* By the one that runs it, else in this process. */
static int
main_rebuild(const struct arguments *a)
{
	char request[RELOAD_VIEW_MAX + 16];
	const char *view = a->view ? a->view : "";
	if (strlen(view) >= RELOAD_VIEW_MAX || strchr(view, '\n'))
		return main_usage("no such view", view);
	if (control_is_running(a->operand)) {
		snprintf(request, sizeof request, "rebuild%s%s", *view ? " " : "", view);
		return control_ask(a->operand, request, 0, stdout);
	}
	struct arguments alone = *a;
	alone.options |= OPTION_REBUILD;
	return main_start(&alone, DAEMON_REBUILD);
}

static int
main_drop(const struct arguments *a)
{
	struct source source;
	struct pipeline *pipeline;
	struct control control;
	log_init("drop");
	int code = main_parse_file(a->operand, &source, &pipeline);
	if (code != 0)
		return code;
	code = control_open(&control, pipeline->name, pipeline->file);
	if (code == 0)
		code = check_drop(&source, pipeline, stderr, stdout);
	control_close(&control);
	pipeline_free(pipeline);
	source_free(&source);
	return code;
}

static const struct command {
	const char *name;
	int (*run)(const struct arguments *);
	bool needs_file, takes_view;
	unsigned options;
} commands[] = {
    {"run", main_run, true, false, OPTION_REPLAY},
    {"check", main_check, true, false,
     OPTION_OFFLINE | OPTION_DDL | OPTION_REPLAY | OPTION_REBUILD},
    {"explain", main_explain, true, false, 0},
    {"status", main_status, false, false, OPTION_JSON},
    {"reload", main_reload, false, false, OPTION_REPLAY | OPTION_DRY_RUN},
    {"rebuild", main_rebuild, true, true, 0},
    {"drop", main_drop, true, false, 0},
};

/* False: no such option of this command. */
static bool
main_option(const struct command *c, const char *text, struct arguments *a)
{
	static const struct {
		const char *name;
		unsigned option;
	} options[] = {
	    {"--json", OPTION_JSON},     {"--offline", OPTION_OFFLINE}, {"--ddl", OPTION_DDL},
	    {"--replay", OPTION_REPLAY}, {"--dry-run", OPTION_DRY_RUN},
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if ((c->options & options[i].option) && strcmp(text, options[i].name) == 0) {
			a->options |= options[i].option;
			return true;
		}
	}
	if (!(c->options & OPTION_REBUILD) || strncmp(text, "--rebuild=", 10) != 0)
		return false;
	a->options |= OPTION_REBUILD;
	a->view = text + 10;
	return true;
}

static int
main_command(const struct command *c, int argc, char **argv)
{
	struct arguments a = {0};
	bool options = true;
	for (int i = 2; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && main_option(c, argv[i], &a))
			continue;
		else if (options && argv[i][0] == '-')
			return main_usage("unknown option", argv[i]);
		else if (!a.operand)
			a.operand = argv[i];
		else if (c->takes_view && !a.view)
			a.view = argv[i];
		else
			return main_usage("one argument too many", argv[i]);
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
	secret_seal_process();
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
