/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 300

static void agrees_with_a_model(void **state)
{
    struct map m = MAP_INIT;
    void *model[KEYS] = {0};
    size_t count = 0;
    srand(11);
    for (int step = 0; step < 50000; step++) {
        int k = rand() % KEYS;
        char key[16];
        int len = snprintf(key, sizeof(key), "key-%d", k);
        struct slice s = slice_of(key, (size_t)len);
        assert_ptr_equal(map_get(&m, s), model[k]);
        if (rand() % 2 == 0) {
            void *value = (void *)(uintptr_t)(1 + rand() % 1000);
            assert_int_equal(map_put(&m, s, value), 0);
            count += model[k] == NULL;
            model[k] = value;
        } else {
            assert_ptr_equal(map_remove(&m, s), model[k]);
            count -= model[k] != NULL;
            model[k] = NULL;
        }
        assert_int_equal(m.len, count);
    }
    size_t at = 0, seen = 0;
    while (map_next(&m, &at, NULL, NULL))
        seen++;
    assert_int_equal(seen, count);
    map_done(&m);
}

static void keys_are_bytes(void **state)
{
    struct map m = MAP_INIT;
    assert_int_equal(map_put(&m, slice_of("a\0b", 3), "1"), 0);
    assert_int_equal(map_put(&m, slice_of("a\0c", 3), "2"), 0);
    assert_int_equal(map_put(&m, slice_of("", 0), "3"), 0);
    assert_string_equal(map_get(&m, slice_of("a\0c", 3)), "2");
    assert_string_equal(map_get(&m, slice_of("", 0)), "3");
    assert_null(map_get(&m, slice_of("a", 1)));
    map_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_a_model),
                                       cmocka_unit_test(keys_are_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
