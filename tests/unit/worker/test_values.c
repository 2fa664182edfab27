/* SPDX-License-Identifier: Apache-2.0 */
/* Values that cross between worker and guest without JavaScript's help must be what JavaScript
 * would have made of them; and what only JavaScript can do is left to it. */
#include "fixture.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Answers with the value of that number as the body, and JSON.stringify()'s text of it as a header.
 */
static const char json_source[] =
    "class Point { constructor() { this.x = 1; } }\n"
    "class Money { constructor() { this.x = 1; } toJSON() { return 'money'; } }\n"
    "const deep = n => n === 0 ? 'end' : [deep(n - 1)];\n"
    "const proxy = new Proxy({ a: 1 }, { ownKeys: () => ['a', 'b'],\n"
    "  getOwnPropertyDescriptor: (t, k) => ({ value: k, enumerable: true, configurable: true }) "
    "});\n"
    "const values = [\n"
    "  {}, [], { a: 1 }, [1, 'x', null, true, false], { a: undefined, b: 2 }, [undefined, () => "
    "1],\n"
    "  { n: -0, nan: NaN, inf: Infinity, f: 1.5, e: 1e21, i: -2147483648, u: 4294967295 },\n"
    "  { q: 'say \"hi\"', b: 'a\\\\b', c: '\\n\\t\\r\\b\\f\\u0001', u: 'gr\\u00fc\\u00df \\u65e5', "
    "s: '\\ud83d\\ude00' },\n"
    "  { lone: '\\ud800', x: '\\udfff!' }, { 'a b': 1, 2: 2, '': 3, '\"': 4 }, deep(10), "
    "deep(40),\n"
    "  new Point(), { p: new Point() }, { m: new Money() }, [new Money()], { d: new Date(0) },\n"
    "  { toJSON: () => ({ other: 1 }), a: 1 }, { get g() { return 'got'; } }, [1, , 3], proxy,\n"
    "  { p: proxy }, Object.create({ inherited: 1 }), Object.create(null, { a: { value: 1, "
    "enumerable: true } }),\n"
    "  { [Symbol('s')]: 1, a: 2 }, { a: Symbol('v'), b: 1 }, Object.assign([1, 2], { x: 3 }),\n"
    "  { m: new Map([[1, 2]]), s: new Set([1]), r: /x/, e: new Error('no') }, new "
    "Uint8Array(0).length,\n"
    "  { t: new Uint8Array([1, 2]) }, { o: Object(1), s: Object('s'), b: Object(true) },\n"
    "  Object.defineProperty({ a: 1 }, 'hidden', { value: 2 }), { x: 'y'.repeat(20000) },\n"
    "  Array.from({ length: 500 }, (_, i) => i), { nested: { a: [{ b: [{ c: {} }] }] } },\n"
    "];\n"
    "module.exports = { handle: (context, event) => event.data === -1 ? `${values.length}` :\n"
    "  event.data === -2 ? (Object.prototype.toJSON = () => 'all', { a: [1] }) :\n"
    "  ({ headers: { 'x-json': JSON.stringify(values[event.data]) }, body: values[event.data] }) "
    "};";

static void check_json(void)
{
    fixture_load("event", "", json_source);
    int count = atoi(fixture_body(fixture_event("-1")));
    expect(count > 30);
    for (int i = 0; i < count; i++) {
        char data[16];
        snprintf(data, sizeof(data), "%d", i);
        const struct answer *a = fixture_event(data);
        const char *json = strstr(a->headers.ptr, "x-json: ");
        expect(a->status == 200 && json != NULL);
        json += strlen("x-json: ");
        size_t len = strcspn(json, "\n");
        expect(len == a->body.len);
        expect(memcmp(json, a->body.ptr, len) == 0);
    }
    expect(strcmp(fixture_body(fixture_event("-2")), "\"all\"") == 0);
}

static void check_json_failures(void)
{
    fixture_load("event", "",
                 "const circle = {}; circle.me = circle;\n"
                 "module.exports = (context, event) => event.data === 1 ? { big: 1n } : circle;");
    expect(fixture_event("1")->status == 500);
    expect_contains(fixture_body(fixture_event("1")), "BigInt are forbidden");
    expect_contains(fixture_body(fixture_event("2")), "circular");
}

static void check_json_limit(void)
{
    fixture_load(
        "event", "\"responseBytes\":1000",
        "module.exports = (context, event) => ({ list: Array(event.data).fill('xxxxxxx') });");
    expect(fixture_event("50")->status == 200);
    expect_contains(fixture_body(fixture_event("5000")), "the limit of 1000");
    expect(fixture_event("50")->status == 200);
}

#define REPLY "specversion: '1.0', id: '7', type: 't', source: '/s'"

