/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a bundle (protocol.h): the user's files, which are looked up by name as modules are loaded,
 * and the settings. */
#include "fetcher/protocol.h"
#include "worker/worker_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define BUNDLE_MEMORY      (64ULL * 1024 * 1024)
#define BUNDLE_MEMORY_MIN  (4ULL * 1024 * 1024)
#define BUNDLE_TIMEOUT     30000
#define BUNDLE_BODY        (1024ULL * 1024)
#define BUNDLE_LOG         (256ULL * 1024)
#define BUNDLE_FETCH       (16ULL * 1024 * 1024)
#define BUNDLE_CONCURRENCY 16
#define BUNDLE_QUEUE       128
/* A client that is sent away comes back after a second. */
#define BUNDLE_LOOP_DELAY 1000

static const struct bundle_limit {
    const char *name;
    size_t offset;
    uint64_t fallback, lowest, highest;
} limit_table[] = {
    {"memoryBytes", offsetof(struct bundle_limits, memory_bytes), BUNDLE_MEMORY, BUNDLE_MEMORY_MIN,
     4ULL << 30},
    {"timeoutMs", offsetof(struct bundle_limits, timeout_ms), BUNDLE_TIMEOUT, 1, 86400000},
    {"requestBytes", offsetof(struct bundle_limits, request_bytes), BUNDLE_BODY, 0, 1ULL << 30},
    {"responseBytes", offsetof(struct bundle_limits, response_bytes), BUNDLE_BODY, 0, 1ULL << 30},
    {"fetchBytes", offsetof(struct bundle_limits, fetch_bytes), BUNDLE_FETCH, 1, FETCHER_BODY_MAX},
    {"logBytes", offsetof(struct bundle_limits, log_bytes), BUNDLE_LOG, 0, 1ULL << 30},
    {"concurrency", offsetof(struct bundle_limits, concurrency), BUNDLE_CONCURRENCY, 1, 1024},
    {"queueLength", offsetof(struct bundle_limits, queue_length), BUNDLE_QUEUE, 0, 65536},
    {"loopDelayMs", offsetof(struct bundle_limits, loop_delay_ms), BUNDLE_LOOP_DELAY, 1, 86400000},
};

static int read_limits(json_t *limits, struct bundle_limits *ret, struct error *err)
{
    for (size_t i = 0; i < sizeof(limit_table) / sizeof(limit_table[0]); i++) {
        const struct bundle_limit *row = &limit_table[i];
        uint64_t *to = (uint64_t *)(void *)((char *)ret + row->offset);
        json_t *value = json_object_get(limits, row->name);
        *to = row->fallback;
        if (value == NULL)
            continue;
        if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)row->lowest ||
            json_integer_value(value) > (json_int_t)row->highest)
            return error_set(err, -EINVAL, "limits.%s must be a number from %llu to %llu",
                             row->name, (unsigned long long)row->lowest,
                             (unsigned long long)row->highest);
        *to = (uint64_t)json_integer_value(value);
    }
    return 0;
}

static const char *text_of(json_t *object, const char *name, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : fallback;
}

static const char *choose_main(const struct bundle *b)
{
    static const char *const names[] = {"index.js", "index.mjs", "index.cjs", "function.js"};
    const char *named = text_of(b->root, "main", NULL);
    if (named != NULL && named[0] != '\0')
        return named;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (bundle_file(b, slice_text(names[i])).ptr != NULL)
            return names[i];
    json_t *files = json_object_get(b->root, "files");
    void *first = json_object_iter(files);
    return first != NULL && json_object_size(files) == 1 ? json_object_iter_key(first) : names[0];
}

/* The prelude gets everything but the files. */
static int write_settings(struct bundle *b)
{
    json_t *copy = json_copy(b->root);
    if (copy == NULL)
        return -ENOMEM;
    json_object_del(copy, "files");
    json_object_set_new(copy, "main", json_string(b->main));
    char *text = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    if (text == NULL)
        return -ENOMEM;
    buf_add_text(&b->settings, text);
    free(text);
    return buf_ok(&b->settings) ? 0 : -ENOMEM;
}

