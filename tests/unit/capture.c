#include "tests/unit/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "common/json.h"
#include "common/log.h"

struct capture {
	FILE *in;
	char *path;
	bool piped;
	char *line, *key, *value; /* key and value: unescaped, as large as the line's buffer */
	size_t line_size, text_size;
	unsigned number;
};

static _Noreturn void
capture_fail(const struct capture *c, const char *why)
{
	fprintf(stderr, "capture %s, line %u: %s\n", c->path, c->number, why);
	abort();
}

struct capture *
capture_open(const char *path)
{
	struct capture *c = xcalloc(1, sizeof(*c));
	size_t len = strlen(path);

	c->path = xstrdup(path);
	c->piped = len > 4 && strcmp(path + len - 4, ".zst") == 0;
	if (c->piped) {
		char *command = xasprintf("exec zstd -dcq '%s'", path);
		c->in = popen(command, "re");
		free(command);
	} else {
		c->in = fopen(path, "re");
	}
	if (!c->in)
		capture_fail(c, "cannot be opened");
	return c;
}

void
capture_close(struct capture *c)
{
	if (!c)
		return;
	if (c->piped)
		pclose(c->in); /* a test may stop reading early: its status says nothing */
	else
		fclose(c->in);
	free(c->line);
	free(c->key);
	free(c->value);
	free(c->path);
	free(c);
}

static bool
capture_line(struct capture *c, ssize_t *len)
{
	*len = getline(&c->line, &c->line_size, c->in);
	c->number++;
	if (*len < 0) {
		int status = 0;
		if (ferror(c->in) || c->number == 1)
			capture_fail(c, "nothing can be read");
		if (c->piped) {
			status = pclose(c->in);
			c->in = NULL;
			c->piped = false;
		}
		if (status != 0)
			capture_fail(c, "zstd failed");
		if (!c->in)
			c->in = fopen("/dev/null", "re");
		if (!c->in)
			capture_fail(c, "cannot be closed");
		return false;
	}
	if (c->text_size < c->line_size) {
		c->text_size = c->line_size;
		c->key = xreallocarray(c->key, c->text_size, 1);
		c->value = xreallocarray(c->value, c->text_size, 1);
	}
	return true;
}

static int64_t
capture_int(struct json *j)
{
	int64_t n = 0;

	if (!slice_int64(json_number(j), &n) && !j->error)
		j->error = "a whole number is expected";
	return n;
}

static struct slice
capture_text(struct json *j, char *buf, size_t size)
{
	if (json_null(j))
		return (struct slice){NULL, 0};
	return json_string(j, buf, size);
}

bool
capture_next(struct capture *c, struct message *m)
{
	struct slice name, key = {NULL, 0}, value = {NULL, 0};
	struct json j;
	ssize_t len;

	if (!capture_line(c, &len))
		return false;
	*m = (struct message){0};
	json_init(&j, c->line, (size_t)len);
	json_enter(&j, JSON_OBJECT);
	while (json_key(&j, &name)) {
		if (slice_is(name, "partition"))
			m->partition = (int)capture_int(&j);
		else if (slice_is(name, "offset"))
			m->offset = capture_int(&j);
		else if (slice_is(name, "timestamp") || slice_is(name, "ts"))
			m->timestamp = capture_int(&j);
		else if (slice_is(name, "key"))
			key = capture_text(&j, c->key, c->text_size);
		else if (slice_is(name, "value") || slice_is(name, "payload"))
			value = capture_text(&j, c->value, c->text_size);
		else
			json_skip(&j);
	}
	if (!json_end(&j))
		capture_fail(c, j.error);
	m->key = key.s;
	m->key_len = key.len;
	m->value = value.s;
	m->value_len = value.len;
	return true;
}
