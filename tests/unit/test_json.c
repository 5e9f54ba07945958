#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

static struct json
text_json(const char *text)
{
	struct json j;

	json_init(&j, text, strlen(text));
	return j;
}

/* The unescaped string, or NULL with an error. */
static const char *
text_string(const char *text, char *buf, size_t size)
{
	struct json j = text_json(text);
	char raw[256];
	struct slice s = json_string(&j, raw, sizeof(raw));

	if (!json_end(&j))
		return NULL;
	cr_assert_lt(s.len, size);
	memcpy(buf, s.s, s.len);
	buf[s.len] = '\0';
	return buf;
}

static void
check_string(const char *text, const char *expected)
{
	char buf[256];
	const char *found = text_string(text, buf, sizeof(buf));

	cr_assert(found && strcmp(found, expected) == 0, "%s gives %s", text, found);
}

static void
check_bad_string(const char *text)
{
	char buf[256];

	cr_assert_null(text_string(text, buf, sizeof(buf)), "%s was accepted", text);
}

Test(json, walks_a_nested_text)
{
	struct json j =
	    text_json(" { \"a\" : [1, -2.5e+7 ,[ ],{}], \"b\":null,\"c\":{\"d\":\"x\"} } ");
	struct slice key;

	cr_assert(json_enter(&j, JSON_OBJECT));
	cr_assert(json_key(&j, &key) && slice_is(key, "a"));
	cr_assert(json_enter(&j, JSON_ARRAY));
	cr_assert(json_element(&j) && slice_is(json_number(&j), "1"));
	cr_assert(json_element(&j) && slice_is(json_number(&j), "-2.5e+7"));
	cr_assert(json_element(&j) && slice_is(json_span(&j), "[ ]"));
	cr_assert(json_element(&j));
	json_skip(&j);
	cr_assert_not(json_element(&j));
	cr_assert(json_key(&j, &key) && slice_is(key, "b"));
	cr_assert(json_null(&j));
	cr_assert(json_key(&j, &key) && slice_is(key, "c"));
	cr_assert(json_enter(&j, JSON_OBJECT));
	json_leave(&j);
	cr_assert_not(json_key(&j, &key));
	cr_assert(json_end(&j), "%s", j.error);
}

Test(json, strings_are_unescaped)
{
	check_string("\"plain\"", "plain");
	check_string("\"\"", "");
	check_string("\"q\\\"b\\\\s\\/b\\b\\f\\n\\r\\t\"", "q\"b\\s/b\b\f\n\r\t");
	check_string("\"\\u0041\\u00e9\\u6F22\"", "A\xC3\xA9\xE6\xBC\xA2");
	check_string("\"\\uD83C\\uDF89!\"", "\xF0\x9F\x8E\x89!");
	check_string("\"\\\\\\\"\"", "\\\"");
	check_string("\"\x7F\xF4\x8F\xBF\xBF\"", "\x7F\xF4\x8F\xBF\xBF");
}

Test(json, wrong_strings_are_refused)
{
	check_bad_string("\"no end");
	check_bad_string("\"no end\\\"");
	check_bad_string("\"\\x\"");
	check_bad_string("\"\\u12\"");
	check_bad_string("\"\\u12G4\"");
	check_bad_string("\"\\uD83C\"");
	check_bad_string("\"\\uD83C\\u0041\"");
	check_bad_string("\"\\uDF89\"");
	check_bad_string("\"a\nb\"");
	check_bad_string("\"0123456789abcdef\x01\"");
	check_bad_string("\"\x80\"");
	check_bad_string("\"\xC0\xAF\"");         /* overlong */
	check_bad_string("\"\xE0\x80\x80\"");     /* overlong */
	check_bad_string("\"\xED\xA0\x80\"");     /* a surrogate */
	check_bad_string("\"\xF4\x90\x80\x80\""); /* above U+10FFFF */
	check_bad_string("\"\xE6\xBC\"");         /* cut short */
	check_bad_string("\"ok\" x");
}

