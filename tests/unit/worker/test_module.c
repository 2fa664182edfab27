/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are exports of a compiled WebAssembly module (guest.wat). */
#include "fixture.h"

#include "base/clock.h"
#include "worker/segment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *module_path;

/* Loads the export with the given mappings (JSON strings' insides). */
static bool try_load(const char *isolation, const char *function, const char *arguments,
                     const char *response)
{
    struct error err = ERROR_INIT;
    struct module *module = NULL;
    int fd = open(module_path, O_RDONLY | O_CLOEXEC);
    expect(fd >= 0);
    if (module_load(fd, 4 << 20, &module, &err) < 0)
        fixture_expect_failed(__FILE__, __LINE__, err.message);
    close(fd);
    struct buf json = BUF_INIT;
    buf_printf(&json,
               "{\"namespace\":\"ns\",\"name\":\"f\",\"runtime\":\"wasm\",\"isolation\":\"%s\","
               "\"limits\":{\"timeoutMs\":800,\"memoryBytes\":16777216},"
               "\"wasm\":{\"module\":\"guest.wasm\",\"function\":\"%s\",\"arguments\":\"%s\","
               "\"response\":\"%s\"}}",
               isolation, function, arguments, response);
    bool loaded = fixture_load_bundle(json.ptr, module);
    buf_done(&json);
    return loaded;
}

static void load(const char *isolation, const char *function, const char *arguments,
                 const char *response)
{
    if (!try_load(isolation, function, arguments, response))
        fixture_expect_failed(__FILE__, __LINE__, fixture_reports());
}

#define SHOW "result => `${result}`"

static void check_add(void)
{
    load("event", "add", "event => [event.data.a, event.data.b]",
         "(result, event, meta) => `module: ${meta.module}, function: ${meta.function}, returned "
         "${result}: ${meta.types[0]}`");
    const struct answer *a = fixture_event("{\"a\":4,\"b\":14}");
    expect(a->status == 200);
    expect(strcmp(fixture_body(a), "module: guest.wasm, function: add, returned 18: i32") == 0);
    expect_contains(a->headers.ptr, "content-type: text/plain");
    expect_contains(fixture_reports(),
                    "\"level\":\"info\",\"event\":\"event-1\",\"text\":\"module: guest.wasm, "
                    "function: add, returned 18: i32\"");
    a = fixture_event("{\"a\":-4,\"b\":2147483647}");
    expect_contains(fixture_body(a), "returned 2147483643");
}

static void check_expressions(void)
{
    load("event", "add", "[event.data, 1]",
         "context.cloudEventResponse({result, arguments: meta.arguments}).type('sum').response()");
    const struct answer *a = fixture_event("41");
    expect(strcmp(fixture_body(a), "{\"result\":42,\"arguments\":[41,1]}") == 0);
    expect_contains(a->headers.ptr, "ce-type: sum\n");
}

static void check_wide(void)
{
    load("event", "wide", "[1n << 40n, 0.5, 0.25]", SHOW);
    expect(strcmp(fixture_body(fixture_event("1")), "1099511627776.75") == 0);
}

static void check_big_integers(void)
{
    load("event", "double", "[BigInt(event.data)]", SHOW);
    expect(strcmp(fixture_body(fixture_event("\"4611686018427387903\"")), "9223372036854775806") ==
           0);
}

static void check_wrong_arguments(void)
{
    load("event", "add", "event => event.data", SHOW);
    expect_contains(fixture_body(fixture_event("[1]")), "add takes 2 arguments");
    expect_contains(fixture_body(fixture_event("5")), "must give an array");
    expect_contains(fixture_body(fixture_event("[1,\\\"x\\\"]")), "is no JSON");
    expect_contains(fixture_body(fixture_event("[1,{}]")), "must be a number (i32)");
    expect(strcmp(fixture_body(fixture_event("[1,2]")), "3") == 0);
}

