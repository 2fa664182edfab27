/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait: each sees its own memory and request again, whatever ran in between. */
#include "fixture.h"

#include "worker/operation.h"
#include "worker/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SLEEP "const sleep = (ms, value) => new Promise(r => setTimeout(r, ms, value));\n"

static void expect_body(struct http_request *r, const char *body)
{
    const struct answer *a = fixture_finish(r);
    if (strcmp(fixture_body(a), body) != 0)
        fixture_contains(__FILE__, __LINE__, fixture_body(a), body);
}

/* ---- timers ---- */

static void check_timers(void)
{
    fixture_load(
        "event", "",
        "module.exports = async () => {\n"
        "  const seen = [];\n"
        "  const note = (...values) => seen.push(values.join('+'));\n"
        "  const late = setTimeout(note, 60000, 'late');\n"
        "  setImmediate(note, 'now', 1); setTimeout(note, 'soon', 'nan');\n"
        "  setTimeout(note, 2, 'two', 2);\n"
        "  for (let i = 0; i < 3; i++) setTimeout(note, 3, `same${i}`);\n"
        "  setTimeout(note, 5, 'five');\n"
        "  clearTimeout(setTimeout(note, 1, 'never'));\n"
        "  clearTimeout(String(+setTimeout(note, 1, 'never')));\n"
        "  clearImmediate(setImmediate(note, 'never')); clearTimeout(undefined);\n"
        "  clearTimeout({}); clearTimeout(-1); clearTimeout(1e300);\n"
        "  let ticks = 0;\n"
        "  await new Promise(r => { const t = setInterval(() => {\n"
        "    note('tick'); if (++ticks === 2) { clearInterval(t); r(); } }, 6); });\n"
        "  const t = setTimeout(() => {}, 10);\n"
        "  note(t.hasRef(), t.unref().hasRef(), t.ref() === t, t.refresh() === t, typeof +t);\n"
        "  t.close(); clearTimeout(late); clearTimeout(setTimeout(note, 2 ** 31));\n"
        "  for (const bad of [undefined, 'x', {}])\n"
        "    try { setTimeout(bad, 1); note('taken'); } catch (e) { note(e.code); }\n"
        "  return seen.join(' ');\n"
        "};");
    expect(strcmp(fixture_body(fixture_event("1")),
                  "now+1 nan two+2 same0 same1 same2 five tick tick true+false+true+true+number "
                  "ERR_INVALID_ARG_TYPE ERR_INVALID_ARG_TYPE ERR_INVALID_ARG_TYPE") == 0);
    expect(operation_count() == 0);
    expect_contains(fixture_reports(), "TimeoutOverflowWarning: 2147483648 does not fit");
}

static void check_too_many(void)
{
    fixture_load("event", "",
                 "module.exports = async () => {\n"
                 "  let n = 0;\n"
                 "  try { for (;; n++) setTimeout(() => {}, 1e6); }\n"
                 "  catch (e) { return `${n} ${e.message}`; }\n"
                 "};");
    for (int i = 0; i < 2; i++)
        expect(strcmp(fixture_body(fixture_event("1")), "16384 too many timers are set") == 0);
    expect(operation_count() == 0);
}

/* ---- isolation ---- */

/* Whoever waits has left its mark everywhere, and finds it again; nobody finds another's. */
static const char marked[] =
    SLEEP "let mine; const cache = new Map();\n"
          "module.exports = async (context, event) => {\n"
          "  const me = event.data; const found = [];\n"
          "  const check = (what, is) => { if (!is) found.push(what); };\n"
          "  check('variable', mine === undefined); check('map', cache.size === 0);\n"
          "  check('global', globalThis.secret === undefined);\n"
          "  check('prototype', {}.polluted === undefined && typeof [].at === 'function');\n"
          "  mine = me; cache.set(me, me); globalThis.secret = me;\n"
          "  Object.prototype.polluted = me; Array.prototype.at = me;\n"
          "  const bytes = new Uint8Array(me % 7 === 0 ? 3 << 20 : 1000 + 50 * me);\n"
          "  const all = v => { for (let i = 0; i < bytes.length; i += 331)\n"
          "    if (bytes[i] !== v) return false; return true; };\n"
          "  check('zeros', all(0)); bytes.fill(me);\n"
          "  const random = [];\n"
          "  for (let i = 0; i < 5; i++) {\n"
          "    random.push(Math.random());\n"
          "    await sleep(1 + (me * 7 + i * 13) % 11);\n"
          "    check('mine', mine === me && cache.get(me) === me && cache.size === 1);\n"
          "    check('own global', secret === me && {}.polluted === me);\n"
          "    check('own bytes', all(me & 255));\n"
          "    check('path', context.path === `/p${me}` && context.query.q === `${me}`);\n"
          "    check('event', context.cloudevent.id === `id${me}` && event.data === me);\n"
          "  }\n"
          "  delete Object.prototype.polluted;\n"
          "  return `${found.join()} ${new Set(random).size} ${random[0]}`;\n"
          "};";

