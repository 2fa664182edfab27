/* SPDX-License-Identifier: Apache-2.0 */
/* The operands of AND, OR, XOR and NOT one by one, for those who ask why an expression is false. */
#include "event/cesql/cesql_internal.h"

static const char *operator_of(const struct node *n)
{
    if (n->kind == NODE_AND)
        return "AND";
    if (n->kind == NODE_OR)
        return "OR";
    if (n->kind == NODE_XOR)
        return "XOR";
    return n->kind == NODE_NOT ? "NOT" : NULL;
}

static void part_set(const struct cesql *x, uint32_t node, struct cesql_part *ret)
{
    const struct node *n = &x->nodes[node];
    *ret = (struct cesql_part){node, operator_of(n), slice_of(x->text + n->at, n->len)};
}

void cesql_whole(const struct cesql *x, struct cesql_part *ret)
{
    part_set(x, x->root, ret);
}

bool cesql_operand(const struct cesql *x, const struct cesql_part *of, size_t i,
                   struct cesql_part *ret)
{
    if (of->operator_name == NULL)
        return false;
    uint32_t node = x->nodes[of->node].child;
    for (; node != NODE_NONE && i > 0; i--)
        node = x->nodes[node].next;
    if (node == NODE_NONE)
        return false;
    part_set(x, node, ret);
    return true;
}

void cesql_evaluate_part(const struct cesql *x, const struct cesql_part *part,
                         const struct event *e, struct cesql_scratch *scratch,
                         struct cesql_result *ret)
{
    struct cesql from = *x;
    from.root = part->node;
    cesql_evaluate(&from, e, scratch, ret);
}
