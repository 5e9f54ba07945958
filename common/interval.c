#include "common/interval.h"

#include <stdio.h>

#define SECOND_US UINT64_C(1000000)

__extension__ typedef __int128 int128;

struct printer {
	char text[INTERVAL_TEXT_MAX];
	size_t len;
	bool negative; /* the last part was: PostgreSQL gives the next one its plus */
};

static void
print_part(struct printer *p, int32_t value, const char *unit)
{
	if (value == 0)
		return;
	p->len += (size_t)snprintf(p->text + p->len, sizeof(p->text) - p->len, "%s%s%d %s%s",
				   p->len > 0 ? " " : "", p->negative && value > 0 ? "+" : "",
				   value, unit, value != 1 ? "s" : "");
	p->negative = value < 0;
}

static void
print_time(struct printer *p, int64_t us)
{
	uint64_t left = us < 0 ? -(uint64_t)us : (uint64_t)us;
	unsigned fraction = (unsigned)(left % SECOND_US);
	const char *sign = us < 0 ? "-" : p->negative ? "+" : "";

	left /= SECOND_US;
	p->len +=
	    (size_t)snprintf(p->text + p->len, sizeof(p->text) - p->len, "%s%s%02llu:%02u:%02u",
			     p->len > 0 ? " " : "", sign, (unsigned long long)(left / 3600),
			     (unsigned)(left / 60 % 60), (unsigned)(left % 60));
	if (fraction == 0)
		return;
	p->len += (size_t)snprintf(p->text + p->len, sizeof(p->text) - p->len, ".%06u", fraction);
	while (p->text[p->len - 1] == '0')
		p->text[--p->len] = '\0';
}

size_t
interval_print(const struct interval *interval, char *buf, size_t size)
{
	struct printer p = {.len = 0};

	print_part(&p, interval->months / INTERVAL_YEAR_MONTHS, "year");
	print_part(&p, interval->months % INTERVAL_YEAR_MONTHS, "mon");
	print_part(&p, interval->days, "day");
	if (p.len == 0 || interval->us != 0)
		print_time(&p, interval->us);
	return (size_t)snprintf(buf, size, "%s", p.text);
}

static int128
interval_span(const struct interval *interval)
{
	int64_t days = (int64_t)interval->months * INTERVAL_MONTH_DAYS + interval->days;

	return (int128)days * INTERVAL_DAY_US + interval->us;
}

int
interval_compare(const struct interval *a, const struct interval *b)
{
	int128 one = interval_span(a), other = interval_span(b);

	return (one > other) - (one < other);
}

static int32_t
limited(int64_t value)
{
	return (int32_t)(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}

void
interval_normal(struct interval *interval)
{
	int128 span = interval_span(interval);
	int64_t days = (int64_t)(span / INTERVAL_DAY_US);

	interval->us = (int64_t)(span % INTERVAL_DAY_US);
	interval->months = limited(days) == days ? 0 : limited(days / INTERVAL_MONTH_DAYS);
	days -= (int64_t)interval->months * INTERVAL_MONTH_DAYS;
	interval->days = limited(days);
	/* So many days fit, for the interval that came had room for them here. */
	interval->us += (days - interval->days) * INTERVAL_DAY_US;
}

static void
store(uint64_t bits, size_t size, uint8_t *bytes)
{
	for (size_t i = size; i-- > 0; bits >>= 8)
		bytes[i] = (uint8_t)bits;
}

static uint64_t
load(const uint8_t *bytes, size_t size)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < size; i++)
		bits = bits << 8 | bytes[i];
	return bits;
}

void
interval_store(const struct interval *interval, uint8_t *bytes)
{
	store((uint64_t)interval->us, 8, bytes);
	store((uint32_t)interval->days, 4, bytes + 8);
	store((uint32_t)interval->months, 4, bytes + 12);
}

void
interval_load(struct interval *interval, const uint8_t *bytes)
{
	interval->us = (int64_t)load(bytes, 8);
	interval->days = (int32_t)load(bytes + 8, 4);
	interval->months = (int32_t)load(bytes + 12, 4);
}
