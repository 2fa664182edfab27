/* SPDX-License-Identifier: Apache-2.0 */
/* Native code where a compiled module should be: what an attacker would run who found a way out of
 * the sandbox. Each export tries one thing that a worker must not be able to do, and gives what the
 * system call answered. The test says what came of it (test_escape.py). */
#include "worker/module_abi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SECRET
#error the test defines SECRET, a file that holds one, and MARK, a file that must not come to be
#endif

static long answer(long result)
{
    return result < 0 ? -errno : result;
}

/* The first bytes of an open file, so that success cannot be mistaken. */
static long content(long fd)
{
    char text[8] = "";
    if (fd < 0)
        return -errno;
    return read((int)fd, text, sizeof(text)) == sizeof(text) ? memcmp(text, "SECRET", 6) + 424242
                                                             : -errno;
}

static long do_open(void)
{
    return content(syscall(SYS_open, SECRET, O_RDONLY));
}
static long do_openat(void)
{
    return content(syscall(SYS_openat, AT_FDCWD, SECRET, O_RDONLY));
}
static long do_openat2(void)
{
    unsigned long how[3] = {O_RDONLY, 0, 0};
    return content(syscall(SYS_openat2, AT_FDCWD, SECRET, how, sizeof(how)));
}
static long do_open_below_a_descriptor(void)
{
    for (int fd = 0; fd < 64; fd++)
        if (content(syscall(SYS_openat, fd, "../../../../../../.." SECRET, O_RDONLY)) > 0)
            return 424242;
    return -errno;
}
static long do_create(void)
{
    return answer(syscall(SYS_creat, MARK, 0666));
}
static long do_unlink(void)
{
    return answer(unlink(SECRET));
}
static long do_rename(void)
{
    return answer(rename(SECRET, MARK));
}
static long do_symlink(void)
{
    return answer(symlink(SECRET, MARK));
}
static long do_chmod(void)
{
    return answer(chmod(SECRET, 0777));
}
static long do_stat(void)
{
    struct stat s;
    return answer(stat(SECRET, &s));
}
static long do_truncate(void)
{
    return answer(truncate(SECRET, 0));
}
static long do_memfd(void)
{
    return answer(syscall(SYS_memfd_create, "x", 0));
}
static long do_chroot(void)
{
    return answer(chroot("/"));
}
static long do_mount(void)
{
    return answer(mount("none", "/tmp", "tmpfs", 0, NULL));
}
static long do_handle(void)
{
    struct {
        struct file_handle h;
        char room[128];
    } handle = {.h = {.handle_bytes = 128}};
    int mount_id;
    return answer(syscall(SYS_name_to_handle_at, AT_FDCWD, SECRET, &handle, &mount_id, 0));
}

