/*
 * decimal.c - sums and quotients: 128 bits, and a big integer where they do not suffice.
 */
#include <gmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal_text.h"
#include "common/log.h"
#include "common/pack.h"

#define SMALL_DIGITS    38   /* any number of so many digits fits 128 bits */
#define MIN_SIGNIFICANT 16   /* NUMERIC_MIN_SIG_DIGITS of PostgreSQL */
#define BASE_DIGITS     4    /* DEC_DIGITS: PostgreSQL's numeric has base 10000 */
#define SCALE_MAX       1000 /* NUMERIC_MAX_DISPLAY_SCALE */

typedef decimal_integer int128;
__extension__ typedef unsigned __int128 uint128;

static const uint64_t powers[20] = {
    1u,
    10u,
    100u,
    1000u,
    10000u,
    100000u,
    1000000u,
    10000000u,
    100000000u,
    1000000000u,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
    1000000000000000000u,
    10000000000000000000u,
};

size_t
decimal_place(bool negative, const char *digits, size_t n, size_t scale, size_t keep, char *buf,
	      size_t size)
{
	if (n == 0)
		scale = keep;
	while (scale > keep && n > 0 && digits[n - 1] == '0') {
		scale--;
		n--;
	}
	size_t whole = n > scale ? n - scale : 0;
	size_t len = (size_t)negative + (whole > 0 ? whole : 1) + (scale > 0 ? 1 + scale : 0);
	if (len >= size)
		return len;
	if (negative)
		*buf++ = '-';
	if (whole == 0)
		*buf++ = '0';
	memcpy(buf, digits, whole);
	buf += whole;
	if (scale > 0) {
		*buf++ = '.';
		size_t zeros = scale - (n - whole);
		memset(buf, '0', zeros);
		memcpy(buf + zeros, digits + whole, n - whole);
		buf += scale;
	}
	*buf = '\0';
	return len;
}

/* The digits of a magnitude, without zeros in front; buf holds at least 40 bytes. */
static size_t
digits_print(uint128 magnitude, char *buf)
{
	char reversed[40];
	size_t n = 0;

	while (magnitude > UINT64_MAX) {
		uint64_t low = (uint64_t)(magnitude % powers[18]);
		magnitude /= powers[18];
		for (int i = 0; i < 18; i++, low /= 10)
			reversed[n++] = (char)('0' + low % 10);
	}
	for (uint64_t rest = (uint64_t)magnitude; rest > 0; rest /= 10)
		reversed[n++] = (char)('0' + rest % 10);
	for (size_t i = 0; i < n; i++)
		buf[i] = reversed[n - 1 - i];
	return n;
}

static uint128
magnitude_of(int128 value)
{
	return value < 0 ? -(uint128)value : (uint128)value;
}

size_t
decimal_of_integer(decimal_integer digits, int scale, char text[DECIMAL_INTEGER_MAX])
{
	char local[DECIMAL_INTEGER_MAX];
	size_t n = digits_print(magnitude_of(digits), local);

	return decimal_place(digits < 0, local, n, (size_t)scale, (size_t)scale, text,
			     DECIMAL_INTEGER_MAX);
}

/* Digits of a big integer, without its sign: heap (or buf when they fit); *n is 0 for zero. */
static char *
digits_print_big(mpz_srcptr value, char *buf, size_t size, size_t *n)
{
	size_t need = mpz_sizeinbase(value, 10) + 2;
	char *digits = need <= size ? buf : xcalloc(1, need);

	mpz_get_str(digits, 10, value);
	*n = strlen(digits);
	if (mpz_sgn(value) < 0)
		memmove(digits, digits + 1, *n), (*n)--;
	else if (mpz_sgn(value) == 0)
		*n = 0;
	return digits;
}

