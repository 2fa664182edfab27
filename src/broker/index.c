/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/index.h"

#include "base/map.h"
#include "base/memory.h"

#include <errno.h>

struct shape_name {
    char *name;
    bool exact; /* the value is part of the key */
};

/* Items with the same key. */
struct bucket {
    void **items;
    size_t count, cap;
};

struct index_shape {
    struct shape_name *names;
    size_t count;
    struct map buckets; /* key → struct bucket */
};

static void shape_free(struct index_shape *s)
{
    size_t at = 0;
    void *value;
    while (map_next(&s->buckets, &at, NULL, &value)) {
        struct bucket *b = value;
        free(b->items);
        free(b);
    }
    map_done(&s->buckets);
    for (size_t i = 0; i < s->count; i++)
        free(s->names[i].name);
    free(s->names);
    free(s);
}

void index_done(struct index *x)
{
    for (size_t i = 0; i < x->count; i++)
        shape_free(x->shapes[i]);
    free(x->shapes);
    buf_done(&x->key);
    *x = (struct index){0};
}

static bool shape_fits(const struct index_shape *s, const struct filter *f)
{
    if (s->count != f->count)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->names[i].name, f->requirements[i].name) != 0 ||
            s->names[i].exact != (f->requirements[i].value != NULL))
            return false;
    return true;
}

static struct index_shape *shape_new(const struct filter *f)
{
    struct index_shape *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->names = calloc(f->count > 0 ? f->count : 1, sizeof(*s->names));
    if (s->names == NULL) {
        free(s);
        return NULL;
    }
    for (; s->count < f->count; s->count++) {
        s->names[s->count].name = strdup(f->requirements[s->count].name);
        s->names[s->count].exact = f->requirements[s->count].value != NULL;
        if (s->names[s->count].name == NULL) {
            shape_free(s);
            return NULL;
        }
    }
    return s;
}

static struct index_shape *shape_find(const struct index *x, const struct filter *f)
{
    for (size_t i = 0; i < x->count; i++)
        if (shape_fits(x->shapes[i], f))
            return x->shapes[i];
    return NULL;
}

static struct index_shape *shape_add(struct index *x, const struct filter *f)
{
    struct index_shape **grown = realloc(x->shapes, (x->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    x->shapes = grown;
    struct index_shape *s = shape_new(f);
    if (s != NULL)
        x->shapes[x->count++] = s;
    return s;
}

static void key_add(struct buf *key, struct slice value)
{
    buf_add_u32(key, (uint32_t)value.len); /* so that ("a", "bc") is not ("ab", "c") */
    buf_add_slice(key, value);
}

static void key_of_filter(const struct filter *f, struct buf *key)
{
    buf_reset(key);
    for (size_t i = 0; i < f->count; i++)
        if (f->requirements[i].value != NULL)
            key_add(key, slice_text(f->requirements[i].value));
}

/* False when the event lacks one of the shape's attributes. */
static bool key_of_event(const struct index_shape *s, const struct event *e, struct buf *key)
{
    buf_reset(key);
    for (size_t i = 0; i < s->count; i++) {
        struct slice value = event_get(e, s->names[i].name);
        if (value.ptr == NULL)
            return false;
        if (s->names[i].exact)
            key_add(key, value);
    }
    return buf_ok(key);
}

static struct slice key_slice(const struct buf *key)
{
    return slice_of(key->len > 0 ? key->ptr : "", key->len);
}

int index_add(struct index *x, const struct filter *f, void *item)
{
    struct index_shape *s = shape_find(x, f);
    if (s == NULL && (s = shape_add(x, f)) == NULL)
        return -ENOMEM;
    key_of_filter(f, &x->key);
    if (!buf_ok(&x->key))
        return -ENOMEM;
    struct bucket *b = map_get(&s->buckets, key_slice(&x->key));
    if (b == NULL) {
        b = calloc(1, sizeof(*b));
        if (b == NULL || map_put(&s->buckets, key_slice(&x->key), b) < 0) {
            free(b);
            return -ENOMEM;
        }
    }
    if (b->count == b->cap) {
        size_t cap = b->cap == 0 ? 2 : b->cap * 2;
        void **grown = realloc(b->items, cap * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        b->items = grown;
        b->cap = cap;
    }
    b->items[b->count++] = item;
    return 0;
}

static void shape_drop_if_empty(struct index *x, struct index_shape *s)
{
    if (s->buckets.len > 0)
        return;
    for (size_t i = 0; i < x->count; i++) {
        if (x->shapes[i] == s) {
            x->shapes[i] = x->shapes[--x->count];
            shape_free(s);
            return;
        }
    }
}

void index_remove(struct index *x, const struct filter *f, void *item)
{
    struct index_shape *s = shape_find(x, f);
    if (s == NULL)
        return;
    key_of_filter(f, &x->key);
    struct bucket *b = map_get(&s->buckets, key_slice(&x->key));
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i] == item) {
            b->items[i] = b->items[--b->count];
            break;
        }
    }
    if (b->count == 0) {
        map_remove(&s->buckets, key_slice(&x->key));
        free(b->items);
        free(b);
        shape_drop_if_empty(x, s);
    }
}

void index_match(struct index *x, const struct event *e, void (*each)(void *ctx, void *item),
                 void *ctx)
{
    for (size_t i = 0; i < x->count; i++) {
        if (!key_of_event(x->shapes[i], e, &x->key))
            continue;
        struct bucket *b = map_get(&x->shapes[i]->buckets, key_slice(&x->key));
        for (size_t k = 0; b != NULL && k < b->count; k++)
            each(ctx, b->items[k]);
    }
}
