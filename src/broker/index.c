/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/index.h"

#include "base/list.h"
#include "base/memory.h"
#include "base/must.h"
#include "broker/index_path.h"
#include "broker/index_table.h"

#include <errno.h>

/* The tables whose first attribute, or whose term, it is. */
struct index_slot {
    struct index_table **tables;
    size_t count;
    struct need_term term; /* x NULL: none */
    struct filter *owner;  /* of the term */
    struct list link;      /* in the index's terms */
};

/* Where a group is filed. */
struct place {
    struct index_table *table;
    char *key;
    size_t len;
};

/* All items with the same filter. */
struct index_group {
    struct filter *filter;
    bool certain;  /* who finds it by its key need not ask the filter */
    uint64_t seen; /* the turn when it was looked at last */
    void **items;
    size_t count, cap;
    struct place *places;
    size_t place_count;
};

/* ---- tables and their slots ---- */

static struct slice slot_name(const struct index_table *t)
{
    return t->count > 0 ? slice_of(t->names[0].text, t->names[0].len) : SLICE("");
}

static struct index_slot *slot_of(struct index *x, struct slice name)
{
    return name.len > 0 ? map_get(&x->slots, name) : x->free_slot;
}

static struct index_slot *slot_add(struct index *x, struct slice name)
{
    struct index_slot *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    list_init(&s->link);
    if (name.len == 0) {
        x->free_slot = s;
    } else if (map_put(&x->slots, name, s) < 0) {
        free(s);
        return NULL;
    }
    return s;
}

/* Terms are computed for each event. Events must not find that there is no memory, so it is there
 * before. */
static bool slot_set_term(struct index *x, struct index_slot *s, struct need_term term,
                          struct filter *owner)
{
    if (x->terms.next == NULL)
        list_init(&x->terms);
    buf_reset(&x->value);
    if (buf_reserve(&x->value, CESQL_SCRATCH_MAX) == NULL)
        return false;
    s->term = term;
    s->owner = filter_ref(owner);
    list_append(&x->terms, &s->link);
    return true;
}

static void slot_drop(struct index *x, struct slice name, struct index_slot *s)
{
    if (s->term.x != NULL) {
        list_remove(&s->link);
        filter_free(s->owner);
    }
    if (name.len > 0)
        map_remove(&x->slots, name);
    else
        x->free_slot = NULL;
    free(s->tables);
    free(s);
}

/* The first name of the table that the conditions would have. */
static struct slice first_name(const struct index_path *path, const struct need *one)
{
    struct slice first = SLICE("");
    if (one != NULL)
        return one->name;
    for (unsigned i = 0; i < path->count; i++) {
        const struct need *n = path->conditions[i];
        if (index_is_value(n) && (first.len == 0 || slice_compare(n->name, first) < 0))
            first = n->name;
    }
    return first;
}

/* The key of an event, of several values. */
#define KEY_MAX (EVENT_ATTRIBUTES_BYTES_MAX + INDEX_CONDITIONS_MAX * sizeof(uint32_t))

static bool reserve_key(struct index *x)
{
    buf_reset(&x->key);
    return buf_reserve(&x->key, KEY_MAX) != NULL;
}

/* How a path is looked up. */
struct choice {
    enum index_table_kind kind;
    const struct index_path *path;
    const struct need *one; /* NULL: by all values of attributes */
};

static struct index_table *table_of(struct index *x, const struct choice *c)
{
    const struct index_slot *s = slot_of(x, first_name(c->path, c->one));
    for (size_t i = 0; s != NULL && i < s->count; i++)
        if (index_table_fits(s->tables[i], c->kind, c->path, c->one))
            return s->tables[i];
    return NULL;
}

static struct index_table *table_add(struct index *x, const struct choice *c, struct filter *f)
{
    struct slice name = first_name(c->path, c->one);
    struct index_slot *s = slot_of(x, name);
    if (s == NULL) {
        s = slot_add(x, name);
        if (s == NULL)
            return NULL;
        if (c->one != NULL && c->one->term.x != NULL && !slot_set_term(x, s, c->one->term, f)) {
            slot_drop(x, name, s);
            return NULL;
        }
    }
    struct index_table **grown = realloc(s->tables, (s->count + 1) * sizeof(*grown));
    struct index_table *t =
        grown != NULL && reserve_key(x) ? index_table_new(c->kind, c->path, c->one) : NULL;
    if (grown != NULL)
        s->tables = grown;
    if (t != NULL)
        s->tables[s->count++] = t;
    else if (s->count == 0)
        slot_drop(x, name, s);
    return t;
}

static void table_drop_if_empty(struct index *x, struct index_table *t)
{
    if (t->buckets.len > 0)
        return;
    struct index_slot *s = slot_of(x, slot_name(t));
    for (size_t i = 0; i < s->count; i++) {
        if (s->tables[i] == t) {
            s->tables[i] = s->tables[--s->count];
            break;
        }
    }
    if (s->count == 0)
        slot_drop(x, slot_name(t), s);
    index_table_free(t);
}

