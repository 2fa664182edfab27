/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request is let in: its framing, target, origin, route, host, and the room for its body.
 * All that is wrong with it is said before its body is read. */
#include "http/intake.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/connection.h"
#include "http/guard.h"
#include "http/response.h"
#include "http/server_internal.h"

#include <errno.h>

#define INTAKE_UNCHARGED 4096 /* bodies up to this are bounded by the number of connections */

static const struct {
    const char *text;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},     {"POST", HTTP_POST},     {"HEAD", HTTP_HEAD},       {"PUT", HTTP_PUT},
    {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS},
};

static enum http_method method_of(struct slice text)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (slice_is(text, methods[i].text))
            return methods[i].method;
    return HTTP_OTHER;
}

/* RFC 9112 §3.2.2: the absolute form, which a server must accept. Its host must be the one of the
 * Host field. */
static unsigned split_absolute(struct slice *target, const struct http_header_scan *scan,
                               struct error *err)
{
    size_t scheme = 0;
    if (target->len >= 7 && strncasecmp(target->ptr, "http://", 7) == 0)
        scheme = 7;
    else if (target->len >= 8 && strncasecmp(target->ptr, "https://", 8) == 0)
        scheme = 8;
    if (scheme == 0)
        return 0;
    size_t end = scheme;
    while (end < target->len && target->ptr[end] != '/' && target->ptr[end] != '?')
        end++;
    struct slice authority = slice_of(target->ptr + scheme, end - scheme);
    bool same = authority.len == scan->host.len &&
                strncasecmp(authority.ptr, scan->host.ptr, authority.len) == 0;
    if (scan->host_count == 1 && !same) {
        error_field(err, -EINVAL, "Host", "Host and the request's target name different hosts");
        return 400;
    }
    *target = slice_of(target->ptr + end, target->len - end);
    return 0;
}

static unsigned split_target(struct http_request *r, const struct http_header_scan *scan,
                             struct error *err)
{
    struct slice t = request_head_target(&r->head, r->bytes);
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

/* The memory for a body of known length is taken from the budget before it comes. */
static unsigned admit_body(struct http_request *r, struct error *err)
{
    if (r->body_length == HTTP_LENGTH_CHUNKED)
        return 0;
    if (r->body_length > r->match.route->body_max)
        return too_large(r, err);
    if (r->body_length > INTAKE_UNCHARGED && !budget_take(r, (size_t)r->body_length))
        return no_budget(err);
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

static unsigned admit_expectation(struct http_request *r, const struct http_header_scan *scan,
                                  struct error *err)
{
    if (scan->expect_count == 0 || r->head.minor == 0)
        return 0;
    r->asked = scan->expect_count == 1 && slice_is_nocase(scan->expect, "100-continue");
    if (r->asked)
        return 0;
    error_field(err, -EINVAL, "Expect", "100-continue is the only expectation known");
    return 417;
}

/* A foreign host is told so before it learns what there is and what not. */
static unsigned admit(struct http_request *r, const struct http_header_scan *scan,
                      struct error *err)
{
    unsigned refused = split_target(r, scan, err);
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
    if (unrouted != 0)
        return unrouted;
    refused = admit_expectation(r, scan, err);
    return refused != 0 ? refused : admit_body(r, err);
}

static void read_method(struct http_request *r)
{
    struct slice method = request_head_method(&r->head, r->bytes);
    memcpy(r->method_text, method.ptr, method.len);
    r->method_text[method.len] = '\0';
    r->method = method_of(method);
}

unsigned http_intake_head(struct http_request *r, struct error *err)
{
    struct http_header_scan scan;
    r->started_ns = r->server->options.observe != NULL ? clock_monotonic() : 0;
    read_method(r);
    http_guard_scan(&r->head, r->bytes, &scan);
    r->close_after = scan.close || (r->head.minor == 0 && !scan.keep_alive);
    unsigned refused = http_guard_framing(&scan, r->head.minor, &r->body_length, err);
    return refused != 0 ? refused : admit(r, &scan, err);
}

void http_intake_broken_head(struct http_request *r)
{
    if (r->head.method_len > 0)
        read_method(r);
}

unsigned http_intake_chunk(struct http_request *r, struct slice data, uint64_t announced,
                           struct error *err)
{
    size_t total = r->body_buffer.len + data.len;
    size_t charge =
        total > INTAKE_UNCHARGED && total > r->budget_taken ? total - r->budget_taken : 0;
    if (total > r->match.route->body_max || announced > r->match.route->body_max - total)
        return too_large(r, err);
    if (!budget_take(r, charge))
        return no_budget(err);
    buf_add_slice(&r->body_buffer, data);
    if (buf_ok(&r->body_buffer))
        return 0;
    error_set(err, -ENOMEM, "out of memory");
    return 503;
}

void http_intake_refuse(struct http_request *r, unsigned status, const struct error *err)
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
