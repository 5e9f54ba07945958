#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/mutations/mutations.h"

#define TOKENS_MAX 4096
#define MIX        UINT64_C(0x9E3779B97F4A7C15)

enum token_kind {
	TOKEN_PUNCTUATION = 1,
	TOKEN_KEY = 2,
	TOKEN_STRING = 4,
	TOKEN_NUMBER = 8,
	TOKEN_WORD = 16,
};
#define TOKEN_SCALAR (TOKEN_STRING | TOKEN_NUMBER | TOKEN_WORD)
#define TOKEN_ANY    31

struct token {
	enum token_kind kind;
	size_t at, len;
};

struct tokens {
	struct token token[TOKENS_MAX];
	size_t count;
};

struct text
text_copy(const char *s, size_t len)
{
	struct text t = {.s = xcalloc(len ? len : 1, 1), .len = len};

	if (len > 0)
		memcpy(t.s, s, len);
	return t;
}

struct text
text_splice(const struct text *s, size_t from, size_t n, const char *with, size_t m)
{
	struct text t = {.len = s->len - n + m};

	t.s = xcalloc(t.len ? t.len : 1, 1);
	memcpy(t.s, s->s, from);
	if (m > 0)
		memcpy(t.s + from, with, m);
	memcpy(t.s + from + m, s->s + from + n, s->len - from - n);
	return t;
}

uint64_t
chance(uint64_t *state, uint64_t below)
{
	uint64_t z = *state += MIX;

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (z ^ (z >> 31)) % below;
}

/* --- tokens of good JSON --- */

static size_t
token_end(const struct text *t, size_t at)
{
	size_t end = at + 1;

	if (t->s[at] == '"') {
		while (t->s[end] != '"')
			end += t->s[end] == '\\' ? 2 : 1;
		return end + 1;
	}
	if (strchr("{}[],:", t->s[at]) != NULL)
		return end;
	while (end < t->len && strchr("{}[],: \t\r\n", t->s[end]) == NULL)
		end++;
	return end;
}

static enum token_kind
token_kind(const struct text *t, size_t at, size_t end)
{
	if (t->s[at] == '"')
		return end < t->len && t->s[end] == ':' ? TOKEN_KEY : TOKEN_STRING;
	if (strchr("{}[],:", t->s[at]) != NULL)
		return TOKEN_PUNCTUATION;
	return strchr("-0123456789", t->s[at]) != NULL ? TOKEN_NUMBER : TOKEN_WORD;
}

static void
tokens_make(struct tokens *tokens, const struct text *t)
{
	tokens->count = 0;
	for (size_t at = 0; at < t->len && tokens->count < TOKENS_MAX;) {
		if (strchr(" \t\r\n", t->s[at]) != NULL) {
			at++;
			continue;
		}
		size_t end = token_end(t, at);
		tokens->token[tokens->count++] =
		    (struct token){token_kind(t, at, end), at, end - at};
		at = end;
	}
}

/* One of the tokens of these kinds; NULL: there is none. */
static const struct token *
token_choose(const struct tokens *tokens, unsigned kinds, uint64_t *state)
{
	size_t some = tokens->count > 0 ? chance(state, tokens->count) : 0;

	for (size_t i = 0; i < tokens->count; i++) {
		const struct token *token = &tokens->token[(some + i) % tokens->count];
		if (token->kind & kinds)
			return token;
	}
	return NULL;
}

/* The value that begins at a token: up to the bracket that closes it. */
static size_t
value_len(const struct tokens *tokens, const struct text *t, const struct token *first)
{
	const struct token *token = first, *end = tokens->token + tokens->count;
	int depth = 0;

	for (; token < end; token++) {
		char c = t->s[token->at];
		if (token->kind == TOKEN_PUNCTUATION)
			depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (depth == 0)
			return token->at + token->len - first->at;
	}
	return t->len - first->at;
}

/* Half of the time behind the schema block, where a message that has one is most of the time not. */
static const struct token *
key_choose(const struct tokens *tokens, const struct text *t, uint64_t *state)
{
	size_t payload = 0;

	for (size_t i = 0; i < tokens->count; i++)
		if (tokens->token[i].kind == TOKEN_KEY && tokens->token[i].len == 9 &&
		    memcmp(t->s + tokens->token[i].at, "\"payload\"", 9) == 0)
			payload = tokens->token[i].at;
	for (unsigned tries = 0; tries < 200; tries++) {
		const struct token *key = token_choose(tokens, TOKEN_KEY, state);
		if (key == NULL || key->at >= payload || chance(state, 100) == 0)
			return key;
	}
	return NULL;
}

