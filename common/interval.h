/*
 * interval.h - PostgreSQL's interval: text, order, the one form of equal ones, bytes.
 *
 * The three parts are kept apart as in PostgreSQL ("1 mon" is not "30 days"), yet they compare as
 * one span in which a month has 30 days and a day 24 hours. No function here allocates or blocks.
 */
#ifndef INTERVAL_H
#define INTERVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERVAL_BYTES       16
#define INTERVAL_TEXT_MAX    80 /* the longest text and its NUL */
#define INTERVAL_DAY_US      INT64_C(86400000000)
#define INTERVAL_MONTH_DAYS  30
#define INTERVAL_YEAR_MONTHS 12

struct interval {
	int64_t us; /* microseconds */
	int32_t days, months;
};

/*
 * Read an interval as PostgreSQL does: with units ("1 year 2 mons -3 days +04:05:06.789012",
 * "@ 1.5 hours ago"), as a time ("04:05:06.7"), years and months ("1-2"), and ISO 8601 with
 * designators ("P1Y2M3DT4H5M6.789S"; each number may be negative or have a fraction, which goes
 * down to the next smaller part with PostgreSQL's own rounding). A bare number is seconds. Not
 * read: ISO 8601 without designators ("P0001-02-03") or with exponents, a unit without its number
 * (only PostgreSQL 15 and older take "day 1 day"), and 'infinity'.
 * False when it is none or does not fit; *out then is as before.
 */
bool interval_parse(const char *text, size_t len, struct interval *out);

/*
 * PostgreSQL's text in IntervalStyle postgres, NUL-terminated.
 * Returns its length, or the length needed when that is >= size.
 */
size_t interval_print(const struct interval *, char *buf, size_t size);

/* Order by span: <0, 0 or >0. */
int interval_compare(const struct interval *, const struct interval *);

/*
 * Make it the one representative of all intervals with the same span: days of 24 hours and the
 * microseconds left, of one sign, no months. A span of more days than 32 bits hold keeps what is
 * too much in months, then in microseconds.
 */
void interval_normal(struct interval *);

/* PostgreSQL's binary form: big-endian microseconds, days, months; INTERVAL_BYTES bytes. */
void interval_store(const struct interval *, uint8_t *bytes);
void interval_load(struct interval *, const uint8_t *bytes);

#endif
