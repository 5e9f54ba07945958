/* test_encode.c - values in PostgreSQL's binary forms, read back by a decoder of the test's own. */
#include <criterion/criterion.h>

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "egress/encode.h"

#define SHIFT INT64_C(946684800000000)

static struct encode_buffer buffer;

static struct value
decimal(const char *s)
{
	return (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)strlen(s), .s = s};
}

static struct value
integer(int64_t i)
{
	return (struct value){.kind = VALUE_INT, .i = i};
}

static struct value
text(const char *s)
{
	return (struct value){.kind = VALUE_TEXT, .len = (uint32_t)strlen(s), .s = s};
}

static enum encode_result
encode(enum encode_type type, unsigned limit, struct value v)
{
	struct encode_column column = {.type = type, .limit = limit};

	encode_clear(&buffer);
	return encode_value(&buffer, &column, &v);
}

static int16_t
word(size_t at)
{
	uint16_t be;

	memcpy(&be, buffer.data + at, sizeof(be));
	return (int16_t)be16toh(be);
}

/* The value of the field, sign-extended, after its length word was checked. */
static int64_t
number(size_t bytes)
{
	uint64_t v = 0;

	cr_assert_eq(buffer.len, 4 + bytes, "%zu bytes", buffer.len);
	cr_assert_eq(word(0), 0, "length");
	cr_assert_eq((size_t)word(2), bytes, "length");
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | buffer.data[4 + i];
	return bytes == 8 ? (int64_t)v : bytes == 4 ? (int32_t)(uint32_t)v : (int16_t)(uint16_t)v;
}

/*
 * The text of the numeric in the buffer, as numeric_out() prints it: digits in groups of four,
 * the first of them worth 10000^weight, and as many after the point as the scale says.
 */
static const char *
numeric(void)
{
	static char out[4096];
	int groups = word(4), weight = word(6), scale = word(10);
	size_t n = 0;

	cr_assert_eq(buffer.len, (size_t)(12 + 2 * groups), "length");
	if (word(8) == 0x4000)
		out[n++] = '-';
	for (int w = weight > 0 ? weight : 0; w >= -((scale + 3) / 4); w--) {
		int i = weight - w;
		int digits = i >= 0 && i < groups ? word(12 + 2 * (size_t)i) : 0;

		if (w == -1)
			out[n++] = '.';
		n += (size_t)snprintf(out + n, sizeof(out) - n,
				      w >= 0 && n <= (out[0] == '-' ? 1u : 0u) ? "%d" : "%04d",
				      digits);
	}
	out[n] = '\0';
	if (scale > 0)
		out[strchr(out, '.') - out + 1 + scale] = '\0';
	return out;
}

TestSuite(encode, .timeout = 10);

Test(encode, numerics_keep_digits_and_scale)
{
	static const char *const all[] = {"0",
					  "0.0",
					  "0.000",
					  "1",
					  "-1",
					  "9999",
					  "10000",
					  "10001",
					  "100000000",
					  "12.30",
					  "-0.5",
					  "0.0001",
					  "0.00001",
					  "0.00010000",
					  "-123456789012.3456789",
					  "1000000000000.00000001",
					  "0.12345",
					  "99999999999999999999999999999999999999999.9"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		cr_assert_eq(encode(ENCODE_NUMERIC, 0, decimal(all[i])), ENCODE_OK);
		cr_assert_str_eq(numeric(), all[i]);
		/* No group of zeros in front: the form that PostgreSQL itself would send. */
		cr_assert(word(4) == 0 || word(12) != 0, "%s begins with zeros", all[i]);
	}
}

Test(encode, random_numerics_come_back)
{
	const unsigned seed = 20261124;

	srand(seed);
	for (int round = 0; round < 20000; round++) {
		char s[128];
		int whole = 1 + rand() % 30, scale = rand() % 30;
		size_t n = 0;

		if (rand() % 2 == 0)
			s[n++] = '-';
		s[n++] = (char)(whole == 1 ? '0' + rand() % 10 : '1' + rand() % 9);
		for (int i = 1; i < whole; i++)
			s[n++] = (char)(rand() % 3 == 0 ? '0' : '0' + rand() % 10);
		if (scale > 0)
			s[n++] = '.';
		for (int i = 0; i < scale; i++)
			s[n++] = (char)(i + 1 == scale || rand() % 3 != 0 ? '1' + rand() % 9 : '0');
		s[n] = '\0';
		if (strcmp(s, "-0") == 0)
			continue;
		cr_assert_eq(encode(ENCODE_NUMERIC, 0, decimal(s)), ENCODE_OK);
		cr_assert_str_eq(numeric(), s, "seed %u, round %d: %s is not %s", seed, round, s,
				 numeric());
	}
}

