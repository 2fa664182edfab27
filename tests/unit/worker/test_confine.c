/* SPDX-License-Identifier: Apache-2.0 */
/* A confined process: what it needs still works, everything else ends it or is refused. */
#include "fixture.h"

#include "worker/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void confine(void)
{
    struct error err = ERROR_INIT;
    struct confine_options options = {.memory_bytes = 64 << 20};
    struct bundle b;
    bundle_parse(SLICE("{}"), &b, &err); /* makes the JSON library read its seed, as in a worker */
    if (confine_self(&options, &err) < 0)
        fixture_expect_failed(__FILE__, __LINE__, err.message);
}

static void do_open(void)
{
    (void)!open("/etc/passwd", O_RDONLY);
}

static void do_socket(void)
{
    (void)!socket(AF_INET, SOCK_STREAM, 0);
}

static void do_fork(void)
{
    if (fork() == 0)
        _exit(0);
}

static void do_exec(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void do_executable_memory(void)
{
    (void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static void do_map_file(void)
{
    (void)!mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0);
}

static void do_kill(void)
{
    kill(getppid(), 0);
}

static void do_ptrace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void do_unlink(void)
{
    unlink("/tmp/nothing-of-that-name");
}

static void do_own_descriptor(void)
{
    fcntl(0, F_SETOWN, getppid());
}

static void do_ask_for_signals(void)
{
    fcntl(0, F_SETFL, O_ASYNC);
}

static void do_prctl(void)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

#ifdef __x86_64__
static void do_read_segment(void)
{
    unsigned long base;
    syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &base);
}
#else
#define do_read_segment do_prctl
#endif

static void (*const forbidden[])(void) = {
    do_open,
    do_socket,
    do_fork,
    do_exec,
    do_executable_memory,
    do_make_executable,
    do_map_file,
    do_kill,
    do_ptrace,
    do_unlink,
    do_prctl,
    do_read_segment,
    do_own_descriptor,
    do_ask_for_signals,
};
static size_t at;

static void check_forbidden(void)
{
    confine();
    forbidden[at]();
}

static void test_forbidden(void **state)
{
    for (at = 0; at < sizeof(forbidden) / sizeof(forbidden[0]); at++) {
        int ended = 0;
        assert_false(fixture_run(check_forbidden, &ended));
        assert_true(WIFSIGNALED(ended));
        assert_int_equal(WTERMSIG(ended), SIGSYS);
    }
}

/* Loading, answering, each way of stopping a guest, and reporting: all within the filter. */
static void check_working(void)
{
    confine();
    fixture_load(
        "event", "\"timeoutMs\":100,\"memoryBytes\":16777216",
        "const big = new Uint8Array(4 << 20);\n" /* many pages to put back, too */
        "module.exports = (context, event) => {\n"
        "  big.fill(1);\n"
        "  if (event.data === 1) for (;;);\n"
        "  if (event.data === 2) { const a = []; a.length = 4294967295; a.indexOf(1); }\n"
        "  if (event.data === 3) { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); }\n"
        "  console.log('at', new Date());\n"
        "  return Math.random() + 'x'.repeat(100000).length;\n"
        "};");
    for (int i = 0; i < 12; i++) {
        char data[2] = {(char)('0' + i % 4), '\0'};
        unsigned status = fixture_event(data)->status;
        expect(status == (i % 4 == 0 ? 200u : i % 4 == 3 ? 500u : 504u));
    }
}

static void test_working(void **state)
{
    assert_true(fixture_run(check_working, NULL));
}

/* As on kernels that do not let programs write the register themselves. */
static void confine_with_segment_call(void)
{
    struct error err = ERROR_INIT;
    segment_force_call();
    expect(confine_prepare(&err) == 0);
    confine();
}

static void check_segment_call(void)
{
    confine_with_segment_call();
    segment_set(NULL);
    fixture_load("event", "", "module.exports = () => 'x'.repeat(10);");
    for (int i = 0; i < 3; i++) {
        segment_set(NULL);
        expect(strcmp(fixture_body(fixture_event("1")), "xxxxxxxxxx") == 0);
    }
}

static void check_other_segment_call(void)
{
    confine_with_segment_call();
    do_read_segment();
}

static void test_segment_call(void **state)
{
    int ended = 0;
    assert_true(fixture_run(check_segment_call, NULL));
    assert_false(fixture_run(check_other_segment_call, &ended));
    assert_true(WIFSIGNALED(ended));
    assert_int_equal(WTERMSIG(ended), SIGSYS);
}

static void check_limits(void)
{
    confine();
    int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS;
    expect(mmap(NULL, (size_t)1 << 30, access, kind, -1, 0) == MAP_FAILED);
    expect(mmap(NULL, (size_t)1 << 20, access, kind, -1, 0) != MAP_FAILED);
}

static void test_limits(void **state)
{
    assert_true(fixture_run(check_limits, NULL));
}

static void check_close_others(void)
{
    int a = dup(0), b = dup(0), c = dup(0);
    int keep[] = {b};
    confine_close_others(keep, 1);
    expect(fcntl(a, F_GETFD) < 0 && errno == EBADF);
    expect(fcntl(b, F_GETFD) >= 0);
    expect(fcntl(c, F_GETFD) < 0);
    expect(fcntl(2, F_GETFD) >= 0);
}

static void test_close_others(void **state)
{
    assert_true(fixture_run(check_close_others, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forbidden),    cmocka_unit_test(test_working),
        cmocka_unit_test(test_segment_call), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_close_others),
    };
    struct error err = ERROR_INIT;
    fixture_prepare();
    assert_int_equal(confine_prepare(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
