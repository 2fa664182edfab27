/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/sandbox.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_SECONDS 10
/* Of programs that install packages, with what they put into their temporary folder. */
#define PREPARE_MEMORY (UINT64_C(4) << 30)

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)

struct ends {
    int control, out, err;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(STEAL_FD(*fd));
}

static int open_ends(struct sandbox *s, struct ends *inner)
{
    int control[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    const struct timeval longest = {.tv_sec = START_SECONDS};
    int r = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
        pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
        setsockopt(control[0], SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof(longest)) < 0)
        r = -errno;
    s->control = control[0];
    s->out = out[0];
    s->err = err[0];
    *inner = (struct ends){control[1], out[1], err[1]};
    if (r == 0 && (fdio_set_nonblocking(s->out) < 0 || fdio_set_nonblocking(s->err) < 0))
        r = -errno;
    return r;
}

static void close_ends(struct ends *e)
{
    close_end(&e->control);
    close_end(&e->out);
    close_end(&e->err);
}

/* As fork(), with namespaces. */
static pid_t fork_into(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* ---- messages from init ---- */

static void keep_sockets(struct sandbox *s, struct msghdr *m, const int *rules, size_t count)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t sent = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < sent; i++) {
            struct lan_socket *to = &s->lan[s->lan_count];
            memcpy(&to->fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (i < count && s->lan_count < LAN_SOCKETS_MAX) {
                to->rule = rules[i];
                s->lan_count++;
            } else {
                close(to->fd);
            }
        }
    }
}

/* One message; its length, 0 at the end, or a negative errno. */
static ssize_t receive(struct sandbox *s, char bytes[SANDBOX_MESSAGE_MAX])
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * LAN_SOCKETS_MAX)];
    } rights;
    struct iovec part = {bytes, SANDBOX_MESSAGE_MAX - 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &rights,
                       .msg_controllen = sizeof(rights)};
    ssize_t n;
    do
        n = recvmsg(s->control, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    bytes[n] = '\0';
    if (n > 0 && bytes[0] == SANDBOX_LAN) {
        int rules[LAN_SOCKETS_MAX];
        size_t count = ((size_t)n - 1) / sizeof(int);
        count = count < LAN_SOCKETS_MAX ? count : LAN_SOCKETS_MAX;
        memcpy(rules, bytes + 1, count * sizeof(int));
        keep_sockets(s, &m, rules, count);
    }
    return n;
}

static void add_missing(struct sandbox *s, const char *text)
{
    size_t len = strlen(s->missing);
    snprintf(s->missing + len, sizeof(s->missing) - len, "%s%s", len > 0 ? ", " : "", text);
}

/* 0: the program's process is there; -EAGAIN: it wants no namespaces. */
static int await_start(struct sandbox *s, struct error *err)
{
    for (;;) {
        char bytes[SANDBOX_MESSAGE_MAX];
        ssize_t n = receive(s, bytes);
        if (n <= 0)
            return error_set(err, n < 0 ? (int)n : -ECHILD,
                             "the function's first process ended before it began");
        if (bytes[0] == SANDBOX_STARTED)
            return 0;
        if (bytes[0] == SANDBOX_PLAIN)
            return error_set(err, -EAGAIN, "%s", bytes + 1);
        if (bytes[0] == SANDBOX_ERROR)
            return error_set(err, -ECHILD, "%s", bytes + 1);
        if (bytes[0] == SANDBOX_MISSING)
            add_missing(s, bytes + 1);
    }
}

/* ---- start ---- */

static int make_tmp(const struct sandbox_options *o, struct sandbox *s)
{
    strcpy(s->tmp, "/tmp/sluice-function-XXXXXX");
    if (mkdtemp(s->tmp) == NULL) {
        s->tmp[0] = '\0';
        return -errno;
    }
    if (o->uid != (uid_t)-1 && chown(s->tmp, o->uid, o->uid) < 0)
        return -errno;
    return 0;
}

