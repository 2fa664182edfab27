/* SPDX-License-Identifier: Apache-2.0 */
/* The core: which brokers there are, its life, and its housekeeping. */
#include "broker/broker_internal.h"

#include "base/clock.h"
#include "base/must.h"
#include "broker/cursor.h"
#include "broker/dead.h"
#include "broker/dead_retain.h"
#include "broker/dead_select.h"
#include "broker/dedup.h"
#include "broker/dedup_set.h"
#include "broker/delivery.h"
#include "broker/history.h"
#include "broker/replay.h"
#include "broker/requeue.h"
#include "broker/retry.h"
#include "broker/scan.h"
#include "broker/start.h"
#include "broker/target.h"
#include "resource/annotation.h"

#include <errno.h>
#include <stdio.h>

#define HOUSEKEEPING_INTERVAL CLOCK_SECOND
#define RETAIN_TURNS          10 /* housekeeping turns between looks at old segments */
#define RETAIN_INTERVAL       (20 * CLOCK_MILLISECOND) /* between looks whether a checkpoint ended */
#define RETENTION_DEFAULT     (7 * 24 * 3600 * CLOCK_SECOND)

/* ---- numbers ---- */

int broker_number_put(struct broker_core *b, uint32_t number, int kind, void *object)
{
    if (number >= b->number_cap) {
        size_t cap = b->number_cap < 64 ? 64 : b->number_cap;
        while (cap <= number)
            cap *= 2;
        void **objects = realloc(b->by_number, cap * sizeof(*objects));
        if (objects == NULL)
            return -ENOMEM;
        b->by_number = objects;
        uint8_t *kinds = realloc(b->number_kind, cap);
        if (kinds == NULL)
            return -ENOMEM;
        b->number_kind = kinds;
        memset(kinds + b->number_cap, NUMBER_FREE, cap - b->number_cap);
        b->number_cap = cap;
    }
    b->by_number[number] = object;
    b->number_kind[number] = (uint8_t)kind;
    return 0;
}

static void *object_of(const struct broker_core *b, uint32_t number, int kind)
{
    return number < b->number_cap && b->number_kind[number] == kind ? b->by_number[number] : NULL;
}

struct broker *broker_by_number(const struct broker_core *b, uint32_t number)
{
    return object_of(b, number, NUMBER_BROKER);
}

struct trigger *trigger_by_number(const struct broker_core *b, uint32_t number)
{
    return object_of(b, number, NUMBER_TRIGGER);
}

struct broker *broker_find(const struct broker_core *b, const char *namespace_name,
                           const char *name)
{
    struct resource *r = registry_find(b->registry, &resource_kind_broker, namespace_name, name);
    return r != NULL ? r->controller : NULL;
}

void broker_each_trigger(struct broker_core *b, void (*each)(struct trigger *t))
{
    for (uint32_t i = 0; i < b->number_cap; i++)
        if (b->number_kind[i] == NUMBER_TRIGGER)
            each(b->by_number[i]);
}

/* ---- brokers ---- */

static void broker_read_retention(struct broker *broker)
{
    broker->retention_ns =
        annotation_duration(broker->resource->object, ANNOTATION_RETENTION, RETENTION_DEFAULT);
}

static int attach_trigger(void *ctx, struct resource *resource)
{
    struct broker *broker = ctx;
    struct trigger *t = resource->controller;
    const char *name = resource_text_at(resource->object, "spec.broker");
    if (t != NULL && strcmp(name != NULL ? name : "default", broker->resource->name) == 0)
        trigger_attach(t, broker);
    return 0;
}

static void broker_added(struct broker_core *b, struct resource *resource)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL || broker_number_put(b, resource->number, NUMBER_BROKER, broker) < 0) {
        free(broker);
        return;
    }
    broker->measure = ingress_measure_new(b->ingress_measures, resource->number);
    if (broker->measure == NULL || directory_put(b->directory, resource->namespace_name,
                                                 resource->name, broker->measure) < 0) {
        broker_number_put(b, resource->number, NUMBER_FREE, NULL);
        if (broker->measure != NULL)
            ingress_measure_release(b->ingress_measures, broker->measure);
        free(broker);
        return;
    }
    broker->resource = resource;
    broker->number = resource->number;
    list_init(&broker->triggers);
    broker_read_retention(broker);
    dedup_read(b, broker);
    resource->controller = broker;
    broker->ready = true; /* until broker_refresh() has looked */
    registry_each(b->registry, &resource_kind_trigger, resource->namespace_name, attach_trigger,
                  broker);
    broker_refresh(b, broker);
    broker_refresh_forwarding(b);
}

static void broker_free(struct broker *broker)
{
    index_done(&broker->index);
    target_done(&broker->dead_letter);
    dedup_free(broker->dedup);
    free(broker);
}

