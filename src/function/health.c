/* SPDX-License-Identifier: Apache-2.0 */
/* Asks workers whether they are alive: GET /health/liveness every spec.health.period, of functions
 * that have one. A worker that says no so many times in a row is replaced; calls that it has may
 * end. An answer may take as long as a call: in a sandboxed worker it waits behind one. */
#include "function/function_internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static struct function_host *host_of(const struct worker *w)
{
    return w->version->function->host;
}

static void schedule(struct worker *w)
{
    struct loop *loop = host_of(w)->loop;
    loop_timer_set(loop, &w->health.timer, loop_now(loop) + w->version->spec.health_period_ns);
}

static void replace(struct worker *w, const char *what)
{
    struct version *v = w->version;
    struct function_log *log = v->function->log;
    autobuf text = BUF_INIT;
    buf_printf(&text, "the worker is replaced: /health/liveness %s, %u times in a row", what,
               w->health.failures);
    function_log_add(log, clock_realtime(), "error", slice_of(NULL, 0), buf_slice(&text));
    function_log_flush(log);
    host_of(w)->stats.restarts_health++;
    worker_stop(w);
    if (!heap_contains(&v->restart.node))
        version_fill(v, v->spec.scale_min);
    function_update(v->function);
}

static void health_on_done(void *ctx, const struct http_call_result *result)
{
    struct worker *w = ctx;
    char what[96];
    w->health.call = NULL;
    if (!worker_usable(w))
        return;
    if (result->error == 0 && result->status < 400) {
        w->health.failures = 0;
        schedule(w);
        return;
    }
    if (result->error != 0)
        snprintf(what, sizeof(what), "did not answer (%.60s)", result->error_text);
    else
        snprintf(what, sizeof(what), "answered %u", result->status);
    if (++w->health.failures >= w->version->spec.health_failures)
        replace(w, what);
    else
        schedule(w);
}

static void health_on_timer(struct loop_timer *t)
{
    struct worker *w = t->ctx;
    const struct http_call_options options = {
        .method = "GET",
        .url = "http://localhost/health/liveness",
        .unix_socket = w->socket_path,
        .timeout_ns = w->version->spec.timeout_ns + CLOCK_SECOND,
        .done = health_on_done,
        .ctx = w,
    };
    if (worker_usable(w) && http_client_call(host_of(w)->client, &options, &w->health.call) < 0)
        schedule(w);
}

void health_begin(struct worker *w)
{
    w->health.timer.due = health_on_timer;
    w->health.timer.ctx = w;
    if (w->version->spec.health_period_ns > 0)
        schedule(w);
}

void health_end(struct worker *w)
{
    loop_timer_cancel(host_of(w)->loop, &w->health.timer);
    if (w->health.call != NULL)
        http_call_cancel(STEAL(w->health.call));
}
