/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and their deadlines. libmicrohttpd's own time-out counts from the last byte, so a
 * peer that sends one now and then could hold a connection for ever; each connection has a deadline
 * besides, and a sweep once a second cuts what is past it. */
#include "base/clock.h"
#include "base/must.h"
#include "http/http_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

uint64_t http_connection_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

struct http_connection *http_connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void connection_open(struct http_server *s, struct MHD_Connection *connection,
                            void **socket_context)
{
    struct http_connection *c = calloc(1, sizeof(*c));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    must(info != NULL);
    if (c == NULL)
        return; /* its first request closes it */
    c->server = s;
    c->mhd = connection;
    c->fd = info->connect_fd;
    c->request.server = s;
    c->request.connection = c;
    c->request.mhd = connection;
    atomic_init(&c->deadline_ns, http_connection_clock() + s->header_timeout_ns);
    *socket_context = c;
    pthread_mutex_lock(&s->lock);
    list_append(&s->connections, &c->node);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add_explicit(&s->connection_count, 1, memory_order_relaxed);
}

/* Comes before the descriptor is closed, so under the lock a descriptor in the list is ours. */
static void connection_close(struct http_server *s, struct http_connection *c)
{
    pthread_mutex_lock(&s->lock);
    list_remove(&c->node);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub_explicit(&s->connection_count, 1, memory_order_relaxed);
    http_request_reset(&c->request);
    buf_done(&c->request.body);
    free(c);
}

void http_connection_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_open(cls, connection, socket_context);
        return;
    }
    if (*socket_context != NULL)
        connection_close(cls, *socket_context);
    *socket_context = NULL;
}

static bool peer_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void http_connection_sweep(struct http_server *s, uint64_t now_ns)
{
    pthread_mutex_lock(&s->lock);
    list_for_each (node, &s->connections) {
        struct http_connection *c = list_entry(node, struct http_connection, node);
        if (now_ns > atomic_load_explicit(&c->deadline_ns, memory_order_relaxed)) {
            shutdown(c->fd, SHUT_RDWR); /* its thread sees the end and closes it */
            continue;
        }
        /* A suspended connection is not polled, so an idle stream would never learn of it. */
        struct http_stream *stream = atomic_load_explicit(&c->stream, memory_order_acquire);
        if (stream != NULL && peer_gone(c->fd))
            http_stream_abort(stream);
    }
    pthread_mutex_unlock(&s->lock);
}
