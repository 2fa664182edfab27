/* SPDX-License-Identifier: Apache-2.0 */
/* One trigger: its filter, subscriber and policy, its status, and how it comes and goes. */
#include "broker/trigger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/cursor.h"
#include "broker/dead_retain.h"
#include "broker/drop.h"
#include "broker/replay.h"
#include "broker/retry.h"
#include "broker/scan.h"
#include "broker/start.h"
#include "resource/annotation.h"

#include <errno.h>

/* ---- status ---- */

static void add_condition(json_t *conditions, const char *type, bool good, const struct refusal *v)
{
    json_array_append_new(conditions,
                          registry_condition(type, good ? "True" : "False", good ? "" : v->reason,
                                             good ? "" : v->err.message));
}

static void no_broker_refusal(const struct trigger *t, struct refusal *ret)
{
    const char *name = resource_text_at(t->resource->object, "spec.broker");
    ret->reason = t->broker != NULL ? "BrokerNotReady" : "BrokerDoesNotExist";
    if (t->broker != NULL)
        error_set(&ret->err, -ENOENT, "the dead-letter sink of broker %s is not there", name);
    else if (t->dropped > 0)
        error_set(&ret->err, -ENOENT,
                  "there is no broker %s in this namespace: it was deleted, and with it %llu "
                  "deliveries that had not ended",
                  name, (unsigned long long)t->dropped);
    else
        error_set(&ret->err, -ENOENT, "there is no broker %s in this namespace", name);
}

/* "": a reference that could not be resolved (control-plane.md, Trigger Lifecycle). */
static void add_uri(json_t *status, const char *key, const struct target *target, bool good)
{
    if (target->uri != NULL)
        json_object_set_new(status, key,
                            json_string(good || target->kind == TARGET_URL ? target->uri : ""));
}

/* v is about filter and subscriber, dead_letter about the dead-letter sink. Events do not wait for
 * the latter, though Ready says so: without it they are delivered all the same, and dead letters
 * are kept.
 */
static void set_status(struct trigger *t, bool filter_good, bool sink_good, const struct refusal *v,
                       const struct refusal *dead_letter)
{
    bool broker_good = t->broker != NULL && t->broker->ready;
    struct refusal no_broker = {.err = ERROR_INIT};
    no_broker_refusal(t, &no_broker);
    struct refusal start = {.err = ERROR_INIT};
    bool start_good = start_is_known(t, &start.reason, &start.err);
    json_t *conditions = json_array();
    add_condition(conditions, "BrokerReady", broker_good, &no_broker);
    add_condition(conditions, "FilterReady", filter_good, v);
    add_condition(conditions, "SubscriberResolved", filter_good && sink_good, v);
    add_condition(conditions, "DeadLetterSinkResolved", t->dead_letter_ready, dead_letter);
    flow_add_conditions(t, conditions);
    if (broker_good && start_good && filter_good && sink_good && t->dead_letter_ready)
        json_array_append_new(conditions,
                              registry_condition("Ready", "True", flow_ready_reason(t), ""));
    else
        add_condition(conditions, "Ready", false,
                      !broker_good                  ? &no_broker
                      : !start_good                 ? &start
                      : !(filter_good && sink_good) ? v
                                                    : dead_letter);
    json_t *status = json_object();
    start_say(t, status);
    json_object_set_new(status, "conditions", conditions);
    add_uri(status, "subscriberUri", &t->subscriber, sink_good);
    add_uri(status, "deadLetterSinkUri", &t->policy.dead_letter, t->dead_letter_ready);
    registry_set_status(t->core->registry, t->resource, status);
}

/* ---- index ---- */

static void unindex(struct trigger *t)
{
    if (t->broker != NULL && t->filter != NULL)
        index_remove(&t->broker->index, t->filter, t);
}

static void detach(struct trigger *t)
{
    unindex(t);
    if (t->broker != NULL)
        list_remove(&t->broker_link);
    t->broker = NULL;
}

/* A filter that cannot be used must not lose events: the trigger holds its place until it can. */
static void hold_place(struct trigger *t)
{
    if (t->filter == NULL && t->broker != NULL && t->behind == 0)
        trigger_fall_behind(t, t->core->scanned + 1);
}

/* They are due. */
static void release_held(struct trigger *t)
{
    struct list *node;
    while (t->dead_letter_ready && (node = list_shift(&t->held)) != NULL)
        retry_schedule(list_entry(node, struct delivery, link));
}

