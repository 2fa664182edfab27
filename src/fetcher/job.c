/* SPDX-License-Identifier: Apache-2.0 */
/* One request, over all the hops that its answers send it to (Fetch standard, "HTTP-redirect
 * fetch"). Each hop is checked against the allow-list before anything is looked up or opened. */
#include "fetcher/fetcher.h"

#include "base/clock.h"
#include "base/token.h"

#include <errno.h>
#include <stdio.h>

#define REDIRECTS_MAX 20

static const char *const bodiless_headers[] = {"content-type", "content-encoding",
                                               "content-language", "content-location", NULL};
static const char *const origin_headers[] = {"authorization", "proxy-authorization", "cookie",
                                             NULL};
/* What says where the request goes and how long it is comes from the fetcher alone. */
static const char *const own_headers[] = {
    "host", "connection", "keep-alive", "content-length",   "transfer-encoding",
    "te",   "trailer",    "upgrade",    "proxy-connection", "expect",
    NULL};

/* ---- the end ---- */

static void send_failure(struct session *s, uint64_t id, enum fetcher_problem problem,
                         const char *code, const char *message)
{
    struct fetcher_failure failure = {problem, slice_text(code), slice_text(message)};
    struct buf frame = BUF_INIT;
    fetcher_write_failure(&frame, id, &failure);
    session_send(s, &frame);
}

void job_refuse(struct session *s, uint64_t id, enum fetcher_problem problem, const char *message)
{
    send_failure(s, id, problem, "", message);
}

static void job_free(struct job *j)
{
    list_remove(&j->link);
    buf_done(&j->payload);
    buf_done(&j->url);
    free(j);
}

static void job_fail(struct job *j, enum fetcher_problem problem, const char *code,
                     const char *message)
{
    send_failure(j->session, j->id, problem, code, message);
    job_free(j);
}

/* The names that Node's errors have. */
static const struct {
    int error;
    enum fetcher_problem problem;
    const char *code;
} errors[] = {
    {-ETIMEDOUT, FETCHER_TIMEOUT, "ETIMEDOUT"},
    {-EMSGSIZE, FETCHER_TOO_LARGE, "EMSGSIZE"},
    {-ECONNREFUSED, FETCHER_NETWORK, "ECONNREFUSED"},
    {-ECONNRESET, FETCHER_NETWORK, "ECONNRESET"},
    {-EHOSTUNREACH, FETCHER_NETWORK, "ENOTFOUND"},
    {-ENETUNREACH, FETCHER_NETWORK, "ENETUNREACH"},
    {-EPROTO, FETCHER_NETWORK, "EPROTO"},
    {-EKEYREJECTED, FETCHER_NETWORK, "CERT_UNTRUSTED"},
    {-EINVAL, FETCHER_BAD_REQUEST, "EINVAL"},
    {-ENOMEM, FETCHER_NETWORK, "ENOMEM"},
};

static void job_fail_with(struct job *j, int error, const char *message)
{
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        if (errors[i].error == error) {
            job_fail(j, errors[i].problem, errors[i].code, message);
            return;
        }
    job_fail(j, FETCHER_NETWORK, "EIO", message);
}

static void job_answer(struct job *j, const struct http_call_result *result)
{
    if (result->header_count > FETCHER_HEADERS_MAX) {
        job_fail_with(j, -EMSGSIZE, "the answer has more than 128 headers");
        return;
    }
    struct fetcher_response response = {
        .status = result->status,
        .redirected = j->redirects > 0,
        .reason = result->reason,
        .url = buf_slice(&j->url),
        .body = result->body,
        .header_count = result->header_count,
    };
    for (unsigned i = 0; i < response.header_count; i++)
        response.headers[i] = result->headers[i];
    struct buf frame = BUF_INIT;
    fetcher_write_response(&frame, j->id, &response);
    if (!buf_ok(&frame)) {
        buf_done(&frame);
        job_fail_with(j, -ENOMEM, "the fetcher has no memory left");
        return;
    }
    session_send(j->session, &frame);
    job_free(j);
}

/* ---- a hop ---- */

static void job_done(void *ctx, const struct http_call_result *result);

static bool is_repeatable(struct slice method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (slice_is(method, methods[i]))
            return true;
    return false;
}

static void job_call(struct job *j)
{
    char method[FETCHER_METHOD_MAX + 1];
    uint64_t now = loop_now(session_loop(j->session));
    snprintf(method, sizeof(method), SLICE_FMT, SLICE_ARG(j->request.method));
    if (now >= j->deadline_ns) {
        job_fail_with(j, -ETIMEDOUT, "no answer in time");
        return;
    }
    struct http_call_options options = {
        .method = method,
        .url = j->url.ptr,
        .headers = j->request.headers,
        .header_count = j->request.header_count,
        .body = j->request.body,
        .timeout_ns = j->deadline_ns - now,
        .response_max = j->request.response_max > 0 ? j->request.response_max : 1,
        .repeatable = is_repeatable(j->request.method),
        .done = job_done,
        .ctx = j,
    };
    int r = http_client_call(session_client(j->session), &options, &j->call);
    if (r == -ELIBACC)
        job_fail(j, FETCHER_NETWORK, "ELIBACC",
                 "https needs libcurl, which cannot be loaded (on Debian: apt install "
                 "libcurl3-gnutls)");
    else if (r < 0)
        job_fail_with(j, r, "the request cannot be made");
}

