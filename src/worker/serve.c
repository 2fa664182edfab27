/* SPDX-License-Identifier: Apache-2.0 */
/* The function server: loads a bundle, confines the process, and answers HTTP until it is told to
 * end. The same under the broker (a worker of the zygote, on a Unix socket) and alone. */
#include "worker/fetch.h"
#include "worker/metrics.h"
#include "worker/program.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVE_DRAIN      (10 * CLOCK_SECOND)
#define SERVE_DRAIN_TURN (100 * CLOCK_MILLISECOND)
#define SERVE_FAILED     2 /* exit status: the function could not be loaded */
#define SERVE_LOST       3 /* what it needs is gone, and only a new process gets it back */

static void on_stop(int sig)
{
    wait_stopping = 1;
}

static int start_server(const struct bundle *b, const struct serve_options *o,
                        struct http_server **ret, struct error *err)
{
    static struct http_route routes[] = {
        {HTTP_ANY, "/{path...}", page_handle, NULL, HTTP_ROLE_PUBLIC, 0, true,
         "events and requests for the function, health and metrics"},
    };
    static const char *const origins[] = {"*", NULL}; /* answers say which pages may read them */
    routes[0].body_max = b->limits.request_bytes;
    struct http_server_options options = {
        .listen = o->listen,
        .listen_fd = o->listen_fd,
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .check_host = false, /* containers are reached under any name */
        .origins = origins,
    };
    return http_server_start(&options, ret, err);
}

static void serve_loop(struct http_server *server)
{
    sigset_t waiting = wait_mask();
    while (!wait_stopping && !wait_is_over())
        wait_turn(server, UINT64_MAX, &waiting);
}

/* What is under way may finish, each call within its time limit, unless the worker is told to end
 * once more. Alone, clients may have sent more by the time that they learn of it. */
static void drain(struct http_server *server, bool alone)
{
    sigset_t waiting = wait_mask();
    wait_stopping = 0;
    http_server_quiesce(server);
    uint64_t now = clock_monotonic(), deadline = now + (alone ? SERVE_DRAIN : 0);
    wait_turn(server, now, &waiting); /* in which it stops listening */
    if (alone)
        report_draining();
    while (!wait_stopping &&
           (admission_is_busy() || (http_server_connections(server) > 0 && now < deadline))) {
        wait_turn(server, now + SERVE_DRAIN_TURN, &waiting);
        now = clock_monotonic();
    }
    http_server_run_once(server, 0, NULL); /* sends the last answers */
    program_shutdown();
}

static int fail(const struct error *err)
{
    report_failed_text(err->message);
    return SERVE_FAILED;
}

static int serve_bundle(struct bundle *b, int module_fd, const struct serve_options *o)
{
    struct error err = ERROR_INIT;
    struct module *module = NULL;
    struct http_server *server = NULL;
    metrics_begin();
    if (b->is_wasm && module_fd < 0)
        error_set(&err, -EINVAL, "a wasm function needs its compiled module");
    else if (b->is_wasm)
        module_load(module_fd, b->limits.memory_bytes, &module, &err);
    if (module_fd >= 0)
        close(module_fd);
    if (err.code == 0)
        guard_start_timer(&err);
    if (err.code == 0)
        start_server(b, o, &server, &err);
    if (err.code == 0)
        fetch_start(b, &err);
    network_forget();
    struct confine_options confinement = {.memory_bytes = b->limits.memory_bytes,
                                          .own_bytes = fetch_own_bytes(b),
                                          .writes_files = o->alone,
                                          .may_be_less = o->alone};
    if (err.code == 0)
        confine_self(&confinement, &err);
    if (err.code != 0)
        return fail(&err);
    if (program_load(b, module) < 0)
        return SERVE_FAILED;
    metrics_ready();
    report_ready();
    if (o->standalone)
        report_plain("listening on ",
                     o->address != NULL ? o->address : http_server_address(server));
    serve_loop(server);
    drain(server, o->alone);
    return wait_is_over() ? SERVE_LOST : 0;
}

void serve_catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop};
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int serve_run(struct slice json, int module_fd, const struct serve_options *options)
{
    static struct bundle bundle; /* lives as long as the process */
    struct error err = ERROR_INIT;
    if (bundle_parse(json, &bundle, &err) < 0)
        return fail(&err);
    return serve_bundle(&bundle, module_fd, options);
}
