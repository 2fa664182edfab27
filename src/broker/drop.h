/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that nobody wants any more: their trigger or their broker is deleted. Requests under
 * way are cut. Loop thread. */
#ifndef SLUICE_BROKER_DROP_H
#define SLUICE_BROKER_DROP_H

#include "broker/delivery.h"

/* The trigger is deleted, or the core ends: its deliveries leave memory. */
void drop_with_trigger(struct trigger *t);
/* The broker is deleted: its deliveries that have not ended leave memory and tables, and are
 * counted. One whose outcome is on its way to the log does when that has come back. Returns how
 * many went now. */
uint64_t drop_with_broker(struct trigger *t);
/* That outcome is in the log, or was refused. */
void drop_late(struct delivery *d);
/* An outcome that was on its way when the broker was deleted has been dealt with: after the last
 * one the status of the trigger says how many went. */
void drop_came_back(struct trigger *t);
/* Counts deliveries that went with their broker. */
void drop_count(struct trigger *t, uint64_t deliveries);

#endif