/* --- the damages --- */

static bool
damage_cut(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	const struct token *token = token_choose(tokens, 1u << chance(state, 5), state);

	if (token == NULL)
		return false;
	*out = text_copy(t->s, token->at + chance(state, token->len + 1));
	return true;
}

static bool
damage_token(const struct tokens *tokens, const struct text *t, uint64_t *state, bool twice,
	     struct text *out)
{
	const struct token *token = token_choose(tokens, 1u << chance(state, 5), state);

	if (token == NULL)
		return false;
	*out = twice ? text_splice(t, token->at, 0, t->s + token->at, token->len)
		     : text_splice(t, token->at, token->len, NULL, 0);
	return true;
}

static bool
damage_member(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	const struct token *key = key_choose(tokens, t, state);

	if (key == NULL || key + 2 >= tokens->token + tokens->count)
		return false;
	size_t len = (key + 2)->at + value_len(tokens, t, key + 2) - key->at;
	char *copy = xcalloc(len + 1, 1);
	memcpy(copy, t->s + key->at, len);
	copy[len] = ',';
	*out = text_splice(t, key->at, 0, copy, len + 1);
	free(copy);
	return true;
}

/* Replace the value of some member, or any scalar. */
static bool
damage_value(const struct tokens *tokens, const struct text *t, uint64_t *state, const char *with,
	     size_t len, struct text *out)
{
	const struct token *key = key_choose(tokens, t, state);

	if (key == NULL || key + 2 >= tokens->token + tokens->count)
		return false;
	*out = text_splice(t, (key + 2)->at, value_len(tokens, t, key + 2), with, len);
	return true;
}

static bool
damage_type(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	static const char *const others[] = {
	    "null", "true",  "false",  "0",         "-1",
	    "1.5",  "\"x\"", "\"\"",   "{}",        "[]",
	    "[1]",  "\"7\"", "[null]", "{\"a\":1}", "{\"scale\":1,\"value\":\"AQ==\"}",
	};
	const char *with = others[chance(state, sizeof(others) / sizeof(others[0]))];

	return damage_value(tokens, t, state, with, strlen(with), out);
}

static bool
damage_deep(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	static const unsigned depths[] = {1, 40, 62, 63, 64, 65, 66, 1000, 100000};
	unsigned depth = depths[chance(state, sizeof(depths) / sizeof(depths[0]))];
	bool objects = chance(state, 2), open = chance(state, 4) == 0;
	size_t unit = objects ? 5 : 1, len = depth * unit + 1 + (open ? 0 : depth);
	char *text = xcalloc(len, 1);

	for (unsigned i = 0; i < depth; i++)
		memcpy(text + i * unit, objects ? "{\"a\":" : "[", unit);
	text[depth * unit] = '1';
	if (!open)
		memset(text + depth * unit + 1, objects ? '}' : ']', depth);
	bool made = damage_value(tokens, t, state, text, len, out);
	free(text);
	return made;
}

static bool
damage_huge(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	static const char *const numbers[] = {
	    "2147483648",
	    "-2147483649",
	    "9223372036854775807",
	    "9223372036854775808",
	    "-9223372036854775809",
	    "18446744073709551615",
	    "18446744073709551616",
	    "1e400",
	    "-1E+999999999",
	    "1e-400",
	    "-0",
	    "0.00000000000000000000000000000001",
	    "1e99999999999999999999",
	};
	const struct token *token = token_choose(tokens, TOKEN_NUMBER, state);
	char digits[3000];

	if (token == NULL)
		return false;
	const char *with = numbers[chance(state, sizeof(numbers) / sizeof(numbers[0]))];
	size_t len = strlen(with);
	if (chance(state, 4) == 0) {
		len = 20 + chance(state, sizeof(digits) - 20);
		memset(digits, '9', len);
		with = digits;
	}
	*out = text_splice(t, token->at, token->len, with, len);
	return true;
}

