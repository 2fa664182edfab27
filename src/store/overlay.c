/* SPDX-License-Identifier: Apache-2.0 */
/* A skip list. Rows are allocated before the log is written and only linked after the sync, so that
 * an acknowledged change cannot fail for want of memory. */
#include "store/overlay.h"

#include "base/must.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HEIGHT_MAX 16

struct overlay {
    atomic_uint refs;
    uint64_t rows, bytes;
    struct overlay_row *head[HEIGHT_MAX];
};

static size_t row_bytes(const struct overlay_row *r)
{
    return sizeof(*r) + r->height * sizeof(r->next[0]) + r->key_len + r->value_len;
}

struct overlay *overlay_new(void)
{
    struct overlay *o = calloc(1, sizeof(*o));
    if (o != NULL)
        atomic_init(&o->refs, 1);
    return o;
}

struct overlay *overlay_ref(struct overlay *o)
{
    if (o != NULL)
        atomic_fetch_add(&o->refs, 1);
    return o;
}

void overlay_unref(struct overlay *o)
{
    if (o == NULL || atomic_fetch_sub(&o->refs, 1) > 1)
        return;
    struct overlay_row *next;
    for (struct overlay_row *r = o->head[0]; r != NULL; r = next) {
        next = r->next[0];
        free(r);
    }
    free(o);
}

/* One level more with a chance of 1/4. Heights only affect speed, so a weak generator will do. */
static uint8_t random_height(void)
{
    static _Thread_local uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    uint64_t bits = state;
    uint8_t height = 1;
    while (height < HEIGHT_MAX && (bits & 3) == 0) {
        height++;
        bits >>= 2;
    }
    return height;
}

struct overlay_row *overlay_row_new(uint8_t table, struct slice key, struct slice value,
                                    bool deleted)
{
    uint8_t height = random_height();
    struct overlay_row *r =
        malloc(sizeof(*r) + height * sizeof(r->next[0]) + 1 + key.len + value.len);
    if (r == NULL)
        return NULL;
    *r = (struct overlay_row){.value_len = (uint32_t)value.len,
                              .key_len = (uint16_t)(key.len + 1),
                              .height = height,
                              .deleted = deleted};
    memset(r->next, 0, height * sizeof(r->next[0]));
    char *at = (char *)&r->next[height];
    *at++ = (char)table;
    if (key.len > 0)
        memcpy(at, key.ptr, key.len);
    if (value.len > 0)
        memcpy(at + key.len, value.ptr, value.len);
    return r;
}

/* The links that lead to the first row with a key >= key, one a level. */
static void find_links(struct overlay *o, struct slice key, struct overlay_row **links[HEIGHT_MAX])
{
    struct overlay_row **level = o->head;
    for (int i = HEIGHT_MAX - 1; i >= 0; i--) {
        while (level[i] != NULL && slice_compare(overlay_key(level[i]), key) < 0)
            level = level[i]->next;
        links[i] = &level[i];
    }
}

static void unlink_row(struct overlay *o, struct overlay_row *row,
                       struct overlay_row **links[HEIGHT_MAX])
{
    for (uint8_t i = 0; i < row->height; i++) {
        must(*links[i] == row);
        *links[i] = row->next[i];
    }
    o->rows--;
    o->bytes -= row_bytes(row);
    free(row);
}

void overlay_insert(struct overlay *o, struct overlay_row *row)
{
    struct overlay_row **links[HEIGHT_MAX];
    find_links(o, overlay_key(row), links);
    struct overlay_row *old = *links[0];
    if (old != NULL && slice_equal(overlay_key(old), overlay_key(row)))
        unlink_row(o, old, links);
    for (uint8_t i = 0; i < row->height; i++) {
        row->next[i] = *links[i];
        *links[i] = row;
    }
    o->rows++;
    o->bytes += row_bytes(row);
}

void overlay_sweep(struct overlay *o, uint64_t position)
{
    struct overlay_row **links[HEIGHT_MAX];
    struct overlay_row *next;
    for (struct overlay_row *r = o->head[0]; r != NULL; r = next) {
        next = r->next[0];
        if (!r->deleted || r->position > position)
            continue;
        find_links(o, overlay_key(r), links);
        unlink_row(o, r, links);
    }
}

const struct overlay_row *overlay_seek(const struct overlay *o, struct slice key, bool after)
{
    struct overlay_row *const *level = o->head;
    for (int i = HEIGHT_MAX - 1; i >= 0; i--) {
        while (level[i] != NULL && slice_compare(overlay_key(level[i]), key) < (after ? 1 : 0))
            level = level[i]->next;
    }
    return level[0];
}

const struct overlay_row *overlay_find(const struct overlay *o, struct slice key)
{
    const struct overlay_row *r = overlay_seek(o, key, false);
    return r != NULL && slice_equal(overlay_key(r), key) ? r : NULL;
}

uint64_t overlay_rows(const struct overlay *o)
{
    return o->rows;
}

uint64_t overlay_bytes(const struct overlay *o)
{
    return o->bytes;
}
