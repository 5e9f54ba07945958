#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "common/log.h"
#include "tests/mutations/mutations.h"

#define PATH_MAX_BYTES 256
#define DEPTH_MAX      70 /* deeper ones are refused: see JSON_DEPTH_MAX */

struct writer {
	struct reading *reading;
	FILE *out;
	char path[PATH_MAX_BYTES];
	size_t starts[DEPTH_MAX]; /* of the path within which each level's members lie */
	unsigned depth;
	bool comma, too_deep;
};

static void
write_comma(struct writer *w)
{
	if (w->comma)
		fputc(',', w->out);
	w->comma = true;
}

static void
write_string(struct writer *w, const unsigned char *s, size_t len)
{
	fputc('"', w->out);
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			fprintf(w->out, "\\%c", s[i]);
		else if (s[i] < 0x20)
			fprintf(w->out, "\\u%04x", (unsigned)s[i]);
		else
			fputc(s[i], w->out);
	}
	fputc('"', w->out);
}

static int
on_null(void *context)
{
	struct writer *w = context;

	write_comma(w);
	fputs("null", w->out);
	return 1;
}

static int
on_boolean(void *context, int value)
{
	struct writer *w = context;

	write_comma(w);
	fputs(value ? "true" : "false", w->out);
	return 1;
}

static int
on_number(void *context, const char *text, size_t len)
{
	struct writer *w = context;

	write_comma(w);
	fwrite(text, 1, len, w->out);
	return 1;
}

static int
on_string(void *context, const unsigned char *text, size_t len)
{
	struct writer *w = context;

	write_comma(w);
	write_string(w, text, len);
	return 1;
}

static void
note_path(struct writer *w, const unsigned char *name, size_t len)
{
	size_t start = w->depth > 0 ? w->starts[w->depth - 1] : 0;
	struct reading *r = w->reading;

	if (start + len + 2 > sizeof(w->path))
		return;
	if (start > 0)
		w->path[start - 1] = '.';
	memcpy(w->path + start, name, len);
	w->path[start + len] = '\0';
	if (start == 0 && strcmp(w->path, "payload") == 0)
		w->path[0] = '\0';
	else if (r->path_count < READING_PATHS)
		r->paths[r->path_count++] = xstrdup(w->path);
}

static int
on_key(void *context, const unsigned char *text, size_t len)
{
	struct writer *w = context;

	write_comma(w);
	write_string(w, text, len);
	fputc(':', w->out);
	w->comma = false;
	note_path(w, text, len);
	return 1;
}

static int
open_level(struct writer *w, char bracket)
{
	size_t len = strlen(w->path);

	write_comma(w);
	fputc(bracket, w->out);
	w->comma = false;
	w->too_deep |= w->depth == DEPTH_MAX;
	if (w->too_deep)
		return 0;
	w->starts[w->depth++] = len > 0 ? len + 1 : 0;
	return 1;
}

static int
close_level(struct writer *w, char bracket)
{
	size_t start = w->starts[--w->depth];

	fputc(bracket, w->out);
	w->path[start > 0 ? start - 1 : 0] = '\0';
	w->comma = true;
	return 1;
}

static int
on_object(void *context)
{
	return open_level(context, '{');
}

static int
on_object_end(void *context)
{
	return close_level(context, '}');
}

static int
on_array(void *context)
{
	return open_level(context, '[');
}

static int
on_array_end(void *context)
{
	return close_level(context, ']');
}

/* --- what yajl looks at less closely than JSON's standard --- */

static bool
is_continued(const unsigned char *s, size_t left, unsigned more, unsigned low, unsigned high)
{
	if (left <= more || s[1] < low || s[1] > high)
		return false;
	for (unsigned i = 2; i <= more; i++)
		if ((s[i] & 0xC0) != 0x80)
			return false;
	return true;
}

