/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/project.h"

#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/place.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENV_FILE_MAX (1u << 20)

void project_done(struct project *p)
{
    free(p->path);
    free(p->folder);
    free(p->manifest);
    free(p->file);
    json_decref(p->object);
    *p = (struct project){0};
}

/* ---- what the path is ---- */

static bool is_manifest_name(const char *path)
{
    struct slice name = slice_text(path);
    return slice_ends(name, ".yaml") || slice_ends(name, ".yml");
}

static char *join(const char *folder, const char *name)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    return buf_steal(&path);
}

char *project_manifest(const char *path)
{
    static const char *const names[] = {"function.yaml", "function.yml"};
    struct stat st;
    if (stat(path, &st) < 0)
        return NULL;
    if (!S_ISDIR(st.st_mode))
        return is_manifest_name(path) ? strdup(path) : NULL;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *found = join(path, names[i]);
        if (found != NULL && access(found, R_OK) == 0)
            return found;
        free(found);
    }
    return NULL;
}

static int out_of_memory(void)
{
    terminal_error("out of memory");
    return -ENOMEM;
}

static int locate(struct project *p, const char *path)
{
    struct stat st;
    p->path = strdup(path);
    if (p->path == NULL)
        return out_of_memory();
    for (size_t len = strlen(p->path); len > 1 && p->path[len - 1] == '/'; len--)
        p->path[len - 1] = '\0';
    if (stat(p->path, &st) < 0) {
        int status = -errno;
        terminal_error("%s: %s", path, strerror(errno));
        return status;
    }
    const char *slash = strrchr(p->path, '/');
    p->manifest = project_manifest(p->path);
    p->made_up = p->manifest == NULL;
    if (S_ISDIR(st.st_mode))
        p->folder = strdup(p->path);
    else
        p->folder = slash == NULL
                        ? strdup(".")
                        : strndup(p->path, (size_t)(slash - p->path) + (slash == p->path));
    if (p->made_up && !S_ISDIR(st.st_mode))
        p->file = strdup(slash != NULL ? slash + 1 : p->path);
    if (p->made_up && p->folder != NULL)
        p->manifest = join(p->folder, "function.yaml");
    return p->folder != NULL && p->manifest != NULL ? 0 : out_of_memory();
}

/* ---- without a manifest ---- */

static const struct {
    const char *ending, *runtime;
} endings[] = {
    {".js", "js"},  {".mjs", "js"},    {".cjs", "js"},    {".ts", "js"},
    {".mts", "js"}, {".wasm", "wasm"}, {".py", "python"},
};

/* In a folder without a manifest, the first of these that is there. */
static const struct {
    const char *file, *runtime;
} signs[] = {
    {"index.js", "js"},     {"index.mjs", "js"},      {"index.cjs", "js"},   {"index.ts", "js"},
    {"package.json", "js"}, {"handler.py", "python"}, {"main.py", "python"}, {"function.js", "js"},
};

static const char *guess_runtime(const struct project *p)
{
    for (size_t i = 0; p->file != NULL && i < COUNT_OF(endings); i++) {
        if (slice_ends(slice_text(p->file), endings[i].ending))
            return endings[i].runtime;
    }
    if (p->file != NULL)
        return access(p->path, X_OK) == 0 ? "exec" : NULL;
    for (size_t i = 0; i < COUNT_OF(signs); i++) {
        autofree char *path = join(p->folder, signs[i].file);
        if (path != NULL && access(path, R_OK) == 0)
            return signs[i].runtime;
    }
    return NULL;
}

