/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that no table declares: found, named with what was probably meant, and taken out. */
#include "resource/resource_internal.h"

struct unknown_walk {
    const struct resource_kind *kind;
    struct field_walk at;
    bool remove;
    resource_unknown_fn *each;
    void *ctx;
};

static int walk_object(struct unknown_walk *w, json_t *object);

static int report(struct unknown_walk *w, struct slice parent_table, const char *key)
{
    struct nearest n;
    nearest_begin(&n, slice_text(key));
    const struct resource_field *f;
    struct slice name;
    for (size_t i = 0; (f = resource_field_at(w->kind, i)) != NULL; i++)
        if (field_is_child(f, parent_table, &name))
            nearest_offer(&n, name);
    char best[64] = "";
    if (n.best.len < sizeof(best))
        memcpy(best, n.best.ptr, n.best.len);
    return w->each(w->ctx, w->at.full.ptr, best);
}

static int walk_value(struct unknown_walk *w, const struct resource_field *f, json_t *value)
{
    if (f->type == RESOURCE_OBJECT && json_is_object(value))
        return walk_object(w, value);
    if (f->type != RESOURCE_LIST)
        return 0;
    size_t index;
    json_t *item;
    json_array_foreach(value, index, item)
    {
        struct field_mark mark = field_walk_enter_item(&w->at, index);
        const struct resource_field *items = resource_field_find(w->kind, buf_slice(&w->at.table));
        int status = items != NULL ? walk_value(w, items, item) : 0;
        field_walk_leave(&w->at, mark);
        if (status != 0)
            return status;
    }
    return 0;
}

static int walk_object(struct unknown_walk *w, json_t *object)
{
    const char *key;
    json_t *value;
    void *following;
    json_object_foreach_safe(object, following, key, value)
    {
        struct field_mark mark = field_walk_enter(&w->at, key);
        if (!buf_ok(&w->at.full) || !buf_ok(&w->at.table))
            return 0; /* out of memory: resource_check() will say so */
        const struct resource_field *f = strpbrk(key, ".[") == NULL
                                             ? resource_field_find(w->kind, buf_slice(&w->at.table))
                                             : NULL;
        int status = f != NULL ? walk_value(w, f, value)
                               : report(w, slice_of(w->at.table.ptr, mark.table), key);
        field_walk_leave(&w->at, mark);
        if (status != 0)
            return status;
        if (f == NULL && w->remove)
            json_object_del(object, key);
    }
    return 0;
}

int resource_each_unknown(const struct resource_kind *kind, json_t *object, bool remove,
                          resource_unknown_fn *each, void *ctx)
{
    struct unknown_walk w = {
        .kind = kind, .at = {BUF_INIT, BUF_INIT}, .remove = remove, .each = each, .ctx = ctx};
    int status = walk_object(&w, object);
    field_walk_done(&w.at);
    return status;
}
