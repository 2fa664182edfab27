/* SPDX-License-Identifier: Apache-2.0 */
/* sluice.dev/v1 Function. */
#include "base/encoding.h"
#include "base/filename.h"
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <ctype.h>
#include <errno.h>

#define MEBIBYTE (INT64_C(1) << 20)
#define SECOND   INT64_C(1000000000)

static const char *const results[] = {"number", "text", "bytes", "json", "event", NULL};
static const char *const isolations[] = {"event", "instance", NULL};

static int code_check(const json_t *object, struct error *err)
{
    json_t *code = resource_at(object, "spec.codeSource"), *text;
    const char *name;
    json_object_foreach(code, name, text)
    {
        if (!filename_is_inside(name))
            return error_field(err, -EINVAL, "spec.codeSource",
                               "\"%.80s\" is no file name: a relative path without . and .. parts",
                               name);
    }
    const char *main_file = resource_text_at(object, "spec.main");
    if (main_file != NULL && code != NULL && json_object_get(code, main_file) == NULL)
        return error_field(err, -EINVAL, "spec.main", "spec.codeSource has no file \"%.80s\"",
                           main_file);
    return 0;
}

/* The eight bytes that every module begins with: WebAssembly core specification §5.5.16. */
static int module_check(const json_t *object, struct error *err)
{
    const json_t *encoded = resource_at(object, "spec.moduleBase64");
    if (encoded == NULL)
        return 0;
    autobuf bytes = BUF_INIT;
    struct slice text = slice_of(json_string_value(encoded), json_string_length(encoded));
    if (encoding_base64_decode(text, &bytes) < 0)
        return error_field(err, -EINVAL, "spec.moduleBase64",
                           "must be base64 with padding and without line breaks");
    if (bytes.len < 8 || memcmp(bytes.ptr, "\0asm\1\0\0", 8) != 0)
        return error_field(err, -EINVAL, "spec.moduleBase64",
                           "is no WebAssembly module (it must begin with \\0asm and version 1)");
    return 0;
}

/* Where the code of a runtime comes from: one of these must be there. */
static const struct code_source {
    const char *runtime; /* NULL: all others */
    const char *sources[4];
    const char *message;
} code_sources[] = {
    {"wasm",
     {"moduleBase64", "module", "path", "image"},
     "needs spec.module (a file beside the manifest) or spec.moduleBase64"},
    {"http", {"url"}, "needs spec.url, where it already serves"},
    {NULL, {"codeSource", "path", "image"}, "needs its code in spec.codeSource (file name: text)"},
};

static int source_check(const json_t *object, struct error *err)
{
    const char *runtime = resource_text_at(object, "spec.runtime");
    const json_t *spec = resource_at(object, "spec");
    if (!name_is_label(slice_text(runtime)))
        return error_field(err, -EINVAL, "spec.runtime",
                           "\"%.60s\" is no name of a runtime: use a-z, 0-9 and -", runtime);
    const struct code_source *s = code_sources;
    while (s->runtime != NULL && strcmp(runtime, s->runtime) != 0)
        s++;
    for (size_t i = 0; i < COUNT_OF(s->sources); i++)
        if (s->sources[i] != NULL && json_object_get(spec, s->sources[i]) != NULL)
            return 0;
    return error_field(err, -EINVAL, "spec.runtime", "runtime %s %s", runtime, s->message);
}

static bool is_variable_name(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && strchr("_.-", *name) == NULL)
            return false;
    return true;
}

