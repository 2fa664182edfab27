/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/answer.h"

#include "base/memory.h"

#define ANSWER_HEADERS_MAX 128

void gateway_answer_failure(struct http_request *request, struct slice event_id,
                            const struct gateway_failure *f)
{
    autobuf out = BUF_INIT;
    buf_printf(&out, "{\"error\":{\"status\":%u,\"reason\":\"%s\",\"kind\":\"%s\",\"message\":",
               f->status, http_status_text(f->status), f->kind);
    buf_add_json_string(&out, slice_text(f->message));
    if (event_id.len > 0) {
        buf_add_text(&out, ",\"event\":");
        buf_add_json_string(&out, event_id);
    }
    buf_add_text(&out, "}}");
    if (!buf_ok(&out)) {
        http_respond_empty(request, f->status);
        return;
    }
    const struct http_response response = {
        .status = f->status, .content_type = "application/json", .body = buf_slice(&out)};
    http_respond(request, &response);
}

/* Names and values of an event's headers live during a callback only. */
struct collected {
    struct buf text;
    size_t ends[ANSWER_HEADERS_MAX * 2];
    size_t count;
};

static void collect(void *ctx, struct slice name, struct slice value)
{
    struct collected *c = ctx;
    if (c->count == ANSWER_HEADERS_MAX)
        return;
    buf_add_slice(&c->text, name);
    c->ends[c->count * 2] = c->text.len;
    buf_add_slice(&c->text, value);
    c->ends[c->count * 2 + 1] = c->text.len;
    c->count++;
}

/* HTTP binding §3.1. */
void gateway_answer_event(struct http_request *request, const struct event *e)
{
    struct collected c = {.text = BUF_INIT};
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t at = 0;
    if (event_http_write(e, collect, &c) < 0 || !buf_ok(&c.text)) {
        buf_done(&c.text);
        http_respond_errorf(request, 503, "no memory for the reply");
        return;
    }
    for (size_t i = 0; i < c.count; i++) {
        size_t name_end = c.ends[i * 2], value_end = c.ends[i * 2 + 1];
        headers[i].name = slice_of(c.text.ptr + at, name_end - at);
        headers[i].value = slice_of(c.text.ptr + name_end, value_end - name_end);
        at = value_end;
    }
    const struct http_response response = {
        .status = 200, .headers = headers, .header_count = c.count, .body = e->data};
    http_respond(request, &response);
    buf_done(&c.text);
}

void gateway_answer_plain(struct http_request *request, const struct stdio_reply *reply)
{
    struct http_header headers[STDIO_HEADERS_MAX];
    for (unsigned i = 0; i < reply->header_count; i++)
        headers[i] = (struct http_header){reply->headers[i].name, reply->headers[i].value};
    const struct http_response response = {.status = reply->status,
                                           .headers = headers,
                                           .header_count = reply->header_count,
                                           .body = reply->body};
    http_respond(request, &response);
}
