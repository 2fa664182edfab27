/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered map in memory: what the log says about the tables since the last checkpoint. Keys are
 * a table number in one byte and the row's key. Not thread-safe: rows.c locks. */
#ifndef SLUICE_STORE_OVERLAY_H
#define SLUICE_STORE_OVERLAY_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct overlay;

struct overlay_row {
    uint64_t position;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t height;
    bool deleted;
    struct overlay_row *next[]; /* then key, then value */
};

static inline struct slice overlay_key(const struct overlay_row *r)
{
    return slice_of((const char *)&r->next[r->height], r->key_len);
}

static inline struct slice overlay_value(const struct overlay_row *r)
{
    return slice_of((const char *)&r->next[r->height] + r->key_len, r->value_len);
}

struct overlay *overlay_new(void);
struct overlay *overlay_ref(struct overlay *o);
void overlay_unref(struct overlay *o);

/* A row that is in no overlay yet; NULL when out of memory. Its next[0] is the caller's until it is
 * inserted. */
struct overlay_row *overlay_row_new(uint8_t table, struct slice key, struct slice value,
                                    bool deleted);
/* Puts it in, in place of a row of the same key. Cannot fail. */
void overlay_insert(struct overlay *o, struct overlay_row *row);
/* NULL when there is none. */
const struct overlay_row *overlay_find(const struct overlay *o, struct slice key);
/* The first row whose key is >= key, or > key when after. NULL: none. */
const struct overlay_row *overlay_seek(const struct overlay *o, struct slice key, bool after);
static inline const struct overlay_row *overlay_next(const struct overlay_row *r)
{
    return r->next[0];
}
/* Forgets deletions up to that position: for an overlay that has nothing under it. */
void overlay_sweep(struct overlay *o, uint64_t position);
uint64_t overlay_rows(const struct overlay *o);
uint64_t overlay_bytes(const struct overlay *o);

#endif
