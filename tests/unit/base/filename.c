/* SPDX-License-Identifier: Apache-2.0 */
#include "base/filename.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_below_the_folder(void **state)
{
    static const char *const good[] = {"a",    "index.js", "a/b/c.js", ".hidden",
                                       "a..b", "...",      "€",        "a b"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(filename_is_inside(good[i]));
}

static void names_that_lead_elsewhere(void **state)
{
    static const char *const bad[] = {"",     "/",      "/a",    ".",   "..",    "a/..",
                                      "../a", "a/../b", "a//b",  "a/",  "a/./b", "./a",
                                      "a\\b", "a\nb",   "a\x7f", "\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(filename_is_inside(bad[i]));
}

static void names_of_the_longest_length(void **state)
{
    char name[FILENAME_INSIDE_MAX + 2];
    memset(name, 'a', sizeof(name));
    name[FILENAME_INSIDE_MAX] = '\0';
    assert_true(filename_is_inside(name));
    name[FILENAME_INSIDE_MAX] = 'a';
    name[FILENAME_INSIDE_MAX + 1] = '\0';
    assert_false(filename_is_inside(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_below_the_folder),
        cmocka_unit_test(names_that_lead_elsewhere),
        cmocka_unit_test(names_of_the_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
