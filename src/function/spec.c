/* SPDX-License-Identifier: Apache-2.0 */
/* Reads spec of a Function that the resource table has checked already, and makes the bundle that
 * its workers get (worker/protocol.h). */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define MEBIBYTE   (UINT64_C(1) << 20)
#define LOG_BYTES  (UINT64_C(256) << 10) /* printed by one call */
#define IDLE_LEAST (100 * CLOCK_MILLISECOND)

struct reading {
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
    const char *runtime = resource_text_at(r->object, "spec.runtime");
    r->spec->wasm = runtime != NULL && strcmp(runtime, "wasm") == 0;
    if (runtime != NULL && (r->spec->wasm || strcmp(runtime, "js") == 0))
        return 0;
    r->reason = "RuntimeNotAvailable";
    return error_field(r->err, -EINVAL, "spec.runtime",
                       "the runtime %.40s is not available here: js and wasm are",
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

/* The object of the bundle's limits. */
static json_t *bundle_limits(const struct function_spec *s)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "memoryBytes", (json_int_t)s->memory_bytes,
                     "timeoutMs", (json_int_t)(s->timeout_ns / CLOCK_MILLISECOND), "requestBytes",
                     (json_int_t)s->request_bytes, "responseBytes", (json_int_t)s->response_bytes,
                     "logBytes", (json_int_t)LOG_BYTES);
}

static int read_env(struct reading *r, json_t *bundle)
{
    json_t *env = json_object();
    json_object_set_new(bundle, "env", env);
    size_t i;
    json_t *entry;
    json_array_foreach(resource_at(r->object, "spec.env"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        char field[48];
        snprintf(field, sizeof(field), "spec.env[%zu].valueFrom", i);
        if (json_object_get(entry, "valueFrom") != NULL)
            return refuse(r, "SecretsNotAvailable", field,
                          "values from secrets and config maps are not available yet: use value");
        json_t *value = json_object_get(entry, "value");
        if (name != NULL)
            json_object_set_new(env, name, value != NULL ? json_incref(value) : json_string(""));
    }
    return 0;
}

static const char *find_main(const json_t *object, json_t *files)
{
    static const char *const names[] = {"index.js", "index.mjs", "index.cjs"};
    const char *named = resource_text_at(object, "spec.main");
    if (named != NULL)
        return json_object_get(files, named) != NULL ? named : NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_object_get(files, names[i]) != NULL)
            return names[i];
    return json_object_size(files) == 1 ? json_object_iter_key(json_object_iter(files)) : NULL;
}

static int read_code(struct reading *r, json_t *bundle)
{
    json_t *files = resource_at(r->object, "spec.codeSource");
    if (!json_is_object(files) || json_object_size(files) == 0)
        return refuse(r, "CodeMissing", "spec.codeSource",
                      "there is no code: spec.codeSource has it as file name: text, and the "
                      "command line makes it out of spec.path");
    const char *main_file = find_main(r->object, files);
    if (main_file == NULL)
        return refuse(r, "MainMissing", "spec.main",
                      "which file is started is not clear: name it in spec.main, or call it "
                      "index.js");
    json_object_set_new(bundle, "main", json_string(main_file));
    json_object_set(bundle, "files", files);
    return 0;
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

static int read_wasm(struct reading *r, json_t *bundle)
{
    const char *function = resource_text_at(r->object, "spec.function");
    if (function == NULL)
        return refuse(r, "FunctionMissing", "spec.function",
                      "which export is called is not said: name it in spec.function");
    json_t *wasm = json_object();
    json_object_set_new(bundle, "wasm", wasm);
    json_object_set_new(wasm, "function", json_string(function));
    static const char *const copied[] = {"module", "arguments", "response"};
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        json_t *value = json_object_get(resource_at(r->object, "spec"), copied[i]);
        if (value != NULL)
            json_object_set(wasm, copied[i], value);
    }
    r->spec->export_name = strdup(function);
    return r->spec->export_name == NULL ? -ENOMEM : read_module(r);
}

/* Workers read it and nobody can change it any more. */
static int seal(json_t *bundle, int *ret_fd)
{
    char *text = json_dumps(bundle, JSON_COMPACT);
    if (text == NULL)
        return -ENOMEM;
    int fd = memfd_create("sluice-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = fd < 0 ? -errno : fdio_write_all(fd, text, strlen(text));
    free(text);
    if (r == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        close(fd);
    if (r == 0)
        *ret_fd = fd;
    return r;
}

static json_t *bundle_head(const struct reading *r)
{
    json_t *bundle = json_object();
    static const struct {
        const char *name, *path, *fallback;
    } texts[] = {
        {"namespace", "metadata.namespace", ""},
        {"name", "metadata.name", ""},
        {"uid", "metadata.uid", ""},
        {"isolation", "spec.isolation", "event"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *value = resource_text_at(r->object, texts[i].path);
        json_object_set_new(bundle, texts[i].name,
                            json_string(value != NULL ? value : texts[i].fallback));
    }
    json_object_set_new(bundle, "generation",
                        json_integer(resource_integer_at(r->object, "metadata.generation", 1)));
    json_object_set_new(bundle, "runtime", json_string(r->spec->wasm ? "wasm" : "js"));
    json_object_set_new(bundle, "limits", bundle_limits(r->spec));
    return bundle;
}

static int read_all(struct reading *r)
{
    int status = read_runtime(r);
    if (status < 0)
        return status;
    read_limits(r);
    json_t *bundle = bundle_head(r);
    status = read_env(r, bundle);
    if (status == 0)
        status = r->spec->wasm ? read_wasm(r, bundle) : read_code(r, bundle);
    if (status == 0) {
        status = seal(bundle, &r->spec->bundle);
        if (status < 0)
            error_set(r->err, status, "cannot keep the function's code: %s", strerror(-status));
    }
    json_decref(bundle);
    return status;
}

int function_spec_read(const json_t *object, struct function_spec *ret, const char **ret_reason,
                       struct error *err)
{
    struct function_spec spec = {.bundle = -1};
    struct reading r = {.object = object, .spec = &spec, .reason = "OutOfMemory", .err = err};
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
    free(STEAL(s->export_name));
    buf_done(&s->module);
    if (s->bundle >= 0)
        close(STEAL_FD(s->bundle));
}