Test(encode, a_numeric_out_of_postgresql_bounds_is_refused)
{
	static char s[140000];

	memset(s, '1', sizeof(s));
	s[131073] = '\0';
	cr_assert_eq(encode(ENCODE_NUMERIC, 0, decimal(s)), ENCODE_RANGE);
	s[131072] = '\0';
	cr_assert_eq(encode(ENCODE_NUMERIC, 0, decimal(s)), ENCODE_OK);
	s[1] = '.';
	s[2 + 16384] = '\0';
	cr_assert_eq(encode(ENCODE_NUMERIC, 0, decimal(s)), ENCODE_RANGE);
	s[2 + 16383] = '\0';
	cr_assert_eq(encode(ENCODE_NUMERIC, 0, decimal(s)), ENCODE_OK);
}

Test(encode, integers_fit_or_are_refused)
{
	cr_assert_eq(encode(ENCODE_INT2, 0, integer(-32768)), ENCODE_OK);
	cr_assert_eq(number(2), -32768);
	cr_assert_eq(encode(ENCODE_INT2, 0, integer(32768)), ENCODE_RANGE);
	cr_assert_eq(buffer.len, 0u);
	cr_assert_eq(encode(ENCODE_INT4, 0, integer(INT32_MIN)), ENCODE_OK);
	cr_assert_eq(number(4), INT32_MIN);
	cr_assert_eq(encode(ENCODE_INT4, 0, integer((int64_t)INT32_MAX + 1)), ENCODE_RANGE);
	cr_assert_eq(encode(ENCODE_INT8, 0, integer(INT64_MIN)), ENCODE_OK);
	cr_assert_eq(number(8), INT64_MIN);
	cr_assert_eq(encode(ENCODE_NUMERIC, 0, integer(INT64_MIN)), ENCODE_OK);
	cr_assert_str_eq(numeric(), "-9223372036854775808");
}

