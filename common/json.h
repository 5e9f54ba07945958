/*
 * json.h - a pull scanner over JSON text: no tree, no allocation, no recursion.
 *
 * Checks grammar and UTF-8 of what is used; what is skipped is checked for nesting and for the
 * ends of strings only. Numbers stay text until the column's type is known. The error is sticky:
 * after it every call answers "nothing"; look at `error` (a static sentence) once at the end.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 64

enum json_kind {
	JSON_NONE, /* end of text, or an error */
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_OBJECT,
	JSON_ARRAY,
};

struct json {
	const char *start, *at, *end;
	const char *error; /* NULL, or what is wrong at `at` */
	uint64_t arrays;   /* one bit a depth: this level is an array */
	unsigned depth;
	bool first; /* no member of the current level was read yet */
};

struct slice {
	const char *s;
	size_t len;
};

void json_init(struct json *, const char *text, size_t len);

/* The kind of the value that comes next, without taking it. */
enum json_kind json_peek(struct json *);

/* Enter the object or array that comes next; false (with an error) when there is none. */
bool json_enter(struct json *, enum json_kind);

/*
 * In an object: take the next key, raw between its quotes (see json_plain() for escapes). False at
 * the end of the object, which is left then.
 */
bool json_key(struct json *, struct slice *key);

/*
 * A raw key without its escapes: itself when it has none, else written to buf. Empty when an
 * escape is wrong or buf is too small.
 */
struct slice json_plain(struct slice raw, char *buf, size_t size);

/* In an array: true when another element follows; false at its end, which is left then. */
bool json_element(struct json *);

/* Take one value. */
bool json_null(struct json *); /* false, without an error, when something else comes */
bool json_bool(struct json *);
struct slice json_number(struct json *); /* its text, checked */

/*
 * A whole number of at most 18 digits and without a sign, as most are: it fits int64_t too. False,
 * without an error, when something else comes: then nothing is taken.
 */
bool json_short(struct json *, uint64_t *);

/*
 * A string. Without escapes the slice borrows the text; otherwise it is written to buf, which
 * must hold at least the string's own length (an escape never grows).
 */
struct slice json_string(struct json *, char *buf, size_t size);

void json_skip(struct json *);         /* one whole value */
struct slice json_span(struct json *); /* one whole value as its own text */
void json_leave(struct json *);        /* skip the rest of the current level */
/*
 * Take the next value if its bytes are exactly those of `value`, a whole object, array or string
 * seen before; false, without an error, when they are not.
 */
bool json_take(struct json *, struct slice value);

bool json_end(struct json *); /* only white space is left; else an error */

/* len without a UTF-8 sequence that is cut off at the end of s. */
size_t json_trim(const char *s, size_t len);

/* Length of the well-formed UTF-8 sequence at s, whose first byte is at least 0x80; or 0. */
size_t json_sequence(const unsigned char *s, size_t left);

bool slice_is(struct slice, const char *);
bool slice_int64(struct slice, int64_t *); /* decimal digits with an optional minus, whole slice */
bool slice_uint64(struct slice, uint64_t *);

#endif
