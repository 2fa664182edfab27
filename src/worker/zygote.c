/* SPDX-License-Identifier: Apache-2.0 */
/* The zygote: a process with an initialised engine that forks workers in about a millisecond, and
 * tells how they end (protocol.h). It has one thread and no network; it ends when its socket
 * closes, and its workers die with it. */
#include "worker/worker_internal.h"

#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZYGOTE_BUNDLE_MAX (64 * 1024 * 1024)

enum { BUNDLE_FD, LISTEN_FD, REPORT_FD, MODULE_FD };

struct child {
    struct list node;
    uint64_t worker;
    pid_t pid;
};

struct order {
    struct worker_message message;
    int fds[WORKER_DESCRIPTORS_MAX];
    size_t fd_count;
};

static struct list children;

static void on_child(int sig)
{
}

static void tell(int socket, uint32_t type, int32_t value, uint64_t worker)
{
    struct worker_message m = {.type = type, .value = value, .worker = worker};
    ssize_t n;
    do
        n = send(socket, &m, sizeof(m), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EPIPE && errno != ECONNRESET) /* without a host this process ends, too */
        log_error("cannot report to the host: %s", strerror(errno));
}

static int map_bundle(int fd, struct slice *ret)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return -errno;
    if (info.st_size <= 0 || info.st_size > ZYGOTE_BUNDLE_MAX)
        return -EFBIG;
    void *text = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return -errno;
    *ret = slice_of(text, (size_t)info.st_size);
    return 0;
}

/* In the child. */
static _Noreturn void worker_main(const struct order *o, pid_t zygote)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != zygote)
        _exit(1);
    int keep[WORKER_DESCRIPTORS_MAX + 1];
    memcpy(keep, o->fds, o->fd_count * sizeof(*keep));
    keep[o->fd_count] = network_descriptor();
    confine_close_others(keep, o->fd_count + 1);
    signal(SIGCHLD, SIG_DFL);
    entropy_reset();
    serve_catch_signals();
    report_setup(o->fds[REPORT_FD], false);
    struct slice bundle = {0};
    int status = map_bundle(o->fds[BUNDLE_FD], &bundle);
    close(o->fds[BUNDLE_FD]);
    if (status < 0) {
        report_failed_text("the bundle cannot be read");
        _exit(2);
    }
    fcntl(o->fds[REPORT_FD], F_SETFL, O_WRONLY | O_NONBLOCK);
    struct serve_options options = {.listen_fd = o->fds[LISTEN_FD]};
    _exit(serve_run(bundle, o->fd_count > MODULE_FD ? o->fds[MODULE_FD] : -1, &options));
}

static void start_worker(int socket, const struct order *o)
{
    struct child *c = calloc(1, sizeof(*c));
    pid_t zygote = getpid();
    pid_t pid = -1;
    if (o->fd_count <= REPORT_FD)
        errno = EINVAL;
    else if (c == NULL)
        errno = ENOMEM;
    else
        pid = fork();
    if (pid == 0)
        worker_main(o, zygote);
    if (pid < 0) {
        int code = -errno;
        free(c);
        tell(socket, WORKER_MESSAGE_STARTED, code, o->message.worker);
        return;
    }
    c->pid = pid;
    c->worker = o->message.worker;
    list_append(&children, &c->node);
    tell(socket, WORKER_MESSAGE_STARTED, pid, c->worker);
}

static void kill_worker(const struct worker_message *m)
{
    list_for_each (node, &children) {
        struct child *c = list_entry(node, struct child, node);
        if (c->worker == m->worker)
            kill(c->pid, m->value);
    }
}

static void reap(int socket)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        list_for_each_safe (node, following, &children) {
            struct child *c = list_entry(node, struct child, node);
            if (c->pid != pid)
                continue;
            tell(socket, WORKER_MESSAGE_EXITED, status, c->worker);
            list_remove(&c->node);
            free(c);
        }
}

/* 1: an order, 0: the host is gone, or a negative errno. */
static int receive(int socket, struct order *o)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * WORKER_DESCRIPTORS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec part = {&o->message, sizeof(o->message)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    o->fd_count = 0;
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return n == 0 ? 0 : -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (count > WORKER_DESCRIPTORS_MAX)
            count = WORKER_DESCRIPTORS_MAX;
        memcpy(o->fds, CMSG_DATA(c), count * sizeof(int));
        o->fd_count = count;
    }
    return n == sizeof(o->message) ? 1 : -EBADMSG;
}

static void obey(int socket, const struct order *o)
{
    switch ((enum worker_message_type)o->message.type) {
    case WORKER_MESSAGE_START:
        start_worker(socket, o);
        break;
    case WORKER_MESSAGE_KILL:
        kill_worker(&o->message);
        break;
    case WORKER_MESSAGE_READY:
    case WORKER_MESSAGE_STARTED:
    case WORKER_MESSAGE_EXITED:
    case WORKER_MESSAGE_TYPE_COUNT:
    default:
        log_error("unknown order %u from the host", o->message.type);
        break;
    }
    for (size_t i = 0; i < o->fd_count; i++)
        close(o->fds[i]);
}

/* SIGCHLD is blocked but while waiting. */
static sigset_t catch_children(void)
{
    struct sigaction child = {.sa_handler = on_child};
    sigset_t blocked, waiting;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &waiting);
    sigdelset(&waiting, SIGCHLD);
    sigaction(SIGCHLD, &child, NULL);
    return waiting;
}

int zygote_run(int socket)
{
    list_init(&children);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* for the fetchers of workers that ended */
    signal(SIGPIPE, SIG_IGN);
    sigset_t waiting = catch_children();
    tell(socket, WORKER_MESSAGE_READY, 0, 0);
    for (;;) {
        struct pollfd fd = {.fd = socket, .events = POLLIN};
        int n = ppoll(&fd, 1, NULL, &waiting);
        int failure = errno; /* reap() changes it */
        reap(socket);
        if (n < 0 && failure == EINTR)
            continue;
        struct order o;
        int status = n < 0 ? -failure : receive(socket, &o);
        if (status == 0 || status == -ECONNRESET) /* it left something unread */
            return 0;
        if (status == 1)
            obey(socket, &o);
        else if (status != -EINTR && status != -EAGAIN) {
            log_error("the host's socket: %s", strerror(-status));
            return 1;
        }
    }
}
