/* SPDX-License-Identifier: Apache-2.0 */
/* What came out of the guest becomes the HTTP answer: an event in binary mode, a plain answer, or
 * an error that says what went wrong and where. Nothing that the guest gave is trusted here. */
#include "worker/metrics.h"
#include "worker/program.h"

#include "base/token.h"

#include <errno.h>
#include <stdio.h>

#define ANSWER_HEADERS_MAX 128

static struct {
    struct http_header list[ANSWER_HEADERS_MAX];
    size_t count;
    struct buf text; /* names and values of event headers, which live during a callback only */
    size_t ends[ANSWER_HEADERS_MAX * 2];
} headers;

/* Framing is the server's. */
static bool is_framing(struct slice name)
{
    static const char *const names[] = {
        "content-length", "transfer-encoding", "connection", "keep-alive",
        "upgrade",        "trailer",           "date"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

static void add_line(struct slice line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL || headers.count == ANSWER_HEADERS_MAX)
        return;
    struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    struct slice value = slice_of(colon + 1, line.len - name.len - 1);
    while (value.len > 0 && value.ptr[0] == ' ')
        value = slice_of(value.ptr + 1, value.len - 1);
    if (call->status == 204 && slice_is_nocase(name, "content-type"))
        return; /* there is no content */
    if (token_is(name) && token_is_field_value(value) && !is_framing(name))
        headers.list[headers.count++] = (struct http_header){name, value};
}

static void split_head(void)
{
    headers.count = 0;
    struct slice rest = buf_slice(&call->head);
    while (rest.len > 0) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        size_t len = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        add_line(slice_of(rest.ptr, len));
        rest = slice_of(rest.ptr + len, rest.len - len);
        if (rest.len > 0)
            rest = slice_of(rest.ptr + 1, rest.len - 1);
    }
}

static void add_header(const char *name, struct slice value)
{
    if (headers.count < ANSWER_HEADERS_MAX)
        headers.list[headers.count++] = (struct http_header){slice_text(name), value};
}

static bool has_header(const char *name)
{
    for (size_t i = 0; i < headers.count; i++)
        if (slice_is_nocase(headers.list[i].name, name))
            return true;
    return false;
}

/* The function's own headers come first. */
static void add_cors(void)
{
    static const char methods[] = "access-control-allow-methods",
                      origin[] = "access-control-allow-origin";
    if (call->cors == CALL_CORS_NONE)
        return;
    if (!has_header(methods))
        add_header(methods, SLICE("OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"));
    if (!has_header(origin) && call->cors == CALL_CORS_ANY)
        add_header(origin, SLICE("*"));
    if (call->cors == CALL_CORS_OWN && !has_header("vary"))
        add_header("vary", SLICE("Origin"));
    if (!has_header(origin) && call->cors == CALL_CORS_OWN &&
        token_is_field_value(buf_slice(&call->origin)) && call->origin.len > 0)
        add_header(origin, buf_slice(&call->origin));
}

/* ---- errors ---- */

struct answer_error {
    unsigned status;
    const char *kind; /* exception, time, memory, output, trap */
    struct slice message;
    bool has_place;
};

static void send_error(const struct answer_error *e)
{
    const struct engine_failure *f = &program.failure;
    struct buf *out = &call->text;
    buf_reset(out);
    buf_printf(out, "{\"error\":{\"status\":%u,\"reason\":\"%s\",\"kind\":\"%s\",\"message\":",
               e->status, http_status_text(e->status), e->kind);
    buf_add_json_string(out, e->message);
    if (e->has_place && f->line > 0) {
        buf_add_text(out, ",\"file\":");
        buf_add_json_string(out, buf_slice(&f->file));
        buf_printf(out, ",\"line\":%d,\"column\":%d", f->line, f->column);
    }
    if (call->event_id.len > 0) {
        buf_add_text(out, ",\"event\":");
        buf_add_json_string(out, call->event_id);
    }
    buf_add_text(out, "}}");
    if (!buf_ok(out)) {
        http_respond_empty(call->request, e->status);
        return;
    }
    struct http_response response = {
        .status = e->status, .content_type = "application/json", .body = buf_slice(out)};
    http_respond(call->request, &response);
}

static void send_limit(unsigned status, const char *kind, const char *message, bool has_place)
{
    metrics_failed();
    report_limit(kind, call->event_id, message);
    struct answer_error e = {status, kind, slice_text(message), has_place};
    send_error(&e);
}

static void send_timeout(bool has_place)
{
    char message[96];
    program_fix_column(&program.failure);
    snprintf(message, sizeof(message), "the function took longer than its time limit of %llu ms",
             (unsigned long long)program.bundle->limits.timeout_ms);
    send_limit(504, "time", message, has_place);
}

