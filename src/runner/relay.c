/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/relay.h"

#include "base/clock.h"
#include "base/memory.h"
#include "http/request_head.h"
#include "http/resolve.h"
#include "runner/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PIPE_BYTES      16384
#define CONNECT_LONGEST (10 * CLOCK_SECOND)
#define HEAD_LONGEST    (10 * CLOCK_SECOND)
#define IDLE_LONGEST    (600 * CLOCK_SECOND)

_Static_assert(PIPE_BYTES < REQUEST_HEAD_MAX, "the proxy's heads are shorter than what is read");

enum side_name { INSIDE, OUTSIDE, SIDES };

struct connection;

/* One end, and the bytes that were read from it and wait for the other. */
struct side {
    struct connection *connection;
    struct loop_watch watch;
    int fd;
    size_t from, to;
    bool ended; /* nothing more comes from it */
    bool shut;  /* it was told that nothing more comes */
    char bytes[PIPE_BYTES];
};

enum stage { READING_HEAD, FINDING, CONNECTING, OPEN };

struct connection {
    struct list link;
    struct relay *relay;
    enum stage stage;
    bool proxied;
    bool tunnel;
    char host[ALLOW_HOST_MAX + 1];
    uint16_t port;
    struct resolve_wait wait;
    struct resolve_answer addresses;
    unsigned tried;
    struct buf head; /* goes out first */
    struct loop_timer timer;
    struct side sides[SIDES];
};

struct door {
    struct relay *relay;
    struct loop_watch watch;
    int rule;
};

struct relay {
    struct loop *loop;
    const struct allow_list *list;
    struct resolver *resolver;
    void (*refused)(void *ctx, const char *host, uint16_t port);
    void *ctx;
    struct list connections;
    unsigned count, door_count;
    struct door doors[LAN_SOCKETS_MAX];
};

/* ---- the end of a connection ---- */

static void close_side(struct connection *c, enum side_name name)
{
    struct side *s = &c->sides[name];
    if (s->fd < 0)
        return;
    if (s->watch.active)
        loop_unwatch(c->relay->loop, &s->watch);
    close(STEAL_FD(s->fd));
}

static void connection_free(struct connection *c)
{
    struct relay *r = c->relay;
    resolver_cancel(&c->wait);
    loop_timer_cancel(r->loop, &c->timer);
    close_side(c, INSIDE);
    close_side(c, OUTSIDE);
    list_remove(&c->link);
    r->count--;
    buf_done(&c->head);
    free(c);
}

