/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "cli/json_cut.h"

static void members_are_cut_as_they_stand(void **state)
{
    struct slice value, object = SLICE("{\"a\": {\"b\":[1.10, \"}\"]} ,\"b\" : \"x\\\"\" }");
    assert_true(json_cut(object, "a", &value));
    assert_true(slice_is(value, "{\"b\":[1.10, \"}\"]}"));
    assert_true(json_cut(object, "b", &value)); /* not the one within */
    assert_true(slice_is(value, "\"x\\\"\""));
    assert_false(json_cut(object, "c", &value));
    assert_false(json_cut(SLICE("[1]"), "a", &value));
    assert_false(json_cut(SLICE("{\"a\":"), "a", &value));
    assert_false(json_cut(SLICE(""), "a", &value));
}

static void assert_indented(const char *text, const char *wanted)
{
    autobuf out = BUF_INIT;
    json_indent(slice_text(text), 0, &out);
    assert_string_equal(out.ptr, wanted);
}

static void tokens_stay_as_they_were(void **state)
{
    assert_indented("{\"a\":1.10,\"b\":[true,12345678901234567890]}",
                    "{\n  \"a\": 1.10,\n  \"b\": [\n    true,\n    12345678901234567890\n  ]\n}");
    assert_indented("{\"a\":{ },\"b\":[\n]}", "{\n  \"a\": {},\n  \"b\": []\n}");
    assert_indented("\"a:\\\",{\"", "\"a:\\\",{\"");
    assert_indented("[\"\\\\\",1]", "[\n  \"\\\\\",\n  1\n]");
    assert_indented("[[]]", "[\n  []\n]");
    assert_indented("no json {", "no json {");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(members_are_cut_as_they_stand),
                                       cmocka_unit_test(tokens_stay_as_they_were)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
