/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that wait for their next attempt, and the rows that stand for them. */
#ifndef SLUICE_BROKER_RETRY_H
#define SLUICE_BROKER_RETRY_H

#include "broker/delivery.h"

void retry_schedule(struct delivery *d);
/* It is not counted as one whose event cannot be read. */
void retry_readable(struct delivery *d);
/* All rows of RETRIES, at start. */
int retry_load(struct broker_core *b);
/* Due ones that there was no room for are queued, as far as there is now: true when there were
 * any. */
bool retry_take_crowded(struct trigger *t);
/* Deletes the rows of deliveries: begin, each of them, end. A dead letter keeps its payload. */
void retry_forget_begin(struct store_group *g);
void retry_forget_delivery(const struct delivery *d, struct store_group *g);
void retry_forget_end(struct broker_core *b, struct store_group *g);
/* Removes the rows that an outcome has written since its trigger was deleted. */
void retry_forget_outcome(const struct delivery *d);
/* Removes what the tables hold for a deleted trigger; looks at all of RETRIES. */
void retry_forget(struct broker_core *b, uint32_t trigger);
/* The same for triggers whose deletion a crash cut short; at start. */
void retry_forget_orphans(struct broker_core *b);

#endif
