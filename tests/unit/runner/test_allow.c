/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/allow.h"

#include "base/memory.h"
#include "unit.h"

#include <errno.h>

static void reads_rules(void **state)
{
    static const struct {
        const char *text, *host;
        enum allow_kind kind;
        uint16_t port;
    } cases[] = {
        {"api.github.com:443", "api.github.com", ALLOW_NAME, 443},
        {"API.GitHub.com.:443", "api.github.com", ALLOW_NAME, 443},
        {"localhost:1", "localhost", ALLOW_NAME, 1},
        {"*.example.com:65535", "example.com", ALLOW_SUFFIX, 65535},
        {"10.0.0.1:80", "10.0.0.1", ALLOW_IPV4, 80},
        {"[::1]:80", "::1", ALLOW_IPV6, 80},
        {"[2001:DB8:0:0::1]:80", "2001:db8::1", ALLOW_IPV6, 80},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct allow_rule rule;
        struct error err = ERROR_INIT;
        if (allow_parse(slice_text(cases[i].text), &rule, &err) < 0)
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_int_equal(rule.kind, cases[i].kind);
        assert_string_equal(rule.host, cases[i].host);
        assert_int_equal(rule.port, cases[i].port);
    }
}

static void refuses_what_is_no_rule(void **state)
{
    static const char *const cases[] = {
        "",
        "a",
        ":80",
        "a:",
        "a:0",
        "a:65536",
        "a:+1",
        "a:1x",
        "a:000080",
        "a b:80",
        "a\n:80",
        "*:80",
        "*.:80",
        "*.*.a:80",
        "a.*.b:80",
        "..:80",
        ".a:80",
        "-a:80",
        "a..b:80",
        "[::1:80",
        "::1:80",
        "[::g]:80",
        "[1.2.3.4]",
        "[]:80",
        "1.2.3:80",
        "1:80",
        "0x7f:80",
        "1.2.3.4.5:80",
        "*.1.2:80",
        "a.0x1:80",
        "127.0.0.256:80",
        "a/b:80",
        "u@a:80",
        "[::1%lo]:80",
    };
    struct error err = ERROR_INIT;
    struct allow_rule rule;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (allow_parse(slice_text(cases[i]), &rule, &err) != -EINVAL)
            fail_msg("\"%s\" was taken", cases[i]);
    char longest[400];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + sizeof(longest) - 3, ":80", 3);
    assert_int_equal(allow_parse(slice_of(longest, sizeof(longest)), &rule, &err), -EINVAL);
    assert_string_equal(err.field, "network.allow");
}

static bool match(const struct allow_list *list, const char *host, uint16_t port)
{
    return allow_matches(list, slice_text(host), port);
}

static void matches_only_what_is_allowed(void **state)
{
    struct allow_list list = {0};
    struct error err = ERROR_INIT;
    static const char *const rules[] = {"a.example:443", "*.b.example:80", "10.1.2.3:25",
                                        "[2001:db8::1]:25"};
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        assert_int_equal(allow_add(&list, slice_text(rules[i]), &err), 0);
    assert_true(list.has_suffix);
    assert_true(match(&list, "a.example", 443));
    assert_true(match(&list, "A.Example.", 443));
    assert_false(match(&list, "a.example", 80));
    assert_false(match(&list, "xa.example", 443));
    assert_false(match(&list, "a.example..", 443));
    assert_false(match(&list, "", 443));
    assert_false(match(&list, ".", 443));
    assert_true(match(&list, "x.b.example", 80));
    assert_true(match(&list, "y.x.b.example", 80));
    assert_false(match(&list, "b.example", 80));
    assert_false(match(&list, ".b.example", 80));
    assert_false(match(&list, "xb.example", 80));
    assert_false(match(&list, "x.b.example.evil", 80));
    assert_false(match(&list, "x y.b.example", 80));
    assert_false(match(&list, "x@.b.example", 80));
    assert_false(allow_matches(&list, SLICE("evil\0.b.example"), 80));
    assert_true(match(&list, "10.1.2.3", 25));
    assert_false(match(&list, "10.1.2.4", 25));
    assert_true(match(&list, "2001:DB8:0::1", 25));
    assert_false(match(&list, "2001:db8::2", 25));
}

static void has_a_limit(void **state)
{
    struct allow_list list = {0};
    struct error err = ERROR_INIT;
    for (int i = 0; i < ALLOW_RULES_MAX; i++)
        assert_int_equal(allow_add(&list, SLICE("a:1"), &err), 0);
    assert_int_equal(allow_add(&list, SLICE("a:1"), &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rules),
        cmocka_unit_test(refuses_what_is_no_rule),
        cmocka_unit_test(matches_only_what_is_allowed),
        cmocka_unit_test(has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
