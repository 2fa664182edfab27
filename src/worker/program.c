/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the user's function into the engine: the prelude (runtimes/js) once in the first process,
 * then in each worker the user's files, init, and the snapshot that every event starts from. */
#include "worker/program.h"
#include "worker/fetch.h"
#include "worker/native.h"

#include "base/clock.h"
#include "base/must.h"
#include "base/random.h"
#include "worker/web.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM_NAME_MAX         1024
#define PROGRAM_SOURCE_MAX       (16u * 1024 * 1024)
#define PROGRAM_LOAD_TIMEOUT     30000 /* ms, at least */
#define PROGRAM_SHUTDOWN_TIMEOUT 4000  /* ms, at most; the host waits a little longer */
#define PROGRAM_WRAPPER_LEN      55    /* columns that modules.js puts in front of line 1 */

extern const char prelude_text[], prelude_web_text[];
extern const size_t prelude_text_len, prelude_web_text_len;

struct program program;

enum { RANDOM_BYTES_MAX = 65536 };

/* ---- host functions for loading; those for answering are in call.c ---- */

static engine_value host_loaded(uint32_t argc, const engine_value *argv)
{
    program.loaded = true;
    return engine_undefined();
}

static engine_value host_uuid(uint32_t argc, const engine_value *argv)
{
    char text[RANDOM_UUID_SIZE];
    entropy_uuid(text);
    return engine_string(slice_text(text));
}

/* As Date.prototype.toISOString() writes it. */
static engine_value host_now(uint32_t argc, const engine_value *argv)
{
    char text[CLOCK_RFC3339_SIZE];
    size_t len = clock_format_rfc3339(clock_realtime(), 3, text);
    return engine_string(slice_of(text, len));
}

static engine_value host_random(uint32_t argc, const engine_value *argv)
{
    static unsigned char bytes[RANDOM_BYTES_MAX];
    double len = argc > 0 ? engine_number(argv[0]) : 0;
    if (!(len >= 0 && len <= RANDOM_BYTES_MAX))
        return engine_throw("at most 65536 random bytes at a time");
    entropy_bytes(bytes, (size_t)len);
    engine_value value = engine_bytes(slice_of(bytes, (size_t)len));
    memset(bytes, 0, (size_t)len);
    return value;
}

/* The name in argv[0]; it stays valid until the next call. */
static struct slice name_argument(uint32_t argc, const engine_value *argv)
{
    static struct buf name;
    buf_reset(&name);
    if (argc < 1 || engine_get_text(argv[0], PROGRAM_NAME_MAX, &name) < 0)
        buf_reset(&name);
    return buf_slice(&name);
}

static engine_value host_source(uint32_t argc, const engine_value *argv)
{
    struct slice name = name_argument(argc, argv);
    struct slice text = bundle_file(program.bundle, name);
    if (text.ptr != NULL)
        return engine_string(text);
    static char message[PROGRAM_NAME_MAX + 64];
    snprintf(message, sizeof(message), "'" SLICE_FMT "' is not among the function's files",
             SLICE_ARG(name));
    return engine_throw(message);
}

static engine_value host_resolve(uint32_t argc, const engine_value *argv)
{
    static struct buf specifier, found;
    static struct error err;
    buf_reset(&specifier);
    if (argc < 2 || engine_get_text(argv[1], PROGRAM_NAME_MAX, &specifier) < 0)
        return engine_throw("a module's name must be a short text");
    struct slice base = name_argument(argc, argv);
    if (bundle_resolve(program.bundle, base, buf_slice(&specifier), false, &found, &err) < 0)
        return engine_throw(err.message);
    return engine_string(buf_slice(&found));
}

static engine_value host_is_module(uint32_t argc, const engine_value *argv)
{
    struct slice name = name_argument(argc, argv);
    struct slice text = bundle_file(program.bundle, name);
    return engine_boolean(text.ptr != NULL && bundle_is_module(program.bundle, name, text));
}

