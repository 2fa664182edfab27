/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a trigger's deliveries may go: what its annotations say of pause, requests at the same
 * time, rate and circuit breaker. All of it is about the subscriber: deliveries to the dead-letter
 * sink have a window of their own, and only the pause holds them. Loop thread. */
#ifndef SLUICE_BROKER_FLOW_H
#define SLUICE_BROKER_FLOW_H

#include "base/loop.h"
#include "broker/breaker.h"
#include "broker/rate.h"

#include <jansson.h>

/* Bytes of events under way to one subscriber, beyond which only one starts at a time. */
#define FLOW_BYTES_MAX (48u << 20)

struct flow {
    bool paused;
    unsigned window;    /* requests at the same time */
    unsigned in_flight; /* to the subscriber */
    unsigned to_sink;   /* to the dead-letter sink */
    size_t bytes;       /* of the events in flight to the subscriber */
    struct rate rate;
    struct breaker breaker;
    uint64_t open_since_ns; /* realtime */
    struct loop_timer wake; /* one may start then */
    struct loop_timer show; /* the status is to say what has changed */
};

/* Of the descriptors that may be open, one in so many is for requests to subscribers: those of
 * one broker whose subscribers hold them must not take what others need. */
#define FLOW_DESCRIPTORS_SHARE 4

struct trigger;
struct delivery;

/* Requests of all triggers at the same time, beyond which each may have its share, and one at
 * least.
 */
uint64_t flow_requests_max(void);

void flow_init(struct trigger *t);
void flow_done(struct trigger *t);
/* The annotations, anew. */
void flow_read(struct trigger *t);
/* May one start to the subscriber, to the dead-letter sink? When it is a matter of time the pump
 * runs then. */
bool flow_allows(struct trigger *t);
bool flow_allows_sink(const struct trigger *t);
/* It starts; its event is there. */
void flow_start(struct trigger *t, struct delivery *d);
/* It was answered, or will not be. True: it was a probe of the circuit breaker and failed, and is
 * as if it had not started. */
bool flow_end(struct trigger *t, struct delivery *d);
void flow_cut(struct trigger *t, struct delivery *d);
/* Those that the settings call for. */
void flow_add_conditions(const struct trigger *t, json_t *conditions);
/* What Ready says besides; "" for nothing. */
const char *flow_ready_reason(const struct trigger *t);

#endif
