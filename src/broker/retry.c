/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that wait for their next attempt: a row in RETRIES each, and a timer until it is due.
 * Then the event is read, as soon as there is room for it. */
#include "broker/retry.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/drop.h"
#include "broker/row.h"

#include <errno.h>
#include <stdio.h>

#define FORGET_ROWS 512 /* rows deleted in one group */

void retry_readable(struct delivery *d)
{
    if (!d->unreadable)
        return;
    d->unreadable = false;
    atomic_fetch_sub_explicit(&d->core->counters.unreadable, 1, memory_order_relaxed);
}

/* Tables or log cannot be read now: that may pass. */
static void wait_for_event(struct delivery *d, int error)
{
    struct broker_core *b = d->core;
    loop_timer_set(b->loop, &d->due, loop_now(b->loop) + CLOCK_SECOND);
    if (d->unreadable)
        return;
    d->unreadable = true;
    atomic_fetch_add_explicit(&b->counters.unreadable, 1, memory_order_relaxed);
    log_error(
        "trigger %s/%s: the event at position %llu cannot be read (%s): it waits until it can",
        d->trigger->resource->namespace_name, d->trigger->resource->name,
        (unsigned long long)d->position, strerror(-error));
}

/* The event is nowhere any more: that is said in DEAD, and the row in RETRIES goes. */
static void lose(struct delivery *d)
{
    struct counters *c = &d->core->counters;
    retry_readable(d);
    log_error(
        "trigger %s/%s: the event at position %llu is neither in the tables nor in the log: it "
        "cannot be delivered any more",
        d->trigger->resource->namespace_name, d->trigger->resource->name,
        (unsigned long long)d->position);
    atomic_fetch_add_explicit(&c->lost, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->dead, 1, memory_order_relaxed);
    d->code = 0;
    snprintf(d->error, sizeof(d->error), "the event is neither in the tables nor in the log");
    d->outcome = OUTCOME_DEAD;
    outcome_append(d);
}

static bool is_event(const struct buf *encoded)
{
    struct event event = {0};
    return event_decode(buf_slice(encoded), &event) == 0;
}

/* From the row in PAYLOADS, else from the log, which may still have it. -ENOENT: neither does. */
static int read_event(struct delivery *d)
{
    struct store *s = d->core->store;
    autobuf key = BUF_INIT;
    autobuf payload = BUF_INIT;
    row_object_key(d->trigger_number, d->position, &key);
    int r = store_get(s, STORE_TABLE_PAYLOADS, buf_slice(&key), &payload, NULL);
    d->payload_gone = r == -ENOENT || (r == 0 && !is_event(&payload));
    if (d->payload_gone) {
        uint32_t broker;
        uint64_t time_ns;
        buf_reset(&payload);
        r = store_read_event(s, d->position, &broker, &time_ns, &payload);
        if (r == 0 && !is_event(&payload))
            r = -ENOENT;
    }
    if (r == 0 && (d->event = event_hold_new(buf_slice(&payload))) == NULL)
        r = -ENOMEM;
    return r;
}

static void take(struct delivery *d)
{
    int r = read_event(d);
    if (r == -ENOENT) {
        lose(d);
    } else if (r < 0) {
        wait_for_event(d, r);
    } else {
        retry_readable(d);
        trigger_queue(d->trigger, d);
    }
}

static void due(struct loop_timer *timer)
{
    struct delivery *d = must_be((struct delivery *)timer->ctx, DELIVERY_MAGIC);
    list_append(&d->trigger->crowded, &d->link);
    trigger_pump(d->trigger);
}

bool retry_take_crowded(struct trigger *t)
{
    bool any = false;
    while (!list_empty(&t->crowded) && trigger_takes_retries(t)) {
        if (t->retries_taken == TRIGGER_RETRIES_TURN) {
            if (!heap_contains(&t->go_on.node))
                loop_timer_set(t->core->loop, &t->go_on, loop_now(t->core->loop) + 1);
            break;
        }
        struct delivery *d = list_entry(list_shift(&t->crowded), struct delivery, link);
        t->retries_taken++;
        any = true;
        if (!trigger_hold(t, d))
            take(d);
    }
    return any;
}

/* The clock may have been set back meanwhile: never wait longer than the delay itself. */
void retry_schedule(struct delivery *d)
{
    uint64_t now = loop_realtime(d->core->loop);
    uint64_t wait = d->due_ns > now ? d->due_ns - now : 0;
    if (wait > d->delay_ns)
        wait = d->delay_ns;
    d->due.due = due;
    d->due.ctx = d;
    loop_timer_set(d->core->loop, &d->due, loop_now(d->core->loop) + wait);
}

static int load_row(struct broker_core *b, const struct retry_row *row,
                    struct store_group *forgotten)
{
    struct trigger *t = trigger_by_number(b, row->trigger);
    if (t == NULL)
        return 0; /* deleted just before the end: retry_forget_orphans() */
    struct delivery *d = delivery_new(t, row->position, row->time_ns);
    if (d == NULL)
        return -ENOMEM;
    d->stage = (enum delivery_stage)row->stage;
    d->attempts = row->attempts;
    d->code = row->code;
    d->due_ns = row->due_ns;
    d->delay_ns = row->delay_ns;
    snprintf(d->error, sizeof(d->error), SLICE_FMT, SLICE_ARG(row->error));
    if (t->broker == NULL) { /* deleted just before the end */
        retry_forget_delivery(d, forgotten);
        delivery_free(d);
        drop_count(t, 1);
        return 0;
    }
    trigger_retrying(t, d);
    retry_schedule(d);
    return 0;
}

