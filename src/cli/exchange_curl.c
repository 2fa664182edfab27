/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's easy interface: one handle, so one kept-alive connection. */
#include "base/clock.h"
#include "cli/exchange.h"
#include "http/curl_library.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct curl_way {
    const struct curl_library *library;
    CURL *easy;
    char message[CURL_ERROR_SIZE];
};

/* What a body is written to while it comes. */
struct sink {
    struct curl_way *way;
    struct exchange *exchange;
    struct buf body; /* of a plain answer, or of a stream's refusal */
    bool too_large;
};

struct curl_way *curl_way_new(struct error *err)
{
    const struct curl_library *library = curl_library(err);
    if (library == NULL)
        return NULL;
    struct curl_way *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->easy = library->easy_init()) == NULL) {
        free(c);
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    c->library = library;
    return c;
}

void curl_way_free(struct curl_way *c)
{
    if (c == NULL)
        return;
    c->library->easy_cleanup(c->easy);
    free(c);
}

static long status_of(struct curl_way *c)
{
    long status = 0;
    c->library->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t receive(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sink *s = ctx;
    struct exchange *x = s->exchange;
    size_t len = size * count;
    if (exchange_streams(x, status_of(s->way))) {
        x->ended = x->each(x->ctx, slice_of(bytes, len)) != 0;
        return x->ended ? 0 : len;
    }
    s->too_large = s->body.len + len > EXCHANGE_ANSWER_MAX;
    if (s->too_large)
        return 0;
    buf_add(&s->body, bytes, len);
    return buf_ok(&s->body) ? len : 0;
}

/* ---- the request's headers ---- */

static int add_line(const struct curl_way *c, struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = c->library->slist_append(*list, line);
    if (longer == NULL)
        return -ENOMEM;
    *list = longer;
    return 0;
}

/* To curl "Name:" takes a header away, "Name;" is one with an empty value. */
static int add_header(const struct curl_way *c, struct curl_slist **list, struct slice line)
{
    autobuf text = BUF_INIT;
    while (line.len > 0 && strchr(" \r\n", line.ptr[line.len - 1]) != NULL)
        line.len--;
    bool empty = line.len > 0 && line.ptr[line.len - 1] == ':';
    buf_add(&text, line.ptr, empty ? line.len - 1 : line.len);
    if (empty)
        buf_add_byte(&text, ';');
    return buf_ok(&text) ? add_line(c, list, text.ptr) : -ENOMEM;
}

static int add_named(const struct curl_way *c, struct curl_slist **list, const char *name,
                     const char *value)
{
    autobuf line = BUF_INIT;
    if (value == NULL)
        return 0;
    buf_printf(&line, "%s: %s", name, value);
    return buf_ok(&line) ? add_line(c, list, line.ptr) : -ENOMEM;
}

static int make_headers(const struct curl_way *c, const struct remote_request *q,
                        struct curl_slist **list)
{
    int status = add_line(c, list, "Expect:");
    if (status == 0)
        status = add_named(c, list, "Accept", q->accept);
    if (status == 0 && q->has_body)
        /* Without a type curl would claim that the body is a form. */
        status = q->content_type != NULL ? add_named(c, list, "Content-Type", q->content_type)
                                         : add_line(c, list, "Content-Type:");
    struct slice rest = q->headers;
    while (status == 0 && rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) + 1 : rest.len;
        status = add_header(c, list, slice_of(rest.ptr, len));
        rest = slice_of(rest.ptr + len, rest.len - len);
    }
    return status;
}

/* ---- the exchange ---- */

static int transfer_error(const struct curl_way *c, const struct sink *s, CURLcode code,
                          struct error *err)
{
    const struct exchange *x = s->exchange;
    const char *what = c->message[0] != '\0' ? c->message : c->library->easy_strerror(code);
    if (s->too_large)
        return exchange_too_large(x, err);
    if (!buf_ok(&s->body))
        return error_set(err, -ENOMEM, "out of memory");
    switch ((int)code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return exchange_nobody(x, what, err);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return exchange_bad_url(x, what, err);
    case CURLE_OPERATION_TIMEDOUT:
        return exchange_silent(x, what, err);
    case CURLE_WEIRD_SERVER_REPLY:
        return exchange_no_http(x, what, err);
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, -ENOMEM, "out of memory");
    default:
        return exchange_failed(x, what, err);
    }
}

static void set_body(const struct curl_way *c, const struct remote_request *q)
{
    if (!q->has_body)
        return;
    c->library->easy_setopt(c->easy, CURLOPT_POST, 1L);
    c->library->easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
    c->library->easy_setopt(c->easy, CURLOPT_POSTFIELDS, q->body.ptr != NULL ? q->body.ptr : "");
}

static CURLcode perform(struct curl_way *c, struct sink *s, struct curl_slist *headers)
{
    const struct exchange *x = s->exchange;
    CURLcode (*set)(CURL * easy, CURLoption option, ...) = c->library->easy_setopt;
    c->library->easy_reset(c->easy);
    c->message[0] = '\0';
    set_body(c, x->request);
    set(c->easy, CURLOPT_URL, x->url);
    set(c->easy, CURLOPT_CUSTOMREQUEST, x->request->method != NULL ? x->request->method : "GET");
    set(c->easy, CURLOPT_HTTPHEADER, headers);
    set(c->easy, CURLOPT_ERRORBUFFER, c->message);
    set(c->easy, CURLOPT_NOSIGNAL, 1L);
    set(c->easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    set(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(c->easy, CURLOPT_CONNECTTIMEOUT_MS, EXCHANGE_CONNECT_SECONDS * 1000L);
    set(c->easy, CURLOPT_TIMEOUT_MS, (long)(x->limit_ns / CLOCK_MILLISECOND)); /* 0: none */
    if (exchange_is_local(&x->parts)) /* proxies are for other machines */
        set(c->easy, CURLOPT_NOPROXY, "*");
    set(c->easy, CURLOPT_WRITEFUNCTION, receive);
    set(c->easy, CURLOPT_WRITEDATA, s);
    return c->library->easy_perform(c->easy);
}

int curl_way_exchange(struct curl_way *c, struct exchange *x, struct error *err)
{
    struct sink s = {.way = c, .exchange = x};
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (make_headers(c, x->request, &headers) == 0)
        code = perform(c, &s, headers);
    c->library->slist_free_all(headers);
    if (code != CURLE_OK && !x->ended) {
        int status = transfer_error(c, &s, code, err);
        buf_done(&s.body);
        return status;
    }
    x->reply->status = status_of(c);
    x->reply->body = s.body;
    return 0;
}
