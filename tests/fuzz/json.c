/*
 * json.c - common/json.c against yajl: what both take must be the same values in the same
 * structure, and what only yajl takes must be refused for one of four reasons: nested deeper than
 * JSON_DEPTH_MAX, not UTF-8 (yajl looks less closely), half of a surrogate pair (yajl writes '?'),
 * vertical tab and form feed as white space.
 * What a whole walk takes, json_skip(), json_span() and json_take() take too.
 */
#include <errno.h>
#include <yajl/yajl_parse.h>

#include "common/json.h"
#include "tests/fuzz/fuzz.h"

struct walk { /* all that a reader saw, as one text */
	char *seen;
	size_t len, room;
	unsigned depth, deepest;
	size_t elements; /* of depth 1 */
	char *text;      /* room for one unescaped string */
	size_t size;
};

static void
walk_note(struct walk *w, char kind, const void *bytes, size_t len)
{
	size_t need = w->len + sizeof(len) + 1 + len;

	w->elements += w->depth == 1 && kind != ']' && kind != '}' && kind != 'k';

	if (w->room < need) {
		w->room = 2 * need;
		w->seen = xreallocarray(w->seen, w->room, 1);
	}
	w->seen[w->len++] = kind;
	if (bytes == NULL)
		return;
	memcpy(w->seen + w->len, &len, sizeof(len));
	if (len > 0)
		memcpy(w->seen + w->len + sizeof(len), bytes, len);
	w->len += sizeof(len) + len;
}

static void
walk_deeper(struct walk *w, char kind)
{
	walk_note(w, kind, NULL, 0);
	w->depth++;
	if (w->deepest < w->depth)
		w->deepest = w->depth;
}

static void
walk_free(struct walk *w)
{
	free(w->seen);
	free(w->text);
}

/* --- ours --- */

/* A key is not checked until it is wanted: read again as the string that it is. */
static void
own_key(struct walk *w, struct json *j, struct slice raw)
{
	char *plain = malloc(raw.len);
	struct json again;

	FUZZ_CHECK(plain != NULL);
	json_init(&again, raw.s - 1, raw.len + 2);
	struct slice key = json_string(&again, w->text, w->size);
	if (!json_end(&again)) {
		j->error = again.error;
	} else {
		struct slice same = json_plain(raw, plain, raw.len);
		FUZZ_CHECK(same.len == key.len && memcmp(same.s, key.s, key.len) == 0);
		walk_note(w, 'k', key.s, key.len);
	}
	free(plain);
}

static void
own_number(struct walk *w, struct json *j)
{
	struct slice text = json_number(j);
	char *copy, *end;
	int64_t n;

	if (text.s == NULL)
		return;
	walk_note(w, '0', text.s, text.len);
	copy = xstrndup(text.s, text.len);
	errno = 0;
	long long expected = strtoll(copy, &end, 10);
	bool whole = errno == 0 && *end == '\0';
	FUZZ_CHECK(slice_int64(text, &n) == whole);
	FUZZ_CHECK(!whole || n == expected);
	free(copy);
}

/* No deeper than JSON_DEPTH_MAX. */
static void
own_value(struct walk *w, struct json *j)
{
	enum json_kind kind = json_peek(j);
	struct slice text;

	if (kind == JSON_NONE) {
		json_skip(j);
		FUZZ_CHECK(j->error != NULL);
	} else if (kind == JSON_NULL) {
		if (json_null(j))
			walk_note(w, 'n', NULL, 0);
		else
			FUZZ_CHECK(j->error != NULL);
	} else if (kind == JSON_TRUE || kind == JSON_FALSE) {
		walk_note(w, json_bool(j) ? 't' : 'f', NULL, 0);
	} else if (kind == JSON_NUMBER) {
		own_number(w, j);
	} else if (kind == JSON_STRING) {
		text = json_string(j, w->text, w->size);
		if (j->error == NULL)
			walk_note(w, 's', text.s, text.len);
	} else if (json_enter(j, kind)) {
		walk_deeper(w, kind == JSON_OBJECT ? '{' : '[');
		while (kind == JSON_OBJECT ? json_key(j, &text) : json_element(j)) {
			if (kind == JSON_OBJECT)
				own_key(w, j, text);
			own_value(w, j);
		}
		walk_note(w, kind == JSON_OBJECT ? '}' : ']', NULL, 0);
		w->depth--;
	}
}

