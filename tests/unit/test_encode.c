/* test_encode.c - values in PostgreSQL's binary forms, read back by a decoder of the test's own. */
#include <criterion/criterion.h>

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "common/pack.h"
#include "common/pipeline.h"
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
	struct encode_column column = {.type = type, .limit = limit, .source = TYPE_BIGINT};

	if (v.kind == VALUE_DECIMAL)
		column.source = TYPE_NUMERIC;
	else if (v.kind == VALUE_TEXT)
		column.source = TYPE_TEXT;
	else if (v.kind == VALUE_BOOL)
		column.source = TYPE_BOOLEAN;
	else if (type == ENCODE_TIMESTAMP || type == ENCODE_TIMESTAMPTZ)
		column.source = TYPE_TIMESTAMP;

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
	cr_assert_eq(encode(ENCODE_TEXT, 0, (struct value){.kind = VALUE_UNCHANGED}),
		     ENCODE_CORRUPT);
}

Test(encode, arrays_have_a_header)
{
	static const uint8_t array[] = {0, 0, 0, 1, 0, 0, 0, 1, 0,   0,   0, 21, 0, 0, 0, 2,
					0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 0, 0,  0, 2, 0, 7};

	encode_array_begin(&buffer, encode_oid(ENCODE_INT2));
	encode_integer(&buffer, ENCODE_INT2, -1);
	encode_integer(&buffer, ENCODE_INT2, 7);
	encode_array_end(&buffer, 2);
	cr_assert_eq(buffer.len, sizeof(array));
	cr_assert_arr_eq(buffer.data, array, sizeof(array));
}

static char *mood_labels[] = {(char[]){"sad"}, (char[]){"it's ok"}};
static const struct enumeration mood = {.labels = mood_labels, .label_count = 2};

/* A value read from its text, or its encoding as hexadecimal digits after the length word. */
static enum encode_result
encode_literal(const struct encode_column *into, const char *literal, char hex[256])
{
	const struct column declared = {.type = into->source, .enumeration = into->enumeration};
	char room[256];
	struct value v;

	cr_assert(column_parse(&declared, literal, strlen(literal), room, sizeof(room), &v), "%s",
		  literal);
	encode_clear(&buffer);
	enum encode_result result = encode_value(&buffer, into, &v);
	hex[0] = '\0';
	if (result != ENCODE_OK)
		return result;
	cr_assert_eq((size_t)word(2), buffer.len - 4, "length of %s", literal);
	for (size_t i = 4; i < buffer.len; i++)
		snprintf(hex + 2 * (i - 4), 3, "%02x", buffer.data[i]);
	return ENCODE_OK;
}

