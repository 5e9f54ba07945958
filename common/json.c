#include "common/json.h"

#include <stddef.h>
#include <string.h>

#include "common/glance.h"

void
json_init(struct json *j, const char *text, size_t len)
{
	*j = (struct json){.start = text, .at = text, .end = text + len, .first = true};
}

/* Always false. */
static bool
json_fail(struct json *j, const char *sentence)
{
	if (!j->error)
		j->error = sentence;
	return false;
}

static inline void
json_space(struct json *j)
{
	if (j->end > j->at && *j->at > ' ')
		return;
	while (j->at < j->end &&
	       (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r'))
		j->at++;
}

static const uint8_t json_kinds[256] = {
    ['{'] = JSON_OBJECT, ['['] = JSON_ARRAY,  ['"'] = JSON_STRING, ['n'] = JSON_NULL,
    ['t'] = JSON_TRUE,   ['f'] = JSON_FALSE,  ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER,
    ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER, ['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER,
    ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER, ['8'] = JSON_NUMBER,
    ['9'] = JSON_NUMBER,
};

static inline enum json_kind
json_look(struct json *j)
{
	if (j->error)
		return JSON_NONE;
	json_space(j);
	if (j->at == j->end)
		return JSON_NONE;
	enum json_kind kind = (enum json_kind)json_kinds[(unsigned char)*j->at];
	if (kind == JSON_NONE)
		json_fail(j, "a JSON value is expected");
	return kind;
}

enum json_kind
json_peek(struct json *j)
{
	return json_look(j);
}

/* The kind that comes next must be `kind`; the end of the text is an error here. */
static inline bool
json_expect(struct json *j, enum json_kind kind, const char *sentence)
{
	enum json_kind found = json_look(j);

	if (j->error)
		return false;
	if (found == JSON_NONE)
		return json_fail(j, "the JSON text ends too early");
	return found == kind || json_fail(j, sentence);
}

static bool
json_push(struct json *j)
{
	if (j->depth == JSON_DEPTH_MAX)
		return json_fail(j, "the JSON text is nested too deeply");
	uint64_t bit = 1ull << j->depth;
	if (*j->at == '[')
		j->arrays |= bit;
	else
		j->arrays &= ~bit;
	j->depth++;
	j->at++;
	j->first = true;
	return true;
}

static bool
json_pop(struct json *j)
{
	bool array = *j->at == ']';

	if (j->depth == 0 || ((j->arrays >> (j->depth - 1)) & 1) != array)
		return json_fail(j, "a JSON bracket does not match");
	j->depth--;
	j->at++;
	j->first = false;
	return true;
}

bool
json_enter(struct json *j, enum json_kind kind)
{
	if (!json_expect(j, kind,
			 kind == JSON_OBJECT ? "a JSON object is expected"
					     : "a JSON array is expected"))
		return false;
	return json_push(j);
}

/* The quote that ends the string of which `from` is inside, or NULL. */
static const char *
json_quote_far(const char *from, const char *end)
{
	while (from < end) {
		const char *quote = memchr(from, '"', (size_t)(end - from));
		if (!quote)
			return NULL;
		const char *slash = quote;
		while (slash > from && slash[-1] == '\\')
			slash--;
		if ((quote - slash) % 2 == 0)
			return quote;
		from = quote + 1;
	}
	return NULL;
}

/* As above; most strings are shorter than what a call of memchr() is worth. */
static inline const char *
json_quote(const char *s, const char *end)
{
	const char *near = end - s > 24 ? s + 24 : end;

	for (const char *at = s; at < near; at++) {
		if (*at == '"')
			return at;
		if (*at == '\\')
			return json_quote_far(at, end);
	}
	return json_quote_far(near, end);
}

/* Take a string's raw text, from its opening quote on; the text may start anywhere. */
static inline bool
json_raw(struct json *j, struct slice *raw)
{
	const char *quote = json_quote(j->at + 1, j->end);

	if (!quote)
		return json_fail(j, "a JSON string has no end");
	*raw = (struct slice){j->at + 1, (size_t)(quote - j->at - 1)};
	j->at = quote + 1;
	j->first = false;
	return true;
}

bool
json_key(struct json *j, struct slice *key)
{
	if (j->error)
		return false;
	json_space(j);
	if (j->at < j->end && *j->at == '}') {
		json_pop(j);
		return false;
	}
	if (!j->first) {
		if (j->at == j->end || *j->at != ',')
			return json_fail(j, "a JSON object is expected to go on with , or }");
		j->at++;
		json_space(j);
	}
	if (j->at == j->end || *j->at != '"')
		return json_fail(j, "a JSON key is expected");
	if (!json_raw(j, key))
		return false;
	json_space(j);
	if (j->at == j->end || *j->at != ':')
		return json_fail(j, "a JSON key is not followed by :");
	j->at++;
	return true;
}

bool
json_element(struct json *j)
{
	if (j->error)
		return false;
	json_space(j);
	if (j->at < j->end && *j->at == ']') {
		json_pop(j);
		return false;
	}
	if (!j->first) {
		if (j->at == j->end || *j->at != ',')
			return json_fail(j, "a JSON array is expected to go on with , or ]");
		j->at++;
	}
	if (json_look(j) == JSON_NONE)
		return json_fail(j, "the JSON text ends too early");
	j->first = false;
	return true;
}

static bool
json_literal(struct json *j, const char *word, size_t len)
{
	if ((size_t)(j->end - j->at) < len || memcmp(j->at, word, len) != 0)
		return json_fail(j, "a JSON word is misspelt");
	j->at += len;
	j->first = false;
	return true;
}

bool
json_null(struct json *j)
{
	return json_look(j) == JSON_NULL && json_literal(j, "null", 4);
}

bool
json_bool(struct json *j)
{
	if (json_look(j) == JSON_TRUE)
		return json_literal(j, "true", 4);
	if (json_expect(j, JSON_FALSE, "true or false is expected"))
		json_literal(j, "false", 5);
	return false;
}

/* At most 19 digits: they fit. */
static bool
slice_short(struct slice s, uint64_t *out)
{
	const char *after;

	*out = digits_number(s.s, s.s + s.len, &after);
	return after == s.s + s.len;
}

bool
json_short(struct json *j, uint64_t *n)
{
	const char *end;

	uint64_t number;

	if (j->error)
		return false;
	json_space(j);
	end = glance_number(j->at, j->end, &number);
	/* A zero before others, a fraction and an exponent are json_number()'s to judge. */
	if (end == NULL || (end < j->end && (*end == '.' || (*end | 32) == 'e')))
		return false;
	*n = number;
	j->at = end;
	j->first = false;
	return true;
}

static bool
json_digits(struct json *j)
{
	const char *from = j->at;

	j->at = digits_end(from, j->end);
	return j->at > from || json_fail(j, "a JSON number lacks a digit");
}

static bool
json_sign(struct json *j, char first, char second)
{
	bool there = j->at < j->end && (*j->at == first || *j->at == second);

	j->at += there;
	return there;
}

struct slice
json_number(struct json *j)
{
	const struct slice none = {NULL, 0};

	if (!json_expect(j, JSON_NUMBER, "a JSON number is expected"))
		return none;
	const char *from = j->at;
	json_sign(j, '-', '-');
	if (j->at < j->end && *j->at == '0')
		j->at++;
	else if (!json_digits(j))
		return none;
	if (json_sign(j, '.', '.') && !json_digits(j))
		return none;
	if (json_sign(j, 'e', 'E')) {
		json_sign(j, '+', '-');
		if (!json_digits(j))
			return none;
	}
	j->first = false;
	return (struct slice){from, (size_t)(j->at - from)};
}

static bool
json_continues(const unsigned char *s, size_t left, size_t count)
{
	if (left < count)
		return false;
	for (size_t i = 0; i < count; i++)
		if ((s[i] & 0xC0) != 0x80)
			return false;
	return true;
}

size_t
json_sequence(const unsigned char *s, size_t left)
{
	unsigned char c = s[0];

	if (c < 0xC2 || c > 0xF4)
		return 0;
	size_t more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
	if (!json_continues(s + 1, left - 1, more))
		return 0;
	if ((c == 0xE0 && s[1] < 0xA0) || (c == 0xED && s[1] > 0x9F))
		return 0; /* overlong, or a surrogate */
	if ((c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F))
		return 0; /* overlong, or above U+10FFFF */
	return more + 1;
}

size_t
json_trim(const char *s, size_t len)
{
	size_t at = len;

	while (at > 0 && len - at < 3 && ((unsigned char)s[at - 1] & 0xC0) == 0x80)
		at--;
	if (at == 0 || (unsigned char)s[at - 1] < 0xC0)
		return len;
	return json_sequence((const unsigned char *)s + at - 1, len - at + 1) > 0 ? len : at - 1;
}

static const char *
json_check_text(struct slice raw)
{
	const unsigned char *s = (const unsigned char *)raw.s;

	for (size_t i = 0; i < raw.len;) {
		uint64_t word;
		if (raw.len - i >= sizeof(word)) {
			memcpy(&word, s + i, sizeof(word));
			if ((((word - BYTES(0x20)) | word) & BYTES(0x80)) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		if (s[i] < 0x20)
			return "a JSON string holds a control character";
		size_t len = s[i] < 0x80 ? 1 : json_sequence(s + i, raw.len - i);
		if (len == 0)
			return "a JSON string is not UTF-8";
		i += len;
	}
	return NULL;
}

static bool
json_hex(const char *s, const char *end, unsigned *code)
{
	*code = 0;
	if (end - s < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			digit = (unsigned)((c | 32) - 'a') + 10;
		else
			return false;
		*code = *code << 4 | digit;
	}
	return true;
}

static char *
json_put_code(char *to, unsigned code)
{
	if (code < 0x80) {
		*to++ = (char)code;
		return to;
	}
	if (code < 0x800) {
		*to++ = (char)(0xC0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*to++ = (char)(0xE0 | code >> 12);
		} else {
			*to++ = (char)(0xF0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 0x3F));
		}
		*to++ = (char)(0x80 | (code >> 6 & 0x3F));
	}
	*to++ = (char)(0x80 | (code & 0x3F));
	return to;
}

/* \uXXXX at s (which is at the u), with its low half if it is a high surrogate. NULL: wrong. */
static const char *
json_unicode(const char *s, const char *end, unsigned *code)
{
	unsigned low;

	if (!json_hex(s + 1, end, code))
		return NULL;
	s += 5;
	if (*code < 0xD800 || *code > 0xDFFF)
		return s;
	if (*code > 0xDBFF || end - s < 6 || s[0] != '\\' || s[1] != 'u' ||
	    !json_hex(s + 2, end, &low) || low < 0xDC00 || low > 0xDFFF)
		return NULL;
	*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	return s + 6;
}

static char
json_short_escape(char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : '\0';
}

/* Undo the escapes of raw into buf; a length of SIZE_MAX means a wrong escape. */
static size_t
json_unescape(struct slice raw, char *buf)
{
	const char *s = raw.s, *end = raw.s + raw.len;
	char *to = buf;

	while (s < end) {
		const char *slash = memchr(s, '\\', (size_t)(end - s));
		size_t plain = (size_t)((slash ? slash : end) - s);
		memcpy(to, s, plain);
		to += plain;
		s += plain;
		if (!slash)
			break;
		if (++s < end && *s == 'u') {
			unsigned code;
			s = json_unicode(s, end, &code);
			if (!s)
				return SIZE_MAX;
			to = json_put_code(to, code);
			continue;
		}
		char c = s < end ? json_short_escape(*s++) : '\0';
		if (c == '\0')
			return SIZE_MAX;
		*to++ = c;
	}
	return (size_t)(to - buf);
}

struct slice
json_string(struct json *j, char *buf, size_t size)
{
	const struct slice none = {NULL, 0};
	struct slice raw;

	if (!json_expect(j, JSON_STRING, "a JSON string is expected") || !json_raw(j, &raw))
		return none;
	const char *wrong = json_check_text(raw);
	if (wrong) {
		json_fail(j, wrong);
		return none;
	}
	if (!memchr(raw.s, '\\', raw.len))
		return raw;
	if (raw.len > size) {
		json_fail(j, "a JSON string is longer than the room for it");
		return none;
	}
	size_t len = json_unescape(raw, buf);
	if (len == SIZE_MAX) {
		json_fail(j, "a JSON string holds a wrong escape");
		return none;
	}
	return (struct slice){buf, len};
}

struct slice
json_plain(struct slice raw, char *buf, size_t size)
{
	size_t len = 0;

	if (raw.len == 0 || !memchr(raw.s, '\\', raw.len))
		return raw;
	if (raw.len <= size && !json_check_text(raw))
		len = json_unescape(raw, buf);
	return (struct slice){buf, len == SIZE_MAX ? 0 : len};
}

/* The next byte at or after s that matters to nesting. */
static const char *
json_structure(const char *s, const char *end)
{
	uint64_t word;

	while (end - s >= (ptrdiff_t)sizeof(word)) {
		word = word_at(s);
		uint64_t brackets = word | BYTES(32);
		if ((word_where(word, '"') | word_where(brackets, '{') |
		     word_where(brackets, '}')) != 0)
			break;
		s += sizeof(word);
	}
	while (s < end && *s != '"' && (*s | 32) != '{' && (*s | 32) != '}')
		s++;
	return s;
}

void
json_leave(struct json *j)
{
	unsigned outside = j->depth - 1;

	if (j->error)
		return;
	if (j->depth == 0) {
		json_fail(j, "no JSON object or array is open");
		return;
	}
	while (j->depth > outside) {
		j->at = json_structure(j->at, j->end);
		if (j->at == j->end) {
			json_fail(j, "the JSON text ends too early");
			return;
		}
		struct slice raw;
		bool ok;
		if (*j->at == '"')
			ok = json_raw(j, &raw);
		else if ((*j->at | 32) == '{')
			ok = json_push(j);
		else
			ok = json_pop(j);
		if (!ok)
			return;
	}
}

/* Only what can end a number or a word stops it: what is skipped is not looked at. */
static void
json_skip_word(struct json *j)
{
	const char *at = digits_end(j->at, j->end);

	while (at < j->end && *at != ',' && (*at | 32) != '}' && *at > ' ' && *at != '"')
		at++;
	if (at == j->at)
		json_fail(j, "a JSON value is expected");
	j->at = at;
	j->first = false;
}

void
json_skip(struct json *j)
{
	struct slice raw;

	switch (json_look(j)) {
	case JSON_NONE:
		json_fail(j, "the JSON text ends too early");
		break;
	case JSON_STRING:
		json_raw(j, &raw);
		break;
	case JSON_OBJECT:
	case JSON_ARRAY:
		if (json_push(j))
			json_leave(j);
		break;
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
	case JSON_NUMBER:
		json_skip_word(j);
		break;
	}
}

struct slice
json_span(struct json *j)
{
	json_look(j);
	const char *from = j->at;
	json_skip(j);
	if (j->error)
		return (struct slice){NULL, 0};
	return (struct slice){from, (size_t)(j->at - from)};
}

bool
json_take(struct json *j, struct slice value)
{
	if (j->error)
		return false;
	json_space(j);
	if (value.len == 0 || (size_t)(j->end - j->at) < value.len ||
	    memcmp(j->at, value.s, value.len) != 0)
		return false;
	j->at += value.len;
	j->first = false;
	return true;
}

bool
json_end(struct json *j)
{
	if (j->error)
		return false;
	json_space(j);
	if (j->depth > 0)
		return json_fail(j, "a JSON object or array is still open");
	return j->at == j->end || json_fail(j, "something follows the JSON value");
}

bool
slice_is(struct slice s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.s, word, s.len) == 0;
}

bool
slice_uint64(struct slice s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	if (s.len <= 19)
		return slice_short(s, out);
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(unsigned char)s.s[i] - '0';
		if (digit > 9 || n > UINT64_MAX / 10 || n * 10 > UINT64_MAX - digit)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return true;
}

bool
slice_int64(struct slice s, int64_t *out)
{
	uint64_t n;

	if (s.len == 0)
		return false;
	bool minus = s.s[0] == '-';
	if (!slice_uint64((struct slice){s.s + minus, s.len - minus}, &n))
		return false;
	if (n > (uint64_t)INT64_MAX + minus)
		return false;
	*out = minus ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}