static void send_out_of_memory(void)
{
    char message[96];
    snprintf(message, sizeof(message), "the function needs more memory than its limit of %llu KiB",
             (unsigned long long)program.bundle->limits.memory_bytes / 1024);
    send_limit(500, "memory", message, true);
}

static void send_too_large(void)
{
    char message[96];
    snprintf(message, sizeof(message), "the answer has more bytes than the limit of %llu",
             (unsigned long long)program.bundle->limits.response_bytes);
    send_limit(500, "output", message, false);
}

static void send_trap(void)
{
    char message[160];
    if (call->module_ended)
        snprintf(message, sizeof(message), "trap in %.64s of %.64s: %s",
                 program.bundle->wasm_function, program.bundle->wasm_module,
                 guard_describe(call->ended));
    else
        snprintf(message, sizeof(message), "the function ended with a trap: %s",
                 guard_describe(call->ended));
    send_limit(500, "trap", message, false);
}

static bool has_part(struct slice text, const char *part)
{
    return text.ptr != NULL && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* The stack without frames of the prelude. */
static void add_stack(struct buf *out, struct slice stack)
{
    while (stack.len > 0) {
        const char *newline = memchr(stack.ptr, '\n', stack.len);
        size_t len = newline != NULL ? (size_t)(newline - stack.ptr) : stack.len;
        struct slice line = slice_of(stack.ptr, len);
        if (len > 0 && !has_part(line, "sluice:") && !has_part(line, "(native)")) {
            buf_add_byte(out, '\n');
            buf_add_slice(out, line);
        }
        stack = slice_of(stack.ptr + len, stack.len - len);
        if (stack.len > 0)
            stack = slice_of(stack.ptr + 1, stack.len - 1);
    }
}

/* Its name and message, as Node shows it. */
static void describe(const struct engine_failure *f, struct buf *out)
{
    buf_reset(out);
    if (f->unhandled)
        buf_add_text(out, "UnhandledPromiseRejection: ");
    size_t begin = out->len;
    buf_add_slice(out, buf_slice(&f->name));
    if (f->name.len > 0 && f->message.len > 0)
        buf_add_text(out, ": ");
    buf_add_slice(out, buf_slice(&f->message));
    if (out->len == begin)
        buf_add_text(out, "the function threw a value that has no text");
}

void answer_log_failure(const struct engine_failure *f)
{
    static struct buf text;
    describe(f, &text);
    add_stack(&text, buf_slice(&f->stack));
    if (buf_ok(&text))
        report_log(REPORT_ERROR, call->event_id, buf_slice(&text));
    buf_done(&text);
    text = (struct buf)BUF_INIT;
}

/* The caller gets what faas-js-runtime gives: the message. The place is in the log. */
static void send_exception(void)
{
    struct engine_failure *f = &program.failure;
    program_fix_column(f);
    answer_log_failure(f);
    metrics_failed();
    struct slice message = buf_slice(&f->message);
    if (message.len == 0 && f->name.len == 0)
        message = SLICE("the function threw a value that has no text");
    struct http_response response = {.status = f->status != 0 ? (unsigned)f->status : 500,
                                     .content_type = "text/plain; charset=utf-8",
                                     .body = message};
    http_respond(call->request, &response);
}

static void send_refused(void)
{
    http_respond_errorf(call->request, call->status, SLICE_FMT, SLICE_ARG(buf_slice(&call->body)));
}

/* ---- answers ---- */

static void note_header(void *ctx, struct slice name, struct slice value)
{
    if (headers.count == ANSWER_HEADERS_MAX)
        return;
    buf_add_slice(&headers.text, name);
    headers.ends[headers.count * 2] = headers.text.len;
    buf_add_slice(&headers.text, value);
    headers.ends[headers.count * 2 + 1] = headers.text.len;
    headers.count++;
}

static void collect_event_headers(const struct event *e)
{
    buf_reset(&headers.text);
    headers.count = 0;
    event_http_write(e, note_header, NULL);
    size_t at = 0;
    for (size_t i = 0; i < headers.count; i++) {
        size_t name_end = headers.ends[i * 2], value_end = headers.ends[i * 2 + 1];
        headers.list[i].name = slice_of(headers.text.ptr + at, name_end - at);
        headers.list[i].value = slice_of(headers.text.ptr + name_end, value_end - name_end);
        at = value_end;
    }
}

/* The slice up to the next NUL, which is taken off the rest. */
static struct slice take_part(struct slice *rest)
{
    const char *nul = rest->len > 0 ? memchr(rest->ptr, '\0', rest->len) : NULL;
    size_t len = nul != NULL ? (size_t)(nul - rest->ptr) : rest->len;
    struct slice part = slice_of(rest->ptr, len);
    size_t skip = nul != NULL ? len + 1 : len;
    *rest = slice_of(rest->ptr + skip, rest->len - skip);
    return part;
}

static int add_attribute(struct event *e, struct slice name, struct slice value, struct error *err)
{
    if (e->count == EVENT_ATTRIBUTES_MAX)
        return error_set(err, -E2BIG, "it has more than %d attributes", EVENT_ATTRIBUTES_MAX);
    if (!slice_is(name, "specversion")) {
        e->attributes[e->count++] = (struct event_attribute){name, value, EVENT_VALUE_STRING};
        return 0;
    }
    e->version = slice_is(value, "0.3") ? EVENT_V03 : EVENT_V1;
    return slice_is(value, "0.3") || slice_is(value, "1.0")
               ? 0
               : error_field(err, -EINVAL, "specversion", "must be 0.3 or 1.0");
}

static int read_reply(struct event *e, struct error *err)
{
    struct slice rest = buf_slice(&call->head);
    int status = 0;
    e->count = 0;
    while (status == 0 && rest.len > 0) {
        struct slice name = take_part(&rest);
        status = add_attribute(e, name, take_part(&rest), err);
    }
    e->data = buf_slice(&call->body);
    e->has_data = call->body.len > 0;
    return status == 0 ? event_check(e, err) : status;
}

/* HTTP binding §3.1. */
static void send_event(void)
{
    struct error err = ERROR_INIT;
    static struct event reply;
    if (read_reply(&reply, &err) < 0) {
        engine_failure_reset(&program.failure);
        buf_printf(&program.failure.message, "the function's reply is no good event: %s%s%s",
                   err.field, err.field[0] != '\0' ? ": " : "", err.message);
        send_exception();
        return;
    }
    collect_event_headers(&reply);
    add_cors();
    struct http_response response = {
        .status = 200, .headers = headers.list, .header_count = headers.count, .body = reply.data};
    metrics_sent(response.body.len);
    if (buf_ok(&headers.text))
        http_respond(call->request, &response);
    else
        http_respond_errorf(call->request, 503, "no memory for the reply");
}

static void send_plain(void)
{
    if (call->status < 200 || call->status > 599)
        call->status = 500;
    split_head();
    add_cors();
    struct http_response response = {.status = call->status,
                                     .headers = headers.list,
                                     .header_count = headers.count,
                                     .body = buf_slice(&call->body)};
    metrics_sent(response.body.len);
    http_respond(call->request, &response);
}

static void send_unsettled(void)
{
    engine_failure_reset(&program.failure);
    buf_add_text(
        &program.failure.message,
        "the function never finishes: its promise waits for something that will not happen");
    send_exception();
}

static void send_stopped(void)
{
    if (call->ended == GUARD_STOPPED_TIME)
        send_timeout(false);
    else if (call->ended == GUARD_STOPPED_MEMORY)
        send_out_of_memory();
    else
        send_trap();
}

static void send_instance_lost(void)
{
    send_limit(503, "instance",
               "the call ended with its instance, which another call brought to a limit", false);
}

static void send_no_room(void)
{
    send_limit(503, "memory", "the worker has no memory left to keep the waiting call", false);
}

static void send_outcome(void)
{
    if (call->fate == CALL_LATE)
        send_timeout(false);
    else if (call->fate == CALL_INSTANCE_LOST)
        send_instance_lost();
    else if (call->fate == CALL_NO_ROOM)
        send_no_room();
    else if (call->ended != 0)
        send_stopped();
    else if (call->failed && program.failure.interrupted)
        send_timeout(true);
    else if (call->failed && program.failure.out_of_memory)
        send_out_of_memory();
    else if (call->failed)
        send_exception();
    else if (!call->replied)
        send_unsettled();
    else if (call->refused)
        send_refused();
    else if (call->too_large)
        send_too_large();
    else if (call->is_event_reply)
        send_event();
    else
        send_plain();
}

void answer_send(void)
{
    send_outcome();
    if (call->page == SETTINGS_PAGE_COUNT)
        metrics_answered(call->begun);
}

void answer_report(void)
{
    if (call->failed && !program.failure.interrupted && !program.failure.out_of_memory)
        answer_log_failure(&program.failure);
    else if (call->ended != 0 && call->ended != GUARD_STOPPED_TIME)
        report_limit("trap", call->event_id, guard_describe(call->ended));
    else if (call->ended != 0 || call->interrupted)
        report_limit("time", call->event_id, "what a call left behind took too long");
    else
        report_limit("memory", call->event_id, "what a call left behind needs too much memory");
}
