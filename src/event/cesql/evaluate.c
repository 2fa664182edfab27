/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluation of a compiled expression: CESQL §3.2 to §3.6, in the fail-fast mode of §4.1. The
 * height of a tree is bounded when it is parsed (CESQL_DEPTH_MAX), so recursion is. */
#include "base/memory.h"
#include "base/must.h"
#include "event/cesql/cesql_internal.h"

void value_set_zero(struct cesql_value *v, enum cesql_type type)
{
    if (type == CESQL_STRING)
        value_set_string(v, SLICE(""));
    else if (type == CESQL_INTEGER)
        value_set_integer(v, 0);
    else
        value_set_boolean(v, false);
}

bool run_fail(struct run *r, enum cesql_error error, enum cesql_reason reason)
{
    r->result->error = error;
    r->result->reason = reason;
    r->result->node = NODE_NONE; /* the node that is evaluated puts itself there */
    return false;
}

char *run_reserve(struct run *r, size_t len)
{
    struct cesql_scratch *s = r->scratch;
    if (len > sizeof(s->bytes) - s->used) {
        run_fail(r, CESQL_GENERIC, REASON_SCRATCH);
        return NULL;
    }
    char *out = s->bytes + s->used;
    s->used += len;
    return out;
}

/* For the message: where the error arose. */
static bool fail_here(struct run *r, uint32_t node)
{
    if (r->result->node == NODE_NONE)
        r->result->node = node;
    return false;
}

static bool zero(struct cesql_value *ret, enum cesql_type type)
{
    value_set_zero(ret, type);
    return false;
}

/* The value of a child, cast; an error of the cast is at the child. */
static bool evaluate_as(struct run *r, uint32_t node, enum cesql_type type, struct cesql_value *ret)
{
    return node_evaluate(r, node, ret) && (value_cast(r, ret, type) || fail_here(r, node));
}

/* Both operands are evaluated before any is cast. */
static bool evaluate_two(struct run *r, const struct node *n, struct cesql_value *a,
                         struct cesql_value *b)
{
    return node_evaluate(r, n->child, a) && node_evaluate(r, r->x->nodes[n->child].next, b);
}

static bool evaluate_integers(struct run *r, const struct node *n, int32_t *ret_a, int32_t *ret_b)
{
    struct cesql_value a, b;
    uint32_t right = r->x->nodes[n->child].next;
    if (!evaluate_two(r, n, &a, &b))
        return false;
    if (!value_cast(r, &a, CESQL_INTEGER))
        return fail_here(r, n->child);
    if (!value_cast(r, &b, CESQL_INTEGER))
        return fail_here(r, right);
    *ret_a = a.integer;
    *ret_b = b.integer;
    return true;
}

static const struct event_attribute *attribute_find(const struct event *e, struct slice name)
{
    for (unsigned i = 0; i < e->count; i++) {
        const struct event_attribute *a = &e->attributes[i];
        if (a->name.len == name.len && memcmp(a->name.ptr, name.ptr, name.len) == 0)
            return a;
    }
    return NULL;
}

static bool is_specversion(struct slice name)
{
    return name.len == strlen("specversion") && memcmp(name.ptr, "specversion", name.len) == 0;
}

/* A cast back to String gives the same text: what an index says of the text holds for the value. */
static bool is_integer(struct slice text, int32_t *ret)
{
    char again[INTEGER_TEXT_MAX];
    return integer_parse(text, ret) &&
           slice_equal(text, slice_of(again, integer_write(*ret, again)));
}

static bool is_boolean(struct slice text)
{
    return slice_is(text, "true") || slice_is(text, "false");
}

/* §3.2. In binary mode all values are text; a number too large for an Integer stays text. */
static bool attribute(struct run *r, uint32_t node, const struct node *n, struct cesql_value *ret)
{
    struct slice name = node_text(r->x, n);
    const struct event_attribute *a = attribute_find(r->event, name);
    int32_t integer;
    if (a == NULL && is_specversion(name)) {
        value_set_string(ret, slice_text(event_version_text(r->event->version)));
    } else if (a == NULL) {
        run_fail(r, CESQL_MISSING_ATTRIBUTE, REASON_MISSING_ATTRIBUTE);
        r->result->node = node;
        return zero(ret, CESQL_BOOLEAN);
    } else if (a->kind == EVENT_VALUE_BOOLEAN && is_boolean(a->value)) {
        value_set_boolean(ret, slice_is(a->value, "true"));
    } else if (a->kind == EVENT_VALUE_INTEGER && is_integer(a->value, &integer)) {
        value_set_integer(ret, integer);
    } else {
        value_set_string(ret, a->value);
    }
    return true;
}

