/*
 * parse_source.c - the text of a pipeline file: reading it, places in it, showing a line of it.
 *
 * Has a small tokenizer of its own, because a line must be shown with its secrets hidden also when
 * the file does not parse.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/stage.h"
#include "supervisor/parse_tree.h"

/* Bytes of the UTF-8 sequence at s, 0 when there is no valid one. */
static size_t
utf8_sequence(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;
	uint32_t c;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	c = s[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000))
		return 0;
	return (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff ? 0 : n;
}

static bool
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* --- reading --- */

static int
source_refuse(struct source *source, FILE *errors, const char *what)
{
	fprintf(errors, "%s: error: %s\n", source->path, what);
	source_free(source);
	return EXIT_CONFIG;
}

static int
source_load(struct source *source, int fd, FILE *errors)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return source_refuse(source, errors, "is a directory, not a pipeline file");
	source->text = xcalloc(1, SOURCE_BYTES_MAX + 2);
	for (;;) {
		ssize_t n =
		    read(fd, source->text + source->len, SOURCE_BYTES_MAX + 1 - source->len);

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return source_refuse(source, errors, strerror(errno));
		source->len += (size_t)n;
		if (source->len > SOURCE_BYTES_MAX)
			return source_refuse(source, errors,
					     "is larger than 1 MiB: that is no pipeline file");
	}
}

static int
source_check_text(struct source *source, FILE *errors)
{
	if (source->len >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0) {
		source->len -= 3;
		memmove(source->text, source->text + 3, source->len + 1);
	}
	for (size_t i = 0; i < source->len;) {
		size_t n = utf8_sequence(source->text + i, source->len - i);

		if (n == 0 || source->text[i] == '\0') {
			struct place place = source_place(source, i);

			fprintf(errors, "%s:%u:%u: error: this byte is not UTF-8 text\n",
				source->path, place.line, place.column);
			source_free(source);
			return EXIT_CONFIG;
		}
		i += n;
	}
	return 0;
}

int
source_read(struct source *source, const char *path, FILE *errors)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;

	*source = (struct source){0};
	if (fd < 0) {
		code = errno == EACCES || errno == EPERM ? EXIT_DENIED : EXIT_CONFIG;
		fprintf(errors, "%s: error: cannot be opened: %s\n", path, strerror(errno));
		return code;
	}
	source->path = xstrdup(path);
	code = source_load(source, fd, errors);
	close(fd);
	return code != 0 ? code : source_check_text(source, errors);
}

void
source_free(struct source *source)
{
	free(source->path);
	if (source->text != NULL)
		explicit_bzero(source->text, source->len);
	free(source->text);
	*source = (struct source){0};
}

/* --- tokens --- */

