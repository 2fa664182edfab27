/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests: files, folders and stdin to checked resources. An error in one document is printed and
 * does not keep the others from being read. */
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct loader {
    struct manifest *manifest;
    const char *namespace_name;
    bool forced;
};

__attribute__((format(printf, 5, 6))) static void
complain(struct loader *l, const char *file, int line, const char *field, const char *format, ...)
{
    autobuf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_add_text(&text, strcmp(file, "-") == 0 ? "stdin" : file);
    if (line > 0)
        buf_printf(&text, ":%d", line);
    buf_add_text(&text, ": ");
    if (field[0] != '\0')
        buf_printf(&text, "%s: ", field);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    terminal_error("%s", buf_ok(&text) ? text.ptr : "out of memory");
    l->manifest->failed++;
}

static void complain_out_of_memory(struct loader *l, const char *file)
{
    complain(l, file, 0, "", "out of memory");
}

/* The kind, or NULL after saying what is wrong. */
static const struct resource_kind *kind_of(struct loader *l, const char *file,
                                           const struct resource_document *d)
{
    const char *version = resource_text_at(d->object, "apiVersion");
    const char *name = resource_text_at(d->object, "kind");
    const char *absent = version == NULL ? "apiVersion" : name == NULL ? "kind" : NULL;
    if (absent != NULL) {
        complain(l, file, d->line, absent,
                 "is missing: a resource begins with apiVersion and kind");
        return NULL;
    }
    const struct resource_kind *kind = resource_kind_of(version, name);
    if (kind != NULL)
        return kind;
    autobuf known = BUF_INIT;
    for (size_t i = 0; i < resource_kind_count; i++) {
        buf_printf(&known, "%s%s ", i > 0 ? ", " : "", resource_kinds[i]->kind);
        resource_kind_api_version(resource_kinds[i], &known);
    }
    complain(l, file, resource_line(d, "kind"), "kind", "there is no %s of %s; known are %s", name,
             version, buf_ok(&known) ? known.ptr : "others");
    return NULL;
}

/* Fills in the namespace and checks all fields on a copy, so that what is sent is what was written.
 * 0, or -EINVAL after saying what is wrong. */
static int check_document(struct loader *l, const char *file, const struct resource_document *d,
                          const struct resource_kind *kind)
{
    struct error err = ERROR_INIT;
    json_t *copy = json_deep_copy(d->object);
    if (copy == NULL) {
        complain_out_of_memory(l, file);
        return -ENOMEM;
    }
    int status = resource_check(kind, copy, l->namespace_name, &err);
    const char *namespace_name = resource_text_at(copy, "metadata.namespace");
    if (status == 0 && l->forced && kind->namespaced && namespace_name != NULL &&
        strcmp(namespace_name, l->namespace_name) != 0)
        status = error_field(&err, -EINVAL, "metadata.namespace",
                             "is \"%s\", but --namespace says \"%s\"", namespace_name,
                             l->namespace_name);
    if (status < 0)
        complain(l, file, err.field[0] != '\0' ? resource_line(d, err.field) : d->line, err.field,
                 "%s", err.message);
    else if (kind->namespaced && namespace_name != NULL)
        json_object_set_new(json_object_get(d->object, "metadata"), "namespace",
                            json_string(namespace_name));
    json_decref(copy);
    return status;
}

static struct manifest_item *new_item(struct manifest *m)
{
    if (m->count == m->cap) {
        size_t cap = m->cap > 0 ? 2 * m->cap : 16;
        struct manifest_item *items = realloc(m->items, cap * sizeof(*items));
        if (items == NULL)
            return NULL;
        m->items = items;
        m->cap = cap;
    }
    return &m->items[m->count];
}

int manifest_add(struct manifest *m, const char *file, const struct resource_kind *kind,
                 json_t *object)
{
    struct manifest_item *item = new_item(m);
    char *name = strdup(file);
    if (item == NULL || name == NULL) {
        free(name);
        return -ENOMEM;
    }
    const char *namespace_name = resource_text_at(object, "metadata.namespace");
    *item = (struct manifest_item){
        .file = name,
        .kind = kind,
        .object = json_incref(object),
        .name = resource_text_at(object, "metadata.name"),
        .namespace_name = kind->namespaced && namespace_name != NULL ? namespace_name : "",
    };
    m->count++;
    return 0;
}

static void add_document(struct loader *l, const char *file, const struct resource_document *d)
{
    const struct resource_kind *kind = kind_of(l, file, d);
    if (kind == NULL)
        return;
    struct error err = ERROR_INIT;
    if (kind == &resource_kind_function && !l->manifest->names_only &&
        embed_files(d->object, file, &err) < 0) {
        complain(l, file, resource_line(d, err.field), err.field, "%s", err.message);
        return;
    }
    if (check_document(l, file, d, kind) < 0)
        return;
    if (manifest_add(l->manifest, file, kind, d->object) < 0)
        complain_out_of_memory(l, file);
    else
        l->manifest->items[l->manifest->count - 1].line = d->line;
}

static void load_text(struct loader *l, const char *file, struct slice text)
{
    struct error err = ERROR_INIT;
    struct resource_document *documents = NULL;
    size_t count = 0;
    if (resource_parse(text, &documents, &count, &err) < 0) {
        complain(l, file, err.line, err.field, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < count; i++)
        add_document(l, file, &documents[i]);
    resource_documents_free(documents, count);
}

static void load_file(struct loader *l, const char *path)
{
    autobuf text = BUF_INIT;
    const char *readable = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
    int status = fdio_read_file(readable, RESOURCE_TEXT_MAX, &text);
    if (status == -EFBIG)
        complain(l, path, 0, "", "is larger than %u MiB", RESOURCE_TEXT_MAX >> 20);
    else if (status < 0)
        complain(l, path, 0, "", "cannot be read: %s", strerror(-status));
    else
        load_text(l, path, buf_slice(&text));
}

static int is_manifest(const struct dirent *entry)
{
    struct slice name = slice_text(entry->d_name);
    return entry->d_name[0] != '.' &&
           (slice_ends(name, ".yaml") || slice_ends(name, ".yml") || slice_ends(name, ".json"));
}

static void load_folder(struct loader *l, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_manifest, alphasort);
    if (count < 0)
        complain(l, path, 0, "", "cannot be listed: %s", strerror(errno));
    else if (count == 0)
        complain(l, path, 0, "", "has no .yaml, .yml or .json file in it");
    for (int i = 0; i < count; i++) {
        autobuf file = BUF_INIT;
        buf_printf(&file, "%s%s%s", path, slice_ends(slice_text(path), "/") ? "" : "/",
                   entries[i]->d_name);
        free(entries[i]);
        if (buf_ok(&file))
            load_file(l, file.ptr);
        else
            complain_out_of_memory(l, path);
    }
    free(entries);
}

void manifest_load(struct manifest *m, const char *path, const char *namespace_name, bool forced)
{
    struct loader l = {.manifest = m, .namespace_name = namespace_name, .forced = forced};
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        load_folder(&l, path);
    else
        load_file(&l, path);
}

void manifest_done(struct manifest *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i].file);
        json_decref(m->items[i].object);
    }
    free(m->items);
    *m = (struct manifest){0};
}

void manifest_sort(struct manifest *m)
{
    size_t front = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->items[i].kind != &resource_kind_namespace)
            continue;
        struct manifest_item item = m->items[i];
        memmove(&m->items[front + 1], &m->items[front], (i - front) * sizeof(item));
        m->items[front++] = item;
    }
}
