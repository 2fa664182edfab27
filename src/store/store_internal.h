/* SPDX-License-Identifier: Apache-2.0 */
/* What the twins have in common. */
#ifndef SLUICE_STORE_STORE_INTERNAL_H
#define SLUICE_STORE_STORE_INTERNAL_H

#include "store/log.h"
#include "store/rows.h"
#include "store/store.h"

struct store_ops {
    void (*close)(struct store *s);
    struct store_reader *(*reader_new)(struct store *s, uint64_t position);
    void (*reader_free)(struct store_reader *r);
    int (*reader_next)(struct store_reader *r, struct store_entry *ret_entry);
    uint64_t (*reader_position)(const struct store_reader *r);
    uint64_t (*first)(const struct store *s);
    uint64_t (*find_time)(struct store *s, uint64_t time_ns);
    /* NULL: everything is to be read. */
    void (*find)(struct store *s, uint64_t position, const struct store_search *search,
                 store_topic_fn *topic, struct store_found *ret);
    bool (*digest)(struct store *s, store_topic_fn *topic); /* NULL: there are none */
    struct rows *(*rows)(struct store *s);
    void (*checkpoint)(struct store *s, uint64_t upto, struct store_group *rows,
                       store_append_done_fn *done, void *ctx);
    bool (*checkpoint_due)(const struct store *s);
    void (*retain)(struct store *s, uint64_t needed, uint64_t keep_since_ns);
    bool (*retain_due)(const struct store *s);
    void (*stats)(const struct store *s, struct store_stats *ret);
};

struct store {
    const struct store_ops *ops;
    struct log log;
    size_t group_max; /* bytes of records that one group may have */
    void (*retain_notify)(void *ctx);
    void *retain_notify_ctx;
    atomic_bool retain_told; /* that it is due */
};

/* Retention is due. Whoever commits. */
void store_tell_retain_due(struct store *s);

/* Every reader begins with this. */
struct store_reader {
    struct store *store;
};

#endif
