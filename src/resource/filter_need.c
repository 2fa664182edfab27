/* SPDX-License-Identifier: Apache-2.0 */
/* What an event must have to match a filter. */
#include "resource/filter.h"

static const enum need_kind kinds[FILTER_KIND_COUNT] = {
    [FILTER_PRESENT] = NEED_PRESENT, [FILTER_EXACT] = NEED_EXACT, [FILTER_PREFIX] = NEED_PREFIX,
    [FILTER_SUFFIX] = NEED_SUFFIX,   [FILTER_ALL] = NEED_ALL,     [FILTER_ANY] = NEED_ANY,
    [FILTER_NOT] = NEED_NOTHING,
};

static struct need *need_of(const struct filter_node *n, struct event_arena *arena)
{
    if (n->kind == FILTER_CESQL)
        return cesql_need(n->cesql, arena);
    if (n->kind == FILTER_NOT && n->children->kind == FILTER_NOT)
        return need_of(n->children->children, arena);
    struct need *need = event_arena_alloc(arena, sizeof(*need));
    if (need == NULL)
        return NULL;
    *need = (struct need){.kind = kinds[n->kind], .name = n->name, .value = n->value};
    if (n->kind == FILTER_NOT)
        return need;
    struct need **end = &need->children;
    for (const struct filter_node *child = n->children; child != NULL; child = child->next) {
        *end = need_of(child, arena);
        if (*end == NULL)
            return NULL;
        end = &(*end)->next;
    }
    return need;
}

struct need *filter_need(const struct filter *f, struct event_arena *arena)
{
    return need_of(f->root, arena);
}
