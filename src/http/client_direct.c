/* SPDX-License-Identifier: Apache-2.0 */
/* Plain HTTP: workers behind Unix sockets, subscribers behind http:// URLs. One request
 * at a time on a connection, connections are kept (client_pool.h); a call costs one send and one
 * receive, and no timer system call. The peer may run anything: its answers are read within limits
 * (reply.h). */
#include "http/client_internal.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/client_pool.h"
#include "http/reply.h"
#include "http/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_SIZE       (16 * 1024)
#define IDLE_NS         (30 * CLOCK_SECOND) /* our servers close idle connections later than that */
#define READS_MAX       4                   /* of one call in a turn */
#define BUFFER_KEPT_MAX (64 * 1024)
#define CALLS_KEPT_MAX  64
#define PEER_NAME_SIZE  288 /* a socket's path, or a host with its port */

struct direct_client {
    struct loop *loop;
    struct resolver *resolver;
    struct pool pool;
    struct list calls; /* all that run */
    struct list spare; /* struct direct_call, for reuse */
    unsigned spare_count;
    char read_buffer[READ_SIZE];
};

struct direct_call {
    struct http_call call;
    struct list all;  /* in client->calls or client->spare */
    struct list link; /* in peer->waiting */
    struct direct_client *client;
    struct pool_peer *peer;
    struct pool_connection *connection;
    struct loop_timer timer; /* the time-out; also carries an error that is known at once */
    int error;
    struct buf head;
    struct slice body;
    size_t sent;
    bool half_sent; /* the peer takes no more of it; it may have answered */
    bool repeatable;
    bool again; /* it had a connection that was dead already */
    struct reply reply;
    char error_text[384];
};

static void call_ready(void *ctx, uint32_t events);
static void peer_serve_waiting(struct pool_peer *p);

/* ---- life ---- */

struct direct_client *direct_client_new(struct loop *l, unsigned connections_per_peer_max)
{
    struct direct_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->resolver = resolver_new(l, resolve_by_system);
    if (c->resolver == NULL) {
        free(c);
        return NULL;
    }
    c->loop = l;
    pool_init(&c->pool, l, c->resolver, connections_per_peer_max, IDLE_NS);
    c->pool.ready = call_ready;
    c->pool.resolved = peer_serve_waiting;
    list_init(&c->calls);
    list_init(&c->spare);
    return c;
}

static void call_release(struct direct_call *k)
{
    reply_done(&k->reply);
    buf_done(&k->head);
    k->call.magic = 0;
    free(k);
}

static void call_recycle(struct direct_call *k)
{
    struct direct_client *c = k->client;
    list_remove(&k->all);
    list_remove(&k->link);
    loop_timer_cancel(c->loop, &k->timer);
    if (c->spare_count >= CALLS_KEPT_MAX || k->reply.body.cap > BUFFER_KEPT_MAX) {
        call_release(k);
        return;
    }
    k->call.magic = 0;
    list_append(&c->spare, &k->all);
    c->spare_count++;
}

void direct_client_free(struct direct_client *c)
{
    if (c == NULL)
        return;
    static const struct http_call_result ended = {.error = -ECANCELED,
                                                  .error_text = "the client was stopped"};
    while (!list_empty(&c->calls)) {
        struct direct_call *k = list_entry(list_shift(&c->calls), struct direct_call, all);
        loop_timer_cancel(c->loop, &k->timer);
        list_remove(&k->link);
        if (k->connection != NULL)
            pool_close(k->connection);
        k->call.done(k->call.ctx, &ended);
        call_release(k);
    }
    pool_done(&c->pool);
    resolver_free(c->resolver);
    while (!list_empty(&c->spare))
        call_release(list_entry(list_shift(&c->spare), struct direct_call, all));
    free(c);
}

/* ---- the end of a call ---- */

static bool is_local(const struct pool_peer *p)
{
    return p->target.count == 1 && p->target.addresses[0].any.sa_family == AF_UNIX;
}

/* Why a name leads nowhere, or NULL. */
static const char *name_problem(const struct direct_call *k)
{
    const char *host = k->peer->target.host;
    return host != NULL ? resolver_problem(k->client->resolver, host) : NULL;
}

static const char *words_for(int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return "no answer in time";
    case -ECONNREFUSED:
        return "nobody listens there";
    case -ECONNRESET:
        return "the connection was closed before the answer was whole";
    case -EMSGSIZE:
        return "the answer is larger than allowed";
    case -EPROTO:
        return "the answer is no HTTP";
    default:
        return strerror(-error);
    }
}

/* The paths of sockets are nobody's business. */
static const char *error_text_of(struct direct_call *k, int error)
{
    if (error == 0)
        return "";
    const char *what = error == -EHOSTUNREACH ? name_problem(k) : NULL;
    if (what == NULL)
        what = words_for(error);
    if (is_local(k->peer))
        snprintf(k->error_text, sizeof(k->error_text), "%s", what);
    else
        snprintf(k->error_text, sizeof(k->error_text), "%s: %s", k->peer->name, what);
    return k->error_text;
}

