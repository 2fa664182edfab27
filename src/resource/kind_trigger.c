/* SPDX-License-Identifier: Apache-2.0 */
/* eventing.knative.dev/v1 Trigger. */
#include "base/memory.h"
#include "resource/annotation.h"
#include "resource/filter.h"
#include "resource/resource_internal.h"

#include <errno.h>

static int filter_check(const json_t *object, struct error *err)
{
    struct filter *f = NULL;
    int status = filter_compile(resource_at(object, "spec"), &f, err);
    filter_free(f);
    return status;
}

static int trigger_check(const json_t *object, struct error *err)
{
    const char *broker = resource_text_at(object, "spec.broker");
    if (!name_is_subdomain(slice_text(broker)))
        return error_field(err, -EINVAL, "spec.broker", "\"%.80s\" is no valid name", broker);
    int status = filter_check(object, err);
    if (status == 0)
        status = destination_check(object, "spec.subscriber", err);
    return status == 0 ? delivery_check(object, "spec.delivery", err) : status;
}

/* Where it started is history. */
static int trigger_check_change(const json_t *before, const json_t *after, struct error *err)
{
    return annotation_check_kept(before, after, ANNOTATION_START,
                                 "to deliver earlier events, use sluice replay", err);
}

static const struct resource_field fields[] = {
    {"spec", RESOURCE_OBJECT, .required = true, .help = "what the trigger should do"},
    {"spec.broker", RESOURCE_STRING, .fallback = "\"default\"", .min = 1, .max = 253,
     .help = "broker whose events are taken; cannot be changed later"},
    {"spec.filter", RESOURCE_OBJECT, .help = "attributes that an event must have"},
    {"spec.filter.attributes", RESOURCE_STRING_MAP, .max = 100,
     .help = "attribute: value, all of them; an empty value means any"},
    {"spec.filters", RESOURCE_LIST, .max = FILTER_LIST_MAX,
     .help = "filters that must all match; used instead of filter"},
    {"spec.filters[]", RESOURCE_ANY,
     .help = "one dialect: exact, prefix, suffix, all, any, not or cesql"},
    {"spec.subscriber", RESOURCE_OBJECT, .required = true, .help = "where matching events go"},
    DESTINATION_FIELDS("spec.subscriber", "subscriber"),
    DELIVERY_FIELDS,
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"READY", "condition:Ready.status", 0},
    {"REASON", "condition:Ready.reason", 0},
    {"BROKER", "spec.broker", 0},
    {"SUBSCRIBER_URI", "status.subscriberUri", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

static const char *const immutable[] = {"spec.broker", NULL};

const struct resource_kind resource_kind_trigger = {
    .group = "eventing.knative.dev",
    .version = "v1",
    .kind = "Trigger",
    .plural = "triggers",
    .singular = "trigger",
    .namespaced = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .immutable = immutable,
    .check = trigger_check,
    .check_change = trigger_check_change,
    .help = "A filter, a subscriber and a delivery policy on one broker.",
};