static void check_unknown_function(void)
{
    expect(!try_load("event", "nothing", "[]", SHOW));
    expect_contains(fixture_reports(), "guest.wasm exports no function named nothing");
}

static void check_bad_mapping(void)
{
    expect(!try_load("event", "add", "event => [", SHOW));
    expect_contains(fixture_reports(), "SyntaxError");
}

static void expect_stop(const char *function, const char *arguments, unsigned status,
                        const char *message)
{
    load("event", function, arguments, SHOW);
    for (int i = 0; i < 3; i++) {
        const struct answer *a = fixture_event("1");
        expect(a->status == status);
        expect_contains(fixture_body(a), message);
        expect_contains(fixture_reports(), "\"report\":\"limit\"");
    }
}

static void check_trap(void)
{
    expect_stop("trap", "[]", 500, "trap in trap of guest.wasm: unreachable executed");
}

static void check_divide(void)
{
    expect_stop("divide", "[1, 0]", 500, "integer divide by zero");
}

static void check_outside(void)
{
    expect_stop("outside", "[]", 500, "out of bounds memory access");
}

#define OUTSIDE "out of bounds memory access"

/* Their value is thrown away, and the address is beyond 4 GiB. */
static void check_unused_load(void)
{
    load("event", "unused", "[event.data]", SHOW);
    expect(strcmp(fixture_body(fixture_event("65532")), "1") == 0);
    expect_contains(fixture_body(fixture_event("65533")), OUTSIDE);
    expect_contains(fixture_body(fixture_event("-4")), OUTSIDE);
    expect(strcmp(fixture_body(fixture_event("0")), "1") == 0);
}

static void check_far(void)
{
    load("event", "far", "[event.data]", SHOW);
    for (int i = 0; i < 3; i++) {
        expect_contains(fixture_body(fixture_event("-1")), OUTSIDE);
        expect_contains(fixture_body(fixture_event("0")), OUTSIDE);
        expect_contains(fixture_body(fixture_event("1")), OUTSIDE);
    }
}

static void check_far_store(void)
{
    load("event", "far_store", "[event.data]", SHOW);
    for (int i = 0; i < 3; i++) {
        expect_contains(fixture_body(fixture_event("-1")), OUTSIDE);
        expect_contains(fixture_body(fixture_event("0")), OUTSIDE);
    }
}

static void check_last_byte(void)
{
    load("event", "store8", "[event.data, 200]", SHOW);
    expect(strcmp(fixture_body(fixture_event("65535")), "200") == 0);
    expect_contains(fixture_body(fixture_event("65536")), OUTSIDE);
    expect(strcmp(fixture_body(fixture_event("65535")), "200") == 0);
}

static void check_last_word(void)
{
    load("event", "store", "[event.data, 123456789]", SHOW);
    expect(strcmp(fixture_body(fixture_event("65532")), "123456789") == 0);
    expect_contains(fixture_body(fixture_event("65533")), OUTSIDE);
    expect_contains(fixture_body(fixture_event("65535")), OUTSIDE);
    expect_contains(fixture_body(fixture_event("-1")), OUTSIDE);
    expect(strcmp(fixture_body(fixture_event("1")), "123456789") == 0);
}

/* Address 0 is one like any other. */
static void check_first_word(void)
{
    load("event", "first", "[]", SHOW);
    for (int i = 0; i < 3; i++)
        expect(strcmp(fixture_body(fixture_event("1")), "1") == 0);
}

static void check_grow(void)
{
    load("instance", "grow", "[event.data]", SHOW);
    for (int i = 0; i < 20; i++)
        expect(strcmp(fixture_body(fixture_event("77")), "77") == 0);
}

/* The engine runs before and after the module, each in its own memory, also when the module does
 * not get to its end. */
#define BUSY                                                                                       \
    "(result) => { const words = [...Array(40).keys()].map(n => `w${n}`);"                         \
    " globalThis.seen = (globalThis.seen ?? 0) + 1;"                                               \
    " return `${result} ${globalThis.seen} ${words.join('').length}`; }"

