/* SPDX-License-Identifier: Apache-2.0 */
#include "function/runtime.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char folder[] = "/tmp/sluice-runtime-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(fdio_make_folders(path, 0700), 0);
    strcat(path, "/runtime.yaml");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    return fdio_remove_tree(folder);
}

static int load(const char *text, struct runtime **ret, struct error *err)
{
    char path[256];
    put("one", text);
    snprintf(path, sizeof(path), "%s/one", folder);
    return runtime_load(path, ret, err);
}

static void reads_all_keys(void **state)
{
    struct runtime *r = NULL;
    struct error err = ERROR_INIT;
    int status = load("name: perl\n"
                      "aliases: [perl5, p]\n"
                      "description: Perl\n"
                      "sandbox: process\n"
                      "main: [a.pl, b.pl]\n"
                      "command: [/usr/bin/perl, '${runtime}/s.pl']\n"
                      "prepare:\n"
                      "  - {when: cpanfile, command: [/bin/true, x]}\n"
                      "  - command: /bin/true\n"
                      "environment: {A: '${code}', B: b}\n"
                      "readable: [/opt/perl]\n"
                      "memory: 32Mi\n"
                      "template: template\n"
                      "dockerfile: Dockerfile\n",
                      &r, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, 0);
    assert_string_equal(r->name, "perl");
    assert_string_equal(r->aliases[1], "p");
    assert_null(r->aliases[2]);
    assert_int_equal(r->sandbox, RUNTIME_PROCESS);
    assert_string_equal(r->main[1], "b.pl");
    assert_string_equal(r->command[1], "${runtime}/s.pl");
    assert_int_equal(r->step_count, 2);
    assert_string_equal(r->steps[0].when, "cpanfile");
    assert_null(r->steps[1].when);
    assert_string_equal(r->steps[1].command[0], "/bin/true");
    assert_int_equal(r->variable_count, 2);
    assert_string_equal(r->environment[0].value, "${code}");
    assert_string_equal(r->readable[0], "/opt/perl");
    assert_int_equal(r->memory_bytes, 32u << 20);
    assert_string_equal(r->template_folder, "template");
    assert_string_equal(r->dockerfile, "Dockerfile");
    runtime_free(r);
}

static void refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *message;
        int line;
    } cases[] = {
        {"", "must be a mapping", 1},
        {"- a\n", "must be a mapping", 1},
        {"name: [\n", "not valid YAML", 0},
        {"description: x\ncommand: /bin/true\n", "name is missing", 1},
        {"name: Perl\ncommand: /bin/true\n", "small letters", 1},
        {"name: -a\ncommand: /bin/true\n", "small letters", 1},
        {"name: a\naliases: [a/b]\ncommand: /bin/true\n", "aliases", 2},
        {"name: a\n", "command is missing", 1},
        {"name: a\ncommand: []\n", "1 to 64", 2},
        {"name: a\ncommand: [perl]\n", "absolute path", 2},
        {"name: a\ncommand: {a: b}\n", "list of texts", 2},
        {"name: a\ncommand: [/bin/true, [x]]\n", "must be a text", 2},
        {"name: a\ncommand: [/bin/true, \"a\\0b\"]\n", "without NUL", 2},
        {"name: a\nname: b\ncommand: /bin/true\n", "twice", 2},
        {"name: a\ncomand: /bin/true\n", "no key of a runtime; known are name, ", 2},
        {"name: a\nsandbox: jail\n", "must be process, js, wasm or url", 2},
        {"name: a\ncommand: /bin/true\nmemory: much\n", "number of bytes", 3},
        {"name: a\ncommand: /bin/true\ntemplate: ../..\n", "own folder", 3},
        {"name: a\ncommand: /bin/true\ndockerfile: .x\n", "own folder", 3},
        {"name: a\ncommand: /bin/true\nreadable: [/]\n", "not / itself", 3},
        {"name: a\ncommand: /bin/true\nreadable: [etc]\n", "absolute paths", 3},
        {"name: a\ncommand: /bin/true\nreadable: [/a/../etc]\n", "absolute paths", 3},
        {"name: a\ncommand: /bin/true\nprepare: x\n", "list of steps", 3},
        {"name: a\ncommand: /bin/true\nprepare: [{when: x}]\n", "prepare.command is missing", 3},
        {"name: a\ncommand: /bin/true\nprepare: [{do: x}]\n", "not do", 3},
        {"name: a\ncommand: /bin/true\nenvironment: {SLUICE_X: y}\n", "must not set", 3},
        {"name: a\ncommand: /bin/true\nenvironment: {A: [y]}\n", "must be a text", 3},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct runtime *r = NULL;
        struct error err = ERROR_INIT;
        int status = load(cases[i].text, &r, &err);
        if (status != -EINVAL || strstr(err.message, cases[i].message) == NULL ||
            strstr(err.message, "/one/runtime.yaml:") == NULL ||
            (cases[i].line > 0 && err.line != cases[i].line))
            fail_msg("case %zu: %d \"%s\" line %d", i, status, err.message, err.line);
        assert_null(r);
    }
}

