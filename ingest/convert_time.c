/*
 * convert_time.c - dates, times, timestamps and intervals: as numbers, as ISO 8601, as objects.
 */
#include <string.h>

#include "common/calendar.h"
#include "common/interval.h"
#include "ingest/convert_part.h"
#include "ingest/envelope.h"

/* PostgreSQL's infinities as its Java driver has them: in milliseconds, and the connector in microseconds too. */
#define INFINITY_SENT       INT64_C(9223372036825200000)
#define MINUS_INFINITY_SENT INT64_C(-9223372036832400000)

/* What PostgreSQL has: dates from 4714-11-24 BC to 5874897-12-31; a later timestamp than 64 bits hold is none of ours. */
#define DATE_MIN      INT64_C(-2440588)
#define DATE_MAX      INT64_C(2145042905)
#define TIMESTAMP_MIN (DATE_MIN * DAY_US)

enum fit { FIT_NONE, FIT_FINITE, FIT_INFINITE };

/* A day, INT64_MAX or INT64_MIN; FIT_NONE when PostgreSQL does not have it. */
static enum fit
fit_day(int64_t day, int64_t *out)
{
	/*
	 * What the driver's infinities (years 292278994 and -292275055) and those of java.time (5877611)
	 * become on their way: cut to 32 bits, or without their era. The connector's time zone moves
	 * them by a day.
	 */
	static const struct {
		int64_t day;
		bool minus;
	} infinite[] = {
	    {106751991166, false}, {-622191234, false},   {2146033979, false}, {106748361128, true},
	    {-625821272, true},    {-106751991168, true}, {-2147472691, true},
	};

	*out = day;
	if (day >= DATE_MIN && day <= DATE_MAX)
		return FIT_FINITE;
	for (size_t i = 0; i < sizeof(infinite) / sizeof(infinite[0]); i++) {
		if (day < infinite[i].day - 1 || day > infinite[i].day + 1)
			continue;
		*out = infinite[i].minus ? INT64_MIN : INT64_MAX;
		return FIT_INFINITE;
	}
	return FIT_NONE;
}

/* The day of a calendar date; FIT_NONE when there is no such day. */
static enum fit
fit_civil(int64_t year, int64_t month, int64_t day, int64_t *out)
{
	static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1])
		return FIT_NONE;
	if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return FIT_NONE;
	return fit_day(calendar_days(year, (int)month, (int)day), out);
}

static bool
make_timestamp(int64_t day, int64_t us, int64_t *out)
{
	return !__builtin_mul_overflow(day, DAY_US, out) &&
	       !__builtin_add_overflow(*out, us, out) && *out >= TIMESTAMP_MIN && *out < INT64_MAX;
}

/* Finer than declared? */
static bool
has_precision(const struct column *column, int64_t us)
{
	int64_t unit = 1;

	if (column->type == TYPE_DATE || column->precision < 0 || us == INT64_MAX ||
	    us == INT64_MIN)
		return true;
	for (int p = column->precision; p < 6; p++)
		unit *= 10;
	return us % unit == 0;
}

static bool
keep_time(struct convert *c, const struct column *column, bool good, struct slice found,
	  struct value *v)
{
	v->kind = VALUE_INT;
	return (good && has_precision(column, v->i)) || convert_mismatch(c, column, found);
}

/* --- numbers --- */

static bool
to_microseconds(int64_t n, enum shape_kind kind, int64_t *us)
{
	if (kind == SHAPE_MILLISECONDS)
		return !__builtin_mul_overflow(n, INT64_C(1000), us);
	*us = kind == SHAPE_NANOSECONDS ? n / 1000 : n;
	return kind != SHAPE_NANOSECONDS || n % 1000 == 0;
}

static bool
is_infinity(int64_t n, int64_t *us)
{
	*us = n > 0 ? INT64_MAX : INT64_MIN;
	return n == INFINITY_SENT || n == MINUS_INFINITY_SENT || n == *us;
}

