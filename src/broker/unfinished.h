/* SPDX-License-Identifier: Apache-2.0 */
/* Which positions a trigger has deliveries of that have not ended: those in memory, and those on
 * their way to the dead-letter sink. As of when the trigger was first asked for, so it is for one
 * turn. Loop thread. */
#ifndef SLUICE_BROKER_UNFINISHED_H
#define SLUICE_BROKER_UNFINISHED_H

#include "broker/trigger.h"

struct unfinished { /* start with {0} */
    uint32_t trigger;
    struct buf positions; /* sorted */
};

/* True also when there is no memory to know it. */
bool unfinished_has(struct unfinished *u, const struct trigger *t, uint64_t position);
void unfinished_done(struct unfinished *u);

#endif
