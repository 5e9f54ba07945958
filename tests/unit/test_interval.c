#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/interval.h"
#include "tests/unit/answers.h"

/* From heap memory of just this size, so that the sanitizer sees what is read beyond it. */
static bool
parse(const char *text, struct interval *out)
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);

	cr_assert_not_null(copy);
	memcpy(copy, text, len);
	bool ok = interval_parse(copy, len, out);
	free(copy);
	return ok;
}

static struct interval
read(const char *text)
{
	struct interval interval;

	cr_assert(parse(text, &interval), "%s", text);
	return interval;
}

static bool
same(const struct interval *a, const struct interval *b)
{
	return a->us == b->us && a->days == b->days && a->months == b->months;
}

/* A literal, PostgreSQL's text of it, its binary form. */
static void
check_input(char **field)
{
	struct interval interval, back;
	char text[INTERVAL_TEXT_MAX], hex[2 * INTERVAL_BYTES + 1];
	uint8_t bytes[INTERVAL_BYTES];
	bool ok = parse(field[0], &interval);

	cr_assert_eq(ok, strcmp(field[1], "-") != 0, "\"%s\" is %s", field[0],
		     ok ? "accepted" : "refused");
	if (!ok)
		return;
	interval_store(&interval, bytes);
	for (unsigned i = 0; i < INTERVAL_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	cr_assert_str_eq(hex, field[2], "\"%s\" is %s, not %s", field[0], hex, field[2]);
	interval_load(&back, bytes);
	cr_assert(same(&back, &interval), "%s", field[0]);
	size_t len = interval_print(&interval, text, sizeof(text));
	cr_assert_str_eq(text, field[1], "\"%s\" is %s, not %s", field[0], text, field[1]);
	cr_assert_eq(len, strlen(text));
	/* Its own text is read back, but for one value whose time PostgreSQL cannot read either. */
	if (interval.us != INT64_MIN) {
		cr_assert(parse(text, &back) && same(&back, &interval), "%s", text);
	}
}

Test(interval, is_read_and_printed_as_by_postgresql)
{
	cr_assert_eq(answers_each("interval_input.tsv", 3, check_input), 526);
}

static void
check_order(char **field)
{
	struct interval one = read(field[0]), other = read(field[1]), normal;
	int order = atoi(field[2]);

	cr_assert_eq(interval_compare(&one, &other), order, "%s and %s", field[0], field[1]);
	cr_assert_eq(interval_compare(&other, &one), -order, "%s and %s", field[1], field[0]);
	normal = one;
	interval_normal(&normal);
	cr_assert_eq(interval_compare(&one, &normal), 0, "%s has another normal form", field[0]);
	interval_normal(&one);
	interval_normal(&other);
	cr_assert_eq(same(&one, &other), order == 0, "the normal forms of %s and %s", field[0],
		     field[1]);
	cr_assert(same(&one, &normal), "%s: normal twice", field[0]);
}

Test(interval, order_and_normal_form_follow_the_span)
{
	cr_assert_eq(answers_each("interval_order.tsv", 3, check_order), 120);
}

Test(interval, the_normal_form_has_no_months_where_days_suffice)
{
	struct interval interval = read("-1 mon +1 day -36:00");

	interval_normal(&interval);
	cr_assert_eq(interval.months, 0);
	cr_assert_eq(interval.days, -30);
	cr_assert_eq(interval.us, -12 * INT64_C(3600000000));
}

/* What only old versions take, and what is too long. */
Test(interval, nonsense_is_refused)
{
	static const char *const bad[] = {
	    "day 1 day",
	    "1 day ago 2",
	    "1 day ago ago",
	    "P0001-02-03",
	    "P1e1D",
	    "P0x1D",
	    "PinfD",
	    "P-D",
	    "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
	    "1\xc2\xa0"
	    "day"};
	struct interval interval = {.us = 1, .days = 2, .months = 3};
	char digits[600];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(parse(bad[i], &interval), "%s", bad[i]);
	cr_assert_not(interval_parse("1 day\0", 6, &interval));
	cr_assert_not(interval_parse("1 \0 day", 7, &interval));
	memset(digits, '7', sizeof(digits) - 1);
	digits[sizeof(digits) - 1] = '\0';
	cr_assert_not(parse(digits, &interval));
	digits[1] = '.';
	cr_assert_not(parse(digits, &interval));
	digits[0] = 'P';
	cr_assert_not(parse(digits, &interval));
	cr_assert(interval.us == 1 && interval.days == 2 && interval.months == 3,
		  "a refused text must leave *out alone");
}

Test(interval, a_short_buffer_tells_the_length_needed)
{
	struct interval interval = read("1 day 02:03:04.5");
	char text[8] = "";

	cr_assert_eq(interval_print(&interval, text, sizeof(text)), 16);
	cr_assert_str_eq(text, "1 day 0");
	interval = (struct interval){.us = INT64_MIN, .days = INT32_MIN, .months = -2147483647};
	cr_assert_lt(interval_print(&interval, NULL, 0), INTERVAL_TEXT_MAX);
}