static void broker_removed(struct broker_core *b, struct resource *resource)
{
    struct broker *broker = resource->controller;
    directory_remove(b->directory, resource->namespace_name, resource->name);
    broker_number_put(b, broker->number, NUMBER_FREE, NULL);
    resource->controller = NULL;
    list_for_each_safe (node, following, &broker->triggers)
        trigger_broker_gone(list_entry(node, struct trigger, broker_link));
    ingress_measure_release(b->ingress_measures, broker->measure);
    broker_free(broker);
    broker_refresh_forwarding(b);
}

static void broker_changed(void *ctx, enum registry_change change, struct resource *resource,
                           const json_t *before)
{
    struct broker_core *b = ctx;
    struct broker *broker = resource->controller;
    if (change == REGISTRY_ADDED) {
        broker_added(b, resource);
    } else if (broker != NULL && change == REGISTRY_MODIFIED) {
        broker_read_retention(broker);
        dedup_read(b, broker);
        broker_refresh(b, broker); /* it has seen this generation */
    } else if (broker != NULL && change == REGISTRY_DELETED) {
        broker_removed(b, resource);
    }
}

/* ---- housekeeping ---- */

static uint64_t keep_since(const struct broker_core *b)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < b->number_cap; i++) {
        const struct broker *broker = broker_by_number(b, i);
        if (broker != NULL && broker->retention_ns > longest)
            longest = broker->retention_ns;
    }
    uint64_t now = loop_realtime(b->loop);
    return now > longest ? now - longest : 1;
}

static void retain(struct broker_core *b)
{
    store_retain(b->store, cursor_needed(b), keep_since(b));
}

static void retain_due(struct loop_timer *timer)
{
    struct broker_core *b = timer->ctx;
    if (b->checkpointing)
        loop_timer_set(b->loop, timer, loop_now(b->loop) + RETAIN_INTERVAL);
    else
        retain(b);
}

/* A checkpoint and retention, each when it is due. What the checkpoint is to free goes after it. */
static void tend_store(struct broker_core *b)
{
    if (store_checkpoint_due(b->store))
        cursor_checkpoint(b);
    if (!store_retain_due(b->store))
        return;
    retain(b);
    if (store_retain_due(b->store) && b->checkpointing)
        loop_timer_set(b->loop, &b->retain, loop_now(b->loop) + RETAIN_INTERVAL);
}

static void retain_on_loop(struct loop_message *m)
{
    struct broker_core *b = container_of(m, struct broker_core, retain_wanted);
    atomic_store(&b->retain_posted, false);
    if (!b->running)
        return;
    scan_tend(b);
    tend_store(b);
}

/* Whoever commits. */
static void retain_wanted(void *ctx)
{
    struct broker_core *b = ctx;
    if (!atomic_exchange(&b->retain_posted, true))
        loop_post(b->loop, &b->retain_wanted);
}

static void housekeeping_due(struct loop_timer *timer)
{
    struct broker_core *b = timer->ctx;
    scan_tend(b);
    retry_tend(b);
    dedup_tend(b);
    broker_each_trigger(b, trigger_tend);
    dead_retain_tend(b->dead_retain);
    inspector_tend(b->inspector);
    tend_store(b);
    if (++b->housekeeping_turns % RETAIN_TURNS == 0)
        retain(b);
    loop_timer_set(b->loop, &b->housekeeping, loop_now(b->loop) + HOUSEKEEPING_INTERVAL);
}

/* ---- life ---- */

int broker_core_new(const struct broker_core_options *options, struct broker_core **ret,
                    struct error *err)
{
    struct broker_core *b = calloc(1, sizeof(*b));
    if (b == NULL || (b->directory = directory_new()) == NULL ||
        (b->ingress_measures = ingress_measures_new()) == NULL ||
        (b->dead_retain =
             dead_retain_new(b, options->dead_letters_max, options->dead_letters_age_ns)) == NULL) {
        if (b != NULL) {
            directory_free(b->directory);
            ingress_measures_free(b->ingress_measures);
        }
        free(b);
        return error_set(err, -ENOMEM, "out of memory");
    }
    b->loop = options->loop;
    b->store = options->store;
    b->registry = options->registry;
    b->client = options->client;
    b->deliveries_max = TRIGGERS_DELIVERIES_MAX;
    b->inspect_bytes_max = INSPECT_BYTES_MAX;
    b->requests_max = flow_requests_max();
    b->base_url = options->base_url != NULL ? strdup(options->base_url) : NULL;
    list_init(&b->behind);
    list_init(&b->dedups);
    b->dedup_max = DEDUP_SET_MAX;
    list_init(&b->sweeping);
    list_init(&b->tails);
    list_init(&b->orphans);
    list_init(&b->starts);
    list_init(&b->requeues);
    list_init(&b->replays);
    int r = inspector_new(b, &b->inspector);
    scan_init(b);
    b->housekeeping.due = housekeeping_due;
    b->housekeeping.ctx = b;
    b->retain.due = retain_due;
    b->retain.ctx = b;
    b->retain_wanted.receive = retain_on_loop;
    store_set_retain_notify(b->store, retain_wanted, b);
    registry_extend(b->registry, &resource_kind_trigger, start_extend, b);
    if (r == 0)
        r = registry_observe(b->registry, &resource_kind_broker, broker_changed, b);
    if (r == 0)
        r = registry_observe(b->registry, &resource_kind_trigger, trigger_changed, b);
    if (r < 0) {
        broker_core_free(b);
        return error_set(err, r, "the broker could not watch its resources: %s", strerror(-r));
    }
    *ret = b;
    return 0;
}

