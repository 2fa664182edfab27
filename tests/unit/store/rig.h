/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's tests share: a store in a fresh folder or in memory, and appends that wait. */
#ifndef SLUICE_TESTS_STORE_RIG_H
#define SLUICE_TESTS_STORE_RIG_H

#include "store/store.h"

struct rig {
    struct store *store;
    char dir[64];
    struct store_options options;
    uint64_t replayed, replayed_first, replayed_last; /* by the last open */
    struct error error;                               /* of the last open */
};

/* A fresh folder below TMPDIR; memory: no folder. segment_bytes 0: 64 KiB. Does not open. */
void rig_init(struct rig *r, bool memory, uint64_t segment_bytes);
/* Closes when open, removes the folder. */
void rig_done(struct rig *r);
int rig_open(struct rig *r);
void rig_close(struct rig *r);

/* Appends and waits: 0 with the first position, or the error. */
int rig_append(struct rig *r, struct store_group *g, uint64_t *ret_position);
/* One EVENT record of broker 1 with that text. */
int rig_event(struct rig *r, const char *text, uint64_t *ret_position);
int rig_put(struct rig *r, enum store_table t, const char *key, const char *value);
int rig_delete(struct rig *r, enum store_table t, const char *key);
int rig_checkpoint(struct rig *r, uint64_t upto, struct store_group *rows);
/* The row's value is that text; NULL: there is no such row. */
void rig_expect_row(struct rig *r, enum store_table t, const char *key, const char *value);
/* The event at position has that text. */
void rig_expect_event(struct rig *r, uint64_t position, const char *text);
/* Waits until the condition is as given; fails after 10 s. */
void rig_expect_condition(struct rig *r, int condition);

#endif
