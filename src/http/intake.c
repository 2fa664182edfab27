/* SPDX-License-Identifier: Apache-2.0 */
/* How a request comes in: libmicrohttpd calls on_target with the request line, on_progress with the
 * complete headers, then with pieces of the body, then once more at its end, and on_completed when
 * the answer is out or the peer gone. All on the connection's own HTTP thread.
 *
 * A refused request is answered after its body was read and thrown away when that is short, so that
 * the connection stays usable. Otherwise it is answered at once: through libmicrohttpd while that
 * takes an answer (before the body), else straight to the socket; then what still comes is thrown
 * away up to a limit, because closing a socket with unread bytes would take the answer from the
 * peer's hands. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/http_internal.h"

#include <errno.h>
#include <sys/socket.h>

#define INTAKE_BODY_RATE 65536 /* bytes a second: each such piece gives the body another second */
#define INTAKE_UNCHARGED 4096  /* bodies up to this are bounded by the number of connections */

void *http_request_on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct http_connection *c = http_connection_of(connection);
    if (c == NULL)
        return NULL;
    struct http_request *r = &c->request;
    if (target == NULL)
        target = "";
    size_t len = strlen(target);
    char *copy = http_request_alloc(r, len + 1);
    r->phase = HTTP_PHASE_NEW;
    r->started_ns = r->server->options.observe != NULL ? clock_monotonic() : 0;
    r->target = slice_of(copy, len);
    r->target_at = target;
    r->status = 0;
    r->close_after = false;
    r->lingered = 0;
    r->match.route = NULL;
    r->match.param_count = 0;
    if (copy != NULL)
        memcpy(copy, target, len + 1);
    return r;
}

static const struct {
    const char *text;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},     {"POST", HTTP_POST},     {"HEAD", HTTP_HEAD},       {"PUT", HTTP_PUT},
    {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS},
};

static enum http_method method_of(const char *text)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (strcmp(text, methods[i].text) == 0)
            return methods[i].method;
    return HTTP_OTHER;
}

/* RFC 9112 §3.2.2: the absolute form, which a server must accept. Its host must be the one of the
 * Host field. */
static unsigned split_absolute(struct slice *target, const struct http_header_scan *scan,
                               struct error *err)
{
    size_t scheme = slice_starts(*target, "http://")    ? 7
                    : slice_starts(*target, "https://") ? 8
                                                        : 0;
    if (scheme == 0)
        return 0;
    size_t end = scheme;
    while (end < target->len && target->ptr[end] != '/' && target->ptr[end] != '?')
        end++;
    struct slice authority = slice_of(target->ptr + scheme, end - scheme);
    if (scan->host_count == 1 && !slice_equal(authority, scan->host)) {
        error_field(err, -EINVAL, "Host", "Host and the request's target name different hosts");
        return 400;
    }
    *target = slice_of(target->ptr + end, target->len - end);
    return 0;
}

static unsigned split_target(struct http_request *r, const struct http_header_scan *scan,
                             const char *version, struct error *err)
{
    struct slice t = r->target;
    if (t.ptr == NULL) {
        error_set(err, -ENOMEM, "out of memory");
        return 503;
    }
    unsigned refused = split_absolute(&t, scan, err);
    if (refused != 0)
        return refused;
    const char *question = t.len > 0 ? memchr(t.ptr, '?', t.len) : NULL;
    r->path = slice_of(t.ptr, question != NULL ? (size_t)(question - t.ptr) : t.len);
    r->query =
        question != NULL ? slice_of(question + 1, t.len - r->path.len - 1) : slice_of(NULL, 0);
    if (r->method == HTTP_OPTIONS && slice_is(r->path, "*"))
        return 0;
    return http_guard_path(r->path, err);
}

