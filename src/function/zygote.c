/* SPDX-License-Identifier: Apache-2.0 */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "worker/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define RESTART_FIRST (100 * CLOCK_MILLISECOND)
#define RESTART_MOST  (10 * CLOCK_SECOND)
#define STABLE_AFTER  (30 * CLOCK_SECOND)

struct zygote {
    struct loop *loop;
    char *path;
    const struct zygote_events *events;
    void *ctx;
    struct process process;
    struct loop_watch watch;
    int socket; /* -1: it is not running */
    bool ready;
    struct loop_timer restart;
    uint64_t started_at, delay;
};

static void zygote_on_message(struct loop_watch *w, uint32_t events);
static void zygote_on_exit(struct process *p, int status);

static void zygote_close(struct zygote *z)
{
    if (z->socket < 0)
        return;
    loop_unwatch(z->loop, &z->watch);
    close(z->socket);
    z->socket = -1;
    z->ready = false;
}

static int zygote_spawn(struct zygote *z)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    const char *const argv[] = {z->path, "zygote", NULL};
    const struct process_descriptor descriptor = {ends[1], WORKER_ZYGOTE_FD};
    /* The zygote waits on its end: blocking there. */
    int flags = fcntl(ends[1], F_GETFL);
    int r = fcntl(ends[1], F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
    if (r == 0)
        r = process_spawn(&z->process, z->loop, argv, &descriptor, 1);
    close(ends[1]);
    z->watch = (struct loop_watch){.ready = zygote_on_message, .ctx = z};
    if (r == 0 && (r = loop_watch(z->loop, &z->watch, ends[0], EPOLLIN)) < 0)
        process_end(&z->process);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    z->socket = ends[0];
    z->started_at = loop_now(z->loop);
    return 0;
}

static void zygote_schedule(struct zygote *z)
{
    uint64_t now = loop_now(z->loop);
    if (now - z->started_at > STABLE_AFTER || z->delay == 0)
        z->delay = RESTART_FIRST;
    loop_timer_set(z->loop, &z->restart, now + z->delay);
    z->delay = z->delay * 2 > RESTART_MOST ? RESTART_MOST : z->delay * 2;
}

static void zygote_lose(struct zygote *z, const char *what)
{
    log_warn("the zygote %s; it is started again", what);
    zygote_close(z);
    process_end(&z->process);
    zygote_schedule(z);
    z->events->lost(z->ctx);
}

static void zygote_on_exit(struct process *p, int status)
{
    struct zygote *z = p->ctx;
    char what[64];
    if (WIFSIGNALED(status))
        snprintf(what, sizeof(what), "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(what, sizeof(what), "ended with status %d", WEXITSTATUS(status));
    zygote_lose(z, what);
}

static void zygote_on_restart(struct loop_timer *t)
{
    struct zygote *z = t->ctx;
    int r = zygote_spawn(z);
    if (r == 0)
        return;
    log_error("cannot start %s: %s", z->path, strerror(-r));
    zygote_schedule(z);
}

static void zygote_dispatch(struct zygote *z, const struct worker_message *m)
{
    switch ((enum worker_message_type)m->type) {
    case WORKER_MESSAGE_READY:
        z->ready = true;
        z->events->ready(z->ctx);
        return;
    case WORKER_MESSAGE_STARTED:
        z->events->started(z->ctx, m->worker, m->value);
        return;
    case WORKER_MESSAGE_EXITED:
        z->events->exited(z->ctx, m->worker, m->value);
        return;
    case WORKER_MESSAGE_START:
    case WORKER_MESSAGE_KILL:
    case WORKER_MESSAGE_TYPE_COUNT:
        break;
    }
    log_warn("the zygote sent a message of unknown type %u", m->type);
}

static void zygote_on_message(struct loop_watch *w, uint32_t events)
{
    struct zygote *z = w->ctx;
    /* A bounded number a turn; what is left wakes the loop again. */
    for (int i = 0; i < 64 && z->socket >= 0; i++) {
        struct worker_message m;
        ssize_t n = recv(z->socket, &m, sizeof(m), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            zygote_lose(z, "closed its socket");
            return;
        }
        if ((size_t)n == sizeof(m))
            zygote_dispatch(z, &m);
    }
}

int zygote_new(struct loop *loop, const char *worker_path, const struct zygote_events *events,
               void *ctx, struct zygote **ret, struct error *err)
{
    struct zygote *z = calloc(1, sizeof(*z));
    if (z == NULL || (z->path = strdup(worker_path)) == NULL) {
        free(z);
        return error_set(err, -ENOMEM, "out of memory");
    }
    z->loop = loop;
    z->events = events;
    z->ctx = ctx;
    z->socket = -1;
    z->process.exited = zygote_on_exit;
    z->process.ctx = z;
    z->restart.due = zygote_on_restart;
    z->restart.ctx = z;
    int r = zygote_spawn(z);
    if (r < 0) {
        error_set(err, r, "cannot start %s: %s", worker_path, strerror(-r));
        zygote_free(z);
        return r;
    }
    *ret = z;
    return 0;
}

void zygote_free(struct zygote *z)
{
    if (z == NULL)
        return;
    loop_timer_cancel(z->loop, &z->restart);
    zygote_close(z);
    process_end(&z->process);
    free(z->path);
    free(z);
}

static int zygote_send(struct zygote *z, const struct worker_message *m, const int *descriptors,
                       size_t count)
{
    if (!z->ready)
        return -EAGAIN;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int) * WORKER_DESCRIPTORS_MAX)];
    } control = {0};
    union { /* sendmsg takes no const, and changes nothing */
        const struct worker_message *given;
        void *wanted;
    } payload = {.given = m};
    struct iovec part = {payload.wanted, sizeof(*m)};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), descriptors, sizeof(int) * count);
    }
    ssize_t n;
    do
        n = sendmsg(z->socket, &head, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int zygote_start(struct zygote *z, const struct zygote_start *s)
{
    const int descriptors[WORKER_DESCRIPTORS_MAX] = {s->bundle, s->listener, s->report, s->module};
    const struct worker_message m = {.type = WORKER_MESSAGE_START, .worker = s->worker};
    return zygote_send(z, &m, descriptors, s->module >= 0 ? 4 : 3);
}

int zygote_kill(struct zygote *z, uint64_t worker, int signal_number)
{
    const struct worker_message m = {
        .type = WORKER_MESSAGE_KILL, .value = signal_number, .worker = worker};
    return zygote_send(z, &m, NULL, 0);
}

pid_t zygote_pid(const struct zygote *z)
{
    return z->process.pid;
}