/* A name for it that a resource may have. */
static void write_name(const struct project *p, struct buf *out)
{
    autofree char *whole = realpath(p->file != NULL ? p->path : p->folder, NULL);
    const char *slash = whole != NULL ? strrchr(whole, '/') : NULL;
    struct slice name = slice_text(slash != NULL ? slash + 1 : "function");
    const char *dot = p->file != NULL ? memrchr(name.ptr, '.', name.len) : NULL;
    if (dot != NULL && dot > name.ptr)
        name.len = (size_t)(dot - name.ptr);
    for (size_t i = 0; i < name.len && out->len < 63; i++) {
        char c = (char)tolower((unsigned char)name.ptr[i]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain || (out->len > 0 && out->ptr[out->len - 1] != '-'))
            buf_add_byte(out, plain ? c : '-');
    }
    while (out->len > 0 && out->ptr[out->len - 1] == '-')
        out->ptr[--out->len] = '\0';
    if (out->len == 0)
        buf_add_text(out, "function");
}

static const char *option_of(const struct cli_call *call, const char *name)
{
    const struct cli_option *o;
    for (size_t i = 0; (o = cli_command_option(call->command, i)) != NULL; i++) {
        if (strcmp(o->name, name) == 0)
            return cli_call_value(call, name);
    }
    return NULL;
}

static int make_up(struct project *p, const struct cli_call *call)
{
    const char *runtime = option_of(call, "runtime");
    if (runtime == NULL)
        runtime = guess_runtime(p);
    if (runtime == NULL) {
        terminal_error(
            p->file != NULL
                ? "%s is neither a manifest nor a file that tells what runs it"
                : "%s has no function.yaml, and what kind of function it is cannot be seen",
            p->path);
        terminal_hint("`sluice function new NAME` writes a project; --runtime says what runs it");
        return -EINVAL;
    }
    autobuf name = BUF_INIT;
    write_name(p, &name);
    bool wasm = strcmp(runtime, "wasm") == 0;
    p->object = json_pack(
        "{s:s, s:s, s:{s:s}, s:{s:s, s:s}}", "apiVersion", "sluice.dev/v1", "kind", "Function",
        "metadata", "name", buf_ok(&name) ? name.ptr : "function", "spec", "runtime", runtime,
        wasm && p->file != NULL ? "module" : "path", p->file != NULL ? p->file : ".");
    return p->object != NULL ? 0 : out_of_memory();
}

/* ---- with a manifest ---- */

static void complain(const char *file, int line, const struct error *err)
{
    char place[24] = "";
    if (line > 0)
        snprintf(place, sizeof(place), ":%d", line);
    terminal_error("%s%s: %s%s%s", file, place, err->field, err->field[0] != '\0' ? ": " : "",
                   err->message);
}

/* The file's Function; more than one would not say which. */
static const struct resource_document *pick(const struct resource_document *documents, size_t count,
                                            struct error *err)
{
    const struct resource_document *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *kind = resource_text_at(documents[i].object, "kind");
        if (kind == NULL || strcmp(kind, resource_kind_function.kind) != 0)
            continue;
        if (found != NULL) {
            error_set(err, -EINVAL, "has more than one Function: run one from a file of its own");
            return NULL;
        }
        found = &documents[i];
    }
    if (found == NULL)
        error_set(err, -ENOENT, "has no Function in it");
    return found;
}

static int read_manifest(struct project *p, struct resource_document **ret, size_t *ret_count,
                         const struct resource_document **ret_one)
{
    autobuf text = BUF_INIT;
    struct error err = ERROR_INIT;
    int status = fdio_read_file(p->manifest, RESOURCE_TEXT_MAX, &text);
    if (status < 0)
        error_set(&err, status, "cannot be read: %s", strerror(-status));
    else
        status = resource_parse(buf_slice(&text), ret, ret_count, &err);
    if (status == 0 && (*ret_one = pick(*ret, *ret_count, &err)) == NULL)
        status = err.code;
    if (status < 0)
        complain(p->manifest, err.line, &err);
    return status;
}

/* ---- what the command line adds ---- */

