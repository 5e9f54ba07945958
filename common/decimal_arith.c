/*
 * decimal_arith.c - + - * / % of canonical texts, rounding: numeric.c's digits, its scales and its errors.
 */
#include <gmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal_text.h"

#define SMALL_DIGITS 36 /* any number of so many digits fits 128 bits, with room for a digit */
#define TOO_LONG     "numeric result has more than 1000 digits"
#define BY_ZERO      "division by zero"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

struct number { /* digits * 10^-scale */
	bool negative;
	char digits[DECIMAL_TEXT_MAX + 1]; /* without zeros in front: none for zero */
	size_t n;
	int scale;
};

static void
number_read(struct number *out, const char *text, size_t len)
{
	struct parts parts = decimal_split(text, len);
	size_t zeros = 0, n = parts.whole_len;

	memcpy(out->digits, parts.whole, n);
	if (parts.fraction_len > 0)
		memcpy(out->digits + n, parts.fraction, parts.fraction_len);
	n += parts.fraction_len;
	while (zeros < n && out->digits[zeros] == '0')
		zeros++;
	memmove(out->digits, out->digits + zeros, n - zeros);
	out->n = n - zeros;
	out->digits[out->n] = '\0';
	out->negative = parts.negative;
	out->scale = (int)parts.fraction_len;
}

static const char *
number_write(const struct number *number, char *buf, size_t *len)
{
	size_t scale = (size_t)number->scale, whole = number->n > scale ? number->n - scale : 1;

	if (whole + scale > DECIMAL_DIGITS_MAX)
		return TOO_LONG;
	*len = decimal_place(number->negative && number->n > 0, number->digits, number->n, scale,
			     scale, buf, DECIMAL_TEXT_MAX);
	return NULL;
}

/* --- within 128 bits: false when that does not suffice --- */

static bool
small_read(const struct number *number, int places, int128 *out)
{
	*out = 0;
	if (number->n > 0 && number->n + (size_t)places > SMALL_DIGITS)
		return false;
	for (size_t i = 0; i < number->n; i++)
		*out = *out * 10 + (number->digits[i] - '0');
	for (int i = 0; i < places && *out != 0; i++)
		*out *= 10;
	if (number->negative)
		*out = -*out;
	return true;
}

static void
small_write(int128 value, struct number *out)
{
	uint128 magnitude = value < 0 ? -(uint128)value : (uint128)value;
	char reversed[40];

	out->negative = value < 0;
	for (out->n = 0; magnitude > 0; magnitude /= 10)
		reversed[out->n++] = (char)('0' + (int)(magnitude % 10));
	for (size_t i = 0; i < out->n; i++)
		out->digits[i] = reversed[out->n - 1 - i];
}

static int128
small_divide(int128 a, int128 b)
{
	int128 quotient = a / b, rest = a % b;
	uint128 left = rest < 0 ? -(uint128)rest : (uint128)rest;
	uint128 divisor = b < 0 ? -(uint128)b : (uint128)b;

	if (left >= divisor - left && left > 0)
		quotient += (a < 0) == (b < 0) ? 1 : -1;
	return quotient;
}

/* `left` and `right`: how many zeros the unscaled operands need before the operation. */
static bool
small_operate(char op, const struct number *a, int left, const struct number *b, int right,
	      struct number *out)
{
	int128 x, y;

	if (!small_read(a, left, &x) || !small_read(b, right, &y))
		return false;
	switch (op) {
	case '+':
		x += y;
		break;
	case '-':
		x -= y;
		break;
	case '*':
		if (__builtin_mul_overflow(x, y, &x))
			return false;
		break;
	case '/':
		x = small_divide(x, y);
		break;
	default:
		x %= y;
		break;
	}
	small_write(x, out);
	return true;
}

/* --- without a limit --- */

static void
big_read(mpz_ptr out, const struct number *number, int places)
{
	mpz_t power;

	mpz_set_str(out, number->n > 0 ? number->digits : "0", 10);
	if (number->negative)
		mpz_neg(out, out);
	mpz_init(power);
	mpz_ui_pow_ui(power, 10, (unsigned long)places);
	mpz_mul(out, out, power);
	mpz_clear(power);
}

static void
big_divide(mpz_ptr quotient, mpz_srcptr a, mpz_srcptr b)
{
	int sign = mpz_sgn(a) * mpz_sgn(b);
	mpz_t rest;

	mpz_init(rest);
	mpz_tdiv_qr(quotient, rest, a, b);
	mpz_mul_2exp(rest, rest, 1);
	if (mpz_cmpabs(rest, b) >= 0) {
		if (sign > 0)
			mpz_add_ui(quotient, quotient, 1);
		else
			mpz_sub_ui(quotient, quotient, 1);
	}
	mpz_clear(rest);
}

/* False: the result has too many digits for any value. */
static bool
big_write(mpz_srcptr value, struct number *out)
{
	char text[DECIMAL_TEXT_MAX + 2];

	if (mpz_sizeinbase(value, 10) > DECIMAL_DIGITS_MAX + 1)
		return false;
	mpz_get_str(text, 10, value);
	out->negative = text[0] == '-';
	out->n = mpz_sgn(value) == 0 ? 0 : strlen(text) - out->negative;
	memcpy(out->digits, text + out->negative, out->n);
	return true;
}

static bool
big_operate(char op, const struct number *a, int left, const struct number *b, int right,
	    struct number *out)
{
	mpz_t x, y;