static bool
is_word_start(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool
is_word(char c)
{
	return is_word_start(c) || isdigit((unsigned char)c) || c == '$';
}

/* Past a block comment that starts at `at`; they nest. */
static size_t
skip_block_comment(const struct source *source, size_t at)
{
	const char *s = source->text;
	unsigned depth = 0;

	while (at + 1 < source->len) {
		if (s[at] == '/' && s[at + 1] == '*') {
			depth++;
			at += 2;
		} else if (s[at] == '*' && s[at + 1] == '/') {
			at += 2;
			if (--depth == 0)
				return at;
		} else {
			at++;
		}
	}
	return source->len;
}

static size_t
skip_blank(const struct source *source, size_t at)
{
	const char *s = source->text;

	while (at < source->len) {
		if (isspace((unsigned char)s[at]))
			at++;
		else if (s[at] == '-' && s[at + 1] == '-')
			at += strcspn(s + at, "\r\n");
		else if (s[at] == '/' && s[at + 1] == '*')
			at = skip_block_comment(source, at);
		else
			break;
	}
	return at;
}

/* Past the quote that ends what the quote at `at` begins; the end of text when none does. */
static size_t
skip_quoted(const struct source *source, size_t at, bool escapes)
{
	const char *s = source->text;
	char quote = s[at++];

	while (at < source->len) {
		if (escapes && s[at] == '\\' && at + 1 < source->len)
			at += 2;
		else if (s[at] != quote)
			at++;
		else if (s[at + 1] == quote)
			at += 2;
		else
			return at + 1;
	}
	return source->len;
}

/* Past a dollar-quoted string, or 0 when none begins at `at`. */
static size_t
skip_dollar_quoted(const struct source *source, size_t at)
{
	const char *s = source->text;
	size_t n = 1;
	const char *close;

	if (is_word_start(s[at + 1]))
		while (is_word(s[at + n]) && s[at + n] != '$')
			n++;
	if (s[at + n] != '$')
		return 0;
	n++;
	close = memmem(s + at + n, source->len - at - n, s + at, n);
	return close == NULL ? source->len : (size_t)(close - s) + n;
}

static struct token
token_word(const struct source *source, size_t at)
{
	const char *s = source->text;
	struct token token = {TOKEN_WORD, at, at};

	while (is_word(s[token.end]))
		token.end++;
	if (s[token.end] == '\'' && token.end - at == 1 && strchr("eEbBxXnN", s[at]) != NULL) {
		token.kind = TOKEN_STRING;
		token.end = skip_quoted(source, token.end, s[at] == 'e' || s[at] == 'E');
	}
	return token;
}

struct token
source_token(const struct source *source, size_t at)
{
	const char *s = source->text;
	struct token token = {TOKEN_OTHER, 0, 0};

	at = skip_blank(source, at);
	token.start = at;
	if (at >= source->len) {
		token.kind = TOKEN_END;
		token.end = source->len;
	} else if (s[at] == '\'' || s[at] == '"') {
		token.kind = s[at] == '"' ? TOKEN_QUOTED : TOKEN_STRING;
		token.end = skip_quoted(source, at, false);
	} else if (is_word_start(s[at])) {
		token = token_word(source, at);
	} else if (s[at] == '$' && skip_dollar_quoted(source, at) != 0) {
		token.kind = TOKEN_STRING;
		token.end = skip_dollar_quoted(source, at);
	} else {
		token.end = at + 1;
		while (isdigit((unsigned char)s[at]) &&
		       (is_word(s[token.end]) || s[token.end] == '.'))
			token.end++;
	}
	return token;
}

bool
source_token_is(const struct source *source, const struct token *token, const char *word)
{
	size_t len = token->end - token->start;

	return (token->kind == TOKEN_WORD || token->kind == TOKEN_OTHER) && strlen(word) == len &&
	       strncasecmp(source->text + token->start, word, len) == 0;
}

/* --- secrets --- */

/* Where the walk through the tokens is. */
struct secret_walk {
	unsigned words;   /* tokens of this statement so far */
	bool options;     /* inside SET, or behind OPTIONS: names and values follow */
	char name[128];   /* the name that the next value belongs to */
	bool last_hidden; /* the last token was a hidden string: one next to it continues it */
};

static void
secret_name(struct secret_walk *w, const struct source *source, const struct token *token)
{
	size_t quote = token->kind == TOKEN_QUOTED && token->end - token->start >= 2 ? 1 : 0;
	size_t len = token->end - token->start - 2 * quote;

	if (len >= sizeof(w->name))
		len = sizeof(w->name) - 1;
	memcpy(w->name, source->text + token->start + quote, len);
	w->name[len] = '\0';
}

/* Take one token; true when it must not be shown. */
static bool
secret_step(struct secret_walk *w, const struct source *source, const struct token *token)
{
	bool hide = false;

	if (source_token_is(source, token, ";")) {
		*w = (struct secret_walk){0};
		return false;
	}
	if (w->options && token->kind != TOKEN_OTHER && !source_token_is(source, token, "to")) {
		const char *value = source->text + token->start;
		size_t len = token->kind == TOKEN_STRING ? token->end - token->start : 0;

		hide = option_is_secret(w->name, value, len) ||
		       (w->last_hidden && token->kind == TOKEN_STRING);
		w->name[0] = '\0';
		if (!hide && token->kind != TOKEN_STRING)
			secret_name(w, source, token);
	} else if (!source_token_is(source, token, "=") && token->kind == TOKEN_OTHER) {
		/* A bare number is a value too; punctuation ends the name. */
		hide = isdigit((unsigned char)source->text[token->start]) &&
		       option_is_secret(w->name, "", 0);
		w->name[0] = '\0';
	}
	if ((w->words == 0 && source_token_is(source, token, "set")) ||
	    source_token_is(source, token, "options"))
		w->options = true;
	w->words++;
	w->last_hidden = hide;
	return hide;
}

/*
 * Mark what stands in quotes behind a secret name, looking at this one line alone: when a quote is
 * missing further up, the tokens are out of step with what the author meant.
 */
static void
hide_by_line(const char *line, size_t len, bool *hidden)
{
	char name[128];

	for (size_t i = 0; i < len;) {
		size_t n = 0, open;

		while (i + n < len && (is_word(line[i + n]) || line[i + n] == '.'))
			n++;
		if (n == 0) {
			i++;
			continue;
		}
		memcpy(name, line + i, n < sizeof(name) ? n : sizeof(name) - 1);
		name[n < sizeof(name) ? n : sizeof(name) - 1] = '\0';
		i += n;
		if (!option_is_secret(name, "", 0))
			continue;
		for (open = i; open < len && strchr(" \t\"=", line[open]) != NULL;)
			open++;
		if (open >= len || line[open] != '\'')
			continue;
		do
			hidden[open++] = true;
		while (open < len && line[open] != '\'');
		if (open < len)
			hidden[open++] = true;
		i = open;
	}
}

/* One flag for each byte of [start, end): heap. */
static bool *
source_hidden(const struct source *source, size_t start, size_t end)
{
	bool *hidden = xcalloc(end - start + 1, sizeof(*hidden)), touched = false;
	struct secret_walk w = {0};
	struct token token;

	for (size_t at = 0; at < end; at = token.end) {
		token = source_token(source, at);
		if (token.kind == TOKEN_END || token.start >= end)
			break;
		if (secret_step(&w, source, &token))
			for (size_t i = token.start; i < token.end && i < end; i++)
				if (i >= start)
					hidden[i - start] = true;
		touched |= w.options && token.end > start;
	}
	if (touched)
		hide_by_line(source->text + start, end - start, hidden);
	return hidden;
}

bool
source_is_hidden(const struct source *source, size_t offset)
{
	size_t start = offset, end = offset;
	bool *hidden, result;

	while (start > 0 && source->text[start - 1] != '\n')
		start--;
	end += strcspn(source->text + end, "\n");
	hidden = source_hidden(source, start, end);
	result = hidden[offset - start];
	free(hidden);
	return result;
}

/* --- places --- */

struct place
source_place(const struct source *source, size_t offset)
{
	struct place place = {1, 1};

	for (size_t i = 0; i < offset && i < source->len; i++) {
		if (source->text[i] == '\n')
			place = (struct place){place.line + 1, 1};
		else if (!is_continuation(source->text[i]))
			place.column++;
	}
	/* Inside a character: its own column. */
	if (offset < source->len && is_continuation(source->text[offset]) && place.column > 1)
		place.column--;
	return place;
}

/* Start and end (without the line break) of a line; false when there is no such line. */
static bool
source_line(const struct source *source, uint32_t line, size_t *start, size_t *end)
{
	const char *at = source->text;

	for (uint32_t i = 1; i < line; i++) {
		at = strchr(at, '\n');
		if (at == NULL)
			return false;
		at++;
	}
	*start = (size_t)(at - source->text);
	*end = *start + strcspn(at, "\n");
	if (*end > *start && source->text[*end - 1] == '\r')
		(*end)--;
	return true;
}

/* The line itself to `out`, and what stands below it up to the caret to `below`. */
static void
source_show(const char *line, size_t len, const bool *hidden, uint32_t column, FILE *out,
	    FILE *below)
{
	uint32_t at = 0;
	size_t i = 0;

	while (i < len) {
		size_t n = 1, from = i;

		if (hidden[i]) {
			while (i + n < len && hidden[i + n])
				n++;
			fputs("'***'", out);
		} else {
			while (i + n < len && is_continuation(line[i + n]))
				n++;
			if (iscntrl((unsigned char)line[i]) && line[i] != '\t')
				fputc('?', out);
			else
				fwrite(line + i, 1, n, out);
		}
		for (i += n; from < i; from++)
			at += !is_continuation(line[from]);
		if (at < column)
			fputs(hidden[i - n] ? "     " : line[i - n] == '\t' ? "\t" : " ", below);
	}
}

void
source_report(const struct source *source, FILE *errors, const char *level,
	      const struct place *place, const char *message)
{
	size_t start, end, below_len;
	char *below_text = NULL;
	FILE *below;
	bool *hidden;

	if (place == NULL || place->line == 0) {
		fprintf(errors, "%s: %s: %s\n", source->path, level, message);
		return;
	}
	fprintf(errors, "%s:%u:%u: %s: %s\n", source->path, place->line, place->column, level,
		message);
	if (!source_line(source, place->line, &start, &end))
		return;
	below = xmemstream(&below_text, &below_len);
	hidden = source_hidden(source, start, end);
	source_show(source->text + start, end - start, hidden, place->column, errors, below);
	fclose(below);
	fprintf(errors, "\n%s^\n", below_text);
	free(below_text);
	free(hidden);
}
