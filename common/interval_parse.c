/*
 * interval_parse.c - the input forms of PostgreSQL's interval (datetime.c and timestamp.c there).
 */
#include "common/interval.h"

#include <stdlib.h>
#include <string.h>

#include "common/scan.h"

#define TOKENS_MAX 25   /* MAXDATEFIELDS of PostgreSQL */
#define NUMBER_MAX 256  /* the longest number and its NUL */
#define ISO_MAX    1e15 /* a double holds an integer below this and a fraction beside it */
#define SECOND_US  INT64_C(1000000)
#define MINUTE_US  (60 * SECOND_US)
#define HOUR_US    (60 * MINUTE_US)

enum unit {
	UNIT_NONE,
	UNIT_MICROSECOND,
	UNIT_MILLISECOND,
	UNIT_SECOND,
	UNIT_MINUTE,
	UNIT_HOUR,
	UNIT_DAY,
	UNIT_WEEK,
	UNIT_MONTH,
	UNIT_YEAR,
	UNIT_DECADE,
	UNIT_CENTURY,
	UNIT_MILLENNIUM,
	UNIT_AGO,
};

#define BIT(unit)    (1u << (unit))
#define BITS_SECONDS (BIT(UNIT_SECOND) | BIT(UNIT_MILLISECOND) | BIT(UNIT_MICROSECOND))
#define BITS_TIME    (BIT(UNIT_HOUR) | BIT(UNIT_MINUTE) | BITS_SECONDS)

/* The words of deltatktbl in PostgreSQL's datetime.c that may stand behind a number. */
static const struct {
	const char *word;
	enum unit unit;
} words[] = {
    {"ago", UNIT_AGO},
    {"c", UNIT_CENTURY},
    {"cent", UNIT_CENTURY},
    {"centuries", UNIT_CENTURY},
    {"century", UNIT_CENTURY},
    {"d", UNIT_DAY},
    {"day", UNIT_DAY},
    {"days", UNIT_DAY},
    {"dec", UNIT_DECADE},
    {"decade", UNIT_DECADE},
    {"decades", UNIT_DECADE},
    {"decs", UNIT_DECADE},
    {"h", UNIT_HOUR},
    {"hour", UNIT_HOUR},
    {"hours", UNIT_HOUR},
    {"hr", UNIT_HOUR},
    {"hrs", UNIT_HOUR},
    {"m", UNIT_MINUTE},
    {"microsecond", UNIT_MICROSECOND},
    {"microseconds", UNIT_MICROSECOND},
    {"mil", UNIT_MILLENNIUM},
    {"millennia", UNIT_MILLENNIUM},
    {"millennium", UNIT_MILLENNIUM},
    {"millenniums", UNIT_MILLENNIUM},
    {"millisecond", UNIT_MILLISECOND},
    {"milliseconds", UNIT_MILLISECOND},
    {"mils", UNIT_MILLENNIUM},
    {"min", UNIT_MINUTE},
    {"mins", UNIT_MINUTE},
    {"minute", UNIT_MINUTE},
    {"minutes", UNIT_MINUTE},
    {"mon", UNIT_MONTH},
    {"mons", UNIT_MONTH},
    {"month", UNIT_MONTH},
    {"months", UNIT_MONTH},
    {"ms", UNIT_MILLISECOND},
    {"msec", UNIT_MILLISECOND},
    {"msecond", UNIT_MILLISECOND},
    {"mseconds", UNIT_MILLISECOND},
    {"msecs", UNIT_MILLISECOND},
    {"s", UNIT_SECOND},
    {"sec", UNIT_SECOND},
    {"second", UNIT_SECOND},
    {"seconds", UNIT_SECOND},
    {"secs", UNIT_SECOND},
    {"us", UNIT_MICROSECOND},
    {"usec", UNIT_MICROSECOND},
    {"usecond", UNIT_MICROSECOND},
    {"useconds", UNIT_MICROSECOND},
    {"usecs", UNIT_MICROSECOND},
    {"w", UNIT_WEEK},
    {"week", UNIT_WEEK},
    {"weeks", UNIT_WEEK},
    {"y", UNIT_YEAR},
    {"year", UNIT_YEAR},
    {"years", UNIT_YEAR},
    {"yr", UNIT_YEAR},
    {"yrs", UNIT_YEAR},
};