#define MANY 120

static struct http_request *begin_marked(int i)
{
    static char paths[MANY][32], ids[MANY][16];
    char data[16];
    snprintf(paths[i], sizeof(paths[i]), "/p%d?q=%d", i, i);
    snprintf(ids[i], sizeof(ids[i]), "id%d", i);
    snprintf(data, sizeof(data), "%d", i);
    return fixture_begin(paths[i], ids[i], data);
}

static void check_parked_instances(void)
{
    fixture_load("event", "\"concurrency\":1024,\"memoryBytes\":100000000", marked);
    struct snapshot *s = engine_snapshot();
    static struct http_request *requests[MANY];
    static char seen[MANY][40];
    for (int i = 0; i < MANY; i++)
        requests[i] = begin_marked(i);
    expect(call_waiting_count() == MANY);
    expect(snapshot_parked_bytes() > 0);
    for (int i = 0; i < MANY; i++) {
        const struct answer *a = fixture_finish(requests[i]);
        expect(a->status == 200);
        if (strncmp(fixture_body(a), " 5 0.", 5) != 0)
            fixture_contains(__FILE__, __LINE__, fixture_body(a), " 5 0.");
        strncpy(seen[i], fixture_body(a), sizeof(seen[i]) - 1);
        for (int k = 0; k < i; k++)
            expect(strcmp(seen[k], seen[i]) != 0);
    }
    expect(call_waiting_count() == 0 && operation_count() == 0);
    expect(snapshot_parked_bytes() == 0);
    expect(s->memory->pages * SNAPSHOT_WASM_PAGE == s->size);
}

/* Also over many restores, after which the pages that a call writes are learnt anew. */
static void check_across_epochs(void)
{
    fixture_load("event", "",
                 SLEEP
                 "module.exports = async (context, event) => {\n"
                 "  if (event.data === 0) return 'quick';\n"
                 "  const list = Array.from({ length: 5000 * event.data }, (_, i) => `${i}`);\n"
                 "  const grown = new Uint8Array(event.data << 20).fill(event.data);\n"
                 "  await sleep(60000, clearTimeout(0));\n"
                 "};");
    struct http_request *waiting[3];
    for (int i = 0; i < 3; i++)
        waiting[i] = fixture_begin("/", "e", (const char *[]){"1", "2", "3"}[i]);
    struct snapshot *s = engine_snapshot();
    uint64_t before = s->restores;
    while (s->restores - before < 1100)
        expect(strcmp(fixture_body(fixture_event("0")), "quick") == 0);
    for (int i = 0; i < 3; i++)
        expect(!fixture_is_answered(waiting[i]));
}

static void check_memory_again(void)
{
    fixture_load("event", "",
                 SLEEP
                 "module.exports = async (context, event) => {\n"
                 "  if (event.data === 0) return new Array(1000).fill('x').join('');\n"
                 "  const bytes = new Uint8Array(4 << 20);\n"
                 "  for (let i = 0; i < bytes.length; i += 997) bytes[i] = i * event.data;\n"
                 "  const list = Array.from({ length: 999 }, (_, i) => `${i * event.data}`);\n"
                 "  for (let round = 0; round < 30; round++) {\n"
                 "    await sleep(1);\n"
                 "    for (let i = 0; i < bytes.length; i += 997)\n"
                 "      if (bytes[i] !== (i * event.data & 255)) return 'bytes';\n"
                 "    if (!list.every((t, i) => t === `${i * event.data}`)) return 'list';\n"
                 "    list.push(`${list.length * event.data}`);\n"
                 "  }\n"
                 "  return 'same';\n"
                 "};");
    struct http_request *a = fixture_begin("/", "a", "3"), *b = fixture_begin("/", "b", "5");
    while (!fixture_is_answered(a) || !fixture_is_answered(b)) {
        expect(strlen(fixture_body(fixture_event("0"))) == 1000);
        wait_turn(NULL, 0, NULL);
    }
    expect_body(a, "same");
    expect_body(b, "same");
}

