/* SPDX-License-Identifier: Apache-2.0 */
/* The module checker: what is refused and in which words, what is kept when it is written again,
 * and that no bytes whatever make it fall over. */
#include "../unit.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "function/module.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD      "\0asm\1\0\0\0"
#define TYPE_VOID "\1\4\1\x60\0\0" /* one type: [] → [] */
#define FUNCTION  "\3\2\1\0"

static int parse(struct slice bytes, struct error *err)
{
    struct module *m = NULL;
    *err = (struct error)ERROR_INIT;
    int r = module_parse(bytes, &module_limits_default, module_imports_given, &m, err);
    module_free(m);
    return r;
}

static void assert_refused(struct slice bytes, int code, const char *part)
{
    struct error err;
    int r = parse(bytes, &err);
    if (r != code || strstr(err.message, part) == NULL)
        fail_msg("%d, \"%s\", wanted %d with \"%s\"", r, err.message, code, part);
}

/* LEB128 in four bytes, whatever the number. */
static void add_number(struct buf *out, size_t number)
{
    for (int i = 0; i < 3; i++)
        buf_add_byte(out, (char)(number >> 7 * i | 0x80));
    buf_add_byte(out, (char)(number >> 21));
}

/* A module with one function of that body: locals, instructions, without the end. */
static void with_body(struct buf *out, struct slice body)
{
    buf_add(out, HEAD TYPE_VOID FUNCTION, sizeof(HEAD TYPE_VOID FUNCTION) - 1);
    buf_add(out, "\x0a", 1);
    add_number(out, body.len + 6);
    buf_add_byte(out, 1);
    add_number(out, body.len + 1);
    buf_add_slice(out, body);
    buf_add_byte(out, 0x0b);
}