Test(json, a_nul_escape_is_a_byte_of_the_string)
{
	struct json j = text_json("\"a\\u0000b\"");
	char buf[16];
	struct slice s = json_string(&j, buf, sizeof(buf));

	cr_assert_eq(s.len, 3);
	cr_assert_arr_eq(s.s, "a\0b", 3);
}

Test(json, a_string_without_escapes_borrows_the_text)
{
	struct json j = text_json("\"borrowed\"");

	cr_assert_eq(json_string(&j, NULL, 0).s, j.start + 1);
	j = text_json("\"a\\nb\"");
	json_string(&j, NULL, 0);
	cr_assert_not_null(j.error);
}

static bool
number_is_good(const char *text)
{
	struct json j = text_json(text);
	struct slice s = json_number(&j);

	return json_end(&j) && s.len == strlen(text);
}

Test(json, numbers_obey_the_grammar)
{
	static const char *const good[] = {"0", "-0", "10", "-12", "0.5", "1e5", "1E-7", "1.5e+10"};
	static const char *const bad[] = {"",    "-",   "01", "+1",  ".5",  "1.",  "1e",
					  "1e+", "--1", "1a", "0x1", "1 2", "NaN", "Infinity"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert(number_is_good(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(number_is_good(bad[i]), "%s", bad[i]);
}

/* Walk everything there is, using all values. */
static bool
walk(const char *text, size_t len)
{
	struct json j;
	struct slice key;
	char buf[4096];
	uint64_t arrays = 0;
	unsigned depth = 0;
	bool value = true;

	json_init(&j, text, len);
	while (!j.error && (value || depth > 0)) {
		if (!value) {
			bool array = (arrays >> (depth - 1)) & 1;
			value = array ? json_element(&j) : json_key(&j, &key);
			depth -= !value;
			continue;
		}
		enum json_kind kind = json_peek(&j);
		value = false;
		if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
			if (json_enter(&j, kind)) {
				uint64_t bit = 1ull << depth++;
				arrays = kind == JSON_ARRAY ? arrays | bit : arrays & ~bit;
			}
		} else if (kind == JSON_STRING) {
			json_string(&j, buf, sizeof(buf));
		} else if (kind == JSON_NUMBER) {
			json_number(&j);
		} else if (kind == JSON_NULL) {
			json_null(&j);
		} else {
			json_bool(&j);
		}
	}
	return json_end(&j);
}

Test(json, wrong_texts_are_refused)
{
	static const char *const bad[] = {
	    "",           "{",       "[",          "}",        "{]",
	    "[}",         "[1,]",    "{\"a\":1,}", "[,1]",     "[1 2]",
	    "{a:1}",      "{\"a\"}", "{\"a\" 1}",  "{\"a\":}", "{\"a\":1 \"b\":2}",
	    "nul",        "tru",     "fals",       "nulll",    "[1]]",
	    "{\"a\":1}}", "\x01",    "[\"a]",      "{1:2}",    "{,\"a\":1}",
	    "[01]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(walk(bad[i], strlen(bad[i])), "%s was accepted", bad[i]);
	cr_assert(walk("[true,false,null,{},[],\"\",0]", 28));
}

Test(json, skipping_checks_brackets_and_strings)
{
	static const char *const bad[] = {"{\"a\":[}", "[[[]", "[\"a]", "{\"a\":\"b\\\"}", "[}"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json j = text_json(bad[i]);
		json_skip(&j);
		cr_assert_not(json_end(&j), "%s was skipped", bad[i]);
	}
	struct json j = text_json("{\"a\":[{\"]\":\"}\\\"\"}],\"b\":1e5} ");
	json_skip(&j);
	cr_assert(json_end(&j), "%s", j.error);
}

Test(json, depth_is_bounded)
{
	char text[2 * JSON_DEPTH_MAX + 3];

	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	cr_assert_not(walk(text, 2 * JSON_DEPTH_MAX + 2));
	cr_assert(walk(text + 1, 2 * JSON_DEPTH_MAX));
	struct json j;
	json_init(&j, text, 2 * JSON_DEPTH_MAX + 2);
	json_skip(&j);
	cr_assert_not_null(j.error);
}

Test(json, the_error_is_sticky)
{
	struct json j = text_json("[x, 1]");
	struct slice key;

	json_enter(&j, JSON_ARRAY);
	cr_assert_not(json_element(&j));
	const char *first = j.error;
	cr_assert_not_null(first);
	cr_assert_eq(json_peek(&j), JSON_NONE);
	cr_assert_eq(json_number(&j).len, 0);
	cr_assert_null(json_string(&j, NULL, 0).s);
	cr_assert_not(json_key(&j, &key));
	json_skip(&j);
	json_leave(&j);
	cr_assert_eq(json_span(&j).len, 0);
	cr_assert_not(json_end(&j));
	cr_assert_eq(j.error, first);
}

Test(json, a_known_value_is_taken_by_its_bytes)
{
	const char *block = "{\"a\":[1,2]}";
	struct json j = text_json("[{\"a\":[1,2]},{\"a\":[1,3]}]");

	json_enter(&j, JSON_ARRAY);
	json_element(&j);
	cr_assert(json_take(&j, (struct slice){block, strlen(block)}));
	cr_assert(json_element(&j));
	cr_assert_not(json_take(&j, (struct slice){block, strlen(block)}));
	json_skip(&j);
	cr_assert_not(json_element(&j));
	cr_assert(json_end(&j), "%s", j.error);
}

static bool
as_int64(const char *text, int64_t *n)
{
	return slice_int64((struct slice){text, strlen(text)}, n);
}

Test(json, integers_are_exact)
{
	int64_t n;
	uint64_t u;

	cr_assert(as_int64("9223372036854775807", &n) && n == INT64_MAX);
	cr_assert(as_int64("-9223372036854775808", &n) && n == INT64_MIN);
	cr_assert(as_int64("-0", &n) && n == 0);
	cr_assert_not(as_int64("9223372036854775808", &n));
	cr_assert_not(as_int64("-9223372036854775809", &n));
	cr_assert_not(as_int64("99999999999999999999", &n));
	cr_assert_not(as_int64("", &n));
	cr_assert_not(as_int64("-", &n));
	cr_assert_not(as_int64("1.0", &n));
	cr_assert_not(as_int64("+1", &n));
	cr_assert(slice_uint64((struct slice){"18446744073709551615", 20}, &u) && u == UINT64_MAX);
	cr_assert_not(slice_uint64((struct slice){"18446744073709551616", 20}, &u));
	cr_assert_not(slice_int64((struct slice){NULL, 0}, &n)); /* of a member that is not there */
}

/* Every cut of a good text is bad, and no change of a byte makes the scanner leave its text. */
Test(json, cuts_and_flips_stay_inside)
{
	static const char text[] = "{\"a\":[1,-2.5e7,\"x\\u00e9\\n\",null,true],\"b\":{\"c\":{}}}";
	size_t len = sizeof(text) - 1;

	cr_assert(walk(text, len));
	for (size_t cut = 0; cut < len; cut++) {
		char *copy = malloc(cut + 1); /* its own block, so that ASan sees an overrun */
		memcpy(copy, text, cut);
		cr_assert_not(walk(copy, cut), "cut at %zu", cut);
		free(copy);
	}
	for (size_t at = 0; at < len; at++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			char *copy = malloc(len);
			memcpy(copy, text, len);
			copy[at] = (char)byte;
			walk(copy, len);
			struct json j;
			json_init(&j, copy, len);
			json_skip(&j);
			free(copy);
		}
	}
}

Test(json, trim_takes_off_only_half_a_character)
{
	static const struct {
		const char *text;
		size_t len, kept;
	} cases[] = {
	    {"", 0, 0},
	    {"a", 1, 1},
	    {"\xC3\xA9", 2, 2},
	    {"a\xC3", 2, 1},
	    {"\xE2\x82\xAC", 3, 3},
	    {"\xE2\x82", 2, 0},
	    {"x\xF0\x9F\x98", 4, 1},
	    {"\xF0\x9F\x98\x80", 4, 4},
	    {"\x80\x80\x80\x80", 4, 4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(json_trim(cases[i].text, cases[i].len), cases[i].kept, "case %zu", i);
}