/* ---- what a filter is filed under ---- */

/* How many are filed there already. */
static size_t load_of(struct index *x, const struct choice *c)
{
    const struct index_table *t = table_of(x, c);
    const struct index_bucket *b =
        t != NULL ? index_table_find(t, index_table_key(c->path, c->one, &x->key)) : NULL;
    return b != NULL ? b->count : 0;
}

static bool has_value(const struct index_path *path)
{
    for (unsigned i = 0; i < path->count; i++)
        if (path->conditions[i]->kind == NEED_EXACT && index_is_value(path->conditions[i]))
            return true;
    return false;
}

/* The fewer events lead to a key, the better: a whole value is better than a part, a long part
 * better than a short one, what is there better than what must be computed, and each counts the
 * less the more filters are there already. */
static size_t price_of(struct index *x, const struct choice *c)
{
    size_t load = load_of(x, c);
    if (c->one == NULL)
        return has_value(c->path) ? load : SIZE_MAX;
    size_t computed = c->one->term.x != NULL ? 8 : 0;
    if (c->one->kind == NEED_EXACT)
        return 2 * load + computed;
    return 8 * load + 64 / (c->one->value.len + 1) + 1 + computed;
}

static enum index_table_kind table_kind(const struct need *n)
{
    return n->kind == NEED_PREFIX   ? INDEX_PREFIXES
           : n->kind == NEED_SUFFIX ? INDEX_SUFFIXES
                                    : INDEX_VALUES;
}

static struct choice choose(struct index *x, const struct index_path *path)
{
    struct choice best = {INDEX_VALUES, path, NULL};
    size_t price = price_of(x, &best);
    for (unsigned i = 0; i < path->count; i++) {
        const struct need *n = path->conditions[i];
        if (index_is_value(n))
            continue;
        struct choice c = {table_kind(n), path, n};
        size_t asked = price_of(x, &c);
        if (asked < price) {
            best = c;
            price = asked;
        }
    }
    return best;
}

/* ---- groups ---- */

static void group_unfile(struct index *x, struct index_group *g)
{
    for (size_t i = 0; i < g->place_count; i++) {
        struct place *p = &g->places[i];
        index_table_remove(p->table, slice_of(p->key, p->len), g);
        table_drop_if_empty(x, p->table);
        free(p->key);
    }
    g->place_count = 0;
}

static void group_free(struct index_group *g)
{
    filter_free(g->filter);
    free(g->items);
    free(g->places);
    free(g);
}

/* Two ways may lead to the same place. */
static bool is_filed(const struct index_group *g, const struct index_table *t, struct slice key)
{
    for (size_t i = 0; i < g->place_count; i++)
        if (g->places[i].table == t &&
            slice_equal(slice_of(g->places[i].key, g->places[i].len), key))
            return true;
    return false;
}

static int group_file(struct index *x, struct index_group *g, const struct index_path *path)
{
    struct choice c = choose(x, path);
    struct index_table *t = table_of(x, &c);
    if (t == NULL && (t = table_add(x, &c, g->filter)) == NULL)
        return -ENOMEM;
    struct slice key = index_table_key(path, c.one, &x->key);
    if (is_filed(g, t, key))
        return 0;
    struct place *p = &g->places[g->place_count];
    *p = (struct place){t, slice_dup(key), key.len};
    if (!buf_ok(&x->key) || p->key == NULL || index_table_add(t, key, g) < 0) {
        free(p->key);
        table_drop_if_empty(x, t);
        return -ENOMEM;
    }
    g->place_count++;
    return 0;
}

/* Nothing but values, all of which must be. */
static bool is_values(const struct filter_node *n, size_t *conditions)
{
    if (n->kind == FILTER_EXACT || n->kind == FILTER_PRESENT)
        return ++*conditions <= INDEX_CONDITIONS_MAX;
    const struct filter_node *child = n->kind == FILTER_ALL ? n->children : NULL;
    if (n->kind != FILTER_ALL)
        return false;
    while (child != NULL && is_values(child, conditions))
        child = child->next;
    return child == NULL;
}

static int group_file_all(struct index *x, struct index_group *g)
{
    struct event_arena arena = {0};
    struct index_paths paths = {0};
    struct need *need = filter_need(g->filter, &arena);
    int r = need != NULL ? index_paths_of(need, &arena, &paths) : -ENOMEM;
    if (r == 0 && (g->places = calloc(paths.count + 1, sizeof(*g->places))) == NULL)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < paths.count; i++)
        r = group_file(x, g, &paths.items[i]);
    size_t conditions = 0;
    g->certain = is_values(g->filter->root, &conditions); /* the key says it all */
    event_arena_done(&arena);
    return r;
}

