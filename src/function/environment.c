/* SPDX-License-Identifier: Apache-2.0 */
/* A function's environment: what its spec says, with the entries of Secrets and ConfigMaps that it
 * names. Later ones win over earlier ones, env over envFrom, as in Kubernetes. */
#include "function/function_internal.h"

#include "base/encoding.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ENVIRONMENT_BYTES_MAX (1u << 20) /* names and values together */

/* Where entries come from. */
static const struct source {
    const struct resource_kind *kind;
    const char *key_reference, *reference; /* members of valueFrom and of envFrom[] */
    const char *missing;                   /* reason */
} sources[] = {
    {&resource_kind_secret, "secretKeyRef", "secretRef", "SecretNotFound"},
    {&resource_kind_configmap, "configMapKeyRef", "configMapRef", "ConfigMapNotFound"},
};

struct reading {
    const struct registry *registry;
    const char *namespace_name;
    bool program; /* a program gets them, which may be code to it */
    json_t *environment;
    size_t bytes;
    const char *reason;
    struct error *err;
};

static int put(struct reading *r, const char *field, const char *name, struct slice value)
{
    r->bytes += strlen(name) + value.len;
    if (r->bytes > ENVIRONMENT_BYTES_MAX) {
        r->reason = "EnvironmentTooLarge";
        return error_field(r->err, -E2BIG, field, "the environment is larger than 1 MiB");
    }
    if (memchr(value.len > 0 ? value.ptr : "", '\0', value.len) != NULL ||
        !encoding_utf8_valid(value)) {
        r->reason = "ValueNotText";
        return error_field(r->err, -EINVAL, field,
                           "the value of %.80s is no text in UTF-8: a variable cannot hold it",
                           name);
    }
    json_t *text = json_stringn(value.len > 0 ? value.ptr : "", value.len);
    return json_object_set_new(r->environment, name, text) < 0
               ? error_set(r->err, -ENOMEM, "out of memory")
               : 0;
}

/* The entry's bytes; false when there is none. */
static bool read_entry(const struct resource *resource, const char *key, struct buf *out)
{
    const json_t *text = json_object_get(json_object_get(resource->object, "data"), key);
    bool base64 = resource->kind == &resource_kind_secret;
    if (text == NULL) {
        text = json_object_get(json_object_get(resource->object, "binaryData"), key);
        base64 = true;
    }
    if (!json_is_string(text))
        return false;
    struct slice value = slice_of(json_string_value(text), json_string_length(text));
    if (base64)
        return encoding_base64_decode(value, out) == 0; /* checked when it was written */
    buf_add_slice(out, value);
    return buf_ok(out);
}

static const struct resource *find(const struct reading *r, const struct source *s,
                                   const char *name)
{
    return name != NULL ? registry_find(r->registry, s->kind, r->namespace_name, name) : NULL;
}

static int refuse_missing(struct reading *r, const struct source *s, const char *field,
                          const char *name)
{
    r->reason = s->missing;
    return error_field(r->err, -ENOENT, field, "there is no %s %.80s in namespace %s",
                       s->kind->singular, name, r->namespace_name);
}

static int read_value_from(struct reading *r, const char *field, const char *name,
                           const json_t *from)
{
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        const json_t *reference = json_object_get(from, sources[i].key_reference);
        const char *object = json_string_value(json_object_get(reference, "name"));
        const char *key = json_string_value(json_object_get(reference, "key"));
        if (object == NULL || key == NULL)
            continue;
        bool optional = json_is_true(json_object_get(reference, "optional"));
        const struct resource *resource = find(r, &sources[i], object);
        autobuf value = BUF_INIT;
        if (resource != NULL && read_entry(resource, key, &value))
            return put(r, field, name, buf_slice(&value));
        if (optional)
            return 0;
        if (resource == NULL)
            return refuse_missing(r, &sources[i], field, object);
        r->reason = "KeyNotFound";
        return error_field(r->err, -ENOENT, field, "the %s %.80s in namespace %s has no key %.80s",
                           sources[i].kind->singular, object, r->namespace_name, key);
    }
    return 0;
}

static int read_variables(struct reading *r, const json_t *spec)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(spec, "env"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const json_t *from = json_object_get(entry, "valueFrom");
        const json_t *value = json_object_get(entry, "value");
        char field[48];
        snprintf(field, sizeof(field), "spec.env[%zu].%s", i, from != NULL ? "valueFrom" : "value");
        int status = from != NULL
                         ? read_value_from(r, field, name, from)
                         : put(r, field, name,
                               slice_of(json_string_value(value), json_string_length(value)));
        if (status < 0)
            return status;
    }
    return 0;
}

/* Keys that are no names of variables are left out, as in Kubernetes. */
static bool is_variable_name(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && strchr("_.-", *name) == NULL)
            return false;
    return true;
}

