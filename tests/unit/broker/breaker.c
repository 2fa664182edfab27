/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/breaker.h"

#include "unit.h"

#define T0 (100 * CLOCK_SECOND)

static void fail_at(struct breaker *b, uint64_t now)
{
    assert_int_equal(breaker_wait(b, now), 0);
    bool probe = breaker_start(b);
    breaker_end(b, probe, false, now);
}

static void none_never_opens(void **state)
{
    struct breaker b = {0};
    for (unsigned i = 0; i < 100; i++)
        fail_at(&b, T0);
    assert_false(b.open);
}

static void opens_after_failures_in_a_row(void **state)
{
    struct breaker b = {0};
    breaker_set(&b, 3);
    fail_at(&b, T0);
    fail_at(&b, T0);
    assert_false(breaker_end(&b, breaker_start(&b), true, T0)); /* not in a row */
    fail_at(&b, T0);
    fail_at(&b, T0);
    assert_false(b.open);
    assert_true(breaker_end(&b, breaker_start(&b), false, T0));
    assert_true(b.open);
    assert_int_equal(breaker_wait(&b, T0), T0 + CLOCK_SECOND);
}

static void one_probe_at_a_time_after_doubling_pauses(void **state)
{
    static const uint64_t pauses[] = {1, 2, 4, 8, 16, 32, 60, 60};
    struct breaker b = {0};
    uint64_t now = T0;
    breaker_set(&b, 1);
    fail_at(&b, now);
    for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
        assert_int_equal(breaker_wait(&b, now), now + pauses[i] * CLOCK_SECOND);
        now += pauses[i] * CLOCK_SECOND;
        assert_int_equal(breaker_wait(&b, now), 0);
        assert_true(breaker_start(&b));
        assert_int_equal(breaker_wait(&b, now), UINT64_MAX);
        assert_true(breaker_end(&b, true, false, now));
    }
    now += 60 * CLOCK_SECOND;
    assert_true(breaker_end(&b, breaker_start(&b), true, now));
    assert_false(b.open);
    fail_at(&b, now);
    assert_int_equal(breaker_wait(&b, now), now + CLOCK_SECOND);
}

static void those_under_way_when_it_opened(void **state)
{
    struct breaker b = {0};
    breaker_set(&b, 2);
    for (unsigned i = 0; i < 4; i++)
        assert_false(breaker_start(&b));
    assert_false(breaker_end(&b, false, false, T0));
    assert_true(breaker_end(&b, false, false, T0));
    assert_false(breaker_end(&b, false, false, T0)); /* does not move the probe */
    assert_int_equal(breaker_wait(&b, T0), T0 + CLOCK_SECOND);
    assert_true(breaker_end(&b, false, true, T0)); /* it is alive after all */
    assert_int_equal(breaker_wait(&b, T0), 0);
}

static void a_probe_that_is_cut_makes_room_for_another(void **state)
{
    struct breaker b = {0};
    breaker_set(&b, 1);
    fail_at(&b, T0);
    assert_true(breaker_start(&b));
    breaker_forget_probe(&b);
    assert_int_equal(breaker_wait(&b, T0 + CLOCK_SECOND), 0);
}

static void settings_change(void **state)
{
    struct breaker b = {0};
    breaker_set(&b, 1);
    fail_at(&b, T0);
    breaker_set(&b, 5);
    assert_true(b.open);
    breaker_set(&b, 0);
    assert_int_equal(breaker_wait(&b, T0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_never_opens),
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(one_probe_at_a_time_after_doubling_pauses),
        cmocka_unit_test(those_under_way_when_it_opened),
        cmocka_unit_test(a_probe_that_is_cut_makes_room_for_another),
        cmocka_unit_test(settings_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
