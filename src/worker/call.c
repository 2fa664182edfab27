/* SPDX-License-Identifier: Apache-2.0 */
/* One request through the function: into the guest, its answer taken out of it, and the instance
 * put back to its snapshot. */
#include "worker/program.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>

#define CALL_HEAD_MAX    65536
#define CALL_NUMBERS_MAX 4096

struct call call;

/* ---- host functions for answering ---- */

static size_t log_room(void)
{
    return program.bundle->limits.log_bytes - call.log_bytes;
}

/* Surrogates without a partner, which the guest gives as three bytes each, become U+FFFD, which has
 * as many. */
static void mend_surrogates(struct buf *text)
{
    char *end = text->ptr + text->len;
    for (char *at = text->ptr; at != NULL && (at = memchr(at, '\xed', (size_t)(end - at))); at++)
        if (end - at >= 3 && (unsigned char)at[1] >= 0xa0)
            memcpy(at, "\xef\xbf\xbd", 3);
}

/* status: 0, or -E2BIG when the text has more bytes than there is room for. */
static void write_log(engine_value level_value, int status, struct buf *text)
{
    double level = engine_number(level_value);
    if (status == 0 && buf_ok(text)) {
        call.log_bytes += text->len;
        mend_surrogates(text);
        report_log(level >= 0 && level < REPORT_LEVEL_COUNT ? (enum report_level)level
                                                            : REPORT_INFO,
                   call.event_id, buf_slice(text));
    } else if (status == -E2BIG && !call.log_cut) {
        call.log_cut = true;
        report_limit("output", call.event_id,
                     "the rest of this call's log is left out: it has "
                     "more bytes than the limit");
    }
}

static void begin_log(struct buf *text)
{
    if (text->cap > CALL_HEAD_MAX) {
        buf_done(text);
        *text = (struct buf)BUF_INIT;
    }
    buf_reset(text);
}

/* log(level, text) */
static engine_value host_log(uint32_t argc, const engine_value *argv)
{
    static struct buf text;
    if (argc < 2)
        return engine_undefined();
    begin_log(&text);
    write_log(argv[0], engine_get_text(argv[1], log_room(), &text), &text);
    return engine_undefined();
}

/* print(level, values) as console.log does: whether it could, for some values are shown by
 * runtimes/js/inspect.js. */
static engine_value host_print(uint32_t argc, const engine_value *argv)
{
    static struct buf text;
    if (argc < 2)
        return engine_boolean(false);
    begin_log(&text);
    int status = engine_inspect(argv[1], log_room(), &text);
    if (status < 0 && status != -E2BIG)
        return engine_boolean(false);
    write_log(argv[0], status, &text);
    return engine_boolean(true);
}

static engine_value host_prepare(uint32_t argc, const engine_value *argv)
{
    if (argc < 2 || engine_prepare(argv[0], argv[1]) < 0)
        return engine_throw("this build of the JavaScript engine has values of another form");
    return engine_undefined();
}

static bool answered(void)
{
    return call.replied || call.failed;
}

static void take_body(engine_value value)
{
    size_t max = program.bundle->limits.response_bytes;
    int status = engine_is_string(value) ? engine_get_text(value, max, &call.body)
                                         : engine_get_bytes(value, max, &call.body);
    if (status == -E2BIG || !buf_ok(&call.body))
        call.too_large = true;
}

static engine_value host_reply(uint32_t argc, const engine_value *argv)
{
    if (argc < 3 || answered())
        return engine_undefined();
    call.status = (unsigned)engine_number(argv[0]);
    if (engine_get_text(argv[1], CALL_HEAD_MAX, &call.head) < 0)
        return engine_throw("the headers of the answer are too large");
    take_body(argv[2]);
    call.replied = true;
    return engine_undefined();
}

/* replyJson(status, headers, value): whether it could. */
static engine_value host_reply_json(uint32_t argc, const engine_value *argv)
{
    if (argc < 3)
        return engine_boolean(false);
    if (answered())
        return engine_boolean(true);
    buf_reset(&call.body);
    int status = engine_json(argv[2], program.bundle->limits.response_bytes, &call.body);
    if (status == -ENOTSUP)
        return engine_boolean(false);
    if (engine_get_text(argv[1], CALL_HEAD_MAX, &call.head) < 0)
        return engine_throw("the headers of the answer are too large");
    call.too_large = status < 0;
    call.status = (unsigned)engine_number(argv[0]);
    call.replied = true;
    return engine_boolean(true);
}

