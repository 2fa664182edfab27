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
    const struct function_host *host;
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

static const enum function_form forms[] = {
    [RUNTIME_PROCESS] = FUNCTION_PROCESS,
    [RUNTIME_JS] = FUNCTION_JS,
    [RUNTIME_WASM] = FUNCTION_WASM,
    [RUNTIME_URL] = FUNCTION_URL,
};
_Static_assert(COUNT_OF(forms) == RUNTIME_SANDBOX_COUNT, "each sandbox has its form");

static int read_runtime(struct reading *r)
{
    const char *name = resource_text_at(r->object, "spec.runtime");
    r->reason = "RuntimeUnknown";
    int status = function_host_runtime(r->host, name, &r->spec->runtime, r->err);
    if (status == 0)
        r->spec->form = forms[r->spec->runtime->sandbox];
    return status;
}

static void read_limits(struct reading *r)
{
    struct function_spec *s = r->spec;
    const json_t *o = r->object;
    s->memory_bytes = resource_bytes_at(o, "spec.limits.memory", 64 * MEBIBYTE);
    s->timeout_ns = resource_duration_at(o, "spec.limits.timeout", 30 * CLOCK_SECOND);
    s->request_bytes = resource_bytes_at(o, "spec.limits.requestBytes", MEBIBYTE);
    s->response_bytes = resource_bytes_at(o, "spec.limits.responseBytes", MEBIBYTE);
    s->fetch_bytes = resource_bytes_at(o, "spec.limits.fetchBytes", 16 * MEBIBYTE);
    s->concurrency = (unsigned)resource_integer_at(o, "spec.limits.concurrency", 16);
    s->scale_min = (unsigned)resource_integer_at(o, "spec.scale.min", 0);
    s->scale_max = (unsigned)resource_integer_at(o, "spec.scale.max", 4);
    s->idle_ns = resource_duration_at(o, "spec.scale.idle", 60 * CLOCK_SECOND);
    s->health_period_ns = resource_duration_at(o, "spec.health.period", 0);
    s->health_failures = (unsigned)resource_integer_at(o, "spec.health.failures", 3);
    if (s->idle_ns < IDLE_LEAST)
        s->idle_ns = IDLE_LEAST;
    if (s->concurrency == 0)
        s->concurrency = 1;
    if (s->scale_max == 0)
        s->scale_max = 1;
    if (s->scale_min > s->scale_max)
        s->scale_min = s->scale_max;
    if (s->form == FUNCTION_URL)
        s->scale_min = 0; /* it has no workers of ours */
}

/* Text of the object, which lives as long as it. */
static const char *find_main(const struct reading *r, json_t *files)
{
    const char *names[RUNTIME_WORDS_MAX];
    const char *named = resource_text_at(r->object, "spec.main"), *key;
    json_t *unused;
    size_t count = 0;
    /* The only file, or those that are asked for: the others do not matter. */
    json_object_foreach(files, key, unused)
    {
        bool wanted = json_object_size(files) == 1 || (named != NULL && strcmp(key, named) == 0);
        for (char **main = r->spec->runtime->main; main != NULL && *main != NULL; main++)
            wanted = wanted || strcmp(key, *main) == 0;
        if (count < COUNT_OF(names) && wanted)
            names[count++] = key;
    }
    const char *chosen = runtime_choose_main(r->spec->runtime, named, names, count);
    void *at = chosen != NULL ? json_object_iter_at(files, chosen) : NULL;
    return at != NULL ? json_object_iter_key(at) : NULL;
}

static int read_code(struct reading *r)
{
    json_t *files = json_object_get(r->spec->source, "codeSource");
    if (files == NULL && json_object_get(r->spec->source, "image") != NULL)
        return refuse(
            r, "ImageNotRead", "spec.image",
            "code is not taken out of images: give it in spec.codeSource or spec.path, or "
            "run the image elsewhere and name its URL with runtime http");
    if (!json_is_object(files) || json_object_size(files) == 0)
        return refuse(r, "CodeMissing", "spec.codeSource",
                      "there is no code: spec.codeSource has it as file name: text, and the "
                      "command line makes it out of spec.path");
    r->spec->main_file = find_main(r, files);
    bool has_command = json_object_get(r->spec->source, "command") != NULL; /* of exec */
    if (r->spec->main_file != NULL || (has_command && r->spec->form == FUNCTION_PROCESS))
        return 0;
    char **wanted = r->spec->runtime->main;
    r->reason = "MainMissing";
    return error_field(r->err, -EINVAL, "spec.main",
                       "which file is started is not clear: name it in spec.main, or call it %s",
                       wanted != NULL && wanted[0] != NULL ? wanted[0] : "as the runtime wants");
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
        [FUNCTION_JS] = read_code,
        [FUNCTION_WASM] = read_wasm,
        [FUNCTION_PROCESS] = read_code,
        [FUNCTION_URL] = read_url,
    };
    _Static_assert(COUNT_OF(read_form) == FUNCTION_FORM_COUNT, "each form is read");
    int status = read_runtime(r);
    if (status < 0)
        return status;
    read_limits(r);
    status = environment_read(r->host, resource_text_at(r->object, "metadata.namespace"),
                              r->spec->source, &r->spec->environment, &r->reason, r->err);
    return status < 0 ? status : read_form[r->spec->form](r);
}

int function_spec_read(const struct function_host *h, const json_t *object,
                       struct function_spec *ret, const char **ret_reason, struct error *err)
{
    struct function_spec spec = {.source = json_incref(json_object_get(object, "spec"))};
    struct reading r = {
        .host = h, .object = object, .spec = &spec, .reason = "OutOfMemory", .err = err};
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
