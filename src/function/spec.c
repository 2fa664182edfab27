/* SPDX-License-Identifier: Apache-2.0 */
/* Reads spec of a Function that the resource table has checked already. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "http/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MEBIBYTE   (UINT64_C(1) << 20)
#define IDLE_LEAST (100 * CLOCK_MILLISECOND)

struct reading {
    const struct registry *registry;
    const json_t *object;
    struct function_spec *spec;
    const char *reason;
    struct error *err;
};

static int refuse(struct reading *r, const char *reason, const char *field, const char *message)
{
    r->reason = reason;
    return error_field(r->err, -EINVAL, field, "%s", message);
}

static int read_runtime(struct reading *r)
{
    static const char *const forms[] = {
        [FUNCTION_JS] = "js", [FUNCTION_WASM] = "wasm", [FUNCTION_URL] = "http"};
    const char *runtime = resource_text_at(r->object, "spec.runtime");
    for (size_t i = 0; runtime != NULL && i < COUNT_OF(forms); i++) {
        r->spec->form = (enum function_form)i;
        if (strcmp(runtime, forms[i]) == 0)
            return 0;
    }
    r->reason = "RuntimeNotAvailable";
    return error_field(r->err, -EINVAL, "spec.runtime",
                       "the runtime %.40s is not available here: js, wasm and http are",
                       runtime != NULL ? runtime : "(none)");
}

static void read_limits(struct reading *r)
{
    struct function_spec *s = r->spec;
    const json_t *o = r->object;
    s->memory_bytes = resource_bytes_at(o, "spec.limits.memory", 64 * MEBIBYTE);
    s->timeout_ns = resource_duration_at(o, "spec.limits.timeout", 30 * CLOCK_SECOND);
    s->request_bytes = resource_bytes_at(o, "spec.limits.requestBytes", MEBIBYTE);
    s->response_bytes = resource_bytes_at(o, "spec.limits.responseBytes", MEBIBYTE);
    s->concurrency = (unsigned)resource_integer_at(o, "spec.limits.concurrency", 16);
    s->scale_min = (unsigned)resource_integer_at(o, "spec.scale.min", 0);
    s->scale_max = (unsigned)resource_integer_at(o, "spec.scale.max", 4);
    s->idle_ns = resource_duration_at(o, "spec.scale.idle", 60 * CLOCK_SECOND);
    if (s->idle_ns < IDLE_LEAST)
        s->idle_ns = IDLE_LEAST;
    if (s->concurrency == 0)
        s->concurrency = 1;
    if (s->scale_max == 0)
        s->scale_max = 1;
    if (s->scale_min > s->scale_max)
        s->scale_min = s->scale_max;
}

static const char *find_main(const json_t *object, json_t *files)
{
    static const char *const names[] = {"index.js", "index.mjs", "index.cjs"};
    const char *named = resource_text_at(object, "spec.main");
    if (named != NULL)
        return json_object_get(files, named) != NULL ? named : NULL;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (json_object_get(files, names[i]) != NULL)
            return names[i];
    return json_object_size(files) == 1 ? json_object_iter_key(json_object_iter(files)) : NULL;
}

static int read_js(struct reading *r)
{
    json_t *files = json_object_get(r->spec->source, "codeSource");
    if (!json_is_object(files) || json_object_size(files) == 0)
        return refuse(r, "CodeMissing", "spec.codeSource",
                      "there is no code: spec.codeSource has it as file name: text, and the "
                      "command line makes it out of spec.path");
    r->spec->main_file = find_main(r->object, files);
    return r->spec->main_file != NULL
               ? 0
               : refuse(r, "MainMissing", "spec.main",
                        "which file is started is not clear: name it in spec.main, or call it "
                        "index.js");
}

static int read_module(struct reading *r)
{
    const json_t *text = resource_at(r->object, "spec.moduleBase64");
    if (!json_is_string(text))
        return refuse(r, "ModuleMissing", "spec.moduleBase64",
                      "the module's bytes are missing: sluice apply reads them from the file that "
                      "spec.module names");
    if (encoding_base64_decode(slice_of(json_string_value(text), json_string_length(text)),
                               &r->spec->module) < 0)
        return refuse(r, "ModuleRefused", "spec.moduleBase64", "this is no base64 (RFC 4648 §4)");
    return 0;
}

static int read_wasm(struct reading *r)
{
    r->spec->export_name = resource_text_at(r->object, "spec.function");
    return read_module(r);
}

static int read_url(struct reading *r)
{
    struct url parts;
    r->spec->url = resource_text_at(r->object, "spec.url");
    if (r->spec->url == NULL)
        return refuse(r, "UrlMissing", "spec.url", "where the function serves is not said");
    return url_split(slice_text(r->spec->url), &parts) == 0
               ? 0
               : refuse(r, "UrlRefused", "spec.url", "this is no URL that can be called");
}

static int read_all(struct reading *r)
{
    static int (*const read_form[])(struct reading *) = {
        [FUNCTION_JS] = read_js, [FUNCTION_WASM] = read_wasm, [FUNCTION_URL] = read_url};
    _Static_assert(COUNT_OF(read_form) == FUNCTION_FORM_COUNT, "each form is read");
    int status = read_runtime(r);
    if (status < 0)
        return status;
    read_limits(r);
    status = environment_read(r->registry, resource_text_at(r->object, "metadata.namespace"),
                              r->spec->source, &r->spec->environment, &r->reason, r->err);
    return status < 0 ? status : read_form[r->spec->form](r);
}

int function_spec_read(const struct registry *registry, const json_t *object,
                       struct function_spec *ret, const char **ret_reason, struct error *err)
{
    struct function_spec spec = {.source = json_incref(json_object_get(object, "spec"))};
    struct reading r = {
        .registry = registry, .object = object, .spec = &spec, .reason = "OutOfMemory", .err = err};
    int status = read_all(&r);
    if (status < 0) {
        *ret_reason = r.reason;
        function_spec_done(&spec);
        return status;
    }
    *ret = spec;
    return 0;
}

void function_spec_done(struct function_spec *s)
{
    buf_done(&s->module);
    json_decref(s->source);
    json_decref(s->environment);
    *s = (struct function_spec){0};
}