static int launch(const struct sandbox_options *o, unsigned long flags, struct sandbox *s,
                  struct error *err)
{
    struct ends inner;
    int r = open_ends(s, &inner);
    if (r == 0 && flags == 0)
        r = make_tmp(o, s);
    if (r < 0) {
        close_ends(&inner);
        return error_set(err, r, "cannot start a process: %s", strerror(-r));
    }
    const struct init_options init = {
        .sandbox = o,
        .control = inner.control,
        .out = inner.out,
        .err = inner.err,
        .namespaces = flags != 0,
        .user_namespace = (flags & CLONE_NEWUSER) != 0,
        .outer_uid = geteuid(),
        .tmp = flags == 0 ? s->tmp : NULL,
    };
    s->init = fork_into(flags);
    if (s->init == 0) {
        close_end(&s->control);
        close_end(&s->out);
        close_end(&s->err);
        init_run(&init);
    }
    r = s->init < 0 ? -errno : 0;
    close_ends(&inner);
    return r < 0 ? error_set(err, r, "cannot start a process in namespaces of its own: %s",
                             strerror(-r))
                 : 0;
}

static uint64_t memory_of(const struct sandbox_options *o)
{
    if (o->preparing)
        return PREPARE_MEMORY;
    return o->bundle->limits.memory_bytes + o->runtime->memory_bytes;
}

static int try_start(const struct sandbox_options *o, unsigned long flags, struct sandbox *s,
                     struct error *err)
{
    const char go = SANDBOX_GO;
    int r = launch(o, flags, s, err);
    if (r < 0)
        return r;
    if (o->confinement != CONFINEMENT_NONE && cgroup_enter(&s->cgroup, s->init, memory_of(o)) < 0)
        add_missing(s, "a memory control group (RLIMIT_DATA limits each process)");
    if (send(s->control, &go, 1, MSG_NOSIGNAL) < 0)
        return error_set(err, -errno, "cannot start the function's first process");
    return await_start(s, err);
}

static unsigned long wanted_flags(const struct sandbox_options *o)
{
    if (o->confinement == CONFINEMENT_NONE)
        return 0;
    return NAMESPACES | (o->preparing ? 0 : CLONE_NEWNET) | (geteuid() != 0 ? CLONE_NEWUSER : 0);
}

int sandbox_start(const struct sandbox_options *o, struct sandbox *ret, struct error *err)
{
    struct sandbox s = {.control = -1, .out = -1, .err = -1};
    struct error first = ERROR_INIT;
    unsigned long flags = wanted_flags(o);
    int r = try_start(o, flags, &s, &first);
    bool unprivileged = r == -EPERM || r == -ENOSPC || r == -EUSERS || r == -EAGAIN;
    if (r < 0 && flags != 0 && o->confinement == CONFINEMENT_PARTIAL && unprivileged) {
        sandbox_finish(&s);
        s = (struct sandbox){.control = -1, .out = -1, .err = -1};
        add_missing(&s, "namespaces for files, processes and network (so network.allow is not "
                        "enforced)");
        r = try_start(o, 0, &s, &first);
    }
    if (r < 0) {
        sandbox_finish(&s);
        return error_set(err, r, "%s", first.message);
    }
    *ret = s;
    return 0;
}

/* ---- the end ---- */

void sandbox_end(struct sandbox *s)
{
    const char end = SANDBOX_END;
    if (s->control >= 0)
        (void)!send(s->control, &end, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool sandbox_finish(struct sandbox *s)
{
    int status;
    close_end(&s->control); /* init takes it as the order to kill what is left */
    close_end(&s->out);
    close_end(&s->err);
    for (unsigned i = 0; i < s->lan_count; i++)
        close(s->lan[i].fd);
    s->lan_count = 0;
    while (s->init > 0 && waitpid(s->init, &status, 0) < 0 && errno == EINTR)
        ;
    s->init = 0;
    bool killed = cgroup_kills(&s->cgroup) > 0;
    cgroup_remove(&s->cgroup);
    if (s->tmp[0] != '\0')
        (void)fdio_remove_tree(s->tmp);
    s->tmp[0] = '\0';
    return killed;
}
