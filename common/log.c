#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

enum {
	LINE_MAX_BYTES = 4096,
	REPEAT_WINDOW_MS = 10000,
};

#define LOG_BURST_LINES 20u /* in LOG_BURST_MS */
#define LOG_BURST_MS    1000

static const char *log_stage = "tallyd";
static bool log_debug_on;

/* The last body printed, and how often it came again since: a fault in a loop is one line. */
static char last_body[LINE_MAX_BYTES + 64];
static int64_t last_ms;
static unsigned last_repeats;

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

void
log_init(const char *stage)
{
	log_stage = stage;
	log_debug_on = getenv("TALLYD_LOG_DEBUG") != NULL;
}

bool
log_burst_allows(struct log_burst *burst, unsigned *untold)
{
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - burst->since_ms >= LOG_BURST_MS) {
		burst->since_ms = now_ms;
		burst->lines = 0;
	}
	if (burst->lines >= LOG_BURST_LINES) {
		burst->untold++;
		return false;
	}
	burst->lines++;
	*untold = burst->untold;
	burst->untold = 0;
	return true;
}

int64_t
clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
line_add(struct line *l, const char *s, size_t len)
{
	/* Two bytes stay free for the closing quote and the newline, whatever is cut. */
	size_t room = sizeof(l->text) - 4 - l->len;

	if (len > room)
		len = room;
	memcpy(l->text + l->len, s, len);
	l->len += len;
}

static void
line_add_str(struct line *l, const char *s)
{
	line_add(l, s, strlen(s));
}

/* Quoted so that logfmt and JSON both read it: only \" \\ \n \t and \u00XX are used. */
static void
line_add_quoted(struct line *l, const char *s)
{
	char escape[8];

	line_add_str(l, "\"");
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (l->len > sizeof(l->text) - 16)
			break; /* never cut an escape in half */
		if (c == '"' || c == '\\') {
			line_add(l, "\\", 1);
			line_add(l, s, 1);
		} else if (c == '\n') {
			line_add_str(l, "\\n");
		} else if (c == '\t') {
			line_add_str(l, "\\t");
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", c);
			line_add_str(l, escape);
		} else {
			line_add(l, s, 1);
		}
	}
	line_add_str(l, "\"");
}

static bool
log_is_json(void)
{
	static int json = -1;
	const char *format;

	if (json < 0) {
		format = getenv("TALLYD_LOG_FORMAT");
		json = format != NULL && strcmp(format, "json") == 0;
	}
	return json == 1;
}

static void
line_add_timestamp(struct line *l)
{
	struct timespec ts;
	struct tm tm;
	char text[40];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ldZ", ts.tv_nsec / 1000000);
	line_add_str(l, text);
}

static void
line_write(const char *level, const char *event, const char *message)
{
	struct line l = {.len = 0};
	bool json = log_is_json();
	ssize_t ignored;

	line_add_str(&l, json ? "{\"ts\":\"" : "ts=");
	line_add_timestamp(&l);
	line_add_str(&l, json ? "\",\"level\":\"" : " level=");
	line_add_str(&l, level);
	line_add_str(&l, json ? "\",\"stage\":\"" : " stage=");
	line_add_str(&l, log_stage);
	line_add_str(&l, json ? "\",\"event\":\"" : " event=");
	line_add_str(&l, event);
	line_add_str(&l, json ? "\",\"msg\":" : " msg=");
	line_add_quoted(&l, message);
	if (json)
		line_add_str(&l, "}");
	l.text[l.len++] = '\n';
	/* Nowhere is left to report that standard error cannot be written. */
	ignored = write(STDERR_FILENO, l.text, l.len);
	(void)ignored;
}

/* Returns true when the line is to be swallowed as a repetition. */
static bool
log_repeats(const char *event, const char *message)
{
	char body[sizeof(last_body)], summary[64];
	int64_t now = clock_monotonic_ms();

	snprintf(body, sizeof(body), "%.60s %s", event, message);
	if (strcmp(body, last_body) == 0 && now - last_ms < REPEAT_WINDOW_MS) {
		last_repeats++;
		return true;
	}
	if (last_repeats > 0) {
		snprintf(summary, sizeof(summary), "the line before came again, repeated=%u",
			 last_repeats);
		line_write("info", "log.repeated", summary);
	}
	strlcpy(last_body, body, sizeof(last_body));
	last_ms = now;
	last_repeats = 0;
	return false;
}

void
log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	char message[LINE_MAX_BYTES];
	int saved = errno;
	va_list ap;

	if (level == LOG_DEBUG && !log_debug_on)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (!log_repeats(event, message))
		line_write(names[level], event, message);
	errno = saved;
}

_Noreturn static void
out_of_memory(size_t bytes)
{
	char message[64];

	snprintf(message, sizeof(message), "out of memory: %zu bytes were refused", bytes);
	line_write("error", "memory", message);
	_exit(75);
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

	if (p == NULL)
		out_of_memory(count * size);
	return p;
}

void *
xreallocarray(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count > 0 ? count : 1, size > 0 ? size : 1);

	if (p == NULL)
		out_of_memory(count * size);
	return p;
}

char *
xstrndup(const char *s, size_t len)
{
	char *p = xcalloc(len + 1, 1);

	memcpy(p, s, len);
	return p;
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(strlen(fmt));
	return p;
}

FILE *
xmemstream(char **text, size_t *len)
{
	FILE *stream = open_memstream(text, len);

	if (stream == NULL)
		out_of_memory(BUFSIZ);
	return stream;
}
