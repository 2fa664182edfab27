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

/* ---- terms: what is computed is looked up by its value ---- */

/* The same for equal terms, and no attribute's name. */
static void term_write(const struct maker *m, uint32_t node, struct buf *out)
{
    const struct node *n = node_at(m, node);
    bool has_text = n->kind == NODE_LITERAL_STRING || n->kind == NODE_ATTRIBUTE ||
                    n->kind == NODE_EXISTS || n->kind == NODE_MISSING_CALL || n->kind == NODE_LIKE;
    bool has_integer = n->kind == NODE_LITERAL_BOOLEAN || n->kind == NODE_LITERAL_INTEGER;
    struct slice text = has_text ? node_text(m->x, n) : SLICE("");
    buf_add_byte(out, (char)n->kind);
    buf_add_byte(out, (char)n->detail);
    buf_add_u32(out, has_integer ? (uint32_t)n->integer : (uint32_t)text.len);
    buf_add_slice(out, text);
    for (uint32_t i = n->child; i != NODE_NONE; i = node_at(m, i)->next)
        term_write(m, i, out);
    buf_add_byte(out, NODE_KIND_COUNT);
}

static struct need term_of(struct maker *m, uint32_t node, enum cesql_type type)
{
    autobuf text = BUF_INIT;
    buf_add_byte(&text, '=');
    buf_add_byte(&text, (char)type);
    term_write(m, node, &text);
    char *name = buf_ok(&text) ? event_arena_alloc(m->arena, text.len) : NULL;
    m->failed = m->failed || name == NULL;
    if (name != NULL)
        memcpy(name, text.ptr, text.len);
    return (struct need){.name = slice_of(name, name != NULL ? text.len : 0),
                         .term = {m->x, node, type}};
}

static struct need *of_term(struct maker *m, const struct need *term, enum need_kind kind,
                            struct slice value)
{
    struct need *n = make(m, kind, term->name, value);
    if (n != NULL)
        n->term = term->term;
    return n;
}

/* The type that the values of a node have, whatever the event; CESQL_TYPE_COUNT: it depends. */
static enum cesql_type type_of(const struct node *n)
{
    if (n->kind == NODE_CALL)
        return cesql_functions[n->detail].type;
    if (n->kind == NODE_NEGATE || (n->kind >= NODE_MULTIPLY && n->kind <= NODE_SUBTRACT))
        return CESQL_INTEGER;
    return n->kind == NODE_ATTRIBUTE || n->kind == NODE_MISSING_CALL ? CESQL_TYPE_COUNT
                                                                     : CESQL_BOOLEAN;
}

static struct slice copied_integer(struct maker *m, int32_t v)
{
    char *text = event_arena_alloc(m->arena, INTEGER_TEXT_MAX);
    m->failed = m->failed || text == NULL;
    return slice_of(text, text != NULL ? integer_write(v, text) : 0);
}

