/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event_internal.h"

#include "unit.h"

#include <errno.h>
#include <stdlib.h>

/* In memory of exact size, so that a sanitizer sees a read past the end. */
static bool valid(struct slice text)
{
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy + 1, text.ptr, text.len);
    bool good = json_scan_valid(slice_of(copy + 1, text.len));
    free(copy);
    return good;
}

static void accepts_json(void **state)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1.10",
                                       "-1e5",
                                       "1E+5",
                                       "0.5e-10",
                                       "123456789012345678901234567890",
                                       "true",
                                       "null",
                                       "\"\"",
                                       " [] ",
                                       "{}",
                                       "[[],{}]",
                                       "\t\r\n{\"a\" : [1 , 2 ]}\n",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
                                       "\"\x7f\"",
                                       "\"\xf0\x9f\x98\x80 12345678\"",
                                       "{\"a\":{\"b\":[{\"c\":null}]},\"d\":\"e\"}",
                                       "{\"\":0}",
                                       "\"\\ud800\""};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!valid(slice_text(good[i])))
            fail_msg("refused: %s", good[i]);
}

static void refuses_what_is_none(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "01",
                                      "-",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "1 2",
                                      "truE",
                                      "tru",
                                      "nul",
                                      "NaN",
                                      "Infinity",
                                      "'a'",
                                      "\"a",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"a\nb\"",
                                      "\"\t\"",
                                      "\"\\\"",
                                      "[",
                                      "]",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1}",
                                      "{",
                                      "}",
                                      "{a:1}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{\"a\" 1}",
                                      "{1:2}",
                                      "{\"a\":1]",
                                      "[]]",
                                      "{}{}",
                                      "/**/1",
                                      "[1]//",
                                      "\"\xff\"",
                                      "\"\xc0\xa0\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"12345678\xe2\x82\"",
                                      "\xef\xbb\xbf{}",
                                      "\"\\"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (valid(slice_text(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    assert_false(valid(slice_of("1\0", 2)));
    assert_false(valid(slice_of("\"\0\"", 3)));
}

/* A special byte at each place of the eight that are looked at at once. */
static void finds_special_bytes_anywhere(void **state)
{
    for (size_t at = 1; at < 20; at++) {
        char text[24];
        memset(text, 'x', sizeof(text));
        text[0] = '"';
        text[21] = '"';
        assert_true(valid(slice_of(text, 22)));
        text[at] = '\x1f';
        assert_false(valid(slice_of(text, 22)));
        text[at] = '\xff';
        assert_false(valid(slice_of(text, 22)));
        text[at] = '"';
        assert_false(valid(slice_of(text, 22)));
        text[at] = '\\';
        text[at + 1] = 'n';
        assert_true(valid(slice_of(text, 22)));
        text[at + 1] = 'x';
        assert_false(valid(slice_of(text, 22)));
    }
}

static void limits_depth(void **state)
{
    static char text[2 * JSON_DEPTH_MAX + 2];
    for (int extra = 0; extra < 2; extra++) {
        size_t n = (size_t)(JSON_DEPTH_MAX + extra);
        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(valid(slice_of(text, 2 * n)), extra == 0);
    }
    static char objects[6 * 64 + 1];
    size_t len = 0;
    for (int i = 0; i < 64; i++, len += 5)
        memcpy(objects + len, "{\"a\":", 5);
    objects[len++] = '1';
    memset(objects + len, '}', 63);
    assert_false(valid(slice_of(objects, len + 63)));
    objects[len + 63] = '}';
    assert_true(valid(slice_of(objects, len + 64)));
}

static void hands_out_the_exact_bytes(void **state)
{
    struct json_scan s;
    struct json_value v;
    json_scan_begin(&s, SLICE("  { \"a\" : 1.10 } , x"));
    assert_int_equal(json_scan_value(&s, &v), 0);
    assert_int_equal(v.kind, JSON_OBJECT);
    assert_true(slice_is(v.raw, "{ \"a\" : 1.10 }"));
    assert_true(json_scan_take(&s, ','));
    assert_int_equal(json_scan_value(&s, &v), -EINVAL);
    assert_non_null(s.problem);
    json_scan_begin(&s, SLICE("[\"a\\n\"]"));
    assert_int_equal(json_scan_value(&s, &v), 0);
    assert_int_equal(v.kind, JSON_ARRAY);
}

static void unescapes(void **state)
{
    static const char *const pairs[][2] = {
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\\uD83D\\uDE00x\"", "\xf0\x9f\x98\x80x"},
        {"\"\"", ""}};
    struct event_arena arena = {NULL};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct json_scan s;
        struct json_value v;
        struct slice text;
        json_scan_begin(&s, slice_text(pairs[i][0]));
        assert_int_equal(json_scan_value(&s, &v), 0);
        assert_int_equal(json_scan_string(&v, &arena, &text), 0);
        assert_true(slice_is(text, pairs[i][1]));
    }
    static const char *const lone[] = {"\"\\ud800\"",    "\"\\udc00\"",  "\"\\ud800\\u0041\"",
                                       "\"\\ud800\\n\"", "\"\\ud800x\"", "\"\\ud800\\ud800\""};
    for (size_t i = 0; i < sizeof(lone) / sizeof(lone[0]); i++) {
        struct json_scan s;
        struct json_value v;
        struct slice text;
        json_scan_begin(&s, slice_text(lone[i]));
        assert_int_equal(json_scan_value(&s, &v), 0);
        assert_int_equal(json_scan_string(&v, &arena, &text), -EINVAL);
    }
    event_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_json),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(finds_special_bytes_anywhere),
        cmocka_unit_test(limits_depth),
        cmocka_unit_test(hands_out_the_exact_bytes),
        cmocka_unit_test(unescapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
