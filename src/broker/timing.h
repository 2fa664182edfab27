/* SPDX-License-Identifier: Apache-2.0 */
/* Two extension attributes that say when an event may be delivered, both RFC 3339: not before
 * deliverytime, and not after expirytime (CloudEvents' expirytime extension). */
#ifndef SLUICE_BROKER_TIMING_H
#define SLUICE_BROKER_TIMING_H

#include "base/clock.h"
#include "base/error.h"
#include "event/event.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMING_DELIVERY "deliverytime"
#define TIMING_EXPIRY   "expirytime"
#define TIMING_DAYS_MAX 366 /* that a delivery may be put off */

struct delivery;

/* Has the event one of the two? */
bool timing_is_given(const struct event *e);
/* At ingress, on any thread: both are times, and the delivery is not put off for too long. 0 or
 * -EINVAL with the attribute's name in err. now_ns is realtime, here and below. */
int timing_check(const struct event *e, uint64_t now_ns, struct error *err);

enum timing { TIMING_NOW, TIMING_LATER, TIMING_EXPIRED };
/* What is to be done with an event; LATER: *ret_due_ns. A value that is no time (a reply is not
 * refused for one) says nothing. */
enum timing timing_of(const struct event *e, uint64_t now_ns, uint64_t *ret_due_ns);

/* Loop thread. Of a delivery that is about to wait or to start, with its event: true when it is not
 * to be delivered now. Then its end, or the row that it waits in, is on its way to the log. */
bool timing_set_aside(struct delivery *d);
/* The delivery leaves memory, or waits like any other now. */
void timing_settled(struct delivery *d);
/* A retry that would come after the event has expired comes when it does: to end it. */
void timing_shorten(struct delivery *d);

#endif
