/* SPDX-License-Identifier: Apache-2.0 */
/* Calls over Unix sockets: the broker's own workers. One request at a time on a connection,
 * connections are kept; a call costs one send and one receive, and no timer system call. The peer
 * runs foreign code: its answers are read within limits (reply.h). */
#include "http/client_internal.h"

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/reply.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE       (16 * 1024)
#define IDLE_MAX_NS     (30 * CLOCK_SECOND) /* our servers close idle connections later than that */
#define BUFFER_KEPT_MAX (64 * 1024)
#define CALLS_KEPT_MAX  64

struct local_client {
    struct loop *loop;
    unsigned connections_max; /* of one socket */
    struct map peers;         /* path → struct local_peer */
    struct list calls;        /* all that run */
    struct list spare;        /* struct local_call, for reuse */
    unsigned spare_count;
    char read_buffer[READ_SIZE];
};

/* One listening socket. Lives as long as it has connections or calls. */
struct local_peer {
    struct local_client *client;
    char *path;
    struct list idle;    /* struct local_connection, the last used at the end */
    struct list waiting; /* struct local_call without a connection */
    unsigned connections, calls;
};

struct local_connection {
    struct local_peer *peer;
    struct loop_watch watch;
    struct list link; /* in peer->idle */
    struct local_call *call;
    uint64_t idle_since;
};

struct local_call {
    struct http_call call;
    struct list all;  /* in client->calls or client->spare */
    struct list link; /* in peer->waiting */
    struct local_peer *peer;
    struct local_connection *connection;
    struct loop_timer timer; /* the time-out; also carries an error that is known at once */
    int error;
    struct buf head;
    struct slice body;
    size_t sent;
    struct reply reply;
};

static void connection_ready(struct loop_watch *w, uint32_t events);
static void peer_serve_waiting(struct local_peer *p);

/* ---- life ---- */

struct local_client *local_client_new(struct loop *l, unsigned connections_per_socket_max)
{
    struct local_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->loop = l;
    c->connections_max = connections_per_socket_max;
    list_init(&c->calls);
    list_init(&c->spare);
    return c;
}

static void call_release(struct local_call *k)
{
    reply_done(&k->reply);
    buf_done(&k->head);
    k->call.magic = 0;
    free(k);
}