static size_t
decimal_from_big(const uint8_t *unscaled, size_t len, size_t scale, size_t zeros, char *buf,
		 size_t size)
{
	char digits[DECIMAL_TEXT_MAX];
	bool negative = unscaled[0] >= 0x80;
	mpz_t value;
	size_t n, written = 0;

	mpz_init(value);
	mpz_import(value, len, 1, 1, 1, 0, unscaled);
	if (negative) {
		mpz_t limit;
		mpz_init(limit);
		mpz_setbit(limit, len * 8);
		mpz_sub(value, value, limit);
		mpz_clear(limit);
	}
	if (mpz_sizeinbase(value, 10) + zeros <= DECIMAL_DIGITS_MAX + 1) {
		digits_print_big(value, digits, sizeof(digits), &n);
		if (n > 0)
			memset(digits + n, '0', zeros), n += zeros;
		if (n <= DECIMAL_DIGITS_MAX)
			written = decimal_place(negative, digits, n, scale, scale, buf, size);
	}
	mpz_clear(value);
	return written < size ? written : 0;
}

size_t
decimal_from_bytes(const uint8_t *unscaled, size_t len, int scale, char *buf, size_t size)
{
	char digits[DECIMAL_TEXT_MAX];
	size_t places = scale > 0 ? (size_t)scale : 0, zeros = scale < 0 ? -(size_t)scale : 0;
	size_t n, written;

	if (len == 0 || places > DECIMAL_DIGITS_MAX ||
	    zeros > DECIMAL_DIGITS_MAX - SMALL_DIGITS - 1)
		return 0;
	if (len > DECIMAL_DIGITS_MAX)
		return 0;
	if (len > sizeof(int128))
		return decimal_from_big(unscaled, len, places, zeros, buf, size);
	uint128 bits = unscaled[0] >= 0x80 ? ~(uint128)0 : 0;
	for (size_t i = 0; i < len; i++)
		bits = bits << 8 | unscaled[i];
	bool negative = (int128)bits < 0;
	n = digits_print(negative ? -bits : bits, digits);
	if (n > 0)
		memset(digits + n, '0', zeros), n += zeros;
	written = decimal_place(negative, digits, n, places, places, buf, size);
	return written < size ? written : 0;
}

struct scale_count {
	int scale;
	int64_t count;
};

struct decimal_sum { /* the value is (big ? large : small) * 10^-scale */
	union {
		int128 small;
		mpz_t large;
	};
	bool big;
	int scale; /* only grows until the sum is cleared */
	unsigned scales, room;
	/* How many numbers of each scale are in the sum; no zeros. Special values have scales of their own. */
	struct scale_count *list;
	struct scale_count first; /* what list points to while one is enough */
};

struct decimal_sum *
decimal_sum_new(void)
{
	struct decimal_sum *sum = xcalloc(1, sizeof(*sum));

	sum->list = &sum->first;
	sum->room = 1;
	return sum;
}

void
decimal_sum_clear(struct decimal_sum *sum)
{
	if (sum->big)
		mpz_clear(sum->large);
	if (sum->list != &sum->first)
		free(sum->list);
	*sum = (struct decimal_sum){.list = &sum->first, .room = 1};
}

void
decimal_sum_free(struct decimal_sum *sum)
{
	if (sum == NULL)
		return;
	decimal_sum_clear(sum);
	free(sum);
}

/* What stands for a scale in the list of counts: such a value is in no digits. */
enum {
	SCALE_NAN = -1,
	SCALE_INFINITY = -2,
	SCALE_MINUS_INFINITY = -3,
};

static void
sum_count(struct decimal_sum *sum, int scale, int64_t times)
{
	unsigned i = 0;

	while (i < sum->scales && sum->list[i].scale != scale)
		i++;
	if (i == sum->scales) {
		if (i == sum->room) {
			struct scale_count *old = sum->list == &sum->first ? NULL : sum->list;
			sum->list = xreallocarray(old, sum->room * 2, sizeof(*sum->list));
			if (old == NULL)
				sum->list[0] = sum->first;
			sum->room *= 2;
		}
		sum->list[sum->scales++] = (struct scale_count){.scale = scale};
	}
	sum->list[i].count += times;
	if (sum->list[i].count == 0)
		sum->list[i] = sum->list[--sum->scales];
}