/* What PostgreSQL's send functions give: SELECT encode(date_send('infinity'), 'hex'). */
Test(encode, every_type_has_the_bytes_of_its_send_function)
{
	static const struct {
		enum type source;
		enum encode_type type;
		const char *literal, *hex;
	} all[] = {
	    {TYPE_DATE, ENCODE_DATE, "2000-01-01", "00000000"},
	    {TYPE_DATE, ENCODE_DATE, "1999-12-31", "ffffffff"},
	    {TYPE_DATE, ENCODE_DATE, "infinity", "7fffffff"},
	    {TYPE_DATE, ENCODE_DATE, "-infinity", "80000000"},
	    {TYPE_DATE, ENCODE_DATE, "4713-11-24 BC", "ffda9915"},
	    {TYPE_TIME, ENCODE_TIME, "00:00:00", "0000000000000000"},
	    {TYPE_TIME, ENCODE_TIME, "24:00:00", "000000141dd76000"},
	    {TYPE_TIME, ENCODE_TIME, "23:59:59.999999", "000000141dd75fff"},
	    {TYPE_INTERVAL, ENCODE_INTERVAL, "1 mon", "00000000000000000000000000000001"},
	    {TYPE_INTERVAL, ENCODE_INTERVAL, "30 days", "00000000000000000000001e00000000"},
	    {TYPE_INTERVAL, ENCODE_INTERVAL, "-1 years -2 mons +3 days -04:05:06.789012",
	     "fffffffc9368356c00000003fffffff2"},
	    {TYPE_UUID, ENCODE_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	     "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
	    {TYPE_UUID, ENCODE_TEXT, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	     "61306565626339392d396330622d346566382d626236642d366262396264333830613131"},
	    {TYPE_BYTEA, ENCODE_BYTEA, "\\x", ""},
	    {TYPE_BYTEA, ENCODE_BYTEA, "\\x00ff", "00ff"},
	    {TYPE_JSONB, ENCODE_JSONB, "{\"a\":1}", "017b2261223a20317d"},
	    {TYPE_JSONB, ENCODE_TEXT, "{\"a\":1}", "7b2261223a20317d"},
	    {TYPE_INET, ENCODE_INET, "10.0.0.1/8", "020800040a000001"},
	    {TYPE_INET, ENCODE_INET, "255.255.255.255", "02200004ffffffff"},
	    {TYPE_INET, ENCODE_INET, "2001:db8::1/64", "0340001020010db8000000000000000000000001"},
	    {TYPE_MONEY, ENCODE_MONEY, "1", "0000000000000064"},
	    {TYPE_MONEY, ENCODE_MONEY, "-0.01", "ffffffffffffffff"},
	    {TYPE_MONEY, ENCODE_NUMERIC, "12.30", "0002000000000002000c0bb8"},
	    {TYPE_MONEY, ENCODE_NUMERIC, "-0.01", "0001ffff400000020064"},
	    {TYPE_NUMERIC, ENCODE_NUMERIC, "NaN", "00000000c0000000"},
	    {TYPE_NUMERIC, ENCODE_NUMERIC, "Infinity", "00000000d0000000"},
	    {TYPE_NUMERIC, ENCODE_NUMERIC, "-Infinity", "00000000f0000000"},
	    {TYPE_NUMERIC, ENCODE_FLOAT4, "-Infinity", "ff800000"},
	    {TYPE_REAL, ENCODE_FLOAT4, "NaN", "7fc00000"},
	    {TYPE_REAL, ENCODE_FLOAT4, "Infinity", "7f800000"},
	    {TYPE_REAL, ENCODE_FLOAT4, "-0", "80000000"},
	    {TYPE_REAL, ENCODE_FLOAT4, "0.1", "3dcccccd"},
	    {TYPE_REAL, ENCODE_NUMERIC, "0.1", "0001ffff0000000103e8"},
	    {TYPE_DOUBLE, ENCODE_FLOAT8, "NaN", "7ff8000000000000"},
	    {TYPE_DOUBLE, ENCODE_FLOAT8, "-Infinity", "fff0000000000000"},
	    {TYPE_DOUBLE, ENCODE_FLOAT8, "0.1", "3fb999999999999a"},
	    {TYPE_DOUBLE, ENCODE_NUMERIC, "12.5", "0002000000000001000c1388"},
	    {TYPE_DOUBLE, ENCODE_FLOAT4, "0.1", "3dcccccd"},
	    {TYPE_CHAR, ENCODE_CHAR, "ab  ", "6162"},
	    {TYPE_ENUM, ENCODE_ENUM, "it's ok", "69742773206f6b"},
	    {TYPE_ENUM, ENCODE_TEXT, "sad", "736164"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct encode_column into = {
		    .type = all[i].type, .source = all[i].source, .enumeration = &mood};
		char hex[256];

		cr_assert(encode_accepts(into.type, into.source), "%s", all[i].literal);
		cr_assert_eq(encode_literal(&into, all[i].literal, hex), ENCODE_OK, "%s",
			     all[i].literal);
		cr_assert_str_eq(hex, all[i].hex, "%s", all[i].literal);
	}
}

Test(encode, what_a_column_cannot_hold_is_refused)
{
	static const struct {
		enum type source;
		enum encode_type type;
		const char *literal;
	} all[] = {
	    {TYPE_NUMERIC, ENCODE_NUMERIC, "Infinity"}, {TYPE_DOUBLE, ENCODE_NUMERIC, "-Infinity"},
	    {TYPE_NUMERIC, ENCODE_INT8, "NaN"},         {TYPE_NUMERIC, ENCODE_INT8, "-Infinity"},
	    {TYPE_DOUBLE, ENCODE_FLOAT4, "1e39"},
	};
	char hex[256];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct encode_column into = {
		    .type = all[i].type, .source = all[i].source, .finite = true};

		cr_assert_eq(encode_literal(&into, all[i].literal, hex), ENCODE_RANGE, "%s",
			     all[i].literal);
		cr_assert_eq(buffer.len, 0u);
	}
}

Test(encode, dates_and_labels_have_ends)
{
	struct encode_column into = {.type = ENCODE_DATE, .source = TYPE_DATE};
	struct value v = integer(INT64_C(2145031948) + 10957);

	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_OK, "5874897-12-31");
	cr_assert_eq(number(4), INT64_C(0x7fda970c));
	encode_clear(&buffer);
	v.i++;
	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_RANGE);
	v.i = -2451545 + 10957 - 1;
	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_RANGE);
	into =
	    (struct encode_column){.type = ENCODE_ENUM, .source = TYPE_ENUM, .enumeration = &mood};
	v.i = 2;
	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_CORRUPT, "no such label");
	into = (struct encode_column){
	    .type = ENCODE_VARCHAR, .source = TYPE_ENUM, .enumeration = &mood, .limit = 6};
	v.i = 1;
	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_TOO_LONG);
	cr_assert_eq(buffer.len, 0u);
}

static uint8_t list_room[64];

static struct value
list(const struct value *elements, unsigned count)
{
	struct pack out;

	pack_init(&out, list_room, sizeof(list_room));
	pack_array(&out, count);
	for (unsigned i = 0; i < count; i++)
		value_pack(&out, &elements[i]);
	return (struct value){
	    .kind = VALUE_ARRAY, .len = (uint32_t)pack_len(&out), .s = (const char *)list_room};
}

