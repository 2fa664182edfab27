/* SPDX-License-Identifier: Apache-2.0 */
/* One request through a module by itself: the event or body goes in as bytes, and bytes come out,
 * which are read as a program's standard output is (event/stdio.h). */
#include "worker/native.h"

#include "base/clock.h"
#include "base/random.h"
#include "gateway/answer.h"
#include "worker/metrics.h"
#include "worker/program.h"
#include "worker/wasi.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define HEADERS_MAX   128
#define INPUT_SPARE   65536 /* kept for the next request */
#define MESSAGE_TAIL  400   /* bytes of the error output in a message */
#define EXIT_CODE_MAX 256   /* text of a message */

static struct {
    struct bundle *bundle;
    struct module *module;
    const char *signature; /* of the export */
    bool command;
    char source[512]; /* of events that do not say theirs */

    /* One request. */
    struct http_request *request;
    struct event event;
    bool has_event;
    struct event_arena arena;
    struct buf input;
    int ended;
} native;

bool native_takes_bytes(const char *signature)
{
    return strcmp(signature, "ii:I") == 0 || strcmp(signature, "ii:ii") == 0;
}

void native_unpack(const char *signature, const union worker_module_value *results,
                   uint32_t *ret_address, uint32_t *ret_len)
{
    bool packed = strchr(signature, ':')[1] == 'I';
    *ret_address = packed ? (uint32_t)(results[0].i64 >> 32) : results[0].i32;
    *ret_len = packed ? (uint32_t)results[0].i64 : results[1].i32;
}

/* ---- loading ---- */

bool native_is(const struct bundle *b, const struct module *m)
{
    bool number = b->wasm_result != NULL && strcmp(b->wasm_result, "number") == 0;
    if (b->has_mapping || number || m == NULL)
        return false;
    const char *signature = module_signature(m, b->wasm_function);
    return signature != NULL &&
           (strcmp(b->wasm_function, MODULE_COMMAND) == 0 || native_takes_bytes(signature));
}

static void set_arguments(const struct bundle *b)
{
    size_t i;
    json_t *each;
    wasi_strings_reset(&wasi.arguments);
    json_array_foreach(b->command, i, each) wasi_strings_add(
        &wasi.arguments, slice_of(json_string_value(each), json_string_length(each)));
    if (wasi.arguments.count == 0)
        wasi_strings_add(&wasi.arguments, slice_text(b->wasm_module));
}

/* A request cannot change what the function's own environment says. */
static void add_variable(void *ctx, struct slice variable)
{
    struct slice name = stdio_variable_name(variable);
    if (json_object_getn(native.bundle->env, name.ptr, name.len) == NULL)
        wasi_strings_add(&wasi.environment, variable);
}

static void set_environment(void)
{
    autobuf text = BUF_INIT;
    const char *name;
    json_t *value;
    wasi_strings_reset(&wasi.environment);
    json_object_foreach(native.bundle->env, name, value)
    {
        buf_reset(&text);
        buf_printf(&text, "%s=%s", name, json_string_value(value));
        if (json_is_string(value) && buf_ok(&text))
            wasi_strings_add(&wasi.environment, buf_slice(&text));
    }
}

void native_settle(struct bundle *b)
{
    native.bundle = b;
    set_arguments(b);
    wasi.output_max = b->limits.response_bytes + STDIO_HEAD_MAX;
    wasi.log_max = b->limits.log_bytes;
    wasi.output_is_log = true;
    set_environment();
}

void native_begin(struct slice event_id)
{
    wasi_begin();
    wasi.event_id = event_id;
}

static int check_export(struct error *err)
{
    const struct bundle *b = native.bundle;
    if (native.command && strcmp(native.signature, ":") != 0)
        return error_set(err, -EINVAL,
                         "%s exports " MODULE_COMMAND " with the signature %s: of a WASI command "
                         "it has neither parameters nor results",
                         b->wasm_module, native.signature);
    if (!native.command && module_memory_find(native.module) == NULL)
        return error_set(err, -EINVAL,
                         "%s takes an address and a length, but %s exports no function that gives "
                         "memory: export sluice_alloc(size) or malloc(size), or say in "
                         "spec.arguments what it is called with",
                         b->wasm_function, b->wasm_module);
    return 0;
}

