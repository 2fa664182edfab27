/* SPDX-License-Identifier: Apache-2.0 */
/* One trigger: its filter, subscriber and policy, the deliveries that wait, and how it falls behind
 * and catches up. */
#include "broker/trigger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/cursor.h"
#include "broker/dead_retain.h"
#include "broker/drop.h"
#include "broker/retry.h"
#include "broker/scan.h"

#include <errno.h>
#include <stdio.h>

#define CATCH_UP_BUDGET 2000 /* records read in one turn for one trigger */

/* ---- status ---- */

struct verdict {
    const char *reason;
    struct error err;
};

static bool target_ready(const struct broker_core *b, const struct target *target,
                         struct verdict *v)
{
    if (target->kind == TARGET_BROKER) {
        if (broker_find(b, target->namespace_name, target->name) != NULL)
            return true;
        v->reason = "BrokerDoesNotExist";
        error_set(&v->err, -ENOENT, "there is no broker %s in namespace %s", target->name,
                  target->namespace_name);
        return false;
    }
    if (target->kind != TARGET_FUNCTION)
        return true;
    enum sink_state state =
        b->functions != NULL
            ? b->functions->state(b->functions_ctx, target->namespace_name, target->name, &v->err)
            : SINK_ABSENT;
    if (state == SINK_READY)
        return true;
    v->reason = state == SINK_WAITING ? "FunctionNotReady" : "FunctionNotFound";
    if (v->err.message[0] == '\0')
        error_set(&v->err, -ENOENT, "there is no function %s in namespace %s", target->name,
                  target->namespace_name);
    return false;
}

static void add_condition(json_t *conditions, const char *type, bool good, const struct verdict *v)
{
    json_array_append_new(conditions,
                          registry_condition(type, good ? "True" : "False", good ? "" : v->reason,
                                             good ? "" : v->err.message));
}

/* v is about filter and subscriber, dead_letter about the dead-letter sink. Ready says nothing of
 * the latter: without it events are delivered all the same, and dead letters are kept. */
