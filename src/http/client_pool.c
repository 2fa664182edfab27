/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client_pool.h"

#include "base/clock.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PATIENCE_NS (3 * CLOCK_SECOND + 500 * CLOCK_MILLISECOND) /* two lost packets */

static void connection_ready(struct loop_watch *w, uint32_t events);
static void sweep_due(struct loop_timer *t);
static void patience_due(struct loop_timer *t);

/* ---- where to ---- */

int pool_target_unix(const char *path, struct pool_target *ret)
{
    struct pool_address *to = &ret->addresses[0];
    size_t len = strlen(path);
    if (len >= sizeof(to->local.sun_path))
        return -ENAMETOOLONG;
    *ret = (struct pool_target){.count = 1};
    to->local.sun_family = AF_UNIX;
    memcpy(to->local.sun_path, path, len + 1);
    to->len = sizeof(to->local);
    return 0;
}

static bool add_v4(struct pool_target *t, const char *host)
{
    struct pool_address *to = &t->addresses[t->count];
    to->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(t->port)};
    to->len = sizeof(to->v4);
    bool is_address = inet_pton(AF_INET, host, &to->v4.sin_addr) == 1;
    t->count += is_address ? 1 : 0;
    return is_address;
}

static bool add_v6(struct pool_target *t, const char *host)
{
    struct pool_address *to = &t->addresses[t->count];
    to->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(t->port)};
    to->len = sizeof(to->v6);
    bool is_address = inet_pton(AF_INET6, host, &to->v6.sin6_addr) == 1;
    t->count += is_address ? 1 : 0;
    return is_address;
}

int pool_target_tcp(struct slice host, uint16_t port, struct pool_target *ret)
{
    if (host.len > RESOLVE_HOST_MAX)
        return -EINVAL;
    *ret = (struct pool_target){.port = port};
    if (slice_is_nocase(host, "localhost")) {
        (void)add_v4(ret, "127.0.0.1");
        (void)add_v6(ret, "::1");
        return 0;
    }
    autofree char *text = slice_dup(host);
    if (text == NULL)
        return -ENOMEM;
    if (!add_v4(ret, text) && !add_v6(ret, text))
        ret->host = STEAL(text);
    return 0;
}

/* Finds the addresses of a name. As pool_connect(). */
static int resolve(struct pool_peer *peer)
{
    struct resolve_answer answer;
    struct pool_target *t = &peer->target;
    int status = resolver_find(peer->pool->resolver, t->host, &peer->lookup, &answer);
    if (status < 0)
        return status;
    t->count = 0;
    for (unsigned i = 0; i < answer.count; i++) {
        const union resolve_address *from = &answer.addresses[i];
        struct pool_address *to = &t->addresses[t->count++];
        if (from->any.sa_family == AF_INET6) {
            to->v6 = from->v6;
            to->v6.sin6_port = htons(t->port);
            to->len = sizeof(to->v6);
        } else {
            to->v4 = from->v4;
            to->v4.sin_port = htons(t->port);
            to->len = sizeof(to->v4);
        }
    }
    return 0;
}

static void lookup_done(struct resolve_wait *w)
{
    struct pool_peer *peer = container_of(w, struct pool_peer, lookup);
    peer->pool->resolved(peer);
}

/* ---- pool and peers ---- */

void pool_init(struct pool *p, struct loop *l, struct resolver *resolver,
               unsigned connections_per_peer_max, uint64_t idle_ns)
{
    *p = (struct pool){.loop = l,
                       .resolver = resolver,
                       .connections_max = connections_per_peer_max,
                       .idle_ns = idle_ns,
                       .patience_ns = PATIENCE_NS};
    list_init(&p->idle);
    p->sweep.due = sweep_due;
    p->sweep.ctx = p;
}

static void peer_free(struct pool_peer *peer)
{
    resolver_cancel(&peer->lookup);
    free(peer->target.host);
    free(peer->name);
    free(peer);
}

