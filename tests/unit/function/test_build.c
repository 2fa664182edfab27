/* SPDX-License-Identifier: Apache-2.0 */
/* Builds from module to code that runs, in the way of the host: what was built is loaded and called
 * in a child. Hostile names, limits, and the confinement of what builds. */
#include "../unit.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "function/command.h"
#include "function/function_internal.h"
#include "function/module.h"
#include "function/object.h"
#include "worker/module_abi.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- as much of the runtime as the modules here need; they find it in this program ---- */

bool wasm_rt_is_initialized(void)
{
    return true;
}

uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
    return 1;
}

void wasm_rt_trap(wasm_rt_trap_t code)
{
    _exit(100 + (int)code);
}

void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages)
{
    *memory = (wasm_rt_memory_t){calloc(pages, MODULE_PAGE), pages, max_pages, pages * MODULE_PAGE};
}

void wasm_rt_free_memory(wasm_rt_memory_t *memory)
{
    free(memory->data);
}

/* ---- a folder, a loop, a queue ---- */

struct yard {
    char folder[64], cache[80];
    struct loop *loop;
    struct build_queue queue;
    bool done;
    struct build_result result;
    char reason[64];
    struct error err;
};

static int setup(void **state)
{
    struct yard *y = calloc(1, sizeof(*y));
    snprintf(y->folder, sizeof(y->folder), "/tmp/sluice-build.XXXXXX");
    assert_non_null(mkdtemp(y->folder));
    snprintf(y->cache, sizeof(y->cache), "%s/cache", y->folder);
    y->loop = loop_new();
    assert_int_equal(
        build_queue_init(&y->queue, y->loop, getenv("FUNCTION_BUILDER"), "", y->cache, &y->err), 0);
    *state = y;
    return 0;
}

static int teardown(void **state)
{
    struct yard *y = *state;
    build_queue_done(&y->queue);
    loop_free(y->loop);
    assert_int_equal(fdio_remove_tree(y->folder), 0);
    free(y);
    return 0;
}

static void on_build(void *ctx, const struct build_result *result, const struct error *err)
{
    struct yard *y = ctx;
    y->done = true;
    y->result = *result;
    y->err = *err;
    snprintf(y->reason, sizeof(y->reason), "%s", result->status < 0 ? result->reason : "");
}

static void wait_for_build(struct yard *y)
{
    uint64_t until = clock_monotonic() + 60 * CLOCK_SECOND;
    while (!y->done && clock_monotonic() < until)
        loop_turn(y->loop, 50 * CLOCK_MILLISECOND);
    assert_true(y->done);
}

static int build(struct yard *y, struct slice bytes, const char *function)
{
    y->done = false;
    y->err = (struct error)ERROR_INIT;
    assert_non_null(build_start(&y->queue, bytes, function, 64u << 20, on_build, y));
    wait_for_build(y);
    return y->result.status;
}

static void read_corpus(const char *name, struct buf *out)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", getenv("FUNCTION_CORPUS"), name);
    assert_int_equal(fdio_read_file(path, 1u << 20, out), 0);
}

/* Runs in a child of its own: what a module does must not touch the test. */
static int in_child(int fd, int (*run)(const struct worker_module *m, void *instance))
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
            fprintf(stderr, "%s\n", dlerror());
        const struct worker_module *m = handle != NULL ? dlsym(handle, "sluice_module") : NULL;
        if (m == NULL || m->abi != WORKER_MODULE_ABI)
            _exit(90);
        void *instance = calloc(1, m->instance_size);
        m->init();
        m->instantiate(instance);
        _exit(run(m, instance));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int call_add(const struct worker_module *m, void *instance)
{
    if (m->export_count != 1 || strcmp(m->exports[0].name, "add") != 0 ||
        strcmp(m->exports[0].signature, "ii:i") != 0)
        return 91;
    const union worker_module_value arguments[] = {{.i32 = 4}, {.i32 = 14}};
    union worker_module_value result;
    m->exports[0].call(instance, arguments, &result);
    return (int)result.i32;
}

static void a_module_is_built_and_runs(void **state)
{
    struct yard *y = *state;
    autobuf bytes = BUF_INIT;
    read_corpus("add.wasm", &bytes);
    if (build(y, buf_slice(&bytes), "add") < 0)
        fail_msg("%s", y->err.message);
    assert_false(y->result.cached);
    assert_int_equal(in_child(y->result.module, call_add), 18);
    close(y->result.module);
    assert_int_equal(build(y, buf_slice(&bytes), "add"), 0);
    assert_true(y->result.cached);
    assert_int_equal(in_child(y->result.module, call_add), 18);
    close(y->result.module);
    assert_int_equal(build(y, buf_slice(&bytes), "sub"), -EINVAL);
    assert_string_equal(y->reason, "ExportMissing");
    assert_int_equal(y->queue.builds, 2);
    assert_int_equal(y->queue.cached, 1);
    assert_int_equal(y->queue.failures, 1);
}

