/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive binary min-heap over 64-bit keys: timers and due times. Not thread-safe. */
#ifndef SLUICE_BASE_HEAP_H
#define SLUICE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    size_t index; /* 0: not in a heap; else place + 1 */
};

struct heap {
    struct heap_node **nodes;
    size_t len, cap;
};

void heap_done(struct heap *h);
/* 0 or -ENOMEM. The node must not be in a heap. */
int heap_insert(struct heap *h, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *node);
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->len > 0 ? h->nodes[0] : NULL;
}
static inline bool heap_contains(const struct heap_node *node)
{
    return node->index != 0;
}

#endif