/* Reads filter, subscriber and policy anew, and says in the status what came of it. */
void trigger_refresh(struct trigger *t)
{
    struct refusal v = {.reason = "InvalidFilter", .err = ERROR_INIT};
    struct refusal dead_letter = {.reason = "DeadLetterSinkNotResolved", .err = ERROR_INIT};
    const json_t *spec = json_object_get(t->resource->object, "spec");
    unindex(t);
    filter_free(t->filter);
    t->filter = NULL;
    target_done(&t->subscriber);
    policy_done(&t->policy);
    bool filter_good = filter_compile(spec, &t->filter, &v.err) == 0;
    if (filter_good && t->broker != NULL && index_add(&t->broker->index, t->filter, t) < 0) {
        filter_free(t->filter);
        t->filter = NULL;
        filter_good = false;
        error_set(&v.err, -ENOMEM, "out of memory");
    }
    bool policy_good = policy_read(&t->policy, t, &dead_letter.err) == 0;
    target_locate(t->core, &t->policy.dead_letter);
    t->dead_letter_ready =
        policy_good && target_ready(t->core, &t->policy.dead_letter, &dead_letter);
    bool sink_good = false;
    if (filter_good) {
        v.reason = "SubscriberNotResolved";
        sink_good = target_resolve(json_object_get(spec, "subscriber"), t->resource->namespace_name,
                                   &t->subscriber, &v.err) == 0 &&
                    target_ready(t->core, &t->subscriber, &v);
        target_locate(t->core, &t->subscriber);
        if (sink_good && !policy_good) {
            sink_good = false;
            v.err = dead_letter.err;
        }
    }
    t->ready = filter_good && sink_good && t->broker != NULL;
    flow_read(t);
    lanes_set(t, annotation_is_ordered(t->resource->object));
    if (!t->core->running) /* the whole picture comes with broker_core_start() */
        return;
    hold_place(t);
    set_status(t, filter_good, sink_good, &v, &dead_letter);
    release_held(t);
    trigger_pump(t);
}

void trigger_attach(struct trigger *t, struct broker *broker)
{
    detach(t);
    t->broker = broker;
    list_append(&broker->triggers, &t->broker_link);
    trigger_refresh(t);
}

/* ---- life ---- */

/* Loop thread, when others had their turn. */
static void go_on(struct loop_timer *timer)
{
    struct trigger *t = must_be((struct trigger *)timer->ctx, TRIGGER_MAGIC);
    t->retries_taken = 0;
    trigger_pump(t);
}

static struct trigger *trigger_new(struct broker_core *b, struct resource *resource)
{
    struct trigger *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->magic = TRIGGER_MAGIC;
    t->core = b;
    t->resource = resource;
    t->number = resource->number;
    t->policy = policy_default;
    list_init(&t->broker_link);
    list_init(&t->behind_link);
    list_init(&t->waiting);
    list_init(&t->waiting_sink);
    list_init(&t->outstanding);
    list_init(&t->retrying);
    retry_window_init(t);
    list_init(&t->crowded);
    list_init(&t->held);
    t->go_on.due = go_on;
    t->go_on.ctx = t;
    flow_init(t);
    lanes_init(t);
    return t;
}

void trigger_free(struct trigger *t)
{
    detach(t);
    trigger_readable(t);
    dead_retain_count(t, -(int64_t)t->dead_count);
    list_remove(&t->behind_link);
    loop_timer_cancel(t->core->loop, &t->go_on);
    flow_done(t);
    store_reader_free(t->catch_up);
    drop_with_trigger(t);
    retry_window_done(t);
    lanes_done(t);
    filter_free(t->filter);
    target_done(&t->subscriber);
    policy_done(&t->policy);
    trigger_measure_done(t);
    free(t->done_before.positions);
    start_free_search(t);
    replay_leave(t);
    t->magic = 0;
    free(t);
}

static void added(struct broker_core *b, struct resource *resource)
{
    struct trigger *t = trigger_new(b, resource);
    if (t == NULL || broker_number_put(b, t->number, NUMBER_TRIGGER, t) < 0) {
        free(t);
        return;
    }
    resource->controller = t;
    atomic_fetch_add(&b->listeners, 1);
    if (b->running) {
        start_load(t);
        b->known = t->created;
        scan_wake(b);
    }
    const char *name = resource_text_at(resource->object, "spec.broker");
    struct broker *broker =
        broker_find(b, resource->namespace_name, name != NULL ? name : "default");
    /* The scan has passed events that follow it. */
    if (broker != NULL && b->running && (t->start < b->scanned || t->search != NULL))
        trigger_fall_behind(t, t->start + 1);
    if (broker == NULL)
        start_end_search(t);
    if (broker != NULL)
        trigger_attach(t, broker);
    else
        trigger_refresh(t);
}

void trigger_changed(void *ctx, enum registry_change change, struct resource *resource,
                     const json_t *before)
{
    (void)before;
    struct broker_core *b = ctx;
    struct trigger *t = resource->controller;
    if (change == REGISTRY_ADDED)
        added(b, resource);
    else if (t == NULL || change == REGISTRY_STATUS)
        return;
    else if (change == REGISTRY_MODIFIED)
        trigger_refresh(t);
    else {
        broker_number_put(b, t->number, NUMBER_FREE, NULL);
        atomic_fetch_sub(&b->listeners, 1);
        resource->controller = NULL;
        retry_forget(b, t->number);
        cursor_forget(b, t->number);
        trigger_free(t);
    }
}

/* A later broker of that name is another one: nothing of this one is kept for it. */
void trigger_broker_gone(struct trigger *t)
{
    bool was_behind = t->behind != 0 || t->lanes.behind > 0;
    detach(t);
    trigger_readable(t);
    t->stalled = false;
    trigger_caught_up(t);
    start_end_search(t);
    lanes_forget(t);
    replay_broker_gone(t);
    uint64_t count = drop_with_broker(t);
    if (count > 0 || was_behind)
        log_info("trigger %s/%s: %llu deliveries that had not ended are dropped with its broker%s",
                 t->resource->namespace_name, t->resource->name, (unsigned long long)count,
                 was_behind ? ", and the events that it had not read" : "");
    trigger_refresh(t);
}
