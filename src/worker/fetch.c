/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the guest on their way: begun by runtimes/js/fetch.js, settled by what the fetcher
 * answers. Which destinations are allowed is judged there, in a process that no guest runs in. */
#include "worker/fetch.h"

#include "base/memory.h"
#include "base/must.h"
#include "worker/operation.h"

#include <errno.h>
#include <jansson.h>

#define QUEUE_EXTRA (32u << 20) /* bytes of several requests, beside one of the largest */

/* A call's own time limit comes first, and cancels what it waits for. */
#define GRACE_MS 1000

struct fetch {
    struct operation operation;
    struct list node; /* in fetches */
    uint64_t id;
};

static struct list fetches = {&fetches, &fetches};
static unsigned fetch_count;
static uint64_t last_id;

/* ---- life ---- */

static void fetch_free(struct fetch *f)
{
    list_remove(&f->node);
    fetch_count--;
    free(f);
}

static void cancel_remote(uint64_t id)
{
    struct buf frame = BUF_INIT;
    if (!fetch_link_is_up())
        return;
    fetcher_write_cancel(&frame, id);
    (void)fetch_link_send(&frame); /* without memory it goes on for nobody until its time is up */
}

/* The call ended. */
static void on_cancel(struct operation *op)
{
    struct fetch *f = container_of(op, struct fetch, operation);
    cancel_remote(f->id);
    fetch_free(f);
}

static struct fetch *find(uint64_t id)
{
    list_for_each (node, &fetches) {
        struct fetch *f = list_entry(node, struct fetch, node);
        if (f->id == id)
            return f;
    }
    return NULL;
}

/* ---- the request ---- */

/* Texts of the guest are UTF-8; in a header, a character is a byte (Fetch standard §2.2.2). */
static bool to_latin1(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80 && (c > 0xc3 || i + 1 == text.len))
            return false;
        buf_add_byte(out,
                     (char)(c < 0x80 ? c : (c & 3) << 6 | ((unsigned char)text.ptr[++i] & 0x3f)));
    }
    return buf_ok(out);
}

/* "name NUL value NUL name…" */
static bool split_headers(struct slice text, struct fetcher_request *r)
{
    struct slice parts[2];
    unsigned part = 0;
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\0', text.len);
        if (end == NULL)
            return false;
        parts[part] = slice_of(text.ptr, (size_t)(end - text.ptr));
        text = slice_of(end + 1, text.len - parts[part].len - 1);
        part ^= 1;
        if (part == 1)
            continue;
        if (r->header_count == FETCHER_HEADERS_MAX)
            return false;
        r->headers[r->header_count++] = (struct http_call_header){parts[0], parts[1]};
    }
    return part == 0;
}

static bool get_body(engine_value value, size_t max, struct buf *body, int *ret_status)
{
    *ret_status = engine_is_undefined(value) ? 0
                  : engine_is_string(value)  ? engine_get_text(value, max, body)
                                             : engine_get_bytes(value, max, body);
    return *ret_status == 0 && buf_ok(body);
}

static void reset_large(struct buf *b)
{
    if (b->cap > FETCHER_HEADS_MAX || b->failed) {
        buf_done(b);
        *b = (struct buf)BUF_INIT;
    }
    buf_reset(b);
}

