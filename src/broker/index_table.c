/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/index_table.h"

#include "base/memory.h"

#include <errno.h>

/* The conditions on values of attributes, by name: each attribute has one. */
static size_t values_of(const struct index_path *path, const struct need **ret)
{
    size_t count = 0;
    for (unsigned i = 0; i < path->count; i++) {
        if (!index_is_value(path->conditions[i]))
            continue;
        size_t at = count++;
        for (; at > 0 && slice_compare(ret[at - 1]->name, path->conditions[i]->name) > 0; at--)
            ret[at] = ret[at - 1];
        ret[at] = path->conditions[i];
    }
    return count;
}

static size_t conditions_of(const struct index_path *path, const struct need *one,
                            const struct need *ret[INDEX_CONDITIONS_MAX])
{
    if (one == NULL)
        return values_of(path, ret);
    ret[0] = one;
    return 1;
}

struct index_table *index_table_new(enum index_table_kind kind, const struct index_path *path,
                                    const struct need *one)
{
    const struct need *conditions[INDEX_CONDITIONS_MAX];
    size_t count = conditions_of(path, one, conditions);
    struct index_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->kind = kind;
    t->names = calloc(count + 1, sizeof(*t->names));
    for (; t->names != NULL && t->count < count; t->count++) {
        struct index_name *n = &t->names[t->count];
        *n = (struct index_name){slice_dup(conditions[t->count]->name),
                                 conditions[t->count]->name.len,
                                 conditions[t->count]->kind != NEED_PRESENT};
        t->exact += n->exact;
        if (n->text == NULL)
            break;
    }
    if (t->names == NULL || t->count < count) {
        index_table_free(t);
        return NULL;
    }
    return t;
}

void index_table_free(struct index_table *t)
{
    size_t at = 0;
    void *value;
    while (map_next(&t->buckets, &at, NULL, &value)) {
        struct index_bucket *b = value;
        free(b->groups);
        free(b);
    }
    map_done(&t->buckets);
    for (size_t i = 0; i < t->count; i++)
        free(t->names[i].text);
    free(t->names);
    free(t->lengths);
    free(t);
}

static struct slice name_of(const struct index_name *n)
{
    return slice_of(n->text, n->len);
}

bool index_table_fits(const struct index_table *t, enum index_table_kind kind,
                      const struct index_path *path, const struct need *one)
{
    const struct need *conditions[INDEX_CONDITIONS_MAX];
    if (t->kind != kind || t->count != conditions_of(path, one, conditions))
        return false;
    for (size_t i = 0; i < t->count; i++)
        if (t->names[i].exact != (conditions[i]->kind != NEED_PRESENT) ||
            !slice_equal(name_of(&t->names[i]), conditions[i]->name))
            return false;
    return true;
}

/* One value is the key as it stands; of several, each has its length in front, so that ("a", "bc")
 * is not ("ab", "c"). */
static void key_add(struct buf *key, struct slice value)
{
    buf_add_u32(key, (uint32_t)value.len);
    buf_add_slice(key, value);
}

static struct slice key_slice(const struct buf *key)
{
    return slice_of(key->len > 0 ? key->ptr : "", key->len);
}

struct slice index_table_key(const struct index_path *path, const struct need *one,
                             struct buf *room)
{
    const struct need *conditions[INDEX_CONDITIONS_MAX], *only = NULL;
    size_t count = conditions_of(path, one, conditions), exact = 0;
    for (size_t i = 0; i < count; i++) {
        if (conditions[i]->kind != NEED_PRESENT) {
            only = conditions[i];
            exact++;
        }
    }
    buf_reset(room); /* also forgets that it failed once */
    if (exact == 1)
        return only->value;
    for (size_t i = 0; i < count; i++)
        if (conditions[i]->kind != NEED_PRESENT)
            key_add(room, conditions[i]->value);
    return key_slice(room);
}

struct index_bucket *index_table_find(const struct index_table *t, struct slice key)
{
    return map_get(&t->buckets, key);
}

/* ---- lengths of prefixes and suffixes ---- */

static size_t length_at(const struct index_table *t, size_t len)
{
    size_t at = 0;
    while (at < t->length_count && t->lengths[at].len < len)
        at++;
    return at;
}

