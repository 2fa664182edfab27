/* SPDX-License-Identifier: Apache-2.0 */
/* eventing.knative.dev/v1 Broker. */
#include "base/memory.h"
#include "resource/annotation.h"
#include "resource/resource_internal.h"

static int broker_check(const json_t *object, struct error *err)
{
    return delivery_check(object, "spec.delivery", err);
}

/* Another class is another implementation, with a store of its own (control-plane.md, Broker
 * Lifecycle).
 */
static int broker_check_change(const json_t *before, const json_t *after, struct error *err)
{
    return annotation_check_kept(before, after, "eventing.knative.dev/broker.class",
                                 "delete the Broker and create it again", err);
}

static const struct resource_field fields[] = {
    {"spec", RESOURCE_OBJECT, .fallback = "{}", .help = "what the broker should do"},
    {"spec.config", RESOURCE_OBJECT, .help = "reference to settings of the broker's class"},
    {"spec.config.apiVersion", RESOURCE_STRING, .max = 317, .help = "API version of the object"},
    {"spec.config.kind", RESOURCE_STRING, .max = 63, .help = "kind of the object"},
    {"spec.config.name", RESOURCE_STRING, .max = 253, .help = "name of the object"},
    {"spec.config.namespace", RESOURCE_STRING, .max = 63, .help = "namespace of the object"},
    DELIVERY_FIELDS,
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"READY", "condition:Ready.status", 0},
    {"REASON", "condition:Ready.reason", 0},
    {"URL", "status.address.url", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

static const char *const immutable[] = {"spec.config", NULL};

const struct resource_kind resource_kind_broker = {
    .group = "eventing.knative.dev",
    .version = "v1",
    .kind = "Broker",
    .plural = "brokers",
    .singular = "broker",
    .namespaced = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .immutable = immutable,
    .check = broker_check,
    .check_change = broker_check_change,
    .help = "A named, durable, ordered log of events in a namespace.",
};