/* replyEvent(event): whether it could. */
static engine_value host_reply_event(uint32_t argc, const engine_value *argv)
{
    if (argc < 1)
        return engine_boolean(false);
    if (answered())
        return engine_boolean(true);
    struct engine_reply reply = {.head = &call.head,
                                 .body = &call.body,
                                 .body_max = program.bundle->limits.response_bytes,
                                 .is_json_type = request_is_json};
    buf_reset(&call.head);
    buf_reset(&call.body);
    int status = engine_read_event(argv[0], &reply);
    if (status == -ENOTSUP) {
        buf_reset(&call.head);
        buf_reset(&call.body);
        return engine_boolean(false);
    }
    if (status == -EMSGSIZE || call.head.len > CALL_HEAD_MAX || !buf_ok(&call.head))
        return engine_throw("the attributes of the reply are too large");
    call.too_large = status < 0 || !buf_ok(&call.body);
    call.replied = call.is_event_reply = true;
    return engine_boolean(true);
}

/* replyParts(attributes, data): the attributes as name NUL value NUL name… */
static engine_value host_reply_parts(uint32_t argc, const engine_value *argv)
{
    if (argc < 2 || answered())
        return engine_undefined();
    if (engine_get_text(argv[0], CALL_HEAD_MAX, &call.head) < 0)
        return engine_throw("the attributes of the reply are too large");
    take_body(argv[1]);
    call.replied = call.is_event_reply = true;
    return engine_undefined();
}

static engine_value host_fail(uint32_t argc, const engine_value *argv)
{
    if (argc < 1 || answered())
        return engine_undefined();
    engine_describe(argv[0], &program.failure);
    call.failed = program.failed = true;
    return engine_undefined();
}

static engine_value host_request(uint32_t argc, const engine_value *argv)
{
    return call.request != NULL ? request_value(call.request)
                                : engine_throw("there is no request now");
}

/* useEvents(prototype, replyPrototype) */
static engine_value host_use_events(uint32_t argc, const engine_value *argv)
{
    if (argc < 2)
        return engine_throw("two prototypes are needed");
    engine_event_use(argv[0], argv[1]);
    return engine_undefined();
}

/* body(true): as text, body(false): as bytes. */
static engine_value host_body(uint32_t argc, const engine_value *argv)
{
    if (call.request == NULL)
        return engine_throw("there is no request now");
    struct slice body = http_request_body(call.request);
    return argc > 0 && engine_is_true(argv[0]) ? engine_string(body) : engine_bytes(body);
}

/* "4,14": what the export is to be called with, in the order of its parameters. */
static engine_value host_call_module(uint32_t argc, const engine_value *argv)
{
    static struct buf text;
    buf_reset(&text);
    if (argc < 1 || program.module == NULL ||
        engine_get_text(argv[0], CALL_NUMBERS_MAX, &text) < 0 || !buf_ok(&text))
        return engine_throw("the arguments are too long");
    const char *signature = module_signature(program.module, program.bundle->wasm_function);
    const char *at = text.len > 0 ? text.ptr : "";
    for (size_t i = 0; signature[i] != ':'; i++) {
        char *end = NULL;
        union worker_module_value *to = &call.arguments[i];
        *to = (union worker_module_value){.i64 = 0};
        switch (signature[i]) {
        case 'i':
            to->i32 = (uint32_t)strtoll(at, &end, 10);
            break;
        case 'I':
            to->i64 = (uint64_t)strtoll(at, &end, 10);
            break;
        case 'f':
            to->f32 = strtof(at, &end);
            break;
        default:
            to->f64 = strtod(at, &end);
            break;
        }
        at = *end == ',' ? end + 1 : end;
    }
    call.wants_module = true;
    return engine_undefined();
}

const struct engine_function call_functions[] = {
    {"log", host_log},
    {"print", host_print},
    {"prepare", host_prepare},
    {"useEvents", host_use_events},
    {"reply", host_reply},
    {"replyJson", host_reply_json},
    {"replyEvent", host_reply_event},
    {"replyParts", host_reply_parts},
    {"fail", host_fail},
    {"request", host_request},
    {"body", host_body},
    {"callModule", host_call_module},
};
const size_t call_function_count = COUNT_OF(call_functions);

/* ---- running ---- */

/* threw: an exception is pending. */
static void finish_entry(bool threw)
{
    if (threw && !answered()) {
        engine_take_failure(&program.failure);
        call.failed = true;
    }
    static struct engine_failure interruption;
    if (engine_run_jobs(&interruption) < 0 && !answered()) {
        struct engine_failure spare = program.failure;
        program.failure = interruption;
        interruption = spare;
        call.failed = true;
    }
}

