/* SPDX-License-Identifier: Apache-2.0 */
/* What both formats look like, byte for byte, and who gets which. */
#include "observe/exposition.h"

#include "unit.h"

static const struct metric counter = {"a_seconds_total", "Time.", METRIC_COUNTER, NULL, false};
static const struct metric shared = {"b_total", "All b.", METRIC_COUNTER, NULL, true};
static const struct metric gauge = {"b", "Now b.", METRIC_GAUGE, NULL, false};
static const struct metric untyped = {"c_count", "Theirs.", METRIC_UNTYPED, NULL, false};
static const struct metric histogram = {"d_seconds", "Times.", METRIC_HISTOGRAM,
                                        &histogram_knative_seconds, false};

static void write_all(enum exposition_format format, struct buf *out)
{
    struct exposition x;
    struct histogram h = {0};
    struct histogram_sums sums = {0};
    exposition_init(&x, format, out);
    exposition_metric(&x, &counter);
    exposition_value(&x, 0.25);
    exposition_metric(&x, &shared);
    exposition_value(&x, 1e15);
    exposition_metric(&x, &gauge); /* without samples: not mentioned */
    exposition_metric(&x, &untyped);
    exposition_label(&x, "type", SLICE("a\\b\"c\nd"));
    exposition_label(&x, "empty", SLICE(""));
    exposition_label(&x, "n", SLICE("x"));
    exposition_value(&x, 3);
    exposition_value(&x, 0.1);
    histogram_observe_time(&h, 5 * 1000 * 1000);
    histogram_observe_time(&h, 1500 * 1000 * 1000);
    histogram_add(&sums, &h);
    exposition_metric(&x, &histogram);
    exposition_label(&x, "t", SLICE("u"));
    exposition_histogram(&x, &sums);
    exposition_end(&x);
    exposition_done(&x);
    assert_true(buf_ok(out));
    buf_add_byte(out, '\0');
}

static void test_text(void **state)
{
    (void)state;
    autobuf out = BUF_INIT;
    write_all(EXPOSITION_TEXT, &out);
    assert_string_equal(out.ptr, "# HELP a_seconds_total Time.\n"
                                 "# TYPE a_seconds_total counter\n"
                                 "a_seconds_total 0.25\n"
                                 "# HELP b_total All b.\n"
                                 "# TYPE b_total counter\n"
                                 "b_total 1000000000000000\n"
                                 "# HELP c_count Theirs.\n"
                                 "# TYPE c_count untyped\n"
                                 "c_count{type=\"a\\\\b\\\"c\\nd\",n=\"x\"} 3\n"
                                 "c_count 0.1\n"
                                 "# HELP d_seconds Times.\n"
                                 "# TYPE d_seconds histogram\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.005\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.01\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.025\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.05\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.075\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.1\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.25\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.5\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"0.75\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"1\"} 1\n"
                                 "d_seconds_bucket{t=\"u\",le=\"2.5\"} 2\n"
                                 "d_seconds_bucket{t=\"u\",le=\"5\"} 2\n"
                                 "d_seconds_bucket{t=\"u\",le=\"7.5\"} 2\n"
                                 "d_seconds_bucket{t=\"u\",le=\"10\"} 2\n"
                                 "d_seconds_bucket{t=\"u\",le=\"+Inf\"} 2\n"
                                 "d_seconds_sum{t=\"u\"} 1.505\n"
                                 "d_seconds_count{t=\"u\"} 2\n");
}

static void test_openmetrics(void **state)
{
    (void)state;
    autobuf out = BUF_INIT;
    write_all(EXPOSITION_OPENMETRICS, &out);
    const char *head = "# HELP a_seconds Time.\n"
                       "# TYPE a_seconds counter\n"
                       "# UNIT a_seconds seconds\n"
                       "a_seconds_total 0.25\n"
                       "# HELP b_total All b.\n"
                       "# TYPE b_total unknown\n"
                       "b_total 1000000000000000\n"
                       "# HELP c_count Theirs.\n"
                       "# TYPE c_count unknown\n";
    assert_memory_equal(out.ptr, head, strlen(head));
    assert_non_null(strstr(out.ptr, "# UNIT d_seconds seconds\n"));
    assert_non_null(strstr(out.ptr, "le=\"1.0\"} 1\n"));
    assert_string_equal(out.ptr + out.len - 1 - strlen("# EOF\n"), "# EOF\n");
}

static void test_choice(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum exposition_format format;
    } cases[] = {
        {NULL, EXPOSITION_TEXT},
        {"", EXPOSITION_TEXT},
        {"*/*", EXPOSITION_TEXT},
        {"text/plain", EXPOSITION_TEXT},
        {"application/openmetrics-text", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=\"1.0.0\"", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=0.0.1", EXPOSITION_TEXT},
        /* as Prometheus asks */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         EXPOSITION_OPENMETRICS},
        {"text/plain;version=0.0.4, application/openmetrics-text;q=0.5", EXPOSITION_TEXT},
        {"Application/OpenMetrics-Text ; Q=0.5 , text/plain;q=0.4", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;q=0", EXPOSITION_TEXT},
        {",,;;,=", EXPOSITION_TEXT},
        {"application/openmetrics-text;q=nonsense;;", EXPOSITION_OPENMETRICS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(exposition_choose(slice_text(cases[i].accept)), cases[i].format);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
