/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>

void heap_done(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){0};
}

static void heap_place(struct heap *h, struct heap_node *node, size_t at)
{
    h->nodes[at] = node;
    node->index = at + 1;
}

static void heap_rise(struct heap *h, struct heap_node *node, size_t at)
{
    while (at > 0 && h->nodes[(at - 1) / 2]->key > node->key) {
        heap_place(h, h->nodes[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    heap_place(h, node, at);
}

static void heap_sink(struct heap *h, struct heap_node *node, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->len)
            break;
        if (child + 1 < h->len && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (h->nodes[child]->key >= node->key)
            break;
        heap_place(h, h->nodes[child], at);
        at = child;
    }
    heap_place(h, node, at);
}

int heap_insert(struct heap *h, struct heap_node *node, uint64_t key)
{
    must(node->index == 0);
    if (h->len == h->cap) {
        size_t cap = h->cap == 0 ? 16 : h->cap * 2;
        struct heap_node **grown = realloc(h->nodes, cap * sizeof(struct heap_node *));
        if (grown == NULL)
            return -ENOMEM;
        h->nodes = grown;
        h->cap = cap;
    }
    node->key = key;
    heap_rise(h, node, h->len++);
    return 0;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    must(node->index > 0 && node->index <= h->len && h->nodes[node->index - 1] == node);
    size_t at = node->index - 1;
    node->index = 0;
    struct heap_node *last = h->nodes[--h->len];
    if (last == node)
        return;
    if (at > 0 && h->nodes[(at - 1) / 2]->key > last->key)
        heap_rise(h, last, at);
    else
        heap_sink(h, last, at);
}
