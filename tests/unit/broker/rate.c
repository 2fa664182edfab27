/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rate.h"

#include "unit.h"

#include "base/clock.h"

/* Takes all that is allowed until then, as it is allowed. */
static unsigned taken_until(struct rate *r, uint64_t *now, uint64_t end)
{
    unsigned n = 0;
    for (;;) {
        uint64_t until = rate_wait(r, *now);
        if (until != 0)
            assert_true(until > *now);
        if (until > end)
            break;
        *now = until != 0 ? until : *now;
        rate_take(r, *now);
        n++;
    }
    *now = end;
    return n;
}

static void none_is_no_limit(void **state)
{
    struct rate r = {0};
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(rate_wait(&r, 5), 0);
        rate_take(&r, 5);
    }
}

static void slow_ones_come_one_by_one(void **state)
{
    struct rate r = {0};
    uint64_t now = 1000 * CLOCK_SECOND;
    rate_set(&r, 30, 60 * CLOCK_SECOND);
    assert_int_equal(rate_wait(&r, now), 0);
    rate_take(&r, now);
    assert_int_equal(rate_wait(&r, now), now + 2 * CLOCK_SECOND);
    assert_int_equal(rate_wait(&r, now + 2 * CLOCK_SECOND), 0);
}

static void a_tenth_of_a_second_is_saved_up(void **state)
{
    struct rate r = {0};
    uint64_t now = 1000 * CLOCK_SECOND;
    rate_set(&r, 100, CLOCK_SECOND);
    unsigned burst = 0;
    for (; rate_wait(&r, now) == 0; burst++)
        rate_take(&r, now);
    assert_int_equal(burst, 10);
    now += 3600 * CLOCK_SECOND; /* no more than that, however long it was idle */
    for (burst = 0; rate_wait(&r, now) == 0; burst++)
        rate_take(&r, now);
    assert_int_equal(burst, 10);
}

static void no_token_is_lost_in_divisions(void **state)
{
    static const struct {
        uint64_t count, period;
    } limits[] = {{7, 1}, {3, 60}, {7, 3600}, {1000000, 1}, {999983, 1}, {1, 1}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        struct rate r = {0};
        uint64_t now = CLOCK_SECOND, period = limits[i].period * CLOCK_SECOND;
        rate_set(&r, limits[i].count, period);
        taken_until(&r, &now, now + period); /* what was saved up is used up */
        assert_in_range(taken_until(&r, &now, now + period), limits[i].count - 1,
                        limits[i].count + 1);
    }
}

static void another_limit_begins_anew(void **state)
{
    struct rate r = {0};
    rate_set(&r, 1, 3600 * CLOCK_SECOND);
    rate_take(&r, CLOCK_SECOND);
    rate_set(&r, 1, 3600 * CLOCK_SECOND);
    assert_true(rate_wait(&r, CLOCK_SECOND) > 0);
    rate_set(&r, 2, 3600 * CLOCK_SECOND);
    assert_int_equal(rate_wait(&r, CLOCK_SECOND), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_no_limit),
        cmocka_unit_test(slow_ones_come_one_by_one),
        cmocka_unit_test(a_tenth_of_a_second_is_saved_up),
        cmocka_unit_test(no_token_is_lost_in_divisions),
        cmocka_unit_test(another_limit_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
