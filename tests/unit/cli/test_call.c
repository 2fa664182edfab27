/* SPDX-License-Identifier: Apache-2.0 */
/* What is typed, against the table of commands. */
#include "cli/cli_internal.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reads a command line; words are borrowed, and nobody writes to them. */
static int read_call(struct cli_call *call, const char *command, struct error *err, int argc,
                     const char *const *words)
{
    char *argv[8];
    assert_true((size_t)argc <= COUNT_OF(argv));
    memcpy(argv, words, (size_t)argc * sizeof(*argv));
    return cli_call_init(call, cli_command_named(command), argc, argv, err);
}

#define READ(call, command, ...)                                                                   \
    read_call((call), (command), &err, (int)COUNT_OF(((const char *[]){__VA_ARGS__})),             \
              (const char *[]){__VA_ARGS__})

static void test_forms_of_options(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    const char *forms[][2] = {{"-n", "shop"},
                              {"--namespace", "shop"},
                              {"-nshop", "trigger"},
                              {"-n=shop", "trigger"},
                              {"--namespace=shop", "trigger"}};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        assert_int_equal(READ(&call, "get", forms[i][0], forms[i][1], "trigger"), 0);
        assert_string_equal(cli_call_value(&call, "namespace"), "shop");
        assert_string_equal(call.arguments[0], "trigger");
        cli_call_done(&call);
    }
}

static void test_letters_together(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    assert_int_equal(READ(&call, "get", "triggers", "-Aoyaml"), 0);
    assert_true(cli_call_has(&call, "all-namespaces"));
    assert_string_equal(cli_call_value(&call, "output"), "yaml");
    cli_call_done(&call);
}

static void test_end_of_options(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    assert_int_equal(READ(&call, "get", "trigger", "--", "--odd-name", "-"), 0);
    assert_int_equal(call.argument_count, 3);
    assert_string_equal(call.arguments[1], "--odd-name");
    cli_call_done(&call);
}

static void test_last_one_counts_unless_repeated(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    size_t at = 0;
    assert_int_equal(READ(&call, "send", "-t", "one", "-t", "two", "-e", "a=1", "-e", "b=2"), 0);
    assert_string_equal(cli_call_value(&call, "type"), "two");
    assert_string_equal(cli_call_next(&call, "extension", &at), "a=1");
    assert_string_equal(cli_call_next(&call, "extension", &at), "b=2");
    assert_null(cli_call_next(&call, "extension", &at));
    cli_call_done(&call);
}

static void test_optional_argument(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    assert_int_equal(READ(&call, "apply", "--wait", "-f", "x"), 0);
    assert_true(cli_call_has(&call, "wait"));
    assert_string_equal(cli_call_value(&call, "wait"), "60s");
    assert_string_equal(cli_call_value(&call, "filename"), "x");
    cli_call_done(&call);
    assert_int_equal(READ(&call, "apply", "--wait=5s"), 0);
    assert_string_equal(cli_call_value(&call, "wait"), "5s");
    cli_call_done(&call);
}

static void test_given_then_environment_then_fallback(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    unsetenv("SLUICE_SERVER");
    assert_int_equal(READ(&call, "logs", "f"), 0);
    assert_string_equal(cli_call_value(&call, "server"), "http://127.0.0.1:8080");
    setenv("SLUICE_SERVER", "http://elsewhere", 1);
    assert_string_equal(cli_call_value(&call, "server"), "http://elsewhere");
    cli_call_done(&call);
    assert_int_equal(READ(&call, "logs", "f", "-s", "http://given"), 0);
    assert_string_equal(cli_call_value(&call, "server"), "http://given");
    cli_call_done(&call);
    unsetenv("SLUICE_SERVER");
}

static void test_misuse(void **state)
{
    (void)state;
    static const struct {
        const char *command, *words[3], *message;
    } cases[] = {
        {"get", {"--nonsense"}, "--nonsense"},
        {"get", {"-Z"}, "-Z"},
        {"get", {"-n"}, "--namespace wants NS"},
        {"get", {"triggers", "-A=x"}, "-="},
        {"get", {"triggers", "--all-namespaces=x"}, "takes no value"},
        {"get", {"triggers", "-o", "xml"}, "yaml"},
        {"get", {NULL}, "KIND"},
        {"logs", {"a", "b"}, "\"b\""},
        {"version", {"x"}, "\"x\""},
        {"serve", {"--store=tape"}, "memory"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error err = ERROR_INIT;
        struct cli_call call;
        int argc = 0;
        while (argc < 3 && cases[i].words[argc] != NULL)
            argc++;
        const char *words[3] = {cases[i].words[0], cases[i].words[1], cases[i].words[2]};
        assert_true(read_call(&call, cases[i].command, &err, argc, words) < 0);
        assert_non_null(strstr(err.message, cases[i].message));
        cli_call_done(&call);
    }
}

static void test_help_beats_errors(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct cli_call call;
    assert_int_equal(READ(&call, "get", "--help"), 0);
    assert_true(call.help);
    cli_call_done(&call);
}

static void test_nearest_command(void **state)
{
    (void)state;
    assert_string_equal(cli_command_nearest(NULL, "aply")->name, "apply");
    assert_string_equal(cli_command_nearest(NULL, "lgos")->name, "logs");
    assert_string_equal(cli_command_nearest(NULL, "delet")->name, "delete");
    assert_null(cli_command_nearest(NULL, "completely-different-and-long-enough-to-overflow"));
    assert_null(cli_command_nearest(NULL, "nonsense"));
}

/* A name of two words is found by both, and by nothing that only looks like it. */
static void test_group(void **state)
{
    (void)state;
    int used = 0;
    const char *both[] = {"function", "new", "x"}, *joined[] = {"function new"}, *one[] = {"get"};
    assert_string_equal(cli_command_typed(both, 3, &used)->name, "function new");
    assert_int_equal(used, 2);
    assert_null(cli_command_typed(both, 1, &used));
    assert_null(cli_command_typed(joined, 1, &used));
    assert_string_equal(cli_command_typed(one, 1, &used)->name, "get");
    assert_int_equal(used, 1);
    assert_true(cli_command_is_group("function"));
    assert_false(cli_command_is_group("funct"));
    assert_string_equal(cli_command_nearest("function", "nwe")->name, "function new");
    assert_null(cli_command_nearest("function", "serve"));
    assert_string_equal(cli_command_nearest(NULL, "funtion")->name, "function new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_options),
        cmocka_unit_test(test_letters_together),
        cmocka_unit_test(test_end_of_options),
        cmocka_unit_test(test_last_one_counts_unless_repeated),
        cmocka_unit_test(test_optional_argument),
        cmocka_unit_test(test_given_then_environment_then_fallback),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_help_beats_errors),
        cmocka_unit_test(test_nearest_command),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