static int load_cursors(struct broker_core *b)
{
    uint64_t known = b->known;
    b->known = registry_version(b->registry);
    for (uint32_t i = 0; i < b->number_cap; i++) {
        if (b->number_kind[i] != NUMBER_TRIGGER)
            continue;
        int r = cursor_load(b->by_number[i], known);
        if (r < 0)
            return r;
    }
    cursor_forget_orphans(b);
    retry_forget_orphans(b);
    int r = dead_retain_load(b);
    if (r == 0)
        r = retry_load(b);
    return r == 0 ? replay_load(b) : r;
}

int broker_core_start(struct broker_core *b, struct broker_replay *replay, struct error *err)
{
    cursor_take_replay(b, replay);
    int r = load_cursors(b);
    if (r < 0)
        return error_set(err, r, "the state of the triggers could not be read: %s", strerror(-r));
    b->settled_position = store_synced(b->store);
    if (scan_start(b) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    broker_each_trigger(b, lanes_begin);
    b->running = true;
    broker_refresh_all(b);
    loop_timer_set(b->loop, &b->housekeeping, loop_now(b->loop) + HOUSEKEEPING_INTERVAL);
    scan_wake(b);
    return 0;
}

static void release_log(struct trigger *t)
{
    store_reader_free(STEAL(t->catch_up));
    store_reader_free(STEAL(t->lanes.reader));
    replay_release_log(t);
}

void broker_core_release_log(struct broker_core *b)
{
    if (b == NULL)
        return;
    b->running = false;
    scan_stop(b);
    broker_each_trigger(b, release_log);
    tail_free_all(b);
    inspector_stop(b->inspector);
}

void broker_core_free(struct broker_core *b)
{
    if (b == NULL)
        return;
    scan_done(b);
    loop_timer_cancel(b->loop, &b->housekeeping);
    loop_timer_cancel(b->loop, &b->retain);
    b->closed = true;
    broker_each_trigger(b, trigger_free);
    while (!list_empty(&b->orphans))
        delivery_free(list_entry(b->orphans.next, struct delivery, outstanding));
    for (uint32_t i = 0; i < b->number_cap; i++)
        if (b->number_kind[i] == NUMBER_BROKER)
            broker_free(b->by_number[i]);
    start_free_rows(b);
    requeue_free_all(b);
    replay_free_all(b);
    dead_retain_free(b->dead_retain);
    inspector_free(b->inspector);
    directory_free(b->directory);
    ingress_measures_free(b->ingress_measures);
    free(b->by_number);
    free(b->number_kind);
    free(b->base_url);
    buf_done(&b->header_text);
    buf_done(&b->forgotten);
    free(b);
}

void broker_core_set_sink(struct broker_core *b, const struct sink_ops *functions, void *ctx)
{
    b->functions = functions;
    b->functions_ctx = ctx;
}

void broker_core_quiesce(struct broker_core *b)
{
    b->quiet = true;
    tail_end_all(b);
    inspector_quiesce(b->inspector);
}

bool broker_core_idle(struct broker_core *b)
{
    return b->settling == 0 && atomic_load(&b->counters.in_flight) == 0;
}

void broker_core_checkpoint(struct broker_core *b)
{
    cursor_checkpoint(b);
}

bool broker_core_checkpointing(const struct broker_core *b)
{
    return b->checkpointing;
}

size_t broker_core_routes(struct broker_core *b, struct http_route *routes, size_t max)
{
    const struct http_route rows[] = {
        {HTTP_GET, "/-/events", tail_serve, b, HTTP_ROLE_READ, 0, false,
         "events as lines of JSON, live; from=POSITION|earliest, follow=false, namespace=, "
         "broker=, id=, source=, type=, subject=; with limit=, continue= or id= a page of them"},
        {HTTP_GET, "/-/events/{position}", history_serve, b, HTTP_ROLE_READ, 0, false,
         "an event and what became of it: deliveries, attempts, and what it was answered with"},
        {HTTP_GET, "/-/attempts", attempts_serve, b, HTTP_ROLE_READ, 0, false,
         "attempts to deliver, the newest first; namespace=, trigger=, event=POSITION, "
         "failed=true, since=, until=, order=, limit=, continue="},
        {HTTP_GET, "/-/dead", dead_serve, b, HTTP_ROLE_READ, 0, false,
         "dead letters with their events, up to 1000 or 512 KiB; " DEAD_SELECT_HELP},
        {HTTP_DELETE, "/-/dead", dead_delete_many, b, HTTP_ROLE_ADMIN, 0, false,
         "deletes dead letters, up to 256; the same, or all=true"},
        {HTTP_POST, "/-/redrive", dead_redrive_many, b, HTTP_ROLE_ADMIN, 0, false,
         "dead letters, up to 256, are delivered anew; the same, or all=true"},
        {HTTP_GET, DEAD_PATH, dead_get, b, HTTP_ROLE_READ, 0, false, "one dead letter"},
        {HTTP_PUT, DEAD_PATH, dead_put, b, HTTP_ROLE_ADMIN, EVENT_BATCH_MAX, false,
         "another event for a dead letter, as CloudEvents JSON"},
        {HTTP_DELETE, DEAD_PATH, dead_delete, b, HTTP_ROLE_ADMIN, 0, false,
         "deletes a dead letter"},
        {HTTP_POST, DEAD_PATH "/redrive", dead_redrive, b, HTTP_ROLE_ADMIN, 0, false,
         "a dead letter is delivered anew"},
        {HTTP_POST, REPLAY_PATH, replay_post, b, HTTP_ROLE_ADMIN, REPLAY_BODY_MAX, false,
         "events of the log are delivered anew to a trigger; {from, to, filter, rate}"},
        {HTTP_GET, REPLAY_PATH, replay_get, b, HTTP_ROLE_READ, 0, false,
         "how far the last replay of a trigger is"},
        {HTTP_DELETE, REPLAY_PATH, replay_delete, b, HTTP_ROLE_ADMIN, 0, false,
         "cancels the replay of a trigger; what it has queued is still delivered"},
        {HTTP_POST, "/", ingress_post_host, b, HTTP_ROLE_SEND, EVENT_BATCH_MAX, true,
         "an event for the broker that Host names"},
        {HTTP_OPTIONS, "/", ingress_options_host, b, HTTP_ROLE_PUBLIC, 0, true,
         "CloudEvents webhook handshake"},
        {HTTP_POST, "/{namespace}/{broker}", ingress_post, b, HTTP_ROLE_SEND, EVENT_BATCH_MAX, true,
         "an event, or a batch of events, for the broker"},
        {HTTP_OPTIONS, "/{namespace}/{broker}", ingress_options, b, HTTP_ROLE_PUBLIC, 0, true,
         "CloudEvents webhook handshake"},
    };
    must(COUNT_OF(rows) <= max);
    memcpy(routes, rows, sizeof(rows));
    return COUNT_OF(rows);
}

void broker_core_stats(const struct broker_core *b, struct broker_core_stats *ret)
{
    const struct counters *c = &b->counters;
    *ret = (struct broker_core_stats){
        .taken = atomic_load(&c->taken),
        .refused = atomic_load(&c->refused),
        .matched = atomic_load(&c->matched),
        .delivered = atomic_load(&c->delivered),
        .failed = atomic_load(&c->failed),
        .retried = atomic_load(&c->retried),
        .dead = atomic_load(&c->dead),
        .replies = atomic_load(&c->replies),
        .loops = atomic_load(&c->loops),
        .in_flight = atomic_load(&c->in_flight),
        .waiting = atomic_load(&c->waiting),
        .dead_kept = atomic_load(&c->dead_kept),
        .dead_removed = atomic_load(&c->dead_removed),
        .redriven = atomic_load(&c->redriven),
        .replayed = atomic_load(&c->replayed),
        .lost = atomic_load(&c->lost),
        .delayed = atomic_load(&c->delayed),
        .expired = atomic_load(&c->expired),
        .duplicates = atomic_load(&c->duplicates),
        .dedup_forgotten = atomic_load(&c->dedup_forgotten),
        .dropped = atomic_load(&c->dropped),
        .undecodable = atomic_load(&c->undecodable),
        .unreadable = atomic_load(&c->unreadable),
        .paused = atomic_load(&c->paused),
        .breakers_open = atomic_load(&c->breakers_open),
        .probes = atomic_load(&c->probes),
        .settling = b->settling,
        .tails = atomic_load(&c->tails),
        .tails_cut = atomic_load(&c->tails_cut),
    };
}
