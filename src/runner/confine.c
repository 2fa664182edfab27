/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/confine.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- limits ---- */

static int lower(__rlimit_resource_t which, uint64_t value)
{
    struct rlimit old;
    if (getrlimit(which, &old) < 0)
        return -errno;
    rlim_t lowered = value < old.rlim_max ? (rlim_t)value : old.rlim_max;
    const struct rlimit new = {lowered, lowered};
    return setrlimit(which, &new) < 0 ? -errno : 0;
}

int confine_limits(const struct confine_limits *l)
{
    const struct {
        __rlimit_resource_t which;
        uint64_t value;
    } all[] = {
        {RLIMIT_DATA, l->data_bytes},
        {RLIMIT_FSIZE, l->file_bytes},
        {RLIMIT_NOFILE, l->files},
        {RLIMIT_NPROC, l->processes},
    };
    int r = lower(RLIMIT_CORE, 0);
    for (size_t i = 0; r == 0 && i < COUNT_OF(all); i++)
        if (all[i].value > 0)
            r = lower(all[i].which, all[i].value);
    return r;
}

/* ---- user ---- */

static int drop_bounding_set(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EPERM && errno != EINVAL)
            return -errno;
    return 0;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int confine_user(uid_t uid)
{
    int r = drop_bounding_set();
    if (r == 0 && uid != (uid_t)-1 &&
        (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
        r = -errno;
    if (r == 0)
        r = drop_capabilities();
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    return r;
}

/* ---- files ---- */

/* Newer than the C library's headers: from the kernel's Landlock documentation. */
#define FS_REFER     (UINT64_C(1) << 13) /* version 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define SCOPES       UINT64_C(3)         /* 6: abstract Unix sockets, signals */
struct landlock_attributes {
    uint64_t files, network, scopes;
};

#define FS_FIRST ((UINT64_C(1) << 13) - 1) /* all of version 1 */
#define FS_READ                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_NEVER (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | FS_IOCTL_DEV)
#define FS_FILE                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     FS_TRUNCATE)

static int allow_path(int rules, const char *path, uint64_t rights)
{
    autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(info.st_mode) ? rights : rights & FS_FILE,
        .parent_fd = fd,
    };
    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno
                                                                                           : 0;
}

static int fill(int rules, const struct confine_paths *p, uint64_t handled)
{
    uint64_t written = handled & ~FS_NEVER;
    if (!p->execute_written)
        written &= ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    int r = 0;
    for (size_t i = 0; r == 0 && p->readable[i] != NULL; i++)
        r = allow_path(rules, p->readable[i], FS_READ);
    for (size_t i = 0; r == 0 && p->writable[i] != NULL; i++)
        r = allow_path(rules, p->writable[i], written);
    return r;
}

int confine_files(const struct confine_paths *p)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return version < 0 ? -errno : -ENOSYS;
    struct landlock_attributes attributes = {
        .files = FS_FIRST | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
                 (version >= 5 ? FS_IOCTL_DEV : 0),
        .scopes = version >= 6 ? SCOPES : 0,
    };
    size_t size = version >= 6 ? sizeof(attributes) : sizeof(attributes.files);
    autoclose int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (rules < 0)
        return -errno;
    int r = fill(rules, p, attributes.files);
    if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        r = -errno;
    return r;
}

int confine_supervisor(const char *const *kept)
{
    /* Libraries of the name service are loaded when the first name is asked for. */
    static const char *const readable[] = {
        "/usr/lib",
        "/lib",
        "/lib64",
        "/etc/ld.so.cache",
        "/etc/hosts",
        "/etc/host.conf",
        "/etc/gai.conf",
        "/etc/services",
        "/etc/nsswitch.conf",
        "/etc/resolv.conf",
        "/run/systemd/resolve",
        "/usr/share/zoneinfo",
        "/etc/localtime",
        "/proc/self",
        NULL,
    };
    const struct confine_paths paths = {.readable = readable, .writable = kept};
    int r = confine_user((uid_t)-1);
    if (r == 0)
        r = confine_files(&paths);
    if (r == -ENOSYS || r == -EOPNOTSUPP)
        r = 0;
    return r < 0 ? r : confine_calls();
}

/* ---- system calls ---- */

static const int denied_calls[] = {
    /* other processes */
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    /* namespaces and mounts */
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(quotactl),
    SCMP_SYS(quotactl_fd),
    SCMP_SYS(fanotify_init),
    /* parts of the kernel with a large surface */
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(personality),
    /* the machine */
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(syslog),
    SCMP_SYS(vhangup),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
};

/* Sockets of the three families that programs need, no raw ones; all else as if the kernel had it
 * not. */
static int deny_sockets(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(socket), SCMP_SYS(socketpair)};
    const uint32_t refuse = SCMP_ACT_ERRNO(EAFNOSUPPORT), never = SCMP_ACT_ERRNO(EPERM);
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(calls); i++) {
        /* AF_UNIX 1, AF_INET 2, AF_INET6 10: below, between and above */
        r = seccomp_rule_add(filter, refuse, calls[i], 1, SCMP_A0(SCMP_CMP_GT, AF_INET6));
        for (unsigned family = AF_INET + 1; r == 0 && family < AF_INET6; family++)
            r = seccomp_rule_add(filter, refuse, calls[i], 1, SCMP_A0(SCMP_CMP_EQ, family));
        if (r == 0)
            r = seccomp_rule_add(filter, never, calls[i], 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW));
        if (r == 0)
            r = seccomp_rule_add(filter, never, calls[i], 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_PACKET));
    }
    return r;
}

static int deny_some(scmp_filter_ctx filter)
{
    static const uint64_t namespaces[] = {
        CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
        CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(namespaces); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    /* Its flags are in memory, out of a filter's sight; C libraries fall back to clone. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* Input into somebody's terminal. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCLINUX));
    return r;
}

int confine_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL)
        return -ENOMEM;
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(denied_calls); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied_calls[i], 0);
    if (r == 0)
        r = deny_some(filter);
    if (r == 0)
        r = deny_sockets(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}
