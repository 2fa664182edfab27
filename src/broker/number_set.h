/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of brokers or triggers that a query wants, so that other threads than the loop's can tell
 * without their names. */
#ifndef SLUICE_BROKER_NUMBER_SET_H
#define SLUICE_BROKER_NUMBER_SET_H

#include "broker/broker_internal.h"

struct number_set {
    bool all; /* nothing was asked for: deleted ones are wanted, too */
    uint8_t *bits;
    uint32_t cap; /* numbers */
};

/* Loop thread. Namespace or name "" or with ptr NULL: any. -ENOMEM; -ENOENT: there is none. */
int number_set_brokers(struct number_set *s, const struct broker_core *b,
                       struct slice namespace_name, struct slice name);
int number_set_triggers(struct number_set *s, const struct broker_core *b,
                        struct slice namespace_name, struct slice name);
void number_set_done(struct number_set *s);

static inline bool number_set_has(const struct number_set *s, uint32_t number)
{
    return s->all || (number < s->cap && (s->bits[number / 8] >> (number % 8) & 1) != 0);
}

#endif
