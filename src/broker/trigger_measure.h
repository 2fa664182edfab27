/* SPDX-License-Identifier: Apache-2.0 */
/* What a trigger's metrics say of its deliveries. Loop thread. */
#ifndef SLUICE_BROKER_TRIGGER_MEASURE_H
#define SLUICE_BROKER_TRIGGER_MEASURE_H

#include "broker/type_name.h"
#include "observe/histogram.h"

#include <stdbool.h>
#include <stdint.h>

#define TRIGGER_TYPES_MAX 16 /* of one trigger that have numbers of their own */
#define TRIGGER_CODES_MAX 12 /* of one type; the rest counts by its class */
/* Types and codes of all triggers beyond the first of each, which together take that much. */
#define TRIGGER_SERIES_MAX 65536

enum trigger_count {
    TRIGGER_MATCHED,
    TRIGGER_DELIVERED,
    TRIGGER_FAILED,
    TRIGGER_RETRIED,
    TRIGGER_DEAD,
    TRIGGER_REPLIES,
    TRIGGER_DELAYED,
    TRIGGER_EXPIRED,
    TRIGGER_SINK_DELIVERED, /* to the dead-letter sink */
    TRIGGER_SINK_FAILED,
    TRIGGER_COUNTS
};

struct trigger_series;

struct trigger_measure {
    uint64_t counts[TRIGGER_COUNTS];
    struct trigger_series *series; /* a list; the type that came last first */
    unsigned types;
};

struct delivery;
struct event;
struct trigger;

void trigger_measure_done(struct trigger *t);
void trigger_measure_count(struct trigger *t, enum trigger_count what);
/* An attempt begins; it is over, with the subscriber's status (0: no answer). Those to the
 * dead-letter sink are not measured. */
void trigger_measure_began(struct delivery *d, const struct event *e);
void trigger_measure_ended(struct delivery *d, unsigned code);
/* What the attempt led to. */
void trigger_measure_concluded(const struct delivery *d);

/* ---- what is shown ---- */
struct trigger_attempts {
    struct slice type;
    unsigned code; /* 0: no answer; 1 to 5: others of that class */
    struct histogram_sums took;
};
struct trigger_waits {
    struct slice type;
    struct histogram_sums took;
};
/* *at: {0} at first. False: no more. */
struct trigger_measure_place {
    const struct trigger_series *series;
    unsigned code;
    bool begun;
};
bool trigger_measure_next_attempts(const struct trigger_measure *m,
                                   struct trigger_measure_place *at, struct trigger_attempts *ret);
bool trigger_measure_next_waits(const struct trigger_measure *m, struct trigger_measure_place *at,
                                struct trigger_waits *ret);

#endif
