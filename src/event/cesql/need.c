/* SPDX-License-Identifier: Apache-2.0 */
/* What an event must have for an expression to be true without an error. */
#include "event/need.h"

#include "base/memory.h"
#include "event/cesql/cesql_internal.h"

struct maker {
    const struct cesql *x;
    struct event_arena *arena;
    bool failed; /* out of memory */
};

static struct need *make(struct maker *m, enum need_kind kind, struct slice name,
                         struct slice value)
{
    struct need *n = event_arena_alloc(m->arena, sizeof(*n));
    if (n == NULL) {
        m->failed = true;
        return NULL;
    }
    *n = (struct need){.kind = kind, .name = name, .value = value};
    return n;
}

static void adopt(struct need *parent, struct need *child)
{
    if (parent == NULL || child == NULL)
        return;
    child->next = parent->children;
    parent->children = child;
}

static const struct node *node_at(const struct maker *m, uint32_t i)
{
    return &m->x->nodes[i];
}

/* Wherever an attribute is evaluated and not there, the expression ends with an error. Not what
 * stands behind a short circuit, or in a set. */
static void add_present(struct maker *m, uint32_t node, struct need *all)
{
    const struct node *n = node_at(m, node);
    if (n->kind == NODE_ATTRIBUTE) {
        adopt(all, make(m, NEED_PRESENT, node_text(m->x, n), SLICE("")));
        return;
    }
    if (n->kind == NODE_MISSING_CALL)
        return;
    bool first_only = n->kind == NODE_AND || n->kind == NODE_OR || n->kind == NODE_IN;
    for (uint32_t i = n->child; i != NODE_NONE; i = node_at(m, i)->next) {
        add_present(m, i, all);
        if (first_only)
            break;
    }
}

/* Attributes are kept as text, Integers and Booleans in the one form that a cast to String gives
 * (evaluate.c sees to it); so a String is compared with what is kept. */
static struct need *exact(struct maker *m, struct slice name, struct slice value)
{
    return make(m, NEED_EXACT, name, value);
}

static struct slice copied_integer(struct maker *m, int32_t v)
{
    char *text = event_arena_alloc(m->arena, INTEGER_TEXT_MAX);
    m->failed = m->failed || text == NULL;
    return slice_of(text, text != NULL ? integer_write(v, text) : 0);
}

static bool truth_value(struct slice s, bool *ret)
{
    *ret = slice_is_nocase(s, "true");
    return *ret || slice_is_nocase(s, "false");
}

/* What the text of an attribute can be for `attribute IN (literal)`: the attribute's type decides
 * what the literal is cast to. */
static void add_element(struct maker *m, struct slice name, const struct node *literal,
                        struct need *any)
{
    int32_t integer;
    bool truth;
    if (literal->kind == NODE_LITERAL_STRING) {
        struct slice text = node_text(m->x, literal);
        adopt(any, exact(m, name, text));
        if (integer_parse(text, &integer))
            adopt(any, exact(m, name, copied_integer(m, integer)));
        if (truth_value(text, &truth))
            adopt(any, exact(m, name, truth ? SLICE("true") : SLICE("false")));
        return;
    }
    truth = literal->integer != 0;
    adopt(any, exact(m, name, copied_integer(m, literal->integer)));
    adopt(any, exact(m, name, truth ? SLICE("true") : SLICE("false")));
}

static struct need *in(struct maker *m, const struct node *n)
{
    const struct node *left = node_at(m, n->child);
    if (left->kind != NODE_ATTRIBUTE)
        return NULL;
    for (uint32_t i = left->next; i != NODE_NONE; i = node_at(m, i)->next)
        if (!node_is_literal(node_at(m, i)))
            return NULL;
    struct need *any = make(m, NEED_ANY, SLICE(""), SLICE(""));
    for (uint32_t i = left->next; i != NODE_NONE; i = node_at(m, i)->next)
        add_element(m, node_text(m->x, left), node_at(m, i), any);
    return any;
}

/* attribute = 'text'. With the text on the left its cast depends on the attribute's type, as with
 * IN. */