Test(encode, decimals_round_half_away_from_zero)
{
	static const struct {
		const char *s;
		int64_t v;
	} all[] = {{"0.4", 0},
		   {"0.5", 1},
		   {"-0.5", -1},
		   {"2.5", 3},
		   {"-2.49999", -2},
		   {"7", 7},
		   {"9223372036854775807.4", INT64_MAX},
		   {"-9223372036854775808.4", INT64_MIN}};
	static const char *const none[] = {"9223372036854775807.5", "9223372036854775808",
					   "-9223372036854775808.5", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		cr_assert_eq(encode(ENCODE_INT8, 0, decimal(all[i].s)), ENCODE_OK);
		cr_assert_eq(number(8), all[i].v, "%s is %" PRId64, all[i].s, number(8));
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_assert_eq(encode(ENCODE_INT8, 0, decimal(none[i])), ENCODE_RANGE, "%s", none[i]);
}

Test(encode, floats_are_rounded_once)
{
	/* Through double this would first become 1 + 2^-24, a tie, and then 1. */
	const char *twice = "1.000000059604644775390625000000000001";
	float f;
	uint32_t u;

	cr_assert_eq(encode(ENCODE_FLOAT4, 0, decimal(twice)), ENCODE_OK);
	u = (uint32_t)number(4);
	memcpy(&f, &u, sizeof(f));
	cr_assert(f > 1.0f, "rounded twice");
	cr_assert_eq(encode(ENCODE_FLOAT8, 0, integer(INT64_C(9007199254740993))), ENCODE_OK);
	cr_assert_eq((uint64_t)number(8), UINT64_C(0x4340000000000000));
	cr_assert_eq(encode(ENCODE_FLOAT8, 0, decimal("-0.1")), ENCODE_OK);
	cr_assert_eq((uint64_t)number(8), UINT64_C(0xbfb999999999999a));
	cr_assert_eq(encode(ENCODE_FLOAT4, 0, decimal("340282356779733661637539395458142568448")),
		     ENCODE_RANGE);
}

Test(encode, texts_are_counted_in_characters)
{
	cr_assert_eq(encode(ENCODE_TEXT, 0, text("")), ENCODE_OK);
	cr_assert_eq(buffer.len, 4u);
	cr_assert_eq(encode(ENCODE_VARCHAR, 3, text("\xc3\xa4\xc3\xb6\xc3\xbc")), ENCODE_OK);
	cr_assert_eq(word(2), 6);
	cr_assert_eq(encode(ENCODE_VARCHAR, 3, text("abcd")), ENCODE_TOO_LONG);
	cr_assert_eq(encode(ENCODE_VARCHAR, 3, text("abc  ")), ENCODE_OK, "blanks are dropped");
	cr_assert_eq(encode(ENCODE_VARCHAR, 3, text("abc d")), ENCODE_TOO_LONG);
	cr_assert_eq(encode(ENCODE_VARCHAR, 0, text("abc d")), ENCODE_OK);
}

Test(encode, times_count_from_2000)
{
	cr_assert_eq(encode(ENCODE_TIMESTAMP, 0, integer(SHIFT + 5)), ENCODE_OK);
	cr_assert_eq(number(8), 5);
	cr_assert_eq(encode(ENCODE_TIMESTAMPTZ, 0, integer(INT64_MAX)), ENCODE_OK);
	cr_assert_eq(number(8), INT64_MAX);
	cr_assert_eq(encode(ENCODE_TIMESTAMPTZ, 0, integer(INT64_MIN)), ENCODE_OK);
	cr_assert_eq(number(8), INT64_MIN);
	cr_assert_eq(encode(ENCODE_TIMESTAMP, 0, integer(INT64_MIN + 1)), ENCODE_RANGE);
	cr_assert_eq(encode(ENCODE_TIMESTAMP, 0, integer(INT64_C(-210866803200000000))), ENCODE_OK);
	cr_assert_eq(encode(ENCODE_TIMESTAMP, 0, integer(INT64_C(-210866803200000001))),
		     ENCODE_RANGE);
}

Test(encode, nulls_and_booleans)
{
	static const uint8_t null[] = {255, 255, 255, 255}, yes[] = {0, 0, 0, 1, 1};

	cr_assert_eq(encode(ENCODE_TEXT, 0, (struct value){.kind = VALUE_NULL}), ENCODE_OK);
	cr_assert_eq(buffer.len, sizeof(null));
	cr_assert_arr_eq(buffer.data, null, sizeof(null));
	cr_assert_eq(encode(ENCODE_BOOL, 0, (struct value){.kind = VALUE_BOOL, .i = 1}), ENCODE_OK);
	cr_assert_eq(buffer.len, sizeof(yes));
	cr_assert_arr_eq(buffer.data, yes, sizeof(yes));
	cr_assert_eq(encode(ENCODE_TEXT, 0, (struct value){.kind = VALUE_UNCHANGED}), ENCODE_RANGE);
}

Test(encode, arrays_have_a_header)
{
	static const uint8_t array[] = {0, 0, 0, 1, 0, 0, 0, 1, 0,   0,   0, 21, 0, 0, 0, 2,
					0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 0, 0,  0, 2, 0, 7};

	encode_array_begin(&buffer, ENCODE_INT2);
	encode_integer(&buffer, ENCODE_INT2, -1);
	encode_integer(&buffer, ENCODE_INT2, 7);
	encode_array_end(&buffer, 2);
	cr_assert_eq(buffer.len, sizeof(array));
	cr_assert_arr_eq(buffer.data, array, sizeof(array));
}

Test(encode, types_go_only_where_they_mean_the_same)
{
	enum encode_type type;

	cr_assert(encode_type_of(1700, &type) && type == ENCODE_NUMERIC);
	cr_assert_not(encode_type_of(3802, &type), "jsonb");
	for (unsigned t = 0; t < ENCODE_TYPE_COUNT; t++) {
		cr_assert(encode_type_of(encode_oid((enum encode_type)t), &type) && type == t);
		cr_assert_eq(encode_accepts((enum encode_type)t, TYPE_BIGINT), t <= ENCODE_NUMERIC);
		cr_assert_eq(encode_accepts((enum encode_type)t, TYPE_TEXT),
			     t == ENCODE_TEXT || t == ENCODE_VARCHAR);
	}
	cr_assert_not(encode_accepts(ENCODE_TIMESTAMPTZ, TYPE_TIMESTAMP));
	cr_assert_not(encode_accepts(ENCODE_TEXT, TYPE_BOOLEAN));
}

Test(encode, descriptions_are_short)
{
	struct value v = text("0123456789012345678901234567890123456789x");
	char out[64];

	cr_assert_str_eq(encode_describe(&v, out, sizeof(out)),
			 "0123456789012345678901234567890123456789...");
	v = integer(-5);
	cr_assert_str_eq(encode_describe(&v, out, sizeof(out)), "-5");
}
