/* SPDX-License-Identifier: Apache-2.0 */
/* Takes away what a worker does not need, before the first instruction of the user's code: limits,
 * privileges, files and network (Landlock), and all system calls but those below, each of which
 * kills the process when it is tried. What remains reachable by code that broke out of the guest
 * are the open sockets and the report pipe. */
#include "worker/segment.h"
#include "worker/worker_internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CONFINE_FILES      4096
#define CONFINE_OWN_BYTES  (32ULL * 1024 * 1024) /* the worker's own heap and buffers */
#define CONFINE_FILTER_MAX 4096                  /* instructions */
#define CONFINE_USER       65534                 /* nobody, whatever its name */

/* Newer than the C library's headers: from the kernel's Landlock documentation. */
#define LANDLOCK_VERSION_FLAG 1u
struct landlock_attributes {
    uint64_t files, network, scopes;
};

static const int allowed_calls[] = {
    /* requests */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(ppoll),
    SCMP_SYS(poll),
    SCMP_SYS(accept4),
    SCMP_SYS(accept),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(close),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    /* the C library's heap */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    /* time limits, snapshots, randomness */
    SCMP_SYS(timer_settime),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getrusage),
    SCMP_SYS(pread64),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_yield),
    /* the end */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static struct sock_fprog filter;

/* Of fcntl no more than the flags of a descriptor: with F_SETOWN, F_SETSIG and O_ASYNC the kernel
 * would send any signal to any process of this user. */
static int add_fcntl_rules(scmp_filter_ctx context)
{
    static const int plain[] = {F_GETFD, F_SETFD, F_GETFL};
    int status = 0;
    for (size_t i = 0; status == 0 && i < COUNT_OF(plain); i++)
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)plain[i]));
    if (status == 0)
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 2,
                                  SCMP_A1(SCMP_CMP_EQ, F_SETFL),
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, O_ASYNC, 0));
    return status;
}

static int add_rules(scmp_filter_ctx context)
{
    int status = add_fcntl_rules(context);
    for (size_t i = 0; status == 0 && i < COUNT_OF(allowed_calls); i++)
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    /* Memory that is executable, or a file, is never mapped again. */
    if (status == 0)
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (status == 0)
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                  SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    if (status == 0 && segment_needs_call())
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(arch_prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, SEGMENT_CALL));
    return status;
}

/* The library writes to descriptors only. */
static int export_filter(scmp_filter_ctx context)
{
    autoclose int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int status = seccomp_export_bpf(context, fd);
    if (status < 0)
        return status;
    struct stat info;
    if (fstat(fd, &info) != 0)
        return -errno;
    size_t len = (size_t)info.st_size;
    if (len == 0 || len / sizeof(struct sock_filter) > CONFINE_FILTER_MAX)
        return -E2BIG;
    struct sock_filter *code = malloc(len);
    if (code == NULL)
        return -ENOMEM;
    if (pread(fd, code, len, 0) != (ssize_t)len) {
        free(code);
        return -EIO;
    }
    filter.filter = code;
    filter.len = (unsigned short)(len / sizeof(struct sock_filter));
    return 0;
}

int confine_prepare(struct error *err)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (context == NULL) /* the library tried what the kernel would take of it */
        return error_set(err, -EPERM, "the system allows no system call filter");
    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int status = add_rules(context);
    if (status == 0)
        status = export_filter(context);
    seccomp_release(context);
    if (status < 0)
        return error_set(err, status, "cannot make the system call filter: %s", strerror(-status));
    return 0;
}

void confine_close_others(const int *keep, size_t count)
{
    int from = 3;
    for (;;) {
        int next = -1; /* the lowest kept descriptor from here on */
        for (size_t i = 0; i < count; i++)
            if (keep[i] >= from && (next < 0 || keep[i] < next))
                next = keep[i];
        if (next < 0)
            break;
        if (next > from)
            close_range((unsigned)from, (unsigned)next - 1, 0);
        from = next + 1;
    }
    close_range((unsigned)from, ~0u, 0);
}

/* Bytes that count for RLIMIT_DATA now. */
static uint64_t data_bytes(void)
{
    char text[4096];
    autoclose int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *line = strstr(text, "VmData:");
    return line != NULL ? strtoull(line + 7, NULL, 10) * 1024 : 0;
}