static engine_value host_compile(uint32_t argc, const engine_value *argv)
{
    static struct buf source, name;
    buf_reset(&source);
    buf_reset(&name);
    if (argc < 2 || engine_get_text(argv[0], PROGRAM_SOURCE_MAX, &source) < 0 ||
        engine_get_text(argv[1], PROGRAM_NAME_MAX, &name) < 0 || !buf_ok(&source) || !buf_ok(&name))
        return engine_throw("the source is too large");
    engine_value function = engine_eval(buf_slice(&source), name.ptr, 0);
    buf_done(&source);
    source = (struct buf)BUF_INIT;
    return engine_pass(function);
}

static const struct engine_function load_functions[] = {
    {"loaded", host_loaded},      {"uuid", host_uuid},       {"now", host_now},
    {"random", host_random},      {"source", host_source},   {"resolve", host_resolve},
    {"isModule", host_is_module}, {"compile", host_compile},
};

/* ---- ECMAScript modules ---- */

static int resolve_module(struct slice base, struct slice specifier, struct buf *name,
                          struct error *err)
{
    /* The main file is imported by the prelude, by its own name. */
    if (slice_starts(base, "sluice:") && bundle_file(program.bundle, specifier).ptr != NULL) {
        buf_add_slice(name, specifier);
        return 0;
    }
    return bundle_resolve(program.bundle, base, specifier, true, name, err);
}

/* Of a CommonJS file, or of a module of Node's, as an ECMAScript module. */
static int add_module_source(struct slice name, struct buf *source, struct error *err)
{
    engine_value argument = engine_string(name);
    engine_value text = engine_call(program.module_source, 1, &argument);
    int status =
        engine_is_exception(text) ? -EINVAL : engine_get_text(text, PROGRAM_SOURCE_MAX, source);
    engine_drop(text);
    engine_drop(argument);
    return status == 0 ? 0 : error_set(err, status, "cannot load '" SLICE_FMT "'", SLICE_ARG(name));
}

static int load_module(struct slice name, struct buf *source, struct error *err)
{
    struct slice text = bundle_file(program.bundle, name);
    if (slice_starts(name, "node:"))
        return add_module_source(name, source, err);
    if (text.ptr == NULL)
        return error_set(err, -ENOENT, "'" SLICE_FMT "' is not among the function's files",
                         SLICE_ARG(name));
    if (!bundle_is_module(program.bundle, name, text))
        return add_module_source(name, source, err);
    buf_add_slice(source, text);
    return buf_ok(source) ? 0 : error_set(err, -ENOMEM, "no memory for a module's source");
}

static const struct engine_loader loader = {resolve_module, load_module};

/* ---- the prelude ---- */

/* Calls text as the body of a function of host and web. 0, or an exception is pending. */
static engine_value evaluate(struct slice text, const char *name, const engine_value arguments[2])
{
    autobuf source = BUF_INIT;
    buf_add_text(&source, "(function(host,web){'use strict';");
    buf_add_slice(&source, text);
    buf_add_text(&source, "})");
    must(buf_ok(&source));
    engine_value function = engine_eval_without_source(buf_slice(&source), name);
    if (engine_is_exception(function))
        return 0;
    engine_value result = engine_call(function, 2, arguments);
    engine_drop(function);
    return result;
}

/* The Web APIs first, and what they leave of the heap is closed: so what each call uses comes to
 * lie together behind them, on few pages. */