static int length_add(struct index_table *t, size_t len)
{
    size_t at = length_at(t, len);
    if (at == t->length_count || t->lengths[at].len != len) {
        struct index_length *grown = realloc(t->lengths, (t->length_count + 1) * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        t->lengths = grown;
        memmove(&grown[at + 1], &grown[at], (t->length_count - at) * sizeof(*grown));
        grown[at] = (struct index_length){len, 0};
        t->length_count++;
    }
    t->lengths[at].keys++;
    return 0;
}

static void length_remove(struct index_table *t, size_t len)
{
    size_t at = length_at(t, len);
    if (--t->lengths[at].keys > 0)
        return;
    t->length_count--;
    memmove(&t->lengths[at], &t->lengths[at + 1], (t->length_count - at) * sizeof(*t->lengths));
}

/* ---- buckets ---- */

static struct index_bucket *bucket_add(struct index_table *t, struct slice key)
{
    struct index_bucket *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return NULL;
    b->table = t;
    if (t->kind != INDEX_VALUES && length_add(t, key.len) < 0) {
        free(b);
        return NULL;
    }
    if (map_put(&t->buckets, key, b) < 0) {
        if (t->kind != INDEX_VALUES)
            length_remove(t, key.len);
        free(b);
        return NULL;
    }
    return b;
}

static void bucket_drop(struct index_table *t, struct slice key)
{
    struct index_bucket *b = map_remove(&t->buckets, key);
    if (t->kind != INDEX_VALUES)
        length_remove(t, key.len);
    free(b->groups);
    free(b);
}

int index_table_add(struct index_table *t, struct slice key, struct index_group *g)
{
    struct index_bucket *b = index_table_find(t, key);
    if (b == NULL && (b = bucket_add(t, key)) == NULL)
        return -ENOMEM;
    if (b->count == b->cap) {
        size_t cap = b->cap == 0 ? 1 : b->cap * 2;
        struct index_group **grown = realloc(b->groups, cap * sizeof(*grown));
        if (grown == NULL) {
            if (b->count == 0)
                bucket_drop(t, key);
            return -ENOMEM;
        }
        b->groups = grown;
        b->cap = cap;
    }
    b->groups[b->count++] = g;
    return 0;
}

void index_table_remove(struct index_table *t, struct slice key, const struct index_group *g)
{
    struct index_bucket *b = index_table_find(t, key);
    for (size_t i = 0; b != NULL && i < b->count; i++) {
        if (b->groups[i] == g) {
            b->groups[i] = b->groups[--b->count];
            break;
        }
    }
    if (b != NULL && b->count == 0)
        bucket_drop(t, key);
}

/* ---- an event ---- */

/* False when the event lacks one of the attributes. */
static bool event_key(const struct index_table *t, const struct event *e, struct slice first,
                      struct buf *room, struct slice *ret)
{
    struct slice only = SLICE("");
    buf_reset(room);
    for (size_t i = 0; i < t->count; i++) {
        struct slice value = i == 0 ? first : event_value(e, name_of(&t->names[i]));
        if (value.ptr == NULL)
            return false;
        if (!t->names[i].exact)
            continue;
        only = value;
        if (t->exact > 1)
            key_add(room, value);
    }
    *ret = t->exact == 1 ? only : key_slice(room);
    return buf_ok(room);
}

void index_table_match(const struct index_table *t, const struct event *e, struct slice value,
                       struct buf *room, void (*each)(void *ctx, const struct index_bucket *b),
                       void *ctx)
{
    struct slice key;
    const struct index_bucket *b;
    if (t->kind == INDEX_VALUES) {
        if (event_key(t, e, value, room, &key) && (b = index_table_find(t, key)) != NULL)
            each(ctx, b);
        return;
    }
    for (size_t i = 0; i < t->length_count && t->lengths[i].len <= value.len; i++) {
        size_t len = t->lengths[i].len;
        size_t from = t->kind == INDEX_SUFFIXES ? value.len - len : 0;
        if ((b = index_table_find(t, slice_of(value.ptr + from, len))) != NULL)
            each(ctx, b);
    }
}