static bool
timestamp_number(int64_t n, enum shape_kind kind, int64_t *us)
{
	if (is_infinity(n, us))
		return true;
	return to_microseconds(n, kind, us) &&
	       (is_infinity(*us, &n) ? (*us = n, true) : make_timestamp(0, *us, us));
}

static bool
keep_interval(struct convert *c, const struct interval *interval, struct value *v)
{
	uint8_t *bytes = room_reserve(c->room, INTERVAL_BYTES);

	interval_store(interval, bytes);
	room_keep(c->room, INTERVAL_BYTES);
	*v =
	    (struct value){.kind = VALUE_INTERVAL, .len = INTERVAL_BYTES, .s = (const char *)bytes};
	return true;
}

/* The connector has turned months and days into microseconds, and what is too long into the longest. */
static bool
interval_number(struct convert *c, const struct column *column, int64_t n, enum shape_kind kind,
		struct slice number, struct value *v)
{
	struct interval interval = {0};

	if (n == INT64_MAX || n == INT64_MIN)
		return convert_fail(c,
				    "column \"%s\" is an interval too long for a number: set "
				    "interval.handling.mode=string in the connector",
				    column->name);
	return to_microseconds(n, kind, &interval.us) ? keep_interval(c, &interval, v)
						      : convert_mismatch(c, column, number);
}

bool
convert_time_number(struct convert *c, const struct column *column, const struct shape *shape,
		    struct slice number, struct value *v)
{
	int64_t n;
	bool good = slice_int64(number, &n);

	if (good && column->type == TYPE_INTERVAL)
		return interval_number(c, column, n, shape->kind, number, v);
	if (good && column->type == TYPE_DATE)
		good = fit_day(n, &v->i) != FIT_NONE;
	else if (good && column->type == TYPE_TIME)
		good = to_microseconds(n, shape->kind, &v->i) && v->i >= 0 && v->i <= TIME_MAX_US;
	else if (good)
		good = timestamp_number(n, shape->kind, &v->i);
	return keep_time(c, column, good, number, v);
}

/* --- ISO 8601, as java.time prints it: year 0000 is 1 BC --- */

/* At least `least` digits, at most `most`. */
static bool
take_digits(struct slice *s, size_t least, size_t most, int64_t *n)
{
	size_t i = 0;

	for (*n = 0; i < s->len && i < most && s->s[i] >= '0' && s->s[i] <= '9'; i++)
		*n = *n * 10 + (s->s[i] - '0');
	s->s += i;
	s->len -= i;
	return i >= least;
}

static bool
take_sign(struct slice *s, char c)
{
	if (s->len == 0 || s->s[0] != c)
		return false;
	s->s++;
	s->len--;
	return true;
}

static enum fit
take_date(struct slice *s, int64_t *day)
{
	bool minus = take_sign(s, '-');
	int64_t year, month, of_month;

	if (!minus)
		take_sign(s, '+');
	if (!take_digits(s, 4, 9, &year) || !take_sign(s, '-') || !take_digits(s, 2, 2, &month) ||
	    !take_sign(s, '-') || !take_digits(s, 2, 2, &of_month))
		return FIT_NONE;
	return fit_civil(minus ? -year : year, month, of_month, day);
}

static bool
take_fraction(struct slice *s, int64_t *us)
{
	int64_t n;

	*us = 0;
	if (!take_sign(s, '.'))
		return true;
	size_t before = s->len;
	if (!take_digits(s, 1, 9, &n))
		return false;
	for (size_t digits = before - s->len; digits < 9; digits++)
		n *= 10;
	*us = n / 1000;
	return n % 1000 == 0;
}

static bool
take_time(struct slice *s, int64_t *us)
{
	int64_t hour, minute, second = 0, fraction = 0;

	if (!take_digits(s, 2, 2, &hour) || !take_sign(s, ':') || !take_digits(s, 2, 2, &minute))
		return false;
	if (take_sign(s, ':') && (!take_digits(s, 2, 2, &second) || !take_fraction(s, &fraction)))
		return false;
	*us = ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction;
	return minute <= 59 && second <= 59 && *us <= TIME_MAX_US;
}

