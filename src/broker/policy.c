/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery specification that a trigger's deliveries follow (Knative's DeliverySpec). */
#include "broker/policy.h"

#include "base/clock.h"
#include "broker/trigger.h"

#include <string.h>

/* Knative's default for brokers: 10 retries, exponential, 0.2 s. */
const struct policy policy_default = {
    .retry = 10,
    .delay_ns = 200 * CLOCK_MILLISECOND,
    .timeout_ns = DELIVERY_TIMEOUT_DEFAULT,
    .retry_after_max_ns = RETRY_DELAY_MAX,
};

void policy_done(struct policy *p)
{
    target_done(&p->dead_letter);
    *p = policy_default;
}

/* The trigger's delivery spec stands alone when it is there (it replaces the broker's, it does not
 * merge). One that speaks of back-off but not of `retry` means no retries, as in Knative; one that
 * does neither (a dead-letter sink alone) keeps the default. */
int policy_read(struct policy *p, const struct trigger *t, struct error *err)
{
    *p = policy_default;
    const json_t *delivery = resource_at(t->resource->object, "spec.delivery");
    const struct resource *owner = t->resource;
    if (delivery == NULL && t->broker != NULL) {
        owner = t->broker->resource;
        delivery = resource_at(owner->object, "spec.delivery");
    }
    if (delivery == NULL)
        return 0;
    bool shapes_retries = json_object_get(delivery, "retry") != NULL ||
                          json_object_get(delivery, "backoffPolicy") != NULL ||
                          json_object_get(delivery, "backoffDelay") != NULL;
    p->retry = (unsigned)resource_integer_at(delivery, "retry", shapes_retries ? 0 : 10);
    const char *backoff = resource_text_at(delivery, "backoffPolicy");
    p->linear = backoff != NULL && strcmp(backoff, "linear") == 0;
    p->delay_ns = resource_duration_at(delivery, "backoffDelay", policy_default.delay_ns);
    p->timeout_ns = resource_duration_at(delivery, "timeout", policy_default.timeout_ns);
    p->retry_after_max_ns =
        resource_duration_at(delivery, "retryAfterMax", policy_default.retry_after_max_ns);
    int r = target_resolve(json_object_get(delivery, "deadLetterSink"), owner->namespace_name,
                           &p->dead_letter, err);
    return r < 0 ? error_prefix(err, "spec.delivery.deadLetterSink") : 0;
}

uint64_t policy_backoff(const struct policy *p, unsigned n)
{
    uint64_t times = p->linear ? n : UINT64_C(1) << (n > 32 ? 31 : n - 1);
    return p->delay_ns > RETRY_DELAY_MAX / times ? RETRY_DELAY_MAX : p->delay_ns * times;
}