/* Goes to url if that is allowed. */
static void job_visit(struct job *j, struct slice url)
{
    struct error err = ERROR_INIT;
    char name[DESTINATION_SIZE], message[DESTINATION_SIZE + 128];
    struct buf checked = BUF_INIT;
    struct destination to;
    int r = destination_of(url, &to, &checked, &err);
    buf_done(&j->url); /* url may have been part of it */
    j->url = checked;
    if (r < 0) {
        job_fail_with(j, r, err.message);
        return;
    }
    if (!allow_has(session_allow(j->session), &to)) {
        destination_show(&to, name);
        snprintf(message, sizeof(message),
                 "%s is not in the function's spec.network.allow: add \"%s\" to it", name, name);
        job_fail(j, FETCHER_NOT_ALLOWED, "", message);
        return;
    }
    j->to = to;
    job_call(j);
}

/* ---- redirects ---- */

static void drop_headers(struct fetcher_request *r, const char *const *names)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < r->header_count; i++) {
        bool dropped = false;
        for (size_t n = 0; names[n] != NULL && !dropped; n++)
            dropped = slice_is_nocase(r->headers[i].name, names[n]);
        if (!dropped)
            r->headers[kept++] = r->headers[i];
    }
    r->header_count = kept;
}

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static struct slice header_of(const struct http_call_result *result, const char *name)
{
    for (unsigned i = 0; i < result->header_count; i++)
        if (slice_is_nocase(result->headers[i].name, name))
            return result->headers[i].value;
    return slice_of(NULL, 0);
}

/* The method of the next hop (Fetch standard, "HTTP-redirect fetch", step 12). */
static void change_method(struct fetcher_request *r, unsigned status)
{
    bool post = slice_is(r->method, "POST");
    bool safe = slice_is(r->method, "GET") || slice_is(r->method, "HEAD");
    if (!((status == 301 || status == 302) && post) && !(status == 303 && !safe))
        return;
    r->method = SLICE("GET");
    r->body = slice_of("", 0);
    drop_headers(r, bodiless_headers);
}

static void job_follow(struct job *j, unsigned status, struct slice location)
{
    struct error err = ERROR_INIT;
    autobuf next = BUF_INIT, checked = BUF_INIT;
    struct destination to;
    if (++j->redirects > REDIRECTS_MAX) {
        job_fail(j, FETCHER_REDIRECTS, "", "redirect count exceeded");
        return;
    }
    int r = location_resolve(buf_slice(&j->url), location, &next);
    if (r == 0)
        r = destination_of(buf_slice(&next), &to, &checked, &err);
    if (r < 0) {
        job_fail(j, FETCHER_REDIRECTS, "",
                 r == -ENOMEM ? "no memory for the URL" : "the redirect leads to no http URL");
        return;
    }
    change_method(&j->request, status);
    if (!destination_same_origin(&j->to, &to))
        drop_headers(&j->request, origin_headers);
    job_visit(j, buf_slice(&next));
}

static void job_done(void *ctx, const struct http_call_result *result)
{
    struct job *j = ctx;
    j->call = NULL;
    struct slice location = header_of(result, "location");
    if (result->error != 0)
        job_fail_with(j, result->error, result->error_text);
    else if (!is_redirect(result->status) || location.ptr == NULL ||
             j->request.redirect == FETCHER_MANUAL)
        job_answer(j, result);
    else if (j->request.redirect == FETCHER_REFUSE)
        job_fail(j, FETCHER_REDIRECTS, "", "unexpected redirect");
    else
        job_follow(j, result->status, location);
}

/* ---- the request ---- */

static void add_default(struct fetcher_request *r, struct slice name, struct slice value)
{
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_equal(r->headers[i].name, name) || slice_is_nocase(r->headers[i].name, name.ptr))
            return;
    if (r->header_count < FETCHER_HEADERS_MAX)
        r->headers[r->header_count++] = (struct http_call_header){name, value};
}

/* NULL, or what is wrong with the request. */
static const char *check(const struct fetcher_request *r)
{
    static const char *const forbidden[] = {"CONNECT", "TRACE", "TRACK"};
    if (!token_is(r->method))
        return "the method is no token";
    for (size_t i = 0; i < COUNT_OF(forbidden); i++)
        if (slice_is_nocase(r->method, forbidden[i]))
            return "the methods CONNECT, TRACE and TRACK are not sent";
    for (unsigned i = 0; i < r->header_count; i++)
        if (!token_is(r->headers[i].name) || !token_is_field_value(r->headers[i].value))
            return "a header has a character that is not allowed";
    return NULL;
}

void job_start(struct session *s, struct list *jobs, uint64_t id, struct slice payload)
{
    struct job *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        job_refuse(s, id, FETCHER_BUSY, "the fetcher has no memory left");
        return;
    }
    list_append(jobs, &j->link);
    j->session = s;
    j->id = id;
    buf_add_slice(&j->payload, payload);
    if (!buf_ok(&j->payload)) {
        job_fail(j, FETCHER_BUSY, "", "the fetcher has no memory left");
        return;
    }
    /* It was read before, where the payload lay. */
    (void)fetcher_read_request(buf_slice(&j->payload), &j->request);
    uint64_t ms = j->request.timeout_ms < 86400000 ? j->request.timeout_ms : 86400000;
    j->deadline_ns = loop_now(session_loop(s)) + ms * CLOCK_MILLISECOND;
    const char *problem = check(&j->request);
    if (problem != NULL) {
        job_fail(j, FETCHER_BAD_REQUEST, "", problem);
        return;
    }
    drop_headers(&j->request, own_headers);
    add_default(&j->request, SLICE("accept"), SLICE("*/*"));
    add_default(&j->request, SLICE("user-agent"), SLICE("sluice/" SLUICE_VERSION));
    job_visit(j, j->request.url);
}

void job_cancel(struct job *j)
{
    if (j->call != NULL)
        http_call_cancel(j->call);
    job_free(j);
}
