/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client_pool.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

static void connection_ready(struct loop_watch *w, uint32_t events);
static void sweep_due(struct loop_timer *t);

/* ---- where to ---- */

int pool_target_unix(const char *path, struct pool_target *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len + 1);
    ret->count = 1;
    memcpy(&ret->addresses[0].bytes, &address, sizeof(address));
    ret->addresses[0].len = sizeof(address);
    return 0;
}

static bool add_v4(const char *host, uint16_t port, struct pool_target *t)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return false;
    struct pool_address *to = &t->addresses[t->count++];
    memcpy(&to->bytes, &address, sizeof(address));
    to->len = sizeof(address);
    return true;
}

static bool add_v6(const char *host, uint16_t port, struct pool_target *t)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1)
        return false;
    struct pool_address *to = &t->addresses[t->count++];
    memcpy(&to->bytes, &address, sizeof(address));
    to->len = sizeof(address);
    return true;
}

int pool_target_tcp(struct slice host, uint16_t port, struct pool_target *ret)
{
    char text[INET6_ADDRSTRLEN];
    ret->count = 0;
    if (slice_is_nocase(host, "localhost")) {
        (void)add_v4("127.0.0.1", port, ret);
        (void)add_v6("::1", port, ret);
        return 0;
    }
    if (host.len >= sizeof(text))
        return -ENOENT;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return add_v4(text, port, ret) || add_v6(text, port, ret) ? 0 : -ENOENT;
}

/* ---- pool and peers ---- */

void pool_init(struct pool *p, struct loop *l, unsigned connections_per_peer_max, uint64_t idle_ns,
               void (*ready)(void *ctx, uint32_t events))
{
    *p = (struct pool){
        .loop = l, .connections_max = connections_per_peer_max, .idle_ns = idle_ns, .ready = ready};
    list_init(&p->idle);
    p->sweep.due = sweep_due;
    p->sweep.ctx = p;
}

void pool_done(struct pool *p)
{
    while (!list_empty(&p->idle))
        pool_close(list_entry(p->idle.next, struct pool_connection, all));
    size_t at = 0;
    void *value;
    while (map_next(&p->peers, &at, NULL, &value)) {
        struct pool_peer *peer = value;
        free(peer->name);
        free(peer);
    }
    map_done(&p->peers);
    loop_timer_cancel(p->loop, &p->sweep);
}

struct pool_peer *pool_peer(struct pool *p, const char *name, const struct pool_target *target)
{
    struct pool_peer *peer = map_get(&p->peers, slice_text(name));
    if (peer != NULL)
        return peer;
    peer = calloc(1, sizeof(*peer));
    if (peer == NULL || (peer->name = strdup(name)) == NULL ||
        map_put(&p->peers, slice_text(name), peer) < 0) {
        if (peer != NULL)
            free(peer->name);
        free(peer);
        return NULL;
    }
    peer->pool = p;
    peer->target = *target;
    list_init(&peer->idle);
    list_init(&peer->waiting);
    return peer;
}

void pool_peer_release_if_unused(struct pool_peer *peer)
{
    if (peer->connections > 0 || peer->calls > 0)
        return;
    map_remove(&peer->pool->peers, slice_text(peer->name));
    free(peer->name);
    free(peer);
}

/* ---- connections ---- */

static void leave_idle(struct pool_connection *n)
{
    if (n->call != NULL || list_empty(&n->all))
        return;
    list_remove(&n->link);
    list_remove(&n->all);
    n->peer->pool->idle_count--;
}

void pool_close(struct pool_connection *n)
{
    struct pool_peer *peer = n->peer;
    leave_idle(n);
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
    if (++p->idle_count > POOL_IDLE_MAX)
        close_idle(list_entry(p->idle.next, struct pool_connection, all));
}

/* A socket on its way to one of the peer's addresses. The descriptor, or a negative errno. */
static int open_socket(const struct pool_address *to, bool *ret_connecting)
{
    int on = 1;
    autoclose int fd = socket(to->bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (to->bytes.ss_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *ret_connecting = false;
    if (connect(fd, (const struct sockaddr *)&to->bytes, to->len) < 0) {
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
    int fd = -ECONNREFUSED;
    for (; n->address < t->count; n->address++) {
        fd = open_socket(&t->addresses[n->address], &n->connecting);
        if (fd >= 0)
            break;
    }
    if (fd < 0)
        return fd;
    int status = loop_watch(n->peer->pool->loop, &n->watch, fd, n->connecting ? EPOLLOUT : EPOLLIN);
    if (status < 0)
        close(fd);
    return status;
}

int pool_connect(struct pool_peer *peer, void *call, struct pool_connection **ret)
{
    struct pool_connection *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->peer = peer;
    n->watch.ready = connection_ready;
    n->watch.ctx = n;
    n->call = call;
    list_init(&n->link);
    list_init(&n->all);
    int status = connect_next(n);
    if (status < 0) {
        free(n);
        return status;
    }
    peer->connections++;
    *ret = n;
    return 0;
}

int pool_connected(struct pool_connection *n)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(n->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0) {
        n->connecting = false;
        return 0;
    }
    if (n->address + 1 >= n->peer->target.count)
        return -error;
    int old = n->watch.fd;
    loop_unwatch(n->peer->pool->loop, &n->watch);
    n->address++;
    int status = connect_next(n);
    if (status < 0) {
        n->watch.fd = old; /* for whoever closes the connection */
        return status;
    }
    close(old);
    return n->connecting ? -EINPROGRESS : 0;
}

static void connection_ready(struct loop_watch *w, uint32_t events)
{
    struct pool_connection *n = w->ctx;
    if (n->call != NULL)
        n->peer->pool->ready(n->call, events);
    else /* idle: the peer closed it, or talks without having been asked */
        close_idle(n);
}
