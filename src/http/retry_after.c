/* SPDX-License-Identifier: Apache-2.0 */
/* Retry-After and the dates of HTTP. A date's form is a pattern; names of days are checked to be
 * such, not to be the right ones, since only the rest says when. */
#include "http/retry_after.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdbool.h>

/* ---- dates (RFC 9110 §5.6.7) ---- */

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* %a %A names of days, %b of months, %d two digits or a blank and one, %D %H %M %S two digits, %y
 * %Y the year in two and four; all else stands for itself. */
static const char *const forms[] = {
    "%a, %D %b %Y %H:%M:%S GMT", /* IMF-fixdate */
    "%A, %D-%b-%y %H:%M:%S GMT", /* RFC 850 */
    "%a %b %d %H:%M:%S %Y",      /* asctime() */
};

struct moment {
    int day, month, year, hour, minute, second;
    bool short_year;
};

static int take_name(struct slice *rest, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (!slice_starts(*rest, names[i]))
            continue;
        *rest = slice_of(rest->ptr + len, rest->len - len);
        return i;
    }
    return -1;
}

static int take_number(struct slice *rest, size_t digits, bool blank_first)
{
    int n = 0;
    if (rest->len < digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        char c = rest->ptr[i];
        if (c == ' ' && i == 0 && blank_first)
            continue;
        if (c < '0' || c > '9')
            return -1;
        n = n * 10 + (c - '0');
    }
    *rest = slice_of(rest->ptr + digits, rest->len - digits);
    return n;
}

static bool take_field(struct slice *rest, char what, struct moment *m)
{
    switch (what) {
    case 'a':
        return take_name(rest, days, COUNT_OF(days)) >= 0;
    case 'A':
        return take_name(rest, long_days, COUNT_OF(long_days)) >= 0;
    case 'b':
        return (m->month = take_name(rest, months, COUNT_OF(months))) >= 0;
    case 'd':
        return (m->day = take_number(rest, 2, true)) >= 0;
    case 'D':
        return (m->day = take_number(rest, 2, false)) >= 0;
    case 'H':
        return (m->hour = take_number(rest, 2, false)) >= 0;
    case 'M':
        return (m->minute = take_number(rest, 2, false)) >= 0;
    case 'S':
        return (m->second = take_number(rest, 2, false)) >= 0;
    case 'y':
        m->short_year = true;
        return (m->year = take_number(rest, 2, false)) >= 0;
    case 'Y':
    default:
        return (m->year = take_number(rest, 4, false)) >= 0;
    }
}

static bool take_form(struct slice rest, const char *form, struct moment *m)
{
    *m = (struct moment){0};
    for (; *form != '\0'; form++) {
        if (*form == '%') {
            if (!take_field(&rest, *++form, m))
                return false;
            continue;
        }
        if (rest.len == 0 || rest.ptr[0] != *form)
            return false;
        rest = slice_of(rest.ptr + 1, rest.len - 1);
    }
    return rest.len == 0;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first of the year. */
static int64_t days_before_year(int year)
{
    int64_t y = year - 1;
    return 365 * (int64_t)(year - 1970) + (y / 4 - 1969 / 4) - (y / 100 - 1969 / 100) +
           (y / 400 - 1969 / 400);
}

static int seconds_of(const struct moment *m, int64_t *ret)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int february = m->month == 1 && is_leap(m->year) ? 1 : 0;
    if (m->year < 1 || m->day < 1 || m->day > lengths[m->month] + february || m->hour > 23 ||
        m->minute > 59 || m->second > 60) /* 60: a leap second */
        return -EINVAL;
    int64_t day = days_before_year(m->year) + m->day - 1;
    for (int i = 0; i < m->month; i++)
        day += lengths[i] + (i == 1 && is_leap(m->year) ? 1 : 0);
    *ret = ((day * 24 + m->hour) * 60 + m->minute) * 60 + m->second;
    return 0;
}

static int64_t seconds_at(uint64_t ns)
{
    return (int64_t)(ns / CLOCK_SECOND);
}

/* The latest year that ends so and is not more than 50 years from now (§5.6.7). */
static void complete_year(struct moment *m, uint64_t now_ns)
{
    int now = 1970 + (int)(seconds_at(now_ns) / (365 * 86400 + 86400 / 4));
    m->year += now - now % 100 + 100;
    while (m->year > now + 50)
        m->year -= 100;
}

int http_date_parse(struct slice text, uint64_t now_ns, int64_t *ret_seconds)
{
    struct moment m;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (!take_form(text, forms[i], &m))
            continue;
        if (m.short_year)
            complete_year(&m, now_ns);
        return seconds_of(&m, ret_seconds);
    }
    return -EINVAL;
}

/* ---- the field ---- */

static uint64_t nanoseconds(uint64_t seconds)
{
    return seconds > UINT64_MAX / CLOCK_SECOND ? UINT64_MAX : seconds * CLOCK_SECOND;
}

/* 1*DIGIT of any length. */
static int parse_seconds(struct slice value, uint64_t *ret)
{
    uint64_t n = 0;
    if (value.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return -EINVAL;
        n = n > (UINT64_MAX - 9) / 10 ? UINT64_MAX / 10 : n * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    *ret = nanoseconds(n);
    return 0;
}

int retry_after_parse(struct slice value, uint64_t now_ns, uint64_t *ret_wait_ns)
{
    int64_t at;
    if (parse_seconds(value, ret_wait_ns) == 0)
        return 0;
    if (http_date_parse(value, now_ns, &at) < 0)
        return -EINVAL;
    uint64_t then = at > 0 ? nanoseconds((uint64_t)at) : 0;
    *ret_wait_ns = then > now_ns ? then - now_ns : 0;
    return 0;
}
