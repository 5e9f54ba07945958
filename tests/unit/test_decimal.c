#include <criterion/criterion.h>

#include <gmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/pack.h"
#include "common/value.h"

#define LINE_MAX_BYTES 16384

/* Fields of a tab-separated line, in place. */
static unsigned
fields_split(char *line, char **fields, unsigned max)
{
	unsigned n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (n < max && line != NULL)
		fields[n++] = strsep(&line, "\t");
	return n;
}

static FILE *
table_open(const char *path)
{
	FILE *file = fopen(path, "r");

	cr_assert_not_null(file, "%s is missing: run the tests from the project's folder", path);
	return file;
}

static struct decimal_sum *
sum_of_list(const char *list, int64_t times)
{
	struct decimal_sum *sum = decimal_sum_new();
	size_t len;

	for (; *list != '\0'; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		decimal_sum_add(sum, list, len, times);
	}
	return sum;
}

Test(decimal, sum_and_average_have_the_digits_of_postgresql)
{
	FILE *file = table_open("tests/data/postgres/average.tsv");
	char line[LINE_MAX_BYTES], text[DECIMAL_TEXT_MAX], *field[4];
	unsigned checked = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] == '#')
			continue;
		cr_assert_eq(fields_split(line, field, 4), 4);
		struct decimal_sum *sum = sum_of_list(field[0], 1);
		decimal_sum_print(sum, text, sizeof(text));
		cr_assert_str_eq(text, field[2], "sum of %s: %s, not %s", field[0], text, field[2]);
		size_t len =
		    decimal_sum_average(sum, strtoll(field[1], NULL, 10), text, sizeof(text));
		cr_assert_str_eq(text, field[3], "avg of %s: %s, not %s", field[0], text, field[3]);
		cr_assert_eq(len, strlen(text));
		decimal_sum_free(sum);
		checked++;
	}
	fclose(file);
	cr_assert_eq(checked, 500);
}

Test(decimal, literals_are_read_as_postgresql_reads_them)
{
	FILE *file = table_open("tests/data/postgres/numeric_input.tsv");
	char line[LINE_MAX_BYTES], text[DECIMAL_TEXT_MAX], *field[2];
	unsigned checked = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] == '#')
			continue;
		cr_assert_eq(fields_split(line, field, 2), 2);
		size_t len = decimal_canonical(field[0], strlen(field[0]), text, sizeof(text));
		cr_assert_eq(len, strlen(field[1]), "%s has length %zu", field[0], len);
		cr_assert_arr_eq(text, field[1], len, "%s became %s", field[0], text);
		cr_assert_eq(decimal_canonical(field[1], len, text, sizeof(text)), len);
		cr_assert_arr_eq(text, field[1], len, "canonical text must stay as it is");
		checked++;
	}
	fclose(file);
	cr_assert_eq(checked, 30);
}

Test(decimal, what_is_no_number_is_refused)
{
	static const char *const bad[] = {"",
					  "-",
					  "+",
					  ".",
					  "-.",
					  "e5",
					  "1e",
					  "1e+",
					  "1e5x",
					  "1.2.3",
					  "NaN1",
					  "-NaN",
					  "Infinit",
					  "0x10",
					  "1 ",
					  " 1",
					  "1,5",
					  "--1",
					  "1e99999999999999999999",
					  "1e1000",
					  "1e-1001"};
	char text[DECIMAL_TEXT_MAX];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(decimal_canonical(bad[i], strlen(bad[i]), text, sizeof(text)), 0,
			     "\"%s\" was taken for %s", bad[i], text);
	char longest[DECIMAL_DIGITS_MAX + 2];
	memset(longest, '7', sizeof(longest));
	cr_assert_eq(decimal_canonical(longest, DECIMAL_DIGITS_MAX, text, sizeof(text)),
		     DECIMAL_DIGITS_MAX);
	cr_assert_eq(decimal_canonical(longest, DECIMAL_DIGITS_MAX + 1, text, sizeof(text)), 0);
	cr_assert_eq(decimal_canonical("-12.45", 6, text, 5), 0, "a buffer too small");
	cr_assert_eq(decimal_canonical("-12.45", 6, text, 6), 6, "a buffer just large enough");
}

static void
check_bytes(const char *hex, int scale, const char *expected)
{
	uint8_t bytes[512];
	char text[DECIMAL_TEXT_MAX];
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	size_t len = decimal_from_bytes(bytes, n, scale, text, sizeof(text));
	cr_assert_eq(len, strlen(expected), "%s at scale %d: length %zu", hex, scale, len);
	cr_assert_arr_eq(text, expected, len, "%s at scale %d: %s, not %s", hex, scale, text,
			 expected);
}