void pool_done(struct pool *p)
{
    while (!list_empty(&p->idle))
        pool_close(list_entry(p->idle.next, struct pool_connection, all));
    size_t at = 0;
    void *value;
    while (map_next(&p->peers, &at, NULL, &value))
        peer_free(value);
    map_done(&p->peers);
    loop_timer_cancel(p->loop, &p->sweep);
}

static struct pool_peer *new_peer(struct pool *p, const char *name, struct pool_target *target)
{
    struct pool_peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL)
        return NULL;
    peer->pool = p;
    list_init(&peer->idle);
    list_init(&peer->waiting);
    resolve_wait_init(&peer->lookup, lookup_done);
    peer->target = *target;
    target->host = NULL;
    peer->name = strdup(name);
    if (peer->name != NULL && map_put(&p->peers, slice_text(name), peer) == 0)
        return peer;
    peer_free(peer);
    return NULL;
}

struct pool_peer *pool_peer(struct pool *p, const char *name, struct pool_target *target)
{
    struct pool_peer *peer = map_get(&p->peers, slice_text(name));
    if (peer == NULL)
        peer = new_peer(p, name, target);
    free(STEAL(target->host));
    return peer;
}

void pool_peer_release_if_unused(struct pool_peer *peer)
{
    if (peer->connections > 0 || peer->calls > 0)
        return;
    map_remove(&peer->pool->peers, slice_text(peer->name));
    peer_free(peer);
}

/* ---- connections ---- */

static void leave_idle(struct pool_connection *n)
{
    if (n->call != NULL || list_empty(&n->all))
        return;
    list_remove(&n->link);
    list_remove(&n->all);
    n->peer->pool->idle_count--;
    n->peer->idle_connections--;
}

void pool_close(struct pool_connection *n)
{
    struct pool_peer *peer = n->peer;
    leave_idle(n);
    loop_timer_cancel(peer->pool->loop, &n->patience);
    loop_unwatch(peer->pool->loop, &n->watch);
    close(n->watch.fd);
    peer->connections--;
    free(n);
}

static void close_idle(struct pool_connection *n)
{
    struct pool_peer *peer = n->peer;
    pool_close(n);
    pool_peer_release_if_unused(peer);
}

bool pool_has_room(const struct pool_peer *peer)
{
    return peer->idle_connections > 0 || peer->connections < peer->pool->connections_max;
}

struct pool_connection *pool_take(struct pool_peer *peer)
{
    uint64_t now = loop_now(peer->pool->loop);
    while (!list_empty(&peer->idle)) {
        struct pool_connection *n = list_entry(peer->idle.prev, struct pool_connection, link);
        if (now - n->idle_since < n->peer->pool->idle_ns) {
            leave_idle(n);
            return n;
        }
        pool_close(n); /* the peer stays: it has the call that asks */
    }
    return NULL;
}

/* Closes what has been idle for long. */
static void sweep_due(struct loop_timer *t)
{
    struct pool *p = t->ctx;
    uint64_t now = loop_now(p->loop);
    while (!list_empty(&p->idle)) {
        struct pool_connection *n = list_entry(p->idle.next, struct pool_connection, all);
        if (now - n->idle_since < n->peer->pool->idle_ns) {
            loop_timer_set(p->loop, &p->sweep, n->idle_since + p->idle_ns);
            return;
        }
        close_idle(n);
    }
}

void pool_give_back(struct pool_connection *n, bool reusable)
{
    struct pool *p = n->peer->pool;
    n->call = NULL;
    if (!reusable || loop_rewatch(p->loop, &n->watch, EPOLLIN) < 0) {
        pool_close(n);
        return;
    }
    n->reused = true;
    n->idle_since = loop_now(p->loop);
    if (p->idle_count == 0)
        loop_timer_set(p->loop, &p->sweep, n->idle_since + p->idle_ns);
    list_append(&n->peer->idle, &n->link);
    list_append(&p->idle, &n->all);
    n->peer->idle_connections++;
    if (++p->idle_count > POOL_IDLE_MAX)
        close_idle(list_entry(p->idle.next, struct pool_connection, all));
}

