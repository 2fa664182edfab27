/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of functions: picks a worker, calls it over its socket, and keeps count. */
#include "function/function_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RESPONSE_SLACK (64u << 10)

/* One call under way; between the caller and the HTTP client. */
struct invocation {
    struct list link; /* in host->invocations */
    struct function_host *host;
    struct worker *worker;
    struct http_call *call;
    http_call_done_fn *done;
    void (*cancelled)(void *ctx);
    void *ctx;
};

static void invocation_free(struct invocation *i)
{
    struct worker *w = i->worker;
    list_remove(&i->link);
    free(i);
    w->version->calls--;
    worker_call_end(w); /* may free it */
}

static void invocation_on_done(void *ctx, const struct http_call_result *result)
{
    struct invocation *i = ctx;
    http_call_done_fn *done = i->done;
    void *done_ctx = i->ctx;
    if (result->error != 0 || result->status >= 500)
        i->host->stats.failures++;
    if (result->error == -ECONNREFUSED)
        worker_kill(i->worker); /* it is dead, and that will be told in a moment */
    invocation_free(i);
    done(done_ctx, result);
}

static void invocation_on_cancelled(void *ctx)
{
    struct invocation *i = ctx;
    void (*cancelled)(void *ctx) = i->cancelled;
    void *cancelled_ctx = i->ctx;
    invocation_free(i);
    if (cancelled != NULL)
        cancelled(cancelled_ctx);
}

void invocation_end_all(struct function_host *h)
{
    static const struct http_call_result ended = {.error = -ECANCELED,
                                                  .error_text = "the function host ends"};
    while (!list_empty(&h->invocations)) {
        struct invocation *i = list_entry(h->invocations.next, struct invocation, link);
        http_call_done_fn *done = i->done;
        void *ctx = i->ctx;
        i->cancelled = NULL;
        http_call_cancel(i->call); /* frees i */
        done(ctx, &ended);
    }
}

/* The cluster's name of it: what the function sees as Host. */
static char *make_url(const struct function *f, const char *path)
{
    char *url;
    const char *slash = path == NULL || path[0] != '/' ? "/" : "";
    if (asprintf(&url, "http://%s.%s.svc.cluster.local%s%s", f->name, f->namespace_name, slash,
                 path != NULL ? path : "") < 0)
        return NULL;
    return url;
}

static int invocation_start(struct invocation *i, const struct function *f, const char *path,
                            const struct http_call_options *options)
{
    autofree char *url = make_url(f, path);
    if (url == NULL)
        return -ENOMEM;
    const struct function_spec *spec = &i->worker->version->spec;
    struct http_call_options own = *options;
    own.url = url;
    own.unix_socket = i->worker->socket_path;
    if (own.timeout_ns == 0)
        own.timeout_ns = spec->timeout_ns + 5 * CLOCK_SECOND;
    if (own.response_max == 0 || own.response_max > spec->response_bytes)
        own.response_max = spec->response_bytes + RESPONSE_SLACK; /* error texts fit too */
    own.done = invocation_on_done;
    own.cancelled = invocation_on_cancelled;
    own.ctx = i;
    return http_client_call(i->host->client, &own, &i->call);
}

int function_invoke(struct function *f, const char *path, const struct http_call_options *options,
                    struct http_call **ret_call, struct error *err)
{
    struct function_host *h = f->host;
    struct worker *w = f->current != NULL ? version_pick(f->current) : NULL;
    if (w == NULL) {
        if (function_sink_state(f, err) == SINK_READY)
            error_set(err, -EAGAIN, "function %s/%s has no worker now", f->namespace_name, f->name);
        return -EAGAIN;
    }
    struct invocation *i = malloc(sizeof(*i));
    if (i == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *i = (struct invocation){
        .host = h,
        .worker = w,
        .done = options->done,
        .cancelled = options->cancelled,
        .ctx = options->ctx,
    };
    int r = invocation_start(i, f, path, options);
    if (r < 0) {
        free(i);
        return error_set(err, r, "cannot call function %s/%s: %s", f->namespace_name, f->name,
                         strerror(-r));
    }
    list_append(&h->invocations, &i->link);
    h->stats.calls++;
    if (++w->version->calls > w->version->peak_calls)
        w->version->peak_calls = w->version->calls;
    worker_call_begin(w);
    if (ret_call != NULL)
        *ret_call = i->call;
    return 0;
}

/* ---- the sink ---- */

static enum sink_state sink_state(void *ctx, const char *namespace_name, const char *name,
                                  struct error *err)
{
    struct function *f = function_host_find(ctx, namespace_name, name);
    if (f != NULL)
        return function_sink_state(f, err);
    error_set(err, -ENOENT, "there is no function %s in namespace %s", name, namespace_name);
    return SINK_ABSENT;
}

static int sink_call(void *ctx, const char *namespace_name, const char *name, const char *path,
                     const struct http_call_options *options, struct http_call **ret_call)
{
    struct function *f = function_host_find(ctx, namespace_name, name);
    if (f == NULL)
        return -ENOENT;
    return function_invoke(f, path, options, ret_call, NULL);
}

const struct sink_ops function_sink_ops = {.state = sink_state, .call = sink_call};
