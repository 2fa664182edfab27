/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 over one TCP connection that is kept (RFC 9112 §9.3). The socket does not block, so that
 * every wait has its limit and an answer that comes before the request is through is read. */
#include "cli/exchange.h"

#include "base/clock.h"
#include "base/memory.h"
#include "http/reply.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RECEIVE_BYTES (32 * 1024)

struct direct {
    int fd;               /* -1: none */
    struct buf authority; /* of the host that fd leads to */
    struct reply reply;
    bool answered; /* the first byte of the answer came */
};

/* A request on its way. */
struct sending {
    struct slice head, body;
    size_t sent; /* bytes of both together */
};

struct direct *direct_new(void)
{
    struct direct *d = calloc(1, sizeof(*d));
    if (d != NULL)
        d->fd = -1;
    return d;
}

static void hang_up(struct direct *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

void direct_free(struct direct *d)
{
    if (d == NULL)
        return;
    hang_up(d);
    buf_done(&d->authority);
    reply_done(&d->reply);
    free(d);
}

/* ---- waiting ---- */

static uint64_t deadline_of(uint64_t limit_ns)
{
    return limit_ns != 0 ? clock_monotonic() + limit_ns : UINT64_MAX;
}

/* What poll() says of the socket, -ETIMEDOUT after the deadline, or another negative errno. */
static int wait_for(int fd, short events, uint64_t deadline)
{
    for (;;) {
        int timeout = -1;
        if (deadline != UINT64_MAX) {
            uint64_t now = clock_monotonic();
            if (now >= deadline)
                return -ETIMEDOUT;
            timeout = (int)((deadline - now) / CLOCK_MILLISECOND) + 1;
        }
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, timeout);
        if (n > 0)
            return p.revents;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* ---- the connection ---- */

/* The descriptor, or a negative errno. */
static int connect_address(const struct addrinfo *a, uint64_t deadline)
{
    autoclose int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        if (errno != EINPROGRESS && errno != EINTR)
            return -errno;
        int ready = wait_for(fd, POLLOUT, deadline), code = 0;
        if (ready < 0)
            return ready;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &(socklen_t){sizeof(code)}) < 0)
            return -errno;
        if (code != 0)
            return -code;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return STEAL_FD(fd);
}

/* One address after the other; of the time that is left each gets its share. */
static int connect_any(const struct addrinfo *list, uint64_t deadline)
{
    int status = -ENOENT;
    unsigned left = 0;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        left++;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next, left--) {
        uint64_t now = clock_monotonic();
        if (now >= deadline)
            return -ETIMEDOUT;
        status = connect_address(a, now + (deadline - now) / left);
        if (status >= 0)
            break;
    }
    return status;
}