/* What a unit counts and how many of it: microseconds, days, months or years. */
static const struct {
	enum unit counts;
	int64_t scale;
} units[] = {
    [UNIT_MICROSECOND] = {UNIT_MICROSECOND, 1},
    [UNIT_MILLISECOND] = {UNIT_MICROSECOND, 1000},
    [UNIT_SECOND] = {UNIT_MICROSECOND, SECOND_US},
    [UNIT_MINUTE] = {UNIT_MICROSECOND, MINUTE_US},
    [UNIT_HOUR] = {UNIT_MICROSECOND, HOUR_US},
    [UNIT_DAY] = {UNIT_DAY, 1},
    [UNIT_WEEK] = {UNIT_DAY, 7},
    [UNIT_MONTH] = {UNIT_MONTH, 1},
    [UNIT_YEAR] = {UNIT_YEAR, 1},
    [UNIT_DECADE] = {UNIT_YEAR, 10},
    [UNIT_CENTURY] = {UNIT_YEAR, 100},
    [UNIT_MILLENNIUM] = {UNIT_YEAR, 1000},
};

/* ---- what is read so far -------------------------------------------------------------------- */

struct sums {
	int64_t us;
	int32_t days, months, years;
};

struct number {
	int64_t whole;
	double fraction; /* of the same sign; PostgreSQL's answers depend on its being a double */
};

/* Add whole * scale within 32 bits, each step of it. */
static bool
add_small(int32_t *sum, int64_t whole, int64_t scale)
{
	int32_t product;

	return !__builtin_mul_overflow(whole, scale, &product) &&
	       !__builtin_add_overflow(*sum, product, sum);
}

static bool
add_us(struct sums *sums, int64_t whole, double fraction, int64_t scale)
{
	int64_t product;

	if (__builtin_mul_overflow(whole, scale, &product) ||
	    __builtin_add_overflow(sums->us, product, &sums->us))
		return false;
	fraction *= (double)scale;
	int64_t more = (int64_t)fraction;
	fraction -= (double)more;
	more += (fraction > 0.5) - (fraction < -0.5);
	return !__builtin_add_overflow(sums->us, more, &sums->us);
}

static bool
add_days(struct sums *sums, double fraction, int64_t scale)
{
	fraction *= (double)scale;
	int32_t more = (int32_t)fraction;

	return !__builtin_add_overflow(sums->days, more, &sums->days) &&
	       add_us(sums, 0, fraction - more, INTERVAL_DAY_US);
}

/* rint() for small numbers, which needs no libm: of two as near, the even one. */
static int32_t
nearest(double number)
{
	int32_t whole = (int32_t)number;
	double rest = number - whole;

	if (rest > 0.5 || (rest == 0.5 && whole % 2 != 0))
		return whole + 1;
	if (rest < -0.5 || (rest == -0.5 && whole % 2 != 0))
		return whole - 1;
	return whole;
}

/* Add so many units; false when PostgreSQL says "out of range". */
static bool
add_unit(struct sums *sums, struct number number, enum unit unit)
{
	int64_t scale = units[unit].scale;

	switch (units[unit].counts) {
	case UNIT_MICROSECOND:
		return add_us(sums, number.whole, number.fraction, scale);
	case UNIT_DAY:
		return add_small(&sums->days, number.whole, scale) &&
		       add_days(sums, number.fraction, scale);
	case UNIT_MONTH:
		return add_small(&sums->months, number.whole, 1) &&
		       add_days(sums, number.fraction, INTERVAL_MONTH_DAYS);
	default:
		return add_small(&sums->years, number.whole, scale) &&
		       add_small(&sums->months,
				 nearest(number.fraction * (double)scale * INTERVAL_YEAR_MONTHS),
				 1);
	}
}