static void
expect_list(const struct encode_column *into, struct value v, const uint8_t *bytes, size_t len)
{
	encode_clear(&buffer);
	cr_assert_eq(encode_value(&buffer, into, &v), ENCODE_OK);
	cr_assert_eq(buffer.len, len);
	cr_assert_arr_eq(buffer.data, bytes, len);
}

/* array_send() of '{}', '{1,NULL}' and '{a,"",NULL}'. */
Test(encode, array_values_have_a_header_of_their_own)
{
	static const uint8_t empty[] = {0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23};
	static const uint8_t numbers[] = {0, 0, 0, 32, 0, 0, 0, 1, 0,   0,   0,   1,
					  0, 0, 0, 23, 0, 0, 0, 2, 0,   0,   0,   1,
					  0, 0, 0, 4,  0, 0, 0, 1, 255, 255, 255, 255};
	static const uint8_t words[] = {0, 0, 0,   33, 0, 0, 0, 1,   0,   0,   0,  1, 0,
					0, 0, 25,  0,  0, 0, 3, 0,   0,   0,   1,  0, 0,
					0, 1, 'a', 0,  0, 0, 0, 255, 255, 255, 255};
	const struct encode_column integers = {
	    .type = ENCODE_INT4, .source = TYPE_INTEGER, .array = true, .oid = 23};
	const struct encode_column texts = {
	    .type = ENCODE_TEXT, .source = TYPE_TEXT, .array = true, .oid = 25};
	const struct value some[] = {integer(1), {.kind = VALUE_NULL}};
	const struct value letters[] = {text("a"), text(""), {.kind = VALUE_NULL}};

	expect_list(&integers, list(NULL, 0), empty, sizeof(empty));
	expect_list(&integers, list(some, 2), numbers, sizeof(numbers));
	expect_list(&texts, list(letters, 3), words, sizeof(words));
}

Test(encode, elements_are_refused_as_values_are)
{
	struct encode_column into = {
	    .type = ENCODE_VARCHAR, .source = TYPE_TEXT, .array = true, .limit = 2, .oid = 1043};
	const struct value three[] = {text("a"), text("abc")};
	struct value v = list(three, 2);

	encode_clear(&buffer);
	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_TOO_LONG);
	cr_assert_eq(buffer.len, 0u);
	into.source = TYPE_BOOLEAN;
	into.type = ENCODE_BOOL;
	cr_assert_eq(encode_value(&buffer, &into, &v), ENCODE_CORRUPT, "a text is no boolean");
	cr_assert_eq(buffer.len, 0u);
}

Test(encode, types_go_only_where_they_mean_the_same)
{
	enum encode_type type;

	cr_assert(encode_type_of(1700, &type) && type == ENCODE_NUMERIC);
	cr_assert_not(encode_type_of(114, &type), "json has no equality");
	cr_assert_not(encode_type_of(0, &type), "enums have OIDs of their own");
	for (unsigned t = 0; t < ENCODE_TYPE_COUNT; t++) {
		enum encode_type target = (enum encode_type)t;
		bool text_like = t == ENCODE_TEXT || t == ENCODE_VARCHAR;

		cr_assert(t == ENCODE_ENUM ||
			  (encode_type_of(encode_oid(target), &type) && type == t));
		cr_assert_eq(encode_accepts(target, TYPE_BIGINT), t <= ENCODE_NUMERIC);
		cr_assert_eq(encode_accepts(target, TYPE_DOUBLE),
			     t >= ENCODE_FLOAT4 && t <= ENCODE_NUMERIC);
		cr_assert_eq(encode_accepts(target, TYPE_TEXT), text_like || t == ENCODE_CHAR);
		cr_assert_eq(encode_accepts(target, TYPE_ENUM), text_like || t == ENCODE_ENUM);
		cr_assert_eq(encode_accepts(target, TYPE_DATE), t == ENCODE_DATE);
		cr_assert_not(encode_accepts(target, TYPE_JSON));
		cr_assert_not(encode_accepts(target, TYPE_ARRAY), "its elements are asked for");
	}
	cr_assert_not(encode_accepts(ENCODE_TIMESTAMPTZ, TYPE_TIMESTAMP));
	cr_assert_not(encode_accepts(ENCODE_TEXT, TYPE_BOOLEAN));
}

Test(encode, descriptions_are_short)
{
	struct encode_column into = {.type = ENCODE_TEXT, .source = TYPE_TEXT};
	struct value v = text("0123456789012345678901234567890123456789x");
	char out[ENCODE_DESCRIBE_MAX];

	cr_assert_str_eq(encode_describe(&into, &v, out),
			 "0123456789012345678901234567890123456789...");
	v = text("012345678901234567890123456789012345678\xc3\xa4");
	cr_assert_str_eq(encode_describe(&into, &v, out),
			 "012345678901234567890123456789012345678...", "no half a character");
	into.source = TYPE_BIGINT;
	v = integer(-5);
	cr_assert_str_eq(encode_describe(&into, &v, out), "-5");
	into =
	    (struct encode_column){.type = ENCODE_ENUM, .source = TYPE_ENUM, .enumeration = &mood};
	v = integer(1);
	cr_assert_str_eq(encode_describe(&into, &v, out), "it's ok");
}