static int set_variable(json_t *spec, struct slice pair)
{
    const char *equals = memchr(pair.ptr, '=', pair.len);
    if (equals == NULL || equals == pair.ptr) {
        terminal_error("\"" SLICE_FMT "\" is no NAME=VALUE", SLICE_ARG(pair));
        return -EINVAL;
    }
    json_t *env = json_object_get(spec, "env");
    if (env == NULL)
        json_object_set_new(spec, "env", env = json_array());
    size_t name_len = (size_t)(equals - pair.ptr), i;
    json_t *known, *value = json_stringn(equals + 1, pair.len - name_len - 1);
    json_array_foreach(env, i, known)
    {
        const char *name = json_string_value(json_object_get(known, "name"));
        if (name == NULL || !slice_is(slice_of(pair.ptr, name_len), name))
            continue;
        json_object_del(known, "valueFrom");
        json_object_set_new(known, "value", value);
        return 0;
    }
    return json_array_append_new(
        env, json_pack("{s:s%, s:o}", "name", pair.ptr, name_len, "value", value));
}

/* Lines of NAME=VALUE; empty ones and those that begin with # are not. */
static int add_env_file(json_t *spec, const char *path)
{
    autobuf text = BUF_INIT;
    int status = fdio_read_file(path, ENV_FILE_MAX, &text);
    if (status < 0) {
        terminal_error("cannot read %s: %s", path, strerror(-status));
        return status;
    }
    struct slice left = buf_slice(&text);
    while (status == 0 && left.len > 0) {
        const char *end = memchr(left.ptr, '\n', left.len);
        size_t len = end != NULL ? (size_t)(end - left.ptr) : left.len;
        struct slice line = slice_of(left.ptr, len);
        left = slice_of(left.ptr + len + (end != NULL), left.len - len - (end != NULL));
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0 && line.ptr[0] != '#')
            status = set_variable(spec, line);
    }
    return status;
}

int project_set_environment(json_t *spec, const struct cli_call *call)
{
    const char *value;
    int status = 0;
    size_t at = 0;
    while (status == 0 && (value = cli_call_next(call, "env-file", &at)) != NULL)
        status = add_env_file(spec, value);
    at = 0;
    while (status == 0 && (value = cli_call_next(call, "env", &at)) != NULL)
        status = set_variable(spec, slice_text(value));
    return status;
}

static int add_options(struct project *p, const struct cli_call *call)
{
    static const char *const copied[] = {"function", "arguments", "response"};
    json_t *spec = json_object_get(p->object, "spec");
    for (size_t i = 0; i < COUNT_OF(copied); i++) {
        const char *value = option_of(call, copied[i]);
        if (value != NULL)
            json_object_set_new(spec, copied[i], json_string(value));
    }
    return project_set_environment(spec, call);
}

/* ---- together ---- */

static int finish(struct project *p, const struct project_options *options,
                  const struct resource_document *document)
{
    struct error err = ERROR_INIT;
    int status = add_options(p, options->call);
    if (status < 0)
        return status;
    status = embed_files(p->object, p->manifest, &err);
    if (status == 0)
        status = resource_check(&resource_kind_function, p->object, options->namespace_name, &err);
    if (status < 0) {
        complain(p->made_up ? p->path : p->manifest,
                 document != NULL ? resource_line(document, err.field) : 0, &err);
        return status;
    }
    p->name = resource_text_at(p->object, "metadata.name");
    p->namespace_name = resource_text_at(p->object, "metadata.namespace");
    p->runtime = resource_text_at(p->object, "spec.runtime");
    return 0;
}

int project_load(const char *path, const struct project_options *options, struct project *ret)
{
    struct project p = {0};
    struct resource_document *documents = NULL;
    const struct resource_document *document = NULL;
    size_t count = 0;
    int status = locate(&p, path);
    if (status == 0 && p.made_up)
        status = make_up(&p, options->call);
    else if (status == 0)
        status = read_manifest(&p, &documents, &count, &document);
    if (status == 0 && document != NULL)
        p.object = json_incref(document->object);
    if (status == 0)
        status = finish(&p, options, document);
    resource_documents_free(documents, count);
    if (status < 0)
        project_done(&p);
    else
        *ret = p;
    return status;
}