static bool
take_zone(struct slice *s, int64_t *us)
{
	int64_t hours, minutes = 0;

	*us = 0;
	if (s->len == 0 || take_sign(s, 'Z'))
		return true;
	bool minus = take_sign(s, '-');
	if ((!minus && !take_sign(s, '+')) || !take_digits(s, 2, 2, &hours))
		return false;
	if (s->len > 0 && (!take_sign(s, ':') || !take_digits(s, 2, 2, &minutes)))
		return false;
	*us = (hours * 60 + minutes) * (minus ? -60 : 60) * SECOND_US;
	return hours < 24 && minutes < 60;
}

static bool
timestamp_string(struct slice s, int64_t *us)
{
	int64_t day, time, zone;
	enum fit fit;

	*us = s.len > 0 && s.s[0] == '-' ? INT64_MIN : INT64_MAX;
	if (slice_is(s, "infinity") || slice_is(s, "-infinity"))
		return true;
	fit = take_date(&s, &day);
	if (fit == FIT_NONE || !take_sign(&s, 'T') || !take_time(&s, &time) || time == DAY_US ||
	    !take_zone(&s, &zone) || s.len > 0)
		return false;
	if (fit == FIT_FINITE)
		return make_timestamp(day, time - zone, us);
	*us = day;
	return true;
}

/* The "Z" at the end of a date or time without zone means nothing. */
bool
convert_time_string(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	struct slice rest = s;
	bool good;

	switch (column->type) {
	case TYPE_DATE:
		good = take_date(&rest, &v->i) != FIT_NONE;
		break;
	case TYPE_TIME:
		good = take_time(&rest, &v->i);
		break;
	default:
		return keep_time(c, column, timestamp_string(s, &v->i), s, v);
	}
	take_sign(&rest, 'Z');
	return keep_time(c, column, good && rest.len == 0, s, v);
}

/* --- objects: time.precision.mode=structured --- */

enum part {
	PART_YEAR,
	PART_MONTH,
	PART_DAY,
	PART_HOUR,
	PART_MINUTE,
	PART_SECOND,
	PART_NANOS,
	PART_OFFSET,
	PART_YEARS,
	PART_MONTHS,
	PART_DAYS,
	PART_HOURS,
	PART_MINUTES,
	PART_SECONDS,
	PART_COUNT,
};

struct structured {
	int64_t part[PART_COUNT]; /* 0 when it is not there */
	unsigned seen;            /* a bit for each */
	int64_t infinity;         /* 0, or INT64_MAX or INT64_MIN */
};

static void
read_part(struct json *j, struct slice key, struct structured *s)
{
	static const char *const names[PART_COUNT] = {
	    [PART_YEAR] = "year",       [PART_MONTH] = "month",     [PART_DAY] = "day",
	    [PART_HOUR] = "hour",       [PART_MINUTE] = "minute",   [PART_SECOND] = "second",
	    [PART_NANOS] = "nanos",     [PART_YEARS] = "years",     [PART_OFFSET] = "offsetSeconds",
	    [PART_MONTHS] = "months",   [PART_DAYS] = "days",       [PART_HOURS] = "hours",
	    [PART_MINUTES] = "minutes", [PART_SECONDS] = "seconds",
	};

	for (unsigned i = 0; i < PART_COUNT; i++) {
		if (!slice_is(key, names[i]))
			continue;
		if (!slice_int64(json_number(j), &s->part[i]) && !j->error)
			j->error = "a whole number is expected";
		s->seen |= 1u << i;
		return;
	}
	envelope_skip(j, key);
}

static bool
read_structured(struct json *j, struct structured *s)
{
	struct slice key;

	*s = (struct structured){0};
	json_enter(j, JSON_OBJECT);
	while (json_key(j, &key)) {
		if (json_null(j))
			continue;
		if (!slice_is(key, "specialValue")) {
			read_part(j, key, s);
			continue;
		}
		struct slice word = json_string(j, NULL, 0);
		s->infinity = slice_is(word, "POSITIVE_INFINITY")   ? INT64_MAX
			      : slice_is(word, "NEGATIVE_INFINITY") ? INT64_MIN
								    : 0;
	}
	return !j->error;
}