static void
mpz_set_int128(mpz_ptr out, int128 value)
{
	uint128 magnitude = magnitude_of(value);
	uint64_t words[2] = {(uint64_t)magnitude, (uint64_t)(magnitude >> 64)};

	mpz_import(out, 2, -1, sizeof(words[0]), 0, 0, words);
	if (value < 0)
		mpz_neg(out, out);
}

/* Multiply by a power of ten. */
static void
mpz_shift(mpz_ptr value, unsigned long places)
{
	mpz_t power;

	mpz_init(power);
	mpz_ui_pow_ui(power, 10, places);
	mpz_mul(value, value, power);
	mpz_clear(power);
}

static bool
int128_shift(int128 *value, int places)
{
	while (places > 0 && *value != 0) {
		int step = places < 18 ? places : 18;
		if (__builtin_mul_overflow(*value, (int128)powers[step], value))
			return false;
		places -= step;
	}
	return true;
}

/* Add value * 10^-scale within 128 bits. False, and nothing is changed, when it does not fit. */
static bool
sum_add_small(struct decimal_sum *sum, int128 value, int scale)
{
	int128 total = sum->small;

	if (sum->big)
		return false;
	if (scale > sum->scale && !int128_shift(&total, scale - sum->scale))
		return false;
	if (scale < sum->scale && !int128_shift(&value, sum->scale - scale))
		return false;
	if (__builtin_add_overflow(total, value, &total))
		return false;
	sum->small = total;
	if (scale > sum->scale)
		sum->scale = scale;
	return true;
}

/* The same without a limit. `value` is changed. */
static void
sum_add_large(struct decimal_sum *sum, mpz_ptr value, int scale)
{
	if (!sum->big) {
		int128 small = sum->small;
		mpz_init(sum->large);
		mpz_set_int128(sum->large, small);
		sum->big = true;
	}
	if (scale > sum->scale) {
		mpz_shift(sum->large, (unsigned long)(scale - sum->scale));
		sum->scale = scale;
	} else if (scale < sum->scale) {
		mpz_shift(value, (unsigned long)(sum->scale - scale));
	}
	mpz_add(sum->large, sum->large, value);
}

static void
sum_settle(struct decimal_sum *sum, int scale, int64_t times)
{
	sum_count(sum, scale, times);
	/* Nothing is left in it: drop a scale or a width that only numbers taken away needed. */
	if (sum->scales == 0 && (sum->big || sum->scale > 0) &&
	    (sum->big ? mpz_sgn(sum->large) == 0 : sum->small == 0))
		decimal_sum_clear(sum);
}

void
decimal_sum_add_digits(struct decimal_sum *sum, int64_t digits, int scale, int64_t times)
{
	int128 product = (int128)digits * times;

	if (!sum_add_small(sum, product, scale)) {
		mpz_t large;
		mpz_init(large);
		mpz_set_int128(large, product);
		sum_add_large(sum, large, scale);
		mpz_clear(large);
	}
	sum_settle(sum, scale, times);
}

static void
digits_read(const char *digits, size_t n, int128 *value)
{
	for (size_t i = 0; i < n; i++)
		*value = *value * 10 + (digits[i] - '0');
}