static void exists(struct run *r, const struct node *n, struct cesql_value *ret)
{
    struct slice name = node_text(r->x, n);
    value_set_boolean(ret, attribute_find(r->event, name) != NULL ||
                               event_is_required(name)); /* §3.4.4: always */
}

static bool same_value(const struct cesql_value *a, const struct cesql_value *b)
{
    if (a->type == CESQL_STRING)
        return slice_equal(a->string, b->string);
    return a->type == CESQL_INTEGER ? a->integer == b->integer : a->boolean == b->boolean;
}

/* The right operand says which of the three operators it is (§3.7). */
static bool equal(struct run *r, const struct node *n, struct cesql_value *ret)
{
    struct cesql_value a, b;
    if (!evaluate_two(r, n, &a, &b))
        return zero(ret, CESQL_BOOLEAN);
    if (!value_cast(r, &a, b.type)) {
        fail_here(r, n->child);
        return zero(ret, CESQL_BOOLEAN);
    }
    value_set_boolean(ret, same_value(&a, &b) == (n->kind == NODE_EQUAL));
    return true;
}

static bool compare(struct run *r, const struct node *n, struct cesql_value *ret)
{
    int32_t a, b;
    if (!evaluate_integers(r, n, &a, &b))
        return zero(ret, CESQL_BOOLEAN);
    bool less = n->kind == NODE_LESS || n->kind == NODE_LESS_EQUAL;
    bool or_equal = n->kind == NODE_LESS_EQUAL || n->kind == NODE_GREATER_EQUAL;
    value_set_boolean(ret, a == b ? or_equal : less == (a < b));
    return true;
}

/* What is no number of 32 bits is a math error with the value 0. */
static bool arithmetic(struct run *r, uint32_t node, const struct node *n, struct cesql_value *ret)
{
    int32_t a, b, out = 0;
    bool overflow = false;
    value_set_integer(ret, 0);
    if (!evaluate_integers(r, n, &a, &b))
        return false;
    bool division = n->kind == NODE_DIVIDE || n->kind == NODE_MODULO;
    if (division && b == 0) {
        run_fail(r, CESQL_MATH, REASON_DIVISION_BY_ZERO);
        return fail_here(r, node);
    }
    if (n->kind == NODE_MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &out);
    else if (n->kind == NODE_ADD)
        overflow = __builtin_add_overflow(a, b, &out);
    else if (n->kind == NODE_SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &out);
    else if (b == -1) /* the one division that can overflow */
        overflow = n->kind == NODE_DIVIDE && __builtin_sub_overflow(0, a, &out);
    else
        out = n->kind == NODE_DIVIDE ? a / b : a % b;
    if (overflow) {
        run_fail(r, CESQL_MATH, REASON_OVERFLOW);
        return fail_here(r, node);
    }
    value_set_integer(ret, out);
    return true;
}

static bool negate(struct run *r, uint32_t node, const struct node *n, struct cesql_value *ret)
{
    if (!evaluate_as(r, n->child, CESQL_INTEGER, ret))
        return zero(ret, CESQL_INTEGER);
    if (ret->integer == INT32_MIN) {
        run_fail(r, CESQL_MATH, REASON_OVERFLOW);
        fail_here(r, node);
        return zero(ret, CESQL_INTEGER);
    }
    value_set_integer(ret, -ret->integer);
    return true;
}

/* An Integer other than 0 and 1 is no truth value for NOT: the specification's test kit has
 * `NOT 10` as a cast error with the value true, though §3.7 casts any Integer. */
static bool not_(struct run *r, const struct node *n, struct cesql_value *ret)
{
    if (!node_evaluate(r, n->child, ret))
        return zero(ret, CESQL_BOOLEAN);
    if (ret->type == CESQL_INTEGER && ret->integer != 0 && ret->integer != 1) {
        char *text = run_reserve(r, INTEGER_TEXT_MAX);
        if (text != NULL) {
            r->result->wanted = CESQL_BOOLEAN;
            r->result->subject = slice_of(text, integer_write(ret->integer, text));
            run_fail(r, CESQL_CAST, REASON_CAST);
        }
        value_set_boolean(ret, true);
        return fail_here(r, n->child);
    }
    if (!value_cast(r, ret, CESQL_BOOLEAN)) {
        fail_here(r, n->child);
        return zero(ret, CESQL_BOOLEAN);
    }
    value_set_boolean(ret, !ret->boolean);
    return true;
}

/* AND and OR end at the first operand that decides (§3.6). */
static bool logic(struct run *r, const struct node *n, struct cesql_value *ret)
{
    bool value = n->kind == NODE_AND;
    for (uint32_t i = n->child; i != NODE_NONE; i = r->x->nodes[i].next) {
        if (!evaluate_as(r, i, CESQL_BOOLEAN, ret))
            return zero(ret, CESQL_BOOLEAN);
        if (n->kind == NODE_XOR) {
            value = value != ret->boolean;
        } else {
            value = ret->boolean;
            if (value == (n->kind == NODE_OR))
                break;
        }
    }
    value_set_boolean(ret, value);
    return true;
}

