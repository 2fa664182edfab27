/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of functions: picks a worker, calls it over its socket, and keeps count. A worker is given
 * as many calls as limits.concurrency says; more wait here, in order, so that it is known how many
 * there are, and a worker that ends takes none of them with it. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/must.h"
#include "http/call.h"
#include "http/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RESPONSE_SLACK    (64u << 10)
#define WAITING_DEFAULT   1024        /* of one function; spec.limits.queue */
#define WAITING_MAX       8192        /* of all */
#define WAITING_BYTES_MAX (64u << 20) /* bodies of all */

/* One call; between the caller and the HTTP client. */
struct invocation {
    struct http_call held; /* what the caller holds of one that had to wait */
    struct list link;      /* in host->invocations, or in function->waiting */
    struct function_host *host;
    struct version *version; /* NULL while it waits */
    struct worker *worker;   /* NULL: it goes to a URL */
    struct http_call *call;
    http_call_done_fn *done;
    void (*cancelled)(void *ctx);
    void *ctx;
    /* While it waits: */
    struct function *function;
    struct http_call_options options;
    char *path, *text; /* text: of the headers */
    uint64_t deadline; /* 0: none */
};

static void invocation_free(struct invocation *i)
{
    free((struct http_call_header *)(uintptr_t)i->options.headers);
    free(i->path);
    free(i->text);
    i->held.magic = 0;
    free(i);
}

/* ---- under way ---- */

/* Frees i; may free its worker, its version and its function. */
static void invocation_end(struct invocation *i)
{
    struct version *v = i->version;
    struct worker *w = i->worker;
    list_remove(&i->link);
    invocation_free(i);
    v->calls--;
    if (!list_empty(&v->function->waiting))
        function_dispatch(v->function);
    if (w != NULL)
        worker_call_end(w);
    else
        version_end_when_idle(v);
}

static void invocation_on_done(void *ctx, const struct http_call_result *result)
{
    struct invocation *i = ctx;
    http_call_done_fn *done = i->done;
    void *done_ctx = i->ctx;
    if (result->error != 0 || result->status >= 500)
        i->host->stats.failures++;
    if (result->error == -ECONNREFUSED && i->worker != NULL)
        worker_kill(i->worker); /* it is dead, and that will be told in a moment */
    if (result->error == -ETIMEDOUT && i->worker != NULL)
        worker_overran(i->worker);
    invocation_end(i);
    done(done_ctx, result);
}

static void invocation_on_cancelled(void *ctx)
{
    struct invocation *i = ctx;
    void (*cancelled)(void *ctx) = i->cancelled;
    void *cancelled_ctx = i->ctx;
    invocation_end(i);
    if (cancelled != NULL)
        cancelled(cancelled_ctx);
}

/* The cluster's name of it: what the function sees as Host. */
static void add_local_url(const struct function *f, const char *path, struct buf *out)
{
    buf_printf(out, "http://%s.%s.svc.cluster.local%s%s", f->name, f->namespace_name,
               path[0] == '/' ? "" : "/", path);
}

/* The path is put behind the URL's, the query behind its query. */
static void add_remote_url(const char *base, const char *path, struct buf *out)
{
    struct url parts;
    size_t path_len = strcspn(path, "?");
    must(url_split(slice_text(base), &parts) == 0); /* checked when it was deployed */
    const char *end = parts.path.len > 0 ? parts.path.ptr + parts.path.len
                                         : parts.authority.ptr + parts.authority.len;
    bool more = path_len > 1;
    while (more && parts.path.len > 0 && end[-1] == '/' && end > parts.path.ptr)
        end--;
    buf_add(out, base, (size_t)(end - base));
    if (more)
        buf_printf(out, "%s%.*s", path[0] == '/' ? "" : "/", (int)path_len, path);
    buf_add_slice(out, parts.query);
    if (path[path_len] == '?')
        buf_printf(out, "%c%s", parts.query.len > 0 ? '&' : '?', path + path_len + 1);
}

/* Does its worker keep the limits of a call by itself? */
static bool ends_calls(const struct version *v)
{
    return v->spec.form == FUNCTION_JS || v->spec.form == FUNCTION_WASM;
}

static int invocation_call(struct invocation *i, const char *path,
                           const struct http_call_options *options)
{
    const struct version *v = i->version;
    autobuf url = BUF_INIT;
    const char *text = path != NULL && path[0] != '\0' ? path : "/";
    if (v->spec.form == FUNCTION_URL)
        add_remote_url(v->spec.url, text, &url);
    else
        add_local_url(v->function, text, &url);
    if (!buf_ok(&url))
        return -ENOMEM;
    struct http_call_options own = *options;
    own.url = url.ptr;
    own.unix_socket = i->worker != NULL ? i->worker->socket_path : NULL;
    if (own.timeout_ns == 0)
        own.timeout_ns = v->spec.timeout_ns + (ends_calls(v) ? 5 * CLOCK_SECOND : 0);
    /* A worker keeps its limit itself; its error texts fit too. */
    uint64_t most = v->spec.response_bytes + (ends_calls(v) ? RESPONSE_SLACK : 0);
    if (own.response_max == 0 || own.response_max > most)
        own.response_max = most;
    own.done = invocation_on_done;
    own.cancelled = invocation_on_cancelled;
    own.ctx = i;
    return http_client_call(i->host->client, &own, &i->call);
}

