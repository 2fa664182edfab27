/* SPDX-License-Identifier: Apache-2.0 */
/* The request that carries an event. Loop thread. */
#ifndef SLUICE_BROKER_REQUEST_H
#define SLUICE_BROKER_REQUEST_H

#include "broker/delivery.h"

/* Sends the event to the target; the answer comes to answer_received(). 0 or negative errno. */
int request_send(struct delivery *d, const struct target *target, const struct event *e);

#endif