static bool like(struct run *r, const struct node *n, struct cesql_value *ret)
{
    if (!evaluate_as(r, n->child, CESQL_STRING, ret))
        return zero(ret, CESQL_BOOLEAN);
    value_set_boolean(ret,
                      like_matches((enum like_kind)n->detail, node_text(r->x, n), ret->string));
    return true;
}

/* The left side says the type (§3.4.5). */
static bool in(struct run *r, const struct node *n, struct cesql_value *ret)
{
    struct cesql_value left, item;
    if (!node_evaluate(r, n->child, &left))
        return zero(ret, CESQL_BOOLEAN);
    bool found = false;
    uint32_t i = r->x->nodes[n->child].next;
    for (; i != NODE_NONE && !found; i = r->x->nodes[i].next) {
        if (!evaluate_as(r, i, left.type, &item))
            return zero(ret, CESQL_BOOLEAN);
        found = same_value(&left, &item);
    }
    value_set_boolean(ret, found);
    return true;
}

/* Apart, so that the arguments take room on the stack only where there is a call. */
__attribute__((noinline)) static bool call(struct run *r, uint32_t node, const struct node *n,
                                           struct cesql_value *ret)
{
    const struct function *f = &cesql_functions[n->detail];
    struct cesql_value arguments[CESQL_ARGUMENTS_MAX];
    unsigned count = 0;
    for (uint32_t i = n->child; i != NODE_NONE; i = r->x->nodes[i].next) {
        enum cesql_type type = count == 0 ? f->first : f->rest;
        must(count < CESQL_ARGUMENTS_MAX);
        if (!node_evaluate(r, i, &arguments[count]))
            return zero(ret, f->type);
        if (type != FUNCTION_ANY_TYPE && !value_cast(r, &arguments[count], type)) {
            fail_here(r, i);
            return zero(ret, f->type);
        }
        count++;
    }
    return f->run(r, arguments, count, ret) || fail_here(r, node);
}

bool node_evaluate(struct run *r, uint32_t node, struct cesql_value *ret)
{
    const struct node *n = &r->x->nodes[node];
    switch ((enum node_kind)n->kind) {
    case NODE_LITERAL_BOOLEAN:
        value_set_boolean(ret, n->integer != 0);
        return true;
    case NODE_LITERAL_INTEGER:
        value_set_integer(ret, n->integer);
        return true;
    case NODE_LITERAL_STRING:
        value_set_string(ret, node_text(r->x, n));
        return true;
    case NODE_ATTRIBUTE:
        return attribute(r, node, n, ret);
    case NODE_EXISTS:
        exists(r, n, ret);
        return true;
    case NODE_CALL:
        return call(r, node, n, ret);
    case NODE_MISSING_CALL:
        run_fail(r, CESQL_MISSING_FUNCTION, REASON_MISSING_FUNCTION);
        fail_here(r, node);
        return zero(ret, CESQL_BOOLEAN);
    case NODE_NOT:
        return not_(r, n, ret);
    case NODE_NEGATE:
        return negate(r, node, n, ret);
    case NODE_LIKE:
        return like(r, n, ret);
    case NODE_IN:
        return in(r, n, ret);
    case NODE_MULTIPLY:
    case NODE_DIVIDE:
    case NODE_MODULO:
    case NODE_ADD:
    case NODE_SUBTRACT:
        return arithmetic(r, node, n, ret);
    case NODE_EQUAL:
    case NODE_NOT_EQUAL:
        return equal(r, n, ret);
    case NODE_LESS:
    case NODE_LESS_EQUAL:
    case NODE_GREATER:
    case NODE_GREATER_EQUAL:
        return compare(r, n, ret);
    case NODE_AND:
    case NODE_OR:
    case NODE_XOR:
        return logic(r, n, ret);
    case NODE_KIND_COUNT:
        break;
    }
    must(false);
    return false;
}

void cesql_evaluate(const struct cesql *x, const struct event *e, struct cesql_scratch *scratch,
                    struct cesql_result *ret)
{
    scratch->used = 0;
    ret->error = CESQL_NO_ERROR;
    ret->reason = REASON_NONE;
    struct run r = {x, e, scratch, ret};
    node_evaluate(&r, x->root, &ret->value);
}

bool cesql_matches(const struct cesql *x, const struct event *e, struct cesql_scratch *scratch)
{
    struct cesql_result result;
    cesql_evaluate(x, e, scratch, &result);
    return result.error == CESQL_NO_ERROR && result.value.type == CESQL_BOOLEAN &&
           result.value.boolean;
}