static int variable_check(const json_t *variable, size_t index, json_t *seen, struct error *err)
{
    char field[64];
    const char *name = resource_text_at(variable, "name");
    snprintf(field, sizeof(field), "spec.env[%zu].name", index);
    if (!is_variable_name(name))
        return error_field(err, -EINVAL, field,
                           "\"%.60s\" is no variable name: a letter or _, then letters, digits, _",
                           name);
    if (json_object_get(seen, name) != NULL)
        return error_field(err, -EINVAL, field, "%.60s is there twice", name);
    if (json_object_set_new(seen, name, json_true()) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    const json_t *from = json_object_get(variable, "valueFrom");
    snprintf(field, sizeof(field), "spec.env[%zu].valueFrom", index);
    if (from != NULL && json_object_get(variable, "value") != NULL)
        return error_field(err, -EINVAL, field, "value and valueFrom exclude each other");
    if (from != NULL && json_object_size(from) != 1)
        return error_field(err, -EINVAL, field,
                           "must have exactly one of secretKeyRef and configMapKeyRef");
    return 0;
}

static int whole_objects_check(const json_t *object, struct error *err)
{
    size_t index;
    json_t *entry;
    json_array_foreach(resource_at(object, "spec.envFrom"), index, entry)
    {
        bool secret = json_object_get(entry, "secretRef") != NULL;
        char field[48];
        snprintf(field, sizeof(field), "spec.envFrom[%zu]", index);
        if (secret == (json_object_get(entry, "configMapRef") != NULL))
            return error_field(err, -EINVAL, field,
                               "must have exactly one of secretRef and configMapRef");
    }
    return 0;
}

static int environment_check(const json_t *object, struct error *err)
{
    size_t index;
    json_t *variable, *seen = json_object();
    int status = seen != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
    json_array_foreach(resource_at(object, "spec.env"), index, variable)
    {
        if (status == 0)
            status = variable_check(variable, index, seen, err);
    }
    json_decref(seen);
    return status;
}

/* host:port, *.host:port, [v6]:port. */
static bool is_host_and_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (colon == NULL || colon == text || encoding_parse_u64(slice_text(colon + 1), &port) < 0 ||
        port == 0 || port > 65535)
        return false;
    size_t len = (size_t)(colon - text);
    if (text[0] == '[')
        return len > 2 && text[len - 1] == ']' &&
               strspn(text + 1, "0123456789abcdefABCDEF:.") == len - 2;
    size_t wildcard = strncmp(text, "*.", 2) == 0 ? 2 : 0;
    char host[256];
    if (len - wildcard >= sizeof(host))
        return false;
    for (size_t i = wildcard; i < len; i++)
        host[i - wildcard] = (char)tolower((unsigned char)text[i]);
    return name_is_subdomain(slice_of(host, len - wildcard));
}

static int network_check(const json_t *object, struct error *err)
{
    size_t index;
    json_t *entry;
    char field[64];
    json_array_foreach(resource_at(object, "spec.network.allow"), index, entry)
    {
        if (is_host_and_port(json_string_value(entry)))
            continue;
        snprintf(field, sizeof(field), "spec.network.allow[%zu]", index);
        return error_field(err, -EINVAL, field,
                           "must be HOST:PORT such as api.github.com:443, is \"%.80s\"",
                           json_string_value(entry));
    }
    return 0;
}

static int scale_check(const json_t *object, struct error *err)
{
    int64_t min = resource_integer_at(object, "spec.scale.min", 0);
    int64_t max = resource_integer_at(object, "spec.scale.max", 0);
    return min <= max ? 0
                      : error_field(err, -EINVAL, "spec.scale.min",
                                    "must not be more than spec.scale.max");
}

static int url_check(const json_t *object, struct error *err)
{
    const char *url = resource_text_at(object, "spec.url");
    if (url == NULL || strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0)
        return 0;
    return error_field(err, -EINVAL, "spec.url", "must begin with http:// or https://");
}

static int function_check(const json_t *object, struct error *err)
{
    static int (*const checks[])(const json_t *object, struct error *err) = {
        source_check,        code_check,  module_check,  environment_check,
        whole_objects_check, scale_check, network_check, url_check,
    };
    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        int status = checks[i](object, err);
        if (status < 0)
            return status;
    }
    return 0;
}

