/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of functions without JavaScript, in the form that those with it have. */
#include "worker/metrics.h"
#include "worker/native.h"

#include "base/memory.h"
#include "event/json_scan.h"

#include <errno.h>

#define ANSWER_HEADERS_MAX 128

static void typed_reply(const char *type, struct slice output, struct stdio_reply *ret)
{
    ret->is_event = false;
    ret->status = output.len > 0 ? 200 : 204;
    ret->body = output;
    ret->header_count = output.len > 0 ? 1 : 0;
    ret->headers[0] = (struct stdio_field){SLICE("content-type"), slice_text(type)};
}

int native_read_reply(const char *result, struct slice output,
                      const struct event_defaults *defaults, struct event_arena *arena,
                      struct stdio_reply *ret, struct error *err)
{
    if (result == NULL)
        return stdio_reply_read(output, defaults, arena, ret, err);
    if (strcmp(result, "event") == 0) {
        ret->is_event = true;
        return event_json_read_filled(output, defaults, &ret->event, arena, err);
    }
    if (strcmp(result, "json") == 0 && output.len > 0 && !json_scan_valid(output))
        return error_set(err, -EINVAL, "spec.result says json, and this is none");
    typed_reply(strcmp(result, "json") == 0   ? "application/json"
                : strcmp(result, "text") == 0 ? "text/plain; charset=utf-8"
                                              : "application/octet-stream",
                output, ret);
    return 0;
}

void native_answer_failure(struct http_request *request, struct slice event_id,
                           const struct native_failure *f)
{
    metrics_failed();
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
void native_answer_event(struct http_request *request, const struct event *e)
{
    static struct collected c;
    static struct http_header headers[ANSWER_HEADERS_MAX];
    buf_reset(&c.text);
    c.count = 0;
    if (event_http_write(e, collect, &c) < 0 || !buf_ok(&c.text)) {
        http_respond_errorf(request, 503, "no memory for the reply");
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < c.count; i++) {
        size_t name_end = c.ends[i * 2], value_end = c.ends[i * 2 + 1];
        headers[i].name = slice_of(c.text.ptr + at, name_end - at);
        headers[i].value = slice_of(c.text.ptr + name_end, value_end - name_end);
        at = value_end;
    }
    const struct http_response response = {
        .status = 200, .headers = headers, .header_count = c.count, .body = e->data};
    http_respond(request, &response);
}

void native_answer_plain(struct http_request *request, const struct stdio_reply *reply)
{
    static struct http_header headers[STDIO_HEADERS_MAX];
    for (unsigned i = 0; i < reply->header_count; i++)
        headers[i] = (struct http_header){reply->headers[i].name, reply->headers[i].value};
    const struct http_response response = {.status = reply->status,
                                           .headers = headers,
                                           .header_count = reply->header_count,
                                           .body = reply->body};
    http_respond(request, &response);
}