/* NULL, or why it cannot be sent. What is static would be lost if the guest were unwound. */
static const char *write_request(const engine_value *argv, uint64_t id, struct buf *frame)
{
    static struct buf method, url, wide, headers, body;
    static struct fetcher_request request;
    static char too_large[96];
    struct buf *const all[] = {&method, &url, &wide, &headers, &body};
    const struct bundle_limits *limits = &program.bundle->limits;
    int status;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        reset_large(all[i]);
    if (engine_get_text(argv[0], FETCHER_METHOD_MAX, &method) < 0)
        return "the method is too long";
    if (engine_get_text(argv[1], FETCHER_URL_MAX, &url) < 0)
        return "the URL is longer than 65536 bytes";
    if (engine_get_text(argv[2], 2 * FETCHER_HEADS_MAX, &wide) < 0 ||
        !to_latin1(buf_slice(&wide), &headers) || headers.len > FETCHER_HEADS_MAX)
        return "the headers of the request have more than 65536 bytes";
    if (!get_body(argv[3], limits->fetch_bytes, &body, &status)) {
        if (status != -E2BIG)
            return "the body is neither text nor bytes, or there is no memory for it";
        snprintf(too_large, sizeof(too_large),
                 "the body of the request is larger than spec.limits.fetchBytes (%llu)",
                 (unsigned long long)limits->fetch_bytes);
        return too_large;
    }
    double redirect = engine_number(argv[4]);
    request = (struct fetcher_request){
        .timeout_ms = limits->timeout_ms + GRACE_MS,
        .response_max = limits->fetch_bytes,
        .redirect = redirect >= 0 && redirect < FETCHER_REDIRECT_COUNT
                        ? (enum fetcher_redirect)redirect
                        : FETCHER_FOLLOW,
        .method = buf_slice(&method),
        .url = buf_slice(&url),
        .body = buf_slice(&body),
    };
    if (!split_headers(buf_slice(&headers), &request))
        return "the request has more than 128 headers";
    fetcher_write_request(frame, id, &request);
    reset_large(&body);
    return NULL;
}

static const char *not_possible(void)
{
    if (!fetch_link_was_up())
        return "this function may not reach the network: list what fetch may call in "
               "spec.network.allow, as HOST:PORT";
    if (!fetch_link_is_up())
        return "the process that does this function's requests has ended; the worker ends, too, "
               "and a new one takes over";
    if (fetch_count >= FETCHER_IN_FLIGHT_MAX)
        return "1024 requests of this worker are on their way already";
    return NULL;
}

/* fetch(method, url, headers, body, redirect): a promise of what answer_value() or failure_value()
 * makes. */
static engine_value host_fetch(uint32_t argc, const engine_value *argv)
{
    struct buf frame = BUF_INIT;
    if (argc < 5)
        return engine_throw("fetch needs method, url, headers, body and redirect");
    const char *problem = not_possible();
    if (problem == NULL)
        problem = write_request(argv, last_id + 1, &frame);
    if (problem == NULL && frame.len > fetch_link_room())
        problem = "too many bytes of other requests wait to be sent";
    struct fetch *f = problem == NULL && buf_ok(&frame) ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL) {
        buf_done(&frame);
        return engine_throw(problem != NULL ? problem : "no memory for the request");
    }
    f->id = ++last_id;
    list_append(&fetches, &f->node);
    fetch_count++;
    engine_value promise = operation_begin(&f->operation, on_cancel);
    if (promise == 0) {
        buf_done(&frame);
        fetch_free(f);
        return 0;
    }
    if (fetch_link_send(&frame) == 0)
        return promise;
    operation_end(&f->operation);
    fetch_free(f);
    engine_drop(promise);
    return engine_throw("no memory for the request");
}

/* The number of the request that was begun last. */
static engine_value host_fetch_number(uint32_t argc, const engine_value *argv)
{
    return engine_new_number((double)last_id);
}

/* endFetch(number): nobody wants its answer any more, and its promise stays as it is. */
static engine_value host_end_fetch(uint32_t argc, const engine_value *argv)
{
    double number = argc > 0 ? engine_number(argv[0]) : 0;
    struct fetch *f = number > 0 && number < 9e15 ? find((uint64_t)number) : NULL;
    if (f == NULL || (program.bundle->isolate_events && f->operation.call != call))
        return engine_undefined();
    operation_end(&f->operation);
    on_cancel(&f->operation);
    return engine_undefined();
}

const struct engine_function fetch_functions[] = {
    {"fetch", host_fetch},
    {"fetchNumber", host_fetch_number},
    {"endFetch", host_end_fetch},
};
const size_t fetch_function_count = COUNT_OF(fetch_functions);

/* ---- the answer ---- */

/* What is being settled: one at a time. */
static struct fetcher_response response;
static struct fetcher_failure failure;

