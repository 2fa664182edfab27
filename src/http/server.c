/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping the HTTP server. With threads, libmicrohttpd's pool serves and a thread of
 * our own sweeps connections past their deadline; without, the caller's loop does both. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define SERVER_CONNECTIONS_MAX   4096
#define SERVER_CONNECTION_MEMORY (32 * 1024) /* header fields and target must fit in */
#define SERVER_SWEEP_NS          CLOCK_SECOND

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value != 0 ? value : fallback;
}

static size_t keep_raw(void *cls, struct MHD_Connection *connection, char *text)
{
    return strlen(text); /* nothing is decoded behind our back */
}

static void *sweeper_main(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(SERVER_SWEEP_NS / CLOCK_SECOND);
        pthread_cond_timedwait(&s->sweeper_wake, &s->lock, &until);
        if (s->stopping)
            break;
        pthread_mutex_unlock(&s->lock);
        http_connection_sweep(s, clock_monotonic());
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int sweeper_start(struct http_server *s, struct error *err)
{
    int status = pthread_create(&s->sweeper, NULL, sweeper_main, s);
    if (status != 0)
        return error_set(err, -status, "cannot start a thread: %s", strerror(status));
    s->sweeper_runs = true;
    return 0;
}

static void sweeper_stop(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->sweeper_wake);
    pthread_mutex_unlock(&s->lock);
    if (s->sweeper_runs)
        pthread_join(s->sweeper, NULL);
    s->sweeper_runs = false;
}

/* MHD_quiesce_daemon() takes the listening socket out of each thread's epoll set, and so does each
 * thread when it sees that: when both do (libmicrohttpd 0.9.75), it ends the process. So a pool
 * goes on to listen, and closes what it accepts. */
static enum MHD_Result still_welcome(void *cls, const struct sockaddr *peer, socklen_t len)
{
    const struct http_server *s = cls;
    return atomic_load_explicit(&s->quiesced, memory_order_relaxed) ? MHD_NO : MHD_YES;
}

static int daemon_start(struct http_server *s, struct error *err)
{
    tzset(); /* the Date field: later the file may be out of reach, in a sandbox */
    unsigned threads = s->options.threads;
    unsigned flags = MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
    flags |= threads == 0 ? MHD_USE_EPOLL : MHD_USE_EPOLL_INTERNAL_THREAD;
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(
        flags, 0, still_welcome, s, http_request_on_progress, s,   /**/
        MHD_OPTION_LISTEN_SOCKET, s->listen.fd,                    /**/
        MHD_OPTION_URI_LOG_CALLBACK, http_request_on_target, s,    /**/
        MHD_OPTION_UNESCAPE_CALLBACK, keep_raw, s,                 /**/
        MHD_OPTION_NOTIFY_COMPLETED, http_request_on_completed, s, /**/
        MHD_OPTION_NOTIFY_CONNECTION, http_connection_notify, s,   /**/
        MHD_OPTION_CONNECTION_LIMIT,
        or_default(s->options.connections_max, SERVER_CONNECTIONS_MAX),               /**/
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(s->idle_timeout_ns / CLOCK_SECOND), /**/
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVER_CONNECTION_MEMORY,         /**/
        MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    return s->daemon != NULL ? 0
                             : error_set(err, errno != 0 ? -errno : -EIO,
                                         "the HTTP server does not start: %s", strerror(errno));
}

/* Ends the threads. The listening socket goes with them, unless MHD_quiesce_daemon() gave it back.
 */
static void daemon_stop(struct http_server *s)
{
    MHD_stop_daemon(s->daemon);
    if (s->options.threads > 0)
        s->listen.fd = -1;
}

static void server_free(struct http_server *s)
{
    if (s->listen.fd >= 0)
        close(s->listen.fd);
    if (s->empty != NULL)
        MHD_destroy_response(s->empty);
    http_router_free(s->router);
    pthread_cond_destroy(&s->sweeper_wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct http_server *server_new(const struct http_server_options *options)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->options = *options;
    s->listen.fd = -1;
    s->guard.hosts = options->hosts;
    s->guard.origins = options->origins;
    s->guard.check_host = options->check_host;
    s->header_timeout_ns = or_default(options->header_timeout_s, 10) * CLOCK_SECOND;
    s->body_timeout_ns = or_default(options->body_timeout_s, 60) * CLOCK_SECOND;
    s->idle_timeout_ns = or_default(options->idle_timeout_s, 75) * CLOCK_SECOND;
    list_init(&s->connections);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->sweeper_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return s;
}

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct error *err)
{
    struct http_server *s = server_new(options);
    if (s == NULL)
        return error_set(err, -ENOMEM, "out of memory for the HTTP server");
    static char nothing[1];
    s->empty = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    int status = s->empty == NULL
                     ? error_set(err, -ENOMEM, "out of memory for the HTTP server")
                     : http_router_new(options->routes, options->route_count, &s->router, err);
    if (status == 0)
        status = options->listen != NULL
                     ? http_listen_open(options->listen, &s->listen, &s->guard, err)
                     : http_listen_adopt(options->listen_fd, &s->listen, &s->guard, err);
    if (status == 0)
        status = daemon_start(s, err);
    if (status == 0 && options->threads > 0)
        status = sweeper_start(s, err);
    if (status < 0) {
        if (s->daemon != NULL)
            daemon_stop(s);
        server_free(s);
        return status;
    }
    *ret = s;
    return 0;
}

const char *http_server_address(const struct http_server *s)
{
    return s->listen.address;
}

void http_server_quiesce(struct http_server *s)
{
    if (atomic_exchange(&s->quiesced, true))
        return;
    if (s->options.threads == 0)
        MHD_quiesce_daemon(s->daemon); /* others may listen on the socket, too: leave it to them */
}

/* Streams that still run are idle and suspended: libmicrohttpd wants them resumed. A kept request
 * without an answer is a fault of its owner. */
static void streams_abort(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    list_for_each (node, &s->connections) {
        struct http_connection *c = list_entry(node, struct http_connection, node);
        struct http_stream *stream = atomic_load_explicit(&c->stream, memory_order_acquire);
        if (stream != NULL)
            http_stream_abort(stream);
        must(atomic_load_explicit(&c->request.progress, memory_order_acquire) != HTTP_PARKED);
    }
    pthread_mutex_unlock(&s->lock);
}

void http_server_stop(struct http_server *s)
{
    sweeper_stop(s);
    http_server_quiesce(s);
    streams_abort(s);
    daemon_stop(s);
    server_free(s);
}

int http_server_fd(struct http_server *s)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    must(info != NULL);
    return info->epoll_fd;
}

int http_server_timeout_ms(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (MHD_get_timeout(s->daemon, &ms) == MHD_YES && ms < 1000)
        return (int)ms;
    return atomic_load_explicit(&s->connection_count, memory_order_relaxed) > 0 ? 1000 : -1;
}

void http_server_run_once(struct http_server *s)
{
    MHD_run(s->daemon);
    uint64_t now = clock_monotonic();
    if (now < s->next_sweep_ns)
        return;
    s->next_sweep_ns = now + SERVER_SWEEP_NS;
    http_connection_sweep(s, now);
}
