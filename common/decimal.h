/*
 * decimal.h - exact decimals: canonical text, comparison, and sums that can be taken back.
 *
 * Canonical text: "-"? digits ("." digits)?; no exponent, no plus, no leading zero before another
 * digit, never "-0"; trailing zeros are kept, for they are the value's scale. "12.30" and "12.3"
 * are equal as numbers and differ in scale, as in PostgreSQL. Or one of PostgreSQL's special values:
 * "NaN", "Infinity", "-Infinity", in that order from the greatest, with all numbers between the infinities.
 */
#ifndef DECIMAL_H
#define DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack;
struct unpack;

#define DECIMAL_DIGITS_MAX 1000 /* digits of one value; a longer one is refused */
#define DECIMAL_TEXT_MAX   (DECIMAL_DIGITS_MAX + 8)

/*
 * Rewrite a JSON or SQL number ("1E-7", "+01.50", "-0.0") as canonical text.
 * "nan", "inf" and "infinity" are read in any case. Returns the length, or 0 when it is no number or does not fit. A NUL follows where
 * buf has room for it.
 */
size_t decimal_canonical(const char *text, size_t len, char *buf, size_t size);

/* Whether a text is canonical, of at most DECIMAL_DIGITS_MAX digits. */
bool decimal_is_canonical(const char *text, size_t len);

/* Of a canonical text: is it one of the special values? */
bool decimal_is_special(const char *text, size_t len);

/* The nearest double or float; infinite beyond their range. */
double decimal_to_double(const char *text, size_t len);
float decimal_to_float(const char *text, size_t len);

/* The value times 10^scale, when that is an integer of 64 bits. */
bool decimal_to_int(const char *text, size_t len, int scale, int64_t *out);

/*
 * Canonical text of unscaled * 10^-scale; unscaled is a big-endian two's-complement integer, the
 * form of Kafka Connect's Decimal (org.apache.kafka.connect.data.Decimal). A negative scale adds
 * zeros. Returns the length, or 0 when it does not fit.
 */
size_t decimal_from_bytes(const uint8_t *unscaled, size_t len, int scale, char *buf, size_t size);

/*
 * A number that orders canonical texts roughly: ten thousandths, cut off and held within 64 bits. Where a
 * is less than b, its rank is not greater.
 */
int64_t decimal_rank(const char *, size_t len);

/* The canonical text, with `scale` (0 to 4) digits behind the point, that has this rank; its length. */
#define DECIMAL_RANK_DIGITS 14 /* before the point: the most that a rank tells */
#define DECIMAL_RANK_SCALE  4
#define DECIMAL_RANK_MAX    24
size_t decimal_of_rank(int64_t rank, int scale, char text[DECIMAL_RANK_MAX]);

/* The same of a sum of ranks, none of them special. */
__extension__ typedef __int128 decimal_integer;
#define DECIMAL_INTEGER_MAX 48
size_t decimal_of_rank_sum(decimal_integer, int scale, char text[DECIMAL_INTEGER_MAX]);

/* Whether it is the rank of NaN or of an infinity. */
bool decimal_rank_is_special(int64_t rank);

/* The canonical text of digits * 10^-scale, with that scale (0 to 4), and a NUL; its length. */
size_t decimal_of_integer(decimal_integer digits, int scale, char text[DECIMAL_INTEGER_MAX]);

/* Order of two canonical decimals by value. */
int decimal_compare(const char *a, size_t alen, const char *b, size_t blen);

/* Equal values of any scale have equal hashes; an int64 hashes as its text would. */
uint64_t decimal_hash(const char *text, size_t len, uint64_t seed);

/* Digits after the point. */
int decimal_scale(const char *text, size_t len);

/*
 * a op b (one of + - * / %) of canonical texts, with PostgreSQL's display scale of the result and its
 * rules for special values. buf holds DECIMAL_TEXT_MAX bytes, no NUL is promised.
 * Returns NULL, or a static sentence: division by zero, or more digits than a value may have.
 */
const char *decimal_operate(char op, const char *a, size_t alen, const char *b, size_t blen,
			    char *buf, size_t *len);

/* The same value with the other sign. */
void decimal_negate(const char *text, size_t len, char *buf, size_t *out_len);

/* Rounded half away from zero, or padded, to `scale` >= 0 digits after the point. As above. */
const char *decimal_round(const char *text, size_t len, int scale, char *buf, size_t *out_len);

/*
 * An exact running sum. 128-bit while that suffices, then a big integer: adding and taking away
 * never rounds, never overflows and does not depend on the order. It also knows the largest scale
 * among the numbers now in it, which is the display scale of PostgreSQL's own sum. Special values
 * are counted apart, so they can be taken back too; while some are in it the sum is what PostgreSQL
 * makes of them: NaN, or the infinity, or NaN of both infinities.
 */
struct decimal_sum;

struct decimal_sum *decimal_sum_new(void);
void decimal_sum_free(struct decimal_sum *);
void decimal_sum_clear(struct decimal_sum *);

/* Add `times` (may be negative) copies of digits * 10^-scale, or of a canonical decimal. */
void decimal_sum_add_digits(struct decimal_sum *, int64_t digits, int scale, int64_t times);
void decimal_sum_add(struct decimal_sum *, const char *text, size_t len, int64_t times);

/*
 * Canonical text of the sum, with the scale described above.
 * Returns its length, or the length needed when that is >= size.
 */
size_t decimal_sum_print(const struct decimal_sum *, char *buf, size_t size);

/* That scale: the largest among the numbers now in the sum. */
int decimal_sum_scale(const struct decimal_sum *);

/* True, and the value in *out, when the sum is an integer of 64 bits. */
bool decimal_sum_int(const struct decimal_sum *, int64_t *out);

/*
 * Canonical text of sum / count, count > 0, rounded half away from zero at the scale that
 * PostgreSQL's numeric division selects (select_div_scale in src/backend/utils/adt/numeric.c),
 * so that avg() gives the very digits that PostgreSQL gives.
 */
size_t decimal_sum_average(const struct decimal_sum *, int64_t count, char *buf, size_t size);

/*
 * The whole state of a sum as one msgpack value, for a checkpoint; and read back: NULL, and the
 * cursor bad, when it is not well formed.
 */
void decimal_sum_pack(const struct decimal_sum *, struct pack *);
struct decimal_sum *decimal_sum_unpack(struct unpack *);

#endif
