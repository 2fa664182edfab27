/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of bad code ends its own call with a clear error, and the next call is served. */
#include "fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One handler with a case for each kind; the event's data choose. */
static const char bad[] =
    "const cases = {\n"
    "  fine: () => 'fine',\n"
    "  loop: () => { for (;;); },\n"
    "  caught: () => { for (;;) { try { for (;;); } catch {} } },\n"
    "  promises: async () => { for (;;) await null; },\n"
    "  native: () => { const a = []; a.length = 4294967295; a.indexOf(1); },\n"
    "  bomb: () => { const a = []; for (;;) a.push(new Array(10000).fill(a.length)); },\n"
    "  text: () => { let s = 'x'; for (;;) s += s; },\n"
    "  buffers: () => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); },\n"
    "  recursion: () => { const f = n => f(n + 1) + 1; return f(0); },\n"
    "  json: () => JSON.parse('['.repeat(1e5)),\n"
    "  thrown: () => {\n"
    "    throw new TypeError('on purpose');\n"
    "  },\n"
    "  text_thrown: () => { throw 'a text'; },\n"
    "  nothing_thrown: () => { throw undefined; },\n"
    "  getter: () => { throw { get message() { for (;;); } }; },\n"
    "  status: () => { throw Object.assign(new Error('no such thing'), { code: 404 }); },\n"
    "  rejected: async () => { await 1; throw new RangeError('later'); },\n"
    "  unsettled: () => new Promise(() => {}),\n"
    "  large: () => 'x'.repeat(2 << 20),\n"
    "  large_bytes: () => new Uint8Array(2 << 20),\n"
    "  large_head: () => ({ headers: { a: 'x'.repeat(100000) }, body: '' }),\n"
    "  chatty: () => { for (let i = 0; i < 1000; i++) console.log('y'.repeat(100)); return 'ok'; "
    "},\n"
    "  newlines: () => { console.log('y'.repeat(19990)); for (let i = 0; i < 20; i++) "
    "console.log(''); return 'ok'; },\n"
    "  event: () => ({ specversion: '1.0', type: 't', source: '', id: '1' }),\n"
    "  header: () => ({ headers: { 'a b': '1' }, body: '' }),\n"
    "  injected: () => ({ headers: { a: '1\\r\\nb: 2' }, body: '' }),\n"
    "  status_code: () => ({ statusCode: 99, body: '' }),\n"
    "  circular: () => { const a = {}; a.a = a; return a; },\n"
    "  regexp: () => /(a+)+$/.test('a'.repeat(60) + 'b'),\n"
    "  bigint: () => { let a = 3n; for (;;) a *= a; },\n"
    "};\n"
    "module.exports = (context, event) => cases[event.data]();\n";

static const struct bad_case {
    const char *name;
    unsigned status;
    const char *body;   /* part of it */
    const char *report; /* part of it, NULL: none needed */
} cases[] = {
    {"loop", 504, "longer than its time limit of 600 ms", "\"limit\":\"time\""},
    {"caught", 504, "time limit", "\"limit\":\"time\""},
    {"promises", 504, "time limit", "\"limit\":\"time\""},
    {"native", 504, "time limit", "\"limit\":\"time\""},
    {"regexp", 504, "time limit", "\"limit\":\"time\""},
    {"getter", 504, "time limit", "\"limit\":\"time\""},
    {"bomb", 500, "more memory than its limit of 16384 KiB", "\"limit\":\"memory\""},
    {"buffers", 500, "more memory", "\"limit\":\"memory\""},
    {"recursion", 500, "Maximum call stack size exceeded", "RangeError: "},
    {"json", 500, "", "Error: "},
    {"thrown", 500, "on purpose", "TypeError: on purpose\\n    at thrown (index.js:13:"},
    {"text_thrown", 500, "a text", "\"a text\""},
    {"nothing_thrown", 500, "undefined", NULL},
    {"status", 404, "no such thing", "Error: no such thing"},
    {"rejected", 500, "later", "RangeError: later"},
    {"unsettled", 500, "waits for something that will not happen", NULL},
    {"large", 500, "more bytes than the limit of 1048576", "\"limit\":\"output\""},
    {"large_bytes", 500, "more bytes than the limit", "\"limit\":\"output\""},
    {"large_head", 500, "headers of the answer are too large", NULL},
    {"chatty", 200, "ok", "\"limit\":\"output\""},
    {"newlines", 200, "ok", "\"limit\":\"output\""},
    {"event", 500, "the function's reply is no good event: source", NULL},
    {"header", 500, "a character that is not allowed", NULL},
    {"injected", 500, "a character that is not allowed", NULL},
    {"status_code", 500, "must be a number from 200 to 599", NULL},
    {"circular", 500, "circular", NULL},
};

static const char *isolation;

