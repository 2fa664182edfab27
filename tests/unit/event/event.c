/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>

static void gets_sets_and_unsets(void **state)
{
    struct event e = {.version = EVENT_V1};
    assert_null(event_get(&e, "id").ptr);
    assert_true(slice_is(event_get(&e, "specversion"), "1.0"));
    e.version = EVENT_V03;
    assert_true(slice_is(event_get(&e, "specversion"), "0.3"));
    assert_int_equal(event_set(&e, "id", SLICE("1")), 0);
    assert_int_equal(event_set(&e, "type", SLICE("t")), 0);
    assert_int_equal(event_set(&e, "source", SLICE("s")), 0);
    assert_int_equal(event_set(&e, "type", SLICE("u")), 0);
    assert_int_equal(e.count, 3);
    assert_true(slice_is(event_get(&e, "type"), "u"));
    event_unset(&e, "id");
    event_unset(&e, "nothing");
    assert_int_equal(e.count, 2);
    assert_true(slice_is(e.attributes[0].name, "type"));
    assert_true(slice_is(e.attributes[1].name, "source"));
    event_unset(&e, "source");
    event_unset(&e, "type");
    assert_int_equal(e.count, 0);
}

static void setting_turns_a_value_into_a_string(void **state)
{
    struct event e = {.count = 1, .attributes = {{SLICE("n"), SLICE("5"), EVENT_VALUE_INTEGER}}};
    assert_int_equal(event_set(&e, "n", SLICE("five")), 0);
    assert_int_equal(e.attributes[0].kind, EVENT_VALUE_STRING);
}

static void is_full_at_its_limit(void **state)
{
    static char names[EVENT_ATTRIBUTES_MAX][16];
    struct event e = {.count = 0};
    for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "a%d", i);
        assert_int_equal(event_set(&e, names[i], SLICE("")), 0);
    }
    assert_int_equal(event_set(&e, "onemore", SLICE("")), -ENOSPC);
    assert_int_equal(event_set(&e, "a5", SLICE("x")), 0);
}

static void arena_gives_aligned_memory_of_any_size(void **state)
{
    struct event_arena a = {NULL};
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4000, 5000, 1000000, 3};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *p = event_arena_alloc(&a, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 0x5a, sizes[i]);
    }
    assert_null(event_arena_alloc(&a, SIZE_MAX));
    event_arena_done(&a);
    assert_null(a.blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_sets_and_unsets),
        cmocka_unit_test(setting_turns_a_value_into_a_string),
        cmocka_unit_test(is_full_at_its_limit),
        cmocka_unit_test(arena_gives_aligned_memory_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
