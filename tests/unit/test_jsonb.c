#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/json.h"
#include "common/jsonb.h"
#include "tests/unit/answers.h"

#define TEXT_SIZE 16384

/* From heap memory of just this size, so that the sanitizer sees what is read beyond it. */
static size_t
canonical(const char *text, size_t len, char *buf, size_t size)
{
	char *copy = malloc(len > 0 ? len : 1);

	cr_assert_not_null(copy);
	memcpy(copy, text, len);
	len = jsonb_canonical(copy, len, buf, size);
	free(copy);
	return len;
}

static void
check_input(char **field)
{
	char text[TEXT_SIZE], again[TEXT_SIZE];
	size_t len = canonical(field[0], strlen(field[0]), text, sizeof(text));

	cr_assert_eq(len > 0, strcmp(field[1], "-") != 0, "%s is %s", field[0],
		     len > 0 ? "accepted" : "refused");
	if (len == 0)
		return;
	cr_assert_str_eq(text, field[1], "%s became %s, not %s", field[0], text, field[1]);
	cr_assert_eq(len, strlen(text));
	cr_assert_eq(canonical(text, len, again, sizeof(again)), len);
	cr_assert_str_eq(again, text, "canonical text must stay as it is");
}

Test(jsonb, is_written_as_by_postgresql)
{
	cr_assert_eq(answers_each("jsonb_input.tsv", 2, check_input), 142);
}

static void
check_equal(char **field)
{
	char one[TEXT_SIZE], other[TEXT_SIZE];

	cr_assert_gt(canonical(field[0], strlen(field[0]), one, sizeof(one)), 0);
	cr_assert_gt(canonical(field[1], strlen(field[1]), other, sizeof(other)), 0);
	cr_assert_eq(strcmp(one, other) == 0, field[2][0] == 't', "%s and %s: %s and %s", field[0],
		     field[1], one, other);
}

Test(jsonb, equal_documents_are_equal_bytes)
{
	cr_assert_eq(answers_each("jsonb_equal.tsv", 3, check_equal), 1891);
}

Test(jsonb, nesting_and_digits_are_bounded)
{
	char text[TEXT_SIZE], out[TEXT_SIZE];
	size_t depth = JSON_DEPTH_MAX;

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	cr_assert_eq(canonical(text, 2 * depth, out, sizeof(out)), 2 * depth);
	memset(text, '[', depth + 1);
	memset(text + depth + 1, ']', depth + 1);
	cr_assert_eq(canonical(text, 2 * depth + 2, out, sizeof(out)), 0);
	memset(text, '7', DECIMAL_DIGITS_MAX + 1);
	cr_assert_eq(canonical(text, DECIMAL_DIGITS_MAX, out, sizeof(out)), DECIMAL_DIGITS_MAX);
	cr_assert_eq(canonical(text, DECIMAL_DIGITS_MAX + 1, out, sizeof(out)), 0);
	cr_assert_eq(canonical("[1e1000]", 8, out, sizeof(out)), 0);
	cr_assert_eq(canonical("1e999", 5, out, sizeof(out)), 1000);
}

Test(jsonb, foreign_bytes_are_refused)
{
	char out[64];

	cr_assert_eq(canonical("1\0", 2, out, sizeof(out)), 0);
	cr_assert_eq(canonical("\"\0\"", 3, out, sizeof(out)), 0);
	cr_assert_eq(canonical("\"\xff\"", 3, out, sizeof(out)), 0);
	cr_assert_eq(canonical("{\"\xc3\":1}", 7, out, sizeof(out)), 0);
	cr_assert_eq(canonical("{\"\xed\xa0\x80\":1}", 9, out, sizeof(out)), 0);
	cr_assert_eq(canonical("{\"a\nb\":1}", 9, out, sizeof(out)), 0);
}

Test(jsonb, a_short_buffer_tells_the_length_needed)
{
	char out[8] = "before";

	cr_assert_eq(canonical("[1,2,3]", 7, out, 9), 9);
	cr_assert_str_eq(out, "before", "nothing is written when it does not fit");
	cr_assert_eq(canonical("[1,2,3]", 7, NULL, 0), 9);
	cr_assert_eq(canonical("[1,20]", 6, out, sizeof(out)), 7);
	cr_assert_str_eq(out, "[1, 20]");
}

/* Many keys at each of several depths: they come in falling order and leave in rising order. */
Test(jsonb, large_objects_are_sorted)
{
	enum { KEYS = 3000 };
	char *text = malloc(KEYS * 40), *wanted = malloc(KEYS * 40), *out = malloc(KEYS * 40);
	size_t len = 0, want = 0;

	cr_assert(text != NULL && wanted != NULL && out != NULL);
	for (int i = KEYS - 1; i >= 0; i--)
		len += (size_t)sprintf(text + len, "%s\"%04d\":{\"b\":%d,\"a\":[]}",
				       len > 0 ? "," : "{", i, i);
	len += (size_t)sprintf(text + len, "}");
	for (int i = 0; i < KEYS; i++)
		want += (size_t)sprintf(wanted + want, "%s\"%04d\": {\"a\": [], \"b\": %d}",
					want > 0 ? ", " : "{", i, i);
	want += (size_t)sprintf(wanted + want, "}");
	cr_assert_eq(canonical(text, len, out, KEYS * 40), want);
	cr_assert_str_eq(out, wanted);
	free(text);
	free(wanted);
	free(out);
}