static void check_alternation(void)
{
    load("event", "count", "[event.data]", BUSY);
    for (int i = 0; i < 2000; i++) {
        if (i % 3 == 2)
            expect_contains(fixture_body(fixture_event("1")), "unreachable executed");
        else
            expect(strcmp(fixture_body(fixture_event("0")), "1 1 110") == 0);
    }
}

static void check_alternation_with_state(void)
{
    load("instance", "count", "[0]", BUSY);
    for (int i = 1; i <= 2000; i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), "%d %d 110", i, i);
        expect(strcmp(fixture_body(fixture_event("1")), expected) == 0);
    }
}

static void check_alternation_by_call(void)
{
    segment_force_call();
    check_alternation();
}

static void check_deep(void)
{
    expect_stop("deep", "[0]", 500, "call stack exhausted");
}

static void check_loop(void)
{
    uint64_t begin = clock_monotonic();
    expect_stop("loop", "[]", 504, "longer than its time limit of 800 ms");
    expect(clock_monotonic() - begin < 20000 * CLOCK_MILLISECOND);
}

/* Stays within the 4 MiB that the module was given, whatever it declares. */
static void check_bomb(void)
{
    load("event", "bomb", "[]", SHOW);
    expect(strcmp(fixture_body(fixture_event("1")), "64") == 0);
    expect(strcmp(fixture_body(fixture_event("1")), "64") == 0);
}

static void check_no_leak(void)
{
    load("event", "leak", "[]", SHOW);
    for (int i = 0; i < 20; i++)
        expect(strcmp(fixture_body(fixture_event("1")), "7") == 0);
}

static void check_no_leak_of_grown_memory(void)
{
    load("event", "grown", "[]", SHOW);
    for (int i = 0; i < 20; i++)
        expect(strcmp(fixture_body(fixture_event("1")), "0") == 0);
}

static void check_instance_keeps_state(void)
{
    load("instance", "leak", "[]", SHOW);
    expect(strcmp(fixture_body(fixture_event("1")), "7") == 0);
    expect(strcmp(fixture_body(fixture_event("1")), "25") == 0); /* 5 + 1 + 1 + 10 + 8 */
}

#define TEST_CASE(name)                                                                            \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        assert_true(fixture_run(check_##name, NULL));                                              \
    }
TEST_CASE(add)
TEST_CASE(expressions)
TEST_CASE(wide)
TEST_CASE(big_integers)
TEST_CASE(wrong_arguments)
TEST_CASE(unknown_function)
TEST_CASE(bad_mapping)
TEST_CASE(trap)
TEST_CASE(divide)
TEST_CASE(outside)
TEST_CASE(unused_load)
TEST_CASE(far)
TEST_CASE(far_store)
TEST_CASE(last_byte)
TEST_CASE(last_word)
TEST_CASE(first_word)
TEST_CASE(grow)
TEST_CASE(alternation)
TEST_CASE(alternation_with_state)
TEST_CASE(alternation_by_call)
TEST_CASE(deep)
TEST_CASE(loop)
TEST_CASE(bomb)
TEST_CASE(no_leak)
TEST_CASE(no_leak_of_grown_memory)
TEST_CASE(instance_keeps_state)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_big_integers),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_unknown_function),
        cmocka_unit_test(test_bad_mapping),
        cmocka_unit_test(test_trap),
        cmocka_unit_test(test_divide),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_unused_load),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_far_store),
        cmocka_unit_test(test_last_byte),
        cmocka_unit_test(test_last_word),
        cmocka_unit_test(test_first_word),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_alternation),
        cmocka_unit_test(test_alternation_with_state),
        cmocka_unit_test(test_alternation_by_call),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_no_leak),
        cmocka_unit_test(test_no_leak_of_grown_memory),
        cmocka_unit_test(test_instance_keeps_state),
    };
    module_path = argc > 1 ? argv[1] : "guest_module.so";
    fixture_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
