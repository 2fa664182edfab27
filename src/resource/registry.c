/* SPDX-License-Identifier: Apache-2.0 */
/* What is held: shelves of entries by kind, read from the store at start. */
#include "base/bytes.h"
#include "base/memory.h"
#include "base/must.h"
#include "resource/registry_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

size_t registry_kind_index(const struct resource_kind *kind)
{
    for (size_t i = 0; i < resource_kind_count; i++)
        if (resource_kinds[i] == kind)
            return i;
    unreachable_code();
}

static int order(const struct registry_entry *e, const char *namespace_name, const char *name)
{
    int by_namespace = strcmp(e->namespace_name, namespace_name);
    return by_namespace != 0 ? by_namespace : strcmp(e->name, name);
}

/* The first place whose entry is not before namespace and name. */
static size_t shelf_place(const struct registry_shelf *s, const char *namespace_name,
                          const char *name)
{
    size_t low = 0, high = s->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(s->entries[middle], namespace_name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct registry_entry *registry_entry_find(const struct registry *r,
                                           const struct resource_kind *kind,
                                           const char *namespace_name, const char *name)
{
    const struct registry_shelf *s = &r->shelves[registry_kind_index(kind)];
    size_t place = shelf_place(s, namespace_name, name);
    return place < s->len && order(s->entries[place], namespace_name, name) == 0 ? s->entries[place]
                                                                                 : NULL;
}

struct resource *registry_find(const struct registry *r, const struct resource_kind *kind,
                               const char *namespace_name, const char *name)
{
    struct registry_entry *e = registry_entry_find(r, kind, namespace_name, name);
    return e != NULL ? &e->resource : NULL;
}

int registry_each(const struct registry *r, const struct resource_kind *kind,
                  const char *namespace_name, int (*each)(void *ctx, struct resource *resource),
                  void *ctx)
{
    const struct registry_shelf *s = &r->shelves[registry_kind_index(kind)];
    size_t i = namespace_name != NULL ? shelf_place(s, namespace_name, "") : 0;
    for (; i < s->len; i++) {
        struct registry_entry *e = s->entries[i];
        if (namespace_name != NULL && strcmp(e->namespace_name, namespace_name) != 0)
            break;
        int status = each(ctx, &e->resource);
        if (status != 0)
            return status;
    }
    return 0;
}

uint64_t registry_version(const struct registry *r)
{
    return r->version;
}

static bool shelf_insert(struct registry_shelf *s, struct registry_entry *e)
{
    if (s->len == s->cap) {
        size_t cap = s->cap == 0 ? 16 : s->cap * 2;
        struct registry_entry **entries =
            reallocarray(s->entries, cap, sizeof(struct registry_entry *));
        if (entries == NULL)
            return false;
        s->entries = entries;
        s->cap = cap;
    }
    size_t place = shelf_place(s, e->namespace_name, e->name);
    memmove(&s->entries[place + 1], &s->entries[place],
            (s->len - place) * sizeof(struct registry_entry *));
    s->entries[place] = e;
    s->len++;
    return true;
}

struct registry_entry *registry_entry_add(struct registry *r, const struct resource_kind *kind,
                                          uint32_t number, json_t *object)
{
    struct registry_entry *e = calloc(1, sizeof(*e));
    const char *namespace_name =
        kind->namespaced ? resource_text_at(object, "metadata.namespace") : "";
    const char *name = resource_text_at(object, "metadata.name");
    if (e == NULL || namespace_name == NULL || name == NULL) {
        free(e);
        json_decref(object);
        return NULL;
    }
    e->namespace_name = strdup(namespace_name);
    e->name = strdup(name);
    e->resource = (struct resource){.kind = kind,
                                    .namespace_name = e->namespace_name,
                                    .name = e->name,
                                    .number = number,
                                    .object = object};
    if (e->namespace_name == NULL || e->name == NULL ||
        !shelf_insert(&r->shelves[registry_kind_index(kind)], e)) {
        registry_entry_free(e);
        return NULL;
    }
    r->count++;
    return e;
}

void registry_entry_remove(struct registry *r, struct registry_entry *e)
{
    struct registry_shelf *s = &r->shelves[registry_kind_index(e->resource.kind)];
    size_t place = shelf_place(s, e->namespace_name, e->name);
    must(place < s->len && s->entries[place] == e);
    memmove(&s->entries[place], &s->entries[place + 1],
            (s->len - place - 1) * sizeof(struct registry_entry *));
    s->len--;
    r->count--;
    r->bytes -= e->bytes;
}

void registry_entry_free(struct registry_entry *e)
{
    json_decref(e->resource.object);
    free(e->namespace_name);
    free(e->name);
    free(e);
}

int registry_observe(struct registry *r, const struct resource_kind *kind,
                     registry_observer_fn *observer, void *ctx)
{
    if (r->observer_count == REGISTRY_OBSERVERS_MAX)
        return -ENOSPC;
    r->observers[r->observer_count].kind = kind;
    r->observers[r->observer_count].observer = observer;
    r->observers[r->observer_count++].ctx = ctx;
    return 0;
}

void registry_extend(struct registry *r, const struct resource_kind *kind,
                     registry_extend_fn *extend, void *ctx)
{
    size_t i = registry_kind_index(kind);
    r->extensions[i].extend = extend;
    r->extensions[i].ctx = ctx;
}

void registry_notify(struct registry *r, enum registry_change change, struct registry_entry *e,
                     const json_t *before)
{
    for (size_t i = 0; i < r->observer_count; i++)
        if (r->observers[i].kind == NULL || r->observers[i].kind == e->resource.kind)
            r->observers[i].observer(r->observers[i].ctx, change, &e->resource, before);
}

void registry_key(const struct resource_kind *kind, const char *namespace_name, const char *name,
                  struct buf *out)
{
    buf_printf(out, "%s/%s/%s/%s", kind->group, kind->kind, namespace_name, name);
}

void registry_describe(const struct resource_kind *kind, const char *name, struct buf *out)
{
    buf_printf(out, "%s%s%s \"%s\"", kind->plural, *kind->group != '\0' ? "." : "", kind->group,
               name);
}

/* ---- loading ---- */

static const struct resource_kind *kind_of_key(struct slice key)
{
    for (size_t i = 0; i < resource_kind_count; i++) {
        const struct resource_kind *k = resource_kinds[i];
        autobuf prefix = BUF_INIT;
        buf_printf(&prefix, "%s/%s/", k->group, k->kind);
        if (buf_ok(&prefix) && slice_starts(key, prefix.ptr))
            return k;
    }
    return NULL;
}

static int load_row(struct registry *r, struct slice key, struct slice value, uint64_t position,
                    struct error *err)
{
    const struct resource_kind *kind = kind_of_key(key);
    if (kind == NULL)
        return error_set(err, -ENOTSUP,
                         "the stored resource " SLICE_FMT
                         " has a kind that this version does not know: a newer one wrote it",
                         SLICE_ARG(key));
    if (value.len < REGISTRY_VALUE_HEADER || value.ptr[0] != REGISTRY_VALUE_FORMAT)
        return error_set(err, -EBADMSG, "the stored resource " SLICE_FMT " cannot be read",
                         SLICE_ARG(key));
    json_error_t problem;
    json_t *object = json_loadb(value.ptr + REGISTRY_VALUE_HEADER,
                                value.len - REGISTRY_VALUE_HEADER, 0, &problem);
    if (object == NULL)
        return error_set(err, -EBADMSG, "the stored resource " SLICE_FMT " is no JSON: %s",
                         SLICE_ARG(key), problem.text);
    uint32_t number = bytes_le32(value.ptr + 4);
    struct registry_entry *e = registry_set_version(object, position) == 0
                                   ? registry_entry_add(r, kind, number, object)
                                   : NULL;
    if (e == NULL)
        return error_set(err, -ENOMEM,
                         "the stored resource " SLICE_FMT " has no name, or no memory is left",
                         SLICE_ARG(key));
    e->resource.version = position;
    e->bytes = value.len - REGISTRY_VALUE_HEADER;
    r->bytes += e->bytes;
    r->version = position > r->version ? position : r->version;
    r->next_number = number >= r->next_number ? number + 1 : r->next_number;
    return 0;
}

static int load_rows(struct registry *r, struct error *err)
{
    struct store_scan *scan =
        store_scan_new(r->store, STORE_TABLE_RESOURCES, SLICE(""), slice_of(NULL, 0));
    if (scan == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct slice key, value;
    uint64_t position;
    int status = 0;
    while (status == 0 && store_scan_next(scan, &key, &value, &position) == 1)
        status = load_row(r, key, value, position, err);
    store_scan_free(scan);
    return status;
}

static void load_next_number(struct registry *r)
{
    autobuf value = BUF_INIT;
    if (store_get(r->store, STORE_TABLE_NUMBERS, REGISTRY_NUMBER_KEY, &value, NULL) == 0 &&
        value.len == 4)
        r->next_number = bytes_le32(value.ptr);
}

static int notify_added(void *ctx, struct resource *resource)
{
    registry_notify(ctx, REGISTRY_ADDED, container_of(resource, struct registry_entry, resource),
                    NULL);
    return 0;
}

static void ensure_default_namespace(struct registry *r)
{
    if (registry_find(r, &resource_kind_namespace, "", REGISTRY_DEFAULT) != NULL)
        return;
    json_t *object = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
                               "metadata", "name", REGISTRY_DEFAULT);
    registry_create(r, &resource_kind_namespace, object, NULL, NULL);
    json_decref(object);
}

int registry_load(struct registry *r, struct error *err)
{
    must(resource_kind_count <= REGISTRY_KINDS_MAX);
    load_next_number(r);
    uint64_t synced = store_synced(r->store);
    int status = load_rows(r, err);
    if (status < 0)
        return status;
    uint64_t version = synced > r->version ? synced : r->version;
    r->version = 0; /* observers can tell loading from changes */
    for (size_t i = 0; i < resource_kind_count; i++)
        registry_each(r, resource_kinds[i], NULL, notify_added, r);
    r->version = version;
    ensure_default_namespace(r);
    return 0;
}
