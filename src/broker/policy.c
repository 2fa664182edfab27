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
    .retry_after_max_ns = RETRY_AFTER_DEFAULT,
};

void policy_done(struct policy *p)
{
    target_done(&p->dead_letter);
    *p = policy_default;
}

static bool says_something(const json_t *delivery)
{
    return json_object_size(delivery) > 0;
}

/* The specification that is in force, and whose it is: any field of the trigger's puts the broker's
 * aside, as a whole. NULL: neither says anything. */
static const json_t *find_delivery(const struct trigger *t, const struct resource **ret_owner)
{
    *ret_owner = t->resource;
    const json_t *delivery = resource_at(t->resource->object, "spec.delivery");
    if (!says_something(delivery) && t->broker != NULL) {
        *ret_owner = t->broker->resource;
        delivery = resource_at(t->broker->resource->object, "spec.delivery");
    }
    return says_something(delivery) ? delivery : NULL;
}

static enum policy_format format_of(const json_t *delivery)
{
    const char *format = resource_text_at(delivery, "format");
    if (format == NULL)
        return POLICY_FORMAT_ANY;
    return strcmp(format, "json") == 0 ? POLICY_FORMAT_JSON : POLICY_FORMAT_BINARY;
}

/* One that is there and does not speak of `retry` asks for none: the ten are the default of brokers
 * that say nothing. */
int policy_read(struct policy *p, const struct trigger *t, struct error *err)
{
    const struct resource *owner;
    const json_t *delivery = find_delivery(t, &owner);
    *p = policy_default;
    if (delivery == NULL)
        return 0;
    p->retry = (unsigned)resource_integer_at(delivery, "retry", 0);
    const char *backoff = resource_text_at(delivery, "backoffPolicy");
    p->linear = backoff != NULL && strcmp(backoff, "linear") == 0;
    p->format = format_of(delivery);
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
