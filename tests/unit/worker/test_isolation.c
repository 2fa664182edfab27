/* SPDX-License-Identifier: Apache-2.0 */
/* What was in one event must not be readable in the next. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Leaves something behind in every place that JavaScript can reach, and tells what it finds. */
static const char leaky[] =
    "let counter = 0; const cache = new Map();\n"
    "module.exports = { handle(context, event) {\n"
    "  const found = [];\n"
    "  if (counter !== 0) found.push('variable');\n"
    "  if (cache.size !== 0) found.push('map');\n"
    "  if (globalThis.secret !== undefined) found.push('global');\n"
    "  if ({}.polluted !== undefined) found.push('Object.prototype');\n"
    "  if (Array.prototype.map.name !== 'map') found.push('builtin');\n"
    "  if (Date.now() === 5) found.push('Date.now');\n"
    "  if (console.note !== undefined) found.push('console');\n"
    "  if (context.constructor.prototype.note !== undefined) found.push('Context');\n"
    "  if (module.exports.note !== undefined) found.push('exports');\n"
    "  if (process.env.NOTE !== undefined) found.push('env');\n"
    "  if (/b/.test('abc') && RegExp.$1 === 'secret') found.push('RegExp');\n"
    "  if (Symbol.for('note').note !== undefined) found.push('symbol');\n"
    "  counter++; cache.set('k', event.data); globalThis.secret = event.data;\n"
    "  Object.prototype.polluted = 'yes'; Array.prototype.map = function leaked() {};\n"
    "  Date.now = () => 5; console.note = 1; context.constructor.prototype.note = 1;\n"
    "  module.exports.note = 1; process.env.NOTE = '1'; Symbol.prototype.note = 1;\n"
    "  Promise.resolve().then(() => { globalThis.late = 1; });\n"
    "  return 'found: ' + found.join(' ');\n"
    "} };";

static void check_event_isolation(void)
{
    fixture_load("event", "", leaky);
    for (int i = 0; i < 50; i++) {
        const struct answer *a = fixture_event("{\"secret\":1}");
        expect(a->status == 200);
        expect(strcmp(fixture_body(a), "found: ") == 0);
    }
}

static void check_instance_keeps_state(void)
{
    fixture_load("instance", "", leaky);
    expect(strcmp(fixture_body(fixture_event("1")), "found: ") == 0);
    expect_contains(fixture_body(fixture_event("1")), "variable map global Object.prototype");
}

/* Grows the memory, fills it, and looks for the filling in memory that the next event gets. */
static void check_grown_memory(void)
{
    fixture_load("event", "\"memoryBytes\":67108864",
                 "module.exports = (context, event) => {\n"
                 "  const b = new Uint8Array(8 << 20);\n"
                 "  let dirty = 0;\n"
                 "  for (let i = 0; i < b.length; i += 1024) if (b[i] !== 0) dirty++;\n"
                 "  b.fill(0xa5);\n"
                 "  return `dirty ${dirty}`;\n"
                 "};");
    struct snapshot *s = engine_snapshot();
    size_t before = s->memory->pages;
    for (int i = 0; i < 5; i++) {
        expect(strcmp(fixture_body(fixture_event("1")), "dirty 0") == 0);
        expect(s->memory->pages == before);
    }
}

/* Beyond what JavaScript sees: after each kind of call every byte is that of the snapshot but for
 * the random state. */
static void check_memory_bytes(void)
{
    fixture_load("event", "",
                 "module.exports = (context, event) => {\n"
                 "  if (event.data === 1) return [...Array(3000).keys()].map(String);\n"
                 "  if (event.data === 2) throw new Error('x');\n"
                 "  if (event.data === 3) return (async () => { await 1; return 'y'; })();\n"
                 "};");
    struct snapshot *s = engine_snapshot();
    static unsigned char first[64 << 20];
    expect(s->size <= sizeof(first));
    fixture_event("0");
    memcpy(first, s->base, s->size);
    for (const char *data = "1230"; *data != '\0'; data++) {
        fixture_event((char[]){*data, '\0'});
        unsigned differ = 0;
        for (size_t i = 0; i < s->size; i++)
            differ += first[i] != s->base[i];
        expect(differ <= 8);
    }
}

/* The hot set is thinned out; correctness must not depend on it. */
static void check_many_events(void)
{
    fixture_load("event", "",
                 "let seen = 0; const keep = [];\n"
                 "module.exports = (context, event) => {\n"
                 "  keep.push(new Array(event.data % 500).fill(event.data));\n"
                 "  return `${++seen} ${keep.length}`;\n"
                 "};");
    for (int i = 0; i < 3000; i++) {
        char data[16];
        snprintf(data, sizeof(data), "%d", i);
        expect(strcmp(fixture_body(fixture_event(data)), "1 1") == 0);
    }
}

static void check_random(void)
{
    fixture_load("event", "",
                 "const early = Math.random();\n"
                 "module.exports = (context, event) => `${Math.random()} ${Math.random()}`;");
    char seen[64][64];
    for (int i = 0; i < 64; i++) {
        strncpy(seen[i], fixture_body(fixture_event("1")), sizeof(seen[i]) - 1);
        for (int k = 0; k < i; k++)
            expect(strncmp(seen[i], seen[k], 40) != 0);
    }
}

static void check_ids(void)
{
    fixture_load("event", "",
                 "module.exports = (context, event) => context.cloudEventResponse(1)"
                 ".type('t').response();");
    char first[1024];
    const struct answer *a = fixture_event("1");
    strncpy(first, a->headers.ptr, sizeof(first) - 1);
    expect_contains(first, "ce-source: /functions/ns/f\n");
    const char *id = strstr(first, "ce-id: ");
    expect(id != NULL && id[7 + 14] == '4');
    a = fixture_event("1");
    expect(strncmp(id, strstr(a->headers.ptr, "ce-id: "), 43) != 0);
}

#define TEST_CASE(name)                                                                            \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        assert_true(fixture_run(check_##name, NULL));                                              \
    }
TEST_CASE(event_isolation)
TEST_CASE(instance_keeps_state)
TEST_CASE(grown_memory)
TEST_CASE(memory_bytes)
TEST_CASE(many_events)
TEST_CASE(random)
TEST_CASE(ids)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_isolation),
        cmocka_unit_test(test_instance_keeps_state),
        cmocka_unit_test(test_grown_memory),
        cmocka_unit_test(test_memory_bytes),
        cmocka_unit_test(test_many_events),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_ids),
    };
    fixture_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