/* Parameters are handed out decoded, and what is decoded must not turn into two segments. */
static unsigned decode_params(struct http_request *r, struct error *err)
{
    for (unsigned i = 0; i < r->match.param_count; i++) {
        struct http_param *p = &r->match.params[i];
        if (p->value.len == 0 || memchr(p->value.ptr, '%', p->value.len) == NULL)
            continue;
        bool one_segment = memchr(p->value.ptr, '/', p->value.len) == NULL;
        autobuf decoded = BUF_INIT;
        int status = encoding_percent_decode(p->value, &decoded);
        char *copy = status < 0 ? NULL : http_request_alloc(r, decoded.len);
        if (copy == NULL) {
            error_set(err, -ENOMEM, "out of memory");
            return 503;
        }
        memcpy(copy, decoded.ptr, decoded.len);
        p->value = slice_of(copy, decoded.len);
        if (one_segment && memchr(copy, '/', decoded.len) != NULL) {
            error_set(err, -EINVAL, "a segment of the path has an encoded slash");
            return 400;
        }
    }
    return 0;
}

static unsigned find_route(struct http_request *r, struct error *err)
{
    http_router_match(r->server->router, r->method, r->path, &r->match);
    if (r->match.route != NULL)
        return decode_params(r, err);
    if (r->match.allowed == 0 && r->method == HTTP_OPTIONS && slice_is(r->path, "*")) {
        r->match.allowed = HTTP_GET | HTTP_HEAD | HTTP_POST | HTTP_PUT | HTTP_PATCH | HTTP_DELETE;
        return 204;
    }
    if (r->match.allowed == 0) {
        error_set(err, -ENOENT, "there is nothing at " SLICE_FMT,
                  (int)(r->path.len > 200 ? 200 : r->path.len), r->path.ptr);
        return 404;
    }
    if (r->method == HTTP_OPTIONS)
        return 204;
    error_set(err, -EINVAL, "the method %.32s is not allowed here", r->method_text);
    return 405;
}

/* Takes bytes from the budget. False when there is no room. */
static bool budget_take(struct http_request *r, size_t bytes)
{
    struct http_server *s = r->server;
    if (s->options.body_budget == 0 || bytes == 0)
        return true;
    size_t before = atomic_fetch_add_explicit(&s->body_bytes, bytes, memory_order_relaxed);
    if (before + bytes > s->options.body_budget) {
        atomic_fetch_sub_explicit(&s->body_bytes, bytes, memory_order_relaxed);
        return false;
    }
    r->budget_taken += bytes;
    return true;
}

static unsigned too_large(const struct http_request *r, struct error *err)
{
    size_t max = r->match.route->body_max;
    if (max == 0)
        error_set(err, -E2BIG, "no body is taken here");
    else
        error_set(err, -E2BIG, "the body is larger than %zu bytes", max);
    return 413;
}

static unsigned no_budget(struct error *err)
{
    error_set(err, -EAGAIN, "too many bytes are in flight; try again");
    return 429;
}

/* *ret_length: of the body, UINT64_MAX when chunked. */
static unsigned admit_body(struct http_request *r, uint64_t length, struct error *err)
{
    if (length == UINT64_MAX)
        return 0;
    if (length > r->match.route->body_max)
        return too_large(r, err);
    if (length > INTAKE_UNCHARGED && !budget_take(r, (size_t)length))
        return no_budget(err);
    if (length > 0 && buf_reserve(&r->body, (size_t)length) == NULL) {
        error_set(err, -ENOMEM, "out of memory");
        return 503;
    }
    return 0;
}

static unsigned admit_host(struct http_request *r, const struct http_header_scan *scan,
                           struct error *err)
{
    struct http_connection *c = r->connection;
    if (scan->host_count == 1 && scan->host.len > 0 && scan->host.len == c->good_host_len &&
        memcmp(scan->host.ptr, c->good_host, c->good_host_len) == 0)
        return 0;
    unsigned refused = http_guard_host(&r->server->guard, scan, false, err);
    if (refused == 0 && scan->host_count == 1 && scan->host.len <= sizeof(c->good_host)) {
        memcpy(c->good_host, scan->host.ptr, scan->host.len);
        c->good_host_len = scan->host.len;
    }
    if (refused != 0 && r->match.route != NULL && r->match.route->any_host)
        refused = http_guard_host(&r->server->guard, scan, true, err);
    return refused;
}

