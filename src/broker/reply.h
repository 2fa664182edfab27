/* SPDX-License-Identifier: Apache-2.0 */
/* The event that a subscriber answers with. Loop thread. */
#ifndef SLUICE_BROKER_REPLY_H
#define SLUICE_BROKER_REPLY_H

#include "broker/delivery.h"

/* Concludes the delivery by an answer of 2xx that may hold a reply. */
void reply_take(struct delivery *d, const struct http_call_result *result);
/* Concludes the delivery: well if the event can be kept for the broker of that number. */
void reply_conclude(struct delivery *d, struct event *reply, uint32_t broker);

#endif
