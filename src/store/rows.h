/* SPDX-License-Identifier: Apache-2.0 */
/* The tables as readers see them: the overlay over what was checkpointed. */
#ifndef SLUICE_STORE_ROWS_H
#define SLUICE_STORE_ROWS_H

#include "store/overlay.h"
#include "store/store.h"

#include <pthread.h>

struct table;
struct log_group;

/* Lookups go active, frozen, table. The lock guards the pointers and the active overlay; the frozen
 * one does not change. */
struct rows {
    pthread_rwlock_t lock;
    struct overlay *active;
    struct overlay *frozen; /* being written by a checkpoint; else NULL */
    struct table *table;    /* NULL in the memory twin */
};

int rows_init(struct rows *r);
void rows_done(struct rows *r);

/* Makes rows of the group's PUT and DELETE records: g->rows, in order, linked by next[0]. -ENOMEM.
 */
int rows_prepare(struct log_group *g);
void rows_discard(struct log_group *g);
/* Puts the prepared rows in; g->position is known by now. Cannot fail. */
void rows_apply(struct rows *r, struct log_group *g);
/* The same for one record, while replaying. -ENOMEM. */
int rows_replay(struct rows *r, const struct store_entry *e);

/* The same, unless there is a newer row. */
int rows_merge(struct rows *r, const struct store_entry *e);

/* Memory twin: forgets deletions up to that position. */
void rows_sweep(struct rows *r, uint64_t position);

int rows_get(struct rows *r, enum store_table t, struct slice key, struct buf *out,
             uint64_t *ret_position);
struct store_scan *rows_scan_new(struct rows *r, enum store_table t, struct slice from,
                                 struct slice to);

/* Sets the active overlay aside and begins a new one. -ENOMEM, -EALREADY. */
int rows_freeze(struct rows *r);
/* The checkpoint holds the frozen overlay: forget it. */
void rows_drop_frozen(struct rows *r);
/* The checkpoint failed: put the frozen rows back under the active ones. -ENOMEM: they stay frozen.
 */
int rows_thaw(struct rows *r);
void rows_size(struct rows *r, uint64_t *ret_rows, uint64_t *ret_bytes);

#endif
