/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of single brokers and triggers, for metrics. Loop thread; what is handed out holds
 * until the loop goes on. */
#ifndef SLUICE_BROKER_MEASURES_H
#define SLUICE_BROKER_MEASURES_H

#include "broker/broker.h"
#include "broker/ingress_measure.h"
#include "broker/trigger_measure.h"

struct broker;
struct trigger;

/* *at: 0 at first; it stays good when brokers and triggers come and go meanwhile. NULL: none left.
 */
const struct trigger *measures_next_trigger(const struct broker_core *b, uint32_t *at);
const struct broker *measures_next_broker(const struct broker_core *b, uint32_t *at);

struct measures_names {
    struct slice namespace_name, broker, trigger; /* of a broker: no trigger */
    struct slice filter_type; /* the type that the trigger's filter.attributes ask for, or any */
};
void measures_trigger_names(const struct trigger *t, struct measures_names *ret);
void measures_broker_names(const struct broker *broker, struct measures_names *ret);

enum trigger_gauge {
    TRIGGER_READY,
    TRIGGER_PAUSED,
    TRIGGER_BREAKER_OPEN,
    TRIGGER_IN_FLIGHT,
    TRIGGER_WAITING,
    TRIGGER_RETRYING,
    TRIGGER_DEAD_KEPT,
    TRIGGER_LAG,    /* positions of the log from the oldest event that has had no attempt or is in
                       its first, or that was not read yet, to the end */
    TRIGGER_OLDEST, /* seconds since the oldest event arrived that has not ended, of the retries
                       that are in memory; this one looks at each of them */
    TRIGGER_GAUGES
};
double measures_trigger_gauge(const struct trigger *t, enum trigger_gauge which);
/* How many TRIGGER_OLDEST looks at. */
unsigned measures_trigger_retries(const struct trigger *t);
const struct trigger_measure *measures_trigger(const struct trigger *t);

const struct ingress_measure *measures_broker(const struct broker *broker);
unsigned measures_broker_triggers(const struct broker *broker);

#endif
