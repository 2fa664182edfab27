/* SPDX-License-Identifier: Apache-2.0 */
/* The deliveries of one trigger that wait in memory, and which of them starts when. */
#include "broker/trigger.h"

#include "base/must.h"
#include "broker/delivery.h"
#include "broker/retry.h"
#include "broker/timing.h"

bool trigger_is_full(const struct trigger *t)
{
    return t->waiting_count >= TRIGGER_WAITING_MAX || t->waiting_bytes >= TRIGGER_WAITING_BYTES_MAX;
}

bool trigger_takes_retries(const struct trigger *t)
{
    return !trigger_is_full(t) &&
           (t->behind == 0 || (t->waiting_retries < TRIGGER_WAITING_MAX / 2 &&
                               t->waiting_retry_bytes < TRIGGER_WAITING_BYTES_MAX / 2));
}

void trigger_queue(struct trigger *t, struct delivery *d)
{
    if (lane_put(t, d)) {
        if (d->event == NULL)
            return;
    } else
        list_append(d->stage == STAGE_DEAD_LETTER ? &t->waiting_sink : &t->waiting, &d->link);
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

bool trigger_hold(struct trigger *t, struct delivery *d)
{
    if (d->stage != STAGE_DEAD_LETTER || t->dead_letter_ready)
        return false;
    event_hold_unref(STEAL(d->event));
    list_append(&t->held, &d->link);
    return true;
}

static struct delivery *take_first(struct trigger *t, struct list *waiting)
{
    struct delivery *d = list_entry(list_shift(waiting), struct delivery, link);
    must(d->event != NULL); /* only those that are held have none */
    trigger_unqueue(t, d);
    return d;
}

static void start(struct trigger *t, struct delivery *d)
{
    flow_start(t, d);
    delivery_start(d);
}

static void start_first(struct trigger *t)
{
    struct delivery *d = take_first(t, &t->waiting);
    if (!timing_set_aside(d))
        start(t, d);
}

static bool may_start(const struct trigger *t)
{
    return t->ready && !t->flow.paused && !t->core->quiet && t->refused == 0;
}

static void start_waiting(struct trigger *t)
{
    while (may_start(t) && !list_empty(&t->waiting_sink) && flow_allows_sink(t)) {
        struct delivery *d = take_first(t, &t->waiting_sink);
        if (!trigger_hold(t, d))
            start(t, d);
    }
    while (may_start(t) && !list_empty(&t->waiting) && flow_allows(t))
        start_first(t);
}

void trigger_pump(struct trigger *t)
{
    do
        start_waiting(t);
    while (!t->core->quiet && retry_take_crowded(t));
}