/* Insert into a string or key, or overwrite as many of its bytes. */
static bool
damage_string(const struct tokens *tokens, const struct text *t, uint64_t *state, const char *with,
	      size_t len, struct text *out)
{
	const struct token *token = token_choose(tokens, TOKEN_STRING | TOKEN_KEY, state);

	if (token == NULL)
		return false;
	size_t at = 1 + chance(state, token->len - 1), left = token->len - 1 - at;
	size_t over = chance(state, 2) && left >= len ? len : 0;
	*out = text_splice(t, token->at + at, over, with, len);
	return true;
}

static bool
damage_utf8(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	static const char *const wrong[] = {
	    "\x80",
	    "\xFF",
	    "\xC3",
	    "\xC0\x80",
	    "\xE2\x82",
	    "\xED\xA0\x80",
	    "\xF0\x9F\x98",
	    "\xF4\x90\x80\x80",
	    "\xE0\x80\x80",
	    "\xF8\x88\x80\x80\x80",
	    "\xED\xA0\xBD\xED\xB8\x80",
	};
	const char *with = wrong[chance(state, sizeof(wrong) / sizeof(wrong[0]))];

	return damage_string(tokens, t, state, with, strlen(with), out);
}

static bool
damage_escape(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	static const char *const escapes[] = {
	    "\\u0000", "\\ud800", "\\udc00\\ud800", "\\x", "\\u12",   "\\",   "\\u001f",
	    "\\\"",    "\\u0041", "\\ud83d\\ude00", "\\n", "\\u00e9", "\\\\", "\\u007f\\u0085",
	};
	const char *with = escapes[chance(state, sizeof(escapes) / sizeof(escapes[0]))];

	return damage_string(tokens, t, state, with, strlen(with), out);
}

static bool
damage_control(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	char c = (char)chance(state, 33);

	if (c == ' ')
		c = 127;
	return chance(state, 8) == 0 ? damage_string(tokens, t, state, "\xC2\x85", 2, out)
				     : damage_string(tokens, t, state, &c, 1, out);
}

static bool
damage_punctuation(const struct tokens *tokens, const struct text *t, uint64_t *state,
		   struct text *out)
{
	const struct token *token = token_choose(tokens, TOKEN_PUNCTUATION, state);
	char with = "{}[],:"[chance(state, 6)];

	if (token == NULL || t->s[token->at] == with)
		return false;
	*out = text_splice(t, token->at, 1, &with, 1);
	return true;
}

static bool
damage_key(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	const struct token *key = chance(state, 3) == 0 ? token_choose(tokens, TOKEN_KEY, state)
							: key_choose(tokens, t, state);

	if (key == NULL || key->len < 3)
		return false;
	size_t at = key->at + 1 + chance(state, key->len - 2);
	if (t->s[at] == '\\' || t->s[at - 1] == '\\')
		return false;
	*out = text_splice(t, at, 1, t->s[at] == 'X' ? "Y" : "X", 1);
	return true;
}

/* Members of "source" and of the envelope that only people read. */
static bool
damage_unused(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	static const char *const names[] = {"\"db\"",    "\"connector\"", "\"ts_us\"",
					    "\"ts_ns\"", "\"xmin\"",      "\"total_order\""};
	static const char *const values[] = {"null",        "1e400",      "\"\\ud83d\\ude00\"",
					     "{\"lsn\":1}", "[\"a\",{}]", "\"__debezium\""};

	for (unsigned tries = 0; tries < 400; tries++) {
		const struct token *key = token_choose(tokens, TOKEN_KEY, state);
		for (size_t i = 0; key != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
			if (key->len != strlen(names[i]) ||
			    memcmp(t->s + key->at, names[i], key->len) != 0)
				continue;
			const char *with =
			    values[chance(state, sizeof(values) / sizeof(values[0]))];
			*out = text_splice(t, (key + 2)->at, value_len(tokens, t, key + 2), with,
					   strlen(with));
			return true;
		}
	}
	return false;
}

static bool
damage_space(const struct tokens *tokens, const struct text *t, uint64_t *state, struct text *out)
{
	const struct token *token = token_choose(tokens, TOKEN_ANY, state);
	size_t behind = chance(state, 2);

	*out = text_splice(t, token->at + behind * token->len, 0, " \n\r\t", 1 + chance(state, 4));
	return true;
}

