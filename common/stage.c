/* stage.c - life inside a child of the supervisor. */
#include "common/stage.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/secret.h"

#define STAGE_POLL_MAX   40
#define STAGE_BEAT_MS    1000
#define STAGE_WAITING_MS 1000

/* The only stage of this process: stage_panic() and the rate limits need it. */
static struct {
	struct stage *stage;
	struct pipeline *pipeline; /* as in *stage, which may be gone at exit: both live as long */
	struct board *board;       /* as the process, and leak checkers find them here */
	int beat_ms;
	bool said_ready, said_standby;
	int64_t waiting_ms; /* when WAITING was said last */
	char note[sizeof((struct board_stage *)0)->note];
	char name[64];
} life;

static const char *
stage_role_name(enum stage_role role)
{
	static const char *const names[] = {
	    [ROLE_EGRESS] = "egress",
	    [ROLE_REDUCE] = "reduce",
	    [ROLE_INGEST] = "ingest",
	};
	return names[role];
}

_Noreturn static void
stage_refuse(const char *what, const char *detail)
{
	log_error("stage.start", "%s: %s; stages are started by `tallyd run`, not by hand", what,
		  detail);
	exit(EXIT_USAGE);
}

static unsigned
stage_number(const char *argument, const char *text, unsigned max)
{
	const char *error;
	long long n = strtonum(text, 0, max, &error);
	if (error)
		stage_refuse(argument, error);
	return (unsigned)n;
}

/* Returns the slot on the board. */
static unsigned
stage_arguments(struct stage *s, int argc, char **argv)
{
	bool has_slot = false, has_server = false;
	unsigned slot = 0;
	if (argc < 2 || (strcmp(argv[1], "run") != 0 && strcmp(argv[1], "check") != 0))
		stage_refuse(argv[0], "expected `run` or `check`");
	s->check = strcmp(argv[1], "check") == 0;
	for (int i = 2; i < argc; i++) {
		if (strncmp(argv[i], "--slot=", 7) == 0) {
			slot = stage_number(argv[i], argv[i] + 7, BOARD_STAGES_MAX - 1);
			has_slot = true;
		} else if (strncmp(argv[i], "--server=", 9) == 0) {
			s->server = stage_number(argv[i], argv[i] + 9, BOARD_STAGES_MAX - 1);
			has_server = true;
		} else if (!s->check && strcmp(argv[i], "--held") == 0) {
			s->held = true;
		} else if (s->check && strcmp(argv[i], "--offline") == 0) {
			s->offline = true;
		} else if (s->check && s->role == ROLE_EGRESS && strcmp(argv[i], "--ddl") == 0) {
			s->ddl = true;
		} else if (s->check && s->role == ROLE_EGRESS && strcmp(argv[i], "--drop") == 0) {
			s->drop = true;
		} else {
			stage_refuse(argv[i], "unknown argument");
		}
	}
	if (!s->check && !has_slot)
		stage_refuse(argv[0], "--slot is missing");
	if (s->role == ROLE_INGEST && !has_server)
		stage_refuse(argv[0], "--server is missing");
	return slot;
}

/* NULL, and why in *error. */
static struct pipeline *
stage_map_section(int fd, const char **error)
{
	struct stat st;
	struct unpack u;
	*error = "its descriptor is not there";
	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return NULL;
	*error = "is not sealed";
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
		return NULL;
	size_t size = (size_t)st.st_size;
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	*error = "cannot be mapped";
	if (bytes == MAP_FAILED)
		return NULL;
	unpack_init(&u, bytes, size);
	struct pipeline *pipeline = pipeline_unpack(&u);
	munmap(bytes, size);
	*error = "was written by another version of tallyd";
	return pipeline;
}

/* The section may hold a password: it is read once, and its descriptor and mapping are dropped. */
static void
stage_read_section(struct stage *s)
{
	const char *error = NULL;
	s->pipeline = stage_map_section(STAGE_FD_SECTION, &error);
	close(STAGE_FD_SECTION);
	if (!s->pipeline)
		stage_refuse("section of the pipeline", error);
	if (s->role == ROLE_INGEST && s->server >= s->pipeline->server_count)
		stage_refuse("--server", "the pipeline has no such server");
}