/* The function sees a connection that breaks, not one that ends well. */
static void connection_break(struct connection *c)
{
    const struct linger now = {.l_onoff = 1};
    if (c->sides[INSIDE].fd >= 0)
        (void)setsockopt(c->sides[INSIDE].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    connection_free(c);
}

static void connection_refuse(struct connection *c, unsigned status, const char *message)
{
    if (c->proxied) {
        autobuf answer = BUF_INIT;
        buf_printf(&answer,
                   "HTTP/1.1 %u %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                   "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                   status,
                   status == 403   ? "Forbidden"
                   : status == 400 ? "Bad Request"
                                   : "Bad Gateway",
                   strlen(message) + 1, message);
        if (buf_ok(&answer))
            (void)!send(c->sides[INSIDE].fd, answer.ptr, answer.len, MSG_NOSIGNAL);
        connection_free(c);
    } else {
        connection_break(c);
    }
}

static void on_timer(struct loop_timer *t)
{
    struct connection *c = t->ctx;
    if (c->stage == OPEN)
        connection_break(c);
    else
        connection_refuse(c, 504, "the connection took too long");
}

static void set_timer(struct connection *c, uint64_t longest)
{
    loop_timer_set(c->relay->loop, &c->timer, loop_now(c->relay->loop) + longest);
}

/* ---- bytes ---- */

static void on_side(struct loop_watch *w, uint32_t events);

static uint32_t wanted_events(const struct connection *c, enum side_name name)
{
    const struct side *s = &c->sides[name], *other = &c->sides[1 - name];
    if (c->stage == CONNECTING && name == OUTSIDE)
        return EPOLLOUT;
    if (c->stage == READING_HEAD)
        return EPOLLIN;
    if (c->stage != OPEN)
        return 0;
    return (!s->ended && s->to < PIPE_BYTES ? EPOLLIN : 0) |
           (other->to > other->from || (name == OUTSIDE && c->head.len > 0) ? EPOLLOUT : 0);
}

static int watch_side(struct connection *c, enum side_name name)
{
    struct side *s = &c->sides[name];
    uint32_t events = wanted_events(c, name);
    if (s->fd < 0)
        return 0;
    if (s->watch.active && s->watch.events == events)
        return 0;
    if (s->watch.active && events == 0) {
        loop_unwatch(c->relay->loop, &s->watch);
        return 0;
    }
    if (s->watch.active)
        return loop_rewatch(c->relay->loop, &s->watch, events);
    if (events == 0)
        return 0;
    s->watch = (struct loop_watch){.ready = on_side, .ctx = s};
    return loop_watch(c->relay->loop, &s->watch, s->fd, events);
}

/* Reads what fits. -1: the connection is broken. */
static int fill(struct side *s)
{
    if (s->ended || s->to == PIPE_BYTES)
        return 0;
    ssize_t n = recv(s->fd, s->bytes + s->to, PIPE_BYTES - s->to, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    s->ended = n == 0;
    s->to += (size_t)n;
    return 0;
}

static int send_some(int fd, const char *bytes, size_t len, size_t *ret_sent)
{
    ssize_t n = len > 0 ? send(fd, bytes, len, MSG_NOSIGNAL) : 0;
    *ret_sent = n > 0 ? (size_t)n : 0;
    return n < 0 && errno != EAGAIN && errno != EINTR ? -1 : 0;
}

/* Writes what was read from s to the other side. */
static int drain(struct connection *c, enum side_name name)
{
    struct side *s = &c->sides[name], *other = &c->sides[1 - name];
    size_t sent;
    if (name == INSIDE && c->head.len > 0) {
        if (send_some(other->fd, c->head.ptr, c->head.len, &sent) < 0)
            return -1;
        memmove(c->head.ptr, c->head.ptr + sent, c->head.len - sent);
        c->head.len -= sent;
        if (c->head.len > 0)
            return 0;
    }
    if (send_some(other->fd, s->bytes + s->from, s->to - s->from, &sent) < 0)
        return -1;
    s->from += sent;
    if (s->from == s->to)
        s->from = s->to = 0;
    if (s->ended && s->to == 0 && !other->shut) {
        other->shut = true;
        (void)shutdown(other->fd, SHUT_WR);
    }
    return 0;
}

static void move(struct connection *c)
{
    struct side *in = &c->sides[INSIDE], *out = &c->sides[OUTSIDE];
    if (fill(in) < 0 || fill(out) < 0 || drain(c, INSIDE) < 0 || drain(c, OUTSIDE) < 0) {
        connection_break(c);
        return;
    }
    if (in->ended && out->ended && in->to == 0 && out->to == 0) {
        connection_free(c);
        return;
    }
    set_timer(c, IDLE_LONGEST);
    if (watch_side(c, INSIDE) < 0 || watch_side(c, OUTSIDE) < 0)
        connection_break(c);
}

/* ---- the way out ---- */

static void connection_open(struct connection *c)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    c->stage = OPEN;
    if (c->tunnel && send(c->sides[INSIDE].fd, established, sizeof(established) - 1,
                          MSG_NOSIGNAL) != (ssize_t)sizeof(established) - 1) {
        connection_break(c);
        return;
    }
    move(c);
}

static void connect_next(struct connection *c)
{
    const int yes = 1;
    while (c->tried < c->addresses.count) {
        union resolve_address *a = &c->addresses.addresses[c->tried++];
        socklen_t len = a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
        if (a->any.sa_family == AF_INET6)
            a->v6.sin6_port = htons(c->port);
        else
            a->v4.sin_port = htons(c->port);
        close_side(c, OUTSIDE);
        struct side *s = &c->sides[OUTSIDE];
        s->fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->fd < 0)
            continue;
        (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        c->stage = CONNECTING;
        int r = connect(s->fd, &a->any, len);
        if (r == 0) {
            connection_open(c);
            return;
        }
        if (errno == EINPROGRESS && watch_side(c, OUTSIDE) == 0)
            return;
    }
    resolver_forget(c->relay->resolver, c->host);
    connection_refuse(c, 502, "the host cannot be reached");
}

static void find(struct connection *c)
{
    struct relay *r = c->relay;
    c->stage = FINDING;
    set_timer(c, CONNECT_LONGEST);
    struct resolve_answer *a = &c->addresses;
    if (inet_pton(AF_INET, c->host, &a->addresses[0].v4.sin_addr) == 1) {
        a->addresses[0].any.sa_family = AF_INET;
        a->count = 1;
    } else if (inet_pton(AF_INET6, c->host, &a->addresses[0].v6.sin6_addr) == 1) {
        a->addresses[0].any.sa_family = AF_INET6;
        a->count = 1;
    } else {
        int status = resolver_find(r->resolver, c->host, &c->wait, a);
        if (status == -EINPROGRESS)
            return;
        if (status < 0) {
            connection_refuse(c, 502, "the host's name has no address");
            return;
        }
    }
    connect_next(c);
}

static void on_found(struct resolve_wait *w)
{
    find(container_of(w, struct connection, wait));
}

/* ---- the way in ---- */

static void read_head(struct connection *c)
{
    struct side *in = &c->sides[INSIDE];
    struct proxy_request request;
    struct error err = ERROR_INIT;
    if (fill(in) < 0 || in->ended) {
        connection_break(c);
        return;
    }
    unsigned status = proxy_read(slice_of(in->bytes, in->to), &request, &err);
    if (status == 0 && in->to < PIPE_BYTES)
        return;
    if (status != 1) {
        connection_refuse(c, 400, err.message[0] != '\0' ? err.message : "the head is too long");
        return;
    }
    c->head = request.head;
    c->tunnel = request.tunnel;
    c->port = request.port;
    memcpy(c->host, request.host, sizeof(c->host));
    in->from = request.length;
    if (in->from == in->to)
        in->from = in->to = 0;
    if (!allow_matches(c->relay->list, slice_text(c->host), c->port)) {
        c->relay->refused(c->relay->ctx, c->host, c->port);
        connection_refuse(c, 403, "this host and port are not in the function's network.allow");
        return;
    }
    if (in->watch.active)
        loop_unwatch(c->relay->loop, &in->watch);
    find(c);
}

static void finish_connect(struct connection *c)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(c->sides[OUTSIDE].fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0)
        connect_next(c);
    else
        connection_open(c);
}

