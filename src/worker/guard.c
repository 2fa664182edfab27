/* SPDX-License-Identifier: Apache-2.0 */
/* Runs guest code so that whatever it does ends in one place: traps of the translated code, faults
 * in its memory, an exhausted stack, and the time limit all unwind to guard_run().
 *
 * Time: a ticking timer runs only while calls come in; its handler compares the clock with the
 * call's deadline. So a call costs no system call for its time limit. In host code the handler only
 * notes that time is up, because that code may hold locks of the C library.
 *
 * Jumps out of handlers skip the restoring of the signal mask; guard_run() does it on that rare way
 * instead of saving the mask on each call. */
#undef _FORTIFY_SOURCE /* its longjmp refuses to leave the alternate stack */
#include "worker/worker_internal.h"

#include "base/clock.h"
#include "base/must.h"
#include "worker/segment.h"

#include <errno.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GUARD_SIGNAL        SIGALRM
#define GUARD_TICK_NS       (5 * CLOCK_MILLISECOND)
#define GUARD_IDLE_TICKS    40                  /* then the timer stops */
#define GUARD_STACK_BYTES   (8UL * 1024 * 1024) /* of the thread that runs guests */
#define GUARD_STACK_MARGIN  (256UL * 1024)      /* what an import may need */
#define GUARD_ALTSTACK_SIZE (64UL * 1024)

enum guard_zone {
    GUARD_HOST,   /* outside guard_run(): a fault is a crash */
    GUARD_GUEST,  /* translated code: a fault is a trap, the time signal unwinds it */
    GUARD_IMPORT, /* host code inside guard_run(): the time signal waits until it is left */
};

static volatile sig_atomic_t zone = GUARD_HOST;
static volatile sig_atomic_t time_is_up;
static volatile uint64_t deadline;
static volatile sig_atomic_t ticking;
static unsigned idle_ticks; /* handler only */
static timer_t timer;
static bool have_timer;
static jmp_buf landing;
static sigset_t base_mask;
static const char *stack_top;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * CLOCK_SECOND + (uint64_t)t.tv_nsec;
}

_Noreturn void guard_trap(int code)
{
    must(zone != GUARD_HOST);
    zone = GUARD_HOST;
    _longjmp(landing, code);
}

static void tick_set(uint64_t interval_ns)
{
    struct timespec t = {.tv_nsec = (long)interval_ns};
    struct itimerspec spec = {.it_interval = t, .it_value = t};
    timer_settime(timer, 0, &spec, NULL);
}

static void on_tick(int sig)
{
    int saved_errno = errno;
    if (deadline == 0) {
        if (++idle_ticks >= GUARD_IDLE_TICKS && ticking) {
            ticking = 0;
            tick_set(0);
        }
    } else if (now_ns() >= deadline) {
        if (zone == GUARD_GUEST)
            guard_trap(GUARD_STOPPED_TIME);
        if (zone == GUARD_IMPORT)
            time_is_up = 1;
    }
    errno = saved_errno;
}

static bool is_stack_overflow(const void *address)
{
    const char *at = address;
    return at < stack_top && at > stack_top - GUARD_STACK_BYTES - 4 * GUARD_STACK_MARGIN;
}

/* A page's first write after a snapshot, a guest's wild access or endless recursion, or a defect of
 * this program: then the default action gives the crash its proper signal. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    if (snapshot_fault(info->si_addr)) {
        errno = saved_errno;
        return;
    }
    if (zone == GUARD_GUEST && snapshot_contains(info->si_addr))
        guard_trap(WASM_RT_TRAP_OOB);
    if (zone == GUARD_GUEST && is_stack_overflow(info->si_addr))
        guard_trap(WASM_RT_TRAP_EXHAUSTION);
    signal(sig, SIG_DFL);
}

static int install_handlers(void)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&fault.sa_mask);
    struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigfillset(&tick.sa_mask);
    if (sigaction(SIGSEGV, &fault, NULL) != 0 || sigaction(SIGBUS, &fault, NULL) != 0 ||
        sigaction(GUARD_SIGNAL, &tick, NULL) != 0)
        return -errno;
    return 0;
}

/* Signal frames of current processors do not fit well into SIGSTKSZ; below the stack lies a guard
 * page. Lives as long as the process. */
static int install_altstack(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, GUARD_ALTSTACK_SIZE + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    stack_t stack = {.ss_sp = memory + page, .ss_size = GUARD_ALTSTACK_SIZE};
    if (mprotect(memory, page, PROT_NONE) != 0 || sigaltstack(&stack, NULL) != 0)
        return -errno;
    return 0;
}

