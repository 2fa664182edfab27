/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: their bytes are made on the thread that answers, and sent by the HTTP thread. */
#include "http/response.h"
#include "base/memory.h"
#include "base/must.h"
#include "base/token.h"
#include "http/connection.h"
#include "http/reactor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RESPONSE_HEADERS_MAX 12288 /* what clients take at least */
#define RESPONSE_COPIED      4096  /* a body up to this is sent in one piece with the head */
#define RESPONSE_DATE_SIZE   30

static const struct {
    unsigned status;
    const char *text;
} status_texts[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(unsigned status)
{
    for (size_t i = 0; i < COUNT_OF(status_texts); i++)
        if (status_texts[i].status == status)
            return status_texts[i].text;
    return "Unknown";
}

static const struct {
    enum http_method method;
    const char *text;
} method_texts[] = {
    {HTTP_GET, "GET"},     {HTTP_HEAD, "HEAD"},     {HTTP_POST, "POST"},       {HTTP_PUT, "PUT"},
    {HTTP_PATCH, "PATCH"}, {HTTP_DELETE, "DELETE"}, {HTTP_OPTIONS, "OPTIONS"},
};

void http_allow_header(unsigned methods, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(method_texts) && n < size; i++)
        if ((methods & method_texts[i].method) != 0)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? ", " : "",
                                  method_texts[i].text);
}

/* ---- the head ---- */

/* The Date field (RFC 9110 §5.6.7), made once a second in each thread. */
static const char *date_now(void)
{
    static _Thread_local char text[RESPONSE_DATE_SIZE];
    static _Thread_local time_t made;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made) {
        static const char days[] = "SunMonTueWedThuFriSat",
                          months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        struct tm t;
        gmtime_r(&now.tv_sec, &t);
        snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900,
                 t.tm_hour, t.tm_min, t.tm_sec);
        made = now.tv_sec;
    }
    return text;
}

static void add_number(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    buf_add(out, digits + at, sizeof(digits) - at);
}

static void add_field(struct buf *out, struct slice name, struct slice value)
{
    buf_add_slice(out, name);
    buf_add(out, ": ", 2);
    buf_add_slice(out, value);
    buf_add(out, "\r\n", 2);
}

static void begin_head(struct http_request *r, unsigned status, bool dated)
{
    struct buf *out = &r->answer;
    r->status = status >= 200 && status <= 599 ? status : 500;
    if (atomic_load_explicit(&r->server->state, memory_order_relaxed) != HTTP_SERVER_RUNS)
        r->close_after = true; /* told before it is done (RFC 9112 §9.6) */
    buf_add_slice(out, SLICE("HTTP/1.1 "));
    add_number(out, r->status);
    buf_add_byte(out, ' ');
    buf_add_text(out, http_status_text(r->status));
    buf_add(out, "\r\n", 2);
    if (!dated)
        add_field(out, SLICE("Date"), slice_of(date_now(), RESPONSE_DATE_SIZE - 1));
    if (r->close_after)
        buf_add_slice(out, SLICE("Connection: close\r\n"));
    else if (r->head.minor == 0)
        buf_add_slice(out, SLICE("Connection: keep-alive\r\n"));
}

/* RFC 9110 §6.4.1: these never have a body, nor a length of one. */
static bool is_bodiless(unsigned status)
{
    return status == 204 || status == 304;
}

static void end_head(struct http_request *r, uint64_t body_len)
{
    if (!is_bodiless(r->status)) {
        buf_add_slice(&r->answer, SLICE("Content-Length: "));
        add_number(&r->answer, body_len);
        buf_add(&r->answer, "\r\n", 2);
    }
    buf_add(&r->answer, "\r\n", 2);
}

enum field_fate { FIELD_SENT, FIELD_DROPPED, FIELD_CLOSES, FIELD_DATES };

/* Names and values come from functions and configuration as well: what would break a line, and what
 * says how this connection is framed (RFC 9110 §7.6.1), is ours to write. */
static enum field_fate field_fate(const struct http_header *h)
{
    static const char *const framing[] = {"content-length",  "transfer-encoding", "keep-alive",
                                          "trailer",         "upgrade",           "te",
                                          "proxy-connection"};
    if (h->name.len == 0 || token_length(h->name) != h->name.len || !token_is_field_value(h->value))
        return FIELD_DROPPED;
    for (size_t i = 0; i < COUNT_OF(framing); i++)
        if (slice_is_nocase(h->name, framing[i]))
            return FIELD_DROPPED;
    if (slice_is_nocase(h->name, "connection"))
        return slice_is_nocase(h->value, "close") ? FIELD_CLOSES : FIELD_DROPPED;
    return slice_is_nocase(h->name, "date") ? FIELD_DATES : FIELD_SENT;
}

/* ---- delivery ---- */