static int call_traps(const struct worker_module *m, void *instance)
{
    for (uint32_t i = 0; i < m->export_count; i++)
        if (strcmp(m->exports[i].name, "unreachable") == 0)
            m->exports[i].call(instance, NULL, NULL);
    return 92;
}

static void a_trap_comes_to_the_runtime(void **state)
{
    struct yard *y = *state;
    autobuf bytes = BUF_INIT;
    read_corpus("traps.wasm", &bytes);
    assert_int_equal(build(y, buf_slice(&bytes), "load"), 0);
    assert_int_equal(in_child(y->result.module, call_traps), 100 + WASM_RT_TRAP_UNREACHABLE);
    close(y->result.module);
}

/* ---- names that try to become code ---- */

#define HOSTILE_COUNT 6
static const struct slice hostile[HOSTILE_COUNT] = {
    SLICE("*/ #include <stdlib.h>\n__attribute__((constructor)) static void boom(void) { "
          "_Exit(66); } /*"),
    SLICE("\"};\n__attribute__((constructor)) static void bang(void) { _Exit(67); }\n//"),
    SLICE("a\0*/ int x = y; /*"),
    SLICE("\\\n*/ error /*"),
    SLICE("?\?/\n'\"%s%n"),
    SLICE("\xe2\x80\xae*/#error\xe2\x80\xa9/*"),
};

/* LEB128 in four bytes, whatever the number. */
static void add_number(struct buf *out, size_t number)
{
    for (int i = 0; i < 3; i++)
        buf_add_byte(out, (char)(number >> 7 * i | 0x80));
    buf_add_byte(out, (char)(number >> 21));
}

static void add_name(struct buf *out, struct slice name)
{
    assert_true(name.len < 128);
    buf_add_byte(out, (char)name.len);
    buf_add_slice(out, name);
}

static void add_section(struct buf *out, char id, const struct buf *body)
{
    buf_add_byte(out, id);
    add_number(out, body->len);
    buf_add_slice(out, buf_slice(body));
}

/* One function () → i32 that returns 7, exported under each hostile name, with a name section that
 * calls it the same. */
static void make_hostile(struct buf *out)
{
    autobuf exports = BUF_INIT, names = BUF_INIT, sub = BUF_INIT;
    buf_add_byte(&exports, HOSTILE_COUNT);
    for (size_t i = 0; i < HOSTILE_COUNT; i++) {
        add_name(&exports, hostile[i]);
        buf_add(&exports, "\0\0", 2);
    }
    add_name(&names, SLICE("name"));
    add_name(&sub, hostile[0]);
    buf_add_byte(&names, 0); /* the module's name */
    buf_add_byte(&names, (char)sub.len);
    buf_add_slice(&names, buf_slice(&sub));
    buf_reset(&sub);
    buf_add(&sub, "\1\0", 2); /* names of functions: one, of function 0 */
    add_name(&sub, hostile[0]);
    buf_add_byte(&names, 1);
    buf_add_byte(&names, (char)sub.len);
    buf_add_slice(&names, buf_slice(&sub));
    buf_add(out, "\0asm\1\0\0\0\1\5\1\x60\0\1\x7f\3\2\1\0", 19);
    add_section(out, 7, &exports);
    buf_add(out, "\x0a\6\1\4\0\x41\7\x0b", 8);
    add_section(out, 0, &names);
}

static int call_hostile(const struct worker_module *m, void *instance)
{
    /* The one with NUL cannot be named and is left out. */
    if (m->export_count != HOSTILE_COUNT - 1)
        return 93;
    for (uint32_t i = 0; i < m->export_count; i++) {
        struct slice expected = hostile[i < 2 ? i : i + 1];
        union worker_module_value result;
        m->exports[i].call(instance, NULL, &result);
        if (!slice_is(expected, m->exports[i].name) || result.i32 != 7)
            return 94;
    }
    return 7;
}