static void what_is_no_module_is_named(void **state)
{
    static const struct {
        struct slice bytes;
        int code;
        const char *part;
    } rows[] = {
        {SLICE(""), -ENOEXEC, "empty"},
        {SLICE("(module)"), -ENOEXEC, "WebAssembly text"},
        {SLICE("\x7f"
               "ELF...."),
         -ENOEXEC, "no WebAssembly"},
        {SLICE("\0as"), -ENOEXEC, "no WebAssembly"},
        {SLICE("\0asm\x0d\0\1\0"), -ENOTSUP, "component"},
        {SLICE("\0asm\2\0\0\0"), -ENOTSUP, "unknown version"},
        {SLICE(HEAD "\x0e\0"), -ENOEXEC, "unknown kind"},
        {SLICE(HEAD "\1\4\1\x60\0"), -ENOEXEC, "ends too early"},
        {SLICE(HEAD "\1\5\1\x60\0\0\0"), -ENOEXEC, "longer than its contents"},
        {SLICE(HEAD FUNCTION), -ENOEXEC, "type is not there"},
        {SLICE(HEAD TYPE_VOID TYPE_VOID), -ENOEXEC, "out of order"},
        {SLICE(HEAD TYPE_VOID FUNCTION), -ENOEXEC, "code section is missing"},
        {SLICE(HEAD "\1\xff\xff\xff\xff\x7f"), -ENOEXEC, "too large"},
        {SLICE(HEAD "\1\5\xff\xff\xff\xff\x0f"), -E2BIG, "more than the limit"},
        {SLICE(HEAD "\0\2\1\xff"), -ENOEXEC, "not UTF-8"},
        {SLICE(HEAD "\7\5\1\1e\0\0"), -ENOEXEC, "export names something"},
        {SLICE(HEAD "\5\3\1\0\1"
                    "\7\x09\2\1e\2\0\1e\2\0"),
         -ENOEXEC, "doubled"},
        {SLICE(HEAD "\x08\1\0"), -ENOEXEC, "start function"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(rows[i].bytes, rows[i].code, rows[i].part);
}

static void features_are_refused_by_name(void **state)
{
    static const struct {
        struct slice bytes;
        const char *part;
    } rows[] = {
        {SLICE(HEAD "\1\5\1\x60\1\x7b\0"), "SIMD"},
        {SLICE(HEAD "\1\3\1\x5f\0"), "garbage collection"},
        {SLICE(HEAD "\1\5\1\x60\1\x6e\0"), "garbage collection"},
        {SLICE(HEAD "\1\6\1\x60\1\x63\0\0"), "typed function references"},
        {SLICE(HEAD "\1\5\1\x60\1\x69\0"), "exceptions"},
        {SLICE(HEAD "\4\5\1\x70\3\0\1"), "threads"},
        {SLICE(HEAD "\4\4\1\x6f\0\1"), "external references"},
        {SLICE(HEAD "\4\7\1\x40\0\x70\0\1\x0b"), "typed function references"},
        {SLICE(HEAD "\5\4\1\3\0\1"), "threads"},
        {SLICE(HEAD "\5\3\1\4\1"), "memory64"},
        {SLICE(HEAD "\5\5\2\0\1\0\1"), "several memories"},
        {SLICE(HEAD TYPE_VOID "\x0d\3\1\0\0"), "exceptions"},
        {SLICE(HEAD "\6\x09\1\x7f\0\x41\1\x41\1\x6a\x0b"), "extended constant"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(rows[i].bytes, -ENOTSUP, rows[i].part);
}

static void instructions_are_refused_by_name(void **state)
{
    static const struct {
        struct slice body;
        int code;
        const char *part;
    } rows[] = {
        {SLICE("\0\xfd\x0c"), -ENOTSUP, "uses SIMD"},
        {SLICE("\0\xfd\x80\2"), -ENOTSUP, "relaxed SIMD"},
        {SLICE("\1\1\x7b\1"), -ENOTSUP, "SIMD"},
        {SLICE("\0\xfe\3\0"), -ENOTSUP, "threads"},
        {SLICE("\0\x12\0"), -ENOTSUP, "tail calls"},
        {SLICE("\0\x13\0\0"), -ENOTSUP, "tail calls"},
        {SLICE("\0\x14\0"), -ENOTSUP, "typed function references"},
        {SLICE("\0\xd4"), -ENOTSUP, "typed function references"},
        {SLICE("\0\xfb\0"), -ENOTSUP, "garbage collection"},
        {SLICE("\0\x06\x40"), -ENOTSUP, "exceptions"},
        {SLICE("\0\x1f\x40\0"), -ENOTSUP, "exceptions"},
        {SLICE("\0\xfc\x13"), -ENOTSUP, "wide arithmetic"},
        {SLICE("\0\x28\x42\0"), -ENOTSUP, "several memories"},
        {SLICE("\0\xff"), -ENOEXEC, "unknown"},
        {SLICE("\0\xfc\x40"), -ENOEXEC, "unknown"},
        {SLICE("\0\x20\0"), -ENOEXEC, "local variable is not there"},
        {SLICE("\0\x23\0"), -ENOEXEC, "global is not there"},
        {SLICE("\0\x10\7"), -ENOEXEC, "function that is not there"},
        {SLICE("\0\x11\0\0"), -ENOEXEC, "table that is not there"},
        {SLICE("\0\x28\2\0"), -ENOEXEC, "memory and there is none"},
        {SLICE("\0\x0c\1"), -ENOEXEC, "branch leaves"},
        {SLICE("\0\x0b"), -ENOEXEC, "behind its end"},
        {SLICE("\0\x02\x40"), -ENOEXEC, "ends too early"},
        {SLICE("\0\x02\5"), -ENOEXEC, "block's type"},
        {SLICE("\1\xff\xff\xff\xff\x0f\x7f"), -E2BIG, "local variables"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        autobuf bytes = BUF_INIT;
        with_body(&bytes, rows[i].body);
        assert_refused(buf_slice(&bytes), rows[i].code, rows[i].part);
    }
}

static void imports_are_refused_with_their_names(void **state)
{
    assert_refused(SLICE(HEAD TYPE_VOID "\2\x0b\1\3env\3log\0\0"), -ENOTSUP,
                   "imports 'env' 'log' (function)");
    assert_refused(SLICE(HEAD TYPE_VOID "\2\x0c\1\3env\3mem\2\0\1"), -ENOTSUP,
                   "imports 'env' 'mem' (memory)");
    assert_refused(SLICE(HEAD TYPE_VOID "\2\x1e\1\x16wasi_snapshot_preview1\3foo\0\0"), -ENOTSUP,
                   "of WASI there is preview 1");
    assert_refused(SLICE(HEAD TYPE_VOID "\2\x15\1\x0dwasi_unstable\3foo\0\0"), -ENOTSUP,
                   "wasi_snapshot_preview1");
    assert_refused(SLICE(HEAD TYPE_VOID "\2\x0d\1\5*/\n\"x\3a\0b\0\0"), -ENOTSUP,
                   "imports '*/\\x0a\"x' 'a\\x00b'");
}

static void imports_that_are_given_are_renamed(void **state)
{
    static const struct module_import_rule given[] = {{"env", "log", ":", "env_log"},
                                                      {NULL, NULL, NULL, NULL}};
    struct module *m;
    struct error err = ERROR_INIT;
    struct slice bytes = SLICE(HEAD TYPE_VOID "\2\x0b\1\3env\3log\0\0");
    assert_int_equal(module_parse(bytes, &module_limits_default, given, &m, &err), 0);
    autobuf out = BUF_INIT;
    module_rewrite(m, &out);
    module_free(m);
    assert_non_null(memmem(out.ptr, out.len, "\2\x0d\1\1h\7env_log\0\0", 15));
    static const struct module_import_rule other[] = {{"env", "log", "i:", "env_log"},
                                                      {NULL, NULL, NULL, NULL}};
    assert_int_equal(module_parse(bytes, &module_limits_default, other, &m, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "with the signature :, but it is i:"));
}

static void limits_say_what_to_do(void **state)
{
    assert_refused(SLICE(HEAD "\5\5\1\0\x81\xa0\x01"), -E2BIG, "raise spec.limits.memory");
    assert_refused(SLICE(HEAD "\5\5\1\0\x81\x80\x08"), -ENOEXEC, "4 GiB");
    assert_refused(SLICE(HEAD "\4\6\1\x70\0\xff\xff\x7f"), -E2BIG, "table of");
    size_t len = module_limits_default.bytes_max + 1;
    autofree char *large = calloc(1, len);
    memcpy(large, HEAD, 8);
    assert_refused(slice_of(large, len), -E2BIG, "more than the limit");
    autobuf blocks = BUF_INIT, deep = BUF_INIT, long_body = BUF_INIT;
    buf_add_byte(&blocks, 0);
    for (int i = 0; i < 3000; i++)
        buf_add(&blocks, "\x02\x40", 2);
    with_body(&deep, buf_slice(&blocks));
    assert_refused(buf_slice(&deep), -E2BIG, "nests blocks deeper");
    size_t many = module_limits_default.function_bytes_max + 1;
    autofree char *nops = malloc(many);
    memset(nops, 1, many);
    nops[0] = 0;
    with_body(&long_body, slice_of(nops, many));
    assert_refused(buf_slice(&long_body), -E2BIG, "split it");
}

static struct module *parse_good(struct slice bytes)
{
    struct module *m = NULL;
    struct error err = ERROR_INIT;
    if (module_parse(bytes, &module_limits_default, module_imports_given, &m, &err) < 0)
        fail_msg("%s", err.message);
    return m;
}

/* A function "run", a memory "m", a function whose name holds NUL, and one with references. */
static const struct slice exporting = SLICE(HEAD "\1\x08\2\x60\0\0\x60\1\x6f\0"
                                                 "\3\3\2\0\1"
                                                 "\5\3\1\0\1"
                                                 "\7\x17\4\3run\0\0\1m\2\0\3a\0b\0\0\3ref\0\1"
                                                 "\x0a\7\2\2\0\x0b\2\0\x0b");

static void a_missing_export_lists_those_there_are(void **state)
{
    struct module *m = parse_good(exporting);
    const struct module_export *e = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(module_find_function(m, "run", &e, &err), 0);
    assert_true(slice_is(e->name, "run"));
    assert_int_equal(module_find_function(m, "x\n", &e, &err), -ENOENT);
    assert_string_equal(err.field, "spec.function");
    assert_non_null(strstr(err.message, "no export 'x\\x0a'; it exports run, m (memory), a\\x00b"));
    assert_int_equal(module_find_function(m, "m", &e, &err), -ENOENT);
    assert_non_null(strstr(err.message, "is a memory and no function"));
    assert_int_equal(module_find_function(m, "ref", &e, &err), -ENOENT);
    assert_non_null(strstr(err.message, "references"));
    module_free(m);
    m = parse_good(SLICE(HEAD));
    assert_int_equal(module_find_function(m, "run", &e, &err), -ENOENT);
    assert_non_null(strstr(err.message, "exports nothing"));
    module_free(m);
}

static void names_do_not_get_through(void **state)
{
    struct module *m = parse_good(exporting);
    autobuf out = BUF_INIT, text = BUF_INIT;
    module_rewrite(m, &out);
    module_describe(m, "module.h", &text);
    module_free(m);
    assert_non_null(memmem(out.ptr, out.len, "\7\x0b\2\2e0\0\0\2m0\2\0", 13));
    assert_null(memmem(out.ptr, out.len, "run", 3));
    assert_non_null(strstr(text.ptr, "{\"run\", \":\", call_0}"));
    assert_non_null(strstr(text.ptr, ".export_count = 1"));
    m = parse_good(
        SLICE(HEAD TYPE_VOID FUNCTION "\7\x0e\1\x0a*/\"\n?\?/\\x\1\0\0\x0a\4\1\2\0\x0b"));
    buf_reset(&text);
    module_describe(m, "module.h", &text);
    module_free(m);
    assert_non_null(strstr(text.ptr, "{\"\\052\\057\\042\\012\\077\\077\\057\\134x\\001\", \":\""));
}

static void custom_sections_are_dropped(void **state)
{
    struct module *m = parse_good(SLICE(HEAD "\0\6\4nameX" TYPE_VOID "\0\6\4nameY"));
    autobuf out = BUF_INIT;
    module_rewrite(m, &out);
    module_free(m);
    assert_true(slice_equal(buf_slice(&out), SLICE(HEAD TYPE_VOID "\7\1\0")));
}

/* ---- the corpus: real modules ---- */

static void each_corpus_file(void (*each)(struct slice bytes))
{
    const char *folder = getenv("FUNCTION_CORPUS");
    DIR *d = opendir(folder);
    assert_non_null(d);
    unsigned count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        autobuf bytes = BUF_INIT;
        assert_int_equal(fdio_read_file(path, 4u << 20, &bytes), 0);
        each(buf_slice(&bytes));
        count++;
    }
    closedir(d);
    assert_true(count > 3);
}

/* What a module imports once it is written again. */
static const struct module_import_rule *renamed_imports(void)
{
    static struct module_import_rule rules[64];
    size_t count = 0;
    for (const struct module_import_rule *r = module_imports_given; r->name != NULL; r++)
        rules[count++] = (struct module_import_rule){"h", r->symbol, r->signature, r->symbol};
    assert_in_range(count, 1, COUNT_OF(rules) - 1); /* the last one ends them */
    return rules;
}

/* What is written again is a module like any other, and writing that again changes nothing. */
static void rewrite_twice(struct slice bytes)
{
    struct module *m = NULL;
    struct error err = ERROR_INIT;
    if (module_parse(bytes, &module_limits_default, module_imports_given, &m, &err) < 0)
        return;
    autobuf once = BUF_INIT, twice = BUF_INIT, text = BUF_INIT;
    module_rewrite(m, &once);
    module_describe(m, "module.h", &text);
    module_free(m);
    if (module_parse(buf_slice(&once), &module_limits_default, renamed_imports(), &m, &err) < 0)
        fail_msg("%s", err.message);
    module_rewrite(m, &twice);
    module_free(m);
    assert_true(buf_ok(&text));
    assert_true(once.len == twice.len);
}

static void cut_everywhere(struct slice bytes)
{
    struct error err;
    if (parse(bytes, &err) < 0)
        return;
    size_t step = bytes.len / 2000 + 1;
    for (size_t len = 0; len < bytes.len; len += step) {
        char *copy = malloc(len + 1); /* of that size, so that a sanitizer sees what lies behind */
        memcpy(copy, bytes.ptr, len);
        (void)parse(slice_of(copy, len), &err);
        free(copy);
    }
}

static void mutate(struct slice bytes)
{
    unsigned seed = 1;
    for (int round = 0; round < 3000 && bytes.len < 20000; round++) {
        autofree char *copy = malloc(bytes.len);
        memcpy(copy, bytes.ptr, bytes.len);
        for (int i = 0; i < 1 + round % 4; i++)
            copy[8 + (size_t)rand_r(&seed) % (bytes.len - 8)] = (char)rand_r(&seed);
        rewrite_twice(slice_of(copy, bytes.len));
    }
}

static void real_modules_are_written_again(void **state)
{
    each_corpus_file(rewrite_twice);
}

static void cut_modules_are_harmless(void **state)
{
    each_corpus_file(cut_everywhere);
}

static void mutated_modules_are_harmless(void **state)
{
    each_corpus_file(mutate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_module_is_named),
        cmocka_unit_test(features_are_refused_by_name),
        cmocka_unit_test(instructions_are_refused_by_name),
        cmocka_unit_test(imports_are_refused_with_their_names),
        cmocka_unit_test(imports_that_are_given_are_renamed),
        cmocka_unit_test(limits_say_what_to_do),
        cmocka_unit_test(a_missing_export_lists_those_there_are),
        cmocka_unit_test(names_do_not_get_through),
        cmocka_unit_test(custom_sections_are_dropped),
        cmocka_unit_test(real_modules_are_written_again),
        cmocka_unit_test(cut_modules_are_harmless),
        cmocka_unit_test(mutated_modules_are_harmless),
    };
    return cmocka_run_group_tests_name("module checker", tests, NULL, NULL);
}
