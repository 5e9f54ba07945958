#include "tests/unit/truth.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"

static _Noreturn void
truth_fail(const char *what, const char *why)
{
	fprintf(stderr, "truth: %s: %s\n", what, why);
	abort();
}

static enum type
truth_type(const char *word)
{
	static const struct {
		const char *word;
		enum type type;
	} types[] = {
	    {"smallint", TYPE_SMALLINT},
	    {"integer", TYPE_INTEGER},
	    {"bigint", TYPE_BIGINT},
	    {"numeric", TYPE_NUMERIC},
	    {"real", TYPE_REAL},
	    {"double", TYPE_DOUBLE},
	    {"money", TYPE_MONEY},
	    {"text", TYPE_TEXT},
	    {"varchar", TYPE_VARCHAR},
	    {"char", TYPE_CHAR},
	    {"bytea", TYPE_BYTEA},
	    {"uuid", TYPE_UUID},
	    {"boolean", TYPE_BOOLEAN},
	    {"date", TYPE_DATE},
	    {"time", TYPE_TIME},
	    {"timestamp", TYPE_TIMESTAMP},
	    {"timestamptz", TYPE_TIMESTAMPTZ},
	    {"interval", TYPE_INTERVAL},
	    {"json", TYPE_JSON},
	    {"jsonb", TYPE_JSONB},
	    {"inet", TYPE_INET},
	    {"enum", TYPE_ENUM},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp(word, types[i].word, strlen(word)) == 0 &&
		    strlen(word) == strlen(types[i].word))
			return types[i].type;
	truth_fail(word, "no such type");
}

/* "(10,2)", "(3)", or the labels of an enum; what stands before the closing parenthesis. */
static void
truth_modifiers(struct column *c, char *text)
{
	if (c->element != TYPE_ENUM) {
		if (sscanf(text, "%d,%d", &c->precision, &c->scale) < 1)
			truth_fail(c->name, "type(p) or type(p,s) is expected");
		return;
	}
	struct enumeration *e = xcalloc(1, sizeof(*e));
	e->name = xstrdup("labels");
	e->labels = xcalloc(strlen(text) + 1, sizeof(*e->labels));
	for (char *label = strsep(&text, ","); label; label = strsep(&text, ","))
		e->labels[e->label_count++] = xstrdup(label);
	c->enumeration = e;
}

static void
truth_declare_column(struct table *t, char *text)
{
	char *rest = text, *name = strsep(&rest, ":"), *type = strsep(&rest, ":");
	struct column *c = &t->columns[t->column_count];

	if (!name || !type)
		truth_fail(text, "a column is name:type");
	*c = (struct column){.name = xstrdup(name), .precision = -1, .scale = -1};
	size_t len = strlen(type);
	bool array = len > 2 && strcmp(type + len - 2, "[]") == 0;
	char *open = strchr(type, '(');
	type[array ? len - 2 : len] = '\0';
	if (open)
		*open = '\0';
	c->element = truth_type(type);
	c->type = array ? TYPE_ARRAY : c->element;
	if (open) {
		open[strcspn(open + 1, ")") + 1] = '\0';
		truth_modifiers(c, open + 1);
	}
	for (char *flag = strsep(&rest, ":"); flag; flag = strsep(&rest, ":")) {
		c->not_null = true;
		if (strcmp(flag, "key") == 0)
			t->key[t->key_count++] = t->column_count;
	}
	t->column_count++;
}

struct table *
truth_declare(const char *columns)
{
	struct table *t = xcalloc(1, sizeof(*t));
	char *copy = xstrdup(columns), *rest = copy;
	size_t most = strlen(columns);

	t->name = xstrdup("t");
	t->source = xstrdup("public.t");
	t->topic = xstrdup("server.public.t");
	t->columns = xcalloc(most, sizeof(*t->columns));
	t->key = xcalloc(most, sizeof(*t->key));
	for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " "))
		truth_declare_column(t, word);
	free(copy);
	return t;
}