void http_response_deliver(struct http_request *r, unsigned status)
{
    struct http_connection *c = r->connection;
    r->status = status >= 200 && status <= 599 ? status : 500;
    int before = atomic_exchange_explicit(&r->progress, HTTP_ANSWERED, memory_order_acq_rel);
    must(before != HTTP_ANSWERED);
    if (before == HTTP_PARKED)
        reactor_wake_connection(c);
    /* the request may be gone from here on */
}

void http_response_write_empty(struct http_request *r)
{
    begin_head(r, r->status, false);
    end_head(r, 0);
}

void http_respond_empty(struct http_request *r, unsigned status)
{
    http_response_deliver(r, status); /* its bytes are made where they are sent */
}

void http_response_write_stream_head(struct http_request *r, unsigned status,
                                     const char *content_type)
{
    bool chunked = r->head.minor > 0;
    r->close_after = r->close_after || !chunked;
    begin_head(r, status, false);
    if (content_type != NULL)
        add_field(&r->answer, SLICE("Content-Type"), slice_text(content_type));
    if (chunked)
        buf_add_slice(&r->answer, SLICE("Transfer-Encoding: chunked\r\n"));
    buf_add(&r->answer, "\r\n", 2);
}

static size_t response_headers_size(const struct http_response *response)
{
    size_t size = response->content_type != NULL ? strlen(response->content_type) : 0;
    for (size_t i = 0; i < response->header_count; i++)
        size += response->headers[i].name.len + response->headers[i].value.len + 4;
    return size;
}

static void write_head(struct http_request *r, const struct http_response *response)
{
    bool dated = false;
    for (size_t i = 0; i < response->header_count; i++) {
        enum field_fate fate = field_fate(&response->headers[i]);
        dated = dated || fate == FIELD_DATES;
        r->close_after = r->close_after || fate == FIELD_CLOSES;
    }
    begin_head(r, response->status, dated);
    if (response->content_type != NULL && token_is_field_value(slice_text(response->content_type)))
        add_field(&r->answer, SLICE("Content-Type"), slice_text(response->content_type));
    for (size_t i = 0; i < response->header_count; i++) {
        enum field_fate fate = field_fate(&response->headers[i]);
        if (fate == FIELD_SENT || fate == FIELD_DATES)
            add_field(&r->answer, response->headers[i].name, response->headers[i].value);
    }
    end_head(r, response->body.len);
}

/* Takes response->body_owned over. */
static void write_body(struct http_request *r, const struct http_response *response)
{
    char *owned = response->body_owned;
    bool sent = response->body.len > 0 && r->method != HTTP_HEAD && !is_bodiless(r->status);
    if (sent && owned != NULL && response->body.len > RESPONSE_COPIED) {
        r->answer_body = STEAL(owned);
        r->answer_body_len = response->body.len;
    } else if (sent) {
        buf_add(&r->answer, owned != NULL ? owned : response->body.ptr, response->body.len);
    }
    free(owned);
}

void http_respond(struct http_request *r, const struct http_response *response)
{
    size_t size = response_headers_size(response);
    if (size > RESPONSE_HEADERS_MAX) {
        free(response->body_owned);
        http_respond_errorf(r, 500, "the answer's header fields take %zu bytes, more than %d", size,
                            RESPONSE_HEADERS_MAX);
        return;
    }
    write_head(r, response);
    write_body(r, response);
    unsigned status = r->status;
    if (!buf_ok(&r->answer)) { /* out of memory: an answer that needs none from here */
        buf_done(&r->answer);
        status = 503;
    }
    http_response_deliver(r, status);
}

void http_response_error_body(unsigned status, const struct error *err, struct buf *out)
{
    buf_printf(out, "{\"error\":{\"status\":%u,\"reason\":", status);
    buf_add_json_string(out, slice_text(http_status_text(status)));
    buf_add_text(out, ",\"message\":");
    buf_add_json_string(out, slice_text(err != NULL ? err->message : ""));
    if (err != NULL && err->field[0] != '\0') {
        buf_add_text(out, ",\"field\":");
        buf_add_json_string(out, slice_text(err->field));
    }
    buf_add_text(out, "}}\n");
}

void http_respond_error(struct http_request *r, unsigned status, const struct error *err)
{
    struct buf body = BUF_INIT;
    http_response_error_body(status, err, &body);
    struct http_header retry = {SLICE("Retry-After"), SLICE("1")};
    struct http_response response = {
        .status = status,
        .content_type = "application/json",
        .headers = &retry,
        .header_count = status == 429 || status == 503 ? 1 : 0,
        .body = slice_of(NULL, body.len),
    };
    response.body_owned = buf_steal(&body);
    if (response.body_owned == NULL)
        http_respond_empty(r, status);
    else
        http_respond(r, &response);
}

void http_respond_errorf(struct http_request *r, unsigned status, const char *format, ...)
{
    struct error err = ERROR_INIT;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err.message, sizeof(err.message), format, arguments);
    va_end(arguments);
    http_respond_error(r, status, &err);
}