/* Under way, or a negative errno and i is as it was. */
static int invocation_start(struct invocation *i, struct version *v, struct worker *w,
                            const char *path, const struct http_call_options *options)
{
    i->version = v;
    i->worker = w;
    int r = invocation_call(i, path, options);
    if (r < 0) {
        i->version = NULL;
        i->worker = NULL;
        return r;
    }
    list_append(&i->host->invocations, &i->link);
    i->host->stats.calls++;
    if (++v->calls > v->peak_calls)
        v->peak_calls = v->calls;
    if (w != NULL)
        worker_call_begin(w);
    return 0;
}

/* ---- waiting ---- */

static void leave_queue(struct invocation *i)
{
    struct function *f = i->function;
    list_remove(&i->link);
    f->waiting_count--;
    f->host->waiting_count--;
    f->host->waiting_bytes -= i->options.body.len;
}

/* For http_call_cancel() of what the caller got when it had to wait. */
static void invocation_cancel(struct http_call *call)
{
    struct invocation *i = container_of(call, struct invocation, held);
    if (i->call != NULL) {
        http_call_cancel(i->call); /* which tells the caller and frees i */
        return;
    }
    void (*cancelled)(void *ctx) = i->cancelled;
    void *ctx = i->ctx;
    leave_queue(i);
    invocation_free(i);
    if (cancelled != NULL)
        cancelled(ctx);
}

/* Its caller learns it as the end of the call. */
static void invocation_refuse(struct invocation *i, int error, const char *text)
{
    const struct http_call_result result = {.error = error, .error_text = text};
    http_call_done_fn *done = i->done;
    void *ctx = i->ctx;
    leave_queue(i);
    invocation_free(i);
    done(ctx, &result);
}

/* The headers and their text live with the caller for the length of the call only. */
static int copy_options(struct invocation *i, const char *path, const struct http_call_options *o)
{
    size_t len = strlen(o->method) + 1;
    for (unsigned n = 0; n < o->header_count; n++)
        len += o->headers[n].name.len + o->headers[n].value.len;
    struct http_call_header *headers = calloc(o->header_count + 1, sizeof(*headers));
    i->options = *o;
    i->options.headers = headers;
    i->path = strdup(path != NULL ? path : "/");
    i->text = malloc(len);
    if (headers == NULL || i->path == NULL || i->text == NULL)
        return -ENOMEM;
    char *at = stpcpy(i->text, o->method) + 1;
    i->options.method = i->text;
    for (unsigned n = 0; n < o->header_count; n++) {
        struct slice name = o->headers[n].name, value = o->headers[n].value;
        headers[n].name = slice_of(memcpy(at, name.ptr, name.len), name.len);
        at += name.len;
        if (value.len > 0)
            memcpy(at, value.ptr, value.len);
        headers[n].value = slice_of(at, value.len);
        at += value.len;
    }
    return 0;
}

static int check_room(const struct function *f, size_t bytes, struct error *err)
{
    const struct function_host *h = f->host;
    unsigned most =
        (unsigned)resource_integer_at(f->current->spec.source, "limits.queue", WAITING_DEFAULT);
    if (f->waiting_count >= most)
        return error_set(err, -EAGAIN, "function %s/%s has %u calls waiting already",
                         f->namespace_name, f->name, f->waiting_count);
    if (h->waiting_count >= WAITING_MAX || h->waiting_bytes + bytes > WAITING_BYTES_MAX)
        return error_set(err, -EAGAIN, "the server has %zu calls of functions waiting already",
                         h->waiting_count);
    return 0;
}

static int enqueue(struct function *f, struct invocation *i, const char *path,
                   const struct http_call_options *options, bool refusable)
{
    int r = copy_options(i, path, options);
    if (r < 0)
        return r;
    struct loop *loop = f->host->loop;
    call_begin(&i->held, options, invocation_cancel);
    i->held.cancelled = NULL; /* invocation_cancel() tells it */
    i->function = f;
    list_append(&f->waiting, &i->link);
    f->waiting_count++;
    f->host->waiting_count++;
    f->host->waiting_bytes += options->body.len;
    f->host->stats.waited++;
    if (refusable) {
        i->deadline = loop_now(loop) + f->current->spec.timeout_ns;
        if (!heap_contains(&f->expiry.node))
            loop_timer_set(loop, &f->expiry, i->deadline);
    }
    return 0;
}