/* Others trap, run out of time and of memory meanwhile. */
static void check_among_failures(void)
{
    fixture_load("event", "\"timeoutMs\":400,\"memoryBytes\":16777216",
                 SLEEP
                 "const bad = {\n"
                 "  loop: () => { for (;;); },\n"
                 "  native: () => { const a = []; a.length = 4294967295; a.indexOf(1); },\n"
                 "  memory: () => { const a = []; for (;;) a.push(new Uint8Array(1 << 16)); },\n"
                 "  later: async () => { await sleep(5); for (;;); },\n"
                 "  never: () => new Promise(() => setInterval(() => {}, 5)),\n"
                 "  throws: async () => { await sleep(1); throw new RangeError('later'); },\n"
                 "  stuck: () => new Promise(() => {}),\n"
                 "  callback: () => { setTimeout(() => { throw new Error('tick'); }, 1);\n"
                 "    return sleep(1000); },\n"
                 "  floating: () => { Promise.reject(new Error('floats')); return sleep(1000); },\n"
                 "};\n"
                 "module.exports = async (context, event) => {\n"
                 "  if (event.data !== 'good') return bad[event.data]();\n"
                 "  const mine = Array.from({ length: 3000 }, (_, i) => `v${i}`);\n"
                 "  await sleep(20);\n"
                 "  return mine.every((v, i) => v === `v${i}`) ? 'good' : 'spoilt';\n"
                 "};");
    static const struct {
        const char *data;
        unsigned status;
        const char *text;
    } cases[] = {
        {"\"loop\"", 504, "longer than its time limit of 400 ms"},
        {"\"native\"", 504, "longer than its time limit of 400 ms"},
        {"\"memory\"", 500, "needs more memory"},
        {"\"later\"", 504, "longer than its time limit of 400 ms"},
        {"\"never\"", 504, "longer than its time limit of 400 ms"},
        {"\"throws\"", 500, "later"},
        {"\"stuck\"", 500, "never finishes"},
        {"\"callback\"", 500, "tick"},
        {"\"floating\"", 500, "floats"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_request *good = fixture_begin("/", "good", "\"good\"");
        const struct answer *a = fixture_finish(fixture_begin("/", "bad", cases[i].data));
        if (a->status != cases[i].status)
            fixture_expect_failed(__FILE__, __LINE__, cases[i].data);
        expect_contains(fixture_body(a), cases[i].text);
        /* A busy loop takes the thread from all: the other may be late, but is not spoilt. */
        a = fixture_finish(good);
        expect(a->status == 504 || strcmp(fixture_body(a), "good") == 0);
        expect(call_waiting_count() == 0 && operation_count() == 0);
    }
    const char *reports = fixture_reports();
    expect_contains(reports, "UnhandledPromiseRejection: Error: floats\\n    at ");
    const char *first = strstr(reports, "Error: floats");
    expect(first != NULL && strstr(first + 1, "Error: floats") == NULL);
}

/* ---- isolation: instance ---- */

static void check_shared_instance(void)
{
    fixture_load(
        "instance", "",
        SLEEP
        "let running = 0, most = 0, open;\n"
        "const gate = new Promise(r => { open = r; });\n"
        "module.exports = async (context, event) => {\n"
        "  const { log } = context;\n"
        "  most = Math.max(most, ++running);\n"
        "  await sleep(10 - event.data);\n"
        "  if (event.data === 3) open();\n"
        "  await gate;\n"
        "  running--; log.info(`gate ${event.data}`);\n"
        "  console.log(`after ${context.cloudevent.id}`);\n"
        "  return `${event.data} ${context.path} ${context.query.q} ${context.headers['ce-id']}"
        " ${context.method} ${most}`;\n"
        "};");
    struct http_request *requests[5];
    for (int i = 0; i < 5; i++)
        requests[i] = begin_marked(i);
    for (int i = 0; i < 5; i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), "%d /p%d %d id%d POST 5", i, i, i, i);
        expect_body(requests[i], expected);
    }
    for (int i = 0; i < 5; i++) {
        char line[64];
        snprintf(line, sizeof(line), "\"event\":\"id%d\",\"text\":\"gate %d\"", i, i);
        expect_contains(fixture_reports(), line);
    }
}