/* The literal cast to the type, as text; false: it cannot be. */
static bool literal_text(struct maker *m, const struct node *literal, enum cesql_type type,
                         struct slice *ret)
{
    bool text = literal->kind == NODE_LITERAL_STRING;
    struct slice written = text ? node_text(m->x, literal) : SLICE("");
    int32_t integer = text ? 0 : literal->integer;
    if (type == CESQL_STRING && text) {
        *ret = written;
        return true;
    }
    if (type == CESQL_INTEGER && text && !integer_parse(written, &integer))
        return false;
    if (type == CESQL_BOOLEAN && text) {
        if (!slice_is_nocase(written, "true") && !slice_is_nocase(written, "false"))
            return false;
        integer = slice_is_nocase(written, "true");
    }
    bool boolean =
        type == CESQL_BOOLEAN || (type == CESQL_STRING && literal->kind == NODE_LITERAL_BOOLEAN);
    if (boolean)
        *ret = integer != 0 ? SLICE("true") : SLICE("false");
    else
        *ret = copied_integer(m, integer);
    return true;
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

/* A term's type is known, and what the literals are for it. */
static struct need *in_term(struct maker *m, uint32_t left)
{
    enum cesql_type type = type_of(node_at(m, left));
    struct need *any = make(m, NEED_ANY, SLICE(""), SLICE(""));
    struct need term = term_of(m, left, type);
    struct slice value;
    for (uint32_t i = node_at(m, left)->next; i != NODE_NONE; i = node_at(m, i)->next)
        if (literal_text(m, node_at(m, i), type, &value))
            adopt(any, of_term(m, &term, NEED_EXACT, value));
    return any;
}

static struct need *in(struct maker *m, const struct node *n)
{
    const struct node *left = node_at(m, n->child);
    for (uint32_t i = left->next; i != NODE_NONE; i = node_at(m, i)->next)
        if (!node_is_literal(node_at(m, i)))
            return NULL;
    if (left->kind != NODE_ATTRIBUTE)
        return node_is_literal(left) || type_of(left) == CESQL_TYPE_COUNT ? NULL
                                                                          : in_term(m, n->child);
    struct need *any = make(m, NEED_ANY, SLICE(""), SLICE(""));
    for (uint32_t i = left->next; i != NODE_NONE; i = node_at(m, i)->next)
        add_element(m, node_text(m->x, left), node_at(m, i), any);
    return any;
}

/* attribute = 'text'. With the text on the left its cast depends on the attribute's type, as with
 * IN. */
static struct need *equal(struct maker *m, const struct node *n)
{
    uint32_t left_at = n->child, right_at = node_at(m, left_at)->next;
    const struct node *left = node_at(m, left_at), *right = node_at(m, right_at);
    if (left->kind == NODE_ATTRIBUTE && right->kind == NODE_LITERAL_STRING)
        return exact(m, node_text(m->x, left), node_text(m->x, right));
    if (node_is_literal(left) && right->kind == NODE_ATTRIBUTE) {
        struct need *any = make(m, NEED_ANY, SLICE(""), SLICE(""));
        add_element(m, node_text(m->x, right), left, any);
        return any;
    }
    uint32_t at = node_is_literal(right) ? left_at : right_at;
    const struct node *literal = node_is_literal(right) ? right : left;
    /* of both sides, the right one says the type */
    enum cesql_type type = literal == left                         ? type_of(right)
                           : literal->kind == NODE_LITERAL_STRING  ? CESQL_STRING
                           : literal->kind == NODE_LITERAL_INTEGER ? CESQL_INTEGER
                                                                   : CESQL_BOOLEAN;
    struct slice value;
    if (!node_is_literal(literal) || node_is_literal(node_at(m, at)) || type == CESQL_TYPE_COUNT)
        return NULL;
    if (!literal_text(m, literal, type, &value))
        return make(m, NEED_NEVER, SLICE(""), SLICE(""));
    struct need term = term_of(m, at, type);
    return of_term(m, &term, NEED_EXACT, value);
}

/* The text before a general pattern's first wildcard, or after its last. */
static struct need *general_like(struct maker *m, const struct need *what, struct slice pattern)
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
        adopt(all, of_term(m, what, NEED_PREFIX, slice_of(pattern.ptr, before)));
    if (after < pattern.len)
        adopt(all,
              of_term(m, what, NEED_SUFFIX, slice_of(pattern.ptr + after, pattern.len - after)));
    return before > 0 || after < pattern.len ? all : NULL;
}

static struct need *like(struct maker *m, const struct node *n)
{
    const struct node *left = node_at(m, n->child);
    enum like_kind kind = (enum like_kind)n->detail;
    struct slice pattern = node_text(m->x, n);
    if (kind == LIKE_CONTAINS || pattern.len == 0 || node_is_literal(left) ||
        left->kind == NODE_MISSING_CALL)
        return NULL;
    struct need what = left->kind == NODE_ATTRIBUTE ? (struct need){.name = node_text(m->x, left)}
                                                    : term_of(m, n->child, CESQL_STRING);
    if (kind == LIKE_EXACT)
        return of_term(m, &what, NEED_EXACT, pattern);
    if (kind == LIKE_PREFIX)
        return of_term(m, &what, NEED_PREFIX, pattern);
    if (kind == LIKE_SUFFIX)
        return of_term(m, &what, NEED_SUFFIX, pattern);
    return general_like(m, &what, pattern);
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

bool cesql_term_value(const struct need_term *term, const struct event *e,
                      struct cesql_scratch *scratch, struct slice *ret)
{
    struct cesql_result result = {.error = CESQL_NO_ERROR};
    struct run r = {term->x, e, scratch, &result};
    struct cesql_value value;
    scratch->used = 0;
    if (!node_evaluate(&r, term->node, &value) ||
        !value_cast(&r, &value, (enum cesql_type)term->type))
        return false;
    if (value.type != CESQL_STRING)
        scratch->used = 0; /* a number has no part in it */
    if (!value_cast(&r, &value, CESQL_STRING))
        return false;
    *ret = value.string;
    return true;
}

struct need *cesql_need(const struct cesql *x, struct event_arena *arena)
{
    struct maker m = {.x = x, .arena = arena};
    struct need *n = need_of(&m, x->root);
    return m.failed ? NULL : n;
}
