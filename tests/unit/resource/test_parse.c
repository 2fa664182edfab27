/* SPDX-License-Identifier: Apache-2.0 */
/* Text to documents: scalars, lines, bounds. */
#include "base/buf.h"
#include "base/memory.h"
#include "resource/resource.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct parsed {
    struct resource_document *documents;
    size_t count;
};

static struct parsed parse(const char *text)
{
    struct parsed p = {0};
    struct error err = ERROR_INIT;
    int status = resource_parse(slice_text(text), &p.documents, &p.count, &err);
    if (status < 0)
        fail_msg("%d: %s\n%s", err.line, err.message, text);
    return p;
}

static void parsed_done(struct parsed *p)
{
    resource_documents_free(p->documents, p->count);
}

static void expect_error(const char *text, int line, const char *part)
{
    struct resource_document *documents;
    size_t count;
    struct error err = ERROR_INIT;
    assert_true(resource_parse(slice_text(text), &documents, &count, &err) < 0);
    if (strstr(err.message, part) == NULL || err.line != line)
        fail_msg("line %d: %s (wanted line %d: %s)", err.line, err.message, line, part);
}

static void expect_json(const char *text, const char *json)
{
    struct parsed p = parse(text);
    assert_int_equal(p.count, 1);
    char *got = json_dumps(p.documents[0].object, JSON_COMPACT);
    assert_string_equal(got, json);
    free(got);
    parsed_done(&p);
}

static void test_scalars(void **state)
{
    expect_json("a: 1\nb: -7\nc: 0x1F\nd: 0o17\ne: 1.5\nf: 1e3\ng: .5\n",
                "{\"a\":1,\"b\":-7,\"c\":31,\"d\":15,\"e\":1.5,\"f\":1000.0,\"g\":0.5}");
    expect_json("a: true\nb: False\nc: yes\nd: no\ne: on\nf: ~\ng:\nh: null\n",
                "{\"a\":true,\"b\":false,\"c\":\"yes\",\"d\":\"no\",\"e\":\"on\",\"f\":null,"
                "\"g\":null,\"h\":null}");
    expect_json("a: '1'\nb: \"true\"\nc: !!str 5\nd: ! null\ne: 1.2.3\nf: 12:30\ng: 0\n",
                "{\"a\":\"1\",\"b\":\"true\",\"c\":\"5\",\"d\":\"null\",\"e\":\"1.2.3\","
                "\"f\":\"12:30\",\"g\":0}");
    expect_json("a: |\n  x\n   y\nb: >-\n  p\n  q\n", "{\"a\":\"x\\n y\\n\",\"b\":\"p q\"}");
    expect_json("true: a\n1: b\n", "{\"true\":\"a\",\"1\":\"b\"}");
    expect_error("a: 1\nb: 0777\n", 2, "quote it");
    expect_error("a: 99999999999999999999\n", 1, "64 bits");
    expect_error("a: .inf\n", 1, "quote it");
    expect_error("a: 1e999\n", 1, "too large");
    expect_error("a: !!binary aGk=\n", 1, "tag");
    expect_error("a: !local x\n", 1, "tag");
    expect_error("a: \"x\\0y\"\n", 1, "NUL");
}

static void test_documents(void **state)
{
    struct parsed p = parse("---\na: 1\n---\n# nothing\n---\n\nb: 2\n...\n");
    assert_int_equal(p.count, 2);
    assert_int_equal(p.documents[0].line, 2);
    assert_int_equal(p.documents[1].line, 7);
    assert_int_equal(resource_line(&p.documents[1], "b"), 7);
    parsed_done(&p);
    p = parse("");
    assert_int_equal(p.count, 0);
    parsed_done(&p);
    p = parse("{\"a\": 1}\n{\"b\": 2}\n---\nc: 3\n");
    assert_int_equal(p.count, 3);
    assert_int_equal(p.documents[1].line, 2);
    assert_int_equal(p.documents[2].line, 4);
    parsed_done(&p);
    expect_error("a: 1\n---\n- 1\n", 3, "must be an object");
    expect_error("just text\n", 1, "must be an object");
}

static void test_list(void **state)
{
    struct parsed p = parse("apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec:\n    x: 1\n"
                            "- kind: B\n  spec:\n    y: 2\n");
    assert_int_equal(p.count, 2);
    assert_int_equal(p.documents[1].line, 7);
    assert_int_equal(resource_line(&p.documents[0], "spec.x"), 6);
    assert_int_equal(resource_line(&p.documents[1], "spec.y"), 9);
    assert_int_equal(resource_line(&p.documents[1], "spec.z"), 8);
    parsed_done(&p);
    expect_error("kind: List\n", 1, "items");
    expect_error("kind: List\nitems:\n- 3\n", 3, "must be an object");
    expect_error("kind: List\nitems:\n- kind: List\n  items: []\n", 3, "List inside");
}