static bool
sums_settle(const struct sums *sums, bool ago, struct interval *out)
{
	int64_t months = (int64_t)sums->years * INTERVAL_YEAR_MONTHS + sums->months;

	if (ago && (sums->us == INT64_MIN || sums->days == INT32_MIN || sums->months == INT32_MIN ||
		    sums->years == INT32_MIN))
		return false;
	months = ago ? -months : months;
	if (months < INT32_MIN || months > INT32_MAX)
		return false;
	out->us = ago ? -sums->us : sums->us;
	out->days = ago ? -sums->days : sums->days;
	out->months = (int32_t)months;
	return true;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* Take decimal digits, if any; false when 64 bits do not hold them. */
static bool
take_int(struct scan *scan, bool negative, int64_t *out)
{
	*out = 0;
	for (; scan_is_digit(scan); scan->at++) {
		int digit = *scan->at - '0';
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, negative ? -digit : digit, out))
			return false;
	}
	return true;
}

/* The value of from..to, which is "-"? digits? ("." digits?)?; false when it is too long. */
static bool
read_double(const char *from, const char *to, double *out)
{
	char copy[NUMBER_MAX];
	size_t len = (size_t)(to - from);

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, from, len);
	copy[len] = '\0';
	*out = strtod(copy, NULL);
	return true;
}

/* Take "." and the digits behind it, if any. */
static bool
take_fraction(struct scan *scan, double *out)
{
	const char *from = scan->at;

	if (scan_take(scan, '.'))
		scan_digits(scan);
	return read_double(from, scan->at, out);
}

/* ---- PostgreSQL's own style ----------------------------------------------------------------- */

struct token {
	enum { TOKEN_NUMBER, TOKEN_TIME, TOKEN_WORD } kind;
	bool negative;
	struct scan text; /* without a sign */
};

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_word(struct scan text, const char *word)
{
	for (; *word != '\0' && (scan_next(&text) | 0x20) == *word; word++)
		text.at++;
	return *word == '\0' && text.at == text.end;
}

/* A number, a time or "1-2"; what PostgreSQL takes for a date is none. */
static bool
take_plain(struct scan *scan, struct token *token)
{
	bool leading = scan_is_digit(scan);
	char delimiter;

	scan_digits(scan);
	delimiter = scan_next(scan);
	if (leading && delimiter == ':') {
		token->kind = TOKEN_TIME;
		while (scan_is_digit(scan) || scan_next(scan) == ':' || scan_next(scan) == '.')
			scan->at++;
		return true;
	}
	if (delimiter == '.' || (leading && delimiter == '-')) {
		scan->at++;
		bool more = scan_is_digit(scan);
		scan_digits(scan);
		if (!leading)
			return true;
		return scan_next(scan) != delimiter && (more || !is_letter(scan_next(scan)));
	}
	return leading && delimiter != '/';
}

/* The same behind a sign, where PostgreSQL looks less closely before it reads the parts. */
static bool
take_signed(struct scan *scan, struct token *token)
{
	token->negative = scan_next(scan) == '-';
	scan->at++;
	while (is_space(scan_next(scan)))
		scan->at++;
	token->text.at = scan->at;
	if (!scan_is_digit(scan))
		return false;
	for (; scan_is_digit(scan) || (scan->at < scan->end && strchr(":.-", *scan->at));
	     scan->at++)
		if (*scan->at == ':')
			token->kind = TOKEN_TIME;
	return true;
}

/*
 * Letters. A date may go on with other characters, and PostgreSQL takes "2day3" for one; words that
 * are both a unit and known to its dates are not.
 */
static bool
take_word(struct scan *scan, struct token *token)
{
	static const char *const both[] = {"d", "dec", "h", "m", "mon", "s", "y"};
	char c;

	token->kind = TOKEN_WORD;
	while (is_letter(scan_next(scan)))
		scan->at++;
	token->text.end = scan->at;
	c = scan_next(scan);
	if (c == '-' || c == '/' || c == '.')
		return false;
	if (c != '+' && !scan_is_digit(scan))
		return true;
	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		if (is_word(token->text, both[i]))
			return true;
	return false;
}

