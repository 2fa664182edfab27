/* SPDX-License-Identifier: Apache-2.0 */
/* The field tables: what every kind has, walking them beside an object, and values by path. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "base/must.h"
#include "resource/resource_internal.h"

#include <stdlib.h>

static const struct resource_field common_fields[] = {
    {"apiVersion", RESOURCE_STRING, .required = true, .help = "group/version of the kind"},
    {"kind", RESOURCE_STRING, .required = true, .help = "name of the kind"},
    {"metadata", RESOURCE_OBJECT, .required = true, .help = "name, namespace, labels"},
    {"metadata.name", RESOURCE_STRING, .max = 253, .help = "name, unique in kind and namespace"},
    {"metadata.generateName", RESOURCE_STRING, .max = 248,
     .help = "beginning of a name that is completed at random"},
    {"metadata.namespace", RESOURCE_STRING, .max = 63, .help = "namespace of the object"},
    {"metadata.labels", RESOURCE_STRING_MAP, .max = 1000, .help = "labels, for selectors"},
    {"metadata.annotations", RESOURCE_STRING_MAP, .max = 1000, .help = "notes of tools"},
    {"metadata.uid", RESOURCE_STRING, .max = 64, .help = "identity; given at creation"},
    {"metadata.resourceVersion", RESOURCE_STRING, .max = 20,
     .help = "position of the last write; given back, a write fails when it is not the last"},
    {"metadata.generation", RESOURCE_INTEGER, .help = "counts changes of spec"},
    {"metadata.creationTimestamp", RESOURCE_STRING, .max = 64, .help = "when it was created"},
    {"metadata.deletionTimestamp", RESOURCE_STRING, .max = 64, .help = "taken, and not used"},
    {"metadata.deletionGracePeriodSeconds", RESOURCE_INTEGER, .help = "taken, and not used"},
    {"metadata.selfLink", RESOURCE_STRING, .max = 1024, .help = "taken, and dropped"},
    {"metadata.finalizers", RESOURCE_LIST, .max = 100, .help = "kept, and not waited for"},
    {"metadata.finalizers[]", RESOURCE_STRING, .max = 317, .help = "name of a finalizer"},
    {"metadata.ownerReferences", RESOURCE_LIST, .max = 100, .help = "kept, and not acted on"},
    {"metadata.ownerReferences[]", RESOURCE_ANY, .help = "an owner"},
    {"metadata.managedFields", RESOURCE_LIST, .help = "taken, and dropped"},
    {"metadata.managedFields[]", RESOURCE_ANY, .help = "fields of one manager"},
    {"status", RESOURCE_ANY, .help = "what the broker observed; ignored in writes"},
};

const struct resource_field *resource_field_at(const struct resource_kind *kind, size_t index)
{
    if (index < COUNT_OF(common_fields))
        return &common_fields[index];
    index -= COUNT_OF(common_fields);
    return index < kind->field_count ? &kind->fields[index] : NULL;
}

const struct resource_field *resource_field_find(const struct resource_kind *kind,
                                                 struct slice table_path)
{
    const struct resource_field *f;
    for (size_t i = 0; (f = resource_field_at(kind, i)) != NULL; i++)
        if (slice_is(table_path, f->path))
            return f;
    return NULL;
}

bool field_is_child(const struct resource_field *f, struct slice table_path, struct slice *ret_name)
{
    must(f->path != NULL);
    struct slice path = slice_text(f->path);
    size_t skip = 0;
    if (table_path.len > 0) {
        skip = table_path.len + 1;
        if (path.len <= skip || path.ptr[table_path.len] != '.' ||
            memcmp(path.ptr, table_path.ptr, table_path.len) != 0)
            return false;
    }
    struct slice name = slice_of(path.ptr + skip, path.len - skip);
    if (memchr(name.ptr, '.', name.len) != NULL || slice_ends(name, "[]"))
        return false;
    *ret_name = name;
    return true;
}

void field_walk_done(struct field_walk *w)
{
    buf_done(&w->full);
    buf_done(&w->table);
}

struct field_mark field_walk_enter(struct field_walk *w, const char *key)
{
    struct field_mark mark = {w->full.len, w->table.len};
    if (mark.full > 0) {
        buf_add_byte(&w->full, '.');
        buf_add_byte(&w->table, '.');
    }
    buf_add_text(&w->full, key);
    buf_add_text(&w->table, key);
    return mark;
}

struct field_mark field_walk_enter_item(struct field_walk *w, size_t index)
{
    struct field_mark mark = {w->full.len, w->table.len};
    buf_printf(&w->full, "[%zu]", index);
    buf_add_text(&w->table, "[]");
    return mark;
}

static void truncate_to(struct buf *b, size_t len)
{
    if (!buf_ok(b) || b->ptr == NULL)
        return;
    b->len = len;
    b->ptr[len] = '\0';
}

void field_walk_leave(struct field_walk *w, struct field_mark mark)
{
    truncate_to(&w->full, mark.full);
    truncate_to(&w->table, mark.table);
}

json_t *resource_at(const json_t *object, const char *path)
{
    const json_t *at = object;
    while (at != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        at = json_object_getn(at, path, len);
        path += len + (path[len] == '.');
    }
    return (json_t *)(uintptr_t)at;
}

const char *resource_text_at(const json_t *object, const char *path)
{
    return json_string_value(resource_at(object, path));
}

uint64_t resource_duration_at(const json_t *object, const char *path, uint64_t fallback)
{
    const char *text = resource_text_at(object, path);
    uint64_t ns;
    return text != NULL && clock_parse_duration(slice_text(text), &ns) == 0 ? ns : fallback;
}

uint64_t resource_bytes_at(const json_t *object, const char *path, uint64_t fallback)
{
    const json_t *value = resource_at(object, path);
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return (uint64_t)json_integer_value(value);
    uint64_t bytes;
    const char *text = json_string_value(value);
    return text != NULL && encoding_parse_bytes(slice_text(text), &bytes) == 0 ? bytes : fallback;
}

int64_t resource_integer_at(const json_t *object, const char *path, int64_t fallback)
{
    const json_t *value = resource_at(object, path);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}