static void test_lines(void **state)
{
    struct parsed p = parse("metadata:\n  labels:\n    app.io/x: a\nspec:\n  env:\n  - name: A\n"
                            "    value: x\n  - name: B\n    deep: {a: 1,\n      b: 2}\n");
    const struct resource_document *d = &p.documents[0];
    assert_int_equal(resource_line(d, "metadata.labels.app.io/x"), 3);
    assert_int_equal(resource_line(d, "spec.env"), 5);
    assert_int_equal(resource_line(d, "spec.env[0].value"), 7);
    assert_int_equal(resource_line(d, "spec.env[1].name"), 8);
    assert_int_equal(resource_line(d, "spec.env[1].deep.b"), 10);
    assert_int_equal(resource_line(d, "spec.env[9].name"), 5);
    assert_int_equal(resource_line(d, "spec.absent.field"), 4);
    assert_int_equal(resource_line(d, ""), 1);
    parsed_done(&p);
}

static void test_json(void **state)
{
    struct parsed p =
        parse("{\n \"a\": {\n  \"b\": [1,\n   {\"c\": \"}\\\"]\"}]\n },\n \"d\": 2\n}");
    const struct resource_document *d = &p.documents[0];
    assert_int_equal(resource_line(d, "a.b[1].c"), 4);
    assert_int_equal(resource_line(d, "d"), 6);
    parsed_done(&p);
    expect_error("{\n \"a\": 1,\n \"a\": 2\n}", 3, "duplicate");
    expect_error("{\n \"a\": 1,\n}", 3, "not valid JSON");
    expect_error("[1]", 1, "must be an object");
    struct resource_document *documents;
    size_t count;
    struct error err = ERROR_INIT;
    assert_int_equal(resource_parse_json(SLICE("a: 1"), &documents, &count, &err), -EINVAL);
    assert_int_equal(resource_parse(SLICE("[1\0]"), &documents, &count, &err), -EINVAL);
    json_t *value;
    assert_int_equal(resource_parse_value(SLICE(" [1, {}] \n"), &value, &err), 0);
    json_decref(value);
    assert_int_equal(resource_parse_value(SLICE("[1] 2"), &value, &err), -EINVAL);
    assert_int_equal(resource_parse_value(SLICE(""), &value, &err), -EINVAL);
}

static void test_bounds(void **state)
{
    expect_error("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "twice");
    expect_error("a: [1\nb: 2\n", 2, "not valid YAML");
    expect_error("a: 1\nb\nc: 2\n", 2, "not valid YAML");
    expect_error("a:\n\t- 1\n", 2, "tab");
    expect_error("a: *x\n", 1, "no such anchor");
    expect_error("a: &x [*x]\n", 1, "no such anchor");
    expect_error("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge");
    expect_json("a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}");
    expect_error("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
                 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
                 4, "aliases copy too much");
}

static void expect_too_deep(const char *lead)
{
    autobuf text = BUF_INIT;
    buf_add_text(&text, lead);
    for (int i = 0; i < 100; i++)
        buf_add_byte(&text, '[');
    for (int i = 0; i < 100; i++)
        buf_add_byte(&text, ']');
    expect_error(text.ptr, 1, "too deeply");
}

static void test_depth(void **state)
{
    expect_too_deep("");
    expect_too_deep("a: ");
}

static void test_size(void **state)
{
    autobuf text = BUF_INIT;
    buf_add_text(&text, "a: [");
    for (int i = 0; i < 1100000; i++)
        buf_add_text(&text, "1,");
    buf_add_text(&text, "1]");
    expect_error(text.ptr, 1, "too many values");
    buf_reset(&text);
    for (int i = 0; i < 20001; i++)
        buf_add_text(&text, "---\na: 1\n");
    expect_error(text.ptr, 40002, "too many documents");
}

static void test_dump(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"a\":[1,-2,{\"b\":null}],\"c\":true,\"d\":false,\"e\":1.5,\"f\":[]}",
        "[\"\\\"\\\\\\n\\t\\u0001\u00e9 plain\"]",
        "\"\"",
        "{\"a\\\"b\":\"x\"}"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_t *value = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        autobuf text = BUF_INIT;
        resource_dump(&text, value);
        assert_string_equal(text.ptr, texts[i]);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars), cmocka_unit_test(test_documents),
        cmocka_unit_test(test_list),    cmocka_unit_test(test_lines),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_depth),   cmocka_unit_test(test_dump),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests_name("resource/parse", tests, NULL, NULL);
}