static bool
take_token(struct scan *scan, struct token *token)
{
	bool ok;
	char c = scan_next(scan);

	*token = (struct token){.kind = TOKEN_NUMBER, .text = *scan};
	if (is_letter(c))
		ok = take_word(scan, token);
	else if (c == '+' || c == '-')
		ok = take_signed(scan, token);
	else
		ok = take_plain(scan, token);
	token->text.end = scan->at;
	return ok;
}

/* Other punctuation only parts tokens, as in PostgreSQL ("@ 1 day"). */
static bool
is_between(const struct scan *scan)
{
	char c = scan_next(scan);
	bool punctuation = c > ' ' && c < 0x7f && !is_letter(c) && !scan_is_digit(scan);

	return is_space(c) || (punctuation && c != '.' && c != '+' && c != '-');
}

/* Returns how many tokens there are; 0 when there is something else. */
static unsigned
take_tokens(struct scan scan, struct token *tokens)
{
	unsigned n = 0;

	while (scan.at < scan.end) {
		if (is_between(&scan)) {
			scan.at++;
			continue;
		}
		if (n == TOKENS_MAX || !take_token(&scan, &tokens[n++]))
			return 0;
	}
	return n;
}

static enum unit
word_unit(struct scan word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_word(word, words[i].word))
			return words[i].unit;
	return UNIT_NONE;
}

/* "4:05", "4:05:06.789", or "05:06.789", which has minutes in front. */
static bool
read_time(const struct token *token, struct sums *sums)
{
	struct scan text = token->text;
	int64_t hours, minutes, seconds = 0, us;
	double fraction;

	if (!take_int(&text, false, &hours) || !scan_take(&text, ':') ||
	    !take_int(&text, false, &minutes))
		return false;
	if (scan_next(&text) == '.') {
		seconds = minutes;
		minutes = hours;
		hours = 0;
	} else if (scan_take(&text, ':') && !take_int(&text, false, &seconds)) {
		return false;
	}
	if (!take_fraction(&text, &fraction) || text.at != text.end || minutes > 59 || seconds > 60)
		return false;
	us = minutes * MINUTE_US + seconds * SECOND_US + nearest(fraction * (double)SECOND_US);
	if (__builtin_mul_overflow(hours, HOUR_US, &hours) ||
	    __builtin_add_overflow(us, hours, &us))
		return false;
	sums->us = token->negative ? -us : us;
	return true;
}

/* A number, or years and months ("1-2"), which changes *unit. */
static bool
read_number(const struct token *token, enum unit *unit, struct number *out)
{
	struct scan text = token->text;
	int64_t months;

	if (!take_int(&text, token->negative, &out->whole))
		return false;
	if (!scan_take(&text, '-')) {
		if (!take_fraction(&text, &out->fraction))
			return false;
		out->fraction = token->negative ? -out->fraction : out->fraction;
		return text.at == text.end;
	}
	*unit = UNIT_MONTH;
	out->fraction = 0;
	return take_int(&text, token->negative, &months) && text.at == text.end &&
	       months > -INTERVAL_YEAR_MONTHS && months < INTERVAL_YEAR_MONTHS &&
	       !__builtin_mul_overflow(out->whole, INTERVAL_YEAR_MONTHS, &out->whole) &&
	       !__builtin_add_overflow(out->whole, months, &out->whole);
}

struct styled { /* what DecodeInterval() in PostgreSQL's datetime.c knows on its way */
	struct sums sums;
	enum unit unit; /* of the number that comes next */
	bool named;     /* that unit was a word, and its number has not come */
	bool ago;
	unsigned units; /* that were there: none comes twice */
};

