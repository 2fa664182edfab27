/* SPDX-License-Identifier: Apache-2.0 */
/* An encoded event in memory, shared by the deliveries of several triggers. Loop thread. */
#ifndef SLUICE_BROKER_EVENT_HOLD_H
#define SLUICE_BROKER_EVENT_HOLD_H

#include "base/slice.h"

#include <stdint.h>

struct event_hold {
    unsigned refs;
    uint32_t len;
    char bytes[];
};

/* NULL: out of memory. */
struct event_hold *event_hold_new(struct slice encoded);
struct event_hold *event_hold_ref(struct event_hold *h);
void event_hold_unref(struct event_hold *h);

#endif