static void call_recycle(struct local_call *k)
{
    struct local_client *c = k->peer->client;
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

static void peer_release_if_unused(struct local_peer *p)
{
    if (p->connections > 0 || p->calls > 0)
        return;
    map_remove(&p->client->peers, slice_text(p->path));
    free(p->path);
    free(p);
}

static void connection_close(struct local_connection *n)
{
    struct local_peer *p = n->peer;
    loop_unwatch(p->client->loop, &n->watch);
    close(n->watch.fd);
    list_remove(&n->link);
    p->connections--;
    free(n);
}

void local_client_free(struct local_client *c)
{
    if (c == NULL)
        return;
    static const struct http_call_result ended = {.error = -ECANCELED,
                                                  .error_text = "the client was stopped"};
    while (!list_empty(&c->calls)) {
        struct local_call *k = list_entry(list_shift(&c->calls), struct local_call, all);
        loop_timer_cancel(c->loop, &k->timer);
        list_remove(&k->link);
        if (k->connection != NULL)
            connection_close(k->connection);
        k->call.done(k->call.ctx, &ended);
        call_release(k);
    }
    size_t at = 0;
    void *value;
    while (map_next(&c->peers, &at, NULL, &value)) {
        struct local_peer *p = value;
        while (!list_empty(&p->idle))
            connection_close(list_entry(p->idle.next, struct local_connection, link));
        free(p->path);
        free(p);
    }
    map_done(&c->peers);
    while (!list_empty(&c->spare))
        call_release(list_entry(list_shift(&c->spare), struct local_call, all));
    free(c);
}

static struct local_peer *peer_of(struct local_client *c, const char *path)
{
    struct local_peer *p = map_get(&c->peers, slice_text(path));
    if (p != NULL)
        return p;
    p = calloc(1, sizeof(*p));
    if (p == NULL || (p->path = strdup(path)) == NULL ||
        map_put(&c->peers, slice_text(path), p) < 0) {
        if (p != NULL)
            free(p->path);
        free(p);
        return NULL;
    }
    p->client = c;
    list_init(&p->idle);
    list_init(&p->waiting);
    return p;
}

/* ---- the end of a call ---- */

static const char *error_text_of(int error)
{
    switch (error) {
    case 0:
        return "";
    case -ETIMEDOUT:
        return "no answer in time";
    case -ECONNREFUSED:
        return "nobody listens on the socket";
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

/* The connection goes back to its peer, or away. */
static void leave_connection(struct local_call *k, bool reusable)
{
    struct local_connection *n = STEAL(k->connection);
    if (n == NULL)
        return;
    n->call = NULL;
    struct loop *l = n->peer->client->loop;
    if (!reusable || loop_rewatch(l, &n->watch, EPOLLIN) < 0) {
        connection_close(n);
        return;
    }
    n->idle_since = loop_now(l);
    list_append(&n->peer->idle, &n->link);
}

static void call_end(struct local_call *k, int error)
{
    struct local_peer *p = k->peer;
    struct http_call_header headers[CALL_HEADERS_MAX];
    leave_connection(k, error == 0 && k->reply.keep_alive);
    loop_timer_cancel(p->client->loop, &k->timer);
    struct http_call_result result = {
        .error = error,
        .error_text = error_text_of(error),
        .status = error == 0 ? k->reply.status : 0,
        .headers = headers,
        .header_count =
            error == 0 ? call_split_headers(reply_headers(&k->reply), headers, CALL_HEADERS_MAX)
                       : 0,
        .body = error == 0 ? buf_slice(&k->reply.body) : (struct slice){"", 0},
        .duration_ns = clock_monotonic() - k->call.started_ns,
    };
    k->call.done(k->call.ctx, &result);
    call_recycle(k);
    peer_serve_waiting(p);
    p->calls--; /* not before: what was just called may have ended other calls of this peer */
    peer_release_if_unused(p);
}

static void local_cancel(struct http_call *call)
{
    struct local_call *k = container_of(call, struct local_call, call);
    struct local_peer *p = k->peer;
    leave_connection(k, false);
    call_recycle(k);
    peer_serve_waiting(p);
    p->calls--; /* not before: what was just called may have ended other calls of this peer */
    peer_release_if_unused(p);
}

static void timer_due(struct loop_timer *t)
{
    struct local_call *k = t->ctx;
    call_end(k, k->error != 0 ? k->error : -ETIMEDOUT);
}

/* Ends the call on the next turn: never from within local_client_call(). */
static void call_fail_soon(struct local_call *k, int error)
{
    struct loop *l = k->peer->client->loop;
    k->error = error;
    loop_timer_set(l, &k->timer, loop_now(l));
}

/* ---- sending ---- */

static int connection_new(struct local_peer *p, struct local_connection **ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(p->path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, p->path, strlen(p->path) + 1);
    autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == ENOENT ? -ECONNREFUSED : -errno;
    struct local_connection *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->peer = p;
    n->watch.ready = connection_ready;
    n->watch.ctx = n;
    list_init(&n->link);
    int r = loop_watch(p->client->loop, &n->watch, fd, EPOLLIN);
    if (r < 0) {
        free(n);
        return r;
    }
    (void)STEAL_FD(fd);
    p->connections++;
    *ret = n;
    return 0;
}

/* Sends what the socket takes. 0, or negative errno. */
static int call_send(struct local_call *k)
{
    struct local_connection *n = k->connection;
    size_t whole = k->head.len + k->body.len;
    while (k->sent < whole) {
        size_t of_head = k->sent < k->head.len ? k->sent : k->head.len;
        size_t of_body = k->sent - of_head;
        struct iovec parts[2] = {
            {k->head.ptr + of_head, k->head.len - of_head},
            {(void *)(uintptr_t)(k->body.ptr + of_body), k->body.len - of_body},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = k->body.len > 0 ? 2 : 1};
        ssize_t sent = sendmsg(n->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return errno == EPIPE ? -ECONNRESET : -errno;
        if (sent < 0)
            return loop_rewatch(n->peer->client->loop, &n->watch, EPOLLIN | EPOLLOUT);
        k->sent += (size_t)sent;
    }
    return loop_rewatch(n->peer->client->loop, &n->watch, EPOLLIN);
}

static void call_begin_on(struct local_call *k, struct local_connection *n)
{
    k->connection = n;
    n->call = k;
    int r = call_send(k);
    if (r < 0)
        call_fail_soon(k, r);
}

static struct local_connection *take_idle(struct local_peer *p)
{
    uint64_t now = loop_now(p->client->loop);
    while (!list_empty(&p->idle)) {
        struct local_connection *n = list_entry(p->idle.prev, struct local_connection, link);
        list_remove(&n->link);
        if (now - n->idle_since < IDLE_MAX_NS)
            return n;
        connection_close(n);
    }
    return NULL;
}

/* Gives the call a connection, or lets it wait for one. */
static void call_connect(struct local_call *k)
{
    struct local_peer *p = k->peer;
    struct local_connection *n = take_idle(p);
    int r = 0;
    if (n == NULL && p->connections < p->client->connections_max)
        r = connection_new(p, &n);
    if (n != NULL)
        call_begin_on(k, n);
    else if (r == 0 ||
             (r == -EAGAIN && p->connections > 0)) /* EAGAIN: the peer's backlog is full */
        list_append(&p->waiting, &k->link);
    else
        call_fail_soon(k, r);
}

static void peer_serve_waiting(struct local_peer *p)
{
    if (list_empty(&p->waiting))
        return;
    call_connect(list_entry(list_shift(&p->waiting), struct local_call, link));
}

/* ---- receiving ---- */

static void connection_receive(struct local_connection *n)
{
    struct local_call *k = n->call;
    struct local_client *c = n->peer->client;
    for (;;) {
        ssize_t got = recv(n->watch.fd, c->read_buffer, sizeof(c->read_buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        int r = got < 0    ? -errno
                : got == 0 ? reply_end(&k->reply)
                           : reply_feed(&k->reply, slice_of(c->read_buffer, (size_t)got));
        if (r == 1)
            call_end(k, 0);
        else if (r < 0)
            call_end(k, r);
        else if ((size_t)got == sizeof(c->read_buffer))
            continue;
        return;
    }
}

static void connection_ready(struct loop_watch *w, uint32_t events)
{
    struct local_connection *n = w->ctx;
    if (n->call == NULL) { /* idle: the peer closed it, or talks without having been asked */
        struct local_peer *p = n->peer;
        connection_close(n);
        peer_release_if_unused(p);
        return;
    }
    if (n->call->error != 0)
        return; /* its end is on the way */
    if ((events & EPOLLOUT) != 0) {
        int r = call_send(n->call);
        if (r < 0) {
            call_end(n->call, r);
            return;
        }
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        connection_receive(n);
}

/* ---- the request ---- */

/* http://HOST/PATH?QUERY. False when it is no such URL. */
static bool split_url(const char *url, struct slice *ret_host, struct slice *ret_path)
{
    if (strncmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + 7;
    const char *path = strchr(host, '/');
    *ret_host = path != NULL ? slice_of(host, (size_t)(path - host)) : slice_text(host);
    *ret_path = path != NULL ? slice_text(path) : (struct slice){"/", 1};
    for (const char *at = host; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return false;
    return ret_host->len > 0;
}

static int write_head(struct buf *head, const struct http_call_options *o)
{
    struct slice host, path;
    if (!split_url(o->url, &host, &path))
        return -EINVAL;
    buf_reset(head);
    buf_add_text(head, o->method);
    buf_add_byte(head, ' ');
    buf_add_slice(head, path);
    buf_add_text(head, " HTTP/1.1\r\nHost: ");
    buf_add_slice(head, host);
    buf_add_text(head, "\r\n");
    for (unsigned i = 0; i < o->header_count; i++) {
        if (call_header_is_bad(&o->headers[i]))
            return -EINVAL;
        buf_add_slice(head, o->headers[i].name);
        buf_add_text(head, ": ");
        buf_add_slice(head, o->headers[i].value);
        buf_add_text(head, "\r\n");
    }
    bool bodiless =
        o->body.len == 0 && (strcmp(o->method, "GET") == 0 || strcmp(o->method, "HEAD") == 0);
    if (!bodiless)
        buf_printf(head, "Content-Length: %zu\r\n", o->body.len);
    buf_add_text(head, "\r\n");
    return buf_ok(head) ? 0 : -ENOMEM;
}

static struct local_call *call_take(struct local_client *c)
{
    if (list_empty(&c->spare)) {
        struct local_call *k = calloc(1, sizeof(*k));
        if (k != NULL)
            list_init(&k->all);
        return k;
    }
    c->spare_count--;
    return list_entry(list_shift(&c->spare), struct local_call, all);
}

int local_client_call(struct local_client *c, const struct http_call_options *o,
                      struct http_call **ret)
{
    struct local_call *k = call_take(c);
    if (k == NULL)
        return -ENOMEM;
    int r = write_head(&k->head, o);
    k->peer = r == 0 ? peer_of(c, o->unix_socket) : NULL;
    if (k->peer == NULL) {
        call_release(k);
        return r < 0 ? r : -ENOMEM;
    }
    k->peer->calls++;
    call_begin(&k->call, o, local_cancel);
    list_init(&k->link);
    list_append(&c->calls, &k->all);
    k->connection = NULL;
    k->error = 0;
    k->sent = 0;
    k->body = o->body;
    k->timer.due = timer_due;
    k->timer.ctx = k;
    reply_begin(&k->reply, strcmp(o->method, "HEAD") == 0,
                o->response_max > 0 ? o->response_max : CALL_RESPONSE_MAX_DEFAULT);
    loop_timer_set(c->loop, &k->timer,
                   loop_now(c->loop) + (o->timeout_ns > 0 ? o->timeout_ns : CALL_TIMEOUT_DEFAULT));
    call_connect(k);
    *ret = &k->call;
    return 0;
}