static bool
styled_number(struct styled *styled, const struct token *token)
{
	struct number number;
	unsigned bits;

	if (styled->unit == UNIT_NONE)
		styled->unit = UNIT_SECOND;
	if (!read_number(token, &styled->unit, &number) || styled->unit == UNIT_AGO)
		return false;
	bits = BIT(styled->unit);
	if (styled->unit == UNIT_SECOND && number.fraction != 0)
		bits = BITS_SECONDS;
	if ((styled->units & bits) != 0 || !add_unit(&styled->sums, number, styled->unit))
		return false;
	styled->units |= bits;
	styled->named = false;
	if (styled->unit == UNIT_HOUR)
		styled->unit = UNIT_DAY;
	return true;
}

static bool
styled_time(struct styled *styled, const struct token *token)
{
	if ((styled->units & BITS_TIME) != 0 || !read_time(token, &styled->sums))
		return false;
	styled->units |= BITS_TIME;
	styled->unit = UNIT_DAY;
	styled->named = false;
	return true;
}

static bool
styled_word(struct styled *styled, const struct token *token, bool last)
{
	styled->unit = word_unit(token->text);
	if (styled->unit == UNIT_NONE || styled->named)
		return false;
	if (styled->unit == UNIT_AGO)
		return styled->ago = last;
	return styled->named = true;
}

static bool
parse_styled(struct scan text, struct interval *out)
{
	struct token tokens[TOKENS_MAX];
	unsigned n = take_tokens(text, tokens);
	struct styled styled = {.unit = UNIT_NONE};
	bool ok = n > 0;

	/* From the last to the first, for a unit stands behind its number. */
	for (unsigned i = n; ok && i-- > 0;) {
		if (tokens[i].kind == TOKEN_WORD)
			ok = styled_word(&styled, &tokens[i], i + 1 == n);
		else if (tokens[i].kind == TOKEN_TIME)
			ok = styled_time(&styled, &tokens[i]);
		else
			ok = styled_number(&styled, &tokens[i]);
	}
	return ok && styled.units != 0 && !styled.named &&
	       sums_settle(&styled.sums, styled.ago, out);
}

/* ---- ISO 8601 ------------------------------------------------------------------------------- */

/* A number goes through a double, as in PostgreSQL. */
static bool
take_iso_number(struct scan *scan, struct number *out)
{
	const char *from = scan->at;
	double value;

	scan_take(scan, '-');
	const char *digits = scan->at;
	scan_digits(scan);
	if (scan_take(scan, '.'))
		scan_digits(scan);
	if (scan->at == digits || (scan->at == digits + 1 && *digits == '.'))
		return false;
	if (!read_double(from, scan->at, &value) || value > ISO_MAX || value < -ISO_MAX)
		return false;
	out->whole = (int64_t)value;
	out->fraction = value - (double)out->whole;
	return true;
}

static bool
parse_iso(struct scan text, struct interval *out)
{
	static const char date[] = "YMWD", time[] = "HMS";
	static const enum unit date_units[] = {UNIT_YEAR, UNIT_MONTH, UNIT_WEEK, UNIT_DAY},
			       time_units[] = {UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND};
	struct sums sums = {.us = 0};
	struct number number;
	bool in_time = false;

	if (text.at == text.end)
		return false;
	while (text.at < text.end) {
		if (scan_take(&text, 'T')) {
			in_time = true;
			continue;
		}
		if (!take_iso_number(&text, &number) || text.at == text.end)
			return false;
		const char *letters = in_time ? time : date;
		const char *letter = strchr(letters, *text.at++);
		if (letter == NULL ||
		    !add_unit(&sums, number, (in_time ? time_units : date_units)[letter - letters]))
			return false;
	}
	return sums_settle(&sums, false, out);
}

bool
interval_parse(const char *text, size_t len, struct interval *out)
{
	struct scan scan = {text, text + len};

	if (len == 0 || memchr(text, '\0', len) != NULL)
		return false;
	return scan_take(&scan, 'P') ? parse_iso(scan, out) : parse_styled(scan, out);
}