static void check_cases(void)
{
    fixture_load(isolation, "\"timeoutMs\":600,\"memoryBytes\":16777216,\"logBytes\":20000", bad);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char data[64];
        snprintf(data, sizeof(data), "\"%s\"", cases[i].name);
        size_t reported = strlen(fixture_reports());
        const struct answer *a = fixture_event(data);
        if (a->status != cases[i].status)
            fixture_contains(__FILE__, __LINE__, fixture_body(a), cases[i].name);
        expect_contains(fixture_body(a), cases[i].body);
        if (cases[i].report != NULL)
            expect_contains(fixture_reports() + reported, cases[i].report);
        a = fixture_event("\"fine\"");
        expect(a->status == 200 && strcmp(fixture_body(a), "fine") == 0);
    }
}

/* What ends for one reason or another, as fast as its limit says. */
static void check_either(void)
{
    fixture_load(isolation, "\"timeoutMs\":300,\"memoryBytes\":16777216", bad);
    for (int i = 0; i < 2; i++) {
        uint64_t begin = clock_monotonic();
        const struct answer *a = fixture_event(i == 0 ? "\"text\"" : "\"bigint\"");
        expect(a->status == 500 || a->status == 504);
        expect(clock_monotonic() - begin < 20000 * CLOCK_MILLISECOND);
        expect(strcmp(fixture_body(fixture_event("\"fine\"")), "fine") == 0);
    }
}

static void check_time_is_kept(void)
{
    fixture_load("event", "\"timeoutMs\":100", bad);
    for (int i = 0; i < 6; i++) {
        uint64_t begin = clock_monotonic();
        fixture_event(i % 2 == 0 ? "\"loop\"" : "\"native\"");
        uint64_t took = clock_monotonic() - begin;
        expect(took >= 100 * CLOCK_MILLISECOND && took < 20000 * CLOCK_MILLISECOND);
    }
}

static void check_place_of_a_stop(void)
{
    fixture_load(
        "event", "\"timeoutMs\":100",
        "function spin() {\n  for (;;)\n    Math.random();\n}\nmodule.exports = (c, e) => spin();");
    /* On a busy machine the timer may run out before the engine has looked at the clock again: then
     * the call is cut without a place. */
    const char *place = "\"file\":\"index.js\",\"line\":3";
    const char *body = "";
    for (int i = 0; i < 20 && strstr(body, place) == NULL; i++)
        body = fixture_body(fixture_event("1"));
    expect_contains(body, place);
}

static bool load(const char *source)
{
    struct buf json = BUF_INIT;
    buf_add_text(&json, "{\"limits\":{\"timeoutMs\":100},\"files\":{\"index.js\":");
    buf_add_json_string(&json, slice_text(source));
    buf_add_text(&json, "}}");
    return fixture_load_bundle(json.ptr, NULL);
}

static void check_syntax_error(void)
{
    expect(!load("const a = 1;\nconst b = ;\n"));
    expect_contains(fixture_reports(), "\"report\":\"failed\"");
    expect_contains(fixture_reports(), "SyntaxError");
    expect_contains(fixture_reports(), "\"file\":\"index.js\",\"line\":2,\"column\":11");
}

static void check_syntax_error_in_line_one(void)
{
    expect(!load("const b = ;"));
    expect_contains(fixture_reports(), "\"line\":1,\"column\":11");
}

static void check_throwing_init(void)
{
    expect(!load("module.exports = { handle() {}, async init() {\n  throw new Error('no');\n} };"));
    expect_contains(fixture_reports(), "Error: no\",\"file\":\"index.js\",\"line\":2");
}

static void check_no_handler(void)
{
    expect(!load("module.exports = { a: 1 };"));
    expect_contains(fixture_reports(), "index.js must export a function");
}

static void check_init_that_never_ends(void)
{
    expect(!load("module.exports = { handle() {}, init: () => new Promise(() => {}) };"));
    expect_contains(fixture_reports(), "init never finished");
}

static void check_missing_module(void)
{
    expect(!load("require('left-pad');"));
    expect_contains(fixture_reports(), "cannot find module 'left-pad'");
}

#define TEST_CASE(name)                                                                            \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        assert_true(fixture_run(check_##name, NULL));                                              \
    }
TEST_CASE(time_is_kept)
TEST_CASE(place_of_a_stop)
TEST_CASE(syntax_error)
TEST_CASE(syntax_error_in_line_one)
TEST_CASE(throwing_init)
TEST_CASE(no_handler)
TEST_CASE(init_that_never_ends)
TEST_CASE(missing_module)

static void test_cases(void **state)
{
    isolation = "event";
    assert_true(fixture_run(check_cases, NULL));
    assert_true(fixture_run(check_either, NULL));
    isolation = "instance";
    assert_true(fixture_run(check_cases, NULL));
    assert_true(fixture_run(check_either, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_time_is_kept),
        cmocka_unit_test(test_place_of_a_stop),
        cmocka_unit_test(test_syntax_error),
        cmocka_unit_test(test_syntax_error_in_line_one),
        cmocka_unit_test(test_throwing_init),
        cmocka_unit_test(test_no_handler),
        cmocka_unit_test(test_init_that_never_ends),
        cmocka_unit_test(test_missing_module),
    };
    fixture_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