static uint64_t body_length(const struct http_header_scan *scan)
{
    uint64_t length = 0;
    if (scan->transfer_encoding_count > 0)
        return UINT64_MAX;
    if (scan->content_length_count > 0 && encoding_parse_u64(scan->content_length, &length) < 0)
        return UINT64_MAX - 1; /* libmicrohttpd has refused it already */
    return length;
}

/* 0, or the status to refuse with. */
static unsigned admit(struct http_request *r, const char *version,
                      const struct http_header_scan *scan, struct error *err)
{
    unsigned refused = http_guard_framing(scan, err);
    if (refused == 0 && version[0] != '\0' &&
        r->target_at + r->target.len + 1 != version) { /* see guard.c */
        error_set(err, -EINVAL, "the request's target has a NUL or a blank");
        refused = 400;
    }
    if (refused != 0) {
        r->close_after = true;
        return refused;
    }
    refused = split_target(r, scan, version, err);
    if (refused == 0)
        refused = http_guard_origin(&r->server->guard, scan, err);
    if (refused != 0)
        return refused;
    unsigned unrouted = find_route(r, err);
    struct error host_err = ERROR_INIT;
    refused = admit_host(r, scan, &host_err);
    if (refused != 0) {
        *err = host_err;
        return refused;
    }
    return unrouted != 0 ? unrouted : admit_body(r, body_length(scan), err);
}

/* Puts the refusal into the request, as a handler would. */
static void refuse(struct http_request *r, unsigned status, const struct error *err)
{
    atomic_store_explicit(&r->progress, HTTP_RUNNING, memory_order_relaxed);
    char allow[128];
    struct http_header headers[2];
    struct http_response response = {.status = status, .headers = headers};
    if (status == 405 || status == 204) {
        http_allow_header(r->match.allowed | HTTP_OPTIONS, allow, sizeof(allow));
        headers[response.header_count++] = (struct http_header){SLICE("Allow"), slice_text(allow)};
    }
    if (status == 429 || status == 503)
        headers[response.header_count++] = (struct http_header){SLICE("Retry-After"), SLICE("1")};
    autobuf body = BUF_INIT;
    if (status != 204) {
        http_response_error_body(status, err, &body);
        response.content_type = "application/json";
        response.body = buf_slice(&body);
    }
    http_respond(r, &response);
}