#define KEY_REFERENCE_FIELDS(p, what)                                                              \
    {p, RESOURCE_OBJECT, .help = "the value is an entry of a " what},                              \
        {p ".name", RESOURCE_STRING, .required = true,                                             \
         .min = 1,  .max = 253,      .help = "name of the " what},                                 \
        {p ".key", RESOURCE_STRING, .required = true,                                              \
         .min = 1, .max = 253,      .help = "key in the " what},                                   \
    {                                                                                              \
        p ".optional", RESOURCE_BOOLEAN, .help = "true: leave the variable out when it is absent"  \
    }

#define WHOLE_REFERENCE_FIELDS(p, what)                                                            \
    {p, RESOURCE_OBJECT, .help = "a " what " in the function's namespace"},                        \
        {p ".name", RESOURCE_STRING, .required = true,                                             \
         .min = 1,  .max = 253,      .help = "name of the " what},                                 \
    {                                                                                              \
        p ".optional", RESOURCE_BOOLEAN, .help = "true: it need not be there"                      \
    }

static const struct resource_field fields[] = {
    {"spec", RESOURCE_OBJECT, .required = true, .help = "the function"},
    {"spec.runtime", RESOURCE_STRING, .required = true, .min = 1, .max = 63,
     .help = "what runs it: js, wasm, http, python, node, exec, or what else the server has"},
    {"spec.codeSource", RESOURCE_STRING_MAP, .min = 1, .max = 10000, .help = "file name: text"},
    {"spec.main", RESOURCE_STRING, .min = 1, .max = 255,
     .help = "the file that is started; default: index.js, or the only file"},
    {"spec.path", RESOURCE_STRING, .min = 1, .max = 4096,
     .help = "folder with the code; the command line puts its files into codeSource"},
    {"spec.image", RESOURCE_STRING, .min = 1, .max = 1024,
     .help = "OCI image with the code; not read yet"},
    {"spec.module", RESOURCE_STRING, .min = 1, .max = 4096,
     .help = "name of the WebAssembly module; the command line reads the file beside the manifest"},
    {"spec.moduleBase64", RESOURCE_STRING, .min = 1, .max = 22 * MEBIBYTE,
     .help = "the WebAssembly module itself"},
    {"spec.function", RESOURCE_STRING, .min = 1, .max = 1024,
     .help = "export that is called; default: _start (a WASI command), or handle"},
    {"spec.arguments", RESOURCE_STRING, .min = 1, .max = 65536,
     .help = "JavaScript: event => list of the export's arguments"},
    {"spec.response", RESOURCE_STRING, .min = 1, .max = 65536,
     .help = "JavaScript: (result, event, meta) => what the function answers"},
    {"spec.result", RESOURCE_STRING, .choices = results,
     .help = "what the export returns; all but number: address and length of bytes in its memory"},
    {"spec.command", RESOURCE_LIST, .min = 1, .max = 1000,
     .help = "the program and its arguments, of exec and of WASI commands"},
    {"spec.command[]", RESOURCE_STRING, .max = 131072, .help = "one argument"},
    {"spec.url", RESOURCE_STRING, .min = 1, .max = 8192, .help = "where an http function serves"},
    {"spec.isolation", RESOURCE_STRING, .fallback = "\"event\"", .choices = isolations,
     .help = "event: each event has a fresh instance; instance: state is kept between events"},
    {"spec.env", RESOURCE_LIST, .max = 1000, .help = "environment variables"},
    {"spec.env[]", RESOURCE_OBJECT, .help = "one variable"},
    {"spec.env[].name", RESOURCE_STRING, .required = true, .min = 1, .max = 255,
     .help = "name of the variable"},
    {"spec.env[].value", RESOURCE_STRING, .max = 131072, .help = "its value"},
    {"spec.env[].valueFrom", RESOURCE_OBJECT, .help = "where its value is"},
    KEY_REFERENCE_FIELDS("spec.env[].valueFrom.secretKeyRef", "Secret"),
    KEY_REFERENCE_FIELDS("spec.env[].valueFrom.configMapKeyRef", "ConfigMap"),
    {"spec.envFrom", RESOURCE_LIST, .max = 100,
     .help = "objects whose entries all become variables; env goes before them"},
    {"spec.envFrom[]", RESOURCE_OBJECT, .help = "one object"},
    {"spec.envFrom[].prefix", RESOURCE_STRING, .max = 255, .help = "put before each key"},
    WHOLE_REFERENCE_FIELDS("spec.envFrom[].secretRef", "Secret"),
    WHOLE_REFERENCE_FIELDS("spec.envFrom[].configMapRef", "ConfigMap"),
    {"spec.limits", RESOURCE_OBJECT, .fallback = "{}", .help = "limits, each with its default"},
    {"spec.limits.memory", RESOURCE_QUANTITY, .fallback = "\"64Mi\"", .min = MEBIBYTE,
     .max = 4096 * MEBIBYTE, .help = "memory of one instance"},
    {"spec.limits.timeout", RESOURCE_DURATION, .fallback = "\"PT30S\"", .min = SECOND / 1000,
     .max = 3600 * SECOND, .help = "time of one call"},
    {"spec.limits.concurrency", RESOURCE_INTEGER, .fallback = "16", .min = 1, .max = 1024,
     .help = "calls at the same time in one worker"},
    {"spec.limits.queue", RESOURCE_INTEGER, .min = 0, .max = 100000,
     .help = "calls that wait while all workers are busy; 1024 by default; more get 503"},
    {"spec.limits.requestBytes", RESOURCE_QUANTITY, .fallback = "\"1Mi\"", .min = 1,
     .max = 64 * MEBIBYTE, .help = "size of a request's body"},
    {"spec.limits.responseBytes", RESOURCE_QUANTITY, .fallback = "\"1Mi\"", .min = 1,
     .max = 64 * MEBIBYTE, .help = "size of a response's body"},
    {"spec.limits.fetchBytes", RESOURCE_QUANTITY, .fallback = "\"16Mi\"", .min = 1,
     .max = 64 * MEBIBYTE, .help = "size of a body that fetch sends or gets"},
    {"spec.scale", RESOURCE_OBJECT, .fallback = "{}", .help = "number of workers"},
    {"spec.scale.min", RESOURCE_INTEGER, .fallback = "0", .min = 0, .max = 64,
     .help = "workers that are kept without calls"},
    {"spec.scale.max", RESOURCE_INTEGER, .fallback = "4", .min = 1, .max = 64,
     .help = "most workers"},
    {"spec.scale.idle", RESOURCE_DURATION, .fallback = "\"PT60S\"", .min = 0, .max = 86400 * SECOND,
     .help = "time without calls after which a worker ends"},
    {"spec.health", RESOURCE_OBJECT, .help = "whether workers are asked if they are alive"},
    {"spec.health.period", RESOURCE_DURATION, .required = true, .min = SECOND / 10,
     .max = 3600 * SECOND, .help = "time between two GET /health/liveness"},
    {"spec.health.failures", RESOURCE_INTEGER, .min = 1, .max = 100,
     .help = "answers in a row of 400 and more, or none, after which a worker is replaced; 3 by "
             "default"},
    {"spec.network", RESOURCE_OBJECT, .help = "what fetch may reach"},
    {"spec.network.allow", RESOURCE_LIST, .max = 1000, .help = "allowed destinations"},
    {"spec.network.allow[]", RESOURCE_STRING, .min = 1, .max = 300, .help = "HOST:PORT"},
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"READY", "condition:Ready.status", 0},
    {"REASON", "condition:Ready.reason", 0},
    {"RUNTIME", "spec.runtime", 0},
    {"URL", "status.address.url", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

const struct resource_kind resource_kind_function = {
    .group = "sluice.dev",
    .version = "v1",
    .kind = "Function",
    .plural = "functions",
    .singular = "function",
    .short_name = "fn",
    .namespaced = true,
    .label_name = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .check = function_check,
    .help = "Code and a runtime: an HTTP server that speaks CloudEvents.",
};
