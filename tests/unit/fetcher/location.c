/* SPDX-License-Identifier: Apache-2.0 */
/* Where redirects lead: RFC 3986 §5.4 has most of the cases. */
#include "fetcher/fetcher.h"

#include "unit.h"

#include <errno.h>

static void check(const char *base, const char *reference, const char *want)
{
    autobuf out = BUF_INIT;
    int r = location_resolve(slice_text(base), slice_text(reference), &out);
    assert_int_equal(r, 0);
    if (strcmp(out.ptr != NULL ? out.ptr : "", want) != 0)
        fail_msg("%s from %s: %s, not %s", reference, base, out.ptr, want);
}

static void test_rfc(void **state)
{
    static const char *const cases[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
}

static void test_others(void **state)
{
    check("https://h", "x", "https://h/x");
    check("https://h?q", "x", "https://h/x");
    check("https://h:8443/a", "//other:1/b", "https://other:1/b");
    check("https://h/a", "https://u@other/", "https://u@other/");
    check("https://h/a", "  /b \t", "https://h/b");
    check("https://h/a", "\\\\evil.test\\b?\\", "https://evil.test/b?\\");
    check("https://h/a", "/\\evil.test", "https://evil.test");
    check("https://h/a", "https:\\\\evil.test/", "https://evil.test/");
    check("https://h/a", "//", "https://");
    check("https://h/a", "..//b", "https://h//b");
    autobuf out = BUF_INIT;
    assert_int_equal(location_resolve(SLICE("no url"), SLICE("x"), &out), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
