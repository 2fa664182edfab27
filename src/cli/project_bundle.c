/* SPDX-License-Identifier: Apache-2.0 */
/* From a project to what runs: the bundle of worker/protocol.h, and the compiled module. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/place.h"
#include "cli/project.h"
#include "cli/subprocess.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES   (256 << 10) /* printed by one call, as under the broker */
#define MODULE_PAGE UINT64_C(65536)
#define PAGES_MAX   UINT64_C(65536)

/* ---- the bundle ---- */

static json_t *limits_of(const json_t *object)
{
    uint64_t timeout = resource_duration_at(object, "spec.limits.timeout", 0);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "memoryBytes",
                     (json_int_t)resource_bytes_at(object, "spec.limits.memory", 0), "timeoutMs",
                     (json_int_t)(timeout / CLOCK_MILLISECOND), "requestBytes",
                     (json_int_t)resource_bytes_at(object, "spec.limits.requestBytes", 0),
                     "responseBytes",
                     (json_int_t)resource_bytes_at(object, "spec.limits.responseBytes", 0),
                     "logBytes", (json_int_t)LOG_BYTES, "concurrency",
                     (json_int_t)resource_integer_at(object, "spec.limits.concurrency", 16));
}

/* Values of Secrets and ConfigMaps are the server's; here such a variable is left out, and --env
 * gives it. */
static json_t *environment_of(const json_t *object)
{
    json_t *env = json_object(), *entry;
    size_t i;
    json_array_foreach(resource_at(object, "spec.env"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *value = json_string_value(json_object_get(entry, "value"));
        if (json_object_get(entry, "valueFrom") != NULL && value == NULL)
            terminal_progress("%s is not set: its value is with the server; give one with --env "
                              "%s=VALUE",
                              name, name);
        else
            json_object_set_new(env, name, json_string(value != NULL ? value : ""));
    }
    return env;
}

static void copy_fields(json_t *to, const json_t *from, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(from, names[i]);
        if (value != NULL)
            json_object_set(to, names[i], value);
    }
}

char *project_bundle(const struct project *p)
{
    static const char *const wasm_fields[] = {"module", "function", "arguments", "response",
                                              "result"};
    static const char *const fields[] = {"main", "isolation", "network", "command"};
    const json_t *spec = json_object_get(p->object, "spec");
    json_t *files = json_object_get(spec, "codeSource");
    json_t *bundle =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:o, s:o}", "namespace", p->namespace_name, "name",
                  p->name, "uid", "", "generation", 1, "runtime", p->runtime, "limits",
                  limits_of(p->object), "env", environment_of(p->object));
    copy_fields(bundle, spec, fields, COUNT_OF(fields));
    if (files != NULL)
        json_object_set(bundle, "files", files);
    if (strcmp(p->runtime, "wasm") == 0) {
        json_t *wasm = json_object();
        copy_fields(wasm, spec, wasm_fields, COUNT_OF(wasm_fields));
        json_object_set_new(bundle, "wasm", wasm);
    }
    char *text = bundle != NULL ? json_dumps(bundle, JSON_COMPACT) : NULL;
    json_decref(bundle);
    if (text == NULL)
        terminal_error("out of memory");
    return text;
}

/* ---- the module ---- */

static char *read_report(struct slice text, const char *manifest)
{
    json_t *report = json_loadb(text.len > 0 ? text.ptr : "", text.len, 0, NULL);
    const char *path = json_string_value(json_object_get(report, "path"));
    const char *message = json_string_value(json_object_get(report, "message"));
    const char *field = json_string_value(json_object_get(report, "field"));
    char *found = NULL;
    if (json_is_true(json_object_get(report, "ok")) && path != NULL)
        found = strdup(path);
    else
        terminal_error("%s: %s%s%s", manifest, field != NULL ? field : "",
                       field != NULL && field[0] != '\0' ? ": " : "",
                       message != NULL ? message : "the builder ended without a report");
    json_decref(report);
    return found;
}

static int decode_module(const struct project *p, struct buf *out)
{
    const char *encoded = resource_text_at(p->object, "spec.moduleBase64");
    if (encoded == NULL)
        terminal_error("%s: spec.module: the function names no WebAssembly module", p->manifest);
    return encoded != NULL ? encoding_base64_decode(slice_text(encoded), out) : -ENOENT;
}

char *project_compile(const struct project *p)
{
    autobuf module = BUF_INIT, report = BUF_INIT;
    autofree char *builder = place_program("sluice-builder");
    autofree char *cache = place_cache();
    const char *function = resource_text_at(p->object, "spec.function");
    if (function == NULL)
        function = ""; /* _start or handle */
    if (decode_module(p, &module) < 0)
        return NULL;
    if (builder == NULL || cache == NULL) {
        terminal_error(builder == NULL ? "sluice-builder is not beside sluice"
                                       : "there is no folder for compiled modules");
        return NULL;
    }
    char pages[24];
    uint64_t wanted = resource_bytes_at(p->object, "spec.limits.memory", 0) / MODULE_PAGE;
    snprintf(pages, sizeof(pages), "%llu",
             (unsigned long long)(wanted < PAGES_MAX ? wanted : PAGES_MAX));
    const char *const argv[] = {builder, "--cache",    cache,    "--memory-pages",
                                pages,   "--function", function, NULL};
    struct error err = ERROR_INIT;
    int code = 0;
    if (module.len > 65536)
        terminal_progress("compiling %s (%zu KiB) to native code", p->path, module.len >> 10);
    if (subprocess_run(&(struct subprocess){.argv = argv, .input = buf_slice(&module)}, &report,
                       NULL, &code, &err) < 0) {
        terminal_error("%s", err.message);
        return NULL;
    }
    return read_report(buf_slice(&report), p->made_up ? p->path : p->manifest);
}