static struct need *equal(struct maker *m, const struct node *n)
{
    const struct node *left = node_at(m, n->child), *right = node_at(m, left->next);
    if (left->kind == NODE_ATTRIBUTE && right->kind == NODE_LITERAL_STRING)
        return exact(m, node_text(m->x, left), node_text(m->x, right));
    if (!node_is_literal(left) || right->kind != NODE_ATTRIBUTE)
        return NULL;
    struct need *any = make(m, NEED_ANY, SLICE(""), SLICE(""));
    add_element(m, node_text(m->x, right), left, any);
    return any;
}

/* The text before a general pattern's first wildcard, or after its last. */
static struct need *general_like(struct maker *m, struct slice name, struct slice pattern)
{
    size_t before = 0, after = pattern.len;
    while (before < pattern.len && pattern.ptr[before] != LIKE_ANY_RUN &&
           pattern.ptr[before] != LIKE_ANY_ONE)
        before++;
    while (after > 0 && pattern.ptr[after - 1] != LIKE_ANY_RUN &&
           pattern.ptr[after - 1] != LIKE_ANY_ONE)
        after--;
    struct need *all = make(m, NEED_ALL, SLICE(""), SLICE(""));
    if (before > 0)
        adopt(all, make(m, NEED_PREFIX, name, slice_of(pattern.ptr, before)));
    if (after < pattern.len)
        adopt(all, make(m, NEED_SUFFIX, name, slice_of(pattern.ptr + after, pattern.len - after)));
    return before > 0 || after < pattern.len ? all : NULL;
}

static struct need *like(struct maker *m, const struct node *n)
{
    const struct node *left = node_at(m, n->child);
    if (left->kind != NODE_ATTRIBUTE)
        return NULL;
    struct slice name = node_text(m->x, left), pattern = node_text(m->x, n);
    switch ((enum like_kind)n->detail) {
    case LIKE_EXACT:
        return exact(m, name, pattern);
    case LIKE_PREFIX:
        return pattern.len > 0 ? make(m, NEED_PREFIX, name, pattern) : NULL;
    case LIKE_SUFFIX:
        return make(m, NEED_SUFFIX, name, pattern);
    case LIKE_CONTAINS:
        return NULL;
    case LIKE_GENERAL:
        break;
    }
    return general_like(m, name, pattern);
}

static struct need *need_of(struct maker *m, uint32_t node);

static struct need *children_of(struct maker *m, const struct node *n, enum need_kind kind)
{
    struct need *parent = make(m, kind, SLICE(""), SLICE(""));
    for (uint32_t i = n->child; i != NODE_NONE; i = node_at(m, i)->next)
        adopt(parent, need_of(m, i));
    return parent;
}

static struct need *need_of(struct maker *m, uint32_t node)
{
    const struct node *n = node_at(m, node);
    struct need *found = NULL;
    if (n->kind == NODE_AND)
        return children_of(m, n, NEED_ALL);
    if (n->kind == NODE_OR)
        return children_of(m, n, NEED_ANY);
    if (n->kind == NODE_LITERAL_BOOLEAN)
        return make(m, n->integer != 0 ? NEED_NOTHING : NEED_NEVER, SLICE(""), SLICE(""));
    if (n->kind == NODE_MISSING_CALL)
        return make(m, NEED_NEVER, SLICE(""), SLICE(""));
    if (n->kind == NODE_EXISTS && !event_is_required(node_text(m->x, n)))
        found = make(m, NEED_PRESENT, node_text(m->x, n), SLICE(""));
    else if (n->kind == NODE_EQUAL)
        found = equal(m, n);
    else if (n->kind == NODE_IN)
        found = in(m, n);
    else if (n->kind == NODE_LIKE)
        found = like(m, n);
    if (found != NULL)
        return found;
    struct need *all = make(m, NEED_ALL, SLICE(""), SLICE(""));
    add_present(m, node, all);
    return all;
}

struct need *cesql_need(const struct cesql *x, struct event_arena *arena)
{
    struct maker m = {.x = x, .arena = arena};
    struct need *n = need_of(&m, x->root);
    return m.failed ? NULL : n;
}