static void hostile_names_stay_names(void **state)
{
    struct yard *y = *state;
    autobuf bytes = BUF_INIT;
    make_hostile(&bytes);
    autofree char *name = slice_dup(hostile[1]);
    if (build(y, buf_slice(&bytes), name) < 0)
        fail_msg("%s", y->err.message);
    assert_int_equal(in_child(y->result.module, call_hostile), 7);
    close(y->result.module);
    assert_int_equal(build(y, buf_slice(&bytes), "none\n"), -EINVAL);
    assert_null(strchr(y->err.message, '\n'));
}

/* ---- limits ---- */

/* A large function that takes the compiler a while. */
static void make_slow(struct buf *out)
{
    autobuf body = BUF_INIT;
    buf_add(&body, "\1\x08\x7f", 3);
    while (body.len < 400000) {
        /* local 0 = mem[local 1 + 8]; if (local 0) local 1 = local 0 * local 2; … */
        static const char part[] = "\x20\1\x28\2\x08\x22\0\x04\x40\x20\0\x20\2\x6c\x21\1\x0b"
                                   "\x20\1\x20\3\x6e\x21\2\x20\2\x20\0\x36\2\4";
        buf_add(&body, part, sizeof(part) - 1);
    }
    buf_add_byte(&body, 0x0b);
    buf_add(out, "\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\5\3\1\0\1\7\5\1\1f\0\0\x0a", 31);
    add_number(out, body.len + 5);
    buf_add_byte(out, 1);
    add_number(out, body.len);
    buf_add_slice(out, buf_slice(&body));
}

static void run_builder(struct yard *y, struct slice bytes, const char *option, const char *value,
                        struct buf *report)
{
    char command[1024], module[128];
    snprintf(module, sizeof(module), "%s/m.wasm", y->folder);
    assert_int_equal(fdio_replace_file(module, bytes.ptr, bytes.len, 0600), 0);
    snprintf(command, sizeof(command), "%s --cache %s %s %s <%s", getenv("FUNCTION_BUILDER"),
             y->cache, option, value, module);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    char *at = buf_reserve(report, 65536);
    report->len += fread(at, 1, 65535, f);
    report->ptr[report->len] = '\0';
    pclose(f);
}

static void the_compiler_has_limits(void **state)
{
    struct yard *y = *state;
    autobuf bytes = BUF_INIT, slow = BUF_INIT, large = BUF_INIT;
    make_slow(&bytes);
    uint64_t begun = clock_monotonic();
    run_builder(y, buf_slice(&bytes), "--cpu-seconds", "1", &slow);
    assert_non_null(strstr(slow.ptr, "\"BuildLimit\""));
    assert_non_null(strstr(slow.ptr, "after 1 s of processor time"));
    assert_true(clock_monotonic() - begun < 40 * CLOCK_SECOND);
    run_builder(y, buf_slice(&bytes), "--memory-mib", "60", &large);
    assert_non_null(strstr(large.ptr, "\"BuildLimit\""));
    assert_non_null(strstr(large.ptr, "more than 60 MiB of memory"));
}

static void the_cache_is_bounded(void **state)
{
    struct yard *y = *state;
    static const char *const names[] = {"add.wasm", "traps.wasm", "wide.wasm"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        autobuf bytes = BUF_INIT, report = BUF_INIT;
        read_corpus(names[i], &bytes);
        run_builder(y, buf_slice(&bytes), "--cache-files", "2", &report);
        assert_non_null(strstr(report.ptr, "\"cached\":false"));
    }
    for (size_t i = COUNT_OF(names); i-- > 0;) { /* the first is gone */
        autobuf bytes = BUF_INIT, report = BUF_INIT;
        read_corpus(names[i], &bytes);
        run_builder(y, buf_slice(&bytes), "--cache-files", "3", &report);
        assert_non_null(strstr(report.ptr, i > 0 ? "\"cached\":true" : "\"cached\":false"));
    }
}

static void a_cancelled_build_leaves_nothing_running(void **state)
{
    struct yard *y = *state;
    autobuf bytes = BUF_INIT, add = BUF_INIT;
    make_slow(&bytes);
    read_corpus("add.wasm", &add);
    y->done = false;
    struct build *b = build_start(&y->queue, buf_slice(&bytes), "f", 64u << 20, on_build, y);
    for (int i = 0; i < 20; i++)
        loop_turn(y->loop, 20 * CLOCK_MILLISECOND);
    build_cancel(b);
    assert_false(y->done);
    assert_int_equal(build(y, buf_slice(&add), "add"), 0); /* the next in the queue */
    close(y->result.module);
}

/* ---- what children may not do ---- */

static uint64_t cpu = 20, wall = 60;

