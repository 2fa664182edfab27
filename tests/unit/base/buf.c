/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "unit.h"

#include <stdlib.h>

static void grows_and_keeps_a_nul(void **state)
{
    autobuf b = BUF_INIT;
    for (int i = 0; i < 10000; i++)
        buf_add_byte(&b, (char)('a' + i % 26));
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, 10000);
    assert_int_equal(b.ptr[10000], 0);
    assert_int_equal(b.ptr[27], 'b');
}

static void formats(void **state)
{
    autobuf b = BUF_INIT;
    buf_printf(&b, "%s-%d", "x", 7);
    buf_printf(&b, "%0100d", 1);
    assert_int_equal(b.len, 103);
    assert_memory_equal(b.ptr, "x-700", 5);
}

static void writes_integers_in_their_orders(void **state)
{
    autobuf b = BUF_INIT;
    buf_add_u16(&b, 0x0102);
    buf_add_u32(&b, 0x01020304);
    buf_add_u64(&b, 0x0102030405060708);
    buf_add_be64(&b, 0x0102030405060708);
    static const unsigned char want[] = {2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4,
                                         3, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(b.len, sizeof(want));
    assert_memory_equal(b.ptr, want, sizeof(want));
}

static void escapes_json(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *want;
    } cases[] = {
        {"plain", 5, "\"plain\""},
        {"a\"b\\c\n\t\r\b\f", 10, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\""},
        {"\0\x1f\x7f", 3, "\"\\u0000\\u001f\\u007f\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"\xff\xc0\xa0z", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\""}, /* not UTF-8 */
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},   /* a surrogate */
        {"", 0, "\"\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        autobuf b = BUF_INIT;
        buf_add_json_string(&b, slice_of(cases[i].text, cases[i].len));
        assert_string_equal(b.ptr, cases[i].want);
    }
}

static void hands_its_bytes_over(void **state)
{
    struct buf b = BUF_INIT;
    char *empty = buf_steal(&b);
    assert_string_equal(empty, "");
    free(empty);
    buf_add_text(&b, "kept");
    char *text = buf_steal(&b);
    assert_null(b.ptr);
    assert_string_equal(text, "kept");
    free(text);
}

static void writes_decimals(void **state)
{
    autobuf b = BUF_INIT;
    const int64_t values[] = {0, 7, -1, 10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        buf_add_decimal(&b, values[i]);
        buf_add_byte(&b, ' ');
    }
    assert_string_equal(b.ptr, "0 7 -1 10 9223372036854775807 -9223372036854775808 ");
}

static void fails_once_and_stays_failed(void **state)
{
    autobuf b = BUF_INIT;
    assert_null(buf_reserve(&b, SIZE_MAX - 1));
    buf_add_text(&b, "x");
    assert_false(buf_ok(&b));
    assert_null(buf_steal(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_a_nul),
        cmocka_unit_test(formats),
        cmocka_unit_test(writes_integers_in_their_orders),
        cmocka_unit_test(escapes_json),
        cmocka_unit_test(writes_decimals),
        cmocka_unit_test(hands_its_bytes_over),
        cmocka_unit_test(fails_once_and_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