static struct ring_fds
stage_take_ring(int *next_fd)
{
	struct ring_fds fds = {*next_fd, *next_fd + 1, *next_fd + 2};
	for (int fd = *next_fd; fd < *next_fd + 3; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			stage_refuse("ring", "its descriptors are not there");
	*next_fd += 3;
	return fds;
}

static void
stage_take_rings(struct stage *s)
{
	int fd = STAGE_FD_RINGS;
	s->image = s->role == ROLE_INGEST ? -1 : STAGE_FD_IMAGE;
	if (s->image >= 0 && fcntl(s->image, F_SETFD, FD_CLOEXEC) < 0)
		stage_refuse("image", "its descriptor is not there");
	if (s->role != ROLE_EGRESS)
		s->out = stage_take_ring(&fd);
	if (s->role == ROLE_EGRESS)
		s->ins = 1;
	else if (s->role == ROLE_REDUCE)
		s->ins = s->pipeline->server_count;
	if (s->ins > BOARD_STAGES_MAX)
		stage_refuse("rings", "too many servers");
	for (unsigned i = 0; i < s->ins; i++)
		s->in[i] = stage_take_ring(&fd);
}

static void
stage_take_board(struct stage *s, unsigned slot)
{
	if (s->check) { /* counters go nowhere, but the code that counts needs no check of its own */
		s->board = xcalloc(1, sizeof *s->board);
		s->self = &s->board->stage[0];
		return;
	}
	s->board = board_attach(STAGE_FD_BOARD);
	if (!s->board)
		stage_refuse("board", strerror(errno));
	s->self = &s->board->stage[slot];
	if (fcntl(STAGE_FD_CONTROL, F_SETFD, FD_CLOEXEC) < 0)
		stage_refuse("control socket", strerror(errno));
	close(STAGE_FD_BOARD);
}

/*
 * The terminal, systemd and `pkill` signal the whole group; the supervisor decides alone what they
 * mean for a stage. Only SIGKILL and SIGABRT end one from outside.
 */
static void
stage_ignore_signals(void)
{
	static const int ignored[] = {
	    SIGINT, SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE,
	};
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
}

static void
stage_name(const struct stage *s)
{
	const char *role = stage_role_name(s->role);
	if (s->role == ROLE_INGEST && s->pipeline->server_count > 1)
		snprintf(life.name, sizeof life.name, "%s/%s", role,
			 s->pipeline->servers[s->server].name);
	else
		strlcpy(life.name, role, sizeof life.name);
	log_init(life.name);
	setproctitle("-tallyd: %s%s (%s)", life.name, s->check ? " check" : "", s->pipeline->name);
}

static int
stage_beat_interval(void)
{
	const char *text = getenv("TALLYD_HANG_MS");
	const char *error = NULL;
	long long hang_ms = text ? strtonum(text, 1, INT32_MAX, &error) : 0;
	if (!text || error || hang_ms / 4 >= STAGE_BEAT_MS)
		return STAGE_BEAT_MS;
	return hang_ms >= 4 ? (int)(hang_ms / 4) : 1;
}

void
stage_open(struct stage *s, enum stage_role role, int argc, char **argv)
{
	memset(s, 0, sizeof *s);
	memset(&life, 0, sizeof life);
	s->role = role;
	s->image = s->section = -1;
	secret_seal_process();
	log_init(stage_role_name(role));
	unsigned slot = stage_arguments(s, argc, argv);
	stage_ignore_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	stage_read_section(s);
	stage_name(s);
	stage_take_board(s, slot);
	if (!s->check)
		stage_take_rings(s);
	life.stage = s;
	life.pipeline = s->pipeline;
	life.board = s->board;
	life.beat_ms = stage_beat_interval();
	stage_beat(s);
}

void
stage_beat(struct stage *s)
{
	atomic_fetch_add_explicit(&s->self->heartbeat, 1, memory_order_relaxed);
}

static void
stage_keep_section(struct stage *s, struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return;
	if (s->section >= 0)
		close(s->section);
	memcpy(&s->section, CMSG_DATA(c), sizeof s->section);
}

/* End-of-file or an error: the supervisor is gone, and the kernel is about to kill us anyway. */
static void
stage_hear(struct stage *s)
{
	char message;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = {.iov_base = &message, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof control};
	ssize_t n = recvmsg(STAGE_FD_CONTROL, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == 1) {
		if (message == CONTROL_STOP || message == CONTROL_LEAVE)
			s->stopping = true;
		if (message == CONTROL_LEAVE)
			s->leaving = true;
		else if (message == CONTROL_TURN)
			s->held = false;
		else if (message == CONTROL_SECTION)
			stage_keep_section(s, &m);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	log_warn("stage.orphan", "the supervisor is gone: %s ends", life.name);
	_exit(EXIT_TEMPORARY);
}

int
stage_poll(struct stage *s, struct pollfd *fds, unsigned n, int timeout_ms)
{
	struct pollfd all[STAGE_POLL_MAX + 1];
	INVARIANT(n <= STAGE_POLL_MAX);
	if (n > 0)
		memcpy(all, fds, n * sizeof *fds);
	all[n] = (struct pollfd){.fd = s->check ? -1 : STAGE_FD_CONTROL, .events = POLLIN};
	if (timeout_ms < 0 || timeout_ms > life.beat_ms)
		timeout_ms = life.beat_ms;
	stage_beat(s);
	int ready = poll(all, n + 1, timeout_ms);
	stage_beat(s);
	if (ready < 0 && errno != EINTR)
		stage_fail(s, EXIT_INTERNAL, "stage.poll", "poll: %s", strerror(errno));
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = ready > 0 ? all[i].revents : 0;
	if (ready <= 0)
		return 0;
	if (all[n].revents) {
		ready--;
		stage_hear(s);
	}
	return ready;
}

void
stage_wait_turn(struct stage *s)
{
	while (s->held)
		stage_poll(s, NULL, 0, -1);
}

static void
stage_tell(const struct stage *s, enum control_message message)
{
	char byte = (char)message;
	if (s->check)
		return;
	/* A full socket means that the supervisor is behind by hundreds of words: READY must not be
	 * lost, so wait for it; its end is noticed by stage_poll(). */
	int flags = MSG_NOSIGNAL | (message == CONTROL_WAITING ? MSG_DONTWAIT : 0);
	while (send(STAGE_FD_CONTROL, &byte, 1, flags) < 0 && errno == EINTR)
		;
}

void
stage_ready(struct stage *s)
{
	if (life.said_ready)
		return;
	life.said_ready = true;
	if (atomic_load(&s->self->state) != STAGE_REPLAY)
		board_set_state(s->self, STAGE_RUNNING, "");
	stage_tell(s, CONTROL_READY);
}

void
stage_standby(struct stage *s, const char *note)
{
	board_set_state(s->self, STAGE_STANDBY, note);
	if (life.said_standby)
		return;
	life.said_standby = true;
	log_info("stage.standby", "%s", note);
	stage_tell(s, CONTROL_STANDBY);
}

void
stage_waiting(struct stage *s, const char *note)
{
	int64_t now = clock_monotonic_ms();
	/* What is waited for again, after it had been there, is told again. */
	if (atomic_load_explicit(&s->self->state, memory_order_relaxed) != STAGE_WAITING)
		life.note[0] = '\0';
	board_set_state(s->self, STAGE_WAITING, note);
	if (strncmp(life.note, note, sizeof life.note - 1) != 0) {
		strlcpy(life.note, note, sizeof life.note);
		log_warn("stage.waiting", "%s", note);
	}
	if (life.waiting_ms != 0 && now - life.waiting_ms < STAGE_WAITING_MS)
		return;
	life.waiting_ms = now;
	stage_tell(s, CONTROL_WAITING);
}

void
stage_filled(struct stage *s)
{
	stage_tell(s, CONTROL_FILLED);
}

void
stage_taken(struct stage *s)
{
	stage_tell(s, CONTROL_TAKEN);
}

struct pipeline *
stage_take_section(struct stage *s)
{
	const char *error;
	if (s->section < 0)
		return NULL;
	struct pipeline *pipeline = stage_map_section(s->section, &error);
	close(s->section);
	s->section = -1;
	if (!pipeline)
		log_error("stage.section", "the new section of the pipeline %s", error);
	return pipeline;
}

static void
stage_last_words(const char *words)
{
	if (life.stage)
		strlcpy(life.stage->self->words, words, sizeof life.stage->self->words);
}

/* One machine line for the supervisor: level, line, column, text without tabs or line breaks. */
static void
stage_print(int level, const struct place *place, char *text)
{
	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\t' || *c == '\r')
			*c = ' ';
	printf("%s\t%u\t%u\t%s\n",
	       level == LOG_ERROR  ? "error"
	       : level == LOG_WARN ? "warning"
				   : "info",
	       place ? place->line : 0, place ? place->column : 0, text);
	fflush(stdout);
}

void
stage_fail(struct stage *s, enum exit_code code, const char *event, const char *fmt, ...)
{
	char text[BOARD_WORDS_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	stage_last_words(text);
	if (s->check)
		stage_print(LOG_ERROR, NULL, text);
	else
		log_error(event, "%s", text);
	exit((int)code);
}

void
stage_report(struct stage *s, int level, const struct place *place, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (s->check)
		stage_print(level, place, text);
	else if (place && place->line)
		log_line((enum log_level)level, "pipeline.report", "%s:%u:%u: %s",
			 s->pipeline->file, place->line, place->column, text);
	else
		log_line((enum log_level)level, "pipeline.report", "%s: %s", s->pipeline->file,
			 text);
}

void
stage_panic(const char *file, int line, const char *what)
{
	char words[BOARD_WORDS_MAX];
	snprintf(words, sizeof words, "broken invariant at %s:%d: %s", file, line, what);
	stage_last_words(words);
	log_error("stage.panic", "%s", words);
	abort();
}
