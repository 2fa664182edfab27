/* SPDX-License-Identifier: Apache-2.0 */
#include "base/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 9110 §5.6.2: every byte by itself. */
static void tokens(void **state)
{
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool wanted = letter || (c != 0 && c < 128 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        assert_int_equal(token_is(slice_of(&byte, 1)), wanted);
    }
    assert_false(token_is(SLICE("")));
    assert_true(token_is(SLICE("x-a")));
    assert_false(token_is(SLICE("x a")));
    assert_false(token_is(SLICE("x-a:")));
}

/* RFC 9110 §5.5, with obs-text. */
static void field_values(void **state)
{
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        assert_int_equal(token_is_field_value(slice_of(&byte, 1)),
                         c == '\t' || (c >= 0x20 && c != 0x7f));
    }
    assert_true(token_is_field_value(SLICE("")));
    assert_false(token_is_field_value(SLICE("a\r\nb")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tokens), cmocka_unit_test(field_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