/* Calls an entry of the prelude. */
static void enter(engine_value entry, uint32_t argc, engine_value argument)
{
    engine_value result = engine_call(entry, argc, &argument);
    finish_entry(engine_is_exception(result));
    if (program.bundle->isolate_events)
        return; /* the snapshot takes back more than freeing could */
    engine_drop(argument);
    engine_drop(result);
}

static void run_entry(void *ctx)
{
    if (!call.has_event) {
        enter(program.handle_request, 0, 0);
        return;
    }
    enum engine_data form = request_data_form(&call.event);
    finish_entry(engine_call_event(program.handle_event, &call.event, form,
                                   program.bundle->isolate_events) < 0);
}

static void run_resume(void *ctx)
{
    enter(program.resume_wasm, 1, engine_string(buf_slice(&call.text)));
}

/* The export's results as text, for resumeWasm(). */
static void write_results(const char *signature, const union worker_module_value *results)
{
    buf_reset(&call.text);
    const char *types = strchr(signature, ':') + 1;
    for (size_t i = 0; types[i] != '\0'; i++) {
        if (i > 0)
            buf_add_byte(&call.text, ',');
        switch (types[i]) {
        case 'i':
            buf_printf(&call.text, "%d", (int32_t)results[i].i32);
            break;
        case 'I':
            buf_printf(&call.text, "%lld", (long long)results[i].i64);
            break;
        case 'f':
            buf_printf(&call.text, "%.9g", (double)results[i].f32);
            break;
        default:
            buf_printf(&call.text, "%.17g", results[i].f64);
            break;
        }
    }
}

static void run_module(void)
{
    union worker_module_value results[MODULE_VALUES_MAX];
    const char *function = program.bundle->wasm_function;
    call.wants_module = false;
    call.ended = module_call(program.module, function, call.arguments, results);
    if (call.ended != 0) {
        call.module_ended = true;
        return;
    }
    write_results(module_signature(program.module, function), results);
    call.ended = guard_run(run_resume, NULL);
}

static void run(void)
{
    uint64_t soft = clock_monotonic() + program.bundle->limits.timeout_ms * CLOCK_MILLISECOND;
    engine_set_soft_deadline(soft);
    guard_set_deadline(soft + PROGRAM_GRACE_NS);
    call.ended = guard_run(run_entry, NULL);
    if (call.ended == 0 && call.wants_module && !answered())
        run_module();
    guard_set_deadline(0);
    call.interrupted = engine_interrupted();
    engine_set_soft_deadline(0);
}

/* Also with `isolation: instance` after anything that stopped the guest half-way. */
static void restore(void)
{
    bool stopped = call.ended != 0;
    bool limited = call.interrupted || (call.failed && program.failure.out_of_memory);
    if (!program.bundle->isolate_events && !stopped && !limited)
        return;
    snapshot_restore(engine_snapshot(), stopped);
    if (program.module != NULL)
        snapshot_restore(module_snapshot(program.module), stopped);
    engine_reseed();
}

static void begin(struct http_request *request)
{
    static struct buf *const buffers[] = {&call.text, &call.head, &call.body};
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        if (buffers[i]->cap > CALL_HEAD_MAX || buffers[i]->failed) {
            buf_done(buffers[i]);
            *buffers[i] = (struct buf)BUF_INIT;
        }
        buf_reset(buffers[i]);
    }
    call.request = request;
    call.has_event = call.replied = call.is_event_reply = call.failed = call.too_large = false;
    call.wants_module = call.module_ended = call.log_cut = false;
    call.ended = 0;
    call.log_bytes = 0;
    call.event_id = slice_of(NULL, 0);
    call.event.count = 0;
    call.event.has_data = false;
    call.event.data = slice_of(NULL, 0);
}

void call_handle(struct http_request *request, void *ctx)
{
    struct event_arena arena = {0};
    struct error err = ERROR_INIT;
    begin(request);
    int status = request_read_event(request, &call.event, &arena, &err);
    if (status < 0) {
        http_respond_error(request, status == -E2BIG ? 413 : 400, &err);
        event_arena_done(&arena);
        return;
    }
    call.has_event = status == 1;
    if (call.has_event)
        call.event_id = event_get(&call.event, "id");
    run();
    answer_send();
    call.request = NULL;
    restore();
    event_arena_done(&arena);
}