void
truth_free_table(struct table *t)
{
	for (unsigned i = 0; i < t->column_count; i++) {
		const struct enumeration *e = t->columns[i].enumeration;
		for (unsigned n = 0; e && n < e->label_count; n++)
			free(e->labels[n]);
		if (e) {
			free(e->labels);
			free(e->name);
			free((void *)(uintptr_t)e);
		}
		free(t->columns[i].name);
	}
	free(t->columns);
	free(t->key);
	free(t->name);
	free(t->source);
	free(t->topic);
	free(t);
}

#define TRUTH_LINE_MAX 262144

struct truth_text { /* a line that grows */
	char buf[TRUTH_LINE_MAX];
	size_t len;
};

static void
truth_append(struct truth_text *line, const char *text, size_t len)
{
	if (sizeof(line->buf) - line->len < len + 2)
		truth_fail(line->buf, "the line is too long");
	memcpy(line->buf + line->len, text, len);
	line->len += len;
	line->buf[line->len++] = '\t';
	line->buf[line->len] = '\0';
}

char *
truth_line(const struct table *t, const struct value *values)
{
	static struct truth_text line;

	line.len = 0;
	for (unsigned i = 0; i < t->column_count; i++) {
		static char buf[65536];
		if (values[i].kind == VALUE_NULL) {
			truth_append(&line, "\\N", 2);
			continue;
		}
		if (values[i].kind == VALUE_UNCHANGED)
			truth_fail(t->columns[i].name, "an unchanged value was printed");
		size_t n = column_print(&t->columns[i], &values[i], buf, sizeof(buf));
		if (n >= sizeof(buf))
			truth_fail(t->columns[i].name, "the value is too long");
		truth_append(&line, buf, n);
	}
	return xstrdup(line.buf);
}

void
lines_free(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->line[i]);
	free(l->line);
	*l = (struct lines){0};
}

static int
lines_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
lines_add(struct lines *l, char *line)
{
	if ((l->count & (l->count - 1)) == 0) /* full: 0, 1, 2, 4, 8, ... */
		l->line = xreallocarray(l->line, l->count ? 2 * l->count : 1, sizeof(*l->line));
	l->line[l->count++] = line;
}

static void
lines_sort(struct lines *l)
{
	if (l->count > 1)
		qsort(l->line, l->count, sizeof(*l->line), lines_compare);
}

/* One CSV field into buf, and the character after it. False at the end of the file. */
static bool
truth_field(FILE *in, char *buf, size_t size, int *after)
{
	size_t len = 0;
	bool quoted = false;
	int c = getc(in);

	if (c == EOF)
		return false;
	for (;; c = getc(in)) {
		if (c == '"') {
			quoted = !quoted;
			int next = getc(in);
			if (quoted || next != '"') {
				ungetc(next, in);
				continue;
			}
			quoted = true; /* a doubled quote is one */
		}
		if (c == EOF || (!quoted && (c == ',' || c == '\n')))
			break;
		if (len + 1 >= size)
			truth_fail(buf, "a CSV field is too long");
		buf[len++] = (char)c;
	}
	buf[len] = '\0';
	*after = c;
	return true;
}

#define TRUTH_FIELDS_MAX 128

/* The header: which declared column each field is, or column_count. */
static unsigned
truth_header(FILE *in, const char *path, const struct table *t, unsigned *map)
{
	char buf[256];
	unsigned fields = 0, known = 0;
	int after = ',';

	while (after == ',' && truth_field(in, buf, sizeof(buf), &after)) {
		if (fields == TRUTH_FIELDS_MAX)
			truth_fail(path, "too many fields");
		unsigned i = 0;
		while (i < t->column_count && strcmp(t->columns[i].name, buf) != 0)
			i++;
		known += i < t->column_count;
		map[fields++] = i;
	}
	if (known != t->column_count)
		truth_fail(path, "a declared column is not in the header");
	return fields;
}

