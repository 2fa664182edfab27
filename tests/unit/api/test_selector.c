/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool matches(const char *text, const char *labels)
{
    struct selector s = {.count = 0};
    struct error err = ERROR_INIT;
    json_t *object = json_pack("{s:{s:o}}", "metadata", "labels", json_loads(labels, 0, NULL));
    if (selector_parse(slice_text(text), &s, &err) < 0)
        fail_msg("%s", err.message);
    bool result = selector_matches_labels(&s, object);
    selector_done(&s);
    json_decref(object);
    return result;
}

static void test_matching(void **state)
{
    static const struct {
        const char *selector;
        bool matches;
    } cases[] = {
        {"a=1", true},         {"a==1", true},         {"a=2", false},
        {"a!=2", true},        {"zz!=2", true},        {"a", true},
        {"zz", false},         {"!zz", true},          {"!a", false},
        {"a in (0, 1)", true}, {"a in (0)", false},    {"zz in (0)", false},
        {"a notin (0)", true}, {"zz notin (0)", true}, {"a notin (1)", false},
        {"a=1,b=x", true},     {"a=1,b=y", false},     {"a in (1,2),b", true},
        {"app.io/n=v", true},  {"a = 1", true},        {"e=", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (matches(cases[i].selector, "{\"a\":\"1\",\"b\":\"x\",\"app.io/n\":\"v\",\"e\":\"\"}") !=
            cases[i].matches)
            fail_msg("%s", cases[i].selector);
}

static void test_malformed(void **state)
{
    static const char *const texts[] = {"=1", "a in b", "a in (b", ",",          "a,,b", "a b",
                                        "!",  "a=1;b",  "in (a)",  "a in ((b))", "a=b=c"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct selector s = {.count = 0};
        struct error err = ERROR_INIT;
        if (selector_parse(slice_text(texts[i]), &s, &err) == 0)
            fail_msg("%s", texts[i]);
        selector_done(&s);
    }
}

static void test_fields(void **state)
{
    json_t *object = json_pack("{s:{s:s}}", "metadata", "name", "x");
    struct selector s = {.count = 0};
    struct error err = ERROR_INIT;
    assert_int_equal(selector_parse_fields(SLICE("metadata.name=x"), &s, &err), 0);
    assert_true(selector_matches_fields(&s, object));
    selector_done(&s);
    assert_int_equal(selector_parse_fields(SLICE("metadata.name!=x"), &s, &err), 0);
    assert_false(selector_matches_fields(&s, object));
    selector_done(&s);
    assert_true(selector_parse_fields(SLICE("spec.broker=x"), &s, &err) < 0);
    selector_done(&s);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests_name("api/selector", tests, NULL, NULL);
}