static void
sum_add_text(struct decimal_sum *sum, const struct parts *parts, int64_t times)
{
	char digits[DECIMAL_TEXT_MAX];
	size_t whole = parts->whole_len, fraction = parts->fraction_len;
	mpz_t value, factor;

	if (whole + fraction >= sizeof(digits))
		return; /* not canonical: refused where values are read */
	memcpy(digits, parts->whole, whole);
	if (fraction > 0)
		memcpy(digits + whole, parts->fraction, fraction);
	digits[whole + fraction] = '\0';
	mpz_init_set_str(value, digits, 10);
	mpz_init(factor);
	mpz_set_int128(factor, parts->negative ? -(int128)times : times);
	mpz_mul(value, value, factor);
	sum_add_large(sum, value, (int)fraction);
	mpz_clears(value, factor, NULL);
}

static void
sum_add_special(struct decimal_sum *sum, const char *text, int64_t times)
{
	sum_settle(sum,
		   text[0] == 'N'   ? SCALE_NAN
		   : text[0] == '-' ? SCALE_MINUS_INFINITY
				    : SCALE_INFINITY,
		   times);
}

void
decimal_sum_add(struct decimal_sum *sum, const char *text, size_t len, int64_t times)
{
	unsigned scale;
	int64_t small;
	int128 value = 0;

	if (decimal_short(text, len, &small, &scale)) {
		decimal_sum_add_digits(sum, small, (int)scale, times);
		return;
	}
	if (decimal_is_special(text, len)) {
		sum_add_special(sum, text, times);
		return;
	}
	struct parts parts = decimal_split(text, len);
	bool fits = parts.whole_len + parts.fraction_len <= SMALL_DIGITS;

	if (fits) {
		digits_read(parts.whole, parts.whole_len, &value);
		digits_read(parts.fraction, parts.fraction_len, &value);
		fits =
		    !__builtin_mul_overflow(value, parts.negative ? -(int128)times : times, &value);
	}
	if (!fits || !sum_add_small(sum, value, (int)parts.fraction_len))
		sum_add_text(sum, &parts, times);
	sum_settle(sum, (int)parts.fraction_len, times);
}

int
decimal_sum_scale(const struct decimal_sum *sum)
{
	int scale = 0;

	for (unsigned i = 0; i < sum->scales; i++)
		if (sum->list[i].count > 0 && sum->list[i].scale > scale)
			scale = sum->list[i].scale;
	return scale;
}

/* What the special values in it make of the sum; NULL: there are none. */
static const char *
sum_special(const struct decimal_sum *sum)
{
	int64_t nan = 0, infinity = 0, minus = 0;

	for (unsigned i = 0; i < sum->scales; i++) {
		nan += sum->list[i].scale == SCALE_NAN ? sum->list[i].count : 0;
		infinity += sum->list[i].scale == SCALE_INFINITY ? sum->list[i].count : 0;
		minus += sum->list[i].scale == SCALE_MINUS_INFINITY ? sum->list[i].count : 0;
	}
	if (nan > 0 || (infinity > 0 && minus > 0))
		return "NaN";
	return infinity > 0 ? "Infinity" : minus > 0 ? "-Infinity" : NULL;
}

/* Digits of the unscaled sum: in buf, or on the heap when they do not fit it. */
static char *
sum_digits(const struct decimal_sum *sum, char *buf, size_t size, size_t *n, bool *negative)
{
	if (sum->big) {
		*negative = mpz_sgn(sum->large) < 0;
		return digits_print_big(sum->large, buf, size, n);
	}
	*negative = sum->small < 0;
	*n = digits_print(magnitude_of(sum->small), buf);
	return buf;
}

size_t
decimal_sum_print(const struct decimal_sum *sum, char *buf, size_t size)
{
	char local[DECIMAL_TEXT_MAX];
	const char *special = sum_special(sum);
	size_t n, len;
	bool negative;

	if (special != NULL)
		return (size_t)snprintf(buf, size, "%s", special);
	char *digits = sum_digits(sum, local, sizeof(local), &n, &negative);

	len = decimal_place(negative, digits, n, (size_t)sum->scale, (size_t)decimal_sum_scale(sum),
			    buf, size);
	if (digits != local)
		free(digits);
	return len;
}