Test(decimal, unscaled_bytes)
{
	check_bytes("00", 0, "0");
	check_bytes("00", 3, "0.000");
	check_bytes("7b", 2, "1.23");
	check_bytes("ff", 2, "-0.01");
	check_bytes("80", 0, "-128");
	check_bytes("007b", -3, "123000");
	check_bytes("04d2", 4, "0.1234");
	check_bytes("7fffffffffffffffffffffffffffffff", 0,
		    "170141183460469231731687303715884105727");
	check_bytes("80000000000000000000000000000000", 1,
		    "-17014118346046923173168730371588410572.8");
	check_bytes("ffffffffffffffffffffffffffffffffff", 2, "-0.01");
	check_bytes("0100000000000000000000000000000000", 0,
		    "340282366920938463463374607431768211456");
	check_bytes("ff00000000000000000000000000000000", 38,
		    "-3.40282366920938463463374607431768211456");
	check_bytes("0100000000000000000000000000000000", -2,
		    "34028236692093846346337460743176821145600");
	check_bytes("", 0, "");
	check_bytes("01", 1001, "");
}

/* A random canonical decimal and the same value times 10^12 as a big integer. */
static size_t
random_decimal(gmp_randstate_t random, char *text, size_t size, mpz_ptr scaled)
{
	char digits[80], raw[100];
	unsigned long width = gmp_urandomm_ui(random, 50) + 1;
	unsigned long scale = gmp_urandomm_ui(random, 13);
	bool negative = gmp_urandomm_ui(random, 2) == 1;

	for (unsigned long i = 0; i < width; i++)
		digits[i] = (char)('0' + (int)gmp_urandomm_ui(random, 10));
	digits[width] = '\0';
	(void)snprintf(raw, sizeof(raw), "%s%se-%lu", negative ? "-" : "", digits, scale);
	size_t len = decimal_canonical(raw, strlen(raw), text, size);
	cr_assert_gt(len, 0);
	cr_assert_eq(decimal_scale(text, len), (int)scale);
	mpz_set_str(scaled, digits, 10);
	if (negative)
		mpz_neg(scaled, scaled);
	for (unsigned long i = scale; i < 12; i++)
		mpz_mul_ui(scaled, scaled, 10);
	return len;
}

Test(decimal, order_and_hash_follow_the_value)
{
	gmp_randstate_t random;
	char a[128], b[128], padded[160];
	mpz_t x, y;

	gmp_randinit_default(random);
	gmp_randseed_ui(random, 20261124);
	mpz_inits(x, y, NULL);
	for (int i = 0; i < 20000; i++) {
		size_t alen = random_decimal(random, a, sizeof(a), x);
		size_t blen = random_decimal(random, b, sizeof(b), y);
		int expected = mpz_cmp(x, y), order = decimal_compare(a, alen, b, blen);
		cr_assert_eq((order > 0) - (order < 0), (expected > 0) - (expected < 0),
			     "%s and %s", a, b);
		int plen = snprintf(padded, sizeof(padded), "%s%s", a,
				    decimal_scale(a, alen) > 0 ? "00" : ".00");
		cr_assert_eq(decimal_compare(a, alen, padded, (size_t)plen), 0);
		cr_assert_eq(decimal_hash(a, alen, 7), decimal_hash(padded, (size_t)plen, 7));
		if (expected != 0)
			cr_assert_neq(decimal_hash(a, alen, 7), decimal_hash(b, blen, 7));
	}
	mpz_clears(x, y, NULL);
	gmp_randclear(random);
}

Test(decimal, integers_and_decimals_hash_alike)
{
	static const int64_t numbers[] = {0, 1, -1, 42, INT64_MAX, INT64_MIN, 1000000};
	char text[40];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct value integer = {.kind = VALUE_INT, .i = numbers[i]};
		int len = snprintf(text, sizeof(text), "%" PRId64 ".000", numbers[i]);
		cr_assert_eq(value_hash(&integer, 3), decimal_hash(text, (size_t)len, 3));
		struct value decimal = {.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = text};
		cr_assert_eq(value_compare(&integer, &decimal), 0);
	}
}

