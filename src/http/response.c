/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: made on the thread that answers, sent by the HTTP thread. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/http_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define RESPONSE_RATE        65536 /* bytes a second that a reader must take, on average */
#define RESPONSE_HEADERS_MAX 12288 /* must fit into a connection's memory beside the request's */

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

void http_response_deliver(struct http_request *r, unsigned status, struct MHD_Response *response)
{
    struct MHD_Connection *mhd = r->mhd;
    r->status = status >= 200 && status <= 599 ? status : 500;
    r->response = response;
    int before = atomic_exchange_explicit(&r->progress, HTTP_ANSWERED, memory_order_acq_rel);
    must(before != HTTP_ANSWERED);
    if (before == HTTP_PARKED)
        MHD_resume_connection(mhd);
    /* the request may be gone from here on */
}

enum MHD_Result http_response_queue(struct http_request *r)
{
    struct MHD_Response *response = r->response != NULL ? r->response : r->server->empty;
    uint64_t size = r->sending;
    atomic_store_explicit(&r->connection->deadline_ns,
                          size == UINT64_MAX
                              ? UINT64_MAX
                              : http_connection_clock() + r->server->body_timeout_ns +
                                    size / RESPONSE_RATE * CLOCK_SECOND,
                          memory_order_relaxed);
    return MHD_queue_response(r->mhd, r->status, response);
}

void http_respond_empty(struct http_request *r, unsigned status)
{
    r->sending = 0;
    http_response_deliver(r, status, NULL);
}

/* Names and values come from functions and configuration as well, so a line break in one must not
 * begin another: such a header is refused by libmicrohttpd and left out. */
static bool response_add_header(struct MHD_Response *response, struct slice name,
                                struct slice value)
{
    char small[512];
    size_t len = name.len + value.len + 2;
    char *large = len > sizeof(small) ? malloc(len) : NULL;
    char *text = len > sizeof(small) ? large : small;
    if (text == NULL)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    char *value_text = text + name.len + 1;
    if (value.len > 0)
        memcpy(value_text, value.ptr, value.len);
    value_text[value.len] = '\0';
    MHD_add_response_header(response, text, value_text);
    free(large);
    return true;
}

static struct MHD_Response *response_make(const struct http_response *response)
{
    struct MHD_Response *made =
        response->body_owned != NULL
            ? MHD_create_response_from_buffer(response->body.len, response->body_owned,
                                              MHD_RESPMEM_MUST_FREE)
            : MHD_create_response_from_buffer(
                  response->body.len, (void *)(uintptr_t)response->body.ptr, MHD_RESPMEM_MUST_COPY);
    if (made == NULL) {
        free(response->body_owned);
        return NULL;
    }
    bool good = true;
    if (response->content_type != NULL)
        good = response_add_header(made, SLICE("Content-Type"), slice_text(response->content_type));
    for (size_t i = 0; good && i < response->header_count; i++)
        good = response_add_header(made, response->headers[i].name, response->headers[i].value);
    if (!good) {
        MHD_destroy_response(made);
        return NULL;
    }
    return made;
}

static size_t response_headers_size(const struct http_response *response)
{
    size_t size = response->content_type != NULL ? strlen(response->content_type) : 0;
    for (size_t i = 0; i < response->header_count; i++)
        size += response->headers[i].name.len + response->headers[i].value.len + 4;
    return size;
}

void http_respond(struct http_request *r, const struct http_response *response)
{
    size_t size = response_headers_size(response);
    if (size > RESPONSE_HEADERS_MAX) { /* libmicrohttpd would close without a word */
        free(response->body_owned);
        http_respond_errorf(r, 500, "the answer's header fields take %zu bytes, more than %d", size,
                            RESPONSE_HEADERS_MAX);
        return;
    }
    struct MHD_Response *made = response_make(response);
    if (made == NULL) { /* out of memory: an answer that needs none */
        http_respond_empty(r, 503);
        return;
    }
    r->sending = response->body.len;
    http_response_deliver(r, response->status, made);
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

void http_response_raw_error(unsigned status, const struct error *err, struct buf *out)
{
    autobuf body = BUF_INIT;
    http_response_error_body(status, err, &body);
    buf_printf(out,
               "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n%s"
               "Content-Length: %zu\r\n\r\n",
               status, http_status_text(status),
               status == 429 || status == 503 ? "Retry-After: 1\r\n" : "", body.len);
    buf_add_slice(out, buf_slice(&body));
    out->failed = out->failed || body.failed;
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
