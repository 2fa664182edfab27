/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB, which holds the tables as of the last checkpoint. One database; keys are a table number in
 * one byte and the row's key, values the position of the PUT in 8 bytes and the row's value. Table
 * 0 is the store's own. */
#ifndef SLUICE_STORE_TABLE_H
#define SLUICE_STORE_TABLE_H

#include "store/overlay.h"
#include "store/store.h"

struct table;
struct table_cursor;

struct table_state {
    uint64_t checkpoint; /* replay begins after it */
    uint64_t epoch;      /* of the last start */
    uint64_t begin;      /* first position of that epoch: what is there of an older one is void */
    uint64_t synced;     /* positions known to be on disk */
};

/* map_bytes: store_options.map_bytes. */
int table_open(const char *dir, uint64_t map_bytes, struct table **ret, struct error *err);
void table_close(struct table *t);
int table_state(struct table *t, struct table_state *ret);

/* One durable transaction: rows of the overlay (may be NULL), the records in the group (NULL: none;
 * they count as of state->checkpoint and give way to newer rows of the overlay), and the state. */
int table_write(struct table *t, const struct overlay *o, const struct store_group *rows,
                const struct table_state *state);

/* 0 or -ENOENT, or another error of reading. */
int table_get(struct table *t, struct slice key, struct buf *out, uint64_t *ret_position);

/* A snapshot of now. NULL: out of memory or of readers. Freed on the same thread. */
struct table_cursor *table_cursor_new(struct table *t, struct slice from);
void table_cursor_free(struct table_cursor *c);
/* The row that the cursor stands on; false at the end. Valid until the cursor is freed. */
bool table_cursor_row(const struct table_cursor *c, struct slice *ret_key, struct slice *ret_value,
                      uint64_t *ret_position);
void table_cursor_next(struct table_cursor *c);

#endif
