/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from byte strings to pointers, open addressing, keyed hash (SipHash-like mixing with a
 * random seed, since callers choose keys). Keys are copied. Not thread-safe. */
#ifndef SLUICE_BASE_MAP_H
#define SLUICE_BASE_MAP_H

#include "base/slice.h"

#include <stdint.h>

struct map_entry {
    char *key; /* NULL: free */
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t cap, len;
};

#define MAP_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void map_done(struct map *m);
/* The value, or NULL. */
void *map_get(const struct map *m, struct slice key);
/* Replaces. value must not be NULL. 0 or -ENOMEM. */
int map_put(struct map *m, struct slice key, void *value);
/* Returns what was there, or NULL. */
void *map_remove(struct map *m, struct slice key);
/* Iteration in no order: start with *at = 0; false at the end. No changes meanwhile. */
bool map_next(const struct map *m, size_t *at, struct slice *ret_key, void **ret_value);
/* The hash that the map uses; stable within a process only. */
uint64_t map_hash(const void *bytes, size_t len);

#endif
