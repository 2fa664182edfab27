/* SPDX-License-Identifier: Apache-2.0 */
/* /functions/{namespace}/{name}/…: the request goes to a worker, its answer comes back, both
 * without the headers that belong to one connection (RFC 9110 §7.6.1). */
#include "function/function_internal.h"

#include "base/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct serving {
    struct http_request *request;
    struct http_call_header *headers;
    unsigned header_count, header_cap;
    struct slice connection; /* names that the Connection header lists */
    bool failed;
};

static const char *const hop_headers[] = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
};

static bool passes(struct slice name, struct slice connection)
{
    for (size_t i = 0; i < COUNT_OF(hop_headers); i++)
        if (slice_is_nocase(name, hop_headers[i]))
            return false;
    return !token_list_has(connection, name);
}

static void add_header(void *ctx, struct slice name, struct slice value)
{
    struct serving *s = ctx;
    if (s->failed || !passes(name, s->connection))
        return;
    if (s->header_count == s->header_cap) {
        unsigned cap = s->header_cap > 0 ? s->header_cap * 2 : 16;
        struct http_call_header *grown =
            http_request_alloc(s->request, cap * sizeof(*grown)); /* freed with the request */
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        if (s->header_count > 0)
            memcpy(grown, s->headers, s->header_count * sizeof(*grown));
        s->headers = grown;
        s->header_cap = cap;
    }
    s->headers[s->header_count++] = (struct http_call_header){name, value};
}

static void respond_overload(struct http_request *request, const struct error *err)
{
    autobuf body = BUF_INIT;
    buf_add_text(&body, "{\"error\":{\"status\":503,\"reason\":\"Unavailable\",\"message\":");
    buf_add_json_string(&body, slice_text(err->message));
    buf_add_text(&body, "}}\n");
    static const struct http_header headers[] = {
        {{"Retry-After", 11}, {"1", 1}},
        {{"Client-Retry", 12}, {"1", 1}},
    };
    const struct http_response response = {
        .status = 503,
        .content_type = "application/json",
        .headers = headers,
        .header_count = COUNT_OF(headers),
        .body = buf_slice(&body),
    };
    http_respond(request, &response);
}

void function_refuse(struct function_host *h, struct http_request *request, const struct error *err)
{
    h->stats.rejected++;
    respond_overload(request, err);
}

static void respond_failed(struct http_request *request, const struct http_call_result *result)
{
    struct error err = ERROR_INIT;
    switch (result->error) {
    case -EAGAIN:
        error_set(&err, -EAGAIN, "%s", result->error_text);
        respond_overload(request, &err);
        return;
    case -ENOENT:
        http_respond_errorf(request, 404, "%s", result->error_text);
        return;
    case -ETIMEDOUT:
        http_respond_errorf(request, 504, "the function did not answer in time");
        return;
    case -EMSGSIZE:
        http_respond_errorf(request, 502,
                            "the function's answer is larger than spec.limits.responseBytes");
        return;
    case -ECANCELED:
        http_respond_errorf(request, 503, "the server is ending");
        return;
    default:
        http_respond_errorf(request, 502, "the function's worker ended during the call: %s",
                            result->error_text);
    }
}

static struct slice find_header(const struct http_call_result *result, const char *name)
{
    for (unsigned i = 0; i < result->header_count; i++)
        if (slice_is_nocase(result->headers[i].name, name))
            return result->headers[i].value;
    return slice_of(NULL, 0);
}

static void serve_on_done(void *ctx, const struct http_call_result *result)
{
    struct serving *s = ctx;
    if (result->error != 0) {
        respond_failed(s->request, result);
        return;
    }
    struct slice connection = find_header(result, "connection");
    struct http_header *headers =
        http_request_alloc(s->request, (result->header_count + 1) * sizeof(*headers));
    if (headers == NULL) {
        http_respond_errorf(s->request, 503, "out of memory");
        return;
    }
    size_t count = 0;
    for (unsigned i = 0; i < result->header_count; i++) {
        struct slice name = result->headers[i].name;
        if (passes(name, connection) && !slice_is_nocase(name, "date"))
            headers[count++] = (struct http_header){name, result->headers[i].value};
    }
    const struct http_response response = {
        .status = result->status,
        .headers = headers,
        .header_count = count,
        .body = result->body,
    };
    http_respond(s->request, &response);
}

static void serve_on_cancelled(void *ctx)
{
    struct serving *s = ctx;
    http_respond_errorf(s->request, 503, "the call was given up");
}

/* What stands behind /functions/NAMESPACE/NAME in the raw path, with the query. */
static char *forwarded_path(struct http_request *request)
{
    struct slice path = http_request_path(request), query = http_request_query(request);
    size_t at = 0;
    for (int segments = 0; segments < 3 && at < path.len; segments++)
        for (at++; at < path.len && path.ptr[at] != '/'; at++)
            ;
    size_t rest = path.len - at;
    size_t size = rest + query.len + 3;
    char *out = http_request_alloc(request, size);
    if (out == NULL)
        return NULL;
    snprintf(out, size, "%s" SLICE_FMT "%s" SLICE_FMT, rest == 0 ? "/" : "", (int)rest,
             path.ptr + at, query.len > 0 ? "?" : "", SLICE_ARG(query));
    return out;
}

static int forward(struct function *f, struct http_request *request, struct error *err)
{
    struct serving *s = http_request_alloc(request, sizeof(*s));
    char *path = forwarded_path(request);
    if (s == NULL || path == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *s = (struct serving){.request = request,
                          .connection = http_request_header(request, "connection")};
    http_request_each_header(request, add_header, s);
    if (s->failed)
        return error_set(err, -ENOMEM, "out of memory");
    const struct http_call_options options = {
        .method = http_request_method_text(request),
        .headers = s->headers,
        .header_count = s->header_count,
        .body = http_request_body(request),
        .done = serve_on_done,
        .cancelled = serve_on_cancelled,
        .ctx = s,
    };
    return function_invoke(f, path, &options, true, NULL, err);
}

static struct function *find(struct function_host *h, struct http_request *request)
{
    autofree char *namespace_name = slice_dup(http_request_param(request, "namespace"));
    autofree char *name = slice_dup(http_request_param(request, "name"));
    if (namespace_name == NULL || name == NULL)
        return NULL;
    return function_host_find(h, namespace_name, name);
}

void function_serve(struct function_host *h, struct http_request *request)
{
    struct function *f = find(h, request);
    if (f == NULL) {
        http_respond_errorf(request, 404,
                            "there is no function " SLICE_FMT " in namespace " SLICE_FMT,
                            SLICE_ARG(http_request_param(request, "name")),
                            SLICE_ARG(http_request_param(request, "namespace")));
        return;
    }
    struct error err = ERROR_INIT;
    if (f->current != NULL && http_request_body(request).len > f->current->spec.request_bytes) {
        http_respond_errorf(request, 413,
                            "the body is larger than the function's limit of %llu bytes",
                            (unsigned long long)f->current->spec.request_bytes);
        return;
    }
    int r = forward(f, request, &err);
    if (r == -EAGAIN || r == -ENOMEM)
        function_refuse(h, request, &err);
    else if (r < 0)
        http_respond_error(request, 400, &err);
}

void function_serve_log(struct function_host *h, struct http_request *request,
                        const char *namespace_name, const char *name, unsigned tail_lines,
                        bool follow)
{
    struct function *f = function_host_find(h, namespace_name, name);
    if (f == NULL)
        http_respond_errorf(request, 404, "there is no function %s in namespace %s", name,
                            namespace_name);
    else
        function_log_serve(f->log, request, tail_lines, follow);
}
