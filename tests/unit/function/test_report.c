/* SPDX-License-Identifier: Apache-2.0 */
#include "function/report.h"

#include "unit.h"

#include <errno.h>

static struct event_arena arena;
static struct worker_report report;

static int read_line(const char *line)
{
    event_arena_done(&arena);
    return worker_report_read(slice_text(line), &arena, &report);
}

static void reads_every_member(void **state)
{
    assert_int_equal(
        read_line("{\"report\":\"log\",\"time\":1700000000000000001,\"level\":\"warn\","
                  "\"event\":\"a\\\"b\",\"text\":\"two\\nlines \\u00e9\"}"),
        0);
    assert_true(slice_is(report.kind, "log"));
    assert_true(report.time_ns == 1700000000000000001u);
    assert_true(slice_is(report.level, "warn"));
    assert_true(slice_is(report.event, "a\"b"));
    assert_true(slice_is(report.text, "two\nlines \xc3\xa9"));
    assert_int_equal(report.message.len, 0);
    assert_int_equal(read_line(" { \"report\" : \"failed\" , \"message\":\"m\",\"file\":\"f.js\","
                               "\"line\":3,\"column\":7 } "),
                     0);
    assert_true(slice_is(report.kind, "failed"));
    assert_true(slice_is(report.message, "m"));
    assert_true(slice_is(report.file, "f.js"));
    assert_int_equal(report.line, 3);
    assert_int_equal(report.column, 7);
    assert_int_equal(read_line("{\"report\":\"limit\",\"limit\":\"time\"}"), 0);
    assert_true(slice_is(report.limit, "time"));
}

static void passes_over_what_it_does_not_know(void **state)
{
    assert_int_equal(read_line("{\"x\":[1,{\"report\":\"log\"}],\"report\":\"ready\",\"y\":null,"
                               "\"text\":5,\"time\":\"soon\"}"),
                     0);
    assert_true(slice_is(report.kind, "ready"));
    assert_int_equal(report.text.len, 0);
    assert_true(report.time_ns == 0);
}

static void refuses_what_is_no_report(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{",
        "{}",
        "{\"report\"}",
        "{\"report\":}",
        "{\"report\":\"log\"",
        "{\"report\":\"log\",}",
        "{\"report\":\"log\"} x",
        "{\"report\":\"log\",\"time\":-1}",
        "{\"report\":\"log\",\"time\":1.5}",
        "{\"report\":\"log\",\"time\":99999999999999999999}",
        "{\"report\":\"log\",\"text\":\"\\ud800\"}",
        "{\"report\":\"log\",\"text\":\"\xff\"}",
        "{5:\"log\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (read_line(bad[i]) == 0)
            fail_msg("%s", bad[i]);
    event_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_member),
        cmocka_unit_test(passes_over_what_it_does_not_know),
        cmocka_unit_test(refuses_what_is_no_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
