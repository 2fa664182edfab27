/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that wait for their next attempt in memory: a timer until each is due. Then the event
 * is read, as soon as there is room for it. */
#include "broker/retry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/row.h"
#include "broker/timing.h"

#include <errno.h>
#include <stdio.h>

#define CLOCK_WAS_SET (50 * CLOCK_MILLISECOND) /* by more than what passes between two readings */

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
    trigger_measure_count(d->trigger, TRIGGER_DEAD);
    d->code = 0;
    snprintf(d->error, sizeof(d->error), "the event is neither in the tables nor in the log");
    d->outcome = OUTCOME_DEAD;
    outcome_append(d);
}

static bool is_event(struct delivery *d, const struct buf *encoded)
{
    struct event event = {0};
    bool good = event_decode(buf_slice(encoded), &event) == 0;
    d->timed = good && timing_is_given(&event);
    return good;
}

int retry_read_event(struct delivery *d)
{
    struct store *s = d->core->store;
    autobuf key = BUF_INIT;
    autobuf payload = BUF_INIT;
    row_object_key(d->trigger_number, d->position, &key);
    int r = store_get(s, STORE_TABLE_PAYLOADS, buf_slice(&key), &payload, NULL);
    d->payload_gone = r == -ENOENT || (r == 0 && !is_event(d, &payload));
    if (d->payload_gone) {
        uint32_t broker;
        uint64_t time_ns;
        buf_reset(&payload);
        r = store_read_event(s, d->position, &broker, &time_ns, &payload);
        if (r == 0 && !is_event(d, &payload))
            r = -ENOENT;
    }
    if (r == 0 && (d->event = event_hold_new(buf_slice(&payload))) == NULL)
        r = -ENOMEM;
    return r;
}

static void take(struct delivery *d)
{
    int r = retry_read_event(d);
    if (r == 0 && (r = lane_enter(d->trigger, d)) < 0)
        event_hold_unref(STEAL(d->event));
    if (r == -ENOENT) {
        lose(d);
    } else if (r < 0) {
        wait_for_event(d, r);
    } else {
        retry_readable(d);
        trigger_queue(d->trigger, d);
    }
}

/* In the next turn. */
static void go_on_soon(struct trigger *t)
{
    if (!heap_contains(&t->go_on.node))
        loop_timer_set(t->core->loop, &t->go_on, loop_now(t->core->loop) + 1);
}

static void due(struct loop_timer *timer);

static bool waits_for_its_time(const struct delivery *d)
{
    return d->due.due == due && heap_contains(&d->due.node);
}

/* Where order is asked for, of those that are due at the same time the first in the log is to be
 * the first: timers do not tell, as each was set by another reading of the clock. */
static void take_turns(struct delivery *d)
{
    struct trigger *t = d->trigger;
    lane_insert(&t->crowded, d);
    go_on_soon(t);
    if (d->row_class != RETRY_NEW) /* it has its lane already */
        return;
    list_for_each (node, &t->retrying) {
        struct delivery *other = list_entry(node, struct delivery, outstanding);
        if (other->row_class != RETRY_NEW || other->due_ns > d->due_ns ||
            !waits_for_its_time(other))
            continue;
        loop_timer_cancel(t->core->loop, &other->due);
        lane_insert(&t->crowded, other);
    }
}

static void due(struct loop_timer *timer)
{
    struct delivery *d = must_be((struct delivery *)timer->ctx, DELIVERY_MAGIC);
    if (d->row_class == RETRY_NEW && d->due_ns > retry_now(d->core, RETRY_NEW)) {
        retry_schedule(d); /* the clock was set back meanwhile */
        return;
    }
    if (lanes_used(d->trigger)) {
        take_turns(d);
        return;
    }
    list_append(&d->trigger->crowded, &d->link);
    trigger_pump(d->trigger);
}

bool retry_take_crowded(struct trigger *t)
{
    bool any = false;
    while (!list_empty(&t->crowded) && trigger_takes_retries(t)) {
        if (t->retries_taken == TRIGGER_RETRIES_TURN) {
            go_on_soon(t);
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

uint64_t retry_now(const struct broker_core *b, enum retry_class c)
{
    return c == RETRY_NEW ? loop_realtime(b->loop) : loop_now(b->loop) + b->retry_clock;
}

/* What has failed never waits longer than the delay itself. */
void retry_schedule(struct delivery *d)
{
    uint64_t now = retry_now(d->core, d->row_class);
    uint64_t wait = d->due_ns > now ? d->due_ns - now : 0;
    if (d->row_class != RETRY_NEW && wait > d->delay_ns)
        wait = d->delay_ns;
    d->due.due = due;
    d->due.ctx = d;
    loop_timer_set(d->core->loop, &d->due, loop_now(d->core->loop) + wait);
}

static void schedule_new(struct trigger *t)
{
    list_for_each_safe (node, following, &t->retrying) {
        struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (d->row_class == RETRY_NEW && waits_for_its_time(d))
            retry_schedule(d);
    }
}

void retry_tend(struct broker_core *b)
{
    uint64_t ahead = loop_realtime(b->loop) - loop_monotonic(b->loop);
    int64_t set_by = (int64_t)(ahead - b->realtime_ahead);
    b->realtime_ahead = ahead;
    if (set_by > (int64_t)CLOCK_WAS_SET || set_by < -(int64_t)CLOCK_WAS_SET)
        broker_each_trigger(b, schedule_new);
}
