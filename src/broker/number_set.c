/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/number_set.h"

#include "broker/trigger.h"

#include <errno.h>
#include <stdlib.h>

static const struct resource *resource_of(const struct broker_core *b, uint32_t number, int kind)
{
    if (kind == NUMBER_BROKER) {
        const struct broker *broker = broker_by_number(b, number);
        return broker != NULL ? broker->resource : NULL;
    }
    const struct trigger *t = trigger_by_number(b, number);
    return t != NULL ? t->resource : NULL;
}

static int fill(struct number_set *s, const struct broker_core *b, int kind,
                struct slice namespace_name, struct slice name)
{
    bool any = false;
    s->all = namespace_name.len == 0 && name.len == 0;
    if (s->all)
        return 0;
    s->cap = (uint32_t)b->number_cap;
    s->bits = calloc(1, s->cap / 8 + 1);
    if (s->bits == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->cap; i++) {
        const struct resource *r = resource_of(b, i, kind);
        if (r == NULL || (namespace_name.len > 0 && !slice_is(namespace_name, r->namespace_name)) ||
            (name.len > 0 && !slice_is(name, r->name)))
            continue;
        s->bits[i / 8] |= (uint8_t)(1u << (i % 8));
        any = true;
    }
    return any ? 0 : -ENOENT;
}

int number_set_brokers(struct number_set *s, const struct broker_core *b,
                       struct slice namespace_name, struct slice name)
{
    return fill(s, b, NUMBER_BROKER, namespace_name, name);
}

int number_set_triggers(struct number_set *s, const struct broker_core *b,
                        struct slice namespace_name, struct slice name)
{
    return fill(s, b, NUMBER_TRIGGER, namespace_name, name);
}

void number_set_done(struct number_set *s)
{
    free(s->bits);
    s->bits = NULL;
}