/* Ending a guest half-way takes the instance, and with it the calls that share it. */
static void check_lost_instance(void)
{
    fixture_load("instance", "\"timeoutMs\":400",
                 SLEEP "let state = 0;\n"
                       "setInterval(() => { state += 100; }, 1);\n"
                       "module.exports = async (context, event) => {\n"
                       "  state++;\n"
                       "  if (event.data === 1) { await sleep(1); for (;;); }\n"
                       "  await sleep(event.data); return `${state % 100} ${state > 100}`;\n"
                       "};");
    struct http_request *waits = fixture_begin("/", "a", "100");
    struct http_request *loops = fixture_begin("/", "b", "1");
    expect(fixture_finish(loops)->status == 504);
    const struct answer *a = fixture_finish(waits);
    expect(a->status == 503);
    expect_contains(fixture_body(a), "ended with its instance");
    expect(call_waiting_count() == 0);
    /* A fresh instance, whose interval goes on. */
    expect_body(fixture_begin("/", "c", "10"), "1 true");
    expect_body(fixture_begin("/", "d", "10"), "2 true");
}

static void check_left_behind(void)
{
    static const char source[] =
        SLEEP "let done = 0;\n"
              "module.exports = (context, event) => {\n"
              "  if (event.data === 1) setTimeout(() => { done++; console.log('behind'); }, 1);\n"
              "  return event.data === 2 ? sleep(20).then(() => `${done}`) : `${done}`;\n"
              "};";
    fixture_load("instance", "", source);
    expect(strcmp(fixture_body(fixture_event("1")), "0") == 0);
    expect(operation_count() == 1);
    expect(strcmp(fixture_body(fixture_event("2")), "1") == 0);
    expect_contains(fixture_reports(), "\"event\":\"\",\"text\":\"behind\"");
}

static void check_left_behind_is_dropped(void)
{
    fixture_load(
        "event", "",
        "module.exports = () => { setTimeout(() => console.log('behind'), 1); return 'x'; };");
    expect(strcmp(fixture_body(fixture_event("1")), "x") == 0);
    expect(operation_count() == 0);
}

/* ---- loading ---- */

static void check_init_waits(void)
{
    fixture_load("event", "",
                 SLEEP "let ready = 'no';\n"
                       "module.exports = { async init() { for (const v of 'yes') ready = await "
                       "sleep(2, ready + v);\n"
                       "    setInterval(() => console.log('tick'), 1); },\n"
                       "  async handle() { await sleep(5); return ready; } };");
    expect(operation_count() == 0);
    expect(strcmp(fixture_body(fixture_event("1")), "noyes") == 0);
    expect(strstr(fixture_reports(), "tick") == NULL);
}

static void check_init_rejection(void)
{
    char json[512];
    snprintf(json, sizeof(json),
             "{\"files\":{\"index.js\":\"Promise.reject(new Error('at start'));"
             " exports.handle = () => 1;\"}}");
    expect(!fixture_load_bundle(json, NULL));
    expect_contains(fixture_reports(), "Error: at start");
}

static void check_shutdown(void)
{
    fixture_load("event", "",
                 SLEEP "exports.handle = () => 1;\n"
                       "exports.shutdown = async () => { console.log('going'); await sleep(3);"
                       " console.log('gone'); };");
    fixture_event("1");
    program_shutdown();
    expect_contains(fixture_reports(), "gone");
}

/* ---- limits ---- */

static void check_queue(void)
{
    fixture_load(
        "event", "\"concurrency\":2,\"queueLength\":3",
        SLEEP
        "module.exports = async (context, event) => { await sleep(5); return `${event.data}`; };");
    struct http_request *requests[7];
    for (int i = 0; i < 7; i++)
        requests[i] = fixture_begin("/", "e", (char[]){(char)('0' + i), '\0'});
    expect(call_waiting_count() == 2);
    for (int i = 5; i < 7; i++) {
        expect(fixture_is_answered(requests[i]));
        const struct answer *a = fixture_finish(requests[i]);
        expect(a->status == 503);
        expect_contains(a->headers.ptr, "Retry-After: 1\n");
        expect_contains(a->headers.ptr, "Client-Retry: 1\n");
        expect_contains(fixture_body(a), "queue of 3 requests is full");
    }
    for (int i = 0; i < 5; i++)
        expect_body(requests[i], (char[]){(char)('0' + i), '\0'});
    expect(admission_counts.refused[ADMISSION_QUEUE] == 2);
}