static void waiting_on_dispatch(struct loop_timer *t)
{
    struct function *f = t->ctx;
    while (f->current != NULL && !list_empty(&f->waiting)) {
        struct invocation *i = list_entry(f->waiting.next, struct invocation, link);
        struct worker *w = NULL;
        if (f->current->spec.form != FUNCTION_URL && (w = version_pick(f->current)) == NULL)
            return;
        leave_queue(i);
        int r = invocation_start(i, f->current, w, i->path, &i->options);
        if (r == 0)
            continue;
        const struct http_call_result result = {.error = r, .error_text = strerror(-r)};
        http_call_done_fn *done = i->done;
        void *ctx = i->ctx;
        invocation_free(i);
        function_dispatch(f); /* this function may be gone after what follows */
        done(ctx, &result);
        return;
    }
}

void function_dispatch(struct function *f)
{
    if (!list_empty(&f->waiting))
        loop_timer_set(f->host->loop, &f->dispatch, loop_now(f->host->loop));
}

/* The caller of one that is refused may call again, so the queue is looked at anew each time. */
static void waiting_on_expiry(struct loop_timer *t)
{
    struct function *f = t->ctx;
    uint64_t now = loop_now(f->host->loop), next = 0;
    struct list *node = f->waiting.next;
    while (node != &f->waiting) {
        struct invocation *i = list_entry(node, struct invocation, link);
        node = node->next;
        if (i->deadline != 0 && i->deadline <= now) {
            f->host->stats.rejected++;
            invocation_refuse(i, -EAGAIN, "no worker had room for it within the time of a call");
            node = f->waiting.next;
        } else if (i->deadline != 0 && (next == 0 || i->deadline < next)) {
            next = i->deadline;
        }
    }
    if (next != 0)
        loop_timer_set(f->host->loop, &f->expiry, next);
}

void function_give_up(struct function *f, int error, const char *text)
{
    while (!list_empty(&f->waiting))
        invocation_refuse(list_entry(f->waiting.next, struct invocation, link), error, text);
}

void function_waiting_init(struct function *f)
{
    list_init(&f->waiting);
    f->dispatch.due = waiting_on_dispatch;
    f->dispatch.ctx = f;
    f->expiry.due = waiting_on_expiry;
    f->expiry.ctx = f;
}

void function_waiting_done(struct function *f)
{
    must(list_empty(&f->waiting));
    loop_timer_cancel(f->host->loop, &f->dispatch);
    loop_timer_cancel(f->host->loop, &f->expiry);
}

void invocation_end_all(struct function_host *h)
{
    static const struct http_call_result ended = {.error = -ECANCELED,
                                                  .error_text = "the function host ends"};
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(&h->functions, &at, &key, &value);)
        function_give_up(value, ended.error, ended.error_text);
    while (!list_empty(&h->invocations)) {
        struct invocation *i = list_entry(h->invocations.next, struct invocation, link);
        http_call_done_fn *done = i->done;
        void *ctx = i->ctx;
        i->cancelled = NULL;
        http_call_cancel(i->call); /* frees i */
        done(ctx, &ended);
    }
}

/* ---- a new call ---- */

/* Sent at once if it can be, and nobody is before it. */
static int begin(struct function *f, struct invocation *i, const char *path,
                 const struct http_call_options *options, bool refusable, struct error *err)
{
    struct version *v = f->current;
    bool remote = v->spec.form == FUNCTION_URL;
    struct worker *w = list_empty(&f->waiting) && !remote ? version_pick(v) : NULL;
    if (w != NULL || remote) {
        int r = invocation_start(i, v, w, path, options);
        return r < 0 ? error_set(err, r, "cannot call function %s/%s: %s", f->namespace_name,
                                 f->name, strerror(-r))
                     : 0;
    }
    if (refusable && !version_ready(v)) {
        if (function_sink_state(f, err) == SINK_READY)
            error_set(err, -EAGAIN, "function %s/%s has no worker now", f->namespace_name, f->name);
        return -EAGAIN;
    }
    int r = refusable ? check_room(f, options->body.len, err) : 0;
    if (r == 0 && (r = enqueue(f, i, path, options, refusable)) < 0)
        error_set(err, r, "out of memory");
    return r;
}

int function_invoke(struct function *f, const char *path, const struct http_call_options *options,
                    bool refusable, struct http_call **ret_call, struct error *err)
{
    if (f->current == NULL) {
        function_sink_state(f, err);
        return -EAGAIN;
    }
    struct invocation *i = calloc(1, sizeof(*i));
    if (i == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *i = (struct invocation){
        .host = f->host,
        .done = options->done,
        .cancelled = options->cancelled,
        .ctx = options->ctx,
    };
    list_init(&i->link);
    int r = begin(f, i, path, options, refusable, err);
    if (r < 0)
        invocation_free(i);
    else if (ret_call != NULL)
        *ret_call = i->call != NULL ? i->call : &i->held;
    return r;
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
    /* Never refused for want of room: an event that cannot be taken yet is held, not counted as a
     * failed attempt. How many there are is bounded by the triggers' windows. */
    return function_invoke(f, path, options, false, ret_call, NULL);
}

const struct sink_ops function_sink_ops = {.state = sink_state, .call = sink_call};