static long dial(int family, const void *address, socklen_t len)
{
    long fd = socket(family, SOCK_STREAM, 0);
    return fd < 0 ? -errno : answer(connect((int)fd, address, len));
}
static long do_connect(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return dial(AF_INET, &to, sizeof(to));
}
static long do_unix(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    return dial(AF_UNIX, &to, sizeof(to));
}
static long do_udp(void)
{
    return answer(socket(AF_INET, SOCK_DGRAM, 0));
}
static long do_ipv6(void)
{
    return answer(socket(AF_INET6, SOCK_STREAM, 0));
}
static long do_netlink(void)
{
    return answer(socket(AF_NETLINK, SOCK_RAW, 0));
}
static long do_raw(void)
{
    return answer(socket(AF_PACKET, SOCK_RAW, 0));
}
static long do_socketpair(void)
{
    int fds[2];
    return answer(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}
static long do_reconnect(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (int fd = 0; fd < 64; fd++)
        if (syscall(SYS_connect, fd, &to, sizeof(to)) == 0)
            return 424242;
    return -errno;
}

static long mark(long pid)
{
    if (pid == 0) {
        creat(MARK, 0666);
        _exit(0);
    }
    return pid < 0 ? -errno : pid;
}
static long do_fork(void)
{
    return mark(syscall(SYS_fork));
}
static long do_clone(void)
{
    return mark(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
static long do_clone3(void)
{
    unsigned long long how[11] = {[4] = SIGCHLD};
    return mark(syscall(SYS_clone3, how, sizeof(how)));
}
static long do_exec(void)
{
    char *const words[] = {"/usr/bin/touch", MARK, NULL};
    return answer(execve(words[0], words, NULL));
}
static long do_execveat(void)
{
    char *const words[] = {"touch", MARK, NULL};
    return answer(syscall(SYS_execveat, AT_FDCWD, "/usr/bin/touch", words, NULL, 0));
}

static long do_kill(void)
{
    return answer(kill(getppid(), SIGKILL));
}
static long do_tgkill(void)
{
    return answer(syscall(SYS_tgkill, PARENT, PARENT, SIGKILL));
}
static long do_sigqueue(void)
{
    siginfo_t i = {.si_code = SI_QUEUE};
    return answer(syscall(SYS_rt_sigqueueinfo, PARENT, SIGKILL, &i));
}
static long do_ptrace(void)
{
    return answer(ptrace(PTRACE_ATTACH, PARENT, NULL, NULL));
}
static long do_read_memory(void)
{
    char byte;
    struct iovec mine = {&byte, 1}, theirs = {(void *)&do_ptrace, 1};
    return answer(process_vm_readv(PARENT, &mine, 1, &theirs, 1, 0));
}
static long do_pidfd(void)
{
    return answer(syscall(SYS_pidfd_open, PARENT, 0));
}
/* The kernel sends SIGIO, or what F_SETSIG says, to the owner of a descriptor. */
static long do_owner(void)
{
    long last = 0;
    for (int fd = 0; fd < 64; fd++) {
        if (fcntl(fd, F_SETOWN, PARENT) != 0 && (last = -errno) == -EBADF)
            continue;
        if (fcntl(fd, F_SETSIG, SIGKILL) == 0 && fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0)
            return 424242;
    }
    return last;
}
static long do_async(void)
{
    return answer(fcntl(0, F_SETFL, O_ASYNC));
}
static long do_priority(void)
{
    return answer(syscall(SYS_setpriority, 0, PARENT, 19));
}
static long do_limits(void)
{
    struct {
        long a, b;
    } none = {0, 0};
    return answer(syscall(SYS_prlimit64, PARENT, 7, &none, NULL));
}

static long do_executable(void)
{
    return answer((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
static long do_make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return answer(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
static long do_map_file(void)
{
    return answer((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0));
}
static long do_io_uring(void)
{
    struct io_uring_params how = {0};
    return answer(syscall(SYS_io_uring_setup, 4, &how));
}
static long do_bpf(void)
{
    union bpf_attr how = {0};
    return answer(syscall(SYS_bpf, BPF_MAP_CREATE, &how, sizeof(how)));
}
static long do_perf(void)
{
    struct perf_event_attr how = {.size = sizeof(how)};
    return answer(syscall(SYS_perf_event_open, &how, 0, -1, -1, 0));
}
static long do_userfault(void)
{
    return answer(syscall(SYS_userfaultfd, 0));
}
static long do_unshare(void)
{
    return answer(unshare(CLONE_NEWUSER));
}
static long do_setns(void)
{
    return answer(setns(0, 0));
}
static long do_keys(void)
{
    return answer(syscall(SYS_add_key, "user", "x", "y", 1, -3));
}
static long do_shared_memory(void)
{
    return answer(syscall(SYS_shmget, 42, 4096, 0600 | 01000));
}
static long do_terminal(void)
{
    return answer(ioctl(0, TIOCSTI, "x"));
}
static long do_setuid(void)
{
    return answer(setuid(0));
}
static long do_prctl(void)
{
    return answer(prctl(PR_SET_DUMPABLE, 1));
}
static long do_module(void)
{
    return answer(syscall(SYS_init_module, "", 0, ""));
}
static long do_reboot(void)
{
    return answer(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
}
static long do_clock(void)
{
    long t[2] = {0, 0};
    return answer(syscall(SYS_clock_settime, 0, t));
}
#ifdef __x86_64__
/* The same numbers mean other calls in the older ABI. */
static long do_int80(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(5L), "b"(0L), "c"(0L), "d"(0L) : "memory");
    return result;
}
static long do_x32(void)
{
    return answer(syscall(0x40000000 + SYS_open, SECRET, O_RDONLY));
}
#endif

/* Ends and answers in the middle. */
static long do_close_all(void)
{
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    return 0;
}
static long do_exit(void)
{
    _exit(0);
}
static long do_crash(void)
{
    *(volatile int *)8 = 1;
    return 0;
}
static long do_abort(void)
{
    abort();
}

#define ATTEMPT(name)                                                                              \
    static void call_##name(void *i, const union worker_module_value *a,                           \
                            union worker_module_value *r)                                          \
    {                                                                                              \
        (void)i;                                                                                   \
        (void)a;                                                                                   \
        r->i64 = (uint64_t)do_##name();                                                            \
    }
#define EXPORT(name) {#name, ":I", call_##name},
#define ATTEMPTS(x)                                                                                \
    x(open) x(openat) x(openat2) x(open_below_a_descriptor) x(create) x(unlink) x(rename)          \
        x(symlink) x(chmod) x(stat) x(truncate) x(memfd) x(chroot) x(mount) x(handle) x(connect)   \
            x(unix) x(udp) x(ipv6) x(netlink) x(raw) x(socketpair) x(reconnect) x(fork) x(clone)   \
                x(clone3) x(exec) x(execveat) x(kill) x(tgkill) x(sigqueue) x(ptrace)              \
                    x(read_memory) x(pidfd) x(owner) x(async) x(priority) x(limits) x(executable)  \
                        x(make_executable) x(map_file) x(io_uring) x(bpf) x(perf) x(userfault)     \
                            x(unshare) x(setns) x(keys) x(shared_memory) x(terminal) x(setuid)     \
                                x(prctl) x(module) x(reboot) x(clock) x(int80) x(x32) x(close_all) \
                                    x(exit) x(crash) x(abort)
ATTEMPTS(ATTEMPT)
static const struct worker_module_export exports[] = {ATTEMPTS(EXPORT)};

static void nothing(void)
{
}
static void nothing_with(void *instance)
{
    (void)instance;
}

const struct worker_module sluice_module = {
    .abi = WORKER_MODULE_ABI,
    .instance_size = 64,
    .init = nothing,
    .instantiate = nothing_with,
    .free = nothing_with,
    .export_count = sizeof(exports) / sizeof(exports[0]),
    .exports = exports,
};