static void run_prelude(void *ctx)
{
    int *status = ctx;
    engine_value arguments[2] = {engine_object(), engine_object()};
    engine_add_functions(arguments[0], load_functions, COUNT_OF(load_functions));
    engine_add_functions(arguments[0], call_functions, call_function_count);
    engine_add_functions(arguments[0], module_call_functions, module_call_function_count);
    engine_add_functions(arguments[0], &settings_function, 1);
    engine_add_functions(arguments[0], timer_functions, timer_function_count);
    web_add_functions(arguments[0]);
    engine_add_functions(arguments[0], fetch_functions, fetch_function_count);
    engine_value web =
        evaluate(slice_of(prelude_web_text, prelude_web_text_len), "sluice:web", arguments);
    engine_value entries = 0;
    if (!engine_is_exception(web)) {
        engine_close_holes();
        entries = evaluate(slice_of(prelude_text, prelude_text_len), "sluice:prelude", arguments);
    }
    if (engine_is_exception(entries)) {
        engine_take_failure(&program.failure);
        *status = -EINVAL;
        return;
    }
    program.load = engine_property(entries, "load");
    program.handle_event = engine_property(entries, "handleEvent");
    program.handle_request = engine_property(entries, "handleRequest");
    program.handle_health = engine_property(entries, "handleHealth");
    program.resume_wasm = engine_property(entries, "resumeWasm");
    program.fire_timer = engine_property(entries, "fireTimer");
    program.shutdown = engine_property(entries, "shutdown");
    program.module_source = engine_property(entries, "moduleSource");
    engine_drop(web);
    engine_drop(arguments[0]);
    engine_drop(arguments[1]);
    engine_drop(entries);
}

int program_prepare(struct error *err)
{
    int status = 0;
    int ended = guard_run(run_prelude, &status);
    engine_set_loader(&loader);
    if (ended != 0)
        return error_set(err, -EINVAL, "the prelude ended: %s", guard_describe(ended));
    if (status < 0)
        return error_set(err, status, "the prelude failed: " SLICE_FMT " " SLICE_FMT,
                         SLICE_ARG(buf_slice(&program.failure.message)),
                         SLICE_ARG(buf_slice(&program.failure.stack)));
    engine_settle(false);
    return 0;
}

/* ---- the user's function ---- */

void program_fix_column(struct engine_failure *f)
{
    struct slice text = bundle_file(program.bundle, buf_slice(&f->file));
    if (f->line == 1 && text.ptr != NULL && f->column > PROGRAM_WRAPPER_LEN &&
        !bundle_is_module(program.bundle, buf_slice(&f->file), text))
        f->column -= PROGRAM_WRAPPER_LEN;
}

static void run_load(void *ctx)
{
    engine_value text = engine_string(buf_slice(&program.bundle->settings));
    engine_value result = engine_call(program.load, 1, &text);
    call_finish_entry(engine_is_exception(result));
    engine_drop(text);
    engine_drop(result);
}

static int report_end(const struct call *c, bool late)
{
    char message[160];
    int ended = c->ended;
    if (late || ended == GUARD_STOPPED_TIME || (c->failed && program.failure.interrupted))
        snprintf(message, sizeof(message), "loading took longer than the time limit");
    else if (ended == GUARD_STOPPED_MEMORY || (c->failed && program.failure.out_of_memory))
        snprintf(message, sizeof(message), "loading needs more memory than the limit of %llu bytes",
                 (unsigned long long)program.bundle->limits.memory_bytes);
    else if (ended != 0)
        snprintf(message, sizeof(message), "loading ended with a trap: %s", guard_describe(ended));
    else if (!c->failed && wait_stopping != 0)
        snprintf(message, sizeof(message), "it was told to end while it loaded");
    else if (!c->failed)
        snprintf(message, sizeof(message),
                 "init never finished: it awaits something that will not happen");
    else {
        program_fix_column(&program.failure);
        report_failed(&program.failure);
        return -EINVAL;
    }
    report_failed_text(message);
    return -EINVAL;
}

/* Runs an entry of the prelude that ends by host.loaded(), host.fail() or never. */
static const struct call *run_to_end(void (*fn)(void *ctx), uint64_t deadline, bool *ret_late)
{
    program.loaded = false;
    const struct call *c = call_run_loading(fn, deadline);
    bool late = false;
    sigset_t mask = wait_mask();
    while (!program.loaded && !late && c->ended == 0 && !c->failed && operation_count() > 0 &&
           wait_stopping == 0) {
        wait_turn(NULL, deadline, &mask);
        late = clock_monotonic() >= deadline;
    }
    call_end_loading();
    *ret_late = late && !program.loaded;
    return c;
}

