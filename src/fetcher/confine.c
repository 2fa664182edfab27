/* SPDX-License-Identifier: Apache-2.0 */
/* The fetcher reads what strangers send, so it keeps nothing but what requests need: no root, no
 * new privileges, files of the resolver, certificates and libraries to read, TCP to the ports of
 * the allow-list and of name servers, and the system calls below. */
#include "fetcher/fetcher.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NOBODY          65534
#define TRUSTED_MAX     (16u << 20)
#define DESCRIPTORS_MAX 4096
#define DATA_MORE       (512u << 20) /* answers on their way; beyond, single requests fail */
#define DNS_PORT        53

/* Rights and fields that are newer than the C library's headers; the number is the version of the
 * interface that has them. */
#define FS_REFER     (UINT64_C(1) << 13) /* 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define FS_FIRST     ((UINT64_C(1) << 13) - 1)
#define NET_BIND     (UINT64_C(1) << 0) /* 4 */
#define NET_CONNECT  (UINT64_C(1) << 1)
#define SCOPE_ALL    UINT64_C(3) /* 6 */
#define RULE_PORT    2
struct ruleset_attributes {
    uint64_t files, network, scopes;
};
struct port_rule {
    uint64_t access, port;
};

/* ---- certificates ---- */

const char *confine_trusted(struct error *err)
{
    static char name[32];
    const char *file = getenv("SSL_CERT_FILE");
    if (file == NULL || file[0] == '\0')
        return NULL;
    autobuf text = BUF_INIT;
    int r = fdio_read_file(file, TRUSTED_MAX, &text);
    /* Who started this may read what nobody may not, so that it is read now. */
    int fd = r < 0 ? -1 : memfd_create("certificates", MFD_CLOEXEC);
    if (r == 0 && fd < 0)
        r = -errno;
    if (r == 0)
        r = fdio_write_all(fd, text.ptr, text.len);
    if (r < 0) {
        error_set(err, r, "SSL_CERT_FILE: cannot read %s: %s", file, strerror(-r));
        return NULL;
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return name;
}

/* ---- files and ports ---- */

static const char *const readable[] = {
    /* the resolver */
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    /* certificates */
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/gnutls",
    "/etc/crypto-policies",
    "/usr/share/crypto-policies",
    /* libcurl and what it needs, loaded when the first https request comes */
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    /* the certificates of SSL_CERT_FILE are a descriptor of this process */
    "/proc/self/fd",
    "/dev/null",
    "/dev/urandom",
};

static int allow_path(int ruleset, const char *path)
{
    autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) /* not there, or not for us: it is not needed then */
        return 0;
    struct stat info;
    if (fstat(fd, &info) < 0)
        return -errno;
    uint64_t rights = LANDLOCK_ACCESS_FS_READ_FILE;
    if (S_ISDIR(info.st_mode))
        rights |= LANDLOCK_ACCESS_FS_READ_DIR;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return -errno;
    return 0;
}

static int allow_port(int ruleset, uint16_t port)
{
    struct port_rule rule = {.access = NET_CONNECT, .port = port};
    return syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &rule, 0) < 0 ? -errno : 0;
}

static int allow_ports(int ruleset, const struct allow_list *allow)
{
    int r = allow_port(ruleset, DNS_PORT);
    for (size_t i = 0; r == 0 && i < allow->count; i++)
        r = allow_port(ruleset, allow->entries[i].to.port);
    return r;
}

/* Kernels without Landlock leave this to the filter and to the user id. */
static int restrict_files_and_ports(const struct allow_list *allow)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0)
        return 0;
    struct ruleset_attributes attributes = {
        .files = FS_FIRST | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
                 (version >= 5 ? FS_IOCTL_DEV : 0),
        .network = version >= 4 ? NET_BIND | NET_CONNECT : 0,
        .scopes = version >= 6 ? SCOPE_ALL : 0,
    };
    size_t size = version >= 6 ? sizeof(attributes) : version >= 4 ? 16 : 8;
    autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    int r = ruleset < 0 ? -errno : 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(readable); i++)
        r = allow_path(ruleset, readable[i]);
    if (r == 0 && version >= 4)
        r = allow_ports(ruleset, allow);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}

/* ---- system calls ---- */

static const int allowed_calls[] = {
    /* requests */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(eventfd2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(connect),
    SCMP_SYS(bind), /* the resolver's netlink and UDP sockets; Landlock forbids it for TCP */
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(socketpair),
    SCMP_SYS(pipe2),
    SCMP_SYS(fcntl),
    SCMP_SYS(ioctl),
    /* files, to read */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(lseek),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(dup),
    /* memory and threads */
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(tgkill), /* abort() */
    /* the time, random bytes, who am I */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};

static int add_rules(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(allowed_calls); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    for (size_t i = 0; r == 0 && i < COUNT_OF(families); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
    /* Threads, but no processes; clone3, whose flags a filter cannot see, is not there. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                             SCMP_A2(SCMP_CMP_EQ, 0)); /* to read */
    return r;
}

/* Everything else is answered with ENOSYS, so that libraries fall back where they can. */
static int restrict_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL)
        return -ENOMEM;
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int r = add_rules(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

/* ---- who ---- */

/* Root becomes nobody; where that user does not exist, as in some containers, it loses its
 * capabilities all the same. */
static int leave_root(void)
{
    if (geteuid() == 0) {
        (void)setgroups(0, NULL);
        if (setresgid(NOBODY, NOBODY, NOBODY) == 0)
            (void)!setresuid(NOBODY, NOBODY, NOBODY);
    }
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

/* Bytes that count for RLIMIT_DATA now; 0: unknown. */
static uint64_t data_bytes(void)
{
    char text[4096];
    autoclose int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    text[n > 0 ? n : 0] = '\0';
    const char *line = strstr(text, "VmData:");
    return line != NULL ? strtoull(line + 7, NULL, 10) * 1024 : 0;
}

static int limit(__rlimit_resource_t which, rlim_t value)
{
    struct rlimit l;
    if (getrlimit(which, &l) != 0)
        return -errno;
    if (l.rlim_max != RLIM_INFINITY && l.rlim_max < value)
        value = l.rlim_max;
    l.rlim_cur = l.rlim_max = value;
    return setrlimit(which, &l) == 0 ? 0 : -errno;
}

int confine_self(const struct allow_list *allow, struct error *err)
{
    uint64_t data = data_bytes();
    int r = limit(RLIMIT_CORE, 0);
    if (r == 0)
        r = limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
    if (r == 0 && data > 0)
        r = limit(RLIMIT_DATA, data + DATA_MORE);
    if (r < 0)
        return error_set(err, r, "cannot lower the resource limits: %s", strerror(-r));
    r = leave_root();
    if (r < 0)
        return error_set(err, r, "cannot give up privileges: %s", strerror(-r));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set(err, -errno, "cannot give up privileges: %s", strerror(errno));
    r = restrict_files_and_ports(allow);
    if (r < 0)
        return error_set(err, r, "Landlock: %s", strerror(-r));
    r = restrict_calls();
    if (r < 0)
        return error_set(err, r, "cannot install the system call filter: %s", strerror(-r));
    return 0;
}
