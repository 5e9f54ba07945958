/*
 * calendar.h - the proleptic Gregorian calendar, in which year 0 is 1 BC.
 */
#ifndef CALENDAR_H
#define CALENDAR_H

#include <stdint.h>

#define SECOND_US   INT64_C(1000000)
#define DAY_US      (86400 * SECOND_US)
#define TIME_MAX_US DAY_US /* PostgreSQL's time takes 24:00:00 */

/* Days since 1970-01-01 of a date; month 1 to 12, day from 1. */
int64_t calendar_days(int64_t year, int month, int day);

/* And back. */
void calendar_civil(int64_t days, int64_t *year, int *month, int *day);

#endif