int native_load(struct bundle *b, struct module *m, struct error *err)
{
    native.module = m;
    native.signature = module_signature(m, b->wasm_function);
    native.command = strcmp(b->wasm_function, MODULE_COMMAND) == 0;
    snprintf(native.source, sizeof(native.source), "/functions/%.200s/%.200s", b->namespace_name,
             b->name);
    wasi.output_is_log = !native.command;
    return check_export(err);
}

/* ---- running ---- */

static void run_command(void)
{
    native.ended = module_call(native.module, MODULE_COMMAND, NULL, NULL);
    if (native.ended == GUARD_EXITED)
        native.ended = 0;
}

static void take_result(const union worker_module_value *results)
{
    uint32_t address, len;
    native_unpack(native.signature, results, &address, &len);
    struct slice bytes = module_memory_at(native.module, address, len);
    if (bytes.ptr == NULL && len > 0)
        native.ended = WASM_RT_TRAP_OOB;
    else if (bytes.len > wasi.output_max)
        native.ended = GUARD_STOPPED_OUTPUT;
    else
        buf_add_slice(&wasi.output, bytes);
    if (native.ended == 0)
        native.ended = module_memory_free_result(native.module, address, len);
}

static void run_export(void)
{
    union worker_module_value arguments[2] = {{.i32 = 0}, {.i32 = (uint32_t)native.input.len}};
    union worker_module_value results[MODULE_VALUES_MAX];
    native.ended = module_memory_give(native.module, buf_slice(&native.input), &arguments[0].i32);
    if (native.ended == 0)
        native.ended = module_call(native.module, native.bundle->wasm_function, arguments, results);
    if (native.ended == 0)
        take_result(results);
    if (native.ended == 0 && !native.bundle->isolate_events)
        native.ended =
            module_memory_free(native.module, arguments[0].i32, (uint32_t)native.input.len);
}

/* ---- what goes in ---- */

struct headers {
    struct stdio_field list[HEADERS_MAX];
    unsigned count;
};

static void collect_header(void *ctx, struct slice name, struct slice value)
{
    struct headers *h = ctx;
    if (h->count < HEADERS_MAX)
        h->list[h->count++] = (struct stdio_field){name, value};
}

static int prepare(void)
{
    static struct headers h;
    const struct http_request *r = native.request;
    h.count = 0;
    http_request_each_header(r, collect_header, &h);
    const struct stdio_request request = {
        .event = native.has_event ? &native.event : NULL,
        .method = slice_text(http_request_method_text(r)),
        .path = http_request_path(r),
        .query = http_request_query(r),
        .body = http_request_body(r),
        .headers = h.list,
        .header_count = h.count,
    };
    native_begin(native.has_event ? event_get(&native.event, "id") : slice_of(NULL, 0));
    set_environment();
    if (native.input.cap > INPUT_SPARE || native.input.failed) {
        buf_done(&native.input);
        native.input = (struct buf)BUF_INIT;
    }
    buf_reset(&native.input);
    stdio_input(&request, &native.input);
    int status = stdio_environment(&request, native.input.len, add_variable, NULL);
    wasi.input = buf_slice(&native.input);
    bool good = status == 0 && buf_ok(&native.input) && buf_ok(&wasi.environment.text);
    return good ? 0 : -ENOMEM;
}

/* ---- what comes out ---- */

static void fail(unsigned status, const char *kind, const char *message, bool limit)
{
    if (limit)
        report_limit(kind, wasi.event_id, message);
    else
        report_log(REPORT_ERROR, wasi.event_id, slice_text(message));
    metrics_failed();
    const struct gateway_failure failure = {status, kind, message};
    gateway_answer_failure(native.request, wasi.event_id, &failure);
}

