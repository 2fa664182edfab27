/* SPDX-License-Identifier: Apache-2.0 */
/* Cells against a plain search through the bounds, and the bounds that are shown. */
#include "observe/histogram.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

static unsigned searched(uint64_t ns)
{
    unsigned cell = 0;
    while (cell < HISTOGRAM_BOUNDS && ns > histogram_time_bounds[cell])
        cell++;
    return cell;
}

static void test_time_cells(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++)
        for (uint64_t ns = histogram_time_bounds[i] - 2; ns <= histogram_time_bounds[i] + 2; ns++)
            assert_int_equal(histogram_time_cell(ns), searched(ns));
    for (unsigned bit = 0; bit < 64; bit++)
        for (int off = -2; off <= 2; off++) {
            uint64_t ns = (UINT64_C(1) << bit) + (uint64_t)(int64_t)off;
            assert_int_equal(histogram_time_cell(ns), searched(ns));
        }
    uint64_t random = 88172645463325252ULL;
    for (unsigned i = 0; i < 200000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t ns = random >> (random % 64);
        assert_int_equal(histogram_time_cell(ns), searched(ns));
    }
}

static void test_count_cells(void **state)
{
    (void)state;
    assert_int_equal(histogram_count_cell(0), 0);
    for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
        uint64_t bound = UINT64_C(1) << i;
        assert_int_equal(histogram_count_cell(bound), i);
        assert_int_equal(histogram_count_cell(bound + 1), i + 1);
    }
    assert_int_equal(histogram_count_cell(UINT64_MAX), HISTOGRAM_CELLS - 1);
}

/* Each bound that is shown is the bound of its cell, and they ascend. */
static void check_times(const struct histogram_scale *scale)
{
    for (size_t i = 0; i < scale->count; i++) {
        const struct histogram_bucket *b = &scale->buckets[i];
        assert_true(i == 0 || b->cell > scale->buckets[i - 1].cell);
        assert_true(strchr(b->le, '.') != NULL);
        double bound = (double)histogram_time_bounds[b->cell];
        double shown = strtod(b->le, NULL) * scale->unit;
        assert_true(shown > bound - 0.5 && shown < bound + 0.5);
    }
}

static void test_scales(void **state)
{
    (void)state;
    check_times(&histogram_seconds);
    check_times(&histogram_knative_seconds);
    check_times(&histogram_knative_milliseconds);
    for (size_t i = 0; i < histogram_powers.count; i++) {
        assert_int_equal(histogram_powers.buckets[i].cell, i);
        assert_int_equal((int)strtod(histogram_powers.buckets[i].le, NULL), 1 << i);
    }
}

static void test_sums(void **state)
{
    (void)state;
    static struct histogram a, b;
    struct histogram_sums sums = {0};
    histogram_observe_time(&a, 1);
    histogram_observe_own_time(&b, 100000);
    histogram_observe_own_time(&b, 100001);
    histogram_observe_time(&b, UINT64_C(1) << 40);
    histogram_add(&sums, &a);
    histogram_add(&sums, &b);
    assert_int_equal(sums.cells[0], 2);
    assert_int_equal(sums.cells[1], 1);
    assert_int_equal(sums.cells[HISTOGRAM_CELLS - 1], 1);
    assert_int_equal(histogram_count(&sums), 4);
    assert_int_equal(sums.sum, 1 + 100000 + 100001 + (UINT64_C(1) << 40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_cells),
        cmocka_unit_test(test_count_cells),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