int retry_load(struct broker_core *b)
{
    struct store_scan *scan = store_scan_new(b->store, STORE_TABLE_RETRIES, (struct slice){"", 0},
                                             (struct slice){NULL, 0});
    if (scan == NULL)
        return -ENOMEM;
    struct store_group forgotten;
    struct slice key, value;
    int r = 0;
    retry_forget_begin(&forgotten);
    while (r == 0 && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct retry_row row;
        r = row_retry_read(key, value, &row);
        if (r == 0)
            r = load_row(b, &row, &forgotten);
    }
    store_scan_free(scan);
    retry_forget_end(b, &forgotten);
    return r;
}

void retry_forget_begin(struct store_group *g)
{
    store_group_init(g);
    g->internal = true;
}

void retry_forget_end(struct broker_core *b, struct store_group *g)
{
    if (g->records > 0)
        store_append(b->store, g, NULL, NULL);
    else
        store_group_done(g);
}

static void forget_row(struct broker_core *b, enum store_table table, struct slice key,
                       struct store_group *g)
{
    store_group_add(g, STORE_RECORD_DELETE, table, key, (struct slice){"", 0});
    if (g->records < FORGET_ROWS)
        return;
    store_append(b->store, g, NULL, NULL);
    retry_forget_begin(g);
}

void retry_forget_delivery(const struct delivery *d, struct store_group *g)
{
    autobuf key = BUF_INIT;
    row_retry_key(d->due_ns, d->trigger_number, d->position, &key);
    forget_row(d->core, STORE_TABLE_RETRIES, buf_slice(&key), g);
    row_object_key(d->trigger_number, d->position, &key);
    if (d->stage == STAGE_SUBSCRIBER)
        forget_row(d->core, STORE_TABLE_PAYLOADS, buf_slice(&key), g);
}

void retry_forget_outcome(const struct delivery *d)
{
    struct store_group group;
    autobuf key = BUF_INIT;
    retry_forget_begin(&group);
    row_retry_key(d->next_due_ns, d->trigger_number, d->position, &key);
    forget_row(d->core, STORE_TABLE_RETRIES, buf_slice(&key), &group);
    row_object_key(d->trigger_number, d->position, &key);
    forget_row(d->core, STORE_TABLE_PAYLOADS, buf_slice(&key), &group);
    forget_row(d->core, STORE_TABLE_DEAD, buf_slice(&key), &group);
    retry_forget_end(d->core, &group);
}

/* Deletes the rows of one table whose keys begin with the trigger's number. */
static void forget_objects(struct broker_core *b, enum store_table table, uint32_t trigger,
                           struct store_group *g)
{
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    row_object_key(trigger, 0, &from);
    row_object_key(trigger + 1, 0, &to);
    struct store_scan *scan = store_scan_new(b->store, table, buf_slice(&from), buf_slice(&to));
    struct slice key, value;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1)
        forget_row(b, table, key, g);
    store_scan_free(scan);
}

static void forget_retries(struct broker_core *b, uint32_t trigger, struct store_group *g)
{
    struct store_scan *scan = store_scan_new(b->store, STORE_TABLE_RETRIES, (struct slice){"", 0},
                                             (struct slice){NULL, 0});
    struct slice key, value;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct retry_row row;
        if (row_retry_read(key, value, &row) == 0 && row.trigger == trigger)
            forget_row(b, STORE_TABLE_RETRIES, key, g);
    }
    store_scan_free(scan);
}

void retry_forget(struct broker_core *b, uint32_t trigger)
{
    struct store_group group;
    retry_forget_begin(&group);
    forget_objects(b, STORE_TABLE_PAYLOADS, trigger, &group);
    forget_objects(b, STORE_TABLE_DEAD, trigger, &group);
    forget_retries(b, trigger, &group);
    retry_forget_end(b, &group);
}

/* The first trigger from that number on that has a payload. */
static bool next_with_payload(struct broker_core *b, uint64_t from, uint32_t *ret_trigger)
{
    autobuf key = BUF_INIT;
    row_object_key((uint32_t)from, 0, &key);
    struct store_scan *scan =
        store_scan_new(b->store, STORE_TABLE_PAYLOADS, buf_slice(&key), (struct slice){NULL, 0});
    struct slice found, value;
    bool any = from <= UINT32_MAX && scan != NULL &&
               store_scan_next(scan, &found, &value, NULL) == 1 && found.len >= sizeof(uint32_t);
    if (any)
        *ret_trigger = bytes_be32(found.ptr);
    store_scan_free(scan);
    return any;
}

void retry_forget_orphans(struct broker_core *b)
{
    uint32_t trigger;
    for (uint64_t from = 0; next_with_payload(b, from, &trigger); from = (uint64_t)trigger + 1)
        if (trigger_by_number(b, trigger) == NULL)
            retry_forget(b, trigger);
}
