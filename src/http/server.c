/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping the HTTP server: its reactors, each with a thread of its own, or one that
 * the caller drives. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/reactor.h"
#include "http/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SERVER_CONNECTIONS_MAX 4096
#define SERVER_THREADS_MAX     64

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value != 0 ? value : fallback;
}

static void *reactor_main(void *arg)
{
    struct reactor *re = arg;
    pthread_setname_np(pthread_self(), "http");
    while (!reactor_is_over(re))
        reactor_turn(re, reactor_timeout_ms(re), NULL);
    return NULL;
}

static int reactors_open(struct http_server *s, struct error *err)
{
    unsigned count = or_default(s->options.threads, 1);
    s->reactors = calloc(count, sizeof(*s->reactors));
    if (s->reactors == NULL)
        return error_set(err, -ENOMEM, "out of memory for the HTTP server");
    for (unsigned i = 0; i < count; i++) {
        s->reactor_count++;
        int status = reactor_open(&s->reactors[i], s, i == 0, err);
        if (status < 0)
            return status;
    }
    return 0;
}

static int reactors_run(struct http_server *s, struct error *err)
{
    for (unsigned i = 0; i < s->options.threads; i++) {
        int status = pthread_create(&s->reactors[i].thread, NULL, reactor_main, &s->reactors[i]);
        if (status != 0)
            return error_set(err, -status, "cannot start a thread: %s", strerror(status));
        s->reactors[i].runs = true;
    }
    return 0;
}

static void wake_all(struct http_server *s)
{
    for (unsigned i = 0; i < s->reactor_count; i++)
        if (s->reactors[i].wake_fd >= 0)
            reactor_wake(&s->reactors[i]);
}

static void set_state(struct http_server *s, enum http_server_state state)
{
    if (atomic_load(&s->state) >= state)
        return;
    atomic_store(&s->state, state);
    wake_all(s);
}

/* Servers whose handlers may answer yet; leak checkers find them here. */
static struct http_server *_Atomic kept_servers;

static void keep(struct http_server *s)
{
    s->next_kept = atomic_load(&kept_servers);
    while (!atomic_compare_exchange_weak(&kept_servers, &s->next_kept, s))
        ;
}

/* The threads end before any reactor closes: one could hand a connection to another. */
static void server_free(struct http_server *s)
{
    s->stop_deadline_ns = clock_monotonic() + s->stop_timeout_ns;
    set_state(s, HTTP_SERVER_STOPS);
    for (unsigned i = 0; i < s->reactor_count; i++)
        if (s->reactors[i].runs)
            pthread_join(s->reactors[i].thread, NULL);
    bool answered = true;
    for (unsigned i = 0; i < s->reactor_count; i++)
        answered = reactor_close(&s->reactors[i]) && answered;
    if (s->listen.fd >= 0)
        close(s->listen.fd);
    if (!answered) {
        keep(s);
        return;
    }
    free(s->reactors);
    http_router_free(s->router);
    free(s);
}

static struct http_server *server_new(const struct http_server_options *options)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->options = *options;
    if (s->options.threads > SERVER_THREADS_MAX)
        s->options.threads = SERVER_THREADS_MAX;
    s->listen.fd = -1;
    s->guard.hosts = options->hosts;
    s->guard.origins = options->origins;
    s->guard.check_host = options->check_host;
    s->connections_max = or_default(options->connections_max, SERVER_CONNECTIONS_MAX);
    s->header_timeout_ns = or_default(options->header_timeout_s, 10) * CLOCK_SECOND;
    s->body_timeout_ns = or_default(options->body_timeout_s, 60) * CLOCK_SECOND;
    s->idle_timeout_ns = or_default(options->idle_timeout_s, 75) * CLOCK_SECOND;
    s->stop_timeout_ns = or_default(options->stop_timeout_s, 10) * CLOCK_SECOND;
    return s;
}

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct error *err)
{
    tzset(); /* the logs' times: later the file may be out of reach, in a sandbox */
    struct http_server *s = server_new(options);
    if (s == NULL)
        return error_set(err, -ENOMEM, "out of memory for the HTTP server");
    int status = http_router_new(options->routes, options->route_count, &s->router, err);
    if (status == 0)
        status = options->listen != NULL
                     ? http_listen_open(options->listen, &s->listen, &s->guard, err)
                     : http_listen_adopt(options->listen_fd, &s->listen, &s->guard, err);
    if (status == 0)
        status = reactors_open(s, err);
    if (status == 0)
        status = reactors_run(s, err);
    if (status < 0) {
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
    set_state(s, HTTP_SERVER_QUIESCED);
}

void http_server_refuse(struct http_server *s)
{
    set_state(s, HTTP_SERVER_REFUSES);
}

unsigned http_server_connections(const struct http_server *s)
{
    return (unsigned)atomic_load(&s->connection_count);
}

bool http_server_settled(const struct http_server *s)
{
    unsigned unsettled = 0;
    for (unsigned i = 0; i < s->reactor_count && unsettled == 0; i++)
        unsettled = atomic_load_explicit(&s->reactors[i].unsettled, memory_order_acquire);
    return unsettled == 0;
}

void http_server_stop(struct http_server *s)
{
    server_free(s);
}

int http_server_fd(struct http_server *s)
{
    return s->reactors[0].epoll_fd;
}

int http_server_timeout_ms(struct http_server *s)
{
    return reactor_timeout_ms(&s->reactors[0]);
}

void http_server_run_once(struct http_server *s, int timeout_ms, const sigset_t *waiting)
{
    must(s->options.threads == 0);
    reactor_turn(&s->reactors[0], timeout_ms, waiting);
}