/* The table of RFC 3629. Bytes of one character, 0: it is none. */
static unsigned
character_len(const unsigned char *s, size_t left)
{
	unsigned char c = s[0];

	if (c < 0x80)
		return 1;
	if (c >= 0xC2 && c <= 0xDF)
		return is_continued(s, left, 1, 0x80, 0xBF) ? 2 : 0;
	if (c >= 0xE0 && c <= 0xEF)
		return is_continued(s, left, 2, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF)
			   ? 3
			   : 0;
	if (c >= 0xF0 && c <= 0xF4)
		return is_continued(s, left, 3, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF)
			   ? 4
			   : 0;
	return 0;
}

static bool
text_is_strict(const struct text *t)
{
	const unsigned char *s = (const unsigned char *)t->s;

	for (size_t i = 0; i < t->len;) {
		unsigned n = character_len(s + i, t->len - i);
		if (n == 0 || s[i] == '\v' || s[i] == '\f')
			return false;
		i += n;
	}
	return true;
}

/* yajl writes '?' for half a pair: only the input tells. */
static bool
text_has_half_pair(const struct text *t)
{
	for (size_t i = 0; i + 5 < t->len; i++) {
		if (t->s[i] != '\\')
			continue;
		if (t->s[i + 1] != 'u') {
			i++;
			continue;
		}
		char code[5] = {t->s[i + 2], t->s[i + 3], t->s[i + 4], t->s[i + 5], '\0'};
		unsigned long n = strtoul(code, NULL, 16);
		if (n >= 0xDC00 && n <= 0xDFFF)
			return true;
		if (n < 0xD800 || n > 0xDBFF)
			continue;
		if (i + 11 >= t->len || t->s[i + 6] != '\\' || t->s[i + 7] != 'u' ||
		    strchr("dD", t->s[i + 8]) == NULL || strchr("cdefCDEF", t->s[i + 9]) == NULL)
			return true;
		i += 11;
	}
	return false;
}

void
reading_make(struct reading *r, const struct text *t)
{
	static const yajl_callbacks callbacks = {
	    .yajl_null = on_null,
	    .yajl_boolean = on_boolean,
	    .yajl_number = on_number,
	    .yajl_string = on_string,
	    .yajl_start_map = on_object,
	    .yajl_map_key = on_key,
	    .yajl_end_map = on_object_end,
	    .yajl_start_array = on_array,
	    .yajl_end_array = on_array_end,
	};
	struct writer w = {.reading = r};
	char *plain;

	*r = (struct reading){0};
	w.out = xmemstream(&plain, &r->len);
	yajl_handle handle = yajl_alloc(&callbacks, NULL, &w);
	/* The array around it: yajl overlooks a token without an end behind the value. */
	bool good = handle != NULL && yajl_parse(handle, (const unsigned char *)"[", 1) == 0 &&
		    yajl_parse(handle, (const unsigned char *)t->s, t->len) == 0 && w.depth == 1 &&
		    yajl_parse(handle, (const unsigned char *)"]", 1) == 0 && w.depth == 0 &&
		    yajl_complete_parse(handle) == 0;
	yajl_free(handle);
	fclose(w.out);
	r->good = good && text_is_strict(t) && !text_has_half_pair(t) && r->len > 2;
	if (r->good) { /* without that array */
		r->len -= 2;
		r->plain = xcalloc(r->len + 1, 1);
		memcpy(r->plain, plain + 1, r->len);
	}
	free(plain);
}

void
reading_free(struct reading *r)
{
	for (unsigned i = 0; i < r->path_count; i++)
		free(r->paths[i]);
	free(r->plain);
	*r = (struct reading){0};
}

bool
reading_has(const struct reading *r, const char *path)
{
	for (unsigned i = 0; i < r->path_count; i++)
		if (strcmp(r->paths[i], path) == 0)
			return true;
	return false;
}

bool
sentence_is_clear(const char *sentence)
{
	const unsigned char *s = (const unsigned char *)sentence;
	size_t len = strlen(sentence);

	for (size_t i = 0; i < len;) {
		unsigned n = character_len(s + i, len - i);
		if (n == 0 || s[i] < 0x20 || s[i] == 0x7F || (s[i] == 0xC2 && s[i + 1] < 0xA0))
			return false;
		i += n;
	}
	return len > 10;
}
