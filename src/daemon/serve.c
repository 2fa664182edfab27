/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the server together, runs its loop, and takes it apart again in an order in which nothing
 * acknowledged is lost. */
#include "daemon/serve.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/memory.h"
#include "daemon/daemon_internal.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CONNECTIONS_PER_SUBSCRIBER 64
#define BODY_BUDGET                (64u << 20)
#define END_GRACE                  (10 * CLOCK_SECOND) /* for deliveries that are in flight */
#define CHECKPOINT_GRACE           (10 * CLOCK_SECOND)
#define ANSWER_GRACE               CLOCK_SECOND /* for requests that came meanwhile */
#define DESCRIPTORS_WANTED         65536
#define TURN                       (20 * CLOCK_MILLISECOND)
#define LOG_SIZE_MAX               (UINT64_C(10) << 30)

/* ---- signals ---- */

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct server *s = w->ctx;
    struct signalfd_siginfo info;
    if (read(w->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    log_info("%s: finishing what is in flight", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    atomic_store(&s->stopping, true);
    loop_stop(s->loop);
}

static int watch_signals(struct server *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -EINVAL;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    s->signals.ready = on_signal;
    s->signals.ctx = s;
    int r = loop_watch(s->loop, &s->signals, fd, EPOLLIN);
    if (r < 0)
        close(fd);
    return r;
}

/* ---- start ---- */

static int open_store(struct server *s, struct broker_replay *replay, struct error *err)
{
    struct store_options options = {
        .dir = s->options->store == SERVE_STORE_DISK ? s->options->data_dir : NULL,
        .size_max = LOG_SIZE_MAX,
    };
    return store_open(&options, broker_replay_record, replay, &s->store, err);
}

static void sink_changed(void *ctx, const char *namespace_name, const char *name)
{
    struct server *s = ctx;
    broker_core_sink_changed(s->broker, namespace_name, name);
}

static int make_functions(struct server *s, struct error *err)
{
    struct function_host_options options = {
        .loop = s->loop,
        .registry = s->registry,
        .client = s->client,
        .data_dir = s->options->data_dir,
        .worker_path = s->options->worker_path,
        .runtimes = s->options->runtimes,
        .allow_unsandboxed = s->options->allow_unsandboxed,
        .persistent = s->options->store == SERVE_STORE_DISK,
        .changed = sink_changed,
        .changed_ctx = s,
    };
    int r = function_host_new(&options, &s->functions, err);
    if (r == 0)
        broker_core_set_sink(s->broker, &function_sink_ops, s->functions);
    return r;
}

static int make_parts(struct server *s, struct error *err)
{
    s->registry = registry_new(s->store, s->loop);
    s->client = http_client_new(s->loop, CONNECTIONS_PER_SUBSCRIBER);
    if (s->registry == NULL || s->client == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct broker_core_options options = {
        .loop = s->loop,
        .store = s->store,
        .registry = s->registry,
        .client = s->client,
        .dead_letters_max = s->options->dead_letters_max,
        .dead_letters_age_ns = s->options->dead_letters_age_ns,
    };
    int r = broker_core_new(&options, &s->broker, err);
    if (r == 0)
        r = make_functions(s, err);
    if (r < 0)
        return r;
    s->api = api_new(s->loop, s->registry, s->functions, &s->admin);
    return s->api != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* Only what is surely loopback: a name could mean anything. */
static bool is_loopback(const char *listen)
{
    static const char *const hosts[] = {"127.", "localhost:", "[::1]:"};
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        if (strncmp(listen, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return false;
}

/* Events that came in together become durable together. */
static void flush_store(void *ctx)
{
    store_flush(ctx);
}

static int start_http(struct server *s, struct error *err)
{
    int r = server_routes(s, err);
    if (r < 0)
        return r;
    struct http_server_options options = {
        .listen = s->options->listen,
        .listen_fd = -1,
        .threads = 2,
        .routes = s->routes,
        .route_count = s->route_count,
        .hosts = s->options->hosts,
        .origins = s->options->origins,
        .check_host = true,
        .body_budget = BODY_BUDGET,
        .turn_end = flush_store,
        .turn_end_ctx = s->store,
    };
    return http_server_start(&options, &s->http, err);
}

/* DIR/address is there exactly while requests are answered. */
static int tell_address(struct server *s, struct error *err)
{
    const char *address = http_server_address(s->http);
    autobuf path = BUF_INIT;
    autobuf url = BUF_INIT;
    autobuf line = BUF_INIT;
    buf_printf(&path, "%s/address", s->options->data_dir);
    buf_printf(&url, "http://%s", address);
    buf_printf(&line, "%s\n", address);
    if (!buf_ok(&path) || !buf_ok(&url) || !buf_ok(&line))
        return error_set(err, -ENOMEM, "out of memory");
    broker_core_set_address(s->broker, url.ptr);
    function_host_set_address(s->functions, url.ptr);
    int r = fdio_replace_file(path.ptr, line.ptr, line.len, 0644);
    if (r < 0)
        return error_set(err, r, "%s could not be written: %s", path.ptr, strerror(-r));
    printf("listening on %s\n", url.ptr);
    fflush(stdout);
    return 0;
}

static void forget_address(const struct server *s)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/address", s->options->data_dir);
    if (buf_ok(&path))
        unlink(path.ptr);
}

static int start(struct server *s, struct error *err)
{
    if (!s->options->insecure && !is_loopback(s->options->listen))
        return error_set(err, -EACCES,
                         "%s is reached from other machines, and there is no authentication yet: "
                         "listen on 127.0.0.1, or say --insecure",
                         s->options->listen);
    int r = 0;
    if (s->options->admin_token_file != NULL)
        r = admin_token_load(&s->admin, s->options->admin_token_file, err);
    if (r < 0)
        return r;
    r = fdio_make_folders(s->options->data_dir, 0700);
    if (r < 0)
        return error_set(err, r, "%s could not be made: %s", s->options->data_dir, strerror(-r));
    s->loop = loop_new();
    struct broker_replay *replay = broker_replay_new();
    if (s->loop == NULL || replay == NULL) {
        free(replay);
        return error_set(err, -ENOMEM, "out of memory or descriptors");
    }
    r = watch_signals(s);
    if (r < 0) {
        free(replay);
        return error_set(err, r, "signals could not be watched: %s", strerror(-r));
    }
    r = open_store(s, replay, err);
    if (r < 0) {
        broker_replay_free(replay);
        return r;
    }
    forget_address(s); /* only now is it sure that no other server owns the folder */
    r = make_parts(s, err);
    if (r == 0)
        r = registry_load(s->registry, err);
    if (r < 0) {
        broker_replay_free(replay);
        return r;
    }
    r = broker_core_start(s->broker, replay, err);
    if (r == 0)
        r = start_http(s, err);
    return r == 0 ? tell_address(s, err) : r;
}

/* ---- end ---- */

static void turn_until(struct server *s, bool (*done)(struct server *s), uint64_t grace_ns)
{
    uint64_t deadline = clock_monotonic() + grace_ns;
    while (!done(s) && clock_monotonic() < deadline)
        loop_turn(s->loop, TURN);
}

static bool deliveries_ended(struct server *s)
{
    return broker_core_idle(s->broker);
}

static bool checkpoint_written(struct server *s)
{
    return !broker_core_checkpointing(s->broker);
}

static bool requests_settled(struct server *s)
{
    return http_server_settled(s->http);
}

/* Requests are taken until all else is done: what they bring then waits for the next start. The
 * loop turns until the last is answered; calls of functions that take longer are given up. */
static void finish(struct server *s)
{
    http_server_quiesce(s->http);
    api_quiesce(s->api);
    broker_core_quiesce(s->broker);
    turn_until(s, deliveries_ended, END_GRACE);
    if (!broker_core_idle(s->broker))
        log_warn(
            "some deliveries did not end in time; they will be made again after the next start");
    turn_until(s, checkpoint_written, CHECKPOINT_GRACE);
    broker_core_checkpoint(s->broker);
    turn_until(s, checkpoint_written, CHECKPOINT_GRACE);
    http_server_refuse(s->http);
    turn_until(s, requests_settled, ANSWER_GRACE);
}

static void take_apart(struct server *s)
{
    function_host_free(s->functions);
    http_client_free(s->client);
    if (s->registry != NULL)
        registry_stop(s->registry); /* whose answers the HTTP server waits for */
    if (s->http != NULL)
        http_server_stop(s->http);
    metrics_free_all(s);
    api_free(s->api);
    broker_core_release_log(s->broker);
    store_close(s->store);
    broker_core_free(s->broker);
    registry_free(s->registry);
    if (s->signals.active) {
        loop_unwatch(s->loop, &s->signals);
        close(s->signals.fd);
    }
    loop_free(s->loop);
    free(s->routes);
}

/* A connection, a socket of a worker and a function's log take one each; the usual soft limit of
 * 1024 is for programs that use select(). Those that are started set limits of their own. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("at most %llu descriptors may be open", (unsigned long long)limit.rlim_cur);
}

int serve_run(const struct serve_options *o)
{
    log_setup("broker", o->quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, o->log_json);
    raise_descriptors();
    mallopt(M_ARENA_MAX,
            2); /* few threads, short-lived blocks: more arenas would only hold memory */
    struct server server = {.options = o, .started_ns = clock_realtime()};
    struct error err = ERROR_INIT;
    list_init(&server.scrapes);
    int r = start(&server, &err);
    if (r < 0) {
        log_error("%s", err.message);
    } else {
        loop_run(server.loop);
        finish(&server);
        forget_address(&server);
    }
    take_apart(&server);
    return r < 0 ? 1 : 0;
}