bool
decimal_sum_int(const struct decimal_sum *sum, int64_t *out)
{
	char local[DECIMAL_TEXT_MAX];
	size_t n, scale = (size_t)sum->scale;
	bool negative, fits = true;

	for (unsigned i = 0; i < sum->scales; i++)
		if (sum->list[i].scale < 0)
			return false;
	char *digits = sum_digits(sum, local, sizeof(local), &n, &negative);

	for (; fits && scale > 0 && n > 0; scale--, n--)
		fits = digits[n - 1] == '0';
	struct parts parts = {.negative = negative, .whole = digits, .whole_len = n};
	fits = fits && decimal_whole(&parts, out);
	if (digits != local)
		free(digits);
	return fits;
}

/* The first digit in base 10000, aligned at the point, and its weight: 0 and 0 for zero. */
static int
base_digit(const char *digits, size_t n, int scale, int *weight)
{
	int digit = 0, exponent = (int)n - 1 - scale;

	*weight = 0;
	if (n == 0)
		return 0;
	*weight = exponent >= 0 ? exponent / BASE_DIGITS : -((-exponent + 3) / BASE_DIGITS);
	int take = exponent - *weight * BASE_DIGITS + 1;
	for (int i = 0; i < take; i++)
		digit = digit * 10 + ((size_t)i < n ? digits[i] - '0' : 0);
	return digit;
}

int
decimal_quotient_scale(const char *a, size_t an, int a_scale, const char *b, size_t bn, int b_scale,
		       int least)
{
	int weight, divisor_weight, scale;
	int first = base_digit(a, an, a_scale, &weight);
	int divisor_first = base_digit(b, bn, b_scale, &divisor_weight);

	weight -= divisor_weight;
	if (first <= divisor_first)
		weight--;
	scale = MIN_SIGNIFICANT - weight * BASE_DIGITS;
	scale = scale > least ? scale : least;
	scale = scale > 0 ? scale : 0;
	return scale < SCALE_MAX ? scale : SCALE_MAX;
}

static int
average_scale(const struct decimal_sum *sum, int64_t count)
{
	char local[DECIMAL_TEXT_MAX], divisor[40];
	size_t n, divisor_n = digits_print((uint128)count, divisor);
	bool negative;
	char *digits = sum_digits(sum, local, sizeof(local), &n, &negative);
	int scale = decimal_quotient_scale(digits, n, sum->scale, divisor, divisor_n, 0,
					   decimal_sum_scale(sum));

	if (digits != local)
		free(digits);
	return scale;
}

/* Quotient rounded half away from zero; false when it needs more than 128 bits on the way. */
static bool
divide_small(const struct decimal_sum *sum, int128 count, int scale, uint128 *quotient)
{
	int128 value = sum->small;

	if (sum->big || scale < sum->scale || !int128_shift(&value, scale - sum->scale))
		return false;
	uint128 magnitude = magnitude_of(value), divisor = (uint128)count;
	*quotient = magnitude / divisor;
	if (magnitude % divisor >= divisor - magnitude % divisor)
		++*quotient;
	return true;
}

static void
divide_large(const struct decimal_sum *sum, int64_t count, int scale, mpz_ptr quotient)
{
	mpz_t divisor, rest;

	mpz_inits(divisor, rest, NULL);
	mpz_set_int128(divisor, count);
	if (sum->big)
		mpz_set(quotient, sum->large);
	else
		mpz_set_int128(quotient, sum->small);
	mpz_abs(quotient, quotient);
	if (scale >= sum->scale)
		mpz_shift(quotient, (unsigned long)(scale - sum->scale));
	else
		mpz_shift(divisor, (unsigned long)(sum->scale - scale));
	mpz_tdiv_qr(quotient, rest, quotient, divisor);
	mpz_mul_2exp(rest, rest, 1);
	if (mpz_cmp(rest, divisor) >= 0)
		mpz_add_ui(quotient, quotient, 1);
	mpz_clears(divisor, rest, NULL);
}