static int read_allow(struct bundle *b, struct error *err)
{
    json_t *allow = json_object_get(json_object_get(b->root, "network"), "allow"), *entry;
    size_t i;
    if (allow == NULL)
        return 0;
    if (!json_is_array(allow) || json_array_size(allow) > FETCHER_ALLOW_MAX)
        return error_set(err, -EINVAL, "network.allow must be a list of at most %d texts",
                         FETCHER_ALLOW_MAX);
    json_array_foreach(allow, i, entry)
    {
        if (!json_is_string(entry) || json_string_length(entry) > FETCHER_ALLOW_TEXT_MAX)
            return error_set(err, -EINVAL, "network.allow[%zu] must be a text HOST:PORT", i);
    }
    b->allow = allow;
    return 0;
}

static int check(struct bundle *b, struct error *err)
{
    const char *runtime = text_of(b->root, "runtime", "js");
    b->is_wasm = strcmp(runtime, "wasm") == 0;
    if (!b->is_wasm && strcmp(runtime, "js") != 0)
        return error_set(err, -EINVAL, "runtime must be js or wasm, it is %s", runtime);
    const char *isolation = text_of(b->root, "isolation", "event");
    b->isolate_events = strcmp(isolation, "event") == 0;
    if (!b->isolate_events && strcmp(isolation, "instance") != 0)
        return error_set(err, -EINVAL, "isolation must be event or instance, it is %s", isolation);
    json_t *wasm = json_object_get(b->root, "wasm");
    b->wasm_module = text_of(wasm, "module", "module.wasm");
    b->wasm_function = text_of(wasm, "function", NULL);
    b->wasm_result = text_of(wasm, "result", NULL);
    b->has_mapping =
        json_object_get(wasm, "arguments") != NULL || json_object_get(wasm, "response") != NULL;
    b->command = json_object_get(b->root, "command");
    b->env = json_object_get(b->root, "env");
    b->main = choose_main(b);
    if (!b->is_wasm && bundle_file(b, slice_text(b->main)).ptr == NULL)
        return error_set(err, -ENOENT, "the main file %s is not among the function's files",
                         b->main);
    int status = read_allow(b, err);
    return status < 0 ? status : read_limits(json_object_get(b->root, "limits"), &b->limits, err);
}

int bundle_parse(struct slice json, struct bundle *ret, struct error *err)
{
    json_error_t problem;
    struct bundle b = {0};
    b.root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    if (b.root == NULL)
        return error_set(err, -EINVAL, "the bundle is no JSON: %s (line %d)", problem.text,
                         problem.line);
    b.namespace_name = text_of(b.root, "namespace", "default");
    b.name = text_of(b.root, "name", "function");
    int status = json_is_object(b.root) ? check(&b, err)
                                        : error_set(err, -EINVAL, "the bundle is no JSON object");
    if (status == 0)
        status = write_settings(&b);
    if (status < 0) {
        bundle_done(&b);
        return status;
    }
    *ret = b;
    return 0;
}

int bundle_choose_function(struct bundle *b, const struct module *m, struct error *err)
{
    static const char *const usual[] = {MODULE_COMMAND, "handle"};
    for (size_t i = 0; b->wasm_function == NULL && i < COUNT_OF(usual); i++)
        if (module_signature(m, usual[i]) != NULL)
            b->wasm_function = usual[i];
    if (b->wasm_function == NULL)
        return error_set(err, -ENOENT,
                         "%s exports neither " MODULE_COMMAND " nor handle: name the export in "
                         "spec.function",
                         b->wasm_module);
    if (module_signature(m, b->wasm_function) == NULL)
        return error_set(err, -ENOENT, "%s exports no function named %s", b->wasm_module,
                         b->wasm_function);
    if (strcmp(b->wasm_function, MODULE_COMMAND) == 0 && (b->has_mapping || b->wasm_result != NULL))
        return error_set(err, -EINVAL,
                         "spec.arguments, spec.response and spec.result are for exported "
                         "functions: a WASI command (" MODULE_COMMAND ") reads the event from its "
                         "standard input");
    return 0;
}

void bundle_done(struct bundle *b)
{
    json_decref(b->root);
    buf_done(&b->settings);
    b->root = NULL;
}

struct slice bundle_file(const struct bundle *b, struct slice name)
{
    json_t *files = json_object_get(b->root, "files");
    json_t *text = json_object_getn(files, name.ptr, name.len);
    if (!json_is_string(text))
        return slice_of(NULL, 0);
    return slice_of(json_string_value(text), json_string_length(text));
}