/* Variables by which loaders and interpreters are told to run something. A program's Function is
 * written with the admin token only, what its envFrom names by everybody: such a key of theirs
 * would be code, and is left out. A variable that env names is the Function's own word. */
static bool is_code(const char *name)
{
    static const char *const names[] = {
        "BASH_ENV",
        "BASHOPTS",
        "BROWSER",
        "CLASSPATH",
        "DOTNET_STARTUP_HOOKS",
        "EDITOR",
        "ENV",
        "GEM_HOME",
        "GEM_PATH",
        "GCONV_PATH",
        "IFS",
        "LESSOPEN",
        "NODE_PATH",
        "NODE_OPTIONS",
        "OPENSSL_CONF",
        "PAGER",
        "PATH",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "PS4",
        "PROMPT_COMMAND",
        "SHELL",
        "SHELLOPTS",
        "VISUAL",
    };
    static const char *const prefixes[] = {
        "LD_",     "PYTHON",     "PERL5",  "PERLLIB",     "RUBYOPT",     "RUBYLIB",
        "LUA_",    "JAVA_TOOL_", "_JAVA_", "JDK_JAVA_",   "NPM_CONFIG_", "CORECLR_",
        "GIT_SSH", "GIT_CONFIG", "GIT_EX", "GIT_ASKPASS", "GIT_PAGER",   "GIT_PROXY_",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static int read_all_entries(struct reading *r, const char *field, const char *prefix,
                            const struct resource *resource, const char *member)
{
    const char *key;
    json_t *unused;
    json_object_foreach(json_object_get(resource->object, member), key, unused)
    {
        autobuf name = BUF_INIT, value = BUF_INIT;
        buf_printf(&name, "%s%s", prefix, key);
        if (!buf_ok(&name))
            return error_set(r->err, -ENOMEM, "out of memory");
        if (!is_variable_name(name.ptr) || (r->program && is_code(name.ptr)) ||
            !read_entry(resource, key, &value))
            continue;
        int status = put(r, field, name.ptr, buf_slice(&value));
        if (status < 0)
            return status;
    }
    return 0;
}

static int read_whole_objects(struct reading *r, const json_t *spec)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(spec, "envFrom"), i, entry)
    {
        const char *prefix = json_string_value(json_object_get(entry, "prefix"));
        char field[48];
        snprintf(field, sizeof(field), "spec.envFrom[%zu]", i);
        for (size_t j = 0; j < COUNT_OF(sources); j++) {
            const json_t *reference = json_object_get(entry, sources[j].reference);
            const char *name = json_string_value(json_object_get(reference, "name"));
            const struct resource *resource = find(r, &sources[j], name);
            if (reference == NULL ||
                (resource == NULL && json_is_true(json_object_get(reference, "optional"))))
                continue;
            int status = resource == NULL ? refuse_missing(r, &sources[j], field, name)
                                          : read_all_entries(r, field, prefix != NULL ? prefix : "",
                                                             resource, "data");
            if (status < 0)
                return status;
        }
    }
    return 0;
}

int environment_read(const struct function_host *h, const char *namespace_name, const json_t *spec,
                     json_t **ret, const char **ret_reason, struct error *err)
{
    const char *name = json_string_value(json_object_get(spec, "runtime"));
    const struct runtime *runtime = name != NULL ? runtime_set_find(h->runtimes, name) : NULL;
    struct reading r = {.registry = h->registry,
                        .namespace_name = namespace_name,
                        .program = runtime == NULL || runtime->sandbox == RUNTIME_PROCESS,
                        .environment = json_object(),
                        .reason = "OutOfMemory",
                        .err = err};
    int status = r.environment != NULL ? read_whole_objects(&r, spec)
                                       : error_set(err, -ENOMEM, "out of memory");
    if (status == 0)
        status = read_variables(&r, spec);
    if (status == 0) {
        *ret = r.environment;
        return 0;
    }
    json_decref(r.environment);
    *ret_reason = r.reason;
    return status;
}

static bool names(const json_t *reference, const char *name)
{
    const char *own = json_string_value(json_object_get(reference, "name"));
    return own != NULL && strcmp(own, name) == 0;
}

bool environment_uses(const json_t *spec, const struct resource_kind *kind, const char *name)
{
    size_t i, j;
    json_t *entry;
    for (j = 0; j < COUNT_OF(sources); j++) {
        if (sources[j].kind != kind)
            continue;
        json_array_foreach(json_object_get(spec, "env"), i, entry)
        {
            const json_t *from = json_object_get(entry, "valueFrom");
            if (names(json_object_get(from, sources[j].key_reference), name))
                return true;
        }
        json_array_foreach(json_object_get(spec, "envFrom"), i, entry)
        {
            if (names(json_object_get(entry, sources[j].reference), name))
                return true;
        }
    }
    return false;
}