static int no_address(const struct exchange *x, const char *host, int code, struct error *err)
{
    if (code == EAI_MEMORY)
        return error_set(err, -ENOMEM, "out of memory");
    char what[256];
    snprintf(what, sizeof(what), "the name %.100s cannot be resolved: %s", host,
             code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    return exchange_nobody(x, what, err);
}

static int no_connection(const struct exchange *x, int code, struct error *err)
{
    if (code == -ETIMEDOUT)
        return exchange_silent(x, "no connection came about in time", err);
    return exchange_nobody(x, strerror(-code), err);
}

static int dial(struct direct *d, const struct exchange *x, struct error *err)
{
    uint64_t deadline = deadline_of(EXCHANGE_CONNECT_SECONDS * CLOCK_SECOND);
    autofree char *host = slice_dup(x->parts.host);
    char port[8];
    struct addrinfo *list = NULL,
                    wanted = {.ai_family = x->parts.is_ipv6 ? AF_INET6 : AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICSERV | (x->parts.is_ipv6 ? AI_NUMERICHOST : 0)};
    hang_up(d);
    buf_reset(&d->authority);
    buf_add_slice(&d->authority, x->parts.authority);
    if (host == NULL || !buf_ok(&d->authority))
        return error_set(err, -ENOMEM, "out of memory");
    snprintf(port, sizeof(port), "%u", (unsigned)x->parts.port);
    /* No host at all stands for this one: localhost never leaves the machine (RFC 6761 §6.3). */
    bool here = slice_is_nocase(x->parts.host, "localhost");
    int code = getaddrinfo(here ? NULL : host, port, &wanted, &list);
    if (code != 0)
        return no_address(x, host, code, err);
    d->fd = connect_any(list, deadline);
    freeaddrinfo(list);
    return d->fd >= 0 ? 0 : no_connection(x, d->fd, err);
}

/* There is a connection to that host which nobody closed, and nothing came that was not asked for.
 */
static bool can_go_on(const struct direct *d, const struct exchange *x)
{
    char byte;
    return d->fd >= 0 && slice_equal(buf_slice(&d->authority), x->parts.authority) &&
           recv(d->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* ---- request and answer ---- */

static void write_head(const struct exchange *x, struct buf *out)
{
    const struct remote_request *q = x->request;
    buf_printf(out, "%s ", q->method != NULL ? q->method : "GET");
    if (x->parts.path.len == 0)
        buf_add_byte(out, '/');
    url_add_escaped(out, x->parts.path);
    url_add_escaped(out, x->parts.query);
    buf_add_text(out, " HTTP/1.1\r\nHost: ");
    buf_add_slice(out, url_without_empty_port(x->parts.authority));
    buf_add_text(out, "\r\nUser-Agent: sluice/" SLUICE_VERSION "\r\n");
    buf_printf(out, "Accept: %s\r\n", q->accept != NULL ? q->accept : "*/*");
    if (q->content_type != NULL)
        buf_printf(out, "Content-Type: %s\r\n", q->content_type);
    buf_add_slice(out, q->headers);
    if (q->has_body)
        buf_printf(out, "Content-Length: %zu\r\n", q->body.len);
    buf_add_text(out, "\r\n");
}

static bool is_sent(const struct sending *s)
{
    return s->sent == s->head.len + s->body.len;
}

/* As much as the socket takes. A peer that takes no more may have answered all the same: then what
 * is left counts as sent. */
static void send_more(int fd, struct sending *s)
{
    size_t of_head = s->sent < s->head.len ? s->sent : s->head.len;
    size_t of_body = s->sent - of_head;
    struct iovec parts[2] = {
        {(void *)(uintptr_t)(s->head.ptr + of_head), s->head.len - of_head},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    if (s->body.len > 0) {
        void *rest = (void *)(uintptr_t)(s->body.ptr + of_body);
        parts[message.msg_iovlen++] = (struct iovec){rest, s->body.len - of_body};
    }
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n >= 0)
        s->sent += (size_t)n;
    else if (errno != EAGAIN && errno != EINTR)
        s->sent = s->head.len + s->body.len;
}

static void hand_over(struct direct *d, struct exchange *x)
{
    if (!exchange_streams(x, d->reply.status) || d->reply.body.len == 0)
        return;
    x->ended = x->each(x->ctx, buf_slice(&d->reply.body)) != 0;
    buf_reset(&d->reply.body);
}

/* Servers of other protocols may say a few bytes and wait: a head is refused before it is whole. */
static bool begins_as_http(const struct reply *r)
{
    struct slice mark = SLICE("HTTP/1."), head = buf_slice(&r->head);
    size_t len = head.len < mark.len ? head.len : mark.len;
    return r->state != REPLY_HEAD || len == 0 || memcmp(head.ptr, mark.ptr, len) == 0;
}

/* 1: the answer is whole, or each() had enough; 0: more is to come; or a negative errno. */
static int receive(struct direct *d, struct exchange *x)
{
    char bytes[RECEIVE_BYTES];
    ssize_t n = recv(d->fd, bytes, sizeof(bytes), 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return reply_end(&d->reply);
    d->answered = true;
    int status = reply_feed(&d->reply, slice_of(bytes, (size_t)n));
    hand_over(d, x); /* what came before something that was wrong, too */
    if (status == 0 && !begins_as_http(&d->reply))
        return -EPROTO;
    return x->ended ? 1 : status;
}

/* 0, or a negative errno; -ECONNRESET: closed before the end of the answer. */
static int converse(struct direct *d, struct exchange *x, struct slice head)
{
    struct sending s = {.head = head, .body = x->request->body};
    uint64_t deadline = deadline_of(x->limit_ns);
    int status = 0;
    reply_begin(&d->reply, x->request->method != NULL && strcmp(x->request->method, "HEAD") == 0,
                EXCHANGE_ANSWER_MAX);
    d->answered = false;
    while (status == 0) {
        int ready = wait_for(d->fd, is_sent(&s) ? POLLIN : POLLIN | POLLOUT, deadline);
        if (ready < 0)
            return ready;
        if (!is_sent(&s) && (ready & POLLOUT) != 0)
            send_more(d->fd, &s);
        if ((ready & ~POLLOUT) != 0)
            status = receive(d, x);
    }
    if (x->ended || !is_sent(&s))
        d->reply.keep_alive = false;
    return status < 0 ? status : 0;
}

static int conversation_error(const struct direct *d, const struct exchange *x, int code,
                              struct error *err)
{
    switch (-code) {
    case ETIMEDOUT:
        return exchange_silent(x, "the answer took too long", err);
    case EPROTO:
        return exchange_no_http(x, "it cannot be read as an answer of HTTP/1.1", err);
    case EMSGSIZE:
        return exchange_too_large(x, err);
    case ENOMEM:
        return error_set(err, code, "out of memory");
    case ECONNRESET:
        return exchange_failed(x,
                               d->answered ? "the connection was closed in the middle of the "
                                             "answer: look into the server's log, then try again"
                                           : "the connection was closed without an answer: look "
                                             "into the server's log, then try again",
                               err);
    default:
        return exchange_failed(x, strerror(-code), err);
    }
}

int direct_exchange(struct direct *d, struct exchange *x, struct error *err)
{
    autobuf head = BUF_INIT;
    write_head(x, &head);
    if (!buf_ok(&head))
        return error_set(err, -ENOMEM, "out of memory");
    bool kept = can_go_on(d, x);
    int status = kept ? converse(d, x, buf_slice(&head)) : 0;
    if (!kept || (status == -ECONNRESET && !d->answered)) {
        status = dial(d, x, err);
        if (status < 0)
            return status;
        status = converse(d, x, buf_slice(&head));
    }
    if (status < 0 || !d->reply.keep_alive)
        hang_up(d);
    if (status < 0)
        return conversation_error(d, x, status, err);
    x->reply->status = (long)d->reply.status;
    buf_add_slice(&x->reply->headers, reply_headers(&d->reply));
    x->reply->body = d->reply.body;
    d->reply.body = (struct buf)BUF_INIT;
    return 0;
}