static void leave_connection(struct direct_call *k, bool reusable)
{
    if (k->connection != NULL)
        pool_give_back(STEAL(k->connection), reusable);
}

/* The last that is done with a call of this peer. */
static void leave_peer(struct pool_peer *p)
{
    peer_serve_waiting(p);
    p->calls--; /* not before: what was just called may have ended other calls of this peer */
    pool_peer_release_if_unused(p);
}

static void call_end(struct direct_call *k, int error)
{
    struct pool_peer *p = k->peer;
    struct http_call_header headers[CALL_HEADERS_MAX];
    bool whole = k->sent == k->head.len + k->body.len;
    leave_connection(k, error == 0 && k->reply.keep_alive && whole);
    loop_timer_cancel(k->client->loop, &k->timer);
    struct http_call_result result = {
        .error = error,
        .error_text = error_text_of(k, error),
        .status = error == 0 ? k->reply.status : 0,
        .reason = error == 0 ? call_reason(buf_slice(&k->reply.head)) : (struct slice){"", 0},
        .headers = headers,
        .header_count =
            error == 0 ? call_split_headers(reply_headers(&k->reply), headers, CALL_HEADERS_MAX)
                       : 0,
        .body = error == 0 ? buf_slice(&k->reply.body) : (struct slice){"", 0},
        .duration_ns = clock_monotonic() - k->call.started_ns,
    };
    k->call.done(k->call.ctx, &result);
    call_recycle(k);
    leave_peer(p);
}

static void direct_cancel(struct http_call *call)
{
    struct direct_call *k = container_of(call, struct direct_call, call);
    struct pool_peer *p = k->peer;
    leave_connection(k, false);
    call_recycle(k);
    leave_peer(p);
}

static void timer_due(struct loop_timer *t)
{
    struct direct_call *k = t->ctx;
    call_end(k, k->error != 0 ? k->error : -ETIMEDOUT);
}

/* Ends the call on the next turn: never from within direct_client_call(). */
static void call_fail_soon(struct direct_call *k, int error)
{
    k->error = error;
    loop_timer_set(k->client->loop, &k->timer, loop_now(k->client->loop));
}

/* ---- sending ---- */