/* A socket on its way to one of the peer's addresses. The descriptor, or a negative errno. */
static int open_socket(const struct pool_address *to, bool *ret_connecting)
{
    int on = 1;
    autoclose int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (to->any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *ret_connecting = false;
    if (connect(fd, &to->any, to->len) < 0) {
        if (errno != EINPROGRESS)
            return errno == ENOENT ? -ECONNREFUSED : -errno;
        *ret_connecting = true;
    }
    return STEAL_FD(fd);
}

/* Goes on with the peer's next address, from n->address on. */
static int connect_next(struct pool_connection *n)
{
    const struct pool_target *t = &n->peer->target;
    struct loop *l = n->peer->pool->loop;
    int fd = -ECONNREFUSED;
    for (; n->address < t->count; n->address++) {
        fd = open_socket(&t->addresses[n->address], &n->connecting);
        if (fd >= 0)
            break;
    }
    if (fd < 0)
        return fd;
    int status = loop_watch(l, &n->watch, fd, n->connecting ? EPOLLOUT : EPOLLIN);
    if (status < 0)
        close(fd);
    else if (n->connecting && n->address + 1 < t->count && !n->last_chance)
        loop_timer_set(l, &n->patience, loop_now(l) + n->peer->pool->patience_ns);
    return status;
}

/* None of a name's addresses can be connected to: they may have changed. */
static void lead_nowhere(struct pool_peer *peer, int error)
{
    bool theirs = error == -ECONNREFUSED || error == -ETIMEDOUT || error == -EHOSTUNREACH;
    if (peer->target.host != NULL && theirs)
        resolver_forget(peer->pool->resolver, peer->target.host);
}

int pool_connect(struct pool_peer *peer, void *call, struct pool_connection **ret)
{
    int status = peer->target.host != NULL ? resolve(peer) : 0;
    if (status < 0)
        return status;
    struct pool_connection *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->peer = peer;
    n->watch.ready = connection_ready;
    n->watch.ctx = n;
    n->patience.due = patience_due;
    n->patience.ctx = n;
    n->call = call;
    list_init(&n->link);
    list_init(&n->all);
    status = connect_next(n);
    if (status < 0) {
        lead_nowhere(peer, status);
        free(n);
        return status;
    }
    peer->connections++;
    *ret = n;
    return 0;
}

static int connect_error(const struct pool_connection *n)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (n->impatient)
        return ETIMEDOUT;
    return getsockopt(n->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

int pool_connected(struct pool_connection *n)
{
    struct loop *l = n->peer->pool->loop;
    int error = connect_error(n);
    loop_timer_cancel(l, &n->patience);
    n->impatient = false;
    if (error == 0) {
        n->connecting = false;
        return 0;
    }
    int old = n->watch.fd, status = -error;
    loop_unwatch(l, &n->watch);
    n->address++;
    if (n->address < n->peer->target.count)
        status = connect_next(n);
    if (status < 0 && n->left > 0) { /* the others refuse: back to the slow one, for good */
        n->address = n->left - 1;
        n->left = 0;
        n->last_chance = true;
        status = connect_next(n);
    }
    if (status < 0) {
        n->watch.fd = old; /* for whoever closes the connection */
        lead_nowhere(n->peer, status);
        return status;
    }
    close(old);
    return n->connecting ? -EINPROGRESS : 0;
}

static void patience_due(struct loop_timer *t)
{
    struct pool_connection *n = t->ctx;
    n->impatient = true;
    if (n->left == 0)
        n->left = n->address + 1;
    n->peer->pool->ready(n->call, 0);
}

static void connection_ready(struct loop_watch *w, uint32_t events)
{
    struct pool_connection *n = w->ctx;
    if (n->call != NULL)
        n->peer->pool->ready(n->call, events);
    else /* idle: the peer closed it, or talks without having been asked */
        close_idle(n);
}