	mpz_inits(x, y, NULL);
	big_read(x, a, left);
	big_read(y, b, right);
	switch (op) {
	case '+':
		mpz_add(x, x, y);
		break;
	case '-':
		mpz_sub(x, x, y);
		break;
	case '*':
		mpz_mul(x, x, y);
		break;
	case '/': {
		mpz_t quotient;
		mpz_init(quotient);
		big_divide(quotient, x, y);
		mpz_swap(x, quotient);
		mpz_clear(quotient);
		break;
	}
	default:
		mpz_tdiv_r(x, x, y);
		break;
	}
	bool fits = big_write(x, out);
	mpz_clears(x, y, NULL);
	return fits;
}

/* --- PostgreSQL's rules --- */

/* NaN, the infinities, and what they make of an operation; NULL: both are numbers. */
static const char *
special_result(char op, const struct number *a, char a_is, const struct number *b, char b_is,
	       const char **problem)
{
	bool same = a->negative == b->negative;

	if (a_is == 'N' || b_is == 'N')
		return "NaN";
	if (op == '+' || op == '-') {
		bool minus = a_is != 0 ? a->negative : b->negative != (op == '-');
		if (a_is != 0 && b_is != 0 && same == (op == '-'))
			return "NaN";
		return minus ? "-Infinity" : "Infinity";
	}
	if (op == '*') {
		if ((a_is == 0 && a->n == 0) || (b_is == 0 && b->n == 0))
			return "NaN";
		return same ? "Infinity" : "-Infinity";
	}
	if (a_is != 0 && b_is != 0)
		return "NaN";
	if (a_is == 0)
		return op == '/' ? "0" : NULL;
	if (b->n == 0) {
		*problem = BY_ZERO;
		return "";
	}
	return op == '%' ? "NaN" : same ? "Infinity" : "-Infinity";
}

/* Class of a text: 'N' and 'I' are special. A special value has its sign only. */
static char
number_class(struct number *out, const char *text, size_t len)
{
	if (!decimal_is_special(text, len)) {
		number_read(out, text, len);
		return 0;
	}
	out->negative = text[0] == '-';
	out->n = 0;
	out->scale = 0;
	return text[len - 1] == 'N' ? 'N' : 'I';
}

static int
result_scale(char op, const struct number *a, const struct number *b)
{
	int larger = a->scale > b->scale ? a->scale : b->scale;

	if (op == '*')
		return a->scale + b->scale;
	return op == '/' ? decimal_quotient_scale(a->digits, a->n, a->scale, b->digits, b->n,
						  b->scale, larger)
			 : larger;
}

static const char *
operate(char op, const struct number *a, const struct number *b, char *buf, size_t *len)
{
	struct number out = {.scale = result_scale(op, a, b)};
	int left = 0, right = 0;

	if (op == '/') {
		left = out.scale + b->scale - a->scale;
	} else if (op != '*') {
		left = out.scale - a->scale;
		right = out.scale - b->scale;
	}
	if ((op == '/' || op == '%') && b->n == 0)
		return BY_ZERO;
	if (!small_operate(op, a, left, b, right, &out) &&
	    !big_operate(op, a, left, b, right, &out))
		return TOO_LONG;
	return number_write(&out, buf, len);
}

const char *
decimal_operate(char op, const char *a, size_t alen, const char *b, size_t blen, char *buf,
		size_t *len)
{
	struct number x, y;
	char x_is = number_class(&x, a, alen), y_is = number_class(&y, b, blen);
	const char *problem = NULL, *special;

	if (x_is == 0 && y_is == 0)
		return operate(op, &x, &y, buf, len);
	special = special_result(op, &x, x_is, &y, y_is, &problem);
	if (special == NULL) {
		memcpy(buf, a, alen);
		*len = alen;
	} else {
		*len = (size_t)snprintf(buf, DECIMAL_TEXT_MAX, "%s", special);
	}
	return problem;
}

void
decimal_negate(const char *text, size_t len, char *buf, size_t *out_len)
{
	bool zero = !decimal_is_special(text, len);

	for (size_t i = 0; i < len && zero; i++)
		zero = text[i] < '1' || text[i] > '9';
	*out_len = len;
	if (text[len - 1] == 'N' || zero) {
		memcpy(buf, text, len);
	} else if (text[0] == '-') {
		memcpy(buf, text + 1, len - 1);
		*out_len = len - 1;
	} else {
		buf[0] = '-';
		memcpy(buf + 1, text, len);
		*out_len = len + 1;
	}
}

const char *
decimal_round(const char *text, size_t len, int scale, char *buf, size_t *out_len)
{
	struct number number;
	size_t cut;

	if (decimal_is_special(text, len)) {
		memcpy(buf, text, len);
		*out_len = len;
		return NULL;
	}
	number_read(&number, text, len);
	if (number.scale <= scale) {
		cut = (size_t)(scale - number.scale);
		if (number.n > 0 && number.n + cut > DECIMAL_DIGITS_MAX)
			return TOO_LONG;
		memset(number.digits + number.n, '0', number.n > 0 ? cut : 0);
		number.n += number.n > 0 ? cut : 0;
		number.scale = scale;
		return number_write(&number, buf, out_len);
	}
	cut = (size_t)(number.scale - scale);
	bool up = number.n >= cut && number.digits[number.n - cut] >= '5';
	number.n = number.n > cut ? number.n - cut : 0;
	number.scale = scale;
	for (size_t i = number.n; up && i > 0; i--) {
		up = number.digits[i - 1] == '9';
		number.digits[i - 1] = (char)(up ? '0' : number.digits[i - 1] + 1);
	}
	if (up) {
		memmove(number.digits + 1, number.digits, number.n++);
		number.digits[0] = '1';
	}
	return number_write(&number, buf, out_len);
}