/* Sends what the socket takes. 0, or negative errno. */
static int call_send(struct direct_call *k)
{
    struct loop_watch *w = &k->connection->watch;
    size_t whole = k->head.len + k->body.len;
    while (k->sent < whole) {
        size_t of_head = k->sent < k->head.len ? k->sent : k->head.len;
        size_t of_body = k->sent - of_head;
        struct iovec parts[2] = {
            {k->head.ptr + of_head, k->head.len - of_head},
            {(void *)(uintptr_t)(k->body.ptr + of_body), k->body.len - of_body},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = k->body.len > 0 ? 2 : 1};
        ssize_t sent = sendmsg(w->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return errno == EPIPE ? -ECONNRESET : -errno;
        if (sent < 0)
            return loop_rewatch(k->client->loop, w, EPOLLIN | EPOLLOUT);
        k->sent += (size_t)sent;
    }
    return loop_rewatch(k->client->loop, w, EPOLLIN);
}

/* The same for a peer that takes no more: it may have answered before it had read all, which is
 * seen when that is read. */
static int call_send_or_listen(struct direct_call *k)
{
    int r = call_send(k);
    if (r != -ECONNRESET || k->half_sent)
        return r;
    k->half_sent = true;
    return loop_rewatch(k->client->loop, &k->connection->watch, EPOLLIN);
}

static bool call_again(struct direct_call *k);

static void call_begin_on(struct direct_call *k, struct pool_connection *n)
{
    k->connection = n;
    n->call = k;
    if (n->connecting)
        return;
    int r = call_send_or_listen(k);
    if (r < 0 && !call_again(k))
        call_fail_soon(k, r);
}

/* False: it waits, before all others, for its name or for a connection. */
static bool call_connect_anew(struct direct_call *k)
{
    struct pool_peer *p = k->peer;
    struct pool_connection *n = NULL;
    int r = pool_connect(p, k, &n);
    bool busy = p->connections > p->idle_connections; /* so that something will end */
    if (r == -EINPROGRESS || (r == -EAGAIN && busy)) {
        list_append(p->waiting.next, &k->link);
        return false;
    }
    if (r == 0)
        call_begin_on(k, n);
    else
        call_fail_soon(k, r);
    return true;
}

/* A kept connection was closed before an answer began, which may happen at any time (RFC 9112
 * §9.3): true, and the call goes on with a new one. The peer may have seen the request. */
static bool call_again(struct direct_call *k)
{
    bool untouched = k->reply.state == REPLY_HEAD && k->reply.head.len == 0 && k->reply.status == 0;
    if (k->again || !k->repeatable || !untouched || !k->connection->reused)
        return false;
    k->again = true;
    k->half_sent = false;
    k->sent = 0;
    pool_close(STEAL(k->connection));
    (void)call_connect_anew(k);
    return true;
}

/* The first that wait get what there is room for. */
static void peer_serve_waiting(struct pool_peer *p)
{
    while (!list_empty(&p->waiting) && pool_has_room(p)) {
        struct direct_call *k = list_entry(list_shift(&p->waiting), struct direct_call, link);
        struct pool_connection *n = pool_take(p);
        if (n != NULL)
            call_begin_on(k, n);
        else if (!call_connect_anew(k))
            return;
    }
}

/* ---- receiving ---- */

/* 1: the answer is whole; 0: more is to come; a negative errno. */
static int take_received(struct direct_call *k, ssize_t got)
{
    if (got < 0)
        return errno == EPIPE ? -ECONNRESET : -errno;
    if (got == 0)
        return reply_end(&k->reply);
    return reply_feed(&k->reply, slice_of(k->client->read_buffer, (size_t)got));
}

static void call_receive(struct direct_call *k)
{
    struct direct_client *c = k->client;
    for (int reads = 0; reads < READS_MAX; reads++) { /* the rest in another turn */
        ssize_t got =
            recv(k->connection->watch.fd, c->read_buffer, sizeof(c->read_buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        int r = take_received(k, got);
        if (r == 0 && (size_t)got == sizeof(c->read_buffer))
            continue;
        if (r == 1)
            call_end(k, 0);
        else if (r < 0 && (r != -ECONNRESET || !call_again(k)))
            call_end(k, r);
        return;
    }
}

/* False when the call has ended. */
static bool go_on_sending(struct direct_call *k)
{
    int r = k->connection->connecting ? pool_connected(k->connection) : 0;
    if (r == -EINPROGRESS)
        return true;
    if (r < 0) {
        call_end(k, r);
        return false;
    }
    r = call_send_or_listen(k);
    if (r == 0)
        return true;
    call_end(k, r);
    return false;
}

static void call_ready(void *ctx, uint32_t events)
{
    struct direct_call *k = ctx;
    if (k->error != 0)
        return; /* its end is on the way */
    bool connecting = k->connection->connecting;
    if (connecting || ((events & EPOLLOUT) != 0 && !k->half_sent))
        if (!go_on_sending(k))
            return;
    if (!connecting && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        call_receive(k);
}

/* ---- the request ---- */

static struct direct_call *call_take(struct direct_client *c)
{
    if (list_empty(&c->spare)) {
        struct direct_call *k = calloc(1, sizeof(*k));
        if (k != NULL)
            list_init(&k->all);
        return k;
    }
    c->spare_count--;
    return list_entry(list_shift(&c->spare), struct direct_call, all);
}

static void call_prepare(struct direct_call *k, struct direct_client *c,
                         const struct http_call_options *o)
{
    call_begin(&k->call, o, direct_cancel);
    list_init(&k->link);
    list_append(&c->calls, &k->all);
    k->client = c;
    k->connection = NULL;
    k->error = 0;
    k->sent = 0;
    k->half_sent = k->again = false;
    k->repeatable = o->repeatable;
    k->body = o->body;
    k->timer.due = timer_due;
    k->timer.ctx = k;
    reply_begin(&k->reply, strcmp(o->method, "HEAD") == 0,
                o->response_max > 0 ? o->response_max : CALL_RESPONSE_MAX_DEFAULT);
    loop_timer_set(c->loop, &k->timer,
                   loop_now(c->loop) + (o->timeout_ns > 0 ? o->timeout_ns : CALL_TIMEOUT_DEFAULT));
}

static int find_peer(struct direct_client *c, const struct http_call_options *o,
                     const struct url *u, struct pool_peer **ret)
{
    struct pool_target target;
    char name[PEER_NAME_SIZE];
    if (o->unix_socket != NULL)
        snprintf(name, sizeof(name), "%s", o->unix_socket);
    else
        snprintf(name, sizeof(name),
                 u->is_ipv6 ? "http://[" SLICE_FMT "]:%u" : "http://" SLICE_FMT ":%u",
                 SLICE_ARG(u->host), (unsigned)u->port);
    int r = o->unix_socket != NULL ? pool_target_unix(o->unix_socket, &target)
                                   : pool_target_tcp(u->host, u->port, &target);
    if (r < 0)
        return r;
    *ret = pool_peer(&c->pool, name, &target);
    return *ret != NULL ? 0 : -ENOMEM;
}

int direct_client_call(struct direct_client *c, const struct http_call_options *o,
                       struct http_call **ret)
{
    struct url u;
    struct pool_peer *peer = NULL;
    int r = url_split(slice_text(o->url), &u);
    if (r == 0 && o->unix_socket == NULL && !url_is_plain(&u))
        r = -ENOENT;
    if (r < 0)
        return r;
    r = find_peer(c, o, &u, &peer);
    if (r < 0)
        return r;
    struct direct_call *k = call_take(c);
    r = k != NULL ? call_write_head(&k->head, o, &u) : -ENOMEM;
    if (r < 0) {
        if (k != NULL)
            call_release(k);
        pool_peer_release_if_unused(peer);
        return r;
    }
    k->peer = peer;
    peer->calls++;
    call_prepare(k, c, o);
    list_append(&peer->waiting, &k->link);
    peer_serve_waiting(peer);
    *ret = &k->call;
    return 0;
}
