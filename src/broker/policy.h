/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery specification that a trigger's deliveries follow. */
#ifndef SLUICE_BROKER_POLICY_H
#define SLUICE_BROKER_POLICY_H

#include "base/clock.h"
#include "broker/target.h"

#include <stdint.h>

#define DELIVERY_TIMEOUT_DEFAULT (30 * CLOCK_SECOND)
#define RETRY_DELAY_MAX          (7 * 24 * 3600 * CLOCK_SECOND) /* what back-off grows to */
#define RETRY_AFTER_DEFAULT      (3600 * CLOCK_SECOND) /* what a subscriber may ask for, unless said */

enum policy_format {                    /* content mode of deliveries to the subscriber */
                     POLICY_FORMAT_ANY, /* binary, as long as the headers are not too large for
                                           common servers */
                     POLICY_FORMAT_JSON,
                     POLICY_FORMAT_BINARY,
                     POLICY_FORMAT_COUNT
};

struct policy { /* Knative's delivery spec; the trigger's replaces the broker's */
    unsigned retry;
    bool linear;
    enum policy_format format;
    uint64_t delay_ns, timeout_ns, retry_after_max_ns;
    struct target dead_letter;
};

extern const struct policy policy_default;

struct trigger;
/* The trigger's, or its broker's when it has none. *p is good also on an error, which is about the
 * dead-letter sink: -EINVAL, -ENOMEM. */
int policy_read(struct policy *p, const struct trigger *t, struct error *err);
void policy_done(struct policy *p);
/* The wait after attempt n, counted from 1: linear n·delay, exponential delay·2^(n-1). */
uint64_t policy_backoff(const struct policy *p, unsigned n);

#endif
