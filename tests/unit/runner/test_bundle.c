/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/bundle.h"

#include "base/memory.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int parse(const char *json, struct bundle *ret, struct error *err)
{
    *err = (struct error)ERROR_INIT;
    return bundle_parse(slice_text(json), ret, err);
}

static void reads_members(void **state)
{
    struct bundle b;
    struct error err;
    assert_int_equal(
        parse("{\"namespace\":\"n\",\"name\":\"f\",\"generation\":7,\"runtime\":\"python\","
              "\"main\":\"a.py\",\"files\":{\"a.py\":\"x\",\"b/c.py\":\"\"},"
              "\"env\":{\"A\":\"1\"},\"command\":[\"x\",\"y\"],"
              "\"limits\":{\"memoryBytes\":1024,\"timeoutMs\":5,\"concurrency\":2},"
              "\"network\":{\"allow\":[\"a:1\",\"[::1]:2\"]}}",
              &b, &err),
        0);
    assert_string_equal(b.runtime, "python");
    assert_string_equal(b.main, "a.py");
    assert_int_equal(b.generation, 7);
    assert_int_equal(b.limits.memory_bytes, 1024);
    assert_int_equal(b.limits.timeout_ms, 5);
    assert_int_equal(b.limits.concurrency, 2);
    assert_int_equal(b.limits.request_bytes, 1 << 20);
    assert_int_equal(b.allow.count, 2);
    bundle_done(&b);
    assert_int_equal(parse("{\"files\":{\"a\":\"\"}}", &b, &err), 0);
    assert_string_equal(b.name, "function");
    assert_null(b.main);
    bundle_done(&b);
}

static void refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "no JSON"},
        {"[]", "no JSON object"},
        {"{\"files\":{\"a\":\"\"},\"files\":{\"b\":\"\"}}", "no JSON"},
        {"{}", "no files"},
        {"{\"files\":{}}", "no files"},
        {"{\"files\":[]}", "no files"},
        {"{\"files\":{\"a\":1}}", "must be a text"},
        {"{\"files\":{\"../a\":\"\"}}", "no file name"},
        {"{\"files\":{\"a/../b\":\"\"}}", "no file name"},
        {"{\"files\":{\"/a\":\"\"}}", "no file name"},
        {"{\"files\":{\"a/\":\"\"}}", "no file name"},
        {"{\"files\":{\"a\\nb\":\"\"}}", "no file name"},
        {"{\"main\":\"b\",\"files\":{\"a\":\"\"}}", "is not among"},
        {"{\"files\":{\"a\":\"\"},\"env\":[]}", "object of texts"},
        {"{\"files\":{\"a\":\"\"},\"env\":{\"A\":1}}", "must be a text"},
        {"{\"files\":{\"a\":\"\"},\"env\":{\"A=B\":\"\"}}", "cannot be set"},
        {"{\"files\":{\"a\":\"\"},\"env\":{\"\":\"\"}}", "cannot be set"},
        {"{\"files\":{\"a\":\"\"},\"env\":{\"SLUICE_LISTEN_FD\":\"9\"}}", "cannot be set"},
        {"{\"files\":{\"a\":\"\"},\"env\":{\"A\":\"x\\u0000y\"}}", "without NUL"},
        {"{\"files\":{\"a\":\"\"},\"command\":\"x\"}", "list of at most"},
        {"{\"files\":{\"a\":\"\"},\"command\":[1]}", "without NUL"},
        {"{\"files\":{\"a\":\"\"},\"limits\":{\"timeoutMs\":0}}", "timeoutMs must be"},
        {"{\"files\":{\"a\":\"\"},\"limits\":{\"concurrency\":-1}}", "concurrency must be"},
        {"{\"files\":{\"a\":\"\"},\"limits\":{\"memoryBytes\":\"x\"}}", "memoryBytes must be"},
        {"{\"files\":{\"a\":\"\"},\"network\":{\"allow\":[\"a\"]}}", "must be HOST:PORT"},
        {"{\"files\":{\"a\":\"\"},\"network\":{\"allow\":{}}}", "list of at most"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bundle b;
        struct error err;
        int r = parse(cases[i].json, &b, &err);
        if (r >= 0 || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %d \"%s\"", cases[i].json, r, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_members),
        cmocka_unit_test(refuses_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
