/* SPDX-License-Identifier: Apache-2.0 */
#include "http/retry_after.h"

#include "base/clock.h"
#include "base/memory.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

/* 2026-11-21T08:49:37Z */
#define NOW (UINT64_C(1795250977) * CLOCK_SECOND)

static void reads_the_three_forms_of_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Sat, 01 Jan 0001 00:00:00 GMT", -62135596800},
        {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
        {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},      /* it was a Sunday */
        {"Wednesday, 18-Nov-76 00:00:00 GMT", 3372883200}, /* 2076: 50 years from now */
        {"Thursday, 18-Nov-77 00:00:00 GMT", 248659200},   /* 1977 */
        {"Saturday, 21-Nov-26 08:49:37 GMT", 1795250977},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t seconds = 1;
        if (http_date_parse(slice_text(good[i].text), NOW, &seconds) != 0 ||
            seconds != good[i].seconds)
            fail_msg("%s: %lld, not %lld", good[i].text, (long long)seconds,
                     (long long)good[i].seconds);
    }
}

/* Each day of two centuries is what the C library says. */
static void dates_are_the_right_ones(void **state)
{
    for (time_t t = -2208988800; t < 4102444800; t += 86400 + 3601) {
        struct tm tm;
        char text[64];
        int64_t seconds;
        gmtime_r(&t, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_int_equal(http_date_parse(slice_text(text), NOW, &seconds), 0);
        assert_int_equal(seconds, t);
        strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
        assert_int_equal(http_date_parse(slice_text(text), NOW, &seconds), 0);
        assert_int_equal(seconds, t);
    }
}

static void refuses_what_is_no_date(void **state)
{
    static const char *const bad[] = {
        "",
        "tomorrow",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "2026-11-21T08:49:37Z",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t seconds = 7;
        uint64_t wait = 7;
        if (http_date_parse(slice_text(bad[i]), NOW, &seconds) != -EINVAL || seconds != 7)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(retry_after_parse(slice_text(bad[i]), NOW, &wait), -EINVAL);
        assert_int_equal(wait, 7);
    }
}

static void waits_as_long_as_it_says(void **state)
{
    static const struct {
        const char *text;
        uint64_t wait;
    } good[] = {
        {"0", 0},
        {"1", CLOCK_SECOND},
        {"120", 120 * CLOCK_SECOND},
        {"007", 7 * CLOCK_SECOND},
        {"18446744073", UINT64_C(18446744073) * CLOCK_SECOND},
        {"18446744074", UINT64_MAX},
        {"18446744073709551615", UINT64_MAX},
        {"18446744073709551616", UINT64_MAX},
        {"999999999999999999999999999999999999999999999999999999999999", UINT64_MAX},
        {"Sat, 21 Nov 2026 08:49:37 GMT", 0},
        {"Sat, 21 Nov 2026 08:49:38 GMT", CLOCK_SECOND},
        {"Saturday, 21-Nov-26 09:49:37 GMT", 3600 * CLOCK_SECOND},
        {"Sat Nov 21 08:50:37 2026", 60 * CLOCK_SECOND},
        {"Sat, 21 Nov 2026 08:49:36 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", UINT64_MAX - NOW},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        uint64_t wait = 7;
        if (retry_after_parse(slice_text(good[i].text), NOW, &wait) != 0 || wait != good[i].wait)
            fail_msg("%s: %llu, not %llu", good[i].text, (unsigned long long)wait,
                     (unsigned long long)good[i].wait);
    }
}

static void refuses_what_is_no_number(void **state)
{
    static const char *const bad[] = {"-1", "+1",   "1.5", "1,2", "1, 2",
                                      "1s", "0x10", "1 ",  " 1",  "\xd9\xa1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        uint64_t wait = 7;
        if (retry_after_parse(slice_text(bad[i]), NOW, &wait) != -EINVAL || wait != 7)
            fail_msg("taken: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_three_forms_of_dates),
        cmocka_unit_test(dates_are_the_right_ones),
        cmocka_unit_test(refuses_what_is_no_date),
        cmocka_unit_test(waits_as_long_as_it_says),
        cmocka_unit_test(refuses_what_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