size_t
decimal_sum_average(const struct decimal_sum *sum, int64_t count, char *buf, size_t size)
{
	char local[DECIMAL_TEXT_MAX], *digits = local;
	bool negative = sum->big ? mpz_sgn(sum->large) < 0 : sum->small < 0;
	const char *special = sum_special(sum);
	uint128 quotient;
	size_t n;

	if (special != NULL)
		return (size_t)snprintf(buf, size, "%s", special);
	int scale = average_scale(sum, count);

	if (divide_small(sum, count, scale, &quotient)) {
		n = digits_print(quotient, digits);
	} else {
		mpz_t large;
		mpz_init(large);
		divide_large(sum, count, scale, large);
		digits = digits_print_big(large, local, sizeof(local), &n);
		mpz_clear(large);
	}
	size_t len =
	    decimal_place(negative && n > 0, digits, n, (size_t)scale, (size_t)scale, buf, size);
	if (digits != local)
		free(digits);
	return len;
}

/* [scale, digits with their sign, scale and count of each scale in its book...] */
void
decimal_sum_pack(const struct decimal_sum *sum, struct pack *pack)
{
	char local[DECIMAL_TEXT_MAX], sign[1] = {'-'};
	bool negative;
	size_t n;
	char *digits = sum_digits(sum, local, sizeof(local), &n, &negative);

	pack_array(pack, 3 + 2 * sum->scales);
	pack_int(pack, sum->scale);
	pack_str(pack, sign, negative);
	pack_str(pack, digits, n);
	for (unsigned i = 0; i < sum->scales; i++) {
		pack_int(pack, sum->list[i].scale);
		pack_int(pack, sum->list[i].count);
	}
	if (digits != local)
		free(digits);
}

/* The digits as unscaled value; false when they are none. */
static bool
sum_read(struct decimal_sum *sum, const char *digits, size_t n, bool negative)
{
	char *text;
	int128 value = 0;

	for (size_t i = 0; i < n; i++)
		if (!is_digit(digits[i]))
			return false;
	if (n <= SMALL_DIGITS) {
		digits_read(digits, n, &value);
		sum->small = negative ? -value : value;
		return true;
	}
	text = xcalloc(1, n + 1);
	memcpy(text, digits, n);
	sum->big = true;
	(void)mpz_init_set_str(sum->large, text, 10);
	if (negative)
		mpz_neg(sum->large, sum->large);
	free(text);
	return true;
}

static bool
sum_has_scale(const struct decimal_sum *sum, int64_t scale)
{
	for (unsigned i = 0; i < sum->scales; i++)
		if (sum->list[i].scale == scale)
			return true;
	return false;
}

static bool
sum_unpack(struct decimal_sum *sum, struct unpack *u)
{
	uint32_t fields = unpack_array(u), sign, n;
	int64_t scale = unpack_int(u);
	(void)unpack_str(u, &sign);
	const char *digits = unpack_str(u, &n);

	if (u->bad || fields < 3 || fields % 2 == 0 || scale < 0 || scale > DECIMAL_DIGITS_MAX ||
	    sign > 1 || !sum_read(sum, digits, n, sign == 1))
		return false;
	sum->scale = (int)scale;
	for (uint32_t i = 3; i < fields; i += 2) {
		int64_t one = unpack_int(u), count = unpack_int(u);
		if (u->bad || one < SCALE_MINUS_INFINITY || one > scale || count == 0 ||
		    sum_has_scale(sum, one))
			return false;
		sum_count(sum, (int)one, count);
	}
	return true;
}

struct decimal_sum *
decimal_sum_unpack(struct unpack *u)
{
	struct decimal_sum *sum = decimal_sum_new();

	if (sum_unpack(sum, u))
		return sum;
	u->bad = true;
	decimal_sum_free(sum);
	return NULL;
}
