/* SPDX-License-Identifier: Apache-2.0 */
/* The table of metrics keeps the rules of the formats, row by row. */
#include "daemon/metrics.h"

#include "base/fdio.h"

#include "unit.h"

static bool ends(const char *text, const char *end)
{
    return slice_ends(slice_text(text), end);
}

static const struct metric *find(struct slice name)
{
    for (size_t i = 0; i < metrics_row_count; i++)
        if (metrics_rows[i].metric.name != NULL && slice_is(name, metrics_rows[i].metric.name))
            return &metrics_rows[i].metric;
    return NULL;
}

static void check(const struct metric *m)
{
    struct slice name = slice_text(m->name);
    struct slice base = name;
    if (ends(m->name, "_total"))
        base.len -= strlen("_total");
    assert_ptr_equal(find(name), m); /* no name twice */
    assert_true(strlen(m->help) > 0 && m->help[strlen(m->help) - 1] == '.');
    assert_null(strpbrk(m->help, "\"\\\n"));
    assert_int_equal(m->kind == METRIC_COUNTER, ends(m->name, "_total"));
    assert_int_equal(m->kind == METRIC_HISTOGRAM, m->scale != NULL);
    /* what OpenMetrics would take for another metric's */
    assert_int_equal(m->shares_name, m->kind == METRIC_COUNTER && find(base) != NULL);
    assert_false(ends(m->name, "_bucket") || ends(m->name, "_sum") || ends(m->name, "_created"));
    assert_int_equal(m->kind == METRIC_UNTYPED, ends(m->name, "_count"));
    assert_null(strstr(m->name, "_ms"));
}

static void test_rows(void **state)
{
    (void)state;
    assert_non_null(metrics_rows[0].part);
    for (size_t i = 0; i < metrics_row_count; i++)
        if (metrics_rows[i].part == NULL)
            check(&metrics_rows[i].metric);
}

static void test_document_is_up_to_date(void **state)
{
    (void)state;
    autobuf made = BUF_INIT;
    autobuf kept = BUF_INIT;
    metrics_document(&made);
    assert_int_equal(fdio_read_file(METRICS_DOCUMENT, 1 << 20, &kept), 0);
    assert_true(buf_ok(&made) && buf_ok(&kept));
    if (!slice_equal(buf_slice(&made), buf_slice(&kept)))
        fail_msg("docs/metrics.md is not what metrics_table.h says: run make docs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_document_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
