/*
 * A log line stays one parsable line whatever bytes it is given. Read back by a reader of logfmt
 * that knows nothing of log.c, by common/json, and by the C library's UTF-8.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

#include "common/json.h"
#include "common/log.h"

static char line[8192]; /* the last one, without its newline */

/* What log_line() writes for this message: exactly one line. */
static void
logged(const char *message)
{
	int kept = dup(STDERR_FILENO), fd = memfd_create("log", 0);
	cr_assert_geq(fd, 0);
	dup2(fd, STDERR_FILENO);
	log_line(LOG_WARN, "some.event", "%s", message);
	dup2(kept, STDERR_FILENO);
	close(kept);
	ssize_t n = pread(fd, line, sizeof line - 1, 0);
	close(fd);
	cr_assert_gt(n, 0);
	cr_assert_leq(n, 4096);
	line[n] = '\0';
	cr_assert_eq(strlen(line), (size_t)n);
	cr_assert_eq(strchr(line, '\n'), line + n - 1, "one line: %s", line);
	line[n - 1] = '\0';
}

static void
expect_harmless(void)
{
	static wchar_t wide[sizeof line];
	cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
	size_t n = mbstowcs(wide, line, sizeof line);
	cr_assert_neq(n, (size_t)-1, "no UTF-8: %s", line);
	for (size_t i = 0; i < n; i++)
		cr_assert(wide[i] >= ' ' && !(wide[i] >= 0x7f && wide[i] < 0xa0) &&
			      wide[i] != 0x2028 && wide[i] != 0x2029 && wide[i] != 0x202e,
			  "U+%04x in the line", (unsigned)wide[i]);
}

/* key=word key="quoted" ...: the value of the key, unquoted up to \uXXXX, which stays. */
static char *
logfmt(const char *wanted)
{
	static char value[sizeof line];
	bool found = false;
	for (const char *s = line; *s; s += *s == ' ') {
		char key[32], here[sizeof line];
		size_t n = 0;
		cr_assert_eq(sscanf(s, "%31[a-z]=", key), 1, "a key at: %s", s);
		s += strlen(key) + 1;
		if (*s == '"') {
			for (s++; *s != '"'; s++) {
				cr_assert_neq(*s, '\0', "the quote is closed: %s", line);
				if (*s == '\\' && s[1] != 'u')
					s++;
				here[n++] = *s;
			}
			s++;
		} else {
			for (; *s && *s != ' '; s++) {
				cr_assert(*s != '"' && *s != '=', "a plain word at: %s", s);
				here[n++] = *s;
			}
		}
		here[n] = '\0';
		cr_assert(*s == ' ' || *s == '\0', "a blank at: %s", s);
		if (strcmp(key, wanted) == 0) {
			cr_assert(!found, "%s once: %s", wanted, line);
			strcpy(value, here);
			found = true;
		}
	}
	cr_assert(found, "%s in %s", wanted, line);
	return value;
}

/* The member's value, unescaped; the whole line must be one object of strings. */
static char *
json(const char *wanted)
{
	static char value[sizeof line], buf[sizeof line];
	struct json j;
	struct slice name;
	bool found = false;
	json_init(&j, line, strlen(line));
	json_enter(&j, JSON_OBJECT);
	while (json_key(&j, &name)) {
		bool here = slice_is(name, wanted);
		struct slice s = json_string(&j, buf, sizeof buf);
		if (here) {
			memcpy(value, s.s, s.len);
			value[s.len] = '\0';
			found = true;
		}
	}
	cr_assert(json_end(&j), "%s", line);
	cr_assert(found, "%s in %s", wanted, line);
	return value;
}

static uint64_t seed = 20261129;

static unsigned
draw(unsigned bound)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % bound;
}

/* Bytes of all kinds, no NUL: what is likely to break a line more often than by chance. */
static void
draw_message(char *text, size_t size)
{
	static const char *const nasty[] = {
	    "\n",
	    "\r\n",
	    "\"",
	    "\\",
	    "\\\"",
	    "\x1b[2J\x1b]0;title\a",
	    "\xe2\x80\xa8",
	    "\xe2\x80\xa9",
	    "\xe2\x80\xae",
	    "\xc2\x9b"
	    "2J",
	    "\x7f",
	    "\xed\xa0\x80",
	    "\xc0\x80",
	    "\xf4\x90\x80\x80",
	    "\xf0\x9f\x98\x80",
	    "\xe2\x82",
	    "\xff",
	    "\\u0022",
	    " level=error msg=\"",
	    "\",\"level\":\"error",
	    "{}",
	    "\t",
	    "\xef\xbb\xbf",
	};
	size_t len = draw(3) == 0 ? draw((unsigned)size - 40) : draw(200), n = 0;
	while (n < len) {
		if (draw(3) == 0) {
			const char *s = nasty[draw(sizeof nasty / sizeof *nasty)];
			strcpy(text + n, s);
			n += strlen(s);
		} else {
			text[n++] = (char)(draw(2) ? 1 + draw(255) : ' ' + draw(95));
		}
	}
	text[n] = '\0';
}

static void
random_messages(char *(*read)(const char *))
{
	static char text[6000], again[sizeof text];
	log_init("in\"gest/a b=c\nd");
	for (int i = 0; i < 3000; i++) {
		draw_message(text, sizeof text);
		logged(text);
		expect_harmless();
		cr_assert_str_eq(read("level"), "warn");
		cr_assert_str_eq(read("event"), "some.event");
		cr_assert(strncmp(read("stage"), "in\"gest/a b=c", 13) == 0, "%s", line);
		strcpy(again, read("msg"));
		if (strlen(text) > 5000)
			cr_assert(strcmp(again + strlen(again) - 3, "...") == 0, "%s", again);
	}
}

Test(log, any_bytes_stay_one_line_of_logfmt, .timeout = 60)
{
	random_messages(logfmt);
}

Test(log, any_bytes_stay_one_line_of_json, .timeout = 60)
{
	setenv("TALLYD_LOG_FORMAT", "json", 1);
	random_messages(json);
}

Test(log, json_gives_text_back_as_it_was)
{
	static const char text[] = "a\n\t\"\\ \x1b[0m \x7f \xc2\x85 \xe2\x80\xa8 \xc3\xa4 "
				   "\xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbb\xbf end";
	setenv("TALLYD_LOG_FORMAT", "json", 1);
	logged(text);
	cr_assert_str_eq(json("msg"), text);
	cr_assert_str_eq(json("stage"), "tallyd");
	logged("cut \xe2\x82 and \xff");
	cr_assert_str_eq(json("msg"), "cut \\xe2\\x82 and \\xff");
}

Test(log, plain_words_need_no_quotes)
{
	log_init("ingest/orders");
	logged("all is well");
	cr_assert(
	    strstr(line, " level=warn stage=ingest/orders event=some.event msg=\"all is well\""),
	    "%s", line);
}

Test(log, defused_text_moves_no_cursor)
{
	static const char *const cases[][2] = {
	    {"plain \xc3\xa4 \xe2\x82\xac", "plain \xc3\xa4 \xe2\x82\xac"},
	    {"\x1b[2J\n\t", "?[2J??"},
	    {"a\xc2\x9b"
	     "b\xe2\x80\xae"
	     "c\xe2\x80\xa8",
	     "a?b?c?"},
	    {"\xff\xe2\x82", "???"},
	    {"\xf0\x9f\x98\x80\x7f", "\xf0\x9f\x98\x80?"},
	    {"", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = xstrdup(cases[i][0]);
		log_defuse(text);
		cr_assert_str_eq(text, cases[i][1], "%zu", i);
		free(text);
	}
}