static struct index_group *group_new(struct index *x, struct filter *f)
{
    struct index_group *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return NULL;
    g->filter = filter_ref(f);
    if (group_file_all(x, g) < 0 || map_put(&x->groups, slice_text(f->text), g) < 0) {
        group_unfile(x, g);
        group_free(g);
        return NULL;
    }
    return g;
}

static void group_drop(struct index *x, struct index_group *g)
{
    group_unfile(x, g);
    map_remove(&x->groups, slice_text(g->filter->text));
    group_free(g);
}

/* ---- the index ---- */

int index_add(struct index *x, struct filter *f, void *item)
{
    struct index_group *g = map_get(&x->groups, slice_text(f->text));
    if (g == NULL && (g = group_new(x, f)) == NULL)
        return -ENOMEM;
    if (g->count == g->cap) {
        size_t cap = g->cap == 0 ? 1 : g->cap * 2;
        void **grown = realloc(g->items, cap * sizeof(*grown));
        if (grown == NULL) {
            if (g->count == 0)
                group_drop(x, g);
            return -ENOMEM;
        }
        g->items = grown;
        g->cap = cap;
    }
    g->items[g->count++] = item;
    return 0;
}

void index_remove(struct index *x, const struct filter *f, void *item)
{
    struct index_group *g = map_get(&x->groups, slice_text(f->text));
    for (size_t i = 0; g != NULL && i < g->count; i++) {
        if (g->items[i] == item) {
            g->items[i] = g->items[--g->count];
            break;
        }
    }
    if (g != NULL && g->count == 0)
        group_drop(x, g);
}

void index_done(struct index *x)
{
    size_t at = 0;
    void *value;
    while (map_next(&x->groups, &at, NULL, &value)) {
        group_unfile(x, value);
        group_free(value);
    }
    must(x->slots.len == 0 && x->free_slot == NULL);
    map_done(&x->groups);
    map_done(&x->slots);
    buf_done(&x->key);
    buf_done(&x->value);
    *x = (struct index){0};
}

/* ---- an event ---- */

struct match {
    struct index *index;
    const struct event *event;
    void (*each)(void *ctx, void *item);
    void *ctx;
    size_t candidates;
    struct cesql_scratch scratch;
};

static void match_group(struct match *m, struct index_group *g)
{
    if (g->seen == m->index->turn)
        return;
    g->seen = m->index->turn;
    m->candidates++;
    if (m->each == NULL ||
        (!g->certain && !filter_node_matches(g->filter->root, m->event, &m->scratch)))
        return;
    for (size_t i = 0; i < g->count; i++)
        m->each(m->ctx, g->items[i]);
}

static void match_bucket(void *ctx, const struct index_bucket *b)
{
    for (size_t i = 0; i < b->count; i++)
        match_group(ctx, b->groups[i]);
}

static void match_slot(struct match *m, const struct index_slot *s, struct slice value)
{
    for (size_t i = 0; s != NULL && i < s->count; i++)
        index_table_match(s->tables[i], m->event, value, &m->index->key, match_bucket, m);
}

/* The value is copied: filters that are asked meanwhile use the scratch. */
static void match_terms(struct match *m)
{
    struct index *x = m->index;
    struct slice value;
    if (x->terms.next == NULL)
        return;
    list_for_each (node, &x->terms) {
        const struct index_slot *s = list_entry(node, struct index_slot, link);
        if (!cesql_term_value(&s->term, m->event, &m->scratch, &value))
            continue;
        buf_reset(&x->value);
        buf_add_slice(&x->value, value);
        if (buf_ok(&x->value))
            match_slot(m, s, slice_of(x->value.len > 0 ? x->value.ptr : "", x->value.len));
    }
}

static void match(struct match *m)
{
    struct index *x = m->index;
    const struct event *e = m->event;
    x->turn++;
    match_slot(m, x->free_slot, SLICE(""));
    bool version = false;
    for (unsigned i = 0; x->slots.len > 0 && i < e->count; i++) {
        version = version || slice_is(e->attributes[i].name, "specversion");
        match_slot(m, map_get(&x->slots, e->attributes[i].name), e->attributes[i].value);
    }
    if (x->slots.len > 0 && !version)
        match_slot(m, map_get(&x->slots, SLICE("specversion")), event_get(e, "specversion"));
    match_terms(m);
}

void index_match(struct index *x, const struct event *e, void (*each)(void *ctx, void *item),
                 void *ctx)
{
    struct match m;
    m.index = x;
    m.event = e;
    m.each = each;
    m.ctx = ctx;
    m.candidates = 0;
    match(&m);
}

size_t index_candidates(struct index *x, const struct event *e)
{
    struct match m;
    m.index = x;
    m.event = e;
    m.each = NULL;
    m.candidates = 0;
    match(&m);
    return m.candidates;
}
