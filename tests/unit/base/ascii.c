/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ascii.h"

#include "unit.h"

static size_t run_by_bytes(const char *p, size_t len, char a, char b)
{
    size_t n = 0;
    while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != a && p[n] != b)
        n++;
    return n;
}

/* Every byte at every place, also behind another that ends the run. */
static void stops_where_a_byte_by_byte_search_does(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 40; at++) {
            char text[40];
            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            assert_int_equal(ascii_run(text, sizeof(text), '"', '\\'),
                             run_by_bytes(text, sizeof(text), '"', '\\'));
            text[(at + 3) % sizeof(text)] = (char)(byte * 7 + 1);
            assert_int_equal(ascii_run(text, at + 1, '\'', '\\'),
                             run_by_bytes(text, at + 1, '\'', '\\'));
            assert_int_equal(ascii_run(text, sizeof(text), '\x7f', '\x7f'),
                             run_by_bytes(text, sizeof(text), '\x7f', '\x7f'));
        }
}

static void takes_no_bytes(void **state)
{
    assert_int_equal(ascii_run(NULL, 0, '"', '\\'), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_where_a_byte_by_byte_search_does),
        cmocka_unit_test(takes_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
