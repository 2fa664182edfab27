/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker's status says: its address, and whether its dead-letter sink is there. Ready
 * depends on that (control-plane.md, Broker Lifecycle), events do not: they are taken and delivered
 * all the same, and dead letters are kept. */
#include "base/buf.h"
#include "broker/broker_internal.h"
#include "broker/trigger.h"

#include <stdlib.h>
#include <string.h>

static bool sink_ready(struct broker_core *b, struct broker *broker, struct refusal *v)
{
    const struct resource *resource = broker->resource;
    v->reason = "DeadLetterSinkNotResolved";
    target_done(&broker->dead_letter);
    if (target_resolve(resource_at(resource->object, "spec.delivery.deadLetterSink"),
                       resource->namespace_name, &broker->dead_letter, &v->err) < 0)
        return false;
    target_locate(b, &broker->dead_letter);
    return target_ready(b, &broker->dead_letter, v);
}

static void add_address(const struct broker_core *b, const struct broker *broker, json_t *status)
{
    autobuf url = BUF_INIT;
    buf_printf(&url, "%s/%s/%s", b->base_url, broker->resource->namespace_name,
               broker->resource->name);
    if (!buf_ok(&url))
        return;
    json_t *address = json_object();
    json_object_set_new(address, "name", json_string("http"));
    json_object_set_new(address, "url", json_string(url.ptr));
    json_object_set_new(status, "address", address);
}

static void set_status(struct broker_core *b, struct broker *broker, const struct refusal *v)
{
    if (b->base_url == NULL)
        return;
    const char *uri = broker->dead_letter.uri;
    const char *sink_reason = !broker->ready ? v->reason
                              : uri == NULL  ? "DeadLetterSinkNotConfigured"
                                             : "";
    const char *good = broker->ready ? "True" : "False";
    json_t *conditions = json_array();
    json_array_append_new(conditions, registry_condition("Addressable", "True", "", ""));
    json_array_append_new(conditions, registry_condition("DeadLetterSinkResolved", good,
                                                         sink_reason, v->err.message));
    json_array_append_new(
        conditions,
        registry_condition("Ready", good, broker->ready ? "" : v->reason, v->err.message));
    json_t *status = json_object();
    add_address(b, broker, status);
    if (broker->ready && uri != NULL)
        json_object_set_new(status, "deadLetterSinkUri", json_string(uri));
    json_object_set_new(status, "conditions", conditions);
    registry_set_status(b->registry, broker->resource, status);
}

void broker_refresh(struct broker_core *b, struct broker *broker)
{
    struct refusal v = {.err = ERROR_INIT};
    broker->ready = sink_ready(b, broker, &v);
    list_for_each_safe (node, following, &broker->triggers)
        trigger_refresh(list_entry(node, struct trigger, broker_link));
    set_status(b, broker, &v);
}

static void refresh_where(struct broker_core *b,
                          bool (*holds)(const struct target *target, const void *ctx),
                          const void *ctx)
{
    for (uint32_t i = 0; i < b->number_cap; i++) {
        struct broker *broker = broker_by_number(b, i);
        if (broker != NULL && holds(&broker->dead_letter, ctx))
            broker_refresh(b, broker);
    }
    for (uint32_t i = 0; i < b->number_cap; i++) {
        struct trigger *t = trigger_by_number(b, i);
        if (t != NULL && (holds(&t->subscriber, ctx) || holds(&t->policy.dead_letter, ctx)))
            trigger_refresh(t);
    }
}

static bool is_broker(const struct target *target, const void *ctx)
{
    (void)ctx;
    return target->kind == TARGET_BROKER;
}

void broker_refresh_forwarding(struct broker_core *b)
{
    refresh_where(b, is_broker, NULL);
}

struct function_name {
    const char *namespace_name, *name;
};

static bool is_function(const struct target *target, const void *ctx)
{
    const struct function_name *f = ctx;
    return target->kind == TARGET_FUNCTION &&
           strcmp(target->namespace_name, f->namespace_name) == 0 &&
           strcmp(target->name, f->name) == 0;
}

void broker_core_sink_changed(struct broker_core *b, const char *namespace_name, const char *name)
{
    refresh_where(b, is_function, &(struct function_name){namespace_name, name});
}

void broker_refresh_all(struct broker_core *b)
{
    for (uint32_t i = 0; i < b->number_cap; i++) {
        struct broker *broker = broker_by_number(b, i);
        struct refusal v = {.err = ERROR_INIT};
        if (broker != NULL)
            broker->ready = sink_ready(b, broker, &v);
    }
    broker_each_trigger(b, trigger_refresh);
}

void broker_core_set_address(struct broker_core *b, const char *base_url)
{
    free(b->base_url);
    b->base_url = strdup(base_url);
    for (uint32_t i = 0; i < b->number_cap; i++) {
        struct broker *broker = broker_by_number(b, i);
        struct refusal v = {.err = ERROR_INIT};
        if (broker == NULL)
            continue;
        broker->ready = sink_ready(b, broker, &v);
        set_status(b, broker, &v);
    }
    broker_refresh_forwarding(b);
}