static void set_status(struct trigger *t, bool filter_good, bool sink_good, const struct verdict *v,
                       const struct verdict *dead_letter)
{
    bool broker_good = t->broker != NULL;
    struct verdict no_broker = {.reason = "BrokerDoesNotExist"};
    error_set(&no_broker.err, -ENOENT, "there is no broker %s in this namespace",
              resource_text_at(t->resource->object, "spec.broker"));
    if (t->dropped > 0)
        error_set(&no_broker.err, -ENOENT,
                  "there is no broker %s in this namespace: it was deleted, and with it %llu "
                  "deliveries that had not ended",
                  resource_text_at(t->resource->object, "spec.broker"),
                  (unsigned long long)t->dropped);
    json_t *conditions = json_array();
    add_condition(conditions, "BrokerReady", broker_good, &no_broker);
    add_condition(conditions, "FilterReady", filter_good, v);
    add_condition(conditions, "SubscriberResolved", filter_good && sink_good, v);
    add_condition(conditions, "DeadLetterSinkResolved", t->dead_letter_ready, dead_letter);
    add_condition(conditions, "Ready", broker_good && filter_good && sink_good,
                  broker_good ? v : &no_broker);
    json_t *status = json_object();
    json_object_set_new(status, "conditions", conditions);
    if (t->subscriber.uri != NULL)
        json_object_set_new(status, "subscriberUri", json_string(t->subscriber.uri));
    if (t->policy.dead_letter.uri != NULL)
        json_object_set_new(status, "deadLetterSinkUri", json_string(t->policy.dead_letter.uri));
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

static void fall_behind(struct trigger *t, uint64_t position)
{
    t->behind = position;
    list_append(&t->core->behind, &t->behind_link);
}

/* A filter that cannot be used must not lose events: the trigger holds its place until it can. */
static void hold_place(struct trigger *t)
{
    if (t->filter == NULL && t->broker != NULL && t->behind == 0)
        fall_behind(t, t->core->scanned + 1);
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
    struct verdict v = {.reason = "InvalidFilter", .err = ERROR_INIT};
    struct verdict dead_letter = {.reason = "DeadLetterSinkNotResolved", .err = ERROR_INIT};
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
    t->dead_letter_ready =
        policy_good && target_ready(t->core, &t->policy.dead_letter, &dead_letter);
    bool sink_good = false;
    if (filter_good) {
        v.reason = "SubscriberNotResolved";
        sink_good = target_resolve(json_object_get(spec, "subscriber"), t->resource->namespace_name,
                                   &t->subscriber, &v.err) == 0 &&
                    target_ready(t->core, &t->subscriber, &v);
        if (sink_good && !policy_good) {
            sink_good = false;
            v.err = dead_letter.err;
        }
    }
    t->ready = filter_good && sink_good && t->broker != NULL;
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
    list_init(&t->outstanding);
    list_init(&t->retrying);
    list_init(&t->crowded);
    list_init(&t->held);
    t->go_on.due = go_on;
    t->go_on.ctx = t;
    return t;
}

/* What it reads can be read, or is not wanted any more. */
static void note_success(struct trigger *t)
{
    if (!t->unreadable)
        return;
    t->unreadable = false;
    atomic_fetch_sub_explicit(&t->core->counters.unreadable, 1, memory_order_relaxed);
}

void trigger_free(struct trigger *t)
{
    detach(t);
    note_success(t);
    dead_retain_count(t, -(int64_t)t->dead_count);
    list_remove(&t->behind_link);
    loop_timer_cancel(t->core->loop, &t->go_on);
    store_reader_free(t->catch_up);
    drop_with_trigger(t);
    filter_free(t->filter);
    target_done(&t->subscriber);
    policy_done(&t->policy);
    free(t->done_before.positions);
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
        cursor_load_start(t);
        scan_wake(b);
    }
    const char *name = resource_text_at(resource->object, "spec.broker");
    struct broker *broker =
        broker_find(b, resource->namespace_name, name != NULL ? name : "default");
    /* The scan has passed events that follow it. */
    if (broker != NULL && b->running && t->start < b->scanned)
        fall_behind(t, t->start + 1);
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

/* ---- the stream of events ---- */

static bool is_full(const struct trigger *t)
{
    return t->waiting_count >= TRIGGER_WAITING_MAX || t->waiting_bytes >= TRIGGER_WAITING_BYTES_MAX;
}

bool trigger_takes_retries(const struct trigger *t)
{
    return !is_full(t) &&
           (t->behind == 0 || (t->waiting_retries < TRIGGER_WAITING_MAX / 2 &&
                               t->waiting_retry_bytes < TRIGGER_WAITING_BYTES_MAX / 2));
}

static bool has_its_share(const struct trigger *t)
{
    const struct broker_core *b = t->core;
    uint64_t all = atomic_load_explicit(&b->counters.waiting, memory_order_relaxed) +
                   atomic_load_explicit(&b->counters.in_flight, memory_order_relaxed);
    if (all < b->deliveries_max)
        return false;
    uint64_t share = b->deliveries_max / atomic_load_explicit(&b->listeners, memory_order_relaxed);
    return t->waiting_count + t->in_flight >=
           (share > TRIGGER_SHARE_MIN ? share : TRIGGER_SHARE_MIN);
}

static bool takes_more(const struct trigger *t)
{
    return !is_full(t) && t->retrying_count < TRIGGER_RETRYING_MAX && !has_its_share(t);
}

void trigger_retrying(struct trigger *t, struct delivery *d)
{
    if (!d->in_tables)
        t->retrying_count++;
    d->in_tables = true;
    list_remove(&d->outstanding);
    list_append(&t->retrying, &d->outstanding);
}

void trigger_queue(struct trigger *t, struct delivery *d)
{
    list_append(&t->waiting, &d->link);
    t->waiting_count++;
    t->waiting_bytes += d->event->len;
    if (d->in_tables) {
        t->waiting_retries++;
        t->waiting_retry_bytes += d->event->len;
    }
    atomic_fetch_add_explicit(&t->core->counters.waiting, 1, memory_order_relaxed);
}

void trigger_unqueue(struct trigger *t, const struct delivery *d)
{
    t->waiting_count--;
    t->waiting_bytes -= d->event->len;
    if (d->in_tables) {
        t->waiting_retries--;
        t->waiting_retry_bytes -= d->event->len;
    }
    atomic_fetch_sub_explicit(&t->core->counters.waiting, 1, memory_order_relaxed);
}

/* Queues the event. False when there is no room or no memory: the trigger stays at this position.
 */
static bool take(struct trigger *t, const struct store_entry *entry, struct event_hold **hold)
{
    if (entry->position <= t->start || position_set_take(&t->done_before, entry->position))
        return true;
    if (!takes_more(t))
        return false;
    if (*hold == NULL)
        *hold = event_hold_new(entry->value);
    struct delivery *d = *hold != NULL ? delivery_new(t, entry->position, entry->time_ns) : NULL;
    if (d == NULL)
        return false;
    d->event = event_hold_ref(*hold);
    list_append(&t->outstanding, &d->outstanding);
    atomic_fetch_add_explicit(&t->core->counters.matched, 1, memory_order_relaxed);
    trigger_queue(t, d);
    return true;
}

void trigger_offer(struct trigger *t, const struct store_entry *entry, struct event_hold **hold)
{
    if (t->behind != 0)
        return;
    if (take(t, entry, hold))
        trigger_pump(t);
    else
        fall_behind(t, entry->position);
}

bool trigger_hold(struct trigger *t, struct delivery *d)
{
    if (d->stage != STAGE_DEAD_LETTER || t->dead_letter_ready)
        return false;
    event_hold_unref(STEAL(d->event));
    list_append(&t->held, &d->link);
    return true;
}

static void start_waiting(struct trigger *t)
{
    while (t->ready && !t->core->quiet && t->refused == 0 && t->in_flight < TRIGGER_WINDOW &&
           !list_empty(&t->waiting)) {
        struct delivery *d = list_entry(list_shift(&t->waiting), struct delivery, link);
        must(d->event != NULL); /* only those that are held have none */
        trigger_unqueue(t, d);
        if (trigger_hold(t, d))
            continue;
        t->in_flight++;
        atomic_fetch_add_explicit(&t->core->counters.in_flight, 1, memory_order_relaxed);
        delivery_start(d);
    }
}

void trigger_pump(struct trigger *t)
{
    do
        start_waiting(t);
    while (!t->core->quiet && retry_take_crowded(t));
}

/* One record of the log for a trigger that is behind. False: no room, come again. */
static bool catch_up_record(struct trigger *t, const struct store_entry *entry)
{
    if (entry->type != STORE_RECORD_EVENT || entry->scope != t->broker->number)
        return true;
    struct event event = {0};
    if (event_decode(entry->value, &event) < 0 || !filter_matches(t->filter, &event))
        return true;
    struct event_hold *hold = NULL;
    bool taken = take(t, entry, &hold);
    event_hold_unref(hold);
    return taken;
}

static void caught_up(struct trigger *t)
{
    t->behind = 0;
    list_remove(&t->behind_link);
    store_reader_free(STEAL(t->catch_up));
}

/* A later broker of that name is another one: nothing of this one is kept for it. */
void trigger_broker_gone(struct trigger *t)
{
    bool was_behind = t->behind != 0;
    detach(t);
    note_success(t);
    t->paused = false;
    caught_up(t);
    uint64_t count = drop_with_broker(t);
    if (count > 0 || was_behind)
        log_info("trigger %s/%s: %llu deliveries that had not ended are dropped with its broker%s",
                 t->resource->namespace_name, t->resource->name, (unsigned long long)count,
                 was_behind ? ", and the events that it had not read" : "");
    trigger_refresh(t);
}

/* It stays where it is, and tries again from time to time, rather than pass over events. */
static void pause_catch_up(struct trigger *t, int error)
{
    store_reader_free(STEAL(t->catch_up));
    t->paused = true;
    if (t->unreadable)
        return;
    t->unreadable = true;
    atomic_fetch_add_explicit(&t->core->counters.unreadable, 1, memory_order_relaxed);
    log_error(
        "trigger %s/%s: the log cannot be read at position %llu (%s): its events wait until it "
        "can",
        t->resource->namespace_name, t->resource->name, (unsigned long long)t->behind,
        strerror(-error));
}

void trigger_tend(struct trigger *t)
{
    if (t->paused) {
        t->paused = false;
        scan_wake(t->core); /* whose turn ends with catching up */
    }
}

void trigger_catch_up(struct trigger *t)
{
    if (t->filter == NULL || t->broker == NULL || t->paused || !takes_more(t) ||
        t->waiting_count > TRIGGER_WAITING_MAX / 2)
        return;
    if (t->catch_up == NULL && (t->catch_up = store_reader_new(t->core->store, t->behind)) == NULL)
        return;
    for (unsigned n = 0; n < CATCH_UP_BUDGET && t->behind != 0; n++) {
        struct store_entry entry;
        int r = t->behind > t->core->scanned ? 0 : store_reader_next(t->catch_up, &entry);
        if (r < 0) {
            pause_catch_up(t, r);
            break;
        }
        note_success(t);
        if (r == 0 || entry.position > t->core->scanned) {
            caught_up(t);
            break;
        }
        if (!catch_up_record(t, &entry)) { /* read it again when there is room */
            t->behind = entry.position;
            store_reader_free(STEAL(t->catch_up));
            break;
        }
        t->behind = entry.position + 1;
    }
    trigger_pump(t);
}