static void a_large_file_and_a_missing_one(void **state)
{
    struct runtime *r = NULL;
    struct error err = ERROR_INIT;
    char *text = malloc(RUNTIME_FILE_MAX + 100);
    memset(text, '#', RUNTIME_FILE_MAX + 99);
    text[RUNTIME_FILE_MAX + 99] = '\0';
    assert_int_equal(load(text, &r, &err), -EFBIG);
    free(text);
    assert_int_equal(runtime_load("/nonexistent", &r, &err), -ENOENT);
}

static void finds_by_name_and_alias(void **state)
{
    struct runtime_set *s = NULL;
    struct error err = ERROR_INIT;
    put("b", "name: b\naliases: [bb]\ncommand: /bin/true\n");
    put("a", "name: a\nsandbox: url\n");
    assert_int_equal(runtime_set_load(folder, &s, &err), 0);
    assert_int_equal(runtime_set_count(s), 2);
    assert_string_equal(runtime_set_at(s, 0)->name, "a");
    assert_null(runtime_set_at(s, 2));
    assert_ptr_equal(runtime_set_find(s, "bb"), runtime_set_at(s, 1));
    assert_null(runtime_set_find(s, "c"));
    autobuf names = BUF_INIT;
    runtime_set_names(s, &names);
    assert_string_equal(names.ptr, "a, b");
    runtime_set_free(s);
    s = NULL;
    put("c", "name: bb\ncommand: /bin/true\n");
    assert_int_equal(runtime_set_load(folder, &s, &err), -EINVAL);
    assert_non_null(strstr(err.message, "both are the runtime bb"));
    assert_int_equal(runtime_set_load("/nonexistent", &s, &err), -ENOENT);
}

static void chooses_the_main_file(void **state)
{
    static char *const mains[] = {"index.js", "index.mjs", NULL};
    struct runtime r = {.main = (char **)(uintptr_t)mains};
    const char *const both[] = {"a.js", "index.mjs", "index.js"}, *const one[] = {"x.js"};
    assert_string_equal(runtime_choose_main(&r, NULL, both, 3), "index.js");
    assert_string_equal(runtime_choose_main(&r, NULL, both, 2), "index.mjs");
    assert_string_equal(runtime_choose_main(&r, "a.js", both, 3), "a.js");
    assert_null(runtime_choose_main(&r, "b.js", both, 3));
    assert_string_equal(runtime_choose_main(&r, NULL, one, 1), "x.js");
    assert_null(runtime_choose_main(&r, NULL, (const char *const[]){"a", "b"}, 2));
}

static void expands_places(void **state)
{
    const struct runtime_places places = {.runtime = "/r", .code = "/c"};
    struct error err = ERROR_INIT;
    autobuf out = BUF_INIT;
    assert_int_equal(runtime_expand("a${code}:${runtime}/x$", &places, &out, &err), 0);
    assert_string_equal(out.ptr, "a/c:/r/x$");
    assert_int_equal(runtime_expand("${packages}", &places, &out, &err), -EINVAL);
    assert_int_equal(runtime_expand("${x}", &places, &out, &err), -EINVAL);
    assert_int_equal(runtime_expand("${code", &places, &out, &err), -EINVAL);
    assert_non_null(strstr(err.message, "known are ${runtime}"));
}

static void finds_the_directory(void **state)
{
    struct error err = ERROR_INIT;
    char *path = NULL;
    assert_int_equal(runtime_directory(folder, &path, &err), 0);
    assert_string_equal(path, folder);
    free(path);
    assert_int_equal(runtime_directory("/nonexistent", &path, &err), -ENOENT);
    setenv("SLUICE_RUNTIMES", folder, 1);
    assert_int_equal(runtime_directory(NULL, &path, &err), 0);
    assert_string_equal(path, folder);
    free(path);
    unsetenv("SLUICE_RUNTIMES");
    assert_int_equal(runtime_directory(NULL, &path, &err), -ENOENT);
    assert_non_null(strstr(err.message, "SLUICE_RUNTIMES"));
}

/* The runtimes that sluice comes with. */
static void its_own_are_right(void **state)
{
    static const char *const names[] = {"js", "wasm", "python", "python3", "node", "exec", "http"};
    struct runtime_set *s = NULL;
    struct error err = ERROR_INIT;
    runtime_set_load(getenv("FUNCTION_RUNTIMES"), &s, &err);
    assert_string_equal(err.message, "");
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (runtime_set_find(s, names[i]) == NULL)
            fail_msg("%s is missing", names[i]);
    runtime_set_free(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads_all_keys),
        TEST(refuses_what_is_wrong),
        TEST(a_large_file_and_a_missing_one),
        TEST(finds_by_name_and_alias),
        TEST(chooses_the_main_file),
        TEST(expands_places),
        TEST(finds_the_directory),
        TEST(its_own_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