/* Random numbers go in and out again in another order; the sum is always that of what is left. */
Test(decimal, sums_can_be_taken_back)
{
	enum { COUNT = 200 };
	static char texts[COUNT][128];
	static size_t lens[COUNT];
	gmp_randstate_t random;
	char got[DECIMAL_TEXT_MAX], want[DECIMAL_TEXT_MAX];
	mpz_t ignored;

	gmp_randinit_default(random);
	gmp_randseed_ui(random, 4711);
	mpz_init(ignored);
	struct decimal_sum *sum = decimal_sum_new();
	for (int i = 0; i < COUNT; i++) {
		lens[i] = random_decimal(random, texts[i], sizeof(texts[i]), ignored);
		decimal_sum_add(sum, texts[i], lens[i], 3);
		decimal_sum_add_digits(sum, (int64_t)i << 40, 0, 1);
	}
	for (int gone = 0; gone < COUNT; gone++) {
		decimal_sum_add(sum, texts[gone], lens[gone], -2);
		decimal_sum_add(sum, texts[gone], lens[gone], -1);
		decimal_sum_add_digits(sum, (int64_t)gone << 40, 0, -1);
		struct decimal_sum *rest = decimal_sum_new();
		for (int i = COUNT - 1; i > gone; i--) {
			decimal_sum_add_digits(rest, (int64_t)i << 40, 0, 1);
			decimal_sum_add(rest, texts[i], lens[i], 3);
		}
		decimal_sum_print(sum, got, sizeof(got));
		decimal_sum_print(rest, want, sizeof(want));
		cr_assert_str_eq(got, want, "after %d", gone);
		cr_assert_eq(decimal_sum_scale(sum), decimal_sum_scale(rest));
		decimal_sum_free(rest);
	}
	cr_assert_str_eq(got, "0");
	decimal_sum_free(sum);
	mpz_clear(ignored);
	gmp_randclear(random);
}

Test(decimal, the_sum_shows_the_largest_scale_left)
{
	struct decimal_sum *sum = decimal_sum_new();
	char text[DECIMAL_TEXT_MAX];

	decimal_sum_add(sum, "1.5", 3, 1);
	decimal_sum_add(sum, "0.2500", 6, 1);
	decimal_sum_print(sum, text, sizeof(text));
	cr_assert_str_eq(text, "1.7500");
	decimal_sum_add(sum, "0.2500", 6, -1);
	decimal_sum_print(sum, text, sizeof(text));
	cr_assert_str_eq(text, "1.5");
	cr_assert_eq(decimal_sum_print(sum, text, 3), 3, "the length that is needed");
	decimal_sum_free(sum);
}

Test(decimal, a_sum_knows_when_it_is_an_integer_of_64_bits)
{
	struct decimal_sum *sum = decimal_sum_new();
	int64_t value = 5;

	cr_assert(decimal_sum_int(sum, &value) && value == 0);
	decimal_sum_add_digits(sum, INT64_MIN, 0, 1);
	cr_assert(decimal_sum_int(sum, &value) && value == INT64_MIN);
	decimal_sum_add_digits(sum, -1, 0, 1);
	cr_assert_not(decimal_sum_int(sum, &value));
	decimal_sum_clear(sum);
	decimal_sum_add(sum, "2.50", 4, 2);
	cr_assert(decimal_sum_int(sum, &value) && value == 5);
	decimal_sum_add(sum, "0.01", 4, 1);
	cr_assert_not(decimal_sum_int(sum, &value));
	decimal_sum_free(sum);
}

/* A checkpoint keeps a sum whole: its value, its width and its book of scales. */
Test(decimal, a_sum_is_packed_and_read_back)
{
	static const char *const texts[] = {
	    "1",    "-2.50",
	    "0.00", "99999999999999999999999999999",
	    "-0.1", "123456789012345678901234567890123456789012.345"};
	struct decimal_sum *sum = decimal_sum_new();
	uint8_t bytes[512];
	char before[DECIMAL_TEXT_MAX], after[DECIMAL_TEXT_MAX];
	struct pack pack;
	struct unpack unpack;

	for (unsigned i = 0; i < 12; i++) {
		const char *text = texts[i % 6];
		/* First they come, then they go: the book shrinks as it grew. */
		decimal_sum_add(sum, text, strlen(text), i < 6 ? 3 : -3);
		pack_init(&pack, bytes, sizeof(bytes));
		decimal_sum_pack(sum, &pack);
		cr_assert_not(pack.overflow);
		unpack_init(&unpack, bytes, pack_len(&pack));
		struct decimal_sum *copy = decimal_sum_unpack(&unpack);
		cr_assert_not_null(copy);
		cr_assert(unpack.at == unpack.end);
		decimal_sum_print(sum, before, sizeof(before));
		decimal_sum_print(copy, after, sizeof(after));
		cr_assert_str_eq(before, after);
		for (unsigned k = 0; k < 6; k++)
			decimal_sum_add(copy, texts[k], strlen(texts[k]),
					-3 * (k <= i && i < 6 + k));
		cr_assert_eq(decimal_sum_scale(copy), 0, "after %u", i);
		decimal_sum_free(copy);
	}
	decimal_sum_free(sum);
	unpack_init(&unpack,
		    "\x93\x00\xa0\xa2"
		    "1x",
		    6);
	cr_assert_null(decimal_sum_unpack(&unpack));
	cr_assert(unpack.bad);
}