static bool
own_walk(struct walk *w, struct json *j, const char *text, size_t len)
{
	*w = (struct walk){.text = malloc(len), .size = len};
	FUZZ_CHECK(w->text != NULL);
	json_init(j, text, len);
	own_value(w, j);
	bool good = json_end(j);
	FUZZ_CHECK(good == (j->error == NULL));
	FUZZ_CHECK(j->at >= text && j->at <= text + len);
	return good;
}

/* --- yajl's --- */

static int
on_null(void *w)
{
	walk_note(w, 'n', NULL, 0);
	return 1;
}

static int
on_boolean(void *w, int value)
{
	walk_note(w, value ? 't' : 'f', NULL, 0);
	return 1;
}

static int
on_number(void *w, const char *text, size_t len)
{
	walk_note(w, '0', text, len);
	return 1;
}

static int
on_string(void *w, const unsigned char *text, size_t len)
{
	walk_note(w, 's', text, len);
	return 1;
}

static int
on_key(void *w, const unsigned char *text, size_t len)
{
	walk_note(w, 'k', text, len);
	return 1;
}

static int
on_object(void *w)
{
	walk_deeper(w, '{');
	return 1;
}

static int
on_array(void *w)
{
	walk_deeper(w, '[');
	return 1;
}

static int
on_object_end(void *w)
{
	walk_note(w, '}', NULL, 0);
	((struct walk *)w)->depth--;
	return 1;
}

static int
on_array_end(void *w)
{
	walk_note(w, ']', NULL, 0);
	((struct walk *)w)->depth--;
	return 1;
}

/*
 * yajl overlooks a token without an end behind the value, so it is given an array around the text,
 * which must turn out to have one element.
 */
static bool
yajl_walk(struct walk *w, const uint8_t *text, size_t len)
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
	*w = (struct walk){0};
	yajl_handle handle = yajl_alloc(&callbacks, NULL, w);
	FUZZ_CHECK(handle != NULL);
	bool good = yajl_parse(handle, (const uint8_t *)"[", 1) == yajl_status_ok &&
		    yajl_parse(handle, text, len) == yajl_status_ok && w->depth == 1 &&
		    yajl_parse(handle, (const uint8_t *)"]", 1) == yajl_status_ok &&
		    w->depth == 0 && yajl_complete_parse(handle) == yajl_status_ok;
	yajl_free(handle);
	return good && w->elements == 1;
}

/* --- both --- */

static bool
text_is_utf8(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = s[i] < 0x80 ? 1 : json_sequence(s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

static bool
text_has_surrogate(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i + 3 < len; i++)
		if (s[i] == '\\' && s[i + 1] == 'u' && (s[i + 2] | 32) == 'd' &&
		    strchr("89abcdefABCDEF", s[i + 3]) != NULL)
			return true;
	return false;
}

static bool
refusal_is_known(const struct walk *yajl, const uint8_t *text, size_t len)
{
	return yajl->deepest > JSON_DEPTH_MAX + 1 || !text_is_utf8(text, len) ||
	       text_has_surrogate(text, len) || memchr(text, '\v', len) != NULL ||
	       memchr(text, '\f', len) != NULL;
}

/* The other ways through a text that the walk took. */
static void
check_skips(const char *text, size_t len)
{
	struct json j;

	json_init(&j, text, len);
	struct slice span = json_span(&j);
	FUZZ_CHECK(json_end(&j));
	FUZZ_CHECK(span.len > 0 && span.s >= text && span.s + span.len <= text + len);
	json_init(&j, text, len);
	FUZZ_CHECK(json_take(&j, span) && json_end(&j));
	json_init(&j, span.s, span.len);
	if (json_peek(&j) == JSON_OBJECT || json_peek(&j) == JSON_ARRAY) {
		FUZZ_CHECK(json_enter(&j, json_peek(&j)));
		json_leave(&j);
	} else {
		json_skip(&j);
	}
	FUZZ_CHECK(json_end(&j));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct walk own, yajl;
	struct json j;
	bool takes = own_walk(&own, &j, text, size), yajl_takes = yajl_walk(&yajl, data, size);

	if (takes) {
		FUZZ_CHECK(yajl_takes);
		FUZZ_CHECK(own.len + 2 == yajl.len &&
			   memcmp(own.seen, yajl.seen + 1, own.len) == 0);
		FUZZ_CHECK(own.deepest <= JSON_DEPTH_MAX);
		check_skips(text, size);
	} else {
		FUZZ_CHECK(!yajl_takes || refusal_is_known(&yajl, data, size));
		json_init(&j, text, size);
		json_skip(&j);
	}
	walk_free(&own);
	walk_free(&yajl);
	free(text);
	return 0;
}
