/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/probe.h"

#include "base/clock.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#define AGAIN_AFTER    (20 * CLOCK_MILLISECOND)
#define ANSWER_LONGEST (2 * CLOCK_SECOND)
#define ANSWER_MAX     65536

static const char question[] = "GET /health/readiness HTTP/1.1\r\nHost: localhost\r\n"
                               "User-Agent: sluice-runner\r\nConnection: close\r\n\r\n";

static void close_connection(struct probe *p)
{
    if (p->fd < 0)
        return;
    loop_unwatch(p->loop, &p->watch);
    close(STEAL_FD(p->fd));
}

static void again(struct probe *p)
{
    close_connection(p);
    loop_timer_set(p->loop, &p->timer, loop_now(p->loop) + AGAIN_AFTER);
}

static void on_answer(struct loop_watch *w, uint32_t events)
{
    struct probe *p = w->ctx;
    char bytes[4096];
    ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    int r = n > 0    ? reply_feed(&p->reply, slice_of(bytes, (size_t)n))
            : n == 0 ? reply_end(&p->reply)
                     : -errno;
    if (r == 0)
        return;
    p->status = r == 1 ? p->reply.status : 0;
    if (r == 1 && p->reply.status == 200) {
        close_connection(p);
        loop_timer_cancel(p->loop, &p->timer);
        p->ready(p->ctx);
    } else {
        again(p);
    }
}

/* The question fits into the socket's buffer; a Unix socket's connect does not wait. */
static int ask(struct probe *p)
{
    p->fd = socket(p->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        return -errno;
    p->watch = (struct loop_watch){.ready = on_answer, .ctx = p};
    if (connect(p->fd, (const struct sockaddr *)&p->address, p->address_len) < 0 ||
        send(p->fd, question, sizeof(question) - 1, MSG_NOSIGNAL) !=
            (ssize_t)sizeof(question) - 1) {
        int r = -errno;
        close(STEAL_FD(p->fd));
        return r;
    }
    return loop_watch(p->loop, &p->watch, p->fd, EPOLLIN);
}

static void on_timer(struct loop_timer *t)
{
    struct probe *p = t->ctx;
    close_connection(p);
    reply_begin(&p->reply, false, ANSWER_MAX);
    if (ask(p) < 0)
        again(p);
    else
        loop_timer_set(p->loop, &p->timer, loop_now(p->loop) + ANSWER_LONGEST);
}

/* All addresses means any: the loopback will do. */
static void choose_loopback(struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY))
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
        v6->sin6_addr = in6addr_loopback;
}

int probe_begin(struct probe *p, struct loop *loop, int listener, void (*ready)(void *ctx),
                void *ctx)
{
    *p = (struct probe){.loop = loop, .fd = -1, .ready = ready, .ctx = ctx};
    p->timer.due = on_timer;
    p->timer.ctx = p;
    p->address_len = sizeof(p->address);
    if (getsockname(listener, (struct sockaddr *)&p->address, &p->address_len) < 0)
        return -errno;
    choose_loopback(&p->address);
    loop_timer_set(loop, &p->timer, loop_now(loop));
    return 0;
}

void probe_end(struct probe *p)
{
    if (p->loop == NULL)
        return;
    close_connection(p);
    loop_timer_cancel(p->loop, &p->timer);
    reply_done(&p->reply);
}