static void fail_stopped(void)
{
    char message[256];
    const struct bundle *b = native.bundle;
    switch (native.ended) {
    case GUARD_STOPPED_TIME:
        snprintf(message, sizeof(message),
                 "the function took longer than its time limit of %llu ms",
                 (unsigned long long)b->limits.timeout_ms);
        fail(504, "time", message, true);
        break;
    case GUARD_STOPPED_MEMORY:
        snprintf(message, sizeof(message),
                 "%.64s gives no memory for %zu bytes; the limit is %llu KiB", b->wasm_module,
                 native.input.len, (unsigned long long)b->limits.memory_bytes / 1024);
        fail(500, "memory", message, true);
        break;
    case GUARD_STOPPED_OUTPUT:
        snprintf(message, sizeof(message), "the answer has more bytes than the limit of %llu",
                 (unsigned long long)b->limits.response_bytes);
        fail(500, "output", message, true);
        break;
    default:
        snprintf(message, sizeof(message), "trap in %.64s of %.64s: %s", b->wasm_function,
                 b->wasm_module, guard_describe(native.ended));
        fail(500, "trap", message, true);
    }
}

/* The last lines of what it wrote on its error output. */
static struct slice errors_tail(void)
{
    struct slice text = buf_slice(&wasi.errors);
    while (text.len > 0 && memchr(" \r\n", text.ptr[text.len - 1], 3) != NULL)
        text.len--;
    if (text.len > MESSAGE_TAIL) {
        text = slice_of(text.ptr + text.len - MESSAGE_TAIL, MESSAGE_TAIL);
        const char *newline = memchr(text.ptr, '\n', text.len);
        if (newline != NULL)
            text = slice_of(newline + 1, text.len - (size_t)(newline + 1 - text.ptr));
    }
    return text;
}

static void fail_exit(void)
{
    char message[MESSAGE_TAIL + EXIT_CODE_MAX];
    struct slice tail = errors_tail();
    snprintf(message, sizeof(message), "the program ended with exit code %u%s" SLICE_FMT,
             wasi.exit_code, tail.len > 0 ? ": " : "", SLICE_ARG(tail));
    fail(500, "exit", message, false);
}

static void read_reply(void)
{
    static struct stdio_reply reply;
    char id[RANDOM_UUID_SIZE], now[CLOCK_RFC3339_SIZE], message[384];
    struct error err = ERROR_INIT;
    entropy_uuid(id);
    size_t now_len = clock_format_rfc3339(clock_realtime(), 3, now);
    const struct event_defaults defaults = {slice_text(id), slice_text(native.source),
                                            slice_of(now, now_len)};
    int status = native_read_reply(native.command ? NULL : native.bundle->wasm_result,
                                   buf_slice(&wasi.output), &defaults, &native.arena, &reply, &err);
    if (status < 0) {
        snprintf(message, sizeof(message), "the function's reply is not good: %s", err.message);
        fail(500, "exception", message, false);
    } else if ((reply.is_event ? reply.event.data.len : reply.body.len) >
               native.bundle->limits.response_bytes) {
        native.ended = GUARD_STOPPED_OUTPUT;
        fail_stopped();
    } else if (reply.is_event) {
        gateway_answer_event(native.request, &reply.event);
    } else {
        gateway_answer_plain(native.request, &reply);
    }
}

static void run(void)
{
    uint64_t limit = native.bundle->limits.timeout_ms * CLOCK_MILLISECOND;
    guard_set_deadline(clock_monotonic() + limit);
    if (native.command)
        run_command();
    else
        run_export();
    guard_set_deadline(0);
    wasi_end();
}

static void answer(void)
{
    if (native.ended != 0 && native.ended != GUARD_EXITED)
        fail_stopped();
    else if (wasi.exited && wasi.exit_code != 0)
        fail_exit();
    else
        read_reply();
}

/* A command runs once in an instance, whatever the isolation. */
static void restore(void)
{
    if (native.command || native.bundle->isolate_events || native.ended != 0)
        snapshot_restore(module_snapshot(native.module), native.ended != 0 || wasi.exited);
}

void native_handle(struct http_request *request, void *ctx)
{
    struct error err = ERROR_INIT;
    native.request = request;
    native.ended = 0;
    native.event.count = 0;
    native.event.has_data = false;
    int status = request_read_event(request, &native.event, &native.arena, &err);
    native.has_event = status == 1;
    if (status < 0) {
        http_respond_error(request, request_error_status(status), &err);
    } else if (prepare() < 0) {
        http_respond_errorf(request, 503, "no memory for the request");
    } else {
        run();
        answer();
        restore();
    }
    event_arena_done(&native.arena);
}