/* Replies that the worker reads by itself, and those that it leaves to JavaScript. */
static void check_replies(void)
{
    fixture_load(
        "event", "",
        "class Mine { constructor() { Object.assign(this, { " REPLY ", data: 'mine' }); } }\n"
        "const replies = [\n"
        "  { " REPLY ", data: { a: [1] } },\n"
        "  { " REPLY ", n: 5, yes: true, none: null, gone: undefined, data: 'x', datacontenttype: "
        "'text/plain' },\n"
        "  { " REPLY ", time: new Date(0), data: 'x' },\n"
        "  { " REPLY
        ", get ext() { return 'got'; }, data_base64: 'aGk=', datacontenttype: 'text/plain' },\n"
        "  { " REPLY ", data: new Uint8Array([104, 105]), datacontenttype: 'a/b' },\n"
        "  { " REPLY ", data: 'text', datacontenttype: 'application/json' }, new Mine(),\n"
        "  { " REPLY ", data: null }, { " REPLY ", data: { d: new Date(0) } },\n"
        "  { " REPLY ", data: '\\ud800', datacontenttype: 'text/plain' }, { " REPLY " },\n"
        "];\n"
        "module.exports = { handle: (context, event) => replies[event.data] };");
    static const struct {
        const char *body, *header;
    } expected[] = {
        {"{\"a\":[1]}", "application/json"},
        {"x", "ce-yes: true\n"},
        {"\"x\"", "ce-time: 1970-01-01T00:00:00.000Z\n"},
        {"hi", "ce-ext: got\n"},
        {"hi", "a/b"},
        {"\"text\"", "ce-id: 7\n"},
        {"\"mine\"", "application/json"},
        {"null", "application/json"},
        {"{\"d\":\"1970-01-01T00:00:00.000Z\"}", "ce-type: t\n"},
        {"\xef\xbf\xbd", "text/plain"},
        {"", "ce-source: /s\n"},
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        char data[16];
        snprintf(data, sizeof(data), "%zu", i);
        const struct answer *a = fixture_event(data);
        expect(a->status == 200);
        expect(a->body.len == strlen(expected[i].body));
        expect(memcmp(fixture_body(a), expected[i].body, a->body.len) == 0);
        expect_contains(a->headers.ptr, expected[i].header);
        expect(strstr(a->headers.ptr, "gone") == NULL && strstr(a->headers.ptr, "none") == NULL);
    }
}

static void check_bad_replies(void)
{
    fixture_load("event", "",
                 "module.exports = { handle: (context, event) => ({ " REPLY ",\n"
                 "  x: event.data === 1 ? 'x'.repeat(70000) : '\\n', data: 1 }) };");
    expect_contains(fixture_body(fixture_event("1")), "attributes of the reply are too large");
    expect(fixture_event("2")->status == 200); /* percent-encoded */
}

static void check_event_properties(void)
{
    fixture_load("event", "",
                 "module.exports = { handle: (context, event) => `${Object.keys(event)} "
                 "${event.constructor.name} ${Object.getPrototypeOf(event) === "
                 "context.cloudevent.__proto__} "
                 "${JSON.stringify(event.data)} ${delete event.id} ${event.id}` };");
    expect(strcmp(fixture_body(fixture_event("{\"__proto__\":1,\"a\":\"\xc3\xbc\"}")),
                  "specversion,id,type,source,datacontenttype,data CloudEvent true "
                  "{\"__proto__\":1,\"a\":\"\xc3\xbc\"} true undefined") == 0);
    const struct answer *a = fixture_event("{\"open\":");
    expect(a->status == 400);
    expect_contains(fixture_body(a), "the data of the event is no JSON");
}

/* An exhausted memory is not the sender's fault. */
static void check_event_too_large(void)
{
    fixture_load("event", "\"memoryBytes\":8388608", "module.exports = (context, event) => 1;");
    static char data[1000003];
    data[0] = '[';
    for (size_t i = 1; i < sizeof(data) - 2; i += 3)
        memcpy(data + i, "[],", 3);
    memcpy(data + sizeof(data) - 5, "[]]", 4);
    expect_contains(fixture_body(fixture_event(data)), "more memory than its limit");
    expect(fixture_event("1")->status == 200);
}

/* A proxy's traps run the user's code, which may log in the middle of a log. */
static void check_log_within_log(void)
{
    fixture_load(
        "event", "",
        "const trap = new Proxy(class Far {}, { getOwnPropertyDescriptor(t, k) {\n"
        "  console.log({ within: [1, 2, 3] }); return Reflect.getOwnPropertyDescriptor(t, k); },\n"
        "  get(t, k) { console.log({ got: [1] }); return t[k]; } });\n"
        "const odd = Object.create({ constructor: trap }, { a: { value: [1, [2]], enumerable: true "
        "} });\n"
        "module.exports = () => { console.log([{ b: 1 }, odd, { c: 2 }]);\n"
        "  console.log({ p: new Proxy({ x: 1 }, { ownKeys() { console.log([4]); return ['x']; } }) "
        "});\n"
        "  console.log([1, { d: 3 }]); return 'done'; };");
    for (int i = 0; i < 3; i++)
        expect(strcmp(fixture_body(fixture_event("1")), "done") == 0);
    expect_contains(fixture_reports(), "[ 1, { d: 3 } ]");
}

#define TEST_CASE(name)                                                                            \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        assert_true(fixture_run(check_##name, NULL));                                              \
    }
TEST_CASE(json)
TEST_CASE(json_failures)
TEST_CASE(json_limit)
TEST_CASE(replies)
TEST_CASE(bad_replies)
TEST_CASE(event_properties)
TEST_CASE(event_too_large)
TEST_CASE(log_within_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_failures),
        cmocka_unit_test(test_json_limit),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_event_properties),
        cmocka_unit_test(test_event_too_large),
        cmocka_unit_test(test_log_within_log),
    };
    fixture_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
