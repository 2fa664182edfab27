/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/encoding.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * CLOCK_SECOND + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime(void)
{
    return read_clock(CLOCK_REALTIME);
}

static uint64_t machine_monotonic(void *ctx)
{
    (void)ctx;
    return clock_monotonic();
}

static uint64_t machine_realtime(void *ctx)
{
    (void)ctx;
    return clock_realtime();
}

const struct clock_source clock_machine = {machine_monotonic, machine_realtime, NULL};

/* The lowest digits of value, with zeros in front. */
static char *put_digits(char *at, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

static char *put_part(char *at, int value, char end)
{
    at = put_digits(at, (unsigned)value, 2);
    *at = end;
    return at + 1;
}

/* By hand: strftime() and snprintf() would cost three times as much. */
size_t clock_format_rfc3339(uint64_t realtime_ns, int digits, char out[CLOCK_RFC3339_SIZE])
{
    time_t seconds = (time_t)(realtime_ns / CLOCK_SECOND);
    struct tm t;
    gmtime_r(&seconds, &t);
    char *at = put_digits(out, (unsigned)t.tm_year + 1900, 4);
    *at++ = '-';
    at = put_part(at, t.tm_mon + 1, '-');
    at = put_part(at, t.tm_mday, 'T');
    at = put_part(at, t.tm_hour, ':');
    at = put_part(at, t.tm_min, ':');
    at = put_part(at, t.tm_sec, digits > 0 ? '.' : 'Z');
    if (digits > 0) {
        char fraction[9];
        put_digits(fraction, (unsigned)(realtime_ns % CLOCK_SECOND), sizeof(fraction));
        size_t shown = digits < 9 ? (size_t)digits : 9;
        memcpy(at, fraction, shown);
        at += shown;
        *at++ = 'Z';
    }
    *at = '\0';
    return (size_t)(at - out);
}

/* n decimal digits at *at; -1 when they are not there. */
static int take_digits(struct slice *text, unsigned n)
{
    if (text->len < n)
        return -1;
    int v = 0;
    for (unsigned i = 0; i < n; i++) {
        char c = text->ptr[i];
        if (c < '0' || c > '9')
            return -1;
        v = v * 10 + (c - '0');
    }
    text->ptr += n;
    text->len -= n;
    return v;
}

static bool take(struct slice *text, const char *one_of)
{
    if (text->len == 0 || strchr(one_of, text->ptr[0]) == NULL || text->ptr[0] == '\0')
        return false;
    text->ptr++;
    text->len--;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Fraction digits after the point, as nanoseconds; -1 when there is none. */
static int64_t take_fraction(struct slice *text)
{
    int64_t ns = 0;
    int64_t scale = 100000000;
    size_t n = 0;
    for (; text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9'; n++) {
        ns += (text->ptr[0] - '0') * scale;
        scale /= 10;
        text->ptr++;
        text->len--;
    }
    return n > 0 ? ns : -1;
}

/* Z or ±hh:mm, in seconds. 0 or -EINVAL. */
static int take_offset(struct slice *text, int *ret_seconds)
{
    *ret_seconds = 0;
    if (take(text, "Zz"))
        return 0;
    bool negative = text->len > 0 && text->ptr[0] == '-';
    if (!take(text, "+-"))
        return -EINVAL;
    int hours = take_digits(text, 2);
    if (hours < 0 || hours > 23 || !take(text, ":"))
        return -EINVAL;
    int minutes = take_digits(text, 2);
    if (minutes < 0 || minutes > 59)
        return -EINVAL;
    *ret_seconds = (negative ? -1 : 1) * (hours * 3600 + minutes * 60);
    return 0;
}

int clock_parse_rfc3339(struct slice text, uint64_t *ret_ns)
{
    int year = take_digits(&text, 4);
    if (year < 1970 || year > 2261 || !take(&text, "-"))
        return -EINVAL;
    int month = take_digits(&text, 2);
    if (month < 1 || month > 12 || !take(&text, "-"))
        return -EINVAL;
    int day = take_digits(&text, 2);
    if (day < 1 || day > days_in_month(year, month) || !take(&text, "Tt "))
        return -EINVAL;
    int hour = take_digits(&text, 2);
    if (hour < 0 || hour > 23 || !take(&text, ":"))
        return -EINVAL;
    int minute = take_digits(&text, 2);
    if (minute < 0 || minute > 59 || !take(&text, ":"))
        return -EINVAL;
    int second = take_digits(&text, 2);
    if (second < 0 || second > 60)
        return -EINVAL;
    int64_t fraction = 0;
    if (take(&text, ".") && (fraction = take_fraction(&text)) < 0)
        return -EINVAL;
    int offset;
    if (take_offset(&text, &offset) < 0 || text.len > 0)
        return -EINVAL;
    struct tm t = {.tm_year = year - 1900,
                   .tm_mon = month - 1,
                   .tm_mday = day,
                   .tm_hour = hour,
                   .tm_min = minute,
                   .tm_sec = second};
    int64_t seconds = (int64_t)timegm(&t) - offset;
    if (seconds < 0)
        return -EINVAL;
    *ret_ns = (uint64_t)seconds * CLOCK_SECOND + (uint64_t)fraction;
    return 0;
}

/* One number with its unit, as 1.5S; adds to *total. 0 or -EINVAL. */
static int take_duration_part(struct slice *text, bool in_time, uint64_t *total)
{
    size_t n = 0;
    while (n < text->len && text->ptr[n] >= '0' && text->ptr[n] <= '9')
        n++;
    uint64_t whole;
    if (encoding_parse_u64(slice_of(text->ptr, n), &whole) < 0)
        return -EINVAL;
    text->ptr += n;
    text->len -= n;
    int64_t fraction = 0;
    bool fractional = take(text, ".,");
    if (fractional && (fraction = take_fraction(text)) < 0)
        return -EINVAL;
    if (text->len == 0)
        return -EINVAL;
    uint64_t unit = 0;
    char letter = text->ptr[0];
    if (in_time)
        unit = letter == 'H' ? 3600 : letter == 'M' ? 60 : letter == 'S' ? 1 : 0;
    else
        unit = letter == 'W' ? 7 * 86400 : letter == 'D' ? 86400 : 0;
    uint64_t ns;
    if (unit == 0 || __builtin_mul_overflow(whole, unit * CLOCK_SECOND, &ns) ||
        __builtin_add_overflow(ns, (uint64_t)fraction * unit, &ns) ||
        __builtin_add_overflow(*total, ns, total))
        return -EINVAL;
    text->ptr++;
    text->len--;
    return 0;
}

int clock_parse_duration(struct slice text, uint64_t *ret_ns)
{
    if (!take(&text, "P") || text.len == 0)
        return -EINVAL;
    bool in_time = false;
    uint64_t total = 0;
    while (text.len > 0) {
        if (!in_time && take(&text, "T"))
            in_time = true;
        if (take_duration_part(&text, in_time, &total) < 0)
            return -EINVAL;
    }
    *ret_ns = total;
    return 0;
}
