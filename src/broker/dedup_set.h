/* SPDX-License-Identifier: Apache-2.0 */
/* The events of the last while, by hash of source and id, in the order of the log: the oldest go
 * when they are out of the window, or when there are too many. Not thread-safe. */
#ifndef SLUICE_BROKER_DEDUP_SET_H
#define SLUICE_BROKER_DEDUP_SET_H

#include "base/buf.h"
#include "base/slice.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define DEDUP_SET_MAX 1000000 /* events; each takes 24 bytes, and 4 in an index */

struct dedup_seen {
    uint64_t hash, time_ns;
    uint32_t more_hash; /* 96 bits in all: two events are not taken for one */
    uint32_t next;      /* in its bucket: 1 + place in the ring; 0: none */
};
static_assert(sizeof(struct dedup_seen) == 24, "what a million of them take is documented");

struct dedup_set {
    uint32_t max; /* DEDUP_SET_MAX, fewer in tests */
    struct dedup_seen *ring;
    uint32_t *buckets;
    uint32_t cap, first, len; /* cap: a power of two, of both */
    uint64_t forgotten;       /* that were in the window, and more than max */
    struct buf key;           /* scratch */
};

void dedup_set_done(struct dedup_set *s);
/* Empties it; it forgets nothing else. */
void dedup_set_clear(struct dedup_set *s);
/* The next event of the log. 1: one of the same source and id is in it, and at most that much
 * older; 0: none is; -ENOMEM, and then it is not in the set. */
int dedup_set_add(struct dedup_set *s, struct slice source, struct slice id, uint64_t time_ns,
                  uint64_t window_ns);

#endif
