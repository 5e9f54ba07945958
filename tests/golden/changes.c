/*
 * Golden test of the decoder: each NAME.case in a folder names a capture, declares a table, and may give the
 * connector's options in a third line; what
 * is decoded from it must be NAME.expected, byte for byte: the first changes one a line, then how
 * many there are and a hash over all their lines.
 *
 *     changes FOLDER            compare
 *     changes --update FOLDER   write NAME.expected anew
 */
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"
#include "tests/unit/capture.h"
#include "tests/unit/truth.h"

#define SHOWN 40

static void
print_row(FILE *out, const char *name, const struct table *t, const struct value *values)
{
	fprintf(out, " %s=(", name);
	for (unsigned i = 0; i < t->column_count; i++) {
		static char buf[65536];
		const char *text = "NULL";
		if (values[i].kind == VALUE_UNCHANGED)
			text = "UNCHANGED";
		else if (values[i].kind != VALUE_NULL &&
			 column_print(&t->columns[i], &values[i], buf, sizeof(buf)) < sizeof(buf))
			text = buf;
		fputs(i > 0 ? "|" : "", out);
		for (; *text; text++) /* one change is one line */
			fputc(*text == '\n' ? '~' : *text, out);
	}
	fputc(')', out);
}

static void
print_place(FILE *out, const struct event_place *p)
{
	static const char *const marks[] = {
	    [SNAPSHOT_FALSE] = "-",
	    [SNAPSHOT_TRUE] = "true",
	    [SNAPSHOT_FIRST] = "first",
	    [SNAPSHOT_FIRST_IN_COLLECTION] = "first_in",
	    [SNAPSHOT_LAST_IN_COLLECTION] = "last_in",
	    [SNAPSHOT_LAST] = "last",
	    [SNAPSHOT_INCREMENTAL] = "incremental",
	};

	fprintf(out, " xid=%" PRIu64 " snapshot=%s", p->xid, marks[p->snapshot]);
	if (p->has_sequence)
		fprintf(out, " sequence=%" PRIu64, p->sequence);
	if (p->has_lsn)
		fprintf(out, " lsn=%" PRIu64, p->lsn);
	if (p->order)
		fprintf(out, " order=%" PRId64, p->order);
}

static void
print_event(FILE *out, const struct table *t, int64_t offset, const struct event *ev)
{
	if (ev->place.kind != EVENT_CHANGE) {
		fprintf(out, "%" PRId64 " %s\n", offset,
			ev->place.kind == EVENT_TOMBSTONE ? "tombstone" : "nothing");
		return;
	}
	fprintf(out, "%" PRId64 " %c", offset, ev->op);
	print_place(out, &ev->place);
	if (t->key_count > 0 && ev->op == 'd') {
		struct value row[128] = {{0}};
		for (unsigned i = 0; i < t->key_count; i++)
			row[t->key[i]] = ev->key[i];
		print_row(out, "key", t, row);
	}
	if (ev->has_before)
		print_row(out, "before", t, ev->before);
	if (ev->has_after)
		print_row(out, "after", t, ev->after);
	fputc('\n', out);
}

static uint64_t
hash_line(uint64_t hash, const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)line[i]) * UINT64_C(1099511628211); /* FNV-1a */
	return hash;
}

/* All of a capture as text; heap. */
static char *
print_capture(const char *path, const char *columns, char *options)
{
	struct table *t = truth_declare(columns);
	struct decoder *d = decoder_new(t);
	struct connector connector = truth_connector(options);
	struct capture *c = capture_open(path);
	uint64_t hash = UINT64_C(14695981039346656037), count = 0;
	char *text = NULL, *line = NULL, error[512];
	size_t text_len = 0, line_len = 0;
	FILE *out = open_memstream(&text, &text_len), *one = open_memstream(&line, &line_len);
	struct message m;
	struct event ev;

	decoder_follow(d, &connector);
	while (out && one && capture_next(c, &m)) {
		rewind(one);
		if (decoder_read(d, m.key, m.key_len, m.value, m.value_len, &ev, error,
				 sizeof(error)) == 0)
			print_event(one, t, m.offset, &ev);
		else
			fprintf(one, "%" PRId64 " refused: %s\n", m.offset, error);
		fflush(one);
		hash = hash_line(hash, line, line_len);
		if (count++ < SHOWN || memmem(line, line_len, " refused: ", 10))
			fwrite(line, 1, line_len, out);
	}
	fprintf(out, "%" PRIu64 " messages, hash %016" PRIx64 ", %" PRIu64 " blocks skipped\n",
		count, hash, decoder_schemas_skipped(d));
	fclose(out);
	fclose(one);
	free(line);
	capture_close(c);
	decoder_free(d);
	truth_free_table(t);
	return text;
}

/* A file's text, or an empty one; heap. */
static char *
read_text(const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!in || getdelim(&text, &size, '\0', in) < 0) {
		free(text);
		text = xstrdup("");
	}
	if (in)
		fclose(in);
	return text;
}

static bool
write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");
	bool ok = out && fputs(text, out) >= 0;

	if (out && fclose(out) != 0)
		ok = false;
	return ok;
}

static bool
run_case(const char *path, bool update)
{
	char *text = read_text(path), *rest = text;
	const char *capture = strsep(&rest, "\n"), *columns = rest ? strsep(&rest, "\n") : NULL;
	char *options = rest ? strsep(&rest, "\n") : NULL;
	char *expected_path = xasprintf("%.*s.expected", (int)(strlen(path) - 5), path);
	bool ok = columns != NULL;

	if (ok) {
		char *found = print_capture(capture, columns, options),
		     *expected = read_text(expected_path);
		ok = update ? write_text(expected_path, found) : strcmp(found, expected) == 0;
		if (!ok) {
			size_t same = 0, line = 1;
			while (found[same] && found[same] == expected[same])
				line += found[same++] == '\n';
			printf("FAIL %s: line %zu differs\n", expected_path, line);
		}
		free(found);
		free(expected);
	}
	free(expected_path);
	free(text);
	return ok;
}

int
main(int argc, char **argv)
{
	bool update = argc == 3 && strcmp(argv[1], "--update") == 0;
	size_t passed = 0;
	glob_t cases;

	if (argc != (update ? 3 : 2)) {
		fprintf(stderr, "usage: changes [--update] FOLDER\n");
		return 64;
	}
	char *pattern = xasprintf("%s/*.case", argv[argc - 1]);
	if (glob(pattern, 0, NULL, &cases) != 0) {
		fprintf(stderr, "changes: no case in %s\n", argv[argc - 1]);
		return 1;
	}
	for (size_t i = 0; i < cases.gl_pathc; i++)
		passed += run_case(cases.gl_pathv[i], update);
	printf("%zu passed, %zu failed\n", passed, cases.gl_pathc - passed);
	bool ok = passed == cases.gl_pathc;
	globfree(&cases);
	free(pattern);
	return ok ? 0 : 1;
}