static void sh(struct yard *y, const char *script, int code, const char *part)
{
    static const char *const system_paths[] = {"/usr", "/lib", "/lib64", "/bin", NULL};
    const char *const argv[] = {"/bin/bash", "-c", script, NULL};
    const struct command c = {
        .argv = argv,
        .name = "the script",
        .folder = y->folder,
        .readable = system_paths,
        .limits = {.cpu_seconds = cpu, .wall_seconds = wall, .memory_bytes = 256u << 20},
    };
    struct error err = ERROR_INIT;
    int r = command_run(&c, &err);
    if (r != code || strstr(err.message, part) == NULL)
        fail_msg("%s: %d \"%s\", wanted %d \"%s\"", script, r, err.message, code, part);
}

static void children_are_confined(void **state)
{
    struct yard *y = *state;
    sh(y, "echo x >inside && read -r x <inside", 0, "");
    sh(y, "echo x >/tmp/sluice-outside", -ENOEXEC, "Permission denied");
    sh(y, "read -r x </etc/passwd", -ENOEXEC, "Permission denied");
    sh(y, "ls /proc/1/ || exit 3", -ENOEXEC, "Permission denied");
    sh(y, "exec 3<>/dev/tcp/127.0.0.1/9", -ENOEXEC, "socket");
    sh(y, "kill -9 $PPID", -ENOEXEC, "kill");
    sh(y, "echo '#!/bin/sh' >own; chmod +x own; ./own", -ENOEXEC, "Permission denied");
    cpu = 1;
    sh(y, "while :; do :; done", -ETIME, "processor time");
    wall = 1;
    sh(y, "sleep 20", -ETIME, "after 1 s");
    cpu = wall = 60;
    sh(y, "echo one >&2; echo error: two >&2; exit 1", -ENOEXEC, "error: two");
    assert_int_equal(access("/tmp/sluice-outside", F_OK), -1);
}

/* ---- objects ---- */

static void objects_with_load_time_code_are_refused(void **state)
{
    struct yard *y = *state;
    static const struct {
        const char *code, *flags, *part;
    } rows[] = {
        {"__attribute__((constructor)) static void f(void) {} int sluice_module;", "", "runs when"},
        {"__attribute__((destructor)) static void f(void) {} int sluice_module;", "", "runs when"},
        {"int sluice_module; int system(const char *); int f(void) { return system(0); }",
         "-fvisibility=default", "besides its descriptor"},
        {"int system(const char *); int (*sluice_module)(const char *) = system;", "", "system"},
        {"int sluice_module;", "-Wl,-rpath,/tmp", "unexpected kind"},
        {"int sluice_module;", "-Wl,-z,execstack", "executable"},
        {"int sluice_module;", "-Wl,--no-as-needed -ldl -lresolv", "needs a library"},
        {"__attribute__((visibility(\"default\"))) int sluice_module;", "", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char path[128], command[1024];
        snprintf(path, sizeof(path), "%s/x.c", y->folder);
        assert_int_equal(fdio_replace_file(path, rows[i].code, strlen(rows[i].code), 0600), 0);
        snprintf(command, sizeof(command),
                 "cc -shared -fPIC -nostartfiles -Wl,--hash-style=sysv,-z,now,--build-id=none -o "
                 "%s/x.so %s %s 2>&1",
                 y->folder, path, rows[i].flags);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/x.so", y->folder);
        autobuf file = BUF_INIT;
        struct error err = ERROR_INIT;
        assert_int_equal(fdio_read_file(path, 1u << 20, &file), 0);
        int r = object_check(buf_slice(&file), &err);
        if (strstr(err.message, rows[i].part) == NULL || (r == 0) != (rows[i].part[0] == '\0'))
            fail_msg("%s %s: %d %s", rows[i].code, rows[i].flags, r, err.message);
        unsigned seed = 1;
        for (int round = 0; round < 2000; round++) {
            file.ptr[(size_t)rand_r(&seed) % (round % 2 ? 0x400 : file.len)] = (char)rand_r(&seed);
            (void)object_check(slice_of(file.ptr, file.len - (size_t)(round % 64)), &err);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(a_module_is_built_and_runs), ROW(a_trap_comes_to_the_runtime),
        ROW(hostile_names_stay_names),   ROW(the_compiler_has_limits),
        ROW(the_cache_is_bounded),       ROW(a_cancelled_build_leaves_nothing_running),
        ROW(children_are_confined),      ROW(objects_with_load_time_code_are_refused),
    };
    return cmocka_run_group_tests_name("builds", tests, NULL, NULL);
}