static bool
damage_bytes(enum damage kind, const struct text *t, uint64_t *state, struct text *out)
{
	static const char sharp[] = "{}[]\",:\\0-eu\x80\xFF\n=/";
	size_t at = chance(state, t->len), left = t->len - at;
	size_t n = 1 + chance(state, left < 40 ? left : 40);
	char byte = sharp[chance(state, sizeof(sharp) - 1)], any = (char)chance(state, 256);

	if (kind == DAMAGE_CUT)
		*out = text_copy(t->s, at);
	else if (kind == DAMAGE_LOST)
		*out = text_splice(t, at, n, NULL, 0);
	else if (kind == DAMAGE_TWICE)
		*out = text_splice(t, at, 0, t->s + at, n);
	else if (kind == DAMAGE_TWICE_ALL)
		*out = text_splice(t, 0, 0, t->s, t->len);
	else if (kind == DAMAGE_BYTE)
		*out = text_splice(t, at, 1, &any, 1);
	else if (kind == DAMAGE_SHARP)
		*out = text_splice(t, at, 1, &byte, 1);
	else
		*out = text_splice(t, at, 0, &byte, 1);
	return true;
}

bool
damage_make(enum damage kind, const struct text *t, uint64_t *state, struct text *out)
{
	static struct tokens tokens;

	if (t->len == 0)
		return false;
	tokens_make(&tokens, t);
	switch (kind) {
	case DAMAGE_CUT_TOKEN:
		return damage_cut(&tokens, t, state, out);
	case DAMAGE_LOST_TOKEN:
	case DAMAGE_TWICE_TOKEN:
		return damage_token(&tokens, t, state, kind == DAMAGE_TWICE_TOKEN, out);
	case DAMAGE_TWICE_MEMBER:
		return damage_member(&tokens, t, state, out);
	case DAMAGE_TYPE:
		return damage_type(&tokens, t, state, out);
	case DAMAGE_DEEP:
		return damage_deep(&tokens, t, state, out);
	case DAMAGE_HUGE:
		return damage_huge(&tokens, t, state, out);
	case DAMAGE_UTF8:
		return damage_utf8(&tokens, t, state, out);
	case DAMAGE_ESCAPE:
		return damage_escape(&tokens, t, state, out);
	case DAMAGE_CONTROL:
		return damage_control(&tokens, t, state, out);
	case DAMAGE_PUNCTUATION:
		return damage_punctuation(&tokens, t, state, out);
	case DAMAGE_NAME:
		return damage_key(&tokens, t, state, out);
	case DAMAGE_UNUSED:
		return damage_unused(&tokens, t, state, out);
	case DAMAGE_SPACE:
		return damage_space(&tokens, t, state, out);
	default:
		return damage_bytes(kind, t, state, out);
	}
}

bool
damage_is_harmless(enum damage kind)
{
	return kind == DAMAGE_UNUSED || kind == DAMAGE_SPACE;
}

const char *
damage_name(enum damage kind)
{
	static const char *const names[DAMAGES] = {
	    [DAMAGE_CUT] = "cut short",
	    [DAMAGE_CUT_TOKEN] = "cut in a token",
	    [DAMAGE_LOST] = "bytes lost",
	    [DAMAGE_LOST_TOKEN] = "token lost",
	    [DAMAGE_TWICE] = "bytes doubled",
	    [DAMAGE_TWICE_TOKEN] = "token doubled",
	    [DAMAGE_TWICE_MEMBER] = "member doubled",
	    [DAMAGE_TWICE_ALL] = "message doubled",
	    [DAMAGE_TYPE] = "type changed",
	    [DAMAGE_DEEP] = "nested deep",
	    [DAMAGE_HUGE] = "huge number",
	    [DAMAGE_UTF8] = "wrong UTF-8",
	    [DAMAGE_ESCAPE] = "escape",
	    [DAMAGE_CONTROL] = "control character",
	    [DAMAGE_BYTE] = "byte changed",
	    [DAMAGE_SHARP] = "sharp byte",
	    [DAMAGE_INSERT] = "byte inserted",
	    [DAMAGE_PUNCTUATION] = "punctuation",
	    [DAMAGE_NAME] = "name changed",
	    [DAMAGE_UNUSED] = "unused value",
	    [DAMAGE_SPACE] = "white space",
	};

	return names[kind];
}
