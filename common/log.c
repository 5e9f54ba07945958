#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "common/json.h"

enum {
	LINE_MAX_BYTES = 4096,
	LINE_END_BYTES = 3, /* the closing quote, brace and newline have room whatever is cut */
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
clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

int64_t
clock_monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *
clock_print(int64_t wall_ms, char buf[CLOCK_TEXT])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[32];

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(buf, CLOCK_TEXT, "%" PRId64, wall_ms);
	else
		snprintf(buf, CLOCK_TEXT, "%s.%03dZ", text, (int)(wall_ms % 1000));
	return buf;
}

static void
line_add(struct line *l, const char *s, size_t len)
{
	size_t room = sizeof(l->text) - LINE_END_BYTES - l->len;

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

/* What would end a line, move a terminal's cursor, or show a line otherwise than it is. */
static bool
is_unsafe(unsigned code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c ||
	       (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/* The code of a well-formed sequence of up to three bytes; longer ones are all harmless. */
static unsigned
decode(const unsigned char *s, size_t len)
{
	switch (len) {
	case 1:
		return s[0];
	case 2:
		return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
	case 3:
		return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
	default:
		return 0x10000;
	}
}

void
log_defuse(char *text)
{
	char *to = text;
	size_t len;

	for (size_t left = strlen(text); left > 0; text += len, left -= len) {
		const unsigned char *c = (const unsigned char *)text;

		len = c[0] < 0x80 ? 1 : json_sequence(c, left);
		if (len == 0 || is_unsafe(decode(c, len))) {
			*to++ = '?';
			len = len == 0 ? 1 : len;
		} else {
			memmove(to, text, len);
			to += len;
		}
	}
	*to = '\0';
}

/* One character, *len bytes of s, as it stands in quotes. */
static void
print_quoted(const char *s, size_t left, size_t *len, char escape[8])
{
	const unsigned char *c = (const unsigned char *)s;
	unsigned code;

	*len = c[0] < 0x80 ? 1 : json_sequence(c, left);
	if (*len == 0) {
		*len = 1;
		snprintf(escape, 8, "\\\\x%02x", c[0]);
		return;
	}
	code = decode(c, *len);
	if (code == '"' || code == '\\')
		snprintf(escape, 8, "\\%c", (int)code);
	else if (code == '\n')
		strlcpy(escape, "\\n", 8);
	else if (code == '\t')
		strlcpy(escape, "\\t", 8);
	else if (is_unsafe(code))
		snprintf(escape, 8, "\\u%04x", code);
	else
		snprintf(escape, 8, "%.*s", (int)*len, s);
}

/* So that logfmt and JSON both read it: only \" \\ \n \t and \uXXXX are used. */
static void
line_add_quoted(struct line *l, const char *s)
{
	size_t left = strlen(s), len;
	char escape[8];

	line_add_str(l, "\"");
	for (; left > 0; s += len, left -= len) {
		if (l->len > sizeof(l->text) - LINE_END_BYTES - 2 * sizeof(escape)) {
			line_add_str(l, "...");
			break;
		}
		print_quoted(s, left, &len, escape);
		line_add_str(l, escape);
	}
	line_add_str(l, "\"");
}

/* A value of logfmt needs quotes only when it is no plain word. */
static void
line_add_word(struct line *l, const char *s, bool json)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._/-";

	if (!json && s[0] != '\0' && s[strspn(s, plain)] == '\0')
		line_add_str(l, s);
	else
		line_add_quoted(l, s);
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
	line_add_str(&l, json ? "\",\"stage\":" : " stage=");
	line_add_word(&l, log_stage, json);
	line_add_str(&l, json ? ",\"event\":" : " event=");
	line_add_word(&l, event, json);
	line_add_str(&l, json ? ",\"msg\":" : " msg=");
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

void *
xmap(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		out_of_memory(size);
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
