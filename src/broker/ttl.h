/* SPDX-License-Identifier: Apache-2.0 */
/* The guard against loops: the attribute knativebrokerttl says how many brokers an event may still
 * enter. Pure. */
#ifndef SLUICE_BROKER_TTL_H
#define SLUICE_BROKER_TTL_H

#include "event/event.h"

#define BROKER_TTL_DEFAULT   255 /* of an event that carries none, and the most that one may have */
#define BROKER_TTL_ATTRIBUTE "knativebrokerttl"

struct ttl_text { /* the attribute's value, which the event borrows */
    char digits[4];
};

/* Rounds left, 0 to BROKER_TTL_DEFAULT. What is no 32-bit number counts as absent, as in Knative.
 */
unsigned ttl_left(const struct event *e);
/* It says how many. */
bool ttl_is_given(const struct event *e);
/* left: 1 to BROKER_TTL_DEFAULT. 0, or -ENOSPC: the event has too many attributes. */
int ttl_set(struct event *e, unsigned left, struct ttl_text *text);

#endif