struct lines
truth_read(const char *path, const struct table *t)
{
	unsigned map[TRUTH_FIELDS_MAX];
	char *texts[TRUTH_FIELDS_MAX] = {NULL};
	static struct truth_text line;
	static char buf[65536];
	struct lines l = {0};
	FILE *in = fopen(path, "re");
	int after;

	if (!in)
		truth_fail(path, "cannot be opened");
	unsigned fields = truth_header(in, path, t, map), at = 0;
	while (truth_field(in, buf, sizeof(buf), &after)) {
		if (map[at] < t->column_count) {
			free(texts[map[at]]);
			texts[map[at]] = xstrdup(buf);
		}
		if (++at < fields)
			continue;
		line.len = 0;
		for (unsigned i = 0; i < t->column_count; i++)
			truth_append(&line, texts[i], strlen(texts[i]));
		lines_add(&l, xstrdup(line.buf));
		at = 0;
	}
	fclose(in);
	for (unsigned i = 0; i < t->column_count; i++)
		free(texts[i]);
	lines_sort(&l);
	return l;
}

struct fold_entry { /* row NULL: deleted; the newest of a key counts */
	char *key, *row;
	size_t number;
	int diff;
};

struct fold {
	const struct table *table;
	struct fold_entry *entries;
	size_t count, size;
};

struct fold *
fold_new(const struct table *t)
{
	struct fold *f = xcalloc(1, sizeof(*f));

	f->table = t;
	return f;
}

static void
fold_add(struct fold *f, char *key, char *row, int diff)
{
	if (f->count == f->size) {
		f->size = f->size ? 2 * f->size : 1024;
		f->entries = xreallocarray(f->entries, f->size, sizeof(*f->entries));
	}
	f->entries[f->count] = (struct fold_entry){key, row, f->count, diff};
	f->count++;
}

static char *
fold_key(const struct fold *f, const struct event *ev)
{
	struct value row[TRUTH_FIELDS_MAX] = {{0}};

	for (unsigned i = 0; i < f->table->key_count; i++)
		row[f->table->key[i]] = ev->key[i];
	return truth_line(f->table, row);
}

void
fold_apply(struct fold *f, const struct event *ev)
{
	if (ev->place.kind != EVENT_CHANGE)
		return;
	if (f->table->key_count > 0) {
		char *row = ev->op == 'd' ? NULL : truth_line(f->table, ev->after);
		fold_add(f, fold_key(f, ev), row, 1);
		return;
	}
	if (ev->has_before)
		fold_add(f, truth_line(f->table, ev->before), NULL, -1);
	if (ev->has_after)
		fold_add(f, truth_line(f->table, ev->after), NULL, 1);
}

static int
fold_compare(const void *a, const void *b)
{
	const struct fold_entry *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* The entries of one key, newest last: add what they leave. */
static void
fold_close_key(const struct fold *f, const struct fold_entry *e, size_t count, struct lines *l)
{
	int total = 0;

	if (f->table->key_count > 0) {
		if (e[count - 1].row)
			lines_add(l, xstrdup(e[count - 1].row));
		return;
	}
	for (size_t i = 0; i < count; i++)
		total += e[i].diff;
	if (total < 0)
		truth_fail(e->key, "more rows were taken away than there were");
	while (total-- > 0)
		lines_add(l, xstrdup(e->key));
}

void
fold_clear(struct fold *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->entries[i].key);
		free(f->entries[i].row);
	}
	f->count = 0;
}

struct lines
fold_finish(struct fold *f)
{
	struct lines l = {0};

	if (f->count > 1)
		qsort(f->entries, f->count, sizeof(*f->entries), fold_compare);
	for (size_t from = 0, to; from < f->count; from = to) {
		for (to = from + 1; to < f->count; to++)
			if (strcmp(f->entries[to].key, f->entries[from].key) != 0)
				break;
		fold_close_key(f, f->entries + from, to - from, &l);
	}
	fold_clear(f);
	free(f->entries);
	free(f);
	lines_sort(&l);
	return l;
}

struct connector
truth_connector(char *text)
{
	struct connector c = {0};

	for (char *word = strsep(&text, " "); word && *word; word = strsep(&text, " ")) {
		char *name = strsep(&word, "=");
		enum connector_option option = connector_option_find(name);
		if (option < CONNECTOR_OPTIONS && word)
			c.mode[option] = connector_mode_find(option, word);
		if (option == CONNECTOR_OPTIONS || c.mode[option] == 0)
			abort(); /* a case with a misspelt option */
	}
	return c;
}
