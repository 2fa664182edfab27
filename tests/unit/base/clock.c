/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "unit.h"

#include <errno.h>

static void round_trips_rfc3339(void **state)
{
    static const char *const texts[] = {"1970-01-01T00:00:00Z", "2026-11-21T08:39:00Z",
                                        "2024-02-29T23:59:59Z"};
    for (size_t i = 0; i < 3; i++) {
        uint64_t ns;
        char out[CLOCK_RFC3339_SIZE];
        assert_int_equal(clock_parse_rfc3339(slice_text(texts[i]), &ns), 0);
        clock_format_rfc3339(ns, 0, out);
        assert_string_equal(out, texts[i]);
    }
}

static void reads_offsets_and_fractions(void **state)
{
    uint64_t a, b;
    assert_int_equal(clock_parse_rfc3339(slice_text("2020-01-01T02:00:00.5+02:00"), &a), 0);
    assert_int_equal(clock_parse_rfc3339(slice_text("2019-12-31t23:30:00.500-00:30"), &b), 0);
    assert_int_equal(a, b);
    assert_int_equal(a % CLOCK_SECOND, 500000000);
    char out[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(a + 7, 9, out);
    assert_string_equal(out, "2020-01-01T00:00:00.500000007Z");
}

static void refuses_what_is_no_time(void **state)
{
    static const char *const bad[] = {"",
                                      "2020",
                                      "2020-13-01T00:00:00Z",
                                      "2020-02-30T00:00:00Z",
                                      "2023-02-29T00:00:00Z",
                                      "2020-01-01",
                                      "2020-01-01T24:00:00Z",
                                      "2020-01-01T00:60:00Z",
                                      "2020-01-01T00:00:00",
                                      "2020-01-01T00:00:00.Z",
                                      "2020-01-01T00:00:00+0200",
                                      "2020-01-01T00:00:00Zx",
                                      "0000-01-01T00:00:00Z",
                                      "2020-1-1T0:0:0Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns;
        if (clock_parse_rfc3339(slice_text(bad[i]), &ns) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
}

static void reads_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"PT0.2S", 200 * CLOCK_MILLISECOND},
                {"PT1H30M", 5400 * CLOCK_SECOND},
                {"P1DT2H", 93600 * CLOCK_SECOND},
                {"P2W", 14 * 86400 * CLOCK_SECOND},
                {"PT0S", 0},
                {"PT1,5M", 90 * CLOCK_SECOND}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t ns = 1;
        assert_int_equal(clock_parse_duration(slice_text(good[i].text), &ns), 0);
        assert_int_equal(ns, good[i].ns);
    }
    static const char *const bad[] = {"",    "P",   "PT",    "1S",    "PT1",
                                      "PTS", "P1Y", "PT-1S", "PT1S ", "PT99999999999999999999S"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns;
        if (clock_parse_duration(slice_text(bad[i]), &ns) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_rfc3339), cmocka_unit_test(reads_offsets_and_fractions),
        cmocka_unit_test(refuses_what_is_no_time), cmocka_unit_test(reads_durations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
