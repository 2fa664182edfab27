/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/index_path.h"

#include <errno.h>

struct maker {
    struct event_arena *arena;
    bool failed; /* out of memory */
};

static struct index_paths paths_new(struct maker *m, size_t count)
{
    struct index_paths p = {event_arena_alloc(m->arena, (count + 1) * sizeof(*p.items)), count};
    if (p.items == NULL) {
        m->failed = true;
        p.count = 0;
    }
    return p;
}

/* One way, without conditions. */
static struct index_paths anything(struct maker *m)
{
    struct index_paths p = paths_new(m, 1);
    if (p.count == 1)
        p.items[0].count = 0;
    return p;
}

static bool is_anything(const struct index_paths *p)
{
    return p->count == 1 && p->items[0].count == 0;
}

static bool affix_fits(const struct need *affix, struct slice value)
{
    size_t len = affix->value.len;
    if (len > value.len)
        return false;
    size_t from = affix->kind == NEED_SUFFIX ? value.len - len : 0;
    return len == 0 || memcmp(value.ptr + from, affix->value.ptr, len) == 0;
}

enum relation { UNRELATED, KEEP_FIRST, KEEP_SECOND, CONTRADICTION };

/* Of two conditions on one attribute, where one says more than the other. */
static enum relation relate(const struct need *a, const struct need *b)
{
    if (!slice_equal(a->name, b->name))
        return UNRELATED;
    if (b->kind == NEED_PRESENT)
        return KEEP_FIRST;
    if (a->kind == NEED_PRESENT)
        return KEEP_SECOND;
    if (a->kind == NEED_EXACT && b->kind == NEED_EXACT)
        return slice_equal(a->value, b->value) ? KEEP_FIRST : CONTRADICTION;
    if (a->kind == NEED_EXACT)
        return affix_fits(b, a->value) ? KEEP_FIRST : CONTRADICTION;
    if (b->kind == NEED_EXACT)
        return affix_fits(a, b->value) ? KEEP_SECOND : CONTRADICTION;
    return a->kind == b->kind && slice_equal(a->value, b->value) ? KEEP_FIRST : UNRELATED;
}

/* False: it can never be. */
static bool path_add(struct index_path *p, const struct need *condition)
{
    bool stands_in = false; /* the condition has taken the place of another */
    for (unsigned i = 0; i < p->count; i++) {
        switch (relate(p->conditions[i], condition)) {
        case UNRELATED:
            break;
        case KEEP_FIRST:
            return true;
        case CONTRADICTION:
            return false;
        case KEEP_SECOND:
            if (!stands_in)
                p->conditions[i] = condition;
            stands_in = true;
            break;
        }
    }
    if (!stands_in && p->count < INDEX_CONDITIONS_MAX)
        p->conditions[p->count++] = condition;
    return true;
}

/* How many of the ways have an attribute's exact value. */
static size_t exact_ways(const struct index_paths *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        for (unsigned k = 0; k < p->items[i].count; k++) {
            if (p->items[i].conditions[k]->kind == NEED_EXACT) {
                n++;
                break;
            }
        }
    }
    return n;
}

/* Where both together are too many, one of them is necessary, too. */
static struct index_paths better(struct index_paths a, struct index_paths b)
{
    bool a_exact = exact_ways(&a) == a.count, b_exact = exact_ways(&b) == b.count;
    if (a_exact != b_exact)
        return a_exact ? a : b;
    return a.count <= b.count ? a : b;
}

/* The conditions of b become those of a, too. */
static bool path_join(struct index_path *a, const struct index_path *b)
{
    for (unsigned i = 0; i < b->count; i++)
        if (!path_add(a, b->conditions[i]))
            return false;
    return true;
}

/* Each way of p with that one way more, in place. */
static struct index_paths with_one(struct index_paths p, struct index_path one)
{
    size_t made = 0;
    for (size_t i = 0; i < p.count; i++) {
        p.items[made] = p.items[i];
        made += path_join(&p.items[made], &one);
    }
    p.count = made;
    return p;
}

static struct index_paths both(struct maker *m, struct index_paths a, struct index_paths b)
{
    if (b.count == 1)
        return with_one(a, b.items[0]);
    if (a.count == 1)
        return with_one(b, a.items[0]);
    if (a.count * b.count > INDEX_PATHS_MAX)
        return better(a, b);
    struct index_paths p = paths_new(m, a.count * b.count);
    size_t made = 0;
    for (size_t i = 0; i < p.count; i++) {
        p.items[made] = a.items[i / b.count];
        made += path_join(&p.items[made], &b.items[i % b.count]);
    }
    p.count = made;
    return p;
}

static struct index_paths paths_of(struct maker *m, const struct need *need);

static struct index_paths all_of(struct maker *m, const struct need *need)
{
    struct index_paths p = anything(m);
    for (const struct need *child = need->children; child != NULL && !m->failed;
         child = child->next)
        p = both(m, p, paths_of(m, child));
    return p;
}

static struct index_paths any_of(struct maker *m, const struct need *need)
{
    size_t room = 4, made = 0;
    struct index_paths p = paths_new(m, room);
    for (const struct need *child = need->children; child != NULL && !m->failed;
         child = child->next) {
        struct index_paths ways = paths_of(m, child);
        if (is_anything(&ways) || made + ways.count > INDEX_PATHS_MAX)
            return anything(m);
        if (made + ways.count > room) {
            room = 2 * (made + ways.count);
            struct index_paths grown = paths_new(m, room);
            for (size_t i = 0; i < made && !m->failed; i++)
                grown.items[i] = p.items[i];
            p = grown;
        }
        for (size_t i = 0; i < ways.count && !m->failed; i++)
            p.items[made++] = ways.items[i];
    }
    p.count = m->failed ? 0 : made;
    return p;
}

static struct index_paths paths_of(struct maker *m, const struct need *need)
{
    struct index_paths p;
    switch (need->kind) {
    case NEED_NEVER:
        return paths_new(m, 0);
    case NEED_PRESENT:
    case NEED_EXACT:
    case NEED_PREFIX:
    case NEED_SUFFIX:
        p = paths_new(m, 1);
        if (p.count == 1)
            p.items[0] = (struct index_path){1, {need}};
        return p;
    case NEED_ALL:
        return all_of(m, need);
    case NEED_ANY:
        return any_of(m, need);
    case NEED_NOTHING:
        break;
    }
    return anything(m);
}

int index_paths_of(const struct need *need, struct event_arena *arena, struct index_paths *ret)
{
    struct maker m = {.arena = arena};
    *ret = paths_of(&m, need);
    return m.failed ? -ENOMEM : 0;
}
