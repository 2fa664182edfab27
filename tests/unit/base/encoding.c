/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encoding.h"

#include "unit.h"

#include <errno.h>

static void knows_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe1\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xc3"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(encoding_utf8_valid(slice_text(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(encoding_utf8_valid(slice_text(bad[i])));
}

static void round_trips_base64(void **state)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        autobuf text = BUF_INIT;
        autobuf bytes = BUF_INIT;
        encoding_base64_add(&text, slice_text(pairs[i][0]));
        assert_true(slice_is(buf_slice(&text), pairs[i][1]));
        assert_int_equal(encoding_base64_decode(buf_slice(&text), &bytes), 0);
        assert_true(slice_is(buf_slice(&bytes), pairs[i][0]));
    }
    static const char *const bad[] = {
        "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9-", "Zg\n="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        autobuf bytes = BUF_INIT;
        if (encoding_base64_decode(slice_text(bad[i]), &bytes) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
}

static void decodes_percent_once(void **state)
{
    autobuf out = BUF_INIT;
    assert_int_equal(encoding_percent_decode(slice_text("a%20b%2541%c3%A9"), &out), 0);
    assert_true(slice_is(buf_slice(&out), "a b%41\xc3\xa9"));
    static const char *const bad[] = {"%", "%2", "a%g0", "%0x"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(encoding_percent_decode(slice_text(bad[i]), &out), -EINVAL);
}

static void reads_quantities(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"512", 512},
                {"64Mi", 64u << 20},
                {"1k", 1000},
                {"2Gi", UINT64_C(2) << 30},
                {"3G", 3000000000}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes;
        assert_int_equal(encoding_parse_bytes(slice_text(good[i].text), &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    uint64_t v;
    assert_int_equal(encoding_parse_bytes(slice_text("Mi"), &v), -EINVAL);
    assert_int_equal(encoding_parse_bytes(slice_text("1.5Mi"), &v), -EINVAL);
    assert_int_equal(encoding_parse_bytes(slice_text("-1"), &v), -EINVAL);
    assert_int_equal(encoding_parse_bytes(slice_text("99999999999999Ti"), &v), -ERANGE);
    assert_int_equal(encoding_parse_u64(slice_text("18446744073709551615"), &v), 0);
    assert_int_equal(encoding_parse_u64(slice_text("18446744073709551616"), &v), -ERANGE);
    assert_int_equal(encoding_parse_u64(slice_text("+1"), &v), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_utf8), cmocka_unit_test(round_trips_base64),
        cmocka_unit_test(decodes_percent_once), cmocka_unit_test(reads_quantities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
