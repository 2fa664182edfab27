/* SPDX-License-Identifier: Apache-2.0 */
#include "function/confine.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Rights that came after the first version of the interface. */
#define FS_REFER     (UINT64_C(1) << 13) /* 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */

#define FS_READ                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_FILE                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_FIRST ((UINT64_C(1) << 13) - 1) /* all of version 1 */

/* ---- files ---- */

static int allow_path(int ruleset, const char *path, uint64_t rights)
{
    autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    struct stat info;
    if (fstat(fd, &info) < 0)
        return -errno;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(info.st_mode) ? rights : rights & FS_FILE,
        .parent_fd = fd,
    };
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return -errno;
    return 0;
}

static uint64_t handled_rights(long version)
{
    return FS_FIRST | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
           (version >= 5 ? FS_IOCTL_DEV : 0);
}

static int fill_ruleset(int ruleset, const struct confine_rules *rules, uint64_t handled)
{
    int r = allow_path(ruleset, "/dev/null",
                       handled & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE));
    for (size_t i = 0; r == 0 && rules->readable[i] != NULL; i++)
        r = allow_path(ruleset, rules->readable[i], FS_READ);
    uint64_t never = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                     LANDLOCK_ACCESS_FS_MAKE_SOCK | FS_IOCTL_DEV | LANDLOCK_ACCESS_FS_EXECUTE;
    if (r == 0)
        r = allow_path(ruleset, rules->writable, handled & ~never);
    return r;
}

static int confine_files(const struct confine_rules *rules, bool *ret_landlock)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *ret_landlock = version > 0;
    if (version <= 0)
        return 0;
    struct landlock_ruleset_attr attributes = {.handled_access_fs = handled_rights(version)};
    autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes,
                                         sizeof(attributes.handled_access_fs), 0);
    if (ruleset < 0)
        return -errno;
    int r = fill_ruleset(ruleset, rules, attributes.handled_access_fs);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}

/* ---- system calls ---- */

static const int allowed_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(lseek),
    SCMP_SYS(mmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(fcntl),
    SCMP_SYS(getcwd),
    SCMP_SYS(chdir),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getpgrp),
    SCMP_SYS(vfork),
    SCMP_SYS(fork),
    SCMP_SYS(execve),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(times),
    SCMP_SYS(time),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(umask),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(utimensat),
    SCMP_SYS(getdents64),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
};

static const int supervisor_calls[] = {
    SCMP_SYS(kill),
    SCMP_SYS(tgkill),
    SCMP_SYS(prctl),
    SCMP_SYS(capset),
    SCMP_SYS(seccomp),
    SCMP_SYS(landlock_create_ruleset),
    SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_restrict_self),
    SCMP_SYS(setpgid),
    SCMP_SYS(setrlimit),
    SCMP_SYS(flock),
};

static int allow_calls(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Calls that are let through with some arguments only: no namespaces, no terminals, no limits of
 * other processes. */
static int allow_some(scmp_filter_ctx filter)
{
    const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces, 0));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_EQ, TCGETS));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                             SCMP_A0(SCMP_CMP_EQ, 0));
    return r;
}

/* Everything else is answered with ENOSYS, so that the C library falls back where it can. */
static int confine_calls(bool supervisor)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL)
        return -ENOMEM;
    int r = allow_calls(filter, allowed_calls, COUNT_OF(allowed_calls));
    if (r == 0)
        r = allow_some(filter);
    if (r == 0 && supervisor)
        r = allow_calls(filter, supervisor_calls, COUNT_OF(supervisor_calls));
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

/* ---- the rest ---- */

static int limit(int resource, uint64_t value)
{
    struct rlimit old;
    if (getrlimit((__rlimit_resource_t)resource, &old) < 0)
        return -errno;
    rlim_t lowered = value < old.rlim_max ? (rlim_t)value : old.rlim_max;
    struct rlimit new = {lowered, lowered};
    return setrlimit((__rlimit_resource_t)resource, &new) < 0 ? -errno : 0;
}

static int confine_resources(const struct confine_rules *rules)
{
    int r = limit(RLIMIT_CORE, 0);
    if (r == 0 && rules->cpu_seconds > 0)
        r = limit(RLIMIT_CPU, rules->cpu_seconds);
    if (r == 0 && rules->memory_bytes > 0)
        r = limit(RLIMIT_AS, rules->memory_bytes);
    if (r == 0 && rules->file_bytes > 0)
        r = limit(RLIMIT_FSIZE, rules->file_bytes);
    /* Counted over all processes of the user, so no tighter than a busy machine needs; children
     * cannot leave their process group, which is killed as one. */
    if (r == 0)
        r = limit(RLIMIT_NPROC, 8192);
    return r;
}

/* Root without capabilities is a user like others; with no new privileges, exec gives none back. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int confine_self(const struct confine_rules *rules, bool *ret_landlock, struct error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(err, -errno, "no_new_privs: %s", strerror(errno));
    int r = drop_capabilities();
    if (r < 0)
        return error_set(err, r, "capabilities: %s", strerror(-r));
    r = confine_files(rules, ret_landlock);
    if (r < 0)
        return error_set(err, r, "Landlock: %s", strerror(-r));
    r = confine_calls(rules->supervisor);
    if (r < 0)
        return error_set(err, r, "seccomp: %s", strerror(-r));
    /* Last, since what stands above may need memory. */
    r = confine_resources(rules);
    if (r < 0)
        return error_set(err, r, "resource limits: %s", strerror(-r));
    return 0;
}
