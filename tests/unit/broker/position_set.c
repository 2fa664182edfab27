/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/position_set.h"

#include "unit.h"

#include <stdlib.h>

static void takes_each_position_once_in_any_order(void **state)
{
    struct position_set s = {0};
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(position_set_add(&s, i * 37 % 101), 0); /* in a mixed order */
    for (uint64_t i = 100; i-- > 0;) {
        assert_true(position_set_take(&s, i * 37 % 101));
        assert_false(position_set_take(&s, i * 37 % 101));
    }
    assert_null(s.positions); /* the last one gives the memory back */
}

static void drops_what_lies_below(void **state)
{
    struct position_set s = {0};
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(position_set_add(&s, i), 0);
    position_set_drop_below(&s, 7);
    assert_false(position_set_take(&s, 6));
    assert_true(position_set_take(&s, 8));
    assert_true(position_set_take(&s, 7));
    position_set_drop_below(&s, 100);
    assert_null(s.positions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_position_once_in_any_order),
        cmocka_unit_test(drops_what_lies_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
