/*
 * log.h - one line a fault, to standard error, in logfmt (or JSON with TALLYD_LOG_FORMAT=json).
 *
 *   ts=2026-11-24T22:18:46.123Z level=warn stage=ingest event=topic.missing msg="waiting for ..."
 *
 * The only file that prints diagnostics. A line is one write(2) of at most 4 KiB and stays one
 * parsable line of UTF-8 whatever bytes it is given: control characters, line and paragraph
 * separators and those that turn the direction of text come as \uXXXX, bytes that are no UTF-8 as
 * \\xXX, and "..." ends what was too long. A line equal to the one before it within 10 s is
 * counted, not printed; the next different line is preceded by "repeated=N".
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
};

/*
 * Name the process in each line ("ingest", "supervisor", ...). `stage` is borrowed. Debug lines,
 * librdkafka's own among them, are shown when TALLYD_LOG_DEBUG is set.
 */
void log_init(const char *stage);

/* `event` is a stable dotted name; the rest is a printf message. errno is kept. */
void log_line(enum log_level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* In a text for a terminal or for JSON: put '?' for each character that log_line() would escape. */
void log_defuse(char *text);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/*
 * For lines of which there may be any number: true when one more may be printed now, and then *untold
 * says how many before it were not. One burst for each kind of line; zeroed at the beginning.
 */
struct log_burst {
	int64_t since_ms;
	unsigned lines, untold;
};
bool log_burst_allows(struct log_burst *, unsigned *untold);

/* Since 1970 (wall), and of a clock that never steps (monotonic). */
int64_t clock_wall_us(void);
int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);

/* "2026-11-24T22:18:46.123Z", of ms since 1970. Returns buf. */
#define CLOCK_TEXT 48
const char *clock_print(int64_t wall_ms, char buf[CLOCK_TEXT]);

/* Heap that never fails: out of memory ends the process with exit code 75 and one line. */
void *xcalloc(size_t count, size_t size);
void *xreallocarray(void *, size_t count, size_t size);

/* Likewise, but pages of zeros of their own beside the heap, given back by munmap() of the same size. */
void *xmap(size_t size);
char *xstrdup(const char *);
char *xstrndup(const char *, size_t);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
FILE *xmemstream(char **text, size_t *len); /* open_memstream(3) */

#endif