/* Past libmicrohttpd, which takes no answer while a body comes in. */
static void refuse_raw(struct http_request *r, unsigned status, const struct error *err)
{
    autobuf out = BUF_INIT;
    http_response_raw_error(status, err, &out);
    if (buf_ok(&out)) {
        ssize_t sent = send(r->connection->fd, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent; /* a peer that does not read gets no answer */
        shutdown(r->connection->fd, SHUT_WR);
    }
    r->status = status;
    r->phase = HTTP_PHASE_LINGER;
}

static enum MHD_Result on_headers(struct http_request *r, const char *method, const char *version)
{
    struct http_header_scan scan;
    struct error err = ERROR_INIT;
    r->method_text = method;
    r->method = method_of(method);
    atomic_store_explicit(&r->progress, HTTP_RUNNING, memory_order_relaxed);
    http_guard_scan(r->mhd, &scan);
    unsigned refused = admit(r, version, &scan, &err);
    uint64_t length = body_length(&scan);
    if (length > 0) {
        r->body_began_ns = http_connection_clock();
        atomic_store_explicit(&r->connection->deadline_ns,
                              r->body_began_ns + r->server->body_timeout_ns, memory_order_relaxed);
    }
    if (refused == 0) {
        r->phase = HTTP_PHASE_BODY;
        return MHD_YES;
    }
    bool asked = scan.expect.len > 0 && length > 0; /* the peer waits for leave to send */
    if (!r->close_after && !asked && length <= HTTP_DRAIN_MAX) {
        r->phase = HTTP_PHASE_DRAIN;
        refuse(r, refused, &err);
        return MHD_YES;
    }
    if (r->close_after || asked) {
        refuse(r, refused, &err);
        return http_response_queue(r);
    }
    refuse_raw(r, refused, &err);
    return MHD_YES;
}

static void on_body(struct http_request *r, const char *data, size_t len)
{
    struct error err = ERROR_INIT;
    unsigned refused = 0;
    size_t total = r->body.len + len;
    size_t charge =
        total > INTAKE_UNCHARGED && total > r->budget_taken ? total - r->budget_taken : 0;
    if (total > r->match.route->body_max)
        refused = too_large(r, &err);
    else if (!budget_take(r, charge))
        refused = no_budget(&err);
    if (refused != 0) {
        refuse_raw(r, refused, &err);
        return;
    }
    buf_add(&r->body, data, len);
    atomic_store_explicit(&r->connection->deadline_ns,
                          r->body_began_ns + r->server->body_timeout_ns +
                              total / INTAKE_BODY_RATE * CLOCK_SECOND,
                          memory_order_relaxed);
}

static enum MHD_Result on_data(struct http_request *r, const char *data, size_t *len)
{
    size_t n = *len;
    *len = 0;
    if (r->phase == HTTP_PHASE_BODY) {
        on_body(r, data, n);
        return MHD_YES;
    }
    r->lingered += n;
    return r->lingered <= (r->phase == HTTP_PHASE_DRAIN ? HTTP_DRAIN_MAX : HTTP_LINGER_MAX)
               ? MHD_YES
               : MHD_NO;
}

/* The request is whole. The answer may come from another thread at any moment from here on, before
 * the handler returns too; the two sides meet at progress (see enum http_progress). */
static enum MHD_Result on_end(struct http_request *r)
{
    r->phase = HTTP_PHASE_HANDLED;
    atomic_store_explicit(&r->connection->deadline_ns, UINT64_MAX, memory_order_relaxed);
    if (!buf_ok(&r->body))
        http_respond_errorf(r, 503, "out of memory");
    else
        r->match.route->handler(r, r->match.route->ctx);
    if (atomic_load_explicit(&r->progress, memory_order_acquire) == HTTP_ANSWERED)
        return http_response_queue(r);
    MHD_suspend_connection(r->mhd);
    int expected = HTTP_RUNNING;
    if (!atomic_compare_exchange_strong_explicit(&r->progress, &expected, HTTP_PARKED,
                                                 memory_order_acq_rel, memory_order_acquire))
        MHD_resume_connection(r->mhd); /* answered in between: nobody else will */
    return MHD_YES;
}

enum MHD_Result http_request_on_progress(void *cls, struct MHD_Connection *connection,
                                         const char *url, const char *method, const char *version,
                                         const char *data, size_t *data_len, void **con_cls)
{
    struct http_request *r = *con_cls;
    if (r == NULL)
        return MHD_NO; /* there was no memory for the connection */
    if (r->phase == HTTP_PHASE_NEW)
        return on_headers(r, method, version);
    if (*data_len > 0)
        return on_data(r, data, data_len);
    switch (r->phase) {
    case HTTP_PHASE_BODY:
        return on_end(r);
    case HTTP_PHASE_LINGER:
        return MHD_NO;
    case HTTP_PHASE_DRAIN:
    case HTTP_PHASE_HANDLED:
        if (atomic_load_explicit(&r->progress, memory_order_acquire) == HTTP_ANSWERED)
            return http_response_queue(r);
        return MHD_YES;
    case HTTP_PHASE_NEW:
        break;
    }
    unreachable_code();
}

void http_request_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                               enum MHD_RequestTerminationCode why)
{
    struct http_server *s = cls;
    struct http_request *r = *con_cls;
    if (r == NULL)
        return;
    if (s->options.observe != NULL && r->status != 0)
        s->options.observe(s->options.observe_ctx, r->match.route, r->status,
                           clock_monotonic() - r->started_ns);
    http_stream_detach(r->connection);
    http_request_reset(r);
    atomic_store_explicit(&r->connection->deadline_ns,
                          http_connection_clock() + s->idle_timeout_ns + s->header_timeout_ns,
                          memory_order_relaxed);
    *con_cls = NULL;
}
