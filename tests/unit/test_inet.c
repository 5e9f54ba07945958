#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "common/inet.h"
#include "tests/unit/answers.h"

/* From heap memory of just this size, so that the sanitizer sees what is read beyond it. */
static size_t
parse(const char *text, size_t len, uint8_t *out)
{
	char *copy = malloc(len > 0 ? len : 1);

	cr_assert_not_null(copy);
	memcpy(copy, text, len);
	size_t size = inet_parse(copy, len, out);
	free(copy);
	return size;
}

static void
check_input(char **field)
{
	uint8_t bytes[INET_BYTES_MAX], again[INET_BYTES_MAX];
	char text[INET_TEXT_MAX];
	size_t size = parse(field[0], strlen(field[0]), bytes);

	cr_assert_eq(size > 0, strcmp(field[1], "-") != 0, "\"%s\" is %s", field[0],
		     size > 0 ? "accepted" : "refused");
	if (size == 0)
		return;
	cr_assert(inet_is_valid(bytes, size), "%s", field[0]);
	size_t len = inet_print(bytes, text, sizeof(text));
	cr_assert_str_eq(text, field[1], "%s became %s, not %s", field[0], text, field[1]);
	cr_assert_eq(len, strlen(text));
	cr_assert_eq(parse(text, len, again), size, "%s", text);
	cr_assert_arr_eq(again, bytes, size, "%s", text);
}

Test(inet, is_read_and_printed_as_by_postgresql)
{
	cr_assert_eq(answers_each("inet_input.tsv", 2, check_input), 248);
}

static void
check_order(char **field)
{
	uint8_t one[INET_BYTES_MAX], other[INET_BYTES_MAX];
	size_t size = parse(field[0], strlen(field[0]), one);
	size_t other_size = parse(field[1], strlen(field[1]), other);
	int order = inet_compare(one, size, other, other_size), wanted = atoi(field[2]);

	cr_assert_eq((order > 0) - (order < 0), wanted, "%s and %s", field[0], field[1]);
	order = inet_compare(other, other_size, one, size);
	cr_assert_eq((order > 0) - (order < 0), -wanted, "%s and %s", field[1], field[0]);
	cr_assert_eq(size == other_size && memcmp(one, other, size) == 0, wanted == 0,
		     "the bytes of %s and %s", field[0], field[1]);
}

Test(inet, has_the_order_of_postgresql)
{
	cr_assert_eq(answers_each("inet_order.tsv", 3, check_order), 120);
}

/* Forms that PostgreSQL takes by accident only. */
Test(inet, nonsense_is_refused)
{
	static const char *const bad[] = {"::1.2", "::.1", "::1.2..3", "1:2:3:4:5:6:7:8:/64",
					  "1.2.3.4/4294967304"};
	uint8_t out[INET_BYTES_MAX] = {7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(parse(bad[i], strlen(bad[i]), out), 0, "%s", bad[i]);
	cr_assert_eq(parse("1.2.3.4\0", 8, out), 0);
	cr_assert_eq(parse("::\0", 3, out), 0);
	cr_assert_eq(parse("1.2.3.4\0/8", 10, out), 0);
	cr_assert_eq(out[0], 7, "what is refused must not be written");
}

Test(inet, only_a_stored_address_is_valid)
{
	uint8_t bytes[INET_BYTES_MAX + 1] = {4, 32, 10, 0, 0, 1};

	cr_assert(inet_is_valid(bytes, 6));
	cr_assert_not(inet_is_valid(bytes, 0));
	cr_assert_not(inet_is_valid(bytes, 5));
	cr_assert_not(inet_is_valid(bytes, 7));
	cr_assert_not(inet_is_valid(bytes, 18));
	bytes[1] = 33;
	cr_assert_not(inet_is_valid(bytes, 6));
	bytes[0] = 6;
	cr_assert_not(inet_is_valid(bytes, 6));
	bytes[1] = 128;
	cr_assert(inet_is_valid(bytes, 18));
	cr_assert_not(inet_is_valid(bytes, 19));
	bytes[1] = 129;
	cr_assert_not(inet_is_valid(bytes, 18));
}

Test(inet, a_short_buffer_tells_the_length_needed)
{
	uint8_t bytes[INET_BYTES_MAX];
	char text[6];

	cr_assert_eq(parse("192.168.1.7/24", 14, bytes), 6);
	cr_assert_eq(inet_print(bytes, text, sizeof(text)), 14);
	cr_assert_str_eq(text, "192.1");
	cr_assert_eq(parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", 43, bytes), 18);
	cr_assert_eq(inet_print(bytes, NULL, 0), 43);
}