static int lower_limit(int which, rlim_t value)
{
    struct rlimit limit;
    if (getrlimit(which, &limit) != 0)
        return -errno;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
        value = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = value;
    return setrlimit(which, &limit) == 0 ? 0 : -errno;
}

/* Guest memory is limited by itself; RLIMIT_DATA stands behind it, for three times the memory: a
 * snapshot keeps what was written, and so do calls that wait. */
static int set_limits(const struct confine_options *o)
{
    uint64_t data = data_bytes();
    int status = lower_limit(RLIMIT_CORE, 0);
    if (status == 0)
        status = lower_limit(RLIMIT_NPROC, 0);
    if (status == 0)
        status = lower_limit(RLIMIT_NOFILE, CONFINE_FILES);
    if (status == 0 && !o->writes_files)
        status = lower_limit(RLIMIT_FSIZE, 0);
    if (status == 0 && data > 0)
        status =
            lower_limit(RLIMIT_DATA, data + 3 * o->memory_bytes + CONFINE_OWN_BYTES + o->own_bytes);
    return status;
}

/* An empty set of rules: no file can be opened, no TCP port bound or connected to, no process
 * outside signalled. Kernels without Landlock leave this to the filter. */
static int restrict_files(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (abi < 1)
        return 0;
    struct landlock_attributes attributes = {.files = (1u << 13) - 1};
    if (abi >= 2)
        attributes.files |= 1u << 13;
    if (abi >= 3)
        attributes.files |= 1u << 14;
    if (abi >= 5)
        attributes.files |= 1u << 15;
    if (abi >= 4)
        attributes.network = 3;
    if (abi >= 6)
        attributes.scopes = 3;
    size_t size = abi >= 6 ? sizeof(attributes) : abi >= 4 ? 16 : 8;
    autoclose int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (rules < 0 || syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        return -errno;
    return 0;
}

/* The C library reads the time zone's file when it first breaks a time into its parts, which the
 * HTTP server does for Date. */
static void read_time_zone(void)
{
    time_t now = 0;
    struct tm parts;
    gmtime_r(&now, &parts);
}

/* Root's own processes are nobody's business: what signals and files the filter and Landlock leave
 * are judged by the user, too. The kernel forgets who is to end with whom when the user changes. */
static int leave_root(void)
{
    int parent_signal = 0;
    if (geteuid() != 0)
        return 0;
    bool done = prctl(PR_GET_PDEATHSIG, &parent_signal, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
                setresgid(CONFINE_USER, CONFINE_USER, CONFINE_USER) == 0 &&
                setresuid(CONFINE_USER, CONFINE_USER, CONFINE_USER) == 0 &&
                prctl(PR_SET_PDEATHSIG, parent_signal, 0, 0, 0) == 0;
    return done ? 0 : -errno;
}

static int give_up_privileges(const struct confine_options *o)
{
    pid_t parent = getppid();
    int status = leave_root();
    if (status < 0)
        return status;
    if (getppid() != parent) /* it ended while nobody would have told */
        _exit(EXIT_FAILURE);
    bool done =
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    return done ? 0 : -errno;
}

static int restrict_files_of(const struct confine_options *o)
{
    return restrict_files();
}

static int install_filter(const struct confine_options *o)
{
    if (filter.filter == NULL)
        return -EPERM;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0 ? 0 : -errno;
}

/* In this order: the filter forbids what the others do. */
static const struct confine_step {
    const char *name;
    int (*take)(const struct confine_options *o);
} steps[] = {
    {"resource limits", set_limits},
    {"giving up privileges", give_up_privileges},
    {"Landlock", restrict_files_of},
    {"the system call filter", install_filter},
};

int confine_self(const struct confine_options *options, struct error *err)
{
    read_time_zone();
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        int status = steps[i].take(options);
        if (status < 0 && !options->may_be_less)
            return error_set(err, status, "cannot confine the function: %s: %s", steps[i].name,
                             strerror(-status));
        if (status < 0)
            log_warn("this container does without %s: %s; the function relies on the container's "
                     "own walls for that",
                     steps[i].name, strerror(-status));
    }
    return 0;
}