static void add_utf8(struct buf *out, struct slice latin1)
{
    for (size_t i = 0; i < latin1.len; i++) {
        unsigned char c = (unsigned char)latin1.ptr[i];
        if (c >= 0x80)
            buf_add_byte(out, (char)(0xc0 | c >> 6));
        buf_add_byte(out, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
    }
}

static bool set(engine_value object, const char *name, engine_value value)
{
    int status =
        engine_is_exception(value) ? -EINVAL : engine_set_value(object, slice_text(name), value);
    engine_drop(value);
    return status == 0;
}

static bool set_text(engine_value object, const char *name, struct slice text)
{
    return engine_set_text(object, slice_text(name), text) == 0;
}

/* A negative result is an exception that is pending. */
static engine_value finish(engine_value object, bool whole)
{
    if (whole)
        return object;
    engine_drop(object);
    return 0;
}

/* {status, reason, url, redirected, headers: "name NUL value NUL…", body: bytes} */
static engine_value answer_value(struct operation *op, bool *ret_reject)
{
    static struct buf text;
    reset_large(&text);
    engine_value object = engine_object();
    add_utf8(&text, response.reason);
    bool whole = set(object, "status", engine_new_number(response.status)) &&
                 set_text(object, "reason", buf_slice(&text)) &&
                 set_text(object, "url", response.url) &&
                 set(object, "redirected", engine_boolean(response.redirected));
    buf_reset(&text);
    for (unsigned i = 0; i < response.header_count; i++) {
        add_utf8(&text, response.headers[i].name);
        buf_add_byte(&text, '\0');
        add_utf8(&text, response.headers[i].value);
        buf_add_byte(&text, '\0');
    }
    whole = whole && set_text(object, "headers", buf_slice(&text)) &&
            set(object, "body", engine_bytes(response.body));
    return finish(object, whole);
}

/* {problem: as enum fetcher_problem, code, message} */
static engine_value failure_value(struct operation *op, bool *ret_reject)
{
    engine_value object = engine_object();
    bool whole = set(object, "problem", engine_new_number(failure.problem)) &&
                 set_text(object, "code", failure.code) &&
                 set_text(object, "message", failure.message);
    return finish(object, whole);
}

static void settle(struct fetch *f, operation_make_fn *make)
{
    /* The guest may look for it meanwhile: it is not there any more. */
    list_remove(&f->node);
    fetch_count--;
    operation_settle(&f->operation, make);
    free(f);
}

int fetch_take(const struct fetcher_frame *frame)
{
    bool answered = frame->type == FETCHER_RESPONSE;
    if (!answered && frame->type != FETCHER_FAILURE)
        return -EPROTO;
    int status = answered ? fetcher_read_response(frame->payload, &response)
                          : fetcher_read_failure(frame->payload, &failure);
    struct fetch *f = status == 0 ? find(frame->id) : NULL; /* NULL: it was ended meanwhile */
    if (f != NULL)
        settle(f, answered ? answer_value : failure_value);
    return status;
}

void fetch_lost(void)
{
    /* Settling runs guests; those that they begin are refused. */
    while (!list_empty(&fetches)) {
        failure = (struct fetcher_failure){
            FETCHER_NETWORK, SLICE("ECONNRESET"),
            SLICE("the process that does this function's requests has ended")};
        settle(list_entry(fetches.next, struct fetch, node), failure_value);
    }
}

/* ---- the start ---- */

static size_t queue_max(const struct bundle *b)
{
    return b->limits.fetch_bytes + QUEUE_EXTRA;
}

uint64_t fetch_own_bytes(const struct bundle *b)
{
    /* One answer that is read, one body on its way into a frame, and what is queued. */
    return json_array_size(b->allow) == 0 ? 0 : 2 * b->limits.fetch_bytes + queue_max(b);
}

int fetch_start(const struct bundle *b, struct error *err)
{
    return json_array_size(b->allow) == 0 ? 0 : fetch_link_start(b->allow, queue_max(b), err);
}
