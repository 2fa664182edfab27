/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7396 appendix A and RFC 6902 appendix A, and bounds. */
#include "api/api_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        fail_msg("%s", text);
    return value;
}

static void expect(json_t *got, const char *wanted)
{
    json_t *expected = parse(wanted);
    char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!json_equal(got, expected))
        fail_msg("%s, wanted %s", text, wanted);
    free(text);
    json_decref(expected);
    json_decref(got);
}

static void test_merge(void **state)
{
    static const struct {
        const char *target, *patch, *result;
    } cases[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *patch = parse(cases[i].patch);
        expect(patch_merge(parse(cases[i].target), patch), cases[i].result);
        json_decref(patch);
    }
}

static void test_strategic(void **state)
{
    json_t *patch = parse("{\"metadata\":{\"labels\":{\"a\":\"b\"},\"$setElementOrder/x\":[1]},"
                          "\"$retainKeys\":[\"y\"]}");
    patch_strip_directives(patch);
    expect(patch, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
}

static int apply(const char *document, const char *operations, json_t **ret)
{
    json_t *list = parse(operations);
    struct error err = ERROR_INIT;
    *ret = parse(document);
    int status = patch_json(ret, list, &err);
    assert_true((status == 0) == (err.message[0] == '\0'));
    json_decref(list);
    return status;
}

static void test_operations(void **state)
{
    static const struct {
        const char *document, *operations, *result; /* NULL: refused */
        int status;
    } cases[] = {
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
         "{\"baz\":\"qux\",\"foo\":\"bar\"}", 0},
        {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
         "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", 0},
        {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
         "{\"foo\":\"bar\"}", 0},
        {"{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
         "{\"foo\":[\"bar\",\"baz\"]}", 0},
        {"{\"baz\":\"qux\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
         "{\"baz\":\"boo\"}", 0},
        {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
         "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
         "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}", 0},
        {"{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
         "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
         "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}", 0},
        {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
         "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},"
         "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
         "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}", 0},
        {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL,
         -ENOENT},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL,
         -ENOENT},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
         "{\"/\":9,\"~1\":10}", 0},
        {"{\"foo\":[\"bar\"]}",
         "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
         "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}", 0},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"a\":1,\"b\":1}",
         0},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":{\"b\":2}}]", "{\"b\":2}", 0},
        {"{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, -EINVAL},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":2}]", NULL, -EINVAL},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/5\",\"value\":2}]", NULL, -ENOENT},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, -EINVAL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\"}]", NULL, -EINVAL},
        {"{\"a\":1}", "[{\"op\":\"burn\",\"path\":\"/b\"}]", NULL, -EINVAL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"b\",\"value\":1}]", NULL, -EINVAL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b~2\",\"value\":1}]", NULL, -EINVAL},
        {"{\"a\":1}", "[3]", NULL, -EINVAL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/\",\"value\":1}]", "{\"a\":1,\"\":1}", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *result;
        if (apply(cases[i].document, cases[i].operations, &result) != cases[i].status)
            fail_msg("%s", cases[i].operations);
        if (cases[i].result != NULL)
            expect(result, cases[i].result);
        else
            json_decref(result);
    }
}

/* Each copy would double the document. */
static void test_copies(void **state)
{
    json_t *list = json_array(), *document = json_pack("{s:[s]}", "a", "0123456789");
    for (int i = 0; i < 40; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "op", "copy", "from", "/a", "path", "/a/0"));
    struct error err = ERROR_INIT;
    assert_int_equal(patch_json(&document, list, &err), -EINVAL);
    json_decref(list);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_strategic),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests_name("api/patch", tests, NULL, NULL);
}
