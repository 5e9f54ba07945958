#include "common/jsonb.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/json.h"
#include "common/log.h"

struct member {
	struct slice key; /* without its escapes */
	size_t from, len; /* key and value as they stand in the output */
};

struct writer {
	struct json json;
	bool wrong;
	char *
	    plain; /* room for strings without their escapes, each where it is in the text; or NULL */
	char *out;
	size_t len, room;
	char *spare; /* members on their way to their places */
	size_t spare_room;
	struct member *members; /* of all objects that are open */
	size_t count, members_room;
};

/* As in PostgreSQL; a few bytes of "1e999" each make a thousand. */
#define JSONB_MAX (256u << 20)

static void
put(struct writer *w, const char *bytes, size_t len)
{
	if (w->len + len > JSONB_MAX) {
		w->wrong = true;
		return;
	}
	if (w->room - w->len < len) {
		w->room = (w->room + len) * 2;
		w->out = xreallocarray(w->out, w->room, 1);
	}
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void
put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void
put_escape(struct writer *w, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	char escape[8];
	const char *at = strchr(from, c);

	if (at != NULL)
		(void)snprintf(escape, sizeof(escape), "\\%c", to[at - from]);
	else
		(void)snprintf(escape, sizeof(escape), "\\u%04x", c);
	put_text(w, escape);
}

static void
put_string(struct writer *w, struct slice string)
{
	const char *end = string.s + string.len;

	put(w, "\"", 1);
	for (const char *at = string.s; at < end; at++) {
		const char *plain = at;
		while (at < end && (unsigned char)*at >= ' ' && *at != '"' && *at != '\\')
			at++;
		put(w, plain, (size_t)(at - plain));
		if (at < end)
			put_escape(w, (unsigned char)*at);
	}
	put(w, "\"", 1);
}

/* The string that comes next in `json`, which is inside the document's text; "" when wrong. */
static struct slice
take_string(struct writer *w, struct json *json)
{
	size_t left = (size_t)(json->end - json->at);
	char *plain = w->plain != NULL ? w->plain + (json->at - json->start) : NULL;
	struct slice string = json_string(json, plain, left);

	if (json->error != NULL || (string.len > 0 && memchr(string.s, '\0', string.len) != NULL))
		w->wrong = true;
	return w->wrong ? (struct slice){"", 0} : string;
}

static struct slice
take_key(struct writer *w, struct slice raw)
{
	struct json json = w->json;

	/* json_key() has not looked into the key: read it again, as the string that it is. */
	json.at = raw.s - 1;
	json.end = raw.s + raw.len + 1;
	return take_string(w, &json);
}

static void
put_number(struct writer *w)
{
	char number[DECIMAL_TEXT_MAX];
	struct slice text = json_number(&w->json);
	size_t len = 0;

	if (text.len > 0)
		len = decimal_canonical(text.s, text.len, number, sizeof(number));
	if (len == 0) {
		w->wrong = true;
		return;
	}
	if (decimal_scale(number, len) > 0) {
		while (number[len - 1] == '0')
			len--;
		len -= number[len - 1] == '.';
	}
	put(w, number, len);
}

static int
key_order(const struct member *a, const struct member *b)
{
	if (a->key.len != b->key.len)
		return a->key.len < b->key.len ? -1 : 1;
	return a->key.len == 0 ? 0 : memcmp(a->key.s, b->key.s, a->key.len);
}

static int
member_order(const void *a, const void *b)
{
	const struct member *one = a, *other = b;
	int order = key_order(one, other);

	return order != 0 ? order : (one->from > other->from) - (one->from < other->from);
}

/* Put the members of the object that is being written, from w->members[first] on, into order. */
static void
members_arrange(struct writer *w, size_t first)
{
	struct member *member = w->members + first;
	size_t n = w->count - first, start = member[0].from, bytes = w->len - start;

	if (w->spare_room < bytes) {
		free(w->spare);
		w->spare = xcalloc(1, bytes);
		w->spare_room = bytes;
	}
	memcpy(w->spare, w->out + start, bytes);
	w->len = start;
	qsort(member, n, sizeof(*member), member_order);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && key_order(&member[i], &member[i + 1]) == 0)
			continue;
		if (w->len > start)
			put(w, ", ", 2);
		put(w, w->spare + (member[i].from - start), member[i].len);
	}
}

static void put_value(struct writer *);

static void
put_member(struct writer *w, struct slice raw)
{
	struct member member = {.key = take_key(w, raw), .from = w->len};

	put_string(w, member.key);
	put(w, ": ", 2);
	put_value(w);
	member.len = w->len - member.from;
	if (w->count == w->members_room) {
		w->members_room = w->members_room * 2 + 16;
		w->members = xreallocarray(w->members, w->members_room, sizeof(member));
	}
	w->members[w->count++] = member;
}

static void
put_object(struct writer *w)
{
	size_t first = w->count;
	struct slice raw;
	bool ordered = true;

	json_enter(&w->json, JSON_OBJECT);
	put(w, "{", 1);
	while (!w->wrong && json_key(&w->json, &raw)) {
		if (w->count > first)
			put(w, ", ", 2);
		put_member(w, raw);
		if (w->count - first > 1 &&
		    key_order(&w->members[w->count - 2], &w->members[w->count - 1]) >= 0)
			ordered = false;
	}
	if (!ordered)
		members_arrange(w, first);
	w->count = first;
	put(w, "}", 1);
}

static void
put_array(struct writer *w)
{
	bool more = false;

	json_enter(&w->json, JSON_ARRAY);
	put(w, "[", 1);
	while (!w->wrong && json_element(&w->json)) {
		if (more)
			put(w, ", ", 2);
		put_value(w);
		more = true;
	}
	put(w, "]", 1);
}

/* The next value; calls itself as deep as json_enter() lets it. */
static void
put_value(struct writer *w)
{
	switch (json_peek(&w->json)) {
	case JSON_NONE:
		w->wrong = true;
		break;
	case JSON_NULL:
		json_null(&w->json);
		put(w, "null", 4);
		break;
	case JSON_FALSE:
	case JSON_TRUE:
		put_text(w, json_bool(&w->json) ? "true" : "false");
		break;
	case JSON_NUMBER:
		put_number(w);
		break;
	case JSON_STRING:
		put_string(w, take_string(w, &w->json));
		break;
	case JSON_OBJECT:
		put_object(w);
		break;
	case JSON_ARRAY:
		put_array(w);
		break;
	}
}

size_t
jsonb_canonical(const char *text, size_t len, char *buf, size_t size)
{
	struct writer w = {.room = len + len / 4 + 64};
	size_t written = 0;

	json_init(&w.json, text, len);
	w.out = xcalloc(1, w.room);
	w.plain = len > 0 && memchr(text, '\\', len) != NULL ? xcalloc(1, len) : NULL;
	put_value(&w);
	if (!w.wrong && json_end(&w.json)) {
		written = w.len;
		if (written < size) {
			memcpy(buf, w.out, written);
			buf[written] = '\0';
		}
	}
	free(w.out);
	free(w.plain);
	free(w.spare);
	free(w.members);
	return written;
}