/* The depth at which recursion ends is the same wherever the program is started from. */
static int fix_stack_size(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0)
        return -errno;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < GUARD_STACK_BYTES)
        return -ENOMEM;
    limit.rlim_cur = GUARD_STACK_BYTES;
    return setrlimit(RLIMIT_STACK, &limit) == 0 ? 0 : -errno;
}

/* What guard_run() goes back to when a handler was left by a jump. */
static void note_mask(void)
{
    sigprocmask(SIG_SETMASK, NULL, &base_mask);
    sigdelset(&base_mask, GUARD_SIGNAL);
    sigdelset(&base_mask, SIGSEGV);
    sigdelset(&base_mask, SIGBUS);
    sigprocmask(SIG_SETMASK, &base_mask, NULL);
}

int guard_init(struct error *err)
{
    int status = fix_stack_size();
    if (status < 0)
        return error_set(err, status, "the stack limit must allow %lu KiB (ulimit -s)",
                         GUARD_STACK_BYTES / 1024);
    stack_top = __builtin_frame_address(0);
    status = install_altstack();
    if (status == 0)
        status = install_handlers();
    if (status < 0)
        return error_set(err, status, "cannot set up signal handling");
    note_mask();
    return 0;
}

int guard_start_timer(struct error *err)
{
    note_mask(); /* a worker blocks other signals than the zygote */
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = GUARD_SIGNAL};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return error_set(err, -errno, "cannot create the timer of the time limit");
    have_timer = true;
    return 0;
}

void guard_set_deadline(uint64_t deadline_ns)
{
    deadline = deadline_ns;
    if (deadline_ns == 0)
        return;
    idle_ticks = 0;
    if (!ticking && have_timer) {
        ticking = 1;
        tick_set(GUARD_TICK_NS);
    }
}

int guard_run(void (*fn)(void *ctx), void *ctx)
{
    must(zone == GUARD_HOST);
    int ended = _setjmp(landing);
    if (ended != 0) {
        sigprocmask(SIG_SETMASK, &base_mask, NULL);
        time_is_up = 0;
        return ended;
    }
    zone = GUARD_IMPORT;
    fn(ctx);
    zone = GUARD_HOST;
    time_is_up = 0;
    return 0;
}

void guard_enter_guest(const uint8_t *memory)
{
    must(zone == GUARD_IMPORT);
    if (memory != NULL)
        segment_set(memory);
    zone = GUARD_GUEST;
}

void guard_leave_guest(void)
{
    zone = GUARD_IMPORT;
    if (time_is_up)
        guard_trap(GUARD_STOPPED_TIME);
}

void guard_enter_import(void)
{
    const char *here = __builtin_frame_address(0);
    if (stack_top - here > (long)(GUARD_STACK_BYTES - GUARD_STACK_MARGIN))
        guard_trap(WASM_RT_TRAP_EXHAUSTION);
    zone = GUARD_IMPORT;
}

bool guard_time_is_up(void)
{
    return time_is_up != 0;
}

void guard_leave_import(void)
{
    zone = GUARD_GUEST;
    if (time_is_up)
        guard_trap(GUARD_STOPPED_TIME);
}

const char *guard_describe(int ended)
{
    switch (ended) {
    case WASM_RT_TRAP_OOB:
        return "out of bounds memory access";
    case WASM_RT_TRAP_INT_OVERFLOW:
        return "integer overflow";
    case WASM_RT_TRAP_DIV_BY_ZERO:
        return "integer divide by zero";
    case WASM_RT_TRAP_INVALID_CONVERSION:
        return "invalid conversion to integer";
    case WASM_RT_TRAP_UNREACHABLE:
        return "unreachable executed";
    case WASM_RT_TRAP_CALL_INDIRECT:
        return "invalid indirect call";
    case WASM_RT_TRAP_UNCAUGHT_EXCEPTION:
        return "uncaught exception";
    case WASM_RT_TRAP_EXHAUSTION:
        return "call stack exhausted";
    case GUARD_STOPPED_TIME:
        return "time limit";
    case GUARD_STOPPED_MEMORY:
        return "out of memory";
    case GUARD_STOPPED_OUTPUT:
        return "too much output";
    case GUARD_EXITED:
        return "exit";
    default:
        return "unknown trap";
    }
}
