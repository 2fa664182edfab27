/* SPDX-License-Identifier: Apache-2.0 */
/* Where each value of a text stands. The lines are a tree beside the JSON tree, since paths as text
 * would cost the product of depth and size. Handles share one tree: the items of a kind: List each
 * have a root of their own. */
#include "base/must.h"
#include "resource/resource_internal.h"

#include <stdlib.h>

struct line_node {
    uint32_t first_child, last_child, next; /* 0: none, since the root is nobody's child */
    uint32_t key;                           /* offset in keys; of list items: the index */
    uint32_t key_len;                       /* LINE_ITEM: a list item */
    int line;
};
#define LINE_ITEM UINT32_MAX

struct line_tree {
    unsigned references;
    struct line_node *nodes;
    uint32_t len, cap;
    struct buf keys;
};

struct resource_lines {
    unsigned references;
    struct line_tree *tree;
    uint32_t root;
};

static void tree_unref(struct line_tree *t)
{
    if (t == NULL || --t->references > 0)
        return;
    free(t->nodes);
    buf_done(&t->keys);
    free(t);
}

static bool tree_grow(struct line_tree *t)
{
    if (t->len < t->cap)
        return true;
    uint32_t cap = t->cap == 0 ? 64 : t->cap * 2;
    struct line_node *nodes = reallocarray(t->nodes, cap, sizeof(*nodes));
    if (nodes == NULL)
        return false;
    t->nodes = nodes;
    t->cap = cap;
    return true;
}

static struct resource_lines *lines_handle(struct line_tree *t, uint32_t root)
{
    struct resource_lines *l = malloc(sizeof(*l));
    if (l == NULL)
        return NULL;
    *l = (struct resource_lines){.references = 1, .tree = t, .root = root};
    t->references++;
    return l;
}

struct resource_lines *lines_new(int line)
{
    struct line_tree *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->references = 1;
    struct resource_lines *l = NULL;
    if (tree_grow(t)) {
        t->nodes[t->len++] = (struct line_node){.line = line};
        l = lines_handle(t, LINES_ROOT);
    }
    tree_unref(t);
    return l;
}

struct resource_lines *lines_ref(struct resource_lines *l)
{
    l->references++;
    return l;
}

void lines_unref(struct resource_lines *l)
{
    if (l == NULL || --l->references > 0)
        return;
    tree_unref(l->tree);
    free(l);
}

uint32_t lines_add(struct resource_lines *l, uint32_t parent, struct slice key, uint32_t index,
                   int line)
{
    struct line_tree *t = l->tree;
    must(parent < t->len);
    if (t->len == UINT32_MAX / 2 || t->keys.len + key.len > UINT32_MAX / 2 || !tree_grow(t))
        return 0;
    struct line_node node = {.line = line, .key = index, .key_len = LINE_ITEM};
    if (key.ptr != NULL) {
        node.key = (uint32_t)t->keys.len;
        node.key_len = (uint32_t)key.len;
        buf_add_slice(&t->keys, key);
        if (!buf_ok(&t->keys))
            return 0;
    }
    uint32_t id = t->len++;
    t->nodes[id] = node;
    struct line_node *above = &t->nodes[parent];
    if (above->first_child == 0)
        above->first_child = id;
    else
        t->nodes[above->last_child].next = id;
    above->last_child = id;
    return id;
}

/* The child whose key begins the path; keys may hold dots themselves, so the longest wins. Returns
 * its id and what of the path it took. */
static uint32_t child_by_key(const struct line_tree *t, uint32_t parent, struct slice path,
                             size_t *ret_used)
{
    uint32_t best = 0;
    *ret_used = 0;
    for (uint32_t id = t->nodes[parent].first_child; id != 0; id = t->nodes[id].next) {
        const struct line_node *n = &t->nodes[id];
        if (n->key_len == LINE_ITEM || n->key_len > path.len || n->key_len < *ret_used)
            continue;
        if (n->key_len > 0 && memcmp(t->keys.ptr + n->key, path.ptr, n->key_len) != 0)
            continue;
        char end = n->key_len < path.len ? path.ptr[n->key_len] : '.';
        if (end != '.' && end != '[')
            continue;
        best = id;
        *ret_used = n->key_len;
    }
    return best;
}

static uint32_t child_by_index(const struct line_tree *t, uint32_t parent, uint32_t index)
{
    for (uint32_t id = t->nodes[parent].first_child; id != 0; id = t->nodes[id].next)
        if (t->nodes[id].key_len == LINE_ITEM && t->nodes[id].key == index)
            return id;
    return 0;
}

/* The child that the path calls ["key"]. */
static uint32_t child_by_quoted_key(const struct line_tree *t, uint32_t parent, struct slice path,
                                    size_t *ret_used)
{
    const char *key = path.ptr + 2, *end = memmem(key, path.len - 2, "\"]", 2);
    *ret_used = path.len;
    if (end == NULL)
        return 0;
    size_t len = (size_t)(end - key);
    *ret_used = len + 4;
    for (uint32_t id = t->nodes[parent].first_child; id != 0; id = t->nodes[id].next) {
        const struct line_node *n = &t->nodes[id];
        if (n->key_len == len && memcmp(t->keys.ptr + n->key, key, len) == 0)
            return id;
    }
    return 0;
}

/* One step down the path; 0 when there is no such node. */
static uint32_t lines_step(const struct line_tree *t, uint32_t at, struct slice *path)
{
    size_t used;
    uint32_t next;
    if (slice_starts(*path, "[\"")) {
        next = child_by_quoted_key(t, at, *path, &used);
    } else if (path->ptr[0] == '[') {
        char *end;
        unsigned long index = strtoul(path->ptr + 1, &end, 10);
        used = (size_t)(end - path->ptr) + (*end == ']');
        next = child_by_index(t, at, (uint32_t)index);
    } else {
        next = child_by_key(t, at, *path, &used);
    }
    if (used < path->len && path->ptr[used] == '.')
        used++;
    *path = slice_of(path->ptr + used, path->len - used);
    return next;
}

int resource_line(const struct resource_document *d, const char *field)
{
    if (d->lines == NULL)
        return d->line;
    const struct line_tree *t = d->lines->tree;
    uint32_t at = d->lines->root;
    struct slice path = slice_text(field);
    while (path.len > 0) {
        uint32_t next = lines_step(t, at, &path);
        if (next == 0)
            break;
        at = next;
    }
    return t->nodes[at].line;
}

int lines_root_line(const struct resource_lines *l)
{
    return l->tree->nodes[l->root].line;
}

struct resource_lines *lines_item(struct resource_lines *l, const char *key, uint32_t index)
{
    size_t used;
    uint32_t list = child_by_key(l->tree, l->root, slice_text(key), &used);
    uint32_t item = list != 0 ? child_by_index(l->tree, list, index) : 0;
    return item != 0 ? lines_handle(l->tree, item) : NULL;
}