static void check_queue_time(void)
{
    fixture_load("event", "\"concurrency\":1,\"timeoutMs\":60",
                 SLEEP "module.exports = async (context, event) => { await sleep(10000); };");
    struct http_request *first = fixture_begin("/", "a", "1"),
                        *second = fixture_begin("/", "b", "1");
    expect(fixture_finish(first)->status == 504);
    const struct answer *a = fixture_finish(second);
    expect(a->status == 503 || a->status == 504);
}

static void check_loop_delay(void)
{
    fixture_load("event", "\"concurrency\":1,\"loopDelayMs\":20",
                 SLEEP "module.exports = async (context, event) => {\n"
                       "  const end = Date.now() + event.data; while (Date.now() < end);\n"
                       "  await sleep(1); return 'x'; };");
    admission_begin_turn();
    struct http_request *busy = fixture_begin("/", "a", "60");
    struct http_request *next = fixture_begin("/", "b", "0");
    expect(fixture_is_answered(next));
    const struct answer *a = fixture_finish(next);
    expect(a->status == 503);
    expect_contains(fixture_body(a), "late by more than 20 ms");
    expect_body(busy, "x");
    expect_body(fixture_begin("/", "c", "0"), "x");
}

static void check_memory_limit(const char *isolation)
{
    fixture_load(isolation, "\"memoryBytes\":16777216,\"concurrency\":100",
                 SLEEP "module.exports = async (context, event) => {\n"
                       "  const bytes = new Uint8Array(event.data << 20).fill(7);\n"
                       "  await sleep(30); return `${bytes.length}`; };");
    struct http_request *requests[20];
    unsigned refused = 0, good = 0;
    for (int i = 0; i < 20; i++)
        requests[i] = fixture_begin("/", "e", "2");
    for (int i = 0; i < 20; i++) {
        const struct answer *a = fixture_finish(requests[i]);
        if (a->status == 503 && strstr(fixture_body(a), "memory") != NULL)
            refused++;
        else if (strcmp(fixture_body(a), "2097152") == 0)
            good++;
        else
            expect(strstr(fixture_body(a), "needs more memory") != NULL ||
                   strstr(fixture_body(a), "ended with its instance") != NULL);
    }
    expect(refused > 0 && good > 3);
    expect(snapshot_parked_bytes() == 0);
    expect_body(fixture_begin("/", "e", "1"), "1048576");
}

static void check_memory_limit_of_parked(void)
{
    check_memory_limit("event");
}

static void check_memory_limit_of_instance(void)
{
    check_memory_limit("instance");
}

#define TEST_CASE(name)                                                                            \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        assert_true(fixture_run(check_##name, NULL));                                              \
    }
TEST_CASE(timers)
TEST_CASE(too_many)
TEST_CASE(parked_instances)
TEST_CASE(across_epochs)
TEST_CASE(memory_again)
TEST_CASE(among_failures)
TEST_CASE(shared_instance)
TEST_CASE(lost_instance)
TEST_CASE(left_behind)
TEST_CASE(left_behind_is_dropped)
TEST_CASE(init_waits)
TEST_CASE(init_rejection)
TEST_CASE(shutdown)
TEST_CASE(queue)
TEST_CASE(queue_time)
TEST_CASE(loop_delay)
TEST_CASE(memory_limit_of_parked)
TEST_CASE(memory_limit_of_instance)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_parked_instances),
        cmocka_unit_test(test_across_epochs),
        cmocka_unit_test(test_memory_again),
        cmocka_unit_test(test_among_failures),
        cmocka_unit_test(test_shared_instance),
        cmocka_unit_test(test_lost_instance),
        cmocka_unit_test(test_left_behind),
        cmocka_unit_test(test_left_behind_is_dropped),
        cmocka_unit_test(test_init_waits),
        cmocka_unit_test(test_init_rejection),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_queue_time),
        cmocka_unit_test(test_loop_delay),
        cmocka_unit_test(test_memory_limit_of_parked),
        cmocka_unit_test(test_memory_limit_of_instance),
    };
    fixture_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