static void on_side(struct loop_watch *w, uint32_t events)
{
    struct side *s = w->ctx;
    struct connection *c = s->connection;
    if (c->stage == READING_HEAD)
        read_head(c);
    else if (c->stage == CONNECTING)
        finish_connect(c);
    else if ((events & EPOLLERR) != 0)
        connection_break(c);
    else
        move(c);
}

static struct connection *connection_new(struct relay *r, int fd, int rule)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->relay = r;
    c->proxied = rule < 0;
    c->timer.due = on_timer;
    c->timer.ctx = c;
    c->sides[INSIDE] = (struct side){.connection = c, .fd = fd};
    c->sides[OUTSIDE] = (struct side){.connection = c, .fd = -1};
    resolve_wait_init(&c->wait, on_found);
    list_append(&r->connections, &c->link);
    r->count++;
    if (rule >= 0) {
        memcpy(c->host, r->list->rules[rule].host, sizeof(c->host));
        c->port = r->list->rules[rule].port;
    }
    return c;
}

static void on_door(struct loop_watch *w, uint32_t events)
{
    struct door *d = w->ctx;
    struct relay *r = d->relay;
    const int yes = 1;
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct connection *c = r->count < RELAY_CONNECTIONS_MAX ? connection_new(r, fd, d->rule) : NULL;
    if (c == NULL) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (!c->proxied) {
        find(c);
        return;
    }
    set_timer(c, HEAD_LONGEST);
    if (watch_side(c, INSIDE) < 0)
        connection_break(c);
}

struct relay *relay_new(struct loop *loop, const struct allow_list *list,
                        const struct lan_socket *sockets, unsigned count,
                        void (*refused)(void *ctx, const char *host, uint16_t port), void *ctx)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    *r = (struct relay){.loop = loop, .list = list, .refused = refused, .ctx = ctx};
    list_init(&r->connections);
    r->resolver = resolver_new(loop, resolve_by_system);
    if (r->resolver == NULL) {
        free(r);
        return NULL;
    }
    for (; r->door_count < count; r->door_count++) {
        struct door *d = &r->doors[r->door_count];
        *d = (struct door){.relay = r, .rule = sockets[r->door_count].rule};
        d->watch = (struct loop_watch){.ready = on_door, .ctx = d};
        if (loop_watch(loop, &d->watch, sockets[r->door_count].fd, EPOLLIN) < 0) {
            relay_free(r);
            return NULL;
        }
    }
    return r;
}

void relay_free(struct relay *r)
{
    if (r == NULL)
        return;
    list_for_each_safe (node, following, &r->connections)
        connection_free(list_entry(node, struct connection, link));
    for (unsigned i = 0; i < r->door_count; i++)
        loop_unwatch(r->loop, &r->doors[i].watch);
    resolver_free(r->resolver);
    free(r);
}