static int load_script(void)
{
    uint64_t timeout = program.bundle->limits.timeout_ms;
    if (timeout < PROGRAM_LOAD_TIMEOUT)
        timeout = PROGRAM_LOAD_TIMEOUT;
    engine_set_memory_limit(program.bundle->limits.memory_bytes);
    snapshot_limit_parked(program.bundle->limits.memory_bytes);
    bool late;
    const struct call *c =
        run_to_end(run_load, clock_monotonic() + timeout * CLOCK_MILLISECOND, &late);
    return program.loaded && c->ended == 0 && !c->failed ? 0 : report_end(c, late);
}

static void run_shutdown(void *ctx)
{
    engine_value result = engine_call(program.shutdown, 0, NULL);
    call_finish_entry(engine_is_exception(result));
    engine_drop(result);
}

void program_shutdown(void)
{
    if (program.native)
        return;
    uint64_t timeout = program.bundle->limits.timeout_ms;
    if (timeout > PROGRAM_SHUTDOWN_TIMEOUT)
        timeout = PROGRAM_SHUTDOWN_TIMEOUT;
    bool late;
    const struct call *c =
        run_to_end(run_shutdown, clock_monotonic() + timeout * CLOCK_MILLISECOND, &late);
    if (c->failed && c->ended == 0)
        answer_log_failure(&program.failure);
    else if (late || c->ended != 0)
        report_limit("time", slice_of(NULL, 0), "the function's shutdown did not end in time");
}

static int start_module(struct error *err)
{
    uint64_t limit = clock_monotonic() + program.bundle->limits.timeout_ms * CLOCK_MILLISECOND;
    guard_set_deadline(limit + PROGRAM_GRACE_NS);
    int ended = module_start(program.module);
    guard_set_deadline(0);
    if (ended != 0)
        return error_set(err, -EINVAL, "%s does not start: %s", program.bundle->wasm_module,
                         guard_describe(ended));
    return snapshot_take(module_snapshot(program.module), err);
}

/* The prelude learns the export's signature with the other settings. */
static int add_signature(struct error *err)
{
    struct bundle *b = program.bundle;
    const char *signature = module_signature(program.module, b->wasm_function);
    if (strlen(signature) > MODULE_VALUES_MAX)
        return error_set(err, -ENOTSUP, "%s takes more than %d values", b->wasm_function,
                         MODULE_VALUES_MAX);
    must(b->settings.len > 0 && b->settings.ptr[b->settings.len - 1] == '}');
    b->settings.len--;
    buf_printf(&b->settings, ",\"signature\":\"%s\",\"givesMemory\":%s}", signature,
               module_memory_find(program.module) != NULL ? "true" : "false");
    return buf_ok(&b->settings) ? 0 : error_set(err, -ENOMEM, "no memory for the settings");
}

int program_load(struct bundle *bundle, struct module *module)
{
    struct error err = ERROR_INIT;
    program.bundle = bundle;
    program.module = module;
    settings_reset(bundle->limits.request_bytes, bundle->name, bundle->is_wasm ? "wasm" : "js");
    entropy_reset();
    int status = 0;
    if (module != NULL)
        status = bundle_choose_function(bundle, module, &err);
    program.native = status == 0 && native_is(bundle, module);
    if (status == 0 && module != NULL) {
        native_settle(bundle);
        status = program.native ? native_load(bundle, module, &err) : add_signature(&err);
        if (status == 0)
            status = start_module(&err);
    }
    if (status == 0 && !program.native) {
        engine_reseed();
        status = load_script();
        if (status < 0)
            return status;
        engine_settle(true);
        status = snapshot_take(engine_snapshot(), &err);
    }
    if (status < 0)
        report_failed_text(err.message);
    return status;
}