static bool
structured_clock(const struct structured *s, int64_t *us)
{
	int64_t hour = s->part[PART_HOUR], minute = s->part[PART_MINUTE],
		second = s->part[PART_SECOND], nanos = s->part[PART_NANOS];

	if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
	    nanos < 0 || nanos >= INT64_C(1000000000) || nanos % 1000 != 0)
		return false;
	*us = ((hour * 60 + minute) * 60 + second) * SECOND_US + nanos / 1000;
	return *us <= TIME_MAX_US;
}

static bool
structured_time(const struct column *column, const struct structured *s, int64_t *out)
{
	unsigned date = 1u << PART_YEAR | 1u << PART_MONTH | 1u << PART_DAY,
		 clock = 1u << PART_HOUR | 1u << PART_MINUTE | 1u << PART_SECOND;
	unsigned need = column->type == TYPE_DATE   ? date
			: column->type == TYPE_TIME ? clock
						    : date | clock;
	int64_t day, us, offset = s->part[PART_OFFSET];

	*out = s->infinity;
	if (s->infinity != 0)
		return column->type != TYPE_TIME;
	if ((s->seen & need) != need || !structured_clock(s, &us))
		return false;
	if (column->type == TYPE_TIME) {
		*out = us;
		return true;
	}
	if (s->part[PART_YEAR] < -9999999 || s->part[PART_YEAR] > 999999999)
		return false;
	enum fit fit = fit_civil(s->part[PART_YEAR], s->part[PART_MONTH], s->part[PART_DAY], &day);
	*out = day;
	if (fit != FIT_FINITE || column->type == TYPE_DATE)
		return fit != FIT_NONE;
	if (offset < -DAY_US / SECOND_US || offset > DAY_US / SECOND_US)
		return false;
	return make_timestamp(day, us - offset * SECOND_US, out);
}

/* The value of `count` parts, each times its unit. */
static bool
add_parts(const int64_t *parts, const int64_t *units, size_t count, int64_t *sum)
{
	int64_t part;

	*sum = 0;
	for (size_t i = 0; i < count; i++)
		if (__builtin_mul_overflow(parts[i], units[i], &part) ||
		    __builtin_add_overflow(*sum, part, sum))
			return false;
	return true;
}

static bool
structured_interval(const struct structured *s, struct interval *interval)
{
	static const int64_t month_units[] = {12, 1},
			     clock_units[] = {3600 * SECOND_US, 60 * SECOND_US, SECOND_US, 1};
	const int64_t months[] = {s->part[PART_YEARS], s->part[PART_MONTHS]},
		      clock[] = {s->part[PART_HOURS], s->part[PART_MINUTES], s->part[PART_SECONDS],
				 s->part[PART_NANOS] / 1000};
	int64_t total;

	if (s->part[PART_NANOS] % 1000 != 0 || !add_parts(clock, clock_units, 4, &interval->us) ||
	    !add_parts(months, month_units, 2, &total) || total < INT32_MIN || total > INT32_MAX ||
	    s->part[PART_DAYS] < INT32_MIN || s->part[PART_DAYS] > INT32_MAX)
		return false;
	interval->months = (int32_t)total;
	interval->days = (int32_t)s->part[PART_DAYS];
	return s->seen != 0;
}

bool
convert_structured(struct convert *c, struct json *j, const struct column *column, struct value *v)
{
	struct json start = *j;
	struct slice found = json_span(&start);
	struct interval interval = {0};
	struct structured s;

	if (!read_structured(j, &s))
		return false;
	if (column->type != TYPE_INTERVAL)
		return keep_time(c, column, structured_time(column, &s, &v->i), found, v);
	return structured_interval(&s, &interval) ? keep_interval(c, &interval, v)
						  : convert_mismatch(c, column, found);
}
