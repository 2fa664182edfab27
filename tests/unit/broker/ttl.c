/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ttl.h"

#include "base/memory.h"
#include "unit.h"

#include <errno.h>

static void what_is_left(void **state)
{
    static const struct {
        const char *text;
        unsigned left;
        bool given;
    } rows[] = {
        {NULL, 255, false},
        {"", 255, false},
        {"1", 1, true},
        {"254", 254, true},
        {"255", 255, true},
        {"256", 255, true},
        {"2147483647", 255, true},
        {"2147483648", 255, false},
        {"0", 0, true},
        {"-1", 0, true},
        {"-2147483647", 0, true},
        {"-99999999999", 255, false},
        {"007", 7, true},
        {"x", 255, false},
        {"-", 255, false},
        {"--1", 255, false},
        {"+1", 255, false},
        {"1.5", 255, false},
        {" 1", 255, false},
        {"1 ", 255, false},
        {"0x1", 255, false},
        {"18446744073709551617", 255, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct event e = {.version = EVENT_V1};
        if (rows[i].text != NULL)
            event_set(&e, "knativebrokerttl", slice_text(rows[i].text));
        if (ttl_left(&e) != rows[i].left || ttl_is_given(&e) != rows[i].given)
            fail_msg("%s: %u", rows[i].text != NULL ? rows[i].text : "none", ttl_left(&e));
    }
}

static void it_is_set_as_a_number(void **state)
{
    struct event e = {.version = EVENT_V1};
    struct ttl_text text;
    assert_int_equal(ttl_set(&e, 255, &text), 0);
    assert_int_equal(e.attributes[0].kind, EVENT_VALUE_INTEGER);
    assert_true(slice_is(event_get(&e, "knativebrokerttl"), "255"));
    assert_int_equal(ttl_set(&e, 1, &text), 0);
    assert_int_equal(e.count, 1);
    assert_int_equal(ttl_left(&e), 1);
    struct event full = {.version = EVENT_V1, .count = EVENT_ATTRIBUTES_MAX};
    assert_int_equal(ttl_set(&full, 1, &text), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left),
        cmocka_unit_test(it_is_set_as_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
